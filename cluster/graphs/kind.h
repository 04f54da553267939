/* SPDX-License-Identifier: MPL-2.0
 * What a file of cluster/graphs/ fills in, and the shapes several of them share. Private to cluster/graph*. */
#ifndef RK_CLUSTER_GRAPHS_KIND_H
#define RK_CLUSTER_GRAPHS_KIND_H
#include "cluster/graph.h"

#define RK_GRAPH_STRIDES 32 /* room for the links of a graph made of strides: 2 log2 (RK_GRAPH_MAX_N) */

/* Every function sees n >= 2; one replica is always its own mean. Rows and columns are asked for only when
 * the graph is not exact at that moment.                                                                    */
typedef struct {
    /* Checks config against n; sets max_row (n before), period (1 before), exact and what else the kind needs. */
    rk_err_t (*open) (rk_graph_t *graph, rk_error_t *err); /* NULL: nothing to set */
    void (*close) (rk_graph_t *graph);                     /* NULL: `state` is one block or NULL */
    uint32_t (*row) (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges);
    /* As a row, itself included. NULL: every W(t) is symmetric. */
    uint32_t (*column) (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges);
    bool (*exact) (const rk_graph_t *graph, const rk_graph_time_t *at); /* NULL: only when `exact` is set */
    /* As rk_graph_group; NULL: none. */
    uint32_t (*group) (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, uint32_t *members);
    uint32_t (*turns) (const rk_graph_t *graph, const rk_graph_time_t *at); /* period under a record; NULL: the same */
    uint32_t (*side) (const rk_graph_t *graph, const rk_graph_time_t *at); /* h of a lattice; NULL: another graph */
    bool push_sum;  /* columns sum to 1, rows need not */
    bool irregular; /* replicas are not all alike, as on a circulant or a torus */
} rk_graph_kind_t;

struct rk_graph {
    const rk_graph_kind_t *kind;
    rk_graph_config_t config; /* name is one of rk_graph_names */
    uint32_t max_row, period; /* with global averages in between: kinds keep their own period in dims */
    uint32_t dims[2];         /* rows and columns, machines and replicas, ... */
    bool exact;               /* W(t) = 1/n for every t */
    void *state;              /* of the kind */
    char note[160];           /* empty: none */
};

/* ---- shapes */
/* The cyclic window i - left .. i + right, all replicas at most once. */
uint32_t rk_graph_window (uint32_t n, uint32_t i, uint32_t left, uint32_t right, rk_graph_edge_t *edges);
/* i and i + strides[..] mod n; strides strictly ascending in [1, n). */
uint32_t rk_graph_strides (uint32_t n, uint32_t i, const uint32_t *strides, uint32_t n_strides, rk_graph_edge_t *edges);
/* i and the peers given, each once, all with the same weight; peers in any order, doubles and i allowed.
 * edges: room for n_peers + 1.                                                                              */
uint32_t rk_graph_equal (uint32_t i, const uint32_t *peers, uint32_t n_peers, rk_graph_edge_t *edges);
/* 1 / parts, rounded down to a multiple of 2^-24: with such weights, what a replica keeps of itself is a float
 * exactly, and rows and columns sum to exactly 1 where they should.                                         */
float rk_graph_share (uint32_t parts);
/* Smallest e with 2^e >= n. */
uint32_t rk_graph_log2 (uint32_t n);
/* n = rows columns with rows <= columns as close as can be; 1 x n for a prime. */
void rk_graph_factors (uint32_t n, uint32_t *rows, uint32_t *columns);

#endif
