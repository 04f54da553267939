/* SPDX-License-Identifier: MPL-2.0
 * Layers of two inputs of one shape, value by value. */
#ifndef RK_COMPUTE_LAYERS_PAIR_H
#define RK_COMPUTE_LAYERS_PAIR_H
#include "compute/layer.h"

/* The output's shape is that of both inputs. errors: RK_ESHAPE. */
rk_err_t rk_pair_infer (rk_layer_t *layer, rk_error_t *err);

#endif
