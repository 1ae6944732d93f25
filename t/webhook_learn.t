# vi:set ft= ts=4 sw=4 et:

# What signed webhooks teach: fatal states of accounts and phones, which phones
# an account has, and that a state is over. Conversations are in
# t/conversation.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slow);
use GraphPolicy::Webhook qw(payload entry messages account_update status
    inbound failure short tags next_second);

my $bound = 's3cretOfOneAccount';
my $other = 's3cretOfTheOtherAccount';

# how long a state of the location /brief holds, in ms
my $brief = 700 * slow();

my $hook = GraphPolicy::Webhook->start(
    secrets  => ['s3cretOfAllAccounts'],
    secrets2 => ["$bound 5001 5002", "$other 5003"],
    secrets3 => ["s3cretWithBlanks \t "],
    http     => <<"END");
graph_policy_zone zone=z:1m;
graph_policy_zone zone=other:1m;
graph_policy_zone zone=third:1m;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy zone=z;

    location / {
        graph_policy_hold 5m;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /brief/ {
        graph_policy_hold ${brief}ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /named/ {
        graph_policy_account \$http_x_account;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /elsewhere/ {
        graph_policy zone=other;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /hour {
        graph_policy_hold                1h;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /moment {
        graph_policy_hold                ${brief}ms;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /dry {
        graph_policy_dry_run             on;
        graph_policy_hold                1h;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /rules {
        graph_policy_hold                1h;
        graph_policy_rule                777001 fatal scope=phone;
        graph_policy_rule                131042 ignore;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /third/ {
        graph_policy zone=third;
        graph_policy_hold 5m;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /bound/third {
        graph_policy zone=third;
        graph_policy_hold                1h;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS2;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /crowd {
        graph_policy zone=other;
        graph_policy_hold                1h;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /blanks {
        graph_policy_hold                1h;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS3;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /bound {
        graph_policy_hold                1h;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS2;
        proxy_pass                       http://127.0.0.1:APP;
    }
}
END
my $nginx = $hook->nginx;

my ($accounts, $phones) = (20_000, 10_000);

sub new_account { return ++$accounts }
sub new_phone   { return ++$phones }

# All webhooks but those about the hold hold for an hour.
sub comes {
    my ($body, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $answer = $hook->deliver($body, path => '/hour', %of);
    is(short($answer), '200 - 1', "$name: the application gets it");
    return $answer;
}

# a webhook that says that these are phones of the account
sub teach {
    my ($account, @phones) = @_;

    comes(payload(entry($account, map { messages(phone => $_,
        messages => [inbound()]) } @phones)), "phones of $account");
}

# an account with so many known phones
sub known_account {
    my ($count) = @_;

    my $account = new_account();
    my @phones  = map { new_phone() } 1 .. $count // 2;

    teach($account, @phones);
    return ($account, @phones);
}

sub update {
    my ($account, $at, @event) = @_;

    return payload(entry($account, (defined $at ? (time => $at) : ()),
        account_update(@event)));
}

my @disable   = ('DISABLED_UPDATE', ban_info =>
    { waba_ban_state => 'DISABLE', waba_ban_date => 'April 17, 2025' });
my @reinstate = ('DISABLED_UPDATE', ban_info =>
    { waba_ban_state => 'REINSTATE' });


# -- fatal errors, from each of the three places

my %place = (
    status  => sub { messages(phone => $_[0],
        statuses => [status($_[1], at => $_[2])]) },
    message => sub { messages(phone => $_[0],
        messages => [inbound(code => $_[1], at => $_[2])]) },
    value   => sub { messages(phone => $_[0],
        errors => [failure($_[1])]) },
);

for my $place (sort keys %place) {
    for my $case (
        [131042, 'billing',            'account'],
        [131031, 'account-restricted', 'account'],
        [368,    'account-restricted', 'account'],
        [190,    'token-invalid',      'account'],
        [133010, 'phone-disconnected', 'phone'],
        [131045, 'phone-disconnected', 'phone'],
    ) {
        my ($code, $reason, $scope) = @$case;
        my ($account, $phone, $sister) = known_account();
        my (undef, $stranger) = known_account(1);
        my $name = "$code, $place";
        my $now  = int time;

        comes(payload(entry($account, time => $now,
            $place{$place}->($phone, $code, $now))), $name);

        my $answer = $hook->is_blocked($phone, "$reason $code", $name);
        is($answer->{status}, 400, "$name: status");
        $hook->is_blocked($phone, "$reason $code", "$name, another token",
            token => 'b');
        $hook->is_blocked($phone, "$reason $code", "$name, no token",
            token => undef);

        if ($scope eq 'account') {
            $hook->is_blocked($sister, "$reason $code",
                "$name, the other phone");
        } else {
            $hook->is_open($sister, "$name, the other phone");
        }

        $hook->is_open($stranger, "$name, another account");
    }
}

# the local answer
{
    my ($account, $phone) = known_account();

    comes(payload(entry($account, messages(phone => $phone,
        statuses => [status(131042)]))), 'local answer');

    my $answer  = $hook->is_blocked($phone, 'billing 131042', 'local answer');
    my $headers = $answer->{headers};

    is($headers->{'x-graph-error-category'}, 'fatal', 'local answer: category');
    is($headers->{'x-graph-error-scope'}, 'account', 'local answer: scope');
    like($headers->{'x-graph-state'}, qr/^[\w.~-]+\z/, 'local answer: state');
    GraphPolicy::Webhook::is_after($answer, 3000, 3961, 'local answer');

    my $error = eval { JSON::PP::decode_json($answer->{body})->{error} };
    ok($error, 'local answer: a body in JSON') or diag($answer->{body});
    is($error->{code}, 131042, 'local answer: code in the body');
    ok(!$error->{is_transient}, 'local answer: not transient');
    like($error->{error_user_title}, qr/\w/, 'local answer: a title');
    like($error->{error_user_msg}, qr/\w/, 'local answer: what to do');
    unlike($answer->{text}, qr/16505551234|A message|Some details/,
        'local answer: nothing of the webhook');
    like($nginx->log, qr/\[error\].*state set.*\b$account\b/,
        'local answer: told in the log');
}

# a phone that nobody has heard of, and an account that the proxy names
{
    my ($account, $phone) = (new_account(), new_phone());

    comes(payload(entry($account, messages(phone => $phone,
        statuses => [status(131042)]))), 'unheard of');
    $hook->is_blocked($phone, 'billing 131042', 'unheard of');
    $hook->is_blocked(new_phone(), 'billing 131042', 'a name for the account',
        in => 'named', headers => ['X-Account' => $account]);
    $hook->is_open(new_phone(), 'a name for another account', in => 'named',
        headers => ['X-Account' => new_account()]);
    $hook->is_open($phone, 'another name comes first', in => 'named',
        headers => ['X-Account' => new_account()]);
    $hook->is_blocked($phone, 'billing 131042', 'an empty name is none',
        in => 'named', headers => ['X-Account' => '']);
    $hook->is_open($phone, 'another zone', in => 'elsewhere');
}

# what sets no state
for my $code (3, 10, 200, 299, 131005, 100, 131051, 131052, 131053, 131047,
    130429, 131000, 999999)
{
    my ($account, $phone, $sister) = known_account();

    comes(payload(entry($account, time => int time, messages(phone => $phone,
        statuses => [status($code)], errors => [failure($code)]))),
        "$code sets none");
    $hook->is_open($phone, "$code sets none");
    $hook->is_open($sister, "$code sets none, the other phone");
}

# several errors, changes and entries
{
    my ($account, $phone, $second) = known_account();
    my ($another, $third, $fourth) = known_account();

    comes(payload(
        entry($account, messages(phone => $phone, statuses => [status(undef),
            status(131047), status([100, 133010])]),
            messages(phone => $second, messages => [inbound()])),
        entry($another, messages(phone => $third, statuses =>
            [status(100), status(131042)]))), 'several');

    $hook->is_blocked($phone, 'phone-disconnected 133010', 'several, a phone');
    $hook->is_open($second, 'several, the other phone of it');
    $hook->is_blocked($_, 'billing 131042', "several, the other account, $_")
        for $third, $fourth;
}

# rules of the webhook's location
{
    my ($account, $phone, $sister) = known_account();

    comes(payload(entry($account, messages(phone => $phone, statuses =>
        [status(777001), status(131042)]))), 'rules', path => '/rules');

    is($hook->send($phone)->{headers}{'x-graph-error-code'}, 777001,
        'rules: a code of their own');
    $hook->is_open($sister, 'rules: what they ignore');
}

# dry run learns
{
    my ($account, $phone) = known_account();

    comes(payload(entry($account, messages(phone => $phone, statuses =>
        [status(131042)]))), 'dry run', path => '/dry');
    $hook->is_blocked($phone, 'billing 131042', 'dry run');
}

# not signed: nothing
{
    my ($account, $phone) = known_account();
    my $body = payload(entry($account, time => int time,
        account_update(@disable), messages(phone => $phone,
            statuses => [status(131042)])));

    for my $signature (undef, 'sha256=' . '0' x 64,
        GraphPolicy::Webhook::signature($body, 'another'))
    {
        $hook->is_refused($body, 403, 'not signed', path => '/hour',
            signature => $signature);
    }

    $hook->is_open($phone, 'not signed');
}


# -- the phones of an account

# what an answer to a send says of an account holds for its other phones
for my $case (['368', 'account-restricted'], ['131031', 'account-restricted'],
    ['131042', 'billing'])
{
    my ($code, $reason) = @$case;
    my ($account, $phone, $sister) = known_account();
    my (undef, $stranger) = known_account(1);

    is(short($hook->send($phone, script => "403 $code")), '403 passed 1',
        "an answer of $code");
    $hook->is_blocked($sister, "$reason $code", "an answer of $code, the other"
        . ' phone', token => 'b');
    $hook->is_open($stranger, "an answer of $code, another account");

    # a phone that is heard of later belongs to it too
    my $late = new_phone();
    $hook->is_open($late, "an answer of $code, a phone not heard of");
    teach($account, $late);
    $hook->is_blocked($late, "$reason $code", "an answer of $code, a new"
        . ' phone');
}

# statuses and errors teach phones as messages do
for my $case (['statuses', statuses => [status(undef)]],
    ['errors', errors => [failure(100)]], ['nothing'])
{
    my ($name, @value) = @$case;
    my ($account, $phone) = known_account(1);
    my $sister = new_phone();

    comes(payload(entry($account, messages(phone => $sister, @value))),
        "taught by $name");
    $hook->send($phone, script => '400 131042');
    $hook->is_blocked($sister, 'billing 131042', "taught by $name");
}

# while the account wasn't known, the state was the phone's
{
    my ($phone, $sister) = (new_phone(), new_phone());

    $hook->send($phone, script => '400 131042');
    teach(new_account(), $phone, $sister);
    $hook->is_blocked($phone, 'billing 131042', 'taught too late');
    $hook->is_open($sister, 'taught too late: the other phone');
}

# a phone that moves
{
    my ($first, $phone, $sister) = known_account();
    my ($second, $third) = known_account(1);

    teach($second, $phone);
    $hook->send($third, script => '400 131042');
    $hook->is_blocked($phone, 'billing 131042', 'a phone that moved');
    $hook->is_open($sister, 'a phone that moved: the one that did not');
}

# a payload of another field teaches nothing
{
    my ($account, $phone) = known_account(1);
    my $other  = new_phone();
    my $change = messages(phone => $other, messages => [inbound()]);

    comes(payload(entry($account, { %$change, field => 'history' })),
        'another field');
    $hook->send($phone, script => '400 131042');
    $hook->is_open($other, 'another field teaches no phone');
}


# -- phones that are disconnected

# by events: each of the known phones shows that it isn't alone
for my $case (
    ['PARTNER_REMOVED', 'partner', disconnection_info =>
        { reason => 'PRIMARY_INACTIVITY', initiated_by => 'SYSTEM' }],
    ['PARTNER_REMOVED', 'partner'],
    ['PARTNER_APP_UNINSTALLED', 'partner'],
    ['ACCOUNT_OFFBOARDED', ''],
    ['ACCOUNT_DELETED', ''],
) {
    my ($event, $partner, @more) = @$case;
    my $name = $event . (@more ? ', with a reason' : '');

    for my $count (1, 2, 3) {
        my ($account, @known) = known_account($count);
        my (undef, $stranger) = known_account(1);
        my $reason = ($count > 1 ? 'phones' : 'phone') . '-disconnected';
        my @event  = ($event, @more, $partner
            ? (waba_info => { waba_id => "$account",
                owner_business_id => '3001' }) : ());

        # the account of a partner's event isn't that of its entry
        comes(update($partner ? new_account() : $account, int time, @event),
            "$name, $count phones");
        $hook->is_blocked($_, "$reason 133010", "$name, $count phones, $_")
            for @known;
        $hook->is_open($stranger, "$name, $count phones: another account");
    }
}

# the business of a partner is no account
{
    my ($business, $phone) = known_account(1);
    my ($account, $second) = known_account(1);

    comes(update($business, int time, 'PARTNER_REMOVED', waba_info =>
        { waba_id => "$account", owner_business_id => "$business" }),
        'a business');
    $hook->is_open($phone, 'a business: of the same number as an account');
    $hook->is_blocked($second, 'phone-disconnected', 'a business: the account');
}

# errors of two phones
{
    my ($account, $first, $second, $third) = known_account(3);

    comes(payload(entry($account, messages(phone => $first,
        statuses => [status(133010)]))), 'one phone');
    $hook->is_blocked($first, 'phone-disconnected 133010', 'one phone');
    is(short($hook->send($second, script => '500 131045')), '500 passed 1',
        'two phones: an answer');
    $hook->is_blocked($first, 'phones-disconnected 133010', 'two phones');
    $hook->is_blocked($second, 'phones-disconnected 131045',
        'two phones, the other');
    $hook->is_open($third, 'two phones: the third');
}

# and back
for my $case (['ACCOUNT_RECONNECTED', ''], ['PARTNER_ADDED', 'partner']) {
    my ($event, $partner) = @$case;
    my ($account, @known) = known_account(2);
    my $now = int time;

    comes(update($account, $now - 60, 'ACCOUNT_OFFBOARDED'), "$event, before");
    $hook->is_blocked($_, 'phones-disconnected 133010', "$event, before, $_")
        for @known;

    my ($unrelated) = new_account();
    comes(update($unrelated, $now, $event, waba_info =>
        { waba_id => "$unrelated" }), "$event of another account");
    $hook->is_blocked($known[0], 'phones-disconnected',
        "$event of another account");

    comes(update($partner ? new_account() : $account, $now, $event, $partner
        ? (waba_info => { waba_id => "$account" }) : ()), $event);
    $hook->is_open($_, "$event, $_") for @known;

    # what an answer said, too
    $hook->send($known[0], script => '400 133010');
    $hook->is_blocked($known[0], 'phone-disconnected 133010',
        "$event, after an answer");
    comes(update($partner ? new_account() : $account, next_second(), $event,
        $partner ? (waba_info => { waba_id => "$account" }) : ()),
        "$event, after an answer");
    $hook->is_open($known[0], "$event, after an answer");

    # and nothing else
    comes(payload(entry($account, messages(phone => $known[0],
        statuses => [status(131042, at => int(time) - 5)]))),
        "$event and billing");
    comes(update($partner ? new_account() : $account, int time, $event,
        $partner ? (waba_info => { waba_id => "$account" }) : ()),
        "$event and billing");
    $hook->is_blocked($known[1], 'billing 131042', "$event ends no billing");
}

# no phone is known: nothing to mark
{
    my ($account, $phone) = (new_account(), new_phone());

    comes(update($account, int time, 'ACCOUNT_OFFBOARDED'), 'no phone');
    teach($account, $phone);
    $hook->is_open($phone, 'no phone was known');
}


# -- accounts that are disabled

{
    my ($account, @known) = known_account(2);
    my (undef, $stranger) = known_account(1);
    my $now = int time;

    comes(update($account, $now - 60, @disable), 'DISABLE');
    $hook->is_blocked($_, 'account-restricted 368', "DISABLE, $_") for @known;
    $hook->is_open($stranger, 'DISABLE: another account');
    is($hook->send($known[0])->{status}, 400, 'DISABLE: status');

    my $late = new_phone();
    teach($account, $late);
    $hook->is_blocked($late, 'account-restricted', 'DISABLE, a new phone');

    comes(update($account, $now - 30, 'ACCOUNT_RECONNECTED'),
        'DISABLE, then reconnected');
    $hook->is_blocked($known[0], 'account-restricted',
        'DISABLE, then reconnected');

    comes(update($account, $now, @reinstate), 'REINSTATE');
    $hook->is_open($_, "REINSTATE, $_") for @known, $late;

    # what an answer said, too, and nothing else
    $hook->send($known[0], script => '403 131031');
    $hook->is_blocked($known[1], 'account-restricted 131031',
        'REINSTATE, after an answer');
    comes(update($account, next_second(), @reinstate),
        'REINSTATE, after an answer');
    $hook->is_open($known[1], 'REINSTATE, after an answer');

    $hook->send($known[0], script => '400 131042');
    comes(update($account, next_second(), @reinstate), 'REINSTATE, billing');
    $hook->is_blocked($known[1], 'billing 131042', 'REINSTATE ends no billing');
}

# what was set while nobody knew whose phone it is
{
    my ($account) = known_account(1);
    my $phone     = new_phone();

    $hook->send($phone, script => '403 131031');
    teach($account, $phone);
    $hook->is_blocked($phone, 'account-restricted 131031',
        'restricted, then known');
    comes(update($account, next_second(), @reinstate),
        'restricted, known, REINSTATE');
    $hook->is_open($phone, 'restricted, known, REINSTATE');
}

# news that change nothing
for my $case (
    ['SCHEDULE_FOR_DISABLE', 'DISABLED_UPDATE', ban_info =>
        { waba_ban_state => 'SCHEDULE_FOR_DISABLE' }],
    ['ACCOUNT_RESTRICTION', 'ACCOUNT_RESTRICTION', restriction_info =>
        [{ restriction_type => 'RESTRICTED_BIZ_INITIATED_MESSAGING',
            expiration => int time + 86400 }]],
    ['ACCOUNT_VIOLATION', 'ACCOUNT_VIOLATION', violation_info =>
        { violation_type => 'SCAM' }],
    ['an unknown state', 'DISABLED_UPDATE', ban_info =>
        { waba_ban_state => 'RENAMED' }],
    ['an unknown event', 'ACCOUNT_RENAMED'],
    ['no state', 'DISABLED_UPDATE'],
) {
    my ($name, @event) = @$case;
    my ($account, @known) = known_account(2);

    comes(update($account, int time, @event), $name);
    $hook->is_open($_, "$name, $_") for @known;
}

# events of another field
{
    my ($account, $phone) = known_account(1);

    comes(payload(entry($account, time => int time,
        { %{ account_update(@disable) }, field => 'account_alerts' })),
        'DISABLE of another field');
    $hook->is_open($phone, 'DISABLE of another field');
}


# -- late, twice, out of order

# too old, days later, or without any time
for my $case (
    ['old',            sub { $_[0] - 660 }, 0],
    ['days old',       sub { $_[0] - 3 * 86400 }, 0],
    ['of 1970',        sub { 1 }, 0],
    ['nine minutes',   sub { $_[0] - 540 }, 1],
    ['without a time', sub { undef }, 0],
) {
    my ($name, $when, $sets) = @$case;
    my $at    = $when->(int time);
    my @entry = defined $at ? (time => $at) : ();

    my %body = (
        status  => sub { payload(entry($_[0], messages(phone => $_[1],
            statuses => [status(131042, at => $at)]))) },
        message => sub { payload(entry($_[0], messages(phone => $_[1],
            messages => [inbound(code => 131042, at => $at)]))) },
        value   => sub { payload(entry($_[0], @entry, messages(
            phone => $_[1], errors => [failure(131042)]))) },
        'by its entry' => sub { payload(entry($_[0], @entry, messages(
            phone => $_[1], statuses => [status(131042, at => undef)]))) },
        disable => sub { update($_[0], $at, @disable) },
        offboarded => sub { update($_[0], $at, 'ACCOUNT_OFFBOARDED') },
    );

    for my $kind (sort keys %body) {
        my ($account, $phone) = known_account(1);
        my $body = $body{$kind}->($account, $phone);

        comes($body, "$name, $kind");
        like(tags($hook->received), qr/^fatal /, "$name, $kind: tagged");

        if ($sets) {
            $hook->is_blocked($phone, '', "$name, $kind");
        } else {
            $hook->is_open($phone, "$name, $kind");
        }
    }
}

# an event's own time comes before that of its entry
{
    my ($account, $phone) = known_account(1);
    my $now = int time;

    comes(payload(entry($account, time => $now, messages(phone => $phone,
        statuses => [status(131042, at => $now - 700)]))), 'its own time');
    $hook->is_open($phone, 'its own time is old');
    comes(payload(entry($account, time => $now - 700, messages(phone => $phone,
        statuses => [status(131042, at => $now)]))), 'its own time');
    $hook->is_blocked($phone, 'billing', 'its own time is new');
}

# twice: nothing is doubled
{
    my ($account, $phone) = known_account(1);
    my $body = payload(entry($account, messages(phone => $phone,
        statuses => [status(131042), status(131042)])));

    comes($body, "twice, $_", path => '/webhook') for 1 .. 4;

    my $answer = $hook->is_blocked($phone, 'billing', 'twice');
    GraphPolicy::Webhook::is_after($answer, 1, 11, 'twice');
}

# cleared in between: what is older doesn't come back
{
    my ($account, $phone, $sister) = known_account(2);
    my $now = int time;
    my @off = ('ACCOUNT_OFFBOARDED');
    my @on  = ('ACCOUNT_RECONNECTED');

    comes(update($account, $now - 90, @off), 'order, off');
    $hook->is_blocked($phone, 'phones-disconnected', 'order, off');
    comes(update($account, $now - 100, @on), 'order, an older on');
    $hook->is_blocked($phone, 'phones-disconnected', 'order, an older on');
    comes(update($account, $now - 30, @on), 'order, on');
    $hook->is_open($_, "order, on, $_") for $phone, $sister;
    comes(update($account, $now - 60, @off), 'order, an older off');
    $hook->is_open($_, "order, an older off, $_") for $phone, $sister;
    comes(update($account, $now - 90, @off), 'order, off again');
    $hook->is_open($phone, 'order, off again');
    comes(update($account, $now - 10, @off), 'order, a newer off');
    $hook->is_blocked($phone, 'phones-disconnected', 'order, a newer off');
    comes(update($account, $now - 30, @on), 'order, on again');
    $hook->is_blocked($phone, 'phones-disconnected', 'order, on again');
}

{
    my ($account, $phone) = known_account(1);
    my $now = int time;

    comes(update($account, $now - 90, @disable), 'order, DISABLE');
    comes(update($account, $now - 30, @reinstate), 'order, REINSTATE');
    $hook->is_open($phone, 'order, REINSTATE');
    comes(update($account, $now - 60, @disable), 'order, an older DISABLE');
    $hook->is_open($phone, 'order, an older DISABLE');
}

# the clearing one comes first
{
    my ($account, $phone) = known_account(1);
    my $now = int time;

    comes(update($account, $now - 30, 'ACCOUNT_RECONNECTED'), 'on before off');
    comes(update($account, $now - 60, 'ACCOUNT_OFFBOARDED'), 'on before off');
    $hook->is_open($phone, 'on before off');
}

# both in one payload
{
    my ($account, $phone) = known_account(1);
    my ($another, $second) = known_account(1);
    my $now = int time;

    comes(payload(
        entry($account, time => $now - 30, account_update(@reinstate)),
        entry($account, time => $now - 60, account_update(@disable)),
        entry($another, time => $now - 60, account_update(@disable)),
        entry($another, time => $now - 30, account_update(@reinstate))),
        'both in one');
    $hook->is_open($phone, 'both in one, the newer first');
    $hook->is_open($second, 'both in one, the older first');
}

# news that it is over may come late: only what is newer withstands it
{
    my @cases = (['ACCOUNT_RECONNECTED', ['ACCOUNT_OFFBOARDED'],
        ['ACCOUNT_RECONNECTED']], ['REINSTATE', \@disable, \@reinstate]);
    my $now = int time;
    my @late;

    for my $case (@cases) {
        my ($name, $off, $on) = @$case;
        my ($account, $phone) = known_account(1);

        comes(update($account, $now - 595, @$off), "late, $name");
        $hook->is_blocked($phone, '', "late, $name: before");
        comes(update($account, $now - 596, @$on), "late, an older $name");
        $hook->is_blocked($phone, '', "late, an older $name");
        comes(update($account, undef, @$on), "late, $name without a time");
        $hook->is_blocked($phone, '', "late, $name without a time");
        push @late, ["late, $name", $account, $phone, @$on];
    }

    # until both are too old to set anything
    sleep 0.1 while time < $now + 7;

    for my $case (@late) {
        my ($name, $account, $phone, @on) = @$case;

        comes(update($account, $now - 594, @on), $name);
        $hook->is_open($phone, "$name: over");
    }
}

# the same again, when the hold is over: no relapse
{
    my ($account, $phone) = known_account(1);
    my $at   = int time - 5;
    my $body = payload(entry($account, time => $at,
        messages(phone => $phone, statuses => [status(131042, at => $at)])));

    comes($body, 'again', path => '/moment');
    $hook->is_blocked($phone, 'billing', 'again: at first');
    sleep $brief * 1.1 / 1000 + 0.05;
    comes($body, 'again', path => '/hour');
    is(short($hook->send($phone)), '200 probe 1', 'again: the probe is next');
}

# an old event doesn't say where a phone is now
for my $case (['days old', 3 * 86400, 0], ['new', 0, 1]) {
    my ($name, $age, $moves) = @$case;
    my ($first, $phone, $sister) = known_account(2);
    my ($second, $third) = known_account(1);

    comes(payload(entry($second, messages(phone => $phone, statuses =>
        [status(undef, at => int(time) - $age)]))), "moves, $name");
    $hook->send($third, script => '400 131042');

    if ($moves) {
        $hook->is_blocked($phone, 'billing', "moves, $name");
    } else {
        $hook->is_open($phone, "moves, $name");
    }
}

# a success that is newer than the event
{
    my ($account, $phone) = known_account(1);
    my $at = int time - 20;

    $hook->send($phone, in => 'brief', script => '400 131042');
    sleep $brief * 1.1 / 1000 + 0.05;
    is(short($hook->send($phone, in => 'brief')), '200 probe 1',
        'a success: it ends the state');
    comes(payload(entry($account, messages(phone => $phone,
        statuses => [status(131042, at => $at)]))), 'older than a success');
    $hook->is_open($phone, 'older than a success');
}


# -- the hold, and how it ends

{
    my ($account, $phone) = known_account(1);
    my ($second, $other) = known_account(1);

    comes(payload(entry($account, messages(phone => $phone,
        statuses => [status(131042)]))), 'hold by default',
        path => '/webhook');
    GraphPolicy::Webhook::is_after($hook->is_blocked($phone, 'billing',
        'hold by default'), 5, 11, 'hold by default');

    comes(update($second, int time, @disable), 'hold of an hour');
    GraphPolicy::Webhook::is_after($hook->is_blocked($other,
        'account-restricted', 'hold of an hour'), 3590, 3961,
        'hold of an hour');
}

# then one send is the probe
for my $case (['a status', sub { payload(entry($_[0], messages(
        phone => $_[1], statuses => [status(131042)]))) }, 131042],
    ['DISABLE', sub { update($_[0], int time, @disable) }, 368],
    ['ACCOUNT_OFFBOARDED', sub { update($_[0], int time,
        'ACCOUNT_OFFBOARDED') }, 133010])
{
    my ($name, $body, $code) = @$case;
    my ($account, $phone) = known_account(1);

    comes($body->($account, $phone), "probe, $name", path => '/moment');
    is($hook->send($phone)->{headers}{'x-graph-error-code'}, $code,
        "probe, $name: blocked first");
    sleep $brief * 1.1 / 1000 + 0.05;

    my $answer = $hook->send($phone, script => "400 $code");
    is(short($answer), '400 probe 1', "probe, $name: it fails");
    is($hook->send($phone)->{headers}{'x-graph-policy'}, 'blocked',
        "probe, $name: blocked again");
    sleep $brief * 2.2 / 1000 + 0.05;
    is(short($hook->send($phone)), '200 probe 1', "probe, $name: it succeeds");
    $hook->is_open($phone, "probe, $name: the state is over");
}


# -- secrets of some accounts

# one with blanks behind it is one of all accounts
{
    my ($account, $phone) = known_account(1);

    comes(payload(entry($account, messages(phone => $phone,
        statuses => [status(131042)]))), 'blanks', path => '/blanks',
        secret => 's3cretWithBlanks');
    $hook->is_blocked($phone, 'billing 131042', 'blanks');
}

# What a secret doesn't stand for is passed on, and not believed.
{
    my ($first, $second, $third) = (30_001 .. 30_003);
    my @bound = (path => '/bound', secret => $bound);
    my @other = (path => '/bound', secret => $other);

    comes(payload(entry('5001', messages(phone => $first,
        messages => [inbound()]))), 'bound, its account', @bound);
    comes(payload(entry('5002', messages(phone => $second,
        messages => [inbound()]))), 'bound, its other account', @bound);
    comes(payload(entry('5003', messages(phone => $third,
        messages => [inbound()]))), 'bound, the other secret', @other);

    # errors and events
    comes(payload(entry('5003', time => int time, account_update(@disable),
        messages(phone => $third, statuses => [status(131042),
            status(133010)]))), 'bound, a foreign account', @bound);
    $hook->is_open($third, 'bound, a foreign account');

    comes(update('5001', int time, 'PARTNER_REMOVED', waba_info =>
        { waba_id => '5003' }), 'bound, a foreign account of a partner',
        @bound);
    $hook->is_open($third, 'bound, a foreign account of a partner');

    # phones
    comes(payload(entry('5003', messages(phone => 30_004,
        messages => [inbound()]))), 'bound, a foreign phone', @bound);
    $hook->send($third, script => '400 131042');
    $hook->is_blocked($third, 'billing', 'bound, a phone of the account');
    $hook->is_open(30_004, 'bound, a foreign phone');

    # one entry of its own among others
    comes(payload(
        entry('5003', messages(phone => 30_004, statuses => [status(133010)])),
        entry('5001', messages(phone => $first, statuses => [status(133010)])),
        entry('5004', messages(phone => 30_005, statuses => [status(133010)]))),
        'bound, one of three', @bound);
    $hook->is_blocked($first, 'phone-disconnected 133010', 'bound, its entry');
    $hook->is_open($_, "bound, the entry of $_") for 30_004, 30_005;

    # a partner's event of its own account
    comes(update('9001', int time, 'PARTNER_REMOVED', waba_info =>
        { waba_id => '5002' }), 'bound, its account of a partner', @bound);
    $hook->is_blocked($second, 'phone-disconnected',
        'bound, its account of a partner');
}


# -- more than Meta has

# Each event of an account is one for all its phones.
{
    my ($account, @crowd) = (new_account(), map { new_phone() } 1 .. 1000);
    my @event = (time => int time,
        map { account_update('ACCOUNT_DELETED', a => 'b') } 1 .. 40_000);

    $hook->is_received(payload(entry($account, map { messages(phone => $_,
        statuses => [status(undef)]) } @crowd)), 'a crowd', path => '/crowd');
    $hook->is_received(payload(entry($account, @event)), 'a crowd of events',
        path => '/crowd');
    $hook->is_blocked($crowd[$_], 'phones-disconnected', "a crowd, $_",
        in => 'elsewhere') for 0, 500, 999;
}


# one account can't drive out what is known of another, to speak for its phones
{
    my ($phone, @third) = (new_phone(), path => '/bound/third');

    $hook->is_received(payload(entry('5003', messages(phone => $phone,
        messages => [inbound()]))), 'another crowd, the owner', @third,
        secret => $other);
    $hook->is_received(payload(entry('5001', (map { messages(phone => $_,
        statuses => [status(undef)]) } 60_001 .. 66_000), messages(
        phone => $phone, statuses => [status(133010), status(131042)]))),
        'another crowd', @third, secret => $bound);
    $hook->is_open($phone, 'another crowd: the owner', in => 'third');

    # nor with states of phones that nobody has
    is(short($hook->send('31001', in => 'third', script => '400 133010',
        token => 'b')), '400 passed 1', 'another crowd: an answer');
    $hook->is_received(payload(entry('5001', map { messages(phone => $_,
        statuses => [status(133010)]) } 60_001 .. 66_000)),
        'another crowd, their states', @third, secret => $bound);
    $hook->is_open('65999', 'another crowd: one too many', in => 'third');
    $hook->is_blocked('31001', 'phone-disconnected',
        'another crowd: what an answer said', in => 'third');
    $hook->is_received(payload(entry('5003', messages(phone => $phone,
        statuses => [status(133010)]))), 'another crowd, the owner', @third,
        secret => $other);
    $hook->is_blocked($phone, 'phone-disconnected', 'another crowd: the owner',
        in => 'third');
}


# -- a reload keeps what was learnt

{
    my ($account, $phone, $sister) = known_account(2);
    my ($second, $third) = known_account(1);

    comes(update($second, int time, @disable), 'reload');
    ok($nginx->reload, 'reload');
    $hook->is_blocked($third, 'account-restricted 368', 'reload, a state');
    $hook->send($phone, script => '400 131042');
    $hook->is_blocked($sister, 'billing 131042', 'reload, the phones');
}


$hook->is_discreet('16505551234', 'Bearer', 'A message', 'Some details',
    'Hello');

done_testing();
