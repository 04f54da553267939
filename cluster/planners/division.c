/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/planners/division.h"

#include <stdlib.h>
#include <string.h>
#include "cluster/plan_parts.h"

typedef unsigned __int128 s_wide_t;

#define N_SLOTS 4096
#define MOST_ARRANGED 8 /* clusters whose ring order is found anew at each appraisal */

/* ---- what sets can do, remembered: a search asks for the same sets again and again */
typedef struct {
    bool used;
    uint64_t may_fill_ns;           /* the answer depends on it */
    uint16_t members[RK_MAX_UNITS]; /* ascending */
    rk_chain_t chain;
} s_slot_t;

struct rk_chain_cache {
    s_slot_t slots[N_SLOTS];
};

static void s_ascend (uint16_t *nodes, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        const uint16_t node = nodes[i];
        uint32_t at = i;
        for (; at > 0 && nodes[at - 1] > node; at--)
            nodes[at] = nodes[at - 1];
        nodes[at] = node;
    }
}

void rk_search_solve (rk_search_t *q, rk_chain_t *chain)
{
    s_ascend (chain->node, chain->k);
    const uint64_t may_fill_ns = q->costs->may_fill_ns;
    uint64_t hash = chain->k ^ may_fill_ns << 8;
    for (uint32_t i = 0; i < chain->k; i++)
        hash = (hash ^ chain->node[i]) * UINT64_C (0x9e3779b97f4a7c15);
    s_slot_t *slot = &q->cache->slots[hash >> 32 & (N_SLOTS - 1)];
    const size_t bytes = chain->k * sizeof *chain->node;
    if (slot->used && slot->may_fill_ns == may_fill_ns && slot->chain.k == chain->k && memcmp (slot->members, chain->node, bytes) == 0) {
        *chain = slot->chain;
        return;
    }
    memcpy (slot->members, chain->node, bytes);
    rk_chain_solve (q->costs, chain, q->effort);
    slot->chain = *chain;
    slot->may_fill_ns = may_fill_ns;
    slot->used = true;
}

void rk_search_forget (rk_search_t *q, uint64_t effort)
{
    q->effort = effort;
    for (uint32_t i = 0; i < N_SLOTS; i++)
        q->cache->slots[i].used = false;
}

/* ---- class */
static void s_fill_node (rk_search_t *q, uint32_t i)
{
    const uint64_t ram = q->costs->fleet->nodes[i].ram_bytes;
    q->strength[i] = rk_plan_rate (rk_costs_whole_ns (q->costs, i));
    q->room[i] = ram ? ram : UINT64_C (1) << 50;
}

rk_err_t rk_search_open (rk_search_t *q, rk_costs_t *costs)
{
    const uint32_t n = costs->n_nodes;
    *q = (rk_search_t){.costs = costs, .n_nodes = n, .layout = costs->settings->n_layout ? costs->settings->fleet_layout : NULL};
    q->strength = calloc (n, sizeof *q->strength);
    q->room = calloc (n, sizeof *q->room);
    q->ring = calloc (n, sizeof *q->ring);
    q->cache = calloc (1, sizeof *q->cache);
    if (!q->strength || !q->room || !q->ring || !q->cache) {
        rk_search_close (q);
        return RK_ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++)
        s_fill_node (q, i);
    return RK_OK;
}

void rk_search_close (rk_search_t *q)
{
    free (q->strength);
    free (q->room);
    free (q->ring);
    free (q->cache);
    *q = (rk_search_t){0};
}

rk_err_t rk_division_new (rk_division_t *d, uint32_t n_nodes)
{
    *d = (rk_division_t){.chains = calloc (n_nodes + 1, sizeof *d->chains), .left = calloc (n_nodes + 1, sizeof *d->left)};
    if (d->chains && d->left)
        return RK_OK;
    rk_division_free (d);
    return RK_ENOMEM;
}

void rk_division_free (rk_division_t *d)
{
    free (d->chains);
    free (d->left);
    *d = (rk_division_t){0};
}

