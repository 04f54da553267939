/* SPDX-License-Identifier: MPL-2.0
 * Learning-rate schedules: pure functions of the minibatch id f, counted from 0.                     */
#include <math.h>

#include "compute/names.h"
#include "compute/optim.h"

static double s_constant (const rk_lr_t *lr, uint64_t f)
{
    return 1.0;
}

static double s_step (const rk_lr_t *lr, uint64_t f)
{
    return pow ((double) lr->step_gamma, (double) (f / lr->step_every));
}

/* From 1 at the end of the warm-up to 0 at `total`. */
static double s_cosine (const rk_lr_t *lr, uint64_t f)
{
    if (f >= lr->total)
        return 0.0;
    const double share = (double) (f - lr->warmup) / (double) (lr->total - lr->warmup);
    return 0.5 * (1.0 + cos (3.141592653589793 * share));
}

static const char *const s_names[] = {"constant", "step", "cosine", NULL};
static double (*const s_factors[]) (const rk_lr_t *lr, uint64_t f) = {s_constant, s_step, s_cosine};

const char *const *rk_lr_names (void)
{
    return s_names;
}

rk_err_t rk_lr_check (const rk_lr_t *lr, rk_error_t *err)
{
    int found = rk_find_name ("learning-rate schedule", lr->name, s_names, err);
    if (found < 0)
        return RK_ENOTFOUND;
    if (!(lr->base > 0) || !isfinite (lr->base))
        return rk_error_set (err, RK_EINVAL, "learning rate %g is not above 0", (double) lr->base);
    if (s_factors[found] == s_step && (lr->step_every == 0 || !(lr->step_gamma > 0) || !isfinite (lr->step_gamma)))
        return rk_error_set (err, RK_EINVAL, "step schedule: every %llu minibatches by %g, both must be above 0",
                             (unsigned long long) lr->step_every, (double) lr->step_gamma);
    if (s_factors[found] == s_cosine && lr->total <= lr->warmup)
        return rk_error_set (err, RK_EINVAL, "cosine schedule: %llu minibatches in all, %llu of them warm-up",
                             (unsigned long long) lr->total, (unsigned long long) lr->warmup);
    return RK_OK;
}

float rk_lr_at (const rk_lr_t *lr, uint64_t f)
{
    if (f < lr->warmup)
        return (float) ((double) lr->base * (double) (f + 1) / (double) (lr->warmup + 1));
    int found = rk_find_name ("learning-rate schedule", lr->name, s_names, NULL);
    return found < 0 ? lr->base : (float) ((double) lr->base * s_factors[found](lr, f));
}
