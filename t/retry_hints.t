# vi:set ft= ts=4 sw=4 et:

# What Graph says of when to come back: Retry-After, X-Business-Use-Case-Usage
# and X-App-Usage, the hostile ones too. A usage header comes with any answer,
# and speaks of few errors.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Nginx::Socket;
use GraphPolicy::Steps;

my $phone = 5000;

# a line for each value of a header
sub values_of {
    my ($header, $line, @values) = @_;

    return join '', map {
        my $value = header("$header: $_");
        $phone++ . ' ' . $line =~ s/%/$value/gr . "\n"
    } @values;
}

sub header {
    my ($text) = @_;
    return 'header=' . $text =~ s/([^\w:-])/sprintf '%%%02x', ord $1/ger;
}

# the header that tells of business use cases
sub usage {
    my (%minutes) = @_;

    return header('X-Business-Use-Case-Usage: {' . join(',', map {
        my $id = $_;
        qq("$id":[) . join(',', map {
            my ($minutes, $type) = ref $_ ? @$_ : ($_, 'whatsapp');
            qq({"type":"$type","call_count":7,"total_cputime":1,)
            . qq("total_time":1,"estimated_time_to_regain_access":$minutes})
        } @{ $minutes{$id} }) . ']'
    } sort keys %minutes) . '}');
}

plan tests => GraphPolicy::Steps::tests();
run_tests();

__DATA__

=== Retry-After, in seconds
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps
1001 503 131016 header=Retry-After:1 | 200  =>  200 retried x2 gaps>=1000 took<4000
1002 503 131016 header=Retry-After:0 | 200  =>  200 retried x2



=== Retry-After, a date, in each of its forms
# rounded to seconds, two of them are at least one from now
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps eval
my $past = time - 1000;
my @t = gmtime $past;
my $asctime = sprintf '%s %s %2d %02d:%02d:%02d %d',
    (qw(Sun Mon Tue Wed Thu Fri Sat))[$t[6]],
    (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))[$t[4]],
    $t[3], @t[2, 1, 0], $t[5] + 1900;
my $rfc850 = sprintf '%s, %02d-%s-%02d %02d:%02d:%02d GMT',
    (qw(Sunday Monday Tuesday Wednesday Thursday Friday Saturday))[$t[6]],
    $t[3],
    (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))[$t[4]],
    $t[5] % 100, @t[2, 1, 0];
"1001 503 131016 date=2 | 200  =>  200 retried x2 gaps>=900 took<5000\n"
. "1002 503 131016 date=-100 | 200  =>  200 retried x2\n"
. "1003 503 131016 date=0 | 200  =>  200 retried x2\n"
. main::values_of('Retry-After',
    '503 131016 % | 200  =>  200 retried x2', $asctime, $rfc850)



=== Retry-After that no deadline allows
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps
1001 503 131016 header=Retry-After:30 | 200  =>  503 temporary passed x1 Retry-After:30 took<3000
1002 503 131016 header=Retry-After:11 | 200  =>  503 temporary passed x1 Retry-After:11 took<3000
1003 500 131000 header=Retry-After:30 | 200  =>  500 temporary passed x1 Retry-After:30 took<3000



=== Retry-After as a date that no deadline allows
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- http_config
map $sent_http_retry_after $how_long {
    ~^(?:59[0-9]|600)$ ten-minutes;
    default            $sent_http_retry_after;
}
--- format
$status $how_long
--- steps
1001 503 131016 date=600 | 200  =>  503 temporary passed x1 took<3000
--- logged
503 ten-minutes



=== several of them: the longest
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps
1001 503 131016 header=Retry-After:1 header=Retry-After:33 header=Retry-After:2 | 200
    =>  503 temporary passed x1 Retry-After:33



