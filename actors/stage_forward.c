/* SPDX-License-Identifier: MPL-2.0
 * One forward: the kernel writes its outputs into a pooled buffer, which is lent to the socket; tensors that
 * only pass through, and the labels, go on as further references to the received frames.                  */
#include "actors/stage_parts.h"
#include "compute/kernels/vec.h"

#include <math.h>

#define RETRY_NS 50000 /* the I/O thread still holds every buffer: it gives one back within microseconds */

const float *rk_stage_floats (zmq_msg_t *msg, uint32_t dtype, size_t n, float *scratch)
{
    const void *bytes = zmq_msg_data (msg);
    if (dtype == RK_DTYPE_F16)
        rk_vec ()->f16_to_f32 (n, bytes, scratch);
    else if ((uintptr_t) bytes % sizeof (float) == 0)
        return bytes;
    else
        memcpy (scratch, bytes, n * sizeof (float));
    return scratch;
}

const void *rk_stage_labels (rk_stage_t *self, rk_slot_t *slot)
{
    zmq_msg_t *frame = &slot->in[self->in.n];
    const void *bytes = zmq_msg_data (frame);
    if ((uintptr_t) bytes % RK_LABEL_BYTES == 0)
        return bytes;
    memcpy (self->label_scratch, bytes, slot->n * rk_model_n_labels (self->model) * RK_LABEL_BYTES);
    return self->label_scratch;
}

/* ---- what a forward sends */

static rk_err_t s_answer_predicted (rk_stage_t *self, rk_slot_t *slot, rk_error_t *err)
{
    const size_t n_classes = rk_model_n_classes (self->model), n_rows = slot->n * rk_model_n_outputs (self->model) / n_classes;
    uint32_t to = rk_loop_find (self->loop, RK_ACTOR_CHECKPOINTER);
    rk_msg_t msg = {.kind = RK_MSG_PREDICTION,
                    .prediction = {.f = slot->f, .n = (uint32_t) n_rows, .n_classes = (uint32_t) n_classes}};
    rk_frame_t frame = {.bytes = self->probs->bytes, .size = n_rows * n_classes * sizeof (float),
                        .release = rk_buffer_release, .hint = self->probs};
    self->probs = NULL; /* lent */
    return rk_loop_send (self->loop, to, &msg, &frame, 1, err);
}

static rk_err_t s_answer_evaluated (rk_stage_t *self, rk_slot_t *slot, rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_EVALUATED,
                    .evaluated = {.f = slot->f, .round = slot->round, .loss_sum = slot->loss.loss_sum,
                                  .n_correct = slot->loss.n_correct, .mode = slot->mode, .cluster = self->cluster, .n = slot->n, .n_counted = slot->loss.n_counted}};
    return rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
}

/* The last stage: a training minibatch turns round here, a forward-only one ends. */
static rk_err_t s_turn (rk_stage_t *self, rk_error_t *err)
{
    rk_slot_t *slot = self->at;
    if (slot->mode == RK_MB_TRAIN)
        return isfinite (slot->loss.loss_sum) ? RK_OK : rk_stage_blame (self, slot, err);
    uint64_t f = slot->f, round = slot->round;
    uint32_t mode = slot->mode;
    if (mode == RK_MB_PREDICT) /* nobody knows the labels: it only says that the prediction is made */
        slot->loss = (rk_loss_t){0};
    rk_err_t code = mode == RK_MB_PREDICT ? s_answer_predicted (self, slot, err) : RK_OK;
    if (code == RK_OK)
        code = s_answer_evaluated (self, slot, err);
    rk_stage_release (self, slot);
    return code == RK_OK ? rk_stage_send_credit (self, f, round, mode, err) : code;
}

/* Frame i of the activation. f16: `wire` holds the image. */
static rk_frame_t s_frame (rk_stage_t *self, rk_slot_t *slot, int i, rk_buffer_t *wire)
{
    size_t n = slot->n * self->out.tensor[i].elems, at = self->out.at[i];
    int source = self->out.source[i];
    if (source >= 0 && slot->dtype == (self->f16 ? RK_DTYPE_F16 : RK_DTYPE_F32))
        return (rk_frame_t){.share = &slot->in[source]};
    if (!wire)
        return (rk_frame_t){.bytes = rk_buffer_floats (slot->out) + at, .size = n * sizeof (float),
                            .release = rk_buffer_release, .hint = rk_buffer_ref (slot->out)};
    const float *from = rk_buffer_floats (slot->out) + at;
    if (source >= 0) /* arrived as f32, goes on as f16 */
        from = rk_stage_floats (&slot->in[source], slot->dtype, n, slot->scratch + self->in.at[source]);
    uint8_t *to = wire->bytes + at * sizeof (uint16_t);
    rk_vec ()->f32_to_f16 (n, from, to);
    return (rk_frame_t){.bytes = to, .size = n * sizeof (uint16_t), .release = rk_buffer_release, .hint = rk_buffer_ref (wire)};
}

