# vi:set ft= ts=4 sw=4 et:

# graph_policy_api from outside: every call, what it answers, and what becomes
# of sends. Metrics are in t/metrics.t, the log of events in t/event_log.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy qw(slow slurp wait_until finish_requests);
use GraphPolicy::Api qw(kind shape_of seconds fits states_are);
use GraphPolicy::Webhook qw(payload entry messages status inbound short
    message);

# how long a state of the location /brief/ holds, in ms
my $brief = 300 * slow();

my $hook = GraphPolicy::Webhook->start(
    secrets => ['s3cretOfTheApp'],
    workers => 4,
    http    => <<"END");
graph_policy_zone zone=z:1m;
graph_policy_zone zone=many:1m;
graph_policy_zone zone=count:256k;
graph_policy_zone zone=spare:208k;
graph_policy_zone zone=tiny:204k;

server {
    # each worker gets its share of the connections
    listen 127.0.0.1:%PORT% reuseport;

    client_body_buffer_size 1k;
    add_header        X-Worker \$pid always;
    add_header        X-Credential \$graph_policy_credential always;
    graph_policy      zone=z;
    graph_policy_hold 5m;

    location / {
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
    location /gate/ {
        graph_policy_conversation on hold=1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /cool/ {
        graph_policy_cooldown on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /watch/ {
        graph_policy_rule 131042 fatal dry_run=on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /many/ {
        graph_policy zone=many;
        graph_policy_cooldown on;
        graph_policy_conversation on hold=1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /count/ {
        graph_policy zone=count;
        proxy_pass http://127.0.0.1:%GRAPH%;

        location /count/brief/ {
            graph_policy_hold ${brief}ms;
            proxy_pass http://127.0.0.1:%GRAPH%;
        }
    }
    location /spare/ {
        graph_policy zone=spare;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /again/ {
        graph_policy       zone=spare;
        graph_policy_retry attempts=2 base=10ms budget=0% budget_min=1000;
        proxy_pass         http://127.0.0.1:%GRAPH%;
    }
    location /broke/ {
        graph_policy       zone=spare;
        graph_policy_retry attempts=2 base=10ms budget=0% budget_min=0;
        proxy_pass         http://127.0.0.1:%GRAPH%;
    }

    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }

    location /graph/ {
        graph_policy_api write=on;
    }
    location /read/ {
        graph_policy_api;
    }
    location /cool-api/ {
        graph_policy_cooldown on;
        graph_policy_api;
    }
    location /spare-api/ {
        graph_policy zone=spare;
        graph_policy_conversation on;
        graph_policy_api;
    }
    location /slow/ {
        limit_rate 100k;
        graph_policy_api;
    }
    location /zip/ {
        graph_policy_api;
        gzip       on;
        gzip_types text/plain application/json;
    }
    location /deep/down/here/ {
        graph_policy_api write=on;
    }
}
END
my $nginx = $hook->nginx;
my $graph = $hook->graph;

# what may be in no answer: tokens, recipients, secrets
my @secrets = qw(tokenOfSomebody tokenOfAnother 16505551234 16505557 5511998765
    s3cretOfTheApp);

my $api  = GraphPolicy::Api->new(port => $nginx->port, secrets => \@secrets);
my $read = GraphPolicy::Api->new(port => $nginx->port, secrets => \@secrets,
    base => '/read/');

my ($accounts, $phones, $people) = (20_000, 10_000, 0);

sub new_account { return ++$accounts }
sub new_phone   { return ++$phones }
sub new_token   { return 'tokenOfSomebody' . ++$people }

sub sent {
    my ($phone, $script, %of) = @_;
    return $hook->send($phone, script => $script, token => 'tokenOfSomebody',
        %of);
}

# 24 sends, which several workers get, all have the same fate
sub everywhere {
    my ($phone, $expected, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $before = $graph->count;
    my (%got, %workers);

    for my $answer ($nginx->parallel(map { { $hook->sending($phone,
        token => 'tokenOfSomebody', %of) } } 1 .. 24))
    {
        $got{ join ' ', $answer->{status} || $answer->{error},
            $answer->{headers}{'x-graph-policy'} // '-' }++;
        $workers{ $answer->{headers}{'x-worker'} // '-' }++;
    }

    is_deeply(\%got, { $expected => 24 }, "$name: all sends");
    is($graph->count - $before, $expected =~ /blocked/ ? 0 : 24,
        "$name: at the Graph API");
    cmp_ok(scalar keys %workers, '>', 1, "$name: by several workers");
}

# the state that a send of the phone sets
sub set_by_answer {
    my ($phone, $script, $name, %of) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $policy = sent($phone, $script, %of)->{headers}{'x-graph-policy'};
    is($policy // '-', 'passed', "$name: an error");

    my $id = sent($phone, '200', %of)->{headers}{'x-graph-state'} // 'none';
    my $state = $api->get("zones/z/states/$id")->{json};

    is(shape_of($state), '', "$name: a state")
        or diag(explain $state);
    return { id => 'none', ref $state eq 'HASH' ? %$state : () };
}

sub set_by_hand {
    my ($name, %data) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $answer = $api->post('zones/z/states', \%data);

    is($answer->{status}, 201, "$name: set by hand");
    is(shape_of($answer->{json}), '', "$name: the state")
        or diag($answer->{text});
    return { id => 'none', ref $answer->{json} eq 'HASH'
        ? %{ $answer->{json} } : () };
}

sub cleared {
    my ($path, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $answer = $api->delete($path);
    is("$answer->{status} $answer->{body}", '204 ', "$name: cleared");
}

# members of a state, as one line
sub members {
    my ($state, @names) = @_;

    return join ' ', map { !defined $state->{$_} ? '-' : JSON::PP::is_bool(
        $state->{$_}) ? ($state->{$_} ? 'yes' : 'no') : $state->{$_} } @names;
}

# seconds that a state holds, from its beginning
sub holds {
    my ($state) = @_;
    return (seconds($state->{until}) // 0) - (seconds($state->{since}) // 0);
}


# -- nothing yet --------------------------------------------------------------

{
    my $zones = $api->get('zones');

    is($zones->{status}, 200, 'zones');
    like($zones->{headers}{'content-type'} // '', qr{^application/json\b},
        'zones: JSON');
    is_deeply([sort map { $_->{name} } @{ $zones->{json}{zones} || [] }],
        [qw(count many spare tiny z)], 'zones: all of them');
    is_deeply([map { kind($api->get("zones/$_")->{json}{history}) }
        qw(spare tiny)], [qw(object null)], 'zones: the least with a history');
    is(kind($zones->{json}{write}), 'bool', 'zones: "write" is true or false');
    ok($zones->{json}{write}, 'zones: true where it is on');
    ok(!($read->get('zones')->{json} || { write => 1 })->{write},
        'zones: false where it is not');

    is_deeply($api->get('zones/z/states')->{json},
        { states => [], next => undef }, 'no states');
}


# -- what a state tells -------------------------------------------------------

{
    my $phone = new_phone();
    my $begun = time;
    my $state = set_by_answer($phone, '400 133010 trace=Atrace_1-2', 'phone');
    my $local = sent($phone, '200');

    is(members($state, qw(scope key credential category reason code subcode)),
        "phone $phone - fatal phone-disconnected 133010 -", 'phone: what');
    is(members($state, qw(due probing holds blocked trace source dry_run)),
        'no no 1 1 Atrace_1-2 answer no', 'phone: how it is');
    ok(!$state->{of_phone}, 'phone: the key is its own');

    my $error = eval { JSON::PP::decode_json($local->{body})->{error} } || {};

    is($state->{title}, $error->{error_user_title}, 'phone: title');
    is($state->{action}, $error->{error_user_msg}, 'phone: what to do');
    is($local->{headers}{'x-graph-state'}, $state->{id}, 'phone: id');

    my $since = seconds($state->{since}) // 0;

    ok($since >= $begun - 0.1 && $since <= time + 0.1, 'phone: since now');
    ok(holds($state) >= 299.9 && holds($state) <= 330.1, 'phone: the hold');

    sent($phone, '200') for 1 .. 3;
    my $now = $api->get("zones/z/states/$state->{id}")->{json};

    is($now->{blocked}, 5, 'phone: blocked sends are counted');
    is_deeply({ %$now, blocked => 1 }, $state, 'phone: nothing else changed');

    my ($listed) = grep { $_->{id} eq $state->{id} }
        $api->states('z');
    my $past = delete $now->{events};

    is_deeply([map { $_->{event} } @$past], ['set'],
        'phone: what became of it, see t/past.t');
    is_deeply($listed, $now, 'phone: the list has the same');

    everywhere($phone, '400 blocked', 'phone');
    cleared("zones/z/states/$state->{id}", 'phone');
    everywhere($phone, '200 -', 'phone, cleared');

    $api->is_refused('GET', "zones/z/states/$state->{id}", 404,
        'phone: it is gone');
    $api->is_refused('DELETE', "zones/z/states/$state->{id}", 404,
        'phone: cleared twice');
    is_deeply([grep { $_->{id} eq $state->{id} } $api->states('z')], [],
        'phone: not in the list');

    is(set_by_answer($phone, '400 133010', 'phone, again')->{id},
        $state->{id}, 'phone: the id is the same when it comes back');
    cleared("zones/z/states/$state->{id}", 'phone, again');
}

# whom a state covers
{
    my ($phone, $account, $token) = (new_phone(), new_account(), new_token());
    my $state = set_by_answer($phone, '403 131031', 'account', in => 'named',
        headers => ['X-Account' => $account]);

    is(members($state, qw(scope key credential reason code)),
        "account $account - account-restricted 131031", 'account');
    ok(!$state->{of_phone}, 'account: the key is its own');

    $phone = new_phone();
    $state = set_by_answer($phone, '400 131042/5', 'unknown account');

    is(members($state, qw(scope key credential reason code subcode of_phone)),
        "account $phone - billing 131042 5 yes", 'unknown account');

    $phone = new_phone();
    my $answer = sent($phone, '401 190/463', token => $token);
    my $print  = $answer->{headers}{'x-credential'} // '-';
    $state = set_by_answer($phone, '401 190/463', 'credential',
        token => new_token());

    like($print, qr/^[0-9a-f]{16}\z/, 'credential: a fingerprint');
    is(members($state, qw(scope key reason code subcode)),
        'credential - token-invalid 190 463', 'credential');
    isnt($state->{credential}, $print, 'credential: not the other one');
    ok($api->one('z', credential => $print)->{id},
        'credential: each by its fingerprint');

    $phone = new_phone();
    $token = new_token();
    $state = set_by_answer($phone, '404 33', 'bound', token => $token);
    is(members($state, qw(scope key reason code)),
        "phone $phone phone-disconnected 33", 'bound to a credential');
    is($state->{credential}, sent($phone, '200', token => $token)
        ->{headers}{'x-credential'}, 'bound: to which');

    $state = set_by_answer(new_phone(), '400 131047', 'conversation',
        in => 'gate', to => '16505557001');
    is(members($state, qw(scope key credential category reason code)),
        'conversation - - context-limited window-expired 131047',
        'conversation');
    ok(holds($state) >= 3599.9 && holds($state) <= 3960.1,
        'conversation: the hold');

    $phone = new_phone();
    $state = set_by_answer($phone, '429 130429 header=Retry-After:600',
        'temporary', in => 'cool');
    is(members($state, qw(scope key category reason code)),
        "phone $phone temporary rate-limit 130429", 'temporary');

    sent($phone = new_phone(), '400 131042', in => 'watch');
    $state = $api->one('z', key => $phone);
    is(members($state, qw(reason dry_run)), 'billing yes', 'of a rule in dry'
        . ' run');
}

# by a webhook
{
    my ($account, $phone) = (new_account(), new_phone());

    is(short($hook->deliver(payload(entry($account, time => int time,
        messages(phone => $phone, statuses => [status(131042)]))))), '200 - 1',
        'webhook: delivered');

    my $state = $api->one('z', key => $account);
    is(shape_of($state), '', 'webhook: a state');
    is(members($state, qw(scope reason code trace source blocked)),
        'account billing 131042 - webhook 0', 'webhook');

    cleared("zones/z/states/$state->{id}", 'webhook') if $state->{id};
    everywhere($phone, '200 -', 'webhook, cleared');
}

# two phones of one account
{
    my ($account, @pair) = (new_account(), new_phone(), new_phone());

    $hook->deliver(payload(entry($account, map { messages(phone => $_,
        messages => [inbound()]) } @pair)));
    set_by_hand('pair', scope => 'phone', key => "$_", hold => '1h',
        reason => 'phone-disconnected') for @pair;

    for my $phone (@pair) {
        $hook->is_blocked($phone, 'phones-disconnected', "pair, $phone");
        is($api->one('z', key => $phone)->{reason}, 'phones-disconnected',
            "pair, $phone: the reason that is shown");
    }

    cleared("zones/z/states/$_", 'pair')
        for map { $_->{id} // () } $api->one('z', key => $pair[0]);
    is($api->one('z', key => $pair[1])->{reason}, 'phone-disconnected',
        'pair: one is left');
}


# -- due, probing, re-armed ---------------------------------------------------

for my $how ('answer', 'hand') {
    my $phone = new_phone();
    my $state = $how eq 'answer'
        ? set_by_answer($phone, '400 133010', "by $how", in => 'brief')
        : set_by_hand("by $how", scope => 'phone', key => "$phone",
            reason => 'phone-disconnected', hold => "${brief}ms");
    my $id    = $state->{id} // 'none';
    my $look  = sub { $api->get("zones/z/states/$id")->{json} || {} };

    ok(wait_until(sub { $look->()->{due} }), "by $how: it is due");
    my $due = $look->();
    is(members($due, qw(due probing holds)), 'yes no 1', "by $how, due");
    is(members($due, qw(since until)), members($state, qw(since until)),
        "by $how, due: times are those that they were");
    ok(scalar(grep { $_->{id} eq $id } $api->states('z')),
        "by $how, due: it is listed");

    my $before = $graph->count;
    my $probe  = $nginx->start_request($hook->sending($phone,
        token => 'tokenOfSomebody', script => "400 133010 wait=$how"));

    is($graph->wait_for($before + 1), $before + 1, "by $how: a probe");
    is(members($look->(), qw(probing holds)), 'yes 1', "by $how: probing");
    is(sent($phone, '200')->{headers}{'x-graph-policy'}, 'blocked',
        "by $how: others wait");

    $graph->release($how);
    my ($answer) = finish_requests($probe);
    my $again = $look->();

    is($answer->{headers}{'x-graph-policy'}, 'probe', "by $how: it was one");
    is(members($again, qw(probing holds since)), "no 2 $state->{since}",
        "by $how: re-armed");
    ok((seconds($again->{until}) // 0) > (seconds($state->{until}) // 0),
        "by $how: re-armed for longer");

    cleared("zones/z/states/$id", "by $how, re-armed");
    everywhere($phone, '200 -', "by $how, cleared");
}

# the probe that succeeds
{
    my $phone = new_phone();
    my $state = set_by_hand('success', scope => 'phone', key => "$phone",
        reason => 'phone-disconnected', hold => '1ms');

    my $probe = wait_until(sub {
        my $answer = sent($phone, '200');
        return $answer->{status} == 200 ? $answer : undef;
    }) || {};

    is($probe->{headers}{'x-graph-policy'}, 'probe', 'success: of the probe');
    $api->is_refused('GET', "zones/z/states/$state->{id}", 404,
        'success: the state is over');
    everywhere($phone, '200 -', 'success');
}


# -- set by hand --------------------------------------------------------------

my $reasons = {};
{
    my $rules = $api->get('rules')->{json} || {};
    $reasons = { map { $_->{reason} => $_ } @{ $rules->{reasons} || [] } };
}

# a phone
{
    my $phone  = new_phone();
    my $begun  = time;
    my $answer = $api->post('zones/z/states', { scope => 'phone',
        key => "$phone", reason => 'phone-disconnected' });
    my $state  = $answer->{json} || {};

    is($answer->{status}, 201, 'by hand');
    is(shape_of($state), '', 'by hand: a state');
    is(members($state, qw(scope key credential category reason code subcode
        trace source due probing holds blocked dry_run)),
        "phone $phone - fatal phone-disconnected - - - api no no 1 0 no",
        'by hand: what');
    ok(holds($state) >= 9.9 && holds($state) <= 11.1,
        'by hand: ten seconds unless told');
    ok(abs((seconds($state->{since}) // 0) - $begun) < 5 * slow(),
        'by hand: since now');

    # the address of the state
    my $location = $answer->{headers}{location} // '';

    unlike($location, qr{^\w+:|^//}, 'by hand: a relative address');
    my $path = $location =~ m{^/} ? $location : "/graph/zones/z/$location";
    my $there = $api->get($path)->{json};
    delete $there->{events};
    is_deeply($there, $state, 'by hand: of the state');

    my $local = $hook->is_blocked($phone, 'phone-disconnected 133010',
        'by hand', token => new_token());
    is($local->{status}, 400, 'by hand: status');
    $hook->is_blocked($phone, 'phone-disconnected', 'by hand, no token',
        token => undef);
    everywhere($phone, '400 blocked', 'by hand');
    everywhere(new_phone(), '200 -', 'by hand, another phone');

    # no code of Meta's is of the reason "other" alone
    my $odd = new_phone();
    my $other = $api->post('zones/z/states', { scope => 'phone',
        key => "$odd", reason => 'other' })->{json};

    $hook->is_blocked($odd, 'other 131037', 'by hand, other',
        token => new_token());
    cleared("zones/z/states/$other->{id}", 'by hand, other');

    # once more
    my $again = $api->post('zones/z/states', { scope => 'phone',
        key => "$phone", reason => 'phone-disconnected', hold => '1h' });

    like($again->{status}, qr/^20[01]\z/, 'by hand, again');
    is($again->{json}{id}, $state->{id}, 'by hand, again: the same state');

    my $after = sent($phone, '200');
    GraphPolicy::Webhook::is_after($after, 3580, 3961, 'by hand, again');
    is(scalar(() = $api->find('z', key => $phone)), 1,
        'by hand, again: there is one');

    cleared("zones/z/states/$state->{id}", 'by hand');
    everywhere($phone, '200 -', 'by hand, cleared');
}

# how long
for my $case (['90s', 90], ['1h30m', 5400], ['250ms', 0.25], ['10', 10]) {
    my ($hold, $least) = @$case;
    my $state = set_by_hand("hold $hold", scope => 'phone', hold => $hold,
        key => new_phone() . '', reason => 'phone-disconnected');

    ok(holds($state) >= $least - 0.1 && holds($state) <= $least * 1.1 + 0.1,
        "hold $hold: as long") or diag(holds($state));
}

# an account
{
    my ($account, $phone) = ('Acme_1.a-b', new_phone());
    my %named = (in => 'named', headers => ['X-Account' => $account]);
    my $state = set_by_hand('account', scope => 'account', key => $account,
        reason => 'billing', hold => '1h');

    is(members($state, qw(scope key reason source)),
        "account $account billing api", 'account');
    ok(!$state->{of_phone}, 'account: of no phone');
    everywhere($phone, '400 blocked', 'account', %named);
    $hook->is_blocked($phone, 'billing 131042', 'account', %named);
    everywhere($phone, '200 -', 'no account');
    cleared("zones/z/states/$state->{id}", 'account');
    everywhere($phone, '200 -', 'account, cleared', %named);

    # one that webhooks taught
    my $learnt = new_account();
    my @both   = (new_phone(), new_phone());

    $hook->deliver(payload(entry($learnt, map { messages(phone => $_,
        messages => [inbound()]) } @both)));
    $state = set_by_hand('learnt account', scope => 'account',
        key => "$learnt", reason => 'account-restricted', hold => '1h');
    $hook->is_blocked($_, 'account-restricted', "learnt account, $_")
        for @both;
    $hook->is_open(new_phone(), 'learnt account, a phone of another');
    cleared("zones/z/states/$state->{id}", 'learnt account');
    $hook->is_open($_, "learnt account, cleared, $_") for @both;
}

# a credential, by its fingerprint
{
    my ($phone, $token) = (new_phone(), new_token());
    my $print = sent($phone, '200', token => $token)->{headers}{'x-credential'}
        // 'none';
    my $state = set_by_hand('credential', scope => 'credential',
        key => $print, reason => 'token-invalid', hold => '1h');

    is(members($state, qw(scope key credential reason source)),
        "credential - $print token-invalid api", 'credential');
    everywhere($phone, '400 blocked', 'credential', token => $token);
    everywhere($phone, '200 -', 'another credential', token => new_token());
    $hook->is_blocked(new_phone(), 'token-invalid '
        . ($reasons->{'token-invalid'}{code} // '-'), 'credential',
        token => $token);
    cleared("zones/z/states/$state->{id}", 'credential');
    everywhere($phone, '200 -', 'credential, cleared', token => $token);
}

# frozen
{
    my $phone = new_phone();
    my $state = set_by_hand('frozen', scope => 'phone', key => "$phone",
        reason => 'phone-disconnected', hold => '1ms',
        probe => JSON::PP::false);
    my $id = $state->{id} // 'none';

    is(members($state, qw(until due probing)), '- no no', 'frozen: no end');
    like($nginx->log,
        qr/state set, [^\n]*"$phone", [^\n]* hold: until it is cleared, zone:/,
        'frozen: so the log says');
    sleep 0.05; # longer than its hold
    everywhere($phone, '400 blocked', 'frozen');

    my $local = $hook->is_blocked($phone, 'phone-disconnected 133010',
        'frozen');
    is_deeply([@{ $local->{headers} }{qw(x-graph-hold retry-after)}],
        [undef, undef], 'frozen: no X-Graph-Hold, no Retry-After');
    my $error = eval { JSON::PP::decode_json($local->{body})->{error} };
    ok($error, 'frozen: the answer is JSON') or diag($local->{body});
    unlike($error->{error_data}{details} // '', qr/1970|next try at/,
        'frozen: no next try');

    # what makes another state's next send the probe
    $nginx->request(path => "/v25.0/$phone/register",
        token => 'tokenOfSomebody', body => '{}');
    everywhere($phone, '400 blocked', 'frozen, registered');
    is(members($api->get("zones/z/states/$id")->{json} || {}, qw(until due)),
        '- no', 'frozen: still');

    cleared("zones/z/states/$id", 'frozen');
    everywhere($phone, '200 -', 'frozen, cleared');

    # and let go without clearing
    $state = set_by_hand('frozen, then not', scope => 'phone', key => "$phone",
        reason => 'phone-disconnected', probe => JSON::PP::false);
    $api->post('zones/z/states', { scope => 'phone', key => "$phone",
        reason => 'phone-disconnected', hold => '1h',
        probe => JSON::PP::true });
    my $now = $api->get("zones/z/states/$state->{id}")->{json} || {};
    is(kind($now->{until}), 'string', 'frozen, then not: it has an end');
    cleared("zones/z/states/$state->{id}", 'frozen, then not');
}

# an answer that comes later doesn't thaw it
{
    my $phone  = new_phone();
    my $before = $graph->count;
    my @late   = map { $nginx->start_request($hook->sending($phone,
        token => 'tokenOfSomebody', script => "$_ wait=late")) }
        '200', '400 133010';

    is($graph->wait_for($before + 2), $before + 2, 'late: under way');
    my $state = set_by_hand('late', scope => 'phone', key => "$phone",
        reason => 'phone-disconnected', probe => JSON::PP::false);

    $graph->release('late');
    finish_requests(@late);

    is(members($api->get("zones/z/states/$state->{id}")->{json} || {},
        qw(until source)), '- api', 'late: frozen as before');
    everywhere($phone, '400 blocked', 'late');
    cleared("zones/z/states/$state->{id}", 'late');
}

# all at once
{
    my @some = (new_phone(), new_phone());

    set_by_hand('all', scope => 'phone', key => "$_", hold => '1h',
        reason => 'phone-disconnected') for @some;
    set_by_hand('all, frozen', scope => 'phone', key => '5550001',
        reason => 'phone-disconnected', probe => JSON::PP::false);
    sent('5550002', '400 133010', in => 'spare');

    cmp_ok(scalar(() = $api->states('z')), '>=', 3, 'all: there are some');
    cleared('zones/z/states', 'all');
    is_deeply([$api->states('z')], [], 'all: none is left');
    everywhere($_, '200 -', "all: $_") for @some, '5550001';
    is(sent('5550002', '200', in => 'spare')->{headers}{'x-graph-policy'},
        'blocked', 'all: another zone keeps its own');
    cleared('zones/z/states', 'all, when there is none');
}


# -- lookup -------------------------------------------------------------------

sub looked_up {
    my ($phone, $to, $expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $answer = $api->post('zones/z/lookup', { phone => "$phone", to => $to });
    my $data   = ref $answer->{json} eq 'HASH' ? $answer->{json} : {};

    is("$answer->{status} " . members($data, qw(free_form template reason)),
        "200 $expected", "lookup, $name");
    is(join(', ', fits($data, { free_form => 'bool', template => 'bool',
        reason => 'string null', until => 'time null' })), '',
        "lookup, $name: what it is made of");
    return $data;
}

{
    my ($phone, $to) = (new_phone(), '16505557100');
    my $data = looked_up($phone, $to, 'yes yes -', 'nothing known');
    is($data->{until}, undef, 'lookup, nothing known: no end');

    sent($phone, '400 131047', in => 'gate', to => $to);
    $data = looked_up($phone, $to, 'no yes window-expired', 'window');
    my $rest = (seconds($data->{until}) // 0) - time;
    ok($rest > 3500 && $rest < 3961, 'lookup, window: until');

    looked_up($phone, '+1 (650) 555-7100', 'no yes window-expired',
        'window, written in another way');
    looked_up($phone, '16505557101', 'yes yes -', 'another recipient');
    looked_up(new_phone(), $to, 'yes yes -', 'another phone');

    my $state = $api->one('z', scope => 'conversation');
    cleared("zones/z/states/" . ($state->{id} // 'none'), 'lookup, window');
    looked_up($phone, $to, 'yes yes -', 'window, cleared');
    $hook->is_open($phone, 'lookup, window, cleared', in => 'gate', to => $to);

    sent($phone, '400 131026', in => 'gate', to => $to);
    looked_up($phone, $to, 'no no undeliverable', 'undeliverable');

    # the customer writes
    $hook->deliver(payload(entry(new_account(), messages(phone => $phone,
        messages => [inbound(from => $to)]))));
    looked_up($phone, $to, 'yes yes -', 'the customer wrote');

    # Brazil's ninth digit
    sent($phone, '400 131047', in => 'gate', to => '5511998765001');
    looked_up($phone, '551198765001', 'no yes window-expired', 'ninth digit');
    looked_up($phone, '5511998765001', 'no yes window-expired',
        'ninth digit, there');

    # states of more than one conversation
    sent($phone, '400 133010');
    $data = looked_up($phone, '16505557102', 'no no phone-disconnected',
        'a fatal state');
    ok(defined seconds($data->{until}), 'lookup, a fatal state: until');
    $api->delete('zones/z/states');

    my ($account, $other) = (new_account(), new_phone());
    $hook->deliver(payload(entry($account, map { messages(phone => $_,
        messages => [inbound()]) } $phone, $other)));
    sent($phone, '400 131042');
    looked_up($other, '16505557102', 'no no billing', 'of the account');
    $api->delete('zones/z/states');

    # of several states the one that ends last, as sends are told
    for my $last (qw(billing phone-disconnected)) {
        my $double = new_phone();
        set_by_hand("lookup, $last", scope => 'phone', key => "$double",
            reason => $_, hold => $_ eq $last ? '2h' : '1h')
            for qw(billing phone-disconnected);
        $data = looked_up($double, '16505557102', "no no $last",
            "two states, $last");
        ok((seconds($data->{until}) // 0) > time + 7000,
            "lookup, two states, $last: until");
        $hook->is_blocked($double, $last, "lookup, two states, $last");

        # and what the conversation has may be longer than either
        my $short = new_phone();
        sent($short, '400 131047', in => 'gate', to => '16505557103');
        set_by_hand("lookup, $last, short", scope => 'phone', hold => '1m',
            key => "$short", reason => $last);
        looked_up($short, '16505557103', 'no no window-expired',
            "a window and a short state, $last");
    }
    $api->delete('zones/z/states');

    my $frozen = new_phone();
    set_by_hand('lookup, frozen', scope => 'phone', key => "$frozen",
        reason => 'phone-disconnected', probe => JSON::PP::false);
    $data = looked_up($frozen, '16505557102', 'no no phone-disconnected',
        'frozen');
    is($data->{until}, undef, 'lookup, frozen: no end');

    # somebody's token is nobody else's trouble
    sent($other, '401 190', token => new_token());
    sent($other, '404 33', token => new_token());
    looked_up($other, '16505557102', 'yes yes -', 'a token');

    for my $case (['no body', ''], ['no phone', { to => '16505557100' }],
        ['no recipient', { phone => '1001' }],
        ['a phone with letters', { phone => 'x', to => '16505557100' }],
        ['a long phone', { phone => '1' x 21, to => '16505557100' }],
        ['a list', []], ['a number', { phone => '1001', to => [1] }])
    {
        my ($name, $sent) = @$case;
        $api->is_refused('POST', 'zones/z/lookup', 400, "lookup, $name",
            data => $sent);
    }

    is($read->post('zones/z/lookup', { phone => '1001', to => '16505557100' })
        ->{status}, 200, 'lookup needs no "write=on"');
    $api->delete('zones/z/states');
}


# -- rules and explain --------------------------------------------------------

{
    my $rules = $api->get('rules')->{json} || {};
    my @rows  = @{ $rules->{rules} || [] };

    is_deeply([grep { $_ } map { join ', ', fits($_, { codes => 'string',
        subcode => 'number null', category => 'string', reason => 'string',
        scope => 'string', credential_bound => 'bool', retry => 'bool',
        outcome => 'string', wait => 'number null', title => 'string' }) }
        @rows], [], 'rules: what they are made of');

    my $row = sub {
        my ($codes, $subcode) = @_;
        my @found = grep { $_->{codes} eq $codes
            && ($_->{subcode} // '-') eq $subcode } @rows;
        return @found == 1 ? members($found[0], qw(category reason scope
            credential_bound retry outcome wait)) : scalar(@found) . ' rows';
    };

    for my $case (
        ['0',       '-',  'fatal token-invalid credential yes no'],
        ['190',     '-',  'fatal token-invalid credential yes no'],
        ['200-299', '-',  'fatal token-invalid account yes no'],
        ['131031',  '-',  'fatal account-restricted account no no'],
        ['131042',  '-',  'fatal billing account no no'],
        ['133010',  '-',  'fatal phone-disconnected phone no no'],
        ['100',     '33', 'fatal phone-disconnected phone yes no'],
        ['4',       '-',  'temporary rate-limit credential no yes refused 60'],
        ['130429',  '-',  'temporary rate-limit phone no yes refused 1'],
        ['131056',  '-',
            'temporary pair-rate-limit conversation no yes refused 1'],
        ['131057',  '-',  'temporary maintenance phone no yes refused 5'],
        ['131000',  '-',  'temporary server-error request no yes unknown -'],
        ['1',       '-',  'temporary server-error request no yes unknown -'],
        ['131047',  '-',
            'context-limited window-expired conversation no no'],
        ['131052',  '-',  'context-limited media-download request no no'],
        ['100',     '-',  'request other request no no'],
    ) {
        my ($codes, $subcode, $expected) = @$case;
        like($row->($codes, $subcode), qr/^\Q$expected\E(?: |\z)/,
            "rules: $codes/$subcode");
    }

    ok(scalar(grep { ($_->{subcode} // 0) == 2494100 } @rows),
        'rules: the subcode of maintenance');

    # all of Meta's catalogue
    my @lines = grep { /^\d/ } split /\n/,
        slurp("$FindBin::Bin/samples/graph-errors.tsv");
    my @missing;

    for my $line (@lines) {
        my ($code, $subcode, $category) = (split /\t/, $line)[0, 1, 5];
        next if $subcode ne '-' || $code !~ /^\d+\z/;
        push @missing, $code if !grep { my ($first, $last)
            = split /-/, $_->{codes}; !defined $_->{subcode}
            && $first =~ /^\d+\z/ && $first <= $code
            && $code <= ($last // $first) && $_->{category} eq $category }
            @rows;
    }
    cmp_ok(scalar @lines, '>', 100, 'rules: there is a catalogue');
    is_deeply(\@missing, [], 'rules: all of it is there');

    is_deeply([sort keys %$reasons], [sort qw(token-invalid account-restricted
        billing phone-disconnected phones-disconnected rate-limit
        pair-rate-limit maintenance server-error service-unavailable
        window-expired undeliverable spam-quality media-download media-upload
        other)], 'rules: reasons');
    is_deeply([grep { $_ } map { join ', ', fits($_, { title => 'string',
        action => 'string', code => 'number null' }) } values %$reasons], [],
        'rules: what reasons are made of');
    is($reasons->{billing}{code}, 131042, 'rules: a code of a reason');
}

my $explained = { category => 'string', code => 'number null',
    subcode => 'number null', reason => 'string null', scope => 'string null',
    title => 'string null', action => 'string null', matched => 'bool',
    credential_bound => 'bool', sets_state => 'bool', retry => 'bool',
    outcome => 'string null', wait => 'number null', trace => 'string null' };

# what the answers say when these come to a send, explain says beforehand
for my $file (sort glob "$FindBin::Bin/samples/e*.json") {
    my ($name) = $file =~ m{([^/]+)\.json$};
    my $body   = slurp($file) =~ s/\s+\z//r;
    my $data   = $api->post('explain', $body)->{json};
    my $coded  = $body =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger;
    my $tags   = $hook->send(new_phone(), in => 'spare', token => new_token(),
        script => "400 body=$coded")->{headers};
    my $wait   = $tags->{'retry-after'} // '-';

    is(join(', ', fits($data, $explained)), '', "explain $name: what it is"
        . ' made of');
    $data = {} if ref $data ne 'HASH';
    is(members($data, qw(category code subcode reason scope)), join(' ', map {
        $tags->{"x-graph-error-$_"} // '-' } qw(category code subcode reason
        scope)), "explain $name: as it is tagged");
    is(members($data, 'wait'), $wait, "explain $name: wait")
        if ($data->{category} // '') eq 'temporary';
    is($data->{title}, $reasons->{ $data->{reason} // '-' }{title},
        "explain $name: title");
    is($data->{action}, $reasons->{ $data->{reason} // '-' }{action},
        "explain $name: what to do");
}

for my $case (
    ['{"error":{"code":131042,"fbtrace_id":"Atrace"}}',
        'fatal 131042 - billing account yes no yes no - Atrace'],
    ['{"error":{"code":190,"error_subcode":463}}',
        'fatal 190 463 token-invalid credential yes yes yes no - -'],
    ['{"error":{"code":100,"error_subcode":33}}',
        'fatal 100 33 phone-disconnected phone yes yes yes no - -'],
    ['{"error":{"code":250}}',
        'fatal 250 - token-invalid account yes yes yes no - -'],
    ['{"error":{"code":131044}}', 'fatal 131044 - other request yes no no no'
        . ' - -'],
    ['{"error":{"code":131000}}',
        'temporary 131000 - server-error request yes no no yes - -'],
    ['{"error":{"code":132001}}', 'request 132001 - other request yes no no no'
        . ' - -'],
    ['{"error":{"code":7777777}}', 'unclassified 7777777 - - - no no no no -'
        . ' -'],
    ['{"error":{"message":"no code"}}', 'unclassified - - - - no no no no - -'],
    ['{}', 'unclassified - - - - no no no no - -'],
) {
    my ($body, $expected) = @$case;
    my $data = $api->post('explain', $body)->{json};

    is(ref $data eq 'HASH' ? members($data, qw(category code subcode reason
        scope matched credential_bound sets_state retry wait trace)) : '-',
        $expected, "explain $body");
}

{
    my $data = $api->post('explain',
        '{"error":{"code":7777777,"is_transient":true}}')->{json} || {};
    is(members($data, qw(category reason scope retry outcome)),
        'temporary other request yes unknown', 'explain: transient');
    is(($api->post('explain', '{"error":{"code":131056}}')->{json} || {})
        ->{outcome}, 'refused', 'explain: proof that nothing was sent');

    # bodies that nginx doesn't have in one piece
    my $body = '{"error":{"message":"' . 'x' x 20_000 . '","code":131042}}';
    is(($api->post('explain', $body)->{json} || {})->{code}, 131042,
        'explain: a body in a file');

    my $pieces = join '', map({ sprintf "%x\r\n%s\r\n", length, $_ }
        unpack '(a9)*', '{"error":{"code":131042}}'), "0\r\n\r\n";
    my $answer = $nginx->request(raw => "POST /graph/explain HTTP/1.1\r\n"
        . "Host: localhost\r\nConnection: close\r\nContent-Type: "
        . "application/json\r\nTransfer-Encoding: chunked\r\n\r\n$pieces");
    like($answer->{body}, qr/"code":131042\b/, 'explain: a chunked body');

    for my $case (['no body', ''], ['HTML', '<html></html>'],
        ['half a body', '{"error":{"code":131042'],
        ['no UTF-8', "{\"error\":{\"code\":131042,\"message\":\"\xff\"}}"],
        ['depth', '[' x 3000 . ']' x 3000])
    {
        my ($name, $bytes) = @$case;
        my $odd = $api->post('explain', $bytes);

        ok($odd->{status} == 200
            ? ($odd->{json} || {})->{category} eq 'unclassified'
            : $odd->{status} == 400 && $odd->{json}{error}{message} =~ /\w/,
            "explain, $name: unclassified, or refused with a reason")
            or diag(substr $odd->{text}, 0, 500);
    }

    is($read->post('explain', '{"error":{"code":4}}')->{status}, 200,
        'explain needs no "write=on"');
    is_deeply([$api->states('z')], [], 'explain sets no state');
}

# explain says what the answer to a message does, in every location of its zone:
# conversations are learnt where any location of the zone gates them
for my $case (
    ['/graph/',     'z',     ['/', '/gate/'], 131047 => 'yes'],
    ['/graph/',     'z',     ['/', '/gate/'], 131026 => 'yes'],
    ['/graph/',     'z',     ['/', '/gate/'], 131042 => 'yes'],
    ['/graph/',     'z',     ['/', '/gate/'], 190    => 'yes'],
    ['/graph/',     'z',     ['/', '/gate/'], 130429 => 'no'],
    ['/graph/',     'z',     ['/', '/gate/'], 131052 => 'no'],
    ['/graph/',     'z',     ['/', '/gate/'], 100    => 'no'],
    ['/cool-api/',  'z',     ['/cool/'],      130429 => 'yes'],
    ['/cool-api/',  'z',     ['/cool/'],      131056 => 'yes'],
    ['/cool-api/',  'z',     ['/cool/'],      131047 => 'yes'],
    # Graph names no wait for it, and nobody would know how long to hold
    ['/cool-api/',  'z',     ['/cool/'],      131016 => 'no'],
    # a gate at the API's location alone gates nothing
    ['/spare-api/', 'spare', ['/spare/'],     131047 => 'no'],
    ['/spare-api/', 'spare', ['/spare/'],     131042 => 'yes'],
) {
    my ($base, $zone, $places, $code, $expected) = @$case;
    my $explain = GraphPolicy::Api->new(port => $nginx->port, base => $base,
        secrets => \@secrets);

    is(members($explain->post('explain', "{\"error\":{\"code\":$code}}")
        ->{json} || {}, 'sets_state'), $expected, "explain $code at $base");

    for my $place (@$places) {
        $api->delete("zones/$zone/states");
        $hook->send(new_phone(), ($place =~ m{^/(\w+)} ? (in => $1) : ()),
            script => "400 $code", token => new_token(),
            to => '16505557' . ++$people);
        is(scalar(() = $api->states($zone)), $expected eq 'yes' ? 1 : 0,
            "explain $code at $base: as is done at $place");
    }

    $api->delete("zones/$zone/states");
}


# -- zones and what they count ------------------------------------------------

{
    my $zone = sub { $api->get('zones/count')->{json} || {} };
    my $kinds = { name => 'string', size => 'number', used => 'number',
        states => 'object', links => 'number', counters => 'object',
        history => 'object' };
    my $counters = { responses => 'object', errors => 'object',
        blocked => 'object', dry_run_blocks => 'object', retries => 'object',
        retries_denied => 'object', probes => 'object',
        webhook_events => 'object', evictions => 'number', lost => 'number',
        parked => 'number' };

    my $empty = $zone->();

    is(join(', ', fits($empty, $kinds)), '', 'zone: what it is made of');
    is(join(', ', fits($empty->{counters}, $counters)), '',
        'zone: what it counts');
    is($empty->{name}, 'count', 'zone: name');
    is($empty->{size}, 262144, 'zone: size');
    cmp_ok($empty->{used} // 0, '<', 262144, 'zone: used');
    is_deeply($empty, (grep { $_->{name} eq 'count' }
        @{ $api->get('zones')->{json}{zones} || [] })[0],
        'zone: the list has the same');

    # known traffic: 131042 twice, 133010 once, 190 once, and so on
    my ($one, $two, $three) = map { new_phone() } 1 .. 3;
    my %in = (in => 'count');

    sent($one, '400 131042', %in);
    sent($two, '400 131042', %in);
    sent($three, '400 133010', %in);
    sent(new_phone(), '401 190', %in, token => new_token());
    sent(new_phone(), '500 131016', %in);
    sent(new_phone(), '400 131047', %in);
    sent(new_phone(), '400 132001', %in) for 1 .. 3;
    sent(new_phone(), '400 7777777', %in);
    sent(new_phone(), '500', %in);
    sent(new_phone(), '200', %in) for 1 .. 5;
    sent($one, '200', %in) for 1 .. 4;
    sent($three, '200', %in) for 1 .. 2;

    my $got = $zone->();
    my $all = sub { my ($set) = @_; return { map { $_ => $set->{$_} }
        grep { $set->{$_} } keys %{ $set || {} } } };

    is_deeply($got->{counters}{responses}, { fatal => 4, temporary => 1,
        'context-limited' => 1, request => 3, unclassified => 2 },
        'zone: answers by category');
    is_deeply($all->($got->{counters}{errors}), { billing => 2,
        'phone-disconnected' => 1, 'token-invalid' => 1,
        'service-unavailable' => 1, 'window-expired' => 1, other => 3 },
        'zone: errors by reason');
    is_deeply($all->($got->{counters}{blocked}), { billing => 4,
        'phone-disconnected' => 2 }, 'zone: blocked ones by reason');
    is_deeply([map { $got->{states}{$_}{fatal} }
        qw(credential account phone conversation)], [1, 2, 1, 0],
        'zone: states');

    my $history = $got->{history} || {};
    my $sum = sub { my $sum = 0; $sum += $_ for @{ $_[0] || [] }; $sum };

    is($history->{minutes}, 60, 'zone: an hour');
    like($history->{until} // '', qr/:00\.000Z\z/, 'zone: whole minutes');
    my $rest = (seconds($history->{until}) // 0) - time;
    ok($rest > -5 && $rest <= 61, 'zone: until the end of this one');
    is_deeply({ map { $_ => $sum->($history->{categories}{$_}) }
        keys %{ $history->{categories} || {} } }, $got->{counters}{responses},
        'zone: categories of the hour');
    is_deeply({ map { $_ => $sum->($history->{reasons}{$_}) }
        keys %{ $history->{reasons} || {} } },
        $all->($got->{counters}{errors}), 'zone: reasons of the hour');
    is($sum->($history->{blocked}), 6, 'zone: blocked in the hour');
    is_deeply([grep { $_ != 60 } map { scalar @{ $_ || [] } }
        values %{ $history->{categories} || {} },
        values %{ $history->{reasons} || {} }, $history->{blocked}], [],
        'zone: 60 minutes each');
    is($sum->([@{ $history->{blocked} || [] }[55 .. 59]]), 6,
        'zone: the newest is the last');

    # what was sent again, and what wasn't for want of budget
    sent(new_phone(), '500 131016 | 200', in => 'again') for 1 .. 3;
    sent(new_phone(), '500 131016', in => 'broke') for 1 .. 2;
    $history = $api->get('zones/spare')->{json}{history} || {};
    is_deeply([map { $sum->([@{ $history->{$_} || [] }[55 .. 59]]) }
        qw(retries over_budget)], [3, 2], 'zone: retries of the hour');
    is_deeply([map { scalar @{ $history->{$_} || [] } } qw(retries
        over_budget)], [60, 60], 'zone: 60 minutes of them');

    # probes
    my ($clears, $rearms, $tells) = map { new_phone() } 1 .. 3;
    my %brief = (in => 'count/brief');

    sent($_, '400 131042', %brief) for $clears, $rearms, $tells;
    for my $case ([$clears, '200'], [$rearms, '400 131042'], [$tells, '500'])
    {
        my ($phone, $script) = @$case;
        ok(wait_until(sub { (sent($phone, $script, %brief)
            ->{headers}{'x-graph-policy'} // '-') eq 'probe' }),
            "zone: a probe, $script");
    }
    is_deeply($zone->()->{counters}{probes}, { cleared => 1, rearmed => 1,
        inconclusive => 1 }, 'zone: probes');

    # clearing changes the states and counts nothing
    $got = $zone->();
    cleared('zones/count/states', 'zone');
    my $clear = $zone->();
    is_deeply([map { $clear->{states}{$_}{fatal} }
        qw(credential account phone conversation)], [0, 0, 0, 0],
        'zone: states, cleared');
    is_deeply($clear->{counters}{errors}, $got->{counters}{errors},
        'zone: errors are still counted');

    cmp_ok(($api->get('zones/z')->{json} || {})->{links} // 0, '>=', 4,
        'zone: phones whose account is known');
}


# -- pages --------------------------------------------------------------------

{
    my %made = (phone => 0, account => 0, credential => 0, cool => 0,
        conversation => 0);
    my @calls;
    my $many = sub {
        my ($what, $script, %of) = @_;
        push @calls, { $hook->sending(new_phone(), in => 'many',
            token => new_token(), script => $script, %of) };
        $made{$what}++;
    };

    for my $i (1 .. 80) {
        $many->('phone', '400 133010');
        $many->('account', '400 131042');
        $many->('credential', '401 190') if $i <= 60;
        $many->('cool', '429 130429 header=Retry-After:600') if $i <= 40;
        $many->('conversation', '400 131047', to => 16505557200 + $i)
            if $i <= 40;
    }

    my $wrong = 0;
    while (my @some = splice @calls, 0, 50) {
        $wrong += grep { ($_->{headers}{'x-graph-policy'} // '-') ne 'passed' }
            $nginx->parallel(@some);
    }
    is($wrong, 0, 'pages: 300 errors');

    my @all = $api->states('many', 'limit=1000');
    my @ids = map { $_->{id} } @all;
    my (%scopes, %categories);

    is(scalar @all, 300, 'pages: 300 states');
    is_deeply([grep { $_ } map { shape_of($_) } @all], [],
        'pages: all are states');
    $scopes{ $_->{scope} }++ for @all;
    $categories{ $_->{category} }++ for @all;
    is_deeply(\%scopes, { phone => 120, account => 80, credential => 60,
        conversation => 40 }, 'pages: scopes');
    is_deeply(\%categories, { fatal => 220, temporary => 40,
        'context-limited' => 40 }, 'pages: categories');

    for my $limit (1, 7, 100, 299, 1000, '') {
        my $longest = 0;
        my @got = $api->states('many', length $limit ? "limit=$limit" : '',
            sub { my ($page, @page) = @_;
                $longest = @page if @page > $longest });

        states_are(\@got, \@ids, "pages: limit=$limit has each once");
        cmp_ok($longest, '<=', $limit || 100, "pages: limit=$limit");
        cmp_ok($longest, '>', 0, "pages: limit=$limit, not all empty");
    }

    # to a client that doesn't take it at once
    my $slow = GraphPolicy::Api->new(port => $nginx->port,
        secrets => \@secrets, base => '/slow/');
    states_are([$slow->states('many', 'limit=1000')], \@ids,
        'pages: to a slow client');
    $slow->is_clean;

    for my $scope (qw(phone account credential conversation)) {
        states_are([$api->states('many', "limit=50&scope=$scope")],
            [map { $_->{id} } grep { $_->{scope} eq $scope } @all],
            "pages: scope=$scope");
    }
    for my $category (qw(fatal temporary context-limited)) {
        states_are([$api->states('many', "category=$category&limit=33")],
            [map { $_->{id} } grep { $_->{category} eq $category } @all],
            "pages: category=$category");
    }
    states_are([$api->states('many', 'scope=phone&category=temporary&limit=9')],
        [map { $_->{id} } grep { $_->{scope} eq 'phone'
            && $_->{category} eq 'temporary' } @all], 'pages: both');
    states_are([$api->states('many', 'scope=credential&category=temporary')],
        [], 'pages: both, and there is none');

    for my $reason (qw(phone-disconnected billing token-invalid rate-limit
        window-expired))
    {
        my @those = map { $_->{id} } grep { $_->{reason} eq $reason } @all;

        ok(scalar @those, "pages: there is $reason");
        states_are([$api->states('many', "reason=$reason&limit=50")], \@those,
            "pages: reason=$reason");
    }
    states_are([$api->states('many', 'reason=billing&scope=phone')], [],
        'pages: a reason and a scope that don\'t go together');

    # by a fragment of what somebody has in hand
    my ($of_phone, $of_account, $of_token, $of_talk) = map { my $scope = $_;
        (grep { $_->{scope} eq $scope } @all)[0] } qw(phone account credential
        conversation);
    my $search = sub {
        my ($key, $expected, $name, $more) = @_;
        states_are([$api->states('many', "key=$key" . ($more // ''))],
            [map { $_->{id} } @$expected], "search: $name");
    };
    my $with = sub { my ($key) = @_; grep { ($_->{key} // '') =~ /$key/
        || ($_->{credential} // '') =~ /$key/
        || length $key >= 8 && $_->{id} =~ /^$key/ } @all };

    $search->($of_phone->{key}, [$with->($of_phone->{key})], 'a phone');
    my $end = substr $of_account->{key}, -3;
    $search->($end, [$with->($end)], 'the end of a key', '&limit=3');
    cmp_ok(scalar(() = $with->($end)), '>', 0, 'search: which several have');
    my $print = substr $of_token->{credential}, 2, 9;
    $search->($print, [$of_token], 'the middle of a fingerprint');
    $search->(uc $print, [$of_token], 'in capitals');
    $search->('%' . join('%', unpack '(H2)*', $print), [$of_token], 'escaped');

    for my $state ($of_phone, $of_account, $of_token, $of_talk) {
        $search->($state->{id}, [$state], "the id of a $state->{scope}");
        $search->(substr($state->{id}, 0, $_), [$state],
            "$_ digits of it") for 8, 16, 17;
        $search->(substr($state->{id}, 1), [], 'not its end');
    }
    $search->($_->{id}, [$_], 'each conversation by its id', '&limit=1')
        for (grep { $_->{scope} eq 'conversation' } @all)[1 .. 8];
    $search->(substr($of_talk->{id}, 0, 1), [$with->(substr
        $of_talk->{id}, 0, 1)], 'a digit finds no id');
    $search->($_, [], "nothing has $_") for '00000000', 'ffffffff',
        'ffffffffffffffffff', '0' x 64, 'z', 'nobody.at-all_';
    # the digits of a phone may be in a fingerprint, too; one digit is in many
    for my $key ($of_phone->{key}, substr $of_phone->{key}, -1) {
        for my $scope (qw(phone credential)) {
            $search->($key, [grep { $_->{scope} eq $scope } $with->($key)],
                length($key) . " digits, scope=$scope", "&scope=$scope");
        }
    }
    $search->($of_talk->{id}, [$of_talk], 'and of its own category',
        '&category=context-limited');

    for my $query ('key=', 'key=%', 'key=%2', 'key=%zz', 'key=%00', 'key=a%20b',
        'key=a+b', 'key=%3Cscript%3E', 'key=' . 'a' x 65, 'key=' . '%61' x 65,
        'key=' . 'a' x 3000, 'key=%C3%A4', 'key=*', 'reason=', 'reason=nonsense',
        'reason=billing%00', 'reason=bill', 'Key=1')
    {
        $api->is_refused('GET', "zones/many/states?$query", 400,
            'search: ' . substr $query, 0, 40);
    }

    # a fragment clears nothing
    $api->is_refused('DELETE', "zones/many/states?key=$of_phone->{key}", 400,
        'search: clearing by a fragment');
    is($api->get("zones/many/states/$of_phone->{id}")->{status}, 200,
        'search: it is there all the same');

    for my $query ('limit=0', 'limit=1001', 'limit=-1', 'limit=x', 'limit=1e2',
        'scope=nonsense', 'category=nonsense', 'after=%21%22%00',
        'after=nonsense!')
    {
        $api->is_refused('GET', "zones/many/states?$query", 400,
            "pages: $query");
    }

    # what changes meanwhile
    my %gone;
    my $number = 0;
    my @seen = $api->states('many', 'limit=10', sub {
        my ($page) = @_;

        if ($page == 3) {
            for my $id (@ids[map { 3 * $_ } 1 .. 60]) {
                $gone{$id} = 1;
                $number += $api->delete("zones/many/states/$id")->{status}
                    == 204;
            }
        } elsif ($page == 5) {
            ok($nginx->reload, 'pages: a reload');
        } elsif ($page == 7) {
            sent(new_phone(), '400 133010', in => 'many',
                token => new_token()) for 1 .. 20;
        }
    });
    my %times;

    is($number, 60, 'pages: 60 are cleared meanwhile');
    $times{ $_->{id} }++ for @seen;
    is_deeply([grep { !$gone{$_} && ($times{$_} // 0) != 1 } @ids], [],
        'pages: what stays is there once');
    is_deeply([grep { $times{$_} > 1 } keys %times], [],
        'pages: nothing is there twice');
    is(scalar(() = $api->states('many', 'limit=100')), 260,
        'pages: and the rest is 260');

    my $zone = $api->get('zones/many')->{json} || {};
    my %counted = map { my $scope = $_; map { ("$scope $_"
        => $zone->{states}{$scope}{$_} || 0) } qw(fatal temporary
        context-limited) } qw(phone account credential conversation);
    my %listed = map { $_ => 0 } keys %counted;
    $listed{"$_->{scope} $_->{category}"}++
        for $api->states('many', 'limit=1000');
    is_deeply(\%counted, \%listed, 'pages: the zone counts as many');
    cmp_ok($zone->{used} // 0, '>=', 260 * 100, 'pages: and what they take');

    cleared('zones/many/states?reason=rate-limit', 'pages, by reason');
    is_deeply({ map { $_->{reason} => 1 } $api->states('many') }, { map { $_ => 1
        } qw(phone-disconnected billing token-invalid window-expired) },
        'pages: those of one reason are gone, the others aren\'t');

    cleared('zones/many/states', 'pages');
    is_deeply([$api->states('many', 'limit=1')], [], 'pages: none is left');
}


# -- reload -------------------------------------------------------------------

{
    my ($phone, $frozen) = (new_phone(), new_phone());

    set_by_answer($phone, '400 133010 trace=Atrace', 'reload');
    set_by_hand('reload', scope => 'phone', key => "$frozen",
        reason => 'phone-disconnected', probe => JSON::PP::false);

    my @before = $api->states('z');
    ok($nginx->reload, 'reload');
    my @after = $api->states('z');

    is(scalar @before, 2, 'reload: two states');
    is_deeply([sort { $a->{id} cmp $b->{id} } @after],
        [sort { $a->{id} cmp $b->{id} } @before], 'reload: nothing changed');
    everywhere($_, '400 blocked', "reload, $_") for $phone, $frozen;
    cleared("zones/z/states/$before[0]{id}", 'reload') if @before;
    is(scalar(() = $api->states('z')), 1, 'reload: one is left');
    $api->delete('zones/z/states');
}


# -- what is refused ----------------------------------------------------------

my $held = set_by_hand('refused', scope => 'phone', key => '5559999',
    reason => 'phone-disconnected', hold => '1h');
my $id   = $held->{id} // '0' x 18;
my %good = (scope => 'phone', key => '5551111',
    reason => 'phone-disconnected');

# where nobody may write
$read->is_refused('POST', 'zones/z/states', 405, 'read-only, set',
    data => \%good);
$read->is_refused('DELETE', 'zones/z/states', 405, 'read-only, clear all');
$read->is_refused('DELETE', "zones/z/states/$id", 405, 'read-only, clear one');
is($read->get("zones/z/states/$id")->{json}{key}, '5559999',
    'read-only: it is still there');

# paths
$api->is_refused('GET', $_, 404, "no such path, $_") for 'none', 'zones/none',
    'zones/none/states', 'zones/Z', 'zones/z/none', "zones/none/states/$id",
    'zones/z/states/' . '0' x 18, "zones/z/states/$id/more", 'rules/1',
    'metrics/more', 'explain/more', 'zones/z/lookup/more',
    "zones/many/states/$id";
$api->is_refused('GET', $_, qr/^40[04]\z/, "no id, $_") for
    'zones/z/states/nonsense', 'zones/z/states/' . 'f' x 2000;
$api->is_refused('POST', 'zones/none/states', 404, 'no such zone, set',
    data => \%good);
$api->is_refused('POST', 'zones/none/lookup', 404, 'no such zone, lookup',
    data => { phone => '1', to => '2' });
$api->is_refused('DELETE', 'zones/none/states', 404, 'no such zone, clear');
$api->is_refused('DELETE', 'zones/z/states/' . '0' x 18, 404,
    'no such state, clear');

# methods
for my $case ([POST => 'zones'], [POST => 'zones/z'], [DELETE => 'zones'],
    [DELETE => 'zones/z'], [PUT => "zones/z/states/$id"],
    [PATCH => "zones/z/states/$id"], [POST => "zones/z/states/$id"],
    [PUT => 'zones/z/states'], [GET => 'zones/z/lookup'],
    [DELETE => 'zones/z/lookup'], [GET => 'explain'], [HEAD => 'explain'],
    [DELETE => 'explain'], [POST => 'rules'], [DELETE => 'rules'],
    [POST => 'metrics'], [OPTIONS => 'zones'], [OPTIONS => 'zones/z/states'],
    [POST => ''], [PROPFIND => 'zones'])
{
    my ($method, $path) = @$case;
    my %json = (headers => ['Content-Type' => 'application/json',
        Origin => 'http://evil.example'], body => $method =~ /^P/ ? '{}' : '');
    delete $json{headers} if $method eq 'POST';

    if ($method eq 'HEAD') {
        is($api->call($method, $path)->{status}, 405, "no method, $method");
    } elsif ($method eq 'POST') {
        $api->is_refused('POST', $path, 405, "no method, POST $path",
            data => '{}');
    } else {
        $api->is_refused($method, $path, 405, "no method, $method $path",
            %json);
    }
}

# HEAD
for my $path ('', 'zones', 'zones/z', 'zones/z/states', "zones/z/states/$id",
    'rules', 'metrics')
{
    my ($get, $head) = map { $api->call($_, $path) } qw(GET HEAD);

    is("$head->{status} $head->{body}", '200 ', "HEAD $path");
    is($head->{headers}{'content-type'}, $get->{headers}{'content-type'},
        "HEAD $path: the same type");
    is($read->get($path)->{status}, 200, "GET $path, read-only");
}
is($api->call('HEAD', 'zones/none')->{status}, 404, 'HEAD zones/none');

# the dashboard is no JSON
like($api->get('')->{headers}{'content-type'} // '', qr{^text/html\b},
    'a page of HTML at the root');

# what nginx is configured to compress is compressed, by its type alone
for my $path ('', 'zones', 'metrics') {
    my $answer = $nginx->request(method => 'GET', path => "/zip/$path",
        headers => ['Accept-Encoding' => 'gzip']);

    is($answer->{headers}{'content-encoding'}, 'gzip',
        "GET $path: nginx compresses it");
    is($answer->{headers}{'content-type'},
        $api->get($path)->{headers}{'content-type'}, '... under the same type');
}

# bodies
for my $case (
    ['no body',              ''],
    ['no JSON',              '{"scope":"phone"'],
    ['JSON and more',        '{"scope":"phone","key":"5551111",'
        . '"reason":"phone-disconnected"} x'],
    ['a form',               'scope=phone&key=5551111'],
    ['a list',               [\%good]],
    ['a string',             '"phone"'],
    ['null',                 'null'],
    ['nothing',              {}],
    ['depth',                '{"scope":' . '[' x 5000 . ']' x 5000 . '}'],
    ['no UTF-8',             "{\"scope\":\"phone\",\"key\":\"\xff\"}"],
    ['no scope',             { %good, scope => undef }],
    ['scope nonsense',       { %good, scope => 'nonsense' }],
    ['scope PHONE',          { %good, scope => 'PHONE' }],
    ['scope request',        { %good, scope => 'request' }],
    ['scope a list',         { %good, scope => ['phone'] }],
    ['no key',               { %good, key => undef }],
    ['an empty key',         { %good, key => '' }],
    ['a phone with letters', { %good, key => '1555x' }],
    ['a phone with a plus',  { %good, key => '+15551111' }],
    ['a phone of 21 digits', { %good, key => '1' x 21 }],
    ['a key a list',         { %good, key => ['5551111'] }],
    ['an account of 65',     { %good, scope => 'account', key => 'a' x 65 }],
    ['an account with a /',  { %good, scope => 'account', key => 'a/b' }],
    ['an account, hostile',  { %good, scope => 'account',
        key => '<script>' }],
    ['an account with a \0', { %good, scope => 'account', key => "a\0b" }],
    ['a token',              { %good, scope => 'credential',
        reason => 'token-invalid', key => 'EAAFAKEtoken' }],
    ['15 digits',            { %good, scope => 'credential',
        reason => 'token-invalid', key => 'a' x 15 }],
    ['no reason',            { %good, reason => undef }],
    ['reason nonsense',      { %good, reason => 'nonsense' }],
    ['a derived reason',     { %good, reason => 'phones-disconnected' }],
    ['reason a number',      { %good, reason => 133010 }],
    ['an empty hold',        { %good, hold => '' }],
    ['a hold of nothing',    { %good, hold => '0' }],
    ['a negative hold',      { %good, hold => '-1s' }],
    ['a hold, no time',      { %good, hold => 'soon' }],
    ['a hold, half a time',  { %good, hold => '1x' }],
    ['a hold without end',   { %good, hold => '9' x 20 . 's' }],
    ['a hold a list',        { %good, hold => ['1h'] }],
    ['probe a string',       { %good, probe => 'false' }],
    ['probe a number',       { %good, probe => 0 }],
) {
    my ($name, $data) = @$case;

    if (ref $data eq 'HASH') {
        $data = { map { $_ => $data->{$_} } grep { defined $data->{$_} }
            keys %$data };
    }

    $api->is_refused('POST', 'zones/z/states', 400, "set, $name",
        data => $data);
}

$api->is_refused('POST', 'zones/z/states', qr/^4\d\d\z/, 'set, 200k',
    data => '{"scope":"' . 'x' x 200_000 . '"}');

is_deeply([map { $_->{id} } $api->states('z')], [$id],
    'what is refused sets nothing');
everywhere('5551111', '200 -', 'what is refused');

# types
for my $type (undef, 'text/plain', 'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x', 'application/jsonp', 'text/json',
    'application/json5', '')
{
    my %of = (type => $type);
    my $name = 'type ' . ($type // 'none');

    $api->is_refused('POST', 'zones/z/states', 415, $name, data => \%good,
        %of);
    $api->is_refused('POST', 'explain', 415, "$name, explain",
        data => '{"error":{"code":1}}', %of);
    $api->is_refused('POST', 'zones/z/lookup', 415, "$name, lookup",
        data => { phone => '1', to => '2' }, %of);
}
for my $type ('application/json', 'application/json; charset=utf-8',
    'application/json;charset=UTF-8', 'Application/JSON')
{
    is($api->post('explain', '{"error":{"code":1}}', type => $type)->{status},
        200, "type $type");
}

# other pages
for my $case (
    ['another host',       Origin => 'http://evil.example'],
    ['of a like name',     Origin => 'http://localhost.evil.example'],
    ['that ends alike',    Origin => 'http://evillocalhost'],
    ['another port',       Origin => 'http://localhost:8081'],
    ['with a user',        Origin => 'http://localhost@evil.example'],
    ['null',               Origin => 'null'],
    ['cross-site',         'Sec-Fetch-Site' => 'cross-site'],
    ['same-site',          'Sec-Fetch-Site' => 'same-site'],
    ['not a word',         'Sec-Fetch-Site' => 'nonsense'],
    ['both, one foreign',  Origin => 'http://localhost',
        'Sec-Fetch-Site' => 'cross-site'],
    ['both, other foreign', Origin => 'http://evil.example',
        'Sec-Fetch-Site' => 'same-origin'],
) {
    my ($name, @headers) = @$case;

    $api->is_refused('POST', 'zones/z/states', 403, "origin $name, set",
        data => \%good, headers => \@headers);
    $api->is_refused('DELETE', $_, 403, "origin $name, DELETE $_",
        headers => \@headers) for 'zones/z/states', "zones/z/states/$id";
    is($api->get('zones', headers => \@headers)->{status}, 200,
        "origin $name: reading");
}

is_deeply([map { $_->{id} } $api->states('z')], [$id],
    'a foreign page changes nothing');

for my $case (
    ['its own',     Origin => 'http://localhost'],
    ['same-origin', 'Sec-Fetch-Site' => 'same-origin'],
    ['none',        'Sec-Fetch-Site' => 'none'],
    ['both',        Origin => 'http://localhost',
        'Sec-Fetch-Site' => 'same-origin'],
) {
    my ($name, @headers) = @$case;

    is($api->post('zones/z/states', \%good, headers => \@headers)->{status},
        201, "origin $name: set");
    is($api->delete('zones/z/states/'
        . ($api->one('z', key => '5551111')->{id} // 'none'),
        headers => \@headers)->{status}, 204, "origin $name: cleared");
}

# another place
{
    my $deep = GraphPolicy::Api->new(port => $nginx->port,
        secrets => \@secrets, base => '/deep/down/here/');
    my $set  = $deep->post('zones/z/states', { %good, hold => '1h' });

    is($set->{status}, 201, 'another place: set');
    my $location = $set->{headers}{location} // '';
    my $path = $location =~ m{^/} ? $location
        : "/deep/down/here/zones/z/$location";
    is(($deep->get($path)->{json} || {})->{key}, '5551111',
        'another place: the address');
    $deep->is_refused('GET', 'zones/none', 404, 'another place: no zone');
    everywhere('5551111', '400 blocked', 'another place');
    $deep->delete('zones/z/states');
    everywhere('5551111', '200 -', 'another place, cleared');
    $deep->is_clean;
}

$api->is_clean;
$read->is_clean;
$hook->is_discreet(@secrets);

done_testing();
