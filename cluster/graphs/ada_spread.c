/* SPDX-License-Identifier: MPL-2.0
 * Ada's schedule on the spread graph instead of the ring lattice: the same connections in the same passes, a
 * far better spectrum. Strides of every degree that may be asked for are found once.                        */
#include <stdlib.h>

#include "cluster/graphs/lattice.h"
#include "cluster/graphs/shed.h"
#include "cluster/graphs/spread.h"

#define MOST_SIDE 1024 /* strides of all degrees up to that: 4 MiB */

/* Those of side h begin at h (h - 1): 2 + 4 + ... before them. */
static uint32_t *s_strides (const rk_graph_t *graph, uint32_t h)
{
    return (uint32_t *) graph->state + (size_t) h * (h - 1);
}

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    rk_err_t rc = rk_shed_open (graph, err);
    if (rc || graph->exact)
        return rc;
    const uint32_t n = graph->config.n, most = (n - 1) / 2;
    uint32_t side = rk_lattice_side (n, graph->dims[0]);
    side = side < most ? side : most;
    if (side > MOST_SIDE)
        return rk_error_set (err, RK_EINVAL, "ada-spread: %u connections, at most %u are possible", graph->dims[0],
                             2 * MOST_SIDE);
    graph->state = calloc ((size_t) side * (side + 1), sizeof (uint32_t));
    if (!graph->state)
        return rk_error_set (err, RK_ENOMEM, "no memory for the strides of %u connections", 2 * side);
    for (uint32_t h = 1; h <= side; h++)
        rk_spread_strides (n, h, s_strides (graph, h));
    return RK_OK;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    const uint32_t h = rk_shed_side (graph, at);
    return rk_graph_strides (graph->config.n, i, s_strides (graph, h), 2 * h, edges);
}

const rk_graph_kind_t rk_graph_kind_ada_spread = {.open = s_open, .row = s_row, .exact = rk_shed_is_exact};
