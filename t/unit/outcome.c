
/*
 * Copyright (C) the graph_policy authors
 */


/*
 * Tests of what an error brings about: whether it sets a state, for how long
 * and for whom, and what it says of the state that its request probed.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_http_graph_policy_outcome.h"
#include "tap.h"


#define FATAL         NGX_HTTP_GRAPH_POLICY_FATAL
#define TEMPORARY     NGX_HTTP_GRAPH_POLICY_TEMPORARY
#define CONTEXT       NGX_HTTP_GRAPH_POLICY_CONTEXT
#define REQUEST       NGX_HTTP_GRAPH_POLICY_REQUEST
#define UNCLASSIFIED  NGX_HTTP_GRAPH_POLICY_UNCLASSIFIED
#define IGNORE        NGX_HTTP_GRAPH_POLICY_IGNORE

#define BY_CREDENTIAL    NGX_HTTP_GRAPH_POLICY_SCOPE_CREDENTIAL
#define BY_ACCOUNT       NGX_HTTP_GRAPH_POLICY_SCOPE_ACCOUNT
#define BY_PHONE         NGX_HTTP_GRAPH_POLICY_SCOPE_PHONE
#define BY_CONVERSATION  NGX_HTTP_GRAPH_POLICY_SCOPE_CONVERSATION
#define BY_REQUEST       NGX_HTTP_GRAPH_POLICY_SCOPE_REQUEST

#define CREDENTIAL    NGX_HTTP_GRAPH_POLICY_KEY_CREDENTIAL
#define ACCOUNT       NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT
#define ONE_PHONE     NGX_HTTP_GRAPH_POLICY_KEY_ACCOUNT_PHONE
#define PHONE         NGX_HTTP_GRAPH_POLICY_KEY_PHONE
#define CONVERSATION  NGX_HTTP_GRAPH_POLICY_KEY_CONVERSATION
#define LIMITED       NGX_HTTP_GRAPH_POLICY_KEY_LIMITED

#define ANSWER        NGX_HTTP_GRAPH_POLICY_SOURCE_ANSWER
#define WEBHOOK       NGX_HTTP_GRAPH_POLICY_SOURCE_WEBHOOK

#define SUCCESS       NGX_HTTP_GRAPH_POLICY_SUCCESS
#define FAILURE       NGX_HTTP_GRAPH_POLICY_FAILURE
#define INCONCLUSIVE  NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE
#define NO_PROBE      NGX_HTTP_GRAPH_POLICY_NO_PROBE
#define UNCONFIRMED   NGX_HTTP_GRAPH_POLICY_UNCONFIRMED

#define ACCEPTED        NGX_HTTP_GRAPH_POLICY_PROOF_ACCEPTED
#define TOKEN_WORKS     NGX_HTTP_GRAPH_POLICY_PROOF_CREDENTIAL
#define PROVES_NOTHING  NGX_HTTP_GRAPH_POLICY_PROOF_NOTHING
#define NO_ANSWER       NGX_HTTP_GRAPH_POLICY_PROOF_NONE
#define LEFT            NGX_HTTP_GRAPH_POLICY_PROOF_LEFT
#define ERROR           NGX_HTTP_GRAPH_POLICY_PROOF_ERROR

#define BILLING       NGX_HTTP_GRAPH_POLICY_BILLING
#define OTHER         NGX_HTTP_GRAPH_POLICY_OTHER

#define DAY           86400000

#define outcome_of(...)  ngx_http_graph_policy_outcome(__VA_ARGS__)
#define of_request(...)  ngx_http_graph_policy_outcome_of_request(__VA_ARGS__)
#define of_probe(...)    ngx_http_graph_policy_outcome_of_probe(__VA_ARGS__)
#define of_status(...)   ngx_http_graph_policy_outcome_of_status(__VA_ARGS__)
#define terms_of(...)    ngx_http_graph_policy_outcome_terms(__VA_ARGS__)
#define covered_by(...)  ngx_http_graph_policy_outcome_covered(__VA_ARGS__)


typedef ngx_http_graph_policy_verdict_t  verdict_t;
typedef ngx_http_graph_policy_limits_t   limits_t;
typedef ngx_http_graph_policy_outcome_t  outcome_t;
typedef ngx_http_graph_policy_asked_t    asked_t;
typedef ngx_http_graph_policy_known_t    known_t;
typedef ngx_http_graph_policy_covered_t  covered_t;
typedef ngx_http_graph_policy_probed_t   probed_t;
typedef ngx_http_graph_policy_terms_t    terms_t;


/* a location that does all there is, with a hold of each kind of its own */

