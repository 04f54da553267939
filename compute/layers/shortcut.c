/* SPDX-License-Identifier: MPL-2.0
 * The parameter-free shortcut of CIFAR residual networks (He et al., 2016, option A): every stride-th row
 * and column, the new channels zero.                                                                  */
#include <string.h>

#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_shortcut;

int rk_model_shortcut (rk_model_t *m, const char *name, int in, size_t channels, size_t stride)
{
    const rk_layer_config_t config = {.channels = channels, .stride = stride};
    return rk_model_append (m, &rk_layer_shortcut, name, 1, &in, config);
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    const rk_shape_t x = layer->in_shape[0];
    const size_t stride = layer->config.stride;
    if (x.n_dims != 3)
        return rk_error_set (err, RK_ESHAPE, "input %s is not (channels, height, width)", rk_shape_text (x, text));
    if (stride == 0 || layer->config.channels < x.dim[0])
        return rk_error_set (err, RK_EINVAL, "stride %zu, %zu channels from %zu", stride, layer->config.channels,
                             x.dim[0]);
    layer->shape = rk_shape_3 (layer->config.channels, (x.dim[1] - 1) / stride + 1, (x.dim[2] - 1) / stride + 1);
    return RK_OK;
}

/* Floats of the copied channels of one output sample; the rest is zero. */
static size_t s_copied (const rk_layer_t *layer)
{
    return layer->in_shape[0].dim[0] * layer->shape.dim[1] * layer->shape.dim[2];
}

static void s_forward (const rk_layer_call_t *call)
{
    const rk_layer_t *layer = call->layer;
    const size_t h = layer->in_shape[0].dim[1], w = layer->in_shape[0].dim[2], stride = layer->config.stride;
    const size_t out_h = layer->shape.dim[1], out_w = layer->shape.dim[2], copied = s_copied (layer);
    for (size_t i = 0; i < call->n; i++) {
        const float *x = call->x[0] + i * layer->in_elems[0];
        float *y = call->y + i * layer->elems;
        for (size_t c = 0; c < layer->in_shape[0].dim[0]; c++)
            for (size_t r = 0; r < out_h; r++)
                for (size_t j = 0; j < out_w; j++)
                    *y++ = x[(c * h + r * stride) * w + j * stride];
        memset (y, 0, (layer->elems - copied) * sizeof *y);
    }
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const rk_layer_t *layer = call->layer;
    const size_t h = layer->in_shape[0].dim[1], w = layer->in_shape[0].dim[2], stride = layer->config.stride;
    const size_t out_h = layer->shape.dim[1], out_w = layer->shape.dim[2];
    memset (call->gx[0], 0, call->n * layer->in_elems[0] * sizeof (float));
    for (size_t i = 0; i < call->n; i++) {
        const float *gy = call->gy + i * layer->elems;
        float *gx = call->gx[0] + i * layer->in_elems[0];
        for (size_t c = 0; c < layer->in_shape[0].dim[0]; c++)
            for (size_t r = 0; r < out_h; r++)
                for (size_t j = 0; j < out_w; j++)
                    gx[(c * h + r * stride) * w + j * stride] = *gy++;
    }
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = (uint64_t) batch * layer->elems;
    need->backward_flops = (uint64_t) batch * layer->in_elems[0];
}

const rk_layer_type_t rk_layer_shortcut = {
    .kind = "shortcut",
    .flags = RK_BY_SAMPLE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
