#!/usr/bin/perl

# graph_policy_zone state=FILE: what is known outlives nginx, however that ends.
# Files that are broken, and disks, are in state_file_broken.t.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Time::HiRes qw(sleep time);

use GraphPolicy qw(slow slurp spew wait_until finish_requests);
use GraphPolicy::Daemon;
use GraphPolicy::Kept;
use GraphPolicy::Webhook qw(payload entry messages status inbound short);

my $brief   = 300 * slow();
my @secrets = qw(tokenOfSomebody 16505551234 s3cretOfTheApp);

my $http = <<"END";
graph_policy_zone zone=z:1m state=FILE;
graph_policy_zone zone=other:256k;

server {
    listen 127.0.0.1:%PORT%;

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
    location /gate/ {
        graph_policy_conversation on hold=1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /watch/ {
        graph_policy_rule 131042 fatal dry_run=on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /other/ {
        graph_policy zone=other;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
}
END

my $kept = GraphPolicy::Kept->new;
my $file = $kept->file;

$kept->start(secrets => ['s3cretOfTheApp'], private => \@secrets,
    workers => 2, http => $http);

my $hook  = $kept->hook;
my $nginx = $kept->nginx;
my $graph = $kept->graph;
my $api   = $kept->api;

sub restart {
    my ($signal) = @_;

    ok($kept->end_by($signal), "$signal ends nginx");
    $nginx->run;
}

# so many sends of a phone that are under way
sub sends {
    my ($count, $phone) = @_;
    return map { $nginx->start_request($hook->sending($phone,
        token => "tokenOfSomebody$_")) } 1 .. $count;
}

# what became of them, {'status policy' => number}
sub fates {
    my %got;
    $got{ ($_->{error} // $_->{status}) . ' '
        . ($_->{headers}{'x-graph-policy'} // '-') }++
        for finish_requests(@_);
    return \%got;
}


# -- what is kept -------------------------------------------------------------

my %phone = map { $_ => $kept->new_phone } qw(answer bare webhook sister bound
    rearmed frozen hand watched credential pair other);

for my $case ([5001, qw(webhook sister)], [5002, qw(pair other)]) {
    my ($account, @names) = @$case;
    is(short($hook->deliver(payload(entry($account, map { messages(phone => $_,
        messages => [inbound()]) } @phone{@names})))), '200 - 1',
        "phones of $account");
}

$kept->send($phone{rearmed}, '400 131031 trace=Aone', in => 'brief');
$kept->send($phone{answer}, '400 133010/7 trace=Atrace_1');
$kept->send($phone{bare}, '400 131042');
$kept->send($phone{watched}, '400 131042', in => 'watch');
my $bound = $kept->send($phone{bound}, '404 33', token => 'tokenOfSomebodyA');
my $bad   = $kept->send($phone{credential}, '401 190/463',
    token => 'tokenOfSomebodyB');
$kept->send($kept->new_phone, '400 131047', in => 'gate',
    to => '16505551234');
$kept->put($phone{hand});
$kept->put($phone{frozen}, probe => JSON::PP::false);
is(short($hook->deliver(payload(entry(5001, time => int time,
    messages(phone => $phone{webhook}, statuses => [status(131042)]))))),
    '200 - 1', 'an error of the account');
ok(wait_until(sub { $kept->fate($phone{rearmed}, '400 131031 trace=Atwo')
    eq 'probe' }), 'a state is re-armed');

ok(wait_until(sub { -s $file }, 5), 'the states are saved a moment later');
ok($kept->settle, 'all of them');
is(((stat $file)[2] // 0) & 07777, 0600, 'for nobody else to read');
ok(wait_until(sub { join(' ', glob $kept->dir . '/*') eq $file }),
    'and nothing else lies beside them');
unlike(slurp($file), qr/tokenOfSomebody|16505551234|s3cretOfTheApp/,
    'nor are secrets in them');

my $before = $kept->known;

is(scalar keys %$before, 9, 'nine states');
is($kept->links, 4, 'and four phones of two accounts');

# that all is as it was
sub all_is_known {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_deeply($kept->known, $before, "$name: all states");
    is($kept->links, 4, "$name: phones of accounts");
    is($kept->fate($phone{$_}), 'blocked', "$name: $_")
        for qw(answer bare webhook sister frozen hand);

    for my $case (['bound', $bound, 'A'], ['credential', $bad, 'B']) {
        my ($what, $answer, $letter) = @$case;
        my $now = $kept->send($phone{$what}, '200',
            token => "tokenOfSomebody$letter");

        is($now->{headers}{'x-graph-policy'}, 'blocked', "$name: $what");
        is($now->{headers}{'x-credential'},
            $answer->{headers}{'x-credential'}, "$name: $what, fingerprint");
        is($kept->fate($phone{$what}), '-', "$name: $what, another");
    }
    is($kept->send($phone{frozen}, '200')->{headers}{'x-graph-hold'}, undef,
        "$name: frozen");
}

all_is_known('before');

for my $signal (qw(QUIT TERM KILL)) {
    restart($signal);
    all_is_known($signal);
    is_deeply([$api->states('z', 'scope=conversation')], [],
        "$signal: no conversation");
}

# what is known of accounts goes on to teach
is($kept->fate($phone{pair}, '403 368'), 'passed', 'an error of an account');
is($kept->fate($phone{other}), 'blocked', 'covers its other phone');

# a re-armed state is due in the end, and probed
{
    my $look = sub { $api->one('z', reason => 'account-restricted',
        key => $phone{rearmed}) };

    ok(wait_until(sub { $look->()->{due} }), 'a state is due');
    restart('QUIT');

    my $due = $look->();
    ok($due->{due}, 'what was due is due');
    is($due->{holds}, 2, 'its holds are counted');
    is($kept->fate($phone{rearmed}), 'probe', 'the next send probes');
    is_deeply($look->(), {}, 'and clears it');
}

# saved at exit, though there was no time before
for my $signal (qw(TERM QUIT)) {
    my ($set, $cleared) = ($kept->new_phone, $kept->new_phone);

    $kept->put($cleared);
    ok($kept->settle, "$signal: all is saved");
    $kept->drop($cleared);
    $kept->put($set);
    restart($signal);
    is($kept->fate($set), 'blocked', "$signal: what was just set");
    is($kept->fate($cleared), '-', "$signal: what was just cleared");
}

# of a zone without a file nothing is kept
{
    my %other = (in => 'other');

    $kept->send('5550001', '400 133010', %other);
    is($kept->fate('5550001', '200', %other), 'blocked', 'another zone');
    restart('QUIT');
    is($kept->fate('5550001', '200', %other), '-',
        'another zone, without a file');
}


# -- workers ------------------------------------------------------------------

# one by one and all at once they are killed, under load
{
    my $phone = $kept->new_phone;

    $kept->put($phone);
    ok($kept->settle, 'workers are killed: all is saved');

    my $all = $kept->known;
    my (%held, %passed);

    for my $round (1 .. 6) {
        my @workers = $nginx->workers;
        my @calls   = map { (sends(1, $phone), sends(1, 7_770_000 + $_)) }
            1 .. 10;

        kill 'KILL', $round % 3 ? $workers[ $round % @workers ] : @workers;

        my @answers = finish_requests(@calls);

        for my $i (0 .. $#answers) {
            next if $answers[$i]{error};
            my $fate = "$answers[$i]{status} "
                . ($answers[$i]{headers}{'x-graph-policy'} // '-');
            $i % 2 ? $passed{$fate}++ : $held{$fate}++;
        }

        ok(wait_until(sub { 2 == (() = $nginx->workers) }), 'new workers');
    }

    cmp_ok($held{'400 blocked'} // 0, '>', 10,
        'workers are killed: some answers come');
    is_deeply([grep { $_ ne '400 blocked' } keys %held], [],
        'workers are killed: what is blocked stays blocked');
    is_deeply([grep { $_ ne '200 -' } keys %passed], [],
        'workers are killed: all else passes');
    is_deeply($kept->known, $all, 'workers are killed: all states');

    my $next = $kept->new_phone;
    $kept->saves('workers are killed, a change',
        sub { $kept->put($next) });
}

# reload under load
{
    my ($phone, $next) = ($kept->new_phone, $kept->new_phone);

    $kept->put($phone);

    my $all = $kept->known;
    my %got;

    for my $round (1 .. 3) {
        my @calls = sends(10, $phone);
        ok($nginx->reload, 'a reload');
        my $fates = fates(@calls, sends(10, $phone));
        $got{$_} += $fates->{$_} for keys %$fates;
    }

    is_deeply(\%got, { '400 blocked' => 60 }, 'reload: all are blocked');
    is_deeply($kept->known, $all, 'reload: all states');

    $kept->saves('reload, a change', sub { $kept->put($next) });

    # old workers that saved as they left would bring it back
    $kept->drop($next);
    ok($kept->settle, 'reload: clearing is saved');
    $all = $kept->known;
    restart('KILL');
    is_deeply($kept->known, $all, 'reload, then killed: all states');
    is($kept->fate($next), '-', 'reload, then killed: what was cleared');
}

{
    my $log = $nginx->log;

    is_deeply([grep { index($log, $_) >= 0 } @secrets], [],
        'nothing private is in the log');
    is_deeply([grep { !/exited\ on\ signal\ 9|was\ locked\ by/x }
        $nginx->complaints], [], 'nothing is wrong in it but what was killed');
}

$api->is_clean;
ok($kept->end_by('QUIT'), 'it is over');


# -- binary upgrade -----------------------------------------------------------

{
    unlink $file;
    $kept->follow(GraphPolicy::Daemon->start(graph => $graph, workers => 2,
        http => $hook->filled($http =~ s/\bFILE\b/$file/gr)));
    $nginx = $kept->nginx;
    $api   = $kept->api;

    my ($held, $cleared, $late, $busy) = map { $kept->new_phone } 1 .. 4;
    my $old = $nginx->pid;

    $kept->send($held, '400 133010 trace=Atrace');
    $kept->put($cleared);
    ok($kept->settle, 'upgrade: all is saved');

    my $all = $kept->known;
    is(scalar keys %$all, 2, 'upgrade: two states');

    # somebody keeps an old worker from leaving
    my $reached = $graph->count;
    my $slow = $nginx->start_request($hook->sending($busy,
        script => '200 wait=upgrade', token => 'tokenOfSomebody',
        timeout => 60));
    is($graph->wait_for($reached + 1), $reached + 1,
        'upgrade: a send is under way');

    my @old_workers = $nginx->workers;
    $nginx->signal('USR2');
    ok($nginx->follow($old), 'upgrade: a new master, and its workers');

    my @calls = sends(20, $held);
    kill 'QUIT', $old;
    is_deeply(fates(@calls, sends(20, $held)), { '400 blocked' => 40 },
        'upgrade: old and new block the same');

    ok(wait_until(sub { !grep { my $title = slurp("/proc/$_/cmdline");
        length $title && $title !~ /shutting down/ } @old_workers }),
        'upgrade: the old workers are leaving');
    is_deeply($kept->known, $all, 'upgrade: all states');

    $kept->drop($cleared);
    $kept->put($late);
    ok($kept->settle, 'upgrade: what the new one learns is saved');
    $all = $kept->known;

    $graph->release('upgrade');
    my ($answer) = finish_requests($slow);
    is($answer->{status}, 200, 'upgrade: the old worker ends its work');
    ok($kept->gone($old, @old_workers), 'upgrade: the old master is gone');

    # had it saved as it left, it would have undone that
    my @pids = ($nginx->pid, $nginx->workers);
    kill 'KILL', @pids;
    ok($kept->gone(@pids), 'upgrade: the new one is killed');
    $nginx->run;

    is_deeply($kept->known, $all, 'upgrade: it was in the file');
    is($kept->fate($late), 'blocked', 'upgrade: what was learnt');
    is($kept->fate($cleared), '-', 'upgrade: what was cleared');
    $api->is_clean;

    my $last = $nginx->pid;
    kill 'TERM', $last;
    ok($kept->gone($last), 'upgrade: over');
}


# -- time goes by -------------------------------------------------------------

SKIP: {
    my $clock = clock();
    skip 'no other clock here', 10 if !$clock;

    unlink $file;
    $kept->follow(GraphPolicy::Nginx->start(graph => $graph,
        http => $hook->filled($http =~ s/\bFILE\b/$file/gr)));
    $nginx = $kept->nginx;
    $api   = $kept->api;

    my ($ten, $two, $frozen) = map { $kept->new_phone } 1 .. 3;

    $kept->put($ten, hold => '10s');
    $kept->put($two, hold => '2h');
    $kept->put($frozen, probe => JSON::PP::false);
    my $since = $api->one('z', key => $two)->{since};
    ok($kept->settle, 'time: all is saved');
    ok($kept->end_by('KILL'), 'time: goes by');

    {
        local $ENV{LD_PRELOAD}      = $clock;
        local $ENV{SECONDS_TO_COME} = 25.5 * 3600;
        $nginx->run;
    }

    my $all = $kept->known;
    my %is  = map { $_->{key} => $_ } grep { $all->{ $_->{id} } }
        $api->states('z');

    is_deeply([sort keys %is], [sort $two, $frozen],
        'a day after its end a state is dropped');
    ok($is{$two}{due}, 'one that ended lately is due');
    is($is{$two}{since}, $since, 'and began when it did');
    is($is{$frozen}{until}, undef, 'one that is frozen has no end');
    is($kept->fate($frozen), 'blocked', 'and holds');
    is($kept->fate($ten), '-', 'what is dropped covers nothing');
    is($kept->fate($two), 'probe', 'what is due is probed');
    $api->is_clean;
    ok($kept->end_by('QUIT'), 'time: over');
}

done_testing();


# -- helpers ------------------------------------------------------------------

# a library that sets the clock of a process ahead; undef if there can be none
sub clock {
    return if ($ENV{KIND} // '') eq 'asan';

    my $name = $kept->dir . '/clock';

    spew("$name.c", <<'END');
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long  to_come;

__attribute__((constructor)) static void
init(void)
{
    char  *s = getenv("SECONDS_TO_COME");

    to_come = (s == NULL) ? 0 : atol(s);
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  rc = syscall(SYS_clock_gettime, id, ts);

    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) {
        ts->tv_sec += to_come;
    }

    return rc;
}

int
gettimeofday(struct timeval *tv, void *tz)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}

time_t
time(time_t *t)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    if (t != NULL) {
        *t = ts.tv_sec;
    }

    return ts.tv_sec;
}
END

    my $built = system(($ENV{CC} || 'cc') . " -w -shared -fPIC -o $name.so"
        . " $name.c >/dev/null 2>&1") == 0;

    chmod 0755, "$name.so" if $built;
    return $built ? "$name.so" : undef;
}
