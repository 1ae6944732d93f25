// The dashboard in headless Chromium: what an operator sees and can do.
//
//   node t/browser/dashboard.mjs                 print TAP
//   node t/browser/dashboard.mjs --pictures DIR  take those of the
//                                                documentation instead
//
// Environment:
//   BROWSER_MODULES       the folder that playwright-core is installed in
//   CHROMIUM              the browser, /usr/bin/chromium by default
//   GRAPH_POLICY_API_URL  an API with write=on, ending in "/", to test the page
//                         on: that of t/dashboard.t, whose server passes sends
//                         on to a Graph API that answers what X-Mock says, and
//                         has the same API at /look/ without write=on.  Without
//                         it there is a mock, and more is tested
//   GRAPH_POLICY_API_ZONE a zone of that API, "graph" by default
//   ONLY                  tests to run, by the names of their functions

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { Mock, REASONS, START } from './mock.mjs';
import { scene } from './scene.mjs';
import { test_alert, test_axe, test_elsewhere, test_keyboard, test_sizes }
    from './eyes.mjs';
import { test_fleet } from './fleet.mjs';
import { test_by_hand, test_docs, test_figures_more, test_find, test_halt,
    test_hosts, test_many_talks, test_open, test_past, test_questions,
    test_refusals, test_served_docs, test_stall, test_undo } from './hands.mjs';
import { PHONE, REAL, TOKEN, RECIPIENT, ZONE, becomes, browser, call, cell,
    content, focused, guarded, halt, headline, look, ok, open, send, shown, tap,
    width, world } from './harness.mjs';

const { ONLY } = process.env;


// -- what holds for a real API too

async function test_life() {
    const { url, pause, states, close } = await world();
    const page = await open(url);

    await becomes(headline(page), 'All sends pass', 'nothing is paused');
    await becomes(() => page.title(), 'All sends pass \u00b7 graph_policy',
        'nor in the title');
    ok(await page.locator('[role=status]:has(h1)').getAttribute('aria-live')
        === 'polite', 'changes of the headline are read out');

    await pause();
    await look(page);
    await becomes(headline(page), '1 phone is paused', 'a new state shows up');
    await becomes(shown(page, PHONE), 1, 'with its phone');
    await becomes(shown(page,
        'The phone number is not connected to the Cloud API'), 1, 'why');
    await becomes(shown(page, /^Make sure that the number exists/), 1,
        'and what to do');
    await becomes(cell(page, 'Blocked'), '0', 'no send has been blocked yet');

    if (REAL) {
        const answer = await send(PHONE);

        ok(answer === '400 blocked', 'the next send is', answer);
        await becomes(cell(page, 'Blocked'), '1', 'and is counted');
    }

    const clear = page.getByRole('button', { name: `Clear phone ${PHONE}` });

    await clear.focus();
    await page.keyboard.press('Enter');
    await becomes(focused(page), `Undo clearing phone ${PHONE}`,
        'clearing can be taken back, by the same button');
    await becomes(shown(page, /^Phone \d+ is cleared in \d+ s\.$/), 1,
        'it is told when it can\u2019t any more');
    await becomes(shown(page, /^In ten seconds phone \d+ is cleared/), 1,
        'which is read out');
    ok(await states() === 1, 'before that nothing is cleared', await states());
    await page.keyboard.press('Enter');
    await becomes(focused(page), `Clear phone ${PHONE}`, 'it was taken back');
    await becomes(shown(page, `Not cleared: phone ${PHONE}.`), 1,
        'which is read out, too');
    if (!REAL) await page.clock.runFor(11000);
    ok(await states() === 1, 'and nothing was cleared', await states());

    await page.keyboard.press('Space');
    await becomes(focused(page), `Undo clearing phone ${PHONE}`,
        'it is cleared once more');
    if (REAL) {
        await page.getByRole('button', { name: `Clear phone ${PHONE} now` })
            .press('Enter');
    } else {
        await page.clock.runFor(10000);
    }
    await becomes(headline(page), 'All sends pass', 'now it is cleared');
    ok(await states() === 0, 'in the zone too', await states());
    await becomes(focused(page), 'All sends pass',
        'the headline has the focus');
    await becomes(shown(page, `Cleared: phone ${PHONE}.`), 1,
        'what was done is read out');

    if (REAL) {
        const answer = await send(PHONE);

        ok(answer === '200 accepted', 'the next send passes', answer);
    }

    content(page, url);
    await guarded(page);

    await page.context().setOffline(true);
    await pause();
    await look(page);
    await becomes(headline(page), 'The proxy can\u2019t be reached',
        'without a connection that is said');
    await becomes(shown(page, /^Trying again .* What follows is from \d/), 1,
        'with the age of what is shown');
    await page.context().setOffline(false);
    await look(page);
    await becomes(headline(page), '1 phone is paused', 'and when it is back');

    await page.context().close();
    await test_looks(url);
    await close();
}

