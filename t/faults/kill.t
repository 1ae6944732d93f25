#!/usr/bin/perl

# Workers that are killed under load: what is blocked stays blocked, what isn't
# goes on, and a probe that dies with its worker is made up for.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use GraphPolicy qw(finish_requests wait_until);

use Time::HiRes qw(sleep time);

my $workers = 4;
my $graph   = GraphPolicy::Graph->start;
my $nginx   = GraphPolicy::Nginx->start(graph => $graph, workers => $workers,
    http => <<'END');
graph_policy_zone zone=z:1m;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy zone=z;
    graph_policy_hold 1h;

    add_header X-Worker $pid always;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /fast/ {
        graph_policy_hold 1ms max=1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END


# -- a probe dies with its worker ---------------------------------------------

send_one('/fast/2/messages', '400 133010');
sleep 0.05; # longer than its hold

my $probe = $nginx->start_request(path => '/2/messages', token => 'one',
    mock => '200 wait=never');

ok($graph->wait_for(2) == 2, 'a probe is at the Graph API');

my $begun = time;
my $held  = send_one('/2/messages', '200');

is($held->{headers}{'x-graph-policy'}, 'blocked', 'and the only one');

my ($lease) = $held->{headers}{'x-graph-hold'} // 0;

ok($lease >= 25 && $lease <= 30, "its lease is 30 s: $lease s are left");

kill 'KILL', $_ for $nginx->workers;

my ($lost) = finish_requests($probe);

is($lost->{error}, 'closed', 'all workers are killed');
ok(wait_until(sub { (my @now = $nginx->workers) == $workers }),
    'there are new ones');
is(send_one('/2/messages', '200')->{headers}{'x-graph-policy'}, 'blocked',
    'the lease holds');


# -- under load ---------------------------------------------------------------

# Phone 1 is blocked, 10 to 29 aren't.  Half of 40 to 59, in /fast/, get errors
# and probes all the time, so that the zone changes while workers die.

send_one('/1/messages', '400 131042');
$graph->clear;

my $rounds  = $ENV{KILL_ROUNDS} || 12;
my $fresh   = 0;
my $cut     = 0;
my $limit   = 0;
my %answers = (blocked => 0, accepted => 0);
my @wrong;

for my $round (1 .. $rounds) {
    my (@there, @calls);

    wait_until(sub { (@there = $nginx->workers) == $workers }, 60);

    my @victims = $round == $rounds ? @there : $there[$round % @there];

    for my $phone (10 .. 29) {
        push @calls,
            call("/$phone/messages", '200'),
            call('/fast/' . ($phone + 30) . '/messages',
                $phone % 2 ? '400 133010' : '200'),
            call('/1/messages', '200');

        kill 'KILL', @victims if $phone == 20;
    }

    my @answers = finish_requests(@calls);

    # a change that was cut short takes all states along, which is in the log
    my $now = () = $nginx->log =~ /starts afresh/g;

    for my $at (0 .. $#answers) {
        my $answer = $answers[$at];
        my $policy = $answer->{headers}{'x-graph-policy'} // 'accepted';

        if ($answer->{error}) {
            $cut++;
        } elsif ($at % 3 == 0) {
            $answers{$policy}++;
            push @wrong, "round $round: $policy" if $policy ne 'accepted';
        } elsif ($at % 3 == 2 && $now == $fresh) {
            $answers{$policy}++;
            push @wrong, "round $round: phone 1 $policy"
                if $policy ne 'blocked';
        }
    }

    # what a worker had begun is lost with it; what waits for one isn't
    $limit += 2 * @calls * @victims / $workers;

    wait_until(sub { (my @now = $nginx->workers) == $workers });

    if ($now != $fresh) {
        $fresh = $now;
        send_one('/1/messages', '400 131042');
        $graph->clear;
    }
}

is_deeply(\@wrong, [], "workers are killed in $rounds rounds of load: what is"
    . ' blocked stays blocked, all else goes on');
cmp_ok($answers{blocked}, '>', $rounds * 5, 'sends were blocked');
cmp_ok($answers{accepted}, '>', $rounds * 5, 'sends were accepted');
cmp_ok($cut, '<=', $limit, 'what was lost died with its worker');
is($graph->count(qr{^/1/}), 0, 'no send for the blocked phone came through');

cmp_ok($graph->count, '>', $rounds * 5, 'others did');


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
    skip 'its state is gone, a worker was killed amid a change', 3 if $fresh;

    my $answer = wait_until(sub {
        my $answer = send_one('/2/messages', '200');

        sleep 0.2;
        return policy($answer) eq 'blocked' ? undef : $answer;
    }, 40);

    my $took = time - $begun;

    is($answer && policy($answer), 'probe',
        'when its lease is over, there is another probe');
    ok($took >= 28, sprintf 'which is %.1f s later', $took);
    is(policy(send_one('/2/messages', '200')), 'accepted',
        'and that one clears the state');
}

done_testing();


# -- helpers ------------------------------------------------------------------

sub send_one {
    my ($path, $mock) = @_;

    return $nginx->request(path => $path, token => 'one', mock => $mock);
}

sub call {
    my ($path, $mock) = @_;

    return $nginx->start_request(path => $path, token => 'one', mock => $mock);
}

sub policy {
    my ($answer) = @_;

    return $answer->{headers}{'x-graph-policy'}
        // ($answer->{status} == 200 ? 'accepted' : "$answer->{status}");
}
