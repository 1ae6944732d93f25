#!/usr/bin/perl

# Reload: what is known stays known, also under load and while requests are
# under way; unless the zone changes its size.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";

use GraphPolicy qw(finish_requests wait_until);

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 2,
    http => conf());


# -- states, their ids, the key of fingerprints -------------------------------

my $set = send_one('/1/messages', '400 131042');

is($set->{headers}{'x-graph-policy'}, 'passed', 'a state is set');

my $before = blocked('/1/messages');

send_one('/2/messages', '401 190', 'two');

ok($nginx->reload, 'a reload');

my $after = blocked('/1/messages', 'the state is still there');

is($after->{headers}{'x-graph-state'}, $before->{headers}{'x-graph-state'},
    'under its id');
is($after->{body}, $before->{body}, 'and tells the same');
is($after->{headers}{'x-credential'}, $before->{headers}{'x-credential'},
    'a credential has the fingerprint that it had');
blocked('/3/messages', 'a state of a credential is still there', 'two');
is($graph->count, 2, 'the Graph API got what set the states, and no more');

$nginx->reload for 1 .. 3;

blocked('/1/messages', 'three reloads later, too');


# -- what a cleared state leaves behind ---------------------------------------

send_one('/fast/4/messages', '400 133010');
is(policy(probe('/fast/4/messages', '200')), 'probe', 'a state is cleared');

$nginx->reload;

send_one('/fast/4/messages', '400 133010');

like($nginx->log, qr/state re-armed, scope: phone, key: "4",[^\n]*hold: 2ms/,
    'the same trouble after a reload is a relapse');


# -- requests under way -------------------------------------------------------

my $seen = $graph->count;
my $late = $nginx->start_request(path => '/5/messages', token => 'one',
    mock => '400 133010 wait=late');

$graph->wait_for($seen + 1);
hup();
send_one('/5/messages', '200');
$graph->release('late');
my ($answer) = finish_requests($late);

is(policy($answer), 'passed', 'an old worker delivers what it had begun');
blocked('/5/messages', 'and what it learns then, the new ones know');

send_one('/slow/6/messages', '400 133010');

my $probe = wait_until(sub {
    my $call = $nginx->start_request(path => '/slow/6/messages',
        token => 'one', mock => '200 wait=probe');
    # it is at the Graph API, or back
    wait_until(sub { count('/slow/6') > 1 || answered($call) }, 5);
    return count('/slow/6') > 1 ? $call : undef;
});

hup();
blocked('/slow/6/messages', 'a probe of an old worker stays the only one');
$graph->release('probe');
($answer) = finish_requests($probe);

is(policy($answer), 'probe', 'until it is back');
is(policy(send_one('/slow/6/messages', '200')), undef,
    'and its outcome counts for the new workers');
is(count('/slow/6'), 3, 'the Graph API saw the error, the probe, a send');


# -- under load ---------------------------------------------------------------

$graph->clear;

my %seen;

