#!/usr/bin/perl

# The life of the Debian package on a fresh system: ROOT, of the suite SUITE,
# with /debs/this.deb, /debs/next.deb, the same of the next revision, and what
# they need in apt's cache. t/tools/test-deb makes it, and runs this in
# namespaces of mounts, processes and network.
#
# The configuration is the one that docs/deploying.md shows. Graph is an nginx
# server that has its name, and a certificate that the system trusts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use GraphPolicy qw(slurp spew wait_until);

my $root = $ENV{ROOT} or die "no ROOT: run make test-deb\n";
my $top  = "$FindBin::Bin/../..";

my $package = 'libnginx-mod-http-graph-policy';
my $so      = '/usr/lib/nginx/modules/ngx_http_graph_policy_module.so';
my $conf    = '/usr/share/nginx/modules-available/mod-http-graph-policy.conf';
my $link    = '/etc/nginx/modules-enabled/70-mod-http-graph-policy.conf';
my $states  = '/var/lib/nginx/graph_policy';
my $said;

note "on $ENV{SUITE}";

my @before = files();


# -- a fresh system -----------------------------------------------------------

is(run('apt-get -y install /debs/this.deb'), 0,
    'apt installs the package on a fresh system') or BAIL_OUT($said);
is(run('dpkg-query -W -f \'${Status}\' nginx'), 0, 'and brings nginx');
like($said, qr/^install ok installed/, 'which is there');

run("dpkg-query -W -f '\${Depends}' $package");
like($said, qr/^nginx-abi-\S+,/, 'it depends on the interface of that nginx');
like($said, qr/\blibhiredis/, 'and on hiredis');

is(readlink "$root$link", $conf, 'the module is enabled, after all others');
is(mode($states), '700 www-data', 'the folder of states is the workers\' alone');

my ($section) = slurp("$top/docs/deploying.md")
    =~ /^## Installing on Debian\n(.*?)^## /ms;
my ($config) = $section =~ /^```nginx\n(.*?)^```/ms;

