#!/usr/bin/perl

# What became of a state since it began: GET of the state tells it, by the words
# of the event log, and of nothing but that state.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Time::HiRes qw(sleep time);

use GraphPolicy qw(slow slurp wait_until);
use GraphPolicy::Fleet;

# a first hold that a test can wait for, in milliseconds
my $hold = 200 * slow();

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 2,
    http => <<"END");
graph_policy_event_log %DIR%/events.log;
graph_policy_zone zone=z:1m;
graph_policy_zone zone=tiny:204k;
server {
    listen            127.0.0.1:%PORT%;
    graph_policy      zone=z;
    graph_policy_hold ${hold}ms max=1h;
    graph_policy_conversation on;
    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /long/ {
        graph_policy_hold 1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /api/ {
        graph_policy_api write=on;
    }
}
END

sub api {
    my ($method, $path, $body) = @_;
    my $answer = $nginx->request(method => $method, path => "/api/$path",
        defined $body ? (headers => ['Content-Type' => 'application/json'],
            body => JSON::PP::encode_json($body)) : ());

    return $answer->{status} == 204 ? undef
        : JSON::PP::decode_json($answer->{body});
}

sub send_message {
    my ($phone, $mock, $under) = @_;
    my $answer = $nginx->request(path => ($under // '') . "/v25.0/$phone/messages",
        token => 'EAAFAKEtoken', mock => $mock,
        headers => ['Content-Type' => 'application/json'],
        body => '{"to":"15550001111","type":"text"}');

    return "$answer->{status} " . ($answer->{headers}{'x-graph-policy'} // '-');
}

# until the hold is over and a send is the probe
sub probe {
    my ($phone, $mock) = @_;
    return wait_until(sub { send_message($phone, $mock) =~ /probe/ }, 20);
}

sub state_of {
    my ($key, $zone) = @_;
    my $all = api(GET => 'zones/' . ($zone // 'z') . "/states?key=$key");

    # a fingerprint may have these digits as well
    my ($state) = grep { ($_->{key} // '') eq $key } @{ $all->{states} };

    return api(GET => 'zones/' . ($zone // 'z') . "/states/$state->{id}");
}

sub words { join ' ', map { $_->{event} } @{ $_[0]{events} } }


# -- the life of a state ------------------------------------------------------

send_message(1001, '400 133010');
is(send_message(1001, '200'), '400 blocked', 'a phone is paused');

my $state = state_of(1001);
my ($set) = @{ $state->{events} };

is(words($state), 'set', 'it was set, and nothing else happened');
is_deeply({ %$set, time => 0 }, { time => 0, event => 'set', code => 133010,
    source => 'answer', hold => int(($hold + 999) / 1000) },
    'by which code, by whom, and for how long');
is($set->{time}, $state->{since}, 'when it began');

ok(probe(1001, '400 131000'), 'a probe that tells nothing');
like(words(state_of(1001)), qr/^set probe inconclusive$/, 'is told, and what it came to');

SKIP: {
    # after an inconclusive probe it waits for min(hold, 5s)
    ok(probe(1001, '400 133010 trace=Again'), 'a probe that Meta refuses');
    $state = state_of(1001);
    is(words($state), 'set probe inconclusive probe rearmed',
        'the state is set again');
    is($state->{events}[-1]{hold}, int((2 * $hold + 999) / 1000),
        'for twice as long');
}

my @times = map { $_->{time} } @{ $state->{events} };
is_deeply(\@times, [sort @times], 'in the order of time');

api(POST => 'zones/z/states', { scope => 'phone', key => '1001',
    reason => 'phone-disconnected', probe => JSON::PP::false });
$state = state_of(1001);
is(words($state), 'set probe inconclusive probe rearmed rearmed', 'frozen by hand');
is_deeply([@{ $state->{events}[-1] }{qw(source hold code)}], ['api', undef, undef],
    'with no end');

api(DELETE => "zones/z/states/$state->{id}");
is(api(GET => "zones/z/states/$state->{id}")->{error}{code}, 404,
    'what is cleared is gone');
send_message(1001, '400 133010');
$state = state_of(1001);
is(words($state),
    'set probe inconclusive probe rearmed rearmed cleared rearmed',
    'what comes back soon goes on, with its past');

my @log = map { JSON::PP::decode_json($_) } split /\n/,
    slurp($nginx->dir . '/events.log');
is_deeply([grep { $_ ne 'inconclusive' } split / /, words($state)],
    [map { $_->{event} } grep { $_->{state} eq $state->{id} } @log],
    'the event log says the same');

unlike(JSON::PP::encode_json($state), qr/EAAFAKE|15550001111/,
    'no token, and no recipient');


# -- and of others ------------------------------------------------------------

send_message(1002, '400 133010', '/long');
is(words(state_of(1002)), 'set', 'another phone has a past of its own');
is_deeply([grep { exists $_->{events} } @{ api(GET => 'zones/z/states')->{states} }],
    [], 'a list has none');

send_message(1003, '400 131047');
my ($talk) = @{ api(GET => 'zones/z/states?scope=conversation')->{states} };
ok($talk, 'a conversation is limited');
is(api(GET => "zones/z/states/$talk->{id}")->{events}, undef,
    'of conversations none is kept');

api(POST => 'zones/tiny/states', { scope => 'phone', key => '1001',
    reason => 'other', hold => '1h' });
my $tiny = state_of(1001, 'tiny');
ok(exists $tiny->{events} && !defined $tiny->{events},
    'a zone that is too small keeps none');

# more than are kept
for (1 .. 70) {
    api(POST => 'zones/z/states', { scope => 'phone', key => '1002',
        reason => 'phone-disconnected', hold => "${_}m" });
}
$state = state_of(1002);
is(scalar @{ $state->{events} }, 50, 'of many the last 50 are told');
is($state->{events}[-1]{hold}, 4200, 'the newest one is the last');

$nginx->reload;
ok(wait_until(sub { my $s = state_of(1002);
    $s->{events} && @{ $s->{events} } == 50 }), 'a reload keeps them');

is_deeply([$nginx->complaints], [], 'nothing is wrong in the log');


# -- in a fleet ---------------------------------------------------------------

SKIP: {
    skip 'there is no redis-server', 4
        if system('redis-server --version >/dev/null 2>&1');

    my $fleet = GraphPolicy::Fleet->start(nodes => 2, graph => $graph,
        hold => '1h');
    my $id = $fleet->api(0, POST => 'zones/z/states', { scope => 'phone',
        key => '2001', reason => 'other' })->{id};

    ok(wait_until(sub { $fleet->blocks(1, '/2001/messages') }),
        'a state comes from another host');

    my $here  = $fleet->api(0, GET => "zones/z/states/$id")->{events};
    my $there = $fleet->api(1, GET => "zones/z/states/$id")->{events};

    ok(!exists $here->[0]{told}, 'the host where it happened says nothing of it');
    is(words({ events => $there }), 'set', 'the other one knows that it was set');
    ok($there->[0]{told}, 'and that it was told so');
}

done_testing;
