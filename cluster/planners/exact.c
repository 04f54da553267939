/* SPDX-License-Identifier: MPL-2.0
 * Brute force, the oracle of the other planners: every division of the nodes into clusters and nodes left out,
 * every order of each cluster, every cut, every ring order, under the same objective. Two things spare work and
 * no answer: a stage recomputes exactly when it must, because that only costs time, and a division whose bound
 * (each cluster alone at its best, averaging at its least) is below the best answer so far is not looked into.
 * The bounds come from enumeration too, not from the dynamic programming that the other planners use.      */
#include "cluster/planners/rings.h"

#include <stdlib.h>
#include <string.h>
#include "cluster/plan_parts.h"

#define MOST_NODES 10
#define MOST_LEAVES UINT64_C (400000000)
#define SETS (1u << MOST_NODES)

/* Of one set of nodes as one cluster. */
typedef struct {
    uint64_t rate;        /* at the least period; 0: does not fit */
    uint64_t fill_ns;     /* the shortest, of any */
    rk_chain_t fastest;
} s_best_t;

typedef struct {
    uint64_t worth;                 /* no answer of the division is worth more */
    uint8_t group_of[MOST_NODES];   /* MOST_NODES: left out */
    uint8_t n_groups;
} s_division_t;

typedef struct s_exact {
    rk_costs_t *costs;
    uint32_t n;
    s_best_t *alone, *among;        /* [set]: one cluster, one of several */
    s_division_t *divisions;
    size_t n_divisions, room;
    uint64_t leaves;
    bool out_of_memory;
    uint64_t worth;                 /* of the best answer */
    rk_chain_t answer[MOST_NODES];
    uint32_t n_answer;
} s_exact_t;

/* ---- every order and cut of a set */
typedef struct s_walk s_walk_t;
struct s_walk {
    s_exact_t *e;
    rk_chain_t chain;
    uint32_t set;
    uint64_t limit; /* no stage may compute for longer */
    void (*visit) (s_walk_t *);
    s_best_t *best;                 /* for s_note */
    struct s_choice *choice;        /* for s_choose */
};

static void s_leaf (s_walk_t *w)
{
    w->e->leaves++;
    rk_chain_appraise (w->e->costs, &w->chain);
    if (w->chain.fits)
        w->visit (w);
}

static void s_place (s_walk_t *w, uint32_t s, uint32_t first, uint32_t unused)
{
    rk_costs_t *costs = w->e->costs;
    const uint32_t k = w->chain.k, n_units = costs->n_units;
    const rk_needs_t *needs = rk_costs_needs (costs, rk_costs_in_flight (costs, k));
    for (uint32_t i = 0; needs && i < w->e->n; i++) {
        if (!(unused >> i & 1))
            continue;
        const uint64_t *ns = costs->ns + (size_t) i * RK_UNITS_ROW, ram = costs->fleet->nodes[i].ram_bytes;
        w->chain.node[s] = (uint16_t) i;
        w->chain.first[s] = (uint16_t) first;
        for (uint32_t last = s + 1 == k ? n_units : first + 1; last + (k - 1 - s) <= n_units; last++) {
            const size_t at = (size_t) first * RK_UNITS_ROW + last;
            if (ns[last] - ns[first] > w->limit || (ram && needs->least[at] > ram) || w->e->leaves > MOST_LEAVES)
                break;
            if (ram && needs->lean[at] > ram)
                continue;
            if (s + 1 == k)
                s_leaf (w);
            else
                s_place (w, s + 1, last, unused & ~(1u << i));
        }
    }
}

static void s_walk (s_walk_t *w, uint32_t set)
{
    w->set = set;
    w->chain.k = (uint32_t) __builtin_popcount (set);
    if (w->chain.k <= w->e->costs->n_units)
        s_place (w, 0, 0, set);
}

/* ---- what a set can do at best */
static void s_note (s_walk_t *w)
{
    s_best_t *best = w->best;
    const rk_chain_t *c = &w->chain;
    const uint64_t fill = rk_chain_fill_ns (c);
    best->fill_ns = best->rate == 0 || fill < best->fill_ns ? fill : best->fill_ns;
    if (best->rate == 0 || c->period_ns < best->fastest.period_ns ||
        (c->period_ns == best->fastest.period_ns && c->turn_ns < best->fastest.turn_ns)) {
        best->rate = c->rate;
        best->fastest = *c;
        /* Slower stages matter only where a turn or a host's cores do. */
        if (w->e->costs->n_tight == 0 && w->e->costs->settings->average_mode != RK_AVERAGE_DRAINED)
            w->limit = c->period_ns;
    }
}

