/* SPDX-License-Identifier: MPL-2.0
 * A division's chains are each the best for themselves; where averaging is what a round waits for, or a host's
 * cores are short, others are better for all. Here orders and cuts change one by one under the whole objective. */
#include "cluster/planners/auto.h"

#include <stdlib.h>
#include <string.h>

#define MOST_SHIFTED 3 /* units a cut moves at once */

typedef struct {
    rk_search_t *q;
    rk_division_t *d;
    uint64_t until;
} s_refine_t;

static bool s_spent (const s_refine_t *r)
{
    return r->q->costs->steps > r->until || r->q->costs->out_of_memory;
}

static bool s_take (s_refine_t *r, uint32_t a, const rk_chain_t *new_a, uint32_t b, const rk_chain_t *new_b)
{
    const rk_swap_t swap = {.n = new_b ? 2 : 1, .group = {a, b}, .chain = {new_a, new_b}};
    rk_division_t trial = {0};
    r->q->costs->steps += 2 * r->q->costs->n_units; /* as much as an order costs to cut */
    rk_search_appraise (r->q, r->d, &swap, &trial);
    if (!rk_division_better (&trial, r->d))
        return false;
    r->d->chains[a] = *new_a;
    if (new_b)
        r->d->chains[b] = *new_b;
    r->d->worth = trial.worth;
    return true;
}

/* One cut some units up or down. */
static bool s_shift (s_refine_t *r, uint32_t g)
{
    const rk_chain_t *chain = &r->d->chains[g];
    for (uint32_t s = 1; s < chain->k && !s_spent (r); s++)
        for (int by = -MOST_SHIFTED; by <= MOST_SHIFTED; by++) {
            const int first = chain->first[s] + by, end = s + 1 < chain->k ? chain->first[s + 1] : (int) r->q->costs->n_units;
            if (by == 0 || first <= chain->first[s - 1] || first >= end)
                continue;
            rk_chain_t trial = *chain;
            trial.first[s] = (uint16_t) first;
            rk_chain_appraise (r->q->costs, &trial);
            if (trial.fits && s_take (r, g, &trial, 0, NULL))
                return true;
        }
    return false;
}

/* Two nodes of a chain, with the cuts as they are and anew. */
static bool s_reorder (s_refine_t *r, uint32_t g)
{
    const rk_chain_t *chain = &r->d->chains[g];
    for (uint32_t i = 0; i < chain->k && !s_spent (r); i++)
        for (uint32_t j = i + 1; j < chain->k; j++) {
            rk_chain_t trial = *chain;
            trial.node[i] = chain->node[j];
            trial.node[j] = chain->node[i];
            rk_chain_appraise (r->q->costs, &trial);
            if (trial.fits && s_take (r, g, &trial, 0, NULL))
                return true;
            if (rk_cut_best (r->q->costs, &trial, UINT64_MAX) && s_take (r, g, &trial, 0, NULL))
                return true;
        }
    return false;
}

/* A node of one chain for one of another, cuts as they are. */
static bool s_exchange (s_refine_t *r, uint32_t a, uint32_t b)
{
    const rk_chain_t *of_a = &r->d->chains[a], *of_b = &r->d->chains[b];
    for (uint32_t i = 0; i < of_a->k && !s_spent (r); i++)
        for (uint32_t j = 0; j < of_b->k; j++) {
            rk_chain_t new_a = *of_a, new_b = *of_b;
            new_a.node[i] = of_b->node[j];
            new_b.node[j] = of_a->node[i];
            rk_chain_appraise (r->q->costs, &new_a);
            rk_chain_appraise (r->q->costs, &new_b);
            if (new_a.fits && new_b.fits && s_take (r, a, &new_a, b, &new_b))
                return true;
        }
    return false;
}

/* ---- drained: every round waits for the cluster that takes longest to fill, so one may have to be slower and fill sooner
 * while others may as well fill as late as it does: for some times of filling, each group at its fastest within. */
static bool s_refill_within (s_refine_t *r, uint64_t may_fill_ns, rk_chain_t *before)
{
    rk_division_t *d = r->d;
    rk_division_t trial = *d;
    memcpy (before, d->chains, d->n_groups * sizeof *before);
    for (uint32_t g = 0; g < d->n_groups; g++)
        rk_auto_refill (r->q, &d->chains[g], may_fill_ns);
    rk_search_appraise (r->q, d, NULL, &trial);
    const bool better = rk_division_better (&trial, d);
    if (better)
        d->worth = trial.worth;
    else
        memcpy (d->chains, before, d->n_groups * sizeof *before);
    return better;
}

