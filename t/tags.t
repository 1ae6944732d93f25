# vi:set ft= ts=4 sw=4 et:

# Which answers get the headers of the policy and which don't, Retry-After, and
# what else of nginx has a hand in an error answer. The cases are described in
# t/lib/GraphPolicy/Steps.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Nginx::Socket;

use GraphPolicy::Steps;
use GraphPolicy::Graph qw(CLOSE with_length);

no_long_string();
plan 'no_plan';

our $expired = sample('e190_463_expired.json');
our $window  = sample('e131047_sync_400.json');
our $unknown = sample('e131000_something_wrong_500.json');
our $ok      = '{"messages":[{"id":"wamid.FAKE"}]}';

our $expired_tags = 'fatal 190 463 token-invalid credential';
our $window_tags  = 'context-limited 131047 - window-expired conversation';

my $json = "Content-Type: application/json\r\n";

sub numbered {
    my ($status, $headers) = @_;
    return sub {
        with_length($status, "$json$headers", qq({"error":{"code":131047,)
            . qq("fbtrace_id":"A$_[0]{connection}"}}));
    };
}

my $upstream = GraphPolicy::Graph->start(
    ok       => sub { with_length(200, $json, $ok) },
    expired  => sub {
        with_length(401, "${json}WWW-Authenticate: OAuth \"Facebook Platform\""
            . " \"invalid_token\" \"Expired\"\r\nX-FB-Trace-Id: FAKEtrace00\r\n",
            $expired);
    },
    window   => sub { with_length(400, $json, $window) },
    unknown  => sub { with_length(500, $json, $unknown) },
    numbered => numbered(400, ''),
    lasting  => numbered(400, "Cache-Control: max-age=600\r\n"),
    counted  => sub { with_length(200, $json, "[$_[0]{connection}]") },
    # as the request has it
    wavering => sub {
        return $_[0]{head} =~ /^Mood: bad/mi
            ? with_length(500, $json, $unknown)
            : with_length(200, $json, $ok);
    },
    silent   => sub { (\5) },
    garbage  => sub { ("HTTP/1.1 400 Mock\r\nBad\0: header\r\n\r\n", CLOSE) },
    'two-waits' => sub {
        with_length(500, "${json}Retry-After: 7\r\nRetry-After: 9\r\n",
            $unknown);
    },
    auth     => sub { with_length(401, $json, $expired) },
);

# another one behind the first
my $second = GraphPolicy::Graph->start(
    map { ($_ => sub { with_length(400, $json, $window) }) } qw(unknown ok)
);

$ENV{TEST_NGINX_UPSTREAM_PORT} = $upstream->port;
$ENV{TEST_NGINX_SECOND_PORT}   = $second->port;

our $refused = do {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        or die "listen: $!";
    $socket->sockport;
};
$ENV{TEST_NGINX_REFUSED_PORT} = $refused;

# what may stand in the log where nginx itself has failed
our $bad = qr/\[(?:crit|alert|emerg)\]/;

our $original = '{"error":{"code":131047}}';

# the lines of the log so far that match
sub logged {
    my ($pattern) = @_;
    open my $log, '<', $Test::Nginx::Util::ErrLogFile or return 0;
    return scalar grep { $_ =~ $pattern } <$log>;
}

sub is_stored {
    my ($name) = @_;
    return -e "$Test::Nginx::Util::ServRoot/html/$name" ? 'stored' : 'absent';
}

run_tests();

__DATA__

=== spoofed: errors have none of the upstream's headers of these names
--- each: spoof=theirs header=X-Graph-Other:theirs => X-Graph-Other:theirs
--- steps
* 401 @e190_463_expired.json
    =>  401 tagged fatal 190 463 token-invalid credential
* 400 @e190_undecryptable_401.json
    =>  400 tagged fatal 190 - token-invalid credential
* 429 @e4_app_limit_429.json
    =>  429 tagged temporary 4 2446079 rate-limit credential 60
* 500 @e1_unknown_500.json  =>  500 tagged temporary 1 - server-error request
* 400 @e131047_sync_400.json
    =>  400 tagged context-limited 131047 - window-expired conversation
