/* SPDX-License-Identifier: MPL-2.0
 * All replicas' hops in lockstep on one range of m floats: what any of them must come to, bit for bit. */
#ifndef RK_TESTS_HOPS_REFERENCE_H
#define RK_TESTS_HOPS_REFERENCE_H
#include <stdlib.h>
#include <string.h>
#include "cluster/hops.h"

#define HOPS_MOST 128

typedef struct {
    rk_hops_t hops;
    uint32_t members[HOPS_MOST], in_p[HOPS_MOST], was_in_p[HOPS_MOST], in_a;
    float *p, *was, *a;
} hopping_t;

static void hopping_hop (hopping_t *all, uint32_t n, size_t m, uint32_t h)
{
    for (uint32_t i = 0; i < n; i++) {
        memcpy (all[i].was, all[i].p, m * sizeof (float));
        memcpy (all[i].was_in_p, all[i].in_p, sizeof all[i].in_p);
    }
    for (uint32_t i = 0; i < n; i++) {
        const rk_hop_t hop = rk_hops_get (&all[i].hops, all[i].members, h);
        uint64_t lo, hi;
        rk_hops_piece (&all[i].hops, m, hop.receive, &lo, &hi);
        if (hi > lo)
            rk_hops_take (hop.op, hi - lo, all[hop.from].was + lo, all[hop.from].was_in_p[hop.receive], all[i].p + lo,
                          &all[i].in_p[hop.receive], all[i].a + lo, &all[i].in_a);
    }
}

/* mixed[i][0..m) of all replicas from own[i]; false when every peer is heard directly at that moment. frozen: or -1. */
static bool hopping_mix (const rk_graph_t *graph, const rk_graph_time_t *at, float *const *own, size_t m, int frozen, float *const *mixed)
{
    const uint32_t n = rk_graph_n (graph);
    hopping_t *all = calloc (n, sizeof *all);
    rk_graph_edge_t edges[HOPS_MOST];
    for (uint32_t i = 0; i < n; i++) {
        rk_hops_at (&all[i].hops, graph, at, i, edges, all[i].members);
        all[i].p = calloc (3 * m + 1, sizeof (float));
        all[i].was = all[i].p + m;
        all[i].a = all[i].was + m;
        if ((int) i != frozen)
            memcpy (all[i].p, own[i], m * sizeof (float));
        for (uint32_t k = 0; k < all[i].hops.n_pieces; k++)
            all[i].in_p[k] = (int) i != frozen;
    }
    const bool hops = all[0].hops.n_hops > 0;
    for (uint32_t h = 0; h < all[0].hops.n_hops; h++)
        hopping_hop (all, n, m, h);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; hops && k < all[i].hops.n_pieces; k++) {
            uint64_t lo, hi;
            rk_hops_piece (&all[i].hops, m, k, &lo, &hi);
            rk_hops_end (&all[i].hops, hi - lo, all[i].in_p[k], own[i] + lo, all[i].p + lo);
        }
        if (hops)
            memcpy (mixed[i], (int) i == frozen ? own[i] : all[i].p, m * sizeof (float));
        free (all[i].p);
    }
    free (all);
    return hops;
}

#endif
