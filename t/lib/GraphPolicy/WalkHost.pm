package GraphPolicy::WalkHost;

# The nginx of a random walk: four workers, whose clocks stand still until they
# are set (t/tools/clock.c), a Graph API that answers what a request asks it to,
# and a client. GraphPolicy::Walk builds on it; a fleet has several, and "at"
# says which of them is asked.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use File::Basename qw(dirname);
use File::Temp ();
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_RCVTIMEO);

use GraphPolicy ();

# 2030: later than any real time
use constant EPOCH => 1_893_456_000;

my $secret = 's3cretOfTheWalk';

# the library that gives nginx the clock; nothing if it can't be made
sub clock {
    my ($dir) = @_;

    my $source = dirname(__FILE__) . '/../../tools/clock.c';
    my $cc     = $ENV{CC} || 'cc';

    system("$cc -shared -fPIC -O2 -o $dir/clock.so $source") == 0 or return;
    return "$dir/clock.so";
}

# accounts: those of the phones; workers
sub start {
    my ($class, %of) = @_;

    my $self = bless { time => 0, timers => 0, workers => 4, at => 0,
        hosts => [], %of }, $class;

    $self->{temp} = File::Temp->newdir('walk.XXXXXX', TMPDIR => 1);
    chmod 0755, "$self->{temp}";
    GraphPolicy::spew("$self->{temp}/secret", "$secret\n");

    $self->{held} = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 64) or die "walk: $!";

    open $self->{clock}, '>', "$self->{temp}/now" or die "walk: $!";
    chmod 0644, "$self->{temp}/now";
    $self->set_clock;

    $self->{library} = clock($self->{temp}) // die 'walk: no clock';
    $self->begin;

    return $self;
}

sub begin { $_[0]->add }

# one more nginx; what is started by "start" has the clock, too
sub add {
    my ($self, %environment) = @_;

    push @{ $self->{hosts} }, { pool => [], blocked => 0, nginx => $self->clocked(sub {
        GraphPolicy::Nginx->start(
            workers   => $self->{workers},
            log_level => $self->{log} // 'warn',
            http      => $self->conf);
    }, %environment) };
}

sub clocked {
    my ($self, $start, %environment) = @_;

    local @ENV{ keys %environment } = values %environment;
    local $ENV{GRAPH_POLICY_CLOCK} = "$self->{temp}/now";
    local $ENV{LD_PRELOAD} = $self->{library};

    return $start->();
}

# what follows is of that host
sub at {
    my ($self, $host) = @_;

    $self->{at} = $host;
    $self->{model}->at($host) if $self->{model};
}

