package GraphPolicy::Webhook;

# Meta's side of a webhook: payloads with the times that a test gives them,
# their signature, and a proxy between Meta, an application and the Graph API.
#
#   my $hook = GraphPolicy::Webhook->start(secrets => [...], http => <<'END');
#   graph_policy_zone zone=z:1m;
#   server {
#       listen 127.0.0.1:%PORT%;
#       location /webhook {
#           graph_policy                     zone=z;
#           graph_policy_webhook             on;
#           graph_policy_webhook_secret_file SECRETS;
#           proxy_pass                       http://127.0.0.1:APP;
#       }
#       location / {
#           graph_policy zone=z;
#           proxy_pass   http://127.0.0.1:%GRAPH%;
#       }
#   }
#   END
#
#   my $answer = $hook->deliver(payload(entry('2001',
#       messages(phone => '1001', statuses => [status(131042)]))));
#   $answer = $hook->send('1001', script => '200');
#
# In "http" SECRETS is a file with the lines of "secrets", SECRETS2 one with
# those of "secrets2", and so on; APP is the port of the application. Both it
# and the Graph API are a GraphPolicy::Graph: the header X-Mock of a request
# (option "script") chooses its answer, and all requests are recorded, byte for
# byte.
#
# An answer has the member "seen" as well: the number of requests that have
# reached the application (deliver) or the Graph API (send) because of it.

use strict;
use warnings;

use Digest::SHA ();
use Exporter qw(import);
use File::Temp ();
use JSON::PP ();
use Test::More ();
use Time::HiRes qw(time sleep);

use GraphPolicy ();
use GraphPolicy::Graph ();

our @EXPORT_OK = qw(signature payload entry messages account_update
    status inbound contact failure message template tags short next_second);

my $json = JSON::PP->new->canonical->ascii->allow_nonref;


# -- what Meta sends ----------------------------------------------------------

# The value of X-Hub-Signature-256 for these bytes.
sub signature {
    my ($body, $secret) = @_;
    return 'sha256=' . Digest::SHA::hmac_sha256_hex($body, $secret);
}

# The bytes of a payload. Times are strings of seconds where Meta has strings;
# nothing has a time unless it was given one.
sub payload {
    my (@entries) = @_;
    return $json->encode({ object => 'whatsapp_business_account',
        entry => \@entries });
}

# of an account, with its changes and, as "time => SECONDS", its time
sub entry {
    my ($account, @rest) = @_;

    my %entry = (id => "$account", changes => []);

    while (@rest) {
        my $item = shift @rest;
        if (ref $item) {
            push @{ $entry{changes} }, $item;
        } else {
            $entry{$item} = shift @rest;
        }
    }

    return \%entry;
}

# phone, and any of statuses, messages, contacts, errors
sub messages {
    my (%value) = @_;

    my $phone = delete $value{phone};

    $value{messaging_product} = 'whatsapp';
    $value{metadata} = { display_phone_number => '15550002222',
        phone_number_id => "$phone" } if defined $phone;

    return { field => 'messages', value => \%value };
}

# an event, and what else the value has
sub account_update {
    my ($event, %value) = @_;
    return { field => 'account_update', value => { event => $event, %value } };
}