async function test_looks(url) {
    const colour = page => page.evaluate(() => getComputedStyle(document.body)
        .backgroundColor.match(/\d+/g).reduce((a, b) => a + Number(b), 0));
    const light = await open(url, { colorScheme: 'light' });
    const dark = await open(url, { colorScheme: 'dark',
        reducedMotion: 'reduce', viewport: { width: 360, height: 740 } });

    await becomes(headline(dark), '1 phone is paused', 'on a small screen');
    ok(await width(dark)() === 360, 'nothing is wider than 360 pixels',
        await width(dark)());
    ok(await colour(light) > 600, 'it is light', await colour(light));
    ok(await colour(dark) < 200, 'it is dark', await colour(dark));
    ok(await dark.locator('.dot').evaluate(dot =>
        getComputedStyle(dot).animationName) === 'none',
        'nothing moves for those who asked for that');
    await light.context().close();
    await dark.context().close();
}


// -- what sends leave behind, at a real API

const EVIL = '%3Cimg%20src=x%20onerror=alert(1)%3E';

const SENDS = [
    ['1001', '401 190', `${TOKEN}2`],
    ['1002', '400 131042 trace=AFakeTrace2'],
    ['1003', `400 133010 trace=${EVIL} message=${EVIL}`],
    ['1004', '400 100/33', `${TOKEN}3`],
    ['1005', '400 130429'],
    ['1006', '400 131047'],
];

async function test_sends() {
    const { url, close } = await world();
    const page = await open(url);
    const errors = () => page.locator('#errors svg.chart')
        .getAttribute('aria-label');
    const counted = async () => (await errors())
        .match(/(\d+) fatal, (\d+) temporary, (\d+) context/)?.slice(1)
        .map(Number) ?? [0, 0, 0];

    await becomes(headline(page), 'All sends pass', 'at first all sends pass');
    const before = await counted();

    for (const one of SENDS) {
        const answer = await send(...one);

        ok(answer.endsWith(' passed'), `${one[1].split(' ')[1]} is sent`,
            answer);
    }
    await becomes(headline(page), '1 token, 1 account and 2 phones are paused',
        'fatal errors of each scope');
    await becomes(shown(page, '1 send blocked in the last hour. Also 1 phone'
        + ' cooling down and 1 limited conversation.'), 1,
        'a rate limit and a closed window are told beside it');

    // the id of a state may end with the digits of a phone
    const row = async what => (await page.locator('tbody tr:visible')
        .filter({ hasText: typeof what === 'string'
            ? new RegExp(`(?<![0-9a-f])${what}`) : what })
        .first().innerText()).replace(/\s+/g, ' ');

    ok(/^Token [0-9a-f]{16} code 190 /.test(await row(/^Token/)),
        'a token is a fingerprint', await row(/^Token/));
    ok(/^Account of phone 1002 code 131042 .* trace AFakeTrace2 .* in \d/
        .test(await row('1002')), 'an account that is known by its phone',
        await row('1002'));
    ok(/^Phone 1004 only with token [0-9a-f]{16} .* code 100\/33 /.test(
        await row('1004')), 'a phone of one token alone', await row('1004'));
    await becomes(shown(page, 'Meta cannot bill the WhatsApp Business Account'),
        1, 'the title of a reason');

    const after = await counted();

    ok(after.map((n, i) => n - before[i]).join() === '4,1,1',
        'all of them are in the chart', [before, after]);
    ok(await page.locator('main img').count() === 0,
        'what a hostile error says is no element');

    const text = await page.content();

    ok(!text.includes(TOKEN) && !text.includes(RECIPIENT),
        'no token and no recipient is in the page');
    await test_same(url);
    content(page, url);
    await page.context().close();

    const reader = await open(new URL('/look/', url).href);

    await becomes(headline(reader), '1 token, 1 account and 2 phones are'
        + ' paused', 'without write=on all is shown');
    ok(await reader.getByRole('button', { name: /^Clear/ }).count() === 0,
        'and nothing can be cleared');
    content(reader, new URL('/look/', url).href);
    await reader.context().close();

    await close();
}

