/* SPDX-License-Identifier: MPL-2.0
 * Sigmoid and binary cross-entropy in one, value by value: - t log p - (1 - t) log (1 - p) with p = 1 / (1 + e^-x) is
 * max (x, 0) - x t + log (1 + e^-|x|), which never overflows (PyTorch's BCEWithLogitsLoss). A value is right if
 * x > 0 where t > 1/2, or neither.   x, targets: (N, ...), targets in [0, 1]                          */
#include <math.h>
#include <string.h>

#include "compute/kernels/vec.h"
#include "compute/layers/targets.h"

extern const rk_layer_type_t rk_layer_bce;

int rk_model_bce (rk_model_t *m, const char *name, int in)
{
    return rk_model_append (m, &rk_layer_bce, name, 1, &in, (rk_layer_config_t) {0});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    rk_targets_infer (layer, 0, 1);
    return RK_OK;
}

static rk_loss_t s_judge (size_t n, const float *x, const float *targets)
{
    rk_loss_t loss = {.n_counted = n};
    for (size_t i = 0; i < n; i++) {
        loss.loss_sum += (double) (x[i] < 0 ? 0 : x[i]) - (double) x[i] * (double) targets[i] +
                         (double) log1pf (expf (-fabsf (x[i])));
        loss.n_correct += (x[i] > 0) == (targets[i] > 0.5f);
    }
    return loss;
}

static void s_forward (const rk_layer_call_t *call)
{
    const size_t n = call->n * call->layer->in_elems[0];
    float *slope = call->save;
    rk_vec ()->sigmoid (n, call->x[0], slope);
    if (call->probabilities)
        memcpy (call->probabilities, slope, n * sizeof (float));
    if (call->labels)
        rk_vec ()->sum_scaled (n, -1, call->labels, slope, slope);
    if (call->loss)
        *call->loss = call->labels ? s_judge (n, call->x[0], call->labels) : (rk_loss_t) {0};
}

const rk_layer_type_t rk_layer_bce = {
    .kind = "bce",
    .flags = RK_IS_LOSS,
    .infer = s_infer,
    .forward = s_forward,
    .backward_input = rk_targets_backward,
    .need = rk_targets_need,
};
