# vi:set ft= ts=4 sw=4 et:

# What a level says holds below it until another level says otherwise; and what
# holds for a request that is redirected inside nginx.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Nginx::Socket;
use GraphPolicy::Steps;

log_level('info');

# With "at_http", "at_server" and "at_location", which are for the levels of
# these names, /http/ is a location of a server that says nothing itself.  The
# others belong to a server that does, and /location/nested/ says nothing.

add_block_preprocessor(sub {
    my $block = shift;

    my ($http, $server, $location)
        = map { $block->$_ // '' } qw(at_http at_server at_location);
    return if "$http$server$location" eq '';

    my $log = defined $block->format
        ? 'access_log $TEST_NGINX_SERVER_ROOT/logs/lines.log lines;' : '';

    $block->set_value(http_config => <<"END");
graph_policy_zone zone=z:1m;
graph_policy zone=z;
$http

server {
    listen \$TEST_NGINX_SERVER_PORT;
    server_name other;
    $log
    $server

    location /server/ {
        proxy_pass http://graph;
    }

    location /location/ {
        $location
        proxy_pass http://graph;

        location /location/nested/ {
            proxy_pass http://graph;
        }
    }
}
END

    $block->set_value(config => 'location /http/ { proxy_pass http://graph; }');

    my $steps = $block->steps;
    $steps =~ s{^((?:[A-Z]+ )?/(?:server|location)/\S+ \w+)}
        {$1 {Host: other}}mg;
    $block->set_value(steps => $steps);
});

plan tests => GraphPolicy::Steps::tests();

run_tests();

__DATA__

=== graph_policy: the zone
--- at_http
graph_policy_zone zone=y:1m;
graph_policy_zone zone=x:1m;
--- at_server
graph_policy zone=y;
--- at_location
graph_policy zone=x;
--- steps
/http/1/messages one 400 131042      =>  400 passed
/http/1/messages one                 =>  400 blocked
/server/1/messages one 400 131042    =>  400 passed
/server/1/messages one               =>  400 blocked
/location/1/messages one 400 131042  =>  400 passed
/location/1/messages one             =>  400 blocked
/location/nested/1/messages one      =>  400 blocked



=== graph_policy_dry_run
--- at_http
graph_policy_dry_run on;
--- at_server
graph_policy_dry_run off;
--- at_location
graph_policy_dry_run $arg_dry;
--- steps
/http/1/messages one 400 131042             =>  400 passed
/http/1/messages one 400 131042             =>  400 dry-run
/server/1/messages one 400 131042           =>  400 blocked
/location/1/messages one 400 131042         =>  400 blocked
/location/1/messages?dry=1 one 400 131042   =>  400 dry-run
/location/nested/1/messages one 400 131042  =>  400 blocked
/location/nested/1/messages?dry=1 one 400 131042  =>  400 dry-run



=== graph_policy_rule: only a level without rules takes those from above
--- at_http
graph_policy_rule 131042 ignore;
--- at_server
graph_policy_rule 131031 ignore;
--- at_location
graph_policy_rule 131042 request;
--- steps
/http/1/messages one 400 131042             =>  400 !X-Graph-Policy
/http/1/messages one 400 131031  =>  400 passed X-Graph-Error-Category:fatal
/server/2/messages one 400 131031           =>  400 !X-Graph-Policy
/server/2/messages one 400 131042  =>  400 passed X-Graph-Error-Category:fatal
/location/3/messages one 400 131042
    =>  400 passed X-Graph-Error-Category:request
/location/3/messages one 400 131031
    =>  400 passed X-Graph-Error-Category:fatal
/location/nested/4/messages one 400 131042
    =>  400 passed X-Graph-Error-Category:request
/location/nested/4/messages one 400 131031
    =>  400 passed X-Graph-Error-Category:fatal



=== graph_policy_credential
--- at_http
graph_policy_credential $arg_a;
--- at_server
graph_policy_credential $arg_b;
--- at_location
graph_policy_credential $arg_c;
--- format: $graph_policy_credential
--- steps
/http/1/messages?a=A&b=B&c=C one 400 190     =>  400 passed
/http/2/messages?a=A&b=B&c=C two             =>  400 blocked
/server/1/messages?a=A&b=B&c=C one           =>  200
/server/1/messages?a=B&b=A&c=C one           =>  400 blocked
/location/1/messages?a=A&b=B&c=C one         =>  200
/location/1/messages?a=B&b=C&c=A one         =>  400 blocked
/location/nested/1/messages?a=A&b=B&c=C one  =>  200
/location/nested/1/messages?a=B&b=C&c=A one  =>  400 blocked
--- logged
<fp:A>
<fp:A>
<fp:B>
<fp:A>
<fp:C>
<fp:A>
<fp:C>
<fp:A>



=== graph_policy_account
--- at_http
graph_policy_account $arg_a;
--- at_server
graph_policy_account $arg_b;
--- at_location
graph_policy_account $arg_c;
--- format: $graph_policy_account
--- steps
/http/1/messages?a=A&b=B&c=C one 400 131042  =>  400 passed
/http/2/messages?a=A&b=B&c=C one             =>  400 blocked
/server/2/messages?a=A&b=B&c=C one           =>  200
/server/2/messages?a=B&b=A&c=C one           =>  400 blocked
/location/2/messages?a=A&b=B&c=C one         =>  200
/location/2/messages?a=B&b=C&c=A one         =>  400 blocked
/location/nested/2/messages?a=A&b=B&c=C one  =>  200
/location/nested/2/messages?a=B&b=C&c=A one  =>  400 blocked
--- logged
A
A
B
A
C
A
C
A



=== graph_policy_phone
--- at_http
graph_policy_phone $arg_a;
--- at_server
graph_policy_phone $arg_b;
--- at_location
graph_policy_phone $arg_c;
--- format: $graph_policy_phone
--- steps
/http/1/messages?a=7&b=8&c=9 one 400 133010  =>  400 passed
/http/2/messages?a=7&b=8&c=9 one             =>  400 blocked
/server/2/messages?a=7&b=8&c=9 one           =>  200
/server/2/messages?a=8&b=7&c=9 one           =>  400 blocked
/location/2/messages?a=7&b=8&c=9 one         =>  200
/location/2/messages?a=8&b=9&c=7 one         =>  400 blocked
/location/nested/2/messages?a=7&b=8&c=9 one  =>  200
/location/nested/2/messages?a=8&b=9&c=7 one  =>  400 blocked
--- logged
7
7
8
7
9
7
9
7



=== graph_policy_send
--- at_http
graph_policy_send $arg_a;
--- at_server
graph_policy_send $arg_b;
--- at_location
graph_policy_send $arg_c $arg_d;
--- steps
GET /http/1/x?a=1 one 400 133010      =>  400 passed
GET /http/1/x?a=1 one                 =>  400 blocked
GET /http/1/x?b=1&c=1&d=1 one         =>  200
/http/1/messages one                  =>  200
GET /server/1/x?b=1 one               =>  400 blocked
GET /server/1/x?a=1&c=1&d=1 one       =>  200
GET /location/1/x?c=1 one             =>  400 blocked
GET /location/1/x?d=1 one             =>  400 blocked
GET /location/1/x?a=1&b=1 one         =>  200
GET /location/nested/1/x?d=1 one      =>  400 blocked
GET /location/nested/1/x?a=1&b=1 one  =>  200



=== graph_policy_pause
--- at_http
graph_policy_pause all;
--- at_server
graph_policy_pause sends;
--- at_location
graph_policy_pause all;
--- steps
/http/1/messages one 400 133010  =>  400 passed
GET /http/1 one                  =>  400 blocked
GET /server/1 one                =>  200
/server/1/messages one           =>  400 blocked
GET /location/1 one              =>  400 blocked
GET /location/nested/1 one       =>  400 blocked



=== graph_policy_hold, and its max
--- at_http
graph_policy_hold 1ms max=1ms;
--- at_server
graph_policy_hold 2ms max=3ms;
--- at_location
graph_policy_hold 3ms;
--- steps
/http/1/messages one 400 133010              =>  400 passed
/http/1/messages one 400 133010              =>  400 probe
/server/2/messages two 400 133010            =>  400 passed
/server/2/messages two 400 133010            =>  400 probe
/location/3/messages three 400 133010        =>  400 passed
/location/3/messages three 400 133010        =>  400 probe
/location/nested/4/messages four 400 133010  =>  400 passed
/location/nested/4/messages four 400 133010  =>  400 probe
--- said
[error] graph policy state set, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"
[info] graph policy lets a probe pass, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[error] graph policy state re-armed, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"
[error] graph policy state set, scope: phone, key: "2", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 2ms, zone: "z"
[info] graph policy lets a probe pass, scope: phone, key: "2", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[error] graph policy state re-armed, scope: phone, key: "2", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 3ms, zone: "z"
[error] graph policy state set, scope: phone, key: "3", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 3ms, zone: "z"
[info] graph policy lets a probe pass, scope: phone, key: "3", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[error] graph policy state re-armed, scope: phone, key: "3", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 6ms, zone: "z"
[error] graph policy state set, scope: phone, key: "4", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 3ms, zone: "z"
[info] graph policy lets a probe pass, scope: phone, key: "4", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[error] graph policy state re-armed, scope: phone, key: "4", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 6ms, zone: "z"



=== graph_policy_status
--- at_http
graph_policy_status 429;
--- at_server
graph_policy_status 503;
--- at_location
graph_policy_status upstream;
--- steps
/http/1/messages one 400 133010  =>  400 passed
/http/1/messages one             =>  429 blocked
/server/1/messages one           =>  503 blocked
/location/1/messages one         =>  400 blocked
/location/nested/1/messages one  =>  400 blocked



=== graph_policy_buffer_size
--- at_http
graph_policy_buffer_size 1k;
--- at_server
graph_policy_buffer_size 4k;
--- at_location
graph_policy_buffer_size 2k;
--- steps
/http/1/messages one 400 131042 pad=3000
    =>  400 passed X-Graph-Error-Category:unclassified
/server/2/messages one 400 131042 pad=3000
    =>  400 passed X-Graph-Error-Category:fatal
/location/3/messages one 400 131042 pad=3000
    =>  400 passed X-Graph-Error-Category:unclassified
/location/nested/3/messages one 400 131042 pad=3000
    =>  400 passed X-Graph-Error-Category:unclassified



=== graph_policy_accept_encoding
--- at_http
graph_policy_accept_encoding off;
--- at_server
graph_policy_accept_encoding on;
--- at_location
graph_policy_accept_encoding off;
--- graph_format: $http_accept_encoding
--- steps
/http/1/messages one {Accept-Encoding: gzip,br}  =>  200
/server/1/messages one {Accept-Encoding: gzip,br}  =>  200
/location/1/messages one {Accept-Encoding: gzip,br}  =>  200
/location/nested/1/messages one {Accept-Encoding: gzip,br}  =>  200
--- graph
POST /http/1/messages gzip,br
POST /server/1/messages identity
POST /location/1/messages gzip,br
POST /location/nested/1/messages gzip,br



=== graph_policy_cooldown
--- at_http
graph_policy_cooldown on;
--- at_server
graph_policy_cooldown off;
--- at_location
graph_policy_cooldown on;
--- steps
/http/1/messages one 400 4               =>  400 passed
/http/1/messages one                     =>  400 blocked
/server/1/messages one                   =>  200
/server/1/messages two 400 4             =>  400 passed
/location/1/messages two                 =>  200
/location/1/messages two 400 4           =>  400 passed
/location/1/messages two                 =>  400 blocked
/location/nested/1/messages two          =>  400 blocked
/location/nested/1/messages three 400 4  =>  400 passed
/http/1/messages three                   =>  400 blocked



=== graph_policy_retry
--- at_http
graph_policy_retry attempts=2 base=1ms;
--- at_server
graph_policy_retry off;
--- at_location
graph_policy_retry attempts=3 base=1ms;
--- steps
/http/1/messages one 400 131016             =>  400 retried X-Graph-Attempts:2
/server/1/messages one 400 131016           =>  400 passed !X-Graph-Attempts
/location/1/messages one 400 131016         =>  400 retried X-Graph-Attempts:3
/location/nested/1/messages one 400 131016  =>  400 retried X-Graph-Attempts:3
--- graph
POST /http/1/messages
POST /http/1/messages
POST /server/1/messages
POST /location/1/messages
POST /location/1/messages
POST /location/1/messages
POST /location/nested/1/messages
POST /location/nested/1/messages
POST /location/nested/1/messages



=== graph_policy_log_level
--- at_http
graph_policy_log_level warn;
--- at_server
graph_policy_log_level notice;
--- at_location
graph_policy_log_level info;
--- steps
/http/1/messages one 400 131042             =>  400 passed
/server/2/messages one 400 131042           =>  400 passed
/location/3/messages one 400 131042         =>  400 passed
/location/nested/4/messages one 400 131042  =>  400 passed
--- said
[warn] graph policy state set, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 10000ms, zone: "z"
[notice] graph policy state set, scope: account, of phone: "2", reason: billing, code: 131042, trace: "Trace131042", hold: 10000ms, zone: "z"
[info] graph policy state set, scope: account, of phone: "3", reason: billing, code: 131042, trace: "Trace131042", hold: 10000ms, zone: "z"
[info] graph policy state set, scope: account, of phone: "4", reason: billing, code: 131042, trace: "Trace131042", hold: 10000ms, zone: "z"



=== nothing said: the defaults
--- http_config
graph_policy_zone zone=z:1m;
--- config
location / {
    graph_policy zone=z;
    proxy_pass http://graph;
}
--- graph_format: $http_accept_encoding
--- steps
/1/messages one 400 131042 pad=3000        =>  400 passed
/1/messages one                            =>  400 blocked
GET /1 one                                 =>  200
GET /1/messages one {Accept-Encoding: br}  =>  200
--- graph
POST /1/messages -
GET /1 -
GET /1/messages identity
--- said
[error] graph policy state set, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 10000ms, zone: "z"
[info] graph policy blocks a request, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", zone: "z"



=== graph_policy off in a location: nothing is read, learnt, changed or blocked
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
location / {
    proxy_pass http://graph;
}

location /off/ {
    graph_policy off;
    proxy_pass http://graph;

    location /off/nested/ {
        proxy_pass http://graph;
    }

    location /off/on/ {
        graph_policy zone=z;
        proxy_pass http://graph;
    }
}
--- graph_format: $http_accept_encoding
--- steps
/off/1/messages one 400 133010  =>  400 !X-Graph-Policy !X-Graph-Error-Category
/1/messages one                            =>  200
/1/messages one 400 133010                 =>  400 passed
/1/messages one                            =>  400 blocked
/off/1/messages one {Accept-Encoding: br}  =>  200
/1/messages one                            =>  400 blocked
/off/nested/1/messages one {Accept-Encoding: br}  =>  200
/off/nested/1/messages one 400 133010
    =>  400 !X-Graph-Policy !X-Graph-Error-Category
/off/on/1/messages one                     =>  400 blocked
--- graph
POST /off/1/messages -
POST /1/messages -
POST /1/messages -
POST /off/1/messages br
POST /off/nested/1/messages br
POST /off/nested/1/messages -



=== graph_policy off above, on in a location
--- http_config
graph_policy_zone zone=z:1m;
graph_policy off;
--- config
graph_policy off;

location / {
    proxy_pass http://graph;
}

location /on/ {
    graph_policy zone=z;
    proxy_pass http://graph;
}
--- steps
/1/messages one 400 133010     =>  400 !X-Graph-Policy
/on/1/messages one             =>  200
/on/1/messages one 400 133010  =>  400 passed
/on/1/messages one             =>  400 blocked
/1/messages one                =>  200



=== two locations on one zone share their states, on two zones they don't
--- http_config
graph_policy_zone zone=z:1m;
graph_policy_zone zone=y:1m;
--- config
location /a/ { graph_policy zone=z; proxy_pass http://graph; }
location /b/ { graph_policy zone=z; proxy_pass http://graph; }
location /c/ { graph_policy zone=y; proxy_pass http://graph; }
--- steps
/a/1/messages one 400 133010  =>  400 passed
/b/1/messages one             =>  400 blocked
/c/1/messages one             =>  200



=== a state carries the hold of the location that set it
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
location /short/ { graph_policy_hold 1ms max=2ms; proxy_pass http://graph; }
location /long/  { graph_policy_hold 1h; proxy_pass http://graph; }
--- steps
/short/1/messages one 400 133010  =>  400 passed
/long/1/messages one 400 133010   =>  400 probe
/long/1/messages one 400 133010   =>  400 probe
/long/2/messages one 400 131042   =>  400 passed
/short/2/messages one             =>  400 blocked
--- said
[error] graph policy state set, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"
[info] graph policy lets a probe pass, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[error] graph policy state re-armed, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 2ms, zone: "z"
[info] graph policy lets a probe pass, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[error] graph policy state re-armed, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 2ms, zone: "z"
[error] graph policy state set, scope: account, of phone: "2", reason: billing, code: 131042, trace: "Trace131042", hold: 3600000ms, zone: "z"
[info] graph policy blocks a request, scope: account, of phone: "2", reason: billing, code: 131042, trace: "Trace131042", zone: "z"



=== an if inherits, and a limit_except
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
location / {
    graph_policy_status 503;
    graph_policy_rule 131042 request;

    if ($arg_if) {
        proxy_pass http://graph;
    }

    limit_except GET {
        proxy_pass http://graph;
    }
}
--- steps
/1/messages?if=1 one 400 133010  =>  400 passed
/1/messages?if=1 one             =>  503 blocked
/1/messages one                  =>  503 blocked
/2/messages?if=1 one 400 131042  =>  400 passed X-Graph-Error-Category:request
/2/messages one 400 131042       =>  400 passed X-Graph-Error-Category:request



=== a named location has what its server says, not what the location before it says
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
graph_policy_rule 131042 request;

location / {
    graph_policy_rule 131042 ignore;
    try_files /nowhere @graph;
}

location @graph {
    proxy_pass http://graph;
}
--- steps
/1/messages one 400 131042  =>  400 passed X-Graph-Error-Category:request
/1/messages one 400 133010  =>  400 passed
/1/messages one             =>  400 blocked



=== try_files: a request is gated once, a probe stays the probe
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
graph_policy_hold 1ms;

location / {
    try_files /nowhere @graph;
}

location @graph {
    proxy_pass http://graph;
}
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one 500         =>  500 probe
/1/messages one 400 133010  =>  400 probe
/1/messages one             =>  200 probe
/1/messages one             =>  200
--- said
[error] graph policy state set, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"
[info] graph policy lets a probe pass, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[info] graph policy state probe told nothing, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"
[info] graph policy lets a probe pass, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[error] graph policy state re-armed, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 2ms, zone: "z"
[info] graph policy lets a probe pass, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[error] graph policy state cleared, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 2ms, zone: "z"



=== try_files from a dry run: what was let through there isn't blocked later
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
location / {
    proxy_pass http://graph;
}

location /dry/ {
    graph_policy_dry_run on;
    try_files /nowhere @graph;
}

location @graph {
    proxy_pass http://graph;
}
--- steps
/1/messages one 400 133010      =>  400 passed
/dry/1/messages one 400 133010  =>  400 dry-run
/1/messages one                 =>  400 blocked



=== try_files from a location where the policy is off
--- http_config
graph_policy_zone zone=z:1m;
--- config
location / {
    try_files /nowhere @graph;
}

location @graph {
    graph_policy zone=z;
    proxy_pass http://graph;
}
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one             =>  400 blocked



=== error_page to a second Graph API: tagged, learnt, and still the probe
--- http_config
upstream nobody { server 127.0.0.1:1 down; }
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
graph_policy_hold 1ms;

location / {
    error_page 502 = @second;
    proxy_pass http://nobody;
}

location @second {
    proxy_pass http://graph;
}
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one 400 133010  =>  400 probe
/1/messages one             =>  200 probe
/1/messages one             =>  200
--- mentions: no live upstreams



=== error_page to a page of one's own: nginx's own error, so a probe tells nothing
--- http_config
upstream nobody { server 127.0.0.1:1 down; }
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
graph_policy_hold 1ms;

location / {
    proxy_pass http://graph;
}

location /dead/ {
    error_page 502 /sorry.html;
    proxy_pass http://nobody;
}

location = /sorry.html {
    return 200 "sorry\n";
}
--- steps
/1/messages one 400 133010  =>  400 passed
/dead/1/messages one        =>  502 probe own
/1/messages one             =>  200 probe
--- graph
POST /1/messages
POST /1/messages
--- said
[error] graph policy state set, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"
[info] graph policy lets a probe pass, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[info] graph policy state probe told nothing, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"
[info] graph policy lets a probe pass, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[error] graph policy state cleared, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"



=== error_page doesn't replace local answers
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
location / {
    error_page 400 503 = /sorry.html;
    proxy_pass http://graph;
}

location /intercepted/ {
    graph_policy_status 503;
    error_page 400 503 = /sorry.html;
    proxy_intercept_errors on;
    proxy_pass http://graph;
}

location = /sorry.html {
    return 200 "sorry\n";
}
--- steps
/1/messages one 400 133010              =>  400 passed
/1/messages one                         =>  400 blocked
/intercepted/1/messages one             =>  503 blocked
/intercepted/2/messages one 400 133010  =>  200 own
/intercepted/2/messages one             =>  200 own



=== X-Accel-Redirect: one request, gated at its beginning, tagged at its end
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
graph_policy_hold 1ms;

location / {
    proxy_pass http://graph;
}

location @graph {
    proxy_pass http://graph$uri?second;
}
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one 200 header=X-Accel-Redirect:@graph | 400 133010 {X-Key: k}
    =>  400 probe
/1/messages one 200 header=X-Accel-Redirect:@graph | 200 {X-Key: k}
    =>  200 probe
/1/messages one             =>  200
--- graph
POST /1/messages
POST /1/messages
POST /1/messages?second
POST /1/messages
POST /1/messages?second
POST /1/messages



=== X-Accel-Redirect into a location where the policy is off: the probe tells nothing
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
graph_policy_hold 1ms;

location / {
    proxy_pass http://graph;
}

location /off {
    graph_policy off;
    return 200 "off\n";
}
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one 200 header=X-Accel-Redirect:/off  =>  200 own
/1/messages one             =>  200 probe
/1/messages one             =>  200



=== a rewrite decides what a send is, and for whom
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
location / {
    rewrite ^/short/(\d+)$ /v25.0/$1/messages break;
    proxy_pass http://graph;
}
--- steps
/short/1 one 400 133010  =>  400 passed
/short/1 one             =>  400 blocked
/v25.0/1/messages one    =>  400 blocked
--- graph
POST /v25.0/1/messages



=== subrequests pass uninspected
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
--- config
location / {
    auth_request /auth/1/messages;
    proxy_pass http://graph;
}

location /auth/ {
    proxy_method POST;
    proxy_pass_request_body off;
    proxy_set_header Content-Length "";
    proxy_pass http://graph/auth/;
}

location /plain/ {
    proxy_pass http://graph;
}
--- steps
/2/messages one                   =>  200
/plain/1/messages one             =>  200
/plain/1/messages one 400 133010  =>  400 passed
/2/messages one                   =>  200
--- graph
POST /auth/1/messages
POST /2/messages
POST /plain/1/messages
POST /plain/1/messages
POST /auth/1/messages
POST /2/messages



=== try_files to another zone: what that knows counts, whatever the first one does
--- http_config
graph_policy_zone zone=z:1m;
graph_policy_zone zone=y:1m;
--- config
location / {
    graph_policy zone=z;
    try_files /nowhere @y;
}

location @y {
    graph_policy zone=y;
    proxy_pass http://graph;
}

location /z/ {
    graph_policy zone=z;
    proxy_pass http://graph;
}
--- steps
/1/messages one 400 133010    =>  400 passed
/1/messages one               =>  400 blocked
/z/7/messages one 400 133010  =>  400 passed
/1/messages one               =>  400 blocked
