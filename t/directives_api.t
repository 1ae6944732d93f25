# vi:set ft= ts=4 sw=4 et:

# The directives of the API, the event log and the state file: what they refuse,
# with which words, and what they take. The others are in t/directives.t.

use strict;
use warnings;

use Test::Nginx::Socket;

no_root_location();

# What is refused: a section "emerg" is the whole message of the [emerg] line,
# but for the place that nginx may append to it. FILL-IN in it is any text: such
# a block waits for the words of the module. "ahead" is the message of a line of
# nginx's own before it.

my $sleep = $Test::Nginx::Util::TestNginxSleep;

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value(config => '') unless defined $block->config;
    $block->set_value(request => 'GET /') unless defined $block->request;
    $block->set_value(http_config => 'graph_policy_zone zone=main:1m;')
        unless defined $block->http_config;

    my $emerg = $block->emerg;

    # an nginx that has ended has written its log
    $Test::Nginx::Util::TestNginxSleep = defined $emerg ? 0 : $sleep;

    return unless defined $emerg;

    my @lines = map { join '.+', map { quotemeta } split /FILL-IN/, $_, -1 }
        map { s/\n\z//r } grep { defined } $block->ahead, $emerg;

    $block->set_value(must_die => 1);
    $block->set_value(grep_error_log => '[emerg]');
    $block->set_value(grep_error_log_out => "[emerg]\n" x @lines);
    $block->set_value(error_log => [map {
        qr/ \[emerg\] \d+#\d+: (?!unknown directive)$_(?: in \S+:\d+)?$/
    } @lines]);
});

# Where directives may not stand, and what all of them refuse: the same for all,
# so the blocks are made.

my $file = '$TEST_NGINX_SERVER_ROOT/html/events.log';

my @everywhere = (
    ['outside http',            main_config => '%s'],
    ['in an upstream',          http_config => 'upstream u { server 127.0.0.1; %s }'],
    ['in an if of a server',    config => 'if ($http_x) { %s }'],
    ['in an if of a location',  config => 'location / { if ($http_x) { %s } }'],
    ['in a limit_except',       config => 'location / { limit_except GET { %s } }'],
);

my %places = (
    'graph_policy_api write=on;' => [
        ['in http',             http_config => '%s'],
        ['in a server',         config => '%s'],
    ],
    'graph_policy_api;' => [
        ['in http',             http_config => '%s'],
        ['in a server',         config => '%s'],
    ],
    "graph_policy_event_log $file;" => [
        ['in a server',         config => '%s'],
        ['in a location',       config => 'location / { %s }'],
    ],
    'graph_policy_zone zone=main:1m state=main.state;' => [
        ['in a server',         config => '%s'],
        ['in a location',       config => 'location / { %s }'],
    ],
);

my $blocks = do { local $/; <DATA> };
my $made   = '';

sub make_block {
    my ($title, $section, $text, $emerg, $ahead) = @_;

    $made .= "\n\n=== $title\n--- $section\n$text\n--- emerg\n$emerg\n"
        . (defined $ahead ? "--- ahead\n$ahead\n" : '');
}

for my $directive (sort keys %places) {
    my ($name) = $directive =~ /^(\w+)/;

    for my $place (@everywhere, @{ $places{$directive} }) {
        my ($where, $section, $text) = @$place;

        make_block("$directive can't stand $where", $section,
            sprintf($text, $directive),
            qq("$name" directive is not allowed here));
    }
}

# words that are no parameter of graph_policy_api

for my $word (qw(on off write write= write=yes write=1 write=ON WRITE=on
    write:on writes=on read=on zone=main $http_x write=$http_x), '""', "''")
{
    my $shown = $word =~ s/^(?:""|'')$//r;

    make_block("graph_policy_api, no $word", 'config',
        "location /graph/ { graph_policy_api $word; }",
        qq(invalid value "$shown" in "graph_policy_api" directive, )
        . 'it must be "write=on" or "write=off"');
}

# nor of graph_policy_zone

for my $word (qw(state states=main.state STATE=main.state stat=main.state
    size=1m main.state 2m), '""', "''")
{
    my $shown = $word =~ s/^(?:""|'')$//r;

    make_block("graph_policy_zone, no $word", 'http_config',
        "graph_policy_zone zone=main:1m $word;",
        qq(invalid value "$shown" in "graph_policy_zone" directive, )
        . 'it must be "state=FILE"');
}

# servers of syslog that are none; what is wrong is said by nginx

for my $value ('syslog:', 'syslog:server=', 'syslog:facility=local1',
    'syslog:server=127.0.0.1,facility=nonsense',
    'syslog:server=127.0.0.1,severity=nonsense',
    'syslog:server=127.0.0.1,nonsense=1',
    'syslog:server=127.0.0.1,tag=no-such+tag',
    'syslog:server=127.0.0.1:99999')
{
    make_block("graph_policy_event_log, $value", 'http_config',
        "graph_policy_event_log $value;",
        qq(invalid value "$value" in "graph_policy_event_log" directive, )
        . 'it must be the name of a file, without variables, '
        . '"syslog:server=ADDRESS", or "off"', 'FILL-IN');
}

