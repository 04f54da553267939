/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/blame.h"

#include <math.h>
#include <stdlib.h>

#include "compute/arena.h"

bool rk_all_finite (size_t n, const float *x)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite (x[i]))
            return false;
    return true;
}

rk_err_t rk_blame_layer (const rk_slice_config_t *config, const rk_forward_t *call, int *layer, rk_error_t *err)
{
    rk_slice_config_t one = *config;
    one.n_contexts = 1;
    one.recompute = false;
    rk_slice_t *slice = NULL;
    rk_boundary_t cut[RK_MAX_BOUNDARY];
    float *out[RK_MAX_BOUNDARY] = {NULL};
    const int n_out = rk_model_boundary (config->model, config->last, config->first, cut);
    *layer = -1;
    rk_err_t rc = rk_slice_new (&slice, &one, err);
    for (int i = 0; i < n_out && !rc; i++)
        if (!cut[i].passes_through && !(out[i] = rk_arena_memory (call->n * cut[i].elems * sizeof **out)))
            rc = rk_error_set (err, RK_ENOMEM, "no memory to look for a layer");
    if (!rc) {
        rk_forward_t again = *call;
        again.ctx = 0;
        again.stats = NULL;
        again.out = out;
        again.bad_layer = layer;
        rc = rk_slice_forward (slice, &again, err);
    }
    for (int i = 0; i < n_out; i++)
        free (out[i]);
    rk_slice_destroy (&slice);
    return rc;
}

const rk_param_t *rk_blame_param (const rk_model_t *model, int layer, int first, const float *flat)
{
    for (size_t p = 0; p < rk_model_n_tensors (model); p++) {
        const rk_param_t *param = rk_model_param (model, p);
        if (param->layer == layer && param->trainable && !rk_all_finite (param->count, flat + param->offset - rk_model_flat_at (model, first)))
            return param;
    }
    return NULL;
}
