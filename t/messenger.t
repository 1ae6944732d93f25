# vi:set ft= ts=4 sw=4 et:

# Messages of Messenger and Instagram, which have the path of WhatsApp's: the
# configuration in docs/deploying.md keeps them apart.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use GraphPolicy qw(slurp);
use GraphPolicy::Webhook qw(short);

my ($section) = slurp("$FindBin::Bin/../docs/deploying.md")
    =~ /^## Messenger and Instagram\n(.*?)^## /ms;
my ($http) = $section =~ /```nginx\n(.*?)```/s;
my @pages  = $http =~ /\(\?:(\d+)\|(\d+)\)/;

is(@pages, 2, 'the page has an example with two ids');

# what belongs to the machine
$http =~ s{listen 127\.0\.0\.1:8080}{listen 127.0.0.1:%PORT%};
$http =~ s{https://graph\b}{http://127.0.0.1:%GRAPH%}g;

my $hook  = GraphPolicy::Webhook->start(http => $http);
my $phone = '100000000000001';

# as Messenger's Send API has it
sub to_page {
    my ($page, %of) = @_;

    return $hook->send($page, body => '{"recipient":{"id":"7777777777"},'
        . '"messaging_type":"RESPONSE","message":{"text":"hi"}}', %of);
}

sub is_short {
    my ($answer, $expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(short($answer), $expected, $name);
}

# what is said of a page's token, of a page, and of an account
for my $code (190, 10, 200, 4, 133010) {
    is_short(to_page($pages[0], script => "400 $code", token => "t$code"),
        '400 passed 1', "$code: a page gets an error");
    is_short($hook->send($phone, token => "t$code"), '200 - 1',
        "$code: WhatsApp's messages pass with that very token");
    is_short($hook->send($pages[0], path => "/$phone/messages",
        token => "t$code"), '200 - 1', "$code: without a version, too");
}

is_short(to_page($pages[0], token => 't190'), '400 blocked 0',
    'the pages have a policy of their own');
is_short(to_page($pages[1], token => 't190',
    path => "/$pages[1]/messages"), '400 blocked 0',
    'whatever the path begins with');

# and back
is_short($hook->send($phone, script => '400 190', token => 'w'),
    '400 passed 1', 'WhatsApp gets an error');
is_short($hook->send($phone, token => 'w'), '400 blocked 0',
    'its messages are blocked');
is_short(to_page($pages[1], token => 'w'), '200 - 1',
    'messages of pages pass with that very token');

# an id that only begins like one of a page is a phone's
is_short($hook->send("$pages[0]1", token => 'w'), '400 blocked 0',
    'a longer id is none of the pages');

# one person's trouble is no more than that, and no conversation is known
{
    my $phone = '100000000000002';

    is_short($hook->send($phone, script => '400 131047'), '400 passed 1',
        'a window is closed');
    is_short($hook->send($phone, body => '{"recipient":{"id":"16505551234"},'
        . '"message":{"text":"hi"}}'), '200 - 1',
        'a recipient that is an object is in no conversation');
}

is_deeply([$hook->nginx->complaints], [], 'nothing is wrong in the log');

done_testing();
