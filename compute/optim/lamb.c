/* SPDX-License-Identifier: MPL-2.0
 * LAMB (You et al., 2020, algorithm 2, with bias correction): per tensor, r = Adam's direction,
 * u = r + weight_decay w;   w -= lr (|w| / |u|) u. The ratio is 1 where a norm is zero and for exempt tensors. */
#include <math.h>

#include "compute/optim/adam_how.h"
#include "compute/optim/norm.h"

static void s_step (const rk_optim_config_t *config, const rk_optim_range_t *range)
{
    const rk_vec_adam_t how = rk_optim_adam_how (config, range);
    float *u = range->g;
    rk_vec ()->adam_direction (&how, range->n, range->w_old, range->g, u, range->slots);
    double ratio = 1;
    if (!range->exempt) {
        const double w_norm = sqrt (rk_sum_of_squares (range->n, range->w_old));
        const double u_norm = sqrt (rk_sum_of_squares (range->n, u));
        ratio = w_norm > 0 && u_norm > 0 ? w_norm / u_norm : 1;
    }
    rk_vec ()->sum_scaled (range->n, (float) (-(double) range->lr * ratio), u, range->w_old, range->w_new);
}

const rk_optim_t rk_optim_lamb = {.name = "lamb", .n_slots = 2, .per_tensor = true, .exempts = true,
                                  .check = rk_optim_adam_check, .step = s_step};
