#!/usr/bin/perl

# Which builds of the module fit an nginx that is built with the options of
# nginx.org: MODULE, which was built for it by "make build"; COMPAT and PLAIN,
# folders of a build with --with-compat alone, and of one without any option.
# t/tools/test-nginx-org makes them, and runs this.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use File::Temp ();

use GraphPolicy qw(slurp spew);

die "no COMPAT and PLAIN: run make test-nginx-org\n"
    if !$ENV{COMPAT} || !$ENV{PLAIN};

my $temp  = File::Temp->newdir('builds.XXXXXX', TMPDIR => 1);
my $dir   = "$temp";
my $nginx = $GraphPolicy::nginx_binary;
my $name  = 'ngx_http_graph_policy_module.so';
my $said;

my ($configured) = `$nginx -V 2>&1` =~ /^configure arguments: (.*)/m;

like($configured, qr/--with-compat .*--with-http_v2_module/,
    'nginx is built as nginx.org builds it');

mkdir "$dir/logs" or die "mkdir: $!";
spew("$dir/graph.key", 'k' x 64 . "\n");

my $zone = 'graph_policy_zone zone=z:1m;';
my $tls  = "$zone graph_policy_sync zone=z server=127.0.0.1:6379"
    . " key_file=$dir/graph.key; graph_policy_sync_ssl on;";

for ($GraphPolicy::module) {
    is(loads($_, $zone), 0, 'what make build has built for it fits')
        or diag $said;
    unlike($said, qr/another filter/, 'and is the first of the filters');
    is(loads($_, $tls), 0, 'it can do all, TLS to Redis, too') or diag $said;
}

for ("$ENV{COMPAT}/$name") {
    is(loads($_, $zone), 0, 'a build with --with-compat alone fits')
        or diag $said;
    isnt(loads($_, $tls), 0, 'but can do less: what nginx wasn\'t configured');
    like($said, qr/"graph_policy_sync_ssl" directive isn't available:/,
        'with isn\'t in it');
}

for ("$ENV{PLAIN}/$name") {
    isnt(loads($_, $zone), 0, 'one without --with-compat doesn\'t fit');
    like($said, qr/is not binary compatible/, 'and nginx says so');
}

done_testing;


sub loads {
    my ($module, $http) = @_;

    my $paths = join ' ', map { "${_}_temp_path $dir/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);

    spew("$dir/nginx.conf", "load_module $module; pid $dir/pid; events {}\n"
        . "http { $paths access_log off; $http }\n");
    $said = `$nginx -t -p $dir -e $dir/logs/error.log -c $dir/nginx.conf 2>&1`;
    return $?;
}
