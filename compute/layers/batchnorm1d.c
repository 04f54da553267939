/* SPDX-License-Identifier: MPL-2.0
 * Batch normalisation of features.   x: (N, C) or (N, C, L) */
#include "compute/layers/batchnorm.h"

extern const rk_layer_type_t rk_layer_batchnorm1d;

int rk_model_batchnorm1d (rk_model_t *m, const char *name, int in)
{
    return rk_model_append (m, &rk_layer_batchnorm1d, name, 1, &in, (rk_layer_config_t) {0});
}

static rk_err_t s_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    if (layer->in_shape[0].n_dims != 1 && layer->in_shape[0].n_dims != 2)
        return rk_error_set (err, RK_ESHAPE, "input %s is not (features) or (channels, length)",
                             rk_shape_text (layer->in_shape[0], text));
    rk_batchnorm_infer (layer);
    return RK_OK;
}

const rk_layer_type_t rk_layer_batchnorm1d = {
    .kind = "batchnorm1d",
    .flags = RK_BATCHNORM_FLAGS,
    .infer = s_infer,
    .forward = rk_batchnorm_forward,
    .backward_input = rk_batchnorm_backward_input,
    .backward_params = rk_batchnorm_backward_params,
    .need = rk_batchnorm_need,
};
