package GraphPolicy::Blocks;

# Blocks of Test::Nginx in which several requests go, one after the other,
# through the proxy to a Graph API that answers what their argument "say"
# tells it to.  After "use Test::Nginx::Socket":
#
#   use GraphPolicy::Blocks;
#   plan tests => GraphPolicy::Blocks::tests();
#   run_tests();
#
# Sections, beside those of Test::Nginx for blocks without "sends":
#
#   http_config, config    of the proxy; the Graph API is http://graph
#   sends                  a line for each request:
#                            METHOD URI [HTTP/1.0] STATUS POLICY [WORD ...]
#                          POLICY is what X-Graph-Policy has to be, "-" if there
#                          may be none.  The token is "one"; words are
#                            token=NAME  another one, "-" for none
#                            Name:value  a header of the request, where %20 is
#                                        a space, and so on
#                            Name=value  another header that the answer has to
#                                        bear, "-" if it mustn't
#   http2_sends            METHOD URI STATUS POLICY, over HTTP/2 and before all
#                          others
#   graph                  what reached the Graph API, in full.  Without it
#                          that has to be all that wasn't blocked
#   graph_format           more that "graph" shows: variables there
#   format, logged         a format of the proxy's access log, and all its lines
#   said                   all lines of the module in the error log, from the
#                          level on
#   said_in                another file in logs/ that "said" is about
#
# Patterns in "logged" and "said": <n> is a number, <fp> a fingerprint, <id> the
# id of a state, <none> nothing, as nginx writes it; <fp:NAME>, <id:NAME> and
# <n:NAME> are the same where the NAME is the same, and differ where that does.
#
# What "say" can be: a code, CODE/SUBCODE, "html" (no Graph error), "big" (an
# error of 3000 bytes, fatal), "to:URI" (X-Accel-Redirect).  Nothing: the
# send is accepted.  "trace" is the fbtrace_id of an error, "none" for none.

use strict;
use warnings;

use Test::Base ();
use Test::More ();
use Test::Nginx::Util ();
use Time::HiRes ();

my %patterns = (
    n    => '[0-9]+',
    fp   => '[0-9a-f]{16}',
    id   => '[0-9a-f]{18}',
    none => '-?',
);

my $patience = $ENV{TEST_NGINX_USE_VALGRIND} ? 30 : 5;
my $logs     = '$TEST_NGINX_SERVER_ROOT/logs';

# the preprocessors that a file adds itself run before this one
sub import {
    Test::Nginx::Util::no_root_location();
    Test::Nginx::Util::add_block_preprocessor(\&prepare);
    Test::Nginx::Socket::add_response_body_check(\&check);
}

# how many tests the blocks are
sub tests {
    my $tests = 0;

    for my $block (Test::Base::blocks()) {
        my @sends = sends($block);

        # the status, X-Graph-Policy and more; what reached the Graph API
        $tests += 2 + (() = $_->{expected} =~ /\n/g) for @sends;
        $tests += 1 if @sends || defined $block->graph;
        $tests += 1 if !@sends;
        $tests += 2 * (() = lines($block->http2_sends));
        $tests += grep { defined $block->$_ } qw(logged said);
    }

    return $tests;
}

# the requests of a block
sub sends {
    my ($block) = @_;

    my @sends;

    for (split /\n/, $block->sends // '') {
        s/\s+#.*//;
        next if !/\S/;

        my %send = (token => 'one', headers => '', expected => '');

        s{^(\w+) (\S+)(?: (HTTP/\S+))?\s+(\d+) (\S+)\s*}{}
            or die "what is this: $_\n";
        @send{qw(line uri status policy)}
            = ("$1 $2" . ($3 ? " $3" : ''), $2, $4, $5);
        $send{method} = $1;

        for (split) {
            if    (/^token=(.*)/)        { $send{token} = $1 }
            elsif (/^([\w-]+):(.*)/)     { $send{headers}  .= header($1, $2) }
            elsif (/^([\w-]+)=-$/)       { $send{expected} .= "!$1\n" }
            elsif (/^([\w-]+)=(.*)/)     { $send{expected} .= "$1: $2\n" }
            else                         { die "what is this: $_\n" }
        }

        push @sends, \%send;
    }

    return @sends;
}

sub header {
    my ($name, $value) = @_;

    $value =~ s/%([0-9A-F]{2})/chr hex $1/ge;
    return "$name: $value\n";
}

