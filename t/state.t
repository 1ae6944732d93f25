# What sets a state, and what a state covers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Nginx::Socket 'no_plan';
use GraphPolicy::Steps hold => '5m', workers => 2;

no_shuffle();
run_tests();

__DATA__

=== token-invalid of scope credential: every phone, this token only
--- steps
1001 a 401 190
    =>  401 fatal token-invalid passed X-Graph-Error-Scope:credential
1001 a  =>  401 fatal token-invalid blocked X-Graph-Error-Scope:credential
1002 a              =>  401 fatal token-invalid blocked
1003/media a        =>  401 fatal token-invalid blocked
1001 b              =>  200
1002 b              =>  200
1001 c 401 0        =>  401 fatal token-invalid passed X-Graph-Error-Code:0
1002 c              =>  401 fatal token-invalid blocked X-Graph-Error-Code:0
1001 d 401 102      =>  401 fatal token-invalid passed
1002 d              =>  401 fatal token-invalid blocked X-Graph-Error-Code:102
1001 e 400 190/463  =>  400 fatal token-invalid passed
1002 e  =>  400 fatal blocked X-Graph-Error-Code:190 X-Graph-Error-Subcode:463
1001 b              =>  200



=== token-invalid of scope account: credential-bound, here of one phone
--- steps
1001 a 500 3  =>  500 fatal token-invalid passed X-Graph-Error-Scope:account
1001 a  =>  500 fatal token-invalid blocked X-Graph-Error-Scope:account
1001 b             =>  200
1002 a             =>  200
1002 a 403 10      =>  403 fatal token-invalid passed
1002 a             =>  403 fatal token-invalid blocked
1002 b             =>  200
1003 a 403 200     =>  403 fatal token-invalid passed
1003 a             =>  403 fatal token-invalid blocked
1003 b             =>  200
1004 a 403 299     =>  403 fatal token-invalid passed
1004 a             =>  403 fatal token-invalid blocked
1004 b             =>  200
1005 a 403 131005  =>  403 fatal token-invalid passed
1005 a             =>  403 fatal token-invalid blocked
1005 b             =>  200



=== and of the phones of its account, where that is known
--- http_config
    map $graph_policy_phone $account {
        1001  A;
        1002  A;
        1003  B;
    }
--- server
    graph_policy_account $account;
--- steps
1001 a 403 10  =>  403 fatal token-invalid passed
1002 a         =>  403 fatal token-invalid blocked
1002 b         =>  200
1003 a         =>  200



=== account-restricted and billing: everyone's sends from the account
--- http_config
    map $graph_policy_phone $account {
        ~^1(?<digit>\d)  $digit;
    }
--- server
    graph_policy_account $account;
--- steps
11 a 403 368
    =>  403 fatal account-restricted passed X-Graph-Error-Scope:account
112 b  =>  403 fatal account-restricted blocked X-Graph-Error-Scope:account
12 a             =>  200
12 a 403 131031  =>  403 fatal account-restricted passed
122 b  =>  403 fatal account-restricted blocked X-Graph-Error-Code:131031
13 a             =>  200
13 a 400 131042  =>  400 fatal billing passed X-Graph-Error-Scope:account
132 b            =>  400 fatal billing blocked X-Graph-Error-Code:131042
14 a             =>  200
2 a              =>  200



=== phone-disconnected: everyone's sends from the phone, not the account's others
--- server
    graph_policy_account A;
--- steps
1001 a 400 133010
    =>  400 fatal phone-disconnected passed X-Graph-Error-Scope:phone
1001 a  =>  400 fatal phone-disconnected blocked X-Graph-Error-Scope:phone
1001 b             =>  400 fatal phone-disconnected blocked
1001/media b       =>  400 fatal phone-disconnected blocked
1002 a             =>  200



=== 131045 likewise
--- steps
1001 a 500 131045
    =>  500 fatal phone-disconnected passed X-Graph-Error-Scope:phone
1001 b  =>  500 fatal phone-disconnected blocked X-Graph-Error-Code:131045
1002 a             =>  200



=== a phone that the token doesn't reach: credential-bound
--- steps
1001 a 404 33
    =>  404 fatal phone-disconnected passed X-Graph-Error-Scope:phone
