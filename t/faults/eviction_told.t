#!/usr/bin/perl

# Each state in force that has to leave a full zone is told of, in the error log
# and in the event log, whatever takes its place.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use GraphPolicy qw(slurp wait_until);
use GraphPolicy::Kept;
use GraphPolicy::Webhook qw(payload entry messages);

my $kept = GraphPolicy::Kept->new;
my $log  = $kept->dir . '/events';

# the zone whose states are in the file, of that size
sub conf {
    my ($size) = @_;
    my $file = $kept->file;

    return <<"END";
graph_policy_zone zone=z:$size state=$file;
graph_policy_zone zone=tiny:32k;
graph_policy_zone zone=pages:32k;
graph_policy_event_log $log;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy_hold 1h;

    location /webhook {
        graph_policy                     zone=tiny;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /tiny/ {
        graph_policy          zone=tiny;
        graph_policy_cooldown on;
        graph_policy_rule     4 temporary scope=phone wait=1h;
        proxy_pass            http://127.0.0.1:%GRAPH%;
    }
    location /pages/ {
        graph_policy zone=pages;
        proxy_pass   http://127.0.0.1:%GRAPH%;

        location /pages/long/ {
            graph_policy_account \$http_x_account;
            proxy_pass           http://127.0.0.1:%GRAPH%;
        }
    }
    location /graph/ {
        graph_policy_api write=on;
    }
}
END
}

$kept->start(secrets => ['aSecret'], http => conf('1m'));

my $nginx = $kept->nginx;

# evictions of a zone as the counter, the log and the event log have them
sub evictions {
    my ($zone) = @_;

    my $all    = $kept->api->get("zones/$zone")->{json}{counters}{evictions};
    my @lines  = grep { / graph policy state evicted, .* zone: "$zone"/ }
        split /\n/, $nginx->log;
    my @events = grep { /"event":"evicted"/ && /"zone":"$zone"/ }
        split /\n/, slurp($log);

    return ($all, scalar @lines, scalar @events, \@events);
}

sub are_told {
    my ($name, $zone, $least) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($all, $lines, $events) = evictions($zone);

    cmp_ok($all, '>=', $least, "$name: there are some");
    is($lines, $all, "$name: each has its line in the error log");
    is($events, $all, "$name: and in the event log");
    return $all;
}


# -- the account of a phone ---------------------------------------------------

for (1 .. 300) {
    $kept->send($kept->new_phone, '429 4', in => 'tiny');
    last if (evictions('tiny'))[0];
}

my $before = are_told('full of cool-downs', 'tiny', 1);

for (1 .. 3) {
    my $answer = $kept->hook->deliver(payload(entry('777',
        time => time, messages(phone => $kept->new_phone, statuses => []))));
    is($answer->{status}, 200, "phone $_ of an account");
}

are_told('a phone\'s account', 'tiny', $before + 1);


# -- a long key, without its trace, takes the place of one state -------------

for (1 .. 300) {
    $kept->send($kept->new_phone, '400 133010', in => 'pages');
    last if (evictions('pages'))[0];
}

$before = are_told('full of states', 'pages', 1);

$kept->send(4000, '400 131042 trace=' . 'T' x 64, in => 'pages/long',
    headers => ['X-Account' => 'x' x 64]);

is(are_told('a long key', 'pages', $before + 1), $before + 1,
    'a long key takes the place of one state');


# -- a state file that has more than there is room for ------------------------

$kept->put($kept->new_phone) for 1 .. 300;
ok($kept->settle, '300 states are saved');
is((evictions('z'))[0], 0, 'none had to leave');

# a test of the configuration reads it, too, and tells nobody
$nginx->configure($kept->hook->filled(conf('32k')));
is(system(join(' ', $nginx->command('-q', '-t'), '2>/dev/null')), 0,
    'a test of the configuration with a zone of 32k');
is((evictions('z'))[2], 0, 'tells of nothing');

ok($nginx->reload, 'a reload with it');

my $left = () = $kept->api->states('z');
my $all  = are_told('a file that is too long', 'z', 200);

cmp_ok($left + $all, '>=', 300, 'those that are left, and those that are told');
is_deeply([grep { !/"request_id":""/ } @{ (evictions('z'))[3] }], [],
    'no request has done it');

done_testing();
