/* SPDX-License-Identifier: MPL-2.0
 * Planners decide who works with whom and where the model is cut; everything that follows from that (flat
 * ranges, rings, rates, memory, digest) is made in cluster/plan_make.c. They are registered by name in
 * planners/list.h. A planner is a pure function: integers, no clock, the same answer everywhere.
 * Private to cluster/.                                                                                   */
#ifndef RK_CLUSTER_PLANNERS_PLANNER_H
#define RK_CLUSTER_PLANNERS_PLANNER_H
#include <string.h>
#include "cluster/plan.h"
#include "cluster/score.h"

#define RK_MAX_UNITS 128 /* places a planner considers for cuts, + 1; also the longest chain */
#define RK_UNITS_ROW (RK_MAX_UNITS + 1)
#define RK_COSTS_WINDOWS 257 /* minibatches in flight + 1 */

/* A link: measured, or what is assumed between two nodes of one host or of two. */
typedef struct {
    uint64_t ns_per_mib, half_rtt_ns;
} rk_pace_t;

/* Memory of units [first][last] in one window. */
typedef struct {
    uint64_t *plain; /* activations kept */
    uint64_t *lean;  /* activations recomputed */
    uint64_t *least; /* of [first][last or later], whichever is allowed: past a node's memory no longer stage fits */
} rk_needs_t;

/* Figures of a fleet and a model in the form planners search in. A unit is a run of layers never cut apart:
 * one layer each, unless there are more than RK_MAX_UNITS of them.                                        */
typedef struct {
    const rk_fleet_t *fleet;         /* borrowed */
    const rk_model_info_t *model;    /* borrowed */
    const rk_settings_t *settings;   /* borrowed */
    uint32_t n_nodes, n_units;
    uint32_t at[RK_UNITS_ROW];       /* first layer of each unit; at[n_units] = n_layers */
    uint64_t wire[RK_UNITS_ROW];     /* bytes on the wire across the cut before the unit; 0 at both ends */
    uint64_t copy_ns[RK_UNITS_ROW];  /* CPU time for them: a stage receives and sends as much */
    uint64_t flat[RK_UNITS_ROW];     /* first float of each unit; flat[n_units] = n_flat */
    uint64_t mix_ns[RK_UNITS_ROW];   /* CPU time of averaging all units before, per minibatch of a round */
    uint64_t *ns;                    /* n_nodes x RK_UNITS_ROW: forward and backward of all units before, per minibatch */
    uint64_t *again_ns;              /* likewise: a second forward */
    uint64_t *once_ns, *first_ns;    /* of each node, per minibatch: of any stage beside its units; of a first one besides */
    rk_needs_t needs[RK_COSTS_WINDOWS];
    uint32_t *host;                  /* of each node, 0 .. n_hosts - 1 */
    uint32_t *guests;                /* nodes of each host */
    uint64_t *cores;                 /* of each host */
    bool *is_tight;                  /* its nodes may want more than its cores */
    uint32_t n_hosts, n_tight;
    rk_pace_t local, remote;         /* what is assumed of links nobody measured */
    rk_pace_t *uplink;               /* of each node: the median of some to others */
    unsigned __int128 *load;         /* of each host: scratch */
    rk_mixing_t *mixing;             /* by number of clusters; messages 0: not asked for yet */
    uint64_t pass_minibatches;
    bool averaging;                  /* more than one cluster: mix_ns counts */
    uint64_t may_fill_ns;            /* drained: a chain that fills within it is worth its period; 0: every chain pays for its own */
    bool out_of_memory;              /* a table could not be made: the answer is worth nothing */
    uint64_t steps;                  /* work done so far, the only clock a planner has */
} rk_costs_t;

rk_err_t rk_costs_init (rk_costs_t *costs, const rk_fleet_t *fleet, const rk_model_info_t *model,
                        const rk_settings_t *settings) RK_MUST_CHECK;
void rk_costs_clear (rk_costs_t *costs);
/* Time of the whole model on a node. */
static inline uint64_t rk_costs_whole_ns (const rk_costs_t *costs, uint32_t node)
{
    return costs->ns[(size_t) node * RK_UNITS_ROW + costs->n_units];
}
/* Minibatches out at once in a cluster of k stages. */
uint32_t rk_costs_in_flight (const rk_costs_t *costs, uint32_t k);
/* NULL when there is no memory for it (out_of_memory is set). Made when first asked for. */
const rk_needs_t *rk_costs_needs (rk_costs_t *costs, uint32_t in_flight);
const rk_mixing_t *rk_costs_mixing (rk_costs_t *costs, uint32_t n_clusters);

rk_pace_t rk_costs_link (const rk_costs_t *costs, uint32_t from, uint32_t to);
/* Bounded by a hundredth of what a stage may take. */
static inline uint64_t rk_pace_ns (const rk_pace_t *link, uint64_t bytes)
{
    const unsigned __int128 ns = (unsigned __int128) bytes * link->ns_per_mib >> 20;
    return ns < RK_PLAN_MAX_BUSY_NS / 100 ? (uint64_t) ns : RK_PLAN_MAX_BUSY_NS / 100;
}

