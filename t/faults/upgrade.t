#!/usr/bin/perl

# Binary upgrade, restart, reload and death, each under load: what is known is
# known afterwards, and whatever is answered meanwhile is answered right.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();

use GraphPolicy qw(wait_until);
use GraphPolicy::Daemon;
use GraphPolicy::Kept;
use GraphPolicy::Load;
use GraphPolicy::Webhook qw(message);

my $workers = 2;
my $clients = 2;
my $at_once = 4;

my $kept = GraphPolicy::Kept->new;

$kept->start(class => 'GraphPolicy::Daemon', workers => $workers,
    http => <<'END');
graph_policy_zone zone=z:1m state=FILE;

server {
    listen 127.0.0.1:%PORT%;

    graph_policy      zone=z;
    graph_policy_hold 1h;

    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /gate/ {
        graph_policy_conversation on hold=1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
}
END

my $nginx = $kept->nginx;
my $graph = $kept->graph;


# -- what is known, and what is sent ------------------------------------------

my %phone = map { $_ => $kept->new_phone }
    qw(answer hand frozen bound open gate);

$kept->send($phone{answer}, '400 133010 trace=Atrace');
$kept->send($phone{bound}, '404 33', token => 'owner');
$kept->put($phone{hand}, hold => '2h');
$kept->put($phone{frozen}, probe => JSON::PP::false);

my %id = map { $_->{key} => $_->{id} } $kept->api->states('z');

ok($kept->settle, 'four states are saved');

my $known = $kept->known;
is(keys %$known, 4, 'and no more');

# What a send of that kind has to get: its status, and the phone whose state
# stops it. "limited" is stopped by its own error, wherever that isn't known yet.
my %kinds = (
    answer  => { is => 400, held => $phone{answer} },
    hand    => { is => 400, held => $phone{hand} },
    frozen  => { is => 400, held => $phone{frozen} },
    bound   => { is => 404, held => $phone{bound}, token => 'owner' },
    other   => { is => 200, phone => $phone{bound} },
    open    => { is => 200, phone => $phone{open} },
    spoken  => { is => 200, phone => $phone{gate}, in => '/gate',
        to => '16505550002' },
    limited => { is => 400, phone => $phone{gate}, in => '/gate',
        to => '16505550001', script => '400 131047' },
);
my @kinds = sort keys %kinds;

sub next_send {
    my ($name) = @_;

    my ($number) = $name =~ /(\d+)\z/;
    my $kind     = $kinds[ $number % @kinds ];
    my $of       = $kinds{$kind};

    return (
        kind    => $kind,
        path    => ($of->{in} // '') . '/v25.0/' . ($of->{held}
            // $of->{phone}) . '/messages',
        token   => $of->{token} // 'somebody',
        body    => message($of->{to} // '16505551234'),
        headers => ['Content-Type' => 'application/json', 'X-Name' => $name,
            'X-Mock' => $of->{script} // '200'],
    );
}

# what is wrong with an answer that is complete; how often it reached the
# Graph API
sub is_wrong {
    my ($answer, $seen) = @_;

    my $of      = $kinds{ $answer->{kind} };
    my $headers = $answer->{headers};
    my $got     = join ' ', $answer->{status},
        $headers->{'x-graph-policy'} // '-', $headers->{'x-graph-state'} // '-',
        $headers->{'x-graph-error-reason'} // '-', $seen;

    return if $of->{is} == 200 && $got eq '200 - - - 1';
    return if $of->{held} && $got =~ /^$of->{is}\ blocked
        \ $id{ $of->{held} }\ \S+\ 0\z/x;
    return if $answer->{kind} eq 'limited' && ($got =~
        /^400 blocked \S+ window-expired 0$/
        || $got eq '400 passed - window-expired 1');

    return "$answer->{kind}: $got";
}

# so many sends more reach the Graph API
sub goes_on {
    my ($name, $more) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $count = $graph->count + ($more // 40);
    cmp_ok($graph->wait_for($count, 15), '>=', $count, "$name: sends go on");
}

# What happens under load, and what may come of it:
#
#   afresh   how many times a zone begins without the conversations, which no
#            file keeps: none by default
#   cut      which sends may end without an answer: none by default; "unread",
#            those whose connection nobody has accepted; "any"
sub under_load {
    my ($name, $happens, %may) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    # the conversation is limited to begin with
    is($kept->send($phone{gate}, '400 131047', in => 'gate',
        to => '16505550001')->{status}, 400, "$name: begins");
    $graph->clear;

    my $load = GraphPolicy::Load->start(port => $nginx->port,
        next => \&next_send, processes => $clients, at_once => $at_once);

    goes_on("$name, before");
    $happens->($name);
    goes_on("$name, after");

    my @answers = $load->stop;
    my @reached = $graph->requests;
    my (%seen, %got, @wrong);

    $seen{ $_->{headers}{'x-name'} }++ for @reached;

    for my $answer (@answers) {
        my $seen = $seen{ $answer->{name} } // 0;
        my $kind = $answer->{kind};

        if ($answer->{error}) {
            $got{cut}++;
            push @wrong, "$kind: $answer->{error} $answer->{bytes} $seen"
                if $seen > 1 || $kinds{$kind}{held} && $seen
                || $answer->{error} ne 'closed' || !$may{cut}
                || $may{cut} eq 'unread' && ($seen || $answer->{bytes});
            next;
        }

        my $wrong = is_wrong($answer, $seen);
        push @wrong, $wrong if defined $wrong;
        $got{$kind}++;
        $got{passed}++ if $kind eq 'limited' && $seen;
    }

    is_deeply([@wrong[0 .. ($#wrong < 9 ? $#wrong : 9)]], [],
        "$name: every answer is right");
    is_deeply([grep { ($got{$_} // 0) < 5 } @kinds], [],
        "$name: there are some of each kind");

    # each that is under way may be on its way when the first comes back
    cmp_ok($got{passed} // 0, '<=', ($may{afresh} // 0) * $clients * $at_once,
        "$name: a conversation that was limited");

    my $held = join '|', @phone{qw(answer hand frozen)};

    is(scalar(grep { $_->{uri} =~ m{/(?:$held)/} } @reached), 0,
        "$name: nothing of what is held reaches the Graph API");
    is_deeply($kept->known, $known, "$name: all states are as they were");

    note("$name: ", scalar @answers, ' answers, ', $got{cut} // 0, ' cut, ',
        $got{passed} // 0, ' passed');
}


# -- binary upgrade -----------------------------------------------------------

# another master, which serves beside the old one
sub upgrade {
    my ($name) = @_;

    my $old = $nginx->pid;
    my @old_workers = $nginx->workers;

    $nginx->signal('USR2');
    ok($nginx->follow($old), "$name: a new master and its workers");
    return ($old, @old_workers);
}

under_load('upgrade', sub {
    my ($name) = @_;

    my @old = upgrade($name);
    goes_on("$name, both serve");
    $nginx->stop_master($old[0], 'QUIT');
    ok($kept->gone(@old), "$name: the old master and its workers are gone");
}, afresh => 1);

for my $case (['QUIT'], ['TERM', cut => 'any']) {
    my ($signal, @cut) = @$case;

    under_load("upgrade given up by $signal", sub {
        my ($name) = @_;

        my ($old)  = upgrade($name);
        my @new    = ($nginx->pid, $nginx->workers);

        goes_on("$name, both serve");
        $nginx->stop_master($new[0], $signal);
        ok($kept->gone(@new), "$name: the new master and its workers are gone");
        $nginx->lead($old);
    }, afresh => 1, @cut);
}

# The new one alone serves for a while, and learns something. Then the old one
# has workers again; returns the processes of both.
sub given_up_late {
    my ($name) = @_;

    my ($old, @gone) = upgrade($name);
    my @new = ($nginx->pid, $nginx->workers);

    kill 'WINCH', $old;
    ok($kept->gone(@gone), "$name: the old workers are gone");
    $kept->put($kept->new_phone);
    ok($kept->settle, "$name: the new one learns something");
    $known = $kept->known;

    $nginx->lead($old);
    $nginx->signal('HUP');
    ok(wait_until(sub { $workers == (() = $nginx->workers) }),
        "$name: the old one has workers again");
    return ([$old, $nginx->workers], \@new);
}

under_load('upgrade given up late', sub {
    my ($name) = @_;

    my (undef, $new) = given_up_late($name);

    goes_on("$name, both serve");
    $nginx->stop_master($new->[0], 'QUIT');
    ok($kept->gone(@$new), "$name: the new master and its workers are gone");
    ok(wait_until(sub { keys %{ $kept->known } == keys %$known }),
        "$name: the old one knows what the new one learnt");
}, afresh => 1);

# the old one ends before a worker of it has read what the new one learnt
{
    my $name = 'upgrade given up, then ended';
    my ($old, $new) = given_up_late($name);
    my ($master, @stopped) = @$old;

    kill 'STOP', @stopped;
    $nginx->stop_master($new->[0], 'QUIT');
    ok($kept->gone(@$new), "$name: the new master and its workers are gone");
    $nginx->stop_master($master, 'TERM');
    kill 'KILL', @stopped;
    ok($kept->gone(@$old), "$name: the old ones, too");

    $nginx->run;
    is_deeply($kept->known, $known, "$name: all states are as they were");
}


# -- restart ------------------------------------------------------------------

under_load('restart', sub {
    my ($name) = @_;

    my @old = ($nginx->pid, $nginx->workers);

    $nginx->stop('QUIT');
    ok($kept->gone(@old), "$name: all are gone");
    $nginx->run;
}, afresh => 1, cut => 'unread');

under_load('kill -9 of the master', sub {
    my ($name) = @_;

    my @orphans = $nginx->workers;
    my $late    = $kept->new_phone;

    GraphPolicy::adopt($_) for @orphans;
    $nginx->stop('KILL');
    ok($kept->gone($nginx->pid), "$name: it is gone");
    goes_on("$name, the workers serve");
    $kept->put($late);
    ok($kept->settle, "$name: what they learn is saved");
    $known = $kept->known;

    kill 'KILL', @orphans;
    ok($kept->gone(@orphans), "$name: they are gone, too");
    $nginx->stop_master($_, 'KILL') for @orphans;
    $nginx->run;
}, afresh => 1, cut => 'any');


# -- what the zone outlives ---------------------------------------------------

under_load('kill -9 of workers', sub {
    my ($name) = @_;

    for my $round (1 .. 8) {
        my @now    = $nginx->workers;
        my @killed = $round % 4 ? $now[ $round % @now ] : @now;

        kill 'KILL', @killed;
        ok($kept->gone(@killed)
            && wait_until(sub { $workers == (() = $nginx->workers) }),
            "$name, $round: there are new ones");
        goes_on("$name, $round", 15);
    }
}, cut => 'any');

under_load('reloads', sub {
    my ($name) = @_;

    for my $round (1 .. 6) {
        ok($nginx->reload, "$name, $round: new workers");
        goes_on("$name, $round", 15);
    }
});


# -- the end ------------------------------------------------------------------

$kept->saves('after all that, a change', sub { $kept->put($kept->new_phone) });
$known = $kept->known;
ok($kept->end_by('KILL'), 'all are killed');
$nginx->run;
is_deeply($kept->known, $known, 'and begin with all states');

is_deeply([grep { !/exited\ on\ signal\ 9|was\ locked\ by/x }
    $nginx->complaints], [], 'nothing is wrong in the log but what was killed');
$kept->api->is_clean;

my @last = ($nginx->pid, $nginx->workers);
$nginx->stop('QUIT');
ok($kept->gone(@last), 'it is over');

done_testing();
