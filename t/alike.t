#!/usr/bin/perl

# A location with the policy on gives the client what one without it gives,
# byte for byte but for the headers that the policy adds to errors, in whatever
# kind of location, framing and coding.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use GraphPolicy qw(finish_requests);
use GraphPolicy::Graph ();

# 30 kinds of location: what stands in it beside proxy_pass
my @kinds = (
    ['plain',               ''],
    ['unbuffered',          'proxy_buffering off;'],
    ['small buffers',       'proxy_buffer_size 2k; proxy_buffers 4 2k;'
                            . ' proxy_busy_buffers_size 4k;'],
    ['HTTP/1.1',            'proxy_http_version 1.1;'
                            . ' proxy_set_header Connection "";'],
    ['a kept connection',   'proxy_http_version 1.1;'
                            . ' proxy_set_header Connection "";'
                            . ' keepalive_requests 2;'],
    ['streamed requests',   'proxy_request_buffering off;'],
    ['gzip',                'gzip on; gzip_types *; gzip_min_length 1;'
                            . ' gzip_proxied any;'],
    ['gunzip',              'gunzip on;'],
    ['gzip and gunzip',     'gzip on; gzip_types *; gzip_min_length 1;'
                            . ' gunzip on; gzip_proxied any;'],
    ['sub_filter',          'sub_filter Mock mock; sub_filter_types *;'],
    ['sub_filter, all',     'sub_filter e E; sub_filter_once off;'
                            . ' sub_filter_types *;'],
    ['addition',            'add_before_body /before;'
                            . ' addition_types *;'],
    ['ssi',                 'ssi on; ssi_types *;'],
    ['add_header',          'add_header X-Mine yes always;'],
    ['hidden headers',      'proxy_hide_header Content-Type;'],
    ['passed headers',      'proxy_pass_header Date;'
                            . ' proxy_pass_header Server;'],
    ['charset',             'charset utf-8; charset_types *;'],
    ['expires',             'expires 1h;'],
    ['limit_rate',          'limit_rate 1m;'],
    ['no chunks',           'chunked_transfer_encoding off;'],
    ['etag off',            'etag off; if_modified_since off;'],
    ['cache',               'proxy_cache c; proxy_cache_valid any 1s;'
                            . ' proxy_cache_key $request_id;'],
    ['no temporary file',   'proxy_max_temp_file_size 0;'],
    ['ranges',              'proxy_force_ranges on;'],
    ['a mirror',            'mirror /mirror;'],
    ['auth_request',        'auth_request /allowed;'],
    ['satisfy any',         'satisfy any; deny all; auth_request /allowed;'],
    ['limit_req',           'limit_req zone=r burst=1000 nodelay;'],
    ['intercepted errors',  'proxy_intercept_errors on;'
                            . ' error_page 404 =404 /page;'],
    ['an error_page',       'error_page 400 /page;'],
);

my @statuses = ('200', '201', '204', '400 131051', '404 100', '500', '503');
my @framings = ('', 'chunked', 'eof', 'split');
my @codings  = ('', 'gzip');

my $locations = join '', map {
    my ($number, $more) = ($_, $kinds[$_][1]);

    map { <<"END" } ['off', 'off'], ['on', 'zone=z'];
    location /$_->[0]/$number/ {
        graph_policy $_->[1];
        $more
        proxy_pass http://127.0.0.1:%GRAPH%/;
    }
END
} 0 .. $#kinds;

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, http => <<"END");
graph_policy_zone zone=z:1m;
limit_req_zone \$uri zone=r:1m rate=1000r/s;
proxy_cache_path %DIR%/cache keys_zone=c:1m;

server {
    listen 127.0.0.1:%PORT%;
    default_type application/json;

    # what Meta is asked for differs, the client's own choice doesn't
    graph_policy_accept_encoding off;

$locations
    location = /before { return 200 'before'; }
    location = /page { return 200 'page'; }
    location = /allowed { return 204; }
    location = /mirror { return 204; }
}
END

# what the client gets, without what has to differ
sub seen {
    my ($answer) = @_;

    my $head = $answer->{head} =~ s/^Date: [^\r]*/Date: D/mr;

    $head =~ s/^X-Graph-[^\r\n]*\r?\n?//mg;
    $head =~ s/^Expires: [^\r]*/Expires: E/mg;
    $head =~ s/\s+\z//;

    return join "\n", $answer->{error} // '', $head, '', $answer->{body};
}

my $compared = 0;
my $judged   = 0;

for my $number (0 .. $#kinds) {
    my (@differ, @calls, @names);

    for my $status (@statuses) {
        for my $framing (@framings) {
            for my $coding (@codings) {
                next if $status eq '204' && "$framing$coding";

                my $script = join ' ', grep { length } $status, $framing,
                    $coding;

                for my $accept ('', 'gzip') {
                    push @names, "$script, " . ($accept || 'no gzip');
                    push @calls, map { {
                        port    => $nginx->port,
                        method  => 'POST',
                        path    => "/$_/$number/v25.0/" . (1000 + @names)
                            . '/messages',
                        token   => 'a',
                        body    => '{"to":"15550001111"}',
                        headers => ['X-Key' => "$_.$number." . @names,
                            'X-Mock' => $script, $accept
                            ? ('Accept-Encoding' => $accept) : ()],
                    } } qw(off on);
                }
            }
        }
    }

    while (@calls) {
        my @some = GraphPolicy::parallel(splice @calls, 0, 40);

        while (my ($without, $with) = splice @some, 0, 2) {
            my $name = shift @names;

            $compared++;
            $judged++ if $with->{head} =~ /^X-Graph-Error-Category: /m
                && $without->{head} !~ /^X-Graph-/m;
            push @differ, "$name:\n" . seen($without) . "\nwith:\n"
                . seen($with) if seen($without) ne seen($with);
        }
    }

    is(join("\n\n", @differ[0 .. (@differ > 2 ? 2 : $#differ)]), '',
        "$kinds[$number][0]: with the policy as without it");
}

cmp_ok($compared, '>', 2000, "$compared answers were compared");
cmp_ok($judged, '>', 1000, "$judged errors were judged, with the policy alone");

done_testing();
