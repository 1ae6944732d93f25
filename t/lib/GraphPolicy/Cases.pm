package GraphPolicy::Cases;

# Test::Nginx blocks that are a list of answers and of the headers they are to
# get. A block has a section "cases" with a line for each, or two:
#
#   401 @e190_463_expired.json  =>  fatal 190 463 token-invalid credential
#   429 {"error":{"code":4}}
#       =>  temporary 4 - rate-limit credential 60
#
# To the left: the status and the body that the upstream answers with; "@NAME"
# is a file of t/samples. To the right: category, code, subcode, reason, scope
# and Retry-After. "-" or nothing means that there is no such header, "?" that
# this case doesn't care. "untouched" alone: there is no header of the policy
# at all; "theirs" alone: those that the upstream made up are there, and no
# other (see Mock-Spoof). With the filter "eval" the section is an array of
# [status, body, expectation], for bytes that a line can't hold.
#
# Every case is a send of a phone and a token of its own, so that none is
# blocked by what another got. Asserted are the status, the body, byte for
# byte, each of these headers and the absence of all others, and that nothing
# is wrong in the log.
#
# A case's request can be changed with these sections:
#
#   method        instead of POST
#   path          instead of that of a send, without the status before it
#   case_headers  more headers; "Mock-Spoof: VALUE" makes the upstream send
#                 every header of the policy with that value, "Mock-Encoding",
#                 "Mock-Retry-After" and "Mock-Type" the header of that name
#   keeps         what of that has to be in the answer as well, a pattern
#
# Without a section "config", a block has a proxy with the zone "z"; "server"
# and "location" hold more directives for it. "http" goes to http {}.

use strict;
use warnings;

use Exporter qw(import);
use FindBin;
use Test::More ();
use Test::Nginx::Socket ();
use Test::Nginx::Util ();

our @EXPORT = qw(tagged untagged sample $complaints);

# lines of the log that nobody wants to see; states are told of at error
our $complaints
    = qr/\[(?:error|crit|alert|emerg)\](?!.* graph policy state )/;

my $names = qr/X-Graph-(?:Error-(?:Category|Code|Subcode|Reason|Scope)
    |Policy|State|Hold|Attempts)/xi;

# what "Mock-Spoof" makes of them, one of them twice
my @spoofs = qw(X-Graph-Error-Category X-Graph-Error-Code
    X-Graph-Error-Subcode x-graph-error-reason X-GRAPH-ERROR-SCOPE
    X-Graph-Policy X-Graph-State X-Graph-Hold X-Graph-Attempts
    X-Graph-Error-Category);

# what the upstream can be told to answer with
my @statuses = (200, 201, 302, 307, 400 .. 405, 408, 409, 413, 422, 429, 451,
    499 .. 504, 599);

Test::Nginx::Util::add_block_preprocessor(\&prepare);
Test::Nginx::Socket::add_response_body_check(\&tell);
Test::Nginx::Util::no_root_location();
Test::Nginx::Util::master_on();
Test::Nginx::Util::log_level('info');

# A pattern for a head with exactly these headers of the policy.
sub tagged {
    my ($expected, $more) = @_;

    return untagged($more) if $expected eq 'untouched';
    return spoofed($more) if $expected eq 'theirs';

    my %value;
    @value{qw(X-Graph-Error-Category X-Graph-Error-Code X-Graph-Error-Subcode
        X-Graph-Error-Reason X-Graph-Error-Scope Retry-After)}
        = split ' ', $expected;
    $value{'X-Graph-Policy'} = 'passed';

    my $pattern = '\A';

    for (sort keys %value) {
        my $value = $value{$_} // '-';

        next if $value eq '?';

        $pattern .= $value eq '-' ? "(?!.*^(?i:$_):)"
            : "(?=.*^$_: (?:$value)\\r\$)(?!.*^(?i:$_):.*^(?i:$_):)";
    }

    $pattern .= "(?!.*^(?i:X-Graph-(?:State|Hold|Attempts)):)";
    $pattern .= "(?=.*$more)" if defined $more;

    return qr/$pattern/ms;
}

# A pattern for a head without any header of the policy.
sub untagged {
    my ($more) = @_;

    my $pattern = "\\A(?!.*^$names:)";
    $pattern .= "(?=.*$more)" if defined $more;

    return qr/$pattern/ms;
}

# A pattern for a head with exactly the headers of "Mock-Spoof: theirs".
sub spoofed {
    my ($more) = @_;

    my $pattern = '\A' . join '', map { "(?:(?!^$names).)*^$_: theirs\\r\n" }
        @spoofs;
    $pattern = "(?=$pattern(?!.*^$names:))";
    $pattern .= "(?=.*$more)" if defined $more;

    return qr/$pattern/ms;
}

