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

    ok(wait_until(sub { $fleet->node(0)->log =~ /out of touch with [^\n]*$what/
        }, 4), $name) or diag $fleet->node(0)->log;
    sleep 0.5;
    is(() = ($fleet->node(0)->log =~ /out of touch/g), 1, "$name, once");
    is($fleet->send(0, '/999/messages')->{status}, 200,
        "$name, and sends pass");
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
    system("cd $dir && openssl req -x509 -newkey rsa:2048 -nodes -days 2"
        . " -subj /CN=ca -keyout ca.key -out ca.pem 2>/dev/null"
        . " && openssl req -newkey rsa:2048 -nodes -subj /CN=redis.test"
        . " -keyout redis.key -out redis.csr 2>/dev/null"
        . " && echo subjectAltName=DNS:redis.test,IP:127.0.0.1 >ext"
        . " && openssl x509 -req -in redis.csr -CA ca.pem -CAkey ca.key"
        . " -CAcreateserial -days 2 -extfile ext -out redis.pem 2>/dev/null"
        . " && openssl req -x509 -newkey rsa:2048 -nodes -days 2"
        . " -subj /CN=other -keyout other.key -out other.pem 2>/dev/null"
        . " && chmod 644 *.key") == 0 or skip 'no certificates', 1;

    my ($plain, $port) = free_ports(2);
    my $tls = GraphPolicy::Redis->start(port => $plain, 'tls-port' => $port,
        'tls-cert-file' => "$dir/redis.pem", 'tls-key-file' => "$dir/redis.key",
        'tls-ca-cert-file' => "$dir/ca.pem", 'tls-auth-clients' => 'no');

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

# it lost a write, which nobody would miss if it weren't counted
$copy->command('HDEL', 'graph_policy:{z}:states',
    grep { $_ } $two->send(0, $path)->{headers}{'x-graph-state'});
my ($node) = sort { $b cmp $a }
    grep { /^[0-9a-f]{16}$/ } @{ $copy->command('HGETALL',
        'graph_policy:{z}:nodes') };
$copy->command('HINCRBY', 'graph_policy:{z}:nodes', $_, -1)
    for grep { /^[0-9a-f]{16}$/ } @{ $copy->command('HGETALL',
        'graph_policy:{z}:nodes') };
$two->add;
ok(wait_until(sub { $two->blocks(2, $path) }, 4),
    'what a failover lost is told anew');

is_deeply([map { $_->complaints } $least, $two], [],
    'nothing in the log to worry about');

done_testing;
