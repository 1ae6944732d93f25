# vi:set ft= ts=4 sw=4 et:

# Answers in every framing, from every way of proxying, to HTTP/1.x clients:
# errors get their headers and keep their bytes, anything else passes as if
# there were no policy. What breaks off, HTTP/2 and what has to be watched while
# it comes is in framing_h2.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::MD5 qw(md5_hex);
use Test::Nginx::Socket;

use GraphPolicy::Steps;
use GraphPolicy::Graph qw(CLOSE with_length chunked);

no_long_string();
plan 'no_plan';

my $headers = "Content-Type: application/json\r\nX-FB-Trace-Id: FAKEtrace00\r\n";

# The ways to send an answer: status, more headers and body are given.
our %framing = (
    length => sub { with_length(@_) },
    'length-bytes' => sub { unpack '(a1)*', with_length(@_) },
    'length-pauses' => sub {
        my $answer = with_length(@_);
        my $body   = index($answer, "\r\n\r\n") + 4;

        # in a header, before the body, in it, and before its last byte
        return (substr($answer, 0, 30), \0.02,
            substr($answer, 30, $body - 30), \0.02,
            substr($answer, $body, 10), \0.02,
            substr($answer, $body + 10, -1), \0.02, substr($answer, -1));
    },
    chunked => sub { chunked(@_, 100000) },
    'chunked-small' => sub { chunked(@_, 7) },
    'chunked-bytes' => sub { map { unpack '(a1)*', $_ } chunked(@_, 40) },
    'chunked-late' => sub {
        my @pieces = chunked(@_, 50);
        return (@pieces[0 .. $#pieces - 1], \0.05, $pieces[-1]);
    },
    'chunked-extended' => sub {
        my @pieces = chunked(@_, 60);
        s/\A([0-9a-f]+)\r\n/$1;name=value\r\n/ for @pieces[1 .. $#pieces - 1];
        return @pieces;
    },
    closed => sub { (closed(@_), CLOSE) },
    'closed-bytes' => sub { (unpack('(a1)*', closed(@_)), CLOSE) },
    'closed-late' => sub {
        my $answer = closed(@_);
        return (substr($answer, 0, -20), \0.02, substr($answer, -20), \0.05,
            CLOSE);
    },
    old => sub { (closed(@_) =~ s{^HTTP/1\.1}{HTTP/1.0}r, CLOSE) },
    'many-headers' => sub {
        my ($status, $headers, $body) = @_;
        $headers .= "X-Header-$_: value $_\r\n" for 1 .. 60;
        return with_length($status, $headers, $body);
    },
);

sub closed {
    my ($status, $headers, $body) = @_;
    return "HTTP/1.1 $status Mock\r\n$headers\r\n$body";
}

our @framings = sort keys %framing;
our @kept     = grep { !/^(?:closed|old)/ } @framings;
our @simple   = qw(length chunked closed old);

# What is answered, by the first part of a name.
our %body = (
    error  => sample('e131047_sync_400.json'),
    ok     => '{"messages":[{"id":"wamid.FAKE"}]}',
    failed => '{"error":{"code":190}}',
    edge   => filled(4096),
    over   => filled(4097),
    large  => filled(300_000),
    media  => join('', map { pack 'N', $_ * 2654435761 % 2**32 } 1 .. 500_000),
);
my %status = (error => 400, ok => 200, failed => 200, edge => 400,
    over => 400, large => 500, media => 200);

# a body of so many bytes, the code at its end
sub filled {
    my ($length) = @_;
    my ($before, $after) = ('{"error":{"message":"', '","code":131047}}');
    return $before . 'x' x ($length - length "$before$after") . $after;
}

our $tags = 'context-limited 131047 - window-expired conversation';

my $upstream = GraphPolicy::Graph->start(
    (map {
        my ($what, $framing) = @$_;
        "$what-$framing" => sub {
            my ($request) = @_;

            my @answer = $framing{$framing}->($status{$what},
                "${headers}Mock-Nth: $request->{nth}\r\n"
                . ($what eq 'ok' ? "X-Graph-Error-Code: theirs\r\n" : ''),
                $body{$what});

            return $request->{method} eq 'HEAD' ? heads(@answer) : @answer;
        }
    } map { my $what = $_; map { [$what, $_] } @framings } keys %body),

    # nothing but a head
    (map {
        my ($status, $more) = @$_;
        "head-$status" => sub {
            return "HTTP/1.1 $status Mock\r\n$more\r\n";
        }
    } [204, ''], [304, "ETag: \"a\"\r\n"],
      [301, "Location: http://localhost/x\r\nContent-Length: 0\r\n"],
      [500, "Content-Length: 0\r\n"],
      [429, "Content-Length: 0\r\nRetry-After: 7\r\n"]),

    moved => sub {
        with_length(302, "Location: http://localhost/elsewhere\r\n"
            . "X-Graph-Error-Category: theirs\r\n", $body{failed})
    },
);

$ENV{TEST_NGINX_UPSTREAM_PORT} = $upstream->port;

# what a HEAD gets of an answer
sub heads {
    my $head = join '', grep { !ref } @_;
    $head =~ s/\r\n\r\n.*/\r\n\r\n/s;
    return ($head, grep { ref && ref eq ref CLOSE && $_ == CLOSE } @_);
}

our $proxy = <<'END';
    location / {
        graph_policy zone=z;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
END

sub proxy { return $proxy . ($_[0] // '') . "    }\n" }

# A block that asks for "what" in some framings. Its sections: "what", "how" (the
# name of an array), "client" (of requests: "POST HTTP/1.1").
add_block_preprocessor(sub {
    my ($block) = @_;

    my $what = $block->what // return;
    my $how  = $block->how // 'framings';
    chomp($what, $how);

    my ($method, $version) = split ' ', $block->client // 'POST HTTP/1.1';

    no strict 'refs';
    my @framings = @{"::$how"};
    my $number   = 0;

    $block->set_value(request => [map {
        "$method /$what-$_/v25.0/1001/messages $version"
            . ($method eq 'POST' ? "\n" . '{"to":"15550001111"}' : '')
    } @framings]);
    $block->set_value(error_code => [map { $status{$what} } @framings]);
    $block->set_value(response_body => [map {
        $method eq 'HEAD' ? '' : $body{$what}
    } @framings]) if !defined $block->response_body;

    my $expected = $block->tags // ($status{$what} < 400 ? 'untouched' : $tags);
    my $keeps    = $block->keeps;
    chomp $expected;
    chomp $keeps if defined $keeps;

    $block->set_value(raw_response_headers_like => [map {
        $number++;
        tagged($expected, defined $keeps ? $keeps =~ s/NTH/$number/r : undef)
    } @framings]) if !defined $block->raw_response_headers_like;
});

run_tests();

__DATA__

=== errors
--- config eval: ::proxy()
--- what: error
--- keeps: ^X-FB-Trace-Id: FAKEtrace00\r$



=== errors, an HTTP/1.0 client
--- config eval: ::proxy()
--- what: error
--- client: POST HTTP/1.0



=== errors, GET
--- config eval: ::proxy()
--- what: error
--- client: GET HTTP/1.1
--- how: simple



=== errors, proxy_buffering off
--- config eval: ::proxy('proxy_buffering off;')
--- what: error



=== errors, proxy_buffering off, an HTTP/1.0 client
--- config eval: ::proxy('proxy_buffering off;')
--- what: error
--- client: POST HTTP/1.0
--- how: simple



=== errors, chunked_transfer_encoding off
--- config eval: ::proxy('chunked_transfer_encoding off;')
--- what: error
--- how: simple



=== errors, small buffers
--- config eval
::proxy('proxy_buffer_size 1k; proxy_buffers 3 1k; proxy_busy_buffers_size 1k;
    output_buffers 1 512; postpone_output 0;')
--- what: large
--- tags: unclassified
--- how: simple



=== errors, in a slow lane
--- config eval: ::proxy('limit_rate 100k;')
--- what: error
--- how: simple



=== errors, a connection to the upstream is used again
--- http_config
upstream graph {
    server 127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    keepalive 4;
}
--- config
    location / {
        graph_policy zone=z;
        proxy_pass http://graph;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
--- what: error
--- how: kept
--- keeps: ^Mock-Nth: NTH\r$



=== errors, proxy_buffering off, a connection to the upstream is used again
--- http_config
upstream graph {
    server 127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    keepalive 4;
}
--- config
    location / {
        graph_policy zone=z;
        proxy_pass http://graph;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
    }
--- what: error
--- how: kept
--- keeps: ^Mock-Nth: NTH\r$



=== HEAD, a connection to the upstream is used again
--- http_config
upstream graph {
    server 127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    keepalive 4;
}
--- config
    location / {
        graph_policy zone=z;
        proxy_pass http://graph;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
--- what: error
--- how: kept
--- client: HEAD HTTP/1.1
--- tags: unclassified
--- keeps: ^Mock-Nth: NTH\r$



=== too large for the buffer, a connection to the upstream is used again
--- http_config
upstream graph {
    server 127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    keepalive 4;
}
--- config
    location / {
        graph_policy zone=z;
        graph_policy_buffer_size 4k;
        proxy_pass http://graph;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }
--- what: over
--- how: kept
--- tags: unclassified
--- keeps: ^Mock-Nth: NTH\r$



=== HEAD
--- config eval: ::proxy()
--- what: error
--- client: HEAD HTTP/1.1
--- tags: unclassified



=== HEAD tells the length that the upstream told
--- config eval: ::proxy()
--- request eval
['HEAD /error-length/x', 'HEAD /over-length/x', 'HEAD /ok-length/x']
--- error_code eval: [400, 400, 200]
--- response_body eval: ['', '', '']
--- raw_response_headers_like eval
my @length = map { length $::body{$_} } qw(error over ok);
[::tagged('unclassified', "^Content-Length: $length[0]\\r\$"),
 ::tagged('unclassified', "^Content-Length: $length[1]\\r\$"),
 qr/^Content-Length: $length[2]\r$/m]



=== HEAD, HTTP/1.0, proxy_buffering off
--- config eval: ::proxy('proxy_buffering off;')
--- what: error
--- client: HEAD HTTP/1.0
--- tags: unclassified
--- how: simple



=== as large as the buffer
--- config eval: ::proxy('graph_policy_buffer_size 4k;')
--- what: edge



=== as large as the buffer, proxy_buffering off
--- config eval: ::proxy('graph_policy_buffer_size 4k; proxy_buffering off;')
--- what: edge



=== a byte too large for the buffer
--- config eval: ::proxy('graph_policy_buffer_size 4k;')
--- what: over
--- tags: unclassified



=== a byte too large for the buffer, proxy_buffering off
--- config eval: ::proxy('graph_policy_buffer_size 4k; proxy_buffering off;')
--- what: over
--- tags: unclassified



=== too large for all buffers, to a temporary file
--- config eval
::proxy('proxy_buffers 4 4k; proxy_busy_buffers_size 8k;')
--- what: large
--- tags: unclassified
--- how: simple



=== large, in one buffer
--- config eval: ::proxy('graph_policy_buffer_size 1m;')
--- what: large
--- how: simple



=== large, in one buffer, proxy_buffering off
--- config eval: ::proxy('graph_policy_buffer_size 1m; proxy_buffering off;')
--- what: large
--- how: simple



=== the length of a known one stays known
--- config eval: ::proxy()
--- request eval: ['POST /error-length/x', 'POST /large-length/x']
--- error_code eval: [400, 500]
--- raw_response_headers_like eval
my @length = map { length $::body{$_} } qw(error large);
[::tagged($::tags, "^Content-Length: $length[0]\\r\$"),
 ::tagged('unclassified', "^Content-Length: $length[1]\\r\$")]



=== errors without a body
--- config eval: ::proxy()
--- request eval: ['POST /head-500/x', 'POST /head-429/x', 'GET /head-500/x']
--- error_code eval: [500, 429, 500]
--- response_body eval: ['', '', '']
--- raw_response_headers_like eval
[::tagged('unclassified'), ::tagged('unclassified - - - - ?'),
 ::tagged('unclassified')]



=== pipelined: each request gets its own
--- config eval: ::proxy()
--- pipelined_requests eval
["POST /error-chunked/x\n{}", "GET /ok-length/x", "POST /error-length/x\n{}",
 "GET /over-closed/x", "GET /ok-chunked/x", "GET /error-closed/x"]
--- error_code eval: [400, 200, 400, 400, 200, 400]
--- raw_response_headers_like eval
my ($ours, $theirs) = (::tagged($::tags), qr/\A(?!.*^X-Graph-Error-Category)/ms);
[$ours, $theirs, $ours, $ours, $theirs, $ours]
--- response_body eval
[@::body{qw(error ok error over ok error)}]



=== accepted: untouched
Not even headers of these names are removed.
--- config eval: ::proxy()
--- what: ok
--- raw_response_headers_like eval
[(qr/\A(?!.*^X-Graph-(?!Error-Code:))(?=.*^X-Graph-Error-Code: theirs\r$)/ms)
    x @::framings]



=== accepted, an HTTP/1.0 client
--- config eval: ::proxy()
--- what: ok
--- client: POST HTTP/1.0
--- raw_response_headers_like eval
[(qr/\A(?!.*^X-Graph-(?!Error-Code:))(?=.*^X-Graph-Error-Code: theirs\r$)/ms)
    x @::framings]



=== accepted, proxy_buffering off
--- config eval: ::proxy('proxy_buffering off;')
--- what: ok
--- raw_response_headers_like eval
[(qr/\A(?!.*^X-Graph-(?!Error-Code:))(?=.*^X-Graph-Error-Code: theirs\r$)/ms)
    x @::framings]



=== an error within a 200 is none
--- config eval: ::proxy()
--- what: failed
--- how: simple



=== a large file: untouched
--- config eval: ::proxy()
--- what: media
--- how: simple
--- response_body_filters: md5_hex
--- response_body eval: [(Digest::MD5::md5_hex($::body{media})) x 4]



=== a large file, proxy_buffering off
--- config eval: ::proxy('proxy_buffering off;')
--- what: media
--- how: simple
--- client: GET HTTP/1.1
--- response_body_filters: md5_hex
--- response_body eval: [(Digest::MD5::md5_hex($::body{media})) x 4]



=== neither accepted nor an error: untouched
--- config eval: ::proxy('proxy_redirect off;')
--- request eval
['POST /moved/x', 'GET /head-301/x', 'GET /head-304/x', 'GET /head-204/x']
--- error_code eval: [302, 301, 304, 204]
--- response_body eval: [$::body{failed}, '', '', '']
--- raw_response_headers_like eval
[qr{\A(?!.*^X-Graph-(?!Error-Category: theirs\r$))(?=.*^X-Graph-Error-Category).*^Location: http://localhost/elsewhere\r$}ms,
 ::untagged('^Location: http://localhost/x\r$'), ::untagged('^ETag: "a"\r$'),
 ::untagged()]



=== an answer before the request's body was read
--- config eval: ::proxy()
--- request eval
[map { "POST /early-$_/v25.0/1001/messages\n" . 'x' x 2_000_000 }
    qw(error-length error-chunked error-closed large-length ok-length)]
--- error_code eval: [400, 400, 400, 500, 200]
--- response_body eval: [@::body{qw(error error error large ok)}]
--- raw_response_headers_like eval
[(::tagged($::tags)) x 3, ::tagged('unclassified'),
 qr/\A(?!.*^X-Graph-Error-Category)/ms]



=== a request's body that isn't buffered
--- config eval: ::proxy('proxy_request_buffering off; proxy_http_version 1.1;')
--- request eval
[map { "POST /$_/v25.0/1001/messages\n" . 'x' x 2_000_000 }
    qw(error-length error-chunked error-closed-late early-error-length ok-length)]
--- error_code eval: [400, 400, 400, 400, 200]
--- response_body eval: [@::body{qw(error error error error ok)}]
--- raw_response_headers_like eval
[(::tagged($::tags)) x 4, qr/\A(?!.*^X-Graph-Error-Category)/ms]
