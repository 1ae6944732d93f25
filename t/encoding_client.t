#!/usr/bin/perl

# Accept-Encoding has two readers: the upstream, which is asked for what the
# policy can read, sends for "identity"; and nginx's own compression towards the
# client, which goes by what the client sent. So does the log.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Uncompress::Gunzip qw(gunzip $GunzipError);

use GraphPolicy qw(slurp wait_until);
use GraphPolicy::Graph qw(with_length);

my $json = "Content-Type: application/json\r\n";

# what the upstream was asked for, one header a line
sub asked {
    my ($request) = @_;
    return join '|', $request->{head} =~ /^Accept-Encoding:\s*([^\r\n]*)/mgi;
}

# nginx compresses answers of the status 200, 403 and 404 alone

my $upstream = GraphPolicy::Graph->start(
    ok => sub {
        with_length(200, $json, '{"messages":[{"id":"wamid.FAKE"}],"asked":"'
            . asked(@_) . '"}' . ' ' x 500);
    },
    error => sub {
        with_length(404, $json, '{"error":{"code":100,"message":"asked '
            . asked(@_) . '"}}' . ' ' x 500);
    },
    blocks => sub {
        with_length(403, $json, '{"error":{"code":133010,"message":"asked '
            . asked(@_) . '"}}' . ' ' x 500);
    },
    again => sub {
        with_length(404, $json, '{"error":{"code":131016,"message":"asked '
            . asked(@_) . '"}}' . ' ' x 500);
    },
    # cached, and different for who asks for something else
    vary => sub {
        with_length(200, "${json}Vary: Accept-Encoding\r\n"
            . "Cache-Control: max-age=600\r\n", '{"asked":"' . asked(@_) . '"}'
            . ' ' x 500);
    },
);
my $to = 'http://127.0.0.1:' . $upstream->port;

my $nginx = GraphPolicy::Nginx->start(http => <<"END");
graph_policy_zone zone=z:1m;
proxy_cache_path  %DIR%/cache keys_zone=c:1m;

log_format sent '\$uri <\$http_accept_encoding> [\$sent_http_content_encoding]';

gzip            on;
gzip_types      *;
gzip_min_length 1;
gzip_proxied    any;

server {
    listen 127.0.0.1:%PORT%;
    listen 127.0.0.1:%PORT2% http2;

    access_log   %DIR%/access.log sent;
    graph_policy zone=z;

    location / {
        proxy_pass $to;
    }
    location /retried/ {
        graph_policy_retry attempts=3 base=5ms budget_min=1000;
        proxy_pass         $to/;
    }
    location /off/ {
        graph_policy_accept_encoding off;
        proxy_pass                   $to/;
    }
    location /own/ {
        proxy_set_header Accept-Encoding "gzip, br";
        proxy_pass       $to/;
    }
    location /unsaid/ {
        proxy_set_header Accept-Encoding "";
        proxy_pass       $to/;
    }
    location /said/ {
        proxy_set_header Accept-Encoding \$http_accept_encoding;
        proxy_pass       $to/;
    }
    location /headless/ {
        proxy_pass_request_headers off;
        proxy_pass                 $to/;
    }
    location /cached/ {
        proxy_cache c;
        add_header  X-Cache \$upstream_cache_status always;
        proxy_pass  $to/;
    }
    location /mysend/ {
        graph_policy_send 1;
        proxy_pass        $to/;
    }

    # from where the policy is on to where it is off, and the other way round
    location /leaves/ {
        proxy_pass  http://127.0.0.1:1;
        error_page  502 = \@off;
    }
    location /comes/ {
        graph_policy off;
        proxy_pass   http://127.0.0.1:1;
        error_page   502 = \@on;
    }
    location \@off {
        graph_policy off;
        rewrite      ^/\\w+(/.*) \$1 break;
        proxy_pass   $to;
    }
    location \@on {
        rewrite      ^/\\w+(/.*) \$1 break;
        proxy_pass   $to;
    }
    location /ssi/ {
        ssi        on;
        ssi_types  *;
        return 200 '<!--# include virtual="/ok/x" -->';
    }
}
END