// the mock has the members and the words of the real one

async function test_same(url) {
    const { zones: [zone] } = await call('GET', 'zones');
    const { states } = await call('GET', `zones/${ZONE}/states`);
    const mock = new Mock();

    scene(mock);
    mock.states = Object.keys(REASONS).map(reason => mock.state('graph',
        reason));

    const at = await mock.listen();
    const [its] = (await (await fetch(`${at}zones`)).json()).zones;
    const { states: mocked } = await (await fetch(
        `${at}zones/graph/states`)).json();
    const its_rules = await (await fetch(`${at}rules`)).json();
    mock.close();

    const members = value => Object.keys(value).sort().join();
    const same = (name, one, other) => ok(members(one) === members(other),
        `the mock: ${name}`, [members(one), members(other)]);

    same('a zone', its, zone);
    same('counters', its.counters, zone.counters);
    for (const name of ['responses', 'retries_denied', 'probes',
        'webhook_events'])
    {
        same(name, its.counters[name], zone.counters[name]);
    }
    same('history', its.history, zone.history);
    same('categories', its.history.categories, zone.history.categories);
    same('scopes', its.states, zone.states);
    same('a state', mocked[0], states.find(({ scope }) => scope === 'phone'));

    const rules = await call('GET', 'rules');

    same('rules', its_rules, rules);
    same('a rule', its_rules.rules[0], rules.rules[0]);
    for (const { reason, title, action, code } of its_rules.reasons) {
        const real = rules.reasons.find(r => r.reason === reason);

        ok(real?.title === title && real?.action === action
            && real?.code === code, `the mock: the words of ${reason}`, real);
    }
    same('an answer of lookup', mock.lookup, await call('POST',
        `zones/${ZONE}/lookup`, { phone: PHONE, to: RECIPIENT }));
    same('an answer of explain', mock.explanation, await call('POST',
        'explain', { error: { code: 131042 } }));
}


// -- states of each kind

