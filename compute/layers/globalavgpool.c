/* SPDX-License-Identifier: MPL-2.0
 * Mean of each channel.   x: (N, C, H, W)   y: (N, C)                                                 */
#include "compute/kernels/vec.h"
#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_globalavgpool;

int rk_model_globalavgpool (rk_model_t *m, const char *name, int in)
{
    return rk_model_append (m, &rk_layer_globalavgpool, name, 1, &in, (rk_layer_config_t) {0});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    if (layer->in_shape[0].n_dims != 3)
        return rk_error_set (err, RK_ESHAPE, "input %s is not (channels, height, width)",
                             rk_shape_text (layer->in_shape[0], text));
    layer->shape = rk_shape_1 (layer->in_shape[0].dim[0]);
    return RK_OK;
}

static void s_forward (const rk_layer_call_t *call)
{
    const size_t n_planes = call->n * call->layer->elems, plane = call->layer->in_elems[0] / call->layer->elems;
    for (size_t p = 0; p < n_planes; p++)
        call->y[p] = (float) (rk_vec ()->sum (plane, call->x[0] + p * plane) / (double) plane);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const size_t n_planes = call->n * call->layer->elems, plane = call->layer->in_elems[0] / call->layer->elems;
    for (size_t p = 0; p < n_planes; p++) {
        const float share = call->gy[p] / (float) plane;
        for (size_t i = 0; i < plane; i++)
            call->gx[0][p * plane + i] = share;
    }
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = need->backward_flops = (uint64_t) batch * layer->in_elems[0];
}

const rk_layer_type_t rk_layer_globalavgpool = {
    .kind = "globalavgpool",
    .flags = RK_BY_SAMPLE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
