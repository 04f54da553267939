/* SPDX-License-Identifier: MPL-2.0
 * Predicted figures of plans: memory of a stage, rates under the cores of each host, the score.          */
#include "cluster/plan_parts.h"

typedef unsigned __int128 s_wide_t;

/* How often a stage may hold its parameters at once:
 *   in_flight + 1 versions (each minibatch out may pin its own, and the live one), 1 gradient (more where
 *   updates wait for a verdict), the optimiser's slots, 3 for averaging (snapshot, mean, last committed mean), and with
 *   average.optimizer_state 2 more of each slot (snapshot and mean).                                     */
static uint64_t s_copies (const rk_model_info_t *model, const rk_settings_t *settings, bool first, uint32_t in_flight)
{
    uint64_t slots = model->optimizer_slots;
    return (uint64_t) in_flight + 1 + rk_settings_gradients (settings, first, in_flight) + slots + 3 + (settings->average_optimizer_state ? 2 * slots : 0);
}

static uint64_t s_cut_bytes (const rk_model_info_t *model, uint32_t cut)
{
    return cut < model->n_layers ? model->layers[cut].cut_bytes : 0;
}

uint64_t rk_stage_memory (const rk_model_info_t *model, const rk_settings_t *settings, uint32_t first, uint32_t last,
                          uint32_t in_flight)
{
    uint64_t flat_hi = last < model->n_layers ? model->layers[last].flat_at : model->n_flat;
    uint64_t params = 4 * (flat_hi - model->layers[first].flat_at), stash = 0, gradients = 0, work = 0;
    for (uint32_t l = first; l < last; l++) {
        stash += model->layers[l].stash_bytes;
        gradients += model->layers[l].grad_bytes;
        if (model->layers[l].work_bytes > work)
            work = model->layers[l].work_bytes;
    }
    /* What came in stays until the backward, with or without recompute. */
    uint64_t in = s_cut_bytes (model, first), out = s_cut_bytes (model, last), label = model->label_bytes;
    uint64_t kept = settings->pipeline_recompute ? stash : in_flight * stash;
    /* Received, and to be sent: activations down, gradients up, labels along. */
    uint64_t buffers = in_flight * (2 * in + 2 * out + 2 * label);
    return s_copies (model, settings, first == 0, in_flight) * params + kept + gradients + work + buffers;
}

/* CPU time per 1e9 s that cluster c takes from host, in ns: rate x busy x speed. */
static s_wide_t s_cluster_load (const rk_plan_t *plan, uint32_t cluster, uint64_t host)
{
    s_wide_t load = 0;
    const rk_plan_cluster_t *c = &plan->clusters[cluster];
    for (uint32_t i = c->first_stage; i < c->first_stage + c->n_stages; i++)
        for (uint32_t n = 0; n < plan->n_nodes; n++)
            if (plan->nodes[n] == plan->stages[i].node && plan->node_hosts[n] == host)
                load += (s_wide_t) c->rate * plan->stages[i].busy_ns / 1000000 * plan->node_speed_ppm[n];
    return load;
}

/* Each cluster slows to what its busiest host allows; clusters on one host slow alike. */
static void s_capped_rates (const rk_plan_t *plan, uint64_t *rates)
{
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        rates[c] = plan->clusters[c].rate;
    for (uint32_t n = 0; n < plan->n_nodes; n++) {
        s_wide_t load = 0, have = (s_wide_t) plan->node_cores[n] * 1000000000 * 1000000000;
        for (uint32_t c = 0; c < plan->n_clusters; c++)
            load += s_cluster_load (plan, c, plan->node_hosts[n]);
        if (load <= have)
            continue;
        for (uint32_t c = 0; c < plan->n_clusters; c++) {
            /* Parts per 2^30, so that the product fits. */
            uint64_t part = (uint64_t) (have / (load >> 30));
            uint64_t rate = (uint64_t) ((s_wide_t) plan->clusters[c].rate * part >> 30);
            if (s_cluster_load (plan, c, plan->node_hosts[n]) > 0 && rate < rates[c])
                rates[c] = rate > 0 ? rate : 1;
        }
    }
}

void rk_plan_cap_rates (rk_plan_t *plan)
{
    uint64_t rates[RK_MAX_CLUSTERS];
    s_capped_rates (plan, rates);
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        plan->clusters[c].rate = rates[c];
}

void rk_plan_score (const rk_plan_t *plan, rk_score_t *out)
{
    uint64_t rates[RK_MAX_CLUSTERS], total = 0;
    s_capped_rates (plan, rates);
    *out = (rk_score_t){0};
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        total += rates[c];
    out->samples_per_1000s = (uint64_t) ((s_wide_t) total * plan->settings.train_batch / 1000000);
    /* Each float goes round its ring twice, less one hop each time. */
    out->round_bytes = 2 * (uint64_t) (plan->n_clusters - 1) * 4 * plan->n_flat;
    for (uint32_t i = 0; i < plan->n_stages; i++) {
        if (plan->stages[i].memory_bytes > out->max_memory_bytes)
            out->max_memory_bytes = plan->stages[i].memory_bytes;
        if (plan->stages[i].busy_ns > plan->stages[out->bottleneck_stage].busy_ns)
            out->bottleneck_stage = i;
    }
}
