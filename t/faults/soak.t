#!/usr/bin/perl

# Two hundred connections with requests of all outcomes, clients that leave in
# between, and a reload every few seconds: no worker dies, nothing is logged
# that shouldn't be, and every answer is one of those that there are.
#
# SOAK_SECONDS sets how long (8).

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use GraphPolicy qw(slurp wait_until);

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

my $seconds     = $ENV{SOAK_SECONDS} || 8;
my $connections = 200;

srand 20261122;

my $graph = GraphPolicy::Nginx->start(log_level => 'warn', http => <<'END');
server {
    listen 127.0.0.1:%PORT%;
    default_type application/json;

    location / {
        return 200 '{"messages":[{"id":"wamid.FAKE"}]}';
    }
    location ~ /1000\d+/ {
        return 400 '{"error":{"message":"(#131042) m","code":131042,"fbtrace_id":"AFake"}}';
    }
    location ~ /2000\d+/ {
        return 503 '{"error":{"message":"(#131016) m","code":131016}}';
    }
    location ~ /3000\d+/ {
        return 400 '{"error":{"message":"(#130429) m","code":130429}}';
    }
    location ~ /4000\d+/ {
        return 400 '{"error":{"message":"(#131047) m","code":131047}}';
    }
    location ~ /5000\d+/ {
        return 502 '<html>no</html>';
    }
    location ~ /6000\d+/ {
        return 500 '{"error":{"message":"(#133010) m","code":133010}}';
    }
}
END

my $nginx = GraphPolicy::Nginx->start(log_level => 'warn', workers => 2,
    graph => $graph, http => <<'END');
graph_policy_zone zone=soak:256k;
upstream graph {
    server 127.0.0.1:%GRAPH%;
    keepalive 32;
}
server {
    listen 127.0.0.1:%PORT%;
    keepalive_requests 100000;
    graph_policy zone=soak;
    graph_policy_hold 200ms max=1s;
    graph_policy_cooldown on;
    graph_policy_retry attempts=3 base=50ms deadline=2s budget_min=100000;
    location / {
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_pass http://graph;
    }
    location /unbuffered/ {
        proxy_buffering off;
        proxy_pass http://graph/;
    }
}
END

my $select = IO::Select->new;
my (%left, %buffer, %got);
my ($sent, $answers, $broken, $reloads) = (0, 0, 0, 0);

sub next_request {
    my $kind = int rand 7;
    my $phone = $kind ? "${kind}000" . int rand 20 : 9_000_000 + int rand 20;
    my $prefix = rand() < 0.2 ? '/unbuffered' : '';
    my $to = 15_550_000_000 + int rand 10;
    my $body = qq({"messaging_product":"whatsapp","to":"$to","type":"text"});
    my $token = 'EAAFAKE' . int rand 30;

    return join "\r\n", "POST $prefix/v25.0/$phone/messages HTTP/1.1",
        'Host: graph', "Authorization: Bearer $token",
        'Content-Type: application/json',
        'Content-Length: ' . length $body, '', $body;
}

sub open_connection {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . $nginx->port,
        Timeout => 5) or return;
    $select->add($s);
    $buffer{$s} = '';
    $left{$s} = 1 + int rand 20;
    send_request($s);
}

sub send_request {
    my ($s) = @_;
    $sent++;
    syswrite $s, next_request();
}

sub close_connection {
    my ($s) = @_;
    $select->remove($s);
    delete $buffer{$s};
    delete $left{$s};
    close $s;
}

sub take_answer {
    my ($s) = @_;

    my ($head) = $buffer{$s} =~ /^(.*?\r\n\r\n)/s or return;
    my $length = $head =~ /^Content-Length: (\d+)/mi ? $1 : undef;
    my $size;

    if (defined $length) {
        $size = length($head) + $length;
        return if length $buffer{$s} < $size;
    } else {
        $buffer{$s} =~ /\r\n0\r\n\r\n/ or return;
        $size = $+[0];
    }

    my ($status) = $head =~ m{^HTTP/1\.1 (\d+) };
    my ($policy) = $head =~ /^X-Graph-Policy: (\S+)/mi;
    $got{($status // 'none') . ' ' . ($policy // '-')}++;
    $answers++;
    substr $buffer{$s}, 0, $size, '';

    if (--$left{$s} <= 0 || $head =~ /^Connection: close/mi) {
        close_connection($s);
    } else {
        send_request($s);
    }
}

my $end = time + $seconds;
my $reload = time + 2;

while ((my $now = time) < $end) {
    while ($select->count < $connections) {
        open_connection() or last;
    }

    if ($now >= $reload) {
        kill 'HUP', $nginx->pid;
        $reloads++;
        $reload = $now + 2;
    }

    for my $s ($select->can_read(0.05)) {
        my $n = sysread $s, $buffer{$s}, 65536, length $buffer{$s};
        if (!$n) {
            $broken++ if length $buffer{$s};
            close_connection($s);
            next;
        }
        take_answer($s);
    }

    # some clients lose patience
    for my $s ($select->handles) {
        close_connection($s) if rand() < 0.002;
    }
}

close_connection($_) for $select->handles;

note "$sent sent, $answers answered, $reloads reloads";
note "$_: $got{$_}" for sort keys %got;

cmp_ok($answers, '>', 500, 'there were answers');
cmp_ok($reloads, '>=', 1, 'and reloads amid them');
is($broken, 0, 'no answer was broken off');

my %known = map { $_ => 1 } '200 -', '200 probe', '200 retried',
    (map { my $s = $_; map { "$s $_" }
        qw(passed probe retried blocked) } 400, 500, 502, 503);
is_deeply([grep { !$known{$_} } sort keys %got], [],
    'each was one of those that there are');
ok($got{'400 blocked'}, 'some were blocked');
ok($got{'503 retried'}, 'some were sent again');

# what the last connections left behind settles
sleep 2.5;

my $ready = $nginx->request(path => '/v25.0/9000001/messages', token => 'last',
    body => '{}');
is($ready->{status}, 200, 'the service goes on');

is_deeply([grep { /\[(?:alert|emerg|crit)\]|exited on signal/ }
    split /\n/, $nginx->log], [], 'no worker died, nothing to complain of');

done_testing();
