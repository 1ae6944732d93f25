package Wrk;

# Has wrk send the requests of a case, and reads what it and the kernel say.

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(has_wrk run_wrk cpu_time median);

sub has_wrk { return system('command -v wrk >/dev/null 2>&1') == 0 }

# Nanoseconds that a process was on a CPU, user and kernel: unlike requests a
# second they don't depend on who else wants it.

sub cpu_time {
    my ($pid) = @_;

    open my $f, '<', "/proc/$pid/schedstat"
        or die "Wrk: the kernel keeps no schedstat: $!\n";
    my ($ns) = split ' ', <$f>;
    return $ns;
}

sub median {
    my @sorted = sort { $a <=> $b } @_;
    return ($sorted[$#sorted / 2] + $sorted[@sorted / 2]) / 2;
}

# So many seconds of a request over 16 connections.  Of "random" the text is
# replaced, in each request, by a random number with as many digits that is
# less than "below" away from it.  Returns requests, their rate, median and p99.

sub run_wrk {
    my ($dir, $port, $seconds, $request, $random) = @_;

    open my $f, '>', "$dir/request" or die "Wrk: $!\n";
    print $f $request;
    close $f;

    my ($text, $below) = $random ? @$random{qw(text below)} : (0, 0);

    open $f, '>', "$dir/wrk.lua" or die "Wrk: $!\n";
    print $f <<"END";
local file = assert(io.open("$dir/request", "rb"))
local text = file:read("*a")
file:close()

function request()
    return text
end

if $below > 0 then
    local from, to = text:find("$text", 1, true)
    local head, tail = text:sub(1, from - 1), text:sub(to + 1)
    local format = string.format
    math.randomseed(os.time())
    function request()
        return head .. format("%.0f", $text + math.random(0, $below - 1))
            .. tail
    end
end
END
    close $f;

    my $out = `wrk -t 1 -c 16 -d $seconds --latency -s $dir/wrk.lua \\
               http://127.0.0.1:$port/ 2>&1`;

    my ($requests) = $out =~ /(\d+) requests in/
        or die "Wrk: wrk failed: $out\n";
    die "Wrk: wrk doesn't take its script: $out\n" if $out =~ /\.lua:/;

    my ($rate) = $out =~ m,Requests/sec:\s+([\d.]+),;
    my ($half) = $out =~ /50%\s+(\S+)/;
    my ($most) = $out =~ /99%\s+(\S+)/;

    return ($requests, $rate, $half, $most);
}

1;
