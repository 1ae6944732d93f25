# vi:set ft= ts=4 sw=4 et:

# Temporary errors are sent again: which ones, how often, how long apart, and
# what the client, the upstream and the log see of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Nginx::Socket;
use GraphPolicy::Steps;

# a line for each of a list of answers, every one of a phone of its own
my $phone = 5000;

sub rows {
    my ($line, @answers) = @_;

    return join '', map {
        $phone++ . ' ' . $line =~ s/%/$_/gr . "\n"
    } @answers;
}

plan tests => GraphPolicy::Steps::tests();
run_tests();

__DATA__

=== every row that may be sent again: two errors, then accepted
# the long waits are cut short, and what else a rule omits is the row's
--- server
graph_policy_rule 4,80007,130429,131056,131057,2494100,*/2494100,133015
    temporary wait=20ms;
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps eval
main::rows('400 % | 400 % | 200  =>  200 retried x3',
    qw(2 4 4/2446079 17 17/2446079 32 613 80007 80008 130429 130429/2494055
       131016 131056 131057 131208 133004 133015 138005 2494100 100/2494100
       368/2494100))



=== the same, whatever the status says
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps eval
main::rows('% 131016 | % 133004 | 200  =>  200 retried x3',
    qw(400 401 403 404 409 413 416 422 429 499 500 502 503 504 599))



=== rows of which nobody says that nothing was done: one error, then accepted
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps eval
main::rows('500 % | 200  =>  200 retried x2',
    '1', '131000', '341', '139102', '139103',
    # never published, but it says of itself that it passes
    '777777 transient=true')



=== every other row reaches the upstream once
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000 unknown=3;
--- steps eval
my %codes = (
    fatal => '0 3 10 33 102 131005 131031 131037 131042 131044 131045 133010
        190 190/458 190/459 190/460 190/463 190/464 190/467 190/492 200 201
        298 299 200/458 200/1349174 368 100/33',
    'context-limited' => '130403 130472 130497 131026 131041 131043 131047
        131048 131049 131050 131052 131053 131064 131207 137000 138001 138006
        138009',
    # not for sending again within a request
    temporary => '133016 134101',
    request => '100 104 506 803 2500 131001 131002 131006 131008 131009 131020
        131021 131030 131051 131055 131058 131059 131060 131062 131063 131201 131202 131204
        131209 131210 131211 131212 131213 131214 131215 132000 132001 132005
        132007 132008 132012 132015 132016 132018 132068 132069 133000 133001
        133002 133003 133005 133006 133007 133008 133009 134011 134100 134102
        135000 136025 138000 138002 138003 138004 138007 138012 138013 138018
        139000 139001 139002 139003 139004 139100 139101 147001 147002 147003
        147004 147005 200005 200006 200007 1609005 1752041 2207051 2494164
        2494165 2494166 2494167 2494168 2494176 2494177 2494179 2593079
        2593085 2593107 2593108 2593109 100/2388012 100/2388019 100/2388024
        100/2388039 100/2388040 100/2388043 100/2388046 100/2388047
        100/2388072 100/2388073 100/2388091 100/2388093 100/2388103
        100/2388155 100/2388293 100/2388299',
    unclassified => '5 199 300 131999 777777 -1',
);
CORE::join('', map { main::rows("500 % | 200  =>  500 $_ passed x1",
    split ' ', $codes{$_}) } sort keys %codes)



=== what isn't a complete, readable Graph error is left alone
# such ones are for proxy_next_upstream
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps eval
main::rows('500 % | 200  =>  500 unclassified passed x1',
    'type=text/html body=%3Ch1%3EService%20Unavailable%3C/h1%3E',
    'body=',
    'type=application/json body=%7B%22error%22:%7B%22code%22:131016',
    'type=application/json body=%7B%22error%22:%7B%22message%22:%22131016%22%7D%7D',
    'type=application/json body=%7B%22error%22:null%7D',
    'type=application/json body=%7B%22code%22:131016%7D',
    'type=application/json body=[%7B%22error%22:%7B%22code%22:131016%7D%7D]',
    'type=application/json body=null')



