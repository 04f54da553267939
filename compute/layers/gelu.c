/* SPDX-License-Identifier: MPL-2.0
 * y = x Phi (x), the share of a normal distribution below x (Hendrycks and Gimpel, 2016), or its approximation
 * x (1 + tanh (sqrt (2 / pi) (x + 0.044715 x^3))) / 2, which GPT-2 was trained with.                 */
#include "compute/layers/activation.h"

extern const rk_layer_type_t rk_layer_gelu;

int rk_model_gelu (rk_model_t *m, const char *name, int in, rk_gelu_t form)
{
    return rk_model_append (m, &rk_layer_gelu, name, 1, &in, (rk_layer_config_t) {.gelu = form});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    if (layer->config.gelu != RK_GELU_ERF && layer->config.gelu != RK_GELU_TANH)
        return rk_error_set (err, RK_EINVAL, "form %d, 0 (erf) and 1 (tanh) are known", (int) layer->config.gelu);
    return rk_activation_infer (layer, err);
}

static void s_forward (const rk_layer_call_t *call)
{
    const rk_vec_t *v = rk_vec ();
    (call->layer->config.gelu == RK_GELU_ERF ? v->gelu : v->gelu_tanh) (rk_activation_n (call), call->x[0], call->y);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const rk_vec_t *v = rk_vec ();
    (call->layer->config.gelu == RK_GELU_ERF ? v->gelu_backward : v->gelu_tanh_backward) (
        rk_activation_n (call), call->x[0], call->gy, call->gx[0]);
}

const rk_layer_type_t rk_layer_gelu = {
    .kind = "gelu",
    .flags = RK_ACTIVATION_BY_X,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = rk_activation_need,
};
