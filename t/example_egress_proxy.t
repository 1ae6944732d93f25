#!/usr/bin/perl

# examples/egress-proxy/nginx.conf, the very file: only the addresses and paths
# that belong to the machine are replaced. Its upstream is on loopback, with
# certificates that are made here.

use strict;
use warnings;

use Test::More;

use File::Temp ();
use FindBin;
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Time::HiRes ();

my $top    = "$FindBin::Bin/..";
my $nginx  = $ENV{NGINX_BINARY} || $ENV{TEST_NGINX_BINARY} || '/usr/sbin/nginx';
my $module = $ENV{MODULE} || $ENV{TEST_NGINX_LOAD_MODULES}
    || "$top/.build/nginx/ngx_http_graph_policy_module.so";

delete @ENV{qw(http_proxy https_proxy all_proxy ALL_PROXY)};

die "no module at $module: run make build\n" unless -e $module;

my $temp = File::Temp->newdir('egress.XXXXXX', TMPDIR => 1);
my $dir  = "$temp";
chmod 0755, $dir or die "chmod: $!";
mkdir "$dir/states" or die "mkdir: $!";
chmod 0777, "$dir/states" or die "chmod: $!";

# an nginx that isn't Debian's opens the default access log below its prefix
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

my ($port, $wrong_port, $untrusted_port,
    $graph, $graph_wrong, $graph_untrusted, $dns) = free_ports(7);


# -- the far side -------------------------------------------------------------

my $token = 'EAAFAKEegressTokenThatNobodyMaySee';

make_ca('ca');
make_ca('stranger');
make_certificate('graph',     'ca',       'graph.facebook.com');
make_certificate('media',     'ca',       'lookaside.fbsbx.com');
make_certificate('wrong',     'ca',       'graph.example.com');
make_certificate('untrusted', 'stranger', 'graph.facebook.com');

my $billing = '{"error":{"message":"(#131042) Business eligibility payment'
    . ' issue","type":"OAuthException","code":131042,'
    . '"fbtrace_id":"AFakeTraceId0000000000"}}';
my $accepted = '{"messaging_product":"whatsapp",'
    . '"messages":[{"id":"wamid.FAKE"}]}';

spew('graph.conf', <<"END");
$user
pid     graph.pid;
events  { }

http {
@{[ temp_paths('graph') ]}

    log_format far  '\$ssl_server_name \$host \$status \$connection '
                    '\$server_port \$uri';

    access_log            graph.access.log far;
    client_max_body_size  100m;
    default_type          application/json;

    server {
        listen               127.0.0.1:$graph ssl;
        server_name          graph.facebook.com;
        ssl_certificate      graph.crt;
        ssl_certificate_key  graph.key;

        location / {
            return 200 '$accepted';
        }

        location ~ ^/v25\\.0/1000000131042/ {
            return 400 '$billing';
        }
    }

    server {
        listen               127.0.0.1:$graph ssl;
        server_name          lookaside.fbsbx.com;
        ssl_certificate      media.crt;
        ssl_certificate_key  media.key;

        location / {
            return 200 "a picture, \$args";
        }
    }

    server {
        listen               127.0.0.1:$graph_wrong ssl;
        ssl_certificate      wrong.crt;
        ssl_certificate_key  wrong.key;

        return 200 '$accepted';
    }

    server {
        listen               127.0.0.1:$graph_untrusted ssl;
        ssl_certificate      untrusted.crt;
        ssl_certificate_key  untrusted.key;

        return 200 '$accepted';
    }
}
END

start('graph');
start_dns($dns);


# -- the example --------------------------------------------------------------

my $api = proxy_conf('proxy', $port, $graph);

my $test = `$nginx -t -p $dir/ -e proxy.error.log -c $dir/proxy.conf 2>&1`;
is($?, 0, 'the file is a valid configuration') or diag($test);
unlike($test, qr/\[(?:warn|error|crit|alert|emerg)\]/, 'and nothing to warn of')
    or diag($test);

start('proxy');

# a connection that stays, hence one worker
my $client = HTTP::Tiny->new(timeout => 10);
my $base   = "http://127.0.0.1:$port";

my $answer = send_message('106540352242922');

is($answer->{status}, 200, 'a send is accepted over verified TLS');
is($answer->{content}, $accepted, 'and its answer is what Graph said');
is_deeply([policy_headers($answer)], [], 'with no header added');