# a message that failed with that code: at (now; undef for none), to
sub status {
    my ($code, %of) = @_;

    my $at     = exists $of{at} ? $of{at} : int time;
    my %status = (id => new_id(), status => 'failed',
        recipient_id => $of{to} // '16505551234');

    $status{timestamp} = "$at" if defined $at;
    $status{errors} = [map { failure($_) } ref $code ? @$code : $code]
        if defined $code;
    $status{status} = 'delivered' if !defined $code;

    return \%status;
}

# a customer's message: at (now; undef for none), from, code, text
sub inbound {
    my (%of) = @_;

    my $at      = exists $of{at} ? $of{at} : int time;
    my %message = (id => new_id(), from => $of{from} // '16505551234');

    $message{timestamp} = "$at" if defined $at;

    if (defined $of{code}) {
        $message{type} = 'unsupported';
        $message{errors} = [failure($of{code})];
    } else {
        $message{type} = 'text';
        $message{text} = { body => $of{text} // 'Hello' };
    }

    return \%message;
}

sub contact {
    my ($wa_id) = @_;
    return { wa_id => "$wa_id", profile => { name => 'Test Name' } };
}

# an error as webhooks have it: no type, no trace
sub failure {
    my ($code) = @_;

    return { code => $code, title => 'A title', message => 'A message',
        error_data => { details => 'Some details.' },
        href => 'https://developers.facebook.com/docs/' };
}

my $ids = 0;

sub new_id { return sprintf 'wamid.FAKE%024d', ++$ids }


# -- what an application sends ------------------------------------------------

sub message {
    my ($to, $text) = @_;

    return '{"messaging_product":"whatsapp","to":' . $json->encode($to)
        . ',"type":"text","text":{"body":' . $json->encode($text // 'hi')
        . '}}';
}

sub template {
    my ($to) = @_;

    return '{"messaging_product":"whatsapp","to":' . $json->encode($to)
        . ',"type":"template","template":{"name":"hello_world",'
        . '"language":{"code":"en_US"}}}';
}


# -- the proxy ----------------------------------------------------------------

# http, secrets, the class of the proxy and what GraphPolicy::Nginx takes
sub start {
    my ($class, %option) = @_;

    my $self = bless {
        app   => GraphPolicy::Graph->start,
        graph => GraphPolicy::Graph->start,
        temp  => File::Temp->newdir('webhook.XXXXXX', TMPDIR => 1),
        key   => 0,
    }, $class;

    for my $name (grep { /^secrets\d?$/ } keys %option) {
        $self->secrets($name, @{ delete $option{$name} });
    }

    ($self->{secret}) = split ' ', $self->{lines}{secrets}[0]
        if $self->{lines}{secrets};

    my $http   = $self->filled(delete $option{http});
    my $server = delete $option{class} // 'GraphPolicy::Nginx';

    $self->{nginx} = $server->start(graph => $self->{graph},
        http => $http, %option);

    return $self;
}

sub app   { $_[0]{app} }
sub graph { $_[0]{graph} }
sub nginx { $_[0]{nginx} }

# writes a file of secrets, which nginx reads when it is next configured
sub secrets {
    my ($self, $name, @lines) = @_;

    $self->{lines}{$name} = \@lines;
    GraphPolicy::spew("$self->{temp}/$name", join "\n", @lines);
}

sub filled {
    my ($self, $http) = @_;

    $http =~ s/\bSECRETS(\d?)\b/$self->{temp}\/secrets$1/g;
    $http =~ s/\bAPP\b/$self->{app}->port/ge;

    return $http;
}

# A payload comes from Meta: path (/webhook), secret (the first one), signature
# (the right one; undef for none), script, headers, and what a request takes.
sub delivery {
    my ($self, $body, %of) = @_;

    my $secret = delete $of{secret} // $self->{secret};
    my $sign   = exists $of{signature} ? delete $of{signature}
        : signature($body, $secret);
    my $more   = delete $of{headers} // [];
    my @headers = ('Content-Type' => 'application/json',
        'User-Agent' => 'facebookexternalua', 'X-Key' => 'k' . $self->{key}++);

    push @headers, 'X-Hub-Signature-256' => $sign if defined $sign;
    push @headers, 'X-Mock' => delete $of{script} if defined $of{script};

    return (path => '/webhook', body => $body, headers => [@headers, @$more],
        %of);
}

sub deliver {
    my ($self, $body, %of) = @_;
    return $self->counted('app', $self->delivery($body, %of));
}

# A send of that phone: in (the location), edge, to, type, token, script,
# headers, and what a request takes.
sub sending {
    my ($self, $phone, %of) = @_;

    my $in     = delete $of{in};
    my $edge   = delete $of{edge} // 'messages';
    my $to     = delete $of{to} // '16505551234';
    my $type   = delete $of{type} // 'application/json';
    my $script = delete $of{script} // '200';
    my $more   = delete $of{headers} // [];
    my $token  = exists $of{token} ? delete $of{token} : 'a';

    return (
        path    => (defined $in ? "/$in" : '') . "/v25.0/$phone/$edge",
        token   => $token,
        headers => ['X-Mock' => $script, 'X-Key' => 'k' . $self->{key}++,
            'Content-Type' => $type, @$more],
        body    => message($to),
        %of,
    );
}

sub send {
    my ($self, $phone, %of) = @_;
    return $self->counted('graph', $self->sending($phone, %of));
}

sub counted {
    my ($self, $at, %request) = @_;

    my $before = $self->{$at}->count;
    my $answer = $self->{nginx}->request(%request);

    $answer->{seen} = $self->{$at}->count - $before;
    return $answer;
}

# the last request that reached the application
sub received { return ($_[0]{app}->requests)[-1] }


# -- what came of it ----------------------------------------------------------

# "status policy, so many behind the proxy"
sub short {
    my ($answer) = @_;

    return join ' ', $answer->{status} || $answer->{error} || 0,
        $answer->{headers}{'x-graph-policy'} // '-', $answer->{seen};
}

# "category code reason count" of a request that the application got, "-" for
# what isn't there, "twice" for what is there more than once
sub tags {
    my ($request) = @_;

    return join ' ', map {
        my @values = $request->{head} =~ /^X-Graph-Error-$_:[ \t]*(.*?)\r$/mgi;
        @values > 1 ? 'twice' : $values[0] // '-';
    } qw(Category Code Reason Count);
}

# Meta's times are whole seconds: one that is later than all there was
sub next_second {
    my $now = int time;

    sleep 0.02 while int time == $now;
    return int time;
}

# a send that the proxy answers; expected: "", the reason, or it and the code
sub is_blocked {
    my ($self, $phone, $expected, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $answer  = $self->send($phone, %of);
    my $headers = $answer->{headers};
    my @words   = split ' ', $expected;
    my @got     = ($headers->{'x-graph-error-reason'} // '-',
        $headers->{'x-graph-error-code'} // '-');

    Test::More::is(join(' ', $headers->{'x-graph-policy'} // '-',
        $answer->{seen}, @got[0 .. $#words]), join(' ', 'blocked', 0, @words),
        "$name: blocked");

    return $answer;
}

sub is_open {
    my ($self, $phone, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $answer = $self->send($phone, %of);

    Test::More::is(short($answer), '200 - 1', "$name: passes");
    return $answer;
}

# a delivery that the application gets, unchanged
sub is_received {
    my ($self, $body, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $answer = $self->deliver($body, %of);

    Test::More::is(short($answer), '200 - 1', "$name: goes on")
        or return $answer;
    Test::More::ok($self->received->{body} eq $body,
        "$name: byte for byte");

    return $answer;
}

# a delivery that the application doesn't get
sub is_refused {
    my ($self, $body, $status, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $answer = $self->deliver($body, %of);

    Test::More::is("$answer->{status} $answer->{seen}", "$status 0",
        "$name: $status");
    return $answer;
}

# An X-Graph-Hold in that range, or a Retry-After where it's 503 to Meta; one of
# them excludes the other.
sub is_after {
    my ($answer, $least, $most, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %header  = (503 => 'retry-after', 400 => 'x-graph-hold');
    my $wanted  = delete $header{ $answer->{status} == 503 ? 503 : 400 };
    my ($other) = values %header;
    my ($after, $not) = @{ $answer->{headers} }{ $wanted, $other };

    Test::More::ok(($after // '') =~ /^[1-9]\d*\z/ && $after >= $least
        && $after <= $most && !defined $not,
        "$name: $wanted from $least to $most, no $other")
        or Test::More::diag(join ', ', map { $_ // '-' } $after, $not);
}

# nothing private, nothing broken in the log
sub is_discreet {
    my ($self, @private) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $log    = $self->{nginx}->log;
    my $banned = join '|', map { quotemeta } @private,
        map { (split ' ', $_)[0] } map { @$_ } values %{ $self->{lines} };

    Test::More::is_deeply([$self->{nginx}->complaints], [],
        'nothing is wrong in the log');
    Test::More::unlike($log, qr/exited on signal/, 'no worker died');
    Test::More::unlike($log, qr/$banned/, 'nothing private is in the log');
}

1;
