/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/lr.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include "compute/names.h"

/* ---- factors of the base rate; f >= warmup */

static double s_constant (const rk_lr_t *lr, uint64_t f)
{
    return 1.0;
}

static double s_step (const rk_lr_t *lr, uint64_t f)
{
    return pow ((double) lr->step_gamma, (double) (f / lr->step_every));
}

static double s_milestones (const rk_lr_t *lr, uint64_t f)
{
    uint32_t n = 0;
    while (n < lr->n_milestones && lr->milestones[n] <= f)
        n++;
    return pow ((double) lr->step_gamma, (double) n);
}

/* From 0 at the end of the warm-up to 1 at `total`. */
static double s_share (const rk_lr_t *lr, uint64_t f)
{
    return f >= lr->total ? 1.0 : (double) (f - lr->warmup) / (double) (lr->total - lr->warmup);
}

static double s_above_floor (const rk_lr_t *lr, double factor)
{
    return (double) lr->floor + (1.0 - (double) lr->floor) * factor;
}

static double s_cosine (const rk_lr_t *lr, uint64_t f)
{
    const double factor = f >= lr->total ? 0.0 : 0.5 * (1.0 + cos (3.141592653589793 * s_share (lr, f)));
    return s_above_floor (lr, factor);
}

static double s_linear (const rk_lr_t *lr, uint64_t f)
{
    return s_above_floor (lr, 1.0 - s_share (lr, f));
}

static double s_polynomial (const rk_lr_t *lr, uint64_t f)
{
    return s_above_floor (lr, pow (1.0 - s_share (lr, f), (double) lr->power));
}

/* As the Transformer's (Vaswani et al., 2017): meets the warm-up at its end. */
static double s_inverse_sqrt (const rk_lr_t *lr, uint64_t f)
{
    return sqrt ((double) (lr->warmup + 1) / (double) (f + 1));
}

/* ---- checks */

static rk_err_t s_constant_check (const rk_lr_t *lr, rk_error_t *err)
{
    return RK_OK;
}

static rk_err_t s_gamma_check (const rk_lr_t *lr, rk_error_t *err)
{
    if (lr->step_gamma > 0 && isfinite (lr->step_gamma))
        return RK_OK;
    return rk_error_set (err, RK_EINVAL, "%s schedule: drops to %g of the rate, must be above 0", lr->name,
                         (double) lr->step_gamma);
}

static rk_err_t s_step_check (const rk_lr_t *lr, rk_error_t *err)
{
    if (lr->step_every == 0)
        return rk_error_set (err, RK_EINVAL, "step schedule: every 0 minibatches, must be above 0");
    return s_gamma_check (lr, err);
}

static rk_err_t s_milestones_check (const rk_lr_t *lr, rk_error_t *err)
{
    bool ascending = lr->n_milestones > 0 && lr->n_milestones <= RK_LR_MAX_MILESTONES;
    for (uint32_t i = 1; i < lr->n_milestones && ascending; i++)
        ascending = lr->milestones[i] > lr->milestones[i - 1];
    if (!ascending)
        return rk_error_set (err, RK_EINVAL, "milestones schedule: needs 1 to %d milestones in ascending order",
                             RK_LR_MAX_MILESTONES);
    return s_gamma_check (lr, err);
}

static rk_err_t s_falling_check (const rk_lr_t *lr, rk_error_t *err)
{
    if (lr->total <= lr->warmup)
        return rk_error_set (err, RK_EINVAL, "%s schedule: %llu minibatches in all, %llu of them warm-up", lr->name,
                             (unsigned long long) lr->total, (unsigned long long) lr->warmup);
    if (!(lr->floor >= 0 && lr->floor <= 1))
        return rk_error_set (err, RK_EINVAL, "%s schedule: ends at %g of the rate, not in [0, 1]", lr->name,
                             (double) lr->floor);
    return RK_OK;
}

#define s_cosine_check s_falling_check
#define s_linear_check s_falling_check
#define s_inverse_sqrt_check s_constant_check

static rk_err_t s_polynomial_check (const rk_lr_t *lr, rk_error_t *err)
{
    if (!(lr->power > 0) || !isfinite (lr->power))
        return rk_error_set (err, RK_EINVAL, "polynomial schedule: power %g is not above 0", (double) lr->power);
    return s_falling_check (lr, err);
}

/* ---- the table */

typedef struct {
    double (*factor) (const rk_lr_t *lr, uint64_t f);
    rk_err_t (*check) (const rk_lr_t *lr, rk_error_t *err);
} s_schedule_t;

#define RK_LR(function, name) {s_##function, s_##function##_check},
static const s_schedule_t s_schedules[] = {
#include "compute/lr_list.h"
};
#undef RK_LR

#define RK_LR(function, name) name,
static const char *const s_names[] = {
#include "compute/lr_list.h"
    NULL};
#undef RK_LR

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
    return s_schedules[found].check (lr, err);
}

float rk_lr_at (const rk_lr_t *lr, uint64_t f)
{
    if (f < lr->warmup)
        return (float) ((double) lr->base * (double) (f + 1) / (double) (lr->warmup + 1));
    int found = rk_find_name ("learning-rate schedule", lr->name, s_names, NULL);
    return found < 0 ? lr->base : (float) ((double) lr->base * s_schedules[found].factor (lr, f));
}
