#!/usr/bin/perl

# Four workers hammer a zone that is full: they set, admit, settle, evict, list
# and save at random, and each compares the index with the orders, the rings and
# the counts after each thousand operations. The zone is built for this test
# with checks of its locks.
#
# Environment:
#   HAMMER_THOUSANDS  thousands of operations of each worker (100)

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use GraphPolicy qw(parallel request slurp wait_until);

my $workers   = 4;
my $thousands = $ENV{HAMMER_THOUSANDS} || 100;

my $module = `$FindBin::Bin/../bench/zone-build $GraphPolicy::module $FindBin::Bin/zone`;
chomp $module;
is($?, 0, 'the zone is built with checks of its locks') or BAIL_OUT($module);

sub start {
    my ($size) = @_;

    return GraphPolicy::Nginx->start(
        workers   => $workers,
        log_level => 'notice',
        main      => "load_module $module; debug_points abort;",
        http      => <<"END");
server {
    listen 127.0.0.1:%PORT%;
    add_header X-Worker \$pid;
    location / { graph_policy_hammer $size; }
}
END
}

# what the workers say, one request each at a time
sub hammer {
    my ($nginx, $n) = @_;

    return parallel(map { {
        port    => $nginx->port,
        method  => 'GET',
        path    => "/?seed=" . (1000 * $n + $_) . "&thousands=$thousands",
        timeout => 30 + 5 * $thousands,
    } } 1 .. $workers);
}

for my $size (qw(32k 256k 1m)) {
    my $nginx = start($size);
    my ($rounds, @answers, %who) = (0);

    # one worker may take all connections before any of their requests comes
    while ($rounds < 10 && keys %who < 2) {
        my @now = hammer($nginx, length($size) + 10 * $rounds++);

        push @answers, @now;
        %who = map { ($_->{headers}{'x-worker'} // '') => 1 } @now;
    }

    is_deeply([map { $_->{body} // 'none' } @answers],
        [('ok') x ($rounds * $workers)],
        "$size: the index agrees with the orders after each thousand of "
        . "$workers times $thousands thousand operations");
    cmp_ok(scalar keys %who, '>', 1, "$size: by several workers at a time");
    is_deeply([$nginx->complaints], [], "$size: and none has died of it");
    $nginx->stop;
}


# -- the checks check ---------------------------------------------------------

SKIP: {
    skip 'nobody says which module it is', 1 if !$ENV{MODULE};
    ok(index(slurp($GraphPolicy::module), 'ngx_http_graph_policy_locks') > 0,
        'the module that all tests load has these checks');
}

my %faults = (
    1 => 'a lookup without the mutex',
    2 => 'a line in the log under the mutex',
    3 => 'an allocation under the mutex',
    4 => 'a parser under the mutex',
);

for my $fault (sort keys %faults) {
    my $nginx = start('1m');

    request(port => $nginx->port, method => 'GET', path => "/?unlocked=$fault");

    ok(wait_until(sub { $nginx->log =~ /exited on signal 6/ }),
        "$faults{$fault} ends the process");
    $nginx->stop;
}

done_testing();
