package GraphPolicy::WalkFleet;

# The random walk of GraphPolicy::Walk through several hosts that share their
# states by an engine: each step goes to one of them, and before the next one
# all have heard of it. Each says then what the one model says.
#
#   my $walk = GraphPolicy::WalkFleet->start(count => 2);
#   my $wrong = $walk->run($walk->steps($seed, 1000));
#
# A step begins with the number of its host. Two more words there are: "down"
# ends the engine, and from then on all goes to one host, for less than a
# minute, until "up" brings it back empty.
#
# Timers go slower than the time of day, so that no connection is given up
# because hours pass.

use strict;
use warnings;

use IO::Socket::INET;
use Time::HiRes qw(time sleep);

use parent 'GraphPolicy::Walk';

use GraphPolicy ();
use GraphPolicy::Fleet ();

# how long an engine is away at most, which is shorter than any memory
my $away = 50_000;

# what hosts have to agree on
my @same = qw(id scope key credential category reason code subcode title
    action since holds trace source node);

# count: of hosts; alone: {number => 1} of those that don't share conversations
sub start {
    my ($class, %of) = @_;

    return $class->SUPER::start(workers => 2, names => 'host',
        alone => {}, ahead => 0, %of);
}

sub begin {
    my ($self) = @_;

    GraphPolicy::spew("$self->{temp}/key", 'k' x 32 . "\n");
    chmod 0600, "$self->{temp}/key" or die "chmod: $!";

    $self->{redis} = $self->clocked(sub { GraphPolicy::Redis->start });

    for my $host (0 .. $self->{count} - 1) {
        local $self->{http} = 'graph_policy_sync zone=z server=127.0.0.1:'
            . $self->{redis}->port . " key_file=$self->{temp}/key timeout=60s"
            . ($self->{alone}{$host} ? '' : ' conversations=on') . ';';

        $self->add(GRAPH_POLICY_HOST => "$self->{names}$host",
            GRAPH_POLICY_SHORT => 100);
    }

    my $wrong = $self->back;
    die "walk: $wrong\n" if length $wrong;
}

sub new_model {
    my ($self, %of) = @_;

    return $self->SUPER::new_model(%of, hosts => $self->{count},
        alone => $self->{alone});
}

