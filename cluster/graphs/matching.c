/* SPDX-License-Identifier: MPL-2.0
 * A new random perfect matching every step, a function of (seed, step): pairs average, 1/2 each. With an odd
 * number one replica rests.                                                                                 */
#include <stdio.h>

#include "cluster/graphs/kind.h"
#include "compute/rng.h"

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    (void) err;
    graph->max_row = 2;
    graph->exact = graph->config.n == 2;
    graph->period = graph->exact ? 1 : 0;
    if (graph->config.n % 2)
        snprintf (graph->note, sizeof graph->note, "a matching of %u: one replica rests at each step", graph->config.n);
    return RK_OK;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    const uint32_t n = graph->config.n;
    uint32_t words[4];
    rk_rng_block (graph->config.seed, rk_rng_stream (RK_RNG_GRAPH, at->step), 0, words);
    const rk_permutation_t order = rk_rng_permutation ((uint64_t) words[1] << 32 | words[0], at->step, n);
    const uint64_t place = rk_permutation_find (&order, i) ^ 1;
    const uint32_t peer = place < n ? (uint32_t) rk_permutation_at (&order, place) : i;
    return rk_graph_equal (i, &peer, 1, edges);
}

const rk_graph_kind_t rk_graph_kind_matching = {.open = s_open, .row = s_row, .irregular = true};