1001 a             =>  404 fatal phone-disconnected blocked
1001 b             =>  200
1002 a             =>  200
1003 c 400 100/33  =>  400 fatal phone-disconnected passed
1003 c  =>  400 fatal blocked X-Graph-Error-Code:100 X-Graph-Error-Subcode:33
1003 b             =>  200
1004 c             =>  200



=== a stranger's token on somebody's phone pauses nobody else
--- server
    graph_policy_account A;
--- steps
1001 stranger 401 190      =>  401 fatal passed
1001 owner                 =>  200
1001 stranger1 401 0       =>  401 fatal passed
1001 stranger2 401 102     =>  401 fatal passed
1001 stranger3 500 3       =>  500 fatal passed
1001 stranger4 403 10      =>  403 fatal passed
1001 stranger5 403 250     =>  403 fatal passed
1001 stranger6 403 131005  =>  403 fatal passed
1001 stranger7 404 33      =>  404 fatal passed
1001 stranger8 400 100/33  =>  400 fatal passed
1001 owner                 =>  200
1002 owner                 =>  200
1001/media owner           =>  200
1001 stranger1             =>  401 fatal blocked
1001 stranger6             =>  403 fatal blocked
1001 stranger8             =>  400 fatal blocked



=== 3, 10, 200-299 and 131005 set a state if they answer messages, only then
--- steps
1001/media a 500 3                    =>  500 fatal token-invalid passed
1001/media a 403 10                   =>  403 fatal token-invalid passed
1001/media a 403 200                  =>  403 fatal token-invalid passed
1001/media a 403 131005               =>  403 fatal token-invalid passed
1001/marketing_messages a 403 10      =>  403 fatal token-invalid passed
1001/marketing_messages a 403 299     =>  403 fatal token-invalid passed
1001/messages_encrypted a 403 10      =>  403 fatal token-invalid passed
1001/messages_encrypted a 403 131005  =>  403 fatal token-invalid passed
1001 a                                =>  200
1001/media a                          =>  200
1001/messages a 403 10                =>  403 fatal token-invalid passed
1001/media a                          =>  403 fatal token-invalid blocked
1001/marketing_messages a             =>  403 fatal token-invalid blocked



=== the other codes do so on every kind of send
--- steps
1001/media a 401 190                  =>  401 fatal token-invalid passed
1001 a                                =>  401 fatal token-invalid blocked
1001/media b 404 33                   =>  404 fatal phone-disconnected passed
1001 b                                =>  404 fatal phone-disconnected blocked
1002/messages_encrypted b 403 368     =>  403 fatal account-restricted passed
1002 b                                =>  403 fatal account-restricted blocked
1003/marketing_messages c 400 133010  =>  400 fatal phone-disconnected passed
1003 c                                =>  400 fatal phone-disconnected blocked



=== answers to what is no send set nothing, but are tagged
--- steps
GET /v25.0/1001 a 401 190              =>  401 fatal token-invalid passed
GET /v25.0/1001/messages a 400 133010  =>  400 fatal phone-disconnected passed
1001/register a 400 133010             =>  400 fatal phone-disconnected passed
1001/message_templates a 403 368       =>  403 fatal account-restricted passed
DELETE /v25.0/1001/media a 400 131042  =>  400 fatal billing passed
/v25.0/debug_token a 401 190           =>  401 fatal token-invalid passed
1001 a                                 =>  200



=== and they aren't answered locally, nor do they clear
--- steps
1001 a 401 190               =>  401 fatal passed
1001 a 400 133010            =>  401 fatal token-invalid blocked
GET /v25.0/1001 a            =>  200
GET /v25.0/8888888 a         =>  200
1001/register a              =>  200
1001/message_templates a     =>  200
/v25.0/oauth/access_token a  =>  200
1001 a                       =>  401 fatal token-invalid blocked



=== what isn't fatal sets nothing
--- steps
1001 a 429 4          =>  429 temporary rate-limit passed
1001 a 400 130429     =>  400 temporary rate-limit passed
1001 a 429 80007      =>  429 temporary rate-limit passed
1001 a 503 131016     =>  503 temporary service-unavailable passed
1001 a 500 131000     =>  500 temporary server-error passed
1001 a 400 131026     =>  400 context-limited undeliverable passed
1001 a 401 104        =>  401 request passed
1001 a 400 100        =>  400 request passed
1001 a 400 200005     =>  400 passed
1001 a 400 987654321  =>  400 unclassified passed
1001 a 500            =>  500 unclassified passed
1001 a                =>  200



