/* SPDX-License-Identifier: MPL-2.0
 * The planner "auto". For every number of clusters: deal the nodes to clusters of equal strength (longest
 * processing time first), then exchange and move nodes between clusters as long as that helps; the most
 * promising numbers of clusters get the most effort. Effort is counted in steps of work, never in time, so
 * every machine finds the same plan.
 *
 * Worth of a division into clusters = predicted rate of all of them, no host beyond its cores, less small
 * dues that decide between divisions of nearly the same rate:
 *   up to 10 % for unlike clusters (the strongest waits for the weakest at every drained averaging),
 *   up to 10 % for nodes left out (whoever brings a node wants it used; it also lowers memory),
 *   up to 2 % for long chains (each hop adds latency and staleness).
 * A division that does not fit in memory is worth less than any that does.                              */
#include "cluster/planners/groups.h"

#include <stdlib.h>
#include <string.h>

#define MOST_STEPS 16000000 /* of the dynamic programming, for the search of one plan */
#define LEAST_EFFORT 10000  /* of them, for the order of one set */

typedef unsigned __int128 s_wide_t;

typedef struct {
    uint32_t n_groups;
    uint64_t groups[RK_MAX_CLUSTERS + 1]; /* sets of node indices; [n_groups]: left out */
    uint32_t n_unfit;
    uint64_t lacking;                     /* bytes, over all groups that do not fit */
    uint64_t worth;                       /* nano-rate */
} s_division_t;

typedef struct {
    rk_costs_t *costs;
    rk_groups_t *groups;
    uint32_t n_nodes, n_hosts;
    uint32_t host[RK_MAX_FLEET];          /* of each node, 0 .. n_hosts - 1 */
    uint64_t cores[RK_MAX_FLEET];         /* of each host */
    uint64_t strength[RK_MAX_FLEET];      /* nano-rate of the whole model on the node */
    uint64_t room[RK_MAX_FLEET];          /* bytes */
    const uint32_t *layout;               /* sizes of the groups if forced, else NULL */
} s_search_t;

static uint32_t s_size (uint64_t set)
{
    return (uint32_t) __builtin_popcountll (set);
}

/* ---- worth */
/* CPU time the group takes from each host per 1e9 s at its own rate, in ns. */
static void s_add_load (const s_search_t *q, const rk_group_t *g, s_wide_t *load)
{
    for (uint32_t s = 0; s < g->k; s++)
        load[q->host[g->order[s]]] += (s_wide_t) g->rate * g->cpu_ns[s];
}

/* The group's rate when its busiest host is shared. */
static uint64_t s_shared_rate (const s_search_t *q, const rk_group_t *g, const s_wide_t *load)
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

static uint64_t s_less_dues (const s_search_t *q, const s_division_t *d, uint64_t total, uint64_t least, uint64_t most)
{
    uint32_t longest = 0;
    for (uint32_t i = 0; i < d->n_groups; i++)
        longest = s_size (d->groups[i]) > longest ? s_size (d->groups[i]) : longest;
    uint64_t unlike = (uint64_t) ((s_wide_t) (most - least) * 100000 / (most + (most == 0)));
    uint64_t unused = (uint64_t) s_size (d->groups[d->n_groups]) * 100000 / q->n_nodes;
    uint64_t chains = (uint64_t) (longest - 1) * 20000 / q->n_nodes;
    return (uint64_t) ((s_wide_t) total * (1000000 - unlike - unused - chains) / 1000000);
}

/* False when no more answers can be kept. */
static bool s_appraise (s_search_t *q, s_division_t *d)
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

static bool s_better (const s_division_t *a, const s_division_t *b)
{
    if (a->n_unfit != b->n_unfit)
        return a->n_unfit < b->n_unfit;
    if (a->lacking != b->lacking)
        return a->lacking < b->lacking;
    return a->worth > b->worth;
}

/* ---- starts */
/* The node of the set with the greatest measure, the first such. */
static uint32_t s_greatest (const s_search_t *q, uint64_t set, const uint64_t *measure)
{
    uint32_t best = RK_MAX_FLEET;
    for (uint32_t i = 0; i < q->n_nodes; i++)
        if (set >> i & 1 && (best == RK_MAX_FLEET || measure[i] > measure[best]))
            best = i;
    return best;
}

static uint64_t s_all (const s_search_t *q)
{
    return UINT64_MAX >> (64 - q->n_nodes);
}

