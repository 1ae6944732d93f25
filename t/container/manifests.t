#!/usr/bin/perl

# examples/kubernetes and examples/compose.yaml, as far as that can be told
# without a cluster: Kubernetes' own models know each field, what one object
# names is in another or in the image, and Prometheus takes what it is given.
#
# The models are packages of npm, see t/container/packages: "make
# test-kubernetes" brings them. Without them the test is skipped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use File::Temp ();
use JSON::PP ();

use GraphPolicy qw(slurp spew);

my $here     = $FindBin::Bin;
my $top      = "$here/../..";
my $examples = "$top/examples";
my $modules  = "$top/.build/kubernetes/node_modules";
my $temp     = File::Temp->newdir('manifests.XXXXXX', TMPDIR => 1);

my @missing = grep { !-e "$modules/$_/package.json" }
    qw(@kubernetes-models/prometheus-operator kubernetes-models yaml);

if (@missing) {
    my $why = "missing: @missing";

    die "$why\n" if $ENV{GRAPH_POLICY_NEED_KUBERNETES};
    plan skip_all => "$why; see \"make test-kubernetes\"";
}

chomp(my $version = `$top/t/tools/version`);


# -- Kubernetes ---------------------------------------------------------------

my @files = glob "$examples/kubernetes/*.yaml";
my %object;

for (read_yaml(@files)) {
    my ($name) = $_->{file} =~ m{/kubernetes/(.*)};

    is($_->{faults}, '', "$name: its fields are Kubernetes'");
    $object{ $_->{document}{kind} } = $_->{document};
}

is_deeply([sort keys %object], [qw(ConfigMap Deployment PersistentVolumeClaim
    Secret Service ServiceMonitor)], 'the objects are there');

# each is wrong in another way
my @wrong = (
    ['deployment.yaml', 'replicas: 1', 'replica: 1', 'a misspelt field'],
    ['deployment.yaml', 'replicas: 1', 'replicas: one', 'a word for a number'],
    ['deployment.yaml', 'containerPort: 8080', 'port: 8080',
        'a container\'s port by a wrong name'],
    ['deployment.yaml', '  selector:', '  selectors:', 'a missing selector'],
    ['configmap.yaml', 'GRAPH_POLICY_ZONE_SIZE: 16m',
        'GRAPH_POLICY_ZONE_SIZE: 16', 'a number in a ConfigMap'],
    ['persistentvolumeclaim.yaml', 'storage: 64Mi', 'storage: [64]',
        'a list for a quantity'],
    ['secret.yaml', 'stringData:', 'strings:', 'a Secret\'s wrong field'],
    ['service.yaml', 'port: 8081', 'port: admin', 'a Service\'s port by name'],
    ['servicemonitor.yaml', 'endpoints:', 'endpoint:',
        'a ServiceMonitor without endpoints'],
);

for my $n (0 .. $#wrong) {
    my ($file, $from, $to) = @{ $wrong[$n] };
    my $text = slurp("$examples/kubernetes/$file");

    $text =~ s/\Q$from\E/$to/ or die "no $from in $file";
    spew("$temp/wrong-$n.yaml", $text);
}

