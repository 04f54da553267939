/* SPDX-License-Identifier: MPL-2.0
 * What a set of nodes can do as one cluster. The order of nodes in a chain matters when layers or links
 * differ: the node with little memory wants the layers with few activations, the fast one the heavy layer,
 * neighbours a fast link. Small sets are tried in every order; larger ones are searched from several starts
 * by exchanging two nodes as long as that helps. Every order is cut exactly.                              */
#include "cluster/planners/planner.h"

#include <stdlib.h>
#include <string.h>
#include "cluster/plan_parts.h"

#define FAR_TOO_MUCH (UINT64_C (1) << 50) /* lacking of a set that cannot be a cluster; a thousand of them still add up */
#define MOST_PERMUTED 8                   /* nodes tried in every order, effort permitting */
#define MOST_REACHED 10                   /* nodes for which fitting at all is decided over all subsets */

/* ---- starts: an order each */
static bool s_stronger (const rk_costs_t *costs, uint32_t a, uint32_t b)
{
    return rk_costs_whole_ns (costs, a) < rk_costs_whole_ns (costs, b);
}

static uint64_t s_room (const rk_costs_t *costs, uint32_t node)
{
    return costs->fleet->nodes[node].ram_bytes - 1; /* 0, no limit, becomes the most */
}

static bool s_roomier (const rk_costs_t *costs, uint32_t a, uint32_t b)
{
    return s_room (costs, a) > s_room (costs, b);
}

static bool s_tighter (const rk_costs_t *costs, uint32_t a, uint32_t b)
{
    return s_room (costs, a) < s_room (costs, b);
}

typedef bool s_before_fn (const rk_costs_t *, uint32_t, uint32_t);
static s_before_fn *const s_starts[] = {s_roomier, s_stronger, s_tighter};
#define N_STARTS (sizeof s_starts / sizeof *s_starts)

/* Ties by index, so the answer belongs to the set. */
static void s_sort (const rk_costs_t *costs, s_before_fn *before, uint16_t *order, uint32_t k)
{
    for (uint32_t i = 1; i < k; i++) {
        const uint16_t node = order[i];
        uint32_t at = i;
        for (; at > 0 && (before (costs, node, order[at - 1]) ||
                          (!before (costs, order[at - 1], node) && node < order[at - 1]));
             at--)
            order[at] = order[at - 1];
        order[at] = node;
    }
}

/* Each next node the one with the fastest link from the last. */
static void s_near (const rk_costs_t *costs, uint16_t *order, uint32_t k)
{
    for (uint32_t i = 0; i + 1 < k; i++) {
        uint32_t best = i + 1;
        for (uint32_t j = i + 1; j < k; j++) {
            const rk_pace_t a = rk_costs_link (costs, order[i], order[j]), b = rk_costs_link (costs, order[i], order[best]);
            if (a.ns_per_mib + a.half_rtt_ns < b.ns_per_mib + b.half_rtt_ns)
                best = j;
        }
        const uint16_t node = order[i + 1];
        order[i + 1] = order[best], order[best] = node;
    }
}

/* ---- memory, before any order */
/* Bytes that even the members' memory together lacks. */
static uint64_t s_lacking (rk_costs_t *costs, const uint16_t *order, uint32_t k, const rk_needs_t *needs)
{
    uint64_t have = 0, need = 0;
    for (uint32_t s = 0; s < k; s++) {
        const uint64_t ram = costs->fleet->nodes[order[s]].ram_bytes;
        if (ram == 0)
            return 0;
        have += ram;
    }
    /* The parameters and what belongs to them are there once, wherever the cuts are. */
    for (uint32_t u = 0; u < costs->n_units; u++) {
        const uint64_t least = needs->least[(size_t) u * RK_UNITS_ROW + u + 1];
        need = least > need ? least : need;
    }
    return need > have ? need - have : 0;
}

/* An order that fits, if there is one: which units can a set of nodes end at? Over all subsets. */
typedef struct {
    unsigned __int128 ends[1u << MOST_REACHED];
} s_reach_t;

static bool s_fits (const rk_costs_t *costs, const rk_needs_t *needs, uint32_t node, uint32_t first, uint32_t last)
{
    const uint64_t ram = costs->fleet->nodes[node].ram_bytes;
    return ram == 0 || needs->lean[(size_t) first * RK_UNITS_ROW + last] <= ram;
}

static unsigned __int128 s_bit (uint32_t unit)
{
    return (unsigned __int128) 1 << (unit - 1); /* 1 .. 128 */
}