async function test_states() {
    const { mock, url, close } = await world();

    mock.now = START + 3600e3;
    mock.zone('eu');
    mock.state(ZONE, 'billing', { scope: 'account', key: PHONE,
        of_phone: true, until: mock.time(3700), holds: 3, blocked: 1234 });
    mock.state(ZONE, 'token-invalid', { scope: 'credential', key: null,
        credential: '3fa9c1d2e4b5a697', due: true, until: mock.time(-5) });
    mock.state('eu', 'phone-disconnected', { key: '1', probing: true,
        credential: '00aa', code: 100, subcode: 33, source: 'webhook' });
    mock.state('eu', 'phone-disconnected', { key: '2', until: null, code: null,
        source: 'api' });
    mock.state('eu', 'billing', { key: '2', since: mock.time(-7200) });
    mock.state('eu', 'rate-limit', { category: 'temporary', key: '3' });
    mock.state('eu', 'phone-disconnected', { key: '4', dry_run: true });

    // the browser's clock is an hour late
    const page = await open(url, {}, START);

    await becomes(headline(page),
        '1 token, 1 account and 2 phones are paused',
        'the headline counts what is paused, a phone with two states once');
    await becomes(shown(page, 'No send was blocked in the last hour. Also 1'
        + ' phone cooling down.'), 1, 'cool-downs are told beside it');
    await halt(page);

    const texts = await page.locator('tbody tr:visible').allInnerTexts();
    const rows = texts.map(text => text.replace(/\s+/g, ' '));
    const row = text => rows.find(found => found.includes(text)) || rows;

    ok(/Due with the next send/.test(row('Token 3fa9c1d2e4b5a697')),
        'a state that is due', row('Token'));
    ok(/code 131042 .* held 3 times .* in 1:01:\d\d .* 1,234 /.test(
        row(`Account of phone ${PHONE}`)),
        'an account that is unknown, with a countdown by the proxy\u2019s'
        + ' clock', row('Account'));
    ok(/token 00aa .* eu .* 100\/33 .* from a webhook .* Under way/.test(
        row('Phone 1 ')), 'a probe under way', row('Phone 1 '));
    ok(/None frozen until cleared/.test(row('zone eu \u00b7 set by hand')),
        'a frozen state', row('set by hand'));
    ok(/2 h 0 min ago/.test(row('Phone 2 zone eu \u00b7 code 131042')),
        'one of some age', rows);

    const sections = await page.locator('main section:visible h2')
        .allInnerTexts();

    ok(sections.slice(0, 3).join() === 'Paused now,Cooling down,Dry run',
        'each kind has its place', sections);

    const countdown = cell(page, 'Next probe', 1), before = await countdown();
    await page.clock.runFor(1000);
    ok(await countdown() !== before, 'the countdown goes on', before);

    await page.getByRole('button', { name: 'eu 4 fatal' }).click();
    await becomes(headline(page), '2 phones are paused', 'one zone of two');
    ok(new URL(page.url()).hash === '#zone=eu', 'which can be kept as a bookmark',
        page.url());
    content(page, url);
    await page.context().close();
    close();
}


// -- text is never markup

async function test_hostile() {
    const { mock, url, close } = await world();
    const evil = n => `<img src=x onerror="document.title='owned ${n}'">`
        + `<script>document.title='owned ${n}'</script>`;
    const zone = mock.zone(evil(1));

    zone.history.reasons[evil(2)] = Array(60).fill(1);
    zone.used = zone.size;
    mock.state(zone.name, 'phone-disconnected', { key: evil(3),
        title: evil(4), action: evil(5), trace: evil(6), credential: evil(7),
        code: evil(8) });
    mock.state(ZONE, 'window-expired', { scope: 'conversation', key: null,
        category: 'context-limited', title: evil(9) });

    const page = await open(url, { viewport: { width: 360, height: 740 } });

    await becomes(headline(page), '1 phone is paused', 'hostile texts');
    await page.locator('summary').click();
    await page.getByRole('button', { name: 'Clear phone <img' }).click();

    for (const n of [1, 2, 3, 4, 5, 9]) {
        await becomes(async () => await shown(page, evil(n))() > 0, true,
            `text ${n} is shown as it is`);
    }
    ok(await page.locator('img, main script').count() === 0,
        'none becomes an element');
    ok(await page.title() === '1 phone is paused \u00b7 graph_policy',
        'none is run', await page.title());
    ok(await width(page)() === 360, 'none makes the page wider',
        await width(page)());

    await page.getByRole('button', { name: /^Clear phone <img.* now$/ })
        .click();
    await becomes(() => mock.states.length, 1,
        'a state of such a zone can be cleared');
    content(page, url);
    await page.context().close();
    close();
}


// Every string that the API answers, but "next" and what "kept" names, and
// every member's name that isn't known.

