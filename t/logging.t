# vi:set ft= ts=4 sw=4 et:

# The error log: one line for each change of a state, one for each request that
# is blocked, and nothing secret in them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Nginx::Socket;
use GraphPolicy::Steps;

# "said" is compared as a whole, so that no line may bear more than it has there:
# no request line, no token.  "log_level" is that of the error log.

add_block_preprocessor(sub {
    my $block = shift;

    log_level($block->log_level // 'info');
});

plan tests => GraphPolicy::Steps::tests();

run_tests();

__DATA__

=== nothing to say of what passes, and of errors that set no state
--- steps
/1/messages one             =>  200
GET /1 one                  =>  200
/1/messages one 400 4       =>  400 passed
/1/messages one 400 100     =>  400 passed
/1/messages one 400 131026  =>  400 passed
/1/messages one 400 999999  =>  400 passed
/1/messages one 500         =>  500 passed
GET /1 one 400 190          =>  400 passed
--- said



=== a state of an account that isn't known: the phone it is of
--- steps
/1/messages one 400 131042  =>  400 passed
--- said
[error] graph policy state set, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 10000ms, zone: "z"



=== a state of an account
--- location
graph_policy_account 102290129340398;
--- steps
/1/messages one 400 368  =>  400 passed
--- said
[error] graph policy state set, scope: account, key: "102290129340398", reason: account-restricted, code: 368, trace: "Trace368", hold: 10000ms, zone: "z"



=== a state of an account with a name that can't be shown: a fingerprint
--- location
graph_policy_account "a\"b $http_authorization";
--- steps
/1/messages one 400 131042  =>  400 passed
--- said
[error] graph policy state set, scope: account, key: "<fp>", reason: billing, code: 131042, trace: "Trace131042", hold: 10000ms, zone: "z"



=== a state of an account that holds for one credential
--- location
graph_policy_account 102290129340398;
--- format: $graph_policy_credential
--- steps
/1/messages one 400 200  =>  400 passed
--- said
[error] graph policy state set, scope: account, key: "102290129340398", credential: <fp>, reason: token-invalid, code: 200, trace: "Trace200", hold: 10000ms, zone: "z"



=== a state of a phone
--- steps
/106540352242922/messages one 400 133010  =>  400 passed
--- said
[error] graph policy state set, scope: phone, key: "106540352242922", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 10000ms, zone: "z"



=== a state of a phone that holds for one credential, with a subcode
--- steps
/1/messages one 400 100/33  =>  400 passed
--- said
[error] graph policy state set, scope: phone, key: "1", credential: <fp>, reason: phone-disconnected, code: 100/33, trace: "Trace100", hold: 10000ms, zone: "z"



=== a state of a credential: its fingerprint, whichever way the token came
--- steps
/1/messages one 400 190/463     =>  400 passed
/2/messages?access_token=one -  =>  400 blocked
--- said
[error] graph policy state set, scope: credential, credential: <fp:one>, reason: token-invalid, code: 190/463, trace: "Trace190", hold: 10000ms, zone: "z"
[info] graph policy blocks a request, scope: credential, credential: <fp:one>, reason: token-invalid, code: 190/463, trace: "Trace190", zone: "z"



=== a token in the arguments is in no line
--- location
graph_policy_hold 1ms;
--- steps
/1/messages?access_token=SECRET&appsecret_proof=SECRET - 400 190
    =>  400 passed
/1/messages?access_token=SECRET - 400 190  =>  400 probe
/1/messages?access_token=SECRET - 500      =>  500 probe
/1/messages?access_token=SECRET -          =>  200 probe
--- said
[error] graph policy state set, scope: credential, credential: <fp:one>, reason: token-invalid, code: 190, trace: "Trace190", hold: 1ms, zone: "z"
[info] graph policy lets a probe pass, scope: credential, credential: <fp:one>, reason: token-invalid, code: 190, trace: "Trace190", zone: "z"
[error] graph policy state re-armed, scope: credential, credential: <fp:one>, reason: token-invalid, code: 190, trace: "Trace190", hold: 2ms, zone: "z"
[info] graph policy lets a probe pass, scope: credential, credential: <fp:one>, reason: token-invalid, code: 190, trace: "Trace190", zone: "z"
[info] graph policy state probe told nothing, scope: credential, credential: <fp:one>, reason: token-invalid, code: 190, trace: "Trace190", hold: 2ms, zone: "z"
[info] graph policy lets a probe pass, scope: credential, credential: <fp:one>, reason: token-invalid, code: 190, trace: "Trace190", zone: "z"
[error] graph policy state cleared, scope: credential, credential: <fp:one>, reason: token-invalid, code: 190, trace: "Trace190", hold: 2ms, zone: "z"



=== an answer without a trace, and with one that isn't plain
--- steps
/1/messages one 400 131042 trace=none     =>  400 passed
/2/messages one 400 131042 trace=A%2522b  =>  400 passed
/3/messages one 400 131042 trace=A_b-9    =>  400 passed
--- said
[error] graph policy state set, scope: account, of phone: "1", reason: billing, code: 131042, hold: 10000ms, zone: "z"
[error] graph policy state set, scope: account, of phone: "2", reason: billing, code: 131042, hold: 10000ms, zone: "z"
[error] graph policy state set, scope: account, of phone: "3", reason: billing, code: 131042, trace: "A_b-9", hold: 10000ms, zone: "z"



=== several phones at once: the reason that is shown
--- steps
/1/messages one 400 133010  =>  400 passed
/2/messages one 400 133010  =>  400 passed
/1/messages one             =>  400 blocked
--- said
[error] graph policy state set, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 10000ms, zone: "z"
[error] graph policy state set, scope: phone, key: "2", reason: phones-disconnected, code: 133010, trace: "Trace133010", hold: 10000ms, zone: "z"
[info] graph policy blocks a request, scope: phone, key: "1", reason: phones-disconnected, code: 133010, trace: "Trace133010", zone: "z"



=== each change once: set, re-armed, cleared, and again within its memory
--- location
graph_policy_hold 1ms max=2ms;
--- steps
/1/messages one 400 131042  =>  400 passed
/1/messages one 400 131042  =>  400 probe
/1/messages one             =>  200 probe
/1/messages one             =>  200
/1/messages one 400 131042  =>  400 passed
/1/messages one             =>  200 probe
--- said
[error] graph policy state set, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 1ms, zone: "z"
[info] graph policy lets a probe pass, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", zone: "z"
[error] graph policy state re-armed, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 2ms, zone: "z"
[info] graph policy lets a probe pass, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", zone: "z"
[error] graph policy state cleared, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 2ms, zone: "z"
[error] graph policy state re-armed, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 2ms, zone: "z"
[info] graph policy lets a probe pass, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", zone: "z"
[error] graph policy state cleared, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 2ms, zone: "z"



=== two states at once: a line for each
--- location
graph_policy_hold 1ms;
--- steps
/1/messages one 400 131042  =>  400 passed
/1/messages one 400 190     =>  400 probe
/1/messages one             =>  200 probe
--- said
[error] graph policy state set, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 1ms, zone: "z"
[info] graph policy lets a probe pass, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", zone: "z"
[error] graph policy state set, scope: credential, credential: <fp:one>, reason: token-invalid, code: 190, trace: "Trace190", hold: 1ms, zone: "z"
[info] graph policy state probe told nothing, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 1ms, zone: "z"
[info] graph policy lets a probe pass, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", zone: "z"
[error] graph policy state cleared, scope: credential, credential: <fp:one>, reason: token-invalid, code: 190, trace: "Trace190", hold: 1ms, zone: "z"
[error] graph policy state cleared, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 1ms, zone: "z"



=== dry run: what would have been blocked, and a change like any other
--- location
graph_policy_dry_run on;
--- steps
/1/messages one 400 131042  =>  400 passed
/1/messages one 400 131026  =>  400 dry-run
/1/messages one             =>  200
--- said
[error] graph policy state set, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 10000ms, zone: "z"
[info] graph policy would block a request, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", zone: "z"
[info] graph policy would block a request, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", zone: "z"
[error] graph policy state cleared, scope: account, of phone: "1", reason: billing, code: 131042, trace: "Trace131042", hold: 10000ms, zone: "z"



=== graph_policy_log_level info
--- location
graph_policy_log_level info;
graph_policy_hold 1ms;
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one             =>  200 probe
--- said
[info] graph policy state set, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"
[info] graph policy lets a probe pass, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[info] graph policy state cleared, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"



=== graph_policy_log_level notice, re-armed
--- location
graph_policy_log_level notice;
graph_policy_hold 1ms;
--- log_level: notice
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one 400 133010  =>  400 probe
/1/messages one             =>  200 probe
--- said
[notice] graph policy state set, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"
[notice] graph policy state re-armed, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 2ms, zone: "z"
[notice] graph policy state cleared, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 2ms, zone: "z"



=== graph_policy_log_level error
--- location
graph_policy_log_level error;
graph_policy_hold 1ms;
--- log_level: error
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one             =>  200 probe
--- said
[error] graph policy state set, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"
[error] graph policy state cleared, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"



=== an error log of error, nginx's default, has the changes
--- location
graph_policy_hold 1ms;
--- log_level: error
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one 400 133010  =>  400 probe
/1/messages one             =>  200 probe
--- said
[error] graph policy state set, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"
[error] graph policy state re-armed, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 2ms, zone: "z"
[error] graph policy state cleared, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 2ms, zone: "z"



=== and not the single blocks
--- log_level: error
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one             =>  400 blocked
--- said
[error] graph policy state set, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 10000ms, zone: "z"



=== an error log of error has nothing of a level of warn
--- location
graph_policy_log_level warn;
--- log_level: error
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one             =>  400 blocked
--- said



=== an error log of warn has nothing of a level of notice
--- location
graph_policy_log_level notice;
--- log_level: warn
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one             =>  400 blocked
--- said



=== the level is that of the location where it happens
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
graph_policy_hold 1ms;
--- config
location / {
    proxy_pass http://graph;
}

location /quiet/ {
    graph_policy_log_level info;
    proxy_pass http://graph;
}
--- log_level: notice
--- steps
/1/messages one 400 133010        =>  400 passed
/quiet/1/messages one             =>  200 probe
/quiet/1/messages one 400 133010  =>  400 passed
/1/messages one                   =>  200 probe
--- said
[error] graph policy state set, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 1ms, zone: "z"
[error] graph policy state cleared, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 2ms, zone: "z"



=== a location with an error log of its own has its lines there
--- location
error_log $TEST_NGINX_SERVER_ROOT/logs/location.log info;
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages one             =>  400 blocked
--- said_in: location.log
--- said
[error] graph policy state set, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", hold: 10000ms, zone: "z"
[info] graph policy blocks a request, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"



=== where no request shows a credential, nobody ends what is due: said once a location
--- http_config
graph_policy_zone zone=z:1m;
graph_policy zone=z;
graph_policy_hold 1ms;
graph_policy_log_level info;
--- config
location / {
    proxy_pass http://graph;
}

location /adds/ {
    proxy_set_header Authorization "Bearer one";
    proxy_pass http://graph;
}

location /named/ {
    graph_policy_credential one;
    proxy_set_header Authorization "Bearer one";
    proxy_pass http://graph;
}
--- log_level: error
--- steps
/1/messages one 400 133010  =>  400 passed
/adds/1/messages -          =>  400 blocked
/adds/1/messages -          =>  400 blocked
/1/messages -               =>  400 blocked
/adds/1/messages -          =>  400 blocked
/named/1/messages -         =>  200 probe
/adds/1/messages -          =>  200
--- said
[error] graph policy has no probe for a state that is due: a request in location "/adds/" shows no credential; where the proxy adds the token, "graph_policy_credential" has to name it, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"
[error] graph policy has no probe for a state that is due: a request in location "/" shows no credential; where the proxy adds the token, "graph_policy_credential" has to name it, scope: phone, key: "1", reason: phone-disconnected, code: 133010, trace: "Trace133010", zone: "z"



=== while it holds, nothing is said of that
--- location
graph_policy_log_level info;
--- log_level: error
--- steps
/1/messages one 400 133010  =>  400 passed
/1/messages -               =>  400 blocked
--- said
