/* SPDX-License-Identifier: MPL-2.0
 * What the planner "auto" is made of. Private to cluster/.                                               */
#ifndef RK_CLUSTER_PLANNERS_AUTO_H
#define RK_CLUSTER_PLANNERS_AUTO_H
#include "cluster/planners/division.h"

/* Move and exchange nodes, empty and found clusters, until nothing helps any more or `until` steps are done. */
void rk_auto_improve (rk_search_t *q, rk_division_t *d, uint64_t until);
/* Other orders and cuts for the clusters as they are, under the whole objective. */
void rk_auto_refine (rk_search_t *q, rk_division_t *d, uint64_t until);
/* Where averaging takes its part of a round: small groups divided anew, each division refined before it is judged. */
void rk_auto_deepen (rk_search_t *q, rk_division_t *d, rk_division_t *scratch, uint64_t until);
/* Drained: times of filling on a scale of four steps to each doubling, so that answers for them are found again. */
uint32_t rk_auto_fills (const rk_division_t *d);               /* where on it a division's slowest filling lies */
uint64_t rk_auto_may_fill (uint32_t at, int steps);
/* The chain of the same nodes that is fastest among those that fill in time, if there is one. */
void rk_auto_refill (rk_search_t *q, rk_chain_t *chain, uint64_t may_fill_ns);
/* Clusters in ring order. No group may be empty. */
void rk_auto_hand_over (rk_search_t *q, rk_division_t *d, rk_assignment_t *out);

#endif
