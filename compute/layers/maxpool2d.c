/* SPDX-License-Identifier: MPL-2.0
 * Largest value of each window; the first of equals, as PyTorch. save: its place in the window, two
 * bytes per output, so that the input need not be kept.                                              */
#include <string.h>

#include "compute/kernels/vec.h"
#include "compute/layers/pool.h"

extern const rk_layer_type_t rk_layer_maxpool2d;

int rk_model_maxpool2d (rk_model_t *m, const char *name, int in, size_t kernel, size_t stride, size_t padding)
{
    const rk_layer_config_t config = {.kernel = kernel, .stride = stride, .padding = padding};
    return rk_model_append (m, &rk_layer_maxpool2d, name, 1, &in, config);
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    rk_err_t rc = rk_pool_infer (layer, err);
    if (!rc && layer->config.kernel > UINT8_MAX)
        return rk_error_set (err, RK_EINVAL, "kernel %zu is larger than %d", layer->config.kernel, UINT8_MAX);
    return rc;
}

/* One plane: y (oh, ow) and the index of each maximum from the window's first element, row-major in the
 * window as clipped at the borders.                                                                  */
static void s_plane (const rk_layer_t *layer, const float *x, float *y, uint16_t *place)
{
    const size_t h = layer->in_shape[0].dim[1], w = layer->in_shape[0].dim[2];
    const size_t out_h = layer->shape.dim[1], out_w = layer->shape.dim[2];
    for (size_t i = 0; i < out_h; i++) {
        const rk_window_t rows = rk_pool_window (&layer->config, i, h);
        for (size_t j = 0; j < out_w; j++, y++, place++) {
            const rk_window_t cols = rk_pool_window (&layer->config, j, w);
            const float *best = x + rows.begin * w + cols.begin;
            uint16_t best_place = 0, at = 0;
            for (size_t r = rows.begin; r < rows.end; r++)
                for (size_t c = cols.begin; c < cols.end; c++, at++)
                    if (x[r * w + c] > *best || x[r * w + c] != x[r * w + c]) {
                        best = x + r * w + c;
                        best_place = at;
                    }
            *y = *best;
            *place = best_place;
        }
    }
}

/* The usual case, 2 x 2 windows side by side: no window is clipped. */
static void s_plane_2x2 (const rk_layer_t *layer, const float *x, float *y, uint16_t *place)
{
    rk_vec ()->max_2x2 (layer->shape.dim[1], layer->shape.dim[2], x, layer->in_shape[0].dim[2], y, place);
}

static bool s_is_2x2 (const rk_layer_t *layer)
{
    return layer->config.kernel == 2 && layer->config.stride == 2 && layer->config.padding == 0;
}

static void s_forward (const rk_layer_call_t *call)
{
    const rk_layer_t *layer = call->layer;
    const size_t in_plane = layer->in_shape[0].dim[1] * layer->in_shape[0].dim[2];
    const size_t out_plane = layer->shape.dim[1] * layer->shape.dim[2], n_planes = call->n * layer->shape.dim[0];
    uint16_t *place = (uint16_t *) call->save + call->first * layer->elems;
    void (*plane) (const rk_layer_t *, const float *, float *, uint16_t *) = s_is_2x2 (layer) ? s_plane_2x2 : s_plane;
    for (size_t p = 0; p < n_planes; p++)
        plane (layer, call->x[0] + p * in_plane, call->y + p * out_plane, place + p * out_plane);
}

static void s_plane_back (const rk_layer_t *layer, const float *gy, const uint16_t *place, float *gx)
{
    const size_t h = layer->in_shape[0].dim[1], w = layer->in_shape[0].dim[2];
    const size_t out_h = layer->shape.dim[1], out_w = layer->shape.dim[2];
    memset (gx, 0, h * w * sizeof *gx);
    for (size_t i = 0; i < out_h; i++) {
        const rk_window_t rows = rk_pool_window (&layer->config, i, h);
        for (size_t j = 0; j < out_w; j++, gy++, place++) {
            const rk_window_t cols = rk_pool_window (&layer->config, j, w);
            const size_t width = cols.end - cols.begin;
            gx[(rows.begin + *place / width) * w + cols.begin + *place % width] += *gy;
        }
    }
}

static void s_plane_back_2x2 (const rk_layer_t *layer, const float *gy, const uint16_t *place, float *gx)
{
    const size_t h = layer->in_shape[0].dim[1], w = layer->in_shape[0].dim[2];
    if (h % 2 || w % 2)
        memset (gx, 0, h * w * sizeof *gx); /* the odd last row and column are in no window */
    rk_vec ()->max_2x2_backward (layer->shape.dim[1], layer->shape.dim[2], gy, place, gx, w);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const rk_layer_t *layer = call->layer;
    const size_t in_plane = layer->in_shape[0].dim[1] * layer->in_shape[0].dim[2];
    const size_t out_plane = layer->shape.dim[1] * layer->shape.dim[2], n_planes = call->n * layer->shape.dim[0];
    const uint16_t *place = (uint16_t *) call->save + call->first * layer->elems;
    void (*plane) (const rk_layer_t *, const float *, const uint16_t *, float *) =
        s_is_2x2 (layer) ? s_plane_back_2x2 : s_plane_back;
    for (size_t p = 0; p < n_planes; p++)
        plane (layer, call->gy + p * out_plane, place + p * out_plane, call->gx[0] + p * in_plane);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = (uint64_t) batch * layer->elems * layer->config.kernel * layer->config.kernel;
    need->backward_flops = (uint64_t) batch * layer->in_elems[0];
    need->save_bytes = batch * layer->elems * sizeof (uint16_t);
}

const rk_layer_type_t rk_layer_maxpool2d = {
    .kind = "maxpool2d",
    .flags = RK_BY_SAMPLE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
