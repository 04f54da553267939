/* SPDX-License-Identifier: MPL-2.0
 * SGD as PyTorch defines it: the buffer starts as the first gradient, not scaled by anything.
 *   d = g + weight_decay w;   b = d at t = 1, else momentum b + d;   w -= lr (nesterov ? d + momentum b : b) */
#include "compute/optim.h"

static void s_step (const rk_optim_config_t *config, float lr, uint64_t t, float grad_scale, size_t n,
                    const float *w_old, float *w_new, const float *g, float *const *slots)
{
    const float decay = config->weight_decay, momentum = config->momentum;
    if (momentum == 0) {
        for (size_t i = 0; i < n; i++)
            w_new[i] = w_old[i] - lr * (g[i] * grad_scale + decay * w_old[i]);
        return;
    }
    float *buffer = slots[0];
    /* At t = 1 the buffer is zero, so that momentum b + d is d without a special case. */
    if (config->nesterov)
        for (size_t i = 0; i < n; i++) {
            const float d = g[i] * grad_scale + decay * w_old[i];
            buffer[i] = momentum * buffer[i] + d;
            w_new[i] = w_old[i] - lr * (d + momentum * buffer[i]);
        }
    else
        for (size_t i = 0; i < n; i++) {
            buffer[i] = momentum * buffer[i] + (g[i] * grad_scale + decay * w_old[i]);
            w_new[i] = w_old[i] - lr * buffer[i];
        }
}

const rk_optim_t rk_optim_sgd = {.name = "sgd", .n_slots = 1, .step = s_step};
