/* SPDX-License-Identifier: MPL-2.0
 * A plan as plain data: allocation, completion, plans by hand, and the questions everybody asks.        */
#include "cluster/plan_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one block */
static void *s_carve (char **at, size_t n, size_t size)
{
    void *part = *at;
    *at += (n * size + 15) / 16 * 16;
    return part;
}

rk_err_t rk_plan_new (rk_plan_t **plan_p, const rk_plan_t *sizes)
{
    const size_t n_owners = (size_t) sizes->n_segments * sizes->n_clusters;
    size_t bytes = sizeof (rk_plan_t) + sizes->n_nodes * (3 * sizeof (uint32_t) + sizeof (uint64_t)) +
                   sizes->n_clusters * sizeof (rk_plan_cluster_t) + sizes->n_stages * sizeof (rk_plan_stage_t) +
                   sizes->n_rings * sizeof (rk_plan_ring_t) + sizes->n_segments * sizeof (rk_plan_segment_t) +
                   n_owners * sizeof (uint32_t) + 10 * 16; /* each part starts at a multiple of 16 */
    rk_plan_t *plan = calloc (1, bytes);
    if (!plan)
        return RK_ENOMEM;
    *plan = *sizes;
    char *at = (char *) plan;
    s_carve (&at, 1, sizeof *plan);
    plan->nodes = s_carve (&at, plan->n_nodes, sizeof *plan->nodes);
    plan->node_hosts = s_carve (&at, plan->n_nodes, sizeof *plan->node_hosts);
    plan->node_speed_ppm = s_carve (&at, plan->n_nodes, sizeof *plan->node_speed_ppm);
    plan->node_cores = s_carve (&at, plan->n_nodes, sizeof *plan->node_cores);
    plan->clusters = s_carve (&at, plan->n_clusters, sizeof *plan->clusters);
    plan->stages = s_carve (&at, plan->n_stages, sizeof *plan->stages);
    plan->rings = s_carve (&at, plan->n_rings, sizeof *plan->rings);
    plan->segments = s_carve (&at, plan->n_segments, sizeof *plan->segments);
    plan->owners = s_carve (&at, n_owners, sizeof *plan->owners);
    *plan_p = plan;
    return RK_OK;
}

void rk_plan_destroy (rk_plan_t **plan_p)
{
    free (*plan_p);
    *plan_p = NULL;
}

static void s_copy_parts (rk_plan_t *to, const rk_plan_t *from)
{
    memcpy (to->nodes, from->nodes, from->n_nodes * sizeof *to->nodes);
    memcpy (to->node_hosts, from->node_hosts, from->n_nodes * sizeof *to->node_hosts);
    memcpy (to->node_speed_ppm, from->node_speed_ppm, from->n_nodes * sizeof *to->node_speed_ppm);
    memcpy (to->node_cores, from->node_cores, from->n_nodes * sizeof *to->node_cores);
    memcpy (to->clusters, from->clusters, from->n_clusters * sizeof *to->clusters);
    memcpy (to->stages, from->stages, from->n_stages * sizeof *to->stages);
}

static void s_copy_ranges (rk_plan_t *to, const rk_plan_ring_t *rings, const rk_plan_segment_t *segments,
                           const uint32_t *owners)
{
    if (to->n_segments == 0)
        return;
    memcpy (to->rings, rings, to->n_rings * sizeof *rings);
    memcpy (to->segments, segments, to->n_segments * sizeof *segments);
    memcpy (to->owners, owners, (size_t) to->n_segments * to->n_clusters * sizeof *owners);
}

rk_err_t rk_plan_copy (rk_plan_t **copy_p, const rk_plan_t *plan)
{
    rk_err_t code = rk_plan_new (copy_p, plan);
    if (code != RK_OK)
        return code;
    s_copy_parts (*copy_p, plan);
    s_copy_ranges (*copy_p, plan->rings, plan->segments, plan->owners);
    return RK_OK;
}