=== a 2xx is final, whatever its body says
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps
1001 200 131016 | 200  =>  200
1002 202 131016 | 200  =>  202
1003 302 131016 | 200  =>  302



=== without the directive nothing is sent again
--- steps
1001 500 131016 | 200  =>  500 temporary service-unavailable passed
1002 500 131000 | 200  =>  500 temporary server-error passed



=== "off", and each level its own
--- config
    graph_policy zone=z;
    graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
    location / {
        proxy_pass http://graph;
    }
    location /v25.0/2 {
        graph_policy_retry off;
        proxy_pass http://graph;
    }
    location /v25.0/3 {
        graph_policy_retry attempts=2 base=20ms;
        proxy_pass http://graph;
    }
    location /v25.0/4 {
        graph_policy off;
        proxy_pass http://graph;
    }
--- steps
1001 500 131016 | 500 131016 | 200  =>  200 retried x3
2001 500 131016 | 500 131016 | 200  =>  500 temporary passed x1
3001 500 131016 | 500 131016 | 200  =>  500 temporary retried x2
4001 500 131016 | 500 131016 | 200  =>  500 !X-Graph-Error-Category x1



=== any request, not only sends
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps
1001               500 131016 | 200  =>  200 retried x2
POST /v25.0/1001/media       500 131016 | 200  =>  200 retried x2
POST /v25.0/1001/register    500 133004 | 200  =>  200 retried x2
GET /v25.0/1001              500 131016 | 200  =>  200 retried x2
GET /v25.0/77/x?a=b&c=%20d   500 131016 | 200  =>  200 retried x2
PUT /v25.0/1001/x            500 131016 | 200  =>  200 retried x2
DELETE /v25.0/77             500 131016 | 200  =>  200 retried x2
PATCH /v25.0/1001/x          500 131016 | 200  =>  200 retried x2
OPTIONS /v25.0/1001/x        500 131016 | 200  =>  200 retried x2
POST /                       500 131016 | 200  =>  200 retried x2
POST /other                  500 131016 | 200  =>  200 retried x2



=== the last answer need not be an error, nor accepted
--- server
graph_policy_retry attempts=4 base=20ms factor=1 budget_min=1000;
--- steps
1001 500 131016 | 204                 =>  204 retried x2
1002 500 131016 | 302 header=Location:/there  =>  302 retried x2 Location:/there
1003 500 131016 | 400 131047          =>  400 context-limited retried x2
1004 500 131016 | 400 100             =>  400 request retried x2
1005 500 131016 | 503                 =>  503 unclassified retried x2
1006 500 131016 | 400 131042          =>  400 fatal billing retried x2
1006 200                              =>  400 fatal billing blocked



=== the last answer may be nginx's own
# it was sent again, of that there is a header; of the error there is none
--- server
graph_policy_retry attempts=4 base=20ms factor=1 budget_min=1000;
--- format
$status "$upstream_status" $graph_policy_status $graph_policy_attempts
--- steps
1001 500 131016 | 0  =>  502 retried x2 own !X-Graph-Error-Category !X-Graph-Error-Code
1002 0               =>  502 x1 own !X-Graph-Error-Category
--- logged
502 "500, 502" RETRIED 2
502 "502" PASSED 1
--- mentions
upstream prematurely closed connection



=== attempts exhausted: the last error, and its headers once
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps
1001 500 131016/7 header=Set-Cookie:a=1 header=X-Only-1:1 header=Last-Modified:Thu,%2001%20Jan%202026%2000:00:00%20GMT | 503 133004 header=ETag:%22x%22 header=Cache-Control:no-store | 429 2 trace=Third
    => 429 retried temporary service-unavailable x3 X-Graph-Error-Code:2 X-Graph-Error-Scope:phone !X-Graph-Error-Subcode !Set-Cookie !X-Only-1 !Last-Modified !ETag !Cache-Control
