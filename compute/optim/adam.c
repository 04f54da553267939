/* SPDX-License-Identifier: MPL-2.0
 * Adam (Kingma and Ba, 2015) as PyTorch defines it: weight decay is added to the gradient, epsilon to the
 * bias-corrected root.                                                                               */
#include <math.h>

#include "compute/optim.h"

static void s_step (const rk_optim_config_t *config, float lr, uint64_t t, float grad_scale, size_t n,
                    const float *w_old, float *w_new, const float *g, float *const *slots)
{
    const float beta1 = config->beta1, beta2 = config->beta2;
    const double correction1 = 1.0 - pow ((double) beta1, (double) t), correction2 = 1.0 - pow ((double) beta2, (double) t);
    const float step = (float) ((double) lr / correction1), root2 = (float) sqrt (correction2);
    float *m = slots[0], *v = slots[1];
    for (size_t i = 0; i < n; i++) {
        const float d = g[i] * grad_scale + config->weight_decay * w_old[i];
        m[i] = beta1 * m[i] + (1 - beta1) * d;
        v[i] = beta2 * v[i] + (1 - beta2) * d * d;
        w_new[i] = w_old[i] - step * m[i] / (sqrtf (v[i]) / root2 + config->epsilon);
    }
}

const rk_optim_t rk_optim_adam = {.name = "adam", .n_slots = 2, .step = s_step};
