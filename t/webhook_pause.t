# vi:set ft= ts=4 sw=4 et:

# graph_policy_webhook_pause: webhooks of phones that can't answer anyway are
# put off, so that Meta brings them again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slow wait_until);
use GraphPolicy::Webhook qw(payload entry messages account_update status
    inbound short tags);

# how long a state of the location /brief holds, in ms
my $brief = 1000 * slow();

my $hook = GraphPolicy::Webhook->start(
    secrets => ['s3cretOfTheApp'],
    http    => <<"END");
graph_policy_zone zone=z:1m;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy zone=z;

    location / {
        graph_policy_hold         1h;
        graph_policy_conversation on;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /brief/ {
        graph_policy_hold ${brief}ms;
        proxy_pass        http://127.0.0.1:%GRAPH%;
    }
    location /cooldown/ {
        graph_policy_cooldown on;
        proxy_pass            http://127.0.0.1:%GRAPH%;
    }

    location /webhook {
        graph_policy_hold                1h;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        graph_policy_webhook_pause       on;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /default {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /off {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        graph_policy_webhook_pause       off;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /dry {
        graph_policy_dry_run             on;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        graph_policy_webhook_pause       on;
        proxy_pass                       http://127.0.0.1:APP;
    }
}
END
my $nginx = $hook->nginx;

my ($accounts, $phones) = (20_000, 10_000);

sub new_account { return ++$accounts }
sub new_phone   { return ++$phones }

# a customer wrote to these phones of the account
sub written {
    my ($account, @to) = @_;

    return payload(entry($account, map { messages(phone => $_,
        messages => [inbound()]) } @to));
}

# phones that are paused for everyone, each by an error of its own
sub paused {
    my ($count) = @_;

    my @paused = map { new_phone() } 1 .. $count;

    is(short($hook->send($_, script => '400 133010')), '400 passed 1',
        "$_ is disconnected") for @paused;

    return wantarray ? @paused : $paused[0];
}

sub is_put_off {
    my ($body, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $answer = $hook->is_refused($body, 503, $name, %of);
    like($answer->{headers}{'retry-after'} // '-', qr/^[1-9]\d*\z/,
        "$name: Retry-After");
    is($answer->{headers}{'x-graph-hold'}, undef, "$name: and that alone");
    return $answer;
}


# -- what is put off

{
    my ($account, $phone) = (new_account(), new_phone());

    $hook->is_received(written($account, $phone), 'before');
    paused_by($phone, '400 133010');

    my $body   = written($account, $phone);
    my $answer = is_put_off($body, 'a paused phone');

    GraphPolicy::Webhook::is_after($answer, 3590, 3961, 'a paused phone');
    is_put_off($body, 'a paused phone, again');
    is_put_off(payload(entry($account, messages(phone => $phone,
        statuses => [status(undef)]))), 'a paused phone, a status');
    is_put_off(payload(entry($account, messages(phone => $phone,
        statuses => [status(131047)]))), 'a paused phone, an error');
    is_put_off(payload(entry($account, messages(phone => $phone))),
        'a paused phone, nothing');
    unlike($answer->{text}, qr/16505551234|Hello/,
        'a paused phone: nothing of the webhook');

    # others
    $hook->is_received(written($account, new_phone()),
        'another phone of the account');
    $hook->is_received(written(new_account(), new_phone()),
        'another account');

    # where it is off
    $hook->is_received($body, 'by default', path => '/default');
    $hook->is_received($body, 'off', path => '/off');
    $hook->is_received($body, 'dry run', path => '/dry');

    # the signature comes first
    $hook->is_refused($body, 403, 'not signed', signature => undef);
    $hook->is_refused($body, 403, 'signed by another',
        signature => 'sha256=' . '0' x 64);

    # Meta's question whether this is the right place
    is(short($hook->deliver('', method => 'GET', signature => undef,
        path => '/webhook?hub.mode=subscribe')), '200 - 1', 'GET');
    $hook->is_refused($body, 405, 'PUT', method => 'PUT');

    ok($nginx->reload, 'reload');
    is_put_off($body, 'after a reload');
}

sub paused_by {
    my ($phone, $script, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($status) = $script =~ /^(\d+)/;
    is(short($hook->send($phone, script => $script, %of)), "$status passed 1",
        "$phone gets $script");
}

# several phones, changes, entries
{
    my ($first, $second, $third) = paused(3);
    my $free    = new_phone();
    my $account = new_account();
    my $now     = int time;

    is_put_off(written($account, $first, $second), 'two paused phones');
    is_put_off(payload(map { entry($account, messages(phone => $_,
        messages => [inbound()])) } $first, $second, $third),
        'three entries of paused phones');

    $hook->is_received(written($account, $first, $free),
        'a paused and a free phone');
    $hook->is_received(written($account, $free, $first),
        'a free and a paused phone');
    $hook->is_received(payload(
        entry($account, messages(phone => $first, messages => [inbound()])),
        entry(new_account(), messages(phone => $free,
            messages => [inbound()]))), 'a paused and a free entry');

    # other fields
    $hook->is_received(payload(entry($account, time => $now,
        account_update('ACCOUNT_VIOLATION'))), 'an account_update');
    $hook->is_received(payload(entry($account, time => $now,
        messages(phone => $first, messages => [inbound()]),
        { field => 'account_alerts', value => { entity_id => $account } })),
        'with an alert');
    $hook->is_received(payload(entry($account, time => $now,
        { %{ messages(phone => $first, messages => [inbound()]) },
            field => 'history' })), 'another field');
    $hook->is_received(payload(entry($account, { field => 'messages' }),
        entry($account, messages(phone => $first))), 'without a value');
    $hook->is_received(payload(entry($account, messages(
        messages => [inbound()]))), 'without a phone');
    $hook->is_received(payload(entry($account, messages(phone => $first),
        messages(messages => [inbound()]))), 'one without a phone');

    # nothing that says whose it is
    $hook->is_received($_, "unreadable, $_") for 'no JSON', '{}',
        payload(), payload(entry($account)), '{"entry":[{"changes":[]}]}',
        substr written($account, $first), 0, -1;
}


# -- which states

# of an account
for my $case (
    ['an answer', sub { paused_by($_[1], '400 131042') }],
    ['a webhook', sub { $hook->is_received(payload(entry($_[0], messages(
        phone => $_[1], statuses => [status(131042)]))), 'it is told') }],
    ['DISABLE', sub { $hook->is_received(payload(entry($_[0], time => int time,
        account_update('DISABLED_UPDATE', ban_info =>
            { waba_ban_state => 'DISABLE' }))), 'it is disabled') }],
    ['ACCOUNT_OFFBOARDED', sub { $hook->is_received(payload(entry($_[0],
        time => int time, account_update('ACCOUNT_OFFBOARDED'))),
        'it is gone') }],
) {
    my ($name, $set) = @$case;
    my ($account, @known) = (new_account(), new_phone(), new_phone());

    $hook->is_received(written($account, @known), "$name, before");
    $set->($account, @known);
    is_put_off(written($account, $_), "$name, $_") for @known;
    is_put_off(written($account, @known), "$name, both");
}

# a phone whose account gets known by the very payload
{
    my ($account, $phone, $new) = (new_account(), new_phone(), new_phone());

    $hook->is_received(written($account, $phone), 'a new phone, before');
    paused_by($phone, '400 131042');
    is_put_off(written($account, $new), 'a new phone');
    $hook->is_blocked($new, 'billing 131042', 'a new phone');
}

# bound to a credential, of a conversation, of a temporary error
for my $case (
    ['a token',          '401 190'],
    ['a phone that a token can not see', '400 100/33'],
    ['a permission',     '403 10'],
    ['a conversation',   '400 131047'],
    ['a rate limit',     '400 130429 header=Retry-After:60'],
    ['a request',        '400 100'],
) {
    my ($name, $script) = @$case;
    my ($account, $phone) = (new_account(), new_phone());

    paused_by($phone, $script, token => "of-$phone",
        in => $name eq 'a rate limit' ? 'cooldown' : undef);
    $hook->is_received(written($account, $phone), "state of $name");
}

# one that waits for its probe, and one that is over
{
    my ($account, $phone) = (new_account(), new_phone());

    paused_by($phone, '400 133010', in => 'brief');
    is_put_off(written($account, $phone), 'before its probe');
    sleep $brief * 1.1 / 1000 + 0.1;
    $hook->is_received(written($account, $phone), 'due');

    # while it is under way, too
    my $call = $hook->nginx->start_request($hook->sending($phone,
        script => '200 wait=probe'));
    ok(wait_until(sub { grep { $_->{uri} =~ m{/$phone/}
        && $_->{headers}{'x-mock'} =~ /probe/ } $hook->graph->requests }),
        'due: the probe is away');
    $hook->is_received(written($account, $phone), 'probed');
    $hook->graph->release('probe');

    my ($answer) = GraphPolicy::finish_requests($call);
    is($answer->{headers}{'x-graph-policy'}, 'probe', 'due: it was a probe');
    $hook->is_received(written($account, $phone), 'over');
}


# -- what it teaches comes first

# the payload that sets the state goes on, what follows doesn't
{
    my ($account, $phone) = (new_account(), new_phone());
    my $body = payload(entry($account, messages(phone => $phone,
        statuses => [status(131042)], messages => [inbound()])));

    $hook->is_received($body, 'it sets the state');
    is(tags($hook->received), 'fatal 131042 billing 1',
        'it sets the state: tags');
    is_put_off(written($account, $phone), 'what follows');
}

# also where another state was there before
{
    my $phone   = paused(1);
    my $account = new_account();

    is_put_off(written($account, $phone), 'one state');
    $hook->is_received(payload(entry($account, messages(phone => $phone,
        statuses => [status(131042)]))), 'another state beside it');
    is_put_off(written($account, $phone), 'two states');
}

# the phones of a payload that is put off are known then
{
    my ($account, $phone) = (new_account(), new_phone());

    paused_by($phone, '400 133010', in => 'brief');
    is_put_off(written($account, $phone), 'put off, and learnt');
    sleep $brief * 1.1 / 1000 + 0.1;
    is(short($hook->send($phone)), '200 probe 1', 'put off: over');
    $hook->is_open($phone, 'put off: over');
    $hook->is_received(payload(entry($account, time => int time,
        account_update('DISABLED_UPDATE', ban_info =>
            { waba_ban_state => 'DISABLE' }))), 'put off: DISABLE');
    $hook->is_blocked($phone, 'account-restricted', 'put off, and learnt');
}

# so are the messages of its customers
{
    my ($account, $phone) = (new_account(), new_phone());

    is(short($hook->send($phone, script => '400 131047')), '400 passed 1',
        'put off: a window is closed');
    $hook->is_blocked($phone, 'window-expired', 'put off: it is closed');

    paused_by($phone, '400 133010', in => 'brief', to => '16505550000');
    is_put_off(payload(entry($account, messages(phone => $phone,
        messages => [inbound()]))), 'put off: a customer writes');
    sleep $brief * 1.1 / 1000 + 0.1;
    is(short($hook->send($phone)), '200 probe 1', 'put off: it is open again');
}

# an event that ends the pause
{
    my ($account, $phone) = (new_account(), new_phone());
    my $now = int time;

    $hook->is_received(written($account, $phone), 'its end, before');
    $hook->is_received(payload(entry($account, time => $now - 60,
        account_update('ACCOUNT_OFFBOARDED'))), 'its end: it begins');
    is_put_off(written($account, $phone), 'its end: it has begun');
    $hook->is_received(payload(entry($account, time => $now,
        account_update('ACCOUNT_RECONNECTED'))), 'its end');
    $hook->is_received(written($account, $phone), 'its end: it is over');
}


$hook->is_discreet('16505551234', '16505550000', 'Hello', 'Some details',
    'Bearer');

done_testing();
