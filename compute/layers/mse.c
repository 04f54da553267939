/* SPDX-License-Identifier: MPL-2.0
 * Mean of the squares of x - target over all values (PyTorch's MSELoss). Nothing is right or wrong: n_correct is 0.
 * x, targets: (N, ...)                                                                                */
#include <float.h>
#include <string.h>

#include "compute/kernels/vec.h"
#include "compute/layers/targets.h"

extern const rk_layer_type_t rk_layer_mse;

int rk_model_mse (rk_model_t *m, const char *name, int in)
{
    return rk_model_append (m, &rk_layer_mse, name, 1, &in, (rk_layer_config_t) {0});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    rk_targets_infer (layer, -FLT_MAX, FLT_MAX);
    return RK_OK;
}

static void s_forward (const rk_layer_call_t *call)
{
    const size_t n = call->n * call->layer->in_elems[0];
    float *slope = call->save;
    double sums[2] = {0, 0};
    if (call->probabilities)
        memcpy (call->probabilities, call->x[0], n * sizeof (float));
    if (call->labels) {
        rk_vec ()->sum_scaled (n, -1, call->labels, call->x[0], slope);
        rk_vec ()->moments ((rk_planes_t) {1, n, n}, slope, 0, sums);
        rk_vec ()->scale (n, 2, slope, slope);
    }
    if (call->loss)
        *call->loss = (rk_loss_t) {.loss_sum = sums[1], .n_counted = call->labels ? n : 0};
}

const rk_layer_type_t rk_layer_mse = {
    .kind = "mse",
    .flags = RK_IS_LOSS,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = rk_targets_backward,
    .need = rk_targets_need,
};