my @read = read_yaml(map { "$temp/wrong-$_.yaml" } 0 .. $#wrong);

ok($read[$_]{faults}, "$wrong[$_][3] is refused") for 0 .. $#wrong;

my $name = 'app.kubernetes.io/name';
my $spec = $object{Deployment}{spec};
my $pod  = $spec->{template}{spec};
my ($container) = @{ $pod->{containers} };
my %volume = map { $_->{name} => $_ } @{ $pod->{volumes} };
my %ports  = map { $_->{name} => $_->{containerPort} }
    @{ $container->{ports} };

is($spec->{template}{metadata}{labels}{$name},
    $spec->{selector}{matchLabels}{$name}, 'the Deployment finds its pods');
is($object{Service}{spec}{selector}{$name},
    $spec->{template}{metadata}{labels}{$name}, 'so does the Service');
is($object{ServiceMonitor}{spec}{selector}{matchLabels}{$name},
    $object{Service}{metadata}{labels}{$name},
    'the ServiceMonitor finds the Service');

my %service = map { $_->{name} => $_ } @{ $object{Service}{spec}{ports} };

is_deeply([sort map { $_->{targetPort} } values %service], [sort keys %ports],
    'the Service has the pod\'s ports');
ok($service{ $_->{port} }, 'the ServiceMonitor\'s port is one of them')
    for @{ $object{ServiceMonitor}{spec}{endpoints} };
ok($ports{ $container->{$_}{httpGet}{port} }, "$_ asks one of them")
    for qw(startupProbe readinessProbe livenessProbe);

is($container->{envFrom}[0]{configMapRef}{name},
    $object{ConfigMap}{metadata}{name}, 'the settings are the ConfigMap\'s');
is($volume{states}{persistentVolumeClaim}{claimName},
    $object{PersistentVolumeClaim}{metadata}{name}, 'the states in the volume');
is($volume{secrets}{secret}{secretName}, $object{Secret}{metadata}{name},
    'the secrets the Secret\'s');
is($volume{secrets}{secret}{defaultMode}, 0440, 'which only the group reads');
is_deeply([sort map { $_->{name} } @{ $container->{volumeMounts} }],
    [sort keys %volume], 'all volumes are mounted');


# -- the image ----------------------------------------------------------------

my $containerfile = slurp("$examples/container/Containerfile");
my ($env) = $containerfile =~ /^ENV (.*?[^\\])\n/ms;
my %set   = $env =~ /(GRAPH_POLICY_\w+)=(\S*)/g;
my $templates = join '', map { slurp($_) }
    glob "$examples/container/templates/*";
my %used = map { $_ => 1 } $templates =~ /\$\{(GRAPH_POLICY_\w+)\}/g,
    $templates =~ /^# with (GRAPH_POLICY_\w+)/mg;
my %told = map { $_ => 1 }
    map { /`(GRAPH_POLICY_\w+)`/g }
    slurp("$examples/container/README.md") =~ /^(\| `GRAPH_.*?) \|/mg;

is_deeply([sort keys %used], [sort keys %set],
    'the templates use the variables that the image sets');
is_deeply([sort keys %told], [sort keys %set], 'which its README describes');

is_deeply([grep { !exists $set{$_} } sort keys %{ $object{ConfigMap}{data} }],
    [], 'the ConfigMap sets such as there are');
is($container->{image}, "graph-policy:$version", 'the version is the module\'s');
is($ports{http}, port_of('LISTEN'), 'the port of sends is the image\'s');
is($ports{admin}, port_of('ADMIN_LISTEN'), 'so is that of the API');
is($ports{webhook}, port_of('WEBHOOK_LISTEN'), 'and that of webhooks');

my ($shutdown) = slurp("$examples/container/nginx.conf")
    =~ /^worker_shutdown_timeout\s+(\d+)s;/m;

cmp_ok($pod->{terminationGracePeriodSeconds}, '>', $shutdown,
    'the pod may take longer than nginx does to end');
is_deeply([map { $_->{mountPath} } grep { $_->{name} =~ /^(?:states|secrets)$/ }
        @{ $container->{volumeMounts} }],
    ['/var/lib/nginx/graph_policy', $set{GRAPH_POLICY_SECRETS}],
    'states and secrets are where the image looks');
is_deeply([sort keys %{ $object{Secret}{stringData} }],
    [sort $templates =~ m{\$\{GRAPH_POLICY_SECRETS\}/([\w.]+)}g],
    'the secrets have the names that the templates have');


# -- compose ------------------------------------------------------------------

my ($compose) = map { $_->{document} } read_yaml("$examples/compose.yaml");
my $services  = $compose->{services};
my @proxies   = grep { /^proxy/ } sort keys %$services;

is_deeply([sort keys %$services], [qw(grafana prometheus proxy-a proxy-b
    redis)], 'compose.yaml has two proxies, and what watches them');
is($services->{$_}{image}, "graph-policy:$version", "$_: its version")
    for @proxies;

my (%host, %mounted);

for my $service (sort keys %$services) {
    my $of = $services->{$service};

    $host{$_}++ for map { /^(127\.0\.0\.1:\d+):\d+$/ ? $1 : "open: $_" }
        @{ $of->{ports} || [] };

    for (@{ $of->{volumes} || [] }) {
        my ($from, $to) = split /:/;

        $mounted{"$service:$to"} = $from;
        ok($from =~ /^\./ ? -f "$examples/$from"
            : exists $compose->{volumes}{$from}, "$service: there is $from");
    }

    ok($services->{$_}, "$service: there is $_") for @{ $of->{depends_on} || [] };
    is_deeply([grep { !exists $set{$_} } grep { /^GRAPH_POLICY/ }
        keys %{ $of->{environment} || {} }], [], "$service: its settings exist");
}

is_deeply([grep { $host{$_} > 1 || /^open/ } keys %host], [],
    'each port is open on loopback alone, and once');
is_deeply([map { $services->{$_}{secrets}[0]{target} } @proxies],
    [("$set{GRAPH_POLICY_SECRETS}/fleet.key") x 2],
    'the proxies have the key where they look for it');
ok($compose->{secrets}{ $services->{$_}{secrets}[0]{source} },
    "$_: the secret is declared") for @proxies;
is($services->{$_}{environment}{GRAPH_POLICY_SYNC_SERVER}, 'redis:6379',
    "$_: its engine is Redis") for @proxies;
isnt($mounted{"proxy-a:/var/lib/nginx/graph_policy"},
    $mounted{"proxy-b:/var/lib/nginx/graph_policy"},
    'each proxy has states of its own');

my ($prometheus) = map { $_->{document} }
    read_yaml("$examples/compose/prometheus.yml");
my ($job) = @{ $prometheus->{scrape_configs} };

is_deeply([map { @{ $_->{targets} } } @{ $job->{static_configs} }],
    [map { "$_:" . port_of('ADMIN_LISTEN') } @proxies],
    'Prometheus asks both proxies');
is($job->{metrics_path}, '/graph/metrics', 'for their metrics');
is($mounted{"prometheus:/etc/prometheus/$prometheus->{rule_files}[0]"},
    './prometheus/rules.yml', 'and has our alerts');

my ($source, $provider) = map { $_->{document} }
    read_yaml(glob "$examples/compose/grafana/{datasource,dashboards}.yml");

is($source->{datasources}[0]{url}, 'http://prometheus:9090',
    'Grafana asks Prometheus');
is($mounted{"grafana:$provider->{providers}[0]{options}{path}/dashboard.json"},
    './grafana/dashboard.json', 'and has our dashboard');

SKIP: {
    my ($promtool) = grep { -x } map { "$_/promtool" } "$top/.build/promtool",
        split /:/, $ENV{PATH};

    skip 'there is no promtool', 1 if !$promtool;
    spew("$temp/prometheus.yml", slurp("$examples/compose/prometheus.yml"));
    spew("$temp/rules.yml", slurp("$examples/prometheus/rules.yml"));
    is(system("$promtool check config $temp/prometheus.yml >/dev/null 2>&1"),
        0, 'promtool accepts its configuration');
}

done_testing;


# the documents of files, as check.mjs reads them
sub read_yaml {
    my (@from) = @_;

    open my $node, '-|', 'node', "$here/check.mjs", $modules, @from
        or die "node: $!";
    my $text = do { local $/; <$node> };

    close $node or die "check.mjs failed\n";
    return @{ JSON::PP->new->utf8->decode($text) };
}

sub port_of {
    my ($name) = @_;

    return ($set{"GRAPH_POLICY_$name"} =~ /:(\d+)$/)[0];
}
