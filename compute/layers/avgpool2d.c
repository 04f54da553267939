/* SPDX-License-Identifier: MPL-2.0
 * Mean of each window; padding counts as zeros, as PyTorch's default does.                           */
#include <string.h>

#include "compute/layers/pool.h"

extern const rk_layer_type_t rk_layer_avgpool2d;

int rk_model_avgpool2d (rk_model_t *m, const char *name, int in, size_t kernel, size_t stride, size_t padding)
{
    const rk_layer_config_t config = {.kernel = kernel, .stride = stride, .padding = padding};
    return rk_model_append (m, &rk_layer_avgpool2d, name, 1, &in, config);
}

static void s_plane (const rk_layer_t *layer, const float *x, float *y)
{
    const size_t h = layer->in_shape[0].dim[1], w = layer->in_shape[0].dim[2], kernel = layer->config.kernel;
    const float scale = 1.0f / (float) (kernel * kernel);
    for (size_t i = 0; i < layer->shape.dim[1]; i++) {
        const rk_window_t rows = rk_pool_window (&layer->config, i, h);
        for (size_t j = 0; j < layer->shape.dim[2]; j++) {
            const rk_window_t cols = rk_pool_window (&layer->config, j, w);
            float sum = 0;
            for (size_t r = rows.begin; r < rows.end; r++)
                for (size_t c = cols.begin; c < cols.end; c++)
                    sum += x[r * w + c];
            *y++ = sum * scale;
        }
    }
}

static void s_plane_back (const rk_layer_t *layer, const float *gy, float *gx)
{
    const size_t h = layer->in_shape[0].dim[1], w = layer->in_shape[0].dim[2], kernel = layer->config.kernel;
    const float scale = 1.0f / (float) (kernel * kernel);
    memset (gx, 0, h * w * sizeof *gx);
    for (size_t i = 0; i < layer->shape.dim[1]; i++) {
        const rk_window_t rows = rk_pool_window (&layer->config, i, h);
        for (size_t j = 0; j < layer->shape.dim[2]; j++) {
            const rk_window_t cols = rk_pool_window (&layer->config, j, w);
            const float share = *gy++ * scale;
            for (size_t r = rows.begin; r < rows.end; r++)
                for (size_t c = cols.begin; c < cols.end; c++)
                    gx[r * w + c] += share;
        }
    }
}

static void s_forward (const rk_layer_call_t *call)
{
    const rk_layer_t *layer = call->layer;
    const size_t in_plane = layer->in_shape[0].dim[1] * layer->in_shape[0].dim[2];
    const size_t out_plane = layer->shape.dim[1] * layer->shape.dim[2], n_planes = call->n * layer->shape.dim[0];
    for (size_t p = 0; p < n_planes; p++)
        s_plane (layer, call->x[0] + p * in_plane, call->y + p * out_plane);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const rk_layer_t *layer = call->layer;
    const size_t in_plane = layer->in_shape[0].dim[1] * layer->in_shape[0].dim[2];
    const size_t out_plane = layer->shape.dim[1] * layer->shape.dim[2], n_planes = call->n * layer->shape.dim[0];
    for (size_t p = 0; p < n_planes; p++)
        s_plane_back (layer, call->gy + p * out_plane, call->gx[0] + p * in_plane);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = (uint64_t) batch * layer->elems * layer->config.kernel * layer->config.kernel;
    need->backward_flops = need->forward_flops;
}

const rk_layer_type_t rk_layer_avgpool2d = {
    .kind = "avgpool2d",
    .flags = RK_BY_SAMPLE,
    .infer = rk_pool_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
