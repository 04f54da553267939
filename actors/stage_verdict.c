/* SPDX-License-Identifier: MPL-2.0
 * Updates: gradients of update_every minibatches, summed. Where nothing is judged, one is made as soon as it is
 * complete. Else (clipping, loss scaling, skipping) the squares of its gradients ride upstream, each stage adding
 * its own; stage 0 decides, and the verdict travels down between the activations. A stage holds the gradients
 * until then and works on: what it updates is that much staler, which is counted. A verdict takes its turn among
 * the activations, so that every forward sees the same parameters whatever the timing; and stage 0 returns the
 * credit of the last minibatch of an update behind its verdict, so that with one minibatch in flight nothing is
 * stale at all.                                                                                           */
#include "actors/stage_parts.h"

#include <math.h>

#include "compute/arena.h"
#include "compute/optim/norm.h"

#define LOUD_SKIPS 8 /* that are logged; the rest is only counted */

static rk_update_t *s_update (const rk_stage_t *self, uint64_t step)
{
    return &self->updates[step % self->n_updates];
}

rk_update_t *rk_stage_update (const rk_stage_t *self)
{
    return s_update (self, self->n_closed);
}

float *rk_stage_grads (const rk_stage_t *self)
{
    return self->grads[self->n_closed % self->n_grads];
}

/* An owner of a tied tensor adds another stage's share first: it clears instead. */
bool rk_stage_begins_update (const rk_stage_t *self)
{
    return !self->tied.owns && rk_stage_update (self)->n == 0;
}

bool rk_stage_has_room (const rk_stage_t *self)
{
    return self->n_closed - self->n_settled < self->n_grads;
}

/* ---- summing up */

/* Minibatches count by their samples; where an update is one minibatch, its gradient is the mean already. */
static double s_mean (const rk_stage_t *self, const rk_update_t *u)
{
    const rk_settings_t *settings = &self->plan->settings;
    return settings->pipeline_update_every > 1 ? (double) settings->train_batch / (double) u->samples : 1;
}

float rk_stage_loss_weight (rk_stage_t *self, const rk_slot_t *slot)
{
    const rk_settings_t *settings = &self->plan->settings;
    rk_update_t *u = rk_stage_update (self);
    if (u->n == 0)
        u->loss_scale = slot->loss_scale; /* not that of now: a verdict comes before or behind this backward */
    return settings->pipeline_update_every > 1 ? (float) slot->n / (float) settings->train_batch * u->loss_scale : u->loss_scale;
}

bool rk_stage_add (rk_stage_t *self, const rk_slot_t *slot)
{
    rk_update_t *u = rk_stage_update (self);
    u->seen_least = u->n && u->seen_least < slot->version_steps ? u->seen_least : slot->version_steps;
    u->seen_sum += slot->version_steps;
    u->samples += slot->n;
    u->last_f = slot->f;
    u->round = slot->round;
    if (self->last && !isfinite (slot->loss.loss_sum))
        u->poison = (double) NAN;
    return ++u->n >= self->plan->settings.pipeline_update_every;
}

void rk_stage_measure (rk_stage_t *self)
{
    self->n_squares = rk_grad_squares (self->model, self->layer_first, self->layer_last, rk_stage_grads (self), self->squares);
}

static void s_count_staleness (rk_stage_t *self, const rk_update_t *u)
{
    self->counts.staleness_sum += u->n * self->n_steps - u->seen_sum;
    self->counts.staleness_n += u->n;
    if (self->n_steps - u->seen_least > self->counts.staleness_max)
        self->counts.staleness_max = self->n_steps - u->seen_least;
}

/* What the verdict on the oldest update says; its memory is free again. */
static rk_err_t s_settle (rk_stage_t *self, rk_error_t *err)
{
    rk_update_t *u = s_update (self, self->n_settled);
    float *grads = self->grads[self->n_settled % self->n_grads];
    rk_err_t code = RK_OK;
    if (u->verdict.skip)
        self->counts.skipped++;
    else {
        s_count_staleness (self, u);
        code = rk_stage_step (self, grads, u->verdict.grad_scale, u->last_f, err);
    }
    self->loss_scale = u->verdict.loss_scale;
    if (self->tied.owns)
        memset (grads, 0, self->n_flat * sizeof *grads);
    *u = (rk_update_t){.n = 0};
    self->n_settled++;
    return code;
}

