#!/usr/bin/perl

# A build for an nginx that was configured with --with-compat alone, so without
# TLS, and is loaded by one that has it: configure warns of what it can't do,
# nginx says so of each directive that needs it, and all else works.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(slurp spew);

plan skip_all => 'a whole build has TLS' if ($ENV{KIND} // 'module') ne 'module';

my $top = Cwd::abs_path("$FindBin::Bin/..");
my $out = "$top/.build/bare";

{
    local %ENV = (%ENV, KIND => 'bare', OUT => $out);

    is(system("$top/t/tools/build >$out.said 2>&1"), 0,
        'the module is built with --with-compat alone')
        or BAIL_OUT(slurp("$out.said"));
}

my $warning = qr/warning: the graph_policy module is built without TLS to Redis/;
my $said = slurp("$out.log") =~ s/\s+/ /gr;

like($said, $warning, 'configure warns that Redis can\'t be spoken to by TLS');
like($said, qr/which needs --with-http_ssl_module:/, 'says which option it needs');
like($said, qr/"graph_policy_sync_ssl on" and all directives/,
    'which directive won\'t work');
like($said, qr/whose names begin with graph_policy_sync_ssl_ will be refused/,
    'and that those beside it won\'t either');

my $with = $ENV{OUT} && "$ENV{OUT}.log";

SKIP: {
    skip 'there is no log of the other build', 1 if !$with || !-e $with;
    unlike(slurp($with) =~ s/\s+/ /gr, $warning,
        'where TLS is configured it has nothing to warn of');
}

my $temp  = File::Temp->newdir('graph_policy.XXXXXX', TMPDIR => 1);
my $fleet = "graph_policy_sync zone=z server=127.0.0.1:6379"
    . " key_file=$temp/graph.key;";

mkdir "$temp/logs";
spew("$temp/graph.key", 'k' x 64 . "\n");
chmod 0600, "$temp/graph.key";

# what nginx says of a configuration
sub tested {
    my ($http) = @_;

    spew("$temp/nginx.conf", <<"END");
load_module $out/ngx_http_graph_policy_module.so;
pid         $temp/pid;
error_log   stderr;
events      {}
http {
    @{[ map { "${_}_temp_path $temp/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi) ]}
    graph_policy_zone zone=z:1m;
    $http
}
END
    $said = `$GraphPolicy::nginx_binary -t -p $temp -c $temp/nginx.conf 2>&1`;
    return $?;
}

is(tested($fleet), 0, 'a fleet without TLS can be configured') or diag $said;
is(tested("$fleet graph_policy_sync_ssl off;"), 0,
    'and may say that it has none') or diag $said;

# each with arguments that it takes where there is TLS

my ($tls) = slurp("$top/docs/directives.md")
    =~ /^(### graph_policy_sync_ssl\n.*?)^## /ms;
my @directives = $tls =~ /^### (graph_policy_sync_ssl\w*)$/mg;
my %argument = (graph_policy_sync_ssl => 'on',
    graph_policy_sync_ssl_verify    => 'off',
    graph_policy_sync_ssl_protocols => 'TLSv1.2 TLSv1.3');

cmp_ok(scalar @directives, '==', 8, 'all directives for TLS are known');

for my $name (@directives) {
    my $words = $argument{$name} // 'x';

    isnt(tested("$fleet $name $words;"), 0, "$name $words is refused");
    like($said, qr/\[emerg\]\ .*"$name"\ directive\ isn't\ available:
        \ the\ module\ was\ built\ for\ an\ nginx\ without\ TLS,
        \ --with-http_ssl_module\ gives\ it/x, 'and nginx says why');
}

done_testing;
