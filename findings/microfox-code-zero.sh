#!/usr/bin/env bash
#
# @microfox/whatsapp-business 1.5.2: code 0 isn't Graph's, and Graph's isn't 0.
#
# One would expect error.code to be that of Graph's error, and nothing where
# Graph gave none. A page of HTML, or an empty answer, as an edge or any proxy
# gives in an outage, makes a code 0, which is one of Graph's own:
# AuthException, the token is no longer valid. When Graph really says 0, the
# code is the HTTP status, 401. So an application that renews its token at codes
# 0 and 190 does so at each 502, and not when it should; it has to read
# error.originalError, whose "error" is Graph's.
#
# Prints the codes for two answers of Graph's, a page and nothing; exits 1 if
# one differs. Needs node 20 and npm.

set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

npm install --prefix "$dir" --ignore-scripts --no-audit --no-fund --no-save \
    --loglevel=error @microfox/whatsapp-business@1.5.2 zod@4.6.7 >"$dir/log" \
    2>&1 || { cat "$dir/log"; exit 2; }

cat >"$dir/try.mjs" <<'END'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import { WhatsAppBusinessSDK }
    from './node_modules/@microfox/whatsapp-business/dist/index.mjs';

const { version } = JSON.parse(readFileSync(new URL(
    'node_modules/@microfox/whatsapp-business/package.json', import.meta.url)));
let answer;
const server = createServer((request, response) => {
    request.resume();
    response.writeHead(answer[0], { 'Content-Type': answer[1] });
    response.end(answer[2]);
});

await new Promise(done => server.listen(0, '127.0.0.1', done));

const client = new WhatsAppBusinessSDK({ accessToken: 'T',
    phoneNumberId: '1555', businessAccountId: '9', version: 'v25.0',
    baseUrl: `http://127.0.0.1:${server.address().port}/v25.0` });

async function code(...given) {
    answer = given;
    const error = await client.sendTextMessage('16505551234', 'hello')
        .catch(error => error);

    return error.code;
}

const graph = (code) => JSON.stringify({ error: { message: `(#${code})`,
    type: 'OAuthException', code } });
const cases = [
    ['Graph, 190', 190, 401, 'application/json', graph(190)],
    ['Graph, 0', 401, 401, 'application/json', graph(0)],
    ['a page', 0, 502, 'text/html', '<h1>502 Bad Gateway</h1>'],
    ['nothing', 0, 503, 'text/plain', ''],
];
let same = true;

for (const [what, expected, ...given] of cases) {
    const got = await code(...given);

    console.log(`${version}, ${what}, status ${given[0]}: code ${got}`);
    same &&= got === expected;
}

server.close();
server.closeAllConnections();
console.log(same
    ? 'behaviour: a page has the code 0, and the code 0 is shown as 401'
    : 'changed: other codes');
process.exit(same ? 0 : 1);
END

node "$dir/try.mjs"