=== what isn't a Retry-After
# as if there were none: sent again at once
--- server
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- steps eval
main::values_of('Retry-After', '503 131016 % | 200 => 200 retried x2',
    '', '-1', '-9223372036854775808', '+30', '0x30', '3e9', '30.5', '30s',
    '30, 31', '30;', '"30"', 'soon', 'NaN', '%s%n', "\x01", "\xff\xfe",
    'Mon, 99 Foo 2026 00:00:00 GMT', 'Thu, 01 Jan 1970 00:00:00 GMT',
    'Sat, 31 Dec -999 23:59:59 GMT', 'x' x 2000)



=== a Retry-After that has no end is bounded
--- server
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- http_config
map $sent_http_retry_after $how_long {
    "~^\d{10}"         "not: $sent_http_retry_after";
    ~^[1-9]\d\d\d\d+$ bounded;
    default            "not: $sent_http_retry_after";
}
--- format
$status $how_long
--- steps eval
main::values_of('Retry-After', '503 131016 % | 200  =>  503 temporary passed x1',
    '999999999', '2147483647', '4294967295', '9223372036854775',
    'Fri, 31 Dec 9999 23:59:59 GMT')
--- logged
503 bounded
503 bounded
503 bounded
503 bounded
503 bounded



=== a Retry-After that no integer holds
# unreadable or without end, whichever: it is neither short nor negative
--- server
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- http_config
map $sent_http_retry_after $how_long {
    ''                 none;
    "~^\d{10}"         "not: $sent_http_retry_after";
    ~^[1-9]\d\d\d\d+$ bounded;
    default            "not: $sent_http_retry_after";
}
--- format
$how_long
--- steps eval
CORE::join '', map { my $value = $_;
    main::values_of('Retry-After', '503 2494100 % => 503 temporary passed x1',
    $value) } '9223372036854775807', '9223372036854775808',
    '18446744073709551616', '9' x 40, '00000000000000000000000000000000000001'
--- logged
<~bounded|not: 60>
<~bounded|not: 60>
<~bounded|not: 60>
<~bounded|not: 60>
<~bounded|not: 60>



=== a hint is for the next try alone
--- server
graph_policy_retry attempts=4 base=20ms factor=1 budget_min=1000;
--- steps
1001 503 131016 header=Retry-After:1 | 503 131016 | 503 131016 | 200
    => 200 retried x4 gaps>=1000 took<2900
1002 503 131016 | 503 131016 | 503 131016 header=Retry-After:77 | 200
    => 503 temporary retried x3 Retry-After:77
1003 503 131016 header=Retry-After:1 | 503 131016 | 503 131016 | 503 131016
    => 503 temporary retried x4 !Retry-After
1004 503 131016 header=Retry-After:1 | 400 131047
    => 400 context-limited retried x2 !Retry-After



=== X-Business-Use-Case-Usage, in minutes
--- server
graph_policy_rule 80007 temporary wait=20ms;
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- steps eval
my @lines = map { my ($hint, $expected) = @$_;
    $main::phone++ . " 429 80007 $hint | 200  =>  $expected\n" }
    [main::usage(1 => [0]), '200 retried x2'],
    [main::usage(1 => [1]), '429 temporary passed x1 Retry-After:60'],
    [main::usage(1 => [7]), '429 temporary passed x1 Retry-After:420'],
    [main::usage(1 => [2, 9, 0]), '429 temporary passed x1 Retry-After:540'],
    [main::usage(1 => [2], 2 => [4], 3 => [3]),
        '429 temporary passed x1 Retry-After:240'],
    [main::usage(map { $_ => [$_ == 5 ? 30 : 1] } 1 .. 9),
        '429 temporary passed x1 Retry-After:1800'],
    [main::usage(1 => [2]) . ' ' . main::usage(2 => [5]),
        '429 temporary passed x1 Retry-After:300 repeated'],
    [main::header('x-business-use-case-usage: {"1":[{'
        . '"estimated_time_to_regain_access":3,"type":"whatsapp"}]}'),
        '429 temporary passed x1 Retry-After:180'];
