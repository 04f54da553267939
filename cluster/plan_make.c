/* SPDX-License-Identifier: MPL-2.0
 * From measurements to a plan: check the inputs, let a planner divide nodes and layers, derive the rest.  */
#include "cluster/plan_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/planners/planner.h"

/* Sums over all layers: a year, a petabyte. Sums over the longest chain stay within 64 bits. */
#define MOST_NS UINT64_C (40000000000000000)
#define MOST_BYTES (UINT64_C (1) << 50)

#define RK_PLANNER(name) {#name, rk_planner_##name},
static const rk_planner_t s_planners[] = {
#include "cluster/planners/list.h"
};
#undef RK_PLANNER

static rk_err_t s_check_node (const rk_fleet_t *fleet, uint32_t i, uint32_t n_layers, rk_error_t *err)
{
    const rk_profile_t *p = &fleet->nodes[i];
    if (p->id == RK_NO_NODE || (i > 0 && p->id <= fleet->nodes[i - 1].id))
        return rk_error_set (err, RK_EINVAL, "node %u follows node %u: ids must ascend", p->id, i ? fleet->nodes[i - 1].id : 0);
    if (p->cores == 0 || p->speed_ppm == 0 || p->speed_ppm > 1000000 || !p->forward_ns || !p->backward_ns)
        return rk_error_set (err, RK_EINVAL, "node %u has %u cores, speed %u ppm%s", p->id, p->cores, p->speed_ppm,
                             p->forward_ns && p->backward_ns ? "" : " and no layer times");
    unsigned __int128 total = 0;
    for (uint32_t l = 0; l < n_layers; l++)
        total += (unsigned __int128) p->forward_ns[l] + p->backward_ns[l];
    if (total > MOST_NS)
        return rk_error_set (err, RK_EINVAL, "node %u: a minibatch takes more than %llu ns", p->id,
                             (unsigned long long) MOST_NS);
    return RK_OK;
}

static rk_err_t s_check_model (const rk_model_info_t *model, rk_error_t *err)
{
    unsigned __int128 total = model->label_bytes;
    for (uint32_t l = 0; l < model->n_layers; l++) {
        const rk_layer_info_t *layer = &model->layers[l];
        total += (unsigned __int128) layer->stash_bytes + layer->grad_bytes + layer->work_bytes + layer->cut_bytes;
    }
    if (total > MOST_BYTES || model->optimizer_slots > 16)
        return rk_error_set (err, RK_EINVAL, "a model of more than %llu bytes or %u optimiser slots cannot be planned",
                             (unsigned long long) MOST_BYTES, model->optimizer_slots);
    return RK_OK;
}

static rk_err_t s_check_layout (const rk_settings_t *settings, uint32_t n_nodes, uint32_t n_layers, rk_error_t *err)
{
    uint32_t total = 0;
    for (uint32_t c = 0; c < settings->n_layout; c++) {
        uint32_t n = settings->fleet_layout[c];
        total += n;
        if (n == 0 || n > n_layers)
            return rk_error_set (err, RK_EPLAN, "fleet.layout: cluster %u of %u stages, the model has %u layers", c, n, n_layers);
    }
    if (total > n_nodes)
        return rk_error_set (err, RK_EPLAN, "fleet.layout needs %u nodes, there are %u", total, n_nodes);
    return RK_OK;
}

/* ---- the planner's answer becomes arrays */
typedef struct {
    uint32_t nodes[RK_PLAN_MAX_NODES], speeds[RK_PLAN_MAX_NODES], cores[RK_PLAN_MAX_NODES];
    uint64_t hosts[RK_PLAN_MAX_NODES];
    rk_plan_cluster_t clusters[RK_PLAN_MAX_NODES];
    rk_plan_stage_t stages[RK_PLAN_MAX_NODES];
} s_arrays_t;

static void s_fill_nodes (rk_plan_t *half, const rk_fleet_t *fleet, const rk_assignment_t *a)
{
    bool used[RK_PLAN_MAX_NODES] = {false};
    for (uint32_t s = 0; s < a->n_stages; s++)
        used[a->nodes[s]] = true;
    for (uint32_t i = 0; i < fleet->n_nodes; i++) {
        if (!used[i])
            continue;
        half->nodes[half->n_nodes] = fleet->nodes[i].id;
        half->node_hosts[half->n_nodes] = fleet->nodes[i].host;
        half->node_speed_ppm[half->n_nodes] = fleet->nodes[i].speed_ppm;
        half->node_cores[half->n_nodes++] = fleet->nodes[i].cores;
    }
}

