#!/usr/bin/perl

# examples/webhook/nginx.conf and secrets.example, the very files: only the
# addresses and paths that belong to the machine are replaced. Graph is on
# loopback, behind TLS, and so is the application.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use JSON::PP;
use Test::More;

use GraphPolicy qw(slow slurp spew wait_until);
use GraphPolicy::Graph;
use GraphPolicy::Webhook qw(signature payload entry messages status inbound
    message template tags short next_second);

my $example = "$FindBin::Bin/../examples/webhook";
my $host    = 'webhook.example.com';
my $token   = 'EAAFAKEwebhookTokenThatNobodyMaySee';
my $verify  = 'aVerifyTokenThatNobodyMaySee';

# how often Meta has called
my $calls = 0;

delete @ENV{qw(http_proxy https_proxy all_proxy ALL_PROXY)};

# the one that is made up
my ($secret, @others) = grep { !/^#/ } split /\n/,
    slurp("$example/secrets.example");

like($secret, qr/^[0-9a-f]{32}$/, 'there is a secret like those of Meta');
is_deeply(\@others, [], 'and no other');

my $certificates = File::Temp->newdir('certificates.XXXXXX', TMPDIR => 1);

chmod 0755, $certificates or die "chmod: $!";
system("$FindBin::Bin/tools/make-cert", $certificates, 'graph.facebook.com',
    $host) == 0 or die "make-cert failed\n";

my $app   = GraphPolicy::Graph->start;
my $graph = GraphPolicy::Graph->start;

my $tls = GraphPolicy::Nginx->start(graph => $graph, http => <<"END");
server {
    listen               127.0.0.1:%PORT% ssl;
    server_name          graph.facebook.com;
    ssl_certificate      $certificates/server.crt;
    ssl_certificate_key  $certificates/server.key;

    location / {
        proxy_pass        http://127.0.0.1:%GRAPH%;
        proxy_set_header  Host \$host;
        proxy_set_header  X-SNI \$ssl_server_name;
    }
}
END

my $nginx   = Example->start;
my $dir     = $nginx->dir;
my $secrets = "$dir/webhook.secrets";


# -- the file -----------------------------------------------------------------

my ($rc, $said) = tested();

is($rc, 0, 'the file is a valid configuration') or diag($said);
unlike($said, qr/\[(?:warn|error|crit|alert|emerg)\]/, 'and nothing to warn of')
    or diag($said);


# -- from Meta to the application ---------------------------------------------

my ($phone, $sister, $stranger) = qw(1001 1002 1003);
my ($customer, $another) = qw(16505551234 16505559999);
my $query = "hub.mode=subscribe&hub.verify_token=$verify&hub.challenge=1158201";

my $answer = meta(undef, path => "/webhook?$query", signature => undef,
    script => '200 type=text/plain body=1158201');

is("$answer->{status} $answer->{body}", '200 1158201',
    "the application answers Meta's check of the address");

my $got = ($app->requests)[-1];

is("$got->{method} $got->{uri}", "GET /webhook?$query",
    'and sees all that it asks');

my $words = 'What a customer said to nobody else';
my $body  = payload(entry('2001', messages(phone => $phone,
    messages => [inbound(from => $another, text => $words)])));

for (
    ['without a signature',  signature => undef],
    ['with a wrong one',     signature => signature($body, 'another')],
    ['of another payload',   signature => signature("$body ", $secret)],
) {
    my ($name, @signature) = @$_;
    is(short(meta($body, @signature)), '403 - 0', "a webhook $name is refused");
}

$answer = meta($body);
$got = ($app->requests)[-1];

is(short($answer), '200 - 1', 'one that is signed reaches the application');
ok($got->{body} eq $body, 'byte for byte');
is(tags($got), '- - - -', 'with no error there are no tags');
is($got->{headers}{'x-forwarded-proto'}, 'https', 'it came by TLS');
is($got->{headers}{'x-forwarded-for'}, '127.0.0.1', 'from there');
is($got->{headers}{host}, $host, 'for that host');

is(short(meta($body, script => '500')), '500 - 1',
    'what the application says is what Meta gets');
is(short(meta($body, path => '/')), '404 - 0', 'there is nothing else');

my $large = payload(entry('2001', messages(phone => $phone, messages =>
    [inbound(from => $another, text => 'x' x 3_000_000)])));

is(short(meta($large)), '200 - 1', '3 MB reach the application');
ok(($app->requests)[-1]{body} eq $large, 'all of them');
is(meta('x' x (4 * 1024 * 1024 + 1))->{status}, 413, 'above 4 MB nothing does');
$app->clear;


# -- a conversation -----------------------------------------------------------

is(short(send_to($customer)), '200 - 1', 'a message is accepted');

$got = ($graph->requests)[-1];

is($got->{headers}{host}, 'graph.facebook.com', 'by Graph');
is($got->{headers}{'x-sni'}, 'graph.facebook.com', 'which is asked for by SNI');

$answer = meta(payload(entry('2001', messages(phone => $phone,
    statuses => [status(131047, to => $customer)]))),
    headers => ['X-Graph-Error-Reason: billing']);

is(short($answer), '200 - 1', 'later Meta says that it failed');
is(tags(($app->requests)[-1]), 'context-limited 131047 window-expired 1',
    'the application sees why, and nothing that is made up');

$answer = send_to($customer);

is(short($answer), '400 blocked 0', 'the next one is answered here');
is($answer->{headers}{'x-graph-error-reason'}, 'window-expired',
    'with the reason');
is(decode_json($answer->{body})->{error}{code}, 131047, 'and the code');

is(short(send_to($customer, body => template($customer))), '200 - 1',
    'a template passes');
is(short(send_to($another)), '200 - 1', 'and a message to somebody else');
is(short(send_to($customer, phone => $sister)), '200 - 1',
    'and one from another phone');

my $wrote = payload(entry('2001', messages(phone => $phone,
    messages => [inbound(from => $customer, at => next_second())])));

is(short(meta($wrote, signature => signature($wrote, 'another'))), '403 - 0',
    'who has no secret');
is(short(send_to($customer)), '400 blocked 0', "doesn't open it again");

is(short(meta($wrote)), '200 - 1', 'the customer writes');
is(short(send_to($customer)), '200 - 1', 'and can be written to');


# -- an account, and the pause ------------------------------------------------

# which phones it has is learnt
is(short(meta(written(2001, $sister))), '200 - 1', "the account's other phone");
is(short(meta(written(2002, $stranger))), '200 - 1', "another account's phone");

is(short(send_to($customer, script => '400 131042')), '400 passed 1',
    "the account can't be billed");
is(short(send_to($customer, phone => $sister)), '400 blocked 0',
    'its other phone is stopped, too');
is(short(send_to($customer, phone => $stranger)), '200 - 1',
    'another account is not');

$answer = meta(written(2001, $phone));

is(short($answer), '503 blocked 0', 'what customers write to it is put off');
ok($answer->{headers}{'retry-after'}, 'for a while');
is(short(meta(written(2001, $sister))), '503 blocked 0',
    'and what they write to the other phone');
is(short(meta(written(2002, $stranger))), '200 - 1',
    'but not what they write to another account');
is(short(meta(payload(entry('2001', messages(phone => $phone,
    messages => [inbound()])), entry('2002', messages(phone => $stranger,
    messages => [inbound()]))))), '200 - 1', 'nor what is for both');


# -- secrets ------------------------------------------------------------------

my $new = 'f' x 32;

$body = written(2002, $stranger);

is(short(meta($body, secret => $new)), '403 - 0', 'a secret is reset');

spew($secrets, "$new\n" . slurp($secrets));
ok($nginx->reload, 'and added to the file');
is(short(meta($body, secret => $_)), '200 - 1', "now it's one of two")
    for $new, $secret;
is(short(send_to($customer)), '400 blocked 0', 'a reload ends no state');

spew($secrets, "$new\n");
ok($nginx->reload, 'the old one is taken out');
is(short(meta($body, secret => $new)), '200 - 1', 'the new one is good');
is(short(meta($body, secret => $secret)), '403 - 0', 'the old one no longer');

spew($secrets, "# none\n");
($rc, $said) = tested();
isnt($rc, 0, 'a file without a secret is noticed');
like($said, qr/\[emerg\].*"graph_policy_webhook_secret_file"/,
    'and which it is');

spew($secrets, "$new\n");
chmod 0644, $secrets or die "chmod: $!";
($rc, $said) = tested();
is($rc, 0, 'one that everybody can read is taken');
like($said, qr/\[warn\] [^\n]*"\Q$secrets\E" in "graph_policy_webhook_secret_file" directive has the mode 0644, so everybody on this host can read what is secret; "chmod o= FILE" ends that in \S+nginx\.conf:\d+$/m,
    'with a warning that says what to do');
unlike($said, qr/\Q$new\E/, 'and not what is in it');

system('chmod', 'o=', $secrets) == 0 or die 'chmod';
($rc, $said) = tested();
unlike($said, qr/\[warn\]/, 'which ends it');


# -- the logs -----------------------------------------------------------------

$answer = send_to($customer, phone => $stranger, token => undef,
    query => "?access_token=$token");
is(short($answer), '200 - 1', 'a token in the arguments does as well');

is(GraphPolicy::request(port => $nginx->{api}, method => 'GET',
    path => '/graph/zones')->{status}, 200, 'the API is there to read');

my @sends    = logged('graph', $graph->count + 4);
my @webhooks = logged('webhook', $calls);

is(@sends, $graph->count + 4, 'log: a line for each send, four were blocked');
is(@webhooks, $calls, 'log: a line for each webhook');

is($sends[0]{policy}, 'PASSED', 'log: an accepted send');
is($sends[0]{phone}, $phone, 'log: its phone');
is($sends[0]{account}, '2001', 'log: its account, which was learnt');
is($sends[0]{upstream}, '127.0.0.1:' . $tls->port, 'log: where it went');
is($sends[0]{request}, "POST /v25.0/$phone/messages HTTP/1.1",
    'log: its request line');
like($sends[0]{credential}, qr/^[0-9a-f]{16}$/,
    'log: a fingerprint of its token');

# who is answered first may be logged last
my ($blocked) = grep { $_->{policy} eq 'BLOCKED' } @sends[1, 2];

is(shown($blocked), 'BLOCKED context-limited window-expired 131047',
    'log: a blocked send');
is($blocked->{upstream}, '', 'log: it went nowhere');
isnt($blocked->{state}, '', 'log: which state blocked it');

like($sends[-1]{request}, qr{^POST /v25\.0/\d+/messages\?access_token=\*},
    'log: a token in the arguments is masked');
is($sends[-1]{credential}, $sends[0]{credential},
    'log: it has the same fingerprint');

is($webhooks[0]{request}, 'GET /webhook', "log: Meta's check");
is($webhooks[1]{status}, '403', 'log: one that is not signed');
is($webhooks[4]{request}, 'POST /webhook', 'log: a webhook');
is($webhooks[4]{upstream}, '127.0.0.1:' . $app->port, 'log: where it went');

my @failed = grep { $_->{code} eq '131047' } @webhooks;
my @paused = grep { $_->{status} eq '503' } @webhooks;

is(shown($failed[0]), 'PASSED context-limited window-expired 131047',
    'log: one with an error');
is(@failed, 1, 'log: and no other has one');
is(@paused, 2, 'log: two were put off');
is($paused[0]{policy}, 'BLOCKED', 'log: by the policy');
like($paused[0]{retry_after}, qr/^\d+$/, 'log: for how long');

my $private = join '|', map { quotemeta } $token, $verify, $secret, $new,
    $words, $customer, $another;

unlike(slurp("$dir/$_"), qr/$private/, "nothing private in $_")
    for qw(graph.log webhook.log error.log);

my @errors = grep { !/intended[ ]to[ ]send[ ]too[ ]large[ ]body|no[ ]secret
    |"\#[ ]none|emerg|[ ]graph[ ]policy[ ](?:state|refuses)[ ]/x }
    slurp("$dir/error.log") =~ /^.*\[(?:error|crit|alert|emerg)\].*/mg;

is_deeply(\@errors, [], 'no errors in the error log but those');

done_testing();


# -- helpers ------------------------------------------------------------------

# Meta calls: a payload, or nothing for GET; path, secret, signature (the right
# one; undef for none), script, headers
sub meta {
    my ($body, %of) = @_;

    my $sign = exists $of{signature} ? $of{signature}
        : signature($body, $of{secret} // $secret);
    my @header = ('Content-Type: application/json', @{ $of{headers} // [] });

    push @header, "X-Hub-Signature-256: $sign" if defined $sign;
    push @header, "X-Mock: $of{script}" if defined $of{script};

    my @what = map { ('-H', $_) } @header;

    if (defined $body) {
        spew("$certificates/body", $body);
        push @what, '--data-binary', "\@$certificates/body";
    }

    my $port   = $nginx->{port2};
    my $before = $app->count;

    open my $curl, '-|', 'curl', '-q', '-s', '-i', '--http1.1', '-m',
        20 * slow(), '--noproxy', '*', '--cacert', "$certificates/ca.crt",
        '--resolve', "$host:$port:127.0.0.1", '-H', 'Expect:', '-H',
        "Host: $host", @what, "https://$host:$port"
        . ($of{path} // '/webhook') or die "curl: $!";
    my $text = do { local $/; <$curl> };
    close $curl;
    $calls++;

    my $answer = (GraphPolicy::answers($text // ''))[-1] // {};

    $answer->{seen} = $app->count - $before;
    return $answer;
}

sub written {
    my ($account, $phone) = @_;

    return payload(entry($account, messages(phone => $phone,
        messages => [inbound(from => $customer)])));
}

# the application sends: to whom; phone, body, token, query, script
sub send_to {
    my ($to, %of) = @_;

    my $before = $graph->count;
    my $answer = $nginx->request(
        path    => '/v25.0/' . ($of{phone} // $phone) . '/messages'
            . ($of{query} // ''),
        token   => exists $of{token} ? $of{token} : $token,
        headers => ['Content-Type' => 'application/json',
            'X-Mock' => $of{script} // '200'],
        body    => $of{body} // message($to),
    );

    $answer->{seen} = $graph->count - $before;
    return $answer;
}

# nginx -t: exit status, and what it says
sub tested {
    my @command = map { "'$_'" } $nginx->command('-t');
    my $said    = qx{@command 2>&1};

    return ($?, $said);
}

# the lines of a log, once there are so many
sub logged {
    my ($name, $count) = @_;

    my @lines;

    wait_until(sub {
        @lines = split /\n/, slurp("$dir/$name.log");
        return @lines >= $count;
    });

    return map { decode_json($_) } @lines;
}

sub shown {
    my ($line) = @_;
    return join ' ', map { $line->{$_} // '' } qw(policy category reason code);
}


# The file of the example, with what belongs to the machine replaced. Each of
# these has to be there exactly once.
package Example;

use parent -norequire, 'GraphPolicy::Nginx';

sub configure {
    my ($self) = @_;

    my $dir  = $self->{dir};
    my $user = $> ? '' : 'user nobody ' . getgrgid((getpwnam 'nobody')[3])
        . ';';
    my $conf = GraphPolicy::slurp("$example/nginx.conf");
    my $temp = join '', map { "    ${_}_temp_path  $dir/$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);

    ($self->{api}) = GraphPolicy::free_ports(1) if !$self->{api};

    if (!-d "$dir/states") {
        mkdir "$dir/states" or die "mkdir: $!";
        chmod 0777, "$dir/states" or die "chmod: $!";

        # an nginx that isn't Debian's opens its default access log there
        mkdir "$dir/logs" or die "mkdir: $!";
    }

    for (
        [qr{^include .*modules-enabled.*;$}m,
            "load_module $GraphPolicy::module;"],
        [qr{^user .*;$}m,                     $user],
        [qr{/run/nginx\.pid},                 "$dir/nginx.pid"],
        [qr{/var/log/nginx/error\.log},       "$dir/error.log"],
        [qr{/var/log/nginx/graph\.log},       "$dir/graph.log"],
        [qr{/var/log/nginx/webhook\.log},     "$dir/webhook.log"],
        [qr{^http \{\n}m,                     "http {\n$temp"],
        [qr{ 127\.0\.0\.1:8080;},             " 127.0.0.1:$self->{port};"],
        [qr{ 127\.0\.0\.1:8081;},             " 127.0.0.1:$self->{api};"],
        [qr{ 127\.0\.0\.1:8081 default},      " 127.0.0.1:$self->{api} default"],
        [qr{ 443 ssl;},                  " 127.0.0.1:$self->{port2} ssl;"],
        [qr{ graph\.facebook\.com:443  max_fails}, ' 127.0.0.1:' . $tls->port . ' max_fails'],
        [qr{ 127\.0\.0\.1:3000;},        ' 127.0.0.1:' . $app->port . ';'],
        [qr{/etc/ssl/certs/ca-certificates\.crt}, "$certificates/ca.crt"],
        [qr{/etc/ssl/webhook\.example\.com\.pem}, "$certificates/server.crt"],
        [qr{/etc/ssl/private/webhook\.example\.com\.key},
            "$certificates/server.key"],
        [qr{/etc/nginx/webhook\.secrets},     "$dir/webhook.secrets"],
        [qr{/var/lib/nginx/graph_policy/graph\.json},
            "$dir/states/graph.json"],
    ) {
        my ($pattern, $text) = @$_;

        my $times = () = $conf =~ /$pattern/g;
        die "$pattern is $times times in the example\n" if $times != 1;

        $conf =~ s/$pattern/$text/;
    }

    GraphPolicy::spew("$dir/webhook.secrets",
        GraphPolicy::slurp("$example/secrets.example"));
    chmod 0600, "$dir/webhook.secrets" or die "chmod: $!";
    GraphPolicy::spew("$dir/nginx.conf", $conf);
}
