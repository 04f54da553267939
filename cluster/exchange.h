/* SPDX-License-Identifier: MPL-2.0
 * What ends a round: a pure function of the plan, the round and the control record that holds in it.
 * Exact averaging (complete, or any graph at a step where it is) is a ring all-reduce of all replicas. A sparse
 * graph mixes with neighbours instead; then, at the end of every pass, the mean of all replicas is formed
 * beside it, for evaluation, digest and checkpoint: the merged model. thread: any.                          */
#ifndef RK_CLUSTER_EXCHANGE_H
#define RK_CLUSTER_EXCHANGE_H
#include "cluster/graph.h"
#include "cluster/plan.h"

typedef struct {
    bool mix;           /* with the neighbours of `at` */
    bool merge;         /* the mean of all over the rings: the result, or, with mix, beside it */
    rk_graph_time_t at; /* step: the round */
} rk_exchange_t;

rk_graph_config_t rk_exchange_config (const rk_plan_t *plan); /* its name points into the plan */
/* The plan's graph. errors: as rk_graph_new. */
rk_err_t rk_exchange_graph (rk_graph_t **graph_p, const rk_plan_t *plan, rk_error_t *err) RK_MUST_CHECK;
rk_exchange_t rk_exchange_at (const rk_plan_t *plan, const rk_graph_t *graph, uint64_t round, uint32_t control);
/* Flat vectors that are averaged: the parameters, then optimiser state or the tracked gradient. */
uint32_t rk_exchange_planes (const rk_settings_t *settings, uint32_t optimizer_slots);
/* Whether replicas differ after averaging: some round mixes. */
bool rk_exchange_is_sparse (const rk_graph_t *graph);

#endif
