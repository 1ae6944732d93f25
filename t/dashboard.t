#!/usr/bin/perl

# The dashboard in a browser: t/browser/dashboard.mjs says what is tested.
#
# Without a browser there is nothing to test, so it is skipped.  Where it must
# not be, GRAPH_POLICY_NEED_BROWSER is set.

use strict;
use warnings;

use Test::More;

use FindBin;

my $script = "$FindBin::Bin/browser/dashboard.mjs";

$ENV{BROWSER_MODULES} ||= "$FindBin::Bin/../.build/browser";
$ENV{CHROMIUM}        ||= '/usr/bin/chromium';

my @missing;

push @missing, $ENV{CHROMIUM} unless -x $ENV{CHROMIUM};
push @missing, 'node' if system('node --version >/dev/null 2>&1');
push @missing, "playwright-core in $ENV{BROWSER_MODULES}"
    unless -e "$ENV{BROWSER_MODULES}/node_modules/playwright-core";

if (@missing) {
    my $why = 'the dashboard needs ' . join ', ', @missing;

    die "$why\n" if $ENV{GRAPH_POLICY_NEED_BROWSER};
    diag("$why: not tested, see t/tools/need");
    plan skip_all => $why;
}

# it prints TAP itself
exec 'node', $script or die "node: $!";
