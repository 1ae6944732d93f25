#!/usr/bin/perl

# The last test of "make test-asan" and "make test-valgrind": nothing was
# reported on the way.  REPORTS is the directory of the reports.

use strict;
use warnings;

use Test::More;

my $dir = $ENV{REPORTS} or plan skip_all => 'run by t/tools/suite';
my $shown = 20;

# Memory that nginx itself doesn't free, by the function that asked for it.
# LeakSanitizer's own suppressions can't name two frames; those for valgrind are
# in valgrind.suppress.
my @known = (
    # left when it refuses its configuration
    'ngx_create_pool main',
    # a worker's connections
    'ngx_event_process_init',
    # the environment
    'ngx_set_environment',
    # what OpenSSL keeps for a configuration
    'CRYPTO_zalloc', 'CRYPTO_malloc',
    # what PCRE needs to compile
    'ngx_regex_malloc',
);

my $allocator = qr/__interceptor_\w+ | malloc | calloc | realloc
                   | posix_memalign | ngx_alloc | ngx_calloc | ngx_memalign/x;

sub is_known {
    my ($text) = @_;

    my ($kind, @leaks) = split /^(?=Direct leak|Indirect leak)/m, $text;
    return 0 if $kind !~ /LeakSanitizer: detected memory leaks/;

    # what leaks indirectly hangs on something that leaks directly, or in a ring
    my @direct = grep { /^Direct/ } @leaks;

    # the ring of a configuration that "nginx -t" read and left as it was
    return 1 if !@direct
        && $text =~ / in ngx_create_pool .*\n.* in ngx_init_cycle /
        && $text !~ / in ngx_http_(?:process|core_run)_/;

    for my $leak (@direct ? @direct : @leaks) {
        my @frames = $leak =~ /^ \s+ \# \d+ \s+ \w+ \s in \s (\S+)/mgx;
        shift @frames while @frames && $frames[0] =~ /^(?:$allocator)$/;
        return 0 unless grep { "@frames " =~ /^\Q$_\E / } @known;
    }

    return 1;
}

my $n = 0;

for my $file (sort glob "$dir/*") {
    open my $in, '<', $file or die "open $file: $!";
    my $text = do { local $/; <$in> };

    # LeakSanitizer of gcc 16 asks a child of its own whether it may look into
    # processes, and warns where it doesn't see how that one ended
    $text =~ s/^==\d+==(?:WARNING:\ ptrace\ appears\ to\ be\ blocked
        |Child\ exited\ with\ signal).*\n//mgx if defined $text;

    next unless defined $text && length $text;
    next if is_known($text);
    next if ++$n > $shown;

    diag("$file:\n", substr $text, 0, 8000);
}

is($n, 0, 'no report of a bad access, undefined behaviour or a leak');
done_testing();
