# vi:set ft= ts=4 sw=4 et:

# What the log and other directives get to know from the variables.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Nginx::Socket;
use GraphPolicy::Steps;

plan tests => GraphPolicy::Steps::tests();

run_tests();

__DATA__

=== what the policy did, and what came of it
--- location
graph_policy_hold 1h;
--- format: $graph_policy_status $graph_policy_attempts $graph_policy_retry_after
--- steps
/1/messages one             =>  200
GET /1 one                  =>  200
/1/messages one 400 100     =>  400 passed
/1/messages one 400 130429  =>  400 passed
/1/messages one 500         =>  500 passed
/1/messages one 400 131042  =>  400 passed
/1/messages one             =>  400 blocked
GET /1 one                  =>  200
--- logged
PASSED 1 <none>
PASSED 1 <none>
PASSED 1 <none>
PASSED 1 1
PASSED 1 <none>
PASSED 1 <none>
BLOCKED 0 <none>
PASSED 1 <none>



=== the error: category, code, subcode, reason, scope, trace
--- format: $graph_error_category $graph_error_code $graph_error_subcode $graph_error_reason $graph_policy_scope $graph_error_trace
--- steps
/1/messages one               =>  200
/1/messages one 400 131042    =>  400 passed
/2/messages two 400 190/463   =>  400 passed
/3/messages three 400 100/33  =>  400 passed
/4/messages one 400 4         =>  400 passed
/4/messages one 400 131056    =>  400 passed
/4/messages one 400 131047    =>  400 passed
/4/messages one 400 100       =>  400 passed
/4/messages one 400 100/2     =>  400 passed
/4/messages one 400 999999    =>  400 passed
/4/messages one 500           =>  500 passed
--- logged
<none> <none> <none> <none> <none> <none>
fatal 131042 <none> billing account Trace131042
fatal 190 463 token-invalid credential Trace190
fatal 100 33 phone-disconnected phone Trace100
temporary 4 <none> rate-limit credential Trace4
temporary 131056 <none> pair-rate-limit conversation Trace131056
context-limited 131047 <none> window-expired conversation Trace131047
request 100 <none> other request Trace100
request 100 2 other request Trace100
unclassified 999999 <none> <none> <none> Trace999999
unclassified <none> <none> <none> <none> <none>



=== a code of 0 is a code
--- format: $graph_error_category $graph_error_code $graph_error_reason
--- steps
/1/messages one 400 0  =>  400 passed
/1/messages one        =>  400 blocked
--- logged
fatal 0 token-invalid
fatal 0 token-invalid



=== a local answer: the error is that of the answer that set the state
--- format: $graph_policy_status $graph_error_category $graph_error_code $graph_error_subcode $graph_error_reason $graph_policy_scope $graph_error_trace
--- steps
/1/messages one 400 131042    =>  400 passed
/1/messages one               =>  400 blocked
/2/messages two 400 190/463   =>  400 passed
/3/messages two               =>  400 blocked
/4/messages three 400 133010  =>  400 passed
/4/messages three             =>  400 blocked
/5/messages three 400 133010  =>  400 passed
/5/messages three             =>  400 blocked
--- logged
PASSED fatal 131042 <none> billing account Trace131042
BLOCKED fatal 131042 <none> billing account Trace131042
PASSED fatal 190 463 token-invalid credential Trace190
BLOCKED fatal 190 463 token-invalid credential Trace190
PASSED fatal 133010 <none> phone-disconnected phone Trace133010
BLOCKED fatal 133010 <none> phone-disconnected phone Trace133010
PASSED fatal 133010 <none> phone-disconnected phone Trace133010
BLOCKED fatal 133010 <none> phones-disconnected phone Trace133010



