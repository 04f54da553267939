/* SPDX-License-Identifier: MPL-2.0
 * Learning-rate schedules, registered by name in compute/lr_list.h: pure functions of the minibatch id, so
 * that they do not depend on the number of clusters. Before any of them comes a linear warm-up.         */
#ifndef RK_COMPUTE_LR_H
#define RK_COMPUTE_LR_H
#include <stdint.h>
#include "compute/error.h"

#define RK_LR_MAX_MILESTONES 16

typedef struct {
    const char *name;
    float base;          /* train.lr */
    uint64_t warmup;     /* minibatches of linear warm-up: (f + 1) / (warmup + 1) of the base */
    uint64_t total;      /* minibatches of the run (cosine, linear, polynomial) */
    float floor;         /* where these three end, as a share of the base */
    float power;         /* polynomial */
    uint64_t step_every; /* minibatches (step) */
    float step_gamma;    /* factor of each drop (step, milestones) */
    uint64_t milestones[RK_LR_MAX_MILESTONES]; /* minibatches before which it drops, ascending */
    uint32_t n_milestones;
} rk_lr_t;

rk_err_t rk_lr_check (const rk_lr_t *lr, rk_error_t *err) RK_MUST_CHECK;
float rk_lr_at (const rk_lr_t *lr, uint64_t f);
const char *const *rk_lr_names (void);

#endif
