#!/usr/bin/perl

# The disk is full that temporary files, the event log and the file of states
# are on, under load: sends that fit in memory don't notice, others are refused
# as nginx itself refuses them, none reaches the Graph API twice or in part, and
# with room again all is as before.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Time::HiRes qw(sleep);

use GraphPolicy qw(slurp wait_until);
use GraphPolicy::Ends qw(passing blocked flapping);
use GraphPolicy::Kept;

plan skip_all => 'only root can mount' if $>;

my $kept = GraphPolicy::Kept->new;
my $disk = $kept->dir;

plan skip_all => 'no tmpfs can be mounted'
    if system("mount -t tmpfs -o size=2m,mode=0777 tmpfs $disk"
        . ' >/dev/null 2>&1');

END {
    my $status = $?;
    if ($disk) {
        $kept->end_by('KILL') if $kept->hook && $kept->nginx->workers;
        system("umount $disk >/dev/null 2>&1 || umount -l $disk");
    }
    $? = $status;
}

$kept->start(secrets => ['s3cretOfTheApp'], workers => 2, http => <<"END");
graph_policy_zone      zone=z:1m state=FILE;
graph_policy_event_log $disk/events.log;

server {
    listen 127.0.0.1:%PORT%;

    client_body_temp_path   $disk/bodies;
    proxy_temp_path         $disk/answers;
    client_body_buffer_size 4k;
    client_max_body_size    1m;
    proxy_buffers           2 4k;
    proxy_buffer_size       4k;
    proxy_busy_buffers_size 4k;

    graph_policy      zone=z;
    graph_policy_hold 1h;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /fast/ {
        graph_policy_hold 1ms max=1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /gate/ {
        graph_policy_conversation on hold=1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /again/ {
        graph_policy_retry attempts=3 base=1ms max=1ms unknown=2
                           budget_min=10000;
        proxy_pass         http://127.0.0.1:%GRAPH%;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
}
END

my $nginx = $kept->nginx;
my $held  = $kept->new_phone;
my $body  = '{"to":"15550001111","text":"' . 'x' x 60_000 . '"}';

$kept->put($held);
ok($kept->settle, 'a state is saved');

my %large = (token => 'a', body => $body,
    headers => ['Content-Type' => 'application/json']);
my $ends = GraphPolicy::Ends->new(nginx => $nginx, graph => $kept->graph,
    kinds => {
        open  => passing('/77/messages'),
        held  => blocked("/$held/messages"),
        # each of them an event, and a change of the file
        fast  => flapping('/fast/78/messages'),
        large => { right => qr/^200 - 1\z/, send => sub {
            (path => '/79/messages', mock => '200', %large,
                headers => [@{ $large{headers} }]) } },
        gate  => { right => qr/^200 - 1\z/, send => sub {
            (path => '/gate/80/messages', mock => '200', %large,
                headers => [@{ $large{headers} }]) } },
        again => { right => qr/^200 retried 2\z/, send => sub {
            (path => '/again/81/messages', mock => '500 131016 | 200', %large,
                headers => [@{ $large{headers} }]) } },
    });

# no part of a body is sent for a whole one
sub are_whole {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_deeply([grep { length $_->{body} && $_->{body} ne $body }
        $kept->graph->requests], [], "$name: each body is whole");
}

my @large = map { $_ => qr/^(?:500 - 0|200 - 1)\z/ } qw(large gate);

$ends->while('before', sub { are_whole('before') });

$ends->while('a full disk', sub {
    open my $filler, '>', "$disk/filler" or die "filler: $!";

    # files that go leave room
    for (1 .. 100) {
        1 while syswrite $filler, 'x' x 1024;
        sleep 0.01;
    }
    close $filler;
    are_whole('a full disk');
}, right => { @large, again => qr/^(?:500 - 0|200 retried 2)\z/ });

my $log = $nginx->log;

like($log, qr/\[crit\][^\n]*bodies[^\n]*No space left on device/,
    'a full disk: the log tells of temporary files');
like($log, qr/\[alert\][^\n]*events\.log" lost an event/,
    'a full disk: and of lost events');
is($kept->fate($held), 'blocked', 'a full disk: states are kept');

my $full = -s "$disk/events.log";

unlink "$disk/filler" or die "unlink: $!";
$ends->while('room again', sub {
    sleep 1;
    are_whole('room again');
}, right => { @large, again => qr/^(?:500 - 0|200 retried 2)\z/ });
$ends->while('afterwards', sub { are_whole('afterwards') });

# The log tells of a lost event every few seconds; the last one may have left its
# beginning, which the next one then follows.

my $events = slurp("$disk/events.log");
my @later  = split /\n/, substr $events, $full;
shift @later;

cmp_ok(scalar @later, '>', 0, 'with room again events are written');
is_deeply([grep { !eval { JSON::PP::decode_json($_) } } @later], [],
    'and none is torn');
ok($kept->settle, 'all is saved');
is_deeply([grep { !m{/(?:z\.state|events\.log|filler|bodies|answers)\z} }
    glob "$disk/*"], [], 'nothing is left behind');
is_deeply([grep { -f } glob("$disk/{bodies,answers}/*")], [],
    'nor a temporary file');

my $known = $kept->known;

$kept->end_by('KILL');
$nginx->run;
is_deeply($kept->known, $known, 'and all states are in the file');
is_deeply([grep { !/No space left|has written only|lost an event/ } $nginx->complaints], [],
    'nobody complains of anything else');

done_testing();
