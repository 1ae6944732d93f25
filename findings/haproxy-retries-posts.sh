#!/usr/bin/env bash
#
# HAProxy 2.6.12: "retry-on" sends POSTs again, but for those with a large body.
#
# Proxies don't repeat a POST that has been taken, nginx for one needs
# "non_idempotent" for it, so one would expect "retry-on 500 503" to be about
# GETs. HAProxy doesn't look at the method: a small POST is sent "retries" times
# more. What decides instead is whether the whole request fits its buffer (16 kB
# by default): one that doesn't is sent once, without a word. So texts behind
# such a balancer may arrive twice after an error of Graph with an unknown
# outcome, and uploads get no retry. It needs "http-request disable-l7-retry if
# METH_POST".
#
# An upstream answers all with 500. Prints how often it got a GET and POSTs of
# 15,000 and 17,000 bytes, without that line and with it; exits 1 if that
# differs. Needs curl.

set -euo pipefail

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

cd "$dir"
apt-get download nginx=1.22.1-9+deb12u11 haproxy=2.6.12-1+deb12u4 \
    liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0=1.1.3-3+b1 \
    libopentracing1=1.6.0-4 >log 2>&1 || { cat log; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done

cat >nginx.conf <<'END'
daemon         off;
master_process off;
pid            nginx.pid;
events {}

http {
    client_body_temp_path t1;
    proxy_temp_path       t2;
    fastcgi_temp_path     t3;
    uwsgi_temp_path       t4;
    scgi_temp_path        t5;

    log_format got '$request_method$uri';
    access_log got.log got;

    server {
        listen unix:graph.sock;
        client_max_body_size 1m;

        # the body is read, unlike with "return" alone
        location / { proxy_pass http://unix:end.sock; }
    }

    server {
        listen unix:end.sock;
        access_log off;
        client_max_body_size 1m;
        return 500;
    }
}
END

cat >haproxy.cfg <<'END'
defaults
    mode     http
    timeout  connect 5s
    timeout  client  5s
    timeout  server  5s
    retries  2
    retry-on 500

listen any
    bind   unix@any.sock
    server graph unix@graph.sock

listen no-post
    bind         unix@no-post.sock
    http-request disable-l7-retry if METH_POST
    server       graph unix@graph.sock
END

libraries=$(dirname "$(find "$dir/root" -name liblua5.3.so.0)")

root/usr/sbin/nginx -p "$dir/" -c nginx.conf -e error.log 2>>log &
LD_LIBRARY_PATH=$libraries root/usr/sbin/haproxy -db -f haproxy.cfg >>log 2>&1 &

for _ in $(seq 100); do
    [ -S end.sock ] && [ -S no-post.sock ] && break
    sleep 0.1
done

ask() {
    : >got.log
    curl -s -m 10 -o out --unix-socket "$1.sock" -H Expect: "${@:3}" \
        http://proxy.test/
    echo "$1, $2: $(wc -l <got.log)"
}

head -c 15000 /dev/zero >small
head -c 17000 /dev/zero >large

{
    ask any 'GET'
    ask any 'POST of 15000 bytes' --data-binary @small
    ask any 'POST of 17000 bytes' --data-binary @large
    ask no-post 'GET'
    ask no-post 'POST of 15000 bytes' --data-binary @small
} >seen

LD_LIBRARY_PATH=$libraries root/usr/sbin/haproxy -v | sed -n 1p
cat seen

cat >expected <<'END'
any, GET: 3
any, POST of 15000 bytes: 3
any, POST of 17000 bytes: 1
no-post, GET: 3
no-post, POST of 15000 bytes: 1
END

if cmp -s seen expected; then
    echo 'behaviour: a small POST is repeated, a large one is not'
else
    echo 'changed: other numbers'
    exit 1
fi
