package GraphPolicy::Graph;

# The Graph API of the tests, or an application: one process that gives each
# request the answer that the test has chosen, and records the requests, byte
# for byte.
#
#   my $graph = GraphPolicy::Graph->start;
#   ... port $graph->port ...
#   my @got = $graph->requests;         # since the last clear, oldest first
#
# A request is recorded as {method, uri, version, headers, head, body, raw,
# connection, number, nth, time}: "number" says which try of its kind it is,
# "nth" which request of its connection, "raw" is all of it, "time" is when it
# was complete.
#
# The answers are those that the header X-Mock lists, or else script() for the
# path, or else answer(), which is "200" at first. They stand between bars, and
# the last one goes on; the tries of one X-Key, or else of one method and URI,
# are counted together:
#
#   500 131016 | 500 131016 | 200
#
# An answer is STATUS [CODE or CODE/SUBCODE] and any of
#
#   trace=T message=M transient=true     members of the error; trace=none
#   type=T body=B header=Name:value      percent-encoded; header repeatedly
#   @FILE          the body is a file of t/samples
#   given=NAME     the body is what give(NAME, BYTES) said
#   spoof=V        each header of the policy, with that value
#   fill=N         N headers more, X-Fill-1 and so on, each with the number of
#                  the try
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
# Every answer has the header X-Try. The trace of an error is "TraceCODE", on
# its second try "TraceCODE-2", and so on.
#
# An answer that words can't describe is a sub, for all requests whose path
# begins with its name:
#
#   my $graph = GraphPolicy::Graph->start(
#       split => sub {
#           my ($request) = @_;
#           return ("HTTP/1.1 400 Bad\r\nContent-", \0.05,
#               "Length: 2\r\n\r\n", "{}");
#       },
#   );
#
# The sub returns what is sent piece by piece, each as a segment of its own. A
# reference to a number is a pause of so many seconds, a sub is called again and
# again until it returns something true, CLOSE closes the connection and RESET
# breaks it. With "early-" before the name the answer doesn't wait for the
# request's body.

use strict;
use warnings;

use Compress::Zlib ();
use Cwd ();
use Exporter qw(import);
use File::Basename ();
use IO::Socket::INET;
use POSIX ();
use Socket ();
use Storable ();
use Time::HiRes qw(time);

use GraphPolicy ();

our @EXPORT_OK = qw(CLOSE RESET with_length chunked);

use constant CLOSE => \'close';
use constant RESET => \'reset';

# the headers that the module adds, one of them twice: for "spoof"
our @spoofs = qw(X-Graph-Error-Category X-Graph-Error-Code
    X-Graph-Error-Subcode x-graph-error-reason X-GRAPH-ERROR-SCOPE
    X-Graph-Policy X-Graph-State X-Graph-Hold X-Graph-Attempts
    X-Graph-Error-Category);

my $samples = Cwd::abs_path(File::Basename::dirname(__FILE__)
    . '/../../samples');

my (%answers, %given);

sub start {
    my ($class, %subs) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 1024, Blocking => 0) or die "Graph API: $!";
    my $parent = $$;
    my $pid    = fork // die "fork: $!";

    if (!$pid) {
        $SIG{TERM} = sub { POSIX::_exit(0) };
        %answers = %subs;
        open STDIN, '<', '/dev/null';
        eval { serve($listen, $parent); 1 } or print STDERR "Graph API: $@";
        POSIX::_exit(1);
    }

    GraphPolicy::adopt($pid);
    return bless { port => $listen->sockport, pid => $pid }, $class;
}

sub port { $_[0]{port} }

sub requests { @{ $_[0]->call('/requests') } }
sub clear    { $_[0]->call('/clear') }
sub release  { $_[0]->call("/release/$_[1]") }

# those, and no longer kept
sub take { @{ $_[0]->call('/take') } }

# how many; of those whose URI matches
sub count {
    my ($self, $pattern) = @_;

    return $self->call('/count')->[0] if !defined $pattern;
    return scalar grep { $_->{uri} =~ $pattern } $self->requests;
}

# the answers to requests without X-Mock, by path, and to those of other paths
sub script { $_[0]->call("/script$_[1]", $_[2]) }
sub answer { $_[0]->call('/answer', $_[1]) }

