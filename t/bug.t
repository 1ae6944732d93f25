# vi:set ft= ts=4 sw=4 et:

# One test for each fault that was found after it had been made, so that it
# isn't made again. What the rest of the module promises is tested elsewhere.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(free_ports slurp spew wait_until slow);
use GraphPolicy::Graph;

plan skip_all => 'holds and waits are too short for valgrind'
    if $ENV{TEST_NGINX_USE_VALGRIND};

my $about = qx($GraphPolicy::nginx_binary -V 2>&1);
my $http2 = $about =~ /--with-http_v2_module/
    && (qx(curl --version 2>&1) // '') =~ /HTTP2/;
my $h2    = $http2 ? 'http2' : '';

my $dead     = free_ports(1);
my $upstream = GraphPolicy::Graph->start;

# its answers wait in their middle until they are told to go on
my $go   = File::Temp->newdir('bug.XXXXXX', TMPDIR => 1);
my $slow = GraphPolicy::Graph->start(
    halves => sub {
        return ("HTTP/1.1 200 Told So\r\nContent-Type: application/json\r\n"
            . "Content-Length: 4\r\n\r\n{\"", sub { -e "$go/on" }, '"}');
    },
);

sub escaped {
    my ($text) = @_;
    return $text =~ s/([^\w:;=.-])/sprintf '%%%02x', ord $1/ger;
}

# what an answer bears that is reached by X-Accel-Redirect: of an error, with
# several headers of one name, and of the success after it
my @of_error = ('X-One:1', 'Link:</error/1>', 'Cache-Control:no-store',
    'Link:</error/2>', 'Cache-Control:no-transform');
my @of_success = ('X-First:yes', 'X-Second:s', 'X-Third:t', 'X-Fourth:u',
    'X-Fifth:v', 'Cache-Control:max-age=5', 'Link:</success/1>',
    'Cache-Control:must-revalidate', 'Link:</success/2>');

my $error   = join ' header=', '500 131016', map { escaped($_) } @of_error;
my $success = join ' header=', '200', map { escaped($_) } @of_success;

my $nginx = GraphPolicy::Nginx->start(graph => $upstream, workers => 2,
    http => <<"END");
graph_policy_zone zone=z:1m;
graph_policy      zone=z;

log_format lines '\$uri \$status "\$http_content_length"';

map \$graph_policy_phone \$account {
    ~^11  "A1";
    ~^12  "B2";
    ~^13  "C3";
}

server {
    listen 127.0.0.1:%PORT%;
    listen 127.0.0.1:%PORT2% $h2;

    access_log %DIR%/access.log lines;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /account/ {
        graph_policy_account \$account;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /soon/ {
        graph_policy_hold 200ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /cool/ {
        graph_policy_hold 200ms;
        graph_policy_cooldown on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /retry/ {
        graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /patient/ {
        graph_policy_cooldown on;
        graph_policy_retry attempts=4 base=200ms factor=1 deadline=25s
            budget_min=1000;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /unclassified/ {
        graph_policy_hold 200ms;
        graph_policy_rule 777777 unclassified;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /spam/ {
        graph_policy_rule 131048 fatal;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    # where nginx's own error leads to another upstream
    location /as-200/ {
        proxy_pass http://127.0.0.1:$dead;
        error_page 502 =200 \@fallback;
    }
    location /as-502/ {
        proxy_pass http://127.0.0.1:$dead;
        error_page 502 \@fallback;
    }
    location /halves/ {
        proxy_pass http://127.0.0.1:$dead;
        error_page 502 \@halves;
    }
    location \@fallback {
        graph_policy_retry attempts=3 base=20ms factor=1 budget_min=1000;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location \@halves {
        proxy_buffering off;
        proxy_pass http://127.0.0.1:@{[ $slow->port ]};
    }

    # where an answer leads elsewhere
    location /lead/ {
        proxy_set_header X-Mock "200 header=X-Accel-Redirect:\$arg_to
            header=Cache-Control:private";
        proxy_set_header X-Key \$request_id;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /again/ {
        internal;
        graph_policy_retry attempts=2 base=20ms budget_min=1000;
        proxy_set_header X-Mock "$error | $success";
        proxy_set_header X-Key "\$request_id-inner";
        proxy_pass http://127.0.0.1:%GRAPH%;

        location /again/expires {
            expires epoch;
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
    }
    location /plain/ {
        internal;
        graph_policy off;
        proxy_set_header X-Mock "$success";
        proxy_set_header X-Key "\$request_id-inner";
        proxy_pass http://127.0.0.1:%GRAPH%;

        location /plain/expires {
            expires epoch;
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
    }
}
END

my $number = 2001;
my $key    = 0;

sub new_phone { $number++ }

# one send of that phone, to which the upstream says "script"
sub of {
    my ($phone, $script, %more) = @_;

    my $prefix = delete $more{in};
    my $edge   = delete $more{edge} // 'messages';
    my $to     = delete $more{to} // '16505551234';
    my $token  = exists $more{token} ? delete $more{token} : "of-$phone";

    return (
        path    => ($prefix ? "/$prefix" : '') . "/v25.0/$phone/$edge",
        token   => $token,
        headers => ['X-Mock' => $script, 'X-Key' => 'k' . $key++,
            'Content-Type' => 'application/json'],
        body    => qq({"messaging_product":"whatsapp","to":"$to"}),
        timeout => 30,
        %more,
    );
}

sub go {
    my $before = $upstream->count;
    my $answer = $nginx->request(of(@_));

    $answer->{seen} = $upstream->count - $before;
    return $answer;
}

# "status policy, so many at the upstream", and what else is asked for
sub short {
    my ($answer, @names) = @_;

    return join ' ', $answer->{status},
        $answer->{headers}{'x-graph-policy'} // '-', $answer->{seen} // '?',
        map { $answer->{headers}{"x-graph-$_"} // '-' } @names;
}

# lines of the log about that phone's state
sub told {
    my ($what, $phone) = @_;
    return scalar(() = $nginx->log =~ /state \Q$what\E.*"$phone"/g);
}

# the first send of what is due; before that they are answered locally
sub when_due {
    my (@send) = @_;

    my $answer;
    wait_until(sub {
        $answer = go(@send);
        return ($answer->{headers}{'x-graph-policy'} // '-') ne 'blocked';
    });
    return $answer;
}


# -- a client whose body never comes whole holds nothing up

my $laggard = new_phone();
my $lagging;

{
    my %send = of($laggard, '200', in => 'soon');

    is(short(go($laggard, '400 131045', in => 'soon')), '400 passed 1',
        'a slow client: the phone is gone');
    sleep 0.3;

    my $script = $send{headers}[1];
    $lagging = $nginx->start_request(timeout => 100, raw =>
        "POST $send{path} HTTP/1.1\r\nHost: localhost\r\n"
        . "Authorization: Bearer $send{token}\r\nX-Mock: $script\r\n"
        . "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{");

    sleep 1.5;

    is(short(go($laggard, '200', in => 'soon')), '200 probe 1',
        'a slow client: another is the probe, as its body is there');
    is(short(go($laggard, '200', in => 'soon')), '200 - 1',
        'a slow client: the phone sends again');
    ok($lagging->{socket}, 'a slow client: it is sending still');
    GraphPolicy::abort_request($lagging);
}


# -- headers of one name are linked since nginx 1.23

for my $kind ('as-it-is', 'expires') {
    my $name = "X-Accel-Redirect to what is sent again, $kind: ";
    my (@pairs, @statuses);

    for (1 .. 5) {

        # memory that isn't zero when it is used again
        $nginx->parallel(map { { of(new_phone(), '200', body => 'A' x 3000) } }
            1 .. 10);

        push @pairs, [map { $nginx->request(path => "/lead/1?to=/$_/$kind",
            body => '{}') } 'again', 'plain'];
        push @statuses, map { $_->{status} } @{ $pairs[-1] };
    }

    is_deeply(\@statuses, [(200) x 10], "${name}accepted");

    my ($answer, $plain) = @{ $pairs[-1] };
    is(short($answer, 'attempts'), '200 retried ? 2', "${name}tagged");

    my @got = grep { !/^(?:X-Graph-|X-Try:|Date:)/ }
        split /\r\n/, $answer->{head};
    my @expected = grep { !/^(?:X-Try:|Date:)/ }
        split /\r\n/, $plain->{head};
    is_deeply(\@got, \@expected,
        "${name}with the headers of what succeeds at once");

    is(() = $answer->{head} =~ /^(?:X-F|X-S|X-T(?!ry)|Link: <.succ)/mg, 7,
        "${name}with all of its last answer");
    unlike($answer->{head}, qr/no-store|no-transform|error|X-One/,
        "${name}with none of the error");
}

unlike($nginx->log, qr/exited on signal/,
    'X-Accel-Redirect to what is sent again: no worker dies');


# -- whose phones are counted together

{
    my @in = (in => 'account', token => 'integrator');

    is(short(go($_, '400 133010', @in)), '400 passed 1', "account: $_ is gone")
        for 1101, 1201;

    is(short(go($_, '200', @in), 'error-reason'),
        '400 blocked 0 phone-disconnected',
        "account: $_ is the only one of its account")
        for 1101, 1201;

    go(1102, '400 133010', @in);

    is(short(go($_, '200', @in), 'error-reason'),
        '400 blocked 0 phones-disconnected', "account: two of one, $_")
        for 1101, 1102;
    is(short(go(1201, '200', @in), 'error-reason'),
        '400 blocked 0 phone-disconnected',
        'account: 1201 is the only one still');

    # 33 may mean that the token has no access
    go(1301, '400 133010', in => 'account', token => 'owner');
    is(short(go(1302, '400 33', in => 'account', token => 'stranger')),
        '400 passed 1', 'account: 33 for a stranger');
    is(short(go(1302, '200', in => 'account', token => 'stranger'),
        'error-reason'), '400 blocked 0 phone-disconnected',
        'account: the stranger is blocked');
    is(short(go(1301, '200', in => 'account', token => 'owner'),
        'error-reason'), '400 blocked 0 phone-disconnected',
        "account: what the owner is shown isn't a stranger's to change");
    is(short(go(1302, '200', in => 'account', token => 'owner')), '200 - 1',
        'account: the owner sends');
}


# -- error_page gives the answer of the upstream another status

{
    my $phone = new_phone();

    is(short(go($phone, '400 131042', in => 'as-200'), 'error-category',
        'error-code', 'error-reason'), '200 passed 1 fatal 131042 billing',
        'error_page 502 =200: an error is tagged');
    is(short(go($phone, '200'), 'error-code'), '400 blocked 0 131042',
        'error_page 502 =200: and learnt, with its own status');

    $phone = new_phone();
    is(short(go($phone, '500 131016 | 400 131042', in => 'as-200'),
        'attempts', 'error-category', 'error-code'),
        '200 retried 2 2 fatal 131042',
        'error_page 502 =200, sent again: an error is tagged');
    is(short(go($phone, '200'), 'error-code'), '400 blocked 0 131042',
        'error_page 502 =200, sent again: and learnt');

    $phone = new_phone();
    is(short(go($phone, '200', in => 'as-200')), '200 - 1',
        'error_page 502 =200: a success is untouched');
    is(short(go($phone, '500 131016 | 200', in => 'as-200'), 'attempts',
        'error-category'), '200 retried 2 2 -',
        'error_page 502 =200, sent again: a success');

    for my $case (['', '400 100', 1], [', sent again', '500 131016 | 400 100',
        2])
    {
        my ($again, $script, $seen) = @$case;
        my $name = "error_page 502 =200$again: ";

        $phone = new_phone();
        go($phone, '400 131045', in => 'soon');

        is(short(when_due($phone, $script, in => 'as-200'), 'error-code'),
            "200 probe $seen 100", "${name}the probe meets an error");
        is(told('cleared', $phone), 0, "${name}which clears nothing");
        like(short(go($phone, '400 100', in => 'soon')),
            qr/ (?:blocked|probe) /, "${name}the phone's state is there");
        is(short(when_due($phone, '200', in => 'as-200')), '200 probe 1',
            "${name}the probe succeeds");
        is(told('cleared', $phone), 1, "${name}which clears it");
    }

    $phone = new_phone();
    my $answer = go($phone, '200', in => 'as-502');
    is(short($answer, 'error-category', 'attempts'), '502 - 1 - -',
        "error_page 502: a success isn't tagged");
    is($answer->{body}, GraphPolicy::Graph::body_of('200', 1),
        'error_page 502: its body');

    $answer = go($phone, '500 131016 | 200', in => 'as-502');
    is(short($answer, 'error-category', 'attempts'), '502 retried 2 - 2',
        "error_page 502, sent again: a success isn't an error");
    is($answer->{body}, GraphPolicy::Graph::body_of('200', 1),
        'error_page 502, sent again: its body');
    is(short(go($phone, '200')), '200 - 1',
        'error_page 502: nothing is learnt');

    # nor held: the client has the beginning before there is an end
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $nginx->port) or die "connect: $!";
    my $in = '';
    my $until = time + 8 * slow();

    syswrite $socket, "POST /halves/v25.0/$phone/messages HTTP/1.1\r\n"
        . "Host: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

    while ($in !~ /\r\n\r\n\{"\z/ && time < $until) {
        my $read = '';
        vec($read, fileno $socket, 1) = 1;
        next if select($read, undef, undef, 0.1) <= 0;
        sysread $socket, $in, 4096, length $in or last;
    }

    like($in, qr{^HTTP/1\.1 502 .*\r\n\r\n\{"\z}s,
        "error_page 502: a success isn't held");
    spew("$go/on", '');
    1 while sysread $socket, $in, 4096, length $in;
    like($in, qr/\r\n\r\n\{""\}\z/, 'error_page 502: the rest of it comes');
}


# -- one scope and reason, two categories

{
    my $phone = new_phone();

    is(short(go($phone, '400 131037', in => 'cool'), 'error-category',
        'error-reason', 'error-scope'), '400 passed 1 fatal other phone',
        'fatal, then temporary: the fatal one');

    my $answer = when_due($phone, '400 133015', in => 'cool');
    is(short($answer, 'error-category', 'error-reason', 'error-scope'),
        '400 probe 1 temporary other phone',
        'fatal, then temporary: the probe meets the temporary one');

    # where there is no cooldown the fatal one alone would block
    $answer = go($phone, '400 133015');
    like(short($answer), qr/ (?:blocked 0|probe 1)\z/,
        'fatal, then temporary: the fatal one stays');
    is(short(when_due($phone, '200', in => 'cool')), '200 probe 1',
        'fatal, then temporary: it is probed soon');
    is(told('cleared', $phone), 1, 'fatal, then temporary: a success ends it');
    is(short(go($phone, '200', in => 'cool')), '200 - 1',
        'fatal, then temporary: nothing is left');
}


# -- a rule makes a conversation's error fatal

{
    my $phone = new_phone();

    is(short(go($phone, '400 131048', in => 'spam'), 'error-category',
        'error-scope'), '400 passed 1 fatal conversation',
        'fatal for a conversation: the error');
    is(short(go($phone, '200', in => 'spam'), 'error-code'),
        '400 blocked 0 131048',
        'fatal for a conversation: the next is blocked');
    is(short(go($phone, '200', in => 'spam', token => 'b')), '400 blocked 0',
        'fatal for a conversation: whoever sends it');
    is(short(go($phone, '200', in => 'spam', to => '16505559999')), '200 - 1',
        'fatal for a conversation: another recipient');
    is(short(go(new_phone(), '200', in => 'spam')), '200 - 1',
        'fatal for a conversation: another phone');
}


# -- three wait for a phone, and it turns out to take longer than they have

{
    my $phone  = new_phone();
    my $before = $upstream->count;
    my @calls  = map { $nginx->start_request(of($phone, '400 130429 wait=three '
        . '| 400 130429 wait=longer header=Retry-After:60', in => 'patient',
        timeout => 40)) } 1 .. 3;

    $upstream->wait_for($before + 3);
    $upstream->release('three');
    is($upstream->wait_for($before + 4), $before + 4,
        'three: one is sent again');

    # the others have seen by now that it is under way
    sleep 0.5;
    is($upstream->count, $before + 4, 'three: two wait for it');
    my @early = IO::Select->new(map { $_->{socket} } @calls)->can_read(0);
    is(scalar @early, 0, 'three: none is answered');

    my $armed = time;
    $upstream->release('longer');
    my @answers = GraphPolicy::finish_requests(@calls);

    is_deeply([sort map { short($_, 'error-code') } @answers],
        [('400 blocked ? 130429') x 2, '400 probe ? 130429'],
        'three: one had the error, two are answered locally');
    is(scalar(grep { $_->{headers}{'retry-after'} =~ /^(?:5[0-9]|60)\z/ }
        @answers), 3, 'three: all are told how long it takes');

    my ($last) = sort { $b <=> $a } map { $_->{begun} + $_->{took} } @calls;
    cmp_ok($last - $armed, '<', 8 * slow(),
        'three: long before the end of their patience');
    is($upstream->count, $before + 4, 'three: nothing more is sent');
}


# -- a recipient is known however its body is framed

{
    my $phone = new_phone();
    my %send  = of($phone, '200', in => 'cool');

    go($phone, '400 131056 header=Retry-After:600', in => 'cool');
    is(short(go($phone, '200', in => 'cool')), '400 blocked 0',
        'framing: by length');

    my $head = "POST $send{path} HTTP/1.1\r\nHost: localhost\r\n"
        . "Connection: close\r\nAuthorization: Bearer $send{token}\r\n"
        . "Content-Type: application/json\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n";

    for my $case ([$send{body}, 400, 0], ['{"to":"16505559999"}', 200, 1]) {
        my ($body, $status, $seen) = @$case;
        my $name    = 'framing: chunked, ' . ($seen ? 'passes' : 'blocked');
        my $before  = $upstream->count;
        my $chunked = join '', map({ sprintf "%x\r\n%s\r\n", length, $_ }
            unpack '(a7)*', $body), "0\r\n\r\n";

        my $answer = $nginx->request(raw => "$head$chunked");
        is($answer->{status}, $status, $name);
        is($upstream->count - $before, $seen, "$name: at the upstream");
        is(($upstream->requests)[-1]{body}, $body, "$name: whole") if $seen;
    }

    SKIP: {
        skip 'no HTTP/2', 6 if !$http2;

        for my $case ([$send{body}, 400, 0], ['{"to":"16505559999"}', 200, 1]) {
            my ($body, $status, $seen) = @$case;
            my $name   = 'framing: HTTP/2 without length, '
                . ($seen ? 'passes' : 'blocked');
            my $before = $upstream->count;

            spew("$go/body", $body);
            my $said = qx{curl -s --http2-prior-knowledge -o /dev/null \\
                -w '%{http_version} %{http_code}' -m 20 -X POST -T - \\
                -H 'Authorization: Bearer $send{token}' \\
                -H 'Content-Type: application/json' \\
                http://127.0.0.1:@{[ $nginx->{port2} ]}$send{path} \\
                <$go/body};

            is($said, "2 $status", $name);
            is($upstream->count - $before, $seen, "$name: at the upstream");
            is(($upstream->requests)[-1]{body}, $body, "$name: whole") if $seen;
        }

        ok(wait_until(sub {
            slurp($nginx->dir . '/access.log')
                =~ m{^\Q$send{path}\E \d+ "-"$}m
        }), 'framing: HTTP/2 without length: it has none');
    }
}


# -- what was sent again, and probes, say so in every answer

{
    my $phone = new_phone();

    is(short(go($phone, '500 131016 | 0', in => 'retry'), 'attempts',
        'error-category'), '502 retried 2 2 -',
        "own pages: nginx's 502 after an error");

    my $answer = go($phone, '500 131016 | 302 header=Location:/elsewhere',
        in => 'retry');
    is(short($answer, 'attempts', 'error-category'), '302 retried 2 2 -',
        'own pages: a 302 after an error');
    like($answer->{headers}{location}, qr{/elsewhere\z},
        'own pages: where the 302 leads');

    $answer = go($phone, '0', in => 'retry');
    is(short($answer, 'attempts'), '502 - 1 -',
        "own pages: nginx's 502 alone is untouched");

    go($phone, '400 131045', in => 'soon');
    is(short(when_due($phone, '0', in => 'soon'), 'error-category'),
        '502 probe 1 -', "own pages: nginx's 502 for a probe");
    is(short(when_due($phone, '200', in => 'soon')), '200 probe 1',
        'own pages: the next probes');
}


# -- an error that a rule calls unclassified says nothing of the token

{
    my $phone = new_phone();

    is(short(go($phone, '401 190', in => 'unclassified')), '401 passed 1',
        'unclassified: the token is invalid');
    is(short(when_due($phone, '400 777777', in => 'unclassified'),
        'error-category'), '400 probe 1 unclassified',
        'unclassified: the probe meets such an error');
    unlike($nginx->log, qr/state cleared.*\b190\b/,
        'unclassified: which clears nothing');
    like(short(go($phone, '400 777777', in => 'unclassified')),
        qr/ (?:blocked 0|probe 1)\z/, 'unclassified: the state is there');

    is(short(when_due($phone, '400 100', in => 'unclassified'),
        'error-category'), '400 probe 1 request',
        'unclassified: the probe meets an error of its own');
    is(short(go($phone, '200', in => 'unclassified')), '200 - 1',
        'unclassified: which clears it');
}


# -- to register a phone helps where it was gone, not where it sent too much

{
    my ($cooling, $gone) = (new_phone(), new_phone());

    go($cooling, '400 130429 header=Retry-After:60', in => 'cool');
    is(short(go($cooling, '200', in => 'cool', edge => 'register')), '200 - 1',
        'register: the phone that cools down');
    is(short(go($cooling, '200', in => 'cool'), 'error-code'),
        '400 blocked 0 130429', 'register: it cools down still');

    go($gone, '400 133010');
    is(short(go($gone, '200')), '400 blocked 0', 'register: the phone is gone');
    is(short(go($gone, '200', edge => 'register')), '200 - 1',
        'register: the phone that is gone');
    is(short(go($gone, '200')), '200 probe 1', 'register: the next is a probe');
    is(short(go($gone, '200')), '200 - 1', 'register: which ends it');
}


# -- the longest trace, of the longest phone id

{
    my $phone = '12345678901234567890';
    my $trace = join '', 'A' .. 'Z', 'a' .. 'z', 0 .. 9, '_-';

    is(length $trace, 64, 'trace: 64 characters');
    is(short(go($phone, "400 131045 trace=$trace")), '400 passed 1',
        'trace: the error');

    my $answer = go($phone, '200');
    my $told   = eval { JSON::PP::decode_json($answer->{body})->{error} } || {};
    is(short($answer), '400 blocked 0', 'trace: blocked');
    is($told->{fbtrace_id}, $trace, 'trace: all of it is shown');
}


is_deeply([$nginx->complaints], [], 'nothing is wrong in the log');
unlike($nginx->log, qr/exited on signal/, 'no worker died');

done_testing();
