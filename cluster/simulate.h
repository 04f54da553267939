/* SPDX-License-Identifier: MPL-2.0
 * A plan under virtual time: a discrete-event simulation of its pipelines, with measured costs, jitter and
 * stragglers. No sockets, no clock; the same inputs give the same answer. Stages choose as running stages do
 * (cluster/schedule.h); nodes of one host share its cores equally; a node of declared speed computes for that part of
 * its time and waits for the rest. Averaging takes as long as the plan says and, overlapped, lets clusters be one round
 * ahead within a pass; a pass ends with an empty pipeline. Pure. thread: any.                              */
#ifndef RK_CLUSTER_SIMULATE_H
#define RK_CLUSTER_SIMULATE_H
#include "cluster/plan.h"

typedef struct {
    uint64_t forward_ns, backward_ns; /* of the stage per minibatch, at declared speed: measured or planned */
    uint64_t down_ns, up_ns;          /* until what it sends has arrived at the next stage, at the one before */
} rk_simulated_stage_t;

typedef struct {
    const rk_plan_t *plan;
    const rk_simulated_stage_t *stages; /* plan->n_stages */
    uint64_t rounds;                    /* to simulate, at least 1 */
    uint64_t seed;
    uint32_t jitter_ppm;                /* a call takes up to so much more, evenly */
    uint32_t straggler;                 /* stage index, or RK_NO_NODE */
    uint64_t straggles_from_ns;
    uint32_t straggles_ppm;             /* takes so much more from then on */
} rk_simulation_t;

typedef struct {
    uint64_t samples_per_1000s;
    uint64_t total_ns, pass_ns;         /* simulated; a whole pass at that rate */
    uint64_t averaging_bytes, averaging_ns; /* of all rounds simulated */
    uint32_t *idle_ppm;                 /* per stage: neither computing nor waiting as declared; owner: the caller frees */
} rk_simulated_t;

/* What a plan's own figures say its stages cost; plan->n_stages of them. fleet: layer times and links where known, or
 * NULL; model: bytes across cuts, or NULL (none).                                                         */
void rk_simulated_costs (const rk_plan_t *plan, const rk_fleet_t *fleet, const rk_model_info_t *model, rk_simulated_stage_t *stages);
/* How many rounds of `every` minibatches of each cluster are simulated within about a second; 0: none, they are too long. */
uint64_t rk_simulated_rounds (const rk_plan_t *plan, uint64_t every);

/* errors: RK_EINVAL, RK_ENOMEM, RK_ESTATE (nothing can happen any more: a bug in a schedule). */
rk_err_t rk_simulate (const rk_simulation_t *in, rk_simulated_t *out, rk_error_t *err) RK_MUST_CHECK;

#endif