sub host  { return $_[0]{hosts}[ $_[0]{at} ] }
sub nginx { return $_[0]->host->{nginx} }
sub all   { return 0 .. $#{ $_[0]{hosts} } }

sub conf {
    my ($self) = @_;

    my $held = $self->{held}->sockport;
    my $map  = join "\n    ", map { "~/$_/ $self->{accounts}{$_};" }
        sort keys %{ $self->{accounts} };

    # the mock of the Graph API is a server of this nginx: it answers what the
    # header X-Mock says; what is held goes to the walk itself
    return <<"END";
graph_policy_zone zone=z:1m;
@{[ $self->{http} // '' ]}

map \$uri \$account {
    default '';
    $map
}
map \$http_x_mock \$graph {
    default mock;
    held    127.0.0.1:$held;
}
upstream mock {
    server 127.0.0.1:%PORT2%;
    keepalive 4;
    keepalive_requests 1000000;
    keepalive_timeout 300d;
}

proxy_http_version    1.1;
proxy_set_header      Connection "";
proxy_next_upstream   off;

server {
    listen 127.0.0.1:%PORT%;
    keepalive_requests 1000000;
    keepalive_timeout 300d;

    graph_policy         zone=z;
    graph_policy_account \$account;
    graph_policy_log_level info;

    add_header X-Cred \$graph_policy_credential always;
    add_header X-Status \$graph_policy_status always;

    proxy_read_timeout 300d;

    location / {
        proxy_pass http://\$graph;
    }
    location /gate/ {
        graph_policy_conversation on;
        graph_policy_cooldown     on;
        proxy_pass http://\$graph;
    }
    location /dry/ {
        graph_policy_dry_run      on;
        graph_policy_conversation on hold=30m;
        graph_policy_cooldown     on;
        proxy_pass http://\$graph;
    }
    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file $self->{temp}/secret;
        rewrite ^ /_ok break;
        proxy_pass http://mock;
    }
    location /api {
        graph_policy_api write=on;
    }
}
server {
    listen 127.0.0.1:%PORT2%;
    keepalive_requests 1000000;
    keepalive_timeout 300d;
    default_type application/json;

    location / { rewrite ^ /_\$http_x_mock last; }
    location = /_torn { return 444; }
    location = /_ok { return 200 'ok'; }
    location = /_accepted {
        return 200 '{"messages":[{"id":"\$http_x_message"}]}';
    }
    location = /_proof { return 200 '{"success":true}'; }
    location = /_nothing { return 200 '{"error":{"code":1}}'; }
    location ~ ^/_e(\\d+)\$ {
        return 400 '{"error":{"message":"m","code":\$1,"fbtrace_id":"T"}}';
    }
}
END
}

sub set_clock {
    my ($self) = @_;

    sysseek $self->{clock}, 0, 0;
    syswrite $self->{clock}, pack 'qq', EPOCH * 1000 + $self->{time},
        EPOCH * 1000 + $self->{timers};
}

# timers go, and the time of day doesn't
sub tick {
    my ($self, $ms) = @_;

    $self->{timers} += $ms;
    $self->set_clock;
}


# -- the client ---------------------------------------------------------------

sub connected {
    my ($self) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->nginx->port) || die "connect: $!";

    setsockopt $socket, SOL_SOCKET, SO_RCVTIMEO, pack 'l!l!', 60, 0;
    return $socket;
}

sub request_text {
    my ($self, $ask, $mock, $message) = @_;

    my $kind = $ask->{kind};
    my $edge = $kind eq 'media' ? 'media' : 'messages';
    my $path = $ask->{place} eq 'plain' ? '' : "/$ask->{place}";
    my $body = $kind eq 'receipt'
        ? '{"messaging_product":"whatsapp","status":"read","message_id":"m"}'
        : $kind eq 'media' ? '{"messaging_product":"whatsapp"}'
        : qq({"messaging_product":"whatsapp","to":"$ask->{to}","type":")
            . ($kind eq 'template' ? 'template"}' : 'text"}');

    return "POST $path/v25.0/$ask->{phone}/$edge HTTP/1.1\r\nHost: a\r\n"
        . "Authorization: Bearer $ask->{token}\r\nX-Mock: $mock\r\n"
        . "X-Message: $message\r\nContent-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}

sub request {
    my ($self, $ask, $mock, $message) = @_;

    my $got = $self->exchange($self->request_text($ask, $mock,
        $message // 'm'));

    $self->{prints}{ $ask->{token} } = $got->{print} if length $got->{print};
    return $got;
}

sub api {
    my ($self, $method, $path, $body) = @_;

    # the API works in steps, with pauses between them
    return $self->exchange("$method /api/zones/z/$path HTTP/1.1\r\nHost: a\r\n"
        . "Content-Type: application/json\r\nContent-Length: "
        . length($body // '') . "\r\n\r\n" . ($body // ''),
        $method eq 'POST' ? undef : sub { $self->idle });
}

# by one of a few connections, which belong to different workers
sub exchange {
    my ($self, $text, $tick) = @_;

    my $slot = int rand 12;

    my $pool = $self->host->{pool};

    for (1, 2) {
        my $socket = $pool->[$slot] //= $self->connected;

        syswrite $socket, $text;
        my $got = $self->answer_of($socket, $tick);

        return $got if $got->{status};
        delete $pool->[$slot];
    }

    die "no answer\n";
}

my %policies = (PASSED => 'passed', PROBE => 'probe', BLOCKED => 'blocked',
    BLOCKED_DRY_RUN => 'dry');

sub answer_of {
    my ($self, $socket, $tick) = @_;

    my ($text, $end, $length) = ('', -1, 0);

    if ($tick) {
        my $read = '';

        vec($read, fileno $socket, 1) = 1;
        $tick->() while !select my $ready = $read, undef, undef, 0.001;
    }

    while (($end = index $text, "\r\n\r\n") < 0) {
        sysread $socket, $text, 65536, length $text or last;
    }

    my $head = $end < 0 ? $text : substr $text, 0, $end + 2;

    if ($head =~ /^Content-Length: (\d+)/m) {
        $length = $1;

    } elsif ($head =~ /^Transfer-Encoding: chunked/m) {
        while ($text !~ /\r\n0\r\n\r\n\z/) {
            sysread $socket, $text, 65536, length $text or last;
        }
    }

    while (length $text < $end + 4 + $length) {
        sysread $socket, $text, 65536, length $text or last;
    }

    my %of = $head =~ /^(X-\S+): (\S*)/mg;

    my $status = $head =~ m{^HTTP/1.1 (\d+)} ? $1 : 0;
    my $policy = $policies{ $of{'X-Status'} // '' } // 'none';
    my $shown  = $of{'X-Graph-Policy'} // '';
    my $show   = $policy =~ /blocked|probe/ ? $policy
        : $status < 400 || $policy eq 'none' ? ''
        : $policy eq 'dry' ? 'dry-run' : $policy;

    $self->host->{blocked}++ if $policy eq 'blocked';

    # what an answer says has to be what was done, but for nginx's own pages
    return { status => $status, policy => $policy,
        odd => $shown eq $show || $status == 502 ? ''
            : ", X-Graph-Policy: $shown",
        reason => $of{'X-Graph-Error-Reason'} // '',
        print => $of{'X-Cred'} // '',
        body => $end < 0 ? '' : substr($text, $end + 4) };
}

sub webhook {
    my ($self, $phone, $what) = @_;

    my $body = qq({"object":"whatsapp_business_account","entry":[{"id":")
        . $self->{accounts}{$phone} . qq(","changes":[{"value":{"metadata":{)
        . qq("phone_number_id":"$phone"},$what},)
        . '"field":"messages"}]}]}';
    my $got = $self->exchange("POST /webhook HTTP/1.1\r\nHost: a\r\n"
        . "X-Mock: ok\r\nX-Hub-Signature-256: sha256="
        . hmac_sha256_hex($body, $secret) . "\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body");

    return $got->{status} == 200 ? '' : "a webhook got $got->{status}";
}

1;
