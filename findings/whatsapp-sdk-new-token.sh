#!/usr/bin/env bash
#
# Meta's SDK, whatsapp 0.0.5-Alpha: updateAccessToken() changes no request.
#
# One would expect the next message to bear the new token; the method returns
# true. It writes to the configuration, of which the part that sends took a
# copy when the client was made. After error 190, a new token needs a new
# client. updateSenderNumberId() is the same.
#
# Prints path and token of a message before and after both; exits 1 if one of
# them changes. Needs node 20, npm and openssl.

set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

npm install --prefix "$dir" --ignore-scripts --no-audit --no-fund --no-save \
    --loglevel=error whatsapp@0.0.5-Alpha >"$dir/log" 2>&1 \
    || { cat "$dir/log"; exit 2; }

# the SDK speaks HTTPS alone
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 \
    -addext subjectAltName=IP:127.0.0.1 -keyout "$dir/key.pem" \
    -out "$dir/cert.pem" 2>/dev/null

cat >"$dir/try.mjs" <<'END'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

import whatsapp from 'whatsapp';

const file = name => readFileSync(new URL(name, import.meta.url));
const requests = [];
const server = createServer({ key: file('key.pem'), cert: file('cert.pem') },
    (request, response) => {
        requests.push(`${request.url} ${request.headers.authorization}`);
        request.resume();
        response.writeHead(200, { 'Content-Type': 'application/json' });
        response.end('{"messages":[{"id":"wamid.X"}]}');
    });

await new Promise(done => server.listen(0, '127.0.0.1', done));

Object.assign(process.env, { WA_BASE_URL: '127.0.0.1',
    CLOUD_API_VERSION: 'v25.0', CLOUD_API_ACCESS_TOKEN: 'OLD' });

const client = new (whatsapp.default ?? whatsapp)(1555);

// there is no setting for the port
client.requester.port = server.address().port;

async function send(when) {
    const answer = await client.messages.text({ body: 'hello' },
        16505551234);

    await answer.responseBodyToJSON();
    console.log(`${when}: POST ${requests.at(-1)}`);
}

await send('at first');
console.log('updateAccessToken("NEW"):', client.updateAccessToken('NEW'));
console.log('updateSenderNumberId(1666):', client.updateSenderNumberId(1666));
await send('after that');

server.close();
server.closeAllConnections();
client.requester.client.clearSockets();

console.log('whatsapp', JSON.parse(file('node_modules/whatsapp/package.json'))
    .version, 'node', process.version);

const same = requests.length === 2 && requests[0] === requests[1]
    && requests[0] === '/v25.0/1555/messages Bearer OLD';

console.log(same ? 'behaviour: token and number are those of the start'
    : 'changed: token or number is the new one');
process.exitCode = same ? 0 : 1;
END

NODE_ENV=production NODE_EXTRA_CA_CERTS=$dir/cert.pem \
    timeout 30 node "$dir/try.mjs"
