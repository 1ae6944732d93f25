# vi:set ft= ts=4 sw=4 et:

# What Prometheus and Grafana make of the metrics: promtool accepts them and the
# alerts, the alerts fire when they should, and what rules, dashboard and
# docs/metrics.md name is what the module prints.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use JSON::PP ();
use Test::More;

use GraphPolicy qw(slurp spew);

my $top   = "$FindBin::Bin/..";
my $rules = "$top/examples/prometheus";

$ENV{PATH} .= ":$top/.build/promtool";

my $temp = File::Temp->newdir('prometheus.XXXXXX', TMPDIR => 1);

spew("$temp/key", 'k' x 32 . "\n");
chmod 0600, "$temp/key" or die "chmod: $!";

# one zone is shared, though nobody listens there
my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, http => <<"END");
graph_policy_zone zone=graph:1m;
graph_policy_sync zone=graph server=127.0.0.1:1 key_file=$temp/key;
graph_policy_zone "zone=a\\"b\\\\c \xe9\xff:1m";
server {
    listen 127.0.0.1:%PORT%;
    location /graph/ {
        graph_policy_api;
    }
    location / {
        graph_policy zone=graph;
        proxy_pass   http://127.0.0.1:%GRAPH%;
    }
}
END

$nginx->request(path => '/v25.0/1001/messages', token => 'a',
    mock => '400 131042') for 1 .. 2;

my $answer = $nginx->request(method => 'GET', path => '/graph/metrics');

is($answer->{status}, 200, 'there are metrics');
like($answer->{headers}{'content-type'},
    qr{^text/plain; version=0\.0\.4; charset=utf-8$}, 'of that format');
is($answer->{headers}{'content-length'}, length $answer->{body},
    'with their length');

my $text = $answer->{body};

# metric => {label => {value => 1}}, but for zones
my (%printed, %help, %type);

for (split /\n/, $text) {
    $help{$1} = $2, next if /^# HELP (\S+) (.+)$/;
    $type{$1} = $2, next if /^# TYPE (\S+) (\S+)$/;

    my ($name, $labels) = /^(\w+)\{(.*)\} [\d.]+$/ or die "what is this: $_";
    $printed{$name} ||= {};

    while ($labels =~ /(\w+)="((?:[^"\\]|\\.)*)"/g) {
        $printed{$name}{$1}{$2} = 1;
    }
}

# what a scrape adds
my %added = (job => 1, instance => 1);


# -- promtool -----------------------------------------------------------------

sub promtool {
    my ($in, @arguments) = @_;

    spew("$temp/in", $in);
    my $said = `cd '$rules' && promtool @arguments <'$temp/in' 2>&1`;
    return ($?, $said);
}

{
    my ($status, $said) = promtool($text, 'check metrics');
    is("$status $said", '0 ', 'promtool finds no fault with the metrics');

    ($status, $said) = promtool($text =~ s/_total/_count/gr, 'check metrics');
    isnt($status, 0, 'it would');

    ($status, $said) = promtool('', 'check rules rules.yml');
    is($status, 0, 'the alerts are rules') or diag($said);

    ($status, $said) = promtool('', 'test rules rules_test.yml');
    is($status, 0, 'they fire when they should') or diag($said);
}

my $alerts = slurp("$rules/rules.yml");
my $tests  = slurp("$rules/rules_test.yml");
my @alerts = $alerts =~ /^\s+- alert: (\w+)$/mg;

cmp_ok(@alerts, '>=', 5, 'there are alerts');

for my $alert (@alerts) {
    like($tests, qr/alertname: $alert\n\s+exp_alerts:/, "$alert: fires");
    like($tests, qr/alertname: $alert\n(?!\s+exp_alerts:)/,
        "$alert: and is silent");
}

# which promtool says of none, see findings/promtool-misspelt-alert.sh
my %alerts = map { $_ => 1 } @alerts;
is_deeply([grep { !$alerts{$_} } $tests =~ /alertname: (\w+)/g], [],
    'the tests name alerts that are there');


# -- what they name -----------------------------------------------------------

# metrics, labels and values of an expression that the module doesn't print
sub unknown {
    my ($expr) = @_;
    my @unknown;

    while ($expr =~ /\b(graph_policy_\w+)(?:\{([^}]*)\})?/g) {
        my ($name, $selector) = ($1, $2 // '');

        if (!$printed{$name}) {
            push @unknown, $name;
            next;
        }

        while ($selector =~ /(\w+)(!?=~?|!~)"([^"]*)"/g) {
            my ($label, $values) = ($1, $3);
            next if $added{$label};

            if (!$printed{$name}{$label}) {
                push @unknown, "$name\{$label}";
                next;
            }

            next if $label eq 'zone';
            push @unknown, "$name\{$label=$_}"
                for grep { !$printed{$name}{$label}{$_} } split /\|/, $values;
        }
    }

    my %labels = map { $_ => 1 } map { keys %{ $printed{$_} } }
        grep { $printed{$_} } $expr =~ /\b(graph_policy_\w+)/g;

    while ($expr =~ /\b(?:by|without|ignoring|on) \(([^)]*)\)/g) {
        push @unknown, grep { !$added{$_} && !$labels{$_} } split /, /, $1;
    }

    return \@unknown;
}

