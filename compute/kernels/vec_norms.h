/* SPDX-License-Identifier: MPL-2.0
 * Part of each build of vec.h: one row of a normalisation. Included by vec_loops.h after its reductions. */
#include "compute/kernels/vec_build.h"

static void s_norm_row (size_t n, const rk_vec_norm_t *how, const float *x, const float *weight, const float *bias,
                        float *y)
{
    const float a = how->a, b = how->b;
    if (!bias) {
        RK_IVDEP
        for (size_t i = 0; i < n; i++)
            y[i] = (a * x[i] + b) * weight[i];
        return;
    }
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = (a * x[i] + b) * weight[i] + bias[i];
}

/* n terms, of floats that start at lane `lane`. */
static inline void s_add_norm_terms (s_lanes_t *lanes, size_t lane, size_t n, const rk_vec_norm_t *how, const float *x,
                                     const float *weight, const float *dy)
{
    const float a = how->a, b = how->b;
    RK_IVDEP
    for (size_t l = 0; l < n; l++) {
        const float g = dy[l] * weight[l];
        lanes->first[lane + l] += g;
        lanes->second[lane + l] += g * (a * x[l] + b);
    }
}

static void s_norm_row_sums (size_t n, const rk_vec_norm_t *how, const float *x, const float *weight, const float *dy,
                             double out[2])
{
    s_lanes_t lanes = {.n = 0};
    out[0] = out[1] = 0;
    for (size_t i = 0; i < n; i += LANES) {
        const size_t run = n - i < LANES ? n - i : LANES;
        if (run == LANES)
            s_add_norm_terms (&lanes, 0, LANES, how, x + i, weight + i, dy + i);
        else
            s_add_norm_terms (&lanes, 0, run, how, x + i, weight + i, dy + i);
        lanes.n += run;
        if (lanes.n >= 4096)
            s_empty (&lanes, out);
    }
    s_empty (&lanes, out);
}

static void s_norm_row_backward (size_t n, const rk_vec_norm_t *how, const float *x, const float *weight,
                                 const float *dy, float *dx)
{
    const float a = how->a, b = how->b, first = how->mean_g, second = how->mean_gx;
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        dx[i] = a * ((dy[i] * weight[i] - first) - (a * x[i] + b) * second);
}

static void s_norm_row_params (size_t n, const rk_vec_norm_t *how, const float *x, const float *dy, float *dweight,
                               float *dbias)
{
    const float a = how->a, b = how->b;
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        dweight[i] = dweight[i] + dy[i] * (a * x[i] + b);
    if (dbias)
        s_add (n, dbias, dy, dbias);
}
