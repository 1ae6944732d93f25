#!/usr/bin/perl

# examples/fleet: what "run" shows is what it says.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(free_ports slurp);

my $example = "$FindBin::Bin/../examples/fleet";

$ENV{NGINX_BINARY} = $GraphPolicy::nginx_binary;
$ENV{MODULE} = $GraphPolicy::module;
@ENV{qw(PORT_A PORT_B MOCK_PORT REDIS_PORT)} = free_ports(4);

my $said = `$example/run --once 2>&1`;
is($?, 0, 'all is as documented') or diag $said;

my ($shown) = slurp("$example/README.md") =~ /```text\n(.*?)```/s;
is(join('', map { "$_\n" } grep { !/^(?:Host A is|$)/ } split /\n/, $said),
    $shown,
    'and the README shows what it prints')
    or diag $said;

`$example/run --nonsense 2>&1`;
is($? >> 8, 2, 'an option that there is not is refused');

done_testing;
