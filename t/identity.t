# Whose request is it: credential, account and phone of a request, and whether
# it is a send.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Nginx::Socket 'no_plan';
use GraphPolicy::Steps hold => '5m', workers => 2;

no_shuffle();
run_tests();

__DATA__

=== a token is the same credential in whichever scheme and case
--- steps
1001 Bearer:tok 401 190  =>  401 fatal token-invalid passed
1002 Bearer:tok          =>  401 fatal token-invalid blocked
1002 bearer:tok          =>  401 fatal token-invalid blocked
1002 BEARER:tok          =>  401 fatal token-invalid blocked
1002 OAuth:tok           =>  401 fatal token-invalid blocked
1002 oauth:tok           =>  401 fatal token-invalid blocked
1002 OAUTH:tok           =>  401 fatal token-invalid blocked



=== and in the access_token argument
--- steps
1001 EAAx|y-1 401 190                         =>  401 fatal passed
/v25.0/1002/messages?access_token=EAAx|y-1 -  =>  401 fatal blocked
/v25.0/1002/messages?access_token=EAAx%7Cy-1 -  =>  401 fatal blocked
/v25.0/1002/messages?access_token=%45%41%41x%7cy%2D1 -  =>  401 fatal blocked
/v25.0/1002/messages?a=1&access_token=EAAx%7Cy-1&b=2 -  =>  401 fatal blocked
/v25.0/1002/messages?%61ccess%5Ftoken=EAAx%7Cy-1 -  =>  401 fatal blocked
/v25.0/1002/messages?xaccess_token=EAAx%7Cy-1 -  =>  200
/v25.0/1002/messages?access_token=EAAx%7Cy-1%20 -  =>  200
/v25.0/1002/messages?access_token=EAAx%257Cy-1 -  =>  200



=== the argument sets what the header is covered by
--- steps
/v25.0/1001/messages?access_token=t%61k - 401 190  =>  401 fatal passed
1002 tak    =>  401 fatal blocked
1002 t%61k  =>  200



=== another token is another credential, however near
--- steps
1001 tok 401 190  =>  401 fatal passed
1001 TOK          =>  200
1001 to           =>  200
1001 tokk         =>  200
1001 tok          =>  401 fatal blocked



=== the same token in both places is one credential
--- steps
/v25.0/1001/messages?access_token=tok tok 401 190  =>  401 fatal passed
1002 tok                                     =>  401 fatal blocked
/v25.0/1002/messages?access_token=tok tok    =>  401 fatal blocked
/v25.0/1002/messages?access_token=%74ok tok  =>  401 fatal blocked



=== two tokens that differ set nothing
--- steps
/v25.0/1001/messages?access_token=b a 401 190  =>  401 fatal passed
1001 a  =>  200
1001 b  =>  200
/v25.0/1001/messages?access_token=b a 400 131042  =>  400 fatal billing passed
/v25.0/1001/messages?access_token=b a 400 133010  =>  400 fatal passed
1001 a  =>  200
1001 b  =>  200



=== two arguments that differ set nothing
--- steps
/v25.0/1001/messages?access_token=a&access_token=b - 400 131042
    =>  400 fatal passed
1001 a  =>  200
1001 b  =>  200
/v25.0/1001/messages?access_token=a&access_token=a - 401 190
    =>  401 fatal passed
1001 a  =>  401 fatal blocked



=== nothing credential-bound covers a request with two tokens that differ
--- steps
1001 a 401 190                         =>  401 fatal token-invalid passed
1001 b 401 190                         =>  401 fatal token-invalid passed
/v25.0/1001/messages?access_token=b a  =>  200
1001 c 400 133010                      =>  400 fatal passed
/v25.0/1001/messages?access_token=b a  =>  400 fatal phone-disconnected blocked



=== no token: sets nothing
--- steps
1001 - 401 190     =>  401 fatal token-invalid passed
1001 - 400 131042  =>  400 fatal billing passed
1001 - 400 133010  =>  400 fatal phone-disconnected passed
1001 -             =>  200
1001 a             =>  200



=== no token: covered by what covers everyone, and by nothing credential-bound
--- steps
1001 a 401 190     =>  401 fatal token-invalid passed
1001 -             =>  200
1001 a 400 131042  =>  401 fatal token-invalid blocked
1002 b 400 131042  =>  400 fatal billing passed
1002 -             =>  400 fatal billing blocked



