#!/usr/bin/perl

# The API, each call once or a few times: what it answers, what it refuses, and
# what it does to sends.

use strict;
use warnings;

use Test::More;

use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/lib";

use GraphPolicy;

my $graph = GraphPolicy::Graph->start;

my $nginx = GraphPolicy::Nginx->start(graph => $graph, http => <<'END');
graph_policy_zone zone=main:1m;
graph_policy_zone zone=a/b:64k;
graph_policy_zone "zone=q\"<\\:64k";

error_page 400 403 404 405 413 415 500 = /replaced;

server {
    listen 127.0.0.1:%PORT%;

    location /replaced { return 200 replaced; }

    location / {
        graph_policy zone=main;
        graph_policy_log_level info;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /graph/ { graph_policy_api write=on; }
    location /read { graph_policy zone=main; graph_policy_api; }
    location = /exact { graph_policy_api; }

    location /limited/ {
        graph_policy_api write=on;
        limit_except GET { allow 127.0.0.1; deny all; }
    }

    location "/with space/" { graph_policy_api write=on; }
}
END

my $json = JSON::PP->new->utf8->allow_nonref;

sub call {
    my ($method, $path, $body, @more) = @_;

    my @headers = defined $body ? ('Content-Type' => 'application/json') : ();
    $body = $json->encode($body) if ref $body;

    return $nginx->request(method => $method, path => $path,
        body => $body, headers => [@headers, @more]);
}

sub of { return eval { $json->decode($_[0]{body}) } || {} }

sub refused {
    my ($answer, $status, $message, $name) = @_;

    is($answer->{status}, $status, "$name: $status");
    is(of($answer)->{error}{code}, $status, "$name: in JSON");
    like(of($answer)->{error}{message}, $message, "$name: says why");
}


# -- zones --------------------------------------------------------------------

my $answer = call(GET => '/graph/zones');
is($answer->{status}, 200, 'zones');
is($answer->{headers}{'content-type'}, 'application/json', 'are JSON');
is($answer->{headers}{'cache-control'}, 'no-store', 'are not stored');
is($answer->{headers}{'x-content-type-options'}, 'nosniff', 'nor guessed at');

my $zones = of($answer);
is_deeply([map { $_->{name} } @{ $zones->{zones} }],
    ['main', 'a/b', 'q"<\\'], 'their names, whatever is in them');
ok($zones->{write}, 'it may be written');
ok(!of(call(GET => '/read/zones'))->{write}, 'and not elsewhere');
is(scalar @{ $zones->{zones}[0]{history}{blocked} }, 60, 'an hour of history');
is($zones->{zones}[1]{history}, undef, 'a small zone has none');

is(of(call(GET => '/graph/zones/a/b'))->{name}, 'a/b', 'a name with a slash');
is(of(call(GET => '/graph/zones/a%2fb/'))->{name}, 'a/b', 'escaped');
is(of(call(GET => '/graph/zones/q%22%3C%5C'))->{name}, 'q"<\\', 'and others');

my $head = call(HEAD => '/graph/zones/main');
is($head->{status}, 200, 'HEAD');
is($head->{body}, '', 'has no body');
cmp_ok($head->{headers}{'content-length'}, '>', 1000, 'but its length');


# -- paths and methods --------------------------------------------------------

refused(call(GET => "/graph/$_"), 404, qr/path|zone|state/, "GET /graph/$_")
    for '', 'metrics', 'no', 'zones/no', 'zones/mai', 'zones/mainly',
        'zones/main/no', 'zones/main/states/1', 'zones/main/states/1/2',
        'rules/1';
refused(call(GET => '/exact'), 404, qr/path/, 'an exact location');
refused(call(GET => '/readzones'), 404, qr/path/, 'no slash between');
is(call(GET => '/read/zones/')->{status}, 200, 'a slash more at the end');
is(call(GET => '/graph')->{status}, 301, 'none at the end of the location');

for (
    ['DELETE', 'zones', 'GET, HEAD'],
    ['PUT', 'zones/main/states', 'GET, HEAD, POST, DELETE'],
    ['OPTIONS', 'zones/main/states/012345678901234567', 'GET, HEAD, DELETE'],
    ['GET', 'explain', 'POST'],
    ['GET', 'zones/main/lookup', 'POST'],
) {
    my $answer = call($_->[0], "/graph/$_->[1]");
    refused($answer, 405, qr/method/, "@$_[0, 1]");
    is($answer->{headers}{allow}, $_->[2], "@$_[0, 1]: what is allowed");
}

for (['POST', 'zones/main/states'], ['DELETE', 'zones/main/states'],
    ['DELETE', 'zones/main/states/012345678901234567'])
{
    my $answer = call($_->[0], "/read/$_->[1]");
    refused($answer, 405, qr/write=on/, "write=off, @$_");
    is($answer->{headers}{allow}, 'GET, HEAD', "write=off, @$_: the rest");
}


# -- a state by hand ----------------------------------------------------------

sub send_one { return $nginx->request(path => "/v25.0/$_[0]/messages",
    token => $_[1] || 'a', mock => $_[2] || '200') }

is(send_one(1001)->{status}, 200, 'a send passes');

my %state = (scope => 'phone', key => '1001', reason => 'phone-disconnected');

$answer = call(POST => '/graph/zones/main/states', { %state, hold => '1h' });
is($answer->{status}, 201, 'set');

my $state = of($answer);
is($answer->{headers}{location}, "/graph/zones/main/states/$state->{id}",
    'where it is');
is($state->{$_}, $state{$_}, $_) for sort keys %state;
is($state->{category}, 'fatal', 'category');
is($state->{source}, 'api', 'source');
is($state->{code}, undef, 'code');
is($state->{holds}, 1, 'holds');
ok(!$state->{due}, 'due');
ok(!$state->{dry_run}, 'dry run');
ok(!exists $state->{of_phone}, 'not of an unknown account');
like($state->{since}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'since');
like($state->{until}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'until');
is_deeply(of(call(GET => $answer->{headers}{location})), $state,
    'the same at its place');

my $blocked = send_one(1001);
is($blocked->{status}, 400, 'a send is blocked');
is($blocked->{headers}{'x-graph-state'}, $state->{id}, 'by this state');
is(of(call(GET => "/graph/zones/main/states/$state->{id}"))->{blocked}, 1,
    'which counts it');
is_deeply(of(call(GET => '/graph/zones/main'))->{states}{phone},
    { fatal => 1, temporary => 0 }, 'the zone counts the state');

is(call(DELETE => "/graph/zones/main/states/$state->{id}")->{status}, 204,
    'cleared');
refused(call(DELETE => "/graph/zones/main/states/$state->{id}"), 404,
    qr/state/, 'once');
is(send_one(1001)->{status}, 200, 'and the send passes');

$state = of(call(POST => '/limited/zones/main/states',
    { %state, probe => JSON::PP::false }));
is($state->{until}, undef, 'frozen: without an end');
is(send_one(1001)->{status}, 400, 'a send is blocked');

is(of(call(POST => '/graph/zones/main/states', { %state, hold => '1ms',
    reason => 'other', scope => 'account', key => 'A.b_c-9' }))->{key},
    'A.b_c-9', 'an account');
$state = of(call(POST => '/graph/zones/main/states', { %state,
    reason => 'token-invalid', scope => 'credential',
    key => '00000000000000ab', hold => undef }));
is($state->{key}, undef, 'of a credential no key is shown');
is($state->{credential}, '00000000000000ab', 'but its fingerprint');

$answer = call(POST => '/with%20space/zones/q%22%3c%5C/states', { %state });
is($answer->{status}, 201, 'a zone with a difficult name');
like($answer->{headers}{location},
    qr{^/with%20space/zones/q%22%3C%5C/states/[0-9a-f]{18}$}, 'its place');
is(call(GET => $answer->{headers}{location})->{status}, 200, 'is there');

for (
    ['no JSON', '{', qr/object/],
    ['nothing', '', qr/object/],
    ['a list', '[]', qr/object/],
    ['a text', '"a"', qr/object/],
    ['twice', '{"key":"1","key":"1"}', qr/"key" is there twice/],
    ['an unknown member', { %state, "sc\"o<\x{1}" => 1 }, qr/"sc"o<\x{1}"/],
    ['a number', { %state, key => 1001 }, qr/"key" has the wrong type/],
    ['an object', { %state, key => { a => 1 } }, qr/"key" has the wrong type/],
    ['a text for a boolean', { %state, probe => 'no' }, qr/"probe"/],
    ['a long text', { %state, key => '1' x 129 }, qr/"key" is too long/],
    ['no scope', { key => 1 . '', reason => 'other' }, qr/"scope".*phone/],
    ['another scope', { %state, scope => 'conversation' }, qr/"scope"/],
    ['no key', { %state, key => undef }, qr/"key" of a phone/],
    ['a key too long', { %state, key => '1' x 21 }, qr/20 digits/],
    ['a key of letters', { %state, key => '1a' }, qr/digits/],
    ['an account', { %state, scope => 'account', key => "a b" }, qr/account/],
    ['a fingerprint', { %state, scope => 'credential', key => 'ABCDEFABCDEF0123' },
        qr/credential/],
    ['its zero', { %state, scope => 'credential', key => '0' x 16 },
        qr/credential/],
    ['a reason', { %state, reason => 'rate-limit' },
        qr/token-invalid, account-restricted, billing, phone-disconnected, other$/],
    ['a derived reason', { %state, reason => 'phones-disconnected' },
        qr/"reason"/],
    ['no hold', { %state, hold => '0' }, qr/"hold" must be.*24h/],
    ['a hold', { %state, hold => '25h' }, qr/"hold" must be.*24h/],
    ['no time', { %state, hold => 'long' }, qr/"hold" must be.*24h/],
) {
    my ($name, $body, $message) = @$_;
    $body->{key} = 1001 if ref $body && $name eq 'a number';
    refused(call(POST => '/graph/zones/main/states', $body), 400, $message,
        "set: $name");
}


# -- who may ------------------------------------------------------------------

my @set = ('/graph/zones/main/states', $json->encode(\%state));

is(call(POST => @set, Origin => 'http://localhost',
    'Sec-Fetch-Site' => 'same-origin')->{status}, 201, 'of its own page');

refused(call(POST => @set, @$_), 403, qr/sites/, "set: @$_")
    for ['Origin', 'http://evil'], ['Origin', 'null'],
        ['Origin', 'http://localhost:1'], ['Origin', 'http://localhost.evil'],
        ['Sec-Fetch-Site', 'cross-site'], ['Sec-Fetch-Site', 'same-site'];
refused(call(DELETE => '/graph/zones/main/states', undef, Origin => 'http://a'),
    403, qr/sites/, 'clear, from another site');

for (undef, 'text/plain', 'application/jsonp',
    'application/x-www-form-urlencoded')
{
    for my $path ('zones/main/states', 'zones/main/lookup', 'explain') {
        refused($nginx->request(path => "/graph/$path", body => '{}',
            headers => [$_ ? ('Content-Type' => $_) : ()]), 415, qr/json/,
            "$path: " . ($_ // 'no type'));
    }
}

is($nginx->request(path => '/graph/explain', body => '{}', headers =>
    ['Content-Type', 'Application/JSON; charset=utf-8'])->{status}, 200,
    'with a charset');

my $large = '{"error":{"code":190}}' . ' ' x (65536 - 22);
is(of(call(POST => '/graph/explain', $large))->{code}, 190, '64k');
refused(call(POST => '/graph/explain', "$large "), 413, qr/64k/, '64k and one');

my $chunked = join '', map { sprintf("%x\r\n%s\r\n", length, $_) }
    $large, ' ';
refused($nginx->request(raw => "POST /graph/explain HTTP/1.1\r\n"
    . "Host: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    . "Content-Type: application/json\r\n\r\n${chunked}0\r\n\r\n"), 413,
    qr/64k/, 'chunked');


# -- lists --------------------------------------------------------------------

is(call(DELETE => '/graph/zones/main/states')->{status}, 204, 'all cleared');
is_deeply(of(call(GET => '/graph/zones/main/states')),
    { states => [], next => undef }, 'none are left');

my @phones = map { 2000 + $_ } 1 .. 150;
call(POST => '/graph/zones/main/states', { %state, key => "$_",
    reason => $_ % 2 ? 'other' : 'billing' }) for @phones;
call(POST => '/graph/zones/main/states', { %state, scope => 'account' });

sub list {
    my ($arguments) = @_;

    my (@states, @sizes);
    my $next = '';

    while (defined $next) {
        my $page = of(call(GET => "/graph/zones/main/states?$arguments"
            . (length $next ? "&after=$next" : '')));
        push @states, @{ $page->{states} };
        push @sizes, scalar @{ $page->{states} };
        $next = $page->{next};
    }

    return (\@states, \@sizes);
}

my ($all, $sizes) = list('');
is_deeply($sizes, [100, 51], 'pages of a hundred');
is_deeply([sort map { $_->{key} } grep { $_->{scope} eq 'phone' } @$all],
    \@phones, 'each once');
is_deeply([list('limit=50&scope=phone&')]->[1], [50, 50, 50], 'of one scope');
is_deeply([list('limit=1000&category=fatal')]->[1], [151], 'in one');
is_deeply([list('scope=ac%63ount&limit=1')]->[1], [1], 'one alone');
is_deeply([list('category=context-limited')]->[1], [0], 'none');

refused(call(GET => "/graph/zones/main/states?$_"), 400, qr/must be/, $_)
    for 'limit=0', 'limit=1001', 'limit=', 'limit=-1', 'scope=request',
        'scope=', 'category=request', 'after=x', 'after=' . 'f' x 19, 'a=b',
        'scope';
refused(call(DELETE => "/graph/zones/main/states?$_"), 400, qr/must be/,
    "clear, $_") for 'limit=1', 'scop=phone', 'scope=';

is(call(DELETE => '/graph/zones/main/states?scope=account')->{status}, 204,
    'those of a scope cleared');
is_deeply([list('')]->[1], [100, 50], 'the others are left');
is(call(DELETE => '/graph/zones/main/states')->{status}, 204, 'all cleared');
is_deeply([list('')]->[1], [0], 'none are left');


# -- rules, explain, lookup ---------------------------------------------------

my $rules = of(call(GET => '/graph/rules'));
my %row = map { ("$_->{codes}/" . ($_->{subcode} // '') => $_) }
    @{ $rules->{rules} };
is_deeply($row{'200-299/'}, { codes => '200-299', subcode => undef,
    category => 'fatal', reason => 'token-invalid', scope => 'account',
    credential_bound => JSON::PP::true, retry => JSON::PP::false,
    outcome => 'unknown', wait => undef, title => 'API Permission' }, 'a row');
is($row{'100/33'}{reason}, 'phone-disconnected', 'one with a subcode');
is($row{'*/2494100'}{wait}, 60, 'and one with nothing else');
is(scalar @{ $rules->{reasons} }, 16, 'the reasons');

is_deeply(of(call(POST => '/graph/explain', { error => { code => 130429,
    fbtrace_id => 'Abc' } })), { category => 'temporary', code => 130429,
    subcode => undef, reason => 'rate-limit', scope => 'phone',
    title => 'A rate limit of Meta is reached', action => 'Let some time pass '
    . 'before sending again. If this recurs, send more slowly or ask Meta for '
    . 'a higher limit.', matched => JSON::PP::true,
    credential_bound => JSON::PP::false, sets_state => JSON::PP::false,
    retry => JSON::PP::true, outcome => 'refused', wait => 1,
    trace => 'Abc' }, 'explained');
ok(of(call(POST => '/graph/explain', { error => { code => 131042 } }))
    ->{sets_state}, 'sets a state');
is(of(call(POST => '/graph/explain', { error => { code => 77 } }))->{category},
    'unclassified', 'of no rule');
is(of(call(POST => '/graph/explain', {}))->{reason}, undef, 'no error');
refused(call(POST => '/graph/explain', '{'), 400, qr/JSON/, 'explain, no JSON');

my $lookup = '/graph/zones/main/lookup';
my %who = (phone => '1001', to => '+1 650 555 1234');
is_deeply(of(call(POST => $lookup, \%who)), { free_form => JSON::PP::true,
    template => JSON::PP::true, reason => undef, until => undef },
    'may be written to');

send_one(1001, 'a', '400 131042');
is_deeply(of(call(POST => $lookup, \%who))->{reason}, 'billing', 'may not');
ok(of(call(GET => '/graph/zones/main/states'))->{states}[0]{of_phone},
    'of an account that is unknown');
refused(call(POST => $lookup, { phone => '1' }), 400, qr/"to"/, 'no "to"');
refused(call(POST => $lookup, { to => '1' }), 400, qr/"phone"/, 'no "phone"');
refused(call(POST => $lookup, { %who, to => '+-()' }), 400, qr/"to"/,
    'nothing left of "to"');


# -- the log ------------------------------------------------------------------

like($nginx->log, qr/graph policy state set, scope: phone, key: "1001", /,
    'a state set by hand is logged');
like($nginx->log, qr/graph policy state cleared, scope: phone, key: "1001"/,
    'as one that is cleared');
is(scalar(() = $nginx->log =~ /\[(?:alert|crit|emerg)\]/g), 0, 'nothing else');

done_testing();
