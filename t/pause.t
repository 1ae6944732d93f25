# graph_policy_pause: what else than sends is paused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Nginx::Socket 'no_plan';
use GraphPolicy::Steps hold => '5m', workers => 2;

no_shuffle();
run_tests();

__DATA__

=== by default sends alone are paused
--- steps
1001 a 401 190  =>  401 fatal token-invalid passed
1001 a  =>  401 fatal token-invalid blocked
GET /v25.0/8880001?phone_number_id=1001 a     =>  200
GET /v25.0/1001 a                             =>  200
GET /v25.0/1001/media a                       =>  200
DELETE /v25.0/8880001?phone_number_id=1001 a  =>  200



=== "sends" says the same
--- server
    graph_policy_pause sends;
--- steps
1001 a 401 190                             =>  401 fatal token-invalid passed
1001 a                                     =>  401 fatal token-invalid blocked
GET /v25.0/8880001?phone_number_id=1001 a  =>  200



=== "all" adds reads with a covered credential
--- server
    graph_policy_pause all;
--- steps
1001 a 401 190                             =>  401 fatal token-invalid passed
1001 a                                     =>  401 fatal token-invalid blocked
GET /v25.0/8880001 a                       =>  401 fatal token-invalid blocked
GET /v25.0/8880001?phone_number_id=1001 a  =>  401 fatal token-invalid blocked
GET /v25.0/8880001?access_token=a -        =>  401 fatal token-invalid blocked
GET /8880001 a                             =>  401 fatal token-invalid blocked
GET /v25.0/8880001 b                       =>  200
GET /v25.0/8880001 -                       =>  200



=== and reads of a covered phone
--- server
    graph_policy_pause all;
--- steps
1001 a 400 133010        =>  400 fatal phone-disconnected passed
GET /v25.0/1001/media a  =>  400 fatal phone-disconnected blocked
GET /v25.0/1001/media b  =>  400 fatal phone-disconnected blocked
GET /v25.0/1002/media a  =>  200
GET /v25.0/8880001 a     =>  200



=== whatever state covers the phone
--- server
    graph_policy_pause all;
--- steps
1001 a 400 131042        =>  400 fatal billing passed
GET /v25.0/1001/media b  =>  400 fatal billing blocked
GET /v25.0/1002/media a  =>  200
1003 c 403 10            =>  403 fatal token-invalid passed
GET /v25.0/1003/media c  =>  403 fatal token-invalid blocked
GET /v25.0/1003/media b  =>  200



=== a read of a media id says in an argument of which phone it is
--- server
    graph_policy_pause all;
--- steps
1001 a 400 133010  =>  400 fatal phone-disconnected passed
GET /v25.0/8880001?phone_number_id=1001 a
    =>  400 fatal phone-disconnected blocked
GET /v25.0/8880001?phone_number_id=1002 a  =>  200



=== HEAD counts as GET
--- server
    graph_policy_pause all;
--- steps
1001 a 401 190         =>  401 fatal token-invalid passed
HEAD /v25.0/8880001 a  =>  401 fatal token-invalid blocked
HEAD /v25.0/8880001 b  =>  200



=== other methods pass
--- server
    graph_policy_pause all;
--- steps
1001 a 401 190           =>  401 fatal token-invalid passed
DELETE /v25.0/8880001 a  =>  200
POST /v25.0/8880001 a    =>  200
PUT /v25.0/8880001 a     =>  200



=== what is needed to find and cure the trouble always passes
--- server
    graph_policy_pause all;
--- steps
1001 a 401 190                          =>  401 fatal token-invalid passed
GET /v25.0/8880001 a                    =>  401 fatal token-invalid blocked
1001/register a                         =>  200
GET /v25.0/1001/register a              =>  200
GET /v25.0/1001/settings a              =>  200
POST /v25.0/1001/settings a             =>  200
GET /v25.0/7770001/message_templates a  =>  200
GET /v25.0/7770001/subscribed_apps a    =>  200
POST /v25.0/7770001/subscribed_apps a   =>  200
GET /v25.0/debug_token?input_token=a a  =>  200
GET /debug_token?input_token=a a        =>  200
GET /v25.0/oauth/access_token a         =>  200
GET /oauth/access_token?client_id=1 a   =>  200



=== reads of a covered phone pass if they are such
--- server
    graph_policy_pause all;
--- steps
1001 a 400 133010           =>  400 fatal phone-disconnected passed
1001 a                      =>  400 fatal phone-disconnected blocked
GET /v25.0/1001/settings a  =>  200
1001/register a             =>  200



=== at the end of the hold reads pass, and don't probe
--- server
    graph_policy_pause all;
    graph_policy_hold 600ms;
--- steps
1001 a 401 190        =>  401 fatal token-invalid passed
GET /v25.0/8880001 a  =>  401 fatal token-invalid blocked
sleep 0.7
GET /v25.0/8880001 a  =>  200
GET /v25.0/8880001 a  =>  200
1001 a 401 190        =>  401 fatal token-invalid probe
GET /v25.0/8880001 a  =>  401 fatal token-invalid blocked



=== reads set nothing and clear nothing
--- server
    graph_policy_pause all;
--- steps
GET /v25.0/8880001 a 401 190        =>  401 fatal token-invalid passed
GET /v25.0/1001/media a 400 133010  =>  400 fatal phone-disconnected passed
1001 a                              =>  200
GET /v25.0/8880001 a                =>  200



=== each location says for itself
--- config
    graph_policy zone=z;
    graph_policy_pause all;

    location /sends/ {
        graph_policy_pause sends;
        proxy_pass http://graph;
    }
    location / {
        proxy_pass http://graph;
    }
--- steps
1001 a 401 190                =>  401 fatal token-invalid passed
GET /v25.0/8880001 a          =>  401 fatal token-invalid blocked
GET /sends/v25.0/8880001 a    =>  200
/sends/v25.0/1001/messages a  =>  401 fatal token-invalid blocked



=== in dry run reads pass
--- server
    graph_policy_pause all;
    graph_policy_dry_run on;
    add_header X-Status $graph_policy_status always;
--- steps
1001 a 401 190        =>  401 fatal token-invalid passed
GET /v25.0/8880001 a  =>  200 X-Status:BLOCKED_DRY_RUN
GET /v25.0/8880001 b  =>  200 X-Status:PASSED
