/* SPDX-License-Identifier: MPL-2.0
 * What layers share that treat every value alike.                                                    */
#ifndef RK_COMPUTE_LAYERS_ACTIVATION_H
#define RK_COMPUTE_LAYERS_ACTIVATION_H
#include "compute/kernels/vec.h"
#include "compute/layer.h"

/* Two kinds: whose slope follows from y, so that y may take the place of x, and whose slope needs x. */
#define RK_ACTIVATION_BY_Y (RK_BACK_NEEDS_Y | RK_MAY_OVERWRITE_X | RK_MAY_OVERWRITE_GY | RK_BY_SAMPLE)
#define RK_ACTIVATION_BY_X (RK_BACK_NEEDS_X | RK_MAY_OVERWRITE_GY | RK_BY_SAMPLE)

static inline size_t rk_activation_n (const rk_layer_call_t *call)
{
    return call->n * call->layer->elems;
}

rk_err_t rk_activation_infer (rk_layer_t *layer, rk_error_t *err) RK_MUST_CHECK; /* any shape */
void rk_activation_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need); /* with an exponential */

#endif
