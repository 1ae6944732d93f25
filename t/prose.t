#!/usr/bin/perl

# That comments are sentences: one that begins with "what", "who" and the like
# is a riddle for whoever doesn't know the answer.

use strict;
use warnings;

use FindBin;
use Test::More;

my $top     = "$FindBin::Bin/..";
my $riddles = qr/(?:what|of|who|whom|whose|which|whether|nor|neither|one|ones|so|but|
    likewise|the\ same|and|or|than|as)\b/xi;

my ($count, @found) = (0);

for my $file (glob "$top/src/*.[ch] $top/src/*/*.[ch]") {
    open my $in, '<', $file or die "$file: $!";
    my $text = do { local $/; <$in> };

    while ($text =~ m{/\*\s*(.*?)\s*\*/}gs) {
        my ($comment, $line) = ($1, 1 + substr($text, 0, $-[0]) =~ tr/\n//);

        next if $comment =~ /^Copyright|^_NGX|_H_INCLUDED_/;

        $comment =~ s/\A[\s*]+//;
        $count++;
        push @found, $file =~ s{^\Q$top\E/}{}r . ":$line: "
            . (split /\n/, $comment)[0] if $comment =~ /\A$riddles/;
    }
}

cmp_ok($count, '>', 500, 'the comments are read');
cmp_ok(100 * @found, '<', 2 * $count,
    'less than 2 % of the comments of src/ begin with a riddle')
    or diag(scalar @found, " of $count:\n", map { "$_\n" } @found);

done_testing();