spec_string($blocks . $made);

# a refusal is three tests: nginx ends, with one message, and that is it
plan tests => 3 * (() = "$blocks$made" =~ /^--- emerg$/mg)
    + (() = $made =~ /^--- ahead$/mg)
    + (() = $blocks =~ /^--- response_body(?:_like:.*)?$/mg) * 2;

run_tests();

__DATA__

=== graph_policy_api takes one parameter
--- config
location /graph/ {
    graph_policy_api write=on write=on;
}
--- emerg
invalid number of arguments in "graph_policy_api" directive


=== graph_policy_api twice
--- config
location /graph/ {
    graph_policy_api write=on;
    graph_policy_api;
}
--- emerg
"graph_policy_api" directive is duplicate


=== graph_policy_api, a regular expression
--- config
location ~ ^/graph/ { graph_policy_api; }
--- emerg
"graph_policy_api" directive must be in a location that has no regular expression


=== graph_policy_api, a name
--- config
location @graph { graph_policy_api; }
--- emerg
"graph_policy_api" directive must be in a location that has a path


=== graph_policy_api, one address alone
--- config
location = /graph/metrics { graph_policy_api; }
--- emerg
"graph_policy_api" directive must be in a location without "=", its calls are below it


=== graph_policy_event_log needs an argument
--- http_config
graph_policy_event_log;
--- emerg
invalid number of arguments in "graph_policy_event_log" directive


=== graph_policy_event_log takes one argument
--- http_config
graph_policy_event_log $TEST_NGINX_SERVER_ROOT/html/events.log main;
--- emerg
invalid number of arguments in "graph_policy_event_log" directive


=== graph_policy_event_log, an empty argument
--- http_config
graph_policy_event_log '';
--- emerg
invalid value "" in "graph_policy_event_log" directive, it must be the name of a file, without variables, "syslog:server=ADDRESS", or "off"


=== graph_policy_event_log twice
--- http_config
graph_policy_event_log $TEST_NGINX_SERVER_ROOT/html/events.log;
graph_policy_event_log $TEST_NGINX_SERVER_ROOT/html/others.log;
--- emerg
"graph_policy_event_log" directive is duplicate


=== graph_policy_event_log, a folder that isn't there
--- http_config
graph_policy_event_log $TEST_NGINX_SERVER_ROOT/missing/events.log;
--- emerg
open() "FILL-IN/missing/events.log" failed (2: No such file or directory)


=== graph_policy_event_log, a folder
--- http_config
graph_policy_event_log $TEST_NGINX_SERVER_ROOT/html;
--- emerg
open() "FILL-IN/html" failed (21: Is a directory)


=== graph_policy_zone, an empty state
--- http_config
graph_policy_zone zone=main:1m state=;
--- emerg
invalid value "state=" in "graph_policy_zone" directive, it must be "state=FILE"


=== graph_policy_zone, two states
--- http_config
graph_policy_zone zone=main:1m state=a.state state=b.state;
--- emerg
invalid number of arguments in "graph_policy_zone" directive


=== graph_policy_zone, a state alone
--- http_config
graph_policy_zone state=main.state;
--- emerg
invalid value "state=main.state" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE"


=== graph_policy_zone, a size that is none, and a state
--- http_config
graph_policy_zone zone=main:x state=main.state;
--- emerg
invalid value "zone=main:x" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE" of at least 32k


=== every form of graph_policy_api
--- http_config
graph_policy_zone zone=main:1m;
--- config
location /a/ { graph_policy_api; }
location /b/ {
    graph_policy_api write=on;
    allow            127.0.0.1;
    deny             all;
}
location /c/ {
    graph_policy zone=main;
    location /c/d/ { graph_policy_api; }
}
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== an API without a zone
--- http_config
server_tokens off;
--- config
location /graph/ {
    graph_policy_api;
}
--- request
GET /graph/zones
--- response_body_like: ^\{.*"zones":\[\]


=== an event log in a file
--- http_config
graph_policy_event_log $TEST_NGINX_SERVER_ROOT/html/events.log;
graph_policy_zone      zone=main:1m;
--- config
graph_policy zone=main;
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== an event log, below the directory of nginx
--- http_config
graph_policy_event_log html/events.log;
graph_policy_zone      zone=main:1m;
--- config
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== an event log for syslog
--- http_config
graph_policy_event_log syslog:server=127.0.0.1:9514,facility=local7,tag=graph,severity=warn,nohostname;
graph_policy_zone      zone=main:1m;
--- config
graph_policy zone=main;
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== files of states
--- http_config
graph_policy_zone zone=main:1m state=$TEST_NGINX_SERVER_ROOT/html/main.state;
graph_policy_zone zone=other:1m state=html/other.state;
graph_policy_zone zone=none:1m;
--- config
graph_policy zone=main;
location / {
    return 200 "taken\n";
}
--- response_body
taken
