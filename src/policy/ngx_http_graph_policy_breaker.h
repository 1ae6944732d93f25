
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_BREAKER_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_BREAKER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* all times are milliseconds of the wall clock, holds are milliseconds */

#define NGX_HTTP_GRAPH_POLICY_LEASE        30000      /* of a silent probe */
#define NGX_HTTP_GRAPH_POLICY_CONFIRM      10000      /* unless configured */
#define NGX_HTTP_GRAPH_POLICY_RETRY_HOLD   5000       /* after no outcome */
#define NGX_HTTP_GRAPH_POLICY_MEMORY       60000      /* of a cleared state */
#define NGX_HTTP_GRAPH_POLICY_ABANDONED    86400000   /* nobody probes */
#define NGX_HTTP_GRAPH_POLICY_COOLED       600000     /* likewise, temporary */

/* the end of a hold that has none: it is frozen until somebody ends it */
#define NGX_HTTP_GRAPH_POLICY_NEVER        253402300799000ULL


/*
 * A change is told to be the later one by its time, but not by a time that is
 * further ahead than this: the clock was stepped back since, and it counts as
 * long past.  Events bring times of Meta's clock.
 */
#define NGX_HTTP_GRAPH_POLICY_AHEAD        1000
#define NGX_HTTP_GRAPH_POLICY_AHEAD_EVENT  60000


/*
 * A lease is the right to probe a state.  One request has it at a time, and the
 * credential whose answer has set the state may have another beside: slot 1 is
 * for that one alone, slot 0 for all others.
 *
 * A state that a webhook has set knows no such credential.  What a probe of it
 * has sent may be accepted first and fail later, so the lease stays until a
 * status of that very message tells.  Its fingerprint then lies in the place of
 * the tokens, and its deadline in slot 0.
 *
 * A deadline is the lower half of its time.  One that is further ahead than a
 * lease can reach is over: the clock was stepped back since.
 */

typedef struct {
    union {
        uint32_t  tokens[2];        /* 0: nobody has it */
        uint64_t  message;
    } holder;
    uint32_t      until[2];         /* it is void from here on */
} ngx_http_graph_policy_leases_t;


typedef struct {
    uint64_t      since;            /* first set; kept while it continues */
    uint64_t      until;            /* armed: blocks before, cleared: known */

    /*
     * The time of the last set, re-arming or clearing; if that was an event's,
     * the time of its cause.  Each of these raises it, so that the later of two
     * changes can be told, whatever the clock says.
     */
    uint64_t      changed;

    ngx_http_graph_policy_leases_t  leases;
    uint32_t      hold;             /* without its jitter */
    uint32_t      max;
    uint32_t      confirm;          /* how long a status is waited for */
    uint16_t      holds;            /* how often it was armed in a row; it
                                       stays at the largest number */
    unsigned      armed:1;
    unsigned      confirming:1;     /* the lease waits for a status */
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
    NGX_HTTP_GRAPH_POLICY_FREED,        /* the probe told nothing */
    NGX_HTTP_GRAPH_POLICY_EVICTED,
    NGX_HTTP_GRAPH_POLICY_AWAITED,      /* accepted, to be confirmed */
    NGX_HTTP_GRAPH_POLICY_NTRANSITIONS
} ngx_http_graph_policy_transition_e;


typedef enum {
    NGX_HTTP_GRAPH_POLICY_SUCCESS = 0,
    NGX_HTTP_GRAPH_POLICY_FAILURE,      /* it sets this very state again */
    NGX_HTTP_GRAPH_POLICY_INCONCLUSIVE, /* the next probe is in a while */
    NGX_HTTP_GRAPH_POLICY_NO_PROBE,     /* it says nothing of this state, and
                                           the next one probes at once */
    NGX_HTTP_GRAPH_POLICY_UNCONFIRMED   /* accepted, a status has to come */
} ngx_http_graph_policy_probe_outcome_e;


/* A request meets the states as one of these. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_READ = 0, /* passes once a state is due */
    NGX_HTTP_GRAPH_POLICY_SEND,     /* probes credentials */
    NGX_HTTP_GRAPH_POLICY_MESSAGE   /* probes all */
} ngx_http_graph_policy_kind_e;


/* A request asks whether it may pass. */

typedef struct {
    uint64_t      credential;       /* 0: none, so that it can't probe */
    uint32_t      lease;            /* the token that it has already, or 0 */
    ngx_http_graph_policy_kind_e  kind;
    unsigned      may_probe:1;      /* its target is plain, its body there */
} ngx_http_graph_policy_asker_t;


/* A state lets itself be probed under these terms. */

typedef struct {
    uint64_t      setter;           /* the credential whose answer has set it
                                       for everyone, 0: none has */
    unsigned      needs_message:1;  /* only a message can prove it over */
    unsigned      lenient:1;        /* once due, it lets pass a SEND that can't
                                       probe it: Graph's wait is over */
} ngx_http_graph_policy_terms_t;


