/* SPDX-License-Identifier: MPL-2.0
 * What the pooling layers share: windows over (C, H, W).                                             */
#ifndef RK_COMPUTE_LAYERS_POOL_H
#define RK_COMPUTE_LAYERS_POOL_H
#include "compute/layer.h"

typedef struct {
    size_t begin, end; /* input rows or columns [begin, end), padding left out */
} rk_window_t;

static inline rk_window_t rk_pool_window (const rk_layer_config_t *config, size_t out, size_t n_in)
{
    const size_t from = out * config->stride, to = from + config->kernel;
    rk_window_t window;
    window.begin = from > config->padding ? from - config->padding : 0;
    window.end = to - config->padding < n_in ? to - config->padding : n_in;
    return window;
}

/* Output shape, PyTorch's rule: padding at most half the kernel, so that no window is all padding. */
rk_err_t rk_pool_infer (rk_layer_t *layer, rk_error_t *err) RK_MUST_CHECK;

#endif
