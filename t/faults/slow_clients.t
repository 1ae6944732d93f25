#!/usr/bin/perl

# Clients that send and read byte by byte, that stop in the middle, and that
# leave, under load: they get what they would have got, none of their sends
# reaches the Graph API twice, none bars others from probing, and other sends
# don't notice.
#
# Environment:
#   FAULT_SECONDS  seconds of load (8)

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Socket::INET;
use Socket ();
use Time::HiRes qw(sleep time);

use GraphPolicy qw(wait_until);
use GraphPolicy::Ends qw(passing blocked flapping);

my $seconds = $ENV{FAULT_SECONDS} || 8;
my $graph   = GraphPolicy::Graph->start;
my $nginx   = GraphPolicy::Nginx->start(graph => $graph, workers => 2,
    http => <<'END');
graph_policy_zone zone=z:1m;

server {
    listen 127.0.0.1:%PORT% sndbuf=4k;

    graph_policy      zone=z;
    graph_policy_hold 1h;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /fast/ {
        graph_policy_hold 1ms max=1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /gate/ {
        graph_policy_conversation on hold=1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END

is($nginx->request(path => '/1/messages', token => 'a',
    mock => '400 131042')->{status}, 400, 'a phone is blocked');

my $ends = GraphPolicy::Ends->new(nginx => $nginx, graph => $graph, kinds => {
    open => passing('/77/messages'),
    held => blocked('/1/messages'),
    fast => flapping('/fast/78/messages'),
});


# -- slow ones ----------------------------------------------------------------

my ($slow, $pad) = (0, 200_000);

# what each kind sends, and gets
my %kinds = (
    send  => { path => '/81/messages', mock => '200',
        right => qr/^200 - 1\z/ },
    error => { path => '/82/messages', mock => '400 100 pad=20000',
        right => qr/^400 passed 1\z/ },
    large => { path => '/83/messages', mock => "200 pad=$pad",
        right => qr/^200 - 1\z/ },
    held  => { path => '/1/messages', mock => '200',
        right => qr/^400 blocked 0\z/ },
    gate  => { path => '/gate/84/messages', mock => '200',
        right => qr/^200 - 1\z/ },
    # one of them at a time
    probe => { path => '/fast/85/messages', mock => '200',
        right => qr/^(?:400 blocked 0|200 (?:-|probe) 1)\z/ },
);

sub begin {
    my ($kind, $end) = @_;

    my $of     = $kinds{$kind};
    my $name   = "other." . ++$slow;
    my $body   = '{"to":"15550001111","text":"' . 'x' x 300 . '"}';
    my $socket = IO::Socket::INET->new(Proto => 'tcp') or die "socket: $!";

    # little of an answer fits on the way
    $socket->setsockopt(Socket::SOL_SOCKET, Socket::SO_RCVBUF, 2048);
    connect $socket, Socket::pack_sockaddr_in($nginx->port,
        Socket::inet_aton('127.0.0.1')) or die "connect: $!";
    $socket->blocking(0);

    return { kind => $kind, name => $name, socket => $socket, in => '',
        end => $end, next => 0, out => "POST $of->{path} HTTP/1.1\r\n"
            . "Host: localhost\r\nConnection: close\r\n"
            . "Authorization: Bearer slow\r\nX-Mock: $of->{mock}\r\n"
            . "X-Name: $name\r\nX-Key: $name\r\n"
            . 'Content-Length: ' . length($body) . "\r\n\r\n$body" };
}

# some bytes on; false if it is over
sub step {
    my ($call) = @_;

    return if $call->{end} eq 'leaves' && length $call->{out} < 200
        || $call->{end} eq 'leaves reading' && length $call->{in} > 300;

    if (length $call->{out}) {
        my $sent = syswrite $call->{socket}, $call->{out}, 1 + int rand 60;
        substr $call->{out}, 0, $sent, '' if $sent;
        return 1;
    }

    my $size = $call->{kind} eq 'large' ? 20_000 : 500;
    my $count = sysread $call->{socket}, $call->{in}, $size, length $call->{in};

    return !defined $count && $!{EAGAIN} || $count;
}

my @done;

sub go_slowly {
    my $end = time + $seconds;
    my @open;

    while (time < $end || @open) {
        while (@open < 40 && time < $end) {
            my $kind = (sort keys %kinds)[rand keys %kinds];
            push @open, begin($kind,
                (('') x 4, 'leaves', 'leaves reading')[rand 6]);
        }
        last if time > $end + 60;

        my @now;
        for my $call (@open) {
            if (step($call)) {
                push @now, $call;
            } else {
                close delete $call->{socket};
                push @done, $call;
            }
        }
        @open = @now;
        sleep 0.01;
    }
    return scalar @open;
}

my $left;

# sends that are due are the slow ones' probes
$nginx->request(path => '/fast/85/messages', token => 'a',
    mock => '400 133010');
$ends->while('slow clients', sub { $left = go_slowly() });

is($left, 0, 'the slow ones come to an end');

my (%seen, %count, @wrong);

$seen{ $_->{headers}{'x-name'} }++ for $ends->others;

for my $call (@done) {
    my $of     = $kinds{ $call->{kind} };
    my $answer = GraphPolicy::parse_answer({ in => $call->{in} });
    my $seen   = $seen{ $call->{name} } // 0;
    my $got    = join ' ', $answer->{status} // 'none',
        $answer->{headers}{'x-graph-policy'} // '-', $seen;
    my $whole  = $answer->{status} && length($answer->{body})
        == ($answer->{headers}{'content-length'} // -1);

    $count{ $call->{end} || 'stays' }++;
    push @wrong, "$call->{name}, $call->{kind} $call->{end}: $got"
        if $seen > 1
        || $call->{end} eq 'leaves' && $seen
        || !$call->{end} && (!$whole || $got !~ $of->{right});
}

is_deeply([@wrong[0 .. ($#wrong < 9 ? $#wrong : 9)]], [],
    'each of ' . @done . ' slow ones gets its answer, and is sent once');
cmp_ok($count{$_} // 0, '>', 5, "some of them: $_")
    for 'stays', 'leaves', 'leaves reading';

# a probe whose client was slow, or left, bars nobody
my $phone = wait_until(sub {
    my $answer = $nginx->request(path => '/fast/85/messages', token => 'b',
        mock => '200');
    return ($answer->{headers}{'x-graph-policy'} // '') ne 'blocked';
}, 5);
ok($phone, 'afterwards somebody else can probe');
is_deeply([$nginx->complaints], [], 'nobody complains');

note(join ', ', map { "$_ $count{$_}" } sort keys %count);

done_testing();
