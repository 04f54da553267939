/* SPDX-License-Identifier: MPL-2.0
 * What the orders and momenta of decentralised training add to a stage's rounds (cluster/mix.h): before the
 * snapshot goes, after the mixture has come. Elementwise, so every stage does it alone.                   */
#include "actors/stage_parts.h"
#include "cluster/mix.h"
#include "compute/arena.h"
#include "compute/kernels/vec.h"

#include <math.h>

/* ---- open and close */

rk_err_t rk_stage_mix_open (rk_stage_t *self)
{
    const rk_settings_t *settings = &self->plan->settings;
    rk_stage_mix_t *mix = &self->mix;
    if (!self->reducer)
        return RK_OK;
    mix->late = settings->average_order == RK_AVERAGE_AWC;
    mix->guarded = strcmp (settings->average_graph, "complete") != 0;
    if (settings->average_momentum == RK_MOMENTUM_QUASI_GLOBAL)
        mix->start = rk_arena_memory (self->n_flat * sizeof (float) + 1);
    if (settings->average_tracking) {
        mix->y = rk_arena_memory (self->n_flat * sizeof (float) + 1);
        mix->d = rk_arena_memory (self->n_flat * sizeof (float) + 1);
    }
    bool momentum_ok = settings->average_momentum != RK_MOMENTUM_QUASI_GLOBAL || mix->start;
    return momentum_ok && (!settings->average_tracking || (mix->y && mix->d)) ? RK_OK : RK_ENOMEM;
}

void rk_stage_mix_close (rk_stage_t *self)
{
    free (self->mix.start);
    free (self->mix.y);
    free (self->mix.d);
}

/* ---- before the snapshot */

static void s_name_frozen (rk_stage_t *self)
{
    const float *live = rk_buffer_floats (self->live);
    size_t base = rk_model_flat_at (self->model, self->layer_first);
    const char *where = "?";
    for (size_t i = rk_model_n_tensors (self->model); i-- > 0;) {
        const rk_param_t *param = rk_model_param (self->model, i);
        if (param->layer < self->layer_first || param->layer >= self->layer_last)
            continue;
        if (!isfinite (rk_vec ()->sum (param->count, live + param->offset - base)))
            where = param->name;
    }
    rk_log (RK_LOG_ERROR, "REPLICA-FROZEN", "replica=%u stage=%u round=%llu tensor=%s is not finite; the others go on without it",
            self->cluster, self->stage, (unsigned long long) self->round, where);
}

/* x := x - y, beside the live version; statistics stay as they are. */
static rk_err_t s_track (rk_stage_t *self, rk_error_t *err)
{
    rk_buffer_t *x = rk_stage_take_version (self, err);
    if (!x)
        return RK_ENOMEM;
    memcpy (x->bytes, self->live->bytes, self->n_flat * sizeof (float));
    rk_mix_track (self->n_flat, rk_buffer_floats (self->mean), rk_buffer_floats (x), self->mix.y, self->mix.d);
    rk_stage_copy_stats (self, rk_buffer_floats (self->live), rk_buffer_floats (x));
    self->snapshot = x;
    return RK_OK;
}

rk_err_t rk_stage_take_snapshot (rk_stage_t *self, rk_error_t *err)
{
    rk_stage_mix_t *mix = &self->mix;
    rk_err_t code = rk_stage_correct_late (self, err);
    if (code != RK_OK)
        return code;
    if (mix->guarded && !mix->frozen && !isfinite (rk_vec ()->sum (self->n_flat, rk_buffer_floats (self->live)))) {
        mix->frozen = true;
        s_name_frozen (self);
    }
    if (mix->frozen) /* its last good values: others put their own in their place */
        self->snapshot = rk_buffer_ref (self->mean);
    else if (mix->y)
        return s_track (self, err);
    else
        self->snapshot = rk_buffer_ref (self->live);
    return RK_OK;
}

/* ---- after the mixture */

/* AWC: the mixture of what the round began with is added when it ends. */
rk_err_t rk_stage_correct_late (rk_stage_t *self, rk_error_t *err)
{
    if (!self->mix.due)
        return RK_OK;
    self->mix.due = false;
    return rk_stage_correct_live (self, err);
}

/* before: the parameters when the round began; self->mean is what they are now. */
void rk_stage_after_mix (rk_stage_t *self, const float *before)
{
    rk_stage_mix_t *mix = &self->mix;
    if (!mix->start)
        return;
    if (mix->lr_sum > 0)
        rk_mix_quasi_global (self->n_flat, 1.0f - self->training.config.momentum, (float) (1.0 / mix->lr_sum), before,
                             rk_buffer_floats (self->mean), mix->start);
    memcpy (self->slot_state[0], mix->start, self->n_flat * sizeof (float));
    mix->lr_sum = 0;
}
