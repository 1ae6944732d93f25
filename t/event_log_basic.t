# vi:set ft= ts=4 sw=4 et:

# The lines of graph_policy_event_log to the letter, what is and isn't written,
# and what becomes of a log that can't be written to.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::Local ();

use GraphPolicy qw(slow slurp wait_until);
use GraphPolicy::Webhook qw(payload entry messages status);

my $brief = 200 * slow();
my $time  = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
my $graph = GraphPolicy::Graph->start;

sub server {
    my ($zone) = @_;

    return <<"END";
graph_policy_zone "zone=$zone:1m";
log_format ids "\$request_id";

server {
    listen 127.0.0.1:%PORT%;
    access_log   %DIR%/access.log ids;
    graph_policy "zone=$zone";

    location / {
        graph_policy_hold 5m;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /brief/ {
        graph_policy_hold ${brief}ms max=${brief}ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /soon/ {
        graph_policy_hold 1ms max=1ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /odd/ {
        graph_policy_hold 1500ms;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /gate/ {
        graph_policy_conversation on hold=1h;
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END
}

sub start {
    my ($log, $zone) = @_;

    return GraphPolicy::Nginx->start(graph => $graph, workers => 2,
        http => ($log eq '' ? '' : "graph_policy_event_log $log;\n")
            . server($zone // 'z'));
}

sub sent {
    my ($nginx, $path, $mock, %more) = @_;
    return $nginx->request(path => "$path/messages", token => 'tokenOfOne',
        mock => $mock, %more);
}

# the lines of a file, when there are so many
sub lines {
    my ($file, $count) = @_;

    my @lines;
    wait_until(sub { @lines = split /^/, slurp($file); @lines >= $count }, 5);
    return @lines;
}

sub seconds {
    my ($text) = @_;
    my ($y, $m, $d, $hour, $min, $s, $ms) = $text =~ /\d+/g;
    return Time::Local::timegm($s, $min, $hour, $d, $m - 1, $y) + $ms / 1000;
}


# -- to the letter ------------------------------------------------------------

{
    my $nginx = start('%DIR%/events.log');
    my $log   = $nginx->dir . '/events.log';

    sent($nginx, '/odd/1001', '400 100/33 trace=Trace-1_2');
    my ($line) = lines($log, 1);

    like($line, qr/\A\{"time":"$time","event":"set","state":"[0-9a-f]{18}",
        "zone":"z","scope":"phone","key":"1001","credential":"[0-9a-f]{16}",
        "category":"fatal","reason":"phone-disconnected","code":100,
        "subcode":33,"trace":"Trace-1_2","source":"answer","since":"$time",
        "until":"$time","hold":1\.500,"request_id":"[0-9a-f]{32}"\}\n\z/x,
        'all members, in their order');

    my $event = JSON::PP::decode_json($line);
    my $rest  = seconds($event->{until}) - seconds($event->{since});

    cmp_ok($rest, '>=', 1.5, 'until: after the hold');
    cmp_ok($rest, '<', 1.7, 'until: and a tenth of it at most');
    is($event->{request_id}, (lines($nginx->dir . '/access.log', 1))[0]
        =~ s/\n//r, 'the request id is that of the access log');

    # an account that isn't known
    sent($nginx, '/brief/1002', '400 131042 trace=not%20one');
    ($line) = (lines($log, 2))[1];
    like($line, qr/"scope":"account","key":"1002","of_phone":true,
        "credential":null,"category":"fatal","reason":"billing","code":131042,
        "subcode":null,"trace":null,/x, 'nulls, and of which phone it is');

    # two states, and one probe for both
    my $lines = 2;
    my $next  = sub {
        my ($mock, $count) = @_;
        wait_until(sub { (sent($nginx, '/soon/1003', $mock)
            ->{headers}{'x-graph-policy'} // '') eq 'probe' }) if $lines > 2;
        sent($nginx, '/soon/1003', $mock) if $lines == 2;
        my @all = lines($log, $lines + $count);
        my @new = @all[$lines .. $#all];
        $lines = @all;
        return map { JSON::PP::decode_json($_) } @new;
    };
    my $said = sub { join ', ', sort map { "$_->{event} $_->{reason}" } @_ };

    is($said->($next->('400 131042', 1)), 'set billing', 'the first state');
    my @events = $next->('400 190', 2);
    is($said->(@events), 'probe billing, set token-invalid',
        'the second one, which a probe has found');
    ($event) = grep { $_->{event} eq 'probe' } @events;
    cmp_ok(seconds($event->{until}) - seconds($event->{time}), '>', 20,
        'until: the end of the lease of a probe');

    ($event) = grep { $_->{event} eq 'set' } @events;
    is_deeply([@$event{qw(scope key)}], ['credential', undef],
        'a credential has no key');
    like($event->{credential}, qr/^[0-9a-f]{16}\z/, 'but a fingerprint');

    @events = $next->('200', 4);
    is($said->(@events), 'cleared billing, cleared token-invalid, '
        . 'probe billing, probe token-invalid', 'a probe for each');
    my %ids = map { $_->{request_id} => 1 } @events;
    is(scalar keys %ids, 1, 'by one request');
    is_deeply([map { $_->{until} } grep { $_->{event} eq 'cleared' } @events],
        [undef, undef], 'what is over has no end to come');

    # a conversation
    sent($nginx, '/gate/1004', '400 131047', headers => ['Content-Type' =>
        'application/json'], body => '{"to":"16505551234"}');
    ($line) = (lines($log, ++$lines))[-1];
    like($line, qr/"scope":"conversation","key":null,"credential":null,
        "category":"context-limited","reason":"window-expired",/x,
        'a conversation has no key');
    unlike(slurp($log), qr/16505551234|tokenOf/, 'nothing private');

    is_deeply([$nginx->complaints], [], 'nobody complains');
    $nginx->stop;
}


# -- a conversation that a webhook has closed ---------------------------------

{
    my $hook = GraphPolicy::Webhook->start(secrets => ['s3cretOfTheApp'],
        http => "graph_policy_event_log %DIR%/events.log;\n" . <<'END');
graph_policy_zone zone=z:1m;
server {
    listen 127.0.0.1:%PORT%;
    graph_policy zone=z;
    graph_policy_conversation on;
    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
    location /webhook {
        graph_policy_webhook             on;
        graph_policy_webhook_secret_file SECRETS;
        proxy_pass                       http://127.0.0.1:APP;
    }
}
END
    my $log = $hook->nginx->dir . '/events.log';

    $hook->deliver(payload(entry('5001', messages(phone => '1001',
        statuses => [status(131047, to => '16505551234')]))));
    my ($line) = lines($log, 1);
    like($line, qr/"event":"set".*"scope":"conversation","key":null,
        .*"code":131047,"subcode":null,"trace":null,"source":"webhook",/x,
        'it has set the state');
    unlike(slurp($log), qr/16505551234/, 'without the recipient');
}


# -- the zone's name, which may be anything -----------------------------------

{
    my $zone  = '\\\\\\"' . "\xc3\xa9\t'";
    my $nginx = start('%DIR%/events.log', $zone);

    sent($nginx, '/1001', '400 133010');
    my ($line) = lines($nginx->dir . '/events.log', 1);
    is(eval { JSON::PP::decode_json($line)->{zone} }, "\\\"\xe9\t'",
        'a name with all that needs an escape');
}


# -- without a log ------------------------------------------------------------

for my $log ('', 'off') {
    my $nginx = start($log);

    sent($nginx, '/1001', '400 133010');
    is(sent($nginx, '/1001', '200')->{status}, 400, "\"$log\": a state");
    like($nginx->log, qr/state set/, "\"$log\": it is in the error log");
    is_deeply([glob $nginx->dir . '/*off*'], [], "\"$log\": there is no file");
}


# -- a relative path ----------------------------------------------------------

{
    my $nginx = start('events.log');

    sent($nginx, '/1001', '400 133010');
    is(scalar lines($nginx->dir . '/events.log', 1), 1,
        'a relative path begins at the prefix');
}


# -- a file that can't be opened ----------------------------------------------

{
    my $nginx = GraphPolicy::Nginx->start(graph => $graph, fails => 1,
        http => "graph_policy_event_log %DIR%;\n" . server('z'));

    ok($nginx->failed, 'a folder is no file');
    like($nginx->log . $nginx->said, qr/\[emerg\] .*@{[ $nginx->dir ]}.*
        Is\ a\ directory/x, 'which nginx says');
}


# -- a log that can't be written to -------------------------------------------

SKIP: {
    skip 'there is no /dev/full', 4 if !-c '/dev/full';

    my $nginx = start('/dev/full');

    is(sent($nginx, "/100$_", '400 133010')->{status}, 400, "send $_")
        for 1 .. 8;
    is(sent($nginx, '/1001')->{headers}{'x-graph-policy'}, 'blocked',
        'all goes on');

    my @complaints = $nginx->complaints;
    like($complaints[0], qr{\[alert\]\ \S+\ (?:\*\d+\ )?graph_policy_event_log
        \ "/dev/full"\ lost\ an\ event,\ 0\ of\ \d+\ bytes\ were\ written
        \ \(28:\ No\ space\ left\ on\ device\)$}x, 'a complaint');
    cmp_ok(scalar @complaints, '<=', 2, 'one a worker');
    unlike(join('', @complaints), qr/tokenOf|messages/,
        'without the request line');
}

done_testing();
