/* SPDX-License-Identifier: MPL-2.0
 * What planning needs to know of a model: integers per layer, from the model's own costs.                 */
#ifndef RK_ACTORS_MODELINFO_H
#define RK_ACTORS_MODELINFO_H
#include "cluster/plan.h"
#include "compute/model.h"

/* One block, freed by rk_model_info_destroy. samples: of the data set, 0 where there is none. */
rk_err_t rk_model_info_new (rk_model_info_t **info_p, const rk_model_t *model, const rk_settings_t *settings,
                            uint64_t train_samples, uint64_t test_samples, rk_error_t *err) RK_MUST_CHECK;
void rk_model_info_destroy (rk_model_info_t **info_p);

/* The sample shape that a plan or a request names. errors: RK_EFORMAT. */
rk_err_t rk_shape_of_dims (rk_shape_t *shape, const uint64_t *dims, size_t n_dims, rk_error_t *err) RK_MUST_CHECK;

#endif
