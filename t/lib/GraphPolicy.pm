package GraphPolicy;

# The tests in plain Perl share this: an nginx from a piece of configuration, a
# Graph API whose answers a request chooses (GraphPolicy/Graph.pm), and a client
# that can have many requests under way.
#
#   my $graph = GraphPolicy::Graph->start;
#   my $nginx = GraphPolicy::Nginx->start(http => <<'END', graph => $graph);
#   graph_policy_zone zone=z:1m;
#   server {
#       listen 127.0.0.1:%PORT%;
#       location / {
#           graph_policy zone=z;
#           proxy_pass http://127.0.0.1:%GRAPH%;
#       }
#   }
#   END
#   my $answer = $nginx->request(path => '/v25.0/1001/messages',
#       token => 'a', mock => '400 131042');
#   is($answer->{status}, 400);
#   is($graph->count, 1);

use strict;
use warnings;

use Cwd ();
use Exporter qw(import);
use File::Basename ();
use File::Temp ();
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time sleep);

our @EXPORT_OK = qw(free_ports wait_until slurp spew slow
    request start_request push_request finish_requests abort_request
    advance parallel answers);

my $top = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');

our $nginx_binary = $ENV{NGINX_BINARY} || $ENV{TEST_NGINX_BINARY} || 'nginx';
our $module = $ENV{MODULE} || $ENV{TEST_NGINX_LOAD_MODULES}
    || "$top/.build/nginx/ngx_http_graph_policy_module.so";

$ENV{PATH} .= ':/usr/local/sbin:/usr/sbin:/sbin';
$SIG{PIPE} = 'IGNORE';

# what is still running is ended with the test that started it
my %running;

sub adopt {
    my ($pid) = @_;
    $running{$pid} = $$;
}

sub end_process {
    my ($pid, $signal) = @_;

    return if !delete $running{$pid};

    kill $signal, $pid;

    for (1 .. 200 * slow()) {
        return $? if waitpid($pid, POSIX::WNOHANG()) != 0;
        sleep 0.05;
    }

    kill 'KILL', $pid;
    waitpid $pid, 0;
    return;
}

END {
    my $status = $?;
    for my $pid (keys %running) {
        end_process($pid, 'TERM') if $running{$pid} == $$;
    }
    $? = $status;
}