=== another scheme is no credential
--- steps
1001 Basic:dG9rOnRvaw== 400 131042  =>  400 fatal billing passed
1001 Basic:dG9rOnRvaw==             =>  200
/v25.0/1001/messages?access_token=a Basic:dG9rOnRvaw== 401 190
    =>  401 fatal passed
1002 a                              =>  401 fatal blocked



=== graph_policy_credential names the credential where the proxy adds the token
--- server
    graph_policy_credential $http_x_customer;
    proxy_set_header Authorization "Bearer of-$http_x_customer";
--- steps
1001 - 401 190 {X-Customer: one}  =>  401 fatal token-invalid passed
1002 - {X-Customer: one}          =>  401 fatal token-invalid blocked
1001 - {X-Customer: two}          =>  200
1001 - {X-Customer: o%6Ee}        =>  200



=== it goes before what the client sent
--- server
    graph_policy_credential $http_x_customer;
--- steps
1001 a 401 190 {X-Customer: one}  =>  401 fatal passed
1001 a {X-Customer: two}          =>  200
1001 b {X-Customer: one}          =>  401 fatal blocked
/v25.0/1001/messages?access_token=c b {X-Customer: one}  =>  401 fatal blocked



=== and where it is empty, the token of the request counts
--- server
    graph_policy_credential $http_x_customer;
--- steps
1001 a 401 190            =>  401 fatal passed
1002 a                    =>  401 fatal blocked
1002 b                    =>  200
1002 a {X-Customer: one}  =>  200



=== graph_policy_account: a state covers all phones of the account
--- http_config
    map $graph_policy_phone $account {
        1001  A;
        1002  A;
        1003  B;
    }
--- server
    graph_policy_account $account;
--- steps
1001 a 400 131042  =>  400 fatal billing passed X-Graph-Error-Scope:account
1002 a             =>  400 fatal billing blocked
1002 b             =>  400 fatal billing blocked
1003 a             =>  200
1004 a             =>  200



=== an unknown account: the state covers the phone that got it, for everyone
--- http_config
    map $graph_policy_phone $account {
        1001  A;
    }
--- server
    graph_policy_account $account;
--- steps
1002 a 400 131042  =>  400 fatal billing passed X-Graph-Error-Scope:account
1002 a             =>  400 fatal billing blocked
1002 b             =>  400 fatal billing blocked
1003 a             =>  200
1001 a             =>  200



=== and is not widened when the account becomes known
--- server
    graph_policy_account $http_x_account;
--- steps
1001 a 400 131042      =>  400 fatal billing passed
1001 a {X-Account: A}  =>  400 fatal billing blocked
1002 a {X-Account: A}  =>  200



=== account ids of other characters or sizes are distinct accounts all the same
--- http_config
    map $graph_policy_phone $account {
        1001  "A b/\"ü";
        1002  "A b/\"ü";
        1003  "A b/\"u";
        1011  AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-1;
        1012  AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-1;
        1013  AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-2;
    }
--- server
    graph_policy_account $account;
--- steps
1001 a 400 131042  =>  400 fatal billing passed
1002 b             =>  400 fatal billing blocked
1003 a             =>  200
1011 a 400 131042  =>  400 fatal billing passed
1012 b             =>  400 fatal billing blocked
1013 a             =>  200



=== an account id of valid characters is shown as it is
--- server
    graph_policy_account $http_x_account;
    add_header X-Account $graph_policy_account always;
--- steps
1001 a {X-Account: 10.a_B-9}  =>  200 X-Account:10.a_B-9
1001 a {X-Account: A b}       =>  200
1001 a                        =>  200 !X-Account
--- raw_response_headers_unlike eval
[("A b") x 3]



=== one integration a token: the account is the credential
--- server
    graph_policy_account $graph_policy_credential;
--- steps
1001 a 400 131042  =>  400 fatal billing passed
1002 a             =>  400 fatal billing blocked
1001 b             =>  200
1002 b             =>  200



=== graph_policy_phone goes before the path
--- server
    graph_policy_phone $http_x_phone;
    add_header X-Phone $graph_policy_phone always;
--- steps
1001 a 400 133010 {X-Phone: 77}
    =>  400 fatal phone-disconnected passed X-Phone:77
1002 a {X-Phone: 77}  =>  400 fatal phone-disconnected blocked X-Phone:77
1001 a {X-Phone: 78}             =>  200 X-Phone:78



=== a graph_policy_phone that is no phone id: the phone is unknown
--- server
    graph_policy_phone $http_x_phone;
