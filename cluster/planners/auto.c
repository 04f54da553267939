/* SPDX-License-Identifier: MPL-2.0
 * The planner "auto". For many numbers of clusters: deal the nodes to clusters, then move and exchange nodes
 * between clusters as long as that helps; the most promising starts get the most effort. Order, cuts,
 * recompute and ring order follow from each division and are part of its worth. Effort is counted in steps
 * of work, never in time, so every machine finds the same plan; the code is the same for 1 node and 1,000. */
#include "cluster/planners/auto.h"

#include <stdlib.h>
#include <string.h>

#define MOST_STEPS 10000000     /* of the dynamic programming, for the search of one plan */
#define STEPS_PER_NODE 100000
#define LEAST_EFFORT 300        /* of them, for the order of one set */
#define MOST_STARTS 320
#define MOST_KICKS 96
#define FEW_KICKS 8             /* two small groups are divided in every way anyhow */
#define EVERY_NUMBER 64         /* nodes up to which every number of clusters is tried from every start */

typedef struct {
    uint16_t *group_of; /* n_nodes */
    uint32_t n_groups;
    rk_division_t at;   /* figures only */
    bool done;
} s_start_t;

typedef struct {
    rk_search_t q;
    uint64_t budget;
    s_start_t starts[MOST_STARTS];
    uint32_t n_starts;
    rk_division_t now, best;
    bool has_best;
    uint64_t random;
} s_auto_t;

static rk_start_fn *const s_kinds[] = {rk_start_strong, rk_start_roomy, rk_start_near, rk_start_mixed};
#define N_KINDS (sizeof s_kinds / sizeof *s_kinds)

/* ---- starts */
static bool s_add_start (s_auto_t *a, uint32_t n_groups, rk_start_fn *kind)
{
    if (a->n_starts == MOST_STARTS)
        return true;
    s_start_t *start = &a->starts[a->n_starts];
    *start = (s_start_t){.group_of = malloc (a->q.n_nodes * sizeof *start->group_of), .n_groups = n_groups};
    if (!start->group_of)
        return false;
    a->n_starts++;
    kind (&a->q, n_groups, start->group_of);
    rk_division_set (&a->q, &a->now, n_groups, start->group_of);
    start->at = a->now;
    return true;
}

static s_start_t *s_most_promising (s_auto_t *a)
{
    s_start_t *best = NULL;
    for (uint32_t i = 0; i < a->n_starts; i++)
        if (!a->starts[i].done && (!best || rk_division_better (&a->starts[i].at, &best->at)))
            best = &a->starts[i];
    return best;
}

/* Every number of clusters, or a scale of them and then closer around the best. */
static bool s_fill_starts (s_auto_t *a, uint32_t least, uint32_t most)
{
    bool ok = true;
    if (a->q.n_nodes <= EVERY_NUMBER) {
        for (uint32_t n = least; ok && n <= most; n++)
            for (size_t kind = 0; ok && kind < N_KINDS; kind++)
                ok = s_add_start (a, n, s_kinds[kind]);
        return ok;
    }
    for (uint32_t n = most; ok && n >= least; n = n * 3 / 4 < n ? n * 3 / 4 : n - 1)
        ok = s_add_start (a, n, rk_start_strong);
    const s_start_t *best = s_most_promising (a);
    const uint32_t around = best ? best->n_groups : least;
    for (int part = -4; ok && part <= 4; part++) {
        const uint32_t n = around + (uint32_t) ((int) around * part / 16);
        if (n < least || n > most || a->q.costs->steps > a->budget / 3)
            continue;
        for (size_t kind = part == 0; ok && kind < N_KINDS; kind++)
            ok = s_add_start (a, n, s_kinds[kind]);
    }
    return ok;
}

static void s_clear_starts (s_auto_t *a)
{
    for (uint32_t i = 0; i < a->n_starts; i++)
        free (a->starts[i].group_of);
    a->n_starts = 0;
}

/* ---- out of local optima: some nodes of the best answer elsewhere, then better from there */
static uint32_t s_below (s_auto_t *a, uint32_t n)
{
    a->random = a->random * UINT64_C (6364136223846793005) + UINT64_C (1442695040888963407);
    return (uint32_t) ((a->random >> 33) % n);
}

/* Exchanges between groups, perhaps a new one, and the nodes left out; with a layout sizes stay. Returns the
 * number of groups.                                                                                      */