=== the state: its id, the same as in the header, on local answers alone
--- location
graph_policy_hold 1h;
--- format: $graph_policy_state $sent_http_x_graph_state
--- steps
/1/messages one             =>  200
/1/messages one 400 131042  =>  400 passed
/1/messages one             =>  400 blocked
/1/messages one             =>  400 blocked
/1/media one                =>  400 blocked
/2/messages one 400 131042  =>  400 passed
/2/messages one             =>  400 blocked
--- logged
<none> <none>
<none> <none>
<id:one> <id:one>
<id:one> <id:one>
<id:one> <id:one>
<none> <none>
<id:two> <id:two>



=== the time to wait is that of the header
--- location
graph_policy_hold 1h;
--- format: $graph_policy_retry_after $sent_http_retry_after $sent_http_x_graph_hold
--- steps
/1/messages one 400 4       =>  400 passed Retry-After:60
/1/messages one 400 131000  =>  400 passed
/1/messages one 400 131042  =>  400 passed
/1/messages one             =>  400 blocked
--- logged
60 60 <none>
<none> <none> <none>
<none> <none> <none>
<none> <none> <n>



=== a probe
--- location
graph_policy_hold 1ms;
--- format: $graph_policy_status $graph_policy_attempts $graph_error_category $graph_error_code $graph_policy_state $graph_policy_retry_after
--- steps
/1/messages one 400 131042  =>  400 passed
/1/messages one 400 131042  =>  400 probe
/1/messages one 500         =>  500 probe
/1/messages one 400 131026  =>  400 probe
/1/messages one             =>  200 probe
/1/messages one             =>  200
--- logged
PASSED 1 fatal 131042 <none> <none>
PROBE 1 fatal 131042 <none> <none>
PROBE 1 unclassified <none> <none> <none>
PROBE 1 context-limited 131026 <none> <none>
PROBE 1 <none> <none> <none> <none>
PASSED 1 <none> <none> <none> <none>



=== dry run: what would have been, and what came
--- location
graph_policy_dry_run on;
--- format: $graph_policy_status $graph_policy_attempts $graph_error_category $graph_error_code
--- steps
/1/messages one             =>  200
/1/messages one 400 131042  =>  400 passed
/1/messages one 400 131026  =>  400 dry-run
/1/messages one 500         =>  500 dry-run
/1/messages one             =>  200
/1/messages one             =>  200
--- logged
PASSED 1 <none> <none>
PASSED 1 fatal 131042
BLOCKED_DRY_RUN 1 context-limited 131026
BLOCKED_DRY_RUN 1 unclassified <none>
BLOCKED_DRY_RUN 1 <none> <none>
PASSED 1 <none> <none>



=== a rule in dry run
--- location
graph_policy_rule 131042 fatal dry_run=on;
--- format: $graph_policy_status $graph_error_category
--- steps
/1/messages one 400 131042  =>  400 passed
/1/messages one 400 131026  =>  400 dry-run
--- logged
PASSED fatal
BLOCKED_DRY_RUN context-limited



=== what a rule ignores has no error
--- location
graph_policy_rule 131042 ignore;
--- format: $graph_policy_status $graph_policy_attempts $graph_policy_scope $graph_error_category $graph_error_code $graph_error_subcode $graph_error_reason $graph_error_trace
--- steps
/1/messages one 400 131042  =>  400 !X-Graph-Policy
--- logged
PASSED 1 <none> <none> <none> <none> <none> <none>



=== the policy is off: nothing but the masked request line
--- config
location / {
    proxy_pass http://graph;
}
--- format: [$graph_policy_status$graph_policy_attempts$graph_policy_scope$graph_policy_state$graph_policy_retry_after$graph_policy_credential$graph_policy_account$graph_policy_phone$graph_error_category$graph_error_code$graph_error_subcode$graph_error_reason$graph_error_trace] $graph_policy_request
--- steps
/1/messages one                            =>  200
/1/messages?access_token=T one 400 131042  =>  400 !X-Graph-Policy
/1/messages?access_token=T one             =>  200
--- logged
[-------------] POST /1/messages HTTP/1.1
[-------------] POST /1/messages?access_token=*** HTTP/1.1
[-------------] POST /1/messages?access_token=*** HTTP/1.1



