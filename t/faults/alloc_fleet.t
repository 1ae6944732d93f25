#!/usr/bin/perl

# Memory runs out once in a host that shares its states with another one: it
# goes on, and both know the same a moment later.
#
# Environment:
#   ALLOC_ALL   "yes" tries every allocation; else ALLOC_SOME (6) of each kind
#   ALLOC_SEED  others of them (1)

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use List::Util qw(shuffle);

use GraphPolicy qw(wait_until);
use GraphPolicy::Faults;
use GraphPolicy::Fleet;

plan skip_all => GraphPolicy::Faults::missing()
    if GraphPolicy::Faults::missing();
plan skip_all => 'there is no redis-server'
    if system("$GraphPolicy::Redis::binary --version >/dev/null 2>&1");

my $all    = ($ENV{ALLOC_ALL} // '') eq 'yes';
my $some   = $ENV{ALLOC_SOME} || 6;
srand($ENV{ALLOC_SEED} || 1);
my $faults = GraphPolicy::Faults->new;
my $redis  = GraphPolicy::Redis->start;
my $fleet;

# the engine isn't to run out of memory
$faults->within(sub {
    $fleet = GraphPolicy::Fleet->start(nodes => 1, redis => $redis,
        hold => '1h');
});
$fleet->add;
ok($fleet->settle, 'two hosts');

my ($worker) = $fleet->node(0)->workers;
my $phone = 1000;

# Both learn something that the other one has to know. Whatever becomes of a
# send without memory, the next one has some. With "again" the connection to the
# engine breaks before.
sub both_learn {
    my ($kind, $i, $again) = @_;

    my @paths = map { '/' . ++$phone . '/messages' } 1 .. 3;

    $faults->fail($kind, $i);
    $redis->command('CLIENT', 'KILL', 'TYPE', 'normal') if $again;
    $fleet->send(1, $paths[0], '400 131042 trace=T');
    my $touch = wait_until(sub { $fleet->blocks(0, $paths[0]) }, 5);
    my @ours = grep { ($fleet->send(0, $_, '400 133010 trace=T')
        ->{headers}{'x-graph-policy'} // '') eq 'passed' } @paths[1, 2];
    my $told = wait_until(sub { !grep { !$fleet->blocks(1, $_) } @ours }, 5);
    my $hit = $faults->end;

    my @wrong;

    push @wrong, 'more than one send fails' if !@ours;
    push @wrong, 'it hears nothing' if !$touch;
    push @wrong, 'it tells nothing' if !$told;
    push @wrong, 'they differ' if !$fleet->agree(5);
    push @wrong, 'the worker died'
        if (($fleet->node(0)->workers)[0] // 0) != $worker;
    ($worker) = $fleet->node(0)->workers;

    return ($hit, map { sprintf '%s %d, %s at %#x: %s', $kind, $i,
        $hit->{name}, $hit->{from}, $_ } @wrong);
}

for my $again (0, 1) {
    my $name = $again ? ', while it connects again' : '';

    for my $kind (qw(own slab libc)) {
        my ($seen, @wrong) = both_learn($kind, 0, $again);
        my @numbers = 1 .. $seen->{seen};

        @numbers = grep { defined } (shuffle @numbers)[0 .. $some - 1]
            if !$all;
        push @wrong, (both_learn($kind, $_, $again))[1 .. 9] for @numbers;
        @wrong = grep { defined } @wrong;

        is_deeply(\@wrong, [], 'both know the same although memory ran out'
            . "$name (" . @numbers . " times, $kind)");
    }
}

is_deeply([grep { !/(?:malloc|memalign|calloc)\(/ } $fleet->complaints], [],
    'nothing else is worth an alert');

done_testing();
