/* SPDX-License-Identifier: MPL-2.0
 * One-peer exponential graph (Ying et al., NeurIPS 2021): at step t, i sends to i + 2^(t mod tau) only. The
 * product of tau steps is the exact mean when n = 2^tau.                                                    */
#include <stdio.h>

#include "cluster/graphs/kind.h"

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    (void) err;
    const uint32_t n = graph->config.n;
    graph->period = graph->dims[0] = rk_graph_log2 (n);
    graph->max_row = 2;
    graph->exact = n == 2;
    if (n != 1u << graph->period)
        snprintf (graph->note, sizeof graph->note,
                  "one-peer-exponential of %u: %u steps give the exact mean only of 2^%u", n, graph->period,
                  graph->period);
    return RK_OK;
}

static uint32_t s_stride (const rk_graph_t *graph, const rk_graph_time_t *at)
{
    return 1u << (at->step % graph->dims[0]);
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    const uint32_t n = graph->config.n, stride = n - s_stride (graph, at);
    return rk_graph_strides (n, i, &stride, 1, edges);
}

static uint32_t s_column (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    const uint32_t stride = s_stride (graph, at);
    return rk_graph_strides (graph->config.n, i, &stride, 1, edges);
}

const rk_graph_kind_t rk_graph_kind_one_peer_exponential = {.open = s_open, .row = s_row, .column = s_column};
