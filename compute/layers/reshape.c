/* SPDX-License-Identifier: MPL-2.0
 * The same values, in the same order, under another shape of as many.                                */
#include "compute/layers/view.h"

extern const rk_layer_type_t rk_layer_reshape;

int rk_model_reshape (rk_model_t *m, const char *name, int in, rk_shape_t shape)
{
    return rk_model_append (m, &rk_layer_reshape, name, 1, &in, (rk_layer_config_t) {.shape = shape});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char from[RK_SHAPE_TEXT], to[RK_SHAPE_TEXT];
    layer->shape = layer->config.shape;
    if (rk_shape_elems (layer->shape) != layer->in_elems[0])
        return rk_error_set (err, RK_ESHAPE, "input %s has %zu values, %s does not",
                             rk_shape_text (layer->in_shape[0], from), layer->in_elems[0],
                             rk_shape_text (layer->shape, to));
    return RK_OK;
}

const rk_layer_type_t rk_layer_reshape = {
    .kind = "reshape",
    .flags = RK_VIEW_FLAGS,
    .infer = s_infer,
    .forward = rk_view_forward,
    .need = rk_view_need,
};
