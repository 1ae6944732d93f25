#!/usr/bin/perl

# "make dist": the archive has all of the source, is the same whoever packs it,
# and whoever has nothing but the archive can pack it again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use File::Temp ();

use GraphPolicy qw(slurp);

my $top  = "$FindBin::Bin/..";
my $temp = File::Temp->newdir('dist.XXXXXX', TMPDIR => 1);
my $dir  = "$temp";

chomp(my $version = `$top/t/tools/version`);
my $root = "graph_policy-$version";

my ($changes) = slurp("$top/CHANGES.md") =~ /^## (\S+)$/m;
my ($readme)  = slurp("$top/README.md") =~ /^Version ([0-9.]+[0-9])\./m;

is($version, $changes, 'the version is the newest that CHANGES.md tells of');
is($version, $readme, 'and the one in the README');

delete $ENV{SOURCE_DATE_EPOCH};

is(pack_it($top, "$dir/one.tar.gz"), 0, 'the source is packed');
{
    local $ENV{TZ}   = 'Pacific/Kiritimati';
    local $ENV{GZIP} = '-1';
    my $mask = umask 0077;

    is(pack_it($top, "$dir/two.tar.gz"), 0, 'and once more, elsewhere');
    umask $mask;
}
ok(slurp("$dir/one.tar.gz") eq slurp("$dir/two.tar.gz"),
    'both are the same, byte for byte');
is(`cd '$dir' && sha256sum -c one.tar.gz.sha256 2>&1`, "one.tar.gz: OK\n",
    'its checksum is beside it');

my @files = sort split /\0/, `$top/t/tools/tree-files`;
my @packed = sort map { s{^\Q$root\E/}{}r } split /\n/, `tar -tzf $dir/one.tar.gz`;

cmp_ok(scalar @files, '>', 400, 'the files are listed');
is_deeply(\@packed, \@files, 'the archive has all of them, and no other');
is_deeply([grep { m{^(?:\.git|\.build)(?:/|\z)} } @packed], [],
    'nothing of git\'s, and nothing that was built');

is(system("tar -xzf $dir/one.tar.gz -C $dir"), 0, 'it is unpacked');
mkdir "$dir/$root/.build" or die "mkdir: $!";
is(pack_it("$dir/$root", "$dir/three.tar.gz"), 0,
    'without git it can be packed again');
ok(slurp("$dir/one.tar.gz") eq slurp("$dir/three.tar.gz"),
    'and is what it was');


# -- its signature ------------------------------------------------------------

my ($signs)    = slurp("$top/docs/contributing.md") =~ /^   (gpg .*)$/m;
my ($verifies) = slurp("$top/docs/deploying.md") =~ /^(gpg --verify .*)$/m;

SKIP: {
    skip 'there is no gpg', 4 if system('gpg --version >/dev/null 2>&1');

    # a key of the test's own
    local $ENV{GNUPGHOME} = "$dir/gnupg";
    mkdir $ENV{GNUPGHOME}, 0700 or die "mkdir: $!";
    system("gpg --batch --quiet --passphrase '' --quick-gen-key"
        . ' test@example.org default sign 1d >/dev/null 2>&1') == 0
        or skip 'gpg makes no key here', 4;

    is(pack_it($top, "$dir/$root.tar.gz"), 0, 'an archive by its own name');
    is(system("cd '$dir' && $signs >/dev/null 2>&1"), 0,
        'is signed as docs/contributing.md says');
    is(system("cd '$dir' && $verifies >/dev/null 2>&1"), 0,
        'and verified as docs/deploying.md says');

    open my $sum, '>>', "$dir/$root.tar.gz.sha256" or die "open: $!";
    print $sum "\n";
    close $sum;
    isnt(system("cd '$dir' && $verifies >/dev/null 2>&1"), 0,
        'a checksum that somebody has changed is refused');

    system('gpgconf --kill gpg-agent >/dev/null 2>&1');
}

done_testing;


sub pack_it {
    my ($from, $to) = @_;

    return system("'$from/t/tools/dist' '$to' >/dev/null 2>&1");
}
