#!/usr/bin/perl

# A module that is loaded and not used: no handler in any phase, no filter in
# any chain, nothing about a request is another.

use strict;
use warnings;
no warnings "portable";

use Test::More;

use Config;
use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(slurp spew wait_until);

# names with a meaning, from an upstream that knows them
my @theirs = map { "header=$_" } 'X-Graph-Policy:theirs',
    'X-Graph-Error-Category:theirs', 'X-Graph-State:theirs',
    'X-Graph-Hold:theirs',
    'Retry-After:7';
my $error = join ' ', '400 131042', @theirs;

my $graph = GraphPolicy::Graph->start;

# name, in http, in the server, in the location, whether the policy is used
my @cases = (
    ['bare', '', '', '', 0],
    ['nothing configured', '', '', '', 0],
    ['off', '', '', 'graph_policy off;', 0],
    ['off at each level', 'graph_policy off;', 'graph_policy off;',
        'graph_policy off;', 0],
    ['a zone that nobody uses', 'graph_policy_zone zone=z:1m;', '', '', 0],
    ['everything but graph_policy', <<'END', '', '', 0],
graph_policy_zone             zone=z:1m;
graph_policy_dry_run          off;
graph_policy_rule             131042 fatal hold=1h;
graph_policy_credential       $http_x;
graph_policy_account          $http_x;
graph_policy_phone            $http_x;
graph_policy_send             1;
graph_policy_pause            all;
graph_policy_hold             1h;
graph_policy_status           503;
graph_policy_buffer_size      8k;
graph_policy_accept_encoding  on;
graph_policy_log_level        info;
END
    ['used', 'graph_policy_zone zone=z:1m;', '', 'graph_policy zone=z;', 1],
);

my ($phases, $top);

for (@cases) {
    my ($name, $http, $server, $location, $used) = @$_;

    my $class = $name eq 'bare' ? 'Bare' : 'GraphPolicy::Nginx';
    my $nginx = $class->start(graph => $graph, log_level => 'debug',
        http => conf($http, $server, $location));

    $graph->clear;

    my @answers = map { send_one($nginx, @$_) }
        ['/1/messages', $error], ['/1/messages', '200'], ['/1', '200'];

    if ($name eq 'bare') {
        $phases = phases($nginx);
        $top    = tops($nginx);
    }

    SKIP: {
        skip 'nginx is built without its debug log', 1 if !$phases;

        if ($used) {
            isnt(phases($nginx), $phases, "$name: it has a phase handler");
        } else {
            is(phases($nginx), $phases, "$name: no phase has a handler more");
        }
    }

    SKIP: {
        skip 'the filters of a running nginx can not be told here', 1 if !$top;

        if ($used) {
            isnt(tops($nginx), $top, "$name: it is in the filter chains");
        } else {
            is(tops($nginx), $top, "$name: the filter chains are nginx's own");
        }
    }

    if ($used) {
        is($answers[0]{headers}{'x-graph-policy'}, 'passed',
            "$name: an error is tagged");
        is($answers[1]{headers}{'x-graph-policy'}, 'blocked',
            "$name: the next send is blocked");
        is($graph->count, 2, "$name: and stays here");

    } else {
        is_deeply([@{ $answers[0]{headers} }{qw(x-graph-policy
            x-graph-error-category x-graph-state x-graph-hold retry-after)}],
            ['theirs', 'theirs', 'theirs', 'theirs', '7'],
            "$name: what an upstream says in our headers comes through");
        is_deeply([map { $_->{status} } @answers], [400, 200, 200],
            "$name: no send is blocked");
        is_deeply([map { $_->{headers}{'accept-encoding'} } $graph->requests],
            ['br', 'br', 'br'], "$name: Accept-Encoding is as it came");
    }

    unlike($nginx->log, qr/: (?:\*\d+ )?graph[ _]policy/,
        "$name: the module says nothing") if !$used;
    is_deeply([$nginx->complaints], [], "$name: nor has nginx anything to say");

    $nginx->stop;
}


# -- it comes and goes with the configuration ---------------------------------