--- steps
1001 a 400 133010 {X-Phone: +77}         =>  400 fatal passed
1001 a {X-Phone: +77}                    =>  200
1001 a 400 133010 {X-Phone: 77a}         =>  400 fatal passed
1001 a {X-Phone: 77a}                    =>  200
1001 a 400 133010 {X-Phone: 123456789012345678901}  =>  400 fatal passed
1001 a {X-Phone: 123456789012345678901}  =>  200
1001 a 400 133010 {X-Phone: 12345678901234567890}  =>  400 fatal passed
1001 a {X-Phone: 12345678901234567890}   =>  400 fatal blocked
1001 a 401 190 {X-Phone: 77a}            =>  401 fatal token-invalid passed
1001 a {X-Phone: 77a}                    =>  401 fatal token-invalid blocked



=== every kind of send sets a state
--- steps
1001/messages a 400 131042            =>  400 fatal billing passed
1001 a                                =>  400 fatal billing blocked
1002/marketing_messages a 400 131042  =>  400 fatal billing passed
1002 a                                =>  400 fatal billing blocked
1003/messages_encrypted a 400 131042  =>  400 fatal billing passed
1003 a                                =>  400 fatal billing blocked
1004/media a 400 131042               =>  400 fatal billing passed
1004 a                                =>  400 fatal billing blocked



=== which requests are sends: the end of the path says it
--- steps
1001 a 400 133010                     =>  400 fatal phone-disconnected passed
1001/messages a                       =>  400 fatal phone-disconnected blocked
1001/marketing_messages a             =>  400 fatal phone-disconnected blocked
1001/messages_encrypted a             =>  400 fatal phone-disconnected blocked
1001/media a                          =>  400 fatal phone-disconnected blocked
/1001/messages a                      =>  400 fatal phone-disconnected blocked
/v1.0/1001/messages a                 =>  400 fatal phone-disconnected blocked
/v123.45/1001/media a                 =>  400 fatal phone-disconnected blocked
/some/where/v25.0/1001/messages a     =>  400 fatal phone-disconnected blocked
/v25.0/9/1001/messages a              =>  400 fatal phone-disconnected blocked
/v25.0/1001/messages?x=/1002/media a  =>  400 fatal phone-disconnected blocked
//v25.0//1001//messages a             =>  400 fatal phone-disconnected blocked
/v25.0/x/../1001/./messages a         =>  400 fatal phone-disconnected blocked
/v25.0/%31001/message%73 a            =>  400 fatal phone-disconnected blocked
/v25.0/1001%2Fmessages a              =>  400 fatal phone-disconnected blocked



=== and what isn't one
--- steps
1001 a 400 133010                  =>  400 fatal phone-disconnected passed
GET /v25.0/1001/messages a         =>  200
PUT /v25.0/1001/messages a         =>  200
DELETE /v25.0/1001/messages a      =>  200
1001/messages/ a                   =>  200
1001/messagesx a                   =>  200
1001/xmessages a                   =>  200
1001/message a                     =>  200
1001/messages_ a                   =>  200
1001/calls a                       =>  200
1001/register a                    =>  200
1001/message_templates a           =>  200
/v25.0/x1001/messages a            =>  200
/v25.0/1001x/messages a            =>  200
/v25.0/+1001/messages a            =>  200
/v25.0/1001/1/messages/x a         =>  200
/v25.0/1001 a                      =>  200
/messages a                        =>  200
/v25.0/messages a                  =>  200
/ a                                =>  200
/v25.0/1?x=/v25.0/1001/messages a  =>  200
/v25.0/01001/messages a            =>  200



=== a phone id has 1 to 20 digits
--- steps
1 a 400 133010                           =>  400 fatal passed
1 a                                      =>  400 fatal blocked
12345678901234567890 a 400 133010        =>  400 fatal passed
12345678901234567890 a                   =>  400 fatal blocked
12345678901234567891 a                   =>  200
/v25.0/123456789012345678901/messages a 400 133010  =>  400 fatal passed
/v25.0/123456789012345678901/messages a  =>  200
/v25.0/23456789012345678901/messages a   =>  200
99999999999999999999 a 400 133010        =>  400 fatal passed
99999999999999999999 a                   =>  400 fatal blocked
18446744073709551615 a                   =>  200
7766279631452241919 a                    =>  200



