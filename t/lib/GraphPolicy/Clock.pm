package GraphPolicy::Clock;

# The clock of an nginx, set while it runs: libfaketime gives nginx the time of
# day, its timers run on.
#
#   my $clock = GraphPolicy::Clock->new;
#   my $nginx = $clock->within(sub { my (@main) = @_;
#       GraphPolicy::Nginx->start(@main, http => ...) });
#   $clock->step(-3600);
#   my $now = $clock->now;

use strict;
use warnings;

use File::Temp ();
use Time::HiRes qw(time);

use GraphPolicy qw(spew);

my ($faketime) = glob '/usr/lib/*/faketime/libfaketime.so.1';

# why there can be none, if so
sub missing {
    return 'libfaketime is missing (package faketime)'
        if !defined $faketime || !-e $faketime;
    return 'a sanitizer has to be the first library'
        if ($ENV{KIND} // '') eq 'asan';
    return '';
}

sub new {
    my ($class) = @_;

    my $temp = File::Temp->newdir('clock.XXXXXX', TMPDIR => 1);

    chmod 0755, "$temp" or die "chmod: $!";
    spew("$temp/now", '+0');
    return bless { temp => $temp, dir => "$temp", ahead => 0 }, $class;
}

# The environment is for nginx alone: neither this clock nor that of the Graph
# API is set.
sub within {
    my ($self, $start) = @_;

    my %faked = (
        LD_PRELOAD                   => $faketime,
        FAKETIME_TIMESTAMP_FILE      => "$self->{dir}/now",
        FAKETIME_NO_CACHE            => 1,
        DONT_FAKE_MONOTONIC          => 1,
        FAKETIME_DONT_FAKE_MONOTONIC => 1,
    );
    local @ENV{ keys %faked } = values %faked;

    return $start->(main => join '', map { "env $_;\n" } sort keys %faked);
}

# The file is replaced, as nginx reads it at any moment.
sub step {
    my ($self, $seconds) = @_;

    $self->{ahead} += $seconds;
    spew("$self->{dir}/new", sprintf '%+d', $self->{ahead});
    rename "$self->{dir}/new", "$self->{dir}/now" or die "rename: $!";
}

# what nginx has
sub now { return time + $_[0]{ahead} }

1;
