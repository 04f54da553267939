/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/layers/activation.h"

rk_err_t rk_activation_infer (rk_layer_t *layer, rk_error_t *err)
{
    layer->shape = layer->in_shape[0];
    return RK_OK;
}

void rk_activation_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = need->backward_flops = 25 * (uint64_t) batch * layer->elems;
}
