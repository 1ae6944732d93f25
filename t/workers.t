#!/usr/bin/perl

# Four workers, one state: what one of them learns, all of them know at once.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(advance finish_requests start_request wait_until);

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 4,
    log_level => 'notice', http => <<'END');

graph_policy_zone  zone=z:1m;

map $graph_policy_phone $account {
    ~^(?<digit>[1-8])0  $digit;
}

server {
    # each worker gets its share of the connections
    listen  127.0.0.1:%PORT% reuseport;

    graph_policy          zone=z;
    graph_policy_hold     5m;
    graph_policy_account  $account;

    add_header  X-Worker $pid always;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END

# The accounts 1 to 8 have the phones 101 to 103, 201 to 203 and so on; those of
# 9.. have no known account. For each case: who gets the error, and who is
# covered by the state then: phones, tokens ("*" is anybody).
my @cases = (
    ['phone',      '400 133010', '101', 't1', ['101'], '*'],
    ['phone, again', '500 131045', '202', 't2', ['202'], '*'],
    ['phone, credential-bound', '404 33', '301', 't3', ['301'], 't3'],
    ['account',    '400 131042', '401', 't4', ['401', '402', '403'], '*'],
    ['account, restricted', '403 368', '503', 't5', ['501', '502', '503'],
        '*'],
    ['account, credential-bound', '403 10', '601', 't6',
        ['601', '602', '603'], 't6'],
    ['account, unknown', '403 131031', '901', 't7', ['901'], '*'],
    ['credential', '401 190', '701', 't8', '*', 't8'],
);

my @phones = map { my $a = $_; map { "${a}0$_" } 1 .. 3 } 1 .. 9;
my @tokens = map { "t$_" } 1 .. 9;

# each phone with each token, three times
my @load = shuffled(map { my $phone = $_; map { [$phone, $_] }
    (@tokens) x 3 } @phones);

is(@load, 729, 'the load is 27 phones by 9 tokens, three times');


# -- each scope ---------------------------------------------------------------

my @covered;

for (@cases) {
    my ($name, $mock, $phone, $token, $phones, $tokens) = @$_;

    my $answer = send_one($phone, $token, $mock);

    is($answer->{headers}{'x-graph-policy'}, 'passed',
        "$name: an error reaches its client");

    push @covered, [$phones, $tokens];

    my %covered;
    for my $pair (@load) {
        $covered{"@$pair"} = 1 if grep { covers($_, @$pair) } @covered;
    }

    $graph->clear;

    my @answers = run_load(64, @load);
    my (%workers, %wrong);

    for my $n (0 .. $#load) {
        my $answer = $answers[$n];
        my $pair = "@{ $load[$n] }";
        my $policy = $answer->{headers}{'x-graph-policy'} // '';
        my $expected = $covered{$pair} ? 'blocked' : '';

        $workers{ $answer->{headers}{'x-worker'} // '' }++
            if $policy eq 'blocked';
        $wrong{"$pair: $answer->{status} $policy"}++
            if $policy ne $expected || $answer->{error}
                || $answer->{status} >= 400 != !!$covered{$pair};
    }

    is_deeply(\%wrong, {}, "$name: those that it covers are answered"
        . ' locally, all others go on');
    is(keys %workers, 4, 'by each of the four workers');

    my %seen;
    $seen{ $_->{uri} =~ m{/(\d+)/messages} ? $1 : '' }
        { $_->{headers}{authorization} =~ /Bearer (\w+)/ ? $1 : '' }++
        for $graph->requests;

    my ($through, $missing) = (0, 0);

    for my $phone (@phones) {
        for my $token (@tokens) {
            my $times = $seen{$phone}{$token} // 0;

            $through += $times if $covered{"$phone $token"};
            $missing += 3 - $times if !$covered{"$phone $token"};
        }
    }

    is($through, 0, 'the upstream saw none of the former');
    is($missing, 0, 'and all of the latter, once each');
}


# -- in the middle of a load --------------------------------------------------

{
    my $at_once = 32;

    $graph->clear;
    $graph->answer('400 131042');

    my @answers = run_load($at_once,
        map { [$_ % 2 ? '801' : '802', 't9'] } 1 .. 600);
    my %policies;

    $policies{ $_->{headers}{'x-graph-policy'} // '' }++ for @answers;

    my $seen = $graph->count;

    cmp_ok($seen, '>=', 1, 'an account falls ill under load: one send finds'
        . ' out');
    cmp_ok($seen, '<=', $at_once, 'or as many as were under way');
    is_deeply(\%policies, { passed => $seen, blocked => 600 - $seen },
        'all others are answered locally');

    $graph->answer('200');
    is(send_one('801', 't1')->{headers}{'x-graph-policy'}, 'blocked',
        'and so it stays');
    is(send_one('203', 't1')->{status}, 200, 'for this account alone');

    my @set = grep { /graph policy state/ && /131042/ && /"8"/ }
        split /\n/, $nginx->log;

    is(@set, 1, 'of which the log has one line');
}

is_deeply([$nginx->complaints], [], 'nothing to complain of in the log');

done_testing();


# -- helpers ------------------------------------------------------------------

sub covers {
    my ($cover, $phone, $token) = @_;

    my ($phones, $tokens) = @$cover;

    return ($phones eq '*' || grep { $_ eq $phone } @$phones)
        && ($tokens eq '*' || $tokens eq $token);
}

sub send_one {
    my ($phone, $token, $mock) = @_;

    return $nginx->request(path => "/v25.0/$phone/messages", token => $token,
        mock => $mock, body => '{}');
}

# so many at once; the answers in the order of the pairs
sub run_load {
    my ($at_once, @pairs) = @_;

    my (@calls, @open);

    for my $pair (@pairs) {
        my ($phone, $token) = @$pair;

        @open = advance($at_once - 1, @open);
        push @open, start_request(port => $nginx->port, token => $token,
            path => "/v25.0/$phone/messages", body => '{}', timeout => 20);
        push @calls, $open[-1];
    }

    return finish_requests(@calls);
}

# always in the same order
sub shuffled {
    my (@list) = @_;

    my $seed = 42;

    for my $n (reverse 1 .. $#list) {
        $seed = ($seed * 1103515245 + 12345) % 2147483648;
        my $m = $seed % ($n + 1);
        @list[$n, $m] = @list[$m, $n];
    }

    return @list;
}
