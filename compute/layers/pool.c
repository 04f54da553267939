/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/layers/pool.h"

rk_err_t rk_pool_infer (rk_layer_t *layer, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    const rk_layer_config_t *c = &layer->config;
    const rk_shape_t x = layer->in_shape[0];
    if (x.n_dims != 3)
        return rk_error_set (err, RK_ESHAPE, "input %s is not (channels, height, width)", rk_shape_text (x, text));
    if (c->kernel == 0 || c->stride == 0 || c->kernel > RK_MAX_ELEMS || c->padding > c->kernel / 2)
        return rk_error_set (err, RK_EINVAL, "kernel %zu, stride %zu, padding %zu: the first two must be above 0, the "
                             "last at most half the kernel", c->kernel, c->stride, c->padding);
    if (x.dim[1] + 2 * c->padding < c->kernel || x.dim[2] + 2 * c->padding < c->kernel)
        return rk_error_set (err, RK_ESHAPE, "input %s with padding %zu is smaller than the kernel %zu",
                             rk_shape_text (x, text), c->padding, c->kernel);
    layer->shape = rk_shape_3 (x.dim[0], (x.dim[1] + 2 * c->padding - c->kernel) / c->stride + 1,
                               (x.dim[2] + 2 * c->padding - c->kernel) / c->stride + 1);
    return RK_OK;
}
