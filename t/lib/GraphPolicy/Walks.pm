package GraphPolicy::Walks;

# Random walks side by side, each in a process of its own, and what becomes of
# them as tests: t/model.t and t/model_fleet.t.
#
#   GraphPolicy::Walks::take(once => \@once, seconds => 60,
#       start => sub { GraphPolicy::Walk->start });
#
# once: lists of steps, as text, that have shown a difference once; seconds: how
# long a bounded run takes at most; start: is given the number of the walk.
#
# MODEL_STEPS is how many steps (20,000), MODEL_SEED where to begin, MODEL_WALKS
# how many walks there are side by side (1).

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

my $part = 2000;

sub take {
    my (%of) = @_;

    $of{steps} = $ENV{MODEL_STEPS} || 20_000;
    $of{walks} = $ENV{MODEL_WALKS} || 1;
    $of{seed}  = $ENV{MODEL_SEED} // 1;

    # a bounded run ends in time on a slow machine, too
    $of{seconds} = 1e9 if $ENV{MODEL_STEPS};

    my (@walks, $done);

    for my $number (0 .. $of{walks} - 1) {
        pipe my $from, my $to or die "pipe: $!";
        my $pid = fork // die "fork: $!";

        if (!$pid) {
            close $from;
            print {$to} walk($number, %of);
            close $to;
            exit 0;
        }

        close $to;
        push @walks, [$pid, $from];
    }

    for (@walks) {
        my ($pid, $from) = @$_;
        my ($taken, $said) = (<$from> // 0, join '', <$from>);

        waitpid $pid, 0;
        $done += $taken;
        is($said, '', 'each step is as the model says');
        is($?, 0, 'and nginx ends in peace');
    }

    note "$done steps";
    cmp_ok($done, '>', $ENV{MODEL_STEPS} ? $of{steps} - 1 : 500,
        'steps were taken');
}

# every so manieth part of all is this walk's
sub walk {
    my ($number, %of) = @_;

    my $walk = $of{start}->($number);
    my $end  = time + $of{seconds};
    my $said = '';

    for (@{ $of{once} }) {
        my @steps = map { [map { $_ eq "-" ? undef : $_ } split] } split /,/;
        my $wrong = $walk->run(@steps) // next;

        return "0\nonce more: $wrong";
    }

    for (my $at = $number * $part; $at < $of{steps} && time < $end;
        $at += $of{walks} * $part)
    {
        my $own   = $of{seed} + $at / $part;
        my @steps = $walk->steps($own,
            $of{steps} - $at < $part ? $of{steps} - $at : $part);
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

1;
