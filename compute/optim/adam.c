/* SPDX-License-Identifier: MPL-2.0
 * Adam (Kingma and Ba, 2015) as PyTorch defines it: weight decay is added to the gradient, epsilon to the
 * bias-corrected root.                                                                               */
#include <math.h>

#include "compute/optim/adam_how.h"

rk_vec_adam_t rk_optim_adam_how (const rk_optim_config_t *config, const rk_optim_range_t *range)
{
    /* In double: 1 - beta^t loses all its digits in float when beta is 0.999 and t is 1. */
    return (rk_vec_adam_t) {.lr = range->lr, .beta1 = config->beta1, .beta2 = config->beta2, .epsilon = config->epsilon,
                            .weight_decay = config->weight_decay, .grad_scale = range->grad_scale,
                            .correct1 = (float) (1.0 - pow ((double) config->beta1, (double) range->t)),
                            .correct2 = (float) (1.0 - pow ((double) config->beta2, (double) range->t))};
}

rk_err_t rk_optim_adam_check (const rk_optim_config_t *c, rk_error_t *err)
{
    if (!(c->beta1 >= 0 && c->beta1 < 1) || !(c->beta2 >= 0 && c->beta2 < 1))
        return rk_error_set (err, RK_EINVAL, "beta1 %g and beta2 %g must be in [0, 1)", (double) c->beta1,
                             (double) c->beta2);
    if (!(c->epsilon > 0 && isfinite (c->epsilon)))
        return rk_error_set (err, RK_EINVAL, "epsilon %g is not above 0", (double) c->epsilon);
    return RK_OK;
}

static void s_step (const rk_optim_config_t *config, const rk_optim_range_t *range)
{
    const rk_vec_adam_t how = rk_optim_adam_how (config, range);
    rk_vec ()->adam (&how, range->n, range->w_old, range->w_new, range->g, range->slots);
}

const rk_optim_t rk_optim_adam = {.name = "adam", .n_slots = 2, .check = rk_optim_adam_check, .step = s_step};
