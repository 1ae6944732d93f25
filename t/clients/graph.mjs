// A Graph API for one client at a time: it accepts what is sent to it, unless
// a test has told it what to answer next, and remembers what came. It is an
// HTTP server on the loopback, behind the nginx that is tested.

import { createServer } from 'node:http';

export const IMAGE = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ'
    + 'AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

const URL_OF_MEDIA = 'https://lookaside.fbsbx.com/whatsapp_business/'
    + 'attachments/?mid=900100';

export class Graph {
    requests = [];              // {method, path, query, headers, body, json}
    next = null;                // {status, headers, body}, for one request
    #server;

    async start(port) {
        this.#server = createServer((request, response) =>
            this.#take(request, response));
        await new Promise(done => this.#server.listen(port, '127.0.0.1',
            done));
    }

    stop() {
        this.#server.close();
        this.#server.closeAllConnections();
    }

    async #take(request, response) {
        const parts = [];

        for await (const part of request) {
            parts.push(part);
        }

        const url = new URL(request.url, 'https://graph.facebook.com');
        const body = Buffer.concat(parts).toString('latin1');
        const taken = { method: request.method, path: url.pathname,
            query: url.searchParams, headers: request.headers, body,
            json: parse(body) };

        this.requests.push(taken);

        const answer = this.next ?? accept(taken);
        this.next = null;

        response.writeHead(answer.status ?? 200,
            { 'Content-Type': 'application/json', ...answer.headers });
        response.end(answer.body);
    }
}

function parse(text) {
    try {
        return JSON.parse(text);
    } catch {
        return null;
    }
}

function accept({ method, path, headers, body, json }) {
    if (headers.host === 'lookaside.fbsbx.com') {
        return { headers: { 'Content-Type': 'image/png' }, body: IMAGE };
    }

    if (method === 'GET') {
        return { body: JSON.stringify({ messaging_product: 'whatsapp',
            url: URL_OF_MEDIA, mime_type: 'image/png', sha256: '0'.repeat(64),
            file_size: IMAGE.length, id: '900100' }) };
    }

    if (path.endsWith('/media')) {
        return { body: '{"id":"900100"}' };
    }

    // of a form too
    if (json?.status ?? new URLSearchParams(body).get('status')) {
        return { body: '{"success":true}' };
    }

    return { body: JSON.stringify({ messaging_product: 'whatsapp',
        contacts: [{ input: json?.to ?? '', wa_id: json?.to ?? '' }],
        messages: [{ id: 'wamid.ACCEPTED' }] }) };
}
