#!/usr/bin/perl

# Memory runs out once, at every place where the module, nginx or a library asks
# for some: no worker dies, clients get the right answer or what nginx itself
# says when it is out of memory, no send reaches the Graph API more often than
# it may, no state comes or goes that shouldn't, no mutex stays locked, and what
# follows is as if nothing had been.
#
# Environment:
#   ALLOC_CASE    a pattern of the names of cases
#   ALLOC_REPORT  a file for all that was wrong

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Time::HiRes qw(sleep);

use GraphPolicy qw(slurp spew wait_until);
use GraphPolicy::Api;
use GraphPolicy::Faults;
use GraphPolicy::Kept;
use GraphPolicy::Webhook qw(payload entry messages account_update status
    inbound contact message);

plan skip_all => GraphPolicy::Faults::missing()
    if GraphPolicy::Faults::missing();

my $only = $ENV{ALLOC_CASE} // '';

my $faults = GraphPolicy::Faults->new;
my $kept   = GraphPolicy::Kept->new;

$faults->within(sub {
    $kept->start(secrets => ['s3cretOfTheApp'], log_level => 'info',
        http => <<'END') });
graph_policy_zone      zone=z:256k state=FILE;
graph_policy_zone      zone=unhurt:256k;
graph_policy_event_log %DIR%/events.log;
log_format             own '$graph_policy_status $graph_policy_credential';

