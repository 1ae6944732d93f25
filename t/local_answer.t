#!/usr/bin/perl

# The local answer: what a client gets in place of Graph's, byte by byte.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use Time::HiRes qw(time);
use Time::Local qw(timegm);

use GraphPolicy qw(answers slurp wait_until);

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 2,
    log_level => 'info', http => <<'END');

graph_policy_zone  zone=z:1m;
graph_policy       zone=z;
graph_policy_hold  5m;

graph_policy_rule  700001 fatal scope=phone reason=token-invalid;
graph_policy_rule  700002 fatal scope=phone reason=account-restricted;
graph_policy_rule  700003 fatal scope=phone reason=billing;
graph_policy_rule  700004 fatal scope=phone reason=phone-disconnected;
graph_policy_rule  700006 fatal scope=phone reason=rate-limit;
graph_policy_rule  700007 fatal scope=phone reason=pair-rate-limit;
graph_policy_rule  700008 fatal scope=phone reason=maintenance;
graph_policy_rule  700009 fatal scope=phone reason=server-error;
graph_policy_rule  700010 fatal scope=phone reason=service-unavailable;
graph_policy_rule  700011 fatal scope=phone reason=window-expired;
graph_policy_rule  700012 fatal scope=phone reason=undeliverable;
graph_policy_rule  700013 fatal scope=phone reason=spam-quality;
graph_policy_rule  700014 fatal scope=phone reason=media-download;
graph_policy_rule  700015 fatal scope=phone reason=media-upload;

log_format  told  '$uri $status $graph_policy_status $graph_policy_scope '
                  '$graph_policy_state $graph_policy_retry_after '
                  '$graph_error_category $graph_error_code '
                  '$graph_error_subcode $graph_error_reason '
                  '$graph_error_trace <$upstream_addr>';