1002 500 131016 header=X-A:1 | 500 131016 header=X-A:2 | 500 131016/9 header=X-A:3 fill=40
    => 500 retried temporary x3 X-A:3 X-Graph-Error-Code:131016 X-Graph-Error-Subcode:9 X-Fill-40:of-try-3



=== headers of these names that come from the upstream
--- server
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps
1001 500 131016 | 200 header=X-Graph-Policy:spoof header=X-Graph-Attempts:99 header=X-Graph-Error-Category:fatal header=X-Graph-State:x header=X-Graph-Hold:9 header=Retry-After:7
    => 200 retried x2 !X-Graph-Hold
1003 500 131016 | 400 100 header=Retry-After:7 header=X-Graph-Hold:9
    => 400 request retried x2 Retry-After:7 !X-Graph-Hold
1004 500 131016 | 400 131047 header=Retry-After:7 header=X-Graph-Hold:9
    => 400 context-limited retried x2 !Retry-After !X-Graph-Hold
1002 200 header=X-Graph-Policy:spoof header=X-Graph-Attempts:99
    => 200 X-Graph-Policy:spoof X-Graph-Attempts:99



=== 1 and 131000 on POST are sent again once
--- server
graph_policy_retry attempts=5 base=20ms factor=1 budget_min=1000;
--- steps
1001 500 1                            | 200  =>  200 retried x2
1002 500 131000                       | 200  =>  200 retried x2
1003 500 1      | 500 1               | 200  =>  500 temporary server-error retried x2
1004 500 131000 | 500 131000          | 200  =>  500 temporary server-error retried x2
1005 500 131000 | 500 131016 | 500 1  | 200  =>  500 temporary server-error retried x3
1006 500 131016 | 500 131016 | 500 1  | 200  =>  200 retried x4
1007 500 131000 | 500 131016 | 500 131016 | 200  =>  200 retried x4
POST /v25.0/77     500 131000 | 500 131000 | 200  =>  500 server-error retried x2
PATCH /v25.0/77    500 131000 | 500 131000 | 200  =>  500 server-error retried x2



=== 1 and 131000, unknown=0
--- server
graph_policy_retry attempts=5 base=20ms factor=1 budget_min=1000 unknown=0;
--- steps
1001 500 1                   | 200  =>  500 temporary server-error passed x1
1002 500 131000              | 200  =>  500 temporary server-error passed x1
1003 500 131016 | 500 131000 | 200  =>  500 temporary server-error retried x2
GET /v25.0/77 500 131000     | 200  =>  200 retried x2



=== 1 and 131000, unknown=2
--- server
graph_policy_retry attempts=5 base=20ms factor=1 budget_min=1000 unknown=2;
--- steps
1001 500 1 | 500 131000         | 200  =>  200 retried x3
1002 500 1 | 500 131000 | 500 1 | 200  =>  500 server-error retried x3



=== methods that are idempotent aren't limited
--- server
graph_policy_retry attempts=4 base=20ms factor=1 budget_min=1000;
--- steps
GET /v25.0/77      500 131000 | 500 1 | 500 131000 | 200  =>  200 retried x4
PUT /v25.0/77      500 131000 | 500 1 | 500 131000 | 200  =>  200 retried x4
DELETE /v25.0/77   500 131000 | 500 1 | 500 131000 | 200  =>  200 retried x4
OPTIONS /v25.0/77  500 131000 | 500 1 | 500 131000 | 200  =>  200 retried x4



=== a send is never idempotent, whatever its method
--- server
graph_policy_send $http_x_send;
graph_policy_retry attempts=4 base=20ms factor=1 budget_min=1000;
--- steps
GET /v25.0/77 500 131000 | 500 1 {X-Send: 1}     =>  500 server-error retried x2
PUT /v25.0/77 500 131000 | 500 1 {X-Send: 1}     =>  500 server-error retried x2
DELETE /v25.0/77 500 131000 | 500 1 {X-Send: 1}  =>  500 server-error retried x2
GET /v25.0/77 500 131000 | 500 1 | 200           =>  200 retried x3



