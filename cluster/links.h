/* SPDX-License-Identifier: MPL-2.0
 * Links between nodes: which pairs are measured and when, how a burst becomes a rate, and what is assumed of the pairs
 * that were not measured. Up to RK_LINKS_ALL_PAIRS nodes every pair is measured; above, about log2 n partners of each
 * node, n log2 n / 2 pairs at the least. A machine takes part in one measurement at a time. Pure. thread: one at a time. */
#ifndef RK_CLUSTER_LINKS_H
#define RK_CLUSTER_LINKS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

#define RK_LINKS_ALL_PAIRS 16u
/* A pair that could not be measured: no plan uses such a link if it can do without. */
#define RK_LINK_DEAD_BYTES_PER_S 1
#define RK_LINK_DEAD_RTT_NS UINT64_C (10000000000)

typedef struct {
    uint32_t from, to;     /* ids of nodes */
    uint64_t bytes_per_s;  /* of a long message; 0: not known */
    uint64_t rtt_ns;       /* of a short one and its answer; 0: not known */
} rk_link_t;

/* ---- which pairs, when */
typedef struct rk_probing rk_probing_t;

/* Nodes are 0 .. n - 1 here; hosts[i]: nodes of one machine have the same value. Pairs among the first n_known are
 * left out: they were measured before the others came. errors: RK_ENOMEM.                                 */
rk_err_t rk_probing_new (rk_probing_t **probing_p, const uint64_t *hosts, uint32_t n, uint32_t n_known,
                         uint64_t seed) RK_MUST_CHECK;
void rk_probing_destroy (rk_probing_t **probing_p);
/* A pair whose machines are both free, which are taken until rk_probing_done. false: none now. */
bool rk_probing_next (rk_probing_t *probing, uint32_t *a, uint32_t *b);
/* RK_OK: the pair had been taken. errors: RK_ESTATE. */
rk_err_t rk_probing_done (rk_probing_t *probing, uint32_t a, uint32_t b) RK_MUST_CHECK;
void rk_probing_drop (rk_probing_t *probing, uint32_t node); /* it is gone: its pairs are not measured any more */
bool rk_probing_over (const rk_probing_t *probing);
uint32_t rk_probing_n (const rk_probing_t *probing); /* pairs in all */

/* ---- a burst: messages that arrive as fast as the link lets them. What a bucket or a first congestion window lets
 * through at once is in its head, so only the tail counts: what arrives after the first third.             */
typedef struct {
    uint64_t expected, got, head; /* bytes */
    int64_t head_ns, last_ns;
    uint32_t messages;
} rk_burst_t;
void rk_burst_start (rk_burst_t *burst, uint64_t expected);
/* A message of n bytes is in; true: that was all of it. */
bool rk_burst_take (rk_burst_t *burst, uint64_t n, int64_t now_ns);
uint64_t rk_burst_rate (const rk_burst_t *burst); /* bytes/s of the tail, at least 1; 0: no tail */
/* Bytes of a burst that takes about duration_ns at that rate. */
uint64_t rk_burst_bytes (uint64_t bytes_per_s, uint64_t duration_ns);
#define RK_BURST_LEAST_BYTES 65536u
#define RK_BURST_MOST_BYTES (16u << 20)

/* ---- all pairs from those that were measured
 * ids ascend; hosts beside them; both outputs n x n, row: from, 0 on the diagonal and where nothing is known.
 * A measured figure stands. A direction that was not measured is as its opposite. Between machines the rate is the
 * lesser of the best that one was seen to send and the other to receive; the round trip is that of the shortest way
 * over measured links (at most 8). Two nodes of one machine are as the best pair of one machine.
 * errors: RK_ENOMEM.                                                                                      */
rk_err_t rk_links_fill (const rk_link_t *links, size_t n_links, const uint32_t *ids, const uint64_t *hosts, uint32_t n,
                        uint64_t *bytes_per_s, uint64_t *rtt_ns) RK_MUST_CHECK;

#endif
