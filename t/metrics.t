# vi:set ft= ts=4 sw=4 et:

# GET metrics: every family, its labels, and its values after known traffic.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slow spew wait_until finish_requests);
use GraphPolicy::Api;
use GraphPolicy::Webhook qw(payload entry messages status inbound short);

my $brief = 300 * slow();

my $hook = GraphPolicy::Webhook->start(
    secrets => ['s3cretOfTheApp', 's3cretOfOneAccount 5001'],
    workers => 4,
    http    => <<"END");
graph_policy_zone zone=main:1m;
graph_policy_zone zone=tiny:32k;
graph_policy_zone zone=idle:64k;

server {
    listen 127.0.0.1:%PORT% reuseport;

    graph_policy      zone=main;
    graph_policy_hold 5m;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /brief/ {
        graph_policy_hold ${brief}ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /dry/ {
        graph_policy_dry_run on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /again/ {
        graph_policy_retry attempts=2 base=1ms budget_min=1000 deadline=10m;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /none/ {
        graph_policy_retry attempts=2 base=1ms budget=0% budget_min=0
            deadline=1m;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /late/ {
        graph_policy_retry attempts=2 base=5s deadline=1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /open/ {
        graph_policy_retry attempts=3 base=1ms unknown=0 deadline=1m;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /wait/ {
        graph_policy_retry attempts=2 base=30s max=30s deadline=1m
            budget_min=1000;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /cool/ {
        graph_policy_cooldown on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /gate/ {
        graph_policy_conversation on hold=1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /tiny/ {
        graph_policy zone=tiny;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /webhook {
        graph_policy_hold                1h;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        graph_policy_webhook_pause       on;
        proxy_pass                       http://127.0.0.1:APP;
    }

    location /graph/ {
        graph_policy_api;
    }
    location /write/ {
        graph_policy_api write=on;
    }
}
END
my $nginx = $hook->nginx;

my @secrets = qw(tokenOfSomebody 16505551234 s3cretOf);
my $api = GraphPolicy::Api->new(port => $nginx->port, secrets => \@secrets);

my %labels = (
    responses_total       => [qw(zone category)],
    errors_total          => [qw(zone reason)],
    blocked_total         => [qw(zone reason)],
    dry_run_blocks_total  => [qw(zone reason result)],
    retries_total         => [qw(zone reason result)],
    retries_denied_total  => [qw(zone why)],
    probes_total          => [qw(zone result)],
    webhook_events_total  => [qw(zone kind)],
    states                => [qw(zone scope category)],
    oldest_state_seconds  => [qw(zone category)],
    zone_bytes            => [qw(zone kind)],
    evictions_total       => [qw(zone)],
    lost_total            => [qw(zone)],
    parked                => [qw(zone)],
    build_info            => [qw(version nginx)],
);

my ($phones, $people) = (1060540000, 0);

sub new_phone { return ++$phones }
sub new_token { return 'tokenOfSomebody' . ++$people }

sub sent {
    my ($phone, $script, %of) = @_;
    return $hook->send($phone, script => $script, token => new_token(), %of);
}


# -- reading the text ---------------------------------------------------------

# {types, helps, samples: {'name{label="value",...}' => value}, odd}
sub parsed {
    my ($text) = @_;

    my %all = (types => {}, helps => {}, samples => {}, labels => {},
        odd => []);
    my ($family, %over) = ('');

    push @{ $all{odd} }, 'no end of line at the end' if $text !~ /\n\z/;

    for (split /\n/, $text) {
        next if /^\s*\z/ || /^# (?!HELP|TYPE)/;

        if (/^# (HELP|TYPE) (graph_policy_[a-z_]+) (\S.*)\z/) {
            my ($what, $name, $rest) = ($1, $2, $3);
            if ($name ne $family) {
                $over{$family} = 1;
                push @{ $all{odd} }, "$name is in two places" if $over{$name};
                $family = $name;
            }
            my $place = $what eq 'HELP' ? $all{helps} : $all{types};
            push @{ $all{odd} }, "$name, twice $what" if $place->{$name};
            $place->{$name} = $rest;
            next;
        }

        my ($name, $labels, $value) = /^([a-z_]+)(?:\{(.*)\})? (\S+)\z/;
        if (!defined $value || $value !~ /^\d+(?:\.\d+)?(?:e[+-]?\d+)?\z/i) {
            push @{ $all{odd} }, "what is this: $_";
            next;
        }

        push @{ $all{odd} }, "$name stands below $family" if $name ne $family;

        my %labels;
        $labels //= '';
        while ($labels =~ s/^([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|\z)//) {
            $labels{$1} = $2;
        }
        push @{ $all{odd} }, "what is this: $_" if length $labels;

        my $key = join ' ', $name, map { "$_=$labels{$_}" } sort keys %labels;
        push @{ $all{odd} }, "twice: $_" if exists $all{samples}{$key};
        $all{samples}{$key} = 0 + $value;
        $all{labels}{$key} = \%labels;
    }

    return \%all;
}

my $text = '';

sub read_all {
    my $answer = $api->get('metrics');

    is($answer->{status}, 200, 'metrics');
    like($answer->{headers}{'content-type'} // '',
        qr{^text/plain; version=0\.0\.4(?:;|\z)}, 'metrics: the type');
    $text = $answer->{body};
    my $all = parsed($text);
    is_deeply($all->{odd}, [], 'metrics: in the format of Prometheus');
    return $all;
}

# the value of a sample, 0 where there is none
sub value {
    my ($all, $name, %of) = @_;

    my %with = (zone => 'main', %of);
    delete $with{zone} if !defined $with{zone};
    return $all->{samples}{ join ' ', "graph_policy_$name",
        map { "$_=$with{$_}" } sort keys %with } // 0;
}

# what differs from 0, as {'label label' => value}, labels in the order above
sub values_of {
    my ($all, $name, $zone) = @_;

    my %values;
    for my $key (grep { /^graph_policy_\Q$name\E / }
        keys %{ $all->{samples} })
    {
        my $labels = $all->{labels}{$key};
        next if $labels->{zone} ne ($zone // 'main') || !$all->{samples}{$key};
        $values{ join ' ', map { $labels->{$_} // '-' }
            grep { $_ ne 'zone' } @{ $labels{$name} } }
            = $all->{samples}{$key};
    }
    return \%values;
}


# -- before there is any traffic ----------------------------------------------

{
    my $all = read_all();

    for my $name (sort keys %labels) {
        my $full = "graph_policy_$name";
        is($all->{types}{$full}, $name =~ /_total$/ ? 'counter' : 'gauge',
            "$name: its type");
        like($all->{helps}{$full} // '', qr/\w/, "$name: its help");
    }
    is_deeply([grep { !$labels{ s/^graph_policy_//r } }
        keys %{ $all->{types} }], [], 'no families but those');
    is_deeply(values_of($all, 'errors_total'), {}, 'no errors yet');
    is_deeply(values_of($all, 'states'), {}, 'no states yet');

    my ($info) = grep { /^graph_policy_build_info / }
        keys %{ $all->{samples} };
    is($all->{samples}{ $info // '-' }, 1, 'build_info is 1');
    like($all->{labels}{ $info // '-' }{version} // '', qr/^\d+\.\d+\.\d+/,
        'build_info: of the module');
    like($all->{labels}{ $info // '-' }{nginx} // '', qr/^\d+\.\d+\.\d+/,
        'build_info: of nginx');
}


# -- known traffic ------------------------------------------------------------

# errors, by four workers
{
    my @calls = map { my $script = $_; map { { $hook->sending(new_phone(),
        script => $script, token => new_token()) } } 1 .. 10 }
        '400 131042', '401 190', '500 131000', '400 132001', '400 131052',
        '500';
    my @answers = $nginx->parallel(@calls);
    is(scalar(grep { ($_->{headers}{'x-graph-policy'} // '') eq 'passed' }
        @answers), 60, '60 errors');

    # what is accepted isn't counted
    sent(new_phone(), '200') for 1 .. 3;
}

my $down = new_phone();
sent($down, '400 133010');
sent($down, '200') for 1 .. 7;

# dry run: what Meta says of what would have been blocked
{
    my ($refused, $accepted) = (new_phone(), new_phone());

    sent($_, '400 131042') for $refused, $accepted;
    sent($refused, '400 131042', in => 'dry') for 1 .. 3;
    sent($accepted, '200', in => 'dry');
}

# probes
{
    my ($clears, $rearms, $tells) = map { new_phone() } 1 .. 3;

    sent($_, '400 131031', in => 'brief') for $clears, $rearms, $tells;
    for my $case ([$clears, '200'], [$rearms, '400 131031'], [$tells, '500'])
    {
        my ($phone, $script) = @$case;
        ok(wait_until(sub { (sent($phone, $script, in => 'brief')
            ->{headers}{'x-graph-policy'} // '-') eq 'probe' }),
            "a probe, $script");
    }
}

my $before = read_all();

# retries
{
    for (1 .. 3) {
        my $answer = sent(new_phone(), '503 131016 | 200', in => 'again');
        is(short($answer), '200 retried 2', 'a retry that is accepted');
    }
    for (1 .. 2) {
        my $answer = sent(new_phone(), '503 133004 | 503 133004',
            in => 'again');
        is(short($answer), '503 retried 2', 'a retry that is refused');
    }
    is(short(sent(new_phone(), '503 131016', in => 'none')), '503 passed 1',
        'the budget') for 1 .. 4;
    is(short(sent(new_phone(), '503 131016', in => 'late')), '503 passed 1',
        'the deadline');
    is(short(sent(new_phone(), '500 131000', in => 'open')), '500 passed 1',
        'the outcome is unknown');
    is(short(sent(new_phone(), '429 4 header=X-App-Usage:%7B%22call_count%22'
        . '%3A100%2C%22total_time%22%3A1%2C%22total_cputime%22%3A1%7D',
        in => 'again')), '429 passed 1', 'the quota is used up');
}

# webhooks
{
    my $body = payload(entry(5002, messages(phone => new_phone(),
        messages => [inbound()])));

    is(short($hook->deliver($body)), '200 - 1', 'a webhook') for 1 .. 3;
    $hook->is_refused($body, 403, 'without a signature', signature => undef);
    $hook->is_refused($body, 403, 'with a forged one',
        signature => 'sha256=' . '0' x 64) for 1 .. 2;
    is(short($hook->deliver('{"object":')), '200 - 1', 'one that is no JSON');
    is(short($hook->deliver($body, secret => 's3cretOfOneAccount')),
        '200 - 1', "of another's account");

    my $paused = payload(entry(5003, messages(phone => $down,
        messages => [inbound()])));
    $hook->is_refused($paused, 503, 'of a phone that is paused') for 1 .. 2;
}

{
    my $all = read_all();

    is_deeply(values_of($before, 'responses_total'), { fatal => 20 + 1 + 5
        + 4, temporary => 10, request => 10, 'context-limited' => 10,
        unclassified => 11 }, 'responses, by category');
    is(value($before, 'errors_total', reason => 'token-invalid'), 10,
        'errors: token-invalid');
    is(value($before, 'errors_total', reason => 'billing'), 10 + 2 + 3,
        'errors: billing');
    is(value($before, 'errors_total', reason => 'account-restricted'), 4,
        'errors: account-restricted');
    is(value($before, 'errors_total', reason => 'server-error'), 10,
        'errors: server-error');
    is(value($before, 'errors_total', reason => 'media-download'), 10,
        'errors: media-download');
    is(value($before, 'errors_total', reason => 'phone-disconnected'), 1,
        'errors: phone-disconnected');
    is(value($before, 'errors_total', reason => 'other'), 10,
        'errors: other');
    is(value($before, 'blocked_total', reason => 'phone-disconnected'), 7,
        'blocked');
    is_deeply(values_of($before, 'dry_run_blocks_total'),
        { 'billing refused' => 3, 'billing accepted' => 1 }, 'dry run');
    is_deeply(values_of($before, 'probes_total'), { cleared => 1,
        rearmed => 1, inconclusive => 1 }, 'probes');
    is_deeply(values_of($before, 'retries_total'), {}, 'no retries before');

    is_deeply(values_of($all, 'retries_total'),
        { 'service-unavailable accepted' => 3,
            'service-unavailable refused' => 2 }, 'retries');

    my $denied = values_of($all, 'retries_denied_total');
    is($denied->{budget}, 4, 'denied by the budget');
    is($denied->{deadline}, 1, 'denied by the deadline');
    is($denied->{unknown}, 1, 'denied for an unknown outcome');
    is($denied->{quota}, 1, 'denied by the quota');
    is($denied->{attempts}, 2, 'denied as there were enough');

    my $events = values_of($all, 'webhook_events_total');
    is($events->{unsigned}, 1, 'webhooks: unsigned');
    is($events->{forged}, 2, 'webhooks: forged');
    is($events->{unread}, 1, 'webhooks: unread');
    is($events->{foreign}, 1, 'webhooks: foreign');
    is($events->{paused}, 2, 'webhooks: paused');
    is($events->{verified}, 7, 'webhooks: verified, with those');

    for my $name ('errors_total', 'blocked_total', 'probes_total',
        'evictions_total')
    {
        is_deeply(values_of($all, $name, 'idle'), {},
            "$name: of another zone");
    }

    # how long it waits
    my $call = $nginx->start_request($hook->sending(new_phone(),
        in => 'wait', token => new_token(), script => '503 131016'));
    ok(wait_until(sub { value(parsed($api->get('metrics')->{body}),
        'parked') == 1 }), 'one request is parked');
    GraphPolicy::abort_request($call);
    ok(wait_until(sub { value(parsed($api->get('metrics')->{body}),
        'parked') == 0 }), 'it left');

    # states, of each kind
    sent(new_phone(), '429 130429 header=Retry-After:600', in => 'cool');
    sent(new_phone(), '400 131047', in => 'gate') for 1 .. 2;
    $all = read_all();

    my %states;
    my $zone = $api->get('zones/main')->{json} || {};
    for my $scope (keys %{ $zone->{states} || {} }) {
        $states{"$scope $_"} = $zone->{states}{$scope}{$_}
            for grep { $zone->{states}{$scope}{$_} }
            keys %{ $zone->{states}{$scope} };
    }
    is_deeply(values_of($all, 'states'), \%states,
        'states: as many as the zone says');
    is(value($all, 'states', scope => 'credential', category => 'fatal'), 10,
        'states: credentials');
    is(value($all, 'states', scope => 'phone', category => 'temporary'), 1,
        'states: temporary ones');
    is(value($all, 'states', scope => 'conversation',
        category => 'context-limited'), 2, 'states: conversations');
    is(value($all, 'states', scope => 'phone', category => 'fatal'), 1,
        'states: phones');

    my $oldest = value($all, 'oldest_state_seconds', category => 'fatal');
    ok($oldest > 0 && $oldest < 600, 'the age of the oldest state');
    ok(value($all, 'oldest_state_seconds', category => 'context-limited')
        <= $oldest, 'the age of a younger one');

    my $bytes = values_of($all, 'zone_bytes');
    ok(scalar(grep { $_ == 1048576 } values %$bytes), 'the size of the zone')
        or diag(explain $bytes);
    ok(scalar(grep { $_ > 0 && $_ < 1048576 } values %$bytes),
        'and what is used of it');
}

# a full zone
{
    my @calls = map { { $hook->sending(new_phone(), in => 'tiny',
        token => new_token(), script => '400 133010') } } 1 .. 300;
    $nginx->parallel(splice @calls, 0, 50) while @calls;

    my $all = read_all();
    my $left = value($all, 'states', zone => 'tiny', scope => 'phone',
        category => 'fatal');

    cmp_ok($left, '>=', 20, 'a full zone has states');
    is(value($all, 'evictions_total', zone => 'tiny'), 300 - $left,
        'and has evicted the others');
    is(value($all, 'evictions_total'), 0, 'another zone has not');
}


# -- labels -------------------------------------------------------------------

{
    my $all = read_all();
    my (@wrong, @values, %named);

    for my $key (sort keys %{ $all->{samples} }) {
        my ($name) = $key =~ /^graph_policy_(\w+)/;
        my %of = %{ $all->{labels}{$key} };

        $named{$name} = 1;
        push @wrong, $key if join(' ', sort keys %of)
            ne join(' ', sort @{ $labels{$name} || [] });
        next if $name eq 'build_info';
        push @values, map { "$_=$of{$_}" } grep { $_ eq 'zone'
            ? $of{$_} !~ /^(?:main|tiny|idle)\z/ : $of{$_} !~ /^[a-z_-]+\z/ }
            keys %of;
    }

    is_deeply(\@wrong, [], 'labels are those that are promised');
    is_deeply(\@values, [], 'no ids and no codes are in them');
    is_deeply([sort keys %named], [sort keys %labels],
        'every family has samples');
    unlike($text, qr/10605400\d\d/, 'no phones');
    unlike($text, qr/"1\d{5}"|"190"/, 'no codes');

    # and they are the same after a reload
    ok($nginx->reload, 'a reload');
    my $after = read_all();
    for my $name (grep { /_total$/ } sort keys %labels) {
        is_deeply(values_of($after, $name), values_of($all, $name),
            "$name outlives a reload");
    }
}

# clearing by hand takes the states, the counters go on
{
    my $write = GraphPolicy::Api->new(port => $nginx->port,
        base => '/write/', secrets => \@secrets);
    my $all = parsed($write->get('metrics')->{body});

    is($write->delete('zones/main/states')->{status}, 204, 'all are cleared');
    my $after = parsed($write->get('metrics')->{body});

    is_deeply(values_of($after, 'states'), {}, 'there are no states');
    is_deeply(values_of($after, 'oldest_state_seconds'), {}, 'and no oldest');
    for my $name (qw(errors_total responses_total blocked_total
        evictions_total))
    {
        is_deeply(values_of($after, $name), values_of($all, $name),
            "$name goes on");
    }
    $write->is_clean;
}

SKIP: {
    my ($tool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};
    skip 'no promtool (Debian: prometheus)', 2 if !$tool;

    my $temp = File::Temp->new;
    spew("$temp", $text);
    my $said = `$tool check metrics <$temp 2>&1`;
    is($?, 0, 'promtool takes them');
    is($said, '', 'and has nothing to say');
}

$api->is_clean;
$hook->is_discreet(@secrets);

done_testing();
