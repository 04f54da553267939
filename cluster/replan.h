/* SPDX-License-Identifier: MPL-2.0
 * Re-planning while running: is another plan worth the move? The running plan is scored anew with the figures
 * observed by now, the planner makes the best new one from the same figures, and the gain over what is left to
 * train is compared with what moving costs. Pure: the same inputs give the same decision on every node. thread: any. */
#ifndef RK_CLUSTER_REPLAN_H
#define RK_CLUSTER_REPLAN_H
#include "cluster/plan.h"

#define RK_REPLAN_TEXT 320

typedef struct {
    const rk_plan_t *running;
    const rk_fleet_t *fleet;       /* observed figures: layer times, memory, links */
    const rk_model_info_t *model;
    const rk_settings_t *settings; /* of the run */
    uint64_t view;                 /* of the new plan */
    const char *kernels;
    uint64_t minibatches_left;     /* of the run, at most a pass, over all clusters: the gain must pay for the move within it */
    uint64_t rounds_since;         /* since the last change of plan, or since the start */
    uint64_t least_rounds;         /* of them before another change; 0: RK_REPLAN_LEAST_ROUNDS */
} rk_replan_in_t;

typedef enum {
    RK_REPLAN_STAY = 0, /* the running plan is as good, within what measuring errors are */
    RK_REPLAN_EARLY,    /* better, but the last change is too recent */
    RK_REPLAN_UNPAID,   /* better, but moving takes longer than is gained in what is left of the pass */
    RK_REPLAN_MOVE
} rk_replan_verdict_t;

typedef struct {
    rk_replan_verdict_t verdict;
    rk_plan_t *plan;                   /* the best new one, whatever the verdict; owner: the caller. NULL: none can be made */
    uint64_t running_score, new_score; /* cluster/score.h; running_score 0: it cannot go on, a node lacks or is too small */
    uint64_t gain_ppm;                 /* of the new plan over the running one */
    uint64_t move_bytes;               /* parameters and optimiser state that change their node */
    uint64_t move_ns;                  /* an empty pipeline, the move, a new start */
    uint64_t saved_ns;                 /* in the minibatches left */
    char text[RK_REPLAN_TEXT];         /* the decision with its figures, for the log */
} rk_replan_out_t;

/* Hysteresis: at least a gain of RK_REPLAN_LEAST_PPM, RK_REPLAN_LEAST_ROUNDS after the last change, and twice what
 * the move costs. errors: RK_ENOMEM, RK_EINVAL, RK_EPLAN (neither plan can go on with these figures).     */
#define RK_REPLAN_LEAST_PPM UINT64_C (80000)
#define RK_REPLAN_LEAST_ROUNDS 4
rk_err_t rk_replan_decide (const rk_replan_in_t *in, rk_replan_out_t *out, rk_error_t *err) RK_MUST_CHECK;

/* The running plan's layout scored with the fleet's figures. RK_EPLAN: a node is missing or lacks memory. */
rk_err_t rk_replan_score (const rk_plan_t *running, const rk_fleet_t *fleet, const rk_model_info_t *model,
                          const rk_settings_t *settings, rk_score_t *score, rk_error_t *err) RK_MUST_CHECK;

#endif
