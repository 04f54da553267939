/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/training.h"

_Static_assert (RK_SETTINGS_MILESTONES == RK_LR_MAX_MILESTONES, "both rooms know the same number");

rk_optim_config_t rk_optim_config_of (const rk_settings_t *s)
{
    return (rk_optim_config_t) {.momentum = (float) s->train_momentum, .nesterov = s->train_nesterov,
                                .weight_decay = (float) s->train_weight_decay, .beta1 = (float) s->train_beta1,
                                .beta2 = (float) s->train_beta2, .epsilon = (float) s->train_epsilon,
                                .trust = (float) s->train_trust, .exempt = (rk_exempt_t) s->train_exempt};
}

rk_err_t rk_training_of (const rk_plan_t *plan, rk_training_t *out, rk_error_t *err)
{
    const rk_settings_t *s = &plan->settings;
    out->config = rk_optim_config_of (s);
    out->verdict = (rk_verdict_config_t) {.clip = s->train_clip, .loss_scale = s->train_loss_scale,
                                          .grow_every = s->train_loss_scale_every};
    out->lr = (rk_lr_t) {.name = s->train_schedule, .base = (float) s->train_lr, .warmup = s->train_warmup,
                         .total = s->run_passes * plan->minibatches_per_pass, .floor = (float) s->train_lr_floor,
                         .power = (float) s->train_lr_power, .step_every = s->train_step_every,
                         .step_gamma = (float) s->train_step_gamma};
    while (out->lr.n_milestones < RK_LR_MAX_MILESTONES && s->train_milestones[out->lr.n_milestones]) {
        out->lr.milestones[out->lr.n_milestones] = s->train_milestones[out->lr.n_milestones];
        out->lr.n_milestones++;
    }
    rk_err_t code = rk_optim_by_name (&out->optim, s->train_optimizer, &out->config, err);
    return code == RK_OK ? rk_lr_check (&out->lr, err) : code;
}

rk_data_options_t rk_data_options_of (const rk_settings_t *s)
{
    return (rk_data_options_t) {.path = s->data_path, .augment = s->data_augment, .n_classes = s->data_classes,
                                .no_header = !s->data_header, .label = s->data_label, .labels = s->data_labels,
                                .sequence = s->data_sequence, .vocabulary = s->data_vocabulary};
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
