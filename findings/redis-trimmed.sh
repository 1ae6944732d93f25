#!/usr/bin/env bash
#
# Redis 7.0.15: a reader of a stream can't see that entries were trimmed.
#
# One would expect XREAD from an id that is gone to be an error, as it is in
# other logs, or XINFO's "max-deleted-entry-id" to be past it. XREAD goes on
# with the oldest entry that is left, and that field counts XDEL alone: MAXLEN
# leaves it at 0-0. So nginx hosts that tell each other by a stream with MAXLEN,
# and were cut off for a while, miss news without a sign. The entries need
# numbers of their own, whose gaps show.
#
# Trims all but two of six entries; prints what a reader of the first one and
# XINFO see, before and after an XDEL. Exits 1 if that differs.

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

deleted() {
    cli XINFO STREAM news | sed -n '/^max-deleted-entry-id$/{ n; p }'
}

for id in 1 2 3 4 5 6; do
    cli XADD news "$id-0" is "$id" >>log
done

{
    echo "trimmed: $(cli XTRIM news MAXLEN = 2)"
    echo "after 1-0 come: $(cli XREAD STREAMS news 1-0 | grep -- -0 | xargs)"
    echo "max-deleted-entry-id: $(deleted)"
    echo "deleted: $(cli XDEL news 5-0)"
    echo "max-deleted-entry-id: $(deleted)"
} >seen

cli INFO server | grep redis_version
cat seen

cat >expected <<'END'
trimmed: 4
after 1-0 come: 5-0 6-0
max-deleted-entry-id: 0-0
deleted: 1
max-deleted-entry-id: 5-0
END

if cmp -s seen expected; then
    echo 'behaviour: no error for the gap, and trimming counts as no deletion'
else
    echo 'changed: a reader can see it'
    exit 1
fi
