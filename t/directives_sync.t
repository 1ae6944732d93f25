#!/usr/bin/perl

# graph_policy_sync and its files: what is accepted, and what is said of that
# which isn't; what a reload may change, and what it can't.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(spew slurp wait_until);
use GraphPolicy::Fleet;

my $temp = File::Temp->newdir('graph_sync.XXXXXX', TMPDIR => 1);
my $dir  = "$temp";
chmod 0755, $dir;

my $key = 'k' x 32;

sub file {
    my ($name, $text, $mode) = @_;

    spew("$dir/$name", $text);
    chmod $mode // 0600, "$dir/$name" or die "chmod: $!";
    return "$dir/$name";
}

file('key', "$key\n");
file('password', "secret\n");

my $empty = bless { dir => $dir, port => 1, port2 => 2 }, 'GraphPolicy::Nginx';
mkdir "$dir/logs";

# what nginx -t says of a line, without time and place
sub said {
    my ($line, $zone) = @_;

    $empty->configure(join "\n", $zone // 'graph_policy_zone zone=z:1m;',
        $line);
    my $pid = open my $pipe, '-|';
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec $empty->command('-t', '-e', "$dir/out") or POSIX::_exit(127);
    }
    local $/;
    my $text = <$pipe>;
    close $pipe;
    my @lines = grep { /\[(?:emerg|warn)\]/ } split /\n/, $text;
    return join "\n", map { s/^.*?\[(\w+)\] (?:\d+#\d+: )?//r
        =~ s/ in \S+nginx\.conf:\d+$//r } @lines;
}

my $good = "graph_policy_sync zone=z server=127.0.0.1:1 key_file=$dir/key";

for my $more ('', 'server=unix:/tmp/x.sock', 'server=[::1]:6379',
    'server=localhost:6379', "password_file=$dir/password",
    "user=a password_file=$dir/password", 'db=0 prefix= timeout=10ms',
    'db=15 prefix=a:b timeout=60s length=1000', 'length=10000000',
    'conversations=on', 'conversations=off',
    'master=graph', 'master=' . 'm' x 128,
    "server=unix:/tmp/s.sock master=a.b-c_1 user=a"
        . " password_file=$dir/password")
{
    is(said("$good $more;"), '', "accepted: ... $more");
}

is(said($good . ';' . 'graph_policy_zone zone=later:1m;'
    . " graph_policy_sync zone=later server=127.0.0.1:1 key_file=$dir/key;"),
    '', 'two zones may be shared');
is(said("$good;\ngraph_policy_zone zone=z:1m;", ''), '',
    'the zone may be defined further on');

my $of = 'in "graph_policy_sync" directive';

my @wrong = (
    ["$good zone=y;", qr/^duplicate parameter "zone=y" $of$/],
    ["$good what=1;", qr/^invalid value "what=1" $of, it must be "zone=", "server=", "master=", /],
    ["$good master;", qr/^invalid value "master" $of/],
    ["graph_policy_sync server=127.0.0.1:1 key_file=$dir/key;",
        qr/^"graph_policy_sync" directive needs "zone=NAME"$/],
    ["graph_policy_sync zone=z key_file=$dir/key;",
        qr/^"graph_policy_sync" directive needs "server=ADDRESS"$/],
    ['graph_policy_sync zone=z server=127.0.0.1:1;',
        qr/^"graph_policy_sync" directive needs "key_file=FILE"$/],
    ["$good user=a;",
        qr/directive needs "password_file=FILE" with "user="$/],
    ["graph_policy_sync zone=none server=127.0.0.1:1 key_file=$dir/key;",
        qr/^unknown zone "none" $of, it must be defined with /],
    ["$good;\n$good;", qr/^duplicate zone "z" $of, a zone is shared once$/],
    ['graph_policy_sync zone=;', qr/^invalid value "zone=" $of/],
    map({ ["graph_policy_sync zone=z key_file=$dir/key $_;",
        qr/"\Q$_\E" $of, it must be "server=HOST:PORT", "server=\[IPV6\]:PORT", or "server=unix:PATH"$/m ] }
        'server=', 'server=127.0.0.1', 'server=127.0.0.1:0',
        'server=127.0.0.1:99999', 'server=127.0.0.1:1/x', 'server=:1',
        'server=[::1', 'server=unix:'),
    ["graph_policy_sync zone=z key_file=$dir/key server=no.such.host.invalid:1;",
        qr/^host not found in "server=no.such.host.invalid:1" of the "graph_policy_sync" directive, names are looked up when nginx starts$/],
    map({ ["$good $_;", qr/^invalid value "\Q$_\E" $of, it must be "db=NUMBER"$/] }
        'db=', 'db=-1', 'db=x', 'db=99999999999'),
    map({ ["$good $_;", qr/^invalid value "\Q$_\E" $of, it must be "timeout=TIME" from "10ms" to "60s"$/] }
        'timeout=', 'timeout=9ms', 'timeout=61s', 'timeout=x'),
    map({ ["$good $_;", qr/^invalid value "\Q$_\E" $of, it must be "length=NUMBER" from 1000 to 10000000 entries$/] }
        'length=', 'length=999', 'length=10000001', 'length=1k'),
    map({ ["$good $_;", qr/^invalid value "\Q$_\E" $of, it must be "conversations=on\|off"$/] }
        'conversations=', 'conversations=yes', 'conversations=onn'),
    ["$good conversations=on conversations=on;", qr/^duplicate parameter "conversations=on" $of$/],
    map({ ["$good '$_';", qr/$of, it must be "prefix=STRING" of at most 128/] }
        'prefix=a{b', "prefix=\x{1}", 'prefix=' . 'x' x 129),
    map({ ["$good '$_' password_file=$dir/password;",
        qr/$of, it must be "user=NAME" of 1 to 128/] }
        'user=', 'user=' . 'x' x 129, "user=a\x{7f}"),
    ["$good master=a master=b;", qr/^duplicate parameter "master=b" $of$/],
    ["graph_policy_sync zone=z master=a key_file=$dir/key;",
        qr/^"graph_policy_sync" directive needs "server=ADDRESS"$/],
    map({ ["$good '$_';", qr/^invalid value "\Q$_\E" $of, it must be "master=NAME" of 1 to 128 printable ASCII characters without blanks$/] }
        'master=', 'master=' . 'x' x 129, 'master=a b', "master=a\x{7f}",
        "master=\x{e9}"),
    ["$good password_file=;", qr/it must be "password_file=FILE"$/],
    ["$good password_file=$dir/none;", qr/^open\(\) "\Q$dir\E\/none" of "graph_policy_sync" directive failed/],
    ['graph_policy_sync zone=z server=127.0.0.1:1 key_file=;',
        qr/it must be "key_file=FILE"$/],
    ["graph_policy_sync zone=z server=127.0.0.1:1 key_file=$dir/none;",
        qr/^open\(\) "\Q$dir\E\/none" of "graph_policy_sync" directive failed/],
);

for (@wrong) {
    my $said = said($_->[0]);

    like($said, $_->[1], "refused: $_->[0]" =~ s/[^ -~]/?/gr);
    is($said =~ tr/\n//, 0, 'by one message') or diag $said;
}


# -- files --------------------------------------------------------------------

sub with_key {
    my ($text, $mode) = @_;

    my $name = file('try', $text, $mode);
    return said("graph_policy_sync zone=z server=127.0.0.1:1 key_file=$name;");
}

is(with_key("# ours\n\n  $key  \r\n$key.2\n"), '', 'comments, blanks, CR LF');
is(with_key(join '', map { "$key.$_\n" } 1 .. 4), '', 'four keys');
like(with_key(join '', map { "$key.$_\n" } 1 .. 5),
    qr/it must be a file of at most 4 keys, one a line$/, 'five are refused');
like(with_key(''), qr/it must be a file with at least one key in it$/,
    'an empty file');
like(with_key("# none\n\n"), qr/at least one key/, 'comments alone');
for (['31 characters', 'k' x 31], ['1025 characters', 'k' x 1025],
    ['a control character', "$key\x{1}"], ['what is not ASCII', "$key\xe9"])
{
    my $text = with_key("$key\n$_->[1]\n");
    like($text, qr/^invalid line 2 of "[^"]+" $of, it must be a key of 32 to 1024 printable ASCII characters$/,
        "$_->[0]: the line is named");
    unlike($text, qr/kkkk/, "$_->[0]: and not shown");
}

for ([0644, '0644', 'read'], [0604, '0604', 'read'], [0602, '0602', 'change'],
    [0666, '0666', 'read'])
{
    my ($mode, $shown, $what) = @$_;
    my $warning = qr/^"[^"]+" $of has the mode $shown, so everybody on this host can $what what is secret; "chmod o= FILE" ends that$/;

    like(with_key("$key\n", $mode), $warning, "a key of $shown: a warning");
    like(said("$good password_file=" . file('try', "secret\n", $mode) . ';'),
        $warning, "a password of $shown: likewise");
}

