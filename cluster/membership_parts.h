/* SPDX-License-Identifier: MPL-2.0
 * The inside of a membership, shared by its files: membership.c (life, states, events, time), membership_talk.c
 * (what is said), membership_rift.c (pairs that do not hear one another), membership_words.c (what a person is told). */
#ifndef RK_CLUSTER_MEMBERSHIP_PARTS_H
#define RK_CLUSTER_MEMBERSHIP_PARTS_H
#include "cluster/member.h"
#include "cluster/membership.h"

#define RK_MEMBERSHIP_LATE 16 /* members of other views that are told what they missed, at a time */

enum { RK_DUE_SURVEY = 1, RK_DUE_STANDING = 2, RK_DUE_DECIDED = 4 };

typedef struct {
    uint8_t *bytes;
    size_t size;
} rk_membership_value_t;

typedef struct {
    unsigned due;
    bool dead, leaving, deaf; /* deaf: does not hear us */
    int64_t arrived_ms;       /* of its last heartbeat, whether it hears us or not */
    bool cut;                 /* the next view is without it: it and cut_from do not hear one another */
    uint32_t cut_from;        /* index */
    uint32_t missed;          /* index + 1 of whom it does not hear although we do; 0: nobody */
    int64_t missed_ms;        /* since */
    bool proposed;            /* it was to go on in what this member has proposed */
    rk_membership_value_t answer;           /* bytes NULL: none */
} rk_membership_peer_t;

/* Somebody in another view. */
typedef struct {
    uint32_t id;
    uint64_t view;
} rk_membership_late_t;

struct rk_membership {
    rk_membership_config_t config;
    rk_view_t *view;
    uint32_t n, self; /* self: index */
    rk_member_t *clock;
    rk_paxos_t *paxos;
    rk_membership_peer_t *peers;
    uint32_t *dead_ids, n_dead;
    rk_membership_value_t decision;  /* by which this view came to be */
    rk_membership_value_t decided;   /* the next one */
    rk_membership_late_t late[RK_MEMBERSHIP_LATE];
    uint32_t n_late;

    rk_membership_state_t state;
    int64_t since_ms, ticked_ms;
    bool wants, surveys, must_stop, stopped; /* surveys: this member asks the others */
    uint32_t asked_by;                       /* index; n: nobody yet */
    uint32_t early;                          /* who asked when another seemed to be first here; n: nobody */
    int64_t survey_end_ms, ask_ms;
    uint32_t next_out;
};

/* ---- membership.c */
rk_err_t rk_membership_set (rk_membership_value_t *value, const uint8_t *bytes, size_t size) RK_MUST_CHECK; /* a copy */
uint32_t rk_membership_index (const rk_membership_t *m, uint32_t id); /* m->n: no member */
bool rk_membership_alive (const rk_membership_t *m, uint32_t i, int64_t now_ms);
uint32_t rk_membership_lowest (const rk_membership_t *m, int64_t now_ms); /* index of who is first */
bool rk_membership_over (const rk_membership_t *m);
bool rk_membership_waits_for (const rk_membership_t *m, uint32_t i, int64_t now_ms);    /* who may still answer */
bool rk_membership_has_answered (const rk_membership_t *m, uint32_t i, int64_t now_ms); /* and is alive */
/* Further members that would have to answer; 0: those who have are enough to decide. */
uint32_t rk_membership_lacks (const rk_membership_t *m, int64_t now_ms);
bool rk_membership_bury (rk_membership_t *m, uint32_t id, int64_t now_ms); /* false: known, or no member */
void rk_membership_enter (rk_membership_t *m, rk_membership_state_t state, int64_t now_ms);
void rk_membership_begin_survey (rk_membership_t *m, int64_t now_ms);
void rk_membership_obey (rk_membership_t *m, uint32_t from, int64_t now_ms); /* who asks is first */
void rk_membership_give_way (rk_membership_t *m, int64_t now_ms);
void rk_membership_stop (rk_membership_t *m, int64_t now_ms);
void rk_membership_mend (rk_membership_t *m, int64_t now_ms); /* membership_rift.c: is somebody to be left out? */
void rk_membership_look (rk_membership_t *m, int64_t now_ms); /* from state to state, after something has happened */

#endif
