#!/usr/bin/perl

# That stopping nginx as Debian's unit does cuts off sends that wait for their
# next try, and that the drop-in of docs/deploying.md lets them end: the
# commands are run, with what systemd adds to them.

use strict;
use warnings;

use Test::More;

use FindBin;
use POSIX ();
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(push_request finish_requests slurp start_request);
use GraphPolicy::Graph;
use Time::HiRes qw(sleep time);

my $top = "$FindBin::Bin/..";

my ($section) = slurp("$top/docs/deploying.md") =~ /^## Stopping\n(.*?)^## /ms
    or die 'no section';
my ($unit)    = $section =~ /^```ini\n(.*?)^```$/ms or die 'no drop-in';
my ($command) = $unit =~ /^ExecStop=-(.*)$/m or die 'no command';
my ($seconds) = $command =~ m{--retry QUIT/(\d+) };
my ($timeout) = $unit =~ /^TimeoutStopSec=(\d+)$/m;
my ($within)  = slurp("$top/examples/egress-proxy/nginx.conf")
    =~ /^worker_shutdown_timeout\s+(\d+)s;/m;

cmp_ok($seconds, '>', $within,
    "what the drop-in gives is above the example's worker_shutdown_timeout");
cmp_ok($timeout, '>', $seconds, 'and what systemd gives is above that');
like($unit, qr/^ExecStop=\n/m, "Debian's command is taken out");
like($section, qr{"QUIT/$seconds/TERM/5/KILL/5"},
    'the init script gets as much');

SKIP: {
    my ($file) = grep { -e } map { "$_/systemd/system/nginx.service" }
        qw(/lib /usr/lib);

    skip 'no unit of Debian here', 2 if !$file;

    my $debian = slurp($file);

    like($debian, qr{^ExecStop=.*--retry QUIT/5 }m,
        "Debian's unit gives it 5 seconds");
    is($debian =~ /^ExecStop=-(.*)$/m ? $1 =~ s{QUIT/5}{QUIT/$seconds}r : '',
        $command, 'and the drop-in has the same command, but for them');
}

my ($program) = split ' ', $command;

SKIP: {
    skip 'no start-stop-daemon here', 2 if !-x $program;

    # a second in place of five, for a send that waits for three
    is(stop($command =~ s{QUIT/\d+}{QUIT/1}r), 'closed, 1 try',
        'a send that waits longer than that is cut off');
    is(stop($command), '200, 2 tries', 'by the drop-in it has its next try');
}

done_testing();


# -- helpers ------------------------------------------------------------------

# what becomes of a send that waits for three seconds
sub stop {
    my ($how) = @_;

    my $graph = GraphPolicy::Graph->start;
    my $nginx = GraphPolicy::Nginx->start(graph => $graph, http => <<'END');
graph_policy_zone zone=z:1m;
server {
    listen 127.0.0.1:%PORT%;
    location / {
        graph_policy       zone=z;
        graph_policy_retry attempts=2 deadline=10s;
        proxy_pass         http://127.0.0.1:%GRAPH%;
    }
}
END

    my $call = push_request(start_request(port => $nginx->port,
        path => '/v25.0/1001/messages', token => 'a',
        mock => '503 131016 header=Retry-After:3 | 200'));

    $graph->wait_for(1);
    sleep 0.2;

    my $file = $nginx->dir . '/nginx.pid';
    my $pid  = fork // die "fork: $!";

    if (!$pid) {
        exec split ' ', $how =~ s{/run/nginx\.pid}{$file}r
            or POSIX::_exit(127);
    }

    # whose child is nginx has to take notice that it ended
    my ($ended, $told, $end) = (0, 0, time + 20 * GraphPolicy::slow());

    while (!$ended && time < $end) {
        $ended = waitpid($nginx->pid, POSIX::WNOHANG()) != 0;

        if (!$told && waitpid($pid, POSIX::WNOHANG()) != 0) {
            $told = 1;
            kill 'TERM', $nginx->pid if !$ended;    # as systemd does
        }
        sleep 0.02;
    }

    waitpid $pid, 0 if !$told;
    $nginx->stop;

    my ($answer) = finish_requests($call);
    my $tries = $graph->count;

    return join ', ', $answer->{error} // $answer->{status},
        "$tries " . ($tries == 1 ? 'try' : 'tries');
}
