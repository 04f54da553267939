/* SPDX-License-Identifier: MPL-2.0
 * y = tanh x. */
#include "compute/layers/activation.h"

extern const rk_layer_type_t rk_layer_tanh;

int rk_model_tanh (rk_model_t *m, const char *name, int in)
{
    return rk_model_append (m, &rk_layer_tanh, name, 1, &in, (rk_layer_config_t) {0});
}

static void s_forward (const rk_layer_call_t *call)
{
    rk_vec ()->tanh (rk_activation_n (call), call->x[0], call->y);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    rk_vec ()->tanh_backward (rk_activation_n (call), call->y, call->gy, call->gx[0]);
}

const rk_layer_type_t rk_layer_tanh = {
    .kind = "tanh",
    .flags = RK_ACTIVATION_BY_Y,
    .infer = rk_activation_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = rk_activation_need,
};
