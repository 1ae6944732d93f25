#!/usr/bin/env bash
#
# curl 7.88.1: --retry repeats a POST after a 500, and leaves a 400 alone.
#
# One would expect --retry to spare POSTs, or to go by Retry-After. It goes by
# the status: 408, 429, 500, 502, 503 and 504 are repeated, by any method. With
# Graph that is nearly upside down: code 131056, too many messages to one
# recipient, is a 400, and no Retry-After has it repeated; after a 500 with code
# 131000 the message may have gone out, and is sent again. So scripts that send
# by curl do without --retry, and look at the code.
#
# Posts to four answers with "--retry 2"; prints how often each was asked for.
# Exits 1 if that differs.

set -euo pipefail

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

cd "$dir"
apt-get download nginx=1.22.1-9+deb12u11 curl=7.88.1-10+deb12u15 \
    libcurl4=7.88.1-10+deb12u15 libnghttp2-14=1.52.0-1+deb12u3 >log 2>&1 \
    || { cat log; exit 2; }
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

    log_format got '$uri';
    access_log got.log got;

    server {
        listen     unix:graph.sock;
        add_header Retry-After 1 always;

        location /400    { return 400; }
        location /429    { return 429; }
        location /500    { return 500; }
        location /closed { return 444; }
    }
}
END

root/usr/sbin/nginx -p "$dir/" -c nginx.conf -e error.log 2>>log &

for _ in $(seq 100); do
    [ -S graph.sock ] && break
    sleep 0.1
done

libraries=$(dirname "$(find "$dir/root" -name libcurl.so.4)")

curl() {
    LD_LIBRARY_PATH=$libraries root/usr/bin/curl "$@"
}

for answer in 400 429 500 closed; do
    : >got.log
    curl -s -m 20 -o out --retry 2 --unix-socket graph.sock -d '{}' \
        "http://graph.test/$answer" || true
    echo "$answer: $(wc -l <got.log)"
done >seen

curl --version | sed -n 1p | cut -d' ' -f1,2
cat seen

if [ "$(xargs <seen)" = '400: 1 429: 3 500: 3 closed: 1' ]; then
    echo 'behaviour: the status decides, not the method and not Retry-After'
else
    echo 'changed: other numbers'
    exit 1
fi
