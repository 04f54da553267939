/* SPDX-License-Identifier: MPL-2.0
 * A circulant whose links reach far: replica i with i +- s for strides s that grow geometrically from 1 to
 * n / 2. As many links as a ring lattice of the same degree, another spectrum. Private to cluster/.         */
#ifndef RK_CLUSTER_GRAPHS_SPREAD_H
#define RK_CLUSTER_GRAPHS_SPREAD_H
#include <stdint.h>

/* All 2 h strides of degree 2 h, both directions, strictly ascending in [1, n). 1 <= h <= (n - 1) / 2.
 * Integers only, so that every machine finds the same.                                                      */
void rk_spread_strides (uint32_t n, uint32_t h, uint32_t *strides);

#endif
