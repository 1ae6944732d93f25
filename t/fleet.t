#!/usr/bin/perl

# A fleet: what one host learns the others know, what one ends is over on all
# of them, and one host probes for all.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(wait_until slow);
use GraphPolicy::Fleet;
use Time::HiRes qw(time sleep);

my $fleet = GraphPolicy::Fleet->start(nodes => 3, workers => 2,
    hold => '2s max=2s');
my ($graph, $redis) = ($fleet->graph, $fleet->redis);

is_deeply([map { $fleet->sync($_)->{nodes} } 0 .. 2], [3, 3, 3],
    'three hosts know of each other');


# -- what is set --------------------------------------------------------------

my %set = (
    account   => ['/101/messages', '400 131042', 'tok', '/101/messages'],
    phone     => ['/102/messages', '400 133010', 'tok', '/102/messages'],
    token     => ['/103/messages', '401 190', 'secret', '/104/messages'],
);

for my $kind (sort keys %set) {
    my ($path, $mock, $token, $other) = @{ $set{$kind} };

    $fleet->send(0, $path, $mock, token => $token);
    $fleet->agree;
    my $count = $graph->count;
    my $answer = $fleet->blocked(1, $other, token => $token);

    is($answer->{headers}{'x-graph-policy'}, 'blocked',
        "$kind: what one host learnt another one answers by");
    is($graph->count - $count, 0, "$kind: and Graph isn't asked");
}

ok(!$fleet->blocks(1, '/103/messages', token => 'another'),
    'another token passes there, too');

is($fleet->send(2, '/102/messages')->{headers}{'x-graph-state'},
    $fleet->send(1, '/102/messages')->{headers}{'x-graph-state'},
    'the id of a state is the same on all hosts');

$fleet->send(0, '/105/messages', '400 133010');
$fleet->send(1, '/106/messages', '400 133010');
$fleet->agree;
like($fleet->blocked(2, '/105/messages')->{body},
    qr/Several phone numbers are disconnected/,
    'phones that two hosts learnt of are several on the third');

my $known = $fleet->agree;
ok($known, 'all hosts know the same of every state');

my %node = map { $_ => 1 } map { $_->{node} // '' }
    values %{ $fleet->states(2) };
is(keys %node, 2, 'a state says which host changed it last');
ok($node{ $fleet->sync(0)->{node} }, 'by the name that the host itself says');


# -- what ends ----------------------------------------------------------------

sleep 2.3;
my ($probe) = grep {
    ($fleet->send($_, '/102/messages')->{headers}{'x-graph-policy'} // '')
        eq 'probe'
} 0 .. 2;
ok(defined $probe, 'one host probes');
ok(wait_until(sub { !grep { $fleet->blocks($_, '/102/messages') } 0 .. 2 }, 2),
    'its success ends the state on all');

my ($id) = grep { $fleet->states(0)->{$_}{key} // '' eq '101' }
    keys %{ $fleet->states(0) };
my $hand = $fleet->api(2, POST => 'zones/z/states', { scope => 'phone',
    key => '107', reason => 'phone-disconnected', hold => '1h' });
ok($hand->{id}, 'a state is set by hand');
is($fleet->blocked(0, '/107/messages')->{headers}{'x-graph-policy'}, 'blocked',
    'what is set by hand on one host holds on another');

is($fleet->api(1, DELETE => "zones/z/states/$hand->{id}"), 204,
    'and may be ended on the third');
ok(wait_until(sub { !$fleet->blocks(0, '/107/messages') }, 2),
    'which ends it on all');

my $frozen = $fleet->api(0, POST => 'zones/z/states', { scope => 'account',
    key => 'acme', reason => 'billing', probe => JSON::PP::false });
ok(wait_until(sub { $fleet->states(2)->{ $frozen->{id} } }, 2),
    'a frozen one is known');
is($fleet->states(2)->{ $frozen->{id} }{until}, $frozen->{until},
    'and as frozen');

is($fleet->api(1, DELETE => 'zones/z/states'), 204, 'all are ended on one');
ok(wait_until(sub { !keys %{ $fleet->states(0) } && !keys
    %{ $fleet->states(2) } }, 3), 'and are over on all');


# -- one probe a fleet --------------------------------------------------------

$fleet->send(0, '/201/messages', '400 131042');
$fleet->agree;
$graph->clear;
sleep 2.1;

# all at once, for as long as the probe is out
my $out = $fleet->node(0)->start_request(path => '/201/messages',
    token => 'tok', mock => '400 131042 wait=probe',
    body => '{"to":"15550001111"}');
my $first = wait_until(sub { $graph->count == 1 }, 1);

if (!$first) {
    $out = $fleet->node(0)->start_request(path => '/201/messages',
        token => 'tok', mock => '400 131042 wait=probe',
        body => '{"to":"15550001111"}');
    $first = wait_until(sub { $graph->count == 1 }, 1);
}

ok($first, 'a probe is on its way from the first host');
ok(wait_until(sub {
    my ($state) = values %{ $fleet->states(1) };
    $state->{probing};
}, 2), 'the others know that it is out');
is((grep { $fleet->blocks($_, '/201/messages') } 1, 2), 2,
    'and send none of their own');
is($graph->count, 1, 'so that Graph sees one');

$graph->release('probe');
ok(wait_until(sub {
    (grep { $_->{holds} == 2 } map { values %{ $fleet->states($_) } } 0 .. 2)
        == 3
}, 2), 'what it found all of them know');


# -- how fast -----------------------------------------------------------------

my @took;
my $tries = 40;

for my $n (1 .. $tries) {
    my $path = '/' . (3000 + $n) . '/messages';
    my $from = $n % 3;
    my $to = ($n + 1) % 3;

    $fleet->send($from, $path, '400 133010');
    my $begun = time;
    my $there = wait_until(sub { $fleet->blocks($to, $path) }, 2);
    push @took, $there ? time - $begun : 9;
}

@took = sort { $a <=> $b } @took;
cmp_ok($took[$tries / 2], '<', 0.05 * slow(),
    sprintf 'half of the news is there within 50 ms (%.1f ms)',
    $took[$tries / 2] * 1000);
cmp_ok($took[-1], '<', 0.5 * slow(),
    sprintf 'all of it within half a second (%.1f ms)', $took[-1] * 1000);


# -- temporary states ---------------------------------------------------------

my $cool = GraphPolicy::Fleet->start(nodes => 2, graph => $graph,
    redis => $redis, sync => 'prefix=cool:', location =>
    'graph_policy_cooldown on;');

$cool->send(0, '/401/messages', '429 130429');
is($cool->blocked(1, '/401/messages')->{headers}{'x-graph-policy'}, 'blocked',
    'a host cools down with the one that was told to');


# -- what the engine sees -----------------------------------------------------

my $dump = join ' ', map { ref $_ ? @$_ : $_ // '' }
    @{ $redis->command('HGETALL', 'graph_policy:{z}:states') || [] };
unlike($dump, qr/secret|tok"|15550001111/, 'no token and no recipient is there');
like($dump, qr/"state":"phone"/, 'but states are');

is_deeply([$fleet->complaints, $cool->complaints], [],
    'nothing in the log to worry about');

done_testing;
