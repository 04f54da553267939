/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/planners/placement.h"

#include <stdlib.h>
#include <string.h>
#include "compute/rng.h"

#define POPULATION 100
#define COPIED 5
#define MOST_CYCLES 8
#define STREAM 2 /* of RK_RNG_PLAN */

static uint32_t s_below (rk_placement_t *p, uint32_t n)
{
    uint32_t words[4];
    rk_rng_block (p->seed, rk_rng_stream (RK_RNG_PLAN, STREAM), p->counter++, words);
    return (uint32_t) (((uint64_t) words[0] * n) >> 32);
}

/* ---- the obvious layouts */
static void s_walk (rk_placement_t *p, uint16_t *walk)
{
    for (uint32_t i = 0; i < p->n; i++)
        walk[i] = (uint16_t) i;
    for (uint32_t i = 0; i + 1 < p->n; i++) {
        uint32_t next = i + 1;
        for (uint32_t j = i + 2; j < p->n; j++)
            if (p->pipeline_ns[(size_t) walk[i] * p->n + walk[j]] < p->pipeline_ns[(size_t) walk[i] * p->n + walk[next]])
                next = j;
        const uint16_t device = walk[i + 1];
        walk[i + 1] = walk[next], walk[next] = device;
    }
    p->steps += (uint64_t) p->n * p->n / 2;
}

void rk_placement_by_group (rk_placement_t *p, uint8_t *group_of)
{
    uint16_t walk[RK_PLACEMENT_MOST];
    s_walk (p, walk);
    for (uint32_t i = 0; i < p->n; i++)
        group_of[walk[i]] = (uint8_t) (i / p->group_size);
}

void rk_placement_by_pipeline (rk_placement_t *p, uint8_t *group_of)
{
    uint16_t walk[RK_PLACEMENT_MOST];
    s_walk (p, walk);
    for (uint32_t i = 0; i < p->n; i++)
        group_of[walk[i]] = (uint8_t) (i % p->n_groups);
}

/* ---- local search: a cycle of moves */
/* The device of a group with the cheapest link to one of its group: worth more elsewhere. */
static uint32_t s_candidate (const rk_placement_t *p, const uint8_t *group_of, uint32_t group, uint64_t *cheapest)
{
    uint32_t best = p->n;
    *cheapest = UINT64_MAX;
    for (uint32_t u = 0; u < p->n; u++)
        for (uint32_t v = 0; group_of[u] == group && v < p->n; v++)
            if (v != u && group_of[v] == group && p->pipeline_ns[(size_t) u * p->n + v] < *cheapest) {
                *cheapest = p->pipeline_ns[(size_t) u * p->n + v];
                best = u;
            }
    return best;
}

static int64_t s_gain (const rk_placement_t *p, const uint8_t *group_of, uint32_t device, uint64_t cheapest, uint32_t to)
{
    uint64_t sum = 0, n = 0;
    for (uint32_t v = 0; v < p->n; v++)
        if (group_of[v] == to && v != device) {
            sum += p->pipeline_ns[(size_t) device * p->n + v];
            n++;
        }
    return (int64_t) (n ? sum / n : 0) - (int64_t) cheapest;
}

/* Moves on from group to group; the best closing of the cycle is kept. False when none gains. */
static bool s_cycle (rk_placement_t *p, uint8_t *group_of, uint32_t start)
{
    bool locked[RK_PLACEMENT_MOST] = {false};
    uint8_t now[RK_PLACEMENT_MOST], best[RK_PLACEMENT_MOST];
    int64_t sum = 0, most = 0;
    memcpy (now, group_of, p->n);
    locked[start] = true;
    for (uint32_t at = start, moves = 0; moves < p->n_groups; moves++) {
        uint64_t cheapest;
        const uint32_t device = s_candidate (p, now, at, &cheapest);
        if (device == p->n)
            break;
        if (at != start && sum + s_gain (p, now, device, cheapest, start) > most) {
            most = sum + s_gain (p, now, device, cheapest, start);
            memcpy (best, now, p->n);
            best[device] = (uint8_t) start;
        }
        uint32_t to = p->n_groups;
        int64_t gain = INT64_MIN;
        for (uint32_t t = 0; t < p->n_groups; t++)
            if (!locked[t] && s_gain (p, now, device, cheapest, t) > gain)
                to = t, gain = s_gain (p, now, device, cheapest, t);
        if (to == p->n_groups)
            break;
        now[device] = (uint8_t) to;
        sum += gain;
        locked[to] = true;
        at = to;
    }
    p->steps += (uint64_t) p->n * p->n_groups * 4;
    if (most > 0)
        memcpy (group_of, best, p->n);
    return most > 0;
}

