# vi:set ft= ts=4 sw=4 et:

# Compressed errors are read in a copy and delivered as they came; and the
# upstream is only asked for encodings that can be read. The cases are described
# in t/lib/GraphPolicy/Steps.pm. (Accept-Encoding over HTTP/2: framing_h2.t.)

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Compress::Deflate qw(deflate $DeflateError);
use IO::Compress::Gzip qw(gzip $GzipError);
use IO::Compress::RawDeflate qw(rawdeflate $RawDeflateError);
use IO::Uncompress::Gunzip ();
use Test::Nginx::Socket;

use GraphPolicy::Steps;
use GraphPolicy::Graph qw(with_length chunked);

no_long_string();
plan 'no_plan';

our $expired = sample('e190_463_expired.json');
our $tags    = 'fatal 190 463 token-invalid credential';

sub gzipped {
    my ($text, @options) = @_;
    gzip(\$text => \my $out, -Time => 0, @options) or die $GzipError;
    return $out;
}

sub zlibbed {
    my ($text, @options) = @_;
    deflate(\$text => \my $out, @options) or die $DeflateError;
    return $out;
}

sub deflated {
    my ($text, @options) = @_;
    rawdeflate(\$text => \my $out, @options) or die $RawDeflateError;
    return $out;
}

# an error of so many bytes, its code at the end
sub error_of {
    my ($length) = @_;
    my ($before, $after) = ('{"error":{"message":"',
        '","error_subcode":463,"code":190}}');
    return $before . 'x' x ($length - length "$before$after") . $after;
}

# one that doesn't compress well
our $noise = do {
    my ($seed, $text) = (1, '');
    for (1 .. 20_000) {
        $seed = ($seed * 1103515245 + 12345) % 2**31;
        $text .= chr(97 + ($seed >> 16) % 26);
    }
    qq({"error":{"message":"$text","error_subcode":463,"code":190}});
};

# the first so many bytes are cut off, or another is put at a place
sub without { my ($text, $n) = @_; return substr $text, 0, length($text) - $n }

sub broken {
    my ($text, $at) = @_;
    substr($text, $at, 1) ^= "\xff";
    return $text;
}

my $upstream = GraphPolicy::Graph->start(
    # what it was asked for, one header a line
    asked => sub {
        my @lines = $_[0]{head} =~ /^(Accept-Encoding:[^\r\n]*)/mgi;
        return with_length(200, '', join '', map { "$_\n" } @lines);
    },
    refused => sub {
        my @lines = $_[0]{head} =~ /^(Accept-Encoding:[^\r\n]*)/mgi;
        return with_length(404, '', join '', map { "$_\n" } @lines);
    },

    # compressed and in pieces
    (map {
        my ($name, $body) = @$_;
        my ($encoding) = $name =~ /^([a-z]+)/;
        ($name => sub {
            return chunked(401, "Content-Encoding: $encoding\r\n", $body, 1);
        })
    } ['gzip-bytes', gzipped($expired)], ['deflate-bytes', zlibbed($expired)],
      ['deflate-raw', deflated($expired)]),
    'gzip-noise' => sub {
        return chunked(401, "Content-Encoding: gzip\r\n", gzipped($noise), 999);
    },
);

$ENV{TEST_NGINX_UPSTREAM_PORT} = $upstream->port;

