#!/usr/bin/perl

# A file that version 0.2.0 has written is read: nothing that it knew is lost by
# the upgrade, and nothing is believed longer.
#
# t/samples/state_file_0.2.0 is such a file, with a line of each kind. It was
# written by the module of 0.2.0 in Debian 12's nginx 1.22.1, driven by
#
#     MODULE=(that module) t/state_file_0_2_0.t --write FILE
#
# and is as it was. The test alone moves its times, by as much as went by since
# then, since states that are a day old are forgotten.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use GraphPolicy qw(slurp spew wait_until);
use GraphPolicy::Api;
use GraphPolicy::Webhook qw(payload entry messages account_update inbound
    status);

my $sample = "$FindBin::Bin/samples/state_file_0.2.0";
my $json   = JSON::PP->new->canonical;
my ($write, $to) = @ARGV;

# the end of 9999, in milliseconds
my $never = 253_402_300_799_000;

my $hook  = start();
my $nginx = $hook->nginx;
my $file  = $nginx->dir . '/states/z';
my $api   = GraphPolicy::Api->new(port => $nginx->port, base => '/graph/');

mkdir $nginx->dir . '/states' or die "mkdir: $!";
chmod 0777, $nginx->dir . '/states' or die "chmod: $!";

if (($write // '') eq '--write') {
    write_sample();
    exit;
}


# -- what is in it ------------------------------------------------------------

my @lines = map { $json->decode($_) } split /\n/, slurp($sample);
my @states = grep { $_->{state} } @lines;
my @links  = grep { $_->{link} } @lines;

is_deeply([sort keys %{ { map { $_->{state} => 1 } @states } }],
    [qw(account account-phone credential phone)],
    'the file has states of each kind');
is_deeply([sort keys %{ { map { $_->{source} => 1 } @states } }],
    [qw(answer api webhook)], 'from each source');
ok((grep { !$_->{armed} } @states), 'one that is over');
ok((grep { $_->{category} eq 'temporary' } @states), 'a temporary one');
ok((grep { $_->{state} eq 'phone' && $_->{credential} } @states),
    'one that covers a phone for one credential');
ok((grep { $_->{group} } @states), 'phones that belong together');
ok((grep { $_->{until} == $never } @states), 'a frozen one');
ok((grep { $_->{holds} > 1 } @states), 'one that was re-armed');
ok((grep { $_->{dry_run} } @states), 'one of a dry run');
ok((grep { exists $_->{subcode} } @states), 'one with a subcode');
is(scalar @links, 2, 'and phones with their accounts');


# -- it is read ---------------------------------------------------------------

$nginx->stop('QUIT');

my ($written) = sort { $b <=> $a } map { @$_{qw(changed since)} } @states;
my $moved = moved(slurp($sample), int(time * 1000) - $written);

spew($file, $moved);
chmod 0666, $file or die "chmod: $!";
unlink $nginx->dir . '/error.log';
$nginx->run;

like($nginx->log, qr/\ \[notice\]\ [^\n]*:\ graph_policy_zone\ "z"\ has
    \ @{[ scalar @states ]}\ states\ and\ 2\ phones\ from\ "\Q$file\E"\n/x,
    'all of it is read');
ok(!-e "$file.corrupt", 'nothing is set aside');

# of phones that are disconnected at once the API says so
my %together;
$together{ $_->{group} }++ for grep { $_->{group} } @states;

my %listed = map { name($_) => $_ }
    @{ $api->get('zones/z/states?limit=1000')->{json}{states} };

for my $state (grep { $_->{armed} } map { $_->{state} ? $_ : () }
    map { $json->decode($_) } split /\n/, $moved)
{
    my $name = name({ %$state, scope => $state->{state} =~ s/-phone//r });
    my $now  = $listed{$name};

    ok($now, "$name is in force") or next;
    $state->{reason} =~ s/^phone-/phones-/
        if $state->{group} && $together{ $state->{group} } > 1;
    is_deeply({ map { $_ => $now->{$_} } qw(category reason code subcode
            trace source holds) },
        { map { $_ => $state->{$_} } qw(category reason code subcode trace
            source holds) },
        "$name is what it was");
    is(ms($now->{since}), $state->{since},
        "$name began when it did");
    is(defined $now->{until} ? ms($now->{until}) : $never, $state->{until},
        "$name ends when it did");
}

is($api->get('zones/z')->{json}{links}, 2, 'the phones\' accounts are known');


# -- it is enforced -----------------------------------------------------------

is(policy(@$_), 'blocked', "$_->[0]: its send is blocked") for
    ['1001'], ['1002', in => 'of'], ['1099', in => 'of'],
    ['1003', token => 'refused'], ['1098', token => 'refused'], ['1004'],
    ['1005'], ['1006', in => 'cool'], ['1007', token => 'b'], ['1010'],
    ['1011'], ['1012'];
is(policy('1009'), 'probe', '1009: a state that is due is probed');
is(policy('1007'), undef, '1007: another credential isn\'t concerned');
is(policy('1097'), undef, '1097: nor is a phone that had no trouble');
is(policy('1008'), undef, '1008: nor one whose trouble is over');


# -- it is kept ---------------------------------------------------------------

$hook->send('1020', script => '400 133010');
ok(wait_until(sub { slurp($file) =~ /"key":"1020"/ }),
    'what is new is written to the same file');
$nginx->stop('QUIT');
$nginx->run;
like($nginx->log, qr/"z" has @{[ @states + 1 ]} states and 2 phones from/,
    'and the next start reads both');
is(policy('1001'), 'blocked', '1001: is blocked still');

done_testing;


sub start {
    return GraphPolicy::Webhook->start(secrets => ['s3cretOfTheApp'],
        http => <<'END');
graph_policy_zone zone=z:1m state=states/z;
graph_policy      zone=z;
graph_policy_hold 1h;

server {
    listen 127.0.0.1:%PORT%;
    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /of/ {
        graph_policy_account 2009;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /cool/ {
        graph_policy_cooldown on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /dry/ {
        graph_policy_rule 131045 fatal scope=phone dry_run=on;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /fast/ {
        graph_policy_hold 1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /webhook {
        graph_policy_webhook on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass http://127.0.0.1:APP;
    }
    location /graph/ {
        graph_policy_api write=on;
    }
}
END
}

# A state of each kind comes about as in life.
sub write_sample {
    my $now = int time;

    $hook->send('1001', script => '400 131042 trace=ATrace_1001');
    $hook->send('1002', in => 'of', script => '403 131031');
    $hook->send('1003', token => 'refused', script => '401 190/463');
    $hook->send($_, script => '400 133010') for '1004', '1005';
    $hook->send('1006', in => 'cool',
        script => '400 130429 header=Retry-After:3600');
    $hook->send('1007', token => 'b', script => '400 33');
    $hook->send('1008', in => 'fast', script => '400 133010');
    cleared('1008');
    $hook->send('1009', in => 'fast', script => '400 133010');
    cleared('1009');
    $hook->send('1009', script => '400 133010');
    $hook->send('1013', in => 'dry', script => '400 131045');

    $api->post('zones/z/states', { scope => 'phone', key => '1010',
        reason => 'other', probe => JSON::PP::false });

    $hook->deliver(payload(
        entry('2001', time => $now, messages(phone => '1011',
            messages => [inbound()])),
        entry('2002', time => $now, messages(phone => '1012',
            statuses => [status(131042)]))));
    $hook->deliver(payload(entry('2001', time => $now,
        account_update('DISABLED_UPDATE',
            ban_info => { waba_ban_state => 'DISABLE' }))));

    $nginx->stop('QUIT');
    spew($to, slurp($file));
    print slurp($file);
}

sub cleared {
    my ($phone) = @_;

    wait_until(sub {
        my $answer = $hook->send($phone, in => 'fast');
        return ($answer->{headers}{'x-graph-policy'} // '') ne 'blocked';
    }) or die "$phone isn't cleared\n";
}

# a file whose times are so many milliseconds later; the end of what is frozen
# is none
sub moved {
    my ($text, $by) = @_;

    $text =~ s{("(?:since|until|changed|confirmed)":)(\d+)}
        {$1 . ($2 == $never ? $2 : $2 + $by)}ge;
    return $text;
}

# a time of the API in milliseconds
sub ms {
    my ($text) = @_;

    return sprintf '%.0f', GraphPolicy::Api::seconds($text) * 1000;
}

sub name {
    my ($state) = @_;

    return join ' ', grep { defined } @$state{qw(scope key)},
        $state->{credential} ? 'of a credential' : undef;
}

sub policy {
    my ($phone, %of) = @_;

    return $hook->send($phone, %of)->{headers}{'x-graph-policy'};
}
