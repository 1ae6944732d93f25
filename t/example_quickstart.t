#!/usr/bin/perl

# examples/quickstart: what "make run" shows, and how it starts and ends.

use strict;
use warnings;

use Test::More;

use File::Copy qw(copy);
use File::Temp ();
use FindBin;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Time::HiRes ();

our $example = "$FindBin::Bin/../examples/quickstart";

$ENV{NGINX_BINARY} ||= $ENV{TEST_NGINX_BINARY} || '/usr/sbin/nginx';
$ENV{MODULE} ||= $ENV{TEST_NGINX_LOAD_MODULES}
    || "$FindBin::Bin/../.build/nginx/ngx_http_graph_policy_module.so";

delete @ENV{qw(ONCE http_proxy https_proxy all_proxy ALL_PROXY)};

die "no module at $ENV{MODULE}: run make build\n" unless -e $ENV{MODULE};

my $temp = File::Temp->newdir('quickstart.XXXXXX', TMPDIR => 1);
my $dir  = "$temp";
chmod 0755, $dir or die "chmod: $!";

# whatever the example makes, it makes here
$ENV{TMPDIR} = "$dir/tmp";
mkdir $ENV{TMPDIR} or die "mkdir: $!";

my $test_pid = $$;
my %running;

END {
    if ($$ == $test_pid) {
        my $status = $?;
        kill 'TERM', keys %running if %running;
        waitpid $_, 0 for keys %running;
        $? = $status;
    }
}

my @ports = qw(GRAPH_POLICY_PORT MOCK_PORT DASHBOARD_PORT);

@ENV{@ports} = free_ports(3);


# -- every code of the table --------------------------------------------------

# code, category, reason, scope, status, next send
my @table = map { [split] } split /\n/, <<'END';
none     -               -                   -            200 passed
0        fatal           token-invalid       credential   401 blocked
190      fatal           token-invalid       credential   401 blocked
102      fatal           token-invalid       credential   401 blocked
3        fatal           token-invalid       account      500 blocked
10       fatal           token-invalid       account      403 blocked
200      fatal           token-invalid       account      403 blocked
299      fatal           token-invalid       account      403 blocked
131005   fatal           token-invalid       account      403 blocked
368      fatal           account-restricted  account      403 blocked
131031   fatal           account-restricted  account      403 blocked
131042   fatal           billing             account      400 blocked
133010   fatal           phone-disconnected  phone        400 blocked
131045   fatal           phone-disconnected  phone        500 blocked
33       fatal           phone-disconnected  phone        400 blocked
100/33   fatal           phone-disconnected  phone        400 blocked
133010x2 fatal           phones-disconnected phone        400 blocked
4        temporary       rate-limit          credential   429 passed
80007    temporary       rate-limit          account      429 passed
130429   temporary       rate-limit          phone        400 passed
131056   temporary       pair-rate-limit     conversation 400 passed
131057   temporary       maintenance         phone        500 passed
2494100  temporary       maintenance         phone        503 passed
100/2494100 temporary    maintenance         phone        503 passed
1        temporary       server-error        request      500 passed
131000   temporary       server-error        request      500 passed
131016   temporary       service-unavailable phone        500 passed
133004   temporary       service-unavailable phone        503 passed
2        temporary       service-unavailable phone        500 passed
131047   context-limited window-expired      conversation 400 passed
131026   context-limited undeliverable       conversation 400 passed
131048   context-limited spam-quality        conversation 400 passed
131064   context-limited spam-quality        conversation 429 passed
131052   context-limited media-download      request      400 passed
131053   context-limited media-upload        request      400 passed
END

# what, to or from whom, status, what became of it, error
my @steps = split /\n/, <<'END';
message 15550001111 200 passed -
failed 15550001111 200 passed context-limited 131047
message 15550001111 400 blocked context-limited 131047
template 15550001111 200 passed -
message 15550002222 200 passed -
forged 15550001111 403 refused -
message 15550001111 400 blocked context-limited 131047
wrote 15550001111 200 passed -
message 15550001111 200 passed -
END

# call, status, what it says
my @calls = split /\n/, <<'END';
POST zones/graph/states 201 phone-disconnected
message 400 blocked
GET zones/graph/states 200 phone-disconnected, 1 blocked
DELETE zones/graph/states/ID 204 -
message 200 passed on
END