rk_err_t rk_stage_make_update (rk_stage_t *self, rk_error_t *err)
{
    rk_update_t *u = rk_stage_update (self);
    u->verdict = (rk_verdict_t){.grad_scale = (float) s_mean (self, u), .loss_scale = 1};
    self->n_closed++;
    return s_settle (self, err);
}

/* ---- the norm, upstream */

/* The first stage whose gradient is no number says so. With loss scaling that is what it is there to find. */
static rk_err_t s_complain (const rk_stage_t *self, const rk_update_t *u, size_t bad, rk_error_t *err)
{
    const rk_settings_t *settings = &self->plan->settings;
    const char *name = rk_grad_squares_param (self->model, self->layer_last, bad)->name;
    const unsigned long long f = u->last_f;
    const bool scaled = settings->train_loss_scale == 0 ? u->loss_scale > 1 : settings->train_loss_scale != 1;
    if (!scaled && settings->train_nonfinite == RK_NONFINITE_STOP)
        return rk_error_set (err, RK_ENONFINITE, "minibatch %llu: the gradient of %s is not finite", f, name);
    if (self->counts.skipped < LOUD_SKIPS)
        rk_log (scaled ? RK_LOG_INFO : RK_LOG_WARNING, "SKIPPED", "minibatch=%llu cluster=%u the gradient of %s is not finite", f,
                self->cluster, name);
    return RK_OK;
}

static rk_err_t s_send_verdict (rk_stage_t *self, uint64_t step, const rk_verdict_t *verdict, rk_error_t *err)
{
    if (self->last)
        return RK_OK;
    rk_msg_t msg = {.kind = RK_MSG_VERDICT,
                    .verdict = {.step = step, .skip = verdict->skip, .grad_scale = verdict->grad_scale,
                                .loss_scale = verdict->loss_scale}};
    return rk_loop_send (self->loop, self->downstream, &msg, NULL, 0, err);
}

static rk_err_t s_judge (rk_stage_t *self, rk_update_t *u, double squares, rk_error_t *err)
{
    const uint64_t f = u->last_f, round = u->round;
    const bool owes_credit = u->owes_credit;
    const rk_verdict_t verdict = rk_verdict_give (&self->training.verdict, &self->verdict_state, squares, s_mean (self, u),
                                                  u->loss_scale);
    u->verdict = verdict;
    rk_err_t code = s_send_verdict (self, self->n_settled, &verdict, err);
    if (code == RK_OK)
        code = s_settle (self, err);
    return code == RK_OK && owes_credit ? rk_stage_send_credit (self, f, round, RK_MB_TRAIN, err) : code;
}

/* As soon as both its own gradients and the sum of the stages after are complete. */
static rk_err_t s_pass_norm (rk_stage_t *self, uint64_t step, rk_error_t *err)
{
    rk_update_t *u = s_update (self, step);
    if (!u->closed || !u->summed || u->sent)
        return RK_OK;
    size_t bad = SIZE_MAX;
    const double squares = rk_add_squares (u->above + u->poison, self->n_squares, self->squares, &bad);
    u->sent = true;
    rk_err_t code = bad != SIZE_MAX ? s_complain (self, u, bad, err) : RK_OK;
    if (code != RK_OK)
        return code;
    if (self->first)
        return s_judge (self, u, squares, err);
    rk_msg_t msg = {.kind = RK_MSG_NORM, .norm = {.step = step, .squares = squares, .loss_scale = u->loss_scale}};
    return rk_loop_send (self->loop, self->upstream, &msg, NULL, 0, err);
}

rk_err_t rk_stage_close_update (rk_stage_t *self, bool owes_credit, rk_error_t *err)
{
    rk_update_t *u = rk_stage_update (self);
    u->closed = true;
    u->owes_credit = owes_credit;
    u->summed = u->summed || self->last;
    return s_pass_norm (self, self->n_closed++, err);
}

