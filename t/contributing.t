#!/usr/bin/perl

# That who adds something by docs/contributing.md is told what they have
# forgotten, where neither the compiler nor t/docs.t or another test says so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw(:flock);
use File::Temp ();
use JSON::PP ();
use Test::More;

use GraphPolicy qw(slurp spew);

my $top = "$FindBin::Bin/..";
my $src = "$top/src";

# folders and names of files may change, what is in them doesn't
my %source = map { ($_, slurp($_) =~ s{/\*.*?\*/}{}gsr) }
    glob "$src/*.[ch] $src/*/*.[ch]";
my %tests = map { (s{^\Q$FindBin::Bin\E/}{}r, slurp($_)) }
    glob "$FindBin::Bin/*.t";
my $page  = slurp("$top/docs/contributing.md");


# -- codes --------------------------------------------------------------------

# numbers of the rows of the table; those of a range are its ends
my ($table) = all('.c') =~ /_policy_table\[\] = \{(.*?)\n\};/s;
my %codes   = map { $_ => 1 }
    $table =~ /^ {4}(?:ROW|FATAL|TEMP|CONTEXT|REQUEST)\((\d+)/mg;

cmp_ok(keys %codes, '>', 150, 'the table of codes is read');

my ($lists) = $tests{'retry.t'} =~ /\A(.*?)^=== a 2xx is final/ms;

is_deeply([grep { $lists !~ /(?<!\d)$_(?!\d)/ } sort { $a <=> $b } keys %codes],
    [], 't/retry.t says of each code whether it is sent again');


# -- reasons ------------------------------------------------------------------

my ($reasons) = all('.c') =~ /_reasons\[[^]]*\] =\s*\{(.*?)\n\};/s;
my @reasons   = $reasons =~ /\{ ngx_string\("([a-z-]+)"\)/g;

cmp_ok(@reasons, '>=', 16, 'the reasons are read');

my $dialect = slurp("$FindBin::Bin/lib/GraphPolicy/Steps.pm");
my ($words) = $dialect =~ /^my %reason = .*?qw\((.*?)\);/ms;

is_deeply([sort split ' ', $words], [sort @reasons],
    't/lib/GraphPolicy/Steps.pm knows the reasons');


# -- directives ---------------------------------------------------------------

my ($commands) = all('.c') =~ /^static ngx_command_t .*?\{(.*?)^\};/ms;
my %levels     = $commands =~ /ngx_string\("(\w+)"\),\s*([A-Z0-9_|\s]+),/g;

cmp_ok(keys %levels, '>=', 20, 'the directives are read');

my $valid = join '', map { $tests{$_} } grep { /^directives/ } keys %tests;

is_deeply([grep { $valid !~ /\b$_\b/ } sort keys %levels], [],
    't/directives*.t say which values each directive takes');

# those of which a request of another location sees nothing
my $inherited = join '', @tests{grep { /^(?:inheritance|webhook|conversation)/ }
    keys %tests};

is_deeply([grep { $levels{$_} =~ /LOC_CONF/ && $levels{$_} =~ /MAIN_CONF/
    && $inherited !~ /\b$_\b/ } sort keys %levels], [],
    't/inheritance.t says what the levels of each directive inherit');

# a field that a directive of a location sets is one of the three functions'
my ($create) = all('.c') =~ /_create_loc_conf\([^)]*\)\n\{(.*?)\n\}/s;
my ($merge)  = all('.c') =~ /_merge_loc_conf\([^)]*\)\n\{(.*?)\n\}/s;
my @fields   = $commands =~ /offsetof\(ngx_http_graph_policy_loc_conf_t, (\w+)\)/g;

cmp_ok(@fields, '>', 5, 'the fields that directives set are read');

is_deeply([grep { $create !~ /conf->$_\b[\w.]* = NGX_CONF_UNSET/ } @fields], [],
    'each of them is unset where nobody has said anything');
is_deeply([grep { $merge !~ /conf->$_\b/ } @fields], [],
    'and inherited or defaulted');


# -- metrics ------------------------------------------------------------------

my ($counters) = all('.h') =~ /NGX_HTTP_GRAPH_POLICY_BUCKETS\];\s*
    ngx_atomic_t\s+retries.*?;(.*?)\}\s*ngx_http_graph_policy_counters_t/sx;
