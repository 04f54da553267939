/* SPDX-License-Identifier: MPL-2.0
 * What losses share that compare each input value with a float target of its own. save: the slope of each value's
 * loss, so the backward only scales it.                                                               */
#ifndef RK_COMPUTE_LAYERS_TARGETS_H
#define RK_COMPUTE_LAYERS_TARGETS_H
#include "compute/layer.h"

void rk_targets_infer (rk_layer_t *layer, float low, float high); /* any shape; a target per value */
void rk_targets_backward (const rk_layer_call_t *call);           /* gx = slope / values */
void rk_targets_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need);

#endif