sub sample {
    my ($name) = @_;

    my $path = "$FindBin::Bin/samples/$name";
    open my $file, '<:raw', $path or die "$path: $!";
    local $/;
    return <$file> // '';
}

my $number = 0;

sub prepare {
    my ($block) = @_;

    $block->set_value(http_config => http_config($block->http // ''))
        if !defined $block->http_config;

    $block->set_value(config => config($block)) if !defined $block->config;

    $block->set_value(no_error_log => [$complaints])
        if !defined $block->no_error_log && !defined $block->must_die;

    my $cases = $block->cases // return;
    $cases = parse($cases) if !ref $cases;

    my $method = $block->method // 'POST';
    chomp $method;

    my $path = $block->path;
    chomp $path if defined $path;

    my $more = $block->case_headers // '';
    $more .= "\n" if length $more && $more !~ /\n\z/;

    my $keeps = $block->keeps;
    chomp $keeps if defined $keeps;

    my (@requests, @headers, @files, @codes, @bodies, @like);

    for my $case (@$cases) {
        my ($status, $body, $expected) = @$case;

        my $file  = 'case-' . @files;
        my $phone = 1000000000 + $number++;

        push @files, [$file, $body];
        push @requests, "$method /$status"
            . ($path // "/v25.0/$phone/messages") . "\n"
            . ($method eq 'POST' ? '{"to":"15550001111"}' : '');
        push @headers, "Mock-File: $file\nAuthorization: Bearer T$phone\n"
            . $more;
        push @codes, $status;
        push @bodies, $method eq 'HEAD' ? '' : literally($body);
        push @like, tagged($expected, $keeps);
    }

    $block->set_value(user_files => [@{ $block->user_files || [] }, @files]);
    $block->set_value(request => \@requests);
    $block->set_value(more_headers => \@headers);
    $block->set_value(error_code => \@codes);
    $block->set_value(response_body => \@bodies);
    $block->set_value(raw_response_headers_like => \@like);
}

# which case it was that failed
sub tell {
    my ($block, $body, $index) = @_;

    my $cases = $block->cases // return;
    $cases = parse($cases) if !ref $cases;

    # status, headers and body
    my @passed = (Test::More->builder->summary)[-3 .. -1];
    return if 3 == grep { $_ } @passed;

    my ($status, $answer, $expected) = @{ $cases->[$index] };
    substr($answer, 300) = '...' if length $answer > 300;

    Test::More::diag("the case was: $status $answer => $expected");
}

sub parse {
    my ($text) = @_;

    my @cases;

    $text =~ s/^\s*#.*\n//mg;
    $text =~ s/\n\s+=>/ =>/g;

    for (grep { /\S/ } split /\n/, $text) {
        my ($status, $body, $expected) = /^\s*(\d+)\s+(.*?)\s+=>\s+(.*?)\s*$/
            or die "not a case: $_\n";
        $body = sample($1) if $body =~ /^\@(.+)/;
        push @cases, [$status, $body, $expected];
    }

    return \@cases;
}

# Test::Nginx takes what looks like a variable of its own for one
sub literally {
    my ($body) = @_;
    return $body =~ /\$(?:TEST_NGINX|ServerPort)/ ? qr/\A\Q$body\E\z/ : $body;
}

sub http_config {
    my ($more) = @_;

    my $spoofs = join "\n", map { "add_header $_ \$http_mock_spoof always;" }
        @spoofs, 'X-Graph-Other';

    # a file, with the status of the error page that it is
    my $answers = join "\n", map { <<"END" } @statuses;
        location /$_/ {
            error_page 418 =$_ /\$http_mock_file;
            return 418;
        }
END

    return <<"END";
    graph_policy_zone zone=z:2m;

    $more

    # the upstream
    map \$http_mock_type \$mock_type {
        default \$http_mock_type;
        ''      application/json;
    }

    server {
        listen unix:\$TEST_NGINX_SERVER_ROOT/html/mock.sock;

        types        { }
        default_type '';

        $spoofs
        add_header Content-Type     \$mock_type always;
        add_header Content-Encoding \$http_mock_encoding always;
        add_header Retry-After      \$http_mock_retry_after always;

        root \$TEST_NGINX_SERVER_ROOT/html;

        location /case- {
        }

$answers
    }
END
}

sub config {
    my ($block) = @_;

    my $server   = $block->server // '';
    my $location = $block->location // '';

    return <<"END";
        $server

        location / {
            graph_policy zone=z;
            $location
            proxy_pass http://unix:\$TEST_NGINX_SERVER_ROOT/html/mock.sock;
        }
END
}

1;