=== what nginx sends as POST is not idempotent
--- server
proxy_method POST;
graph_policy_retry attempts=4 base=20ms factor=1 budget_min=1000;
--- steps
GET /v25.0/77      500 131000 | 500 1   =>  500 server-error retried x2 as=POST
DELETE /v25.0/77   500 131000 | 500 1   =>  500 server-error retried x2 as=POST
GET /v25.0/77      500 131016 | 500 2 | 500 131016 | 200  =>  200 retried x4 as=POST



=== what nginx sends with an idempotent method is
--- server
proxy_method DELETE;
graph_policy_retry attempts=4 base=20ms factor=1 budget_min=1000;
--- steps
GET /v25.0/77      500 131000 | 500 1 | 500 1 | 200  =>  200 retried x4 as=DELETE
POST /v25.0/77     500 131000 | 500 1                =>  500 server-error retried x2 as=DELETE



=== what names its method in the query is not, as Graph takes it from there
--- server
graph_policy_retry attempts=4 base=20ms factor=1 budget_min=1000;
--- steps
GET /v25.0/77?method=post          500 131000 | 500 1  =>  500 server-error retried x2
GET /v25.0/77?a=b&method=delete&c  500 131000 | 500 1  =>  500 server-error retried x2
GET /v25.0/77?%6dethod=POST        500 131000 | 500 1  =>  500 server-error retried x2
PUT /v25.0/77?method               500 131000 | 500 1  =>  500 server-error retried x2
GET /v25.0/77?method=get           500 131000 | 500 1  =>  500 server-error retried x2
GET /v25.0/77?methods=post&a=method  500 131000 | 500 1 | 200  =>  200 retried x3
GET /v25.0/method=post             500 131000 | 500 1 | 200    =>  200 retried x3



=== not even if nginx adds it to the query
--- config
        graph_policy zone=z;
        graph_policy_retry attempts=4 base=20ms factor=1 budget_min=1000;
        location / {
            proxy_pass http://graph$request_uri?method=delete;
        }
--- steps
GET /v25.0/77  500 131000 | 500 1  =>  500 server-error retried x2 as=/v25.0/77?method=delete



=== waits that no default deadline allows
--- server
graph_policy_retry attempts=5 budget_min=1000;
--- steps
1001 429 4           | 200  =>  429 temporary rate-limit passed x1 Retry-After:60 took<3000
1002 429 80007       | 200  =>  429 temporary rate-limit passed x1 Retry-After:60 took<3000
1003 503 2494100     | 200  =>  503 temporary maintenance passed x1 Retry-After:60 took<3000
1004 400 100/2494100 | 200  =>  400 temporary maintenance passed x1 Retry-After:60 took<3000
1005 400 133015      | 200  =>  400 temporary other passed x1 took<3000



=== the defaults: three tries, half a second and a second, with jitter
--- server
graph_policy_retry attempts=3;
--- steps
1001 500 131016 | 500 131016 | 500 131016 | 200
    => 500 retried temporary x3 gaps>=250,500 took<4000 !Retry-After



=== the pair limit: 1 s, 4 s
--- server
graph_policy_retry attempts=3 base=20ms max=30ms;
--- steps
1001 400 131056 | 400 131056 | 200
    => 200 retried x3 gaps>=1000,4000 took<8500



=== the pair limit: the next wait doesn't fit the deadline
# after the second failure it is 4 seconds
--- server
graph_policy_retry attempts=3 base=20ms deadline=3s;
--- steps
1001 400 131056 | 400 131056 | 200
    => 400 retried temporary pair-rate-limit x2 gaps>=1000 took<2500 Retry-After:4



=== the waits of other rows, which neither base nor max cuts
--- server
graph_policy_retry attempts=2 base=20ms max=30ms;
--- steps
1001 400 130429 | 200  =>  200 retried x2 gaps>=1000 took<4000
1002 500 131057 | 200  =>  200 retried x2 gaps>=5000 took<9000



