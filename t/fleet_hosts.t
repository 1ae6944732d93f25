#!/usr/bin/perl

# What may happen to the hosts of a fleet: a clock that is wrong, a worker that
# dies, reloads one after the other, another binary.  FLEET_RELOADS says how
# many reloads.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(wait_until slow);
use GraphPolicy::Daemon;
use GraphPolicy::Fleet;
use GraphPolicy::Trouble;
use Time::HiRes qw(time sleep);
use Time::Local qw(timegm);

my $reloads = $ENV{FLEET_RELOADS} || 10;

my $graph = GraphPolicy::Graph->start;
my $redis = GraphPolicy::Redis->start;

# how many connections there are at the engine, this one's not counted
sub connections {
    return scalar(() = ($redis->command('CLIENT', 'LIST')
        =~ /cmd=(?!client)/g));
}


# since 1970, of a time as the API has it
sub seconds {
    my ($text) = @_;

    my ($y, $mon, $d, $h, $m, $s, $ms) = ($text // '')
        =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)\.(\d+)Z$/ or return 0;
    return timegm($s, $m, $h, $d, $mon - 1, $y) + "0.$ms";
}


# -- clocks -------------------------------------------------------------------

SKIP: {
    my ($faketime) = glob '/usr/lib/*/faketime/libfaketime.so.1';

    skip 'libfaketime is missing (package faketime)', 1
        if !defined $faketime || !-e $faketime;
    skip 'a sanitizer has to be the first library', 1
        if ($ENV{KIND} // '') eq 'asan';

    my $fleet = GraphPolicy::Fleet->start(nodes => 1, graph => $graph,
        redis => $redis, hold => '10m max=10m', sync => 'prefix=clock:');

    # the times that a host shows are of its own clock
    for my $offset ('+300s', '-300s') {
        my %faked = (LD_PRELOAD => $faketime, FAKETIME => $offset,
            DONT_FAKE_MONOTONIC => 1, FAKETIME_DONT_FAKE_MONOTONIC => 1);
        local @ENV{ keys %faked } = values %faked;
        $fleet->add(main => join '', map { "env $_;\n" } sort keys %faked);
    }

    my @offset = (0, 300, -300);
    my @host = ('right', '300 s ahead', '300 s behind');
    ok($fleet->settle, 'hosts with clocks of their own are in touch');

    my $phone = 4000;
    my $load = $fleet->load;

    for my $from (0 .. 2) {
        for my $to (grep { $_ != $from } 0 .. 2) {
            my $path = '/' . ++$phone . '/messages';
            my $name = "from a host that is $host[$from] to one that is"
                . " $host[$to]";

            $fleet->send($from, $path, '400 133010');
            my $answer = $fleet->blocked($to, $path);
            my $id = $answer->{headers}{'x-graph-state'} // '-';
            my $left = seconds($fleet->states($to)->{$id}{until})
                - time - $offset[$to];
            ok($left > 595 - 5 * slow() && $left < 660,
                sprintf '%s: a hold is as long there (%.1f s)', $name, $left);

            $fleet->api($to, DELETE => "zones/z/states/$id");
            ok(wait_until(sub { !$fleet->blocks($from, $path) }, 2),
                "$name: what that one ends is over here");
            $fleet->send($from, $path, '400 133010');
            is($fleet->blocked($to, $path)
                ->{headers}{'x-graph-policy'}, 'blocked',
                "$name: and what comes back here is back there");
        }
    }

    $fleet->unharmed($load, 'clocks that differ');
    is(keys %{ $fleet->states($_) }, 6,
        "a host that is $host[$_] knows all that there is") for 0 .. 2;
    is_deeply([$fleet->complaints], [], 'nothing in the log to worry about');
    $_->stop for @{ $fleet->{node} };
}


# Where workers start, those of an nginx without a fleet do, too, as sends feel
# that alone.

# -- workers ------------------------------------------------------------------

my $fleet = GraphPolicy::Fleet->start(nodes => 2, workers => 2,
    graph => $graph, redis => $redis, hold => '1h max=1h');
my $trouble = GraphPolicy::Trouble->new($fleet);

wait_until(sub { connections() == 4 });
is(connections(), 4, 'a host has two connections, whatever its workers');

$trouble->with('the worker that talks is killed', sub {
    my ($worker) = $fleet->node(0)->workers;
    kill 'KILL', $worker;
    ok(wait_until(sub {
        my @now = $fleet->node(0)->workers;
        @now == 2 && !grep { $_ == $worker } @now;
    }), 'a worker that is killed is started anew');
}, hosts => [1], seconds => 4);

$trouble->with("reloaded $reloads times", sub {
    for my $n (1 .. $reloads) {
        $fleet->node(0)->reload
            or fail("reload $n: an old worker stays");
    }
    pass('no old worker stays');
}, seconds => 4);

is(connections(), 4, 'the engine has two connections a host, after all that')
    or diag $redis->command('CLIENT', 'LIST');

# faster than anybody can leave
$trouble->with('reloaded all at once', sub {
    for (1 .. 5) {
        $fleet->node(1)->signal('HUP');
        sleep 0.05;
    }
    ok(wait_until(sub { 2 == (() = $fleet->node(1)->workers) }),
        'the workers of the last reload are there');
}, seconds => 4);
wait_until(sub { connections() == 4 });
is(connections(), 4, 'two connections a host');

is_deeply([grep { !/exited on signal 9/ } $fleet->complaints], [],
    'nothing in the log to worry about');
$_->stop for @{ $fleet->{node} };


# -- another binary -----------------------------------------------------------

my $two = GraphPolicy::Fleet->start(nodes => 1, graph => $graph,
    redis => $redis, hold => '1h max=1h', sync => 'prefix=upgrade:');
my $daemon = $two->add(class => 'GraphPolicy::Daemon', workers => 2);
$two->settle;
$trouble = GraphPolicy::Trouble->new($two);

my $known = $trouble->learn(1);
ok($two->blocked(0, $known), 'what a host told before it is upgraded');

$trouble->with('a binary upgrade', sub {
    my $old = $daemon->pid;

    $daemon->signal('USR2');
    ok($daemon->follow($old), 'another binary takes over');
    $daemon->stop_master($old, 'QUIT');
    ok(wait_until(sub { $two->blocks(1, $known) }, 2),
        'it knows, from the others');
}, seconds => 4);

wait_until(sub { connections() == 4 });
is(connections(), 4, 'the old one has left no connection')
    or diag $redis->command('CLIENT', 'LIST');
$trouble->newcomer('a binary upgrade');

is_deeply([$two->complaints], [], 'nothing in the log to worry about');

done_testing;
