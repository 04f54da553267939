/* SPDX-License-Identifier: MPL-2.0
 * Batch normalisation per channel as PyTorch defines it (epsilon 1e-5, momentum 0.1, biased variance for
 * the batch, unbiased for the running one).   x, y: (N, C, plane)   weight, bias, statistics: (C)
 * save: mean, 1 / deviation, sum of dy, sum of dy (x - mean), each (C).
 * A plane of one value is turned first, (C, N), so that a channel lies in one piece.                 */
#include "compute/layers/batchnorm.h"

#include <math.h>

#include "compute/kernels/sets.h"
#include "compute/kernels/vec.h"
#include "compute/slice.h"

#define EPSILON 1e-5

enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR };

typedef struct {
    float *mean, *inverse, *sum_dy, *sum_dyx;
} s_save_t;

void rk_batchnorm_infer (rk_layer_t *layer)
{
    layer->shape = layer->in_shape[0];
    const rk_shape_t c = rk_shape_1 (layer->shape.dim[0]);
    layer->param[WEIGHT] = (rk_param_spec_t) {"weight", c, true, RK_INIT_ONE, 0};
    layer->param[BIAS] = (rk_param_spec_t) {"bias", c, true, RK_INIT_ZERO, 0};
    layer->param[RUNNING_MEAN] = (rk_param_spec_t) {"running_mean", c, false, RK_INIT_ZERO, 0};
    layer->param[RUNNING_VAR] = (rk_param_spec_t) {"running_var", c, false, RK_INIT_ONE, 0};
    layer->n_params = 4;
}

static s_save_t s_save (const rk_layer_call_t *call)
{
    const size_t n_channels = call->layer->shape.dim[0];
    float *save = call->save;
    return (s_save_t) {save, save + n_channels, save + 2 * n_channels, save + 3 * n_channels};
}

static size_t s_plane (const rk_layer_t *layer)
{
    return layer->elems / layer->shape.dim[0];
}

/* The call as its channels see it: the first floats of two channels are planes.size apart in all tensors. */
typedef struct {
    const rk_layer_call_t *call;
    rk_planes_t planes;
    const float *x, *gy;
    float *y, *gx;
} s_job_t;

static double s_count (const s_job_t *job)
{
    return (double) job->planes.n * (double) job->planes.size;
}

/* (rows, cols) of a tensor as (cols, rows) at `to`. */
static float *s_turn (size_t rows, size_t cols, const float *from, float *to)
{
    rk_kernel_set ()->tiles->transpose (rows, cols, from, cols, to, rows);
    return to;
}

static s_job_t s_job (const rk_layer_call_t *call)
{
    const rk_layer_t *layer = call->layer;
    s_job_t job = {.call = call, .x = call->x[0], .gy = call->gy, .y = call->y, .gx = call->gx[0]};
    job.planes = (rk_planes_t) {call->n, s_plane (layer), layer->elems};
    if (job.planes.size > 1 || call->n < 2)
        return job;
    float *work = call->work;
    const size_t n = call->n, c = layer->elems;
    job.planes = (rk_planes_t) {1, n, n};
    job.x = job.y = s_turn (n, c, call->x[0], work);
    if (call->gy)
        job.gy = s_turn (n, c, call->gy, work + n * c);
    if (job.gx)
        job.gx = work + n * c;
    return job;
}

/* What a turned job wrote goes where the call wants it. */
static void s_turn_back (const s_job_t *job, const float *from, float *to)
{
    if (from && from != to)
        s_turn (job->call->layer->elems, job->call->n, from, to);
}

/* Mean and biased variance of channel c over the minibatch. Shifted by one of its values, so that a large
 * mean does not eat the digits of the variance.                                                      */
static void s_moments (const s_job_t *job, size_t c, double *mean, double *variance)
{
    const float *x = job->x + c * job->planes.size, shift = x[0];
    double sums[2];
    rk_vec ()->moments (job->planes, x, shift, sums);
    const double count = s_count (job), offset = sums[0] / count;
    *mean = offset + (double) shift;
    *variance = sums[1] / count - offset * offset;
    if (*variance < 0)
        *variance = 0;
}