static void s_reach (rk_costs_t *costs, const rk_needs_t *needs, const uint16_t *order, uint32_t k, s_reach_t *reach)
{
    const uint32_t n_units = costs->n_units;
    memset (reach, 0, sizeof *reach);
    for (uint32_t set = 0; set + 1 < 1u << k; set++)
        for (uint32_t first = 0; first < n_units; first++) {
            if (set == 0 ? first > 0 : first == 0 || !(reach->ends[set] & s_bit (first)))
                continue;
            for (uint32_t i = 0; i < k; i++)
                for (uint32_t last = first + 1; !(set >> i & 1) && last <= n_units; last++) {
                    const uint64_t ram = costs->fleet->nodes[order[i]].ram_bytes;
                    costs->steps++;
                    if (ram && needs->least[(size_t) first * RK_UNITS_ROW + last] > ram)
                        break;
                    if (s_fits (costs, needs, order[i], first, last))
                        reach->ends[set | 1u << i] |= s_bit (last);
                }
        }
}

/* Walk back from the end. */
static bool s_fitting_order (rk_costs_t *costs, const rk_needs_t *needs, uint16_t *order, uint32_t k)
{
    s_reach_t *reach = malloc (sizeof *reach);
    if (!reach) {
        costs->out_of_memory = true;
        return false;
    }
    s_reach (costs, needs, order, k, reach);
    uint32_t set = (1u << k) - 1, last = costs->n_units;
    bool found = reach->ends[set] & s_bit (last);
    uint16_t answer[MOST_REACHED];
    for (uint32_t s = k; found && s-- > 0;) {
        bool stepped = false;
        for (uint32_t i = 0; i < k && !stepped; i++)
            for (uint32_t first = 0; (set >> i & 1) && first < last && !stepped; first++) {
                const uint32_t before = set & ~(1u << i);
                const bool reached = before == 0 ? first == 0 : first > 0 && (reach->ends[before] & s_bit (first));
                if (!reached || !s_fits (costs, needs, order[i], first, last))
                    continue;
                answer[s] = order[i];
                set = before, last = first, stepped = true;
            }
    }
    if (found)
        memcpy (order, answer, k * sizeof *order);
    free (reach);
    return found;
}

/* ---- orders */
/* Take a better order into *best; a first one is cut within a limit near what a perfect split would take. */
static bool s_try (rk_costs_t *costs, rk_chain_t *best, const uint16_t *order, uint64_t perfect)
{
    enum { MOST_DOUBLINGS = 6 };
    rk_chain_t trial = {.k = best->k};
    memcpy (trial.node, order, best->k * sizeof *order);
    uint64_t limit = best->fits ? best->cost_ns : perfect + perfect / 3 + 1000;
    bool better = rk_cut_best (costs, &trial, limit);
    for (int i = 0; !best->fits && !better && i < MOST_DOUBLINGS; i++)
        better = rk_cut_best (costs, &trial, i + 1 < MOST_DOUBLINGS ? limit <<= 1 : UINT64_MAX);
    if (better)
        *best = trial;
    return better;
}

static bool s_alike (const rk_costs_t *costs, uint32_t a, uint32_t b)
{
    const rk_profile_t *p = &costs->fleet->nodes[a], *q = &costs->fleet->nodes[b];
    const size_t bytes = (costs->n_units + 1) * sizeof *costs->ns, row = RK_UNITS_ROW;
    return !costs->fleet->link_bytes_per_s && !costs->fleet->link_rtt_ns && costs->host[a] == costs->host[b] &&
           p->ram_bytes == q->ram_bytes && memcmp (costs->ns + a * row, costs->ns + b * row, bytes) == 0;
}

/* One node to another place. */
static bool s_reinsert (rk_costs_t *costs, rk_chain_t *best, uint16_t *order, uint64_t perfect, uint64_t until)
{
    for (uint32_t i = 0; i < best->k; i++)
        for (uint32_t j = 0; j < best->k && costs->steps <= until; j++) {
            if (j == i || j == i + 1) /* the same as i to j */
                continue;
            rk_order_move (order, i, j);
            if (s_try (costs, best, order, perfect))
                return true;
            rk_order_move (order, j, i);
        }
    return false;
}

/* Exchange two nodes, or move one, as long as that helps and the effort lasts. */
static void s_climb (rk_costs_t *costs, rk_chain_t *best, uint16_t *order, uint64_t perfect, uint64_t until)
{
    for (bool better = true; better;) {
        better = false;
        for (uint32_t i = 0; i < best->k; i++)
            for (uint32_t j = i + 1; j < best->k; j++) {
                if (costs->steps > until)
                    return;
                if (s_alike (costs, order[i], order[j]))
                    continue;
                const uint16_t node = order[i];
                order[i] = order[j], order[j] = node;
                if (s_try (costs, best, order, perfect))
                    better = true;
                else
                    order[j] = order[i], order[i] = node;
            }
        better = better || s_reinsert (costs, best, order, perfect, until);
    }
}

