package GraphPolicy::Walk;

# A random walk of sends, answers, events and time through an nginx of four
# workers, each step compared with GraphPolicy::Model.
#
#   my $walk  = GraphPolicy::Walk->start;
#   my @steps = $walk->steps($seed, 1000);
#   my $wrong = $walk->run(@steps);         # undef, or what differs
#   @steps    = $walk->shrink(@steps);
#
# A step is a list of words that depends on nothing before it: of a list of
# steps any part is a list of steps, which is why one that shows a difference
# can be made shorter. Hours pass in no time. What nginx does by a timer happens
# when the clock moves on.

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use Time::HiRes qw(time);
use Time::Local ();

use parent 'GraphPolicy::WalkHost';

use GraphPolicy ();
use GraphPolicy::Model ();

# five phones of two accounts, and one whose account nobody knows
my %accounts = (1001 => '2001', 1002 => '2001', 1003 => '2001',
    1004 => '2002', 1005 => '2002');
my @phones = (sort(keys %accounts), '1009');
my @tokens = qw(tokA tokB tokC);
my @codes  = GraphPolicy::Model::codes();
my @places = qw(plain gate dry);
my @people = qw(15550001111 15550002222);

# the codes of events; the rest teaches nothing
my @events = (131042, 131042, 133010, 133010, 190, 368, 131047, 131047, 131026,
    10, 33, 130429);

my $epoch = GraphPolicy::WalkHost::EPOCH;

sub start {
    my ($class, %of) = @_;
    return $class->SUPER::start(accounts => \%accounts, %of);
}


# -- steps --------------------------------------------------------------------

sub steps {
    my ($self, $seed, $count) = @_;

    srand $seed;

    my $one = sub { return $_[rand @_] };

    return map {
        my $phone = $one->(@phones);
        my $token = $one->(@tokens);
        my $kind  = $one->(('message') x 8, 'template', 'receipt', 'media');
        my $place = $one->(@places, 'plain', 'gate');
        my $to    = $one->(@people);
        my $word  = $one->(
            ('send') x 60, ('time') x 20, ('hold') x 6, ('free') x 6,
            ('event') x 4, ('arrived') x 5, ('list') x 2, 'wrote', 'hand',
            'register',
            rand() < 0.1 ? 'clear' : 'send', rand() < 0.02 ? 'reload' : 'send',
            rand() < 0.02 ? 'flood' : 'time', rand() < 0.02 ? 'day' : 'time');
        my $answer = $one->(('accepted') x 5, 'proof', 'nothing', 'torn',
            map { "e$_" } (131042, 133010, 190, 10, 33) x 2, 4, 130429, 131056,
            131047, ($one->(@codes)) x 3);

        $word eq 'send' ? [$word, $kind, $phone, $token, $answer, $place, $to]
        : $word eq 'hold' ? [$word, $kind, $phone, $token, $place, $to]
        : $word eq 'free' ? [$word, int rand 8,
            $one->(('accepted') x 3, 'abort', $answer)]
        : $word eq 'event' ? [$word, $one->(grep { $accounts{$_} } @phones),
            $one->(@events), $to]
        : $word eq 'wrote' ? [$word, $one->(grep { $accounts{$_} } @phones),
            $to]
        : $word eq 'arrived' ? [$word, int rand 4, $one->(undef, undef, undef,
            @events)]
        : $word eq 'time' ? [$word, int $one->(rand 500, rand 5000, 10_001,
            rand 30_000, rand(30_000) ** 1.2)]
        : $word eq 'hand' ? [$word, $one->('phone', 'account'),
            $one->(grep { $accounts{$_} } @phones),
            $one->('phone-disconnected', 'billing'), int(1 + rand 3000),
            rand() < 0.2 ? 1 : 0]
        : $word eq 'register' ? [$word, $phone, $token]
        : [$word];
    } 1 .. $count;
}

