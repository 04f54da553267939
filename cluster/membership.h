/* SPDX-License-Identifier: MPL-2.0
 * One member's part in the life of a view: who is heard from, who is suspected, and how the next view comes to
 * be. The members of a view decide its successor by themselves:
 *
 *   STEADY     everybody is heard from in time; training runs.
 *   SURVEY     the first member (lowest id) that is not suspected sees a change to be made: a suspect, a proof of
 *              death, or a wish (a joiner, a leaver, a failed actor, a better plan). It asks every member to stop
 *              and to say where it stands. Others that are asked are in SURVEY too: they have stopped for good in
 *              this view; nothing of it is committed any more without the new view knowing.
 *   PROPOSE    the surveyor has all answers there are to have, and they are enough: its actor makes the next view
 *              of them and calls rk_membership_propose.
 *   AGREEING   Paxos among all members of this view (cluster/paxos), by the rules of cluster/quorum. When somebody who was to
 *              go on dies or falls silent before it is decided, the surveyor asks anew and proposes another view.
 *   PARKED     too few answer. Nothing is lost and nothing runs; explain says who would help. It goes on by itself
 *              when enough are heard again.
 *   DECIDED    the next view is known. The actor installs it and makes a new membership for it, or, if it is
 *              not in it, joins again as a new member.
 *   LEFT       others have gone on, more than one view ahead: join again.
 *
 * When a surveyor dies, the next in line surveys anew, with the same answers. One that is suspected wrongly takes over
 * again: only the lowest that is heard is answered. Two that survey at the same time are settled by Paxos. A link that
 * works one way only is no link: who is not heard by us, or does not hear us, is suspected by us. One that works
 * between all but two ends the view as well: membership_rift.c.
 * Pure: messages go in and come out as values, time is an argument. thread: one at a time.               */
#ifndef RK_CLUSTER_MEMBERSHIP_H
#define RK_CLUSTER_MEMBERSHIP_H
#include "cluster/paxos.h"
#include "cluster/view.h"

typedef enum {
    RK_MEMBERSHIP_STEADY = 0, RK_MEMBERSHIP_SURVEY, RK_MEMBERSHIP_PROPOSE, RK_MEMBERSHIP_AGREEING,
    RK_MEMBERSHIP_PARKED, RK_MEMBERSHIP_DECIDED, RK_MEMBERSHIP_LEFT, RK_MEMBERSHIP_N_STATES
} rk_membership_state_t;

typedef enum {
    RK_AGREE_SURVEY = 0, /* stop and say where you stand */
    RK_AGREE_STANDING,   /* value: the member's standing, as its actor wrote it */
    RK_AGREE_AHEAD,      /* the sender is in a later view: ahead */
    RK_AGREE_PAXOS,      /* paxos */
    RK_AGREE_N_KINDS
} rk_agree_kind_t;

typedef struct {
    rk_agree_kind_t kind;
    uint64_t view;        /* it is about: the one whose members decide */
    uint64_t ahead;       /* AHEAD: number of the sender's view */
    const uint8_t *value; /* STANDING; borrowed */
    size_t size;
    const uint32_t *dead; /* members the sender knows to have ended; borrowed */
    uint32_t n_dead;
    rk_paxos_msg_t paxos; /* PAXOS; its own dead are not used */
} rk_agree_msg_t;

typedef struct rk_membership rk_membership_t;

typedef struct {
    const rk_view_t *view;   /* copied */
    uint32_t self;           /* a member's id */
    int64_t survey_ms;       /* how long a member that is alive may take to stop and answer */
    int64_t retry_ms;        /* of a question that may have been lost */
    uint64_t seed;           /* of jitter */
    const rk_membership_t *before; /* of the view before: what it has learned of members still here; NULL: none */
    const uint8_t *decision; /* by which this view was decided, told to those who missed it; copied; NULL: none */
    size_t decision_size;
    uint32_t corrupt;        /* tests: RK_PAXOS_CORRUPT_ of the decision */
} rk_membership_config_t;

/* errors: RK_EINVAL (self is no member), RK_ENOMEM. */
rk_err_t rk_membership_new (rk_membership_t **membership_p, const rk_membership_config_t *config, int64_t now_ms,
                            rk_error_t *err) RK_MUST_CHECK;
void rk_membership_destroy (rk_membership_t **membership_p);

/* ---- what happens */
/* A Heartbeat, or anything else, from it. hears_us: it said that it has heard us within its own deadline (true when it
 * said nothing about that).                                                                               */
void rk_membership_heard (rk_membership_t *m, uint32_t id, bool hears_us, int64_t now_ms);
/* It says whom it does not hear (those known to have ended are none of them). A pair that does not hear one another while the first
 * of all hears both ends the view: after as long as either may be silent, the next one is without one of them. */
