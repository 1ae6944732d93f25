#!/usr/bin/perl

# The random walk of t/model.t through hosts that share their states by an
# engine: each step goes to one of them, all hear of it, and each of them says
# then what one model says of all. The engine dies and comes back empty, and
# hosts reload.
#
# MODEL_HOSTS is how many hosts there are (2). Of three or more the last one
# doesn't share conversations; of two neither does in every fourth walk.
# GraphPolicy::Walks has the rest.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use GraphPolicy ();
use GraphPolicy::WalkFleet ();
use GraphPolicy::Walks ();

plan skip_all => 'a sanitizer and the clock want to be the first library'
    if ($ENV{KIND} // '') eq 'asan';
plan skip_all => 'valgrind has a clock of its own'
    if $ENV{TEST_NGINX_USE_VALGRIND};

my $hosts = $ENV{MODEL_HOSTS} || 2;

# steps that have shown a difference once
my @once = (
);

GraphPolicy::Walks::take(once => \@once, seconds => 40, start => sub {
    my ($number) = @_;

    return GraphPolicy::WalkFleet->start(count => $hosts,
        alone => $hosts > 2 ? { $hosts - 1 => 1 }
            : { map { $_ => 1 } $number % 4 == 3 ? 0 .. $hosts - 1 : () });
});

done_testing();
