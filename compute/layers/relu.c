/* SPDX-License-Identifier: MPL-2.0
 * y = max (x, 0), element by element; not-a-number stays what it is.                                 */
#include "compute/kernels/vec.h"
#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_relu;

int rk_model_relu (rk_model_t *m, const char *name, int in)
{
    return rk_model_append (m, &rk_layer_relu, name, 1, &in, (rk_layer_config_t) {0});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    layer->shape = layer->in_shape[0];
    return RK_OK;
}

static void s_forward (const rk_layer_call_t *call)
{
    rk_vec ()->relu (call->n * call->layer->elems, call->x[0], call->y);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    rk_vec ()->relu_backward (call->n * call->layer->elems, call->y, call->gy, call->gx[0]);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = need->backward_flops = (uint64_t) batch * layer->elems;
}

const rk_layer_type_t rk_layer_relu = {
    .kind = "relu",
    .flags = RK_BACK_NEEDS_Y | RK_MAY_OVERWRITE_X | RK_MAY_OVERWRITE_GY | RK_BY_SAMPLE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
