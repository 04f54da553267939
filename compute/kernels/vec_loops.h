/* SPDX-License-Identifier: MPL-2.0
 * The loops behind compute/kernels/vec.h, as plain C: included once by each vec_<set>.c, which the build
 * compiles for its processor and which names its table by RK_VEC_TABLE. Contraction is off everywhere,
 * so that every build rounds at the same places. Not a header for anybody else.                       */
#include "compute/kernels/vec_halves.h"
#include "compute/kernels/vec_optim.h"
#include "compute/kernels/vec_windows.h"
#include "compute/kernels/vec_winograd.h"

#include <math.h>
#include <string.h>

#define LANES 64 /* of a reduction: part of the arithmetic, the same in every build */

static void s_copy (size_t n, const void *x, float *y)
{
    memmove (y, x, n * sizeof *y);
}

static void s_relu (size_t n, const float *x, float *y)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] <= 0.0f ? 0.0f : x[i];
}

static void s_relu_backward (size_t n, const float *y, const float *dy, float *dx)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++) {
        float g = dy[i];
        dx[i] = y[i] > 0.0f ? g : 0.0f;
    }
}

static void s_add (size_t n, const float *a, const float *b, float *y)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void s_mul (size_t n, const float *a, const float *b, float *y)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

static void s_scale (size_t n, float alpha, const void *x_, float *y)
{
    const s_any_float *x = x_;
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = alpha * x[i];
}

static void s_axpy (size_t n, float alpha, const void *x_, float *y)
{
    const s_any_float *x = x_;
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] + alpha * x[i];
}

static void s_sum_scaled (size_t n, float alpha, const float *x, const void *in_, float *y)
{
    const s_any_float *in = in_;
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = in[i] + alpha * x[i];
}

typedef float s_sixteen_t __attribute__ ((vector_size (64), aligned (1), may_alias));

/* The sums of 64 floats stay in registers while the inputs pass by. */
static void s_mix (size_t n, size_t n_in, const void *const *x, const float *w, float *y)
{
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const s_sixteen_t *in = (const void *) ((const float *) x[0] + i);
        s_sixteen_t a = w[0] * in[0], b = w[0] * in[1], c = w[0] * in[2], d = w[0] * in[3];
        for (size_t r = 1; r < n_in; r++) {
            in = (const void *) ((const float *) x[r] + i);
            const float weight = w[r];
            a = a + weight * in[0];
            b = b + weight * in[1];
            c = c + weight * in[2];
            d = d + weight * in[3];
        }
        s_sixteen_t *out = (void *) (y + i);
        out[0] = a;
        out[1] = b;
        out[2] = c;
        out[3] = d;
    }
    s_scale (n - i, w[0], (const float *) x[0] + i, y + i);
    for (size_t r = 1; r < n_in; r++)
        s_axpy (n - i, w[r], (const float *) x[r] + i, y + i);
}

static void s_sum4 (size_t n, size_t n_in, const float *const *x, float *const y[4])
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        s_sixteen_t *out[4] = {(void *) (y[0] + i), (void *) (y[1] + i), (void *) (y[2] + i), (void *) (y[3] + i)};
        s_sixteen_t a = out[0][0], b = out[0][1], c = out[1][0], d = out[1][1];
        s_sixteen_t e = out[2][0], f = out[2][1], g = out[3][0], h = out[3][1];
        for (size_t r = 0; r < n_in; r++) {
            const s_sixteen_t *in = (const void *) (x[r] + i);
            const s_sixteen_t u = in[0], v = in[1];
            a = a + u, b = b + v, c = c + u, d = d + v;
            e = e + u, f = f + v, g = g + u, h = h + v;
        }
        out[0][0] = a, out[0][1] = b, out[1][0] = c, out[1][1] = d;
        out[2][0] = e, out[2][1] = f, out[3][0] = g, out[3][1] = h;
    }
    for (size_t k = 0; k < 4; k++)
        for (size_t r = 0; r < n_in; r++)
            s_add (n - i, y[k] + i, x[r] + i, y[k] + i);
}

static void s_affine (rk_planes_t at, float a, const float *x, float b, float *y)
{
    for (size_t p = 0; p < at.n; p++, x += at.stride, y += at.stride) {
        RK_IVDEP
        for (size_t i = 0; i < at.size; i++)
            y[i] = a * x[i] + b;
    }
}

