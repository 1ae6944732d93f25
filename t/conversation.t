# vi:set ft= ts=4 sw=4 et:

# graph_policy_conversation: what a context-limited error stops is the
# conversation that it came from, until the customer writes, the hold is over or
# a send succeeds.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slow slurp wait_until);
use GraphPolicy::Graph qw(with_length);
use GraphPolicy::Webhook qw(payload entry messages account_update status
    inbound contact failure message template short);

# how long a conversation is stopped in /short, in seconds; in /long, an hour
my $brief = 2 * slow();

my $early = GraphPolicy::Graph->start(
    map { $_ => sub { with_length(200, "Content-Type: application/json\r\n",
        '{"messages":[{"id":"wamid.FAKE"}]}') } } qw(off gate));

my $hook = GraphPolicy::Webhook->start(
    secrets  => ['s3cretOfTheApp'],
    secrets2 => ['s3cretOfOneAccount 5001'],
    workers  => 4,
    http     => <<"END");
graph_policy_zone zone=z:1m;

log_format policy '\$uri \$status [\$graph_policy_status] \$graph_policy_scope '
    '\$graph_error_category \$graph_error_code \$graph_error_reason '
    '<\$graph_policy_conversation>';

server {
    # each worker gets its share of the connections
    listen 127.0.0.1:%PORT% reuseport;

    access_log         %DIR%/access.log policy;
    add_header         X-Worker \$pid always;
    proxy_http_version 1.1;
    graph_policy       zone=z;

    location / {
        graph_policy_conversation on;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /off/ {
        graph_policy_conversation off;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /default/ {
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /short/ {
        graph_policy_conversation on hold=${brief}s;
        graph_policy_hold         100ms;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /long/ {
        graph_policy_conversation on hold=1h;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /dry/ {
        graph_policy_conversation on;
        graph_policy_dry_run      on;
        add_header                X-Status \$graph_policy_status always;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /status/ {
        graph_policy_conversation on;
        graph_policy_status       409;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /rules/ {
        graph_policy_conversation on;
        graph_policy_rule         777001 context-limited scope=conversation;
        graph_policy_rule         777002 context-limited scope=conversation
            reason=window-expired;
        graph_policy_rule         777003 context-limited scope=conversation
            reason=undeliverable;
        graph_policy_rule         777004 context-limited;
        graph_policy_rule         131047 context-limited scope=request;
        graph_policy_rule         131026 ignore;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /file/ {
        graph_policy_conversation on;
        client_body_buffer_size   1k;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /retried/ {
        graph_policy_conversation on;
        graph_policy_retry        attempts=2 base=10ms;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /unbuffered/ {
        graph_policy_conversation on;
        proxy_request_buffering   off;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }

    # without the gate, and with it, to an upstream that waits for no body
    location /early-off/ {
        proxy_request_buffering   off;
        proxy_pass                http://127.0.0.1:@{[ $early->port ]};
    }
    location /early-gate/ {
        graph_policy_conversation on;
        proxy_request_buffering   off;
        proxy_pass                http://127.0.0.1:@{[ $early->port ]};
    }

    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /bound {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS2;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /dryhook {
        graph_policy_dry_run             on;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
}
END
my ($nginx, $graph) = ($hook->nginx, $hook->graph);

my $account = '2001';
my $phone   = '1001';
my $number  = 16_505_550_000;

# the conversations of these tests are all with somebody else
sub somebody { return '' . ++$number }

sub comes {
    my ($body, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is(short($hook->deliver($body, %of)), '200 - 1',
        "$name: the application gets it");
}

# the error of a message to somebody, at a time; who wrote, and when
sub failed {
    my ($code, $to, $at) = @_;

    return payload(entry($account, messages(phone => $phone,
        statuses => [status($code, to => $to, @_ > 2 ? (at => $at) : ())])));
}

sub wrote {
    my ($from, $at) = @_;

    return payload(entry($account, messages(phone => $phone,
        messages => [inbound(from => $from, @_ > 1 ? (at => $at) : ())])));
}

sub is_open {
    my ($to, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $hook->is_open($of{phone} // $phone, $name, to => $to,
        without(\%of, 'phone'));
}

sub is_blocked {
    my ($to, $expected, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $hook->is_blocked($of{phone} // $phone, $expected, $name,
        to => $to, without(\%of, 'phone'));
}

sub without {
    my ($of, $name) = @_;
    return map { $_ => $of->{$_} } grep { $_ ne $name } keys %$of;
}

# a conversation that an answer stops
sub stopped {
    my ($code, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $to = delete $of{to} // somebody();

    is(short($hook->send($phone, to => $to, script => "400 $code", %of)),
        '400 passed 1', "$name: an answer of $code");
    return $to;
}

# a message of so many bytes, whom it is to at its end
sub long {
    my ($to, $size) = @_;
    my ($before, $after) = ('{"type":"text","text":{"body":"',
        qq("},"to":"$to"}));

    return $before . 'x' x ($size - length "$before$after") . $after;
}

sub is_streamed {
    my ($in, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($answer) = GraphPolicy::finish_requests($nginx->start_request(
        raw => "POST /early-$in/v25.0/$phone/messages HTTP/1.1\r\n"
            . "Host: localhost\r\nConnection: close\r\n"
            . "Authorization: Bearer a\r\nContent-Type: application/json\r\n"
            . "Content-Length: 1000\r\n\r\n{\"to\":", timeout => 5));

    is($answer->{status}, 200, "$name: the body goes on as it comes");
}


# -- nothing has failed yet: no body is waited for

is_streamed('off', 'off, nothing failed');
is_streamed('gate', 'on, nothing failed');


# -- by an answer

for my $case ([131047, 'window-expired'], [131026, 'undeliverable'],
    [131048, 'spam-quality'], [131064, 'spam-quality'])
{
    my ($code, $reason) = @$case;
    my $to      = stopped($code, $code);
    my $answer  = is_blocked($to, "$reason $code", $code);
    my $headers = $answer->{headers};

    is($answer->{status}, 400, "$code: status");
    is($headers->{'x-graph-error-category'}, 'context-limited',
        "$code: category");
    is($headers->{'x-graph-error-scope'}, 'conversation', "$code: scope");
    is($headers->{'x-graph-error-subcode'}, undef, "$code: subcode");
    like($headers->{'x-graph-state'}, qr/^[\w.~-]+\z/, "$code: state");
    like($headers->{'content-type'}, qr{^application/json}, "$code: type");
    GraphPolicy::Webhook::is_after($answer, 880, 900, $code);

    my $error = eval { JSON::PP::decode_json($answer->{body})->{error} };
    ok($error, "$code: a body in JSON") or diag($answer->{body});
    is($error->{code}, $code, "$code: code in the body");
    ok(!$error->{is_transient}, "$code: not transient");
    like($error->{error_user_title}, qr/\w/, "$code: a title");
    like($error->{error_user_msg}, qr/\w/, "$code: what to do");
    like($error->{error_data}{details}, qr/\w/, "$code: details");
    is($error->{error_data}{messaging_product}, 'whatsapp',
        "$code: the product");
    unlike($answer->{text}, qr/$to/, "$code: not the recipient");

    is_blocked($to, "$reason $code", "$code, again");
    is_blocked($to, "$reason $code", "$code, another token", token => 'b');
    is_blocked($to, "$reason $code", "$code, no token", token => undef);
    is_blocked($to, "$reason $code", "$code, another version",
        path => "/v26.0/$phone/messages");
    is($hook->send($phone, to => $to, in => 'status')->{status}, 409,
        "$code, a status of its own");

    is_open(somebody(), "$code, another recipient");
    is_open($to, "$code, another phone", phone => '1002');
    is_open($to, "$code, media", edge => 'media');
}

# what the variables say
{
    my $to  = stopped(131047, 'variables');
    my $log = $nginx->dir . '/access.log';

    is_blocked($to, 'window-expired', 'variables', in => 'long');
    ok(wait_until(sub { slurp($log) =~ m{^/long/v25.0/$phone/messages[ ]400
        [ ]\[BLOCKED\][ ]conversation[ ]context-limited[ ]131047
        [ ]window-expired[ ]<[0-9a-f]{16}>$}mx }), 'variables: in the log')
        or diag(slurp($log));
    unlike(slurp($log), qr/$to/, 'variables: not the recipient');
}

# what stops no conversation
for my $code (131052, 131053, 131049, 130472, 100, 131000, 999999, 131056) {
    my $to = stopped($code, "no stop by $code");
    is_open($to, "no stop by $code");
}

{
    my $to = somebody();

    $hook->send($phone, to => $to, script => '400 131047', token => undef);
    is_open($to, 'an error of who has no token');
    $hook->send($phone, to => $to, script => '400', token => 'a');
    is_open($to, 'no error of Graph');
    $hook->send($phone, script => '400 131047',
        body => '{"messaging_product":"whatsapp"}');
    is(short($hook->send($phone, body => '{"messaging_product":"whatsapp"}')),
        '200 - 1', 'an error of a message to nobody');
}

# where it is off
{
    is_open(stopped(131047, 'off by default'), 'off by default',
        in => 'default');
    is_open(stopped(131047, 'off'), 'off', in => 'off');
}


# -- who it is

# Brazil, Mexico, Argentina, and what people write between the digits
for my $case (
    ['+55 (11) 99876-5432', '5511998765432', '551198765432', '+551198765432',
        '+55 11 9876-5432', '55 (11) 9 9876 5432', 5511998765432],
    ['5215512345678', '525512345678', '+52 55 1234 5678',
        '+52 1 (55) 1234-5678'],
    ['541123456789', '5491123456789', '+54 9 11 2345-6789',
        '54 11 2345-6789'],
    ['+1 (650) 555-9876', '16505559876', 16505559876],
) {
    my ($first, @others) = @$case;

    my $now = int time;

    # webhooks spell it as they like, too
    comes(failed(131026, $others[-1] =~ s/\D//gr, $now - 20),
        "$first, by a webhook");
    is_blocked($_, 'undeliverable 131026', "$first, by a webhook: $_")
        for $first, @others;
    comes(wrote($others[0] =~ s/\D//gr, $now - 10), "$first writes");
    is_open($_, "$first wrote: $_") for $first, @others;

    stopped(131047, $first, to => $first);
    is_blocked($_, 'window-expired 131047', "$first is $_") for $first, @others;
}

for my $case (['5511998765432', '5511898765432'], ['5215512345678',
    '5215512345679'], ['16505559876', '1650555987'])
{
    my ($to, $near) = @$case;
    is_open($near, "$near isn't $to");
}

# users without a number
{
    my $user = 'US.13491208655302741918';
    my @body = (body => qq({"recipient":"$user","type":"text"}));

    is(short($hook->send($phone, @body, script => '400 131047')),
        '400 passed 1', 'a user id');
    is_blocked(undef, 'window-expired 131047', 'a user id', @body);
    is_open(undef, 'another user id', body => $body[1] =~ s/918"/919"/r);
    is_open($user =~ s/\D//gr, 'a number with its digits');

    # "to" comes first
    my $to = stopped(131047, 'to and recipient');
    is_blocked(undef, 'window-expired', 'to and another recipient',
        body => qq({"recipient":"US.1","to":"$to","type":"text"}));
    is_open(undef, 'recipient and another to',
        body => qq({"recipient":"$user","to":"16505557777","type":"text"}));
    is_blocked(undef, 'window-expired', 'a number as recipient',
        body => qq({"recipient":"+$to","type":"text"}));
}

# what only looks like a recipient
{
    my $to = stopped(131047, 'elsewhere');

    is_open(undef, "elsewhere: $_", body => $_) for
        qq({"to":"16505557777","text":{"to":"$to"}}),
        qq({"text":{"to":"$to"},"type":"text"}),
        qq([{"to":"$to"}]), qq({"to":["$to"]}), qq({"to":{"to":"$to"}}),
        qq({"to":"$to"), qq("$to"), qq({"TO":"$to"}), qq({"to":null}), '{}', '';

    is_blocked(undef, 'window-expired', "spelt otherwise: $_", body => $_) for
        qq({"to":"$to"}), qq( \r\n{ "type" : "text" ,\t"to" : "$to" }\n),
        qq({"t\\u006f":"$to"}), qq({"to":$to});
}


# -- templates

{
    my $closed = stopped(131047, 'template');

    for my $edge ('messages', 'marketing_messages') {
        is_open($closed, "template, $edge, a closed window",
            edge => $edge, body => template($closed));
        is_blocked($closed, 'window-expired 131047',
            "template, $edge: its success opens no window");
    }

    # it has to be one
    is_blocked(undef, 'window-expired', "no template: $_", body => $_) for
        qq({"to":"$closed","type":"text","text":{"type":"template"}}),
        qq({"to":"$closed","type":"text","template":{"name":"a"}}),
        qq({"to":"$closed","type":"templates"}),
        qq({"to":"$closed","type":"interactive","interactive":{}}),
        qq({"to":"$closed","type":"image","image":{"id":"1"}});

    # a template that fails stops those that could go before
    is(short($hook->send($phone, to => $closed, body => template($closed),
        script => '400 131026')), '400 passed 1', 'template: undeliverable');
    is_blocked($closed, '', 'template: undeliverable now',
        body => template($closed));

    for my $case ([131026, 'undeliverable'], [131048, 'spam-quality'],
        [131064, 'spam-quality'])
    {
        my ($code, $reason) = @$case;
        my $to = stopped($code, "template, $code");

        is_blocked($to, "$reason $code", "template, $code, $_", edge => $_,
            body => template($to)) for 'messages', 'marketing_messages';
        is_blocked($to, "$reason $code", "template, $code: others");
    }

    # read receipts, with and without a typing indicator
    is_open(undef, 'a read receipt', body => $_) for
        '{"messaging_product":"whatsapp","status":"read",'
        . '"message_id":"wamid.FAKE"}',
        '{"messaging_product":"whatsapp","status":"read",'
        . '"message_id":"wamid.FAKE","typing_indicator":{"type":"text"}}';
}


# -- by a webhook

for my $case ([131047, 'window-expired'], [131026, 'undeliverable'],
    [131048, 'spam-quality'], [131064, 'spam-quality'])
{
    my ($code, $reason) = @$case;
    my $to = somebody();

    comes(failed($code, $to), "webhook, $code");

    my $answer = is_blocked($to, "$reason $code", "webhook, $code");
    is($answer->{status}, 400, "webhook, $code: status");
    is($answer->{headers}{'x-graph-error-scope'}, 'conversation',
        "webhook, $code: scope");
    GraphPolicy::Webhook::is_after($answer, 880, 900, "webhook, $code");

    is_open(somebody(), "webhook, $code, another recipient");
    is_open($to, "webhook, $code, another phone", phone => '1002');

    if ($code == 131047) {
        is_open($to, "webhook, $code, a template", body => template($to));
        is_blocked($to, "$reason $code", "webhook, $code, after a template");
    } else {
        is_blocked($to, "$reason $code", "webhook, $code, a template",
            body => template($to));
    }

    # whatever it was, who writes can be written to
    comes(wrote($to, int time), "webhook, $code, an answer");
    is_open($to, "webhook, $code, after an answer");
    is_open($to, "webhook, $code, after an answer, a template",
        body => template($to));
}

for my $code (131052, 131053, 131049, 130472, 100, 999999) {
    my $to = somebody();
    comes(failed($code, $to), "webhook, $code");
    is_open($to, "webhook, $code stops nothing");
}

# several conversations in one payload
{
    my ($first, $second, $third) = map { somebody() } 1 .. 3;

    comes(payload(
        entry($account, messages(phone => $phone, statuses => [
            status(131047, to => $first), status(undef, to => $third),
            status([100, 131026], to => $second)])),
        entry('2002', messages(phone => '1003', statuses => [
            status(131047, to => $third)]))), 'several');
    is_blocked($first, 'window-expired', 'several, the first');
    is_blocked($second, 'undeliverable', 'several, the second');
    is_open($third, 'several, one that was delivered');
    is_blocked($third, 'window-expired', 'several, of another phone',
        phone => '1003');
}

# not signed, not of that account
{
    my $to = somebody();

    $hook->is_refused(failed(131047, $to), 403, 'not signed',
        signature => 'sha256=' . '0' x 64);
    is_open($to, 'not signed');
    comes(failed(131047, $to), 'of another account', path => '/bound',
        secret => 's3cretOfOneAccount');
    is_open($to, 'of another account');

    comes(failed(131047, $to), 'dry run', path => '/dryhook');
    is_blocked($to, 'window-expired', 'learnt in dry run');
    comes(wrote($to, int time), 'of another account', path => '/bound',
        secret => 's3cretOfOneAccount');
    is_blocked($to, 'window-expired', 'its end, of another account');
    $hook->is_refused(wrote($to, int time), 403, 'its end, not signed',
        signature => 'sha256=' . '0' x 64);
    is_blocked($to, 'window-expired', 'its end, not signed');
}


# -- the customer writes

# by what the message says, and by what the contacts say
{
    my ($from, $contact) = (somebody(), somebody());

    stopped(131047, 'from', to => $from);
    stopped(131026, 'contact', to => $contact);

    comes(payload(entry($account, messages(phone => $phone,
        messages => [inbound(from => $from, at => int time)],
        contacts => [contact($contact)]))), 'a message');
    is_open($from, 'from');
    is_open($contact, 'contacts');

    # contacts of a status are those who were written to
    stopped(131047, 'contact of a status', to => $contact);
    comes(payload(entry($account, messages(phone => $phone,
        statuses => [status(undef, to => $from)],
        contacts => [contact($contact)]))), 'contact of a status');
    is_blocked($contact, 'window-expired', 'contact of a status');

    # another customer, another phone
    comes(wrote(somebody(), int time), 'another customer');
    is_blocked($contact, 'window-expired', 'another customer');
    comes(payload(entry($account, messages(phone => '1002',
        messages => [inbound(from => $contact, at => int time)]))),
        'to another phone');
    is_blocked($contact, 'window-expired', 'to another phone');

    # one with a picture that couldn't be fetched is a message too
    comes(payload(entry($account, messages(phone => $phone, messages =>
        [inbound(from => $contact, code => 131052, at => int time)]))),
        'a message with an error');
    is_open($contact, 'a message with an error');
}

# of two who wrote, one long ago: neither is taken for the other
{
    my ($early, $late) = (somebody(), somebody());
    my $now = int time;

    comes(failed(131047, $_, $now - 40), 'two wrote') for $early, $late;
    comes(payload(entry($account, messages(phone => $phone,
        contacts => [contact($early), contact($late)], messages => [
            inbound(from => $early, at => $now - 60),
            inbound(from => $late, at => $now - 20)]))), 'two wrote');
    is_blocked($early, 'window-expired', 'two wrote, before it was over');
    is_open($late, 'two wrote, after it was over');
}

# late and out of order, with times of long before these requests
for my $case (
    # name, [what, seconds ago], ..., then open or not
    ['older than the error',    [f => 20], [w => 30], 0],
    ['newer than the error',    [f => 20], [w => 10], 1],
    ['it came first',           [w => 10], [f => 20], 1],
    ['it came first, and then a newer error', [w => 20], [f => 10], 0],
    ['in the same second',      [f => 20], [w => 20], 1],
    ['in the same second, it came first', [w => 20], [f => 20], 1],
    ['the error comes again',   [f => 20], [w => 10], [f => 20], 1],
    ['both come again',  [w => 10], [f => 20], [w => 10], [f => 20], 1],
    ['a newer error comes',     [f => 30], [w => 20], [f => 10], 0],
    ['and an older message',    [f => 30], [w => 20], [f => 10], [w => 25], 0],
    ['old errors',              [f => 660], 1],
    ['errors of last week',     [f => 7 * 86400], 1],
    ['errors of nine minutes ago', [f => 540], 0],
    ['two errors',              [f => 20], [f => 20], 0],
    ['an error without a time', ['f'], 1],
) {
    my ($name, @events) = @$case;
    my $open = pop @events;
    my $to   = somebody();
    my $now  = int time;

    for (@events) {
        my ($what, $ago) = @$_;
        my $at = defined $ago ? $now - $ago : undef;

        comes($what eq 'f' ? failed(131047, $to, $at) : wrote($to, $at),
            "order, $name");
    }

    if ($open) {
        is_open($to, "order, $name");
    } else {
        is_blocked($to, 'window-expired 131047', "order, $name");
    }
}

# in one payload, in either order
for my $order ('message first', 'status first') {
    my ($to, $other) = (somebody(), somebody());
    my $now     = int time;
    my @changes = (
        messages(phone => $phone, messages => [
            inbound(from => $to, at => $now - 10),
            inbound(from => $other, at => $now - 20)]),
        messages(phone => $phone, statuses => [
            status(131047, to => $to, at => $now - 20),
            status(131047, to => $other, at => $now - 10)]),
    );

    comes(payload(entry($account, $order eq 'message first' ? @changes
        : reverse @changes)), "one payload, $order");
    is_open($to, "one payload, $order, the message is newer");
    is_blocked($other, 'window-expired', "one payload, $order, it is older");
}

# an answer, and a message of the very second
{
    my ($to, $second);

    for (1 .. 20) {
        $second = int time;
        $to     = stopped(131047, 'the second of an answer');
        last if int time == $second;
    }

    comes(wrote($to, $second - 1), 'a second before an answer');
    is_blocked($to, 'window-expired', 'a second before an answer');
    comes(wrote($to, $second), 'the second of an answer');
    is_open($to, 'the second of an answer');

    # an answer is news
    $to = somebody();
    comes(wrote($to, int(time) - 30), 'before an answer');
    stopped(131026, 'a new answer', to => $to);
    is_blocked($to, 'undeliverable', 'a new answer');
}


# -- the hold

# counted from the event, whose time the webhook tells
{
    my $to = somebody();

    comes(failed(131047, $to, int(time) - 100), 'hold from the event');
    GraphPolicy::Webhook::is_after(is_blocked($to, 'window-expired',
        'hold from the event'), 780, 801, 'hold from the event');
    GraphPolicy::Webhook::is_after(is_blocked($to, 'window-expired',
        'hold of the gate', in => 'long'), 3480, 3501, 'hold of the gate');
    is_open($to, 'hold of a short gate', in => 'short');
}

# each gate has its own
{
    my $to   = stopped(131047, 'hold', in => 'short');
    my $from = time;

    my $answer = is_blocked($to, 'window-expired 131047', 'hold',
        in => 'short');
    GraphPolicy::Webhook::is_after($answer, 1, $brief, 'hold');
    GraphPolicy::Webhook::is_after(is_blocked($to, 'window-expired',
        'hold, elsewhere', in => 'long'), 3480, 3600, 'hold, elsewhere');

    my @seen;
    ok(wait_until(sub {
        push @seen, short($hook->send($phone, to => $to, in => 'short'));
        return $seen[-1] ne '400 blocked 0';
    }, $brief + 5), 'hold: it ends');

    cmp_ok(time - $from, '>', $brief - 1, 'hold: not too early');
    is($seen[-1], '200 - 1', 'hold: without a probe');
    is_open($to, 'hold, afterwards', in => 'short');

    # a success says that the conversation is open
    is_open($to, 'hold: a success ends it everywhere', in => 'long');
}

# which that of a probe says, too
{
    my $to = somebody();

    comes(failed(131047, $to, int(time) - 100), 'hold and probe');
    is(short($hook->send($phone, to => somebody(), in => 'short',
        token => 'tired', script => '401 190')), '401 passed 1',
        'hold and probe: the token is refused');
    sleep 0.2;
    is(short($hook->send($phone, to => $to, in => 'short',
        token => 'tired')), '200 probe 1', 'hold and probe: the probe');
    is_open($to, 'hold and probe: its success ends it everywhere',
        in => 'long');
}

# an error after the hold begins another
{
    my $to = stopped(131026, 'hold twice', in => 'short');

    sleep $brief + 0.1;
    stopped(131026, 'hold twice', to => $to, in => 'short');
    is_blocked($to, 'undeliverable 131026', 'hold twice', in => 'short');
    comes(wrote($to, int time), 'hold twice');
    is_open($to, 'hold twice: until the customer writes', in => 'long');
}


# -- dry run

{
    my $to     = stopped(131047, 'dry run', in => 'dry');
    my $answer = $hook->send($phone, to => $to, in => 'dry',
        script => '400 100');

    is_blocked($to, 'window-expired', 'dry run: others block');
    is(short($answer), '400 dry-run 1', 'dry run: an error is told');
    is($answer->{headers}{'x-status'}, 'BLOCKED_DRY_RUN',
        'dry run: an error, the variable');

    $answer = is_open($to, 'dry run', in => 'dry', body => template($to));
    is($answer->{headers}{'x-status'}, 'PASSED', 'dry run: a template');
    is_blocked($to, 'window-expired', 'dry run: a template ends nothing');

    $answer = is_open($to, 'dry run', in => 'dry');
    is($answer->{headers}{'x-status'}, 'BLOCKED_DRY_RUN',
        'dry run: the variable');
    is_open($to, 'dry run: its success ended it');
}


# -- rules

for my $case ([777001, 1], [777002, 1], [777003, 1], [777004, 0], [131047, 0],
    [131048, 1])
{
    my ($code, $stops) = @$case;
    my $to = stopped($code, "rule $code", in => 'rules');

    if (!$stops) {
        is_open($to, "rule $code", in => 'rules');
        next;
    }

    is($hook->is_blocked($phone, '', "rule $code", to => $to, in => 'rules')
        ->{headers}{'x-graph-error-code'}, $code, "rule $code: its code");

    my $template = $hook->send($phone, to => $to, in => 'rules',
        body => template($to));

    is(short($template), '200 - 1', "rule $code, a template passes")
        if $code == 777002;
    is(short($template), '400 blocked 0', "rule $code, a template is stopped")
        if $code == 777003;
}

{
    my $to = somebody();
    my $answer = $hook->send($phone, to => $to, in => 'rules',
        script => '400 131026');

    is("$answer->{status} $answer->{seen}", '400 1', 'an error to ignore');
    is_open($to, 'an error to ignore', in => 'rules');
}


# -- bodies

{
    my $to    = stopped(131047, 'bodies');
    my $body  = message($to);
    my $mixed = "--b\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n"
        . "$to\r\n--b--\r\n";

    is_blocked($to, 'window-expired', "bodies, $_", type => $_)
        for 'application/json; charset=utf-8', 'Application/JSON';

    # long ones too, wherever nginx keeps them, up to 64k
    for my $in (undef, 'file', 'unbuffered') {
        my $name = 'bodies, ' . ($in // 'nginx\'s own buffer');

        is_blocked($to, 'window-expired', "$name, $_ bytes",
            in => $in, body => long($to, $_)) for 900, 9_000, 33_000, 65_536;

        my $sent = long($to, 65_537);
        is_open($to, "$name, over 64k", in => $in, body => $sent);
        ok(($graph->requests)[-1]{body} eq $sent, "$name: byte for byte");
    }

    for my $case (
        ['a form', 'application/x-www-form-urlencoded', "to=$to&type=text"],
        ['multipart', 'multipart/form-data; boundary=b', $mixed],
        ['text', 'text/plain', $body],
        ['a type like JSON', 'application/jsonp', $body],
        ['large', 'application/json', message($to, 'x' x 300_000)],
        ['large, unbuffered', 'application/json', message($to,
            'x' x 300_000), 'unbuffered'],
        ['a form, unbuffered', 'application/x-www-form-urlencoded',
            "to=$to&type=text", 'unbuffered'],
    ) {
        my ($name, $type, $sent, $in) = @$case;

        is_open($to, "bodies, $name", type => $type, body => $sent,
            in => $in);
        ok(($graph->requests)[-1]{body} eq $sent,
            "bodies, $name: byte for byte");
    }

    is_blocked($to, 'window-expired', 'bodies: still stopped');

    # those that are looked into go on as they came
    my $odd = "\r\n{ \"to\" : \"16505557777\",\t\"a\":\"\\u00e9\xc3\xa9\"}\n\n";

    for my $in (undef, 'file', 'unbuffered') {
        my $name = 'bodies, to another, ' . ($in // 'in memory');

        for my $sent ($odd, message('16505557777', 'y' x 12_000)) {
            is_open($to, $name, body => $sent, in => $in);
            my $got = ($graph->requests)[-1];
            ok($got->{body} eq $sent, "$name: byte for byte");
            is($got->{headers}{'content-length'}, length $sent,
                "$name: its length");
        }
    }

    # an answer teaches as much
    for my $in (undef, 'file', 'unbuffered', 'retried') {
        for my $size (900, 20_000, 65_536) {
            my $other = somebody();
            my $name  = "bodies, $size bytes, " . ($in // 'nginx\'s own buffer');

            stopped(131047, $name, to => $other, in => $in,
                body => long($other, $size));
            is_blocked($other, 'window-expired', "$name: learnt");
        }
    }

    # and the log knows whom a message went to, after its file is gone
    for my $in ('default', 'file') {
        my @last;

        is_open('16505557777', "bodies, the log, $in", in => $in,
            body => long('16505557777', 20_000));
        ok(wait_until(sub {
            @last = grep { m{^/$in/} } split /\n/,
                slurp($nginx->dir . '/access.log');
            return @last && $last[-1] =~ /<[0-9a-f]{16}>$/;
        }), "bodies, the log, $in") or diag($last[-1]);
    }
    unlike(slurp($nginx->dir . '/error.log'), qr/Bad file descriptor/,
        'bodies: no closed file is read');

    # chunked, and in pieces
    my $head = "POST /v25.0/$phone/messages HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\nAuthorization: Bearer a\r\n"
        . "Content-Type: application/json\r\n";

    for my $case (['to the recipient', $body, 400, 0],
        ['to the recipient, long', long($to, 25_000), 400, 0],
        ['to another, long', long('16505557777', 25_000), 200, 1],
        ['to another', message('16505557777', 'z' x 300), 200, 1])
    {
        my ($name, $sent, $status, $seen) = @$case;
        my $before  = $graph->count;
        my $chunked = join '', map({ sprintf "%x\r\n%s\r\n", length, $_ }
            unpack '(a33)*', $sent), "0\r\n\r\n";
        my $answer  = $nginx->request(
            raw => "${head}Transfer-Encoding: chunked\r\n\r\n$chunked");

        is($answer->{status}, $status, "bodies, chunked, $name");
        is($graph->count - $before, $seen, "bodies, chunked, $name: upstream");
        ok(($graph->requests)[-1]{body} eq $sent,
            "bodies, chunked, $name: byte for byte") if $seen;

        $before = $graph->count;
        my $call = $nginx->start_request(raw => $head . 'Content-Length: '
            . length($sent) . "\r\n\r\n" . substr $sent, 0, 25);

        for (unpack length $sent > 9000 ? '(a9000)*' : '(a90)*',
            substr $sent, 25)
        {
            sleep 0.02;
            $call->{out} .= $_;
            GraphPolicy::push_request($call);
        }

        ($answer) = GraphPolicy::finish_requests($call);
        is($answer->{status}, $status, "bodies, in pieces, $name");
        is($graph->count - $before, $seen,
            "bodies, in pieces, $name: upstream");
        ok(($graph->requests)[-1]{body} eq $sent,
            "bodies, in pieces, $name: byte for byte") if $seen;
    }
}

# with states about, a location without the gate still streams
is_streamed('off', 'off, with states about');


# -- a fatal state beside it

{
    my $to = stopped(131047, 'fatal');

    is(short($hook->send('1009', to => $to, script => '400 133010')),
        '400 passed 1', 'fatal: the phone is gone');
    is_blocked($to, 'phone-disconnected 133010', 'fatal', phone => '1009');
    is_blocked(somebody(), 'phone-disconnected 133010', 'fatal, another',
        phone => '1009');
    comes(payload(entry($account, messages(phone => '1009',
        messages => [inbound(from => $to, at => int time)]))),
        'fatal: the customer writes');
    is_blocked($to, 'phone-disconnected 133010', 'fatal: a message ends none',
        phone => '1009');
}


# -- all workers, and the next ones

{
    my $by_answer  = stopped(131047, 'workers');
    my $by_webhook = somebody();
    my $opened     = stopped(131047, 'workers, opened');
    my $at         = int time;

    comes(failed(131026, $by_webhook), 'workers');
    comes(wrote($opened, $at), 'workers, opened');

    for my $when ('before a reload', 'after a reload') {
        for my $case ([$by_answer, 'blocked 131047', 0],
            [$by_webhook, 'blocked 131026', 0], [$opened, '- -', 40])
        {
            my ($to, $expected, $seen) = @$case;
            my (%got, %workers);
            my $before = $graph->count;

            for my $answer ($nginx->parallel(map { { $hook->sending($phone,
                to => $to) } } 1 .. 40))
            {
                my $headers = $answer->{headers};
                $got{ join ' ', $headers->{'x-graph-policy'} // '-',
                    $headers->{'x-graph-error-code'} // '-' }++;
                $workers{ $headers->{'x-worker'} // '-' }++;
            }

            is_deeply(\%got, { $expected => 40 }, "$expected $when");
            is($graph->count - $before, $seen, "$expected $when: upstream");
            cmp_ok(scalar keys %workers, '>', 1,
                "$expected $when: by several workers");
        }

        ok($nginx->reload, 'reload') if $when eq 'before a reload';
    }

    # the message is remembered too
    comes(failed(131047, $opened, $at - 20), 'after a reload');
    is_open($opened, 'after a reload, an older error');
}


$hook->is_discreet('Hello', 'Some details', 'Bearer', '13491208655302741918',
    '1650555', '5511998765432', '551198765432', '525512345678',
    '541123456789');

done_testing();
