/* SPDX-License-Identifier: MPL-2.0
 * Two-dimensional convolutions, NCHW float32.
 * x: (n, c_in, h, w)   w: (c_out, c_in, kernel, kernel)   y: (n, c_out, out_h, out_w).
 * Every output is one sum whose order depends on the shape alone: not on n, not on the pool.
 * All buffers are the caller's; nothing is allocated. thread: any, after rk_blas_init.               */
#ifndef RK_COMPUTE_KERNELS_CONV_H
#define RK_COMPUTE_KERNELS_CONV_H
#include <stddef.h>
#include "compute/error.h"
#include "compute/pool.h"

typedef struct {
    size_t c_in, h, w; /* of the input */
    size_t c_out;
    size_t kernel, stride, padding;
} rk_conv_shape_t;

/* What a call works with, besides its operands. */
typedef struct {
    rk_pool_t *pool; /* NULL: the calling thread only */
    float *scratch;  /* rk_conv_scratch (shape, threads of the pool) floats, aligned to 64 bytes */
} rk_conv_work_t;

/* errors: RK_ESHAPE (a zero, or a kernel larger than the padded input; the text gives the numbers) */
rk_err_t rk_conv_check (const rk_conv_shape_t *shape, rk_error_t *err) RK_MUST_CHECK;
size_t rk_conv_out_h (const rk_conv_shape_t *shape);
size_t rk_conv_out_w (const rk_conv_shape_t *shape);

/* Floats of scratch that suffice for each of the three calls below, for any n. */
size_t rk_conv_scratch (const rk_conv_shape_t *shape, size_t n_threads);

/* y = conv (x, w) + bias.   bias: (c_out) or NULL */
void rk_conv_forward (const rk_conv_shape_t *shape, size_t n, const float *x, const float *w, const float *bias,
                      float *y, const rk_conv_work_t *work);

/* dx = gradient of x, written */
void rk_conv_backward_input (const rk_conv_shape_t *shape, size_t n, const float *dy, const float *w, float *dx,
                             const rk_conv_work_t *work);

/* dw += gradient of w, samples in ascending order, or (winograd.h) in ascending order within runs whose number depends
 * on n and the shape */
void rk_conv_backward_weight (const rk_conv_shape_t *shape, size_t n, const float *x, const float *dy, float *dw,
                              const rk_conv_work_t *work);

/* db += gradient of the bias, samples in ascending order.   db: (c_out) */
void rk_conv_backward_bias (const rk_conv_shape_t *shape, size_t n, const float *dy, float *db);

#endif
