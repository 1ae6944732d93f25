package GraphPolicy::Exchange;

# What is said in one exchange of t/fuzz/worker.t: by a client, honest or not,
# and by the upstream that it reaches. All of it follows from a seed and the
# number of the exchange.
#
# A script is what one side does, step by step: a text is sent, a reference to a
# number is a pause of so many seconds, [BYTES] waits until so many have come,
# and the constants end the connection.

use strict;
use warnings;

use Compress::Zlib ();
use Digest::SHA qw(hmac_sha256_hex);
use Exporter qw(import);

use GraphPolicy qw(slurp);
use GraphPolicy::Hostile qw(seed below one_of bytes mutate damage pieces code
    odd_headers chunks);

our @EXPORT_OK = qw(HALF CLOSE RESET request_of answer_of plain_answer
    plain_request numbers);

use constant HALF  => \'half';
use constant CLOSE => \'close';
use constant RESET => \'reset';

use constant SECRET => 'fuzz-secret';

(my $samples = __FILE__) =~ s{[^/]+\z}{../../samples};

my @errors   = map { slurp($_) } sort glob "$samples/e*.json";
my @accepted = map { slurp($_) } sort glob "$samples/ok_*.json";
my @webhooks = map { slurp($_) } sort glob "$samples/wh_*.json";
my @pages    = map { slurp($_) } sort glob "$samples/n5*";

my @known = qw(400 401 403 404 429 500 503);

# phones that many exchanges share, so that states are probed
my @shared = (5_000_001 .. 5_000_003);


# -- the client ---------------------------------------------------------------

sub crlf { join '', map { "$_\r\n" } @_, '' }

# {script, head, honest, hook, signed, body, h2}
sub request_of {
    my ($seed, $n) = @_;

    seed($seed * 7919 + $n * 104_729);

    my $honest = below(4) == 0;

    return webhook($n, $honest) if below(7) == 0;

    my $phone = !$honest && below(6) == 0 ? one_of(@shared) : 1_000_000 + $n;
    my $edge  = $honest ? 'messages' : one_of('messages', 'messages',
        'messages', 'marketing_messages', 'media', 'register', '', '?a=b');
    my $method = $honest ? 'POST'
        : one_of('POST', 'POST', 'POST', 'POST', 'GET', 'HEAD', 'DELETE');
    my $body = '{"messaging_product":"whatsapp","to":"1650' . $n
        . '","type":"text","text":{"body":"' . 'x' x below(200) . '"}}';

    $body = one_of('', mutate($body), damage($body), 'a=b&to=1',
        '{"status":"read"}', $body . ' ' x below(30_000))
        if !$honest && below(3) == 0;

    my @head = ("$method /n$n/$phone/$edge HTTP/1.1", 'Host: localhost',
        'Authorization: Bearer t' . ($phone < 5_000_000 ? $n : $phone));

    push @head, 'Connection: close' if $honest || below(2);
    push @head, 'Content-Type: application/json' if below(6);
    push @head, 'Accept-Encoding: ' . one_of('gzip', 'gzip, br', 'identity',
        '*', 'gzip;q=0', ',' x 50) if !$honest && below(3) == 0;

    return {
        honest => $honest, phone => $phone, script => [crlf(@head,
            'Content-Length: ' . length $body) . $body],
    } if $honest;

    return { h2 => 1, script => script_h2($method, "/n$n/$phone/$edge", $body) }
        if below(12) == 0;

    return { script => hostile_script(\@head, $body) };
}

sub webhook {
    my ($n, $honest) = @_;

    my $body = one_of(@webhooks);

    $body = one_of(mutate($body), damage($body), $body . $body,
        '{"object":"whatsapp_business_account","entry":[' . join(',',
            ('{"id":"7","changes":[{"value":{"errors":[{"code":131042}]}}]}')
            x below(300)) . ']}', bytes(60))
        if !$honest && below(4);

    my $signed = $honest || below(3);
    my @head   = ("POST /hook/n$n HTTP/1.1", 'Host: localhost',
        'Content-Type: application/json', 'X-Hub-Signature-256: sha256='
            . ($signed ? hmac_sha256_hex($body, SECRET) : one_of('0' x 64,
                '', 'x' x 64, hmac_sha256_hex($body, 'another'))));

    push @head, 'Connection: close' if $honest || below(2);

    my %request = (hook => 1, signed => $signed, body => $body,
        honest => $honest);

    return { %request, script => [crlf(@head, 'Content-Length: '
        . length $body) . $body] } if $honest || below(2);

    return { %request, script => hostile_script(\@head, $body) };
}