=== answers that are nginx's own
--- http_config
graph_policy_zone zone=z:1m;
upstream nobody { server 127.0.0.1:1 down; }
--- config
graph_policy zone=z;

location / {
    proxy_pass http://nobody;
}

location /own/ {
    return 400 "no\n";
}
--- format: $graph_policy_status $graph_policy_attempts $graph_error_category
--- steps
/1/messages one      =>  502 !X-Graph-Policy own
/own/1/messages one  =>  400 !X-Graph-Policy own
/own/1/messages one  =>  400 !X-Graph-Policy own
--- graph
--- logged
PASSED 1 <none>
PASSED 0 <none>
PASSED 0 <none>



=== the same token is the same credential, wherever it stands
--- format: $graph_policy_credential
--- steps
/1/messages one                              =>  200
/1/messages - {Authorization: bearer one}  =>  200
/1/messages - {Authorization: OAuth one}   =>  200
/1/messages - {Authorization: oauth  one}  =>  200
/1/messages?access_token=one -               =>  200
/1/messages?access_token=%6fn%65 -           =>  200
/1/messages?access%5Ftoken=one -             =>  200
/1/messages?a=b&access_token=one&c=d -       =>  200
/1/messages?access_token=one one             =>  200
/1/messages?access_token=one&access_token=one -  =>  200
/1/messages two                              =>  200
/1/messages?access_token=two -               =>  200
/1/messages One                              =>  200
GET /9 one                                   =>  200
--- logged
<fp:one>
<fp:one>
<fp:one>
<fp:one>
<fp:one>
<fp:one>
<fp:one>
<fp:one>
<fp:one>
<fp:one>
<fp:two>
<fp:two>
<fp:One>
<fp:one>



=== no credential: none at all, of another scheme, empty, or two that differ
--- format: [$graph_policy_credential]
--- steps
/1/messages -                          =>  200
/1/messages - {Authorization: Basic b25lOm9uZQ==}  =>  200
/1/messages - {Authorization: Bearer}  =>  200
/1/messages - {Authorization: one}     =>  200
/1/messages?access_token= -            =>  200
/1/messages?access_token=two one       =>  200
/1/messages?access_token=one&access_token=two -  =>  200
/1/messages?xaccess_token=one -        =>  200
--- logged
[<none>]
[<none>]
[<none>]
[<none>]
[<none>]
[<none>]
[<none>]
[<none>]



=== graph_policy_credential names it, and where it is empty the request does
--- location
graph_policy_credential $arg_token;
--- format: $graph_policy_credential
--- steps
/1/messages one                               =>  200
/1/messages?token= one                        =>  200
/1/messages?token=two one                     =>  200
/1/messages two                               =>  200
/1/messages?token=one&access_token=two three  =>  200
--- logged
<fp:one>
<fp:one>
<fp:two>
<fp:two>
<fp:one>



=== the phone: digits of the path before the edge, 1 to 20
--- format: [$graph_policy_phone]
--- steps
/1/messages one                            =>  200
/v25.0/106540352242922/messages one        =>  200
/x/y/v25.0/12345678901234567890/media one  =>  200
/v25.0/123456789012345678901/messages one  =>  200
/v25.0/12a/messages one                    =>  200
/messages one                              =>  200
GET /v25.0/106540352242922 one             =>  200
/v25.0/106540352242922/register one        =>  200
--- logged
[1]
[106540352242922]
[12345678901234567890]
[<none>]
[<none>]
[<none>]
[106540352242922]
[106540352242922]



=== graph_policy_phone names it, where it is a phone's id
--- location
graph_policy_phone $arg_phone;
--- format: [$graph_policy_phone]
--- steps
/1/messages?phone=22 one                     =>  200
/1/messages?phone= one                       =>  200
/1/messages one                              =>  200
/1/messages?phone=two one                    =>  200
/1/messages?phone=123456789012345678901 one  =>  200
--- logged
[22]
[1]
[1]
[<none>]
[<none>]



