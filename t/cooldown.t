# vi:set ft= ts=4 sw=4 et:

# graph_policy_cooldown: while the wait of a temporary error runs, sends of its
# scope are answered here; the first one after it goes out alone. How the
# directive may be written is in t/directives.t and t/inheritance.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slurp spew wait_until);
use GraphPolicy::Graph;

plan skip_all => 'waits of a second are too short for valgrind'
    if $ENV{TEST_NGINX_USE_VALGRIND};

my $upstream = GraphPolicy::Graph->start;
my $nginx    = GraphPolicy::Nginx->start(graph => $upstream, workers => 2,
    http => <<'END');
graph_policy_zone zone=z:1m;
graph_policy      zone=z;

log_format policy '$uri $status [$graph_policy_status] $graph_policy_attempts';

map $uri $account {
    ~^/account/v25.0/10  "4001";
    ~^/account/v25.0/11  "4002";
}

server {
    listen 127.0.0.1:%PORT%;
    listen 127.0.0.1:%PORT2% http2;

    access_log %DIR%/access.log policy;

    graph_policy_cooldown on;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /off/ {
        graph_policy_cooldown off;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /account/ {
        graph_policy_account $account;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /code/ {
        graph_policy_status 503;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /dry/ {
        graph_policy_dry_run on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /all/ {
        graph_policy_pause all;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /retry/ {
        graph_policy_retry attempts=4 base=200ms factor=1 deadline=20s
            budget_min=1000;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /hasty/ {
        graph_policy_retry attempts=4 base=200ms factor=1 deadline=2500ms
            budget_min=1000;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /minute/ {
        graph_policy_rule 4 temporary wait=1s;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /file/ {
        client_body_buffer_size 1k;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /infile/ {
        client_body_in_file_only clean;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /unbuffered/ {
        proxy_request_buffering off;
        proxy_http_version 1.1;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}

server {
    listen 127.0.0.1:%PORT%;
    server_name default.test;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END

my $phone = 7000;
my $key   = 0;

sub new_phone { $phone++ }

# a message as an application sends it
sub message {
    my ($to, $text) = @_;

    return '{"messaging_product":"whatsapp","to":' . JSON::PP->new->allow_nonref
        ->encode($to) . ',"type":"text","text":{"body":"' . ($text // 'hi')
        . '"}}';
}

# one send of that phone, to which the upstream says "script"
sub of {
    my ($phone, $script, %more) = @_;

    my $prefix = delete $more{in};
    my $edge   = delete $more{edge} // 'messages';
    my $to     = delete $more{to};
    my $type   = delete $more{type} // 'application/json';
    my $more   = delete $more{headers} // [];
    my $token  = exists $more{token} ? delete $more{token} : 'a';

    return (
        path    => ($prefix ? "/$prefix" : '') . "/v25.0/$phone/$edge",
        token   => $token,
        headers => ['X-Mock' => $script, 'X-Key' => 'k' . $key++,
            'Content-Type' => $type, @$more],
        body    => message($to // '16505551234'),
        %more,
    );
}

sub go {
    my $before = $upstream->count;
    my $answer = $nginx->request(of(@_));

    $answer->{seen} = $upstream->count - $before;
    return $answer;
}

# "status policy, so many at the upstream"
sub short {
    my ($answer) = @_;

    return join ' ', $answer->{status},
        $answer->{headers}{'x-graph-policy'} // '-', $answer->{seen};
}

sub is_blocked {
    my ($answer, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(short($answer), "$answer->{status} blocked 0", "$name: blocked")
        && cmp_ok($answer->{status}, '>=', 400, "$name: an error");
}

sub is_passed {
    my ($answer, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(short($answer), '200 - 1', "$name: passes");
}

# a Retry-After of so many seconds, or a bit less where some time has passed;
# and no X-Graph-Hold, which is for what time alone doesn't cure
sub is_after {
    my ($answer, $seconds, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $after = $answer->{headers}{'retry-after'} // '-';
    my @good  = $seconds > 5 ? ($seconds - 5 .. $seconds)
        : (($seconds > 1 ? $seconds - 1 : 1) .. $seconds);

    return ok(scalar(grep { $after eq $_ } @good)
        && !defined $answer->{headers}{'x-graph-hold'},
        "$name: Retry-After of $seconds") || diag("Retry-After: $after");
}

# an answer that came and the wait that it asks for is over
sub sleep_out {
    my ($seconds) = @_;
    sleep $seconds + 0.15;
}


# -- off by default

{
    my $phone = new_phone();

    for my $where ('off by default', 'off by default, again') {
        my $before = $upstream->count;
        my $answer = $nginx->request(raw => "POST /v25.0/$phone/messages "
            . "HTTP/1.1\r\nHost: default.test\r\nConnection: close\r\n"
            . "Authorization: Bearer a\r\nX-Mock: 400 130429\r\n"
            . "Content-Length: 0\r\n\r\n");
        $answer->{seen} = $upstream->count - $before;
        is(short($answer), '400 passed 1', $where);
        is_after($answer, 1, $where);
    }

    is_passed(go($phone, '200'), 'off by default: nothing was learnt');
    unlike($nginx->log, qr/state set/, 'off by default: nothing is logged');
}


# -- a phone, and what the local answer is like

{
    my $phone  = new_phone();
    my $answer = go($phone, '400 130429 trace=TrAce1 '
        . 'header=Retry-After:60');

    is(short($answer), '400 passed 1', 'phone: the error itself');
    is_after($answer, 60, 'phone: the error itself');

    $answer = go($phone, '200');
    is_blocked($answer, 'phone');

    my $headers = $answer->{headers};
    is($answer->{status}, 400, 'phone: status of the error');
    is($headers->{'x-graph-error-category'}, 'temporary', 'phone: category');
    is($headers->{'x-graph-error-code'}, 130429, 'phone: code');
    is($headers->{'x-graph-error-subcode'}, undef, 'phone: subcode');
    is($headers->{'x-graph-error-reason'}, 'rate-limit', 'phone: reason');
    is($headers->{'x-graph-error-scope'}, 'phone', 'phone: scope');
    like($headers->{'x-graph-state'}, qr/^[0-9a-f]{18}\z/, 'phone: state');
    like($headers->{'content-type'}, qr{^application/json}, 'phone: type');
    is_after($answer, 60, 'phone');

    my $error = eval { JSON::PP::decode_json($answer->{body})->{error} };
    ok($error, 'phone: a body in JSON') or diag($answer->{body});
    is($error->{code}, 130429, 'phone: code in the body');
    ok(JSON::PP::is_bool($error->{is_transient}) && $error->{is_transient},
        'phone: is_transient is true');
    is($error->{fbtrace_id}, 'TrAce1', 'phone: the trace');
    like($error->{error_user_title}, qr/\w/, 'phone: a title');
    like($error->{error_user_msg}, qr/\w/, 'phone: what to do');
    like($error->{error_data}{details}, qr/\w/, 'phone: details');

    my $state = $headers->{'x-graph-state'};

    $answer = go($phone, '200', token => 'b');
    is_blocked($answer, 'phone, another token');
    is($answer->{headers}{'x-graph-state'}, $state, 'phone: the same state');

    is_blocked(go($phone, '200', edge => $_), "phone, $_")
        for qw(media marketing_messages messages_encrypted);
    is_blocked(go($phone, '200', token => undef), 'phone, no token');

    $answer = go($phone, '200', in => 'code');
    is_blocked($answer, 'phone, a status of its own');
    is($answer->{status}, 503, 'phone, a status of its own: that');

    is_passed(go(new_phone(), '200'), 'another phone');
    is_passed(go($phone, '200', in => 'off'), 'where it is off');
    is(short(go($phone, '400 131056', in => 'off')), '400 passed 1',
        'where it is off: an error');
    is_blocked(go($phone, '200'), 'phone, after a success where it is off');

    # what isn't a send
    for my $in ('', 'all') {
        is_passed(go($phone, '200', in => $in, edge => 'media',
            method => 'GET', body => ''), "GET, '$in'");
        is_passed(go($phone, '200', in => $in, edge => 'message_templates',
            method => 'GET', body => ''), "GET of templates, '$in'");
    }

    ok($nginx->reload, 'reload');
    is_blocked(go($phone, '200'), 'phone, after a reload');
}


# -- to register a phone cures fatal states (contract, 5.), no rate limit

{
    my $phone = new_phone();

    go($phone, '400 130429 header=Retry-After:60');
    is_passed(go($phone, '200', edge => 'register'), 'register');
    is_blocked(go($phone, '200'), 'register: the wait goes on');
}


# -- the first after it goes out alone

{
    my $phone = new_phone();

    go($phone, '400 130429');
    is_after(go($phone, '200'), 1, 'alone');
    sleep_out(1);

    # who has no credential is no probe
    my $answer = go($phone, '200', token => undef);
    is_blocked($answer, 'alone: without a token');

    my $before = $upstream->count;
    my @calls  = map { $nginx->start_request(of($phone, '200 wait=alone')) }
        1 .. 12;
    my @left = GraphPolicy::advance(1, @calls);

    is(scalar @left, 1, 'alone: eleven are answered while one is away');
    is($upstream->wait_for($before + 1) - $before, 1,
        'alone: the upstream sees one');

    $upstream->release('alone');
    my @answers = GraphPolicy::finish_requests(@calls);

    is(scalar(grep { ($_->{headers}{'x-graph-policy'} // '-') eq 'blocked'
        && $_->{status} == 400 } @answers), 11, 'alone: the eleven are '
        . 'blocked');
    my ($probe) = grep { $_->{status} == 200 } @answers;
    is($probe->{headers}{'x-graph-policy'}, 'probe', 'alone: one is the probe');
    is($upstream->count - $before, 1, 'alone: the upstream saw no other');

    # the lease is what the others wait for
    my @told = grep { $_ =~ /^(?:[1-9]|[12]\d|30)\z/ }
        map { $_->{headers}{'retry-after'} // 99 }
        grep { $_->{status} == 400 } @answers;
    is(scalar @told, 11, 'alone: the eleven are told how long');

    is_passed(go($phone, '200'), "alone: success ends it, $_") for 1, 2;
    like($nginx->log, qr/\[error\].*state cleared.*\Q"$phone"\E/,
        'alone: told in the log');
}


# -- a failure arms it again

{
    my $phone = new_phone();

    go($phone, '400 130429');
    sleep_out(1);

    my $answer = go($phone, '400 130429 header=Retry-After:2');
    is(short($answer), '400 probe 1', 'again: the probe fails');
    is_after($answer, 2, 'again: the probe');

    $answer = go($phone, '200');
    is_blocked($answer, 'again');
    is_after($answer, 2, 'again');
    sleep_out(2);

    is(short(go($phone, '200')), '200 probe 1', 'again: the next succeeds');
    is_passed(go($phone, '200'), 'again: and ends it');
    like($nginx->log, qr/\[error\].*state re-armed.*\Q"$phone"\E/,
        'again: told in the log');

    # a probe that fails otherwise, or not at all, ends nothing
    go($phone, '400 130429');
    sleep_out(1);
    is(short(go($phone, '400 100')), '400 probe 1', 'again: another error');
    is(short(go($phone, '0')), '502 probe 1', 'again: no answer');
    is_blocked(go($phone, '200'), 'again, after none');
}


# -- credential and account, whose waits are a minute

{
    my $phone  = new_phone();
    my $answer = go($phone, '400 4', token => 'credential');

    is_after($answer, 60, 'credential: the error');

    $answer = go(new_phone(), '200', token => 'credential');
    is_blocked($answer, 'credential, another phone');
    is_after($answer, 60, 'credential');
    is($answer->{headers}{'x-graph-error-scope'}, 'credential',
        'credential: scope');
    is($answer->{headers}{'x-graph-error-code'}, 4, 'credential: code');

    is_passed(go($phone, '200', token => 'another'),
        'credential, another token');
    is_passed(go($phone, '200', token => undef), 'credential, no token');

    # none that names it: nothing is learnt
    $phone = new_phone();
    go($phone, '400 4', token => undef);
    is_passed(go($phone, '200', token => undef), 'credential, of nobody');

    # unknown account: just that phone
    $phone  = new_phone();
    $answer = go($phone, '400 80007');
    is_after($answer, 60, 'account: the error');
    $answer = go($phone, '200', token => 'b');
    is_blocked($answer, 'account, unknown');
    is_after($answer, 60, 'account, unknown');
    is($answer->{headers}{'x-graph-error-scope'}, 'account', 'account: scope');
    is_passed(go(new_phone(), '200'), 'account, unknown: another phone');

    # known
    go(1001, '400 80007', in => 'account');
    is_blocked(go(1002, '200', in => 'account', token => 'b'),
        'account: another phone of it');
    is_passed(go(1101, '200', in => 'account'),
        'account: a phone of another');
}


# -- a conversation

{
    my ($phone, $other) = (new_phone(), new_phone());
    my $answer = go($phone, '400 131056 header=Retry-After:60',
        to => '+55 (11) 99876-5432');

    is_after($answer, 60, 'conversation: the error');

    for my $to ('5511998765432', '551198765432', '+551198765432',
        '+55 11 9876-5432', '55 (11) 9 9876 5432', 5511998765432)
    {
        $answer = go($phone, '200', to => $to);
        is_blocked($answer, "conversation, to $to");
    }

    is_after($answer, 60, 'conversation');
    is($answer->{headers}{'x-graph-error-scope'}, 'conversation',
        'conversation: scope');
    is($answer->{headers}{'x-graph-error-reason'}, 'pair-rate-limit',
        'conversation: reason');
    is_blocked(go($phone, '200', to => '5511998765432', token => 'b'),
        'conversation, another token');
    is_blocked(go($phone, '200', to => '5511998765432',
        edge => 'marketing_messages'), 'conversation, marketing');
    is_blocked(go($phone, '200', body => '{"recipient":"+551198765432"}'),
        'conversation, recipient');
    is_blocked(go($phone, '200', type => 'application/json; charset=utf-8',
        to => '+551198765432'), 'conversation, a type with a charset');

    is_passed(go($phone, '200', to => '5511998765433'), 'another recipient');
    is_passed(go($phone, '200', to => '5511898765432'), 'a number near it');
    is_passed(go($other, '200', to => '5511998765432'), 'another phone');
    is_passed(go($phone, '200', body => '{}'), 'no recipient');
    is_passed(go($phone, '200', body => ''), 'no body');
    is_passed(go($phone, '200', body => '{"text":{"to":"551198765432"}}'),
        'a recipient elsewhere');
    is_passed(go($phone, '200', body => '{"to":"551198765432"'),
        'a body that is cut');
    is_passed(go($phone, '200', edge => 'media', to => '5511998765432'),
        'media');
    is_passed(go($phone, '200', in => 'off', to => '5511998765432'),
        'conversation, where it is off');

    # users without a number, and two spellings more
    go($phone, '400 131056 header=Retry-After:60',
        body => '{"recipient":"US.13491208655302741918"}');
    is_blocked(go($phone, '200',
        body => '{"recipient":"US.13491208655302741918"}'), 'a user id');
    is_passed(go($phone, '200',
        body => '{"recipient":"US.13491208655302741919"}'), 'another id');

    for my $pair (['5215512345678', '+52 55 1234 5678'],
        ['541123456789', '+54 9 11 2345-6789'])
    {
        go($phone, '400 131056 header=Retry-After:60', to => $pair->[0]);
        is_blocked(go($phone, '200', to => $pair->[1]), "to $pair->[1]");
    }

    # who can't be told apart isn't learnt
    go($other, '400 131056 header=Retry-After:60', body => '{}');
    is_passed(go($other, '200', body => '{}'), 'conversation of nobody');

    unlike($nginx->log, qr/551198765432|5511998765432|13491208655302741918/,
        'conversation: no recipient is logged');
}


# -- bodies that were read early arrive as they were sent

{
    my $phone = new_phone();
    my $to    = '5215512345678';

    go($phone, '400 131056 header=Retry-After:600', to => $to);
    is_blocked(go($phone, '200', to => $to), 'bodies');

    # bytes that no parser would write like that
    my $odd = "\r\n{ \"to\" : \"1650\",\t\"a\" : \"\\u00e9\xc3\xa9\"}\n\n";

    for my $case (
        ['small',     '',           $odd],
        ['in a file', 'infile',     $odd],
        ['unbuffered', 'unbuffered', $odd],
        map({ my $size = $_; map { [
            "$size bytes, " . ($_ || 'in memory'), $_,
            message('1650', 'x' x $size)
        ] } '', 'file', 'infile', 'unbuffered' } 900, 12_000, 60_000, 300_000),
    ) {
        my ($name, $in, $body) = @$case;

        is_passed(go($phone, '200', in => $in, body => $body),
            "bodies, $name");
        my ($got) = ($upstream->requests)[-1];
        ok($got->{body} eq $body, "bodies, $name: byte for byte")
            or diag(length($got->{body}) . ' of ' . length $body);
        is($got->{headers}{'content-length'}, length $body,
            "bodies, $name: its length");
    }

    # to the recipient that waits: those that aren't looked into pass
    my $message = message($to);
    my $large   = message($to, 'x' x 70_000);
    my $middle  = message($to, 'x' x 5000);

    is_passed(go($phone, '200', body => $large), 'bodies, too large');
    ok(($upstream->requests)[-1]{body} eq $large, 'bodies, too large: whole');
    is_blocked(go($phone, '200', in => 'file', body => $middle),
        'bodies, in a temporary file');
    is_blocked(go($phone, '200', in => 'infile', body => $message),
        'bodies, in a file');
    is_passed(go($phone, '200', type => 'text/plain', body => $message),
        'bodies, another type');
    is_passed(go($phone, '200', type => 'application/x-www-form-urlencoded',
        body => "to=$to"), 'bodies, a form');
    is_blocked(go($phone, '200', body => $middle), 'bodies, 5 kB');

    # chunked
    my %request = of($phone, '200');
    my %header  = @{ $request{headers} };
    my $head    = "POST $request{path} HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\nAuthorization: Bearer a\r\n"
        . join '', map { "$_: $header{$_}\r\n" } sort keys %header;
    my ($before, $answer);

    for my $case (['blocked', $message, 400, 0],
        ['passes', message('1650'), 200, 1],
        ['large', message('1650', 'x' x 40_000), 200, 1])
    {
        my ($name, $body, $status, $seen) = @$case;
        my $chunked = join '', map({ sprintf "%x\r\n%s\r\n", length, $_ }
            unpack '(a777)*', $body), "0\r\n\r\n";

        $before = $upstream->count;
        $answer = $nginx->request(
            raw => "${head}Transfer-Encoding: chunked\r\n\r\n$chunked");
        is($answer->{status}, $status, "bodies, chunked, $name");
        is($upstream->count - $before, $seen,
            "bodies, chunked, $name: at the upstream");
        ok(($upstream->requests)[-1]{body} eq $body,
            "bodies, chunked, $name: whole") if $seen;
    }

    # in pieces: the rest comes when it comes
    for my $case ([$message, 400, 0], [message('1650'), 200, 1],
        [message('1650', 'y' x 40_000), 200, 1])
    {
        my ($body, $status, $seen) = @$case;
        my $name = 'bodies, in pieces, ' . length($body) . " bytes, $status";

        $before = $upstream->count;
        my $call = $nginx->start_request(raw => $head . 'Content-Length: '
            . length($body) . "\r\n\r\n" . substr $body, 0, 20);

        for (unpack '(a9000)*', substr $body, 20) {
            sleep 0.05;
            $call->{out} .= $_;
            GraphPolicy::push_request($call);
        }

        ($answer) = GraphPolicy::finish_requests($call);
        is($answer->{status}, $status, $name);
        is($upstream->count - $before, $seen, "$name: at the upstream");
        is(($upstream->requests)[-1]{body}, $body, "$name: as it was")
            if $seen;
    }

    # a client that leaves in the middle of its body
    $before = $upstream->count;
    my $call = $nginx->start_request(raw => $head
        . "Content-Length: 1000\r\n\r\n{\"to\":");
    sleep 0.1;
    GraphPolicy::abort_request($call);
    ok(wait_until(sub {
        slurp($nginx->dir . '/access.log') =~ m{/$phone/messages (?:400|499) }
    }), 'bodies: a client that leaves is logged');
    is($upstream->count - $before, 0, 'bodies: nothing of it goes on');

    # two on one connection
    my $two = $head =~ s/Connection: close\r\n//r;
    my $body = message('1650');
    $before = $upstream->count;
    $answer = $nginx->request(all => 1, raw => join '', map {
        ($_ == 1 ? $two : $head) . 'Content-Length: ' . length($body)
            . "\r\n\r\n$body" } 1, 2);
    is_deeply([map { $_->{status} } GraphPolicy::answers($answer->{text})],
        [200, 200], 'bodies: two on one connection');
    is($upstream->count - $before, 2, 'bodies: two at the upstream');

    # HTTP/2
    my $dir = File::Temp->newdir('cooldown.XXXXXX', TMPDIR => 1);

    for my $case (['blocked', $message, 400, 0], ['passes', $odd, 200, 1],
        ['large', message('1650', 'z' x 30_000), 200, 1],
        ['too large', $large, 200, 1])
    {
        my ($name, $body, $status, $seen) = @$case;

        spew("$dir/body", $body);
        $before = $upstream->count;

        my $said = qx{curl -s --http2-prior-knowledge -o /dev/null \\
            -w '%{http_version} %{http_code}' -m 20 -X POST \\
            -H 'Authorization: Bearer a' -H 'Content-Type: application/json' \\
            --data-binary \@$dir/body \\
            http://127.0.0.1:@{[ $nginx->{port2} ]}$request{path}};

        is($said, "2 $status", "HTTP/2, $name");
        is($upstream->count - $before, $seen, "HTTP/2, $name: upstream");
        ok(($upstream->requests)[-1]{body} eq $body,
            "HTTP/2, $name: byte for byte") if $seen;
    }
}


# -- errors of a request alone

for my $code (1, 131000, 131052, 131053, 131047, 131026, 100, 777777) {
    my $phone = new_phone();

    go($phone, "500 $code header=Retry-After:60");
    is_passed(go($phone, '200'), "after $code");
}


# -- hints

# minutes until a quota of that type is there again
sub usage {
    my ($type, $minutes) = @_;
    return 'X-Business-Use-Case-Usage:' . qq({"1":[{"type":"$type",)
        =~ s/([{}"])/sprintf '%%%02X', ord $1/ger
        . "%22estimated_time_to_regain_access%22:$minutes%7D]%7D";
}

for my $case (['Retry-After:3', 3], ['Retry-After:0', 1],
    ['Retry-After:-5', 1], ['Retry-After:soon', 1],
    [usage('whatsapp', 2), 1], [usage('ads_management', 2), 1],
    [usage('whatsapp', 2), 120, 80007],
    [usage('ads_management', 2), 60, 80007],
    ['X-App-Usage:%7B%22call_count%22:100%7D', 1],
    ['Retry-After:99999999999', 86400])
{
    my ($header, $wait, $code) = @$case;
    my $phone = new_phone();

    go($phone, '400 ' . ($code // 130429) . " header=$header");
    my $answer = go($phone, '200');
    is_blocked($answer, $header);
    is_after($answer, $wait, $header);
}


# -- dry run learns, and blocks nothing

{
    my $phone  = new_phone();
    my $answer = go($phone, '400 130429 header=Retry-After:60', in => 'dry');

    is(short($answer), '400 passed 1', 'dry run: the error');
    is_blocked(go($phone, '200'), 'dry run: another place blocks');

    $answer = go($phone, '400 100', in => 'dry');
    is(short($answer), '400 dry-run 1', 'dry run: an error');
    is_blocked(go($phone, '200'), 'dry run: another place blocks still');

    is_passed(go($phone, '200', in => 'dry'), 'dry run');
    ok(wait_until(sub { slurp($nginx->dir . '/access.log')
        =~ m{/dry/v25.0/$phone/messages 200 \[BLOCKED_DRY_RUN\]} }),
        'dry run: the variable');
    is_passed(go($phone, '200'), 'dry run: its success ended it');
}


# -- with retry: it waits for the state, and is its probe

{
    my $phone  = new_phone();
    my $before = $upstream->count;
    my $answer = go($phone, '400 130429 | 200', in => 'retry');

    is($answer->{status}, 200, 'retry: accepted');
    is($answer->{seen}, 2, 'retry: twice at the upstream');
    is($answer->{headers}{'x-graph-policy'}, 'probe', 'retry: as probe');
    is($answer->{headers}{'x-graph-attempts'}, 2, 'retry: attempts');

    my @got = ($upstream->requests)[-2, -1];
    my $gap = $got[1]{time} - $got[0]{time};
    cmp_ok($gap, '>=', 0.99, 'retry: no sooner than the wait');
    is($got[1]{raw}, $got[0]{raw}, 'retry: the same request');
    is_passed(go($phone, '200'), 'retry: it ended the state');
}


# -- two: one probes, the other waits on

{
    my $phone  = new_phone();
    my $before = $upstream->count;
    my @calls  = map { $nginx->start_request(of($phone,
        '400 130429 wait=two | 200 wait=twice', in => 'retry',
        timeout => 20)) } 1, 2;

    $upstream->wait_for($before + 2);
    $upstream->release('two');

    is($upstream->wait_for($before + 3), $before + 3, 'two: one is sent again');
    is(short(go($phone, '200')), '400 blocked 0', 'two: others are blocked');
    sleep 0.7;
    is($upstream->count, $before + 3, 'two: the other waits');

    $upstream->release('twice');
    my @answers = GraphPolicy::finish_requests(@calls);

    is_deeply([map { $_->{status} } @answers], [200, 200], 'two: accepted');
    is_deeply([sort map { $_->{headers}{'x-graph-policy'} // '-' } @answers],
        ['probe', 'retried'], 'two: one as probe, one sent again');
    is_deeply([map { $_->{headers}{'x-graph-attempts'} // '-' } @answers],
        [2, 2], 'two: attempts');
    is($upstream->count, $before + 4, 'two: two tries each');
}


# -- two: the other's patience ends first

{
    my $phone  = new_phone();
    my $before = $upstream->count;
    my @calls  = map { $nginx->start_request(of($phone,
        '400 130429 wait=hasty | 200 wait=late', in => 'hasty',
        timeout => 20)) } 1, 2;

    $upstream->wait_for($before + 2);
    $upstream->release('hasty');
    $upstream->wait_for($before + 3);

    my @left = GraphPolicy::advance(1, @calls);
    is(scalar @left, 1, 'hasty: one is answered');
    $upstream->release('late');

    my @answers = GraphPolicy::finish_requests(@calls);
    my ($local) = grep { $_->{status} == 400 } @answers;
    my ($probe) = grep { $_->{status} == 200 } @answers;

    is($probe->{headers}{'x-graph-policy'}, 'probe', 'hasty: the probe');
    is($local->{headers}{'x-graph-policy'}, 'blocked', 'hasty: the other');
    is($local->{headers}{'x-graph-error-code'}, 130429, 'hasty: its code');
    cmp_ok($local->{time}, '<=', 2.6 + GraphPolicy::slow(),
        'hasty: by its deadline');
    is($upstream->count, $before + 3, 'hasty: three tries');
}


# -- a fatal state that comes up meanwhile ends the waiting

{
    my $phone = new_phone();
    my $call  = $nginx->start_request(of($phone,
        '400 130429 header=Retry-After:2 | 200', in => 'retry',
        timeout => 20));

    ok(wait_until(sub { $nginx->log =~ /state set.*"$phone".*130429/ }),
        'fatal: one waits');
    is(short(go($phone, '400 131045', in => 'off')), '400 passed 1',
        'fatal: the phone is gone');

    my ($answer) = GraphPolicy::finish_requests($call);
    is($answer->{headers}{'x-graph-policy'}, 'blocked', 'fatal: blocked');
    is($answer->{headers}{'x-graph-error-code'}, 131045, 'fatal: by that');
    is($answer->{headers}{'x-graph-error-category'}, 'fatal',
        'fatal: its category');
}


# -- a token that Graph limits: an upload can be the probe, and goes alone

for my $what (['an upload', edge => 'media'], ['a receipt',
    body => '{"messaging_product":"whatsapp","status":"read","message_id":"m"}'])
{
    my ($name, %more) = @$what;
    my $phone = new_phone();

    $more{token} = "limited$phone";
    $more{in}    = 'minute';

    go($phone, '400 4', %more);
    is_blocked(go($phone, '200', %more), "$name: while the wait runs");
    sleep_out(1);

    my $before = $upstream->count;
    my @calls  = map { $nginx->start_request(of($phone, "200 wait=limited$phone",
        %more)) } 1 .. 6;
    my @left = GraphPolicy::advance(1, @calls);

    is(scalar @left, 1, "$name: five are answered while one is away");
    is($upstream->wait_for($before + 1) - $before, 1,
        "$name: the upstream sees one");

    $upstream->release("limited$phone");

    my ($probe) = grep { $_->{status} == 200 }
        GraphPolicy::finish_requests(@calls);

    is($probe->{headers}{'x-graph-policy'}, 'probe', "$name: it is the probe");
}


# -- the pair's failures in a row: 1, 4 seconds

{
    my $phone  = new_phone();
    my $answer = go($phone, '400 131056');

    is_after($answer, 1, 'pair: the first');
    is(($answer = go($phone, '200'))->{headers}{'retry-after'}, 1,
        'pair: one second');
    is_blocked($answer, 'pair, the first');
    sleep_out(1);

    $answer = go($phone, '400 131056');
    is(short($answer), '400 probe 1', 'pair: the second fails');
    is($answer->{headers}{'retry-after'}, 4, 'pair: Retry-After of it');

    my $set = time;
    sleep 1.2;
    $answer = go($phone, '200');
    is_blocked($answer, 'pair, the second, a second later');
    like($answer->{headers}{'retry-after'}, qr/^[123]\z/,
        'pair: the rest of it');
    is_passed(go($phone, '200', to => '16505550000'), 'pair: another one');

    sleep_out($set + 4 - time) if $set + 4 > time;
    is(short(go($phone, '200')), '200 probe 1', 'pair: the third succeeds');

    $answer = go($phone, '400 131056');
    is($answer->{headers}{'retry-after'}, 1, 'pair: a new row begins');
}


is_deeply([$nginx->complaints], [], 'nothing is wrong in the log');
unlike($nginx->log, qr/exited on signal/, 'no worker died');
unlike($nginx->log, qr/Bearer|\b16505551234\b/, 'nothing private is logged');

done_testing();
