/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/graphs/lattice.h"

#include "cluster/graphs/kind.h"

#define DEFAULT_DEGREE 4

uint32_t rk_lattice_side (uint32_t n, uint32_t degree)
{
    if (degree + 1 >= n)
        return n / 2;
    return degree < 2 ? 1 : degree / 2;
}

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    const uint32_t n = graph->config.n, degree = graph->config.degree ? graph->config.degree : DEFAULT_DEGREE;
    if (degree >= RK_GRAPH_MAX_N || (degree < 2 && n > 2))
        return rk_error_set (err, RK_EINVAL, "a ring lattice of degree %u: 2 to %u are possible", degree, n - 1);
    const uint32_t h = rk_lattice_side (n, degree);
    graph->dims[0] = h;
    graph->exact = 2 * h + 1 >= n;
    graph->max_row = graph->exact ? n : 2 * h + 1;
    return RK_OK;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    return rk_graph_window (graph->config.n, i, graph->dims[0], graph->dims[0], edges);
}

static uint32_t s_side (const rk_graph_t *graph, const rk_graph_time_t *at)
{
    (void) at;
    return graph->dims[0];
}

const rk_graph_kind_t rk_graph_kind_lattice = {.open = s_open, .row = s_row, .side = s_side};
