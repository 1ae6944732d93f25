// A mock of the API, with the page and the headers that the module sends.
// Its clock stands still unless it is set, and its zones are plain data that
// a test changes as it likes.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const page = new URL('../../src/api/dashboard.html', import.meta.url);

export const START = Date.parse('2026-11-25T18:00:00.000Z');

export const REASONS = {
    'token-invalid': ['Meta does not accept the access token',
        'Create a new access token with the WhatsApp permissions and put it'
        + ' in place of the old one.', 190],
    'billing': ['Meta cannot bill the WhatsApp Business Account',
        'Check the account\'s payment method, credit line, currency and time'
        + ' zone with Meta, and pay what is due.', 131042],
    'phone-disconnected': ['The phone number is not connected to the Cloud API',
        'Make sure that the number exists and that the token may use it, then'
        + ' register it again.', 133010],
    'rate-limit': ['A rate limit of Meta is reached',
        'Let some time pass before sending again. If this recurs, send more'
        + ' slowly or ask Meta for a higher limit.', 4],
    'undeliverable': ['Meta cannot deliver to this recipient',
        'There is nothing to repair on this side: the recipient may lack'
        + ' WhatsApp, run an old app or owe consent to new terms.', 131026],
    'window-expired': ['The customer last wrote more than 24 hours ago',
        'Send an approved template in place of free text, or wait until the'
        + ' customer writes again.', 131047],
};

// what the module computes at start: the hashes of the exact bytes

export function policy(html) {
    const hash = tag => createHash('sha256').update(html.split(`<${tag}>`)[1]
        .split(`</${tag}>`)[0]).digest('base64');

    return `default-src 'none'; script-src 'sha256-${hash('script')}'; `
        + `style-src 'sha256-${hash('style')}'; connect-src 'self'; `
        + 'img-src data:; base-uri \'none\'; form-action \'none\'; '
        + 'frame-ancestors \'none\'';
}

export class Mock {
    now = START;
    write = true;
    zones = [];
    states = [];                // each with its zone
    requests = [];
    asked = [];                 // queries
    most = 20;                  // states a page, so that a client has to follow
    refuse = false;             // nothing can be cleared
    status = 0;                 // not 0: the status of every answer
    page = null;                // a page that is sent instead, with that status
    posted = [];                // bodies
    page_of = html => html;     // what becomes of the page on its way
    replace = null;             // of what is answered, as JSON.stringify does
    lookup = { free_form: true, template: true, reason: null, until: null };
    explanation = { category: 'fatal', code: 131042, subcode: null,
        reason: 'billing', scope: 'account', title: REASONS.billing[0],
        action: REASONS.billing[1], matched: true, credential_bound: false,
        sets_state: true, retry: false, outcome: 'unknown', wait: null,
        trace: null };
    rules = { rules: ['token-invalid', 'billing', 'phone-disconnected'].map(
        reason => ({ codes: String(REASONS[reason][2]), subcode: null,
            category: 'fatal', reason, scope: 'phone', credential_bound: false,
            retry: false, outcome: 'unknown', wait: null, title: '' })),
        reasons: Object.entries(REASONS).map(
            ([reason, [title, action, code]]) =>
                ({ reason, title, action,
                   // the first of its codes isn't the most frequent one
                   code: reason === 'token-invalid' ? 0 : code })) };

    #server = createServer((request, answer) => this.#answer(request, answer));

    async listen() {
        await new Promise(done => this.#server.listen(0, '127.0.0.1', done));
        return `http://127.0.0.1:${this.#server.address().port}/graph/`;
    }

    close() {
        this.#server.closeAllConnections();
        this.#server.close();
    }

    time(seconds) {
        return new Date(this.now + seconds * 1000).toISOString();
    }

    zone(name, more = {}) {
        const none = () => Array(60).fill(0);
        const zone = { name, size: 16777216, used: 40960, links: 0,
            counters: { responses: {}, errors: {}, blocked: {},
                dry_run_blocks: {}, retries: {}, retries_denied: {},
                probes: {}, webhook_events: {}, evictions: 0, lost: 0,
                parked: 0 },
            history: { minutes: 60, until: this.time(60), reasons: {},
                blocked: none(), retries: none(), over_budget: none(),
                categories: { 'fatal': none(),
                    'temporary': none(), 'context-limited': none(),
                    'request': none(), 'unclassified': none() } },
            ...more };

        this.zones.push(zone);
        return zone;
    }

    state(zone, reason, more = {}) {
        const [title, action, code] = REASONS[reason];
        const state = { zone, id: 'bb7da64fe9df'
            + (0xad6102 + this.states.length * 7919).toString(16),
            scope: 'phone', key: '106540352242922', credential: null,
            category: 'fatal', reason, code, subcode: null, title, action,
            since: this.time(-90), until: this.time(42), due: false,
            probing: false, holds: 1, blocked: 12, trace: null,
            source: 'answer', dry_run: false, ...more };

        this.states.push(state);
        return state;
    }

    // sums by scope and category, as the module has them

    #shown(zone) {
        const states = {};

        for (const scope of ['credential', 'account', 'phone', 'conversation'])
        {
            states[scope] = { 'fatal': 0, 'temporary': 0 };
        }
        states.conversation['context-limited'] = 0;
        for (const s of this.states) {
            if (s.zone === zone.name) states[s.scope][s.category]++;
        }
        return { ...zone, states };
    }

