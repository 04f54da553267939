/* SPDX-License-Identifier: MPL-2.0
 * Coordinator: one per process: membership, plan agreement, leases, rounds, evaluation, checkpoints. One of
 * them leads (lowest id); the others relay between their local actors and the leader.
 * Its ROUTER inbox takes local actors (they connect and send Ready first, so that answers find the way) and
 * other coordinators (Hello). All decisions are cluster/'s; this file moves messages and keeps time.
 *
 * states: GATHER (Hello until n_processes are in) -> PROFILE (one request at a time per host) -> PLAN (send
 *   Plan; every node recomputes the digest; nodes build actors, answer Wired; leader sends Peers; nodes
 *   connect and answer Ready) -> RUN -> EVALUATE (at the end of a pass, held) -> ... -> SAVE -> STOPPING (Stop
 *   to all, Stopped from all) -> ENDED (DONE to the parent).
 * leases: LeaseRequest -> LeaseGrant now or as soon as one can be had. RoundClosed to every stage and feeder
 *   when the last id of a round is granted; RoundApplied from every stage commits it -> RoundCommitted to all.
 * evaluation: leases held, test minibatches dealt out round-robin as eval grants, Evaluated summed, the sum
 *   sent to the observer.
 * a lost node (no heartbeat within the learned deadline), a Failed message: Stop with code 1 and a reason that
 *   names the node; nothing waits for ever.                                                                  */
#ifndef RK_ACTORS_COORDINATOR_H
#define RK_ACTORS_COORDINATOR_H
#include "actors/actor.h"
#include "cluster/plan.h"

typedef enum { RK_RUN_TRAIN = 0, RK_RUN_EVAL, RK_RUN_PREDICT } rk_run_kind_t;

typedef struct {
    const rk_settings_t *settings; /* leader: of the run; follower: NULL, it gets them from the leader */
    const rk_plan_t *plan;         /* leader: use this one (by hand, run.plan, one process); NULL: profile and plan */
    uint32_t n_processes;          /* leader: other processes to wait for; 0: only this one */
    const char *bind;              /* inbox for other processes: "tcp://127.0.0.1:PORT"; NULL: inproc only */
    const char *join;              /* follower: endpoint of the leader's inbox */
    const char *observer;
    rk_run_kind_t kind;
    uint64_t n_forward_only;       /* RK_RUN_EVAL, RK_RUN_PREDICT: minibatches */
} rk_coordinator_config_t;
rk_err_t rk_coordinator_new (rk_actor_t **actor_p, const rk_coordinator_config_t *config, rk_error_t *err) RK_MUST_CHECK;

#endif
