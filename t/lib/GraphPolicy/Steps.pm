package GraphPolicy::Steps;

# Test::Nginx blocks that are a sequence of requests. A block has a section
# "steps", with a line for each request, what it is and what is to come of it:
#
#   1001 a 400 131042       =>  400 fatal billing passed
#   1001 b                  =>  400 fatal billing blocked
#   1002 a                  =>  200
#
# To the left: [METHOD] PATH TOKEN [what the Graph API answers] [{Name: value}]
#   PATH   "1001" is /v25.0/1001/messages, "1001/media" is /v25.0/1001/media;
#          or a path as it is
#   TOKEN  of "Authorization: Bearer"; "OAuth:a" is another scheme; "-" is none
#   what the Graph API answers is described in GraphPolicy.pm; "200" if omitted
#
# To the right: the status, and in any order category, reason, X-Graph-Policy,
# Name:value or Name:"va lue" for other headers, !Name for those that aren't
# there. Each step checks the status, these headers, and that the Graph API saw
# the request exactly once, or not at all where it is "blocked" or "local"
# (answered by configuration). A 2xx without a word more has no header of the
# policy.
#
# A line "sleep SECONDS" waits; "#" begins a comment. Sleeps, and holds given in
# milliseconds, are longer where everything is slow.
#
# Without a section "config", a block has a proxy with the zone "z" and a hold
# longer than any test; "server" holds more directives for it.

use strict;
use warnings;

use Test::More;
use Test::Nginx::Socket ();
use Test::Nginx::Util ();
use Time::HiRes qw(sleep);

use GraphPolicy;

my $graph = GraphPolicy::Graph->start;

$ENV{TEST_NGINX_GRAPH_PORT} = $graph->port;

# what the proxied requests were, since the block began
sub graph { $graph }

my %category = map { $_ => 1 }
    qw(fatal temporary context-limited request unclassified);
my %policy = map { $_ => 1 } qw(blocked probe dry-run passed);
my %reason = map { $_ => 1 } qw(token-invalid account-restricted billing
    phone-disconnected phones-disconnected rate-limit server-error
    service-unavailable undeliverable other);

Test::Nginx::Util::add_block_preprocessor(\&prepare);
Test::Nginx::Socket::add_response_body_check(\&after_step);
Test::Nginx::Util::no_root_location();
Test::Nginx::Util::master_on();
Test::Nginx::Util::workers(2);

sub prepare {
    my ($block) = @_;

    return if !defined $block->steps;

    my (@requests, @headers, @codes, @like, @seen, @sleeps, @lines);

    for my $line (split /\n/, $block->steps) {
        $line =~ s/(?:^|\s)#.*//;
        next if $line !~ /\S/;

        if ($line =~ /^\s*sleep\s+([\d.]+)\s*$/) {
            $sleeps[$#lines] += $1;
            next;
        }

        my ($what, $expected) = $line =~ /^(.*?)\s+=>\s+(.*?)\s*$/
            or die "not a step: $line\n";

        my ($request, $header) = request_of($what);
        my ($code, $like, $seen) = expectation_of($expected);

        push @lines, $line =~ s/^\s+|\s+$//gr;
        push @requests, $request;
        push @headers, $header;
        push @codes, $code;
        push @like, $like;
        push @seen, $seen;
    }

    $block->set_value(request => \@requests);
    $block->set_value(more_headers => \@headers);
    $block->set_value(error_code => \@codes);
    $block->set_value(raw_response_headers_like => \@like);
    $block->set_value(step_lines => \@lines);
    $block->set_value(step_seen => \@seen);
    $block->set_value(step_sleeps => \@sleeps);

    $block->set_value(http_config => "graph_policy_zone zone=z:1m;\n"
        . ($block->http_config // '')) if !defined $block->no_zone;

    my $server = $block->server // '';

    $block->set_value(config => <<'END' . $server . <<'END')
        graph_policy zone=z;
END
        location / {
            proxy_pass http://127.0.0.1:$TEST_NGINX_GRAPH_PORT;
        }
END
        if !defined $block->config;

    $block->set_value(config => 'graph_policy_hold 5m;' . $block->config)
        if $block->config !~ /graph_policy_hold/;

    my $slow = GraphPolicy::slow();

    $block->set_value(config => $block->config
        =~ s/\b(graph_policy_hold |hold=)(\d+)ms/$1 . $2 * $slow . 'ms'/ger);

    $graph->clear;
}

sub request_of {
    my ($what) = @_;

    my $headers = '';
    $headers .= "$1\n" while $what =~ s/\s*\{([^}]*)\}//;

    my @words = split ' ', $what;
    my $method = $words[0] =~ /^[A-Z]+$/ ? shift @words : 'POST';
    my $path   = shift @words;
    my $token  = shift @words // '-';

    $path = "$path/messages" if $path =~ /^\d+$/;
    $path = "/v25.0/$path"   if $path !~ m{^/};

    $headers .= 'Authorization: '
        . ($token =~ /^(\w+):(.*)/ ? "$1 $2" : "Bearer $token") . "\n"
        if $token ne '-';
    $headers .= 'X-Mock: ' . join(' ', @words) . "\n" if @words;
    $headers .= "Content-Length: 0\n" if $method ne 'GET' && $method ne 'HEAD';

    return ("$method $path", $headers);
}

sub expectation_of {
    my ($expected) = @_;

    my ($status, @words) = $expected =~ /((?:"[^"]*"|[^\s"])+)/g;

    die "no status: $expected\n" if $status !~ /^\d{3}$/;

    my (%header, @absent, $seen);

    for (@words) {
        s/"//g;

        if    ($category{$_})        { $header{'X-Graph-Error-Category'} = $_ }
        elsif ($policy{$_})          { $header{'X-Graph-Policy'} = $_ }
        elsif ($reason{$_})          { $header{'X-Graph-Error-Reason'} = $_ }
        elsif ($_ eq 'local')        { $seen = 0 }
        elsif (/^!([\w-]+)$/)        { push @absent, $1 }
        elsif (/^([\w-]+):(.*)$/)    { $header{$1} = $2 }
        else                         { die "no expectation: $_\n" }
    }

    my $policy = $header{'X-Graph-Policy'} // '';

    die "an error has more to tell: $expected\n" if $status >= 400 && !@words;

    push @absent, 'X-Graph-Policy' if !$policy;
    push @absent, 'X-Graph-State' if $policy ne 'blocked';
    push @absent, 'X-Graph-Error-Category', 'X-Graph-Error-Code',
        'X-Graph-Error-Reason', 'X-Graph-Error-Scope', 'Retry-After'
        if $status < 400;

    my $like = '\A';
    $like .= "(?=.*^$_: " . quotemeta($header{$_}) . '\s*$)'
        for sort keys %header;
    $like .= "(?!.*^$_:)" for @absent;

    return ($status, qr/$like/ms, $seen // ($policy eq 'blocked' ? 0 : 1));
}

sub after_step {
    my ($block, $body, $index, $repeated, $dry_run) = @_;

    return if $dry_run || !defined $block->steps;

    my $line = $block->step_lines->[$index];

    is($graph->count, $block->step_seen->[$index],
        $block->name . " - seen by the Graph API: $line");

    my @results = Test::More->builder->summary;
    diag("the step was: $line") if grep { !$_ } @results[-3 .. -1];

    $graph->clear;

    my $seconds = $block->step_sleeps->[$index];
    sleep $seconds * GraphPolicy::slow() if $seconds;
}

1;