static limits_t
limits(void)
{
    limits_t  limits;

    limits.hold = 10000;
    limits.hold_max = 900000;
    limits.confirm = 10000;
    limits.conversation_hold = 700000;
    limits.cooldown = 1;

    return limits;
}


static verdict_t
verdict_of(ngx_uint_t category, ngx_uint_t scope)
{
    verdict_t  verdict;

    memset(&verdict, 0, sizeof(verdict_t));

    verdict.category = (uint8_t) category;
    verdict.scope = (uint8_t) scope;
    verdict.reason = BILLING;
    verdict.matched = 1;

    return verdict;
}


/* the hold, 0 if no state is set, in a location with those limits */

static uint32_t
hold(verdict_t *verdict, ngx_uint_t source, ngx_msec_t hint, limits_t *limits)
{
    ngx_uint_t  sets;
    outcome_t   outcome;

    sets = outcome_of(verdict, source, hint, limits, &outcome);

    is_int(sets, outcome.hold != 0, "what sets a state has a hold");

    return outcome.hold;
}


static void
test_fatal(void)
{
    limits_t   conf;
    outcome_t  outcome;
    verdict_t  verdict;

    conf = limits();
    verdict = verdict_of(FATAL, BY_ACCOUNT);

    is_int(outcome_of(&verdict, ANSWER, 99, &conf, &outcome), 1,
           "a fatal error sets a state");
    is_int(outcome.hold, 10000, "for the location's hold, whatever the hint");
    is_int(outcome.max, 900000, "up to its max");

    verdict.hold = 1000000;
    is_int(outcome_of(&verdict, WEBHOOK, 0, &conf, &outcome), 1,
           "so does one by webhook");
    is_int(outcome.hold, 1000000, "a rule's hold outranks the location's");
    is_int(outcome.max, 1000000, "and may be longer than its max");

    verdict.scope = BY_REQUEST;
    is_int(hold(&verdict, ANSWER, 0, &conf), 0,
           "what is the request's own sets none");

    /* only one call of Graph's brings it, and an event doesn't say which */

    verdict = verdict_of(FATAL, BY_ACCOUNT);
    verdict.messages = 1;
    is_int(hold(&verdict, ANSWER, 0, &conf), 10000, "one of messages");
    is_int(hold(&verdict, WEBHOOK, 0, &conf), 0, "isn't told by a webhook");
}


static void
test_temporary(void)
{
    limits_t   conf;
    outcome_t  outcome;
    verdict_t  verdict;

    conf = limits();
    verdict = verdict_of(TEMPORARY, BY_PHONE);

    is_int(hold(&verdict, ANSWER, 0, &conf), 0,
           "where nobody says how long, nobody waits");
    is_int(hold(&verdict, ANSWER, 3000, &conf), 3000, "the hint says it");

    verdict.wait = 60000;
    is_int(outcome_of(&verdict, ANSWER, 3000, &conf, &outcome), 1,
           "the row says it");
    is_int(outcome.hold, 60000, "the longer one counts");
    is_int(outcome.max, DAY, "and grows to a day at most");

    verdict.grows = 1;
    is_int(hold(&verdict, ANSWER, 0, &conf), 60000, "the first of a row");
    is_int(hold(&verdict, ANSWER, (ngx_msec_t) DAY + 1, &conf), DAY,
           "no longer than a day");

    is_int(hold(&verdict, WEBHOOK, 0, &conf), 0,
           "an event says nothing of the present");

    conf.cooldown = 0;
    is_int(hold(&verdict, ANSWER, 3000, &conf), 0, "without cool-down none");
}


