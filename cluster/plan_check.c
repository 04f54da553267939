/* SPDX-License-Identifier: MPL-2.0
 * Is a plan whole? What follows from something else (segments, owners, digest) is derived again and
 * compared; nothing is used as an index before it is known to be in range.                               */
#include "cluster/plan_parts.h"

#include <string.h>

#define MOST_NS (UINT64_C (1) << 62)

static rk_err_t s_check_scalars (const rk_plan_t *p, rk_error_t *err)
{
    uint64_t batch = p->settings.train_batch;
    if (p->n_nodes == 0 || p->n_nodes > RK_PLAN_MAX_NODES || p->n_stages != p->n_nodes || p->n_clusters == 0 ||
        p->n_clusters > p->n_stages || p->n_layers == 0 || p->n_layers > RK_PLAN_MAX_LAYERS || p->n_flat > RK_PLAN_MAX_FLOATS)
        return rk_error_set (err, RK_EFORMAT, "no plan has %u nodes, %u clusters, %u stages and %u layers", p->n_nodes,
                             p->n_clusters, p->n_stages, p->n_layers);
    if (batch == 0 || p->train_samples == 0 || p->train_samples > RK_PLAN_MAX_SAMPLES ||
        p->test_samples > RK_PLAN_MAX_SAMPLES || p->minibatches_per_pass != (p->train_samples + batch - 1) / batch ||
        p->test_minibatches != (p->test_samples + batch - 1) / batch)
        return rk_error_set (err, RK_EFORMAT, "%llu samples in batches of %llu are not %llu minibatches",
                             (unsigned long long) p->train_samples, (unsigned long long) batch,
                             (unsigned long long) p->minibatches_per_pass);
    if (p->averaging_ns > MOST_NS || p->fill_ns > MOST_NS)
        return rk_error_set (err, RK_EFORMAT, "averaging takes %llu ns, filling the pipelines %llu",
                             (unsigned long long) p->averaging_ns, (unsigned long long) p->fill_ns);
    if (p->n_dims > 4)
        return rk_error_set (err, RK_EFORMAT, "samples have %u dimensions", p->n_dims);
    if (!memchr (p->kernels, 0, sizeof p->kernels))
        return rk_error_set (err, RK_EFORMAT, "the name of the kernel set has no end");
    return RK_OK;
}

/* Rounds and minibatches are counted on from it, so it leaves room for those of the run. */
rk_err_t rk_plan_check_cursor (const rk_plan_t *p, rk_error_t *err)
{
    unsigned __int128 all = (unsigned __int128) p->settings.run_passes * p->minibatches_per_pass;
    if (p->first_f > all || (p->first_round == 0) != (p->first_f == 0) || p->first_round > p->first_f)
        return rk_error_set (err, RK_EFORMAT, "%llu rounds with %llu minibatches lie before no plan of %llu",
                             (unsigned long long) p->first_round, (unsigned long long) p->first_f,
                             (unsigned long long) (all > UINT64_MAX ? UINT64_MAX : (uint64_t) all));
    if (p->n_shards > RK_MAX_CLUSTERS)
        return rk_error_set (err, RK_EFORMAT, "the data are in %u shards, at most %d", p->n_shards, RK_MAX_CLUSTERS);
    return RK_OK;
}

static rk_err_t s_check_nodes (const rk_plan_t *p, rk_error_t *err)
{
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        if (i > 0 && p->nodes[i] <= p->nodes[i - 1])
            return rk_error_set (err, RK_EFORMAT, "node %u follows node %u", p->nodes[i], p->nodes[i - 1]);
        if (p->nodes[i] == RK_NO_NODE || p->node_cores[i] == 0 || p->node_speed_ppm[i] == 0 || p->node_speed_ppm[i] > 1000000)
            return rk_error_set (err, RK_EFORMAT, "node %u has %u cores and speed %u ppm", p->nodes[i], p->node_cores[i],
                                 p->node_speed_ppm[i]);
        uint32_t n_stages = 0;
        for (uint32_t s = 0; s < p->n_stages; s++)
            n_stages += p->stages[s].node == p->nodes[i];
        if (n_stages != 1)
            return rk_error_set (err, RK_EFORMAT, "node %u holds %u stages", p->nodes[i], n_stages);
    }
    return RK_OK;
}

