#!/usr/bin/perl

# examples/graph-policy-ctl on the module: each command, what scripts can tell
# by its status, and what it keeps from the terminal and from ps. Its man page
# and its completion say what it has.

use strict;
use warnings;

use File::Temp ();
use FindBin;
use lib "$FindBin::Bin/lib";

use Cwd ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use GraphPolicy qw(slurp spew wait_until);
use GraphPolicy::Graph;

my $top  = Cwd::abs_path("$FindBin::Bin/..");
my $ctl  = "$top/examples/graph-policy-ctl";
my $temp = File::Temp->newdir('ctl.XXXXXX', TMPDIR => 1);
my $dir  = "$temp";

delete @ENV{grep { /^GRAPH_POLICY_|^http_proxy$|^https?_proxy$|^all_proxy$/i }
    keys %ENV};
$ENV{HOME} = $dir;
$ENV{PATH} = "$dir/bin:$ENV{PATH}";

mkdir "$dir/bin" or die "mkdir: $!";

sub program {
    my ($name, $text) = @_;
    spew("$dir/bin/$name", $text);
    chmod 0755, "$dir/bin/$name" or die "chmod: $!";
}

# status, standard output, standard error; the words aren't seen by a shell
sub ctl {
    my (@words) = @_;
    my $in = ref $words[0] ? ${ shift @words } : '';

    spew("$dir/in", $in);
    my $pid = fork // die "fork: $!";

    if (!$pid) {
        open STDIN, '<', "$dir/in" or die;
        open STDOUT, '>', "$dir/out" or die;
        open STDERR, '>', "$dir/err" or die;
        exec $ctl, @words or die;
    }

    waitpid $pid, 0;
    return ($? >> 8, slurp("$dir/out"), slurp("$dir/err"));
}

