/* SPDX-License-Identifier: MPL-2.0
 * Two-dimensional convolution, any stride and padding; in groups, with dilation and with oblong kernels by way of
 * compute/kernels/conv_grouped.h, all others by the faster conv.h.
 * x: (N, C, H, W)   W: (O, C / groups, K, K_w)   b: (O)   y: (N, O, H', W'),
 * H' = (H + 2 padding - (K - 1) dilation - 1) / stride + 1                                            */
#include <math.h>

#include "compute/kernels/conv_grouped.h"
#include "compute/kernels/vec.h"
#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_conv2d;

int rk_model_conv2d (rk_model_t *m, const char *name, int in, rk_conv2d_t conv)
{
    const rk_layer_config_t config = {.conv2d = conv, .channels = conv.channels, .bias = conv.bias};
    return rk_model_append (m, &rk_layer_conv2d, name, 1, &in, config);
}

static rk_conv_shape_t s_plain_shape (const rk_layer_t *layer)
{
    const rk_conv2d_t *c = &layer->config.conv2d;
    const size_t *x = layer->in_shape[0].dim;
    return (rk_conv_shape_t) {.c_in = x[0], .h = x[1], .w = x[2], .c_out = c->channels, .kernel = c->kernel,
                              .stride = c->stride, .padding = c->padding};
}

static rk_conv_grouped_t s_grouped_shape (const rk_layer_t *layer)
{
    const rk_conv2d_t *c = &layer->config.conv2d;
    const size_t *x = layer->in_shape[0].dim;
    return (rk_conv_grouped_t){.c_in = x[0],
                               .h = x[1],
                               .w = x[2],
                               .c_out = c->channels,
                               .groups = c->groups,
                               .kernel_h = c->kernel,
                               .kernel_w = c->kernel_w,
                               .stride = c->stride,
                               .padding_h = c->padding,
                               .padding_w = c->padding_w,
                               .dilation = c->dilation};
}

static bool s_is_plain (const rk_layer_t *layer)
{
    const rk_conv2d_t *c = &layer->config.conv2d;
    return c->groups == 1 && c->dilation == 1 && c->kernel == c->kernel_w && c->padding == c->padding_w;
}

static void s_complete (rk_conv2d_t *c)
{
    c->groups = c->groups ? c->groups : 1;
    c->dilation = c->dilation ? c->dilation : 1;
    if (c->kernel_w == 0) {
        c->kernel_w = c->kernel;
        c->padding_w = c->padding;
    }
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    if (layer->in_shape[0].n_dims != 3)
        return rk_error_set (err, RK_ESHAPE, "input %s is not (channels, height, width)",
                             rk_shape_text (layer->in_shape[0], text));
    s_complete (&layer->config.conv2d);
    const rk_conv_shape_t plain = s_plain_shape (layer);
    const rk_conv_grouped_t shape = s_grouped_shape (layer);
    rk_err_t rc = s_is_plain (layer) ? rk_conv_check (&plain, err) : rk_conv_grouped_check (&shape, err);
    if (rc)
        return rc;
    layer->shape = rk_shape_3 (shape.c_out, rk_conv_grouped_out_h (&shape), rk_conv_grouped_out_w (&shape));
    const rk_shape_t weight = {4, {shape.c_out, shape.c_in / shape.groups, shape.kernel_h, shape.kernel_w}};
    const float bound = 1.0f / sqrtf ((float) (weight.dim[1] * weight.dim[2] * weight.dim[3]));
    layer->param[0] = (rk_param_spec_t) {"weight", weight, true, RK_INIT_UNIFORM, bound};
    layer->param[1] = (rk_param_spec_t) {"bias", {1, {shape.c_out}}, true, RK_INIT_UNIFORM, bound};
    layer->n_params = layer->config.bias ? 2 : 1;
    return RK_OK;
}

static void s_forward (const rk_layer_call_t *call)
{
    const rk_conv_shape_t plain = s_plain_shape (call->layer);
    const rk_conv_grouped_t shape = s_grouped_shape (call->layer);
    const rk_conv_work_t work = {.pool = call->pool, .scratch = call->work};
    const float *bias = call->layer->config.bias ? rk_layer_param (call, 1) : NULL;
    if (s_is_plain (call->layer))
        rk_conv_forward (&plain, call->n, call->x[0], rk_layer_param (call, 0), bias, call->y, &work);
    else
        rk_conv_grouped_forward (&shape, call->n, call->x[0], rk_layer_param (call, 0), bias, call->y, &work);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    const rk_conv_shape_t plain = s_plain_shape (call->layer);
    const rk_conv_grouped_t shape = s_grouped_shape (call->layer);
    const rk_conv_work_t work = {.pool = call->pool, .scratch = call->work};
    if (s_is_plain (call->layer))
        rk_conv_backward_input (&plain, call->n, call->gy, rk_layer_param (call, 0), call->gx[0], &work);
    else
        rk_conv_grouped_backward_input (&shape, call->n, call->gy, rk_layer_param (call, 0), call->gx[0], &work);
}

static void s_backward_params (const rk_layer_call_t *call)
{
    const rk_conv_shape_t plain = s_plain_shape (call->layer);
    const rk_conv_grouped_t shape = s_grouped_shape (call->layer);
    const rk_conv_work_t work = {.pool = call->pool, .scratch = call->work};
    if (s_is_plain (call->layer))
        rk_conv_backward_weight (&plain, call->n, call->x[0], call->gy, rk_layer_grad (call, 0), &work);
    else
        rk_conv_grouped_backward_weight (&shape, call->n, call->x[0], call->gy, rk_layer_grad (call, 0), &work);
    if (call->layer->config.bias)
        rk_vec ()->bias_planes_grad (call->n, shape.c_out, call->layer->elems / shape.c_out, call->gy,
                                     rk_layer_grad (call, 1));
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    const rk_conv_shape_t plain = s_plain_shape (layer);
    const rk_conv_grouped_t shape = s_grouped_shape (layer);
    const size_t *weight = layer->param[0].shape.dim;
    need->forward_flops = 2 * (uint64_t) batch * layer->elems * weight[1] * weight[2] * weight[3];
    need->backward_flops = 2 * need->forward_flops;
    need->work_bytes = (s_is_plain (layer) ? rk_conv_scratch (&plain, need->n_threads)
                                           : rk_conv_grouped_scratch (&shape, need->n_threads)) * sizeof (float);
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
