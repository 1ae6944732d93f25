#!/usr/bin/env bash
#
# nginx 1.22.1: a GET that goes out as a POST is sent to a second server too.
#
# Without "non_idempotent", nginx sends no POST to a second server once the
# first has got it. One would expect "POST" to be what goes over the wire. It is
# the client's method: with "proxy_method POST" a GET of the client, a link that
# sends a message say, is sent to both addresses of Graph when the first hangs
# up. And a client's POST isn't repeated even if it goes out as a GET.
#
# One server takes each request and hangs up without an answer, one says 200.
# Prints what they have got; exits 1 if that differs. Needs curl.

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

    log_format got '$server_name got $request_method $uri';
    access_log off;

    upstream graph {
        server unix:hangs-up.sock max_fails=0;
        server unix:answers.sock backup;
    }

    server {
        listen unix:nginx.sock;

        location /as-it-is { proxy_pass http://graph; }
        location /as-post  { proxy_pass http://graph; proxy_method POST; }
        location /as-get   { proxy_pass http://graph; proxy_method GET; }
    }

    server {
        listen      unix:hangs-up.sock;
        server_name hangs-up;
        access_log  got.log got;
        return      444;
    }

    server {
        listen      unix:answers.sock;
        server_name answers;
        access_log  got.log got;
        return      200;
    }
}
END

root/usr/sbin/nginx -p "$dir/" -c nginx.conf -e error.log 2>>log &

for _ in $(seq 100); do
    [ -S answers.sock ] && break
    sleep 0.1
done

ask() {
    echo "client: $1 $2"
    : >got.log
    curl -s -o out -m 10 --unix-socket nginx.sock -X "$1" "http://graph.test$2"
    cat got.log
}

{
    ask POST /as-it-is
    ask GET /as-post
    ask POST /as-get
} >seen

root/usr/sbin/nginx -v 2>&1
cat seen

cat >expected <<'END'
client: POST /as-it-is
hangs-up got POST /as-it-is
client: GET /as-post
hangs-up got POST /as-post
answers got POST /as-post
client: POST /as-get
hangs-up got GET /as-get
END

if cmp -s seen expected; then
    echo 'behaviour: the method of the client decides'
else
    echo 'changed: other requests have arrived'
    exit 1
fi
