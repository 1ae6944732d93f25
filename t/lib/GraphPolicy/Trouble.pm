package GraphPolicy::Trouble;

# What has to hold of a fleet whatever happens to it: sends pass meanwhile, and
# when it is over all hosts know the same within 2 seconds, a new one included.
#
#   my $trouble = GraphPolicy::Trouble->new($fleet);
#   $trouble->with('flushed', sub { $redis->command('FLUSHALL') });
#   $trouble->newcomer('flushed');

use strict;
use warnings;

use Test::More ();
use Time::HiRes qw(time sleep);

use GraphPolicy qw(wait_until);

sub new {
    my ($class, $fleet) = @_;
    return bless { fleet => $fleet, phone => 1000 }, $class;
}

# a state that host i learns; its path
sub learn {
    my ($self, $i, %of) = @_;

    my $path = '/' . ++$self->{phone} . '/messages';
    $self->{fleet}->send($i, $path, '400 133010', %of);
    return $path;
}

# both ways between the first two hosts, within so many seconds (2); all know
# the same then
sub in_touch {
    my ($self, $name, $seconds) = @_;

    my $fleet = $self->{fleet};

    for my $from (0, 1) {
        my $path = $self->learn($from);
        my $begun = time;
        my $there = wait_until(sub { $fleet->blocks(1 - $from, $path) },
            $seconds || 2);

        Test::More::ok($there, sprintf '%s: what host %d learns then the other'
            . ' knows (%.0f ms)', $name, $from, 1000 * (time - $begun));
    }

    Test::More::ok($fleet->agree(2), "$name: both know the same")
        or Test::More::diag($fleet->knows(0), "-\n", $fleet->knows(1));
}

# a host that starts now knows what the others do
sub newcomer {
    my ($self, $name) = @_;

    my $fleet = $self->{fleet};
    my $nginx = $fleet->add;
    my $i = $#{ $fleet->{node} };

    Test::More::ok(wait_until(sub { $fleet->knows($i) eq $fleet->knows(0) },
        2), "$name: so does a new host")
        or Test::More::diag($fleet->knows($i), "-\n", $fleet->knows(0));
    $nginx->stop;
    pop @{ $fleet->{node} };
}

# what happens, with sends beside it; "hosts" are those that get them (all)
sub with {
    my ($self, $name, $what, %of) = @_;

    my $load = $self->{fleet}->load($of{hosts});
    $what->();
    $self->in_touch($name, $of{seconds});
    $self->{fleet}->unharmed($load, $name);
}

sub resyncs {
    my ($self, $i, $why) = @_;
    return $self->{fleet}->metric($i, 'sync_resyncs_total', qq(why="$why"));
}

1;
