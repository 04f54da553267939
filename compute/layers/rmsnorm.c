/* SPDX-License-Identifier: MPL-2.0
 * Each row over the root of its mean square, times weight (Zhang and Sennrich, 2019). */
#include "compute/layers/rownorm.h"

extern const rk_layer_type_t rk_layer_rmsnorm;

int rk_model_rmsnorm (rk_model_t *m, const char *name, int in, float epsilon)
{
    return rk_model_append (m, &rk_layer_rmsnorm, name, 1, &in, (rk_layer_config_t) {.epsilon = epsilon});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    return rk_rownorm_infer (layer, false, err);
}

static void s_forward (const rk_layer_call_t *call)
{
    rk_rownorm_forward (call, false);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    rk_rownorm_backward_input (call, false);
}

static void s_backward_params (const rk_layer_call_t *call)
{
    rk_rownorm_backward_params (call, false);
}

const rk_layer_type_t rk_layer_rmsnorm = {
    .kind = "rmsnorm",
    .flags = RK_ROWNORM_FLAGS,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .backward_params = s_backward_params,
    .need = rk_rownorm_need,
};
