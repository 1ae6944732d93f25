#!/usr/bin/perl

# A slow send of one phone says nothing of others. graph.facebook.com has two
# addresses, and nginx takes an address out for 10 seconds after one timeout: so
# the upstreams that people are shown keep both in use. That none is shown which
# doesn't is said by t/docs.t.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(slurp slow);
use GraphPolicy::Graph qw(with_length);

my $top = "$FindBin::Bin/..";
my %shown;

for my $page (map { s{^\Q$top\E/}{}r } "$top/README.md", glob("$top/docs/*.md"),
    glob("$top/examples/*/*.conf"), glob("$top/examples/*/README.md"))
{
    my $text = slurp("$top/$page");

    ($shown{$page}) = $text =~ /^[ ]*(upstream \s+ graph \s* \{ [^}]*
        graph\.facebook\.com [^}]* \})/mx;
    delete $shown{$page} if !defined $shown{$page};
}

cmp_ok(keys %shown, '>=', 5, 'the configurations are found');

# two servers, neither of which answers a phone of 9000
my @servers = map {
    GraphPolicy::Graph->start(
        v25 => sub {
            my ($request) = @_;
            return (\(2 * slow())) if $request->{uri} =~ m{/9000/};
            return with_length(200, "Content-Type: application/json\r\n",
                '{"messages":[{"id":"wamid.FAKE"}]}');
        });
} 1, 2;

# what others get after two slow sends, with such an upstream
sub after_slow_sends {
    my ($upstream) = @_;

    $upstream =~ s/#.*//mg;
    $upstream =~ s{server\s+graph\.facebook\.com\S*([^;]*);}
        {join ' ', map { "server 127.0.0.1:${\$_->port}$1;" } @servers}e;

    my $nginx = GraphPolicy::Nginx->start(http => <<"END");
graph_policy_zone zone=z:64k;
$upstream
server {
    listen 127.0.0.1:%PORT%;
    location / {
        graph_policy       zone=z;
        proxy_read_timeout @{[ 300 * slow() ]}ms;
        proxy_pass         http://graph;
    }
}
END
    my @got = map { $nginx->request(path => "/v25/$_/messages", token => 'a',
        body => '{}')->{status} } 9000, 9000, 1001 .. 1005;

    $nginx->stop('QUIT');
    return "@got";
}

is(after_slow_sends('upstream graph { server graph.facebook.com:443; }'),
    '504 504 502 502 502 502 502', "nginx's default: 502 for everybody");

is(after_slow_sends($shown{$_}), '504 504 200 200 200 200 200',
    "$_: the sends of others pass") for sort keys %shown;

done_testing();
