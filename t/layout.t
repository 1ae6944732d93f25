#!/usr/bin/perl

# How the source is laid out: who may need whom, how long things get, and what
# the fuzz targets of records know of them.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use GraphPolicy qw(slurp);

my $top    = "$FindBin::Bin/..";
my $prefix = 'ngx_http_graph_policy';

# each includes its own folder and those below; compat and version, in src
# itself, are for all
my %below = (
    policy    => [],
    zone      => [qw(policy)],
    http      => [qw(policy zone)],
    statefile => [qw(policy zone)],
    sync      => [qw(policy zone)],
    webhook   => [qw(policy zone http)],
    api       => [qw(policy zone http)],
    conf      => [qw(policy zone http statefile sync webhook api)],
    src       => [qw(policy zone http statefile sync webhook api conf)],
);

my (%folder, %text);

for my $file (glob("$top/src/*.[ch]"), glob("$top/src/*/*.[ch]")) {
    my ($dir, $name) = $file =~ m{/(\w+)/(\w+\.[ch])\z} or next;
    $folder{$name} = $dir;
    $text{$name}   = slurp($file);
}

cmp_ok(scalar keys %text, '>', 80, 'the source is found');

# without comments
sub code {
    my ($text) = @_;
    $text =~ s{/\*.*?\*/}{ }gs;
    return $text;
}

# files of the module that it includes
sub includes { return code($text{ $_[0] }) =~ /^#include "(\w+\.h)"/mg }


# -- who sees whom ------------------------------------------------------------

my @upward;

for my $name (sort keys %text) {
    my %may = map { $_ => 1 } $folder{$name}, @{ $below{ $folder{$name} } };

    push @upward, map { "$name: $_" } grep {
        $folder{$_} && !$may{ $folder{$_} } && !/_(?:compat|version)\.h\z/
    } includes($name);
}

is_deeply(\@upward, [], 'a file includes its own folder, and those below');

# what a header declares
sub declared {
    my ($header) = @_;

    my $code = code($text{$header});
    my %names;

    $names{$_}++ for $code =~ /^#define (\w+)/mg, $code =~ /\} (\w+);/g,
        $code =~ /^struct (\w+)_s\b/mg, $code =~ /^typedef [^({;]*\b(\w+);/mg,
        $code =~ /^typedef .*\(\*(\w+)\)/mg,
        $code =~ /\b(${prefix}_\w+)\(/g, $code =~ /\b(${prefix}_\w+)\[\w*\]/g,
        $code =~ /^extern [^(]*?(\w+);/mg;

    for my $enum ($code =~ /\benum \{(.*?)\}/gs) {
        $names{$_}++ for $enum =~ /\b([A-Z_0-9]{8,})\b/g;
    }

    # the inside of the zone is known by its member
    $names{sh}++ if $code =~ /^struct \w+_shctx_s/m;

    return \%names;
}

my (%declared, @unused);

for my $name (sort keys %text) {
    my $code = code($text{$name});
    $code =~ s/^#include.*//mg;
    my %words = map { $_ => 1 } $code =~ /\w+/g;

    for my $header (grep { $text{$_} } includes($name)) {
        my $has = $declared{$header} //= declared($header);
        push @unused, "$name: $header"
            if !grep { $words{$_} || $words{"${_}_t"} } keys %$has;
    }
}

is_deeply([@unused], [], 'nothing is included of which nothing is used');


# -- who needs whom -----------------------------------------------------------

(my $built = $GraphPolicy::module) =~ s{/[^/]+\z}{/addon};
my @objects = glob("$built/*/*.o");

SKIP: {
    skip 'the module wasn\'t built here', 2 if @objects < 20;

    my (%owner, %wants, %needs);

    for my $object (@objects) {
        (my $name = $object) =~ s{.*/${prefix}_|\.o\z}{}g;

        for (split /\n/, `nm '$object'`) {
            my ($kind, $symbol) = /\s([A-Za-z]) (\w+)\z/ or next;
            $owner{$symbol} = $name if $kind =~ /[TDBRC]/;
            $wants{$name}{$symbol} = 1 if $kind eq 'U';
        }
    }

    # all find their context and configuration by it
    delete $owner{"${prefix}_module"};

    for my $name (keys %wants) {
        for (keys %{ $wants{$name} }) {
            $needs{$name}{ $owner{$_} } = 1
                if $owner{$_} && $owner{$_} ne $name;
        }
    }

    cmp_ok(scalar keys %needs, '>', 20, 'what the object files need is found');

    # those that need nobody who is left go, until there are only circles
    my $went = 1;

    while ($went) {
        my @free = grep { !grep { $needs{$_} } keys %{ $needs{$_} } }
            keys %needs;
        delete @needs{@free};
        $went = @free;
    }

    is_deeply([sort keys %needs], [], 'no two object files need each other');
}


# -- what fuzz targets begin with ---------------------------------------------

# a member that neither is in a seed nor in the dictionary is hardly ever found
my @members = $text{"${prefix}_record.c"} =~ /_(?:member|number)\("(\w+)"/g;
my $words   = slurp("$top/t/fuzz/record.dict") =~ s/\\"/"/gr;

cmp_ok(scalar @members, '>', 40, 'the members of a record are found');
is_deeply([grep { $words !~ /"\Q$_\E":/ } @members], [],
    'the dictionary of records has each member');

for my $target (qw(record entry)) {
    my $seeds = join '', map { slurp($_) } glob("$top/t/fuzz/seeds/$target/*");
    my @of    = $target eq 'record' ? @members : grep {
        $text{"${prefix}_record.c"}
            =~ /\("$_", (?:STATE|CONVERSATION|BOTH|LINK),/ } @members;

    is_deeply([grep { $seeds !~ /"\Q$_\E":/ } @of], [],
        "the seeds of $target have each member");
}


# -- how long things get ------------------------------------------------------

# those are tables
my %table = map { ("${prefix}_$_.c" => 1) } qw(module);

is_deeply([grep { !$table{$_} && ($text{$_} =~ tr/\n//) > 600 }
    sort keys %text], [], 'no file has more than 600 lines, but tables');

my (@long, @wide);

for my $name (sort keys %text) {
    while ($text{$name} =~ /^(\w+)\([^;{}]*\)\n\{\n(.*?)^\}$/gms) {
        my ($function, $lines) = ($1, $2 =~ tr/\n//);
        push @long, "$name: $function" if $lines > 98;
    }

    my $n = 0;
    for (split /\n/, $text{$name}) {
        $n++;
        push @wide, "$name:$n" if length > 80;
    }
}

is_deeply(\@long, [], 'no function has more than 100 lines');
is_deeply(\@wide, [], 'no line has more than 80 columns');

done_testing();
