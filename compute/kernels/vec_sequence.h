/* SPDX-License-Identifier: MPL-2.0
 * Part of each build of vec.h: recurrent cells and the rows of attention. Included by vec_loops.h after
 * vec_activations.h.                                                                                        */
#include "compute/kernels/vec_build.h"

static void s_lstm (size_t n, const rk_vec_cell_t *at)
{
    const size_t wide = at->stride;
    float *gates = at->gates, *c = at->state, *h = at->h;
    const float *bias = at->bias, *before = at->before;
    RK_IVDEP
    for (size_t j = 0; j < n; j++) {
        const float in = s_sigmoid_of (gates[j] + bias[j]), keep = s_sigmoid_of (gates[wide + j] + bias[wide + j]);
        const float new = s_tanh_of (gates[2 * wide + j] + bias[2 * wide + j]);
        const float out = s_sigmoid_of (gates[3 * wide + j] + bias[3 * wide + j]);
        const float state = keep * before[j] + in * new;
        gates[j] = in;
        gates[wide + j] = keep;
        gates[2 * wide + j] = new;
        gates[3 * wide + j] = out;
        c[j] = state;
        h[j] = out * s_tanh_of (state);
    }
}

static void s_lstm_backward (size_t n, const rk_vec_cell_t *at)
{
    const size_t wide = at->stride;
    float *gates = at->gates, *carry = at->carry;
    const float *c = at->state, *dh = at->h, *before = at->before;
    RK_IVDEP
    for (size_t j = 0; j < n; j++) {
        const float in = gates[j], keep = gates[wide + j], new = gates[2 * wide + j], out = gates[3 * wide + j];
        const float squashed = s_tanh_of (c[j]);
        const float dc = carry[j] + dh[j] * out * (1.0f - squashed * squashed);
        gates[j] = dc * new * (in * (1.0f - in));
        gates[wide + j] = dc * before[j] * (keep * (1.0f - keep));
        gates[2 * wide + j] = dc * in * (1.0f - new * new);
        gates[3 * wide + j] = dh[j] * squashed * (out * (1.0f - out));
        carry[j] = dc * keep;
    }
}

static void s_gru (size_t n, const rk_vec_cell_t *at)
{
    const size_t wide = at->stride;
    float *gates = at->gates, *h = at->h;
    const float *bias = at->bias, *before = at->before;
    RK_IVDEP
    for (size_t j = 0; j < n; j++) {
        const float reset = s_sigmoid_of (gates[j] + bias[j]), keep = s_sigmoid_of (gates[wide + j] + bias[wide + j]);
        const float hidden = gates[3 * wide + j] + bias[3 * wide + j];
        const float new = s_tanh_of (gates[2 * wide + j] + bias[2 * wide + j] + reset * hidden);
        gates[j] = reset;
        gates[wide + j] = keep;
        gates[2 * wide + j] = new;
        gates[3 * wide + j] = hidden;
        h[j] = new + keep * (before[j] - new);
    }
}

static void s_gru_backward (size_t n, const rk_vec_cell_t *at)
{
    const size_t wide = at->stride;
    float *gates = at->gates, *carry = at->carry;
    const float *before = at->before, *dy = at->h;
    RK_IVDEP
    for (size_t j = 0; j < n; j++) {
        const float reset = gates[j], keep = gates[wide + j], new = gates[2 * wide + j], hidden = gates[3 * wide + j];
        const float dh = dy[j] + carry[j];
        const float dnew = dh * (1.0f - keep) * (1.0f - new * new);
        gates[j] = dnew * hidden * (reset * (1.0f - reset));
        gates[wide + j] = dh * (before[j] - new) * (keep * (1.0f - keep));
        gates[2 * wide + j] = dnew;
        gates[3 * wide + j] = dnew * reset;
        carry[j] = dh * keep;
    }
}

static float s_max (size_t n, const float *x)
{
    float lane[16];
    for (size_t l = 0; l < 16; l++)
        lane[l] = x[0];
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t l = 0; l < 16; l++)
            lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
    for (; i < n; i++)
        lane[0] = x[i] > lane[0] ? x[i] : lane[0];
    for (size_t half = 8; half; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
    return lane[0];
}

/* Sixteen lanes, whatever the vector width; added pairwise, halves first. */
static inline float s_fold_lanes (float lane[16])
{
    for (size_t half = 8; half; half /= 2)
        for (size_t l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

static float s_exp_sum (size_t n, float scale, float shift, const float *x, float *y)
{
    float lane[16] = {0};
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = s_exp (scale * x[i] - shift);
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t l = 0; l < 16; l++)
            lane[l] += y[i + l];
    for (; i < n; i++)
        lane[i % 16] += y[i];
    return s_fold_lanes (lane);
}

static float s_dot (size_t n, const float *a, const float *b)
{
    float lane[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t l = 0; l < 16; l++)
            lane[l] += a[i + l] * b[i + l];
    for (; i < n; i++)
        lane[i % 16] += a[i] * b[i];
    return s_fold_lanes (lane);
}

static void s_softmax_slope (size_t n, float scale, const float *p, float mean, float *dp)
{
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        dp[i] = scale * (p[i] * (dp[i] - mean));
}