async function test_evil() {
    const evil = name => `<img src=x onerror="document.title='owned'">`
        + `<script>document.title='owned'</script>{{${name}}}"'&lt;`;

    for (const [what, kept] of [
        ['but what the page tells states by', ['name', 'scope', 'category',
            'source', 'since', 'until', 'key', 'id', 'reason']],
        ['with zones, keys and reasons', ['name', 'scope', 'category', 'since',
            'until', 'id']],
        ['without any exception', []] ])
    {
        const { mock, url, close } = await world();
        const zone = mock.zones[0];

        if (what.startsWith('with zones')) zone.name = evil('zone');
        zone.history.reasons[evil('reason')] = Array(60).fill(1);
        zone.counters.dry_run_blocks = { [evil('dry')]: { accepted: 1,
            refused: 2 } };
        zone.counters.lost = 1;
        zone.sync = { connected: false, server: 'a', lag_ms: 1, heard_ms: 5,
            nodes: 2, queue: 0, node: 'b' };
        mock.zone('eu');
        mock.state(zone.name, 'phone-disconnected', { node: 'a', trace: 'b',
            credential: 'c' });
        mock.state(zone.name, 'window-expired', { scope: 'conversation',
            key: null, category: 'context-limited' });
        mock.lookup.reason = 'a';
        mock.lookup.until = 'b';
        mock.lookup.free_form = false;
        mock.explanation.trace = 'c';
        mock.replace = (name, value) => typeof value === 'string'
            && name !== 'next' && !kept.includes(name) ? evil(name) : value;

        const page = await open(url);
        const clean = async where => {
            ok(await page.locator('img, main script, dialog script').count()
                === 0 && !(await page.title()).startsWith('owned'),
                `hostile strings ${what}: ${where}`, await page.title());
        };

        await becomes(headline(page), kept.length ? '1 phone is paused'
            : /^(1 phone is paused|All sends pass)/, `hostile strings ${what}`);
        await page.locator('summary').click();
        await page.clock.runFor(3000);
        await becomes(() => page.locator('#one:visible').count(), 0, 'a list');
        await clean('lists');

        await page.locator('#may').getByLabel('Phone-number id').fill('1');
        await page.locator('#may').getByLabel('Customer').fill('1');
        await page.locator('#may').getByRole('button').click();
        await page.locator('#explain').getByLabel('Its body').fill('1');
        await page.locator('#explain').getByRole('button').click();
        await becomes(() => page.locator('#explain-said dl').count(), 1,
            'an explanation');
        await becomes(() => page.locator('#may-said b').count(), 1,
            'an answer');
        await clean('answers');

        const [first] = mock.states;

        // a zone by another name than its own has no states
        if (!kept.length) {
            content(page, url);
            await page.context().close();
            close();
            continue;
        }
        await page.getByRole('searchbox').fill('106540352242922');
        await page.clock.runFor(300);
        await becomes(() => page.locator('#found tbody tr').count(), 1,
            'a search');
        await page.locator('#found tbody button').first().click();
        await becomes(() => page.locator('#one').isVisible(), true, 'a state');
        Object.assign(first, { holds: 9, reason: 'billing', source: 'webhook' });
        await page.clock.runFor(3000);
        await clean('a state');
        await page.keyboard.press('Escape');
        await page.getByRole('button', { name: 'Stop sends by hand' }).click();
        await becomes(() => page.locator('#halting').isVisible(), true,
            'a form');
        await clean('a form');
        await page.keyboard.press('Escape');
        mock.status = 503;
        await page.clock.runFor(3000);
        await becomes(headline(page), 'The proxy answers with status 503',
            'an error');
        await clean('errors');
        content(page, url, /status of (503|404)/);
        await page.context().close();
        close();
    }
}


// -- what has many pages

