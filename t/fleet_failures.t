#!/usr/bin/perl

# What may happen to the engine and to the way there: sends pass meanwhile, and
# when it is over all hosts know the same again, a new one included.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(wait_until slow spew);
use GraphPolicy::Fleet;
use GraphPolicy::Trouble;
use Time::HiRes qw(time sleep);

my $graph = GraphPolicy::Graph->start;
my $redis = GraphPolicy::Redis->start(appendonly => 'no');

# a hold that no test outlives: nobody probes, so what is known stays
my $fleet = GraphPolicy::Fleet->start(nodes => 2, graph => $graph,
    redis => $redis, hold => '1h max=1h', sync => 'timeout=' . slow() . 's');

my ($log, $states, $nodes) = map { "graph_policy:{z}:$_" }
    qw(log states nodes);
my $trouble = GraphPolicy::Trouble->new($fleet);


# -- the engine ---------------------------------------------------------------

$trouble->in_touch('all well');
$trouble->newcomer('all well');

$trouble->with('killed, and back empty', sub {
    $redis->end;
    my $path = $trouble->learn(0);
    sleep 0.5;
    is($fleet->blocks(0, $path), 1, 'killed: this host goes on by itself');
    $redis->run;
});
cmp_ok($trouble->resyncs(0, 'lost'), '>=', 1, 'that the engine lost it all is noticed');
$trouble->newcomer('killed, and back empty');
my @lines = $fleet->node(0)->log =~ /(is out of touch[^\n]*|again\n)/g;
is(@lines, 2, 'the log says once that it was away, and once that it is back')
    or diag @lines;

$trouble->with('stopped for 4 s', sub {
    $redis->signal('STOP');
    $trouble->learn(0);
    sleep 4;
    $redis->signal('CONT');
});

$trouble->with('flushed', sub {
    $redis->command('FLUSHALL');
    sleep 1.2;
});
$trouble->newcomer('flushed');

$trouble->with('clients thrown out', sub {
    $redis->command('CLIENT', 'KILL', 'TYPE', 'normal');
});

