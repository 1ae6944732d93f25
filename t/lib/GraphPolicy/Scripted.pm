package GraphPolicy::Scripted;

# An upstream for requests that are sent again: it gives each try the next
# answer of a list, and keeps what came, byte for byte.
#
#   my $upstream = GraphPolicy::Scripted->start;
#   ... port $upstream->port ...
#   my @got = $upstream->requests;      # since the last clear, oldest first
#
# A request is recorded as {method, uri, version, headers, head, body, raw,
# connection, number, time}: "number" says which try of its kind it is, "raw" is
# all of it, "time" is when it was complete.
#
# The list is that of the header X-Script, or of script() for the path, else
# "200" for ever. Its answers stand between bars, and the last one goes on; the
# tries of one X-Key, or else of one method and URI, are counted together:
#
#   500 131016 | 500 131016 | 200
#
# An answer is STATUS [CODE or CODE/SUBCODE] and any of
#
#   trace=T message=M transient=true     members of the error
#   type=T body=B header=Name:value      percent-encoded; header repeatedly
#   fill=N         N headers more, X-Fill-1 and so on, each with the try's number
#   date=N         Retry-After, a date N seconds ahead (or, negative, past)
#   pad=N          N spaces more in the body
#   gzip, deflate, zlib                  the body, compressed
#   chunked, eof   framed so, instead of by its length
#   split          in pieces, a moment apart
#   fin=N, rst=N   N bytes of the body, then closed, or reset
#   after=MS       not at once
#   wait=NAME      not before release(NAME)
#
# Status 0 is no answer: the connection is closed.
#
# Every answer has the header X-Try, and every error a trace "TryN".

use strict;
use warnings;

use Compress::Zlib ();
use IO::Socket::INET;
use POSIX ();
use Socket ();
use Storable ();
use Time::HiRes qw(time);

use GraphPolicy ();

sub start {
    my ($class) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 1024, Blocking => 0) or die "upstream: $!";
    my $parent = $$;
    my $pid    = fork // die "fork: $!";

    if (!$pid) {
        $SIG{TERM} = sub { POSIX::_exit(0) };
        open STDIN, '<', '/dev/null';
        eval { serve($listen, $parent); 1 } or print STDERR "upstream: $@";
        POSIX::_exit(1);
    }

    GraphPolicy::adopt($pid);
    return bless { port => $listen->sockport, pid => $pid }, $class;
}

sub port { $_[0]{port} }

sub requests { @{ $_[0]->call('/requests') } }
sub count    { $_[0]->call('/count')->[0] }
sub clear    { $_[0]->call('/clear') }
sub release  { $_[0]->call("/release/$_[1]") }

# the list of answers to requests without X-Script, by path
sub script { $_[0]->call("/script$_[1]", $_[2]) }

# how many connections brought the requests
sub connections {
    my ($self) = @_;

    my %seen = map { $_->{connection} => 1 } $self->requests;
    return scalar keys %seen;
}

# wait until so many requests have come; their number
sub wait_for {
    my ($self, $count, $seconds) = @_;

    GraphPolicy::wait_until(sub { $self->count >= $count }, $seconds);
    return $self->count;
}

sub stop { GraphPolicy::end_process($_[0]{pid}, 'TERM') }

sub call {
    my ($self, $path, $body) = @_;

    my $answer = GraphPolicy::request(port => $self->{port},
        method => 'MOCK', path => $path, body => $body // '', timeout => 30);
    die "upstream: $answer->{error}" if $answer->{error};
    return Storable::thaw($answer->{body});
}


# -- the process --------------------------------------------------------------

my (%conns, @requests, %tries, %scripts, %released, %waiting, $number);

sub serve {
    my ($listen, $parent) = @_;

    while (getppid == $parent) {
        my ($read, $write, $next) = ('', '', time + 1);

        vec($read, fileno $listen, 1) = 1;

        for my $conn (values %conns) {
            my $bit  = fileno $conn->{socket};
            my $step = $conn->{steps}[0];

            vec($read, $bit, 1) = 1;
            vec($write, $bit, 1) = 1 if length $conn->{out};
            $next = $step->{at} if $step && !length $conn->{out}
                && $step->{at} < $next;
        }

        my $rest = $next - time;
        select $read, $write, undef, $rest > 0 ? $rest : 0;

        for my $conn (my @open = values %conns) {
            on_read($conn) if vec($read, fileno $conn->{socket}, 1);
            step($conn) if $conns{ $conn->{number} };
        }

        next if !vec($read, fileno $listen, 1);

        while (my $socket = $listen->accept) {
            $socket->blocking(0);
            $socket->setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1);
            $number++;
            $conns{$number} = { number => $number, socket => $socket,
                in => '', out => '', steps => [] };
        }
    }
}

sub drop {
    my ($conn) = @_;
    delete $conns{ $conn->{number} };
    close $conn->{socket};
}

sub on_read {
    my ($conn) = @_;

    my $count = sysread $conn->{socket}, $conn->{in}, 262144,
        length $conn->{in};

    return if !defined $count && ($!{EAGAIN} || $!{EINTR});
    return drop($conn) if !$count;

    next_request($conn);
}