=== the path counts as rewrites leave it
--- config
    graph_policy zone=z;

    location /wa/ {
        rewrite ^/wa/(\d+)$ /v25.0/$1/messages break;
        proxy_pass http://graph;
    }
    location /last/ {
        rewrite ^/last/(\d+)$ /v25.0/$1/messages last;
    }
    location /templates/ {
        rewrite ^/templates/(\d+)/messages$ /v25.0/$1/message_templates break;
        proxy_pass http://graph;
    }
    location / {
        proxy_pass http://graph;
    }
--- steps
/wa/1001 a 400 133010       =>  400 fatal phone-disconnected passed as=/v25.0/1001/messages
1001 a                      =>  400 fatal phone-disconnected blocked
/wa/1001 a                  =>  400 fatal phone-disconnected blocked
/last/1001 a                =>  400 fatal phone-disconnected blocked
/templates/1001/messages a  =>  200 as=/v25.0/1001/message_templates
/wa/1002 a                  =>  200 as=/v25.0/1002/messages



=== graph_policy_send says which requests are sends, whatever their method
--- server
    graph_policy_send $arg_send $http_x_send;
    graph_policy_phone $arg_phone;
--- steps
/out?send=1&phone=77 a 400 133010   =>  400 fatal phone-disconnected passed
/out?send=1&phone=77 a              =>  400 fatal phone-disconnected blocked
/out?send=yes&phone=77 a            =>  400 fatal phone-disconnected blocked
/out?send=00&phone=77 a             =>  400 fatal phone-disconnected blocked
GET /out?send=1&phone=77 a          =>  400 fatal phone-disconnected blocked
/out?phone=77 a {X-Send: 1}         =>  400 fatal phone-disconnected blocked
/out?send=0&phone=77 a {X-Send: 1}  =>  400 fatal phone-disconnected blocked
/out?send=1&phone=78 a              =>  200
/out?send=0&phone=77 a              =>  200
/out?send=0&phone=77 a {X-Send: 0}  =>  200
/out?phone=77 a                     =>  200



=== then a path of the usual kind is no send by itself
--- server
    graph_policy_send $arg_send;
--- steps
1001 a 400 131042                         =>  400 fatal billing passed
1001 a                                    =>  200
/v25.0/1001/messages?send=1 a 400 131042  =>  400 fatal billing passed
/v25.0/1001/messages?send=1 a             =>  400 fatal billing blocked
1001 a                                    =>  200



=== a phone that a map brings to graph_policy_send has no value there
--- http_config
    map $graph_policy_phone $of_phone {
        default  "";
        1001     1;
    }
    map $graph_policy_account $of_account {
        default  "";
        A        1;
    }
--- server
    graph_policy_send    $of_phone $of_account $arg_send;
    graph_policy_account A;
    add_header           X-Phone $graph_policy_phone always;
--- steps
/v25.0/1001/messages?send=1 a 400 131042  =>  400 fatal billing passed X-Phone:1001
/v25.0/1001/messages?send=1 a             =>  400 fatal billing blocked X-Phone:1001
1001 a                                    =>  200 X-Phone:1001
--- no_error_log
cycle while evaluating variable



=== what graph_policy_send names is a message send: it probes
--- server
    graph_policy_send $arg_send;
    graph_policy_phone $arg_phone;
    graph_policy_hold 100ms;
--- steps
/out?send=1&phone=77 a 400 133010  =>  400 fatal phone-disconnected passed
sleep 0.2
/out?send=1&phone=77 a             =>  200 probe
/out?send=1&phone=77 a             =>  200



=== the token is not in what $graph_policy_credential and _request show
--- server
    add_header X-Shown "$graph_policy_credential $graph_policy_request" always;
--- steps
/v25.0/1001/messages?access_token=s3cr3t -  =>  200
/v25.0/1001/messages?access_token=s3cr%33t&x=1 -  =>  200
/v25.0/1001/messages?appsecret_proof=s3cr3t s3cr3t  =>  200
/v25.0/1001/messages?access%5Ftoken=s3cr3t s3cr3t  =>  200
--- raw_response_headers_unlike eval
[("(?i)s3cr") x 4]



=== $graph_policy_request is the request line otherwise
--- server
    add_header X-Request $graph_policy_request always;
--- steps
/v25.0/1001/messages?a=1&b=%20 x
    =>  200 X-Request:"POST /v25.0/1001/messages?a=1&b=%20 HTTP/1.1"
GET /? -                          =>  200 X-Request:"GET /? HTTP/1.1"
