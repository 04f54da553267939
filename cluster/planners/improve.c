/* SPDX-License-Identifier: MPL-2.0
 * Local search over who belongs to which cluster.                                                        */
#include "cluster/planners/auto.h"

#include <stdlib.h>
#include <string.h>

#define MOST_REDIVIDED 8  /* nodes of two groups that are divided in every way */
#define ALL_PARTNERS 24   /* groups up to which each is tried with each */
#define SOME_PARTNERS 12  /* beyond, that many */
#define MOST_LEFT 24      /* nodes left out that are tried with a group */

typedef struct {
    rk_search_t *q;
    rk_division_t *d;
    uint64_t until;
    uint64_t random;
    bool changed;
} s_climb_t;

static bool s_spent (const s_climb_t *c)
{
    return c->q->costs->steps > c->until || c->q->costs->out_of_memory;
}

static uint32_t s_below (s_climb_t *c, uint32_t n)
{
    c->random = c->random * UINT64_C (6364136223846793005) + UINT64_C (1442695040888963407);
    return (uint32_t) ((c->random >> 33) % n);
}

static uint32_t s_clusters (const rk_division_t *d)
{
    uint32_t n = 0;
    for (uint32_t g = 0; g < d->n_groups; g++)
        n += d->chains[g].k > 0;
    return n;
}

/* May a group take that size? Emptying one must leave two where clusters average. */
static bool s_allowed (const s_climb_t *c, uint32_t group, uint32_t k)
{
    if (c->q->layout)
        return k == c->q->layout[group];
    if (k == 0)
        return c->q->costs->averaging && s_clusters (c->d) > 2;
    return k <= c->q->costs->n_units && k <= RK_MAX_UNITS;
}

/* ---- one step: new members for group a, and for group b or the nodes left out (b == n_groups) */
typedef struct {
    uint16_t out_of_a[MOST_REDIVIDED + 1], out_of_b[MOST_REDIVIDED + 1];
    uint32_t n_a, n_b;
} s_step_t;

static bool s_in (const uint16_t *nodes, uint32_t n, uint16_t node)
{
    for (uint32_t i = 0; i < n; i++)
        if (nodes[i] == node)
            return true;
    return false;
}

/* chain less `less`, plus `more`. False when it is too long. */
static bool s_change (const rk_chain_t *from, const uint16_t *less, uint32_t n_less, const uint16_t *more, uint32_t n_more,
                      rk_chain_t *to)
{
    to->k = 0;
    if (from->k - n_less + n_more > RK_MAX_UNITS)
        return false;
    for (uint32_t s = 0; s < from->k; s++)
        if (!s_in (less, n_less, from->node[s]))
            to->node[to->k++] = from->node[s];
    for (uint32_t i = 0; i < n_more; i++)
        to->node[to->k++] = more[i];
    return true;
}

static void s_swap_left (rk_division_t *d, const s_step_t *step)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->n_left; i++)
        if (!s_in (step->out_of_b, step->n_b, d->left[i]))
            d->left[n++] = d->left[i];
    for (uint32_t i = 0; i < step->n_a; i++)
        d->left[n++] = step->out_of_a[i];
    d->n_left = n;
}

static void s_figures (rk_division_t *d, const rk_division_t *from)
{
    d->n_unfit = from->n_unfit, d->lacking = from->lacking, d->worth = from->worth;
}

/* With b one past the groups and not the nodes left out, a new group is founded. */
static bool s_take (s_climb_t *c, uint32_t a, uint32_t b, bool founds, const s_step_t *step)
{
    rk_division_t *d = c->d;
    const bool leaves = b == d->n_groups && !founds;
    rk_chain_t new_a, new_b = {.k = 0}, none = {.k = 0};
    if (!s_change (&d->chains[a], step->out_of_a, step->n_a, step->out_of_b, step->n_b, &new_a) || !s_allowed (c, a, new_a.k))
        return false;
    if (!leaves && (!s_change (founds ? &none : &d->chains[b], step->out_of_b, step->n_b, step->out_of_a, step->n_a, &new_b) ||
                    (!founds && !s_allowed (c, b, new_b.k))))
        return false;
    if (new_a.k > 0)
        rk_search_solve (c->q, &new_a);
    if (new_b.k > 0)
        rk_search_solve (c->q, &new_b);
    const rk_swap_t swap = {.n = leaves ? 1 : 2, .group = {a, b}, .chain = {&new_a, &new_b}};
    rk_division_t trial = {0};
    rk_search_appraise (c->q, d, &swap, &trial);
    if (!rk_division_better (&trial, d))
        return false;
    d->chains[a] = new_a;
    if (leaves)
        s_swap_left (d, step);
    else
        d->chains[b] = new_b;
    d->n_groups += founds;
    s_figures (d, &trial);
    c->changed = true;
    return true;
}

