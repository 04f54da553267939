/* SPDX-License-Identifier: MPL-2.0
 * A communication graph: who mixes with whom at step t, as the rows of a mixing matrix W(t) over n replicas:
 * x_i <- sum_j W_ij x_j. A graph is one const table of functions in one file of cluster/graphs/ and one line
 * in cluster/graphs/list.h. Pure: a row is a function of (config, t, u, i) only, so that every replica and
 * the stacked simulation see the same graph. thread: any, a graph is const once made. See docs/graphs.md.   */
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

/* When the row is asked for. `step` counts mixing steps of the run from 0, `pass` passes over the data.
 * `control` is the value of the newest control record that holds at `step` (0: none), see architecture §4;
 * only closed-loop graphs read it.                                                                          */
typedef struct {
    uint64_t step, pass;
    uint32_t control;
} rk_graph_time_t;

/* 0 (or NULL) in any member: the graph's own default. */
typedef struct {
    const char *name;      /* "ring", "ada", ...; rk_graph_names. NULL: complete */
    uint32_t n;            /* replicas, 1 <= n <= RK_GRAPH_MAX_N */
    uint64_t seed;         /* of random graphs */
    /* Connections k of each replica: lattice, spread, directed (sent to). The most a control record may ask for: ada,
     * ada-spread (k), mixed-radix (largest factor - 1; 0: records are not read).                                   */
    uint32_t degree;
    double probability;    /* Erdos-Renyi: of each link */
    double k0, gamma;      /* Ada: k = max (k0 - gamma pass, k_min), ada.md §3; gamma < 0: k grows up to degree */
    uint32_t k_min, hold;  /* Ada: fewest connections; passes k0 is held before it falls */
    bool per_side, rounded; /* Ada's open questions: k counts one side of the ring; gamma pass is rounded, not cut */
    uint32_t group;        /* two-level: replicas per machine, 0: one machine; mixed-radix: largest factor */
    double budget;         /* mixed-radix: models a replica may send per step, instead of group */
    uint32_t global_every; /* every so many steps the exact mean instead; 0: never */
} rk_graph_config_t;

typedef struct rk_graph rk_graph_t;

/* errors: RK_ENOTFOUND (unknown name, nearest one suggested), RK_EINVAL (no such graph for n: the text lists
 * what is possible), RK_ENOMEM.                                                                             */
rk_err_t rk_graph_new (rk_graph_t **graph_p, const rk_graph_config_t *config, rk_error_t *err) RK_MUST_CHECK;
void rk_graph_destroy (rk_graph_t **graph_p);
const char *const *rk_graph_names (void); /* NULL-terminated */
/* One sentence about a fallback the specification asks for (the torus of a prime), or NULL. owner: the graph. */
const char *rk_graph_note (const rk_graph_t *graph);

const char *rk_graph_name (const rk_graph_t *graph);
uint32_t rk_graph_n (const rk_graph_t *graph);
uint32_t rk_graph_max_row (const rk_graph_t *graph); /* most edges any row ever has, itself included */
/* W(t + period) == W(t) without control records; 0: not periodic */
uint32_t rk_graph_period (const rk_graph_t *graph);
/* Steps in a row that show all links, with the pass and control of `at`: the period, where there is one. */
uint32_t rk_graph_horizon (const rk_graph_t *graph, const rk_graph_time_t *at);
/* Replicas are not all alike, as they are on a circulant or torus. */
bool rk_graph_is_irregular (const rk_graph_t *graph);
bool rk_graph_is_symmetric (const rk_graph_t *graph);
bool rk_graph_is_doubly_stochastic (const rk_graph_t *graph); /* false: only with push-sum */
bool rk_graph_is_exact (const rk_graph_t *graph);    /* W(t) = 1/n everywhere, always: done as a ring all-reduce */
/* As much, at this moment only: Ada with k >= n - 1, a global average. */
bool rk_graph_is_exact_at (const rk_graph_t *graph, const rk_graph_time_t *at);

/* Whom replica i hears, itself included, peers ascending, weights W_ij in float, all above 0. k weights of
 * 1/k mean a plain mean, which mix.h forms by sum and division; other rows sum to exactly 1 (directed graphs:
 * columns). So rounding never adds up over steps.
 * edges: room for rk_graph_max_row. Returns the number of edges.                                            */
uint32_t rk_graph_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges);
/* Who hears replica i, itself left out, ascending, with the weights they use. Room as for a row. */
uint32_t rk_graph_column (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges);
/* The members of i's group, itself included, ascending, when every one of them has the same row, 1/members
 * each: such a group may use a ring all-reduce among itself (2 (g - 1) / g instead of g - 1 models sent).
 * members: room for rk_graph_max_row, or NULL. Returns 0 when there is no such group.                       */
uint32_t rk_graph_group (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, uint32_t *members);
/* h > 0 when every row is the window i - h .. i + h of a ring lattice at that moment, but not the exact mean:
 * window.h has another way to form it.                                                                     */
uint32_t rk_graph_side (const rk_graph_t *graph, const rk_graph_time_t *at);

#endif
