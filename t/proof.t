#!/usr/bin/perl

# What ends a state: an accepted message, or for a credential any success, as
# their bodies say; and what may be a probe at all.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use Compress::Zlib ();
use JSON::PP qw(decode_json);
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slow wait_until advance finish_requests abort_request
    push_request);
use GraphPolicy::Graph;

my $hold = 0.25 * slow();
my $hold_ms = 1000 * $hold . 'ms';

my $accepted = '{"messaging_product":"whatsapp","contacts":[{"input":"1",'
    . '"wa_id":"1"}],"messages":[{"id":"wamid.A"}]}';
my $read = '{"messaging_product":"whatsapp","status":"read",'
    . '"message_id":"wamid.IN","typing_indicator":{"type":"text"}}';
my $text = '{"messaging_product":"whatsapp","to":"15550001111",'
    . '"type":"text","text":{"body":"hi"}}';

my $graph = GraphPolicy::Graph->start(
    # whole but for its last byte, which comes a second later
    '/slow/' => sub {
        return ("HTTP/1.1 200 OK\r\nContent-Length: " . length($accepted)
            . "\r\nContent-Type: application/json\r\n\r\n"
            . substr($accepted, 0, -1), \1, substr $accepted, -1);
    },
);

my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 2,
    http => <<"END");

graph_policy_zone         zone=z:1m;
graph_policy              zone=z;
graph_policy_hold         $hold_ms max=$hold_ms;
graph_policy_buffer_size  4k;

