/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/training.h"

#define ADAM_BETA1 0.9f /* as published and as everybody's default */
#define ADAM_BETA2 0.999f
#define ADAM_EPSILON 1e-8f

rk_err_t rk_training_of (const rk_plan_t *plan, rk_training_t *out, rk_error_t *err)
{
    const rk_settings_t *s = &plan->settings;
    out->config = (rk_optim_config_t) {.momentum = (float) s->train_momentum, .nesterov = s->train_nesterov,
                                       .weight_decay = (float) s->train_weight_decay, .beta1 = ADAM_BETA1,
                                       .beta2 = ADAM_BETA2, .epsilon = ADAM_EPSILON};
    out->lr = (rk_lr_t) {.name = s->train_schedule, .base = (float) s->train_lr, .warmup = s->train_warmup,
                         .total = s->run_passes * plan->minibatches_per_pass, .step_every = s->train_step_every,
                         .step_gamma = (float) s->train_step_gamma};
    rk_err_t code = rk_optim_by_name (&out->optim, s->train_optimizer, &out->config, err);
    return code == RK_OK ? rk_lr_check (&out->lr, err) : code;
}

static uint32_t s_find_node (const rk_plan_t *plan, uint32_t node)
{
    uint32_t idx = 0;
    while (idx < plan->n_nodes && plan->nodes[idx] != node)
        idx++;
    return idx;
}

static uint32_t s_n_sharing (const rk_plan_t *plan, uint32_t idx)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        n += plan->node_hosts[i] == plan->node_hosts[idx];
    return n;
}

uint32_t rk_kernel_threads (const rk_plan_t *plan, uint32_t node)
{
    uint32_t idx = s_find_node (plan, node);
    if (idx == plan->n_nodes)
        return 1;
    uint32_t budget = plan->node_cores[idx], asked = plan->settings.run_threads;
    if (asked && asked < budget)
        budget = asked;
    uint32_t n = budget / s_n_sharing (plan, idx);
    return n > 1 ? n : 1;
}

double rk_declared_wait (const rk_plan_t *plan, uint32_t node)
{
    uint32_t idx = s_find_node (plan, node);
    if (idx == plan->n_nodes || plan->node_speed_ppm[idx] == 0 || plan->node_speed_ppm[idx] >= 1000000)
        return 0;
    uint32_t sharing = s_n_sharing (plan, idx);
    double share = plan->node_cores[idx] ? (double) sharing / plan->node_cores[idx] : 1;
    return (1e6 / plan->node_speed_ppm[idx] - 1) * (share > 1 ? share : 1);
}
