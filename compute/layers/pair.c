/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/layers/pair.h"

rk_err_t rk_pair_infer (rk_layer_t *layer, rk_error_t *err)
{
    char a[RK_SHAPE_TEXT], b[RK_SHAPE_TEXT];
    if (!rk_shape_equal (layer->in_shape[0], layer->in_shape[1]))
        return rk_error_set (err, RK_ESHAPE, "inputs %s and %s differ", rk_shape_text (layer->in_shape[0], a),
                             rk_shape_text (layer->in_shape[1], b));
    layer->shape = layer->in_shape[0];
    return RK_OK;
}
