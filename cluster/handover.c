/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/handover.h"

/* ---- planes */
static const char *const s_names[RK_N_PLANES] = {
    [RK_PLANE_PARAMS] = "params",     [RK_PLANE_STATE0] = "state0",   [RK_PLANE_STATE1] = "state1",
    [RK_PLANE_MIXTURE] = "mixture",   [RK_PLANE_MOMENTUM] = "momentum", [RK_PLANE_TRACKED] = "tracked",
    [RK_PLANE_TRACKED_BEFORE] = "tracked_before",
};

const char *rk_plane_name (rk_plane_t plane)
{
    return (unsigned) plane < RK_N_PLANES ? s_names[plane] : "unknown";
}

uint32_t rk_handover_planes (const rk_settings_t *settings, uint32_t optimizer_slots, uint32_t n_clusters,
                             rk_plane_t planes[RK_N_PLANES])
{
    const bool several = n_clusters > 1;
    const bool has[RK_N_PLANES] = {
        [RK_PLANE_PARAMS] = true,
        [RK_PLANE_STATE0] = optimizer_slots > 0,
        [RK_PLANE_STATE1] = optimizer_slots > 1,
        [RK_PLANE_MIXTURE] = several && settings->average_order == RK_AVERAGE_AWC,
        [RK_PLANE_MOMENTUM] = several && settings->average_momentum == RK_MOMENTUM_QUASI_GLOBAL,
        [RK_PLANE_TRACKED] = several && settings->average_tracking,
        [RK_PLANE_TRACKED_BEFORE] = several && settings->average_tracking,
    };
    uint32_t n = 0;
    for (unsigned p = 0; p < RK_N_PLANES; p++)
        if (has[p])
            planes[n++] = (rk_plane_t) p;
    return n;
}

/* ---- who continues whom */
static uint64_t s_common (const rk_plan_stage_t *a, const rk_plan_stage_t *b)
{
    uint64_t lo = a->flat_lo > b->flat_lo ? a->flat_lo : b->flat_lo, hi = a->flat_hi < b->flat_hi ? a->flat_hi : b->flat_hi;
    return a->node == b->node ? 1 + (hi > lo ? hi - lo : 0) : 0; /* a node that stays counts a little by itself */
}

static uint64_t s_kept (const rk_plan_t *old, uint32_t was, const rk_plan_t *new, uint32_t is)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < old->clusters[was].n_stages; i++)
        for (uint32_t j = 0; j < new->clusters[is].n_stages; j++)
            sum += s_common (rk_plan_stage (old, was, i), rk_plan_stage (new, is, j));
    return sum;
}

static bool s_is_taken (const uint32_t *replicas, uint32_t n, uint32_t replica)
{
    for (uint32_t c = 0; c < n; c++)
        if (replicas[c] == replica)
            return true;
    return false;
}

/* The pair of clusters with most in common among those that are free; 0: none has anything. */
static uint64_t s_best_pair (const rk_plan_t *old, const rk_plan_t *new, const uint32_t *replicas, uint32_t *was, uint32_t *is)
{
    uint64_t most = 0;
    for (uint32_t c = 0; c < new->n_clusters; c++)
        for (uint32_t o = 0; o < old->n_clusters && replicas[c] == RK_NO_NODE; o++) {
            uint64_t kept = s_is_taken (replicas, new->n_clusters, o) ? 0 : s_kept (old, o, new, c);
            if (kept > most) {
                most = kept;
                *was = o;
                *is = c;
            }
        }
    return most;
}

void rk_handover_replicas (const rk_plan_t *old, const rk_plan_t *new, uint32_t *replicas)
{
    uint32_t was = 0, is = 0;
    for (uint32_t c = 0; c < new->n_clusters; c++)
        replicas[c] = RK_NO_NODE;
    while (s_best_pair (old, new, replicas, &was, &is))
        replicas[is] = was;
}

/* ---- warm copies */
uint32_t rk_handover_warm (const rk_plan_t *plan, uint32_t stage, uint32_t k)
{
    return k < plan->settings.net_warm && k + 1 < plan->n_stages ? (stage + 1 + k) % plan->n_stages : RK_NO_NODE;
}

uint32_t rk_handover_holder (const rk_plan_t *plan, const bool *alive, uint32_t stage)
{
    uint32_t holder = stage;
    for (uint32_t k = 0; holder != RK_NO_NODE && !alive[holder]; k++)
        holder = rk_handover_warm (plan, stage, k);
    return holder;
}

bool rk_handover_covers (const rk_plan_t *plan, const bool *alive)
{
    for (uint32_t g = 0; g < plan->n_segments; g++) {
        bool found = false;
        for (uint32_t c = 0; c < plan->n_clusters && !found; c++)
            found = rk_handover_holder (plan, alive, plan->owners[plan->segments[g].first_owner + c]) != RK_NO_NODE;
        if (!found)
            return false;
    }
    return true;
}

/* ---- where a range can be had */
typedef struct {
    rk_handover_range_t *list;
    size_t n, max;
} s_list_t;

/* One more range; it becomes part of the one before when it goes on from there. */
static void s_add (s_list_t *l, const rk_handover_range_t *r)
{
    rk_handover_range_t *last = l->n && l->n <= l->max ? &l->list[l->n - 1] : NULL;
    if (last && last->to == r->to && last->from == r->from && last->of == r->of && last->replica == r->replica && last->hi == r->lo) {
        last->hi = r->hi;
        return;
    }
    if (l->n < l->max)
        l->list[l->n] = *r;
    l->n++;
}

typedef struct {
    const rk_plan_t *old;
    const bool *alive;
    bool alike;
    uint32_t replica, to;
} s_wish_t;