* 404 @e132001_template_404.json  =>  404 tagged request 132001 - other request
* 503 @n503_html.html                    =>  503 tagged unclassified
* 502 @n502_empty.txt                    =>  502 tagged unclassified
* 400 = {"error":{"code":5}}             =>  400 tagged unclassified 5
* 400 = {"error":{"message":"no code"}}  =>  400 tagged unclassified



=== spoofed: a HEAD neither
--- each: spoof=theirs header=X-Graph-Other:theirs => X-Graph-Other:theirs
--- steps
HEAD * 401 @e190_463_expired.json  =>  401 tagged unclassified



=== spoofed: what is no error is left alone
--- each: spoof=theirs header=X-Graph-Other:theirs =>
--- steps
* 200 = {"messages":[{"id":"wamid.FAKE"}]}  =>  200 theirs
* 201 = {"id":"1"}                          =>  201 theirs
* 302 = moved                               =>  302 theirs
* 307 = moved                               =>  307 theirs



=== spoofed: where the policy is off
--- config
    location / {
        proxy_pass http://graph;
    }
--- each: spoof=theirs header=X-Graph-Other:theirs =>
--- steps
* 401 @e190_463_expired.json  =>  401 theirs
* 503 @n503_html.html         =>  503 theirs



=== Retry-After: the row's wait, where it has one
--- steps
* 429 = {"error":{"code":4}}
    =>  429 tagged temporary 4 - rate-limit credential 60
* 429 = {"error":{"code":80007}}
    =>  429 tagged temporary 80007 - rate-limit account 60
* 429 = {"error":{"code":130429}}
    =>  429 tagged temporary 130429 - rate-limit phone 1
* 429 = {"error":{"code":131056}}
    =>  429 tagged temporary 131056 - pair-rate-limit conversation 1
* 503 = {"error":{"code":131057}}
    =>  503 tagged temporary 131057 - maintenance phone 5
* 503 = {"error":{"code":2494100}}
    =>  503 tagged temporary 2494100 - maintenance phone 60
* 500 = {"error":{"code":131000}}
    =>  500 tagged temporary 131000 - server-error request
* 503 = {"error":{"code":131016}}
    =>  503 tagged temporary 131016 - service-unavailable phone
* 500 = {"error":{"code":5,"is_transient":true}}
    =>  500 tagged temporary 5 - other request



=== Retry-After: the upstream's, where that is longer or the only one
--- each: header=Retry-After:7 => Retry-After~\d+
--- steps
* 429 = {"error":{"code":4}}
    =>  429 tagged temporary 4 - rate-limit credential 60
* 429 = {"error":{"code":130429}}
    =>  429 tagged temporary 130429 - rate-limit phone 7
* 429 = {"error":{"code":131056}}
    =>  429 tagged temporary 131056 - pair-rate-limit conversation 7
* 503 = {"error":{"code":131057}}
    =>  503 tagged temporary 131057 - maintenance phone 7
* 500 = {"error":{"code":131000}}
    =>  500 tagged temporary 131000 - server-error request 7
* 503 = {"error":{"code":131016}}
    =>  503 tagged temporary 131016 - service-unavailable phone 7
* 500 = {"error":{"code":5,"is_transient":true}}
    =>  500 tagged temporary 5 - other request 7
* 200 = {"messages":[]}            =>  200 untouched



=== Retry-After: the upstream's is longer than any row's
--- each: header=Retry-After:3600 =>
--- steps
* 429 = {"error":{"code":4}}
    =>  429 tagged temporary 4 - rate-limit credential 3600
* 503 = {"error":{"code":2494100}}
    =>  503 tagged temporary 2494100 - maintenance phone 3600



=== Retry-After: the upstream's as a date
--- each: date=10000 =>
--- steps
* 429 = {"error":{"code":4}}
    =>  429 tagged temporary 4 - rate-limit credential (?:9\d{3}|1000\d)
* 500 = {"error":{"code":131000}}
    =>  500 tagged temporary 131000 - server-error request (?:9\d{3}|1000\d)



=== Retry-After: a date that is over
--- each: header=Retry-After:Wed%2C%2021%20Oct%202015%2007:28:00%20GMT =>
--- steps
* 429 = {"error":{"code":4}}
    =>  429 tagged temporary 4 - rate-limit credential 60



=== Retry-After: what can't be read says nothing
--- each: header=Retry-After:soon =>
--- steps
* 429 = {"error":{"code":4}}
    =>  429 tagged temporary 4 - rate-limit credential 60
