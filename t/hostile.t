# vi:set ft= ts=4 sw=4 et:

# An upstream that sends whatever it likes: error bodies that were changed at
# random, wrong codings, torn framing, odd headers. Whatever it is, the proxy
# stays up, delivers what it can, writes well-formed headers, and learns
# nothing but from a whole, valid error of a fatal code.
#
# The same bytes in each run. HOSTILE_SEED and HOSTILE_COUNT choose others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slurp);
use GraphPolicy::Hostile qw(seed below one_of bytes mutate code odd_headers
    chunks);

my $seed  = $ENV{HOSTILE_SEED} || 20260;
my $count = $ENV{HOSTILE_COUNT} || 700 / GraphPolicy::slow();
my $most  = 40 * GraphPolicy::slow();

my @samples = map { slurp($_) } sort glob "$FindBin::Bin/samples/e*.json";
my %fatal   = map { $_ => 1 } 0, 3, 10, 33, 102, 190, 200 .. 299, 368, 131005,
    131031, 131042, 131045, 133010;

die "no samples\n" if @samples < 10;


# -- one answer: what is sent in which pieces, and what must come of it

sub make {
    my ($number) = @_;

    seed($seed * 7919 + $number * 104_729);

    my $plain  = one_of(@samples);
    $plain = mutate($plain) if below(5);
    $plain = one_of('', 'null', '<html>', '{}', '[]', '{"error":{}}',
        '{"error":[]}', '{"error":null}', '{"error":"190"}', bytes(50))
        if below(20) == 0;

    my ($body, $coding, $honest) = code($plain);
    my $status = one_of(400, 400, 400, 401, 403, 404, 429, 500, 500, 503, 599,
        416, 413, 411, 499, 444, 418);
    my $valid  = 1;
    my $torn   = 0;

    my @head = ("HTTP/1.1 $status " . one_of('Bad', '', 'x' x 200, "\xff"),
        'X-Number: ' . $number);
    push @head, 'Content-Type: application/json' if below(4);
    push @head, "Content-Encoding: $coding" if defined $coding;
    push @head, odd_headers();

    my $framing = below(8);
    my $message;

    if ($framing < 3) {
        push @head, 'Content-Length: ' . length $body;
        $message = $body;

    } elsif ($framing < 5) {
        push @head, 'Transfer-Encoding: chunked';
        $message = chunks($body);

    } elsif ($framing == 5) {
        $message = $body;

    } elsif ($framing == 6) {
        push @head, 'Content-Length: ' . (length($body) + 1 + below(500));
        $message = $body;
        $torn    = 1;

    } else {
        push @head, 'Transfer-Encoding: chunked';
        $message = chunks($body);

        if (below(2)) {
            $message = substr $message, 0, below(length($message) - 4);
        } else {
            $message = one_of('z', '-', "\0", ' ', '"', '0x', ';')
                . substr $message, 1;
        }
        $torn = 1;
    }

    # what isn't a header at all, now and then: some of it is passed over
    if (below(25) == 0) {
        splice @head, 1, 0, one_of('no colon', ': no name', "A\0b: c",
            'Content-Length: -1', 'Content-Length: 1x', 'X: ' . 'y' x 20_000,
            'Content-Length: 99999999999999999999', 'Transfer-Encoding: x',
            "Bad Name: 1");
        $valid = 0;
    }

    $valid = 0 if $torn;

    my $text = join("\r\n", @head) . "\r\n\r\n" . $message;

    # in how many pieces
    my @pieces = ($text);
    if (below(3) == 0) {
        @pieces = ();
        while (length $text) {
            push @pieces, substr $text, 0, 1 + below(length($text)), '';
            last if @pieces > 6;
        }
        push @pieces, $text if length $text;
    }

    return {
        pieces => \@pieces, body => $body, plain => $plain, valid => $valid,
        torn => $torn,
        status => $status, readable => $valid && $honest,
        packed => defined $coding, reset => !$valid && below(2),
    };
}

# -- the upstream: the number in the path says what to answer

sub serve {
    my ($listen, $parent) = @_;

    while (getppid == $parent) {
        my $ready = '';
        vec($ready, fileno $listen, 1) = 1;
        next if select($ready, undef, undef, 1) <= 0;

        my $socket = $listen->accept or next;
        my $in     = '';

        $socket->setsockopt(Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1);

        while ($in !~ /\r\n\r\n/) {
            sysread $socket, $in, 65_536, length $in or last;
        }

        my ($number) = $in =~ m{^POST /n(\d+)/} or next;
        my $answer   = make($number);

        for (@{ $answer->{pieces} }) {
            my $at = 0;
            while ($at < length $_) {
                my $sent = syswrite $socket, $_, length($_) - $at, $at;
                last if !$sent;
                $at += $sent;
            }
            select undef, undef, undef, 0.002 if @{ $answer->{pieces} } > 1;
        }

        $socket->setsockopt(Socket::SOL_SOCKET(), Socket::SO_LINGER(),
            pack 'ii', 1, 0) if $answer->{reset};
        close $socket;
    }
}

