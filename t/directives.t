# vi:set ft= ts=4 sw=4 et:

# Every directive: what it refuses, and with which words, and what it takes.

use strict;
use warnings;

use Test::Nginx::Socket;

no_root_location();

# What is refused: a section "emerg" is the whole message of the [emerg] line,
# but for the place that nginx appends to it, which "place" tells if it matters;
# "ahead" is that of a line of nginx's own before it.

my $sleep = $Test::Nginx::Util::TestNginxSleep;

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value(config => '') unless defined $block->config;
    $block->set_value(request => 'GET /') unless defined $block->request;

    my $emerg = $block->emerg;

    # an nginx that has ended has written its log
    $Test::Nginx::Util::TestNginxSleep = defined $emerg ? 0 : $sleep;

    return unless defined $emerg;

    chomp $emerg;

    # nginx looks variables up when the configuration is read to its end

    my $place = $emerg =~ /^unknown "\w+" variable$/
        ? '' : ' in /\S+/nginx\.conf:\d+';

    if (defined $block->place) {
        $place = $block->place =~ s/\s+\z//r;
        $place = " in /\\S+/\Q$place\E";
    }

    $block->set_value(must_die => 1);
    $block->set_value(grep_error_log => '[emerg]');
    my @ahead = defined $block->ahead ? ($block->ahead =~ s/\n\z//r) : ();

    $block->set_value(grep_error_log_out => "[emerg]\n" x (1 + @ahead));
    $block->set_value(error_log =>
        [map { qr/ \[emerg\] \d+#\d+: \Q$_\E$place$/ } @ahead, $emerg]);
});

# Where directives may not stand: the same for all, so the blocks are made.

my %arguments = (
    graph_policy                 => 'off',
    graph_policy_dry_run         => 'on',
    graph_policy_rule            => '131042 ignore',
    graph_policy_credential      => '$http_x',
    graph_policy_account         => '$http_x',
    graph_policy_phone           => '$http_x',
    graph_policy_send            => '$http_x',
    graph_policy_pause           => 'all',
    graph_policy_hold            => '1s',
    graph_policy_status          => '503',
    graph_policy_buffer_size     => '8k',
    graph_policy_accept_encoding => 'off',
    graph_policy_cooldown        => 'on',
    graph_policy_retry           => 'attempts=3',
    graph_policy_log_level       => 'info',
);

my @http_alone = (
    ['graph_policy_zone',      'zone=main:1m'],
    ['graph_policy_event_log', 'off'],
);

my @places = (
    ['outside http',              main_config => '%s'],
    ['in an upstream',            http_config => 'upstream u { server 127.0.0.1; %s }'],
    ['in an if of a server',      config => 'if ($http_x) { %s }'],
    ['in an if of a location',    config => 'location / { if ($http_x) { %s } }'],
    ['in a limit_except',         config => 'location / { limit_except GET { %s } }'],
);

my $blocks = do { local $/; <DATA> };
my $made   = '';

sub make_block {
    my ($directive, $arguments, $place, $section, $text) = @_;

    $made .= "\n\n=== $directive can't stand $place\n--- $section\n"
        . sprintf($text, "$directive $arguments;")
        . "\n--- emerg\n\"$directive\" directive is not allowed here\n";
}

for my $place (@places) {
    make_block($_, $arguments{$_}, @$place) for sort keys %arguments;
    make_block(@$_, @$place) for @http_alone;
}

for my $directive (@http_alone) {
    make_block(@$directive, @$_)
        for ['in a server', config => '%s'],
            ['in a location', config => 'location / { %s }'];
}

spec_string($blocks . $made);

# a refusal is three tests: nginx ends, with one message, and that is it
plan tests => 3 * (() = "$blocks$made" =~ /^--- emerg$/mg)
    + (() = $blocks =~ /^--- ahead$/mg)
    + (() = $blocks =~ /^--- response_body$/mg) * 2;

run_tests();

__DATA__

=== graph_policy_zone needs an argument
--- http_config
graph_policy_zone;
--- emerg
invalid number of arguments in "graph_policy_zone" directive


=== graph_policy_zone takes two arguments
--- http_config
graph_policy_zone zone=main:1m state=a b;
--- emerg
invalid number of arguments in "graph_policy_zone" directive


=== graph_policy_zone, a second argument that it doesn't know
--- http_config
graph_policy_zone zone=main:1m 2m;
--- emerg
invalid value "2m" in "graph_policy_zone" directive, it must be "state=FILE"


=== graph_policy_zone, "STATE=" isn't "state="
--- http_config
graph_policy_zone zone=main:1m STATE=a;
--- emerg
invalid value "STATE=a" in "graph_policy_zone" directive, it must be "state=FILE"


=== graph_policy_zone, a state file without a name
--- http_config
graph_policy_zone zone=main:1m state=;
--- emerg
invalid value "state=" in "graph_policy_zone" directive, it must be "state=FILE"


=== graph_policy_zone, the state file before the zone
--- http_config
graph_policy_zone state=a zone=main:1m;
--- emerg
invalid value "state=a" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE"


=== graph_policy_zone, a state file for two zones
--- http_config
graph_policy_zone zone=main:1m state=$TEST_NGINX_SERVER_ROOT/states;
graph_policy_zone zone=more:1m state=states;
--- emerg
invalid value "state=states" in "graph_policy_zone" directive, it must be "state=FILE" with a file of its own for each zone


=== graph_policy_zone, an empty argument
--- http_config
graph_policy_zone '';
--- emerg
invalid value "" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE"


=== graph_policy_zone without "zone="
--- http_config
graph_policy_zone main:1m;
--- emerg
invalid value "main:1m" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE"


=== graph_policy_zone, "ZONE=" isn't "zone="
--- http_config
graph_policy_zone ZONE=main:1m;
--- emerg
invalid value "ZONE=main:1m" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE"


=== graph_policy_zone with nothing behind "zone="
--- http_config
graph_policy_zone zone=;
--- emerg
invalid value "zone=" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE"


=== graph_policy_zone without a size
--- http_config
graph_policy_zone zone=main;
--- emerg
invalid value "zone=main" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE"


=== graph_policy_zone without a name
--- http_config
graph_policy_zone zone=:1m;
--- emerg
invalid value "zone=:1m" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE"


=== graph_policy_zone, an empty size
--- http_config
graph_policy_zone zone=main:;
--- emerg
invalid value "zone=main:" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE" of at least 32k


=== graph_policy_zone, a size that is no number
--- http_config
graph_policy_zone zone=main:big;
--- emerg
invalid value "zone=main:big" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE" of at least 32k


=== graph_policy_zone, a size of an unknown unit
--- http_config
graph_policy_zone zone=main:1t;
--- emerg
invalid value "zone=main:1t" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE" of at least 32k


=== graph_policy_zone, a negative size
--- http_config
graph_policy_zone zone=main:-1m;
--- emerg
invalid value "zone=main:-1m" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE" of at least 32k


=== graph_policy_zone, a size with something behind it
--- http_config
graph_policy_zone zone=main:1m:x;
--- emerg
invalid value "zone=main:1m:x" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE" of at least 32k


=== graph_policy_zone, a size that no machine has
--- http_config
graph_policy_zone zone=main:99999999999999999999m;
--- emerg
invalid value "zone=main:99999999999999999999m" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE" of at least 32k


=== graph_policy_zone, a size of zero
--- http_config
graph_policy_zone zone=main:0;
--- emerg
invalid value "zone=main:0" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE" of at least 32k


=== graph_policy_zone, too small
--- http_config
graph_policy_zone zone=main:31k;
--- emerg
invalid value "zone=main:31k" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE" of at least 32k


=== graph_policy_zone, too small by a byte
--- http_config
graph_policy_zone zone=main:32767;
--- emerg
invalid value "zone=main:32767" in "graph_policy_zone" directive, it must be "zone=NAME:SIZE" of at least 32k


=== a zone defined twice
--- http_config
graph_policy_zone zone=main:1m;
graph_policy_zone zone=main:1m;
--- emerg
duplicate zone "main" in "graph_policy_zone" directive, each zone must be defined once


=== a zone defined twice, with another size
--- http_config
graph_policy_zone zone=main:1m;
graph_policy_zone zone=main:2m;
--- emerg
the size 2097152 of shared memory zone "main" conflicts with already declared size 1048576


=== a zone that another module has
--- http_config
limit_req_zone $uri zone=main:1m rate=1r/s;
graph_policy_zone zone=main:1m;
--- emerg
the shared memory zone "main" is already declared for a different use


=== a zone that another module wants
--- http_config
graph_policy_zone zone=main:1m;
limit_req_zone $uri zone=main:1m rate=1r/s;
--- emerg
the shared memory zone "main" is already declared for a different use


=== graph_policy needs an argument
--- http_config
graph_policy_zone zone=main:1m;
--- config
graph_policy;
--- emerg
invalid number of arguments in "graph_policy" directive


=== graph_policy takes one argument
--- http_config
graph_policy_zone zone=main:1m;
--- config
graph_policy zone=main off;
--- emerg
invalid number of arguments in "graph_policy" directive


=== graph_policy, an empty argument
--- http_config
graph_policy_zone zone=main:1m;
--- config
graph_policy '';
--- emerg
invalid value "" in "graph_policy" directive, it must be "zone=NAME" or "off"


=== graph_policy can't be just "on"
--- http_config
graph_policy_zone zone=main:1m;
--- config
graph_policy on;
--- emerg
invalid value "on" in "graph_policy" directive, it must be "zone=NAME" or "off"


=== graph_policy, "OFF" isn't "off"
--- http_config
graph_policy_zone zone=main:1m;
--- config
graph_policy OFF;
--- emerg
invalid value "OFF" in "graph_policy" directive, it must be "zone=NAME" or "off"


=== graph_policy without "zone="
--- http_config
graph_policy_zone zone=main:1m;
--- config
graph_policy main;
--- emerg
invalid value "main" in "graph_policy" directive, it must be "zone=NAME" or "off"


=== graph_policy with nothing behind "zone="
--- http_config
graph_policy_zone zone=main:1m;
--- config
graph_policy zone=;
--- emerg
invalid value "zone=" in "graph_policy" directive, it must be "zone=NAME" or "off"


=== graph_policy with a zone that nobody defines
--- http_config
graph_policy_zone zone=main:1m;
--- config
graph_policy zone=other;
--- emerg
unknown zone "other" in "graph_policy" directive, it must be defined with "graph_policy_zone"


=== graph_policy without any zone defined
--- config
graph_policy zone=main;
--- emerg
unknown zone "main" in "graph_policy" directive, it must be defined with "graph_policy_zone"


=== graph_policy with a zone that nobody defines: the directive's line is told
--- config
location / {
    include ../html/policy.conf;
}
--- user_files
>>> policy.conf
graph_policy_hold 1s;
graph_policy zone=main;
graph_policy_status 503;
--- emerg
unknown zone "main" in "graph_policy" directive, it must be defined with "graph_policy_zone"
--- place
html/policy.conf:2


=== graph_policy with a zone that nobody defines, inherited: so it is
--- http_config
include ../html/policy.conf;
--- config
location / {
    graph_policy off;
}
--- user_files
>>> policy.conf

graph_policy zone=main;
--- emerg
unknown zone "main" in "graph_policy" directive, it must be defined with "graph_policy_zone"
--- place
html/policy.conf:2


=== graph_policy with the size of the zone
--- http_config
graph_policy_zone zone=main:1m;
--- config
graph_policy zone=main:1m;
--- emerg
unknown zone "main:1m" in "graph_policy" directive, it must be defined with "graph_policy_zone"


=== graph_policy with another module's zone
--- http_config
limit_req_zone $uri zone=main:1m rate=1r/s;
graph_policy zone=main;
--- emerg
the shared memory zone "main" is already declared for a different use


=== graph_policy twice
--- http_config
graph_policy_zone zone=main:1m;
--- config
graph_policy zone=main;
graph_policy zone=main;
--- emerg
"graph_policy" directive is duplicate


=== graph_policy on and off
--- http_config
graph_policy_zone zone=main:1m;
--- config
graph_policy zone=main;
graph_policy off;
--- emerg
"graph_policy" directive is duplicate


=== graph_policy off and on
--- http_config
graph_policy_zone zone=main:1m;
--- config
graph_policy off;
graph_policy zone=main;
--- emerg
"graph_policy" directive is duplicate


=== graph_policy_dry_run needs an argument
--- config
graph_policy_dry_run;
--- emerg
invalid number of arguments in "graph_policy_dry_run" directive


=== graph_policy_dry_run takes one argument
--- config
graph_policy_dry_run on off;
--- emerg
invalid number of arguments in "graph_policy_dry_run" directive


=== graph_policy_dry_run with a variable that isn't there
--- config
graph_policy_dry_run $nowhere;
--- emerg
unknown "nowhere" variable


=== graph_policy_dry_run with a broken variable
--- config
graph_policy_dry_run 10${percent;
--- emerg
the closing bracket in "percent" variable is missing


=== graph_policy_dry_run twice
--- config
graph_policy_dry_run on;
graph_policy_dry_run on;
--- emerg
"graph_policy_dry_run" directive is duplicate


=== graph_policy_dry_run off and on
--- config
graph_policy_dry_run off;
graph_policy_dry_run $arg_dry;
--- emerg
"graph_policy_dry_run" directive is duplicate


=== graph_policy_dry_run on and off
--- config
graph_policy_dry_run on;
graph_policy_dry_run off;
--- emerg
"graph_policy_dry_run" directive is duplicate


=== graph_policy_rule needs arguments
--- config
graph_policy_rule;
--- emerg
invalid number of arguments in "graph_policy_rule" directive


=== graph_policy_rule needs a category
--- config
graph_policy_rule 131042;
--- emerg
invalid number of arguments in "graph_policy_rule" directive


=== graph_policy_rule, no codes
--- config
graph_policy_rule '' fatal;
--- emerg
invalid value "" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, codes that aren't numbers
--- config
graph_policy_rule billing fatal;
--- emerg
invalid value "billing" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a comma and nothing else
--- config
graph_policy_rule , fatal;
--- emerg
invalid value "," in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a comma in front
--- config
graph_policy_rule ,131042 fatal;
--- emerg
invalid value ",131042" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a comma at the end
--- config
graph_policy_rule 131042, fatal;
--- emerg
invalid value "131042," in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, two commas
--- config
graph_policy_rule 131042,,190 fatal;
--- emerg
invalid value "131042,,190" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a space behind the comma
--- config
graph_policy_rule '131042, 190' fatal;
--- emerg
invalid value "131042, 190" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a good code and a bad one
--- config
graph_policy_rule 131042,x fatal;
--- emerg
invalid value "131042,x" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a negative code
--- config
graph_policy_rule -1 fatal;
--- emerg
invalid value "-1" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a code with a sign
--- config
graph_policy_rule +1 fatal;
--- emerg
invalid value "+1" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a hexadecimal code
--- config
graph_policy_rule 0x10 fatal;
--- emerg
invalid value "0x10" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a code with a fraction
--- config
graph_policy_rule 1.5 fatal;
--- emerg
invalid value "1.5" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a code that is too large
--- config
graph_policy_rule 9007199254740992 fatal;
--- emerg
invalid value "9007199254740992" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a range without an end
--- config
graph_policy_rule 200- fatal;
--- emerg
invalid value "200-" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a range from high to low
--- config
graph_policy_rule 299-200 fatal;
--- emerg
invalid value "299-200" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a range of three
--- config
graph_policy_rule 1-2-3 fatal;
--- emerg
invalid value "1-2-3" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a range with a subcode
--- config
graph_policy_rule 200-299/33 fatal;
--- emerg
invalid value "200-299/33" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a subcode without a code
--- config
graph_policy_rule /33 fatal;
--- emerg
invalid value "/33" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a slash without a subcode
--- config
graph_policy_rule 100/ fatal;
--- emerg
invalid value "100/" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, a subcode that is no number
--- config
graph_policy_rule 100/x fatal;
--- emerg
invalid value "100/x" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, two subcodes
--- config
graph_policy_rule 100/33/34 fatal;
--- emerg
invalid value "100/33/34" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, an asterisk for every code
--- config
graph_policy_rule * fatal;
--- emerg
invalid value "*" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, an asterisk for every subcode
--- config
graph_policy_rule 100/* fatal;
--- emerg
invalid value "100/*" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, asterisks for both
--- config
graph_policy_rule */* fatal;
--- emerg
invalid value "*/*" in "graph_policy_rule" directive, it must be codes like "131042", "200-299", "100/33", or "*/2494100", separated by commas


=== graph_policy_rule, an empty category
--- config
graph_policy_rule 1 '';
--- emerg
invalid value "" in "graph_policy_rule" directive, it must be "fatal", "temporary", "context-limited", "request", "unclassified", or "ignore"


=== graph_policy_rule, no such category
--- config
graph_policy_rule 1 retry;
--- emerg
invalid value "retry" in "graph_policy_rule" directive, it must be "fatal", "temporary", "context-limited", "request", "unclassified", or "ignore"


=== graph_policy_rule, "Fatal" isn't "fatal"
--- config
graph_policy_rule 1 Fatal;
--- emerg
invalid value "Fatal" in "graph_policy_rule" directive, it must be "fatal", "temporary", "context-limited", "request", "unclassified", or "ignore"


=== graph_policy_rule, a parameter in place of the category
--- config
graph_policy_rule 1 scope=phone fatal;
--- emerg
invalid value "scope=phone" in "graph_policy_rule" directive, it must be "fatal", "temporary", "context-limited", "request", "unclassified", or "ignore"


=== graph_policy_rule, codes separated by a space
--- config
graph_policy_rule 1 2 fatal;
--- emerg
invalid value "2" in "graph_policy_rule" directive, it must be "fatal", "temporary", "context-limited", "request", "unclassified", or "ignore"


=== graph_policy_rule, no such parameter
--- config
graph_policy_rule 1 fatal phone;
--- emerg
invalid value "phone" in "graph_policy_rule" directive, it must be "scope=", "reason=", "wait=", "hold=", "retry=on", "retry=off", "outcome=refused", "outcome=unknown", or "dry_run=on"


=== graph_policy_rule, an empty parameter
--- config
graph_policy_rule 1 fatal '';
--- emerg
invalid value "" in "graph_policy_rule" directive, it must be "scope=", "reason=", "wait=", "hold=", "retry=on", "retry=off", "outcome=refused", "outcome=unknown", or "dry_run=on"


=== graph_policy_rule, a parameter without its value
--- config
graph_policy_rule 1 fatal scope;
--- emerg
invalid value "scope" in "graph_policy_rule" directive, it must be "scope=", "reason=", "wait=", "hold=", "retry=on", "retry=off", "outcome=refused", "outcome=unknown", or "dry_run=on"


=== graph_policy_rule, retry can only be on or off
--- config
graph_policy_rule 1 temporary retry=yes;
--- emerg
invalid value "retry=yes" in "graph_policy_rule" directive, it must be "retry=on" or "retry=off"


=== graph_policy_rule, an empty retry
--- config
graph_policy_rule 1 temporary retry=;
--- emerg
invalid value "retry=" in "graph_policy_rule" directive, it must be "retry=on" or "retry=off"


=== graph_policy_rule, only what is temporary is sent again
--- config
graph_policy_rule 1 fatal retry=on;
--- emerg
"retry=on" in "graph_policy_rule" directive needs the category "temporary", it has "fatal"


=== graph_policy_rule, what is ignored isn't sent again
--- config
graph_policy_rule 1 ignore scope=phone retry=on;
--- emerg
"retry=on" in "graph_policy_rule" directive needs the category "temporary", it has "ignore"


=== graph_policy_rule, no such outcome
--- config
graph_policy_rule 1 temporary outcome=sent;
--- emerg
invalid value "outcome=sent" in "graph_policy_rule" directive, it must be "outcome=refused" or "outcome=unknown"


=== graph_policy_rule, an empty outcome
--- config
graph_policy_rule 1 temporary outcome=;
--- emerg
invalid value "outcome=" in "graph_policy_rule" directive, it must be "outcome=refused" or "outcome=unknown"


=== graph_policy_rule, an empty wait
--- config
graph_policy_rule 1 temporary wait=;
--- emerg
invalid value "wait=" in "graph_policy_rule" directive, it must be "wait=TIME", a time from "1ms" to "24h"


=== graph_policy_rule, a wait of nothing
--- config
graph_policy_rule 1 temporary wait=0;
--- emerg
invalid value "wait=0" in "graph_policy_rule" directive, it must be "wait=TIME", a time from "1ms" to "24h"


=== graph_policy_rule, a wait that is no time
--- config
graph_policy_rule 1 temporary wait=long;
--- emerg
invalid value "wait=long" in "graph_policy_rule" directive, it must be "wait=TIME", a time from "1ms" to "24h"


=== graph_policy_rule, a wait that is too long
--- config
graph_policy_rule 1 temporary wait=25h;
--- emerg
invalid value "wait=25h" in "graph_policy_rule" directive, it must be "wait=TIME", a time from "1ms" to "24h"


=== graph_policy_rule, no such scope
--- config
graph_policy_rule 1 fatal scope=world;
--- emerg
invalid value "scope=world" in "graph_policy_rule" directive, it must be "scope=" with "credential", "account", "phone", "conversation", or "request"


=== graph_policy_rule, an empty scope
--- config
graph_policy_rule 1 fatal scope=;
--- emerg
invalid value "scope=" in "graph_policy_rule" directive, it must be "scope=" with "credential", "account", "phone", "conversation", or "request"


=== graph_policy_rule, "Phone" isn't "phone"
--- config
graph_policy_rule 1 fatal scope=Phone;
--- emerg
invalid value "scope=Phone" in "graph_policy_rule" directive, it must be "scope=" with "credential", "account", "phone", "conversation", or "request"


=== graph_policy_rule, no such reason
--- config
graph_policy_rule 1 fatal reason=money;
--- emerg
invalid value "reason=money" in "graph_policy_rule" directive, it must be "reason=" with "token-invalid", "account-restricted", "billing", "phone-disconnected", "rate-limit", "pair-rate-limit", "maintenance", "server-error", "service-unavailable", "window-expired", "undeliverable", "spam-quality", "media-download", "media-upload", or "other"


=== graph_policy_rule, an empty reason
--- config
graph_policy_rule 1 fatal reason=;
--- emerg
invalid value "reason=" in "graph_policy_rule" directive, it must be "reason=" with "token-invalid", "account-restricted", "billing", "phone-disconnected", "rate-limit", "pair-rate-limit", "maintenance", "server-error", "service-unavailable", "window-expired", "undeliverable", "spam-quality", "media-download", "media-upload", or "other"


=== graph_policy_rule, a reason that is always derived
--- config
graph_policy_rule 1 fatal reason=phones-disconnected;
--- emerg
invalid value "reason=phones-disconnected" in "graph_policy_rule" directive, it must be "reason=" with "token-invalid", "account-restricted", "billing", "phone-disconnected", "rate-limit", "pair-rate-limit", "maintenance", "server-error", "service-unavailable", "window-expired", "undeliverable", "spam-quality", "media-download", "media-upload", or "other"


=== graph_policy_rule, an empty hold
--- config
graph_policy_rule 1 fatal hold=;
--- emerg
invalid value "hold=" in "graph_policy_rule" directive, it must be "hold=TIME", a time from "1ms" to "24h"


=== graph_policy_rule, a hold of nothing
--- config
graph_policy_rule 1 fatal hold=0;
--- emerg
invalid value "hold=0" in "graph_policy_rule" directive, it must be "hold=TIME", a time from "1ms" to "24h"


=== graph_policy_rule, a hold that is no time
--- config
graph_policy_rule 1 fatal hold=1x;
--- emerg
invalid value "hold=1x" in "graph_policy_rule" directive, it must be "hold=TIME", a time from "1ms" to "24h"


=== graph_policy_rule, a hold that is too long
--- config
graph_policy_rule 1 fatal hold=25h;
--- emerg
invalid value "hold=25h" in "graph_policy_rule" directive, it must be "hold=TIME", a time from "1ms" to "24h"


=== graph_policy_rule, dry_run can only be on
--- config
graph_policy_rule 1 fatal dry_run=off;
--- emerg
invalid value "dry_run=off" in "graph_policy_rule" directive, it must be "dry_run=on"


=== graph_policy_rule, dry_run is no flag
--- config
graph_policy_rule 1 fatal dry_run;
--- emerg
invalid value "dry_run" in "graph_policy_rule" directive, it must be "scope=", "reason=", "wait=", "hold=", "retry=on", "retry=off", "outcome=refused", "outcome=unknown", or "dry_run=on"


=== graph_policy_rule, a good parameter and a bad one
--- config
graph_policy_rule 1 fatal scope=phone hold=1x;
--- emerg
invalid value "hold=1x" in "graph_policy_rule" directive, it must be "hold=TIME", a time from "1ms" to "24h"


=== graph_policy_rule, two scopes
--- config
graph_policy_rule 1 fatal scope=phone scope=account;
--- emerg
duplicate parameter "scope=" in "graph_policy_rule" directive


=== graph_policy_rule, two scopes that are the same
--- config
graph_policy_rule 1 fatal scope=phone scope=phone;
--- emerg
duplicate parameter "scope=" in "graph_policy_rule" directive


=== graph_policy_rule, two reasons
--- config
graph_policy_rule 1 fatal reason=billing reason=other;
--- emerg
duplicate parameter "reason=" in "graph_policy_rule" directive


=== graph_policy_rule, two waits
--- config
graph_policy_rule 1 temporary wait=1s wait=2s;
--- emerg
duplicate parameter "wait=" in "graph_policy_rule" directive


=== graph_policy_rule, two holds, apart
--- config
graph_policy_rule 1 fatal hold=1s scope=phone hold=2s;
--- emerg
duplicate parameter "hold=" in "graph_policy_rule" directive


=== graph_policy_rule, retry on and off
--- config
graph_policy_rule 1 temporary retry=on retry=off;
--- emerg
duplicate parameter "retry=" in "graph_policy_rule" directive


=== graph_policy_rule, two outcomes
--- config
graph_policy_rule 1 temporary outcome=refused outcome=unknown;
--- emerg
duplicate parameter "outcome=" in "graph_policy_rule" directive


=== graph_policy_rule, dry_run twice
--- config
graph_policy_rule 1 fatal dry_run=on dry_run=on;
--- emerg
duplicate parameter "dry_run=" in "graph_policy_rule" directive


=== graph_policy_rule, a duplicate that is wrong, too
--- config
graph_policy_rule 1 fatal scope=phone scope=world;
--- emerg
duplicate parameter "scope=" in "graph_policy_rule" directive


=== graph_policy_credential needs an argument
--- config
graph_policy_credential;
--- emerg
invalid number of arguments in "graph_policy_credential" directive


=== graph_policy_credential takes one argument
--- config
graph_policy_credential $http_x $http_y;
--- emerg
invalid number of arguments in "graph_policy_credential" directive


=== graph_policy_credential with a variable that isn't there
--- config
graph_policy_credential $nowhere;
--- emerg
unknown "nowhere" variable


=== graph_policy_credential twice
--- config
graph_policy_credential $http_x;
graph_policy_credential $http_y;
--- emerg
"graph_policy_credential" directive is duplicate


=== graph_policy_account needs an argument
--- config
graph_policy_account;
--- emerg
invalid number of arguments in "graph_policy_account" directive


=== graph_policy_account takes one argument
--- config
graph_policy_account $http_x $http_y;
--- emerg
invalid number of arguments in "graph_policy_account" directive


=== graph_policy_account with a variable that isn't there
--- config
graph_policy_account $nowhere;
--- emerg
unknown "nowhere" variable


=== graph_policy_account twice
--- config
graph_policy_account $http_x;
graph_policy_account $http_y;
--- emerg
"graph_policy_account" directive is duplicate


=== graph_policy_phone needs an argument
--- config
graph_policy_phone;
--- emerg
invalid number of arguments in "graph_policy_phone" directive


=== graph_policy_phone takes one argument
--- config
graph_policy_phone $http_x $http_y;
--- emerg
invalid number of arguments in "graph_policy_phone" directive


=== graph_policy_phone with a variable that isn't there
--- config
graph_policy_phone $nowhere;
--- emerg
unknown "nowhere" variable


=== graph_policy_phone twice
--- config
graph_policy_phone $http_x;
graph_policy_phone $http_y;
--- emerg
"graph_policy_phone" directive is duplicate


=== graph_policy_send needs an argument
--- config
graph_policy_send;
--- emerg
invalid number of arguments in "graph_policy_send" directive


=== graph_policy_send with a variable that isn't there
--- config
graph_policy_send $arg_send $nowhere;
--- emerg
unknown "nowhere" variable


=== graph_policy_send twice
--- config
graph_policy_send $http_x;
graph_policy_send $http_y;
--- emerg
"graph_policy_send" directive is duplicate


=== graph_policy_send takes no phone, which depends on it
--- config
graph_policy_send $arg_send $graph_policy_phone;
--- emerg
invalid value "$graph_policy_phone" in "graph_policy_send" directive, it must be made without "$graph_policy_phone", "$graph_policy_account", and "$graph_policy_conversation", which depend on it


=== graph_policy_send takes no account
--- config
graph_policy_send "${graph_policy_account}1";
--- emerg
invalid value "${graph_policy_account}1" in "graph_policy_send" directive, it must be made without "$graph_policy_phone", "$graph_policy_account", and "$graph_policy_conversation", which depend on it


=== graph_policy_send takes no conversation, however it is spelt
--- config
graph_policy_send a$Graph_Policy_Conversation;
--- emerg
invalid value "a$Graph_Policy_Conversation" in "graph_policy_send" directive, it must be made without "$graph_policy_phone", "$graph_policy_account", and "$graph_policy_conversation", which depend on it


=== graph_policy_phone takes no phone
--- config
graph_policy_phone $graph_policy_phone;
--- emerg
invalid value "$graph_policy_phone" in "graph_policy_phone" directive, it must be made without "$graph_policy_phone", "$graph_policy_account", and "$graph_policy_conversation", which depend on it


=== graph_policy_phone takes no account
--- config
graph_policy_phone $graph_policy_account;
--- emerg
invalid value "$graph_policy_account" in "graph_policy_phone" directive, it must be made without "$graph_policy_phone", "$graph_policy_account", and "$graph_policy_conversation", which depend on it


=== graph_policy_account takes no account
--- config
graph_policy_account $graph_policy_account;
--- emerg
invalid value "$graph_policy_account" in "graph_policy_account" directive, it must be made without "$graph_policy_account", which depends on it


=== graph_policy_credential takes no credential
--- config
graph_policy_credential $graph_policy_credential;
--- emerg
invalid value "$graph_policy_credential" in "graph_policy_credential" directive, it must be made without "$graph_policy_credential", which depends on it


=== what goes round in no circle is taken
--- http_config
graph_policy_zone zone=main:1m;
--- config
location /a {
    graph_policy            zone=main;
    graph_policy_send       $graph_policy_credential$graph_policy_request;
    graph_policy_phone      $graph_policy_credential;
    graph_policy_account    $graph_policy_credential;
    graph_policy_dry_run    $graph_policy_phone;
}
location /b {
    graph_policy            zone=main;
    graph_policy_account    $graph_policy_phone;
    graph_policy_credential $graph_policy_phone;
}
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== graph_policy_pause needs an argument
--- config
graph_policy_pause;
--- emerg
invalid number of arguments in "graph_policy_pause" directive


=== graph_policy_pause takes one argument
--- config
graph_policy_pause sends all;
--- emerg
invalid number of arguments in "graph_policy_pause" directive


=== graph_policy_pause, an empty argument
--- config
graph_policy_pause '';
--- emerg
invalid value "" in "graph_policy_pause" directive, it must be "sends" or "all"


=== graph_policy_pause, no such word
--- config
graph_policy_pause reads;
--- emerg
invalid value "reads" in "graph_policy_pause" directive, it must be "sends" or "all"


=== graph_policy_pause, "off" isn't one of its words
--- config
graph_policy_pause off;
--- emerg
invalid value "off" in "graph_policy_pause" directive, it must be "sends" or "all"


=== graph_policy_pause, "ALL" isn't "all"
--- config
graph_policy_pause ALL;
--- emerg
invalid value "ALL" in "graph_policy_pause" directive, it must be "sends" or "all"


=== graph_policy_pause twice
--- config
graph_policy_pause sends;
graph_policy_pause all;
--- emerg
"graph_policy_pause" directive is duplicate


=== graph_policy_hold needs an argument
--- config
graph_policy_hold;
--- emerg
invalid number of arguments in "graph_policy_hold" directive


=== graph_policy_hold takes three arguments at most
--- config
graph_policy_hold 1s max=2s confirm=3s 4s;
--- emerg
invalid number of arguments in "graph_policy_hold" directive


=== graph_policy_hold, an empty argument
--- config
graph_policy_hold '';
--- emerg
invalid value "" in "graph_policy_hold" directive, it must be a time from "1ms" to "24h"


=== graph_policy_hold of nothing
--- config
graph_policy_hold 0;
--- emerg
invalid value "0" in "graph_policy_hold" directive, it must be a time from "1ms" to "24h"


=== graph_policy_hold of no seconds
--- config
graph_policy_hold 0s;
--- emerg
invalid value "0s" in "graph_policy_hold" directive, it must be a time from "1ms" to "24h"


=== graph_policy_hold, a negative time
--- config
graph_policy_hold -1s;
--- emerg
invalid value "-1s" in "graph_policy_hold" directive, it must be a time from "1ms" to "24h"


=== graph_policy_hold, no time
--- config
graph_policy_hold long;
--- emerg
invalid value "long" in "graph_policy_hold" directive, it must be a time from "1ms" to "24h"


=== graph_policy_hold, a time of an unknown unit
--- config
graph_policy_hold 1x;
--- emerg
invalid value "1x" in "graph_policy_hold" directive, it must be a time from "1ms" to "24h"


=== graph_policy_hold, too long
--- config
graph_policy_hold 25h;
--- emerg
invalid value "25h" in "graph_policy_hold" directive, it must be a time from "1ms" to "24h"


=== graph_policy_hold, too long by a second
--- config
graph_policy_hold 86401s;
--- emerg
invalid value "86401s" in "graph_policy_hold" directive, it must be a time from "1ms" to "24h"


=== graph_policy_hold, a time without end
--- config
graph_policy_hold 99999999999999999999s;
--- emerg
invalid value "99999999999999999999s" in "graph_policy_hold" directive, it must be a time from "1ms" to "24h"


=== graph_policy_hold with the max alone
--- config
graph_policy_hold max=1m;
--- emerg
invalid value "max=1m" in "graph_policy_hold" directive, it must be a time from "1ms" to "24h"


=== graph_policy_hold with the max in front
--- config
graph_policy_hold max=1m 10s;
--- emerg
invalid value "max=1m" in "graph_policy_hold" directive, it must be a time from "1ms" to "24h"


=== graph_policy_hold, the max needs its name
--- config
graph_policy_hold 10s 1m;
--- emerg
invalid value "1m" in "graph_policy_hold" directive, it must be "max=TIME" or "confirm=TIME", a time from "1ms" to "24h"


=== graph_policy_hold has no min
--- config
graph_policy_hold 10s min=1s;
--- emerg
invalid value "min=1s" in "graph_policy_hold" directive, it must be "max=TIME" or "confirm=TIME", a time from "1ms" to "24h"


=== graph_policy_hold, an empty max
--- config
graph_policy_hold 10s max=;
--- emerg
invalid value "max=" in "graph_policy_hold" directive, it must be "max=TIME", a time from "1ms" to "24h"


=== graph_policy_hold, a max of nothing
--- config
graph_policy_hold 10s max=0;
--- emerg
invalid value "max=0" in "graph_policy_hold" directive, it must be "max=TIME", a time from "1ms" to "24h"


=== graph_policy_hold, a max that is no time
--- config
graph_policy_hold 10s max=long;
--- emerg
invalid value "max=long" in "graph_policy_hold" directive, it must be "max=TIME", a time from "1ms" to "24h"


=== graph_policy_hold, a max that is too long
--- config
graph_policy_hold 10s max=25h;
--- emerg
invalid value "max=25h" in "graph_policy_hold" directive, it must be "max=TIME", a time from "1ms" to "24h"


=== graph_policy_hold, a max below the hold
--- config
graph_policy_hold 10s max=9999ms;
--- emerg
invalid value "max=9999ms" in "graph_policy_hold" directive, it must be not less than the hold


=== graph_policy_hold, two maxima
--- config
graph_policy_hold 10s max=1m max=2m;
--- emerg
duplicate parameter "max=" in "graph_policy_hold" directive


=== graph_policy_hold, an empty time to confirm
--- config
graph_policy_hold 10s confirm=;
--- emerg
invalid value "confirm=" in "graph_policy_hold" directive, it must be "confirm=TIME", a time from "1ms" to "24h"


=== graph_policy_hold, no time to confirm
--- config
graph_policy_hold 10s max=1m confirm=0;
--- emerg
invalid value "confirm=0" in "graph_policy_hold" directive, it must be "confirm=TIME", a time from "1ms" to "24h"


=== graph_policy_hold, too long a time to confirm
--- config
graph_policy_hold 10s confirm=25h max=1m;
--- emerg
invalid value "confirm=25h" in "graph_policy_hold" directive, it must be "confirm=TIME", a time from "1ms" to "24h"


=== graph_policy_hold, two times to confirm
--- config
graph_policy_hold 10s confirm=1s confirm=1s;
--- emerg
duplicate parameter "confirm=" in "graph_policy_hold" directive


=== graph_policy_hold twice
--- config
graph_policy_hold 10s;
graph_policy_hold 10s max=1m;
--- emerg
"graph_policy_hold" directive is duplicate


=== graph_policy_status needs an argument
--- config
graph_policy_status;
--- emerg
invalid number of arguments in "graph_policy_status" directive


=== graph_policy_status takes one argument
--- config
graph_policy_status 400 500;
--- emerg
invalid number of arguments in "graph_policy_status" directive


=== graph_policy_status, an empty argument
--- config
graph_policy_status '';
--- emerg
invalid value "" in "graph_policy_status" directive, it must be "upstream" or a status between 400 and 599


=== graph_policy_status, no such word
--- config
graph_policy_status on;
--- emerg
invalid value "on" in "graph_policy_status" directive, it must be "upstream" or a status between 400 and 599


=== graph_policy_status, "UPSTREAM" isn't "upstream"
--- config
graph_policy_status UPSTREAM;
--- emerg
invalid value "UPSTREAM" in "graph_policy_status" directive, it must be "upstream" or a status between 400 and 599


=== graph_policy_status, a status that is no error
--- config
graph_policy_status 200;
--- emerg
invalid value "200" in "graph_policy_status" directive, it must be "upstream" or a status between 400 and 599


=== graph_policy_status, just below
--- config
graph_policy_status 399;
--- emerg
invalid value "399" in "graph_policy_status" directive, it must be "upstream" or a status between 400 and 599


=== graph_policy_status, just above
--- config
graph_policy_status 600;
--- emerg
invalid value "600" in "graph_policy_status" directive, it must be "upstream" or a status between 400 and 599


=== graph_policy_status, a negative status
--- config
graph_policy_status -400;
--- emerg
invalid value "-400" in "graph_policy_status" directive, it must be "upstream" or a status between 400 and 599


=== graph_policy_status, a number and more
--- config
graph_policy_status 503x;
--- emerg
invalid value "503x" in "graph_policy_status" directive, it must be "upstream" or a status between 400 and 599


=== graph_policy_status, a number without end
--- config
graph_policy_status 99999999999999999999;
--- emerg
invalid value "99999999999999999999" in "graph_policy_status" directive, it must be "upstream" or a status between 400 and 599


=== graph_policy_status can't be a variable
--- config
graph_policy_status $arg_status;
--- emerg
invalid value "$arg_status" in "graph_policy_status" directive, it must be "upstream" or a status between 400 and 599


=== graph_policy_status twice
--- config
graph_policy_status 503;
graph_policy_status upstream;
--- emerg
"graph_policy_status" directive is duplicate


=== graph_policy_status twice, "upstream" first
--- config
graph_policy_status upstream;
graph_policy_status 503;
--- emerg
"graph_policy_status" directive is duplicate


=== graph_policy_buffer_size needs an argument
--- config
graph_policy_buffer_size;
--- emerg
invalid number of arguments in "graph_policy_buffer_size" directive


=== graph_policy_buffer_size takes one argument
--- config
graph_policy_buffer_size 4 8k;
--- emerg
invalid number of arguments in "graph_policy_buffer_size" directive


=== graph_policy_buffer_size, an empty argument
--- config
graph_policy_buffer_size '';
--- emerg
invalid value "" in "graph_policy_buffer_size" directive, it must be a size from "1k" to "16m"


=== graph_policy_buffer_size, no size
--- config
graph_policy_buffer_size big;
--- emerg
invalid value "big" in "graph_policy_buffer_size" directive, it must be a size from "1k" to "16m"


=== graph_policy_buffer_size of nothing
--- config
graph_policy_buffer_size 0;
--- emerg
invalid value "0" in "graph_policy_buffer_size" directive, it must be a size from "1k" to "16m"


=== graph_policy_buffer_size, a negative size
--- config
graph_policy_buffer_size -1k;
--- emerg
invalid value "-1k" in "graph_policy_buffer_size" directive, it must be a size from "1k" to "16m"


=== graph_policy_buffer_size, too small by a byte
--- config
graph_policy_buffer_size 1023;
--- emerg
invalid value "1023" in "graph_policy_buffer_size" directive, it must be a size from "1k" to "16m"


=== graph_policy_buffer_size, too large by a byte
--- config
graph_policy_buffer_size 16777217;
--- emerg
invalid value "16777217" in "graph_policy_buffer_size" directive, it must be a size from "1k" to "16m"


=== graph_policy_buffer_size in an unknown unit
--- config
graph_policy_buffer_size 1g;
--- emerg
invalid value "1g" in "graph_policy_buffer_size" directive, it must be a size from "1k" to "16m"


=== graph_policy_buffer_size twice
--- config
graph_policy_buffer_size 8k;
graph_policy_buffer_size 8k;
--- emerg
"graph_policy_buffer_size" directive is duplicate


=== graph_policy_accept_encoding needs an argument
--- config
graph_policy_accept_encoding;
--- emerg
invalid number of arguments in "graph_policy_accept_encoding" directive


=== graph_policy_accept_encoding takes one argument
--- config
graph_policy_accept_encoding on off;
--- emerg
invalid number of arguments in "graph_policy_accept_encoding" directive


=== graph_policy_accept_encoding is no list of codings
--- config
graph_policy_accept_encoding gzip;
--- emerg
invalid value "gzip" in "graph_policy_accept_encoding" directive, it must be "on" or "off"


=== graph_policy_accept_encoding, an empty argument
--- config
graph_policy_accept_encoding '';
--- emerg
invalid value "" in "graph_policy_accept_encoding" directive, it must be "on" or "off"


=== graph_policy_accept_encoding twice
--- config
graph_policy_accept_encoding on;
graph_policy_accept_encoding off;
--- emerg
"graph_policy_accept_encoding" directive is duplicate


=== graph_policy_cooldown needs an argument
--- config
graph_policy_cooldown;
--- emerg
invalid number of arguments in "graph_policy_cooldown" directive


=== graph_policy_cooldown takes one argument
--- config
graph_policy_cooldown on off;
--- emerg
invalid number of arguments in "graph_policy_cooldown" directive


=== graph_policy_cooldown, an empty argument
--- config
graph_policy_cooldown '';
--- emerg
invalid value "" in "graph_policy_cooldown" directive, it must be "on" or "off"


=== graph_policy_cooldown is no time
--- config
graph_policy_cooldown 1m;
--- emerg
invalid value "1m" in "graph_policy_cooldown" directive, it must be "on" or "off"


=== graph_policy_cooldown twice
--- config
graph_policy_cooldown on;
graph_policy_cooldown off;
--- emerg
"graph_policy_cooldown" directive is duplicate


=== graph_policy_retry needs an argument
--- config
graph_policy_retry;
--- emerg
invalid number of arguments in "graph_policy_retry" directive


=== graph_policy_retry, an empty argument
--- config
graph_policy_retry '';
--- emerg
invalid value "" in "graph_policy_retry" directive, it must be "off", or "attempts=" of 2 to 20, "base=", "max=", "deadline=" of 1ms to 1h, "factor=" of 1 to 10, "budget=" of 0% to 100%, "budget_min=" of 0 to 100000, or "unknown=" of 0 to 19


=== graph_policy_retry can't be just "on"
--- config
graph_policy_retry on;
--- emerg
invalid value "on" in "graph_policy_retry" directive, it must be "off", or "attempts=" of 2 to 20, "base=", "max=", "deadline=" of 1ms to 1h, "factor=" of 1 to 10, "budget=" of 0% to 100%, "budget_min=" of 0 to 100000, or "unknown=" of 0 to 19


=== graph_policy_retry, "off" stands alone
--- config
graph_policy_retry off attempts=3;
--- emerg
invalid value "off" in "graph_policy_retry" directive, it must be "off", or "attempts=" of 2 to 20, "base=", "max=", "deadline=" of 1ms to 1h, "factor=" of 1 to 10, "budget=" of 0% to 100%, "budget_min=" of 0 to 100000, or "unknown=" of 0 to 19


=== graph_policy_retry, "off" stands alone, at the end
--- config
graph_policy_retry attempts=3 off;
--- emerg
invalid value "off" in "graph_policy_retry" directive, it must be "off", or "attempts=" of 2 to 20, "base=", "max=", "deadline=" of 1ms to 1h, "factor=" of 1 to 10, "budget=" of 0% to 100%, "budget_min=" of 0 to 100000, or "unknown=" of 0 to 19


=== graph_policy_retry, a number without its name
--- config
graph_policy_retry 3;
--- emerg
invalid value "3" in "graph_policy_retry" directive, it must be "off", or "attempts=" of 2 to 20, "base=", "max=", "deadline=" of 1ms to 1h, "factor=" of 1 to 10, "budget=" of 0% to 100%, "budget_min=" of 0 to 100000, or "unknown=" of 0 to 19


=== graph_policy_retry, a name without its value
--- config
graph_policy_retry attempts;
--- emerg
invalid value "attempts" in "graph_policy_retry" directive, it must be "off", or "attempts=" of 2 to 20, "base=", "max=", "deadline=" of 1ms to 1h, "factor=" of 1 to 10, "budget=" of 0% to 100%, "budget_min=" of 0 to 100000, or "unknown=" of 0 to 19


=== graph_policy_retry, a good parameter and a bad one
--- config
graph_policy_retry attempts=3 base=1x;
--- emerg
invalid value "base=1x" in "graph_policy_retry" directive, it must be "base=" of 1ms to 1h


=== graph_policy_retry, no such parameter
--- config
graph_policy_retry attempts=3 jitter=1;
--- emerg
invalid value "jitter=1" in "graph_policy_retry" directive, it must be "off", or "attempts=" of 2 to 20, "base=", "max=", "deadline=" of 1ms to 1h, "factor=" of 1 to 10, "budget=" of 0% to 100%, "budget_min=" of 0 to 100000, or "unknown=" of 0 to 19


=== graph_policy_retry, no attempts
--- config
graph_policy_retry attempts=;
--- emerg
invalid value "attempts=" in "graph_policy_retry" directive, it must be "attempts=" of 2 to 20


=== graph_policy_retry, one attempt is no retry
--- config
graph_policy_retry attempts=1;
--- emerg
invalid value "attempts=1" in "graph_policy_retry" directive, it must be "attempts=" of 2 to 20


=== graph_policy_retry, too many attempts
--- config
graph_policy_retry attempts=21;
--- emerg
invalid value "attempts=21" in "graph_policy_retry" directive, it must be "attempts=" of 2 to 20


=== graph_policy_retry, attempts that are no number
--- config
graph_policy_retry attempts=many;
--- emerg
invalid value "attempts=many" in "graph_policy_retry" directive, it must be "attempts=" of 2 to 20


=== graph_policy_retry, an empty base
--- config
graph_policy_retry base=;
--- emerg
invalid value "base=" in "graph_policy_retry" directive, it must be "base=" of 1ms to 1h


=== graph_policy_retry, a base of nothing
--- config
graph_policy_retry attempts=3 base=0;
--- emerg
invalid value "base=0" in "graph_policy_retry" directive, it must be "base=" of 1ms to 1h


=== graph_policy_retry, a base that is too long
--- config
graph_policy_retry attempts=3 base=61m;
--- emerg
invalid value "base=61m" in "graph_policy_retry" directive, it must be "base=" of 1ms to 1h


=== graph_policy_retry, a factor of nothing
--- config
graph_policy_retry attempts=3 factor=0;
--- emerg
invalid value "factor=0" in "graph_policy_retry" directive, it must be "factor=" of 1 to 10


=== graph_policy_retry, a factor with a fraction
--- config
graph_policy_retry attempts=3 factor=1.5;
--- emerg
invalid value "factor=1.5" in "graph_policy_retry" directive, it must be "factor=" of 1 to 10


=== graph_policy_retry, a factor that is too large
--- config
graph_policy_retry attempts=3 factor=11;
--- emerg
invalid value "factor=11" in "graph_policy_retry" directive, it must be "factor=" of 1 to 10


=== graph_policy_retry, a max of nothing
--- config
graph_policy_retry attempts=3 max=0;
--- emerg
invalid value "max=0" in "graph_policy_retry" directive, it must be "max=" of 1ms to 1h


=== graph_policy_retry, a max that is too long
--- config
graph_policy_retry attempts=3 max=61m;
--- emerg
invalid value "max=61m" in "graph_policy_retry" directive, it must be "max=" of 1ms to 1h


=== graph_policy_retry, a deadline of nothing
--- config
graph_policy_retry attempts=3 deadline=0;
--- emerg
invalid value "deadline=0" in "graph_policy_retry" directive, it must be "deadline=" of 1ms to 1h


=== graph_policy_retry, a deadline that is too long
--- config
graph_policy_retry attempts=3 deadline=61m;
--- emerg
invalid value "deadline=61m" in "graph_policy_retry" directive, it must be "deadline=" of 1ms to 1h


=== graph_policy_retry, a deadline that is no time
--- config
graph_policy_retry attempts=3 deadline=soon;
--- emerg
invalid value "deadline=soon" in "graph_policy_retry" directive, it must be "deadline=" of 1ms to 1h


=== graph_policy_retry, an empty budget
--- config
graph_policy_retry budget=;
--- emerg
invalid value "budget=" in "graph_policy_retry" directive, it must be "budget=" of 0% to 100%


=== graph_policy_retry, a budget without its sign
--- config
graph_policy_retry attempts=3 budget=20;
--- emerg
invalid value "budget=20" in "graph_policy_retry" directive, it must be "budget=" of 0% to 100%


=== graph_policy_retry, a budget of a sign alone
--- config
graph_policy_retry attempts=3 budget=%;
--- emerg
invalid value "budget=%" in "graph_policy_retry" directive, it must be "budget=" of 0% to 100%


=== graph_policy_retry, a budget of more than all
--- config
graph_policy_retry attempts=3 budget=101%;
--- emerg
invalid value "budget=101%" in "graph_policy_retry" directive, it must be "budget=" of 0% to 100%


=== graph_policy_retry, a budget_min that is no number
--- config
graph_policy_retry attempts=3 budget_min=few;
--- emerg
invalid value "budget_min=few" in "graph_policy_retry" directive, it must be "budget_min=" of 0 to 100000


=== graph_policy_retry, a budget_min that is too large
--- config
graph_policy_retry attempts=3 budget_min=100001;
--- emerg
invalid value "budget_min=100001" in "graph_policy_retry" directive, it must be "budget_min=" of 0 to 100000


=== graph_policy_retry, more unknown outcomes than attempts can be
--- config
graph_policy_retry attempts=3 unknown=20;
--- emerg
invalid value "unknown=20" in "graph_policy_retry" directive, it must be "unknown=" of 0 to 19


=== graph_policy_retry twice
--- config
graph_policy_retry off;
graph_policy_retry attempts=3;
--- emerg
"graph_policy_retry" directive is duplicate


=== graph_policy_retry twice, "off" at last
--- config
graph_policy_retry attempts=3;
graph_policy_retry off;
--- emerg
"graph_policy_retry" directive is duplicate


=== graph_policy_log_level needs an argument
--- config
graph_policy_log_level;
--- emerg
invalid number of arguments in "graph_policy_log_level" directive


=== graph_policy_log_level takes one argument
--- config
graph_policy_log_level info warn;
--- emerg
invalid number of arguments in "graph_policy_log_level" directive


=== graph_policy_log_level, an empty argument
--- config
graph_policy_log_level '';
--- emerg
invalid value "" in "graph_policy_log_level" directive, it must be "info", "notice", "warn", or "error"


=== graph_policy_log_level, state changes aren't debugging
--- config
graph_policy_log_level debug;
--- emerg
invalid value "debug" in "graph_policy_log_level" directive, it must be "info", "notice", "warn", or "error"


=== graph_policy_log_level, states aren't critical
--- config
graph_policy_log_level crit;
--- emerg
invalid value "crit" in "graph_policy_log_level" directive, it must be "info", "notice", "warn", or "error"


=== graph_policy_log_level can't be off
--- config
graph_policy_log_level off;
--- emerg
invalid value "off" in "graph_policy_log_level" directive, it must be "info", "notice", "warn", or "error"


=== graph_policy_log_level, "WARN" isn't "warn"
--- config
graph_policy_log_level WARN;
--- emerg
invalid value "WARN" in "graph_policy_log_level" directive, it must be "info", "notice", "warn", or "error"


=== graph_policy_log_level twice
--- config
graph_policy_log_level info;
graph_policy_log_level warn;
--- emerg
"graph_policy_log_level" directive is duplicate


=== graph_policy_event_log needs an argument
--- http_config
graph_policy_event_log;
--- emerg
invalid number of arguments in "graph_policy_event_log" directive


=== graph_policy_event_log takes one argument
--- http_config
graph_policy_event_log logs/events.log json;
--- emerg
invalid number of arguments in "graph_policy_event_log" directive


=== graph_policy_event_log, an empty argument
--- http_config
graph_policy_event_log '';
--- emerg
invalid value "" in "graph_policy_event_log" directive, it must be the name of a file, without variables, "syslog:server=ADDRESS", or "off"


=== graph_policy_event_log, a variable
--- http_config
graph_policy_event_log logs/$host.log;
--- emerg
invalid value "logs/$host.log" in "graph_policy_event_log" directive, it must be the name of a file, without variables, "syslog:server=ADDRESS", or "off"


=== graph_policy_event_log, a dollar alone
--- http_config
graph_policy_event_log logs/$;
--- emerg
invalid value "logs/$" in "graph_policy_event_log" directive, it must be the name of a file, without variables, "syslog:server=ADDRESS", or "off"


=== graph_policy_event_log, a variable behind "syslog:"
--- http_config
graph_policy_event_log syslog:server=$host;
--- emerg
invalid value "syslog:server=$host" in "graph_policy_event_log" directive, it must be the name of a file, without variables, "syslog:server=ADDRESS", or "off"


=== graph_policy_event_log, syslog without a server
--- http_config
graph_policy_event_log syslog:tag=graph;
--- ahead
no syslog server specified
--- emerg
invalid value "syslog:tag=graph" in "graph_policy_event_log" directive, it must be the name of a file, without variables, "syslog:server=ADDRESS", or "off"


=== graph_policy_event_log, nothing behind "syslog:"
--- http_config
graph_policy_event_log syslog:;
--- ahead
unknown syslog parameter ""
--- emerg
invalid value "syslog:" in "graph_policy_event_log" directive, it must be the name of a file, without variables, "syslog:server=ADDRESS", or "off"


=== graph_policy_event_log, a severity that syslog hasn't
--- http_config
graph_policy_event_log syslog:server=127.0.0.1,severity=loud;
--- ahead
unknown syslog severity "loud"
--- emerg
invalid value "syslog:server=127.0.0.1,severity=loud" in "graph_policy_event_log" directive, it must be the name of a file, without variables, "syslog:server=ADDRESS", or "off"


=== graph_policy_event_log, a parameter that syslog hasn't
--- http_config
graph_policy_event_log syslog:server=127.0.0.1,json;
--- ahead
unknown syslog parameter "json"
--- emerg
invalid value "syslog:server=127.0.0.1,json" in "graph_policy_event_log" directive, it must be the name of a file, without variables, "syslog:server=ADDRESS", or "off"


=== graph_policy_event_log twice
--- http_config
graph_policy_event_log logs/events.log;
graph_policy_event_log syslog:server=127.0.0.1;
--- emerg
"graph_policy_event_log" directive is duplicate


=== graph_policy_event_log, a file after "off"
--- http_config
graph_policy_event_log off;
graph_policy_event_log logs/events.log;
--- emerg
"graph_policy_event_log" directive is duplicate


=== a zone without a user, and zones of the least size
--- http_config
graph_policy_zone zone=main:32k;
graph_policy_zone zone=other:32768;
graph_policy_zone zone=with-dashes_and.dots:1M;
--- config
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== graph_policy before its zone is defined, at each level
--- http_config
graph_policy zone=main;
graph_policy_zone zone=main:1m;
graph_policy_zone zone=other:1m;
--- config
graph_policy zone=other;

location / {
    graph_policy off;
    return 200 "taken\n";

    location /deeper {
        graph_policy zone=main;
    }
}
--- response_body
taken


=== every directive at each level, each overriding the one above
--- http_config
graph_policy_zone             zone=main:1m;
graph_policy                  zone=main;
graph_policy_dry_run          on;
graph_policy_rule             131042 ignore;
graph_policy_rule             131042 fatal;
graph_policy_credential       $http_x;
graph_policy_account          $http_x;
graph_policy_phone            $http_x;
graph_policy_send             $http_x;
graph_policy_pause            all;
graph_policy_hold             1s;
graph_policy_status           503;
graph_policy_buffer_size      8k;
graph_policy_accept_encoding  off;
graph_policy_cooldown         on;
graph_policy_retry            attempts=3;
graph_policy_log_level        info;
--- config
graph_policy                  zone=main;
graph_policy_dry_run          off;
graph_policy_rule             190 fatal;
graph_policy_credential       $http_y;
graph_policy_account          $http_y;
graph_policy_phone            $http_y;
graph_policy_send             $http_y;
graph_policy_pause            sends;
graph_policy_hold             2s;
graph_policy_status           upstream;
graph_policy_buffer_size      16k;
graph_policy_accept_encoding  on;
graph_policy_cooldown         off;
graph_policy_retry            off;
graph_policy_log_level        warn;

location / {
    graph_policy                  zone=main;
    graph_policy_dry_run          $arg_dry;
    graph_policy_rule             4 temporary;
    graph_policy_credential       $http_z;
    graph_policy_account          $http_z;
    graph_policy_phone            $http_z;
    graph_policy_send             $http_z;
    graph_policy_pause            all;
    graph_policy_hold             3s max=3s;
    graph_policy_status           400;
    graph_policy_buffer_size      32k;
    graph_policy_accept_encoding  off;
    graph_policy_cooldown         on;
    graph_policy_retry            attempts=2;
    graph_policy_log_level        error;

    return 200 "taken\n";
}
--- response_body
taken


=== every form of graph_policy_dry_run
--- config
graph_policy_dry_run on;
location /off      { graph_policy_dry_run off; }
location /variable { graph_policy_dry_run $arg_dry; }
location /text     { graph_policy_dry_run "$arg_a${arg_b}0"; }
location /zero     { graph_policy_dry_run 0; }
location /empty    { graph_policy_dry_run ''; }
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== every form of graph_policy_rule
--- config
graph_policy_rule 131042 fatal;
graph_policy_rule 0 temporary;
graph_policy_rule 200-299 context-limited;
graph_policy_rule 200-200 request;
graph_policy_rule 100/33 unclassified;
graph_policy_rule */2494100 ignore;
graph_policy_rule 131042,200-299,100/33,*/2494100,9007199254740991/0 fatal
                  dry_run=on hold=5m reason=billing scope=account;
graph_policy_rule 1 fatal scope=credential reason=token-invalid hold=1ms;
graph_policy_rule 1 fatal scope=account reason=account-restricted hold=24h;
graph_policy_rule 1 fatal scope=phone reason=phone-disconnected hold=1;
graph_policy_rule 1 temporary scope=conversation reason=pair-rate-limit;
graph_policy_rule 1 temporary scope=request reason=rate-limit;
graph_policy_rule 1 temporary reason=maintenance;
graph_policy_rule 1 temporary reason=server-error;
graph_policy_rule 1 temporary reason=service-unavailable;
graph_policy_rule 1 context-limited reason=window-expired;
graph_policy_rule 1 context-limited reason=undeliverable;
graph_policy_rule 1 context-limited reason=spam-quality;
graph_policy_rule 1 context-limited reason=media-download;
graph_policy_rule 1 context-limited reason=media-upload;
graph_policy_rule 1 request reason=other;
graph_policy_rule 1 temporary retry=on outcome=refused wait=1ms;
graph_policy_rule 1 temporary retry=off outcome=unknown wait=24h;
graph_policy_rule 1 fatal retry=off;
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== every form of graph_policy_send, _credential, _account and _phone
--- config
graph_policy_send       1;
graph_policy_credential $http_x;
graph_policy_account    $graph_policy_credential;
graph_policy_phone      123456789;
location /variables {
    graph_policy_send       $arg_a "$arg_b$arg_c" 0 '' 1;
    graph_policy_credential "$http_x-$http_y";
    graph_policy_account    account;
    graph_policy_phone      $arg_phone;
}
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== every form of graph_policy_hold
--- config
graph_policy_hold 1ms;
location /a { graph_policy_hold 24h; }
location /b { graph_policy_hold 1d max=1d; }
location /c { graph_policy_hold 10s max=10s; }
location /d { graph_policy_hold 10 max=1h30m; }
location /e { graph_policy_hold 20m; }
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== every form of graph_policy_retry
--- config
graph_policy_retry off;
location /a { graph_policy_retry attempts=2; }
location /b { graph_policy_retry attempts=20 base=1ms factor=1 max=1ms; }
location /c { graph_policy_retry attempts=3 base=1h factor=10 max=1h; }
location /d { graph_policy_retry attempts=3 deadline=1ms budget=0% budget_min=0; }
location /e { graph_policy_retry attempts=3 deadline=1h budget=100% unknown=0; }
location /f { graph_policy_retry budget_min=100000 unknown=19 attempts=20; }
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== every form of graph_policy_event_log: off
--- http_config
graph_policy_event_log off;
--- config
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== every form of graph_policy_event_log: a relative file
--- http_config
graph_policy_event_log logs/events.log;
--- config
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== every form of graph_policy_event_log: syslog by UDP
--- http_config
graph_policy_event_log syslog:server=127.0.0.1:1514,facility=local0,tag=graph,severity=notice,nohostname;
--- config
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== every form of graph_policy_event_log: syslog by a socket
--- http_config
graph_policy_event_log syslog:server=unix:/dev/log;
--- config
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== every form of graph_policy_status
--- config
graph_policy_status upstream;
location /a { graph_policy_status 400; }
location /b { graph_policy_status 599; }
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== every form of graph_policy_buffer_size
--- config
graph_policy_buffer_size 1k;
location /a { graph_policy_buffer_size 1024; }
location /b { graph_policy_buffer_size 16m; }
location /c { graph_policy_buffer_size 16777216; }
location / {
    return 200 "taken\n";
}
--- response_body
taken


=== every word of the directives that take one
--- config
graph_policy_pause           sends;
graph_policy_accept_encoding on;
graph_policy_cooldown        on;
graph_policy_log_level       info;
location /a {
    graph_policy_pause           all;
    graph_policy_accept_encoding off;
    graph_policy_cooldown        off;
    graph_policy_log_level       notice;
}
location /b {
    graph_policy_log_level       warn;
}
location /c {
    graph_policy_log_level       error;
}
location / {
    return 200 "taken\n";
}
--- response_body
taken
