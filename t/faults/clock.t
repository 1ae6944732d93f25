#!/usr/bin/perl

# The clock of the host is set while nginx runs, an hour back and an hour on, as
# a virtual machine does it that was paused or that finds its time server late.
# No block gets longer by it, none is forgotten, and nothing stops learning.
# libfaketime gives nginx the clock; its timers run on as they do on a host,
# where they don't depend on the time of day.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Time::HiRes qw(sleep time);

use GraphPolicy qw(finish_requests slow wait_until);
use GraphPolicy::Api;
use GraphPolicy::Clock;
use GraphPolicy::Webhook qw(payload entry messages status inbound short);

plan skip_all => GraphPolicy::Clock::missing() if GraphPolicy::Clock::missing();

# how long everything blocks, and how long that may take: the hold is jittered
# upwards by a tenth, and there is a probe
my $hold     = 2;
my $patience = $hold * 1.1 + 1 * slow();

my $clock = GraphPolicy::Clock->new;

my $hook  = start();
my $nginx = $hook->nginx;
my $graph = $hook->graph;
my $api   = GraphPolicy::Api->new(port => $nginx->port, base => '/graph/');

my $phones = 1000;


# -- back, while something blocks ---------------------------------------------

{
    my @cleared = (new_phone(), new_phone());

    for my $phone (@cleared) {
        $hook->send($phone, in => 'fast', script => '400 133010');
        is_ended($phone, 'before the step, a state', in => 'fast');
    }

    my %blocked = arm('before the step');

    step(-3600);
    my $stepped = time;

    is_soon_over(\%blocked, $stepped, 'an hour back');

    is(states_of($blocked{state}[0]), 0,
        'an hour back: a success clears a state that was set before');
    is_set($blocked{state}[0], 'an hour back, where a state was cleared since');
    is_told($cleared[0], now(), 'an hour back, where one was cleared before');
    $hook->send($cleared[1], script => '400 133010');
    # the reason may be that of several phones of one credential
    $hook->is_blocked($cleared[1], '', 'an hour back, by an error, too');
}


# -- what is learnt after it --------------------------------------------------

{
    learns('an hour back');

    my ($phone, $early) = (new_phone(), new_phone());

    # as when Meta's clock is right, and this one isn't: docs/webhooks.md
    $hook->is_received(report($early, int time), 'an event of the next hour');
    $hook->is_open($early, 'an event of the next hour sets nothing');
    is_told($early, now(), 'an hour back, after an event of the next hour');

    $hook->send($phone, in => 'fast', script => '400 131042');
    is_ended($phone, 'an hour back, a state', in => 'fast');
    is_told($phone, now(), 'an hour back, of a phone that was clear again');
}


# -- on, while something blocks -----------------------------------------------

{
    my %blocked = arm('before the next step');
    my ($cured, $ill) = (new_phone(), new_phone());

    for my $phone ($cured, $ill) {
        $hook->send($phone, in => 'long', script => '400 131042');
        $hook->is_blocked($phone, 'billing', 'for ten minutes',
            in => 'long');
    }

    step(3600);
    my $stepped = time;

    is(states_of($_), 1, 'an hour on: a state is still there') for $cured, $ill;

    is_probed_once($cured, '200', 'an hour on, cured');
    is($hook->is_open($cured, 'an hour on, cured', in => 'long')->{status},
        200, 'which ends the state');
    is_probed_once($ill, '400 131042', 'an hour on, not cured');
    $hook->is_blocked($ill, 'billing 131042', 'which is re-armed',
        in => 'long');

    is_soon_over(\%blocked, $stepped, 'an hour on');
}


# -- and after that -----------------------------------------------------------

learns('an hour on');

$api->is_clean;
$hook->is_discreet;

done_testing();


# -- helpers ------------------------------------------------------------------

sub start {
    return $clock->within(sub { GraphPolicy::Webhook->start(
        secrets => ['s3cretOfTheApp'], http => conf(), @_) });
}

sub conf {
    return <<"END";
graph_policy_zone zone=z:1m;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy              zone=z;
    graph_policy_hold         ${hold}s;
    graph_policy_cooldown     on;
    graph_policy_conversation on hold=${hold}s;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /fast/ {
        graph_policy_hold 50ms;
        proxy_pass        http://127.0.0.1:%GRAPH%/;
    }
    location /long/ {
        graph_policy_hold 10m;
        proxy_pass        http://127.0.0.1:%GRAPH%/;
    }
    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
    location = /clock {
        graph_policy off;
        return 200 \$msec;
    }
}
END
}

sub new_phone { return ++$phones }

# the second that nginx has
sub now { return int $clock->now }

sub step {
    my ($seconds) = @_;

    $clock->step($seconds);

    ok(wait_until(sub {
        my $answer = $nginx->request(method => 'GET', path => '/clock');
        return abs($answer->{body} - $clock->now) < 60;
    }), "the clock of nginx is set by $seconds seconds");
}

