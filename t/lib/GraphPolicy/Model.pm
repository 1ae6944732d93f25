package GraphPolicy::Model;

# What the policy promises of states and conversations, as a small program of
# its own: it shares nothing with the module but the promise
# (docs/directives.md). It is told what happens, and says of each send whether
# it is to be blocked, to be the probe, to pass, or to pass though it would have
# been blocked ("dry").
#
#   my $model = GraphPolicy::Model->new(accounts => { 1001 => '2001' });
#   my $ask   = { kind => 'message', phone => '1001', token => 'a',
#       place => 'plain', to => '15550001111' };
#   my $may   = $model->expected($ask);                     # {blocked => 1}
#   my $sent  = $model->began($ask, 'passed');
#   $model->answered($sent, 'error', 131042);
#   $model->advance(10_000);
#
# A "place" is a location: "gate" holds back conversations and cools down, "dry"
# does so in dry run, "plain" does neither.
#
# A hold is prolonged by up to a tenth, nobody knows by how much, so a time is
# a pair: not before, and not after. Within it several answers may be right;
# the one that was seen narrows it.
#
# Hosts of a fleet ("hosts" of them) are one, but that each has such times of
# its own: what one has set is prolonged on each of the others. "at" says on
# which of them things happen. Conversations are of all hosts that share them,
# and of each of the others ("alone" has their numbers).
#
# Times are milliseconds.

use strict;
use warnings;

use List::Util qw(max min);

use constant NEVER => 9e15;

my $lease  = 30_000;
my $memory = 60_000;
my $retry  = 5_000;

# a place's hold of conversations and whether it cools down; the longest such
# hold is that of the zone
my %places = (plain => {}, gate => { talk => 900_000, cools => 1 },
    dry => { talk => 1_800_000, cools => 1, dry => 1 });
my $talk_hold = 1_800_000;

# how long the end of a limited conversation is known, and an event believed
my $fresh = 600_000;

# how long a temporary state stays that nobody probes, and a fatal one
my $cooled    = 600_000;
my $abandoned = 86_400_000;

# category, reason, kind, bound, whether answers of "messages" alone set it, and
# the wait of a temporary one
my %table = (
    (map { $_ => ['fatal', 'token-invalid', 'credential', 1] } 0, 102, 190),
    (map { $_ => ['fatal', 'token-invalid', 'account', 1, 1] } 3, 10, 200,
        131005),
    (map { $_ => ['fatal', 'account-restricted', 'account'] } 368, 131031),
    131042 => ['fatal', 'billing', 'account'],
    (map { $_ => ['fatal', 'phone-disconnected', 'phone'] } 131045, 133010),
    33     => ['fatal', 'phone-disconnected', 'phone', 1],
    4      => ['temporary', 'rate-limit', 'credential', 0, 0, 60_000],
    80007  => ['temporary', 'rate-limit', 'account', 0, 0, 60_000],
    130429 => ['temporary', 'rate-limit', 'phone', 0, 0, 1000],
    131056 => ['temporary', 'pair-rate-limit', 'pair', 0, 0, 1000],
    131057 => ['temporary', 'maintenance', 'phone', 0, 0, 5000],
    131016 => ['temporary', 'service-unavailable', 'phone'],
    131000 => ['temporary', 'server-error'],
    131047 => ['context-limited', 'window-expired', 'talk'],
    131026 => ['context-limited', 'undeliverable', 'talk'],
    131048 => ['context-limited', 'spam-quality', 'talk'],
    100    => ['request'],
    131051 => ['request'],
    99999  => ['unclassified'],
);

sub codes { return sort { $a <=> $b } keys %table }

sub new {
    my ($class, %of) = @_;

    return bless { now => 0, hold => 10_000, max => 900_000,
        confirm => 10_000, accounts => {}, states => {}, talks => {},
        leases => 0, hosts => 1, host => 0, alone => {}, %of },
        $class;
}

sub now { return $_[0]{now} }
sub at  { $_[0]{host} = $_[1] }

# whose conversations a host knows: its own, or those of all that share them
sub circle {
    my ($self) = @_;
    return $self->{alone}{ $self->{host} } ? $self->{host} : 'all';
}


# -- states -------------------------------------------------------------------