* 500 = {"error":{"code":131000}}
    =>  500 tagged temporary 131000 - server-error request



=== Retry-After: less than nothing
--- each: header=Retry-After:-5 =>
--- steps
* 429 = {"error":{"code":4}}
    =>  429 tagged temporary 4 - rate-limit credential 60
* 500 = {"error":{"code":131000}}
    =>  500 tagged temporary 131000 - server-error request



=== Retry-After: a number with more
--- each: header=Retry-After:120%20seconds =>
--- steps
* 429 = {"error":{"code":4}}
    =>  429 tagged temporary 4 - rate-limit credential 60



=== Retry-After: longer than a number can tell
--- each: header=Retry-After:99999999999999999999999 =>
--- steps
* 429 = {"error":{"code":4}}
    =>  429 tagged temporary 4 - rate-limit credential \d{2,20}



=== Retry-After: there is one, whatever the upstream sends
--- config
    location / {
        graph_policy zone=z;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request
POST /two-waits/v25.0/1001/messages
--- error_code: 500
--- raw_response_headers_like eval
::tagged('temporary 131000 - server-error request [79]')



=== Retry-After: fatal and context-limited errors lose the upstream's
--- each: header=Retry-After:7 =>
--- steps
* 401 = {"error":{"code":190}}
    =>  401 tagged fatal 190 - token-invalid credential
* 400 = {"error":{"code":131042}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":131047}}
    =>  400 tagged context-limited 131047 - window-expired conversation
* 400 = {"error":{"code":130472}}
    =>  400 tagged context-limited 130472 - other request



=== Retry-After: the upstream's stays where we know nothing better
--- each: header=Retry-After:7 => Retry-After:7
--- steps
* 503 @n503_html.html              =>  503 tagged unclassified - - - - 7
* 503 @n502_empty.txt              =>  503 tagged unclassified - - - - 7
* 500 = {"error":{"code":999}}     =>  500 tagged unclassified 999 - - - 7
* 400 = {"error":{"code":100}}     =>  400 tagged request 100 - other request 7
* 429 = {"error":{"code":131030}}
    =>  429 tagged request 131030 - other request 7



=== Retry-After: it stays as it is, even what can't be read
--- each: header=Retry-After:soon => Retry-After:soon
--- steps
* 400 = {"error":{"code":100}}  =>  400 tagged request 100 - other request soon



=== Retry-After: other errors get none
--- steps
* 503 @n503_html.html           =>  503 tagged unclassified
* 401 = {"error":{"code":190}}
    =>  401 tagged fatal 190 - token-invalid credential
* 400 = {"error":{"code":100}}  =>  400 tagged request 100 - other request



=== nginx's own pages are no answers of the upstream
--- http_config
limit_req_zone $uri zone=once:1m rate=1r/m;
--- config
    graph_policy zone=z;

    location /refused/ {
        proxy_pass http://127.0.0.1:$TEST_NGINX_REFUSED_PORT;
    }

    location /silent/ {
        proxy_read_timeout 100ms;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }

    location /garbage/ {
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }

    location /large/ {
        client_max_body_size 10;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }

    location /denied/ {
        deny all;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }

    location /returned/ {
        return 429 '{"error":{"code":190}}';
    }

    location /file/ {
        root $TEST_NGINX_SERVER_ROOT/html;
    }

    location /ok/ {
        limit_req zone=once;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request eval
["POST /refused/v25.0/1001/messages\n{}",
 "POST /silent/v25.0/1001/messages\n{}",
 "POST /garbage/v25.0/1001/messages\n{}",
 "POST /large/v25.0/1001/messages\n" . 'x' x 100,
 "POST /denied/v25.0/1001/messages\n{}",
 "POST /returned/v25.0/1001/messages\n{}",
 "GET /file/v25.0/1001",
 "POST /ok/v25.0/1001/messages\n{}",
 "POST /ok/v25.0/1001/messages\n{}"]
--- error_code eval: [502, 504, 502, 413, 403, 429, 404, 200, 503]
--- raw_response_headers_like eval: [(::untagged()) x 9]
--- no_error_log eval: [$::bad]



=== an answer of the upstream that stands in for one of nginx's
--- config
    graph_policy zone=z;

    location / {
        error_page 502 = @fallback;
        proxy_pass http://127.0.0.1:$TEST_NGINX_REFUSED_PORT;
    }

    location @fallback {
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request eval
["POST /window/v25.0/1001/messages\n{}", "POST /ok/v25.0/1001/messages\n{}"]
--- error_code eval: [400, 200]
--- response_body eval: [$::window, $::ok]
--- raw_response_headers_like eval
[::tagged($::window_tags), ::untagged()]
--- no_error_log eval: [$::bad]



=== error_page alone replaces neither the upstream's answer nor the policy's
The second one is local.
--- config
    error_page 401 /custom;

    location = /custom {
        return 200 "custom";
    }

    location / {
        graph_policy zone=z;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request eval
["POST /expired/v25.0/1001/messages\n{}",
 "POST /expired/v25.0/1001/messages\n{}"]
--- more_headers
Authorization: Bearer T
--- error_code eval: [401, 401]
--- response_body eval
[$::expired, qr/^\{"error":\{"message":.*"code":190,/]
--- raw_response_headers_like eval
[::tagged($::expired_tags, '^X-FB-Trace-Id: FAKEtrace00\r$'),
 qr/^X-Graph-Policy: blocked\r$/m]



=== proxy_intercept_errors with a page for the status: neither read nor tagged
--- config
    graph_policy zone=z;
    error_page 401 /custom;

    location = /custom {
        internal;
        return 200 "custom";
    }

    location / {
        proxy_intercept_errors on;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request eval
["POST /expired/v25.0/1001/messages\n{}",
 "POST /expired/v25.0/1001/messages\n{}",
 "POST /expired/v25.0/1002/messages\n{}",
 "POST /ok/v25.0/1001/messages\n{}"]
--- more_headers
Authorization: Bearer T
--- error_code eval: [401, 401, 401, 200]
--- raw_response_headers_like eval: [(::untagged()) x 4]
--- response_body eval: [('custom') x 3, $::ok]



=== proxy_intercept_errors with a page for the status: it is warned of once
--- config
    graph_policy zone=z;
    error_page 401 /custom;

    location = /custom {
        internal;
        return 200 "custom";
    }

    location / {
        proxy_intercept_errors on;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request eval
["POST /expired/v25.0/1001/messages\n{}",
 "POST /expired/v25.0/1001/messages\n{}",
 "POST /expired/v25.0/1002/messages\n{}",
 "POST /ok/v25.0/1001/messages\n{}"]
--- more_headers
Authorization: Bearer T
--- error_code eval: [401, 401, 401, 200]
--- response_body_filters eval
sub { "$_[0], warnings: " . ::logged(qr/\[error\].*proxy_intercept_errors/) }
--- response_body eval
[('custom, warnings: 1') x 3, "$::ok, warnings: 1"]



=== proxy_intercept_errors without a page for the status
--- config
    graph_policy zone=z;
    error_page 404 /custom;

    location = /custom {
        internal;
        return 200 "custom";
    }

    location / {
        proxy_intercept_errors on;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request eval
["POST /expired/v25.0/1001/messages\n{}", "POST /window/v25.0/1001/messages\n{}"]
--- more_headers eval
["Authorization: Bearer T", "Authorization: Bearer U"]
--- error_code eval: [401, 400]
--- response_body eval: [$::expired, $::window]
--- raw_response_headers_like eval
[::tagged($::expired_tags), ::tagged($::window_tags)]
--- no_error_log eval: [qr/proxy_intercept_errors/]



=== subrequests: auth_request
Its answer is none that the client gets, and no send's.
--- config
    graph_policy zone=z;
    proxy_pass_request_body on;

    location / {
        auth_request /auth/v25.0/1001/messages;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }

    location /auth/ {
        internal;
        graph_policy_send 1;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }

    location /open/ {
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT/ok/;
    }
--- request eval
["POST /ok/v25.0/1001/messages\n{}", "POST /open/v25.0/1001/messages\n{}"]
--- more_headers
Authorization: Bearer T
--- error_code eval: [401, 200]
--- response_body_unlike eval: [qr/error_subcode/, qr/error/]
--- raw_response_headers_like eval: [::untagged(), ::untagged()]



=== subrequests: mirror
--- config
    graph_policy zone=z;

    location / {
        mirror /mirror;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }

    location = /mirror {
        internal;
        graph_policy_send 1;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT/expired/;
    }
--- request eval
[("POST /ok/v25.0/1001/messages\n{}") x 3]
--- more_headers
Authorization: Bearer T
--- error_code eval: [200, 200, 200]
--- response_body eval: [($::ok) x 3]
--- raw_response_headers_like eval: [(::untagged()) x 3]



=== subrequests: an error that a page includes
--- config
    graph_policy zone=z;

    location = /page.html {
        ssi on;
        ssi_types *;
        root $TEST_NGINX_SERVER_ROOT/html;
    }

    location /expired/ {
        graph_policy_send 1;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }

    location /ok/ {
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- user_files
>>> page.html
[<!--#include virtual="/expired/v25.0/1001/messages" -->]
--- request eval
['GET /page.html', "POST /ok/v25.0/1001/messages\n{}", 'GET /page.html']
--- more_headers
Authorization: Bearer T
--- error_code eval: [200, 200, 200]
--- response_body eval: ["[$::expired]\n", $::ok, "[$::expired]\n"]
--- raw_response_headers_like eval: [(::untagged()) x 3]



=== proxy_cache: errors aren't stored, and tagged each time
--- http_config
proxy_cache_path $TEST_NGINX_SERVER_ROOT/proxy_cache keys_zone=cache:1m;
--- config
    location / {
        graph_policy zone=z;
        proxy_cache cache;
        proxy_cache_key $uri;
        proxy_cache_valid any 10m;
        add_header X-Cache $upstream_cache_status always;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request eval
[('GET /numbered/v25.0/1001') x 2, ('GET /lasting/v25.0/1001') x 2]
--- error_code eval: [(400) x 4]
--- response_body_like eval
[('^\{"error":\{"code":131047,"fbtrace_id":"A\d+"\}\}\z') x 4]
--- raw_response_headers_like eval
[(::tagged($::window_tags, '^X-Cache: MISS\r$')) x 4]



=== proxy_cache: what is accepted is cached
--- http_config
proxy_cache_path $TEST_NGINX_SERVER_ROOT/proxy_cache keys_zone=cache:1m;
--- config
    location / {
        graph_policy zone=z;
        proxy_cache cache;
        proxy_cache_key $uri;
        proxy_cache_valid any 10m;
        add_header X-Cache $upstream_cache_status;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request eval: [('GET /counted/v25.0/1001') x 3]
--- error_code eval: [200, 200, 200]
--- response_body_like eval: ['^\[\d+\]\z', '^\[\d+\]\z', '^\[\d+\]\z']
--- raw_response_headers_like eval
[map { ::untagged("^X-Cache: $_\\r\$") } qw(MISS HIT HIT)]



=== proxy_cache: an error from the cache reaches the client as it is
It was stored where the policy is off. It isn't looked at.
--- http_config
proxy_cache_path $TEST_NGINX_SERVER_ROOT/proxy_cache keys_zone=cache:1m;
--- config
    proxy_cache cache;
    proxy_cache_key $arg_key;
    proxy_cache_methods GET POST;
    proxy_cache_valid any 10m;
    add_header X-Cache $upstream_cache_status always;

    location / {
        graph_policy zone=z;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }

    location /off/ {
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT/;
    }
--- request eval
["POST /off/expired/v25.0/1001/messages?key=1\n{}",
 "POST /expired/v25.0/1001/messages?key=1\n{}",
 "POST /ok/v25.0/1001/messages?key=2\n{}"]
--- more_headers
Authorization: Bearer T
--- error_code eval: [401, 401, 200]
--- response_body eval: [$::expired, $::expired, $::ok]
--- raw_response_headers_like eval
[::untagged('^X-Cache: MISS\r$'), ::untagged('^X-Cache: HIT\r$'),
 ::untagged('^X-Cache: MISS\r$')]



=== proxy_cache: a stale answer in place of an error
--- http_config
proxy_cache_path $TEST_NGINX_SERVER_ROOT/proxy_cache keys_zone=cache:1m;
--- config
    location / {
        graph_policy zone=z;
        proxy_cache cache;
        proxy_cache_key $uri;
        proxy_cache_valid 200 1s;
        proxy_cache_use_stale http_500;
        add_header X-Cache $upstream_cache_status;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request eval: ['GET /wavering/v25.0/1001', 'GET /wavering/v25.0/1001']
--- more_headers eval: ['Mood: good', 'Mood: bad']
--- wait: 2.1
--- error_code eval: [200, 200]
--- response_body eval: [$::ok, $::ok]
--- raw_response_headers_like eval
[::untagged('^X-Cache: MISS\r$'), ::untagged('^X-Cache: STALE\r$')]



=== proxy_store: errors aren't stored, anything else is
--- config
    location / {
        graph_policy zone=z;
        proxy_store $TEST_NGINX_SERVER_ROOT/html/stored$uri;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request eval: ['GET /window/1', 'GET /ok/1']
--- error_code eval: [400, 200]
--- raw_response_headers_like eval
[::tagged($::window_tags), ::untagged()]
--- response_body_filters eval
[[sub { "$_[0] " . ::is_stored('stored/window/1') }],
 [sub { sleep 0.2; "$_[0] " . ::is_stored('stored/ok/1') }]]
--- response_body eval: ["$::window absent", "$::ok stored"]



=== several upstreams: the last answer counts
--- http_config
upstream graph {
    server 127.0.0.1:$TEST_NGINX_UPSTREAM_PORT max_fails=0;
    server 127.0.0.1:$TEST_NGINX_SECOND_PORT backup;
}
--- config
    location / {
        graph_policy zone=z;
        proxy_next_upstream error http_500 non_idempotent;
        proxy_pass http://graph;
    }
--- request eval
["POST /unknown/v25.0/1001/messages\n{}", 'GET /unknown/v25.0/1001',
 'GET /ok/v25.0/1001']
--- error_code eval: [400, 400, 200]
--- response_body eval: [$::window, $::window, $::ok]
--- raw_response_headers_like eval
[::tagged($::window_tags), ::tagged($::window_tags), ::untagged()]



=== add_header always, and other headers
--- location
add_header X-Ours "$upstream_status, $upstream_http_content_type" always;
add_header X-Quiet quiet;
expires 1h;
proxy_hide_header ETag;
--- each: header=ETag:%22a%22 => X-Ours~"40\d, application/json"
--- raw_response_headers_unlike eval: [(qr/^(?:X-Quiet|ETag)/mi) x 2]
--- steps
* 401 @e190_463_expired.json
    =>  401 tagged fatal 190 463 token-invalid credential
* 400 @e131047_sync_400.json
    =>  400 tagged context-limited 131047 - window-expired conversation



=== add_header with what was found
--- location
add_header X-Found "$graph_error_category/$graph_error_code" always;
--- each:  => X-Found:fatal/190
--- steps
* 401 @e190_463_expired.json
    =>  401 tagged fatal 190 463 token-invalid credential



=== headers of the upstream's own stay
--- config
    location / {
        graph_policy zone=z;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request
POST /expired/v25.0/1001/messages
--- error_code: 401
--- response_body eval: $::expired
--- raw_response_headers_like eval
::tagged($::expired_tags, '^WWW-Authenticate: OAuth "Facebook Platform" "invalid_token" "Expired"\r$.*^X-FB-Trace-Id: FAKEtrace00\r$')



=== sub_filter changes what the client gets, not what is read
--- location
sub_filter '"code":190' '"code":4';
sub_filter 'access token' 'ACCESS TOKEN';
sub_filter_once off;
sub_filter_types *;
--- response_body_filters eval
sub { $_[0] =~ s/"code":4,/"code":190,/r =~ s/ACCESS TOKEN/access token/r }
--- raw_response_headers_unlike eval: [(qr/^Content-Length/mi) x 2]
--- steps
* 401 @e190_463_expired.json
    =>  401 tagged fatal 190 463 token-invalid credential
* 401 @e190_undecryptable_401.json
    =>  401 tagged fatal 190 - token-invalid credential



=== the upstream's path, headers and body can be anything
--- config
    location / {
        graph_policy zone=z;
        rewrite ^/prefix(/.*) $1 break;
        proxy_method GET;
        proxy_set_body '';
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- request eval
["POST /prefix/window/v25.0/1001/messages\n{}",
 "POST /prefix/ok/v25.0/1001/messages\n{}"]
--- error_code eval: [400, 200]
--- response_body eval: [$::window, $::ok]
--- raw_response_headers_like eval
[::tagged($::window_tags), ::untagged()]
