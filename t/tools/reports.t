#!/usr/bin/perl

# The last test of "make test-asan" and "make test-valgrind": nothing was
# reported on the way.  REPORTS is the directory of the reports.

use strict;
use warnings;

use Test::More;

my $dir = $ENV{REPORTS} or plan skip_all => 'run by t/tools/suite';
my $shown = 20;
my $n = 0;

# nginx that doesn't like its configuration leaves without freeing a pool that
# main() has made; LeakSanitizer's suppressions can't name two frames
my $known = qr/^Direct [ ] leak [^\n]*\n
               (?: [^\n]* (?:posix_)? memalign [ ] [^\n]*\n
                 | [^\n]* \b ngx_memalign [ ] [^\n]*\n)+
               [^\n]* [ ] ngx_create_pool [ ] [^\n]*\n
               [^\n]* [ ] main [ ] (?: [^\n]+\n )*\n/mx;

for my $file (sort glob "$dir/*") {
    open my $in, '<', $file or die "open $file: $!";
    my $text = do { local $/; <$in> };
    next unless defined $text && length $text;

    if ($text =~ s/$known//g) {
        # what leaks indirectly hangs on something that leaks directly
        next unless $text =~ /^Direct leak/m;
    }

    next if ++$n > $shown;
    diag("$file:\n", substr $text, 0, 8000);
}

is($n, 0, 'no report of a bad access, undefined behaviour or a leak');
done_testing();
