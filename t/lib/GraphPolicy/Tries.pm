package GraphPolicy::Tries;

# Test::Nginx blocks whose requests are tried several times. A block has a
# section "tries", with a line for each request, or two:
#
#   1001 500 131016 | 500 131016 | 200   =>  200 retried x3
#   1002 400 131042                      =>  400 fatal billing passed
#   GET /v25.0/7 500 131016 {X-Note: a}
#       =>  500 temporary service-unavailable passed
#
# To the left: [METHOD] PATH, what the upstream answers to each try, as told in
# GraphPolicy/Scripted.pm, and headers in braces. PATH "1001" is
# /v25.0/1001/messages.
#
# To the right: the status, and in any order category, reason, X-Graph-Policy,
# Name:value or Name:"va lue" for other headers, !Name for those that aren't
# there, and
#
#   xN          how many times the request reached the upstream, else 1, or
#               none where it is "blocked"; so many as the answer's
#               X-Graph-Attempts has to say where that is more than 1
#   gaps>=A,B   milliseconds at least between the first and the second try, the
#               second and the third
#   own         the answer is nginx's own, whose body and log don't matter
#   repeated    the answer has a header twice, as the upstream sent it
#   took<A      milliseconds between the first try and the answer
#
# Of each line it is seen that the tries are equal, byte for byte, that each
# bears the client's method, URI and body, and that the answer's status, body
# and header X-Try are those of the last one, with no header twice.
#
# "format" is that of an access log, "logged" the pattern of each of its lines;
# "said" patterns of lines of the error log. The log never has an alert.
#
# "sent" is the method that the upstream gets, where it isn't the client's, and
# behind that what its URI has behind the client's path.
#
# Without a section "config", a block has a proxy with the zone "z"; "server"
# and "retry" hold more directives for it.

use strict;
use warnings;

use Test::Base ();
use Test::More;
use Test::Nginx::Socket ();
use Test::Nginx::Util ();
use Time::HiRes qw(time sleep);

use GraphPolicy;
use GraphPolicy::Scripted;

my $upstream = GraphPolicy::Scripted->start;

$ENV{TEST_NGINX_UPSTREAM_PORT} = $upstream->port;

my %category = map { $_ => 1 }
    qw(fatal temporary context-limited request unclassified);
my %policy = map { $_ => 1 } qw(blocked probe retried dry-run passed);
my %reason = map { $_ => 1 } qw(token-invalid account-restricted billing
    phone-disconnected phones-disconnected rate-limit pair-rate-limit
    maintenance server-error service-unavailable window-expired undeliverable
    spam-quality media-download media-upload other);

# how many tests the blocks are; to be called after the file's preparation
sub tests {
    my $tests = 0;

    Test::Nginx::Util::add_block_preprocessor(\&prepare);
    Test::Nginx::Socket::add_response_body_check(\&after_line);
    Test::Nginx::Util::no_root_location();
    Test::Nginx::Util::master_on();
    Test::Nginx::Util::log_level('info');

    for my $block (Test::Base::blocks()) {
        $tests += 3 * lines($block) + 1;
        $tests += defined $block->logged;
        $tests += () = ($block->said // '') =~ /\n/g;
    }

    return $tests;
}

sub lines {
    my ($block) = @_;

    my $text = $block->tries;
    $text = $text->() if ref $text;
    $text =~ s/^\s*#.*\n//mg;
    $text =~ s/\n\s+=>/ =>/g;

    return map {
        my ($what, $expected) = /^\s*(.*?)\s+=>\s+(.*?)\s*$/
            or die "not a line: $_\n";
        +{ request_of($what), expectation_of($expected), line => $_ };
    } grep { /\S/ } split /\n/, $text;
}

# no two bodies are the same
my $salt = 0;

sub request_of {
    my ($what) = @_;

    my $headers = '';
    $headers .= "$1\n" while $what =~ s/\s*\{([^}]*)\}//;

    my $method = $what =~ s/^([A-Z]+)\s+// ? $1 : 'POST';
    my ($path, $script) = $what =~ /^(\S+)\s+(.*)/
        or die "not a request: $what\n";

    $path = "/v25.0/$path/messages" if $path =~ /^\d+$/;

    my $body = $method =~ /^(?:GET|HEAD|DELETE)$/ ? ''
        : '{"to":"15550001111","n":' . ++$salt . '}';

    $headers .= "X-Script: $script\nX-Note: of $path\n";
    $headers .= "Authorization: Bearer of-$path\n"
        if $headers !~ /^Authorization:/m;

    return (method => $method, path => $path, script => $script,
        body => $body, headers => $headers);
}

