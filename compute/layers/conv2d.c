/* SPDX-License-Identifier: MPL-2.0
 * Two-dimensional convolution, any stride and padding.
 * x: (N, C, H, W)   W: (O, C, K, K)   b: (O)   y: (N, O, H', W'), H' = (H + 2 padding - K) / stride + 1 */
#include <math.h>

#include "compute/kernels/conv.h"
#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_conv2d;

int rk_model_conv2d (rk_model_t *m, const char *name, int in, rk_conv2d_t conv)
{
    const rk_layer_config_t config = {.channels = conv.channels, .kernel = conv.kernel, .stride = conv.stride,
                                      .padding = conv.padding, .bias = conv.bias};
    return rk_model_append (m, &rk_layer_conv2d, name, 1, &in, config);
}

static rk_conv_shape_t s_shape (const rk_layer_t *layer)
{
    const rk_layer_config_t *c = &layer->config;
    const size_t *x = layer->in_shape[0].dim;
    return (rk_conv_shape_t) {.c_in = x[0], .h = x[1], .w = x[2], .c_out = c->channels, .kernel = c->kernel,
                              .stride = c->stride, .padding = c->padding};
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    if (layer->in_shape[0].n_dims != 3)
        return rk_error_set (err, RK_ESHAPE, "input %s is not (channels, height, width)",
                             rk_shape_text (layer->in_shape[0], text));
    const rk_conv_shape_t shape = s_shape (layer);
    rk_err_t rc = rk_conv_check (&shape, err);
    if (rc)
        return rc;
    const size_t k = shape.kernel;
    layer->shape = rk_shape_3 (shape.c_out, rk_conv_out_h (&shape), rk_conv_out_w (&shape));
    const float bound = 1.0f / sqrtf ((float) (shape.c_in * k * k));
    layer->param[0] = (rk_param_spec_t) {"weight", {4, {shape.c_out, shape.c_in, k, k}}, true, RK_INIT_UNIFORM, bound};
    layer->param[1] = (rk_param_spec_t) {"bias", {1, {shape.c_out}}, true, RK_INIT_UNIFORM, bound};
    layer->n_params = layer->config.bias ? 2 : 1;
    return RK_OK;
}

static void s_forward (const rk_layer_call_t *call)
{
    const rk_conv_shape_t shape = s_shape (call->layer);
    const rk_conv_work_t work = {.pool = call->pool, .scratch = call->work};
    rk_conv_forward (&shape, call->n, call->x[0], rk_layer_param (call, 0),
                     call->layer->config.bias ? rk_layer_param (call, 1) : NULL, call->y, &work);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const rk_conv_shape_t shape = s_shape (call->layer);
    const rk_conv_work_t work = {.pool = call->pool, .scratch = call->work};
    rk_conv_backward_input (&shape, call->n, call->gy, rk_layer_param (call, 0), call->gx[0], &work);
}

static void s_backward_params (const rk_layer_call_t *call)
{
    const rk_conv_shape_t shape = s_shape (call->layer);
    const rk_conv_work_t work = {.pool = call->pool, .scratch = call->work};
    rk_conv_backward_weight (&shape, call->n, call->x[0], call->gy, rk_layer_grad (call, 0), &work);
    if (call->layer->config.bias)
        rk_conv_backward_bias (&shape, call->n, call->gy, rk_layer_grad (call, 1));
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    const rk_conv_shape_t shape = s_shape (layer);
    need->forward_flops = 2 * (uint64_t) batch * layer->elems * shape.c_in * shape.kernel * shape.kernel;
    need->backward_flops = 2 * need->forward_flops;
    need->work_bytes = rk_conv_scratch (&shape, need->n_threads) * sizeof (float);
}

const rk_layer_type_t rk_layer_conv2d = {
    .kind = "conv2d",
    .flags = RK_BACK_NEEDS_X,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .backward_params = s_backward_params,
    .need = s_need,
};
