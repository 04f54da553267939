/* SPDX-License-Identifier: MPL-2.0
 * First divisions of the nodes, from which a search sets out.                                            */
#include "cluster/planners/division.h"

#include <stdlib.h>
#include <string.h>

#define LEFT UINT16_MAX

/* Nodes by a measure, the greatest first, ties by index: an insertion sort would be slow for a thousand. */
typedef struct {
    uint64_t measure;
    uint16_t node;
} s_ranked_t;

static int s_compare (const void *a, const void *b)
{
    const s_ranked_t *x = a, *y = b;
    if (x->measure != y->measure)
        return x->measure < y->measure ? 1 : -1;
    return (x->node > y->node) - (x->node < y->node);
}

static s_ranked_t *s_rank (const rk_search_t *q, const uint64_t *measure)
{
    s_ranked_t *ranked = malloc (q->n_nodes * sizeof *ranked);
    for (uint32_t i = 0; ranked && i < q->n_nodes; i++)
        ranked[i] = (s_ranked_t){measure[i], (uint16_t) i};
    if (ranked)
        qsort (ranked, q->n_nodes, sizeof *ranked, s_compare);
    else
        q->costs->out_of_memory = true;
    return ranked;
}

static uint32_t s_most (const rk_search_t *q, uint32_t group)
{
    return q->layout ? q->layout[group] : q->costs->n_units;
}

/* The group that has least so far and takes more; n_groups: none. */
static uint32_t s_least (const rk_search_t *q, const uint64_t *sums, const uint32_t *sizes, const bool *closed, uint32_t n_groups)
{
    uint32_t best = n_groups;
    for (uint32_t g = 0; g < n_groups; g++)
        if (!(closed && closed[g]) && sizes[g] < s_most (q, g) && (best == n_groups || sums[g] < sums[best]))
            best = g;
    return best;
}

static void s_deal (rk_search_t *q, uint32_t n_groups, uint16_t *group_of, const uint64_t *measure)
{
    s_ranked_t *ranked = s_rank (q, measure);
    uint64_t sums[RK_PLAN_MAX_NODES] = {0};
    uint32_t sizes[RK_PLAN_MAX_NODES] = {0};
    for (uint32_t i = 0; ranked && i < q->n_nodes; i++) {
        const uint32_t node = ranked[i].node, g = s_least (q, sums, sizes, NULL, n_groups);
        group_of[node] = g < n_groups ? (uint16_t) g : LEFT;
        if (g == n_groups)
            continue;
        sums[g] += measure[node];
        sizes[g]++;
    }
    free (ranked);
}

/* Longest processing time first: each to the group that has least. */
void rk_start_strong (rk_search_t *q, uint32_t n_groups, uint16_t *group_of)
{
    s_deal (q, n_groups, group_of, q->strength);
}

/* A group that fits takes no more and the rest is left out at first: memory grows with the chain. */
void rk_start_roomy (rk_search_t *q, uint32_t n_groups, uint16_t *group_of)
{
    if (q->layout) {
        s_deal (q, n_groups, group_of, q->room);
        return;
    }
    s_ranked_t *ranked = s_rank (q, q->room);
    rk_chain_t *chains = calloc (n_groups, sizeof *chains);
    uint64_t sums[RK_PLAN_MAX_NODES] = {0};
    uint32_t sizes[RK_PLAN_MAX_NODES] = {0};
    bool closed[RK_PLAN_MAX_NODES] = {false};
    for (uint32_t i = 0; ranked && chains && i < q->n_nodes; i++) {
        const uint32_t node = ranked[i].node, g = s_least (q, sums, sizes, closed, n_groups);
        group_of[node] = g < n_groups ? (uint16_t) g : LEFT;
        if (g == n_groups)
            continue;
        sums[g] += q->room[node];
        rk_chain_t *chain = &chains[g];
        chain->k = sizes[g];
        chain->node[chain->k++] = (uint16_t) node;
        sizes[g]++;
        rk_search_solve (q, chain);
        closed[g] = chain->fits;
    }
    q->costs->out_of_memory = q->costs->out_of_memory || !chains;
    free (chains);
    free (ranked);
}

/* To and fro: with the roomiest goes the tightest. */
void rk_start_mixed (rk_search_t *q, uint32_t n_groups, uint16_t *group_of)
{
    s_ranked_t *ranked = s_rank (q, q->room);
    uint32_t sizes[RK_PLAN_MAX_NODES] = {0};
    for (uint32_t i = 0; ranked && i < q->n_nodes; i++) {
        const uint32_t at = i % (2 * n_groups);
        uint32_t g = at < n_groups ? at : 2 * n_groups - 1 - at;
        for (uint32_t tried = 0; q->layout && tried < n_groups && sizes[g] >= s_most (q, g); tried++) /* sizes are given: nobody is left */
            g = (g + 1) % n_groups;
        group_of[ranked[i].node] = sizes[g] < s_most (q, g) ? (uint16_t) g : LEFT;
        sizes[g]++;
    }
    free (ranked);
}

/* Along a walk over the fastest links, cut where a group has its share of the strength. */
void rk_start_near (rk_search_t *q, uint32_t n_groups, uint16_t *group_of)
{
    const uint32_t n = q->n_nodes;
    uint16_t walk[RK_PLAN_MAX_NODES];
    uint64_t total = 0, sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        walk[i] = (uint16_t) i;
        total += q->strength[i] / n + 1;
    }
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t best = i + 1;
        uint64_t least = UINT64_MAX;
        for (uint32_t j = i + 1; j < n; j++) {
            const rk_pace_t link = rk_costs_link (q->costs, walk[i], walk[j]);
            if (link.ns_per_mib + link.half_rtt_ns < least)
                best = j, least = link.ns_per_mib + link.half_rtt_ns;
        }
        const uint16_t node = walk[i + 1];
        walk[i + 1] = walk[best], walk[best] = node;
    }
    q->costs->steps += (uint64_t) n * n / 2;
    uint32_t sizes[RK_PLAN_MAX_NODES] = {0};
    for (uint32_t i = 0, g = 0; i < n; i++) {
        const uint64_t share = q->strength[walk[i]] / n + 1;
        while (g + 1 < n_groups && (q->layout ? sizes[g] == q->layout[g]
                                              : sizes[g] > 0 && sum + share / 2 > (uint64_t) ((unsigned __int128) total * (g + 1) / n_groups)))
            g++;
        sum += share;
        group_of[walk[i]] = sizes[g] < s_most (q, g) ? (uint16_t) g : LEFT;
        sizes[g]++;
    }
}
