# vi:set ft= ts=4 sw=4 et:

# Error bodies of every shape, the wanted ones, the strange ones and the
# hostile ones: what is read from them, and that they reach the client byte for
# byte. The cases are described in t/lib/GraphPolicy/Steps.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Nginx::Socket;

use GraphPolicy::Steps;

no_long_string();
plan 'no_plan';

our $invalid_token = 'fatal 190 - token-invalid credential';
our $billing       = 'fatal 131042 - billing account';

# an error with one more member, before the code
sub with {
    my ($member) = @_;
    return [400, qq({"error":{$member,"code":190}}), $invalid_token];
}

# a body of exactly so many bytes; the code is the last thing in it
sub body_of {
    my ($length) = @_;

    my ($before, $after) = ('{"error":{"message":"', '","code":190}}');
    return $before . 'x' x ($length - length "$before$after") . $after;
}

# so many arrays or objects inside each other, within an error
sub nested {
    my ($depth, $open, $close) = @_;

    # the error and the body are two
    return '{"error":{"code":190,"error_data":' . $open x ($depth - 2) . '1'
        . $close x ($depth - 2) . '}}';
}

run_tests();

__DATA__

=== members in any order
--- steps
* 400 = {"error":{"code":190}}
    =>  400 tagged fatal 190 - token-invalid credential
* 400 = {"error":{"code":190,"error_subcode":463,"message":"m"}}
    =>  400 tagged fatal 190 463 token-invalid credential
* 400 = {"error":{"error_subcode":463,"message":"m","code":190}}
    =>  400 tagged fatal 190 463 token-invalid credential
* 400 = {"error":{"is_transient":true,"code":5,"message":"m"}}
    =>  400 tagged temporary 5 - other request
* 400 = {"error":{"fbtrace_id":"A","error_user_title":"t","error_user_msg":"u","error_data":{"details":"d"},"is_transient":false,"error_subcode":33,"code":100,"type":"OAuthException","message":"m"}}
    =>  400 tagged fatal 100 33 phone-disconnected phone
* 400 = {"__debug__":{"code":4},"error":{"code":190},"code":368}
    =>  400 tagged fatal 190 - token-invalid credential
* 400 = {"code":368,"error_subcode":33,"error":{"code":190}}
    =>  400 tagged fatal 190 - token-invalid credential
* 400 = {"data":[],"error":{"code":190},"success":false}
    =>  400 tagged fatal 190 - token-invalid credential



=== white space
--- steps eval
[[400, "  \n\t{ \"error\" :\r\n\t{ \"code\"\n:\t 190 ,\n \"error_subcode\" : 463 } }\n\n",
    'fatal 190 463 token-invalid credential'],
 [400, qq({"error":{"code":190}}\n), $::invalid_token]]



=== error_data is anything
--- steps eval
[map { ::with($_) }
    '"error_data":{"messaging_product":"whatsapp","details":"d"}',
    '"error_data":{"details":"d"}',
    '"error_data":{"code":4,"error_subcode":33,"is_transient":true}',
    '"error_data":{"error":{"code":4}}',
    '"error_data":{"errors":[{"code":4}]}',
    '"error_data":{"blame_field_specs":[["name"]]}',
    '"error_data":"{\"blame_field_specs\":[[\"name\"]]}"',
    '"error_data":"{\"code\":4,\"error_subcode\":33}"',
    '"error_data":"details"',
    '"error_data":""',
    '"error_data":[]',
    '"error_data":[{"code":4,"error_subcode":33}]',
    '"error_data":null',
    '"error_data":4',
    '"error_data":4.5e3',
    '"error_data":true']



