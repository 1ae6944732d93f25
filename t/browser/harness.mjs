// What all tests of the dashboard share: TAP, a browser, pages in it that tell
// what they asked for and complained of, and a mock or a real API.  The
// environment is described in dashboard.mjs.

import { createRequire } from 'node:module';

import { Mock, START } from './mock.mjs';

export const required = createRequire(`${process.env.BROWSER_MODULES
    || new URL('../../.build/browser', import.meta.url).pathname}/`);

const { chromium } = required('playwright-core');

export const REAL = process.env.GRAPH_POLICY_API_URL;
export const ZONE = process.env.GRAPH_POLICY_API_ZONE || 'graph';
export const PHONE = '106540352242922';
export const TOKEN = 'EAAFAKEdashboard', RECIPIENT = '15550001111';

export const tap = { tests: 0, failures: 0 };

export const browser = await chromium.launch({ args: ['--no-sandbox'],
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium' });


// -- TAP

export function ok(good, name, found) {
    tap.tests++;
    console.log(`${good ? 'ok' : 'not ok'} ${tap.tests} - ${name}`);
    if (good) return;
    tap.failures++;
    if (found !== undefined) console.log(`# found: ${JSON.stringify(found)}`);
}

// up to 15 seconds until a value is right: a page asks when it likes

export async function becomes(get, right, name) {
    const end = Date.now() + 15000;
    const good = value => right instanceof RegExp ? right.test(value)
        : value === right;
    let found;

    do {
        found = await get();
        if (good(found)) return ok(true, name);
        await new Promise(done => setTimeout(done, 50));
    } while (Date.now() < end);

    ok(false, name, found);
}


// -- a page, with what it asked for and complained of

export async function open(url, options = {}, now = START) {
    const context = await browser.newContext({ timezoneId: 'UTC',
        viewport: { width: 1200, height: 900 }, ...options });
    const page = await context.newPage();

    page.setDefaultTimeout(15000);
    page.complaints = [];
    page.asked = [];
    page.on('console', message => {
        if (['error', 'warning'].includes(message.type())) {
            page.complaints.push(message.text());
        }
    });
    page.on('pageerror', error => page.complaints.push(error.message));
    page.on('dialog', dialog => {
        page.complaints.push(`a dialog: ${dialog.message()}`);
        dialog.dismiss();
    });
    page.on('request', request => page.asked.push(request.url()));

    if (!REAL) await page.clock.install({ time: now });
    await page.goto(url);
    return page;
}

// let the page's next look come

export const look = page => REAL ? null : page.clock.runFor(3000);

// stop the page's clock, a second from now

export const halt = async page => page.clock.pauseAt(await page.evaluate(() =>
    Date.now()) + 1000);

export const headline = page => () => page.locator('h1').textContent();
export const focused = page => () => page.evaluate(() =>
    document.activeElement.getAttribute('aria-label')
    || document.activeElement.textContent);
export const shown = (page, text) => () => page.getByText(text).filter({ visible: true
    }).count();
export const cell = (page, column, row = 0) => () => page.locator(
    `tbody tr td[data-name="${column}"]`).nth(row).innerText();
export const width = page => () => page.evaluate(() =>
    document.documentElement.scrollWidth);

export function content(page, url, noted = /^$/) {
    const complaints = page.complaints.filter(text => !noted.test(text));
    const foreign = page.asked.filter(asked => !asked.startsWith(url)
        && !asked.startsWith('data:'));

    ok(complaints.length === 0,
        'neither the policy nor the script is complained of', complaints);
    ok(foreign.length === 0, 'nothing is fetched from elsewhere', foreign);
}


// what the page isn't made of must not run in it, nor may it call elsewhere

export async function guarded(page) {
    const refused = what => () => page.complaints.some(text =>
        text.includes('Content Security Policy') && text.includes(what));
    const title = await page.title();

    await page.evaluate(() => {
        const script = document.createElement('script');

        script.textContent = 'document.title = "run"';
        document.head.append(script);
        fetch('http://127.0.0.1:1/').catch(() => {});
    });
    await becomes(refused('inline script'), true, 'no other script is run');
    await becomes(refused('http://127.0.0.1:1/'), true,
        'nothing else is connected to');
    ok(await page.title() === title, 'the page is as it was',
        await page.title());
}


// -- the mock, or a real API

export async function call(method, path, body) {
    const answer = await fetch(REAL + path, { method, ...(body && {
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body) }) });

    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
    return answer.status === 204 ? null : answer.json();
}

// a send of which the Graph API is to make what mock says; what became of it

export async function send(phone, mock = '200', token = TOKEN, at = 'v25.0',
    host = REAL)
{
    const answer = await fetch(new URL(`/${at}/${phone}/messages`, host), {
        method: 'POST', headers: { 'Authorization': `Bearer ${token}`,
            'Content-Type': 'application/json', 'X-Mock': mock },
        body: JSON.stringify({ messaging_product: 'whatsapp', to: RECIPIENT,
            type: 'text', text: { body: 'Hello' } }) });

    await answer.arrayBuffer();
    return `${answer.status} ${answer.headers.get('X-Graph-Policy')
        ?? 'accepted'}`;
}

export async function world() {
    if (REAL) {
        return { url: REAL,
            pause: () => send(PHONE, '400 133010'),
            states: async () => (await call('GET',
                `zones/${ZONE}/states`)).states.length,
            close: () => call('DELETE', `zones/${ZONE}/states`) };
    }

    const mock = new Mock();

    mock.zone(ZONE);
    return { mock, url: await mock.listen(),
        pause: () => mock.state(ZONE, 'phone-disconnected', { blocked: 0 }),
        states: () => mock.states.length,
        close: () => mock.close() };
}
