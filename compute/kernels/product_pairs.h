/* SPDX-License-Identifier: MPL-2.0
 * Matrix products with factors rounded to bfloat16 and sums in float. Both operands are rounded and packed
 * block by block on the stack. Private to compute/blas.c and compute/kernels/.                        */
#ifndef RK_COMPUTE_KERNELS_PRODUCT_PAIRS_H
#define RK_COMPUTE_KERNELS_PRODUCT_PAIRS_H
#include "compute/kernels/product.h"

/* set: of pairs. As rk_product. */
void rk_product_pairs (const rk_tile_set_t *set, const rk_product_t *p);

#endif
