# vi:set ft= ts=4 sw=4 et:

# Each event is counted once: after every step all counters of the zone are
# compared with what they were before it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep);

use GraphPolicy qw(slow wait_until push_request finish_requests
    abort_request advance);
use GraphPolicy::Webhook qw(payload entry messages status inbound
    account_update next_second);

my $brief = 150 * slow();
my $long  = 2 * slow();

my $hook = GraphPolicy::Webhook->start(
    secrets => ['s3cretOfTheApp', 's3cretOfOneAccount 5001'],
    http    => <<"END");
graph_policy_zone zone=main:1m;
graph_policy_zone "zone=a\\"b\\\\c:1m";
graph_policy_zone "zone=bytes \xc3\xa9 \xe9 \xed\xa0\x80 \xf4\x90\x80\x80:1m";
graph_policy_zone "zone=two
lines:1m";
graph_policy_zone zone=tiny:32k;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy      zone=main;
    graph_policy_hold 5m;
    graph_policy_rule 132001 ignore;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /small/ {
        graph_policy_buffer_size 1k;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /brief/ {
        graph_policy_hold ${brief}ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /dry/ {
        graph_policy_dry_run on;
        graph_policy_retry attempts=2 base=1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /gone/ {
        graph_policy_dry_run on;
        proxy_pass http://127.0.0.1:%PORT2%;
    }
    location /all/ {
        graph_policy_pause all;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /alldry/ {
        graph_policy_pause all;
        graph_policy_dry_run on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /again/ {
        graph_policy_hold ${brief}ms;
        graph_policy_rule 132001 ignore;
        graph_policy_rule 131057 temporary wait=1ms;
        graph_policy_retry attempts=3 base=1ms budget_min=1000 deadline=10m;
        proxy_read_timeout ${brief}ms;
        proxy_next_upstream off;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /none/ {
        graph_policy_retry attempts=3 base=1ms budget=0% budget_min=0;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /late/ {
        graph_policy_retry attempts=3 base=5s deadline=1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /open/ {
        graph_policy_retry attempts=3 base=1ms unknown=0;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /wait/ {
        graph_policy_retry attempts=2 base=30s max=30s deadline=1m
            budget_min=1000;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /cool/ {
        graph_policy_cooldown on;
        graph_policy_rule 130429 temporary wait=${brief}ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /cooldry/ {
        graph_policy_cooldown on;
        graph_policy_rule 130429 temporary wait=10m dry_run=on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /gate/ {
        graph_policy_conversation on hold=1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /from/ {
        error_page 400 404 = /to/;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /jump/ {
        rewrite ^/jump(/.*) /small\$1 last;
    }

    location /tiny/ {
        graph_policy              zone=tiny;
        graph_policy_conversation on hold=${long}s;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /webhook {
        graph_policy_hold                ${brief}ms;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        graph_policy_webhook_pause       on;
        error_page 403                   /webhook/refused;
        proxy_pass                       http://127.0.0.1:APP;
    }

    location /tiny/webhook {
        graph_policy                     zone=tiny;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }

    location /graph/ {
        graph_policy_api;
    }
}
END
my $nginx = $hook->nginx;
my $graph = $hook->graph;

my ($phones, $tokens) = (1060540000, 0);

sub new_phone { return ++$phones }
sub new_token { return 'token' . ++$tokens }

sub sent {
    my ($phone, $script, %of) = @_;
    return $hook->send($phone, script => $script, token => new_token(), %of);
}

sub short {
    my ($answer) = @_;
    return join ' ', $answer->{status} || $answer->{error},
        $answer->{headers}{'x-graph-policy'} // '-';
}

sub metrics {
    my $answer = $nginx->request(method => 'GET', path => '/graph/metrics');

    die "no metrics: $answer->{text}" if $answer->{status} != 200;
    return $answer->{body};
}

# the counters of the zone that aren't 0, as {'errors billing' => 1, ...}
sub counters {
    my %counters;

    for (split /\n/, metrics()) {
        my ($name, $labels, $value)
            = /^graph_policy_(\w+)_total\{zone="main"(.*)\} (\d+)$/ or next;
        my $key = join ' ', $name, $labels =~ /"([^"]*)"/g;
        $counters{$key} = $value if $value;
    }

    return \%counters;
}

sub gauge {
    my ($text) = @_;
    my ($value) = metrics() =~ /^graph_policy_\Q$text\E (\S+)$/m;
    return $value;
}

sub changes {
    my ($before, $now) = @_;

    return { map { $_ => $now->{$_} - ($before->{$_} // 0) }
        grep { $now->{$_} != ($before->{$_} // 0) } keys %$now };
}

# what the step counts, all of it and nothing else
sub counts {
    my ($name, $step, %expected) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $before = counters();
    $step->();
    is_deeply(changes($before, counters()), \%expected, $name);
}

# a phone with a fatal state whose hold is over
sub due {
    my ($phone) = @_;

    sent($phone, '400 131042', in => 'brief');
    after_hold();
    return $phone;
}

# a hold is longer by a tenth at most
sub after_hold { sleep 1.1 * $brief / 1000 + 0.05 }


# -- answers ------------------------------------------------------------------

counts('accepted sends are not counted', sub {
    is(short(sent(new_phone(), '200')), '200 -', 'accepted');
    is(short(sent(new_phone(), '302')), '302 -', 'or moved');
});

my $down = new_phone();

counts('an error', sub {
    is(short(sent($down, '400 131042')), '400 passed', 'an error');
}, 'responses fatal' => 1, 'errors billing' => 1);

counts('an error of a GET', sub {
    sent(new_phone(), '401 190', method => 'GET', body => '');
}, 'responses fatal' => 1, 'errors token-invalid' => 1);

counts('a code that nobody knows has no reason', sub {
    sent(new_phone(), '400 999999');
}, 'responses unclassified' => 1);

counts('no Graph error at all', sub {
    sent(new_phone(), '500');
}, 'responses unclassified' => 1);

counts('in pieces, in chunks, compressed', sub {
    sent(new_phone(), "400 132000 $_") for 'split', 'chunked split', 'gzip',
        'eof';
}, 'responses request' => 4, 'errors other' => 4);

counts('larger than the buffer, with and without a length', sub {
    is(short(sent(new_phone(), "400 131042 pad=2000 $_", in => 'small')),
        '400 passed', "too large, $_") for 'trace=T', 'chunked',
        'chunked split';
}, 'responses unclassified' => 3);

counts('torn', sub {
    sent(new_phone(), '400 131042 fin=20');
}, 'responses unclassified' => 1);

counts('a rule that ignores', sub {
    is(short(sent(new_phone(), '400 132001')), '400 -', 'untouched');
});

counts('after an internal redirect, and with an error_page', sub {
    is(short(sent(new_phone(), '400 131042 pad=2000', in => 'jump')),
        '400 passed', 'redirected');
    is(short(sent(new_phone(), '400 132000', in => 'from')), '400 passed',
        'not replaced');
}, 'responses unclassified' => 1, 'responses request' => 1,
    'errors other' => 1);


# -- blocked ------------------------------------------------------------------

counts('blocked', sub {
    is(short(sent($down, '200')), '400 blocked', 'blocked') for 1 .. 3;
}, 'blocked billing' => 3);

counts('blocked reading', sub {
    is(short(sent($down, '200', method => 'GET', body => '', in => 'all')),
        '400 blocked', 'blocked');
}, 'blocked billing' => 1);

counts('blocked after an internal redirect', sub {
    is(short(sent($down, '200', in => 'jump')), '400 blocked', 'blocked');
}, 'blocked billing' => 1);

my $gone = new_phone();

counts('the reason is the one that is shown', sub {
    my $token = new_token();
    sent($_, '400 33', token => $token) for $gone, new_phone();
    sent($gone, '200', token => $token);
}, 'responses fatal' => 2, 'errors phone-disconnected' => 2,
    'blocked phones-disconnected' => 1);

counts('a conversation', sub {
    my $phone = new_phone();
    sent($phone, '400 131047', in => 'gate');
    sent($phone, '200', in => 'gate') for 1 .. 2;
}, 'responses context-limited' => 1, 'errors window-expired' => 1,
    'blocked window-expired' => 2);


# -- dry run ------------------------------------------------------------------

for my $case (['200', 'accepted'], ['500', 'refused', 'unclassified'],
    ['400 132000', 'refused', 'request', 'other'],
    ['400 132001', 'refused'])
{
    my ($script, $result, $category, $reason) = @$case;
    my $phone = new_phone();
    sent($phone, '400 131042');

    counts("dry run, $script", sub { sent($phone, $script, in => 'dry') },
        "dry_run_blocks billing $result" => 1,
        $category ? ("responses $category" => 1) : (),
        $reason ? ("errors $reason" => 1) : ());
}

{
    my $phone = new_phone();
    sent($phone, '400 131042');

    counts('dry run: nobody answers', sub {
        is(short(sent($phone, '200', in => 'gone')), '502 -', 'bad gateway');
    });

    # what it would do again it doesn't
    counts('dry run: a temporary error', sub {
        is(short(sent($phone, '503 131016', in => 'dry')), '503 dry-run',
            'would be blocked');
    }, 'dry_run_blocks billing refused' => 1, 'responses temporary' => 1,
        'errors service-unavailable' => 1);

    counts('dry run: a message', sub {
        sent($phone, '200', in => 'alldry');
    }, 'dry_run_blocks billing accepted' => 1);

    sent($phone, '400 131042');

    counts('dry run: reading is no message', sub {
        sent($phone, '200', method => 'GET', body => '', in => 'alldry');
    });

    counts('dry run: it would be sent again', sub {
        is(short(sent(new_phone(), '503 131016', in => 'dry')),
            '503 dry-run', 'would be sent again');
    }, 'responses temporary' => 1, 'errors service-unavailable' => 1);
}

{
    my $phone = new_phone();

    counts('a rule in dry run', sub {
        sent($phone, '429 130429', in => 'cooldry');
        is(short(sent($phone, '400 132000', in => 'cooldry')), '400 dry-run',
            'would be blocked');
    }, 'responses temporary' => 1, 'errors rate-limit' => 1,
        'responses request' => 1, 'errors other' => 1,
        'dry_run_blocks rate-limit refused' => 1);
}


# -- probes -------------------------------------------------------------------

counts('a probe that is accepted', sub {
    is(short(sent(due(new_phone()), '200', in => 'brief')), '200 probe',
        'a probe');
}, 'responses fatal' => 1, 'errors billing' => 1, 'probes cleared' => 1);

counts('a probe that is refused likewise', sub {
    is(short(sent(due(new_phone()), '400 131042', in => 'brief')),
        '400 probe', 'a probe');
}, 'responses fatal' => 2, 'errors billing' => 2, 'probes rearmed' => 1);

counts('a probe that tells nothing', sub {
    is(short(sent(due(new_phone()), $_, in => 'brief')), '500 probe',
        'a probe') for '500', '500 pad=100000';
}, 'responses fatal' => 2, 'errors billing' => 2,
    'responses unclassified' => 2, 'probes inconclusive' => 2);

counts('a probe whose answer is ignored', sub {
    is(short(sent(due(new_phone()), '400 132001', in => 'brief')), '400 -',
        'untouched');
}, 'responses fatal' => 1, 'errors billing' => 1, 'probes inconclusive' => 1);

counts('a probe of two states', sub {
    my $phone = new_phone();
    sent($phone, '400 131042', in => 'brief');
    $hook->deliver(payload(entry(5009, messages(phone => $phone,
        statuses => [status(133010)]))));
    after_hold();
    is(short(sent($phone, '200', in => 'brief')), '200 probe', 'a probe');
    $hook->deliver(payload(entry(5009, messages(phone => $phone,
        statuses => [{ %{ status(undef) }, id => 'wamid.FAKE' }]))));
}, 'responses fatal' => 1, 'errors billing' => 1,
    'webhook_events verified' => 2, 'probes cleared' => 2);

{
    my $phone = due(new_phone());
    my $call;

    counts('a probe that isn\'t over', sub {
        my $seen = $graph->count;
        $call = $nginx->start_request($hook->sending($phone, in => 'brief',
            script => '200 wait=probe'));
        push_request($call);
        ok(wait_until(sub { $graph->count > $seen }), 'a probe is sent');
    });

    my $before = counters();
    abort_request($call);
    wait_until(sub { keys %{ changes($before, counters()) } });
    is_deeply(changes($before, counters()), { 'probes inconclusive' => 1 },
        'its client leaves');
    $graph->release('probe');
}

counts('a probe of a cool-down', sub {
    my $phone = new_phone();
    sent($phone, '429 130429', in => 'cool');
    after_hold();
    is(short(sent($phone, '429 130429', in => 'cool')), '429 probe',
        'refused again');
    after_hold();
    is(short(sent($phone, '200', in => 'cool')), '200 probe', 'accepted');
}, 'responses temporary' => 2, 'errors rate-limit' => 2,
    'probes rearmed' => 1, 'probes cleared' => 1);

counts('a probe that is sent again', sub {
    my $phone = new_phone();
    sent($phone, '400 131042', in => 'again');
    after_hold();
    is(short(sent($phone, '503 131016 | 200', in => 'again')), '200 probe',
        'a probe');
}, 'responses fatal' => 1, 'errors billing' => 1, 'responses temporary' => 1,
    'errors service-unavailable' => 1, 'probes cleared' => 1,
    'retries service-unavailable accepted' => 1);

{
    my $phone = new_phone();
    my $call;

    $hook->deliver(payload(entry(5010, messages(phone => $phone,
        messages => [inbound()]))));
    sent($phone, '400 133010', in => 'brief');
    after_hold();

    counts('a probe whose state is over before it is', sub {
        my $seen = $graph->count;
        $call = $nginx->start_request($hook->sending($phone, in => 'brief',
            script => '200 wait=cured'));
        push_request($call);
        ok(wait_until(sub { $graph->count > $seen }), 'a probe is sent');
        $hook->deliver(payload(entry(5010, time => next_second(),
            account_update('ACCOUNT_RECONNECTED'))));
        $graph->release('cured');
        finish_requests($call);
    }, 'webhook_events verified' => 1, 'probes inconclusive' => 1);
}


# -- sent again ---------------------------------------------------------------

counts('each answer, and each retry by the reason for it', sub {
    is(short(sent(new_phone(), '503 131016 | 503 131057 | 200',
        in => 'again')), '200 retried', 'the third time');
}, 'responses temporary' => 2, 'errors service-unavailable' => 1,
    'errors maintenance' => 1, 'retries service-unavailable refused' => 1,
    'retries maintenance accepted' => 1);

counts('until there are enough', sub {
    is(short(sent(new_phone(), '503 131016', in => 'again')), '503 retried',
        'three times');
}, 'responses temporary' => 3, 'errors service-unavailable' => 3,
    'retries service-unavailable refused' => 2, 'retries_denied attempts' => 1);

counts('a retry whose answer is too large, or ignored', sub {
    sent(new_phone(), "503 131016 | $_", in => 'again')
        for '500 131016 pad=100000', '400 132001';
}, 'responses temporary' => 2, 'errors service-unavailable' => 2,
    'responses unclassified' => 1, 'retries service-unavailable refused' => 2);

counts('a retry that nobody answers', sub {
    is((split ' ', short(sent(new_phone(), "503 131016 | 0",
        in => 'again')))[0], 502, 'bad gateway');
}, 'responses temporary' => 1, 'errors service-unavailable' => 1);

counts('a retry that a state stops', sub {
    my $phone = new_phone();
    my $call = $nginx->start_request($hook->sending($phone, in => 'again',
        token => new_token(), script => '429 130429 | 200'));
    ok(wait_until(sub {
        advance(1, $call);
        push_request($call);
        gauge('parked{zone="main"}') == 1 }), 'it waits');
    sent($phone, '400 133010');
    my ($answer) = finish_requests($call);
    is(short($answer), '400 blocked', 'it is blocked');
}, 'responses temporary' => 1, 'errors rate-limit' => 1,
    'responses fatal' => 1, 'errors phone-disconnected' => 1,
    'blocked phone-disconnected' => 1);

is(gauge('parked{zone="main"}'), 0, 'nothing waits any more');

counts('denied by the budget', sub { sent(new_phone(), '503 131016',
    in => 'none') }, 'responses temporary' => 1,
    'errors service-unavailable' => 1, 'retries_denied budget' => 1);

counts('denied by the deadline', sub { sent(new_phone(), '503 131016',
    in => 'late') }, 'responses temporary' => 1,
    'errors service-unavailable' => 1, 'retries_denied deadline' => 1);

counts('denied as it might send twice', sub { sent(new_phone(), '500 131000',
    in => 'open') }, 'responses temporary' => 1, 'errors server-error' => 1,
    'retries_denied unknown' => 1);

counts('a code that isn\'t sent again is no denial', sub {
    sent(new_phone(), '400 132000', in => 'again');
}, 'responses request' => 1, 'errors other' => 1);


# -- webhooks -----------------------------------------------------------------

my $body = payload(entry(5002, messages(phone => new_phone(),
    messages => [inbound()])));

counts('a webhook', sub { $hook->deliver($body) },
    'webhook_events verified' => 1);
counts('its errors are no answers', sub {
    $hook->deliver(payload(entry(5002, messages(phone => new_phone(),
        statuses => [status(131026)]))));
}, 'webhook_events verified' => 1);
counts('without a signature, and an error_page', sub {
    $hook->deliver($body, signature => undef);
}, 'webhook_events unsigned' => 1);
counts('with a wrong one', sub {
    $hook->deliver($body, signature => 'sha256=' . '0' x 64);
}, 'webhook_events forged' => 1);
counts('that can\'t be read', sub { $hook->deliver('{"object":') },
    'webhook_events verified' => 1, 'webhook_events unread' => 1);
counts('of another\'s account', sub {
    $hook->deliver($body, secret => 's3cretOfOneAccount');
}, 'webhook_events verified' => 1, 'webhook_events foreign' => 1);
counts('of a phone that is paused', sub {
    my $phone = new_phone();
    sent($phone, '400 133010');
    is($hook->deliver(payload(entry(5003, messages(phone => $phone,
        messages => [inbound()]))))->{status}, 503, 'kept back');
}, 'responses fatal' => 1, 'errors phone-disconnected' => 1,
    'webhook_events verified' => 1, 'webhook_events paused' => 1);


# -- states, and the zone -----------------------------------------------------

sub tiny {
    my ($name, %labels) = @_;
    return gauge($name . '{' . join(',', 'zone="tiny"', map {
        qq{$_="$labels{$_}"} } sort { $b cmp $a } keys %labels) . '}');
}

my %limited = (scope => 'conversation', category => 'context-limited');

is(tiny('oldest_state_seconds', category => $_), '0.000', "no $_ states")
    for qw(fatal temporary context-limited);

sent(new_phone(), '400 131047', in => 'tiny') for 1 .. 100;
is(tiny('states', %limited), 100, 'a hundred conversations');
ok(tiny('oldest_state_seconds', category => 'context-limited') > 0,
    'they have an age');
ok(wait_until(sub { tiny('states', %limited) == 0 }),
    'without traffic they are over, too');
is(tiny('oldest_state_seconds', category => 'context-limited'), '0.000',
    'and have no age');

sent(new_phone(), '400 131042', in => 'tiny');
sleep 0.3;
sent(new_phone(), '400 131042', in => 'tiny');
cmp_ok(tiny('oldest_state_seconds', category => 'fatal'), '>=', 0.3,
    'the age of the oldest one');
is(tiny('states', scope => 'account', category => 'fatal'), 2,
    'the number of all');
is(tiny('zone_bytes', kind => 'size'), 32768, 'the size of the zone');
is(tiny('evictions_total'), 0, 'nothing had to leave');

my $used = tiny('zone_bytes', kind => 'used');

sent(new_phone(), '400 133010', in => 'tiny') for 1 .. 200;

cmp_ok(tiny('zone_bytes', kind => 'used'), '>', $used, 'more is used');

my $left = tiny('states', scope => 'phone', category => 'fatal');
cmp_ok($left, '>', 10, 'there is room for some');
is(tiny('evictions_total'),
    202 - $left - tiny('states', scope => 'account', category => 'fatal'),
    'the others had to leave');

is(tiny('lost_total'), 0, 'nothing is lost');
$hook->deliver($body, path => '/tiny/webhook');
is(tiny('lost_total'), 1, 'a phone\'s account is');


# -- the text -----------------------------------------------------------------

{
    my $text = metrics();
    my @zones = $text =~ /^graph_policy_parked\{zone="(.*)"\} /mg;

    is_deeply([sort @zones], [sort 'main', 'tiny', 'a\\"b\\\\c', 'two\\nlines',
        "bytes \xc3\xa9 ? ??? ????"], 'names of zones are escaped');

    for my $name (qw(states zone_bytes)) {
        ok($text =~ /^# TYPE graph_policy_$name gauge$/m, "$name is a gauge");
    }

    my %lines;
    $lines{$_}++ for $text =~ /^(graph_policy_\w+\{.*\}) /mg;
    is_deeply([grep { $lines{$_} > 1 } keys %lines], [], 'no series twice');
    is(scalar(keys %lines), 1 + 5 * (5 + 16 + 16 + 32 + 32 + 6 + 3 + 7 + 12
        + 3 + 2 + 1 + 1 + 1), 'all series are there, whatever happened');
}

is_deeply([$nginx->complaints], [], 'nothing is wrong in the log');

done_testing();
