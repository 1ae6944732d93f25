package Traffic;

# What the bench sends: messages of applications, and signed webhooks of Meta.

use strict;
use warnings;

use Digest::SHA 'hmac_sha256_hex';
use Exporter 'import';

our @EXPORT_OK = qw($token $accepted $secret %phones graph_error request
                    webhook);

our $secret = 's3cretOfTheApp';

# as long as the system user tokens that the senders of messages have

our $token = 'EAA' . join '',
    map { substr 'AbCdEfGhIjKlMnOpQrStUvWxYz0123456789', $_ * 7 % 36, 1 }
        1 .. 197;

our $accepted = '{"messaging_product":"whatsapp",'
    . '"contacts":[{"input":"15550000001","wa_id":"15550000001"}],'
    . '"messages":[{"id":"wamid.HBgLMTU1NTAwMDAwMDEVAgARGBI5QTNDQTVCM0Q0Q0Q2"}'
    . ']}';

# the mock answers by the phone id, so that bare nginx gets the same requests

our %phones = (accepted => '100000000000001', request => '200000000000001',
               billing => '300000000000001', phone => '400000000000001',
               token => '500000000000001', gzip => '600000000000001',
               window => '700000000000001');

# an error in Graph's shape, 300 bytes long

sub graph_error {
    my ($code, $title) = @_;

    my $head = qq({"error":{"message":"(#$code) $title",)
        . qq("type":"OAuthException","code":$code,"error_data":)
        . '{"messaging_product":"whatsapp","details":"';
    my $tail = '"},"fbtrace_id":"AFakeTraceId0000000000"}}';
    my $details = 'Message failed to send because of something that takes two '
        . 'sentences to explain. The second one says what to do about it.';

    return $head . substr("$details$details", 0, 300 - length "$head$tail")
        . $tail;
}

# a message: edge, token, to, text, encoding (none if it's empty)

sub request {
    my ($phone, %with) = @_;

    my $edge = $with{edge} || 'messages';
    my $bearer = $with{token} || $token;
    my $encoding = $with{encoding} // 'gzip, deflate';
    my $to = $with{to} || '15550000001';
    my $text = $with{text} || 'Your order has left the house.';
    my $message = '{"messaging_product":"whatsapp",'
        . qq("recipient_type":"individual","to":"$to","type":"text",)
        . qq("text":{"preview_url":false,"body":"$text"}});

    return "POST /v21.0/$phones{$phone}/$edge HTTP/1.1\r\n"
        . "Host: localhost\r\n"
        . "Authorization: Bearer $bearer\r\n"
        . "Content-Type: application/json\r\n"
        . 'Content-Length: ' . length($message) . "\r\n"
        . "Accept: application/json\r\n"
        . ($encoding ne '' ? "Accept-Encoding: $encoding\r\n" : '')
        . "User-Agent: whatsapp-sender/1.0\r\n"
        . "\r\n$message";
}

# A webhook, so many bytes long: the phone, whom it is about (each of several
# is another), how many there are, and what became of it: "delivered",
# "failed", or "written" by the customer.

sub webhook {
    my ($phone, %of) = @_;

    my $count = $of{count} || 1;
    my $what = $of{what} eq 'written' ? 'messages' : 'statuses';
    my $head = '{"object":"whatsapp_business_account","entry":[{'
        . '"id":"900000000000001","changes":[{"value":{'
        . '"messaging_product":"whatsapp","metadata":{'
        . '"display_phone_number":"15550002222",'
        . qq("phone_number_id":"$phones{$phone}"},)
        . ($what eq 'messages'
           ? '"contacts":[{"profile":{"name":"Test Name"},'
             . qq("wa_id":"$of{about}"}],) : '')
        . qq("$what":[);
    my $tail = ']},"field":"messages"}]}]}';

    my $room = $of{size} - length "$head$tail";
    my $each = int(($room + 1) / $count) - 1;
    my @items = map { item($of{what}, $of{about} + $_, $each) }
        0 .. $count - 1;
    my $body = $head . join(',', @items) . $tail;

    # what doesn't divide is blanks

    $body .= ' ' x ($of{size} - length $body);

    return "POST /webhook HTTP/1.1\r\n"
        . "Host: localhost\r\n"
        . "User-Agent: facebookexternalua\r\n"
        . "Accept: */*\r\n"
        . "Content-Type: application/json\r\n"
        . 'Content-Length: ' . length($body) . "\r\n"
        . 'X-Hub-Signature-256: sha256=' . hmac_sha256_hex($body, $secret)
        . "\r\n\r\n$body";
}

# a status or a message, so many bytes long

sub item {
    my ($what, $about, $size) = @_;

    my $id = sprintf 'wamid.HBgLMTU1NTAwMDAwMDEVAgAR%024d', $about;
    my $now = time;

    my ($head, $tail)
        = $what eq 'written'
        ? (qq({"from":"$about","id":"$id","timestamp":"$now",)
           . '"type":"text","text":{"body":"', '"}}')

        : $what eq 'failed'
        ? (qq({"id":"$id","status":"failed","timestamp":"$now",)
           . qq("recipient_id":"$about","errors":[{"code":131047,)
           . '"title":"Re-engagement message",'
           . '"message":"Re-engagement message",'
           . '"error_data":{"details":"Message failed to send because more '
           . 'than 24 hours have passed since the customer last replied to '
           . 'this number."},"href":"https:\/\/developers.facebook.com\/docs'
           . '\/whatsapp\/cloud-api\/support\/error-codes\/"}],'
           . '"biz_opaque_callback_data":"', '"}')

        : (qq({"id":"$id","status":"delivered","timestamp":"$now",)
           . qq("recipient_id":"$about",)
           . '"conversation":{"id":"0a1b2c3d4e5f60718293a4b5c6d7e8f9",'
           . '"origin":{"type":"utility"}},'
           . '"pricing":{"billable":true,"pricing_model":"PMP",'
           . '"category":"utility","type":"regular"},'
           . '"biz_opaque_callback_data":"', '"}');

    my $text = 'The words of this one are of no account to anybody. ' x 20;
    my $room = $size - length "$head$tail";

    die "Traffic: $size bytes are too few\n" if $room < 0;

    return $head . substr($text, 0, $room) . $tail;
}

1;
