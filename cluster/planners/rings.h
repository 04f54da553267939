/* SPDX-License-Identifier: MPL-2.0
 * What averaging costs, and the order of clusters in which it costs least. In every step of a ring all owners
 * send a piece to the owners in the next cluster, so the slowest of these links sets the pace:
 *   one averaging = messages x latency + models x owned bytes / rate, on the worst edge.
 * Private to cluster/.                                                                                   */
#ifndef RK_CLUSTER_PLANNERS_RINGS_H
#define RK_CLUSTER_PLANNERS_RINGS_H
#include "cluster/planners/planner.h"

/* Of all links from the stages of one cluster to the owners of the same floats in the next. */
uint64_t rk_ring_edge_ns (const rk_costs_t *costs, const rk_chain_t *from, const rk_chain_t *to, const rk_mixing_t *mixing);
/* One averaging with clusters in that order. */
uint64_t rk_ring_ns (const rk_costs_t *costs, const rk_chain_t *const *clusters, uint32_t n, const rk_mixing_t *mixing);
/* Puts clusters into the best order found: exactly up to 10 of them, then by nearest neighbours and moves.
 * Keeps the order it gets when no other is better. Returns the time. errors: UINT64_MAX (no memory).      */
uint64_t rk_ring_arrange (rk_costs_t *costs, const rk_chain_t **clusters, uint32_t n, const rk_mixing_t *mixing);

#endif