/* Deal the nodes, greatest measure first, each to the group that has least of it so far. With `enough`, a
 * group that fits takes no more and the rest is left out at first: memory grows with the chain.          */
static bool s_deal (s_search_t *q, s_division_t *d, uint32_t n_groups, const uint64_t *measure, bool enough)
{
    uint64_t sums[RK_MAX_CLUSTERS] = {0}, left = s_all (q), closed = 0;
    *d = (s_division_t){.n_groups = n_groups};
    while (left) {
        uint32_t node = s_greatest (q, left, measure), group = n_groups;
        for (uint32_t i = 0; i < n_groups; i++) {
            uint32_t most = q->layout ? q->layout[i] : q->costs->n_units;
            if (!(closed >> i & 1) && s_size (d->groups[i]) < most && (group == n_groups || sums[i] < sums[group]))
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
    return s_appraise (q, d);
}

/* Groups of like strength, and groups of like and just sufficient memory. */
static bool s_start_strong (s_search_t *q, s_division_t *d, uint32_t n_groups)
{
    return s_deal (q, d, n_groups, q->strength, false);
}

static bool s_start_roomy (s_search_t *q, s_division_t *d, uint32_t n_groups)
{
    return s_deal (q, d, n_groups, q->room, !q->layout);
}

/* ---- exchanges */
static uint32_t s_group_of (const s_division_t *d, uint32_t node)
{
    uint32_t group = 0;
    while (!(d->groups[group] >> node & 1))
        group++;
    return group;
}

/* May the sizes of two groups become these? The last group is the nodes left out. */
static bool s_allowed (const s_search_t *q, const s_division_t *d, uint32_t group, uint64_t set)
{
    if (group == d->n_groups)
        return true;
    return q->layout ? s_size (set) == q->layout[group] : set != 0 && s_size (set) <= q->costs->n_units;
}

/* Take the nodes of `swap` out of their group a or b and into the other one. */
static bool s_exchange (s_search_t *q, s_division_t *d, uint32_t a, uint32_t b, uint64_t swap)
{
    s_division_t trial = *d;
    trial.groups[a] ^= swap;
    trial.groups[b] ^= swap;
    if (!s_allowed (q, d, a, trial.groups[a]) || !s_allowed (q, d, b, trial.groups[b]) || !s_appraise (q, &trial) ||
        !s_better (&trial, d))
        return false;
    *d = trial;
    return true;
}

/* Try each node with each other group and each other node, until a whole round changes nothing. */
static void s_improve (s_search_t *q, s_division_t *d, uint64_t until)
{
    for (bool better = true; better;) {
        better = false;
        for (uint32_t i = 0; i < q->n_nodes; i++) {
            for (uint32_t b = 0; b <= d->n_groups; b++) {
                uint32_t a = s_group_of (d, i);
                if (q->costs->steps > until)
                    return;
                if (a != b && s_exchange (q, d, a, b, UINT64_C (1) << i))
                    better = true;
            }
            for (uint32_t j = i + 1; j < q->n_nodes; j++) {
                uint32_t a = s_group_of (d, i), b = s_group_of (d, j);
                if (q->costs->steps > until)
                    return;
                if (a != b && s_exchange (q, d, a, b, UINT64_C (1) << i | UINT64_C (1) << j))
                    better = true;
            }
        }
    }
}

/* ---- the whole search */
typedef struct {
    s_division_t division;
    bool done;
} s_start_t;

static bool (*const s_starts[]) (s_search_t *, s_division_t *, uint32_t) = {s_start_strong, s_start_roomy};
#define N_STARTS (sizeof s_starts / sizeof *s_starts)

/* All starts from `least` to `most` clusters, the most promising first, each with half of the effort left. */
static rk_err_t s_search (s_search_t *q, uint32_t least, uint32_t most, s_division_t *best)
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
            if (!starts[i].done && (!next || s_better (&starts[i].division, &next->division)))
                next = &starts[i];
        next->done = true;
        uint64_t left = q->costs->steps < MOST_STEPS ? MOST_STEPS - q->costs->steps : 0;
        s_improve (q, &next->division, q->costs->steps + left / 2);
        if (best->n_groups == 0 || s_better (&next->division, best))
            *best = next->division;
    }
    free (starts);
    return RK_OK;
}

