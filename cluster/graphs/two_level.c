/* SPDX-License-Identifier: MPL-2.0
 * Inside and between machines in turn: even steps average all replicas of a machine, odd steps mix replica q
 * of each machine with replica q of the machine 1, 2, 4, ... further on. Replicas of a machine follow one
 * another; the mean is exact after a period when the machines are a power of two.                           */
#include <stdio.h>

#include "cluster/graphs/kind.h"

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    const uint32_t n = graph->config.n, per_machine = graph->config.group ? graph->config.group : n;
    if (n % per_machine != 0) {
        uint32_t below = per_machine < n ? per_machine : n, above = per_machine < n ? per_machine : n;
        while (n % below)
            below--;
        while (n % above)
            above++;
        return rk_error_set (
            err, RK_EINVAL,
            "two-level: %u replicas are no whole number of machines with %u each; the nearest are %u and %u", n,
            per_machine, below, above);
    }
    const uint32_t machines = n / per_machine, hops = rk_graph_log2 (machines);
    graph->dims[0] = machines;
    graph->dims[1] = per_machine;
    graph->exact = machines == 1 || n == 2;
    graph->period = graph->exact ? 1 : per_machine == 1 ? hops : 2 * hops;
    graph->max_row = per_machine > 2 ? per_machine : 2;
    if (graph->config.group == 0)
        snprintf (graph->note, sizeof graph->note,
                  "two-level without a group: all %u on one machine is the complete graph", n);
    return RK_OK;
}

static bool s_inside (const rk_graph_t *graph, const rk_graph_time_t *at)
{
    return graph->dims[1] > 1 && at->step % 2 == 0;
}

static uint32_t s_between (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, bool hears,
                           rk_graph_edge_t *edges)
{
    const uint32_t n = graph->config.n, per_machine = graph->dims[1];
    const uint64_t hop = (per_machine > 1 ? at->step / 2 : at->step) % rk_graph_log2 (graph->dims[0]);
    const uint32_t stride = per_machine << hop, other = hears ? n - stride : stride;
    return rk_graph_strides (n, i, &other, 1, edges);
}

static uint32_t s_machine (const rk_graph_t *graph, uint32_t i, rk_graph_edge_t *edges)
{
    const uint32_t per_machine = graph->dims[1], first = i / per_machine * per_machine;
    for (uint32_t q = 0; q < per_machine; q++)
        edges[q] = (rk_graph_edge_t){first + q, 1.0f / (float) per_machine};
    return per_machine;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    return s_inside (graph, at) ? s_machine (graph, i, edges) : s_between (graph, at, i, true, edges);
}

static uint32_t s_column (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    return s_inside (graph, at) ? s_machine (graph, i, edges) : s_between (graph, at, i, false, edges);
}

static uint32_t s_group (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, uint32_t *members)
{
    const uint32_t per_machine = graph->dims[1], first = i / per_machine * per_machine;
    if (!s_inside (graph, at))
        return 0;
    for (uint32_t q = 0; members && q < per_machine; q++)
        members[q] = first + q;
    return per_machine;
}

const rk_graph_kind_t rk_graph_kind_two_level = {.open = s_open, .row = s_row, .column = s_column, .group = s_group};