sub expectation_of {
    my ($expected) = @_;

    my ($status, @words) = $expected =~ /((?:"[^"]*"|[^\s"])+)/g;
    my (%header, @absent, %line);

    for (@words) {
        s/"//g;

        if    ($category{$_})         { $header{'X-Graph-Error-Category'} = $_ }
        elsif ($policy{$_})           { $header{'X-Graph-Policy'} = $_ }
        elsif ($reason{$_})           { $header{'X-Graph-Error-Reason'} = $_ }
        elsif (/^x(\d+)$/)            { $line{count} = $1 }
        elsif (/^gaps>=([\d,]+)$/)    { $line{gaps} = [split /,/, $1] }
        elsif (/^own$|^repeated$/)    { $line{$_} = 1 }
        elsif (/^took<(\d+)$/)        { $line{took} = $1 }
        elsif (/^!([\w-]+)$/)         { push @absent, $1 }
        elsif (/^([\w-]+):(.*)$/)     { $header{$1} = $2 }
        else                          { die "no expectation: $_\n" }
    }

    die "an error has more to tell: $expected\n" if $status >= 400 && !@words;

    my $policy = $header{'X-Graph-Policy'} // '';
    my $count  = $line{count} //= $policy eq 'blocked' ? 0 : 1;

    if ($policy eq 'retried') {
        $header{'X-Graph-Attempts'} = $count;
    } elsif (!$header{'X-Graph-Attempts'}) {
        push @absent, 'X-Graph-Attempts';
    }

    push @absent, 'X-Graph-Policy' if !$policy;
    push @absent, 'X-Graph-State' if $policy ne 'blocked';
    push @absent, map { "X-Graph-Error-$_" }
        qw(Category Code Subcode Reason Scope) if $status < 400;
    push @absent, 'Retry-After' if $status < 400;

    my $like = '\A';
    $like .= '(?!.*^([\w-]+):.*^\g{-1}:)' if !$line{repeated};
    $like .= "(?=.*^$_: " . quotemeta($header{$_}) . '\s*$)'
        for sort keys %header;
    $like .= "(?!.*^$_:)" for @absent;
    $like .= "(?=.*^X-Try: $count\\s*\$)" if $count && !$line{own};

    return (%line, status => $status, like => qr/$like/msi);
}

