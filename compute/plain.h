/* SPDX-License-Identifier: MPL-2.0
 * Plain training in one thread of control: one slice that is the whole model, one minibatch at a time. What
 * pipelines are compared with, and what `bench train` measures.                                       */
#ifndef RK_COMPUTE_PLAIN_H
#define RK_COMPUTE_PLAIN_H
#include "compute/data.h"
#include "compute/optim.h"
#include "compute/slice.h"

typedef struct rk_plain rk_plain_t;

typedef struct {
    const char *model;     /* name */
    const rk_data_t *data; /* borrowed for the loop's life */
    size_t batch;
    uint64_t seed;         /* of initial values, order of samples and dropout */
    const char *optimizer; /* name */
    rk_optim_config_t optim;
    rk_lr_t lr;
    bool recompute;
    size_t threads; /* 0: one */
} rk_plain_config_t;

/* errors: whatever model, optimiser, schedule and slice say. */
rk_err_t rk_plain_new (rk_plain_t **loop_p, const rk_plain_config_t *config, rk_error_t *err) RK_MUST_CHECK;
void rk_plain_destroy (rk_plain_t **loop_p);

/* Trains minibatch f, whose samples are minibatch f mod per_pass of pass f / per_pass. loss may be NULL. */
rk_err_t rk_plain_step (rk_plain_t *loop, uint64_t f, rk_loss_t *loss, rk_error_t *err) RK_MUST_CHECK;

/* The whole split, forward only. */
rk_err_t rk_plain_evaluate (rk_plain_t *loop, rk_split_t split, rk_loss_t *loss, rk_error_t *err) RK_MUST_CHECK;

const rk_model_t *rk_plain_model (const rk_plain_t *loop);
uint64_t rk_plain_per_pass (const rk_plain_t *loop); /* minibatches of one pass */
float *rk_plain_flat (rk_plain_t *loop);             /* rk_model_flat_at (model, n_layers) floats */
size_t rk_plain_bytes (const rk_plain_t *loop);      /* without the data */

#endif
