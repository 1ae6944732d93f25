#!/usr/bin/perl

# A cluster: the node that is asked says which one has the zone's keys, and
# hosts go there.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(wait_until slow spew free_ports);
use GraphPolicy::Fleet;
use GraphPolicy::Engines;
use Time::HiRes qw(time sleep);

my $graph = GraphPolicy::Graph->start;
my $temp  = File::Temp->newdir('graph_keys.XXXXXX', TMPDIR => 1);
my $dir   = "$temp";
chmod 0755, $dir;
my $phone = 1000;
my $key   = 'graph_policy:{z}:log';

sub works {
    my ($fleet, $name, $seconds) = @_;

    my $path = '/' . ++$phone . '/messages';
    $fleet->send(0, $path, '400 133010');
    ok(wait_until(sub { $fleet->blocks(1, $path) }, $seconds || 3), $name)
        or diag map { $fleet->node($_)->log } 0, 1;
}

sub at {
    my ($fleet, $node, $seconds, $name) = @_;

    my $server = '127.0.0.1:' . $node->port;
    ok(wait_until(sub {
        2 == grep { $fleet->sync($_)->{server} eq $server } 0, 1;
    }, $seconds), $name) or diag map { $fleet->node($_)->log } 0, 1;
}

my @acl = qw(on >pa55word resetchannels ~graph_policy:* -@all +xadd +xread
    +hset +hscan +hdel +hincrby +time +pexpire);
spew("$dir/password", "pa55word\n");

my $cluster = GraphPolicy::Engines->cluster(nodes => 4, masters => 3,
    engine => { user => join ' ', 'gp', @acl });
my @node = @{ $cluster->{nodes} };
my ($has, $hasnt) = $cluster->owner($key);


# -- told where ---------------------------------------------------------------

my $one = GraphPolicy::Fleet->start(graph => $graph, redis => $node[$hasnt],
    hold => '1h max=1h', sync => "user=gp password_file=$dir/password");
works($one, 'one node is enough, which says who has the keys');
at($one, $node[$has], 1, 'the API says who that is');
is_deeply([map { @{ $_->command('ACL', 'LOG') } } @node], [],
    'the least a user may do is enough');
is(() = ($one->node(0)->log =~ /out of touch/g), 0,
    'nothing is wrong with that');

my $other = GraphPolicy::Fleet->start(nodes => 1, alone => 1, graph => $graph,
    redis => $node[$hasnt], sync => 'db=1');
ok(wait_until(sub { $other->node(0)->log =~ /out of touch with [^\n]*: it refuses: "ERR SELECT is not allowed in cluster mode/ }, 4),
    'a cluster has no other database');
sleep 0.7;
is(() = ($other->node(0)->log =~ /out of touch/g), 1,
    'which the log says once');
is($other->send(0, '/999/messages')->{status}, 200, 'sends pass');
is($other->metric(0, 'sync_connected'), 0, 'and it is not connected');
$other->node(0)->stop;
$_->command('ACL', 'LOG', 'RESET') for @node;


# -- told while it works ------------------------------------------------------

my $fleet = GraphPolicy::Fleet->start(graph => $graph, redis => $node[$has],
    hold => '1h max=1h', server => $cluster->servers);
works($fleet, 'all nodes may be named');

my $load = $fleet->load;
my ($to) = grep { $_ != $has && $_ != $hasnt } 0 .. 2;
$cluster->migrate($key, $has, $to);
at($fleet, $node[$to], 5, 'the slot moves to another node, hosts follow');
works($fleet, 'and share as before');
works($one, 'those who know one node alone, too');

my $cut = GraphPolicy::Fleet->start(graph => $graph, hold => '1h max=1h',
    redis => $node[$to], server => $cluster->servers, nodes => 1, alone => 1);
ok(wait_until(sub { $cut->knows(0) eq $fleet->knows(0) }, 5),
    'a new host knows all of it');
$cut->node(0)->stop;
$cluster->migrate($key, $to, 0) if $to != 0;
at($fleet, $node[0], 5, 'it moves once more');


# -- a node fails -------------------------------------------------------------

wait_until(sub {
    ($node[3]->command('INFO', 'replication') // '')
        =~ /^master_link_status:up/m
}, 10);
my $path = '/' . ++$phone . '/messages';
$fleet->send(0, $path, '400 133010');
wait_until(sub { $fleet->blocks(1, $path) });
$node[0]->end;
at($fleet, $node[3], 30, 'a node fails, its replica has the keys then');
works($fleet, 'and hosts share again', 5);
$fleet->add;
ok($fleet->agree(5), 'a new host knows all of it')
    or diag map { $fleet->knows($_), "-\n" } $fleet->nodes;

$fleet->unharmed($load, 'while nodes changed');
is_deeply([map { $_->complaints } $one, $fleet], [],
    'nothing in the log to worry about');

done_testing;
