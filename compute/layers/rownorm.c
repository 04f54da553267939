/* SPDX-License-Identifier: MPL-2.0
 * save: factor and offset of each row, so that xhat = factor x + offset.                             */
#include "compute/layers/rownorm.h"

#include <math.h>

#include "compute/kernels/vec.h"

#define RUN_COLS 64 /* columns of one task of the parameters' gradients: it goes through all rows */

enum { WEIGHT, BIAS };

rk_err_t rk_norm_check_epsilon (rk_layer_t *layer, rk_error_t *err)
{
    if (layer->config.epsilon == 0)
        layer->config.epsilon = RK_NORM_EPSILON;
    if (!(layer->config.epsilon > 0 && layer->config.epsilon < INFINITY))
        return rk_error_set (err, RK_EINVAL, "epsilon %g is not above 0", (double) layer->config.epsilon);
    return RK_OK;
}

rk_err_t rk_rownorm_infer (rk_layer_t *layer, bool centred, rk_error_t *err)
{
    layer->shape = layer->in_shape[0];
    const rk_shape_t f = rk_shape_1 (layer->shape.dim[layer->shape.n_dims - 1]);
    layer->param[WEIGHT] = (rk_param_spec_t) {"weight", f, true, RK_INIT_ONE, 0};
    layer->param[BIAS] = (rk_param_spec_t) {"bias", f, true, RK_INIT_ZERO, 0};
    layer->n_params = centred ? 2 : 1;
    return rk_norm_check_epsilon (layer, err);
}

static size_t s_features (const rk_layer_t *layer)
{
    return layer->shape.dim[layer->shape.n_dims - 1];
}

/* (factor, offset) of the rows of this call. */
static float *s_save (const rk_layer_call_t *call)
{
    return (float *) call->save + 2 * call->first * (call->layer->elems / s_features (call->layer));
}

static void s_measure (const rk_layer_call_t *call, size_t n, const float *x, bool centred, float *save)
{
    const float shift = centred ? x[0] : 0;
    double sums[2];
    rk_vec ()->moments ((rk_planes_t) {1, n, n}, x, shift, sums);
    const double offset = centred ? sums[0] / (double) n : 0;
    const double square = sums[1] / (double) n - offset * offset;
    const double factor = 1.0 / sqrt ((square < 0 ? 0 : square) + (double) call->layer->config.epsilon);
    save[0] = (float) factor;
    save[1] = centred ? (float) (-(offset + (double) shift) * factor) : 0;
}

void rk_rownorm_forward (const rk_layer_call_t *call, bool centred)
{
    const size_t n = s_features (call->layer), n_rows = call->n * call->layer->elems / n;
    float *save = s_save (call);
    for (size_t r = 0; r < n_rows; r++) {
        const float *x = call->x[0] + r * n;
        s_measure (call, n, x, centred, save + 2 * r);
        const rk_vec_norm_t how = {.a = save[2 * r], .b = save[2 * r + 1]};
        rk_vec ()->norm_row (n, &how, x, rk_layer_param (call, WEIGHT), centred ? rk_layer_param (call, BIAS) : NULL,
                             call->y + r * n);
    }
}

/* dx = factor (g - mean g - xhat mean (g xhat)) with g = dy weight; without the mean of g when not centred. */
void rk_rownorm_backward_input (const rk_layer_call_t *call, bool centred)
{
    const size_t n = s_features (call->layer), n_rows = call->n * call->layer->elems / n;
    const float *save = s_save (call), *weight = rk_layer_param (call, WEIGHT);
    for (size_t r = 0; r < n_rows; r++) {
        const float *x = call->x[0] + r * n, *gy = call->gy + r * n;
        rk_vec_norm_t how = {.a = save[2 * r], .b = save[2 * r + 1]};
        double sums[2];
        rk_vec ()->norm_row_sums (n, &how, x, weight, gy, sums);
        how.mean_g = centred ? (float) (sums[0] / (double) n) : 0;
        how.mean_gx = (float) (sums[1] / (double) n);
        rk_vec ()->norm_row_backward (n, &how, x, weight, gy, call->gx[0] + r * n);
    }
}

typedef struct {
    const rk_layer_call_t *call;
    bool centred;
} s_job_t;

static void s_add_columns (void *arg, size_t task, size_t worker)
{
    const s_job_t *job = arg;
    const rk_layer_call_t *call = job->call;
    const size_t n = s_features (call->layer), n_rows = call->n * call->layer->elems / n, at = task * RUN_COLS;
    const float *save = s_save (call);
    float *dbias = job->centred ? rk_layer_grad (call, BIAS) + at : NULL;
    for (size_t r = 0; r < n_rows; r++) {
        const rk_vec_norm_t how = {.a = save[2 * r], .b = save[2 * r + 1]};
        rk_vec ()->norm_row_params (n - at < RUN_COLS ? n - at : RUN_COLS, &how, call->x[0] + r * n + at,
                                    call->gy + r * n + at, rk_layer_grad (call, WEIGHT) + at, dbias);
    }
}

void rk_rownorm_backward_params (const rk_layer_call_t *call, bool centred)
{
    s_job_t job = {call, centred};
    rk_pool_run (call->pool, (s_features (call->layer) + RUN_COLS - 1) / RUN_COLS, s_add_columns, &job);
}

void rk_rownorm_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
    need->forward_flops = 8 * (uint64_t) batch * layer->elems;
    need->backward_flops = 16 * (uint64_t) batch * layer->elems;
    need->save_bytes = 2 * batch * (layer->elems / s_features (layer)) * sizeof (float);
}
