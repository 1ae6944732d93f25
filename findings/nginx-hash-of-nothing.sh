#!/usr/bin/env bash
#
# nginx 1.22.1: requests whose hash key is empty go round all servers.
#
# "hash $phone consistent" keeps a phone with one host. For requests that have
# no phone, a "map" gives an empty key; as equal keys go to one server, one
# would expect all of them on the same host, and a load there. An empty key
# isn't hashed: such requests go round robin. So a default of "" spreads them,
# and a default of any text, "none" or "-", heaps them on one host.
#
# Sends nine requests each with an empty key, a phone and "none"; prints which
# of three servers got them. Exits 1 if that differs. Needs curl.

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

    upstream hosts {
        hash   $arg_phone consistent;
        server unix:a.sock;
        server unix:b.sock;
        server unix:c.sock;
    }

    server {
        listen unix:nginx.sock;
        location / { proxy_pass http://hosts; }
    }

    server { listen unix:a.sock; return 200 a; }
    server { listen unix:b.sock; return 200 b; }
    server { listen unix:c.sock; return 200 c; }
}
END

root/usr/sbin/nginx -p "$dir/" -c nginx.conf -e error.log 2>>log &

for _ in $(seq 100); do
    [ -S c.sock ] && break
    sleep 0.1
done

ask() {
    for _ in 1 2 3 4 5 6 7 8 9; do
        curl -s -m 10 --unix-socket nginx.sock "http://proxy.test/?phone=$1"
    done
}

empty=$(ask '')
phone=$(ask 106540352242922)
none=$(ask none)

root/usr/sbin/nginx -v 2>&1
echo "empty key:       $empty"
echo "106540352242922: $phone"
echo "none:            $none"

# how many of the servers are among the nine
servers() {
    fold -w1 <<<"$1" | sort -u | wc -l
}

if [ "$empty" = abcabcabc ] && [ "$(servers "$phone")" = 1 ] \
    && [ "$(servers "$none")" = 1 ]
then
    echo 'behaviour: an empty key goes round all servers'
else
    echo 'changed: another distribution'
    exit 1
fi
