package GraphPolicy::Api;

# A client of graph_policy_api that checks every answer: is_clean() fails if one
# of them lacked something that all must have, or had something that none may
# have.
#
#   my $api = GraphPolicy::Api->new(port => $nginx->port, base => '/graph/',
#       secrets => ['the-token', '16505551234']);
#
#   my $zone = $api->get('zones/z')->{json};
#   my $set  = $api->post('zones/z/states', { scope => 'phone', ... });
#   $api->delete("zones/z/states/$id");
#   $api->is_refused('GET', 'zones/none', 404, 'a zone that is not there');
#
# An answer is that of GraphPolicy::request, and has the member "json" as well:
# the body as data, or undef if it isn't JSON.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use Test::More ();
use Time::Local ();

use GraphPolicy ();

our @EXPORT_OK = qw(kind shape_of seconds fits states_are);

my $json = JSON::PP->new->canonical->allow_nonref;

# port; base (/graph/); secrets: what may be in no answer
sub new {
    my ($class, %of) = @_;

    return bless { base => '/graph/', secrets => [], odd => [], calls => 0,
        %of }, $class;
}


# -- calls --------------------------------------------------------------------

# method, path below the base, and what a request takes
sub call {
    my ($self, $method, $path, %of) = @_;

    my $answer = GraphPolicy::request(port => $self->{port},
        method => $method, path => $path =~ m{^/} ? $path : $self->{base}
            . $path, timeout => 20, %of);

    $self->look_at($answer, "$method $path");
    return $answer;
}

sub get    { my ($self, @of) = @_; return $self->call('GET', @of) }
sub delete { my ($self, @of) = @_; return $self->call('DELETE', @of) }

# data, or the bytes of a body
sub post {
    my ($self, $path, $data, %of) = @_;

    my $more = delete $of{headers} // [];
    my $type = exists $of{type} ? delete $of{type} : 'application/json';

    return $self->call('POST', $path,
        body    => ref $data ? $json->encode($data) : $data // '',
        headers => [defined $type ? ('Content-Type' => $type) : (), @$more],
        %of);
}

