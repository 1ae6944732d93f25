#!/usr/bin/perl

# The end of a hold: one send probes, the others wait for what comes of it.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json);
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slow wait_until advance finish_requests abort_request);

# the first hold, in seconds; at most it is two and a half times as long
my $hold = 0.2 * slow();
my ($first_hold, $max_hold) = map { 1000 * $_ * $hold . 'ms' } 1, 2.5;

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 4,
    log_level => 'notice', http => <<"END");

graph_policy_zone  zone=z:1m;
graph_policy       zone=z;
graph_policy_hold  $first_hold max=$max_hold;

map \$graph_policy_phone \$account {
    77001  shared;
    77002  shared;
    77003  shared;
    77004  shared;
}

server {
    listen  127.0.0.1:%PORT% reuseport;

    graph_policy_account \$account;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /long/ {
        graph_policy_hold 5m;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /steady/ {
        graph_policy_hold 8s max=8s;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /dry/ {
        graph_policy_dry_run on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /impatient/ {
        proxy_read_timeout 300ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /nobody/ {
        proxy_pass http://127.0.0.1:%PORT2%;
    }

    location /all/ {
        graph_policy_pause all;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END

my $phone = 1000;

# for a state with a long hold, which is looked at in the end
my $steady = next_phone();
post("/steady/v25.0/$steady/messages", '400 133010');
my $steady_begun = time;


# -- one among many -----------------------------------------------------------

for (
    ['phone',      '400 133010'],
    ['account',    '400 131042'],
    ['credential', '401 190'],
    ['account, credential-bound', '403 10'],
    ['phone, credential-bound', '404 33'],
) {
    my ($scope, $mock) = @$_;
    my $phone = next_phone();
    my $gate = "many$phone";

    send_to($phone, $mock, "t$phone");
    sleep_hold();
    $graph->clear;

    my @calls = map { GraphPolicy::start_request(port => $nginx->port,
        path => "/v25.0/$phone/messages", token => "t$phone", timeout => 20,
        mock => "200 wait=$gate") } 1 .. 200;

    my @open = advance(1, @calls);

    is(@open, 1, "$scope: of 200 sends one is under way");
    is($graph->wait_for(1), 1, 'the upstream has seen one');

    # however long the probe takes
    sleep 2 * $hold;
    my $late = send_to($phone, undef, "t$phone");
    is(policy($late), 'blocked', 'others wait longer than the hold');
    is($graph->count, 1, 'the upstream has still seen one');

    $graph->release($gate);

    my %policies;
    $policies{ $_->{status} . ' ' . policy($_) }++ for finish_requests(@calls);

    my $status = (split / /, $mock)[0];
    is_deeply(\%policies, { '200 probe' => 1, "$status blocked" => 199 },
        'it is the probe, the others are answered locally');

    my @after = $nginx->parallel(map { {
        path => "/v25.0/$phone/messages", token => "t$phone" } } 1 .. 20);

    is_deeply([grep { $_->{status} != 200 || policy($_) } @after], [],
        'after its success all pass, untouched');
    is($graph->count, 21, 'and reach the upstream');
}


# -- the same reason ----------------------------------------------------------

for (
    ['phone',      '400 133010', '400 133010'],
    ['account',    '400 131042', '400 131042'],
    ['credential', '401 190',    '401 190'],
    ['phone',      '400 133010', '500 131045'],
    ['credential', '401 190',    '400 102'],
) {
    my ($scope, $first, $second) = @$_;
    my $phone = next_phone();
    my $name = "$scope: $first, then $second:";

    send_to($phone, $first, "t$phone");
    my $id = send_to($phone, undef, "t$phone")->{headers}{'x-graph-state'};
    sleep_hold();

    # the hold begins before its answer is here
    my $begun  = time;
    my $answer = send_to($phone, $second, "t$phone");

    is(policy($answer), 'probe', "$name a probe");
    is($answer->{status}, (split / /, $second)[0], 'gets what Graph says');
    is(last_hold(), 2, 'the hold is doubled');

    my $again = send_to($phone, undef, "t$phone");

    is(policy($again), 'blocked', 'sends are answered locally again');
    is($again->{headers}{'x-graph-state'}, $id, 'the state has kept its id');

    (my $waited, my $probe, $begun)
        = until_passed($phone, $second, "t$phone", $begun);

    cmp_ok($waited, '>=', 1.95 * $hold, 'as long as that');
    is(policy($probe), 'probe', 'and then one probes');
    is(last_hold(), 2.5, 'the hold ends at its max');

    ($waited, $probe) = until_passed($phone, $second, "t$phone", $begun);

    cmp_ok($waited, '>=', 2.45 * $hold, 'which it takes');
    is(last_hold(), 2.5, 'and stays there');
}


# -- another answer -----------------------------------------------------------

# for a credential the token works
for (
    ['400 100',          'request'],
    ['503 131016',       'temporary'],
    ['400 131047',       'context-limited'],
    ['400 131026',       'context-limited'],
    ['400 5 transient=true', 'temporary'],
) {
    my ($mock, $category) = @$_;
    my $phone = next_phone();

    send_to($phone, '401 190', "t$phone");
    sleep_hold();

    my $answer = send_to($phone, $mock, "t$phone");

    is(policy($answer), 'probe', "credential: a probe that is answered $mock");
    is($answer->{headers}{'x-graph-error-category'}, $category, $category);
    is(policy(send_to($phone, undef, "t$phone")), '', 'ends the state');
}

{
    my $phone = next_phone();
    my $other = next_phone();

    send_to($phone, '401 190', "t$phone");
    sleep_hold();

    my $answer = send_to($phone, '400 131042', "t$phone", '/long');

    is(policy($answer), 'probe', 'credential: a probe with a fatal error');
    is(policy(send_to($other, undef, "t$phone")), '', 'ends the state');
    $answer = send_to($phone, undef, "t$phone");
    is(policy($answer), 'blocked', 'and sets another');
    is($answer->{headers}{'x-graph-error-reason'}, 'billing', 'of its own');
}

# of the others nothing is known
for (
    ['phone',      '400 133010', '400 100'],
    ['phone',      '400 133010', '503 131016'],
    ['phone',      '400 133010', '400 131047'],
    ['phone',      '400 133010', '400 424242424'],
    ['phone',      '400 133010', '502'],
    ['phone',      '400 133010', '0'],
    ['account',    '400 131042', '400 100'],
    ['account',    '400 131042', '500'],
    ['credential', '401 190',    '500'],
    ['credential', '401 190',    '0'],
    ['credential', '401 190',    '400 424242424'],
    ['phone',      '400 133010', 'timeout'],
    ['account',    '400 131042', 'timeout'],
    ['credential', '401 190',    'timeout'],
    ['phone',      '400 133010', 'abort'],
    ['account',    '400 131042', 'abort'],
    ['credential', '401 190',    'abort'],
    ['phone',      '400 133010', 'refused'],
    ['credential', '401 190',    'refused'],
) {
    my ($scope, $first, $second) = @$_;
    my $name = "$scope: a probe with $second";
    my $phone = next_phone();
    my $token = "t$phone";

    send_to($phone, $first, $token);
    sleep_hold();
    $graph->clear;

    my $begun = time;

    if ($second eq 'abort') {
        my $probe = $nginx->start_request(token => $token,
            path => "/v25.0/$phone/messages", mock => "200 wait=never$phone");
        $graph->wait_for(1);
        abort_request($probe);

    } elsif ($second eq 'timeout') {
        my $answer = send_to($phone, "200 wait=never$phone", $token,
            '/impatient');
        is($answer->{status}, 504, "$name: the client gets nginx's answer");

    } elsif ($second eq 'refused') {
        my $answer = send_to($phone, undef, $token, '/nobody');
        is($answer->{status}, 502, "$name: the client gets nginx's answer");

    } elsif ($second eq '0') {
        my $answer = send_to($phone, $second, $token);
        is($answer->{status}, 502, "$name: the client gets nginx's answer");

    } else {
        my $answer = send_to($phone, $second, $token);
        is($answer->{status}, (split / /, $second)[0], "$name: the client"
            . " gets Graph's answer");
        is(policy($answer), 'probe', 'which is a probe');
    }

    # the state is still there: the next that passes is a probe too
    my ($waited, $probe) = until_passed($phone, $first, $token, $begun);

    is(policy($probe), 'probe', "$name: the state holds, another probes");

    # the request's own mistake says nothing of a phone or an account
    if ($second eq '400 100' && $scope ne 'credential') {
        cmp_ok($waited, '<', 0.5 * $hold, 'at once');
    } else {
        cmp_ok($waited, '>=', 0.95 * $hold, 'after the hold');
    }

    is(last_hold(), 2, 'which had not changed');
}


# -- coming back --------------------------------------------------------------

{
    my $phone = next_phone();

    send_to($phone, '400 133010');
    my $since = since(send_to($phone));
    sleep_hold();
    sleep 1.1;
    is(policy(send_to($phone)), 'probe', 'a state that ends');

    my $answer = send_to($phone, '400 133010');

    is(policy($answer), 'passed', 'and comes back');
    is(last_hold(), 2, 'has its hold doubled');

    $answer = send_to($phone);
    is(policy($answer), 'blocked', 'blocks');
    is(since($answer), $since, 'and is as old as it was');
    isnt($since, undef, 'which is told');
}

{
    my $phone = next_phone();

    send_to($phone, '401 190', "t$phone");
    sleep_hold();
    send_to($phone, '400 100', "t$phone");
    is(policy(send_to($phone)), '', 'a credential that another error cures');
    send_to($phone, '401 190', "t$phone");
    is(last_hold(), 2, 'has its hold doubled likewise');
}

{
    my $phone = next_phone();

    send_to($phone, '400 131042');
    sleep_hold();
    is(policy(send_to($phone)), 'probe', 'billing ends');
    send_to($phone, '403 368');
    is(last_hold(), 1, 'another reason begins anew');
}


# -- who probes ---------------------------------------------------------------

# a send without a credential never does, and while a state is due it is told
# neither of a hold that is over nor of another try
{
    my $phone = next_phone();
    my $path  = "/v25.0/$phone/messages";

    send_to($phone, '400 133010');
    my $answer = $nginx->request(path => $path, body => '{}');

    is(policy($answer), 'blocked', 'no credential: blocked');
    like($answer->{headers}{'x-graph-hold'} // '-', qr/^[1-9]\d*$/,
        'until the hold is over');
    like($answer->{body}, qr/, next try at \d{4}-/, 'as the details say');

    sleep_hold();
    $answer = $nginx->request(path => $path, body => '{}');
    is(policy($answer), 'blocked', 'and while a probe is due');
    is_deeply([@{ $answer->{headers} }{qw(x-graph-hold retry-after)}],
        [undef, undef], 'without a promise');
    unlike($answer->{body}, qr/next try/, 'in the details, too');

    is(policy(send_to($phone)), 'probe', 'with a credential it is the probe');
}

for (
    ['phone',      '400 133010', 0],
    ['account',    '400 131042', 0],
    ['credential', '401 190',    1],
) {
    my ($scope, $mock, $any) = @$_;

    for my $end (qw(media messages_encrypted)) {
        my $phone = next_phone();
        my $path = "/v25.0/$phone/$end";

        send_to($phone, $mock, "t$phone");
        sleep_hold();

        my $answer = post($path, undef, "t$phone");

        if ($any) {
            is(policy($answer), 'probe', "$scope: $end may probe");
            next;
        }

        is(policy($answer), 'blocked', "$scope: $end may not probe");
        is_deeply([@{ $answer->{headers} }{qw(x-graph-hold retry-after)}],
            [undef, undef], 'nor is it told when it might');
        unlike($answer->{body}, qr/next try|\d{4}-\d\d-\d\dT.*\d{4}-\d\d-/,
            'not in the details, either');
        is(policy(post("/v25.0/$phone/marketing_messages", undef,
            "t$phone")), 'probe', 'a message of marketing may');
        is(policy(post($path, undef, "t$phone")), '', "and then $end passes");
    }
}

{
    my $phone = next_phone();

    send_to($phone, '401 190', "t$phone");
    sleep_hold();
    is(policy($nginx->request(method => 'GET', token => "t$phone",
        path => '/all/v25.0/8880001')), '', 'a read passes');
    is(policy(send_to($phone, undef, "t$phone")), 'probe',
        'and leaves the probe to a send');
}


# -- headers ------------------------------------------------------------------

{
    my $phone = next_phone();
    my $false = join ' ', map { 'header=' . s/ /%20/gr }
        'X-Graph-Policy: blocked', 'x-graph-policy: passed',
        'X-Graph-State: 1234', 'X-Graph-Error-Category: fatal',
        'X-Graph-Error-Code: 1', 'X-Graph-Error-Subcode: 2',
        'X-Graph-Error-Reason: billing', 'X-Graph-Error-Scope: phone',
        'X-Graph-Attempts: 7';

    my $answer = send_to($phone, "500 $false");

    is_deeply(graph_headers($answer), { 'x-graph-policy' => 'passed',
        'x-graph-error-category' => 'unclassified' },
        'what the upstream calls by our names is removed from errors');

    $answer = send_to($phone, "400 133010 $false");

    is_deeply(graph_headers($answer), { 'x-graph-policy' => 'passed',
        'x-graph-error-category' => 'fatal', 'x-graph-error-code' => 133010,
        'x-graph-error-reason' => 'phone-disconnected',
        'x-graph-error-scope' => 'phone' }, 'or replaced');

    sleep_hold();
    $answer = send_to($phone, "200 $false");

    is($answer->{status}, 200, 'a probe with success');
    is_deeply(graph_headers($answer), { 'x-graph-policy' => 'probe' },
        'is called a probe and nothing else');

    $answer = send_to($phone, '200 header=X-Graph-Policy:%20theirs');

    is_deeply(graph_headers($answer), { 'x-graph-policy' => 'theirs' },
        'an ordinary success is left as it is');
}


# -- register -----------------------------------------------------------------

{
    my $phone = next_phone();
    my $register = "/v25.0/$phone/register";

    send_to($phone, '400 133010', 'a', '/long');
    is(policy(send_to($phone)), 'blocked', 'a phone with a long hold');

    post($register, '400 100');
    is(policy(send_to($phone)), 'blocked', 'a failed register changes nothing');
    $nginx->request(method => 'GET', path => $register, token => 'a');
    is(policy(send_to($phone)), 'blocked', 'nor does a GET');
    post('/v25.0/' . next_phone() . '/register');
    is(policy(send_to($phone)), 'blocked', 'nor does that of another phone');

    is(post($register)->{status}, 200, 'register succeeds');
    is(policy(post("/v25.0/$phone/media")), 'blocked', 'media still waits');

    $graph->clear;
    my @calls = map { GraphPolicy::start_request(port => $nginx->port,
        path => "/v25.0/$phone/messages", token => 'a',
        mock => '200 wait=register') } 1 .. 20;
    advance(1, @calls);
    is($graph->wait_for(1), 1, 'one message probes at once');
    $graph->release('register');
    is((grep { policy($_) eq 'probe' } finish_requests(@calls)), 1,
        'and is called so');
    is(policy(send_to($phone)), '', 'its success ends the state');
}


# -- late answers -------------------------------------------------------------

{
    my $phone = next_phone();
    my $path = "/v25.0/$phone/messages";

    $graph->clear;
    my $late = $nginx->start_request(path => $path, token => 'a',
        mock => '200 wait=late1');
    is($graph->wait_for(1), 1, 'a send is under way');

    send_to($phone, '400 133010', 'a', '/long');
    is(policy(send_to($phone)), 'blocked', 'when a state is set');

    $graph->release('late1');
    my ($answer) = finish_requests($late);

    is($answer->{status}, 200, 'its success comes late');
    is(policy($answer), '', 'untouched');
    is(policy(send_to($phone)), 'blocked', 'and does not end the state');
}

{
    my $phone = next_phone();
    my $path = "/v25.0/$phone/messages";

    $graph->clear;
    my @late = map { $nginx->start_request(path => $path, token => 'a',
        mock => '400 133010 wait=late2') } 1 .. 5;
    is($graph->wait_for(5), 5, 'five sends are under way');

    send_to($phone, '400 133010');
    is(policy(send_to($phone)), 'blocked', 'when a state is set');
    sleep_hold();
    is(policy(send_to($phone)), 'probe', 'and ended');

    $graph->release('late2');
    my @answers = finish_requests(@late);

    is_deeply([map { policy($_) } @answers], [('passed') x 5],
        'their errors come late');
    is(policy(send_to($phone)), '', 'and do not set it again');
}

{
    my $phone = next_phone();
    my $path = "/v25.0/$phone/messages";

    $graph->clear;
    my @calls = map { $nginx->start_request(path => $path, token => 'a',
        mock => '400 133010 wait=together') } 1 .. 20;
    is($graph->wait_for(20), 20, 'twenty sends are under way');
    $graph->release('together');
    finish_requests(@calls);

    is(last_hold(), 1,
        'which fail together: the hold is not doubled');
    is(scalar(() = $nginx->log =~ /\bkey: "$phone"/g), 1,
        'and the log has one line');
}

{
    my $phone = next_phone();

    $graph->clear;
    my $late = $nginx->start_request(path => "/dry/v25.0/$phone/messages",
        token => 'a', mock => '200 wait=late3');
    is($graph->wait_for(1), 1, 'dry run: a send is under way');

    send_to($phone, '400 133010', 'a', '/long');
    $graph->release('late3');
    is((finish_requests($late))[0]{status}, 200, 'its success comes late');
    is(policy(send_to($phone)), 'blocked', 'and does not end the state');
    is(send_to($phone, undef, 'a', '/dry')->{status}, 200, 'a later one');
    is(policy(send_to($phone)), '', 'does');
}


# -- several states -----------------------------------------------------------

{
    my $phone = next_phone();
    my $other = next_phone();
    my $token = "t$phone";

    send_to($phone, '401 190', $token);
    send_to($phone, '400 133010', 'b');
    sleep_hold();
    $graph->clear;

    my $probe = $nginx->start_request(path => "/v25.0/$phone/messages",
        token => 'b', mock => '200 wait=both');
    is($graph->wait_for(1), 1, 'a probe of the phone is under way');

    my $answer = send_to($phone, undef, $token);

    is(policy($answer), 'blocked', 'a send that needs two leases waits');
    is(policy(send_to($other, undef, $token)), 'probe',
        'and has not taken the free one');

    $graph->release('both');
    is(policy((finish_requests($probe))[0]), 'probe', 'the phone is probed');
    is(policy(send_to($phone, undef, $token)), '', 'both are over');
}

{
    my $phone = next_phone();
    my $token = "t$phone";

    send_to($phone, '401 190', $token);
    send_to($phone, '400 133010', 'b');
    sleep_hold();

    my $answer = send_to($phone, '400 133010', $token);

    is(policy($answer), 'probe', 'a probe of two states');
    is(last_hold(), 2, 'one of which fails again');
    is(policy(send_to(next_phone(), undef, $token)), '', 'ends the other');
    is(policy(send_to($phone, undef, 'b')), 'blocked', 'alone');
}

{
    # 77...: two phones of one account
    send_to('77001', '400 131042');
    sleep_hold();
    $graph->clear;

    my @calls = map { GraphPolicy::start_request(port => $nginx->port,
        path => "/v25.0/$_/messages", token => 'a',
        mock => '200 wait=account') } (77001 .. 77004) x 10;

    advance(1, @calls);
    is($graph->wait_for(1), 1,
        'phones of one account have one probe among them');
    $graph->release('account');
    finish_requests(@calls);
    is(policy(send_to($_)), '', "$_ goes on") for 77001 .. 77004;
}


# -- an inconclusive probe of a long hold --------------------------------------

{
    my $path = "/steady/v25.0/$steady/messages";

    wait_until(sub { time > $steady_begun + 9 }, 20);
    my $answer = post($path, '500');

    is(policy($answer), 'probe', 'a hold of 8 s, then a probe with a 500');
    $answer = post($path);
    is(policy($answer), 'blocked', 'sends wait again');
    like($answer->{headers}{'x-graph-hold'}, qr/^[3456]$/,
        'but not longer than 5 s and a little');
}

is_deeply([$nginx->complaints], [], 'nothing to complain of in the log');

done_testing();


# -- helpers ------------------------------------------------------------------

sub next_phone { return ++$phone }

sub post {
    my ($path, $mock, $token) = @_;

    return $nginx->request(path => $path, token => $token // 'a',
        mock => $mock, body => '{}');
}

sub send_to {
    my ($phone, $mock, $token, $prefix) = @_;

    return post(($prefix // '') . "/v25.0/$phone/messages", $mock, $token);
}

sub policy { $_[0]{headers}{'x-graph-policy'} // '' }

sub graph_headers {
    my ($answer) = @_;

    return { map { $_ => $answer->{headers}{$_} } grep { /^x-graph/ }
        keys %{ $answer->{headers} } };
}

# until the first hold is surely over, jitter and all
sub sleep_hold { sleep $hold * 1.1 + 0.05 }

# sends until one isn't blocked; how long that took, and its answer
sub until_passed {
    my ($phone, $mock, $token, $begun) = @_;

    $begun //= time;
    my ($answer, $sent);

    wait_until(sub {
        $sent   = time;
        $answer = send_to($phone, $mock, $token);
        return policy($answer) ne 'blocked';
    });

    return (time - $begun, $answer, $sent);
}

# what the log says of the hold where a state was last set or armed again, in
# first holds
sub last_hold {
    my @holds = $nginx->log
        =~ /graph policy state (?:set|re-armed).*, hold: (\d+m?s)\b/g;

    my ($number, $unit) = ($holds[-1] // '') =~ /^(\d+)(.*)/ or return;
    return $number / ($unit eq 'ms' ? 1000 : 1) / $hold;
}

# when the state began, in the words of the local answer
sub since {
    my ($answer) = @_;

    my $json = eval { decode_json($answer->{body}) } or return;
    my ($since) = $json->{error}{error_data}{details}
        =~ /since (\S+?Z)/;

    return $since;
}
