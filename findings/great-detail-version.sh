#!/usr/bin/env bash
#
# @great-detail/whatsapp 9.2.0: graphVersion never reaches the path.
#
# One would expect POST /v25.0/{phone}/messages. The client joins host and
# version without a slash at the end and leaves the rest to ky 2, whose baseUrl
# is resolved as links on a page are: the last segment, the version, is
# replaced. Graph then takes the default version of the app.
#
# Prints the path of a message for three values of graphVersion; exits 1 if the
# version is in one of them. Needs node 20 and npm.

set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

npm install --prefix "$dir" --ignore-scripts --no-audit --no-fund --no-save \
    --loglevel=error @great-detail/whatsapp@9.2.0 ky@2.1.0 >"$dir/log" 2>&1 \
    || { cat "$dir/log"; exit 2; }

cat >"$dir/try.mjs" <<'END'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import { Client } from '@great-detail/whatsapp';

const version = name => JSON.parse(readFileSync(new URL(
    `node_modules/${name}/package.json`, import.meta.url))).version;
const paths = [];
const server = createServer((request, response) => {
    paths.push(request.url);
    request.resume();
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end('{"messages":[{"id":"wamid.X"}]}');
});

await new Promise(done => server.listen(0, '127.0.0.1', done));

const baseUrl = `http://127.0.0.1:${server.address().port}`;

for (const graphVersion of [undefined, 'v25.0', 'v26.0']) {
    const client = new Client({ baseUrl, graphVersion,
        request: { headers: { Authorization: 'Bearer T' } } });

    await client.message.createMessage({ phoneNumberID: '1555',
        to: '16505551234', type: 'text', text: { body: 'hello' } }).json();
    console.log(`graphVersion ${graphVersion ?? '(default, v23.0)'}:`,
        `POST ${paths.at(-1)}`);
}

server.close();
server.closeAllConnections();

console.log(`@great-detail/whatsapp ${version('@great-detail/whatsapp')},`,
    `ky ${version('ky')}, node ${process.version}`);

const same = paths.length === 3 && paths.every(path =>
    path === '/1555/messages');

console.log(same ? 'behaviour: the version is missing from the path'
    : 'changed: the version is in the path');
process.exitCode = same ? 0 : 1;
END

timeout 30 node "$dir/try.mjs"
