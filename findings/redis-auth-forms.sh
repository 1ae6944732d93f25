#!/usr/bin/env bash
#
# Redis 7.0.15: a password nobody asked for is refused, or taken, by its form.
#
# Of a server without a password one would expect one answer to whoever brings
# one. "AUTH secret" is an error, and a client that gives up on errors never
# connects. "AUTH default secret", which says the same at length, is OK with any
# secret. So whether a client's setting fits the server shows with the short
# form alone; with the long one, a server that has lost its password goes
# unnoticed.
#
# Prints the answers to both, without a password and with one; exits 1 if they
# differ.

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

ask() {
    echo "$*: $(cli "$@" 2>&1 | sed -n 1p | cut -d" " -f1)"
}

{
    ask AUTH anything
    ask AUTH default anything
    cli CONFIG SET requirepass secret >>log
    ask AUTH anything
    ask AUTH default anything
    ask AUTH default secret
} >seen

cli --pass secret --no-auth-warning INFO server | grep redis_version
cat seen

cat >expected <<'END'
AUTH anything: ERR
AUTH default anything: OK
AUTH anything: WRONGPASS
AUTH default anything: WRONGPASS
AUTH default secret: OK
END

if cmp -s seen expected; then
    echo 'behaviour: without a password, one form fails and one succeeds'
else
    echo 'changed: other answers'
    exit 1
fi