server {
    listen  127.0.0.1:%PORT% reuseport;

    client_max_body_size 4m;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /streamed/ {
        proxy_buffering off;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /compressing/ {
        gzip on;
        gzip_types *;
        gzip_min_length 1;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /unbuffered/ {
        proxy_request_buffering off;
        proxy_http_version 1.1;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /dry/ {
        graph_policy_dry_run on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /any/ {
        graph_policy_send 1;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /api {
        graph_policy_api write=on;
    }
}
END

my $phone = 1000;

$graph->give(long => $accepted . ' ' x (4096 - length $accepted));
$graph->give(longer => $accepted . ' ' x (4097 - length $accepted));


# -- what a 2xx proves ----------------------------------------------------------

# name, mock of the answer, whether it ends an account's state, a credential's
my @answers = (
    ['an accepted message', body($accepted), 1, 1],
    ['a success that names no message', body('{"success":true}'), 0, 1],
    ['an empty list of messages', body('{"messages":[]}'), 0, 1],
    ['an error with the status 200',
        body('{"error":{"code":131042}}'), 0, 0],
    ['an error beside messages',
        body('{"messages":[{"id":"a"}],"error":{"code":1}}'), 0, 0],
    ['text', body('OK'), 0, 0],
    ['a list', body('[{"messages":[{"id":"wamid.A"}]}]'), 0, 0],
    ['half an object', body('{"messages":[{"id":"wamid.A"}]'), 0, 0],
    ['nothing', body(''), 0, 0],
    ['a status of 201', '201 body=' . escape($accepted), 1, 1],
    ['gzip, which nobody asked for', body($accepted) . ' gzip', 1, 1],
    ['deflate', body($accepted) . ' deflate', 1, 1],
    ['a coding that isn\'t known',
        body($accepted) . ' header=Content-Encoding:br', 0, 0],
    ['chunks', body($accepted) . ' chunked', 1, 1],
    ['a body that ends with the connection', body($accepted) . ' eof', 1, 1],
    ['pieces', body($accepted) . ' split', 1, 1],
    ['a body up to the bound', '200 given=long', 1, 1],
    ['a body over the bound', '200 given=longer', 0, 0],
    ['a torn body', body($accepted) . ' fin=60', 0, 0],
    ['a body torn behind all that is said',
        '200 given=long fin=' . length $accepted, 0, 0],
    ['a body that is reset', body($accepted) . ' rst=60', 0, 0],
);

for my $prefix ('', '/streamed') {
    for (@answers) {
        my ($name, $mock, @ends) = @$_;

        for my $kind (['account', '400 131042'], ['credential', '401 190']) {
            my ($scope, $error) = @$kind;
            my $phone = next_phone();
            my $token = "t$phone";

            send_to($phone, $error, $token);
            sleep_hold();

            my $answer = post("$prefix/v25.0/$phone/messages", $mock, $token,
                $text);
            my $ends = shift @ends;

            is(policy($answer), 'probe', "$scope$prefix, $name: a probe");
            is(policy(send_to($phone, undef, $token)), $ends ? '' : 'blocked',
                $ends ? 'ends the state' : 'ends nothing');
        }
    }
}

for my $prefix ('', '/streamed', '/compressing') {
    my $phone = next_phone();

    send_to($phone, '400 131042');
    sleep_hold();

    my $answer = $nginx->request(path => "$prefix/v25.0/$phone/messages",
        token => 'a', body => $text, mock => body($accepted) . ' split',
        headers => ['Accept-Encoding' => 'gzip']);

    my $body = $answer->{body};
    $body = Compress::Zlib::memGunzip($body)
        if ($answer->{headers}{'content-encoding'} // '') eq 'gzip';

    is($body, $accepted, "$prefix: the body passes as it is");
    is(policy(send_to($phone)), '',
        'and is read as it came, whatever nginx makes of it');
}

{
    my $phone = next_phone();

    send_to($phone, '400 131042');
    sleep_hold();

    my $call = push_request(GraphPolicy::start_request(port => $nginx->port,
        path => "/streamed/slow/$phone/messages", token => 'a',
        body => $text));

    ok(wait_until(sub {
        GraphPolicy::step_in($call) if $call->{socket};
        $call->{in} =~ /X-Graph-Policy: probe/;
    }), 'the header of a probe doesn\'t wait for the body');

    finish_requests($call);
}

# the header alone
{
    my $phone = next_phone();

    send_to($phone, '400 131042');
    sleep_hold();

    is(policy($nginx->request(path => "/any/v25.0/$phone/messages",
        token => 'a', method => 'HEAD')), 'probe', 'a HEAD probes');
    is(policy(send_to($phone)), 'blocked', 'and proves nothing');
}

{
    my $phone = next_phone();

    send_to($phone, '400 131042');
    sleep_hold();

    is(policy(send_to($phone, '204')), 'probe', 'a 204 to a probe');
    is(policy(send_to($phone)), 'blocked', 'proves nothing');
}


# -- receipts --------------------------------------------------------------------

for my $code (131042, 131031, 133010) {
    my $phone = next_phone();

    send_to($phone, "400 $code");
    is(policy(receipt($phone)), 'blocked', "$code: a receipt is blocked");

    sleep_hold();
    $graph->clear;

    my $answer = receipt($phone);
    is(policy($answer), 'blocked', 'when the state is due, too');
    is($graph->count, 0, 'it isn\'t sent');
    is($answer->{headers}{'x-graph-hold'}, undef, 'nor told of a next try');
    like($answer->{body}, qr/a request like this one can't end that/,
        'but that it can\'t be one');

    is(policy(send_to($phone)), 'probe', 'a message is the probe');
    is(policy(receipt($phone)), '', 'and ends it for receipts, too');
}

{
    my $phone = next_phone();

    send_to($phone, '401 190', "r$phone");
    sleep_hold();

    is(policy(receipt($phone, "r$phone")), 'probe',
        'a credential is probed by a receipt');
    is(policy(send_to($phone, undef, "r$phone")), '', 'which ends its state');
}

for (
    ['a form', 'messaging_product=whatsapp&status=read&message_id=a',
        'application/x-www-form-urlencoded', 'probe'],
    ['a receipt with a recipient', '{"status":"read","to":"1"}',
        'application/json', 'probe'],
    ['a receipt with an empty recipient',
        '{"status":"read","to":"","recipient":null}', 'application/json',
        'blocked'],
    ['a receipt in a file of its own', '{"status":"read","x":"'
        . 'y' x 20000 . '"}', 'application/json', 'blocked'],
) {
    my ($name, $body, $type, $policy) = @$_;
    my $phone = next_phone();

    send_to($phone, '400 133010');
    sleep_hold();

    my $answer = $nginx->request(path => "/v25.0/$phone/messages",
        token => 'a', body => $body, headers => ['Content-Type' => $type],
        mock => body('{"success":true}'));

    is(policy($answer), $policy, "$name: $policy");
}


# -- a body that is slow ---------------------------------------------------------

for (
    ['with a length', "Content-Length: 100\r\n\r\n{", ' ' x 97 . "}\n"],
    ['in chunks', "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        "1\r\n}\r\n0\r\n\r\n"],
    ['that waits to be asked for',
        "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", '{}'],
    ['that needs a file', "Content-Length: 1000000\r\n\r\n{" . ' ' x 500000,
        ' ' x 499998 . '}'],
) {
    my ($name, $head, $rest) = @$_;
    my $phone = next_phone();

    send_to($phone, '400 131042');
    sleep_hold();
    $graph->clear;

    my $call = slow_send("/v25.0/$phone/messages", $head);

    is(state($phone)->{probing}, JSON::PP::false(),
        "a body $name: whoever is slow to send it doesn't probe");

    my $answer = send_to($phone, undef, 'b');

    is(policy($answer), 'probe', 'another one does');
    is($answer->{status}, 200, 'and is through');

    # what remains of it meets what is there then
    send_to($phone, '400 131042', 'b');
    sleep_hold();

    $call->{out} = $rest;
    push_request($call);
    my ($slow) = finish_requests($call);

    $slow = GraphPolicy::parse_answer({ in => $1 })
        if $slow->{text} =~ /\AHTTP\S+ 100 .*?\r\n\r\n(.*)\z/s;

    is(policy($slow), 'probe', 'once it is there, it may');
    is($slow->{status}, 200, 'and is sent as any other');
    is($graph->count(qr{/$phone/}), 3, 'once');
}

{
    my $phone = next_phone();

    send_to($phone, '400 131042');
    sleep_hold();

    my $call = slow_send("/v25.0/$phone/messages",
        "Content-Length: 100\r\n\r\n{");
    abort_request($call);

    is(policy(send_to($phone)), 'probe',
        'who leaves before its body is there has held nothing');
}

{
    my $phone = next_phone();

    send_to($phone, '400 131042');
    sleep_hold();

    my $answer = post("/unbuffered/v25.0/$phone/messages", undef, 'a', $text);

    is(policy($answer), 'blocked', 'a body that isn\'t buffered is no probe');
    is($answer->{headers}{'x-graph-hold'}, undef, 'nor told of a next try');
    post("/unbuffered/v25.0/$phone/messages", undef, 'a', $text) for 1 .. 2;
    is(policy(send_to($phone)), 'probe', 'a buffered one is');

    my @said = $nginx->log =~ /^(.*has no probe for a state that is due.*)$/mg;

    like($said[0], qr/\[error\].*location "\/unbuffered\/" is sent before it/,
        'the log says once what to mend');
    cmp_ok(scalar @said, '<=', 2, 'in each worker');
}


# -- targets that two may read in two ways ---------------------------------------

for my $target (
    '/v25.0/1111/messages#/../../%s/messages',
    '/v25.0/%s/messages%%2F..%%2F..%%2F1111%%2Fmessages',
    '/v25.0/x/../%s/messages',
    '/v25.0/./%s/messages',
    '/v25.0//%s/messages',
    '/v25.0/%s/m%%65ssages',
    '/v25.0/%s/messages?a=b#c',
) {
    my $phone = next_phone();
    my $path = sprintf $target, $phone;

    # an account's, a credential's, and for a credential alone
    post($path, '400 133010', 'x');
    post($path, '400 131031', 'x');
    is(policy(send_to($phone)), '', "$path: changes nothing for others");
    is(policy(send_to(1111)), '', 'whichever phone it means');

    next if $target !~ m{%s/m(?:essages\?|%%65)|^/v25.0/(?:x/\.\.|\.|)/%s};

    post($path, '401 190', "x$phone");
    is(policy(send_to($phone, undef, "x$phone")), 'blocked',
        'but may stop its own credential');

    send_to($phone, '400 133010');
    is(policy(post($path, undef, 'y')), 'blocked', 'it is gated like others');
    sleep_hold();

    my $answer = post($path, undef, 'y');
    is(policy($answer), 'blocked', 'is no probe');
    is($answer->{headers}{'x-graph-hold'}, undef, 'nor told of a next try');

    post("/dry$path", undef, 'y');
    is(policy(send_to($phone, '400 133010')), 'probe',
        'and ends nothing, in dry run either');

    post(sprintf('/v25.0/./%s/register', $phone), undef, 'y');
    is(policy(send_to($phone)), 'blocked', 'nor does registering by it');
}

{
    my $phone = next_phone();

    post("/v25.0/$phone/messages?x=%20a%2Fb/../c//d", '400 133010');
    is(policy(send_to($phone)), 'blocked',
        'escapes, dots and slashes in the query are no matter');
}


# -- dry run ---------------------------------------------------------------------

{
    my $phone = next_phone();
    my $path = "/dry/v25.0/$phone";

    post("$path/messages", '400 133010');
    my @before = dry_runs();

    receipt($phone, 'a', '/dry');
    post("$path/media", undef);
    post("$path/messages", body('{"error":{"code":131042}}'), 'a', $text);
    is_deeply([dry_runs()], \@before,
        'dry run: no acceptance of receipts, uploads and 200s with an error');

    post("$path/media", '400 100');
    $nginx->request(path => "$path/messages", token => 'a', body => $read,
        headers => ['Content-Type' => 'application/json'], mock => '400 100');
    is_deeply([dry_runs()], \@before, 'nor are their errors counted');
    is(policy(send_to($phone)), 'blocked', 'and they end nothing');

    post("$path/messages", '400 100', 'a', $text);
    is_deeply([dry_runs()], [$before[0], $before[1] + 1],
        'a message that is refused is counted');

    post("$path/messages", undef, 'a', $text);
    is_deeply([dry_runs()], [$before[0] + 1, $before[1] + 1],
        'so is one that is accepted');
    is(policy(send_to($phone)), '', 'which ends the state');
}

is_deeply([grep { !/ no probe / } $nginx->complaints], [],
    'nothing to complain of in the log');

done_testing();


# -- helpers ---------------------------------------------------------------------

sub next_phone { return ++$phone }

sub escape {
    my ($text) = @_;
    $text =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ge;
    return $text;
}

sub body { return '200 body=' . escape($_[0]) }

sub post {
    my ($path, $mock, $token, $body) = @_;

    return $nginx->request(path => $path, token => $token // 'a',
        mock => $mock, body => $body // '{}');
}

sub send_to {
    my ($phone, $mock, $token) = @_;

    return post("/v25.0/$phone/messages", $mock, $token, $text);
}

sub receipt {
    my ($phone, $token, $prefix) = @_;

    return $nginx->request(path => ($prefix // '')
        . "/v25.0/$phone/messages", token => $token // 'a', body => $read,
        headers => ['Content-Type' => 'application/json'],
        mock => body('{"success":true}'));
}

# of which a part is sent at first, and the gate has seen that
sub slow_send {
    my ($path, $head) = @_;

    my $call = push_request(GraphPolicy::start_request(port => $nginx->port,
        raw => "POST $path HTTP/1.1\r\nHost: localhost\r\n"
            . "Connection: close\r\nAuthorization: Bearer slow\r\n"
            . "Content-Type: application/json\r\n$head"));

    sleep 0.1 * slow();
    return $call;
}

sub state {
    my ($phone) = @_;

    my $answer = $nginx->request(method => 'GET', path => '/api/zones/z/states');
    my ($state) = grep { ($_->{key} // '') eq $phone }
        @{ decode_json($answer->{body})->{states} };
    return $state || {};
}

sub policy { $_[0]{headers}{'x-graph-policy'} // '' }

sub sleep_hold { sleep $hold * 1.1 + 0.05 }

# accepted and refused
sub dry_runs {
    my $text = $nginx->request(method => 'GET', path => '/api/metrics')->{body};

    return map {
        my $sum = 0;
        $sum += $1 while $text =~
            /^graph_policy_dry_run_blocks_total\{[^}]*result="$_"\} (\d+)/mg;
        $sum;
    } qw(accepted refused);
}
