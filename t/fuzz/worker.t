#!/usr/bin/perl

# A whole worker between hostile clients and a hostile upstream: damaged status
# lines, headers, framing, members, trailers, interim and early answers; slow,
# leaving, half-closed, pipelining clients, damaged requests, HTTP/2, webhooks.
# Honest ones are among them. Whatever comes, the worker lives on, nobody who is
# honest gets anything else than is right, and no state is set but by an answer
# that says so.
#
#     make fuzz-worker SEED=7 RUNS=100000
#     make fuzz-worker SEED=7 FIRST=5120 RUNS=256
#
# Without RUNS it ends after FUZZ_SECONDS. The exchange of a number is the same
# in each run; what meets what isn't, as many are under way.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Socket::INET;
use JSON::PP ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slurp);
use GraphPolicy::Exchange qw(HALF CLOSE RESET request_of answer_of
    plain_answer plain_request numbers);

my $seed    = $ENV{SEED}  || 1 + int rand 30_000;
my $first   = $ENV{FIRST} || 0;
my $runs    = $ENV{RUNS}  || 0;
my $seconds = $ENV{FUZZ_SECONDS} || 60;

# under way at a time, and between two looks at the worker
my ($beside, $batch) = (100, 1024);

my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1024,
    Blocking => 0) or die "upstream: $!";
my $up = 'http://127.0.0.1:' . $listen->sockport;

# what a location has beside; the last digit of an exchange's number chooses
my @kinds = (
    '',
    'proxy_buffering off;',
    'graph_policy_retry attempts=2 base=1ms max=2ms deadline=1s'
        . ' budget_min=10000;',
    'graph_policy_cooldown on; graph_policy_conversation on;',
    'proxy_http_version 1.1; proxy_set_header Connection "";',
    'proxy_request_buffering off; proxy_http_version 1.1;',
    'gzip on; gzip_types *; gzip_min_length 1; gunzip on;',
    'graph_policy_pause all; proxy_buffer_size 4k; proxy_buffers 4 4k;'
        . ' proxy_busy_buffers_size 8k;',
    'proxy_max_temp_file_size 0; sub_filter error ERROR; sub_filter_types *;',
    'graph_policy_dry_run on; proxy_ignore_client_abort on;',
);

my $locations = join '', map { my $kind = $_; <<"END" } 0 .. $#kinds;
    location ~ ^/n\\d*$kind/ {
        $kinds[$kind]
        proxy_pass @{[ $kind == 4 ? 'http://kept' : $up ]};
    }
END

my $secrets = File::Temp->new;
print $secrets "fuzz-secret\n";
close $secrets;
chmod 0644, "$secrets";

my $nginx = GraphPolicy::Nginx->start(log_level => 'error', http => <<"END");
graph_policy_zone zone=z:8m;
upstream kept {
    server 127.0.0.1:@{[ $listen->sockport ]};
    keepalive 8;
}
server {
    listen 127.0.0.1:%PORT%;
    listen 127.0.0.1:%PORT2% http2;

    graph_policy      zone=z;
    graph_policy_hold 50ms max=1s;

    client_header_timeout 1s;
    client_body_timeout   1s;
    send_timeout          1s;
    keepalive_timeout     300ms;
    lingering_time        1s;
    lingering_timeout     200ms;
    proxy_read_timeout    60s;

$locations
    location / { proxy_pass $up; }
    location /control/ {
        graph_policy_hold 1h;
        proxy_pass        $up;
    }
    location /hook/ {
        graph_policy_webhook             on;
        graph_policy_webhook_pause       on;
        graph_policy_webhook_secret_file $secrets;
        proxy_pass                       $up;
    }
    location /api/ { graph_policy_api write=on; }
}
END

my $worker = GraphPolicy::wait_until(sub { ($nginx->workers)[0] });


# -- what went wrong ----------------------------------------------------------

my (@wrong, %seen);

sub wrong {
    my ($n, $what) = @_;

    push @wrong, "exchange $n: $what" if @wrong < 20;
    $seen{wrong}++;
}

# what the upstream has said that may set a state: {digits of a request}{code},
# and all codes; what signed webhooks have said; what an honest one has said of
# its phone, which has to be a state
my (%said, %codes, %hooked, %must);

sub note_answer {
    my ($line, $answer, @more) = @_;

    return if !$answer->{failed} && !@more;

    for my $code (numbers(@{ $answer->{texts} }, @more)) {
        $codes{$code} = 1;
        $said{$_}{$code} = 1 for $line =~ /(\d+)/g;
    }
}


# -- one side of a connection -------------------------------------------------

my (%conns, $control);

