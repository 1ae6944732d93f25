#!/usr/bin/perl

# A walk at random: states are set, ended, frozen and set again on any host, of
# conversations, too, while the engine and the hosts get into trouble.  After
# each round all hosts, and one that starts then, know the same.  FLEET_ROUNDS
# and FLEET_SEED say how far it goes, and where.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(wait_until slow);
use GraphPolicy::Fleet;
use Time::HiRes qw(time sleep);

my $rounds = $ENV{FLEET_ROUNDS} || 12;
my $seed   = $ENV{FLEET_SEED} // 20260;
srand $seed;

# an engine and its replica; hosts know both
my $redis = GraphPolicy::Redis->start(appendonly => 'yes',
    appendfsync => 'always');
my $copy = GraphPolicy::Redis->start(appendonly => 'yes',
    appendfsync => 'always', replicaof => '127.0.0.1 ' . $redis->port);
my $fleet = GraphPolicy::Fleet->start(nodes => 3, redis => $redis,
    hold => '200ms max=1s', sync => 'conversations=on',
    server => join(' ', map { 'server=127.0.0.1:' . $_->port } $redis, $copy),
    location => 'graph_policy_conversation on; graph_policy_cooldown on;');
my $log = 'graph_policy:{z}:log';

my @troubles = (
    ['nothing', sub { }],
    ['killed, back empty', sub {
        $redis->end;
        act(5);
        system 'rm', '-rf', $redis->dir . '/appendonlydir';
        $redis->run;
    }],
    ['killed, back with data', sub { $redis->end; act(5); $redis->run }],
    ['stopped', sub {
        $redis->signal('STOP');
        act(5);
        sleep 1.5;
        $redis->signal('CONT');
    }],
    ['flushed', sub { $redis->command('FLUSHALL') }],
    ['clients thrown out', sub {
        $redis->command('CLIENT', 'KILL', 'TYPE', 'normal') for 1 .. 2;
    }],
    ['stream deleted', sub { $redis->command('DEL', $log) }],
    ['stream trimmed', sub { $redis->command('XTRIM', $log, 'MAXLEN', 1) }],
    ['hash deleted', sub {
        $redis->command('DEL', 'graph_policy:{z}:states');
    }],
    ['replica promoted', sub {
        $copy->command('REPLICAOF', 'NO', 'ONE');
        act(5);
        $redis->end;
        delete $copy->{set}{replicaof};
        $redis->{set}{replicaof} = '127.0.0.1 ' . $copy->port;
        act(5);
        $redis->run;
        ($redis, $copy) = ($copy, $redis);
        $fleet->{redis} = $redis;
    }],
    ['worker killed', sub {
        my $i = int rand 3;
        my ($worker) = $fleet->node($i)->workers;
        kill 'KILL', $worker if $worker;
        wait_until(sub {
            ($fleet->node($i)->workers)[0] // $worker != $worker;
        }, 2);
    }],
    ['reload', sub { $fleet->node(int rand 3)->signal('HUP') }],
);

# some changes, by any host
sub act {
    my ($n) = @_;

    for (1 .. $n) {
        my $i = int rand 3;
        my $path = '/' . (int rand 12) . '/messages';
        my $dice = rand;

        if ($dice < 0.4) {
            $fleet->send($i, $path, ('400 133010', '400 131042')[rand 2]);

        } elsif ($dice < 0.5) {
            $fleet->node($i)->request(path => $path, token => 'tok',
                mock => ('400 131047', '400 131026', '400 131056')[rand 3],
                headers => ['Content-Type' => 'application/json'],
                body => '{"to":"1555000' . (1000 + int rand 5) . '"}');

        } elsif ($dice < 0.8) {
            $fleet->send($i, $path, '200');

        } elsif ($dice < 0.9) {
            my ($id) = keys %{ $fleet->states($i) };
            $fleet->api($i, DELETE => "zones/z/states/$id") if $id;

        } else {
            $fleet->api($i, POST => 'zones/z/states', { scope => 'phone',
                key => '' . int rand 12, reason => 'phone-disconnected',
                hold => '1h', probe => rand() < 0.5 ? JSON::PP::true
                    : JSON::PP::false });
        }
    }
}

for my $round (1 .. $rounds) {
    my ($name, $trouble) = @{ $troubles[rand @troubles] };

    act(20 + rand 40);
    $trouble->();
    act(20 + rand 40);

    $fleet->settle(5);
    my $said = $fleet->agree(20);
    ok(defined $said, "round $round, $name: all know the same")
        or do { diag "$_:\n", $fleet->knows($_) for $fleet->nodes };

    $fleet->add;
    ok(defined $fleet->agree(20), "round $round, $name: a new host, too")
        or do { diag "$_:\n", $fleet->knows($_) for $fleet->nodes };
    (pop @{ $fleet->{node} })->stop('QUIT');
}

is_deeply([grep { !/exited on signal 9/ } $fleet->complaints], [],
    'nothing in the log to worry about');
diag "seed $seed" if grep { !$_ } Test::More->builder->summary;

done_testing;
