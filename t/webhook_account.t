# vi:set ft= ts=4 sw=4 et:

# What an account_update is about: the account in either of its forms, or one
# number of it; and what a webhook's errors are that only are told.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slurp);
use GraphPolicy::Webhook qw(payload entry messages account_update status
    inbound failure short tags next_second);

my $states = File::Temp->newdir('states.XXXXXX', TMPDIR => 1);
chmod 0777, "$states" or die "chmod: $!";

my $hook = GraphPolicy::Webhook->start(
    secrets  => ['s3cretOfAllAccounts'],
    secrets2 => ['s3cretOfOneAccount 5001'],
    http     => <<"END");
graph_policy_zone zone=z:2m state=$states/z;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy zone=z;
    graph_policy_hold 1h;

    location / {
        graph_policy_conversation on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /bound {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS2;
        proxy_pass                       http://127.0.0.1:APP;
    }
}
END

my ($accounts, $phones) = (20_000, 10_000);

sub new_account { return ++$accounts }
sub new_phone   { return ++$phones }

# the number that a phone is known by
sub number_of { return '1555' . sprintf '%07d', $_[0] }

sub comes {
    my ($name, $body, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $hook->is_received($body, $name, %of);
}

# a change that says that the phone is the account's, and what number it has
sub numbered {
    my ($phone, $number, $at) = @_;

    my $change = messages(phone => $phone, messages => [inbound(
        at => $at // int time)]);

    $change->{value}{metadata}{display_phone_number} = $number
        // number_of($phone);
    return $change;
}

# an account with so many phones whose numbers are known
sub known_account {
    my ($count) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $account = new_account();
    my @phones  = map { new_phone() } 1 .. $count // 2;

    comes("phones of $account", payload(entry($account,
        map { numbered($_) } @phones)));
    return ($account, @phones);
}

sub update {
    my ($account, $at, @event) = @_;

    return payload(entry($account, (defined $at ? (time => $at) : ()),
        account_update(@event)));
}

my @disable   = ('DISABLED_UPDATE', ban_info => { waba_ban_state => 'DISABLE' });
my @reinstate = ('DISABLED_UPDATE', ban_info =>
    { waba_ban_state => 'REINSTATE' });


# -- one number ---------------------------------------------------------------

# in either form, and however the number is set
for my $case (
    ['as it was',     'phone_number',         sub { $_[0] }],
    ['with marks',    'phone_number',         sub { '+' . join '-',
        $_[0] =~ /^(\d)(\d{3})(\d{3})(\d{4})/ }],
    ['as a number',   'phone_number',         sub { 0 + $_[0] }],
    ['its long name', 'display_phone_number', sub { $_[0] }],
) {
    my ($name, $member, $spell) = @$case;

    for my $form ('coexistence', 'partner') {
        my ($account, $phone, $sister) = known_account();
        my @partner = $form eq 'partner'
            ? (waba_info => { waba_id => "$account" }) : ();
        my $entry = @partner ? new_account() : $account;
        my @of    = ($member => $spell->(number_of($phone)), @partner);

        comes("$name, $form", update($entry, int(time) - 30, 'PARTNER_REMOVED',
            @of, disconnection_info => { reason => 'PRIMARY_INACTIVITY',
                initiated_by => 'SYSTEM' }));
        is(tags($hook->received), 'fatal - phone-disconnected 1',
            "$name, $form: told to the application");
        $hook->is_blocked($phone, 'phone-disconnected 133010',
            "$name, $form: the phone with the number");
        $hook->is_open($sister, "$name, $form: the other phone");

        comes("$name, $form", update($entry, int time, 'PARTNER_ADDED', @of));
        $hook->is_open($phone, "$name, $form: the phone is back");
    }
}

# the sample of Meta's, with the times of today
{
    my $phone   = '100000000000001';
    my $sample  = sub {
        my ($file) = @_;
        my $json = slurp("$FindBin::Bin/samples/$file");
        my $at   = int(time) - 10;

        $json =~ s/1748477359/$at/g;
        return $json;
    };

    comes('the samples', $sample->('wh_message_group.json'));
    comes('the samples',
        $sample->('wh_account_update_partner_removed_coexistence.json'));
    $hook->is_blocked($phone, 'phone-disconnected', 'the samples');
}

# a number that nobody has taught
{
    my ($account, @known) = known_account();
    my (undef, $stranger) = known_account(1);

    for my $number (number_of(new_phone()), number_of($stranger), 'none', '',
        '9' x 21)
    {
        comes('an unknown number', update($account, int time,
            'ACCOUNT_DELETED', phone_number => $number));
        is(tags($hook->received), 'fatal - phone-disconnected 1',
            "an unknown number '$number': told to the application");
        $hook->is_open($_, "an unknown number '$number', $_")
            for @known, $stranger;
    }

    comes('an unknown number', update($account, int time, @disable,
        phone_number => number_of(new_phone())));
    $hook->is_open($_, "an unknown number is disabled, $_") for @known;

    # null names no number: it is the account then
    comes('null', update($account, int time, 'ACCOUNT_DELETED',
        phone_number => undef));
    $hook->is_blocked($_, 'phones-disconnected', "null is no number, $_")
        for @known;
    comes('an unknown number', update($account, next_second(),
        'ACCOUNT_RECONNECTED', phone_number => number_of(new_phone())));
    $hook->is_blocked($_, 'phones-disconnected',
        "what is said of an unknown number ends nothing, $_") for @known;
}

# what ends all ends one, and what ends one ends no more
{
    my ($account, $phone, $sister) = known_account();
    my @number = (phone_number => number_of($phone));
    my $now    = int time;

    comes('one is off', update($account, $now - 60, 'ACCOUNT_OFFBOARDED',
        @number));
    $hook->is_blocked($phone, 'phone-disconnected', 'one is off');
    comes('all are on', update($account, $now - 50, 'ACCOUNT_RECONNECTED'));
    $hook->is_open($phone, 'all are on: the one is');

    comes('all are off', update($account, $now - 40, 'ACCOUNT_OFFBOARDED'));
    comes('one is on', update($account, $now - 30, 'ACCOUNT_RECONNECTED',
        @number));
    $hook->is_open($phone, 'one is on');
    $hook->is_blocked($sister, 'phone-disconnected', 'the other one is not');

    # an older event doesn't undo a newer one
    comes('older', update($account, $now - 35, 'ACCOUNT_OFFBOARDED', @number));
    $hook->is_open($phone, 'an older event of one number');
}

{
    my ($account, $phone, $sister) = known_account();
    my @number = (phone_number => number_of($phone));
    my $now    = int time;

    comes('one is disabled', update($account, $now - 90, @disable, @number));
    is(tags($hook->received), 'fatal - account-restricted 1',
        'one is disabled: told to the application');
    $hook->is_blocked($phone, 'account-restricted 368', 'one is disabled');
    $hook->is_open($sister, 'one is disabled: the other one is not');

    comes('one is reinstated', update($account, $now - 80, @reinstate,
        @number));
    $hook->is_open($phone, 'one is reinstated');

    comes('one is disabled again', update($account, $now - 70, @disable,
        @number));
    $hook->is_blocked($phone, 'account-restricted', 'one is disabled again');
    comes('all are reinstated', update($account, $now - 60, @reinstate));
    $hook->is_open($phone, 'all are reinstated: the one is');
    comes('older', update($account, $now - 65, @disable, @number));
    $hook->is_open($phone, 'an older event of one number after all of them');

    comes('all are disabled', update($account, $now - 50, @disable));
    comes('one is reinstated', update($account, $now - 40, @reinstate,
        @number));
    $hook->is_blocked($_, 'account-restricted',
        "what ends one leaves the account's, $_") for $phone, $sister;
}

# too old
{
    my ($account, $phone) = known_account();

    comes('old', update($account, int(time) - 660, 'ACCOUNT_DELETED',
        phone_number => number_of($phone)));
    $hook->is_open($phone, 'an old event of one number');
}


# -- whose number it is -------------------------------------------------------

# of two phones it is that of the one which had it last
{
    my ($account, $old, $sister) = known_account();
    my $new    = new_phone();
    my $number = number_of($old);
    my @off    = ('ACCOUNT_OFFBOARDED', phone_number => $number);

    comes('a late one', payload(entry($account,
        numbered($sister, $number, int(time) - 700))));
    comes('a number', update($account, int(time) - 20, @off));
    $hook->is_open($sister, 'an old payload moves no number');
    $hook->is_blocked($old, 'phone-disconnected',
        'an old payload moves no number');
    comes('a number', update($account, int(time) - 10, 'ACCOUNT_RECONNECTED'));

    comes('registered anew', payload(entry($account,
        numbered($new, $number))));
    comes('registered anew', update($account, int time, @off));
    $hook->is_blocked($new, 'phone-disconnected', 'a number registered anew');
    $hook->is_open($old, 'a number registered anew: its old phone');
}

# an old payload, or one that bears no time, says a number that nobody knew
for my $time ('old', 'none') {
    my ($account, $sister) = known_account(1);
    my $phone  = new_phone();
    my $change = numbered($phone, undef, int(time) - 700);
    my @off    = ('ACCOUNT_OFFBOARDED', phone_number => number_of($phone));

    delete $change->{value}{messages} if $time eq 'none';

    comes("time: $time", payload(entry($account, $change)));
    comes("time: $time", update($account, int(time) - 20, @off));
    $hook->is_blocked($phone, 'phone-disconnected', "time: $time");
    $hook->is_open($sister, "time: $time, the other one");

    # but gives no other one to a phone that has one, in the same second neither
    $change = numbered($sister, '15559998866', int(time) - 700);
    delete $change->{value}{messages} if $time eq 'none';

    comes("time: $time, another", payload(entry($account, $change)));
    comes("time: $time, another", update($account, int time,
        'ACCOUNT_OFFBOARDED', phone_number => '15559998866'));
    $hook->is_open($sister, "time: $time, another");

    comes("time: $time, later", payload(entry($account,
        numbered($sister, '15559998866'))));
    comes("time: $time, later", update($account, int time,
        'ACCOUNT_OFFBOARDED', phone_number => '15559998866'));
    $hook->is_blocked($sister, 'phones-disconnected', "time: $time, later");
}

# a phone with another number
{
    my ($account, $phone, $sister) = known_account();

    comes('another number', payload(entry($account,
        numbered($phone, '15559998877'))));
    comes('another number', update($account, int time, 'ACCOUNT_DELETED',
        phone_number => number_of($phone)));
    $hook->is_open($phone, 'another number: the old one is nobody\'s');
    comes('another number', update($account, int time, 'ACCOUNT_DELETED',
        phone_number => '15559998877'));
    $hook->is_blocked($phone, 'phone-disconnected', 'another number');
}

# the same number in two accounts, and a phone that moves
{
    my ($first, $phone) = known_account(1);
    my ($second, $other) = known_account(1);
    my @number = (phone_number => number_of($phone));

    comes('in both', payload(entry($second,
        numbered($other, number_of($phone)))));
    comes('in both', update($second, int(time) - 20, 'ACCOUNT_OFFBOARDED',
        @number));
    $hook->is_blocked($other, 'phone-disconnected', "the account's own");
    $hook->is_open($phone, "another account's");

    comes('moved', payload(entry($second, numbered($phone))));
    comes('moved', update($first, int time, 'ACCOUNT_OFFBOARDED', @number));
    $hook->is_open($phone, 'an account that a phone has left');
    comes('moved', update($second, int time, 'ACCOUNT_OFFBOARDED', @number));
    $hook->is_blocked($phone, 'phones-disconnected', 'where it has moved');
}

# only payloads of the field "messages" teach numbers, and who may speak
{
    my ($account, $phone) = known_account(1);
    my @number = (phone_number => '15551234000');
    my $change = numbered($phone, '15551234000');

    comes('another field', payload(entry($account,
        { %$change, field => 'calls' }, { %$change, field => 'history' })));
    comes('another field', update($account, int time, 'ACCOUNT_DELETED',
        @number));
    $hook->is_open($phone, 'another field teaches no number');

    comes('another account', payload(entry($account, $change)),
        path => '/bound', secret => 's3cretOfOneAccount');
    comes('another account', update($account, int time, 'ACCOUNT_DELETED',
        @number));
    $hook->is_open($phone, 'a secret of another account teaches none');
    comes('its account', payload(entry($account, $change)));
    comes('another account', update($account, int time, 'ACCOUNT_DELETED',
        @number), path => '/bound', secret => 's3cretOfOneAccount');
    $hook->is_open($phone, 'nor does it speak of one');
}


# -- whose account it is ------------------------------------------------------

# a partner's event names the account, or says nothing
{
    my ($business, $phone) = known_account(1);

    for my $info ({}, { waba_id => 'x' }, { waba_id => '' }) {
        comes('no account', update($business, int time, 'PARTNER_REMOVED',
            waba_info => $info));
        like(tags($hook->received), qr/^fatal - phone-disconnected 1$/,
            'a partner\'s event without an account: told');
        $hook->is_open($phone, 'a partner\'s event without an account');
    }

    comes('the entry', update($business, int time, 'PARTNER_REMOVED'));
    $hook->is_blocked($phone, 'phone-disconnected',
        'a partner\'s event that has no waba_info is about the entry');
}

# ids are digits: of another account nothing is known
for my $id ('abc', '12a', '1' x 21, '') {
    my $phone = new_phone();
    my $other = new_phone();

    comes("account '$id'", payload(entry($id, map { messages(phone => $_,
        statuses => [status(undef)]) } $phone, $other)));
    comes("account '$id'", payload(entry($id, messages(phone => $phone,
        statuses => [status(131042)]))));
    $hook->is_blocked($phone, 'billing 131042',
        "an account '$id' is unknown: the phone");
    $hook->is_open($other, "an account '$id' is unknown: no other phone");
    comes("account '$id'", update($id, int time, 'ACCOUNT_DELETED'));
    $hook->is_open($other, "an account '$id' has no phones");
}

for my $id ('abc', '1' x 21, '') {
    my ($account, $phone) = known_account(1);

    comes("phone '$id'", payload(entry($account, messages(phone => $id,
        statuses => [status(133010)]))));
    like(tags($hook->received), qr/^fatal 133010 /, "a phone '$id': told");
    $hook->is_open($phone, "a phone '$id' is unknown");
}


# -- a history's errors -------------------------------------------------------

for my $field (qw(history messages)) {
    my ($account, $phone, $sister) = known_account();
    my $change = messages(phone => $phone, history => [
        { errors => [failure(131047)] },
        { errors => [failure(100), failure(131042), failure(133010)] }]);

    comes("a $field", payload(entry($account, time => int time,
        { %$change, field => $field })));
    is(tags($hook->received), 'fatal 131042 billing 4',
        "errors of a history in $field are told");
    $hook->is_open($_, "errors of a history in $field set nothing, $_")
        for $phone, $sister;
}


# -- what is kept -------------------------------------------------------------

{
    my ($account, $phone, $sister) = known_account();

    $hook->nginx->stop;
    unlike(slurp("$states/z"), qr/1555\d{7}/, 'no number is in the file');
    $hook->nginx->run;

    comes('after a restart', update($account, int time, 'ACCOUNT_OFFBOARDED',
        phone_number => number_of($phone)));
    $hook->is_blocked($phone, 'phone-disconnected',
        'a number is known after a restart');
    $hook->is_open($sister, 'after a restart: the other phone');
}


$hook->is_discreet('16505551234', map { number_of($_) } 10_001 .. $phones);

done_testing();
