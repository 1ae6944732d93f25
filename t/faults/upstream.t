#!/usr/bin/perl

# A Graph API that stalls, resets, cuts off or lies, under load: its clients
# learn as much as nginx itself would tell them, nothing is sent again but what
# it has refused, nothing is learnt from what isn't certain, and other sends
# don't notice.
#
# Environment:
#   FAULT_SECONDS  seconds of load (6)

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Time::HiRes qw(sleep);

use GraphPolicy qw(slow);
use GraphPolicy::Api;
use GraphPolicy::Ends qw(passing blocked);
use GraphPolicy::Graph qw(CLOSE RESET with_length chunked);

my $seconds = $ENV{FAULT_SECONDS} || 6;
my $type    = "Content-Type: application/json\r\n";
my $error   = '{"error":{"message":"m","code":131042,"fbtrace_id":"A"}}';
my $success = '{"messaging_product":"whatsapp","messages":[{"id":"wamid.F"}]}';

# what no answer that is as it should be would be
my %lies = (
    'longer-error'   => sub { ("HTTP/1.1 400 Bad\r\n${type}Content-Length: 999"
        . "\r\n\r\n$error", CLOSE) },
    'shorter-error'  => sub { ("HTTP/1.1 400 Bad\r\n${type}Content-Length: 20"
        . "\r\n\r\n$error", CLOSE) },
    'cut-error'      => sub { ("HTTP/1.1 400 Bad\r\n${type}Content-Length: "
        . length($error) . "\r\n\r\n" . substr($error, 0, 30), CLOSE) },
    'reset-error'    => sub { ("HTTP/1.1 400 Bad\r\n${type}Content-Length: "
        . length($error) . "\r\n\r\n" . substr($error, 0, 30), \0.02, RESET) },
    'broken-chunk'   => sub { ("HTTP/1.1 400 Bad\r\n${type}Transfer-Encoding: "
        . "chunked\r\n\r\n38\r\n$error\r\nzz\r\n", CLOSE) },
    'no-last-chunk'  => sub { ("HTTP/1.1 400 Bad\r\n${type}Transfer-Encoding: "
        . "chunked\r\n\r\n38\r\n$error\r\n", CLOSE) },
    'not-gzip'       => sub { with_length(400, "${type}Content-Encoding: gzip"
        . "\r\n", $error) },
    'cut-success'    => sub { ("HTTP/1.1 200 OK\r\n${type}Content-Length: 999"
        . "\r\n\r\n$success", CLOSE) },
    'reset-success'  => sub { ("HTTP/1.1 200 OK\r\n${type}Content-Length: 999"
        . "\r\n\r\n$success", \0.02, RESET) },
    'error-as-200'   => sub { with_length(200, $type, $error) },
    'success-as-400' => sub { with_length(400, $type, $success) },
    'half-a-head'    => sub { ("HTTP/1.1 400 B", CLOSE) },
    'garbage'        => sub { ("\0\1\2\3 no HTTP\r\n\r\n", CLOSE) },
    'nothing'        => sub { (CLOSE) },
    'reset'          => sub { (\0.01, RESET) },
    'stall'          => sub { (\(2 * slow())) },
    'stall-amid'     => sub { ("HTTP/1.1 400 Bad\r\n${type}Content-Length: 99"
        . "\r\n\r\n{", \(2 * slow())) },
    'slow-error'     => sub { ("HTTP/1.1 400 Bad\r\n", \0.05, $type, \0.05,
        'Content-Length: ' . length($error) . "\r\n\r\n",
        map { ($_, \0.02) } unpack '(a9)*', $error) },
);

# What its client gets. An error that is as it should be is told as such; one
# that is cut off is passed on, cut off, and isn't read.
my %right = (
    (map { $_ => qr/^closed - 1\z/ } qw(cut-success reset-success)),
    (map { $_ => qr/^(?:closed (?:-|passed)|502 -) 1\z/ }
        qw(longer-error cut-error reset-error broken-chunk no-last-chunk
            stall-amid)),
    (map { $_ => qr/^400 passed 1\z/ } qw(not-gzip success-as-400)),
    (map { $_ => qr/^502 - 1\z/ } qw(half-a-head nothing reset)),
    'error-as-200'  => qr/^200 - 1\z/,
    'shorter-error' => qr/^400 passed 1\z/,
    # to nginx it is an answer without a head
    'garbage'       => qr/^none - 1\z/,
    'stall'         => qr/^504 - 1\z/,
    'slow-error'    => qr/^400 (?:passed|blocked|probe) [01]\z/,
);

my $graph = GraphPolicy::Graph->start(%lies);
my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 2,
    http => <<'END');
graph_policy_zone zone=z:1m;

# as it is shown to people, but that both are one
upstream graph {
    server 127.0.0.1:%GRAPH% max_fails=0;
    server 127.0.0.1:%GRAPH% max_fails=0;
    keepalive 8;
}

server {
    listen 127.0.0.1:%PORT%;

    graph_policy       zone=z;
    graph_policy_hold  1ms max=1ms;
    graph_policy_retry attempts=3 base=5ms max=5ms unknown=0 budget_min=10000;

    proxy_read_timeout 500ms;
    proxy_http_version 1.1;
    proxy_set_header   Connection "";

    location / {
        proxy_pass http://graph;
    }
    location /held/ {
        graph_policy_hold 1h;
        proxy_pass        http://graph;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
}
END

my $api = GraphPolicy::Api->new(port => $nginx->port);

is($nginx->request(path => '/held/1/messages', token => 'a',
    mock => '400 133010')->{status}, 400, 'a phone is blocked');

my $number = 100;
my %kinds  = (
    open    => passing('/77/messages'),
    held    => blocked('/held/1/messages'),
    # that was refused, so it is sent again; of the other nobody knows
    refused => { right => qr/^200 retried 2\z/, send => sub {
        (path => '/78/messages', token => 'a', mock => '500 131016 | 200') } },
    unknown => { right => qr/^500 passed 1\z/, send => sub {
        (path => '/79/messages', token => 'a', mock => '500 131000 | 200') } },
    map({ my $lie = $_; $lie => { right => $right{$lie}, send => sub {
        (path => "/$lie/" . ++$number . '/messages', token => 'a') } } }
        keys %lies),
);

my $ends = GraphPolicy::Ends->new(nginx => $nginx, graph => $graph,
    kinds => \%kinds, at_once => 12, least => 3);

$ends->while('an upstream that lies', sub { sleep $seconds });

# the only ones that said so for certain
my %from = map { ($_->{code} // '-') => 1 } $api->states('z');

is_deeply([sort { $a <=> $b } grep { $_ != 131042 } keys %from], [133010],
    'no state comes from what was cut off');
is_deeply([$nginx->complaints], [], 'nobody complains');

done_testing();
