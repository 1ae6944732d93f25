# vi:set ft= ts=4 sw=4 et:

# examples/event-log/alert, the very file: what it makes of lines, and that it
# follows what nginx writes, over a rotation too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Temp ();
use JSON::PP ();
use POSIX ();
use Test::More;

use GraphPolicy qw(slurp spew wait_until);

my $alert = "$FindBin::Bin/../examples/event-log/alert";
my $temp  = File::Temp->newdir('hook.XXXXXX', TMPDIR => 1);
my $dir   = "$temp";
my $json  = JSON::PP->new->canonical;

# the command: a line for each alert, with what is asked of the environment
spew("$dir/note", <<'END');
#!/bin/sh
file=$1
shift
for name; do
    eval "printf '%s|' \"\$$name\"" >>"$file"
done
echo >>"$file"
END
chmod 0755, "$dir/note" or die "chmod: $!";

sub event {
    my ($event, $state, %more) = @_;

    return $json->encode({
        time => '2026-11-25T18:00:00.123Z', event => $event, state => $state,
        zone => 'z', scope => 'phone', key => '1001', credential => undef,
        category => 'fatal', reason => 'billing', code => 131042,
        subcode => undef, trace => 'Trace1', source => 'answer',
        since => '2026-11-25T18:00:00.123Z', until => undef, hold => 10,
        request_id => 'f' x 32, %more,
    }) . "\n";
}

# what the command was told of these lines
sub told {
    my ($lines, @names) = @_;

    spew("$dir/lines", $lines);
    unlink "$dir/notes";
    my $said = qx("$alert" - "$dir/note" "$dir/notes" @names <"$dir/lines" 2>&1);

    return (slurp("$dir/notes"), $said, $?);
}

my @who = qw(GRAPH_ALERT GRAPH_EVENT GRAPH_STATE);


# -- what is an alert ---------------------------------------------------------

my ($notes, $said, $status) = told(event('set', 'a1'), qw(GRAPH_ALERT GRAPH_TEXT
    GRAPH_KEY GRAPH_CODE GRAPH_SUBCODE GRAPH_CREDENTIAL GRAPH_REQUEST_ID
    GRAPH_ZONE GRAPH_HOLD));

is($notes, 'problem|problem: phone 1001, billing (131042), trace Trace1|1001'
    . '|131042|||' . 'f' x 32 . "|z|10|\n", 'a fatal state: its members');
is("$said$status", '0', 'without a word');

is((told(event('set', 'a1', category => 'temporary', reason => 'rate-limit')
    . event('set', 'a2', category => 'context-limited')
    . event('probe', 'a3'), @who))[0], '', 'what is no alert');

is((told(join('', event('set', 'a1'), event('probe', 'a1'),
    event('rearmed', 'a1'), event('rearmed', 'a1'), event('set', 'b2'),
    event('probe', 'a1'), event('cleared', 'a1'), event('cleared', 'a1')),
    @who))[0],
    "problem|set|a1|\nproblem|set|b2|\nresolved|cleared|a1|\n",
    'one alert for a state, and one for its end');

is((told(join('', event('set', 'a1'), event('cleared', 'a1'),
    event('rearmed', 'a1')), @who))[0],
    "problem|set|a1|\nresolved|cleared|a1|\nproblem|rearmed|a1|\n",
    'one that comes back');

is((told(join('', event('rearmed', 'a1'), event('rearmed', 'a1')), @who))[0],
    "problem|rearmed|a1|\n", 'one that was there before');

is((told(join('', event('set', 'a1'), event('evicted', 'a1'),
    event('cleared', 'a1'), event('set', 'a1')), @who))[0],
    "problem|set|a1|\nproblem|set|a1|\n", 'one that left a full zone');


# -- the line for humans ------------------------------------------------------

