#!/usr/bin/perl

# Memory runs out once while nginx reads its configuration, starts, reads the
# file of states, or reloads: it does what it would have done, or refuses, and
# never dies of it; and no state is lost.
#
# Of a reload each allocation that the module asks for fails once: nginx's master
# ends, and leaves its workers behind, where a module fails late in it.
#
# Environment:
#   ALLOC_ALL   "yes" tries every allocation, for minutes; else there are
#   ALLOC_SOME  so many of each other kind (8)
#   ALLOC_SEED  others of them (1)

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Socket::INET;
use List::Util qw(shuffle);
use POSIX ();
use Time::HiRes qw(time);

use GraphPolicy qw(slurp spew wait_until);
use GraphPolicy::Faults;
use GraphPolicy::Kept;
use GraphPolicy::Webhook qw(payload entry messages inbound);

plan skip_all => GraphPolicy::Faults::missing()
    if GraphPolicy::Faults::missing();

my $all  = ($ENV{ALLOC_ALL} // '') eq 'yes';
my $some = $ENV{ALLOC_SOME} || 8;
srand($ENV{ALLOC_SEED} || 1);

my $faults = GraphPolicy::Faults->new;
my $kept   = GraphPolicy::Kept->new;
my $key    = $kept->dir . '/key';

spew($key, 'k' x 32);
chmod 0600, $key or die "chmod: $!";

# one of each directive
$faults->within(sub {
    $kept->start(secrets => ['s3cretOfTheApp', 's3cretOfOne 1 2 3'],
        http => <<"END") });
graph_policy_zone      zone=z:256k state=FILE;
graph_policy_zone      zone=fleet:256k;
graph_policy_sync      zone=fleet server=127.0.0.1:%PORT2% key_file=$key;
graph_policy_event_log syslog:server=unix:%DIR%/nobody;
log_format             own '\$graph_policy_status \$graph_policy_credential';

server {
    listen 127.0.0.1:%PORT%;

    access_log               %DIR%/access.log own;
    graph_policy             zone=z;
    graph_policy_hold        1h;
    graph_policy_account     \$http_x_account;
    graph_policy_log_level   notice;
    graph_policy_buffer_size 32k;

    graph_policy_rule 131048 fatal scope=phone hold=1h dry_run=on;
    graph_policy_rule 470-480 temporary retry=on outcome=refused;

    location / {
        graph_policy_retry        attempts=4 base=10ms budget=10%;
        graph_policy_conversation on hold=1h;
        graph_policy_cooldown     on;
        graph_policy_pause        all;
        graph_policy_status       400;
        proxy_pass                http://127.0.0.1:%GRAPH%;
    }
    location /fleet/ {
        graph_policy zone=fleet;
        proxy_pass   http://127.0.0.1:%GRAPH%;
    }
    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_pause       on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
}
END

my $nginx = $kept->nginx;
my %total;


# -- which ones ---------------------------------------------------------------

# all numbers up to the count that "what" comes to, or some
sub numbers {
    my ($kind, $what, $every) = @_;

    $faults->fail($kind, 0);
    $what->();
    my $seen = $faults->end->{seen};
    return 1 .. $seen if $all || $every;
    return grep { defined } (shuffle 1 .. $seen)[0 .. $some - 1];
}

# what was wrong
sub each_fails {
    my ($name, $kinds, $what, $is_wrong, $every) = @_;

    my @wrong;

    for my $kind (@$kinds) {
        for my $i (numbers($kind, $what, $every)) {
            $faults->fail($kind, $i);
            my $got = $what->();
            my $hit = $faults->end;
            my $why = $is_wrong->($got, $hit);

            $total{"$name, $kind"}++ if $hit->{pid};
            push @wrong, sprintf '%s %d, %s at %#x: %s', $kind, $i,
                $hit->{name}, $hit->{from}, $why if defined $why;
        }
    }

    is_deeply([@wrong[0 .. ($#wrong < 9 ? $#wrong : 9)]], [],
        "$name: without the memory of one allocation");
}


# -- nginx -t -----------------------------------------------------------------

sub tested {
    my $out = $nginx->dir . '/test.out';
    my $pid = fork // die "fork: $!";

    if (!$pid) {
        open STDOUT, '>', $out or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
        $faults->within(sub { exec { ($nginx->command)[0] }
            $nginx->command('-t') });
        POSIX::_exit(127);
    }

    waitpid $pid, 0;
    return { status => $?, said => slurp($out) };
}

is(tested()->{status}, 0, 'the configuration is right') or diag(tested()->{said});

each_fails('nginx -t', [qw(own slab libc)], \&tested, sub {
    my ($got, $hit) = @_;

    # the C library's own look-up of users doesn't check it
    return "it died of $got->{status}" if $got->{status} & 127
        && ($hit->{from} || $got->{said} !~ /__nss_\w+lookup/);
    return "exit $got->{status}"
        if $got->{status} > 127 && $got->{status} != 1 << 8;
    return 'it says that all is well' if $got->{status}
        && $got->{said} =~ /test is successful/;
    return 'it fails without a word'
        if $got->{status} && $hit->{name} =~ /^(?:malloc|calloc|posix_memalign)/
        && $got->{said} !~ /\[(?:emerg|alert|crit)\]|memory/;
    return;
});


# -- a start from the file of states ------------------------------------------

$kept->send($kept->new_phone, '400 133010 trace=' . 'T' x $_) for 1 .. 5;
$kept->put($kept->new_phone) for 1 .. 5;
$kept->send($kept->new_phone, '404 33', token => 'owner');
is($kept->hook->deliver(payload(entry(5001, map { messages(phone => $_,
    messages => [inbound()]) } 101 .. 105)))->{status}, 200, 'and a webhook');
ok($kept->settle, 'all is saved');

my $up;
my $known = $kept->known;
my $good  = slurp($kept->file);

is(scalar keys %$known, 11, 'there are states');
$up = 1;

sub started {
    $kept->end_by('KILL') if $up;
    wait_until(sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $nginx->port) });
    unlink glob $kept->dir . '/z.*';
    spew($kept->file, $good);
    chmod 0600, $kept->file;
    unlink $nginx->dir . '/nginx.pid';

    local $nginx->{fails} = 1;
    $faults->within(sub { $nginx->run });
    $up = !$nginx->failed;
    return $up ? 'up' : 'failed';
}

# whether the states are there, and the file
each_fails('a start', [qw(own slab libc)], \&started, sub {
    my ($got, $hit) = @_;

    my $log  = $nginx->log;
    my $why;
    my @kept = grep { slurp($_) eq $good } glob $kept->dir . '/z.*';

    if ($got eq 'up') {
        my $now  = $kept->known;
        my %less = %$known;

        delete @less{keys %$now};

        # a zone that seems full pushes some out, as a full one does
        $why = 'it forgot states' if keys %less > ($hit->{name} =~ /slab/
            ? 4 : $log =~ /\Q${\ $kept->file }\E/ && @kept ? 11 : 0);
        $why = 'the next send fails'
            if $kept->send($kept->new_phone, '200')->{status} != 200;
    } else {
        $why = 'the file is gone' if !@kept;
    }

    $why = 'somebody crashed' if $log =~ /exited on signal (?!9\b)/;
    spew($nginx->dir . '/error.log', '');
    return $why;
});

is(started(), 'up', 'then it starts');
is_deeply($kept->known, $known, 'with all states');


# -- a reload -----------------------------------------------------------------

# A worker of before, should the master end: nobody else would end it.
my @before;

sub reloaded {
    @before = $nginx->children;

    my %old = map { $_ => 1 } @before;

    spew($nginx->dir . '/error.log', '');
    $nginx->signal('HUP');
    # new workers, or none because it was refused, which nobody may say
    my $hit;
    wait_until(sub {
        my @now = $nginx->workers;

        $hit //= time if $faults->hit;
        return 1 if $nginx->state eq 'Z';
        return @now && !grep({ $old{$_} } @now) || $hit && time > $hit + 0.3;
    });
    return $nginx->log;
}

# What nginx does of itself without memory: it ends the master where the part of
# a module comes to nothing once all has been read (that of regular expressions,
# say; none of this module's does), and does without a worker that got no memory
# for its connections. In either case nobody is left here, and it starts again.
sub again {
    my ($what, $hit) = @_;

    kill 'KILL', @before;
    $kept->gone(@before);
    is(started(), 'up', "a start after $what had ended");
    return "$what ended" if $hit->{from};
    $total{"nginx's own end of $what"}++;
    return;
}

my $survives = sub {
    my ($log, $hit) = @_;

    return 'somebody crashed' if $log =~ /exited on signal/;
    return again('the master', $hit) if $nginx->state eq 'Z';

    if ($kept->send($kept->new_phone, '200')->{status} != 200) {
        return again('the worker', $hit)
            if $nginx->log =~ /exited with fatal code 2/ && !$nginx->workers;
        return 'the next send fails';
    }

    my $now = $kept->known;
    return 'states are gone' if grep { !$now->{$_} } keys %$known;
    return;
};

each_fails('a reload', ['own'], \&reloaded, $survives, 1);
each_fails('a reload', ['libc'], \&reloaded, $survives);

ok($nginx->reload, 'then it reloads')
    or diag join "\n", 'what nginx said:', $nginx->log;
is_deeply($kept->known, $known, 'with all states');

note(join '; ', map { "$_ $total{$_}" } sort keys %total);

done_testing();
