package GraphPolicy::Upstream;

# An upstream that answers byte by byte what a test tells it to.
#
#   my $upstream = GraphPolicy::Upstream->start(
#       split => sub {
#           my ($request) = @_;
#           return ("HTTP/1.1 400 Bad\r\nContent-", \0.05, "Length: 2\r\n\r\n",
#               "{}");
#       },
#       ...
#   );
#   ... $upstream->port ...
#
# The first part of a request's path is the name of the answer. What a sub
# returns is sent piece by piece, each as a segment of its own; a reference to a
# number is a pause of so many seconds, a sub is called, CLOSE closes the
# connection and RESET breaks it. The request is a hash: method, uri, head, body,
# connection (the number of the connection) and nth (the number of the request
# on it). "early-" before a name answers before the request's body is read.

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::INET;
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep);

our @EXPORT_OK = qw(CLOSE RESET with_length chunked);

use constant CLOSE => \'close';
use constant RESET => \'reset';

my %running;

END {
    my $status = $?;
    for my $pid (grep { $running{$_} == $$ } keys %running) {
        kill 'TERM', $pid;
        waitpid $pid, 0;
    }
    $? = $status;
}

sub start {
    my ($class, %answers) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 128) or die "upstream: $!";
    my $parent = $$;
    my $pid    = fork // die "fork: $!";

    if (!$pid) {
        open STDIN, '<', '/dev/null';
        accept_all($listen, $parent, \%answers);
        POSIX::_exit(0);
    }

    $running{$pid} = $$;
    return bless { port => $listen->sockport }, $class;
}

sub port { $_[0]{port} }

# A process for each connection.
sub accept_all {
    my ($listen, $parent, $answers) = @_;

    my (%children, $number);

    $SIG{TERM} = sub {
        kill 'KILL', keys %children;
        POSIX::_exit(0);
    };

    while (getppid == $parent) {
        while ((my $child = waitpid -1, POSIX::WNOHANG()) > 0) {
            delete $children{$child};
        }

        my $ready = '';
        vec($ready, fileno $listen, 1) = 1;
        next if select($ready, undef, undef, 0.2) <= 0;

        my $socket = $listen->accept or next;
        $number++;

        my $child = fork;
        if (defined $child && !$child) {
            $SIG{TERM} = 'DEFAULT';
            $SIG{PIPE} = 'IGNORE';
            alarm 60;
            setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
            eval { serve($socket, $number, $answers); 1 }
                or print STDERR "upstream: $@";
            POSIX::_exit(0);
        }

        $children{$child} = 1 if $child;
    }

    kill 'KILL', keys %children;
}

sub serve {
    my ($socket, $number, $answers) = @_;

    my $in = '';

    for (my $nth = 1; ; $nth++) {
        while ($in !~ /\r\n\r\n/) {
            sysread $socket, $in, 65536, length $in or return;
        }

        $in =~ s/\A(.*?\r\n)\r\n//s;
        my $head = $1;

        my ($method, $uri) = $head =~ /^(\S+) (\S+)/;
        my ($early, $name) = $uri =~ m{^/(early-)?([\w-]+)};
        my ($length) = $head =~ /^Content-Length:\s*(\d+)/mi;

        my %request = (method => $method, uri => $uri, head => $head,
            connection => $number, nth => $nth);

        $length ||= 0;

        if (!$early) {
            while (length $in < $length) {
                sysread $socket, $in, 65536, length $in or return;
            }
            $request{body} = substr $in, 0, $length, '';
        }

        my $answer = $answers->{$name} or die "no answer \"$name\"\n";

        for my $step ($answer->(\%request)) {
            if (!ref $step) {
                syswrite $socket, $step or return if length $step;
            } elsif (ref $step eq 'CODE') {
                $step->();
            } elsif ($$step eq 'close') {
                return if !$early;
            } elsif ($$step eq 'reset') {
                setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
                return close $socket;
            } else {
                sleep $$step;
            }
        }

        # whoever is still sending isn't to be cut off
        if ($early) {
            shutdown $socket, 1;
            1 while sysread $socket, $in, 65536;
            return;
        }
    }
}

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