server {
    listen 127.0.0.1:%PORT%;

    access_log                %DIR%/access.log own;
    graph_policy              zone=z;
    graph_policy_hold         1h;
    graph_policy_conversation on hold=1h;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /fast/ {
        graph_policy_hold 1ms max=1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /cool/ {
        graph_policy_cooldown on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /again/ {
        graph_policy_retry attempts=3 base=1ms max=1ms unknown=2 budget_min=1000;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /full/ {
        set        $padding "$arg_padding-";
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /file/ {
        client_body_in_file_only clean;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_pause       on;
        graph_policy_webhook_secret_file SECRETS;
        client_body_buffer_size          1k;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
    location /unhurt/ {
        graph_policy zone=unhurt;
        graph_policy_api write=on;
    }
}
END

my ($nginx, $graph, $app, $hook) = ($kept->nginx, $kept->graph,
    $kept->hook->app, $kept->hook);
my $api = $kept->api;
my $dry = GraphPolicy::Api->new(port => $nginx->port);

# the master may listen before its worker is there
my $worker;
wait_until(sub { ($worker) = $nginx->workers });

my ($phone, $at, %total, @wrong) = (1000, time - 5000);


# -- what is done while memory runs out ---------------------------------------

# "before" prepares; "do" returns an answer; "right" is its status, policy and
# how often the Graph API or the application was reached, which is allowed less
# if the client learns that something went wrong. "like" is what else may come.
sub send_to {
    my ($in, $script, %of) = @_;
    return sub { $nginx->request($hook->sending($phone, in => $in,
        script => $script, %of)) };
}

my %block = (before => sub { $kept->put($phone) });
my %due   = (before => sub {
    send_to('fast', '400 133010')->();
    sleep 0.003;
});
# what a state can't be made from blocks nothing, and is told to nobody
my $untold = qr/^[45]\d\d - [01]\z/;

my @cases = (
    { name => 'an accepted send', do => send_to('open', '200'),
        right => '200 - 1' },
    { name => 'an accepted send beside states', %block,
        do => sub { $nginx->request($hook->sending(77, script => '200')) },
        right => '200 - 1' },
    map({ { name => "an error, $_->[0]", do => send_to(@$_[1, 2]),
        right => $_->[3], like => $untold } }
        ['fatal', 'in', '400 131042 trace=' . 'T' x 60, '400 passed 1'],
        ['bound to a token', 'in', '401 190/463', '401 passed 1'],
        ['temporary', 'in', '400 131056', '400 passed 1'],
        ['that cools down', 'cool', '429 130429 header=Retry-After:100',
            '429 passed 1'],
        ['context-limited', 'in', '400 131047', '400 passed 1'],
        ['of the request', 'in', '400 100', '400 passed 1'],
        ['unreadable', 'in', '500 body=%3Chtml%3E', '500 passed 1'],
        ['gzip', 'in', '400 133010 gzip chunked', '400 passed 1'],
        ['deflate', 'in', '400 133010 zlib', '400 passed 1'],
        ['broken gzip', 'in', '400 133010 body=x header=Content-Encoding:gzip',
            '400 passed 1'],
        ['in pieces', 'in', '400 133010 split chunked', '400 passed 1']),
    { name => 'a blocked send', %block, do => send_to('in', '200'),
        right => '400 blocked 0', like => qr/^200 - 1\z/ },
    { name => 'a blocked conversation', before => send_to('in', '400 131047'),
        do => send_to('in', '200'), right => '400 blocked 0',
        like => qr/^200 - 1\z/ },
    { name => 'a message in a file', before => send_to('in', '400 131047'),
        do => send_to('file', '200'), right => '400 blocked 0',
        like => qr/^200 - 1\z/ },
    { name => 'a probe that is accepted', %due, do => send_to('fast', '200'),
        right => '200 probe 1', like => qr/^200 - 1\z/, ends => 1,
        probes => 1 },
    { name => 'a probe that fails', %due, do => send_to('fast', '400 133010'),
        right => '400 probe 1', like => $untold, ends => 1, probes => 1 },
    { name => 'a send that is sent again',
        do => send_to('again', '500 131016 | 400 131000 | 200'),
        right => '200 retried 3',
        like => qr/^(?:500 (?:passed|-) 1|400 (?:retried|-) 2|200 - 3)\z/ },
    { name => 'a webhook', right => '200 - 1', from => 'app', do => sub {
        $nginx->request($hook->delivery(payload(entry("5$phone",
            account_update('DISABLED_UPDATE',
                ban_info => { waba_ban_state => 'DISABLE' }),
            messages(phone => $phone, contacts => [contact('16505551234')],
                messages => [inbound(at => $at, from => '16505550000')],
                statuses => [map { status($_, at => $at) } 131042, 131047,
                    100, undef]))))) } },
    { name => 'a webhook that is paused', right => '503 blocked 0',
        from => 'app', like => qr/^(?:200 - 1|503 - 0)\z/, %block,
        do => sub { $nginx->request($hook->delivery(payload(entry("5$phone",
            messages(phone => $phone, messages => [inbound(at => $at)]))))) } },
    { name => 'a webhook of a stranger', right => '403 - 0', from => 'app',
        do => sub { $nginx->request($hook->delivery('{}',
            signature => 'sha256=' . '0' x 64)) } },
    { name => 'a state by hand', right => '201 - 0',
        do => sub { $kept->put($phone) } },
    map({ my $of = $_; { name => $of->[0], right => $of->[3] // '200 - 0',
        %block, do => sub { $nginx->request(method => $of->[1],
            path => "/graph/$of->[2]", body => $of->[4] // '',
            headers => ['Content-Type' => 'application/json']) } } }
        ['the list of states', 'GET', 'zones/z/states?limit=5'],
        ['the zones', 'GET', 'zones'],
        ['the table', 'GET', 'rules'],
        ['the metrics', 'GET', 'metrics'],
        ['the dashboard', 'GET', ''],
        ['explain', 'POST', 'explain', '200 - 0', '{"error":{"code":131042}}'],
        ['lookup', 'POST', 'zones/z/lookup', '200 - 0',
            '{"phone":"1","to":"16505551234"}'],
        ['a call that is refused', 'GET', 'zones/none', '404 - 0']),
    { name => 'all states are cleared', right => '204 - 0', %block, ends => 1,
        bystander => 0, do => sub { $api->delete('zones/z/states') } },
    { name => 'the state file is written', right => '201 - 0', do => sub {
        my $answer = $kept->put($phone);
        wait_until(sub { slurp($kept->file) =~ /"key":"$phone"/ }, 1)
            if $answer->{status} == 201;
        return $answer;
    } },
);


# -- one allocation fails -----------------------------------------------------

# states in force, with this case's own phone as "P"
sub known {
    my %known = map { my $key = $_->{key} // '-'; $key =~ s/$phone/P/;
        ("$_->{scope} $key $_->{reason}" => 1) } $dry->states('z', 'limit=1000');
    return \%known;
}

sub short {
    my ($answer, $reached) = @_;
    return join ' ', $answer->{error} // $answer->{status},
        $answer->{headers}{'x-graph-policy'} // '-', $reached;
}

# runs a case with that failure, or none; what was wrong is noted
sub run_case {
    my ($case, $kind, $i) = @_;

    $phone++;
    $at++;
    $dry->delete('zones/z/states');
    $kept->put(9999) if $case->{bystander} // 1;
    $case->{before}->() if $case->{before};

    my $before = known();
    my $from   = ($case->{from} // '') eq 'app' ? $app : $graph;

    $from->clear;
    $faults->fail($kind, $i);
    my $answer  = $case->{do}->();
    my $hit     = $faults->end;
    my $reached = $from->count;
    my $got     = short($answer, $reached);
    my $after   = known();

    my $where = "$case->{name}, $kind $i, $hit->{name} at "
        . sprintf '%#x', $hit->{from};
    my $say   = sub { push @wrong, "$where: $_[0]" };

    if (!$hit->{pid}) {
        $case->{states}{$_} = 1 for keys %$after;
        $case->{bodies}{ $answer->{status} } = $answer->{body};
        $case->{reached} = $reached;
        $say->($got) if $got ne $case->{right};
        return 0;
    }

    # the answer
    my $like = $case->{like} // qr/^none\z/;

    if ($answer->{error}) {
        $say->($got) if $answer->{error} ne 'closed';
    } else {
        $say->($got) if $got ne $case->{right} && $got !~ $like
            && $got !~ /^500 (?:-|blocked|probe|retried) /;
        $say->('not JSON') if $answer->{status} < 500
            && !$answer->{headers}{'content-encoding'}
            && ($answer->{headers}{'content-type'} // '') =~ /json/
            && $answer->{body} !~ /^\s*\{.*\}\s*\z/s;
    }
    $say->("it came $reached times") if $reached > $case->{reached};

    # states
    $say->("there is $_") for grep { !$before->{$_} && !$case->{states}{$_} }
        keys %$after;
    $say->("there isn't $_") for grep { !$after->{$_} && (!$case->{ends}
        || $case->{states}{$_}) } keys %$before;

    # the process, and what comes next
    my ($now) = $nginx->workers;

    if (($now // 0) != $worker) {
        $say->('the worker died');
        diag($nginx->log =~ /(^(?:\S+\(.*\[0x[0-9a-f]+\]\n)+)/m ? $1 : 'silently');
        wait_until(sub { ($worker) = $nginx->workers });
    }

    if ($case->{probes}) {
        my $next = short(send_to('fast', '200')->(), 0);
        $say->("a probe is kept back: $next") if $next !~ /^200 (?:probe|-) 0/;
    }

    my $next = short($nginx->request($hook->sending($phone + 1,
        token => 'other')), 0);
    $say->("then $next") if $next ne '200 - 0';
    return 1;
}

for my $case (grep { $_->{name} =~ /$only/ } @cases) {
    my $found = @wrong;

    run_case($case, 'own', 0);
    $total{cases}++;

    for my $kind (qw(own slab libc)) {
        my $i = 0;

        $total{$kind}++ while run_case($case, $kind, ++$i);
    }

    is_deeply([@wrong[$found .. ($#wrong < $found + 5 ? $#wrong : $found + 5)]],
        [], "$case->{name}: without the memory of one allocation");
}

spew($ENV{ALLOC_REPORT}, join '', map { "$_\n" } @wrong) if $ENV{ALLOC_REPORT};
if (!length $only) {
    cmp_ok($total{$_} // 0, '>=', 5, "there were some: $_")
        for qw(own slab libc);
}
note(join ', ', map { "$_ $total{$_}" } sort keys %total);


# -- wherever the memory of a request ends ------------------------------------

# Its pool has room for most of what is asked for, so the ends of its blocks are
# moved, by as little as the smallest structure of nginx takes.
{
    my %got;

    for my $size (map { 40 * $_ } 0 .. 90) {
        my %of = $hook->sending(77, in => 'full');

        for my $i (4 .. 9) {
            $faults->fail('libc', $i);
            my $answer = $nginx->request(%of,
                path => "$of{path}?padding=" . 'x' x $size);
            $faults->end;
            $got{ $answer->{error} // $answer->{status} }++;
        }
    }

    is_deeply([grep { !/^(?:200|50[02]|closed)\z/ } keys %got], [],
        'an accepted send, wherever its memory ends');
    is(($nginx->workers)[0], $worker, 'which the worker outlives');
    note(join ', ', map { "$_ $got{$_}" } sort keys %got);
}


# -- afterwards ---------------------------------------------------------------

# as many as there is room for, without and with all that went before
sub capacity {
    my ($base, $zone) = @_;

    my $at = GraphPolicy::Api->new(port => $nginx->port, base => $base);

    $at->delete("zones/$zone/states");
    $at->post("zones/$zone/states", { scope => 'phone', key => 20000 + $_,
        reason => 'phone-disconnected', hold => '1h' }) for 1 .. 1200;
    return scalar $at->states($zone, 'limit=1000');
}

cmp_ok(capacity('/graph/', 'z'), '>=', capacity('/unhurt/', 'unhurt') - 1,
    'no memory of the zone is lost');
ok($kept->settle, 'states are saved');

is_deeply([grep { !/\[alert\].*(?:malloc|memalign|calloc)/ }
    grep { !/\[(?:emerg|crit)\].*(?:malloc|posix_memalign)\(/ }
    $nginx->complaints], [], 'nothing is worth an alert but the memory');

done_testing();
