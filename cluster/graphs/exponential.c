/* SPDX-License-Identifier: MPL-2.0
 * Static exponential graph (Ying et al., NeurIPS 2021): i sends to i + 1, 2, 4, ... mod n. Directed, but a
 * circulant, so rows and columns sum to 1.                                                                  */
#include "cluster/graphs/kind.h"

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    (void) err;
    graph->dims[0] = rk_graph_log2 (graph->config.n);
    graph->max_row = graph->dims[0] + 1;
    graph->exact = graph->max_row == graph->config.n;
    return RK_OK;
}

static uint32_t s_column (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    uint32_t strides[RK_GRAPH_STRIDES];
    const uint32_t n_strides = graph->dims[0];
    for (uint32_t m = 0; m < n_strides; m++)
        strides[m] = 1u << m;
    return rk_graph_strides (graph->config.n, i, strides, n_strides, edges);
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    uint32_t strides[RK_GRAPH_STRIDES];
    const uint32_t n = graph->config.n, n_strides = graph->dims[0];
    for (uint32_t m = 0; m < n_strides; m++)
        strides[m] = n - (1u << (n_strides - 1 - m));
    return rk_graph_strides (n, i, strides, n_strides, edges);
}

const rk_graph_kind_t rk_graph_kind_exponential = {.open = s_open, .row = s_row, .column = s_column};
