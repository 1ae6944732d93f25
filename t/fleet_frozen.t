#!/usr/bin/perl

# A frozen state has no end, so old entries of one could come back for ever:
# they are believed for a day, told anew before that, and the end of the state is
# remembered for longer.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw(hmac_sha256 hmac_sha256_hex);
use GraphPolicy qw(wait_until slow);
use GraphPolicy::Fleet;
use Time::HiRes qw(time sleep);

my $fleet = GraphPolicy::Fleet->start(nodes => 2, hold => '1h max=1h');
my $redis = $fleet->redis;
my ($log, $states) = map { "graph_policy:{z}:$_" } qw(log states);
my $hour = 3600_000;

sub freeze {
    my ($key) = @_;
    return $fleet->api(0, POST => 'zones/z/states', { scope => 'phone',
        key => "$key", reason => 'phone-disconnected',
        probe => JSON::PP::false })->{id};
}

# as a host of this fleet has signed it so long ago
sub told {
    my ($text, $ago, %with) = @_;

    my ($node, $seq, $sent, $lease, $body)
        = $text =~ /^1 (\S+) (\d+) (\d+) (\d+) \S+ (.*)$/s or die $text;
    $body =~ s/"$_":\d+/"$_":$with{$_}/ for keys %with;
    my $head = join ' ', 1, $node, $seq, int(time * 1000) - $ago, $lease;
    my $key = hmac_sha256('graph_policy 1 entry', 'k' x 32);
    my $mac = substr hmac_sha256_hex("$log\n$head\n$body", $key), 0, 32;
    return "$head $mac $body";
}

sub sent { return ($redis->command('HGET', $states, $_[0]) =~ /^1 \S+ \d+ (\d+)/)[0] }


# -- put there again, when the end is known -----------------------------------

my $id = freeze(101);
ok(wait_until(sub { $fleet->blocks(1, '/101/messages') }), 'a state is frozen');
my $old = $redis->command('HGET', $states, $id);

is($fleet->api(1, DELETE => "zones/z/states/$id"), 204, 'and ended');
ok(wait_until(sub { !$fleet->blocks(0, '/101/messages') }), 'everywhere');
like($redis->command('HGET', $states, $id), qr/"frozen":true/,
    'its end says of what it is the end');

$redis->command('HSET', $states, $id, $old);
$redis->command('XADD', $log, '*', 'e', $old);
$fleet->add;
$fleet->settle;
ok(wait_until(sub { !keys %{ $fleet->states(2) } }, 30 * slow()),
    'put there again it misleads a new host until the others find out');
is_deeply([map { scalar keys %{ $fleet->states($_) } } 0, 1], [0, 0],
    'and them not at all');
(pop @{ $fleet->{node} })->stop;


# -- put there again, when nobody knows it ------------------------------------

my $unknown = $old =~ s/"key":"101"/"key":"102"/r;
my $field = 'a' x 18;

$redis->command('HSET', $states, $field, told($unknown, 25 * $hour));
$redis->command('XADD', $log, '*', 'e', told($unknown, 25 * $hour));
sleep 2.5 * slow();
is(scalar(keys %{ $fleet->states($_) }), 0,
    "told a day ago: host $_ does not believe it") for 0, 1;
$fleet->add;
$fleet->settle;
sleep 1;
is(scalar(keys %{ $fleet->states(2) }), 0, 'nor does a new one');
(pop @{ $fleet->{node} })->stop;

# a hold ends by itself, so that is believed whenever it was told
my $hold = told($unknown =~ s/"until":\d+/"until":1/r, 25 * $hour,
    until => int(time * 1000) + $hour, hold => $hour,
    changed => int(time * 1000) - 1000);
$redis->command('XADD', $log, '*', 'e', $hold);
ok($fleet->blocked(1, '/102/messages'), 'a hold is another matter');

# by host 1, as it says to be of host 0, which doesn't hear itself: hosts that
# don't know the same tell all anew after a while
$fleet->api(1, DELETE => 'zones/z/states');
$redis->command('HDEL', $states, $field);


# -- a fleet that was away ----------------------------------------------------

$redis->command('HSET', $states, $field, told($old =~
    s/"key":"101"/"key":"104"/r, 23 * $hour));
$fleet->add;
ok(wait_until(sub { $fleet->blocks(2, '/104/messages') }, 3 * slow()),
    'told less than a day ago: a host that starts takes it');
(pop @{ $fleet->{node} })->stop;
$redis->command('HDEL', $states, $field);
$fleet->api(0, DELETE => 'zones/z/states');


# -- told anew ----------------------------------------------------------------

$id = freeze(105);
ok(wait_until(sub { $redis->command('HGET', $states, $id) }), 'frozen');
my $now = $redis->command('HGET', $states, $id);
my $recent = told($now, 5 * $hour);
$redis->command('HSET', $states, $id, $recent);
sleep 2.5 * slow();
is($redis->command('HGET', $states, $id), $recent,
    'what was told some hours ago stays');
$redis->command('HSET', $states, $id, told($now, 7 * $hour));
ok(wait_until(sub { sent($id) > (time - 60) * 1000 }, 8 * slow()),
    'before it is too old to be believed it is told anew');
ok($fleet->blocks(1, '/105/messages'), 'and goes on');

is_deeply([$fleet->complaints], [], 'nothing in the log to worry about');

done_testing;