for (0600, 0640, 0440) {
    is(with_key("$key\n", $_), '', sprintf 'a key of %04o: none', $_);
    is(said("$good password_file=" . file('try', "secret\n", $_) . ';'), '',
        sprintf 'a password of %04o: none', $_);
}

for (['nothing', ''], ['two lines', "a\nb\n"], ['a control character', "a\x{1}"],
    ['too much', 'x' x 5000])
{
    my $name = file('try', $_->[1]);
    like(said("$good password_file=$name;"),
        qr/it must be a file of one line, the password, without control characters$/,
        "password: $_->[0]");
}


# -- TLS ----------------------------------------------------------------------

like(said("$good; graph_policy_sync_ssl maybe;"), qr/it must be "on" or "off"/,
    'on or off');
like(said("$good; graph_policy_sync_ssl on;"
    . " graph_policy_sync_ssl_trusted_certificate $dir/none;"), qr/\Q$dir\E\/none/,
    'a file that is not there');
like(said("$good; graph_policy_sync_ssl on;"
    . " graph_policy_sync_ssl_certificate $dir/none;"),
    qr/^"graph_policy_sync_ssl_certificate" and "graph_policy_sync_ssl_certificate_key" need each other$/,
    'a certificate without its key');
like(said("$good; graph_policy_sync_ssl on;"
    . " graph_policy_sync_ssl_certificate_key $dir/none;"),
    qr/^"graph_policy_sync_ssl_certificate" and "graph_policy_sync_ssl_certificate_key" need each other$/,
    'a key without its certificate');
