# vi:set ft= ts=4 sw=4 et:

# The directives of webhooks and conversations: what they refuse, with which
# words, and what they take. The others are in t/directives.t.

use strict;
use warnings;

use Test::Nginx::Socket;

no_root_location();

# What is refused: a section "emerg" is the whole message of the [emerg] line,
# but for the place that nginx may append to it. FILL-IN in it is any text: such
# a block waits for the words of the module.

my $sleep = $Test::Nginx::Util::TestNginxSleep;

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value(config => '') unless defined $block->config;
    $block->set_value(request => 'GET /') unless defined $block->request;
    $block->set_value(http_config => 'graph_policy_zone zone=main:1m;')
        unless defined $block->http_config;

    # what nobody may read in a message
    $block->set_value(no_error_log => ['s3cret'])
        if defined $block->user_files;

    my $emerg = $block->emerg;

    # an nginx that has ended has written its log
    $Test::Nginx::Util::TestNginxSleep = defined $emerg ? 0 : $sleep;

    return unless defined $emerg;

    chomp $emerg;
    $emerg = join '.+', map { quotemeta } split /FILL-IN/, $emerg, -1;

    $block->set_value(must_die => 1);
    $block->set_value(grep_error_log => '[emerg]');
    $block->set_value(grep_error_log_out => "[emerg]\n");
    $block->set_value(error_log =>
        [qr/ \[emerg\] \d+#\d+: (?!unknown directive)$emerg(?: in \S+:\d+)?$/]);
});

# Where directives may not stand, and what all of them refuse: the same for all,
# so the blocks are made.

my %arguments = (
    graph_policy_conversation        => 'on',
    graph_policy_webhook             => 'on',
    graph_policy_webhook_secret_file =>
        '$TEST_NGINX_SERVER_ROOT/html/secrets',
    graph_policy_webhook_pause       => 'on',
);

my @places = (
    ['outside http',            main_config => '%s'],
    ['in an upstream',          http_config => 'upstream u { server 127.0.0.1; %s }'],
    ['in an if of a server',    config => 'if ($http_x) { %s }'],
    ['in an if of a location',  config => 'location / { if ($http_x) { %s } }'],
    ['in a limit_except',       config => 'location / { limit_except GET { %s } }'],
);

my @wider = (
    ['in http',                 http_config => '%s'],
    ['in a server',             config => '%s'],
);

my $blocks = do { local $/; <DATA> };
my $made   = '';

