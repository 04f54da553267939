/* SPDX-License-Identifier: MPL-2.0
 * One backward without a bubble: input gradients, which go upstream at once; then parameter gradients, the
 * optimiser step, and credit.                                                                             */
#include "actors/stage_parts.h"
#include "compute/kernels/vec.h"

#define RETRY_NS 50000

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
    counts->loss_sum += self->last ? slot->loss.loss_sum : 0;
    counts->n_correct += self->last ? slot->loss.n_correct : 0;
    counts->n_counted += self->last ? slot->loss.n_counted : 0;
    rk_stage_release (self, slot);
    self->at = NULL;
    self->n_backward++;
    rk_err_t code = self->first ? rk_stage_send_credit (self, f, round, RK_MB_TRAIN, err) : RK_OK;
    return code == RK_OK ? rk_stage_check_round (self, err) : code;
}

/* ---- then: parameter gradients and the step */

static void s_count_staleness (rk_stage_t *self, const rk_slot_t *slot)
{
    uint64_t staleness = self->n_steps - slot->version_steps;
    self->counts.staleness_sum += staleness;
    self->counts.staleness_n++;
    if (staleness > self->counts.staleness_max)
        self->counts.staleness_max = staleness;
}

static rk_err_t s_params (rk_stage_t *self, rk_error_t *err)
{
    rk_slot_t *slot = self->at;
    rk_stage_kernel_begin (self);
    rk_stage_tied_add_share (self, slot->f, self->grads);
    rk_err_t code = rk_slice_backward_params (self->slice, slot->ctx, s_version (self, slot), self->grads, err);
    if (code == RK_OK)
        code = rk_stage_tied_send_share (self, slot->f, slot->round, self->grads, err);
    if (code != RK_OK)
        return code;
    rk_buffer_unref (slot->version); /* before the step: if nobody else holds it, the step is in place */
    slot->version = NULL;
    s_count_staleness (self, slot);
    self->last_f = slot->f;
    if (++self->n_accumulated >= self->plan->settings.pipeline_update_every)
        code = rk_stage_step (self, err);
    return code == RK_OK ? rk_stage_kernel_end (self, s_finish, err) : code;
}

/* ---- first: input gradients, sent upstream */

static rk_frame_t s_frame (rk_stage_t *self, rk_slot_t *slot, int i, rk_buffer_t *wire)
{
    size_t n = slot->n * self->in.tensor[i].elems, at = self->in.at[i];
    const float *from = rk_buffer_floats (self->gin) + at;
    if (!wire)
        return (rk_frame_t){.bytes = from, .size = n * sizeof (float), .release = rk_buffer_release,
                            .hint = rk_buffer_ref (self->gin)};
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
    rk_err_t code = rk_slice_backward_input (self->slice, slot->ctx, s_version (self, slot), gout, gin, err);
    return code == RK_OK ? rk_stage_kernel_end (self, s_publish, err) : code;
}