static void
test_context(void)
{
    limits_t   conf;
    verdict_t  verdict;

    conf = limits();
    verdict = verdict_of(CONTEXT, BY_CONVERSATION);

    is_int(hold(&verdict, ANSWER, 0, &conf), 700000, "the zone's hold");
    is_int(hold(&verdict, WEBHOOK, 0, &conf), 700000, "by webhook, too");
    verdict.hold = 5000;
    is_int(hold(&verdict, ANSWER, 0, &conf), 5000, "or the rule's");

    conf.conversation_hold = 0;
    is_int(hold(&verdict, ANSWER, 0, &conf), 0, "where no location gates none");

    conf = limits();
    verdict.scope = BY_PHONE;
    is_int(hold(&verdict, ANSWER, 0, &conf), 0,
           "nor where it isn't the conversation's");
}


static void
test_others(void)
{
    size_t     i;
    limits_t   conf;
    verdict_t  verdict;

    static const uint8_t  categories[] = { REQUEST, UNCLASSIFIED, IGNORE };

    conf = limits();

    for (i = 0; i < sizeof(categories); i++) {
        verdict = verdict_of(categories[i], BY_PHONE);
        verdict.wait = 1000;
        verdict.hold = 1000;
        is_int(hold(&verdict, ANSWER, 1000, &conf), 0,
               "category %d sets none", (int) categories[i]);
    }
}


static void
test_request(void)
{
    asked_t    asked;
    verdict_t  verdict;

    memset(&asked, 0, sizeof(asked_t));
    verdict = verdict_of(FATAL, BY_ACCOUNT);

    is_int(of_request(&verdict, &asked), 0, "what isn't a send sets none");

    asked.send = 1;
    is_int(of_request(&verdict, &asked), 1, "an upload sets fatal ones");
    verdict.category = CONTEXT;
    is_int(of_request(&verdict, &asked), 0, "but limits no conversation");
    asked.message = 1;
    is_int(of_request(&verdict, &asked), 1, "as a message does");

    verdict.category = FATAL;
    verdict.messages = 1;
    is_int(of_request(&verdict, &asked), 0, "what \"messages\" alone can say");
    asked.messages = 1;
    is_int(of_request(&verdict, &asked), 1, "it says");
}


