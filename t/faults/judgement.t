#!/usr/bin/perl

# Who may prolong a pause, and what ends one: a state that holds for everyone
# amid strangers, slow senders and read receipts. What is measured is what the
# owner of the phone feels, and what reaches Meta.

use strict;
use warnings;

use Test::More;

use File::Temp ();
use FindBin;
use POSIX ();
use lib "$FindBin::Bin/../lib";

use GraphPolicy qw(parallel push_request slow spew
    start_request wait_until);
use GraphPolicy::Api;
use GraphPolicy::Graph;
use Time::HiRes qw(sleep time);

my $dir = File::Temp->newdir('judgement.XXXXXX', TMPDIR => 1);

my $graph = GraphPolicy::Graph->start(meta => \&meta);
my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 2,
    http => <<'END');
graph_policy_zone zone=cured:1m;
graph_policy_zone zone=probed:1m;
graph_policy_zone zone=with:1m;
graph_policy_zone zone=without:1m;

server {
    listen 127.0.0.1:%PORT%;
    client_body_timeout 30s;

    location /cured/ {
        graph_policy      zone=cured;
        graph_policy_hold 500ms max=4s;
        proxy_pass        http://127.0.0.1:%GRAPH%/;
    }
    location /probed/ {
        graph_policy      zone=probed;
        graph_policy_hold 100ms max=1s;
        proxy_pass        http://127.0.0.1:%GRAPH%/;
    }
    location /with/ {
        graph_policy      zone=with;
        graph_policy_hold 1s max=1m;
        proxy_pass        http://127.0.0.1:%GRAPH%/meta/with/;
    }
    location /without/ {
        graph_policy      zone=without;
        graph_policy_hold 1s max=1m;
        proxy_pass        http://127.0.0.1:%GRAPH%/meta/without/;
    }
    location /graph/ {
        graph_policy_api;
    }
}
END

my $receipt = '{"messaging_product":"whatsapp","status":"read",'
    . '"message_id":"wamid.FAKE"}';
my $text = '{"messaging_product":"whatsapp","to":"15550001111",'
    . '"type":"text","text":{"body":"Hi"}}';


# -- a cured owner ------------------------------------------------------------

# a hold of half a second, jittered by a tenth, and two seconds
my $patience = 0.55 + 2;

is_soon_through('beside 30 reads a second', sub {
    my ($phone) = @_;
    return (path => "/cured/v25.0/$phone", method => 'GET', token => 'reader');
});

is_soon_through('beside 30 made-up tokens a second', sub {
    my ($phone, $number) = @_;
    return message($phone, token => "made-up-$number",
        mock => '401 190 after=300');
});

is_soon_through('beside 30 made-up tokens a second that get a 10', sub {
    my ($phone, $number) = @_;
    return message($phone, token => "another-$number",
        mock => '403 10 after=300');
});

is_soon_through('beside one stranger that never gets an answer', sub {
    my ($phone) = @_;
    return message($phone, token => 'stranger', mock => '200 after=20000');
});

is_soon_through('beside slow senders, 30 a second', sub {
    my ($phone, $number) = @_;

    # a body that doesn't go on
    return (raw => join "\r\n", "POST /cured/v25.0/$phone/messages HTTP/1.1",
        'Host: localhost', "Authorization: Bearer slow-$number",
        'Content-Type: application/json', 'Content-Length: ' . length $text,
        '', substr $text, 0, 20);
});

is_soon_through('beside failing receipts of its own, 30 a second', sub {
    my ($phone) = @_;
    return message($phone, body => $receipt, mock => '400 100');
});

is_soon_through('beside receipts that get the very error, 30 a second', sub {
    my ($phone) = @_;
    return message($phone, body => $receipt, mock => '400 131042');
});


# -- a stranger's probes ------------------------------------------------------

