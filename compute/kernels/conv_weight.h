/* SPDX-License-Identifier: MPL-2.0
 * The weight gradient of a convolution (rk_conv_backward_weight is its only caller's name).
 * Private to compute/kernels/.                                                                        */
#ifndef RK_COMPUTE_KERNELS_CONV_WEIGHT_H
#define RK_COMPUTE_KERNELS_CONV_WEIGHT_H
#include "compute/kernels/border.h"
#include "compute/kernels/conv.h"

/* The input of the convolution as all its kernels read it. */
rk_border_t rk_conv_border (const rk_conv_shape_t *s);

/* Floats for all threads, with tiles of that width. */
size_t rk_conv_weight_scratch (const rk_conv_shape_t *s, size_t width, size_t n_threads);

#endif
