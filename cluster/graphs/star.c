/* SPDX-License-Identifier: MPL-2.0
 * Replica 0 is the hub: 1/n on every edge, a leaf keeps 1 - 1/n of itself.                                  */
#include "cluster/graphs/kind.h"
#include "cluster/graphs/links.h"

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    (void) err;
    graph->exact = graph->config.n == 2;
    return RK_OK;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    const uint32_t n = graph->config.n;
    const float share = rk_graph_share (n);
    if (i > 0) {
        edges[0] = (rk_graph_edge_t){0, share};
        edges[1] = (rk_graph_edge_t){i, 1.0f - share};
        return 2;
    }
    for (uint32_t j = 0; j < n; j++)
        edges[j] = (rk_graph_edge_t){j, share};
    rk_links_keep (0, edges, n);
    return n;
}

const rk_graph_kind_t rk_graph_kind_star = {.open = s_open, .row = s_row, .irregular = true};
