/* SPDX-License-Identifier: MPL-2.0
 * Rings and segments. Every rule ends in the same form: rings cover the flat vector in order, segments are
 * the intersections of all clusters' stages and of the rings, so each has one owner per cluster.         */
#include "cluster/plan_parts.h"

#include <stdlib.h>
#include <string.h>

/* Ends of ranges, ascending: range i is [i ? end[i - 1] : 0, end[i]). */
typedef struct {
    uint64_t *end;
    uint32_t n;
} s_ends_t;

static void s_add_end (s_ends_t *ends, uint64_t end)
{
    uint32_t i = ends->n;
    while (i > 0 && ends->end[i - 1] > end)
        i--;
    if (end == 0 || (i > 0 && ends->end[i - 1] == end))
        return;
    memmove (ends->end + i + 1, ends->end + i, (ends->n - i) * sizeof *ends->end);
    ends->end[i] = end;
    ends->n++;
}

/* Ends of the stages of one cluster; stages without parameters leave none. */
static void s_add_cluster (s_ends_t *ends, const rk_plan_t *plan, uint32_t cluster)
{
    const rk_plan_cluster_t *c = &plan->clusters[cluster];
    for (uint32_t s = 0; s < c->n_stages; s++)
        s_add_end (ends, plan->stages[c->first_stage + s].flat_hi);
}

static void s_intersect (s_ends_t *rings, const rk_plan_t *plan)
{
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        s_add_cluster (rings, plan, c);
}

/* Ravnest, newer code: the stages of the cluster with the most of them, the first such. */
static void s_largest (s_ends_t *rings, const rk_plan_t *plan)
{
    uint32_t best = 0;
    for (uint32_t c = 1; c < plan->n_clusters; c++)
        if (plan->clusters[c].n_stages > plan->clusters[best].n_stages)
            best = c;
    s_add_cluster (rings, plan, best);
}

/* The k-th stage of a cluster that has parameters; its length, or 0 past the last. */
static uint64_t s_kth_length (const rk_plan_t *plan, uint32_t cluster, uint32_t k)
{
    const rk_plan_cluster_t *c = &plan->clusters[cluster];
    for (uint32_t s = 0; s < c->n_stages; s++) {
        const rk_plan_stage_t *stage = &plan->stages[c->first_stage + s];
        if (stage->flat_hi > stage->flat_lo && k-- == 0)
            return stage->flat_hi - stage->flat_lo;
    }
    return 0;
}

/* Ravnest, as published: ring k is the smallest k-th slot of any cluster; what a cluster has more in that
 * slot is pushed into its next one.                                                                      */
static void s_min_size (s_ends_t *rings, const rk_plan_t *plan)
{
    uint64_t excess[RK_PLAN_MAX_NODES] = {0};
    for (uint64_t end = 0; end < plan->n_flat;) {
        uint32_t k = rings->n;
        uint64_t least = UINT64_MAX;
        for (uint32_t c = 0; c < plan->n_clusters; c++) {
            excess[c] += s_kth_length (plan, c, k);
            least = excess[c] < least ? excess[c] : least;
        }
        for (uint32_t c = 0; c < plan->n_clusters; c++)
            excess[c] -= least;
        end += least;
        s_add_end (rings, end);
    }
}

static void (*const s_rules[]) (s_ends_t *, const rk_plan_t *) = {
    [RK_RINGS_INTERSECT] = s_intersect, [RK_RINGS_MIN_SIZE] = s_min_size, [RK_RINGS_LARGEST] = s_largest};

/* The stage of `cluster` that holds the float `at`. */
static uint32_t s_owner (const rk_plan_t *plan, uint32_t cluster, uint64_t at)
{
    const rk_plan_cluster_t *c = &plan->clusters[cluster];
    uint32_t i = c->first_stage;
    while (plan->stages[i].flat_hi <= at)
        i++;
    return i;
}

static void s_fill (rk_ranges_t *out, const rk_plan_t *plan, const s_ends_t *rings, const s_ends_t *segments)
{
    for (uint32_t r = 0; r < rings->n; r++)
        out->rings[r] = (rk_plan_ring_t){r ? rings->end[r - 1] : 0, rings->end[r]};
    for (uint32_t i = 0, ring = 0; i < segments->n; i++) {
        uint64_t lo = i ? segments->end[i - 1] : 0;
        while (rings->end[ring] <= lo)
            ring++;
        out->segments[i] = (rk_plan_segment_t){lo, segments->end[i], ring, i * plan->n_clusters};
        for (uint32_t c = 0; c < plan->n_clusters; c++)
            out->owners[i * plan->n_clusters + c] = s_owner (plan, c, lo);
    }
    out->n_rings = rings->n;
    out->n_segments = segments->n;
}

rk_err_t rk_ranges_derive (rk_ranges_t *out, const rk_plan_t *plan)
{
    /* One more than there can be, so that no size is zero. */
    size_t most = (size_t) plan->n_stages + 1;
    s_ends_t rings = {calloc (most, sizeof (uint64_t)), 0}, segments = {calloc (2 * most, sizeof (uint64_t)), 0};
    *out = (rk_ranges_t){calloc (most, sizeof *out->rings), calloc (2 * most, sizeof *out->segments),
                         calloc (2 * most * plan->n_clusters, sizeof *out->owners), 0, 0};
    bool ok = rings.end && segments.end && out->rings && out->segments && out->owners;
    if (ok && plan->n_flat > 0) {
        s_rules[plan->settings.plan_rings](&rings, plan);
        s_intersect (&segments, plan);
        for (uint32_t r = 0; r < rings.n; r++)
            s_add_end (&segments, rings.end[r]);
        s_fill (out, plan, &rings, &segments);
    }
    free (rings.end);
    free (segments.end);
    if (ok)
        return RK_OK;
    rk_ranges_free (out);
    return RK_ENOMEM;
}

void rk_ranges_free (rk_ranges_t *ranges)
{
    free (ranges->rings);
    free (ranges->segments);
    free (ranges->owners);
    *ranges = (rk_ranges_t){0};
}