void rk_membership_misses (rk_membership_t *m, uint32_t id, const uint64_t *ids, size_t n, int64_t now_ms);
void rk_membership_dead (rk_membership_t *m, uint32_t id, int64_t now_ms);  /* its process is known to have ended */
/* The connection to it ended: rk_membership_ask names it, now and again for a second. Its machine is to be asked whether
 * anybody listens at its address; if not (asked_ms: when the question went out), it is suspected at once. That is less
 * than knowing that its process has ended: it keeps its vote, and who is heard again is suspected no more.   */
void rk_membership_hung_up (rk_membership_t *m, uint32_t id, int64_t now_ms);
uint32_t rk_membership_ask (rk_membership_t *m, int64_t now_ms); /* UINT32_MAX: nobody */
void rk_membership_refused (rk_membership_t *m, uint32_t id, int64_t asked_ms, int64_t now_ms);
/* This member wishes for another view. Only the first member's wish counts: others tell it theirs. */
void rk_membership_want (rk_membership_t *m, int64_t now_ms);
/* A member says that it is about to leave: it is left out of the next view even if it answers. */
void rk_membership_leaving (rk_membership_t *m, uint32_t id, int64_t now_ms);
/* errors: RK_EFORMAT (from no member, makes no sense; nothing has changed), RK_ESTALE (an old view's), RK_ENOMEM. */
rk_err_t rk_membership_receive (rk_membership_t *m, uint32_t from, const rk_agree_msg_t *msg, int64_t now_ms,
                                rk_error_t *err) RK_MUST_CHECK;
/* Anything that carries the number of another view came from there: whoever is behind is told what it missed. */
void rk_membership_other_view (rk_membership_t *m, uint32_t from, uint64_t view, int64_t now_ms);
void rk_membership_tick (rk_membership_t *m, int64_t now_ms);
int64_t rk_membership_next_ms (const rk_membership_t *m, int64_t now_ms);

/* ---- what is to be done */
rk_membership_state_t rk_membership_state (const rk_membership_t *m);
/* The actor must stop what runs in this view, and then tell its standing (copied; once). */
bool rk_membership_must_stop (const rk_membership_t *m);
rk_err_t rk_membership_standing (rk_membership_t *m, const uint8_t *bytes, size_t size, int64_t now_ms) RK_MUST_CHECK;
/* In PROPOSE: who goes on, this member among them: alive, has answered, does not leave. */
bool rk_membership_goes_on (const rk_membership_t *m, uint32_t id, int64_t now_ms);
/* What a member answered; NULL: it has not. Also of one that leaves. */
const uint8_t *rk_membership_answer (const rk_membership_t *m, uint32_t id, size_t *size);
/* The next view (copied). From here on it is Paxos'; another's may be decided. errors: RK_ESTATE, RK_ENOMEM. */
rk_err_t rk_membership_propose (rk_membership_t *m, const uint8_t *bytes, size_t size, int64_t now_ms) RK_MUST_CHECK;
/* One message to send per call; false: nothing more. What msg points to is borrowed until the next call. */
bool rk_membership_outgoing (rk_membership_t *m, uint32_t *to, rk_agree_msg_t *msg);
/* In DECIDED: the next view's bytes. */
const uint8_t *rk_membership_decided (const rk_membership_t *m, size_t *size);

/* ---- to be said in heartbeats
 * Something of it has arrived within its deadline, though it may not hear us. */
bool rk_membership_hears (const rk_membership_t *m, uint32_t id, int64_t now_ms);
/* Whom this member does not hear: at most `most` ids, their number. */
uint32_t rk_membership_missed (const rk_membership_t *m, int64_t now_ms, uint64_t *ids, uint32_t most);

/* ---- for people and programs */
bool rk_membership_is_cut (const rk_membership_t *m, uint32_t id, uint32_t *from); /* left out: it and *from do not hear one another */
/* Who does not hear whom, as what is waited for; "": all hear all. */
void rk_membership_rift (const rk_membership_t *m, int64_t now_ms, char *text, size_t size);
/* Who leads, or would survey: the lowest that is alive. */
uint32_t rk_membership_first (const rk_membership_t *m, int64_t now_ms);
bool rk_membership_is_alive (const rk_membership_t *m, uint32_t id, int64_t now_ms); /* neither dead nor suspected */
bool rk_membership_is_dead (const rk_membership_t *m, uint32_t id); /* known to have ended; or no member */
bool rk_membership_is_refused (const rk_membership_t *m, uint32_t id); /* it hung up, and nobody listens there */
int64_t rk_membership_silent_ms (const rk_membership_t *m, uint32_t id, int64_t now_ms);
int64_t rk_membership_deadline_ms (const rk_membership_t *m, uint32_t id); /* of silence; learned */
int64_t rk_membership_since_ms (const rk_membership_t *m); /* when the state began */
/* One line: what is waited for, for how long, and what would help. "" in STEADY. */
void rk_membership_explain (const rk_membership_t *m, int64_t now_ms, char *text, size_t size);
const char *rk_membership_state_name (rk_membership_state_t state);

#endif
