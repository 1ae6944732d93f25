#!/usr/bin/perl

# Conversations of a fleet, where it shares them: a limit that one host met
# holds on all, what the customer writes reaches one host and opens the
# conversation on all, and nobody can read to whom messages go.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(wait_until slow spew slurp);
use GraphPolicy::Fleet;
use GraphPolicy::Webhook qw(signature payload entry messages status inbound);
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

my $temp = File::Temp->newdir('graph_secrets.XXXXXX', TMPDIR => 1);
chmod 0755, "$temp";
spew("$temp/secrets", "s3cretfake\n");

my $app   = GraphPolicy::Graph->start;
my $graph = GraphPolicy::Graph->start;
my $redis = GraphPolicy::Redis->start;

my $conversation = 'graph_policy_conversation on hold=10m;'
    . ' graph_policy_cooldown on;';
my %fleet = (graph => $graph, redis => $redis, hold => '1h max=1h',
    location => $conversation);

# each host gets webhooks in a server of its own
my @ports;

sub http {
    my $port = GraphPolicy::free_ports(1);
    push @ports, $port;
    return <<"END";
    server {
        listen 127.0.0.1:$port;
        location / {
            graph_policy zone=z;
            graph_policy_webhook on;
            graph_policy_webhook_secret_file $temp/secrets;
            proxy_pass http://127.0.0.1:${\ $app->port};
        }
    }
END
}

my $to    = 15550001111;
my $phone = 5000;

# a message by host i; what the answer's X-Graph-Policy is
sub message {
    my ($fleet, $i, $path, $mock) = @_;

    return send_to($fleet, $i, $path, $mock // '400 132000', $to);
}

sub send_to {
    my ($fleet, $i, $path, $mock, $to) = @_;

    my $answer = $fleet->node($i)->request(path => $path, token => 'tok',
        mock => $mock, headers => ['Content-Type' => 'application/json'],
        body => qq({"to":"$to","type":"text","text":{"body":"hello-text"}}));
    return $answer->{headers}{'x-graph-policy'} // '';
}

sub hook {
    my ($i, $change) = @_;

    my $body = payload(entry('2001', $change));
    my $answer = GraphPolicy::request(port => $ports[$i], path => '/',
        mock => '200', headers => ['Content-Type' => 'application/json',
            'X-Hub-Signature-256' => signature($body, 's3cretfake')],
        body => $body);
    is($answer->{status}, 200, 'a webhook is taken') if $answer->{status} != 200;
}

sub soon { return wait_until($_[0], 2 * slow()) }

sub monitor {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $redis->port);
    print $socket "MONITOR\r\n";
    scalar <$socket>;
    return $socket;
}


# -- shared -------------------------------------------------------------------

my $monitor = monitor();
my $fleet = GraphPolicy::Fleet->start(%fleet, alone => 1, nodes => 0,
    sync => 'conversations=on');
$fleet->add(http => http()) for 1 .. 2;
$fleet->settle;

for (
    ['an expired window', 131047, 'window-expired'],
    ['a customer who cannot be reached', 131026, 'undeliverable'],
    ['a pair that is too fast', 131056, 'pair-rate-limit'],
) {
    my ($name, $code, $reason) = @$_;
    my $path = '/' . ++$phone . '/messages';

    isnt(message($fleet, 0, $path, "400 $code"), 'blocked', "$name: A asks");
    ok($fleet->agree, "$name: both know the same");
    my $count = $graph->count;
    is(message($fleet, 1, $path), 'blocked', "$name: B's gate blocks");
    is($graph->count, $count, "$name: and B hasn't asked");

    is(send_to($fleet, 1, $path, '200', 19998887777), '',
        "$name: another customer of that phone gets it");

    my ($state) = grep { $_->{reason} eq $reason } values %{ $fleet->states(1) };
    is($state->{scope}, 'conversation', "$name: the API of B has it");
    is($state->{node}, $fleet->sync(0)->{node}, "$name: and by whom");
}

{
    my $path = '/' . ++$phone . '/messages';

    message($fleet, 0, $path, '400 131047');
    ok(soon(sub { message($fleet, 1, $path) eq 'blocked' }), 'a limit');
    hook(1, messages(phone => $phone, messages => [inbound(from => $to)]));
    isnt(message($fleet, 1, $path), 'blocked', 'the customer writes to B');
    ok(soon(sub { message($fleet, 0, $path) ne 'blocked' }),
        'which opens the conversation on A');

    message($fleet, 1, $path, '400 131047');
    ok(soon(sub { message($fleet, 0, $path) eq 'blocked' }),
        'a newer limit closes it again');
    my ($id) = grep { my $state = $fleet->states(0)->{$_};
        $state->{reason} eq 'window-expired' && $state->{node}
            eq $fleet->sync(1)->{node} } keys %{ $fleet->states(0) };
    is($fleet->api(0, DELETE => "zones/z/states/$id"), 204, 'ended by hand');
    ok(soon(sub { message($fleet, 1, $path) ne 'blocked' }),
        'which ends it on the other host');
}

# who hears of a limit and knows that the customer has written since says so
{
    my $path = '/' . ++$phone . '/messages';
    my $late = status(131047, at => int(time) - 8, to => $to);

    hook(1, messages(phone => $phone, messages => [inbound(from => $to,
        at => int(time) - 4)]));
    hook(0, messages(phone => $phone, statuses => [$late]));
    is(message($fleet, 0, $path), 'blocked', 'a limit that A hears of late');
    ok(wait_until(sub { message($fleet, 0, $path) ne 'blocked' }, 4 * slow()),
        'B knows of a message behind the limit that A heard of, and tells');
    ok($fleet->agree, 'both know the same');
}