my ($status, $output) = run('--once', '--all');

is($status, 0, 'every code of the table is as documented') or diag($output);

my %rows = rows($output);

is(keys %rows, @table, 'there is a row for each code');

for my $expected (@table) {
    my ($code, @rest) = @$expected;

    is("@{ $rows{$code} || [] }", "@rest",
        "code $code: @rest[0, 1], $rest[-1]");
}

my $blocked = grep { $_->[5] eq 'blocked' } @table;
my $sends   = 2 * @table + 1;

my $reached = $sends - $blocked;

like($output, qr/^Graph saw $reached of $sends sends, /m,
    'the sends are counted at the mock');
like($output, qr/ the proxy answered $blocked itself\.$/m, 'and the others');
like($output, retried(), 'a send that fails twice is accepted');
is_deeply([steps($output)], \@steps, 'webhooks close and open a conversation');
is_deeply([calls($output)], \@calls, 'the API pauses and clears a phone');
unlike($output, qr/\e/, 'there are no colours without a terminal');
cmp_ok(length($_), '<=', 80, "it fits a terminal: $_")
    for grep { length > 80 } split /\n/, $output;
nothing_left();


# -- the rows -----------------------------------------------------------------

{
    local $ENV{ONCE} = 1;

    ($status, $output) = run();
    is($status, 0, 'a row each: as documented');

    %rows = rows($output);
    is(keys %rows, 21, 'the 20 rows of the table, and an accepted send');
    like($output, retried(), 'and one that is accepted at the third try');
    is_deeply([steps($output)], \@steps, 'and the webhooks');
    is_deeply([calls($output)], \@calls, 'and the calls of the API');

    my ($shown) = slurp("$example/README.md") =~ /^```text\n(code .*?)^```$/ms;
    is($output =~ s/\A.*?(?=^code )//msr, $shown,
        'which is what the README shows');
}


# -- what is not as documented ------------------------------------------------

mkdir "$dir/dry" or die "mkdir: $!";
copy("$example/$_", "$dir/dry/$_") or die "$_: $!" for qw(run mock.conf);
chmod 0755, "$dir/dry/run";
spew("$dir/dry/proxy.conf", slurp("$example/proxy.conf")
    =~ s/(graph_policy_hold)/graph_policy_dry_run  on;\n        $1/r);

{
    local $example = "$dir/dry";

    ($status, $output) = run('--once');
    is($status, 1, 'in dry run nothing is blocked, which is noticed');
    like($output, qr/next send: expected "blocked", got "passed"/, 'and said');
}

# and what is not sent again
spew("$dir/dry/proxy.conf", slurp("$example/proxy.conf")
    =~ s/graph_policy_retry[^;]*/graph_policy_retry  off/r);

{
    local $example = "$dir/dry";

    ($status, $output) = run('--once');
    is($status, 1, 'without retry the last send fails, which is noticed');
    like($output, qr/status: expected "200", got "500"/, 'with its status');
    like($output, qr/X-Graph-Policy: expected "retried", got "passed"/,
        'and what the policy did');
    like($output, qr/^the mock saw    500 131016$/m, 'after one call');
    like($output, qr/^1 not as documented\.$/m, 'and nothing else differs');
}

# and what is not stopped, or stopped by anybody
my %unlike = (
    'without the conversation gate' => [
        qr/graph_policy_conversation  on/, 'graph_policy_conversation  off',
        qr/^    what became of it: expected "blocked", got "passed"$/m,
    ],
    'without signatures' => [
        qr/graph_policy_webhook .*\n.*secret;/, 'graph_policy  off;',
        qr/^    what became of it: expected "refused", got "passed"$/m,
        qr/^    webhooks seen by the application: expected "1", got "2"$/m,
    ],
    'with another secret' => [
        qr/webhook\.secret/, "$dir/other.secret",
        qr/^    status: expected "200", got "403"$/m,
        qr/^    webhooks seen by the application: expected "1", got "0"$/m,
    ],
    'where nothing may be written' => [
        qr/graph_policy_api  write=on/, 'graph_policy_api',
        qr/^    POST .*, status: expected "201", got "405"$/m,
        qr/^    DELETE .*, status: expected "204", got "\d+"$/m,
    ],
);

spew("$dir/other.secret", "another\n");

