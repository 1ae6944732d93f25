#!/usr/bin/perl

# A file that 0.2.0 has written, as it was but for its times, is read: what
# blocked goes on to block, with the same ids, and what is unknown to 0.2.0 has
# its default.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use GraphPolicy qw(slurp spew wait_until);
use GraphPolicy::Graph;

# when it was written, in milliseconds
my $written = 1795946933567;
my $later   = int(1000 * time) - $written;
my $text    = slurp("$FindBin::Bin/samples/state_0.2.0");

# but for those of a time that has no end
$text =~ s/\b(17959\d{8})\b/$1 + $later/ge;

# the webhook's has to hold while this test runs
$text =~ s/("webhook".*"until":)(\d+)(.*"hold":)10000/
    $1 . ($2 + 590_000) . $3 . 600_000/e or die 'no state of a webhook';

unlike($text, qr/"confirm"|predecessor/, '0.2.0 didn\'t know some members');

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, http => <<'END');
graph_policy_zone zone=graph:1m state=%DIR%/states/graph;
server {
    listen 127.0.0.1:%PORT%;
    location / {
        graph_policy zone=graph;
        proxy_pass   http://127.0.0.1:%GRAPH%;
    }
    location /graph/ { graph_policy_api; }
}
END

my $file = $nginx->dir . '/states/graph';

$nginx->stop;
mkdir $nginx->dir . '/states' or die "mkdir: $!";
chmod 0777, $nginx->dir . '/states' or die "chmod: $!";
spew($file, $text);
chown((stat $nginx->dir . '/client_body')[4, 5], $file) if !$>;
unlink $nginx->dir . '/nginx.pid';
$nginx->run;

my $states = JSON::PP::decode_json($nginx->request(method => 'GET',
    path => '/graph/zones/graph/states')->{body})->{states};

is_deeply([map { [@$_{qw(id scope key reason code source holds)}] } @$states], [
    ['2c0b026b5f3949e000', 'credential', undef, 'token-invalid', 190, 'answer', 1],
    ['ce9b88198cce1acb02', 'account', '1001', 'billing', 131042, 'answer', 1],
    ['df14b3244d73a30002', 'account', 'abc', 'billing', undef, 'api', 1],
    ['f29ca07e8009001d01', 'account', '102290129340398', 'account-restricted',
        131031, 'webhook', 1],
], 'all its states are there, by their ids');
is($states->[2]{until}, undef, 'the frozen one has no end');

is(JSON::PP::decode_json($nginx->request(method => 'GET',
    path => '/graph/zones/graph')->{body})->{links}, 1,
    'so is the account of a phone');

my $blocked = $nginx->request(path => '/v1/1003/messages', token => 'b');

is($blocked->{headers}{'x-graph-state'}, '2c0b026b5f3949e000',
    'the token that was refused is known again, by its fingerprint');
is($blocked->{headers}{'x-graph-policy'}, 'blocked', 'and is blocked');
is($nginx->request(path => '/v1/1003/messages', token => 'c')->{status}, 200,
    'another token passes');
is($nginx->request(path => '/v1/1555/messages', token => 'c')
    ->{headers}{'x-graph-state'}, 'f29ca07e8009001d01',
    'a phone is covered by the state of its account');

$nginx->stop('QUIT');
like(slurp($file), qr/"confirm":10000/, 'what is written has the new members');
is_deeply([$nginx->complaints], [], 'nothing is wrong');

done_testing();
