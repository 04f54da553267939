/* SPDX-License-Identifier: MPL-2.0
 * Each replica with the one before and the one behind it, 1/3 each.                                         */
#include "cluster/graphs/kind.h"

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    (void) err;
    graph->exact = graph->config.n <= 3;
    graph->max_row = graph->exact ? graph->config.n : 3;
    return RK_OK;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    return rk_graph_window (graph->config.n, i, 1, 1, edges);
}

static uint32_t s_side (const rk_graph_t *graph, const rk_graph_time_t *at)
{
    (void) graph;
    (void) at;
    return 1;
}

const rk_graph_kind_t rk_graph_kind_ring = {.open = s_open, .row = s_row, .side = s_side};
