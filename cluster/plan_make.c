/* SPDX-License-Identifier: MPL-2.0
 * From measurements to a plan: check the inputs, let a planner divide nodes and layers, derive the rest.  */
#include "cluster/plan_parts.h"

#include <stdio.h>
#include <string.h>
#include "cluster/planners/planner.h"

/* Sums over all layers: three years, a petabyte. Products of them stay within 64 bits. */
#define MOST_NS UINT64_C (100000000000000000)
#define MOST_BYTES (UINT64_C (1) << 50)

static const rk_planner_t s_planners[] = {{"auto", rk_planner_auto}};

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
    uint32_t nodes[RK_MAX_FLEET], speeds[RK_MAX_FLEET], cores[RK_MAX_FLEET];
    uint64_t hosts[RK_MAX_FLEET];
    rk_plan_cluster_t clusters[RK_MAX_CLUSTERS];
    rk_plan_stage_t stages[RK_MAX_FLEET];
} s_arrays_t;

static void s_fill_nodes (rk_plan_t *half, const rk_fleet_t *fleet, const rk_assignment_t *a)
{
    for (uint32_t i = 0; i < fleet->n_nodes; i++) {
        bool used = false;
        for (uint32_t s = 0; s < a->n_stages; s++)
            used = used || a->nodes[s] == i;
        if (!used)
            continue;
        half->nodes[half->n_nodes] = fleet->nodes[i].id;
        half->node_hosts[half->n_nodes] = fleet->nodes[i].host;
        half->node_speed_ppm[half->n_nodes] = fleet->nodes[i].speed_ppm;
        half->node_cores[half->n_nodes++] = fleet->nodes[i].cores;
    }
}

static uint32_t s_unit_of (const rk_costs_t *costs, uint32_t layer)
{
    uint32_t u = 0;
    while (costs->at[u] < layer)
        u++;
    return u;
}

/* Rates as the planner saw them: the slowest stage, or the window. */
static void s_fill_cluster (rk_plan_t *half, uint32_t cluster, const rk_costs_t *costs, const rk_assignment_t *a)
{
    uint32_t k = a->counts[cluster], base = half->n_stages, in_flight = rk_costs_in_flight (costs, k);
    uint64_t slowest = 0, turn = 0;
    for (uint32_t s = 0; s < k; s++) {
        uint32_t first = a->first_layers[base + s], last = s + 1 < k ? a->first_layers[base + s + 1] : half->n_layers;
        const uint32_t unit = s_unit_of (costs, first), end = s_unit_of (costs, last);
        uint64_t busy = rk_costs_busy_ns (costs, a->nodes + base, k, s, unit, end);
        half->stages[base + s] = (rk_plan_stage_t){
            .node = costs->fleet->nodes[a->nodes[base + s]].id,
            .first = first,
            .last = last,
            .flat_lo = costs->flat[unit],
            .flat_hi = costs->flat[end],
            .memory_bytes = rk_stage_memory (costs->model, costs->settings, first, last, in_flight),
            .busy_ns = busy,
        };
        slowest = busy > slowest ? busy : slowest;
        turn += busy;
    }
    uint64_t ns = turn / in_flight > slowest ? turn / in_flight : slowest;
    half->clusters[cluster] = (rk_plan_cluster_t){base, k, rk_plan_rate (ns), in_flight};
    half->n_stages += k;
}

static rk_err_t s_build (rk_plan_t **plan_p, rk_plan_t *half, const rk_costs_t *costs, const rk_assignment_t *a)
{
    s_arrays_t arrays = {0};
    half->nodes = arrays.nodes, half->node_hosts = arrays.hosts;
    half->node_speed_ppm = arrays.speeds, half->node_cores = arrays.cores;
    half->clusters = arrays.clusters, half->stages = arrays.stages;
    half->n_clusters = a->n_clusters;
    s_fill_nodes (half, costs->fleet, a);
    for (uint32_t c = 0; c < a->n_clusters; c++)
        s_fill_cluster (half, c, costs, a);
    rk_plan_cap_rates (half);
    return rk_plan_complete (plan_p, half);
}

static rk_err_t s_plan (rk_plan_t **plan_p, rk_plan_t *half, const rk_fleet_t *fleet, const rk_model_info_t *model,
                        const rk_settings_t *settings, rk_error_t *err)
{
    rk_costs_t costs;
    rk_assignment_t assignment;
    rk_err_t code = rk_costs_init (&costs, fleet, model, settings);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory to plan %u nodes", fleet->n_nodes);
    code = s_planners[0].assign (&costs, &assignment, err);
    if (code == RK_OK) {
        code = s_build (plan_p, half, &costs, &assignment);
        if (code != RK_OK)
            rk_error_set (err, code, "no memory for a plan of %u stages", half->n_stages);
    }
    rk_costs_clear (&costs);
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
    if (code == RK_OK && (fleet->n_nodes == 0 || fleet->n_nodes > RK_MAX_FLEET))
        code = rk_error_set (err, RK_EINVAL, "%u nodes cannot be planned (1 to %d)", fleet->n_nodes, RK_MAX_FLEET);
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