static rk_err_t s_refuse_stage (const rk_costs_t *costs, const rk_plan_stage_t *stage, uint32_t node, rk_error_t *err)
{
    const rk_profile_t *p = &costs->fleet->nodes[node];
    const uint64_t mb = 1 << 20;
    return rk_error_set (err, RK_EPLAN,
                         "the %s planner's answer does not fit: node %s lacks %llu MB for layers %u to %u (needs %llu MB, has "
                         "%llu MB)",
                         costs->settings->plan_planner, p->name,
                         (unsigned long long) ((stage->memory_bytes - p->ram_bytes + mb - 1) / mb), stage->first, stage->last - 1,
                         (unsigned long long) ((stage->memory_bytes + mb - 1) / mb), (unsigned long long) (p->ram_bytes / mb));
}

/* Rates as the planner saw them: the slowest stage or link, or the window. */
static rk_err_t s_fill_cluster (rk_plan_t *half, uint32_t cluster, rk_costs_t *costs, const rk_chain_t *chain, rk_error_t *err)
{
    const uint32_t k = chain->k, base = half->n_stages, in_flight = rk_costs_in_flight (costs, k);
    for (uint32_t s = 0; s < k; s++) {
        const uint32_t unit = chain->first[s], end = s + 1 < k ? chain->first[s + 1] : costs->n_units;
        const rk_stage_cost_t cost = rk_costs_stage (costs, chain->node, k, s, unit, end);
        half->stages[base + s] = (rk_plan_stage_t){
            .node = costs->fleet->nodes[chain->node[s]].id,
            .first = costs->at[unit],
            .last = costs->at[end],
            .flat_lo = costs->flat[unit],
            .flat_hi = costs->flat[end],
            .memory_bytes = cost.memory_bytes,
            .busy_ns = cost.busy_ns,
            .beside_ns = cost.beside_ns,
            .recompute = cost.recompute,
        };
        if (!cost.fits)
            return s_refuse_stage (costs, &half->stages[base + s], chain->node[s], err);
    }
    half->clusters[cluster] = (rk_plan_cluster_t){base, k, chain->rate, in_flight};
    half->n_stages += k;
    return RK_OK;
}

static rk_err_t s_build (rk_plan_t **plan_p, rk_plan_t *half, rk_costs_t *costs, const rk_assignment_t *a, rk_error_t *err)
{
    rk_outlook_t outlook;
    s_arrays_t *arrays = calloc (1, sizeof *arrays);
    rk_chain_t *chains = malloc (a->n_clusters * sizeof *chains);
    rk_err_t code = arrays && chains ? rk_assignment_judge (costs, a, &outlook) : RK_ENOMEM;
    if (code == RK_OK) {
        half->nodes = arrays->nodes, half->node_hosts = arrays->hosts;
        half->node_speed_ppm = arrays->speeds, half->node_cores = arrays->cores;
        half->clusters = arrays->clusters, half->stages = arrays->stages;
        half->n_clusters = a->n_clusters;
        half->averaging_ns = outlook.averaging_ns;
        half->fill_ns = outlook.fill_ns;
        rk_assignment_chains (costs, a, chains);
        s_fill_nodes (half, costs->fleet, a);
        for (uint32_t c = 0; code == RK_OK && c < a->n_clusters; c++)
            code = s_fill_cluster (half, c, costs, &chains[c], err);
    }
    if (code == RK_OK) {
        rk_plan_cap_rates (half);
        code = rk_plan_complete (plan_p, half);
    }
    free (arrays);
    free (chains);
    return code == RK_ENOMEM ? rk_error_set (err, code, "no memory for a plan of %u stages", a->n_stages) : code;
}

static const rk_planner_t *s_planner (const rk_settings_t *settings)
{
    for (size_t i = 0; i < sizeof s_planners / sizeof *s_planners; i++)
        if (strcmp (s_planners[i].name, settings->plan_planner) == 0)
            return &s_planners[i];
    return NULL;
}

/* Some planners divide as somebody published it. */
static rk_err_t s_check_obeyed (const rk_settings_t *settings, const rk_assignment_t *a, rk_error_t *err)
{
    bool obeyed = settings->n_layout == 0 || settings->n_layout == a->n_clusters;
    for (uint32_t c = 0; obeyed && c < settings->n_layout; c++)
        obeyed = a->counts[c] == settings->fleet_layout[c];
    if (obeyed)
        return RK_OK;
    return rk_error_set (err, RK_EPLAN, "the %s planner has a layout of its own, not that of fleet.layout (plan.planner = auto takes any)",
                         settings->plan_planner);
}