my $off = conf('graph_policy_zone zone=z:1m;', '', 'graph_policy off;');
my $on  = conf('graph_policy_zone zone=z:1m;', '', 'graph_policy zone=z;');

my $nginx = GraphPolicy::Nginx->start(graph => $graph, log_level => 'debug',
    http => $off);

for (1, 2) {
    is(send_one($nginx, '/1/messages', $error)->{headers}{'x-graph-policy'},
        'theirs', "off, $_: an error comes as it is");

    SKIP: {
        skip 'the filters of a running nginx can not be told here', 1 if !$top;
        is(tops($nginx), $top, "off, $_: the filter chains are nginx's own");
    }

    ok($nginx->reload($on), "on, $_");
    is(send_one($nginx, '/1/messages', $error)->{headers}{'x-graph-policy'},
        $_ == 1 ? 'passed' : 'blocked', "on, $_: an error is tagged, once");
    ok($nginx->reload($off), "off again, $_");
}

is_deeply([$nginx->complaints], [], 'and nobody complains');

done_testing();


# -- helpers ------------------------------------------------------------------

sub conf {
    my ($http, $server, $location) = @_;

    return <<"END";
$http
server {
    listen 127.0.0.1:%PORT%;
    $server
    location / {
        $location
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END
}

sub send_one {
    my ($nginx, $path, $mock) = @_;

    return $nginx->request(path => $path, token => 'one', mock => $mock,
        headers => ['Accept-Encoding' => 'br']);
}

# which handlers of phases the first request met
sub phases {
    my ($nginx) = @_;

    my ($first) = grep { /phase: \d+$/m } split /(?<=http close request\n)/,
        $nginx->log;

    return join ' ', ($first // '') =~ /\*\d+ ([a-z ]+ phase: \d+)$/mg;
}

# Whose are the filters that come first: the file in which they are, and where
# in it. That is in the memory of the worker, in variables that nginx exports.
sub tops {
    my ($nginx) = @_;

    # a worker of before a reload may end while it is looked into
    for (1 .. 20) {
        for my $worker ($nginx->workers) {
            my $tops = tops_of($worker);
            return $tops if $tops ne '';
        }
    }

    return '';
}

sub tops_of {
    my ($worker) = @_;

    my $exe     = readlink("/proc/$worker/exe") // return '';
    my @symbols  = `nm -D $exe 2>/dev/null` or return '';

    open my $memory, '<', "/proc/$worker/mem" or return '';
    binmode $memory;

    my @maps = map {
        m{^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \S+\s+(/.*)?}
            ? [hex $1, hex $2, hex $3, $4 // ''] : ()
    } split /\n/, slurp("/proc/$worker/maps");

    my ($base) = map { $_->[0] - $_->[2] } grep { $_->[3] eq $exe } @maps;
    return '' if !defined $base;

    my @tops;

    for my $name (qw(header body)) {
        my ($at) = map { /^([0-9a-f]+) \w ngx_http_top_${name}_filter$/
            ? hex $1 : () } @symbols;
        return '' if !defined $at;

        # of an executable that isn't relocated, the address is the place
        $at += $base if $at < $base;

        sysseek $memory, $at, 0 or return '';
        sysread $memory, my $bytes, $Config{ptrsize} or return '';

        my $filter = unpack $Config{ptrsize} == 8 ? 'Q' : 'L', $bytes;
        my ($map)  = grep { $filter >= $_->[0] && $filter < $_->[1] } @maps;
        return '' if !$map;

        push @tops, sprintf '%s at %x', $map->[3] =~ s{.*/}{}r,
            $filter - $map->[0] + $map->[2];
    }

    return "@tops";
}


package Bare;

use parent -norequire, 'GraphPolicy::Nginx';

sub configure {
    my ($self, @more) = @_;

    $self->SUPER::configure(@more);

    my $file = $self->dir . '/nginx.conf';
    my $text = GraphPolicy::slurp($file);

    $text =~ s/^load_module .*;$//m or die 'no load_module';
    GraphPolicy::spew($file, $text);
}
