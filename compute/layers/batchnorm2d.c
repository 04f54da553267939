/* SPDX-License-Identifier: MPL-2.0
 * Batch normalisation per channel as PyTorch defines it (epsilon 1e-5, momentum 0.1, biased variance for
 * the batch, unbiased for the running one).   x, y: (N, C, H, W)   weight, bias, statistics: (C)
 * save: mean, 1 / deviation, sum of dy, sum of dy (x - mean), each (C).                               */
#include <math.h>

#include "compute/kernels/vec.h"
#include "compute/layer.h"

#define EPSILON 1e-5
#define MOMENTUM 0.1

enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR };

typedef struct {
    float *mean, *inverse, *sum_dy, *sum_dyx;
} s_save_t;

extern const rk_layer_type_t rk_layer_batchnorm2d;

int rk_model_batchnorm2d (rk_model_t *m, const char *name, int in)
{
    return rk_model_append (m, &rk_layer_batchnorm2d, name, 1, &in, (rk_layer_config_t) {0});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    if (layer->in_shape[0].n_dims != 3)
        return rk_error_set (err, RK_ESHAPE, "input %s is not (channels, height, width)",
                             rk_shape_text (layer->in_shape[0], text));
    layer->shape = layer->in_shape[0];
    const rk_shape_t c = rk_shape_1 (layer->shape.dim[0]);
    layer->param[WEIGHT] = (rk_param_spec_t) {"weight", c, true, RK_INIT_ONE, 0};
    layer->param[BIAS] = (rk_param_spec_t) {"bias", c, true, RK_INIT_ZERO, 0};
    layer->param[RUNNING_MEAN] = (rk_param_spec_t) {"running_mean", c, false, RK_INIT_ZERO, 0};
    layer->param[RUNNING_VAR] = (rk_param_spec_t) {"running_var", c, false, RK_INIT_ONE, 0};
    layer->n_params = 4;
    return RK_OK;
}

static s_save_t s_save (const rk_layer_call_t *call)
{
    const size_t n_channels = call->layer->shape.dim[0];
    float *save = call->save;
    return (s_save_t) {save, save + n_channels, save + 2 * n_channels, save + 3 * n_channels};
}

/* A channel of the minibatch. */
static rk_planes_t s_planes (const rk_layer_call_t *call)
{
    return (rk_planes_t) {call->n, call->layer->shape.dim[1] * call->layer->shape.dim[2], call->layer->elems};
}

static double s_count (const rk_layer_call_t *call)
{
    return (double) call->n * (double) s_planes (call).size;
}

/* Mean and biased variance of channel c over the minibatch. Shifted by one of its values, so that a large
 * mean does not eat the digits of the variance.                                                      */
static void s_moments (const rk_layer_call_t *call, size_t c, double *mean, double *variance)
{
    const rk_planes_t at = s_planes (call);
    const float *x = call->x[0] + c * at.size, shift = x[0];
    double sums[2];
    rk_vec ()->moments (at, x, shift, sums);
    const double count = s_count (call), offset = sums[0] / count;
    *mean = offset + (double) shift;
    *variance = sums[1] / count - offset * offset;
    if (*variance < 0)
        *variance = 0;
}

static void s_move (const rk_layer_call_t *call, size_t c, double mean, double variance)
{
    if (!call->stats)
        return;
    const double count = s_count (call);
    float *running_mean = call->stats + call->layer->offset[RUNNING_MEAN] + c;
    float *running_var = call->stats + call->layer->offset[RUNNING_VAR] + c;
    const double unbiased = count > 1 ? variance * count / (count - 1) : variance;
    *running_mean = (float) ((1 - MOMENTUM) * (double) *running_mean + MOMENTUM * mean);
    *running_var = (float) ((1 - MOMENTUM) * (double) *running_var + MOMENTUM * unbiased);
}

/* One channel: channels do not know each other, so a pool takes them one by one. */
static void s_forward_channel (void *arg, size_t c, size_t worker)
{
    const rk_layer_call_t *call = arg;
    const rk_planes_t at = s_planes (call);
    const s_save_t save = s_save (call);
    double mean, variance;
    if (call->mode == RK_MODE_TRAIN) {
        s_moments (call, c, &mean, &variance);
        s_move (call, c, mean, variance);
    }
    else {
        const float *buffers = call->stats ? call->stats : call->params;
        mean = (double) buffers[call->layer->offset[RUNNING_MEAN] + c];
        variance = (double) buffers[call->layer->offset[RUNNING_VAR] + c];
    }
    save.mean[c] = (float) mean;
    save.inverse[c] = (float) (1.0 / sqrt (variance + EPSILON));
    const float a = rk_layer_param (call, WEIGHT)[c] * save.inverse[c];
    const float b = rk_layer_param (call, BIAS)[c] - save.mean[c] * a;
    rk_vec ()->affine (at, a, call->x[0] + c * at.size, b, call->y + c * at.size);
}

static void s_forward (const rk_layer_call_t *call)
{
    rk_layer_call_t own = *call;
    rk_pool_run (call->pool, call->layer->shape.dim[0], s_forward_channel, &own);
}

/* dx = weight inverse (dy - mean (dy) - xhat mean (dy xhat)), as one affine function of dy and x. */
static void s_backward_channel (void *arg, size_t c, size_t worker)
{
    const rk_layer_call_t *call = arg;
    const rk_planes_t at = s_planes (call);
    const s_save_t save = s_save (call);
    const float *gy = call->gy + c * at.size, *x = call->x[0] + c * at.size;
    double sums[2];
    rk_vec ()->co_moments (at, gy, x, save.mean[c], sums);
    save.sum_dy[c] = (float) sums[0];
    save.sum_dyx[c] = (float) sums[1];
    if (!call->gx[0])
        return;
    const double count = s_count (call), inverse = (double) save.inverse[c];
    const double a = (double) rk_layer_param (call, WEIGHT)[c] * inverse;
    const double b = -a * inverse * inverse * sums[1] / count;
    const float shift = (float) (-a * sums[0] / count - b * (double) save.mean[c]);
    rk_vec ()->affine2 (at, (float) a, gy, (float) b, x, shift, call->gx[0] + c * at.size);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    rk_layer_call_t own = *call;
    rk_pool_run (call->pool, call->layer->shape.dim[0], s_backward_channel, &own);
}

static void s_backward_params (const rk_layer_call_t *call)
{
    const s_save_t save = s_save (call);
    for (size_t c = 0; c < call->layer->shape.dim[0]; c++) {
        rk_layer_grad (call, WEIGHT)[c] += save.sum_dyx[c] * save.inverse[c];
        rk_layer_grad (call, BIAS)[c] += save.sum_dy[c];
    }
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = 6 * (uint64_t) batch * layer->elems;
    need->backward_flops = 8 * (uint64_t) batch * layer->elems;
    need->save_bytes = 4 * layer->shape.dim[0] * sizeof (float);
}

const rk_layer_type_t rk_layer_batchnorm2d = {
    .kind = "batchnorm2d",
    .flags = RK_BACK_NEEDS_X | RK_MAY_OVERWRITE_GY | RK_PARAMS_FROM_SAVE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .backward_params = s_backward_params,
    .need = s_need,
};
