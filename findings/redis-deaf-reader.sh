#!/usr/bin/env bash
#
# Redis 7.0.15: a blocked XREAD doesn't hear that its stream has been deleted.
#
# When a stream goes away and another takes its name, one would expect the
# reader who waits for it to get an error, as XREADGROUP does (UNBLOCKED), or
# the entries of the new one. XREAD goes on waiting, and so does each XREAD
# after it, as long as the new ids are below the last one it has read: an engine
# that was emptied, or restored from a copy, with its clock behind. It looks
# like a quiet day. Who shares states by a stream has to listen for something of
# its own, and start over if that doesn't come.
#
# Lets a reader and a group's reader wait, deletes the stream and makes it anew;
# prints what each one gets. Exits 1 if that differs.

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

cli XADD news 2000-0 is old >>log
cli XGROUP CREATE news hosts '$' >>log

cli XREAD BLOCK 3000 STREAMS news 2000-0 >reader 2>&1 &
reader=$!
cli XREADGROUP GROUP hosts a BLOCK 3000 STREAMS news '>' >group 2>&1 &
group=$!

for _ in $(seq 100); do
    cli INFO clients | grep 'blocked_clients:2' >>log && break
    sleep 0.1
done

cli DEL news >>log
cli XADD news 1500-0 is new >>log
wait $reader $group

{
    echo "group: $(grep -o '^[A-Z]* [a-z ]*' group | xargs)"
    echo "reader: $(xargs <reader)"
    echo "again: $(cli XREAD BLOCK 500 STREAMS news 2000-0 | xargs)"
    echo "from the start: $(cli XREAD STREAMS news 0 | xargs)"
} >seen

cli INFO server | grep redis_version
cat seen

cat >expected <<'END'
group: UNBLOCKED the stream key no longer exists
reader: 
again: 
from the start: news 1500-0 is new
END

if cmp -s seen expected; then
    echo 'behaviour: XREAD gets neither an error nor the new entry'
else
    echo 'changed: the readers get something else'
    exit 1
fi
