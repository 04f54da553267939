/* SPDX-License-Identifier: MPL-2.0
 * The same values as one dimension.                                                                  */
#include "compute/layers/view.h"

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

const rk_layer_type_t rk_layer_flatten = {
    .kind = "flatten",
    .flags = RK_VIEW_FLAGS,
    .infer = s_infer,
    .forward = rk_view_forward,
    .need = rk_view_need,
};