$trouble->with('out of memory', sub {
    my ($used) = $redis->command('INFO', 'memory') =~ /^used_memory:(\d+)/m;
    $redis->command('CONFIG', 'SET', 'maxmemory', 1);
    $trouble->learn(0);
    sleep 1;
    like($fleet->node(0)->log, qr/it refuses: "OOM/, 'the log has the reason');
    $redis->command('CONFIG', 'SET', 'maxmemory', 0);
});

$trouble->with('a key of the wrong type', sub {
    $redis->command('SET', $states, 'x');
    $trouble->learn(0);
    sleep 0.5;
    $redis->command('DEL', $states);
});
$trouble->newcomer('a key of the wrong type');

$redis->command('DEL', $states);
$fleet->add;
ok($fleet->agree(30), 'the hash is deleted: what a new host lacks is found out')
    or diag $fleet->knows(0), "-\n", $fleet->knows(2);
cmp_ok($trouble->resyncs(0, 'digest') + $trouble->resyncs(1, 'digest') + $trouble->resyncs(2, 'digest'),
    '>=', 1, 'as hosts compare digests');
(pop @{ $fleet->{node} })->stop;

$trouble->with('the stream is deleted', sub {
    $redis->command('DEL', $log);
});


# -- the stream ---------------------------------------------------------------

{
    my ($worker) = $fleet->node(1)->workers;
    my $gaps = $trouble->resyncs(1, 'gap');

    kill 'STOP', $worker;
    my @paths = map { $trouble->learn(0) } 1 .. 30;
    wait_until(sub { $fleet->sync(0)->{queue} == 0 });
    $redis->command('XTRIM', $log, 'MAXLEN', 3);
    kill 'CONT', $worker;

    ok(wait_until(sub { !grep { !$fleet->blocks(1, $_) } @paths }, 3),
        'trimmed past a host: what was cut off it has all the same');
    cmp_ok($trouble->resyncs(1, 'gap'), '>', $gaps, 'as it noticed the gap');
    ok($fleet->agree, 'and knows the same');
}

$trouble->with('an id from the future, then deleted', sub {
    $redis->command('XADD', $log, '9999999999999-0', 'e', 'x');
    sleep 0.3;
    $redis->command('DEL', $log);
    sleep 2.5 * slow();
});
cmp_ok($trouble->resyncs(0, 'deaf') + $trouble->resyncs(1, 'deaf'), '>=', 1,
    'who does not hear what they say notices');

$trouble->with('the largest id there is', sub {
    $redis->command('XADD', $log, '18446744073709551615-18446744073709551615',
        'e', 'x');
    sleep 2 * slow();
});

$trouble->with('an entry of 20 MB', sub {
    $redis->command('XADD', $log, '*', 'e', 'x' x 20_000_000);
    sleep 1;
});
$redis->command('DEL', $log);
$trouble->in_touch('and gone');

$trouble->with('a value of 20 MB in the hash', sub {
    $redis->command('HSET', $states, 'junk', 'x' x 20_000_000);
    sleep 2;
});
$redis->command('HDEL', $states, 'junk');

# whatever is no entry of the fleet counts and does nothing
{
    my $before = $fleet->knows(1);
    my $entry = (grep { /"state"/ } map { $_->[1][1] }
        @{ $redis->command('XREVRANGE', $log, '+', '-', 'COUNT', 50) })[0];
    my ($head, $mac, $json) = $entry =~ /^(\S+ \S+ \S+ \S+ \S+) (\S+) (.*)$/s;
    my ($forged, $unread) = map { $fleet->metric(1, 'sync_received_total',
        qq(result="$_")) } qw(forged unread);

    my @forged = (
        "$head $mac " . $json =~ s/"key":"\d+"/"key":"77"/r,
        "$head " . ('0' x 32) . " $json",
        $entry =~ s/^(1 \S+) \d+/$1 99999/r,
    );
    my @unread = ('', 'x', "2 $entry", substr($entry, 0, 60),
        $entry =~ s/^1 /3 /r, "\0" x 100, 'y' x 70000);

    $redis->command('XADD', $log, '*', 'e', $_) for @forged, @unread;
    $redis->command('XADD', $log, '*', 'f', $entry);
    $redis->command('HSET', $states, "x$_", $forged[$_]) for 0 .. $#forged;

    ok(wait_until(sub { $fleet->metric(1, 'sync_received_total',
        'result="unread"') >= $unread + @unread + 1 }, 3),
        'what is no entry is counted as unread');
    cmp_ok($fleet->metric(1, 'sync_received_total', 'result="forged"'), '>=',
        $forged + @forged, 'what is not signed as forged');
    is($fleet->knows(1), $before, 'and nothing comes of it');
    ok(!$fleet->blocks(1, '/77/messages'), 'not even what looks right');
    $redis->command('HDEL', $states, "x$_") for 0 .. $#forged;
}

# an entry of another zone of the same fleet
{
    my $other = GraphPolicy::Fleet->start(nodes => 1, graph => $graph,
        redis => $redis, sync => 'prefix=other:');
    $other->send(0, '/88/messages', '400 133010');

    my $entry;
    wait_until(sub {
        ($entry) = grep { /"key":"88"/ } map { $_->[1][1] }
            @{ $redis->command('XREVRANGE', 'other:{z}:log', '+', '-') };
        $entry;
    });
    $redis->command('XADD', $log, '*', 'e', $entry);
    $trouble->in_touch('an entry of another zone');
    ok(!$fleet->blocks(0, '/88/messages'), 'does nothing here');
    $other->node(0)->stop;
}


is_deeply([$fleet->complaints], [], 'nothing in the log to worry about');

done_testing;
