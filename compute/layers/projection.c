/* SPDX-License-Identifier: MPL-2.0
 * y = x W' with W the table of an embedding: logits by tied weights (Press and Wolf, 2017).
 * x: (S, D)   W: (V, D), of the embedding   y: (S, V)                                                 */
#include "compute/blas.h"
#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_projection, rk_layer_embedding;

int rk_model_projection (rk_model_t *m, const char *name, int in, int embedding)
{
    rk_layer_config_t config = {.tied = -1};
    if (m && embedding > 0 && embedding <= rk_model_n_layers (m)) {
        const rk_layer_t *layer = rk_model_layer (m, embedding - 1);
        if (layer->type == &rk_layer_embedding)
            config = (rk_layer_config_t) {.tied = embedding - 1, .rows = layer->config.rows, .channels = layer->config.channels};
    }
    return rk_model_append (m, &rk_layer_projection, name, 1, &in, config);
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    const rk_shape_t in = layer->in_shape[0];
    if (layer->config.tied < 0)
        return rk_error_set (err, RK_EINVAL, "it is tied to no embedding");
    if (in.n_dims > 2 || in.dim[in.n_dims - 1] != layer->config.channels)
        return rk_error_set (err, RK_ESHAPE, "input %s, the embedding has %zu features", rk_shape_text (in, text),
                             layer->config.channels);
    layer->shape = in;
    layer->shape.dim[in.n_dims - 1] = layer->config.rows;
    return RK_OK;
}

static size_t s_rows (const rk_layer_call_t *call)
{
    return call->n * (call->layer->elems / call->layer->config.rows);
}

static void s_forward (const rk_layer_call_t *call)
{
    const size_t width = call->layer->config.channels, n_tokens = call->layer->config.rows, rows = s_rows (call);
    rk_gemm_pool (call->pool, &(rk_gemm_t) {.tb = RK_T, .m = rows, .n = n_tokens, .k = width, .a = call->x[0], .lda = width,
                                            .b = call->tied, .ldb = width, .c = call->y, .ldc = n_tokens});
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const size_t width = call->layer->config.channels, n_tokens = call->layer->config.rows, rows = s_rows (call);
    rk_gemm_pool (call->pool, &(rk_gemm_t) {.m = rows, .n = width, .k = n_tokens, .a = call->gy, .lda = n_tokens,
                                            .b = call->tied, .ldb = width, .c = call->gx[0], .ldc = width});
}

static void s_backward_params (const rk_layer_call_t *call)
{
    const size_t width = call->layer->config.channels, n_tokens = call->layer->config.rows, rows = s_rows (call);
    rk_gemm_pool (call->pool, &(rk_gemm_t) {.ta = RK_T, .m = n_tokens, .n = width, .k = rows, .a = call->gy, .lda = n_tokens,
                                            .b = call->x[0], .ldb = width, .beta = 1, .c = call->tied_grads, .ldc = width});
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = 2 * (uint64_t) batch * layer->config.channels * layer->elems;
    need->backward_flops = 2 * need->forward_flops;
}

const rk_layer_type_t rk_layer_projection = {
    .kind = "projection",
    .flags = RK_BACK_NEEDS_X | RK_IS_TIED,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .backward_params = s_backward_params,
    .need = s_need,
};
