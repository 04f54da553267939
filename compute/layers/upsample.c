/* SPDX-License-Identifier: MPL-2.0
 * Every pixel becomes a square of factor x factor (nearest neighbour).   x: (N, C, H, W)   y: (N, C, H f, W f) */
#include <string.h>

#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_upsample;

int rk_model_upsample (rk_model_t *m, const char *name, int in, size_t factor)
{
    return rk_model_append (m, &rk_layer_upsample, name, 1, &in, (rk_layer_config_t) {.stride = factor});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    const rk_shape_t x = layer->in_shape[0];
    const size_t factor = layer->config.stride;
    if (x.n_dims != 3)
        return rk_error_set (err, RK_ESHAPE, "input %s is not (channels, height, width)", rk_shape_text (x, text));
    if (factor == 0 || factor > RK_MAX_ELEMS)
        return rk_error_set (err, RK_EINVAL, "factor %zu", factor);
    layer->shape = rk_shape_3 (x.dim[0], x.dim[1] * factor, x.dim[2] * factor);
    return RK_OK;
}

static void s_forward (const rk_layer_call_t *call)
{
    const size_t f = call->layer->config.stride, w = call->layer->in_shape[0].dim[2];
    const size_t n_rows = call->n * call->layer->in_elems[0] / w;
    for (size_t r = 0; r < n_rows; r++) {
        const float *x = call->x[0] + r * w;
        float *y = call->y + r * f * w * f;
        for (size_t i = 0; i < w * f; i++)
            y[i] = x[i / f];
        for (size_t copy = 1; copy < f; copy++)
            memcpy (y + copy * w * f, y, w * f * sizeof *y);
    }
}

/* Sums of squares, row by row. */
static void s_backward_input (const rk_layer_call_t *call)
{
    const size_t f = call->layer->config.stride, w = call->layer->in_shape[0].dim[2];
    const size_t n_rows = call->n * call->layer->in_elems[0] / w;
    memset (call->gx[0], 0, n_rows * w * sizeof (float));
    for (size_t r = 0; r < n_rows * f; r++) {
        const float *gy = call->gy + r * w * f;
        float *gx = call->gx[0] + r / f * w;
        for (size_t c = 0; c < w; c++)
            for (size_t i = 0; i < f; i++)
                gx[c] += gy[c * f + i];
    }
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = need->backward_flops = (uint64_t) batch * layer->elems;
}

const rk_layer_type_t rk_layer_upsample = {
    .kind = "upsample",
    .flags = RK_BY_SAMPLE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
