#!/usr/bin/perl

# The way to the engine: who may talk to it, over what, and which of several it
# is.

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
    ok(wait_until(sub { $fleet->blocks(1, $path) }, $seconds || 3), $name);
}

sub complains {
    my ($fleet, $what, $name) = @_;

    my $load = $fleet->load;
    ok(wait_until(sub { $fleet->node(0)->log =~ /out of touch with [^\n]*$what/
        }, 4), $name) or diag $fleet->node(0)->log;
    sleep 0.5;
    is(() = ($fleet->node(0)->log =~ /out of touch/g), 1, "$name, once");
    $fleet->unharmed($load, $name);
}


# -- who ----------------------------------------------------------------------

# the user that docs/fleet.md shows
my @acl = qw(on >pa55word resetchannels ~graph_policy:* -@all +xadd +xread
    +hset +hscan +hdel +hincrby +time +pexpire);

my $redis = GraphPolicy::Redis->start(requirepass => 'other',
    user => join(' ', 'gp', @acl));
$redis->{auth} = ['other'];

spew("$dir/password", "pa55word\n");
spew("$dir/wrong", "something else\n");
spew("$dir/default", "other\n");

my $least = GraphPolicy::Fleet->start(graph => $graph, redis => $redis,
    hold => '1h max=1h', sync => "user=gp password_file=$dir/password");
works($least, 'the least a user may do is enough');

is_deeply($redis->command('ACL', 'LOG'), [],
    'nothing that was asked was denied');

works(GraphPolicy::Fleet->start(graph => $graph, redis => $redis,
    hold => '1h max=1h', sync => "password_file=$dir/default prefix=p2:"),
    'a password without a user is that of the default one');

my $wrong = GraphPolicy::Fleet->start(graph => $graph, redis => $redis,
    nodes => 1, alone => 1, sync => "user=gp password_file=$dir/wrong");
complains($wrong, 'it refuses: "WRONGPASS', 'a wrong password is told');
cmp_ok($wrong->metric(0, 'sync_failures_total', 'why="auth"'), '>=', 1,
    'and counted');
is($wrong->metric(0, 'sync_connected'), 0, 'and it is not connected');
unlike($wrong->node(0)->log, qr/something else/, 'but not shown');

my $none = GraphPolicy::Fleet->start(graph => $graph, redis => $redis,
    nodes => 1, alone => 1);
complains($none, 'it refuses: "NOAUTH', 'a missing password is told');

# what is behind the first trouble is told as well, each once
my $second = GraphPolicy::Fleet->start(graph => $graph, redis => $redis,
    nodes => 1, hold => '1h max=1h', sync => "user=gp password_file=$dir/password");

