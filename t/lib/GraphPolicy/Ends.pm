package GraphPolicy::Ends;

# Sends of several kinds under load, while something happens, each counted at
# both ends: what its client got, and how often it reached the Graph API.
#
#   my $ends = GraphPolicy::Ends->new(nginx => $nginx, graph => $graph,
#       kinds => {
#           open => { send => sub { path => '/1/messages', mock => '200' },
#               right => qr/^200 - 1\z/ },
#           ...
#       });
#   $ends->while('a reload', sub { $nginx->reload });
#   $ends->while('a crash', sub { ... }, right => { open => qr/.../ });
#
# "send" is given the name of the request and its number, and returns arguments
# of GraphPolicy::start_request. An answer is compared as "STATUS POLICY SEEN",
# with "-" where there is no X-Graph-Policy, and with the kind of failure
# ("closed", "timeout") instead of the status where it isn't complete. "each" of
# a kind is called with each of its answers, and returns what is wrong with it.
#
# Kinds that nearly all want are made by passing(PATH), blocked(PATH), and, of a
# location with a hold of a millisecond, by flapping(PATH), which is set and
# cleared in turn.

use strict;
use warnings;

use List::Util qw(sum0);
use Test::More ();

use GraphPolicy ();
use GraphPolicy::Load ();

use Exporter 'import';

our @EXPORT_OK = qw(passing blocked flapping);

sub passing {
    my ($path) = @_;
    return { right => qr/^200 - 1\z/, send => sub {
        (path => $path, token => 'a', mock => '200') } };
}

sub blocked {
    my ($path) = @_;
    return { %{ passing($path) }, right => qr/^400 blocked 0\z/ };
}

sub flapping {
    my ($path) = @_;
    return {
        right => qr/^(?:400\ blocked\ 0|[24]00\ (?:-|passed|probe)\ 1)\z/x,
        send  => sub {
            my ($name, $number) = @_;
            (path => $path, token => 'a',
                mock => $number % 2 ? '200' : '400 133010') } };
}

sub new {
    my ($class, %of) = @_;

    return bless { processes => 2, at_once => 4, least => 5, sent => 0,
        round => 0, %of }, $class;
}

# what reached the Graph API, while that happened, with an X-Name "other..."
sub others { @{ $_[0]{others} } }

# so many sends more reach the Graph API
sub go_on {
    my ($self, $more) = @_;

    my $count = $self->{graph}->count + ($more // 40);
    return $self->{graph}->wait_for($count, 20) >= $count;
}

# {kind => {result => how often}}
sub while {
    my ($self, $name, $happens, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $kinds = $self->{kinds};
    my @kinds = sort keys %$kinds;
    my $round = ++$self->{round};

    $self->{graph}->clear;

    my $load = GraphPolicy::Load->start(port => $self->{nginx}->port,
        processes => $self->{processes}, at_once => $self->{at_once},
        seconds => $of{seconds} // 60,
        next => sub {
            my ($client, $number) = $_[0] =~ /^(\d+)\.(\d+)\z/;
            my $kind = $kinds[ ($number + $client) % @kinds ];
            my $unique = ($round * 10 + $client) * 100_000 + $number;
            my %send = $kinds->{$kind}{send}->($_[0], $unique);

            push @{ $send{headers} }, 'X-Name' => $_[0], 'X-Key' => $unique;
            return (kind => $kind, timeout => 60, %send);
        });

    Test::More::ok($self->go_on, "$name: sends go on before");
    $happens->();
    Test::More::ok($self->go_on, "$name: and after");

    my @answers = $load->stop;
    my (%seen, %got, @wrong);

    $self->{others} = [];

    for my $request ($self->{graph}->take) {
        my $name = $request->{headers}{'x-name'} // '-';

        if ($name =~ /^other/) {
            push @{ $self->{others} }, $request;
        } else {
            $seen{$name}++;
        }
    }

    for my $answer (@answers) {
        my $kind = $answer->{kind};
        my $got  = join ' ', $answer->{error} // $answer->{status} // 'none',
            $answer->{headers}{'x-graph-policy'} // '-',
            delete $seen{ $answer->{name} } // 0;
        my $right = ($of{right} || {})->{$kind} // $kinds->{$kind}{right};

        $got{$kind}{$got}++;
        push @wrong, "$answer->{name}, $kind: $got" if $got !~ $right;
        push @wrong, map { "$answer->{name}, $kind: $_" }
            grep { defined } $kinds->{$kind}{each}->($answer)
            if $kinds->{$kind}{each};
    }

    Test::More::is_deeply([@wrong[0 .. ($#wrong < 9 ? $#wrong : 9)]], [],
        "$name: each of " . @answers . ' sends is answered as it should be');
    Test::More::is(scalar keys %seen, 0,
        "$name: the Graph API got none that nobody sent");

    my @few = grep { my $kind = $_;
        sum0(values %{ $got{$kind} || {} }) < $self->{least} } @kinds;
    Test::More::is_deeply(\@few, [], "$name: there are some of each kind");

    $self->{sent} += @answers;
    Test::More::note("$name: ", join '; ', map { my $kind = $_;
        "$kind " . join ', ', map { "$got{$kind}{$_} x $_" }
            sort keys %{ $got{$kind} } } sort keys %got);
    return \%got;
}

1;