static void s_affine2 (rk_planes_t at, float a, const float *u, float b, const float *v, float c, float *y)
{
    for (size_t p = 0; p < at.n; p++, u += at.stride, v += at.stride, y += at.stride) {
        RK_IVDEP
        for (size_t i = 0; i < at.size; i++)
            y[i] = (a * u[i] + b * v[i]) + c;
    }
}

static void s_bias_rows (size_t rows, size_t n, const float *bias, float *y)
{
    for (size_t r = 0; r < rows; r++)
        s_add (n, y + r * n, bias, y + r * n);
}

static void s_bias_rows_grad (size_t rows, size_t n, const float *dy, float *db)
{
    for (size_t r = 0; r < rows; r++)
        s_add (n, db, dy + r * n, db);
}

static void s_bias_planes (size_t samples, size_t channels, size_t plane, const float *bias, float *y)
{
    for (size_t s = 0; s < samples; s++)
        for (size_t c = 0; c < channels; c++, y += plane) {
            float b = bias[c];
            RK_IVDEP
            for (size_t i = 0; i < plane; i++)
                y[i] = y[i] + b;
        }
}

/* Sums of terms f (i) and g (i) in lanes: float i of a plane belongs to lane i mod LANES. */
typedef struct {
    float first[LANES], second[LANES];
    size_t n; /* terms in them */
} s_lanes_t;

