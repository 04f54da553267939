/* SPDX-License-Identifier: MPL-2.0
 * Everybody with everybody: the exact mean, for which the reducer uses rings.                               */
#include "cluster/graphs/kind.h"

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    (void) err;
    graph->exact = true;
    return RK_OK;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    return rk_graph_window (graph->config.n, i, graph->config.n, 0, edges);
}

const rk_graph_kind_t rk_graph_kind_complete = {.open = s_open, .row = s_row};
