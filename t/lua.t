# vi:set ft= ts=4 sw=4 et:

# Other filter modules, in both orders of load_module: lua's, which is a judge
# of what filters see, and one that insists on being the first.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(wait_until slurp slow);
use GraphPolicy::Graph;

plan skip_all => 'lua is not for valgrind' if $ENV{TEST_NGINX_USE_VALGRIND};

my ($modules) = qx($GraphPolicy::nginx_binary -V 2>&1)
    =~ /--modules-path=(\S+)/;
my @lua = map { ($modules // '') . "/$_" }
    'ndk_http_module.so', 'ngx_http_lua_module.so';

my $upstream = GraphPolicy::Graph->start;
my $ours     = $GraphPolicy::module;
my $nginx;

my $http = <<'END';
    graph_policy_zone zone=z:1m;

    log_format lua '$uri $status "$upstream_status" $graph_policy_attempts';
    client_max_body_size 8m;

    server {
        listen 127.0.0.1:%PORT%;
        access_log %DIR%/access.log lua;

        graph_policy       zone=z;
        graph_policy_retry attempts=3 base=20ms factor=1 budget_min=100000;

        # what is counted of a request is told in the log
        rewrite_by_lua_block {
            ngx.ctx.rewrites = (ngx.ctx.rewrites or 0) + 1
        }
        access_by_lua_block {
            ngx.ctx.accesses = (ngx.ctx.accesses or 0) + 1
            ngx.header["X-From-Access"] = "kept"
            ngx.header["X-Two"] = { "one", "two" }
        }
        header_filter_by_lua_block {
            ngx.ctx.headers = (ngx.ctx.headers or 0) + 1
            ngx.header["X-Lua-Saw"] = ngx.status
            ngx.header.content_length = nil
        }
        body_filter_by_lua_block {
            ngx.ctx.bytes = (ngx.ctx.bytes or 0) + #ngx.arg[1]
            if ngx.arg[2] then
                ngx.ctx.ends = (ngx.ctx.ends or 0) + 1
            end
            ngx.arg[1] = string.upper(ngx.arg[1])
        }
        log_by_lua_block {
            local c = ngx.ctx
            ngx.log(ngx.NOTICE, "saw ", ngx.var.uri, ": rewrites ",
                c.rewrites, ", accesses ", c.accesses, ", headers ",
                c.headers, ", bytes ", c.bytes, ", ends ", c.ends)
        }

        location / {
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
        location /read/ {
            client_body_buffer_size 8k;
            access_by_lua_block {
                ngx.req.read_body()
                ngx.header["X-From-Access"] = "kept"
            }
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
        location /put/ {
            access_by_lua_block {
                ngx.req.read_body()
                ngx.req.set_body_data("put there")
                ngx.req.set_header("X-Put", "there")
            }
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
        location /capture {
            content_by_lua_block {
                local a = ngx.location.capture("/v25.0/captured")
                ngx.print(a.status, " ", a.body)
            }
            body_filter_by_lua_block { }
        }
        location /waits/ {
            graph_policy_retry attempts=3 base=1s budget_min=100000;
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
    }
END

# the same without any of lua
my $plain = <<'END';
    graph_policy_zone zone=z:1m;

    server {
        listen 127.0.0.1:%PORT%;

        graph_policy       zone=z;
        graph_policy_retry attempts=3 base=20ms factor=1 budget_min=100000;

        location / {
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
    }
END

# lines of the log that begin so, once there is one
sub said {
    my ($pattern) = @_;

    my @lines;
    wait_until(sub { @lines = grep { /$pattern/ } split /\n/, $nginx->log });
    return @lines;
}

sub tried {
    my ($path, $script, %more) = @_;

    $upstream->clear;
    my $answer = $nginx->request(path => $path, %more,
        headers => ['X-Mock' => $script, 'X-Key' => $path]);
    return ($answer, $upstream->requests);
}

sub counts {
    my ($name, $uri, $bytes) = @_;

    my ($line) = said(qr/saw \Q$uri\E: /);
    like($line // '', qr/saw \Q$uri\E: rewrites 1, accesses 1, headers 1, bytes $bytes, ends 1\b/,
        "$name: lua saw one answer");
}

sub accepted {
    my ($name, $answer) = @_;

    my $body = uc GraphPolicy::Graph::body_of('200', 1);
    is($answer->{error}, undef, "$name: complete");
    is($answer->{status}, 200, "$name: accepted");
    is($answer->{headers}{'x-graph-policy'}, 'retried', "$name: retried");
    is($answer->{body}, $body, "$name: the body, by lua");
    is($answer->{headers}{'x-lua-saw'}, 200, "$name: one header for lua");
    is($answer->{headers}{'x-from-access'}, 'kept',
        "$name: a header of the access phase survives");
}

# what has to go well if the order is right, or doesn't matter
sub requests {
    my ($order) = @_;

    my $twice = '500 131016 fill=30 | 500 131016';
    my $size  = length GraphPolicy::Graph::body_of('200', 1);

    for my $framing ('', 'chunked', 'eof', 'split') {
        my $name = "$order, " . ($framing || 'with its length');
        my $path = '/v25.0/of-' . ($framing || 'length');
        my ($answer, @tries) = tried($path,
            "500 131016 $framing fill=30 | 500 131016 $framing | 200");

        accepted($name, $answer);
        is(scalar @tries, 3, "$name: tries");
        is($answer->{headers}{'x-two'}, 'one, two', "$name: both of two");
        unlike($answer->{head}, qr/X-Fill/, "$name: nothing stale");
        counts($name, $path, $size);
    }

    my $large = 'large' x 200000;
    my ($answer, @tries) = tried('/read/1', "$twice | 200", body => $large);
    accepted("$order, a body read by lua", $answer);
    is(scalar(grep { $_->{body} eq $large } @tries), 3,
        "$order, a body read by lua: all tries have it");

    ($answer, @tries) = tried('/put/1', "$twice | 200", body => 'mine');
    is($answer->{status}, 200, "$order, a body made by lua: accepted");
    is(join(',', map { "$_->{body} $_->{headers}{'x-put'}" } @tries),
        join(',', ('put there there') x 3),
        "$order, a body made by lua: all tries have it");

    my $last = uc GraphPolicy::Graph::body_of('500 131016', 3);
    ($answer, @tries) = tried('/v25.0/exhausted', $twice);
    is($answer->{status}, 500, "$order, the last error: delivered");
    is($answer->{body}, $last, "$order, the last error: by lua");
    is(scalar @tries, 3, "$order, the last error: tries");
    is($answer->{headers}{'x-lua-saw'}, 500,
        "$order, the last error: one header for lua");
    counts("$order, the last error", '/v25.0/exhausted', length $last);

    ($answer, @tries) = tried('/v25.0/once', '400 131047');
    is($answer->{status}, 400, "$order, another error: delivered");
    is($answer->{body}, uc GraphPolicy::Graph::body_of('400 131047', 1),
        "$order, another error: by lua");

    # of a subrequest
    $upstream->clear;
    $upstream->script('/v25.0/captured', '500 131016 | 200');
    $answer = $nginx->request(path => '/capture', method => 'GET');
    like($answer->{body}, qr/^500 \{"error"/i,
        "$order, a captured location: its error");
    is($upstream->count, 1, "$order, a captured location: tried once");

    # its client leaves
    $upstream->clear;
    my $call = $nginx->start_request(path => '/waits/1',
        headers => ['X-Mock' => '500 131016 | 200']);
    $upstream->wait_for(1);
    sleep 0.1;
    GraphPolicy::abort_request($call);
    ok(wait_until(sub {
        slurp($nginx->dir . '/access.log') =~ m{^/waits/1 499 "500"}m
    }), "$order, the client leaves: the log");
    sleep 1.1;
    is($upstream->count, 1, "$order, the client leaves: not called again");
}

my $warning = qr/\[error\].*another filter module.*load_module/;

sub stop {
    my ($name) = @_;

    $nginx->stop('QUIT');
    is(join("\n", $nginx->complaints), '', "$name: nothing is wrong");
    undef $nginx;
}


# -- lua

SKIP: {
    skip 'libnginx-mod-http-lua is not installed', 1 if grep { !-e } @lua;

    {
        local $GraphPolicy::module = join ";\nload_module ", @lua, $ours;
        $nginx = GraphPolicy::Nginx->start(graph => $upstream, fails => 1,
            http => $http);
    }

    if ($nginx->failed) {
        my ($why) = $nginx->said =~ /\[emerg\] (.*)/;
        skip "lua doesn't start here: $why", 1
            if $why =~ /is not binary compatible|dlopen\(\)/;
        die $nginx->said;
    }

    unlike($nginx->log, $warning, 'lua before: nothing is said');
    requests('lua before');
    stop('lua before');

    # it asks for its place, behind ours
    $nginx = GraphPolicy::Nginx->start(graph => $upstream, http => $http,
        main => join "\n", map { "load_module $_;" } @lua);

    unlike($nginx->log, $warning, 'lua after: nothing is said');
    requests('lua after');
    stop('lua after');
}


# -- headers-more

SKIP: {
    my $more = ($modules // '') . '/ngx_http_headers_more_filter_module.so';
    skip 'libnginx-mod-http-headers-more-filter is not installed', 1
        if !-e $more;

    my $config = $plain =~ s{(proxy_pass)}{
        more_set_headers 'X-More: \$upstream_status' 'Server: another';
        more_clear_headers X-Fill-1;
        more_set_input_headers 'X-Put: there';
        $1}r;

    for my $order ('before', 'after') {
        {
            local $GraphPolicy::module = $order eq 'before'
                ? "$more;\nload_module $ours" : "$ours;\nload_module $more";
            $nginx = GraphPolicy::Nginx->start(graph => $upstream,
                fails => 1, http => $config);
        }
        skip "it doesn't start here: " . $nginx->said, 1 if $nginx->failed;

        my $name = "headers-more $order";
        my ($answer, @tries) = tried('/v25.0/1',
            '500 131016 fill=3 | 500 131016 | 200 fill=3');

        is($answer->{status}, 200, "$name: accepted");
        is($answer->{headers}{'x-more'}, '500, 500, 200', "$name: set once");
        is($answer->{headers}{server}, 'another', "$name: replaced");
        is($answer->{headers}{'x-fill-1'}, undef, "$name: cleared");
        is($answer->{headers}{'x-fill-2'}, 'of-try-3', "$name: left");
        is(join(' ', map { $_->{headers}{'x-put'} } @tries),
            'there there there', "$name: of the request");
        unlike($nginx->log, $warning, "$name: no warning");
        stop($name);
    }
}


# -- a module that comes to stand before ours

my $dir = File::Temp->newdir('graph_policy.XXXXXX', TMPDIR => 1);
chmod 0755, $dir;

SKIP: {
    my ($out) = $ours =~ m{^(.*)/};
    skip 'nginx\'s sources are not at hand', 1 if !-d "$out.tree/src";

    GraphPolicy::spew("$dir/first.c", <<'END');
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

static ngx_http_output_header_filter_pt  next;

static ngx_int_t
header_filter(ngx_http_request_t *r)
{
    return next(r);
}

static ngx_int_t
init(ngx_conf_t *cf)
{
    next = ngx_http_top_header_filter;
    ngx_http_top_header_filter = header_filter;
    return NGX_OK;
}

static ngx_http_module_t  ctx = {
    NULL, init, NULL, NULL, NULL, NULL, NULL, NULL
};

ngx_module_t  first_module = {
    NGX_MODULE_V1, &ctx, NULL, NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING
};

ngx_module_t  *ngx_modules[] = { &first_module, NULL };
char          *ngx_module_names[] = { "first_module", NULL };
char          *ngx_module_order[] = { NULL };
END

    my @includes = map { "-I$out.tree/src/$_" } qw(core event event/modules
        event/quic os/unix http http/modules http/v2 http/v3);
    system($ENV{CC} || 'cc', '-shared', '-fPIC', '-o', "$dir/first.so",
        @includes, "-I$out", "$dir/first.c") == 0
        or die 'the module does not compile';

    my $first = "load_module $dir/first.so;";

    $nginx = GraphPolicy::Nginx->start(graph => $upstream, main => $first,
        http => $plain);
    is(() = $nginx->log =~ /$warning/g, 1, 'after ours: it is said, once');
    stop('after ours');

    {
        local $GraphPolicy::module = "$dir/first.so;\nload_module $ours";
        $nginx = GraphPolicy::Nginx->start(graph => $upstream,
            http => $plain);
    }
    unlike($nginx->log, $warning, 'before ours: nothing is said');
    my ($answer, @tries) = tried('/v25.0/1', '500 131016 | 200');
    is($answer->{status}, 200, 'before ours: accepted');
    is(scalar @tries, 2, 'before ours: tries');
    stop('before ours');

    # where the policy is nowhere in force, it has no place to lose
    $nginx = GraphPolicy::Nginx->start(graph => $upstream, main => $first,
        http => $plain =~ s/graph_policy       zone=z;/graph_policy off;/r);
    unlike($nginx->log, $warning, 'off: nothing is said');
    stop('off');

    built_in($first);
}


# -- ours built into nginx, where no load_module line is to be moved

sub built_in {
    my ($first) = @_;

    my ($source) = grep { -e "$_/src/core/nginx.c" } $ENV{NGX_SRC} // '',
        glob "$FindBin::Bin/../.build/source/nginx-*";

  SKIP: {
        skip 'no source tree of nginx: give it as NGX_SRC', 1 if !$source;

        system("cp -r '$source' '$dir/source' && cd '$dir/source' && "
            # a checkout has it elsewhere than an archive
            . 'sh $(ls configure auto/configure 2>/dev/null | head -n 1) '
            . "--with-compat --builddir='$dir/objs' "
            . "--add-module='$FindBin::Bin/..' >'$dir/built' 2>&1 && "
            . "make -s -f '$dir/objs/Makefile' >>'$dir/built' 2>&1") == 0
            or die GraphPolicy::slurp("$dir/built");

        mkdir "$dir/logs";
        GraphPolicy::spew("$dir/nginx.conf", <<"END");
$first
pid $dir/pid;
error_log $dir/error.log;
events {}
http {
    graph_policy_zone zone=z:64k;
    graph_policy      zone=z;
}
END
        my $said = `$dir/objs/nginx -t -p $dir -c $dir/nginx.conf 2>&1`;

        like($said, qr/\[error\] another filter module sees answers before/,
            'built in: another filter before it is told of');
        like($said, qr/last "--add-module".*that filter must be built in/,
            'built in: and how to mend it');
        unlike($said, qr/load_module/, 'built in: which load_module does not');
        like($said, qr/test is successful/, 'built in: nginx starts');
    }
}

done_testing();
