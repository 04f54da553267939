/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/control.h"

#include <math.h>
#include <string.h>

#define RATIO 1.5
#define RAISE 1.25
#define LOWER 0.8
#define POWER 0.5
#define DELAY 2
#define SETTLE 20 /* momentum of 0.9 needs as many rounds to be what it will be */

rk_err_t rk_control_init (rk_control_t *control, const rk_control_config_t *config, rk_error_t *err)
{
    memset (control, 0, sizeof *control);
    rk_control_config_t *c = &control->config;
    *c = *config;
    c->ratio = c->ratio > 0 ? c->ratio : RATIO;
    c->raise = c->raise > 0 ? c->raise : RAISE;
    c->lower = c->lower > 0 ? c->lower : LOWER;
    c->power = c->power > 0 ? c->power : POWER;
    c->delay = c->delay ? c->delay : DELAY;
    c->settle = c->settle ? c->settle : SETTLE;
    if (c->n_values == 0 || c->n_values > RK_CONTROL_LADDER)
        return rk_error_set (err, RK_EINVAL, "a closed loop over %u values: 1 to %d are possible", c->n_values,
                             RK_CONTROL_LADDER);
    if (!(c->lr_peak > 0) || !(c->lower < 1 && c->raise > 1))
        return rk_error_set (
            err, RK_EINVAL,
            "a closed loop with peak rate %g, hysteresis %g to %g: the rate must be above 0 and the band around 1",
            c->lr_peak, c->lower, c->raise);
    for (uint32_t v = 0; v < c->n_values; v++) {
        control->values[v] = config->values[v];
        control->sight[v] = config->sight ? config->sight[v] : 1;
    }
    c->values = control->values;
    c->sight = control->sight;
    control->at = c->n_values - 1;
    return RK_OK;
}

double rk_control_target (const rk_control_t *control, double lr)
{
    const rk_control_config_t *c = &control->config;
    return c->ratio * control->reference * c->lr_peak * pow (lr / c->lr_peak, c->power);
}

static bool s_decide (rk_control_t *control, uint32_t to, uint64_t round, rk_control_record_t *record)
{
    control->at = to;
    control->holds_from = round + control->config.delay;
    control->n_here = 0;
    control->sum = 0;
    *record = (rk_control_record_t){control->holds_from, control->values[to]};
    return true;
}

/* A value that was given up is worth a try once the learning rate promises that it will do: the distance is
 * proportional to the rate, the target to a power of it.                                                    */
static bool s_may_try (const rk_control_t *control, uint32_t value, double lr)
{
    const rk_control_config_t *c = &control->config;
    if (control->too_far[value] == 0)
        return true;
    if (c->retry > 0 && control->n_observed - control->given_up[value] >= c->retry)
        return true;
    return control->too_far[value] * pow (lr / control->too_far_lr[value], 1 - c->power) <= 1;
}

bool rk_control_observe (rk_control_t *control, uint64_t round, double distance, double lr, rk_control_record_t *record)
{
    const rk_control_config_t *c = &control->config;
    if (round < control->holds_from || !isfinite (distance) || distance < 0 || !(lr > 0))
        return false;
    const double seen = distance * control->sight[control->at];
    control->n_observed++;
    if (++control->n_here <= c->settle) /* what was before is still in it */
        return false;
    const double over = control->reference > 0 ? seen / rk_control_target (control, lr) : seen / lr;
    control->sum += over * over;
    if (control->n_here < 2 * c->settle)
        return false;
    const double mean = sqrt (control->sum / c->settle);
    control->n_here = c->settle; /* the next ones are judged afresh */
    control->sum = 0;
    if (control->reference == 0) {
        control->reference = mean;
        return false;
    }
    if (mean > c->raise && control->at + 1 < c->n_values) {
        control->too_far[control->at] = mean;
        control->too_far_lr[control->at] = lr;
        control->given_up[control->at] = control->n_observed;
        return s_decide (control, control->at + 1, round, record);
    }
    if (mean < c->lower && control->at > 0 && s_may_try (control, control->at - 1, lr))
        return s_decide (control, control->at - 1, round, record);
    return false;
}