/* ---- making */
rk_err_t rk_plan_start (rk_plan_t *half, uint64_t view, const rk_model_info_t *model, const rk_settings_t *settings,
                        rk_error_t *err)
{
    *half = (rk_plan_t){.view = view, .settings = *settings};
    /* Where a run writes, reads its plan and listens does not change what it computes, nor its digest. */
    half->settings.run_dir[0] = half->settings.run_plan[0] = half->settings.net_listen[0] = 0;
    if (model->n_layers == 0 || model->n_layers > RK_PLAN_MAX_LAYERS)
        return rk_error_set (err, RK_EINVAL, "a model of %u layers cannot be planned (1 to %u)", model->n_layers,
                             RK_PLAN_MAX_LAYERS);
    if (model->n_flat > RK_PLAN_MAX_FLOATS || model->layers[0].flat_at != 0 ||
        model->layers[model->n_layers - 1].flat_at > model->n_flat)
        return rk_error_set (err, RK_EINVAL, "a flat vector of %llu floats does not fit its layers",
                             (unsigned long long) model->n_flat);
    for (uint32_t l = 1; l < model->n_layers; l++)
        if (model->layers[l].flat_at < model->layers[l - 1].flat_at)
            return rk_error_set (err, RK_EINVAL, "layer %u begins before layer %u in the flat vector", l, l - 1);
    if (model->train_samples == 0 || model->train_samples > RK_PLAN_MAX_SAMPLES || model->test_samples > RK_PLAN_MAX_SAMPLES)
        return rk_error_set (err, RK_EINVAL, "%llu training samples cannot be planned",
                             (unsigned long long) model->train_samples);
    if (model->n_dims > 4)
        return rk_error_set (err, RK_EINVAL, "samples of %u dimensions cannot be planned (at most 4)", model->n_dims);
    if (settings->train_batch == 0)
        return rk_error_set (err, RK_EINVAL, "train.batch is 0");
    half->n_flat = model->n_flat;
    half->n_layers = model->n_layers;
    half->train_samples = model->train_samples;
    half->test_samples = model->test_samples;
    half->n_dims = model->n_dims;
    memcpy (half->dims, model->dims, sizeof half->dims);
    half->n_classes = model->n_classes;
    half->minibatches_per_pass = (model->train_samples + settings->train_batch - 1) / settings->train_batch;
    half->test_minibatches = (model->test_samples + settings->train_batch - 1) / settings->train_batch;
    return RK_OK;
}

rk_err_t rk_plan_complete (rk_plan_t **plan_p, const rk_plan_t *half)
{
    rk_ranges_t ranges;
    rk_err_t code = rk_ranges_derive (&ranges, half);
    if (code != RK_OK)
        return code;
    rk_plan_t sizes = *half;
    sizes.n_rings = ranges.n_rings;
    sizes.n_segments = ranges.n_segments;
    rk_plan_t *plan;
    code = rk_plan_new (&plan, &sizes);
    if (code == RK_OK) {
        s_copy_parts (plan, half);
        s_copy_ranges (plan, ranges.rings, ranges.segments, ranges.owners);
        plan->digest = rk_plan_digest (plan);
        *plan_p = plan;
    }
    rk_ranges_free (&ranges);
    return code;
}

rk_err_t rk_plan_set_cursor (rk_plan_t *plan, uint64_t first_round, uint64_t first_f, uint32_t n_shards, rk_error_t *err)
{
    rk_plan_t moved = *plan;
    moved.first_round = first_round;
    moved.first_f = first_f;
    moved.n_shards = n_shards;
    rk_err_t code = rk_plan_check_cursor (&moved, err);
    if (code != RK_OK)
        return rk_error_wrap (err, RK_EINVAL, "cursor");
    *plan = moved;
    plan->digest = rk_plan_digest (plan);
    return RK_OK;
}

/* ---- by hand */
typedef struct {
    uint32_t nodes[RK_MAX_FLEET], speeds[RK_MAX_FLEET], cores[RK_MAX_FLEET];
    uint64_t hosts[RK_MAX_FLEET];
    rk_plan_cluster_t clusters[RK_MAX_CLUSTERS];
    rk_plan_stage_t stages[RK_MAX_FLEET];
} s_arrays_t;

