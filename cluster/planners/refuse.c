/* SPDX-License-Identifier: MPL-2.0
 * Why a model does not fit, in numbers a person can act on.                                              */
#include "cluster/planners/division.h"

#include <string.h>

/* One attempt: a chain of these nodes, cut so that the fullest lacks least. */
static void s_attempt (rk_search_t *q, const uint16_t *order, uint32_t k, rk_chain_t *best)
{
    rk_chain_t now = {.k = k};
    if (k == 0 || k > RK_MAX_UNITS)
        return;
    memcpy (now.node, order, k * sizeof *order);
    if (rk_cut_chain (q->costs, order, k, RK_CUT_FITTEST, UINT64_MAX, now.first, &now.lacking) && now.lacking > 0 &&
        (best->k == 0 || now.lacking < best->lacking))
        *best = now;
}

/* Members by room, the roomiest first. */
static void s_by_room (const rk_search_t *q, const uint16_t *members, uint32_t n, uint16_t *order)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i;
        for (; at > 0 && q->room[members[i]] > q->room[order[at - 1]]; at--)
            order[at] = order[at - 1];
        order[at] = members[i];
    }
}

/* In the unit of fleet.node, upwards. */
static unsigned long long s_mb (uint64_t bytes)
{
    return (bytes + (1 << 20) - 1) >> 20;
}

static rk_err_t s_tell (rk_costs_t *costs, const rk_chain_t *a, rk_error_t *err)
{
    const char *hint = costs->settings->fleet_given || costs->n_nodes != costs->settings->n_fleet
                           ? ""
                           : "; the built-in nodes are small, declare others: fleet.node = a 1 0, b 1 0";
    const rk_needs_t *needs = rk_costs_needs (costs, rk_costs_in_flight (costs, a->k));
    for (uint32_t s = 0; needs && s < a->k; s++) {
        const uint32_t last = s + 1 < a->k ? a->first[s + 1] : costs->n_units;
        const rk_profile_t *p = &costs->fleet->nodes[a->node[s]];
        const uint64_t need = needs->lean[(size_t) a->first[s] * RK_UNITS_ROW + last];
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
    uint16_t all[RK_PLAN_MAX_NODES], order[RK_PLAN_MAX_NODES];
    rk_chain_t best = {.k = 0};
    for (uint32_t i = 0; q->layout && i < d->n_groups; i++) { /* the sizes are given: the cluster that lacks least */
        s_by_room (q, d->chains[i].node, d->chains[i].k, order);
        s_attempt (q, order, d->chains[i].k, &best);
    }
    for (uint32_t i = 0; i < q->n_nodes; i++)
        all[i] = (uint16_t) i;
    if (!q->layout) /* the k roomiest, whichever k comes nearest */
        s_by_room (q, all, q->n_nodes, order);
    for (uint32_t k = q->layout ? 0 : q->n_nodes; k > 0; k--)
        s_attempt (q, order, k, &best);
    return s_tell (q->costs, &best, err);
}
