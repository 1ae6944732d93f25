# vi:set ft= ts=4 sw=4 et:

# The retry budget of a zone: a floor a second, a share of what was sent, and
# what is denied is delivered at once. With many workers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time sleep);

use GraphPolicy;
use GraphPolicy::Graph;

plan skip_all => 'seconds are too short for valgrind'
    if $ENV{TEST_NGINX_USE_VALGRIND};

my $upstream = GraphPolicy::Graph->start;
my $phone    = 1000;
my $nginx;

sub start {
    my ($http) = @_;

    $nginx->stop if $nginx;
    $upstream->clear;

    $nginx = GraphPolicy::Nginx->start(graph => $upstream, workers => 4,
        http => "graph_policy_zone zone=z:1m;\n"
            . 'graph_policy_zone zone=y:1m;' . <<"END");
    server {
        listen 127.0.0.1:%PORT%;
        $http
    }
END
}

# requests of that script, each of a phone and a token of its own
sub sends {
    my ($count, $script, $prefix) = @_;

    return map { {
        path => ($prefix // '') . "/v25.0/$phone/messages",
        token => 'of-' . $phone++, headers => ['X-Mock' => $script],
        timeout => 20,
    } } 1 .. $count;
}

# how many answers have a policy
sub policies {
    my (@answers) = @_;

    my %count;
    $count{"$_->{status} " . ($_->{headers}{'x-graph-policy'} // '-')}++
        for @answers;
    return \%count;
}

# up to just behind the beginning of a second
sub next_second {
    sleep 1 - (time - int time) + 0.03;
}

# what the upstream holds back until a second begins is answered within it
sub at_once {
    my ($name, @sends) = @_;

    my @calls = map { $nginx->start_request(%$_) } @sends;
    $upstream->wait_for(scalar @sends, 20);

    next_second();
    my $released = time;
    $upstream->release($name);

    my @answers = GraphPolicy::finish_requests(@calls);

    for my $i (0 .. $#answers) {
        $answers[$i]{ended} = $calls[$i]{begun} + $answers[$i]{time};
        $answers[$i]{took}  = $answers[$i]{ended} - $released;
    }

    return ($released, @answers);
}


# -- the floor

start(<<'END');
location / {
    graph_policy       zone=z;
    graph_policy_retry attempts=2 base=1800ms factor=1 budget=0% budget_min=7;
    proxy_pass         http://127.0.0.1:%GRAPH%;
}
END

{
    my ($released, @answers) = at_once('floor',
        sends(60, '500 131016 wait=floor | 200'));

    my $retried = grep { $_->{status} == 200 } @answers;
    my @denied  = grep { $_->{status} == 500 } @answers;

    # all of them are decided within the second, or a slow machine's next one
    my ($last)  = sort { $b <=> $a } map { $_->{ended} } @denied;
    my $seconds = 1 + int($last) - int($released);

    is($retried + @denied, 60, 'floor: each send has its answer');
    cmp_ok($retried, '>=', 7, 'floor: so many are sent again, of 60');
    cmp_ok($retried, '<=', 7 * $seconds,
        'floor: no more a second, with four workers');

    is_deeply(policies(@answers),
        { '200 retried' => $retried, '500 passed' => 60 - $retried },
        'floor: what is denied passes');
    is($upstream->count, 60 + $retried, 'floor: counted at the upstream');

    my @waited = grep { $_->{took} > 0.85 } @denied;
    is(scalar @waited, 0, 'floor: what is denied is delivered at once')
        or diag(join ' ', map { $_->{took} } @waited);
    my @short = grep { $_->{took} < 0.9 && $_->{status} == 200 } @answers;
    is(scalar @short, 0, 'floor: what is sent again waits');

    is(scalar(grep { defined $_->{headers}{'x-graph-attempts'} } @denied), 0,
        'floor: one try is no attempts');

    my ($one) = @denied;
    is($one->{body}, GraphPolicy::Graph::body_of('500 131016', 1),
        'floor: with its body');

    like($nginx->log, qr/\[info\].*retry denied/, 'floor: told at info');
    is(() = $nginx->log =~ /retry denied/g, scalar @denied,
        'floor: once each');
    is($nginx->complaints, 0, 'floor: nothing is wrong');
}


# -- no budget at all

start(<<'END');
location / {
    graph_policy       zone=z;
    graph_policy_retry attempts=2 base=20ms budget=0% budget_min=0;
    proxy_pass         http://127.0.0.1:%GRAPH%;
}
END

{
    $nginx->parallel(sends(30, '200'));
    $upstream->clear;

    my @answers = $nginx->parallel(sends(10, '500 131016 | 200'));

    is_deeply(policies(@answers), { '500 passed' => 10 },
        'none: nothing is sent again');
    is($upstream->count, 10, 'none: counted at the upstream');
}


# -- the share

start(<<'END');
location / {
    graph_policy       zone=z;
    graph_policy_retry attempts=2 base=20ms budget=20% budget_min=0;
    proxy_pass         http://127.0.0.1:%GRAPH%;
}
location /other/ {
    graph_policy       zone=y;
    graph_policy_retry attempts=2 base=20ms budget=20% budget_min=0;
    proxy_pass         http://127.0.0.1:%GRAPH%;
}
location /half/ {
    graph_policy       zone=z;
    graph_policy_retry attempts=2 base=20ms budget=50% budget_min=0;
    proxy_pass         http://127.0.0.1:%GRAPH%;
}
location /all/ {
    graph_policy       zone=z;
    graph_policy_retry attempts=2 base=20ms budget=100% budget_min=0;
    proxy_pass         http://127.0.0.1:%GRAPH%;
}
END

{
    # 60 first tries in ten seconds, 12 retries
    my @answers = $nginx->parallel(sends(40, '200'));
    push @answers, $nginx->parallel(sends(20, '500 131016 | 200'));

    is_deeply(policies(@answers),
        { '200 -' => 40, '200 retried' => 12, '500 passed' => 8 },
        'share: a fifth of the first tries');
    is($upstream->count, 72, 'share: counted at the upstream');

    # 70 first tries, 14 retries; in another location 35, then 70
    @answers = $nginx->parallel(sends(10, '500 131016 | 200'));
    is_deeply(policies(@answers), { '200 retried' => 2, '500 passed' => 8 },
        'share: the ten seconds go on');

    @answers = $nginx->parallel(sends(10, '500 131016 | 200', '/half'));
    is_deeply(policies(@answers), { '200 retried' => 10 },
        'share: each location applies its own');

    @answers = $nginx->parallel(sends(5, '500 131016 | 200'));
    is_deeply(policies(@answers), { '500 passed' => 5 },
        'share: what another location sent again counts');

    @answers = $nginx->parallel(sends(5, '500 131016 | 200', '/all'));
    is_deeply(policies(@answers), { '200 retried' => 5 },
        'share: of the same zone');

    @answers = $nginx->parallel(sends(10, '500 131016 | 200', '/other'));
    is_deeply(policies(@answers), { '200 retried' => 2, '500 passed' => 8 },
        'share: another zone has its own budget');
}


# -- only what was sent is a first try, and only what was sent again a retry

start(<<'END');
location / {
    graph_policy       zone=z;
    graph_policy_hold  1m;
    graph_policy_retry attempts=2 base=20ms budget=10% budget_min=0;
    proxy_pass         http://127.0.0.1:%GRAPH%;
}
location /dry/ {
    graph_policy         zone=z;
    graph_policy_dry_run on;
    graph_policy_retry   attempts=2 base=20ms budget=100% budget_min=0;
    proxy_pass           http://127.0.0.1:%GRAPH%;
}
END

{
    my %blocked = (path => '/v25.0/77/messages', token => 'x',
        headers => ['X-Mock' => '400 131042']);

    $nginx->request(%blocked);
    my @answers = $nginx->parallel((\%blocked) x 40);
    is_deeply(policies(@answers), { '400 blocked' => 40 },
        'blocked: 40 local answers');

    @answers = $nginx->parallel(sends(2, '500 131016 | 200'));
    is_deeply(policies(@answers), { '500 passed' => 2 },
        'blocked: they are no first tries, of which 10% could be sent again');

    # 1 + 2 + 17 first tries
    @answers = $nginx->parallel(sends(17, '500 131016 | 200', '/dry'));
    is_deeply(policies(@answers), { '500 dry-run' => 17 },
        'dry run: shown, not sent again');

    @answers = $nginx->parallel(sends(1, '500 131016 | 200'));
    is_deeply(policies(@answers), { '200 retried' => 1 },
        'dry run: it uses nothing of the budget');
}


# -- every retry of a request is asked for

start(<<'END');
location / {
    graph_policy       zone=z;
    graph_policy_retry attempts=9 base=20ms factor=1 budget=0% budget_min=3;
    proxy_pass         http://127.0.0.1:%GRAPH%;
}
END

{
    next_second();

    my ($answer) = $nginx->request(sends_one('500 131016'));

    is($answer->{status}, 500, 'each: denied in the end');
    is($answer->{headers}{'x-graph-policy'}, 'retried',
        'each: it was sent again');
    my $attempts = $answer->{headers}{'x-graph-attempts'};
    cmp_ok($attempts, '>=', 4, 'each: first try and floor');
    cmp_ok($attempts, '<=', 7, 'each: no more, but for a second that began');
    is($upstream->count, $attempts, 'each: counted at the upstream');
}

sub sends_one { %{ (sends(1, @_))[0] } }


# -- the floor comes back with every second, whatever came before

{
    next_second();
    my @first = $nginx->parallel(sends(20, '500 131016 | 200'));
    next_second();
    my @second = $nginx->parallel(sends(20, '500 131016 | 200'));

    for ([first => @first], [second => @second]) {
        my ($which, @answers) = @$_;
        my $retried = policies(@answers)->{'200 retried'};

        cmp_ok($retried, '>=', 3, "again: the floor of the $which second");
        cmp_ok($retried, '<=', 6, "again: no more in the $which second");
    }

    is($nginx->complaints, 0, 'again: nothing is wrong');
}


# -- the default: a floor of ten

start(<<'END');
location / {
    graph_policy       zone=z;
    graph_policy_retry attempts=2 base=20ms;
    proxy_pass         http://127.0.0.1:%GRAPH%;
}
END

{
    next_second();
    my @answers = $nginx->parallel(sends(40, '500 131016 | 200'));

    # 20% of the 40, and the ten before that share
    my $retried = policies(@answers)->{'200 retried'};
    cmp_ok($retried, '>=', 10, 'default: the floor');
    cmp_ok($retried, '<=', 20, 'default: no more, but for another second');
}


# -- another configuration goes on with the same budget

start(<<'END');
location / {
    graph_policy       zone=z;
    graph_policy_retry attempts=2 base=20ms budget=20% budget_min=0;
    proxy_pass         http://127.0.0.1:%GRAPH%;
}
END

{
    $nginx->parallel(sends(25, '200'));
    my @before = $nginx->parallel(sends(5, '500 131016 | 200'));
    is_deeply(policies(@before), { '200 retried' => 5 }, 'reload: before it');

    ok($nginx->reload, 'reload');

    my @after = $nginx->parallel(sends(10, '500 131016 | 200'));
    is_deeply(policies(@after), { '200 retried' => 3, '500 passed' => 7 },
        'reload: what was sent and sent again before it counts');
    is($nginx->complaints, 0, 'reload: nothing is wrong');
}

done_testing();