# the ways to be a bad client
sub hostile_script {
    my ($head, $body) = @_;

    my $length = 'Content-Length: ' . length $body;
    my $text   = crlf(@$head, $length) . $body;
    my $how    = below(16);

    return [map { ($_, \(below(30) / 1000)) } pieces($text, 8)] if $how == 0;
    return [$text x (2 + below(3))] if $how == 1;
    return [$text, HALF] if $how == 2;
    return [$text, one_of(\0.001, \0.02, [1], [30]), one_of(CLOSE, RESET)]
        if $how == 3;
    return [substr($text, 0, below(length $text)), \0.01, one_of(CLOSE, RESET,
        HALF)] if $how == 4;
    return [damage($text)] if $how == 5;
    return [pieces(damage($text, length($text) - length $body), 3)]
        if $how == 6;

    return [crlf(@$head, $length, map { "X-Big-$_: "
        . 'y' x below(one_of(10, 3000, 20_000)) } 1 .. one_of(1, 5, 120))
        . $body] if $how == 7;

    return [pieces(crlf(@$head, 'Transfer-Encoding: chunked')
        . chunks($body), 5)] if $how == 8;
    return [crlf(@$head, 'Transfer-Encoding: chunked')
        . damage(chunks($body))] if $how == 9;
    return [crlf(@$head, 'Transfer-Encoding: chunked')
        . chunks($body) =~ s/\r\n\z/X-Trailer: a\r\n\r\n/r] if $how == 10;

    return [crlf(@$head, one_of(
        'Content-Length: ' . (length($body) + 1 + below(90)),
        'Content-Length: ' . below(length($body) + 1),
        "$length\r\nTransfer-Encoding: chunked", "$length\r\n$length",
        'Content-Length: 99999999999', 'Content-Length: -1',
        'Transfer-Encoding: gzip, chunked')) . $body, \0.05,
        one_of(HALF, CLOSE)] if $how == 11;

    return [crlf(@$head, $length, 'Expect: 100-continue'),
        one_of([20], \0.001), $body] if $how == 12;

    return [$text =~ s{ HTTP/1.1}{one_of(' HTTP/1.0', '', ' HTTP/1.9',
        ' HTTP/2.0')}er] if $how == 13;
    return [$text =~ s{ /}{one_of(' http://a/', ' //', ' /%2f', ' /./',
        ' /a/../', ' /%00', ' /\\', ' /#')}er] if $how == 14;

    return [$text =~ s{Bearer}{one_of('bearer ', 'OAuth', '', 'Bearer x',
        "a\r\nAuthorization: Bearer", "\xff")}er];
}

sub frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags,
        $stream) . $payload;
}

# literals that no table keeps; none is longer than 126 bytes
sub script_h2 {
    my ($method, $path, $body) = @_;

    my $block = join '', map { "\0" . pack('C/a C/a', @$_) }
        [':method', $method], [':scheme', 'http'], [':path', $path],
        [':authority', 'localhost'], ['authorization', 'Bearer h'],
        ['content-type', 'application/json'];

    $body = substr $body, 0, 16_000;

    my $text = frame(4, 0, 0, '') . frame(1, 4, 1, $block)
        . frame(0, 1, 1, $body);

    $text = damage($text) if below(2);
    $text .= frame(3, 0, 1, "\0\0\0\x08") if below(3) == 0;

    return ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", pieces($text, 4),
        one_of(\0.05, [60]), CLOSE];
}

# one that can't go wrong
sub plain_request {
    my ($path, $token) = @_;

    my $body = '{"messaging_product":"whatsapp","to":"16505551234",'
        . '"type":"text","text":{"body":"hello"}}';

    return [crlf("POST $path HTTP/1.1", 'Host: localhost', 'Connection: close',
        "Authorization: Bearer $token", 'Content-Type: application/json',
        'Content-Length: ' . length $body) . $body];
}


# -- the upstream -------------------------------------------------------------

