/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/conv.h"

#include <string.h>

#include "compute/blas.h"
#include "compute/kernels/vec.h"

#define COLUMNS_MAX 65536 /* floats of one block of the unrolled input */

rk_err_t rk_conv_check (const rk_conv_shape_t *s, rk_error_t *err)
{
    if (!s->c_in || !s->h || !s->w || !s->c_out || !s->kernel || !s->stride)
        return rk_error_set (err, RK_ESHAPE, "convolution of (%zu, %zu, %zu) to %zu channels, kernel %zu, stride %zu: "
                             "none may be 0", s->c_in, s->h, s->w, s->c_out, s->kernel, s->stride);
    if (s->padding >= s->kernel || s->h + 2 * s->padding < s->kernel || s->w + 2 * s->padding < s->kernel)
        return rk_error_set (err, RK_ESHAPE, "convolution of (%zu, %zu, %zu) with kernel %zu, padding %zu: the padding "
                             "must be smaller than the kernel and the padded input at least as large",
                             s->c_in, s->h, s->w, s->kernel, s->padding);
    return RK_OK;
}

size_t rk_conv_out_h (const rk_conv_shape_t *s)
{
    return (s->h + 2 * s->padding - s->kernel) / s->stride + 1;
}

size_t rk_conv_out_w (const rk_conv_shape_t *s)
{
    return (s->w + 2 * s->padding - s->kernel) / s->stride + 1;
}

static size_t s_taps (const rk_conv_shape_t *s)
{
    return s->c_in * s->kernel * s->kernel;
}

/* Output rows unrolled at a time. */
static size_t s_block_rows (const rk_conv_shape_t *s)
{
    size_t rows = COLUMNS_MAX / (s_taps (s) * rk_conv_out_w (s)), out_h = rk_conv_out_h (s);
    return rows == 0 ? 1 : rows < out_h ? rows : out_h;
}

size_t rk_conv_scratch (const rk_conv_shape_t *s, size_t n_threads)
{
    return s_taps (s) * s_block_rows (s) * rk_conv_out_w (s);
}

/* Where output column ow reads the input for tap column kw, or outside. */
static int s_inside (size_t out, size_t stride, size_t tap, size_t padding, size_t size, size_t *at)
{
    *at = out * stride + tap - padding;
    return *at < size; /* a negative place has wrapped around */
}

/* Visit every (tap, column) of output rows [row, row + rows): gather x into col, or scatter col into x. */
static void s_unroll (const rk_conv_shape_t *s, size_t row, size_t rows, float *x, float *col, int scatter)
{
    size_t out_w = rk_conv_out_w (s), k = s->kernel;
    for (size_t tap = 0; tap < s_taps (s); tap++)
        for (size_t oh = row; oh < row + rows; oh++)
            for (size_t ow = 0; ow < out_w; ow++, col++) {
                size_t ih, iw;
                int in = s_inside (oh, s->stride, tap / k % k, s->padding, s->h, &ih) &
                         s_inside (ow, s->stride, tap % k, s->padding, s->w, &iw);
                float *place = in ? x + (tap / (k * k) * s->h + ih) * s->w + iw : NULL;
                if (!scatter)
                    *col = place ? *place : 0.0f;
                else if (place)
                    *place += *col;
            }
}

void rk_conv_forward (const rk_conv_shape_t *s, size_t n, const float *x, const float *w, const float *bias,
                      float *y, const rk_conv_work_t *work)
{
    size_t taps = s_taps (s), out_h = rk_conv_out_h (s), out_w = rk_conv_out_w (s), plane = out_h * out_w;
    size_t block = s_block_rows (s);
    for (size_t i = 0; i < n; i++, x += s->c_in * s->h * s->w, y += s->c_out * plane)
        for (size_t row = 0; row < out_h; row += block) {
            size_t rows = block < out_h - row ? block : out_h - row, columns = rows * out_w;
            s_unroll (s, row, rows, (float *) x, work->scratch, 0);
            rk_gemm (RK_N, RK_N, s->c_out, columns, taps, 1.0f, w, taps, work->scratch, columns, 0.0f,
                     y + row * out_w, plane);
        }
    if (bias)
        rk_vec ()->bias_planes (n, s->c_out, plane, bias, y - n * s->c_out * plane);
}

void rk_conv_backward_input (const rk_conv_shape_t *s, size_t n, const float *dy, const float *w, float *dx,
                             const rk_conv_work_t *work)
{
    size_t taps = s_taps (s), out_h = rk_conv_out_h (s), out_w = rk_conv_out_w (s), plane = out_h * out_w;
    size_t block = s_block_rows (s);
    memset (dx, 0, n * s->c_in * s->h * s->w * sizeof *dx);
    for (size_t i = 0; i < n; i++, dx += s->c_in * s->h * s->w, dy += s->c_out * plane)
        for (size_t row = 0; row < out_h; row += block) {
            size_t rows = block < out_h - row ? block : out_h - row, columns = rows * out_w;
            rk_gemm (RK_T, RK_N, taps, columns, s->c_out, 1.0f, w, taps, dy + row * out_w, plane, 0.0f, work->scratch,
                     columns);
            s_unroll (s, row, rows, dx, work->scratch, 1);
        }
}

void rk_conv_backward_weight (const rk_conv_shape_t *s, size_t n, const float *x, const float *dy, float *dw,
                              const rk_conv_work_t *work)
{
    size_t taps = s_taps (s), out_h = rk_conv_out_h (s), out_w = rk_conv_out_w (s), plane = out_h * out_w;
    size_t block = s_block_rows (s);
    for (size_t i = 0; i < n; i++, x += s->c_in * s->h * s->w, dy += s->c_out * plane)
        for (size_t row = 0; row < out_h; row += block) {
            size_t rows = block < out_h - row ? block : out_h - row, columns = rows * out_w;
            s_unroll (s, row, rows, (float *) x, work->scratch, 0);
            rk_gemm (RK_N, RK_T, s->c_out, taps, columns, 1.0f, dy + row * out_w, plane, work->scratch, columns, 1.0f,
                     dw, taps);
        }
}

void rk_conv_backward_bias (const rk_conv_shape_t *s, size_t n, const float *dy, float *db)
{
    rk_vec ()->bias_planes_grad (n, s->c_out, rk_conv_out_h (s) * rk_conv_out_w (s), dy, db);
}
