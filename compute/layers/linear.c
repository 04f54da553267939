/* SPDX-License-Identifier: MPL-2.0
 * y = x W' + b.   x: (N, I)   W: (O, I), as PyTorch stores it   b: (O)   y: (N, O). A sample is one row, or
 * one per position: (S, I) -> (S, O).                                                                */
#include <math.h>
#include <string.h>

#include "compute/blas.h"
#include "compute/kernels/vec.h"
#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_linear;

int rk_model_linear (rk_model_t *m, const char *name, int in, size_t n_out, bool bias)
{
    return rk_model_append (m, &rk_layer_linear, name, 1, &in, (rk_layer_config_t) {.channels = n_out, .bias = bias});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    const rk_shape_t in = layer->in_shape[0];
    if (in.n_dims > 2)
        return rk_error_set (err, RK_ESHAPE, "input %s is neither a vector nor (positions, features), flatten it first",
                             rk_shape_text (in, text));
    const size_t n_in = in.dim[in.n_dims - 1], n_out = layer->config.channels;
    layer->shape = in.n_dims == 1 ? rk_shape_1 (n_out) : rk_shape_2 (in.dim[0], n_out);
    const float bound = 1.0f / sqrtf ((float) n_in);
    layer->param[0] = (rk_param_spec_t) {"weight", {2, {n_out, n_in}}, true, RK_INIT_UNIFORM, bound};
    layer->param[1] = (rk_param_spec_t) {"bias", {1, {n_out}}, true, RK_INIT_UNIFORM, bound};
    layer->n_params = layer->config.bias ? 2 : 1;
    return RK_OK;
}

/* Rows of a call: a sample has one, or one per position. */
static size_t s_rows (const rk_layer_call_t *call)
{
    return call->n * (call->layer->elems / call->layer->config.channels);
}

static size_t s_n_in (const rk_layer_t *layer)
{
    return layer->in_shape[0].dim[layer->in_shape[0].n_dims - 1];
}

static void s_forward (const rk_layer_call_t *call)
{
    const size_t n_in = s_n_in (call->layer), n_out = call->layer->config.channels, rows = s_rows (call);
    rk_gemm_pool (call->pool, &(rk_gemm_t) {.tb = RK_T, .m = rows, .n = n_out, .k = n_in, .a = call->x[0], .lda = n_in,
                                            .b = rk_layer_param (call, 0), .ldb = n_in, .c = call->y, .ldc = n_out});
    if (call->layer->config.bias)
        rk_vec ()->bias_rows (rows, n_out, rk_layer_param (call, 1), call->y);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const size_t n_in = s_n_in (call->layer), n_out = call->layer->config.channels, rows = s_rows (call);
    rk_gemm_pool (call->pool, &(rk_gemm_t) {.m = rows, .n = n_in, .k = n_out, .a = call->gy, .lda = n_out,
                                            .b = rk_layer_param (call, 0), .ldb = n_in, .c = call->gx[0], .ldc = n_in});
}

static void s_backward_params (const rk_layer_call_t *call)
{
    const size_t n_in = s_n_in (call->layer), n_out = call->layer->config.channels, rows = s_rows (call);
    rk_gemm_pool (call->pool, &(rk_gemm_t) {.ta = RK_T, .m = n_out, .n = n_in, .k = rows, .a = call->gy, .lda = n_out,
                                            .b = call->x[0], .ldb = n_in, .beta = call->fresh ? 0 : 1, .c = rk_layer_grad (call, 0),
                                            .ldc = n_in});
    if (call->layer->config.bias && call->fresh)
        memset (rk_layer_grad (call, 1), 0, n_out * sizeof (float));
    if (call->layer->config.bias)
        rk_vec ()->bias_rows_grad (rows, n_out, call->gy, rk_layer_grad (call, 1));
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = 2 * (uint64_t) batch * s_n_in (layer) * layer->elems;
    need->backward_flops = 2 * need->forward_flops;
}

const rk_layer_type_t rk_layer_linear = {
    .kind = "linear",
    .flags = RK_BACK_NEEDS_X | RK_SETS_GRADS,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .backward_params = s_backward_params,
    .need = s_need,
};
