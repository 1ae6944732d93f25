#!/usr/bin/perl

# The image of examples/container, run as a pod is: nobody is root, nothing but
# the mounts can be written to, no capability is left, and there is no network.
# t/tools/test-image builds it and runs this.
#
# Graph is a template more, a server in the same nginx.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use File::Temp ();
use JSON::PP ();

use GraphPolicy qw(slurp spew wait_until);

my $podman = $ENV{PODMAN} or die "no PODMAN: run make test-image\n";
my $image  = $ENV{IMAGE};
my $temp   = File::Temp->newdir('image.XXXXXX', TMPDIR => 1);
my $dir    = "$temp";
my @names;

chmod 0755, $dir or die "chmod: $!";

END {
    my $status = $?;
    system("$podman rm -f @names >/dev/null 2>&1") if @names;
    $? = $status;
}

# a volume is the user's, as with fsGroup
my $user = getpwnam 'www-data';
my $said;

mkdir "$dir/$_" or die "mkdir: $!" for qw(states secrets);
chown $user, $user, "$dir/states" or die "chown: $!";
chmod 0700, "$dir/states" or die "chmod: $!";
spew("$dir/secrets/webhook.secrets", 's3cretOfTheApp' . "\n");
spew("$dir/secrets/fleet.key", 'k' x 64 . "\n");
chown $user, $user, glob "$dir/secrets/*" or die "chown: $!";
chmod 0400, glob "$dir/secrets/*" or die "chmod: $!";

spew("$dir/graph.template", <<'END');
# longer than the test takes
graph_policy_hold 1h;
server {
    listen 127.0.0.1:8091;
    access_log off;
    location / {
        default_type application/json;
        add_header X-Far-Side 1 always;
        return 400 '{"error":{"message":"(#131042)","code":131042}}';
    }
    location ~ /slow {
        limit_rate 200;
        limit_rate_after 1;
        add_header X-Far-Side 1 always;
        root /usr/share/common-licenses;
        rewrite ^ /BSD break;
    }
}
END


# -- the image ----------------------------------------------------------------

run("$podman inspect $image");
my $of = JSON::PP->new->decode($said)->[0];

is($of->{User} || $of->{Config}{User}, 'www-data', 'nobody is root in it');
is($of->{Config}{StopSignal}, 'SIGQUIT', 'it is stopped by SIGQUIT');
like("@{ $of->{Healthcheck}{Test} || $of->{Config}{Healthcheck}{Test} }",
    qr/healthy/, 'it says how it is');

my $bytes = 0;

$bytes += -s $_ for glob "$ENV{PUSHED}/*";
cmp_ok($bytes, '<', 90e6, sprintf 'it is %.1f MB as a registry has it, all '
    . 'layers together, compressed', $bytes / 1e6);


# -- a pod --------------------------------------------------------------------

my $pod = pod('one') or BAIL_OUT($said);

ok(is_healthy($pod), 'it gets healthy') or diag logs($pod);
is(run("$podman healthcheck run $pod"), 0, 'as the health check says');
run("$podman exec $pod cat /proc/1/status");
like($said, qr/^Uid:\s+33\s+33\s+33\s+33$/m, 'nginx is www-data');
like($said, qr/^CapEff:\s+0+$/m, 'without a capability');
isnt(run("$podman exec $pod touch /etc/nginx/x"), 0,
    'its configuration can\'t be written to');
like($said, qr/Read-only file system|Permission denied/, 'by nobody');

my $first = send_message($pod);

like($first, qr/^X-Graph-Error-Category: fatal\r$/m, 'a send that fails');
like($first, qr/^X-Far-Side: 1\r$/m, 'has Graph\'s own answer');
blocked($pod, 'the next one is blocked');

like(logs($pod), qr/"policy":"BLOCKED"/, 'the access log is its output');
like(logs($pod), qr/graph policy state set/, 'and the error log, too');
unlike(logs($pod), qr/EAAFAKEtoken|\[(?:alert|emerg|crit)\]/,
    'without a token, and without a complaint');

is(run("$podman exec $pod graph-policy-ctl list"), 0,
    'graph-policy-ctl is there, and knows where to ask');
like($said, qr/^\w{18} +account of phone 106540352242922 +billing +131042 /m,
    'and what is paused') or diag $said;
run("$podman exec $pod curl -sS http://127.0.0.1:8081/graph/metrics");
like($said, qr/^graph_policy_states\{.*\} 1$/m, 'metrics are there');
unlike(slurp_in($pod, '20-sync.conf'), qr/./, 'there is no fleet');
unlike(slurp_in($pod, '30-webhook.conf'), qr/./, 'and no webhook');


# -- stop and start -----------------------------------------------------------

# 1.5 kB, 200 bytes a second
my $slow = fork // die "fork: $!";

if (!$slow) {
    exec "$podman exec $pod curl -sS -o /tmp/slow -w '%{http_code} "
        . "%{size_download} ' http://127.0.0.1:8080/slow >$dir/slow 2>&1";
}

ok(wait_until(sub { run("$podman exec $pod sh -c 'test -s /tmp/slow'") == 0 },
    20), 'an answer is on its way');
