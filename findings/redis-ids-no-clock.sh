#!/usr/bin/env bash
#
# Redis 7.0.15: "XADD *" gives ids of the future if one was there before.
#
# An id is the server's time in milliseconds, so one would expect to read off it
# when an entry was made, and to find "now" by adding one. It is the time only
# while no larger id has been used: behind an entry from a clock that ran ahead,
# all ids follow on that, even if the stream has been trimmed to nothing since,
# until the key is deleted. Ids order entries, they don't date them: hosts that
# compare ends of states with ids would see all states as over. TIME tells.
#
# Adds an entry of 2096, then some with "*"; prints how far from now they are.
# Exits 1 if that differs.

set -euo pipefail

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

cd "$dir"
apt-get download redis-tools=5:7.0.15-1~deb12u10 libjemalloc2=5.3.0-1 \
    liblzf1=3.6-3 >log 2>&1 || { cat log; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done

# the server is in this package too, by another name
ln -s redis-check-rdb root/usr/bin/redis-server
libraries=$(dirname "$(find "$dir/root" -name libjemalloc.so.2)")
export LD_LIBRARY_PATH=$libraries

root/usr/bin/redis-server --port 0 --unixsocket "$dir/redis.sock" --save '' \
    >>log 2>&1 &

cli() {
    root/usr/bin/redis-cli -s redis.sock "$@"
}

for _ in $(seq 100); do
    [ -S redis.sock ] && break
    sleep 0.1
done

# the id in whole days from now
days() {
    echo $(((${1%-*} / 1000 - $(cli TIME | sed -n 1p)) / 86400))
}

{
    echo "no entry before: $(days "$(cli XADD clock '*' is new)") days"
    cli XADD news 4000000000000-0 is early >>log
    echo "after an entry of 2096: $(cli XADD news '*' is new)"
    cli XTRIM news MAXLEN 0 >>log
    echo "length $(cli XLEN news): $(cli XADD news '*' is new)"
    cli DEL news >>log
    echo "after DEL: $(days "$(cli XADD news '*' is new)") days"
} >seen

cli INFO server | grep redis_version
cat seen

cat >expected <<'END'
no entry before: 0 days
after an entry of 2096: 4000000000000-1
length 0: 4000000000000-2
after DEL: 0 days
END

if cmp -s seen expected; then
    echo 'behaviour: ids go on from the largest one, not from the clock'
else
    echo 'changed: other ids'
    exit 1
fi