CORE::join '', @lines



=== it counts for the errors of such a quota alone
--- server
graph_policy_rule 4,17,80007,80008,130429,131056,131057,2494100,*/2494100
                  temporary
                  wait=20ms;
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- steps eval
my $hint = main::usage(1 => [2, [3, 'whatsapp_business_management']]);
"1001 429 80007 $hint | 200 => 429 temporary passed x1 Retry-After:180\n"
. "1002 429 80008 $hint | 200 => 429 temporary passed x1 Retry-After:180\n"
. CORE::join('', map { $main::phone++
    . " 400 $_ $hint | 200 => 200 retried x2 took<4000\n" }
    qw(1 2 4 17 130429 131000 131016 131056 131057 133004 2494100 100/2494100))
. "1004 400 131047 $hint => 400 context-limited passed x1 !Retry-After\n"
. "1005 400 131042 $hint => 400 fatal passed x1 !Retry-After\n"
. "1006 200 $hint => 200\n"
. "1007 500 131016 | 200 $hint => 200 retried x2\n"
. "1008 500 131016 | 429 80007 $hint => 429 temporary retried x2 Retry-After:180\n"



=== the error's code decides that, not what a rule calls it
--- server
graph_policy_rule 130429 temporary reason=other wait=20ms;
graph_policy_rule 131016 temporary reason=rate-limit;
graph_policy_rule 80007 temporary reason=server-error wait=20ms;
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- steps eval
my $hint = main::usage(1 => [2]);
"1001 429 80007  $hint | 200 => 429 temporary passed x1 Retry-After:120\n"
. "1002 429 131016 $hint | 200 => 200 retried x2\n"
. "1003 429 130429 $hint | 200 => 200 retried x2\n"



=== of its entries those of WhatsApp
--- server
graph_policy_rule 80007 temporary wait=20ms;
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- steps eval
my @lines = map { my ($hint, $expected) = @$_;
    $main::phone++ . " 429 80007 $hint | 200  =>  $expected\n" }
    [main::usage(1 => [[9, 'ads_management']]), '200 retried x2'],
    [main::usage(1 => [[9, 'pages'], 2], 2 => [[8, 'instagram']]),
        '429 temporary passed x1 Retry-After:120'],
    [main::header('X-Business-Use-Case-Usage: '
        . '{"1":[{"estimated_time_to_regain_access":3}]}'), '200 retried x2'];
CORE::join '', @lines



=== and those of the account, where that is known
--- server
graph_policy_rule 80007 temporary wait=20ms;
graph_policy_account $account;
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- http_config
map $graph_policy_phone $account {
    1001    102290129340398;
    1002    one-of-our-own;
}
--- steps eval
my $hint = main::usage(102290129340398 => [1], 777 => [9]);
my $other = main::usage(777 => [9]);
"1001 429 80007 $hint | 200 => 429 temporary passed x1 Retry-After:60\n"
. "1001 429 80007 $other | 200 => 200 retried x2\n"
. "1002 429 80007 $hint | 200 => 429 temporary passed x1 Retry-After:540\n"
. "1003 429 80007 $hint | 200 => 429 temporary passed x1 Retry-After:540\n"
. "GET /v25.0/1001/message_templates 429 80007 $hint | 200 => 429 temporary passed x1 Retry-After:60\n"



=== where nothing is sent again, the client is told all the same
--- steps eval
my ($one, $ads) = (main::usage(1 => [7]), main::usage(1 => [[90, 'ads']]));
"1001 429 80007 $one                        => 429 temporary passed Retry-After:420\n"
. "1002 429 80007 $ads                      => 429 temporary passed Retry-After:60\n"
. "1003 429 80007 header=Retry-After:90     => 429 temporary passed Retry-After:90\n"
. "1004 429 80007 header=Retry-After:900 $one => 429 temporary passed Retry-After:900\n"
. "1005 429 130429 $one                     => 429 temporary passed Retry-After:1\n"
. "1006 500 131016 header=Retry-After:120   => 500 temporary passed Retry-After:120\n"
. "1007 500 131000 header=Retry-After:120 $one => 500 temporary passed Retry-After:120\n"
. "GET /v25.0/7 429 80008 $one              => 429 temporary passed Retry-After:420\n"
. "GET /v25.0/7 500 2 header=Retry-After:3  => 500 temporary passed Retry-After:3\n"



