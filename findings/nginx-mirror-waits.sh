#!/usr/bin/env bash
#
# nginx 1.22.1: a mirror whose answer is ignored holds up the next request.
#
# "mirror" is documented to ignore the copy's response, so one would expect a
# host that is slow to take copies to slow nobody. The first request is indeed
# answered at once. But nginx counts it as unfinished until the copy is, and
# reads no further request from that connection: what Meta sends next on it, the
# next webhook, waits for the mirror, up to proxy_read_timeout (60 seconds).
#
# Sends two requests on one connection, with a mirror that never answers and a
# proxy_read_timeout of 2 s; prints the time of each. Exits 1 if the first is
# slow or the second isn't. Needs curl and python3.

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
    client_body_temp_path t1;
    proxy_temp_path       t2;
    fastcgi_temp_path     t3;
    uwsgi_temp_path       t4;
    scgi_temp_path        t5;

    access_log off;

    server {
        listen unix:nginx.sock;

        location / {
            mirror     /copy;
            proxy_pass http://unix:application.sock;
        }

        location = /copy {
            internal;
            proxy_read_timeout 2s;
            proxy_pass         http://unix:other-host.sock;
        }
    }

    server {
        listen unix:application.sock;
        return 200;
    }
}
END

# connections are accepted by the kernel and never answered
python3 -c '
import socket, time
listener = socket.socket(socket.AF_UNIX)
listener.bind("other-host.sock")
listener.listen(64)
time.sleep(50)' &

root/usr/sbin/nginx -p "$dir/" -c nginx.conf -e error.log 2>>log &

for _ in $(seq 100); do
    [ -S other-host.sock ] && [ -S application.sock ] && break
    sleep 0.1
done

# both on one connection, which num_connects shows: 1, then 0
curl -s -m 20 --unix-socket nginx.sock -d '{}' -o out -o out \
    -w '%{http_code} %{num_connects} %{time_total}\n' \
    http://proxy.test/first http://proxy.test/second >seen

root/usr/sbin/nginx -v 2>&1
echo 'status, new connections, seconds:'
cat seen

if awk '{ ok += $1 == 200 && (NR == 1 ? $2 == 1 && $3 < 1 : $2 == 0 && $3 > 1) }
        END { exit !(NR == 2 && ok == 2) }' seen
then
    echo 'behaviour: the second request waits for the copy of the first'
else
    echo 'changed: it does not, or the first one waits as well'
    exit 1
fi
