#!/usr/bin/perl

# Published clients, unmodified, through the proxy: t/clients/drive.mjs says
# what is tested, and t/clients/clients.mjs where each shows an error. That
# docs/clients.md says the same is tested here.
#
# The clients are those of t/clients/packages, in .build/clients:
# "make test-clients" brings them. Without them the test is skipped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use File::Temp ();
use JSON::PP ();

use GraphPolicy;

my $here    = $FindBin::Bin;
my $modules = "$here/../../.build/clients/node_modules";

my ($node) = `node --version 2>/dev/null` =~ /^v(\d+)/;
my @missing = missing();

unshift @missing, 'node 20 or later' if ($node // 0) < 20;

if (@missing) {
    my $why = 'missing: ' . join ', ', @missing;

    die "$why\n" if $ENV{GRAPH_POLICY_NEED_CLIENTS};
    plan skip_all => "$why; see \"make test-clients\"";
}

my $tls = File::Temp->newdir('clients.XXXXXX', TMPDIR => 1);

chmod 0755, "$tls" or die "chmod: $!";
system("$here/../tools/make-cert", "$tls", 'graph.facebook.com',
    'lookaside.fbsbx.com', 'proxy.internal') == 0 or die "make-cert failed\n";

my $graph_port = GraphPolicy::free_ports(1);
my $nginx = GraphPolicy::Nginx->start(http => <<"END");
graph_policy_zone zone=clients:1m;
ssl_certificate     $tls/server.crt;
ssl_certificate_key $tls/server.key;
client_max_body_size 1m;
server {
    listen 127.0.0.1:%PORT%;
    listen 127.0.0.1:%PORT2% ssl;
    server_name graph.facebook.com proxy.internal;
    location / {
        graph_policy              zone=clients;
        graph_policy_hold         1h;
        graph_policy_conversation on;
        graph_policy_cooldown     on;
        proxy_set_header          Host \$host;
        proxy_set_header          X-Came-To \$scheme://\$http_host;
        proxy_pass                http://127.0.0.1:$graph_port;
    }
}
# where Meta keeps media: no part of the Graph API
server {
    listen 127.0.0.1:%PORT2% ssl;
    server_name lookaside.fbsbx.com;
    location / {
        proxy_set_header Host \$host;
        proxy_pass       http://127.0.0.1:$graph_port;
    }
}
END

delete @ENV{qw(http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY
    ALL_PROXY NO_PROXY NODE_OPTIONS NODE_TLS_REJECT_UNAUTHORIZED)};
$ENV{NODE_ENV}            = 'production';
$ENV{NODE_NO_WARNINGS}    = 1;
$ENV{NODE_EXTRA_CA_CERTS} = "$tls/ca.crt";
$ENV{CLIENTS_PORT}        = $nginx->{port2};

my @clients = @{ JSON::PP::decode_json(output('--input-type=module', '-e',
    "import { clients } from '$here/clients.mjs';"
    . 'console.log(JSON.stringify(clients))')) };

my %version = versions();

is(scalar(grep { $version{ $_->{name} } } @clients), 11,
    'eleven clients have a version');

drive($_->{name}) for @clients;

is_deeply([$nginx->complaints], [], 'nothing is wrong in the log');


# -- the page -----------------------------------------------------------------

my $page = GraphPolicy::slurp("$here/../../docs/clients.md");
my %row  = map { /^\| `([^`]+)` (\S+) \|(.*)\|$/ ? ($1 => [$2, $3]) : () }
    split /\n/, $page;

is_deeply([sort keys %row], [sort map { $_->{name} } @clients],
    'docs/clients.md has a row for each client');

for my $client (@clients) {
    my $name = $client->{name};
    my ($version, $cells) = @{ $row{$name} || ['', ''] };
    my @cells = map { s/^\s+|\s+$//gr } split /\|/, $cells;

    is($version, $version{$name}, "$name: the row says which version");
    is_deeply([@cells[0 .. 3]], [$client->{fails}, map { defined $client->{$_}
        ? "`$client->{$_}`" : '-' } qw(error status header)],
        "$name: the row says where errors are shown");
    is($cells[4], $client->{proxy} // '-',
        "$name: and how the client is told to use the proxy");
}

done_testing();


# the tests of the script, as tests of this file
sub drive {
    my ($name) = @_;

    my ($count, $failed, $plan) = (0, 0, 'none');

    open my $tap, '-|', 'node', '--require', "$here/redirect.cjs",
        "$here/drive.mjs", $name, $modules, $graph_port,
        'http://127.0.0.1:' . $nginx->port or die "node: $!";

    # whatever else a client prints is left out
    while (my $line = <$tap>) {
        if ($line =~ /^(not )?ok \d+ - (.*)/) {
            ok(!$1, "$name: $2") or $failed++;
            $count++;
        } elsif ($line =~ /^1\.\.(\d+)$/) {
            $plan = $1;
        } elsif ($line =~ /^# (.*)/) {
            diag($1);
        }
    }

    close $tap;
    is($? >> 8, $failed ? 1 : 0, "$name: the script ends as it should");
    is($plan, $count, "$name: all was tested");
}

# package => version, of t/clients/packages
sub versions {
    return map { /^(\S+)@(\S+)$/ ? ($1 => $2) : () } split /\n/,
        GraphPolicy::slurp("$here/packages");
}

# what isn't there, or not in the version that is wanted
sub missing {
    my %wanted = versions();
    my @missing;

    for my $name (sort keys %wanted) {
        my $package = GraphPolicy::slurp("$modules/$name/package.json");
        my ($version) = $package =~ /^\s*"version":\s*"([^"]+)"/m;

        push @missing, "$name\@$wanted{$name}"
            if ($version // '') ne $wanted{$name};
    }

    return @missing;
}

sub output {
    open my $pipe, '-|', 'node', @_ or die "node: $!";
    local $/;
    return <$pipe>;
}
