/* SPDX-License-Identifier: MPL-2.0
 * An asymmetric travelling salesman whose longest leg counts first, the sum of all legs second.           */
#include "cluster/planners/rings.h"

#include <stdlib.h>
#include <string.h>

#define MOST_EXACT 10
#define MOST_STARTS 8
#define MOST_ROUNDS 4 /* of moving each cluster to its best place */

static uint64_t s_end (const rk_costs_t *costs, const rk_chain_t *c, uint32_t s)
{
    return costs->flat[s + 1 < c->k ? c->first[s + 1] : costs->n_units];
}

uint64_t rk_ring_edge_ns (const rk_costs_t *costs, const rk_chain_t *from, const rk_chain_t *to, const rk_mixing_t *mixing)
{
    uint64_t worst = 0, lo = 0;
    for (uint32_t i = 0, j = 0; i < from->k && j < to->k;) {
        const uint64_t a = s_end (costs, from, i), b = s_end (costs, to, j), hi = a < b ? a : b;
        if (hi > lo) {
            const rk_pace_t link = rk_costs_link (costs, from->node[i], to->node[j]);
            const uint64_t bytes = (uint64_t) ((unsigned __int128) 4 * (hi - lo) * mixing->models_ppm / 1000000);
            const uint64_t ns = mixing->messages * link.half_rtt_ns + rk_pace_ns (&link, bytes);
            worst = ns > worst ? ns : worst;
            lo = hi;
        }
        i += a == hi;
        j += b == hi;
    }
    return worst;
}

uint64_t rk_ring_ns (const rk_costs_t *costs, const rk_chain_t *const *clusters, uint32_t n, const rk_mixing_t *mixing)
{
    uint64_t worst = 0;
    for (uint32_t c = 0; n > 1 && c < n; c++) {
        const uint64_t ns = rk_ring_edge_ns (costs, clusters[c], clusters[(c + 1) % n], mixing);
        worst = ns > worst ? ns : worst;
    }
    return worst;
}

/* ---- orders */
typedef struct {
    uint64_t worst, sum;
} s_length_t;

typedef struct {
    uint32_t n;
    const uint64_t *edge; /* [from][to] */
} s_map_t;

static uint64_t s_edge (const s_map_t *m, uint32_t from, uint32_t to)
{
    return m->edge[(size_t) from * m->n + to];
}

static bool s_shorter (s_length_t a, s_length_t b)
{
    return a.worst < b.worst || (a.worst == b.worst && a.sum < b.sum);
}

static s_length_t s_with (s_length_t a, uint64_t edge)
{
    return (s_length_t){edge > a.worst ? edge : a.worst, a.sum + edge};
}

static s_length_t s_length (const s_map_t *m, const uint16_t *order)
{
    s_length_t length = {0};
    for (uint32_t i = 0; i < m->n; i++)
        length = s_with (length, s_edge (m, order[i], order[(i + 1) % m->n]));
    return length;
}

/* All of them, set by set (Held and Karp); ring order begins with cluster 0. */
static bool s_exact (const s_map_t *m, uint16_t *order)
{
    const uint32_t n = m->n - 1, full = (1u << n) - 1; /* the others: bit i is cluster i + 1 */
    s_length_t *best = malloc ((size_t) (full + 1) * n * sizeof *best);
    if (!best)
        return false;
    for (uint32_t set = 1; set <= full; set++)
        for (uint32_t last = 0; last < n; last++) {
            s_length_t length = {UINT64_MAX, UINT64_MAX};
            const uint32_t before = set & ~(1u << last);
            if (before == 0)
                length = (s_length_t){s_edge (m, 0, last + 1), s_edge (m, 0, last + 1)};
            for (uint32_t p = 0; (set >> last & 1) && p < n; p++) {
                if (!(before >> p & 1))
                    continue;
                const s_length_t with = s_with (best[(size_t) before * n + p], s_edge (m, p + 1, last + 1));
                length = s_shorter (with, length) ? with : length;
            }
            best[(size_t) set * n + last] = length;
        }
    uint32_t set = full, next = 0;
    for (uint32_t i = n; i > 0; i--) {
        uint32_t last = n;
        s_length_t length = {UINT64_MAX, UINT64_MAX};
        for (uint32_t p = 0; p < n; p++) {
            if (!(set >> p & 1))
                continue;
            const s_length_t with = s_with (best[(size_t) set * n + p], s_edge (m, p + 1, next));
            if (last == n || s_shorter (with, length))
                length = with, last = p;
        }
        order[i] = (uint16_t) (last + 1);
        set &= ~(1u << last);
        next = last + 1;
    }
    order[0] = 0;
    free (best);
    return true;
}