my @counters   = $counters =~ /ngx_atomic_t\s+(\w+)/g;
my ($metrics)  = all('.c') =~ /_metric_table\[\] = \{(.*?)\n\};/s;

cmp_ok(@counters, '>=', 10, 'the counters are read');

is_deeply([grep { $metrics !~ /_counted\($_\)/ } @counters], [],
    'each counter of a zone is a metric');
is_deeply([grep { my $name = $_;
        all('.c') !~ /counters\.$name(?:\+\+|\[| \+=)/
            && all('.c') !~ /(?:counter_add|atomic_fetch_add)\([^;]*?\b$name\b/ } @counters], [],
    'and is counted somewhere');


# -- events -------------------------------------------------------------------

my ($told) = all('.c') =~ /_transitions\[\] = \{(.*?)\n\};/s;
my %events = map { $_ => 1 } $told =~ /\{ ngx_string\("[^"]*"\), "(\w+)" \}/g;

$events{$_} = 1 for all('.c') =~ /_write_event\([^;]*?"(\w+)"\)/g;

cmp_ok(keys %events, '>=', 5, 'the words of events are read');

my ($row) = slurp("$top/docs/directives.md") =~ /^\| `event` \|(.*)$/m;
my %described = map { $_ => 1 } $row =~ /`(\w+)`/g;

is_deeply(\%described, \%events,
    'docs/directives.md has the words of events, and no other');
is_deeply([grep { $tests{'event_log.t'} !~ /\b$_\b/ } sort keys %events], [],
    't/event_log.t has each of them');


# -- the page -----------------------------------------------------------------

is_deeply([grep { !-e "$top/$_" } $page =~ /`((?:src|t|docs)\/[\w.\/-]+)`/g],
    [], 'the files that docs/contributing.md names exist');

SKIP: {
    skip 'of a whole build', 8 if ($ENV{KIND} // 'module') ne 'module';

    is(system("$top/t/tools/compile-commands"), 0, 'compile-commands runs');
    unlike(`make -n -C $top compile_commands 2>&1`, qr{/need (?:.* )?test\b},
        'make compile_commands needs none of the tools of tests');

    my $listed = JSON::PP::decode_json(
        slurp("$top/.build/compile_commands.json"));
    my %files  = map { ($_->{file} =~ s{^.*/src/(?:\./)?}{}r, 1) } @$listed;

    is_deeply([grep { !$files{$_} } map { s{^\Q$src\E/}{}r }
            grep { /\.c$/ } sort keys %source], [],
        'compile_commands.json has each file of the module');

    # a make that has something to do, and does nothing
    my $out  = $ENV{OUT} // "$top/.build/nginx";
    my $fake = File::Temp->newdir('make.XXXXXX', TMPDIR => 1);
    spew("$fake/make", qq{#!/bin/sh\ncase " \$* " in *" -q "*) exit 1 ;; esac\n});
    chmod 0755, "$fake/make" or die "chmod: $!";

    # what "make test" does before, and prove alone doesn't
    is(system("OUT='$out' $top/t/tools/build >/dev/null 2>&1"), 0, 'it builds');
    is(`OUT='$out' $top/t/tools/build 2>&1`, '',
        'a build that has nothing to do says nothing');

    local $ENV{PATH} = "$fake:$ENV{PATH}";
    like(`OUT='$out' $top/t/tools/build 2>&1`, qr/^compiling the module \(.+\)$/,
        'one that compiles says so before');

    open my $lock, '>', "$out.lock" or die "$out.lock: $!";
    flock $lock, LOCK_EX or die "flock: $!";
    open my $said, '-|', "OUT='$out' $top/t/tools/build 2>&1" or die "sh: $!";
    like(scalar <$said>, qr/^waiting for another build \(.+\)$/,
        'one that waits for another says so');
    close $lock;
    like(join('', <$said>), qr/^compiling/m, 'and then goes on');
    close $said or die "build failed\n";
}

done_testing();


# the text of all files of that kind, without comments
sub all {
    my ($kind) = @_;
    return join '', map { $source{$_} } grep { /\Q$kind\E$/ } sort keys %source;
}
