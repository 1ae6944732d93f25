# vi:set ft= ts=4 sw=4 et:

# graph_policy_event_log: a line of JSON for each change of a state, to a file
# or to syslog.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slow slurp spew wait_until finish_requests);
use GraphPolicy::Api qw(kind seconds fits);
use GraphPolicy::Webhook qw(payload entry messages status inbound short);

my $brief = 300 * slow();

# the members of a line, as they are called
my %named = ((map { $_ => $_ } qw(time event zone scope key reason code trace
    source request_id)), id => 'state');

my @secrets = qw(tokenOfSomebody 16505551234 16505557 s3cretOfTheApp Hello);

my $http = <<"END";
graph_policy_zone zone=z:1m;
graph_policy_zone zone=tiny:32k;

log_format ids '\$uri \$request_id \$graph_policy_state';

server {
    listen 127.0.0.1:%PORT% reuseport;

    access_log        %DIR%/access.log ids;
    add_header        X-Request-ID \$request_id always;
    graph_policy      zone=z;
    graph_policy_hold 5m;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /brief/ {
        graph_policy_hold ${brief}ms max=${brief}ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /named/ {
        graph_policy_account \$http_x_account;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /gate/ {
        graph_policy_conversation on hold=1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /quiet/ {
        graph_policy_log_level error;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /tiny/ {
        graph_policy zone=tiny;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
}
END

my $hook = GraphPolicy::Webhook->start(
    secrets => ['s3cretOfTheApp'],
    workers => 4,
    http    => "graph_policy_event_log %DIR%/events.log;\n$http");
my $nginx = $hook->nginx;
my $graph = $hook->graph;
my $log   = $nginx->dir . '/events.log';
my $api   = GraphPolicy::Api->new(port => $nginx->port, secrets => \@secrets);

my ($phones, $people) = (10_000, 0);

sub new_phone { return ++$phones }

sub sent {
    my ($phone, $script, %of) = @_;
    return $hook->send($phone, script => $script, token => 'tokenOfSomebody'
        . ++$people, %of);
}

# the lines of a text; what is no object of JSON is kept as it is
sub lines {
    my ($text) = @_;
    return map { eval { JSON::PP::decode_json($_) } || $_ } split /\n/, $text;
}

# members of a line, by the names in the contract
sub member {
    my ($line, $name) = @_;
    return ref $line eq 'HASH' ? $line->{ $named{$name} } : undef;
}

my $read = 0;

# what was logged since the last call, as soon as there are so many lines
sub logged {
    my ($count, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @lines;
    wait_until(sub { @lines = lines(substr slurp($log), $read);
        return @lines >= $count }, 5);

    # one that is too many comes at once
    sleep 0.02;
    my $text = slurp($log);
    @lines = lines(substr $text, $read);
    $read  = length $text;

    is(scalar @lines, $count, "$name: so many lines")
        or diag(explain \@lines);
    is_deeply([grep { $_ } map { shape_of_line($_) } @lines], [],
        "$name: what they are made of");
    return @lines;
}

sub shape_of_line {
    my ($line) = @_;

    return "no object: $line" if ref $line ne 'HASH';

    my @wrong = fits($line, { $named{time} => 'time',
        (map { $named{$_} => 'string' } qw(event id zone scope reason source
            request_id)),
        (map { $named{$_} => 'string null' } qw(key trace)),
        $named{code} => 'number null' });

    push @wrong, 'id' if (member($line, 'id') // '') !~ /^[0-9a-f]{18}\z/;
    push @wrong, 'request id'
        if (member($line, 'request_id') // '') !~ /^[0-9a-f]{32}\z/;
    push @wrong, 'time' if abs((seconds(member($line, 'time')) // 0) - time)
        > 30 * slow();

    return join ', ', @wrong;
}

# members as one line of text
sub short_of {
    my ($line, @names) = @_;
    return join ' ', map { member($line, $_) // '-' } @names;
}

# what is the same of all lines about a state
my @who = qw(zone scope key reason code);


# -- a state's life -----------------------------------------------------------

{
    my $phone = new_phone();
    my $set   = sent($phone, '400 133010 trace=Atrace_1-2', in => 'brief');
    my ($line) = logged(1, 'set');

    is(short_of($line, 'event', @who, 'trace', 'source'),
        "set z phone $phone phone-disconnected 133010 Atrace_1-2 answer",
        'set: what');
    is(member($line, 'request_id'), $set->{headers}{'x-request-id'},
        'set: by which request');
    my $id = member($line, 'id') // 'none';
    my $by = member($line, 'request_id') // 'none';
    ok(wait_until(sub { slurp($nginx->dir . '/access.log')
        =~ m{^/brief/v25\.0/$phone/messages \Q$by\E }m }),
        'set: as in the access log');

    # a probe that re-arms, one that clears
    for my $case (['400 133010 trace=Atrace2', 'rearmed'],
        ['200', 'cleared'])
    {
        my ($script, $event) = @$case;
        my $probe = wait_until(sub {
            my $answer = sent($phone, $script);
            return ($answer->{headers}{'x-graph-policy'} // '') eq 'blocked'
                ? undef : $answer;
        }) || { headers => {} };
        my ($first, $second) = logged(2, $event);

        is($probe->{headers}{'x-graph-policy'}, 'probe', "$event: a probe");
        is(short_of($first, 'event', @who),
            "probe z phone $phone phone-disconnected 133010", "$event: the"
            . ' probe is told of');
        is(short_of($second, 'event', @who),
            "$event z phone $phone phone-disconnected 133010", $event);
        is(member($_, 'request_id'), $probe->{headers}{'x-request-id'},
            "$event: by which request") for $first, $second;
        is(member($_, 'id'), $id, "$event: the same id") for $first, $second;
        is(member($second, 'trace'), 'Atrace2', 'rearmed: the newer trace')
            if $event eq 'rearmed';
    }

    # the same trouble soon after
    sent($phone, '400 133010', in => 'brief');
    ($line) = logged(1, 'relapse');
    is(short_of($line, 'event', 'id'), "rearmed $id", 'a relapse');
    $api->delete('zones/z/states');
    logged(1, 'relapse, cleared');
}

# what is no change
{
    my $phone = new_phone();

    sent($phone, '200') for 1 .. 3;
    sent($phone, $_) for '500 131000', '400 132001', '500', '503 131016';
    logged(0, 'no change');

    sent($phone, '400 131042');
    logged(1, 'a change');
    sent($phone, '200') for 1 .. 5;
    logged(0, 'blocked sends');
}

# of each kind
{
    my $phone = new_phone();
    my ($line);

    sent($phone, '403 131031', in => 'named',
        headers => ['X-Account' => 'acme-1']);
    ($line) = logged(1, 'account');
    is(short_of($line, 'event', @who),
        'set z account acme-1 account-restricted 131031', 'account');

    sent($phone, '403 131031', in => 'named',
        headers => ['X-Account' => q(a"},{"event":"set)]);
    ($line) = logged(1, 'hostile');
    unlike(member($line, 'key') // '', qr/[^A-Za-z0-9._-]/, 'hostile: the key');

    sent(new_phone(), '400 131042 trace=a.b', in => 'named',
        headers => ['X-Account' => 'acme-2']);
    ($line) = logged(1, 'hostile trace');
    is(member($line, 'trace'), undef, 'hostile: no trace');

    sent(new_phone(), '401 190');
    ($line) = logged(1, 'credential');
    is(short_of($line, 'event', 'scope', 'key', 'reason'),
        'set credential - token-invalid', 'credential');

    $phone = new_phone();
    sent($phone, '400 131047', in => 'gate', to => '16505557001');
    ($line) = logged(1, 'conversation');
    is(short_of($line, 'event', 'scope', 'key', 'reason', 'code'),
        'set conversation - window-expired 131047', 'conversation');

    # the customer writes
    my $answer = $hook->deliver(payload(entry(5001, messages(phone => $phone,
        messages => [inbound(from => '16505557001')]))));
    is(short($answer), '200 - 1', 'a webhook');
    ($line) = logged(1, 'conversation, over');
    is(short_of($line, 'event', 'scope', 'reason'),
        'cleared conversation window-expired', 'conversation, over');
    is(member($line, 'request_id'), $answer->{headers}{'x-request-id'},
        'conversation, over: by the webhook');

    # by webhook
    $answer = $hook->deliver(payload(entry(5002, time => int time,
        messages(phone => new_phone(), statuses => [status(131042)]))));
    ($line) = logged(1, 'webhook');
    is(short_of($line, 'event', @who, 'trace', 'source'),
        'set z account 5002 billing 131042 - webhook', 'webhook');
    is(member($line, 'request_id'), $answer->{headers}{'x-request-id'},
        'webhook: its request');

    # by hand
    $answer = $api->post('zones/z/states', { scope => 'phone',
        key => '5551234', reason => 'phone-disconnected' });
    ($line) = logged(1, 'by hand');
    is(short_of($line, 'event', 'zone', 'scope', 'key', 'reason', 'source'),
        'set z phone 5551234 phone-disconnected api', 'by hand');
    is(member($line, 'request_id'), $answer->{headers}{'x-request-id'},
        'by hand: its request');
    my $id = member($line, 'id') // 'none';

    $answer = $api->delete("zones/z/states/$id");
    ($line) = logged(1, 'by hand, cleared');
    is(short_of($line, 'event', 'id', 'key', 'source'),
        "cleared $id 5551234 api", 'by hand, cleared');
    is(member($line, 'request_id'), $answer->{headers}{'x-request-id'},
        'by hand, cleared: its request');

    # frozen, which has no hold; thawed; frozen anew; and ended
    my %frozen = (scope => 'phone', key => '5551235',
        reason => 'phone-disconnected');

    for my $case (['set', { probe => JSON::PP::false }, undef],
        ['rearmed', { hold => '90s' }, 90],
        ['rearmed', { probe => JSON::PP::false }, undef])
    {
        my ($event, $how, $hold) = @$case;
        my $name = $how->{hold} ? 'thawed' : "frozen, $event";

        $api->post('zones/z/states', { %frozen, %$how });
        ($line) = logged(1, $name);
        is(short_of($line, 'event', 'key'), "$event 5551235", $name);
        is($line->{hold}, $hold, "$name: its hold");
        is(defined $line->{until}, defined $hold, "$name: its end");
    }

    $api->delete("zones/z/states/$line->{state}");
    ($line) = logged(1, 'frozen, cleared');
    is($line->{hold}, undef, 'frozen, cleared: it had none');

    # whatever the level of the error log is
    sent(new_phone(), '400 131042', in => 'quiet');
    logged(1, 'another level');

    # all at once
    my $count = () = $api->states('z');
    cmp_ok($count, '>=', 5, 'all: there are some');
    $api->delete('zones/z/states');
    my @all = logged($count, 'all');
    is_deeply([grep { (member($_, 'event') // '') ne 'cleared' } @all], [],
        'all: cleared');
}

# a full zone
{
    my @calls = map { { $hook->sending(new_phone(), in => 'tiny',
        token => 'tokenOfSomebody' . ++$people, script => '400 133010') } }
        1 .. 200;
    my %requests;
    while (my @some = splice @calls, 0, 40) {
        $requests{ $_->{headers}{'x-request-id'} // '-' }++
            for $nginx->parallel(@some);
    }

    my $left = () = $api->states('tiny', 'limit=1000');
    my @all  = logged(200 + 200 - $left, 'full');
    my %events;
    $events{ member($_, 'event') // '-' }++ for @all;

    is_deeply(\%events, { set => 200, evicted => 200 - $left },
        'full: each that is set, each that had to go');
    is_deeply([grep { !$requests{ member($_, 'request_id') // '-' } } @all],
        [], 'full: by which requests');
    my %ids = map { member($_, 'id') // '-' => 1 }
        grep { (member($_, 'event') // '') eq 'evicted' } @all;
    is(scalar keys %ids, 200 - $left, 'full: each that goes, once');
    is_deeply([grep { $ids{ $_->{id} } } $api->states('tiny')], [],
        'full: and they are gone');
}


# -- reopened -----------------------------------------------------------------

{
    my $old = "$log.1";
    my $lines = () = slurp($log) =~ /\n/g;

    ok(rename($log, $old), 'the file is moved');
    sent(new_phone(), '400 131042');
    ok(wait_until(sub { (() = slurp($old) =~ /\n/g) == $lines + 1 }),
        'before USR1 the old file goes on');

    $nginx->signal('USR1');
    ok(wait_until(sub { -e $log }), 'USR1 makes a new file');

    # workers reopen theirs when they come to it
    $read = 0;
    my $last = wait_until(sub {
        sent(new_phone(), '400 131042') for 1 .. 8;
        sleep 0.05;
        my $now = () = slurp($old) =~ /\n/g;
        my $quiet = $now == $lines;
        $lines = $now;
        return $quiet && length slurp($log);
    });
    ok($last, 'and all go to it');
    is_deeply([grep { $_ } map { shape_of_line($_) } lines(slurp($log))], [],
        'as whole lines');

    ok($nginx->reload, 'a reload');
    my $size = length slurp($log);
    sent(new_phone(), '400 131042');
    ok(wait_until(sub { length slurp($log) > $size }),
        'goes on with the file');
    cmp_ok(length slurp($log), '>', $size, 'and keeps what is in it');
}

{
    my $text = slurp($log) . slurp("$log.1");
    is_deeply([grep { index($text, $_) >= 0 } @secrets], [],
        'nothing private is in it');
    like($text, qr/\n\z/, 'it ends with a whole line');
}

$api->is_clean;
$hook->is_discreet(@secrets);
$nginx->stop;


# -- syslog -------------------------------------------------------------------

{
    my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Proto => 'udp') or die "syslog: $!";
    my $port = $server->sockport;
    my $hook = GraphPolicy::Webhook->start(
        secrets => ['s3cretOfTheApp'],
        workers => 2,
        http    => "graph_policy_event_log syslog:server=127.0.0.1:$port,"
            . "facility=local3,severity=notice,tag=graph_events;\n$http");
    my $nginx = $hook->nginx;
    my $api = GraphPolicy::Api->new(port => $nginx->port,
        secrets => \@secrets);
    my @got;

    my $receive = sub {
        my ($count, $name) = @_;
        my $end = time + 5 * slow();

        while (@got < $count && time < $end) {
            my $read = '';
            vec($read, fileno $server, 1) = 1;
            select $read, undef, undef, 0.1;
            next if !vec($read, fileno $server, 1);
            $server->recv(my $datagram, 65536);
            push @got, $datagram;
        }
        is(scalar @got, $count, "syslog, $name: so many messages");
        return splice @got;
    };

    my $phone  = new_phone();
    my $answer = $hook->send($phone, script => '400 133010 trace=Atrace',
        token => 'tokenOfSomebody', in => 'brief');
    my ($set)  = $receive->(1, 'set');
    my ($head, $body) = ($set // '') =~ /^([^{]*)(\{.*\})\s*\z/s;
    my ($line) = lines($body // '');

    # local3 is 19, notice 5
    like($head // '', qr/^<157>.*\bgraph_events: \z/, 'syslog: its head');
    is(shape_of_line($line), '', 'syslog: what a line is made of');
    is(short_of($line, 'event', @who, 'trace', 'source'),
        "set z phone $phone phone-disconnected 133010 Atrace answer",
        'syslog: what');
    is(member($line, 'request_id'), $answer->{headers}{'x-request-id'},
        'syslog: by which request');

    ok(wait_until(sub { ($hook->send($phone, script => '200',
        token => 'tokenOfSomebody')->{headers}{'x-graph-policy'} // '-')
        eq 'probe' }), 'syslog: a probe');
    my @two = map { /(\{.*\})/s ? lines($1) : $_ } $receive->(2, 'cleared');
    is(join(' ', map { member($_, 'event') // '-' } @two), 'probe cleared',
        'syslog: the probe, and what came of it');

    is($api->post('zones/z/states', { scope => 'phone', key => '5551234',
        reason => 'phone-disconnected' })->{status}, 201, 'syslog: by hand');
    $receive->(1, 'by hand');

    # nobody listens
    close $server;
    my $other = new_phone();
    $hook->send($_, script => '400 131042', token => 'tokenOfSomebody')
        for $other, new_phone(), new_phone();
    is($hook->send($other, token => 'tokenOfSomebody')
        ->{headers}{'x-graph-policy'}, 'blocked',
        'syslog: without a server all goes on');
    unlike($nginx->log, qr/exited on signal/, 'syslog: no worker died');
    $api->is_clean;
}

done_testing();