like(said("$good; graph_policy_sync_ssl_verify maybe;"),
    qr/it must be "on" or "off"/, 'verifying is on or off');
like(said("$good; graph_policy_sync_ssl_name a; graph_policy_sync_ssl_name b;"),
    qr/"graph_policy_sync_ssl_name" directive is duplicate/, 'one name');
like(said("$good; graph_policy_sync_ssl_protocols TLSv1.2 TLSv9;"),
    qr/^invalid value "TLSv9" in "graph_policy_sync_ssl_protocols" directive, it must be "SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", or "TLSv1.3"$/,
    'a protocol that there is not');
is(said("$good; graph_policy_sync_ssl_protocols TLSv1.2 tlsv1.3;"), '',
    'two that there are');
like(said("$good; graph_policy_sync_ssl on; graph_policy_sync_ssl_ciphers x;"),
    qr/SSL_CTX_set_cipher_list/, 'ciphers that there are not');


# -- a reload -----------------------------------------------------------------

my $fleet = GraphPolicy::Fleet->start(nodes => 1, hold => '1h max=1h');
my $nginx = $fleet->node(0);

$fleet->send(0, '/1/messages', '401 190', token => 'mine');

sub reloaded {
    my ($conf, $what) = @_;

    $nginx->configure($conf);
    my $size = length $nginx->log;
    $nginx->signal('HUP');
    my $said;
    ok(wait_until(sub {
        ($said) = substr($nginx->log, $size)
            =~ /\[emerg\] [^\n]*: (graph_policy[^\n]*)/;
        $said;
    }), "$what is refused");
    return $said // '';
}

