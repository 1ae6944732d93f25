#!/usr/bin/env bash
#
# @kapso/whatsapp-cloud-api 0.3.0: Retry-After outranks the error's code.
#
# error.retry.action says what to do about an error: "refresh_token" for 190,
# "do_not_retry" for 131047, "fix_and_retry" for 131042. One would expect a
# Retry-After header to add a time to that. It replaces it: the action becomes
# "retry_after" whatever the code, so that an application that follows it sends
# a message again that can't succeed.
#
# Prints the action for three codes without and with the header; exits 1 if
# one differs. Needs node 20 and npm.

set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

npm install --prefix "$dir" --ignore-scripts --no-audit --no-fund --no-save \
    --loglevel=error @kapso/whatsapp-cloud-api@0.3.0 zod@4.6.7 >"$dir/log" \
    2>&1 || { cat "$dir/log"; exit 2; }

cat >"$dir/try.mjs" <<'END'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import { WhatsAppClient } from '@kapso/whatsapp-cloud-api';

const { version } = JSON.parse(readFileSync(new URL(
    'node_modules/@kapso/whatsapp-cloud-api/package.json', import.meta.url)));
let answer;
const server = createServer((request, response) => {
    request.resume();
    response.writeHead(answer.status, { 'Content-Type': 'application/json',
        ...answer.headers });
    response.end(JSON.stringify({ error: { message: `(#${answer.code})`,
        type: 'OAuthException', code: answer.code } }));
});

await new Promise(done => server.listen(0, '127.0.0.1', done));

const client = new WhatsAppClient({ accessToken: 'T',
    baseUrl: `http://127.0.0.1:${server.address().port}` });

async function action(status, code, headers) {
    answer = { status, code, headers };
    const { retry } = await client.messages.sendText({ phoneNumberId: '1555',
        to: '16505551234', body: 'hello' }).catch(error => error);

    return retry.action;
}

const cases = [[401, 190, 'refresh_token'], [400, 131047, 'do_not_retry'],
    [400, 131042, 'fix_and_retry']];
let same = true;

for (const [status, code, expected] of cases) {
    const without = await action(status, code, {});
    const with60 = await action(status, code, { 'Retry-After': '60' });

    console.log(`${code}: ${without}; with "Retry-After: 60": ${with60}`);
    same &&= without === expected && with60 === 'retry_after';
}

server.close();
server.closeAllConnections();

console.log(`@kapso/whatsapp-cloud-api ${version}, node ${process.version}`);
console.log(same ? 'behaviour: with Retry-After the code no longer counts'
    : 'changed: the code counts, or has another action');
process.exitCode = same ? 0 : 1;
END

timeout 30 node "$dir/try.mjs"
