package GraphPolicy::Docs;

# The pages of the documentation, and what is fenced in them.
#
#   my @pages = pages();                 # names below the top
#   my $text  = text('docs/api.md');
#   for my $fence (fences('docs/api.md')) { ... }
#
# A fence is {page, line (of its first line), language, code (without its
# indentation), not_run}. "not_run" is the reason of a comment right behind it,
# which tells a reader of the source why nobody runs it:
#
#   <!-- not run: it changes the machine -->

use strict;
use warnings;

use Cwd ();
use Exporter qw(import);
use File::Basename ();

use GraphPolicy qw(slurp);

our @EXPORT_OK = qw(pages text fences anchors headings prose);

my $top = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../..');

sub pages {
    return map { s{^\Q$top\E/}{}r }
        (map { "$top/$_" } qw(README.md SECURITY.md CHANGES.md)),
        sort(glob "$top/docs/*.md"), sort glob "$top/examples/*/README.md";
}

sub text { return slurp("$top/$_[0]") }

sub fences {
    my ($page) = @_;

    my $text = text($page);
    my @found;

    while ($text =~ /^( *)```([^\n]*)\n(.*?)^ *```\n(?:\s*<!-- not run: (.*?) -->)?/msg)
    {
        my ($indent, $language, $code, $why, $start) = ($1, $2, $3, $4, $-[3]);

        $code =~ s/^$indent//mg;
        push @found, { page => $page, language => $language, code => $code,
            not_run => $why,
            line => 1 + (substr($text, 0, $start) =~ tr/\n//) };
    }

    return @found;
}

# a page without what is fenced
sub prose { return text($_[0]) =~ s/^\s*```.*?^\s*```//msgr }

sub headings { return prose($_[0]) =~ /^#+ (.*)$/mg }

# as GitHub makes them of headings: the second of the same has a number
sub anchors {
    my (%seen);

    return map {
        my $anchor = lc =~ s/\[([^]]*)\]\([^)]*\)/$1/gr
            =~ s/[^\w\s-]//gr =~ tr/ /-/r;
        $seen{$anchor}++ ? "$anchor-" . ($seen{$anchor} - 1) : $anchor;
    } headings($_[0]);
}

1;
