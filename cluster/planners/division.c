/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/planners/division.h"

#include <string.h>
#include "cluster/plan_parts.h"

typedef unsigned __int128 s_wide_t;

void rk_search_prepare (rk_search_t *q, rk_costs_t *costs)
{
    const rk_fleet_t *fleet = costs->fleet;
    q->costs = costs;
    q->n_nodes = costs->n_nodes;
    q->layout = costs->settings->n_layout ? costs->settings->fleet_layout : NULL;
    for (uint32_t i = 0; i < q->n_nodes; i++) {
        q->strength[i] = rk_plan_rate (rk_costs_ns (costs, i, costs->n_units));
        q->room[i] = fleet->nodes[i].ram_bytes ? fleet->nodes[i].ram_bytes : UINT64_C (1) << 50;
        uint32_t h = 0, j = 0;
        while (j < i && fleet->nodes[j].host != fleet->nodes[i].host)
            j++;
        h = j < i ? q->host[j] : q->n_hosts++;
        q->host[i] = h;
        uint64_t cores = fleet->nodes[i].cores;
        q->cores[h] = j < i && q->cores[h] < cores ? q->cores[h] : cores;
    }
}

/* ---- worth */
/* CPU time the group takes from each host per 1e9 s at its own rate, in ns. */
static void s_add_load (const rk_search_t *q, const rk_group_t *g, s_wide_t *load)
{
    for (uint32_t s = 0; s < g->k; s++)
        load[q->host[g->order[s]]] += (s_wide_t) g->rate * g->cpu_ns[s];
}

/* The group's rate when its busiest host is shared. */
static uint64_t s_shared_rate (const rk_search_t *q, const rk_group_t *g, const s_wide_t *load)
{
    uint64_t rate = g->rate;
    for (uint32_t s = 0; s < g->k; s++) {
        uint32_t h = q->host[g->order[s]];
        s_wide_t have = (s_wide_t) q->cores[h] * 1000000000 * 1000000000;
        if (load[h] > have) {
            uint64_t shared = (uint64_t) ((s_wide_t) g->rate * (uint64_t) (have / (load[h] >> 30)) >> 30);
            rate = shared < rate ? shared : rate;
        }
    }
    return rate;
}

static uint64_t s_less_dues (const rk_search_t *q, const rk_division_t *d, uint64_t total, uint64_t least, uint64_t most)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < d->n_groups; i++)
        longest = rk_set_size (d->groups[i]) > longest ? rk_set_size (d->groups[i]) : longest;
    uint64_t unlike = (uint64_t) ((s_wide_t) (most - least) * 100000 / (most + (most == 0)));
    uint64_t unused = (uint64_t) rk_set_size (d->groups[d->n_groups]) * 100000 / q->n_nodes;
    uint64_t chains = (uint64_t) (longest - 1) * 20000 / q->n_nodes;
    return (uint64_t) ((s_wide_t) total * (1000000 - unlike - unused - chains) / 1000000);
}

bool rk_search_appraise (rk_search_t *q, rk_division_t *d)
{
    const rk_group_t *g[RK_MAX_CLUSTERS];
    s_wide_t load[RK_MAX_FLEET] = {0};
    d->n_unfit = 0, d->lacking = 0, d->worth = 0;
    for (uint32_t i = 0; i < d->n_groups; i++) {
        g[i] = rk_groups_get (q->groups, d->groups[i]);
        if (!g[i])
            return false;
        if (g[i]->fits)
            s_add_load (q, g[i], load);
        else {
            d->n_unfit++;
            d->lacking += g[i]->lacking;
        }
    }
    uint64_t total = 0, least = UINT64_MAX, most = 0;
    for (uint32_t i = 0; i < d->n_groups; i++) {
        uint64_t rate = g[i]->fits ? s_shared_rate (q, g[i], load) : 0;
        total += rate;
        least = rate < least ? rate : least;
        most = rate > most ? rate : most;
    }
    d->worth = s_less_dues (q, d, total, least, most);
    return true;
}

bool rk_division_better (const rk_division_t *a, const rk_division_t *b)
{
    if (a->n_unfit != b->n_unfit)
        return a->n_unfit < b->n_unfit;
    if (a->lacking != b->lacking)
        return a->lacking < b->lacking;
    return a->worth > b->worth;
}

/* ---- starts */
/* The node of the set with the greatest measure, the first such. */
static uint32_t s_greatest (const rk_search_t *q, uint64_t set, const uint64_t *measure)
{
    uint32_t best = RK_MAX_FLEET;
    for (uint32_t i = 0; i < q->n_nodes; i++)
        if (set >> i & 1 && (best == RK_MAX_FLEET || measure[i] > measure[best]))
            best = i;
    return best;
}

static uint64_t s_all (const rk_search_t *q)
{
    return UINT64_MAX >> (64 - q->n_nodes);
}

/* Deal the nodes, greatest measure first, each to the group that has least of it so far. With `enough`, a
 * group that fits takes no more and the rest is left out at first: memory grows with the chain.          */
static bool s_deal (rk_search_t *q, rk_division_t *d, uint32_t n_groups, const uint64_t *measure, bool enough)
{
    uint64_t sums[RK_MAX_CLUSTERS] = {0}, left = s_all (q), closed = 0;
    *d = (rk_division_t){.n_groups = n_groups};
    while (left) {
        uint32_t node = s_greatest (q, left, measure), group = n_groups;
        for (uint32_t i = 0; i < n_groups; i++) {
            uint32_t most = q->layout ? q->layout[i] : q->costs->n_units;
            if (!(closed >> i & 1) && rk_set_size (d->groups[i]) < most && (group == n_groups || sums[i] < sums[group]))
                group = i;
        }
        left &= ~(UINT64_C (1) << node);
        d->groups[group] |= UINT64_C (1) << node;
        if (group == n_groups)
            continue;
        sums[group] += measure[node];
        const rk_group_t *g = enough ? rk_groups_get (q->groups, d->groups[group]) : NULL;
        if (g && g->fits)
            closed |= UINT64_C (1) << group;
    }
    return rk_search_appraise (q, d);
}

bool rk_search_start_strong (rk_search_t *q, rk_division_t *d, uint32_t n_groups)
{
    return s_deal (q, d, n_groups, q->strength, false);
}

bool rk_search_start_roomy (rk_search_t *q, rk_division_t *d, uint32_t n_groups)
{
    return s_deal (q, d, n_groups, q->room, !q->layout);
}