static void
test_covered(void)
{
    size_t      i;
    known_t     known;
    covered_t   covered;
    verdict_t   verdict;
    ngx_uint_t  bits;

    /* bits of what is known: credential, account, phone, recipient */

    static const struct {
        ngx_uint_t   category, scope, bound, source, known;
        int          kind, to_credential;       /* kind -1: none */
    } cases[] = {
        { FATAL, BY_CREDENTIAL, 0, ANSWER, 1, CREDENTIAL, 1 },
        { FATAL, BY_CREDENTIAL, 1, ANSWER, 15, CREDENTIAL, 1 },
        { FATAL, BY_CREDENTIAL, 0, ANSWER, 14, -1, 0 },
        { FATAL, BY_CREDENTIAL, 1, WEBHOOK, 6, ACCOUNT, 0 },
        { FATAL, BY_CREDENTIAL, 0, WEBHOOK, 4, ONE_PHONE, 0 },
        { FATAL, BY_CREDENTIAL, 0, WEBHOOK, 0, -1, 0 },
        { FATAL, BY_ACCOUNT, 0, ANSWER, 7, ACCOUNT, 0 },
        { FATAL, BY_ACCOUNT, 0, ANSWER, 5, ONE_PHONE, 0 },
        { FATAL, BY_ACCOUNT, 0, ANSWER, 1, -1, 0 },
        { FATAL, BY_ACCOUNT, 0, ANSWER, 6, -1, 0 },
        { FATAL, BY_ACCOUNT, 1, ANSWER, 7, ACCOUNT, 1 },
        { FATAL, BY_ACCOUNT, 1, ANSWER, 5, ONE_PHONE, 1 },
        { FATAL, BY_ACCOUNT, 1, WEBHOOK, 2, ACCOUNT, 0 },
        { FATAL, BY_PHONE, 0, ANSWER, 5, PHONE, 0 },
        { FATAL, BY_PHONE, 1, ANSWER, 5, PHONE, 1 },
        { FATAL, BY_PHONE, 0, ANSWER, 3, -1, 0 },
        { FATAL, BY_PHONE, 0, WEBHOOK, 4, PHONE, 0 },
        { TEMPORARY, BY_CONVERSATION, 0, ANSWER, 13, CONVERSATION, 0 },
        { TEMPORARY, BY_CONVERSATION, 1, ANSWER, 13, CONVERSATION, 1 },
        { TEMPORARY, BY_CONVERSATION, 0, ANSWER, 7, -1, 0 },
        { TEMPORARY, BY_CONVERSATION, 0, ANSWER, 14, -1, 0 },
        { CONTEXT, BY_CONVERSATION, 0, ANSWER, 13, LIMITED, 0 },
        { CONTEXT, BY_CONVERSATION, 1, ANSWER, 13, LIMITED, 0 },
        { CONTEXT, BY_CONVERSATION, 0, ANSWER, 12, -1, 0 },
        { CONTEXT, BY_CONVERSATION, 0, ANSWER, 5, -1, 0 },
        { CONTEXT, BY_CONVERSATION, 0, WEBHOOK, 12, LIMITED, 0 },
        { CONTEXT, BY_CONVERSATION, 0, WEBHOOK, 4, -1, 0 },
        { FATAL, BY_REQUEST, 0, ANSWER, 15, -1, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        verdict = verdict_of(cases[i].category, cases[i].scope);
        verdict.bound = (cases[i].bound != 0);

        bits = cases[i].known;
        known.credential = (bits & 1) != 0;
        known.account = (bits & 2) != 0;
        known.phone = (bits & 4) != 0;
        known.recipient = (bits & 8) != 0;

        if (cases[i].kind == -1) {
            is_int(covered_by(&verdict, cases[i].source, &known, &covered),
                   NGX_DECLINED, "case %zu covers nobody", i);
            continue;
        }

        is_int(covered_by(&verdict, cases[i].source, &known, &covered),
               NGX_OK, "case %zu covers somebody", i);
        is_int(covered.kind, cases[i].kind, "whom it should");
        is_int(covered.bound, cases[i].to_credential,
               "with that credential alone or not");
    }
}


/* docs/decisions.md has these rows as a table */

static void
test_probe(void)
{
    size_t     i, k;
    probed_t   probed;
    verdict_t  verdict;

    static const struct {
        ngx_http_graph_policy_proof_e          proof;
        int                                    category, bound, same;
        ngx_http_graph_policy_probe_outcome_e  credential, others;
        const char                            *name;
    } rows[] = {
        { ACCEPTED, 0, 0, 0, SUCCESS, SUCCESS, "an accepted message" },
        { TOKEN_WORKS, 0, 0, 0, SUCCESS, INCONCLUSIVE,
          "another proof of the token" },
        { PROVES_NOTHING, 0, 0, 0, INCONCLUSIVE, INCONCLUSIVE,
          "a 2xx that proves nothing" },
        { NO_ANSWER, 0, 0, 0, INCONCLUSIVE, INCONCLUSIVE, "no answer" },
        { LEFT, 0, 0, 0, NO_PROBE, NO_PROBE, "a client that left before" },
        { ERROR, FATAL, 0, 1, FAILURE, FAILURE, "an error that sets it" },
        { ERROR, FATAL, 1, 1, FAILURE, FAILURE,
          "an error that sets it, of this token" },
        { ERROR, FATAL, 0, 0, SUCCESS, INCONCLUSIVE, "another fatal one" },
        { ERROR, FATAL, 1, 0, SUCCESS, NO_PROBE, "a token's" },
        { ERROR, TEMPORARY, 0, 0, SUCCESS, INCONCLUSIVE, "a temporary one" },
        { ERROR, TEMPORARY, 0, 1, SUCCESS, INCONCLUSIVE,
          "a temporary one of the same reason" },
        { ERROR, CONTEXT, 0, 0, SUCCESS, INCONCLUSIVE, "a conversation's" },
        { ERROR, REQUEST, 0, 0, SUCCESS, NO_PROBE, "the request's own" },
        { ERROR, UNCLASSIFIED, 0, 0, INCONCLUSIVE, INCONCLUSIVE,
          "what can't be classified" },
        { ERROR, IGNORE, 0, 0, INCONCLUSIVE, INCONCLUSIVE, "what is ignored" }
    };

    static const ngx_http_graph_policy_key_e  others[] = {
        ACCOUNT, ONE_PHONE, PHONE, CONVERSATION
    };

    memset(&probed, 0, sizeof(probed_t));
    probed.fatal = 1;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        verdict = verdict_of(rows[i].category, BY_PHONE);
        verdict.bound = (rows[i].bound != 0);
        probed.same = (rows[i].same != 0);
        probed.kind = CREDENTIAL;

        is_int(of_probe(rows[i].proof, &verdict, &probed), rows[i].credential,
               "%s: of a token", rows[i].name);

        for (k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
            probed.kind = others[k];
            is_int(of_probe(rows[i].proof, &verdict, &probed), rows[i].others,
                   "%s: of kind %d", rows[i].name, (int) others[k]);
        }
    }

    verdict = verdict_of(FATAL, BY_PHONE);
    verdict.matched = 0;
    is_int(of_probe(ERROR, &verdict, &probed), INCONCLUSIVE,
           "what no row knows says nothing");

    verdict = verdict_of(FATAL, BY_PHONE);
    probed.same = 1;
    probed.fatal = 0;
    is_int(of_probe(ERROR, &verdict, &probed), INCONCLUSIVE,
           "a fatal error doesn't double a wait");

    probed.fatal = 1;
    probed.confirmed = 1;
    is_int(of_probe(ACCEPTED, NULL, &probed), UNCONFIRMED,
           "where a status has to come, accepted is not yet over");
    is_int(of_probe(TOKEN_WORKS, NULL, &probed), INCONCLUSIVE,
           "and less than that is no more than elsewhere");
}


