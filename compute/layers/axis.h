/* SPDX-License-Identifier: MPL-2.0
 * A shape seen from one of its dimensions: (before, dimension, after).                               */
#ifndef RK_COMPUTE_LAYERS_AXIS_H
#define RK_COMPUTE_LAYERS_AXIS_H
#include "compute/layer.h"

static inline size_t rk_axis_before (rk_shape_t shape, int axis)
{
    size_t n = 1;
    for (int d = 0; d < axis; d++)
        n *= shape.dim[d];
    return n;
}

static inline size_t rk_axis_after (rk_shape_t shape, int axis)
{
    size_t n = 1;
    for (int d = axis + 1; d < shape.n_dims; d++)
        n *= shape.dim[d];
    return n;
}

#endif