{
    my $api = GraphPolicy::Api->new(port => $nginx->port);

    my $set = $nginx->request(message('1101', in => 'probed',
        mock => '400 131042/2655007 trace=TheOwners'));
    is($set->{status}, 400, 'a state for everyone is set');

    my ($id) = map { $_->{id} }
        @{ $api->get('zones/probed/states')->{json}{states} };

    # as it is when it is due
    wait_until(sub { $api->get("zones/probed/states/$id")->{json}{due} });
    my $before = essence($api->get("zones/probed/states/$id")->{json});

    my @codes = qw(190 10 200 100/33 131005 3 0 102 33 299);
    my %policies;

    for my $number (1 .. 1000) {
        my $answer = $nginx->request(message('1101', in => 'probed',
            token => "stranger$number",
            mock => "400 $codes[$number % @codes] trace=AStrangers"));

        $policies{ $answer->{headers}{'x-graph-policy'} // '-' }++;
    }

    note "$_: $policies{$_}" for sort keys %policies;

    my $after = $api->get("zones/probed/states/$id");

    is_deeply(essence($after->{json}), $before,
        "a stranger's 1,000 probes change nothing of everyone's state");
    is($policies{probe}, 1000, 'and each of them was one, the state stays due');

    is($nginx->request(message('1101', in => 'probed'))->{status}, 200,
        'the owner comes through after them');
    is($api->get("zones/probed/states/$id")->{status}, 404,
        'which ends the state');
}


# -- receipts before each message ---------------------------------------------

# A minute's outage, ten times as fast: probes after holds of 1 and 2 seconds.
# Each of 20 workers marks a message as read, then answers it.

{
    my $seconds = 6;
    my @bots = map { bots($_, $seconds) } qw(with without);

    waitpid $_, 0 for @bots;

    my %texts = map {
        my $in = $_;
        $in => scalar grep { $_->{body} eq $text }
            grep { $_->{uri} =~ m{^/meta/$in/} } $graph->requests;
    } qw(with without);

    note "texts that reached Meta: $texts{with} with receipts, "
        . "$texts{without} without";

    cmp_ok($texts{without}, '>=', 2, 'without receipts Meta sees probes');
    cmp_ok($texts{with}, '<=', $texts{without}, 'bots that mark as read '
        . 'before they answer send Meta no more messages in an outage');

    spew("$dir/paid", '');

    my $is_open = wait_until(sub {
        return $nginx->request(message('1201', in => 'with'))->{status} == 200;
    }, 10);

    ok($is_open, 'and come through when it is over');
}

is_deeply([$nginx->complaints], [], 'nothing is wrong in the log');

done_testing();


# -- helpers ------------------------------------------------------------------

# what request() takes for a message: of the owner and accepted, unless told
sub message {
    my ($phone, %of) = @_;

    my $in = delete $of{in} // 'cured';

    return (path => "/$in/v25.0/$phone/messages", token => 'owner',
        headers => ['Content-Type' => 'application/json'], body => $text, %of);
}

# An owner whose account is in order again a moment after it wasn't, and who
# sends once a second, comes through within the hold and two seconds, though 30
# others a second do what "noise" says.
my $phones;

sub is_soon_through {
    my ($name, $noise) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $phone = 1001 + $phones++;

    $nginx->request(message($phone, mock => '400 131042'));

    my $begun = time;
    my $end   = $begun + 8 * slow();
    my $pid   = fork // die "fork: $!";

    if (!$pid) {
        noise($phone, $noise, $end);
        POSIX::_exit(0);
    }

    GraphPolicy::adopt($pid);

    my $took;

    for my $second (1 .. 8 * slow()) {
        my $rest = $begun + $second - time;
        sleep $rest if $rest > 0;

        my $answer = $nginx->request(message($phone));
        $took = time - $begun if $answer->{status} == 200;
        last if defined $took;
    }

    GraphPolicy::end_process($pid, 'KILL');

    ok(defined $took && $took <= $patience * slow(),
        "$name a cured owner is through within the hold and 2 seconds")
        or diag(defined $took ? sprintf 'after %.1f s', $took : 'not in 8 s');
}

sub noise {
    my ($phone, $noise, $end) = @_;

    my ($number, @calls) = 0;

    while (time < $end) {
        push @calls, push_request(start_request(port => $nginx->port,
            $noise->($phone, ++$number)));
        sleep 1 / 30;
    }
}

# what a state says that an answer could change
sub essence {
    my ($state) = @_;

    return { map { $_ => $state->{$_} } qw(scope key credential category
        reason code subcode title since until due probing holds trace source) };
}

# Twenty workers and a phone that Meta doesn't bill, for so many seconds; the
# process id.
sub bots {
    my ($in, $seconds) = @_;

    $nginx->request(message('1201', in => $in));

    my $pid = fork // die "fork: $!";

    if ($pid) {
        GraphPolicy::adopt($pid);
        return $pid;
    }

    my $end = time + $seconds;

    while (time < $end) {
        for my $body ($in eq 'with' ? $receipt : (), $text) {
            parallel(map { { port => $nginx->port,
                message('1201', in => $in, token => 'owner', body => $body) }
            } 1 .. 20);
        }
        sleep 0.1;
    }

    POSIX::_exit(0);
}

# An account that can't be billed until it has paid: receipts succeed all the
# same.
sub meta {
    my ($request) = @_;

    my $is_receipt = $request->{body} =~ /"status":"read"/;

    return GraphPolicy::Graph::with_length(200,
        "Content-Type: application/json\r\n", '{"success":true}')
        if $is_receipt;

    return GraphPolicy::Graph::with_length(200,
        "Content-Type: application/json\r\n",
        '{"messaging_product":"whatsapp","messages":[{"id":"wamid.FAKE"}]}')
        if -e "$dir/paid";

    return GraphPolicy::Graph::with_length(400,
        "Content-Type: application/json\r\n",
        '{"error":{"message":"(#131042) m","type":"OAuthException",'
        . '"code":131042,"fbtrace_id":"AFake"}}');
}
