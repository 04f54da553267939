/* SPDX-License-Identifier: MPL-2.0
 * Predicted figures of plans: rates under the cores of each host, the score.          */
#include "cluster/plan_parts.h"

#include "cluster/memory.h"

typedef unsigned __int128 s_wide_t;

uint64_t rk_stage_memory (const rk_model_info_t *model, const rk_settings_t *settings, uint32_t first, uint32_t last,
                          uint32_t in_flight)
{
    rk_memory_sums_t sums;
    rk_memory_t memory;
    rk_memory_sums (&sums, model, first, last);
    rk_memory_of (&memory, &sums, settings, in_flight, settings->pipeline_recompute);
    return memory.total;
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
