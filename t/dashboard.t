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

use File::Temp ();

use GraphPolicy;
use GraphPolicy::Fleet;
use GraphPolicy::Webhook qw(entry messages payload status);

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

# What the page says to do is what the documentation says.
{
    my $page = GraphPolicy::slurp("$FindBin::Bin/../src/api/dashboard.html");
    my ($help) = $page =~ /^const HELP = \{\n(.*?)^\};/ms;
    my ($table) = GraphPolicy::slurp("$FindBin::Bin/../docs/operating.md")
        =~ /^## By reason\n(.*?)^## /ms;
    my @rows = $table =~ /^\| (`.*) \|$/mg;

    # as text: no markup here, no pieces and escapes there
    for ($help) {
        s/'\n\s*\+ '//g;
        s/\\u2019/'/g;
    }

    is(scalar @rows, () = $help =~ /^    '[\w -]+': \[$/mg,
        'the page knows what to do for each reason');

    for my $row (@rows) {
        my ($reason, @cells) = split / \| /, $row;

        s/\[([^]]*)\]\([^)]*\)/$1/g, s/`//g for @cells;
        is_deeply([grep { index($help, "'$_'") < 0 } @cells], [],
            "as docs/operating.md does: $reason");
    }
}

# the place of the documentation, as docs/dashboard.md shows it
my ($told) = GraphPolicy::slurp("$FindBin::Bin/../docs/dashboard.md")
    =~ /^```nginx\n(location \/graph\/ .*?sub_filter.*?)^```/ms;

$told =~ s{/graph/}{/told/}g;
$told =~ s{/usr/share/doc/libnginx-mod-http-graph-policy}{%DIR%};

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 2,
    http => <<'END' =~ s/^TOLD\n/$told/mr);
graph_policy_zone zone=graph:1m;
server {
    listen 127.0.0.1:%PORT%;
    location /graph/ {
        graph_policy_api write=on;
    }
    location /look/ {
        graph_policy_api;
    }
TOLD
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

mkdir $nginx->dir . '/docs' or die "mkdir: $!";
GraphPolicy::spew($nginx->dir . '/docs/operating.md',
    GraphPolicy::slurp("$FindBin::Bin/../docs/operating.md"));

delete @ENV{qw(GRAPH_POLICY_API_URL GRAPH_POLICY_API_ZONE)};

browse('the mock');

$ENV{GRAPH_POLICY_API_URL} = 'http://127.0.0.1:' . $nginx->port . '/graph/';

browse('the module');

is_deeply([$nginx->complaints], [], 'nothing is wrong in the log');

# 5,000 conversations that a webhook has told of, half of each kind
{
    my $hook = GraphPolicy::Webhook->start(secrets => ['s3cret'],
        http => <<'END');
graph_policy_zone zone=graph:4m;
server {
    listen 127.0.0.1:%PORT%;
    client_max_body_size 4m;
    graph_policy zone=graph;
    graph_policy_conversation on hold=1h;
    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END
    my $answer = $hook->deliver(payload(entry('2001', map { my $i = $_;
        messages(phone => '1001', statuses => [map { status(
            $_ % 2 ? 131047 : 131026, to => 15550000000 + 500 * $i + $_) }
            1 .. 500]) } 0 .. 9)));

    is($answer->{status}, 200, 'a webhook of 5,000 errors');

    local $ENV{GRAPH_POLICY_API_URL} = 'http://127.0.0.1:'
        . $hook->nginx->port . '/graph/';
    local $ENV{ONLY} = 'test_many_talks';

    browse('5,000 conversations');
}

# The pictures of the documentation can be taken anew, of the page and of
# graph-policy-ctl, and are as large as those that are shown.
{
    my $temp = File::Temp->newdir('pictures.XXXXXX', TMPDIR => 1);
    my $docs = "$FindBin::Bin/../docs";
    my $said = join '', map { GraphPolicy::slurp($_) } glob "$docs/*.md";

    delete local @ENV{qw(GRAPH_POLICY_API_URL)};
    is(system('node', $script, '--pictures', "$temp"), 0,
        'pictures of it are taken');

    my @names = map { s{.*/}{}r } glob "$temp/*";

    is_deeply(\@names, [map { s{.*/}{}r } glob "$docs/images/*"],
        'all that the documentation has');

    for my $name (@names) {
        is_deeply(size_of("$docs/images/$name"), size_of("$temp/$name"),
            "$name is as large as it is there");
        like($said, qr/!\[[^]]{20,}\]\(images\/\Q$name\E\)/,
            '... where it is shown, and described');
    }
}

SKIP: {
    skip 'there is no redis-server', 1
        if system('redis-server --version >/dev/null 2>&1');

    my $fleet = GraphPolicy::Fleet->start(nodes => 2, graph => $graph,
        hold => '1h');

    $ENV{GRAPH_POLICY_API_URL} = 'http://127.0.0.1:' . $fleet->node(1)->port
        . '/graph/';
    $ENV{GRAPH_POLICY_PEER} = 'http://127.0.0.1:' . $fleet->node(0)->port
        . '/graph/';
    $ENV{GRAPH_POLICY_ENGINE} = $fleet->redis->pid;

    browse('a fleet');
}

done_testing();


# width and height of a PNG
sub size_of { [unpack 'x16 N2', GraphPolicy::slurp($_[0])] }

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