/* Every order, by Heap's algorithm without recursion. */
static void s_permute (rk_costs_t *costs, rk_chain_t *best, uint16_t *order, uint64_t perfect, uint64_t until)
{
    uint32_t count[MOST_PERMUTED] = {0};
    s_try (costs, best, order, perfect);
    for (uint32_t i = 1; i < best->k && costs->steps <= until;) {
        if (count[i] >= i) {
            count[i++] = 0;
            continue;
        }
        const uint32_t other = i % 2 ? count[i] : 0;
        const bool same = s_alike (costs, order[other], order[i]);
        const uint16_t node = order[other];
        order[other] = order[i], order[i] = node;
        if (!same)
            s_try (costs, best, order, perfect);
        count[i]++;
        i = 1;
    }
}

/* What all stages equally busy would take. */
static uint64_t s_perfect_ns (const rk_costs_t *costs, const uint16_t *order, uint32_t k)
{
    uint64_t together = 0;
    for (uint32_t s = 0; s < k; s++)
        together += UINT64_C (1000000000000000000) / (rk_costs_whole_ns (costs, order[s]) + 1) / k;
    return UINT64_C (1000000000000000000) / k / (together + 1);
}

/* By how much, so that a search knows in which direction it gets better. */
static void s_tell_lacking (rk_costs_t *costs, rk_chain_t *best, uint16_t *order)
{
    uint64_t value = 0;
    uint16_t first[RK_MAX_UNITS];
    s_sort (costs, s_roomier, order, best->k);
    bool cut = rk_cut_chain (costs, order, best->k, RK_CUT_FITTEST, UINT64_MAX, first, &value);
    best->lacking = cut && value > 0 ? value : 1;
    memcpy (best->node, order, best->k * sizeof *order);
    memcpy (best->first, first, best->k * sizeof *first);
}

/* Is there effort for every order? Most are given up early. */
static bool s_can_permute (const rk_costs_t *costs, uint32_t k, uint64_t until)
{
    uint64_t orders = 1;
    for (uint32_t i = 2; i <= k; i++)
        orders *= i;
    return k <= MOST_PERMUTED && costs->steps + orders * costs->n_units * 2 <= until;
}

static void s_search_order (rk_costs_t *costs, rk_chain_t *best, uint16_t *order, uint64_t effort)
{
    const uint64_t perfect = s_perfect_ns (costs, order, best->k), until = costs->steps + effort;
    for (size_t i = 0; i < N_STARTS + 1; i++) {
        if (i > 0 && (costs->steps > until || s_can_permute (costs, best->k, until)))
            break;
        s_sort (costs, s_starts[i % N_STARTS], order, best->k);
        if (i == N_STARTS)
            s_near (costs, order, best->k);
        s_try (costs, best, order, perfect);
        s_climb (costs, best, order, perfect, until);
    }
    if (s_can_permute (costs, best->k, until))
        s_permute (costs, best, order, perfect, until);
}

/* Sets too large for every order, where a good one can be had for a few times the effort. */
static void s_fastest (rk_costs_t *costs, rk_chain_t *best, uint16_t *order, uint64_t effort)
{
    enum { TIMES = 4, PART = 4 }; /* of the most work, how much it usually is */
    const uint64_t k = best->k, work = (k << k) * costs->n_units * costs->n_units / (2 * PART);
    if (k > RK_MOST_SET || work > TIMES * effort || s_can_permute (costs, best->k, costs->steps + effort))
        return;
    if (rk_order_fastest (costs, best->k, best->fits ? best->period_ns : UINT64_MAX, order)) {
        const uint64_t perfect = s_perfect_ns (costs, order, best->k);
        if (s_try (costs, best, order, perfect))
            s_climb (costs, best, order, perfect, costs->steps + effort / 4);
    }
}

void rk_chain_solve (rk_costs_t *costs, rk_chain_t *chain, uint64_t effort)
{
    const uint32_t k = chain->k;
    uint16_t order[RK_MAX_UNITS];
    chain->fits = false;
    chain->far_ns = chain->spread_ns = 0;
    chain->period_ns = chain->turn_ns = chain->rate = chain->cost_ns = 0;
    chain->lacking = FAR_TOO_MUCH;
    if (k == 0 || k > costs->n_units)
        return;
    const rk_needs_t *needs = rk_costs_needs (costs, rk_costs_in_flight (costs, k));
    if (!needs)
        return;
    memcpy (order, chain->node, k * sizeof *order);
    chain->lacking = s_lacking (costs, order, k, needs);
    if (chain->lacking == 0)
        s_search_order (costs, chain, order, effort);
    if (chain->lacking == 0)
        s_fastest (costs, chain, order, effort);
    if (chain->fits)
        return;
    if (chain->lacking == 0 && k <= MOST_REACHED && s_fitting_order (costs, needs, order, k)) {
        const uint64_t perfect = s_perfect_ns (costs, order, k);
        s_try (costs, chain, order, perfect);
        s_climb (costs, chain, order, perfect, costs->steps + effort);
    }
    if (!chain->fits && chain->lacking == 0)
        s_tell_lacking (costs, chain, order);
}
