#!/usr/bin/perl

# An error whose body nginx gives up itself: after a chunk that isn't one, or
# when the upstream resets its stream. Then no filter hears of the end, and all
# that has come by then still goes to the client. What the upstream ends by
# breaking off is in t/framing_h2.t.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Compress::Gzip ();
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

use GraphPolicy qw(wait_until slurp);
use GraphPolicy::Graph qw(CLOSE with_length);

my $json  = "Content-Type: application/json\r\n";
my $ok    = '{"messages":[{"id":"wamid.FAKE"}]}';
my $error = slurp("$FindBin::Bin/samples/e131047_sync_400.json");
my $fatal = '{"error":{"code":131042,"message":"whole as it looks"}}';
my $large = '{"error":{"message":"' . 'x' x 9000 . '","code":131042}}';

IO::Compress::Gzip::gzip(\$error => \my $packed);

my $pause = 0.15 * GraphPolicy::slow();
my $flag  = 0;

# so much of an answer, and then no chunk
sub bad {
    my ($status, $body, $more) = @_;

    return ("HTTP/1.1 $status Mock\r\n$json" . ($more // '')
            . "Transfer-Encoding: chunked\r\n\r\n"
            . (length $body ? sprintf("%x\r\n%s\r\n", length $body, $body)
                            : ''),
        \$pause, "zz\r\n", \$pause, CLOSE);
}

my $upstream = GraphPolicy::Graph->start(
    error   => sub { bad(400, $error) },
    fatal   => sub { bad(400, $fatal) },
    head    => sub { bad(400, '') },
    large   => sub { bad(500, $large) },
    gzip    => sub { bad(400, $packed, "Content-Encoding: gzip\r\n") },
    after   => sub { bad(429, $error, "Retry-After: 7\r\n") },
    ok      => sub { bad(200, $ok) },
    billing => sub { with_length(400, $json, '{"error":{"code":131042}}') },
    busy    => sub {
        $_[0]{head} =~ /^Try: [01]\r$/m
            ? with_length(500, $json, '{"error":{"code":131016}}')
            : bad(400, $error);
    },
    good => sub { with_length(200, $json, $ok) },
);

my $reset = start_http2($error);

my $places = join '', map {
    my ($place, $directives) = @$_;
    <<"END"
        location $place/ {
            $directives
            proxy_pass http://127.0.0.1:${\$upstream->port}/;
        }
        location $place/grpc/ {
            $directives
            grpc_pass grpc://127.0.0.1:$reset;
        }
END
} ['',                ''],
  ['/unbuffered',     'proxy_buffering off;'],
  ['/retry',          'graph_policy_retry attempts=3 base=10ms;'],
  ['/again', 'graph_policy_retry attempts=3 base=10ms; '
    . 'proxy_set_header Try $graph_policy_attempts;'],
  ['/status',         'add_header X-Category $graph_error_category always;'],
  ['/off',            'graph_policy off;'],
  ['/off/unbuffered', 'graph_policy off; proxy_buffering off;'];

my $nginx = GraphPolicy::Nginx->start(http => <<"END");
    graph_policy_zone zone=z:1m;
    graph_policy_hold 100ms;
    graph_policy_buffer_size 4k;

    log_format told '\$uri \$status \$graph_error_category';

    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT2% http2;

        access_log %DIR%/told.log told;

        graph_policy zone=z;
        proxy_http_version 1.1;

        location /api {
            graph_policy off;
            graph_policy_api;
        }

$places
    }
END

my $counted = 0;

for my $name (qw(error fatal head gzip after grpc)) {
    for my $place ('', '/unbuffered', '/retry') {
        my %request = (token => 'a', mock => '-');
        my $stock   = $nginx->request(%request,
            path => '/off' . ($place eq '/unbuffered' ? $place : '')
                . "/$name/v25.0/1001/messages");
        my $answer = $nginx->request(%request,
            path => "$place/$name/v25.0/1001/messages");
        $counted++;

        is($answer->{status}, $name eq 'after' ? 429 : 400,
            "$place/$name: the status");
        is($answer->{body}, $stock->{body}, 'what came of the body');
        is($answer->{error}, $stock->{error}, 'and the end are as without');
        is(tags($answer), 'unclassified - - - - passed', 'it is tagged');
        is($answer->{headers}{'retry-after'},
            $name eq 'after' ? 7 : undef, 'Retry-After is the upstream\'s');
    }
}

is($nginx->request(path => '/error/v25.0/1001/messages')->{body}, $error,
    'the body is all that came');
is($nginx->request(path => '/grpc/v25.0/1001/messages')->{body}, $error,
    'that of a stream, too');
$counted += 2;

is($nginx->request(path => '/error/x')->{headers}{connection}, 'close',
    'the client is told that the connection ends');
$counted++;

# what is past the bound streams, and ends as it does without
for my $place ('', '/unbuffered') {
    my $stock  = $nginx->request(path => "/off$place/large/x");
    my $answer = $nginx->request(path => "$place/large/x");
    $counted++;

    ok($answer->{body} eq $stock->{body}, "$place/large: the body");
    is($answer->{error}, $stock->{error}, 'the end');
    is(tags($answer), 'unclassified - - - - passed', 'it is tagged');
}

