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

rk_err_t rk_optim_by_name (const rk_optim_t **optim_p, const char *name, const rk_optim_config_t *config,
                           rk_error_t *err)
{
    *optim_p = NULL;
    int found = rk_find_name ("optimiser", name, s_names, err);
    if (found < 0)
        return RK_ENOTFOUND;
    rk_err_t rc = s_check (config, err);
    if (!rc && s_optims[found]->check)
        rc = s_optims[found]->check (config, err);
    if (!rc)
        *optim_p = s_optims[found];
    return rc;
}

static bool s_exempt (const rk_optim_t *optim, const rk_optim_config_t *config, const rk_param_t *param)
{
    const bool some = config->exempt == RK_EXEMPT_PUBLISHED ? optim->exempts : config->exempt == RK_EXEMPT_BIAS_NORM;
    return some && param->shape.n_dims <= 1;
}

/* Index of the first tensor after `p` that is not stepped in one call with it. Neighbours of one kind are: the
 * padding between them is zero in weights and gradients and stays zero.                                   */
static size_t s_run (const rk_optim_t *optim, const rk_optim_config_t *config, const rk_model_t *model, size_t p)
{
    const rk_param_t *first = rk_model_param (model, p);
    const bool exempt = s_exempt (optim, config, first);
    size_t next = p + 1;
    for (; next < rk_model_n_tensors (model) && !(optim->per_tensor && first->trainable); next++) {
        const rk_param_t *param = rk_model_param (model, next);
        if (param->trainable != first->trainable || s_exempt (optim, config, param) != exempt)
            break;
    }
    return next;
}

/* A run of tensors, and how it is shared out: elements do not know each other, but for optimisers that see one
 * tensor at a time.                                                                                       */
typedef struct {
    const rk_optim_t *optim;
    rk_optim_config_t how;
    const rk_optim_update_t *update;
    bool exempt;
    size_t at, n, share; /* floats */
} s_run_t;

#define SHARE ((size_t) 32768) /* floats of one task: what a cache holds of all vectors */

static void s_step_share (void *arg, size_t task, size_t worker)
{
    const s_run_t *run = arg;
    const rk_optim_update_t *u = run->update;
    const size_t from = task * run->share, at = run->at + from;
    rk_optim_range_t range = {.lr = u->lr, .t = u->t, .grad_scale = u->grad_scale, .exempt = run->exempt,
                              .n = run->n - from < run->share ? run->n - from : run->share,
                              .w_old = u->w_old + at, .w_new = u->w_new + at, .g = u->grads + at};
    for (int s = 0; s < run->optim->n_slots; s++)
        range.slots[s] = u->slots[s] + at;
    run->optim->step (&run->how, &range);
}

static void s_step (const rk_optim_t *optim, const rk_optim_config_t *config, const rk_optim_update_t *u, bool exempt,
                    size_t at, size_t n)
{
    s_run_t run = {.optim = optim, .how = *config, .update = u, .exempt = exempt, .at = at, .n = n,
                   .share = optim->per_tensor ? n : SHARE};
    if (exempt)
        run.how.weight_decay = 0;
    rk_pool_run (u->pool, n ? (n + run.share - 1) / run.share : 0, s_step_share, &run);
}

void rk_optim_update (const rk_optim_t *optim, const rk_optim_config_t *config, const rk_optim_update_t *u)
{
    const size_t base = rk_model_flat_at (u->model, u->first), end = rk_model_flat_at (u->model, u->last);
    const size_t n_tensors = rk_model_n_tensors (u->model);
    for (size_t p = 0, next; p < n_tensors; p = next) {
        const rk_param_t *param = rk_model_param (u->model, p);
        next = p + 1;
        if (param->offset < base)
            continue;
        if (param->offset >= end)
            break;
        next = s_run (optim, config, u->model, p);
        size_t stop = next < n_tensors ? rk_model_param (u->model, next)->offset : end;
        stop = stop < end ? stop : end;
        const size_t at = param->offset - base, n = stop - param->offset;
        if (param->trainable)
            s_step (optim, config, u, s_exempt (optim, config, param), at, n);
        else if (u->w_new != u->w_old)
            memcpy (u->w_new + at, u->w_old + at, n * sizeof *u->w_new);
    }
}
