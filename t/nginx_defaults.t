#!/usr/bin/perl

# nginx's defaults that docs/deploying.md speaks of, each as the nginx that is
# here has it: a version that changes one fails here before it surprises
# anybody.

use strict;
use warnings;

use Test::More;

use FindBin;
use POSIX ();
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(slurp);
use GraphPolicy::Graph;

my ($version) = `$GraphPolicy::nginx_binary -v 2>&1` =~ m{nginx/(\d+\.\d+\.\d+)}
    or die 'no version';
my $number = number($version);

my $page = slurp("$FindBin::Bin/../docs/deploying.md");
my ($section) = $page =~ /^## nginx's defaults that matter here\n(.*?)^## /ms
    or die 'no section';

my $graph = GraphPolicy::Graph->start(
    hint => sub {
        return "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
            . GraphPolicy::Graph::with_length('400 Bad',
                "Content-Type: application/json\r\n",
                '{"error":{"message":"m","code":131042}}');
    },
);


# -- HTTP version and keepalive -----------------------------------------------

my $is_new = $number >= number('1.29.7');

# what a location has, the version, the Connection header, and how many
# connections three requests of it and one of another location like it take
my $keepalive = 'proxy_http_version 1.1; proxy_set_header Connection "";';

for (
    ['bare', '', '', $is_new ? ('HTTP/1.1', '-', 2) : ('HTTP/1.0', 'close', 4)],
    # before, what the far side closes may be taken for one that is open
    ['with keepalive alone', 'keepalive 32;', '',
        $is_new ? ('HTTP/1.1', '-', 1) : ('HTTP/1.0', 'close', 'some')],
    ['with all three lines', 'keepalive 32;', $keepalive, 'HTTP/1.1', '-', 1],
) {
    my ($name, $upstream, $location, $protocol, $connection, $count) = @$_;

    my $nginx = proxy(<<"END");
upstream graph { server 127.0.0.1:%GRAPH%; $upstream }
server {
    listen 127.0.0.1:%PORT%;
    location / { $location proxy_pass http://graph; }
    location /v26.0/ { $location proxy_pass http://graph; }
}
END

    $graph->clear;
    $nginx->request(path => "/$_/1001/messages", token => 'a')
        for qw(v25.0 v25.0 v25.0 v26.0);

    my ($request) = $graph->requests;

    is(join(' ', $request->{version}, $request->{headers}{connection} // '-',
        $count eq 'some' ? 'some' : $graph->connections),
        "$protocol $connection $count",
        "an upstream $name, version $version: $protocol, Connection "
        . "$connection, $count connections for four sends in two locations");
}

# what the page prints for finding out
{
    my ($printed) = $section =~ /^```nginx\n(.*?)^```$/ms or die 'no block';

    $printed =~ s/127\.0\.0\.1:8090\b/127.0.0.1:%PORT%/;
    $printed =~ s/127\.0\.0\.1:8091\b/127.0.0.1:%PORT2%/g;

    my $nginx = proxy($printed);
    my @said  = map { $nginx->request(path => '/', method => 'GET')->{body} }
        1, 2;

    is(join('', @said), $is_new
        ? join('', map { "HTTP/1.1, Connection: , request $_\n" } 1, 2)
        : "HTTP/1.0, Connection: close, request 1\n" x 2,
        "so says the configuration that shows it");
}


# -- max_fails ----------------------------------------------------------------

for (['', 502], ['max_fails=0', 200]) {
    my ($parameter, $status) = @$_;

    # two addresses of one name are two servers likewise
    my $nginx = proxy(<<"END");
upstream graph {
    server 127.0.0.1:%GRAPH% $parameter;
    server 127.0.0.1:%GRAPH% $parameter;
}
server {
    listen 127.0.0.1:%PORT%;
    location / { proxy_read_timeout 300ms; proxy_pass http://graph; }
}
END

    my @answers = map {
        $nginx->request(path => '/v25.0/1001/messages', mock => $_)
    } '200 after=2000', '200 after=2000', '200';

    is(join(' ', map { $_->{status} } @answers), "504 504 $status",
        'after a slow send at each of two addresses the next one gets '
        . "$status" . ($parameter && " with $parameter"));
}

my $alone = proxy(<<'END');
upstream graph { server 127.0.0.1:%GRAPH%; }
server {
    listen 127.0.0.1:%PORT%;
    location / { proxy_read_timeout 300ms; proxy_pass http://graph; }
}
END

is(join(' ', map {
        $alone->request(path => '/v25.0/1001/messages', mock => $_)->{status}
    } '200 after=2000', '200'), '504 200', 'a single address is kept');


# -- client_body_buffer_size --------------------------------------------------

my $buffer = 2 * POSIX::sysconf(POSIX::_SC_PAGESIZE());

for (['', $buffer, 2 * $buffer],
    ['client_body_buffer_size 64k;', 65536, 131072])
{
    my ($directive, $kept, $filed) = @$_;

    my $nginx = proxy(<<"END");
$directive
server {
    listen 127.0.0.1:%PORT%;
    location / { proxy_pass http://127.0.0.1:%GRAPH%; }
}
END

    my @seen;

    for my $size ($kept, $filed) {
        my $before = () = $nginx->log =~ /buffered to a temporary file/g;

        $nginx->request(path => '/v25.0/1001/messages', body => 'x' x $size);
        push @seen, (() = $nginx->log
            =~ /\[warn\].*buffered to a temporary file/g) - $before;
    }

    is("@seen", '0 1', "a body of $kept bytes stays in memory, one of $filed "
        . 'goes to a file, which is told at "warn"');
}


# -- error_log ----------------------------------------------------------------

{
    my $nginx = GraphPolicy::Nginx->start(graph => $graph, log_level => '',
        http => <<'END');
upstream nobody { server 127.0.0.1:%PORT2%; }
server {
    listen 127.0.0.1:%PORT%;
    location / { proxy_pass http://127.0.0.1:%GRAPH%; }
    location /nobody { proxy_pass http://nobody; }
}
END

    $nginx->request(path => '/v25.0/1001/messages',
        body => 'x' x (4 * $buffer));
    $nginx->request(path => '/nobody');

    my %levels = map { $_ => 1 } $nginx->log =~ /^\S+ \S+ \[(\w+)\]/mg;

    is_deeply([keys %levels], ['error'],
        'an error_log without a level has "error" and above, no "warn"');
}


# -- variables_hash -----------------------------------------------------------

{
    my $nginx = proxy("server { listen 127.0.0.1:%PORT%; }\n");
    my %warns;

    for my $count (40, 400) {
        $nginx->configure(join "\n", 'server { listen 127.0.0.1:%PORT%;',
            (map { "set \$own_$_ 1;" } 1 .. $count), '}');
        my $said = join '', map { `$_ 2>&1` } join ' ', $nginx->command('-t');
        $warns{$count} = $said =~ /could not build optimal variables_hash/
            ? 1 : 0;
    }

    is_deeply(\%warns, { 40 => 0, 400 => 1 },
        'there is room for 40 more variables in the default variables_hash');
}


# -- proxy_intercept_errors ---------------------------------------------------

for (
    ['', 'fatal'],
    ['error_page 400 /page;', 'fatal'],
    ['proxy_intercept_errors on;', 'fatal'],
    ['proxy_intercept_errors on; error_page 503 /page;', 'fatal'],
    ['proxy_intercept_errors on; error_page 400 /page;', '-'],
) {
    my ($directives, $category) = @$_;

    my $nginx = proxy(<<"END");
graph_policy_zone zone=z:1m;
server {
    listen 127.0.0.1:%PORT%;
    location / {
        $directives
        graph_policy zone=z;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location = /page { return 400 page; }
}
END

    my $answer = $nginx->request(path => '/v25.0/1001/messages',
        mock => '400 131042', token => 'a');

    is($answer->{headers}{'x-graph-error-category'} // '-', $category,
        ($directives || 'by default') . ": the category is $category");
}


# -- early hints --------------------------------------------------------------

my $is_hinting = $number >= number('1.29.0');

{
    my $nginx = proxy(<<"END");
graph_policy_zone zone=z:1m;
server {
    listen 127.0.0.1:%PORT%;
    @{[ $is_hinting ? 'early_hints $http_x_hints;' : '' ]}
    location / {
        graph_policy zone=z;
        $keepalive
        proxy_read_timeout 300ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END

    for my $hints ($is_hinting ? ('', 1) : '') {
        my $text = $nginx->request(path => '/hint/v25.0/1001/messages',
            token => $hints, headers => ['X-Hints' => $hints],
            all => 1, timeout => 3)->{text};
        my @statuses = $text =~ m{^HTTP/1\.1 (\d+)}mg;

        is("@statuses", !$is_hinting ? '103' : $hints ? '103 400' : '400',
            "a 103 before the answer, version $version"
            . ($hints ? ', with early_hints' : ''));
        is($text =~ /^X-Graph-Error-Category: fatal\r$/m ? 1 : 0,
            $is_hinting ? 1 : 0, $is_hinting
                ? 'the answer after it is classified' : 'the answer is lost');
    }
}


# -- directives by version ----------------------------------------------------

for (
    ['client_body_early_read on;', '1.31.5'],
    ['early_hints 1;', '1.29.0'],
    ['proxy_http_version 2;', '1.29.4'],
) {
    my ($directive, $since) = @$_;
    my ($name) = $directive =~ /^(\w+)/;

    my $nginx = proxy("server { listen 127.0.0.1:%PORT%; }\n");
    $nginx->configure("server { listen 127.0.0.1:%PORT%; $directive }\n");
    my $said = join '', map { `$_ 2>&1` } join ' ', $nginx->command('-t');

    is($said =~ /\[emerg\]/ ? 0 : 1, $number >= number($since) ? 1 : 0,
        "$directive is there since $since");
    like($section, qr/\Q$name\E.*?\Q$since\E/s, 'and the page says so');
}

like($section, qr/\b1\.29\.7\b/,
    'so it does since when keepalive is the default');

done_testing();


# -- helpers ------------------------------------------------------------------

sub proxy {
    my ($http) = @_;

    return GraphPolicy::Nginx->start(graph => $graph, http => $http);
}

# for comparing
sub number {
    my ($text) = @_;

    my @parts = split /\./, $text;
    return ($parts[0] * 1000 + $parts[1]) * 1000 + $parts[2];
}
