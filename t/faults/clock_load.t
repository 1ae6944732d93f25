#!/usr/bin/perl

# The clock of the host jumps an hour back and an hour on, again and again, under
# load: no send is lost, none reaches the Graph API twice, what blocks does so no
# longer than it may, and of what is due one send at a time is the probe.
#
# Environment:
#   CLOCK_STEPS  steps of the clock (6)

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Time::HiRes qw(sleep);

use GraphPolicy qw(finish_requests wait_until);
use GraphPolicy::Api;
use GraphPolicy::Clock;
use GraphPolicy::Ends qw(passing flapping);

plan skip_all => GraphPolicy::Clock::missing() if GraphPolicy::Clock::missing();

my $steps = $ENV{CLOCK_STEPS} || 6;
my $clock = GraphPolicy::Clock->new;
my $graph = GraphPolicy::Graph->start;
my $nginx = $clock->within(sub { GraphPolicy::Nginx->start(graph => $graph,
    workers => 2, @_, http => <<'END') });
graph_policy_zone zone=z:1m;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy      zone=z;
    graph_policy_hold 10m;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /fast/ {
        graph_policy_hold 20ms max=20ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /again/ {
        graph_policy_retry attempts=3 base=20ms max=20ms unknown=2
                           budget_min=10000;
        proxy_pass         http://127.0.0.1:%GRAPH%;
    }
    location /late/ {
        graph_policy_retry attempts=20 base=200ms factor=1 unknown=19
                           deadline=1s budget_min=10000;
        proxy_pass         http://127.0.0.1:%GRAPH%;
    }
    location = /clock {
        return 200 $msec;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
}
END

my $api  = GraphPolicy::Api->new(port => $nginx->port);
my $held = 1;

is($nginx->request(path => "/$held/messages", token => 'a',
    mock => '400 131042')->{status}, 400, 'a phone is blocked');

# By an hour back its hold seems to end too far ahead, by an hour on it is over:
# either makes the state due, and the probe fails.
my $ends = GraphPolicy::Ends->new(nginx => $nginx, graph => $graph, kinds => {
    open  => passing('/77/messages'),
    held  => { right => qr/^400 (?:blocked 0|probe 1)\z/, send => sub {
        (path => "/$held/messages", token => 'a', mock => '400 131042') } },
    again => { right => qr/^200 retried 2\z/, send => sub {
        (path => '/again/78/messages', token => 'a',
            mock => '500 131016 | 200') } },
    fast  => flapping('/fast/79/messages'),
});

my $got = $ends->while("$steps steps of the clock", sub {
    for my $step (1 .. $steps) {
        $clock->step($step % 2 ? -3600 : 3600);
        ok(wait_until(sub {
            my $answer = $nginx->request(method => 'GET', path => '/clock');
            return abs($answer->{body} - $clock->now) < 60;
        }), "step $step");
        $ends->go_on(60);
    }
});

my $probes = $got->{held}{'400 probe 1'} // 0;

cmp_ok($probes, '>', 0, 'what blocks is probed after a step');

# workers look at the clock one after the other
cmp_ok($probes, '<=', 3 * $steps, 'by a few sends for each of them');
cmp_ok($got->{fast}{'200 probe 1'} // 0, '>', 0, 'states end all the while');

# what a request may wait for doesn't go by the time of day
for my $step (-3600, 3600) {
    my $late = $nginx->start_request(path => '/late/80/messages', token => 'a',
        mock => '500 131016', timeout => 60);

    $graph->clear;
    $graph->wait_for(1);
    $clock->step($step);
    my ($answer) = finish_requests($late);

    is($answer->{status}, 500, "$step s: a request that is sent again");
    cmp_ok($answer->{time}, '<', 2.5, "$step s: no longer than its deadline");
    cmp_ok($answer->{headers}{'x-graph-attempts'} // 0, '>', 2,
        "$step s: nor shorter");
}

is($nginx->request(path => "/$held/messages", token => 'a',
    mock => '200')->{headers}{'x-graph-policy'}, 'blocked',
    'and what blocks still does');
is(scalar(() = $api->find('z', key => $held)), 1, 'by its one state');
is_deeply([$nginx->complaints], [], 'nobody complains');

done_testing();