sub states_of {
    my ($phone) = @_;

    return scalar grep { ($_->{key} // '') eq $phone }
        @{ $api->get('zones/z/states?limit=1000')->{json}{states} };
}

# One of each kind that blocks: the phone, and what its first send gets.
sub arm {
    my ($when) = @_;

    my %kinds = (
        'state'        => ['400 131042', 'billing 131042'],
        'cool-down'    => ["400 130429 header=Retry-After:$hold", ''],
        'conversation' => ['400 131047', 'window-expired 131047'],
    );
    my %armed;

    for my $kind (sort keys %kinds) {
        my ($script, $reason) = @{ $kinds{$kind} };
        my $phone = new_phone();

        is(short($hook->send($phone, script => $script)), '400 passed 1',
            "$when, $kind: an error");
        $hook->is_blocked($phone, $reason, "$when, $kind");
        $armed{$kind} = [$phone];
    }

    return %armed;
}

# Everything that was armed passes within its hold, counted from the step, and
# says nothing longer until then.
sub is_soon_over {
    my ($armed, $stepped, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my (%over, %told);

    wait_until(sub {
        for my $kind (grep { !exists $over{$_} } keys %$armed) {
            my $answer  = $hook->send($armed->{$kind}[0]);
            my $headers = $answer->{headers};

            $over{$kind} = time - $stepped if $answer->{status} == 200;

            for (grep { defined } @$headers{qw(retry-after x-graph-hold)}) {
                $told{$kind} = $_ if $_ > ($told{$kind} // 0);
            }
        }

        sleep 0.05;
        return keys %over == keys %$armed;
    }, $patience + 1);

    for my $kind (sort keys %$armed) {
        ok(defined $over{$kind} && $over{$kind} <= $patience,
            "$name: a $kind blocks no longer than its hold")
            or diag($over{$kind} // 'it still blocks');
        cmp_ok($told{$kind} // 0, '<=', $hold + 1,
            "$name: a $kind tells nobody to wait longer");
    }
}

# a send ends the state of that phone, which is due in a moment
sub is_ended {
    my ($phone, $name, @of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $answer = wait_until(sub {
        my $answer = $hook->send($phone, @of);
        return $answer->{seen} ? $answer : undef;
    }, 3);

    is($answer && short($answer), '200 probe 1', "$name: is probed");
    is(states_of($phone), 0, "$name: a success clears it");
}

sub is_set {
    my ($phone, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(short($hook->send($phone, script => '400 131042')), '400 passed 1',
        "$name: an error");
    $hook->is_blocked($phone, 'billing 131042', "$name: sets a state");
}

# The webhook that says that a message of that phone failed at that second. Each
# phone has an account of its own: two that are disconnected are another reason.
sub report {
    my ($phone, $at) = @_;

    return payload(entry("2$phone", messages(phone => $phone,
        statuses => [status(133010, at => $at)])));
}

sub is_told {
    my ($phone, $at, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $hook->is_received(report($phone, $at), "$name, a webhook");
    $hook->is_blocked($phone, 'phone-disconnected 133010',
        "$name, a webhook: sets a state");
}

# errors, webhooks and successes teach what they always do
sub learns {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($phone, $writes) = (new_phone(), new_phone());

    is_set(new_phone(), $name);
    is_told(new_phone(), now(), $name);

    $hook->send($phone, in => 'fast', script => '400 131042');
    is(states_of($phone), 1, "$name: a state of a short hold");
    is_ended($phone, "$name, it", in => 'fast');

    # the customer writes in the second after the error, or in the same
    $hook->send($writes, script => '400 131047');
    $hook->is_blocked($writes, 'window-expired', "$name, a conversation");
    $hook->is_received(payload(entry("2$writes", messages(phone => $writes,
        messages => [inbound(at => now() + 1)]))), "$name, the customer");
    $hook->is_open($writes, "$name, when the customer wrote");
}

# While a send is at the Graph API no other one gets there; "script" is its
# answer.
sub is_probed_once {
    my ($phone, $script, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $seen  = $graph->count;
    my $probe = $nginx->start_request($hook->sending($phone, in => 'long',
        script => "$script wait=$phone"));

    wait_until(sub { $graph->count > $seen }, 3);

    # the first credential may have the probe that is its own
    my @others = map { short($hook->send($phone, in => 'long',
        token => "other-$_")) } 1 .. 4;

    $graph->release($phone);
    my ($answer) = finish_requests($probe);

    is_deeply(\@others, [('400 blocked 0') x 4],
        "$name: beside the probe the others are blocked");
    is($answer->{headers}{'x-graph-policy'}, 'probe', "$name: one is a probe");
    is($graph->count, $seen + 1, "$name: the Graph API got that one");
}