=== a fatal rule of scope request sets nothing
--- server
    graph_policy_rule 131042 fatal scope=request;
    graph_policy_rule 777001 fatal;
--- steps
1001 a 400 131042  =>  400 fatal billing passed X-Graph-Error-Scope:request
1001 a             =>  200
1001 a 400 777001  =>  400 fatal passed X-Graph-Error-Scope:request
1001 a             =>  200



=== rules of other scopes do
--- server
    graph_policy_rule 777001 fatal scope=credential;
    graph_policy_rule 777002 fatal scope=account;
    graph_policy_rule 777003 fatal scope=phone;
    graph_policy_rule 133010 fatal scope=credential reason=token-invalid;
    graph_policy_rule 131042 temporary;
--- steps
1001 a 400 777001  =>  400 fatal passed X-Graph-Error-Scope:credential
1002 a             =>  400 fatal blocked X-Graph-Error-Code:777001
1001 b             =>  200
1003 b 400 777002  =>  400 fatal passed X-Graph-Error-Scope:account
1003 c             =>  400 fatal blocked X-Graph-Error-Code:777002
1004 b 400 777003  =>  400 fatal passed X-Graph-Error-Scope:phone
1004 c             =>  400 fatal blocked X-Graph-Error-Code:777003
1005 d 400 133010
    =>  400 fatal token-invalid passed X-Graph-Error-Scope:credential
1006 d             =>  400 fatal token-invalid blocked
1005 b             =>  200
1005 b 400 131042  =>  400 temporary billing passed
1005 b             =>  200



=== an error of status 200 sets nothing
--- steps
1001 a 200 131042  =>  200
1001 a             =>  200



=== the status says nothing: a fatal code is fatal whatever bears it
--- steps
1001 a 429 131042  =>  429 fatal billing passed
1001 a             =>  429 fatal billing blocked
1002 a 503 133010  =>  503 fatal phone-disconnected passed
1002 a             =>  503 fatal phone-disconnected blocked



=== where the policy is off, nothing is learnt and nothing answered
--- config
    location /on/ {
        graph_policy zone=z;
        proxy_pass http://graph;
    }
    location /off/ {
        proxy_pass http://graph;
    }
--- steps
/off/1001/messages a 400 131042  =>  400 !X-Graph-Error-Category
/on/1001/messages a              =>  200
/on/1001/messages a 400 131042   =>  400 fatal billing passed
/off/1001/messages a             =>  200
/on/1001/messages a              =>  400 fatal billing blocked



=== zones know nothing of each other; locations of one zone do
--- http_config
    graph_policy_zone zone=other:1m;
--- config
    location /one/ {
        graph_policy zone=z;
        proxy_pass http://graph;
    }
    location /two/ {
        graph_policy zone=z;
        proxy_pass http://graph;
    }
    location /other/ {
        graph_policy zone=other;
        proxy_pass http://graph;
    }
--- steps
/one/1001/messages a 400 131042  =>  400 fatal billing passed
/two/1001/messages b             =>  400 fatal billing blocked
/other/1001/messages a           =>  200



=== two disconnected phones of an account: both show phones-disconnected
--- http_config
    map $graph_policy_phone $account {
        ~^1  A;
        ~^2  B;
    }
--- server
    graph_policy_account $account;
--- steps
11 a 400 133010  =>  400 fatal phone-disconnected passed
21 a 400 133010  =>  400 fatal phone-disconnected passed
11 a             =>  400 fatal phone-disconnected blocked
21 a             =>  400 fatal phone-disconnected blocked
12 b 500 131045  =>  500 fatal passed
11 a  =>  400 fatal phones-disconnected blocked X-Graph-Error-Code:133010
12 c  =>  500 fatal phones-disconnected blocked X-Graph-Error-Code:131045
21 a             =>  400 fatal phone-disconnected blocked
13 a             =>  200



=== and phone-disconnected again when one of them is cured
--- server
    graph_policy_account A;
--- config
    graph_policy zone=z;
    graph_policy_account A;

    location /quick/ {
        graph_policy_hold 100ms;
        proxy_pass http://graph;
    }
    location / {
        proxy_pass http://graph;
    }