/* Stage s of a chain with units [first, last). */
typedef struct {
    uint64_t busy_ns;        /* per minibatch: compute, recompute, copies, averaging, messages */
    uint64_t beside_ns;      /* CPU time of others on its host, shared with more nodes */
    uint64_t link_ns;        /* the busier of its two outgoing links, per minibatch */
    uint64_t hop_ns;         /* what it sends takes to arrive, both ways */
    uint64_t memory_bytes;
    bool recompute, fits;
} rk_stage_cost_t;
rk_stage_cost_t rk_costs_stage (rk_costs_t *costs, const uint16_t *order, uint32_t k, uint32_t s, uint32_t first, uint32_t last);

/* ---- one chain of stages */
typedef struct {
    /* what a search looks at again and again lies together */
    uint32_t k;
    bool fits;                    /* in memory; rate and cuts only count if so */
    uint64_t lacking;             /* bytes the members' memory falls short, 0 if it fits, at least 1 if not */
    uint64_t period_ns;           /* a minibatch every so often: slowest stage or link, or the window */
    uint64_t turn_ns;             /* of one minibatch, there and back */
    uint64_t rate;                /* nano-rate, before host cores are shared */
    uint64_t cost_ns;             /* the period with what else it costs: filling late, if drained; at least what its
                                   * share of its hosts' cores allows */
    uint64_t far_ns, spread_ns;   /* to most other nodes: half a round trip, sending a stage's parameters; the worst */
    uint16_t node[RK_MAX_UNITS];  /* index into the fleet, stage 0 first */
    uint16_t first[RK_MAX_UNITS]; /* unit */
} rk_chain_t;

/* From an empty pipeline to its first result, less one period. */
static inline uint64_t rk_chain_fill_ns (const rk_chain_t *c)
{
    return c->turn_ns > c->period_ns ? c->turn_ns - c->period_ns : 0;
}

typedef enum {
    RK_CUT_FASTEST = 0, /* least time of the slowest stage or link; memory respected; only below the limit */
    RK_CUT_SHORTEST,    /* least time of a turn; memory respected; no stage above the limit */
    RK_CUT_FITTEST      /* least bytes by which the fullest stage exceeds its memory; only below the limit */
} rk_cut_goal_t;

/* Where to cut one order, exactly, by dynamic programming. order: k node indices, stage 0 first. first: unit
 * where each stage begins. False when there is no such cut; *value is the goal's figure.                  */
bool rk_cut_chain (rk_costs_t *costs, const uint16_t *order, uint32_t k, rk_cut_goal_t goal, uint64_t limit,
                   uint16_t *first, uint64_t *value);
/* The cuts of chain->node with the least cost below `limit`: fills in first, period, turn, rate, cost. */
bool rk_cut_best (rk_costs_t *costs, rk_chain_t *chain, uint64_t limit);
/* Period, turn, rate and cost of a chain cut as it says; fits, or how many bytes the fullest stage lacks. */
void rk_chain_appraise (rk_costs_t *costs, rk_chain_t *chain);
/* Order and cuts for chain->k nodes in chain->node, in any order; about `effort` steps go into the order. The
 * same set gives the same answer whatever the order it comes in.                                          */
void rk_chain_solve (rk_costs_t *costs, rk_chain_t *chain, uint64_t effort);

/* One of an order to another place. */
static inline void rk_order_move (uint16_t *order, uint32_t from, uint32_t to)
{
    const uint16_t moved = order[from];
    if (from < to)
        memmove (order + from, order + from + 1, (to - from) * sizeof *order);
    else
        memmove (order + to + 1, order + to, (from - to) * sizeof *order);
    order[to] = moved;
}

/* The order of k <= RK_MOST_SET nodes whose slowest stage, at best cuts, computes least, links aside; 2^k k n_units^2 / 2
 * steps at most. False when none fits in memory with no stage computing for longer than `limit`.            */
#define RK_MOST_SET 10
bool rk_order_fastest (rk_costs_t *costs, uint32_t k, uint64_t limit, uint16_t *order);

/* The objective for n clusters whose averaging takes that long. */
void rk_chains_judge (rk_costs_t *costs, const rk_chain_t *const *clusters, uint32_t n, uint64_t averaging_ns, rk_outlook_t *out);

/* ---- what a planner returns: nodes by index into the fleet, layers where stages begin */
typedef struct {
    uint32_t n_clusters, n_stages;
    uint32_t counts[RK_PLAN_MAX_NODES];                                /* stages of each cluster, in ring order */
    uint32_t nodes[RK_PLAN_MAX_NODES], first_layers[RK_PLAN_MAX_NODES]; /* cluster after cluster, stage 0 first */
} rk_assignment_t;

/* Chains in ring order as an answer, and back: n_clusters chains, appraised. */
void rk_assignment_of (rk_assignment_t *out, const rk_costs_t *costs, const rk_chain_t *const *clusters, uint32_t n);
void rk_assignment_chains (rk_costs_t *costs, const rk_assignment_t *a, rk_chain_t *chains);
/* The objective for an answer as it stands: ring order, cuts and all. errors: RK_ENOMEM. */
rk_err_t rk_assignment_judge (rk_costs_t *costs, const rk_assignment_t *a, rk_outlook_t *out) RK_MUST_CHECK;

typedef struct {
    const char *name;
    rk_err_t (*assign) (rk_costs_t *costs, rk_assignment_t *out, rk_error_t *err);
} rk_planner_t;

#define RK_PLANNER(name) rk_err_t rk_planner_##name (rk_costs_t *costs, rk_assignment_t *out, rk_error_t *err) RK_MUST_CHECK;
#include "cluster/planners/list.h"
#undef RK_PLANNER

#endif
