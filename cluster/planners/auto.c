/* SPDX-License-Identifier: MPL-2.0
 * The planner "auto". For every number of clusters: deal the nodes to clusters of equal strength (longest
 * processing time first), then move and exchange nodes between clusters as long as that helps; the most
 * promising numbers of clusters get the most effort. Effort is counted in steps of work, never in time, so
 * every machine finds the same plan.                                                                       */
#include "cluster/planners/division.h"

#include <stdlib.h>

#define MOST_STEPS 10000000 /* of the dynamic programming, for the search of one plan */
#define MOST_REDIVIDED 8   /* nodes of two groups that are divided in every way */
#define LEAST_EFFORT 10000  /* of them, for the order of one set */

/* ---- exchanges */
static uint32_t s_group_of (const rk_division_t *d, uint32_t node)
{
    uint32_t group = 0;
    while (!(d->groups[group] >> node & 1))
        group++;
    return group;
}

/* May the sizes of two groups become these? The last group is the nodes left out. */
static bool s_allowed (const rk_search_t *q, const rk_division_t *d, uint32_t group, uint64_t set)
{
    if (group == d->n_groups)
        return true;
    return q->layout ? rk_set_size (set) == q->layout[group] : set != 0 && rk_set_size (set) <= q->costs->n_units;
}

/* Take the nodes of `swap` out of their group a or b and into the other one. */
static bool s_exchange (rk_search_t *q, rk_division_t *d, uint32_t a, uint32_t b, uint64_t swap)
{
    rk_division_t trial = *d;
    trial.groups[a] ^= swap;
    trial.groups[b] ^= swap;
    if (!s_allowed (q, d, a, trial.groups[a]) || !s_allowed (q, d, b, trial.groups[b]) || !rk_search_appraise (q, &trial) ||
        !rk_division_better (&trial, d))
        return false;
    *d = trial;
    return true;
}

/* Each node to each other group and against each other node, once. */
static bool s_move_nodes (rk_search_t *q, rk_division_t *d, uint64_t until)
{
    bool better = false;
    for (uint32_t i = 0; i < q->n_nodes; i++) {
        for (uint32_t b = 0; b <= d->n_groups && q->costs->steps <= until; b++) {
            uint32_t a = s_group_of (d, i);
            better = (a != b && s_exchange (q, d, a, b, UINT64_C (1) << i)) || better;
        }
        for (uint32_t j = i + 1; j < q->n_nodes && q->costs->steps <= until; j++) {
            uint32_t a = s_group_of (d, i), b = s_group_of (d, j);
            better = (a != b && s_exchange (q, d, a, b, UINT64_C (1) << i | UINT64_C (1) << j)) || better;
        }
    }
    return better;
}

/* Two small groups anew, in every way there is: finds what takes several moves that do not help alone. */
static bool s_redivide (rk_search_t *q, rk_division_t *d, uint32_t a, uint32_t b, uint64_t until)
{
    bool better = false;
    uint64_t both = d->groups[a] | d->groups[b];
    if (rk_set_size (both) > MOST_REDIVIDED)
        return false;
    for (uint64_t set = both; q->costs->steps <= until; set = (set - 1) & both) {
        better = (set != d->groups[a] && s_exchange (q, d, a, b, set ^ d->groups[a])) || better;
        if (set == 0)
            break;
    }
    return better;
}

/* Until nothing helps any more or the effort is spent. */
static void s_improve (rk_search_t *q, rk_division_t *d, uint64_t until)
{
    bool better = true;
    while (better && q->costs->steps <= until) {
        better = s_move_nodes (q, d, until);
        for (uint32_t a = 0; !better && a < d->n_groups; a++)
            for (uint32_t b = a + 1; b <= d->n_groups; b++)
                better = s_redivide (q, d, a, b, until) || better;
    }
}

/* ---- the whole search */
typedef struct {
    rk_division_t division;
    bool done;
} s_start_t;

static bool (*const s_starts[]) (rk_search_t *, rk_division_t *, uint32_t) = {rk_search_start_strong, rk_search_start_roomy};
#define N_STARTS (sizeof s_starts / sizeof *s_starts)

