/* SPDX-License-Identifier: MPL-2.0
 * Coordinator: one per process: membership, plan agreement, leases, rounds, evaluation, checkpoints. One of
 * them leads (lowest process number); the others relay between their local actors and the leader.
 * Its ROUTER inbox takes local actors (they connect and send Ready first, so that answers find the way) and
 * other coordinators (Hello). All decisions are cluster/'s; this file moves messages and keeps time.
 *
 * numbers: processes are numbered in order of arrival, the leader is 0. The node part of the address of a
 *   coordinator, profiler, observer, checkpointer or node actor is its process number, so the one checkpointer
 *   is (checkpointer, 0); stages, reducers and feeders carry their node id of the plan. A leader of several
 *   processes hosts no stage; follower p hosts the plan's p-th node, whose id is p - 1 unless a plan given
 *   beforehand says otherwise.
 * states: GATHER (Hello until n_processes are in) -> PROFILE (one request at a time per host) -> WIRING (Profile
 *   table and Plan to every process; each recomputes the digest, builds its actors, answers Wired; leader sends
 *   Peers; they connect and answer Ready) -> RUN -> EVALUATE (at the end of a pass, leases held) -> RUN -> ... ->
 *   SAVE -> STOPPING (Stop to all, Stopped from all) -> ENDED (DONE or FAILED to the parent).
 * the parent takes part as an actor of kind RK_ACTOR_NODE with a DEALER of its own (no data on the pipe):
 *   it is sent Welcome, Profile (the table), Plan, Peers, Start, Evaluated (the sum), Saved and Stop, and sends
 *   Ready with digest 0 first, then Wired, Ready with the plan's digest, Failed (an actor of its own ended) and
 *   Stop (interrupted: end in order).
 * leases: LeaseRequest -> LeaseGrant now or as soon as one can be had. RoundClosed to every stage when the last
 *   id of a round is granted; RoundApplied from every stage commits it -> RoundCommitted to every stage.
 * evaluation: leases held; LeaseRequests are answered with test minibatches, Evaluated summed in order of f, the
 *   sum sent to the observer (f: minibatches trained so far, round: rounds committed).
 * a lost process (no heartbeat within the learned deadline), a Failed message, a state that outlives its
 *   deadline: Stop with code 1 and a reason that names the node; nothing waits for ever.                      */
#ifndef RK_ACTORS_COORDINATOR_H
#define RK_ACTORS_COORDINATOR_H
#include "actors/actor.h"
#include "cluster/plan.h"
#include "compute/model.h"

/* PROFILE: measured and told, then it is over; the parent gets the table (Profile). */
typedef enum { RK_RUN_TRAIN = 0, RK_RUN_EVAL, RK_RUN_PREDICT, RK_RUN_PROFILE } rk_run_kind_t;

/* Where a run that goes on begins; all zero: at its beginning. */
typedef struct {
    uint64_t first_round, first_f;
    uint32_t n_shards;
    const char *control; /* control records so far; NULL or "": none */
} rk_plan_cursor_t;

typedef struct {
    const rk_settings_t *settings; /* leader: of the run; follower: NULL, it gets them from the leader */
    const rk_model_info_t *model;  /* leader: copied */
    const rk_model_t *program_model; /* built by the program, borrowed; NULL: by name */
    const rk_plan_t *plan;         /* leader: use this one (by hand, run.plan); NULL: profile and plan; copied */
    rk_plan_cursor_t cursor;       /* leader: of a plan that is made; control is copied */
    uint32_t n_processes;          /* leader: others that host nodes, to wait for; net.witness is added; 0: only this one */
    const char *bind;              /* inbox for other processes: "tcp://127.0.0.1:PORT"; NULL: inproc only */
    const char *join;              /* follower: endpoint of the leader's inbox */
    const char *name;              /* follower: what it is called; leader: may be NULL */
    const char *observer;
    const char *relay;             /* of this process, for members that others cannot reach; NULL: none */
    const rk_identity_t *identity; /* for tcp (actor.h) */
    bool witness;                  /* follower: it only votes */
    rk_run_kind_t kind;
    uint64_t n_forward_only;       /* RK_RUN_EVAL, RK_RUN_PREDICT: minibatches */
    int64_t silence_ms;            /* least silence before the first view; 0: the built-in one (tests shorten it) */
    int64_t patience_ms;           /* least deadline of a state; 0: the built-in one (tests shorten it) */
} rk_coordinator_config_t;
rk_err_t rk_coordinator_new (rk_actor_t **actor_p, const rk_coordinator_config_t *config,
                             rk_error_t *err) RK_MUST_CHECK;

#endif
