#!/usr/bin/env bash
#
# nginx 1.22.1 and curl 7.88.1: by HTTP/2, an early answer to a POST is lost.
#
# A proxy that answers before it has read the body (limits, access, local
# answers) would be expected to reach its client by HTTP/2 as by HTTP/1.1. nginx
# sends the whole answer, and then ends the stream with RST_STREAM(NO_ERROR), as
# RFC 9113, 8.1 allows, for it wants no more of the body. That section forbids
# clients to throw the answer away for it; this curl does: error 92, no status.
# Whatever is built on this libcurl shares it. Who answers POSTs early should
# offer them HTTP/1.1, where the status arrives.
#
# Sends a POST of 200 kB by both versions to a location that says 403; prints
# what curl has, and what nginx has sent. Exits 1 if HTTP/2 delivers it.

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

    log_format sent '$server_protocol: nginx has sent $status, '
                    '$bytes_sent bytes';
    access_log sent.log sent;

    server {
        listen unix:http1.sock;
        listen unix:http2.sock http2;
        return 403;
    }
}
END

root/usr/sbin/nginx -p "$dir/" -c nginx.conf -e error.log 2>>log &

for _ in $(seq 100); do
    [ -S http1.sock ] && [ -S http2.sock ] && break
    sleep 0.1
done

libraries=$(dirname "$(find "$dir/root" -name libcurl.so.4)")
head -c 200000 /dev/zero >body

curl() {
    LD_LIBRARY_PATH=$libraries root/usr/bin/curl "$@"
}

post() {
    curl -s -m 10 -o out --unix-socket "$1.sock" "${@:2}" -H Expect: \
        -w "$1: curl has status %{http_code}, exit code %{exitcode}\n" \
        --data-binary @body http://proxy.test/ || true
}

{
    post http1
    post http2 --http2-prior-knowledge
} >seen

root/usr/sbin/nginx -v 2>&1
curl --version | sed -n 1p | cut -d' ' -f1,2
cat seen sent.log

cat >expected <<'END'
http1: curl has status 403, exit code 0
http2: curl has status 000, exit code 92
END

if cmp -s seen expected && grep -q 'HTTP/2.0: .* 403' sent.log; then
    echo 'behaviour: by HTTP/2 the answer is sent and thrown away'
else
    echo 'changed: curl shows another status'
    exit 1
fi
