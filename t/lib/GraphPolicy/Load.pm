package GraphPolicy::Load;

# Clients that send without a pause, in processes of their own, while a test
# does something else.
#
#   my $load = GraphPolicy::Load->start(port => $nginx->port, next => sub {
#       my ($name) = @_;                # of this request alone: "1.1", "1.2"
#       return (kind => 'open', path => "/1001/messages", ...);
#   });
#   ...
#   my @answers = $load->stop;
#
# "next" is called in the other process for each request; it returns arguments
# for GraphPolicy::start_request. Each of the "processes" (2) has "at_once" (4)
# requests under way. A request whose connection is refused is sent again. Any
# other outcome is an answer: that of GraphPolicy::request without its body, and
# with "name", "kind" and "bytes", the number of bytes received.
#
# A load ends by itself after "seconds" (20), or with the test.

use strict;
use warnings;

use POSIX ();
use Storable ();
use Time::HiRes qw(sleep time);

use GraphPolicy qw(advance slow start_request);

sub start {
    my ($class, %of) = @_;

    %of = (processes => 2, at_once => 4, seconds => 20, %of);

    # closed by stop(), or by the end of the test
    pipe my $until, my $hold or die "pipe: $!";

    my $self = bless { hold => $hold, clients => [] }, $class;

    for my $number (1 .. $of{processes}) {
        pipe my $from, my $to or die "pipe: $!";
        my $pid = fork // die "fork: $!";

        if (!$pid) {
            close $hold;
            my $answers = eval { send_all(\%of, $number, $until) };
            print STDERR "load: $@" if $@;
            print {$to} Storable::freeze($answers) if $answers;
            close $to;
            POSIX::_exit(0);
        }

        GraphPolicy::adopt($pid);
        close $to;
        push @{ $self->{clients} }, [$pid, $from];
    }

    return $self;
}

# all answers, those under way are awaited
sub stop {
    my ($self) = @_;

    close delete $self->{hold};

    return map {
        my ($pid, $from) = @$_;
        my $text = do { local $/; <$from> };

        GraphPolicy::end_process($pid, 'TERM');
        die 'a client failed' if !length $text;
        @{ Storable::thaw($text) };
    } @{ delete $self->{clients} };
}


# -- a client -----------------------------------------------------------------

sub send_all {
    my ($of, $number, $until) = @_;

    my $end = time + $of->{seconds} * slow();
    my (@calls, @answers, $sent);

    while (!is_over($until) && time < $end) {
        while (@calls < $of->{at_once}) {
            my $name    = "$number." . ++$sent;
            my %request = $of->{next}->($name);
            push @calls, call({ name => $name, kind => delete $request{kind},
                request => { port => $of->{port}, %request } });
        }

        my %open = map { $_ => 1 } advance($of->{at_once} - 1, @calls);
        my @done = grep { !$open{$_} } @calls;
        @calls = grep { $open{$_} } @calls;

        my @refused = grep { ($_->{error} // '') eq 'connect' } @done;
        push @answers, map { answer($_) }
            grep { ($_->{error} // '') ne 'connect' } @done;

        # nobody listens, who does is asked a moment later
        sleep 0.01 if @refused;
        push @calls, map { call($_->{of}) } @refused;
    }

    advance(0, @calls);
    return [@answers, map { answer($_) } grep {
        ($_->{error} // '') ne 'connect' } @calls];
}

sub call {
    my ($of) = @_;

    my $call = start_request(%{ $of->{request} });
    $call->{of} = $of;
    return $call;
}

sub answer {
    my ($call) = @_;

    my $answer = GraphPolicy::parse_answer($call);

    $answer->{bytes} = length $answer->{text};
    delete @$answer{qw(text body head)};
    return { %$answer, name => $call->{of}{name}, kind => $call->{of}{kind} };
}

sub is_over {
    my ($until) = @_;

    my $read = '';
    vec($read, fileno $until, 1) = 1;
    return select $read, undef, undef, 0;
}

1;