sub next_request {
    my ($conn) = @_;

    while (!$conn->{busy} && $conns{ $conn->{number} }) {
        my $request = parse($conn) or last;
        $conn->{busy} = 1;
        answer_to($conn, $request);
    }
}

# what is to be sent by now
sub step {
    my ($conn) = @_;

    while (1) {
        if (length $conn->{out}) {
            my $sent = syswrite $conn->{socket}, $conn->{out};

            return drop($conn) if !defined $sent && !$!{EAGAIN} && !$!{EINTR};
            substr $conn->{out}, 0, $sent, '' if $sent;
            return if length $conn->{out};
        }

        my $step = $conn->{steps}[0] or return;
        return if $step->{at} > time;
        shift @{ $conn->{steps} };

        if (defined $step->{bytes}) {
            $conn->{out} = $step->{bytes};

        } elsif ($step->{end} eq 'keep') {
            $conn->{busy} = 0;
            next_request($conn);
            return if !$conns{ $conn->{number} };

        } else {
            $conn->{socket}->setsockopt(Socket::SOL_SOCKET, Socket::SO_LINGER,
                pack('ii', 1, 0)) if $step->{end} eq 'rst';
            return drop($conn);
        }
    }
}

# takes one complete request from what was read
sub parse {
    my ($conn) = @_;

    my $at = index $conn->{in}, "\r\n\r\n";
    return if $at < 0;

    my $head = substr $conn->{in}, 0, $at + 4;
    my ($line, @lines) = split /\r\n/, $head;
    my ($method, $uri, $version) = $line =~ m{^(\S+) (.*) (HTTP/\S+)\z};
    my %headers = map { my ($n, $v) = split /:\s*/, $_, 2; (lc $n, $v) }
        @lines;
    my ($body, $end) = ('', $at + 4);

    if (($headers{'transfer-encoding'} // '') =~ /chunked/i) {
        while (1) {
            my $eol = index $conn->{in}, "\r\n", $end;
            return if $eol < 0;

            my $size = hex substr $conn->{in}, $end, $eol - $end;
            return if length $conn->{in} < $eol + 2 + $size + 2;

            $body .= substr $conn->{in}, $eol + 2, $size;
            $end = $eol + 2 + $size + 2;
            last if !$size;
        }

    } else {
        my $length = $headers{'content-length'} || 0;

        return if length $conn->{in} < $end + $length;
        $body = substr $conn->{in}, $end, $length;
        $end += $length;
    }

    return {
        method => $method, uri => $uri, version => $version,
        headers => \%headers, head => $head, body => $body,
        raw => substr($conn->{in}, 0, $end, ''),
        connection => $conn->{number}, time => time,
    };
}

sub answer_to {
    my ($conn, $request) = @_;

    my $now = time;

    if ($request->{method} eq 'MOCK') {
        my $body = Storable::freeze(control($request->{uri},
            $request->{body}));
        $conn->{steps} = [
            { at => $now, bytes => "HTTP/1.1 200 OK\r\nContent-Length: "
                . length($body) . "\r\n\r\n$body" },
            { at => $now, end => 'fin' },
        ];
        return;
    }

    push @requests, $request;

    my $headers = $request->{headers};
    my ($path)  = $request->{uri} =~ /^([^?]*)/;
    my $key     = $headers->{'x-key'} // "$request->{method} $request->{uri}";
    my $script  = $headers->{'x-script'} // $scripts{$path} // '200';
    my $try     = $request->{number} = ++$tries{$key};

    my ($steps, $name) = compose($request, $try, nth($script, $try));

    if (defined $name && !$released{$name}) {
        push @{ $waiting{$name} }, [$conn, $steps];
    } else {
        begin($conn, $steps);
    }
}

sub begin {
    my ($conn, $steps) = @_;

    my $now = time;
    $conn->{steps} = [map { { %$_, at => $now + $_->{at} } } @$steps];
}

sub control {
    my ($path, $body) = @_;

    return \@requests if $path eq '/requests';
    return [scalar @requests] if $path eq '/count';

    if ($path eq '/clear') {
        @requests = ();
        %tries    = ();

    } elsif ($path =~ m{^/script(/.*)}) {
        $scripts{$1} = $body;

    } elsif ($path =~ m{^/release/(.+)}) {
        $released{$1} = 1;
        for (@{ delete $waiting{$1} || [] }) {
            begin(@$_) if $conns{ $_->[0]{number} };
        }
    }

    return [];
}


# -- the answers --------------------------------------------------------------

sub nth {
    my ($script, $try) = @_;

    my @script = split /\s*\|\s*/, $script;
    return parse_answer($script[$try > @script ? $#script : $try - 1]);
}

# the body that a list's try gets
sub body_of {
    my ($script, $try) = @_;

    my $answer = nth($script, $try);
    return encoded($answer, body($answer, $try));
}

# the words of an answer
sub parse_answer {
    my ($text) = @_;

    my ($status, @words) = split ' ', $text;
    my %answer = (status => $status, more => '');

    @answer{qw(code subcode)} = split m{/}, shift @words
        if @words && $words[0] =~ m{^-?\d+(?:/\d+)?$};

    for (@words) {
        my ($name, $value) = split /=/, $_, 2;
        $value //= 1;
        $value =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;

        if ($name eq 'header') {
            $answer{more} .= "$value\r\n";
        } elsif ($name eq 'date') {
            $answer{more} .= 'Retry-After: ' . date(time + $value) . "\r\n";
        } else {
            $answer{$name} = $value;
        }
    }

    return \%answer;
}

# the steps of an answer, and what it waits for
sub compose {
    my ($request, $try, $answer) = @_;

    my $status = $answer->{status};
    my $bare   = $status == 204 || $status == 304;
    my $head   = $request->{method} eq 'HEAD';
    my $body   = encoded($answer, body($answer, $try));
    my $type   = $answer->{type} // (defined $answer->{code} || $status < 400
        ? 'application/json' : 'text/html');
    my $end    = $request->{version} eq 'HTTP/1.0'
        || ($request->{headers}{connection} // '') =~ /close/i ? 'fin' : 'keep';

    my $text = "HTTP/1.1 $status Told So\r\nContent-Type: $type\r\n"
        . "X-Try: $try\r\n$answer->{more}";
    $text .= "X-Fill-$_: of-try-$try\r\n" for 1 .. $answer->{fill} // 0;
    $text .= "Content-Encoding: $_\r\n" for coding($answer);

    if ($answer->{eof}) {
        $end = 'fin';
    } elsif ($answer->{chunked}) {
        $text .= "Transfer-Encoding: chunked\r\n";
    } elsif (!$bare) {
        $text .= 'Content-Length: ' . length($body) . "\r\n";
    }

    $text .= "\r\n";

    my $size  = int(length($body) / ($answer->{split} ? 8 : 1)) + 1;
    my @parts = $head || $bare ? () : unpack "(a$size)*", $body;

    if ($answer->{chunked} && !$head && !$bare) {
        $_ = sprintf("%x\r\n", length) . "$_\r\n" for @parts;
        push @parts, "0\r\n\r\n";
    }

    for my $cut (qw(fin rst)) {
        next if !defined $answer->{$cut};
        @parts = substr join('', @parts), 0, $answer->{$cut};
        $end   = $cut;
    }

    my $at = ($answer->{after} // 0) / 1000;
    my @steps;

    return ([{ at => $at, end => 'fin' }], $answer->{wait}) if !$status;

    if ($answer->{split}) {
        push @steps, { at => $at, bytes => substr $text, 0, 20 };
        push @steps, { at => $at += 0.01, bytes => substr $text, 20 };
        push @steps, { at => $at += 0.01, bytes => $_ } for @parts;
    } else {
        push @steps, { at => $at, bytes => join '', $text, @parts };
    }

    # a reset that overtakes what was sent would take it away
    $at += 0.1 if $end eq 'rst';

    return ([@steps, { at => $at, end => $end }], $answer->{wait});
}

sub body {
    my ($answer, $try) = @_;

    return $answer->{body} if defined $answer->{body};

    my $pad = ' ' x ($answer->{pad} // 0);

    return qq({"messaging_product":"whatsapp",$pad)
        . qq("messages":[{"id":"wamid.FAKE"}]}) if $answer->{status} < 400;

    return "<html><body>$answer->{status}$pad</body></html>"
        if !defined $answer->{code};

    my $message = $answer->{message} // "(#$answer->{code}) Not this time";
    my $trace   = $answer->{trace} // "Try$try";

    return qq({"error":{"message":"$message",$pad"type":"OAuthException",)
        . qq("code":$answer->{code})
        . (defined $answer->{subcode}
            ? qq(,"error_subcode":$answer->{subcode}) : '')
        . ($answer->{transient}
            ? qq(,"is_transient":$answer->{transient}) : '')
        . qq(,"fbtrace_id":"$trace"}});
}

sub coding {
    my ($answer) = @_;

    return 'gzip' if $answer->{gzip};
    return 'deflate' if $answer->{deflate} || $answer->{zlib};
    return;
}

sub encoded {
    my ($answer, $text) = @_;

    return $text if !coding($answer);
    return Compress::Zlib::memGzip($text) if $answer->{gzip};

    my $stream = Compress::Zlib::deflateInit(-WindowBits => $answer->{zlib}
        ? Compress::Zlib::MAX_WBITS() : -Compress::Zlib::MAX_WBITS());
    return $stream->deflate($text) . $stream->flush;
}

# RFC 9110, 5.6.7
sub date {
    my ($time) = @_;

    my @t = gmtime $time;
    return sprintf '%s, %02d %s %d %02d:%02d:%02d GMT',
        (qw(Sun Mon Tue Wed Thu Fri Sat))[$t[6]], $t[3],
        (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))[$t[4]],
        $t[5] + 1900, @t[2, 1, 0];
}

1;