/* A failure is to set or re-arm a state. */

typedef struct {
    uint64_t      sent;             /* when what failed left; of an event, the
                                       start of the second that it names */
    uint64_t      now;
    uint32_t      lease;            /* the failing probe's, or 0 */
    uint32_t      hold;             /* temporary: the wait */
    uint32_t      max;              /* the hold grows up to it */
    uint32_t      confirm;
    uint32_t      random;           /* for the jitter of a fatal one */
    unsigned      fatal:1;          /* or temporary */
    unsigned      was_fatal:1;      /* the state is, or was at its end */
    unsigned      grows:1;          /* temporary: four times with each */
    unsigned      event:1;          /* told by a webhook, not an answer */
} ngx_http_graph_policy_trip_t;


/* The states that cover a request are weighed together; zeroed at first. */

typedef struct {
    uint64_t      end;              /* until when the shown one blocks */
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
    NGX_HTTP_GRAPH_POLICY_BY_EVENT,     /* likewise, set by no answer */
    NGX_HTTP_GRAPH_POLICY_CONFIRMING,   /* by when a status has to come */

    /* the same of those that are bound to a credential */
    NGX_HTTP_GRAPH_POLICY_BOUND_IDLE,
    NGX_HTTP_GRAPH_POLICY_BOUND_COOLING,
    NGX_HTTP_GRAPH_POLICY_BOUND_ARMED,
    NGX_HTTP_GRAPH_POLICY_NORDERS
} ngx_http_graph_policy_order_e;


/* A full zone makes room by what has the lowest rank in it. */

typedef enum {
    NGX_HTTP_GRAPH_POLICY_LEAVES_BOUND = 0,     /* due or over, and bound */
    NGX_HTTP_GRAPH_POLICY_LEAVES_CONVERSATION,
    NGX_HTTP_GRAPH_POLICY_LEAVES_COOLING,
    NGX_HTTP_GRAPH_POLICY_LEAVES_LINK,          /* a phone's to its account */
    NGX_HTTP_GRAPH_POLICY_LEAVES_IDLE,
    NGX_HTTP_GRAPH_POLICY_LEAVES_DUE,           /* set by an answer */
    NGX_HTTP_GRAPH_POLICY_LEAVES_DUE_BY_EVENT,  /* set by a webhook, the API */
    NGX_HTTP_GRAPH_POLICY_LEAVES_ARMED,         /* likewise, not due */
    NGX_HTTP_GRAPH_POLICY_LEAVES_BY_EVENT,
    NGX_HTTP_GRAPH_POLICY_LEAVES_NEVER          /* there is nothing */
} ngx_http_graph_policy_rank_e;


/*
 * The functions change nothing but the structure.  A zeroed one is closed.
 * "random" is any number; a hold gets up to a tenth of it on top.
 */

