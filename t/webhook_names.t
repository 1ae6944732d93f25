# vi:set ft= ts=4 sw=4 et:

# Who wrote, and who couldn't be reached: by each of the names that Meta has for
# a person, by groups, and by calls.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use GraphPolicy::Webhook qw(payload entry messages status inbound contact
    failure message short tags);

my $hook = GraphPolicy::Webhook->start(
    secrets  => ['s3cretOfAllAccounts'],
    secrets2 => ['s3cretOfOneAccount 2004', 's3cretOfAnother 2005'],
    http     => <<'END');
graph_policy_zone zone=z:2m;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy zone=z;

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

my ($account, $phone) = ('2001', '1001');
my $people = 0;

# names that nobody has yet: a number, a user id, its parent form
sub person {
    my $n = ++$people;

    return (sprintf('1555100%04d', $n), "US.100000$n", "US.ENT.200000$n");
}

sub comes {
    my ($name, @changes) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %of = ref $changes[-1] eq 'HASH' && $changes[-1]{path}
        ? %{ pop @changes } : ();

    $hook->is_received(payload(entry($account, @changes)), $name, %of);
}

# a status of the recipient with these names; more is added to the change
sub failed {
    my ($name, $names, %more) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $status = status($more{code} // 131047,
        at => $more{at} // int(time) - 5);

    delete $status->{recipient_id};
    comes($name, messages(phone => $phone,
        statuses => [{ %$status, %$names }],
        $more{contacts} ? (contacts => $more{contacts}) : ()));
}

# a message with these names of who wrote
sub wrote {
    my ($name, $names, %more) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $message = inbound(at => $more{at});

    $message->{timestamp} = '' . ($more{at} // int time);
    delete $message->{from};
    comes($name, messages(phone => $phone,
        messages => [{ %$message, %$names }],
        $more{contacts} ? (contacts => $more{contacts}) : ()));
}

# a user id is the recipient "recipient", all else is "to"
sub to {
    my ($whom) = @_;

    return (body => message($whom)) if $whom !~ /^[A-Z]{2}\./;
    return (body => qq[{"messaging_product":"whatsapp","recipient":"$whom",]
        . '"type":"text","text":{"body":"hi"}}');
}

sub is_closed {
    my ($whom, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $hook->is_blocked($phone, 'window-expired 131047', $name, to($whom));
}

sub is_free {
    my ($whom, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $hook->is_open($phone, $name, to($whom));
}


# -- a status closes by each name, and a message opens by each

for my $spelling (qw(recipient_parent_user_id parent_recipient_user_id
    parent_user_id))
{
    my ($number, $user, $parent) = person();

    failed("a status with $spelling", { recipient_id => $number,
        recipient_user_id => $user, $spelling => $parent });
    is_closed($_, "a status with $spelling closes $_")
        for $number, $user, $parent;

    wrote("then a message", { from => $number, from_user_id => $user,
        from_parent_user_id => $parent });
    is_free($_, "a message opens $_") for $number, $user, $parent;
}

# one name is enough to be heard by, if a contact has the others
for my $by (0 .. 2) {
    my @names    = person();
    my $contact  = { wa_id => $names[0], user_id => $names[1],
        parent_user_id => $names[2] };
    my @from     = qw(from from_user_id from_parent_user_id);
    my @to       = qw(recipient_id recipient_user_id parent_recipient_user_id);
    my ($stranger) = person();

    failed("$to[$by] and a contact", { $to[$by] => $names[$by] },
        contacts => [{ wa_id => $stranger }, $contact]);
    is_closed($_, "$to[$by] and a contact close $_") for @names;
    is_free($stranger, "$to[$by] closes no other contact");

    wrote("$from[$by] and a contact", { $from[$by] => $names[$by] },
        contacts => [$contact]);
    is_free($_, "$from[$by] and a contact open $_") for @names;
}

# somebody else's message opens nothing
{
    my ($number, $user, $parent) = person();
    my @other = person();

    failed('closed', { recipient_id => $number, recipient_user_id => $user,
        parent_user_id => $parent });
    wrote('another one writes', { from => $other[0],
        from_user_id => $other[1], from_parent_user_id => $other[2] });
    is_closed($_, "another one's message doesn't open $_")
        for $number, $user, $parent;
}

# ids as long as Meta's may be, and longer
for my $length (131, 135, 160) {
    my $id = 'US.ENT.' . 'A' x ($length - 7);

    failed("an id of $length", { recipient_user_id => $id });
    is_closed($id, "an id of $length bytes closes");
    wrote("an id of $length", { from_user_id => $id });
    is_free($id, "an id of $length bytes opens");
}

{
    my $id = 'US.ENT.' . 'A' x 154;

    failed('an id of 161', { recipient_user_id => $id });
    is_free($id, 'an id of 161 bytes is none');
}

# ties and ages are as with any name
{
    my (undef, undef, $parent) = person();
    my $now = int time;

    wrote('a tie', { from_parent_user_id => $parent }, at => $now - 3);
    failed('a tie', { parent_user_id => $parent }, at => $now - 3);
    is_free($parent, 'an inbound message wins a tie, by its parent id too');
    failed('newer', { parent_user_id => $parent }, at => $now - 2);
    is_closed($parent, 'what is newer closes');
    wrote('older', { from_parent_user_id => $parent }, at => $now - 4);
    is_closed($parent, 'what is older opens nothing');
    failed('old', { parent_user_id => "${parent}9" }, at => $now - 660);
    is_free("${parent}9", 'eleven minutes are too old');
}


# -- groups

{
    my ($member, $user, $parent) = person();
    my $group   = 'Z3JvdXAtZmFrZS1pZA';
    my $now     = int time;
    my %from    = (from => $member, from_user_id => $user,
        from_parent_user_id => $parent);
    my @contact = ({ wa_id => $member, user_id => $user,
        parent_user_id => $parent });

    failed('a group', { recipient_id => $group, recipient_type => 'group' });
    failed('its member', { recipient_id => $member,
        recipient_user_id => $user, parent_user_id => $parent });
    is_closed($_, "closed: $_") for $group, $member, $user, $parent;

    # between the business and the member nothing was said
    wrote('a message to the group', { %from, group_id => $group },
        contacts => \@contact, at => $now - 4);
    is_free($group, 'a message to a group opens the group');
    is_closed($_, "a message to a group doesn't open $_ of its member")
        for $member, $user, $parent;

    # a member's own messages open no group
    failed('the group again', { recipient_id => $group }, at => $now - 3);
    wrote('a message of the member', \%from, contacts => \@contact);
    is_closed($group, "a member's message doesn't open the group");
    is_free($_, "a member's message opens $_") for $member, $user, $parent;
}

# both in one change: a contact opens only if it is the one who wrote
{
    my ($in_group)    = person();
    my ($writer, $id) = person();
    my $group = 'g1234567890abcdef';

    failed($_, { recipient_id => $_ }) for $group, $in_group, $writer, $id;

    comes('a group and a person', messages(phone => $phone,
        contacts => [{ wa_id => $in_group },
            { wa_id => $writer, user_id => $id }],
        messages => [{ %{ inbound(from => $in_group) }, group_id => $group },
            inbound(from => $writer)]));

    is_free($_, "a group and a person: $_ is open") for $group, $writer, $id;
    is_closed($in_group, 'a group and a person: who wrote to the group only');
}

# what befell one member is no matter of the group's
for my $spelling (qw(recipient_participant_id recipient_participant_user_id)) {
    my ($member) = person();
    my $group = 'g00' . $member;

    failed("a status with $spelling", { recipient_id => $group,
        recipient_type => 'group', $spelling => $member });
    is_free($group, "a status with $spelling closes no group");
    is_free($member, "a status with $spelling closes no member");
}

# what the account gets it gets by any of them
{
    comes('billing', messages(phone => '1002', statuses => [{
        %{ status(131042) }, recipient_id => 'g00',
        recipient_participant_id => '1' }]));
    $hook->is_blocked('1002', 'billing 131042',
        "a fatal error of one member is the account's", to('15559990000'));

    $hook->is_received(payload(entry('2009', messages(phone => '1002',
        messages => [inbound()]))), 'to another account');
}

# so that what follows meets none of it
($account, $phone) = ('2003', '1003');


# -- calls

sub called {
    my ($name, $call, @more) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $change = messages(phone => $phone, calls => [{ id => 'wacid.FAKE',
        event => 'connect', timestamp => '' . int time, %$call }], @more);

    comes($name, { %$change, field => 'calls' });
}

for my $event (qw(connect terminate)) {
    my ($number, $user, $parent) = person();

    failed('before a call', { recipient_id => $number,
        recipient_user_id => $user, parent_user_id => $parent });
    is_closed($number, "$event: before");

    called("$event by the business", { event => $event, from => '15550002222',
        to => $number, direction => 'BUSINESS_INITIATED' },
        contacts => [{ wa_id => $number }]);
    called("$event by nobody", { event => $event, from => $number });
    is_closed($number, "$event: a call by the business opens nothing");

    called("$event by the customer", { event => $event, from => $number,
        to => '15550002222', direction => 'USER_INITIATED' },
        contacts => [{ wa_id => $number, user_id => $user,
            parent_user_id => $parent }]);
    is_free($_, "$event: a call by the customer opens $_")
        for $number, $user, $parent;
}

# among messages a call is no call, and a message among calls is none
{
    my ($number) = person();

    failed('a field', { recipient_id => $number });
    comes('calls among messages', messages(phone => $phone,
        calls => [{ from => $number, direction => 'USER_INITIATED',
            timestamp => '' . int time }]));
    comes('messages among calls', { %{ messages(phone => $phone,
        messages => [inbound(from => $number)]) }, field => 'calls' });
    is_closed($number, 'what stands in another field opens nothing');
}

# a secret of one account doesn't speak for another's phone
{
    my ($number) = person();
    my %call = (from => $number, direction => 'USER_INITIATED');
    my %one  = (path => '/bound', secret => 's3cretOfOneAccount');
    my %two  = (path => '/bound', secret => 's3cretOfAnother');

    ($account, $phone) = ('2004', '1051');
    comes('the owner', messages(phone => $phone, messages => [inbound()],
        statuses => [status(131047, to => $number, at => int(time) - 5)]),
        { %one });
    is_closed($number, 'the owner');

    ($account) = ('2005');
    comes("another customer's call", { %{ messages(phone => $phone,
        calls => [{ %call, timestamp => '' . int time }]) },
        field => 'calls' }, { %two });
    is_closed($number, "another customer's call opens nothing");

    ($account) = ('2004');
    comes("the owner's call", { %{ messages(phone => $phone,
        calls => [{ %call, timestamp => '' . int time }]) },
        field => 'calls' }, { %one });
    is_free($number, "the owner's call opens");
}

($account, $phone) = ('2003', '1003');


# -- what the business says itself

{
    my ($number) = person();

    failed('before an echo', { recipient_id => $number });

    for my $field (qw(smb_message_echoes message_echoes history)) {
        comes("$field", { %{ messages(phone => $phone,
            message_echoes => [{ from => '15550002222', to => $number,
                timestamp => '' . int time }],
            messages => [inbound(from => $number)],
            contacts => [contact($number)]) }, field => $field });
        is_closed($number, "$field opens nothing");
    }
}


# -- many

# contacts beyond those that are compared: who wrote is open, nobody is closed
{
    my @others = map { (person())[0] } 1 .. 20;
    my ($number, $user) = person();
    my @contacts = ((map { { wa_id => $_ } } @others),
        { wa_id => $number, user_id => $user });

    failed('many contacts', { recipient_id => $number },
        contacts => \@contacts);
    is_closed($number, 'many contacts: the recipient');
    is_free($_, "many contacts: $_ is no recipient") for $others[0], $user;

    failed('many contacts', { recipient_user_id => $user });
    wrote('many contacts', { from => $number }, contacts => \@contacts);
    is_free($_, "many contacts: $_ is open") for $number, $user;
}


$hook->is_discreet('15551000001', 'US\.1000001', 'US\.ENT\.2000001');

done_testing();
