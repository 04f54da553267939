/* SPDX-License-Identifier: MPL-2.0
 * Inputs one behind the other along one dimension, such as the channels of an inception or dense block. */
#include <string.h>

#include "compute/layers/axis.h"

extern const rk_layer_type_t rk_layer_concat;

int rk_model_concat (rk_model_t *m, const char *name, int n_in, const int *in, int axis)
{
    return rk_model_append (m, &rk_layer_concat, name, n_in, in, (rk_layer_config_t) {.axis = axis});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char a[RK_SHAPE_TEXT], b[RK_SHAPE_TEXT];
    const int axis = layer->config.axis;
    layer->shape = layer->in_shape[0];
    if (axis < 0 || axis >= layer->shape.n_dims)
        return rk_error_set (err, RK_EINVAL, "dimension %d of an input %s", axis, rk_shape_text (layer->shape, a));
    for (int k = 1; k < layer->n_in; k++) {
        rk_shape_t other = layer->in_shape[k];
        if (other.n_dims > axis)
            other.dim[axis] = layer->in_shape[0].dim[axis];
        if (!rk_shape_equal (other, layer->in_shape[0]))
            return rk_error_set (err, RK_ESHAPE, "inputs %s and %s differ outside dimension %d",
                                 rk_shape_text (layer->in_shape[0], a), rk_shape_text (layer->in_shape[k], b), axis);
        layer->shape.dim[axis] += layer->in_shape[k].dim[axis];
    }
    return RK_OK;
}

/* Floats of input k that lie together in the output. */
static size_t s_run (const rk_layer_t *layer, int k)
{
    return layer->in_shape[k].dim[layer->config.axis] * rk_axis_after (layer->shape, layer->config.axis);
}

static void s_forward (const rk_layer_call_t *call)
{
    const rk_layer_t *layer = call->layer;
    const size_t n_rows = call->n * rk_axis_before (layer->shape, layer->config.axis);
    const size_t row = layer->elems * call->n / n_rows;
    size_t at = 0;
    for (int k = 0; k < layer->n_in; k++) {
        const size_t run = s_run (layer, k);
        for (size_t r = 0; r < n_rows; r++)
            memcpy (call->y + r * row + at, call->x[k] + r * run, run * sizeof (float));
        at += run;
    }
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const rk_layer_t *layer = call->layer;
    const size_t n_rows = call->n * rk_axis_before (layer->shape, layer->config.axis);
    const size_t row = layer->elems * call->n / n_rows;
    size_t at = 0;
    for (int k = 0; k < layer->n_in; k++) {
        const size_t run = s_run (layer, k);
        for (size_t r = 0; call->gx[k] && r < n_rows; r++)
            memcpy (call->gx[k] + r * run, call->gy + r * row + at, run * sizeof (float));
        at += run;
    }
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = need->backward_flops = (uint64_t) batch * layer->elems;
}

const rk_layer_type_t rk_layer_concat = {
    .kind = "concat",
    .flags = RK_BY_SAMPLE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .need = s_need,
};
