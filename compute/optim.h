/* SPDX-License-Identifier: MPL-2.0
 * Optimisers on flat ranges, registered by name in one table (compute/optim.c); one file each in
 * compute/optim/. Out of place: the new version is written beside the old, which in-flight minibatches
 * may still need; w_new may equal w_old.                                                               */
#ifndef RK_COMPUTE_OPTIM_H
#define RK_COMPUTE_OPTIM_H
#include "compute/model.h"

#define RK_OPTIM_MAX_SLOTS 2

typedef struct {
    float momentum;     /* sgd */
    bool nesterov;      /* sgd */
    float weight_decay; /* added to the gradient, as PyTorch's SGD and Adam do */
    float beta1, beta2, epsilon; /* adam */
} rk_optim_config_t;

typedef struct {
    const char *name;
    int n_slots; /* state vectors, each as long as the parameters, zero at the start */
    /* One step on n floats. t counts from 1. g is scaled by grad_scale. */
    void (*step) (const rk_optim_config_t *config, float lr, uint64_t t, float grad_scale, size_t n, const float *w_old,
                  float *w_new, const float *g, float *const *slots);
} rk_optim_t;

rk_err_t rk_optim_by_name (const rk_optim_t **optim_p, const char *name, const rk_optim_config_t *config, rk_error_t *err) RK_MUST_CHECK;
const char *const *rk_optim_names (void);

/* One step of layers [first, last): trainable tensors by `step`, buffers (BatchNorm statistics) copied. All
 * vectors are as long as these layers' part of the flat vector. thread: any.                            */
typedef struct {
    const rk_model_t *model;
    int first, last;
    float lr;
    uint64_t t; /* counts from 1 */
    float grad_scale;
    const float *w_old;
    float *w_new; /* may be w_old */
    const float *grads;
    float *const *slots;
} rk_optim_update_t;
void rk_optim_update (const rk_optim_t *optim, const rk_optim_config_t *config, const rk_optim_update_t *update);

/* Learning-rate schedules, registered by name: constant, step, cosine, warm-up before any of them.
 * A pure function of the minibatch id, so that it does not depend on the number of clusters.           */
typedef struct {
    const char *name;         /* "constant", "step", "cosine" */
    float base;               /* train.lr */
    uint64_t warmup;          /* minibatches of linear warm-up */
    uint64_t total;           /* minibatches of the run (cosine) */
    uint64_t step_every;      /* minibatches (step) */
    float step_gamma;
} rk_lr_t;
rk_err_t rk_lr_check (const rk_lr_t *lr, rk_error_t *err) RK_MUST_CHECK;
float rk_lr_at (const rk_lr_t *lr, uint64_t f);
const char *const *rk_lr_names (void);

#endif
