/* SPDX-License-Identifier: MPL-2.0
 * AdamW (Loshchilov and Hutter, 2019) as PyTorch defines it: Adam on the gradient alone; the weights decay by
 * lr weight_decay, untouched by the running means.                                                     */
#include "compute/optim/adam_how.h"

static void s_step (const rk_optim_config_t *config, const rk_optim_range_t *range)
{
    rk_vec_adam_t how = rk_optim_adam_how (config, range);
    how.decoupled = true;
    rk_vec ()->adam (&how, range->n, range->w_old, range->w_new, range->g, range->slots);
}

const rk_optim_t rk_optim_adamw = {.name = "adamw", .n_slots = 2, .check = rk_optim_adam_check, .step = s_step};