=== the account: what graph_policy_account says, a fingerprint if it isn't plain
--- location
graph_policy_account $arg_account;
--- format: [$graph_policy_account]
--- steps
/1/messages one                          =>  200
/1/messages?account= one                 =>  200
/1/messages?account=102290129340398 one  =>  200
/1/messages?account=Acme.Inc_2-b one     =>  200
/1/messages?account=a+b one              =>  200
/1/messages?account=a+b one              =>  200
/1/messages?account=a+c one              =>  200
/1/messages?account=0123456789012345678901234567890123456789012345678901234567890123 one
    =>  200
/1/messages?account=01234567890123456789012345678901234567890123456789012345678901234 one
    =>  200
--- logged
[<none>]
[<none>]
[102290129340398]
[Acme.Inc_2-b]
[<fp:ab>]
[<fp:ab>]
[<fp:ac>]
[0123456789012345678901234567890123456789012345678901234567890123]
[<fp:long>]



=== graph_policy_account $graph_policy_credential: one integration a token
--- location
graph_policy_account $graph_policy_credential;
--- format: $graph_policy_account $graph_policy_credential
--- steps
/1/messages one 400 131042  =>  400 passed
/2/messages one             =>  400 blocked
/2/messages two             =>  200
--- logged
<fp:one> <fp:one>
<fp:one> <fp:one>
<fp:two> <fp:two>



=== add_header sees them on every answer
--- location
add_header X-Seen $graph_policy_status/$graph_error_code/$graph_policy_phone always;
graph_policy_hold 1ms;
--- steps
/1/messages one             =>  200 X-Seen:PASSED//1
/1/messages one 400 100     =>  400 passed X-Seen:PASSED/100/1
/1/messages one 400 131042  =>  400 passed X-Seen:PASSED/131042/1
/1/messages one 400 131042  =>  400 probe X-Seen:PROBE/131042/1
/1/messages one 500         =>  500 probe X-Seen:PROBE//1
/1/messages one             =>  200 probe X-Seen:PROBE//1
GET /2 one                  =>  200 X-Seen:PASSED//2



=== add_header sees them on local answers
--- location
add_header X-Seen $graph_policy_status/$graph_error_code/$graph_policy_state always;
add_header X-State $graph_policy_state;
--- format: $sent_http_x_seen
--- steps
/1/messages one 400 131042  =>  400 passed
/1/messages one             =>  400 blocked !X-State
--- logged
PASSED/131042/
BLOCKED/131042/<id>



=== what goes to the upstream can bear them
--- location
graph_policy_hold 1ms;
proxy_set_header X-Policy "$graph_policy_status $graph_policy_phone";
--- graph_format: $http_x_policy
--- steps
/1/messages one             =>  200
/1/messages one 400 131042  =>  400 passed
/1/messages one 400 131042  =>  400 probe
/1/messages one             =>  200 probe
--- graph
POST /1/messages PASSED 1
POST /1/messages PASSED 1
POST /1/messages PROBE 1
POST /1/messages PROBE 1



=== what was looked up early isn't kept
--- config
location / {
    graph_policy zone=z;
    set $early $graph_policy_status;
    proxy_pass http://graph;
}
--- http_config
graph_policy_zone zone=z:1m;
--- format: $early $graph_policy_status
--- steps
/1/messages one 400 131042  =>  400 passed
/1/messages one             =>  400 blocked
--- logged
PASSED PASSED
PASSED BLOCKED



=== after a redirect inside nginx they still tell of the request
--- config
location / {
    graph_policy zone=z;
    graph_policy_hold 1ms;
    graph_policy_account acme;
    try_files /nowhere @graph;
}

