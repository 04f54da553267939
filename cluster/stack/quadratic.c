/* SPDX-License-Identifier: MPL-2.0
 * The problem "quadratic": f (x) = 1/2 sum_c h_c (x_c - 1)^2, h_c = curvature (c + 1) / d, noise of known size. */
#include <string.h>

#include "cluster/stack/stack_parts.h"
#include "compute/arena.h"
#include "compute/rng.h"

#define PER_PASS 256

static double s_curvature (const rk_stack_t *self, size_t c)
{
    return self->config.quadratic.curvature * (double) (c + 1) / (double) self->config.quadratic.dimension;
}

static rk_err_t s_describe (rk_stack_t *self, rk_error_t *err)
{
    const rk_quadratic_t *q = &self->config.quadratic;
    if (q->dimension == 0 || q->dimension > RK_MAX_ELEMS || !(q->curvature >= 0) || !(q->noise >= 0))
        return rk_error_set (err, RK_EINVAL, "quadratic: dimension %u, curvature %g, noise %g; the first must be at least 1, "
                             "the others at least 0", q->dimension, q->curvature, q->noise);
    self->d = rk_flat_round (q->dimension);
    self->tensors[self->n_tensors++] = (rk_stack_tensor_t){"x", 0, q->dimension};
    self->ranges[self->n_ranges++] = (rk_stack_range_t){0, self->d};
    self->n_params = q->dimension;
    self->per_pass = PER_PASS;
    self->step_flops = 40.0 * q->dimension * self->config.n; /* nearly all of it the noise */
    return RK_OK;
}

static rk_err_t s_worker_bytes (const rk_stack_t *self, size_t *bytes, rk_error_t *err)
{
    *bytes = self->d * sizeof (float);
    return RK_OK;
}

static rk_err_t s_open_worker (rk_stack_t *self, rk_stack_worker_t *w, rk_error_t *err)
{
    w->x = rk_arena_memory (self->d * sizeof (float));
    return w->x ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for the noise");
}

static void s_init (rk_stack_t *self, float *row)
{
    memset (row, 0, self->d * sizeof *row);
}

static double s_value (const rk_stack_t *self, const float *flat)
{
    double sum = 0;
    for (size_t c = 0; c < self->config.quadratic.dimension; c++)
        sum += 0.5 * s_curvature (self, c) * ((double) flat[c] - 1) * ((double) flat[c] - 1);
    return sum;
}

static rk_err_t s_gradient (rk_stack_t *self, rk_stack_worker_t *w, uint64_t f, const float *flat, float *stats,
                            rk_loss_t *loss, rk_error_t *err)
{
    const size_t d = self->config.quadratic.dimension;
    rk_rng_normal (self->config.seed, rk_rng_stream (RK_RNG_NOISE, f), 0, d, 0.0f, (float) self->config.quadratic.noise, w->x);
    for (size_t c = 0; c < d; c++)
        w->grads[c] += (float) (s_curvature (self, c) * ((double) flat[c] - 1)) + w->x[c];
    *loss = (rk_loss_t){.loss_sum = s_value (self, flat), .n_counted = 1};
    return RK_OK;
}

static rk_err_t s_evaluate (rk_stack_t *self, const float *flat, size_t n_samples, rk_loss_t *loss, rk_error_t *err)
{
    *loss = (rk_loss_t){.loss_sum = s_value (self, flat), .n_counted = 1};
    return RK_OK;
}

double rk_stack_gradient_square (const rk_stack_t *self, const float *flat)
{
    double sum = 0;
    if (self->app != &rk_stack_quadratic)
        return 0;
    for (size_t c = 0; c < self->config.quadratic.dimension; c++) {
        const double g = s_curvature (self, c) * ((double) flat[c] - 1);
        sum += g * g;
    }
    return sum;
}

const rk_stack_app_t rk_stack_quadratic = {s_describe, s_worker_bytes, s_open_worker, s_init, s_gradient, s_evaluate};