# the body as the client reads it, and what the upstream was asked for by it
sub read_of {
    my ($answer) = @_;

    return $answer->{body}
        if ($answer->{headers}{'content-encoding'} // '') ne 'gzip';

    gunzip(\$answer->{body} => \my $text) or return "gunzip: $GunzipError";
    return $text;
}

my $phone = 1000;

# one request: from a client that accepts so much, what it gets, and what the
# upstream was asked for
sub is_asked {
    my ($name, $in, $accept, $encoding, $expected, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $edge = $of{edge} // 'messages';
    my $path = "$in/v25.0/" . ($of{phone} // ++$phone)
        . (length $edge ? "/$edge" : '');

    my $answer = $nginx->request(path => $path, token => 'a', body => '{}',
        headers => ['Content-Type' => 'application/json',
            map { ('Accept-Encoding' => $_) } @$accept],
        method => $of{method} // 'POST');

    is($answer->{headers}{'content-encoding'} // '-', $encoding,
        "$name: the client gets what it accepts");
    my ($asked) = read_of($answer) =~ /asked(?:":"| )([^"]*)"/;
    is($asked, $expected, "$name: what the upstream was asked for");

    my $last;
    ok(wait_until(sub {
        ($last) = grep { m{^\Q$path\E } } split /\n/,
            slurp($nginx->dir . '/access.log');
        return $last;
    }), "$name: it is logged") if $of{logged} // 1;
    is($last =~ s/^\S+ //r, '<' . (join(', ', @$accept) || '-')
        . "> [$encoding]", "$name: with what the client sent")
        if $of{logged} // 1;

    return $answer;
}


# -- sends ask for identity, whatever the client accepts

is_asked("a send of a client with $_", '/ok', [$_], 'gzip', 'identity')
    for 'gzip', 'gzip, deflate, br', 'br, gzip;q=0.5', 'GZIP';
is_asked("a send of a client with $_", '/ok', [$_], '-', 'identity')
    for 'br', 'deflate', 'identity', 'gzip;q=0';
is_asked('a send of a client that says nothing', '/ok', [], '-', '');
is_asked("to $_", '/ok', ['gzip, br'], 'gzip', 'identity', edge => $_)
    for qw(media marketing_messages messages_encrypted);
is_asked('an error', '/error', ['gzip, br'], 'gzip', 'identity');
is_asked('a send of graph_policy_send', '/mysend/ok', ['gzip, br'], 'gzip',
    'identity', edge => 'whatever');

# -- other requests for what can be read

is_asked('a GET', '/ok', ['gzip, br'], 'gzip', 'gzip', method => 'GET',
    edge => '');
is_asked('a GET with br alone', '/ok', ['br'], '-', 'identity',
    method => 'GET', edge => '');
is_asked('another POST', '/ok', ['br, gzip'], 'gzip', 'gzip',
    edge => 'register');
is_asked('a GET with an error', '/error', ['zstd, gzip'], 'gzip', 'gzip',
    method => 'GET', edge => '');

# -- several lines: nginx's filters look at the first

is_asked('two lines', '/ok', ['gzip', 'br'], 'gzip', 'identity|identity',
    logged => 0);
is_asked('two lines, GET', '/ok', ['gzip', 'br'], 'gzip', 'gzip|identity',
    logged => 0, method => 'GET', edge => '');
is_asked('two lines, br first', '/ok', ['br', 'gzip'], '-', 'identity|gzip',
    logged => 0, method => 'GET', edge => '');

# -- what the operator says of it

is_asked('off', '/off/ok', ['gzip, br'], 'gzip', 'gzip, br');
is_asked('a choice of their own', '/own/ok', ['gzip'], 'gzip', 'gzip, br');
is_asked('none', '/unsaid/ok', ['gzip, br'], 'gzip', '');
is_asked('no headers', '/headless/ok', ['gzip, br'], 'gzip', '');

{
    my $answer = $nginx->request(path => '/said/ok/v25.0/1/messages',
        headers => ['Accept-Encoding' => 'gzip, br'], body => '{}');
    like(read_of($answer), qr/"asked":"identity"/,
        '$http_accept_encoding is what goes upstream, before the log');
}

# -- a local answer

is_asked('before it', '/blocks', ['br'], '-', 'identity', phone => '77');
is_asked('a local answer', '/ok', ['gzip, br'], 'gzip', undef, phone => '77');

# -- every try asks for it

{
    my $answer = is_asked('sent again', '/retried/again', ['gzip, br'], 'gzip',
        'identity');
    is($answer->{headers}{'x-graph-attempts'}, 3, 'sent again: three tries');
}

# -- redirects inside nginx

is_asked('to where the policy is off', '/leaves/ok', ['gzip, br'], 'gzip',
    'gzip, br', logged => 0);
is_asked('to where it is on', '/comes/ok', ['gzip, br'], 'gzip', 'identity',
    logged => 0);
is_asked('to where it is on, GET', '/comes/ok', ['br, gzip'], 'gzip', 'gzip',
    logged => 0, edge => '', method => 'GET');
is_asked('an included page', '/ssi', ['gzip, br'], 'gzip', 'gzip, br',
    method => 'GET', edge => '');

# -- the cache keeps answers by what went upstream

for my $case ([['gzip, br'], 'gzip', 'MISS'], [['gzip, br'], 'gzip', 'HIT'],
    [['gzip, zstd'], 'gzip', 'HIT'], [['br'], 'identity', 'MISS'],
    [['zstd'], 'identity', 'HIT'])
{
    my ($accept, $asked, $cached) = @$case;
    my $name   = "the cache, @$accept, $cached";
    my $answer = is_asked($name, '/cached/vary', $accept,
        $accept->[0] =~ /gzip/ ? 'gzip' : '-', $asked, logged => 0,
        method => 'GET', edge => '', phone => '5');

    is($answer->{headers}{'x-cache'}, $cached, $name);
}

# -- HTTP/2, whose values may lie in a table that all share

for my $accept ('gzip, deflate', 'br') {
    my $said = `curl -s --http2-prior-knowledge --max-time 20 -d '{}' \\
        -H 'Accept-Encoding: $accept' -D - -o $nginx->{dir}/got \\
        http://127.0.0.1:$nginx->{port2}/ok/v25.0/1/messages`;
    my $got  = slurp("$nginx->{dir}/got");

    is($said =~ /^content-encoding: gzip\r$/mi ? 'gzip' : '-',
        $accept =~ /gzip/ ? 'gzip' : '-', "HTTP/2, $accept: the client");
    like(read_of({ body => $got, headers => { 'content-encoding' =>
        $accept =~ /gzip/ ? 'gzip' : '' } }), qr/"asked":"identity"/,
        "HTTP/2, $accept: the upstream");
}

$nginx->stop('QUIT');
is(join("\n", $nginx->complaints), '', 'nothing is wrong');

done_testing();