location @graph {
    graph_policy zone=z;
    proxy_pass http://graph;
}
--- http_config
graph_policy_zone zone=z:1m;
--- format: $graph_policy_status $graph_policy_attempts $graph_error_code $graph_policy_phone $graph_policy_credential
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one             =>  400 blocked
--- logged
PASSED 1 133010 1 <fp:one>
BLOCKED 0 133010 1 <fp:one>



=== the request line: without arguments it is as it came
--- format: $graph_policy_request
--- steps
/1/messages one                      =>  200
/1/messages HTTP/1.0 one             =>  200
/1/messages? one                     =>  200
GET /access_token=T/1 one            =>  200
/%31/messages?a=%20b&c one           =>  200
http://localhost/1/messages?a=b one  =>  200
--- logged
POST /1/messages HTTP/1.1
POST /1/messages HTTP/1.0
POST /1/messages? HTTP/1.1
GET /access_token=T/1 HTTP/1.1
POST /%31/messages?a=%20b&c HTTP/1.1
POST http://localhost/1/messages?a=b HTTP/1.1
--- graph
POST /1/messages
POST /1/messages
POST /1/messages?
GET /access_token=T/1
POST /%31/messages?a=%20b&c
POST /1/messages?a=b



=== the request line: secrets are masked, wherever they stand
--- format: $graph_policy_request
--- steps
/1/messages?access_token=SECRET -           =>  200
/1/messages?access_token=SECRET HTTP/1.0 -  =>  200
/1/messages?appsecret_proof=SECRET one      =>  200
/1/messages?a=b&access_token=SECRET -       =>  200
/1/messages?access_token=SECRET&a=b -       =>  200
/1/messages?a=b&access_token=SECRET&c=d -   =>  200
/1/messages?access_token=SECRET&appsecret_proof=SECRET&a=b -  =>  200
/1/messages?access_token=SECRET&access_token=SECRET2 -  =>  200
/1/messages?a&&access_token=SECRET& -       =>  200
/1/messages?access_token=SEC=RET?SECRET/SECRET -  =>  200
http://localhost/1/messages?access_token=SECRET -  =>  200
GET /1?fields=id&access_token=SECRET -      =>  200
--- logged
POST /1/messages?access_token=*** HTTP/1.1
POST /1/messages?access_token=*** HTTP/1.0
POST /1/messages?appsecret_proof=*** HTTP/1.1
POST /1/messages?a=b&access_token=*** HTTP/1.1
POST /1/messages?access_token=***&a=b HTTP/1.1
POST /1/messages?a=b&access_token=***&c=d HTTP/1.1
POST /1/messages?access_token=***&appsecret_proof=***&a=b HTTP/1.1
POST /1/messages?access_token=***&access_token=*** HTTP/1.1
POST /1/messages?a&&access_token=***& HTTP/1.1
POST /1/messages?access_token=*** HTTP/1.1
POST http://localhost/1/messages?access_token=*** HTTP/1.1
GET /1?fields=id&access_token=*** HTTP/1.1
--- graph
POST /1/messages?access_token=SECRET
POST /1/messages?access_token=SECRET
POST /1/messages?appsecret_proof=SECRET
POST /1/messages?a=b&access_token=SECRET
POST /1/messages?access_token=SECRET&a=b
POST /1/messages?a=b&access_token=SECRET&c=d
POST /1/messages?access_token=SECRET&appsecret_proof=SECRET&a=b
POST /1/messages?access_token=SECRET&access_token=SECRET2
POST /1/messages?a&&access_token=SECRET&
POST /1/messages?access_token=SEC=RET?SECRET/SECRET
POST /1/messages?access_token=SECRET
GET /1?fields=id&access_token=SECRET