static void s_prepare (s_search_t *q, rk_costs_t *costs)
{
    const rk_fleet_t *fleet = costs->fleet;
    q->costs = costs;
    q->n_nodes = costs->n_nodes;
    q->layout = costs->settings->n_layout ? costs->settings->fleet_layout : NULL;
    for (uint32_t i = 0; i < q->n_nodes; i++) {
        uint64_t ns = rk_costs_ns (costs, i, costs->n_units);
        q->strength[i] = RK_PLAN_MAX_RATE / (ns + (ns == 0));
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

/* Once the groups are known, more effort goes into the order of each. */
static void s_polish (s_search_t *q, s_division_t *best)
{
    q->costs->averaging = best->n_groups > 1;
    rk_groups_forget (q->groups, MOST_STEPS / 4 / best->n_groups);
    bool kept = s_appraise (q, best);
    (void) kept; /* at most 64 sets: there is room */
}

/* ---- the answer */
/* Clusters in the order of their first node, or of the layout; cuts of the same speed with the least bytes. */
static void s_hand_over (s_search_t *q, const s_division_t *d, rk_assignment_t *out)
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

/* Where the best attempt at one cluster falls short, and by how much. */
static rk_err_t s_refuse (s_search_t *q, uint32_t most, rk_error_t *err)
{
    rk_costs_t *costs = q->costs;
    uint32_t order[RK_MAX_FLEET], best_order[RK_MAX_FLEET] = {0}, first[RK_MAX_FLEET], best_first[RK_MAX_FLEET] = {0};
    uint32_t n = 0, best_k = 0;
    for (uint32_t i = 0; i < q->n_nodes; i++) {
        uint32_t at = n++;
        for (; at > 0 && q->room[i] > q->room[order[at - 1]]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    uint64_t lacking = UINT64_MAX, value;
    for (uint32_t k = 1; k <= n && k <= most && k <= costs->n_units; k++)
        if (rk_cut_chain (costs, order, k, RK_CUT_FITTEST, UINT64_MAX, first, &value) && value < lacking) {
            lacking = value;
            best_k = k;
            memcpy (best_order, order, sizeof order);
            memcpy (best_first, first, sizeof first);
        }
    const size_t row = RK_MAX_UNITS + 1;
    const char *hint = costs->settings->fleet_given ? "" : "; declare larger nodes with fleet.node";
    for (uint32_t s = 0; s < best_k; s++) {
        uint32_t last = s + 1 < best_k ? best_first[s + 1] : costs->n_units;
        const rk_profile_t *p = &costs->fleet->nodes[best_order[s]];
        uint64_t need = costs->fixed[best_first[s] * row + last] +
                        rk_costs_in_flight (costs, best_k) * costs->each[best_first[s] * row + last];
        if (p->ram_bytes && need > p->ram_bytes && need - p->ram_bytes == lacking)
            return rk_error_set (err, RK_EPLAN,
                                 "the model does not fit: in a cluster of %u, node %s lacks %llu MB for layers %u to %u "
                                 "(needs %llu MB, has %llu MB)%s",
                                 best_k, p->name, (unsigned long long) (lacking + 999999) / 1000000,
                                 costs->at[best_first[s]], costs->at[last] - 1,
                                 (unsigned long long) (need + 999999) / 1000000,
                                 (unsigned long long) p->ram_bytes / 1000000, hint);
    }
    return rk_error_set (err, RK_EPLAN, "no order of the nodes fits the model into their memory in clusters of that size");
}

rk_err_t rk_planner_auto (rk_costs_t *costs, rk_assignment_t *out, rk_error_t *err)
{
    s_search_t q = {0};
    s_prepare (&q, costs);
    rk_err_t code = rk_groups_new (&q.groups, costs);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory to plan %u nodes", q.n_nodes);
    s_division_t one = {0}, best = {0};
    uint32_t forced = costs->settings->n_layout, longest = q.n_nodes;
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
    if (best.n_groups == 0 || (one.n_groups == 1 && s_better (&one, &best)))
        best = one;
    for (uint32_t i = 0; i < forced; i++)
        longest = i == 0 || costs->settings->fleet_layout[i] > longest ? costs->settings->fleet_layout[i] : longest;
    if (code != RK_OK)
        rk_error_set (err, code, "no memory to plan %u nodes", q.n_nodes);
    else if (best.n_unfit > 0 || best.n_groups == 0)
        code = s_refuse (&q, longest, err);
    else {
        s_polish (&q, &best);
        s_hand_over (&q, &best, out);
    }
    rk_groups_destroy (&q.groups);
    return code;
}
