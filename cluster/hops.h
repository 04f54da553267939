/* SPDX-License-Identifier: MPL-2.0
 * Another way to form a row of W that is a plain mean: instead of hearing every peer, a sequence of hops, each an
 * exchange of sums with one peer (average.exchange = cheapest, cluster/traffic.h says when). Window doubling for ring
 * lattices (cluster/window.h), a ring all-reduce among themselves for groups with one row (cluster/ring.h). The bits
 * are those of this order, the same over any transport, and within rounding those of the row.

 * A replica keeps p, which begins as its own values, and a, sums put aside. The range is cut into pieces: hop h sends
 * piece `send` of p, as it is before the hop, to `to` and receives piece `receive` from `from`; empty pieces are not sent.
 * Sums carry how many replicas are in them: one that is frozen adds nothing, and its place in a row is taken by
 * the own values, as it is where every peer is heard. Pure. thread: any.                                      */
#ifndef RK_CLUSTER_HOPS_H
#define RK_CLUSTER_HOPS_H
#include <stdbool.h>
#include "cluster/graph.h"
#include "cluster/window.h"

typedef enum {
    RK_HOP_ADD = 0, /* p += received */
    RK_HOP_PUT,     /* a = received */
    RK_HOP_JOIN,    /* a += received */
    RK_HOP_CLOSE,   /* nothing is exchanged: p += a */
    RK_HOP_COPY     /* p = received */
} rk_hop_op_t;

typedef struct {
    rk_hop_op_t op;
    uint32_t to, from;      /* replicas */
    uint32_t send, receive; /* pieces */
} rk_hop_t;

typedef struct {
    uint32_t n_hops;    /* 0: every peer is heard directly */
    uint32_t n_pieces;  /* 1, of a ring: its members */
    uint32_t size;      /* replicas in a row */
    uint32_t i, at;     /* the replica; its place among the members of a ring */
    rk_window_t window; /* n_hops of it: 0 for a ring */
} rk_hops_t;

/* Most hops of any replica at any moment: what arrives early needs a place for each. */
uint32_t rk_hops_most (const rk_graph_t *graph);
/* Which way replica i takes at that moment; all who exchange come to the same answer. members: room for
 * rk_graph_max_row, edges too; members[0 .. n_pieces) are needed by rk_hops_get, of a ring.                   */
void rk_hops_at (rk_hops_t *hops, const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, rk_graph_edge_t *edges,
                 uint32_t *members);
rk_hop_t rk_hops_get (const rk_hops_t *hops, const uint32_t *members, uint32_t h);
/* Piece [*lo, *hi) of a range of n floats. */
void rk_hops_piece (const rk_hops_t *hops, uint64_t n, uint32_t piece, uint64_t *lo, uint64_t *hi);
/* One hop on a piece of n floats: counts are how many replicas are in the sums. received: floats at any address, NULL for
 * RK_HOP_CLOSE.                                                                                              */
void rk_hops_take (rk_hop_op_t op, size_t n, const void *received, uint32_t n_received, float *p, uint32_t *in_p, float *a,
                   uint32_t *in_a);
/* The end of a piece: p becomes the mean; the own values stand for those that are not in it. */
void rk_hops_end (const rk_hops_t *hops, size_t n, uint32_t in_p, const float *own, float *p);

#endif