# a host that starts now
{
    my $path = '/' . ++$phone . '/messages';

    message($fleet, 0, $path, '400 131026');
    $fleet->add(http => http());
    ok(soon(sub { message($fleet, 2, $path) eq 'blocked' }),
        'a host that starts now knows the limit, too');
    ok($fleet->agree, 'and all that the others know');
    (pop @{ $fleet->{node} })->stop;
}

# an entry put there again after its end
{
    my $path = '/' . ++$phone . '/messages';
    my $states = 'graph_policy:{z}:states';

    message($fleet, 0, $path, '400 131026');
    my %before = @{ $redis->command('HGETALL', $states) };
    hook(0, messages(phone => $phone, messages => [inbound(from => $to)]));
    ok(soon(sub { message($fleet, 1, $path) ne 'blocked' }), 'an end');
    $redis->command('HSET', $states, $_, $before{$_}) for grep { /^c/ }
        keys %before;
    $redis->command('XADD', 'graph_policy:{z}:log', '*', 'e', $before{$_})
        for grep { /^c/ } keys %before;
    sleep 0.3;
    isnt(message($fleet, $_, $path), 'blocked',
        'old entries change nothing where the end is known') for 0, 1;
    $fleet->add(http => http());
    $fleet->settle;
    ok(wait_until(sub { message($fleet, 2, $path) ne 'blocked' }, 5 * slow()),
        'a new host is told of the end');
    (pop @{ $fleet->{node} })->stop;
}

# a flood of limits, which nobody hears for a while
{
    $redis->signal('STOP');
    message($fleet, 0, '/' . (9000 + $_) . '/messages', '400 131026')
        for 1 .. 1500;
    cmp_ok($fleet->sync(0)->{queue}, '<=', 1100,
        'limits take a part of the queue');
    $fleet->send(0, '/4000/messages', '400 133010');
    $redis->signal('CONT');
    ok($fleet->blocked(1, '/4000/messages', seconds => 6 * slow()),
        'and do not keep back news of phones');
    ok($fleet->agree(60), 'what was left out is told when digests differ');
    is(scalar(grep { $_->{scope} eq 'conversation' }
        values %{ $fleet->states(1) }) >= 1500, 1, 'all of it');
}

# hosts compare conversations, too
{
    my $path = '/' . ++$phone . '/messages';

    message($fleet, 0, $path, '400 131026');
    $redis->command('DEL', 'graph_policy:{z}:states');
    $fleet->add(http => http());
    ok(wait_until(sub { message($fleet, 2, $path) eq 'blocked' }, 25 * slow()),
        'what the engine has lost a new host gets as digests differ');
    (pop @{ $fleet->{node} })->stop;
}

$monitor->blocking(0);
my $seen = '';
1 while sysread $monitor, $seen, 65536, length $seen;
like($seen, qr/conversation/, 'conversations go to the engine');
unlike($seen, qr/$to|5550001111|19998887777|hello-text|tok"/,
    'but nothing that tells who they are with, nor what is said');


# -- not shared ---------------------------------------------------------------

@ports = ();
my $off = GraphPolicy::Fleet->start(%fleet, alone => 1, nodes => 0,
    sync => 'prefix=off: conversations=off');
$off->add(http => http()) for 1 .. 2;
$off->settle;

my $path = '/' . ++$phone . '/messages';
message($off, 0, $path, '400 131047');
message($off, 0, '/1/messages', '400 131056');
$off->send(0, '/2/messages', '400 133010');
ok($off->blocked(1, '/2/messages'), 'off: states of phones are shared');
isnt(message($off, 1, $path), 'blocked', 'off: limits are not');
isnt(message($off, 1, '/1/messages'), 'blocked', 'nor are cool-downs of pairs');
unlike(join(' ', @{ $redis->command('HGETALL', 'off:{z}:states') }),
    qr/conversation|pair/, 'nor does the engine see them');


# -- shared by one host -------------------------------------------------------

my $mixed = GraphPolicy::Fleet->start(%fleet, alone => 1, nodes => 0,
    sync => 'prefix=mixed:');
@ports = ();
$mixed->add(http => http(), sync => 'prefix=mixed: conversations=on');
$mixed->add(http => http());
$mixed->settle;

$path = '/' . ++$phone . '/messages';
message($mixed, 0, $path, '400 131047');
message($mixed, 0, '/1/messages', '400 131056');
$mixed->send(0, '/2/messages', '400 133010');
ok($mixed->blocked(1, '/2/messages'), 'one on, one off: states are shared');
isnt(message($mixed, 1, $path), 'blocked', 'limits are not taken');
isnt(message($mixed, 1, '/1/messages'), 'blocked', 'nor cool-downs of pairs');
is($mixed->metric(1, 'sync_received_total', "result=\"$_\""), 0,
    "and none is $_") for qw(unread forged);
sleep 12;
is($mixed->metric($_, 'sync_resyncs_total', 'why="digest"'), 0,
    'their digests do not differ for it') for 0, 1;

is_deeply([$fleet->complaints, $off->complaints, $mixed->complaints], [],
    'nothing in the log to worry about');

done_testing;
