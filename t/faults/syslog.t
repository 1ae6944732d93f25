#!/usr/bin/perl

# The syslog that events go to is gone, and comes back, under load: no send
# waits for it or is lost, the log says so now and then, and events go on as
# soon as somebody listens again.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Temp ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Socket ();
use Time::HiRes qw(sleep time);

use GraphPolicy qw(slow slurp spew wait_until);
use GraphPolicy::Ends qw(passing);

my $temp  = File::Temp->newdir('syslog.XXXXXX', TMPDIR => 1);
my $graph = GraphPolicy::Graph->start;

chmod 0755, "$temp" or die "chmod: $!";


# -- who listens --------------------------------------------------------------

# A process that appends what it gets to a file, one event a line.
sub listen_at {
    my ($of) = @_;

    my $socket;

    if ($of->{path}) {
        $socket = IO::Socket::UNIX->new(Type => Socket::SOCK_DGRAM(),
            Local => $of->{path}) or die "syslog: $!";
        chmod 0666, $of->{path} or die "chmod: $!";
    } else {
        $socket = IO::Socket::INET->new(Proto => 'udp',
            LocalAddr => '127.0.0.1', LocalPort => $of->{port})
            or die "syslog: $!";
    }
    $socket->setsockopt(Socket::SOL_SOCKET, Socket::SO_RCVBUF, 4_000_000);

    my $pid = fork // die "fork: $!";

    if (!$pid) {
        # the load goes on as long as anybody has its pipe
        POSIX::close($_) for grep { $_ != fileno $socket } 3 .. 255;
        open my $file, '>>', "$temp/events" or POSIX::_exit(1);
        while (defined recv $socket, my $message, 65536, 0) {
            syswrite $file, "$message\n";
        }
        POSIX::_exit(0);
    }

    GraphPolicy::adopt($pid);
    return $pid;
}

sub go_away {
    my ($of, $pid) = @_;
    GraphPolicy::end_process($pid, 'KILL');
    unlink $of->{path} if $of->{path};
}

# the phones whose states were told of, and messages that aren't whole
sub told {
    my (%phones, @odd);

    for my $line (split /\n/, slurp("$temp/events")) {
        my ($text) = $line =~ /^<\d+>.*? \w+: (\{.*\})\z/;
        my $event  = defined $text && eval { JSON::PP::decode_json($text) };

        push @odd, $line if !$event;
        $phones{ $event->{key} }++ if $event && $event->{event} eq 'set';
    }

    return (\%phones, @odd);
}


# -- it goes and comes --------------------------------------------------------

my ($port) = GraphPolicy::free_ports(1);

for my $of ({ name => 'UDP', port => $port, server => "127.0.0.1:$port" },
    { name => 'a UNIX socket', path => "$temp/log", server => "unix:$temp/log" })
{
    my $name = $of->{name};

    spew("$temp/events", '');
    my $listener = listen_at($of);
    my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 2,
        log_level => 'error', http => <<"END");
graph_policy_zone      zone=z:8m;
graph_policy_event_log syslog:server=$of->{server},tag=events;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy      zone=z;
    graph_policy_hold 1h;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END

    # each error sets a state of its own, which is an event
    my @phones;
    my $ends = GraphPolicy::Ends->new(nginx => $nginx, graph => $graph,
        kinds => {
            open => passing('/77/messages'),
            errs => { right => qr/^400 passed 1\z/, send => sub {
                my ($name, $number) = @_;
                (path => "/$number/messages", token => $number,
                    mock => '400 133010') },
                each => sub {
                    my ($answer) = @_;
                    return $answer->{time} > 2 * slow() ? 'slow' : undef;
                } },
        });

    # how many sends of a phase set a state, and how many of them were told of
    my $phase = sub {
        my ($what, $happens) = @_;

        spew("$temp/events", '');
        my $got  = $ends->while("$name, $what", $happens);
        my $sent = $got->{errs}{'400 passed 1'} // 0;
        my ($told, @odd);

        wait_until(sub { ($told, @odd) = told(); keys %$told >= $sent }, 1);
        is_deeply(\@odd, [], "$name, $what: each message is whole");
        is_deeply([grep { $told->{$_} > 1 } keys %$told], [],
            "$name, $what: no event comes twice");
        return ($sent, scalar keys %$told);
    };

    my ($sent, $told) = $phase->('somebody listens', sub { sleep 0.5 });

    # a UNIX socket has room for ten, and then nobody waits for it
    is($told, $sent, "$name: each change is told") if !$of->{path};
    cmp_ok($told, '>', $sent / 4, "$name: changes are told");

    my $before = $nginx->log;

    ($sent, $told) = $phase->('nobody listens', sub {
        go_away($of, $listener);
        sleep 1;
    });
    cmp_ok($told, '<', $sent, "$name: some are lost");
    like(substr($nginx->log, length $before),
        qr/\[alert\][^\n]*graph_policy_event_log "syslog" lost an event/,
        "$name: which the log says");
    cmp_ok(scalar(() = $nginx->log =~ /lost an event/g), '<', 20,
        "$name: but not of each");

    ($sent, $told) = $phase->('somebody listens again', sub {
        $listener = listen_at($of);
        sleep 1;
    });
    cmp_ok($told, '>', 0, "$name: and then they are told again");

    ($sent, $told) = $phase->('and stays', sub { sleep 0.5 });
    is($told, $sent, "$name: each change is told again") if !$of->{path};
    cmp_ok($told, '>', $sent / 4, "$name: changes are told again");

    is_deeply([grep { !/lost an event|syslog|send\(\)|connect\(\)/ }
        $nginx->complaints], [], "$name: nobody complains of anything else");
    $nginx->stop;
    go_away($of, $listener);
}

done_testing();
