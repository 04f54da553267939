/* SPDX-License-Identifier: MPL-2.0
 * Mixing over graphs in the simulation: whole flat vectors, row by row of W. */
#include "tests/support/simulation_parts.h"

#include "cluster/mix.h"
#include "cluster/ring.h"

static void s_move (sim_t *sim, uint32_t plane, uint32_t cluster, float *flat, bool back)
{
    const rk_plan_cluster_t *c = &sim->plan->clusters[cluster];
    for (uint32_t s = c->first_stage; s < c->first_stage + c->n_stages; s++) {
        float *x = plane ? sim->stages[s].slots[plane - 1] : sim->stages[s].live, *at = flat + sim->plan->stages[s].flat_lo;
        for (size_t i = 0; i < sim->stages[s].n_flat; i++)
            if (!back)
                at[i] = x[i];
            else if (plane || !sim->local[sim->plan->stages[s].flat_lo + i])
                x[i] = at[i];
    }
}

/* In ring order, as the reducers sum. */
static void s_merge (sim_t *sim, float *const *rows)
{
    const rk_plan_t *plan = sim->plan;
    uint32_t n = plan->n_clusters;
    if (!sim->merged)
        sim->merged = s_floats (plan->n_flat);
    for (uint32_t segment = 0; segment < plan->n_segments; segment++)
        for (uint32_t piece = 0; piece < n; piece++) {
            uint32_t first = 0;
            while (rk_ring_step (first, n, 0).send_piece != piece)
                first++;
            uint64_t lo, hi;
            rk_plan_piece (plan, segment, piece, &lo, &hi);
            for (uint64_t at = lo; at < hi; at++) {
                float sum = rows[first][at];
                for (uint32_t i = 1; i < n; i++)
                    sum += rows[(first + i) % n][at];
                sim->merged[at] = sum / (float) n;
            }
        }
}

static void s_mix_rows (sim_t *sim, const rk_exchange_t *exchange, float **rows, float **mixed)
{
    for (uint32_t c = 0; c < sim->plan->n_clusters; c++) {
        rk_graph_edge_t edges[RK_MAX_CLUSTERS];
        const void *inputs[RK_MAX_CLUSTERS];
        uint32_t n = rk_graph_row (sim->graph, &exchange->at, c, edges);
        for (uint32_t e = 0; e < n; e++)
            inputs[e] = rows[edges[e].peer];
        rk_mix_row (edges, n, inputs, sim->plan->n_flat, mixed[c]);
    }
}

static void s_track (sim_t *sim, uint32_t c, float *x)
{
    rk_mix_track (sim->plan->n_flat, sim->before[c], x, sim->y[c], sim->d[c]);
}

/* Quasi-global momentum: the slot that the next round starts from. */
static void s_drive (sim_t *sim, uint32_t c, const float *after)
{
    const stage_t *stage = &sim->stages[sim->plan->clusters[c].first_stage];
    rk_mix_quasi_global (sim->plan->n_flat, 1.0f - sim->training.config.momentum, (float) (1.0 / stage->lr_sum), sim->before[c], after,
                         sim->start[c]);
    s_move (sim, 1, c, sim->start[c], true);
}

void sim_mix (sim_t *sim, const rk_exchange_t *exchange)
{
    const rk_settings_t *settings = &sim->plan->settings;
    uint32_t n = sim->plan->n_clusters, n_planes = 1 + (settings->average_optimizer_state ? (uint32_t) sim->training.optim->n_slots : 0);
    float *rows[RK_MAX_CLUSTERS], *mixed[RK_MAX_CLUSTERS];
    for (uint32_t c = 0; c < n; c++) {
        rows[c] = s_floats (sim->plan->n_flat);
        mixed[c] = s_floats (sim->plan->n_flat);
    }
    for (uint32_t plane = 0; plane < n_planes; plane++) {
        for (uint32_t c = 0; c < n; c++) {
            s_move (sim, plane, c, rows[c], false);
            if (settings->average_tracking)
                s_track (sim, c, rows[c]);
        }
        if (plane == 0 && exchange->merge)
            s_merge (sim, rows);
        s_mix_rows (sim, exchange, rows, mixed);
        for (uint32_t c = 0; c < n; c++)
            s_move (sim, plane, c, mixed[c], true);
    }
    for (uint32_t c = 0; c < n; c++) {
        s_move (sim, 0, c, mixed[c], false);
        if (settings->average_momentum == RK_MOMENTUM_QUASI_GLOBAL)
            s_drive (sim, c, mixed[c]);
        memcpy (sim->before[c], mixed[c], sim->plan->n_flat * sizeof (float));
    }
    if (settings->average_tracking) {
        s_mix_rows (sim, exchange, sim->y, mixed);
        for (uint32_t c = 0; c < n; c++)
            memcpy (sim->y[c], mixed[c], sim->plan->n_flat * sizeof (float));
    }
    for (uint32_t c = 0; c < n; c++) {
        free (rows[c]);
        free (mixed[c]);
    }
}

/* ---- open and close */

void sim_open_mixing (sim_t *sim)
{
    rk_error_t err = {RK_OK, ""};
    s_ok (rk_exchange_graph (&sim->graph, sim->plan, &err), &err);
    for (uint32_t c = 0; c < sim->plan->n_clusters && rk_shard_is_on (&sim->plan->settings); c++)
        s_ok (rk_shard_new (&sim->shards[c], sim->plan, c, sim->data, &err), &err);
    for (uint32_t c = 0; c < sim->plan->n_clusters; c++) {
        sim->before[c] = s_floats (sim->plan->n_flat);
        sim->start[c] = s_floats (sim->plan->n_flat);
        sim->y[c] = s_floats (sim->plan->n_flat);
        sim->d[c] = s_floats (sim->plan->n_flat);
        s_move (sim, 0, c, sim->before[c], false);
    }
}

void sim_close_mixing (sim_t *sim)
{
    for (uint32_t c = 0; c < sim->plan->n_clusters; c++) {
        rk_shard_destroy (&sim->shards[c]);
        free (sim->before[c]);
        free (sim->start[c]);
        free (sim->y[c]);
        free (sim->d[c]);
    }
    free (sim->merged);
    rk_graph_destroy (&sim->graph);
}
