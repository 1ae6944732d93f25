#!/usr/bin/env bash
#
# nginx 1.22.1: "nginx -t" tests the new module, the reload runs the old one.
#
# After a module's file has been replaced (by renaming, as packages do), one
# would expect a reload to load it, or to be refused where the test would be.
# The test is a new process and opens the new file. The running master asks the
# linker for a path that it has mapped already, and gets what it has mapped. So
# a configuration that needs the new module passes the test and fails in the
# reload; one that doesn't reloads well, and goes on with the old code.
#
# Puts another module (echo) in the place of headers-more, and reloads; prints
# test and log. Exits 1 if the reload loads it. Needs curl.

set -euo pipefail

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

cd "$dir"
apt-get download nginx=1.22.1-9+deb12u11 libnginx-mod-http-echo=1:0.63-4 \
    libnginx-mod-http-headers-more-filter=1:0.34-3 >log 2>&1 \
    || { cat log; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done

modules=root/usr/lib/nginx/modules
cp $modules/ngx_http_headers_more_filter_module.so module.so

# with a master, unlike most tests: it is the master that loads
configure() {
    cat >nginx.conf <<END
daemon      off;
user        $(id -un) $(id -gn);
pid         nginx.pid;
load_module $dir/module.so;
events {}

http {
    access_log            off;
    client_body_temp_path t1;
    proxy_temp_path       t2;
    fastcgi_temp_path     t3;
    uwsgi_temp_path       t4;
    scgi_temp_path        t5;

    server {
        listen unix:nginx.sock;
        location / { $1 }
    }
}
END
}

nginx=(root/usr/sbin/nginx -p "$dir/" -c nginx.conf -e error.log)

configure 'more_set_headers "X-Module: headers-more"; return 204;'
"${nginx[@]}" 2>>log &

for _ in $(seq 100); do
    [ -S nginx.sock ] && [ -s nginx.pid ] && break
    sleep 0.1
done

cp $modules/ngx_http_echo_module.so new.so
mv new.so module.so
configure 'echo "a message of the new module";'

{
    "${nginx[@]}" -t 2>&1 | grep -o 'syntax is ok' || true
    "${nginx[@]}" -s reload

    for _ in $(seq 50); do
        grep -q 'emerg' error.log && break
        sleep 0.1
    done

    grep 'emerg' error.log | grep -o 'unknown directive "echo"' || true
    curl -s -m 10 -D - -o out --unix-socket nginx.sock http://proxy.test/ \
        | grep -o 'X-Module: .*' | tr -d '\r' || true
} >seen

root/usr/sbin/nginx -v 2>&1
cat seen

cat >expected <<'END'
syntax is ok
unknown directive "echo"
X-Module: headers-more
END

if cmp -s seen expected; then
    echo 'behaviour: the test takes the new module, the reload the old one'
else
    echo 'changed: the reload loads the new file'
    exit 1
fi
