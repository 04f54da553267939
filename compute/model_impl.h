/* SPDX-License-Identifier: MPL-2.0
 * The inside of rk_model_t; only compute/model*.c include it.                                        */
#ifndef RK_COMPUTE_MODEL_IMPL_H
#define RK_COMPUTE_MODEL_IMPL_H
#include "compute/slice_plan.h"

typedef struct {
    bool needs_grad;
    int n_readers;
    int last_reader; /* layer; -1: none */
} rk_tensor_info_t;

struct rk_model {
    char name[32];
    rk_shape_t input;
    bool sealed;
    rk_error_t error; /* first error while building; reported by rk_model_seal */
    rk_layer_t *layers;
    int n_layers, capacity;
    /* after sealing: */
    rk_tensor_info_t *tensors; /* n_layers + 1 */
    rk_slice_share_t *shares;  /* n_layers */
    rk_param_t *params;
    size_t n_params;
    size_t n_trainable; /* scalars */
    size_t flat_len;    /* floats */
    rk_tie_t tie;       /* owner -1: none */
};

#endif
