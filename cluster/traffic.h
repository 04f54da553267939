/* SPDX-License-Identifier: MPL-2.0
 * What one averaging costs a replica: the same row of W can be formed by hearing every peer (direct), by a ring
 * among those who share it, or by window doubling. All give the same average within rounding; bytes and
 * messages differ by far (ada.md §3.4, §4.1). Pure. thread: any.                                            */
#ifndef RK_CLUSTER_TRAFFIC_H
#define RK_CLUSTER_TRAFFIC_H
#include "cluster/graph.h"
#include "cluster/window.h"

typedef enum {
    RK_WAY_DIRECT = 0, /* the whole model to each hearer */
    RK_WAY_RING,       /* ring all-reduce among all replicas, or among i's group: 2 (g - 1) pieces of 1 / g */
    RK_WAY_WINDOW      /* window doubling: one peer per hop, hop after hop */
} rk_way_t;

typedef struct {
    rk_way_t way;
    uint32_t messages; /* sent by the replica, one after the other for RING and WINDOW */
    double models;     /* sent, in models */
    uint32_t group;    /* RING: members */
} rk_traffic_t;

/* The way with the fewest bytes for replica i at that moment, of those with the fewest messages; an exact step is
 * always a ring. direct: no other way is looked for. edges: room for rk_graph_max_row.                      */
rk_traffic_t rk_traffic_of (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, bool direct,
                            rk_graph_edge_t *edges);

#endif