my ($first) = far_lines(1);

is($first->{sni}, 'graph.facebook.com', 'the far side was asked for by SNI');
is($first->{host}, 'graph.facebook.com', 'and by Host');

send_message('106540352242922') for 1 .. 5;

my %connections = map { $_->{connection} => 1 } far_lines(6);

is(keys %connections, 1, 'six sends use one upstream connection');


$answer = send_message('1000000131042');

is($answer->{status}, 400, 'an error keeps its status');
is($answer->{content}, $billing, 'and its body');
is($answer->{headers}{'x-graph-error-category'}, 'fatal', 'its category');
is($answer->{headers}{'x-graph-error-reason'}, 'billing', 'its reason');
is($answer->{headers}{'x-graph-error-code'}, '131042', 'its code');
is($answer->{headers}{'x-graph-policy'}, 'passed', 'it comes from Graph');

$answer = send_message('1000000131042');

is($answer->{status}, 400, 'the next send has the same status');
is($answer->{headers}{'x-graph-policy'}, 'blocked', 'it is answered here');
ok($answer->{headers}{'x-graph-hold'}, 'it says how long that lasts');

%connections = map { $_->{connection} => 1 } my @lines = far_lines(7);

is(@lines, 7, 'and Graph does not see it');
is(keys %connections, 1, 'an error leaves the upstream connection open');


$answer = $client->post("$base/v25.0/106540352242922/messages"
    . "?access_token=$token", { content => '{}' });

is($answer->{status}, 200, 'a token in the arguments does as well');

$answer = $client->post("$base/v25.0/106540352242922/media", {
    headers => { Authorization => "Bearer $token" },
    content => 'x' x (3 * 1024 * 1024),
});

is($answer->{status}, 200, 'a media file of 3 MB goes through');

is(raw_status("POST /v25.0/106540352242922/media HTTP/1.1\r\nHost: x\r\n"
    . 'Content-Length: ' . (100 * 1024 * 1024 + 1) . "\r\n\r\n"),
    413, 'one above 100 MB is refused here');

$answer = $client->get("$base/whatsapp_business/attachments/?mid=1",
    { headers => { Authorization => "Bearer $token" } });

is($answer->{status}, 200, 'a media file can be fetched');
is($answer->{content}, 'a picture, mid=1', 'with its arguments');

my ($fetched) = grep { $_->{uri} =~ /attachments/ } far_lines(10);

is($fetched->{sni}, 'lookaside.fbsbx.com', 'from the host of media, by SNI');
is($fetched->{host}, 'lookaside.fbsbx.com', 'and by Host');


# -- what operators see -------------------------------------------------------

my $operators = "http://127.0.0.1:$api/graph";

$answer = $client->get("$operators/zones/graph/states");
is($answer->{status}, 200, 'the states can be listed');
cmp_ok(@{ decode_json($answer->{content})->{states} }, '>=', 1,
    'and there is one');

is($client->get("http://a.example:$api/graph/zones", { peer => '127.0.0.1' })
    ->{status}, 403, 'not by the name of another site');
is($client->request('DELETE', "$operators/zones/graph/states")->{status}, 405,
    'and nothing can be changed');


# -- certificates that are not Graph's ----------------------------------------

for (
    ['wrong', $wrong_port, $graph_wrong, 'of another name',
        qr/upstream SSL certificate does not match "graph\.facebook\.com"/],
    ['untrusted', $untrusted_port, $graph_untrusted, 'of an unknown CA',
        qr/upstream SSL certificate verify error/],
) {
    my ($name, $listen, $upstream, $what, $message) = @$_;

    proxy_conf($name, $listen, $upstream);
    start($name);

    $answer = $client->post("http://127.0.0.1:$listen/v25.0/1/messages",
        { headers => { Authorization => "Bearer $token" }, content => '{}' });

    is($answer->{status}, 502, "a certificate $what is refused");
    is_deeply([policy_headers($answer)], [], 'which is not an error of Graph');
    like(slurp("$name.error.log"), $message, 'the log says why');
    is((grep { $_->{port} == $upstream } far_lines(10)), 0,
        'and the send did not go out');
}


# -- the log ------------------------------------------------------------------

wait_for(sub { (() = slurp('proxy.access.log') =~ /\n/g) >= 12 });

