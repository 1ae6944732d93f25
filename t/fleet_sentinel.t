#!/usr/bin/perl

# A primary that Sentinels watch over: hosts ask them where it is, and are with
# the next one when it fails.

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

sub works {
    my ($fleet, $name, $seconds) = @_;

    my $path = '/' . ++$phone . '/messages';
    $fleet->send(0, $path, '400 133010');
    ok(wait_until(sub { $fleet->blocks(1, $path) }, $seconds || 3), $name)
        or diag map { $fleet->node($_)->log } 0, 1;
}

sub complains {
    my ($fleet, $what, $name) = @_;

    ok(wait_until(sub { $fleet->node(0)->log =~ /out of touch with [^\n]*$what/
        }, 4), $name) or diag $fleet->node(0)->log;
    sleep 0.5;
    is(() = ($fleet->node(0)->log =~ /out of touch/g), 1, "$name, once");
    is($fleet->send(0, '/999/messages')->{status}, 200,
        "$name, and sends pass");
}

sub fleet {
    my (%of) = @_;
    return GraphPolicy::Fleet->start(graph => $graph, hold => '1h max=1h',
        %of);
}


# -- found --------------------------------------------------------------------

my $set = GraphPolicy::Engines->sentinels;
my ($primary, $replica) = @$set{qw(primary replica)};
my $dead = free_ports(1);

my $fleet = fleet(redis => $primary, sync => 'master=graph',
    server => "server=127.0.0.1:$dead " . $set->servers);

works($fleet, 'a Sentinel tells where the primary is, the first one is dead');
is($fleet->sync(0)->{server}, '127.0.0.1:' . $primary->port,
    'the API says where that is');

my $load = $fleet->load;
my $path = '/' . ++$phone . '/messages';
$fleet->send(0, $path, '400 133010');
wait_until(sub { $fleet->blocks(1, $path) });
wait_until(sub {
    $replica->command('HLEN', 'graph_policy:{z}:states')
        == $primary->command('HLEN', 'graph_policy:{z}:states');
});

$primary->end;
ok(wait_until(sub {
    2 == grep { $fleet->sync($_)->{server} eq '127.0.0.1:' . $replica->port }
        0, 1;
}, 25), 'it fails, and all hosts find the next one')
    or diag map { $fleet->node($_)->log } 0, 1;
works($fleet, 'which carries news as the first one did');

# as the Sentinels would make it, in half a minute
$primary->{set}{replicaof} = '127.0.0.1 ' . $replica->port;
$primary->run;
ok(wait_until(sub {
    ($primary->command('INFO', 'replication') // '')
        =~ /^master_link_status:up/m;
}, 25), 'the old one comes back as a replica');
works($fleet, 'and nobody goes there');

wait_until(sub { $set->{sentinels}[0]->command('SENTINEL', 'FAILOVER',
    'graph') eq 'OK' }, 15);
ok(wait_until(sub {
    2 == grep { $fleet->sync($_)->{server} eq '127.0.0.1:' . $primary->port }
        0, 1;
}, 25), 'whom a replica refuses asks again')
    or diag map { $fleet->node($_)->log } 0, 1;
works($fleet, 'and goes where the primary is now');
$fleet->add;
ok($fleet->agree(5), 'a new host knows all of it')
    or diag map { $fleet->knows($_), "-\n" } $fleet->nodes;

$fleet->unharmed($load, 'while the primary changed');


# -- not found ----------------------------------------------------------------

complains(fleet(nodes => 1, alone => 1, redis => $primary,
    sync => 'master=other', server => $set->servers),
    'it knows no primary: "other"', 'a name that no Sentinel knows');

complains(fleet(nodes => 1, alone => 1, redis => $primary,
    sync => 'master=graph'), 'it refuses: "ERR unknown command',
    'a server that is no Sentinel');

my $silent = fleet(nodes => 1, alone => 1, redis => $primary,
    sync => 'master=graph', server => "server=127.0.0.1:$dead");
complains($silent, q(can't connect), 'a Sentinel that is away');
cmp_ok($silent->metric(0, 'sync_failures_total', 'why="connect"'), '>=', 1,
    'which is counted');


# -- who ----------------------------------------------------------------------

my @acl = qw(on >pa55word resetchannels ~graph_policy:* -@all +xadd +xread
    +hset +hscan +hdel +hincrby +time +pexpire);
my $password = 'pa55word-of-all';

spew("$dir/password", "pa55word\n");
spew("$dir/default", "$password\n");

my $locked = GraphPolicy::Engines->sentinels(auth => [$password],
    engine => { requirepass => $password, masterauth => $password,
        user => join(' ', 'gp', @acl) },
    watch => ["auth-pass graph $password"]);

works(fleet(redis => $locked->{primary}, server => $locked->servers,
    sync => "master=graph user=gp password_file=$dir/password"),
    'the password is for the primary, a Sentinel that wants none gets none');
is_deeply($locked->{primary}->command('ACL', 'LOG'), [],
    'the least a user may do is enough');


my $closed = GraphPolicy::Engines->sentinels(auth => [$password],
    sentinel_auth => [$password],
    engine => { requirepass => $password, masterauth => $password },
    sentinel => { requirepass => $password },
    watch => ["auth-pass graph $password"]);
works(fleet(redis => $closed->{primary}, server => $closed->servers,
    sync => "master=graph password_file=$dir/default"),
    'a Sentinel that wants a password gets it');
spew("$dir/wrong", "something else\n");
complains(fleet(nodes => 1, alone => 1, redis => $closed->{primary},
    server => $closed->servers,
    sync => "master=graph password_file=$dir/wrong"), 'it refuses: "WRONGPASS',
    'a wrong one is told');


# -- over what ----------------------------------------------------------------

SKIP: {
    GraphPolicy::Engines->certificates($dir) or skip 'no certificates', 2;

    my @port = free_ports(5);
    my @tls = map { { GraphPolicy::Engines->tls($dir, $_) } } @port;
    my $ssl = "graph_policy_sync_ssl on;"
        . " graph_policy_sync_ssl_trusted_certificate $dir/ca.pem;";

    my $main = GraphPolicy::Redis->start(%{ $tls[0] });
    my $sentinel = bless { sentinel => 1, set => { %{ $tls[2] } },
        lines => ["sentinel monitor graph 127.0.0.1 $port[0] 1"] },
        'GraphPolicy::Redis';
    $sentinel->start_here;

    works(fleet(redis => $main, sync => 'master=graph', http => $ssl,
        server => "server=127.0.0.1:$port[2]"),
        'over TLS, to the Sentinels as to the primary');
    works(fleet(redis => $main, sync => 'master=graph',
        http => "$ssl graph_policy_sync_ssl_name redis.test;",
        server => "server=127.0.0.1:$port[2]"),
        'whose certificates may be for one name');
}

is_deeply([map { $_->complaints } $fleet, $silent], [],
    'nothing in the log to worry about');

done_testing;