static void s_move (const s_job_t *job, size_t c, double mean, double variance)
{
    const rk_layer_call_t *call = job->call;
    if (!call->stats || !isfinite (mean) || !isfinite (variance)) /* a running mean never forgets a NaN */
        return;
    const double count = s_count (job);
    float *running_mean = call->stats + call->layer->offset[RUNNING_MEAN] + c;
    float *running_var = call->stats + call->layer->offset[RUNNING_VAR] + c;
    const double unbiased = count > 1 ? variance * count / (count - 1) : variance;
    *running_mean = (float) ((1 - RK_STATS_SHARE) * (double) *running_mean + RK_STATS_SHARE * mean);
    *running_var = (float) ((1 - RK_STATS_SHARE) * (double) *running_var + RK_STATS_SHARE * unbiased);
}

/* One channel: channels do not know each other, so a pool takes them one by one. */
static void s_forward_channel (void *arg, size_t c, size_t worker)
{
    const s_job_t *job = arg;
    const rk_layer_call_t *call = job->call;
    const s_save_t save = s_save (call);
    const size_t at = c * job->planes.size;
    double mean, variance;
    if (call->mode == RK_MODE_TRAIN) {
        s_moments (job, c, &mean, &variance);
        s_move (job, c, mean, variance);
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
    rk_vec ()->affine (job->planes, a, job->x + at, b, job->y + at);
}

void rk_batchnorm_forward (const rk_layer_call_t *call)
{
    s_job_t job = s_job (call);
    rk_pool_run (call->pool, call->layer->shape.dim[0], s_forward_channel, &job);
    s_turn_back (&job, job.y, call->y);
}

/* dx = weight inverse (dy - mean (dy) - xhat mean (dy xhat)), as one affine function of dy and x. */
static void s_backward_channel (void *arg, size_t c, size_t worker)
{
    const s_job_t *job = arg;
    const s_save_t save = s_save (job->call);
    const float *gy = job->gy + c * job->planes.size, *x = job->x + c * job->planes.size;
    double sums[2];
    rk_vec ()->co_moments (job->planes, gy, x, save.mean[c], sums);
    save.sum_dy[c] = (float) sums[0];
    save.sum_dyx[c] = (float) sums[1];
    if (!job->gx)
        return;
    const double count = s_count (job), inverse = (double) save.inverse[c];
    const double a = (double) rk_layer_param (job->call, WEIGHT)[c] * inverse;
    const double b = -a * inverse * inverse * sums[1] / count;
    const float shift = (float) (-a * sums[0] / count - b * (double) save.mean[c]);
    rk_vec ()->affine2 (job->planes, (float) a, gy, (float) b, x, shift, job->gx + c * job->planes.size);
}

void rk_batchnorm_backward_input (const rk_layer_call_t *call)
{
    s_job_t job = s_job (call);
    rk_pool_run (call->pool, call->layer->shape.dim[0], s_backward_channel, &job);
    s_turn_back (&job, job.gx, call->gx[0]);
}

void rk_batchnorm_backward_params (const rk_layer_call_t *call)
{
    const s_save_t save = s_save (call);
    for (size_t c = 0; c < call->layer->shape.dim[0]; c++) {
        rk_layer_grad (call, WEIGHT)[c] += save.sum_dyx[c] * save.inverse[c];
        rk_layer_grad (call, BIAS)[c] += save.sum_dy[c];
    }
}

void rk_batchnorm_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = 6 * (uint64_t) batch * layer->elems;
    need->backward_flops = 8 * (uint64_t) batch * layer->elems;
    need->save_bytes = 4 * layer->shape.dim[0] * sizeof (float);
    need->work_bytes = s_plane (layer) == 1 ? 2 * batch * layer->elems * sizeof (float) : 0;
}