sub prepare {
    my ($block) = @_;

    my @sends = sends($block);

    my $config = join '', map { $_ // '' } log_of($block), $block->config;

    $block->set_value(http_config => mock($block)
        . ($block->http_config // '') . http2_server($block, $config));
    $block->set_value(config => $config);
    $block->set_value(init => 'GraphPolicy::Blocks::send_http2($block)')
        if defined $block->http2_sends;

    return if !@sends;

    $block->set_value(request => [map { $_->{line} } @sends]);
    $block->set_value(error_code => [map { $_->{status} } @sends]);
    $block->set_value(more_headers => [map {
        ($_->{token} eq '-' ? '' : "Authorization: Bearer $_->{token}\n")
            . $_->{headers}
    } @sends]);
    $block->set_value(response_headers => [map {
        ($_->{policy} eq '-' ? "!X-Graph-Policy\n"
            : "X-Graph-Policy: $_->{policy}\n") . $_->{expected}
    } @sends]);
}

sub lines {
    return ($_[0] // '') =~ /^.*\S.*$/mg;
}

# in the server, as there is a log of Test::Nginx's own above
sub log_of {
    my ($block) = @_;

    return defined $block->format ? "access_log $logs/lines.log lines;\n" : '';
}

sub http2_server {
    my ($block, $config) = @_;

    return '' if !defined $block->http2_sends;

    return "server {\n    listen unix:$logs/http2.sock http2;\n$config\n}\n";
}

sub send_http2 {
    my ($block) = @_;

    my $socket = Test::Nginx::Util::server_root() . '/logs/http2.sock';

    for (lines($block->http2_sends)) {
        my ($method, $uri, $status, $policy) = split;

        open my $curl, '-|', 'curl', '-sS', '-i', '-m', 10 * $patience, '-X',
            $method, '-H', 'Authorization: Bearer one', '--unix-socket',
            $socket, '--http2-prior-knowledge', "http://localhost$uri"
            or die "curl: $!";
        my $answer = do { local $/; <$curl> } // '';
        close $curl;

        my $name = $block->name . " - $method $uri over HTTP/2";
        my ($got) = $answer =~ /^x-graph-policy: (\S+)\r$/mi;

        Test::More::like($answer, qr{^HTTP/2 $status }, "$name - the status");
        Test::More::is($got // '-', $policy, "$name - X-Graph-Policy");
    }
}

sub mock {
    my ($block) = @_;

    my $more   = $block->graph_format // '';
    my $format = $block->format // '';

    s/\s+\z// for $more, $format;

    $more   = " $more" if $more;
    $format = "log_format lines '$format';" if $format;

    return <<"END";
$format
log_format graph '\$request_method \$request_uri$more';

map \$arg_say \$say_code {
    ~^(?<graph_code>\\d+)(?:/\\d+)?\$ \$graph_code;
    big 131042;
}

map \$arg_say \$say_subcode {
    ~^\\d+/(?<graph_subcode>\\d+)\$ ',"error_subcode":\$graph_subcode';
}

map \$arg_say \$say_message {
    big     '@{['x' x 3000]}';
    default 'Not this time';
}

map \$arg_trace \$say_trace {
    none    '';
    ''      ',"fbtrace_id":"Trace\$say_code"';
    default ',"fbtrace_id":"\$arg_trace"';
}

upstream graph {
    server unix:$logs/graph.sock;
}

server {
    listen unix:$logs/graph.sock;

    access_log   $logs/graph.log graph;
    default_type application/json;

    location / {
        if (\$arg_say = html) {
            return 500 '<html>';
        }

        if (\$arg_say ~ ^to:(?<to>.*)) {
            add_header X-Accel-Redirect \$to;
            return 200;
        }

        if (\$say_code != '') {
            return 400 '{"error":{"message":"\$say_message","code":\$say_code\$say_subcode\$say_trace}}';
        }

        return 200 '{"messages":[{"id":"wamid.FAKE"}]}';
    }
}
END
}

# at the last answer of a block: what the logs say
sub check {
    my ($block, $body, $index) = @_;

    my @sends = sends($block);
    return if @sends && $index != $#sends;

    my $name  = $block->name;
    my $graph = $block->graph;

    if (!defined $graph && @sends) {
        $graph = join '', map { "$_->{method} $_->{uri}\n" }
            grep { $_->{policy} ne 'blocked' } @sends;
    }

    compare("$name - what reached the Graph API", $graph,
        sub { slurp('graph.log') })
        if defined $graph;

    compare("$name - the access log", $block->logged,
        sub { slurp('lines.log') })
        if defined $block->logged;

    compare("$name - what the module said", $block->said,
        sub { said($block->said_in) })
        if defined $block->said;
}

# the module's own lines, without what every line of the log begins with
sub said {
    my ($file) = @_;

    return join '', map {
        m{^\S+ \S+ (\[\w+\]) \d+#\d+: (?:\*\d+ )?(graph[ _]policy.*)}
            ? "$1 $2\n" : ()
    } split /\n/, slurp($file // 'error.log');
}

sub slurp {
    my ($file) = @_;

    my $path = Test::Nginx::Util::server_root() . "/logs/$file";
    open my $in, '<', $path or return '';
    local $/;
    return <$in> // '';
}

sub compare {
    my ($name, $expected, $get) = @_;

    my %seen;
    my $pattern = join '', map {
        /^<(n|fp|id|none)(?::(\w+))?>$/ ? pattern(\%seen, $1, $2) : quotemeta
    } split /(<(?:n|fp|id|none)(?::\w+)?>)/, $expected;

    my $until = Time::HiRes::time() + $patience;
    my $got   = $get->();

    while ($got !~ /\A$pattern\z/ && Time::HiRes::time() < $until) {
        Time::HiRes::sleep(0.05);
        $got = $get->();
    }

    my $same = $got =~ /\A$pattern\z/;
    my %values;

    # other names, other values
    if ($same) {
        my %captured = %+;
        $values{$_}++ for values %captured;
        $same = !grep { $_ > 1 } values %values;
    }

    Test::More::ok($same, $name)
        or Test::More::diag("expected:\n${expected}got:\n$got");
}

sub pattern {
    my ($seen, $kind, $name) = @_;

    return $patterns{$kind} if !defined $name;
    return $seen->{"${kind}_$name"}++ ? "\\k<${kind}_$name>"
        : "(?<${kind}_$name>$patterns{$kind})";
}

1;
