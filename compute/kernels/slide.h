/* SPDX-License-Identifier: MPL-2.0
 * Sliding sums: what the forward pass and the input gradient of a convolution have in common.
 *   y[m][r][c] = bias[m] + sum over channel, i, j of a[m][channel][i][j] x[channel][r step + i - top][c step + j - left]
 * where x is 0 outside its plane. The input is copied once into a zero border, unrolled one panel of tile
 * width at a time, and multiplied by packed weights. Several small planes share panels; no bit depends on
 * which. With a set of pairs a channel of `in` is a pair of channels of x, made on the way.
 * Private to compute/kernels/.                                                                        */
#ifndef RK_COMPUTE_KERNELS_SLIDE_H
#define RK_COMPUTE_KERNELS_SLIDE_H
#include <stddef.h>
#include "compute/kernels/border.h"
#include "compute/kernels/tile.h"
#include "compute/pool.h"

typedef struct {
    rk_border_t in; /* input, taps and outputs (r, c); without taps all sums are empty */
    size_t n_out;   /* m */
    size_t unpaired; /* channels of x where `in` has half of them; 0: as many */
    /* where (sample, m, r, c) goes: y[first + (sample n_out + m) plane + r row_stride + c col_stride] */
    size_t first, plane, row_stride, col_stride;
} rk_slide_t;

size_t rk_slide_weights (const rk_slide_t *s); /* floats of packed weights (pairs in a set of pairs) */

/* Floats that one worker needs with tiles of that width. */
size_t rk_slide_scratch (const rk_slide_t *s, size_t width);

/* a (n_out, unpaired, tap_rows, tap_cols) to pairs (n_out, channels, tap_rows, tap_cols). */
void rk_slide_pair (const rk_slide_t *s, const rk_tile_set_t *set, const float *a, float *pairs);

/* a (n_out, channels, tap_rows, tap_cols) into the order in which tiles read it. */
void rk_slide_pack (const rk_slide_t *s, const rk_tile_set_t *set, const float *a, float *packed);

/* scratch: rk_slide_scratch for each thread of the pool. */
typedef struct {
    const rk_slide_t *slide;
    const rk_tile_set_t *set;
    size_t n; /* samples */
    const float *x, *packed, *bias;
    float *y, *scratch;
} rk_slide_call_t;

void rk_slide (const rk_slide_call_t *call, rk_pool_t *pool);

#endif
