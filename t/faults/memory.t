#!/usr/bin/perl

# 100,000 requests of all kinds: a worker is not larger after them than it was
# when it was warm.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use GraphPolicy qw(slurp wait_until);

use IO::Socket::INET;
use List::Util qw(sum);
use Time::HiRes qw(time);

plan skip_all => 'a sanitizer has memory of its own'
    if ($ENV{KIND} // '') eq 'asan';

my $requests = 100_000;
my $warm     = 20_000;
my $seconds  = 120;
my $batch    = 200;

# what a worker may grow by, in kB; a byte lost with each request is 78 of them
my $slack = 100;

my $graph = GraphPolicy::Nginx->start(log_level => 'warn', http => <<'END' =~ s/%BIG%/'x' x 3000/er);
split_clients $connection-$connection_requests $now_and_then {
    50% 1;
}

map $uri $padding {
    ~/big$ '%BIG%';
}

server {
    listen 127.0.0.1:%PORT%;
    keepalive_requests 1000000;
    default_type application/json;

    gzip on;
    gzip_types application/json;
    gzip_min_length 1;
    gzip_proxied any;
    gzip_http_version 1.0;

    location / {
        return 200 '{"messaging_product":"whatsapp","messages":[{"id":"wamid.FAKE"}]}';
    }

    location ~ ^/[a-z]+/1\d+/ {
        return 403 '{"error":{"message":"(#131042) Business eligibility payment issue $padding","type":"OAuthException","code":131042,"error_data":{"messaging_product":"whatsapp","details":"d"},"fbtrace_id":"AFakeTraceId0000000000"}}';
    }

    location ~ ^/[a-z]+/2\d+/ {
        return 400 '{"error":{"message":"(#131047) Re-engagement message","code":131047,"fbtrace_id":"AFakeTraceId0000000000"}}';
    }

    location ~ ^/[a-z]+/3\d+/ {
        return 500 '<html>not this time</html>';
    }

    location ~ ^/[a-z]+/4\d+/ {
        if ($now_and_then) {
            return 400 '{"error":{"message":"(#133010) Account not registered","code":133010,"fbtrace_id":"AFakeTraceId0000000000"}}';
        }
        return 200 '{"messaging_product":"whatsapp","messages":[{"id":"wamid.FAKE"}]}';
    }

    location ~ ^/[a-z]+/5\d+/ {
        return 401 '{"error":{"message":"Error validating access token","type":"OAuthException","code":190,"error_subcode":463,"fbtrace_id":"AFakeTraceId0000000000"}}';
    }

    location ~ ^/[a-z]+/6\d+/ {
        return 400 '{"error":{"message":"cut off';
    }
}
END

my $port  = $graph->port;
my $nginx = GraphPolicy::Nginx->start(log_level => 'error', http => <<"END");
graph_policy_zone zone=z:1m;
graph_policy_zone zone=tiny:32k;

upstream graph {
    server 127.0.0.1:$port;
    keepalive 32;
}

server {
    listen 127.0.0.1:%PORT%;
    keepalive_requests 1000000;

    graph_policy zone=z;

    add_header X-Seen "\$graph_policy_status \$graph_policy_phone \$graph_policy_credential \$graph_policy_request" always;
    proxy_http_version 1.1;
    proxy_set_header Connection "";

    location /hold/ {
        proxy_pass http://graph;
    }

    location /fast/ {
        graph_policy_hold 1ms max=1ms;
        proxy_pass http://graph;
    }

    location /tiny/ {
        graph_policy zone=tiny;
        graph_policy_buffer_size 1k;
        proxy_pass http://graph;
    }

    location /dry/ {
        graph_policy_dry_run on;
        graph_policy_account \$graph_policy_credential;
        graph_policy_pause all;
        proxy_buffering off;
        proxy_pass http://graph;
    }

    location = /end {
        return 200 "the end of a batch\\n";
    }
}
END

# 200 kinds of requests times 1000 phones and 97 tokens, always the same ones
my $number = 0;

sub next_request {
    my $n     = $number++;
    my $where = (qw(hold fast tiny dry))[$n % 4];
    my $kind  = ($n / 4) % 9;
    my $phone = $kind . (100 + ($n * 7) % 900);
    my $token = 'token' . ($n % 97);
    my @lines;

    my $method = $n % 11 == 0 ? 'GET' : 'POST';
    my $edge   = $n % 5 == 0 ? 'media' : $n % 7 == 0 ? 'big' : 'messages';
    my $query  = $n % 6 == 0 ? "?access_token=$token&a=b" : '';

    push @lines, "$method /$where/$phone/$edge$query HTTP/1.1",
        'Host: localhost';
    push @lines, "Authorization: Bearer $token" if $n % 3;
    push @lines, 'Accept-Encoding: gzip, br' if $n % 2;
    push @lines, 'Content-Length: 2' if $method eq 'POST';

    return join("\r\n", @lines) . "\r\n\r\n"
        . ($method eq 'POST' ? '{}' : '');
}

my ($worker) = wait_until(sub { ($nginx->workers)[0] })
    or die 'there is no worker';
my (%statuses, %sizes);

my $end  = time + $seconds;
my $done = 0;
my $lost;

while ($done < $requests && time < $end) {
    $lost = !run_batch($batch);
    last if $lost;

    $done += $batch;
    $sizes{$done} = size() if $done % $warm == 0;
}

ok(!$lost, 'every request has its answer');
is(sum(values %statuses), $done, "$done answers");
ok($statuses{$_}, "some were $_") for 200, 400, 401, 403, 500;

my ($first) = map { $sizes{$_} } sort { $a <=> $b } keys %sizes;
my ($last)  = map { $sizes{$_} } sort { $b <=> $a } keys %sizes;

cmp_ok($done, '>=', 2 * $warm, 'that was enough');
cmp_ok($last, '<=', $first + $slack, 'a worker is as large as it was')
    or diag(join ', ', map { "$_: $sizes{$_} kB" } sort { $a <=> $b }
        keys %sizes);
is(join(' ', $nginx->workers), $worker, 'and is the same');
is_deeply([$nginx->complaints], [], 'nobody complains');

done_testing();


# -- helpers ------------------------------------------------------------------

# its own memory, without the zones, in kB
sub size {
    my ($size) = slurp("/proc/$worker/status") =~ /^RssAnon:\s+(\d+) kB$/m
        or die 'its size can not be told';

    return $size;
}

# one after the other over one connection, whose memory ends with it
sub run_batch {
    my ($count) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $nginx->port, Blocking => 0) or die "connect: $!";

    my $out = join '', map { next_request() } 1 .. $count;
    my $in  = '';

    $out .= "GET /end HTTP/1.1\r\nHost: localhost\r\n\r\n";

    while ($in !~ /the end of a batch\n\z/) {
        return 0 if time > $end + 10;

        my ($read, $write) = ('', '');

        vec($read, fileno $socket, 1) = 1;
        vec($write, fileno $socket, 1) = 1 if length $out;
        next if select($read, $write, undef, 1) <= 0;

        if (length $out && vec($write, fileno $socket, 1)) {
            my $sent = syswrite $socket, $out;

            substr $out, 0, $sent, '' if $sent;
        }

        if (vec($read, fileno $socket, 1)) {
            my $got = sysread $socket, $in, 262144, length $in;

            return 0 if defined $got && $got == 0;
        }
    }

    my @statuses = $in =~ m{HTTP/1\.1 (\d{3}) }g;

    $statuses{$_}++ for @statuses[0 .. $#statuses - 1];

    return @statuses == $count + 1;
}
