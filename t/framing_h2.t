#!/usr/bin/perl

# What t/framing.t can't do with Test::Nginx's client: HTTP/2, answers that are
# watched while they come, and those that break off.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use Time::HiRes qw(sleep);

use GraphPolicy qw(wait_until slurp spew);
use GraphPolicy::Graph qw(CLOSE RESET with_length chunked);

my $json  = "Content-Type: application/json\r\n";
my $error = slurp("$FindBin::Bin/samples/e131047_sync_400.json");
my $tags  = 'context-limited 131047 - window-expired conversation - passed';
my $ok    = '{"messages":[{"id":"wamid.FAKE"}]}';
my $media = pack 'N*', map { $_ * 2654435761 % 2**32 } 1 .. 100_000;
my $large = '{"error":{"message":"' . 'x' x 100_000 . '","code":131047}}';

my $temp = File::Temp->newdir('framing.XXXXXX', TMPDIR => 1);
my $go   = "$temp/go";

# the upstream goes on when the client has seen what it waits for
my $wait = sub { -e $go };

sub head {
    my ($status, $more) = @_;
    return "HTTP/1.1 $status Mock\r\n$json$more\r\n";
}

my ($half, $rest) = (substr($media, 0, 200_000), substr $media, 200_000);

my $upstream = GraphPolicy::Graph->start(
    length  => sub { answer($_[0], with_length(400, $json, $error)) },
    chunked => sub { answer($_[0], chunked(400, $json, $error, 9)) },
    closed  => sub { answer($_[0], head(400, '') . $error, CLOSE) },
    bytes   => sub {
        answer($_[0], unpack '(a1)*', with_length(400, $json, $error));
    },
    window  => sub {
        answer($_[0], with_length(400, $json, '{"error":{"code":131047}}'))
    },
    large   => sub { answer($_[0], chunked(400, $json, $large, 5000)) },
    own => sub {
        my ($n) = $_[0]{uri} =~ /(\d+)$/;
        return (\(0.01 * ($n % 5)), chunked(400, $json, own($n), 50));
    },
    empty   => sub { with_length(503, '', '') },
    ok      => sub {
        answer($_[0], with_length(200,
            "${json}X-Graph-Policy: theirs\r\n", $ok));
    },
    media => sub { answer($_[0], chunked(200, $json, $media, 30_000)) },
    echo  => sub {
        with_length(200, '', join '', $_[0]{head} =~ /^(Accept-Encoding:.*)/mgi)
    },
    size => sub { with_length(400, $json, '{"error":{"code":131047,'
        . '"message":"' . length($_[0]{body}) . '"}}') },

    # in two parts
    'ok-length' => sub {
        (head(200, 'Content-Length: ' . length($media) . "\r\n") . $half,
            $wait, $rest)
    },
    'ok-chunked' => sub {
        my ($head, @chunks) = chunked(200, $json, $media, 50_000);
        ($head, @chunks[0 .. 3], $wait, @chunks[4 .. $#chunks]);
    },
    'ok-closed' => sub { (head(200, '') . $half, $wait, $rest, CLOSE) },
    'ok-event'  => sub {
        (head(200, "Transfer-Encoding: chunked\r\n"),
            "7\r\nfirst, \r\n", $wait, "6\r\nsecond\r\n0\r\n\r\n");
    },
    'error-length' => sub {
        (head(400, 'Content-Length: ' . length($large) . "\r\n")
            . substr($large, 0, 70_000), $wait, substr $large, 70_000);
    },
    'error-chunked' => sub {
        my ($head, @chunks) = chunked(400, $json, $large, 10_000);
        ($head, @chunks[0 .. 6], $wait, @chunks[7 .. $#chunks]);
    },
    'error-closed' => sub {
        (head(400, '') . substr($large, 0, 70_000), $wait,
            substr($large, 70_000), CLOSE);
    },

    # never complete
    'cut-length'  => sub { (cut(400, 'Content-Length: 1000'), \0.05, CLOSE) },
    'cut-head'    => sub { (head(400, "Content-Length: 9\r\n"), \0.05, CLOSE) },
    'cut-chunked' => sub { (cut_chunk(400), \0.05, CLOSE) },
    'cut-closed'  => sub { (cut(400, 'X-Closed: yes'), \0.05, CLOSE) },
    'cut-reset'   => sub {
        (cut(400, 'Content-Length: 1000'), \(0.2 * GraphPolicy::slow()), RESET);
    },
    'cut-stalled' => sub { (cut(400, 'Content-Length: 1000'), \10, CLOSE) },
    'cut-ok'      => sub { (cut(200, 'Content-Length: 1000'), \0.05, CLOSE) },
    'cut-ok-chunked' => sub { (cut_chunk(200), \0.05, CLOSE) },
    held => sub { (cut(400, 'Content-Length: 1000'), $wait, 'x' x 1000) },
);

# the code is there, the end of the error isn't
my $cut = '{"error":{"code":190,"error_subcode":463,"message":"This is cut';

sub cut {
    my ($status, $header) = @_;
    return head($status, "$header\r\n")
        . '{"error":{"code":190,"error_subcode":463,"message":"This is cut';
}

sub cut_chunk {
    my ($status) = @_;
    my $body = cut($status, '') =~ s/.*\r\n\r\n//sr;
    return head($status, "Transfer-Encoding: chunked\r\n")
        . sprintf "%x\r\n%s\r\n", length $body, $body;
}

sub own {
    my ($n) = @_;
    return '{"error":{"message":"' . 'x' x (10 * $n) . '","code":'
        . (5000 + $n) . '}}';
}

sub answer {
    my ($request, @pieces) = @_;

    return @pieces if $request->{method} ne 'HEAD';

    my $head = join '', grep { !ref } @pieces;
    return ($head =~ s/\r\n\r\n.*/\r\n\r\n/sr, grep { ref } @pieces);
}

# the places under which every answer can be had
my $places = join '', map {
    my ($place, $directives) = @$_;
    <<"END"
        location $place/ {
            $directives
            proxy_pass http://127.0.0.1:${\$upstream->port}/;

            location $place/cut-stalled/ {
                proxy_read_timeout 500ms;
                proxy_pass http://127.0.0.1:${\$upstream->port}/cut-stalled/;
            }
        }
END
} ['',                ''],
  ['/unbuffered',     'proxy_buffering off;'],
  ['/off',            'graph_policy off;'],
  ['/off/unbuffered', 'graph_policy off; proxy_buffering off;'],
  ['/wide',           'graph_policy_accept_encoding off;'],
  ['/talk',           'graph_policy_conversation on;'];

my $http = <<"END";
    graph_policy_zone zone=z:1m;
    client_max_body_size 10m;

    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT2% http2;

        graph_policy zone=z;
        proxy_http_version 1.1;
        proxy_read_timeout 20s;

$places
    }
END

my $nginx = GraphPolicy::Nginx->start(http => $http);


# -- HTTP/2 -------------------------------------------------------------------

# who a message is to is read of long ones too, with a length and without
for my $size (100, 20_000, 60_000) {
    for my $without (0, 1) {
        my $name = "HTTP/2, a message of $size characters, "
            . ($without ? 'no length' : 'its length');
        my $body = sprintf '{"type":"text","text":{"body":"%s"},"to":"%d"}',
            'x' x $size, 15_550_000_000 + $size + $without;
        my @send = ('/talk/window/v25.0/1001/messages', '-d', $body,
            map { ('-H', $_) } 'Content-Type: application/json',
                'Authorization: Bearer a',
                $without ? 'Transfer-Encoding: chunked' : ());

        is(h2(@send)->{headers}{'x-graph-policy'}, 'passed', "$name: an error");
        is(h2(@send)->{headers}{'x-graph-policy'}, 'blocked',
            "$name: the next is blocked");
    }
}

for my $name (qw(length chunked closed bytes)) {
    for my $place ('', '/unbuffered') {
        my $answer = h2("$place/$name/v25.0/1001/messages", '-d', '{}');

        is($answer->{status}, 400, "HTTP/2, $place/$name: the status");
        is(tags($answer), $tags, 'its headers');
        is($answer->{body}, $error, 'its body');
    }
}

{
    my $answer = h2('/chunked/v25.0/1001/messages', '-I');
    is($answer->{status}, 400, 'HTTP/2, HEAD: the status');
    is(tags($answer), 'unclassified - - - - - passed', 'its headers');

    $answer = h2('/length/x', '-I');
    is($answer->{headers}{'content-length'}, length $error, 'its length');

    $answer = h2('/large/x');
    is(tags($answer), 'unclassified - - - - - passed',
        'HTTP/2, larger than the buffer: the headers');
    ok($answer->{body} eq $large, 'its body');

    $answer = h2('/empty/x');
    is($answer->{status}, 503, 'HTTP/2, no body: the status');
    is(tags($answer), 'unclassified - - - - - passed', 'its headers');
    is($answer->{body}, '', 'its body');

    $answer = h2('/ok/v25.0/1001/messages', '-d', '{}');
    is($answer->{status}, 200, 'HTTP/2, accepted: the status');
    is(tags($answer), '- - - - - - theirs', 'its headers');
    is($answer->{body}, $ok, 'its body');

    $answer = h2('/media/x');
    is(tags($answer), '- - - - - - -', 'HTTP/2, a large file: the headers');
    ok($answer->{body} eq $media, 'its body');

    spew("$temp/upload", 'x' x 1_500_000);
    $answer = h2('/size/v25.0/1001/messages', '--data-binary',
        "\@$temp/upload");
    is(tags($answer), $tags, 'HTTP/2, a large request: the headers');
    like($answer->{body}, qr/"1500000"/, 'it went out whole');
}

# many on one connection, at once; each has a code and a length of its own
{
    my @names = map { $_ % 4 ? "own/$_" : "ok/$_" } 1 .. 40;
    my $said  = run('nghttp', '-v', '-n', map {
        "http://127.0.0.1:$nginx->{port2}/$_"
    } @names);

    my (%name, %got, $stream);

    for (split /\n/, $said) {
        if (/send HEADERS frame .*stream_id=(\d+)>/) {
            $stream = $1;
        } elsif (m{^\s+:path: /(\S+)}) {
            $name{$stream} = $1;
        } elsif (/recv \(stream_id=(\d+)\) (x-graph\S+|:status): (\S+)/) {
            $got{$1}{$2} = $3;
        } elsif (/recv DATA frame <length=(\d+),.*stream_id=(\d+)>/) {
            $got{$2}{length} += $1;
        }
    }

    my %expected = map { my ($what, $n) = split m{/}; ($_ => $what eq 'ok' ? {
        ':status'        => 200,
        'x-graph-policy' => 'theirs',
        length           => length $ok,
    } : {
        ':status'                => 400,
        'x-graph-error-category' => 'unclassified',
        'x-graph-error-code'     => 5000 + $n,
        'x-graph-policy'         => 'passed',
        length                   => length own($n),
    }) } @names;

    is_deeply({ map { ($name{$_} => $got{$_}) } keys %name }, \%expected,
        'HTTP/2, forty at once: each gets its own');
}

# what the upstream is asked for
for (
    ['gzip, deflate, br, zstd',     qr/gzip/,     qr/br|zstd/],
    ['br',                          qr/identity/, qr/br/],
    ['br;q=1.0, gzip;q=0.5, *;q=0', qr/gzip/,     qr/br/],
) {
    my ($accept, $like, $unlike) = @$_;

    my $answer = h2('/echo/x', '-H', "Accept-Encoding: $accept");
    like($answer->{body}, qr/\AAccept-Encoding:.*$like/i,
        "HTTP/2, Accept-Encoding: $accept");
    unlike($answer->{body}, $unlike, 'is narrowed');

    $answer = h2('/wide/echo/x', '-H', "Accept-Encoding: $accept");
    is($answer->{body}, "accept-encoding: $accept\r", 'unless that is off');
}

is(h2('/echo/x')->{body}, '', 'HTTP/2, no Accept-Encoding: none is added');


# -- 2xx: whatever the upstream has sent is passed on -------------------------

for my $name (qw(ok-length ok-chunked ok-closed)) {
    for my $place ('', '/unbuffered') {
        for my $version ('1.1', '1.0') {
            my ($early, $answer) = watch("$place/$name/x", 100_000,
                version => $version);

            ok($early, "$place/$name, HTTP/$version: the first part comes"
                . ' before the second is sent');
            is($answer->{error}, undef, 'the answer is complete');
            ok($answer->{body} eq $media, 'the body is what was sent');
            is(tags($answer), '- - - - - - -', 'there is no header');
        }
    }
}

{
    my ($early, $answer) = watch('/unbuffered/ok-event/x', qr/first, /);
    ok($early, 'unbuffered: the first few bytes come at once');
    is($answer->{body}, 'first, second', 'the others come when they come');

    unlink $go;
    my $pid = open my $curl, '-|', 'curl', '-sN', '--http2-prior-knowledge',
        '--max-time', 20 * GraphPolicy::slow(),
        "http://127.0.0.1:$nginx->{port2}/unbuffered/ok-event/x"
        or die "curl: $!";
    my $in = '';
    wait_until(sub {
        my $ready = '';
        vec($ready, fileno $curl, 1) = 1;
        sysread $curl, $in, 100, length $in
            if select($ready, undef, undef, 0.05) > 0;
        return $in =~ /first, /;
    });
    is($in, 'first, ', 'HTTP/2, unbuffered: the first few bytes come at once');
    spew($go, '');
    local $/;
    is($in . <$curl>, 'first, second', 'the others come when they come');
    close $curl;
}


# -- errors that are too large to be read -------------------------------------

for my $name (qw(error-length error-chunked error-closed)) {
    for my $place ('', '/unbuffered') {
        my ($early, $answer) = watch("$place/$name/x", 60_000);

        ok($early, "$place/$name: it comes before it is complete");
        is(tags($answer), 'unclassified - - - - - passed', 'its headers');
        is($answer->{error}, undef, 'it is complete at last');
        ok($answer->{body} eq $large, 'its body');
    }
}


# -- answers that break off ---------------------------------------------------

for my $name (qw(cut-length cut-head cut-chunked cut-closed cut-reset
    cut-stalled))
{
    for my $place ('', '/unbuffered') {
        my %request = (token => 'a');
        my $stock   = $nginx->request(%request,
            path => "/off$place/$name/v25.0/1001/messages");
        my $answer = $nginx->request(%request,
            path => "$place/$name/v25.0/1001/messages");

        is($answer->{status}, 400, "$place/$name: the status");
        is($answer->{body}, $stock->{body}, 'what came of the body');
        is($answer->{error}, $stock->{error}, 'and the end are as without');
        is(tags($answer), 'unclassified - - - - - passed', 'the headers');

        is($answer->{body}, $cut, 'the body is all that came')
            if $place || $name =~ /length|chunked|closed/
                and $name ne 'cut-head';
    }
}

for my $name (qw(cut-ok cut-ok-chunked)) {
    my $stock  = $nginx->request(path => "/off/$name/v25.0/1001/messages");
    my $answer = $nginx->request(path => "/$name/v25.0/1001/messages");

    is($answer->{status}, 200, "$name: the status");
    is($answer->{body}, $cut, 'what came of the body');
    is($answer->{error}, 'closed', 'the end');
    is(without_date($answer), without_date($stock), 'the head');
}

# it was none of these that could have told
my $answer = $nginx->request(path => '/ok/v25.0/1001/messages', token => 'a');
is($answer->{status}, 200, 'what breaks off blocks nothing');

# a client that leaves while an error is read
{
    unlink $go;
    my @calls = map {
        $nginx->start_request(path => '/held/v25.0/1001/messages',
            token => 'b')
    } 1 .. 5;
    sleep 0.3;
    GraphPolicy::abort_request($_) for @calls;

    my $answer = $nginx->request(path => '/length/v25.0/1001/messages',
        token => 'b');
    is(tags($answer), $tags, 'when clients have left, others are served');
    spew($go, '');
}

is_deeply([$nginx->complaints], [], 'the log has nothing bad');
$nginx->stop('QUIT');
is_deeply([$nginx->complaints], [], 'nor does the end add to it');

done_testing();


# -- helpers ------------------------------------------------------------------

# category, code, subcode, reason, scope, Retry-After and X-Graph-Policy
sub tags {
    my ($answer) = @_;

    return join ' ', map { $answer->{headers}{$_} // '-' }
        (map { "x-graph-error-$_" } qw(category code subcode reason scope)),
        qw(retry-after x-graph-policy);
}

sub without_date {
    my ($answer) = @_;
    return $answer->{head} =~ s/^Date:.*\r\n//mr;
}

sub parse {
    my ($head, $body) = @_;

    my ($line, @lines) = split /\r\n/, $head;
    my %headers;

    for (@lines) {
        my ($name, $value) = split /:\s*/, $_, 2;
        die "not in lower case: $name\n" if $name ne lc $name;
        $headers{$name} = exists $headers{$name}
            ? "$headers{$name}, $value" : $value;
    }

    my ($status) = $line =~ m{^HTTP/2 (\d+)} or die "no HTTP/2: $line\n";
    return { status => $status, headers => \%headers, body => $body };
}

sub run {
    my (@command) = @_;

    open my $out, '-|', @command or die "$command[0]: $!";
    local $/;
    return <$out> // '';
}

sub h2 {
    my ($path, @options) = @_;

    my $status = system('curl', '-s', '--http2-prior-knowledge',
        '--max-time', 20 * GraphPolicy::slow(), '-D', "$temp/head",
        '-o', "$temp/body", @options,
        "http://127.0.0.1:$nginx->{port2}$path");
    die "curl $path: $status\n" if $status;

    return parse(slurp("$temp/head"), slurp("$temp/body"));
}

# Whether so much of the answer (bytes, or a pattern) comes while the upstream
# still waits, and the complete answer.
sub watch {
    my ($path, $much, %request) = @_;

    unlink $go;

    my $call = $nginx->start_request(path => $path, %request);

    my $early = wait_until(sub {
        my $ready = '';
        vec($ready, fileno $call->{socket}, 1) = 1;
        GraphPolicy::step_in($call)
            if select($ready, undef, undef, 0.05) > 0;
        return 1 if !$call->{socket};
        return ref $much ? $call->{in} =~ $much : length $call->{in} >= $much;
    }, 5);
    $early &&= $call->{socket};

    spew($go, '');

    my ($answer) = GraphPolicy::finish_requests($call);
    return ($early, $answer);
}
