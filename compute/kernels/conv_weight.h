/* SPDX-License-Identifier: MPL-2.0
 * The weight gradient of a convolution by its definition.
 * Private to compute/kernels/.                                                                        */
#ifndef RK_COMPUTE_KERNELS_CONV_WEIGHT_H
#define RK_COMPUTE_KERNELS_CONV_WEIGHT_H
#include "compute/kernels/border.h"
#include "compute/kernels/conv.h"

/* The input of the convolution as all its kernels read it. */
rk_border_t rk_conv_border (const rk_conv_shape_t *s);

/* Floats for all threads, with tiles of that width. */
size_t rk_conv_weight_scratch (const rk_conv_shape_t *s, size_t width, size_t n_threads);

/* dw += the gradient of w, samples in ascending order. scratch: rk_conv_weight_scratch floats */
void rk_conv_weight (const rk_conv_shape_t *s, size_t n, const float *x, const float *dy, float *dw,
                     const rk_conv_work_t *work);

#endif
