/* SPDX-License-Identifier: MPL-2.0
 * Rows by columns, both wrapped around: each replica with those above, below, left and right of it. Where two
 * of them are the same replica (2 rows or columns) it counts once. A prime number of replicas is one row.   */
#include <stdio.h>

#include "cluster/graphs/kind.h"

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    const uint32_t rows = graph->dims[0], columns = graph->dims[1], r = i / columns, c = i % columns;
    const uint32_t peers[] = {(r + rows - 1) % rows * columns + c, (r + 1) % rows * columns + c,
                              r * columns + (c + columns - 1) % columns, r * columns + (c + 1) % columns};
    return rk_graph_equal (i, peers, 4, edges);
}

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    (void) err;
    const uint32_t n = graph->config.n;
    rk_graph_edge_t edges[5];
    rk_graph_factors (n, &graph->dims[0], &graph->dims[1]);
    graph->max_row = s_row (graph, NULL, 0, edges);
    graph->exact = graph->max_row == n;
    if (graph->dims[0] == 1)
        snprintf (graph->note, sizeof graph->note, "%u is prime: a torus of 1 x %u is a ring", n, n);
    return RK_OK;
}

const rk_graph_kind_t rk_graph_kind_torus = {.open = s_open, .row = s_row};
