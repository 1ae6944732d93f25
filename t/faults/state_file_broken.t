#!/usr/bin/perl

# graph_policy_zone state=FILE, where the file is broken or can't be written:
# nginx starts, says what is wrong, and does its work.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Time::HiRes qw(sleep time);

use GraphPolicy qw(slurp spew wait_until);
use GraphPolicy::Kept;
use GraphPolicy::Webhook qw(payload entry messages inbound short);

my $kept = GraphPolicy::Kept->new;
my ($file, $dir) = ($kept->file, $kept->dir);

$kept->start(secrets => ['s3cretOfTheApp'],
    private => [qw(tokenOfSomebody s3cretOfTheApp)], http => <<'END');
graph_policy_zone zone=z:1m state=FILE;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy      zone=z;
    graph_policy_hold 5m;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /named/ {
        graph_policy_account $http_x_account;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
}
END

my $nginx = $kept->nginx;
my $api   = $kept->api;


# -- one that is whole --------------------------------------------------------

for my $i (1 .. 8) {
    my $phone = $kept->new_phone;

    $kept->send($phone, '400 133010/' . $i . ' trace=Atrace' . 'x' x $i);
    $kept->send($kept->new_phone, '400 131042', in => 'named',
        headers => ['X-Account' => 'account-' . 'a' x $i]);
    $kept->send($kept->new_phone, '401 190') if $i % 2;
    $kept->put($kept->new_phone, $i % 2 ? () : (probe => JSON::PP::false));
}
is(short($kept->hook->deliver(payload(entry(5001, map { messages(phone => $_,
    messages => [inbound()]) } map { $kept->new_phone } 1 .. 5)))), '200 - 1',
    'phones of an account');
ok($kept->settle, 'all is saved');

my $known = $kept->known;
my $good  = slurp($file);
my $size  = length $good;

is(scalar keys %$known, 28, 'there are states');
cmp_ok($size, '>', 500, 'and a file to spoil');
$kept->end_by('KILL');

my $read = 0;

sub new_log { return substr $nginx->log, $read }

