/* SPDX-License-Identifier: MPL-2.0
 * The same values as one dimension. A view: nothing moves unless a cut keeps both tensors apart.     */
#include <string.h>

#include "compute/layer.h"

extern const rk_layer_type_t rk_layer_flatten;

int rk_model_flatten (rk_model_t *m, const char *name, int in)
{
    return rk_model_append (m, &rk_layer_flatten, name, 1, &in, (rk_layer_config_t) {0});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    layer->shape = rk_shape_1 (layer->in_elems[0]);
    return RK_OK;
}

static void s_forward (const rk_layer_call_t *call)
{
    if (call->y != call->x[0])
        memcpy (call->y, call->x[0], call->n * call->layer->elems * sizeof (float));
}

static void s_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need)
{
}

const rk_layer_type_t rk_layer_flatten = {
    .kind = "flatten",
    .flags = RK_IS_VIEW | RK_PASSES_GRADIENT,
    .infer = s_infer,
    .forward = s_forward,
    .need = s_need,
};