ngx_http_graph_policy_position_e ngx_http_graph_policy_breaker_position(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/*
 * The time until which it blocks, or is remembered, leases apart.  A clock that
 * was stepped back prolongs nothing: what is further ahead than its hold can
 * reach is over now.
 */
uint64_t ngx_http_graph_policy_breaker_until(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/* Likewise the end of the lease that lasts longest, "now" if there is none. */
uint64_t ngx_http_graph_policy_breaker_leased_until(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/* Gives the probe to "token", never 0, for NGX_HTTP_GRAPH_POLICY_LEASE. */
void ngx_http_graph_policy_breaker_lease(ngx_http_graph_policy_breaker_t *b,
    uint32_t token, ngx_http_graph_policy_terms_t *terms,
    ngx_http_graph_policy_asker_t *asker, uint64_t now);

/* Prolongs the lease of "token", if it still has one. */
void ngx_http_graph_policy_breaker_renew(ngx_http_graph_policy_breaker_t *b,
    uint32_t token, uint64_t now);

/*
 * Returns the time until which it blocks: the end of its hold or, where that is
 * over, of a probe's lease.
 */
uint64_t ngx_http_graph_policy_breaker_blocked_until(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/*
 * Says what it does with the asker now: OPEN blocks, DUE lets it probe, CLOSED
 * lets it pass without.  A parked request goes on with the lease that it has.
 */
ngx_http_graph_policy_position_e ngx_http_graph_policy_breaker_ask(
    ngx_http_graph_policy_breaker_t *b, ngx_http_graph_policy_terms_t *terms,
    ngx_http_graph_policy_asker_t *asker, uint64_t now);

/* Says whether the asker may be the probe of a state, leases apart. */
ngx_uint_t ngx_http_graph_policy_breaker_may_probe(
    ngx_http_graph_policy_terms_t *terms,
    ngx_http_graph_policy_asker_t *asker);

/*
 * Puts one that blocks until "end" on the scales.  Returns 1 if it is the one
 * to be shown so far: that with the latest end, in force before dry run.
 */
ngx_uint_t ngx_http_graph_policy_breaker_weigh(
    ngx_http_graph_policy_scales_t *scales, uint64_t end, ngx_uint_t dry_run);

/* Decides on the asker, who passes only if each of them says so. */
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
 * A failure sets its state, re-arms it, or continues one that is remembered:
 * SET, REARMED, or NOTHING.  A temporary one never replaces a fatal one that is
 * armed or remembered.  A fatal one replaces a temporary one, with a hold of
 * its own.  An event that has been told before, or is older than the last
 * change, changes nothing.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_fail(
    ngx_http_graph_policy_breaker_t *b, ngx_http_graph_policy_trip_t *trip);

/*
 * A fatal failure that no probe found, of a request sent at "sent".  SET: it
 * was closed.  REARMED: it was closed lately, or armed and due: since is kept
 * and the hold doubled, up to max.  NOTHING: it blocks already, a probe is on
 * its way, or the request is older than the last change.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_trip(
    ngx_http_graph_policy_breaker_t *b, uint64_t sent, uint64_t now,
    uint32_t hold, uint32_t max, uint32_t random);

/*
 * A temporary failure of a request sent at "sent", or of the probe "token",
 * after which Graph wants "wait" milliseconds.  SET, REARMED, or NOTHING as
 * above; "holds" counts the failures in a row.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_cool(
    ngx_http_graph_policy_breaker_t *b, uint32_t token, uint64_t sent,
    uint64_t now, uint32_t wait);

/*
 * The probe "token" is back: CLEARED, REARMED, FREED, or AWAITED, which keeps
 * the lease for a status of "message"; NOTHING if it has the lease no more, as
 * the state has changed meanwhile.  Each of two probes counts by itself.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_settle(
    ngx_http_graph_policy_breaker_t *b, uint32_t token, uint64_t message,
    ngx_http_graph_policy_probe_outcome_e outcome, uint64_t now,
    uint32_t random);

/*
 * A success that no probe found: CLEARED if it was sent after the last set or,
 * where its "message", not 0, has to be confirmed, AWAITED.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_clear(
    ngx_http_graph_policy_breaker_t *b, uint64_t message, uint64_t sent,
    uint64_t now);

/*
 * A status of "message" says SUCCESS, FAILURE or INCONCLUSIVE: as of a probe,
 * or NOTHING if it isn't the one that is waited for.
 */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_confirm(
    ngx_http_graph_policy_breaker_t *b, uint64_t message,
    ngx_http_graph_policy_probe_outcome_e outcome, uint64_t now,
    uint32_t random);

/* Armed by hand, whatever it was: SET or, if it was armed, REARMED. */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_put(
    ngx_http_graph_policy_breaker_t *b, uint64_t now, uint32_t hold,
    uint32_t max, ngx_uint_t frozen);

/* Ended by hand; CLEARED, or NOTHING if it wasn't armed. */
ngx_http_graph_policy_transition_e ngx_http_graph_policy_breaker_end(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/*
 * The cause may be cured: the next send is the probe, whoever has the lease.
 * Returns 1 if it wasn't due before.
 */
ngx_uint_t ngx_http_graph_policy_breaker_make_due(
    ngx_http_graph_policy_breaker_t *b, uint64_t now);

/*
 * A signed event says that the cause was gone at "when", which is remembered.
 * Returns 1 if that counts, and the state is then not armed: it isn't older, to
 * the second, than the last change, and the state isn't frozen.
 */
ngx_uint_t ngx_http_graph_policy_breaker_resolve(
    ngx_http_graph_policy_breaker_t *b, uint64_t when, uint64_t now);

/*
 * Says in which order it is kept; "by_event" is one that a webhook or the API
 * has set, "bound" one that covers a single credential.
 */
ngx_http_graph_policy_order_e ngx_http_graph_policy_breaker_order(
    ngx_http_graph_policy_breaker_t *b, ngx_uint_t temporary,
    ngx_uint_t by_event, ngx_uint_t bound);

/*
 * Returns the time that it is sorted by in there: its end or, where it isn't
 * armed, the end of its memory, which lasts for "memory" after the last change
 * at least; where it waits for a status, the end of that.
 */
uint64_t ngx_http_graph_policy_breaker_order_key(
    ngx_http_graph_policy_breaker_t *b, uint32_t memory, uint64_t now);

/*
 * Says whether it is to be forgotten, as nobody has probed it for long; of one
 * in CONFIRMING, whether it is to be cleared.
 */
ngx_uint_t ngx_http_graph_policy_breaker_is_over(
    ngx_http_graph_policy_order_e order, uint64_t key, uint64_t now);

/*
 * Its place among those that leave a full zone, the lowest of which leaves; of
 * two with the same one it's the one with the sooner end.
 */
ngx_http_graph_policy_rank_e ngx_http_graph_policy_breaker_rank(
    ngx_http_graph_policy_order_e order, uint64_t until, uint64_t now);


#endif /* _NGX_HTTP_GRAPH_POLICY_BREAKER_H_INCLUDED_ */
