/* SPDX-License-Identifier: MPL-2.0
 * Window doubling: the exact average of a ring lattice in O(log k) messages instead of k. Not a graph of its own
 * but another way to form the rows of lattice and ada: a sequence of hops, each an exchange with one peer at
 * the same distance for everybody. Replicas keep two ranges: p, the sum of a run of neighbours, which every hop
 * sends, and a, sums put aside. Sums are formed in another order than a row's, so they agree with it within
 * rounding only; each hop waits for the one before it, so a straggler is felt over the whole window.

 * Runs double to either side, so that the longest ends where the window begins and no message is needed to
 * centre it: floor (log2 w) + (ones in w) - 1 messages for a window of w = k + 1, or less where w has factors,
 * whose windows are nested. 112 neighbours: 9 messages.                                                     */
#ifndef RK_CLUSTER_WINDOW_H
#define RK_CLUSTER_WINDOW_H
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

#define RK_WINDOW_HOPS 64

typedef enum {
    RK_WINDOW_DOUBLE = 0, /* p += received */
    RK_WINDOW_PUT,        /* a = received */
    RK_WINDOW_JOIN,       /* a += received */
    RK_WINDOW_CLOSE       /* nothing is sent: p += a */
} rk_window_op_t;

/* Replica i sends p, as it was before the hop, to (i + to) mod n and receives that of (i + from) mod n. */
typedef struct {
    rk_window_op_t op;
    uint32_t from, to;
} rk_window_hop_t;

/* Begin with p = x; the average is p / size. */
typedef struct {
    uint32_t n, size; /* replicas; replicas of a window, the own one included */
    uint32_t n_hops, n_messages;
    rk_window_hop_t hops[RK_WINDOW_HOPS];
} rk_window_t;

/* The lattice of `degree` connections over n replicas, as cluster/graphs/lattice.h rounds it.
 * errors: RK_EINVAL.                                                                                        */
rk_err_t rk_window_make (rk_window_t *window, uint32_t n, uint32_t degree, rk_error_t *err) RK_MUST_CHECK;

/* One replica's part of a hop on m floats: received is another's p (any address; NULL for RK_WINDOW_CLOSE). */
void rk_window_take (const rk_window_hop_t *hop, size_t m, const void *received, float *p, float *a);
/* All of it on all replicas at once, in place: rows[i] are m floats of replica i. spare: 2 n m floats. */
void rk_window_mix (const rk_window_t *window, float *const *rows, size_t m, float *spare);

#endif