is($config =~ tr/\n//, 15, 'fifteen lines of configuration are shown');
spew("$root/etc/nginx/conf.d/graph.conf", $config);
stand_in();

is(run('nginx -t'), 0, 'nginx accepts them') or diag $said;
unlike($said, qr/warn|another filter/, 'without a word about the order');
is(run('service nginx restart'), 0, 'nginx starts') or diag $said;
ok(listening(), 'and serves') or diag log_of();

my $first = send_message();
like($first, qr/^X-Graph-Error-Category: fatal\r$/m, 'a send that fails');
like($first, qr/^X-Far-Side: 1\r$/m, 'has Graph\'s own answer');

blocked('is blocked the second time');


# -- from the terminal --------------------------------------------------------

run('graph-policy-ctl list');
my ($state) = $said =~ /^(\w+) +account of phone 106540352242922 +billing +131042 /m;
ok($state, 'graph-policy-ctl lists what is paused') or diag $said;
is(run('graph-policy-ctl list | wc -l'), 0, 'with a heading');
is($said, "2\n", 'and nothing else');

is(run("graph-policy-ctl show $state"), 0, 'shows it');
like($said, qr/^why +billing \(131042\), by an answer$/m, 'why it is');
like($said, qr/^blocked +1 send$/m, 'and what it stops');

is(run("graph-policy-ctl clear $state"), 0, 'and clears it');
like(send_message(), qr/^X-Far-Side: 1\r$/m, 'the next send goes to Graph');
blocked('whose answer pauses again');

my ($version) = version() =~ /^([\d.]+)-/;

run('graph-policy-ctl --version');
is($said, "graph-policy-ctl $version\n", 'it has the version of the package');
ok(-s "$root/usr/share/man/man1/graph-policy-ctl.1.gz", 'and a manual page');
is(run('source /usr/share/bash-completion/completions/graph-policy-ctl'
    . ' && complete -p graph-policy-ctl'), 0, 'bash completes it') or diag $said;


# -- its pages ----------------------------------------------------------------

my $doc = "/usr/share/doc/$package";

for my $page ('docs/README.md', 'examples/ctl/README.md') {
    run("cat $doc/$page");
    ok($said eq slurp("$top/$page"), "the package has $page as it is");
}
is(run("diff $doc/examples/graph-policy-ctl /usr/bin/graph-policy-ctl"), 0,
    'and each program once');

my @links;

for my $page (grep { m{^\Q$doc\E/.*\.md\z} } files()) {
    my ($folder) = $page =~ m{^(.*/)};

    push @links, map { "$folder$_" } grep { !/^https?:/ }
        slurp("$root$page") =~ /\]\(([^)\s#]+)[^)]*\)/g;
}

cmp_ok(scalar @links, '>', 200, 'pages link to each other, and to examples');
spew("$root/tmp/links", join '', map { "$_\n" } @links);
run('while read -r link; do [ -e "$link" ] || echo "$link"; done </tmp/links');
is($said, '', 'the package has all that they link to');

is(run("GRAPH_POLICY_PORT=8090 MOCK_PORT=8091 DASHBOARD_PORT=8092"
    . " $doc/examples/quickstart/run --once"), 0,
    'the quickstart runs from the package') or diag $said;


# -- a fleet ------------------------------------------------------------------

spew("$root/tmp/sync.conf", <<'END');
include /etc/nginx/modules-enabled/*.conf;
events {}
http {
    graph_policy_zone zone=fleet:1m;
    graph_policy_sync zone=fleet servers=127.0.0.1:6379;
}
END
run('nginx -t -c /tmp/sync.conf');
unlike($said, qr/hiredis|unknown directive/,
    'a fleet can be configured: hiredis is built in');


# -- an upgrade ---------------------------------------------------------------

my $pid = pid();

is(run('apt-get -y install /debs/next.deb'), 0, 'the package is upgraded')
    or diag $said;
like(version(), qr/\+next\z/, 'to the next revision');
is(pid(), $pid, 'nginx runs on');
blocked('and blocks');

is(run('service nginx upgrade'), 0, 'nginx is replaced while it runs')
    or diag $said;
ok(wait_until(sub { my $new = pid(); $new && $new != $pid
    && !-e "$root/proc/$pid" }, 20), 'by a new process');
ok(listening(), 'which serves');
blocked('the new one knows the state');

is(run('service nginx restart'), 0, 'nginx is restarted');
ok(listening(), 'and serves');
blocked('and knows it, too');

unlink "$root$link" or die "$link: $!";
is(run('apt-get -y --reinstall install /debs/next.deb'), 0, 'installed anew');
ok(!-l "$root$link", 'a link that the admin has removed stays away');
is(run("ln -s $conf $link"), 0, 'the admin sets it again');


# -- make install beside it ---------------------------------------------------

my $sum = run("sha256sum $so $conf") || $said;

for my $action (qw(install uninstall)) {
    isnt(run("MODULE=$so bash /debs/install-module $action"), 0,
        "make $action refuses what the package owns");
    like($said, qr/^$action: \S+ belongs to the package $package\b/m,
        'it says whose it is');
    like($said, qr/^    apt-get remove $package$/m,
        'and which command to use');
}

run("sha256sum $so $conf");
is($said, $sum, 'nothing has changed');
is(readlink "$root$link", $conf, 'nor the link');
run("dpkg -V $package");
is($said, '', 'dpkg misses nothing');


# -- removed in use -----------------------------------------------------------

is(run("apt-get -y remove $package"), 0, 'removed while nginx uses it')
    or diag $said;
ok(!-e "$root$so", 'the module is gone');
ok(!-l "$root$link", 'so is its link');
ok(listening(), 'nginx serves on');
blocked('and still blocks');
isnt(run('nginx -t'), 0, 'a new one would refuse the configuration');
like($said, qr/unknown directive "graph_policy/, 'and says why');
ok(-s "$root$states/graph.json", 'what was learnt is kept');

is(run('apt-get -y install /debs/this.deb'), 0, 'installed again')
    or diag $said;
is(readlink "$root$link", $conf, 'it is enabled again');
is(run('nginx -t'), 0, 'nginx accepts the configuration again') or diag $said;
is(run('service nginx restart'), 0, 'and starts');
ok(listening(), 'serves');
blocked('and knows what it knew');


# -- purged -------------------------------------------------------------------

unlink "$root/etc/nginx/conf.d/graph.conf", "$root/etc/nginx/conf.d/graph-far.conf";
is(run("apt-get -y purge $package"), 0, 'purged') or diag $said;
is_deeply([grep { /graph[-_]policy/ } files()], [],
    'nothing of the package is left');
is(run('nginx -t'), 0, 'nginx does without');
is(run('service nginx restart'), 0, 'and starts');

run('apt-get -y purge --auto-remove "nginx*" ca-certificates');

my %there = map { $_ => 1 } @before;

is(join("\n", grep { !$there{$_} && !left_by_others($_) } files()), '',
    'with nginx and the libraries purged, the system is as it was');

done_testing();


# -- helpers ------------------------------------------------------------------

# a command in the system; what it says is in $said. A daemon that it starts
# keeps its standard error, so that is a file.
sub run {
    my ($command) = @_;

    my $status = system('chroot', $root, 'env', '-i',
        'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'LC_ALL=C',
        'DEBIAN_FRONTEND=noninteractive', 'bash', '-c',
        "{ $command\n} </dev/null >/tmp/said 2>&1");

    $said = slurp("$root/tmp/said");
    return $status >> 8 || $status;
}

sub files {
    my @files = split /\n/, `find '$root' -xdev \\( -path '$root/proc' -o -path \\
        '$root/run' -o -path '$root/tmp' -o -path '$root/debs' -o -path \\
        '$root/var/cache' -o -path '$root/var/lib/apt' -o -path \\
        '$root/var/log/apt' \\) -prune -o -printf '/%P\\n'`;

    return sort @files;
}

# nginx-common leaves its folders, and dpkg and others their notes
sub left_by_others {
    my ($file) = @_;

    return $file =~ m{^/var/lib/(?:dpkg|systemd|ucf|update-rc\.d)\b
        |^/var/log/(?:dpkg|alternatives)|^/etc/(?:ld\.so\.cache|rc[0-6S]\.d
        |ca-certificates|ssl)\b|^/usr/share/ca-certificates\b
        |^/var/www(?:/html(?:/index\.nginx-debian\.html)?)?\z}x;
}

sub mode { run("stat -c '%a %U' $_[0]"); chomp $said; return $said }

sub version {
    run("dpkg-query -W -f '\${Version}' $package");
    return $said;
}

sub pid {
    my $pid = -s "$root/run/nginx.pid" ? slurp("$root/run/nginx.pid") : '';

    return $pid =~ /(\d+)/ ? $1 : 0;
}

# Graph, by its name and with a certificate that the system trusts
sub stand_in {
    my $dir = "$root/etc/nginx/graph-far";

    mkdir $dir or die "$dir: $!";
    system("$top/t/tools/make-cert", $dir, 'graph.facebook.com') == 0
        or die "make-cert failed\n";

    spew("$root/etc/hosts", "127.0.0.1 localhost graph.facebook.com\n");
    run('cat /etc/nginx/graph-far/ca.crt >>/etc/ssl/certs/ca-certificates.crt');

    spew("$root/etc/nginx/conf.d/graph-far.conf", <<'END');
# longer than the test takes
graph_policy_hold 1h;
# where graph-policy-ctl looks by itself
server {
    listen 127.0.0.1:8081;
    location /graph/ {
        graph_policy_api write=on;
    }
}
server {
    listen              127.0.0.1:443 ssl;
    server_name         graph.facebook.com;
    ssl_certificate     graph-far/server.crt;
    ssl_certificate_key graph-far/server.key;
    location / {
        default_type application/json;
        add_header X-Far-Side 1 always;
        return 400 '{"error":{"message":"(#131042)","code":131042}}';
    }
}
END
}

sub send_message {
    run(q{curl -sS -i -m 10 -H 'Authorization: Bearer EAAFAKEtoken' \
        -H 'Content-Type: application/json' \
        -d '{"messaging_product":"whatsapp","to":"15550001111",
             "type":"text","text":{"body":"Hi"}}' \
        http://127.0.0.1:8080/v25.0/106540352242922/messages});
    return $said;
}

sub blocked {
    my ($title) = @_;
    my $answer = send_message();

    subtest $title => sub {
        like($answer, qr/^X-Graph-Policy: blocked\r$/m, 'by the proxy');
        unlike($answer, qr/^X-Far-Side:/m, 'without Graph');
    } or diag $answer, log_of();
}

sub listening {
    return wait_until(sub { run('curl -sS -m 5 -o /dev/null http://127.0.0.1:8080/'
        . ' || [ $? -ne 7 ]') == 0 }, 20);
}

sub log_of {
    my $log = "$root/var/log/nginx/error.log";

    return -e $log ? slurp($log) : '';
}