void rk_division_copy (rk_division_t *to, const rk_division_t *from)
{
    rk_chain_t *chains = to->chains;
    uint16_t *left = to->left;
    *to = *from;
    to->chains = memcpy (chains, from->chains, from->n_groups * sizeof *chains);
    to->left = memcpy (left, from->left, from->n_left * sizeof *left);
}

void rk_division_set (rk_search_t *q, rk_division_t *d, uint32_t n_groups, const uint16_t *group_of)
{
    d->n_groups = n_groups;
    d->n_left = 0;
    for (uint32_t g = 0; g < n_groups; g++)
        d->chains[g].k = 0;
    for (uint32_t i = 0; i < q->n_nodes; i++) {
        rk_chain_t *chain = group_of[i] < n_groups ? &d->chains[group_of[i]] : NULL;
        if (chain && chain->k < RK_MAX_UNITS)
            chain->node[chain->k++] = (uint16_t) i;
        else
            d->left[d->n_left++] = (uint16_t) i;
    }
    for (uint32_t g = 0; g < n_groups; g++)
        rk_search_solve (q, &d->chains[g]);
    rk_search_appraise (q, d, NULL, d);
}

bool rk_division_better (const rk_division_t *a, const rk_division_t *b)
{
    if ((a->n_unfit > 0) != (b->n_unfit > 0))
        return a->n_unfit == 0;
    if (a->lacking != b->lacking)
        return a->lacking < b->lacking;
    if (a->n_unfit != b->n_unfit)
        return a->n_unfit < b->n_unfit;
    return a->worth > b->worth;
}

/* ---- worth */
static uint64_t s_averaging_ns (rk_search_t *q, uint32_t n, uint32_t most_arranged)
{
    if (n < 2)
        return 0;
    const rk_mixing_t *mixing = rk_costs_mixing (q->costs, n);
    if (q->layout)
        return rk_ring_ns (q->costs, q->ring, n, mixing);
    if (n <= most_arranged)
        return rk_ring_arrange (q->costs, q->ring, n, mixing);
    /* a ring through clusters that are each as far from the next as from most */
    uint64_t far = 0, spread = 0;
    for (uint32_t c = 0; c < n; c++) {
        far = q->ring[c]->far_ns > far ? q->ring[c]->far_ns : far;
        spread = q->ring[c]->spread_ns > spread ? q->ring[c]->spread_ns : spread;
    }
    return mixing->messages * far + (uint64_t) ((s_wide_t) spread * mixing->models_ppm / 1000000);
}

void rk_search_appraise (rk_search_t *q, const rk_division_t *d, const rk_swap_t *swap, rk_division_t *out)
{
    uint32_t n = 0, n_unfit = 0;
    uint64_t lacking = 0;
    for (uint32_t g = 0; g < d->n_groups + 1; g++) {
        const rk_chain_t *chain = g < d->n_groups ? &d->chains[g] : NULL;
        for (uint32_t i = 0; swap && i < swap->n; i++)
            if (swap->group[i] == g)
                chain = swap->chain[i];
        if (!chain || chain->k == 0)
            continue;
        if (!chain->fits) {
            n_unfit++;
            lacking += chain->lacking;
        } else
            q->ring[n++] = chain;
    }
    q->costs->steps += d->n_groups / 4 + 1;
    n_unfit += n + n_unfit == 0; /* nobody at all */
    out->n_unfit = n_unfit;
    out->lacking = lacking;
    out->worth = 0;
    if (n_unfit > 0 || n == 0)
        return;
    rk_outlook_t o;
    rk_chains_judge (q->costs, q->ring, n, s_averaging_ns (q, n, MOST_ARRANGED), &o);
    out->worth = o.worth;
}

void rk_search_outlook (rk_search_t *q, const rk_division_t *d, rk_outlook_t *out)
{
    for (uint32_t g = 0; g < d->n_groups; g++)
        q->ring[g] = &d->chains[g];
    rk_chains_judge (q->costs, q->ring, d->n_groups, s_averaging_ns (q, d->n_groups, RK_PLAN_MAX_NODES), out);
}
