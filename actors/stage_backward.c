/* SPDX-License-Identifier: MPL-2.0
 * One backward without a bubble: input gradients, which go upstream at once; then parameter gradients, the
 * optimiser step, and credit.                                                                             */
#include "actors/stage_parts.h"
#include "compute/kernels/vec.h"

#include <math.h>

#define RETRY_NS 50000
#define HALF_MOST 65504.0f

static const float *s_version (const rk_stage_t *self, const rk_slot_t *slot)
{
    return rk_buffer_floats (self->corrupt == RK_CORRUPT_STALE_VERSION ? self->live : slot->version);
}

rk_err_t rk_stage_send_credit (rk_stage_t *self, uint64_t f, uint64_t round, uint32_t mode, rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_CREDIT, .credit = {.f = f, .round = round, .mode = mode}};
    rk_err_t code = mode == RK_MB_TRAIN ? rk_stage_tied_send_values (self, RK_TIED_VALUES, f, round, err) : RK_OK;
    return code == RK_OK ? rk_loop_send (self->loop, self->upstream, &msg, NULL, 0, err) : code;
}

/* ---- last: the minibatch is over */

static rk_err_t s_finish (rk_stage_t *self, rk_error_t *err)
{
    rk_slot_t *slot = self->at;
    uint64_t f = slot->f, round = slot->round;
    rk_stage_counts_t *counts = &self->counts;
    counts->minibatches++;
    counts->samples += slot->n;
    if (self->last && isfinite (slot->loss.loss_sum)) { /* one that is no number is counted as skipped */
        counts->loss_sum += slot->loss.loss_sum;
        counts->n_correct += slot->loss.n_correct;
        counts->n_counted += slot->loss.n_counted;
    }
    rk_stage_release (self, slot);
    self->at = NULL;
    self->n_backward++;
    const bool closes = self->judged && rk_stage_update (self)->n >= self->plan->settings.pipeline_update_every;
    rk_err_t code = RK_OK;
    if (closes)
        code = rk_stage_close_update (self, self->first, err);
    else if (self->first)
        code = rk_stage_send_credit (self, f, round, RK_MB_TRAIN, err);
    return code == RK_OK ? rk_stage_check_round (self, err) : code;
}

/* ---- then: parameter gradients and the step */

static rk_err_t s_params (rk_stage_t *self, rk_error_t *err)
{
    rk_slot_t *slot = self->at;
    rk_stage_kernel_begin (self);
    if (rk_stage_begins_update (self))
        rk_slice_begin_grads (self->slice, slot->ctx);
    rk_stage_tied_add_share (self, slot->f, rk_stage_grads (self));
    rk_err_t code = rk_slice_backward_params (self->slice, slot->ctx, s_version (self, slot), rk_stage_grads (self), err);
    if (code == RK_OK)
        code = rk_stage_tied_send_share (self, slot->f, slot->round, rk_stage_grads (self), err);
    if (code != RK_OK)
        return code;
    rk_buffer_unref (slot->version); /* before the step: if nobody else holds it, the step is in place */
    slot->version = NULL;
    bool complete = rk_stage_add (self, slot);
    if (complete && !self->judged)
        code = rk_stage_make_update (self, err);
    else if (complete)
        rk_stage_measure (self);
    return code == RK_OK ? rk_stage_kernel_end (self, s_finish, err) : code;
}

/* ---- first: input gradients, sent upstream */

/* Halves are clamped on the wire: with loss scaling that is an overflow like any other. */
static bool s_overflows (size_t n, const float *x)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fabsf (x[i]) > most ? fabsf (x[i]) : most;
    return most > HALF_MOST;
}

static rk_frame_t s_frame (rk_stage_t *self, rk_slot_t *slot, int i, rk_buffer_t *wire)
{
    size_t n = slot->n * self->in.tensor[i].elems, at = self->in.at[i];
    const float *from = rk_buffer_floats (self->gin) + at;
    if (!wire)
        return (rk_frame_t){.bytes = from, .size = n * sizeof (float), .release = rk_buffer_release,
                            .hint = rk_buffer_ref (self->gin)};
    if (self->plan->settings.train_loss_scale != 1 && s_overflows (n, from))
        rk_stage_update (self)->poison = (double) INFINITY;
    uint8_t *to = wire->bytes + at * sizeof (uint16_t);
    rk_vec ()->f32_to_f16 (n, from, to);
    return (rk_frame_t){.bytes = to, .size = n * sizeof (uint16_t), .release = rk_buffer_release, .hint = rk_buffer_ref (wire)};
}

static rk_err_t s_publish (rk_stage_t *self, rk_error_t *err)
{
    self->next = s_params;
    if (self->first)
        return RK_OK;
    rk_slot_t *slot = self->at;
    rk_buffer_t *wire = self->wire_gins ? rk_buffers_take (self->wire_gins) : NULL;
    if (self->wire_gins && !wire)
        return rk_error_set (err, RK_ENOMEM, "no free send buffer for gradient %llu", (unsigned long long) slot->f);
    rk_frame_t frames[RK_MAX_BOUNDARY];
    int n = 0;
    for (int i = 0; i < self->in.n; i++)
        if (self->in.tensor[i].needs_grad)
            frames[n++] = s_frame (self, slot, i, wire);
    rk_buffer_unref (wire);
    rk_buffer_unref (self->gin);
    self->gin = NULL;
    rk_msg_t msg = {.kind = RK_MSG_GRADIENT,
                    .gradient = {.f = slot->f, .round = slot->round, .n = slot->n,
                                 .dtype = self->f16 ? RK_DTYPE_F16 : RK_DTYPE_F32, .n_tensors = (uint32_t) n}};
    return rk_loop_send (self->loop, self->upstream, &msg, frames, n, err);
}

static bool s_take_buffers (rk_stage_t *self)
{
    if (self->wire_gins && rk_buffers_in_use (self->wire_gins) == RK_STAGE_SPARE_BUFFERS)
        return false;
    return !self->gins || (self->gin = rk_buffers_take (self->gins));
}

rk_err_t rk_stage_backward (rk_stage_t *self, rk_error_t *err)
{
    rk_slot_t *slot = self->at;
    if (!s_take_buffers (self)) {
        self->next = rk_stage_backward;
        self->hold_until_ns = rk_now_ns () + RETRY_NS;
        return RK_OK;
    }
    rk_stage_kernel_begin (self);
    const float *gout[RK_MAX_BOUNDARY];
    float *gin[RK_MAX_BOUNDARY];
    int frame = 0;
    for (int i = 0; i < self->out.n; i++)
        gout[i] = self->out.tensor[i].needs_grad
                      ? rk_stage_floats (&slot->gout[frame++], slot->gradient_dtype, slot->n * self->out.tensor[i].elems,
                                         self->gout_scratch + self->out.at[i])
                      : NULL;
    for (int i = 0; i < self->in.n; i++)
        gin[i] = self->in.tensor[i].needs_grad ? rk_buffer_floats (self->gin) + self->in.at[i] : NULL;
    if (self->last)
        rk_slice_scale_loss (self->slice, slot->ctx, rk_stage_loss_weight (self, slot));
    rk_err_t code = rk_slice_backward_input (self->slice, slot->ctx, s_version (self, slot), gout, gin, err);
    return code == RK_OK ? rk_stage_kernel_end (self, s_publish, err) : code;
}
