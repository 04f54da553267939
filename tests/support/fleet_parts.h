/* SPDX-License-Identifier: MPL-2.0
 * The inside of a simulated fleet, shared by its files: fleet.c (time, faults), fleet_net.c (letters),
 * fleet_member.c (a process's coordinator), fleet_stand.c, fleet_lead.c (a leader's part), fleet_stage.c, fleet_truth.c.     */
#ifndef RK_TESTS_SUPPORT_FLEET_PARTS_H
#define RK_TESTS_SUPPORT_FLEET_PARTS_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/lease.h"
#include "cluster/membership.h"
#include "tests/support/fleet.h"
#include "tests/support/noise.h"

#define PROCS 48      /* that ever live */
#define NODES 10      /* at a time */
#define CLUSTERS 8
#define LAYERS 6
#define LAYER_FLOATS 16
#define FLOATS (LAYERS * LAYER_FLOATS)
#define KEPT 16       /* states a process keeps */
#define STEP_MS 5
#define WINDOW 2      /* minibatches of a cluster under way */
#define ROUND_MOST 32 /* minibatches of a round */
#define VIEWS 256
#define PROPOSALS 32 /* remembered */
#define ROUNDS 256
#define NOBODY UINT32_MAX

typedef enum {
    L_AGREE = 0, /* bytes: an rk_agree_msg_t laid flat */
    L_BEAT,      /* a: hears us */
    L_HELLO,     /* a joiner to anybody */
    L_LEAVE,     /* a member to its leader */
    L_REFUSED,   /* nobody listens where `from` does; a: when that was asked. Of the living it is a false report */
    L_GRANT,     /* leader to stage 0: f, round */
    L_ACT,       /* stage to the next: f, round */
    L_GRAD,      /* stage to the one before: f, round */
    L_DONE,      /* stage 0 to leader: f, round */
    L_CLOSED,    /* leader to stages: round; a: minibatches of the receiver's cluster */
    L_CHUNK,     /* stage to those it shares floats with: round, lo, hi, x; a: cluster */
    L_APPLIED,   /* stage to leader: round */
    L_COMMITTED, /* leader to members: round */
    L_FETCH,     /* a new stage to members: state `round`, lo, hi */
    L_STATE,     /* the answer: round, lo, hi, x */
    L_READY,     /* stage to leader */
    L_START,     /* leader to members: all stages are ready */
    L_N_KINDS
} letter_kind_t;

typedef struct letter {
    struct letter *next; /* by time, then in order of sending */
    letter_kind_t kind;
    uint32_t from, to;   /* processes */
    uint64_t view, order;
    int64_t due_ms;
    uint64_t f, round, lo, hi, a;
    float *x;            /* hi - lo */
    uint8_t *bytes;
    size_t size;
} letter_t;

typedef struct {
    bool known;
    uint64_t round, lo, hi;
    float x[FLOATS];
} state_t;

typedef struct {
    uint64_t f, round;
    int64_t ready_ms;
    bool back; /* a gradient, else an activation */
} task_t;

typedef struct {
    bool used, dead, joined, leaves;
    uint32_t id; /* as a member */
    uint64_t host;
    int64_t frozen_until_ms, beat_ms, hello_ms, sits_ms; /* sits: until it has stopped what it runs */
    int64_t slow_ms;                                       /* per task */
    rk_membership_t *m;
    rk_view_t *view;
    uint8_t *decision;
    size_t decision_size;
    rk_plan_t *plan;
    int64_t heard[PROCS];
    bool hung_up[PROCS];           /* the connection to it has ended, as this process knows */
    /* keeper */
    state_t kept[KEPT];
    uint64_t committed;
    /* stage */
    bool has_stage, ready, halted;
    uint32_t cluster, stage, index;
    uint64_t lo, hi, round;
    float live[FLOATS];
    bool have[FLOATS]; /* fetched */
    int64_t fetch_ms;
    task_t tasks[2 * WINDOW + 2];
    uint32_t n_tasks;
    uint64_t done[ROUND_MOST];
    uint32_t n_done;
    bool closed, averaging;
    uint64_t count;
    bool heard_chunk[CLUSTERS][FLOATS];
    float chunk[CLUSTERS][FLOATS];
    letter_t *early;                 /* chunks of a round that has not ended here */
    /* leader */
    rk_lease_table_t *leases;
    uint32_t n_ready, under_way[CLUSTERS];
    bool is_ready[PROCS];            /* by stage index */
    uint64_t next_close;
    int64_t progress_ms;
    uint32_t waiting[PROCS], n_waiting; /* joiners: processes */
    bool retires[PROCS];                /* processes that hold no stage in the next view, so that they can leave */
} proc_t;

/* ---- what must be */
typedef struct {
    uint32_t n_lists[CLUSTERS];
    uint64_t lists[CLUSTERS][ROUND_MOST]; /* what each cluster trained */
    bool listed[CLUSTERS];
    bool computed;
    float after[FLOATS];
    uint32_t n_applied;
} truth_round_t;