our $asking = <<'END';
    location / {
        graph_policy zone=z;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
END

# Requests with each of some Accept-Encoding headers ("accept", as lines) and
# what the upstream got then, after "=>"; nothing if it is the same.
add_block_preprocessor(sub {
    my ($block) = @_;

    my $accept = $block->accept // return;
    my (@requests, @headers, @bodies);

    for (grep { /\S/ } split /\n/, $accept) {
        my ($sent, $got) = /^\s*(.*?)\s*=>\s*(.*?)\s*$/ ? ($1, $2) : ($_, $_);

        push @requests, 'GET /asked/v25.0/1001';
        push @headers, "Accept-Encoding: $sent";
        push @bodies, qr/\AAccept-Encoding: $got\n\z/i;
    }

    $block->set_value(request => \@requests);
    $block->set_value(more_headers => \@headers);
    $block->set_value(error_code => [(200) x @requests]);
    $block->set_value(response_body => \@bodies);
    $block->set_value(config => $asking) if !defined $block->config;
});

run_tests();

__DATA__

=== gzip
--- each: header=Content-Encoding:gzip => Content-Encoding:gzip
--- steps eval
[(map { [401, ::gzipped($::expired, -Level => $_), $::tags] } 0, 1, 6, 9),
 [401, ::gzipped($::expired, -Name => 'error.json', -Comment => 'c',
    -ExtraField => [['GP', 'x' x 300]]), $::tags],
 [401, ::gzipped($::noise), $::tags],
 [500, ::gzipped(::sample('n503_html.html')), 'unclassified'],
 [200, ::gzipped('{"messages":[]}'), 'untouched']]



=== gzip by other names
--- each: header=Content-Encoding:x-gzip => Content-Encoding:x-gzip
--- steps eval
[[401, ::gzipped($::expired), $::tags]]



=== gzip in capitals
--- each: header=Content-Encoding:GZip => Content-Encoding:GZip
--- steps eval
[[401, ::gzipped($::expired), $::tags]]



=== gzip of several members
--- each: header=Content-Encoding:gzip => Content-Encoding:gzip
--- steps eval
[[401, ::gzipped(substr $::expired, 0, 20) . ::gzipped(substr $::expired, 20),
    $::tags],
 [401, CORE::join('', map { ::gzipped($_) } split //, $::expired), $::tags],
 [401, ::gzipped('') . ::gzipped($::expired) . ::gzipped(''), $::tags],
 [401, ::gzipped($::expired) . ::gzipped(' and more'), 'unclassified']]



=== gzip that is damaged
--- each: header=Content-Encoding:gzip => Content-Encoding:gzip
--- steps eval
my $gzipped = ::gzipped($::expired);
[(map { [401, ::without($gzipped, $_), 'unclassified'] } 1, 8, 9, 100),
 [401, substr($gzipped, 0, 10), 'unclassified'],
 [401, substr($gzipped, 0, 3), 'unclassified'],
 [401, ::broken($gzipped, 0), 'unclassified'],
 [401, ::broken($gzipped, 2), 'unclassified'],
 [401, ::broken($gzipped, 15), 'unclassified'],
 [401, ::broken($gzipped, length($gzipped) - 6), 'unclassified'],
 [401, ::broken($gzipped, length($gzipped) - 2), 'unclassified'],
 [401, ::without(::gzipped($::noise), 5000), 'unclassified'],
 [401, ::gzipped(substr $::expired, 0, 50), 'unclassified'],
 [401, ::gzipped(''), 'unclassified'],
 [401, '', 'unclassified'],
 [401, "\x1f\x8b" . "\0" x 100, 'unclassified'],
 [401, "\x1f\x8b\x08\xff" . "\xff" x 100, 'unclassified']]



=== deflate, with the header of zlib and without
--- each: header=Content-Encoding:deflate => Content-Encoding:deflate
--- steps eval
[(map { [401, ::zlibbed($::expired, -Level => $_), $::tags] } 0, 1, 9),
 (map { [401, ::deflated($::expired, -Level => $_), $::tags] } 0, 1, 9),
 [401, ::zlibbed($::noise), $::tags],
 [401, ::deflated($::noise), $::tags],
 [503, ::deflated(::sample('n503_html.html')), 'unclassified'],
 [200, ::deflated('{"messages":[]}'), 'untouched']]



=== deflate that is damaged
--- each: header=Content-Encoding:deflate => Content-Encoding:deflate
--- steps eval
my ($zlib, $raw) = (::zlibbed($::expired), ::deflated($::expired));
[[401, ::without($zlib, 1), 'unclassified'],
 [401, ::without($zlib, 60), 'unclassified'],
 [401, ::broken($zlib, length($zlib) - 1), 'unclassified'],
 [401, ::broken($zlib, 20), 'unclassified'],
 [401, ::without($raw, 20), 'unclassified'],
 [401, ::broken($raw, 0), 'unclassified'],
 [401, '', 'unclassified'],
 [401, "\x78", 'unclassified'],
 [401, "\xff" x 200, 'unclassified']]



=== in pieces
--- config eval: $::asking
--- request eval
['GET /gzip-bytes/x', 'GET /deflate-bytes/x', 'GET /deflate-raw/x',
 'GET /gzip-noise/x']
--- error_code eval: [401, 401, 401, 401]
--- raw_response_headers_like eval
[::tagged($::tags, '^Content-Encoding: gzip\r$'),
 (::tagged($::tags, '^Content-Encoding: deflate\r$')) x 2,
 ::tagged($::tags, '^Content-Encoding: gzip\r$')]
--- response_body eval
[::gzipped($::expired), ::zlibbed($::expired), ::deflated($::expired),
 ::gzipped($::noise)]



=== the bound holds for what is compressed
--- location
graph_policy_buffer_size 8k;
--- each: header=Content-Encoding:gzip => Content-Encoding:gzip
--- steps eval
[[401, ::gzipped(::error_of(8000)), $::tags],
 [401, ::gzipped(::error_of(8191)), $::tags],
 [401, ::gzipped(::error_of(8192)), $::tags],
 [401, ::gzipped(::error_of(8193)), 'unclassified'],
 [401, ::gzipped(::error_of(100_000)), 'unclassified'],
 [401, ::gzipped($::noise), 'unclassified']]



=== and so for deflate
--- location
graph_policy_buffer_size 8k;
--- each: header=Content-Encoding:deflate => Content-Encoding:deflate
--- steps eval
[[401, ::zlibbed(::error_of(8192)), $::tags],
 [401, ::zlibbed(::error_of(8193)), 'unclassified'],
 [401, ::deflated(::error_of(8192)), $::tags],
 [401, ::deflated(::error_of(8193)), 'unclassified']]



=== bombs
The code stands at the beginning of what they become, or at its end.
--- each: header=Content-Encoding:gzip => Content-Encoding:gzip
--- steps eval
my $early = '{"error":{"code":190}}' . ' ' x 20_000_000;
[[401, ::gzipped(::error_of(65536)), $::tags],
 [401, ::gzipped(::error_of(65537)), 'unclassified'],
 [401, ::gzipped($early), 'unclassified'],
 [401, ::gzipped("\0" x 20_000_000), 'unclassified'],
 [401, ::gzipped('[' x 20_000_000), 'unclassified'],
 [401, ::gzipped(::error_of(1_000_000)) x 5, 'unclassified'],
 [401, ::gzipped('') x 3000, 'unclassified']]



=== bombs by deflate
--- each: header=Content-Encoding:deflate => Content-Encoding:deflate
--- steps eval
[[401, ::zlibbed(::error_of(20_000_000)), 'unclassified'],
 [401, ::deflated(::error_of(20_000_000)), 'unclassified']]



=== encodings that can't be read, whatever is in them
--- each: header=Content-Encoding:br => Content-Encoding:br
--- steps eval
[[401, "\x0b\x0a\x80" . '{"error":{"code":190}}' . "\x03", 'unclassified'],
 [401, ::gzipped($::expired), 'unclassified'],
 [401, $::expired, 'unclassified'],
 [503, '', 'unclassified'],
 [200, 'whatever', 'untouched']]



=== zstd
--- each: header=Content-Encoding:zstd => Content-Encoding:zstd
--- steps eval
[[401, "\x28\xb5\x2f\xfd\x20\x16\xb1\0\0" . '{"error":{"code":190}}',
    'unclassified'],
 [401, $::expired, 'unclassified']]



=== an encoding that nobody knows
--- each: header=Content-Encoding:rot13 => Content-Encoding:rot13
--- steps
* 401 = {"error":{"code":190}}  =>  401 tagged unclassified



=== two encodings
--- each: header=Content-Encoding:gzip%2C%20br => Content-Encoding:"gzip, br"
--- steps eval
[[401, ::gzipped($::expired), 'unclassified']]



=== identity is none
--- each: header=Content-Encoding:identity => Content-Encoding:identity
--- steps eval
[[401, $::expired, $::tags]]



=== what is compressed without saying so isn't read
--- steps eval
[[401, ::gzipped($::expired), 'unclassified'],
 [401, ::zlibbed($::expired), 'unclassified']]



=== HEAD of what is compressed
--- each: header=Content-Encoding:gzip => Content-Encoding:gzip
--- steps eval
[['HEAD * 401', ::gzipped($::expired), 'unclassified'],
 ['HEAD * 200', ::gzipped($::expired), 'untouched']]



=== Accept-Encoding: what can be read stays
--- accept
gzip
deflate
x-gzip
identity
gzip, deflate
gzip;q=1.0, deflate;q=0.5
gzip;q=0.5, identity;q=1



=== Accept-Encoding: what can't be read goes
--- accept
br                              => identity
zstd                            => identity
br, zstd                        => identity
br;q=1.0                        => identity
*                               => identity
compress                        => identity
bright, gzipped                 => identity
gzip, br                        => gzip
br, gzip                        => gzip
br,gzip                         => gzip
gzip, br, zstd                  => gzip
br, gzip, zstd, deflate         => gzip, ?deflate
gzip, deflate, br               => gzip, ?deflate
gzip, deflate, br, zstd         => gzip, ?deflate
GZIP, BR                        => GZIP
br;q=1.0, gzip;q=0.8            => gzip;q=0.8
gzip ; q=0.8 , br ; q=1         => gzip ; ?q=0.8
br;q=1.0, gzip;q=0.8, *;q=0.1   => gzip;q=0.8
identity;q=0.5, br              => identity;q=0.5
br;q=1, *;q=0                   => identity



=== Accept-Encoding: what a client refuses isn't asked for
--- accept
gzip;q=0, br                    => (?:gzip;q=0|identity)
gzip;q=0.0, deflate;q=0         => (?:gzip;q=0\.0, ?deflate;q=0|identity)
br, deflate;q=0, gzip           => (?:deflate;q=0, ?)?gzip



=== Accept-Encoding: none is added
--- config eval: $::asking
--- request eval: ['GET /asked/x', "POST /asked/v25.0/1001/messages\n{}"]
--- error_code eval: [200, 200]
--- response_body eval: ['', '']



=== Accept-Encoding: several headers
--- config eval: $::asking
--- raw_request eval
"GET /asked/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
. "Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n"
. "accept-encoding: zstd, deflate\r\n\r\n"
--- response_body_like eval: qr/\A(?!.*\b(?:br|zstd)\b).*\bgzip\n/s



=== Accept-Encoding: a send, and an answer that is an error
--- config eval: $::asking
--- request eval
["POST /asked/v25.0/1001/messages\n{}", "POST /refused/v25.0/1001/messages\n{}"]
--- more_headers
Accept-Encoding: br, gzip
--- error_code eval: [200, 404]
--- response_body eval
["Accept-Encoding: identity\n", "Accept-Encoding: identity\n"]



=== graph_policy_accept_encoding off
--- config
    location / {
        graph_policy zone=z;
        graph_policy_accept_encoding off;
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- accept
br
gzip, deflate, br, zstd
identity;q=0, zstd



=== graph_policy off
--- config
    graph_policy_accept_encoding on;

    location / {
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- accept
br
gzip, deflate, br, zstd



=== the operator's own choice stands
--- config
    location / {
        graph_policy zone=z;
        proxy_set_header Accept-Encoding "br, gzip";
        proxy_pass http://127.0.0.1:$TEST_NGINX_UPSTREAM_PORT;
    }
--- accept
gzip => br, gzip
zstd => br, gzip



=== a client still gets what it asked nginx for
gzip is nginx's own here: the request's header says so to it, too.
--- server
gzip on;
gzip_types *;
gzip_min_length 1;
--- response_body_filters eval
sub { IO::Uncompress::Gunzip::gunzip(\$_[0] => \my $out); $out }
--- each: {Accept-Encoding: gzip, br} => Content-Encoding:gzip got:Accept-Encoding:gzip
--- steps
GET * 404 = {"error":{"code":190}}
    =>  404 tagged fatal 190 - token-invalid credential
GET * 403 @e131031_locked_403.json
    =>  403 tagged fatal 131031 - account-restricted account