/* ---- pairs of groups */
static const uint16_t *s_members (const rk_division_t *d, uint32_t b, uint32_t *n)
{
    *n = b < d->n_groups ? d->chains[b].k : d->n_left;
    return b < d->n_groups ? d->chains[b].node : d->left;
}

static bool s_move_or_swap (s_climb_t *c, uint32_t a, uint32_t b)
{
    uint32_t n_a, n_b;
    const uint16_t *of_a = s_members (c->d, a, &n_a), *of_b = s_members (c->d, b, &n_b);
    const uint32_t some = b == c->d->n_groups && n_b > MOST_LEFT ? MOST_LEFT : n_b;
    const uint32_t start = some < n_b ? s_below (c, n_b) : 0;
    for (uint32_t i = 0; i < n_a && !s_spent (c); i++) {
        s_step_t step = {.out_of_a = {of_a[i]}, .n_a = 1};
        if (s_take (c, a, b, false, &step))
            return true;
        for (uint32_t j = 0; j < some && !s_spent (c); j++) {
            step.out_of_b[0] = of_b[(start + j) % n_b], step.n_b = 1;
            if (s_take (c, a, b, false, &step))
                return true;
        }
    }
    for (uint32_t j = 0; j < some && !s_spent (c); j++) {
        const s_step_t step = {.out_of_b = {of_b[(start + j) % n_b]}, .n_b = 1};
        if (s_take (c, a, b, false, &step))
            return true;
    }
    return false;
}

static void s_pair (s_climb_t *c, uint32_t a, uint32_t b)
{
    for (int i = 0; i < 64 && a < c->d->n_groups && s_move_or_swap (c, a, b); i++)
        ;
}

/* Two small groups anew, in every way there is: finds what takes several moves that do not help alone. */
static bool s_redivide (s_climb_t *c, uint32_t a, uint32_t b)
{
    uint32_t n_a, n_b;
    const uint16_t *of_a = s_members (c->d, a, &n_a), *of_b = s_members (c->d, b, &n_b);
    if (n_a + n_b > MOST_REDIVIDED || n_a + n_b < 3)
        return false;
    uint16_t both[MOST_REDIVIDED];
    memcpy (both, of_a, n_a * sizeof *both);
    if (n_b > 0)
        memcpy (both + n_a, of_b, n_b * sizeof *both);
    for (uint32_t set = 0; set < 1u << (n_a + n_b) && !s_spent (c); set++) { /* who is in a */
        s_step_t step = {.n_a = 0};
        for (uint32_t i = 0; i < n_a + n_b; i++)
            if (i < n_a && !(set >> i & 1))
                step.out_of_a[step.n_a++] = both[i];
            else if (i >= n_a && (set >> i & 1))
                step.out_of_b[step.n_b++] = both[i];
        if ((step.n_a + step.n_b > 2 || (step.n_a + step.n_b == 2 && step.n_a != 1)) && s_take (c, a, b, false, &step))
            return true;
    }
    return false;
}

/* Half of a group on its own; all of a group to another. */
static void s_split (s_climb_t *c, uint32_t a)
{
    if (c->q->layout || !c->q->costs->averaging || c->d->n_groups >= c->q->n_nodes)
        return;
    const uint32_t k = c->d->chains[a].k;
    for (uint32_t part = 1; part < k && part <= MOST_REDIVIDED && !s_spent (c); part++) {
        s_step_t step = {.n_a = part};
        for (uint32_t i = 0; i < part; i++)
            step.out_of_a[i] = c->d->chains[a].node[(i * k) / part];
        if (s_take (c, a, c->d->n_groups, true, &step))
            return;
    }
    for (uint32_t j = 0; j < c->d->n_left && j < MOST_LEFT && !s_spent (c); j++) {
        /* a cluster of one node nobody wanted */
        s_step_t step = {.out_of_a = {c->d->left[j]}, .n_a = 1};
        rk_chain_t alone = {.k = 1, .node = {c->d->left[j]}};
        rk_search_solve (c->q, &alone);
        const rk_swap_t swap = {.n = 1, .group = {c->d->n_groups}, .chain = {&alone}};
        rk_division_t trial = {0};
        rk_search_appraise (c->q, c->d, &swap, &trial);
        if (!rk_division_better (&trial, c->d))
            continue;
        step.out_of_b[0] = step.out_of_a[0], step.n_b = 1, step.n_a = 0;
        s_swap_left (c->d, &step);
        c->d->chains[c->d->n_groups++] = alone;
        s_figures (c->d, &trial);
        c->changed = true;
        return;
    }
}

