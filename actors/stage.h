/* SPDX-License-Identifier: MPL-2.0
 * Stage: forward and backward of its slice of the model, parameter versions, optimiser. Updates its own
 * slice as soon as it has a gradient and never waits for the matching backward (zero bubble).
 *
 * sockets: ROUTER inbox (Activation from feeder or previous stage, Gradient/Credit from the next stage, Mean
 *   from its reducer, Tied from the stage that shares a tied tensor) · DEALER to next stage, previous stage or feeder, reducer, checkpointer, coordinator,
 *   observer.
 * in:  Handover and HandoverRequest (stage_keep.h), Activation, Gradient, Credit, Mean, RoundClosed, RoundCommitted, SaveRequest, Stop
 * out: Activation (downstream), Gradient (upstream), Credit (stage 0 to feeder after a backward; forward-only
 *   minibatches: from the last stage upstream), Snapshot (reducer), Slice (checkpointer), RoundApplied and
 *   Evaluated (coordinator), Report (observer, with `tells` the coordinator; every 250 ms while busy, once with final=true on Stop, then
 *   Stopped to the coordinator), Prediction (checkpointer, from the last stage).
 *
 * Round r ends here after this cluster's last backward of r (RoundClosed says how many; a partial update_every
 * is applied first). Then Snapshot (the version pointer, lent) -> Mean -> drained: live = mean; overlapped:
 * live += mean - snapshot; the mean is kept as the committed copy; RoundApplied. With one cluster there is no
 * ring: the snapshot is the mean. Evaluation reads the committed mean.
 * Versions are reference-counted flat buffers: the gradient of f is taken at exactly the version f saw.      */
#ifndef RK_ACTORS_STAGE_H
#define RK_ACTORS_STAGE_H
#include "actors/actor.h"
#include "cluster/plan.h"
#include "compute/model.h"

/* Who gives floats [lo, hi) of a state to a stage that takes over; connected by the parent. */
typedef struct {
    uint32_t address; /* a stage, or the checkpointer */
    uint32_t replica; /* whose state it is asked for: a cluster of the plan it was trained with */
    uint64_t lo, hi;
    bool alike;       /* another replica's would do as well: all are alike, and it is not the one that is continued */
} rk_stage_donor_t;

typedef struct {
    const rk_plan_t *plan;      /* copied */
    uint32_t node;              /* which stage of the plan: the one of this node */
    const rk_model_t *model;    /* immutable; borrowed for the actor's life */
    const char *bind, *coordinator, *observer;
    const rk_identity_t *identity; /* for tcp (actor.h) */
    const char *initial;        /* safetensors file with the parameters to start from; NULL: by seed */
    const rk_stage_donor_t *donors; /* copied: who has the state after the plan's first_round rounds; none: first values */
    size_t n_donors;
    uint32_t half;              /* a stage of this process that was taking over the same state when its view ended: what has come
                                   is asked of it first; 0: none */
    bool tells;                 /* its reports go to the coordinator too */
    uint32_t corrupt;           /* tests only: fault to inject, 0 none (see RK_CORRUPT_*) */
} rk_stage_config_t;
/* Mutations for the exactness tests. */
enum { RK_CORRUPT_NONE = 0, RK_CORRUPT_STALE_VERSION, RK_CORRUPT_DROPPED_PIECE, RK_CORRUPT_WRONG_WEIGHT, RK_CORRUPT_SWAPPED_LABEL,
       RK_CORRUPT_STALE_ROUND, RK_CORRUPT_LOST_SHARE, RK_CORRUPT_LOST_NORM, RK_CORRUPT_NAN_SAMPLE,
       RK_CORRUPT_FAILS, RK_CORRUPT_FAILS_LATE };
#define RK_CORRUPT_FAILS_AFTER 2 /* rounds of its plan: then the actor fails; LATE: its parent hears of it when it has been retired */
#define RK_CORRUPT_NAN_EVERY 8 /* minibatches of which the last one has a NaN in its first sample */

/* Address of the stage that `stage` of `cluster` shares a tied tensor with: it must be connected to it; 0: none. */
uint32_t rk_tied_partner (const rk_plan_t *plan, const rk_model_t *model, uint32_t cluster, uint32_t stage);

/* Commands: RETIRE: another plan has taken over; this stage computes no more, but gives its states under the address
 * (keeper, node) until it is stopped.                                                                     */
rk_err_t rk_stage_new (rk_actor_t **actor_p, const rk_stage_config_t *config, rk_error_t *err) RK_MUST_CHECK;

#endif
