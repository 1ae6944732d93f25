#!/usr/bin/perl

# Payloads that say as much as their bytes can say: all of it is learnt, and
# the memory for it is bounded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use List::Util qw(sum);
use Test::More;
use Time::HiRes qw(time);

use GraphPolicy qw(slurp spew);
use GraphPolicy::Webhook qw(payload entry messages status message tags);

my $hook = GraphPolicy::Webhook->start(
    workers => 1,
    secrets => ['s3cretOfAllAccounts'],
    http    => <<'END');
graph_policy_zone zone=z:64m;

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
    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /api {
        graph_policy_api;
    }
}
END
my $nginx = $hook->nginx;

# what Meta sends at most ("Webhooks from Meta")
my $most = 3 * 1024 * 1024;

my $at = int(time) - 5;

sub to { return (body => message($_[0])) }

# A payload of one change, whose list of that name has what the sub gives for
# 0, 1, 2 ... until the payload is so long; returns it and how many there are.
sub dense {
    my ($phone, $list, $length, $each) = @_;

    my $text = '{"object":"whatsapp_business_account","entry":[{"id":"2001",'
        . '"time":' . $at . ',"changes":[{"value":{"metadata":'
        . '{"phone_number_id":"' . $phone . '"},"' . $list . '":[';
    my $n = 0;

    while (length $text < $length) {
        $text .= ($n ? ',' : '') . $each->($n);
        $n++;
    }

    return ($text . ']},"field":"messages"}]}]}', $n);
}

# the sum of a metric's values with that label
sub metric {
    my ($name, $label) = @_;

    my $text = $nginx->request(method => 'GET', path => '/api/metrics')->{body};
    return sum(0, $text =~ /^graph_policy_$name\{[^}]*$label[^}]*\} (\d+)/mg);
}

# the most memory that a worker has had since the last call, in bytes
sub peak {
    my ($kb) = slurp("/proc/$_[0]/status") =~ /^VmHWM:\s+(\d+)/m;

    spew("/proc/$_[0]/clear_refs", '5');
    return $kb * 1024;
}

sub resident {
    my ($kb) = slurp("/proc/$_[0]/status") =~ /^VmRSS:\s+(\d+)/m;
    return $kb * 1024;
}


# -- ten thousand short failures ----------------------------------------------

{
    my $n = 10_000;
    my $body = payload(entry('2001', time => $at, messages(phone => '1001',
        statuses => [map { { recipient_id => 15_550_000_000 + $_,
            errors => [{ code => 131047 }] } } 0 .. $n - 1])));

    $hook->is_received($body, 'short failures');
    is(tags($hook->received), "context-limited 131047 window-expired $n",
        'short failures: all are told');
    is(metric('states', 'scope="conversation"'), $n,
        'short failures: all are learnt');
    $hook->is_blocked('1001', 'window-expired', "short failures: number $_",
        to(15_550_000_000 + $_)) for 0, 1, 4999, 9998, 9999;
    $hook->is_open('1001', 'short failures: nobody else', to('15550010000'));
}


# -- three megabytes ----------------------------------------------------------

my ($worker) = $nginx->workers;

for my $case (
    ['failures', 'statuses', '1010', sub { '{"errors":[{"code":131042}]}' },
        'fatal 131042 billing'],
    ['messages of numbers', 'messages', '1011', sub { '{"from":1}' }],
    ['empty messages', 'messages', '1012', sub { '{}' }],
    ['empty errors', 'errors', '1013', sub { '{}' }, 'unclassified - -'],
    ['errors that differ', 'errors', '1014',
        sub { $_[0] % 2 ? '{"code":131042}' : '{}' },
        'fatal 131042 billing'],
    ['contacts', 'contacts', '1015', sub { '{"wa_id":1}' }])
{
    my ($name, $list, $phone, $each, $expected) = @$case;

    my ($body, $n) = dense($phone, $list, $most, $each);

    # ten times its length, the body itself, and what nginx takes for a request
    my $bound  = 11 * length($body) + 1024 * 1024;
    my $before = resident($worker);

    peak($worker);

    my $start = time;
    $hook->is_received($body, "3 MB of $name", timeout => 60);
    note sprintf '%d of %s in %.2f s, %.1f MB more', $n, $name, time - $start,
        (my $taken = peak($worker) - $before) / 1e6;

    is(tags($hook->received), defined $expected ? "$expected $n" : '- - - -',
        "3 MB of $name: all are told");

    SKIP: {
        skip 'a sanitizer has memory of its own', 1
            if ($ENV{KIND} // 'module') ne 'module';
        cmp_ok($taken, '<', $bound, "3 MB of $name: memory is bounded");
    }

    $hook->is_blocked($phone, 'billing 131042', "3 MB of $name")
        if ($expected // '') =~ /^fatal/;
    $hook->is_open('1099', "3 MB of $name: another phone's send");
}

# empty changes and entries, and at their end one that says something
for my $case (['changes', '1021', '{"entry":[{"id":"2021","changes":[', '{}',
        ']}]}'],
    ['entries', '1022', '{"entry":[', '{}', ']}'],
    ['entries with a change', '1023', '{"entry":[', '{"changes":[{}]}', ']}'])
{
    my ($name, $phone, $start, $each, $end) = @$case;

    my $change = '{"field":"messages","value":{"metadata":{"phone_number_id":'
        . qq("$phone"},"statuses":[{"timestamp":"$at","errors":)
        . '[{"code":133010}]}]}}';
    my $last = $name eq 'changes' ? $change
        : qq({"id":"20$phone","changes":[$change]});

    my $count = int(($most - length("$start$last$end")) / length ",$each");
    my $body = $start . "$each," x $count . $last . $end;

    $hook->is_received($body, "3 MB of empty $name", timeout => 60);
    is(tags($hook->received), 'fatal 133010 phone-disconnected 1',
        "3 MB of empty $name: the last one is told");
    $hook->is_blocked($phone, 'phone-disconnected',
        "3 MB of empty $name: the last one is learnt");
}

is(metric('webhook_events_total', 'kind="unread"'), 0, 'none was unread');
is(metric('webhook_events_total', 'kind="too-large"'), 0,
    'and none was too large');

$hook->is_discreet;

done_testing();