# how many times slower than usual things are here: for what has to wait
sub slow {
    return $ENV{TEST_NGINX_USE_VALGRIND} ? 8
        : ($ENV{KIND} // '') eq 'asan' ? 3 : 1;
}

# up to so many seconds (default 10), for what takes its time
sub wait_until {
    my ($what, $seconds) = @_;

    my $end = time + ($seconds || 10) * slow();

    while (1) {
        my $result = $what->();
        return $result if $result || time > $end;
        sleep 0.01;
    }
}

sub free_ports {
    my ($count) = @_;

    my @sockets = map {
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
            or die "no free port: $!"
    } 1 .. $count;

    my @ports = map { $_->sockport } @sockets;
    return wantarray ? @ports : $ports[0];
}

sub slurp {
    my ($name) = @_;

    open my $file, '<', $name or return '';
    binmode $file;
    local $/;
    return <$file> // '';
}

sub spew {
    my ($name, $text) = @_;

    open my $file, '>', $name or die "$name: $!";
    binmode $file;
    print $file $text;
    close $file or die "$name: $!";
}


# -- the client ---------------------------------------------------------------

# Parameters of a request: port, method (POST), path, token, mock (for the
# Graph API below), headers [name => value, ...], body, version (1.1),
# timeout (10 s); or raw, the bytes to send, instead of all that make them up;
# all: read until the other side closes, for answers() to take apart.
#
# An answer: status, headers {lower case name => value}, head, body, text (all
# of it), time (seconds), error ("timeout", "closed", "connect") if it isn't
# complete.

sub request {
    my (%request) = @_;

    my ($answer) = finish_requests(start_request(%request));
    return $answer;
}

sub parallel {
    my (@requests) = @_;

    return finish_requests(map { start_request(%$_) } @requests);
}

sub start_request {
    my (%request) = @_;

    my $version = $request{version} || '1.1';
    my $body    = $request{body} // '';
    my $method  = $request{method} || 'POST';
    my $text    = $request{raw};

    if (!defined $text) {
        my @headers = @{ $request{headers} || [] };

        push @headers, Authorization => "Bearer $request{token}"
            if defined $request{token};
        push @headers, 'X-Mock' => $request{mock} if defined $request{mock};
        push @headers, 'Content-Length' => length $body
            if $method ne 'GET' && $method ne 'HEAD' || length $body;

        $text = "$method $request{path} HTTP/$version\r\n"
            . "Host: localhost\r\nConnection: close\r\n";
        $text .= shift(@headers) . ': ' . shift(@headers) . "\r\n"
            while @headers;
        $text .= "\r\n$body";
    }

    my $socket = IO::Socket::INET->new(Proto => 'tcp', Blocking => 0,
        PeerAddr => '127.0.0.1', PeerPort => $request{port});

    return {
        socket => $socket,
        out    => $text,
        in     => '',
        head   => scalar $text =~ /^HEAD /,
        all    => $request{all},
        begun  => time,
        until  => time + ($request{timeout} || 10) * slow(),
        error  => $socket ? undef : 'connect',
    };
}

# all of them, in their order
sub finish_requests {
    my (@calls) = @_;

    advance(0, @calls);
    return map { parse_answer($_) } @calls;
}

# until no more than so many are under way; those that are
sub advance {
    my ($left, @calls) = @_;

    my @open;

    while ((@open = grep { $_->{socket} } @calls) > $left) {
        my ($read, $write) = ('', '');

        for (@open) {
            vec($read, fileno $_->{socket}, 1) = 1;
            vec($write, fileno $_->{socket}, 1) = 1 if length $_->{out};
        }

        select $read, $write, undef, 0.1;

        for (@open) {
            my $bit = fileno $_->{socket};

            step_out($_) if length $_->{out} && vec($write, $bit, 1);
            step_in($_)  if $_->{socket} && vec($read, $bit, 1);
            end_call($_, 'timeout') if $_->{socket} && time > $_->{until};
        }
    }

    return @open;
}

# what is under way is given up
sub abort_request {
    my ($call) = @_;

    end_call(push_request($call), 'aborted');
}

# the request is sent, its answer isn't awaited
sub push_request {
    my ($call) = @_;

    while ($call->{socket} && length $call->{out} && time < $call->{until}) {
        my $write = '';
        vec($write, fileno $call->{socket}, 1) = 1;
        step_out($call) if select undef, $write, undef, 0.1;
    }

    return $call;
}

sub step_out {
    my ($call) = @_;

    my $sent = syswrite $call->{socket}, $call->{out};

    if (defined $sent) {
        substr $call->{out}, 0, $sent, '';
        return;
    }

    return if $!{EAGAIN} || $!{EINTR};

    # what the other side said before it closed can still be read
    $call->{out} = '';
}

sub step_in {
    my ($call) = @_;

    my $count = sysread $call->{socket}, $call->{in}, 65536,
        length $call->{in};

    return if !defined $count && ($!{EAGAIN} || $!{EINTR});

    if (!$count) {
        end_call($call, complete($call, 1) ? undef : 'closed');
    } elsif (!$call->{all} && complete($call)) {
        end_call($call);
    }
}

sub end_call {
    my ($call, $error) = @_;

    close $call->{socket} if $call->{socket};
    delete $call->{socket};
    $call->{error} //= $error;
    $call->{took} = time - $call->{begun};
}

# whether the answer is all there; one without a length ends by closing
sub complete {
    my ($call, $closed) = @_;

    my $at = index $call->{in}, "\r\n\r\n";
    return 0 if $at < 0;

    my $head   = substr $call->{in}, 0, $at + 2;
    my $length = length($call->{in}) - $at - 4;

    return 1 if $call->{head} || $head =~ /^HTTP\S+ (?:204|304) /;
    return $length >= $1 if $head =~ /^Content-Length:\s*(\d+)\r$/mi;
    return $call->{in} =~ /(?:^|\r\n)0\r\n\r\n\z/
        if $head =~ /^Transfer-Encoding:\s*chunked\r$/mi;
    return $closed;
}

# the answers in a text; those to HEAD are numbered, the first is 0
sub answers {
    my ($text, @head) = @_;

    my %head = map { $_ => 1 } @head;
    my @answers;

    while ($text =~ /\A(HTTP.*?\r\n\r\n)/s) {
        my $length = length $1;
        my ($body) = $1 =~ /^Content-Length:\s*(\d+)\r$/mi;

        $length += $body if $body && !$head{ scalar @answers };
        push @answers, parse_answer({ in => substr $text, 0, $length, '' });
    }

    push @answers, parse_answer({ in => $text, error => 'rest' })
        if length $text;

    return @answers;
}

sub parse_answer {
    my ($call) = @_;

    my ($head, $body) = split /\r\n\r\n/, $call->{in}, 2;
    my %answer = (
        status  => 0,
        headers => {},
        head    => $head // '',
        body    => $body // '',
        text    => $call->{in},
        error   => $call->{error},
        time    => $call->{took},
    );

    my ($line, @lines) = split /\r\n/, $answer{head};
    ($answer{status}) = $line =~ m{^HTTP/1\.\d (\d{3})} if defined $line;

    for (@lines) {
        my ($name, $value) = split /:\s*/, $_, 2;
        next if !defined $value;
        $name = lc $name;
        $answer{headers}{$name} = exists $answer{headers}{$name}
            ? "$answer{headers}{$name}, $value" : $value;
    }

    if (($answer{headers}{'transfer-encoding'} // '') eq 'chunked') {
        my ($plain, $rest) = ('', $answer{body});

        while ($rest =~ s/^([0-9a-fA-F]+)\r\n// && hex $1) {
            $plain .= substr $rest, 0, hex $1, '';
            $rest =~ s/^\r\n//;
        }
        $answer{body} = $plain;
    }

    return \%answer;
}


# -- nginx --------------------------------------------------------------------

package GraphPolicy::Nginx;

use Time::HiRes qw(time sleep);

# http: what stands in http {}; graph: a GraphPolicy::Graph; workers; main: more
# at the top; log_level. In http and main: %PORT%, %PORT2%, %GRAPH%, %DIR%.
# fails: return what nginx said instead of dying if it doesn't start.
sub start {
    my ($class, %option) = @_;

    my $self = bless { %option }, $class;

    $self->{temp} = File::Temp->newdir('graph_policy.XXXXXX', TMPDIR => 1);
    $self->{dir}  = "$self->{temp}";
    chmod 0755, $self->{dir} or die "chmod: $!";

    @$self{qw(port port2)} = GraphPolicy::free_ports(2);

    $self->configure($option{http}, $option{main});
    $self->run;

    return $self;
}

sub port { $_[0]{port} }
sub dir  { $_[0]{dir} }
sub pid  { $_[0]{pid} }

sub configure {
    my ($self, $http, $main) = @_;

    my $dir     = $self->{dir};
    my $workers = $self->{workers} || 1;
    my $level   = $self->{log_level} // 'info';
    my $user    = $> ? '' : 'user nobody ' . getgrgid((getpwnam 'nobody')[3])
        . ';';
    my $paths   = join "\n    ", map { "${_}_temp_path $dir/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);

    my $text = <<"END";
load_module $GraphPolicy::module;
$user
worker_processes $workers;
error_log $dir/error.log $level;
pid $dir/nginx.pid;
# for a binary that USR2 starts
env ASAN_OPTIONS;
env LSAN_OPTIONS;
env UBSAN_LOG;
@{[ $main // '' ]}
events { worker_connections 2048; }
http {
    access_log off;
    $paths
    $http
}
END

    my %place = (
        PORT  => $self->{port},
        PORT2 => $self->{port2},
        DIR   => $dir,
        GRAPH => $self->{graph} ? $self->{graph}->port : 0,
    );
    $text =~ s/%([A-Z][A-Z0-9]*)%/$place{$1} \/\/ die "no $1"/ge;

    GraphPolicy::spew("$dir/nginx.conf", $text);
}

# the command line, with "-t" and the like at its end
sub command {
    my ($self, @more) = @_;

    my @wrapper = ($ENV{TEST_NGINX_USE_VALGRIND} // '') =~ /-/
        ? ('valgrind', '-q', split ' ', $ENV{TEST_NGINX_USE_VALGRIND}) : ();

    return (@wrapper, $GraphPolicy::nginx_binary, '-p', "$self->{dir}/",
        '-e', "$self->{dir}/error.log", '-c', "$self->{dir}/nginx.conf",
        @more);
}

sub run {
    my ($self) = @_;

    my $pid = fork // die "fork: $!";

    if (!$pid) {
        open STDOUT, '>', "$self->{dir}/nginx.out" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        open STDIN, '<', '/dev/null' or POSIX::_exit(1);
        exec { ($self->command)[0] } $self->command('-g', 'daemon off;')
            or POSIX::_exit(127);
    }

    GraphPolicy::adopt($pid);
    $self->{pid} = $pid;

    my $gone;
    my $up = GraphPolicy::wait_until(sub {
        $gone = waitpid($pid, POSIX::WNOHANG()) != 0;
        return 1 if $gone;
        return -s "$self->{dir}/nginx.pid"
            && IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                PeerPort => $self->{port});
    });

    # it listens before its workers are there
    GraphPolicy::wait_until(sub {
        return $self->workers >= ($self->{workers} || 1);
    }, 5) if $up && !$gone;

    delete $running{$pid} if $gone;
    $self->{failed} = $gone || !$up;

    die "nginx did not start: ", $self->said
        if $self->{failed} && !$self->{fails};
}

sub failed { $_[0]{failed} }
sub said   { GraphPolicy::slurp("$_[0]{dir}/nginx.out") }

# signals to the master, by its process id
sub signal {
    my ($self, $signal) = @_;
    kill $signal, $self->{pid} or die "kill: $!";
}

# the process ids of what the master has started, and of those workers among
# them that aren't leaving
sub children {
    my ($self) = @_;

    return sort { $a <=> $b } map { m{/(\d+)/} } grep {
        GraphPolicy::slurp($_) =~ /^PPid:\s+$self->{pid}$/m
    } glob '/proc/[0-9]*/status';
}

sub workers {
    my ($self) = @_;

    return grep { GraphPolicy::slurp("/proc/$_/cmdline") !~ /shutting down/ }
        $self->children;
}

# the letter of what the master does, "Z" if it has ended
sub state {
    my ($self) = @_;
    return GraphPolicy::slurp("/proc/$self->{pid}/status")
        =~ /^State:\s+(\S)/m ? $1 : 'Z';
}

# with new configuration if there is some; waits until the old workers leave
sub reload {
    my ($self, $http) = @_;

    $self->configure($http, $self->{main}) if defined $http;

    my %old = map { $_ => 1 } $self->workers;
    $self->signal('HUP');

    return GraphPolicy::wait_until(sub {
        my @now = $self->workers;
        return @now && !grep { $old{$_} } @now;
    });
}

sub stop {
    my ($self, $signal) = @_;
    return GraphPolicy::end_process($self->{pid}, $signal || 'TERM');
}

sub log {
    my ($self) = @_;
    return GraphPolicy::slurp("$self->{dir}/error.log");
}

# lines of the log that nobody wants to see
sub complaints {
    my ($self) = @_;
    return grep { /\[(?:crit|alert|emerg)\]/ } split /^/, $self->log;
}

sub request {
    my ($self, %request) = @_;
    return GraphPolicy::request(port => $self->{port}, %request);
}

sub start_request {
    my ($self, %request) = @_;
    return GraphPolicy::push_request(
        GraphPolicy::start_request(port => $self->{port}, %request));
}

sub parallel {
    my ($self, @requests) = @_;
    return GraphPolicy::parallel(map { { port => $self->{port}, %$_ } }
        @requests);
}

# which needs what is above
require GraphPolicy::Graph;

1;
