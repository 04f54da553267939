/* SPDX-License-Identifier: MPL-2.0
 * A communication graph: who mixes with whom at step t, as the rows of a mixing matrix W(t) over n replicas:
 * x_i <- sum_j W_ij x_j. A graph is one const table of functions in one file of cluster/graphs/ and one line
 * in cluster/graphs/list.h. Pure: a row is a function of (config, t, u, i) only, so that every replica and
 * the stacked simulation see the same graph. thread: any, a graph is const once made.                       */
#ifndef RK_CLUSTER_GRAPH_H
#define RK_CLUSTER_GRAPH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

#define RK_GRAPH_MAX_N 65536u

typedef struct {
    uint32_t peer;
    float weight;
} rk_graph_edge_t;

/* When the row is asked for. `pass` counts from 0; `control` is the value of the newest control record that
 * holds at `step` (0: none), see architecture §4; only closed-loop graphs read it.                          */
typedef struct {
    uint64_t step, pass;
    uint32_t control;
} rk_graph_time_t;

typedef struct {
    const char *name;      /* "ring", "ada", ...; rk_graph_names */
    uint32_t n;            /* replicas, 1 <= n <= RK_GRAPH_MAX_N */
    uint64_t seed;         /* of random graphs */
    uint32_t degree;       /* lattice: total degree k; 0: the graph's own default */
    double probability;    /* Erdos-Renyi; 0: its default */
    double k0, gamma;      /* Ada, ada.md §3 */
    uint32_t k_min;
    uint32_t group;        /* two-level: replicas per machine, 0: one machine; mixed radix: largest factor */
} rk_graph_config_t;

typedef struct rk_graph rk_graph_t;

/* errors: RK_ENOTFOUND (unknown name, nearest one suggested), RK_EINVAL (no such graph for n: the text lists
 * what is possible). *note: NULL, or a static or owned sentence about a fallback the specification asks for. */
rk_err_t rk_graph_new (rk_graph_t **graph_p, const rk_graph_config_t *config, rk_error_t *err) RK_MUST_CHECK;
void rk_graph_destroy (rk_graph_t **graph_p);
const char *const *rk_graph_names (void); /* NULL-terminated */
const char *rk_graph_note (const rk_graph_t *graph);

uint32_t rk_graph_n (const rk_graph_t *graph);
uint32_t rk_graph_max_row (const rk_graph_t *graph); /* most edges any row ever has, itself included */
uint32_t rk_graph_period (const rk_graph_t *graph);  /* W(t + period) == W(t); 0: not periodic */
bool rk_graph_is_doubly_stochastic (const rk_graph_t *graph); /* false: only with push-sum */
bool rk_graph_is_exact (const rk_graph_t *graph);    /* W = 1/n everywhere: done as a ring all-reduce */

/* Whom replica i hears, itself included, peers ascending; weights are W_ij, in float, and sum to 1.
 * edges: room for rk_graph_max_row. Returns the number of edges.                                            */
uint32_t rk_graph_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges);
/* Who hears replica i, itself left out, ascending, with the weights they use. */
uint32_t rk_graph_column (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges);

#endif
