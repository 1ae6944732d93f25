// The published clients: how each is asked for the same things, and where it
// shows what went wrong. docs/clients.md has the latter as a table, which
// clients.t compares.
//
// entry   the file to import, below node_modules
// make    (module, token, phone, dir) => the calls; a call a client hasn't got
//         isn't there. dir is a directory for files.
// proxy   how it is told to use the proxy instead of graph.facebook.com; null
//         if there is no way but the name's
// at      (module, token, phone, origin) => the same calls, told so
// fails   what a refused call does: "throws" or "returns"
// error   Graph's error object, in terms of "error", which was thrown, or of
//         "result", which was returned, and "body"
// read    (result) => body, where that takes a call of its own
// status  the HTTP status, and
// header  a header, here Retry-After: in the same terms, null if not shown
// view    (error) => what becomes of Graph's error object, if anything does
// form    whether sends are forms, not JSON
// receipt, upload
//         (outcome) => the error of a refused receipt or upload, where that is
//         told in another way than that of a message; null if it isn't told
// also    (error, name) => [[claim, got, wanted], ...], more that it shows

import { readFileSync, writeFileSync } from 'node:fs';
import { finished } from 'node:stream/promises';

import { IMAGE } from './graph.mjs';

const VERSION = 'v25.0';
const TEXT = 'hello';
const TEMPLATE = { name: 'hello_world', language: { code: 'en_US' } };
const RECEIPT = { status: 'read', message_id: 'wamid.IN' };

const file = () => new File([IMAGE], 'a.png', { type: 'image/png' });

// the calls of clients that know no more than Graph: post(edge, fields)
function plain(post, encode) {
    const product = { messaging_product: 'whatsapp' };

    return {
        text: to => post('messages', { ...product, to, type: 'text',
            text: encode({ body: TEXT }) }),
        template: to => post('messages', { ...product, to, type: 'template',
            template: encode(TEMPLATE) }),
        receipt: () => post('messages', { ...product, ...RECEIPT }),
    };
}

function camel(value) {
    return value === null || typeof value !== 'object' ? value
        : Object.fromEntries(Object.entries(value).map(([key, inner]) =>
            [key.replace(/_(.)/g, (_, c) => c.toUpperCase()), camel(inner)]));
}

