#!/usr/bin/perl

# That the documentation is true, as far as a machine can tell: its
# configurations are accepted, what the source has is described, what it
# describes is in the source, and the example in the README is what comes out.

use strict;
use warnings;

use Test::More;

use File::Temp ();
use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Time::HiRes ();

use GraphPolicy::Docs ();

my $top    = "$FindBin::Bin/..";
my $nginx  = $ENV{NGINX_BINARY} || $ENV{TEST_NGINX_BINARY} || '/usr/sbin/nginx';
my $module = $ENV{MODULE} || $ENV{TEST_NGINX_LOAD_MODULES}
    || "$top/.build/nginx/ngx_http_graph_policy_module.so";

die "no module at $module: run make build\n" unless -e $module;

# NGINX is also what nginx hands sockets over in
delete @ENV{qw(NGINX http_proxy https_proxy all_proxy ALL_PROXY)};

my $temp = File::Temp->newdir('docs.XXXXXX', TMPDIR => 1);
my $dir  = "$temp";
chmod 0755, $dir or die "chmod: $!";
mkdir "$dir/logs" or die "mkdir: $!";

# started by root, the workers are somebody else
my $user = $> ? '' : 'user nobody ' . getgrgid((getpwnam 'nobody')[3]) . ';';

my $test_pid = $$;
my @pids;

END {
    if ($$ == $test_pid) {
        my $status = $?;
        kill 'TERM', @pids if @pids;
        waitpid $_, 0 for @pids;
        $? = $status;
    }
}

my @pages = GraphPolicy::Docs::pages();

my %text = map { $_ => slurp("$top/$_") } @pages;
my $directives = $text{'docs/directives.md'};
my $decisions  = $text{'docs/decisions.md'};

my $module_c    = slurp("$top/src/ngx_http_graph_policy_module.c");
my $rules_c     = slurp("$top/src/conf/ngx_http_graph_policy_rule_directives.c");
my $variables_c = slurp("$top/src/http/ngx_http_graph_policy_variables.c");
my $shape_c     = slurp("$top/src/policy/ngx_http_graph_policy_payload_shape.c");
my $webhook_h   = slurp("$top/src/webhook/ngx_http_graph_policy_webhook.h");
my $table_c     = slurp("$top/src/policy/ngx_http_graph_policy_table.c");
my $source      = join '', map { slurp($_) }
    glob("$top/src/*.[ch] $top/src/*/*.[ch]");

system("$top/t/tools/make-cert", $dir, 'graph.facebook.com') == 0
    or die "make-cert failed\n";

spew("$dir/graph.key", 'k' x 32 . "\n");
spew("$dir/graph.password", "secret\n");

# the file that directives.md shows
spew("$dir/webhook.secrets", (code('docs/directives.md', 'text'))[0]);

chmod 0600, map { "$dir/$_" } qw(graph.key graph.password webhook.secrets);

# of state=
mkdir "$dir/graph_policy" or die "mkdir: $!";
chmod 0777, "$dir/graph_policy" or die "chmod: $!";


# -- configurations -----------------------------------------------------------

# which level a block is for is told by its directives
my %level = map { my ($level, @words) = @$_; map { $_ => $level } @words }
    [main   => qw(load_module events http)],
    [http   => qw(server upstream map split_clients log_format
                  graph_policy_zone graph_policy_event_log graph_policy_sync
                  graph_policy_sync_ssl graph_policy_sync_ssl_verify
                  graph_policy_sync_ssl_trusted_certificate
                  graph_policy_sync_ssl_name graph_policy_sync_ssl_certificate
                  graph_policy_sync_ssl_certificate_key
                  graph_policy_sync_ssl_protocols
                  graph_policy_sync_ssl_ciphers)],
    [server => qw(location listen)];

my $blocks = 0;

for my $page (@pages) {
    for my $block (blocks($page, 'nginx')) {
        my ($line, $config) = @$block;
        my $refused = refused(whole($config));

        $blocks++;
        is($refused, '', "$page:$line: nginx accepts the configuration");
    }
}

cmp_ok($blocks, '>', 10, 'there are configurations in the documentation');

isnt(refused(whole("graph_policy_hold never;\n")), '',
    'one that is wrong would be noticed');
isnt(refused(whole("graph_policy_hld 1s;\n")), '', 'so would a misspelt one');

# By nginx's default two slow sends make a 10-second 502 of everybody's where an
# upstream has two addresses, as names may.
my %printed = map { $_ => join '', code($_, 'nginx') } @pages;

