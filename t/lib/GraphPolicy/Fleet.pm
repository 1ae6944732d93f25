package GraphPolicy::Redis;

# An engine that hosts share states through, on loopback: redis-server, or what
# REDIS_SERVER names (valkey-server).
#
#   my $redis = GraphPolicy::Redis->start(appendonly => 'yes');
#   $redis->command('HLEN', 'graph_policy:{z}:states');
#   $redis->kill; $redis->run;

use strict;
use warnings;

use File::Temp ();
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time sleep);

use GraphPolicy ();

our $binary = $ENV{REDIS_SERVER} || 'redis-server';

# settings of redis.conf by name; port is chosen
sub start {
    my ($class, %set) = @_;

    my $self = bless { set => { save => '""', %set } }, $class;

    return $self->start_here;
}

# a directory and a port, and it runs
sub start_here {
    my ($self) = @_;

    $self->{temp} = File::Temp->newdir('graph_redis.XXXXXX', TMPDIR => 1);
    $self->{dir}  = "$self->{temp}";
    $self->{port} = delete $self->{set}{port} // GraphPolicy::free_ports(1);
    $self->{set}{port} //= $self->{port};

    return $self->run;
}

sub port { $_[0]{port} }
sub host { $_[0]{host} // '127.0.0.1' }
sub pid  { $_[0]{pid} }
sub dir  { $_[0]{dir} }

sub run {
    my ($self) = @_;

    my $pid = fork // die "fork: $!";

    if (!$pid) {
        my %set = (bind => $self->host, dir => $self->{dir}, daemonize => 'no',
            logfile => "$self->{dir}/redis.log", %{ $self->{set} });

        open STDOUT, '>', "$self->{dir}/redis.out";
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';

        # a setting may have several words
        GraphPolicy::spew("$self->{dir}/redis.conf",
            join '', (map { "$_ $set{$_}\n" } sort keys %set),
            map { "$_\n" } @{ $self->{lines} || [] });
        my @command = (@{ $self->{within} || [] }, $binary,
            "$self->{dir}/redis.conf",
            $self->{sentinel} ? '--sentinel' : ());
        exec @command or POSIX::_exit(127);
    }

    GraphPolicy::adopt($pid);
    $self->{pid} = $pid;

    GraphPolicy::wait_until(sub {
        IO::Socket::INET->new(PeerAddr => $self->host,
            PeerPort => $self->{port});
    }) or die "redis-server did not start: ",
        GraphPolicy::slurp("$self->{dir}/redis.out"),
        GraphPolicy::slurp("$self->{dir}/redis.log");

    return $self;
}

sub end { GraphPolicy::end_process($_[0]{pid}, 'KILL') }
sub signal { my ($self, $signal) = @_; kill $signal, $self->{pid} }

# a client of its own for each command, as the engine may be away; undef: none
sub command {
    my ($self, @words) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => $self->host,
        PeerPort => $self->{set}{plain} || $self->{port}, Timeout => 5)
        or return;

    if (my $auth = $self->{auth}) {
        put($socket, 'AUTH', @$auth);
        get($socket);
    }

    put($socket, @words);
    return get($socket);
}

# many at once, their answers aside
sub pipeline {
    my ($self, @commands) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{port}) or return;

    for (my $i = 0; $i < @commands; $i += 500) {
        my $end = $i + 499 > $#commands ? $#commands : $i + 499;
        put($socket, @$_) for @commands[$i .. $end];
        get($socket) for $i .. $end;
    }
}

sub put {
    my ($socket, @words) = @_;

    my $text = '*' . @words . "\r\n";
    $text .= '$' . length($_) . "\r\n$_\r\n" for @words;
    print $socket $text;
}

# an error is a reference to its text
sub get {
    my ($socket) = @_;

    my $line = <$socket>;
    return if !defined $line;
    $line =~ s/\r\n//;

    my ($type, $rest) = (substr($line, 0, 1), substr $line, 1);

    return $rest if $type eq '+' || $type eq ':';
    return \$rest if $type eq '-';

    if ($type eq '$') {
        return if $rest < 0;
        my $text = '';
        while (length $text < $rest + 2) {
            read($socket, $text, $rest + 2 - length $text, length $text)
                or return;
        }
        return substr $text, 0, $rest;
    }

    return if $rest < 0;
    return [map { scalar get($socket) } 1 .. $rest];
}


package GraphPolicy::Fleet;

