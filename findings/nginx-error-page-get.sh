#!/usr/bin/env bash
#
# nginx 1.22.1: error_page sends a POST on as a GET, and its body with it.
#
# "error_page 502 /other;" looks like a way to a second proxy for a send that
# the first one has failed. One would expect the same request there. An
# error_page with a URI makes a GET of it, but keeps body and Content-Length:
# the second upstream gets "GET" with a message, which Graph doesn't take for a
# send, and which a policy for POSTs doesn't see. A named location keeps all.
#
# Prints what the second server gets in both ways; exits 1 if that differs.
# Needs curl.

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

    log_format got '$request_method $uri $http_content_type '
                   '$http_content_length $request_body';
    access_log off;

    upstream first  { server unix:hangs-up.sock; }
    upstream second { server unix:answers.sock; }

    server {
        listen unix:nginx.sock;

        location /uri   { proxy_pass http://first; error_page 502 /other; }
        location /named { proxy_pass http://first; error_page 502 @other; }
        location /other { proxy_pass http://second; }
        location @other { proxy_pass http://second; }
    }

    server {
        listen unix:hangs-up.sock;
        return 444;
    }

    server {
        listen unix:answers.sock;

        location / {
            access_log got.log got;
            proxy_pass http://unix:end.sock;
        }
    }

    server {
        listen unix:end.sock;
        return 200;
    }
}
END

root/usr/sbin/nginx -p "$dir/" -c nginx.conf -e error.log 2>>log &

for _ in $(seq 100); do
    [ -S end.sock ] && break
    sleep 0.1
done

: >got.log

for path in /uri /named; do
    curl -s -o out -m 10 --unix-socket nginx.sock -d '{}' \
        -H 'Content-Type: application/json' "http://graph.test$path"
done

root/usr/sbin/nginx -v 2>&1
cat got.log

cat >expected <<'END'
GET /other application/json 2 {}
POST /named application/json 2 {}
END

if cmp -s got.log expected; then
    echo 'behaviour: a URI makes a GET with the body of the POST'
else
    echo 'changed: other requests have arrived'
    exit 1
fi
