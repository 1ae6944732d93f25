// Whom the page is for: those who use a keyboard alone, who hear it, who need
// it larger, on a small screen, in the dark, or elsewhere in the world.
// axe-core says what breaks WCAG 2.2 AA.

import { readFileSync } from 'node:fs';

import { scene } from './scene.mjs';
import { PHONE, ZONE, becomes, call, content, focused, headline, ok,
    open, required, send, shown, world } from './harness.mjs';

const AXE = readFileSync(required.resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa',
    'best-practice'];

// what breaks a rule, and where

async function breaks(page) {
    if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(AXE);

    return page.evaluate(async values => {
        const { violations, passes } = await window.axe.run({ runOnly:
            { type: 'tag', values } });

        return [passes.length, violations.flatMap(({ id, nodes }) =>
            nodes.map(({ target, failureSummary }) => `${id}: ${target} ${
                failureSummary.split('\n').slice(1).join(' ')}`))];
    }, RULES);
}

async function no_barriers(page, name) {
    const [passed, broken] = await breaks(page);

    ok(passed > 20 && broken.length === 0, `WCAG 2.2 AA, ${name}`,
        [passed, ...broken]);
}

// a page with something in every part of it

async function full_world() {
    const all = await world();
    const { mock } = all;

    mock.zones = [];
    scene(mock);
    mock.zone('eu', { used: 15e6 });
    mock.zones[0].sync = { connected: true, server: 'redis:6379', lag_ms: 1,
        heard_ms: 5, nodes: 2, queue: 0, node: 'web-1' };
    mock.zones[1].sync = { ...mock.zones[0].sync, connected: false };
    mock.zones[0].counters.dry_run_blocks = { billing: { accepted: 1,
        refused: 9 } };
    mock.state('eu', 'phone-disconnected', { key: '4', dry_run: true });
    mock.states[0].node = 'web-2';
    return all;
}

// everything that the page can show, one after the other

async function every_view(page, mock, visit) {
    const before = [...mock.states];
    const close = async () => {
        await page.keyboard.press('Escape');
        await page.keyboard.press('Escape');
    };

    await becomes(headline(page), '1 account and 2 phones are paused',
        'a page that is full');
    await page.locator('summary').click();
    await becomes(shown(page, 'Page 1, 25 conversations'), 1,
        'with conversations');
    await visit('all of the page');

    // a slow visit takes longer than a clearing can be undone
    mock.refuse = true;
    await page.locator('tbody').getByRole('button', { name:
        'Clear phone 109361185504724' }).click();
    await becomes(() => page.locator('#undo li').count(), 1, 'a clearing');
    await visit('what can be undone');
    await page.clock.runFor(10000);
    await becomes(() => page.locator('#undo').innerText(), /Not cleared: write/,
        'one that fails');
    await visit('what could not be done');
    await page.locator('#undo').getByRole('button', { name: 'Leave it' })
        .click();
    mock.refuse = false;

    await page.getByRole('button', { name: /^Account \d+$/ }).first().click();
    await becomes(() => page.locator('#one').isVisible(), true, 'a state');
    await visit('a state');
    await page.getByRole('button', { name: 'Freeze until cleared' }).click();
    await becomes(() => page.locator('#ask').isVisible(), true, 'a question');
    await visit('a question');
    await close();

    await page.getByRole('button', { name: 'Stop sends by hand' }).click();
    await page.locator('#halting').getByRole('textbox').fill('x');
    await page.keyboard.press('Enter');
    await becomes(() => page.locator('#halt-wrong').innerText(),
        /^A phone-number/, 'a form');
    await visit('a form, with a mistake in it');
    await close();

    await page.locator('#may').getByLabel('Phone-number id').fill(PHONE);
    await page.locator('#may').getByLabel('Customer').fill('1');
    await page.locator('#may').getByRole('button').click();
    await page.locator('#explain').getByLabel('Its body').fill('131042');
    await page.locator('#explain').getByRole('button').click();
    await becomes(() => page.locator('#explain-said dl').count(), 1, 'answers');
    await page.locator('#explain').getByLabel('Its body').fill('no');
    await page.getByRole('searchbox').fill('1');
    await page.clock.runFor(300);
    await becomes(() => page.locator('#found').isVisible(), true, 'a search');
    await visit('a search, and answers');
    mock.states = before;
}