static uint32_t s_shake (s_auto_t *a, uint16_t *group_of)
{
    const rk_division_t *d = &a->best;
    const uint32_t n = a->q.n_nodes;
    const uint32_t n_groups = d->n_groups + (!a->q.layout && a->q.costs->averaging && d->n_groups < n && s_below (a, 2));
    for (uint32_t i = 0; i < n; i++)
        group_of[i] = UINT16_MAX;
    for (uint32_t g = 0; g < d->n_groups; g++)
        for (uint32_t s = 0; s < d->chains[g].k; s++)
            group_of[d->chains[g].node[s]] = (uint16_t) g;
    for (uint32_t i = 0; i < 2 + s_below (a, 2); i++) {
        const uint32_t x = s_below (a, n), y = s_below (a, n);
        const uint16_t group = group_of[x];
        group_of[x] = group_of[y];
        group_of[y] = a->q.layout || s_below (a, 2) ? group : (uint16_t) s_below (a, n_groups + 1);
        group_of[y] = group_of[y] < n_groups ? group_of[y] : UINT16_MAX;
    }
    return n_groups;
}

/* ---- drained, a round waits for the pipeline that fills last */
uint64_t rk_auto_may_fill (uint32_t at, int steps)
{
    enum { LAST = 4 * 61 };
    const int to = (int) at + steps;
    const uint32_t on = to < 4 ? 4 : to > LAST ? LAST : (uint32_t) to;
    return (UINT64_C (4) + on % 4) << (on / 4) >> 2;
}

uint32_t rk_auto_fills (const rk_division_t *d)
{
    uint64_t most = 0;
    uint32_t at = 4;
    for (uint32_t g = 0; g < d->n_groups; g++)
        most = rk_chain_fill_ns (&d->chains[g]) > most ? rk_chain_fill_ns (&d->chains[g]) : most;
    while (rk_auto_may_fill (at, 0) < most && at < 4 * 61)
        at++;
    return at;
}

void rk_auto_refill (rk_search_t *q, rk_chain_t *chain, uint64_t may_fill_ns)
{
    rk_chain_t other = *chain;
    q->costs->may_fill_ns = may_fill_ns;
    rk_search_solve (q, &other);
    q->costs->may_fill_ns = 0;
    if (!other.fits)
        return;
    rk_chain_appraise (q->costs, &other); /* its cost, as of any other */
    *chain = other;
}

static bool s_fills_matter (const s_auto_t *a)
{
    return a->q.costs->settings->average_mode == RK_AVERAGE_DRAINED && a->q.costs->averaging;
}

/* Now and then clusters are sought that fill sooner, or later. */
static void s_weigh_filling (s_auto_t *a, uint32_t kick)
{
    static const int steps[] = {-1, -4, -8, 1, -2, -6, 4, -14};
    if (s_fills_matter (a))
        a->q.costs->may_fill_ns = rk_auto_may_fill (rk_auto_fills (&a->best), steps[kick % (sizeof steps / sizeof *steps)]);
}

static void s_kick (s_auto_t *a, uint64_t until)
{
    const uint32_t n = a->q.n_nodes;
    uint16_t *group_of = malloc (n * sizeof *group_of);
    a->q.costs->out_of_memory = a->q.costs->out_of_memory || !group_of;
    for (int i = 0; group_of && n > 2 && n <= EVERY_NUMBER && i < (n > 5 ? MOST_KICKS : FEW_KICKS) && a->q.costs->steps < until; i++) {
        const uint64_t left = until - a->q.costs->steps;
        const uint32_t n_groups = s_shake (a, group_of);
        s_weigh_filling (a, (uint32_t) i);
        rk_division_set (&a->q, &a->now, n_groups, group_of);
        rk_auto_improve (&a->q, &a->now, a->q.costs->steps + left / 8);
        a->q.costs->may_fill_ns = 0;
        rk_auto_refine (&a->q, &a->now, a->q.costs->steps + left / 16);
        if (rk_division_better (&a->now, &a->best))
            rk_division_copy (&a->best, &a->now);
    }
    free (group_of);
}

/* ---- the search from `least` to `most` clusters, the most promising start first, each with half of the effort left */
static bool s_search (s_auto_t *a, uint32_t least, uint32_t most, uint64_t until)
{
    if (!s_fill_starts (a, least, most))
        return false;
    for (s_start_t *next; (next = s_most_promising (a));) {
        const uint64_t steps = a->q.costs->steps, left = steps < until ? until - steps : 0;
        if (left == 0 && a->has_best && !rk_division_better (&next->at, &a->best))
            break; /* nothing can be done about it */
        next->done = true;
        rk_division_set (&a->q, &a->now, next->n_groups, next->group_of);
        rk_auto_improve (&a->q, &a->now, steps + left / 2);
        rk_auto_refine (&a->q, &a->now, a->q.costs->steps + left / 8);
        if (!a->has_best || rk_division_better (&a->now, &a->best))
            rk_division_copy (&a->best, &a->now);
        a->has_best = true;
    }
    s_clear_starts (a);
    s_kick (a, until + (s_fills_matter (a) ? a->budget / 2 : 0));
    return true;
}

