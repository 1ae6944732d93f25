#!/usr/bin/env bash
#
# hiredis 0.14.1: it can't read an answer of the Redis beside it in Debian 12.
#
# RESP nests arrays without a limit, and one would expect the client library of
# a distribution to read all that its server says. This reader gives up at the
# eighth level ("depth > 7"), and with it the connection, since nobody knows
# where the next answer begins. Redis 7.0 goes deeper with COMMAND DOCS, for a
# command that has subcommands whose options have options. XREAD needs five
# levels. So a reader's limits are to be compared with the commands that one
# asks, and an answer that is too deep is an end of the connection.
#
# Asks a Redis for three of its descriptions; prints what the reader says of
# each. Exits 1 if that differs. Needs a C compiler.

set -euo pipefail

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

cd "$dir"
apt-get download redis-tools=5:7.0.15-1~deb12u10 libjemalloc2=5.3.0-1 \
    liblzf1=3.6-3 libhiredis-dev=0.14.1-3 >log 2>&1 || { cat log; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done

# the server is in this package too, by another name
ln -s redis-check-rdb root/usr/bin/redis-server
LD_LIBRARY_PATH=$(dirname "$(find "$dir/root" -name libjemalloc.so.2)")
export LD_LIBRARY_PATH

root/usr/bin/redis-server --port 0 --unixsocket "$dir/redis.sock" --save '' \
    >>log 2>&1 &

for _ in $(seq 100); do
    [ -S redis.sock ] && break
    sleep 0.1
done

cat >try.c <<'END'
#include <stdio.h>

#include <hiredis/hiredis.h>

int
main(int argc, char **argv)
{
    redisReply    *reply;
    redisContext  *c;

    c = redisConnectUnix("redis.sock");
    if (argc != 2 || c == NULL || c->err) {
        return 2;
    }

    reply = redisCommand(c, argv[1]);
    printf("%s: %s\n", argv[1], reply ? "read" : c->errstr);

    reply = redisCommand(c, "PING");
    printf("then PING: %s\n", reply ? reply->str : c->errstr);
    return 0;
}
END

library=$(find root -name libhiredis.a)
cc -I root/usr/include -o try try.c "$library"

for what in 'COMMAND DOCS XADD' 'COMMAND DOCS XREAD' 'COMMAND DOCS XINFO'; do
    ./try "$what"
done >seen

root/usr/bin/redis-server --version | sed 's/ sha.*//'
cat seen

if [ "$(grep -c ': read$' seen)" = 2 ] \
    && grep -q '^COMMAND DOCS XINFO: No support for .* depth > 7$' seen \
    && [ "$(grep -c '^then PING: PONG$' seen)" = 2 ]
then
    echo 'behaviour: an answer of eight levels ends the connection'
else
    echo 'changed: the reader goes to another depth'
    exit 1
fi
