package GraphPolicy::Engines;

# Several engines that belong together, on loopback: a primary that Sentinels
# watch over, and a cluster.
#
#   my $set = GraphPolicy::Engines->sentinels;
#   my $cluster = GraphPolicy::Engines->cluster(nodes => 3);

use strict;
use warnings;

use GraphPolicy ();
use GraphPolicy::Fleet;

# a primary ("primary"), its replica ("replica") and three Sentinels
# ("sentinels"); engine, sentinel: more settings of theirs; watch: more lines
# about the primary, which is named "graph"
sub sentinels {
    my ($class, %of) = @_;

    my %engine = %{ $of{engine} || {} };
    my $primary = GraphPolicy::Redis->start(%engine);
    $primary->{auth} = $of{auth} if $of{auth};
    my $replica = GraphPolicy::Redis->start(%engine,
        replicaof => '127.0.0.1 ' . $primary->port);
    $replica->{auth} = $of{auth} if $of{auth};

    my @watch = ('monitor graph 127.0.0.1 ' . $primary->port . ' 2',
        'down-after-milliseconds graph 1000', 'failover-timeout graph 4000',
        @{ $of{watch} || [] });

    my @sentinels = map {
        my $self = bless { %$_ }, 'GraphPolicy::Redis';
        $self;
    } map {
        { sentinel => 1, lines => [map { "sentinel $_" } @watch],
            set => { %{ $of{sentinel} || {} } } }
    } 1 .. 3;

    $_->start_here for @sentinels;

    # until each knows the replica, and the two others
    for my $sentinel (@sentinels) {
        $sentinel->{auth} = $of{sentinel_auth} if $of{sentinel_auth};
        GraphPolicy::wait_until(sub {
            my $said = $sentinel->command('SENTINEL', 'MASTER', 'graph');
            return 0 if ref $said ne 'ARRAY';
            my %said = @$said;
            return $said{'num-slaves'} == 1
                && $said{'num-other-sentinels'} == 2;
        }, 20) or die "the Sentinels don't know each other\n";
    }

    return bless { primary => $primary, replica => $replica,
        sentinels => \@sentinels }, $class;
}

# "server=" of all Sentinels
sub servers {
    my ($self) = @_;
    return join ' ', map { 'server=127.0.0.1:' . $_->port }
        @{ $self->{sentinels} || $self->{nodes} };
}

# nodes of a cluster, by number; the slots are shared out among the first
# "masters" of them, the others are replicas of those
sub cluster {
    my ($class, %of) = @_;

    my $masters = $of{masters} // 3;
    my @bus = GraphPolicy::free_ports($of{nodes} // $masters);
    my @nodes = map { GraphPolicy::Redis->start('cluster-enabled' => 'yes',
        'cluster-port' => $_, 'cluster-node-timeout' => 1500,
        'cluster-replica-validity-factor' => 0, %{ $of{engine} || {} })
    } @bus;
    my $self = bless { nodes => \@nodes }, $class;

    for (@nodes) {
        $_->{auth} = $of{auth} if $of{auth};
    }

    for my $i (0 .. $masters - 1) {
        my ($from, $to) = map { int 16384 * $_ / $masters } $i, $i + 1;
        $nodes[$i]->command('CLUSTER', 'ADDSLOTS', $from .. $to - 1);
        $nodes[$i]->command('CLUSTER', 'SET-CONFIG-EPOCH', $i + 1);
    }

    for my $i (1 .. $#nodes) {
        $nodes[0]->command('CLUSTER', 'MEET', '127.0.0.1', $nodes[$i]->port,
            $bus[$i]);
    }

    $self->settle;

    for my $i ($masters .. $#nodes) {
        my $id = $nodes[$i - $masters]->command('CLUSTER', 'MYID');
        GraphPolicy::wait_until(sub {
            !ref $nodes[$i]->command('CLUSTER', 'REPLICATE', $id);
        }) or die "no replica\n";
    }

    return $self;
}

# until all nodes know of all slots and nodes
sub settle {
    my ($self) = @_;

    my $n = @{ $self->{nodes} };

    for my $node (@{ $self->{nodes} }) {
        GraphPolicy::wait_until(sub {
            my $info = $node->command('CLUSTER', 'INFO') // '';
            return $info =~ /cluster_state:ok/
                && $info =~ /cluster_known_nodes:$n\b/;
        }, 20) or die "no cluster\n";
    }
}

# the numbers of the node that has the key's slot, and of one that hasn't
sub owner {
    my ($self, $key) = @_;

    my ($has, $hasnt);

    for my $i (0 .. $#{ $self->{nodes} }) {
        my $said = $self->{nodes}[$i]->command('TYPE', $key);
        next if !defined $said;
        if (ref $said) { $hasnt //= $i } else { $has //= $i }
    }

    return ($has, $hasnt);
}

# the key's slot, with all keys in it, goes from one node to another
sub migrate {
    my ($self, $key, $from, $to) = @_;

    my ($a, $b) = @{ $self->{nodes} }[$from, $to];
    my $slot = $a->command('CLUSTER', 'KEYSLOT', $key);
    my ($is, $will) = map { $_->command('CLUSTER', 'MYID') } $a, $b;

    $b->command('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $is);
    $a->command('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $will);

    for (1 .. 10) {
        my $keys = $a->command('CLUSTER', 'GETKEYSINSLOT', $slot, 100);
        last if !@$keys;
        $a->command('MIGRATE', '127.0.0.1', $b->port, '', 0, 5000,
            @{ $self->{migrate} || [] }, 'KEYS', @$keys);
    }

    for my $node ($b, $a, @{ $self->{nodes} }) {
        $node->command('CLUSTER', 'SETSLOT', $slot, 'NODE', $will);
    }
}

# an authority and a certificate for 127.0.0.1 and redis.test in a directory:
# ca.pem, redis.pem, redis.key, and other.pem, an authority that signed none.
# False where openssl can't make them.
sub certificates {
    my ($class, $dir) = @_;

    return system("cd $dir && openssl req -x509 -newkey rsa:2048 -nodes -days 2"
        . " -subj /CN=ca -keyout ca.key -out ca.pem 2>/dev/null"
        . " && openssl req -newkey rsa:2048 -nodes -subj /CN=redis.test"
        . " -keyout redis.key -out redis.csr 2>/dev/null"
        . " && echo subjectAltName=DNS:redis.test,IP:127.0.0.1 >ext"
        . " && openssl x509 -req -in redis.csr -CA ca.pem -CAkey ca.key"
        . " -CAcreateserial -days 2 -extfile ext -out redis.pem 2>/dev/null"
        . " && openssl req -x509 -newkey rsa:2048 -nodes -days 2"
        . " -subj /CN=other -keyout other.key -out other.pem 2>/dev/null"
        . " && chmod 644 *.key") == 0;
}

# settings of an engine, or a Sentinel, that speaks TLS alone on that port
sub tls {
    my ($class, $dir, $port) = @_;

    return ('tls-port' => $port, 'tls-cert-file' => "$dir/redis.pem",
        'tls-key-file' => "$dir/redis.key",
        'tls-ca-cert-file' => "$dir/ca.pem", 'tls-auth-clients' => 'no',
        'tls-replication' => 'yes');
}

1;