/* Lanes are added pairwise, halves first, whatever the vector width. */
static double s_fold (float *lane)
{
    for (size_t half = LANES / 2; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

static void s_empty (s_lanes_t *lanes, double out[2])
{
    out[0] += s_fold (lanes->first);
    out[1] += s_fold (lanes->second);
    memset (lanes, 0, sizeof *lanes);
}

/* n terms, of floats that start at lane `lane`. */
static inline void s_add_terms (s_lanes_t *lanes, size_t lane, size_t n, const float *x, const float *y, float shift)
{
    RK_IVDEP
    for (size_t l = 0; l < n; l++) {
        const float v = x[l] - shift;
        lanes->first[lane + l] += y ? y[l] : v;
        lanes->second[lane + l] += y ? y[l] * v : v * v;
    }
}

static inline void s_add_plane (s_lanes_t *lanes, size_t n, const float *x, const float *y, float shift)
{
    size_t i = 0, lane = 0;
    for (; i + LANES <= n; i += LANES)
        s_add_terms (lanes, 0, LANES, x + i, y ? y + i : NULL, shift);
    for (; i + 16 <= n; i += 16, lane += 16)
        s_add_terms (lanes, lane, 16, x + i, y ? y + i : NULL, shift);
    s_add_terms (lanes, lane, n - i, x + i, y ? y + i : NULL, shift);
    lanes->n += n;
}

/* y: NULL for the moments of x alone; known to the compiler at each call. */
static inline void s_sums (rk_planes_t at, const float *x, const float *y, float shift, double out[2])
{
    s_lanes_t lanes = {.n = 0};
    out[0] = out[1] = 0;
    for (size_t p = 0; p < at.n; p++) {
        s_add_plane (&lanes, at.size, x + p * at.stride, y ? y + p * at.stride : NULL, shift);
        if (lanes.n >= 4096)
            s_empty (&lanes, out);
    }
    s_empty (&lanes, out);
}

static void s_moments (rk_planes_t at, const float *x, float shift, double out[2])
{
    s_sums (at, x, NULL, shift, out);
}

static void s_co_moments (rk_planes_t at, const float *dy, const float *x, float shift, double out[2])
{
    s_sums (at, x, dy, shift, out);
}

static double s_sum_planes (rk_planes_t at, const float *x)
{
    float lane[LANES] = {0};
    double total = 0;
    for (size_t p = 0, n = 0; p < at.n; p++, x += at.stride) {
        size_t i = 0;
        for (; i + LANES <= at.size; i += LANES)
            for (size_t l = 0; l < LANES; l++)
                lane[l] += x[i + l];
        for (size_t l = 0; i + l < at.size; l++)
            lane[l] += x[i + l];
        n += at.size;
        if (n >= 4096 || p + 1 == at.n) {
            total += s_fold (lane);
            memset (lane, 0, sizeof lane);
            n = 0;
        }
    }
    return total;
}

static double s_sum (size_t n, const float *x)
{
    return s_sum_planes ((rk_planes_t){1, n, n}, x);
}

static void s_bias_planes_grad (size_t samples, size_t channels, size_t plane, const float *dy, float *db)
{
    for (size_t c = 0; c < channels; c++)
        db[c] += (float) s_sum_planes ((rk_planes_t){samples, plane, channels * plane}, dy + c * plane);
}

#include "compute/kernels/vec_norms.h"

/* exp of x <= 0 to about 1 ulp: 2^k e^r with |r| <= log (2) / 2, e^r by its series to the sixth power.
 * Below the smallest normal number it is 0. NaN gives NaN.                                            */
static inline float s_exp (float x)
{
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it leaves the nearest integer in the low bits */
    float shifted = x * 1.44269504f + round;
    float k = shifted - round;
    float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
    float p = 1.3888889e-3f;
    p = p * r + 8.3333333e-3f;
    p = p * r + 4.1666667e-2f;
    p = p * r + 1.6666667e-1f;
    p = p * r + 0.5f;
    p = (p * r) * r + r + 1.0f;
    uint32_t bits;
    memcpy (&bits, &shifted, sizeof bits);
    bits = (bits + 127u) << 23; /* the low nine bits of `shifted` are k mod 512 */
    float scale;
    memcpy (&scale, &bits, sizeof scale);
    return x < -87.0f ? 0.0f : p * scale;
}

#include "compute/kernels/vec_activations.h"
#include "compute/kernels/vec_sequence.h"

static void s_softmax_rows (size_t rows, size_t n, const float *logits, float *p, float *lse)
{
    for (size_t r = 0; r < rows; r++, logits += n, p += n) {
        float top = logits[0];
        for (size_t j = 1; j < n; j++)
            top = logits[j] > top ? logits[j] : top;
        RK_IVDEP
        for (size_t j = 0; j < n; j++)
            p[j] = s_exp (logits[j] - top);
        float sum = (float) s_sum (n, p);
        float inverse = 1.0f / sum;
        s_scale (n, inverse, p, p);
        if (lse)
            lse[r] = top + (float) log ((double) sum);
    }
}

const rk_vec_t RK_VEC_TABLE = {
    .copy = s_copy,
    .relu = s_relu,
    .relu_backward = s_relu_backward,
    .add = s_add,
    .mul = s_mul,
    .scale = s_scale,
    .axpy = s_axpy,
    .sum_scaled = s_sum_scaled,
    .mix = s_mix,
    .sum4 = s_sum4,
    .affine = s_affine,
    .affine2 = s_affine2,
    .sigmoid = s_sigmoid,
    .sigmoid_backward = s_sigmoid_backward,
    .tanh = s_tanh,
    .tanh_backward = s_tanh_backward,
    .silu = s_silu,
    .silu_backward = s_silu_backward,
    .gelu = s_gelu,
    .gelu_backward = s_gelu_backward,
    .gelu_tanh = s_gelu_tanh,
    .gelu_tanh_backward = s_gelu_tanh_backward,
    .leaky_relu = s_leaky_relu,
    .leaky_relu_backward = s_leaky_relu_backward,
    .bias_rows = s_bias_rows,
    .bias_rows_grad = s_bias_rows_grad,
    .bias_planes = s_bias_planes,
    .bias_planes_grad = s_bias_planes_grad,
    .sum = s_sum,
    .moments = s_moments,
    .co_moments = s_co_moments,
    .norm_row = s_norm_row,
    .norm_row_sums = s_norm_row_sums,
    .norm_row_backward = s_norm_row_backward,
    .norm_row_params = s_norm_row_params,
    .max_2x2 = s_max_2x2,
    .max_2x2_backward = s_max_2x2_backward,
    .softmax_rows = s_softmax_rows,
    .winograd_input = s_winograd_input,
    .winograd_output = s_winograd_output,
    .winograd_gradient = s_winograd_gradient,
    .winograd_weights = s_winograd_weights,
    .winograd_weights_back = s_winograd_weights_back,
    .lstm = s_lstm,
    .lstm_backward = s_lstm_backward,
    .gru = s_gru,
    .gru_backward = s_gru_backward,
    .max = s_max,
    .exp_sum = s_exp_sum,
    .dot = s_dot,
    .softmax_slope = s_softmax_slope,
    .sgd = s_sgd,
    .adam = s_adam,
    .adam_direction = s_adam_direction,
    .f32_to_f16 = s_f32_to_f16,
    .f16_to_f32 = s_f16_to_f32,
    .f32_to_bf16 = s_f32_to_bf16,
    .bf16_to_f32 = s_bf16_to_f32,
};