rk_err_t rk_stage_on_norm (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    const rk_norm_t *norm = &packet->msg.norm;
    rk_err_t code = rk_stage_expect (packet, self->downstream, err);
    if (code != RK_OK || self->stopped)
        return code;
    /* Stages after this one may be ahead by what is in flight. */
    if (!self->judged || norm->step < self->n_settled || norm->step - self->n_settled >= self->n_updates ||
        s_update (self, norm->step)->summed)
        return rk_error_set (err, RK_ESTALE, "norm of update %llu, which does not wait for one", (unsigned long long) norm->step);
    rk_update_t *u = s_update (self, norm->step);
    u->summed = true;
    u->above = self->corrupt == RK_CORRUPT_LOST_NORM ? 0 : norm->squares;
    u->loss_scale = norm->loss_scale;
    code = s_pass_norm (self, norm->step, err);
    return code == RK_OK ? rk_stage_check_round (self, err) : code;
}

/* ---- the verdict, downstream */

rk_err_t rk_stage_on_verdict (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    const rk_verdict_msg_t *verdict = &packet->msg.verdict;
    rk_err_t code = rk_stage_expect (packet, self->upstream, err);
    if (code != RK_OK || self->stopped)
        return code;
    if (!self->judged || self->first || verdict->step != self->n_judged || verdict->step >= self->n_closed ||
        !s_update (self, verdict->step)->sent)
        return rk_error_set (err, RK_ESTALE, "verdict on update %llu, which does not wait for one",
                             (unsigned long long) verdict->step);
    rk_update_t *u = s_update (self, verdict->step);
    u->verdict = (rk_verdict_t){verdict->skip, verdict->grad_scale, verdict->loss_scale};
    u->order = ++self->n_orders;
    self->n_judged++;
    return RK_OK;
}

bool rk_stage_take_verdict (rk_stage_t *self, rk_err_t *code, rk_error_t *err)
{
    if (self->n_settled >= self->n_judged)
        return false;
    const rk_update_t *u = s_update (self, self->n_settled);
    for (int i = 0; i < self->n_slots; i++)
        if (self->slots[i].state == RK_SLOT_ARRIVED && self->slots[i].order < u->order)
            return false; /* its forward comes first */
    *code = s_send_verdict (self, self->n_settled, &u->verdict, err);
    rk_stage_kernel_begin (self);
    if (*code == RK_OK)
        *code = s_settle (self, err);
    self->counts.busy_ns += rk_thread_cpu_ns () - self->kernel_cpu_ns;
    if (*code == RK_OK)
        *code = rk_stage_check_round (self, err);
    return true;
}

/* ---- memory */

rk_err_t rk_stage_make_updates (rk_stage_t *self)
{
    const rk_settings_t *settings = &self->plan->settings;
    self->judged = rk_settings_judged (settings);
    rk_verdict_start (&self->training.verdict, &self->verdict_state);
    self->loss_scale = self->verdict_state.loss_scale;
    self->n_grads = (uint32_t) rk_settings_gradients (settings, self->first, self->in_flight);
    self->n_updates = 2 * self->in_flight + 2;
    self->updates = calloc (self->n_updates, sizeof *self->updates);
    self->grads = calloc (self->n_grads, sizeof *self->grads);
    self->squares = calloc (rk_model_n_tensors (self->model) + 1, sizeof *self->squares);
    if (!self->updates || !self->grads || !self->squares)
        return RK_ENOMEM;
    for (uint32_t i = 0; i < self->n_grads; i++)
        if (!(self->grads[i] = rk_arena_memory ((self->n_flat + self->n_tied) * sizeof (float) + 1)))
            return RK_ENOMEM;
    return RK_OK;
}

void rk_stage_clear_updates (rk_stage_t *self)
{
    memset (self->updates, 0, self->n_updates * sizeof *self->updates);
    for (uint32_t i = 0; i < self->n_grads; i++)
        memset (self->grads[i], 0, (self->n_flat + self->n_tied) * sizeof (float));
    self->n_closed = self->n_judged = self->n_settled = 0;
}

void rk_stage_free_updates (rk_stage_t *self)
{
    for (uint32_t i = 0; i < self->n_grads && self->grads; i++)
        free (self->grads[i]);
    free (self->grads);
    free (self->updates);
    free (self->squares);
}
