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

/* One product of a call, cut for the pool: along the rows of C at multiples of RK_GEMM_ROWS, or along its
 * columns; every element of C is summed over k in the same order either way.                        */
typedef struct {
    rk_trans_t ta, tb;
    size_t m, n, k;
    const float *a, *b;
    size_t lda, ldb;
    float beta;
    float *c;
    size_t ldc;
    bool by_rows;
} s_product_t;

#define RUN (2 * RK_GEMM_ROWS)

static void s_part (void *arg, size_t task, size_t worker)
{
    const s_product_t *p = arg;
    const size_t at = task * RUN, whole = p->by_rows ? p->m : p->n;
    const size_t run = whole - at < RUN ? whole - at : RUN;
    if (p->by_rows)
        rk_gemm (p->ta, p->tb, run, p->n, p->k, 1, p->a + at * (p->ta ? 1 : p->lda), p->lda, p->b, p->ldb, p->beta,
                 p->c + at * p->ldc, p->ldc);
    else
        rk_gemm (p->ta, p->tb, p->m, run, p->k, 1, p->a, p->lda, p->b + at * (p->tb ? p->ldb : 1), p->ldb, p->beta,
                 p->c + at, p->ldc);
}

static void s_multiply (const rk_layer_call_t *call, s_product_t *p)
{
    if (call->pool)
        rk_pool_run (call->pool, ((p->by_rows ? p->m : p->n) + RUN - 1) / RUN, s_part, p);
    else
        rk_gemm (p->ta, p->tb, p->m, p->n, p->k, 1, p->a, p->lda, p->b, p->ldb, p->beta, p->c, p->ldc);
}

static void s_forward (const rk_layer_call_t *call)
{
    const size_t n_in = call->layer->in_elems[0], n_out = call->layer->elems;
    s_product_t product = {.tb = RK_T, .m = call->n, .n = n_out, .k = n_in, .a = call->x[0], .lda = n_in,
                           .b = rk_layer_param (call, 0), .ldb = n_in, .c = call->y, .ldc = n_out};
    s_multiply (call, &product);
    if (call->layer->config.bias)
        rk_vec ()->bias_rows (call->n, n_out, rk_layer_param (call, 1), call->y);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const size_t n_in = call->layer->in_elems[0], n_out = call->layer->elems;
    s_product_t product = {.m = call->n, .n = n_in, .k = n_out, .a = call->gy, .lda = n_out,
                           .b = rk_layer_param (call, 0), .ldb = n_in, .c = call->gx[0], .ldc = n_in};
    s_multiply (call, &product);
}

static void s_backward_params (const rk_layer_call_t *call)
{
    const size_t n_in = call->layer->in_elems[0], n_out = call->layer->elems;
    s_product_t product = {.ta = RK_T, .m = n_out, .n = n_in, .k = call->n, .a = call->gy, .lda = n_out,
                           .b = call->x[0], .ldb = n_in, .beta = 1, .c = rk_layer_grad (call, 0), .ldc = n_in,
                           .by_rows = true};
    s_multiply (call, &product);
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
