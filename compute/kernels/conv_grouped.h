/* SPDX-License-Identifier: MPL-2.0
 * Convolutions that conv.h does not do: in groups, with dilation, with kernels that are no squares. The input is
 * unrolled a block of outputs at a time into a panel that stays in the cache, never as a whole, and multiplied;
 * with one input channel per group (depthwise) rows are added tap by tap instead.
 * x: (n, c_in, h, w)   w: (c_out, c_in / groups, kernel_h, kernel_w)   y: (n, c_out, out_h, out_w).
 * Every output is one sum whose order depends on the shape alone: not on n, not on the pool.
 * All buffers are the caller's; nothing is allocated. thread: any, after rk_blas_init.               */
#ifndef RK_COMPUTE_KERNELS_CONV_GROUPED_H
#define RK_COMPUTE_KERNELS_CONV_GROUPED_H
#include "compute/kernels/conv.h"
#include "compute/tensor.h"

typedef struct {
    size_t c_in, h, w, c_out, groups;
    size_t kernel_h, kernel_w, stride, padding_h, padding_w, dilation;
} rk_conv_grouped_t;

/* errors: RK_ESHAPE (a zero, groups that do not divide the channels, padding as large as the kernel, a kernel larger
 * than the padded input; the text gives the numbers) */
rk_err_t rk_conv_grouped_check (const rk_conv_grouped_t *shape, rk_error_t *err) RK_MUST_CHECK;
size_t rk_conv_grouped_out_h (const rk_conv_grouped_t *shape);
size_t rk_conv_grouped_out_w (const rk_conv_grouped_t *shape);
size_t rk_conv_grouped_scratch (const rk_conv_grouped_t *shape, size_t n_threads); /* floats, for any n */

/* As in conv.h. */
void rk_conv_grouped_forward (const rk_conv_grouped_t *shape, size_t n, const float *x, const float *w,
                              const float *bias, float *y, const rk_conv_work_t *work);
void rk_conv_grouped_backward_input (const rk_conv_grouped_t *shape, size_t n, const float *dy, const float *w,
                                     float *dx, const rk_conv_work_t *work);
void rk_conv_grouped_backward_weight (const rk_conv_grouped_t *shape, size_t n, const float *x, const float *dy,
                                      float *dw, const rk_conv_work_t *work);

#endif
