package Cases;

# What the bench measures.

use strict;
use warnings;

use Exporter 'import';

use Traffic qw($token %phones request webhook);

our @EXPORT_OK = qw(cases);

my $other_token = reverse $token;

my $phone_state = [request('phone')];
my $token_state = [request('token', token => $other_token)];

# Each is measured twice: without (the configuration "bare" unless named) and
# with ("policy").  "first" goes ahead of what is counted and sets the states;
# "states" conversations are there before that.  "request" may be a function of
# the request's number.  "expect" is the status and the X-Graph-Policy of each
# answer, "then" are requests that follow and must be blocked.  "limit" is the
# ratio's, "more" that of instructions more than without, "cpu" of the ratio of
# CPU times, measured where it is defined (0: without a limit); "random" says
# which number is another one in each request of that.  Functions that "aside"
# fits aren't counted, with all that they call: what they cost is not of a
# request, but of each second.  "engine" has a redis-server run meanwhile.

sub cases {
    my ($states) = @_;

    return (sends($states), errors(), short_circuits(), webhooks());
}

sub sends {
    my ($states) = @_;

    return (
        { title => 'accepted send', limit => 1.004, wrk => 1, cpu => 0,
          request => request('accepted'), expect => [200, ''] },

        { title => 'accepted send, no Accept-Encoding', limit => 1.004,
          request => request('accepted', encoding => ''), expect => [200, ''] },

        { title => 'accepted send, access log', limit => 1.004, log => 1,
          request => request('accepted'), expect => [200, ''] },

        { title => 'accepted send, encodings narrowed', limit => 1.004,
          request => request('accepted', encoding => 'gzip, deflate, br'),
          expect => [200, ''] },

        { title => 'accepted send, policy off', conf => 'off',
          request => request('accepted'), expect => [200, ''] },

        { title => 'accepted send, retry on', limit => 1.03, conf => 'retry',
          request => request('accepted'), expect => [200, ''] },

        { title => "accepted send, another phone's state live", limit => 1.05,
          first => $phone_state,
          request => request('accepted'), expect => [200, ''] },

        { title => "accepted send, another token's state live",
          first => $token_state,
          request => request('accepted'), expect => [200, ''] },

        { title => 'accepted send, shared with a fleet', limit => 1.005,
          bare => 'policy', conf => 'fleet', engine => 1,
          aside => qr/^ngx_http_graph_policy_sync_/,
          request => request('accepted'), expect => [200, ''] },

        { title => 'accepted send, shared, the engine dead', limit => 1.005,
          bare => 'policy', conf => 'fleet-dead',
          aside => qr/^ngx_http_graph_policy_sync_/,
          request => request('accepted'), expect => [200, ''] },

        { title => 'accepted send, conversations on', limit => 1.03,
          conf => 'gate',
          request => request('accepted'), expect => [200, ''] },

        # now the body is read, for its recipient

        { title => 'accepted send, another conversation limited', limit => 1.25,
          conf => 'gate', first => [request('window')],
          request => request('accepted'), expect => [200, ''] },

        { title => 'accepted send, a text of 1 KB, likewise',
          conf => 'gate', first => [request('window')],
          request => request('accepted', text => 'What they say. ' x 70),
          expect => [200, ''] },

        # as many senders write what isn't ASCII

        { title => 'accepted send, 1 KB of escapes, likewise', limit => 1.95,
          conf => 'gate', first => [request('window')],
          request => request('accepted', text => '\\u00e9\\n' x 130),
          expect => [200, ''] },

        { title => "accepted send, $states others limited", limit => 1.26,
          cpu => 1.15, conf => 'full', states => $states,
          request => sub { request('accepted', to => 15_550_000_000 + $_[0]) },
          random => { text => '15550000000', below => 1_000_000_000 },
          expect => [200, ''] },

        { title => "accepted send, $states limited, off", limit => 1.02,
          conf => 'full-off', states => $states,
          request => request('accepted'), expect => [200, ''] },
    );
}