/* All starts from `least` to `most` clusters, the most promising first, each with half of the effort left. */
static rk_err_t s_search (rk_search_t *q, uint32_t least, uint32_t most, rk_division_t *best)
{
    uint32_t n = 0;
    s_start_t *starts = calloc ((most - least + 1) * N_STARTS, sizeof *starts);
    if (!starts)
        return RK_ENOMEM;
    for (uint32_t n_groups = least; n_groups <= most; n_groups++)
        for (size_t i = 0; i < N_STARTS; i++)
            n += s_starts[i](q, &starts[n].division, n_groups);
    for (uint32_t turn = 0; turn < n; turn++) {
        s_start_t *next = NULL;
        for (uint32_t i = 0; i < n; i++)
            if (!starts[i].done && (!next || rk_division_better (&starts[i].division, &next->division)))
                next = &starts[i];
        next->done = true;
        uint64_t left = q->costs->steps < MOST_STEPS ? MOST_STEPS - q->costs->steps : 0;
        s_improve (q, &next->division, q->costs->steps + left / 2);
        if (best->n_groups == 0 || rk_division_better (&next->division, best))
            *best = next->division;
    }
    free (starts);
    return RK_OK;
}

/* Once the groups are known, more effort goes into the order of each. */
static void s_polish (rk_search_t *q, rk_division_t *best)
{
    q->costs->averaging = best->n_groups > 1;
    rk_groups_forget (q->groups, MOST_STEPS / 4 / best->n_groups);
    bool kept = rk_search_appraise (q, best);
    (void) kept; /* at most 64 sets: there is room */
}

/* ---- the answer */
/* Clusters in the order of their first node, or of the layout; cuts of the same speed with the least bytes. */
static void s_hand_over (rk_search_t *q, const rk_division_t *d, rk_assignment_t *out)
{
    uint64_t taken = 0;
    *out = (rk_assignment_t){.n_clusters = d->n_groups};
    for (uint32_t c = 0; c < d->n_groups; c++) {
        uint32_t next = RK_MAX_CLUSTERS;
        for (uint32_t i = 0; i < d->n_groups; i++)
            if (!(taken >> i & 1) && (next == RK_MAX_CLUSTERS || (!q->layout && __builtin_ctzll (d->groups[i]) <
                                                                                    __builtin_ctzll (d->groups[next]))))
                next = i;
        taken |= UINT64_C (1) << next;
        const rk_group_t *g = rk_groups_get (q->groups, d->groups[next]);
        uint32_t lean[RK_MAX_FLEET];
        uint64_t bytes;
        bool leaner = rk_cut_chain (q->costs, g->order, g->k, RK_CUT_LEANEST, g->slowest_ns, lean, &bytes);
        out->counts[c] = g->k;
        for (uint32_t s = 0; s < g->k; s++) {
            out->nodes[out->n_stages] = g->order[s];
            out->first_layers[out->n_stages++] = q->costs->at[leaner ? lean[s] : g->first[s]];
        }
    }
}

rk_err_t rk_planner_auto (rk_costs_t *costs, rk_assignment_t *out, rk_error_t *err)
{
    rk_search_t q = {0};
    rk_search_prepare (&q, costs);
    rk_err_t code = rk_groups_new (&q.groups, costs);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory to plan %u nodes", q.n_nodes);
    rk_division_t one = {0}, best = {0};
    uint32_t forced = costs->settings->n_layout;
    uint64_t effort = LEAST_EFFORT + MOST_STEPS / 4 / (q.n_nodes * q.n_nodes);
    /* One cluster does not average, so its answers are not those of the same nodes among others. */
    costs->averaging = false;
    rk_groups_forget (q.groups, effort);
    if (forced <= 1)
        code = s_search (&q, 1, 1, &one);
    costs->averaging = true;
    rk_groups_forget (q.groups, effort);
    /* If no set of nodes holds the model, no two sets do. */
    if (code == RK_OK && (forced > 1 || (forced == 0 && one.n_unfit == 0 && q.n_nodes > 1)))
        code = s_search (&q, forced ? forced : 2, forced ? forced : q.n_nodes, &best);
    if (best.n_groups == 0 || (one.n_groups == 1 && rk_division_better (&one, &best)))
        best = one;
    if (code != RK_OK)
        rk_error_set (err, code, "no memory to plan %u nodes", q.n_nodes);
    else if (best.n_unfit > 0 || best.n_groups == 0)
        code = rk_search_refuse (&q, &best, err);
    else {
        s_polish (&q, &best);
        s_hand_over (&q, &best, out);
    }
    rk_groups_destroy (&q.groups);
    return code;
}
