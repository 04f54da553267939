/* SPDX-License-Identifier: MPL-2.0
 * What layers share whose output is their input under another shape.                                 */
#ifndef RK_COMPUTE_LAYERS_VIEW_H
#define RK_COMPUTE_LAYERS_VIEW_H
#include "compute/layer.h"

#define RK_VIEW_FLAGS (RK_IS_VIEW | RK_PASSES_GRADIENT)

/* Copies only where a cut keeps both tensors apart. */
void rk_view_forward (const rk_layer_call_t *call);
void rk_view_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need);

#endif
