/* SPDX-License-Identifier: MPL-2.0
 * Why a model does not fit, in numbers a person can act on.                                              */
#include "cluster/planners/division.h"

#include <string.h>

/* One attempt: a chain of these nodes, cut so that the fullest lacks least. */
typedef struct {
    uint32_t k;
    uint32_t order[RK_MAX_FLEET], first[RK_MAX_FLEET];
    uint64_t lacking;
} s_attempt_t;

static void s_attempt (rk_search_t *q, const uint32_t *order, uint32_t k, s_attempt_t *best)
{
    s_attempt_t now = {.k = k};
    memcpy (now.order, order, k * sizeof *order);
    if (rk_cut_chain (q->costs, order, k, RK_CUT_FITTEST, UINT64_MAX, now.first, &now.lacking) && now.lacking > 0 &&
        (best->k == 0 || now.lacking < best->lacking))
        *best = now;
}

/* Members by room, the roomiest first. */
static uint32_t s_by_room (const rk_search_t *q, uint64_t set, uint32_t *order)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->n_nodes; i++) {
        if (!(set >> i & 1))
            continue;
        uint32_t at = n++;
        for (; at > 0 && q->room[i] > q->room[order[at - 1]]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return n;
}

/* In the unit of fleet.node, upwards. */
static unsigned long long s_mb (uint64_t bytes)
{
    return (bytes + (1 << 20) - 1) >> 20;
}

static rk_err_t s_tell (const rk_costs_t *costs, const s_attempt_t *a, rk_error_t *err)
{
    const char *hint = costs->settings->fleet_given ? "" : "; the built-in nodes are small, declare others: fleet.node = a 1 0, b 1 0";
    for (uint32_t s = 0; s < a->k; s++) {
        uint32_t last = s + 1 < a->k ? a->first[s + 1] : costs->n_units;
        const size_t at = (size_t) a->first[s] * (RK_MAX_UNITS + 1) + last;
        const rk_profile_t *p = &costs->fleet->nodes[a->order[s]];
        uint64_t need = costs->fixed[at] + rk_costs_in_flight (costs, a->k) * costs->each[at];
        if (p->ram_bytes && need > p->ram_bytes && need - p->ram_bytes == a->lacking)
            return rk_error_set (err, RK_EPLAN,
                                 "the model does not fit: in a cluster of %u, node %s lacks %llu MB for layers %u to %u "
                                 "(needs %llu MB, has %llu MB)%s",
                                 a->k, p->name, s_mb (a->lacking), costs->at[a->first[s]],
                                 costs->at[last] - 1, s_mb (need),
                                 (unsigned long long) p->ram_bytes >> 20, hint);
    }
    return rk_error_set (err, RK_EPLAN, "the nodes' memory together is short by %llu MB or more for one copy of the model%s",
                         s_mb (a->lacking), hint);
}

rk_err_t rk_search_refuse (rk_search_t *q, const rk_division_t *d, rk_error_t *err)
{
    uint32_t order[RK_MAX_FLEET];
    s_attempt_t best = {0};
    if (q->layout) /* the sizes are given: the cluster that lacks least */
        for (uint32_t i = 0; i < d->n_groups; i++)
            s_attempt (q, order, s_by_room (q, d->groups[i], order), &best);
    else /* the k roomiest, whichever k comes nearest */
        for (uint32_t k = s_by_room (q, UINT64_MAX, order); k > 0; k--)
            s_attempt (q, order, k, &best);
    return s_tell (q->costs, &best, err);
}
