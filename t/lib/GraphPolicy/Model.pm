package GraphPolicy::Model;

# What the policy promises of fatal states, as a small program of its own: it
# shares nothing with the module but the promise (docs/policy.md). It is told
# what happens, and says of each send whether it is to be blocked, to be the
# probe, or to pass.
#
#   my $model = GraphPolicy::Model->new(accounts => { 1001 => '2001' });
#   my $may   = $model->expected('message', '1001', 'a');   # {blocked => 1}
#   my $sent  = $model->began('message', '1001', 'a', 'passed');
#   $model->answered($sent, 'error', 131042);
#   $model->advance(10_000);
#
# A hold is prolonged by up to a tenth, nobody knows by how much, so a time is
# a pair: not before, and not after. Within it several answers may be right;
# the one that was seen narrows it.
#
# Times are milliseconds.

use strict;
use warnings;

use List::Util qw(max min);

use constant NEVER => 9e15;

my $lease  = 30_000;
my $memory = 60_000;
my $retry  = 5_000;

# category, reason, kind, bound, and whether answers of "messages" alone set it
my %table = (
    (map { $_ => ['fatal', 'token-invalid', 'credential', 1] } 0, 102, 190),
    (map { $_ => ['fatal', 'token-invalid', 'account', 1, 1] } 3, 10, 200,
        131005),
    (map { $_ => ['fatal', 'account-restricted', 'account'] } 368, 131031),
    131042 => ['fatal', 'billing', 'account'],
    (map { $_ => ['fatal', 'phone-disconnected', 'phone'] } 131045, 133010),
    33     => ['fatal', 'phone-disconnected', 'phone', 1],
    131000 => ['temporary'],
    130429 => ['temporary'],
    131047 => ['context-limited'],
    100    => ['request'],
    131051 => ['request'],
    99999  => ['unclassified'],
);

sub codes { return sort { $a <=> $b } keys %table }

sub new {
    my ($class, %of) = @_;

    return bless { now => 0, hold => 10_000, max => 900_000,
        confirm => 10_000, accounts => {}, states => {}, leases => 0, %of },
        $class;
}

sub now { return $_[0]{now} }


# -- states -------------------------------------------------------------------