sub outage {
    my ($name) = @_;

    my $count = $second->metric(0, 'sync_failures_total', 'why="auth"');
    my $seen = () = $second->node(0)->log =~ /touch with/g;

    $redis->command(qw(ACL SETUSER gp resetpass >another));
    $redis->command(qw(CLIENT KILL USER gp));
    ok(wait_until(sub { $second->metric(0, 'sync_failures_total', 'why="auth"')
        >= $count + 3 }, 10 * slow()), "$name: it is tried again and again");

    $redis->command(qw(ACL SETUSER gp resetpass >pa55word));
    ok(wait_until(sub { $second->node(0)->log =~ /again\n\z/ }, 10 * slow()),
        "$name: it ends");

    my @lines = $second->node(0)->log =~ /touch with "[^"]*"(?:: (.*)| (again))\n/g;
    @lines = map { /^(lost|it refuses: "[A-Z]+|again)/ } grep { defined } @lines;
    is_deeply([@lines[$seen .. $#lines]],
        ['lost', 'it refuses: "WRONGPASS', 'again'],
        "$name: the log has the loss, the password, and the end, once each")
        or diag $second->node(0)->log;
}

outage('a password that was changed');
outage('once more');


# -- over what ----------------------------------------------------------------

my $unix = GraphPolicy::Redis->start(unixsocket => "$dir/redis.sock",
    unixsocketperm => 777);
works(GraphPolicy::Fleet->start(graph => $graph, redis => $unix,
    hold => '1h max=1h', server => "server=unix:$dir/redis.sock"),
    'over a Unix socket');
works(GraphPolicy::Fleet->start(graph => $graph, redis => $unix,
    hold => '1h max=1h', sync => 'db=3'), 'in another database');
is($unix->command('DBSIZE'), 3, 'where the other keys are not');

SKIP: {
    GraphPolicy::Engines->certificates($dir) or skip 'no certificates', 1;

    my ($plain, $port) = free_ports(2);
    my $tls = GraphPolicy::Redis->start(port => $plain,
        GraphPolicy::Engines->tls($dir, $port));

    my $server = "server=127.0.0.1:$port";
    my $ssl = "graph_policy_sync_ssl on;"
        . " graph_policy_sync_ssl_trusted_certificate $dir/ca.pem;";

    works(GraphPolicy::Fleet->start(graph => $graph, redis => $tls,
        hold => '1h max=1h', server => $server, http => $ssl),
        'over TLS, to the address that the certificate is for');
    works(GraphPolicy::Fleet->start(graph => $graph, redis => $tls,
        hold => '1h max=1h', server => $server,
        http => "$ssl graph_policy_sync_ssl_name redis.test;"),
        'and by name');

    complains(GraphPolicy::Fleet->start(graph => $graph, redis => $tls,
        nodes => 1, alone => 1, server => $server,
        http => "$ssl graph_policy_sync_ssl_name another.test;"),
        qq(its certificate isn't for: "another.test"),
        'a certificate for another name is refused');
    my $ca = GraphPolicy::Fleet->start(graph => $graph, redis => $tls,
        nodes => 1, alone => 1, server => $server,
        http => $ssl =~ s/ca\.pem/other.pem/r);
    complains($ca, q(its certificate isn't trusted: "),
        'one of another authority is refused');
    cmp_ok($ca->metric(0, 'sync_failures_total', 'why="tls"'), '>=', 1,
        'and counted');
    complains(GraphPolicy::Fleet->start(graph => $graph, redis => $tls,
        nodes => 1, alone => 1, server => $server,
        http => 'graph_policy_sync_ssl on;'),
        q(its certificate isn't trusted: "),
        'without an authority the certificates of the system are asked');
    works(GraphPolicy::Fleet->start(graph => $graph, redis => $tls,
        hold => '1h max=1h', server => $server, http =>
        'graph_policy_sync_ssl on; graph_policy_sync_ssl_verify off;'),
        'none is asked where nothing is verified');
    complains(GraphPolicy::Fleet->start(graph => $graph, redis => $tls,
        nodes => 1, alone => 1, server => "server=127.0.0.1:$plain",
        http => $ssl), 'the TLS handshake',
        'a port without TLS is told');
}


# -- which --------------------------------------------------------------------

my $dead = free_ports(1);
my $main = GraphPolicy::Redis->start;
my $copy = GraphPolicy::Redis->start(replicaof => '127.0.0.1 ' . $main->port);

my $two = GraphPolicy::Fleet->start(graph => $graph, redis => $main,
    hold => '1h max=1h', server => join ' ', map { "server=127.0.0.1:$_" }
    $dead, $copy->port, $main->port);
works($two, 'of three servers the first is dead, the second a replica');
is($two->sync(0)->{server}, '127.0.0.1:' . $main->port,
    'the API says which one it is');

my $path = '/' . ++$phone . '/messages';
$two->send(0, $path, '400 133010');
wait_until(sub { $copy->command('HLEN', 'graph_policy:{z}:states') == 2 });
$main->end;
$copy->command('REPLICAOF', 'NO', 'ONE');
works($two, 'the replica takes its place', 6);
is($two->sync(1)->{server}, '127.0.0.1:' . $copy->port,
    'and both hosts find it');

# a replica that misses the last writes takes its place: nobody would know, but
# for what both count
my $last = GraphPolicy::Redis->start(replicaof => '127.0.0.1 ' . $copy->port);
my $three = GraphPolicy::Fleet->start(graph => $graph, redis => $copy,
    hold => '1h max=1h', server => join ' ', map { "server=127.0.0.1:$_" }
    $copy->port, $last->port);
wait_until(sub { $last->command('HLEN', 'graph_policy:{z}:states')
    == $copy->command('HLEN', 'graph_policy:{z}:states') });
works($three, 'before a failover');
sleep 1.2;
$last->command('REPLICAOF', 'NO', 'ONE');
my @lost = map { '/' . ++$phone . '/messages' } 1 .. 3;
$three->send(0, $_, '400 133010') for @lost;
wait_until(sub { 3 == grep { $three->blocks(1, $_) } @lost });
my $had = $last->command('HLEN', 'graph_policy:{z}:states');
is($copy->command('HLEN', 'graph_policy:{z}:states'), $had + 3,
    'three states are not on the replica');
$copy->end;
wait_until(sub { $three->sync(0)->{server} eq '127.0.0.1:' . $last->port });
$three->add;
ok(wait_until(sub { 3 == grep { $three->blocks(2, $_) } @lost }, 4),
    'what a failover lost is told anew');
ok(defined $three->agree(2), 'all know the same, a new host included');

is_deeply([map { $_->complaints } $least, $two, $three], [],
    'nothing in the log to worry about');

done_testing;
