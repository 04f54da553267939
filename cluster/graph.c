/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/graph.h"

#include <stdlib.h>

#include "cluster/graphs/kind.h"
#include "compute/names.h"

#define RK_GRAPH(symbol, name) extern const rk_graph_kind_t rk_graph_kind_##symbol;
#include "cluster/graphs/list.h"
#undef RK_GRAPH

#define RK_GRAPH(symbol, name) &rk_graph_kind_##symbol,
static const rk_graph_kind_t *const s_kinds[] = {
#include "cluster/graphs/list.h"
};
#undef RK_GRAPH

#define RK_GRAPH(symbol, name) name,
static const char *const s_names[] = {
#include "cluster/graphs/list.h"
    NULL};
#undef RK_GRAPH

const char *const *rk_graph_names (void)
{
    return s_names;
}

/* ---- life */
static rk_err_t s_check (const rk_graph_config_t *c, rk_error_t *err)
{
    if (c->n == 0 || c->n > RK_GRAPH_MAX_N)
        return rk_error_set (err, RK_EINVAL, "a graph of %u replicas: 1 to %u are possible", c->n, RK_GRAPH_MAX_N);
    if (!(c->probability >= 0 && c->probability <= 1))
        return rk_error_set (err, RK_EINVAL, "probability %g of a link is not in [0, 1]", c->probability);
    const double most = RK_GRAPH_MAX_N;
    if (!(c->k0 >= 0 && c->k0 <= most) || !(c->gamma >= -most && c->gamma <= most))
        return rk_error_set (err, RK_EINVAL, "k0 %g must be in [0, %g] and gamma %g in [-%g, %g]", c->k0, most, c->gamma, most, most);
    if (!(c->budget >= 0 && c->budget <= RK_GRAPH_MAX_N) || (c->budget > 0 && c->budget < 0.001))
        return rk_error_set (err, RK_EINVAL, "a budget of %g models per step: 0.001 to %u are possible", c->budget,
                             RK_GRAPH_MAX_N);
    return RK_OK;
}

/* An exact step now and then makes the whole schedule longer. */
static uint32_t s_period_with_global (uint32_t period, uint32_t every)
{
    if (every == 0 || period == 0)
        return period;
    uint64_t a = period, b = every;
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    const uint64_t both = period / a * every;
    return both <= UINT32_MAX ? (uint32_t) both : 0;
}

rk_err_t rk_graph_new (rk_graph_t **graph_p, const rk_graph_config_t *config, rk_error_t *err)
{
    *graph_p = NULL;
    rk_err_t rc = s_check (config, err);
    if (rc)
        return rc;
    int found = rk_find_name ("graph", config->name ? config->name : "complete", s_names, err);
    if (found < 0)
        return RK_ENOTFOUND;
    rk_graph_t *graph = calloc (1, sizeof *graph);
    if (!graph)
        return rk_error_set (err, RK_ENOMEM, "no memory for a graph");
    graph->config = *config;
    graph->config.name = s_names[found];
    graph->kind = config->n == 1 ? &rk_graph_kind_complete : s_kinds[found];
    graph->max_row = config->n;
    graph->period = 1;
    if (graph->kind->open)
        rc = graph->kind->open (graph, err);
    if (config->global_every > 0) {
        graph->max_row = config->n;
        graph->period = s_period_with_global (graph->period, config->global_every);
    }
    if (rc)
        rk_graph_destroy (&graph);
    *graph_p = graph;
    return rc;
}

void rk_graph_destroy (rk_graph_t **graph_p)
{
    rk_graph_t *graph = *graph_p;
    if (!graph)
        return;
    if (graph->kind->close)
        graph->kind->close (graph);
    else
        free (graph->state);
    free (graph);
    *graph_p = NULL;
}

/* ---- what it is */
const char *rk_graph_note (const rk_graph_t *graph)
{
    return *graph->note ? graph->note : NULL;
}

const char *rk_graph_name (const rk_graph_t *graph)
{
    return graph->config.name;
}

uint32_t rk_graph_n (const rk_graph_t *graph)
{
    return graph->config.n;
}

uint32_t rk_graph_max_row (const rk_graph_t *graph)
{
    return graph->max_row;
}

uint32_t rk_graph_period (const rk_graph_t *graph)
{
    return graph->period;
}

/* A random matching reaches everybody in about 2 log2 n steps; Ada's links are those of its pass. */
uint32_t rk_graph_horizon (const rk_graph_t *graph, const rk_graph_time_t *at)
{
    if (at->control > 0 && graph->kind->turns)
        return graph->kind->turns (graph, at);
    if (graph->period > 0)
        return graph->period;
    const uint32_t some = graph->max_row == 2 ? 4 * (rk_graph_log2 (graph->config.n) + 2) : 1;
    return graph->config.global_every > 0 ? graph->config.global_every : some;
}

bool rk_graph_is_irregular (const rk_graph_t *graph)
{
    return graph->kind->irregular;
}

bool rk_graph_is_symmetric (const rk_graph_t *graph)
{
    return !graph->kind->column;
}

bool rk_graph_is_doubly_stochastic (const rk_graph_t *graph)
{
    return !graph->kind->push_sum;
}

bool rk_graph_is_exact (const rk_graph_t *graph)
{
    return graph->exact;
}

bool rk_graph_is_exact_at (const rk_graph_t *graph, const rk_graph_time_t *at)
{
    const uint32_t every = graph->config.global_every;
    if (graph->exact || (every > 0 && (at->step + 1) % every == 0))
        return true;
    return graph->kind->exact && graph->kind->exact (graph, at);
}

/* ---- rows and columns */
uint32_t rk_graph_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    if (rk_graph_is_exact_at (graph, at))
        return rk_graph_window (graph->config.n, i, graph->config.n, 0, edges);
    return graph->kind->row (graph, at, i, edges);
}

uint32_t rk_graph_column (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    uint32_t n_edges, kept = 0;
    if (!graph->kind->column || rk_graph_is_exact_at (graph, at))
        n_edges = rk_graph_row (graph, at, i, edges);
    else
        n_edges = graph->kind->column (graph, at, i, edges);
    for (uint32_t e = 0; e < n_edges; e++)
        if (edges[e].peer != i)
            edges[kept++] = edges[e];
    return kept;
}

uint32_t rk_graph_group (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, uint32_t *members)
{
    const uint32_t n = graph->config.n;
    if (rk_graph_is_exact_at (graph, at)) {
        for (uint32_t j = 0; members && j < n; j++)
            members[j] = j;
        return n;
    }
    return graph->kind->group ? graph->kind->group (graph, at, i, members) : 0;
}

uint32_t rk_graph_side (const rk_graph_t *graph, const rk_graph_time_t *at)
{
    return graph->kind->side && !rk_graph_is_exact_at (graph, at) ? graph->kind->side (graph, at) : 0;
}