static uint32_t s_owner (const rk_plan_t *plan, const rk_plan_segment_t *segment, uint32_t cluster)
{
    return plan->owners[segment->first_owner + cluster];
}

/* Alive owners of the segment in other replicas, beginning with the one after ours: at most one where they differ. */
static uint32_t s_donors (const s_wish_t *w, const rk_plan_segment_t *segment, uint32_t clusters[RK_MAX_CLUSTERS])
{
    const uint32_t n = w->old->n_clusters, first = w->replica == RK_NO_NODE ? 0 : w->replica + 1;
    uint32_t n_donors = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t c = (first + i) % n;
        if (c != w->replica && w->alive[s_owner (w->old, segment, c)] && (w->alike || n_donors == 0))
            clusters[n_donors++] = c;
    }
    return n_donors;
}

#define ALIGN 16 /* floats: tensors begin at multiples of it */

/* Living owners in other replicas, in equal parts; false: there are none. */
static bool s_share (const s_wish_t *w, const rk_plan_segment_t *segment, uint64_t lo, uint64_t hi, s_list_t *l)
{
    uint32_t clusters[RK_MAX_CLUSTERS], n = s_donors (w, segment, clusters);
    for (uint32_t i = 0; i < n; i++) {
        rk_handover_range_t r = {.to = w->to, .replica = clusters[i], .lo = lo + (hi - lo) / ALIGN * i / n * ALIGN,
                                 .hi = i + 1 == n ? hi : lo + (hi - lo) / ALIGN * (i + 1) / n * ALIGN};
        r.from = r.of = s_owner (w->old, segment, clusters[i]);
        if (r.lo < r.hi)
            s_add (l, &r);
    }
    return n > 0;
}

/* The owner in that cluster, or who keeps its state; false: nobody. */
static bool s_hold (const s_wish_t *w, const rk_plan_segment_t *segment, uint32_t cluster, uint64_t lo, uint64_t hi, s_list_t *l)
{
    const uint32_t of = s_owner (w->old, segment, cluster);
    const rk_handover_range_t r = {.to = w->to, .from = rk_handover_holder (w->old, w->alive, of), .of = of, .replica = cluster,
                                   .lo = lo, .hi = hi, .exact = cluster == w->replica};
    if (r.from != RK_NO_NODE)
        s_add (l, &r);
    return r.from != RK_NO_NODE;
}

static void s_find_one (const s_wish_t *w, const rk_plan_segment_t *segment, uint64_t lo, uint64_t hi, s_list_t *l)
{
    const bool wanted = w->replica != RK_NO_NODE, own = wanted && w->alive[s_owner (w->old, segment, w->replica)];
    if (!own && w->alike && s_share (w, segment, lo, hi, l))
        return;
    if (wanted && s_hold (w, segment, w->replica, lo, hi, l))
        return;
    if (s_share (w, segment, lo, hi, l))
        return;
    for (uint32_t c = 0; c < w->old->n_clusters; c++)
        if (s_hold (w, segment, c, lo, hi, l))
            return;
    const rk_handover_range_t r = {.to = w->to, .from = RK_FROM_CHECKPOINT, .of = RK_FROM_CHECKPOINT, .replica = w->replica, .lo = lo, .hi = hi};
    s_add (l, &r);
}

static void s_find (const s_wish_t *w, uint64_t lo, uint64_t hi, s_list_t *l)
{
    for (uint32_t g = 0; g < w->old->n_segments; g++) {
        const rk_plan_segment_t *segment = &w->old->segments[g];
        const uint64_t from = segment->lo > lo ? segment->lo : lo, end = segment->hi < hi ? segment->hi : hi;
        if (from < end)
            s_find_one (w, segment, from, end, l);
    }
}

size_t rk_handover_sources (const rk_plan_t *old, const bool *alive, bool alike, uint32_t replica, uint64_t lo, uint64_t hi,
                            rk_handover_range_t *list, size_t max)
{
    s_list_t l = {list, 0, max};
    const s_wish_t wish = {.old = old, .alive = alive, .alike = alike, .replica = replica};
    s_find (&wish, lo, hi, &l);
    return l.n;
}

/* ---- a whole plan */
static void s_mark_staying (const rk_plan_t *old, const rk_plan_t *new, rk_handover_range_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        list[i].stays = list[i].from != RK_FROM_CHECKPOINT && old->stages[list[i].from].node == new->stages[list[i].to].node;
}

size_t rk_handover_list (const rk_plan_t *old, const rk_plan_t *new, const bool *alive, bool alike,
                         rk_handover_range_t *list, size_t max)
{
    uint32_t replicas[RK_MAX_CLUSTERS];
    s_list_t l = {list, 0, max};
    if (old)
        rk_handover_replicas (old, new, replicas);
    for (uint32_t c = 0; c < new->n_clusters; c++)
        for (uint32_t s = 0; s < new->clusters[c].n_stages; s++) {
            const rk_plan_stage_t *stage = rk_plan_stage (new, c, s);
            const uint32_t to = (uint32_t) (stage - new->stages);
            const s_wish_t wish = {.old = old, .alive = alive, .alike = alike, .replica = old ? replicas[c] : RK_NO_NODE, .to = to};
            rk_handover_range_t all = {.to = to, .from = RK_FROM_CHECKPOINT, .of = RK_FROM_CHECKPOINT, .replica = c, .lo = stage->flat_lo, .hi = stage->flat_hi};
            if (old)
                s_find (&wish, stage->flat_lo, stage->flat_hi, &l);
            else if (all.lo < all.hi)
                s_add (&l, &all);
        }
    if (old)
        s_mark_staying (old, new, list, l.n < max ? l.n : max);
    return l.n;
}
