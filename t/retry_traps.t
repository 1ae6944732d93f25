# vi:set ft= ts=4 sw=4 et:

# Sending again, where it meets the rest of nginx: bodies in files, raw URIs,
# framings, other filters, caches, peers, clients of every kind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(free_ports wait_until slurp spew slow);
use GraphPolicy::Graph;

my $upstream = GraphPolicy::Graph->start;
my $second   = GraphPolicy::Graph->start;
my ($tls, $h2tls, $h2up, $dead) = free_ports(4);

# more than a megabyte, in which no two places are equal
my $large = join '', map { sprintf "%08d:", $_ } 1 .. 116509;

my $scgi  = scgi();
my $early = early();

my $about = qx($GraphPolicy::nginx_binary -V 2>&1);
my ($major, $minor) = $about =~ m{nginx/1\.(\d+)\.(\d+)};
my $threads = $about =~ /--with-threads/;
my $h2      = $about =~ /--with-http_v2_module/ && has('curl', 'HTTP2');
my $h2_up   = $h2 && ($major > 29 || $major == 29 && $minor >= 4);

my $certs = File::Temp->newdir('graph_policy.XXXXXX', TMPDIR => 1);
chmod 0755, $certs;
system("$FindBin::Bin/tools/make-cert", "$certs", 'localhost', '127.0.0.1')
    == 0 or die 'no certificate';
chmod 0644, glob "$certs/*";

# another kind of upstream: its first two answers are errors
sub scgi {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 16) or die "listen: $!";
    my $parent = $$;
    my $pid    = fork // die "fork: $!";

    if (!$pid) {
        my ($count, $first) = (0, '');

        while (getppid == $parent) {
            my $read = '';
            vec($read, fileno $listen, 1) = 1;
            next if !select $read, undef, undef, 1;

            my $socket = $listen->accept or next;
            my $in     = '';
            1 while $in !~ /^\d+:/ && sysread $socket, $in, 4096, length $in;

            # the length of the parameters, then they, then the body
            my ($size) = $in =~ /^(\d+):/;
            my $all = length($size) + 1 + $size + 1
                + ($in =~ /CONTENT_LENGTH\0(\d+)/)[0];
            1 while length $in < $all
                && sysread $socket, $in, 65536, length $in;

            $first = $in if !$count;
            my $same = $in eq $first ? 'same' : 'other';
            syswrite $socket, ++$count < 3
                ? "Status: 500 Told So\r\nContent-Type: application/json\r\n"
                    . qq(X-Only: error\r\n\r\n{"error":{"code":131016}})
                : "Status: 200 Told So\r\nContent-Type: text/plain\r\n\r\n"
                    . "$count $same " . length $in;
            close $socket;
        }
        POSIX::_exit(0);
    }

    GraphPolicy::adopt($pid);
    return $listen->sockport;
}

