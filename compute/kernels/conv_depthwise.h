/* SPDX-License-Identifier: MPL-2.0
 * Convolutions with one input channel per group: every tap adds one shifted plane to another.
 * Private to compute/kernels/conv_grouped.c, which says what the operands are.                       */
#ifndef RK_COMPUTE_KERNELS_CONV_DEPTHWISE_H
#define RK_COMPUTE_KERNELS_CONV_DEPTHWISE_H
#include "compute/kernels/conv_grouped.h"

/* Outputs [first, end) whose tap lies inside the input; output o reads input o stride + offset - padding. */
typedef struct {
    size_t first, end, offset, padding;
} rk_conv_reach_t;

static inline rk_conv_reach_t rk_conv_reach (size_t n_in, size_t n_out, size_t stride, size_t offset, size_t padding)
{
    rk_conv_reach_t r = {.offset = offset, .padding = padding};
    r.first = padding > offset ? (padding - offset + stride - 1) / stride : 0;
    r.end = n_in + padding > offset ? (n_in + padding - offset + stride - 1) / stride : 0;
    r.end = r.end < n_out ? r.end : n_out;
    r.first = r.first < r.end ? r.first : r.end;
    return r;
}

static inline size_t rk_conv_reach_at (const rk_conv_reach_t *r, size_t stride, size_t out)
{
    return out * stride + r->offset - r->padding;
}

void rk_conv_depthwise_forward (const rk_conv_grouped_t *shape, size_t n, const float *x, const float *w,
                                const float *bias, float *y, rk_pool_t *pool);
void rk_conv_depthwise_backward_input (const rk_conv_grouped_t *shape, size_t n, const float *dy, const float *w,
                                       float *dx, rk_pool_t *pool);
void rk_conv_depthwise_backward_weight (const rk_conv_grouped_t *shape, size_t n, const float *x, const float *dy,
                                        float *dw, rk_pool_t *pool);

#endif
