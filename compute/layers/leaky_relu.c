/* SPDX-License-Identifier: MPL-2.0
 * y = x where x > 0, else slope x. With slope >= 0 the sign of y tells the slope.                    */
#include "compute/layers/activation.h"

extern const rk_layer_type_t rk_layer_leaky_relu;

int rk_model_leaky_relu (rk_model_t *m, const char *name, int in, float slope)
{
    return rk_model_append (m, &rk_layer_leaky_relu, name, 1, &in, (rk_layer_config_t) {.slope = slope});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    if (!(layer->config.slope >= 0 && layer->config.slope < 1))
        return rk_error_set (err, RK_EINVAL, "slope %g is not in [0, 1)", (double) layer->config.slope);
    return rk_activation_infer (layer, err);
}

static void s_forward (const rk_layer_call_t *call)
{
    rk_vec ()->leaky_relu (rk_activation_n (call), call->layer->config.slope, call->x[0], call->y);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    rk_vec ()->leaky_relu_backward (rk_activation_n (call), call->layer->config.slope, call->y, call->gy, call->gx[0]);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = need->backward_flops = (uint64_t) batch * layer->elems;
}

const rk_layer_type_t rk_layer_leaky_relu = {
    .kind = "leaky_relu",
    .flags = RK_ACTIVATION_BY_Y,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
