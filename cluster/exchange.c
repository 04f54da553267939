/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/exchange.h"

#include "cluster/lease.h"

rk_graph_config_t rk_exchange_config (const rk_plan_t *plan)
{
    const rk_settings_t *s = &plan->settings;
    return (rk_graph_config_t) {.name = s->average_graph,
                                .n = plan->n_clusters,
                                .seed = s->run_seed,
                                .degree = s->average_degree,
                                .probability = s->average_probability,
                                .k0 = s->average_k0,
                                .gamma = s->average_gamma,
                                .k_min = s->average_k_min,
                                .hold = s->average_hold,
                                .per_side = s->average_k_unit == 1,
                                .rounded = s->average_k_rounding == 1,
                                .group = s->average_group,
                                .budget = s->average_budget,
                                .global_every = s->average_global_every};
}

rk_err_t rk_exchange_graph (rk_graph_t **graph_p, const rk_plan_t *plan, rk_error_t *err)
{
    const rk_graph_config_t config = rk_exchange_config (plan);
    return rk_graph_new (graph_p, &config, err);
}

uint32_t rk_exchange_planes (const rk_settings_t *settings, uint32_t optimizer_slots)
{
    return 1 + (settings->average_optimizer_state ? optimizer_slots : settings->average_tracking ? 1 : 0);
}

bool rk_exchange_is_sparse (const rk_graph_t *graph)
{
    return !rk_graph_is_exact (graph);
}

rk_exchange_t rk_exchange_at (const rk_plan_t *plan, const rk_graph_t *graph, uint64_t round, uint32_t control)
{
    uint64_t first, end;
    rk_round_range (plan, round, &first, &end);
    rk_exchange_t exchange = {.at = {.step = round, .pass = rk_pass_of (plan, first), .control = control}};
    exchange.mix = graph && !rk_graph_is_exact_at (graph, &exchange.at);
    exchange.merge = !exchange.mix || rk_round_ends_pass (plan, round);
    return exchange;
}
