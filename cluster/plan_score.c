/* SPDX-License-Identifier: MPL-2.0
 * Predicted figures of plans: rates under the cores of each host, the score.                             */
#include "cluster/plan_parts.h"

#include "cluster/memory.h"
#include "cluster/score.h"

typedef unsigned __int128 s_wide_t;

uint64_t rk_stage_memory (const rk_model_info_t *model, const rk_settings_t *settings, uint32_t first, uint32_t last,
                          uint32_t in_flight, bool recompute)
{
    rk_memory_sums_t sums;
    rk_memory_t memory;
    rk_memory_sums (&sums, model, first, last);
    rk_memory_of (&memory, &sums, settings, in_flight, recompute);
    return memory.total;
}

/* ---- hosts */
/* Index into plan->nodes, which ascend. */
static uint32_t s_find_node (const rk_plan_t *plan, uint32_t id)
{
    uint32_t lo = 0, hi = plan->n_nodes;
    while (lo + 1 < hi) {
        const uint32_t middle = lo + (hi - lo) / 2;
        *(plan->nodes[middle] <= id ? &lo : &hi) = middle;
    }
    return lo;
}

/* The first node on the same host stands for it. */
static uint32_t s_home (const rk_plan_t *plan, uint32_t n)
{
    uint32_t home = 0;
    while (plan->node_hosts[home] != plan->node_hosts[n])
        home++;
    return home;
}

typedef struct {
    s_wide_t load[RK_PLAN_MAX_NODES]; /* CPU time per 1e9 s taken from a host, in ns, by its first node */
    s_wide_t have[RK_PLAN_MAX_NODES];
} s_hosts_t;

static void s_fill_hosts (const rk_plan_t *plan, s_hosts_t *hosts)
{
    for (uint32_t n = 0; n < plan->n_nodes; n++) {
        const s_wide_t have = (s_wide_t) plan->node_cores[n] * 1000000000 * 1000000000;
        const uint32_t home = s_home (plan, n);
        hosts->load[n] = 0;
        hosts->have[home] = home == n || have < hosts->have[home] ? have : hosts->have[home];
    }
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        for (uint32_t i = 0; i < plan->clusters[c].n_stages; i++) {
            const rk_plan_stage_t *stage = rk_plan_stage (plan, c, i);
            const uint32_t n = s_find_node (plan, stage->node);
            hosts->load[s_home (plan, n)] += (s_wide_t) plan->clusters[c].rate * stage->busy_ns / 1000000 * plan->node_speed_ppm[n] +
                                               (s_wide_t) plan->clusters[c].rate * stage->beside_ns;
        }
}

/* Each cluster slows to what its busiest host allows; clusters on one host slow alike. */
static uint64_t s_capped_rate (const rk_plan_t *plan, const s_hosts_t *hosts, uint32_t cluster)
{
    const rk_plan_cluster_t *c = &plan->clusters[cluster];
    uint64_t rate = c->rate;
    for (uint32_t i = 0; i < c->n_stages; i++) {
        const rk_plan_stage_t *stage = rk_plan_stage (plan, cluster, i);
        const uint32_t home = s_home (plan, s_find_node (plan, stage->node));
        if (hosts->load[home] <= hosts->have[home] || stage->busy_ns == 0)
            continue;
        /* Parts per 2^30, so that the product fits. */
        const uint64_t part = (uint64_t) (hosts->have[home] / (hosts->load[home] >> 30));
        const uint64_t shared = (uint64_t) ((s_wide_t) c->rate * part >> 30);
        rate = shared < rate ? shared : rate;
    }
    return rate > 0 ? rate : 1;
}

void rk_plan_cap_rates (rk_plan_t *plan)
{
    s_hosts_t hosts;
    s_fill_hosts (plan, &hosts);
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        plan->clusters[c].rate = s_capped_rate (plan, &hosts, c);
}

/* ---- the score */
static void s_fill_outlook (const rk_plan_t *plan, rk_outlook_t *o)
{
    s_hosts_t hosts;
    s_fill_hosts (plan, &hosts);
    *o = (rk_outlook_t){.n_clusters = plan->n_clusters, .n_stages = plan->n_stages, .n_nodes = plan->n_nodes,
                        .least = UINT64_MAX, .averaging_ns = plan->averaging_ns, .fill_ns = plan->fill_ns};
    for (uint32_t c = 0; c < plan->n_clusters; c++) {
        const rk_plan_cluster_t *cluster = &plan->clusters[c];
        const uint64_t rate = s_capped_rate (plan, &hosts, c);
        o->rates += rate;
        o->least = rate < o->least ? rate : o->least;
        o->most = rate > o->most ? rate : o->most;
        o->longest = cluster->n_stages > o->longest ? cluster->n_stages : o->longest;
        for (uint32_t s = 0; s < cluster->n_stages; s++)
            o->staleness += rk_score_staleness (&plan->settings, s, cluster->in_flight);
    }
    rk_outlook_judge (o, &plan->settings, plan->minibatches_per_pass);
}

void rk_plan_score (const rk_plan_t *plan, rk_score_t *out)
{
    rk_outlook_t outlook;
    s_fill_outlook (plan, &outlook);
    const rk_mixing_t mixing = rk_score_mixing (&plan->settings, plan->n_clusters);
    *out = (rk_score_t){.samples_per_1000s = outlook.samples_per_1000s,
                        .score = outlook.score,
                        .round_ns = outlook.round_ns,
                        .averaging_ns = outlook.averaging_ns,
                        .round_bytes = (uint64_t) ((s_wide_t) mixing.models_ppm * plan->n_clusters * 4 * plan->n_flat / 1000000)};
    for (uint32_t i = 0; i < plan->n_stages; i++) {
        if (plan->stages[i].memory_bytes > out->max_memory_bytes)
            out->max_memory_bytes = plan->stages[i].memory_bytes;
        if (plan->stages[i].busy_ns > plan->stages[out->bottleneck_stage].busy_ns)
            out->bottleneck_stage = i;
    }
}
