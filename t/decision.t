#!/usr/bin/perl

# A worker keeps what was decided on its last requests. Nobody may notice: what
# changes a state, or whom it covers, decides about the very next send.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use Time::HiRes qw(sleep time);

use GraphPolicy qw(finish_requests slow wait_until);
use GraphPolicy::Api ();
use GraphPolicy::Webhook qw(entry messages payload status);

my $hook = GraphPolicy::Webhook->start(workers => 2,
    secrets => ['s3cretOfTheApp'], http => <<'END');

graph_policy_zone  zone=z:1m;

server {
    listen  127.0.0.1:%PORT% reuseport;

    graph_policy_hold  10m;

    location / {
        graph_policy  zone=z;
        proxy_pass    http://127.0.0.1:%GRAPH%;
    }

    location /short/ {
        graph_policy       zone=z;
        graph_policy_hold  2s max=2s;
        proxy_pass         http://127.0.0.1:%GRAPH%;
    }

    location /cool/ {
        graph_policy           zone=z;
        graph_policy_cooldown  on;
        proxy_pass             http://127.0.0.1:%GRAPH%;
    }

    location /dry/ {
        graph_policy          zone=z;
        graph_policy_dry_run  on;
        proxy_pass            http://127.0.0.1:%GRAPH%;
    }

    location /reads/ {
        graph_policy        zone=z;
        graph_policy_pause  all;
        proxy_pass          http://127.0.0.1:%GRAPH%;
    }

    location /webhook {
        graph_policy                      zone=z;
        graph_policy_webhook              on;
        graph_policy_webhook_secret_file  SECRETS;
        proxy_pass                        http://127.0.0.1:APP;
    }

    location /graph/ {
        graph_policy_api  write=on;
    }
}
END

my ($graph, $nginx) = ($hook->graph, $hook->nginx);
my $api = GraphPolicy::Api->new(port => $nginx->port);
my $next = 1001;

# a state of somebody else's, without which no send would be looked at
put('phone', 1, 'phone-disconnected');


# -- what changes -------------------------------------------------------------

# Each has sends before, of which every worker keeps the decision, a change, and
# what sends get then. Several rounds, as a decision isn't kept for long.

for my $round (1 .. 8) {
    my $phone = $next++;

    is(sends($phone), 'passes', "round $round: a phone without a state");

    my $id = put('phone', $phone, 'phone-disconnected');
    is(sends($phone), 'blocked', 'a state set by hand blocks the next send');

    $api->delete("zones/z/states/$id");
    is(sends($phone), 'passes', 'a state cleared by hand blocks no send more');

    $nginx->request(path => "/$phone/messages", token => 'a',
        mock => '400 133010');
    is(sends($phone), 'blocked', 'an answer that sets a state blocks');

    $api->delete('zones/z/states?scope=phone');
    put('phone', 1, 'phone-disconnected');
    is(sends($phone), 'passes', 'all cleared: nobody is blocked');

    my $account = 900_000 + $phone;
    put('account', $account, 'billing');
    is(sends($phone), 'passes', 'a phone of no account that is known');

    $hook->deliver(payload(entry($account,
        messages(phone => $phone, statuses => [status(undef)]))));
    is(sends($phone), 'blocked', 'a webhook says whose it is');

}

{
    my $phone = $next++;

    sends($phone);
    $hook->deliver(payload(entry(7777, messages(phone => $phone,
        statuses => [status(131042)]))));
    is(sends($phone), 'blocked', 'a webhook that sets a state blocks');
}

# the phones of one account: with the second one the reason is another
{
    my ($one, $two) = ($next++, $next++);

    for my $phone ($one, $two) {
        $hook->deliver(payload(entry(8888,
            messages(phone => $phone, statuses => [status(undef)]))));
    }

    fail_with($one, '400 133010');
    is(reasons($one), 'phone-disconnected', 'one phone is disconnected');

    fail_with($two, '400 133010');
    is(reasons($one), 'phones-disconnected', 'its account is, at once');
    is(reasons($two), 'phones-disconnected', 'as is shown for the other');

    $api->delete('zones/z/states/' . $api->one('z', key => "$two")->{id});
    is(reasons($one), 'phone-disconnected', 'it is alone again, at once');
}


# -- whom a decision is about -------------------------------------------------

{
    my ($phone, $other) = ($next++, $next++);

    fail_with($phone, '404 33', 'a');

    for (1 .. 5) {
        is(sends($phone, token => 'a'), 'blocked', 'this token');
        is(sends($phone, token => 'b'), 'passes', 'not that one');
        is(sends($other, token => 'a'), 'passes', 'not of another phone');
    }
}

{
    my $phone = $next++;

    fail_with($phone, '429 130429', 'a', '/cool');

    for (1 .. 3) {
        is(sends($phone, at => '/cool'), 'blocked', 'a cool-down');
        is(sends($phone), 'passes', 'where there is none');
    }
}

