/* SPDX-License-Identifier: MPL-2.0
 * Normalisation over the last dimension: what layernorm (mean taken off, with a bias) and rmsnorm (neither) share.
 * x, y: (N, rows, F)   weight, bias: (F)                                                              */
#ifndef RK_COMPUTE_LAYERS_ROWNORM_H
#define RK_COMPUTE_LAYERS_ROWNORM_H
#include "compute/layer.h"

#define RK_ROWNORM_FLAGS (RK_BACK_NEEDS_X | RK_MAY_OVERWRITE_GY | RK_BY_SAMPLE)
#define RK_NORM_EPSILON 1e-5f /* if the config says 0 */

/* errors: RK_EINVAL (epsilon below 0, or no number). */
rk_err_t rk_norm_check_epsilon (rk_layer_t *layer, rk_error_t *err) RK_MUST_CHECK;

rk_err_t rk_rownorm_infer (rk_layer_t *layer, bool centred, rk_error_t *err) RK_MUST_CHECK;
void rk_rownorm_forward (const rk_layer_call_t *call, bool centred);
void rk_rownorm_backward_input (const rk_layer_call_t *call, bool centred);
void rk_rownorm_backward_params (const rk_layer_call_t *call, bool centred);
void rk_rownorm_need (const rk_layer_t *layer, size_t batch, rk_layer_need_t *need);

#endif