=== a usage that can't be read is none
--- server
graph_policy_rule 80007 temporary wait=20ms;
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- steps eval
main::values_of('X-Business-Use-Case-Usage',
    '429 80007 % | 200  =>  200 retried x2 took<3000',
    '', '{', '{}', '[]', 'null', '5', '"5"', 'not JSON', "\xff\xfe",
    '{"1":[{"type":"whatsapp",'
    . '"estimated_time_to_regain_access":-5}]}',
    '{"1":[{"type":"whatsapp",'
    . '"estimated_time_to_regain_access":"5"}]}',
    '{"1":[{"type":"whatsapp",'
    . '"estimated_time_to_regain_access":null}]}',
    '{"1":[{"type":"whatsapp",'
    . '"estimated_time_to_regain_access":true}]}',
    '{"1":[{"type":"whatsapp",'
    . '"estimated_time_to_regain_access":[5]}]}',
    '{"1":[{"type":"whatsapp",'
    . '"estimated_time_to_regain_access":{"x":5}}]}',
    '{"1":[{"type":"estimated_time_to_regain_access","call_count":5}]}',
    '{"1":[{"type":"whatsapp","estimated_time_to_regain_access":5}',
    '{"1":' x 200 . '5' . '}' x 200,
    '[' x 1500)



=== a usage that has no end is bounded
--- server
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- http_config
map $sent_http_retry_after $how_long {
    "~^\d{10}"        "not: $sent_http_retry_after";
    ~^[1-9]\d\d\d+$  bounded;
    default            "not: $sent_http_retry_after";
}
--- format
$status $how_long
--- steps eval
CORE::join('', map { my $hint = main::usage(1 => [$_]);
    $main::phone++ . " 429 80007 $hint | 200 => 429 temporary passed x1\n" }
    '1440', '100000', '2147483648', '4503599627370496')
--- logged
429 bounded
429 bounded
429 bounded
429 bounded



=== a usage that no integer holds
# unreadable or without end, whichever: it is neither short nor negative
--- server
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- http_config
map $sent_http_retry_after $how_long {
    "~^\d{10}"        "not: $sent_http_retry_after";
    ~^[1-9]\d\d\d+$  bounded;
    default            $sent_http_retry_after;
}
--- format
$how_long
--- steps eval
CORE::join('', map { my $hint = main::usage(1 => [$_]);
    $main::phone++ . " 429 80007 $hint => 429 temporary passed x1\n" }
    '9223372036854775807', '9223372036854775808', '1e308', '1e-5', '9' x 100,
    '-9223372036854775809', '153722867280912931')
--- logged
<~bounded|60>
<~bounded|60>
<~bounded|60>
<~bounded|60>
<~bounded|60>
<~bounded|60>
<~bounded|60>



=== X-App-Usage at 100: the app's quota isn't asked again now
--- server
graph_policy_rule 4,17,80007,130429 temporary wait=20ms;
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- steps eval
my $full = main::header('X-App-Usage: {"call_count":100,"total_cputime":5,'
    . '"total_time":6}');
my $almost = main::header('X-App-Usage: {"call_count":99,"total_cputime":5,'
    . '"total_time":99}');
my $cpu = main::header('X-App-Usage: {"call_count":1,"total_cputime":100,'
    . '"total_time":6}');
my $time = main::header('X-App-Usage: {"call_count":1,"total_cputime":5,'
    . '"total_time":100}');
