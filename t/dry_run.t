# graph_policy_dry_run: everything is learnt and told, nothing is blocked.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Nginx::Socket 'no_plan';
use GraphPolicy::Steps hold => '5m', workers => 2;

no_shuffle();
run_tests();

__DATA__

=== on: nothing is blocked, what would have been is told
--- server
    graph_policy_dry_run on;
    add_header X-Status $graph_policy_status always;
--- steps
1001 a 400 131042  =>  400 fatal billing passed X-Status:PASSED
1001 a 400 131042  =>  400 fatal billing dry-run X-Status:BLOCKED_DRY_RUN
1001 a 503 131016  =>  503 temporary dry-run X-Status:BLOCKED_DRY_RUN
1001 a 500         =>  500 unclassified dry-run X-Status:BLOCKED_DRY_RUN
1002 a             =>  200 X-Status:PASSED
1002 a 503 131016  =>  503 temporary passed X-Status:PASSED



=== a 2xx is untouched, though it would have been blocked
--- server
    graph_policy_dry_run on;
    add_header X-Status $graph_policy_status always;
--- steps
1001 a 400 131042  =>  400 fatal billing passed
1001 a             =>  200 X-Status:BLOCKED_DRY_RUN



=== a success clears the state
--- config
    graph_policy zone=z;
    location /dry/ {
        graph_policy_dry_run on;
        proxy_pass http://graph;
    }
    location / {
        proxy_pass http://graph;
    }
    add_header X-Status $graph_policy_status always;
--- steps
1001 a 400 131042         =>  400 fatal billing passed
1001 a                    =>  400 fatal billing blocked X-Status:BLOCKED
/dry/1001/messages a 500  =>  500 unclassified dry-run X-Status:BLOCKED_DRY_RUN
1001 a                    =>  400 fatal billing blocked
/dry/1001/messages a      =>  200 X-Status:BLOCKED_DRY_RUN
1001 a                    =>  200 X-Status:PASSED



=== it works the same states: what it learns blocks where it is off
--- config
    graph_policy zone=z;
    location /dry/ {
        graph_policy_dry_run on;
        proxy_pass http://graph;
    }
    location / {
        proxy_pass http://graph;
    }
--- steps
/dry/1001/messages a 400 131042  =>  400 fatal billing passed
1001 a                           =>  400 fatal billing blocked
1002 a 401 190                   =>  401 fatal token-invalid passed
/dry/1003/messages a 400 133010  =>  400 fatal phone-disconnected dry-run
1003 b                           =>  400 fatal phone-disconnected blocked



=== off is off
--- server
    graph_policy_dry_run off;
    add_header X-Status $graph_policy_status always;
--- steps
1001 a 400 131042  =>  400 fatal billing passed X-Status:PASSED
1001 a             =>  400 fatal billing blocked X-Status:BLOCKED



=== a location can turn off what the server turns on
--- config
    graph_policy zone=z;
    graph_policy_dry_run on;
    location /dry/ {
        proxy_pass http://graph;
    }
    location / {
        graph_policy_dry_run off;
        proxy_pass http://graph;
    }
--- steps
1001 a 400 131042         =>  400 fatal billing passed
/dry/1001/messages a 500  =>  500 unclassified dry-run
1001 a                    =>  400 fatal billing blocked



=== a variable: on if neither empty nor 0
--- server
    graph_policy_dry_run $http_x_dry;
--- steps
1001 a 400 131042        =>  400 fatal billing passed
1001 a                   =>  400 fatal billing blocked
1001 a {X-Dry: 0}        =>  400 fatal billing blocked
1001 a 500 {X-Dry: 1}    =>  500 unclassified dry-run
1001 a 500 {X-Dry: yes}  =>  500 unclassified dry-run
1001 a 500 {X-Dry: 00}   =>  500 unclassified dry-run
1001 a 500 {X-Dry: off}  =>  500 unclassified dry-run
1001 a                   =>  400 fatal billing blocked



