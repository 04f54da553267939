/* SPDX-License-Identifier: MPL-2.0
 * Optimisers on flat ranges, registered by name in one table (compute/optim.c); one file each in
 * compute/optim/. Out of place: the new version is written beside the old, which in-flight minibatches
 * may still need; w_new may equal w_old. Nothing depends on where a model is cut.                      */
#ifndef RK_COMPUTE_OPTIM_H
#define RK_COMPUTE_OPTIM_H
#include "compute/lr.h"
#include "compute/model.h"
#include "compute/pool.h"

#define RK_OPTIM_MAX_SLOTS 2

/* Which parameters neither decay nor have a trust ratio. Biases and the scales and shifts of norms are the
 * parameters of one dimension.                                                                          */
typedef enum {
    RK_EXEMPT_PUBLISHED = 0, /* those of one dimension with lamb and lars, none with the others */
    RK_EXEMPT_BIAS_NORM,
    RK_EXEMPT_NONE
} rk_exempt_t;

typedef struct {
    float momentum;     /* sgd, lars */
    bool nesterov;      /* sgd */
    float weight_decay; /* sgd, adam: added to the gradient, as PyTorch does; adamw: of the weights themselves;
                           lamb, lars: part of the direction */
    float beta1, beta2, epsilon; /* adam, adamw, lamb; epsilon: lars too */
    float trust;                 /* lars: how far a tensor moves in one step, as a share of its own norm */
    rk_exempt_t exempt;
} rk_optim_config_t;

/* n floats: neighbouring tensors with their padding, or one tensor with its padding (per_tensor). */
typedef struct {
    float lr;
    uint64_t t;       /* counts from 1 */
    float grad_scale; /* the gradient is grad_scale g */
    bool exempt;
    size_t n;
    const float *w_old;
    float *w_new;
    float *g; /* may be written over */
    float *slots[RK_OPTIM_MAX_SLOTS];
} rk_optim_range_t;

typedef struct {
    const char *name;
    int n_slots; /* state vectors, each as long as the parameters, zero at the start */
    bool per_tensor;
    bool exempts; /* what RK_EXEMPT_PUBLISHED means */
    rk_err_t (*check) (const rk_optim_config_t *config, rk_error_t *err); /* beyond what all need; NULL: nothing */
    void (*step) (const rk_optim_config_t *config, const rk_optim_range_t *range);
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
    float *grads; /* what is left in it is of no use */
    float *const *slots;
    rk_pool_t *pool; /* NULL: the calling thread only; no bit depends on it */
} rk_optim_update_t;
void rk_optim_update (const rk_optim_t *optim, const rk_optim_config_t *config, const rk_optim_update_t *update);

#endif
