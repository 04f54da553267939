/* SPDX-License-Identifier: MPL-2.0
 * y = x W' + b.   x: (N, I)   W: (O, I), as PyTorch stores it   b: (O)   y: (N, O)                    */
#include <math.h>

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
    if (layer->in_shape[0].n_dims != 1)
        return rk_error_set (err, RK_ESHAPE, "input %s has more than one dimension, flatten it first",
                             rk_shape_text (layer->in_shape[0], text));
    const size_t n_in = layer->in_elems[0], n_out = layer->config.channels;
    layer->shape = rk_shape_1 (n_out);
    const float bound = 1.0f / sqrtf ((float) n_in);
    layer->param[0] = (rk_param_spec_t) {"weight", {2, {n_out, n_in}}, true, RK_INIT_UNIFORM, bound};
    layer->param[1] = (rk_param_spec_t) {"bias", {1, {n_out}}, true, RK_INIT_UNIFORM, bound};
    layer->n_params = layer->config.bias ? 2 : 1;
    return RK_OK;
}

static void s_forward (const rk_layer_call_t *call)
{
    const size_t n_in = call->layer->in_elems[0], n_out = call->layer->elems;
    const rk_gemm_t product = {.tb = RK_T, .m = call->n, .n = n_out, .k = n_in, .a = call->x[0], .lda = n_in,
                           .b = rk_layer_param (call, 0), .ldb = n_in, .c = call->y, .ldc = n_out};
    rk_gemm_pool (call->pool, &product);
    if (call->layer->config.bias)
        rk_vec ()->bias_rows (call->n, n_out, rk_layer_param (call, 1), call->y);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const size_t n_in = call->layer->in_elems[0], n_out = call->layer->elems;
    const rk_gemm_t product = {.m = call->n, .n = n_in, .k = n_out, .a = call->gy, .lda = n_out,
                           .b = rk_layer_param (call, 0), .ldb = n_in, .c = call->gx[0], .ldc = n_in};
    rk_gemm_pool (call->pool, &product);
}

static void s_backward_params (const rk_layer_call_t *call)
{
    const size_t n_in = call->layer->in_elems[0], n_out = call->layer->elems;
    const rk_gemm_t product = {.ta = RK_T, .m = n_out, .n = n_in, .k = call->n, .a = call->gy, .lda = n_out,
                           .b = call->x[0], .ldb = n_in, .beta = 1, .c = rk_layer_grad (call, 0), .ldc = n_in};
    rk_gemm_pool (call->pool, &product);
    if (call->layer->config.bias)
        rk_vec ()->bias_rows_grad (call->n, n_out, call->gy, rk_layer_grad (call, 1));
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = 2 * (uint64_t) batch * layer->in_elems[0] * layer->elems;
    need->backward_flops = 2 * need->forward_flops;
}

const rk_layer_type_t rk_layer_linear = {
    .kind = "linear",
    .flags = RK_BACK_NEEDS_X,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .backward_params = s_backward_params,
    .need = s_need,
};
