/* SPDX-License-Identifier: MPL-2.0
 * Convolutions of kernel 3 and stride 1 with 16 multiplications where the definition has 36: outputs by 2 x 2,
 * through transforms of 4 x 4 inputs and of the weights (Winograd, 1980; Lavin and Gray, 2016, F(2 x 2, 3 x 3)).
 * Tiles are (position of 16, tile, channel), channels last: sixteen products of matrices (tiles, c_in) (c_in, c_out).
 * Blocks of tile rows, over samples, stay in a cache. No bit of an output depends on the samples beside it, none of
 * any result on the pool. Every set of floats, not of pairs; the sets with fused multiply-add agree.
 * Private to compute/kernels/.                                                                        */
#ifndef RK_COMPUTE_KERNELS_WINOGRAD_H
#define RK_COMPUTE_KERNELS_WINOGRAD_H
#include <stdbool.h>
#include "compute/kernels/conv.h"
#include "compute/kernels/tile.h"

/* Where the transforms pay: enough channels, and not so many that the weights leave the cache. */
bool rk_winograd_fits (const rk_conv_shape_t *s);

/* Floats that suffice for the calls below. */
size_t rk_winograd_scratch (const rk_conv_shape_t *s, size_t n_threads);

void rk_winograd_forward (const rk_conv_shape_t *s, const rk_tile_set_t *set, size_t n, const float *x, const float *w,
                          const float *bias, float *y, const rk_conv_work_t *work);

void rk_winograd_backward_input (const rk_conv_shape_t *s, const rk_tile_set_t *set, size_t n, const float *dy,
                                 const float *w, float *dx, const rk_conv_work_t *work);

/* dw += the gradient: blocks in ascending order within a few runs of samples, then the runs. */
void rk_winograd_backward_weight (const rk_conv_shape_t *s, const rk_tile_set_t *set, size_t n, const float *x,
                                  const float *dy, float *dw, const rk_conv_work_t *work);

#endif