sub errors {
    return (
        { title => "error, the request's own", limit => 1.29, wrk => 1,
          cpu => 0,
          request => request('request'), expect => [400, 'passed'] },

        { title => "error, the request's own, access log", limit => 1.29,
          log => 1,
          request => request('request'), expect => [400, 'passed'] },

        { title => "error, the request's own, 10 rules", limit => 1.36,
          conf => 'rules-10',
          request => request('request'), expect => [400, 'passed'] },

        { title => "error, the request's own, 1000 rules", limit => 1.36,
          conf => 'rules-1000',
          request => request('request'), expect => [400, 'passed'] },

        { title => 'error, fatal, not of a send', limit => 1.35,
          request => request('billing', edge => 'message_templates'),
          expect => [400, 'passed'] },

        { title => "error, another phone's state live", limit => 1.32,
          first => $phone_state,
          request => request('request'), expect => [400, 'passed'] },

        # where a token counts, its 200 characters are hashed

        { title => "error, another token's state live", limit => 1.38,
          first => $token_state,
          request => request('request'), expect => [400, 'passed'] },

        # bare nginx gets it compressed, which is a longer answer of the mock's

        { title => 'error, client and upstream know gzip', limit => 1.33,
          cpu => 0,
          request => request('gzip'), expect => [403, 'passed'] },

        { title => 'error of a new phone, which sets a state', limit => 1.55,
          cpu => 1.40,
          request => sub {
              my $phone = 410_000_000_000_000 + $_[0];
              return request('phone') =~ s/$phones{phone}/$phone/r;
          },
          random => { text => '410000000000000', below => 1_000_000_000_000 },
          expect => [400, 'passed'] },
    );
}

sub short_circuits {
    return (
        # the phases that "return" in the rewrite phase spares are nginx's own

        { title => 'short-circuit, phone', more => 2800, cpu => 1.14, wrk => 1,
          return => 1,
          request => request('phone'), expect => [400, 'blocked'] },

        { title => 'short-circuit, account', more => 2800, return => 1,
          request => request('billing'), expect => [400, 'blocked'] },

        # here, too

        { title => 'short-circuit, credential', more => 3450, cpu => 0,
          return => 1,
          request => request('token'), expect => [400, 'blocked'] },

        { title => 'short-circuit, credential, access log', more => 3450,
          return => 1, log => 1,
          request => request('token'), expect => [400, 'blocked'] },

        # here the body is read, which "return" only throws away

        { title => 'short-circuit, conversation', limit => 1.75, return => 1,
          conf => 'gate',
          request => request('window'), expect => [400, 'blocked'] },
    );
}

# Webhooks: each is about another customer, so each that says something new
# changes a state, if any location has a gate.

sub webhooks {
    my @cases;

    for my $gated (0, 1) {
        for my $what (qw(delivered written failed)) {
            for my $count (1, 10, 100) {
                next if $count > 1 && ($what eq 'written'
                                       || $gated != ($what eq 'failed'));

                push @cases, webhook_case($gated, $what, $count);
            }
        }
    }

    return @cases;
}

sub webhook_case {
    my ($gated, $what, $count) = @_;

    my $size = $count == 1 ? 1024 : 600 * $count;
    my $about = 15_550_000_000;

    return {
        title => 'webhook, '
            . ($count > 1 ? "$count $what" : "1 KB, $what")
            . ($gated ? ', conversations on' : ''),
        limit => $count > 1 ? undef
            : $gated ? 4 : 3.1,
        bare => 'bare-webhook',
        conf => $gated ? 'webhook-gate' : 'webhook',
        requests => $count == 100 ? [20, 120] : undef,
        request => sub {
            webhook('accepted', what => $what, count => $count,
                    size => $size, about => $about + $count * $_[0]);
        },
        expect => [200, ''],
        then => $gated && $what eq 'failed'
            ? [request('accepted', to => $about + 2 * $count - 1)] : undef,
        bytes => $count > 1 ? $size : undef,
        kind => $what,
    };
}

1;
