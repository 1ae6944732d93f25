#!/usr/bin/env bash
#
# nginx 1.22.1: a POST on a kept connection that has gone stale is a 502.
#
# A server may close an idle connection at any time, and nginx knows that: with
# one server only, it opens a second connection when a kept one turns out to be
# dead. One would expect that of all methods. It does so for a GET, and answers
# 502 for a POST, which it had sent before it saw the end. So "keepalive" adds
# errors to sends alone, and a monitor that asks by GET never sees one. What
# helps is a keepalive_timeout below the far side's.
#
# The server answers the first request of a connection and hangs up at the
# second. Sends GET and POST twice each; prints the statuses and what came in.
# Exits 1 if they differ. Needs curl and python3.

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

    upstream graph {
        server    unix:graph.sock;
        keepalive 4;
    }

    server {
        listen unix:nginx.sock;

        location / {
            proxy_pass         http://graph;
            proxy_http_version 1.1;
            proxy_set_header   Connection "";
        }
    }
}
END

cat >graph.py <<'END'
import socket

listener = socket.socket(socket.AF_UNIX)
listener.bind('graph.sock')
listener.listen(64)

with open('got.log', 'w', 1) as log:
    while True:
        connection = listener.accept()[0]

        for number in 'first', 'second':
            data = b''
            while b'\r\n\r\n' not in data:
                part = connection.recv(4096)
                if not part:
                    break
                data += part
            if not data:
                break
            print(data.split(b' ')[0].decode(), number, 'of a connection',
                  file=log)
            if number == 'first':
                connection.sendall(b'HTTP/1.1 200 OK\r\n'
                                   b'Content-Length: 0\r\n\r\n')
        connection.close()
END

python3 graph.py 2>>log &
root/usr/sbin/nginx -p "$dir/" -c nginx.conf -e error.log 2>>log &

for _ in $(seq 100); do
    [ -S nginx.sock ] && [ -S graph.sock ] && break
    sleep 0.1
done

ask() {
    echo "$1: $(curl -s -m 10 -o out -w '%{http_code}' -X "$1" \
        --unix-socket nginx.sock http://proxy.test/)"
}

{
    ask GET
    ask GET
    ask POST
} >statuses

root/usr/sbin/nginx -v 2>&1
cat statuses got.log

cat >expected <<'END'
GET: 200
GET: 200
POST: 502
GET first of a connection
GET second of a connection
GET first of a connection
POST second of a connection
END

if cat statuses got.log | cmp -s - expected; then
    echo 'behaviour: the GET gets a new connection, the POST a 502'
else
    echo 'changed: other statuses or requests'
    exit 1
fi