static s_best_t *s_all_sets (s_exact_t *e, bool averaging)
{
    s_best_t *bests = calloc (1u << e->n, sizeof *bests);
    e->costs->averaging = averaging;
    for (uint32_t set = 1; bests && set < 1u << e->n; set++) {
        s_walk_t w = {.e = e, .limit = UINT64_MAX, .visit = s_note, .best = &bests[set]};
        s_walk (&w, set);
    }
    return bests;
}

/* ---- bounds */
/* All the bytes a cluster owes its next one, over all links between the two at once. */
static uint64_t s_least_averaging (const s_exact_t *e, const uint32_t *sets, uint32_t n, const rk_mixing_t *mixing)
{
    uint64_t worst = 0;
    for (uint32_t a = 0; a < n; a++) {
        uint64_t least = UINT64_MAX;
        for (uint32_t b = 0; b < n; b++) {
            double together = 0;
            uint64_t rtt = UINT64_MAX;
            for (uint32_t i = 0; a != b && i < e->n; i++)
                for (uint32_t j = 0; (sets[a] >> i & 1) && j < e->n; j++)
                    if (sets[b] >> j & 1) {
                        const rk_pace_t link = rk_costs_link (e->costs, i, j);
                        together += link.ns_per_mib ? 1.0 / (double) link.ns_per_mib : 1;
                        rtt = link.half_rtt_ns < rtt ? link.half_rtt_ns : rtt;
                    }
            if (a == b)
                continue;
            const double mib = 4.0 * (double) e->costs->model->n_flat * (double) mixing->models_ppm / 1e6 / 1048576;
            const uint64_t ns = mixing->messages * rtt + (uint64_t) (mib / together * 0.999);
            least = ns < least ? ns : least;
        }
        worst = least > worst ? least : worst;
    }
    return worst;
}

/* Clusters of a division, each with a rate and a time of filling: of the chain chosen, or the best there is. */
typedef struct {
    uint32_t sets[MOST_NODES], n;
    uint64_t rates[MOST_NODES], fills[MOST_NODES];
    uint64_t averaging_ns; /* at least */
} s_hope_t;

/* Worth if nothing else were in the way. The objective grows with each rate and falls with each time. */
static uint64_t s_bound (s_exact_t *e, const s_hope_t *h)
{
    rk_outlook_t o = {.n_clusters = h->n, .n_nodes = e->n, .least = UINT64_MAX, .averaging_ns = h->averaging_ns};
    for (uint32_t c = 0; c < h->n; c++) {
        const uint32_t k = (uint32_t) __builtin_popcount (h->sets[c]), in_flight = rk_costs_in_flight (e->costs, k);
        o.rates += h->rates[c];
        o.least = h->rates[c] < o.least ? h->rates[c] : o.least;
        o.most = h->rates[c] > o.most ? h->rates[c] : o.most;
        o.fill_ns = h->fills[c] > o.fill_ns ? h->fills[c] : o.fill_ns;
        o.n_stages += k;
        o.longest = k > o.longest ? k : o.longest;
        for (uint32_t s = 0; s < k && e->costs->settings->plan_staleness > 0; s++)
            o.staleness += rk_score_staleness (e->costs->settings, s, in_flight);
    }
    if (e->costs->n_tight > 0)
        o.least = o.most; /* sharing cores may make clusters alike */
    rk_outlook_judge (&o, e->costs->settings, e->costs->pass_minibatches);
    return o.worth;
}

/* False when a cluster does not fit. */
static bool s_hope (const s_exact_t *e, s_hope_t *h)
{
    const s_best_t *bests = h->n == 1 ? e->alone : e->among;
    for (uint32_t c = 0; c < h->n; c++) {
        h->rates[c] = bests[h->sets[c]].rate;
        h->fills[c] = bests[h->sets[c]].fill_ns;
        if (h->rates[c] == 0)
            return false;
    }
    h->averaging_ns = h->n > 1 ? s_least_averaging (e, h->sets, h->n, rk_costs_mixing (e->costs, h->n)) : 0;
    return true;
}

