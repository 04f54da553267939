/* SPDX-License-Identifier: MPL-2.0
 * Part of each build of vec.h: smooth activations and their slopes, on the exponential of vec_loops.h, which
 * includes this.                                                                                      */
#include "compute/kernels/vec_build.h"

/* 1 / (1 + e^-x) to about 2 ulp, without overflow: e of a negative number only. */
static inline float s_sigmoid_of (float x)
{
    const float e = s_exp (-__builtin_fabsf (x)), upper = 1.0f / (1.0f + e);
    return x < 0.0f ? e * upper : upper;
}

/* tanh to about 2 ulp: near zero by its odd series (Cephes' coefficients), else by the exponential. */
static inline float s_tanh_of (float x)
{
    const float size = __builtin_fabsf (x), square = x * x;
    float p = -5.70498872745e-3f;
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    const float near = x + x * (square * p);
    const float e = s_exp (-2.0f * size), far = (1.0f - e) / (1.0f + e);
    return size < 0.625f ? near : x < 0.0f ? -far : far;
}

/* The normal distribution below x, within 1.2e-7: its tail is e^(-x^2 / 2) t P(t) with t = 1 / (1 + 0.2828 |x|),
 * where P, of degree 8, was fitted to the scaled complementary error function on |x| < 14 (relative error 6.2e-8).
 * *bell = e^(-x^2 / 2).                                                                               */
static inline float s_normal_of (float x, float *bell)
{
    const float t = 1.0f / (1.0f + 0.282842712f * __builtin_fabsf (x)), e = s_exp (-0.5f * (x * x));
    float p = 0.0206304164f;
    p = p * t - 0.070178263f;
    p = p * t + 0.04203126125f;
    p = p * t + 0.0439402616f;
    p = p * t + 0.03990636165f;
    p = p * t + 0.096685044f;
    p = p * t + 0.1009466095f;
    p = p * t + 0.113221176f;
    p = p * t + 0.1128171365f;
    const float tail = e * (t * p);
    *bell = e;
    return x < 0.0f ? tail : 1.0f - tail;
}

static void s_sigmoid (size_t n, const float *x, float *y)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = s_sigmoid_of (x[i]);
}

static void s_sigmoid_backward (size_t n, const float *y, const float *dy, float *dx)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        dx[i] = dy[i] * (y[i] * (1.0f - y[i]));
}

static void s_tanh (size_t n, const float *x, float *y)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = s_tanh_of (x[i]);
}

static void s_tanh_backward (size_t n, const float *y, const float *dy, float *dx)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        dx[i] = dy[i] * (1.0f - y[i] * y[i]);
}

static void s_silu (size_t n, const float *x, float *y)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * s_sigmoid_of (x[i]);
}

static void s_silu_backward (size_t n, const float *x, const float *dy, float *dx)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++) {
        const float s = s_sigmoid_of (x[i]);
        dx[i] = dy[i] * (s + x[i] * (s * (1.0f - s)));
    }
}

static void s_gelu (size_t n, const float *x, float *y)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++) {
        float bell;
        y[i] = x[i] * s_normal_of (x[i], &bell);
    }
}

static void s_gelu_backward (size_t n, const float *x, const float *dy, float *dx)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++) {
        float bell;
        const float below = s_normal_of (x[i], &bell);
        dx[i] = dy[i] * (below + x[i] * (0.398942280f * bell)); /* 1 / sqrt (2 pi) */
    }
}

/* x (1 + tanh u) / 2 = x sigmoid (2 u) with u = sqrt (2 / pi) (x + 0.044715 x^3). */
static void s_gelu_tanh (size_t n, const float *x, float *y)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * s_sigmoid_of (x[i] * (1.59576912f + 0.0713548163f * (x[i] * x[i])));
}

static void s_gelu_tanh_backward (size_t n, const float *x, const float *dy, float *dx)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++) {
        const float square = x[i] * x[i], s = s_sigmoid_of (x[i] * (1.59576912f + 0.0713548163f * square));
        const float slope = 1.59576912f + 0.214064449f * square;
        dx[i] = dy[i] * (s + x[i] * (s * (1.0f - s)) * slope);
    }
}

static void s_leaky_relu (size_t n, float slope, const float *x, float *y)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] < 0.0f ? slope * x[i] : x[i];
}

static void s_leaky_relu_backward (size_t n, float slope, const float *y, const float *dy, float *dx)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++) {
        const float g = dy[i];
        dx[i] = y[i] > 0.0f ? g : slope * g;
    }
}