for my $name (sort keys %unlike) {
    my ($directive, $other, @said) = @{ $unlike{$name} };
    local $example = "$dir/dry";

    spew("$dir/dry/proxy.conf", slurp("$FindBin::Bin/../examples/quickstart"
        . '/proxy.conf') =~ s/$directive/$other/r);

    ($status, $output) = run('--once');
    is($status, 1, "$name the last part differs, which is noticed");
    like($output, $_, "$name: it is said") for @said;
    is_deeply([steps($output)]->[0], $steps[0], "$name: the table is shown");
}

nothing_left();


# -- ports --------------------------------------------------------------------

for my $variable (@ports) {
    my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        or die "listen: $!";
    my $port = $taken->sockport;
    local $ENV{$variable} = $port;

    ($status, $output) = run('--once');
    is($status, 1, "a taken $variable ends it");
    is($output, "run: port $port on 127.0.0.1 is taken: set $variable to a"
        . " free one\n", 'which names port and variable');

    $ENV{$variable} = '80b';
    ($status, $output) = run('--once');
    is($status, 1, "$variable has to be a number");
    like($output, qr/$variable: "80b"/, 'which is said');

    my ($other) = grep { $_ ne $variable } @ports;
    $ENV{$variable} = $ENV{$other};
    ($status, $output) = run('--once');
    is($status, 1, "$variable has to differ from $other");
    like($output, qr/^run: \w+_PORT and \w+_PORT are both $ENV{$other}$/,
        'which is said');
    like($output, qr/\b$_\b/, "and names $_") for $variable, $other;
    nothing_left();
}


# -- the ports that it has unless told ----------------------------------------