=== the code as a string of digits
--- steps
* 400 = {"error":{"code":"131042"}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":"131042","error_subcode":"33"}}
    =>  400 tagged fatal 131042 33 billing account
* 400 = {"error":{"code":"100","error_subcode":33}}
    =>  400 tagged fatal 100 33 phone-disconnected phone
* 400 = {"error":{"code":100,"error_subcode":"33"}}
    =>  400 tagged fatal 100 33 phone-disconnected phone
* 400 = {"error":{"code":"\u0031\u0033\u0031042"}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":131042.0}}
    =>  400 tagged fatal 131042 - billing account



=== the code as something else: there is no code
--- steps
* 400 = {"error":{"code":"131042x"}}        =>  400 tagged unclassified
* 400 = {"error":{"code":"x131042"}}        =>  400 tagged unclassified
* 400 = {"error":{"code":"131042 190"}}     =>  400 tagged unclassified
* 400 = {"error":{"code":"131042,190"}}     =>  400 tagged unclassified
* 400 = {"error":{"code":"0x2002"}}         =>  400 tagged unclassified
* 400 = {"error":{"code":"(#131042)"}}      =>  400 tagged unclassified
* 400 = {"error":{"code":"OAuth"}}          =>  400 tagged unclassified
* 400 = {"error":{"code":131042.5}}         =>  400 tagged unclassified
* 400 = {"error":{"code":true}}             =>  400 tagged unclassified
* 400 = {"error":{"code":[131042]}}         =>  400 tagged unclassified
* 400 = {"error":{"code":{"code":131042}}}  =>  400 tagged unclassified
* 400 = {"error":{"code":{}}}               =>  400 tagged unclassified
* 400 = {"error":{"codes":131042}}          =>  400 tagged unclassified
* 400 = {"error":{"Code":131042}}           =>  400 tagged unclassified
* 400 = {"Error":{"code":131042}}           =>  400 tagged unclassified
* 400 = {"error":{"":131042}}               =>  400 tagged unclassified



=== a subcode that is none
--- steps
* 400 = {"error":{"code":131042,"error_subcode":null}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":131042,"error_subcode":"x"}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":131042,"error_subcode":{}}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":131042,"error_subcode":[33]}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":131042,"error_subcode":false}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":100,"error_subcode":"33abc"}}
    =>  400 tagged request 100 - other request
* 400 = {"error":{"code":100,"error_data":{"error_subcode":33}}}
    =>  400 tagged request 100 - other request
* 400 = {"error":{"code":100},"error_subcode":33}
    =>  400 tagged request 100 - other request



=== numbers too large for a code are no other code
2^32 and 2^64, and some codes more than that.
--- steps
* 400 = {"error":{"code":2147483648}}    =>  400 tagged unclassified 2147483648
* 400 = {"error":{"code":4294967296}}    =>  400 tagged unclassified 4294967296
* 400 = {"error":{"code":4294967486}}    =>  400 tagged unclassified 4294967486
* 400 = {"error":{"code":"4294967486"}}  =>  400 tagged unclassified 4294967486
* 400 = {"error":{"code":9223372036854775807}}  =>  400 tagged unclassified
* 400 = {"error":{"code":18446744073709551616}}  =>  400 tagged unclassified
* 400 = {"error":{"code":18446744073709551806}}  =>  400 tagged unclassified
* 400 = {"error":{"code":"18446744073709551806"}}  =>  400 tagged unclassified
* 400 = {"error":{"code":9999999999999999999999999999999999999190}}
    =>  400 tagged unclassified
* 400 = {"error":{"code":1e400}}         =>  400 tagged unclassified
* 400 = {"error":{"code":-190}}          =>  400 tagged unclassified
* 400 = {"error":{"code":"-190"}}        =>  400 tagged unclassified
* 400 = {"error":{"code":100,"error_subcode":4294967329}}
    =>  400 tagged request 100 4294967329 other request
* 400 = {"error":{"code":100,"error_subcode":18446744073709551649}}
    =>  400 tagged request 100 - other request
* 400 = {"error":{"code":100,"error_subcode":"18446744073709551649"}}
    =>  400 tagged request 100 - other request



=== huge numbers elsewhere
--- steps eval
[map { ::with($_) }
    '"x":99999999999999999999999999999999999999999999',
    '"x":-99999999999999999999999999999999999999999999',
    '"x":18446744073709551616,"y":9223372036854775808',
    '"x":1e999,"y":-1e999,"z":1e-999',
    '"x":0.' . '3' x 500,
    '"x":' . '9' x 5000,
    '"error_data":{"id":123456789012345678901234567890}',
    '"error_data":[4294967486,18446744073709551806]']



=== an array of errors: the first one counts
--- steps
* 400 = {"errors":[{"code":131042,"title":"t","details":"d"}]}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"errors":[{"code":"131042"},{"code":190}]}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"errors":[{"title":"t","error_data":{"details":"d","code":4},"code":131042},{"code":190}]}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"errors":[{"code":100,"error_subcode":33}]}
    =>  400 tagged fatal 100 33 phone-disconnected phone
