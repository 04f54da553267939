/* SPDX-License-Identifier: MPL-2.0
 * Ring arithmetic, Ravnest §4.2: what rank r of n sends and receives at step t of a ring all-reduce.
 * Reduce-scatter: n - 1 steps, then all-gather: n - 1 steps. Sums are formed in ring order and copied, so
 * the mean is bit-identical everywhere.                                                                   */
#ifndef RK_CLUSTER_RING_H
#define RK_CLUSTER_RING_H
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t send_piece, receive_piece;
    bool gather; /* false: add what arrives; true: copy it */
} rk_ring_step_t;

/* steps: t in [0, 2 (n - 1)). n >= 2. */
rk_ring_step_t rk_ring_step (uint32_t rank, uint32_t n, uint32_t t);
uint32_t rk_ring_n_steps (uint32_t n);

#endif