# where the code of an answer to that send is kept, or of an event of that
# phone; nothing if it isn't
sub place {
    my ($self, $code, $ask) = @_;

    my ($category, $reason, $kind, $bound, $messages, $wait) =
        @{ $table{$code} };
    my $event = !defined $ask->{token};

    if ($category eq 'temporary') {
        return if $event || !$wait || !$places{ $ask->{place} }{cools};
        return if $kind eq 'pair' && !is_message($ask);

    } elsif ($category ne 'fatal') {
        return;
    }

    return if $messages && ($event || $ask->{kind} eq 'media');

    # Meta's events name no token: what it says of one is the account's
    $bound = 0 if $event;
    $kind  = 'account' if $event && $kind eq 'credential';

    my $key = $kind eq 'credential' ? $ask->{token}
        : $kind eq 'pair' ? $self->pair($ask) : $ask->{phone};

    if ($kind eq 'account') {
        my $account = $self->{accounts}{ $ask->{phone} };
        ($kind, $key) = defined $account ? ('account', $account)
            : ('account-phone', $ask->{phone});
    }

    return { kind => $kind, key => $key, reason => $reason,
        bound => $bound ? $ask->{token} : '', category => $category };
}

sub is_message { return $_[0]{kind} eq 'message' || $_[0]{kind} eq 'template' }

sub pair {
    my ($self, $ask) = @_;
    return join '/', $self->circle, @$ask{qw(phone to)};
}

sub name { return join ' ', @{ $_[0] }{qw(kind key reason bound)} }

sub states { return values %{ $_[0]{states} } }
sub armed  { return grep { $_->{armed} } states($_[0]) }

sub covering {
    my ($self, $ask) = @_;

    my ($phone, $token) = @$ask{qw(phone token)};
    my $account = $self->{accounts}{$phone} // '-';
    my %key = (credential => $token, account => $account,
        'account-phone' => $phone, phone => $phone,
        pair => is_message($ask) ? $self->pair($ask) : '-');

    return grep { $_->{key} eq $key{ $_->{kind} }
        && ($_->{bound} eq '' || $_->{bound} eq $token)
        && ($_->{category} eq 'fatal' || $places{ $ask->{place} }{cools}) }
        $self->armed;
}

# $exact: here it isn't prolonged
sub arm {
    my ($self, $state, $hold, $exact) = @_;

    $state->{hold}       = $hold;
    $state->{armed}      = 1;
    $state->{span}       = 0;
    $state->{moved}      = 0;
    $state->{rough}      = 0;
    $state->{changed}    = $self->{now};
    $state->{host}       = $self->{host};
    $self->end($state, $self->{now} + $hold, int($hold / 10),
        $exact || $state->{category} ne 'fatal');
    $state->{times}++;
    $state->{leases}     = [];
    $state->{confirming} = undef;
}

# it blocks until then, and on other hosts, or on this one too, up to a tenth
# longer
sub end {
    my ($self, $state, $until, $tenth, $exact) = @_;

    for my $host (0 .. $self->{hosts} - 1) {
        $state->{from}[$host] = $until;
        $state->{to}[$host]   = $until
            + ($exact && $host == $self->{host} ? 0 : $tenth);
    }
}

# when no status is awaited any more
sub awaited {
    my ($self) = @_;
    return max(0, map { $_->{confirming}[1] } grep { $_->{confirming} }
        $self->armed);
}

# here, as far as is known: not before, and not after
sub from { return $_[1]{from}[ $_[0]{host} ] }
sub to   { return $_[1]{to}[ $_[0]{host} ] }

sub is_frozen { return $_[0]{from}[0] == NEVER }

# $at: if the end came by itself some time ago
sub clear {
    my ($self, $state, $at) = @_;

    $at //= $self->{now};

    $state->{armed}      = 0;
    $state->{host}       = $self->{host};
    $state->{changed}    = max($at, $state->{changed} + 1);
    $state->{remembered} = $at + max($state->{hold}, $memory);
    $state->{leases}     = [];
    $state->{confirming} = undef;
}

sub doubled {
    my ($state) = @_;

    return $state->{hold} > $state->{max} / 2
        ? max($state->{hold}, $state->{max}) : 2 * $state->{hold};
}

