/* SPDX-License-Identifier: MPL-2.0
 * Which layer made the first number that is none: a forward done again with every output read. For when a loss or
 * a norm has been seen to be NaN or infinite; nothing here is called before.                              */
#ifndef RK_COMPUTE_BLAME_H
#define RK_COMPUTE_BLAME_H
#include "compute/slice.h"

/* Whether all are finite. thread: any. */
bool rk_all_finite (size_t n, const float *x);

/* Repeats `call` in a slice of its own made from `config`; ctx, stats, out and bad_layer of the call are not used.
 * *layer: the first layer of the model whose output is not finite, -1: none. Allocates; all is given back.
 * errors: as rk_slice_new and rk_slice_forward.                                                          */
rk_err_t rk_blame_layer (const rk_slice_config_t *config, const rk_forward_t *call, int *layer, rk_error_t *err) RK_MUST_CHECK;

/* First parameter of the layer that is not finite, NULL: none. flat: from layer `first` on. */
const rk_param_t *rk_blame_param (const rk_model_t *model, int layer, int first, const float *flat);

#endif
