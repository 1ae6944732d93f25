#!/usr/bin/env bash
#
# nginx 1.22.1: with gzip on, of Graph's errors only a 403 or 404 is compressed.
#
# One would expect "gzip on" and "gzip_types application/json" to compress all
# JSON of a length over gzip_min_length, as gzip_proxied lets one choose by
# headers, and nothing by status. nginx compresses 200, 403 and 404 alone.
# A 400, 401, 429 or 500, which most errors of Graph have, goes out as it is; so
# does a 201. It isn't the doing of a policy that has read the error, and no
# setting changes it.
#
# Prints status and Content-Encoding of one JSON text; exits 1 if a status is
# compressed that wasn't, or the other way. Needs curl and python3.

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

    gzip         on;
    gzip_types   application/json;
    gzip_proxied any;

    server {
        listen unix:nginx.sock;
        location / { proxy_pass http://unix:graph.sock; }
    }
}
END

cat >graph.py <<'END'
import http.server, json, socketserver

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({'error': {'message': '(#1) ' + 1000 * 'x'}}).encode()
        self.send_response(int(self.path[1:]))
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return 'unix'

    def log_message(self, *_):
        pass

socketserver.UnixStreamServer('graph.sock', Handler).serve_forever()
END

python3 graph.py 2>>log &
root/usr/sbin/nginx -p "$dir/" -c nginx.conf -e error.log 2>>log &

for _ in $(seq 100); do
    [ -S nginx.sock ] && [ -S graph.sock ] && break
    sleep 0.1
done

for status in 200 201 400 401 403 404 429 500 503; do
    curl -s -m 10 -o out -D headers --unix-socket nginx.sock \
        -H 'Accept-Encoding: gzip' "http://proxy.test/$status"
    encoding=$(sed -n 's/^Content-Encoding: \(.*\)\r$/\1/p' headers)
    echo "$(sed -n '1s/[^ ]* \([0-9]*\).*/\1/p' headers) ${encoding:--}"
done >seen

root/usr/sbin/nginx -v 2>&1
cat seen

if [ "$(grep gzip seen | tr '\n' ' ')" = '200 gzip 403 gzip 404 gzip ' ] \
    && [ "$(grep -c ' -$' seen)" = 6 ]
then
    echo 'behaviour: 200, 403 and 404 are compressed, no other'
else
    echo 'changed: other statuses are compressed'
    exit 1
fi
