#!/usr/bin/env bash
#
# promtool 2.42.0: "check metrics" refuses pages that Prometheus takes whole.
#
# One would expect a tool of the server's own package to read as the server
# does. Three things are errors to promtool that the server doesn't mind, and
# stores each sample of, with up=1: HELP twice for a metric, which is what two
# exporters' pages put together have; TYPE after the first sample; and no
# newline at the end. So promtool is a test for an exporter, which should be
# strict, and no way to find out why a target of Prometheus is down.
#
# Checks four pages and lets a server scrape them; prints what promtool says and
# what was stored. Exits 1 if that differs. Needs python3.

set -euo pipefail

dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

cd "$dir"
apt-get download prometheus=2.42.0+ds-5+deb12u1 >log 2>&1 \
    || { cat log; exit 2; }
dpkg -x prometheus_*.deb root

mkdir pages
printf '%s\n' '# HELP a_total Sends.' '# TYPE a_total counter' \
    'a_total{zone="x"} 1' 'a_total{zone="y"} 2' >pages/plain
printf '%s\n' '# HELP b_total Sends.' '# TYPE b_total counter' \
    'b_total{zone="x"} 1' '# HELP b_total Sends.' 'b_total{zone="y"} 2' \
    >pages/second-help
printf '%s\n' '# HELP c_total Sends.' 'c_total 1' '# TYPE c_total counter' \
    >pages/late-type
printf '%s\n%s' '# HELP d_total Sends.' 'd_total 1' >pages/no-newline

# a server of the pages, on a free port, which it writes to the configuration
cat >serve.py <<'END'
import http.server
import os


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open('pages' + self.path, 'rb') as page:
            body = page.read()
        with open('scraped', 'a') as scraped:
            print(self.path, file=scraped)
        self.send_response(200)
        self.send_header('Content-Type', 'text/plain; version=0.0.4')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)

with open('new.yml', 'w') as file:
    print('global:\n  scrape_interval: 1s\nscrape_configs:', file=file)
    for name in sorted(os.listdir('pages')):
        print(f'- job_name: {name}\n  metrics_path: /{name}\n  static_configs:'
              f'\n  - targets: ["127.0.0.1:{server.server_port}"]', file=file)

os.rename('new.yml', 'prometheus.yml')
server.serve_forever()
END

: >scraped
python3 serve.py 2>>log &

for _ in $(seq 100); do
    [ -s prometheus.yml ] && break
    sleep 0.1
done

root/usr/bin/prometheus --config.file=prometheus.yml --storage.tsdb.path=data \
    --web.listen-address=127.0.0.1:0 2>>log &
server=$!

# it begins after some seconds; until each page was scraped twice
for _ in $(seq 300); do
    [ "$(sort scraped | uniq -d | wc -l)" = 4 ] && break
    sleep 0.1
done

kill $server
wait $server || true

root/usr/bin/promtool tsdb dump data >samples

# the values of the samples of a metric and a page
stored() {
    sed -n "/$1.*job=\"$2\"/s/.*} \([0-9]*\) .*/\1/p" samples | sort -u | xargs
}

for page in plain second-help late-type no-newline; do
    root/usr/bin/promtool check metrics <pages/$page >>log 2>&1 \
        && verdict=passes || verdict=refuses
    values=$(stored '_total"' "$page")
    up=$(stored '"up"' "$page")
    echo "$page: promtool $verdict, up $up, stored: ${values:--}"
done >seen

root/usr/bin/promtool --version 2>&1 | sed -n 1p | cut -d' ' -f1-3
cat seen

cat >expected <<'END'
plain: promtool passes, up 1, stored: 1 2
second-help: promtool refuses, up 1, stored: 1 2
late-type: promtool refuses, up 1, stored: 1
no-newline: promtool refuses, up 1, stored: 1
END

if cmp -s seen expected; then
    echo 'behaviour: the server takes what promtool refuses'
else
    echo 'changed: another verdict, or other samples'
    exit 1
fi