    #page(zone, query) {
        const limit = Number(query.get('limit') ?? 100);
        const key = (query.get('key') ?? '').toLowerCase();
        const all = this.states.filter(s => s.zone === zone
            && s.scope === (query.get('scope') ?? s.scope)
            && s.category === (query.get('category') ?? s.category)
            && s.reason === (query.get('reason') ?? s.reason)
            && ((s.key ?? '').toLowerCase().includes(key)
                || (s.credential ?? '').includes(key)
                || key.length >= 8 && s.id.startsWith(key)));
        const from = all.findIndex(s => s.id === query.get('after')) + 1;
        const states = all.slice(from, from + Math.min(limit, this.most));
        const next = from + states.length < all.length
            ? states.at(-1).id : null;

        // a past is told of one state alone
        return { states: states.map(({ zone, events, ...state }) => state),
                 next };
    }

    // what is posted is kept, for the tests to look at

    async #posted(request, [zone, call], json, error) {
        let text = '';

        for await (const part of request) text += part;

        const body = JSON.parse(text);

        this.posted.push(body);
        if (zone === undefined) return json(200, this.explanation);
        if (call === 'lookup') return json(200, this.lookup);
        if (!this.write) return error(405, 'write is off');

        const held = body.probe === false ? null : this.time(3600);
        const same = this.states.find(s => s.zone === zone
            && s.scope === body.scope && s.reason === body.reason
            && (s.key ?? s.credential) === body.key);

        if (same) {
            Object.assign(same, { until: held, source: 'api' });
            return json(201, same);
        }
        json(201, this.state(zone, body.reason, { scope: body.scope,
            key: body.scope === 'credential' ? null : body.key,
            credential: body.scope === 'credential' ? body.key : null,
            since: this.time(0), until: held, source: 'api', code: null,
            blocked: 0 }));
    }

    #answer(request, answer) {
        const url = new URL(request.url, 'http://mock');
        const [, base, zones, zone, states, id] = url.pathname.split('/')
            .map(decodeURIComponent);
        const found = s => s.zone === zone && s.id === (id ?? s.id);
        const send = (status, type, body) => {
            answer.writeHead(status, { 'Content-Type': type,
                'Date': new Date(this.now).toUTCString(),
                'Cache-Control': 'no-store',
                'X-Content-Type-Options': 'nosniff',
                ...(zones === '' && {
                    'Content-Security-Policy': policy(body) }) });
            answer.end(body);
        };
        const json = (status, body) => send(status, 'application/json',
            JSON.stringify(body, this.replace ?? undefined));
        const error = (code, message) => json(code, { error: { code, message }
        });

        this.requests.push(`${request.method} ${url.pathname}`);
        this.asked.push(url.search);

        if (base !== 'graph') return error(404, 'no such path');
        if (zones === '') {
            return send(200, 'text/html', this.page_of(readFileSync(page,
                'utf8')));
        }
        if (this.page !== null) {
            return send(this.status || 200, 'text/html', this.page);
        }
        if (this.status) return error(this.status, 'denied by the mock');
        if (zones === 'rules') return json(200, this.rules);
        if (zones !== 'zones' && zones !== 'explain') {
            return error(404, 'no such path');
        }

        if (request.method === 'POST') {
            return this.#posted(request, [zone, states], json, error);
        }
        if (request.method === 'DELETE') {
            if (!this.write || this.refuse) return error(405, 'write is off');
            if (!this.states.some(found) && id) return error(404, 'no state');
            this.states = this.states.filter(s => !found(s));
            answer.writeHead(204).end();
            return;
        }
        if (zone === undefined) {
            return json(200, { zones: this.zones.map(z => this.#shown(z)),
                write: this.write });
        }
        if (states === 'states' && id) {
            const { zone, ...state } = this.states.find(found) ?? {};

            return zone === undefined ? error(404, 'no state')
                : json(200, state);
        }
        if (states === 'states') {
            return json(200, this.#page(zone, url.searchParams));
        }
        return error(404, 'no such path');
    }
}