is(reloaded($fleet->conf(no_sync => 1), 'a reload without it') =~ s/ in .*//r,
    'graph_policy_zone "z" can\'t leave a fleet on reload, restart nginx or'
    . ' rename the zone', 'and the reason is told');
spew($fleet->dir . '/key', 'n' x 32 . "\n" . $key . "\n");
is(reloaded($fleet->conf, 'another first line'),
    'graph_policy_zone "z" can\'t change its sync key on reload, restart nginx'
    . ' or rename the zone', 'and the reason is told');
spew($fleet->dir . '/key', "$key\n" . 'n' x 32 . "\n");
ok($nginx->reload($fleet->conf), 'another line behind it is no reason');
ok($fleet->blocks(0, '/2/messages', token => 'mine'), 'what is known stays');
ok($fleet->settle(5), 'and the host is in touch');

my $alone = GraphPolicy::Fleet->start(nodes => 1, no_sync => 1, alone => 1);
$nginx = $alone->node(0);
is(reloaded($alone->conf(no_sync => 0), 'to join one'),
    'graph_policy_zone "z" can\'t join a fleet on reload, restart nginx or'
    . ' rename the zone', 'and the reason is told');
is($alone->send(0, '/1/messages')->{status}, 200, 'the old one goes on');


# -- a state file -------------------------------------------------------------

my $file = "$dir/states/z";
mkdir "$dir/states"; chmod 0777, "$dir/states";
my $graph = $alone->graph;

my $before = GraphPolicy::Fleet->start(nodes => 1, no_sync => 1, alone => 1,
    graph => $graph, zone => "zone=z:1m state=$file", hold => '1h max=1h');
$before->send(0, '/1/messages', '400 131042');
$before->send(0, '/2/messages', '401 190', token => 'mine');
wait_until(sub { (() = slurp($file) =~ /"state"/g) == 2 });
$before->node(0)->stop('QUIT');

my $after = GraphPolicy::Fleet->start(nodes => 2, graph => $graph,
    zone => "zone=z:1m", hold => '1h max=1h');
my $third = $after->add(zone => "zone=z:1m state=$file");
ok($after->blocked(0, '/1/messages')->{status} == 400,
    'what a file restores the others are told');
ok(!$after->blocks(2, '/2/messages', token => 'mine'),
    'but for states of credentials, of another key');
like($third->log, qr/\[warn\] [^\n]*: graph_policy_zone "z" drops 1 states of credentials from "\Q$file\E", which is of another fingerprint key than the fleet's/,
    'which the log tells');

my $plain = GraphPolicy::Fleet->start(nodes => 1, no_sync => 1, alone => 1,
    graph => $graph, zone => "zone=z:1m state=$file.plain", hold => '1h max=1h');
$plain->send(0, '/5/messages', '400 131042');
wait_until(sub { slurp("$file.plain") =~ /"state"/ });
$plain->node(0)->stop('QUIT');
my $fourth = $after->add(zone => "zone=z:1m state=$file.plain");
ok($after->blocked(0, '/5/messages')->{status} == 400,
    'of a file that has no such state all is told');
unlike($fourth->log, qr/ drops /, 'and the log has nothing to tell');

$after->send(2, '/3/messages', '401 190', token => 'mine');
wait_until(sub { slurp($file) =~ /"credential"/ });
$third->stop('QUIT');
$third->run;
ok($after->blocks(2, '/3/messages', token => 'mine'),
    'of its own key a file gives all');
unlike(slurp("$dir/states/z"), qr/mine/, 'and no token');

is_deeply([$after->complaints], [], 'nothing in the log to worry about');

done_testing;