sub text_of {
    my (%more) = @_;
    return ((told(event('set', 'a1', %more), 'GRAPH_TEXT'))[0]
        =~ s/\|\n\z//r);
}

is(text_of(scope => 'account', of_phone => JSON::PP::true),
    'problem: account of phone 1001, billing (131042), trace Trace1',
    'text: an account that is unknown');
is(text_of(scope => 'credential', key => undef, credential => 'c' x 16,
    reason => 'token-invalid', code => 190, subcode => 463, trace => undef),
    'problem: credential ' . 'c' x 16 . ', token-invalid (190/463)',
    'text: a credential');
is(text_of(credential => 'c' x 16, code => 33), 'problem: phone 1001 with the '
    . 'credential ' . 'c' x 16 . ', billing (33), trace Trace1',
    'text: what holds for one credential');
is(text_of(code => undef, trace => undef, reason => 'phone-disconnected'),
    'problem: phone 1001, phone-disconnected', 'text: nothing but a reason');


# -- what goes wrong ----------------------------------------------------------

($notes, $said, $status) = told("{\"event\":\"set\n[]\nnull\n{}\n"
    . event('set', 'a1'), @who);
is($notes, "problem|set|a1|\n", 'lines that are none are passed over');
is(() = $said =~ /^not an event: /mg, 4, 'and told');

($notes) = told(event('set', 'a1', zone => '$(touch ' . "$dir/x)\n`id`;'"),
    'GRAPH_ZONE');
is($notes, "\$(touch $dir/x)\n`id`;'|\n", 'what is in a line is no code');
ok(!-e "$dir/x", 'nothing of it is run');

spew("$dir/lines", event('set', 'a1') . event('set', 'b2'));
$said = qx("$alert" - "$dir/none" <"$dir/lines" 2>&1);
is(() = $said =~ /^\Q$dir\E\/none failed: problem: /mg, 2,
    'a command that fails is told, and the next alert is tried');
isnt(system("'$alert' - 2>$dir/usage"), 0, 'a command is needed');
like(slurp("$dir/usage"), qr/^usage: /, 'which it says');


# -- behind an nginx ----------------------------------------------------------

my $graph = GraphPolicy::Graph->start;
my $nginx = GraphPolicy::Nginx->start(graph => $graph, workers => 1,
    http => <<'END');
graph_policy_event_log %DIR%/events.log;
graph_policy_zone zone=z:1m;
server {
    listen 127.0.0.1:%PORT%;
    graph_policy zone=z;
    graph_policy_hold 1ms max=1ms;
    location / {
        proxy_pass http://127.0.0.1:%GRAPH%;
    }
}
END

my $log = $nginx->dir . '/events.log';
my $pid = fork // die "fork: $!";

if (!$pid) {
    # a group of its own, so that it ends with its tail
    setpgrp;
    open STDERR, '>', "$dir/said" or POSIX::_exit(1);
    exec $alert, $log, "$dir/note", "$dir/live", @who or POSIX::_exit(127);
}

my $phone = 1000;

sub sent {
    my ($path, $mock) = @_;
    return $nginx->request(path => "/$path/messages", token => 'a',
        mock => $mock);
}

# it is there as soon as it tells of one of these
sub followed {
    return wait_until(sub {
        sent(++$phone, '400 133010');
        return slurp("$dir/live") =~ /\n/;
    }, 20);
}

ok(followed(), 'it follows the log of an nginx');

my $last = sub {
    my ($line) = grep { /"key":"$_[0]"/ } split /\n/, slurp($log);
    return JSON::PP::decode_json($line)->{state};
};

sent(9001, '400 133010');
my $state = $last->('9001');
ok(wait_until(sub { slurp("$dir/live") =~ /^problem\|set\|$state\|$/m }),
    'a state that is set');

wait_until(sub { (sent(9001, '200')->{headers}{'x-graph-policy'} // '')
    eq 'probe' });
ok(wait_until(sub { slurp("$dir/live") =~ /^resolved\|cleared\|$state\|$/m }),
    'and that is over');

# the very rotation of logrotate
rename $log, "$log.1" or die "rename: $!";
$nginx->signal('USR1');
ok(wait_until(sub { -e $log }), 'nginx has reopened the log');

unlink "$dir/live";
ok(followed(), 'the new file is followed');

is(slurp("$dir/said") =~ s/^tail: .*\n//mgr, '', 'without a word of its own');

kill 'TERM', -$pid;
waitpid $pid, 0;
$nginx->stop;

done_testing();
