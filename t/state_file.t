#!/usr/bin/perl

# States that outlive nginx: what is in the file, who writes it and when, what
# is read back, and what becomes of a file that can't be read or written.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(slurp spew wait_until);
use JSON::PP;
use POSIX ();
use Time::HiRes qw(sleep time);

my $graph = GraphPolicy::Graph->start;

# a new binary gets the sanitizers' settings only if it is told
my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 2,
    main => join(' ', map { "env $_;" }
        qw(ASAN_OPTIONS LSAN_OPTIONS UBSAN_LOG)),
    http => conf());

my $dir  = $nginx->dir . '/states';
my $file = "$dir/z";

like($nginx->log, qr/\ \[error\]\ [^\n]*:\ graph_policy_zone\ "z"\ can't\ save
    \ its\ states:\ open\(\)\ "\Q$file\E\.tmp"\ failed\ \(2:/x,
    'without its folder nginx starts, and says so')
    if ok(saved(sub { $nginx->log =~ /can't save/ }), 'there is no folder');

# what nginx -t warns of
sub warned {
    my $test = join ' ', map { "'$_'" } $nginx->command('-t');
    my $said = `$test 2>&1`;

    return ($?, join '', map { "$_\n" } grep { /\[warn\].*"z"/ }
        split /\n/, $said);
}

my ($rc, $warning) = warned();
is($rc, 0, 'nginx -t takes a folder that is not there');
like($warning, qr/^[^\n]* graph_policy_zone "z" won't save its states: stat\(\) "\Q$dir\E" failed, the folder has to be there \(2: [^\n]*\n\z/,
    'and warns of it');
like($nginx->log, qr/\[warn\] [^\n]* "z" won't save its states: stat\(\)/,
    'as the start has done');

spew($dir, '');
like((warned())[1], qr/^[^\n]* won't save its states: "\Q$dir\E" is no folder\n\z/,
    'what is no folder is told');
unlink $dir or die "unlink: $!";

mkdir $dir or die "mkdir: $!";
chmod 0555, $dir or die "chmod: $!";
like((warned())[1], qr/^[^\n]* won't save its states: the workers' user can't write the folder "\Q$dir\E"\n\z/,
    'so is one that the workers may not write');

chmod 0777, $dir or die "chmod: $!";
is((warned())[1], '', 'one that they may is fine');

ok(saved(sub { -e $file }), 'once there is one, the file is made');
is(sprintf('%o', (stat $file)[2] & 07777), '600', 'for its owner alone');


# -- a restart ----------------------------------------------------------------

send_one('/1/messages', '400 131042 trace=ATrace_1');
send_one('/2/messages', '401 190', 'secret-two');
send_one('/3/messages', '400 133010');
send_one('/4/messages', '400 133010');
send_one('/of/6/messages', '400 131031');

my %before = map { $_ => blocked($_) }
    qw(/1/messages /3/messages /4/messages /of/6/messages /of/7/messages);
my $token  = blocked('/1/messages', 'secret-two');
my $other  = blocked('/9/messages', 'secret-two');

ok(wait_until(sub { lines() == 5 }), 'five states are saved');
restart('QUIT');

is_deeply(lasting(blocked($_)), lasting($before{$_}),
    "$_: after a restart the same is told") for sort keys %before;
is_deeply(lasting(blocked('/9/messages', 'secret-two')), lasting($other),
    'of a credential, too');
is($graph->count, 5, 'the Graph API got what set the states, and no more');
is(error_of($before{'/3/messages'})->{error_user_title},
    'Several phone numbers are disconnected at once',
    'phones of one credential are still more than one');
like($nginx->log, qr/\ \[notice\]\ [^\n]*:\ graph_policy_zone\ "z"\ has
    \ 5\ states\ and\ 0\ phones\ from\ "\Q$file\E"\n/x,
    'the log tells what was read');

unlike(slurp($file), qr/secret/, 'no token is in the file');

my @states = grep { $_->{state} } states();

is((grep { ($_->{key} // '') eq '1' } @states)[0]{trace}, 'ATrace_1',
    'a state has its trace');


# -- killed -------------------------------------------------------------------

my $size = lines();

send_one('/20/messages', '400 133010');
ok(wait_until(sub { lines() == $size + 1 }, 2),
    'a change is in the file soon');

my @old = $nginx->workers;
$nginx->stop('KILL');
kill 'KILL', @old;
ok(wait_until(sub { !grep { kill 0, $_ } @old }), 'all processes are killed');
unlink $nginx->dir . '/nginx.pid';
$nginx->run;

blocked($_) for '/20/messages', '/1/messages', '/of/7/messages';

kill 'KILL', $nginx->workers;
ok(wait_until(sub { (my @now = $nginx->workers) == 2 }),
    'the workers are killed');
send_one('/21/messages', '400 133010');
ok(wait_until(sub { (my @now = keyed('21')) == 1 }),
    'one of the new ones saves on');


# -- what ends, and what is remembered ----------------------------------------

send_one('/fast/30/messages', '400 133010');
is(policy(probe('/fast/30/messages')), 'probe', 'a state is cleared');
ok(wait_until(sub { my ($s) = keyed('30'); $s && !$s->{armed} }),
    'the file has that');
restart('TERM');
send_one('/fast/30/messages', '400 133010');
like($nginx->log, qr/state re-armed, scope: phone, key: "30"/,
    'and the same trouble after a restart is a relapse');


# -- expired, and out of bounds -----------------------------------------------

$nginx->stop('QUIT');

my $now = int time * 1000;
my $day = 86_400_000;
my ($head, @lines) = split /^/, slurp($file);
my @made = (
    state(key => '40', until => $now - $day - 60_000),
    state(key => '41', until => $now - $day + 600_000),
    state(key => '42', until => $now + 100 * $day, since => $now + $day,
        changed => $now + $day, hold => 1000),
    state(key => '43', until => $now - 1, changed => $now - $day),
    state(key => '44', armed => 0, until => $now - 60_000),
    state(key => '45', until => $now + 60_000),
    state(key => '46', until => $now + 60_000, credential => '00000000deadbeef'),
);

spew($file, $head . join('', @made) . '{"lines":' . (1 + @made) . "}\n");
$nginx->run;

is(policy(send_one('/40/messages', '200')), undef,
    'a state that nobody has probed for a day is dropped');
is(policy(send_one('/41/messages', '200')), 'probe',
    'one that is due for less is probed');
is(policy(send_one('/44/messages', '200')), undef,
    'one that was over is none');
is(policy(send_one('/46/messages', '200')), undef,
    'one of another credential covers nobody else');
blocked('/45/messages');

my $hold = blocked('/42/messages')->{headers}{'x-graph-hold'};

cmp_ok($hold, '<=', 2, 'an end that is too far away is cut to the hold');


# -- a reload -----------------------------------------------------------------

my $id = blocked('/45/messages')->{headers}{'x-graph-state'};

ok($nginx->reload, 'a reload');
is(blocked('/45/messages')->{headers}{'x-graph-state'}, $id,
    'keeps what it kept');
send_one('/50/messages', '400 133010');
ok(wait_until(sub { keyed('50') }), 'and goes on saving');

ok($nginx->reload(conf('2m')), 'a reload with another size');
is(blocked('/45/messages')->{headers}{'x-graph-state'}, $id,
    'takes the states from the file');
blocked('/50/messages');
send_one('/51/messages', '400 133010');
ok(wait_until(sub { keyed('51') }), 'and goes on saving, too');


# -- corrupt ------------------------------------------------------------------

$nginx->stop('QUIT');

my $good = slurp($file);
my $count = () = $good =~ /\n/g;
my $set  = 0;

($head, @lines) = split /^/, $good;

for (
    ['empty',               '', 0, 0],
    ['an empty line',       "\n$good", 1, 0],
    ['something else',      "hello\n", 1, 0],
    ['torn in a line',      substr($good, 0, length($head) + 5), 2,
        length $head],
    ['torn between lines',  $head . $lines[0], 2, length "$head$lines[0]"],
    ['too few lines',       $head . $lines[-1], 2, length $head],
    ['without a head',      join('', @lines), 1, 0],
    ['another version',     $good =~ s/"graph_policy":1/"graph_policy":2/r, 1,
        0],
    ['more behind the end', "$good$lines[0]", $count + 1, length $good],
    ['an unknown reason',   $head . $lines[0] =~ s/"reason":"/$&x/r
        . join('', @lines[1 .. $#lines]), 2, length $head],
    ['a line without end',  $head . '{"x":"' . 'x' x 100_000 . "\"}\n", 2,
        length $head],
    ['bytes',               join('', map { chr } 0 .. 255) x 100, 1, 0],
) {
    my ($what, $text, $line, $byte) = @$_;

    spew($file, $text);
    unlink $nginx->dir . '/error.log', glob "$file.corrupt*";
    my $test = join ' ', map { "'$_'" } $nginx->command('-t');
    system("$test 2>/dev/null");

    is(slurp($file), $text, "$what: nginx -t leaves it where it is");
    $nginx->run;
    like($nginx->log, qr/\ \[error\]\ [^\n]*:\ graph_policy_zone\ "z"\ can't
        \ read\ its\ states:\ "\Q$file\E"\ is\ corrupt\ in\ line\ $line,
        \ at\ byte\ $byte\n/x, "$what: the log tells where");
    like($nginx->log, qr/"z" sets "\Q$file\E" aside as "\Q$file\E.corrupt"\n/,
        "$what: and that it is set aside");
    is(slurp("$file.corrupt"), $text, "$what: which it is");
    is(policy(send_one('/45/messages', '200')), undef,
        "$what: nothing of it counts");
    ok(saved(sub { -s $file }), "$what: there is a new one");
    $nginx->stop('QUIT');
}

spew("$file.corrupt", 'first');
spew($file, 'second');
$nginx->run;
is(slurp("$file.corrupt"), 'first', 'what was set aside before stays');
is(slurp("$file.corrupt.1"), 'second', 'the next one has a number');


# -- something else than a file -----------------------------------------------

$nginx->stop('QUIT');
rename $file, "$file.away" or die "rename: $!";
mkdir $file or die "mkdir: $!";
$nginx->run;
ok(wait_until(sub { $nginx->log =~ /\ \[error\]\ [^\n]*:\ graph_policy_zone
    \ "z"\ can't\ save\ its\ states:\ open\(\)\ "\Q$file\E"\ failed\ \(21:/x }),
    'a folder in its place is not written');
$nginx->stop('QUIT');
ok(-d $file, 'nor replaced');
rmdir $file or die "rmdir: $!";
rename "$file.away", $file or die "rename: $!";
$nginx->run;


# -- can't be written ---------------------------------------------------------

my $before = length $nginx->log;

rename $dir, "$dir.away" or die "rename: $!";
send_one('/60/messages', '400 133010');

my $failed = qr/\ \[error\]\ [^\n]*:\ graph_policy_zone\ "z"\ can't\ save
    \ its\ states:\ open\(\)\ "\Q$file\E\.tmp"\ failed\ \(2:/x;

ok(wait_until(sub { substr($nginx->log, $before) =~ $failed }),
    'a folder that has gone is in the log');
blocked('/60/messages');
sleep 3;
is((() = substr($nginx->log, $before) =~ /$failed/g), 1,
    'not once with every try');

rename "$dir.away", $dir or die "rename: $!";
ok(wait_until(sub {
    substr($nginx->log, $before) =~ /"z" saves its states again/ }, 15),
    'when it is back, that is, too');
ok(keyed('60'), 'and so are the states');

spew("$file.tmp", 'left by somebody');
send_one('/61/messages', '400 133010');
ok(wait_until(sub { keyed('61') }), 'a temporary file of a dead writer goes');
ok(!-e "$file.tmp", 'and none is left');


# -- a worker that takes the states along -------------------------------------

SKIP: {
    skip 'gdb sees valgrind instead of nginx', 3
        if $ENV{TEST_NGINX_USE_VALGRIND};
    skip 'there is no gdb', 3 if system('gdb --version >/dev/null 2>&1');

    $nginx->{workers} = 1;
    $nginx->stop('QUIT');
    $nginx->configure(conf(), $nginx->{main});
    $nginx->run;

    my $said = kill_amid_change('/62/messages', '400 133010');

    skip 'processes can not be traced here', 3
        if $said =~ /ptrace: Operation not permitted|Could not attach/;

    like($said, qr/^dead$/m, 'a worker is killed amid a change');
    ok(wait_until(sub {
        (policy(send_one('/61/messages', '200')) // '') eq 'blocked'
    }), 'what it took along is read from the file');
    like($nginx->log, qr/\ \[alert\]\ [^\n]*:\ a\ worker\ died\ while\ it
        \ changed\ graph_policy_zone\ "z",\ the\ zone\ starts\ afresh\ from
        \ its\ state\ file\n/x, 'the log says so');
}


# -- two masters --------------------------------------------------------------

# A master that is still its parent's takes itself for the new one.

my @masters;

END { kill 'TERM', grep { kill 0, $_ } @masters }

$nginx->stop('QUIT');
system($nginx->command('-g', 'daemon on;')) == 0 or die 'no daemon';

my $first  = master();
my $second = upgrade($first);

blocked('/61/messages');
send_one('/70/messages', '400 133010');
ok(wait_until(sub { keyed('70') }), 'the new ones save');

end_master($first);
like(slurp($file), qr/"master":$second\D/, 'the old master leaves it alone');
ok(keyed('70'), 'with what the new ones know');

# and back again

my $third = upgrade($second);

send_one('/71/messages', '400 133010');
ok(wait_until(sub { keyed('71') }), 'a state that the old ones cannot know');
kill 'HUP', $second;
end_master($third);
send_one('/72/messages', '400 133010');
ok(wait_until(sub { slurp($file) =~ /"master":$second\D/ }, 15),
    'where the new binary is given up, the old one takes the file back');
blocked($_) for '/70/messages', '/71/messages', '/72/messages';
end_master($second);

is_deeply([grep { !/ (?:worker\ process\ \d+\ exited\ on\ signal\ 9
        |shared\ memory\ zone\ "z"\ was\ locked
        |a\ worker\ died\ while) /x } $nginx->complaints], [],
    'nobody complains');

done_testing();


# -- helpers ------------------------------------------------------------------

sub conf {
    my ($size) = @_;

    $size ||= '1m';

    return <<"END";
graph_policy_zone zone=z:$size state=states/z;

graph_policy zone=z;

server {
    listen 127.0.0.1:%PORT%;

    location / {
        graph_policy_hold 1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /fast/ {
        graph_policy_hold 1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /of/ {
        graph_policy_account my-account;
        graph_policy_hold 1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END
}

sub send_one {
    my ($path, $mock, $token) = @_;

    return $nginx->request(path => $path, token => $token || 'secret-one',
        mock => $mock);
}

sub policy { $_[0]{headers}{'x-graph-policy'} }

sub error_of { decode_json($_[0]{body})->{error} }

sub blocked {
    my ($path, $token) = @_;

    my $answer = send_one($path, '200', $token);

    is(policy($answer), 'blocked', "$path is blocked");
    return $answer;
}

sub probe {
    my ($path) = @_;

    return wait_until(sub {
        my $answer = send_one($path, '200');
        return (policy($answer) // '') eq 'blocked' ? undef : $answer;
    });
}

# the only worker dies where it is about to make a state; what gdb said
sub kill_amid_change {
    my ($path, $mock) = @_;

    my ($worker) = $nginx->workers;
    my $script   = $nginx->dir . '/gdb.script';
    my $out      = $nginx->dir . '/gdb.out';

    spew($script, join "\n", 'set confirm off', 'set breakpoint pending off',
        'tbreak ngx_http_graph_policy_zone_learn', 'echo ready\n', 'continue',
        'tbreak ngx_slab_alloc_locked', 'continue', 'kill', 'echo dead\n', '');

    my $gdb = fork // die "fork: $!";

    if (!$gdb) {
        open STDOUT, '>', $out or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        open STDIN, '<', '/dev/null' or POSIX::_exit(1);
        delete $ENV{DEBUGINFOD_URLS};
        exec 'gdb', '-nx', '-batch', '-p', $worker, '-x', $script
            or POSIX::_exit(127);
    }

    my $gone = sub { waitpid($gdb, POSIX::WNOHANG()) != 0 };

    send_one($path, $mock)
        if wait_until(sub { slurp($out) =~ /^ready$/m || $gone->() }, 30)
        && kill 0, $gdb;

    if (!wait_until($gone, 20)) {
        kill 'TERM', $gdb;
        waitpid $gdb, 0;
    }

    return slurp($out);
}

# what doesn't depend on the time
sub lasting {
    my ($answer) = @_;

    return [$answer->{status}, $answer->{body},
        $answer->{headers}{'x-graph-state'}];
}

sub restart {
    my ($signal) = @_;

    $nginx->stop($signal);
    $nginx->run;
}

# the master that the file of its process id names, other than "old"
sub master {
    my ($old) = @_;

    my $pid = wait_until(sub {
        my ($now) = slurp($nginx->dir . '/nginx.pid') =~ /^(\d+)$/;
        return $now && $now != ($old // 0) ? $now : undef;
    }) or BAIL_OUT('there is no master');

    push @masters, $pid;
    $nginx->{pid} = $pid;
    ok(saved(sub { slurp($file) =~ /"master":$pid\D/ }),
        "the file is the new master's");
    return $pid;
}

# the old workers leave, their master stays
sub upgrade {
    my ($old) = @_;

    kill 'USR2', $old;

    my $new = master($old);

    $nginx->{pid} = $old;
    kill 'WINCH', $old;
    ok(wait_until(sub { !grep { $_ != $new } $nginx->workers }),
        'the old workers leave');
    $nginx->{pid} = $new;
    return $new;
}

sub end_master {
    my ($pid) = @_;

    kill 'QUIT', $pid;
    ok(wait_until(sub { !kill 0, $pid }), 'a master ends');
    @masters = grep { $_ != $pid } @masters;
}

sub saved { wait_until($_[0]) }

sub states { map { decode_json($_) } split /^/, slurp($file) }

# without the first and the last
sub lines { (my @lines = states()) - 2 }

sub keyed {
    my ($key) = @_;

    return grep { ($_->{state} // '') eq 'phone' && $_->{key} eq $key }
        states();
}

sub state {
    my (%member) = @_;

    my %state = (state => 'phone', category => 'fatal',
        reason => 'phone-disconnected', code => 133010, status => 400,
        source => 'answer', armed => 1, since => $now - 1000,
        changed => $now - 1000, hold => 60_000, max => 60_000, holds => 1,
        blocked => 0, %member);

    $state{armed} = $state{armed} ? JSON::PP::true : JSON::PP::false;
    return JSON::PP->new->canonical->encode(\%state) . "\n";
}
