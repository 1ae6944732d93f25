#!/usr/bin/perl

# Two binary upgrades in a row, the first given up: the second new binary keeps
# what it learns, also if the old one has taken its file back meanwhile.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Fcntl qw(F_SETLK F_WRLCK O_CREAT O_EXCL O_RDWR);
use Time::HiRes qw(sleep);

use GraphPolicy qw(slurp wait_until);
use GraphPolicy::Daemon;
use GraphPolicy::Kept;

my $kept = GraphPolicy::Kept->new;

$kept->start(class => 'GraphPolicy::Daemon', workers => 1, http => <<'END');
graph_policy_zone zone=z:1m state=FILE;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy      zone=z;
    graph_policy_hold 1h;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
}
END

my $nginx = $kept->nginx;

# the master who has written the file
sub writer { return slurp($kept->file) =~ /"master":(\d+)/ ? $1 : 0 }

sub is_saved {
    my ($phone, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(wait_until(sub { slurp($kept->file) =~ /"key":"$phone"/ }, 5),
        "$name is in the file");
}

sub upgrade {
    my ($name) = @_;

    my $old = $nginx->pid;

    $nginx->signal('USR2');
    ok($nginx->follow($old), "$name: a new master and its workers");
    return ($nginx->pid, $nginx->workers);
}

# Nobody saves while another has locked the file beside it.
sub hold_file {
    my $name = $kept->file . '.tmp';

    sysopen my $file, $name, O_RDWR|O_CREAT|O_EXCL, 0600
        or die "open $name: $!";
    chmod 0666, $name or die "chmod: $!";

    my $lock = pack 's s x4 q q i x4', F_WRLCK, 0, 0, 0, 0;
    fcntl $file, F_SETLK, $lock or die "lock $name: $!";

    return $file;
}

sub let_file_go {
    my ($file) = @_;

    unlink $kept->file . '.tmp' or die "unlink: $!";
    close $file;
}

$kept->put($kept->new_phone);
ok($kept->settle, 'a state is saved');

my $old     = $nginx->pid;
my @workers = $nginx->workers;


# -- the first one is given up, and its file is still there -------------------

my @first = upgrade('the first');

ok(wait_until(sub { writer() == $first[0] }), 'it has the file');

my $held = hold_file();

$nginx->stop_master($first[0], 'TERM');
ok($kept->gone(@first), 'it is given up');
is(writer(), $first[0], 'and nobody has taken its file yet');


# -- the second one reads that, then the old one takes it back ----------------

$nginx->lead($old);

my @second = upgrade('the second');

sleep 0.5; # it has looked at the file by then
kill 'STOP', @second;
let_file_go($held);
ok(wait_until(sub { writer() == $old }), 'the old one takes the file back');

my $theirs = $kept->new_phone;

$kept->put($theirs);
is_saved($theirs, 'what the old one learns');

kill 'CONT', @second;
kill 'WINCH', $old;
ok($kept->gone(@workers), 'the old workers are gone, as an upgrade has it');
ok(wait_until(sub { writer() == $second[0] }), 'the second has the file');
ok($kept->api->one('z', key => $theirs)->{id},
    'and knows what the old one has learnt');

my $ours = $kept->new_phone;

$kept->put($ours);
is_saved($ours, 'what the second one learns');

my $second = join '|', @second;
is_deeply([grep { /\ (?:$second)\#\d+:\ .*\ doesn't\ save\ its\ states/x }
    split /\n/, $nginx->log], [], 'the second never left its file to another');


# -- and it is there after the worst end --------------------------------------

$nginx->lead($second[0]);
kill 'KILL', @second;
ok($kept->gone(@second), 'the second is killed');
$nginx->stop_master($old, 'TERM');

$nginx->run;

my %keys = map { ($_->{key} // '') => 1 } values %{ $kept->known };

ok($keys{$theirs} && $keys{$ours}, 'a start after that has both states');

done_testing();
