package Profile;

# What callgrind counted: reads its file, and tells where the cost is.

use strict;
use warnings;

use Exporter 'import';
use File::Basename;

our @EXPORT_OK = qw(read_profile print_profile);

# The totals, by function what it cost itself and with all that it calls, and
# who calls it.

sub read_profile {
    my ($file) = @_;

    my (%names, %self, %whole, %callers, $fn, $object, $total, $call, $called);
    local $_;

    open my $f, '<', $file or die "Profile: callgrind left no $file\n";

    my $name = sub {
        my ($kind, $text) = @_;
        my ($id, $rest) = $text =~ /^(\(\d+\))(?: (.*))?$/ or return $text;
        $names{"$kind$id"} = $rest if defined $rest;
        return $names{"$kind$id"};
    };

    while (<$f>) {
        if (/^[\d+*-]\S* (\d+)/) {
            $self{$fn} += $1 if !$call;
            $whole{$fn} += $1;
            $call = 0;

        } elsif (/^calls=/) {
            $call = 1;

        } elsif (/^ob=(.*)/) {
            $object = basename($name->('ob', $1));
            $called = undef;

        } elsif (/^cob=(.*)/) {
            $called = basename($name->('ob', $1));

        } elsif (/^fn=(.*)/) {
            $fn = $name->('fn', $1) . " [$object]";

        } elsif (/^cfn=(.*)/) {
            push @{ $callers{ $name->('fn', $1) . ' ['
                . ($called // $object) . ']' } }, $fn;
            $called = undef;

        } elsif (/^totals: (\d+)/) {
            $total = $1;
        }
    }

    die "Profile: $file has no totals\n" if !$total;

    return { total => $total, self => \%self, whole => \%whole,
        callers => \%callers };
}

# Both are instructions per request, as read_profile() has them.

sub print_profile {
    my ($without, $with) = @_;

    my (%more, %objects);

    for (keys %{ $with->{self} }, keys %{ $without->{self} }) {
        $more{$_} = ($with->{self}{$_} || 0) - ($without->{self}{$_} || 0);
    }

    for (keys %more) {
        /\[(.*)\]$/ and $objects{$1} += $more{$_};
    }

    print "    more than without, by object\n";
    printf "      %7.0f  %s\n", $objects{$_}, $_
        for grep { abs $objects{$_} >= 5 }
            sort { $objects{$b} <=> $objects{$a} } keys %objects;

    print "    more than without, by function (itself; with what it calls)\n";
    printf "      %7.0f %7.0f  %s\n", $more{$_}, $with->{whole}{$_} || 0, $_
        for grep { abs $more{$_} >= 25 }
            sort { $more{$b} <=> $more{$a} } keys %more;
    print "\n";
}

1;