my ($usual) = slurp("$example/../graph-policy-ctl")
    =~ m{^url=\$\{GRAPH_POLICY_URL:-http://127\.0\.0\.1:(\d+)/graph/\}$}m;

ok($usual, 'graph-policy-ctl has an address for the API');
like(slurp("$example/proxy.conf"),
    qr/listen\s+127\.0\.0\.1:$usual;(?:(?!\bserver\b).)*graph_policy_api/s,
    'which is where the API of the quickstart is');

($status, $output) = run('--help');
is($status, 0, '--help');
like($output, qr/^  DASHBOARD_PORT=PORT .* \[$usual\]$/m, 'which says so');
like(slurp("$example/README.md"), qr{http://127\.0\.0\.1:$usual/graph/},
    'as does the README');

# one default in the place of another: neither is put in twice
{
    my @own = free_ports(3);
    my %own = (8080 => $own[0], 8081 => $own[1], 8082 => $own[2]);
    local @ENV{qw(GRAPH_POLICY_PORT DASHBOARD_PORT MOCK_PORT)} = @own[1, 2, 0];
    local $example = "$dir/swapped";

    mkdir $example or die "mkdir: $!";

    for my $name (qw(run mock.conf proxy.conf)) {
        my $text = slurp("$FindBin::Bin/../examples/quickstart/$name");
        spew("$example/$name", $text =~ s/\b(808[0-2])\b/$own{$1}/gr);
    }

    chmod 0755, "$example/run" or die "chmod: $!";

    ($status, $output) = run('--once');
    is($status, 0, 'each port may be the default of another') or diag($output);
    nothing_left();
}


# -- in the foreground --------------------------------------------------------

my $pid = start();

wait_for(sub { slurp("$dir/output") =~ /Ctrl-C/ });
$output = slurp("$dir/output");
like($output, qr/Ctrl-C ends it/, 'without --once it stays');

my @curl = $output =~ /^(curl .*\\\n.*)$/mg;
is(@curl, 2, 'with two lines to try');

my ($dashboard) = $output =~ /^The dashboard: .*\n\n(http:\S+)$/m;

is($dashboard, "http://127.0.0.1:$ENV{DASHBOARD_PORT}/graph/",
    'the address of the dashboard is said');
like(scalar `curl -s -i '$dashboard'`,
    qr{^HTTP/1\.1 200 .*^Content-Type: text/html.*<title>}ms, 'which is there');

my ($zone) = @{ JSON::PP::decode_json(`curl -s '${dashboard}zones'`)->{zones} };

is_deeply({ map { $_ => $zone->{states}{$_}{fatal} } qw(credential account
    phone) }, { credential => 1, account => 3, phone => 4 },
    'and has something to show');
like(slurp("$example/README.md"), qr/one\ token,\s three\ accounts\s and
    \s four\ phones\ are\ paused/x, 'as the README says');

my ($list) = $output =~ /^(curl '\S+scope=phone')$/m;

is(@{ JSON::PP::decode_json(`$list 2>/dev/null`)->{states} }, 4,
    'another line lists the phones');

my ($blocked_try, $accepted_try) = map { scalar `$_ 2>/dev/null` } @curl;

like($blocked_try, qr/^X-Graph-Policy: blocked\r$/m, 'the first is blocked');
like($blocked_try, qr/^X-Graph-Error-Code: 131042\r$/m, 'it bears the code');
like($blocked_try, qr/^\{"error":\{"message":/m, "it has Graph's shape");
like($accepted_try, qr{^HTTP/1.1 200 }, 'the second is accepted');
like($accepted_try, qr/"messages":\[\{"id":"wamid\./, 'by the mock');
unlike($accepted_try, qr/X-Graph/i, 'with no header of the policy');

kill 'INT', $pid;
is(end($pid), 0, 'Ctrl-C ends it');
nothing_left();

$pid = start();
wait_for(sub { slurp("$dir/output") =~ /^131042/m });
kill 'TERM', $pid;
is(end($pid), 143, 'SIGTERM ends it, in the middle of the table too');
nothing_left();

done_testing();


# -- helpers ------------------------------------------------------------------

sub start {
    my (@options) = @_;

    # not what an earlier run said
    spew("$dir/output", '');

    my $pid = fork // die "fork: $!";

    if (!$pid) {
        # a shell can't trap what was ignored when it began, as it is for
        # what runs in the background
        $SIG{INT} = 'DEFAULT';

        open STDOUT, '>', "$dir/output" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        exec "$example/run", @options or POSIX::_exit(127);
    }

    $running{$pid} = 1;
    return $pid;
}

sub end {
    my ($pid) = @_;

    waitpid $pid, 0;
    delete $running{$pid};
    return $? & 127 ? 'signal ' . ($? & 127) : $? >> 8;
}

sub run {
    my $status = end(start(@_));

    return ($status, slurp("$dir/output"));
}

# code => the other columns; "passed on" is a word here
sub rows {
    my ($output) = @_;

    return map { /^(none|[\dx\/]+) .* (?:passed on|blocked)$/
        ? ($1, [(split ' ', $_)[1 .. 5]]) : () } split /\n/, $output;
}

# the table of messages and webhooks
sub steps {
    my ($output) = @_;

    return map { /^(?:webhook:\ )?(\w+)\s+\+(\d+)\s+(\d+)\s+(\w+)(?:\ on)?
                   \s+(.*)$/x ? "$1 $2 $3 $4 $5" : () } split /\n/, $output;
}

# the table of calls
sub calls {
    my ($output) = @_;

    my ($table) = $output =~ /^call .*\n((?:.+\n)*)/m;
    return map { /^(?:    |  not)/ ? () : s/ {2,}/ /gr } split /\n/,
        $table // '';
}

# what is shown of the send that is repeated
sub retried {
    return qr{^the\ client\ got\ \ 200\n
              \s+X-Graph-Policy:\ retried\n
              \s+X-Graph-Attempts:\ 3\n
              the\ mock\ saw\s+500\ 131016,\ 500\ 131016,\ 200$}mx;
}

sub nothing_left {
    is_deeply([glob "$ENV{TMPDIR}/*"], [], 'no files are left');
    is((grep { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$_") }
        grep { /^\d+$/ } @ENV{@ports}), 0,
        'and no servers');
}

sub free_ports {
    my ($count) = @_;

    my @sockets = map {
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
            or die "no free port: $!"
    } 1 .. $count;

    return map { $_->sockport } @sockets;
}

# up to a minute
sub wait_for {
    my ($what) = @_;

    for (1 .. 600) {
        return 1 if $what->();
        Time::HiRes::sleep(0.1);
    }

    return 0;
}

sub slurp {
    my ($name) = @_;

    open my $file, '<', $name or return '';
    local $/;
    return <$file> // '';
}

sub spew {
    my ($name, $text) = @_;

    open my $file, '>', $name or die "$name: $!";
    print $file $text;
    close $file or die "$name: $!";
}
