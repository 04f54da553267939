/* SPDX-License-Identifier: MPL-2.0
 * Batch normalisation of (N, C, plane), whatever a plane is: what the kinds batchnorm1d and 2d share.  */
#ifndef RK_COMPUTE_LAYERS_BATCHNORM_H
#define RK_COMPUTE_LAYERS_BATCHNORM_H
#include "compute/layer.h"

#define RK_BATCHNORM_FLAGS (RK_BACK_NEEDS_X | RK_MAY_OVERWRITE_GY | RK_PARAMS_FROM_SAVE)

void rk_batchnorm_infer (rk_layer_t *layer); /* after the kind has looked at the input's shape */
void rk_batchnorm_forward (const rk_layer_call_t *call);
void rk_batchnorm_backward_input (const rk_layer_call_t *call);
void rk_batchnorm_backward_params (const rk_layer_call_t *call);
void rk_batchnorm_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need);

#endif