static void
test_status(void)
{
    verdict_t  verdict;

    is_int(of_status(NULL, BILLING), SUCCESS, "sent, delivered or read");

    verdict = verdict_of(FATAL, BY_PHONE);
    is_int(of_status(&verdict, BILLING), FAILURE, "failed, the same reason");
    is_int(of_status(&verdict, OTHER), INCONCLUSIVE, "failed for another");

    verdict.category = TEMPORARY;
    is_int(of_status(&verdict, BILLING), INCONCLUSIVE,
           "the same reason, temporary");
    verdict = verdict_of(FATAL, BY_PHONE);
    verdict.matched = 0;
    is_int(of_status(&verdict, BILLING), INCONCLUSIVE,
           "failed with what no row knows");
}


static void
test_terms(void)
{
    size_t   i;
    terms_t  terms;

    static const ngx_uint_t  kinds[] = {
        ACCOUNT, ONE_PHONE, PHONE, CONVERSATION
    };

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        terms_of(FATAL, kinds[i], 7, &terms);
        is_int(terms.needs_message, 1, "a state of kind %d needs a message",
               (int) kinds[i]);
        is_int(terms.lenient, 0, "and lets nothing else pass");
        is_int(terms.setter, 7, "but knows who has set it");

        terms_of(TEMPORARY, kinds[i], 7, &terms);
        is_int(terms.needs_message, 1, "a temporary one needs a message, too");
        is_int(terms.lenient, 1, "but lets pass what isn't one");
        is_int(terms.setter, 0, "and is probed by one alone");
    }

    terms_of(FATAL, CREDENTIAL, 0, &terms);
    is_int(terms.needs_message, 0, "a token needs any send");
}


int
main(void)
{
    test_fatal();
    test_temporary();
    test_context();
    test_others();
    test_request();
    test_covered();
    test_probe();
    test_status();
    test_terms();

    return tap_done();
}
