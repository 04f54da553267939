/* SPDX-License-Identifier: MPL-2.0
 * BLIS's five loops around a tile set of ours, registered in a copy of BLIS's context; or around BLIS's own
 * kernels where there is no such set. One thread, small-matrix path off: which path a product takes must
 * not change its bits. Private to compute/blas.c and compute/kernels/.                                */
#ifndef RK_COMPUTE_KERNELS_BLIS_LOOPS_H
#define RK_COMPUTE_KERNELS_BLIS_LOOPS_H
#include "compute/kernels/product.h"

/* Initialises BLIS and the contexts, once. thread: any */
void rk_blis_init (void);

/* Any strides, k may be 0. set: NULL for BLIS's own kernels. thread: any, after rk_blis_init */
void rk_blis_product (const rk_tile_set_t *set, const rk_product_t *p);

#endif