my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 256)
    or die "upstream: $!";
my $parent   = $$;
my $upstream = fork // die "fork: $!";

if (!$upstream) {
    open STDIN, '<', '/dev/null';
    eval { serve($listen, $parent); 1 } or print STDERR "upstream: $@";
    POSIX::_exit(0);
}

GraphPolicy::adopt($upstream);

my $port = $listen->sockport;
close $listen;

my $nginx = GraphPolicy::Nginx->start(http => <<"END");
graph_policy_zone zone=z:8m;
server {
    listen 127.0.0.1:%PORT%;
    graph_policy zone=z;
    graph_policy_hold 1h max=1h;

    proxy_http_version 1.1;
    proxy_read_timeout 5s;
    proxy_pass_header  X-Accel-Limit-Rate;
    proxy_buffer_size  16k;
    proxy_buffers      8 16k;
    proxy_busy_buffers_size 32k;
    proxy_max_temp_file_size 0;

    location / {
        proxy_pass http://127.0.0.1:$port;
    }
    location ~ ^/n\\d*[1-3]/ {
        proxy_buffering off;
        graph_policy_cooldown on;
        proxy_pass http://127.0.0.1:$port;
    }
    location ~ ^/n\\d*[4-5]/ {
        graph_policy_retry attempts=2 base=1ms max=2ms deadline=300ms
            budget_min=10000;
        proxy_pass http://127.0.0.1:$port;
    }
}
END


# -- what every answer must be like

my %form = (
    'x-graph-error-category'
        => qr/^(?:fatal|temporary|context-limited|request|unclassified)\z/,
    'x-graph-error-code'    => qr/^-?\d{1,19}\z/,
    'x-graph-error-subcode' => qr/^-?\d{1,19}\z/,
    'x-graph-error-reason'  => qr/^[a-z]+(?:-[a-z]+)*\z/,
    'x-graph-error-scope'
        => qr/^(?:request|conversation|phone|account|credential)\z/,
    'x-graph-policy'   => qr/^(?:passed|retried|probe|dry-run|blocked)\z/,
    'x-graph-attempts' => qr/^2\z/,
    'x-graph-state'    => qr/^[0-9a-f]{18}\z/,
);

# the error of a body, as another implementation reads it; nothing if it can't.
# Unlike that one, RFC 8259 has nothing against half a pair that is escaped.
sub error_of {
    my ($text) = @_;

    $text =~ s/\\u[dD][89a-fA-F][0-9a-fA-F]{2}/\\ufffd/g;

    my $document = eval { JSON::PP->new->utf8->decode($text) };
    return if ref $document ne 'HASH';

    my $error = $document->{error};
    return ref $error eq 'HASH' ? $error : undef;
}

# whether a torn answer is short of nothing but its framing
sub brought {
    my ($want, $got) = @_;

    return index($want->{body}, $got->{body}) == 0
        && ($want->{packed} ? $got->{body} eq $want->{body}
            : error_of($got->{body}));
}

my (@wrong, %seen);

sub wrong {
    my ($number, $what) = @_;
    push @wrong, "$number: $what" if @wrong < 20;
    $seen{wrong}++;
}

sub look_at {
    my ($number, $want, $got) = @_;

    my %headers = %{ $got->{headers} };

    for my $name (grep { /^x-graph-/ } keys %headers) {
        my $form = $form{$name};
        wrong($number, "$name: $headers{$name}")
            if !$form || $headers{$name} !~ $form;
    }

    wrong($number, "no answer: $got->{error}")
        if !$got->{status} && $want->{valid};
    return if !$got->{status};

    # an answer that nginx itself gives says nothing of a policy
    if (!$want->{valid} && $got->{status} == 502
        && !defined $headers{'x-number'})
    {
        $seen{refused}++;
        wrong($number, 'a page of nginx has a category')
            if defined $headers{'x-graph-error-category'};
        return;
    }

    wrong($number, "status $got->{status}") if $got->{status} != $want->{status};
    wrong($number, 'no category')
        if !defined $headers{'x-graph-error-category'};
    wrong($number, 'a header from a body')
        if $got->{head} =~ /^X-Graph-State: 1/mi;

    if ($want->{valid}) {
        $seen{whole}++;
        wrong($number, 'another body: ' . length($got->{body}) . ' of '
            . length $want->{body}) if $got->{body} ne $want->{body};
        wrong($number, "not whole: $got->{error}") if $got->{error};
    } else {
        $seen{torn}++;
    }

    my $code = $headers{'x-graph-error-code'};

    return if !defined $code;
    $seen{read}++;

    # one that ends too soon may have brought all of its document
    wrong($number, "code $code of a torn document")
        if $want->{torn} && !brought($want, $got);

    # two that read differently are a reason to look
    my $error = error_of($want->{plain});
    if (!$error) {
        wrong($number, "code $code of what isn't JSON") if $want->{readable};
    }
}