// -- what axe says

export async function test_axe() {
    const { mock, url, close } = await full_world();

    for (const [name, options] of [
        ['light', { colorScheme: 'light' }],
        ['dark, 390 pixels', { colorScheme: 'dark',
            viewport: { width: 390, height: 844 } }] ])
    {
        mock.status = 0;
        const page = await open(url, options);

        await every_view(page, mock, view => no_barriers(page, `${name}: ${view}`));
        mock.status = 401;
        await page.clock.runFor(3000);
        await becomes(headline(page), 'You aren\u2019t signed in', 'stale data');
        await no_barriers(page, `${name}: stale data`);
        await page.context().close();
    }
    close();
}


// -- sizes

export async function test_sizes() {
    const { mock, url, close } = await full_world();

    // 200 % of a window of 1280 is 640 wide, 400 % of it 320 (WCAG 1.4.10)
    for (const [name, options, text] of [
        ['390 pixels', { viewport: { width: 390, height: 844 } }],
        ['zoomed to 200 %', { viewport: { width: 640, height: 450 },
            deviceScaleFactor: 2 }],
        ['zoomed to 400 %', { viewport: { width: 320, height: 256 },
            deviceScaleFactor: 4 }],
        ['text of 200 %', { viewport: { width: 1280, height: 900 } }, '200%'],
    ]) {
        const page = await open(url, options);
        const wide = options.viewport.width;

        if (text) {
            await page.evaluate(size => {
                document.documentElement.style.fontSize = size;
            }, text);
        }
        await every_view(page, mock, async view => {
            const found = await page.evaluate(limit => [document.documentElement
                .scrollWidth, ...[...document.querySelectorAll('dialog[open]')]
                    .map(box => box.scrollWidth > box.clientWidth
                        ? limit + 1 : box.getBoundingClientRect().right)], wide);

            ok(Math.max(...found) <= wide, `${name}: ${view}: nothing is cut off`
                + ' or to be scrolled sideways', found);
        });
        await page.context().close();
    }
    close();
}


// -- the keyboard

// Tab until something has the focus; how often, or -1

async function tab_to(page, name, most = 80) {
    for (let i = 1; i <= most; i++) {
        await page.keyboard.press('Tab');
        if ((await focused(page)()) === name) return i;
    }
    return -1;
}

export async function test_keyboard() {
    const { mock, url, close } = await full_world();
    const page = await open(url);

    await becomes(headline(page), '1 account and 2 phones are paused',
        'a page that is full');

    // each thing that can be used is reached once, in the order of the page,
    // and shows that it has the focus
    const there = await page.evaluate(() => [...document.querySelectorAll(
        'a[href], button, input, select, textarea, summary')].filter(node =>
        node.checkVisibility() && !node.disabled).map((node, i) => {
            node.dataset.nth = i;
            return i;
        }));
    const reached = [], unseen = [];

    await page.evaluate(() => { document.activeElement.blur(); });
    for (let i = 0; i < there.length; i++) {
        await page.keyboard.press('Tab');
        const [nth, seen, what] = await page.evaluate(() => {
            const node = document.activeElement, box = node
                .getBoundingClientRect();
            const style = getComputedStyle(node);
            const top = document.elementFromPoint(box.x + box.width / 2,
                box.y + box.height / 2);

            return [Number(node.dataset.nth), style.outlineStyle !== 'none'
                && parseFloat(style.outlineWidth) >= 2
                && box.top >= 0 && box.bottom <= innerHeight
                && (node.contains(top) || top?.contains(node)),
                node.outerHTML.slice(0, 80)];
        });

        reached.push(nth);
        if (!seen) unseen.push(what);
    }
    ok(there.length > 30 && reached.join() === there.join(),
        'Tab reaches all there is, in its order', [there.length, reached]);
    ok(unseen.length === 0, 'and what has the focus is seen, and not covered',
        unseen);

    // in and out of what opens
    await page.evaluate(() => { document.activeElement.blur(); });
    ok(await tab_to(page, 'Account 102290129340398') > 0, 'a state is reached');
    await page.keyboard.press('Enter');
    await becomes(focused(page), 'Account 102290129340398',
        'Enter opens it, and the focus is in it');
    const seen = new Set();
    for (let i = 0; i < 30; i++) {
        await page.keyboard.press('Tab');
        seen.add(await page.evaluate(() => Boolean(document.activeElement
            .closest('dialog')) || document.activeElement === document.body));
    }
    ok(!seen.has(false), 'and stays in it');
    await page.keyboard.press('Escape');
    await becomes(focused(page), 'Account 102290129340398',
        'Escape goes back to where it was opened');
    ok(await page.evaluate(() => !document.activeElement.closest('dialog')),
        'on the page');

    content(page, url);
    await page.context().close();
    close();
}

