#!/usr/bin/perl

# That the commands in the documentation do what they are for. Each one is run,
# in a sandbox whose /etc, /var and /usr/local are folders of the test's, on an
# nginx with the module; or it says right behind it why not. Of what is fenced
# otherwise each kind has its test.

use strict;
use warnings;

use File::Temp ();
use FindBin;
use lib "$FindBin::Bin/lib";

use Cwd ();
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use GraphPolicy qw(free_ports slurp spew slow wait_until);
use GraphPolicy::Docs qw(pages text fences anchors headings prose);

my $top  = Cwd::abs_path("$FindBin::Bin/..");
my $temp = File::Temp->newdir('docs.XXXXXX', TMPDIR => 1);
my $dir  = "$temp";
chmod 0755, $dir or die "chmod: $!";

delete @ENV{grep { /^GRAPH_POLICY_|_proxy$/i } keys %ENV};
$ENV{HOME} = $dir;

my @pages = pages();
my @all   = map { fences($_) } @pages;

# those whose commands t/docs.t runs, as their answers are what they are about
my %elsewhere = map { $_ => 1 } qw(README.md docs/api.md);


# -- what kinds there are -----------------------------------------------------

# nginx, http: t/docs.t; text: what programs print, and drawings
my %kinds = map { $_ => 1 } qw(sh console nginx http json yaml ini js text);

is_deeply([map { "$_->{page}:$_->{line}" } grep { !$kinds{ $_->{language} } }
    @all], [], 'each fence says what it is');

for my $fence (grep { defined $_->{not_run} } @all) {
    my $where = "$fence->{page}:$fence->{line}";

    like($fence->{language}, qr/^(?:sh|console)$/,
        "$where: only commands can say that they aren't run");
    like($fence->{not_run}, qr/^\S.{15,}/, "$where: and they say why");
}

for my $fence (grep { $_->{language} eq 'json' } @all) {
    ok(eval { JSON::PP::decode_json($fence->{code}) },
        "$fence->{page}:$fence->{line}: it is JSON");
}


# -- a host -------------------------------------------------------------------

my ($proxy, $api, $demo, $demo2, $mock, $tls) = free_ports(6);

# takes connections and never answers
my $silence = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 8)
    or die "listen: $!";
my $silent = $silence->sockport;

# "logs" is for an nginx that was built to have its own beneath its prefix
mkdir "$dir/$_" or die "mkdir $_: $!" for qw(bin etc etc/nginx etc/prometheus
    etc/nginx/modules-enabled var var/lib var/lib/nginx var/log var/log/nginx
    usr usr/local usr/local/bin top logs);

system("$top/t/tools/make-cert", "$dir/etc", 'graph.facebook.com') == 0
    or die "make-cert failed\n";

sub program {
    my ($name, $text) = @_;
    spew("$dir/bin/$name", $text);
    chmod 0755, "$dir/bin/$name" or die "chmod: $!";
}

spew("$dir/etc/nginx/app.secrets", "0123456789abcdef\n");
spew("$dir/.netrc", "default login ops password secret\n");

# nginx with the sandbox's configuration; a signal is only noted
program('nginx', <<"END");
#!/bin/sh
if [ "\$1" = -s ]; then
    echo "\$2" >>'$dir/signals'
    exit