my @log = map { decode_json($_) } split /\n/, slurp('proxy.access.log');

is(@log, 12, 'each request has a line of JSON');

is($log[0]{policy}, 'PASSED', 'an accepted send: the policy let it pass');
is($log[0]{phone}, '106540352242922', 'its phone');
is($log[0]{status}, '200', 'its status');
is($log[0]{category}, '', 'no category');
is($log[0]{upstream}, "127.0.0.1:$graph", 'where it went');
is($log[0]{request}, 'POST /v25.0/106540352242922/messages HTTP/1.1',
    'its request line');
like($log[0]{credential}, qr/^[0-9a-f]+$/, 'a fingerprint of its token');

is($log[6]{policy}, 'PASSED', 'an error: passed on');
is($log[6]{category}, 'fatal', 'its category');
is($log[6]{reason}, 'billing', 'its reason');
is($log[6]{code}, '131042', 'its code');
is($log[6]{scope}, 'account', 'its scope');
is($log[6]{trace}, 'AFakeTraceId0000000000', 'its trace');

is($log[7]{policy}, 'BLOCKED', 'a blocked send');
is($log[7]{upstream}, '', 'went nowhere');
like($log[7]{hold}, qr/^\d+$/, 'how long it is held');
is($log[7]{retry_after}, '', 'that it is not told to come again');
isnt($log[7]{state}, '', 'which state blocked it');

like($log[8]{request}, qr{^POST /v25\.0/\d+/messages\?access_token=},
    'a token in the arguments is masked');
is($log[8]{credential}, $log[0]{credential}, 'and has the same fingerprint');

unlike(slurp($_), qr/\Q$token\E/, "no token in $_")
    for map { ("$_.access.log", "$_.error.log") } qw(proxy wrong untrusted);

my @errors = grep {
    !/intended to send too large body| graph policy state / }
    slurp('proxy.error.log') =~ /^.*\[(?:error|crit|alert|emerg)\].*/mg;

is_deeply(\@errors, [], 'no errors in the error log but states and the 413');

done_testing();


# -- helpers ------------------------------------------------------------------

sub send_message {
    my ($phone) = @_;

    return $client->post("$base/v25.0/$phone/messages", {
        headers => {
            'Authorization' => "Bearer $token",
            'Content-Type'  => 'application/json',
        },
        content => '{"messaging_product":"whatsapp","to":"+15550001111",'
            . '"type":"text","text":{"body":"Hello"}}',
    });
}

sub policy_headers {
    my ($answer) = @_;

    return grep { /^x-graph/ } sort keys %{ $answer->{headers} };
}

