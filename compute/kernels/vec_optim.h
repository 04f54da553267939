/* SPDX-License-Identifier: MPL-2.0
 * Optimisers' elementwise work. Part of compute/kernels/vec_loops.h.                             */
#include <math.h>

#include "compute/kernels/vec.h"
#include "compute/kernels/vec_build.h"

static void s_sgd_plain (const rk_vec_sgd_t *how, size_t n, const float *w, float *w_new, const float *g)
{
    float lr = how->lr, decay = how->weight_decay, scale = how->grad_scale;
    RK_IVDEP
    for (size_t i = 0; i < n; i++)
        w_new[i] = w[i] - lr * (scale * g[i] + decay * w[i]);
}

static void s_sgd (const rk_vec_sgd_t *how, size_t n, const float *w, float *w_new, const float *g, float *v)
{
    if (how->momentum == 0.0f) {
        s_sgd_plain (how, n, w, w_new, g);
        return;
    }
    float lr = how->lr, decay = how->weight_decay, scale = how->grad_scale, momentum = how->momentum;
    float ahead = how->nesterov ? 1.0f : 0.0f, along = how->nesterov ? momentum : 1.0f;
    RK_IVDEP
    for (size_t i = 0; i < n; i++) {
        float grad = scale * g[i] + decay * w[i];
        float velocity = momentum * v[i] + grad;
        v[i] = velocity;
        w_new[i] = w[i] - lr * (ahead * grad + along * velocity);
    }
}

/* The decay is part of the gradient, or shrinks the weight by itself; a kept share of 1 changes no bit. */
static void s_adam (const rk_vec_adam_t *how, size_t n, const float *w, float *w_new, const float *g, float *const mv[2])
{
    float b1 = how->beta1, b2 = how->beta2, scale = how->grad_scale;
    float decay = how->decoupled ? 0.0f : how->weight_decay, keep = how->decoupled ? 1.0f - how->lr * how->weight_decay : 1.0f;
    float step = how->lr / how->correct1, root = sqrtf (how->correct2), epsilon = how->epsilon;
    float *m = mv[0], *v = mv[1];
    RK_IVDEP
    for (size_t i = 0; i < n; i++) {
        float grad = scale * g[i] + decay * w[i];
        float mean = b1 * m[i] + (1.0f - b1) * grad;
        float square = b2 * v[i] + (1.0f - b2) * (grad * grad);
        m[i] = mean;
        v[i] = square;
        w_new[i] = keep * w[i] - step * (mean / (__builtin_sqrtf (square) / root + epsilon));
    }
}

static void s_adam_direction (const rk_vec_adam_t *how, size_t n, const float *w, const float *g, float *u, float *const mv[2])
{
    float b1 = how->beta1, b2 = how->beta2, decay = how->weight_decay, scale = how->grad_scale;
    float root = sqrtf (how->correct2), epsilon = how->epsilon, inverse = 1.0f / how->correct1;
    float *m = mv[0], *v = mv[1];
    RK_IVDEP
    for (size_t i = 0; i < n; i++) {
        float grad = scale * g[i];
        float mean = b1 * m[i] + (1.0f - b1) * grad;
        float square = b2 * v[i] + (1.0f - b2) * (grad * grad);
        m[i] = mean;
        v[i] = square;
        u[i] = inverse * mean / (__builtin_sqrtf (square) / root + epsilon) + decay * w[i];
    }
}
