#!/usr/bin/perl

# By HTTP/2, an answer that doesn't come from an upstream: a client that still
# sends its body gets it whole, and nobody can hold a request open by that.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use Time::HiRes qw(sleep);

use GraphPolicy qw(slow slurp spew);

my $temp = File::Temp->newdir('h2_local.XXXXXX', TMPDIR => 1);
spew("$temp/secrets", "s3cretOfTheApp\n");
chmod 0600, "$temp/secrets";

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, http => <<"END");

graph_policy_zone   zone=z:1m;
client_max_body_size 10m;

graph_policy_hold    10m;

log_format ended '\$uri \$status \$request_length \$request_time';

server {
    listen     127.0.0.1:%PORT%;
    listen     127.0.0.1:%PORT2% http2;
    access_log %DIR%/ended.log ended;

    location / {
        graph_policy        zone=z;
        client_body_timeout 20s;
        proxy_pass          http://127.0.0.1:%GRAPH%;
    }

    location /impatient/ {
        graph_policy        zone=z;
        client_body_timeout 1s;
        proxy_pass          http://127.0.0.1:%GRAPH%;
    }

    location = /webhook {
        graph_policy                     zone=z;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file $temp/secrets;
        proxy_pass                       http://127.0.0.1:%GRAPH%;
    }

    location /graph/ {
        graph_policy_api write=on;
    }

    location /read/ {
        graph_policy_api;
    }
}
END

my $path    = '/v25.0/1001/messages';
my $blocked = '400 blocked 131042';

$nginx->request(path => $path, token => 'a', mock => '400 131042',
    body => '{}');
is($nginx->request(path => $path, token => 'a', body => '{}')
    ->{headers}{'x-graph-policy'}, 'blocked', 'a phone is blocked');

my $before = $graph->count;

for my $size (2, 1000, 30_000, 65_000) {
    for my $length (1, 0) {
        is(post($path, body => 'x' x $size, length => $length), $blocked,
            "$size bytes, " . ($length ? 'their length told' : 'no length')
            . ': the local answer arrives');
    }
}

is(post($path, body => ''), $blocked, 'no body: the local answer arrives');

for my $length (1, 0) {
    my $name = $length ? 'its length told' : 'no length';

    is(post($path, body => ['x' x 10, 'y' x 20_000, 'z' x 10],
        length => $length), $blocked,
        "a slow body, $name: the local answer arrives");
}

# a longer one isn't waited for, and what curl makes of that is curl's
post($path, body => 'x' x 3_000_000);
is((ended())[0], "$path 400", '3 MB: answered');
cmp_ok((ended())[1], '<', 500_000, 'most of it is never read');

post($path, body => 'x' x 3_000_000, length => 0);
is((ended())[0], "$path 400", '3 MB, no length: answered');
cmp_ok((ended())[1], '<', 500_000, 'most of it is never read');

# those who don't go on sending have no longer than client_body_timeout
{
    post("/impatient$path", body => ['x', undef]);
    is((ended())[0], "/impatient$path 400", 'a body that stops: answered');
    cmp_ok((ended())[2], '<', 5 * slow(), 'in time');

    post("/impatient$path", body => [map { 'x' } 1 .. 40], pause => 0.2);
    is((ended())[0], "/impatient$path 400", 'a body that drips: answered');
    cmp_ok((ended())[2], '<', 5 * slow(), 'before it is all there');
}

is($graph->count, $before, 'the upstream is asked for none of these');

for my $size (2, 30_000, 65_000) {
    is(post('/webhook', body => 'x' x $size), '403 - -',
        "an unsigned webhook of $size bytes: the refusal arrives");
    is(post('/webhook', body => 'x' x $size, method => 'PUT'), '405 - -',
        'as does that of a PUT');
    is(post('/webhook?a=b', body => 'x' x $size, method => 'GET'), '403 - -',
        'and that of a GET with a body');
    is(post('/webhook', body => 'x' x $size,
        header => 'X-Hub-Signature-256: sha256=' . '0' x 64), '403 - -',
        'and that of a forged one');
}

