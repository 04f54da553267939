/* SPDX-License-Identifier: MPL-2.0
 * Matrix products from tiles, without memory of their own: A is read where it lies, B is packed one panel at
 * a time on the stack if that pays. For all but large squares, where BLIS's packed loops are too heavy (a
 * product of 16 x 16 x 16 takes 2 us in them, 0.07 us here).
 * Private to compute/blas.c and compute/kernels/.                                                     */
#ifndef RK_COMPUTE_KERNELS_PRODUCT_H
#define RK_COMPUTE_KERNELS_PRODUCT_H
#include "compute/kernels/tile.h"

#define RK_PRODUCT_K 512 /* products added before C is touched: part of the arithmetic, also in BLIS's loops */

/* C = beta C + alpha A B with A (i, p) = a[i a_row + p a_k], B (p, j) = b[p b_k + j b_col]; k > 0.
 * One of b_k, b_col must be 1.                                                                       */
typedef struct {
    size_t m, n, k;
    float alpha, beta;
    const float *a;
    size_t a_row, a_k;
    const float *b;
    size_t b_k, b_col;
    float *c;
    size_t c_row;
} rk_product_t;

void rk_product (const rk_tile_set_t *set, const rk_product_t *p);

#endif