static rk_err_t s_publish (rk_stage_t *self, rk_error_t *err)
{
    rk_slot_t *slot = self->at;
    slot->state = RK_SLOT_STASHED;
    if (slot->mode == RK_MB_TRAIN)
        self->n_forward++;
    if (self->last)
        return s_turn (self, err);
    rk_buffer_t *wire = self->wire_outs ? rk_buffers_take (self->wire_outs) : NULL;
    if (self->wire_outs && !wire)
        return rk_error_set (err, RK_ENOMEM, "no free send buffer for minibatch %llu", (unsigned long long) slot->f);
    rk_frame_t frames[RK_MAX_BOUNDARY + 1];
    for (int i = 0; i < self->out.n; i++)
        frames[i] = s_frame (self, slot, i, wire);
    frames[self->out.n] = (rk_frame_t){.share = &slot->in[self->in.n]};
    rk_buffer_unref (wire);
    rk_msg_t msg = {.kind = RK_MSG_ACTIVATION,
                    .activation = {.f = slot->f, .round = slot->round, .mode = slot->mode, .n = slot->n,
                                   .dtype = self->f16 ? RK_DTYPE_F16 : RK_DTYPE_F32, .n_tensors = (uint32_t) self->out.n}};
    rk_err_t code = rk_loop_send (self->loop, self->downstream, &msg, frames, self->out.n + 1, err);
    if (slot->mode != RK_MB_TRAIN)
        rk_stage_release (self, slot);
    return code;
}

/* ---- the kernel */

static int s_take_ctx (rk_stage_t *self)
{
    uint32_t ctx = 0;
    while (self->ctx_busy[ctx]) /* the caller has seen that one is free */
        ctx++;
    self->ctx_busy[ctx] = true;
    return (int) ctx;
}

/* Every buffer the forward and its answer need, or none of them. */
static bool s_take_buffers (rk_stage_t *self, rk_slot_t *slot)
{
    bool predict = self->last && slot->mode == RK_MB_PREDICT;
    if (self->wire_outs && rk_buffers_in_use (self->wire_outs) == self->in_flight + RK_STAGE_SPARE_BUFFERS)
        return false;
    if (self->outs && !(slot->out = rk_buffers_take (self->outs)))
        return false;
    if (!predict || (self->probs = rk_buffers_take (self->probabilities)))
        return true;
    rk_buffer_unref (slot->out);
    slot->out = NULL;
    return false;
}

rk_err_t rk_stage_forward (rk_stage_t *self, rk_error_t *err)
{
    rk_slot_t *slot = self->at;
    bool train = slot->mode == RK_MB_TRAIN;
    if (!s_take_buffers (self, slot)) {
        self->next = rk_stage_forward;
        self->hold_until_ns = rk_now_ns () + RETRY_NS;
        return RK_OK;
    }
    rk_stage_kernel_begin (self);
    rk_err_t code = train ? rk_stage_tied_before_forward (self, err) : RK_OK;
    if (train && code == RK_OK)
        code = rk_stage_own_live (self, err);
    if (code != RK_OK)
        return code;
    const float *in[RK_MAX_BOUNDARY];
    float *out[RK_MAX_BOUNDARY];
    for (int i = 0; i < self->in.n; i++)
        in[i] = rk_stage_floats (&slot->in[i], slot->dtype, slot->n * self->in.tensor[i].elems, slot->scratch + self->in.at[i]);
    for (int i = 0; i < self->out.n; i++)
        out[i] = self->out.source[i] >= 0 ? NULL : rk_buffer_floats (slot->out) + self->out.at[i];
    bool measure = slot->mode == RK_MB_MEASURE;
    if (measure)
        code = rk_stage_begin_measure (self, err);
    if (code != RK_OK)
        return code;
    slot->version = rk_buffer_ref (train ? self->live : slot->mode == RK_MB_REPLICA ? self->mean : rk_stage_model (self));
    slot->version_steps = self->n_steps;
    slot->loss_scale = self->loss_scale;
    slot->ctx = s_take_ctx (self);
    rk_forward_t call = {
        .ctx = slot->ctx, .mode = train || measure ? RK_MODE_TRAIN : RK_MODE_EVAL, .f = slot->f, .n = slot->n,
        .flat = rk_buffer_floats (slot->version), .stats = measure ? self->measured : rk_buffer_floats (slot->version), .in = in, .out = out,
        .labels = self->last && slot->mode != RK_MB_PREDICT ? rk_stage_labels (self, slot) : NULL, .loss = &slot->loss,
        .probabilities = self->probs ? rk_buffer_floats (self->probs) : NULL};
    code = rk_slice_forward (self->slice, &call, err);
    if (code == RK_OK && measure)
        rk_stage_end_measure (self, slot->f);
    return code == RK_OK ? rk_stage_kernel_end (self, s_publish, err) : code;
}