/* Once the groups are known, more effort goes into the order of each. */
static void s_polish (s_auto_t *a)
{
    rk_division_t *d = &a->best;
    uint32_t n = 0;
    for (uint32_t g = 0; g < d->n_groups; g++)
        if (d->chains[g].k > 0)
            d->chains[n++] = d->chains[g];
    d->n_groups = n;
    a->q.costs->averaging = n > 1;
    rk_search_forget (&a->q, (MOST_STEPS + a->budget / 8) / n);
    rk_search_appraise (&a->q, d, NULL, d);
    for (uint32_t g = 0; g < n; g++) {
        rk_chain_t chain = d->chains[g];
        rk_search_solve (&a->q, &chain);
        const rk_swap_t swap = {.n = 1, .group = {g}, .chain = {&chain}};
        rk_division_t trial = {0};
        rk_search_appraise (&a->q, d, &swap, &trial);
        if (rk_division_better (&trial, d)) {
            d->chains[g] = chain;
            d->worth = trial.worth;
        }
    }
}

/* ---- the answer */
static int s_by_first_node (const void *x, const void *y)
{
    const rk_chain_t *a = x, *b = y;
    uint16_t least_a = UINT16_MAX, least_b = UINT16_MAX;
    for (uint32_t s = 0; s < a->k; s++)
        least_a = a->node[s] < least_a ? a->node[s] : least_a;
    for (uint32_t s = 0; s < b->k; s++)
        least_b = b->node[s] < least_b ? b->node[s] : least_b;
    return (least_a > least_b) - (least_a < least_b);
}

/* Clusters in the order of their first node where the ring does not mind, or of the layout. */
void rk_auto_hand_over (rk_search_t *q, rk_division_t *d, rk_assignment_t *out)
{
    rk_outlook_t outlook;
    if (!q->layout)
        qsort (d->chains, d->n_groups, sizeof *d->chains, s_by_first_node);
    rk_search_outlook (q, d, &outlook);
    rk_assignment_of (out, q->costs, q->ring, d->n_groups);
}

static bool s_find (s_auto_t *a)
{
    rk_costs_t *costs = a->q.costs;
    const uint32_t forced = costs->settings->n_layout, n = a->q.n_nodes;
    const uint64_t effort = LEAST_EFFORT + a->budget / 4 / ((uint64_t) n * n);
    rk_division_t one;
    if (rk_division_new (&one, n))
        return false;
    bool ok = true;
    /* One cluster does not average, so its answers are not those of the same nodes among others. */
    costs->averaging = false;
    rk_search_forget (&a->q, effort);
    if (forced <= 1)
        ok = s_search (a, 1, 1, MOST_STEPS / 2);
    /* If no set of nodes holds the model, no two sets do. */
    if (ok && (forced > 1 || (forced == 0 && a->best.n_unfit == 0 && n > 1))) {
        const bool has_one = a->has_best;
        if (has_one)
            rk_division_copy (&one, &a->best);
        a->has_best = false;
        costs->averaging = true;
        rk_search_forget (&a->q, effort);
        ok = s_search (a, forced ? forced : 2, forced ? forced : n, costs->steps + a->budget);
        if (has_one && (!a->has_best || rk_division_better (&one, &a->best)))
            rk_division_copy (&a->best, &one);
        a->has_best = a->has_best || has_one;
    }
    rk_division_free (&one);
    return ok && !costs->out_of_memory;
}

rk_err_t rk_planner_auto (rk_costs_t *costs, rk_assignment_t *out, rk_error_t *err)
{
    s_auto_t *a = calloc (1, sizeof *a);
    bool ok = a && rk_search_open (&a->q, costs) == RK_OK && rk_division_new (&a->now, costs->n_nodes) == RK_OK &&
              rk_division_new (&a->best, costs->n_nodes) == RK_OK;
    rk_err_t code = RK_OK;
    if (ok) {
        a->budget = MOST_STEPS + STEPS_PER_NODE * (uint64_t) costs->n_nodes;
        ok = s_find (a);
    }
    if (ok && (a->best.n_unfit > 0 || !a->has_best))
        code = rk_search_refuse (&a->q, &a->best, err);
    else if (ok) {
        s_polish (a);
        rk_auto_refine (&a->q, &a->best, costs->steps + a->budget / 8);
        rk_search_forget (&a->q, LEAST_EFFORT * 10);
        rk_auto_deepen (&a->q, &a->best, &a->now, costs->steps + a->budget / 2);
        rk_auto_hand_over (&a->q, &a->best, out);
        ok = !costs->out_of_memory;
    }
    if (!ok)
        code = rk_error_set (err, RK_ENOMEM, "no memory to plan %u nodes", costs->n_nodes);
    if (a) {
        s_clear_starts (a);
        rk_division_free (&a->now);
        rk_division_free (&a->best);
        rk_search_close (&a->q);
    }
    free (a);
    return code;
}
