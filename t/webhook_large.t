# vi:set ft= ts=4 sw=4 et:

# Payloads as large as Meta's may be: all of them is learnt, and others have
# their turn meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use GraphPolicy qw(finish_requests push_request wait_until);
use GraphPolicy::Webhook qw(payload entry messages account_update status
    inbound message short tags);

my $hook = GraphPolicy::Webhook->start(
    workers  => 1,
    secrets  => ['s3cretOfAllAccounts'],
    secrets2 => ['s3cretOfOneAccount 5001', 's3cretOfAnother 5002'],
    http     => <<'END');
graph_policy_zone zone=z:32m;
graph_policy_zone zone=tiny:32k;

client_max_body_size    8m;
client_body_buffer_size 8m;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy zone=z;
    graph_policy_hold 1h;

    location / {
        graph_policy_conversation on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /tiny/ {
        graph_policy zone=tiny;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /pausing {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        graph_policy_webhook_pause       on;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /down {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:1;
        error_page                       502 =200 /sorry;
    }
    location /bound/tiny {
        graph_policy zone=tiny;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS2;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /free/tiny {
        graph_policy zone=tiny;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /graph/ {
        graph_policy_api;
    }
    location = /sorry {
        return 200 "sorry\n";
    }
}
END
my $nginx = $hook->nginx;

# failed messages to so many people, in one change
sub failures {
    my ($phone, $first, $count) = @_;

    my $at = int(time) - 5;

    return payload(entry('2001', messages(phone => $phone, statuses =>
        [map { { recipient_id => $first + $_, timestamp => "$at",
            errors => [{ code => 131047 }] } } 0 .. $count - 1])));
}

sub to { return (body => message($_[0])) }


# -- all of it ----------------------------------------------------------------

# items of one change
{
    my $body = failures('1001', 15_550_000_000, 5000);

    $hook->is_received($body, 'many items');
    is(tags($hook->received), 'context-limited 131047 window-expired 5000',
        'many items: all are told');
    $hook->is_blocked('1001', 'window-expired', "many items: the $_->[0]",
        to(15_550_000_000 + $_->[1])) for ['first', 0], ['thousandth', 999],
        ['next', 1000], ['last', 4999];
    $hook->is_open('1001', 'many items: nobody else', to('15550005000'));

    $hook->is_received(payload(entry('2001', messages(phone => '1001',
        messages => [map { inbound(from => 15_550_000_000 + $_) }
            0 .. 2499]))), 'many messages');
    $hook->is_open('1001', "many messages: the $_->[0]",
        to(15_550_000_000 + $_->[1])) for ['first', 0], ['last', 2499];
    $hook->is_blocked('1001', 'window-expired', 'many messages: nobody else',
        to(15_550_002_500));
}

# errors of one item, of which the last one counts
{
    my $status = status(undef);

    $status->{errors} = [map { { code => $_ } } (131051) x 10_000, 131042];

    $hook->is_received(payload(entry('2002', messages(phone => '1002',
        statuses => [$status]))), 'many errors');
    is(tags($hook->received), 'fatal 131042 billing 10001',
        'many errors: the gravest one is told');
    $hook->is_blocked('1002', 'billing 131042', 'many errors: the last');
}

# contacts of one change: all of them wrote, as far as can be told
{
    my @people = map { 15_560_000_000 + $_ } 1 .. 5000;

    $hook->is_received(failures('1003', 15_560_000_001, 5000), 'before');
    $hook->is_received(payload(entry('2003', messages(phone => '1003',
        messages => [inbound(from => '1')],
        contacts => [map { { wa_id => "$_" } } @people]))), 'many contacts');
    $hook->is_open('1003', "many contacts: the $_->[0]", to($_->[1]))
        for ['first', $people[0]], ['last', $people[-1]];
}

# changes, and what an account has beyond a thousand phones
{
    my $body = payload(entry('2004', map { messages(phone => 40_000 + $_,
        statuses => [status(133010)]) } 1 .. 3000));

    $hook->is_received($body, 'many changes');
    is(tags($hook->received), 'fatal 133010 phone-disconnected 3000',
        'many changes: all are told');
    $hook->is_blocked(40_000 + $_, '', "many changes: phone $_")
        for 1, 500, 1000;
    $hook->is_open(40_000 + $_, "many changes: phone $_ is one too many")
        for 1001, 3000;

    # one that is gone makes room for one
    $hook->is_received(payload(entry('2005', messages(phone => 40_500,
        messages => [inbound()]))), 'a phone moves');
    $hook->is_received(payload(entry('2004', map { messages(phone => $_,
        statuses => [status(133010)]) } 43_001, 43_002)), 'two come');
    $hook->is_blocked('43001', '', 'the place of a phone that has moved');
    $hook->is_open('43002', 'and no more than that');

    # the first and the last of them, too
    $hook->is_received(payload(entry('2005', map { messages(phone => $_,
        messages => [inbound()]) } 40_001, 43_001)), 'two move');
    $hook->is_received(payload(entry('2004', map { messages(phone => $_,
        statuses => [status(133010)]) } 43_003 .. 43_005)), 'three come');
    $hook->is_blocked($_, '', "the place of another: $_") for 43_003, 43_004;
    $hook->is_open('43005', 'and no more than that, again');
}

# entries without a change on the way
{
    my @none = map { entry(2100 + $_) } 1 .. 100;

    $hook->is_received(payload(@none, entry('2006', messages(phone => '1006',
        statuses => [status(133010)])), @none, entry('2006'), entry('2007',
        messages(phone => '1007', statuses => [status(133010)])), @none),
        'empty entries');
    $hook->is_blocked($_, 'phone-disconnected', "between empty entries: $_")
        for '1006', '1007';
    $hook->is_received(payload(@none), 'empty entries alone');
}


# -- the others ---------------------------------------------------------------

# what comes later is at the application first
{
    my $large = $nginx->start_request($hook->delivery(
        failures('1010', 15_570_000_000, 12_000)));
    my $before = $hook->app->count;

    GraphPolicy::push_request($large);
    my $small = $nginx->start_request($hook->delivery(payload(entry('2010',
        messages(phone => '1011', messages => [inbound()])))));

    my ($first, $second) = finish_requests($small, $large);

    is("$first->{status} $second->{status}", '200 200', 'both are answered');
    cmp_ok(length(($hook->app->requests)[$before]{body}), '<', 10_000,
        'a small payload overtakes a large one');
    $hook->is_blocked('1010', 'window-expired', 'the large one is learnt',
        to(15_570_011_999));
}

# who leaves in the middle takes nothing along
for my $slices (1, 3, 8) {
    my $large = $nginx->start_request($hook->delivery(
        failures('1012', 15_580_000_000, $slices * 1000)));

    GraphPolicy::abort_request($large);
    $hook->is_received(payload(entry('2012', messages(phone => '1013',
        messages => [inbound()]))), "after one who left, of $slices slices");
}

# the second request of a connection, and the large one first
{
    my @parts = map {
        my %of = $hook->delivery($_);
        my $text = "POST /webhook HTTP/1.1\r\nHost: localhost\r\n";
        my @headers = (@{ $of{headers} },
            'Content-Length' => length $of{body});

        $text .= shift(@headers) . ': ' . shift(@headers) . "\r\n"
            while @headers;
        "$text\r\n$of{body}";
    } failures('1014', 15_590_000_000, 4000), payload(entry('2014',
        messages(phone => '1015', statuses => [status(133010)])));

    $parts[1] =~ s/\r\n/\r\nConnection: close\r\n/;

    my ($got) = finish_requests($nginx->start_request(raw => join('', @parts),
        all => 1));

    is(join(' ', map { $_->{status} } GraphPolicy::answers($got->{text})),
        '200 200', 'a connection goes on after slices');
    $hook->is_blocked('1014', 'window-expired', 'the first of a connection',
        to(15_590_003_999));
    $hook->is_blocked('1015', 'phone-disconnected',
        'the second of a connection');
}


# -- what follows on learning -------------------------------------------------

# A payload of which nothing is kept, but of which each byte has to be read:
# others are answered after it has been verified and before it goes on.
{
    my $dense = '{"object":"whatsapp_business_account","entry":[{"id":"1",'
        . '"changes":[{"field":"messages","value":{"unknown":['
        . '1,' x 1_500_000 . '1]}}]}]}';
    my $before = verified();
    my $call   = push_request($nginx->start_request(
        $hook->delivery($dense, timeout => 60)));
    my $count  = $hook->app->count;
    my @seen;

    for my $n (1 .. 3000) {
        push @seen, time if verified() > $before;
        last if $n % 10 == 0 && $hook->app->count > $count;
    }

    is((finish_requests($call))[0]{status}, 200, 'a dense payload goes on');

    my $received = $hook->received->{time};
    cmp_ok(scalar(grep { $_ < $received } @seen), '>=', 5,
        'others have their turn while it is read');

    my $cut = substr $dense, 0, length($dense) - 1;

    is($hook->deliver($cut, timeout => 60)->{status}, 200,
        'one that is cut at its end goes on');
    is($hook->deliver("$dense}", timeout => 60)->{status}, 200,
        'as does one with more behind its end');
    is(scalar(() = $nginx->log =~ /lets a webhook pass that can't be read/g),
        2, 'both are told to be no payload');
}

# each change is asked about, also beyond a slice
{
    $hook->is_received(payload(entry('2020', messages(phone => '1020',
        statuses => [status(133010)]))), 'a paused phone');

    my @paused = map { messages(phone => '1020',
        statuses => [status(undef)]) } 1 .. 5000;

    my $answer = $hook->deliver(payload(entry('2020', @paused)),
        path => '/pausing');
    is("$answer->{status} $answer->{seen}", '503 0',
        'a large payload for a paused phone is kept back');
    $hook->is_received(payload(entry('2020', @paused, messages(
        phone => '1021', statuses => [status(undef)]))),
        'one change of 5001 is for another phone', path => '/pausing');
}

# an error_page of the application's, when header, body and slices take time
for my $case (['one piece', 0, 1], ['a body that comes later', 1, 1],
    ['slices', 0, 3000], ['both', 1, 3000])
{
    my ($name, $later, $count) = @$case;
    my %of = $hook->delivery(failures('1030', 15_600_000_000, $count),
        path => '/down');
    my $call = $nginx->start_request(%of);

    if ($later) {
        my $body = $of{body};

        substr $call->{out}, -length $body, length $body, '';
        GraphPolicy::push_request($call);

        # the worker has seen the header when it has answered another one
        $hook->is_received(payload(entry('2030', messages(phone => '1031',
            messages => [inbound()]))), "$name: meanwhile") for 1, 2;
        $call->{out} = $body;
    }

    my ($answer) = finish_requests($call);

    is("$answer->{status} $answer->{body}", "200 sorry\n",
        "$name: the error_page of an application that is down");
}


# -- no room ------------------------------------------------------------------

# Where it can't be remembered whose a phone is, only who speaks for all
# accounts is believed.
{
    my @one = (path => '/bound/tiny', secret => 's3cretOfOneAccount');
    my $n   = 0;

    # states of answers, for which no link has to leave, fill the zone
    for (1 .. 400) {
        $n++ if $hook->send(70_000 + $_, in => 'tiny',
            script => '400 133010')->{status} == 400;
    }
    is($n, 400, 'the zone is full of states');

    $hook->is_received(payload(entry('5001', messages(phone => '1040',
        statuses => [status(133010)]))), 'no room', @one);
    like(tags($hook->received), qr/^fatal 133010 /, 'no room: told');
    $hook->is_open('1040', 'a secret of one account, and no room',
        in => 'tiny');

    $hook->is_received(payload(entry('5001', messages(phone => '1041',
        statuses => [status(133010)]))), 'no room', path => '/free/tiny');
    $hook->is_blocked('1041', '', 'a secret of all accounts, and no room',
        in => 'tiny');
    like($nginx->log, qr/"tiny".*(?:memory|full|room)|(?:memory|full|room).*"tiny"/,
        'the log tells that there is no room');
}


$hook->is_discreet('1555000', '1556000', '1557000');

done_testing();


# how many webhooks have been verified so far
sub verified {
    my $text = $nginx->request(method => 'GET', path => '/graph/zones/z')
        ->{body};

    my ($n) = $text =~ /"webhook_events":\{"verified":(\d+)/;
    return $n // die "no number of verified webhooks: $text";
}
