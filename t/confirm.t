# vi:set ft= ts=4 sw=4 et:

# States that webhooks set: Meta accepts a message first and tells of its failure
# later, so a status of the probe's own message confirms that they are over.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slow wait_until);
use GraphPolicy::Webhook qw(payload entry messages status short);

my $hold    = 0.3 * slow();
my $confirm = 1.5 * slow();
my ($hold_ms, $confirm_ms) = map { int(1000 * $_) . 'ms' } $hold, $confirm;

my $http = <<"END";
graph_policy_zone zone=z:2m;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy zone=z;
    graph_policy_hold $hold_ms confirm=$confirm_ms max=$hold_ms;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /dry/ {
        graph_policy_dry_run on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /api {
        graph_policy_api write=on;
    }
}
END

my $hook = GraphPolicy::Webhook->start(secrets => ['s3cretfake'],
    http => $http);

my ($account, $phone, $ids) = (9000, 1000, 0);

# name, the status of the probe's message, whether the state has ended then
for (
    ['sent',      { status => 'sent' }, 1],
    ['delivered', { status => 'delivered' }, 1],
    ['read',      { status => 'read' }, 1],
    ['failed for the same reason', failed(131042), 0],
    ['failed for another one', failed(131026), 0],
    ['failed for none', { status => 'failed' }, 0],
) {
    my ($name, $status, $ends) = @$_;
    my $id = set_by_webhook();

    is(short(probe($id)), '200 probe 1', "$name: the probe is accepted");
    is(short($hook->send($phone)), '400 blocked 0', 'others go on waiting');

    tells({ status => 'delivered', id => 'wamid.OTHER' });
    is(short($hook->send($phone)), '400 blocked 0',
        'a status of another message is none of this one');

    tells({ %$status, id => $id });
    is(short($hook->send($phone)), $ends ? '200 - 1' : '400 blocked 0',
        $ends ? 'then it is over' : 'then it isn\'t over');

    next if $ends;

    sleep 1.1 * $hold + 0.05;
    is(short($hook->send($phone)), '200 probe 1',
        'and is probed again after its hold');
}

{
    my $id = set_by_webhook();

    probe($id);
    my $begun = time;
    my $answer;

    wait_until(sub {
        $answer = $hook->send($phone);
        return ($answer->{headers}{'x-graph-policy'} // '') ne 'blocked';
    });

    cmp_ok(time - $begun, '>=', $confirm - 0.2, 'no status: they wait for it');
    is($answer->{headers}{'x-graph-policy'}, undef, 'and then it is over');
}

# whoever looks finds it over in time, though nobody sends; also where workers
# have come that haven't sent the probe

for my $reload (0, 1) {
    my $id = set_by_webhook();

    probe($id);
    $hook->nginx->reload if $reload;
    my $after = $reload ? ', after a reload too' : '';

    like(listed(), qr/"$account"/, "the state is listed$after");
    wait_until(sub { listed() !~ /"$account"/ });
    unlike(listed(), qr/"$account"/, "until the wait is over$after");
    is(scalar(grep { /state cleared.*"$account"/ } split /\n/,
        $hook->nginx->log), 1, "and the log says so, once$after");
}

{
    my $id = set_by_webhook(1);

    $hook->send($phone, in => 'dry', script => accepted($id));
    like(listed(), qr/"$account"/, 'dry run: the state is listed');
    wait_until(sub { listed() !~ /"$account"/ });
    unlike(listed(), qr/"$account"/, 'until the wait is over');
}

{
    my $id = set_by_webhook();

    is(short($hook->send($phone, in => 'dry', script => accepted($id))),
        '200 probe 1', 'dry run: the probe is accepted');
    is(short($hook->send($phone)), '400 blocked 0', 'it isn\'t over yet');
    tells({ status => 'delivered', id => $id });
    is(short($hook->send($phone)), '200 - 1', 'but when that is confirmed');
}

{
    my $id = set_by_webhook(1);

    is(short($hook->send($phone, in => 'dry', script => accepted($id))),
        '200 - 1', 'dry run: a message is accepted during the hold');
    tells({ status => 'delivered', id => $id });
    is(short($hook->send($phone)), '200 - 1', 'its status ends the state');
}

{
    new_phone();
    $hook->send($phone, script => '400 131042');
    sleep 1.1 * $hold + 0.05;

    is(short(probe('wamid.ANSWER')), '200 probe 1', 'a state that an answer set');
    is(short($hook->send($phone)), '200 - 1', 'ends by acceptance alone');
}

{
    new_phone();
    my $answer = $hook->nginx->request(path => '/api/zones/z/states',
        headers => ['Content-Type' => 'application/json'],
        body => '{"scope":"phone","key":"' . $phone . '","hold":"' . $hold_ms
            . '","reason":"phone-disconnected"}');

    is($answer->{status}, 201, 'a state that is set by hand');
    sleep 1.1 * $hold + 0.05;
    is(short(probe('wamid.API')), '200 probe 1', 'is probed');
    is(short($hook->send($phone)), '200 - 1', 'and ends by acceptance alone');
}

{
    my $id = set_by_webhook();

    probe($id);
    tells({ status => 'delivered', id => $id });
    my $seen = join '', $hook->nginx->log,
        $hook->nginx->request(method => 'GET',
            path => '/api/zones/z/states')->{body};

    unlike($seen, qr/wamid/, 'no id of a message is logged or shown');
}

done_testing();


# -- helpers -----------------------------------------------------------------

sub new_phone { $account++; return ++$phone }

sub listed {
    return $hook->nginx->request(method => 'GET',
        path => '/api/zones/z/states')->{body};
}

sub failed {
    my ($code) = @_;
    return { status => 'failed', errors => status($code)->{errors} };
}

# the phone has a state that a webhook has set, and that is due; an id for the
# message that probes it
sub set_by_webhook {
    my ($in_force) = @_;

    new_phone();
    tells(status(131042));
    is(short($hook->send($phone)), '400 blocked 0', 'a webhook sets a state');
    sleep 1.1 * $hold + 0.05 if !$in_force;

    return sprintf 'wamid.PROBE%d==', ++$ids;
}

sub tells {
    my ($status) = @_;

    my %status = (%{ status(undef) }, %$status);
    $hook->deliver(payload(entry($account,
        messages(phone => $phone, statuses => [\%status]), time => int time)));
}

sub accepted {
    my ($id) = @_;

    my $body = '{"messages":[{"id":"' . $id . '"}]}';
    $body =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ge;
    return "200 body=$body";
}

sub probe {
    my ($id) = @_;
    return $hook->send($phone, script => accepted($id));
}
