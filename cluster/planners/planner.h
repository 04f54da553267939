/* SPDX-License-Identifier: MPL-2.0
 * Planners decide who works with whom and where the model is cut; everything that follows from that (flat
 * ranges, rings, rates, memory, digest) is made in cluster/plan_make.c. They are registered by name in one
 * table there. A planner is a pure function: integers, no clock, the same answer everywhere.
 * Private to cluster/.                                                                                   */
#ifndef RK_CLUSTER_PLANNERS_PLANNER_H
#define RK_CLUSTER_PLANNERS_PLANNER_H
#include "cluster/plan.h"

#define RK_MAX_UNITS 128 /* places a planner considers for cuts, + 1 */

/* Figures of a fleet and a model in the form planners search in. A unit is a run of layers never cut apart:
 * one layer each, unless there are more than RK_MAX_UNITS of them.                                        */
typedef struct {
    const rk_fleet_t *fleet;         /* borrowed */
    const rk_model_info_t *model;    /* borrowed */
    const rk_settings_t *settings;   /* borrowed */
    uint32_t n_nodes, n_units;
    uint32_t at[RK_MAX_UNITS + 1];   /* first layer of each unit; at[n_units] = n_layers */
    uint64_t wire[RK_MAX_UNITS + 1]; /* bytes on the wire across the cut before the unit; 0 at both ends */
    uint64_t flat[RK_MAX_UNITS + 1]; /* first float of each unit; flat[n_units] = n_flat */
    uint64_t *ns;                    /* n_nodes x (RK_MAX_UNITS + 1): time of all units before, per minibatch */
    uint64_t *mix_ns;                /* likewise: sending their parameters, per minibatch of a round */
    uint64_t *fixed, *each;          /* (RK_MAX_UNITS + 1)^2, [first][last]: memory = fixed + in_flight x each */
    uint64_t out[RK_MAX_UNITS + 1];  /* what of `each` is for sending across the cut before the unit */
    bool averaging;                  /* more than one cluster: mix_ns counts */
    uint64_t steps;                  /* work done so far, the only clock a planner has */
} rk_costs_t;

rk_err_t rk_costs_init (rk_costs_t *costs, const rk_fleet_t *fleet, const rk_model_info_t *model,
                        const rk_settings_t *settings) RK_MUST_CHECK;
void rk_costs_clear (rk_costs_t *costs);
static inline uint64_t rk_costs_ns (const rk_costs_t *costs, uint32_t node, uint32_t unit)
{
    return costs->ns[(size_t) node * (RK_MAX_UNITS + 1) + unit];
}
/* Time to send what crosses the cut before `unit` between two nodes; 0 where the link was not measured.   */
uint64_t rk_costs_send_ns (const rk_costs_t *costs, uint32_t from, uint32_t to, uint32_t unit);
/* Minibatches out at once in a cluster of k stages. */
uint32_t rk_costs_in_flight (const rk_costs_t *costs, uint32_t k);
/* Busy time per minibatch of order[s] when it holds units [first, last): compute plus sending.            */
uint64_t rk_costs_busy_ns (const rk_costs_t *costs, const uint32_t *order, uint32_t k, uint32_t s, uint32_t first,
                           uint32_t last);
static inline uint64_t rk_costs_own_ns (const rk_costs_t *costs, uint32_t node, uint32_t first, uint32_t last)
{
    const size_t row = (size_t) node * (RK_MAX_UNITS + 1);
    uint64_t mix = costs->averaging ? costs->mix_ns[row + last] - costs->mix_ns[row + first] : 0;
    return costs->ns[row + last] - costs->ns[row + first] + mix;
}

/* ---- one chain of stages: where to cut */
typedef enum {
    RK_CUT_FASTEST = 0, /* least time of the slowest stage; memory respected; only below the limit */
    RK_CUT_LEANEST,     /* least bytes across all cuts; memory respected; no stage above the limit */
    RK_CUT_FITTEST      /* least bytes by which the fullest stage exceeds its memory; only below the limit */
} rk_cut_goal_t;

/* Exact, by dynamic programming. order: k node indices, stage 0 first. first: unit where each stage begins.
 * False when there is no such cut; *value is the goal's figure.                                          */
bool rk_cut_chain (rk_costs_t *costs, const uint32_t *order, uint32_t k, rk_cut_goal_t goal, uint64_t limit,
                   uint32_t *first, uint64_t *value);

/* ---- what a planner returns: nodes by index into the fleet, layers where stages begin */
typedef struct {
    uint32_t n_clusters, n_stages;
    uint32_t counts[RK_MAX_CLUSTERS];                     /* stages of each cluster */
    uint32_t nodes[RK_MAX_FLEET], first_layers[RK_MAX_FLEET]; /* cluster after cluster, stage 0 first */
} rk_assignment_t;

typedef struct {
    const char *name;
    rk_err_t (*assign) (rk_costs_t *costs, rk_assignment_t *out, rk_error_t *err);
} rk_planner_t;

rk_err_t rk_planner_auto (rk_costs_t *costs, rk_assignment_t *out, rk_error_t *err) RK_MUST_CHECK;

#endif