=== a map: dry for some phones
--- http_config
    map $graph_policy_phone $dry {
        1001  1;
    }
--- server
    graph_policy_dry_run $dry;
--- steps
1001 a 400 131042  =>  400 fatal billing passed
1002 a 400 131042  =>  400 fatal billing passed
1001 a 500         =>  500 unclassified dry-run
1002 a             =>  400 fatal billing blocked



=== split_clients: dry for a share of the traffic
--- http_config
    split_clients $http_x_client $none {
        0.01%  1;
        *      0;
    }
    split_clients $http_x_client $all {
        *      1;
    }
--- config
    graph_policy zone=z;
    location /none/ {
        graph_policy_dry_run $none;
        proxy_pass http://graph;
    }
    location /all/ {
        graph_policy_dry_run $all;
        proxy_pass http://graph;
    }
--- steps
/none/1001/messages a 400 131042 {X-Client: x}  =>  400 fatal billing passed
/none/1001/messages a {X-Client: x}     =>  400 fatal billing blocked
/none/1001/messages a {X-Client: y}     =>  400 fatal billing blocked
/all/1001/messages a 500 {X-Client: x}  =>  500 unclassified dry-run
/all/1001/messages a 500 {X-Client: y}  =>  500 unclassified dry-run



=== a rule on trial: its own states don't block, others do
--- server
    graph_policy_rule 777001 fatal scope=phone dry_run=on;
    add_header X-Status $graph_policy_status always;
--- steps
1001 a 400 777001  =>  400 fatal passed X-Graph-Error-Code:777001
1001 a 500         =>  500 unclassified dry-run X-Status:BLOCKED_DRY_RUN
1001 a 400 131042  =>  400 fatal billing dry-run X-Status:BLOCKED_DRY_RUN
1001 a             =>  400 fatal billing blocked X-Status:BLOCKED
1002 a 400 133010  =>  400 fatal phone-disconnected passed
1002 a             =>  400 fatal phone-disconnected blocked



=== a rule on trial: a success clears its state
--- server
    graph_policy_rule 777001 fatal scope=phone dry_run=on;
    add_header X-Status $graph_policy_status always;
--- steps
1001 a 400 777001  =>  400 fatal passed
1001 a             =>  200 X-Status:BLOCKED_DRY_RUN
1001 a             =>  200 X-Status:PASSED



=== a rule on trial: the success of a probe clears its state, too
--- server
    graph_policy_rule 777001 fatal scope=phone dry_run=on hold=1h;
    graph_policy_hold 100ms;
    add_header X-Status $graph_policy_status always;
--- steps
1001 a 400 777001  =>  400 fatal passed
1001 a 400 131042  =>  400 fatal billing dry-run X-Status:BLOCKED_DRY_RUN
sleep 0.2
1001 a             =>  200 probe X-Status:PROBE
1001 a             =>  200 X-Status:PASSED



=== after the hold, in dry run too, a send probes
--- server
    graph_policy_dry_run on;
    graph_policy_hold 100ms;
    add_header X-Status $graph_policy_status always;
--- steps
1001 a 400 131042  =>  400 fatal billing passed X-Status:PASSED
sleep 0.2
1001 a             =>  200 probe X-Status:PROBE
1001 a             =>  200 X-Status:PASSED



=== $graph_policy_status is empty where the policy is off
--- config
    location /off/ {
        add_header X-Status "<$graph_policy_status>" always;
        proxy_pass http://graph;
    }
    location / {
        graph_policy zone=z;
        graph_policy_dry_run on;
        add_header X-Status "<$graph_policy_status>" always;
        proxy_pass http://graph;
    }
--- steps
/off/1001/messages a 400 131042  =>  400 !X-Graph-Error-Category X-Status:<>
1001 a                           =>  200 X-Status:<PASSED>