* 400 = {"meta":{"version":"2"},"errors":[{"code":131042}]}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"errors":[{"code":131042},{"code":190,"error_subcode":463}],"code":4}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"errors":[{"code":131042},{"error_subcode":463}]}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"errors":[{"code":5,"is_transient":true}]}
    =>  400 tagged temporary 5 - other request
* 400 = {"errors":[{"code":5},{"is_transient":true}]}
    =>  400 tagged unclassified 5
* 400 = {"errors":[{"title":"no code"},{"code":190}]}
    =>  400 tagged unclassified
* 400 = {"errors":[]}                =>  400 tagged unclassified
* 400 = {"errors":{}}                =>  400 tagged unclassified
* 400 = {"errors":[190]}             =>  400 tagged unclassified
* 400 = {"errors":[[{"code":190}]]}  =>  400 tagged unclassified
* 400 = {"errors":"190"}             =>  400 tagged unclassified
* 400 = {"errors":null}              =>  400 tagged unclassified



=== escapes
A name that is written with escapes is the same name.
--- steps eval
[[400, '{"\u0065rror":{"c\u006fde":190,"error\u005fsubcode":463}}',
    'fatal 190 463 token-invalid credential'],
 (map { ::with($_) }
    '"message":"\"code\":4"',
    '"message":"\\\\"',
    '"message":"\\\\\"code\":4,\\\\"',
    '"message":"\b\f\n\r\t\/\""',
    '"message":"\u0000\u0001\u001f\u007f"',
    '"message":"\u00e9 \u20ac \ud83d\ude00 \uD83D\uDE00"',
    '"error_user_title":"\u0421\u0435\u0441\u0441\u0438\u044f","error_user_msg":"\ud83d\udeab"',
    "\"message\":\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"",
    '"\ud83d\ude00":"\ud83d\ude00"')]



=== what a caller wrote is no error
--- steps eval
[map { [400, $_, 'request 100 - other request'] }
    '{"error":{"message":"got \"code\":190","code":100}}',
    '{"error":{"message":"{\"error\":{\"code\":190}}","code":100}}',
    '{"error":{"code":100,"message":"{\"error\":{\"code\":190,\"error_subcode\":463}}"}}',
    '{"error":{"message":"\"}},\"error\":{\"code\":190}","code":100}}',
    '{"error":{"message":"(#190) {\u0022error\u0022:{\u0022code\u0022:190}}","code":100}}',
    '{"error":{"code":100,"error_user_msg":"\",\"code\":190,\"x\":\""}}',
    '{"error":{"code":100,"error_data":{"details":"\"},\"code\":190,\"x\":{\"y\":\""}}}',
    '{"error":{"\",\"code\":190,\"":1,"code":100}}',
    '{"echo":"{\"error\":{\"code\":190}}","error":{"code":100}}',
    '{"echo":{"error":{"code":190}},"error":{"code":100}}',
    '{"error":{"code":100},"echo":{"error":{"code":190}}}']



=== an error somewhere else is none
--- steps
* 400 = {"data":{"error":{"code":190}}}      =>  400 tagged unclassified
* 400 = {"error":{"error":{"code":190}}}     =>  400 tagged unclassified
* 400 = {"entry":[{"error":{"code":190}}]}   =>  400 tagged unclassified
* 400 = {"error":{"errors":[{"code":190}]}}  =>  400 tagged unclassified
* 400 = {"data":{"errors":[{"code":190}]}}   =>  400 tagged unclassified
* 400 = {"code":190,"error_subcode":463}     =>  400 tagged unclassified
* 400 = {"error":"code","code":190}          =>  400 tagged unclassified
* 400 = {"error":190}                        =>  400 tagged unclassified
* 400 = {"error":null}                       =>  400 tagged unclassified
* 400 = {"error":true}                       =>  400 tagged unclassified
* 400 = {"error":[]}                         =>  400 tagged unclassified
* 400 = {"error":[{"code":190}]}             =>  400 tagged unclassified
* 400 = [{"error":{"code":190}}]             =>  400 tagged unclassified
* 400 = [{"code":190}]                       =>  400 tagged unclassified
* 400 = []                                   =>  400 tagged unclassified
* 400 = {}                                   =>  400 tagged unclassified
* 400 = 190                                  =>  400 tagged unclassified
* 400 = "190"                                =>  400 tagged unclassified
* 400 = "{\"error\":{\"code\":190}}"         =>  400 tagged unclassified
* 400 = null                                 =>  400 tagged unclassified



