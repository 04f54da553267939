/* SPDX-License-Identifier: MPL-2.0
 * The order and cuts of a small set whose slowest stage computes least, links aside: dynamic programming over (set of
 * nodes so far, unit they end at). Where memory is tight, few orders fit and a search that exchanges two nodes at a
 * time does not get from one to the next; this does not search.                                           */
#include "cluster/planners/planner.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    rk_costs_t *costs;
    const rk_needs_t *needs;
    const uint16_t *nodes; /* bit i of a set is nodes[i] */
    uint32_t k;
    uint64_t limit;        /* slower stages are of no use */
    uint64_t *slowest;     /* [set][unit] */
} s_fastest_t;

static uint64_t *s_at (const s_fastest_t *f, uint32_t set, uint32_t unit)
{
    return &f->slowest[(size_t) set * (f->costs->n_units + 1) + unit];
}

/* UINT64_MAX: it does not fit. */
static uint64_t s_stage_ns (const s_fastest_t *f, uint32_t node, uint32_t first, uint32_t last)
{
    const rk_costs_t *costs = f->costs;
    const size_t row = (size_t) node * RK_UNITS_ROW, at = (size_t) first * RK_UNITS_ROW + last;
    const uint64_t ram = costs->fleet->nodes[node].ram_bytes;
    const rk_recompute_t recompute = costs->settings->pipeline_recompute;
    if (ram && f->needs->lean[at] > ram)
        return UINT64_MAX;
    uint64_t ns = costs->once_ns[node] + costs->ns[row + last] - costs->ns[row + first] + costs->copy_ns[first] + costs->copy_ns[last];
    if (recompute == RK_RECOMPUTE_ON || (recompute != RK_RECOMPUTE_OFF && ram && f->needs->plain[at] > ram))
        ns += costs->again_ns[row + last] - costs->again_ns[row + first];
    return ns;
}

/* All stages of node i after `set`, which ends at `first`. */
static void s_extend (s_fastest_t *f, uint32_t set, uint32_t i, uint32_t first)
{
    const rk_costs_t *costs = f->costs;
    const uint64_t *ns = costs->ns + (size_t) f->nodes[i] * RK_UNITS_ROW, ram = costs->fleet->nodes[f->nodes[i]].ram_bytes;
    const uint64_t so_far = *s_at (f, set, first);
    for (uint32_t last = first + 1; last <= costs->n_units; last++) {
        f->costs->steps++;
        if (ns[last] - ns[first] > f->limit || (ram && f->needs->least[(size_t) first * RK_UNITS_ROW + last] > ram))
            return;
        const uint64_t stage = s_stage_ns (f, f->nodes[i], first, last), slowest = stage > so_far ? stage : so_far;
        uint64_t *best = s_at (f, set | 1u << i, last);
        *best = slowest < *best ? slowest : *best;
    }
}

/* Who came last, and where it began. */
static bool s_step_back (const s_fastest_t *f, uint32_t *set, uint32_t *last, uint16_t *node)
{
    const uint64_t wanted = *s_at (f, *set, *last);
    for (uint32_t i = 0; i < f->k; i++)
        for (uint32_t first = 0; (*set >> i & 1) && first < *last; first++) {
            const uint32_t before = *set & ~(1u << i);
            const uint64_t so_far = *s_at (f, before, first), stage = s_stage_ns (f, f->nodes[i], first, *last);
            if (so_far == UINT64_MAX || (so_far > stage ? so_far : stage) != wanted)
                continue;
            *node = f->nodes[i];
            *set = before;
            *last = first;
            return true;
        }
    return false;
}

bool rk_order_fastest (rk_costs_t *costs, uint32_t k, uint64_t limit, uint16_t *order)
{
    const rk_needs_t *needs = rk_costs_needs (costs, rk_costs_in_flight (costs, k));
    const size_t n = ((size_t) 1 << k) * (costs->n_units + 1);
    s_fastest_t f = {.costs = costs, .needs = needs, .nodes = order, .k = k, .limit = limit};
    f.slowest = malloc (n * sizeof *f.slowest);
    costs->out_of_memory = costs->out_of_memory || !f.slowest || !needs;
    if (!f.slowest || !needs) {
        free (f.slowest);
        return false;
    }
    memset (f.slowest, 0xff, n * sizeof *f.slowest);
    *s_at (&f, 0, 0) = 0;
    for (uint32_t set = 0; set + 1 < 1u << k; set++)
        for (uint32_t first = 0; first < costs->n_units; first++)
            for (uint32_t i = 0; *s_at (&f, set, first) != UINT64_MAX && i < k; i++)
                if (!(set >> i & 1))
                    s_extend (&f, set, i, first);
    uint32_t set = (1u << k) - 1, last = costs->n_units;
    uint16_t answer[RK_MOST_SET];
    bool found = *s_at (&f, set, last) != UINT64_MAX;
    for (uint32_t s = k; found && s-- > 0;)
        found = s_step_back (&f, &set, &last, &answer[s]);
    if (found)
        memcpy (order, answer, k * sizeof *order);
    free (f.slowest);
    return found;
}
