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

my $hosts = ($ENV{MODEL_HOSTS} // 0) > 1 ? $ENV{MODEL_HOSTS} : 2;

# steps that have shown a difference once
my @once = (

    # a status of another failure ends the wait on the host that it comes to
    '0 event 1005 131042 15550002222, 0 time 98646,'
    . ' 0 send message 1004 tokA accepted gate 15550002222,'
    . ' 0 arrived 0 130429, 1 time 6000,'
    . ' 1 send message 1004 tokA accepted plain 15550002222, 1 list',

    # a probe that told nothing puts the next one off on all hosts, whoever it
    # was that set the state last, and whatever the hold is
    '1 hand phone 1001 phone-disconnected 305 0, 0 time 326000,'
    . ' 1 send message 1001 tokB nothing plain 15550001111,'
    . ' 0 send message 1001 tokA accepted plain 15550001111, 0 list, 1 list',

    # one that was none leaves the state due on all
    '0 send message 1003 tokA e133010 plain 15550001111, 0 time 11100,'
    . ' 0 send message 1003 tokB e100 plain 15550001111,'
    . ' 1 send message 1003 tokC accepted plain 15550001111',

    # the wait for a status is over while hosts tell each other old news
    '0 event 1003 133010 15550001111, 0 time 12000,'
    . ' 1 send message 1003 tokC accepted plain 15550002222, 0 time 10001,'
    . ' 1 time 500, 0 time 500, 1 send message 1003 tokA e133010 plain'
    . ' 15550001111, 0 list',

    # a phone is registered where its state is due, which it isn't elsewhere
    '0 send template 1003 tokB e33 gate 15550001111, 1 list, 0 time 111666,'
    . ' 0 hold message 1003 tokB gate 15550001111, 1 register 1003 tokB,'
    . ' 1 list, 0 list',

    # a temporary state is told back as it was told
    '0 send message 1001 tokA e4 dry 15550001111, 0 time 24391,'
    . ' 0 time 21139, 1 time 123902, 1 list',

    # a phone is registered anew on one host, and probed on another
    '0 send message 1003 tokA e133010 plain 15550001111, 0 time 11100,'
    . ' 0 hold message 1003 tokB plain 15550001111, 1 register 1003 tokC,'
    . ' 0 send message 1003 tokC e133010 plain 15550001111, 0 free 0 e133010,'
    . ' 0 list',

    # the one who set a state and another one probe, each on a host of their own
    '0 send message 1003 tokA e133010 plain 15550001111, 0 time 11100,'
    . ' 1 hold message 1003 tokB plain 15550001111,'
    . ' 0 hold message 1003 tokA plain 15550001111,'
    . ' 1 send message 1003 tokA accepted plain 15550001111,'
    . ' 0 free 0 nothing, 0 free 0 e100,'
    . ' 0 send message 1003 tokC accepted plain 15550001111, 1 list',
);

GraphPolicy::Walks::take(once => \@once, seconds => 40, start => sub {
    my ($number) = @_;

    return GraphPolicy::WalkFleet->start(count => $hosts,
        alone => $hosts > 2 ? { $hosts - 1 => 1 }
            : { map { $_ => 1 } $number % 4 == 3 ? 0 .. $hosts - 1 : () });
});

done_testing();