=== members that come twice: the last one counts
--- steps
* 400 = {"error":{"code":190,"code":131042}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":"190","code":131042}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":190,"message":"m","c\u006fde":131042}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":100,"error_subcode":33,"error_subcode":463}}
    =>  400 tagged request 100 463 other request
* 400 = {"error":{"error_subcode":463,"code":100,"error_subcode":33}}
    =>  400 tagged fatal 100 33 phone-disconnected phone
* 400 = {"error":{"code":190},"error":{"code":131042}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":190,"error_subcode":463},"error":{"code":131042}}
    =>  400 tagged fatal 131042 - billing account
* 400 = {"error":{"code":190,"error_subcode":463},"error":{"message":"m"}}
    =>  400 tagged unclassified
* 400 = {"error":{"is_transient":true,"code":5},"error":{"code":5}}
    =>  400 tagged unclassified 5
* 400 = {"error":{"code":5,"is_transient":true,"is_transient":false}}
    =>  400 tagged unclassified 5
* 400 = {"error":{"code":5,"is_transient":false,"is_transient":true}}
    =>  400 tagged temporary 5 - other request



=== nested as deep as it ever is
--- steps eval
[[400, ::nested(20, '[', ']'), $::invalid_token],
 [400, ::nested(20, '{"x":', '}'), $::invalid_token],
 [400, ::nested(20, '{"error":', '}'), $::invalid_token],
 [400, ::nested(20, '{"code":', '}'), $::invalid_token],
 [400, '{"x":' . '[' x 15 . ']' x 15 . ',"error":{"code":190}}',
    $::invalid_token],
 [400, '{"x":[[{}]' . ',[{}]' x 200 . '],"error":{"code":190}}',
    $::invalid_token]]



=== nested deeper than that
--- steps eval
[[400, ::nested(200, '[', ']'), 'unclassified'],
 [400, ::nested(200, '{"x":', '}'), 'unclassified'],
 [400, ::nested(20000, '[', ']'), 'unclassified'],
 [400, ::nested(10000, '{"x":', '}'), 'unclassified'],
 [400, '[' x 60000, 'unclassified'],
 [400, '{"a":' x 12000, 'unclassified']]



=== not JSON
--- steps eval
[[503, ::sample('n503_html.html'), 'unclassified'],
 [502, '', 'unclassified'],
 [503, 'Service Unavailable', 'unclassified'],
 [500, '<html>{"error":{"code":190}}</html>', 'unclassified'],
 [500, "Error: {\"error\":{\"code\":190}}", 'unclassified'],
 [400, 'error=190&code=190', 'unclassified'],
 [400, q({'error':{'code':190}}), 'unclassified'],
 [400, '{error:{code:190}}', 'unclassified'],
 [400, '{"error":{"code":190,}}', 'unclassified'],
 [400, '{"error" {"code":190}}', 'unclassified'],
 [400, '{"error":{"code" 190}}', 'unclassified'],
 [400, '{"error":{"code":0190}}', 'unclassified'],
 [400, '{"error":{"code":190]}', 'unclassified'],
 [400, "{\"error\":{\"code\":190,\"x\":\"\n\"}}\0", 'unclassified'],
 [400, "\0\0\0\0", 'unclassified'],
 [400, "\xff\xfe{\0\"\0e\0r\0r\0o\0r\0\"\0:\0", 'unclassified'],
 [400, "\x1f\x8b\x08\0", 'unclassified'],
 [400, pack('C*', 0 .. 255), 'unclassified']]



=== cut off anywhere
--- steps eval
my $body = '{"error":{"code":190,"message":"m\u00e9","error_subcode":463}}';
[map { [400, substr($body, 0, $_), 'unclassified'] }
    1, 2, 8, 9, 10, 15, 17, 19, 20, 21, 30, 34, 37, 39, 42, 57, 58, 61]



=== long names and texts
--- steps eval
[map { ::with($_) }
    '"message":"' . 'x' x 40000 . '"',
    '"message":"' . '\u00e9' x 8000 . '"',
    '"' . 'code' x 5000 . '":4',
    '"member":1' . ',"another":[2]' x 2000,
    '"fbtrace_id":"' . 'A' x 5000 . '"']



=== no JSON text by its bytes
A byte order mark, what isn't UTF-8, NUL, more than one text.
--- steps eval
[[400, "\xef\xbb\xbf" . '{"error":{"code":190}}', 'unclassified'],
 [400, "{\"error\":{\"code\":190,\"message\":\"\xff\xfe\x80\"}}", 'unclassified'],
 [400, "{\"error\":{\"code\":190,\"message\":\"cut \xe2\x82\"}}", 'unclassified'],
 [400, "{\"error\":{\"code\":190,\"message\":\"a\0b\"}}", 'unclassified'],
 [400, '{"error":{"code":190}}{"error":{"code":4}}', 'unclassified'],
 [400, '{"error":{"code":190}} and more', 'unclassified']]



=== half a surrogate pair is an escape as well
--- steps eval
[map { ::with($_) }
    '"message":"\ud83d"',
    '"message":"\uD83Dx"',
    '"message":"\ude00\ud83d"',
    '"message":"\ud83d\u0041"']



=== nothing of a body makes a header
--- location
add_header X-Trace   $graph_error_trace always;
add_header X-Code    $graph_error_code always;
add_header X-Subcode $graph_error_subcode always;
add_header X-Reason  $graph_error_reason always;
--- raw_response_headers_unlike eval
[(qr/^(?i:X-Evil|Set-Cookie)|[\0-\x09\x0b\x0c\x0e-\x1f\x7f-\xff]/m) x 14]
--- steps eval
my $evil = 'A\r\nX-Evil: 1\r\nSet-Cookie: a=b\r\n\r\n';
[(map { [400, qq({"error":{$_}}), 'unclassified'] }
    qq("code":"$evil"),
    qq("code":"190$evil"),
    qq("code":"190\\r\\n"),
    qq("code":"190\\u000aX-Evil: 1"),
    qq("code":"190\\u0000"),
    qq("message":"$evil","type":"$evil","error_user_title":"$evil"),
    '"code":"190' . "\r\nX-Evil: 1" . '"'),
 (map { [400, qq({"error":{"code":190,$_}}), $::invalid_token] }
    qq("error_subcode":"463$evil"),
    qq("fbtrace_id":"$evil"),
    qq("fbtrace_id":"A\\u0085\\u2028\\u0000"),
    qq("fbtrace_id":"\xc3\xa9"),
    qq("type":"$evil","message":"$evil"),
    qq("error_data":"$evil","error_user_msg":"$evil"),
    qq("fbtrace_id":{"x":"$evil"}))]



=== a trace that is one is told
--- location
add_header X-Trace "[$graph_error_trace]" always;
--- each:  => X-Trace:[AFakeTraceId0000000000]
--- steps
* 401 @e190_463_expired.json
    =>  401 tagged fatal 190 463 token-invalid credential
* 502 = {"error":{"message":"no code","fbtrace_id":"AFakeTraceId0000000000"}}
    =>  502 tagged unclassified



=== bodies as large as they may be: 64k
--- steps eval
[[400, ::body_of(65535), $::invalid_token],
 [400, ::body_of(65536), $::invalid_token]]



=== larger ones pass, unread
--- steps eval
[[400, ::body_of(65537), 'unclassified'],
 [400, ::body_of(200000), 'unclassified'],
 [400, '{"error":{"code":190}}' . ' ' x 65536, 'unclassified'],
 [500, 'x' x 3000000, 'unclassified']]



=== graph_policy_buffer_size moves that bound
--- location
graph_policy_buffer_size 1k;
--- steps eval
[[400, ::body_of(1023), $::invalid_token],
 [400, ::body_of(1024), $::invalid_token],
 [400, ::body_of(1025), 'unclassified'],
 [400, ::body_of(70000), 'unclassified']]



=== a buffer larger than nginx's own
--- location
graph_policy_buffer_size 1m;
proxy_buffer_size 4k;
proxy_buffers 4 4k;
proxy_busy_buffers_size 8k;
--- steps eval
[[400, ::body_of(100000), $::invalid_token],
 [400, ::body_of(1048576), $::invalid_token],
 [400, ::body_of(1048577), 'unclassified']]
