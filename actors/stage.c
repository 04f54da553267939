/* SPDX-License-Identifier: MPL-2.0
 * The class of a stage: which message goes where. */
#include "actors/stage_parts.h"

static rk_handler_fn *const s_on[RK_N_MSG] = {
    [RK_MSG_ACTIVATION] = rk_stage_on_activation,
    [RK_MSG_GRADIENT] = rk_stage_on_gradient,
    [RK_MSG_CREDIT] = rk_stage_on_credit,
    [RK_MSG_NORM] = rk_stage_on_norm,
    [RK_MSG_VERDICT] = rk_stage_on_verdict,
    [RK_MSG_SUSPECT] = rk_stage_on_suspect,
    [RK_MSG_MEAN] = rk_stage_on_mean,
    [RK_MSG_TIED] = rk_stage_on_tied,
    [RK_MSG_HANDOVER_REQUEST] = rk_stage_on_handover_request,
    [RK_MSG_HANDOVER] = rk_stage_on_handover,
    [RK_MSG_ROUND_CLOSED] = rk_stage_on_round_closed,
    [RK_MSG_ROUND_APPLIED] = rk_stage_on_round_applied,
    [RK_MSG_ROUND_COMMITTED] = rk_stage_on_round_committed,
    [RK_MSG_SAVE_REQUEST] = rk_stage_on_save_request,
    [RK_MSG_STATUS_REQUEST] = rk_stage_on_status_request,
    [RK_MSG_STOP] = rk_stage_on_stop,
};

static const rk_command_t s_commands[] = {{"RETIRE", rk_stage_retire}, {NULL, NULL}};

static const rk_actor_class_t s_class = {
    .kind = RK_ACTOR_STAGE,
    .self_size = sizeof (rk_stage_t),
    .open = rk_stage_open,
    .close = rk_stage_close,
    .linger = rk_stage_linger,
    .work = rk_stage_work,
    .on = s_on,
    .commands = s_commands,
};

rk_err_t rk_stage_new (rk_actor_t **actor_p, const rk_stage_config_t *config, rk_error_t *err)
{
    const rk_actor_plumbing_t plumbing = {
        .bind = config->bind,
        .identity = config->identity,
        .coordinator = config->coordinator,
        .observer = config->observer,
        .node = config->node,
        .view = config->plan->view,
        .max_message_bytes = rk_stage_max_frame (config->plan, config->model, config->node),
    };
    return rk_actor_start (actor_p, &s_class, &plumbing, config, err);
}
