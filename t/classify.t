# vi:set ft= ts=4 sw=4 et:

# Which error is what: every code of the table, the rest of Meta's catalogue,
# what nobody knows, and graph_policy_rule. The cases are described in
# t/lib/GraphPolicy/Steps.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Nginx::Socket;

use GraphPolicy::Steps;

no_long_string();
plan 'no_plan';

# The body of an error as Meta sends it.
sub error_body {
    my ($code, $subcode, $message, $more) = @_;

    $message //= "(#$code) Not this time";

    return qq({"error":{"message":"$message","type":"OAuthException",)
        . qq("code":$code)
        . (defined $subcode ? qq(,"error_subcode":$subcode) : '')
        . ($more // '') . ',"fbtrace_id":"AFakeTraceId0000000000"}}';
}

# A case for each code, all with the same expectation but for the code itself;
# "100/33" has a subcode.
sub each_of {
    my ($codes, $category, $rest) = @_;

    return map {
        my ($code, $subcode) = split m{/};
        [400, error_body($code, $subcode),
            "$category $code " . ($subcode // '-') . " $rest"]
    } map { /^(\d+)-(\d+)$/ ? $1 .. $2 : $_ } split ' ', $codes;
}

# The built-in table: reason, scope and Retry-After of its codes.
my %table = (
    (map { $_ => 'token-invalid credential' } 0, 190, 102),
    (map { $_ => 'token-invalid account' } 3, 10, 131005, 200 .. 299),
    (map { $_ => 'account-restricted account' } 368, 131031),
    131042        => 'billing account',
    (map { $_ => 'phone-disconnected phone' }
        133010, 131045, 33, '100/33'),
    4             => 'rate-limit credential 60',
    80007         => 'rate-limit account 60',
    130429        => 'rate-limit phone 1',
    131056        => 'pair-rate-limit conversation 1',
    131057        => 'maintenance phone 5',
    2494100       => 'maintenance phone 60',
    '100/2494100' => 'maintenance phone 60',
    (map { $_ => 'server-error request' } 1, 131000),
    (map { $_ => 'service-unavailable phone' } 131016, 133004, 2),
    131047        => 'window-expired conversation',
    131026        => 'undeliverable conversation',
    (map { $_ => 'spam-quality conversation' } 131048, 131064),
    131052        => 'media-download request',
    131053        => 'media-upload request',
    (map { $_ => 'other request' } '10/2018278', '10/2018065', '200/1545041'),
);

# What concerns calls, groups, templates, marketing or one message only has
# the scope "request", whatever the catalogue says; an integration is an
# account.
my %one_request = map { $_ => 1 } qw(130472 131041 131043 131044 131049 131050
    131207 131208 134101 137000 138001 138005 138006 138009);

# A case for each line of the catalogue.
sub catalogue {
    my (undef, @lines) = split /\n/, sample('graph-errors.tsv');
    my @cases;

    for (@lines) {
        my ($codes, $subcode, $statuses, $title, undef, $category, $scope)
            = split /\t/;
        my ($status) = $statuses =~ /^(\d+)/;

        undef $subcode if $subcode eq '-';

        # both ends of a range
        for my $code (split /-/, $codes) {
            my $row = defined $subcode && $table{"$code/$subcode"}
                || $table{$code};

            $scope = 'request' if $one_request{$code};
            $scope = 'account' if $scope eq 'integration';
            $row //= "other $scope" . ($code == 133015 ? ' 300' : '');

            push @cases, [$status // 400,
                error_body($code, $subcode, "(#$code) $title"),
                "$category $code " . ($subcode // '-') . " $row"];
        }
    }

    die 'the catalogue has ' . @cases . ' codes' if @cases < 170;
    return \@cases;
}

# The same codes under every status: it never decides.
sub under_every_status {
    my @cases;

    for my $status (400, 401, 403, 404, 429, 451, 500, 502, 503, 504, 599) {
        push @cases, map { [$status, error_body($_->[0]), $_->[1]] }
            [190    => 'fatal 190 - token-invalid credential'],
            [130429 => 'temporary 130429 - rate-limit phone 1'],
            [131047 => 'context-limited 131047 - window-expired conversation'],
            [100    => 'request 100 - other request'],
            [5      => 'unclassified 5'];
    }

    return \@cases;
}

run_tests();

__DATA__

=== fatal: the credential
--- steps eval
[::each_of('0 190 102', 'fatal', 'token-invalid credential')]



=== fatal: the account, by its permissions
--- steps eval
[::each_of('3 10 131005 200-203 246 250 297-299', 'fatal',
    'token-invalid account')]



=== beside 200-299
--- steps eval
[::each_of('19 20 29 199 300 301 2000 2990 20000 29900 2000000', 'unclassified', ''),
 ::each_of('200005 200006 200007', 'request', 'other request')]



=== fatal: the account
--- steps eval
[::each_of('368 131031', 'fatal', 'account-restricted account'),
 ::each_of('131042', 'fatal', 'billing account')]



=== fatal: the phone
--- steps eval
[::each_of('133010 131045 33 100/33', 'fatal', 'phone-disconnected phone')]



=== temporary, with the waits that the table knows
--- steps eval
[::each_of('4', 'temporary', 'rate-limit credential 60'),
 ::each_of('80007', 'temporary', 'rate-limit account 60'),
 ::each_of('130429', 'temporary', 'rate-limit phone 1'),
 ::each_of('131056', 'temporary', 'pair-rate-limit conversation 1'),
 ::each_of('131057', 'temporary', 'maintenance phone 5'),
 ::each_of('2494100 100/2494100 5/2494100 190/2494100 0/2494100',
    'temporary', 'maintenance phone 60'),
 ::each_of('1 131000', 'temporary', 'server-error request'),
 ::each_of('131016 133004 2', 'temporary', 'service-unavailable phone')]



=== context-limited
--- steps eval
[::each_of('131047', 'context-limited', 'window-expired conversation'),
 ::each_of('131026', 'context-limited', 'undeliverable conversation'),
 ::each_of('131048 131064', 'context-limited', 'spam-quality conversation'),
 ::each_of('131052', 'context-limited', 'media-download request'),
 ::each_of('131053', 'context-limited', 'media-upload request')]



=== a subcode that no row names changes nothing
--- steps eval
[::each_of('190/458 190/33 190/1 0/463', 'fatal', 'token-invalid credential'),
 ::each_of('200/458 200/1349174 250/33', 'fatal', 'token-invalid account'),
 ::each_of('131042/33', 'fatal', 'billing account'),
 ::each_of('4/2446079 4/33 4/190', 'temporary', 'rate-limit credential 60'),
 ::each_of('130429/2494055', 'temporary', 'rate-limit phone 1'),
 ::each_of('100/3 100/330 100/133 100/0 100/190 100/2494055', 'request',
    'other request'),
 ::each_of('5/33 5/190 5/4', 'unclassified', '')]



=== what a row names as a subcode is none as a code
--- steps eval
[::each_of('458 463 467 492 2446079 2494055 1349174', 'unclassified', '')]



=== the samples
--- steps
* 401 @e190_463_expired.json
    =>  401 tagged fatal 190 463 token-invalid credential
* 401 @e190_undecryptable_401.json
    =>  401 tagged fatal 190 - token-invalid credential
* 401 @e104_no_token.json  =>  401 tagged request 104 - other request
* 400 @e200_no_token.json  =>  400 tagged fatal 200 - token-invalid account
* 400 @e200_458_access_blocked_400.json
    =>  400 tagged fatal 200 458 token-invalid account
* 403 @e200_1349174_user_texts.json
    =>  403 tagged fatal 200 1349174 token-invalid account
* 403 @e10_permission.json  =>  403 tagged fatal 10 - token-invalid account
* 400 @e133010_not_registered_400.json
    =>  400 tagged fatal 133010 - phone-disconnected phone
* 400 @e100_33_object_missing_400.json
    =>  400 tagged fatal 100 33 phone-disconnected phone
* 400 @e33_number_deleted.json
    =>  400 tagged fatal 33 - phone-disconnected phone
* 403 @e131031_locked_403.json
    =>  403 tagged fatal 131031 - account-restricted account
* 403 @e368_blocked_403.json
    =>  403 tagged fatal 368 - account-restricted account
* 400 @e131042_payment_400.json  =>  400 tagged fatal 131042 - billing account
* 429 @e4_app_limit_429.json
    =>  429 tagged temporary 4 2446079 rate-limit credential 60
* 429 @e80007_waba_limit_429.json
    =>  429 tagged temporary 80007 2446079 rate-limit account 60
* 400 @e130429_throughput_400.json
    =>  400 tagged temporary 130429 2494055 rate-limit phone 1
* 400 @e131056_pair_400.json
    =>  400 tagged temporary 131056 - pair-rate-limit conversation 1
* 503 @e2494100_as_code.json
    =>  503 tagged temporary 2494100 - maintenance phone 60
* 500 @e131057_maintenance_500.json
    =>  500 tagged temporary 131057 - maintenance phone 5
* 500 @e2_transient_500.json
    =>  500 tagged temporary 2 - service-unavailable phone
* 500 @e1_unknown_500.json  =>  500 tagged temporary 1 - server-error request
* 500 @e131000_something_wrong_500.json
    =>  500 tagged temporary 131000 - server-error request
* 400 @e100_details_object_400.json  =>  400 tagged request 100 - other request
* 400 @e100_error_data_string_400.json
    =>  400 tagged request 100 1885183 other request
* 400 @e100_2388046_blame_400.json
    =>  400 tagged request 100 2388046 other request
* 400 @e131030_not_allowed_400.json
    =>  400 tagged request 131030 - other request
* 400 @e131047_sync_400.json
    =>  400 tagged context-limited 131047 - window-expired conversation
* 404 @e132001_template_404.json  =>  404 tagged request 132001 - other request
* 400 @e_code_as_string.json
    =>  400 tagged temporary 131056 2494055 pair-rate-limit conversation 1
* 503 @n503_html.html                    =>  503 tagged unclassified
* 502 @n502_empty.txt                    =>  502 tagged unclassified



=== the catalogue
--- steps eval: ::catalogue()



=== the status decides nothing
--- steps eval: ::under_every_status()



=== an error without an error's status is none
--- steps
* 200 = {"error":{"message":"no","type":"OAuthException","code":190}}
    =>  200 untouched
* 201 = {"error":{"message":"no","type":"OAuthException","code":4}}
    =>  201 untouched
* 302 = {"error":{"message":"no","type":"OAuthException","code":0}}
    =>  302 untouched



=== codes that nobody has published
Those of the on-premises API are none in an error object.
--- steps eval
[::each_of('5 11 101 189 191 369 400 402 470 471 472 500 1000 1026 131007'
    . ' 131042000 130428 131046 133011 2494101 999999 2147483647',
    'unclassified', '')]



=== is_transient decides for unknown codes alone
--- steps eval
my ($true, $false) = (',"is_transient":true', ',"is_transient":false');
[[500, ::error_body(5, undef, undef, $true),
    'temporary 5 - other request'],
 [400, ::error_body(987654, 12, undef, $true),
    'temporary 987654 12 other request'],
 [500, '{"error":{"is_transient":true,"code":5}}',
    'temporary 5 - other request'],
 [500, ::error_body(5, undef, undef, $false), 'unclassified 5'],
 [503, ::error_body(5), 'unclassified 5'],
 [503, ::error_body(5, undef, undef, ',"is_transient":null'),
    'unclassified 5'],
 [503, '{"is_transient":true,"error":{"code":5}}', 'unclassified 5'],
 [503, '{"error":{"code":5,"error_data":{"is_transient":true}}}',
    'unclassified 5'],
 [401, ::error_body(190, undef, undef, $true),
    'fatal 190 - token-invalid credential'],
 [400, ::error_body(131047, undef, undef, $true),
    'context-limited 131047 - window-expired conversation'],
 [400, ::error_body(100, undef, undef, $true),
    'request 100 - other request'],
 [429, ::error_body(4, undef, undef, $false),
    'temporary 4 - rate-limit credential 60'],
 [503, '{"error":{"is_transient":true,"message":"no code"}}',
    'unclassified']]



=== code 0 is a code, its absence is none
--- steps
* 401 = {"error":{"message":"no","type":"OAuthException","code":0}}
    =>  401 tagged fatal 0 - token-invalid credential
* 401 = {"error":{"code":0,"error_subcode":0}}
    =>  401 tagged fatal 0 0 token-invalid credential
* 401 = {"error":{"code":"0"}}
    =>  401 tagged fatal 0 - token-invalid credential
* 401 = {"error":{"message":"no","type":"OAuthException"}}
    =>  401 tagged unclassified
* 401 = {"error":{"code":null,"message":"no"}}  =>  401 tagged unclassified
* 401 = {"error":{"code":"","message":"no"}}  =>  401 tagged unclassified
* 401 = {"error":{"code":false,"message":"no"}}  =>  401 tagged unclassified
* 401 = {"error":{}}                          =>  401 tagged unclassified



=== whatever is asked, with any method
--- steps
GET /v25.0/me/accounts?fields=id 401 @e190_463_expired.json
    =>  401 tagged fatal 190 463 token-invalid credential
GET /v25.0/me/accounts?fields=id 429 @e80007_waba_limit_429.json
    =>  429 tagged temporary 80007 2446079 rate-limit account 60
GET /v25.0/me/accounts?fields=id 500 = {"error":{"code":134102}}
    =>  500 tagged request 134102 - other request
GET /v25.0/me/accounts?fields=id 503 @n503_html.html
    =>  503 tagged unclassified
GET /v25.0/me/accounts?fields=id 200 = {"data":[]}  =>  200 untouched



=== DELETE
--- steps
DELETE /v25.0/1337 400 @e100_33_object_missing_400.json
    =>  400 tagged fatal 100 33 phone-disconnected phone
DELETE /v25.0/1337 200 = {"success":true}  =>  200 untouched



=== a location with the policy off
--- config
    graph_policy zone=z;
    graph_policy_rule 190 temporary;

    location / {
        graph_policy off;
        proxy_pass http://graph;
    }
--- each: spoof=theirs header=X-Graph-Other:theirs =>
--- steps
* 401 @e190_463_expired.json  =>  401 theirs



=== a rule: a code, with any subcode and without
--- location
graph_policy_rule 131026 temporary reason=maintenance scope=phone;
--- steps eval
[::each_of('131026 131026/33 131026/0', 'temporary', 'maintenance phone'),
 ::each_of('131047', 'context-limited', 'window-expired conversation'),
 ::each_of('13102 131027 1310260', 'unclassified', ''),
 [400, '{"error":{"code":"131026"}}', 'temporary 131026 - maintenance phone']]



=== a rule: a range, with both ends
--- location
graph_policy_rule 5000-5002 fatal reason=billing scope=account;
--- steps eval
[::each_of('5000-5002 5001/33', 'fatal', 'billing account'),
 ::each_of('4999 5003 500 50000', 'unclassified', '')]



=== a rule: a code with a subcode
--- location
graph_policy_rule 100/2388046 fatal reason=billing scope=phone;
--- steps eval
[::each_of('100/2388046', 'fatal', 'billing phone'),
 ::each_of('100 100/2388047', 'request', 'other request'),
 ::each_of('2388046', 'request', 'other request'),
 ::each_of('190/2388046', 'fatal', 'token-invalid credential')]



=== a rule: a subcode of any code
--- location
graph_policy_rule */777 fatal reason=billing scope=account;
--- steps eval
[::each_of('100/777 190/777 5/777 0/777 131047/777', 'fatal',
    'billing account'),
 ::each_of('777 777/1', 'unclassified', ''),
 ::each_of('100/778', 'request', 'other request'),
 [400, '{"error":{"error_subcode":777,"message":"no code"}}',
    'unclassified - 777']]



=== a rule: a list
--- location
graph_policy_rule 5,7-8,190/463,*/777 context-limited reason=undeliverable scope=conversation;
--- steps eval
[::each_of('5 7 8 190/463 9/777', 'context-limited',
    'undeliverable conversation'),
 ::each_of('6 9 463', 'unclassified', ''),
 ::each_of('190 190/464', 'fatal', 'token-invalid credential')]



=== the first rule that matches decides
--- location
graph_policy_rule 190/463 temporary reason=maintenance scope=phone;
graph_policy_rule 190     request   reason=other scope=request;
graph_policy_rule 190/464 fatal     reason=billing scope=account;
graph_policy_rule 5-9     context-limited reason=undeliverable scope=request;
graph_policy_rule 7       fatal     reason=billing scope=account;
--- steps eval
[::each_of('190/463', 'temporary', 'maintenance phone'),
 ::each_of('190 190/464', 'request', 'other request'),
 ::each_of('5 7 9', 'context-limited', 'undeliverable request')]



=== a rule for a code wins over a built-in row with a subcode
--- location
graph_policy_rule 100 context-limited reason=undeliverable scope=conversation;
--- steps eval
[::each_of('100 100/33 100/2494100', 'context-limited',
    'undeliverable conversation'),
 ::each_of('33', 'fatal', 'phone-disconnected phone'),
 ::each_of('5/2494100', 'temporary', 'maintenance phone 60')]



=== what a rule omits is that of the code that came
--- location
graph_policy_rule 190,130429,131047,100,5,100/33,200-210 temporary;
graph_policy_rule 131042 fatal reason=account-restricted;
graph_policy_rule 4      temporary scope=phone;
graph_policy_rule 80007  fatal;
graph_policy_rule 368    request;
graph_policy_rule 131026 unclassified;
graph_policy_rule 6      context-limited reason=spam-quality;
graph_policy_rule 7      fatal scope=phone;
graph_policy_rule */2494100 fatal;
--- steps eval
[::each_of('190', 'temporary', 'token-invalid credential'),
 ::each_of('200 210/458', 'temporary', 'token-invalid account'),
 ::each_of('130429', 'temporary', 'rate-limit phone 1'),
 ::each_of('131047', 'temporary', 'window-expired conversation'),
 ::each_of('100 100/5', 'temporary', 'other request'),
 ::each_of('100/33', 'temporary', 'phone-disconnected phone'),
 ::each_of('5', 'temporary', 'other request'),
 ::each_of('131042', 'fatal', 'account-restricted account'),
 ::each_of('4', 'temporary', 'rate-limit phone 60'),
 ::each_of('80007', 'fatal', 'rate-limit account'),
 ::each_of('368', 'request', 'account-restricted account'),
 ::each_of('131026', 'unclassified', 'undeliverable conversation'),
 ::each_of('6', 'context-limited', 'spam-quality request'),
 ::each_of('7', 'fatal', 'other phone'),
 ::each_of('8/2494100 2/2494100', 'fatal', 'maintenance phone')]



=== a rule for 0 has nothing to do with errors without a code
--- location
graph_policy_rule 0 request;
graph_policy_rule 0-2147483647 context-limited reason=undeliverable scope=request;
--- steps
* 401 = {"error":{"code":0}}
    =>  401 tagged request 0 - token-invalid credential
* 400 = {"error":{"code":1}}
    =>  400 tagged context-limited 1 - undeliverable request
* 400 = {"error":{"code":2147483647}}
    =>  400 tagged context-limited 2147483647 - undeliverable request
* 401 = {"error":{"message":"no"}}     =>  401 tagged unclassified
* 503 = <html></html>                  =>  503 tagged unclassified
* 503 =                                =>  503 tagged unclassified



=== is_transient doesn't overrule a rule
--- location
graph_policy_rule 5 request;
--- steps
* 500 = {"error":{"code":5,"is_transient":true}}
    =>  500 tagged request 5 - other request
* 500 = {"error":{"code":6,"is_transient":true}}
    =>  500 tagged temporary 6 - other request



=== ignored errors are untouched, down to headers of these names
--- location
graph_policy_rule 190/463,5,*/33 ignore;
graph_policy_rule 190 temporary;
--- each: spoof=theirs header=X-Graph-Other:theirs header=Retry-After:7 => Retry-After:7
--- steps
* 401 @e190_463_expired.json            =>  401 theirs
* 400 @e100_33_object_missing_400.json  =>  400 theirs
* 400 = {"error":{"code":5}}            =>  400 theirs



=== beside ignored ones, errors are what they are
--- location
graph_policy_rule 190/463,5,*/33 ignore;
graph_policy_rule 190 temporary;
--- steps eval
[::each_of('190 190/464', 'temporary', 'token-invalid credential'),
 ::each_of('6', 'unclassified', ''),
 ::each_of('33', 'fatal', 'phone-disconnected phone'),
 map { [@$_[0, 1], 'untouched'] } ::each_of('190/463 5 5/1 6/33', '', '')]



=== rules are inherited where a level has none of its own
--- http_config
graph_policy_rule 5 fatal reason=billing scope=account;
--- config
    graph_policy zone=z;
    graph_policy_rule 6 fatal reason=token-invalid scope=credential;

    # the server's
    location /a/ {
        graph_policy_hold 5s;
        proxy_pass http://graph;

        # the server's as well
        location /a/v25.0/1 {
            proxy_pass http://graph;
        }
    }

    # its own
    location /b/ {
        graph_policy_rule 7 fatal reason=phone-disconnected scope=phone;
        proxy_pass http://graph;
    }

    location /c/ {
        graph_policy_rule 8 temporary reason=maintenance scope=phone;

        # its own
        location /c/v25.0/ {
            graph_policy_rule 9 context-limited reason=undeliverable scope=conversation;
            proxy_pass http://graph;
        }
    }
--- steps
/a/v25.0/*/messages 400 = {"error":{"code":5}}
    =>  400 tagged unclassified 5
/a/v25.0/*/messages 400 = {"error":{"code":6}}
    =>  400 tagged fatal 6 - token-invalid credential
/a/v25.0/*/messages 400 = {"error":{"code":7}}
    =>  400 tagged unclassified 7
/b/v25.0/*/messages 401 = {"error":{"code":6}}
    =>  401 tagged unclassified 6
/b/v25.0/*/messages 401 = {"error":{"code":7}}
    =>  401 tagged fatal 7 - phone-disconnected phone
/c/v25.0/*/messages 403 = {"error":{"code":6}}
    =>  403 tagged unclassified 6
/c/v25.0/*/messages 403 = {"error":{"code":8}}
    =>  403 tagged unclassified 8
/c/v25.0/*/messages 403 = {"error":{"code":9}}
    =>  403 tagged context-limited 9 - undeliverable conversation



=== a server without rules has those of http
--- http_config
graph_policy_rule 5 fatal reason=billing scope=account;
graph_policy_rule 6 ignore;
--- steps
* 400 = {"error":{"code":5}}  =>  400 tagged fatal 5 - billing account
* 400 = {"error":{"code":6}}  =>  400 untouched
