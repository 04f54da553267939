/* SPDX-License-Identifier: MPL-2.0
 * y[s] = x[s] + W[0]: the embedding of token types as BERT has it, for samples of one text. W: (types, D); the other
 * rows take part in nothing but checkpoints, which then fit a model for pairs of texts.               */
#include "compute/kernels/vec.h"
#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_segment;

int rk_model_segment (rk_model_t *m, const char *name, int in, size_t n_types)
{
    return rk_model_append (m, &rk_layer_segment, name, 1, &in, (rk_layer_config_t) {.rows = n_types});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    const rk_shape_t in = layer->in_shape[0];
    if (in.n_dims != 2)
        return rk_error_set (err, RK_ESHAPE, "input %s is not (positions, features)", rk_shape_text (in, text));
    layer->shape = in;
    layer->param[0] = (rk_param_spec_t) {"weight", {2, {layer->config.rows, in.dim[1]}}, true, RK_INIT_NORMAL, 1.0f};
    layer->n_params = 1;
    return RK_OK;
}

static void s_forward (const rk_layer_call_t *call)
{
    const rk_vec_t *vec = rk_vec ();
    const size_t width = call->layer->shape.dim[1], rows = call->n * call->layer->shape.dim[0];
    for (size_t i = 0; i < rows; i++)
        vec->add (width, call->x[0] + i * width, rk_layer_param (call, 0), call->y + i * width);
}

static void s_backward_params (const rk_layer_call_t *call)
{
    rk_vec ()->bias_rows_grad (call->n * call->layer->shape.dim[0], call->layer->shape.dim[1], call->gy, rk_layer_grad (call, 0));
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = need->backward_flops = (uint64_t) batch * layer->elems;
}

const rk_layer_type_t rk_layer_segment = {
    .kind = "segment",
    .flags = RK_PASSES_GRADIENT | RK_MAY_OVERWRITE_X | RK_BY_SAMPLE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_params = s_backward_params,
    .need = s_need,
};