typedef struct {
    uint64_t number, round;  /* it begins with */
    uint8_t *bytes;
    size_t size;
    rk_plan_t *plan;
    float start[FLOATS];
    truth_round_t rounds[ROUNDS]; /* by round minus the first */
} truth_view_t;

/* What was proposed: it may be decided, also when the proposer has died since. */
typedef struct {
    uint64_t number;
    uint32_t n, procs[PROCS];
} proposal_t;

typedef struct fleet {
    const fleet_config_t *config;
    fleet_result_t *result;
    noise_t noise;
    int64_t now_ms, quiet_from_ms, cut_until_ms, fault_ms, last_commit_ms;
    proc_t procs[PROCS];
    uint32_t n_procs;
    uint64_t cut; /* processes on one side */
    bool one_way;
    letter_t *wire;
    int64_t last_due[PROCS][PROCS]; /* data arrive in order */
    uint64_t n_letters;
    truth_view_t *views[VIEWS];
    uint32_t n_views;
    proposal_t proposals[PROPOSALS]; /* ring */
    uint64_t n_proposals;
    uint64_t committed;
    rk_settings_t settings;
    rk_model_info_t model;
    rk_layer_info_t layers[LAYERS];
} fleet_t;

/* ---- fleet.c */
void fleet_broken (fleet_t *w, const char *fmt, ...) __attribute__ ((format (printf, 2, 3)));
void fleet_say (fleet_t *w, const char *fmt, ...) __attribute__ ((format (printf, 2, 3)));
void fleet_mix (fleet_t *w, uint64_t x); /* into the digest */
uint32_t fleet_proc_of (const rk_view_t *view, uint32_t id); /* a member's pid is its process + 1 */
float fleet_start (uint64_t i);
void fleet_train (float *x, uint64_t lo, uint64_t hi, uint64_t f);

/* ---- fleet_net.c */
letter_t *fleet_letter (fleet_t *w, letter_kind_t kind, uint32_t from, uint32_t to);
void fleet_post (fleet_t *w, letter_t *letter);
void fleet_deliver (fleet_t *w);
void fleet_drop (letter_t *letter);
void fleet_post_agree (fleet_t *w, uint32_t from, uint32_t to, const rk_agree_msg_t *msg);
rk_agree_msg_t fleet_read_agree (const letter_t *letter); /* points into the letter */

/* ---- fleet_member.c */
void fleet_member_open (fleet_t *w, uint32_t p, const rk_view_t *view, const uint8_t *decision, size_t size, const rk_membership_t *before);
void fleet_member_close (proc_t *p);
void fleet_member_take (fleet_t *w, letter_t *letter);
void fleet_member_tick (fleet_t *w, uint32_t p);

/* ---- fleet_stand.c */
void fleet_stand (fleet_t *w, uint32_t p);
uint64_t fleet_round_to_go_on (const fleet_t *w, const proc_t *p);
bool fleet_waits_for_state (const fleet_t *w, const proc_t *p);

/* ---- fleet_lead.c */
void fleet_lead (fleet_t *w, proc_t *p); /* a view begins */
void fleet_lead_tick (fleet_t *w, uint32_t p);
void fleet_lead_take (fleet_t *w, uint32_t p, const letter_t *letter);
void fleet_lead_leave (fleet_t *w, uint32_t p, uint32_t from);

/* ---- fleet_stage.c */
void fleet_stage_open (fleet_t *w, uint32_t p);
void fleet_stage_take (fleet_t *w, letter_t *letter); /* may keep it: letter->to is then NOBODY */
void fleet_stage_tick (fleet_t *w, uint32_t p);
void fleet_stage_close (proc_t *p);
void fleet_keep (proc_t *p, uint64_t round, uint64_t lo, uint64_t hi, const float *x);
void fleet_forget (proc_t *p, uint64_t below);
void fleet_forget_others (proc_t *p); /* ranges that are not its stage's: every stage has its own by now */
uint32_t fleet_stage_at (const fleet_t *w, const proc_t *p, uint32_t stage); /* process of an index into the plan's stages */
uint32_t fleet_leader (const proc_t *p);                                     /* process */

/* ---- fleet_truth.c */
void fleet_truth_view (fleet_t *w, uint32_t p);
/* Of the plan that the round belongs to, for view `number`: a view's bytes carry the plan whose state it takes over. */
uint64_t fleet_truth_cursor (fleet_t *w, uint64_t number, uint64_t round);
void fleet_truth_list (fleet_t *w, uint32_t p);
void fleet_truth_applied (fleet_t *w, uint32_t p, uint64_t round, const float *x);
void fleet_truth_committed (fleet_t *w, uint32_t p, uint64_t round);
void fleet_truth_close (fleet_t *w);

#endif