for my $round (1 .. 12) {
    my @calls = map { $nginx->start_request(path => "/$_/messages",
        token => 'load', mock => '200') } (1, 100 .. 107, 1, 108 .. 115, 1);

    $nginx->signal('HUP') if $round % 3 == 1;
    push @calls, map { $nginx->start_request(path => "/$_/messages",
        token => 'load', mock => '200') } (1, 200 .. 219);

    $seen{ $_->{error} // "$_->{status} " . (policy($_) // '-') }++
        for finish_requests(@calls);
}

is_deeply(\%seen, { '200 -' => 12 * 36, '400 blocked' => 12 * 4 },
    'four reloads under load: no request fails, what is blocked stays blocked');
is(count('/1/'), 0, 'and never reaches the Graph API');
is($graph->count, 12 * 36, 'the others do, each once');
ok(wait_until(sub { (my @left = $nginx->workers) == 2 }),
    'two workers are left');


# -- a reload that fails ------------------------------------------------------

$nginx->configure(conf('graph_policy_hold never;'));
$nginx->signal('HUP');

ok(wait_until(sub { $nginx->log =~ /\[emerg\][^\n]*"never"/ }),
    'a reload with a mistake is refused');
blocked('/1/messages', 'and changes nothing');


# -- another size -------------------------------------------------------------

send_one('/other/1/messages', '400 133010');

for (['2m', 1048576, 2097152, 'larger'], ['256k', 2097152, 262144, 'smaller']) {
    my ($size, $from, $to, $what) = @$_;

    ok($nginx->reload(conf('', $size)), "a reload with a $what zone");

    my $warning = "graph_policy_zone \"z\" changed its size from $from to $to"
        . ' and starts without its states';

    like($nginx->log, qr/ \[warn\] \d+#\d+: \Q$warning\E\n/,
        'the log says that it starts without its states');
    is(policy(send_one('/1/messages', '200')), undef, 'what it knew is gone');
    blocked('/other/1/messages', 'what another zone knows is not');

    send_one('/1/messages', '400 131042');
    blocked('/1/messages', 'and it learns again');
}

is((() = $nginx->log =~ /changed its size/g), 2, 'that was said twice');

ok($nginx->reload(conf('', '256k')), 'a reload with the size that it has');
blocked('/1/messages', 'keeps what it knows');


# -- gone and back ------------------------------------------------------------

ok($nginx->reload(<<'END'), 'a reload without the module');
server {
    listen 127.0.0.1:%PORT%;
    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END

is(send_one('/1/messages', '200')->{status}, 200, 'blocks nothing');
ok($nginx->reload(conf('', '256k')), 'a reload that brings it back');
is(policy(send_one('/1/messages', '200')), undef, 'has no state left');

is_deeply([grep { !/"never"/ } $nginx->complaints], [],
    'nobody complains about anything but the mistake');

done_testing();


# -- helpers ------------------------------------------------------------------

sub conf {
    my ($more, $size) = @_;

    $size ||= '1m';
    $more ||= '';

    return <<"END";
graph_policy_zone zone=z:$size;
graph_policy_zone zone=y:1m;

graph_policy zone=z;

server {
    listen 127.0.0.1:%PORT%;
    $more

    add_header X-Credential \$graph_policy_credential always;

    location / {
        graph_policy_hold 1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /fast/ {
        graph_policy_hold 1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /slow/ {
        graph_policy_hold 50ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }

    location /other/ {
        graph_policy zone=y;
        graph_policy_hold 1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END
}

sub send_one {
    my ($path, $mock, $token) = @_;

    return $nginx->request(path => $path, token => $token || 'one',
        mock => $mock);
}

sub policy { $_[0]{headers}{'x-graph-policy'} }

# a send that has to be blocked, and would be accepted
sub blocked {
    my ($path, $name, $token) = @_;

    my $answer = send_one($path, '200', $token);

    is(policy($answer), 'blocked', $name || "$path is blocked");
    return $answer;
}

# the first send that isn't blocked
sub probe {
    my ($path, $mock) = @_;

    return wait_until(sub {
        my $answer = send_one($path, $mock);
        return (policy($answer) // '') eq 'blocked' ? undef : $answer;
    });
}

# how many requests whose URI begins like this the Graph API got
sub count {
    my ($path) = @_;

    return $graph->count(qr/^\Q$path\E/);
}

sub answered {
    my ($call) = @_;

    my $read = '';
    vec($read, fileno $call->{socket}, 1) = 1;
    return select $read, undef, undef, 0;
}

# new workers are there, the old ones may have work to do
sub hup {
    my %old = map { $_ => 1 } $nginx->workers;

    $nginx->signal('HUP');
    ok(wait_until(sub {
        my @now = $nginx->workers;
        return @now == 2 && !grep { $old{$_} } @now;
    }), 'a reload');
}