my $over = main::header('x-app-usage: {"call_count":250}');
"1001 429 4      $full   | 200  =>  429 temporary rate-limit passed x1\n"
. "1002 400 17     $full   | 200  =>  400 temporary other passed x1\n"
. "1003 400 17/2446079 $full | 200  =>  400 temporary other passed x1\n"
. "1004 429 4      $cpu    | 200  =>  429 temporary rate-limit passed x1\n"
. "1005 429 4      $time   | 200  =>  429 temporary rate-limit passed x1\n"
. "1006 429 4      $over   | 200  =>  429 temporary rate-limit passed x1\n"
. "1007 429 4      $almost | 200  =>  200 retried x2\n"
. "1008 429 4 | 429 4 $full => 429 temporary rate-limit retried x2\n"
# it says nothing of other errors, nor of other limits
. "1009 500 131016 $full   | 200  =>  200 retried x2\n"
. "1010 500 131000 $full   | 200  =>  200 retried x2\n"
. "1011 200 $full                 =>  200\n"
. "1013 429 80007  $full   | 200  =>  200 retried x2\n"
. "1014 429 130429 $full   | 200  =>  200 retried x2\n"
. "1015 400 131056 $full   | 200  =>  200 retried x2\n"
# nor does the first answer of the second
. "1012 500 131016 $full   | 429 4 | 200  =>  429 temporary retried x2\n"



=== the quota that a first answer told of is forgotten by the second
--- server
graph_policy_rule 4 temporary wait=20ms;
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps eval
my $full = main::header('X-App-Usage: {"call_count":100}');
"1001 500 131016 $full | 429 4 | 200  =>  200 retried x3\n"



=== an X-App-Usage that can't be read is none
--- server
graph_policy_rule 4 temporary wait=20ms;
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- steps eval
main::values_of('X-App-Usage', '429 4 % | 200  =>  200 retried x2',
    '', '{', '[]', '100', '"call_count":100', '{"call_count":"full"}',
    '{"call_count":-100}', '{"call_count":null}', '{"other":100}',
    '{"call_count":100', '{"x":{"y":{"call_count":100}}}', "\x7f",
    '{"call' x 300)



=== Retry-After of what is delivered is the longest
--- server
graph_policy_retry attempts=2 base=20ms deadline=500ms budget_min=1000;
--- steps eval
my ($one, $three) = (main::usage(1 => [1]), main::usage(1 => [3]));
"1001 429 4      header=Retry-After:5          => 429 temporary passed Retry-After:60\n"
. "1002 429 4      header=Retry-After:90         => 429 temporary passed Retry-After:90\n"
. "1003 429 4      header=Retry-After:90 $one    => 429 temporary passed Retry-After:90\n"
. "1004 429 80007  header=Retry-After:90 $three  => 429 temporary passed Retry-After:180\n"
. "1005 429 4      $three                        => 429 temporary passed Retry-After:60\n"
. "1006 429 130429                               => 429 temporary passed Retry-After:1\n"
. "1007 429 130429 header=Retry-After:7          => 429 temporary passed Retry-After:7\n"
. "1008 500 131057 header=Retry-After:1          => 500 temporary passed Retry-After:5\n"
. "1009 500 131016 header=Retry-After:2          => 500 temporary passed Retry-After:2\n"
. "1010 500 131016 | 500 131016                  => 500 temporary retried x2 !Retry-After\n"
. "1011 400 131056                               => 400 temporary passed Retry-After:1\n"



=== the same in the log
--- server
graph_policy_retry attempts=2 base=20ms deadline=500ms budget_min=1000;
--- format
$status $graph_policy_retry_after $sent_http_retry_after
--- steps
1001 429 4 header=Retry-After:90    =>  429 temporary passed Retry-After:90
1002 500 131016 | 500 131016        =>  500 temporary retried x2
--- logged
429 90 90
500 <none> -
