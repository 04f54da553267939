/* SPDX-License-Identifier: MPL-2.0
 * What settings say about data, optimiser and learning rate, in compute's words. Pure. */
#ifndef RK_ACTORS_TRAINING_H
#define RK_ACTORS_TRAINING_H
#include "cluster/plan.h"
#include "compute/data.h"
#include "compute/optim.h"
#include "compute/verdict.h"

typedef struct {
    const rk_optim_t *optim;
    rk_optim_config_t config;
    rk_verdict_config_t verdict;
    rk_lr_t lr; /* its name points into the plan's settings */
} rk_training_t;

rk_optim_config_t rk_optim_config_of (const rk_settings_t *settings);

/* plan: borrowed for the life of *out. errors: RK_ENOTFOUND, RK_EINVAL */
rk_err_t rk_training_of (const rk_plan_t *plan, rk_training_t *out, rk_error_t *err) RK_MUST_CHECK;

/* Texts point into the settings. */
rk_data_options_t rk_data_options_of (const rk_settings_t *s);

/* Threads that a node's kernels may use: an equal part of its host's cores, or of run.threads if that is
 * fewer; at least 1. Results do not depend on it. */
uint32_t rk_kernel_threads (const rk_plan_t *plan, uint32_t node);

#endif
