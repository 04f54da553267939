/* SPDX-License-Identifier: MPL-2.0
 * Adam (Kingma and Ba, 2015) as PyTorch defines it: weight decay is added to the gradient, epsilon to the
 * bias-corrected root.                                                                               */
#include <math.h>

#include "compute/kernels/vec.h"
#include "compute/optim.h"

static void s_step (const rk_optim_config_t *config, float lr, uint64_t t, float grad_scale, size_t n,
                    const float *w_old, float *w_new, const float *g, float *const *slots)
{
    /* In double: 1 - beta^t loses all its digits in float when beta is 0.999 and t is 1. */
    const rk_vec_adam_t how = {.lr = lr, .beta1 = config->beta1, .beta2 = config->beta2, .epsilon = config->epsilon,
                               .weight_decay = config->weight_decay, .grad_scale = grad_scale,
                               .correct1 = (float) (1.0 - pow ((double) config->beta1, (double) t)),
                               .correct2 = (float) (1.0 - pow ((double) config->beta2, (double) t))};
    rk_vec ()->adam (&how, n, w_old, w_new, g, slots);
}

const rk_optim_t rk_optim_adam = {.name = "adam", .n_slots = 2, .step = s_step};