# Several nginx that share the states of one zone, each an nginx of its own.
#
#   my $fleet = GraphPolicy::Fleet->start(nodes => 2);
#   $fleet->send(0, '/1/messages', '400 131042');
#   ok($fleet->blocks(1, '/1/messages'));

use strict;
use warnings;

use JSON::PP ();
use Test::More ();
use Time::HiRes qw(time sleep);

use GraphPolicy ();

# nodes (2), workers (1), hold ("1s max=1s"), graph, redis, sync (parameters
# of graph_policy_sync besides zone, server and key_file), server (all of the
# "server=" parameters), http (more in http {}), zone (parameters), location
# (more in the location of sends), key (the key file's text)
sub start {
    my ($class, %of) = @_;

    my $self = bless { %of, node => [] }, $class;

    $self->{temp} = File::Temp->newdir('graph_fleet.XXXXXX', TMPDIR => 1);
    $self->{dir}  = "$self->{temp}";
    chmod 0755, $self->{dir} or die "chmod: $!";

    $self->{key} //= 'k' x 32 . "\n";
    GraphPolicy::spew("$self->{dir}/key", $self->{key});
    chmod 0600, "$self->{dir}/key" or die "chmod: $!";

    $self->{graph} //= GraphPolicy::Graph->start;
    $self->{redis} //= GraphPolicy::Redis->start;

    $self->add for 1 .. $self->{nodes} // 2;
    $self->settle if !$self->{alone};

    return $self;
}

