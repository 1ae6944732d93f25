package GraphPolicy::Kept;

# A proxy that keeps the states of its zone "z" in a file. Its methods return
# the states that it knows and those in the file, and end it in various ways.
#
#   my $kept = GraphPolicy::Kept->new;          # $kept->file, $kept->dir
#   $kept->start(secrets => [...], http => <<"END");
#   graph_policy_zone zone=z:1m state=FILE;
#   ...
#   location /graph/ { graph_policy_api write=on; }
#   END
#   my $before = $kept->known;
#   $kept->settle;
#   $kept->end_by('KILL');
#   $kept->nginx->run;
#   is_deeply($kept->known, $before);
#
# FILE in "http" is the file.

use strict;
use warnings;

use File::Temp ();
use Test::More ();
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slurp wait_until);
use GraphPolicy::Api ();
use GraphPolicy::Webhook ();

# a state that is set to see that others are saved
my $marker = 99900099;

sub new {
    my ($class) = @_;

    my $temp = File::Temp->newdir('states.XXXXXX', TMPDIR => 1);

    # workers write there, who may be somebody else
    chmod 0777, "$temp" or die "chmod: $!";

    return bless { temp => $temp, dir => "$temp", file => "$temp/z.state",
        people => 0, phones => 10_000 }, $class;
}

sub dir   { $_[0]{dir} }
sub file  { $_[0]{file} }
sub hook  { $_[0]{hook} }
sub nginx { $_[0]{hook}{nginx} }
sub graph { $_[0]{hook}{graph} }
sub api   { $_[0]{api} }

sub new_phone { return ++$_[0]{phones} }

sub start {
    my ($self, %of) = @_;

    $self->{secrets} = delete $of{private};
    $of{http} =~ s/\bFILE\b/$self->{file}/g;
    $self->{hook} = GraphPolicy::Webhook->start(%of);
    return $self->follow;
}

# another nginx, with the same application and Graph API
sub follow {
    my ($self, $nginx) = @_;

    $self->{hook}{nginx} = $nginx if $nginx;
    $self->{api} = GraphPolicy::Api->new(port => $self->nginx->port,
        secrets => $self->{secrets});
    return $self;
}

# each send with a token of its own, unless told
sub send {
    my ($self, $phone, $script, %of) = @_;
    return $self->{hook}->send($phone, script => $script,
        token => 'tokenOfSomebody' . ++$self->{people}, %of);
}

# what the proxy did with a send, "-" if it just passed
sub fate {
    my ($self, $phone, $script, %of) = @_;
    return $self->send($phone, $script // '200', %of)
        ->{headers}{'x-graph-policy'} // '-';
}

# a phone's state, by hand
sub put {
    my ($self, $phone, %of) = @_;
    return $self->{api}->post('zones/z/states', { scope => 'phone',
        key => "$phone", reason => 'phone-disconnected', hold => '1h', %of });
}

sub drop {
    my ($self, $phone) = @_;

    my $id = $self->{api}->one('z', key => $phone)->{id} // 'none';
    return $self->{api}->delete("zones/z/states/$id");
}

# what has to be the same before and after, by id
sub known {
    my ($self) = @_;

    my $all = $self->{api}->lasting('z');
    delete @$all{ grep { $all->{$_}{scope} eq 'conversation'
        || ($all->{$_}{key} // '') eq $marker } keys %$all };
    return $all;
}

sub links {
    my ($self) = @_;
    return ($self->{api}->get('zones/z')->{json} || {})->{links} // '-';
}

# makes a change and waits until there is something new in the file
sub saves {
    my ($self, $name, $change) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $before = slurp($self->{file});
    $change->();
    Test::More::ok(wait_until(sub { slurp($self->{file}) ne $before }, 5),
        "$name: saved a moment later");
}

# Until all that has changed before is in the file: the first file that is new
# from now on has it.
sub settle {
    my ($self) = @_;

    my $before = slurp($self->{file});
    $self->put($marker, hold => 3600 + int(rand 3600) . 's');
    return wait_until(sub { slurp($self->{file}) ne $before }, 5);
}

# until these processes have ended
sub gone {
    my ($self, @pids) = @_;

    return wait_until(sub { !grep {
        slurp("/proc/$_/status") =~ /^State:\s+[^ZX\s]/m } @pids });
}

# KILL ends each process, the others the master, who ends the rest
sub end_by {
    my ($self, $signal) = @_;

    # a master that is killed while it starts a worker would leave that one
    if ($signal eq 'KILL') {
        kill 'STOP', $self->nginx->pid;
        wait_until(sub { $self->nginx->state =~ /[TZ]/ });
    }

    my @workers = $self->nginx->children;

    $self->nginx->stop($signal);
    kill $signal, @workers if $signal eq 'KILL';
    return $self->gone(@workers);
}

1;
