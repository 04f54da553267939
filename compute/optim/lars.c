/* SPDX-License-Identifier: MPL-2.0
 * LARS (You et al., 2017, algorithm 1): per tensor, local = trust |w| / (|g| + weight_decay |w| + epsilon);
 * v = momentum v + lr local (g + weight_decay w);   w -= v. local is 1 where a norm is zero and for exempt tensors. */
#include <math.h>

#include "compute/kernels/vec.h"
#include "compute/optim.h"
#include "compute/optim/norm.h"

static rk_err_t s_check (const rk_optim_config_t *c, rk_error_t *err)
{
    if (!(c->trust > 0 && isfinite (c->trust)))
        return rk_error_set (err, RK_EINVAL, "trust %g is not above 0", (double) c->trust);
    if (!(c->epsilon >= 0 && isfinite (c->epsilon)))
        return rk_error_set (err, RK_EINVAL, "epsilon %g is negative", (double) c->epsilon);
    if (c->nesterov)
        return rk_error_set (err, RK_EINVAL, "nesterov is for sgd only");
    return RK_OK;
}

static double s_local (const rk_optim_config_t *config, const rk_optim_range_t *range)
{
    const double w_norm = sqrt (rk_sum_of_squares (range->n, range->w_old));
    const double g_norm = sqrt (rk_sum_of_squares (range->n, range->g)) * fabs ((double) range->grad_scale);
    if (!(w_norm > 0 && g_norm > 0))
        return 1;
    return (double) config->trust * w_norm /
           (g_norm + (double) config->weight_decay * w_norm + (double) config->epsilon);
}

/* SGD's loop with the local rate in front of the gradient instead of the velocity. */
static void s_step (const rk_optim_config_t *config, const rk_optim_range_t *range)
{
    const double rate = (double) range->lr * (range->exempt ? 1 : s_local (config, range));
    const rk_vec_sgd_t how = {.lr = 1, .momentum = config->momentum,
                              .weight_decay = (float) (rate * (double) config->weight_decay),
                              .grad_scale = (float) (rate * (double) range->grad_scale)};
    rk_vec ()->sgd (&how, range->n, range->w_old, range->w_new, range->g, range->slots[0]);
}

const rk_optim_t rk_optim_lars = {.name = "lars", .n_slots = 1, .per_tensor = true, .exempts = true, .check = s_check,
                                  .step = s_step};
