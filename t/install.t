#!/usr/bin/perl

# "make install" and "make uninstall": what they write and take away, and that
# neither touches what a package of Debian owns. dpkg is the real one, its
# database is one of the test's own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use File::Temp ();

use GraphPolicy qw(slurp spew);

my $tool    = "$FindBin::Bin/tools/install-module";
my $name    = 'ngx_http_graph_policy_module.so';
my $package = 'libnginx-mod-http-graph-policy';

my $temp = File::Temp->newdir('install.XXXXXX', TMPDIR => 1);
my $dir  = "$temp";
my ($so, $conf, $link) = ("$dir/usr/lib/nginx/modules/$name",
    "$dir/usr/share/nginx/modules-available/mod-http-graph-policy.conf",
    "$dir/etc/nginx/modules-enabled/70-mod-http-graph-policy.conf");
my $debian = -d '/etc/nginx/modules-enabled';

mkdir "$dir/$_" or die "mkdir: $!" for qw(dpkg dpkg/info dpkg/updates);
spew("$dir/module.so", 'a module');

$ENV{DPKG_ADMINDIR} = "$dir/dpkg";
$ENV{DESTDIR}       = $dir;
$ENV{MODULES_PATH}  = '/usr/lib/nginx/modules';
$ENV{MODULE}        = "$dir/module.so";
$ENV{NGINX_BINARY}  = $GraphPolicy::nginx_binary;

my $said;

# -- without a package --------------------------------------------------------

owned();
is(run('install'), 0, 'where no package has it, make install installs it')
    or diag $said;
is(slurp($so), 'a module', 'the module');

SKIP: {
    skip 'nginx isn\'t Debian\'s', 2 if !$debian;

    is(slurp($conf), "load_module $ENV{MODULES_PATH}/$name;\n",
        'the line that loads it');
    is(readlink $link, $conf =~ s/^\Q$dir\E//r,
        'and the link that enables it after all others');
}

spew("$dir/module.so", 'a newer one');
open my $mapped, '<', $so or die "$so: $!";
is(run('install'), 0, 'installed again');
is(slurp($so), 'a newer one', 'it is the new one');
is(join('', <$mapped>), 'a module', 'a nginx that has the old one keeps it');

is(run('uninstall'), 0, 'make uninstall');
ok(!-e $_ && !-l $_, 'takes it away: ' . s/^\Q$dir\E//r)
    for $so, $conf, $link;
is(run('uninstall'), 0, 'and where there is nothing, it takes nothing away');


# -- what a package owns ------------------------------------------------------

SKIP: {
    skip 'there is no dpkg', 19 if system('dpkg-query --version >/dev/null');

    for my $path ($so, $conf) {
        owned();
        run('install');
        spew($path, 'of the package');

        # as apt does over what make install has left
        owned($path);

        for my $action (qw(install uninstall)) {
            my @before = map { -e $_ ? slurp($_) : '' } $so, $conf, $link;

            isnt(run($action), 0, "make $action refuses what a package owns");
            like($said, qr/^$action: \Q$path\E belongs to the package $package$/m,
                'it says whose it is');
            like($said, qr/^    apt-get remove $package$/m,
                'and which command to use');
            is_deeply([map { -e $_ ? slurp($_) : '' } $so, $conf, $link],
                \@before, 'nothing has changed');
        }
    }

    owned("$so.old");
    is(run('install'), 0, 'a file whose name is longer is another one');
    owned($so);
    spew("$dir/dpkg/status", '');
    is(run('install'), 0, 'what was a package\'s is nobody\'s');
    is(slurp($so), 'a newer one', 'and is replaced');
}

done_testing;


# dpkg's database: a package that has these files
sub owned {
    my (@files) = @_;

    unlink glob "$dir/dpkg/info/*";
    spew("$dir/dpkg/status", '');
    return if !@files;

    spew("$dir/dpkg/status", <<"END");
Package: $package
Status: install ok installed
Maintainer: somebody <somebody\@example.org>
Architecture: all
Version: 1
Description: a test

END
    spew("$dir/dpkg/info/$package.list", join '', map { "$_\n" } '/.', @files);
}

sub run {
    my ($action) = @_;

    $said = `$tool $action 2>&1`;
    return $?;
}