# where an answer or an event with that code is kept; nothing if it isn't
sub place {
    my ($self, $code, $phone, $token, $event, $edge) = @_;

    my ($category, $reason, $kind, $bound, $messages) = @{ $table{$code} };

    return if $category ne 'fatal';
    return if $messages && ($event || ($edge // '') eq 'media');

    # Meta's events name no token: what it says of one is the account's
    $bound = 0 if $event;
    $kind  = 'account' if $event && $kind eq 'credential';

    my $key = $kind eq 'credential' ? $token : $phone;

    if ($kind eq 'account') {
        my $account = $self->{accounts}{$phone};
        ($kind, $key) = defined $account ? ('account', $account)
            : ('account-phone', $phone);
    }

    return { kind => $kind, key => $key, reason => $reason,
        bound => $bound ? $token : '' };
}

sub name { return join ' ', @{ $_[0] }{qw(kind key reason bound)} }

sub states { return values %{ $_[0]{states} } }
sub armed  { return grep { $_->{armed} } states($_[0]) }

sub covering {
    my ($self, $phone, $token) = @_;

    my $account = $self->{accounts}{$phone} // '-';
    my %key = (credential => $token, account => $account,
        'account-phone' => $phone, phone => $phone);

    return grep { $_->{key} eq $key{ $_->{kind} }
        && ($_->{bound} eq '' || $_->{bound} eq $token) } $self->armed;
}

sub arm {
    my ($self, $state, $hold) = @_;

    $state->{hold}       = $hold;
    $state->{armed}      = 1;
    $state->{rough}      = 0;
    $state->{changed}    = $self->{now};
    $state->{from}       = $self->{now} + $hold;
    $state->{to}         = $self->{now} + $hold + int($hold / 10);
    $state->{leases}     = [];
    $state->{confirming} = undef;
}

# $at: if the end came by itself some time ago
sub clear {
    my ($self, $state, $at) = @_;

    $at //= $self->{now};

    $state->{armed}      = 0;
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
    $state->{from} = $state->{to} = $self->{now} + min($state->{hold}, $retry);
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
        return if $self->{now} < $state->{from} || $self->leased($state, '');
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

# who set it last
sub describe {
    my ($self, $state, %of) = @_;

    $state->{setter} = $state->{bound} eq '' ? $of{setter} // '' : '';
    $state->{event}  = $of{event} // 0;
}

# Whether a step now could be taken in two ways, as nobody knows exactly when a
# time is; if so, when that is over.
sub unsure {
    my ($self, $now) = @_;

    my $until = 0;

    for ($self->states) {
        $until = max($until, $_->{to}) if $_->{armed} && $now >= $_->{from}
            && $now < $_->{to};
    }

    return $until;
}


# -- sends --------------------------------------------------------------------

# the statuses that didn't come in time end a state, and what nobody probed
# leaves after a day
sub expire {
    my ($self) = @_;

    for my $state ($self->armed) {
        my $wait = $state->{confirming};

        if ($wait && $self->{now} >= $wait->[1]) {
            $self->clear($state, $wait->[1]);

        } elsif ($state->{to} + 86_400_000 <= $self->{now}) {
            delete $self->{states}{ name($state) };
        }
    }
}

sub advance {
    my ($self, $by) = @_;
    $self->{now} += $by;
}

# what the states that cover a send say: certainly, perhaps, or no longer
sub weigh {
    my ($self, $kind, $phone, $token) = @_;

    my (@shut, @perhaps, @due);

    $self->expire;

    for my $state ($self->covering($phone, $token)) {
        if ($self->{now} < $state->{from}
            || $self->leased($state, $token)
            || $kind ne 'message' && $state->{kind} ne 'credential')
        {
            push @shut, $state;
        } elsif ($self->{now} < $state->{to}) {
            push @perhaps, $state;
        } else {
            push @due, $state;
        }
    }

    return (\@shut, \@perhaps, \@due);
}

sub expected {
    my ($self, $kind, $phone, $token) = @_;

    my ($shut, $perhaps, $due) = $self->weigh($kind, $phone, $token);

    return { blocked => 1 } if @$shut;
    return { blocked => 1, probe => 1 } if @$perhaps;
    return @$due ? { probe => 1 } : { passed => 1 };
}

# what has been seen; returns the send, for answered()
sub began {
    my ($self, $kind, $phone, $token, $seen) = @_;

    my ($shut, $perhaps, $due) = $self->weigh($kind, $phone, $token);
    my $send = { kind => $kind, phone => $phone, token => $token,
        sent => $self->{now}, probed => [] };

    if ($seen eq 'blocked') {
        $perhaps->[0]{from} = $self->{now} + 1 if @$perhaps == 1 && !@$shut;
        return;
    }

    return $send if $seen eq 'passed';

    my $number = ++$self->{leases};

    for my $state (@$perhaps, @$due) {
        my $setter = $state->{setter} ne '' && $state->{setter} eq $token;

        $state->{to}         = min($state->{to}, $self->{now});
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

    $self->expire;

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

    return if $what ne 'error';

    my $place = $self->place($more, $send->{phone}, $send->{token}, 0,
        $send->{kind}) or return;

    $self->fail($place, $send->{sent}, setter => $send->{token});
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
    my $place = $self->place($more, $send->{phone}, $send->{token}, 0,
        $send->{kind});

    if ($place && name($place) eq name($state)) {
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
    my ($self, $phone, $message, $code) = @_;

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
        }
    }

    my $place = defined $code && $self->place($code, $phone, '', 1) or return;
    my $state = $self->{states}{ name($place) };

    # the same event again
    return if $state && $state->{armed}
        && int($state->{changed} / 1000) == $at / 1000;

    $self->fail($place, $at + 999, event => 1, at => $at);
}

sub by_hand {
    my ($self, $place, $hold, $frozen) = @_;

    my $state = $self->{states}{ name($place) } //= { %$place, armed => 0,
        changed => -1, setter => '', remembered => -1, leases => [] };

    $self->expire;
    $state->{max} = max($self->{max}, $hold);
    $self->arm($state, $hold);
    $self->describe($state);
    $state->{from} = $state->{to} = $frozen ? NEVER : $self->{now} + $hold;
}

sub clear_all {
    my ($self) = @_;

    $self->expire;

    for ($self->armed) {
        $self->clear($_);
        $_->{rough} = 1;
    }
}

# whether a memory ends about now of which nobody knows exactly when it began,
# as the API clears in steps
sub is_rough {
    my ($self) = @_;

    return grep { $_->{rough} && !$_->{armed}
        && abs($self->{now} - $_->{remembered}) < 700 } $self->states;
}

# a phone was registered anew: the next message probes
sub registered {
    my ($self, $phone, $token) = @_;

    $self->expire;

    for my $state ($self->armed) {
        next if $state->{kind} ne 'phone' || $state->{key} ne $phone
            || $state->{from} == NEVER
            || $state->{bound} ne '' && $state->{bound} ne $token;

        $state->{leases}     = [];
        $state->{confirming} = undef;
        $state->{from}       = min($state->{from}, $self->{now});
        $state->{to}         = min($state->{to}, $self->{now});
    }
}

1;
