/* SPDX-License-Identifier: MPL-2.0
 * Ada (arXiv 2509.12213, as read in docs/graphs.md): a ring lattice whose connections are shed pass by pass,
 * k = max (k0 - gamma pass, k_min); a control record, where there is one, says k instead (closed loop).
 * gamma below 0 turns it round for comparison: sparse at first, dense at the end, up to `degree`.           */
#include "cluster/graphs/shed.h"

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    const uint32_t h = rk_shed_side (graph, at);
    return rk_graph_window (graph->config.n, i, h, h, edges);
}

const rk_graph_kind_t rk_graph_kind_ada = {
    .open = rk_shed_open, .row = s_row, .exact = rk_shed_is_exact, .side = rk_shed_side};
