#!/usr/bin/env bash
#
# nginx 1.22.1: a second address turns a slow upstream into one that is gone.
#
# One would expect a name with two addresses to be at least as robust as a name
# with one. But a lone address is never taken out, while of two each is, for
# ten seconds, after its first timeout (max_fails=1 and fail_timeout=10s are the
# defaults). A timed-out POST isn't repeated, so two slow answers of Graph, one
# at each of its addresses, and nginx answers all that follow with 502, at once
# and without asking Graph. With one address each request gets its try.
#
# Sends four POSTs to an upstream that never answers, by one address and by two;
# prints status and log. Exits 1 if one of the statuses differs. Needs curl and
# python3.

set -euo pipefail

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

cd "$dir"
apt-get download nginx=1.22.1-9+deb12u11 >log 2>&1 || { cat log; exit 2; }
dpkg -x nginx_*.deb root

cat >nginx.conf <<'END'
daemon         off;
master_process off;
pid            nginx.pid;
events {}

http {
    access_log            off;
    client_body_temp_path t1;
    proxy_temp_path       t2;
    fastcgi_temp_path     t3;
    uwsgi_temp_path       t4;
    scgi_temp_path        t5;

    proxy_read_timeout 300ms;

    # what proxy_pass makes of a name with one address, and with two
    upstream one { server unix:first.sock; }
    upstream two { server unix:first.sock; server unix:second.sock; }

    server {
        listen unix:nginx.sock;
        location /one/ { proxy_pass http://one; }
        location /two/ { proxy_pass http://two; }
    }
}
END

# accepts connections, as the kernel does for it, and never answers
python3 -c '
import socket, time
listeners = []
for name in ("first.sock", "second.sock"):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(name)
    listener.listen(64)
    listeners.append(listener)
time.sleep(50)' &

root/usr/sbin/nginx -p "$dir/" -c nginx.conf -e error.log 2>>log &

for _ in $(seq 100); do
    [ -S nginx.sock ] && [ -S first.sock ] && [ -S second.sock ] && break
    sleep 0.1
done

post() {
    for _ in 1 2 3 4; do
        curl -s -o out -w '%{http_code} ' -m 10 --unix-socket nginx.sock \
            -d '{}' "http://graph.test/$1/messages"
    done
}

one=$(post one)
two=$(post two)

root/usr/sbin/nginx -v 2>&1
echo "one address:   $one"
echo "two addresses: $two"
grep -o 'no live upstreams[^,]*' error.log | sort | uniq -c

if [ "$one" = '504 504 504 504 ' ] && [ "$two" = '504 504 502 502 ' ]; then
    echo 'behaviour: two addresses, and the third request gets no try'
else
    echo 'changed: other statuses'
    exit 1
fi
