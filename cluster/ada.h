/* SPDX-License-Identifier: MPL-2.0
 * Ada's open-loop schedule, for who wants to print it or to compare; the graph itself is "ada" of graph.h. */
#ifndef RK_CLUSTER_ADA_H
#define RK_CLUSTER_ADA_H
#include "cluster/graph.h"

#define RK_ADA_K0 10.0 /* of a config that names none */

/* Connections k asked for in `pass`, before a lattice makes them even: at most n - 1. Reads n, k0, gamma,
 * k_min, hold, per_side, rounded; with gamma below 0 k grows, at most to degree.                                                                           */
uint32_t rk_ada_degree (const rk_graph_config_t *config, uint64_t pass);

#endif