# starts with these bytes in the file; whether it is up
sub starts_with {
    my ($bytes, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    unlink glob "$dir/*";

    if (defined $bytes) {
        spew($file, $bytes);
        chmod 0600, $file or die "chmod: $!";
    }

    return starts($name);
}

sub starts {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $read = length $nginx->log;
    local $nginx->{fails} = 1;
    $nginx->run;

    return 1 if ok(!$nginx->failed, "$name: nginx starts");
    diag($nginx->said);
    return 0;
}

# and does its work
sub works {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $phone = $kept->new_phone;

    is(join(' ', map { $kept->fate($phone, $_) } '200', '400 133010', '200'),
        '- passed blocked', "$name: and does its work");
    unlike(new_log(), qr/exited on signal|\[emerg\]/, "$name: nobody died");
}

# it is named, and lies beside
sub is_set_aside {
    my ($bytes, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    starts_with($bytes, $name) or return;

    my @told = grep { /\[(?:warn|error|crit|alert)\]/ && /\Q$file\E/ }
        split /\n/, new_log();
    ok(scalar(grep { /"z"/ && /(?:offset|byte|position|at)\D{0,20}\d/ } @told),
        "$name: the log names zone, file and offset")
        or diag(@told ? join "\n", @told : new_log());

    # a new one may just be under way
    my @beside = grep { $_ ne $file && !/\.tmp\z/ } glob "$dir/*";

    is(scalar @beside, 1, "$name: it is set aside");
    ok(@beside == 1 && slurp($beside[0]) eq $bytes, "$name: as it was");
    is(@beside ? (stat $beside[0])[2] & 0077 : '-', 0,
        "$name: for nobody else to read");
    works($name);
    $kept->end_by('KILL');
}

if (starts_with($good, 'the good file')) {
    is_deeply([glob "$dir/*"], [$file], 'the good file: stays');
    is_deeply($kept->known, $known, 'the good file: is read');
    $kept->end_by('KILL');
}

if (starts_with(undef, 'no file')) {
    unlike(new_log(), qr/\[(?:error|crit|alert)\]/,
        'no file: is nothing to complain of');
    works('no file');
    $kept->end_by('KILL');
}

if (starts_with('', 'an empty file')) {
    works('an empty file');
    $kept->end_by('KILL');
}


# -- those that are broken ----------------------------------------------------

is_set_aside(substr($good, 0, $_), "cut off at $_ of $size bytes")
    for map { int } 1, 7, map({ $_ * $size / 9 } 1 .. 8), $size - 20,
        $size - 2;

# a version from the future, as far as one can tell where it stands
my $future = $good;

if (substr($good, 0, 64) =~ /^\D*(\d)/) {
    substr $future, $-[1], 1, $1 == 9 ? 8 : 9;
} else {
    substr $future, 0, 8, substr($good, 0, 8) ^ "\xff" x 8;
}

is_set_aside($future, 'another version');

srand 5;
is_set_aside($_->[1], $_->[0]) for
    ['garbage',     join '', map { chr int rand 256 } 1 .. 5000],
    ['a text',      "This is something else.\n"],
    ['zeros',       "\0" x 4096],
    ['a huge line', 'a' x 4_000_000],
    ['depth',       '[' x 200_000];

# some of these may well be accepted, but none may end in a crash
for my $i (1 .. 8) {
    my $bytes = $good;
    my $at    = int rand $size;

    substr $bytes, $at, 1, chr int rand 256;

    if (starts_with($bytes, "another byte at $at")) {
        $api->states('z');
        works("another byte at $at");
        $kept->end_by('KILL');
    }
}

if (starts_with($good . 'x' x 100_000, 'more behind the end')) {
    works('more behind the end');
    $kept->end_by('KILL');
}

# a directory in its place
unlink glob "$dir/*";
mkdir $file or die "mkdir: $!";

if (starts('a directory')) {
    like(new_log(), qr/\[(?:warn|error|crit|alert)\][^\n]*\Q$file\E/,
        'a directory: it is told of');
    works('a directory');
    $kept->end_by('KILL');
}

rmdir $_ for grep { -d } glob "$dir/*";


# -- nowhere to write ---------------------------------------------------------

# what is said of a file that can't be written
sub is_told {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(wait_until(sub { new_log()
        =~ /\[(?:warn|error|crit|alert)\][^\n]*\Q$file\E/ }, 5),
        "$name: it is told of") or diag(new_log());
    works($name);
    cmp_ok(scalar(() = new_log() =~ /\[(?:warn|error|crit|alert)\]
        [^\n]*\Q$file\E/gx), '<', 50, "$name: but not all the time");
}

if (starts_with(undef, 'no folder')) {
    my $phone = $kept->new_phone;

    $kept->saves('no folder: before, a change', sub { $kept->put($phone) });
    ok($kept->settle, 'no folder: and all');

    $read = length $nginx->log;
    rename $dir, "$dir.away" or die "rename: $!";
    $kept->put($kept->new_phone);
    is_told('no folder');
    is($kept->fate($phone), 'blocked', 'no folder: states are kept');

    rename "$dir.away", $dir or die "rename: $!";
    ok($kept->settle, 'no folder: when it is back, all is saved');
    my $all = $kept->known;
    $kept->end_by('KILL');
    $nginx->run;
    is_deeply($kept->known, $all, 'no folder: what was learnt meanwhile, too');

    # and one that workers may not write to
    $read = length $nginx->log;
    chmod $> ? 0555 : 0755, $dir or die "chmod: $!";
    $kept->put($kept->new_phone);
    is_told('a folder of somebody else');
    ok($kept->end_by('QUIT'),
        'a folder of somebody else: nginx ends all the same');
    chmod 0777, $dir or die "chmod: $!";
}

my $mounted;

SKIP: {
    unlink glob "$dir/*";
    skip 'only root can mount', 11 if $>;
    $mounted = system("mount -t tmpfs -o size=64k,mode=0777 tmpfs $dir"
        . ' >/dev/null 2>&1') == 0;
    skip 'no tmpfs can be mounted', 11 if !$mounted;

    starts('a full disk') or last SKIP;

    my $phone = $kept->new_phone;

    $kept->saves('a full disk: before, a change', sub { $kept->put($phone) });
    ok($kept->settle, 'a full disk: and all');

    open my $filler, '>', "$dir/filler" or die "filler: $!";
    1 while syswrite $filler, 'x' x 4096;
    close $filler;

    $read = length $nginx->log;
    my $was = slurp($file);

    # more than what is left of a page has room for
    $kept->put($kept->new_phone) for 1 .. 60;
    is_told('a full disk');
    is(slurp($file), $was, 'a full disk: the old file stays whole');
    is($kept->fate($phone), 'blocked', 'a full disk: states are kept');

    unlink "$dir/filler" or die "unlink: $!";
    ok($kept->settle, 'a full disk: with room again all is saved');
    ok(wait_until(sub { join(' ', glob "$dir/*") eq $file }),
        'a full disk: nothing is left behind');

    my $all = $kept->known;

    $kept->end_by('KILL');
    $nginx->run;
    is_deeply($kept->known, $all, 'a full disk: and all are in the file');
    $kept->end_by('KILL');
}

END {
    my $status = $?;
    if ($mounted) {
        $kept->end_by('KILL') if $kept->hook && $nginx->workers;
        system("umount $dir >/dev/null 2>&1 || umount -l $dir");
    }
    $? = $status;
}

$api->is_clean;

done_testing();
