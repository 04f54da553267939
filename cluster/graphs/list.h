/* SPDX-License-Identifier: MPL-2.0
 * Every graph: its name, and rk_graph_kind_<symbol> of cluster/graphs/<symbol>.c. No include guard.         */
RK_GRAPH (complete, "complete")
RK_GRAPH (complete, "all-reduce")
RK_GRAPH (ring, "ring")
RK_GRAPH (lattice, "lattice")
RK_GRAPH (ada, "ada")