static void s_merge (s_climb_t *c, uint32_t a, uint32_t b)
{
    const rk_chain_t *from = &c->d->chains[a];
    if (c->q->layout || b == c->d->n_groups || from->k == 0 || from->k > MOST_REDIVIDED)
        return;
    s_step_t step = {.n_a = from->k};
    memcpy (step.out_of_a, from->node, from->k * sizeof *from->node);
    s_take (c, a, b, false, &step);
}

/* ---- which pairs: the groups that make least of their nodes first */
typedef struct {
    uint64_t loss;
    uint32_t group;
} s_loser_t;

static int s_compare (const void *a, const void *b)
{
    const s_loser_t *x = a, *y = b;
    if (x->loss != y->loss)
        return x->loss < y->loss ? 1 : -1;
    return (x->group > y->group) - (x->group < y->group);
}

static uint32_t s_rank (const s_climb_t *c, s_loser_t *losers)
{
    for (uint32_t g = 0; g < c->d->n_groups; g++) {
        const rk_chain_t *chain = &c->d->chains[g];
        uint64_t could = 0;
        for (uint32_t s = 0; s < chain->k; s++)
            could += c->q->strength[chain->node[s]] / RK_MAX_UNITS;
        const uint64_t does = chain->fits ? chain->rate / RK_MAX_UNITS : 0;
        losers[g] = (s_loser_t){!chain->fits ? UINT64_MAX : could > does ? could - does : 0, g};
    }
    qsort (losers, c->d->n_groups, sizeof *losers, s_compare);
    return c->d->n_groups;
}

static void s_visit (s_climb_t *c, const s_loser_t *losers, uint32_t n, uint32_t at)
{
    const uint32_t a = losers[at].group, pool = c->d->n_groups;
    s_pair (c, a, pool);
    for (uint32_t i = 0; i < (n <= ALL_PARTNERS ? n : SOME_PARTNERS) && !s_spent (c); i++) {
        const uint32_t b = n <= ALL_PARTNERS ? losers[i].group : losers[i < SOME_PARTNERS / 3 ? (at + i + 1) % n : s_below (c, n)].group;
        if (a == b || a >= c->d->n_groups || b >= c->d->n_groups)
            continue;
        s_pair (c, a, b);
        s_merge (c, a, b);
    }
    s_split (c, a);
}

/* Empty groups go, the last ones take their places. */
static void s_compress (rk_division_t *d)
{
    uint32_t n = 0;
    for (uint32_t g = 0; g < d->n_groups; g++)
        if (d->chains[g].k > 0) {
            if (n != g)
                d->chains[n] = d->chains[g];
            n++;
        }
    d->n_groups = n;
}

void rk_auto_improve (rk_search_t *q, rk_division_t *d, uint64_t until)
{
    s_climb_t c = {.q = q, .d = d, .until = until, .random = 1, .changed = true};
    s_loser_t *losers = malloc ((q->n_nodes + 1) * sizeof *losers);
    q->costs->out_of_memory = q->costs->out_of_memory || !losers;
    while (losers && c.changed && !s_spent (&c)) {
        c.changed = false;
        if (!q->layout)
            s_compress (d);
        const uint32_t n = s_rank (&c, losers);
        for (uint32_t i = 0; i < n && !s_spent (&c); i++)
            s_visit (&c, losers, n, i);
        for (uint32_t g = 0; !c.changed && g < d->n_groups && g < ALL_PARTNERS; g++)
            for (uint32_t b = g + 1; b <= d->n_groups && b <= ALL_PARTNERS && !s_spent (&c); b++)
                s_redivide (&c, g, b);
    }
    if (!q->layout)
        s_compress (d);
    free (losers);
}
