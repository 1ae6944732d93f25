# vi:set ft= ts=4 sw=4 et:

# What may happen while a request waits to be sent again: its client leaves,
# the configuration is reloaded, nginx ends, a fatal state comes up, too many
# others wait.

use strict;
use warnings;
use feature 'state';

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(free_ports wait_until slurp slow push_request finish_requests
    abort_request);
use GraphPolicy::Graph;

plan skip_all => 'its waits are too short for valgrind'
    if $ENV{TEST_NGINX_USE_VALGRIND};

my $upstream = GraphPolicy::Graph->start;
my $nginx;

my $h2 = qx($GraphPolicy::nginx_binary -V 2>&1) =~ /--with-http_v2_module/
    && (qx(curl --version 2>&1) // '') =~ /HTTP2/;

my $tls   = free_ports(1);
my $certs = File::Temp->newdir('graph_policy.XXXXXX', TMPDIR => 1);
chmod 0755, $certs;
system("$FindBin::Bin/tools/make-cert", "$certs", 'localhost') == 0
    or die 'no certificate';

# the middle of a wait: it is WAIT long, or half as long
my $wait = 1600 * slow();

sub start {
    my ($retry, $server, %more) = @_;

    finish() if $nginx;
    $upstream->clear;

    my $http_2 = $h2 ? 'http2' : '';

    $nginx = GraphPolicy::Nginx->start(graph => $upstream, http => <<"END",
    graph_policy_zone  zone=z:1m;
    graph_policy       zone=z;
    graph_policy_retry attempts=3 budget_min=100000 deadline=1m max=1m $retry;

    log_format life '\$uri \$status "\$upstream_status" \$graph_policy_status '
                    '\$graph_policy_attempts';

    keepalive_timeout 30s;

    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT2% $http_2;
        listen 127.0.0.1:$tls ssl $http_2;
        ssl_certificate     $certs/server.crt;
        ssl_certificate_key $certs/server.key;
        access_log %DIR%/access.log life;

        location / {
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
        location = /status {
            graph_policy off;
            access_log off;
            stub_status;
        }
        @{[ $server // '' ]}
    }
END
    %more);
}

# nothing that was done may have hurt
sub finish {
    my ($name) = @_;

    $nginx->stop('QUIT') if !$nginx->{over};
    is(join("\n", $nginx->complaints), '',
        ($name // 'before') . ': nothing is wrong in the log');
    unlike($nginx->log, qr/open socket|exited on signal/,
        ($name // 'before') . ': nothing is left');
    undef $nginx;
}

# the lines of the access log, once there are so many
sub logged {
    my ($count) = @_;

    my @lines;
    wait_until(sub {
        @lines = split /\n/, slurp($nginx->dir . '/access.log');
        return @lines >= $count;
    });
    return @lines;
}

# connections that nginx has, without the one that asks
sub connections {
    my $answer = $nginx->request(path => '/status', method => 'GET');
    return $answer->{body} =~ /^Active connections: (\d+)/ ? $1 - 1 : -1;
}

sub begin {
    my ($path, $script, %more) = @_;

    return $nginx->start_request(path => $path, timeout => 30, %more,
        headers => ['X-Mock' => $script, @{ $more{headers} || [] }]);
}

# the request is at the upstream, which has answered
sub waiting {
    my ($count) = @_;

    my $seen = $upstream->wait_for($count);
    sleep 0.15 * slow();
    return $seen;
}

sub sleep_past_wait { sleep $wait / 1000 + 0.3 }


# -- the client leaves

start("base=${wait}ms factor=1");

{
    my $call = begin('/v25.0/1/messages', '500 131016 | 200', body => 'x');
    is(waiting(1), 1, 'abort: tried once');
    abort_request($call);

    my @lines = logged(1);
    is($lines[0], '/v25.0/1/messages 499 "500" PASSED 1', 'abort: the log');
    wait_until(sub { connections() == 0 });
    is(connections(), 0, 'abort: no connection is kept');

    sleep_past_wait();
    is($upstream->count, 1, 'abort: the upstream is not called again');
    is(scalar logged(1), 1, 'abort: one line');
}

{
    # on a connection that has had a request before, with a body in a file
    $upstream->clear;
    my $large = 'large' x 100000;
    my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $nginx->port);
    print $client "GET /v25.0/2 HTTP/1.1\r\nHost: x\r\n\r\n";
    like(scalar <$client>, qr/ 200 /, 'abort of a second: the first one');
    waiting(1);

    print $client "POST /v25.0/3 HTTP/1.1\r\nHost: x\r\n"
        . 'X-Mock: 500 131016 | 200' . "\r\nContent-Length: "
        . length($large) . "\r\n\r\n$large";
    $client->flush;
    is(waiting(2), 2, 'abort of a second: tried once');
    close $client;

    my @lines = logged(3);
    is($lines[2], '/v25.0/3 499 "500" PASSED 1', 'abort of a second: the log');

    sleep_past_wait();
    is($upstream->count, 2,
        'abort of a second: the upstream is not called again');
    is(connections(), 0, 'abort of a second: no connection is kept');
}

for my $case (['a client that sends no more', sub { shutdown $_[0], 1 }],
    ['a client that had another request', sub {
        syswrite $_[0], "GET /v25.0/5 HTTP/1.1\r\nHost: x\r\n\r\n";
        close $_[0];
    }])
{
    my ($name, $leave) = @$case;

    $upstream->clear;
    my $before = logged(3);
    my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $nginx->port);
    syswrite $client, "POST /v25.0/4 HTTP/1.1\r\nHost: x\r\n"
        . "X-Mock: 500 131016 | 200\r\nContent-Length: 1\r\n\r\nx";
    is(waiting(1), 1, "$name: tried once");
    $leave->($client);

    my @lines = logged($before + 1);
    is($lines[$before], '/v25.0/4 499 "500" PASSED 1', "$name: the log");

    sleep_past_wait();
    is(scalar(grep { $_->{uri} eq '/v25.0/4' } $upstream->requests), 1,
        "$name: the upstream is not called again");
}

SKIP: {
    skip 'no HTTP/2', 12 if !$h2;

    $upstream->clear;
    my $before = logged(5);

    system('curl', '-s', '-o', '/dev/null', '--http2-prior-knowledge',
        '-m', 0.4 * slow(), '-d', 'x', '-H', 'X-Mock: 500 131016 | 200',
        'http://127.0.0.1:' . $nginx->{port2} . '/v25.0/6');

    my @lines = logged($before + 1);
    is($lines[$before], '/v25.0/6 499 "500" PASSED 1',
        'HTTP/2, the client closes: the log');
    sleep_past_wait();
    is($upstream->count, 1,
        'HTTP/2, the client closes: the upstream is not called again');

    # one stream of two is reset, the connection goes on
    $upstream->clear;
    $before = logged(5);
    my $client = Streams->new($nginx->{port2});
    $client->get(1, '/v25.0/7', 'x-mock' => '500 131016 | 200');
    $client->get(3, '/v25.0/8', 'x-mock' => '500 131016 | 200');
    is(waiting(2), 2, 'HTTP/2, a stream is reset: both tried once');
    $client->reset(1);

    @lines = logged($before + 1);
    is($lines[$before], '/v25.0/7 499 "500" PASSED 1',
        'HTTP/2, a stream is reset: the log');
    ok($client->ended(3), 'HTTP/2, a stream is reset: the other is answered');
    @lines = logged($before + 2);
    is($lines[$before + 1], '/v25.0/8 200 "500, 200" RETRIED 2',
        'HTTP/2, a stream is reset: the other in the log');
    is($upstream->count, 3,
        'HTTP/2, a stream is reset: one call for the other');

    $client->get(5, '/v25.0/9');
    ok($client->ended(5), 'HTTP/2, a stream is reset: a third one');
    ok(!$client->ended(1), 'HTTP/2, a stream is reset: it stays so');
    undef $client;

    wait_until(sub { connections() == 0 });
    is(connections(), 0, 'HTTP/2: no connection is kept');
}

for my $version ('--http1.1', $h2 ? '--http2' : ()) {
    $upstream->clear;
    my $before = logged(5);

    system('curl', '-s', '-k', '-o', '/dev/null', $version,
        '-m', 0.4 * slow(), '-d', 'x', '-H', 'X-Mock: 500 131016 | 200',
        "https://127.0.0.1:$tls/v25.0/10");

    my @lines = logged($before + 1);
    is($lines[$before], '/v25.0/10 499 "500" PASSED 1',
        "TLS, $version, the client closes: the log");
    sleep_past_wait();
    is($upstream->count, 1,
        "TLS, $version, the client closes: the upstream is not called again");
}

{
    # a hundred at once
    $upstream->clear;
    my $before = logged(5);
    my @calls = map { begin("/v25.0/many-$_/messages", '500 131016 | 200') }
        1 .. 100;
    is(waiting(100), 100, 'a hundred aborts: each tried once');
    abort_request($_) for @calls;

    my @lines = logged($before + 100);
    is(scalar(grep { / 499 "500" PASSED 1$/ } @lines[$before .. $#lines]), 100,
        'a hundred aborts: the log');

    sleep_past_wait();
    is($upstream->count, 100,
        'a hundred aborts: the upstream is not called again');
    is(connections(), 0, 'a hundred aborts: no connection is kept');
}

finish('aborts');


# -- its client is to be ignored

start("base=${wait}ms factor=1", 'proxy_ignore_client_abort on;');

{
    my $call = begin('/v25.0/1/messages', '500 131016 | 200', body => 'x');
    is(waiting(1), 1, 'ignored abort: tried once');
    abort_request($call);

    is($upstream->wait_for(2), 2, 'ignored abort: it is sent again');
    my @lines = logged(1);
    is($lines[0], '/v25.0/1/messages 200 "500, 200" RETRIED 2',
        'ignored abort: the log');
    wait_until(sub { connections() == 0 });
    is(connections(), 0, 'ignored abort: no connection is kept');
}

finish('ignored abort');


# -- reload, and orderly ends

for my $how (qw(reload quit)) {
    start("base=${wait}ms factor=1");

    my $call = begin('/v25.0/1/messages', '500 131016 | 200',
        body => 'large' x 100000);
    my $curl = background('/v25.0/2', '500 131016 | 200');
    is(waiting($h2 ? 2 : 1), $h2 ? 2 : 1, "$how: tried once");

    if ($how eq 'reload') {
        ok($nginx->reload, "$how: the old worker has left");
    } else {
        is($nginx->stop('QUIT'), 0, "$how: nginx has ended");
        $nginx->{over} = 1;
    }

    my ($answer) = finish_requests($call);
    is($answer->{error}, undef, "$how: complete");
    is($answer->{status}, 200, "$how: accepted");
    is($answer->{headers}{'x-graph-attempts'}, 2, "$how: attempts");
    is($answer->{body}, GraphPolicy::Graph::body_of('200', 1),
        "$how: its body");

  SKIP: {
        skip 'no HTTP/2', 2 if !$h2;
        my $out = $curl->();
        like($out, qr{^HTTP/2 200}, "$how, HTTP/2: accepted");
        like($out, qr/"wamid.FAKE"\}\]\}\z/, "$how, HTTP/2: its body");
    }

    my @tries = $upstream->requests;
    is(scalar @tries, $h2 ? 4 : 2, "$how: the upstream is called again");
    ok(!(grep { $_->{uri} =~ /messages/
        && $_->{body} ne 'large' x 100000 } @tries), "$how: with the body");
    is($nginx->request(path => '/v25.0/3')->{status}, 200,
        "$how: another one") if $how eq 'reload';
    finish($how);
}

# what curl says with HTTP/2
sub background {
    my ($path, $script) = @_;

    return if !$h2;
    open my $out, '-|', 'curl', '-s', '-i', '--http2-prior-knowledge',
        '-m', 20 * slow(), '-d', 'x', '-H', "X-Mock: $script",
        'http://127.0.0.1:' . $nginx->{port2} . $path or die "curl: $!";

    return sub { local $/; my $text = <$out>; close $out; $text // '' };
}

{
    # the first answer comes when the worker is leaving already
    start("base=${wait}ms factor=1");

    my $call = begin('/v25.0/1/messages', '500 131016 wait=leaving | 200');
    is($upstream->wait_for(1), 1, 'leaving: at the upstream');
    my @old = $nginx->workers;
    $nginx->signal('HUP');
    ok(wait_until(sub {
        my @now = $nginx->workers;
        return @now && !grep { $_ == $old[0] } @now;
    }), 'leaving: the worker is');
    my $begun = time;
    $upstream->release('leaving');

    my ($answer) = finish_requests($call);
    is($answer->{status}, 500, 'leaving: the error is delivered');
    is($answer->{headers}{'x-graph-policy'}, 'passed', 'leaving: passed');
    is($answer->{headers}{'x-graph-error-category'}, 'temporary',
        'leaving: classified');
    cmp_ok(time - $begun, '<', $wait / 2000, 'leaving: at once');
    is($upstream->count, 1, 'leaving: the upstream is not called again');
    finish('leaving');
}


# -- a fast end

{
    start("base=${wait}ms factor=1");

    my $call = begin('/v25.0/1/messages', '500 131016 | 200');
    is(waiting(1), 1, 'SIGTERM: tried once');

    my $begun = time;
    is($nginx->stop('TERM'), 0, 'SIGTERM: nginx has ended');
    $nginx->{over} = 1;
    cmp_ok(time - $begun, '<', $wait / 2000, 'SIGTERM: at once');

    my ($answer) = finish_requests($call);
    is($answer->{status}, 0, 'SIGTERM: no answer');
    is($answer->{error}, 'closed', 'SIGTERM: the connection is closed');

    sleep_past_wait();
    is($upstream->count, 1, 'SIGTERM: the upstream is not called again');
    finish('SIGTERM');
}


# -- a shutdown that has an end

{
    my $long = 8000 * slow();
    start("base=${long}ms factor=1", '',
        main => 'worker_shutdown_timeout 400ms;');

    my $call = begin('/v25.0/1/messages', '500 131016 | 200');
    my $curl = background('/v25.0/2', '500 131016 | 200');
    is(waiting($h2 ? 2 : 1), $h2 ? 2 : 1, 'worker_shutdown_timeout: tried once');

    my $begun = time;
    ok($nginx->reload, 'worker_shutdown_timeout: the old worker has left');
    cmp_ok(time - $begun, '<', $long / 2000,
        'worker_shutdown_timeout: before the wait was over');

    my ($answer) = finish_requests($call);
    is($answer->{status}, 0, 'worker_shutdown_timeout: no answer');
    is($answer->{error}, 'closed',
        'worker_shutdown_timeout: the connection is closed');
    unlike($curl->(), qr/ 200/, 'worker_shutdown_timeout: HTTP/2 neither')
        if $curl;

    is($nginx->request(path => '/v25.0/3')->{status}, 200,
        'worker_shutdown_timeout: another one');
    is($upstream->count, $h2 ? 3 : 2,
        'worker_shutdown_timeout: the upstream is not called again');
    finish('worker_shutdown_timeout');
}


# -- a fatal state comes up

{
    start("base=${wait}ms factor=1", <<'END');
        graph_policy_hold 1m;
        location /all/ {
            graph_policy_pause all;
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
END

    my %same = (token => 'one', timeout => 30);
    my @calls = (
        begin('/v25.0/1/messages', '500 131016 | 200', %same, body => 'x'),
        begin('/v25.0/1/marketing_messages', '500 131016 | 200', %same,
            body => 'large' x 100000),
        begin('/all/v25.0/1', '500 131016 | 200', %same, method => 'GET'),
        begin('/v25.0/1', '500 131016 | 200', %same, method => 'GET'),
        begin('/v25.0/2/messages', '500 131016 | 200', %same),
    );
    my $curl = background('/v25.0/1/messages?x', '500 131016 | 200');
    my $before = $h2 ? 6 : 5;
    is(waiting($before), $before, 'fatal: each tried once');

    my $fatal = $nginx->request(path => '/v25.0/1/messages', token => 'two',
        headers => ['X-Mock' => '400 131042 trace=Fatal', 'X-Key' => 'f']);
    is($fatal->{headers}{'x-graph-policy'}, 'passed', 'fatal: it comes up');

    my ($first, $second, $read, $other, $phone) = finish_requests(@calls);

    for (['a send', $first], ['1/2 MB', $second], ['a read', $read]) {
        my ($name, $answer) = @$_;
        my $headers = $answer->{headers};

        is($answer->{error}, undef, "fatal, $name: complete");
        is($answer->{status}, 400, "fatal, $name: the state's status");
        is($headers->{'x-graph-policy'}, 'blocked', "fatal, $name: blocked");
        is($headers->{'x-graph-error-category'}, 'fatal',
            "fatal, $name: category");
        is($headers->{'x-graph-error-code'}, 131042, "fatal, $name: code");
        is($headers->{'x-graph-error-reason'}, 'billing',
            "fatal, $name: reason");
        like($headers->{'x-graph-state'} // '', qr/^[\w-]+$/,
            "fatal, $name: state");
        cmp_ok($headers->{'x-graph-hold'} // 0, '>=', 50,
            "fatal, $name: X-Graph-Hold");
        is($headers->{'retry-after'}, undef, "fatal, $name: no Retry-After");
        is($headers->{'x-graph-attempts'}, undef, "fatal, $name: one try");
        is($headers->{'x-try'}, undef, "fatal, $name: nothing of the upstream");
        is($headers->{'content-type'}, 'application/json',
            "fatal, $name: type");
        is($headers->{'content-length'}, length $answer->{body},
            "fatal, $name: length");
        my $error = JSON::PP::decode_json($answer->{body})->{error};
        is($error->{code}, 131042, "fatal, $name: the body's code");
        is($error->{fbtrace_id}, 'Fatal', "fatal, $name: the body's trace");
    }

    is($other->{status}, 200, 'fatal: a read that it does not cover');
    is($phone->{status}, 200, 'fatal: a phone that it does not cover');
    is($_->{headers}{'x-graph-policy'}, 'retried', 'fatal: sent again')
        for $other, $phone;

  SKIP: {
        skip 'no HTTP/2', 2 if !$h2;
        my $out = $curl->();
        like($out, qr{^HTTP/2 400}, 'fatal, HTTP/2: the status');
        like($out, qr/^x-graph-policy: blocked\r$/mi, 'fatal, HTTP/2: blocked');
    }

    is($upstream->count, $before + 3, 'fatal: counted at the upstream');
    is(scalar(grep { m{ 400 "500" BLOCKED 1$} } logged($before + 1)),
        $h2 ? 4 : 3, 'fatal: the log');
    finish('fatal');
}

{
    # after two tries, on a connection that goes on
    start("base=${wait}ms factor=1", 'graph_policy_hold 1m;');
    $upstream->clear;

    my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $nginx->port);
    syswrite $client, "POST /v25.0/1/messages HTTP/1.1\r\nHost: x\r\n"
        . "Authorization: Bearer one\r\n"
        . "X-Mock: 500 131016 fill=30 | 500 131016 fill=30 | 200\r\n"
        . "Content-Length: 1\r\n\r\nx";
    is(waiting(2), 2, 'fatal after two tries: tried twice');

    $nginx->request(path => '/v25.0/1/messages', token => 'one',
        headers => ['X-Mock' => '401 190', 'X-Key' => 'f']);

    my $head = read_to($client, qr/\r\n\r\n/);
    like($head, qr{^HTTP/1.1 401}, "fatal after two tries: the state's status");
    like($head, qr/^X-Graph-Policy: blocked\r$/m,
        'fatal after two tries: blocked');
    like($head, qr/^X-Graph-Attempts: 2\r$/m, 'fatal after two tries: attempts');
    unlike($head, qr/X-Fill|X-Try/,
        'fatal after two tries: nothing of the upstream');
    my ($length) = $head =~ /^Content-Length: (\d+)/m;
    read_to($client, qr/.{$length}/s);

    syswrite $client, "GET /v25.0/2 HTTP/1.1\r\nHost: x\r\n\r\n";
    like(read_to($client, qr/\r\n\r\n/), qr{^HTTP/1.1 200},
        'fatal after two tries: the connection goes on');
    finish('fatal after two tries');
}

# what comes up to that; the rest is kept for the next call
sub read_to {
    my ($socket, $pattern) = @_;

    state $unread = '';
    my $end = time + 15 * slow();

    while ($unread !~ /$pattern/ && time < $end) {
        my $read = '';
        vec($read, fileno $socket, 1) = 1;
        next if !select $read, undef, undef, 0.2;
        last if !sysread $socket, $unread, 65536, length $unread;
    }

    return $unread =~ s/\A(.*?$pattern)//s ? $1 : '';
}


{
    # a state that is due when the wait is over: the request is its probe
    start("base=${wait}ms factor=1", <<'END');
        graph_policy_hold 100ms max=100ms;
        graph_policy_rule 368 fatal dry_run=on;
END

    my $call = begin('/v25.0/1/messages', '500 131016 | 200', token => 'one');
    is(waiting(1), 1, 'due: tried once');
    $nginx->request(path => '/v25.0/1/messages', token => 'one',
        headers => ['X-Mock' => '400 131042', 'X-Key' => 'f']);

    my ($answer) = finish_requests($call);
    is($answer->{status}, 200, 'due: accepted');
    is($answer->{headers}{'x-graph-policy'}, 'probe', 'due: as the probe');
    is($answer->{headers}{'x-graph-attempts'}, 2, 'due: attempts');
    is($nginx->request(path => '/v25.0/1/messages', token => 'one',
        headers => ['X-Key' => 'g'])->{headers}{'x-graph-policy'}, undef,
        'due: the state is cleared');

    # a state of a rule that only shows what it would do
    $upstream->clear;
    $call = begin('/v25.0/2/messages', '500 131016 | 200', token => 'two');
    is(waiting(1), 1, 'dry run: tried once');
    $nginx->request(path => '/v25.0/2/messages', token => 'two',
        headers => ['X-Mock' => '400 368', 'X-Key' => 'f']);

    ($answer) = finish_requests($call);
    is($answer->{status}, 200, 'dry run: it ends no wait');
    is($answer->{headers}{'x-graph-attempts'}, 2, 'dry run: attempts');
    finish('due');
}


# -- a probe that waits keeps its lease

{
    my $base = 1000 * slow();
    start("base=${base}ms factor=1", 'graph_policy_hold 100ms max=100ms;');

    sub send_as {
        my ($script, $key) = @_;
        return $nginx->request(path => '/v25.0/1/messages', token => 'one',
            headers => ['X-Mock' => $script, 'X-Key' => $key]);
    }

    send_as('400 131042', 'set');
    sleep 0.15;
    my $probe = begin('/v25.0/1/messages', '500 131016 | 200', token => 'one',
        headers => ['X-Key' => 'probe']);
    is(waiting(2), 2, 'probe: tried once');

    for my $i (1 .. 2) {
        my $answer = send_as('200', 'other');
        is($answer->{headers}{'x-graph-policy'}, 'blocked',
            "probe: another send is blocked, $i");
        cmp_ok($answer->{headers}{'x-graph-hold'}, '>=', 1,
            "probe: until the probe tells, $i");
        sleep 0.15;
    }

    my ($answer) = finish_requests($probe);
    is($answer->{status}, 200, 'probe: accepted');
    is($answer->{headers}{'x-graph-policy'}, 'probe', 'probe: as the probe');
    is($answer->{headers}{'x-graph-attempts'}, 2, 'probe: attempts');
    is(send_as('200', 'then')->{headers}{'x-graph-policy'}, undef,
        'probe: the state is cleared');
    is(scalar(grep { $_->{headers}{'x-key'} eq 'other' } $upstream->requests),
        0, 'probe: alone at the upstream');

    # its client leaves: the next one probes
    send_as('400 131042', 'set again');
    wait_until(sub {
        my $call = begin('/v25.0/1/messages', '500 131016 | 200',
            token => 'one', headers => ['X-Key' => 'leaves']);
        my $end = time + 0.2 * slow();
        while (time < $end) {
            return $probe = $call if grep { $_->{headers}{'x-key'} eq 'leaves' }
                $upstream->requests;
            sleep 0.02;
        }
        abort_request($call);
        return 0;
    });
    sleep 0.15 * slow();
    abort_request($probe);

    my $next;
    wait_until(sub {
        $next = send_as('200', 'next');
        return $next->{headers}{'x-graph-policy'} ne 'blocked';
    }, 10);
    is($next->{headers}{'x-graph-policy'}, 'probe',
        'probe, its client leaves: the next one probes');
    is($next->{status}, 200, 'probe, its client leaves: accepted');

    # all that left no trace
    sleep $base / 1000 + 0.2;
    is(scalar(grep { $_->{headers}{'x-key'} eq 'leaves' }
        $upstream->requests), 1,
        'probe, its client leaves: the upstream is not called again');
    finish('probe');
}


# -- no more than so many wait

{
    # a quarter of the 2048 connections that a worker may have
    my $long = 6000 * slow();
    start("base=${long}ms factor=1", '', main => 'worker_rlimit_nofile 4096;');

    # those that leave make room
    my @leave = map { begin("/v25.0/$_/messages", '500 131016') } 1 .. 50;
    is(waiting(50), 50, 'many: some before');
    abort_request($_) for @leave;
    is(scalar logged(50), 50, 'many: which leave');
    $upstream->clear;
    GraphPolicy::spew($nginx->dir . '/access.log', '');

    my @calls = map { begin("/v25.0/$_/messages", '500 131016 wait=full | 200')
        } 1 .. 600;
    is($upstream->wait_for(600, 20), 600, 'many: all at the upstream');

    my $begun = time;
    $upstream->release('full');

    my @denied;
    wait_until(sub {
        @denied = grep { / 500 / } logged(1);
        return @denied >= 88;
    }, 10);
    is(scalar @denied, 88, 'many: 512 wait, the others have their error');
    cmp_ok(time - $begun, '<', $long / 2000, 'many: at once');

    my @answers = finish_requests(@calls);
    my @refused = grep { $_->{status} == 500 } @answers;

    is(scalar(grep { $_->{status} == 200 } @answers), 512, 'many: accepted');
    is(scalar @refused, 88, 'many: refused');
    is(scalar(grep { $_->{headers}{'x-graph-policy'} eq 'passed' } @refused),
        88, 'many: passed');
    is($upstream->count, 600 + 512, 'many: counted at the upstream');
    like($nginx->log, qr/\[info\].*too many/, 'many: told at info');

    # they have all left
    $upstream->clear;
    my $again = $nginx->request(path => '/v25.0/1/messages',
        headers => ['X-Mock' => '500 131016 | 200'], timeout => 30);
    is($again->{headers}{'x-graph-policy'}, 'retried', 'many: then again');
    finish('many');
}

done_testing();


# -- an HTTP/2 client that can reset a stream

package Streams;

use Time::HiRes qw(time);

sub new {
    my ($class, $port) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port) or die "connect: $!";
    my $self = bless { socket => $socket, in => '', ended => {} }, $class;

    syswrite $socket, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    $self->frame(4, 0, 0, '');
    return $self;
}

sub frame {
    my ($self, $type, $flags, $stream, $payload) = @_;

    syswrite $self->{socket}, substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream) . $payload;
}

# headers are literals that aren't indexed, with neither Huffman coding
sub get {
    my ($self, $stream, $path, @headers) = @_;

    my @all = (':method' => 'GET', ':scheme' => 'http', ':path' => $path,
        ':authority' => 'localhost', @headers);
    my $block = '';

    while (my ($name, $value) = splice @all, 0, 2) {
        $block .= "\0" . pack('C/a C/a', $name, $value);
    }

    # the end of the headers and of the stream
    $self->frame(1, 5, $stream, $block);
}

sub reset { $_[0]->frame(3, 0, $_[1], pack 'N', 8) }

# whether an answer is there to its end, or comes within a while
sub ended {
    my ($self, $stream) = @_;

    my $end = time + ($stream == 1 ? 0.2 : 10 * GraphPolicy::slow());

    while (!$self->{ended}{$stream} && time < $end) {
        my $read = '';
        vec($read, fileno $self->{socket}, 1) = 1;
        next if !select $read, undef, undef, 0.1;
        last if !sysread $self->{socket}, $self->{in}, 65536,
            length $self->{in};

        while (length $self->{in} >= 9) {
            my ($high, $low, $type, $flags, $id) = unpack 'CnCCN', $self->{in};
            my $size = 9 + ($high << 16) + $low;
            last if length $self->{in} < $size;
            substr $self->{in}, 0, $size, '';

            $self->frame(4, 1, 0, '') if $type == 4 && !($flags & 1);
            $self->{ended}{ $id & 0x7fffffff } = 1
                if ($type == 0 || $type == 1) && $flags & 1;
        }
    }

    return $self->{ended}{$stream};
}