# A request that is on its way is as old as its worker's timers say, so they
# have to go as far then, but by less than what hosts wait for their own news.
sub wind {
    my ($self, $ms) = @_;

    my $part = defined $self->{down} ? $ms : 1500;

    if (!@{ $self->{under_way} // [] }) {
        $self->tick($ms > 500 ? 500 : $ms);
        $self->{ahead} = 0;
        return;
    }

    $self->{ahead} -= $ms;

    while ($self->{ahead} < 0) {
        $self->tick(-$self->{ahead} > $part ? $part : -$self->{ahead});
        $self->quiet if $self->{ahead} < 0;
    }
}

sub idle { $_[0]->tick(5) }

# how far timers are ahead of the time of day
sub tick {
    my ($self, $ms) = @_;

    $self->{ahead} += $ms;
    $self->SUPER::tick($ms);
}

sub level {
    my ($self) = @_;
    $self->pass($self->{ahead}) while $self->{ahead} > 0;
}


# -- steps --------------------------------------------------------------------

sub steps {
    my ($self, $seed, $count) = @_;

    my $down = 0;

    return map {
        my $dice = rand;
        my @step = @$_;

        if ($down && !--$down) {
            @step = 'up';

        } elsif (!$down && $dice < 0.002) {
            $down = int(2 + rand 30);
            @step = 'down';
        }

        [int rand $self->{count}, @step];
    } $self->SUPER::steps($seed, $count);
}

sub step {
    my ($self, $host, @words) = @_;

    $self->at($self->{down} // $host % $self->{count});

    my $wrong = $self->SUPER::step(@words);

    return $wrong if defined $wrong && length $wrong;
    return $self->heard;
}

sub do_down {
    my ($self) = @_;

    return if defined $self->{down};

    my $host = $self->{at};

    $self->let_go;

    # who awaits a status by then ends the state by themselves
    my $wait = $self->{model}->awaited - $self->{time};
    $self->pass($wait + 1) if $wait >= 0;

    my $wrong = $self->noticed;
    return $wrong if length $wrong;

    $self->at($host);
    $self->{redis}->end;
    $self->{down}       = $host;
    $self->{down_until} = $self->{time} + $away;
    return;
}

sub do_up {
    my ($self) = @_;

    return if !defined delete $self->{down};

    $self->clocked(sub { $self->{redis}->run });
    return $self->back;
}

sub reset {
    my ($self) = @_;

    my $wrong = $self->do_up;

    die "the engine came back: $wrong\n" if length $wrong // '';
    $self->SUPER::reset;
    $self->heard;
}

# the engine comes back before anything that has ended is forgotten
sub pass {
    my ($self, $ms) = @_;

    if (defined $self->{down} && $self->{time} + $ms > $self->{down_until}) {
        my $host  = $self->{at};
        my $wrong = $self->do_up;

        die "the engine came back: $wrong\n" if length $wrong;
        $self->at($host);
    }

    $self->SUPER::pass($ms);
}

sub do_hold {
    my ($self, @of) = @_;

    $self->level;
    return $self->SUPER::do_hold(@of);
}

# each outcome of a probe is heard before the next
sub finish {
    my ($self, @of) = @_;

    $self->level if $self->{model};

    my $wrong = $self->SUPER::finish(@of);

    return defined $wrong && length $wrong ? $wrong : $self->heard;
}

sub do_register {
    my ($self, @of) = @_;

    $self->make_sure;
    return $self->SUPER::do_register(@of);
}

sub do_list {
    my ($self, $everybody) = @_;

    return $self->SUPER::do_list($everybody) if defined $self->{down};

    my $wrong = $self->noticed;
    my @lists;

    return $wrong if length $wrong;

    for my $host ($self->all) {
        $self->at($host);
        push @lists, [$self->listing];

        $wrong = $self->compare($everybody, @{ $lists[-1] })
            || $self->count($everybody);
        return "$self->{names}$host: $wrong" if length $wrong;
    }

    return $everybody ? '' : $self->differ(@lists);
}

# each host has counted what it has blocked itself, made-up tokens aside
sub count {
    my ($self, $everybody) = @_;

    my ($counters) = $self->sync($self->{at}) =~ /"blocked":\{(.*?)\}/;
    my $sum        = 0;

    $sum += $_ for $counters =~ /:(\d+)/g;

    my $own = $everybody ? $sum : $self->host->{blocked};
    $self->host->{blocked} = $sum;

    return $own == $sum ? '' : "$sum blocked, not $own";
}

# all hosts have noticed what is due to leave
sub noticed {
    my ($self) = @_;

    $self->pass($_ + 1 - $self->{time}) for $self->{model}->rough || ();

    for my $host ($self->all) {
        $self->at($host);
        $self->notice;

        my $wrong = $self->heard;
        return $wrong if length $wrong;
    }

    return '';
}

# what hosts don't agree on
sub differ {
    my ($self, @lists) = @_;

    my (%known, $first);

    for my $host (0 .. $#lists) {
        for my $state (@{ $lists[$host] }) {
            my $limit = $state->{scope} eq 'conversation';

            next if $limit && $self->{alone}{$host};

            $known{ $state->{id} }{$limit ? 'limit' : 'state'}[$host]
                = join ' ', map { $_ // '-' } @$state{@same},
                $limit && $state->{category} eq 'context-limited'
                ? $state->{until} : ();
        }
    }

    for my $id (sort keys %known) {
        my ($kind) = keys %{ $known{$id} };
        my @of     = grep { $kind eq 'state' || !$self->{alone}{$_} }
            0 .. $#lists;
        my %said   = map { ($known{$id}{$kind}[$_] // 'nothing') => 1 } @of;

        return "hosts differ: " . join ' // ', map { "$_: "
            . ($known{$id}{$kind}[$_] // 'nothing') } @of if keys %said > 1;
    }

    return '';
}


# -- news ---------------------------------------------------------------------

# Until each host has heard what all have told: what is to be told has been
# taken by the engine, and then each waits for more in the stream, which it does
# after it has applied what was there.
sub heard {
    my ($self) = @_;

    return '' if defined $self->{down};

    my $model = $self->{model};
    my $wrong = $self->quiet;

    return $wrong if length $wrong || !$model || !delete $model->{mending};

    # somebody told what another one knew better, who says so in a moment
    for (1 .. 40) {
        $self->tick(50);
        $wrong = $self->quiet;
        return $wrong if length $wrong;
    }

    return '';
}

sub quiet {
    my ($self) = @_;

    my $end   = time + 30;
    my $polls = 0;

    until ($self->is_quiet) {
        return 'hosts don\'t hear each other' if time > $end;
        next if ++$polls < 4;

        # more than there is room for is told in steps
        $self->tick($polls < 50 ? 1 : 10);
        sleep 0.001;
    }

    return '';
}

sub is_quiet {
    my ($self) = @_;

    for my $host ($self->all) {
        return 0 if $self->sync($host) !~ /"queue":0\b/;
    }

    return $self->readers == $self->{count};
}

# what a host says of the fleet
sub sync {
    my ($self, $host) = @_;

    local $self->{at} = $host;

    return $self->exchange("GET /api/zones/z HTTP/1.1\r\nHost: a\r\n\r\n")
        ->{body};
}

# hosts that wait for news
sub readers {
    my ($self) = @_;

    my $socket = $self->{control} //= IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $self->{redis}->port);

    return -1 if !$socket;

    GraphPolicy::Redis::put($socket, qw(CLIENT LIST TYPE normal));
    my $list = GraphPolicy::Redis::get($socket);

    if (!defined $list || ref $list) {
        delete $self->{control};
        return -1;
    }

    return scalar(() = $list =~ /flags=b .*cmd=xread/g);
}

# until all are in touch, have told what they know and know the same
sub back {
    my ($self) = @_;

    my $end = time + 60;
    my $differs;

    delete $self->{control};

    while (time < $end) {
        $self->tick(50);
        sleep 0.002;

        next if grep { !/"connected":true.*"nodes":$self->{count}\b/ }
            map { $self->sync($_) } $self->all;

        my $wrong = $self->quiet;
        return $wrong if length $wrong;

        $self->noticed if $self->{model};

        $differs = $self->differ(map { $self->at($_); [$self->listing] }
            $self->all);

        return '' if !length $differs;
    }

    return $differs // 'the engine is back, and not heard';
}

1;