server {
    listen      127.0.0.1:%PORT%;
    access_log  %DIR%/told.log told;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /code/ {
        graph_policy_status 503;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /lowest/ {
        graph_policy_status 400;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /highest/ {
        graph_policy_status 599;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /upstream/ {
        graph_policy_status upstream;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /short/ {
        graph_policy_hold 400ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /medium/ {
        graph_policy_hold 2500ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /any-method/ {
        graph_policy_send   1;
        graph_policy_phone  1099;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /replaced/ {
        error_page 400 401 503 =200 /sorry;
        error_page 400 401 503 @sorry;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /intercepted/ {
        error_page 400 401 503 @sorry;
        proxy_intercept_errors on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location @sorry {
        return 200 sorry;
    }

    location /denied/ {
        deny all;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /mirrored/ {
        mirror /copy;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location = /copy {
        internal;
        proxy_pass http://127.0.0.1:%GRAPH%/copy;
    }

    location /loud/ {
        graph_policy_log_level error;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /quiet/ {
        graph_policy_log_level info;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /headers/ {
        add_header X-Of-Configuration here always;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END

my $phone = 1000;


# -- header and body ----------------------------------------------------------

{
    my $path = path();
    my $before = int time;
    my $cause = post($path, '400 131042/7654321 trace=AbC-_9');
    my $after = int time + 1;
    my $answer = post($path);

    is($cause->{headers}{'x-graph-policy'}, 'passed', 'the error came first');
    is($answer->{status}, 400, 'a local answer has the status of its cause');

    my $headers = $answer->{headers};

    is($headers->{'content-type'}, 'application/json', 'its type');
    is($headers->{'content-length'}, length $answer->{body}, 'its length');
    is($headers->{'x-graph-error-category'}, 'fatal', 'its category');
    is($headers->{'x-graph-error-code'}, '131042', 'its code');
    is($headers->{'x-graph-error-subcode'}, '7654321', 'its subcode');
    is($headers->{'x-graph-error-reason'}, 'billing', 'its reason');
    is($headers->{'x-graph-error-scope'}, 'account', 'its scope');
    is($headers->{'x-graph-policy'}, 'blocked', 'it says blocked');
    like($headers->{'x-graph-state'}, qr/^[A-Za-z0-9._~-]+$/, 'a state id');
    like($headers->{'x-graph-hold'}, qr/^(?:299|3[0-2]\d|330)$/,
        'X-Graph-Hold is the rest of the hold');
    is($headers->{'retry-after'}, undef,
        'it has no Retry-After: to come again is no cure');
    is(scalar(() = $answer->{head} =~ /^X-Graph-/mg), 8, 'and no more');

    my $json = eval { decode_json($answer->{body}) };

    is(ref $json, 'HASH', 'the body is JSON') or diag($answer->{body});
    is_deeply([keys %$json], ['error'], 'with an error');

    my $error = $json->{error};

    is_deeply([sort keys %$error], [qw(code error_data error_subcode
        error_user_msg error_user_title fbtrace_id is_transient message
        type)], "of Graph's members");
    is_deeply([sort keys %{ $error->{error_data} }],
        [qw(details messaging_product)], 'and those of error_data');
    is($error->{type}, 'OAuthException', 'type');
    is($error->{error_data}{messaging_product}, 'whatsapp', 'product');
    is($error->{fbtrace_id}, 'AbC-_9', 'the trace of the cause');
    like($error->{message}, qr/\S/, 'a message');
    like($error->{error_user_title}, qr/\S/, 'a title');
    like($error->{error_user_msg}, qr/\S/, 'what to do');
    like($answer->{body}, qr/"code":131042[,}]/, 'the code is a number');
    like($answer->{body}, qr/"error_subcode":7654321[,}]/, 'so is the subcode');
    like($answer->{body}, qr/"is_transient":(?:true|false)[,}]/,
        'is_transient is a truth value');

    my $details = $error->{error_data}{details};
    my @times = times_in($details);

    like($details, qr/proxy/i, 'the details say who answers');
    is(@times, 2, 'and two times') or diag($details);
    ok($times[0] >= $before && $times[0] <= $after, 'since when');
    ok($times[1] >= $before + 300 && $times[1] <= $after + 331,
        'and when the next try is');

    my $again = post($path);

    is($again->{headers}{'x-graph-state'}, $headers->{'x-graph-state'},
        'the id of a state stays');
    is(code_of($again), 131042, 'and its code');

    my $other = block('400 131042');

    isnt($other->{headers}{'x-graph-state'}, $headers->{'x-graph-state'},
        'another state has another id');
}

{
    my $answer = block('400 131042');

    ok(!exists error_of($answer)->{error_subcode},
        'no subcode in the cause, none in the body');
    ok(!exists $answer->{headers}{'x-graph-error-subcode'},
        'and none in the header');

    $answer = block('401 0');

    is(code_of($answer), 0, 'code 0 is a code');
    is($answer->{headers}{'x-graph-error-code'}, '0', 'in the header too');
    unlike($answer->{body}, qr/"code":"/, 'as a number');
}


# -- the trace ----------------------------------------------------------------

for (
    ['AFAKEtrace_-09', 'AFAKEtrace_-09'],
    ['x' x 64, 'x' x 64],
    ['x' x 65, undef],
    ['a%20b', undef],
    ['a%5C%22b', undef],
    ['a%5Cnb', undef],
    ['%C3%A4', undef],
    ['a.b', undef],
    ['a%3Cb%3E', undef],
) {
    my ($trace, $expected) = @$_;

    is(error_of(block("400 131042 trace=$trace"))->{fbtrace_id}, $expected,
        "fbtrace_id $trace: " . (defined $expected ? 'kept' : 'dropped'));
}


# -- reasons ------------------------------------------------------------------

# of the documentation: reason => [title, what to do]
my %documented = map { /^\| `([a-z-]+)` \| (.*?) \| (.*?) \|$/
    ? ($1 => [$2, $3]) : () }
    slurp("$FindBin::Bin/../docs/decisions.md")
        =~ /\| reason \| title \| what to do \|\n(.*?)\n\n/s
        ? split /\n/, $1 : ();

is(keys %documented, 16, 'the documentation has each reason');

my @cases = (
    ['401 190',     'token-invalid',       'credential'],
    ['403 10',      'token-invalid',       'account'],
    ['403 368',     'account-restricted',  'account'],
    ['400 131042',  'billing',             'account'],
    ['400 133010',  'phone-disconnected',  'phone'],
    ['400 100/33',  'phone-disconnected',  'phone'],
    ['400 700001',  'token-invalid',       'phone'],
    ['400 700002',  'account-restricted',  'phone'],
    ['400 700003',  'billing',             'phone'],
    ['400 700006',  'rate-limit',          'phone'],
    ['400 700007',  'pair-rate-limit',     'phone'],
    ['400 700008',  'maintenance',         'phone'],
    ['400 700009',  'server-error',        'phone'],
    ['400 700010',  'service-unavailable', 'phone'],
    ['400 700011',  'window-expired',      'phone'],
    ['400 700012',  'undeliverable',       'phone'],
    ['400 700013',  'spam-quality',        'phone'],
    ['400 700014',  'media-download',      'phone'],
    ['400 700015',  'media-upload',        'phone'],
);

my %titles;

for (@cases) {
    my ($mock, $reason, $scope) = @$_;

    # a token of its own: two disconnected phones are another reason
    my $answer = block($mock, undef, "t$phone");
    my $error = error_of($answer);

    is($answer->{headers}{'x-graph-error-reason'}, $reason, "$mock: reason");
    is($answer->{headers}{'x-graph-error-scope'}, $scope, "$mock: scope");
    is_deeply([@$error{qw(error_user_title error_user_msg)}],
        $documented{$reason} || [], "$mock: its title and what to do are"
        . ' those of the documentation');
    $titles{ $error->{error_user_title} // '' } = 1;
}

{
    my $first = path();

    post($first, '400 133010', 'several');
    post(path(), '400 133010', 'several');

    my $answer = post($first, undef, 'several');
    my $error = error_of($answer);

    is($answer->{headers}{'x-graph-error-reason'}, 'phones-disconnected',
        'two phones: reason');
    is($error->{code}, 133010, 'two phones: code');
    is_deeply([@$error{qw(error_user_title error_user_msg)}],
        $documented{'phones-disconnected'} || [],
        'two phones: title and what to do');
    $titles{ $error->{error_user_title} // '' } = 1;
}

is(keys %titles, 15, 'each reason has a title of its own');


# -- status -------------------------------------------------------------------

for (
    ['',          '400 131042', 400],
    ['',          '401 131042', 401],
    ['',          '429 131042', 429],
    ['',          '500 131042', 500],
    ['',          '503 131042', 503],
    ['/upstream', '402 131042', 402],
    ['/code',     '400 131042', 503],
    ['/lowest',   '500 131042', 400],
    ['/highest',  '400 131042', 599],
) {
    my ($prefix, $mock, $status) = @$_;
    my $path = path($prefix);
    my $cause = post($path, $mock);

    is($cause->{status}, (split / /, $mock)[0],
        "an answer of the upstream keeps its status ($mock)");
    is(post($path)->{status}, $status, "a local answer for $mock with"
        . " graph_policy_status of $prefix/: $status");
}

{
    my $path = path();

    post($path, '400 131042');
    is(post("/code$path")->{status}, 503,
        'the location that answers says the status');
}


# -- methods and framings -----------------------------------------------------

{
    my $path = '/any-method/x';

    post($path, '400 133010');

    my $get = $nginx->request(method => 'GET', path => $path, token => 'a');
    my $head = $nginx->request(method => 'HEAD', path => $path, token => 'a',
        headers => ['Connection', 'close']);

    is($get->{status}, 400, 'GET is answered locally');
    is($head->{status}, 400, 'so is HEAD');
    is($head->{body}, '', 'without a body');

    delete $_->{headers}{date} for $get, $head;
    is($head->{headers}{'content-length'}, length $get->{body},
        'the length is that of the body of GET');
    is_deeply([sort keys %{ $head->{headers} }],
        [sort keys %{ $get->{headers} }], 'the header has the same fields');

    my $text = $nginx->request(all => 1, raw =>
        "HEAD $path HTTP/1.1\r\nHost: x\r\n\r\n"
        . "POST $path HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
        . "GET $path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    my @answers = answers($text->{text}, 0);

    is_deeply([map { $_->{status} } @answers], [400, 400, 400],
        'three pipelined requests have three answers');
    is($answers[0]{body}, '', 'none to HEAD');
    is_deeply([map { length $_->{body} } @answers[1, 2]],
        [map { $_->{headers}{'content-length'} } @answers[1, 2]],
        'whole ones to the others');
}

{
    my $path = path();

    post($path, '400 131042');
    $graph->clear;

    my $head = "POST $path HTTP/1.1\r\nHost: x\r\n"
        . "Authorization: Bearer a\r\n";
    my $last = "GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    my $large = '{"text":"' . 'GET / HTTP/1.1 ' x 20000 . '"}';

    for (
        ['a small body', $head . "Content-Length: 2\r\n\r\n{}"],
        ['a large body', $head . 'Content-Length: ' . length($large)
            . "\r\n\r\n$large"],
        ['a chunked body', $head . "Transfer-Encoding: chunked\r\n\r\n"
            . "2\r\n{}\r\n0\r\n\r\n"],
        ['a large chunked body', $head . "Transfer-Encoding: chunked\r\n\r\n"
            . sprintf("%x\r\n%s\r\n", length $large, $large) x 2
            . "0\r\n\r\n"],
        ['no body', $head . "\r\n"],
    ) {
        my ($name, $raw) = @$_;
        my $got = $nginx->request(all => 1, raw => $raw . $last);
        my @answers = answers($got->{text});

        is_deeply([map { $_->{status} } @answers], [400, 200],
            "after $name the connection serves the next request")
            or diag(substr $got->{text}, 0, 2000);
        is(code_of($answers[0]), 131042, "the answer to $name is whole");
    }

    is($graph->count(qr/messages/), 0, 'the upstream saw none of them');

    my $begun = time;
    my $call = $nginx->start_request(raw =>
        $head . "Content-Length: 1000000\r\n\r\n{");
    my ($answer) = GraphPolicy::finish_requests($call);

    is($answer->{status}, 400, 'the answer does not await the body');
    is($answer->{error}, undef, 'and is whole');

    $answer = $nginx->request(raw => $head
        . "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", all => 1,
        timeout => 3);
    is((answers($answer->{text} =~ s{\AHTTP/1\.1 100 .*?\r\n\r\n}{}sr))[0]
        {status}, 400, 'nor that of a client that waits to send it');

    $answer = $nginx->request(raw => "POST $path HTTP/1.0\r\n"
        . "Authorization: Bearer a\r\nContent-Length: 2\r\n\r\n{}", all => 1);
    is($answer->{status}, 400, 'a client of HTTP/1.0 is answered');
    is(code_of($answer), 131042, 'as a whole');
    like($answer->{head}, qr/^Connection: close\r?$/m, 'and closed');
}


# -- what nginx is configured to do with it ------------------------------------

{
    my $path = path();

    post($path, '400 131042');
    $graph->clear;

    for my $prefix ('/replaced', '/intercepted') {
        my $answer = post("$prefix$path");

        is($answer->{status}, 400, "error_page of $prefix/ leaves the status");
        is(code_of($answer), 131042, 'and the body');
        is($answer->{headers}{'x-graph-policy'}, 'blocked', 'and the header');
    }

    my $answer = post("/denied$path");

    is($answer->{status}, 403, 'access control goes first');
    ok(!exists $answer->{headers}{'x-graph-policy'}, 'and answers by itself');

    $answer = post("/mirrored$path");

    is(code_of($answer), 131042, 'a blocked request');
    is($graph->count, 0, 'is not mirrored');

    $answer = post('/mirrored' . path());

    is($answer->{status}, 200, 'another');
    is($graph->wait_for(2), 2, 'is');

    $answer = post("/headers$path");

    is($answer->{headers}{'x-of-configuration'}, 'here',
        'add_header works on local answers');
}


# -- X-Graph-Hold -------------------------------------------------------------

{
    my $path = path('/medium');
    my $begun = time;

    post($path, '400 131042');
    my $answer = post($path);
    my $took = time - $begun;

    SKIP: {
        skip 'too slow here', 1 if $took > 0.4;
        is($answer->{headers}{'x-graph-hold'}, 3, 'X-Graph-Hold: 2.5 s are 3');
    }

    # it may take more than one try where things are slow
    for (1 .. 20) {
        $path = path('/short');
        post($path, '400 131042');
        $begun = time;
        $answer = post($path);
        last if ($answer->{headers}{'x-graph-policy'} // '') eq 'blocked';
    }

    is($answer->{headers}{'x-graph-hold'}, 1, 'X-Graph-Hold: 0.4 s are 1');

    # while a probe is under way it is the rest of its lease
    my $calls = $graph->count;

    wait_until(sub { time > $begun + 0.5 });
    my $probe = $nginx->start_request(path => $path, token => 'a',
        mock => '200 wait=probe');
    is($graph->wait_for($calls + 1), $calls + 1, 'a probe is under way');
    $answer = post($path);
    like($answer->{headers}{'x-graph-hold'} // '', qr/^(?:[1-9]|[12]\d|30)$/,
        'X-Graph-Hold is the rest of its lease');
    is($answer->{headers}{'x-graph-policy'}, 'blocked', 'for the others');
    $graph->release('probe');
    GraphPolicy::finish_requests($probe);
}


# -- variables ----------------------------------------------------------------

{
    my $path = path();

    post($path, '400 133010/5 trace=TrAcE', 'variables');
    my $answer = post($path, undef, 'variables');
    my $state = $answer->{headers}{'x-graph-state'};
    my @lines;

    # who is answered first may be logged last
    wait_until(sub {
        @lines = sort { $b =~ / PASSED / <=> $a =~ / PASSED / }
            grep { /^\Q$path\E / }
            split /\n/, slurp($nginx->dir . '/told.log');
        return @lines == 2;
    });

    is($lines[1], "$path 400 BLOCKED phone $state - fatal 133010 5"
        . ' phone-disconnected TrAcE <->', 'what the log can tell of it');
    like($lines[0], qr/^\Q$path\E 400 PASSED phone \S+ - fatal 133010 5 /,
        'and of its cause');
    like($lines[0], qr/ phone-disconnected TrAcE <127\.0\.0\.1:\d+>$/,
        'with its reason and trace');
}


# -- nothing secret -----------------------------------------------------------

{
    my $path = path();
    my $secret = 'EAAFAKEs3cr3t';
    my $body = '{"messaging_product":"whatsapp","to":"+15550009999",'
        . '"type":"text","text":{"body":"pr1vate words"}}';
    my $before = length $nginx->log;

    my @request = (path => "$path?access_token=$secret", body => $body,
        headers => ['Content-Type', 'application/json']);

    $nginx->request(@request,
        mock => '400 131042 message=To%20+15550009999%20pr1vate');
    my $answer = $nginx->request(@request);

    is(code_of($answer), 131042, 'a blocked request with secrets');
    unlike($answer->{text}, qr/s3cr3t|5550009999|pr1vate/,
        'none of which comes back');

    $nginx->request(path => path(), token => $secret, body => $body,
        mock => '401 190');
    $nginx->request(path => path(), token => $secret, body => $body);

    my $log = substr $nginx->log, $before;

    like($log, qr/token-invalid/, 'the log tells of the states');
    unlike($log, qr/s3cr3t|5550009999|pr1vate/, 'and has none of it');
    unlike($log, qr/ POST |request: |messages/, 'nor the request line');
}


# -- the log ------------------------------------------------------------------

{
    my $path = path();
    my $lines = lines_for($phone, sub { post($path, '400 133010 trace=TrC',
        'log') });

    is(@$lines, 1, 'a state that is set has one line');
    like($lines->[0], qr/\[error\]/, 'an error');
    like($lines->[0], qr/\b$_\b/, "with $_")
        for 'phone', $phone, 'phone-disconnected', '133010', 'TrC', 'hold';

    $lines = lines_for($phone, sub { post($path, undef, 'log') for 1 .. 3 });

    is(@$lines, 3, 'each block has a line');
    is((grep { !/\[info\]/ } @$lines), 0, 'for information');

    $path = path('/loud');
    $lines = lines_for($phone, sub { post($path, '400 131042') });
    like("@$lines", qr/\[error\]/, 'graph_policy_log_level error');

    $path = path('/quiet');
    $lines = lines_for($phone, sub { post($path, '400 131042') });
    like("@$lines", qr/\[info\]/, 'graph_policy_log_level info');
}

is_deeply([$nginx->complaints], [], 'nothing to complain of in the log');

done_testing();


# -- helpers ------------------------------------------------------------------

# of a phone that no test has used
sub path {
    my ($prefix) = @_;

    $phone++;
    return ($prefix // '') . "/v25.0/$phone/messages";
}

sub post {
    my ($path, $mock, $token) = @_;

    return $nginx->request(path => $path, token => $token // 'a',
        mock => $mock, body => '{}');
}

# the local answer after an error
sub block {
    my ($mock, $prefix, $token) = @_;

    my $path = path($prefix);

    $token //= "t$phone";
    post($path, $mock, $token);
    return post($path, undef, $token);
}

sub error_of {
    my ($answer) = @_;

    my $json = eval { decode_json($answer->{body}) };
    return ref $json eq 'HASH' && ref $json->{error} eq 'HASH'
        ? $json->{error} : {};
}

sub code_of { error_of($_[0])->{code} }

sub times_in {
    my ($text) = @_;

    my @times;

    push @times, timegm($6, $5, $4, $3, $2 - 1, $1)
        while $text =~ /(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z/g;

    return @times;
}

# what the log says of a phone meanwhile
sub lines_for {
    my ($phone, $code) = @_;

    my $before = length $nginx->log;

    $code->();
    return [grep { /graph policy/ && /\b$phone\b/ }
        split /\n/, substr $nginx->log, $before];
}
