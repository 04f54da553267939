/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/optim.h"

#include <math.h>
#include <string.h>

#include "compute/names.h"

#define RK_OPTIM(name) extern const rk_optim_t rk_optim_##name;
#include "compute/optim/list.h"
#undef RK_OPTIM

#define RK_OPTIM(name) &rk_optim_##name,
static const rk_optim_t *const s_optims[] = {
#include "compute/optim/list.h"
};
#undef RK_OPTIM

#define RK_OPTIM(name) #name,
static const char *const s_names[] = {
#include "compute/optim/list.h"
    NULL};
#undef RK_OPTIM

const char *const *rk_optim_names (void)
{
    return s_names;
}

static rk_err_t s_check (const rk_optim_config_t *c, rk_error_t *err)
{
    if (!(c->momentum >= 0 && c->momentum < 1))
        return rk_error_set (err, RK_EINVAL, "momentum %g is not in [0, 1)", (double) c->momentum);
    if (c->nesterov && c->momentum == 0)
        return rk_error_set (err, RK_EINVAL, "nesterov needs a momentum above 0");
    if (!(c->weight_decay >= 0 && isfinite (c->weight_decay)))
        return rk_error_set (err, RK_EINVAL, "weight decay %g is negative", (double) c->weight_decay);
    return RK_OK;
}

static rk_err_t s_check_adam (const rk_optim_config_t *c, rk_error_t *err)
{
    if (!(c->beta1 >= 0 && c->beta1 < 1) || !(c->beta2 >= 0 && c->beta2 < 1))
        return rk_error_set (err, RK_EINVAL, "beta1 %g and beta2 %g must be in [0, 1)", (double) c->beta1,
                             (double) c->beta2);
    if (!(c->epsilon > 0))
        return rk_error_set (err, RK_EINVAL, "epsilon %g is not above 0", (double) c->epsilon);
    return RK_OK;
}

rk_err_t rk_optim_by_name (const rk_optim_t **optim_p, const char *name, const rk_optim_config_t *config,
                           rk_error_t *err)
{
    *optim_p = NULL;
    int found = rk_find_name ("optimiser", name, s_names, err);
    if (found < 0)
        return RK_ENOTFOUND;
    rk_err_t rc = s_check (config, err);
    if (!rc && s_optims[found] == &rk_optim_adam)
        rc = s_check_adam (config, err);
    if (!rc)
        *optim_p = s_optims[found];
    return rc;
}

/* Neighbouring trainable tensors are stepped in one call: the padding between them is zero in weights
 * and gradients and stays zero.                                                                      */
void rk_optim_update (const rk_optim_t *optim, const rk_optim_config_t *config, const rk_optim_update_t *u)
{
    const size_t base = rk_model_flat_at (u->model, u->first), end = rk_model_flat_at (u->model, u->last);
    const size_t n_tensors = rk_model_n_tensors (u->model);
    size_t begin = base;
    for (size_t p = 0; p < n_tensors && begin < end; p++) {
        const rk_param_t *param = rk_model_param (u->model, p);
        if (param->offset < begin)
            continue;
        size_t next = p + 1;
        while (next < n_tensors && rk_model_param (u->model, next)->trainable == param->trainable)
            next++;
        size_t stop = next < n_tensors ? rk_model_param (u->model, next)->offset : end;
        stop = stop < end ? stop : end;
        const size_t at = begin - base, n = stop - begin;
        if (param->trainable) {
            float *slots[RK_OPTIM_MAX_SLOTS] = {0};
            for (int s = 0; s < optim->n_slots; s++)
                slots[s] = u->slots[s] + at;
            optim->step (config, u->lr, u->t, u->grad_scale, n, u->w_old + at, u->w_new + at, u->grads + at, slots);
        }
        else if (u->w_new != u->w_old)
            memcpy (u->w_new + at, u->w_old + at, n * sizeof *u->w_new);
        begin = stop;
    }
}