sub begin {
    my ($socket, %conn) = @_;

    $socket->blocking(0);
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;

    my $conn = { socket => $socket, in => '', script => [], at => 0,
        until => time + 60, %conn };
    $conns{ fileno $socket } = $conn;

    return $conn;
}

sub over {
    my ($conn) = @_;

    my $socket = delete $conn->{socket} or return;
    delete $conns{ fileno $socket };
    close $socket;
    $conn->{closed} = 1;
    $conn->{done}->($conn) if $conn->{done};
}

# as far as it goes now
sub advance {
    my ($conn) = @_;

    while ($conn->{socket} && @{ $conn->{script} }) {
        my $step = $conn->{script}[0];

        if (!ref $step) {
            my $sent = length $step ? syswrite $conn->{socket}, $step : 0;

            if (!defined $sent) {
                return if $!{EAGAIN} || $!{EINTR};
                return $conn->{done} ? $conn->{script} = [] : over($conn);
            }

            substr $conn->{script}[0], 0, $sent, '';
            return if length $conn->{script}[0];

        } elsif (ref $step eq 'ARRAY') {
            return if length $conn->{in} < $step->[0] && !$conn->{eof};

        } elsif ($step == HALF) {
            shutdown $conn->{socket}, 1;

        } elsif ($step == CLOSE || $step == RESET) {
            setsockopt $conn->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
                if $step == RESET;
            return over($conn);

        } else {
            $conn->{at} ||= time + $$step;
            return if time < $conn->{at};
            $conn->{at} = 0;
        }

        shift @{ $conn->{script} };
    }

    # an answer that never ends is left by us, however slow the machine is: a
    # timeout of nginx would hit honest ones as well
    $conn->{until} = time + 2 if $conn->{upstream};
}

sub on_input {
    my ($conn) = @_;

    my $got = sysread $conn->{socket}, $conn->{in}, 65_536, length $conn->{in};

    return if !defined $got && ($!{EAGAIN} || $!{EINTR});

    if (!$got) {
        $conn->{eof} = 1;
        # a client that has said all, or an upstream that nobody asks
        return over($conn);
    }

    on_request($conn) if $conn->{upstream};
}

# what the upstream says once the head of a request, or all of it, is there
sub on_request {
    my ($conn) = @_;

    return if @{ $conn->{script} };

    my $end = index $conn->{in}, "\r\n\r\n";
    return if $end < 0;

    my $head   = substr $conn->{in}, 0, $end + 2;
    my ($line) = $head =~ /\A([^\r]*)/;
    my $answer = $conn->{answer} //= choose($line);

    if (!$answer->{early}) {
        my $body = substr $conn->{in}, $end + 4;

        return if $head =~ /^Content-Length: (\d+)\r$/mi
            && length $body < $1;
        return if $head =~ /^Transfer-Encoding: chunked\r$/mi
            && $body !~ /(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n\z/;
    }

    # whatever the last answer had too much may be taken for this one
    note_answer($line, $answer, @{ $conn->{texts} || [] });
    push @{ $conn->{texts} }, @{ $answer->{texts} } if $answer->{failed};

    $conn->{in}     = '';
    $conn->{answer} = undef;
    $conn->{until}  = time + 60;
    $conn->{script} = [@{ $answer->{script} }];
    advance($conn);
}

my %tries;

sub choose {
    my ($line) = @_;

    return $control->{answer} if $line =~ m{^POST /control/};
    return plain_answer(200) if $line !~ m{/n(\d{1,7})\b};

    my $n = $1;
    return answer_of($seed, $n, ++$tries{$n}, request_of($seed, $n)->{honest});
}

# one turn of everybody
sub turn {
    my ($read, $write) = ('', '');

    vec($read, fileno $listen, 1) = 1;

    my $rest = 0.05;

    for my $fd (keys %conns) {
        my $conn = $conns{$fd};
        vec($read, $fd, 1) = 1;

        my $step = $conn->{script}[0] // next;
        vec($write, $fd, 1) = 1 if !ref $step;
        $rest = 0.001 if $conn->{at};
    }

    select $read, $write, undef, $rest;

    while (vec $read, fileno $listen, 1) {
        my $socket = $listen->accept or last;
        begin($socket, upstream => 1);
    }

    my $now = time;

    for my $fd (keys %conns) {
        my $conn = $conns{$fd} or next;

        on_input($conn) if vec $read, $fd, 1;
        advance($conn) if $conn->{socket} && @{ $conn->{script} };
        over($conn) if $conn->{socket} && $now > $conn->{until};
    }
}

sub call {
    my ($script, %conn) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $conn{h2} ? $nginx->{port2} : $nginx->port)
        or die "connect: $!";

    my $conn = begin($socket, script => [@$script], %conn);
    advance($conn);
    return $conn;
}


