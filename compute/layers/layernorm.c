/* SPDX-License-Identifier: MPL-2.0
 * Each row less its mean, over its deviation, times weight plus bias (Ba et al., 2016). */
#include "compute/layers/rownorm.h"

extern const rk_layer_type_t rk_layer_layernorm;

int rk_model_layernorm (rk_model_t *m, const char *name, int in, float epsilon)
{
    return rk_model_append (m, &rk_layer_layernorm, name, 1, &in, (rk_layer_config_t) {.epsilon = epsilon});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    return rk_rownorm_infer (layer, true, err);
}

static void s_forward (const rk_layer_call_t *call)
{
    rk_rownorm_forward (call, true);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    rk_rownorm_backward_input (call, true);
}

static void s_backward_params (const rk_layer_call_t *call)
{
    rk_rownorm_backward_params (call, true);
}

const rk_layer_type_t rk_layer_layernorm = {
    .kind = "layernorm",
    .flags = RK_ROWNORM_FLAGS,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .backward_params = s_backward_params,
    .need = rk_rownorm_need,
};