sub prepare {
    my ($block) = @_;

    my @lines = lines($block);

    $block->set_value(lines => \@lines);
    $block->set_value(request => [map { "$_->{method} $_->{path}\n$_->{body}" }
        @lines]);
    $block->set_value(more_headers => [map { $_->{headers} } @lines]);
    $block->set_value(error_code => [map { $_->{status} } @lines]);
    $block->set_value(raw_response_headers_like => [map { $_->{like} }
        @lines]);

    # longer than any of the waits
    $block->set_value(timeout => 15) if !defined $block->timeout;

    my $log = '';
    if (defined $block->format) {
        my $format = $block->format =~ s/\s+\z//r;
        $log = "log_format tries '$format';\n"
            . "access_log \$TEST_NGINX_SERVER_ROOT/logs/tries.log tries;\n";
    }

    $block->set_value(http_config => "graph_policy_zone zone=z:1m;\n$log"
        . ($block->http_config // ''));

    my $retry  = $block->retry // '';
    my $server = $block->server // '';

    $block->set_value(config => <<"END") if !defined $block->config;
        graph_policy zone=z;
        $retry
        $server
        location / {
            proxy_pass http://127.0.0.1:\$TEST_NGINX_UPSTREAM_PORT;
        }
END

    $upstream->clear;
}

sub after_line {
    my ($block, $body, $index, $repeated, $dry_run) = @_;

    return if $dry_run;

    my $now   = time;
    my $lines = $block->lines;
    my $line  = $lines->[$index];
    my @tries = $upstream->requests;

    my ($method, $more) = split ' ', $block->sent // '';

    my @wrong = look({ %$line, method => $method // $line->{method},
        path => $line->{path} . ($more // '') }, $body, $now, @tries);
    ok(!@wrong, $block->name . " - the tries: $line->{line}")
        or diag(join "\n", @wrong);

    $upstream->clear;
    at_end($block) if $index == $#$lines;
}

sub look {
    my ($line, $body, $now, @tries) = @_;

    my @wrong;

    push @wrong, 'tries: ' . @tries . ", not $line->{count}"
        if @tries != $line->{count};
    return @wrong if !@tries;

    for (@tries) {
        push @wrong, "other bytes on try $_->{number}:\n$_->{raw}\nnot\n"
            . $tries[0]{raw} if $_->{raw} ne $tries[0]{raw};
    }

    for (qw(method body)) {
        push @wrong, "$_: $tries[0]{$_}, not $line->{$_}"
            if $tries[0]{$_} ne $line->{$_};
    }

    push @wrong, "URI: $tries[0]{uri}, not $line->{path}"
        if $tries[0]{uri} ne $line->{path};

    for (split /\n/, $line->{headers}) {
        push @wrong, "no header $_" if $tries[0]{head} !~ /^\Q$_\E\r$/m;
    }

    my $expected = $line->{method} eq 'HEAD' || $line->{status} == 204 ? ''
        : GraphPolicy::Scripted::body_of($line->{script}, scalar @tries);
    push @wrong, "body of the answer: $body\nnot\n$expected"
        if $body ne $expected && !$line->{own};

    for my $i (0 .. $#{ $line->{gaps} || [] }) {
        last if $i + 1 > $#tries;
        my $gap = 1000 * ($tries[$i + 1]{time} - $tries[$i]{time});
        # the two clocks are rounded
        push @wrong, "gap $i: $gap ms, not $line->{gaps}[$i]"
            if $gap < $line->{gaps}[$i] - 5;
    }

    my $took = 1000 * ($now - $tries[0]{time});
    push @wrong, "took $took ms, not less than $line->{took}"
        if $line->{took} && $took > $line->{took} * GraphPolicy::slow();

    return @wrong;
}

sub slurp {
    return GraphPolicy::slurp(Test::Nginx::Util::server_root()
        . "/logs/$_[0]");
}

sub at_end {
    my ($block) = @_;

    my $name = $block->name;

    if (defined $block->logged) {
        my $pattern = $block->logged =~ s/^#.*\n//mgr =~ s/\s+\z//r;

        GraphPolicy::wait_until(sub {
            (() = slurp('tries.log') =~ /\n/g) >= @{ $block->lines }
        }, 5);
        like(slurp('tries.log'), qr/\A$pattern\n?\z/,
            "$name - the access log");
    }

    for my $line (split /\n/, $block->said // '') {
        GraphPolicy::wait_until(sub { slurp('error.log') =~ /$line/ }, 5);
        like(slurp('error.log'), qr/$line/, "$name - the error log");
    }

    my $levels = (grep { $_->{own} } @{ $block->lines })
        ? 'crit|alert|emerg' : 'error|crit|alert|emerg';
    is(join("\n", grep { /\[(?:$levels)\](?!.* graph policy state )/ } split /\n/, slurp('error.log')),
        '', "$name - nothing is wrong");
}

1;