is(run("$podman stop -t 60 $pod"), 0, 'it is stopped');
waitpid $slow, 0;
like(slurp("$dir/slow"), qr/^200 14\d\d /,
    'the answer that was on its way came to its end');
run("$podman inspect -f '{{.State.ExitCode}}' $pod");
is($said, "0\n", 'nginx left as it does on SIGQUIT');
ok(-s "$dir/states/graph.json", 'the states are in the volume');

is(run("$podman start $pod"), 0, 'it is started again');
ok(is_healthy($pod), 'it is healthy');
blocked($pod, 'the send is blocked still');
run("$podman stop -t 20 $pod");

$pod = pod('two', GRAPH_POLICY_ZONE_SIZE => '1m');
ok(is_healthy($pod), 'another container with that volume');
blocked($pod, 'blocks it as well');
run("$podman stop -t 20 $pod");


# -- by the environment -------------------------------------------------------

$pod = pod('three', GRAPH_POLICY_DRY_RUN => 'on',
    GRAPH_POLICY_ADMIN_LISTEN => '0.0.0.0:9081',
    GRAPH_POLICY_NOTE => "one\nGRAPH_POLICY_LISTEN=two",
    GRAPH_POLICY_SYNC_SERVER => '127.0.0.1:6379',
    GRAPH_POLICY_WEBHOOK_APPLICATION => '127.0.0.1:8091');
ok(is_healthy($pod, 9081), 'with other settings') or diag logs($pod);
unlike(logs($pod), qr/can be read or written by everybody/,
    'the key is for the container alone');
is(run("$podman healthcheck run $pod"), 0, 'it is healthy');
like(send_message($pod), qr/^X-Far-Side: 1\r$/m, 'a dry run blocks nothing');
run("$podman exec $pod curl -sS http://127.0.0.1:9081/graph/zones/graph");
like($said, qr/"sync":\{"connected":false/, 'it is one of a fleet');
run("$podman exec $pod curl -sS -o /dev/null -w '%{http_code}' -d '{}' "
    . 'http://127.0.0.1:8082/');
is($said, '403', 'a webhook needs a signature');
run("$podman stop -t 20 $pod");

$pod = pod('four', GRAPH_POLICY_ZONE_SIZE => 'large');
run("timeout 20 $podman wait $pod");
is($said, "1\n", 'a wrong setting ends it');
like(logs($pod), qr/\[emerg\].*graph:large/, 'and is named');

done_testing();


# -- helpers ------------------------------------------------------------------

sub run {
    my ($command) = @_;

    $said = `$command 2>&1 </dev/null`;

    my $status = $? >> 8 || $?;

    # podman, where there is no systemd
    $said =~ s/^time="[^"]*" level=error msg="[^"]*systemd.*\n//mg;
    return $status;
}

sub pod {
    my ($name, %set) = @_;

    my %env = (GRAPH_POLICY_UPSTREAM => '127.0.0.1:8091',
        GRAPH_POLICY_UPSTREAM_SCHEME => 'http', %set);
    my @env = map { my $v = $env{$_} =~ s/'/'\\''/gr; "-e '$_=$v'" }
        sort keys %env;
    my $from = "$dir:";

    $name = "graph-policy-$name-$$";
    push @names, $name;

    return run("$podman run -d --name $name --network=none"
        # systemd would be the one to ask regularly
        . ' --health-interval=disable'
        # more than these not everybody may give
        . ' --ulimit=nofile=8192:8192 --ulimit=nproc=4096:4096'
        . ' --read-only --cap-drop=all --security-opt=no-new-privileges'
        . ' --user 33:33 --tmpfs /tmp:mode=1777'
        . " -v $dir/states:/var/lib/nginx/graph_policy"
        . " -v $dir/secrets:/run/secrets/graph-policy:ro"
        . " -v $dir/graph.template:/etc/nginx/templates/90-far.conf.template:ro"
        . " @env $image") == 0 ? $name : undef;
}

sub is_healthy {
    my ($pod, $port) = @_;

    $port //= 8081;
    return wait_until(sub { run("$podman exec $pod curl -fsS -o /dev/null "
        . "http://127.0.0.1:$port/healthz") == 0 }, 20);
}

sub logs {
    my ($pod) = @_;

    run("$podman logs $pod");
    return $said;
}

sub slurp_in {
    my ($pod, $name) = @_;

    return run("$podman exec $pod cat /tmp/graph-policy/conf.d/$name") == 0
        ? $said : '';
}

sub send_message {
    my ($pod) = @_;

    run("$podman exec $pod curl -sS -i -m 10"
        . q{ -H 'Authorization: Bearer EAAFAKEtoken'}
        . q{ -H 'Content-Type: application/json' -d '{"to":"15550001111"}'}
        . ' http://127.0.0.1:8080/v25.0/106540352242922/messages');
    return $said;
}

sub blocked {
    my ($pod, $title) = @_;
    my $answer = send_message($pod);

    like($answer, qr/^X-Graph-Policy: blocked\r$/m, $title);
    unlike($answer, qr/^X-Far-Side:/m, 'without Graph');
}
