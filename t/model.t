#!/usr/bin/perl

# A random walk of sends, answers, probes that die, events, clears, time,
# evictions and reloads: four workers say at each step what a model of the
# promise says, which is another program in another language.
#
# MODEL_STEPS is how many steps (8,000), MODEL_SEED where to begin, MODEL_WALKS
# how many walks there are side by side (1). A difference prints its seed, and
# the shortest list of steps that shows it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use GraphPolicy ();
use GraphPolicy::Walk ();

plan skip_all => 'libfaketime is missing (package faketime)'
    if !GraphPolicy::Walk::faketime();
plan skip_all => 'a sanitizer and libfaketime want to be the first library'
    if ($ENV{KIND} // '') eq 'asan';
plan skip_all => 'valgrind has a clock of its own'
    if $ENV{TEST_NGINX_USE_VALGRIND};

my $steps   = $ENV{MODEL_STEPS} || 8000;
my $walks   = $ENV{MODEL_WALKS} || 1;
my $seed    = $ENV{MODEL_SEED} // 1;
my $part    = 2000;

# a bounded run ends in time on a slow machine, too
my $seconds = $ENV{MODEL_STEPS} ? 1e9 : 60;

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
);

my @pids;

for my $number (0 .. $walks - 1) {
    pipe my $from, my $to or die "pipe: $!";
    my $pid = fork // die "fork: $!";

    if (!$pid) {
        close $from;
        print {$to} walk($number);
        close $to;
        exit 0;
    }

    close $to;
    push @pids, [$pid, $from];
}

my $done = 0;

for (@pids) {
    my ($pid, $from) = @$_;
    my ($taken, $said) = (<$from> // 0, join '', <$from>);

    waitpid $pid, 0;
    $done += $taken;
    is($said, '', 'each step is as the model says');
    is($?, 0, 'and nginx ends in peace');
}

note "$done steps";
cmp_ok($done, '>', $ENV{MODEL_STEPS} ? $steps - 1 : 500, 'steps were taken');

done_testing();

# every so manieth part of all is this walk's
sub walk {
    my ($number) = @_;

    my $walk = GraphPolicy::Walk->start;
    my $end  = time + $seconds;
    my $said = '';

    for (@once) {
        my @steps = map { [map { $_ eq '-' ? undef : $_ } split] } split /,/;
        my $wrong = $walk->run(@steps) // next;

        return "0\nonce more: $wrong";
    }

    for (my $at = $number * $part; $at < $steps && time < $end;
        $at += $walks * $part)
    {
        my $own   = $seed + $at / $part;
        my @steps = $walk->steps($own,
            $steps - $at < $part ? $steps - $at : $part);
        my $wrong = $walk->run(@steps) // next;
        my ($last) = $wrong =~ /^step (\d+)/;

        print STDERR "# seed $own: $wrong\n";
        @steps = $walk->shrink(@steps[0 .. $last - 1]);
        $said = join "\n", "seed $own: $wrong", 'the shortest that shows it:',
            map({ GraphPolicy::Walk::text($_) } @steps), $walk->run(@steps)
            // 'not any more';
        last;
    }

    $said ||= $walk->odd;

    return "$walk->{done}\n$said";
}