# what holds for all answers
sub look_at {
    my ($self, $answer, $call) = @_;

    my $headers = $answer->{headers};
    my $type    = $headers->{'content-type'} // '';
    my $say     = sub { push @{ $self->{odd} }, "$call: $_[0]" };

    $self->{calls}++;
    $say->("no answer, $answer->{error}") if $answer->{error};
    $say->('no "Cache-Control: no-store"')
        if ($headers->{'cache-control'} // '') ne 'no-store';
    $say->('no "X-Content-Type-Options: nosniff"')
        if ($headers->{'x-content-type-options'} // '') ne 'nosniff';
    $say->("a header $_") for grep { /^access-control-/ } keys %$headers;
    $say->('bytes that are not ASCII') if $answer->{text} =~ /[^\x00-\x7f]/
        && $type !~ m{^text/html};

    # the path is the caller's own
    my $text = $answer->{text} =~ s/^location:[^\n]*\n//mir;

    for my $secret (@{ $self->{secrets} }) {
        $say->("the secret $secret") if index($text, $secret) >= 0;
    }

    if ($type =~ m{^application/json}) {
        $answer->{json} = eval { JSON::PP::decode_json($answer->{body}) };
        $say->('a body that is no JSON') if !defined $answer->{json}
            && $call !~ /^HEAD /;
    }
}

# each oddity once
sub is_clean {
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %seen;
    my @odd = grep { !$seen{$_}++ } @{ $self->{odd} };

    Test::More::is_deeply([@odd[0 .. (@odd > 20 ? 19 : $#odd)]], [],
        "all $self->{calls} answers of the API: headers, JSON, no secrets");
}

# A call that gets that status (a number, or a pattern) and JSON that says why.
sub is_refused {
    my ($self, $method, $path, $status, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $answer = exists $of{data}
        ? $self->post($path, delete $of{data}, %of)
        : $self->call($method, $path, %of);
    my $error  = ref $answer->{json} eq 'HASH' ? $answer->{json}{error} : undef;
    my $code   = ref $error eq 'HASH' ? $error->{code} // '-' : '-';
    my $text   = ref $error eq 'HASH' ? $error->{message} // '' : '';

    my $fits = ref $status ? $answer->{status} =~ $status
        : $answer->{status} == $status;

    Test::More::ok($fits && $code eq $answer->{status} && $text =~ /\w/
        && kind($code) eq 'number', "$name: refused with a reason")
        or Test::More::diag("expected: $status\n",
            substr $answer->{text}, 0, 1000);

    return $answer;
}


# -- states -------------------------------------------------------------------

# All states of a zone, page by page; query: "limit=10&scope=phone". A page may
# be short or empty, but the pages have an end.
sub states {
    my ($self, $zone, $query, $each) = @_;

    my @states;
    my $after;

    for my $page (1 .. 5000) {
        my $path = "zones/$zone/states?" . join '&', grep { length }
            $query // '', defined $after ? "after=$after" : ();
        my $data = $self->get($path)->{json};

        if (ref $data ne 'HASH' || ref $data->{states} ne 'ARRAY') {
            push @{ $self->{odd} }, "GET $path: no list of states";
            last;
        }

        push @states, @{ $data->{states} };
        $each->($page, @{ $data->{states} }) if $each;

        $after = $data->{next};
        last if !defined $after;

        if ($after !~ /^[A-Za-z0-9._~-]+\z/) {
            push @{ $self->{odd} }, "GET $path: \"next\" is not URL-safe";
            last;
        }

        push @{ $self->{odd} }, "GET $path: no end of pages" if $page == 5000;
    }

    return @states;
}

# those whose members have these values
sub find {
    my ($self, $zone, %members) = @_;

    return grep {
        my $state = $_;
        !grep { ($state->{$_} // '-') ne $members{$_} } keys %members;
    } $self->states($zone, 'limit=1000');
}

sub one {
    my ($self, $zone, %members) = @_;

    my @found = $self->find($zone, %members);
    return $found[0] // {};
}

# what has to outlive a restart, by id; the numbers of blocked sends go on
sub lasting {
    my ($self, $zone) = @_;

    return { map { my $state = $_; $state->{id} => { map { $_ =>
        ref $state->{$_} ? "$state->{$_}" : $state->{$_} } qw(scope key
        credential category reason code subcode since until holds trace source
        dry_run) } } $self->states($zone, 'limit=1000') };
}


# -- what data look like ------------------------------------------------------

# null, bool, number, string, array, object
sub kind {
    my ($value) = @_;

    return 'null' if !defined $value;
    return 'bool' if JSON::PP::is_bool($value);
    return lc ref($value) =~ s/HASH/object/r if ref $value;
    return $json->encode($value) =~ /^"/ ? 'string' : 'number';
}

# the members of a state and their kinds; "time" is a string of ISO 8601
my %state = (
    id       => 'string',
    scope    => 'string',
    key      => 'string null',
    credential => 'string null',
    category => 'string',
    reason   => 'string',
    code     => 'number null',
    subcode  => 'number null',
    title    => 'string',
    action   => 'string',
    since    => 'time',
    until    => 'time null',
    due      => 'bool',
    probing  => 'bool',
    holds    => 'number',
    blocked  => 'number',
    trace    => 'string null',
    source   => 'string',
    dry_run  => 'bool',
);

# what is wrong with the shape of a state, "" if nothing is
sub shape_of {
    my ($state) = @_;

    return 'no object' if ref $state ne 'HASH';

    my @wrong = fits($state, \%state);

    push @wrong, 'id' if ($state->{id} // '') !~ /^[0-9a-f]{18}\z/;
    push @wrong, 'credential' if defined $state->{credential}
        && $state->{credential} !~ /^[0-9a-f]{16}\z/;
    push @wrong, 'source'
        if ($state->{source} // '') !~ /^(?:answer|webhook|api)\z/;
    push @wrong, 'key' if defined $state->{key}
        && $state->{key} !~ /^[A-Za-z0-9._-]{1,64}\z/;

    return join ', ', @wrong;
}

# the members of an object that aren't of the kinds named
sub fits {
    my ($object, $kinds) = @_;

    return 'no object' if ref $object ne 'HASH';

    my @wrong;

    for my $name (sort keys %$kinds) {
        my $kind = kind($object->{$name});
        $kind = 'time' if $kind eq 'string' && $kinds->{$name} =~ /time/
            && defined seconds($object->{$name});

        push @wrong, "$name is $kind"
            if !exists $object->{$name}
            || !grep { $_ eq $kind } split ' ', $kinds->{$name};
    }

    return @wrong;
}

# a time in seconds, undef if it isn't ISO 8601 in UTC with milliseconds
sub seconds {
    my ($text) = @_;

    return if !defined $text || $text !~
        /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z\z/;
    return Time::Local::timegm($6, $5, $4, $3, $2 - 1, $1) + $7 / 1000;
}

# that two lists have the same states, whatever their order
sub states_are {
    my ($got, $expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    Test::More::is_deeply([sort map { $_->{id} } @$got], [sort @$expected],
        $name);
}

1;