=== the factor
--- server
graph_policy_retry attempts=4 base=20ms factor=6 budget_min=1000;
--- steps
1001 500 131016 | 500 131016 | 500 131016 | 200
    => 200 retried x4 gaps>=10,60,360 took<4000



=== the longest wait
# without max, the third one would be five seconds at least
--- server
graph_policy_retry attempts=4 base=100ms factor=10 max=150ms;
--- steps
1001 500 131016 | 500 131016 | 500 131016 | 200
    => 200 retried x4 gaps>=50,75,75 took<3000



=== the deadline, past which no try may start
--- server
graph_policy_retry attempts=20 base=200ms factor=1 deadline=90ms budget_min=1000;
--- steps
1001 500 131016 | 200  =>  500 temporary passed x1



=== the deadline counts from the request's start
# 600 ms at the upstream, and 150 ms to wait at least
--- server
graph_policy_retry attempts=20 base=300ms factor=1 deadline=700ms budget_min=1000;
--- steps
1001 500 131016 after=600 | 200  =>  500 temporary passed x1
1002 500 131016           | 200  =>  200 retried x2



=== the deadline, after several tries
--- server
graph_policy_retry attempts=20 base=1s factor=1 deadline=1900ms budget_min=1000;
--- steps
1001 500 131016 after=300 | 500 131016 after=700 | 200
    => 500 temporary retried x2 took<5000



=== a rule says whether
--- server
graph_policy_rule 131016        temporary retry=off;
graph_policy_rule 133016,134101 temporary retry=on;
graph_policy_rule 131000,1      temporary outcome=refused;
graph_policy_rule 2             temporary outcome=unknown;
graph_policy_rule 777001        temporary;
graph_policy_rule 777002        temporary retry=on;
graph_policy_rule 777003        temporary retry=on outcome=refused;
graph_policy_rule 131042        temporary retry=on;
graph_policy_rule 133004        fatal;
graph_policy_rule 131057        ignore;
graph_policy_rule 17/5          temporary retry=off;
graph_policy_retry attempts=4 base=20ms factor=1 budget_min=1000;
--- steps
1001 500 131016                       | 200  =>  500 temporary service-unavailable passed x1
1002 500 133016 | 500 133016          | 200  =>  200 retried x3
1003 500 134101                       | 200  =>  200 retried x2
1004 500 131000 | 500 1 | 500 131000  | 200  =>  200 retried x4
1005 500 2 | 500 2                    | 200  =>  500 temporary retried x2
1006 500 777001                       | 200  =>  500 temporary passed x1
1007 500 777002 | 500 777002          | 200  =>  500 temporary retried x2
1008 500 777003 | 500 777003          | 200  =>  200 retried x3
1009 500 131042                       | 200  =>  200 retried x2
1010 500 133004                       | 200  =>  500 fatal passed x1
1011 500 131057                       | 200  =>  500 !X-Graph-Error-Category x1
1012 500 17/5                         | 200  =>  500 temporary passed x1
1013 500 17                           | 200  =>  200 retried x2
# it got a temporary error, of which no state is kept
1009 200                                     =>  200



=== a rule says how long
--- server
graph_policy_rule 131016 temporary wait=300ms;
graph_policy_rule 131056 temporary wait=30ms;
graph_policy_rule 133004 temporary wait=1h;
graph_policy_rule 4      temporary wait=10ms;
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps
1001 500 131016 | 500 131016 | 200     =>  200 retried x3 gaps>=300,300
1002 500 131016                        =>  500 temporary retried x3 Retry-After:1
1003 400 131056 | 400 131056 | 200     =>  200 retried x3 gaps>=30,30 took<3000
1004 500 133004 | 200                  =>  500 temporary passed x1 Retry-After:3600
1005 429 4      | 200                  =>  200 retried x2 took<3000



