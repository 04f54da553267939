/* SPDX-License-Identifier: MPL-2.0
 * SGD as PyTorch defines it:   d = g + weight_decay w;   b = momentum b + d;
 * w -= lr (nesterov ? d + momentum b : b). PyTorch's buffer starts as the first d: ours starts as zero,
 * which gives the same b at t = 1.                                                                   */
#include "compute/kernels/vec.h"
#include "compute/optim.h"

static void s_step (const rk_optim_config_t *config, const rk_optim_range_t *range)
{
    const rk_vec_sgd_t how = {.lr = range->lr, .momentum = config->momentum, .weight_decay = config->weight_decay,
                              .grad_scale = range->grad_scale, .nesterov = config->nesterov};
    rk_vec ()->sgd (&how, range->n, range->w_old, range->w_new, range->g, range->slots[0]);
}

const rk_optim_t rk_optim_sgd = {.name = "sgd", .n_slots = 1, .step = s_step};
