#!/usr/bin/env bash
#
# urllib3 1.26.12: a Retry-After header makes a GET sleep and ask again.
#
# Retry(2) with nothing else is meant for connections that fail: the list of
# statuses to repeat is empty, and a 429 or 503 comes back at once. One would
# expect a header to change at most how long a retry waits. Retry-After alone
# makes the call sleep for that long, without limit, and ask again, as often as
# failed connections may be. So a proxy that adds the header, say 60 seconds to
# a rate limit, stops threads that fetch media; POSTs and a 400 are untouched.
#
# Asks for four answers by GET and one by POST; prints how often each was asked
# for, and whether it slept. Exits 1 if that differs. Needs python3.

set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cd "$dir"
apt-get download python3-urllib3=1.26.12-1+deb12u4 python3-six=1.16.0-4 \
    >log 2>&1 || { cat log; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done

cat >try.py <<'END'
import http.server
import threading
import time

import urllib3

requests = []


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        _, status, after = self.path.split('/')
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        requests.append(self.path)
        self.send_response(int(status))
        self.send_header('Content-Length', '0')
        if after != '-':
            self.send_header('Retry-After', after)
        self.end_headers()

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
pool = urllib3.PoolManager(retries=urllib3.Retry(2))


def ask(method, path):
    requests.clear()
    begin = time.monotonic()
    status = pool.request(
        method, f'http://127.0.0.1:{server.server_port}{path}').status
    slept = time.monotonic() - begin > 1.9
    return f'{method} {path}: {status}, {len(requests)}{", slept" * slept}'


seen = [ask('GET', '/503/-'), ask('GET', '/503/1'), ask('GET', '/429/1'),
        ask('GET', '/400/1'), ask('POST', '/503/1')]

print('urllib3', urllib3.__version__)
print('\n'.join(seen))

if seen == ['GET /503/-: 503, 1', 'GET /503/1: 503, 3, slept',
            'GET /429/1: 429, 3, slept', 'GET /400/1: 400, 1',
            'POST /503/1: 503, 1']:
    print('behaviour: with Retry-After the call sleeps and asks again')
else:
    raise SystemExit('changed: other numbers, or no sleep')
END

PYTHONPATH=$dir/root/usr/lib/python3/dist-packages timeout 50 python3 try.py
