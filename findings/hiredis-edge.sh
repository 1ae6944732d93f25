#!/usr/bin/env bash
#
# hiredis 0.14.1: on an edge-triggered loop a long answer never ends.
#
# hiredis leaves the loop to its user, so one would expect its asynchronous side
# to work on any. redisAsyncHandleRead() reads once, up to 16 kB, and returns.
# Where readiness is told once, as epoll in nginx's way (EPOLLET) does, the rest
# of a longer answer stays in the socket until the server sends more, which it
# doesn't: the connection is up, has no error, and stands still. Within nginx,
# read the socket until EAGAIN oneself, and give the bytes to hiredis' reader.
#
# Asks a Redis for a value of 100 kB with both kinds of epoll; prints the number
# of reads and what was left. Exits 1 if that differs. Needs a C compiler.

set -euo pipefail

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

cd "$dir"
apt-get download redis-tools=5:7.0.15-1~deb12u10 libjemalloc2=5.3.0-1 \
    liblzf1=3.6-3 libhiredis-dev=0.14.1-3 >log 2>&1 || { cat log; exit 2; }
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

cat >try.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <hiredis/async.h>

static int  answered;

static void
on_answer(redisAsyncContext *ac, void *reply, void *data)
{
    answered = reply != NULL && ((redisReply *) reply)->len == 100000;
}

int
main(int argc, char **argv)
{
    int                 epoll, left, reads, tries;
    redisAsyncContext  *ac;
    struct epoll_event  event;

    ac = redisAsyncConnectUnix("redis.sock");

    if (argc != 2 || ac == NULL || ac->err) {
        return 2;
    }

    redisAsyncCommand(ac, on_answer, NULL, "GET large");
    redisAsyncHandleWrite(ac);

    /* the whole answer is there before the loop begins */
    for (tries = 0, left = 0; tries < 300 && left < 100000; tries++) {
        usleep(10000);
        ioctl(ac->c.fd, FIONREAD, &left);
    }

    epoll = epoll_create1(0);
    event.events = EPOLLIN | (strcmp(argv[1], "edge") ? 0 : EPOLLET);
    epoll_ctl(epoll, EPOLL_CTL_ADD, ac->c.fd, &event);

    for (reads = 0; !answered && epoll_wait(epoll, &event, 1, 1000); reads++) {
        redisAsyncHandleRead(ac);
    }

    left = 0;
    ioctl(ac->c.fd, FIONREAD, &left);

    printf("%s: %s, %s, %s, error %d\n", argv[1],
           answered ? "answered" : "no answer",
           reads > 1 ? "several reads" : "one read",
           left > 65536 ? "over 64k unread" : "nothing unread", ac->err);
    return 0;
}
END

lib=$(dirname "$(find "$dir/root" -name libhiredis.a)")
cc -Wall -Iroot/usr/include -o try try.c "$lib/libhiredis.a"

head -c 100000 /dev/zero | tr '\0' x | cli -x SET large >>log

{
    ./try level
    ./try edge
} >seen

echo "hiredis $(sed -n 's/^#define HIREDIS_[A-Z]* \([0-9]*\)$/\1/p' \
    root/usr/include/hiredis/hiredis.h | xargs | tr ' ' .)"
cat seen

cat >expected <<'END'
level: answered, several reads, nothing unread, error 0
edge: no answer, one read, over 64k unread, error 0
END

if cmp -s seen expected; then
    echo 'behaviour: one read for each event, and no second event'
else
    echo 'changed: it reads on, or the level-triggered loop has no answer'
    exit 1
fi