$printed{$_} = slurp("$top/$_")
    for map { s{^\Q$top\E/}{}r } glob "$top/examples/*/*.conf";

for my $page (sort keys %printed) {
    is_deeply([short_of_patience($printed{$page})], [],
        "$page: two slow sends take no upstream out");
}

my $impatient = <<'END';
upstream one { server 127.0.0.1:1; }
upstream two { server u2.example:1; }   # {
upstream three { server 192.0.2.1:1; server 192.0.2.2:1 max_fails=0; }
upstream four { server u4.example:1 max_fails=0; server unix:/s max_fails=0; }
# server u5.example:1 resolve;
location / { proxy_pass https://one; proxy_pass http://127.0.0.1:1/a; }
location / { proxy_pass https://u6.example/; proxy_pass http://$host; }
END

is_deeply([short_of_patience($impatient)], [qw(u2.example:1 192.0.2.1:1
    u5.example:1 https://u6.example/)], 'one that they take out is noticed');


# -- directives ---------------------------------------------------------------

my ($commands) = $module_c =~ /^static ngx_command_t .*?\{(.*?)^\};/ms;

my %commands = $commands =~ /\{ \s* ngx_string\("(\w+)"\), \s* ([A-Z0-9_|\s]+),/gx;

cmp_ok(keys %commands, '>=', 14, 'the command table is read');

my $section;
my %flags = (NGX_HTTP_MAIN_CONF => 'http', NGX_HTTP_SRV_CONF => 'server',
    NGX_HTTP_LOC_CONF => 'location');
my @defaults;

for my $name (sort keys %commands) {
    ($section) = $directives =~ /^### \Q$name\E\n(.*?)(?=^##)/ms;

    ok($section, "$name is described") or next;

    my %said = $section =~ /^- \*\*(\w+):\*\* (.*?)\n(?=- |\n)/msg;

    like($said{Syntax}, qr/^`\Q$name\E .*;`$/s, "$name: syntax");
    like($said{Default}, qr/^none\b|^`\Q$name\E .*;`$/s, "$name: default");
    is($said{Context},
        join(', ', grep { $_ } map { $flags{$_} } split /\|/, $commands{$name}),
        "$name: context");
    like($section, qr/^```nginx\n(?:.*\n)*?\s*\Q$name\E\s/m,
        "$name: an example");
    like($directives, qr/\[\Q$name\E\]\(#\Q$name\E\)/, "$name is in the list");

    push @defaults, $1 if $said{Default} =~ /^`(.*)`$/;
}

cmp_ok(@defaults, '>', 5, 'most directives have a default');

is(refused(whole($_)), '', "the default $_ is accepted") for @defaults;

is_deeply([sort grep { !$commands{$_} } $directives =~ /^### (\w+)$/mg], [],
    'nothing is described that is no directive');

# what a level has that says nothing
my %merged = $module_c =~ /ngx_conf_merge(?:_\w+)?_value\(conf->(\w+),
                           \s* prev->\w+, \s* ([^;]+)\);/xg;
my %field = (graph_policy => 'shm_zone');

%merged = (%merged, $module_c
    =~ /ngx_conf_init(?:_ptr)?_value\(gmcf->(\w+), ([^;]+)\);/g);

for my $default (@defaults) {

    # these are set as nginx sets its own
    next if $default =~ /^graph_policy_sync_ssl_(?:protocols|ciphers) /;

    my ($name, $value, $max) = $default =~ /^(\w+) (\S+?)(?: max=(\S+))?(?: confirm=\S+)?;$/;
    my $field = $field{$name} || $name =~ s/^graph_policy_//r;

    # graph_policy_retry has a way of its own
    next if !exists $merged{$field} && $name eq 'graph_policy_retry';

    is(compiled($merged{$field}), said($value), "$name: $value is the default");
    is(compiled($merged{"${field}_max"}), said($max), "$name: so is max=$max")
        if defined $max;
}

my ($parameters) = $rules_c =~ /_retry_pars\[\] =\n\{(.*?)^\};/ms;
my %range = map { /ngx_string\("(\w+)="\),.*?(\d+), (\d+), (\S+)/s
    ? ($1 => [$2, $3, $4]) : () } split /\n\n/, $parameters;
my %default = $rules_c =~ /^    retry->(\w+) = (\d+);/mg;

($section) = $directives =~ /^### graph_policy_retry\n(.*?)(?=^##)/ms;

is_deeply({ map { my ($name) = $_->[0] =~ /`(\w+)=`/;
        $name => [map { said($_) } $_->[1], split / to /, $_->[2]] }
        rows($section) },
    { map { $_ => [$default{$_}, @{ $range{$_} }[0, 1]] } keys %range },
    'the parameters of graph_policy_retry');


# the body that is read is also the size that a webhook location accepts
my ($payload) = $webhook_h =~ /_MAX_PAYLOAD +\((.*?)\)/;

for ('docs/directives.md', 'docs/webhooks.md', 'SECURITY.md') {
    like($text{$_}, qr/\b@{[ compiled($payload) \/ 1024 \/ 1024 ]}m\b/,
        "$_: how much of a webhook is read");
}


# -- variables ----------------------------------------------------------------

my ($list) = $variables_c =~ /^static ngx_http_variable_t .*?\{(.*?)^\};/ms;
my %variables = map { $_ => 1 } $list =~ /ngx_string\("(\w+)"\)/g;

cmp_ok(keys %variables, '>=', 14, 'the variables are read');

($section) = $directives =~ /^## Variables\n(.*?)^## /ms;

for my $name (sort keys %variables) {
    like($section, qr/^\| `\$\Q$name\E` \| \S/m, "\$$name is described");
}

my ($statuses) = $variables_c
    =~ /^static ngx_str_t +\w+_statuses\[\] = \{(.*?)^\};/ms;

for my $status ($statuses =~ /ngx_string\("(\w+)"\)/g) {
    like($section, qr/`\Q$status\E`/, "\$graph_policy_status: $status");
}


my ($secrets) = slurp("$top/src/http/ngx_http_graph_policy_credential.c")
    =~ / secrets\[\] = \{(.*?)\};/s;
my ($masked) = $section =~ /^\| `\$graph_policy_request` \| (.*?) written/m;

is_deeply([sort grep { $_ ne '$request' } $masked =~ /`(\S+)`/g],
    [sort $secrets =~ /ngx_string\("(.*?)"\)/g],
    '$graph_policy_request: what is masked');


# -- webhooks -----------------------------------------------------------------

my %events;

for my $words (qw(events bans directions)) {
    my ($list) = $shape_c =~ /_shape_${words}\[\] = \{(.*?)\n\};/s;
    $events{$_} = 1 for $list =~ /ngx_string\("(\w+)"\)/g;
}

cmp_ok(keys %events, '>=', 14, 'the events are read');

($section) = $text{'docs/webhooks.md'}
    =~ /^## What is learnt\n(.*?)^## Late/ms;

my %learnt = map { $_ => 1 } $section =~ /`([A-Z][A-Z_]*[A-Z])`/g;

is_deeply([sort keys %learnt], [sort keys %events],
    'docs/webhooks.md has the events that the source knows');


# -- log lines ----------------------------------------------------------------

my ($lines) = $directives =~ /^## Log lines\n(.*)\z/ms;

my @lines = $source =~ /_log_request\([^;"]*"([^"]+)"\)/g;
push @lines, map { "refuses a webhook $_" }
    $source =~ /_refuse\([^;"]*"([^"]+)"\)/g;
push @lines, map { "lets a webhook pass that $_" }
    $source =~ /_count\([^;"]*"([^"]+)"\)/g;

cmp_ok(@lines, '>=', 9, 'the log lines are read');
like($lines, qr/^\| `graph policy \Q$_\E,/m, "log: $_") for @lines;


# -- events -------------------------------------------------------------------

my $event_c = slurp("$top/src/http/ngx_http_graph_policy_event_log.c");
my %members = map { $_ => 1 } $event_c =~ /\\"(\w+)\\":/g;

cmp_ok(keys %members, '>=', 17, 'the members of an event are read');

($section) = $directives =~ /^### graph_policy_event_log\n(.*?)(?=^##)/ms;

is_deeply([sort map { /`(\w+)`/g } $section =~ /^\| (`[^|]*) \|/mg],
    [sort keys %members], 'graph_policy_event_log: its members');

my ($shown) = $section =~ /^(\{.*\})$/m;

is_deeply([sort keys %{ JSON::PP::decode_json($shown) }],
    [grep { $_ ne 'of_phone' } sort keys %members],
    'and the line that is shown has them');


# -- names --------------------------------------------------------------------

my %metrics = map { ("graph_policy_$_" => 1) } 'build_info',
    slurp("$top/src/api/ngx_http_graph_policy_metric_table.c")
    =~ /^    \{ ngx_string\("(\w+)"\),$/mg;

# a directive, variable or metric in a text is one that exists
for my $page (@pages) {
    my %unknown = map { $_ => 1 }
        grep { !$commands{$_} && !$variables{$_} && !$metrics{$_} }
        $text{$page} =~ /(?<![\w\/.])\$?(graph_(?:policy|error)_\w+)(?![\w]*\()/g;

    is_deeply([sort keys %unknown], [], "$page: names exist");
}

my %sent = map { $_ => 1 }
    slurp("$top/src/http/ngx_http_graph_policy_tag.c")
    =~ /"(X-Graph-[\w-]+)"/g;

($section) = $directives =~ /^## Response headers\n(.*?)^## /ms;

is_deeply([sort $section =~ /^\| `(X-Graph-[\w-]+)`/mg], [sort keys %sent],
    'the headers that are described are those that are sent');

my %told = map { $_ => 1 }
    slurp("$top/src/webhook/ngx_http_graph_policy_webhook_tag.c")
    =~ /"(X-Graph-[\w-]+)"/g;

($section) = $directives =~ /^## Request headers\n(.*?)^## /ms;

is_deeply([sort $section =~ /^\| `(X-Graph-[\w-]+)`/mg], [sort keys %told],
    'so are those that the application gets');

for my $page (@pages) {
    is_deeply([grep { !$sent{$_} && !$told{$_} } $text{$page} =~ /\b(X-Graph-\w[\w-]*\w)\b(?!-\*)/g],
        [], "$page: headers exist");
}

my %targets = map { $_ => 1 } slurp("$top/Makefile") =~ /^([a-z][a-z_-]*):/mg;
$targets{"test-$_"} = 1 for qw(asan valgrind);
$targets{modules} = 1;      # nginx's own

for my $page (@pages) {
    my @used = $text{$page} =~ /`(?:sudo )?make ([a-z][a-z_-]*)/g;
    push @used, map { /\bmake ([a-z][a-z_-]*)/g } code($page, 'sh');

    is_deeply([grep { !$targets{$_} } @used], [], "$page: make targets exist");
}

is_deeply([grep { !/^(?:run|test)$/ } map { /^make ([a-z-]+)/gm }
    code('README.md', 'sh') =~ /\A(make run.*?make test)/s], [],
    'the README has the two commands');


# the rooms of the house
($section) = $text{'docs/internals.md'} =~ /^## Floors\n(.*?)^## /ms;

my %rooms = map { /_graph_policy_(\w+)\.c$/ ? ($1 => 1) : () }
    glob "$top/src/*.c $top/src/*/*.c";

is_deeply([sort map { /`(\w+)`/g } $section =~ /^\|[^|]*\| (`[^|]*)\|/mg],
    [sort keys %rooms],
    'docs/internals.md has the files of src/');


# -- links --------------------------------------------------------------------

my %linked;

for my $page (@pages) {
    my ($base) = $page =~ m{^(.*/)?};
    my @broken;

    my $prose = GraphPolicy::Docs::prose($page);

    while ($prose =~ /\]\(([^)\s]+)\)/g) {
        my ($path, $anchor) = $1 =~ /^([^#]*)(?:#(.*))?$/;
        next if $path =~ /^https?:/;

        my $file = $path eq '' ? $page : ($base || '') . $path;
        1 while $file =~ s{(^|/)(?!\.\./)[^/]+/\.\./}{$1};

        $linked{$file} = 1;
        push @broken, $1 unless -e "$top/$file";
        push @broken, "$file#$anchor" if defined $anchor
            && !grep { $_ eq $anchor } GraphPolicy::Docs::anchors($file);
    }

    is_deeply(\@broken, [], "$page: links lead somewhere");
}

# In the package all pages lie beside each other as they do here; the package
# itself is seen by t/deb/life.t.
my $packaging = "$top/examples/debian/libnginx-mod-http-graph-policy";
my @packed    = map { s{^\Q$top\E/|/\z}{}gr } map { glob "$top/$_" }
    map { split ' ', slurp("$packaging.$_") } qw(docs examples);

push @packed, slurp("$packaging.links") =~ m{ usr/share/doc/[^/]+/(\S+)}g;

is_deeply([grep { my $to = $_; !grep { $to =~ m{^\Q$_\E(?:/|\z)} } @packed }
    sort keys %linked], [], 'the Debian package has all that pages link to');


is_deeply([grep { m{^docs/} && $text{'README.md'} !~ /\]\(\Q$_\E\)/ } @pages],
    [], 'the README leads to all pages');


# -- reasons ------------------------------------------------------------------

my $words = qr/(?:"[^"]*"\s*)+/;
my @reasons;

while ($table_c =~ /\{ \s* ngx_string\("([a-z-]+)"\), \s*
                    ngx_string\( ($words) \), \s* ngx_string\( ($words) \), \s*
                    -?\d+ \s \}/xg)
{
    push @reasons, [$1, map { join '', /"([^"]*)"/g } $2, $3];
}

cmp_ok(@reasons, '>=', 16, 'the reasons are read');

($section) = $decisions =~ /^### What to do\n(.*?)^## /ms;

is_deeply([map { [$_->[0] =~ /^`(.*)`$/, @$_[1, 2]] } rows($section)],
    \@reasons, 'the texts of the reasons are those of the table');


# -- codes --------------------------------------------------------------------

# first-last/subcode => category, reason, scope, wait, bound, messages
my (%built_in, %described);
my (@not_again, @open);

my ($built_in) = $table_c =~ /_table\[\] = \{\n(.*?)\n\n\n\/\* In the order/s;

for my $row ($built_in =~ /^ {4}((?:ROW|FATAL|TEMP|CONTEXT|REQUEST)\(.*?\)),$/msg)
{
    my ($kind, @v) = $row =~ /(\w+|"[^"]*"|-1)/g;
    my %r = (last => $v[0], subcode => -1, wait => 0, bound => 0,
        messages => 0, reason => 'OTHER', category => $kind);

    $r{first} = $v[0];

    if ($kind eq 'ROW') {
        @r{qw(first last subcode category scope reason bound messages)} = @v;
        $r{wait} = $v[10];

    } elsif ($kind eq 'FATAL') {
        @r{qw(scope reason bound messages)} = @v[1 .. 4];

    } elsif ($kind eq 'TEMP') {
        @r{qw(category scope reason wait)} = ('TEMPORARY', @v[1, 2, 5]);
        push @not_again, $v[0] if !$v[3];
        push @open, $v[0] if $v[3] && !$v[4];

    } elsif ($kind eq 'CONTEXT') {
        @r{qw(scope reason)} = @v[1, 2];

    } else {
        $r{scope} = 'REQUEST';
    }

    my $code = $r{first} == -1 ? '*' : $r{first};
    $code .= "-$r{last}" if $r{last} != $r{first};
    $code .= "/$r{subcode}" if $r{subcode} != -1;

    # 104 is bound, which means nothing where no state is set
    $r{bound} = 0 if $r{category} eq 'REQUEST';
    $r{category} = 'CONTEXT-LIMITED' if $r{category} eq 'CONTEXT';

    $built_in{$code} = join ' ', map { lc tr/_/-/r }
        @r{qw(category reason scope)}, $r{wait} / 1000, @r{qw(bound messages)};
}

cmp_ok(keys %built_in, '>', 150, 'the built-in table is read');

($section) = $decisions =~ /^## The table\n(.*?)^### /ms;

for my $row (rows($section)) {
    my ($category, $reason, $codes, $scope, $does) = @$row;
    next if $codes !~ /^\d/;

    my ($wait) = $does =~ /wait at least (\d+) s/;

    $described{$_} = join ' ', $category, $reason =~ tr/`//dr, $scope,
        $wait || 0, $does =~ /credential-bound/ ? 1 : 0,
        $does =~ /`messages` alone/ ? 1 : 0
        for split /, /, $codes =~ s/\\//gr;
}

my ($category, $default_scope);

($section) = $decisions =~ /^## The rest of the catalogue\n(.*?)^## /ms;

for my $line (split /\n(?=- |\n)/, $section) {
    $line =~ s/\n +/ /g;
    $line =~ s/\n//g;

    if ($line =~ /^\*\*([a-z-]+)\*\*(?:, scope `(\w+)`)?/) {
        ($category, $default_scope) = ($1, $2);
        next;
    }

    next if $line !~ /^- /;

    my ($scope) = $line =~ /scope `(\w+)`/i;
    my %wait = map { $_ => 300 } $line =~ /(\d+) \(wait 5 minutes\)/g;

    (my $codes = $line) =~ s/\([^)]*\)//g;

    for my $code ($codes =~ /\b(\d+)\b/g) {
        $described{$code} = join ' ', $category, 'other',
            $scope || $default_scope, $wait{$code} || 0, 0, 0;
    }
}

is_deeply(\%described, \%built_in, 'the codes are those of the built-in table');

($section) = $decisions =~ /^## Sending again\n(.*?)^## /ms;

my ($but)   = $section =~ /\bbut\s+([\d\s]+(?:and\s+\d+)?)\./;
my ($after) = $section =~ /After ([\d,\s]+)/;

is_deeply([sort { $a <=> $b } $but =~ /\d+/g], \@not_again,
    'so are those that are not sent again');
is_deeply([sort { $a <=> $b } $after =~ /\d+/g], \@open,
    'and those whose outcome is open');


# -- the example of the README ------------------------------------------------

my ($proxy, $mock, $api) = free_ports(3);
my ($example) = code('README.md', 'console');
my ($readme)  = code('README.md', 'nginx');

my $trace = 'AFakeTraceId0000000000';
my $phone = '106540352242922';

$readme =~ s/127\.0\.0\.1:8080/127.0.0.1:$proxy/ or die 'no listen';
$readme =~ s{https://graph;}{http://graph;} or die 'no proxy_pass';
$readme =~ s{graph\.facebook\.com:443}{127.0.0.1:$mock} or die 'no server';

start(whole("$readme\n" . <<"END"));
server {
    listen 127.0.0.1:$mock;
    location / {
        return 400 '{"error":{"message":"(#131042) Business eligibility payment issue","code":131042,"fbtrace_id":"$trace"}}';
    }
}
server {
    listen 127.0.0.1:$api;
    location /graph/ {
        graph_policy_api write=on;
    }
}
END

my ($curl, $expected) = $example
    =~ /\A\$ curl (.*?[^\\]\n)(.*)\z/s or die 'no example';

$curl =~ s/\\\n/ /g;
chomp $curl;
$curl =~ s/127\.0\.0\.1:8080/127.0.0.1:$proxy/ or die 'no address';

my $first  = curl($curl);
my $second = curl($curl);

like($first, qr/^X-Graph-Policy: passed\r$/m,
    'the first send gets what Graph answers');
like($first, qr/^\{"error":\{"message":"\(#131042\) Business/m,
    'with its body');
is(masked($second), masked($expected),
    'the next one gets the answer that the README shows');

my ($header) = code('docs/directives.md', 'http');
my ($body)   = code('docs/directives.md', 'json');

# the example has only what the module adds
my ($head) = split /\r\n\r\n/, $second;
$head =~ s/\r//g;
$head =~ s/^(?:Server|Date|Content-Length|Connection): .*\n//mg;

is(masked($header), masked("$head\n"), 'docs/directives.md has its header');

is_deeply(JSON::PP->new->decode(masked($body)),
    JSON::PP->new->decode(masked((split /\r\n\r\n/, $second)[1])),
    'and its body');

like(slurp("$dir/logs/error.log"),
    qr/ \[error\] .* graph policy state set, scope: account, of phone: "$phone", reason: billing, code: 131042, trace: "$trace", hold: 10000ms, zone: "graph"$/m,
    'the state is logged as described');


# -- the API ------------------------------------------------------------------

my $api_c = slurp("$top/src/api/ngx_http_graph_policy_api.c");
my $api_md = $text{'docs/api.md'};

my %routes;

while ($api_c =~ /^ +\{ ngx_string\("([^"]*)"\), NGX_HTTP_([A-Z]+),/mg) {
    $routes{"$2 /$1"} = 1;
}

cmp_ok(keys %routes, '>=', 12, 'the calls are read');

my ($calls) = $api_md =~ /^## Calls\n(.*?)^## /ms;

is_deeply([sort $calls =~ /`([A-Z]+ \/[^`]*)`/g], [sort keys %routes],
    'docs/api.md has the calls of the API');

my $of_reasons = join '|', map { $_->[0] } @reasons;
my ($id, $compared) = ('', 0);

for my $example (code('docs/api.md', 'console')) {
    my ($command, $shown) = $example =~ /\A\$ curl (.*?[^\\]\n)(.*)\z/s
        or die "no example: $example";

    $command =~ s/\\\n/ /g;
    chomp $command;
    $command =~ s/127\.0\.0\.1:8081/127.0.0.1:$api/ or die 'no address';
    $command =~ s/\b[0-9a-f]{18}\b/$id/;

    my $answer = curl($command);

    if ($shown eq '') {
        is($answer, '', "docs/api.md: curl $command");
        next;
    }

    $compared++;
    $answer = JSON::PP->new->decode($answer);
    my ($seen) = grep { $_->{id} } $answer,
        ref $answer->{states} eq 'ARRAY' ? @{ $answer->{states} } : ();
    $id = $seen->{id} if $seen;

    is_deeply(shape($answer), shape(JSON::PP->new->decode($shown)),
        "docs/api.md: curl $command");
}

cmp_ok($compared, '>=', 6, 'there are examples of the API');

is_deeply(JSON::PP->new->decode(curl("http://127.0.0.1:$api/graph/zones/graph/states/$id")),
    JSON::PP->new->decode((code('docs/api.md', 'json'))[0]),
    'docs/api.md: an error');

done_testing();


# -- helpers ------------------------------------------------------------------

# a value of the source, and one of a configuration, as a number or word
sub compiled {
    my ($value) = @_;

    return eval $value if $value =~ /^[\d *]+$/;
    return 0 if $value eq 'NULL';
    return 'error' if $value eq 'NGX_LOG_ERR';
    return lc $value =~ s/^.*_//r;
}

sub said {
    my ($value) = @_;
    my %unit = (ms => 1, s => 1000, m => 60_000, h => 3_600_000, k => 1024,
        '%' => 1);

    return $1 * $unit{$2} if $value =~ /^(\d+)(ms|[smhk%])$/;
    return $value eq 'on' ? 1 : $value eq 'off' ? 0 : $value;
}

# the code of a language in a page, with the lines it starts at
sub blocks {
    my ($page, $language) = @_;

    return map { [$_->{line}, $_->{code}] }
        grep { $_->{language} eq $language } GraphPolicy::Docs::fences($page);
}

sub code {
    my @code = map { $_->[1] } blocks(@_);

    return wantarray ? @code : join "\n", @code;
}

# a configuration in its surroundings, and without what belongs to a machine
sub whole {
    my ($config) = @_;

    $config =~ s{load_module\s+\S+;}{load_module $module;};
    $config =~ s{https://graph\.facebook\.com}{https://127.0.0.1}g;
    $config =~ s{(server\s+)graph\.facebook\.com}{${1}127.0.0.1}g;
    $config =~ s{/etc/ssl/certs/ca-certificates\.crt}{$dir/ca.crt}g;
    $config =~ s{/etc/nginx/(?:webhook|admin)\.(crt|key)}{$dir/server.$1}g;
    $config =~ s{(listen\s+)192\.0\.2\.\d+:}{${1}127.0.0.1:}g;
    $config =~ s{/etc/nginx/(webhook\.secrets|graph\.(?:key|password))}{$dir/$1}g;
    $config =~ s{/var/lib/nginx/}{$dir/}g;
    $config =~ s{/var/log/nginx/}{logs/}g;

    my %top = map { $_ => 1 } grep { defined }
        map { $level{$_} || 'location' } statements($config);
    my ($level) = grep { $top{$_} } qw(main http server location);

    my $temporary = join '', map { "${_}_temp_path temp.$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);

    if ($level eq 'main') {
        $config =~ s/^http \{\n/$&$temporary/m or die "no http in $config";
        return "$config\n$user\npid nginx.pid;\n";
    }

    if ($level eq 'location') {
        $config = "location / {\n$config\n"
            . ($config =~ /^graph_policy\s/m ? '' : "graph_policy zone=graph;\n")
            . "}\n";
    }

    $config = "server {\nlisten 127.0.0.1:8080;\n$config}\n"
        if $level ne 'http';
    $config = "graph_policy_zone zone=graph:1m;\n$config"
        unless $config =~ /^graph_policy_zone\s/m;
    $config .= "upstream graph { server 127.0.0.1:443; }\n"
        unless $config =~ /^upstream graph\s/m;

    return <<"END";
load_module $module;
$user
pid         nginx.pid;
error_log   logs/error.log info;
events {}
http {
access_log  off;
$temporary
$config
}
END
}

# what two slow sends take out for everybody: a server without max_fails=0 that
# isn't alone or whose name may have several addresses, one that a comment
# offers, and a name that proxy_pass has without an upstream
sub short_of_patience {
    my ($config) = @_;
    my @found;

    my @offered = $config =~ /^\s*#\s*server\s+(\S+:\d+[^;\n]*);/mg;

    $config =~ s/#.*//g;

    for my $upstream ($config =~ /\bupstream\s+\S+\s*\{([^}]*)\}/g) {
        my @servers = $upstream =~ /\bserver\s+([^;]+);/g;

        push @found, grep { @servers > 1
            || !/^(?:(?:\d+(?:\.\d+){3}|\[[0-9a-f:]+\])(?::|\s|$)|unix:)/
        } @servers;
    }

    @found = map { (split)[0] } grep { !/\bmax_fails=0\b/ } @found, @offered;

    return @found, grep { m{^\w+://[^/:\$]*[a-z][^/:\$]*\.} }
        $config =~ /\bproxy_pass\s+([^;\s]+);/g;
}

# the first word of each directive that isn't inside of another
sub statements {
    my ($config) = @_;
    my ($depth, $word, @words) = (0, '');

    while ($config =~ /\G(?: \s+ | \#[^\n]* | ("(?:\\.|[^"])*" | '(?:\\.|[^'])*')
                         | ([{};]) | ([^\s{};"']+) )/xgc)
    {
        my ($quoted, $mark, $plain) = ($1, $2, $3);

        if (defined $plain) {
            push @words, $plain if $depth == 0 && $word eq '';
            $word ||= $plain;

        } elsif (defined $mark) {
            $depth++ if $mark eq '{';
            $depth-- if $mark eq '}';
            $word = '';
        }
    }

    return @words;
}

# what nginx has against a configuration
sub refused {
    my ($config) = @_;

    spew("$dir/nginx.conf", $config);

    my $said = `'$nginx' -t -p '$dir/' -e logs/test.log -c nginx.conf 2>&1`;
    my @faults = $said =~ /^(.*\[(?:emerg|alert|crit|error|warn)\].*)$/mg;

    push @faults, $said
        if !@faults && $said !~ /^nginx: configuration file \S+ test is successful$/m;

    return join "\n", @faults;
}

sub start {
    my ($config) = @_;

    spew("$dir/run.conf", $config);

    my $pid = fork // die "fork: $!";

    if (!$pid) {
        open STDOUT, '>', "$dir/output" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        exec $nginx, '-p', "$dir/", '-e', 'logs/error.log', '-c', 'run.conf',
            '-g', 'daemon off;' or POSIX::_exit(127);
    }

    push @pids, $pid;

    # the pid file appears when the ports are bound
    for (1 .. 600) {
        return if -s "$dir/nginx.pid";
        Time::HiRes::sleep(0.1);
    }

    die 'nginx did not start: ' . slurp("$dir/output");
}

sub curl {
    my ($arguments) = @_;

    return `curl -q -sS --noproxy '*' --max-time 10 $arguments 2>&1`;
}

# an answer without its values, of arrays the first, and without the members
# that are named by reasons, of which the documentation shows a few
sub shape {
    my ($value) = @_;

    return [map { shape($_) } grep { defined } $value->[0]]
        if ref $value eq 'ARRAY';
    return 'a value' if ref $value ne 'HASH';
    return { map { $_ => shape($value->{$_}) }
        grep { !/^(?:$of_reasons|of_phone)$/ } keys %$value };
}

# without what differs from one run to the next
sub masked {
    my ($text) = @_;

    $text =~ s/\r//g;
    $text =~ s/\s+\z//;
    $text =~ s{^(Server: nginx/).*}{$1}mg;
    $text =~ s/^(Date: ).*/$1/mg;
    $text =~ s/^(X-Graph-State: )[0-9a-f]{18}$/$1/mg;
    $text =~ s/^(X-Graph-Hold: )1[0-2]$/$1/mg;
    $text =~ s/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/TIME/g;
    $text =~ s/("fbtrace_id": ?)"[A-Za-z0-9_-]{1,64}"/$1""/g;

    return $text;
}

# the cells of a table, without its head
sub rows {
    my ($text) = @_;
    my @rows = map { [split / \| /] } $text =~ /^\| (.*) \|$/mg;

    return grep { $_->[0] !~ /^(?:category|reason|parameter)$/ } @rows;
}

sub free_ports {
    my ($count) = @_;

    my @sockets = map {
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
            or die "no free port: $!"
    } 1 .. $count;

    return map { $_->sockport } @sockets;
}

sub slurp {
    my ($name) = @_;

    open my $file, '<', $name or die "$name: $!";
    local $/;
    return <$file> // '';
}

sub spew {
    my ($name, $text) = @_;

    open my $file, '>', $name or die "$name: $!";
    print $file $text;
    close $file or die "$name: $!";
}
