#!/usr/bin/perl

# Zones that are far too small for what webhooks and sends teach, in several
# workers that are reloaded and killed: nothing fails but what died with its
# worker, the application gets all that is signed, and what is set afterwards
# holds.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Time::HiRes qw(sleep time);

use GraphPolicy qw(slow finish_requests wait_until);
use GraphPolicy::Webhook qw(payload entry messages account_update status
    inbound contact);

my $workers = 4;
my $seconds = 8;

my $hook = GraphPolicy::Webhook->start(
    secrets   => ['s3cretOfAll'],
    secrets2  => ['s3cretOfOne 1 2 3', 's3cretOfAnother 4 5 6',
        's3cretOfEverybody'],
    workers   => $workers,
    log_level => 'warn',
    http      => conf());
my $nginx = $hook->nginx;

srand 4;

my @codes = (131042, 133010, 131031, 190, 131047, 131047, 131047, 131026,
    131048, 100, 130429);
my @events = qw(ACCOUNT_OFFBOARDED ACCOUNT_RECONNECTED ACCOUNT_DELETED);


# -- under load ---------------------------------------------------------------

my %seen = (200 => 0, 503 => 0, blocked => 0, probe => 0, passed => 0);
my ($cut, $killed, $reloads, $begun) = (0, 0, 0, 0);
my @wrong;
my $end = time + $seconds;

# a slow machine gets more time to see each kind of answer and of trouble
my $last = $end + 60;

for (my $round = 1;
     time < $end || (time < $last
         && ($killed < 2 || $reloads < 2 || grep { $_ == 0 } values %seen));
     $round++)
{
    my @calls;

    for (1 .. 12) {
        my $in = (32, 64)[rand 2];

        push @calls, map { $nginx->start_request(%$_) }
            { a_webhook($in) }, { a_send($in) }, { a_send($in) };
    }
    $begun += @calls;

    if ($round % 7 == 0) {
        my @victims = ($nginx->workers)[rand $workers];

        kill 'KILL', grep { defined } @victims;
        $killed += @victims;
    } elsif ($round % 11 == 0) {
        $nginx->signal('HUP');
        $reloads++;
    }

    for my $answer (finish_requests(@calls)) {
        my $policy = $answer->{headers}{'x-graph-policy'};

        if ($answer->{error}) {
            $cut++;
        } elsif ($answer->{status} =~ /^(?:200|400|401|429|503)$/) {
            $seen{ $answer->{status} }++;
            $seen{$policy}++ if defined $policy;
        } else {
            push @wrong, "round $round: $answer->{status}";
        }
    }

    $hook->app->clear;
    $hook->graph->clear;
}

is_deeply(\@wrong, [], 'no request fails');
cmp_ok($seen{$_}, '>', 0, "there was \"$_\"") for sort keys %seen;
cmp_ok($killed, '>', 1, "$killed workers were killed");
cmp_ok($reloads, '>', 1, "$reloads reloads");
cmp_ok($cut, '<', $begun / 4, 'most requests were answered');

ok(wait_until(sub { (my @now = $nginx->workers) == $workers }),
    'all workers are there');


# -- and after it -------------------------------------------------------------

