
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_BREAKER_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_BREAKER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* All times are milliseconds of the wall clock, holds are milliseconds. */

#define NGX_HTTP_GRAPH_POLICY_LEASE        30000      /* a silent probe's */
#define NGX_HTTP_GRAPH_POLICY_CONFIRM      10000      /* default */
#define NGX_HTTP_GRAPH_POLICY_RETRY_HOLD   5000       /* after INCONCLUSIVE */
#define NGX_HTTP_GRAPH_POLICY_MEMORY       60000      /* a cleared state's */
#define NGX_HTTP_GRAPH_POLICY_ABANDONED    86400000   /* fatal, not probed */
#define NGX_HTTP_GRAPH_POLICY_FROZEN       90000000   /* a frozen one's end is
                                                         remembered */
#define NGX_HTTP_GRAPH_POLICY_COOLED       600000     /* temporary, unprobed */

/* the end of a frozen hold, which lasts until somebody ends it by hand */
#define NGX_HTTP_GRAPH_POLICY_NEVER        253402300799000ULL


/*
 * The later of two changes is found by their times.  A time that is further
 * ahead of the clock than AHEAD counts as long past, as the clock was stepped
 * back since.  A worker reads the clock once for all events that it handles in
 * a row, so what others have just written is often ahead of it by a little.
 * Events bring times of Meta's clock, so AHEAD_EVENT is longer.
 */
#define NGX_HTTP_GRAPH_POLICY_AHEAD        1000
#define NGX_HTTP_GRAPH_POLICY_AHEAD_EVENT  60000


/*
 * A lease is the right to probe a state.  One request has it at a time, and the
 * credential whose answer has set the state may have a second one: slot 1 is
 * for that credential alone, slot 0 for all others.
 *
 * A state that a webhook has set knows no such credential.  The message of its
 * probe may be accepted first and fail later, so the lease stays until a status
 * of that message comes.  The message's fingerprint is then stored in place of
 * the tokens, and the end of the wait in until[0].
 *
 * "until" has the lower 32 bits of a time.  A time that is further ahead than a
 * lease can last, by more than AHEAD, is over, as the clock was stepped back
 * since.
 */

typedef struct {
    union {
        uint32_t  tokens[2];        /* 0: nobody has it */
        uint64_t  message;
    } holder;
    uint32_t      until[2];         /* the lease ends then */
} ngx_http_graph_policy_leases_t;


typedef struct {
    uint64_t      since;            /* first set; kept while it continues */
    uint64_t      until;            /* end: armed, of the hold; cleared, of
                                       its memory */

    /*
     * The time of the last set, re-arming or clearing; if an event caused that,
     * the time of the event's cause.  Each change raises it, so that the later
     * of two changes is known even if the clock was stepped back.
     */
    uint64_t      changed;

    ngx_http_graph_policy_leases_t  leases;
    uint32_t      hold;             /* without its jitter */
    uint32_t      max;
    uint32_t      confirm;          /* the wait for a status */
    uint16_t      holds;            /* times that it was armed in a row; it
                                       stays at the largest number */
    unsigned      armed:1;
    unsigned      confirming:1;     /* the lease waits for a status */
    unsigned      was_frozen:1;     /* it is, or was */
    unsigned      moved:1;          /* "until" isn't the hold's end: a probe
                                       told nothing, or it was made due */
} ngx_http_graph_policy_breaker_t;


typedef enum {
    NGX_HTTP_GRAPH_POLICY_CLOSED = 0,   /* lets pass */
    NGX_HTTP_GRAPH_POLICY_DUE,          /* lets one probe pass */
    NGX_HTTP_GRAPH_POLICY_OPEN          /* blocks */
} ngx_http_graph_policy_position_e;


typedef enum {
    NGX_HTTP_GRAPH_POLICY_NOTHING = 0,
    NGX_HTTP_GRAPH_POLICY_SET,
    NGX_HTTP_GRAPH_POLICY_REARMED,
    NGX_HTTP_GRAPH_POLICY_CLEARED,
    NGX_HTTP_GRAPH_POLICY_FREED,        /* lease given back */
    NGX_HTTP_GRAPH_POLICY_EVICTED,
    NGX_HTTP_GRAPH_POLICY_AWAITED,      /* accepted, to be confirmed */
    NGX_HTTP_GRAPH_POLICY_NTRANSITIONS
} ngx_http_graph_policy_transition_e;


