package GraphPolicy::Daemon;

# An nginx that has left its parent, as nginx ignores USR2 otherwise. With USR2
# it does a binary upgrade, to the same binary.
#
#   my $nginx = GraphPolicy::Daemon->start(http => ..., workers => 2);
#   my $old = $nginx->pid;
#   $nginx->signal('USR2');
#   $nginx->follow($old);               # pid and workers are the new master's
#   $nginx->stop_master($old, 'QUIT');
#   $nginx->lead($old);                 # or else: back to the old one

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();

use GraphPolicy qw(slurp wait_until);

our @ISA = 'GraphPolicy::Nginx';

# what is executed again needs its whole path
sub command {
    my ($self, @more) = @_;

    local $GraphPolicy::nginx_binary = $GraphPolicy::nginx_binary =~ m{/}
        ? $GraphPolicy::nginx_binary
        : (grep { -x } map { "$_/$GraphPolicy::nginx_binary" } split /:/,
            $ENV{PATH})[0];

    return $self->SUPER::command(@more);
}

sub run {
    my ($self) = @_;

    # sockets of whoever runs the test
    delete local $ENV{NGINX};

    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', "$self->{dir}/nginx.out" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        open STDIN, '<', '/dev/null' or POSIX::_exit(1);
        exec { ($self->command)[0] } $self->command or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    die 'nginx did not start: ' . $self->said if $?;
    $self->follow($self->{pid}) or die 'nginx did not come up';
}

# the new master that the file of its process id names, as soon as it serves
sub follow {
    my ($self, $old) = @_;

    my $pid = wait_until(sub {
        my ($now) = slurp("$self->{dir}/nginx.pid") =~ /^(\d+)$/;
        return $now && $now != ($old // 0) ? $now : undef;
    }) or return;

    # ended with the test, if not before
    GraphPolicy::adopt($pid);
    $self->lead($pid);
    return wait_until(sub {
        (my @workers = $self->workers) == ($self->{workers} || 1)
            && IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                PeerPort => $self->{port}) });
}

# a new master is a child of the old one, too
sub workers {
    my ($self) = @_;
    return grep { slurp("/proc/$_/cmdline") !~ /master process/ }
        $self->SUPER::workers;
}

# The master whose process id and workers are meant from now on. An old one
# that gets the file of process ids back has noticed by then that the new one is
# gone: before, it ignores a signal to upgrade.
sub lead {
    my ($self, $pid) = @_;
    $self->{pid} = $pid;
    return wait_until(sub { slurp("$self->{dir}/nginx.pid") =~ /^$pid$/ });
}

# a master by its process id, this one or another
sub stop_master {
    my ($self, $pid, $signal) = @_;
    return GraphPolicy::end_process($pid, $signal);
}

1;
