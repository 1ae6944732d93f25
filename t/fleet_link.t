#!/usr/bin/perl

# The link to the engine is cut: nothing comes back, not even a refusal.  The
# engine runs in a network namespace of its own, behind a link that this test
# takes down, which only root may do.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(wait_until slow free_ports);
use GraphPolicy::Fleet;
use GraphPolicy::Trouble;
use Time::HiRes qw(time sleep);

my $name = "graph$$";
my @link = map { "gp$_" . $$ % 100000 } 'a', 'b';
my $net  = '10.231.' . $$ % 250;
my $made = 0;

sub ip { return system("ip @_ >/dev/null 2>&1") == 0 }

plan skip_all => 'needs root, and ip with network namespaces'
    if $> || !ip('netns', 'add', $name);

END {
    if ($made++ == 0 && $name) {
        my $status = $?;
        ip('netns', 'del', $name);
        ip('link', 'del', $link[0]);
        $? = $status;
    }
}

plan skip_all => 'a link between network namespaces is not allowed here'
    if !ip('link', 'add', $link[0], 'type', 'veth', 'peer', 'name', $link[1],
        'netns', $name)
    || !ip('addr', 'add', "$net.1/30", 'dev', $link[0])
    || !ip('link', 'set', $link[0], 'up')
    || !ip('-n', $name, 'addr', 'add', "$net.2/30", 'dev', $link[1])
    || !ip('-n', $name, 'link', 'set', $link[1], 'up');

my $redis = bless { host => "$net.2", set => { save => '""',
    'protected-mode' => 'no' },
    within => ['ip', 'netns', 'exec', $name] }, 'GraphPolicy::Redis';
$redis->start_here;

my $fleet = GraphPolicy::Fleet->start(redis => $redis, hold => '1h max=1h');
my $trouble = GraphPolicy::Trouble->new($fleet);

$trouble->in_touch('all well');

my @apart;

$trouble->with('the link is cut for 6 s', sub {
    ip('-n', $name, 'link', 'set', $link[1], 'down');
    @apart = map { $trouble->learn($_) } 0, 1;

    ok(wait_until(sub { !$fleet->sync(0)->{connected} }, 5),
        'cut: a host knows that it is alone');
    sleep 3;
    ok($fleet->blocks(0, $apart[0]), 'and goes on by itself');
    ok(!$fleet->blocks(1, $apart[0]), 'as the other does');

    ip('-n', $name, 'link', 'set', $link[1], 'up');
});

ok($fleet->blocks(1 - $_, $apart[$_]),
    "what host $_ learnt when it was cut off all know") for 0, 1;
$trouble->newcomer('the link is cut for 6 s');

for my $i (0, 1) {
    my @lines = $fleet->node($i)->log =~ /(is out of touch[^\n]*|again\n)/g;
    is(@lines, 2, "host $i says once that it is cut off, and once that it is"
        . ' back') or diag @lines;
}

# shorter than anybody's patience
$trouble->with('the link is cut for half a second', sub {
    ip('-n', $name, 'link', 'set', $link[1], 'down');
    $trouble->learn(0);
    sleep 0.5;
    ip('-n', $name, 'link', 'set', $link[1], 'up');
});

is_deeply([$fleet->complaints], [], 'nothing in the log to worry about');

done_testing;
