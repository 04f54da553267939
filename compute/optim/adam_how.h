/* SPDX-License-Identifier: MPL-2.0
 * What adam, adamw and lamb have in common.                                                            */
#ifndef RK_COMPUTE_OPTIM_ADAM_HOW_H
#define RK_COMPUTE_OPTIM_ADAM_HOW_H
#include "compute/kernels/vec.h"
#include "compute/optim.h"

rk_vec_adam_t rk_optim_adam_how (const rk_optim_config_t *config, const rk_optim_range_t *range);
rk_err_t rk_optim_adam_check (const rk_optim_config_t *config, rk_error_t *err) RK_MUST_CHECK;

#endif
