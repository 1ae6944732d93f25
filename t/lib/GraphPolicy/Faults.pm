package GraphPolicy::Faults;

# An nginx in which one allocation fails, or which dies while it holds the mutex
# of a zone: t/tools/faults.c is preloaded into it.
#
#   my $faults = GraphPolicy::Faults->new;
#   my $nginx  = $faults->start(http => ...);
#   $faults->fail('own', 3);            # the third from now on
#   ... a request ...
#   my $hit = $faults->end;             # {seen, pid, name, from}, pid 0 if none
#   $faults->kill('kill', 5, 100);      # at the fifth lock, 100 instructions on
#
# The kinds of allocation: "own", those that the module asks for; "libc", those
# of anybody in the process; "slab", those in shared memory. The kinds of death:
# "kill" counts locks, "change" what is asked of shared memory or given back.

use strict;
use warnings;

use Cwd ();
use File::Basename ();
use File::Temp ();

use GraphPolicy ();

my $source = Cwd::abs_path(File::Basename::dirname(__FILE__)
    . '/../../tools/faults.c');

my %kinds = (own => 1, libc => 2, slab => 3, kill => 4, change => 5);

# why there can be none, if so
sub missing {
    return 'a sanitizer has to be the first library'
        if ($ENV{KIND} // '') eq 'asan';
    return 'valgrind has allocations of its own'
        if $ENV{TEST_NGINX_USE_VALGRIND};
    return '';
}

sub new {
    my ($class) = @_;

    my $temp = File::Temp->newdir('faults.XXXXXX', TMPDIR => 1);
    my $self = bless { temp => $temp, library => "$temp/faults.so",
        file => "$temp/control" }, $class;

    # workers are somebody else
    chmod 0755, "$temp" or die "chmod: $!";
    GraphPolicy::spew($self->{file}, "\0" x 4096);
    chmod 0666, $self->{file} or die "chmod: $!";

    system($ENV{CC} || 'cc', qw(-O1 -g -shared -fPIC -o), $self->{library},
        $source) == 0 or die 'faults.c is not compiled';

    open $self->{handle}, '+<', $self->{file} or die "control: $!";
    binmode $self->{handle};
    return $self;
}

# within it nginx is started so
sub within {
    my ($self, $what) = @_;

    local $ENV{LD_PRELOAD}  = $self->{library};
    local $ENV{FAULTS_FILE} = $self->{file};
    return $what->();
}

sub start {
    my ($self, %of) = @_;

    my $class = delete $of{class} // 'GraphPolicy::Nginx';
    return $self->within(sub { $class->start(%of) });
}

sub fail {
    my ($self, $kind, $at) = @_;
    $self->put($kinds{$kind} // die("no kind $kind"), $at, 0);
}

sub kill {
    my ($self, $kind, $at, $steps) = @_;
    $self->put($kinds{$kind} // die("no kind $kind"), $at, $steps);
}

# what has happened; nothing more does
sub end {
    my ($self) = @_;

    my %now;

    sysseek $self->{handle}, 0, 0;
    sysread $self->{handle}, my $bytes, 112;
    @now{qw(seen pid from)} = (unpack 'Q<6', $bytes)[3 .. 5];
    $now{name} = unpack 'Z*', substr $bytes, 48;

    $self->put(0, 0, 0);
    return \%now;
}

# whether it has happened by now
sub hit {
    my ($self) = @_;

    sysseek $self->{handle}, 32, 0;
    sysread $self->{handle}, my $bytes, 8;
    return unpack 'Q<', $bytes;
}

# the kind is written last: nobody counts by half of it
sub put {
    my ($self, $kind, $at, $steps) = @_;

    sysseek $self->{handle}, 0, 0;
    syswrite $self->{handle}, pack 'Q<', 0;
    sysseek $self->{handle}, 8, 0;
    syswrite $self->{handle}, pack('Q<5', $at, $steps, 0, 0, 0) . "\0" x 64;
    sysseek $self->{handle}, 0, 0;
    syswrite $self->{handle}, pack 'Q<', $kind;
}

1;
