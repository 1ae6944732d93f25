#!/usr/bin/perl

# Workers that are killed under load, at random moments and with the mutex held:
# what is blocked stays blocked, what isn't goes on, no send is lost with a
# worker that wasn't its own, none reaches the Graph API twice, and a probe that
# dies with its worker is made up for.
#
# Environment:
#   KILL_ROUNDS  rounds of load, with a kill in each (80)
#   KILL_SEED    another walk (7)

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use GraphPolicy qw(advance finish_requests slurp wait_until);
use GraphPolicy::Faults;

use Time::HiRes qw(sleep time);

my $workers = 4;
my $graph   = GraphPolicy::Graph->start;
my $faults  = GraphPolicy::Faults::missing() ? undef : GraphPolicy::Faults->new;
my %of      = (graph => $graph, workers => $workers, http => <<'END');
graph_policy_zone zone=z:1m;
graph_policy_zone zone=probes:1m;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy zone=z;
    graph_policy_hold 1h;

    add_header       X-Worker $pid always;
    proxy_set_header X-Worker $pid;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /fast/ {
        graph_policy_hold 1ms max=1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /probes/ {
        graph_policy zone=probes;
        proxy_pass http://127.0.0.1:%GRAPH%;

        location /probes/fast/ {
            graph_policy_hold 1ms max=1ms;
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
    }
}
END
my $nginx = $faults ? $faults->start(%of) : GraphPolicy::Nginx->start(%of);


# -- a probe dies with its worker ---------------------------------------------

send_one('/probes/fast/2/messages', '400 133010');
sleep 0.05; # longer than its hold

my $probe = $nginx->start_request(path => '/probes/2/messages', token => 'one',
    mock => '200 wait=never', timeout => 60);

ok($graph->wait_for(2) == 2, 'a probe is at the Graph API');

my $begun = time;
my $held  = send_one('/probes/2/messages', '200');

is($held->{headers}{'x-graph-policy'}, 'blocked', 'and the only one');

my ($lease) = $held->{headers}{'x-graph-hold'} // 0;

ok($lease >= 25 && $lease <= 30, "its lease is 30 s: $lease s are left");

kill 'KILL', $_ for $nginx->workers;

my ($lost) = finish_requests($probe);

is($lost->{error}, 'closed', 'all workers are killed');
ok(wait_until(sub { (my @now = $nginx->workers) == $workers }),
    'there are new ones');
is(send_one('/probes/2/messages', '200')->{headers}{'x-graph-policy'}, 'blocked',
    'the lease holds');


# -- under load ---------------------------------------------------------------

# Phone 1 is blocked, 10 to 29 aren't. Those in /fast/, some of them new ones,
# get errors and probes all the time, so that the zone changes while workers die,
# and is full in the end. In every
# other round workers are killed from outside, now and then all of them; in the
# rounds between one dies some instructions after it got the mutex.

my $rounds  = $ENV{KILL_ROUNDS} || 80;
my $limit   = 0;
my %count   = map { $_ => 0 } qw(sent answered cut reached killed mutex afresh
    blocked accepted);
my ($read, $calls, $afresh) = (0, 0, 0);
my (%exited, @wrong);

srand($ENV{KILL_SEED} || 7);
block_phone();
look();

for my $round (1 .. $rounds) {
    my @there;

    wait_until(sub { (@there = workers_now()) == $workers }, 60);

    my $inside  = $faults && $round % 2 == 0;
    my @victims = $inside ? () : $round % 20 == 1 ? @there : $there[rand @there];
    my $when    = 10 + int rand 20;
    my @calls;

    # there are some sixty locks in a round, most are held for a few hundred
    # instructions; and there are ten changes, of up to two thousand
    $faults->kill($round % 4 ? ('kill', 1 + int rand 50, int exp rand 7)
        : ('change', 1 + int rand 5, int rand 1500)) if $inside;

    for my $phone (10 .. 29) {
        push @calls,
            call($round, 'open', "/$phone/messages", '200'),
            call($round, 'fast', '/fast/' . ($phone % 4 ? $phone + 30
                : 1000 * $round + $phone) . '/messages',
                $phone % 2 ? '200' : '400 133010'),
            call($round, 'held', '/1/messages', '200');

        if ($phone == $when && @victims) {
            advance(int rand @calls, @calls) if rand() < 0.5;
            kill 'KILL', @victims;
        }
    }

    my @answers = finish_requests(@calls);
    my %reached;

    if ($inside) {
        my $pid = $faults->end->{pid};
        @victims = $pid || ();
    }

    push @{ $reached{ $_->{headers}{'x-name'} } }, $_->{headers}{'x-worker'}
        for $graph->take;

    wait_until(sub { look(); !grep { !$exited{$_} } @victims });

    # a change that was cut short takes all states along, which is in the log
    judge($calls[$_], $answers[$_], $reached{ $calls[$_]{name} } // [],
        \@victims) for 0 .. $#calls;

    # what a worker had begun is lost with it; what waits for one isn't
    $limit += 2 * @calls * @victims / $workers;
    $count{killed} += @victims;
    $count{sent} += @calls;

    block_phone() if $afresh;
    $afresh = 0;
    %exited = ();
}

is_deeply([@wrong[0 .. ($#wrong < 9 ? $#wrong : 9)]], [],
    "workers are killed in $rounds rounds of load: what is blocked stays"
    . ' blocked, all else goes on, and nothing reaches the Graph API twice');
cmp_ok($count{$_}, '>', $rounds * 5, "sends were $_") for qw(blocked accepted);
cmp_ok($count{cut}, '<=', $limit, 'what was lost died with its worker');
is($count{answered} + $count{cut}, $count{sent}, 'each send was answered or cut');
cmp_ok($count{reached}, '<=', $count{accepted} + $count{cut},
    'the Graph API got what was accepted, and some of what was cut');
cmp_ok($count{mutex}, '>=', $rounds / 5, 'many died with the mutex held')
    if $faults;

note(join ', ', map { "$_ $count{$_}" } sort keys %count);


# -- and after it -------------------------------------------------------------

my %seen;

for my $phone (200 .. 219) {
    $seen{ policy(send_one("/fast/$phone/messages", '400 133010')) }++;
}

for my $phone (200 .. 219) {
    $seen{ policy(send_one("/$phone/messages", '200')) }++;
    $seen{ policy(send_one("/$phone/messages", '200')) }++;
    $seen{ policy(send_one("/$phone/messages", '400 131042')) }++;
    $seen{ policy(send_one("/$phone/messages", '200')) }++;
}

is_deeply(\%seen, { passed => 40, probe => 20, accepted => 20, blocked => 20 },
    'states are set, probed, cleared and set again');

is_deeply([grep { !/ (?:worker\ process\ \d+\ exited\ on\ signal\ 9
        |shared\ memory\ zone\ "z"\ was\ locked
        |a\ worker\ died\ while) /x } $nginx->complaints], [],
    'the log has the dead workers, and nothing else to complain of');


# -- the lease of the dead probe runs out -------------------------------------

SKIP: {
    skip 'its lease was over before the last round', 3
        if time - $begun > 25;

    my $answer = wait_until(sub {
        my $answer = send_one('/probes/2/messages', '200');

        sleep 0.2;
        return policy($answer) eq 'blocked' ? undef : $answer;
    }, 40);

    my $took = time - $begun;

    is($answer && policy($answer), 'probe',
        'when its lease is over, there is another probe');
    ok($took >= 28, sprintf 'which is %.1f s later', $took);
    is(policy(send_one('/probes/2/messages', '200')), 'accepted',
        'and that one clears the state');
}

done_testing();


# -- helpers ------------------------------------------------------------------

sub send_one {
    my ($path, $mock) = @_;

    return $nginx->request(path => $path, token => 'one', mock => $mock);
}

sub call {
    my ($round, $kind, $path, $mock) = @_;

    my $name = "$round.$kind.$path." . ++$calls;

    return { %{ $nginx->start_request(path => $path, token => 'one',
        mock => $mock, headers => ['X-Name' => $name], timeout => 60) },
        name => $name, kind => $kind };
}

sub block_phone {
    send_one('/1/messages', '400 131042');
    $graph->clear;
}

# from the kernel, which is faster than to look at every process
sub workers_now {
    my $pid      = $nginx->pid;
    my $children = "/proc/$pid/task/$pid/children";

    return -e $children ? split ' ', slurp($children) : $nginx->workers;
}

# what is new in the log
sub look {
    open my $log, '<', $nginx->dir . '/error.log' or die "log: $!";
    seek $log, $read, 0;

    while (my $line = <$log>) {
        last if $line !~ /\n\z/;
        $read += length $line;
        $exited{$1} = 1 if $line =~ /worker process (\d+) exited/;
        $count{mutex}++ if $line =~ /zone "z" was locked by/;
        next if $line !~ /starts afresh/;
        $count{afresh}++;
        $afresh = 1;
    }
}

# One send: its answer, the workers that brought it to the Graph API, those that
# were killed.
sub judge {
    my ($call, $answer, $reached, $victims) = @_;

    my $policy = $answer->{headers}{'x-graph-policy'} // 'accepted';
    my $got    = join ' ', $answer->{error} // $answer->{status}, $policy,
        scalar @$reached;
    my %killed = map { $_ => 1 } @$victims;

    $count{reached} += @$reached;

    if ($answer->{error}) {
        $count{cut}++;
        push @wrong, "$call->{name}: $got" if $answer->{error} ne 'closed'
            || @$reached > 1 || $call->{kind} eq 'held' && !$afresh && @$reached
            || grep { !$killed{$_} } @$reached;
        return;
    }

    $count{answered}++;
    $count{ $policy eq 'blocked' ? 'blocked' : 'accepted' }++;

    my %right = (
        open => qr/^200 accepted 1\z/,
        held => $afresh ? qr/^(?:400 blocked 0|200 accepted 1)\z/
            : qr/^400 blocked 0\z/,
        fast => qr/^(?:400\ blocked\ 0|400\ (?:passed|probe)\ 1
            |200\ (?:accepted|probe)\ 1)\z/x,
    );

    push @wrong, "$call->{name}: $got" if $got !~ $right{ $call->{kind} }
        || @$reached && $reached->[0] != $answer->{headers}{'x-worker'};
}

sub policy {
    my ($answer) = @_;

    return $answer->{headers}{'x-graph-policy'}
        // ($answer->{status} == 200 ? 'accepted' : "$answer->{status}");
}
