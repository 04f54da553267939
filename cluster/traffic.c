/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/traffic.h"

static rk_traffic_t s_ring (uint32_t group)
{
    return (rk_traffic_t){RK_WAY_RING, 2 * (group - 1), 2.0 * (group - 1) / group, group};
}

static bool s_less (const rk_traffic_t *a, const rk_traffic_t *b)
{
    return a->models < b->models || (a->models == b->models && a->messages < b->messages);
}

rk_traffic_t rk_traffic_of (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, bool direct,
                            rk_graph_edge_t *edges)
{
    if (rk_graph_is_exact_at (graph, at))
        return s_ring (rk_graph_n (graph));
    const uint32_t n_hearers = rk_graph_column (graph, at, i, edges);
    rk_traffic_t best = {.way = RK_WAY_DIRECT, .messages = n_hearers, .models = n_hearers}, other;
    if (direct)
        return best;
    const uint32_t group = rk_graph_group (graph, at, i, NULL), side = rk_graph_side (graph, at);
    if (group > 1 && (other = s_ring (group), s_less (&other, &best)))
        best = other;
    rk_window_t window;
    if (side > 0 && !rk_window_make (&window, rk_graph_n (graph), 2 * side, NULL)) {
        other = (rk_traffic_t){.way = RK_WAY_WINDOW, .messages = window.n_messages, .models = window.n_messages};
        if (s_less (&other, &best))
            best = other;
    }
    return best;
}