sub make_block {
    my ($title, $section, $text, $emerg, $more) = @_;

    $made .= "\n\n=== $title\n--- $section\n$text\n--- emerg\n$emerg\n"
        . ($more // '');
}

for my $name (sort keys %arguments) {
    for my $place (@places,
        $name eq 'graph_policy_conversation' ? () : @wider)
    {
        my ($where, $section, $text) = @$place;

        make_block("$name can't stand $where", $section,
            sprintf($text, "$name $arguments{$name};"),
            qq("$name" directive is not allowed here));
    }

    make_block("$name needs an argument", 'config', "location / { $name; }",
        qq(invalid number of arguments in "$name" directive));
    make_block("$name takes no three arguments", 'config',
        "location / { $name $arguments{$name} a b; }",
        qq(invalid number of arguments in "$name" directive));
    make_block("$name twice", 'config', "location / {\n"
        . "    $name $arguments{$name};\n" x 2 . '}',
        qq("$name" directive is duplicate),
        "--- user_files\n>>> secrets\ns3cret-a\n");
}

for my $name (qw(graph_policy_webhook graph_policy_webhook_pause)) {
    for my $value (qw(yes true 1 $http_x), '""', "''") {
        my $shown = $value =~ s/^(?:""|'')$//r;

        make_block("$name, no $value", 'config',
            "location / { $name $value; }", qq(invalid value "$shown" in )
            . qq("$name" directive, it must be "on" or "off"));
    }

    make_block("$name takes one argument", 'config',
        "location / { $name on off; }",
        qq(invalid number of arguments in "$name" directive));
}

# secrets that are none

my $web = 'graph_policy zone=main; graph_policy_webhook on;';
my $at  = '$TEST_NGINX_SERVER_ROOT/html/secrets';
our @bad = (
    ['an empty file',               '',            0],
    ['a file of an empty line',     "\n",          0],
    ['a file of blanks',            "   \n\t\n",   0],
    ['a file of comments',          "# s3cret-a\n", 0],
    ['five secrets',   join('', map { "s3cret$_\n" } 1 .. 5), 'five'],
    ['16k of comments', "s3cret-a\n" . "# none\n" x 2400, 'long'],
    ['an account that is no id',    "s3cret-a 2001\ns3cret-b 20/01\n", 2],
    ['an account with letters',     "s3cret-a acme\n",                 1],
    ['an account with a quote',     "s3cret-a \"2001\"\n",             1],
    ['an account with a comma',     "\n# two\ns3cret-a 2001,2002\n",   3],
    ['an account that is too long', 's3cret-a ' . '1' x 21 . "\n",     1],
    ['a secret that is too long',   's' x 129 . "\n",                  1],
    ['a control character',         "s3cret\x01a\n",                   1],
    ['a byte of zero',              "s3cret\0a\n",                     1],
);

# the number of the line, 0 if there is no secret at all
sub wrong {
    my ($what) = @_;

    my $line = '"SECRET [ACCOUNT-ID ...]"';
    my $file = 'FILL-IN/html/secrets';

    return qq(invalid line $what of "$file" in )
        . qq("graph_policy_webhook_secret_file" directive, it must be $line)
        if $what =~ /^[1-9]/;

    my %allowed = (0 => "a file with a line $line",
        five => "a file of at most 4 lines $line",
        long => 'a file of at most 16k');

    return qq(invalid value "$file" in "graph_policy_webhook_secret_file" )
        . "directive, it must be $allowed{$what}";
}

for my $number (0 .. $#bad) {
    $made .= "\n\n=== secrets, $bad[$number][0]\n--- config\n"
        . "location / { $web graph_policy_webhook_secret_file $at; }\n"
        . "--- user_files eval\n[['secrets', \$main::bad[$number][1]]]\n"
        . "--- emerg\n" . wrong($bad[$number][2]) . "\n";
}

spec_string($blocks . $made);

# a refusal is three tests: nginx ends, with one message, and that is it; a message that has to
# be discreet is one more
plan tests => 3 * (() = "$blocks$made" =~ /^--- emerg$/mg)
    + (() = $blocks =~ /^--- response_body$/mg) * 2
    + (() = "$blocks$made" =~ /^--- user_files/mg);

run_tests();

__DATA__

=== graph_policy_conversation, an empty argument
--- config
graph_policy_conversation '';
--- emerg
invalid value "" in "graph_policy_conversation" directive, it must be "on" or "off"


=== graph_policy_conversation, "ON" isn't "on"
--- config
graph_policy_conversation ON;
--- emerg
invalid value "ON" in "graph_policy_conversation" directive, it must be "on" or "off"


=== graph_policy_conversation is no time
--- config
graph_policy_conversation 15m;
--- emerg
invalid value "15m" in "graph_policy_conversation" directive, it must be "on" or "off"


=== graph_policy_conversation, a hold alone
--- config
graph_policy_conversation hold=15m;
--- emerg
invalid value "hold=15m" in "graph_policy_conversation" directive, it must be "on" or "off"


=== graph_policy_conversation, a variable
--- config
graph_policy_conversation $http_x;
--- emerg
invalid value "$http_x" in "graph_policy_conversation" directive, it must be "on" or "off"


=== graph_policy_conversation, a time without its name
--- config
graph_policy_conversation on 15m;
--- emerg
invalid value "15m" in "graph_policy_conversation" directive, it must be "hold=TIME" after "on", a time from "1ms" to "24h"


=== graph_policy_conversation, another parameter
--- config
graph_policy_conversation on max=15m;
--- emerg
invalid value "max=15m" in "graph_policy_conversation" directive, it must be "hold=TIME" after "on", a time from "1ms" to "24h"


=== graph_policy_conversation, an empty parameter
--- config
graph_policy_conversation on '';
--- emerg
invalid value "" in "graph_policy_conversation" directive, it must be "hold=TIME" after "on", a time from "1ms" to "24h"


=== graph_policy_conversation, an empty hold
--- config
graph_policy_conversation on hold=;
--- emerg
invalid value "hold=" in "graph_policy_conversation" directive, it must be "hold=TIME" after "on", a time from "1ms" to "24h"


=== graph_policy_conversation, a hold of nothing
--- config
graph_policy_conversation on hold=0;
--- emerg
invalid value "hold=0" in "graph_policy_conversation" directive, it must be "hold=TIME" after "on", a time from "1ms" to "24h"


=== graph_policy_conversation, a negative hold
--- config
graph_policy_conversation on hold=-1s;
--- emerg
invalid value "hold=-1s" in "graph_policy_conversation" directive, it must be "hold=TIME" after "on", a time from "1ms" to "24h"


=== graph_policy_conversation, a hold that is no time
--- config
graph_policy_conversation on hold=1x;
--- emerg
invalid value "hold=1x" in "graph_policy_conversation" directive, it must be "hold=TIME" after "on", a time from "1ms" to "24h"


=== graph_policy_conversation, a hold that is too long
--- config
graph_policy_conversation on hold=25h;
--- emerg
invalid value "hold=25h" in "graph_policy_conversation" directive, it must be "hold=TIME" after "on", a time from "1ms" to "24h"


=== graph_policy_conversation, a hold without end
--- config
graph_policy_conversation on hold=99999999999999999999s;
--- emerg
invalid value "hold=99999999999999999999s" in "graph_policy_conversation" directive, it must be "hold=TIME" after "on", a time from "1ms" to "24h"


=== graph_policy_conversation, off for a while
--- config
graph_policy_conversation off hold=1m;
--- emerg
invalid value "hold=1m" in "graph_policy_conversation" directive, it must be "hold=TIME" after "on", a time from "1ms" to "24h"


=== graph_policy_conversation twice, on and off
--- config
graph_policy_conversation on;
graph_policy_conversation off;
--- emerg
"graph_policy_conversation" directive is duplicate


=== graph_policy_webhook without a zone
--- config
location / {
    graph_policy_webhook             on;
    graph_policy_webhook_secret_file $TEST_NGINX_SERVER_ROOT/html/secrets;
}
--- user_files
>>> secrets
s3cret-a
--- emerg
"graph_policy_webhook" in location "/" needs "graph_policy zone=NAME"


=== graph_policy_webhook where the policy is off
--- config
graph_policy zone=main;
location / {
    graph_policy                     off;
    graph_policy_webhook             on;
    graph_policy_webhook_secret_file $TEST_NGINX_SERVER_ROOT/html/secrets;
}
--- user_files
>>> secrets
s3cret-a
--- emerg
"graph_policy_webhook" in location "/" needs "graph_policy zone=NAME"


=== graph_policy_webhook without secrets
--- config
graph_policy zone=main;
location / {
    graph_policy_webhook on;
}
--- emerg
"graph_policy_webhook" in location "/" needs "graph_policy_webhook_secret_file"


=== secrets, a file that isn't there
--- config
location / {
    graph_policy                     zone=main;
    graph_policy_webhook             on;
    graph_policy_webhook_secret_file $TEST_NGINX_SERVER_ROOT/html/missing;
}
--- emerg
open() "FILL-IN/html/missing" of "graph_policy_webhook_secret_file" directive failed (2: No such file or directory)


=== secrets, a directory
--- config
location / {
    graph_policy                     zone=main;
    graph_policy_webhook             on;
    graph_policy_webhook_secret_file $TEST_NGINX_SERVER_ROOT/html;
}
--- emerg
read() "FILL-IN/html" of "graph_policy_webhook_secret_file" directive failed (21: Is a directory)


=== secrets, no name
--- config
location / {
    graph_policy                     zone=main;
    graph_policy_webhook             on;
    graph_policy_webhook_secret_file '';
}
--- emerg
invalid value "" in "graph_policy_webhook_secret_file" directive, it must be the name of a file


=== every form of graph_policy_conversation
--- http_config
graph_policy_zone         zone=main:1m;
graph_policy_conversation on;
--- config
graph_policy              zone=main;
graph_policy_conversation on hold=1ms;
location /a { graph_policy_conversation off; }
location /b { graph_policy_conversation on hold=24h; }
location /c { graph_policy_conversation on hold=1h30m; }
location /d { graph_policy_conversation on hold=10; }
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== every form of a webhook
--- config
graph_policy zone=main;
location /a {
    graph_policy_webhook             on;
    graph_policy_webhook_secret_file $TEST_NGINX_SERVER_ROOT/html/one;
}
location /b {
    graph_policy_webhook             on;
    graph_policy_webhook_secret_file $TEST_NGINX_SERVER_ROOT/html/four;
    graph_policy_webhook_pause       on;
}
location /c {
    graph_policy_webhook             on;
    graph_policy_webhook_secret_file $TEST_NGINX_SERVER_ROOT/html/crlf;
    graph_policy_webhook_pause       off;
}
location /d {
    graph_policy_webhook             off;
    graph_policy_webhook_pause       off;
}
location /e {
    graph_policy                     off;
    graph_policy_webhook             off;
    graph_policy_webhook_secret_file $TEST_NGINX_SERVER_ROOT/html/one;
}
location / {
    return 200 "taken\n";
}
--- user_files eval
[
    ['one', 's3cret'],
    ['four', "s3cret-a\ns3cret-b 2001\ns3cret-c 2001 2002\n"
        . 's3cret-d ' . '1' x 20 . "\n"],
    ['crlf', "s3cret-a 2001\r\ns3cret-b\r\n"],
]
--- response_body
taken


=== a name below the directory of the configuration
--- config
location /a {
    graph_policy                     zone=main;
    graph_policy_webhook             on;
    graph_policy_webhook_secret_file ../html/secrets;
}
location / {
    return 200 "taken\n";
}
--- user_files
>>> secrets
s3cret-a
--- response_body
taken