# {script, early, kept, texts, status, plain, body}: what is sent, and what it
# says before it was damaged or packed
sub answer_of {
    my ($seed, $n, $try, $honest) = @_;

    # an honest one says the same each time
    seed($seed * 6101 + $n * 104_729 + ($honest ? 0 : $try * 31));

    my $good  = below(3) == 0;
    my $plain = one_of($good ? @accepted : @errors);

    return honest_answer($good, $plain) if $honest;

    $plain = one_of(@pages, bytes(40), '', '{}', 'null') if below(12) == 0;
    $plain = mutate($plain) if below(2);

    my ($body, $coding) = code($plain);

    if (below(8) == 0) {
        my $one = Compress::Zlib::memGzip($plain);

        $coding = 'gzip';
        $body   = one_of($one x 3, substr($one, 0, below(length $one)),
            $one . damage($one), Compress::Zlib::memGzip('') . $one,
            Compress::Zlib::memGzip(substr $plain, 0, 9)
            . Compress::Zlib::memGzip(substr "$plain         ", 9));
    }

    my $status = $good && below(4) ? one_of(200, 200, 201) : one_of(@known,
        below(3) == 0 ? (204, 206, 304, 301, 599, 999, '099', '4000', 100,
        101) : ());

    my @head = (one_of(("HTTP/1.1 $status Mock") x 9, "HTTP/1.0 $status",
        "HTTP/1.1 $status", "HTTP/2 $status", "HTTP/1.1  $status \xff",
        "http/1.1 $status", "$status"));

    push @head, 'Content-Type: application/json' if below(5);
    push @head, "Content-Encoding: $coding" if defined $coding;
    push @head, odd_headers() if below(2);

    my $text = frame_of(\@head, $body);

    $text = join('', map { one_of("HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Graph-Policy: blocked"
        . "\r\n\r\n", "HTTP/1.1 102 \r\n\r\n") } 0 .. below(3)) . $text
        if below(9) == 0;

    my $most = index $text, "\r\n\r\n";

    $text = damage($text, below(2) && $most > 0 ? $most : undef)
        if below(3) == 0;
    $text .= one_of('x', "\r\n", $text, bytes(300)) if below(14) == 0;

    my @script = below(2) ? ($text) : pieces($text, 9);
    @script = map { ($_, \(below(9) / 1000)) } @script if below(3) == 0;

    my $end = below(40);

    push @script, $end < 14 ? CLOSE : $end < 18 ? RESET : $end < 20 ? HALF
        : $end < 21 ? (\2, CLOSE) : ();

    return { script => \@script, early => below(5) == 0, texts => [$plain,
        $text, raw_of($coding, $body)],
        failed => scalar $text =~ m{HTTP/\d+\.\d+ +[4-9]\d\d} };
}

# what damage makes of a coding without a sum is anybody's guess
sub raw_of {
    my ($coding, $body) = @_;

    return () if !defined $coding;

    my ($raw) = Compress::Zlib::inflateInit(-WindowBits =>
        -Compress::Zlib::MAX_WBITS());
    my ($text) = $raw->inflate(my $copy = $body);

    return $text // '';
}

sub frame_of {
    my ($head, $body) = @_;

    my $length = 'Content-Length: ' . length $body;
    my $how    = below(11);

    return crlf(@$head, $length) . $body if $how < 4;
    return crlf(@$head) . $body if $how == 4;
    return crlf(@$head, 'Transfer-Encoding: chunked') . chunks($body)
        if $how < 7;
    return crlf(@$head, 'Trailer: X-Graph-Policy',
        'Transfer-Encoding: chunked') . chunks($body)
        =~ s/\r\n\z/X-Graph-Policy: a\r\nX-T: \xff\r\n\r\n/r if $how == 7;
    return crlf(@$head, $length, 'Transfer-Encoding: chunked')
        . one_of($body, chunks($body)) if $how == 8;
    return crlf(@$head, 'Transfer-Encoding: chunked') . damage(chunks($body))
        if $how == 9;

    return crlf(@$head, one_of('Content-Length: '
        . (length($body) + 1 + below(90)), 'Content-Length: '
        . below(length($body) + 1), 'Content-Length: -1',
        "$length\r\n$length", 'Transfer-Encoding: gzip')) . $body;
}

sub honest_answer {
    my ($good, $body) = @_;

    my $status = $good ? 200 : one_of(@known);
    my @head   = ("HTTP/1.1 $status Mock", 'Content-Type: application/json');
    my $sent   = $body;

    if (below(3) == 0) {
        $sent = Compress::Zlib::memGzip($body);
        push @head, 'Content-Encoding: gzip';
    }

    my $text = one_of(crlf(@head, 'Content-Length: ' . length $sent) . $sent,
        crlf(@head, 'Transfer-Encoding: chunked') . chunks($sent),
        crlf(@head, 'Connection: close') . $sent);

    return { script => [pieces($text, 1 + below(6)), CLOSE],
        texts => [$body], failed => !$good, status => $status, body => $sent,
        plain => $body };
}

sub plain_answer {
    my ($status, $code) = @_;

    my $body = $code ? "{\"error\":{\"message\":\"m\",\"code\":$code,"
        . '"fbtrace_id":"T"}}' : $accepted[0];

    return { script => [crlf("HTTP/1.1 $status Mock", 'Content-Type: '
        . 'application/json', 'Content-Length: ' . length $body) . $body],
        body => $body, texts => [$body], failed => $status >= 400 };
}

# what may be read as a code in these texts
sub numbers {
    my %numbers;

    for (@_) {
        $numbers{ 0 + $1 } = 1
            while /(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)/g;
    }

    return keys %numbers;
}

1;