# -- what an answer must be like ----------------------------------------------

my %form = (
    'x-graph-error-category'
        => qr/^(?:fatal|temporary|context-limited|request|unclassified)\z/,
    'x-graph-error-code'    => qr/^\d{1,19}\z/,
    'x-graph-error-subcode' => qr/^\d{1,19}\z/,
    'x-graph-error-reason'  => qr/^[a-z]+(?:-[a-z]+)*\z/,
    'x-graph-error-scope'
        => qr/^(?:request|conversation|phone|account|credential)\z/,
    'x-graph-policy'   => qr/^(?:passed|retried|probe|dry-run|blocked)\z/,
    'x-graph-attempts' => qr/^2\z/,
    'x-graph-state'    => qr/^[0-9a-f]{18}\z/,
    'x-graph-hold'     => qr/^[1-9]\d{0,5}\z/,
);

sub look_at {
    my ($n, $request, $text) = @_;

    $seen{exchanges}++;
    return if $request->{h2};

    my $got     = GraphPolicy::parse_answer({ in => $text });
    my %headers = %{ $got->{headers} };

    $got->{status} //= 0;
    $seen{answered}++ if $got->{status};
    $seen{$_}++ for grep { defined } @headers{qw(x-graph-policy
        x-graph-error-category)};

    # an upstream's own are kept where the policy has nothing to say, and so
    # are those that are nearly called like the policy's
    # (one to HTTP/0.9 has no head, but what seems to be one may be its body)
    if ($got->{status} >= 400 && !$request->{hook}
        && $got->{head} =~ /^Server: nginx/m)
    {
        for my $name (grep { defined $headers{$_} } keys %form) {
            wrong($n, "$name: $headers{$name}: $got->{head}")
                if $headers{$name} !~ $form{$name};
        }
    }

    # a connection that is kept may have brought what was meant for another
    my $kind = $n % 10;

    return if !$request->{honest} || $kind == 4 && !$request->{hook};
    $seen{honest}++;

    my $answer = answer_of($seed, $n, 1, 1);

    if ($request->{hook}) {
        $seen{hooks}++;
        # or the policy asks Meta to wait, as a message may not be answered
        wrong($n, "status $got->{status} of a webhook")
            if $got->{status} != $answer->{status} && $got->{status} != 503;
        return;
    }

    wrong($n, "status $got->{status}, not $answer->{status}: "
        . substr $text, 0, 300) if $got->{status} != $answer->{status};

    # these are changed by other filters
    wrong($n, 'another body: ' . length($got->{body}) . ' of '
        . length $answer->{body})
        if $kind != 6 && $kind != 8 && $got->{body} ne $answer->{body};

    return if !$answer->{failed};

    my $error = JSON::PP::decode_json($answer->{plain})->{error};

    wrong($n, 'no category') if !$headers{'x-graph-error-category'};
    wrong($n, 'another code')
        if ($headers{'x-graph-error-code'} // '') ne $error->{code};

    $must{ $request->{phone} } = $error->{code}
        if ($headers{'x-graph-error-category'} // '') eq 'fatal'
        && $headers{'x-graph-error-scope'} =~ /^(?:phone|account)\z/;
}


# -- looks at the worker ------------------------------------------------------

my $log_read = 0;
my $phone    = 9_000_000;

sub api {
    my ($method, $path) = @_;

    return $nginx->request(method => $method, path => "/api/$path",
        timeout => 60);
}

sub control {
    my ($phone, @answer) = @_;

    $control = { answer => plain_answer(@answer) };

    my $got;
    my $conn = call(plain_request("/control/$phone/messages", "c$phone"),
        until => time + 60, done => sub {
            $got = GraphPolicy::parse_answer({ in => $_[0]{in} });
        });

    turn() while !$got;
    return ($got, $control->{answer}{body});
}

sub check_control {
    my ($got, $body) = control(++$phone, 200);

    wrong('control', "success: $got->{text}") if $got->{status} != 200
        || $got->{body} ne $body || $got->{head} =~ /^X-Graph/mi;

    ($got, $body) = control($phone, 400, 131047);

    my %headers = %{ $got->{headers} };
    wrong('control', "error: $got->{text}") if $got->{status} != 400
        || $got->{body} ne $body
        || $headers{'x-graph-error-category'} ne 'context-limited'
        || $headers{'x-graph-error-code'} ne '131047'
        || $headers{'x-graph-policy'} ne 'passed';

    ($got) = control($phone, 400, 133010);
    wrong('control', "fatal: $got->{text}")
        if ($got->{headers}{'x-graph-error-category'} // '') ne 'fatal';

    ($got) = control($phone, 200);
    %headers = %{ $got->{headers} };
    wrong('control', "not blocked: $got->{text}") if $got->{status} != 400
        || ($headers{'x-graph-policy'} // '') ne 'blocked'
        || ($headers{'x-graph-error-code'} // '') ne '133010'
        || $got->{body} !~ /^\{"error":\{.*\}\}\z/;
}

sub check_states {
    my $after = '';
    my $set   = 0;

    do {
        my $page = api(GET => "zones/z/states?limit=1000$after");
        my $list = eval { JSON::PP::decode_json($page->{body}) }
            or return wrong('states', "no list: $page->{text}");

        for my $state (@{ $list->{states} }) {
            check_state($state);
            $set++;

            delete $must{ $state->{key} // '' }
                if ($must{ $state->{key} // '' } // -1) eq $state->{code};
        }
        $after = $list->{next} ? "&after=$list->{next}" : '';
    } while ($after);

    $seen{states} += $set;

    wrong('states', "not set: $_") for map { "$_ $must{$_}" } sort keys %must;

    my $all = api(DELETE => 'zones/z/states');
    wrong('states', "not cleared: $all->{text}") if $all->{status} != 204;

    my $left = api(GET => 'zones/z/states');
    wrong('states', "left: $left->{body}")
        if $left->{body} !~ /"states":\s*\[\s*\]/;

    %said   = ();
    %codes  = ();
    %hooked = ();
    %must   = ();
    %tries  = ();
}

# who said so?
sub check_state {
    my ($state) = @_;

    my $key  = $state->{key} // '';
    my $code = $state->{code};

    return if $key =~ /^9\d{6}\z/;

    my $founded = $state->{source} eq 'webhook'
        ? $hooked{$key} && (!defined $code || $hooked{$key}{$code})
        : defined $code && ($key eq '' || $state->{scope} eq 'credential'
            ? $codes{$code}
            : $said{$key} && $said{$key}{$code});

    wrong('states', 'unfounded: ' . JSON::PP->new->canonical->encode($state))
        if !$founded;
}

sub check_worker {
    my @workers = $nginx->workers;

    wrong('worker', "another one: @workers, not $worker")
        if "@workers" ne $worker;

    open my $log, '<', $nginx->dir . '/error.log' or die "log: $!";
    seek $log, $log_read, 0;

    while (<$log>) {
        wrong('log', $_) if /\[(?:alert|crit|emerg)\]/;
    }

    $log_read = tell $log;

    return if !$ENV{REPORTS};
    wrong('sanitizer', substr slurp($_), 0, 4000)
        for glob "$ENV{REPORTS}/*";
}


# -- all of them --------------------------------------------------------------

my $begun = time;
my $n     = $first;
my $open  = 0;

sub more {
    return $runs ? $n < $first + $runs : time - $begun < $seconds;
}

sub exchange {
    my ($n) = @_;

    my $request = request_of($seed, $n);

    if ($request->{signed}) {
        for my $key ($request->{body} =~ /(\d+)/g) {
            $hooked{$key}{$_} = 1 for numbers($request->{body});
        }
    }

    $open++;
    call($request->{script}, h2 => $request->{h2}, done => sub {
        $open--;
        look_at($n, $request, $_[0]{in});
    });
}

while (!@wrong && more()) {
    my $start = $n;

    while ($n - $start < $batch && more()) {
        exchange($n++);
        do { turn() } while $open >= $beside;
    }

    turn() while $open;

    check_control();
    check_states();
    check_worker();

    diag("seed $seed: wrong in exchanges $start to " . ($n - 1)) if @wrong;
    note("$n exchanges, ", int(time - $begun), ' s') if $n % 10_240 == 0;
}

is_deeply(\@wrong, [], 'nothing is wrong, whatever came')
    or diag("again: SEED=$seed FIRST=$first RUNS=" . ($n - $first));

# of so many some end each way, or nothing was tried
for (qw(passed probe retried blocked dry-run fatal temporary context-limited
    request unclassified honest hooks states))
{
    cmp_ok($seen{$_} // 0, '>', 0, "there were: $_") if $n - $first >= 4096;
}

my $metrics = api(GET => 'metrics')->{body};
like($metrics, qr/^graph_policy_parked\{zone="z"\} 0$/m, 'nobody is parked');

$nginx->stop('QUIT');
is_deeply([grep { /exited on signal|\[alert\]/ } split /\n/, $nginx->log], [],
    'it ends in peace');

diag(sprintf 'seed %d: %d exchanges, %d answered, %d honest, %d webhooks of '
    . 'those, %d states, %d s', $seed, map({ $seen{$_} // 0 } qw(exchanges
    answered honest hooks states)), time - $begun);

done_testing();