static rk_err_t s_hand_stage (rk_plan_t *half, uint32_t cluster, uint32_t s, const uint32_t *cuts,
                              const rk_model_info_t *model, rk_error_t *err)
{
    const rk_plan_cluster_t *c = &half->clusters[cluster];
    uint32_t i = c->first_stage + s, last = s + 1 < c->n_stages ? cuts[i + 1] : model->n_layers;
    if ((s == 0 && cuts[i] != 0) || cuts[i] >= last || last > model->n_layers)
        return rk_error_set (err, RK_EPLAN, "cluster %u, stage %u: layers %u to %u of %u are no stage", cluster, s, cuts[i],
                             last, model->n_layers);
    const bool recompute = half->settings.pipeline_recompute == RK_RECOMPUTE_ON;
    half->stages[i] = (rk_plan_stage_t){
        .node = i,
        .first = cuts[i],
        .last = last,
        .flat_lo = model->layers[cuts[i]].flat_at,
        .flat_hi = last < model->n_layers ? model->layers[last].flat_at : model->n_flat,
        .memory_bytes = rk_stage_memory (model, &half->settings, cuts[i], last, c->in_flight, recompute),
        .recompute = recompute,
    };
    half->nodes[i] = i;
    half->node_speed_ppm[i] = 1000000;
    half->node_cores[i] = 1;
    return RK_OK;
}

rk_err_t rk_plan_by_hand (rk_plan_t **plan_p, uint64_t view, const rk_model_info_t *model, const rk_settings_t *settings,
                          uint32_t n_clusters, const uint32_t *counts, const uint32_t *cuts, const uint64_t *rates,
                          rk_error_t *err)
{
    if (n_clusters == 0 || n_clusters > RK_MAX_CLUSTERS)
        return rk_error_set (err, RK_EPLAN, "%u clusters (1 to %d)", n_clusters, RK_MAX_CLUSTERS);
    rk_plan_t half;
    rk_err_t code = rk_plan_start (&half, view, model, settings, err);
    if (code != RK_OK)
        return code;
    s_arrays_t a = {0};
    half.nodes = a.nodes, half.node_hosts = a.hosts, half.node_speed_ppm = a.speeds, half.node_cores = a.cores;
    half.clusters = a.clusters, half.stages = a.stages;
    half.n_clusters = n_clusters;
    for (uint32_t c = 0; c < n_clusters; c++) {
        if (counts[c] == 0 || counts[c] > RK_MAX_FLEET - half.n_stages)
            return rk_error_set (err, RK_EPLAN, "cluster %u has %u stages (at least 1, at most %d in all)", c, counts[c],
                                 RK_MAX_FLEET);
        uint64_t rate = rates ? rates[c] : 1000000000;
        if (rate == 0 || rate > RK_PLAN_MAX_RATE)
            return rk_error_set (err, RK_EPLAN, "cluster %u has rate %llu", c, (unsigned long long) rate);
        a.clusters[c] = (rk_plan_cluster_t){half.n_stages, counts[c], rate,
                                            settings->pipeline_in_flight ? settings->pipeline_in_flight : counts[c]};
        for (uint32_t s = 0; s < counts[c]; s++) {
            code = s_hand_stage (&half, c, s, cuts, model, err);
            if (code != RK_OK)
                return code;
        }
        half.n_stages += counts[c];
    }
    half.n_nodes = half.n_stages;
    code = rk_plan_complete (plan_p, &half);
    return code == RK_OK ? RK_OK : rk_error_set (err, code, "no memory for a plan of %u stages", half.n_stages);
}

/* ---- questions */
const rk_plan_stage_t *rk_plan_stage (const rk_plan_t *plan, uint32_t cluster, uint32_t stage)
{
    return &plan->stages[plan->clusters[cluster].first_stage + stage];
}

uint32_t rk_plan_stage_of_node (const rk_plan_t *plan, uint32_t node, uint32_t *cluster, uint32_t *stage)
{
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        for (uint32_t s = 0; s < plan->clusters[c].n_stages; s++)
            if (rk_plan_stage (plan, c, s)->node == node) {
                if (cluster)
                    *cluster = c;
                if (stage)
                    *stage = s;
                return plan->clusters[c].first_stage + s;
            }
    return RK_NO_NODE;
}

void rk_plan_piece (const rk_plan_t *plan, uint32_t segment, uint32_t piece, uint64_t *lo, uint64_t *hi)
{
    const rk_plan_segment_t *g = &plan->segments[segment];
    const rk_plan_ring_t *ring = &plan->rings[g->ring];
    uint64_t length = ring->hi - ring->lo;
    uint64_t from = ring->lo + length * piece / plan->n_clusters, to = ring->lo + length * (piece + 1) / plan->n_clusters;
    from = from < g->lo ? g->lo : from > g->hi ? g->hi : from;
    to = to < from ? from : to > g->hi ? g->hi : to;
    *lo = from;
    *hi = to;
}