static rk_err_t s_check_cluster (const rk_plan_t *p, uint32_t cluster, uint32_t first_stage, rk_error_t *err)
{
    const rk_plan_cluster_t *c = &p->clusters[cluster];
    if (c->first_stage != first_stage || c->n_stages == 0 || c->n_stages > p->n_stages - first_stage || c->rate == 0 ||
        c->rate > RK_PLAN_MAX_RATE || c->in_flight == 0 || c->in_flight > 256)
        return rk_error_set (err, RK_EFORMAT, "cluster %u: stages %u + %u, rate %llu, in flight %u", cluster, c->first_stage,
                             c->n_stages, (unsigned long long) c->rate, c->in_flight);
    uint32_t layer = 0;
    uint64_t flat = 0;
    for (uint32_t i = first_stage; i < first_stage + c->n_stages; i++) {
        const rk_plan_stage_t *s = &p->stages[i];
        if (s->first != layer || s->last <= s->first || s->flat_lo != flat || s->flat_hi < s->flat_lo || s->busy_ns > RK_PLAN_MAX_BUSY_NS || s->beside_ns > RK_PLAN_MAX_BUSY_NS)
            return rk_error_set (err, RK_EFORMAT, "cluster %u: layers %u to %u follow layer %u", cluster, s->first, s->last,
                                 layer);
        layer = s->last;
        flat = s->flat_hi;
    }
    if (layer != p->n_layers || flat != p->n_flat)
        return rk_error_set (err, RK_EFORMAT, "cluster %u holds %u of %u layers, %llu of %llu floats", cluster, layer,
                             p->n_layers, (unsigned long long) flat, (unsigned long long) p->n_flat);
    return RK_OK;
}

/* A layer begins at the same float in every cluster, a later one not before it. */
static rk_err_t s_check_flat (const rk_plan_t *p, rk_error_t *err)
{
    for (uint32_t i = 0; i < p->n_stages; i++)
        for (uint32_t j = 0; j < p->n_stages; j++) {
            const rk_plan_stage_t *a = &p->stages[i], *b = &p->stages[j];
            if (a->first <= b->first && (a->flat_lo > b->flat_lo || (a->first == b->first && a->flat_lo != b->flat_lo)))
                return rk_error_set (err, RK_EFORMAT, "layers %u and %u begin at floats %llu and %llu", a->first, b->first,
                                     (unsigned long long) a->flat_lo, (unsigned long long) b->flat_lo);
        }
    return RK_OK;
}

static bool s_same_ranges (const rk_plan_t *p, const rk_ranges_t *r)
{
    bool same = p->n_rings == r->n_rings && p->n_segments == r->n_segments;
    for (uint32_t i = 0; same && i < p->n_rings; i++)
        same = p->rings[i].lo == r->rings[i].lo && p->rings[i].hi == r->rings[i].hi;
    for (uint32_t i = 0; same && i < p->n_segments; i++) {
        const rk_plan_segment_t *a = &p->segments[i], *b = &r->segments[i];
        same = a->lo == b->lo && a->hi == b->hi && a->ring == b->ring && a->first_owner == b->first_owner;
    }
    for (size_t i = 0; same && i < (size_t) p->n_segments * p->n_clusters; i++)
        same = p->owners[i] == r->owners[i];
    return same;
}

static rk_err_t s_check_ranges (const rk_plan_t *p, rk_error_t *err)
{
    rk_ranges_t ranges;
    rk_err_t code = rk_ranges_derive (&ranges, p);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory to check a plan of %u stages", p->n_stages);
    if (!s_same_ranges (p, &ranges))
        code = rk_error_set (err, RK_EFORMAT, "%u rings and %u segments do not follow from the stages (%u and %u do)",
                             p->n_rings, p->n_segments, ranges.n_rings, ranges.n_segments);
    rk_ranges_free (&ranges);
    return code;
}

rk_err_t rk_plan_check (const rk_plan_t *plan, rk_error_t *err)
{
    rk_err_t code = s_check_scalars (plan, err);
    if (code == RK_OK)
        code = rk_settings_check (&plan->settings, err);
    if (code == RK_OK)
        code = rk_plan_check_cursor (plan, err);
    if (code == RK_OK)
        code = s_check_nodes (plan, err);
    for (uint32_t c = 0, stage = 0; code == RK_OK && c < plan->n_clusters; c++) {
        code = s_check_cluster (plan, c, stage, err);
        stage += plan->clusters[c].n_stages;
        if (code == RK_OK && c + 1 == plan->n_clusters && stage != plan->n_stages)
            code = rk_error_set (err, RK_EFORMAT, "the clusters hold %u of %u stages", stage, plan->n_stages);
    }
    if (code == RK_OK)
        code = s_check_flat (plan, err);
    if (code == RK_OK)
        code = s_check_ranges (plan, err);
    if (code == RK_OK && rk_plan_digest (plan) != plan->digest)
        code = rk_error_set (err, RK_EFORMAT, "the plan does not have its digest %016llx", (unsigned long long) plan->digest);
    return code;
}
