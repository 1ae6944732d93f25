package GraphPolicy::Steps;

# Test::Nginx blocks that are a sequence of requests to a proxy, whose Graph API
# answers each of them as the test says.  After "use Test::Nginx::Socket":
#
#   use GraphPolicy::Steps;
#   plan tests => GraphPolicy::Steps::tests();      # or plan 'no_plan'
#   run_tests();
#
# A block has a section "steps" with a line for each request, or two: what it is
# and what is to come of it.
#
#   1001 a 400 131042                    =>  400 fatal billing passed
#   1001 b                               =>  400 fatal billing blocked
#   1002 a                               =>  200
#   1003 500 131016 | 500 131016 | 200   =>  200 retried x3
#   GET /v25.0/7 500 131016 {X-Note: a}
#       =>  500 temporary service-unavailable passed
#   * 401 = {"error":{"code":190}}
#       =>  401 tagged fatal 190 - token-invalid credential
#
# To the left: [METHOD] PATH [HTTP/1.0] [TOKEN] [ANSWER | ANSWER ...] [= BODY]
#
#   METHOD   POST, if omitted
#   PATH     as it is, or a phone: "1001" is /v25.0/1001/messages, "1001/media"
#            is /v25.0/1001/media; "*" is a phone that no other step has
#   TOKEN    of "Authorization: Bearer"; "OAuth:a" is another scheme, "-" is
#            none; without it, the path has a token of its own
#   ANSWER   of the Graph API to the first try, the second, and so on, in the
#            words of GraphPolicy/Graph.pm; "200" if there is none
#   BODY     of the answers: the rest of the line
#   {Name: value}   anywhere: a header of the request
#
# To the right: the status and, in any order,
#
#   fatal ...         the category
#   billing ...       the reason
#   passed, blocked, probe, retried, dry-run       X-Graph-Policy
#   Name:value        another header; quoted if there are blanks: Name:"a b"
#   Name~pattern      another header, whose whole value matches
#   !Name             no such header
#   xN                how many times the request reaches the Graph API; else
#                     that is once, and never if it is "blocked" or "local"
#   as=URI, as=METHOD   what the Graph API gets, else what the client has sent
#   got:Name:value    a header that it gets, "-" if it mustn't get one; the
#                     others are those of the client
#   changed           it gets another body or other headers
#   local             the answer comes of the configuration
#   own               the answer is nginx's own, or another one that the step
#                     doesn't tell
#   repeated          the answer has a header twice, as the Graph API sent it
#   gaps>=A,B         milliseconds at least between the first try and the
#                     second, the second and the third
#   took<A            milliseconds between the first try and the answer
#   tagged CATEGORY CODE SUBCODE REASON SCOPE RETRY-AFTER
#                     X-Graph-Policy is "passed", and exactly these headers are
#                     there; "-" or nothing is none, "?" doesn't care, anything
#                     else is a pattern
#   untouched         no header of the policy
#   theirs            all headers of the answer's "spoof=theirs", and no other
#
# Each step checks
#
#   the status;
#   the headers: those above, and that there is no X-Graph-Policy or
#       X-Graph-Attempts that the line doesn't name, no X-Graph-State or
#       X-Graph-Hold unless it is blocked, nothing of an error if the status is
#       none, and no header twice;
#   the body, byte for byte: that of the last answer of the Graph API, or an
#       error if the module has answered;
#   what reached the Graph API: how many tries, all the same, byte for byte,
#       with the client's method, URI, body and headers, but for Host.
#
# A line "sleep SECONDS" waits; "#" begins a comment.
#
# With the filter "eval", the section may be an array of [ANSWER, BODY, WORDS]
# or [LEFT SIDE, BODY, WORDS], for bytes that a line can't hold: "*" is asked
# for, the status is the answer's, and the words are those of "tagged".
#
# More sections, of a block with steps:
#
#   each          "WORDS => WORDS", which every line has more
#   http2_steps   lines as in "steps", sent over HTTP/2, without a body, and
#                 before all others
#   graph         what reached the Graph API in the end, a line for each
#                 request, METHOD URI; steps then don't look at it or at bodies
#   graph_format  what "graph" shows more, of words and $http_NAME
#   format        of an access log of the server
#   logged        all lines of it
#   said          all lines of the module in the error log, from the level on
#   said_in       another file in logs/ that "said" is about
#   mentions      patterns, one a line, of lines that the error log has
#
# Patterns in "logged" and "said": <n> is a number, <fp> a fingerprint, <id> the
# id of a state, <none> nothing, as nginx writes it, <~REGEX> what matches;
# <fp:NAME>, <id:NAME> and <n:NAME> are the same where the NAME is the same, and
# differ where that does.
#
# The error log never has anything of level "error" or above but changes of
# states and what "said" and "mentions" tell; with an answer that is nginx's
# "own" it may have an "error".
# Blocks without steps have a "no_error_log" that says so, and can have
# "graph", "format", "logged" and "said" as well.
#
# The configuration: "http_config" goes to http {}, which has the zone "z" and
# the upstream "graph" unless it says so itself. Without "config", the server
# has a proxy; "server" holds more directives for it, "location" for its
# location.
#
# Options of "use": workers (1); hold, a graph_policy_hold of every server that
# says none: with it, holds in milliseconds are longer where everything is slow,
# and sleeps always are.