sub has {
    my ($command, $feature) = @_;
    return (qx($command --version 2>&1) // '') =~ /$feature/;
}

my $aio     = $threads ? 'aio threads; aio_write on; sendfile on;' : '';
my $main_up = '127.0.0.1:' . $upstream->port;
my $next_up = '127.0.0.1:' . $second->port;
my $http_2  = $h2 ? 'http2' : '';

my $nginx = GraphPolicy::Nginx->start(graph => $upstream, http => <<"END");
graph_policy_zone  zone=z:2m;
graph_policy       zone=z;
graph_policy_retry attempts=3 base=20ms factor=1 budget_min=100000;

log_format tries '\$uri \$status "\$upstream_status" "\$upstream_addr" '
                 '\$graph_policy_status \$graph_policy_attempts';
types { }
default_type text/plain;
client_max_body_size 8m;

proxy_cache_path %DIR%/cache keys_zone=c:1m;
limit_req_zone   \$uri zone=slowly:1m rate=1r/m;

upstream keep { server $main_up; keepalive 4; }
upstream two  { server $main_up max_fails=0; server $next_up max_fails=0; }

server {
    listen 127.0.0.1:%PORT%;
    listen 127.0.0.1:%PORT2% $http_2;
    listen 127.0.0.1:$tls ssl;
    listen 127.0.0.1:$h2tls ssl $http_2;

    ssl_certificate     $certs/server.crt;
    ssl_certificate_key $certs/server.key;

    root %DIR%/html;
    access_log %DIR%/access.log tries;

    location / {
        proxy_pass http://$main_up;
    }
    location /stock/ {
        graph_policy off;
        proxy_pass http://$main_up/;
    }

    location /stock/unbuf/ {
        graph_policy off;
        proxy_buffering off;
        proxy_pass http://$main_up/unbuf/;
    }

    # bodies
    location /file/ {
        client_body_buffer_size 8k;
        proxy_pass http://$main_up;
    }
    location /single/ {
        client_body_in_single_buffer on;
        client_body_buffer_size 2m;
        proxy_pass http://$main_up;
    }
    location /only/ {
        client_body_in_file_only clean;
        proxy_pass http://$main_up;
    }
    location /threads/ {
        $aio
        client_body_buffer_size 8k;
        graph_policy_buffer_size 1m;
        proxy_buffers 4 4k;
        proxy_buffer_size 4k;
        proxy_busy_buffers_size 8k;
        proxy_pass http://$main_up;
    }
    location /set/ {
        proxy_set_body '{"set":"\$request_method \$arg_x"}';
        proxy_pass http://$main_up;
    }
    location /stream/ {
        proxy_request_buffering off;
        proxy_http_version 1.1;
        proxy_pass http://$main_up;
    }

    # waits longer than any timeout of the connection
    location /slow/ {
        graph_policy_retry attempts=3 base=1600ms factor=1 budget_min=100000;
        send_timeout        300ms;
        client_body_timeout 300ms;
        keepalive_timeout   300ms;
        proxy_read_timeout  300ms;
        proxy_send_timeout  300ms;
        proxy_pass http://$main_up;
    }

    location /jitter/ {
        graph_policy_retry attempts=2 base=1s factor=1 budget_min=100000;
        proxy_pass http://$main_up;
    }

    # URIs
    location /rw/ {
        rewrite ^/rw/(.*)\$ /rw/more/\$1 break;
        proxy_pass http://$main_up;
    }
    location /pre/ {
        proxy_pass http://$main_up/v25.0/;
    }
    location /var/ {
        set \$to $main_up;
        proxy_pass http://\$to\$request_uri;
    }
    location ~ ^/re/(.*)/x\$ {
        proxy_pass http://$main_up/got/\$1?a=\$arg_a;
    }

    # upstreams
    location /unbuf/ {
        proxy_buffering off;
        proxy_pass http://$main_up;
    }
    location /keep/ {
        proxy_http_version 1.1;
        proxy_set_header Connection '';
        proxy_pass http://keep;
    }
    location /keepunbuf/ {
        proxy_buffering off;
        proxy_http_version 1.1;
        proxy_set_header Connection '';
        proxy_pass http://keep;
    }
    location /next/ {
        graph_policy_retry attempts=2 base=20ms budget_min=100000;
        proxy_next_upstream http_500 non_idempotent;
        proxy_pass http://two;
    }
    location /tls/ {
        client_body_buffer_size 8k;
        # a session that is kept is what nginx itself doesn't free
        proxy_ssl_session_reuse off;
        proxy_ssl_verify on;
        proxy_ssl_trusted_certificate $certs/ca.crt;
        proxy_ssl_name localhost;
        proxy_pass https://127.0.0.1:$tls/stock/;
    }
    location /fallback/ {
        error_page 502 504 = \@fallback;
        proxy_pass http://127.0.0.1:$dead;
    }
    location \@fallback {
        proxy_pass http://$main_up;
    }
    location /tries/ {
        try_files /nothing \@fallback;
    }
    location /inner/ {
        internal;
        proxy_pass http://$main_up;
    }

    # other filters
    location /added/ {
        add_header X-Added "\$upstream_status" always;
        add_header X-Said  "\$upstream_http_x_said" always;
        expires 1h;
        proxy_set_header X-Attempt \$graph_policy_attempts;
        proxy_pass http://$main_up;
    }
    location /sub/ {
        sub_filter_types *;
        sub_filter wamid SUBSTITUTED;
        proxy_pass http://$main_up;
    }
    location /gzip/ {
        gzip on;
        gzip_types *;
        gzip_min_length 1;
        proxy_pass http://$main_up;
    }
    location /ranges/ {
        proxy_force_ranges on;
        proxy_pass http://$main_up;
    }
    location /limit/ {
        limit_rate 40k;
        proxy_pass http://$main_up;
    }
    location /bound/ {
        graph_policy_buffer_size 4k;
        proxy_pass http://$main_up;
    }
    location /whole/ {
        graph_policy_buffer_size 1m;
        proxy_pass http://$main_up;
    }
    location /spilt/ {
        graph_policy_buffer_size 1k;
        proxy_buffers 2 4k;
        proxy_buffer_size 4k;
        proxy_busy_buffers_size 4k;
        proxy_pass http://$main_up;
    }

    location /addition/ {
        add_before_body /part/before;
        add_after_body  /part/after;
        addition_types *;
        proxy_pass http://$main_up;
    }
    location /posted/ {
        post_action /part/posted;
        proxy_pass http://$main_up;
    }
    location /scgi/ {
        scgi_pass 127.0.0.1:$scgi;
        scgi_param REQUEST_URI \$request_uri;
        client_body_buffer_size 8k;
    }

    location /early/ {
        client_body_buffer_size 8k;
        proxy_pass http://127.0.0.1:$early;
    }

    # caches
    location /stale/ {
        proxy_cache c;
        proxy_cache_key \$uri;
        proxy_cache_valid 1s;
        proxy_cache_use_stale http_500;
        add_header X-Cache \$upstream_cache_status always;
        proxy_pass http://$main_up;
    }
    location /cache/ {
        proxy_cache c;
        proxy_cache_key \$uri;
        proxy_cache_valid any 10m;
        proxy_cache_lock on;
        add_header X-Cache \$upstream_cache_status always;
        proxy_pass http://$main_up;
    }
    location /store/ {
        proxy_store %DIR%/html\$uri;
        proxy_store_access user:rw all:r;
        proxy_pass http://$main_up;
    }

    # error pages
    location /page/ {
        error_page 500 /page.html;
        proxy_pass http://$main_up;
    }
    location /caught/ {
        proxy_intercept_errors on;
        error_page 500 /page.html;
        proxy_pass http://$main_up;
    }
    location /uncaught/ {
        proxy_intercept_errors on;
        error_page 404 /page.html;
        proxy_pass http://$main_up;
    }
    location /caughthere/ {
        proxy_intercept_errors on;
        error_page 500 /here.html;
        proxy_pass http://$main_up;
    }
    location = /page.html {
        graph_policy off;
    }
    location = /here.html {
    }

    # other phases
    location /mirror/ {
        mirror /mirrored;
        proxy_pass http://$main_up;
    }
    location /mirrorwaits/ {
        graph_policy_retry attempts=2 base=1s factor=1 budget_min=100000;
        mirror /mirrored;
        proxy_pass http://$main_up;
    }
    location = /mirrored {
        internal;
        proxy_set_header X-Mock '';
        proxy_pass http://$next_up\$request_uri;
    }
    location /asked/ {
        auth_request /authorized;
        proxy_pass http://$main_up;
    }
    location = /authorized {
        internal;
        proxy_pass http://$next_up/authorized;
        proxy_pass_request_body off;
        proxy_set_header Content-Length '';
        proxy_set_header X-Mock '';
    }
    location /refused/ {
        auth_request /unable;
        proxy_pass http://$main_up;
    }
    location = /unable {
        internal;
        proxy_pass http://$next_up/unable;
        proxy_pass_request_body off;
        proxy_set_header Content-Length '';
    }
    location /limited/ {
        limit_req zone=slowly;
        proxy_pass http://$main_up;
    }
    location /ssi/ {
        ssi on;
        ssi_types *;
        proxy_set_header Accept-Encoding '';
        proxy_pass http://$main_up;
    }
    location = /includes {
        ssi on;
        ssi_types *;
    }
    location /part/ {
        proxy_set_header X-Mock '';
        proxy_pass http://$main_up;
    }

    @{[ $h2_up ? <<"UP" : '' ]}
    location /h2up/ {
        client_body_buffer_size 8k;
        proxy_http_version 2;
        proxy_pass http://127.0.0.1:$h2up;
    }
UP
}

@{[ $h2_up ? <<"UP" : '' ]}
server {
    listen 127.0.0.1:$h2up http2;
    graph_policy off;
    access_log off;
    location / {
        proxy_pass http://$main_up;
    }
}
UP
END

mkdir $nginx->dir . '/html';
chmod 0777, $nginx->dir . '/html';
spew($nginx->dir . "/html/$_.html", "a page of nginx\n") for qw(page here);
spew($nginx->dir . '/html/includes', join '',
    map { qq(<!--#include virtual="/part/$_" -->;) } 1 .. 3);

my $number = 0;
my $twice  = '500 131016 | 500 131016';

# sends a request, and looks at what the upstream got
sub tried {
    my ($name, $count, %request) = @_;

    my $script = delete $request{script} // "$twice | 200";
    my $method = $request{method} // 'POST';
    my $uri    = delete $request{uri} // $request{path};
    my $changed = delete $request{changed};

    $upstream->clear;
    my $answer = $nginx->request(timeout => 20, %request,
        headers => ['X-Mock' => $script, 'X-Key' => ++$number,
            @{ $request{headers} || [] }]);
    my @tries = $upstream->requests;

    is(scalar @tries, $count, "$name: tries");
    same($name, @tries);

    my $body = $request{body} // '';
    ok(!(grep { $_->{method} ne $method } @tries), "$name: the method");
    is(join(' ', grep { $_ ne $uri } map { $_->{uri} } @tries), '',
        "$name: the URI");
    ok(!(grep { $_->{body} ne $body } @tries), "$name: the body")
        if !$changed;

    return ($answer, @tries);
}

# all tries are the same bytes
sub same {
    my ($name, @tries) = @_;

    my @other = grep { $_->{raw} ne $tries[0]{raw} } @tries;
    ok(!@other, "$name: the same, byte for byte")
        or diag(map { "$_->{head}\n" . length($_->{body}) . "\n" } @tries);
}

# an answer of the third try, accepted
sub accepted {
    my ($name, $answer, $tries) = @_;

    is($answer->{error}, undef, "$name: complete");
    is($answer->{status}, 200, "$name: accepted");
    is($answer->{headers}{'x-graph-policy'}, 'retried', "$name: retried");
    is($answer->{headers}{'x-graph-attempts'}, $tries // 3, "$name: attempts");
    is($answer->{body}, GraphPolicy::Graph::body_of('200', 1),
        "$name: its body");
}

# a connection of one's own
package Connection {
    sub new {
        my ($class, $port) = @_;
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $port || $nginx->port, Timeout => 5) or die "connect";
        return bless { socket => $socket, in => '' }, $class;
    }

    sub say {
        my ($self, $text) = @_;
        $self->{socket}->syswrite($text);
    }

    # up to that
    sub until {
        my ($self, $pattern) = @_;

        my $end = Time::HiRes::time() + 15 * GraphPolicy::slow();

        while ($self->{in} !~ /$pattern/) {
            my $read = '';
            vec($read, fileno $self->{socket}, 1) = 1;
            return if Time::HiRes::time() > $end;
            next if !select $read, undef, undef, 0.2;
            last if !sysread $self->{socket}, $self->{in}, 65536,
                length $self->{in};
        }

        return $1 if $self->{in} =~ s/\A(.*?$pattern)//s;
        return;
    }

    # the next answer that has a length
    sub answer {
        my ($self) = @_;

        my $head = $self->until(qr/\r\n\r\n/) // return { status => 0 };
        my ($length) = $head =~ /^Content-Length: (\d+)/mi;
        my $body = $self->until(qr/\A.{$length}/s);
        my ($status) = $head =~ m{^HTTP/1.1 (\d+)};

        return { status => $status, head => $head, body => $body };
    }

    # whether the other side has closed
    sub closed {
        my ($self) = @_;
        return !defined $self->until(qr/nothing more/) && $self->{in} eq '';
    }
}

# the line of the access log that begins so
sub logged {
    my ($uri) = @_;

    return wait_until(sub {
        (slurp($nginx->dir . '/access.log') =~ /^(\Q$uri\E .*)\n/m)[0]
    }) // '';
}


# -- bodies

for (['memory', '/v25.0/1/messages', '{"to":"1"}'],
    ['bytes', '/v25.0/1/messages', join '', map { chr } 0 .. 255],
    ['none', '/v25.0/1/messages', ''],
    ['file', '/file/1', $large], ['one buffer', '/single/1', $large],
    ['always a file', '/only/1', 'small'], ['unbuffered', '/unbuf/1', $large],
    ['just more than the buffer', '/file/1', 'x' x 8193],
    ['of GET', '/v25.0/1', 'body', 'GET'],
    ['of DELETE, file', '/file/1', $large, 'DELETE'],
    ['of PUT, file', '/file/1', $large, 'PUT'])
{
    my ($name, $path, $body, $method) = @$_;

    my ($answer) = tried("body, $name", 3, path => $path, body => $body,
        method => $method || 'POST');
    accepted("body, $name", $answer);
}

SKIP: {
    skip 'nginx is built without threads', 20 if !$threads;

    my ($answer) = tried('body, threads', 3, path => '/threads/1',
        body => $large);
    accepted('body, threads', $answer);

    # the error on its way through small buffers, and files perhaps
    ($answer) = tried('error body, threads', 2, path => '/threads/1',
        body => $large, script => '500 131016 pad=300000 | 200');
    accepted('error body, threads', $answer, 2);
}

{
    my ($answer, @tries) = tried('body, set', 3, path => '/set/1?x=why',
        body => 'something', changed => 1);
    accepted('body, set', $answer);
    is($tries[2]{body}, '{"set":"POST why"}', 'body, set: by the location');
}

for my $part (['pieces', "3\r\nabc\r\n", "5;x=y\r\ndefgh\r\n0\r\n\r\n"],
    ['at once', "3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n"])
{
    my ($name, @pieces) = @$part;

    $upstream->clear;
    my $client = Connection->new;
    $client->say("POST /v25.0/1/messages HTTP/1.1\r\nHost: x\r\n"
        . "X-Mock: $twice | 200\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (@pieces) { sleep 0.05; $client->say($_) }

    my $answer = $client->answer;
    my @tries  = $upstream->requests;

    is($answer->{status}, 200, "chunked, $name: accepted");
    is(scalar @tries, 3, "chunked, $name: tries");
    same("chunked, $name", @tries);
    is($tries[2]{body}, 'abcdefgh', "chunked, $name: the body");
}

{
    $upstream->clear;
    my $client = Connection->new;
    $client->say("POST /file/1 HTTP/1.1\r\nHost: x\r\n"
        . "X-Mock: $twice | 200\r\nExpect: 100-continue\r\n"
        . 'Content-Length: ' . length($large) . "\r\n\r\n");
    ok($client->until(qr/^HTTP\/1.1 100 Continue\r\n\r\n/),
        'Expect: continue');
    $client->say($large);

    my $answer = $client->answer;
    my @tries  = $upstream->requests;

    is($answer->{status}, 200, 'Expect: accepted');
    unlike($client->{in} . $answer->{head}, qr/ 100 /, 'Expect: just once');
    is(scalar @tries, 3, 'Expect: tries');
    same('Expect', @tries);
    ok($tries[2]{body} eq $large, 'Expect: the body');
}


{
    # the error comes when the body is hardly on its way
    my $answer = $nginx->request(path => '/early/1', body => $large x 5,
        timeout => 20);

    is($answer->{status}, 200, 'an early error: accepted');
    is($answer->{body}, 'got ' . length($large) * 5 . ', whole',
        'an early error: the body from its beginning');
    is($answer->{headers}{'x-graph-attempts'}, 3,
        'an early error: attempts');
}

# an upstream that gives the first two requests their error at once
sub early {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 16) or die "listen: $!";
    my $parent = $$;
    my $pid    = fork // die "fork: $!";

    if (!$pid) {
        my $count = 0;

        while (getppid == $parent) {
            my $read = '';
            vec($read, fileno $listen, 1) = 1;
            next if !select $read, undef, undef, 1;

            my $socket = $listen->accept or next;
            my $in     = '';
            1 while $in !~ /\r\n\r\n/ && sysread $socket, $in, 1024, length $in;

            if (++$count < 3) {
                my $body = '{"error":{"code":131016}}';
                syswrite $socket, "HTTP/1.1 500 Early\r\nContent-Length: "
                    . length($body) . "\r\n\r\n$body";
                # closed by nginx
                1 while sysread $socket, $in, 65536;
                close $socket;
                next;
            }

            my ($length) = $in =~ /^Content-Length: (\d+)/mi;
            my $at = index($in, "\r\n\r\n") + 4;
            1 while length($in) < $at + $length
                && sysread $socket, $in, 65536, length $in;

            my $got  = substr $in, $at;
            my $body = 'got ' . length($got) . ', '
                . ($got eq $large x 5 ? 'whole' : 'torn');
            syswrite $socket, "HTTP/1.1 200 OK\r\nContent-Length: "
                . length($body) . "\r\n\r\n$body";
            close $socket;
        }
        POSIX::_exit(0);
    }

    GraphPolicy::adopt($pid);
    return $listen->sockport;
}


# -- a body that isn't kept

{
    for my $i (1 .. 3) {
        my ($answer) = tried("unbuffered request $i", 1, path => '/stream/1',
            body => $large);
        is($answer->{status}, 500, "unbuffered request $i: delivered");
        is($answer->{headers}{'x-graph-policy'}, 'passed',
            "unbuffered request $i: passed");
        is($answer->{headers}{'x-graph-error-category'}, 'temporary',
            "unbuffered request $i: classified");
    }

    my @said = grep { /proxy_request_buffering/ } split /\n/, $nginx->log;
    is(scalar @said, 1, 'unbuffered request: one line');
    like($said[0] // '', qr/\[error\]/, 'unbuffered request: at error');

    my ($answer) = tried('unbuffered, without a body', 3, path => '/stream/1',
        method => 'GET');
    accepted('unbuffered, without a body', $answer);
}


# -- waits

{
    my $begun = time;
    my ($answer) = tried('slow', 2, path => '/slow/1',
        script => '500 131016 | 200');
    accepted('slow', $answer, 2);
    cmp_ok(time - $begun, '>=', 0.79, 'slow: it took its time');

    ($answer) = tried('slow, 1 MB', 2, path => '/slow/1', body => $large,
        script => '500 131016 | 200');
    accepted('slow, 1 MB', $answer, 2);
}

{
    # thirty at once, each with a jitter of its own
    $upstream->clear;
    my @answers = $nginx->parallel(map { {
        path => "/jitter/$_", timeout => 20,
        headers => ['X-Mock' => '500 131016 | 200'],
    } } 1 .. 30);

    is(scalar(grep { $_->{status} == 200 } @answers), 30, 'jitter: accepted');

    my (%first, @gaps);
    for ($upstream->requests) {
        push @gaps, $_->{time} - $first{ $_->{uri} }
            if exists $first{ $_->{uri} };
        $first{ $_->{uri} } //= $_->{time};
    }
    @gaps = sort { $a <=> $b } @gaps;

    is(scalar @gaps, 30, 'jitter: tries');
    cmp_ok($gaps[0], '>=', 0.49, 'jitter: half of the base at least');
    cmp_ok($gaps[0], '<', 0.75, 'jitter: some wait less');
    cmp_ok($gaps[-1], '>', 0.75, 'jitter: some wait more');
    cmp_ok($gaps[14], '<', 1 + 0.5 * slow(), 'jitter: no more than the base');
}


# -- URIs

for ('/v25.0/a%2Fb/../c/./d//e%20f/%C3%A9?x=%2F&y=a%20b',
    '/%76%32/..%2f/x', '/v25.0/1/messages?', '/a?b?c', '/v25.0/+;=,@!~*')
{
    my ($answer) = tried("URI $_", 3, path => $_);
    accepted("URI $_", $answer);
}

{
    my ($answer) = tried('rewrite', 3, path => '/rw/a%20b/c?d=e',
        uri => '/rw/more/a%20b/c?d=e');
    accepted('rewrite', $answer);

    ($answer) = tried('a URI part', 3, path => '/pre/a%20b/c?d=e',
        uri => '/v25.0/a%20b/c?d=e');
    accepted('a URI part', $answer);

    ($answer) = tried('variables', 3, path => '/var/a%2Fb/../c?d=%20');
    accepted('variables', $answer);

    ($answer) = tried('captures', 3, path => '/re/one/two/x?a=b&c=d',
        uri => '/got/one/two?a=b');
    accepted('captures', $answer);
}


# -- framings of the error, buffered or not

for my $place ('/v25.0/1/messages', '/unbuf/1', '/keep/1', '/keepunbuf/1') {
    for my $framing ('', 'chunked', 'eof', 'split', 'split chunked',
        'split eof', 'gzip', 'deflate', 'zlib', 'gzip chunked split')
    {
        next if $framing =~ /gzip|deflate|zlib/ && $place !~ /^.(?:v|k.*f)/;

        my ($answer) = tried("$place $framing", 3, path => $place,
            script => "500 131016 $framing | 500 131016 $framing | 200");
        accepted("$place $framing", $answer);
    }
}

{
    my ($answer) = tried('the last error, compressed', 3,
        path => '/v25.0/1/messages', script => '500 131016 gzip');
    is($answer->{status}, 500, 'the last error, compressed: delivered');
    is($answer->{headers}{'content-encoding'}, 'gzip',
        'the last error, compressed: still is');
    is($answer->{headers}{'x-graph-error-code'}, 131016,
        'the last error, compressed: it was read');
    is($answer->{body}, GraphPolicy::Graph::body_of('500 131016 gzip', 3),
        'the last error, compressed: its bytes');
}

for my $place ('/v25.0/1/messages', '/unbuf/1') {
    for my $framing ('chunked', 'eof', 'chunked split') {
        my $script = "500 131016 pad=3000 $framing";
        my ($answer) = tried("the last error, $place $framing", 3,
            path => $place, script => $script);
        is($answer->{error}, undef, "the last error, $framing: complete");
        is($answer->{body}, GraphPolicy::Graph::body_of($script, 3),
            "the last error, $framing: its bytes");
        is($answer->{headers}{'x-graph-attempts'}, 3,
            "the last error, $framing: attempts");
    }
}


# -- errors that aren't complete

for my $cut ('fin=20', 'rst=20', 'chunked fin=20', 'fin=0', 'eof fin=20') {
    for my $buffered ('/v25.0/1', '/unbuf/1') {
        my $name = "torn, $cut, $buffered";
        my $script = "500 131016 $cut | 200";
        my ($answer) = tried($name, 1, path => $buffered, script => $script);
        my ($stock) = tried("$name, stock", 1, path => "/stock$buffered",
            uri => $buffered, script => $script);

        is($answer->{status}, $stock->{status}, "$name: its status");
        is($answer->{body}, $stock->{body}, "$name: what came of it");
        is($answer->{error}, $stock->{error}, "$name: ends as it would")
            if $cut !~ /eof/;
        next if $answer->{status} != 500;

        is($answer->{headers}{'x-graph-error-category'}, 'unclassified',
            "$name: unreadable");
        is($answer->{headers}{'x-graph-policy'}, 'passed', "$name: passed");
    }
}

# -- an accepted answer that isn't complete

for my $cut ('fin=20', 'rst=20', 'chunked fin=20') {
    my $name = "torn 2xx, $cut";
    my ($answer) = tried($name, 1, path => '/v25.0/1', script => "200 $cut");
    my ($stock) = tried("$name, stock", 1, path => '/stock/v25.0/1',
        uri => '/v25.0/1', script => "200 $cut");
    my ($again) = tried("$name, again", 2, path => '/v25.0/1',
        script => "500 131016 | 200 $cut");

    is($stock->{error}, 'closed', "$name, stock: it is torn");
    for ($answer, $again) {
        is($_->{status}, 200, "$name: its status");
        is($_->{body}, $stock->{body}, "$name: what came of it");
        is($_->{error}, 'closed', "$name: ends as it would");
    }
}

{
    # the client's connection is still good for another request where the
    # upstream's closed in the middle of an error that was parked
    my $client = Connection->new;
    for my $i (1 .. 2) {
        $client->say("GET /v25.0/k$i HTTP/1.1\r\nHost: x\r\n"
            . "X-Mock: 500 131016 eof | 200\r\n\r\n");
        is($client->answer->{status}, 200,
            "keep-alive after a close-delimited error, $i");
    }
}


# -- errors that are too large

for my $framing ('', 'chunked', 'eof') {
    my $script = "500 131016 pad=5000 $framing | 200";

    my ($answer) = tried("over the bound, $framing", 1, path => '/bound/1',
        script => $script);
    is($answer->{status}, 500, "over the bound, $framing: delivered");
    is($answer->{headers}{'x-graph-error-category'}, 'unclassified',
        "over the bound, $framing: unclassified");
    is($answer->{headers}{'x-graph-policy'}, 'passed',
        "over the bound, $framing: passed");
    is($answer->{body}, GraphPolicy::Graph::body_of($script, 1),
        "over the bound, $framing: its bytes");

    $script = "500 131016 pad=300000 $framing | 200";
    ($answer) = tried("into a file, $framing", 1, path => '/spilt/1',
        script => $script);
    is($answer->{headers}{'x-graph-policy'}, 'passed',
        "into a file, $framing: passed");
    is($answer->{body}, GraphPolicy::Graph::body_of($script, 1),
        "into a file, $framing: its bytes");

    # within it
    ($answer) = tried("within the bound, $framing", 3, path => '/bound/1',
        script => "500 131016 pad=3800 $framing | "
            . "500 131016 pad=3000 $framing | 200");
    accepted("within the bound, $framing", $answer);

    ($answer) = tried("a large one, $framing", 2, path => '/whole/1',
        script => "500 131016 pad=300000 $framing | 200");
    accepted("a large one, $framing", $answer, 2);
}

{
    # small as it comes, large as it is
    my $script = '500 131016 pad=60000 gzip | 200';
    my ($answer) = tried('over the bound, gzip', 1, path => '/bound/1',
        script => $script);
    is($answer->{headers}{'x-graph-error-category'}, 'unclassified',
        'over the bound, gzip: unclassified');
    is($answer->{body}, GraphPolicy::Graph::body_of($script, 1),
        'over the bound, gzip: its bytes');
}


# -- clients

{
    my ($answer) = tried('HEAD', 1, path => '/v25.0/1', method => 'HEAD',
        script => '500 131016 | 200');
    is($answer->{status}, 500, 'HEAD: an error without a body is final');
    is($answer->{headers}{'x-graph-error-category'}, 'unclassified',
        'HEAD: unreadable');

    ($answer) = tried('HEAD, keep-alive', 1, path => '/keep/1',
        method => 'HEAD', script => '500 131016');
    is($answer->{status}, 500, 'HEAD, keep-alive');

    ($answer) = tried('HTTP/1.0', 3, path => '/v25.0/1', version => '1.0');
    accepted('HTTP/1.0', $answer);
    ($answer) = tried('HTTP/1.0, chunked by the upstream', 3,
        path => '/v25.0/1', version => '1.0',
        script => '500 131016 chunked | 500 131016 chunked | 200 chunked');
    is($answer->{body}, GraphPolicy::Graph::body_of('200', 1),
        'HTTP/1.0, chunked by the upstream: its body');
}

{
    $upstream->clear;
    my $client = Connection->new;
    $client->say(join '', map {
        "POST /v25.0/pipelined-$_ HTTP/1.1\r\nHost: x\r\n"
            . "X-Mock: $twice | 200 body=answer-$_\r\n"
            . "Content-Length: 6\r\n\r\nbody-$_"
    } 1 .. 3);

    for my $i (1 .. 3) {
        my $answer = $client->answer;
        is($answer->{status}, 200, "pipelined $i: accepted");
        is($answer->{body}, "answer-$i", "pipelined $i: in its place");
        like($answer->{head}, qr/^X-Graph-Attempts: 3\r$/m,
            "pipelined $i: attempts");
    }

    my @tries = $upstream->requests;
    is(join(' ', map { $_->{body} } @tries), join(' ', map { "body-$_" }
        1, 1, 1, 2, 2, 2, 3, 3, 3), 'pipelined: one after the other');
}

{
    # the next request comes while the first one waits
    $upstream->clear;
    my $client = Connection->new;
    $client->say("POST /slow/first HTTP/1.1\r\nHost: x\r\n"
        . "X-Mock: 500 131016 | 200 body=first\r\nContent-Length: 1\r\n"
        . "\r\na");
    $upstream->wait_for(1);
    sleep 0.1;
    $client->say("POST /v25.0/second HTTP/1.1\r\nHost: x\r\n"
        . "X-Mock: 500 131016 | 200 body=second\r\nContent-Length: 1\r\n"
        . "\r\nb");

    is($client->answer->{body}, 'first', 'while it waits: the first');
    is($client->answer->{body}, 'second', 'while it waits: the second');
    is(join('', map { $_->{body} } $upstream->requests), 'aabb',
        'while it waits: in their order');
}

SKIP: {
    skip 'no HTTP/2', 60 if !$h2;

    spew($nginx->dir . '/large', $large);

    my @curl = ('curl', '-s', '-m', 20 * slow(), '-i', '-H', 'Expect:');
    my $plain = 'http://127.0.0.1:' . $nginx->{port2};

    for my $case (
        ['h2', '--http2-prior-knowledge', $plain],
        ['h2 over TLS', '--http2', '-k', "https://127.0.0.1:$h2tls"],
        ['HTTP/1.1 over TLS', '--http1.1', '-k', "https://127.0.0.1:$tls"],
    ) {
        my ($name, @how) = @$case;
        my $at = pop @how;

        for (['GET', '/v25.0/1'], ['POST, 1 MB', '/file/1', $large],
            ['POST', '/v25.0/1', 'body'], ['sub_filter', '/sub/1'])
        {
            my ($what, $path, $body) = @$_;

            spew($nginx->dir . '/body', $body // '');
            $upstream->clear;
            my $out = run(@curl, @how, '-H', "X-Mock: $twice | 200",
                defined $body ? ('--data-binary', '@' . $nginx->dir . '/body')
                    : (), "$at$path");
            my @tries = $upstream->requests;

            like($out, $name =~ /h2/ ? qr{^HTTP/2 200} : qr{^HTTP/1.1 200},
                "$name, $what: accepted");
            like($out, qr/^x-graph-attempts: 3\r$/mi, "$name, $what: attempts");
            like($out, $what eq 'sub_filter' ? qr/SUBSTITUTED.*\}\z/s
                : qr/"wamid.FAKE"\}\]\}\z/, "$name, $what: its body");
            is(scalar @tries, 3, "$name, $what: tries");
            same("$name, $what", @tries);
            ok($tries[2]{body} eq ($body // ''), "$name, $what: the body");
        }

        $upstream->clear;
        my $out = run(@curl, @how, '-I', '-H', 'X-Mock: 500 131016 | 200',
            "$at/v25.0/1");
        like($out, qr{^HTTP/\S+ 500}, "$name, HEAD: final");
        is($upstream->count, 1, "$name, HEAD: tries");
    }
}

SKIP: {
    skip 'no h2load', 3 if !$h2 || !has('h2load', 'h2load');

    # sixty streams of one connection, all of which wait
    $upstream->clear;
    $upstream->script("/v25.0/stream-$_", "$twice | 200") for 1 .. 60;
    spew($nginx->dir . '/uris', join '', map { 'http://127.0.0.1:'
        . "$nginx->{port2}/v25.0/stream-$_\n" } 1 .. 60);

    my $out = run('h2load', '-n', 60, '-c', 1, '-m', 60, '-i',
        $nginx->dir . '/uris');

    like($out, qr/60 total, .* 60 succeeded, 0 failed/, 'streams: all answered');
    like($out, qr/status codes: 60 2xx/, 'streams: all accepted');
    is($upstream->count, 180, 'streams: counted at the upstream');
}

# what a command prints
sub run {
    my (@command) = @_;

    open my $out, '-|', @command or die "$command[0]: $!";
    local $/;
    my $text = <$out> // '';
    close $out;
    return $text;
}


# -- upstreams

for my $place ('/keep/1', '/keepunbuf/1') {
    for my $framing ('', 'chunked', 'split', 'gzip') {
        my @numbers;
        for (1 .. 3) {
            my ($answer, @tries) = tried("connection, $place $framing", 3,
                path => $place,
                script => "500 131016 $framing | 500 131016 $framing | 200");
            push @numbers, map { $_->{connection} } @tries;
        }
        my %seen = map { $_ => 1 } @numbers;
        is(scalar keys %seen, 1,
            "connection, $place $framing: one for nine tries");
    }
}

{
    my ($answer, @tries) = tried('TLS to the upstream', 3, path => '/tls/1',
        uri => '/1', body => $large);
    accepted('TLS to the upstream', $answer);
}

SKIP: {
    skip 'no HTTP/2 to upstreams in this nginx', 30 if !$h2_up;

    for (['GET', ''], ['POST', 'body'], ['POST', $large]) {
        my ($method, $body) = @$_;
        my $name = "HTTP/2 to the upstream, $method " . length $body;

        my ($answer) = tried($name, 3, path => '/h2up/1', method => $method,
            body => $body);
        accepted($name, $answer);
    }

    my ($answer) = tried('HTTP/2 to the upstream, HEAD', 1, path => '/h2up/1',
        method => 'HEAD', script => '500 131016');
    is($answer->{status}, 500, 'HTTP/2 to the upstream, HEAD: final');
}

# proxy_next_upstream multiplies: each attempt has all peers
{
    $second->clear;
    my ($answer) = tried('peers', 2, path => '/next/1', script => '500 131016');
    is($upstream->count + $second->count, 4, 'peers: two times two tries');
    is($answer->{status}, 500, 'peers: the error');
    is($answer->{headers}{'x-graph-attempts'}, 2, 'peers: two attempts');

    is(logged('/next/1') =~ s/127.0.0.1:\d+/PEER/gr,
        '/next/1 500 "500, 500, 500, 500" "PEER, PEER, PEER, PEER" RETRIED 2',
        'peers: all in the log');

    $second->clear;
    ($answer) = attempts('/next/2', '500 131016 | 200');
    is($answer->{status}, 200, 'peers, in the end: accepted');
    is($upstream->count + $second->count, 3,
        'peers, in the end: no more than needed');
    is($answer->{headers}{'x-graph-attempts'}, 2,
        'peers, in the end: attempts');
    like(logged('/next/2'), qr/ 200 "500, 500, 200" /,
        'peers, in the end: all in the log');
}

{
    my ($answer) = tried('fallback', 3, path => '/fallback/1');
    accepted('fallback', $answer);
    ($answer) = tried('a named location', 3, path => '/tries/1');
    accepted('a named location', $answer);

    like(logged('/fallback/1'), qr{ 200 "502 : 500, 500, 200" },
        'fallback: the log');
}

{
    # the tries of both, where an answer leads elsewhere
    my ($answer) = tried('X-Accel-Redirect', 4, path => '/v25.0/1',
        method => 'GET', uri => '/v25.0/1', script => '500 131016 '
            . '| 200 header=X-Accel-Redirect:/v25.0/1 | 500 131016 | 200');
    is($answer->{status}, 200, 'X-Accel-Redirect: accepted');
    is($answer->{body}, GraphPolicy::Graph::body_of('200', 1),
        'X-Accel-Redirect: its body');
}


# -- headers

{
    my ($answer) = tried('60 headers', 3, path => '/v25.0/1',
        script => '500 131016 fill=60 | 500 131016 fill=45 | 200 fill=60');
    accepted('60 headers', $answer);
    for (1 .. 60) {
        next if ($answer->{headers}{"x-fill-$_"} // '') eq 'of-try-3';
        fail("60 headers: X-Fill-$_");
    }
    is(() = $answer->{head} =~ /^X-Fill-\d+: of-try-3\r?$/mg, 60,
        '60 headers: each once');
    unlike($answer->{head}, qr/of-try-[12]/, '60 headers: none is stale');

    ($answer) = tried('60 headers, then none', 2, path => '/v25.0/1',
        script => '500 131016 fill=60 | 200');
    unlike($answer->{head}, qr/X-Fill/, '60 headers, then none');

    ($answer) = tried('60 headers of an error', 3, path => '/v25.0/1',
        script => '500 131016 fill=60');
    is(() = $answer->{head} =~ /^X-Fill-\d+: of-try-3\r?$/mg, 60,
        '60 headers of an error: each once');
}

{
    # what an error brought is gone without a trace
    my $error = '500 131016 type=text/plain;charset=koi8-r'
        . join '', map { ' header=' . s/([^\w:-])/sprintf '%%%02x', ord $1/ger }
        'Set-Cookie:a=1', 'Set-Cookie:b=2', 'Set-Cookie:c=3',
        'Last-Modified:Thu, 01 Jan 2026 00:00:00 GMT', 'ETag:"stale"',
        'Cache-Control:no-store', 'Cache-Control:private',
        'Expires:Thu, 01 Jan 2027 00:00:00 GMT', 'Vary:Origin',
        'Link:</x>', 'Location:/elsewhere', 'Refresh:5',
        'WWW-Authenticate:OAuth "Facebook Platform"', 'Accept-Ranges:bytes',
        'X-Accel-Limit-Rate:10', 'X-Accel-Buffering:no', 'X-Accel-Charset:x',
        'X-Accel-Expires:100', 'Server:stale', 'Date:stale',
        'Content-Language:tlh', 'Content-Disposition:attachment', 'P3P:x';

    for my $place ('/v25.0/1', '/added/1', '/gzip/1', '/sub/1', '/keep/1',
        '/ranges/1', '/unbuf/1')
    {
        my $name    = "stale headers, $place";
        my ($never) = attempts($place, '200 pad=3000');
        my $begun   = time;
        my ($answer, @tries) = attempts($place, "$error | 200 pad=3000");

        is(scalar @tries, 2, "$name: tries");
        is(plain($answer->{head}), plain($never->{head}),
            "$name: as if there had been none");
        is($answer->{body}, $never->{body}, "$name: nor in the body");
        cmp_ok(time - $begun, '<', 10 * slow(), "$name: nor in its speed");
    }
}

# requests whose tries may differ
sub attempts {
    my ($path, $script, @headers) = @_;

    $upstream->clear;
    my $answer = $nginx->request(path => $path, method => 'GET',
        headers => ['X-Mock' => $script, 'X-Key' => ++$number, @headers]);
    return ($answer, $upstream->requests);
}

# a head without what has to differ
sub plain {
    my ($head) = @_;

    return join "\n", sort grep {
        !/^(?:Date|X-Try|X-Graph-Policy|X-Graph-Attempts|X-Added|Expires):/i
    } split /\r\n/, $head;
}

{
    my ($answer, @tries) = attempts('/added/1', '500 131016 '
        . 'header=X-Said:first | 500 131016 | 200 header=X-Said:third');

    is($answer->{status}, 200, 'add_header: accepted');
    is($answer->{headers}{'x-added'}, '500, 500, 200',
        'add_header: once, of all tries');
    # by the location, not that of the upstream
    is(() = $answer->{head} =~ /^X-Said: /mg, 2, 'add_header: both');
    is($answer->{headers}{'x-said'}, 'third, third',
        'add_header: of the last answer');
    is(() = $answer->{head} =~ /^Expires: /mg, 1, 'expires: once');
    is(join(' ', map { $_->{headers}{'x-attempt'} } @tries[1, 2]), '2 3',
        'a header of the request that tells the attempt');

    ($answer) = attempts('/added/1', '500 131016');
    is($answer->{headers}{'x-added'}, '500, 500, 500',
        'add_header always, on the last error');
}


# -- other filters

{
    my ($answer) = tried('sub_filter', 3, path => '/sub/1');
    like($answer->{body}, qr/"SUBSTITUTED\.FAKE"\}\]\}\z/, 'sub_filter');

    ($answer) = tried('gzip', 3, path => '/gzip/1', method => 'GET',
        headers => ['Accept-Encoding' => 'gzip'],
        script => "$twice | 200 pad=3000");
    is($answer->{headers}{'content-encoding'}, 'gzip', 'gzip: to the client');
    is(Compress::Zlib::memGunzip($answer->{body}),
        GraphPolicy::Graph::body_of('200 pad=3000', 1), 'gzip: its body');

    ($answer) = tried('a range', 3, path => '/ranges/1', method => 'GET',
        headers => [Range => 'bytes=2-6']);
    is($answer->{status}, 206, 'a range: of the accepted answer');
    is($answer->{body}, substr(GraphPolicy::Graph::body_of('200', 1), 2, 5),
        'a range: its bytes');

    ($answer) = tried('not modified', 3, path => '/cache/3', method => 'GET',
        headers => ['If-None-Match' => '"x"'],
        script => '500 131016 header=ETag:%22x%22 | 500 131016 '
            . '| 200 header=ETag:%22x%22');
    is($answer->{status}, 304, 'not modified: by the accepted answer');
}

{
    my $script = '500 131016 header=X-Accel-Limit-Rate:10 | 500 131016 '
        . '| 200 pad=100000';
    my $begun = time;
    my ($answer) = tried('limit_rate', 3, path => '/limit/1',
        method => 'GET', script => $script);
    my $took = time - $begun;

    is($answer->{body}, GraphPolicy::Graph::body_of('200 pad=100000', 1),
        'limit_rate: its bytes');
    cmp_ok($took, '>=', 0.9, "limit_rate: the location's");
    cmp_ok($took, '<', 12 * slow(), "limit_rate: not the first error's");
}


{
    $upstream->script("/part/$_", "200 body=$_") for qw(before after posted);

    my ($answer) = attempts('/addition/1', "$twice | 200 body=middle");
    is($answer->{status}, 200, 'addition: accepted');
    is($answer->{body}, 'beforemiddleafter', 'addition: each once');

    ($answer) = attempts('/addition/2', $twice);
    is($answer->{body}, GraphPolicy::Graph::body_of($twice, 3),
        'addition: none to the last error, as in stock nginx');
    is($answer->{headers}{'x-graph-attempts'}, 3, 'addition: attempts');

    # something to do after the answer
    $upstream->script('/part/posted', '500 131016 | 200');
    ($answer) = attempts('/posted/1', "$twice | 200");
    is($answer->{status}, 200, 'post_action: accepted');
    wait_until(sub { $upstream->count >= 4 });
    sleep 0.3;
    is(join(' ', map { $_->{uri} } $upstream->requests),
        '/posted/1 /posted/1 /posted/1 /part/posted',
        'post_action: once, after the last one');
}

{
    my $answer = $nginx->request(path => '/scgi/1', body => $large);
    is($answer->{status}, 200, 'SCGI: accepted');
    like($answer->{body}, qr/^3 same \d+$/, 'SCGI: the third, and equal');
    cmp_ok(($answer->{body} =~ /(\d+)$/)[0], '>', length $large,
        'SCGI: whole');
    is($answer->{headers}{'x-graph-attempts'}, 3, 'SCGI: attempts');
    is($answer->{headers}{'x-only'}, undef, 'SCGI: nothing stale');
}


# -- caches

{
    # what nginx answers from its cache is no error any more
    my ($answer) = tried('stale', 1, path => '/stale/1', method => 'GET',
        script => '200');
    sleep 2.1;
    ($answer) = tried('stale, an error', 1, path => '/stale/1',
        method => 'GET', script => $twice);
    is($answer->{headers}{'x-cache'}, 'STALE', 'stale, an error: the cache');
    is($answer->{status}, 200, 'stale, an error: accepted');
    is($answer->{headers}{'x-graph-policy'}, undef,
        'stale, an error: nothing was sent again');
}

{
    my ($answer) = tried('cache', 3, path => '/cache/1', method => 'GET');
    accepted('cache', $answer);
    is($answer->{headers}{'x-cache'}, 'MISS', 'cache: a miss');

    # stored when the client has its answer already
    logged('/cache/1');
    ($answer) = tried('cache, again', 0, path => '/cache/1',
        method => 'GET');
    is($answer->{headers}{'x-cache'}, 'HIT', 'cache, again: a hit');
    is($answer->{status}, 200, 'cache, again: accepted');
    is($answer->{body}, GraphPolicy::Graph::body_of('200', 1),
        'cache, again: its body');
    is($answer->{headers}{'x-graph-policy'}, undef,
        'cache, again: nothing was tried');

    ($answer) = tried('cache, an error', 3, path => '/cache/2',
        method => 'GET', script => $twice);
    is($answer->{status}, 500, 'cache, an error: delivered');
    ($answer) = tried('cache, an error, again', 3, path => '/cache/2',
        method => 'GET');
    is($answer->{status}, 200, 'cache, an error, again: it was not stored');
}

{
    # all of one page, which one request fetches
    $upstream->clear;
    my @answers = $nginx->parallel(map { {
        path => '/cache/locked', method => 'GET', timeout => 20,
        headers => ['X-Mock' => '500 131016 after=100 | 500 131016 | 200']
    } } 1 .. 8);

    is(join(' ', map { $_->{status} } @answers), join(' ', (200) x 8),
        'cache lock: all accepted');
    is($upstream->count, 3, 'cache lock: the tries of one');
}

{
    my $file = $nginx->dir . '/html/store/1';

    my ($answer) = tried('store, an error', 3, path => '/store/1',
        method => 'GET', script => $twice);
    is($answer->{status}, 500, 'store, an error: delivered');
    ok(!-e $file, 'store, an error: not stored');

    ($answer) = tried('store', 3, path => '/store/1', method => 'GET');
    accepted('store', $answer);
    # done when the client has its answer already
    wait_until(sub { -e $file });
    is(slurp($file), GraphPolicy::Graph::body_of('200', 1), 'store: stored');
}


# -- error pages

{
    my ($answer) = tried('a page, not intercepted', 3, path => '/page/1',
        script => $twice);
    is($answer->{status}, 500, 'a page, not intercepted: the error');
    is($answer->{body}, GraphPolicy::Graph::body_of($twice, 3),
        "a page, not intercepted: the upstream's body");

    # of a place where the policy is off, and of one where it is on
    for my $path ('/caught/1', '/caught/2', '/caughthere/1', '/caughthere/2') {
        my $name = "a page, intercepted, $path";

        ($answer) = tried($name, 1, path => $path, method => 'GET');
        is($answer->{status}, 500, "$name: the status");
        is($answer->{body}, "a page of nginx\n", "$name: the page");
        is($answer->{headers}{'x-graph-policy'}, undef, "$name: no policy");
        is(scalar(grep { /\[error\].*proxy_intercept_errors/ } split /\n/,
            $nginx->log), 1, "$name: said once");
    }

    ($answer) = tried('another page', 3, path => '/uncaught/1');
    accepted('another page', $answer);
}


# -- other phases

{
    $second->clear;
    my ($answer) = tried('mirror', 3, path => '/mirror/1', body => 'copied');
    accepted('mirror', $answer);
    is($second->wait_for(1), 1, 'mirror: one copy');
    is(($second->requests)[0]{body}, 'copied', 'mirror: with the body');
    sleep 0.2;
    is($second->count, 1, 'mirror: no other');

    # a copy that is answered while the request waits
    $second->clear;
    $second->script('/mirrorwaits/1', '200 after=200');
    ($answer) = tried('mirror in a wait', 2, path => '/mirrorwaits/1',
        body => $large, script => '500 131016 | 200');
    accepted('mirror in a wait', $answer, 2);
    is($second->count, 1, 'mirror in a wait: one copy');

    $second->clear;
    ($answer) = tried('auth_request', 3, path => '/asked/1');
    accepted('auth_request', $answer);
    is($second->count, 1, 'auth_request: asked once');

    $second->clear;
    ($answer) = tried('auth_request, an error', 0, path => '/refused/1');
    is($answer->{status}, 500, 'auth_request, an error: as in stock nginx');
    is($second->count, 1, 'auth_request, an error: never sent again');

    ($answer) = tried('limit_req', 3, path => '/limited/1');
    accepted('limit_req', $answer);
    ($answer) = tried('limit_req, then', 0, path => '/limited/1');
    is($answer->{status}, 503, 'limit_req: it is in force');
}

{
    # subrequests pass uninspected, and wait for nothing
    $upstream->clear;
    $upstream->script("/part/$_", "500 131016 trace=Part$_ after=50 | 200")
        for 1 .. 3;

    my $answer = $nginx->request(path => '/includes', method => 'GET');
    is($answer->{error}, undef, 'includes: complete');
    is($answer->{status}, 200, 'includes: the page');
    is($answer->{body}, join('', map { GraphPolicy::Graph::body_of(
        "500 131016 trace=Part$_", 1) . ';' } 1 .. 3),
        'includes: each in its place');
    is($upstream->count, 3, 'includes: each tried once');

    # a page that itself comes at the second time
    $upstream->clear;
    $upstream->script("/part/$_", "200 body=part-$_ after=50") for 1 .. 3;
    my $page = join '', map { qq(<!--#include virtual="/part/$_" -->;) } 1 .. 3;
    $page =~ s/([^\w])/sprintf '%%%02x', ord $1/ge;

    my ($got) = attempts('/ssi/1', "500 131016 | 200 body=$page");
    is($got->{status}, 200, 'a page with includes: accepted');
    is($got->{body}, 'part-1;part-2;part-3;', 'a page with includes: whole');
    is($got->{headers}{'x-graph-attempts'}, 2, 'a page with includes: attempts');
    is($upstream->count, 5, 'a page with includes: tries');
}


# -- afterwards

{
    $nginx->stop('QUIT');
    is(join("\n", $nginx->complaints), '', 'nothing is wrong in the log');
    unlike($nginx->log, qr/open socket|worker process \d+ exited on signal/,
        'nothing is left');
}

done_testing();