# the body that "given=NAME" is
sub give {
    my ($self, $name, $bytes) = @_;

    $given{$name} = $bytes;
    $self->call("/give/$name", $bytes);
}

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
    die "Graph API: $answer->{error}" if $answer->{error};
    return Storable::thaw($answer->{body});
}


# -- the process --------------------------------------------------------------

my (%conns, @requests, %tries, %scripts, %released, %waiting, $number);
my $default = '200';

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

    # nothing that comes after an early answer is read
    $conn->{in} = '' if $conn->{early};
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

        # what isn't so yet is asked again a moment later
        if ($step->{until} && !$step->{until}->()) {
            $step->{at} = time + 0.01;
            return;
        }

        shift @{ $conn->{steps} };
        due($conn);

        if (defined $step->{bytes}) {
            $conn->{out} = $step->{bytes};

        } elsif (defined $step->{end}) {
            end($conn, $step->{end});
            return if !$conns{ $conn->{number} };
        }
    }
}

sub end {
    my ($conn, $how) = @_;

    if ($how eq 'keep') {
        $conn->{busy} = 0;
        return next_request($conn);
    }

    # whoever is still sending isn't to be cut off
    return shutdown $conn->{socket}, 1 if $conn->{early} && $how eq 'fin';

    $conn->{socket}->setsockopt(Socket::SOL_SOCKET, Socket::SO_LINGER,
        pack('ii', 1, 0)) if $how eq 'rst';
    drop($conn);
}

# The steps of an answer; each waits so many seconds after the one before it.
sub begin {
    my ($conn, @steps) = @_;

    $conn->{steps} = \@steps;
    due($conn);
}