export const clients = [{
    name: '@kapso/whatsapp-cloud-api',
    entry: '@kapso/whatsapp-cloud-api/dist/index.js',
    proxy: '`baseUrl`',
    fails: 'throws',
    error: 'error.raw.error',
    status: 'error.httpStatus',
    header: null,
    view: camel,
    at(module, token, phone, baseUrl) {
        return this.make(module, token, phone, null, { baseUrl });
    },
    make({ WhatsAppClient }, accessToken, phoneNumberId, dir, more) {
        const client = new WhatsAppClient({ accessToken,
            graphVersion: VERSION, ...more });

        return {
            text: to => client.messages.sendText({ phoneNumberId, to,
                body: TEXT }),
            template: to => client.messages.sendTemplate({ phoneNumberId, to,
                template: TEMPLATE }),
            receipt: () => client.messages.markRead({ phoneNumberId,
                messageId: 'wamid.IN' }),
            upload: () => client.media.upload({ phoneNumberId, file: file(),
                type: 'image', fileName: 'a.png' }),
            download: mediaId => client.media.download({ mediaId }),
        };
    },
    also(error, name) {
        const action = { token: 'refresh_token', billing: 'fix_and_retry',
            throughput: 'retry_after', window: 'do_not_retry' }[name];

        return !action ? [] : [
            ['its retry.action is that of the code', error.retry.action,
                action],
            ['and its time that of Retry-After', error.retry.retryAfterMs > 0,
                name === 'throughput'],
        ];
    },
}, {
    name: 'whatsapp-api-js',
    entry: 'whatsapp-api-js/lib/index.js',
    more: { messages: 'whatsapp-api-js/lib/messages/index.js' },
    proxy: '`ponyfill.fetch`, a function that changes the URL',
    fails: 'returns',
    error: 'result.error',
    status: null,
    header: null,
    at(module, token, phone, origin) {
        return this.make(module, token, phone, null, { ponyfill: {
            fetch: (url, options) => fetch(url.replace(
                'https://graph.facebook.com', origin), options) } });
    },
    make({ WhatsAppAPI, messages }, token, phone, dir, more) {
        const client = new WhatsAppAPI({ token, v: VERSION, secure: false,
            ...more });
        const { Text, Template, Language } = messages;

        return {
            text: to => client.sendMessage(phone, { phone: to },
                new Text(TEXT)),
            template: to => client.sendMessage(phone, { phone: to },
                new Template('hello_world', new Language('en_US'))),
            receipt: () => client.markAsRead(phone, 'wamid.IN', 'text'),
            upload() {
                const form = new FormData();

                form.set('file', file());
                return client.uploadMedia(phone, form);
            },
            async download(id) {
                const { url } = await client.retrieveMedia(id, phone);

                return (await client.fetchMedia(url)).arrayBuffer();
            },
        };
    },
}, {
    name: '@great-detail/whatsapp',
    entry: '@great-detail/whatsapp/dist/index.js',
    proxy: '`baseUrl`',
    fails: 'throws',
    error: 'error.data.error',
    status: 'error.response.status',
    header: "error.response.headers.get('Retry-After')",
    at(module, token, phone, baseUrl) {
        return this.make(module, token, phone, null, { baseUrl });
    },
    make({ Client }, token, phoneNumberID, dir, more) {
        const headers = { Authorization: `Bearer ${token}` };
        const client = new Client({ graphVersion: VERSION,
            request: { headers }, ...more });

        return {
            text: to => client.message.createMessage({ phoneNumberID, to,
                type: 'text', text: { body: TEXT } }).json(),
            template: to => client.message.createMessage({ phoneNumberID, to,
                type: 'template', template: TEMPLATE }).json(),
            receipt: () => client.message.createStatus({ phoneNumberID,
                ...RECEIPT }).json(),
            upload: () => client.media.upload({ phoneNumberID, file: file(),
                filename: 'a.png', mimeType: 'image/png' }).json(),
            async download(mediaID) {
                const { url } = await client.media.getURL({ mediaID }).json();

                return client.media.download({ mediaURL: url,
                    request: { headers } }).arrayBuffer();
            },
        };
    },
}, {
    name: '@microfox/whatsapp-business',
    entry: '@microfox/whatsapp-business/dist/index.mjs',
    proxy: '`baseUrl`, with the version',
    fails: 'throws',
    error: 'error.originalError.error',
    status: null,
    header: null,
    at(module, token, phone, origin) {
        return this.make(module, token, phone, null,
            { baseUrl: `${origin}/${VERSION}` });
    },
    make({ WhatsAppBusinessSDK }, accessToken, phoneNumberId, dir, more) {
        const client = new WhatsAppBusinessSDK({ accessToken, phoneNumberId,
            businessAccountId: '900001', version: VERSION, ...more });

        return {
            text: to => client.sendTextMessage(to, TEXT),
            template: to => client.sendTemplateMessage(to, 'hello_world',
                'en_US'),
            receipt: () => client.markMessageAsRead('wamid.IN'),
            upload: () => client.uploadMedia(file(), 'image'),
            download: async id => (await client.downloadMedia(id)).data,
        };
    },
    also: error => [['its code is Graph\'s', error.code,
        error.originalError.error.code]],
}, {
    name: 'whatsapp',
    entry: 'whatsapp/build/index.js',
    proxy: '`WA_BASE_URL`, a host name: HTTPS and port 443 stay',
    fails: 'returns',
    error: 'body.error',
    read: result => result.responseBodyToJSON(),
    status: 'result.statusCode()',
    header: "result.headers()['retry-after']",
    at(module, token, phone) {
        process.env.WA_BASE_URL = 'proxy.internal';
        return this.make(module, token, phone);
    },
    make({ default: WhatsApp }, token, phone) {
        process.env.CLOUD_API_ACCESS_TOKEN = token;
        process.env.CLOUD_API_VERSION = VERSION;

        const client = new WhatsApp(phone);

        return {
            text: to => client.messages.text({ body: TEXT }, to),
            template: to => client.messages.template(TEMPLATE, to),
            receipt: () => client.messages.status(RECEIPT),
        };
    },
}, {
    name: 'whatsapp-business',
    entry: 'whatsapp-business/dist/src/index.js',
    proxy: null,
    fails: 'throws',
    error: 'error',
    status: null,
    header: null,
    // a title of its own in place of the message, for the codes it has one of
    view: error => ({ error_data: { messaging_product: 'whatsapp',
        details: '' }, error_subcode: NaN, ...error,
        message: { 100: 'Invalid parameter', 130429: 'Rate limit hit',
            131042: 'Business eligibility — Payment issue',
            131047: 'Re-engagement message',
            190: 'Access token has expired' }[error.code] ?? error.message }),
    make({ default: { WABAClient } }, apiToken, phoneId, dir) {
        const client = new WABAClient({ apiToken, phoneId,
            accountId: '900001' });

        return {
            text: to => client.sendMessage({ to, type: 'text',
                text: { body: TEXT } }),
            template: to => client.sendMessage({ to, type: 'template',
                template: TEMPLATE }),
            receipt: () => client.markMessageAsRead('wamid.IN'),
            upload() {
                writeFileSync(`${dir}/a.png`, IMAGE);
                return client.uploadMedia({ file: `${dir}/a.png`,
                    type: 'image/png' });
            },
            async download(id) {
                const { url } = await client.getMedia(id);

                await finished(await client.downloadMedia(url,
                    `${dir}/b.png`));
                return readFileSync(`${dir}/b.png`);
            },
        };
    },
}, {
    name: 'whatsapp-cloud-api',
    entry: 'whatsapp-cloud-api/dist/index.js',
    proxy: null,
    fails: 'throws',
    error: 'error.error',
    status: null,
    header: null,
    make({ default: { createBot } }, token, phone) {
        const client = createBot(phone, token, { version: VERSION });

        return {
            text: to => client.sendText(to, TEXT),
            template: to => client.sendTemplate(to, 'hello_world', 'en_US'),
        };
    },
}, {
    name: 'whatsappcloudapi_wrapper',
    entry: 'whatsappcloudapi_wrapper/index.js',
    proxy: null,
    fails: 'throws',
    error: 'error',
    status: null,
    header: null,
    view: error => ({ status: 'failed', ...error }),
    make({ default: WhatsappCloud }, accessToken, senderPhoneNumberId, dir) {
        const client = new WhatsappCloud({ accessToken, senderPhoneNumberId,
            graphAPIVersion: VERSION });

        return {
            text: recipientPhone => client.sendText({ recipientPhone,
                message: TEXT }),
            template: recipientPhone => client.sendTemplate({ recipientPhone,
                templateName: 'hello_world', languageCode: 'en_US',
                components: [] }),
            receipt: () => client.markMessageAsRead({
                message_id: 'wamid.IN' }),
            upload() {
                writeFileSync(`${dir}/a.png`, IMAGE);
                return client.preUploadMedia({ file_path: `${dir}/a.png`,
                    file_name: 'a.png', mime_type: 'image/png' });
            },
        };
    },
    receipt: ({ result }) => result.error,
    // it takes the id out of any answer, and says "success"
    upload: ({ result }) => result.status === 'success'
        && result.media_id === undefined ? null : result,
}, {
    name: 'facebook-nodejs-business-sdk',
    entry: 'facebook-nodejs-business-sdk/dist/cjs.js',
    proxy: '`urlOverride`, the last argument of `call()`',
    fails: 'throws',
    error: 'error.response',
    status: 'error.status',
    header: "error.headers['retry-after']",
    at(module, token, phone, origin) {
        return this.make(module, token, phone, null, origin);
    },
    make({ default: { FacebookAdsApi } }, token, phone, dir, origin) {
        // no crash reports to Meta
        const client = new FacebookAdsApi(token, 'en_US', false);

        return plain((edge, fields) => client.call('POST', [phone, edge],
            fields, {}, false, origin), fields => fields);
    },
}, {
    name: 'fb',
    entry: 'fb/lib/index.js',
    proxy: null,
    fails: 'throws',
    error: 'error.response.error',
    status: null,
    header: null,
    form: true,
    make({ default: { Facebook } }, accessToken, phone) {
        const client = new Facebook({ accessToken, version: VERSION });

        return plain((edge, fields) => client.api(`${phone}/${edge}`, 'post',
            fields), fields => fields);
    },
}, {
    name: 'fbgraph',
    entry: 'fbgraph/index.js',
    proxy: '`setGraphUrl()`',
    fails: 'throws',
    error: 'error',
    status: null,
    header: null,
    form: true,
    at(module, token, phone, origin) {
        module.default.setGraphUrl(origin);
        return this.make(module, token, phone);
    },
    make({ default: client }, token, phone) {
        client.setVersion(VERSION.slice(1));

        return plain((edge, fields) => new Promise((resolve, reject) => {
            client.setAccessToken(token);
            client.post(`${phone}/${edge}`, fields, (error, result) =>
                error ? reject(error) : resolve(result));
        }), JSON.stringify);
    },
}];
