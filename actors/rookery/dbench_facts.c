/* SPDX-License-Identifier: MPL-2.0
 * What cluster/spectrum says about a cell's graph before it runs.                                       */
#include <stdlib.h>
#include <string.h>

#include "actors/rookery/dbench.h"
#include "cluster/spectrum.h"

#define MOST_DRAWN 32 /* replicas all of whose links are kept for the picture */
#define GAMMA 0.9 /* memory of the effective number of neighbours, as in ada.md §4.5 */

static void s_put (json_t *facts, const rk_walk_t *walk, double momentum)
{
    rk_spectrum_t spectrum;
    double effective, before, after;
    if (!rk_spectrum_of (walk, &spectrum, NULL)) {
        json_object_set_new (facts, "rho", json_real (spectrum.rho));
        json_object_set_new (facts, "degree", json_real (spectrum.degree));
        json_object_set_new (facts, "most", json_integer (spectrum.most));
        json_object_set_new (facts, "diameter", json_integer (spectrum.diameter));
    }
    if (!rk_walk_neighbours (walk, GAMMA, &effective, NULL))
        json_object_set_new (facts, "n_eff", json_real (effective));
    if (!rk_walk_noise (walk, momentum, &before, &after, NULL)) {
        json_object_set_new (facts, "v_before", json_real (before));
        json_object_set_new (facts, "v_after", json_real (after));
    }
}

/* Whom replica i hears, itself left out. */
static json_t *s_hears (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i)
{
    json_t *peers = json_array ();
    rk_graph_edge_t *edges = calloc (rk_graph_max_row (graph), sizeof *edges);
    const uint32_t n = edges ? rk_graph_row (graph, at, i, edges) : 0;
    for (uint32_t e = 0; e < n; e++)
        if (edges[e].peer != i)
            json_array_append_new (peers, json_integer (edges[e].peer));
    free (edges);
    return peers;
}

static void s_put_links (json_t *facts, const rk_graph_t *graph, const rk_graph_time_t *at)
{
    json_t *links = json_array ();
    json_object_set_new (facts, "hears", s_hears (graph, at, 0));
    for (uint32_t i = 0; i < rk_graph_n (graph) && rk_graph_n (graph) <= MOST_DRAWN; i++)
        json_array_append_new (links, s_hears (graph, at, i));
    json_object_set_new (facts, "links", links);
}

/* A centralised cell is told as the complete graph, which it equals. */
static json_t *s_of_pass (const rk_cell_t *cell, uint64_t pass)
{
    rk_graph_config_t config = cell->graph;
    rk_graph_t *graph = NULL;
    rk_walk_t *walk = NULL;
    json_t *facts = json_pack ("{s:I}", "pass", (json_int_t) pass);
    config.name = cell->centralised ? "complete" : cell->graph_name;
    config.n = cell->n;
    config.seed = cell->settings.run_seed;
    const rk_graph_time_t at = {.pass = pass};
    if (facts && !rk_graph_new (&graph, &config, NULL))
        s_put_links (facts, graph, &at);
    if (graph && !rk_walk_new (&walk, graph, &at, 0, NULL))
        s_put (facts, walk, strcmp (cell->settings.train_optimizer, "sgd") ? 0 : cell->settings.train_momentum);
    rk_walk_destroy (&walk);
    rk_graph_destroy (&graph);
    return facts;
}

json_t *rk_grid_facts (const rk_cell_t *cell)
{
    json_t *facts = json_array ();
    json_array_append_new (facts, s_of_pass (cell, 0));
    if (cell->settings.run_passes > 1)
        json_array_append_new (facts, s_of_pass (cell, cell->settings.run_passes - 1));
    return facts;
}