static bool s_refill (s_refine_t *r)
{
    enum { MOST_REFILLED = 12 }; /* groups */
    const uint32_t n = r->d->n_groups;
    if (r->q->costs->settings->average_mode != RK_AVERAGE_DRAINED || n > MOST_REFILLED || n < 2)
        return false;
    rk_chain_t *before = malloc (n * sizeof *before);
    bool better = false;
    const uint32_t fills = rk_auto_fills (r->d);
    r->q->costs->out_of_memory = r->q->costs->out_of_memory || !before;
    for (int i = 3; before && i > -12 && !s_spent (r); i--)
        better = s_refill_within (r, rk_auto_may_fill (fills, i), before) || better;
    free (before);
    return better;
}

/* ---- who belongs where, judged after refining */
static uint32_t s_size (const rk_division_t *d, uint32_t group)
{
    return group < d->n_groups ? d->chains[group].k : d->n_left;
}

/* Two groups, or one and the nodes left out (b one past the groups), with another share of their nodes: bit i of
 * `set` says that the i-th of both belongs to a.                                                          */
static bool s_redivided (rk_search_t *q, const rk_division_t *d, uint32_t a, uint32_t b, uint32_t set, rk_division_t *out)
{
    const bool leaves = b == d->n_groups;
    rk_chain_t both = d->chains[a], others = {.k = 0};
    memcpy (both.node + both.k, leaves ? d->left : d->chains[b].node, s_size (d, b) * sizeof *both.node);
    both.k += s_size (d, b);
    rk_division_copy (out, d);
    rk_chain_t *new_a = &out->chains[a], *new_b = leaves ? &others : &out->chains[b];
    new_a->k = new_b->k = 0;
    for (uint32_t i = 0; i < both.k; i++) {
        rk_chain_t *to = set >> i & 1 ? new_a : new_b;
        to->node[to->k++] = both.node[i];
    }
    if (new_a->k == 0 || (!leaves && new_b->k == 0))
        return false;
    if (q->layout && (new_a->k != q->layout[a] || (!leaves && new_b->k != q->layout[b])))
        return false;
    rk_search_solve (q, new_a);
    if (leaves) {
        memcpy (out->left, others.node, others.k * sizeof *out->left);
        out->n_left = others.k;
    } else
        rk_search_solve (q, new_b);
    rk_search_appraise (q, out, NULL, out);
    return out->n_unfit == 0;
}

/* Does averaging, or what pipelines fill and empty, take a part of a round that choices here can change? */
static bool s_matters (rk_search_t *q, const rk_division_t *d)
{
    rk_outlook_t o;
    if (d->n_unfit > 0 || d->n_groups < 2)
        return false;
    rk_search_outlook (q, d, &o);
    return o.averaging_ns > o.round_ns / 100;
}

void rk_auto_deepen (rk_search_t *q, rk_division_t *d, rk_division_t *scratch, uint64_t until)
{
    enum { MOST_REDIVIDED = 8, MOST_GROUPS = 12, WORTH_A_LOOK = 85 };
    const uint64_t effort = 4000 * (uint64_t) q->costs->n_units;
    for (bool better = s_matters (q, d) && d->n_groups <= MOST_GROUPS; better;) {
        better = false;
        for (uint32_t a = 0; a < d->n_groups && !better; a++)
            for (uint32_t b = a + 1; b <= d->n_groups && !better; b++) {
                const uint32_t n = d->chains[a].k + s_size (d, b);
                for (uint32_t set = 1; n <= MOST_REDIVIDED && set < 1u << n && !better; set++) {
                    if (q->costs->steps > until || q->costs->out_of_memory)
                        return;
                    if (!s_redivided (q, d, a, b, set, scratch) || scratch->worth / 100 < d->worth / 10000 * WORTH_A_LOOK)
                        continue;
                    rk_auto_refine (q, scratch, q->costs->steps + effort);
                    better = rk_division_better (scratch, d);
                }
            }
        if (better)
            rk_division_copy (d, scratch);
    }
}

void rk_auto_refine (rk_search_t *q, rk_division_t *d, uint64_t until)
{
    enum { MOST_PAIRED = 16 }; /* groups that exchange with each other */
    s_refine_t r = {q, d, until};
    for (bool better = d->n_unfit == 0; better && !s_spent (&r);) {
        better = s_refill (&r);
        for (uint32_t g = 0; g < d->n_groups && !s_spent (&r); g++) {
            while (!s_spent (&r) && (s_shift (&r, g) || s_reorder (&r, g)))
                better = true;
            for (uint32_t b = g + 1; b < d->n_groups && b < MOST_PAIRED && !s_spent (&r); b++)
                better = s_exchange (&r, g, b) || better;
        }
    }
}
