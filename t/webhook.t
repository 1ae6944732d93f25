# vi:set ft= ts=4 sw=4 et:

# graph_policy_webhook: which requests reach the application, and what they
# bear then. What is learnt from them is in t/webhook_learn.t, when they are put
# off in t/webhook_pause.t, how the directives may be written in
# t/directives_webhook.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slow spew);
use GraphPolicy::Webhook qw(signature payload entry messages account_update
    status inbound contact message tags short);

my $secret = 's3cretOfTheFirstApp';
my $second = 's3cretOfTheSecondApp';
my $bound  = 's3cretOfSomebodyElse';
my $text   = 'What a customer said to nobody else';
my $user   = '15558889999';

my $config = <<'END';
graph_policy_zone zone=z:1m;

server {
    listen 127.0.0.1:%PORT%;
    listen 127.0.0.1:%PORT2% http2;

    client_max_body_size   16m;
    proxy_http_version     1.1;
    underscores_in_headers on;
    graph_policy           zone=z;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /memory {
        client_body_buffer_size          16m;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /file {
        client_body_buffer_size          1k;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /infile {
        client_body_in_file_only         clean;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /unbuffered {
        proxy_request_buffering          off;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /retry {
        graph_policy_retry               attempts=3 base=1ms budget_min=1000;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /rules {
        graph_policy_rule                131051 ignore;
        graph_policy_rule                777001 context-limited
            reason=undeliverable;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /dry {
        graph_policy_dry_run             on;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /bound {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS2;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /pages {
        error_page                       502 /pages/sorry;
        proxy_intercept_errors           on;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
        location /pages/sorry {
            return 200 "sorry";
        }
        location /pages/elsewhere {
            proxy_pass                   http://127.0.0.1:APP;
        }
        location = /pages/redirect {
            error_page                   502 = /pages/elsewhere/at;
            proxy_pass                   http://127.0.0.1:APP;
        }
        location = /pages/bound {
            error_page                   502 = @bound;
            proxy_pass                   http://127.0.0.1:APP;
        }
    }
    location /fallback {
        error_page                       403 405 413 500 = @app;
        client_max_body_size             1k;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location @app {
        proxy_pass                       http://127.0.0.1:APP;
    }
    location @bound {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS2;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /mirrored {
        mirror                           /webhook/mirror;
        proxy_pass                       http://127.0.0.1:%GRAPH%;
    }
    location /mirrors {
        mirror                           /mirrors/copy;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /off {
        graph_policy_webhook             off;
        proxy_pass                       http://127.0.0.1:APP;
    }
}
END

my $hook = GraphPolicy::Webhook->start(
    secrets  => [$secret, $second],
    secrets2 => ["$bound 2001 2002", "$second 2003\n"],
    http     => $config,
);
my ($nginx, $app) = ($hook->nginx, $hook->app);

my $plain = payload(entry('2001', messages(phone => '1001',
    contacts => [contact($user)], messages => [inbound(from => $user,
        text => $text)])));
my $right = signature($plain, $secret);


# -- who signed

is(signature('The quick brown fox jumps over the lazy dog', 'key'),
    'sha256=f7bc83f430538424b13298e6aa6fb143'
    . 'ef4d59a14946175997479dbc2d1a3cd8', 'the signature of these tests');

{
    $hook->is_received($plain, 'signed');

    my $got = $hook->received;
    is($got->{method}, 'POST', 'signed: the method');
    is($got->{uri}, '/webhook', 'signed: the URI');
    is($got->{headers}{'content-length'}, length $plain,
        'signed: its length');
    is($got->{headers}{'content-type'}, 'application/json',
        'signed: its type');
    is($got->{headers}{'x-hub-signature-256'}, $right,
        'signed: the signature goes on');
    is(tags($got), '- - - -', 'signed: without errors there are no tags');

    $hook->is_received($plain, 'signed with the second secret',
        secret => $second);
    $hook->is_received('', 'signed, an empty body');
    $hook->is_received($plain, 'signed, with arguments',
        path => '/webhook?a=b');
    is($hook->received->{uri}, '/webhook?a=b', 'signed: the arguments');
    $hook->is_received($plain, 'signed, the name in lower case',
        signature => undef, headers => ['x-hub-signature-256' => $right]);
}

# refused at once: the body hasn't come, and never does
for my $case (
    ['missing',             undef],
    ['empty',               ''],
    ['the scheme alone',    'sha256='],
    ['no scheme',           substr $right, 7],
    ['another scheme',      'sha1=' . substr $right, 7],
    ['too short',           substr $right, 0, 70],
    ['too long',            $right . '0'],
    ['no hexadecimal',      substr($right, 0, 70) . 'g'],
    ['a blank in it',       'sha256= ' . substr $right, 8],
) {
    my ($name, $value) = @$case;

    $hook->is_refused($plain, 403, "signature, $name", signature => $value);

    my $before = $app->count;
    my $line   = defined $value ? "X-Hub-Signature-256: $value\r\n" : '';
    my $answer = $nginx->request(raw => "POST /webhook HTTP/1.1\r\n"
        . "Host: localhost\r\nConnection: close\r\n${line}"
        . "Content-Type: application/json\r\nContent-Length: 3000000\r\n\r\n");

    is($answer->{status}, 403, "signature, $name: before the body");
    is($app->count - $before, 0, "signature, $name: nothing goes on");
}

# refused when the body is there
for my $case (
    ['of another secret', signature($plain, 'another')],
    ['of nothing',        signature('', $secret)],
    ['of an empty key',   signature($plain, '')],
    ['a digit is wrong',  substr($right, 0, 70)
        . (substr($right, 70) eq '0' ? '1' : '0')],
    ['the first is wrong', 'sha256=' . (substr($right, 7, 1) eq '0' ? '1' : '0')
        . substr $right, 8],
    ['zeros',             'sha256=' . '0' x 64],
    ['of the old kind',   undef, 'X-Hub-Signature' => 'sha1='
        . Digest::SHA::hmac_sha1_hex($plain, $secret)],
) {
    my ($name, $value, @more) = @$case;

    $hook->is_refused($plain, 403, "signature $name", signature => $value,
        headers => \@more);
}

for my $case (
    ['a byte more',        "$plain "],
    ['a byte less',        substr $plain, 0, -1],
    ['another byte',       $plain =~ s/"2001"/"2009"/r],
    ['in another spelling', $plain =~ s/,/, /r],
) {
    my ($name, $body) = @$case;

    $hook->is_refused($body, 403, "signed, then $name", signature => $right);
}

{
    my $wrong = signature($plain, 'another');
    my $call  = $nginx->start_request(raw => "POST /webhook HTTP/1.1\r\n"
        . "Host: localhost\r\nConnection: close\r\n"
        . "X-Hub-Signature-256: $wrong\r\n"
        . 'Content-Length: ' . length($plain) . "\r\n\r\n");

    my $before = $app->count;
    my $until  = time + 0.3;
    GraphPolicy::step_in($call) while $call->{socket} && time < $until
        && (sleep(0.02) || 1);
    is($call->{in}, '', 'a wrong signature: the body is waited for');

    $call->{out} = $plain;
    my ($answer) = GraphPolicy::finish_requests(
        GraphPolicy::push_request($call));
    is($answer->{status}, 403, 'a wrong signature: 403 after it');
    is($app->count - $before, 0, 'a wrong signature: nothing goes on');
}

# one connection: what is refused doesn't spoil what follows
{
    my $before = $app->count;
    my $head   = "POST /webhook HTTP/1.1\r\nHost: localhost\r\n"
        . 'Content-Length: ' . length($plain) . "\r\n";
    my $answer = $nginx->request(all => 1, raw => $head
        . "X-Hub-Signature-256: sha256=" . '0' x 64 . "\r\n\r\n$plain"
        . $head . "X-Hub-Signature-256: $right\r\n"
        . "Connection: close\r\n\r\n$plain");

    is_deeply([map { $_->{status} } GraphPolicy::answers($answer->{text})],
        [403, 200], 'one connection: a wrong one, then a right one');
    is($app->count - $before, 1, 'one connection: the right one goes on');
}

# nginx's own page, without headers of the policy
{
    my $answer = $hook->deliver($plain, signature => undef);
    like($nginx->log, qr/\[error\] .* graph policy refuses a webhook $_,/,
        "403: the log says so at nginx's default level, $_")
        for 'without a signature', 'whose signature is wrong';
    unlike($answer->{head}, qr/^X-Graph-/mi, '403: no tags');
    unlike($answer->{text}, qr/\Q$secret\E|[0-9a-f]{64}/,
        '403: it tells nothing');
}


# -- framings

{
    my $chunked = join '', map({ sprintf "%x\r\n%s\r\n", length, $_ }
        unpack '(a50)*', $plain), "0\r\n\r\n";

    for my $case (['right', $right, 200, 1],
        ['wrong', signature($plain, 'another'), 403, 0],
        ['missing', undef, 403, 0])
    {
        my ($name, $value, $status, $seen) = @$case;
        my $before = $app->count;
        my $answer = $nginx->request(raw => "POST /webhook HTTP/1.1\r\n"
            . "Host: localhost\r\nConnection: close\r\n"
            . (defined $value ? "X-Hub-Signature-256: $value\r\n" : '')
            . "Transfer-Encoding: chunked\r\n\r\n$chunked");

        is($answer->{status}, $status, "chunked, $name");
        is($app->count - $before, $seen, "chunked, $name: what goes on");
        ok($hook->received->{body} eq $plain, "chunked, $name: the bytes")
            if $seen;
    }

    # in pieces
    my $before = $app->count;
    my $call   = $nginx->start_request(raw => "POST /webhook HTTP/1.1\r\n"
        . "Host: localhost\r\nConnection: close\r\n"
        . "X-Hub-Signature-256: $right\r\n"
        . 'Content-Length: ' . length($plain) . "\r\n\r\n");

    for (unpack '(a150)*', $plain) {
        sleep 0.02;
        $call->{out} .= $_;
        GraphPolicy::push_request($call);
    }

    my ($answer) = GraphPolicy::finish_requests($call);
    is($answer->{status}, 200, 'in pieces');
    ok($app->count - $before == 1 && $hook->received->{body} eq $plain,
        'in pieces: the bytes');

    # a client that leaves in the middle
    $before = $app->count;
    $call = $nginx->start_request(raw => "POST /webhook HTTP/1.1\r\n"
        . "Host: localhost\r\nX-Hub-Signature-256: $right\r\n"
        . "Content-Length: 1000\r\n\r\n" . substr $plain, 0, 100);
    sleep 0.05;
    GraphPolicy::abort_request($call);
    $hook->is_received($plain, 'after a client that left');
    is($app->count - $before, 1, 'a client that left: nothing of it goes on');

    # HTTP/2
    my $dir = File::Temp->newdir('webhook.XXXXXX', TMPDIR => 1);
    my $url = 'http://127.0.0.1:' . $nginx->{port2};

    spew("$dir/body", $plain);

    for my $case (['right', "-H 'X-Hub-Signature-256: $right'", 200, 1],
        ['wrong', "-H 'X-Hub-Signature-256: sha256=" . '0' x 64 . "'", 403, 0],
        ['missing', "-H 'X-No: Signature'", 403, 0])
    {
        my ($name, $more, $status, $seen) = @$case;
        my $limit = 10 * slow();

        $before = $app->count;
        my $said = qx{curl -s --http2-prior-knowledge -o /dev/null \\
            -w '%{http_version} %{http_code}' -m $limit -X POST \\
            -H 'Content-Type: application/json' $more \\
            --data-binary \@$dir/body $url/webhook};

        is($said, "2 $status", "HTTP/2, $name");
        is($app->count - $before, $seen, "HTTP/2, $name: what goes on");
        ok($hook->received->{body} eq $plain, "HTTP/2, $name: the bytes")
            if $seen;
    }
}


# -- sizes

for my $size (900, 20_000, 300_000, 3 * 1024 * 1024) {
    # an error at the very end, so that all of it has to be read
    my $body = payload(entry('2001', messages(phone => '1001',
        messages => [inbound(text => 'PADDING')],
        statuses => [status(100)])));

    $body =~ s/PADDING/'x' x ($size - length($body) + 7)/e;
    is(length $body, $size, "a payload of $size bytes");

    for my $in ('webhook', 'memory', 'file', 'infile', 'unbuffered') {
        $app->clear;

        my $name = "$size bytes, $in";

        $hook->is_received($body, $name, path => "/$in", timeout => 20);
        is(tags($hook->received), 'request 100 other 1', "$name: tags");
        is($hook->received->{headers}{'content-length'}, $size,
            "$name: its length");
    }

    $hook->is_refused($body, 403, "$size bytes, $_, not signed",
        path => "/$_", signature => 'sha256=' . '0' x 64)
        for 'webhook', 'memory', 'file', 'infile', 'unbuffered';
}

# too large to be looked into: nothing is lost, and it has to be signed
{
    my $body = payload(entry('2001', messages(phone => '1001',
        messages => [inbound(text => 'PADDING')])));

    $body =~ s/PADDING/'x' x 8_000_000/e;

    for my $in ('webhook', 'memory') {
        $app->clear;
        $hook->is_received($body, "8 MB, $in", path => "/$in", timeout => 30);
    }

    $hook->is_refused($body, 403, '8 MB, not signed',
        signature => 'sha256=' . '0' x 64);
    $app->clear;
}

# many statuses
{
    my $body = payload(entry('2001', messages(phone => '1001',
        statuses => [map { status(100) } 1 .. 300])));

    $hook->is_received($body, '300 statuses');
    is(tags($hook->received), 'request 100 other 300', '300 statuses: tags');
}


# -- methods

{
    my $args   = 'hub.mode=subscribe&hub.challenge=1158201444'
        . '&hub.verify_token=aTokenToVerify';
    my @get    = (method => 'GET', signature => undef);
    my $answer = $hook->deliver('', @get, path => "/webhook?$args",
        script => '200 type=text/plain body=1158201444');

    is(short($answer), '200 - 1', 'GET with hub.mode');
    is($answer->{body}, '1158201444', 'GET: the answer of the application');
    is($hook->received->{uri}, "/webhook?$args", 'GET: what it is asked');

    $answer = $hook->deliver('', @get, path => "/webhook?$args",
        script => '403 body=no type=text/plain');
    is(short($answer), '403 - 1', 'GET: the application may refuse');
    is($answer->{body}, 'no', 'GET: in its own words');

    is(short($hook->deliver('', @get,
        path => '/webhook?hub.challenge=1&hub.mode=subscribe')), '200 - 1',
        'GET with hub.mode at the end');

    $hook->is_refused('', 403, "GET of $_", @get, path => $_)
        for '/webhook', '/webhook?', '/webhook?hub.challenge=1',
            '/webhook?a=hub.mode', '/webhook?xhub.mode=subscribe',
            '/webhook?hub.modes=subscribe';

    # a signature makes no difference
    $hook->is_refused('', 403, 'GET, signed', method => 'GET');

    for my $method (qw(PUT PATCH DELETE HEAD OPTIONS)) {
        $hook->is_refused($plain, 405, $method, method => $method);
        $hook->is_refused($plain, 405, "$method with hub.mode",
            method => $method, path => "/webhook?$args");
        $hook->is_refused($plain, 405, "$method, not signed",
            method => $method, signature => undef);
    }

    $hook->is_refused($plain, 403, 'POST with hub.mode, not signed',
        path => "/webhook?$args", signature => undef);
}


# a body that nobody has signed comes with no method
{
    my @get = (method => 'GET', signature => undef,
        path => '/webhook?hub.mode=subscribe');

    $hook->is_refused($plain, 403, 'GET with a body', @get);
    $hook->is_refused($plain, 403, 'GET with a body, signed', method => 'GET',
        path => '/webhook?hub.mode=subscribe');

    my $before = $app->count;
    my $answer = $nginx->request(raw =>
        "GET /webhook?hub.mode=subscribe HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        . sprintf("%x\r\n%s\r\n0\r\n\r\n", length $plain, $plain));

    is($answer->{status}, 403, 'GET with a body in chunks');
    is($app->count - $before, 0, 'GET with a body in chunks: goes nowhere');

    is(short($hook->deliver('', @get, headers => ['Content-Length' => 0])),
        '200 - 1', 'GET with a body of no bytes');
}


# -- redirects and subrequests

{
    my $answer = $hook->deliver($plain, path => '/pages', script => '502');
    is("$answer->{status} $answer->{body}", '502 sorry',
        'an error_page, of the same location');

    $app->clear;
    $answer = $hook->deliver($plain, path => '/pages/redirect',
        script => '502 | 200');
    is("$answer->{status} " . $app->count, '200 2',
        'an internal redirect within the location');

    # what one location has verified, another one doesn't know
    $app->clear;
    $answer = $hook->deliver($plain, path => '/pages/bound',
        script => '502 | 200');
    is("$answer->{status} " . $app->count, '403 1',
        'an internal redirect to a location of other secrets');

    $app->clear;
    $answer = $hook->deliver($plain, path => '/pages/bound', secret => $second,
        script => '502 | 200');
    is("$answer->{status} " . $app->count, '200 2',
        'an internal redirect to a location that knows the secret, too');

    # a refused one isn't taken to where an error_page points
    my @fallback = (path => '/fallback');
    my $large    = $plain . ' ' x 2000;

    $hook->is_refused($plain, 403, 'an error_page, not signed', @fallback,
        signature => undef);
    $hook->is_refused($plain, 403, 'an error_page, forged', @fallback,
        signature => signature($plain, 'another'));
    $hook->is_refused($plain, 405, 'an error_page, PUT', @fallback,
        method => 'PUT');
    $hook->is_refused($plain, 403, 'an error_page, GET', @fallback,
        method => 'GET');
    is($nginx->request(raw => "POST /fallback HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\nX-Hub-Signature-256: $right\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n"
        . sprintf("%x\r\n%s\r\n0\r\n\r\n", length $large, $large))->{status},
        413, 'an error_page, too large');

    $app->clear;
    $answer = $hook->deliver($plain, @fallback, script => '403 | 200');
    is("$answer->{status} " . $app->count, '403 1',
        'an error_page leaves an answer of the application alone');

    # a subrequest brings the body of a request that nobody has verified
    $app->clear;
    for my $signature (undef, $right) {
        $hook->deliver($plain, path => '/mirrored', signature => $signature);
    }
    $hook->deliver($plain, path => '/mirrored', method => 'GET');
    $hook->is_received($plain, 'after a mirror');
    is($app->count, 1, 'a mirror of what nobody has verified goes nowhere');

    $app->clear;
    $hook->is_refused($plain, 403, 'not signed, mirrored', path => '/mirrors',
        signature => undef);
    $hook->deliver($plain, path => '/mirrors');
    ok(GraphPolicy::wait_until(sub { $app->count == 2 }),
        'a mirror of what was verified goes on');
    is((grep { $_->{body} eq $plain } $app->requests), 2,
        'a mirror of what was verified: the bytes');
}


# -- where it is off

is(short($hook->deliver($plain, path => '/off', signature => undef)),
    '200 - 1', 'off: a POST that nobody signed');
is(short($hook->deliver('', path => '/off', signature => undef,
    method => 'GET')), '200 - 1', 'off: a GET');


# -- tags


# of other accounts than the phones that send below
sub of_phone {
    return payload(entry('2900', time => int time,
        messages(phone => '1900', @_)));
}

sub of_account {
    return payload(entry('2901', time => int time, account_update(@_)));
}

my @no = map { status(undef) } 1, 2;

for my $case (
    ['a delivered message', of_phone(statuses => [status(undef)]), '- - - -'],
    ['a message', of_phone(messages => [inbound()]), '- - - -'],
    ['in a status', of_phone(statuses => [status(131047)]),
        'context-limited 131047 window-expired 1'],
    ['in a message', of_phone(messages => [inbound(code => 131052)]),
        'context-limited 131052 media-download 1'],
    ['in the value', of_phone(errors => [GraphPolicy::Webhook::failure(
        130429)]), 'temporary 130429 rate-limit 1'],
    ['131026', of_phone(statuses => [status(131026)]),
        'context-limited 131026 undeliverable 1'],
    ['131048', of_phone(statuses => [status(131048)]),
        'context-limited 131048 spam-quality 1'],
    ['131064', of_phone(statuses => [status(131064)]),
        'context-limited 131064 spam-quality 1'],
    ['131053', of_phone(statuses => [status(131053)]),
        'context-limited 131053 media-upload 1'],
    ['131042', of_phone(statuses => [status(131042)]),
        'fatal 131042 billing 1'],
    ['131051', of_phone(messages => [inbound(code => 131051)]),
        'request 131051 other 1'],
    ['a code that nobody knows', of_phone(statuses => [status(999999)]),
        'unclassified 999999 - 1'],
    ['an error without a code', of_phone(errors => [{ title => 'x' }]),
        'unclassified - - 1'],
    ['code 0 is a code', of_phone(statuses => [status(0)]),
        'fatal 0 token-invalid 1'],

    # the gravest of several
    ['several in one status', of_phone(statuses => [status([100, 131026])]),
        'context-limited 131026 undeliverable 2'],
    ['a fatal one among others', of_phone(statuses => [status(131047),
        status(131042), @no, status(100)]), 'fatal 131042 billing 3'],
    ['a fatal one at the end', of_phone(errors => [
        map { GraphPolicy::Webhook::failure($_) } 999999, 100, 130429, 131047,
        131031]), 'fatal 131031 account-restricted 5'],
    ['one of a request and an unknown one', of_phone(statuses => [
        status(999999), status(100)]), 'request 100 other 2'],
    ['a temporary one and one of a conversation', of_phone(statuses => [
        status(131047), status(130429)]), 'temporary 130429 rate-limit 2'],
    ['one of a conversation and one of a request', of_phone(
        messages => [inbound(code => 131051)], statuses => [status(131047)]),
        'context-limited 131047 window-expired 2'],
    ['all three places', of_phone(statuses => [status(131047)],
        messages => [inbound(code => 131052)],
        errors => [GraphPolicy::Webhook::failure(368)]),
        'fatal 368 account-restricted 3'],
    ['several changes', payload(entry('2001',
        messages(phone => '1900', statuses => [status(100)]),
        messages(phone => '1901', statuses => [status(131026)]))),
        'context-limited 131026 undeliverable 2'],
    ['several entries', payload(
        entry('2001', messages(phone => '1900', statuses => [status(131047)])),
        entry('2901', time => int time, account_update('ACCOUNT_OFFBOARDED'))),
        'fatal - phone-disconnected 2'],

    # events of an account
    ['ACCOUNT_OFFBOARDED', of_account('ACCOUNT_OFFBOARDED'),
        'fatal - phone-disconnected 1'],
    ['ACCOUNT_DELETED', of_account('ACCOUNT_DELETED'),
        'fatal - phone-disconnected 1'],
    ['PARTNER_REMOVED', of_account('PARTNER_REMOVED', waba_info =>
        { waba_id => '2902', owner_business_id => '3001' }),
        'fatal - phone-disconnected 1'],
    ['PARTNER_APP_UNINSTALLED', of_account('PARTNER_APP_UNINSTALLED',
        waba_info => { waba_id => '2902' }), 'fatal - phone-disconnected 1'],
    ['DISABLE', of_account('DISABLED_UPDATE',
        ban_info => { waba_ban_state => 'DISABLE' }),
        'fatal - account-restricted 1'],
    ['ACCOUNT_RECONNECTED', of_account('ACCOUNT_RECONNECTED'), '- - - -'],
    ['PARTNER_ADDED', of_account('PARTNER_ADDED', waba_info =>
        { waba_id => '2902' }), '- - - -'],
    ['REINSTATE', of_account('DISABLED_UPDATE',
        ban_info => { waba_ban_state => 'REINSTATE' }), '- - - -'],
    ['an event of tomorrow', of_account('ACCOUNT_RENAMED'), '- - - -'],
    ['an event without a name', of_account(undef), '- - - -'],

    # what only looks like one
    ['errors in a text', of_phone(messages => [inbound(text =>
        '"errors":[{"code":131042}]')]), '- - - -'],
    ['errors elsewhere', of_phone(messages => [{ %{ inbound() },
        context => { errors => [{ code => 131042 }] } }], contacts =>
        [{ errors => [{ code => 131042 }] }]), '- - - -'],
    ['no errors', of_phone(errors => [], statuses => [{ %{ status(undef) },
        errors => [] }]), '- - - -'],
    ['errors of another kind', of_phone(errors => 'none', statuses =>
        [{ %{ status(undef) }, errors => { code => 131042 } }]), '- - - -'],
) {
    my ($name, $body, $expected) = @$case;

    $hook->is_received($body, "tags, $name");
    is(tags($hook->received), $expected, "tags, $name");
}

# events that warn: there is a tag
for my $case (['SCHEDULE_FOR_DISABLE', 'DISABLED_UPDATE', ban_info =>
        { waba_ban_state => 'SCHEDULE_FOR_DISABLE' }],
    ['ACCOUNT_RESTRICTION', 'ACCOUNT_RESTRICTION', restriction_info =>
        [{ restriction_type => 'RESTRICTED_BIZ_INITIATED_MESSAGING',
            expiration => int time + 86400 }]],
    ['ACCOUNT_VIOLATION', 'ACCOUNT_VIOLATION', violation_info =>
        { violation_type => 'SCAM' }])
{
    my ($name, @event) = @$case;

    $hook->is_received(of_account(@event), "tags, $name");
    like(tags($hook->received), qr/^[a-z-]+ - account-restricted 1\z/,
        "tags, $name");
}

# rules of the location
{
    my @rules = (path => '/rules');

    $hook->is_received(of_phone(statuses => [status(777001)]), 'a rule',
        @rules);
    is(tags($hook->received), 'context-limited 777001 undeliverable 1',
        'a rule: its tags');
    $hook->is_received(of_phone(messages => [inbound(code => 131051)]),
        'a code that is ignored', @rules);
    is(tags($hook->received), '- - - -', 'a code that is ignored: no tags');
    $hook->is_received(of_phone(messages => [inbound(code => 131051)],
        statuses => [status(100)]), 'ignored, and another', @rules);
    is(tags($hook->received), 'request 100 other 1',
        'ignored, and another: one is counted');
}

# dry run tags
$hook->is_received(of_phone(statuses => [status(131047)]), 'dry run',
    path => '/dry');
is(tags($hook->received), 'context-limited 131047 window-expired 1',
    'dry run: tags');
$hook->is_refused($plain, 403, 'dry run, not signed', path => '/dry',
    signature => undef);

# those that the client makes up
{
    my @spoof = ('X-Graph-Error-Category' => 'fatal',
        'x-graph-error-code' => 131042, 'X-GRAPH-ERROR-REASON' => 'billing',
        'X-Graph-Error-Count' => 7, 'X-Graph-Error-Category' => 'request',
        'X-Other' => 'stays');

    $hook->is_received($plain, 'spoofed', headers => \@spoof);
    is(tags($hook->received), '- - - -', 'spoofed: removed');
    is($hook->received->{headers}{'x-other'}, 'stays',
        'spoofed: no other is removed');

    # the same to an application that doesn't distinguish "_" and "-"

    $hook->is_received($plain, 'spoofed with "_"', headers => [
        'X_Graph_Error_Category' => 'fatal', 'x-graph_error-code' => 131042,
        'X_GRAPH-ERROR_REASON' => 'billing', 'x_graph_error_count' => 7,
        'X_Graph_Errors' => 'stays', 'X-Grapf-Error-Code' => 'stays']);
    is_deeply([sort grep { /graph.?error|grapf/ }
            keys %{$hook->received->{headers}}],
        ['x-grapf-error-code', 'x_graph_errors'],
        'spoofed with "_": removed, and no other');

    $hook->is_received(of_phone(statuses => [status(131047)]),
        'spoofed, with an error', headers => \@spoof);
    is(tags($hook->received), 'context-limited 131047 window-expired 1',
        'spoofed, with an error: once each');

    $hook->is_received(of_phone(statuses => [status(999999)]),
        'spoofed, with an unknown error', headers => \@spoof);
    is(tags($hook->received), 'unclassified 999999 - 1',
        'spoofed, with an unknown error: no reason of theirs');

    $hook->is_received('no JSON', 'spoofed, unreadable', headers => \@spoof);
    is(tags($hook->received), '- - - -', 'spoofed, unreadable: removed');

    $hook->deliver('', method => 'GET', signature => undef,
        path => '/webhook?hub.mode=subscribe', headers => \@spoof);
    is(tags($hook->received), '- - - -', 'spoofed, GET: removed');
}


# -- signed, and unreadable

for my $case (
    ['no JSON',        'hello'],
    ['bytes',          join '', map { chr } 0 .. 255],
    ['cut',            substr $plain, 0, -5],
    ['something behind', "$plain}"],
    ['twice',          "$plain$plain"],
    ['an array',       "[$plain]"],
    ['a string',       '"entry"'],
    ['null',           'null'],
    ['a number',       '12'],
    ['an empty object', '{}'],
    ['no entries',     payload()],
    ['entries of another kind', '{"entry":{"id":"2001"}}'],
    ['an entry of another kind', '{"entry":[1,"a",null,[[]],{}]}'],
    ['changes of another kind', '{"entry":[{"id":"2001","changes":7}]}'],
    ['a change of another kind', '{"entry":[{"id":"2001","changes":[7,{}]}]}'],
    ['a value of another kind',
        '{"entry":[{"id":"2001","changes":[{"field":"messages","value":'
        . '[1]}]}]}'],
    ['an id of another kind', '{"entry":[{"id":{"a":1},"changes":[{"field":'
        . '"messages","value":{"metadata":{"phone_number_id":[1]}}}]}]}'],
    ['no UTF-8',       "{\"entry\":[{\"id\":\"\xff\xfe\"}]}"],
    ['deep',           '{"entry":' . '[' x 100_000 . ']' x 100_000 . '}'],
    ['deep objects',   '{"a":' x 20_000 . '1' . '}' x 20_000],
    ['long numbers',   '{"entry":[{"id":' . '9' x 5000 . ',"time":1e99999}]}'],
    ['white space',    " \r\n\t$plain\r\n "],
) {
    my ($name, $body) = @$case;

    $hook->is_received($body, "unreadable, $name");
    is(tags($hook->received), '- - - -', "unreadable, $name: no tags");
}


# -- the application's answers

{
    for my $case (
        ['an error of Graph', '400 131042 trace=TheApps'],
        ['a lost phone', '400 133010'],
        ['a page', '500'],
        ['a temporary error', '503 131016'],
    ) {
        my ($name, $script) = @$case;
        my ($status) = $script =~ /^(\d+)/;

        for my $in ('webhook', 'retry') {
            my $answer = $hook->deliver($plain, path => "/$in",
                script => $script);

            is(short($answer), "$status - 1", "answer, $name, $in");
            unlike($answer->{head}, qr/^(?:X-Graph-|Retry-After)/mi,
                "answer, $name, $in: no tags");
            is($answer->{body}, GraphPolicy::Graph::body_of($script, 1),
                "answer, $name, $in: as it was");
        }
    }

    $hook->is_open('1001', 'after the errors of the application');

    # a token changes nothing, nor does a path like that of a send
    $hook->deliver($plain, path => '/webhook/v25.0/1001/messages',
        script => '400 131042', headers => [Authorization => 'Bearer a']);
    $hook->is_open('1001', 'after an error of the application, with a token');
    $hook->deliver($plain, script => '401 190',
        headers => [Authorization => 'Bearer a']);
    $hook->is_open('1001', 'after a token that the application refuses');

    $hook->deliver($plain, headers => ['Accept-Encoding' => 'br, zstd']);
    is($hook->received->{headers}{'accept-encoding'}, 'br, zstd',
        'Accept-Encoding goes on as it was');

    # what is paused is sends alone
    is(short($hook->send('1001', script => '400 131042')), '400 passed 1',
        'a phone whose account has no money');
    $hook->is_received($plain, 'its webhooks go on');
    $hook->is_received($plain, 'also on a path like that of a send',
        path => '/webhook/v25.0/1001/messages');
}


# -- secrets that are bound to accounts

# What is believed is in t/webhook_learn.t; all that is signed goes on.
for my $case (['of the account', '2001', $bound, 200],
    ['of the second account', '2002', $bound, 200],
    ['of another account', '2003', $bound, 200],
    ['of the other secret', '2003', $second, 200],
    ['of nobody', '2001', $secret, 403])
{
    my ($name, $account, $key, $status) = @$case;
    my $body = payload(entry($account, messages(phone => '1002',
        messages => [inbound(from => $user, text => $text)])));

    if ($status == 200) {
        $hook->is_received($body, "bound, $name", path => '/bound',
            secret => $key);
    } else {
        $hook->is_refused($body, $status, "bound, $name", path => '/bound',
            secret => $key);
    }
}

# the account ids are no secret, and no part of one
$hook->is_refused($plain, 403, "signed with \"$_\"", path => '/bound',
    secret => $_) for "$bound 2001 2002", '2001', '2002', '';


# -- rotation

{
    my $new = 's3cretThatIsNew';

    $hook->is_refused($plain, 403, 'rotation, before', secret => $new);

    $hook->secrets('secrets', $new, $secret);
    ok($nginx->reload, 'rotation: reload');
    $hook->is_received($plain, 'rotation, the new one', secret => $new);
    $hook->is_received($plain, 'rotation, the old one', secret => $secret);
    $hook->is_refused($plain, 403, 'rotation, one that is gone',
        secret => $second);

    $hook->secrets('secrets', $new);
    ok($nginx->reload, 'rotation: reload again');
    $hook->is_received($plain, 'rotation, at the end', secret => $new);
    $hook->is_refused($plain, 403, 'rotation, the old one at the end',
        secret => $secret);

    # four of them
    $hook->secrets('secrets', map { "s3cretOfApp$_" } 1 .. 4);
    ok($nginx->reload, 'rotation: four');
    $hook->is_received($plain, "rotation, $_ of four",
        secret => "s3cretOfApp$_") for 1 .. 4;
    $hook->is_refused($plain, 403, 'rotation, none of four', secret => $new);
}


$hook->is_discreet($secret, $second, $bound, $text, $user, 's3cret',
    'aTokenToVerify', substr($right, 7), 'Bearer', 'Some details');

done_testing();
