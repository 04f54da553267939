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
/* Clusters in ring order. No group may be empty. */
void rk_auto_hand_over (rk_search_t *q, rk_division_t *d, rk_assignment_t *out);

#endif
