#!/usr/bin/perl

# A zone that is far too small: the newest states are kept, nothing fails, and
# nobody is woken.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use GraphPolicy;

use Time::HiRes qw(sleep);

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, log_level => 'warn',
    http => <<'END');
graph_policy_zone zone=k32:32k;
graph_policy_zone zone=idle:32k;
graph_policy_zone zone=k64:64k;

server {
    listen 127.0.0.1:%PORT%;

    location /k32/ {
        graph_policy zone=k32;
        graph_policy_hold 1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /idle/ {
        graph_policy zone=idle;
        graph_policy_hold 1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;

        location /idle/long/ {
            graph_policy_hold 1h;
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
    }

    location /k64/ {
        graph_policy zone=k64;
        graph_policy_hold 1h;
        proxy_pass http://127.0.0.1:%GRAPH%;

        location /k64/short/ {
            graph_policy_hold 1m;
            proxy_pass http://127.0.0.1:%GRAPH%;
        }

        # keys of another length, and an account
        location /k64/long/ {
            graph_policy_account $arg_account;
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
    }
}
END

my $phones = 300;


# -- more phones than there is room for ---------------------------------------

my %seen;

for my $phone (1000 .. 999 + $phones) {
    $seen{ send_one("/k32/$phone/messages", '400 133010') }++;
    $seen{ send_one("/k32/$phone/messages", '200') }++;
}

is_deeply(\%seen, { passed => $phones, blocked => $phones },
    "$phones phones in 32k: no request fails, the newest state blocks");
is($graph->count, $phones, 'the Graph API got the errors alone');

my @evicted = evicted();
my $kept    = $phones - @evicted;

cmp_ok($kept, '>=', 20, "32k keep $kept phones");
cmp_ok($kept, '<', $phones, 'not all of them');

my %gone = map { $_ => 1 } @evicted;
my @wrong = grep {
    my $policy = send_one("/k32/$_/messages", '200');
    $policy ne ($gone{$_} ? '200' : 'blocked');
} 1000 .. 999 + $phones;

is_deeply(\@wrong, [], 'the log names those that had to go, each once');


# -- who goes first -----------------------------------------------------------

reset_log();

my $many = 20;

send_one("/k64/$_/messages", '400 133010') for 1 .. $many;
send_one("/k64/short/$_/messages", '400 133010') for 2000 .. 2299;

is_deeply([grep { $_ < 2000 } evicted()], [],
    'a state with a long hold stays where there are some with a short one');
is_deeply([grep { send_one("/k64/$_/messages", '200') ne 'blocked' }
    1 .. $many], [], 'and blocks');
is(send_one('/k64/short/2299/messages', '200'), 'blocked',
    'and the newest of the others, too');

reset_log();

# A cleared state is remembered, but only where there is room: with 20 of them
# there is as much of it for others as there was without.

for my $phone (3001 .. 3020) {
    send_one("/idle/$phone/messages", '400 133010');
    sleep 0.005; # longer than its hold
    send_one("/idle/$phone/messages", '200');
}

is((() = new_log() =~ / state cleared, /g), 20,
    '20 states are cleared');

send_one("/idle/long/$_/messages", '400 133010') for 1 .. $kept;

is_deeply([evicted()], [], 'they go before any that is armed');

send_one("/idle/long/$_/messages", '400 133010') for $kept + 1 .. $kept + 5;

is((() = evicted()), 5, 'then armed ones have to');


# -- keys of all lengths ------------------------------------------------------

my @accounts = map { substr(('x' x ($_ % 64)) . $_, -64) } 1 .. 300;

%seen = ();

for my $account (@accounts) {
    my $query = "messages?account=$account";

    $seen{ send_one("/k64/long/4000/$query", '400 131042 trace=' . 'T' x 64) }++;
    $seen{ send_one("/k64/long/4001/$query", '200') }++;
}

is_deeply(\%seen, { passed => 300, blocked => 300 },
    '300 accounts with names up to 64 characters: the newest state blocks');

is_deeply([grep { !/ graph policy state (?:set|re-armed|cleared|evicted), /
    && / \[(?:warn|error|crit|alert|emerg)\] / } split /\n/, $nginx->log], [],
    'the log has changes of states, and nothing else to complain of');

done_testing();


# -- helpers ------------------------------------------------------------------

# what the policy did, else the status
sub send_one {
    my ($path, $mock) = @_;

    my $answer = $nginx->request(path => $path, token => 'one',
        mock => $mock);

    return $answer->{headers}{'x-graph-policy'} // $answer->{error}
        // $answer->{status};
}

my $read = 0;

sub reset_log { $read = length $nginx->log }
sub new_log   { substr $nginx->log, $read || 0 }

# phones whose states were evicted since then
sub evicted {
    return new_log()
        =~ / graph policy state evicted, scope: phone, key: "(\d+)", /g;
}
