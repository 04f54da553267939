/* SPDX-License-Identifier: MPL-2.0
 * What a plan's own figures say to its simulation.                                                        */
#include "cluster/plan_parts.h"
#include "cluster/simulate.h"

#define MOST_WORK UINT64_C (40000000) /* minibatches x stages x stages: about a second */

static uint32_t s_index (const rk_fleet_t *fleet, uint32_t id)
{
    uint32_t i = 0;
    while (i < fleet->n_nodes && fleet->nodes[i].id != id)
        i++;
    return i;
}

static uint64_t s_host (const rk_plan_t *plan, uint32_t id)
{
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        if (plan->nodes[i] == id)
            return plan->node_hosts[i];
    return UINT64_MAX;
}

/* Until `bytes` from one stage have come to another: what was measured of the link, or what planners assume. */
static uint64_t s_hop_ns (const rk_plan_t *plan, const rk_fleet_t *fleet, const rk_plan_stage_t *from, const rk_plan_stage_t *to, uint64_t bytes)
{
    const bool local = s_host (plan, from->node) == s_host (plan, to->node);
    uint64_t rate = local ? RK_PLAN_LOCAL_RATE : RK_PLAN_UNMEASURED_RATE;
    uint64_t rtt_ns = 1000 * (local ? RK_PLAN_LOCAL_RTT_US : RK_PLAN_UNMEASURED_RTT_US);
    const uint32_t a = fleet ? s_index (fleet, from->node) : 0, b = fleet ? s_index (fleet, to->node) : 0;
    if (fleet && a < fleet->n_nodes && b < fleet->n_nodes) {
        const size_t at = (size_t) a * fleet->n_nodes + b;
        rate = fleet->link_bytes_per_s && fleet->link_bytes_per_s[at] ? fleet->link_bytes_per_s[at] : rate;
        rtt_ns = fleet->link_rtt_ns && fleet->link_rtt_ns[at] ? fleet->link_rtt_ns[at] : rtt_ns;
    }
    return rtt_ns / 2 + (uint64_t) ((unsigned __int128) bytes * 1000000000 / rate);
}

/* Of all of a stage's time; a third where layers were not measured. */
static uint64_t s_forward_ns (const rk_plan_stage_t *stage, const rk_fleet_t *fleet)
{
    const uint32_t i = fleet ? s_index (fleet, stage->node) : 0;
    const uint64_t forwards = stage->recompute ? 2 : 1;
    uint64_t ns = 0;
    if (!fleet || i == fleet->n_nodes)
        return stage->busy_ns / (2 + forwards);
    for (uint32_t l = stage->first; l < stage->last; l++)
        ns += fleet->nodes[i].forward_ns[l];
    return ns * forwards <= stage->busy_ns ? ns : stage->busy_ns / (2 + forwards);
}

void rk_simulated_costs (const rk_plan_t *plan, const rk_fleet_t *fleet, const rk_model_info_t *model, rk_simulated_stage_t *stages)
{
    for (uint32_t c = 0; c < plan->n_clusters; c++) {
        const uint32_t base = plan->clusters[c].first_stage, k = plan->clusters[c].n_stages;
        for (uint32_t s = 0; s < k; s++) {
            const rk_plan_stage_t *stage = &plan->stages[base + s];
            rk_simulated_stage_t *out = &stages[base + s];
            out->forward_ns = s_forward_ns (stage, fleet);
            out->backward_ns = stage->busy_ns - out->forward_ns * (stage->recompute ? 2 : 1);
            const uint64_t parts = plan->settings.pipeline_wire == RK_WIRE_F16 ? 2 : 1;
            const uint64_t up = model && s > 0 ? model->layers[stage->first].cut_bytes / parts : 0;
            const uint64_t down = model && s + 1 < k ? model->layers[stage->last].cut_bytes / parts : 0;
            out->up_ns = s > 0 ? s_hop_ns (plan, fleet, stage, stage - 1, up) : 0;
            out->down_ns = s + 1 < k ? s_hop_ns (plan, fleet, stage, stage + 1, down) : 0;
        }
    }
}

uint64_t rk_simulated_rounds (const rk_plan_t *plan, uint64_t every)
{
    const uint64_t of_round = every * plan->n_clusters * plan->n_stages * plan->n_stages;
    const uint64_t rounds = MOST_WORK / (of_round ? of_round : 1);
    return rounds < 50 ? rounds : 50;
}