static rk_err_t s_plan (rk_plan_t **plan_p, rk_plan_t *half, const rk_fleet_t *fleet, const rk_model_info_t *model,
                        const rk_settings_t *settings, rk_error_t *err)
{
    rk_costs_t costs;
    const rk_planner_t *planner = s_planner (settings);
    if (!planner)
        return rk_error_set (err, RK_ENOTFOUND, "there is no planner \"%s\"", settings->plan_planner);
    rk_assignment_t *assignment = malloc (sizeof *assignment);
    if (!assignment)
        return rk_error_set (err, RK_ENOMEM, "no memory to plan %u nodes", fleet->n_nodes);
    rk_err_t code = rk_costs_init (&costs, fleet, model, settings);
    if (code == RK_OK) {
        code = planner->assign (&costs, assignment, err);
        if (code == RK_OK)
            code = s_check_obeyed (settings, assignment, err);
        if (code == RK_OK)
            code = s_build (plan_p, half, &costs, assignment, err);
        rk_costs_clear (&costs);
    } else
        rk_error_set (err, code, "no memory to plan %u nodes", fleet->n_nodes);
    free (assignment);
    return code;
}

static bool s_is_built_in (const rk_fleet_t *fleet, const rk_settings_t *settings)
{
    bool same = !settings->fleet_given && fleet->n_nodes == settings->n_fleet;
    for (uint32_t i = 0; same && i < fleet->n_nodes; i++)
        same = fleet->nodes[i].ram_bytes == settings->fleet[i].ram_mb << 20 &&
               strcmp (fleet->nodes[i].name, settings->fleet[i].name) == 0;
    return same;
}

/* Nobody declared the built-in fleet's memory, which suits the main job: for a larger model it is doubled until
 * the model fits, in the same proportions. */
static rk_err_t s_plan_built_in (rk_plan_t **plan_p, rk_plan_t *half, const rk_fleet_t *fleet, const rk_model_info_t *model,
                                 const rk_settings_t *settings, rk_error_t *err)
{
    enum { MOST_DOUBLINGS = 16 };
    rk_profile_t nodes[RK_MAX_FLEET];
    memcpy (nodes, fleet->nodes, fleet->n_nodes * sizeof *nodes);
    rk_fleet_t larger = *fleet;
    larger.nodes = nodes;
    rk_err_t code = RK_EPLAN;
    for (int i = 0; i < MOST_DOUBLINGS && code == RK_EPLAN; i++) {
        for (uint32_t n = 0; n < fleet->n_nodes; n++)
            nodes[n].ram_bytes *= 2;
        rk_plan_t again = *half;
        code = s_plan (plan_p, &again, &larger, model, settings, err);
    }
    return code;
}

rk_err_t rk_plan_make (rk_plan_t **plan_p, uint64_t view, const rk_fleet_t *fleet, const rk_model_info_t *model,
                       const rk_settings_t *settings, const char *kernels, rk_error_t *err)
{
    rk_plan_t half;
    rk_err_t code = rk_plan_start (&half, view, model, settings, err);
    if (code == RK_OK && (fleet->n_nodes == 0 || fleet->n_nodes > RK_PLAN_MAX_NODES))
        code = rk_error_set (err, RK_EINVAL, "%u nodes cannot be planned (1 to %u)", fleet->n_nodes, RK_PLAN_MAX_NODES);
    if (code == RK_OK && strlen (kernels) >= sizeof half.kernels)
        code = rk_error_set (err, RK_EINVAL, "the name of kernel set \"%s\" is too long", kernels);
    for (uint32_t i = 0; code == RK_OK && i < fleet->n_nodes; i++)
        code = s_check_node (fleet, i, model->n_layers, err);
    if (code == RK_OK)
        code = s_check_model (model, err);
    if (code == RK_OK)
        code = s_check_layout (settings, fleet->n_nodes, model->n_layers, err);
    if (code != RK_OK)
        return code;
    snprintf (half.kernels, sizeof half.kernels, "%s", kernels);
    rk_plan_t whole = half;
    code = s_plan (plan_p, &whole, fleet, model, settings, err);
    return code == RK_EPLAN && s_is_built_in (fleet, settings) ? s_plan_built_in (plan_p, &half, fleet, model, settings, err)
                                                               : code;
}