# -- all of them, some at a time

my (%want, %answer);
my $begun = time;
my $done  = 0;

while ($done < $count && time - $begun < $most) {
    my @numbers = map { $done + $_ } 1 .. 20;
    $done += 20;

    $want{$_} = make($_) for @numbers;

    my @answers = $nginx->parallel(map { {
        path => "/n$_/" . (100_000 + $_) . '/messages', token => "t$_",
        version => '1.1', timeout => 15,
    } } @numbers);

    $answer{$_} = shift @answers for @numbers;
    look_at($_, $want{$_}, $answer{$_}) for @numbers;
}

cmp_ok($done, '>=', $count, "$done answers in time");
is_deeply(\@wrong, [], 'each is as it should be')
    or diag(join "\n", "seed $seed", @wrong);
cmp_ok($seen{$_} // 0, '>', $done / 50, "enough were: $_")
    for qw(whole torn read);


# -- which states there are, and why

sub founded {
    my ($number) = @_;
    my $want = $want{$number};

    return !$want->{torn} || brought($want, $answer{$number});
}

{
    my %set;
    my $log = $nginx->log;

    while ($log =~ /state set, ([^\n]*)/g) {
        my $line = $1;
        # a send has a phone and a token of its own
        my ($number) = $line =~ /"1(\d{5})"/;
        push @{ $set{ $number ? $number + 0 : '-' } }, $line;
    }

    my (@unfounded, $founded);

    for my $number (grep { /\d/ } sort keys %set) {
        my $error = error_of($want{$number}{plain});

        # numbers as texts count as numbers
        my $code = $error ? $error->{code} : undef;
        my ($logged) = $set{$number}[0] =~ /code: (-?\d+)/;

        if (founded($number) && $error && defined $code && !ref $code
            && $code == $logged)
        {
            $founded++;
            next if $fatal{$logged} || $set{$number}[0]
                !~ /token-invalid|restricted|billing|disconnected/
                || $set{$number}[0] =~ m{code: 100/33};
        }

        push @unfounded, "$number: $set{$number}[0]";
    }

    # states of a token bear no phone; they are looked up by what came
    my @fatal = grep { ($answer{$_}{headers}{'x-graph-error-category'} // '')
        eq 'fatal' } sort { $a <=> $b } keys %answer;

    for my $number (@fatal) {
        my $error = error_of($want{$number}{plain});
        my $code  = $answer{$number}{headers}{'x-graph-error-code'};

        push @unfounded, "$number: fatal $code"
            if !founded($number) || !$error || !$fatal{$code}
            && !($code == 100 && $error->{error_subcode} == 33);
    }

    is_deeply(\@unfounded, [], 'no state without a whole error to set it')
        or diag(join "\n", "seed $seed", @unfounded);
    cmp_ok(scalar @fatal, '>', 10, scalar(@fatal) . ' fatal ones were seen');
    cmp_ok($founded // 0, '>', 5, 'and states were set');

    # each blocks, and nothing else does
    my (@leaks, @blocks);

    my @asked = (@fatal[0 .. 9], (grep {
        my $category = $answer{$_}{headers}{'x-graph-error-category'} // '';
        $category eq 'unclassified' || $category eq 'request' || !$category;
    } sort { $a <=> $b } keys %answer)[0 .. 29]);

    for my $number (@asked) {
        my $category = $answer{$number}{headers}{'x-graph-error-category'}
            // '';
        my $again = $nginx->request(path => "/n$number/"
            . (100_000 + $number) . '/messages', token => "t$number");
        my $policy = $again->{headers}{'x-graph-policy'} // '-';

        push @leaks, $number if $category eq 'fatal' && $policy ne 'blocked';
        push @blocks, $number if $category ne 'fatal' && $policy eq 'blocked';
    }

    is_deeply(\@leaks, [], 'what is fatal blocks');
    is_deeply(\@blocks, [], 'what is not blocks nothing');
}


is_deeply([grep { /\[(?:alert|emerg|crit)\]/ } split /\n/, $nginx->log], [],
    'nothing is wrong in the log');
unlike($nginx->log, qr/exited on signal/, 'no worker died');
is(scalar(my @workers = $nginx->workers), 1, 'the worker is there');

done_testing();