sub put_off {
    my ($self, $state) = @_;

    my $rest = min($state->{hold}, $retry);
    # a host that has prolonged it may tell that back, or to a third one, which
    # then prolongs it once more
    $state->{span} = $self->{hosts} > 1;
    $self->end($state, $self->{now} + $rest,
        int($rest / 10) * max(1, $self->{hosts} - 1), !$state->{span});
    $state->{moved} = 1;
}

# whether somebody but the one who asks probes already, or a status is awaited
sub leased {
    my ($self, $state, $token) = @_;

    return 1 if $state->{confirming} && $self->{now} < $state->{confirming}[1];

    my $setter = $state->{setter} ne '' && $state->{setter} eq $token;

    # the one who set it waits for nobody but an own probe
    return grep { $self->{now} < $_->{until} && (!$setter || $_->{setter}) }
        @{ $state->{leases} };
}

# a failure: of an answer, or of an event
sub fail {
    my ($self, $place, $sent, %of) = @_;

    my $name  = name($place);
    my $state = $self->{states}{$name} //= { %$place, armed => 0,
        changed => -1, setter => '', remembered => -1, leases => [] };

    my $before = $state->{changed};

    return if $sent < $before;

    if ($state->{armed}) {
        return if $self->{now} < $self->from($state)
            || $self->leased($state, '');
        $self->arm($state, doubled($state));

    } elsif ($self->{now} < $state->{remembered}) {
        $state->{max} = $self->{max};
        $self->arm($state, doubled($state));

    } else {
        $state->{max} = $self->{max};
        $self->arm($state, $self->{hold});
    }

    $self->describe($state, %of);

    # events come late, so it is their own time that counts
    $state->{changed} = max($of{at} // $self->{now}, $before + 1);
}

# A temporary failure: the wait begins, and begins again with the probe's. That
# of a pair is four times as long with each failure in a row.
sub cool {
    my ($self, $place, $wait, $send) = @_;

    my $name  = name($place);
    my $state = $self->{states}{$name} //= { %$place, armed => 0,
        changed => -1, setter => '', remembered => -1, leases => [] };

    if ($state->{armed}) {
        my ($own) = map { $_->[1] } grep { $_->[0] == $state }
            @{ $send->{probed} };
        my $probes = defined $own && !$state->{confirming}
            && grep { $_->{number} == $own } @{ $state->{leases} };

        return if !$probes && ($send->{sent} < $state->{changed}
            || $self->{now} < $self->from($state)
            || $self->leased($state, ''));

        $wait = min($wait * 4 ** $state->{times}, 86_400_000)
            if $state->{kind} eq 'pair';

    } else {
        return if $send->{sent} < $state->{changed};
        $state->{times} = 0;
    }

    my $before = $state->{changed};

    # after the wait one goes out alone, so nobody may go beside another
    $self->arm($state, $wait);
    $self->describe($state);
    $state->{changed} = max($self->{now}, $before + 1);
}

# who set it last
sub describe {
    my ($self, $state, %of) = @_;

    $state->{setter} = $state->{bound} eq '' ? $of{setter} // '' : '';
    $state->{event}  = $of{event} // 0;
}

# Whether a step now could be taken in two ways here, as nobody knows exactly
# when a time is; if so, when that is over.
sub unsure {
    my ($self, $now) = @_;

    my $until = 0;

    for ($self->states) {
        $until = max($until, $self->to($_)) if $_->{armed}
            && $now >= $self->from($_) && $now < $self->to($_);
    }

    return $until;
}


# -- sends --------------------------------------------------------------------

# the statuses that didn't come in time end a state, and what nobody probed
# leaves after a day
sub kept { return $_[0]{category} eq 'fatal' ? $abandoned : $cooled }

sub expire {
    my ($self) = @_;

    for my $state ($self->armed) {
        my $wait = $state->{confirming};

        if ($wait && $self->{now} >= $wait->[1]) {
            $self->clear($state, $wait->[1]);

        } elsif (max(@{ $state->{to} }) + kept($state) <= $self->{now}) {
            delete $self->{states}{ name($state) };
        }
    }

    for my $name (keys %{ $self->{talks} }) {
        delete $self->{talks}{$name}
            if $self->{talks}{$name}{until} <= $self->{now};
    }
}

