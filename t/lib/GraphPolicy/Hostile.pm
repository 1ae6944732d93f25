package GraphPolicy::Hostile;

# What a hostile peer sends: error bodies, codings, headers and framing, changed
# at random. The random numbers are our own, so that a seed brings the same
# bytes with every perl.

use strict;
use warnings;

use Compress::Zlib ();
use Exporter qw(import);

our @EXPORT_OK = qw(seed below one_of bytes mutate damage pieces code
    odd_headers chunks);


# -- random numbers

my $state;

sub seed {
    my ($number) = @_;

    $state = $number % 2_147_483_648;
    below(2) for 1 .. 5;
}

sub below {
    my ($n) = @_;

    $state = ($state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return int($state / 65_536) % $n;
}

sub one_of { $_[below(scalar @_)] }

sub bytes {
    my ($n) = @_;
    return join '', map { chr below(256) } 1 .. $n;
}


# -- bodies

sub mutate {
    my ($body) = @_;

    for (1 .. 1 + below(3)) {
        my $length = length $body or last;
        my $at     = below($length);

        my $how = below(13);

        if    ($how == 0) { substr($body, $at, 1) = chr below(256) }
        elsif ($how == 1) { $body = substr $body, 0, $at }
        elsif ($how == 2) { substr($body, $at, 1 + below(9)) = '' }
        elsif ($how == 3) { substr($body, $at, 0) = bytes(1 + below(6)) }
        elsif ($how == 4) {
            substr($body, $at, 0) = one_of("\xff", "\xc0\xaf", "\xed\xa0\x80",
                "\xf4\x90\x80\x80", "\x00", "\r\n", "\xe2\x80", '\\u0000',
                '\\ud800', '\\', '"', '{', '}', '[', ']', ',', ':', '//');
        }
        elsif ($how == 5) {
            $body =~ s/("code"\s*:\s*)"?\d+"?/$1 . one_of(qw(0 -0 -1 1e3 190.0
                1.9e2 131042.5 99999999999999999999 1e999 "190" null true []
                {} 0190 +190 131042 190 368 "131042\\u0000" 4294967486
                18446744073709551806 9007199254740993), '""')/e;
        }
        elsif ($how == 6) {
            my $depth = one_of(1, 5, 30, 31, 32, 33, 500);
            $body = ('{"error":' x $depth) . $body . ('}' x $depth);
        }
        elsif ($how == 7) {
            my $depth = one_of(10, 31, 40, 3000);
            $body =~ s/\{/'{"a":' . ('[' x $depth) . (']' x $depth) . ','/e;
        }
        elsif ($how == 8) {
            my $more = "\"code\":" . one_of(190, 4, 1, 'null', 131042) . ',';
            $body =~ s/(\{[^{]*\{)/$1$more/;
        }
        elsif ($how == 9) { $body .= one_of($body, ' ', "\n\n", "\0", 'x', '}') }
        elsif ($how == 10) {
            my $value = one_of('x' x 3000, "\\u000d\\u000aX-Graph-State: 1",
                "a\\r\\nSet-Cookie: a=b", bytes(70), '<script>', "\xc3\xa9");
            $body =~ s/("(?:fbtrace_id|message|type)"\s*:\s*")[^"]*/$1$value/;
        }
        elsif ($how == 11) { $body = ' ' x one_of(1, 4096, 65_000) . $body }
        else { $body =~ s/\}/,"is_transient":true,"error_subcode":458}/ }
    }

    return $body;
}

# any bytes, changed here and there as if nobody knew what they mean; at a
# place before "most" if that is given
sub damage {
    my ($text, $most) = @_;

    for (1 .. 1 + below(4)) {
        my $length = length $text or last;
        $length = $most if defined $most && $most < $length;

        my $at  = below($length);
        my $how = below(8);

        if    ($how == 0) { substr($text, $at, 1) = chr below(256) }
        elsif ($how == 1) {
            substr($text, $at, 1) ^= chr(1 << below(8));
        }
        elsif ($how == 2) { substr($text, $at, 1 + below(20)) = '' }
        elsif ($how == 3) { substr($text, $at, 0) = bytes(1 + below(8)) }
        elsif ($how == 4) {
            substr($text, $at, 0) = substr $text, below(length $text),
                1 + below(60);
        }
        elsif ($how == 5) {
            substr($text, $at, 0) = one_of("\r\n", "\n", "\r", "\r\n\r\n",
                "\0", ':', ' ', "\t", '0', '-1', '99999999999999999999',
                "\xff", ';', ',', 'HTTP/1.1', "0\r\n\r\n");
        }
        elsif ($how == 6) {
            my $line = index $text, "\n", $at;
            my $end  = index $text, "\n", $line + 1;

            # a line again, or one less
            next if $line < 0 || $end < 0;
            my $one = substr $text, $line + 1, $end - $line;
            substr($text, $line + 1, $end - $line) = one_of('', $one x 2,
                $one x 40);
        }
        else { $text = substr $text, 0, $at if below(4) == 0 }
    }

    return $text;
}

# the same text in up to so many pieces
sub pieces {
    my ($text, $most) = @_;

    my @pieces;

    while (length $text && @pieces + 1 < $most) {
        my $length = below(3) ? 1 + below(length $text) : 1 + below(3);
        push @pieces, substr $text, 0, $length, '';
    }

    return (@pieces, length $text ? $text : ());
}

# the body on its way, and the value of Content-Encoding; true as the fourth
# if it is what its coding says
sub code {
    my ($body) = @_;

    my $how = below(12);

    return ($body, undef, 1) if $how < 6;
    return ($body, one_of('gzip', 'deflate', 'br', 'zstd', 'x-gzip',
        'gzip, gzip', 'GZIP', 'g zip', '', 'x' x 500), 0) if $how == 6;

    my $packed = $how == 7 ? Compress::Zlib::compress($body)
        : Compress::Zlib::memGzip($body);
    my $coding = $how == 7 ? 'deflate' : 'gzip';

    return ($packed, $coding, 1) if $how < 10;

    my $at = below(length($packed) || 1);

    if ($how == 10) {
        substr($packed, $at, 1) ^= chr(1 + below(255)) if length $packed;
    } else {
        $packed = one_of(substr($packed, 0, $at), "$packed$packed",
            $packed . bytes(9), bytes(40),
            Compress::Zlib::memGzip('{"error":{"code":131042,"a":"'
                . 'x' x 3_000_000 . '"}}'));
    }

    return ($packed, $coding, 0);
}


# -- headers

sub odd_headers {
    my @headers;

    for (1 .. below(5)) {
        push @headers, one_of(
            'Retry-After: ' . one_of(0, -1, '1e9', '99999999999999999999',
                'Wed, 21 Oct 2099 07:28:00 GMT', 'soon', '', '1, 2'),
            'X-Graph-' . one_of('Policy', 'State', 'Error-Category',
                'Error-Code', 'Attempts', 'error-reason') . ': '
                . one_of('forged', '', "\x80\xff", 'x' x 2000),
            'X-Business-Use-Case-Usage: ' . one_of('{}', '[' x 900, '{"1":[{'
                . '"estimated_time_to_regain_access":' . one_of(1e300, 9, -1)
                . '}]}', "\xff\xfe", '{"1":' x 300, 'x' x 3000),
            'X-App-Usage: ' . one_of('{"call_count":100}', '{"call_count":',
                '{"call_count":1e999}', "\x01"),
            'WWW-Authenticate: OAuth "Facebook" "x" "' . 'y' x below(2000) . '"',
            'X-' . 'a' x (1 + below(300)) . ': ' . 'b' x below(2500),
            "X-Odd: \xe9\xff\x80", 'X-Empty:', 'Set-Cookie: a=b',
            'Content-Type: text/html', 'Vary: *', 'Connection: close',
            'Expires: 0', 'Cache-Control: max-age=' . '9' x below(30),
            'X-Accel-Expires: x', 'X-Accel-Limit-Rate: 0',
            'Server: ' . '%n%s' x 20, 'Link: <>;' x (1 + below(100)));
    }

    push @headers, map { "X-Many-$_: $_" } 1 .. 80 if below(20) == 0;

    return @headers;
}


# -- framing

sub chunks {
    my ($body) = @_;

    my $text = '';

    while (length $body) {
        my $piece = substr $body, 0, 1 + below(one_of(9, 500, 70_000)), '';
        $text .= sprintf(one_of('%x', '%X', '%04x'), length $piece)
            . one_of('', '', ';a=b') . "\r\n$piece\r\n";
    }

    return "${text}0\r\n\r\n";
}

1;
