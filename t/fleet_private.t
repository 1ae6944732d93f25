#!/usr/bin/perl

# Whatever goes to the engine in a run is recorded by its MONITOR: no token, no
# recipient, no text and no secret is in it, and no command that the user of
# docs/fleet.md may not give.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use GraphPolicy qw(wait_until slow spew slurp free_ports);
use GraphPolicy::Fleet;
use GraphPolicy::Webhook qw(payload entry messages account_update status
    inbound contact signature message template);
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(time sleep);

my %secret = (
    token     => 'EAAGtokenOfTheSystemUser0123456789',
    another   => 'EAAGanotherTokenOfAnotherUser98765',
    recipient => '4915112345678',
    customer  => '393331234567',
    text      => 'Your code is 471199, do not share',
    reply     => 'Wherefore art thou Romeo',
    key       => 'the-key-of-the-fleet-which-is-long-enough',
    password  => 'pa55word-in-the-file',
    app       => 's3cretOfTheApp',
);

my $temp = File::Temp->newdir('graph_private.XXXXXX', TMPDIR => 1);
my $dir  = "$temp";
chmod 0755, $dir or die "chmod: $!";
spew("$dir/password", "$secret{password}\n");
spew("$dir/app", "$secret{app}\n");
spew("$dir/monitor", '');

# the user that docs/fleet.md shows
my ($rules) = slurp("$FindBin::Bin/../docs/fleet.md")
    =~ /^ACL SETUSER graph (on [^\n]*)$/m;
$rules =~ s/>PASSWORD/>$secret{password}/;

my $redis = GraphPolicy::Redis->start(requirepass => 'other',
    user => "graph $rules");
$redis->{auth} = ['other'];

# what MONITOR says, in a file, from now on
sub monitor {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $redis->port) or die "connect: $!";
    my $parent = $$;
    my $pid = fork // die "fork: $!";

    if ($pid) {
        GraphPolicy::adopt($pid);
        return $pid;
    }

    open my $file, '>', "$dir/monitor" or POSIX::_exit(1);
    GraphPolicy::Redis::put($socket, @$_) for ['AUTH', 'other'], ['MONITOR'];
    $socket->flush;
    $file->autoflush;
    print {$file} $_ while getppid == $parent && defined($_ = <$socket>);
    POSIX::_exit(0);
}

my $monitor = monitor();
wait_until(sub { (() = slurp("$dir/monitor") =~ /^\+OK/mg) == 2 })
    or die "no MONITOR\n";

my @port = free_ports(2);
my $fleet = GraphPolicy::Fleet->start(nodes => 1, redis => $redis,
    hold => '300ms max=300ms', key => "$secret{key}\n",
    sync => "user=graph password_file=$dir/password",
    location => 'graph_policy_cooldown on;'
        . ' graph_policy_conversation on hold=2s;',
    http => <<"END");
    server {
        listen 127.0.0.1:$port[0];
        location / {
            graph_policy                     zone=z;
            graph_policy_webhook             on;
            graph_policy_webhook_secret_file $dir/app;
            return 200;
        }
    }
END
$fleet->add(http => '');
$fleet->settle;

sub receives {
    my ($body) = @_;

    return GraphPolicy::request(port => $port[0], path => '/webhook',
        body => $body, headers => ['Content-Type' => 'application/json',
            'X-Hub-Signature-256' => signature($body, $secret{app})]);
}


# -- a run --------------------------------------------------------------------

my $phone = 5000;

for my $mock ('400 131042', '400 133010', '401 190', '404 33', '400 131031',
    '429 130429', '400 131056', '400 131049', '400 131047', '400 80007')
{
    for my $token (@secret{qw(token another)}) {
        my $path = '/v25.0/' . ++$phone . '/messages';
        my %of = (token => $token);

        $fleet->send(0, $path, $mock, %of,
            body => message($secret{recipient}, $secret{text}));
        $fleet->send(1, $path, $mock, %of,
            body => template($secret{customer}));
        $fleet->send(0, "$path?access_token=$token", $mock,
            body => message($secret{recipient}, $secret{text}));
    }
}

for my $code (131042, 131049, 131026, 133010) {
    my $answer = receives(payload(entry('2001', messages(phone => ++$phone,
        contacts => [contact($secret{customer})],
        statuses => [status($code, to => $secret{recipient})]))));
    is($answer->{status}, 200, "a webhook that tells $code");
}

receives(payload(entry('2001', messages(phone => $phone, messages =>
    [inbound(from => $secret{customer}, text => $secret{reply})]))));
receives(payload(entry('2002', account_update('DISABLED_UPDATE',
    ban_info => { waba_ban_state => 'DISABLE' }))));

my $hand = $fleet->api(0, POST => 'zones/z/states', { scope => 'phone',
    key => '5999', reason => 'phone-disconnected', hold => '1h' });
ok($hand->{id}, 'a state is set by hand');

$fleet->agree;

# they are due, probed, set again and ended
sleep 0.5;
for my $n (5001 .. $phone) {
    $fleet->send($n % 2, "/v25.0/$n/messages", ('400 131042', '200')[$n % 2],
        token => $secret{token},
        body => message($secret{recipient}, $secret{text}));
}

$fleet->api(1, DELETE => "zones/z/states/$hand->{id}");
$fleet->node(0)->reload;
$fleet->settle;

# all is told anew
$redis->command('FLUSHALL');
my $told = wait_until(sub {
    ($redis->command('HLEN', 'graph_policy:{z}:states') // 0) > 10;
});
ok($told, 'the engine was told many states, twice');


# -- what was recorded --------------------------------------------------------

GraphPolicy::end_process($monitor, 'TERM');
my $dump = slurp("$dir/monitor");

cmp_ok(() = ($dump =~ /"XADD"/g), '>', 50, 'all that was said was recorded');
like($dump, qr/5999/, 'phones are in it');
like($dump, qr/credential/, 'and states of credentials');

for my $name (sort keys %secret) {
    my $is = $secret{$name};

    for (['itself', $is], ['in base64', encode_base64($is, '')],
        ['in hex', unpack 'H*', $is], ['as SHA-256', Digest::SHA::sha256_hex($is)],
        $is =~ /(.{12}).*(.{12})$/ ? (['its first half', $1],
            ['its last half', $2]) : ())
    {
        is(index($dump, $_->[1]), -1, "no $name is in it, not $_->[0]")
            or diag substr $dump, index($dump, $_->[1]) - 200, 400;
    }
}

my %allowed = map { uc substr($_, 1) => 1 } $rules =~ /(\+[a-z]+)/g;
my %given = map { uc $_ => 1 } $dump =~ /^\+[0-9.]+ \[\d+ [^\]]+\] "([^"]+)"/mg;
delete @given{qw(AUTH FLUSHALL HLEN)};

# what is over is deleted a minute later, or a day, and so maybe not in this run
is_deeply([sort keys %{ { %given, HDEL => 1 } }], [sort keys %allowed],
    'the commands that were given are those that docs/fleet.md allows');
is_deeply($redis->command('ACL', 'LOG'), [], 'and none was denied');

for my $command (['PING'], ['KEYS', '*'], ['DEL', 'graph_policy:{z}:log'],
    ['XADD', 'other', '*', 'a', 'b'])
{
    my $as = bless { %$redis, auth => ['graph', $secret{password}] },
        'GraphPolicy::Redis';
    my $said = $as->command(@$command);
    like(ref $said ? $$said : $said, qr/NOPERM/,
        "that user may not: @$command");
    delete $as->{temp};
}

is_deeply([$fleet->complaints], [], 'nothing in the log to worry about');

done_testing;
