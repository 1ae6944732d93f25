// Two real hosts that share a zone, and the page of the second one.  The engine
// between them is killed at the end.
//
//   GRAPH_POLICY_API_URL   the API of the second host
//   GRAPH_POLICY_PEER      that of the first one
//   GRAPH_POLICY_ENGINE    the pid of the engine, which the caller has started

import { PHONE, REAL, becomes, call, content, headline, ok, open, send, shown }
    from './harness.mjs';

const { GRAPH_POLICY_PEER: PEER, GRAPH_POLICY_ENGINE: ENGINE } = process.env;

export async function test_fleet() {
    const here = (await call('GET', 'zones/z')).sync.node;
    const { sync: { node: there } } = await (await fetch(new URL('zones/z',
        PEER))).json();
    const page = await open(REAL);

    await becomes(shown(page, `2 hosts share this; this one is ${here}.`), 1,
        'how many hosts there are, and which this one is');
    ok(await send(PHONE, '400 133010', undefined, 'v25.0', PEER)
        === '400 passed', 'the other host learns a state');
    await becomes(headline(page), '1 phone is paused', 'this one shows it');
    await becomes(async () => (await page.locator('#lists tbody tr')
        .innerText()).replace(/\s/g, ' ').includes(`by host ${there} `), true,
        'and which host learnt it');

    await page.getByRole('button', { name: 'Stop sends by hand' }).click();
    await page.locator('#halting').getByLabel('Phone-number id').fill('2001');
    await page.locator('#halting').getByRole('button', { name: 'Go on' })
        .click();
    await becomes(shown(page, /It holds on all 2 hosts that share the zone\.$/),
        1, 'stopping by hand says that it holds on both');
    await page.locator('#ask').getByRole('button', { name: 'Stop these sends' })
        .click();
    await becomes(() => send('2001', '400 132000', undefined, 'v25.0', PEER),
        '400 blocked', 'and does');
    await becomes(async () => (await page.locator('#lists tbody tr').filter({
        hasText: 'Phone 2001' }).innerText()).replace(/\s/g, ' ').includes(
        `by this host, ${here} `), true, 'this host set that one');

    process.kill(Number(ENGINE), 'SIGKILL');
    await becomes(shown(page, new RegExp(`^Zone z: this host, ${here}, is alone`
        + '\\. It hasn\u2019t heard its own news for \\d+ s')), 1,
        'with the engine dead it says that it is alone');
    await becomes(headline(page), '2 phones are paused',
        'and goes on by itself');
    content(page, REAL);
    await page.context().close();
}
