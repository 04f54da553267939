/* SPDX-License-Identifier: MPL-2.0
 * Each pair is linked with the probability given, drawn once from the seed; Metropolis weights. Drawn again
 * until everybody is reached.                                                                               */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster/graphs/kind.h"
#include "cluster/graphs/links.h"
#include "compute/rng.h"

#define MOST_N 16384 /* 2^27 pairs are drawn in about a second */
#define DRAWS 32

/* Links of one draw, both ways; NULL links: only counted. */
static uint64_t s_draw (const rk_graph_t *graph, uint32_t draw, rk_link_t *links)
{
    const uint32_t n = graph->config.n;
    const uint64_t below = (uint64_t) (graph->config.probability * 0x1p32), stream = rk_rng_stream (RK_RNG_GRAPH, draw);
    uint64_t pair = 0, n_links = 0;
    uint32_t words[4];
    for (uint32_t a = 0; a < n; a++)
        for (uint32_t b = a + 1; b < n; b++, pair++) {
            if (pair % 4 == 0)
                rk_rng_block (graph->config.seed, stream, pair / 4, words);
            if (words[pair % 4] >= below)
                continue;
            if (links) {
                links[n_links] = (rk_link_t){a, b};
                links[n_links + 1] = (rk_link_t){b, a};
            }
            n_links += 2;
        }
    return n_links;
}

static rk_err_t s_make (rk_graph_t *graph, uint32_t draw, bool *connected, rk_error_t *err)
{
    const uint32_t n = graph->config.n;
    const uint64_t n_links = s_draw (graph, draw, NULL);
    rk_links_t *lists = NULL;
    rk_link_t *links = malloc ((n_links + 1) * sizeof *links);
    uint32_t *seen = malloc (n * sizeof *seen);
    rk_err_t rc = links && seen ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for the links of %u replicas", n);
    if (!rc) {
        s_draw (graph, draw, links);
        rc = rk_links_new (&lists, n, links, n_links, false, err);
    }
    *connected = !rc && rk_links_connected (lists, seen);
    free (links);
    free (seen);
    if (*connected)
        graph->state = lists;
    else
        free (lists);
    return rc;
}

static rk_err_t s_open (rk_graph_t *graph, rk_error_t *err)
{
    const uint32_t n = graph->config.n;
    if (n > MOST_N)
        return rk_error_set (err, RK_EINVAL, "erdos-renyi of %u replicas: at most %u are possible", n, MOST_N);
    if (graph->config.probability == 0)
        graph->config.probability = fmin (2 * log (n) / n, 1); /* twice what connects a large graph */
    bool connected = false;
    uint32_t draw = 0;
    for (rk_err_t rc; draw < DRAWS && !connected; draw++)
        if ((rc = s_make (graph, draw, &connected, err)))
            return rc;
    if (!connected)
        return rk_error_set (err, RK_EINVAL,
                             "erdos-renyi of %u replicas: none of %d draws with probability %g reaches everybody; "
                             "try %.2g or more",
                             n, DRAWS, graph->config.probability, fmin (2 * log (n) / n, 1));
    if (draw > 1)
        snprintf (graph->note, sizeof graph->note,
                  "erdos-renyi: draw %u of seed %llu is the first that reaches everybody", draw,
                  (unsigned long long) graph->config.seed);
    graph->max_row = rk_links_most (graph->state) + 1;
    uint64_t n_links = ((rk_links_t *) graph->state)->first[n];
    graph->exact = n_links == (uint64_t) n * (n - 1);
    return RK_OK;
}

static uint32_t s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges)
{
    (void) at;
    const rk_links_t *links = graph->state;
    const uint32_t n_edges = rk_links_row (links, i, edges), degree = n_edges - 1;
    for (uint32_t e = 0; e < n_edges; e++)
        edges[e].weight = rk_metropolis_weight (degree, rk_links_degree (links, edges[e].peer));
    rk_links_keep (i, edges, n_edges);
    return n_edges;
}

const rk_graph_kind_t rk_graph_kind_erdos_renyi = {.open = s_open, .row = s_row, .irregular = true};
