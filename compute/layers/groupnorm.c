/* SPDX-License-Identifier: MPL-2.0
 * Normalisation of each group of channels of each sample (Wu and He, 2018), then weight and bias per channel.
 * x, y: (N, C, ...)   weight, bias: (C)
 * save, per sample: factor and offset of each group (2 G), then sum of dy and of dy xhat of each channel (2 C). */
#include <math.h>

#include "compute/kernels/vec.h"
#include "compute/layers/rownorm.h"

extern const rk_layer_type_t rk_layer_groupnorm;

enum { WEIGHT, BIAS };

int rk_model_groupnorm (rk_model_t *m, const char *name, int in, size_t groups, float epsilon)
{
    const rk_layer_config_t config = {.groups = groups, .epsilon = epsilon};
    return rk_model_append (m, &rk_layer_groupnorm, name, 1, &in, config);
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    layer->shape = layer->in_shape[0];
    const size_t n_channels = layer->shape.dim[0], groups = layer->config.groups;
    if (groups == 0 || n_channels % groups != 0)
        return rk_error_set (err, RK_ESHAPE, "%zu groups of an input %s: its %zu channels must be a multiple", groups,
                             rk_shape_text (layer->shape, text), n_channels);
    layer->param[WEIGHT] = (rk_param_spec_t) {"weight", rk_shape_1 (n_channels), true, RK_INIT_ONE, 0};
    layer->param[BIAS] = (rk_param_spec_t) {"bias", rk_shape_1 (n_channels), true, RK_INIT_ZERO, 0};
    layer->n_params = 2;
    return rk_norm_check_epsilon (layer, err);
}

static size_t s_save_floats (const rk_layer_t *layer)
{
    return 2 * layer->config.groups + 2 * layer->shape.dim[0];
}

/* A group of a sample: channels [c, c + n_channels), which begin at float `at` of the call's tensors. */
typedef struct {
    const rk_layer_call_t *call;
    size_t c, n_channels, plane, at;
    float *norm;   /* factor, offset */
    float *sums;   /* of its first channel */
} s_group_t;

static s_group_t s_group (const rk_layer_call_t *call, size_t i, size_t group)
{
    const rk_layer_t *layer = call->layer;
    s_group_t g = {.call = call, .n_channels = layer->shape.dim[0] / layer->config.groups,
                   .plane = layer->elems / layer->shape.dim[0]};
    float *save = (float *) call->save + (call->first + i) * s_save_floats (layer);
    g.c = group * g.n_channels;
    g.at = i * layer->elems + g.c * g.plane;
    g.norm = save + 2 * group;
    g.sums = save + 2 * layer->config.groups + 2 * g.c;
    return g;
}

static void s_forward_group (const s_group_t *g)
{
    const rk_layer_call_t *call = g->call;
    const float *x = call->x[0] + g->at, shift = x[0];
    const size_t n = g->n_channels * g->plane;
    double sums[2];
    rk_vec ()->moments ((rk_planes_t) {1, n, n}, x, shift, sums);
    const double mean = sums[0] / (double) n, variance = sums[1] / (double) n - mean * mean;
    const double factor = 1.0 / sqrt ((variance < 0 ? 0 : variance) + (double) call->layer->config.epsilon);
    g->norm[0] = (float) factor;
    g->norm[1] = (float) (-(mean + (double) shift) * factor);
    const rk_planes_t at = {1, g->plane, g->plane};
    for (size_t k = 0; k < g->n_channels; k++) {
        const float w = rk_layer_param (call, WEIGHT)[g->c + k], b = rk_layer_param (call, BIAS)[g->c + k];
        rk_vec ()->affine (at, w * g->norm[0], x + k * g->plane, w * g->norm[1] + b, call->y + g->at + k * g->plane);
    }
}

/* As in rownorm.c, with the sums of a group put together from those of its channels. */
static void s_backward_group (const s_group_t *g)
{
    const rk_layer_call_t *call = g->call;
    const float *x = call->x[0] + g->at, *gy = call->gy + g->at, *weight = rk_layer_param (call, WEIGHT) + g->c;
    const rk_planes_t at = {1, g->plane, g->plane};
    const double factor = (double) g->norm[0], mean = -(double) g->norm[1] / factor,
                 n = (double) (g->n_channels * g->plane);
    double all = 0, all_x = 0;
    for (size_t k = 0; k < g->n_channels; k++) {
        double sums[2];
        rk_vec ()->co_moments (at, gy + k * g->plane, x + k * g->plane, (float) mean, sums);
        g->sums[2 * k] = (float) sums[0];
        g->sums[2 * k + 1] = (float) (sums[1] * factor);
        all += (double) weight[k] * sums[0];
        all_x += (double) weight[k] * sums[1] * factor;
    }
    if (!call->gx[0])
        return;
    const double slope = -factor * factor * all_x / n, rest = -factor * all / n - slope * mean;
    for (size_t k = 0; k < g->n_channels; k++)
        rk_vec ()->affine2 (at, (float) ((double) weight[k] * factor), gy + k * g->plane, (float) slope,
                            x + k * g->plane, (float) rest, call->gx[0] + g->at + k * g->plane);
}

static void s_each (const rk_layer_call_t *call, void (*function) (const s_group_t *g))
{
    for (size_t i = 0; i < call->n; i++)
        for (size_t group = 0; group < call->layer->config.groups; group++) {
            const s_group_t g = s_group (call, i, group);
            function (&g);
        }
}

static void s_forward (const rk_layer_call_t *call)
{
    s_each (call, s_forward_group);
}

static void s_backward_input (const rk_layer_call_t *call)
{
    s_each (call, s_backward_group);
}

static void s_backward_params (const rk_layer_call_t *call)
{
    const rk_layer_t *layer = call->layer;
    for (size_t i = 0; i < call->n; i++) {
        const float *sums = (const float *) call->save + i * s_save_floats (layer) + 2 * layer->config.groups;
        for (size_t c = 0; c < layer->shape.dim[0]; c++) {
            rk_layer_grad (call, BIAS)[c] += sums[2 * c];
            rk_layer_grad (call, WEIGHT)[c] += sums[2 * c + 1];
        }
    }
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = 6 * (uint64_t) batch * layer->elems;
    need->backward_flops = 8 * (uint64_t) batch * layer->elems;
    need->save_bytes = batch * s_save_floats (layer) * sizeof (float);
}

const rk_layer_type_t rk_layer_groupnorm = {
    .kind = "groupnorm",
    .flags = RK_BACK_NEEDS_X | RK_MAY_OVERWRITE_GY | RK_PARAMS_FROM_SAVE | RK_BY_SAMPLE,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = s_backward_input,
    .backward_params = s_backward_params,
    .need = s_need,
};
