#!/usr/bin/perl

# A worker that is killed while it holds the zone's mutex: nobody waits for it,
# and what it left half done is thrown away as a whole. A debugger stops the
# worker where it is to die.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use GraphPolicy qw(slow slurp spew wait_until);

use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time);

plan skip_all => 'there is no gdb' if system('gdb --version >/dev/null 2>&1');

my $debugger;

END {
    my $status = $?;
    kill 'TERM', $debugger if $debugger;
    $? = $status;
}

my $graph = GraphPolicy::Graph->start;

# What is there before: a state of phone 1, a credential's fingerprint. Then a
# worker dies on a request, at one of its breakpoints; they are passed in this
# order. "kept": whether it may leave the states behind.
my @cases = (
    {
        name   => 'about to make a state',
        at     => ['ngx_http_graph_policy_zone_learn', 'ngx_slab_alloc_locked'],
        path   => '/2/messages',
        mock   => '400 131042',
        kept   => 0,
    }, {
        name   => 'about to put a state in its place',
        at     => ['ngx_http_graph_policy_zone_learn', 'ngx_slab_alloc_locked',
            'ngx_rbtree_insert'],
        path   => '/2/messages',
        mock   => '400 131042',
        kept   => 0,
    }, {
        name   => 'with a state half in its place',
        at     => ['ngx_http_graph_policy_zone_learn', 'ngx_slab_alloc_locked',
            'ngx_rbtree_insert', 'ngx_rbtree_insert'],
        path   => '/2/messages',
        mock   => '400 131042',
        kept   => 0,
    }, {
        name   => 'while a probe clears a state',
        at     => ['ngx_http_graph_policy_zone_settle', 'ngx_rbtree_delete'],
        due    => 1,
        path   => '/2/messages',
        mock   => '200',
        kept   => 0,
    }, {
        name   => 'while a probe arms a state again',
        at     => ['ngx_http_graph_policy_zone_settle', 'ngx_rbtree_insert'],
        due    => 1,
        path   => '/2/messages',
        mock   => '400 133010',
        kept   => 0,
    }, {
        name   => 'while it looks for states',
        at     => ['ngx_http_graph_policy_zone_admit',
            'ngx_http_graph_policy_state_place'],
        path   => '/1/messages',
        mock   => '200',
        kept   => 1,
    }, {
        name   => 'when it has looked for states',
        at     => ['ngx_http_graph_policy_zone_admit', 'ngx_shmtx_unlock'],
        path   => '/1/messages',
        mock   => '200',
        kept   => 1,
    }, {
        name   => 'when it has made a state',
        at     => ['ngx_http_graph_policy_zone_learn', 'ngx_shmtx_unlock'],
        path   => '/2/messages',
        mock   => '400 131042',
        kept   => 1,
        also   => '/2/messages',
    }, {
        name   => 'when it has become the probe',
        at     => ['ngx_http_graph_policy_breaker_lease', 'ngx_shmtx_unlock'],
        due    => 1,
        path   => '/2/messages',
        mock   => '200',
        kept   => 1,
        also   => '/2/messages',
    },
);

for my $case (@cases) {
    SKIP: {
        my $tests = 12 + ($case->{also} ? 1 : 0);
        my $nginx = start();

        my $first  = send_one($nginx, '/1/messages', '400 131042');
        my $before = blocked($nginx, "$case->{name}: a state is there");

        send_one($nginx, '/fast/2/messages', '400 133010') if $case->{due};

        my $said = kill_at($nginx, $case);

        skip 'processes can not be traced here', $tests - 1
            if $said =~ /ptrace: Operation not permitted|Could not attach/;

        like($said, qr/^dead\b/m, "$case->{name}: a worker is killed")
            or diag($said);

        after($nginx, $case, $before);
        $nginx->stop;
    }
}

done_testing();


# -- helpers ------------------------------------------------------------------