sub graph { $_[0]{graph} }
sub redis { $_[0]{redis} }
sub dir   { $_[0]{dir} }
sub node  { my ($self, $i) = @_; return $self->{node}[$i] }
sub nodes { 0 .. $#{ $_[0]{node} } }

sub conf {
    my ($self, %of) = @_;

    my %set = (%$self, %of);
    my $hold = $set{hold} // '1s max=1s';
    my $server = $set{server} // 'server=' . $self->{redis}->host . ':'
        . $self->{redis}->port;
    my $zone = $set{zone} // 'zone=z:8m';
    my $sync = $set{no_sync} ? '' : "graph_policy_sync zone=z $server"
        . " key_file=$self->{dir}/key " . ($set{sync} // '') . ';';
    my $http = $set{http} // '';
    my $location = $set{location} // '';

    return <<"END";
    graph_policy_zone $zone;
    $sync
    $http
    graph_policy_hold $hold;
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            graph_policy zone=z;
            $location
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
        location /graph/ {
            graph_policy_api write=on;
        }
        location = /plain {
            return 204;
        }
    }
END
}

sub add {
    my ($self, %of) = @_;

    my $nginx = ($of{class} // 'GraphPolicy::Nginx')->start(
        graph => $self->{graph},
        workers => $of{workers} // $self->{workers} // 1,
        main => $of{main} // $self->{main}, http => $self->conf(%of));

    push @{ $self->{node} }, $nginx;
    return $nginx;
}

# until every node has heard itself, and all the others
sub settle {
    my ($self, $seconds) = @_;

    my $n = @{ $self->{node} };

    return GraphPolicy::wait_until(sub {
        for my $i ($self->nodes) {
            my $sync = $self->sync($i);
            return 0 if !$sync->{connected} || $sync->{nodes} < $n
                || $sync->{queue};
        }
        return 1;
    }, $seconds // 10);
}

# one send by node i; mock as GraphPolicy::Graph has it
sub send {
    my ($self, $i, $path, $mock, %of) = @_;

    return $self->node($i)->request(path => $path, token => $of{token} // 'tok',
        mock => $mock // '200', body => $of{body} // '{"to":"15550001111"}');
}

sub blocks {
    my ($self, $i, $path, %of) = @_;

    my $answer = $self->send($i, $path, '200', %of);
    return ($answer->{headers}{'x-graph-policy'} // '') eq 'blocked';
}

# as soon as node i answers by itself; the answer.  Before that Graph answers
# with an error that teaches the node nothing.
sub blocked {
    my ($self, $i, $path, %of) = @_;

    my $answer;
    GraphPolicy::wait_until(sub {
        $answer = $self->send($i, $path, '400 132000', %of);
        return ($answer->{headers}{'x-graph-policy'} // '') eq 'blocked';
    }, $of{seconds} // 5);
    return $answer;
}

sub api {
    my ($self, $i, $method, $path, $data) = @_;

    my $answer = $self->node($i)->request(method => $method,
        path => "/graph/$path",
        headers => ['Content-Type' => 'application/json'],
        body => defined $data ? JSON::PP::encode_json($data) : '');

    return length $answer->{body}
        ? eval { JSON::PP::decode_json($answer->{body}) } : $answer->{status};
}

sub sync { my ($self, $i) = @_; return $self->api($i, GET => 'zones/z')->{sync} }

sub metric {
    my ($self, $i, $name, $labels) = @_;

    my $text = $self->node($i)->request(method => 'GET',
        path => '/graph/metrics')->{body};
    $labels = defined $labels ? ",$labels" : '';

    my ($value) = $text
        =~ /^graph_policy_\Q$name\E\{zone="z"\Q$labels\E\} (\S+)$/m;
    return $value;
}

# all states of node i: {id => {...}}
sub states {
    my ($self, $i) = @_;

    my (%states, $next);

    do {
        my $page = $self->api($i, GET => 'zones/z/states?limit=1000'
            . (defined $next ? "&after=$next" : ''));
        $states{ $_->{id} } = $_ for @{ $page->{states} };
        $next = $page->{next};
    } while (defined $next);

    return \%states;
}

# what hosts have to agree on, as text
sub knows {
    my ($self, $i) = @_;

    my $states = $self->states($i);

    return join '', map {
        my $state = $states->{$_};
        join(' ', map { $_ // '-' } $state->{id}, @$state{qw(scope key reason
            code subcode since holds trace source node)}) . "\n";
    } sort keys %$states;
}

# until all nodes know the same; what they know then, or undef
sub agree {
    my ($self, $seconds) = @_;

    my $known;

    return GraphPolicy::wait_until(sub {
        my %said = map { $_ => 1 } map { $self->knows($_) } $self->nodes;
        ($known) = keys %said;
        return keys %said == 1;
    }, $seconds // 5) ? $known : undef;
}

# Sends that are accepted, all the time, by every node, or those whose numbers
# are given, until loaded().  The time for which those that take part waited for
# a processor isn't counted: on a busy machine all wait, with a fleet or without.
sub load {
    my ($self, $hosts) = @_;

    my @nodes = @{ $self->{node} }[$hosts ? @$hosts : $self->nodes];
    my $parent = $$;
    my $pid = open my $pipe, '-|';
    die "fork: $!" if !defined $pid;

    if (!$pid) {
        my $stop = 0;
        $SIG{TERM} = sub { $stop = 1 };
        my ($n, $bad, $max) = (0, 0, 0);

        while (!$stop && getppid == $parent) {
            for my $nginx (@nodes) {
                my $before = $self->waited($nginx);
                my $answer = $nginx->request(path => '/999/messages',
                    token => 'load', body => '{"to":"15550001111"}',
                    mock => '200');
                my $after = $self->waited($nginx);
                my $took = $answer->{time} // 0;

                $took -= $after->{$_} - ($before->{$_} // 0) for keys %$after;
                $n++;
                $bad++ if $answer->{status} != 200;
                $max = $took if $took > $max;
            }
            sleep 0.002;
        }

        print "$n $bad $max\n";
        close STDOUT;
        POSIX::_exit(0);
    }

    return { pid => $pid, pipe => $pipe };
}

# seconds for which each process that a send needs has waited for a processor
# by now: nginx's workers, old ones included, Graph, this one
sub waited {
    my ($self, $nginx) = @_;

    my $master = $nginx->pid;
    my %waited;

    for my $pid (split(' ', GraphPolicy::slurp(
        "/proc/$master/task/$master/children")), $self->{graph}{pid}, $$)
    {
        my ($ns) = GraphPolicy::slurp("/proc/$pid/schedstat") =~ /^\d+ (\d+)/;
        $waited{$pid} = $ns / 1e9 if defined $ns;
    }

    return \%waited;
}

# of sends: how many (n), how many of them bad, how long the slowest took
sub loaded {
    my ($self, $load) = @_;

    kill 'TERM', $load->{pid};
    my $line = readline $load->{pipe};
    close $load->{pipe};

    my ($n, $bad, $max) = split ' ', $line // '';
    return { n => $n, bad => $bad, max => $max };
}

# no send was bad, and none took more than 100 ms
sub unharmed {
    my ($self, $load, $name) = @_;

    my $done = $self->loaded($load);

    Test::More::is($done->{bad}, 0, "$name: of $done->{n} sends none was bad");
    Test::More::cmp_ok($done->{max}, '<=', 0.1 * GraphPolicy::slow(),
        sprintf '%s: none was slow (%.0f ms)', $name, 1000 * $done->{max});
}

sub complaints {
    my ($self) = @_;
    return map { $self->node($_)->complaints } $self->nodes;
}

1;