--- steps
1001 a 400 133010                  =>  400 fatal passed
/quick/1002/messages a 400 133010  =>  400 fatal passed
1001 a                             =>  400 fatal phones-disconnected blocked
sleep 0.2
/quick/1002/messages a             =>  200 probe
1001 a                             =>  400 fatal phone-disconnected blocked
1002 a                             =>  200



=== phones of no known account count by the credential that got the answer
--- steps
1001 a 400 133010  =>  400 fatal phone-disconnected passed
1002 b 400 133010  =>  400 fatal phone-disconnected passed
1001 a             =>  400 fatal phone-disconnected blocked
1002 b             =>  400 fatal phone-disconnected blocked
1003 a 400 133010  =>  400 fatal passed
1001 a             =>  400 fatal phones-disconnected blocked
1003 a             =>  400 fatal phones-disconnected blocked
1002 b             =>  400 fatal phone-disconnected blocked



=== two phones that the token doesn't reach are disconnected phones too
--- steps
1001 a 404 33      =>  404 fatal phone-disconnected passed
1002 a 400 100/33  =>  400 fatal passed
1001 a             =>  404 fatal phones-disconnected blocked
1002 a             =>  400 fatal phones-disconnected blocked
1001 b             =>  200



=== one phone with two states is one phone
--- server
    graph_policy_account A;
    graph_policy_status 400;
--- steps
1001 a 404 33      =>  404 fatal phone-disconnected passed
1001 b 400 133010  =>  400 fatal phone-disconnected passed
1001 a             =>  400 fatal phone-disconnected blocked
1001 b             =>  400 fatal phone-disconnected blocked



=== of several states the one with the latest end is shown
--- config
    graph_policy zone=z;

    location /long/ {
        graph_policy_hold 20m max=1h;
        proxy_pass http://graph;
    }
    location / {
        graph_policy_hold 1m max=10m;
        proxy_pass http://graph;
    }
--- steps
1001 a 401 190                    =>  401 fatal token-invalid passed
/long/1001/messages b 400 133010  =>  400 fatal phone-disconnected passed
1001 a                            =>  400 fatal phone-disconnected blocked
1002 a                            =>  401 fatal token-invalid blocked
/long/1003/messages c 401 190     =>  401 fatal token-invalid passed
1004 d 400 133010                 =>  400 fatal phone-disconnected passed
1004 c                            =>  401 fatal token-invalid blocked
1004 d                            =>  400 fatal phone-disconnected blocked



=== a send passes only if each state that covers it lets it
--- config
    graph_policy zone=z;

    location /quick/ {
        graph_policy_hold 100ms max=1h;
        proxy_pass http://graph;
    }
    location / {
        graph_policy_hold 1m max=1h;
        proxy_pass http://graph;
    }
--- steps
1001 a 401 190                     =>  401 fatal token-invalid passed
/quick/1001/messages b 400 133010  =>  400 fatal phone-disconnected passed
sleep 0.2
/quick/1001/messages a             =>  401 fatal token-invalid blocked
/quick/1001/messages b             =>  200 probe
/quick/1001/messages c             =>  200
1001 a                             =>  401 fatal token-invalid blocked



=== a probe of several states clears them all
--- server
    graph_policy_hold 300ms;
--- steps
1001 a 401 190     =>  401 fatal token-invalid passed
1001 b 400 133010  =>  400 fatal phone-disconnected passed
sleep 0.4
1001 a             =>  200 probe
1001 b             =>  200
1002 a             =>  200



=== a location with a policy of its own keeps its hold with the state
--- config
    graph_policy zone=z;

    location /quick/ {
        graph_policy_hold 100ms;
        proxy_pass http://graph;
    }
    location / {
        graph_policy_hold 1m;
        proxy_pass http://graph;
    }
--- steps
/quick/1001/messages a 400 133010  =>  400 fatal passed
1002 a 400 131042                  =>  400 fatal billing passed
sleep 0.2
/quick/1002/messages a             =>  400 fatal billing blocked
1001 a                             =>  200 probe



=== the hold of a rule goes before that of the location
--- server
    graph_policy_rule 131042 fatal hold=100ms;
--- steps
1001 a 400 131042  =>  400 fatal billing passed X-Graph-Error-Scope:account
1002 a 400 133010  =>  400 fatal passed
sleep 0.2
1001 a             =>  200 probe
1002 a             =>  400 fatal phone-disconnected blocked

