#!/usr/bin/perl

# Reloads one after the other without a pause, and binary upgrades in a row,
# under load: no send is lost, none reaches the Graph API twice, and what is
# known stays known.
#
# Environment:
#   STORM_RELOADS   reloads (40)
#   STORM_UPGRADES  upgrades (4)

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Time::HiRes qw(sleep);

use GraphPolicy qw(wait_until);
use GraphPolicy::Daemon;
use GraphPolicy::Ends qw(passing blocked);
use GraphPolicy::Kept;

my $reloads  = $ENV{STORM_RELOADS} || 40;
my $upgrades = $ENV{STORM_UPGRADES} || 4;
my $workers  = 2;
my $kept     = GraphPolicy::Kept->new;

$kept->start(class => 'GraphPolicy::Daemon', workers => $workers,
    http => <<'END');
graph_policy_zone zone=z:1m state=FILE;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy      zone=z;
    graph_policy_hold 1h;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /fast/ {
        graph_policy_hold 1ms max=1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /again/ {
        graph_policy_retry attempts=3 base=10ms max=10ms unknown=2
                           budget_min=10000;
        proxy_pass         http://127.0.0.1:%GRAPH%;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
}
END

my $nginx = $kept->nginx;
my $held  = $kept->new_phone;

$kept->put($held);
ok($kept->settle, 'a state is saved');

my $known = $kept->known;
my $ends  = GraphPolicy::Ends->new(nginx => $nginx, graph => $kept->graph,
    kinds => {
        open => passing('/77/messages'),
        held => blocked("/$held/messages"),
        slow => { right => qr/^200 - 1\z/, send => sub {
            (path => '/78/messages', token => 'a', mock => '200 after=100') } },
        # errors and probes in turn, so that the zone changes all the time
        fast => { send => sub {
                my ($name, $number) = @_;
                (path => '/fast/' . (100 + $number % 5) . '/messages',
                    token => 'a', mock => $number % 2 ? '200' : '400 133010');
            },
            right => qr/^(?:400\ blocked\ 0|400\ (?:passed|probe)\ 1
                |200\ (?:-|probe)\ 1)\z/x },
        # a worker that is leaving sends nothing again
        again => { right => qr/^(?:200 retried 2|500 passed 1)\z/, send => sub {
            (path => '/again/79/messages', token => 'a',
                mock => '500 131016 | 200') } },
    });

# nothing but what /fast/ does may be another
sub is_known {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $now = $kept->known;

    is_deeply({ map { $_ => $now->{$_} } keys %$known }, $known,
        "$name: what is known stays known");
}

$ends->while("$reloads reloads", sub {
    for (1 .. $reloads) {
        $nginx->signal('HUP');
        sleep 0.05;
    }
});
is_known('reloads');

ok(wait_until(sub { (my @now = $nginx->workers) == $workers }, 20),
    'two workers are left');

$ends->while("$upgrades upgrades", sub {
    for my $n (1 .. $upgrades) {
        my $old = $nginx->pid;
        my @old = ($old, $nginx->workers);

        $nginx->signal('USR2');
        ok($nginx->follow($old), "upgrade $n: a new master and its workers");
        ok($ends->go_on, "upgrade $n: both serve");
        $nginx->stop_master($old, 'QUIT');
        ok($kept->gone(@old), "upgrade $n: the old ones are gone");
    }
});
is_known('upgrades');

ok($kept->settle, 'and states are saved');
is_deeply([$nginx->complaints], [], 'nobody complains');

my @last = ($nginx->pid, $nginx->workers);
$nginx->stop('QUIT');
ok($kept->gone(@last), 'it is over');

done_testing();