# the API's own answers
for my $size (2, 30_000, 65_000) {
    my @body = (body => 'x' x $size);

    is(post('/graph/nothing', @body), '404 - 404',
        "$size bytes to a path of the API that isn't there: the 404 arrives");
    is(post('/graph/zones/none/states', @body, method => 'DELETE'),
        '404 - 404', 'as does that of a zone');
    is(post('/graph/rules', @body), '405 - 405',
        'and a 405 of a method');
    is(post('/read/zones/z/states', @body), '405 - 405',
        'and that of a write where none is allowed');
    is(post('/graph/zones/z/states', @body, method => 'DELETE',
        header => 'Origin: http://elsewhere.example'), '403 - 403',
        'and a 403 of a foreign page');
    is(post('/graph/explain', @body, header => 'Content-Type: text/plain'),
        '415 - 415', 'and a 415 of a type');
    like(post('/graph/zones', @body, method => 'GET'), qr/^200 - /,
        'and an answer to a GET with a body');
    like(post('/graph/', @body, method => 'GET'), qr/^200 - /,
        'and the dashboard');
    is(post('/graph/zones/z/states?scope=conversation', @body,
        method => 'DELETE'), '204 - -', 'and that of a DELETE with a body');
}

is(post('/graph/rules', body => ['x' x 10, 'y' x 20_000, 'z' x 10]),
    '405 - 405', 'a slow body: the 405 arrives');

post('/graph/rules', body => 'x' x 3_000_000);
is((ended())[0], '/graph/rules 405', 'a body without an end: refused');
cmp_ok((ended())[1], '<', 500_000, 'most of it is never read');

post('/webhook', body => 'x' x 3_000_000);
is((ended())[0], '/webhook 403', 'a hostile webhook: refused');
cmp_ok((ended())[1], '<', 500_000, 'most of it is never read');

is($graph->count, $before, 'none of them goes on');

# clients that leave while their body is awaited
{
    my @pids = map { curl($path, body => ['x', undef], out => $_) } 1 .. 3;
    sleep 0.3;
    kill 'KILL', $_->[0], $_->[1] for @pids;
    waitpid $_, 0 for map { @$_ } @pids;

    is(post($path, body => 'x' x 30_000), $blocked,
        'clients that leave disturb nobody');
}

is_deeply([$nginx->complaints(
    qr/refuses a webhook|buffered to a temporary file/)], [],
    'the log has nothing bad');
$nginx->stop('QUIT');

done_testing();


# -- helpers ------------------------------------------------------------------

# Starts curl, and who writes its body, in pieces; returns both pids.  An undef
# piece is one that doesn't come.
sub curl {
    my ($path, %request) = @_;

    my $out    = "$temp/" . ($request{out} // 'out');
    my @pieces = ref $request{body} ? @{ $request{body} } : $request{body};
    my $total  = 0;
    $total += length($_ // 'xxx') for @pieces;

    pipe my $reader, my $writer or die "pipe: $!";

    my $feeder = fork // die "fork: $!";

    if (!$feeder) {
        close $reader;
        $SIG{PIPE} = 'DEFAULT';

        for my $piece (@pieces) {
            sleep 6 * slow() if !defined $piece;
            syswrite $writer, $piece or last if defined $piece && length $piece;
            sleep $request{pause} // 0.3 if @pieces > 1;
        }

        require POSIX;
        POSIX::_exit(0);
    }

    close $writer;

    my $pid = fork // die "fork: $!";

    if (!$pid) {
        open STDIN, '<&', $reader or die "dup: $!";
        open STDERR, '>', '/dev/null';

        exec 'curl', '-s', '--http2-prior-knowledge', '-D', "$out.head",
            '-o', "$out.body", '-m', 15 * slow(), '-X',
            $request{method} // 'POST', '-T', '-', '-H', 'Expect:',
            '-H', 'Authorization: Bearer a',
            ($request{length} // 1) ? ('-H', "Content-Length: $total") : (),
            $request{header} ? ('-H', $request{header}) : (),
            "http://127.0.0.1:$nginx->{port2}$path"
            or die "curl: $!";
    }

    close $reader;
    return [$feeder, $pid];
}

# status, X-Graph-Policy and the code of the body; or what curl exits with
sub post {
    my ($path, %request) = @_;

    unlink "$temp/out.head", "$temp/out.body";

    my ($feeder, $pid) = @{ curl($path, %request) };

    waitpid $pid, 0;
    my $status = $?;
    kill 'KILL', $feeder;
    waitpid $feeder, 0;

    return 'curl exits with ' . ($status >> 8) if $status;

    my $head = slurp("$temp/out.head");
    my ($code) = slurp("$temp/out.body") =~ /"code":(\d+)/;
    my ($policy) = $head =~ /^x-graph-policy: (\S+)/m;

    return join ' ', $head =~ /^HTTP\/2 (\d+)/, $policy // '-', $code // '-';
}

# the last line of the log: what was answered, how much was read, how long it
# took
sub ended {
    my ($last) = (split /\n/, slurp("$nginx->{dir}/ended.log"))[-1];
    return $last =~ /^(\S+ \d+) (\d+) (\S+)/;
}