// at the module, by the clock on the wall

export async function test_alert() {
    const { url, pause, close } = await world();

    await pause();
    const { states: [{ id }] } = await call('GET', `zones/${ZONE}/states`);
    const begun = Date.now();
    const page = await open(url);

    // the alert has the phone; the operator has a keyboard
    ok(await tab_to(page, 'Pause updates') === 1, 'an alert: the page is open');
    await page.keyboard.press('Tab');
    await becomes(() => page.evaluate(() => document.activeElement.id),
        'find-key', 'the second thing on it is the search');
    await page.keyboard.type(PHONE);
    await page.keyboard.press('Enter');
    await becomes(shown(page, '1 state fits.'), 1, 'the phone is found');
    ok(await tab_to(page, `Phone ${PHONE}`) > 0, 'and reached');
    await page.keyboard.press('Enter');
    await becomes(shown(page, /^Make sure that the number exists/), 1,
        'what to do is read');
    await becomes(() => page.locator('#one-facts').innerText(),
        new RegExp(id), 'it is the state of the alert');
    ok(await tab_to(page, `Clear phone ${PHONE}`) > 0, 'clearing is reached');
    await page.keyboard.press('Enter');
    await becomes(focused(page), `Undo clearing phone ${PHONE}`,
        'it might be taken back');
    await becomes(() => page.locator('#one-how').innerText(), /^Over: /,
        'it is cleared');
    await page.keyboard.press('Escape');
    await becomes(headline(page), 'All sends pass', 'all sends pass');

    const answer = await send(PHONE), took = (Date.now() - begun) / 1000;

    ok(answer === '200 accepted', 'and so they do', answer);
    ok(took < 60, 'from the alert to the cleared state, by the keyboard alone,'
        + ' in under a minute', took);
    console.log(`# it took ${took.toFixed(1)} s`);
    await page.context().close();
    await close();
}


// -- elsewhere

export async function test_elsewhere() {
    const { mock, url, close } = await full_world();

    for (const [locale, timezoneId, time] of [
        ['ar-EG', 'Asia/Tehran', '21:16:52'],
        ['de-DE', 'America/St_Johns', '14:16:52'],
        ['fa-IR', 'Pacific/Chatham', '07:31:52'] ])
    {
        const page = await open(url, { locale, timezoneId });
        const row = async () => (await page.locator('#lists tbody tr').first()
            .innerText()).replace(/\s+/g, ' ');

        await becomes(headline(page), '1 account and 2 phones are paused',
            `${locale}: the page is in English`);
        ok(await page.evaluate(() => navigator.language) === locale
            && await page.getAttribute('html', 'lang') === 'en',
            `${locale}: and says so`);
        // 13 minutes and 8 seconds before 18:00 in UTC
        await becomes(row, new RegExp(`13 min ago ${time.replace(/^07/,
            '(26 Nov, )?07')} in \\d:\\d\\d`),
            `${locale}: times are those of ${timezoneId}`);
        await becomes(shown(page, `Times are those of ${timezoneId}.`), 1,
            `${locale}: which is told`);
        const text = await page.locator('body').innerText();

        ok(!/[\u0660-\u0669\u06f0-\u06f9]/.test(text)
            && /\b1,880\b/.test(text) && !/\b1\.880\b/.test(text),
            `${locale}: numbers are written as in English`,
            text.match(/\S*880\S*/g));
        await page.getByRole('button', { name: /^Account \d+$/ }).first()
            .click();
        await becomes(() => page.locator('#one-facts').innerText(),
            /2026-11-25T17:46:52\.000Z/, `${locale}: and in UTC, to compare`);
        content(page, url);
        await page.context().close();
    }
    close();
}
