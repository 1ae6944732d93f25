#!/usr/bin/perl

# An engine that lies: whatever it answers, sends pass as ever, the worker stays
# within its memory and its time, and nothing is learnt.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(wait_until slow free_ports slurp);
use GraphPolicy::Fleet;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

# a server that answers as Redis would, but for one command
sub liar {
    my ($port, $command, $lie) = @_;

    # a process of the one before may hold the port yet
    my $listen = wait_until(sub {
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port,
            Listen => 64, ReuseAddr => 1);
    }) or die "listen: $!";
    my $parent = $$;
    my $pid = fork // die "fork: $!";

    if ($pid) {
        GraphPolicy::adopt($pid);
        return $pid;
    }

    $SIG{CHLD} = 'IGNORE';
    alarm 30 * slow();

    while (my $socket = $listen->accept) {
        next if fork;
        close $listen;
        alarm 10 * slow();
        serve($socket, $command, $lie);
        POSIX::_exit(0);
    }
    POSIX::_exit(0);
}

sub serve {
    my ($socket, $command, $lie) = @_;

    my ($count, $id) = (0, 0);
    binmode $socket;
    $socket->autoflush;

    while (defined(my $line = <$socket>)) {
        my ($n) = $line =~ /^\*(\d+)/ or return;
        my @words;

        for (1 .. $n) {
            my ($len) = (<$socket> // return) =~ /^\$(\d+)/;
            my $word = '';
            read $socket, $word, $len if $len;
            read $socket, my $end, 2;
            push @words, $word;
        }

        my $is = $words[0];

        if ($is eq $command || $command eq '*') {
            $lie->($socket);
            next;
        }

        my $now = int(time * 1000);

        print $socket $is eq 'TIME'
                ? "*2\r\n\$10\r\n" . int(time) . "\r\n\$1\r\n0\r\n"
            : $is eq 'HINCRBY' ? ':' . ++$count . "\r\n"
            : $is eq 'XADD' ? '$' . length("$now-" . ++$id) . "\r\n$now-$id\r\n"
            : $is eq 'HSCAN' ? "*2\r\n\$1\r\n0\r\n*0\r\n"
            : $is eq 'XREAD' ? do { sleep 1; "*-1\r\n" }
            : ":1\r\n";
    }
}

my $endless = sub {
    my ($what) = @_;
    return sub {
        my ($socket) = @_;
        my $end = time + 2;
        while (time < $end) {
            print $socket $what or return;
        }
    };
};

my $port = free_ports(1);

my @lies = (
    ['answers that are no answers', '*', sub { $_[0]->print("hello\r\n") }],
    ['HTTP', '*', sub { $_[0]->print("HTTP/1.1 400 Bad Request\r\n\r\n") }],
    ['binary', '*', sub { $_[0]->print(join '', map chr rand 256, 1 .. 5000) }],
    ['RESP3', 'TIME', sub { $_[0]->print("%1\r\n+a\r\n+b\r\n") }],
    ['pushes', 'HSET', sub { $_[0]->print(">2\r\n+a\r\n+b\r\n") }],
    ['eight levels', 'XREAD', sub { $_[0]->print("*1\r\n" x 8) }],
    ['a hundred levels', 'XREAD', sub { $_[0]->print("*1\r\n" x 100) }],
    ['5000 elements', 'HSCAN', sub { $_[0]->print("*5000\r\n") }],
    ['2^31 - 1 elements', 'XREAD', sub { $_[0]->print("*2147483647\r\n") }],
    ['a string of 512m', 'XREAD', sub { $_[0]->print("\$536870912\r\n",
        'x' x 65536) }],
    ['a string without an end', 'XREAD', $endless->('x' x 65536)],
    ['a line without an end', 'TIME', $endless->('+' . 'x' x 65536)],
    ['answers without an end', 'XREAD', $endless->("*-1\r\n" x 5000)],
    ['empty arrays without an end', 'HSCAN', $endless->("*4096\r\n"
        . "*0\r\n" x 4096)],
    ['half an answer', 'XREAD', sub { $_[0]->print("*1\r\n*2\r\n\$3\r\nab");
        $_[0]->shutdown(1) }],
    ['no time', 'TIME', sub { $_[0]->print("*2\r\n\$1\r\nx\r\n\$1\r\ny\r\n") }],
    ['a time of 2^63 - 1', 'TIME', sub {
        $_[0]->print("*2\r\n\$19\r\n9223372036854775807\r\n\$1\r\n0\r\n") }],
    ['counts that stay', 'HINCRBY', sub { $_[0]->print(":1\r\n") }],
    ['counts below none', 'HINCRBY', sub {
        $_[0]->print(":-9223372036854775808\r\n") }],
    ['ids that are none', 'XADD', sub { $_[0]->print("\$3\r\nabc\r\n") }],
    ['ids that are too long', 'XADD', sub {
        $_[0]->print("\$60\r\n" . '1' x 60 . "\r\n") }],
    ['cursors for ever', 'HSCAN', sub {
        $_[0]->print("*2\r\n\$1\r\n7\r\n*2\r\n\$1\r\nf\r\n\$1\r\nv\r\n") }],
    ['fields without values', 'HSCAN', sub {
        $_[0]->print("*2\r\n\$1\r\n0\r\n*1\r\n\$1\r\nf\r\n") }],
    ['entries out of shape', 'XREAD', sub {
        $_[0]->print("*1\r\n*2\r\n\$1\r\ns\r\n*3\r\n+a\r\n*0\r\n*1\r\n*-1\r\n") }],
    ['silence', 'TIME', sub { }],
    ['a place that is the same', 'HINCRBY', sub {
        $_[0]->print("-MOVED 1 :$port\r\n") }],
    ['places that are none', 'HINCRBY', sub {
        $_[0]->print("-MOVED 1 no.such.host.invalid:6379\r\n") }],
    ['a place to read at alone', 'XREAD', sub {
        $_[0]->print("-MOVED 1 127.0.0.1:$port\r\n") }],
    ['errors', '*', sub { $_[0]->print("-ERR \x{1b}[31m" . 'x' x 900 . "\r\n") }],
);

my $fleet = GraphPolicy::Fleet->start(nodes => 1, alone => 1,
    hold => '1h max=1h', server => "server=127.0.0.1:$port",
    sync => 'timeout=300ms');

$fleet->send(0, '/1/messages', '400 131042');

my ($worker) = $fleet->node(0)->workers;

sub resident {
    my ($kb) = slurp("/proc/$worker/status") =~ /^VmRSS:\s+(\d+)/m;
    return $kb // 0;
}

my $before = resident();

for (@lies) {
    my ($name, $command, $lie) = @$_;

    my $pid = liar($port, $command, $lie);
    my $load = $fleet->load;
    my $largest = 0;

    for (1 .. 12) {
        sleep 0.1;
        my $now = resident();
        $largest = $now if $now > $largest;
    }

    $fleet->unharmed($load, $name);
    GraphPolicy::end_process($pid, 'KILL');

    # a sanitizer keeps what was freed
    cmp_ok($largest - $before, '<', 6000 * slow(),
        sprintf '%s: the worker grows by little (%d kB)', $name,
        $largest - $before) if ($ENV{KIND} // '') ne 'asan';
}

is(($fleet->node(0)->workers)[0], $worker, 'no worker has died');
is(keys %{ $fleet->states(0) }, 1, 'nothing was learnt');
ok($fleet->blocks(0, '/1/messages'), 'nor forgotten');
unlike($fleet->node(0)->log, qr/\x1b/, 'nothing of it gets into the log raw');
cmp_ok(scalar(() = ($fleet->node(0)->log =~ /out of touch/g)), '<', 3 * @lies,
    'which has a line each time, not a thousand');

# a new word with each connection, as the process that answers is another one
my $words = GraphPolicy::Fleet->start(nodes => 1, alone => 1,
    graph => $fleet->graph, server => "server=127.0.0.1:$port");
my $babble = liar($port, '*', sub {
    $_[0]->print('-' . $$ =~ tr/0-9/A-J/r . " no\r\n") });

ok(wait_until(sub {
    $words->metric(0, 'sync_failures_total', 'why="refused"') >= 11 },
    30 * slow()), 'an engine that never says the same is asked again');
# the first may be that it wasn't there yet
is(() = ($words->node(0)->log =~ /out of touch/g), 8,
    'eight causes are in the log, then no more') or diag $words->node(0)->log;
GraphPolicy::end_process($babble, 'KILL');


# -- Sentinels that lie -------------------------------------------------------

my $asks = GraphPolicy::Fleet->start(nodes => 1, alone => 1, graph =>
    $fleet->graph, hold => '1h max=1h', server => "server=127.0.0.1:$port",
    sync => 'master=m timeout=' . slow() . 's');
my $ask = 'SENTINEL';
my $host = sub {
    my ($host, $port) = @_;
    return sub { $_[0]->print(join '', '*2', map { "\r\n\$" . length($_)
        . "\r\n$_" } $host, $port), $_[0]->print("\r\n") };
};

for (
    ['no primary', sub { $_[0]->print("*-1\r\n") }, q(knows no primary: "m")],
    ['a name that nobody may look up', $host->('no.such.host.invalid', 6379),
        q(its primary has no address: "no.such.host.invalid")],
    ['no name', $host->('', 6379), q(knows no primary: "m")],
    ['a name of 300 letters', $host->('x' x 300, 6379),
        q(knows no primary: "m")],
    ['letters that are none', $host->("\x{1b}[31m", 6379),
        q(its primary has no address: "")],
    map({ ["the port $_", $host->('127.0.0.1', $_),
        q(its primary has no address: "127.0.0.1")] } 0, 65536, -1, 'x', ''),
    ['a port alone', sub { $_[0]->print("*1\r\n\$4\r\n6379\r\n") },
        q(its primary has no address: "6379")],
    ['arrays', sub { $_[0]->print("*2\r\n*1\r\n+a\r\n*1\r\n+b\r\n") },
        q(knows no primary: "m")],
    ['itself', $host->('127.0.0.1', $port), undef],
    ['silence', sub { }, 'no answer in time'],
    ['an error', sub { $_[0]->print("-ERR no\r\n") },
        q(it refuses: "ERR no")],
)
{
    my ($name, $lie, $says) = @$_;
    my $pid = liar($port, $ask, $lie);
    my $size = length $asks->node(0)->log;

    # of a row of failures each cause is logged once
    $asks->node(0)->reload;

    ok(wait_until(sub {
        my $log = substr $asks->node(0)->log, $size;
        return $says ? $log =~ /out of touch with "127.0.0.1:$port": (?:it )?\Q$says\E/
            : $asks->sync(0)->{server} eq "127.0.0.1:$port";
    }, 4), "a Sentinel tells $name: that is told")
        or diag substr $asks->node(0)->log, $size;
    is($asks->send(0, '/2/messages')->{status}, 200,
        "a Sentinel tells $name: sends pass");
    GraphPolicy::end_process($pid, 'KILL');
}

unlike($asks->node(0)->log, qr/\x1b/, 'nothing of it gets into the log raw');
is_deeply([$asks->complaints], [], 'nothing in the log to worry about');
$asks->node(0)->stop;


# and the right one
my $redis = GraphPolicy::Redis->start(port => $port);
$fleet->{redis} = $redis;
$fleet->add;
ok($fleet->settle, 'with a real one the host is in touch');
ok($fleet->blocked(1, '/1/messages'), 'and tells what it knows');

is_deeply([$fleet->complaints], [], 'nothing in the log to worry about');

done_testing;