typedef enum {
    NGX_HTTP_GRAPH_POLICY_SUCCESS = 0,
    NGX_HTTP_GRAPH_POLICY_FAILURE,      /* it sets this very state again */
    NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE, /* the next probe is in a while */
    NGX_HTTP_GRAPH_POLICY_NO_PROBE,     /* no probe of this state: another
                                           request may probe at once */
    NGX_HTTP_GRAPH_POLICY_UNCONFIRMED   /* accepted, a status has to come */
} ngx_http_graph_policy_probe_outcome_e;


/* The kind of a request decides which states it may probe. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_READ = 0, /* passes once a state is due */
    NGX_HTTP_GRAPH_POLICY_SEND,     /* probes credentials */
    NGX_HTTP_GRAPH_POLICY_MESSAGE   /* probes all */
} ngx_http_graph_policy_kind_e;


/* A request that asks if it may pass. */

typedef struct {
    uint64_t      credential;       /* 0: none, so that it can't probe */
    uint32_t      lease;            /* the token that it has already, or 0 */
    ngx_http_graph_policy_kind_e  kind;
    unsigned      may_probe:1;      /* target in normal form, body was read */
    unsigned      asks_again:1;     /* if a state is due that it could probe */
} ngx_http_graph_policy_asker_t;


/* The terms under which a state may be probed. */

typedef struct {
    uint64_t      setter;           /* the credential whose answer has set it
                                       for everyone, or 0 */
    unsigned      needs_message:1;  /* only a message can prove it over */
    unsigned      lenient:1;        /* once due, it lets pass a SEND that can't
                                       probe it: Graph's wait is over */
} ngx_http_graph_policy_terms_t;


/* A failure that may set or re-arm a state. */

typedef struct {
    uint64_t      sent;             /* the time of the request; an event's is
                                       the start of its second */
    uint64_t      now;
    uint32_t      lease;            /* the failing probe's, or 0 */
    uint32_t      hold;             /* temporary: the wait */
    uint32_t      max;              /* the hold grows up to it */
    uint32_t      confirm;
    uint32_t      random;           /* for the jitter of a fatal one */
    unsigned      fatal:1;          /* 0: temporary */
    unsigned      was_fatal:1;      /* the state is, or was at its end */
    unsigned      grows:1;          /* temporary: the wait grows */
    unsigned      event:1;          /* from a webhook, not an answer */
} ngx_http_graph_policy_trip_t;


/* The sum of all states that cover a request; zeroed at first. */

typedef struct {
    uint64_t      end;              /* the end of the state that is shown */
    unsigned      due:1;            /* a state waits for a probe */
    unsigned      blocked:1;        /* a state or a limit blocks */
    unsigned      dry_run:1;        /* all that block do so in dry run only */
} ngx_http_graph_policy_scales_t;


typedef enum {
    NGX_HTTP_GRAPH_POLICY_ADMIT_PASS = 0,
    NGX_HTTP_GRAPH_POLICY_ADMIT_PROBE,      /* takes the leases */
    NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK,
    NGX_HTTP_GRAPH_POLICY_ADMIT_DRY_RUN     /* only rules in dry run block */
} ngx_http_graph_policy_admission_e;


/*
 * The orders in which a zone keeps its states, each by the soonest end, as they
 * differ in when they leave.
 */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_IDLE = 0,     /* cleared, by the end of memory */
    NGX_HTTP_GRAPH_POLICY_COOLING,      /* temporary, by the end of the wait */
    NGX_HTTP_GRAPH_POLICY_ARMED,        /* fatal, by the end of the hold */
    NGX_HTTP_GRAPH_POLICY_BY_EVENT,     /* fatal, not of an answer */
    NGX_HTTP_GRAPH_POLICY_CONFIRMING,   /* by the end of the wait */

    /* states that are bound to a credential */
    NGX_HTTP_GRAPH_POLICY_BOUND_IDLE,
    NGX_HTTP_GRAPH_POLICY_BOUND_COOLING,
    NGX_HTTP_GRAPH_POLICY_BOUND_ARMED,
    NGX_HTTP_GRAPH_POLICY_NORDERS
} ngx_http_graph_policy_order_e;


/* A full zone evicts the node that has the lowest rank in it. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_LEAVES_BOUND = 0,     /* due or over, and bound */
    NGX_HTTP_GRAPH_POLICY_LEAVES_CONVERSATION,
    NGX_HTTP_GRAPH_POLICY_LEAVES_COOLING,
    NGX_HTTP_GRAPH_POLICY_LEAVES_LINK,          /* a phone's to its account */
    NGX_HTTP_GRAPH_POLICY_LEAVES_IDLE,
    NGX_HTTP_GRAPH_POLICY_LEAVES_DUE,           /* set by an answer */
    NGX_HTTP_GRAPH_POLICY_LEAVES_DUE_BY_EVENT,  /* set by a webhook, the API */
    NGX_HTTP_GRAPH_POLICY_LEAVES_ARMED,         /* by an answer, not due */
    NGX_HTTP_GRAPH_POLICY_LEAVES_BY_EVENT,
    NGX_HTTP_GRAPH_POLICY_LEAVES_NEVER          /* no state is left */
} ngx_http_graph_policy_rank_e;