=== the request line: an escaped name is the name all the same
--- format: $graph_policy_request
--- steps
/1/messages?access%5Ftoken=SECRET -       =>  200
/1/messages?access%5ftoken=SECRET -       =>  200
/1/messages?%61%63%63%65%73%73%5f%74%6f%6b%65%6e=SECRET -  =>  200
/1/messages?appsecret%5Fproof=SECRET one  =>  200
/1/messages?%61ppsecret_proo%66=SECRET&a=b one  =>  200
--- logged
POST /1/messages?access%5Ftoken=*** HTTP/1.1
POST /1/messages?access%5ftoken=*** HTTP/1.1
POST /1/messages?%61%63%63%65%73%73%5f%74%6f%6b%65%6e=*** HTTP/1.1
POST /1/messages?appsecret%5Fproof=*** HTTP/1.1
POST /1/messages?%61ppsecret_proo%66=***&a=b HTTP/1.1



=== the request line: other names are shown
--- format: $graph_policy_request
--- steps
/1/messages?xaccess_token=shown one       =>  200
/1/messages?access_tokens=shown one       =>  200
/1/messages?access=shown&token=shown one  =>  200
/1/messages?a=access_token one            =>  200
/1/messages?access%25token=shown one      =>  200
--- logged
POST /1/messages?xaccess_token=shown HTTP/1.1
POST /1/messages?access_tokens=shown HTTP/1.1
POST /1/messages?access=shown&token=shown HTTP/1.1
POST /1/messages?a=access_token HTTP/1.1
POST /1/messages?access%25token=shown HTTP/1.1



=== the request line of a send that is blocked, and of one that is redirected
--- config
location / {
    graph_policy zone=z;
    rewrite ^/short/(\d+)$ /$1/messages?access_token=$arg_t;
    proxy_pass http://graph;
}
--- http_config
graph_policy_zone zone=z:1m;
--- format: $graph_policy_request
--- steps
/1/messages?access_token=SECRET - 400 133010  =>  400 passed
/1/messages?access_token=SECRET -             =>  400 blocked
/short/2?t=shown&access_token=SECRET -        =>  200
--- graph
POST /1/messages?access_token=SECRET
POST /2/messages?access_token=shown&t=shown&access_token=SECRET
--- logged
POST /1/messages?access_token=*** HTTP/1.1
POST /1/messages?access_token=*** HTTP/1.1
POST /short/2?t=shown&access_token=*** HTTP/1.1



=== the request line, and the others: HTTP/2
--- format: $graph_policy_request $graph_policy_status $graph_policy_phone $graph_policy_credential
--- http2_steps
/1/messages one                             =>  200
GET /1?fields=id one                        =>  200
/1/messages?access%5Ftoken=one&a=b one 400 131042  =>  400 passed
/1/messages?a=b&appsecret_proof=SECRET one  =>  400 blocked
--- steps
/1/messages?access_token=one one  =>  400 blocked
--- graph
POST /1/messages
GET /1?fields=id
POST /1/messages?access%5Ftoken=one&a=b
--- logged
POST /1/messages HTTP/2.0 PASSED 1 <fp:one>
GET /1?fields=id HTTP/2.0 PASSED 1 <fp:one>
POST /1/messages?access%5Ftoken=***&a=b HTTP/2.0 PASSED 1 <fp:one>
POST /1/messages?a=b&appsecret_proof=*** HTTP/2.0 BLOCKED 1 <fp:one>
POST /1/messages?access_token=*** HTTP/1.1 BLOCKED 1 <fp:one>



=== the request line: HTTP/0.9
--- format: $graph_policy_request
--- http09
--- raw_request eval: "GET /1?a=b&access_token=SECRET\r\n"
--- logged
GET /1?a=b&access_token=***



=== the request line: one that is malformed is masked, too
--- format: $graph_policy_request
--- raw_request eval: "GET /1?access_token=SECRET SECRET&a=b HTTP/1.1\r\nHost: localhost\r\n\r\n"
--- error_code: 400
--- graph
--- logged
GET /1?access_token=***&a=b HTTP/1.1



=== the request line: what is none is shown as $request shows it
--- format: [$graph_policy_request]
--- raw_request eval: "\r\nnothing\r\n"
--- error_code: 400
--- graph
--- logged
[nothing]
