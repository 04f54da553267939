/* SPDX-License-Identifier: MPL-2.0
 * One decision among the members of a view: single-decree Paxos (Lamport, "Paxos made simple", 2001), in which
 * every member is proposer, acceptor and learner. What is decided is the next view: bytes this module never
 * looks into. Ballots are (attempt, node), so two proposers never share one; a member promises each ballot
 * once, and a proposer adopts the value of the highest ballot that any promise names. A restarted process is
 * a new member of a later view: it must not be given an old one's place.
 * Pure: messages go in and come out as values, time is an argument. thread: one at a time.               */
#ifndef RK_CLUSTER_PAXOS_H
#define RK_CLUSTER_PAXOS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cluster/quorum.h"
#include "compute/error.h"

#define RK_PAXOS_NOBODY UINT32_MAX

typedef struct {
    uint64_t attempt; /* from 1; 0: no ballot */
    uint32_t node;
} rk_ballot_t;

static inline bool rk_ballot_above (rk_ballot_t a, rk_ballot_t b)
{
    return a.attempt != b.attempt ? a.attempt > b.attempt : a.node > b.node;
}

typedef enum {
    RK_PAXOS_PREPARE = 0, /* ballot */
    RK_PAXOS_PROMISE,     /* ballot; accepted and its value, if any */
    RK_PAXOS_ACCEPT,      /* ballot, value */
    RK_PAXOS_ACCEPTED,    /* ballot */
    RK_PAXOS_REFUSED,     /* ballot; accepted: the higher one that was promised */
    RK_PAXOS_DECIDED,     /* value */
    RK_PAXOS_N_KINDS
} rk_paxos_kind_t;

typedef struct {
    rk_paxos_kind_t kind;
    uint64_t view;          /* whose members decide */
    rk_ballot_t ballot, accepted;
    const uint8_t *value;   /* of PROMISE (NULL: none), ACCEPT, DECIDED; borrowed */
    size_t size;
    const uint32_t *dead;   /* of PREPARE, ACCEPT: members the sender knows to have ended; borrowed */
    uint32_t n_dead;
} rk_paxos_msg_t;

typedef struct {
    uint64_t view;
    uint32_t self;           /* a member */
    const uint32_t *members; /* ascending ids; copied */
    uint32_t n_members;
    int64_t retry_ms;        /* first wait for answers; what was observed, not a guess */
    uint64_t seed;           /* of the jitter that keeps two proposers apart */
    uint32_t corrupt;        /* tests: a mask of RK_PAXOS_CORRUPT_ */
} rk_paxos_config_t;

enum {
    RK_PAXOS_CORRUPT_FORGETS = 1, /* a proposer does not adopt what was accepted */
    RK_PAXOS_CORRUPT_HALF = 2,    /* any half of the members is enough */
    RK_PAXOS_CORRUPT_PROMISE = 4, /* an acceptor accepts below what it promised */
    RK_PAXOS_CORRUPT_GHOSTS = 8   /* messages of the dead are heeded */
};

typedef struct rk_paxos rk_paxos_t;

/* errors: RK_EINVAL (self is no member, ids do not ascend), RK_ENOMEM. */
rk_err_t rk_paxos_new (rk_paxos_t **paxos_p, const rk_paxos_config_t *config, rk_error_t *err) RK_MUST_CHECK;
void rk_paxos_destroy (rk_paxos_t **paxos_p);

/* Try to have `value` decided (copied, at least one byte); tries again with growing waits until something is
 * decided, which may be another's value. A second call changes what the next ballot proposes.            */
rk_err_t rk_paxos_propose (rk_paxos_t *p, const uint8_t *value, size_t size, int64_t now_ms) RK_MUST_CHECK;
/* No more ballots of our own: somebody better placed proposes. */
void rk_paxos_withdraw (rk_paxos_t *p);

/* A message of member `from`. errors: RK_EFORMAT (no member, another view, a message that cannot be; counts as
 * the sender's fault and changes nothing), RK_ENOMEM.                                                    */
rk_err_t rk_paxos_receive (rk_paxos_t *p, uint32_t from, const rk_paxos_msg_t *msg, int64_t now_ms,
                           rk_error_t *err) RK_MUST_CHECK;
/* The member's process is known to have ended (its pid is gone on our own machine). Not for silence. Whatever
 * of it is still on its way is ignored from now on, here and at everybody who is asked with that knowledge:
 * a decision that only dead members knew must not appear after the living have made theirs.              */
void rk_paxos_dead (rk_paxos_t *p, uint32_t member, int64_t now_ms);
void rk_paxos_tick (rk_paxos_t *p, int64_t now_ms);
int64_t rk_paxos_next_ms (const rk_paxos_t *p); /* when to tick; INT64_MAX: nothing to wait for */

/* What is to be sent, one message per call; false: nothing more. to: a member. msg->value is borrowed until
 * the next call of any function here.                                                                    */
bool rk_paxos_outgoing (rk_paxos_t *p, uint32_t *to, rk_paxos_msg_t *msg);

/* The decision, or NULL; lives as long as the object. */
const uint8_t *rk_paxos_decided (const rk_paxos_t *p, size_t *size);
/* How far our own ballot is, for people: how many members have answered yes, how many more are needed. */
void rk_paxos_standing (const rk_paxos_t *p, uint32_t *n_yes, uint32_t *n_lacking);

#endif