/* ---- divisions */
static void s_add_division (s_exact_t *e, const uint32_t *sets, uint32_t n, const uint8_t *group_of)
{
    s_hope_t hope = {.n = n};
    memcpy (hope.sets, sets, n * sizeof *sets);
    if (!s_hope (e, &hope))
        return;
    if (e->n_divisions == e->room) {
        const size_t room = e->room ? 2 * e->room : 1024;
        s_division_t *grown = realloc (e->divisions, room * sizeof *grown);
        if (!grown) {
            e->out_of_memory = true;
            return;
        }
        e->divisions = grown;
        e->room = room;
    }
    s_division_t *d = &e->divisions[e->n_divisions++];
    *d = (s_division_t){.worth = s_bound (e, &hope), .n_groups = (uint8_t) n};
    memcpy (d->group_of, group_of, sizeof d->group_of);
}

static bool s_layout_allows (const s_exact_t *e, const uint32_t *sets, uint32_t n)
{
    const rk_settings_t *settings = e->costs->settings;
    bool allowed = settings->n_layout == 0 || settings->n_layout == n;
    for (uint32_t c = 0; allowed && c < settings->n_layout; c++)
        allowed = (uint32_t) __builtin_popcount (sets[c]) == settings->fleet_layout[c];
    return allowed;
}

/* Node i joins a group, founds one, or is left out. With a layout groups differ, so each may be founded first. */
static void s_divide (s_exact_t *e, uint32_t i, uint32_t *sets, uint32_t n, uint8_t *group_of)
{
    const uint32_t forced = e->costs->settings->n_layout;
    if (i == e->n) {
        if (n > 0 && s_layout_allows (e, sets, n))
            s_add_division (e, sets, n, group_of);
        return;
    }
    group_of[i] = MOST_NODES;
    s_divide (e, i + 1, sets, n, group_of);
    for (uint32_t g = 0; g < (forced ? forced : n + 1) && !e->out_of_memory; g++) {
        const uint32_t before = sets[g];
        sets[g] |= 1u << i;
        group_of[i] = (uint8_t) g;
        s_divide (e, i + 1, sets, forced ? forced : n + (g == n), group_of);
        sets[g] = before;
    }
}

static int s_compare (const void *x, const void *y)
{
    const s_division_t *a = x, *b = y;
    if (a->worth != b->worth)
        return a->worth < b->worth ? 1 : -1;
    return memcmp (a->group_of, b->group_of, sizeof a->group_of);
}

/* ---- into a division: every choice of chains */
typedef struct s_choice {
    s_hope_t hope; /* of the chains chosen, then the best of the others */
    uint32_t at;
    rk_chain_t chains[MOST_NODES];
} s_choice_t;

static void s_judge (s_exact_t *e, const s_choice_t *c)
{
    const rk_chain_t *ring[MOST_NODES];
    for (uint32_t i = 0; i < c->hope.n; i++)
        ring[i] = &c->chains[i];
    rk_outlook_t o;
    const rk_mixing_t *mixing = rk_costs_mixing (e->costs, c->hope.n);
    const bool fixed = e->costs->settings->n_layout > 0;
    const uint64_t averaging = fixed ? rk_ring_ns (e->costs, ring, c->hope.n, mixing) : rk_ring_arrange (e->costs, ring, c->hope.n, mixing);
    rk_chains_judge (e->costs, ring, c->hope.n, averaging, &o);
    if (o.worth <= e->worth)
        return;
    e->worth = o.worth;
    e->n_answer = c->hope.n;
    for (uint32_t i = 0; i < c->hope.n; i++)
        e->answer[i] = *ring[i];
}

/* The slowest stage that cluster `at` may have if the division is to be worth more than the best answer. */
static uint64_t s_limit (s_exact_t *e, s_choice_t *c)
{
    const uint64_t best = c->hope.rates[c->at];
    uint64_t low = 0, high = best; /* rates: low is too slow, high is not known to be */
    if (s_bound (e, &c->hope) <= e->worth)
        return 0;
    for (int i = 0; i < 24 && high - low > 1 + high / 4096; i++) {
        c->hope.rates[c->at] = low + (high - low) / 2;
        *(s_bound (e, &c->hope) > e->worth ? &high : &low) = c->hope.rates[c->at];
    }
    c->hope.rates[c->at] = best;
    return low > 0 ? RK_PLAN_MAX_BUSY_NS / low + 1 : UINT64_MAX;
}

static void s_choose (s_walk_t *w);

