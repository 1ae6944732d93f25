#!/usr/bin/perl

# The dashboard in a browser, on a mock of the API and on the module itself:
# t/browser/dashboard.mjs says what is tested.
#
# Without a browser there is nothing to test, so it is skipped.  Where it must
# not be, GRAPH_POLICY_NEED_BROWSER is set.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use GraphPolicy;

my $script = "$FindBin::Bin/browser/dashboard.mjs";

$ENV{BROWSER_MODULES} ||= "$FindBin::Bin/../.build/browser";
$ENV{CHROMIUM}        ||= '/usr/bin/chromium';

my @missing;

push @missing, $ENV{CHROMIUM} unless -x $ENV{CHROMIUM};
push @missing, 'node' if system('node --version >/dev/null 2>&1');
for my $package (qw(playwright-core axe-core)) {
    push @missing, "$package in $ENV{BROWSER_MODULES}"
        unless -e "$ENV{BROWSER_MODULES}/node_modules/$package";
}

if (@missing) {
    my $why = 'the dashboard needs ' . join ', ', @missing;

    die "$why\n" if $ENV{GRAPH_POLICY_NEED_BROWSER};
    diag("$why: not tested, see t/tools/need");
    plan skip_all => $why;
}

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 2,
    http => <<'END');
graph_policy_zone zone=graph:1m;
server {
    listen 127.0.0.1:%PORT%;
    location /graph/ {
        graph_policy_api write=on;
    }
    location /look/ {
        graph_policy_api;
    }
    location /again/ {
        graph_policy       zone=graph;
        graph_policy_retry attempts=2 base=10ms;
        proxy_pass         http://127.0.0.1:%GRAPH%;
    }
    location / {
        graph_policy              zone=graph;
        graph_policy_hold         1h;
        graph_policy_cooldown     on;
        graph_policy_conversation on;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
}
END

delete @ENV{qw(GRAPH_POLICY_API_URL GRAPH_POLICY_API_ZONE)};

browse('the mock');

$ENV{GRAPH_POLICY_API_URL} = 'http://127.0.0.1:' . $nginx->port . '/graph/';

browse('the module');

is_deeply([$nginx->complaints], [], 'nothing is wrong in the log');

done_testing();


# the tests of the script, as tests of this file
sub browse {
    my ($what) = @_;

    open my $tap, '-|', 'node', $script or die "node: $!";

    my ($count, $failed, $plan) = (0, 0, 'none');

    while (<$tap>) {
        if (/^(not )?ok \d+ - (.*)/) {
            ok(!$1, "$what: $2") or $failed++;
            $count++;
        } elsif (/^1\.\.(\d+)$/) {
            $plan = $1;
        } else {
            diag(s/^# //r);
        }
    }

    close $tap;
    is($? >> 8, $failed ? 1 : 0, "$what: the script ends as it should");
    is($plan, $count, "$what: all was tested");
}
