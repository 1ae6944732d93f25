// node --require ./redirect.cjs drive.mjs NAME MODULES GRAPH_PORT ORIGIN:
// drives one client through nginx and prints TAP.
//
// A round is: a message is refused by Graph, the same message is answered by
// the proxy, and what the client shows of both is compared with what went over
// the wire.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';

import { clients } from './clients.mjs';
import { Graph, IMAGE } from './graph.mjs';

const [name, modules, graphPort, origin] = process.argv.slice(2);
const client = clients.find(one => one.name === name);
const number = clients.indexOf(client);
const dir = mkdtempSync(join(tmpdir(), 'client.'));
const graph = new Graph();

const load = file => import(pathToFileURL(`${modules}/${file}`));

// the errors of Graph: those that set a state have one category of it, and
// "again" is the header that says how long the proxy answers in its place
const errors = [
    { name: 'token', sample: 'e190_463_expired', status: 401,
        category: 'fatal', again: 'x-graph-hold' },
    { name: 'billing', sample: 'e131042_payment_400', status: 400,
        category: 'fatal', again: 'x-graph-hold' },
    { name: 'throughput', sample: 'e130429_throughput_400', status: 400,
        category: 'temporary', again: 'retry-after',
        headers: { 'Retry-After': '60' } },
    { name: 'window', sample: 'e131047_sync_400', status: 400,
        category: 'context-limited', again: 'x-graph-hold' },
    { name: 'parameter', sample: 'e100_details_object_400', status: 400,
        category: 'request' },
    { name: 'unknown', status: 400, category: 'unclassified', body: { error: {
        message: '(#999999) Not published', type: 'OAuthException',
        code: 999999, fbtrace_id: 'AFakeTraceId0000000001' } } },
];


// -- TAP ----------------------------------------------------------------------

let count = 0;
let failed = 0;

function ok(good, claim, why) {
    process.stdout.write(`\n${good ? '' : 'not '}ok ${++count} - ${claim}\n`);

    if (!good) {
        failed++;
        process.stdout.write(`${why}\n`.replace(/^/gm, '# '));
    }
}

function is(got, wanted, claim) {
    try {
        assert.deepStrictEqual(got, wanted);
    } catch (error) {
        return ok(false, claim, error.message);
    }

    ok(true, claim);
}


// -- what is on the wire ------------------------------------------------------

// the same message, without a client
function raw(token, phone, to) {
    return new Promise((resolve, reject) => {
        const out = request({ host: 'graph.facebook.com', method: 'POST',
            path: `/v25.0/${phone}/messages`, agent: false,
            headers: { 'Authorization': `Bearer ${token}`,
                'Content-Type': 'application/json' } }, async answer => {
            const parts = await answer.toArray();

            resolve({ status: answer.statusCode, headers: answer.headers,
                body: JSON.parse(Buffer.concat(parts)) });
        });

        out.on('error', reject);
        out.end(JSON.stringify({ messaging_product: 'whatsapp', to,
            type: 'text', text: { body: 'hello' } }));
    });
}

// what a call made of it: {result} or {error}, with what came to Graph
async function attempt(call) {
    const before = graph.requests.length;
    const outcome = {};

    try {
        outcome.result = await call();
        outcome.body = await client.read?.(outcome.result);
    } catch (error) {
        outcome.error = error;
    }

    outcome.sent = graph.requests.slice(before);
    return outcome;
}

// an expression of clients.mjs
function evaluate(expression, { error, result, body }) {
    return new Function('error', 'result', 'body', `return ${expression}`)(
        error, result, body);
}

// without the prototypes and the classes of clients
const plainly = value => value === null || typeof value !== 'object' ? value
    : Object.fromEntries(Object.entries(value).map(([key, inner]) =>
        [key, plainly(inner)]));

// that the client shows all of Graph's error, and what it shows besides
function shown(outcome, answer, error) {
    const did = outcome.error !== undefined ? 'throws' : 'returns';

    is(did, client.fails, `${error.name}: the client ${client.fails}`);

    if (did !== client.fails) {
        return;
    }

    is(plainly(evaluate(client.error, outcome)),
        (client.view ?? (same => same))(answer.body.error),
        `${error.name}: ${client.error} has all that Graph's error has`);

    if (client.status) {
        is(evaluate(client.status, outcome), answer.status,
            `${error.name}: ${client.status} is the HTTP status`);
    }

    for (const [claim, got, wanted] of client.also?.(outcome.error,
        error.kind ?? error.name) ?? [])
    {
        is(got, wanted, `${error.name}: ${claim}`);
    }
}

// a header is found where it is said to be, else nowhere
function header(outcome, key, value, what) {
    if (client.header) {
        const expression = client.header.replace(/retry-after/i, key);

        is(evaluate(expression, outcome), value,
            `${what}: ${expression} shows the header`);
        return;
    }

    const text = inspect(outcome.error ?? outcome.result, { depth: 9,
        showHidden: true });

    ok(!text.includes(value), `${what}: ${key} is shown nowhere`, text);
}


// -- the rounds ---------------------------------------------------------------

const module = { ...await load(client.entry) };

for (const [key, file] of Object.entries(client.more ?? {})) {
    module[key] = await load(file);
}

const make = (token, phone) => client.make(module, token, phone, dir);

