/* SPDX-License-Identifier: MPL-2.0
 * Lists of links of graphs that are drawn once, and Metropolis weights. Private to cluster/graphs/.         */
#ifndef RK_CLUSTER_GRAPHS_LINKS_H
#define RK_CLUSTER_GRAPHS_LINKS_H
#include "cluster/graph.h"

/* Peers of replica i: peers[first[i]] .. peers[first[i + 1] - 1], ascending, without i. One block of memory. */
typedef struct {
    uint32_t n;
    uint64_t *first;
    uint32_t *peers;
} rk_links_t;

/* A pair of replicas that are linked. */
typedef struct {
    uint32_t from, to;
} rk_link_t;

/* The lists of whom each `to` hears (turned: whom each `from` reaches). Links in any order, each once.
 * errors: RK_ENOMEM.  owner: free (*links_p).                                                               */
rk_err_t rk_links_new (rk_links_t **links_p, uint32_t n, const rk_link_t *links, uint64_t n_links, bool turned,
                       rk_error_t *err) RK_MUST_CHECK;
uint32_t rk_links_degree (const rk_links_t *links, uint32_t i);
uint32_t rk_links_most (const rk_links_t *links);
/* Whether everybody is reached from replica 0 along the lists; seen: room for n numbers. */
bool rk_links_connected (const rk_links_t *links, uint32_t *seen);
/* i and its peers, ascending, weights not set. Returns how many. */
uint32_t rk_links_row (const rk_links_t *links, uint32_t i, rk_graph_edge_t *edges);

/* Metropolis: 1 / (1 + max) for a link between degrees a and b. */
float rk_metropolis_weight (uint32_t a, uint32_t b);
/* Gives i what the others of its row leave. */
void rk_links_keep (uint32_t i, rk_graph_edge_t *edges, uint32_t n_edges);

#endif