static void s_nearest (const s_map_t *m, uint32_t start, uint16_t *order)
{
    for (uint32_t i = 0; i < m->n; i++)
        order[i] = (uint16_t) ((start + i) % m->n);
    for (uint32_t i = 0; i + 1 < m->n; i++) {
        uint32_t best = i + 1;
        for (uint32_t j = i + 2; j < m->n; j++)
            if (s_edge (m, order[i], order[j]) < s_edge (m, order[i], order[best]))
                best = j;
        const uint16_t c = order[i + 1];
        order[i + 1] = order[best], order[best] = c;
    }
}

/* What moving the cluster at `from` to `to` replaces: three edges by three. Positive gain of (worst, sum). */
static bool s_gains (const s_map_t *m, const uint16_t *order, uint32_t from, uint32_t to)
{
    const uint32_t n = m->n;
    const uint16_t c = order[from], before = order[(from + n - 1) % n], after = order[(from + 1) % n];
    const uint16_t left = from < to ? order[to] : order[(to + n - 1) % n], right = from < to ? order[(to + 1) % n] : order[to];
    if (left == c || right == c)
        return false;
    s_length_t old = {0}, new = {0};
    old = s_with (s_with (s_with (old, s_edge (m, before, c)), s_edge (m, c, after)), s_edge (m, left, right));
    new = s_with (s_with (s_with (new, s_edge (m, before, after)), s_edge (m, left, c)), s_edge (m, c, right));
    return s_shorter (new, old);
}

static void s_improve (rk_costs_t *costs, const s_map_t *m, uint16_t *order)
{
    bool better = true;
    for (int round = 0; better && round < MOST_ROUNDS; round++) {
        better = false;
        for (uint32_t from = 0; from < m->n; from++)
            for (uint32_t to = 0; to < m->n; to++)
                if (to != from && s_gains (m, order, from, to)) {
                    rk_order_move (order, from, to);
                    better = true;
                    break;
                }
        costs->steps += (uint64_t) m->n * m->n;
    }
}

static void s_search (rk_costs_t *costs, const s_map_t *m, uint16_t *best, uint16_t *order)
{
    if (m->n <= MOST_EXACT) {
        costs->steps += (UINT64_C (1) << m->n) * m->n;
        if (s_exact (m, order) && s_shorter (s_length (m, order), s_length (m, best)))
            memcpy (best, order, m->n * sizeof *order);
        return;
    }
    const uint32_t n_starts = m->n > 200 ? 1 : MOST_STARTS;
    for (uint32_t i = 0; i <= n_starts; i++) {
        if (i > 0)
            s_nearest (m, (i - 1) * m->n / n_starts, order);
        else
            memcpy (order, best, m->n * sizeof *order);
        costs->steps += (uint64_t) m->n * m->n;
        s_improve (costs, m, order);
        if (s_shorter (s_length (m, order), s_length (m, best)))
            memcpy (best, order, m->n * sizeof *order);
    }
}

/* Begins with the cluster that came first. */
static void s_take_order (const rk_chain_t **clusters, const rk_chain_t **old, const uint16_t *order, uint32_t n)
{
    uint32_t start = 0;
    while (order[start] != 0)
        start++;
    memcpy (old, clusters, n * sizeof *clusters);
    for (uint32_t i = 0; i < n; i++)
        clusters[i] = old[order[(start + i) % n]];
}

uint64_t rk_ring_arrange (rk_costs_t *costs, const rk_chain_t **clusters, uint32_t n, const rk_mixing_t *mixing)
{
    uint64_t ns = rk_ring_ns (costs, clusters, n, mixing);
    if (n < 3)
        return ns;
    uint64_t *edge = malloc ((size_t) n * n * sizeof *edge);
    uint16_t *best = malloc (2 * n * sizeof *best);
    const rk_chain_t **old = malloc (n * sizeof *old);
    if (edge && best && old) {
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < n; j++)
                edge[(size_t) i * n + j] = i == j ? 0 : rk_ring_edge_ns (costs, clusters[i], clusters[j], mixing);
        costs->steps += (uint64_t) n * n * 2;
        const s_map_t map = {n, edge};
        for (uint32_t i = 0; i < n; i++)
            best[i] = (uint16_t) i;
        s_search (costs, &map, best, best + n);
        if (s_length (&map, best).worst < ns) {
            ns = s_length (&map, best).worst;
            s_take_order (clusters, old, best, n);
        }
    } else {
        costs->out_of_memory = true;
        ns = UINT64_MAX;
    }
    free (edge);
    free (best);
    free (old);
    return ns;
}
