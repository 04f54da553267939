/* SPDX-License-Identifier: MPL-2.0
 * Each replica hears the one before it only, 1/2 each: directed, but rows and columns both sum to 1.        */
#include "cluster/graphs/kind.h"

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    (void) err;
    graph->exact = graph->config.n == 2;
    graph->max_row = 2;
    return RK_OK;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    return rk_graph_window (graph->config.n, i, 1, 0, edges);
}

static uint32_t s_column (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    return rk_graph_window (graph->config.n, i, 0, 1, edges);
}

const rk_graph_kind_t rk_graph_kind_one_way_ring = {.open = s_open, .row = s_row, .column = s_column};