=== the dry run sends nothing again, and says that it would
--- server
graph_policy_dry_run on;
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- format
$graph_policy_status $graph_policy_attempts $status
--- steps
1001 500 131016 | 200  =>  500 temporary dry-run x1
1002 500 131000 | 200  =>  500 temporary dry-run x1
1003 429 4      | 200  =>  429 temporary passed x1 Retry-After:60
1004 400 131047 | 200  =>  400 context-limited passed x1
1005 200               =>  200
--- logged
RETRIED_DRY_RUN 1 500
RETRIED_DRY_RUN 1 500
PASSED 1 429
PASSED 1 400
PASSED 1 200



=== the dry run of a share, and of one rule
--- server
graph_policy_dry_run $http_x_dry;
graph_policy_rule 133004 temporary dry_run=on;
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- steps
1001 500 131016 | 200 {X-Dry: 1}       =>  500 temporary dry-run x1
1002 500 131016 | 200 {X-Dry: 0}       =>  200 retried x2
1003 500 131016 | 200                  =>  200 retried x2
1004 500 133004 | 200                  =>  500 temporary dry-run x1
1005 500 131016 | 500 133004 | 200     =>  500 temporary retried x2



=== the log: one line, all tries, the whole time
--- http_config
map $request_time $how_long {
    ~^0\.[0-2] short;
    ~^0        long;
    default    longer;
}
--- server
graph_policy_retry attempts=4 base=600ms factor=1 budget_min=1000;
--- format
$status "$upstream_status" "$upstream_addr" "$upstream_response_time" $how_long $graph_policy_status $graph_policy_attempts "$graph_error_category" "$graph_error_code" "$graph_policy_retry_after"
--- steps
1001 500 131016 | 503 131016 | 200  =>  200 retried x3 gaps>=300,300
1002 500 131016 | 400 131047        =>  400 context-limited retried x2 gaps>=300
1003 429 4                          =>  429 temporary passed x1
1004 200                            =>  200
--- logged
200 "500, 503, 200" "127.0.0.1:<n:port>, 127.0.0.1:<n:port>, 127.0.0.1:<n:port>" "<~(\d\.\d{3}, ){2}\d\.\d{3}>" <~long\w*> RETRIED 3 "<none>" "<none>" "<none>"
400 "500, 400" "127.0.0.1:<n:port>, 127.0.0.1:<n:port>" "<~\d\.\d{3}, \d\.\d{3}>" <~long\w*> RETRIED 2 "context-limited" "131047" "<none>"
429 "429" "127.0.0.1:<n:port>" "<~\d\.\d{3}>" short PASSED 1 "temporary" "4" "60"
200 "200" "127.0.0.1:<n:port>" "<~\d\.\d{3}>" short PASSED 1 "<none>" "<none>" "<none>"



=== sent to the log is no request line
--- server
graph_policy_retry attempts=2 base=20ms factor=1 budget_min=1000;
--- steps
POST /v25.0/1001/messages?access_token=verysecret 500 131016 | 200 {Authorization: Bearer verysecret}
    => 200 retried x2
--- mentions
graph policy sends again(?!.*verysecret)



=== a probe that is tried several times stays the probe
--- server
graph_policy_hold 50ms max=50ms;
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
# an answer that takes a moment lets the hold pass
--- steps
1001 400 131042                =>  400 fatal billing passed
1002 200 after=100             =>  200
1001 500 131016 | 400 131042   =>  400 fatal billing probe x2 X-Graph-Attempts:2
1002 200 after=100             =>  200
1001 500 131016 | 200          =>  200 probe x2 X-Graph-Attempts:2
1001 200                       =>  200



=== a probe in the log
--- server
graph_policy_hold 50ms max=50ms;
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
--- format
$graph_policy_status $graph_policy_attempts
--- steps
1001 400 131042                  =>  400 fatal billing passed
1002 500 131016 after=100 | 200  =>  200 retried x2
1001 500 131016 | 200            =>  200 probe x2 X-Graph-Attempts:2
1001 500 131016 | 200            =>  200 retried x2
--- logged
PASSED 1
RETRIED 2
PROBE 2
RETRIED 2