/*
 * The functions change nothing but the structure.  A zeroed structure is a
 * closed state.  "random" is any number; it prolongs a hold by up to a tenth.
 */

ngx_http_graph_policy_position_e ngx_http_graph_policy_breaker_position(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/*
 * Returns the time until which it blocks, or is remembered, without regard to
 * leases.  If the clock was stepped back, the end may be further ahead than the
 * hold can last, by more than AHEAD; the state is then over now.
 */
uint64_t ngx_http_graph_policy_breaker_until(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/* Returns the end of the lease that lasts longest, "now" if there is none. */
uint64_t ngx_http_graph_policy_breaker_leased_until(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/* Gives the probe to "token", never 0, for NGX_HTTP_GRAPH_POLICY_LEASE. */
void ngx_http_graph_policy_breaker_lease(ngx_http_graph_policy_breaker_t *b,
    uint32_t token, ngx_http_graph_policy_terms_t *terms,
    ngx_http_graph_policy_asker_t *asker, uint64_t now);

/* Prolongs the lease of "token", if "token" still has one. */
void ngx_http_graph_policy_breaker_renew(ngx_http_graph_policy_breaker_t *b,
    uint32_t token, uint64_t now);

/*
 * Returns the time until which it blocks: the end of its hold or, if that is
 * over, of a probe's lease.
 */
uint64_t ngx_http_graph_policy_breaker_blocked_until(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/*
 * Returns what the state does with the request now: OPEN blocks, DUE lets it
 * probe, CLOSED lets it pass without probing.  A parked request goes on with
 * the lease that it has.
 */
ngx_http_graph_policy_position_e ngx_http_graph_policy_breaker_ask(
    ngx_http_graph_policy_breaker_t *b, ngx_http_graph_policy_terms_t *terms,
    ngx_http_graph_policy_asker_t *asker, uint64_t now);

/* Returns 1 if the request may probe a state that has no lease. */
ngx_uint_t ngx_http_graph_policy_breaker_may_probe(
    ngx_http_graph_policy_terms_t *terms,
    ngx_http_graph_policy_asker_t *asker);

/*
 * Adds a state that blocks until "end".  Returns 1 if it is to be shown instead
 * of the earlier ones: the one with the latest end is, but a state in dry run
 * only if none is in force.
 */
ngx_uint_t ngx_http_graph_policy_breaker_weigh(
    ngx_http_graph_policy_scales_t *scales, uint64_t end, ngx_uint_t dry_run);

/* Decides on the request, which passes only if all states let it pass. */
static ngx_inline ngx_http_graph_policy_admission_e
ngx_http_graph_policy_breaker_admit(ngx_http_graph_policy_scales_t *scales)
{
    if (scales->blocked && !scales->dry_run) {
        return NGX_HTTP_GRAPH_POLICY_ADMIT_BLOCK;
    }

    if (scales->due) {
        return NGX_HTTP_GRAPH_POLICY_ADMIT_PROBE;
    }

    return scales->blocked ? NGX_HTTP_GRAPH_POLICY_ADMIT_DRY_RUN
                           : NGX_HTTP_GRAPH_POLICY_ADMIT_PASS;
}

/*
 * A failure sets its state, re-arms it, or continues one that is still
 * remembered.  Returns SET, REARMED, or NOTHING.  A temporary error never
 * replaces a fatal state that is armed or still remembered.  A fatal error
 * replaces a temporary state, and its hold starts anew.  An event that was
 * learnt before, or is older than the last change, changes nothing.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_fail(
    ngx_http_graph_policy_breaker_t *b, ngx_http_graph_policy_trip_t *trip);

/*
 * Learns a fatal failure of a request, not a probe, sent at "sent".  Returns
 * SET if the state was closed; REARMED if it was closed lately, or armed and
 * due: "since" is kept and the hold is doubled, up to "max"; NOTHING if it
 * blocks already, a probe is under way, or the request is older than the last
 * change.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_trip(
    ngx_http_graph_policy_breaker_t *b, uint64_t sent, uint64_t now,
    uint32_t hold, uint32_t max, uint32_t random);

/*
 * Learns a temporary failure of a request sent at "sent", or of the probe
 * "token", after which Graph asks to wait for "wait" milliseconds.  Returns the
 * same as breaker_trip(); "holds" counts the failures in a row.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_cool(
    ngx_http_graph_policy_breaker_t *b, uint32_t token, uint64_t sent,
    uint64_t now, uint32_t wait);

/*
 * Learns the outcome of the probe "token".  Returns CLEARED, REARMED, FREED, or
 * AWAITED, which keeps the lease for a status of "message"; NOTHING if the
 * probe has lost its lease, as the state has changed meanwhile.  If two probes
 * are under way, each ends only its own lease.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_settle(
    ngx_http_graph_policy_breaker_t *b, uint32_t token, uint64_t message,
    ngx_http_graph_policy_probe_outcome_e outcome, uint64_t now,
    uint32_t random);

/*
 * Learns a success of a request, not a probe, sent at "sent".  If that was
 * after the last change, returns CLEARED or, if "message" isn't 0 and has to be
 * confirmed, AWAITED; else NOTHING.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_clear(
    ngx_http_graph_policy_breaker_t *b, uint64_t message, uint64_t sent,
    uint64_t now);

/*
 * Learns the outcome that a status of "message" reports: SUCCESS, FAILURE or
 * INCONCLUSIVE.  Returns the same as breaker_settle(), or NOTHING if the state
 * doesn't wait for this message.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_confirm(
    ngx_http_graph_policy_breaker_t *b, uint64_t message,
    ngx_http_graph_policy_probe_outcome_e outcome, uint64_t now,
    uint32_t random);

/* Arms the state by hand; returns SET or, if it was armed, REARMED. */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_put(
    ngx_http_graph_policy_breaker_t *b, uint64_t now, uint32_t hold,
    uint32_t max, ngx_uint_t frozen);

/* Ends the state by hand; returns CLEARED, or NOTHING if it wasn't armed. */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_end(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/*
 * Returns 1 if the wait for the status of an accepted message is over, which
 * has ended the state though nobody has noticed yet.
 */
ngx_uint_t ngx_http_graph_policy_breaker_has_ended(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/*
 * Makes the state due, as its cause may be gone: the next send is the probe,
 * even if another request has the lease.  Returns 1 if that changes anything;
 * it is a change like others then, so that all hosts of a fleet end what leases
 * they gave away.
 */
ngx_uint_t ngx_http_graph_policy_breaker_make_due(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/*
 * Ends the state, as a signed event says that its cause was gone at "when",
 * which is remembered.  Returns 1 if so; 0 if the event is older, to the
 * second, than the last change, or the state is frozen.
 */
ngx_uint_t ngx_http_graph_policy_breaker_resolve(
    ngx_http_graph_policy_breaker_t *b, uint64_t when, uint64_t now);

/*
 * Returns the order that the state is kept in.  "by_event" is 1 if a webhook or
 * the API has set it, "bound" is 1 if it covers a single credential.
 */
ngx_http_graph_policy_order_e ngx_http_graph_policy_breaker_order(
    ngx_http_graph_policy_breaker_t *b, ngx_uint_t temporary,
    ngx_uint_t by_event, ngx_uint_t bound);

/*
 * 1 if it is kept in an order of states that await a status though it awaits
 * none, or in another order though it does.
 */
#define ngx_http_graph_policy_breaker_is_misplaced(b, order)                  \
    ((b)->confirming != ((order) == NGX_HTTP_GRAPH_POLICY_CONFIRMING))

/*
 * Returns the time that it is sorted by in its order: the end of its hold; if
 * it isn't armed, the end of its memory, which lasts for at least "memory"
 * after the last change; if it waits for a status, the end of that wait.
 */
uint64_t ngx_http_graph_policy_breaker_order_key(
    ngx_http_graph_policy_breaker_t *b, uint32_t memory, uint64_t now);

/*
 * Returns 1 if the state is to be forgotten, as nobody has probed it for long;
 * in CONFIRMING, 1 if it is to be cleared.
 */
ngx_uint_t ngx_http_graph_policy_breaker_is_over(
    ngx_http_graph_policy_order_e order, uint64_t key, uint64_t now);

/*
 * Returns the rank of the state among the nodes that leave a full zone.  The
 * lowest rank leaves first; within one rank, the soonest end does.
 */
ngx_http_graph_policy_rank_e ngx_http_graph_policy_breaker_rank(
    ngx_http_graph_policy_order_e order, uint64_t until, uint64_t now);


#endif /* _NGX_HTTP_GRAPH_POLICY_BREAKER_H_INCLUDED_ */
