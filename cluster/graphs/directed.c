/* SPDX-License-Identifier: MPL-2.0
 * Each replica sends to the next one and to some others drawn once from the seed, in equal shares: columns sum
 * to 1, rows do not, so that parameters are only right with push-sum. What stands for links that go one way. */
#include <stdlib.h>

#include "cluster/graphs/kind.h"
#include "cluster/graphs/links.h"
#include "compute/rng.h"

#define DEFAULT_DEGREE 2

typedef struct {
    rk_links_t *hears, *reaches;
} s_state_t;

static void s_close (rk_graph_t *graph)
{
    s_state_t *state = graph->state;
    if (!state)
        return;
    free (state->hears);
    free (state->reaches);
    free (state);
}

/* The next one, then the first of a random order that are neither itself nor the next one. */
static void s_draw (const rk_graph_t *graph, uint32_t i, rk_link_t *links)
{
    const uint32_t n = graph->config.n, degree = graph->dims[0];
    uint32_t words[4], n_links = 0;
    rk_rng_block (graph->config.seed, rk_rng_stream (RK_RNG_GRAPH, i), 1, words);
    const rk_permutation_t order = rk_rng_permutation ((uint64_t) words[1] << 32 | words[0], i, n);
    links[n_links++] = (rk_link_t){i, (i + 1) % n};
    for (uint32_t at = 0; n_links < degree; at++) {
        const uint32_t to = (uint32_t) rk_permutation_at (&order, at);
        if (to != i && to != (i + 1) % n)
            links[n_links++] = (rk_link_t){i, to};
    }
}

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    const uint32_t n = graph->config.n, degree = graph->config.degree ? graph->config.degree : DEFAULT_DEGREE;
    graph->dims[0] = degree < n ? degree : n - 1;
    graph->exact = graph->dims[0] == n - 1;
    s_state_t *state = graph->state = calloc (1, sizeof *state);
    const uint64_t n_links = (uint64_t) n * graph->dims[0];
    rk_link_t *links = malloc (n_links * sizeof *links);
    rk_err_t rc = state && links
                      ? RK_OK
                      : rk_error_set (err, RK_ENOMEM, "no memory for %llu links", (unsigned long long) n_links);
    for (uint32_t i = 0; !rc && i < n; i++)
        s_draw (graph, i, links + (size_t) i * graph->dims[0]);
    if (!rc)
        rc = rk_links_new (&state->hears, n, links, n_links, false, err);
    if (!rc)
        rc = rk_links_new (&state->reaches, n, links, n_links, true, err);
    if (!rc) {
        const uint32_t most = rk_links_most (state->hears);
        graph->max_row = (most > graph->dims[0] ? most : graph->dims[0]) + 1;
    }
    free (links);
    return rc;
}

static uint32_t s_list (const rk_graph_t *graph, const rk_links_t *links, uint32_t i, rk_graph_edge_t *edges)
{
    const uint32_t n_edges = rk_links_row (links, i, edges);
    const float share = rk_graph_share (graph->dims[0] + 1);
    for (uint32_t e = 0; e < n_edges; e++)
        edges[e].weight = edges[e].peer == i ? 1.0f - (float) graph->dims[0] * share : share;
    return n_edges;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    return s_list (graph, ((const s_state_t *) graph->state)->hears, i, edges);
}

static uint32_t s_column (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    return s_list (graph, ((const s_state_t *) graph->state)->reaches, i, edges);
}

const rk_graph_kind_t rk_graph_kind_directed = {
    .open = s_open, .close = s_close, .row = s_row, .column = s_column, .push_sum = true,
    .irregular = true};