{
    my $phone = $next++;

    put('phone', $phone, 'phone-disconnected');

    for (1 .. 3) {
        is(sends($phone), 'blocked', 'a state');
        is(sends($phone, at => '/dry', mock => '400 100'), 'dry-run',
            'in dry run');
        is(sends($phone, at => '/reads', method => 'GET'), 'blocked',
            'reads, where they pause');
        is(sends($phone, method => 'GET'), 'passes', 'where they do not');
    }
}


# -- what is counted ----------------------------------------------------------

{
    my $phone = $next++;
    my $id = put('phone', $phone, 'phone-disconnected');

    my @answers = $nginx->parallel(map { { path => "/$phone/messages",
        token => 'a' } } 1 .. 200);

    is(scalar(grep { $_->{headers}{'x-graph-policy'} eq 'blocked' } @answers),
        200, '200 sends are blocked');
    is($api->get("zones/z/states/$id")->{json}{blocked}, 200,
        'and each is counted');

    sends($phone, at => '/dry', mock => '400 100');
    is($api->get("zones/z/states/$id")->{json}{blocked}, 200,
        'none that only would be');
}


# -- the end of a hold --------------------------------------------------------

{
    my $phone = $next++;

    fail_with($phone, '400 133010', 'a', '/short');
    $graph->clear;

    my $id    = $api->one('z', key => "$phone")->{id};
    my $until = GraphPolicy::Api::seconds(
        $api->get("zones/z/states/$id")->{json}{until});
    my ($answer, $at);

    for (1 .. 400 * slow()) {
        $at     = time;
        $answer = $nginx->request(path => "/short/$phone/messages",
            token => 'a', mock => '200');

        last if $answer->{headers}{'x-graph-policy'} ne 'blocked';
        sleep 0.01;
    }

    is($answer->{headers}{'x-graph-policy'}, 'probe',
        'when the hold is over a send probes');
    cmp_ok($at, '>=', $until - 0.05, 'not before');
    cmp_ok($at, '<=', $until + 0.2 * slow(), 'and not later');
    is($graph->count, 1, 'it is the one that reaches the Graph API');
    is(sends($phone, at => '/short'), 'passes', 'all follow it');
}

# while a probe is on its way others are blocked, and none of them later
{
    my $phone = $next++;

    fail_with($phone, '400 133010', 'a', '/short');
    sends($phone, at => '/short');
    wait_until(sub { $api->one('z', key => "$phone")->{due} });

    my $probe = $nginx->start_request(path => "/short/$phone/messages",
        token => 'a', mock => "200 wait=p$phone");

    wait_until(sub { $api->one('z', key => "$phone")->{probing} });
    is(sends($phone, at => '/short', token => 'b'), 'blocked',
        'a probe is on its way');

    $graph->release("p$phone");
    finish_requests($probe);
    is(sends($phone, at => '/short', token => 'b'), 'passes',
        'it has succeeded');
}


# -- reload -------------------------------------------------------------------

{
    my $phone = $next++;
    my $id = put('phone', $phone, 'phone-disconnected');

    is(sends($phone), 'blocked', 'before a reload');
    ok($nginx->reload, 'reloaded');
    is(sends($phone), 'blocked', 'after it');
    $api->delete("zones/z/states/$id");
    is(sends($phone), 'passes', 'what is cleared then is cleared');
}

$api->is_clean;
is_deeply([$nginx->complaints], [], 'the log has nothing bad');
done_testing();


# -- helpers ------------------------------------------------------------------

# a state by hand; its id
sub put {
    my ($scope, $key, $reason) = @_;

    my $answer = $api->post('zones/z/states', { scope => $scope,
        key => "$key", reason => $reason, hold => '10m' });

    return $answer->{json}{id} // die "put: $answer->{text}";
}

# one error of Graph's to a send of that phone
sub fail_with {
    my ($phone, $mock, $token, $at) = @_;

    return $nginx->request(path => ($at // '') . "/$phone/messages",
        token => $token // 'a', mock => $mock);
}

# a few sends at once, for both workers: at, token, method, mock
sub answers_to {
    my ($phone, %of) = @_;

    return $nginx->parallel(map { {
        path   => ($of{at} // '') . "/$phone/messages",
        token  => $of{token} // 'a',
        method => $of{method} // 'POST',
        mock   => $of{mock} // '200',
    } } 1 .. 10);
}

# what becomes of all of them, or what becomes of each
sub sends {
    my ($phone, %of) = @_;

    my %seen = map {
        $_->{status} == 200 ? ('passes' => 1)
            : (($_->{headers}{'x-graph-policy'} // $_->{status}) => 1)
    } answers_to($phone, %of);

    return join ' or ', sort keys %seen;
}

sub reasons {
    my ($phone) = @_;

    my %seen = map { ($_->{headers}{'x-graph-error-reason'} // '-') => 1 }
        answers_to($phone);

    return join ' or ', sort keys %seen;
}