use strict;
use warnings;

use IO::Socket::UNIX ();
use Test::Base ();
use Test::More;
use Test::Nginx::Socket ();
use Test::Nginx::Util ();
use Time::HiRes qw(time sleep);

use GraphPolicy;
use GraphPolicy::Graph;

my $graph = GraphPolicy::Graph->start;

$ENV{TEST_NGINX_GRAPH_PORT} = $graph->port;

# lines of the log that nobody wants to see
our $complaints = qr/\[(?:error|crit|alert|emerg)\]
    (?!.*[ ]graph[ ]policy[ ](?:state|doesn't[ ]see)[ ])/x;

my $logs = '$TEST_NGINX_SERVER_ROOT/logs';
my ($hold, $ran);

my %category = map { $_ => 1 }
    qw(fatal temporary context-limited request unclassified);
my %policy = map { $_ => 1 } qw(passed blocked probe retried dry-run);
my %reason = map { $_ => 1 } qw(token-invalid account-restricted billing
    phone-disconnected phones-disconnected rate-limit pair-rate-limit
    maintenance server-error service-unavailable window-expired undeliverable
    spam-quality media-download media-upload other);

my @tags = map { "X-Graph-Error-$_" } qw(Category Code Subcode Reason Scope);
my $tags = join '|', @tags, map { "X-Graph-$_" }
    qw(Policy State Hold Attempts);

my %patterns = (
    n    => '[0-9]+',
    fp   => '[0-9a-f]{16}',
    id   => '[0-9a-f]{18}',
    none => '-?',
);

# the preprocessors that a file adds itself run before this one
sub import {
    my ($class, %of) = @_;

    my $caller = caller;

    no strict 'refs';
    *{"${caller}::$_"} = \&$_ for qw(tagged untagged sample);

    $hold = $of{hold};

    Test::Nginx::Util::add_block_preprocessor(\&prepare);
    Test::Nginx::Socket::add_response_body_check(\&after_answer);
    Test::Nginx::Util::no_root_location();
    Test::Nginx::Util::master_on();
    Test::Nginx::Util::workers($of{workers} // 1);
    Test::Nginx::Util::log_level('info');
}

sub graph { $graph }

# how many tests the blocks are
sub tests {
    my $tests = 0;

    for my $block (Test::Base::blocks()) {
        my $steps = () = map { steps_of($block, $_) } qw(steps http2_steps);

        # or the status, and no_error_log
        $tests += $steps ? 4 * $steps + 1 : 2;
        $tests += grep { defined $block->$_ } qw(graph logged said);
        $tests += () = lines_of($block->mentions);
    }

    return $tests;
}

sub lines_of { return ($_[0] // '') =~ /^.*\S.*$/mg }


# -- lines --------------------------------------------------------------------

sub steps_of {
    my ($block, $section) = @_;

    my $text = $block->$section // return;
    my ($left, $right) = split /\s*=>\s*/, $block->each // ' => ';

    s/\s+\z// for grep { defined } $left, $right;
    $_ //= '' for $left, $right;

    # a section may have been made by a sub
    $text = $text->() if ref $text eq 'CODE';

    return map { step($block, given(@$_), $left, $right) } @$text if ref $text;

    $text =~ s/^\s*#.*\n?//mg;
    $text =~ s/\n\s+=>/ =>/g;

    my @steps;

    for my $line (grep { /\S/ } split /\n/, $text) {
        if ($line =~ /^\s*sleep\s+([\d.]+)\s*$/) {
            $steps[-1]{sleep} += $1;
            next;
        }

        my ($what, $expected) = $line =~ /^\s*(.*?)\s+=>\s+(.*?)\s*$/
            or die "not a step: $line\n";
        $expected =~ s/\s#\s.*//;

        my $body = $what =~ s/\s=(?:\s+(.*))?\z// ? $1 // '' : undef;

        push @steps, step($block, $line, $what, $body, $expected, $left,
            $right);
    }

    return @steps;
}

# a line of an array
sub given {
    my ($answer, $body, $words) = @_;

    my $shown = length $body > 300 ? substr($body, 0, 300) . '...' : $body;

    return ("$answer $shown => $words",
        $answer =~ /^\d+$/ ? "* $answer" : $answer, $body,
        $words =~ /^(?:untouched|theirs)$/ ? $words : "tagged $words");
}

# no two bodies and no two phones are the same
my ($salt, $phone, $bodies) = (0, 1000000000, 0);

sub step {
    my ($block, $line, $what, $body, $expected, $left, $right) = @_;

    my $step = { line => $line =~ s/^\s+|\s+$//gr, sleep => 0,
        graph => defined $block->graph };

    read_request($step, length $left ? "$what $left" : $what, $body);
    read_expected($step, "$right $expected");
    return $step;
}

sub read_request {
    my ($step, $what, $body) = @_;

    my $headers = '';
    $headers .= "$1\n"
        while $what =~ s/\s*\{([A-Za-z][\w-]*:[^}]*)\}//;

    my @words  = split ' ', $what;
    my $method = $words[0] =~ /^[A-Z]+$/ ? shift @words : 'POST';
    my $path   = shift @words // die "no path: $step->{line}\n";

    $path =~ s{(?<![^/])\*(?![^/])}{$phone++}e;
    $path = "$path/messages" if $path =~ /^\d+$/;
    $path = "/v25.0/$path"   if $path =~ /^\d/;

    my $version = @words && $words[0] =~ m{^HTTP/} ? ' ' . shift @words : '';
    my $token   = @words && $words[0] !~ /^\d{1,3}$/ ? shift @words
        : 'of-' . $path =~ s/\W//gr;

    # it is known to the Graph API when the block begins
    if (defined $body) {
        $step->{given} = $body;
        push @words, 'given=' . ($step->{name} = ++$bodies);
    }

    my $has_body = $method !~ /^(?:GET|HEAD|DELETE)$/;

    $headers .= 'Authorization: '
        . ($token =~ /^(\w+):(.*)/ ? "$1 $2" : "Bearer $token") . "\n"
        if $token ne '-' && $headers !~ /^Authorization:/m;
    $headers .= 'X-Mock: ' . join(' ', @words) . "\n" if @words;
    $headers .= "X-Note: of $path\n" if $headers !~ /^X-Note:/m;

    @$step{qw(method path version headers script)} = ($method, $path, $version,
        $headers, @words ? join ' ', @words : '200');
    $step->{body} = $has_body
        ? '{"to":"15550001111","n":' . ++$salt . '}' : '';
}

sub read_expected {
    my ($step, $expected) = @_;

    my @words = $expected =~ /((?:"[^"]*"|[^\s"])+)/g;
    my (%header, %like, @absent, $exact, @exact);

    for (@words) {
        my $quoted = s/"//g;

        if    (!$quoted && /^\d{3}$/ && !@exact)
                                      { $step->{status} = $_ }
        elsif (/^(?:tagged|untouched|theirs)$/)
                                      { $exact = $_ }
        elsif (/^x(\d+)$/)            { $step->{count} = $1 }
        elsif (/^as=([A-Z]+)$/)       { $step->{as_method} = $1 }
        elsif (/^as=(.+)$/)           { $step->{as} = $1 }
        elsif (/^got:([\w-]+):(.*)$/) { $step->{got}{$1} = $2 }
        elsif (/^gaps>=([\d,]+)$/)    { $step->{gaps} = [split /,/, $1] }
        elsif (/^took<(\d+)$/)        { $step->{took} = $1 }
        elsif (/^(?:own|repeated|local|changed)$/)
                                      { $step->{$_} = 1 }
        elsif (/^!([\w-]+)$/)         { push @absent, $1 }
        elsif (/^([A-Za-z][\w-]*):(.*)$/)
                                      { $header{$1} = $2 }
        elsif (/^([A-Za-z][\w-]*)~(.*)$/)
                                      { $like{$1} = $2 }
        elsif (defined $exact)        { push @exact, $_ }
        elsif ($category{$_})         { $header{'X-Graph-Error-Category'} = $_ }
        elsif ($policy{$_})           { $header{'X-Graph-Policy'} = $_ }
        elsif ($reason{$_})           { $header{'X-Graph-Error-Reason'} = $_ }
        else                          { die "no expectation: $_\n" }
    }

    $step->{status} //= GraphPolicy::Graph::status_of($step->{script});

    my $policy = $header{'X-Graph-Policy'} // '';

    die "an error has more to tell: $step->{line}\n" if $step->{status} >= 400
        && !defined $exact && @words < 2 && !$step->{graph};

    $step->{blocked} = $policy eq 'blocked';
    $step->{count} //= $step->{blocked} || $step->{local} ? 0 : 1;

    my $count = $step->{graph} ? $header{'X-Graph-Attempts'} // 1
        : $step->{count};
    my $like  = '\A';

    if (defined $exact) {
        $like .= $exact eq 'tagged' ? exactly(@exact)
            : $exact eq 'theirs' ? spoofed() : untagged();

    } else {
        if ($policy eq 'retried') {
            $header{'X-Graph-Attempts'} = $count;
        } elsif (!exists $header{'X-Graph-Attempts'}) {
            push @absent, 'X-Graph-Attempts';
        }

        push @absent, 'X-Graph-Policy' if !$policy;
        push @absent, grep { !exists $header{$_} } qw(X-Graph-State
            X-Graph-Hold) if !$step->{blocked};
        push @absent, grep { !exists $header{$_} && !exists $like{$_} } @tags,
            'Retry-After' if $step->{status} < 400;
    }

    $like .= '(?!.*^([\w-]+):.*^(?i:\g{-1}):)' if !$step->{repeated}
        && (!defined $exact || $exact eq 'tagged');
    $like .= "(?=.*^(?i:$_): *" . quotemeta($header{$_}) . '[ \t]*\r?$)'
        for sort keys %header;
    $like .= "(?=.*^(?i:$_): *(?:$like{$_})\\r?\$)" for sort keys %like;
    $like .= "(?!.*^(?i:$_):)" for @absent;
    $like .= "(?=.*^(?i:X-Try): *$count\\r?\$)"
        if $step->{count} && !$step->{own} && !$step->{graph};

    $step->{like} = qr/$like/ms;
}


# -- patterns of headers ------------------------------------------------------

# A pattern for a head with exactly these headers of the policy, and more that
# matches.
sub tagged {
    my ($expected, $more) = @_;

    my $pattern = $expected eq 'untouched' ? untagged()
        : $expected eq 'theirs' ? spoofed() : exactly(split ' ', $expected);
    my $rest = defined $more ? "(?=.*$more)" : '';

    return qr/\A$pattern$rest/ms;
}

sub exactly {
    my (@expected) = @_;

    my %value;
    @value{@tags, 'Retry-After'} = @expected;
    $value{'X-Graph-Policy'} = 'passed';

    my $pattern = '';

    for (sort keys %value) {
        my $value = $value{$_} // '-';

        next if $value eq '?';

        $pattern .= $value eq '-' ? "(?!.*^(?i:$_):)"
            : "(?=.*^$_: (?:$value)\\r\$)(?!.*^(?i:$_):.*^(?i:$_):)";
    }

    return "$pattern(?!.*^(?i:X-Graph-(?:State|Hold|Attempts)):)";
}

# A pattern for a head without any header of the policy.
sub untagged {
    my ($more) = @_;

    my $rest = defined $more ? "(?=.*$more)" : '';

    return qr/\A(?!.*^(?i:$tags):)$rest/ms;
}

# All headers of "spoof=theirs", in their order, and no other.
sub spoofed {
    my $pattern = join '', map { "(?:(?!^(?i:$tags)).)*^$_: theirs\\r\\n" }
        @GraphPolicy::Graph::spoofs;

    return "(?=$pattern(?!.*^(?i:$tags):))";
}

sub sample { return GraphPolicy::Graph::sample(@_) }


# -- blocks -------------------------------------------------------------------

sub prepare {
    my ($block) = @_;

    my @steps = steps_of($block, 'steps');
    my @first = steps_of($block, 'http2_steps');

    $graph->clear;
    $graph->give($_->{name}, $_->{given}) for grep { $_->{name} } @steps,
        @first;

    $block->set_value(is_over => 0);
    $block->set_value(reached => []);

    my $config = configure($block);

    if (@first) {
        $block->set_value(http_config => $block->http_config
            . "server {\nlisten unix:$logs/http2.sock http2;\n$config\n}\n");
        $block->set_value(first_steps => \@first);
        $block->set_value(init => 'GraphPolicy::Steps::send_http2($block)');
    }

    if (!@steps) {
        $block->set_value(no_error_log => [$complaints])
            if !defined $block->no_error_log && !defined $block->must_die;
        return;
    }

    $block->set_value(read_steps => \@steps);
    $block->set_value(request => [map {
        "$_->{method} $_->{path}$_->{version}"
            . (length $_->{body} ? "\n$_->{body}" : '')
    } @steps]);
    $block->set_value(more_headers => [map { $_->{headers} } @steps]);
    $block->set_value(error_code => [map { $_->{status} } @steps]);
    $block->set_value(response_body => [map { body_of($_) } @steps]);
    $block->set_value(raw_response_headers_like => [map { $_->{like} } @steps]);

    # longer than any of the waits
    $block->set_value(timeout => 15) if !defined $block->timeout;
}

sub configure {
    my ($block) = @_;

    my ($http, $server, $location, $config, $format) = map {
        $block->$_ // ''
    } qw(http_config server location config format);

    $http = "graph_policy_zone zone=z:2m;\n$http"
        if $http !~ /graph_policy_zone\s+zone=z\b/;
    $http .= "\nupstream graph { server 127.0.0.1:${\$graph->port}; }\n"
        if $http !~ /\bupstream\s+graph\b/;

    $format =~ s/\s+\z//;
    $http = "log_format lines '$format';\n$http" if length $format;

    $config = <<"END" if !length $config;
        graph_policy zone=z;
        $server
        location / {
            $location
            proxy_pass http://graph;
        }
END

    # in the server, as there is a log of Test::Nginx's own above
    $config = "access_log $logs/lines.log lines;\n$config" if length $format;

    if (defined $hold) {
        my $slow = GraphPolicy::slow();

        $config = "graph_policy_hold $hold;\n$config"
            if $config !~ /graph_policy_hold/;
        $config =~ s/\b(graph_policy_hold[ ]|hold=)(\d+)ms
            /$1 . $2 * $slow . 'ms'/gex if $slow > 1;
    }

    $block->set_value(http_config => $http);
    $block->set_value(config => $config);
    return $config;
}

# what a step's answer has to be; Test::Nginx takes what looks like a variable
# of its own for one
sub body_of {
    my ($step) = @_;

    return '' if $step->{method} eq 'HEAD' || $step->{status} == 204;
    return qr/\A\{"error":\{.*\}\}\n?\z/s if $step->{blocked};
    return qr/./s if $step->{own} || $step->{local} || $step->{graph};

    my $body = GraphPolicy::Graph::body_of($step->{script}, $step->{count});

    return $body =~ /\$(?:TEST_NGINX|ServerPort)/ ? qr/\A\Q$body\E\z/ : $body;
}

sub send_http2 {
    my ($block) = @_;

    my $socket = Test::Nginx::Util::server_root() . '/logs/http2.sock';

    # under valgrind Test::Nginx doesn't wait until nginx listens
    GraphPolicy::wait_until(sub { IO::Socket::UNIX->new(Peer => $socket) });

    for my $step (@{ $block->first_steps }) {
        $step->{body} = '';

        open my $curl, '-|', 'curl', '-sS', '-i', '-m',
            10 * GraphPolicy::slow(), '-X', $step->{method},
            (map { ('-H', $_) } split /\n/, $step->{headers}),
            '--unix-socket', $socket, '--http2-prior-knowledge',
            "http://localhost$step->{path}" or die "curl: $!";
        my $answer = do { local $/; <$curl> } // '';
        close $curl;

        my ($head, $body) = split /\r\n\r\n/, $answer, 2;
        my $name = $block->name . " - over HTTP/2: $step->{line}";
        my $expected = body_of($step);

        like($head, qr{\AHTTP/2 $step->{status} }, "$name - the status");
        like("$head\r\n", $step->{like}, "$name - the headers");
        ref $expected ? like($body // '', $expected, "$name - the body")
            : is($body // '', $expected, "$name - the body");
        look($block, $step);
    }
}


# -- after an answer ----------------------------------------------------------

sub after_answer {
    my ($block, $body, $index, $repeated, $dry_run) = @_;

    return if $dry_run;

    my $steps = $block->read_steps;

    if ($steps) {
        my $step   = $steps->[$index];
        my @passed = (Test::More->builder->summary)[-3 .. -1];

        look($block, $step);
        diag("the step was: $step->{line}") if grep { !$_ } @passed;
        sleep $step->{sleep} * GraphPolicy::slow() if $step->{sleep};
        return if $index < $#$steps;
    }

    at_end($block) if !$block->is_over;
    $block->set_value(is_over => 1);
}

# what reached the Graph API by a step
sub look {
    my ($block, $step) = @_;

    my $now  = time;
    my $name = $block->name . " - at the Graph API: $step->{line}";

    # the section says what
    if ($step->{graph}) {
        my @got = $graph->take;

        $block->set_value(reached => [@{ $block->reached }, @got]);
        return $step->{blocked} || $step->{own} || $step->{local}
            ? is(scalar @got, 0, $name) : cmp_ok(scalar @got, '>', 0, $name);
    }

    my @wrong = faults_of($step, $now, $graph->take);

    ok(!@wrong, $name) or diag(join "\n", @wrong);
}

sub faults_of {
    my ($step, $now, @tries) = @_;

    my @wrong;

    push @wrong, 'tries: ' . @tries . ", not $step->{count}"
        if @tries != $step->{count};
    return @wrong if !@tries;

    my $first = $tries[0];

    for (@tries) {
        push @wrong, "other bytes on try $_->{number}:\n$_->{raw}\nnot\n"
            . $first->{raw} if $_->{raw} ne $first->{raw};
    }

    my $uri = $step->{as} // $step->{path};
    push @wrong, "URI: $first->{uri}, not $uri" if $first->{uri} ne $uri;

    my %got = %{ $step->{got} || {} };

    for (keys %got) {
        my $value = $first->{headers}{ lc $_ } // '-';
        push @wrong, "header $_: $value, not $got{$_}" if $value ne $got{$_};
    }

    if (!$step->{changed}) {
        my $method = $step->{as_method} // $step->{method};

        push @wrong, "method: $first->{method}, not $method"
            if $first->{method} ne $method;
        push @wrong, "body: $first->{body}, not $step->{body}"
            if $first->{body} ne $step->{body};

        for (split /\n/, $step->{headers}) {
            push @wrong, "no header $_" if !/^Host:/
                && !exists $got{ s/:.*//r } && $first->{head} !~ /^\Q$_\E\r$/mi;
        }
    }

    for my $i (0 .. $#{ $step->{gaps} || [] }) {
        last if $i + 1 > $#tries;
        my $gap = 1000 * ($tries[$i + 1]{time} - $tries[$i]{time});
        # the two clocks are rounded
        push @wrong, "gap $i: $gap ms, not $step->{gaps}[$i]"
            if $gap < $step->{gaps}[$i] - 5;
    }

    my $took = 1000 * ($now - $first->{time});
    push @wrong, "took $took ms, not less than $step->{took}"
        if $step->{took} && $took > $step->{took} * GraphPolicy::slow();

    return @wrong;
}

sub slurp {
    return GraphPolicy::slurp(Test::Nginx::Util::server_root()
        . "/logs/$_[0]");
}

# at the last answer of a block: what the Graph API and the logs say
sub at_end {
    my ($block) = @_;

    my $name = $block->name;

    compare("$name - what reached the Graph API", $block->graph,
        sub { reached($block, $block->graph_format) }) if defined $block->graph;

    compare("$name - the access log", $block->logged,
        sub { slurp('lines.log') }) if defined $block->logged;

    compare("$name - what the module said", $block->said,
        sub { said($block->said_in) }) if defined $block->said;

    for my $line (lines_of($block->mentions)) {
        GraphPolicy::wait_until(sub { slurp('error.log') =~ /$line/ }, 5);
        like(slurp('error.log'), qr/$line/, "$name - the error log");
    }

    my $steps  = $block->read_steps or return;
    my @wrong  = grep { /$complaints/ } split /\n/, slurp('error.log');
    my $told   = join '|', lines_of($block->mentions),
        (grep { $_->{own} } @$steps) ? '\[error\]' : (),
        defined $block->said ? '(?::|\*\d+) graph[ _]policy ' : ();

    @wrong = grep { !/$told/ } @wrong if length $told;
    is(join("\n", @wrong), '', "$name - nothing is wrong");
}

sub reached {
    my ($block, $format) = @_;

    my $more = defined $format ? ' ' . $format =~ s/\s+\z//r : '';

    return join '', map {
        my $headers = $_->{headers};
        "$_->{method} $_->{uri}"
            . $more =~ s{\$http_(\w+)}{$headers->{ $1 =~ tr/_/-/r } // '-'}ger
            . "\n"
    } @{ $block->reached }, $graph->requests;
}

# the module's own lines, without what every line of the log begins with
sub said {
    my ($file) = @_;

    return join '', map {
        m{^\S+ \S+ (\[\w+\]) \d+#\d+: (?:\*\d+ )?(graph[ _]policy.*)}
            ? "$1 $2\n" : ()
    } split /\n/, slurp($file // 'error.log');
}

sub compare {
    my ($name, $expected, $get) = @_;

    my %seen;
    my $pattern = join '', map {
        /^<~(.+)>$/ ? "(?:$1)"
            : /^<(n|fp|id|none)(?::(\w+))?>$/ ? pattern(\%seen, $1, $2)
            : quotemeta
    } split /(<(?:n|fp|id|none)(?::\w+)?>|<~[^>]+>)/, $expected;

    GraphPolicy::wait_until(sub { $get->() =~ /\A$pattern\z/ }, 5);

    my $got  = $get->();
    my $same = $got =~ /\A$pattern\z/;

    # other names, other values
    if ($same) {
        my (%captured, %values) = %+;
        $values{$_}++ for values %captured;
        $same = !grep { $_ > 1 } values %values;
    }

    ok($same, $name) or diag("expected:\n${expected}got:\n$got");
}

sub pattern {
    my ($seen, $kind, $name) = @_;

    return $patterns{$kind} if !defined $name;
    return $seen->{"${kind}_$name"}++ ? "\\k<${kind}_$name>"
        : "(?<${kind}_$name>$patterns{$kind})";
}

1;
