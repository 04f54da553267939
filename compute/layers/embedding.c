/* SPDX-License-Identifier: MPL-2.0
 * y[s] = W[id[s]].   x: (S) token ids, exact integers as floats   W: (V, D)   y: (S, D). It is the first layer:
 * ids are checked as they enter the model, and a wire of 16-bit floats never carries them.            */
#include <string.h>

#include "compute/kernels/vec.h"
#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_embedding;

int rk_model_embedding (rk_model_t *m, const char *name, int in, size_t n_tokens, size_t width)
{
    return rk_model_append (m, &rk_layer_embedding, name, 1, &in, (rk_layer_config_t) {.rows = n_tokens, .channels = width});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    if (layer->in_shape[0].n_dims != 1)
        return rk_error_set (err, RK_ESHAPE, "input %s is not a sequence of token ids", rk_shape_text (layer->in_shape[0], text));
    if (layer->config.rows > RK_MAX_TOKENS)
        return rk_error_set (err, RK_EINVAL, "%zu tokens, floats count exactly to %d", layer->config.rows, RK_MAX_TOKENS);
    layer->shape = rk_shape_2 (layer->in_elems[0], layer->config.channels);
    layer->param[0] = (rk_param_spec_t) {"weight", {2, {layer->config.rows, layer->config.channels}}, true, RK_INIT_NORMAL, 1.0f};
    layer->n_params = 1;
    return RK_OK;
}

static rk_err_t s_check_input (const rk_layer_t *layer, size_t n, const void *x, rk_error_t *err)
{
    for (size_t i = 0; i < n * layer->in_elems[0]; i++) {
        float id;
        memcpy (&id, (const char *) x + i * sizeof id, sizeof id);
        if (!(id >= 0 && id < (float) layer->config.rows) || id != (float) (int32_t) id)
            return rk_error_set (err, RK_EINVAL, "layer %s: %g at position %zu of sample %zu is no token of 0..%zu", layer->name,
                                 (double) id, i % layer->in_elems[0], i / layer->in_elems[0], layer->config.rows - 1);
    }
    return RK_OK;
}

static void s_forward (const rk_layer_call_t *call)
{
    const size_t width = call->layer->config.channels, rows = call->n * call->layer->in_elems[0];
    const float *weight = rk_layer_param (call, 0);
    for (size_t i = 0; i < rows; i++)
        memcpy (call->y + i * width, weight + (size_t) call->x[0][i] * width, width * sizeof (float));
}

#define RUN 64 /* columns of a task: each adds its rows in their own order */

static void s_add_columns (void *arg, size_t task, size_t worker)
{
    const rk_layer_call_t *call = arg;
    const size_t width = call->layer->config.channels, rows = call->n * call->layer->in_elems[0];
    const size_t from = task * RUN, count = width - from < RUN ? width - from : RUN;
    float *grads = rk_layer_grad (call, 0) + from;
    for (size_t i = 0; i < rows; i++) {
        float *to = grads + (size_t) call->x[0][i] * width;
        rk_vec ()->add (count, to, call->gy + i * width + from, to);
    }
}

static void s_backward_params (const rk_layer_call_t *call)
{
    rk_layer_call_t copy = *call;
    rk_pool_run (call->pool, (call->layer->config.channels + RUN - 1) / RUN, s_add_columns, &copy);
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = need->backward_flops = (uint64_t) batch * layer->elems;
}

const rk_layer_type_t rk_layer_embedding = {
    .kind = "embedding",
    .flags = RK_BACK_NEEDS_X | RK_BY_SAMPLE,
    .infer = s_infer,
    .check_input = s_check_input,
    .forward = s_forward,
    .backward_params = s_backward_params,
    .need = s_need,
};
