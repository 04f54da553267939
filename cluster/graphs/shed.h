/* SPDX-License-Identifier: MPL-2.0
 * What graphs that follow Ada's schedule share. Private to cluster/graphs/.                                 */
#ifndef RK_CLUSTER_GRAPHS_SHED_H
#define RK_CLUSTER_GRAPHS_SHED_H
#include "cluster/graphs/kind.h"

/* Checks Ada's numbers; sets max_row, period, exact and dims[0], the most connections there will ever be. */
rk_err_t rk_shed_open (rk_graph_t *graph, rk_error_t *err);
/* Links on each side at this moment: of the control record if there is one, else of the schedule. */
uint32_t rk_shed_side (const rk_graph_t *graph, const rk_graph_time_t *at);
bool rk_shed_is_exact (const rk_graph_t *graph, const rk_graph_time_t *at);

#endif
