/* SPDX-License-Identifier: MPL-2.0
 * Rows by columns, not wrapped around, with Metropolis weights: W_ij = 1 / (1 + max (degree_i, degree_j)).
 * A prime number of replicas is a path.                                                                     */
#include <stdio.h>

#include "cluster/graphs/kind.h"
#include "cluster/graphs/links.h"

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    (void) err;
    const uint32_t n = graph->config.n;
    rk_graph_factors (n, &graph->dims[0], &graph->dims[1]);
    graph->max_row = n < 5 ? n : 5;
    graph->exact = n == 2;
    if (graph->dims[0] == 1)
        snprintf (graph->note, sizeof graph->note, "%u is prime: a grid of 1 x %u is a path", n, n);
    return RK_OK;
}

/* Neighbours of i, ascending. */
static uint32_t s_peers (const rk_graph_t *graph, uint32_t i, uint32_t peers[4])
{
    const uint32_t rows = graph->dims[0], columns = graph->dims[1], r = i / columns, c = i % columns;
    uint32_t n_peers = 0;
    if (r > 0)
        peers[n_peers++] = i - columns;
    if (c > 0)
        peers[n_peers++] = i - 1;
    if (c + 1 < columns)
        peers[n_peers++] = i + 1;
    if (r + 1 < rows)
        peers[n_peers++] = i + columns;
    return n_peers;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    uint32_t peers[4], others[4];
    const uint32_t degree = s_peers (graph, i, peers);
    rk_graph_equal (i, peers, degree, edges);
    for (uint32_t e = 0; e <= degree; e++)
        if (edges[e].peer != i)
            edges[e].weight = rk_metropolis_weight (degree, s_peers (graph, edges[e].peer, others));
    rk_links_keep (i, edges, degree + 1);
    return degree + 1;
}

const rk_graph_kind_t rk_graph_kind_grid = {.open = s_open, .row = s_row, .irregular = true};