# undef if all is as the model says, or what differs
sub run {
    my ($self, @steps) = @_;

    $self->reset;

    for my $number (0 .. $#steps) {
        my ($word, @of) = @{ $steps[$number] };

        # each step has a time of its own
        $self->pass(2);
        $self->pass($_ + 1 - $self->{time}) for $self->{model}->rough || ();

        my $wrong = eval { $self->step($word, @of) }
            // ($@ ? "died: $@" : undef);

        $self->{done}++;
        return 'step ' . ($number + 1) . ' (' . text($steps[$number])
            . "): $wrong" if defined $wrong && length $wrong;
    }

    return;
}

sub step {
    my ($self, $word, @of) = @_;

    my $do = "do_$word";
    return $self->$do(@of);
}

# what the logs have that shouldn't be there
sub odd {
    my ($self) = @_;

    return join "\n", grep { /\[(?:alert|emerg|crit)\]/ }
        map { split /\n/, GraphPolicy::slurp($_->{nginx}->dir . '/error.log') }
        @{ $self->{hosts} };
}

sub text { return join ' ', map { $_ // '-' } @{ $_[0] } }

# the shortest list that can be found, in two minutes, that still shows a
# difference
sub shrink {
    my ($self, @steps) = @_;

    my $part = int(@steps / 2);
    my $end  = time + 120;

    while ($part >= 1) {
        my $at = 0;

        while ($at < @steps && time < $end) {
            my @fewer = @steps;
            splice @fewer, $at, $part;

            if (@fewer && defined $self->run(@fewer)) {
                @steps = @fewer;
            } else {
                $at += $part;
            }
        }

        $part = int($part / 2);
    }

    return @steps;
}

# nothing is under way, and nothing is known
sub reset {
    my ($self) = @_;

    $self->let_go;
    $self->{model} = $self->new_model(accounts => \%accounts);
    $self->{model}->advance($self->{time});
    $self->{messages} = [];

    for ($self->all) {
        $self->at($_);
        $self->api('DELETE', 'states');
    }

    $self->pass(100_000_000);

    for ($self->all) {
        $self->at($_);
        $self->request(ask('message', '1001', 'tokA'), 'accepted') for 1 .. 3;
    }

    $self->at(0);
}

sub new_model { my ($self, %of) = @_; return GraphPolicy::Model->new(%of) }

sub pass {
    my ($self, $ms) = @_;

    # A worker renews a lease when it notices that the time has come, and the
    # clock may be past the lease's end by then. A state may leave while it is
    # probed, if somebody looks.
    my @under_way = @{ $self->{under_way} // [] };

    $self->let_go if @under_way && ($self->{model}->leaves($ms + 1500)
        || grep { $self->{time} + $ms >= $_->{at} + 29_000 } @under_way);

    $self->{time} += $ms;
    $self->{model}->advance($ms);
    $self->set_clock;
    $self->wind($ms);
}

# while nginx does what it does by timers
sub idle { $_[0]->pass(10) }

# timers go as far
sub wind { my ($self, $ms) = @_; $self->tick($ms) }

# Where nobody knows yet if a hold is over, what follows may depend on it; so it
# does of what passes either way.
sub make_sure {
    my ($self) = @_;

    while (my $until = $self->{model}->unsure($self->{time})) {
        $self->pass($until + 1 - $self->{time});
    }
}

# an event's time is a second, so that of the event isn't shared
sub next_second {
    my ($self) = @_;

    $self->make_sure;
    $self->pass(1000 - $self->{time} % 1000);
    $self->make_sure;
}


# -- what a step does ---------------------------------------------------------

sub outcome {
    my ($answer, $kind, $message) = @_;

    my $sent = $kind eq 'message' || $kind eq 'template';

    return ('error', $1) if $answer =~ /^e(\d+)/;
    return ('none') if $answer eq 'torn' || $answer eq 'abort';
    return ('nothing') if $answer eq 'nothing';
    return $answer eq 'accepted' && $sent ? ('accepted', $message) : ('proof');
}

# what a 2xx says to what isn't a message
sub fitting {
    my ($answer, $kind) = @_;
    return $answer eq 'accepted' && $kind =~ /receipt|media/
        ? 'proof' : $answer;
}

sub ask {
    my ($kind, $phone, $token, $place, $to) = @_;

    return { kind => $kind, phone => $phone, token => $token,
        place => $place // 'plain', to => $to // $people[0] };
}

sub do_send {
    my ($self, $kind, $phone, $token, $answer, $place, $to) = @_;

    my $model   = $self->{model};
    my $ask     = ask($kind, $phone, $token, $place, $to);
    my $message = 'wamid.' . ++$self->{ids};

    $self->make_sure if $ask->{place} eq 'dry';

    my $may     = $model->expected($ask);
    my $got     = $self->request($ask, fitting($answer, $kind), $message);

    return differs($may, $got) if !$may->{ $got->{policy} } || $got->{odd};

    my $send = $model->began($ask, $got->{policy}) or return;
    my @said = outcome($answer, $kind, $message);

    $self->remember($send, $got->{policy}, @said);
    $model->answered($send, @said);
    return;
}

# messages that a status may come of, which ends a state or not
sub remember {
    my ($self, $send, $policy, $what, $message) = @_;

    push @{ $self->{messages} }, [$send->{phone}, $message, $send->{to}]
        if $what eq 'accepted' && ($policy eq 'probe' || $policy eq 'dry');
}

sub differs {
    my ($may, $got) = @_;

    return join(' or ', sort keys %$may) . " was expected, it was "
        . "$got->{policy}, $got->{status}$got->{odd}"
        . (length $got->{reason} ? ", $got->{reason}" : '');
}

sub do_time {
    my ($self, $ms) = @_;

    $self->pass($ms);
    return;
}

sub do_day {
    my ($self) = @_;

    $self->let_go;
    $self->pass(27 * 3_600_000);
    return;
}

sub do_hold {
    my ($self, $kind, $phone, $token, $place, $to) = @_;

    return if @{ $self->{under_way} // [] } >= 6;

    my $model   = $self->{model};
    my $ask     = ask($kind, $phone, $token, $place, $to);
    my $message = 'wamid.' . ++$self->{ids};

    # when it was sent is reckoned back from its answer by the clock of timers,
    # which goes its own way here
    $self->pass(500);
    $self->make_sure if $ask->{place} eq 'dry';

    my $may     = $model->expected($ask);
    my $socket  = $self->connected;

    syswrite $socket, $self->request_text($ask, 'held', $message);

    # it comes to the Graph API, or the proxy answers it
    my $read = '';
    vec($read, fileno $_, 1) = 1 for $socket, $self->{held};
    select $read, undef, undef, 20 or return 'no answer';

    my $graph;

    if (vec $read, fileno $self->{held}, 1) {
        $graph = $self->{held}->accept;
        my $text = '';

        while ($text !~ /\r\n\r\n/) {
            sysread $graph, $text, 65536, length $text or last;
        }
    }

    # it isn't told yet whether it is the probe
    my $got = $graph ? { policy => $may->{probe} ? 'probe'
        : $may->{dry} ? 'dry' : 'passed', status => 0, reason => '',
        odd => '' } : $self->answer_of($socket);

    return differs($may, $got) if !$may->{ $got->{policy} };

    my $send = $model->began($ask, $got->{policy}) or return;

    push @{ $self->{under_way} }, { send => $send, socket => $socket,
        graph => $graph, message => $message, at => $self->{time},
        host => $self->{at}, policy => $got->{policy}, kind => $kind };
    return;
}

sub do_free {
    my ($self, $number, $answer) = @_;

    my $list = $self->{under_way} // [];
    return if !@$list;

    my $call = splice @$list, $number % @$list, 1;
    return $self->finish($call, $answer);
}

sub finish {
    my ($self, $call, $answer) = @_;

    my $send = $call->{send};

    $self->at($call->{host});
    $self->make_sure if $self->{model} && $send->{place} eq 'dry';

    my @said  = outcome($answer, $call->{kind}, $call->{message});
    my $graph = $call->{graph};

    if ($answer eq 'abort') {
        close $call->{socket};

        # it is over when nginx gives the connection up
        sysread $graph, my $rest, 1000;
        close $graph;

    } else {
        my $text = fitting($answer, $call->{kind});
        my ($status, $body) = $text =~ /^e(\d+)/
            ? (400, qq({"error":{"message":"m","code":$1,"fbtrace_id":"T"}}))
            : $text eq 'accepted'
            ? (200, qq({"messages":[{"id":"$call->{message}"}]}))
            : $text eq 'proof' ? (200, '{"success":true}')
            : (200, '{"error":{"code":1}}');

        syswrite $graph, "HTTP/1.1 $status X\r\nContent-Type: "
            . "application/json\r\nConnection: close\r\nContent-Length: "
            . length($body) . "\r\n\r\n$body" if $answer ne 'torn';
        close $graph;

        my $got = $self->answer_of($call->{socket});

        return 'what was held: ' . differs({ $call->{policy} => 1 }, $got)
            if $got->{policy} ne $call->{policy} || $got->{odd};
    }

    $self->remember($send, $call->{policy}, @said);
    $self->{model}->answered($send, @said);
    return;
}

sub let_go {
    my ($self) = @_;

    while (my $call = shift @{ $self->{under_way} }) {
        $self->pass(2) if $self->{model};
        $self->finish($call, 'torn');
    }
}

sub do_event {
    my ($self, $phone, $code, $to) = @_;

    $to //= $people[0];
    $self->next_second;

    my $wrong = $self->webhook($phone,
        $self->status_of('wamid.OTHER', $code, $to));

    $self->{model}->status($phone, $to, 'wamid.OTHER', $code);
    return $wrong;
}

# a customer writes
sub do_wrote {
    my ($self, $phone, $from) = @_;

    $self->next_second;

    my $wrong = $self->webhook($phone, sprintf '"messages":[{"from":"%s",'
        . '"id":"wamid.IN%d","timestamp":"%d","type":"text","text":{"body":'
        . '"a"}}]', $from, ++$self->{ids}, $epoch + int($self->{time} / 1000));

    $self->{model}->inbound($phone, $from);
    return $wrong;
}

# of a message that was a probe; one of the last few
sub do_arrived {
    my ($self, $number, $code) = @_;

    my $list = $self->{messages};
    return if !@$list || $number >= @$list;

    my ($phone, $message, $to) = @{ $list->[-1 - $number] };
    return if !$accounts{$phone};

    $self->next_second;

    my $wrong = $self->webhook($phone, $self->status_of($message, $code, $to));

    $self->{model}->status($phone, $to, $message, $code);
    return $wrong;
}

sub status_of {
    my ($self, $message, $code, $to) = @_;

    my $at = $epoch + int($self->{time} / 1000);

    return qq("statuses":[{"id":"$message","recipient_id":"$to",)
        . qq("timestamp":"$at",)
        . (defined $code ? qq("status":"failed","errors":[{"code":$code}]}])
            : '"status":"delivered"}]');
}

sub do_hand {
    my ($self, $kind, $phone, $reason, $seconds, $frozen) = @_;

    $reason = 'billing' if $kind eq 'account';

    my $key = $kind eq 'account' ? $accounts{$phone} : $phone;
    my $got = $self->api('POST', 'states', JSON::PP::encode_json({
        scope => $kind, key => $key, reason => $reason,
        hold => "${seconds}s", probe => $frozen ? JSON::PP::false
            : JSON::PP::true }));

    $self->{model}->by_hand({ kind => $kind, key => $key, reason => $reason,
        bound => '' }, $seconds * 1000, $frozen);
    return $got->{status} =~ /^20/ ? '' : "the API said $got->{status}";
}

sub do_clear {
    my ($self) = @_;

    $self->make_sure;
    $self->api('DELETE', 'states');
    $self->{model}->clear_all;
    return;
}

sub do_register {
    my ($self, $phone, $token) = @_;

    my $got = $self->exchange("POST /v25.0/$phone/register HTTP/1.1\r\n"
        . "Host: a\r\nAuthorization: Bearer $token\r\nX-Mock: proof\r\n"
        . "Content-Length: 2\r\n\r\n{}");

    $self->{model}->registered($phone, $token);
    return $got->{status} == 200 ? '' : "register got $got->{status}";
}

sub do_reload {
    my ($self) = @_;

    $self->let_go;
    $self->host->{pool} = [];

    my %old = map { $_ => 1 } $self->nginx->workers;
    $self->nginx->signal('HUP');

    return GraphPolicy::wait_until(sub {
        my @now = $self->nginx->workers;

        $self->idle;
        return @now == $self->{workers} && !grep { $old{$_} } @now;
    }, 30) ? '' : 'nginx did not reload';
}

# Made-up tokens, more than there is room for, push out nothing that holds for
# everybody. What is left of the others can't be told, so all begins anew.
sub do_flood {
    my ($self) = @_;

    $self->let_go;

    # a row of requests for each of a few connections
    my @sockets = map { $self->connected } 1 .. 12;

    for my $socket (@sockets) {
        syswrite $socket, join '', map { $self->request_text(ask('message',
            '1009', 'made-up' . ++$self->{ids}), 'e190', 'm') } 1 .. 125;
    }

    for my $socket (@sockets) {
        my $text = '';

        while (125 > (() = $text =~ m{"fbtrace_id"}g)) {
            sysread $socket, $text, 65536, length $text or return 'no answer';
        }
    }

    my $wrong = $self->do_list('everybody');

    $self->reset;
    return $wrong;
}

# all armed states, as the API lists them
sub do_list {
    my ($self, $everybody) = @_;

    $self->notice;
    return $self->compare($everybody, $self->listing);
}

# what is due to leave has to be noticed before it is listed
sub notice {
    my ($self) = @_;

    $self->pass(200);
    $self->request(ask('message', '1999', 'tokZ'), 'accepted');
    $self->{model}->expire;
}

sub listing {
    my ($self) = @_;

    my (@states, $after);

    do {
        my $got = $self->api('GET', 'states?limit=1000'
            . (defined $after ? "&after=$after" : ''));

        push @states, listed($got->{body});
        ($after) = $got->{body} =~ /"next":"([^"]*)"/;
    } while (defined $after);

    return @states;
}

sub compare {
    my ($self, $everybody, @states) = @_;

    my $model = $self->{model};
    my (%got, %pairs);

    for (@states) {
        if ($_->{scope} eq 'conversation') {
            push @{ $pairs{ $_->{reason} } }, $_ if !$everybody;
            next;
        }

        my $reason = $_->{reason} eq 'phones-disconnected'
            ? 'phone-disconnected' : $_->{reason};
        my $scope = $_->{scope};
        my $bound = $_->{credential} // '';

        next if $everybody && length $bound;

        $got{ join ' ', $scope, $scope eq 'credential' ? $bound
            : $_->{key}, $reason, $scope eq 'credential' ? '' : $bound } = $_;
    }

    my $wrong = $everybody ? '' : $self->compare_pairs(\%pairs);
    return $wrong if length $wrong;

    for my $state (grep { $_->{kind} ne 'pair' } $model->armed) {
        next if $everybody
            && (length $state->{bound} || $state->{kind} eq 'credential');

        my $scope = $state->{kind} eq 'account-phone' ? 'account'
            : $state->{kind};
        my $print = sub { $self->{prints}{ $_[0] } // $_[0] };
        my $name  = join ' ', $scope, $scope eq 'credential'
            ? $print->($state->{key}) : $state->{key}, $state->{reason},
            length $state->{bound} && $scope ne 'credential'
            ? $print->($state->{bound}) : '';
        my $found = delete $got{$name} or return "no state $name, but "
            . (join(', ', sort keys %got) || 'none');

        return "$name was changed by $found->{node}, not $self->{names}"
            . $state->{host} if defined $self->{names}
            && $found->{node} !~ /^$self->{names}$state->{host}\b/;

        next if GraphPolicy::Model::is_frozen($state)
            && !defined $found->{until};

        # while somebody probes, it is their lease that has an end
        next if $found->{probing} || $state->{confirming};

        my $until = milliseconds($found->{until}) - $epoch * 1000;

        my ($from, $to) = ($model->from($state), $model->to($state));

        return "$name until $until, not from $from to $to, it is $self->{time}"
            if $until < $from || $until > $to;

        # the hold is known exactly now
        $_->[ $self->{at} ] = $until for $to > $self->{time} && !$state->{span}
            ? @$state{qw(from to)} : ();
    }

    return %got ? 'a state too many: ' . join ', ', sort keys %got : '';
}

# The API doesn't say whose a conversation is: of each reason there are as many
# as the model has, and they end when it says.
sub compare_pairs {
    my ($self, $got) = @_;

    my %want;

    my $model  = $self->{model};
    my $circle = $model->circle;

    push @{ $want{ $_->{reason} } }, [$model->from($_), $model->to($_)]
        for grep { $_->{kind} eq 'pair' && $_->{key} =~ m{^$circle/} }
        $model->armed;
    push @{ $want{ $_->{reason} } }, [($_->{until}) x 2]
        for grep { $_->{live} && $_->{until} > $self->{time} }
        map { $model->{talks}{$_} } grep { m{^$circle/} }
        keys %{ $model->{talks} };

    for my $reason (sort keys %{ { %want, %$got } }) {
        # a limit that is over goes when somebody looks for it
        my @of = grep { $reason eq 'pair-rate-limit'
            || milliseconds($_->{until}) - $epoch * 1000 > $self->{time} }
            @{ $got->{$reason} // [] };
        my @until = sort { $a <=> $b } map { milliseconds($_->{until})
            - $epoch * 1000 } @of;
        my @ends  = sort { $a->[1] <=> $b->[1] } @{ $want{$reason} // [] };

        return "$reason in " . @ends . ' conversations, not ' . @of
            if @ends != @of;

        # while somebody probes, it is their lease that has an end
        next if grep { $_->{probing} } @of;

        for my $end (@ends) {
            my ($fits) = grep { $until[$_] >= $end->[0]
                && $until[$_] <= $end->[1] } 0 .. $#until;

            return "$reason ends at " . join(' ', map { $_ // '-' } @until)
                . ", not from $end->[0] to $end->[1]" if !defined $fits;
            splice @until, $fits, 1;
        }
    }

    return '';
}

# the states of a list of the API, which has no objects within them; JSON::PP
# would take longer than all the rest of a step
sub listed {
    my ($body) = @_;

    my @states;

    for my $state ($body =~ /\{("id":[^{}]*)\}/g) {
        my %of;

        $of{$1} = $2 // ($3 eq 'null' || $3 eq 'false' ? undef : $3)
            while $state =~ /"(\w+)":(?:"([^"]*)"|([-\w.]+))/g;
        push @states, \%of;
    }

    return @states;
}

sub milliseconds {
    my ($y, $m, $d, $h, $i, $s, $ms) = $_[0]
        =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)\.(\d+)Z/
        or die "no time: $_[0]";
    return Time::Local::timegm($s, $i, $h, $d, $m - 1, $y) * 1000 + $ms;
}


1;
