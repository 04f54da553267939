/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/graphs/spread.h"

#include <stdbool.h>
#include <stdlib.h>

#include "cluster/graphs/kind.h"
#include "cluster/graphs/lattice.h"

#define DEFAULT_DEGREE 4
#define ONE 65536u /* of ratios, in 1/65536 */

/* h strides growing by `ratio`, by 1 at least; false when they pass (n - 1) / 2. */
static bool s_grow (uint32_t n, uint32_t h, uint64_t ratio, uint32_t *strides)
{
    uint64_t exact = ONE;
    strides[0] = 1;
    for (uint32_t s = 1; s < h; s++) {
        exact = exact * ratio / ONE;
        const uint64_t next = exact / ONE;
        if (next > (n - 1) / 2 || strides[s - 1] + 1 > (n - 1) / 2)
            return false;
        strides[s] = next > strides[s - 1] ? (uint32_t) next : strides[s - 1] + 1;
    }
    return true;
}

void rk_spread_strides (uint32_t n, uint32_t h, uint32_t *strides)
{
    uint64_t fits = ONE, too_far = (uint64_t) n * ONE;
    while (too_far - fits > 1) {
        const uint64_t ratio = (fits + too_far) / 2;
        if (s_grow (n, h, ratio, strides))
            fits = ratio;
        else
            too_far = ratio;
    }
    s_grow (n, h, fits, strides);
    for (uint32_t s = 0; s < h; s++)
        strides[2 * h - 1 - s] = n - strides[s];
}

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    const uint32_t n = graph->config.n, degree = graph->config.degree ? graph->config.degree : DEFAULT_DEGREE;
    if (degree >= RK_GRAPH_MAX_N || (degree < 2 && n > 2))
        return rk_error_set (err, RK_EINVAL, "a spread graph of degree %u: 2 to %u are possible", degree, n - 1);
    const uint32_t h = rk_lattice_side (n, degree);
    graph->dims[0] = h;
    graph->exact = 2 * h + 1 >= n;
    graph->max_row = graph->exact ? n : 2 * h + 1;
    if (graph->exact)
        return RK_OK;
    graph->state = calloc (2 * h, sizeof (uint32_t));
    if (!graph->state)
        return rk_error_set (err, RK_ENOMEM, "no memory for %u strides", 2 * h);
    rk_spread_strides (n, h, graph->state);
    return RK_OK;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    return rk_graph_strides (graph->config.n, i, graph->state, 2 * graph->dims[0], edges);
}

const rk_graph_kind_t rk_graph_kind_spread = {.open = s_open, .row = s_row};
