// What the pictures show: an afternoon on which an account can't be billed, two
// phones have lost their connection, and Meta is slow for some minutes.  The
// figures come from a small generator with a fixed seed, so that each picture
// of it is the same.

export function scene(mock) {
    let seed = 20261125;
    const random = () => {
        seed = (seed * 1103515245 + 12345) % 2147483648;
        return seed / 2147483648;
    };
    const minutes = rate => Array.from({ length: 60 }, (_, i) =>
        Math.floor(rate(i) * (0.4 + 1.2 * random())));
    const bump = (at, width, height) => i =>
        height * Math.exp(-(((i - at) / width) ** 2));
    const plus = (...lists) => lists[0].map((_, i) =>
        lists.reduce((all, list) => all + list[i], 0));

    const reasons = {
        'billing': minutes(i => i > 46 ? 1.6 : 0),
        'phone-disconnected': minutes(i => i > 38 ? 1.5 : 0),
        'rate-limit': minutes(i => 1.2 + bump(55, 3, 4)(i)),
        'service-unavailable': minutes(bump(24, 4, 17)),
        'server-error': minutes(i => bump(25, 5, 5)(i) + 0.5),
        'window-expired': minutes(() => 3.1),
        'undeliverable': minutes(() => 1.3),
        'other': minutes(() => 2.2),
    };
    const blocked = minutes(i => i > 46 ? 14 : i > 38 ? 5 : 0);
    const tally = list => list.reduce((a, b) => a + b, 0);

    mock.zone('graph', {
        used: 2965504,
        links: 38,
        counters: {
            responses: { 'fatal': 143, 'temporary': 2210,
                'context-limited': 4871, 'request': 1934, 'unclassified': 3 },
            errors: {},
            blocked: { 'billing': 2981, 'phone-disconnected': 412 },
            dry_run_blocks: {},
            retries: { 'rate-limit': { accepted: 803, refused: 41 },
                'service-unavailable': { accepted: 1077, refused: 96 } },
            retries_denied: { budget: 62, deadline: 11, attempts: 96,
                unknown: 14, waiting: 0, quota: 0 },
            probes: { cleared: 31, rearmed: 88, inconclusive: 4 },
            webhook_events: { 'verified': 81342, 'unsigned': 2, 'forged': 0,
                'unread': 0, 'too-large': 0, 'foreign': 0, 'paused': 240 },
            evictions: 0, lost: 0, parked: 2,
        },
        history: { minutes: 60, until: mock.time(30), reasons, blocked,
            retries: minutes(i => 3 + bump(25, 4, 18)(i)),
            over_budget: minutes(bump(25, 2, 6)),
            categories: {
                'fatal': plus(reasons['billing'],
                    reasons['phone-disconnected']),
                'temporary': plus(reasons['rate-limit'],
                    reasons['service-unavailable'], reasons['server-error']),
                'context-limited': plus(reasons['window-expired'],
                    reasons['undeliverable']),
                'request': reasons['other'],
                'unclassified': minutes(() => 0.7),
            } },
    });

    mock.state('graph', 'billing', { scope: 'account', key: '102290129340398',
        since: mock.time(-13 * 60 - 8), until: mock.time(514), holds: 7,
        blocked: tally(blocked) - 96, trace: 'AFk3xWq2bTz8nVd0LmRcYh1',
        events: [{ time: mock.time(-13 * 60 - 8), event: 'set', code: 131042,
                   source: 'answer', hold: 10 },
            ...[-774, -750, -704, -619, -452, -126].flatMap((at, i) => [
                { time: mock.time(at - 0.4), event: 'probe' },
                { time: mock.time(at), event: 'rearmed', code: 131042,
                  source: 'answer', hold: 20 * 2 ** i }])] });
    mock.state('graph', 'phone-disconnected', { key: '106540352242922',
        since: mock.time(-21 * 60 - 40), until: mock.time(37), holds: 4,
        blocked: 71, trace: 'A7PmS0cVuJ4eRtKx9qWbD2f' });
    mock.state('graph', 'phone-disconnected', { key: '109361185504724',
        code: null, since: mock.time(-6 * 60 - 5), until: null, blocked: 25,
        source: 'api' });
    mock.state('graph', 'rate-limit', { key: '110884218457213', code: 130429,
        category: 'temporary', since: mock.time(-4), until: mock.time(9),
        blocked: 8 });

    for (let i = 0; i < 318; i++) {
        mock.state('graph', 'window-expired', { scope: 'conversation',
            key: null, category: 'context-limited',
            since: mock.time(-3 * i - 20), until: mock.time(900 - 2 * i),
            blocked: i % 3 });
    }
}