async function accepted() {
    const phone = `${1555000 + number}000`;
    const calls = make(`EAAB${number}accepted`, phone);
    const sends = [['text', 'a text'], ['template', 'a template'],
        ['receipt', 'a receipt']];

    for (const [call, what] of sends.filter(([call]) => calls[call])) {
        const outcome = await attempt(() => calls[call]('16505551234'));
        const [sent] = outcome.sent;
        const form = new URLSearchParams(sent?.body);
        const field = key => sent?.json ? sent.json[key]
            : form.get(key) ?? undefined;

        is(outcome.error, undefined, `${what} is accepted`);
        is(outcome.sent.length, 1, `${what}: one request reaches Graph`);
        ok(sent?.path.endsWith(`/${phone}/messages`), `${what}: a send`,
            sent?.path);
        is(field('to'), call === 'receipt' ? undefined : '16505551234',
            `${what}: as the client meant it`);
        is(sent?.json === null, !!client.form, `${what}: in its format`);

        if (call !== 'receipt') {
            ok(inspect(outcome.body ?? outcome.result, { depth: 9 })
                .includes('wamid.ACCEPTED'), `${what}: its id comes back`,
                inspect(outcome, { depth: 5 }));
        }
    }

    if (calls.upload) {
        const { result, sent, error } = await attempt(calls.upload);

        ok(inspect(result, { depth: 9 }).includes('900100'),
            'an upload: its id comes back', inspect(error ?? result));
        ok(sent[0]?.path.endsWith(`/${phone}/media`), 'an upload: a send',
            inspect(sent[0]?.path));
        ok(sent[0]?.body.includes(IMAGE.toString('latin1')),
            'an upload: byte for byte', inspect(sent[0]?.body));
    }

    if (calls.download) {
        const { result, error } = await attempt(
            () => calls.download('900100'));

        ok(error === undefined && IMAGE.equals(Buffer.from(result)),
            'a download: byte for byte', inspect(error ?? result));
    }
}

// not by Meta's name, but in the client's own way
async function told() {
    const phone = `${1555000 + number}001`;
    const calls = client.at(module, `EAAB${number}told`, phone, origin);
    const { error, sent } = await attempt(() => calls.text('16505551234'));

    is(error, undefined, 'told to use the proxy: a text is accepted');
    is(sent.map(({ headers }) => headers['x-came-to']),
        [client.name === 'whatsapp' ? 'https://proxy.internal' : origin],
        'told to use the proxy: it does');
}

async function refused(error, at) {
    const phone = `${1555000 + number}${100 + at}`;
    const token = `EAAB${number}${error.name}`;
    const calls = make(token, phone);
    const to = '16505551234';
    const body = error.body ?? JSON.parse(readFileSync(new URL(
        `../samples/${error.sample}.json`, import.meta.url)));
    const answer = { status: error.status, headers: error.headers,
        body: { error: { ...body.error } } };

    graph.next = { ...answer, body: JSON.stringify(answer.body) };
    const first = await attempt(() => calls.text(to));

    is(first.sent.length, 1, `${error.name}: the first reaches Graph`);
    shown(first, answer, error);

    const second = await attempt(() => calls.text(to));

    // an error without a state, and a form, of which nobody is read
    if (!error.again || (error.name === 'window' && client.form)) {
        is(second.sent.length, 1, `${error.name}: the next goes through`);
        is(second.error, undefined, `${error.name}: and is accepted`);
        return;
    }

    const local = await raw(token, phone, to);
    const what = `${error.name}, answered by the proxy`;

    is(second.sent.length, 0, `${what}: nothing reaches Graph`);
    is([local.status, local.body.error.code, local.body.error.error_subcode],
        [error.status, body.error.code, body.error.error_subcode],
        `${what}: status, code and subcode are those of Graph's answer`);
    is(local.body.error.is_transient, error.category === 'temporary',
        `${what}: is_transient is true if waiting helps`);
    ok(local.body.error.error_user_title && local.body.error.error_user_msg,
        `${what}: there is a title, and what to do`);
    is(['retry-after', 'x-graph-hold'].filter(key => local.headers[key]),
        [error.again], `${what}: how long is in ${error.again}`);
    is([local.headers['x-graph-policy'],
        local.headers['x-graph-error-category']], ['blocked', error.category],
        `${what}: category ${error.category}`);

    shown(second, local, { ...error, name: what, kind: error.name });
    header(second, 'x-graph-state', local.headers['x-graph-state'],
        what);

    if (client.header) {
        const wait = Number(evaluate(client.header.replace(/retry-after/i,
            error.again), second));

        const left = Number(local.headers[error.again]);

        // asked a moment before
        ok(wait >= left && wait <= left + 30, `${what}: so is how long`,
            `${wait}, then ${left}`);
    }

    await others(calls, error, body.error.code, what, to);
}

// what else is sent while messages are answered by the proxy
async function others(calls, error, code, what, to) {
    const conversation = error.category === 'context-limited';

    if (conversation) {
        const { sent } = await attempt(() => calls.template(to));

        is(sent.length, 1, `${what}: a template goes through`);
    }

    for (const call of ['receipt', 'upload'].filter(call => calls[call])) {
        const outcome = await attempt(calls[call]);

        if (conversation) {
            is(outcome.sent.length, 1, `${what}: ${call}s have no recipient`);
            continue;
        }

        is(outcome.sent.length, 0, `${what}: ${call}s are, too`);

        const told = client[call] ? client[call](outcome)
            : evaluate(client.error, outcome);

        is(told === null ? null : told?.code, told === null ? null : code,
            `${what}: ${call}s ${told ? 'have the error' : 'do not tell'}`);
    }
}

await graph.start(Number(graphPort));

try {
    await accepted();

    for (const [at, error] of errors.entries()) {
        await refused(error, at);
    }

    if (client.at) {
        await told();
    }

} catch (error) {
    ok(false, 'the client is driven to the end', error.stack);
}

process.stdout.write(`\n1..${count}\n`);
graph.stop();
rmSync(dir, { recursive: true });
process.exit(failed ? 1 : 0);