fi
perl -pe 's{/etc/ssl/certs/\\S+?crt}{$dir/etc/ca.crt}; s{/etc/ssl/\\S+key}{$dir/etc/server.key};
    s{/etc/ssl/\\S+pem}{$dir/etc/server.crt};
    s{ /(etc|var|run)/(?!\\S*docs\\.)}{ $dir/\$1/}; s{=/var/}{=$dir/var/};
    s{127\\.0\\.0\\.1:8080}{127.0.0.1:$demo}; s{127\\.0\\.0\\.1:8081}{127.0.0.1:$demo2};
    s{listen +443}{listen 127.0.0.1:$tls};
    s{graph\\.facebook\\.com:443}{127.0.0.1:443}; s/^user .*//;
    \$_ .= join "", map { "\${_}_temp_path $dir/\$_;\\n" }
        qw(client_body proxy fastcgi uwsgi scgi) if /^http \\{/' \\
    '$dir/etc/nginx/nginx.conf' >'$dir/etc/nginx/test.conf'
exec '$GraphPolicy::nginx_binary' "\$@" -p '$dir/' -e '$dir/var/log/nginx/test.log' \\
    -c '$dir/etc/nginx/test.conf'
END
mkdir "$dir/run" or die "mkdir: $!";
spew("$dir/etc/nginx/modules-enabled/70.conf",
    "load_module $GraphPolicy::module;\n");

# what would leave the sandbox
my @outside = qw(sudo apt apt-get dpkg systemctl service docker podman kubectl
    make redis-server redis-sentinel valkey-server);

program($_, <<'END') for @outside;
#!/bin/sh
echo "${0##*/} not found here: a block with it isn't run, and says why" >&2
exit 1
END

program('editor', qq(#!/bin/sh\nprintf '%s\\n' 0123456789abcdef >>"\$1"\n));
program('mail', qq(#!/bin/sh\nprintf '%s\\n' "\$*"; cat\n));
symlink "$top/examples/graph-policy-ctl", "$dir/bin/graph-policy-ctl"
    or die "symlink: $!";

$ENV{PATH} = "$dir/bin:$ENV{PATH}:/usr/sbin:/sbin:$top/.build/promtool";
$ENV{GRAPH_POLICY_URL} = "http://127.0.0.1:$api/graph/";

# the commands may copy, and write beside it
system('cp', '-a', "$top/examples", "$top/docs", "$dir/top/") == 0 or die 'cp';

# of the page about nginx's defaults: what it says to an upstream
my ($far) = map { $_->{code} } grep { $_->{code} =~ /server_protocol/ }
    fences('docs/deploying.md');
$far =~ s/127\.0\.0\.1:8090/127.0.0.1:$demo/g;
$far =~ s/127\.0\.0\.1:8091/127.0.0.1:$demo2/g;

my $nginx = GraphPolicy::Nginx->start(http => <<"END");
log_format graph '\$remote_addr [\$time_local] "\$graph_policy_request" '
                 '\$status policy=\$graph_policy_status';
graph_policy_zone      zone=graph:1m;
graph_policy_event_log %DIR%/events.log;
server {
    listen     127.0.0.1:%PORT%;
    listen     127.0.0.1:$proxy;
    access_log %DIR%/graph.log graph;

    location / {
        graph_policy      zone=graph;
        graph_policy_hold 10m;
        proxy_pass        http://127.0.0.1:$mock;
    }
    location /trial/ {
        graph_policy         zone=graph;
        graph_policy_dry_run on;
        proxy_pass           http://127.0.0.1:$mock/;
    }
    location /away/ {
        graph_policy zone=graph;
        proxy_pass   http://127.0.0.1:1;
    }
    location /slow/ {
        graph_policy       zone=graph;
        proxy_read_timeout 100ms;
        proxy_pass         http://127.0.0.1:$silent;
    }
    location /none/ {
        graph_policy zone=graph;
        return       404;
    }
    location = /whatsapp/webhook {
        graph_policy                     zone=graph;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file $dir/etc/nginx/app.secrets;
        proxy_pass                       http://127.0.0.1:$mock;
    }
}
server {
    listen 127.0.0.1:$api;
    location /graph/ { graph_policy_api write=on; }
}
server {
    listen       127.0.0.1:$mock;
    default_type application/json;
    location / {
        if (-f %DIR%/unpaid) {
            return 400 '{"error":{"message":"(#131042)","code":131042,"fbtrace_id":"AFakeTraceId0000000000"}}';
        }
        return 200 '{"messaging_product":"whatsapp","contacts":[{"input":"15550001111","wa_id":"15550001111"}],"messages":[{"id":"wamid.FAKE"}]}';
    }
    location ~ ^/by/(?<number>[0-9]+) {
        return 400 '{"error":{"message":"Oops","code":\$number}}';
    }
}
$far
END

my $unpaid = $nginx->dir . '/unpaid';

sub send_one {
    my ($path) = @_;
    return $nginx->request(path => $path, token => 'EAAFAKEtoken',
        headers => ['Content-Type' => 'application/json'],
        body => '{"to":"15550001111","type":"text"}');
}

sub api {
    my ($method, $path, $body) = @_;
    my $answer = GraphPolicy::request(port => $api, method => $method,
        path => "/graph/$path", body => $body // '', headers =>
        [defined $body ? ('Content-Type' => 'application/json') : ()]);
    return $answer->{body} =~ /^\{/ ? JSON::PP::decode_json($answer->{body}) : {};
}

sub set_by_hand {
    my ($phone, $how) = @_;
    return api('POST', 'zones/graph/states', qq({"scope":"phone","key":"$phone",)
        . qq("reason":"phone-disconnected",$how}))->{id};
}

# what the pages speak of: a billing error with a dozen blocked sends, a frozen
# phone, lines in the logs
my $id;

sub prepare {
    my ($page) = @_;

    api('DELETE', 'zones/graph/states');
    unlink $unpaid;

    if ($page eq 'docs/terminal.md') {
        spew($unpaid, '');
        send_one('/v25.0/106540352242922/messages') for 0 .. 12;
        unlink $unpaid;
        return;
    }
    return if $page eq 'docs/developers.md';

    if ($page eq 'docs/operating.md') {
        send_one('/by/133010/106540352242922/messages');
        return;
    }

    $id = set_by_hand('106540352242922', '"hold":"10m"');

    set_by_hand('106540352242999', '"probe":false');
    send_one('/trial/v25.0/106540352242999/messages');
}

# names and addresses of the page as those of the sandbox
sub local_names {
    my ($code) = @_;

    $code =~ s{(?<=[\s'"=>])/(?=(?:etc|var|usr/local)/)}{$dir/}g;
    $code =~ s{127\.0\.0\.1:8080}{127.0.0.1:$proxy}g;
    $code =~ s{127\.0\.0\.1:8081}{127.0.0.1:$api}g;
    $code =~ s{https://\$host:8443}{http://\$host:$api}g;
    $code =~ s{\bgraph-[ab]\.example\.com\b}{127.0.0.1}g;
    $code =~ s{127\.0\.0\.1:8090}{127.0.0.1:$demo}g;
    $code =~ s{192\.0\.2\.1[12]}{127.0.0.1}g;
    $code =~ s{https://proxy\.example\.com}{'http://127.0.0.1:' . $nginx->port}ge;
    $code =~ s{graph\.facebook\.com}{localhost}g;

    return $code;
}

# status, standard output, standard error
sub run {
    my ($page, $code) = @_;

    my ($folder) = $page =~ m{^(examples/.*)/};
    my $place = "$dir/top" . ($folder ? "/$folder" : '');

    spew("$dir/script", "set -euo pipefail\ncd '$place'\nid=" . ($id // '')
        . "\nexport GRAPH_TEXT=text GRAPH_SINCE=then GRAPH_REQUEST_ID=f00"
        . " GRAPH_REASON=billing GRAPH_SOURCE=api\n" . local_names($code));
    my $seconds = 60 * slow();
    my $rc = system "GRAPH_DOCS='$dir' timeout $seconds bash '$dir/script' >'$dir/out' 2>'$dir/err' </dev/null";

    # what it has left running is known by its environment
    for my $process (glob '/proc/[0-9]*') {
        next if slurp("$process/environ") !~ /(?:\A|\0)GRAPH_DOCS=\Q$dir\E\0/;
        kill 'TERM', $process =~ /(\d+)/;
    }

    return ($rc >> 8, slurp("$dir/out"), slurp("$dir/err"));
}


# -- each of them -------------------------------------------------------------

# the log of a dry run has to be there, and nginx's own, with what is looked for
prepare('');
wait_until(sub { slurp($nginx->dir . '/graph.log') =~ /BLOCKED_DRY_RUN/ });
system('cp', $nginx->dir . '/graph.log', "$dir/var/log/nginx/graph.log");
system('cp', $nginx->dir . '/events.log',
    "$dir/var/log/nginx/graph-events.log");
spew("$dir/var/log/nginx/error.log", "[error] no live upstreams while\n");
spew("$dir/etc/nginx/nginx.conf", <<"END");
include /etc/nginx/modules-enabled/*.conf;
error_log /var/log/nginx/error.log;
pid /run/docs.pid;
events {}
http {
    variables_hash_max_size    64;
    variables_hash_bucket_size 64;
}
END

# what comes out of some of them: a part of the command, then of its output
my @output = (
    ["grep 'policy=BLOCKED_DRY_RUN'", qr/ 200 policy=BLOCKED_DRY_RUN/],
    ['curl -s http://127.0.0.1:8090/ http', qr/request 1\n.*request [12]\n/s],
    ['nginx -T', qr/error_log.*variables_hash.*no live upstreams/s],
    ['-d \'{}\' https://proxy.example.com', qr/^HTTP\S+ 403 /],
    ['# all fatal states, one a line', qr/^\{"id":.*\n\{"id":.*\n\z/],
    ['# what is frozen now', qr/^\w{18}\tphone\t106540352242999\n\z/],
    ['.counters.dry_run_blocks', qr/"phone-disconnected": \{\n *"accepted": \d/],
    ['# how often which reason', qr/^ *\d+ phone-disconnected\n\z/m],
    ['for host in graph-a', qr/"106540352242923".*"106540352242923"/s],
    ['promtool check rules', qr/SUCCESS.*SUCCESS/s],
    ['GRAPH_REQUEST_ID', qr/^-s WhatsApp: billing oncall\@example\.com\ntext\n\nPaused since then, by hand\. The request id of this event is f00\.\n/],
    ['# the phones that are paused', qr/^106540352242922\n.*^\w{18} is cleared/ms],
    ['.source == "api"', qr/^\{"scope":"phone","key":"106540352242922",/m],
);
my (%used, $ran);

for my $fence (grep { $_->{language} eq 'sh' && !defined $_->{not_run} } @all) {
    my $where = "$fence->{page}:$fence->{line}";

    prepare('');
    my ($status, $out, $err) = run($fence->{page}, $fence->{code});

    $ran++;
    is($status, 0, "$where: the command works") or diag($fence->{code}, $err);
    unlike($err, qr/not found|No such file|\[emerg\]|jq: error/,
        "$where: and complains of nothing");

    for (grep { index($fence->{code}, $_->[0]) >= 0 } @output) {
        like($out, $_->[1], "$where: what comes out");
        $used{ $_->[0] } = 1;
    }
}

cmp_ok($ran, '>', 15, 'there are commands');
is_deeply([map { $_->[0] } grep { !$used{ $_->[0] } } @output], [],
    'all that is expected was');
like(slurp("$dir/signals"), qr/^reload$/m, 'nginx was told to reload');
is(sprintf('%o', (stat "$dir/etc/nginx/webhook.secrets")[2] & 07777), '600',
    'a file of secrets is made for its owner alone');


# -- what is shown with its answer --------------------------------------------

# the ids of a page, and which ones they are here
my %here;

sub plain {
    my ($text) = @_;

    $text =~ tr/\r//d;
    $text =~ s/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z/TIME/g;
    $text =~ s/\b\d\d:\d\d:\d\dZ/CLOCK/g;
    $text =~ s/\b\d+[smhd]\b/AGE/g;
    $text =~ s/\b[0-9a-f]{18}\b/ID/g;
    $text =~ s/ +/ /g;

    return $text =~ s/\s+\z//r;
}

my $shown;

for my $page (grep { !$elsewhere{$_} } @pages) {
    my @fences = grep { $_->{language} eq 'console' && !defined $_->{not_run} }
        fences($page);
    prepare($page) if @fences;
    %here = ();

    for my $fence (@fences) {
        my @steps = split /^(?=\$ )/m, $fence->{code};

        for (@steps) {
            my ($command, $expected)
                = /\A\$ ((?:[^\n]*(?:\\|\|)\n)*[^\n]*\n)(.*)\z/s
                or die "no command: $_";
            my $name = "$page: " . $command =~ s/\n.*//sr;

            $command =~ s/\b([0-9a-f]{18})\b/$here{$1} || $1/ge;
            my $out = $command =~ /^graph-policy-ctl watch/
                ? watched($command) : (run($page, $command))[1];

            @here{ $expected =~ /\b([0-9a-f]{18})\b/g }
                = $out =~ /\b([0-9a-f]{18})\b/g;
            $shown++;

            if ($command =~ /^curl -i/) {
                my ($head, $body) = split /\r?\n\r?\n/, $out;
                my ($shown_head, $shown_body) = split /\n\n/, $expected;
                like($head, qr/^\Q$_\E\r?$/m, "$name: $_")
                    for split /\n/, $shown_head;
                is(plain($body), plain($shown_body), "$name: its body");
                next;
            }

            is(plain($out), plain($expected), $name);
        }
    }
}

cmp_ok($shown, '>=', 9, 'there are commands with their answers');

# what it tells of a state that comes and goes
sub watched {
    my ($command) = @_;

    my $pid = fork // die "fork: $!";

    if (!$pid) {
        open STDOUT, '>', "$dir/watched" or POSIX::_exit(1);
        exec split ' ', "$command -i 0.2" or POSIX::_exit(127);
    }

    spew($unpaid, '');
    send_one('/v25.0/106540352242922/messages');
    unlink $unpaid;
    wait_until(sub { slurp("$dir/watched") =~ /paused/ }, 20);
    api('DELETE', 'zones/graph/states');
    wait_until(sub { slurp("$dir/watched") =~ /over/ }, 20);
    kill 'TERM', $pid;
    waitpid $pid, 0;

    return slurp("$dir/watched");
}


# -- the page for developers --------------------------------------------------

my ($js) = map { $_->{code} } grep { $_->{language} eq 'js' } @all;

SKIP: {
    skip 'no node 18 or later', 1
        if (`node --version 2>/dev/null` =~ /^v(\d+)/ ? $1 : 0) < 18;

    api('DELETE', 'zones/graph/states');
    spew("$dir/verdict.mjs", $js . <<"END");
for (const path of ['1/messages', 'by/131042/messages', 'by/131042/messages',
    'by/131057/messages', 'by/131047/messages', 'by/100/messages', 'by/9/messages',
    'away/1/messages', 'slow/1/messages', 'none/1/messages'])
{
    console.log(JSON.stringify(await verdict(await fetch(
        'http://127.0.0.1:$proxy/' + path, { method: 'POST', body: '{}',
            headers: { Authorization: 'Bearer token' } }))));
}
END
    my $said = `node '$dir/verdict.mjs' 2>&1`;
    $said =~ s/("seconds":)6\d\d/$1"HOLD"/g;

    is($said, <<'END', 'the code for developers decides as its table says');
{"do":"nothing","id":"wamid.FAKE"}
{"do":"stop","whom":"account","because":"Oops","seconds":10}
{"do":"stop","whom":"account","because":"Check the account's payment method, credit line, currency and time zone with Meta, and pay what is due.","seconds":"HOLD"}
{"do":"send again","seconds":5}
{"do":"send a template"}
{"do":"correct it","because":"Oops"}
{"do":"look at it","status":400}
{"do":"find out whether it arrived"}
{"do":"find out whether it arrived"}
{"do":"look at it","status":404}
END
}


# -- yaml and units -----------------------------------------------------------

for my $fence (grep { $_->{language} eq 'yaml' && $_->{code} =~ /^scrape_configs/ }
    @all)
{
    spew("$dir/prometheus.yml", $fence->{code});
    like(`promtool check config '$dir/prometheus.yml' 2>&1`, qr/SUCCESS/,
        "$fence->{page}:$fence->{line}: Prometheus takes it");
}


# the user of a fleet in Redis, whom t/fleet_engine.t tries
my ($shown_user) = text('docs/fleet.md') =~ /^ACL SETUSER \w+ (.*)$/m;
my ($tried_user) = slurp("$top/t/fleet_engine.t") =~ /^my \@acl = qw\((.*?)\);/ms;

is_deeply([grep { !/^>/ } split ' ', $shown_user],
    [grep { !/^>/ } split ' ', $tried_user],
    'docs/fleet.md: the user is the one who was tried');


# -- contents -----------------------------------------------------------------

for my $page (grep { m{^docs/} } @pages) {
    my ($list) = text($page) =~ /\A# .*?\n((?:- \[.*?\n(?:  .*\n)*)+)\n*## /s
        or next;
    my @listed = $list =~ /^- \[[^]]*\]\(#([^)]+)\)/mg or next;
    my %level  = map { $_ => 1 } prose($page) =~ /^## (.*)$/mg;
    my @titles = grep { $level{$_} } headings($page);
    my @have   = grep { my $a = $_; grep { anchor($_) eq $a } @titles }
        anchors($page);

    # a page may have its list behind a first section, or within one
    is_deeply(\@listed, [grep { my $a = $_; grep { $_ eq $a } @listed } @have],
        "$page: the contents are in the order of the page");
    is_deeply([grep { my $a = $_; !grep { $_ eq $a } @listed } @have], [],
        "$page: and all of it") if $page ne 'docs/directives.md';
}

sub anchor { return lc($_[0]) =~ s/[^\w\s-]//gr =~ tr/ /-/r }

# files that are named
for my $page (@pages) {
    my @named = grep { !/[*<]/ } prose($page)
        =~ m{`((?:t|src|docs|examples|findings)/[\w./-]*\w)`}g;
    is_deeply([grep { !-e "$top/$_" } @named], [], "$page: files exist")
        if @named;
}

# one entrance
my @led = text('docs/README.md') =~ /\]\(([^)#]+)/g;
my %led = map { my $p = "docs/$_"; 1 while $p =~ s{[^/]+/\.\./}{}; $p => 1 } @led;
is_deeply([grep { !$led{$_} && !$led{ s{README\.md$}{}r } && $_ ne 'docs/README.md' }
    @pages], [], 'docs/README.md leads to all pages');

done_testing();
