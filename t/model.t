#!/usr/bin/perl

# A random walk of sends, answers, probes that die, events, clears, time,
# evictions and reloads, in locations that enforce, gate conversations, cool
# down, and run dry: four workers say at each step what a model of the promise
# says, which is another program in another language.
#
# A difference prints its seed, and the shortest list of steps that shows it.
# GraphPolicy::Walks has what to set.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use GraphPolicy ();
use GraphPolicy::Walk ();
use GraphPolicy::Walks ();

plan skip_all => 'a sanitizer and the clock want to be the first library'
    if ($ENV{KIND} // '') eq 'asan';
plan skip_all => 'valgrind has a clock of its own'
    if $ENV{TEST_NGINX_USE_VALGRIND};

# steps that have shown a difference once
my @once = (

    # the status of a probe's message comes after the wait for it
    'event 1002 131042, time 66190, send message 1002 tokA accepted,'
    . ' time 70385, arrived 0 131042, time 10001, time 1656,'
    . ' send message 1001 tokB e133010',

    # the wait for a status ends, and nobody asks for minutes
    'send message 1003 tokB e131042, event 1003 133010, time 25490,'
    . ' hold message 1003 tokB, free 0 accepted, time 212467,'
    . ' send message 1003 tokC e133010, list',

    # a phone is registered anew when that wait is over
    'event 1003 133010, time 25490, send message 1003 tokB accepted,'
    . ' time 20000, register 1003 tokB, send message 1003 tokC accepted',

    # after the wait of a credential a receipt or an upload is the probe
    'send message 1009 tokC e4 gate 15550001111, time 138413,'
    . ' send receipt 1009 tokC e10 gate 15550001111',
    'send receipt 1009 tokB e4 dry 15550002222, time 69200,'
    . ' hold media 1009 tokB gate 15550002222,'
    . ' send template 1005 tokB e131047 gate 15550002222',

    # a state whose status never came is over, and no message begins another wait
    'event 1003 190 15550002222, time 135478,'
    . ' send message 1003 tokA accepted gate 15550001111,'
    . ' hold message 1002 tokB dry 15550002222, time 18195, free 5 accepted,'
    . ' list',

    # what has ended by itself is remembered from then on, though cleared later
    'event 1004 33 15550002222, time 23312, event 1004 33 15550002222,'
    . ' time 81237, send template 1004 tokB e133010 plain 15550001111,'
    . ' time 159119, send message 1004 tokB e131045 gate 15550001111,'
    . ' register 1004 tokB, send message 1004 tokC accepted plain 15550001111,'
    . ' arrived 0 33, send message 1004 tokA accepted dry 15550001111,'
    . ' time 109557, clear, time 110840,'
    . ' send message 1004 tokB e133010 plain 15550001111, list',

    # a probe that is accepted ends the limit that let it pass
    'event 1003 131026 15550002222, time 960000,'
    . ' send message 1009 tokB e190 gate 15550002222, time 130109,'
    . ' send message 1003 tokB accepted gate 15550002222, list',
);

GraphPolicy::Walks::take(once => \@once, seconds => 60,
    start => sub { GraphPolicy::Walk->start });

done_testing();