sub start {
    return GraphPolicy::Nginx->start(graph => $graph, workers => 2,
        http => <<'END');
graph_policy_zone zone=z:1m;

server {
    listen 127.0.0.1:%PORT%;
    keepalive_timeout 1h;

    graph_policy zone=z;
    graph_policy_hold 1h;

    add_header X-Worker $pid always;
    add_header X-Credential $graph_policy_credential always;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /fast/ {
        graph_policy_hold 1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END
}

sub send_one {
    my ($nginx, $path, $mock) = @_;

    return $nginx->request(path => $path, token => 'one', mock => $mock);
}

sub blocked {
    my ($nginx, $name, $path) = @_;

    my $answer = send_one($nginx, $path || '/1/messages', '200');

    is($answer->{headers}{'x-graph-policy'}, 'blocked', $name);
    return $answer;
}

# The connection stays with one worker. A debugger takes hold of that, lets it
# go on, and a request leads it to where it is to die. Returns what the
# debugger said, its last word "dead" if all went well.
sub kill_at {
    my ($nginx, $case) = @_;

    my $out    = $nginx->dir . '/gdb.out';
    my $script = $nginx->dir . '/gdb.script';
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $nginx->port) or die "connect: $!";

    my $head = ask($socket, 'GET /none HTTP/1.1');
    my ($worker) = $head =~ /^X-Worker: (\d+)\r$/m or die "no worker: $head";

    $case->{worker} = $worker;

    my ($first, @others) = @{ $case->{at} };

    spew($script, join "\n", 'set pagination off', 'set confirm off',
        'set breakpoint pending off', "tbreak $first", 'echo ready\n',
        'continue', (map { ("tbreak $_", 'continue') } @others), 'backtrace 8',
        'kill', 'echo dead\n', '');

    $debugger = fork // die "fork: $!";

    if (!$debugger) {
        open STDOUT, '>', $out or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        open STDIN, '<', '/dev/null' or POSIX::_exit(1);
        delete $ENV{DEBUGINFOD_URLS};
        exec 'gdb', '-nx', '-batch', '-p', $worker, '-x', $script
            or POSIX::_exit(127);
    }

    my $gone = sub {
        return waitpid($debugger, POSIX::WNOHANG()) != 0;
    };

    if (wait_until(sub { slurp($out) =~ /^ready$/m || $gone->() }, 30)) {
        ask($socket, "POST $case->{path} HTTP/1.1",
            'Authorization: Bearer one', "X-Mock: $case->{mock}",
            'Content-Length: 0') if kill 0, $debugger;
    }

    if (!wait_until($gone, 20)) {
        kill 'TERM', $debugger;
        waitpid $debugger, 0;
    }

    undef $debugger;
    return slurp($out);
}

# the head of an answer; nothing if the connection is closed
sub ask {
    my ($socket, @lines) = @_;

    my $in  = '';
    my $end = time + 20 * slow();

    syswrite $socket, join '', map { "$_\r\n" } @lines, 'Host: localhost', '';

    while ($in !~ /\r\n\r\n/ && time < $end) {
        my $read = '';

        vec($read, fileno $socket, 1) = 1;
        next if select($read, undef, undef, 0.1) <= 0;
        last if !sysread $socket, $in, 4096, length $in;
    }

    return $in =~ /^(.*?\r\n)\r\n/s ? $1 : '';
}

sub alerts {
    my ($nginx, $text) = @_;

    return scalar grep { / \[alert\] \d+#\d+: \Q$text\E$/ }
        split /\n/, $nginx->log;
}

# the service is right again
sub after {
    my ($nginx, $case, $before) = @_;

    my $name = $case->{name};

    ok(wait_until(sub { $nginx->log
            =~ /\[alert\] [^\n]*: worker process $case->{worker} exited/ }),
        "$name: the master sees it");

    # not before that: the mutex is the dead one's until then
    my $answer = send_one($nginx, '/1/messages', '200');

    ok(!$answer->{error}, "$name: the next request is answered");
    is(alerts($nginx, qq(shared memory zone "z" was locked by $case->{worker})),
        1, "$name: it had the mutex");

    my $told = alerts($nginx, 'a worker died while it changed graph_policy_zone'
        . ' "z", the zone starts afresh without its states');

    if ($case->{kept}) {
        is($answer->{headers}{'x-graph-policy'}, 'blocked',
            "$name: the state is still there");
        is($answer->{headers}{'x-graph-state'},
            $before->{headers}{'x-graph-state'}, "$name: and is what it was");
        is($told, 0, "$name: no zone starts afresh");
        blocked($nginx, "$name: so is its own", $case->{also})
            if $case->{also};

    } else {
        is($answer->{headers}{'x-graph-policy'}, undef,
            "$name: the state is gone");
        is($answer->{status}, 200, "$name: and so nothing is blocked");
        is($told, 1, "$name: the log says so, once");
    }

    is($answer->{headers}{'x-credential'},
        $before->{headers}{'x-credential'},
        "$name: a credential has the fingerprint that it had");

    # whichever worker gets it; the holds of 1 ms are over when the round is
    my @phones = map { "/fast/$_/messages" } 101 .. 120;
    my %policies;

    send_one($nginx, $_, '400 133010') for @phones;
    $policies{ send_one($nginx, $_, '200')->{headers}{'x-graph-policy'}
        // 'none' }++ for @phones, @phones;

    is_deeply(\%policies, { probe => 20, none => 20 },
        "$name: states are set, probed and cleared");

    send_one($nginx, '/9/messages', '400 131042');
    blocked($nginx, "$name: states block", '/9/messages');

    is_deeply([grep { !/ (?:worker\ process\ \d+\ exited\ on\ signal\ 9
            |shared\ memory\ zone\ "z"\ was\ locked
            |a\ worker\ died\ while) /x } $nginx->complaints], [],
        "$name: nobody complains of anything else");
}