for my $in (32, 64) {
    my $name = "${in}k";
    my @of   = (in => $in);
    my @hook = (path => "/hook/$in");
    my ($account, $phone, $sister) = ("9$in", "91$in", "92$in");
    my $now  = int time;

    # what was set by webhooks is the last to leave
    $hook->is_received(payload(entry($account, messages(phone => $phone,
        statuses => [status(133010)]))), "$name, a phone", @hook);
    $hook->is_blocked($phone, 'phone-disconnected 133010', "$name, a phone",
        @of);

    $hook->is_received(payload(entry('9', map { messages(phone => "8$_",
        messages => [inbound(from => "1555000$_")],
        statuses => [status(131047, to => "1666000$_")]) } 1 .. 500)),
        "$name, a flood of phones and conversations", @hook);
    $hook->is_blocked($phone, 'phone-disconnected 133010',
        "$name, after the flood", @of);

    # in the smaller one there is no room for a phone's link beside states
    next if $in == 32;

    # the newest one has room where there are older ones
    $hook->is_received(payload(entry($account, time => $now,
        messages(phone => $sister, messages => [inbound()]),
        account_update('DISABLED_UPDATE',
            ban_info => { waba_ban_state => 'DISABLE' }))),
        "$name, an account", @hook);
    $hook->is_blocked($sister, 'account-restricted 368', "$name, an account",
        @of);

    # and it is over
    $hook->is_received(payload(entry($account, time => $now,
        account_update('DISABLED_UPDATE',
            ban_info => { waba_ban_state => 'REINSTATE' }))),
        "$name, REINSTATE", @hook);
    isnt($hook->send($sister, @of)->{headers}{'x-graph-policy'} // '-',
        'blocked', "$name, REINSTATE");
}

is_deeply([grep { !/ (?:worker\ process\ \d+\ exited\ on\ signal\ 9
        |shared\ memory\ zone\ "k\d\d"\ was\ locked
        |a\ worker\ died\ while) /x } $nginx->complaints], [],
    'the log has the dead workers, and nothing else to complain of');
unlike($nginx->log, qr/exited on signal (?!9\b)|Sanitizer|runtime error/,
    'nobody died of something else');

done_testing();


# -- helpers ------------------------------------------------------------------

sub conf {
    my $locations = join '', map { <<"END" } 32, 64;
    location /$_/ {
        graph_policy              zone=k$_;
        graph_policy_hold         20ms max=200ms;
        graph_policy_conversation on hold=1m;
        graph_policy_cooldown     on;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /hook/$_ {
        graph_policy                     zone=k$_;
        graph_policy_hold                1h;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /brief/$_ {
        graph_policy                     zone=k$_;
        graph_policy_hold                20ms max=200ms;
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS2;
        graph_policy_webhook_pause       on;
        proxy_pass                       http://127.0.0.1:APP;
    }
END

    return <<"END";
graph_policy_zone zone=k32:32k;
graph_policy_zone zone=k64:64k;

server {
    listen 127.0.0.1:%PORT%;
$locations}
END
}

sub any { return $_[rand @_] }

sub a_phone    { return 1 + int rand 60 }
sub an_account { return 1 + int rand 6 }
sub a_customer { return 15_550_000_000 + int rand 400 }
sub a_time     { return int(time) - int rand any(3, 600, 1000) }

# a payload of all that can be taught
sub a_webhook {
    my ($in) = @_;

    my @entries = map {
        my $account = an_account();

        entry($account, time => a_time(),
            (map { account_update(any(@events)) } 1 .. rand 1.5),
            (map { account_update('DISABLED_UPDATE', ban_info =>
                { waba_ban_state => any('DISABLE', 'REINSTATE') }) }
                1 .. rand 1.5),
            map { messages(phone => a_phone(),
                contacts => [contact(a_customer())],
                messages => [map { inbound(at => a_time(),
                    from => a_customer()) } 1 .. rand 3],
                statuses => [map { status(any(@codes), at => a_time(),
                    to => a_customer()) } 1 .. rand 6]) } 1 .. rand 6)
    } 1 .. 3;

    return $hook->delivery(payload(@entries), path => "/brief/$in",
        secret => any('s3cretOfOne', 's3cretOfAnother',
            's3cretOfEverybody'));
}

sub a_send {
    my ($in) = @_;

    return $hook->sending(a_phone(), in => $in, to => a_customer(),
        token => any('a', 'b', 'c'), script => any('200', '200', '200',
            '400 133010', '400 131042 trace=' . 'T' x 60, '401 190',
            '400 131047', '400 131056', '429 130429', '400 131031'));
}