static void s_next_cluster (s_exact_t *e, s_choice_t *c)
{
    if (c->at == c->hope.n) {
        s_judge (e, c);
        return;
    }
    s_walk_t w = {.e = e, .limit = s_limit (e, c), .visit = s_choose, .choice = c};
    if (w.limit > 0)
        s_walk (&w, c->hope.sets[c->at]);
}

static void s_choose (s_walk_t *w)
{
    s_choice_t *c = w->choice;
    const uint64_t best = c->hope.rates[c->at], soonest = c->hope.fills[c->at];
    c->chains[c->at] = w->chain;
    c->hope.rates[c->at] = w->chain.rate;
    c->hope.fills[c->at] = rk_chain_fill_ns (&w->chain);
    if (s_bound (w->e, &c->hope) > w->e->worth) {
        c->at++;
        s_next_cluster (w->e, c);
        c->at--;
    }
    c->hope.rates[c->at] = best;
    c->hope.fills[c->at] = soonest;
}

/* With chains that are each the fastest. */
static void s_begin (s_exact_t *e, const s_division_t *d, s_choice_t *c)
{
    c->hope.n = d->n_groups;
    for (uint32_t i = 0; i < e->n; i++)
        if (d->group_of[i] < MOST_NODES)
            c->hope.sets[d->group_of[i]] |= 1u << i;
    const s_best_t *bests = c->hope.n == 1 ? e->alone : e->among;
    for (uint32_t i = 0; i < c->hope.n; i++)
        c->chains[i] = bests[c->hope.sets[i]].fastest;
    e->costs->averaging = c->hope.n > 1;
}

static void s_glance_at (s_exact_t *e, const s_division_t *d)
{
    s_choice_t c = {.at = 0};
    s_begin (e, d, &c);
    s_judge (e, &c);
}

static void s_look_into (s_exact_t *e, const s_division_t *d)
{
    s_choice_t c = {.at = 0};
    s_begin (e, d, &c);
    if (s_hope (e, &c.hope))
        s_next_cluster (e, &c);
}

static rk_err_t s_find (s_exact_t *e, rk_error_t *err)
{
    uint32_t sets[MOST_NODES + 1] = {0};
    uint8_t group_of[MOST_NODES];
    memset (group_of, MOST_NODES, sizeof group_of);
    e->alone = s_all_sets (e, false);
    e->among = e->alone ? s_all_sets (e, true) : NULL;
    if (!e->alone || !e->among)
        return RK_ENOMEM;
    s_divide (e, 0, sets, 0, group_of);
    if (e->out_of_memory || e->costs->out_of_memory)
        return RK_ENOMEM;
    if (e->n_divisions > 0)
        qsort (e->divisions, e->n_divisions, sizeof *e->divisions, s_compare);
    for (size_t i = 0; i < e->n_divisions && e->divisions[i].worth > e->worth; i++)
        s_glance_at (e, &e->divisions[i]);
    for (size_t i = 0; i < e->n_divisions && e->divisions[i].worth > e->worth; i++)
        s_look_into (e, &e->divisions[i]);
    if (e->leaves > MOST_LEAVES)
        return rk_error_set (err, RK_EPLAN, "exact: more than %llu layouts; auto plans fleets of any size",
                             (unsigned long long) MOST_LEAVES);
    return e->n_answer ? RK_OK : rk_error_set (err, RK_EPLAN, "exact: no layout of %u nodes holds the model in their memory", e->n);
}

rk_err_t rk_planner_exact (rk_costs_t *costs, rk_assignment_t *out, rk_error_t *err)
{
    if (costs->n_nodes > MOST_NODES)
        return rk_error_set (err, RK_EPLAN, "exact tries everything and takes up to %d nodes, there are %u; auto takes any number",
                             MOST_NODES, costs->n_nodes);
    s_exact_t *e = calloc (1, sizeof *e);
    rk_err_t code = RK_ENOMEM;
    if (e) {
        e->costs = costs;
        e->n = costs->n_nodes;
        code = s_find (e, err);
    }
    if (code == RK_OK) {
        const rk_chain_t *ring[MOST_NODES];
        for (uint32_t c = 0; c < e->n_answer; c++)
            ring[c] = &e->answer[c];
        rk_assignment_of (out, costs, ring, e->n_answer);
    }
    if (e) {
        free (e->alone);
        free (e->among);
        free (e->divisions);
    }
    free (e);
    return code == RK_ENOMEM ? rk_error_set (err, code, "no memory to plan %u nodes", costs->n_nodes) : code;
}
