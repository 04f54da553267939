/* SPDX-License-Identifier: MPL-2.0
 * A range of one dimension; several of them with the same input take it apart.                       */
#include <string.h>

#include "compute/layers/axis.h"

extern const rk_layer_type_t rk_layer_split;

int rk_model_split (rk_model_t *m, const char *name, int in, int axis, size_t first, size_t count)
{
    const rk_layer_config_t config = {.axis = axis, .first = first, .channels = count};
    return rk_model_append (m, &rk_layer_split, name, 1, &in, config);
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    const rk_layer_config_t *c = &layer->config;
    layer->shape = layer->in_shape[0];
    if (c->axis < 0 || c->axis >= layer->shape.n_dims)
        return rk_error_set (err, RK_EINVAL, "dimension %d of an input %s", c->axis,
                             rk_shape_text (layer->shape, text));
    const size_t size = layer->shape.dim[c->axis];
    if (c->channels == 0 || c->first > size || c->channels > size - c->first)
        return rk_error_set (err, RK_ESHAPE, "%zu from %zu on of dimension %d of an input %s", c->channels, c->first,
                             c->axis, rk_shape_text (layer->shape, text));
    layer->shape.dim[c->axis] = c->channels;
    return RK_OK;
}

/* The range in rows of `row` floats: [at, at + run). */
typedef struct {
    size_t n_rows, row, at, run;
} s_range_t;

static s_range_t s_range (const rk_layer_call_t *call)
{
    const rk_layer_t *layer = call->layer;
    const int axis = layer->config.axis;
    const size_t after = rk_axis_after (layer->shape, axis);
    return (s_range_t){.n_rows = call->n * rk_axis_before (layer->shape, axis),
                       .row = layer->in_shape[0].dim[axis] * after,
                       .at = layer->config.first * after,
                       .run = layer->config.channels * after};
}

static void s_forward (const rk_layer_call_t *call)
{
    const s_range_t range = s_range (call);
    for (size_t r = 0; r < range.n_rows; r++)
        memcpy (call->y + r * range.run, call->x[0] + r * range.row + range.at, range.run * sizeof (float));
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const s_range_t range = s_range (call);
    float *gx = call->gx[0];
    memset (gx, 0, range.n_rows * range.row * sizeof *gx);
    for (size_t r = 0; r < range.n_rows; r++)
        memcpy (gx + r * range.row + range.at, call->gy + r * range.run, range.run * sizeof *gx);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = (uint64_t) batch * layer->elems;
    need->backward_flops = (uint64_t) batch * layer->in_elems[0];
}

const rk_layer_type_t rk_layer_split = {
    .kind = "split",
    .flags = RK_BY_SAMPLE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
