/* SPDX-License-Identifier: MPL-2.0
 * Replicas whose numbers differ in one bit; all bits at once, or one bit per step (the exact mean after
 * log2 n steps). Powers of two only.                                                                        */
#include "cluster/graphs/kind.h"

static rk_err_t s_check (rk_graph_t *graph, rk_error_t *err)
{
    const uint32_t n = graph->config.n, bits = rk_graph_log2 (n);
    graph->dims[0] = bits;
    graph->exact = n == 2;
    if (n != 1u << bits)
        return rk_error_set (err, RK_EINVAL,
                             "a hypercube of %u replicas: only powers of two are possible, the nearest are %u and %u; "
                             "exponential and mixed-radix have no such limit",
                             n, 1u << (bits - 1), 1u << bits);
    return RK_OK;
}

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    rk_err_t rc = s_check (graph, err);
    graph->max_row = graph->dims[0] + 1;
    return rc;
}

static rk_err_t s_open_one_peer (rk_graph_t *graph, rk_error_t *err)
{
    rk_err_t rc = s_check (graph, err);
    graph->period = graph->dims[0];
    graph->max_row = 2;
    return rc;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    uint32_t peers[RK_GRAPH_STRIDES];
    for (uint32_t m = 0; m < graph->dims[0]; m++)
        peers[m] = i ^ 1u << m;
    return rk_graph_equal (i, peers, graph->dims[0], edges);
}

static uint32_t s_row_one_peer (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    const uint32_t peer = i ^ 1u << (at->step % graph->dims[0]);
    return rk_graph_equal (i, &peer, 1, edges);
}

const rk_graph_kind_t rk_graph_kind_hypercube = {.open = s_open, .row = s_row};
const rk_graph_kind_t rk_graph_kind_one_peer_hypercube = {.open = s_open_one_peer, .row = s_row_one_peer};