# a message that Graph took isn't looked at
{
    my $stock  = $nginx->request(path => '/off/ok/v25.0/1001/messages');
    my $answer = $nginx->request(path => '/ok/v25.0/1001/messages');

    is($answer->{body}, $stock->{body}, 'accepted: the body');
    is(tags($answer), '- - - - - -', 'no header of ours');
}

# to a client of HTTP/2
for my $name (qw(error head grpc)) {
    my $said = `nghttp -v -d /dev/null 2>&1 \\
        http://127.0.0.1:$nginx->{port2}/$name/v25.0/1001/messages`;
    $counted++;

    like($said, qr/^\[.*\) :status: 400$/m, "HTTP/2, $name: the status");
    like($said, qr/^\[.*\) x-graph-error-category: unclassified$/m,
        'it is tagged');
    is(index($said, $error) > 0, $name ne 'head', 'what came of the body');
    like($said, qr/recv RST_STREAM/, 'the client is told that it is torn');
}

# a second try that breaks off is the one that is delivered
{
    my $answer = $nginx->request(path => '/again/busy/v25.0/1002/messages',
        token => 'a');
    $counted += 2;

    is(tags($answer), 'unclassified - - - - retried', 'a second try: tagged');
    is($answer->{headers}{'x-graph-attempts'}, 2, 'as such');
    is($answer->{body}, $error, 'its body');
    is($answer->{status}, 400, 'its status');
}

# a probe gives its lease back, and ends nothing
{
    my $path = 'v25.0/1003/messages';

    $nginx->request(path => "/billing/$path", token => 'a');

    my $answer;

    wait_until(sub {
        $answer = $nginx->request(path => "/error/$path", token => 'a');
        return ($answer->{headers}{'x-graph-policy'} // '') eq 'probe';
    });

    is(tags($answer), 'unclassified - - - - probe', 'a probe: it is tagged');
    is($answer->{body}, $error, 'its body');

    $answer = $nginx->request(path => "/good/$path", token => 'a');
    is($answer->{headers}{'x-graph-policy'}, 'blocked',
        'the state is as it was');
    cmp_ok($answer->{headers}{'x-graph-hold'} // 99, '<=', 1,
        'and due when its hold is over again: nobody waits for a lease');
}

# nothing was learnt of what looked whole
is($nginx->request(path => '/good/v25.0/1001/messages',
    token => 'a')->{status}, 200, 'what is torn sets no state');

# the log and the metrics know of them
is($nginx->request(path => '/status/error/v25.0/1001/messages')
    ->{headers}{'x-category'}, 'unclassified', 'variables know of it');
$counted++;

wait_until(sub {
    (() = slurp($nginx->dir . '/told.log')
        =~ m{^/(?:retry/|unbuffered/)?error/\S+ 400 unclassified$}mg) > 4;
});
is(scalar(() = slurp($nginx->dir . '/told.log')
    =~ m{^/(?:retry/|unbuffered/)?error/v25.0/1001/messages 400 (?!uncl)}mg),
    0, 'the access log has the category');

my $metrics = $nginx->request(method => 'GET', path => '/api/metrics');
my ($count) = $metrics->{body}
    =~ /^graph_policy_responses_total\{.*category="unclassified".*\} (\d+)/m;
cmp_ok($count // 0, '>=', $counted, 'each was counted');

is_deeply([$nginx->complaints], [], 'the log has nothing bad');
$nginx->stop('QUIT');
is_deeply([$nginx->complaints], [], 'nor does the end add to it');

done_testing();


# -- helpers ------------------------------------------------------------------

# category, code, subcode, reason, scope and X-Graph-Policy
sub tags {
    my ($answer) = @_;

    return join ' ', map { $answer->{headers}{$_} // '-' }
        (map { "x-graph-error-$_" } qw(category code subcode reason scope)),
        'x-graph-policy';
}

# an upstream of HTTP/2 that resets each stream in the middle of its body
sub start_http2 {
    my ($body) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 16) or die "http2: $!";
    my $parent = $$;
    my $pid    = fork // die "fork: $!";

    return $listen->sockport if $pid;

    open STDIN, '<', '/dev/null';
    $SIG{ALRM} = sub { POSIX::_exit(0) if getppid() != $parent; alarm 1 };
    $SIG{PIPE} = 'IGNORE';
    alarm 1;

    while (1) {
        my $client = $listen->accept or next;
        my $in     = '';

        # the preface, and frames up to the one that ends the request
        while ($in !~ /\r\n\r\nSM\r\n\r\n/ || !ended($in)) {
            sysread $client, $in, 65536, length $in or last;
        }

        # ":status: 400" of the static table, and a type
        my $head = "\x8c\x0f\x10\x10application/json";

        syswrite $client, frame(4, 0, 0, '') . frame(1, 4, 1, $head)
            . frame(0, 0, 1, $body);
        sleep $pause;
        syswrite $client, frame(3, 0, 1, pack 'N', 2);
        sleep $pause;
    }
}

sub frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream) . $payload;
}

sub ended {
    my ($in) = @_;

    for (my $at = 24; $at + 9 <= length $in;) {
        my ($length, $type, $flags)
            = (unpack('N', "\0" . substr $in, $at, 3),
               unpack 'CC', substr $in, $at + 3, 2);
        return 1 if $type < 2 && $flags & 1;
        $at += 9 + $length;
    }

    return 0;
}