async function test_many() {
    const { mock, url, close } = await world();

    mock.zone('eu');
    for (let i = 0; i < 60; i++) mock.state(ZONE, 'phone-disconnected',
        { key: String(1000 + i) });
    for (const [zone, n] of [[ZONE, 30], ['eu', 3]]) {
        for (let i = 0; i < n; i++) mock.state(zone, 'window-expired', {
            scope: 'conversation', key: null, category: 'context-limited' });
    }

    const page = await open(url);
    const asked = () => mock.requests.length;
    const talks = page.locator('details tbody tr');

    await becomes(headline(page), '60 phones are paused',
        'all are counted, though not all are listed');
    await becomes(shown(page, '25 of 60 are shown.'), 1, 'which is said');
    await page.getByRole('button', { name: 'Show 25 more' }).click();
    await becomes(shown(page, '50 of 60 are shown.'), 1, 'more can be had');
    await page.getByRole('button', { name: 'Show 25 more' }).click();
    await becomes(shown(page, /of 60 are shown/), 0, 'up to all of them');

    ok(await shown(page, 'Limited conversations: 33')() === 1
        && await talks.count() === 0, 'conversations are counted, not listed');
    await page.locator('summary').focus();
    await page.keyboard.press('Enter');
    await becomes(shown(page, 'Page 1, 25 conversations'), 1, 'unless asked');
    await page.getByRole('button', { name: 'Next' }).click();
    await becomes(shown(page, 'Page 2, 8 conversations'), 1,
        'the next page goes on in the next zone');
    ok(await talks.filter({ hasText: 'zone\u00a0eu' }).count() === 3,
        'which is named');
    ok(await page.getByRole('button', { name: 'Next' }).isDisabled(),
        'there is no third');
    await page.getByRole('button', { name: 'Previous' }).click();
    await becomes(shown(page, 'Page 1, 25 conversations'), 1, 'and back');

    const third = page.getByRole('button', { name: 'Clear phone 1002' });

    await third.focus();
    mock.states = mock.states.filter(s => !['1000', '1001'].includes(s.key));
    await page.clock.runFor(3000);
    await becomes(headline(page), '58 phones are paused', 'others go');
    ok(await focused(page)() === 'Clear phone 1002', 'the focus stays',
        await focused(page)());

    await page.getByRole('button', { name: `states of zone ${ZONE}` }).click();
    await becomes(shown(page, `Clear all states of zone ${ZONE}?`), 1,
        'clearing a zone asks');
    await page.getByRole('button', { name: 'Clear', exact: true }).click();
    await page.clock.runFor(10000);
    await becomes(headline(page), 'All sends pass, but for 3 limited'
        + ' conversations', 'then it is empty, and the other is not');

    await page.getByRole('button', { name: 'Pause updates' }).click();
    await becomes(shown(page, 'Updates paused'), 1, 'updates can be stopped');
    const rest = asked();
    await page.clock.runFor(20000);
    ok(asked() === rest, 'then nothing is asked', asked() - rest);
    await page.getByRole('button', { name: 'Go on' }).click();
    await becomes(() => asked() > rest, true, 'until they go on');

    const hide = hidden => page.evaluate(value => {
        Object.defineProperty(document, 'hidden', { value,
            configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);

    await becomes(shown(page, 'Live'), 1, 'it is live again');
    await hide(true);
    await page.clock.runFor(3000);
    await new Promise(done => setTimeout(done, 200));
    const seen = asked();
    await page.clock.runFor(20000);
    ok(asked() === seen, 'nothing is asked in the background', asked() - seen);
    await hide(false);
    await becomes(() => asked() > seen, true, 'and at once when it is back');
    content(page, url);
    await page.context().close();
    close();
}


// -- figures, and what may not be done

async function test_figures() {
    const { mock, url, close } = await world();

    mock.zones = [];
    scene(mock);
    mock.write = false;
    Object.assign(mock.zones[0], { used: mock.zones[0].size * 0.93 });

    const page = await open(url);
    const figure = (card, name) => page.locator('.card', { has:
        page.getByRole('heading', { name: card, exact: true }) })
        .locator('dt', { hasText: name }).locator('xpath=following::dd[1]')
        .textContent();

    await becomes(headline(page), '1 account and 2 phones are paused',
        'an afternoon');
    ok(await page.getByRole('button', { name: /^Clear/ }).count() === 0,
        'without write=on there is no button to clear');
    await becomes(shown(page, /^Zone graph is 93% full/), 1,
        'a zone that is nearly full');
    await becomes(() => page.locator('svg.chart').first()
        .getAttribute('aria-label'), /^In the last hour: 30 fatal, 210 temp/,
        'the chart is told in words');
    ok(await page.locator('#errors svg.chart rect').count() > 100,
        'and has bars');
    await becomes(shown(page, /^peak 17:22: 26 temporary/), 1, 'its peak');
    await page.locator('#errors svg.chart').hover({
        position: { x: 2, y: 50 } });
    await becomes(shown(page, /^17:00: /), 1, 'and the minute under the mouse');
    await becomes(() => page.locator('#reasons li').first().innerText(),
        /window expired\s+155/, 'reasons, the most frequent first');
    ok(await figure('Sent again', 'Accepted') === '1,880', 'retries');
    ok(await figure('Sent again', 'over the budget') === '62',
        'those that were denied');
    ok(await figure('Pauses', 'Probes refused') === '88', 'probes');
    ok(await figure('Webhooks', 'Verified') === '81,342', 'webhooks');
    content(page, url);

    mock.status = 403;
    await page.clock.runFor(3000);
    await becomes(headline(page), 'You may not see this', 'a refusal');
    await becomes(shown(page, /status 403.* Trying again/), 1,
        'with what it says');

    mock.status = 0;
    mock.write = true;
    await page.clock.runFor(3000);
    await page.getByRole('button', { name: 'Clear account' }).click();
    mock.write = false;
    await page.clock.runFor(10000);
    await becomes(shown(page, /^Account \d+: Not cleared: write is off\.$/), 1,
        'clearing that fails');
    await page.context().close();
    close();
}


// -- pictures, which are the same whenever they are taken

async function pictures(dir) {
    const { mock, url, close } = await world();

    mock.zones = [];
    scene(mock);

    for (const [name, height, act] of [
        ['dashboard', 900, async () => {}],
        ['state', 760, async page => {
            await page.getByRole('button', { name: /^Account \d+$/ }).click();
            await page.locator('#one').waitFor();
            await page.locator('#one-title').evaluate(node => node.blur());
        }] ])
    {
        const page = await open(url, { viewport: { width: 960, height } });

        await page.getByText('Paused now').waitFor();
        await act(page);
        await page.clock.pauseAt(START + 60000);
        await page.getByText('Live', { exact: true }).waitFor();
        await page.locator('#host').evaluate(node => {
            node.textContent = 'graph.example.com';
        });
        await page.screenshot({ path: `${dir}/${name}.png` });
        await page.context().close();
    }
    await terminal(mock, url, `${dir}/terminal.png`);
    close();
}

// what graph-policy-ctl says of the same afternoon, as a terminal shows it

async function terminal(mock, url, path) {
    const ctl = new URL('../../examples/graph-policy-ctl', import.meta.url)
        .pathname;
    const { id } = mock.states.find(s => s.reason === 'billing');
    const said = [];

    for (const words of [['--category', 'fatal', 'list'], ['show', id],
                         ['clear', id]])
    {
        const { stdout, stderr } = await promisify(execFile)(ctl, words, {
            env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', HOME: '/nowhere',
                   GRAPH_POLICY_URL: url } });

        said.push(['$ graph-policy-ctl ' + words.join(' '), stdout + stderr]);
    }

    const page = await browser.newPage({ viewport: { width: 960, height: 630 } });

    await page.setContent(`<style>
        body { margin: 0; padding: 18px 22px; background: #1a1d21;
               color: #d5d8dc; font: 13px/20px 'DejaVu Sans Mono', monospace;
               white-space: pre-wrap; overflow-wrap: anywhere; }
        b { color: #fff; }
        </style><body></body>`);
    await page.evaluate(lines => {
        for (const [command, text] of lines) {
            const b = document.createElement('b');

            b.textContent = command;
            document.body.append(b, `\n${text}\n`);
        }
        document.body.append('$ \u2588');
    }, said);
    await page.screenshot({ path });
    await page.close();
}


const tests = (ONLY === 'test_many_talks' ? [test_many_talks]
    : process.env.GRAPH_POLICY_PEER ? [test_fleet]
    : REAL ? [test_life, test_sends, test_by_hand, test_alert, test_served_docs]
    : [test_life, test_states, test_hostile, test_evil, test_many, test_figures,
       test_find, test_open, test_past, test_docs, test_undo, test_halt,
       test_questions, test_figures_more, test_refusals, test_hosts, test_stall,
       test_axe, test_sizes, test_keyboard, test_elsewhere])
        .filter(test => !ONLY || ONLY.split(' ').includes(test.name));


try {
    if (process.argv[2] === '--pictures') {
        await pictures(process.argv[3]);
    } else {
        for (const test of tests) await test();
        console.log(`1..${tap.tests}`);
    }
} catch (error) {
    console.log(`Bail out!  ${error.message.split('\n')[0]}`);
    console.error(error);
    tap.failures++;
} finally {
    await browser.close();
}

process.exit(tap.failures ? 1 : 0);
