#!/usr/bin/perl

# The configuration that docs/deploying.md prints under "Below Meta's
# throughput", the very text: only the addresses are replaced.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();

use GraphPolicy qw(parallel slurp);
use GraphPolicy::Graph;

my $page = slurp("$FindBin::Bin/../docs/deploying.md");
my ($http) = $page
    =~ /^## Below Meta's throughput\n.*?^```nginx\n(.*?)^```$/ms
    or die 'no configuration';

for (
    [qr{\b127\.0\.0\.1:8080;},               '127.0.0.1:%PORT%;'],
    [qr{\bgraph\.facebook\.com:443\b},       '127.0.0.1:%GRAPH%'],
    [qr{\bhttps://graph;},                   'http://graph;'],
    [qr{^.*/etc/ssl/certs/ca-certificates\.crt;\n}m, ''],
    [qr{^.*proxy_ssl_verify +on;\n}m,        ''],
) {
    my ($pattern, $text) = @$_;
    my $times = () = $http =~ /$pattern/g;

    die "$pattern is $times times in the configuration" if $times != 1;
    $http =~ s/$pattern/$text/;
}

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 2,
    http => $http);

# what Meta grants a number, and what the configuration lets wait
my $granted = 80;
my ($burst) = $http =~ /\bburst=(\d+)/;


# -- a phone that sends as fast as it can -------------------------------------

my @answers = parallel(map { message('1001') } 1 .. 2 * $burst);
my @accepted = grep { $_->{status} == 200 } @answers;
my @refused  = grep { $_->{status} == 429 } @answers;

is(@accepted + @refused, 2 * $burst, 'each message is accepted or refused');
cmp_ok(@accepted, '>', $burst, 'those that may wait are accepted');
cmp_ok(@refused, '>', 0, 'the others are refused');
is($graph->count, scalar @accepted, 'and Meta does not see them');

my $error = JSON::PP::decode_json($refused[0]{body})->{error};

is($error->{code}, 130429, 'a refused one has the error that Meta would send');
is($refused[0]{headers}{'content-type'}, 'application/json', 'as JSON');
is(join(' ', map { $refused[0]{headers}{$_} // '-' }
        qw(retry-after x-graph-error-category x-graph-error-code)),
    '1 temporary 130429', 'with the headers that go by it');

# at once what has waited is out
parallel(map { message('1001') } 1 .. $burst);

is(too_many($graph->requests), 0,
    "Meta sees at no time more than $granted messages in a second");

cmp_ok($graph->count, '>', 1.5 * $burst, 'though it sees them go on');


# -- what doesn't count -------------------------------------------------------

my @others = parallel(
    (map { message('1002') } 1 .. 2 * $burst),
    message('1003'),
    message('1004', path => '/v25.0/1002/media'),
    { port => $nginx->port, path => '/v25.0/1002/media', method => 'GET',
        token => 'a' });

is(join(' ', map { $_->{status} } @others[-3 .. -1]), '200 200 200',
    'while a phone is held back another one sends, and uploads and reads pass');
cmp_ok($_->{time}, '<', 0.7 * GraphPolicy::slow(), 'at once')
    for @others[-3 .. -1];

$graph->clear;
my @tokens = parallel(map { message('1005', token => "token$_") }
    1 .. 2 * $burst);

cmp_ok($graph->count, '<', 1.5 * $burst,
    'many tokens give a phone no more than one');


# -- what comes from Meta -----------------------------------------------------

my $answer = GraphPolicy::request(%{ message('1006', mock => '429 130429') });

is(join(' ', $answer->{status}, $answer->{headers}{'x-graph-policy'} // '-'),
    '429 passed', 'an error of Meta keeps its status and is tagged');
like($answer->{body}, qr/Not this time/, 'and its body');

GraphPolicy::request(%{ message('1007', mock => '400 131042') });
$graph->clear;

my @blocked = parallel(map { message('1007') } 1 .. 2 * $burst);

is($graph->count, 0, 'a blocked phone stays blocked');
cmp_ok((grep { $_->{status} == 429 } @blocked), '>', 0,
    'blocked sends count as well');

like($nginx->log, qr/\[$$_[0]\].* $$_[1],/, "the log has \"$$_[1]\" at $$_[0]")
    for ['warn', 'delaying request'], ['error', 'limiting requests'];

my @wrong = grep { !/limiting requests|graph policy/ }
    $nginx->log =~ /^.*\[(?:error|crit|alert|emerg)\].*$/mg;

is_deeply(\@wrong, [], 'nothing else is wrong in the log');

done_testing();


# -- helpers ------------------------------------------------------------------

sub message {
    my ($phone, %of) = @_;

    my %request = (port => $nginx->port, path => "/v25.0/$phone/messages",
        token => 'a', headers => ['Content-Type' => 'application/json'],
        body => '{"messaging_product":"whatsapp","to":"15550001111",'
            . '"type":"text","text":{"body":"Hi"}}', %of);

    return \%request;
}

# how many messages came as one too many within a second
sub too_many {
    my @times = sort { $a <=> $b } map { $_->{time} } @_;

    return scalar grep {
        $times[$_] - $times[$_ - $granted] < 1
    } $granted .. $#times;
}