sub advance {
    my ($self, $by) = @_;
    $self->{now} += $by;
}

# what the states that cover a send say: certainly, perhaps, or no longer
sub weigh {
    my ($self, $ask) = @_;

    my (@shut, @perhaps, @due);

    $self->expire;

    for my $state ($self->covering($ask)) {
        my $probes = is_message($ask) || $state->{kind} eq 'credential';

        # once a wait is over, it holds back what can't be the probe no longer
        next if !$probes && $state->{category} ne 'fatal'
            && $self->{now} >= $self->to($state)
            && !$self->leased($state, '');

        if (!$probes || $self->{now} < $self->from($state)
            || $self->leased($state, $ask->{token}))
        {
            push @shut, $state;
        } elsif ($self->{now} < $self->to($state)) {
            push @perhaps, $state;
        } else {
            push @due, $state;
        }
    }

    my ($limited) = $self->limited($ask);

    push @shut, $limited if $limited && $limited->{live}
        && $self->{now} < $limited->{begin} + $places{ $ask->{place} }{talk};

    return (\@shut, \@perhaps, \@due);
}

# the conversation of a send, if a limit there speaks of it
sub limited {
    my ($self, $ask) = @_;

    return if !$places{ $ask->{place} }{talk} || !is_message($ask);

    my $talk = $self->{talks}{ $self->pair($ask) } // return;

    # a template may be sent while the window is closed
    return if !$talk->{live}
        || $ask->{kind} eq 'template' && $talk->{reason} eq 'window-expired';

    return $talk;
}

sub expected {
    my ($self, $ask) = @_;

    my ($shut, $perhaps, $due) = $self->weigh($ask);
    my $held = $places{ $ask->{place} }{dry} ? 'dry' : 'blocked';

    return { $held => 1 } if @$shut;
    return { $held => 1, probe => 1 } if @$perhaps;
    return @$due ? { probe => 1 } : { passed => 1 };
}

# what has been seen; returns the send, for answered()
sub began {
    my ($self, $ask, $seen) = @_;

    my ($shut, $perhaps, $due) = $self->weigh($ask);
    my $send = { %$ask, host => $self->{host}, sent => $self->{now},
        probed => [],
        under => [$self->covering($ask)], talk => scalar $self->limited($ask) };

    if ($seen eq 'blocked' || $seen eq 'dry') {
        $perhaps->[0]{from}[ $self->{host} ] = $self->{now} + 1
            if @$perhaps == 1 && !@$shut;
        return $seen eq 'dry' ? $send : undef;
    }

    return $send if $seen eq 'passed';

    my $number = ++$self->{leases};

    for my $state (@$perhaps, @$due) {
        my $setter = $state->{setter} ne ''
            && $state->{setter} eq $ask->{token};

        $state->{to}[ $self->{host} ] = min($self->to($state), $self->{now})
            if !$state->{span};
        $state->{confirming} = undef;
        $state->{leases}     = [grep { $_->{setter} != $setter }
            @{ $state->{leases} }];
        push @{ $state->{leases} }, { number => $number, setter => $setter,
            until => $self->{now} + $lease };
        push @{ $send->{probed} }, [$state, $number];
    }

    return $send;
}