# when the next step is to be done
sub due {
    my ($conn) = @_;

    my $step = $conn->{steps}[0] or return;
    $step->{at} = time + ($step->{rest} // 0);
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

    if (%answers && $uri =~ m{^/early-}) {
        $conn->{early} = 1;

    } elsif (($headers{'transfer-encoding'} // '') =~ /chunked/i) {
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
        connection => $conn->{number}, nth => ++$conn->{requests},
        time => time,
    };
}

sub answer_to {
    my ($conn, $request) = @_;

    if ($request->{method} eq 'MOCK') {
        my $body = Storable::freeze(control($request->{uri},
            $request->{body}));
        return begin($conn, { bytes => "HTTP/1.1 200 OK\r\nContent-Length: "
            . length($body) . "\r\n\r\n$body" }, { end => 'fin' });
    }

    push @requests, $request;

    my $headers = $request->{headers};
    my ($path)  = $request->{uri} =~ /^([^?]*)/;
    my $key     = $headers->{'x-key'} // "$request->{method} $request->{uri}";
    my $script  = $headers->{'x-mock'} // $scripts{$path} // $default;
    my $try     = $request->{number} = ++$tries{$key};

    my ($sub) = map { $answers{$_} // () } $path =~ m{^/(?:early-)?([\w-]+)};
    return begin($conn, steps_of($conn, $sub->($request))) if $sub;

    my ($steps, $name) = compose($request, $try, nth($script, $try));

    if (defined $name && !$released{$name}) {
        push @{ $waiting{$name} }, [$conn, @$steps];
    } else {
        begin($conn, @$steps);
    }
}

# the steps of what a sub returned
sub steps_of {
    my ($conn, @pieces) = @_;

    my ($rest, @steps) = (0);

    for (@pieces) {
        if (!ref) {
            push @steps, { rest => $rest, bytes => $_ };
        } elsif (ref eq 'CODE') {
            push @steps, { rest => $rest, until => $_ };
        } elsif ($$_ eq 'close' || $$_ eq 'reset') {
            push @steps, { rest => $rest,
                end => $$_ eq 'close' ? 'fin' : 'rst' };
            return @steps;
        } else {
            $rest += $$_;
            next;
        }
        $rest = 0;
    }

    return (@steps, { rest => $rest, end => $conn->{early} ? 'fin' : 'keep' });
}

sub control {
    my ($path, $body) = @_;

    return \@requests if $path eq '/requests';
    return [scalar @requests] if $path eq '/count';

    if ($path eq '/clear' || $path eq '/take') {
        my @taken = splice @requests;
        %tries = ();
        return \@taken if $path eq '/take';

    } elsif ($path eq '/answer') {
        $default = $body;

    } elsif ($path =~ m{^/script(/.*)}) {
        $scripts{$1} = $body;

    } elsif ($path =~ m{^/give/(.+)}) {
        $given{$1} = $body;

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

# the status of a list's last answer
sub status_of { return parse_answer((split /\s*\|\s*/, $_[0])[-1])->{status} }

# the words of an answer
sub parse_answer {
    my ($text) = @_;

    my ($status, @words) = split ' ', $text;
    my %answer = (status => $status, more => '');

    @answer{qw(code subcode)} = split m{/}, shift @words
        if @words && $words[0] =~ m{^-?\d+(?:/\d+)?$};

    for (@words) {
        my ($name, $value) = /^\@(.*)/ ? (file => $1) : split /=/, $_, 2;
        $value //= 1;
        $value =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;

        if ($name eq 'header') {
            $answer{more} .= "$value\r\n";
        } elsif ($name eq 'spoof') {
            $answer{more} .= "$_: $value\r\n" for @spoofs;
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
    my $type   = $answer->{type} // ($status < 400
        || grep({ defined } @$answer{qw(code file given)})
        ? 'application/json' : 'text/html');
    my $end    = $request->{version} eq 'HTTP/1.0'
        || ($request->{headers}{connection} // '') =~ /close/i ? 'fin' : 'keep';

    my $text = "HTTP/1.1 $status Mock\r\nContent-Type: $type\r\n"
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

    my $after = ($answer->{after} // 0) / 1000;
    my @steps;

    return ([{ rest => $after, end => 'fin' }], $answer->{wait}) if !$status;

    if ($answer->{split}) {
        push @steps, { rest => $after, bytes => substr $text, 0, 20 };
        push @steps, { rest => 0.01, bytes => $_ }
            for substr($text, 20), @parts;
    } else {
        push @steps, { rest => $after, bytes => join '', $text, @parts };
    }

    # a reset that overtakes what was sent would take it away
    push @steps, { rest => $end eq 'rst' ? 0.1 : 0, end => $end };

    return (\@steps, $answer->{wait});
}

sub body {
    my ($answer, $try) = @_;

    return $answer->{body} if defined $answer->{body};
    return $given{ $answer->{given} } if defined $answer->{given};
    return sample($answer->{file}) if defined $answer->{file};

    my $pad = ' ' x ($answer->{pad} // 0);

    return qq({"messaging_product":"whatsapp",$pad)
        . qq("messages":[{"id":"wamid.FAKE"}]}) if $answer->{status} < 400;

    return "<html><body>$answer->{status}$pad</body></html>"
        if !defined $answer->{code};

    my $message = $answer->{message} // "(#$answer->{code}) Not this time";
    my $trace   = $answer->{trace} // "Trace$answer->{code}"
        . ($try > 1 ? "-$try" : '');

    return qq({"error":{"message":"$message",$pad"type":"OAuthException",)
        . qq("code":$answer->{code})
        . (defined $answer->{subcode}
            ? qq(,"error_subcode":$answer->{subcode}) : '')
        . ($answer->{transient}
            ? qq(,"is_transient":$answer->{transient}) : '')
        . ($trace eq 'none' ? '}}' : qq(,"fbtrace_id":"$trace"}}));
}

# a file of t/samples
sub sample {
    my ($name) = @_;

    -e "$samples/$name" or die "no sample $name";
    return GraphPolicy::slurp("$samples/$name");
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


# -- for the subs -------------------------------------------------------------

# Complete answers. The headers are lines with their ends.
sub with_length {
    my ($status, $headers, $body) = @_;

    return "HTTP/1.1 $status Mock\r\n$headers"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}

# in chunks of so many bytes
sub chunked {
    my ($status, $headers, $body, $size) = @_;

    my @chunks = grep { length } unpack "(a$size)*", $body;

    return ("HTTP/1.1 $status Mock\r\n${headers}Transfer-Encoding: chunked"
            . "\r\n\r\n",
        (map { sprintf "%x\r\n%s\r\n", length $_, $_ } @chunks), "0\r\n\r\n");
}

1;
