/* SPDX-License-Identifier: MPL-2.0
 * What cluster/spectrum says about a cell's graph before it runs.                                       */
#include <string.h>

#include "actors/rookery/dbench.h"
#include "cluster/spectrum.h"

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
    if (facts && !rk_graph_new (&graph, &config, NULL) && !rk_walk_new (&walk, graph, &at, 0, NULL))
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