# The answer: "accepted" with the message's id, "proof" (of the credential),
# "nothing", "none", "error" with its code.
sub answered {
    my ($self, $send, $what, $more) = @_;

    $self->at($send->{host});
    $self->expire;

    my ($category, $reason, $wait) = $what eq 'error'
        ? @{ $table{$more} }[0, 1, 5] : '';
    my $place = $what eq 'error' ? $self->place($more, $send) : undef;

    $self->cool($place, $wait, $send) if $place && $category eq 'temporary';

    for (@{ $send->{probed} }) {
        my ($state, $number) = @$_;
        my @rest = grep { $_->{number} != $number } @{ $state->{leases} };

        # a lease that is over, or was taken away by a change
        next if !$state->{armed} || $state->{confirming}
            || @rest == @{ $state->{leases} }
            || ($self->{states}{ name($state) } // 0) != $state;

        $state->{leases} = \@rest;
        $self->settle($send, $state, $what, $more);
    }

    $self->let_through($send, $what, $more)
        if $what eq 'accepted' || $what eq 'proof';

    $self->fail($place, $send->{sent}, setter => $send->{token})
        if $place && $category eq 'fatal';

    $self->refuse($self->pair($send), $reason, $send->{sent})
        if $category eq 'context-limited' && is_message($send);
}

# a success of what passed though states covered it
sub let_through {
    my ($self, $send, $what, $message) = @_;

    my $talk = $send->{talk};

    for my $state (@{ $send->{probed} } ? () : @{ $send->{under} }) {
        next if !$state->{armed} || is_frozen($state)
            || $send->{sent} < $state->{changed}
            || ($self->{states}{ name($state) } // 0) != $state
            || $what eq 'proof' && $state->{kind} ne 'credential';

        if (!$state->{event}) {
            $self->clear($state);

        } elsif (!$state->{confirming}
            || $self->{now} >= $state->{confirming}[1])
        {
            $state->{confirming} = [$message, $self->{now} + $self->{confirm}];
            $state->{leases}     = [];
        }
    }

    return if $what ne 'accepted' || !$talk || !$talk->{live}
        || $send->{sent} < $talk->{changed};

    @$talk{qw(changed inbound live)} = ($send->{sent}, 0, 0);
    $talk->{until} = max($talk->{until}, $send->{sent} + $fresh);
}

sub settle {
    my ($self, $send, $state, $what, $more) = @_;

    my $credential = $state->{kind} eq 'credential';

    if ($what eq 'accepted') {
        return $self->clear($state) if !$state->{event};
        $state->{confirming} = [$more, $self->{now} + $self->{confirm}];
        $state->{leases} = [];
        return;
    }

    return $credential ? $self->clear($state) : $self->put_off($state)
        if $what eq 'proof';
    return $self->put_off($state) if $what ne 'error';

    my ($category, undef, undef, $bound) = @{ $table{$more} };
    my $place = $self->place($more, $send);

    if ($place && $category eq 'fatal' && name($place) eq name($state)) {
        $self->arm($state, doubled($state));
        $self->describe($state, setter => $send->{token});

    } elsif ($category eq 'unclassified') {
        $self->put_off($state);

    } elsif ($credential) {
        $self->clear($state);

    } elsif (!$bound && $category ne 'request') {
        $self->put_off($state);
    }
}


# -- others -------------------------------------------------------------------

# a signed status of this second: failed with a code, or (undef) delivered
sub status {
    my ($self, $phone, $to, $message, $code) = @_;

    $self->expire;

    my $at = $self->{now} - $self->{now} % 1000;
    my ($category, $reason) = defined $code ? @{ $table{$code} } : ('', '');

    for my $state ($self->armed) {
        next if !$state->{confirming} || $state->{confirming}[0] ne $message;

        $state->{confirming} = undef;

        if (!defined $code) {
            $self->clear($state);
        } elsif ($category eq 'fatal' && $reason eq $state->{reason}) {
            $self->arm($state, doubled($state));
            $self->describe($state, event => 1);
        } else {
            $self->put_off($state);
            $state->{host} = $self->{host};
        }
    }

    $self->refuse($self->pair({ phone => $phone, to => $to }), $reason, $at, 1)
        if $category eq 'context-limited';

    my $place = defined $code && $self->place($code, { phone => $phone })
        or return;
    my $state = $self->{states}{ name($place) };

    # the same event again
    return if $state && $state->{armed}
        && int($state->{changed} / 1000) == $at / 1000;

    $self->fail($place, $at + 999, event => 1, at => $at);
}

# messages of a conversation are refused, says an answer or an event
sub refuse {
    my ($self, $name, $reason, $sent, $event) = @_;

    my $begin = $event ? $sent : $self->{now};
    my $talk  = $self->{talks}{$name};

    return if $begin + $talk_hold <= $self->{now};

    if ($talk) {
        my $second = int($sent / 1000) - int($talk->{changed} / 1000);

        # within a second the customer's message is the newer one, unless the
        # message that is refused was sent after it came
        if ($second < 0 || !$second && $talk->{inbound}
            && ($event || $sent < $talk->{came}))
        {
            $self->{mending} = 1 if ($talk->{untold} // $self->{host})
                != $self->{host};
            return;
        }

        return if $talk->{live} && $sent == $talk->{changed}
            && $reason eq $talk->{reason};
    }

    $talk = $self->{talks}{$name} //= {};
    %$talk = (%$talk, changed => $sent, reason => $reason, live => 1,
        untold => undef, inbound => 0, begin => $begin, until => $begin + $talk_hold);
}

# a customer wrote in this second
sub inbound {
    my ($self, $phone, $from) = @_;

    $self->expire;

    my $at    = $self->{now} - $self->{now} % 1000;
    my $until = $at + $talk_hold;
    my $talk  = $self->{talks}{ $self->pair({ phone => $phone, to => $from }) }
        //= { changed => -1, until => 0 };

    return if $at < $talk->{changed} - $talk->{changed} % 1000;

    # what ends no limit other hosts aren't told, until they tell of one
    $talk->{untold} = $talk->{live} ? undef : $self->{host};
    $until = max($until, $talk->{until}) if $talk->{live};
    %$talk = (%$talk, changed => $at, came => $self->{now}, live => 0,
        inbound => 1, until => $until);
}

sub by_hand {
    my ($self, $place, $hold, $frozen) = @_;

    $self->expire;

    my $state = $self->{states}{ name($place) } //= { %$place, armed => 0,
        changed => -1, setter => '', remembered => -1, leases => [],
        category => 'fatal' };

    my $before = $state->{changed};

    $state->{max} = max($self->{max}, $hold);
    $self->arm($state, $hold, 1);
    $state->{changed} = max($state->{changed}, $before + 1);
    $self->describe($state);
    $self->end($state, NEVER, 0) if $frozen;
}

sub clear_all {
    my ($self) = @_;

    $self->expire;

    my $circle = $self->circle;

    for ($self->armed) {
        next if $_->{kind} eq 'pair' && $_->{key} !~ m{^$circle/};

        $self->clear($_);
        $_->{rough} = 1;
    }

    for (grep { m{^$circle/} } keys %{ $self->{talks} }) {
        my $talk = $self->{talks}{$_};

        next if !$talk->{live};

        @$talk{qw(changed inbound live)} =
            (max($self->{now}, $talk->{changed}), 0, 0);
        $talk->{until} = max($talk->{until}, $talk->{changed} + $fresh);
    }
}

# Whether a memory ends about now of which nobody knows exactly when it began,
# as the API clears in steps, or a state leaves that nobody probed, which is
# looked after ten times a second, and on each host by its own time. If so,
# when that is over.
sub rough {
    my ($self) = @_;

    my $until = 0;

    for my $state ($self->states) {
        my ($from, $to) = $state->{armed}
            ? (min(@{ $state->{from} }) + kept($state),
                max(@{ $state->{to} }) + kept($state))
            : $state->{rough} ? ($state->{remembered}) x 2 : next;

        $until = max($until, $to + 700) if $self->{now} > $from - 700
            && $self->{now} < $to + 700;
    }

    return $until;
}

# whether that is so within a time, for a state that is probed
sub leaves {
    my ($self, $ms) = @_;

    return grep { @{ $_->{leases} }
        && $self->{now} + $ms > min(@{ $_->{from} }) + kept($_) } $self->armed;
}

# a phone was registered anew: the next message probes, wherever it comes
sub registered {
    my ($self, $phone, $token) = @_;

    $self->expire;

    for my $state ($self->armed) {
        next if $state->{kind} ne 'phone' || $state->{key} ne $phone
            || $state->{category} ne 'fatal'
            || is_frozen($state)
            || $state->{bound} ne '' && $state->{bound} ne $token;

        # what is due here by its hold may not be so on another host yet
        next if !$self->leased($state, '') && $state->{moved}
            && $self->{now} >= $self->from($state);

        $state->{host}       = $self->{host};
        $state->{moved}      = 1;
        $state->{leases}     = [];
        $state->{confirming} = undef;

        # others take its end as it is
        for my $end (@$state{qw(from to)}) {
            $_ = min($end->[ $self->{host} ], $self->{now}) for @$end;
        }
    }
}

1;