sub raw_status {
    my ($request) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
        or die "connect: $!";
    print $socket $request;
    alarm 10;
    my ($status) = (<$socket> // '') =~ m{^HTTP/1\.1 (\d+)};
    alarm 0;
    return $status;
}

# what the far side logged, once there are so many lines
sub far_lines {
    my ($count) = @_;

    my @lines;

    wait_for(sub {
        @lines = split /\n/, slurp('graph.access.log');
        return @lines >= $count;
    });

    return map {
        my %line;
        @line{qw(sni host status connection port uri)} = split / /;
        \%line;
    } @lines;
}

# The file of the example, with what belongs to the machine replaced. Each of
# these has to be there exactly once.
sub proxy_conf {
    my ($name, $listen, $upstream) = @_;
    my ($api) = free_ports(1);

    my $conf = slurp("$top/examples/egress-proxy/nginx.conf");

    for (
        [qr{^include .*modules-enabled.*;$}m,   "load_module $module;"],
        [qr{^user .*;$}m,                       $user],
        [qr{/run/nginx\.pid},                   "$name.pid"],
        [qr{/var/log/nginx/error\.log},         "$name.error.log"],
        [qr{/var/log/nginx/graph\.log},         "$name.access.log"],
        [qr{^http \{\n}m,                "http {\n" . temp_paths($name)],
        [qr{ 127\.0\.0\.1:8080;},               " 127.0.0.1:$listen;"],
        [qr{ 127\.0\.0\.1:8081;},               " 127.0.0.1:$api;"],
        [qr{ 127\.0\.0\.1:8081 default},        " 127.0.0.1:$api default"],
        [qr{ graph\.facebook\.com:443  max_fails}, " 127.0.0.1:$upstream  max_fails"],
        [qr{/var/lib/nginx/graph_policy/graph\.json}, "states/$name.json"],
        [qr{/etc/ssl/certs/ca-certificates\.crt}, 'ca.crt'],
        [qr{ 127\.0\.0\.53 },                   " 127.0.0.1:$dns "],
        [qr{https://\$media_host},              "https://\$media_host:$graph"],
    ) {
        my ($pattern, $text) = @$_;

        my $times = () = $conf =~ /$pattern/g;
        die "$pattern is $times times in the example\n" if $times != 1;

        $conf =~ s/$pattern/$text/;
    }

    spew("$name.conf", $conf);

    return $api;
}

sub temp_paths {
    my ($name) = @_;

    return join '', map { "    ${_}_temp_path  temp.$name.$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);
}

sub start {
    my ($name) = @_;

    my $pid = fork // die "fork: $!";

    if (!$pid) {
        open STDOUT, '>', "$dir/$name.out" or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        exec $nginx, '-p', "$dir/", '-e', "$name.error.log",
            '-c', "$dir/$name.conf", '-g', 'daemon off;'
            or POSIX::_exit(1);
    }

    push @pids, $pid;

    wait_for(sub { -s "$dir/$name.pid" })
        or die "$name did not start: " . slurp("$name.out");
}

# a name server for which every name is on loopback
sub start_dns {
    my ($port) = @_;

    my $socket = IO::Socket::INET->new(Proto => 'udp', LocalPort => $port,
        LocalAddr => '127.0.0.1') or die "name server: $!";

    my $pid = fork // die "fork: $!";

    if ($pid) {
        push @pids, $pid;
        return;
    }

    alarm 600;

    while (defined(my $peer = $socket->recv(my $query, 512))) {
        my ($id, undef, undef) = unpack 'n3', $query;
        my ($question) = substr($query, 12) =~ /^(.*?\0.{4})/s or next;

        # one answer: a pointer to the name, A, IN, 60 seconds, 127.0.0.1
        $socket->send(pack('n6', $id, 0x8180, 1, 1, 0, 0) . $question
            . pack('n3Nnc4', 0xc00c, 1, 1, 60, 4, 127, 0, 0, 1));
    }

    POSIX::_exit(0);
}

sub make_ca {
    my ($name) = @_;

    openssl('req', '-x509', new_key($name), '-out', "$name.crt",
        '-subj', "/CN=$name of a test", '-days', 2);
}

sub make_certificate {
    my ($name, $ca, $host) = @_;

    openssl('req', new_key($name), '-out', "$name.csr", '-subj', "/CN=$host");
    spew("$name.ext", "subjectAltName = DNS:$host\n");
    openssl('x509', '-req', '-in', "$name.csr", '-out', "$name.crt",
        '-CA', "$ca.crt", '-CAkey', "$ca.key", '-CAcreateserial',
        '-days', 2, '-extfile', "$name.ext");
}

sub new_key {
    my ($name) = @_;

    return ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
        '-nodes', '-keyout', "$name.key");
}

sub openssl {
    my (@arguments) = @_;

    my $pid = fork // die "fork: $!";

    if (!$pid) {
        chdir $dir or POSIX::_exit(1);
        open STDOUT, '>', 'openssl.out' or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(1);
        exec 'openssl', @arguments or POSIX::_exit(127);
    }

    waitpid $pid, 0;
    die "openssl @arguments: " . slurp('openssl.out') if $?;
}

sub free_ports {
    my ($count) = @_;

    my @sockets = map {
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
            or die "no free port: $!"
    } 1 .. $count;

    return map { $_->sockport } @sockets;
}

# up to five seconds, for what is written after an answer was read
sub wait_for {
    my ($what) = @_;

    for (1 .. 100) {
        return 1 if $what->();
        Time::HiRes::sleep(0.05);
    }

    return 0;
}

# names are in the directory of the test, unless they are absolute
sub slurp {
    my ($name) = @_;

    $name = "$dir/$name" unless $name =~ m{^/};
    open my $file, '<', $name or return '';
    local $/;
    return <$file> // '';
}

sub spew {
    my ($name, $text) = @_;

    open my $file, '>', "$dir/$name" or die "$name: $!";
    print $file $text;
    close $file or die "$name: $!";
}