is_deeply(unknown('sum by (zone, z) (graph_policy_x{zone="a"}
    + graph_policy_states{y="a", scope=~"x|phone"})'), [qw(graph_policy_x
    graph_policy_states{y} graph_policy_states{scope=x} z)],
    'what is unknown is noticed');

is_deeply(unknown($alerts), [], 'alerts name what the module prints');

my $dashboard = eval {
    JSON::PP->new->utf8->decode(slurp("$top/examples/grafana/dashboard.json"));
};
is($@, '', 'the dashboard is JSON');

cmp_ok($dashboard->{schemaVersion}, '>=', 38, 'of Grafana 10');

my @panels = @{ $dashboard->{panels} };
my (%ids, %shown, @exprs, @taken);

for my $panel (@panels) {
    my $title = $panel->{title};
    my $at    = $panel->{gridPos};

    push @taken, $title if grep { $at->{x} < $_->{x} + $_->{w}
        && $_->{x} < $at->{x} + $at->{w} && $at->{y} < $_->{y} + $_->{h}
        && $_->{y} < $at->{y} + $at->{h} }
        map { $_->{gridPos} } grep { $_ != $panel } @panels;

    $ids{ $panel->{id} }++;
    next if $panel->{type} eq 'row';

    ok($panel->{description}, "$title: is explained");

    for my $target (@{ $panel->{targets} }) {
        my $expr = $target->{expr};

        push @exprs, $expr;
        $shown{$_} = 1 for $expr =~ /\b(graph_policy_\w+)/g;

        is_deeply([map { $_->{datasource}{uid} } $panel, $target],
            [('${datasource}') x 2], "$title: of the source that is chosen");
        is_deeply(unknown($expr), [], "$title: names what the module prints");
        like($expr, qr/zone=~"\$zone"/, "$title: of the zones that are chosen");
    }
}

is_deeply(\@taken, [], 'no panel covers another');
is_deeply([grep { $_ > 1 } values %ids], [], 'the ids of panels differ');

is_deeply([sort keys %shown],
    [sort grep { $_ ne 'graph_policy_build_info' } keys %printed],
    'the dashboard shows all metrics');

my @variables = @{ $dashboard->{templating}{list} };

is_deeply([map { $_->{name} } @variables], [qw(datasource instance zone)],
    'what can be chosen');
is_deeply(unknown(join ' ', map { $_->{definition} // '' } @variables), [],
    'out of what the module prints');

# promtool reads expressions as those of rules
{
    my $n    = 0;
    my $file = "groups:\n  - name: dashboard\n    rules:\n" . join '', map {
        my $expr = s/\$__rate_interval/5m/gr;
        $n++;
        "      - record: dashboard:panel:$n\n        expr: "
            . JSON::PP->new->allow_nonref->encode($expr) . "\n" } @exprs;

    cmp_ok($n, '>', 15, 'the dashboard has expressions');

    spew("$temp/panels.yml", $file);
    my ($status, $said) = promtool('', "check rules $temp/panels.yml");
    is($status, 0, 'they can be evaluated') or diag($said);

    spew("$temp/panels.yml", $file =~ s/sum by/sum bye/r);
    ($status) = promtool('', "check rules $temp/panels.yml");
    isnt($status, 0, 'a wrong one would be noticed');
}


# -- docs/metrics.md ----------------------------------------------------------

{
    my ($section) = slurp("$top/docs/metrics.md")
        =~ /^## All metrics\n(.*?)^## /ms or die 'no section';
    my (%described, %typed, $name);

    for (split /\n/, $section) {
        /^\|/ or next;
        my (undef, $first, $second, $third) = split /\s*\|\s*/;

        if ($first =~ /^`(graph_policy_\w+)`$/) {
            $name = $1;
            $described{$name} = {};
            $typed{$name} = $second;
        }

        my ($label) = ($third // '') =~ /^`(\w+)`: / or next;
        $described{$name}{$label}{$_} = 1
            for $third =~ /`([a-z-]+)`/g;
        delete $described{$name}{$label}{$label};
    }

    my %expected;
    for my $name (keys %printed) {
        $expected{$name} = { map { $_ => $printed{$name}{$_} }
            grep { !/^(?:zone|version|nginx)$/ } keys %{ $printed{$name} } };
    }

    is_deeply([sort keys %described], [sort keys %expected],
        'docs/metrics.md has all metrics');

    # reasons are where the table of codes is
    for my $name (sort keys %expected) {
        delete $_->{$name}{reason} for \%expected, \%described;
        is($typed{$name}, $type{$name}, "$name: its type");
        is_deeply($described{$name}, $expected{$name},
            "$name: its labels and their values");
        ok($help{$name}, "$name: has a help");
    }
}


# -- the version --------------------------------------------------------------

{
    my ($version) = slurp("$top/CHANGES.md") =~ /^## (\S+)$/m;

    is_deeply([keys %{ $printed{graph_policy_build_info}{version} }],
        [$version], 'the version is the newest of CHANGES.md');
    like(slurp("$top/README.md"), qr/^Version \Q$version\E[.,]/m,
        'and that of README.md');
}

is_deeply([$nginx->complaints], [], 'nothing is wrong in the log');

done_testing();