/* ---- the search */
static void s_shuffle (rk_placement_t *p, uint8_t *group_of)
{
    for (uint32_t i = 0; i < p->n; i++)
        group_of[i] = (uint8_t) (i % p->n_groups);
    for (uint32_t i = p->n; i > 1; i--) {
        const uint32_t j = s_below (p, i);
        const uint8_t label = group_of[i - 1];
        group_of[i - 1] = group_of[j], group_of[j] = label;
    }
}

static void s_repair (const rk_placement_t *p, uint8_t *group_of)
{
    uint32_t sizes[RK_PLACEMENT_MOST] = {0};
    for (uint32_t i = 0; i < p->n; i++)
        sizes[group_of[i]]++;
    for (uint32_t i = 0, to = 0; i < p->n; i++) {
        if (sizes[group_of[i]] <= p->group_size)
            continue;
        while (sizes[to] >= p->group_size)
            to++;
        sizes[group_of[i]]--;
        group_of[i] = (uint8_t) to;
        sizes[to]++;
    }
}

static void s_breed (rk_placement_t *p, const uint8_t *a, const uint8_t *b, uint8_t *child)
{
    memcpy (child, b, p->n);
    for (int i = 0; i < COPIED; i++) {
        const uint32_t at = s_below (p, p->n);
        child[at] = a[at];
    }
    s_repair (p, child);
    for (int i = 0; i < MOST_CYCLES && s_cycle (p, child, s_below (p, p->n_groups)); i++)
        ;
}

typedef struct {
    uint64_t cost[POPULATION];
    uint8_t genes[POPULATION][RK_PLACEMENT_MOST];
    uint32_t n;
} s_population_t;

static void s_add (rk_placement_t *p, s_population_t *all)
{
    all->cost[all->n] = rk_placement_cost (p, all->genes[all->n], NULL, NULL);
    all->n++;
}

static void s_trial (rk_placement_t *p, s_population_t *all)
{
    uint8_t child[RK_PLACEMENT_MOST];
    const uint32_t a = s_below (p, all->n), b = s_below (p, all->n), worse = all->cost[a] > all->cost[b] ? a : b;
    s_breed (p, all->genes[a], all->genes[b], child);
    const uint64_t cost = rk_placement_cost (p, child, NULL, NULL);
    if (cost >= all->cost[worse])
        return;
    all->cost[worse] = cost;
    memcpy (all->genes[worse], child, p->n);
}

rk_err_t rk_placement_search (rk_placement_t *p, uint32_t trials, uint64_t until, uint8_t *group_of, uint64_t *cost)
{
    s_population_t *all = calloc (1, sizeof *all);
    if (!all)
        return RK_ENOMEM;
    rk_placement_by_group (p, all->genes[0]);
    s_add (p, all);
    rk_placement_by_pipeline (p, all->genes[1]);
    s_add (p, all);
    while (all->n < POPULATION && p->steps < until) {
        s_shuffle (p, all->genes[all->n]);
        s_add (p, all);
    }
    for (uint32_t i = 0; i < trials && p->steps < until; i++)
        s_trial (p, all);
    uint32_t best = 0;
    for (uint32_t i = 1; i < all->n; i++)
        best = all->cost[i] < all->cost[best] ? i : best;
    memcpy (group_of, all->genes[best], p->n);
    *cost = all->cost[best];
    free (all);
    return RK_OK;
}