# where there is a terminal, with what is typed
sub typed {
    my ($keys, @words) = @_;

    spew("$dir/keys", $keys);
    my $line = join ' ', map { "'$_'" } $ctl, @words;
    my $said = qx(script -qec "$line" /dev/null <"$dir/keys" 2>&1);
    return ($? >> 8, $said =~ tr/\r//dr);
}

# a chroot may have none
my $terminal = !system 'script -qec true /dev/null </dev/null >/dev/null 2>&1';


# -- a host -------------------------------------------------------------------

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, http => <<'END');
graph_policy_event_log %DIR%/events.log;
graph_policy_zone zone=graph:1m;
server {
    listen 127.0.0.1:%PORT%;
    location / {
        graph_policy              zone=graph;
        graph_policy_hold         1h max=1h;
        graph_policy_conversation on;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /read/ { graph_policy_api; }
    location /api/ { graph_policy_api write=on; }
    location /own/ {
        graph_policy_api     write=on;
        auth_basic           graph;
        auth_basic_user_file %DIR%/users;
    }
    location /shut/ {
        graph_policy_api;
        deny all;
    }
    location /moved/ { return 301 /api/; }
    location /other/ { return 200 "<h1>Hello</h1>"; }
}
END

# hashed by crypt(), which Perl has
spew($nginx->dir . '/users', 'ops:' . crypt('a "wor\\d', '$6$salt$') . "\n");
chmod 0644, $nginx->dir . '/users';

my $base = 'http://127.0.0.1:' . $nginx->port;
$ENV{GRAPH_POLICY_URL} = "$base/api/";

sub send_message {
    my ($phone, $mock, $to) = @_;
    return $nginx->request(path => "/v25.0/$phone/messages", token => 'token',
        headers => ['Content-Type' => 'application/json'],
        body => qq({"to":"$to","type":"text"}), mock => $mock);
}

my $time = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;


# -- from an alert to the cleared state ---------------------------------------

my $begun = time;

is(send_message('1001', '400 131042 trace=Trace1', '1')->{status}, 400,
    'Graph refuses a send');

my ($event) = map { JSON::PP::decode_json($_) } split /\n/,
    wait_until(sub { slurp($nginx->dir . '/events.log') });
my $id = $event->{state};

my ($status, $out, $err) = ctl('list');

like($out, qr/\ASTATE\ +COVERS\ +REASON\ +CODE\ +SINCE\ +NEXT\ +BLOCKED\n
    \Q$id\E\ \ account\ of\ phone\ 1001\ +billing\ +131042\ +\d+s\ +in\ \d+[hm]
    \ +0\n\z/x, 'list: the state that the alert names');
is("$status$err", '0', 'list: no more than that');

($status, $out) = ctl('show', $id);

is($out =~ s/$time/TIME/gr =~ s/\b\d\d:\d\d:\d\dZ/TIME/gr =~ s/\d+[sm] ago/5s ago/r =~ s/in (?:59m|1h)/in 1h/r,
    <<"END", 'show: why, since when, and what to do');
state    $id
covers   account of phone 1001
why      billing (131042), by an answer, trace Trace1
         Meta cannot bill the WhatsApp Business Account
do       Check the account's payment method, credit line, currency and time zone with Meta, and pay what is due.
since    TIME (5s ago), set once
next     TIME (in 1h)
blocked  0 sends
past     TIME  set (131042), for 1h
END

is(send_message('1001', '200', '1')->{headers}{'x-graph-policy'}, 'blocked',
    'until then sends are blocked');
($status, $out) = ctl('clear', $id);
is("$status$out", "0$id is cleared, its sends pass\n", 'clear');
is(send_message('1001', '200', '1')->{status}, 200, 'sends pass');
my $took = time - $begun;

cmp_ok($took, '<', 60, 'from the alert to sends that pass, with the script, in '
    . 'under a minute');
note sprintf 'it took %.1f s', $took;


# -- the other commands -------------------------------------------------------

# which saves a call that looks for the only one
$ENV{GRAPH_POLICY_ZONE} = 'graph';

($status, $out, $err) = ctl('list');
is("$status$out$err", "0Nothing is paused.\n", 'list: nothing');
is((ctl('list', '--exit-status'))[0], 1, 'list -e: 1 if there is nothing');

($status, $out) = ctl(qw(--hold 1h pause phone 1002 phone-disconnected));
like($out, qr/^phone\ 1002:\ phone-disconnected,\ paused\ until\ $time,
    \ state\ (\w+)\n\z/x, 'pause');
my ($paused) = $out =~ /state (\w+)/;
is(send_message('1002', '200', '1')->{headers}{'x-graph-state'}, $paused,
    'pause: its sends are blocked');

($status, $out) = ctl(qw(-j freeze account abc.d billing));
my $frozen = JSON::PP::decode_json($out);
is($frozen->{until}, undef, 'freeze: it has no end');
is($out =~ tr/\n//, 1, '--json: an object, a line');
like((ctl('show', $frozen->{id}))[1], qr/^why\ +billing,\ by\ hand\n.*
    ^next\ +frozen:\ it\ ends\ by\ clear\ alone$/xms, 'show: a frozen one');

is(join(' ', (ctl('-j', 'list', '1002'))[1] =~ /"id":"(\w+)"/g), $paused,
    'list TEXT: by a phone');
is(join(' ', (ctl('-j', 'list', substr $frozen->{id}, 3, 9))[1]
    =~ /"id":"(\w+)"/g), $frozen->{id}, 'list TEXT: by a part of an id');
is(join(' ', sort map { /^(\w{18})/ ? $1 : () } split /\n/,
    (ctl('--scope=account', 'list'))[1]), $frozen->{id}, 'list --scope');
is((ctl('-e', '-c', 'temporary', 'list'))[0], 1, 'list --category');

send_message('1003', '400 131047', '15550001111');
($status, $out) = ctl('lookup', '1003', '+1 555 000 1111');
like($out, qr/^free\ form\ +no\ntemplate\ +yes\n
    why\ +window-expired,\ until\ $time\ \(in\ 1[45]m\)\n\z/x,
    'lookup: a window that is closed');
is($status, 1, 'lookup: the status says no');
is((ctl('--template', 'lookup', '1003', '15550001111'))[0], 0,
    'lookup --template: a template may');
is((ctl(\"15550001111\n", 'lookup', '1003', '-'))[0], 1,
    'lookup: from the standard input');
is((ctl('lookup', '1003', '15550002222'))[0], 0, 'lookup: one that is open');
like((ctl('list', '-s', 'conversation'))[1], qr/^\w+ +conversation +window-/m,
    'list: no recipient');

($status, $out) = ctl('explain', '100/33');
is($out, <<'END', 'explain: a code and a subcode');
error    100/33
category fatal
reason   phone-disconnected, scope phone, for the token that got it
         The phone number is not connected to the Cloud API
do       Make sure that the number exists and that the token may use it, then register it again.
sends    are paused by it
retry    never sent again
END
like((ctl(\'{"error":{"code":131057,"fbtrace_id":"A1"}}', 'explain', '-'))[1],
    qr/^category\ temporary\n.*^sends\ +go\ on\n
       retry\ +sent\ again,\ where\ that\ is\ configured,\ after\ 5\ s$/xms,
    'explain: the body of an error');
is((ctl('explain', '987654'))[0], 1, 'explain: 1 for what nobody knows');
is((ctl(\'Oops', 'explain', '-'))[0], 2, 'explain: what is no JSON');

like((ctl('zones'))[1], qr/^graph: 3 states, \d+% used\n\z/, 'zones');
like((ctl('show', $paused))[1], qr/^blocked  1 send$/m, 'show: one send');
ctl(qw(freeze phone 1002 phone-disconnected));
like((ctl('show', $paused))[1], qr/^past     \S+Z  set by hand, for 1h\n         \S+Z  re-armed by hand, frozen\n\z/m,
    'show: its past');

($status, $out, $err) = ctl('clear', $paused, 'f00', $frozen->{id});
is($status, 6, 'clear: one of them is over');
like("$out$err", qr/^$paused is.*^$frozen->{id} is.*f00 isn't in force/ms,
    'clear: the others are cleared all the same');

ctl(qw(pause phone), $_, 'other') for '1004', '1005';
is((ctl('clear', '--all'))[0], 2, 'clear --all: wants to be told so');

SKIP: {
    skip 'no terminal can be had here', 4 if !$terminal;

    is((typed("n\n", 'clear', '--all'))[0], 1, 'clear --all: a no');
    is((ctl('-e', 'list'))[0], 0, 'nothing is cleared then');
    like((typed("y\n", qw(clear --all -c fatal)))[1],
        qr/Clear all fatal states of zone "graph", frozen ones too\?/,
        'clear --all: it asks');
    is((ctl('-e', '-c', 'fatal', 'list'))[0], 1, 'clear --all: a yes');
}

is((ctl('clear', '--all', '--yes'))[0], 0, 'clear --all --yes: without asking');
is((ctl('-e', 'list'))[0], 1, 'conversations too');


delete $ENV{GRAPH_POLICY_ZONE};


# -- page by page -------------------------------------------------------------

my $pages = GraphPolicy::Nginx->start(http => <<'END');
graph_policy_zone zone=z:4m;
server {
    listen 127.0.0.1:%PORT%;
    location / { graph_policy_api write=on; }
}
END

my $call = 'http://127.0.0.1:' . $pages->port . '/';

$pages->parallel(map { { path => '/zones/z/states', headers =>
    ['Content-Type' => 'application/json'],
    body => qq({"scope":"phone","key":"$_","reason":"billing","hold":"1h"}) }
} 1 .. 1234);

is(() = (ctl('-u', $call, 'list'))[1] =~ /^\w{18} /mg, 1234,
    'list: more states than a page has');


# -- watch --------------------------------------------------------------------

sub watching {
    my ($words, $during) = @_;
    my $pid = fork // die "fork: $!";

    if (!$pid) {
        open STDOUT, '>', "$dir/watched" or die;
        open STDERR, '>&', \*STDOUT or die;
        exec $ctl, '-i', '0.1', @$words or die;
    }

    my $sees = sub {
        my ($text) = @_;
        ok(wait_until(sub { slurp("$dir/watched") =~ $text }, 20),
            "watch: $text") or diag(slurp("$dir/watched"));
    };
    $during->($sees);

    if (!wait_until(sub { waitpid($pid, POSIX::WNOHANG()) }, 20)) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
        return -1;
    }
    return $? >> 8;
}

my ($one) = (ctl(qw(--hold 1h pause phone 1006 billing)))[1] =~ /state (\w+)/;

is(watching(['watch', $one], sub {
    my ($sees) = @_;

    $sees->(qr/^\d\d:\d\d:\d\dZ +paused +$one +phone 1006, billing$/m);
    ctl(qw(pause phone 1007 other));
    ctl(qw(freeze phone 1006 billing));
    $sees->(qr/^\S+ +(?:re-armed|frozen) +$one /m);
    $nginx->stop;
    $sees->(qr/^\S+ +lost +can't reach/m);
    unlink $nginx->dir . '/nginx.pid';
    $nginx->run;
    $sees->(qr/^\S+ +back +\S+ answers again$/m);
    $sees->(qr/^\S+ +over +$one +phone 1006, billing$/m);
}), 0, 'watch: it ends with the state');
unlike(slurp("$dir/watched"), qr/1007/, 'watch: and tells of that alone');


# -- what goes wrong ----------------------------------------------------------

for (
    [3, qr/can't reach .*(?:Could(?:n't| not) connect|refused)/, '-u',
        'http://127.0.0.1:1/', 'list'],
    [4, qr/wants a name and a password/, '-u', "$base/own/", 'list'],
    [4, qr/doesn't let you in \(403\)/, '-u', "$base/shut/", 'list'],
    [5, qr/it has no write=on/, '-u', "$base/read/", 'clear', 'abc'],
    [5, qr/it has no write=on/, '-u', "$base/read/", qw(freeze phone 1 other)],
    [6, qr/no state "abc" in force/, 'show', 'abc'],
    [6, qr/no zone "none", but "graph"/, '-z', 'none', 'list'],
    [6, qr/no zone "none", but "graph"/, '-z', 'none', 'clear', 'abc'],
    [6, qr/no zone "a b\/%", but "graph"/, '-z', 'a b/%', 'list'],
    [7, qr/leads elsewhere \(301\)/, '-u', "$base/moved/", 'list'],
    [7, qr/isn't the API/, '-u', "$base/other/", 'list'],
    [7, qr/refuses \(400\): "key" of a phone/, qw(pause phone x billing)],
    [7, qr/refuses \(400\): "hold" must be/, qw(--hold 9x pause phone 1 other)],
    [2, qr/^usage: /],
    [2, qr/no command "frob"/, 'frob'],
    [2, qr/no option --frob/, 'list', '--frob'],
    [2, qr/--zone needs a value/, 'list', '--zone'],
    [2, qr/pause needs SCOPE KEY REASON/, 'pause', 'phone', '1'],
    [2, qr/"\.\.\/x" is no state/, 'clear', '../x'],
    [2, qr/"a\/b" is no state/, 'show', 'a/b'],
    [2, qr/has to begin with http/, '-u', 'file:///etc/passwd', 'list'],
    [2, qr/no place in an address/, '-u', 'http://ops:p@127.0.0.1/', 'list'],
    [2, qr/takes a name alone/, '-U', 'ops:p', 'list'],
    [2, qr/no password for ops/, '-U', 'ops', 'list'],
    [2, qr/take words/, '-s', 'a&limit=1', 'list'],
) {
    my ($wanted, $says, @words) = @$_;
    my ($rc, $out, $err) = ctl(@words);

    is($rc, $wanted, "status $wanted: @words");
    like($err, $says, '... and it says why');
    is($out, '', '... on standard error');
}


# -- who may come -------------------------------------------------------------

$ENV{GRAPH_POLICY_PASSWORD} = 'a "wor\\d';
is((ctl('-u', "$base/own/", '-U', 'ops', 'list'))[0], 0,
    'a password in the environment, with marks that curl has a use for');
$ENV{GRAPH_POLICY_PASSWORD} = 'wrong';
is((ctl('-u', "$base/own/", '-U', 'ops', 'list'))[0], 4, 'one that is wrong');
delete $ENV{GRAPH_POLICY_PASSWORD};

SKIP: {
    skip 'no terminal can be had here', 2 if !$terminal;

    ($status, $out) = typed("a \"wor\\d\n", '-u', "$base/own/", '-U', 'ops',
        'list');
    is($status, 0, 'one that is typed');
    like($out, qr/^Password of ops: /m, 'which is asked for');
}

spew("$dir/.netrc", "machine 127.0.0.1 login ops password a\\ wrong\n");
is((ctl('-u', "$base/own/", 'list'))[0], 4, '~/.netrc is read');
spew("$dir/users.netrc", qq(machine 127.0.0.1\nlogin ops\npassword "a \\"wor\\\\d"\n));
is((ctl('-u', "$base/own/", '--netrc', "$dir/users.netrc", 'list'))[0], 0,
    '--netrc');
unlink "$dir/.netrc";


# -- what ps shows ------------------------------------------------------------

for my $name (qw(curl jq)) {
    chomp(my $real = `PATH=\${PATH#*:} command -v $name`);
    program($name, <<"END");
#!/bin/sh
printf '%s\\n' "\$0 \$*" >>"$dir/arguments"
env >>"$dir/environment"
exec $real "\$@"
END
}

$ENV{GRAPH_POLICY_PASSWORD} = 'a "wor\\d';
ctl(\"15550009876\n", '-u', "$base/own/", '-U', 'ops', 'lookup', '1003', '-');
ctl(\'{"error":{"code":190,"message":"Private"}}', '-u', "$base/own/", '-U',
    'ops', 'explain', '-');
delete $ENV{GRAPH_POLICY_PASSWORD};

my $shown = slurp("$dir/arguments");
like($shown, qr/\/curl .*\/jq /s, 'curl and jq were seen');
unlike($shown, qr/wor\\d|9876|Private/, 'no password, recipient or text in arguments');
unlike(slurp("$dir/environment"), qr/wor\\d|9876/, 'nor in the environment');
unlink "$dir/bin/curl", "$dir/bin/jq";


# -- an API that means harm ---------------------------------------------------

# escape sequences, C1 controls, marks that turn the direction, a new line
my $evil = '\u001b[2J\u009b31m\u202e\u0007\r\n\u0000x\u007f';
my $state = qq({"id":"id$evil","scope":"s$evil","key":"k$evil","credential":)
    . qq("c$evil","category":"c$evil","reason":"r$evil","code":"1$evil",)
    . qq("subcode":"2$evil","title":"t$evil","action":"a$evil","since":)
    . qq("2026-11-25T18:00:00.123Z","until":"2026-11-25T18:00:00.123Z$evil",)
    . qq("due":false,"probing":false,"holds":"1$evil","blocked":"2$evil",)
    . qq("trace":"t$evil","source":"s$evil","node":"n$evil","dry_run":false,)
    . qq("free_form":false,"template":false,"matched":true,"wait":"w$evil",)
    . qq("retry":true,"events":[{"time":"t$evil","event":"e$evil","source":)
    . qq("s$evil","code":"1$evil","hold":null}]});
my $harm = GraphPolicy::Nginx->start(http => <<"END" =~ s/([\\])/\\$1/gr);
server {
    listen 127.0.0.1:%PORT%;
    default_type application/json;
    add_header Location "http://127.0.0.1/\x1b[2J" always;
    location /zones { return 200 '{"zones":[{"name":"z$evil","states":{},"used":1,"size":2},{"name":"y"}]}'; }
    location /zones/z/states { return 200 '{"states":[$state],"next":null}'; }
    location /zones/z/states/ { return 200 '$state'; }
    location /zones/z/lookup { return 200 '$state'; }
    location /explain { return 200 '$state'; }
    location /zones/error { return 400 '{"error":{"code":400,"message":"m$evil"}}'; }
    location /zones/list { return 200 '[1]'; }
    location /zones/page { return 200 "<p>\x1b[2J\x07</p>"; }
    location /zones/long { return 418 '{"error":{"message":{"a":["$evil"]}}}'; }
}
END

$ENV{GRAPH_POLICY_URL} = 'http://127.0.0.1:' . $harm->port . '/';

for (['list'], ['-z', 'z', 'list'], ['-z', 'z', 'show', 'a'], ['zones'],
    ['-z', 'z', 'lookup', '1', '2'], ['explain', '1'], ['-z', 'error', 'list'],
    ['-z', 'z', 'pause', 'phone', '1', 'other'], ['-z', 'list', 'list'],
    ['-z', 'page', 'list'], ['-z', 'long', 'list'], ['-j', '-z', 'z', 'list'],
    ['-j', '-z', 'z', 'show', 'a'], ['-j', 'explain', '1'], ['-j', 'zones'])
{
    my ($rc, $out, $err) = ctl(@$_);
    ok("$out$err" !~ /[^\n\x20-\x7e]/, "@$_: nothing but what can be printed")
        or diag(JSON::PP->new->ascii->allow_nonref->encode("$out$err"));
    isnt("$out$err", '', '... and something is');
}


# -- what it says of itself ---------------------------------------------------

my ($rc, $help) = ctl('--help');
my %of_help = map { $_ => 1 } $help =~ /(--[a-z-]+)/g;
my %commands = map { $_ => 1 } $help =~ /^  ([a-z]+) /mg;

is($rc, 0, '--help');
is_deeply([sort keys %commands], [sort qw(zones list show pause freeze clear
    explain lookup watch)], 'all commands');

my ($module_version) = slurp("$top/src/ngx_http_graph_policy_version.h")
    =~ /"(\d+\.\d+\.\d+)"/;
is((ctl('--version'))[1], "graph-policy-ctl $module_version\n",
    'it has the version of the module');

my $page = slurp("$top/examples/ctl/graph-policy-ctl.1");
my %of_page = map { ("--$_" => 1) } $page =~ /\bFl -([a-z-]+)/g;
delete $of_help{$_} for qw(--help --version);
is_deeply([sort keys %of_page], [sort keys %of_help],
    'the page has its options');

my %items = map { $_ => 1 } map { split / \| / } $page =~ /^\.It Cm ((?:[a-z]+ \| )?[a-z]+)/mg;
is_deeply([sort keys %items], [sort keys %commands], 'and its commands');
is_deeply([$page =~ /^\.It (\d)$/mg], [0 .. 7], 'and its statuses');
is_deeply([$help =~ /\b([0-7]) (?:done|the|wrong|it|no)/g], [0 .. 7],
    'which the help has, too');

is(join('', grep { !/outdated mandoc\.db/ }
    qx(mandoc -Tlint -Wwarning '$top/examples/ctl/graph-policy-ctl.1' 2>&1)),
    '', 'mandoc has nothing against the page');
is(qx(shellcheck '$ctl' '$top/examples/ctl/completion.bash' 2>&1), '',
    'shellcheck has nothing against the scripts');


# -- completion ---------------------------------------------------------------

$ENV{GRAPH_POLICY_URL} = "$base/api/";
my ($known) = (ctl(qw(pause phone 1008 other)))[1] =~ /state (\w+)/;
program('graph-policy-ctl', "#!/bin/sh\nexec '$ctl' \"\$@\"\n");

# as readline calls it: words are broken at = and :
spew("$dir/complete", <<'END');
. "$1"
COMP_LINE=$2 COMP_POINT=${#2}
read -ra COMP_WORDS <<<"${2//[=:]/ & }"
[[ $2 != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_graph_policy_ctl
printf '%s ' "${COMPREPLY[@]}"
END

sub completed {
    my ($line) = @_;
    my $found = qx(bash "$dir/complete" "$top/examples/ctl/completion.bash" "graph-policy-ctl $line" </dev/null 2>&1);
    return $found =~ s/ +\z//r;
}

is_deeply([sort split / /, completed('')], [sort keys %commands],
    'completion: commands');
is_deeply([sort grep { !/--(?:help|version)/ } split / /, completed('--')],
    [sort keys %of_help], 'completion: options');
is(completed('fr'), 'freeze', 'completion: a beginning');
is(completed('pause '), 'credential account phone', 'completion: scopes');
is(completed('clear '), $known, 'completion: states');
is(completed("-u $base/read/ --zone=graph show "), $known,
    'completion: states of another address');
is(completed('-z '), 'graph', 'completion: zones');
is(completed('--zone='), 'graph', 'completion: zones behind =');
is(completed('-c fa'), 'fatal', 'completion: categories');
is(completed('-u http://127.0.0.1:1/ clear '), '',
    'completion: nobody answers');

my %set_by_hand = map { $_ => 1 } slurp("$top/docs/api.md")
    =~ /^\| `reason` \| (.*?)\. Two/m ? $1 =~ /`([a-z-]+)`/g : ();
is_deeply([sort split / /, completed('freeze phone 1 ')],
    [sort keys %set_by_hand], 'completion: reasons that can be set');

# each of which the module takes
is((ctl('-j', 'pause', 'phone', '1009', $_))[0], 0, "pause: $_")
    for sort keys %set_by_hand;

done_testing();
