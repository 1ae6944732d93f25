#!/usr/bin/env bash
#
# nginx 1.22.1: proxy_ssl_verify never takes a certificate for an address.
#
# A certificate that names 127.0.0.1 among its alternative names is valid for
# https://127.0.0.1/ to curl and to "openssl s_client -verify_ip". One would
# expect proxy_pass to that address with proxy_ssl_verify on to work, as
# proxy_ssl_name is the host of proxy_pass by default. It is a 502: nginx asks
# OpenSSL by X509_check_host(), which compares host names alone and leaves
# addresses to X509_check_ip(). So an upstream that is reached by its address
# needs a certificate with a name, too, and proxy_ssl_name with that.
#
# Asks a server with such a certificate by curl, and through nginx by address
# and by name; prints the statuses. Exits 1 if one differs. Needs curl and
# openssl.

set -euo pipefail

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

cd "$dir"
apt-get download nginx=1.22.1-9+deb12u11 >log 2>&1 || { cat log; exit 2; }
dpkg -x nginx_*.deb root

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
    -subj /CN=far -addext 'subjectAltName=IP:127.0.0.1,DNS:far.test' \
    -keyout far.key -out far.crt 2>>log

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
        listen              127.0.0.1:PORT ssl;
        ssl_certificate     far.crt;
        ssl_certificate_key far.key;
        return 200 hello;
    }

    server {
        listen unix:nginx.sock;

        proxy_ssl_verify              on;
        proxy_ssl_trusted_certificate far.crt;

        location /address {
            proxy_pass https://127.0.0.1:PORT;
        }
        location /name {
            proxy_ssl_name far.test;
            proxy_pass     https://127.0.0.1:PORT;
        }
    }
}
END

port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
sed -i "s/PORT/$port/" nginx.conf

root/usr/sbin/nginx -p "$dir/" -c nginx.conf -e error.log 2>>log &

for _ in $(seq 100); do
    [ -S nginx.sock ] && break
    sleep 0.1
done

get() {
    curl -q -s -m 10 -o out -w '%{http_code}' --noproxy '*' "$@" || true
}

direct=$(get --cacert far.crt "https://127.0.0.1:$port/")
address=$(get --unix-socket nginx.sock http://proxy.test/address)
name=$(get --unix-socket nginx.sock http://proxy.test/name)

root/usr/sbin/nginx -v 2>&1
echo "curl $direct, nginx by the address $address, by the name $name"
sed -n 's/.*\(upstream SSL certificate .*\) while.*/\1/p' error.log

if [ "$direct $address $name" = '200 502 200' ] \
    && grep -q 'certificate does not match "127.0.0.1"' error.log
then
    echo 'behaviour: a certificate for an address is good for curl alone'
else
    echo 'changed: nginx takes a certificate for an address'
    exit 1
fi
