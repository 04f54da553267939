/* SPDX-License-Identifier: MPL-2.0
 * Messages from the neighbours. Everything is checked against the plan before any of it is used; frames are
 * moved into the slot of their minibatch and read where they lie.                                         */
#include "actors/stage_parts.h"

rk_err_t rk_stage_expect (const rk_packet_t *packet, uint32_t address, rk_error_t *err)
{
    if (packet->msg.sender == address && address)
        return RK_OK;
    return rk_error_set (err, RK_EFORMAT, "%s from %s %u, which the plan does not foresee", rk_msg_kind_name (packet->msg.kind),
                         rk_actor_kind_name (rk_address_kind (packet->msg.sender)), rk_address_node (packet->msg.sender));
}

rk_slot_t *rk_stage_find (rk_stage_t *self, uint64_t f, uint32_t mode)
{
    for (int i = 0; i < self->n_slots; i++) {
        rk_slot_t *slot = &self->slots[i];
        if (slot->state != RK_SLOT_FREE && slot->f == f && slot->mode == mode)
            return slot;
    }
    return NULL;
}

static rk_slot_t *s_free_slot (rk_stage_t *self)
{
    for (int i = 0; i < self->n_slots; i++)
        if (self->slots[i].state == RK_SLOT_FREE)
            return &self->slots[i];
    return NULL;
}

void rk_stage_release (rk_stage_t *self, rk_slot_t *slot)
{
    if (slot->state == RK_SLOT_FREE)
        return;
    for (int i = 0; i < slot->n_in; i++)
        zmq_msg_close (&slot->in[i]);
    for (int i = 0; i < slot->n_gout; i++)
        zmq_msg_close (&slot->gout[i]);
    slot->n_in = slot->n_gout = 0;
    rk_buffer_unref (slot->out);
    rk_buffer_unref (slot->version);
    slot->out = slot->version = NULL;
    if (slot->ctx >= 0) {
        rk_slice_release (self->slice, slot->ctx);
        self->ctx_busy[slot->ctx] = false;
    }
    slot->ctx = -1;
    slot->state = RK_SLOT_FREE;
}

static void s_move_frames (rk_packet_t *packet, int first, int n, zmq_msg_t *to)
{
    for (int i = 0; i < n; i++) {
        zmq_msg_init (&to[i]);
        zmq_msg_move (&to[i], &packet->frame[first + i]);
    }
}

/* ---- checks */

static rk_err_t s_check_frame (rk_packet_t *packet, int i, size_t bytes, uint64_t f, rk_error_t *err)
{
    size_t size = zmq_msg_size (&packet->frame[i]);
    if (size == bytes)
        return RK_OK;
    return rk_error_set (err, RK_EFORMAT, "%s of minibatch %llu: frame %d has %zu bytes, the plan says %zu",
                         rk_msg_kind_name (packet->msg.kind), (unsigned long long) f, i, size, bytes);
}

static size_t s_dtype_bytes (uint32_t dtype)
{
    return dtype == RK_DTYPE_F16 ? sizeof (uint16_t) : sizeof (float);
}

static rk_err_t s_check_labels (rk_stage_t *self, rk_packet_t *packet, rk_error_t *err)
{
    const rk_activation_t *a = &packet->msg.activation;
    rk_error_t why = {RK_OK, ""};
    if (!rk_labels_check (rk_model_labels (self->model), a->n, zmq_msg_data (&packet->frame[self->in.n]), &why))
        return RK_OK;
    return rk_error_set (err, RK_EFORMAT, "minibatch %llu: %s", (unsigned long long) a->f, why.text);
}

static rk_err_t s_check_input (rk_stage_t *self, rk_packet_t *packet, rk_error_t *err)
{
    const rk_activation_t *a = &packet->msg.activation;
    rk_error_t why = {RK_OK, ""};
    if (!rk_model_check_input (self->model, a->n, zmq_msg_data (&packet->frame[0]), &why))
        return RK_OK;
    return rk_error_set (err, RK_EFORMAT, "minibatch %llu: %s", (unsigned long long) a->f, why.text);
}

static rk_err_t s_check_activation_frames (rk_stage_t *self, rk_packet_t *packet, rk_error_t *err)
{
    const rk_activation_t *a = &packet->msg.activation;
    uint32_t dtype = self->f16 && !self->first ? RK_DTYPE_F16 : RK_DTYPE_F32;
    if (a->dtype != dtype || a->n_tensors != (uint32_t) self->in.n || packet->n_frames != self->in.n + 1)
        return rk_error_set (err, RK_EFORMAT, "activation %llu has %u tensors of type %u in %d frames, not %d of type %u",
                             (unsigned long long) a->f, a->n_tensors, a->dtype, packet->n_frames, self->in.n, dtype);
    if (a->n == 0 || a->n > self->plan->settings.train_batch)
        return rk_error_set (err, RK_EFORMAT, "activation %llu has %u samples, batch is %u", (unsigned long long) a->f, a->n,
                             self->plan->settings.train_batch);
    for (int i = 0; i < self->in.n; i++) {
        rk_err_t code = s_check_frame (packet, i, a->n * self->in.tensor[i].elems * s_dtype_bytes (dtype), a->f, err);
        if (code != RK_OK)
            return code;
    }
    rk_err_t code = s_check_frame (packet, self->in.n, a->n * rk_model_n_labels (self->model) * RK_LABEL_BYTES, a->f, err);
    if (code == RK_OK && self->last && a->mode != RK_MB_PREDICT)
        code = s_check_labels (self, packet, err);
    if (code == RK_OK && self->first)
        code = s_check_input (self, packet, err);
    return code;
}

/* A training minibatch must be the next one: in drained mode the very id that the plan deals next, else a
 * larger id than before, of the round being trained or the next.                                          */
static rk_err_t s_check_train (rk_stage_t *self, const rk_activation_t *a, rk_error_t *err)
{
    if (a->round >= rk_round_n (self->plan) || rk_round_of (self->plan, a->f) != a->round ||
        a->n != rk_minibatch_samples (self->plan, a->f))
        return rk_error_set (err, RK_EFORMAT, "minibatch %llu with %u samples does not belong to round %llu",
                             (unsigned long long) a->f, a->n, (unsigned long long) a->round);
    if (a->round < self->round || a->round > self->round + (self->drained ? 0 : 1))
        return rk_error_set (err, RK_ESTALE, "minibatch %llu of round %llu, this stage trains round %llu",
                             (unsigned long long) a->f, (unsigned long long) a->round, (unsigned long long) self->round);
    if (self->drained && (self->n_arrived >= self->n_dealt || self->dealt[self->n_arrived] != a->f))
        return rk_error_set (err, RK_EFORMAT, "minibatch %llu is not number %llu of round %llu for cluster %u",
                             (unsigned long long) a->f, (unsigned long long) self->n_arrived,
                             (unsigned long long) a->round, self->cluster);
    if (!self->drained && a->f < self->next_f)
        return rk_error_set (err, RK_ESTALE, "minibatch %llu after %llu", (unsigned long long) a->f,
                             (unsigned long long) self->next_f - 1);
    return RK_OK;
}

/* ---- handlers */

rk_err_t rk_stage_on_activation (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    const rk_activation_t *a = &packet->msg.activation;
    if (self->stopped)
        return RK_OK;
    rk_err_t code = rk_stage_expect (packet, self->upstream, err);
    if (code == RK_OK)
        code = s_check_activation_frames (self, packet, err);
    if (code == RK_OK && a->mode == RK_MB_TRAIN)
        code = s_check_train (self, a, err);
    if (code != RK_OK)
        return code;
    rk_slot_t *slot = s_free_slot (self);
    if (!slot || a->mode >= RK_N_MB || (a->mode == RK_MB_MEASURE && !self->measured) || rk_stage_find (self, a->f, a->mode))
        return rk_error_set (err, RK_EFORMAT, "minibatch %llu of mode %u is already here or beyond the credit of %u",
                             (unsigned long long) a->f, a->mode, self->in_flight);
    slot->state = RK_SLOT_ARRIVED;
    slot->f = a->f;
    slot->round = a->round;
    slot->mode = a->mode;
    slot->n = a->n;
    slot->dtype = a->dtype;
    slot->order = ++self->n_orders;
    slot->n_in = self->in.n + 1;
    slot->n_gout = 0;
    s_move_frames (packet, 0, slot->n_in, slot->in);
    if (a->mode == RK_MB_TRAIN) {
        self->n_arrived++;
        self->next_f = a->f + 1;
        if (!self->counts.started_ns) {
            self->counts.started_ns = rk_now_ns ();
            self->counts.started_idle_ns = rk_loop_idle_ns (self->loop);
            self->counts.started_cpu_ns = rk_thread_cpu_ns ();
            self->counts.started_runnable_ns = rk_thread_runnable_ns ();
        }
    }
    return RK_OK;
}

rk_err_t rk_stage_on_gradient (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    const rk_gradient_t *g = &packet->msg.gradient;
    if (self->stopped)
        return RK_OK;
    rk_err_t code = rk_stage_expect (packet, self->downstream, err);
    if (code != RK_OK)
        return code;
    rk_slot_t *slot = rk_stage_find (self, g->f, RK_MB_TRAIN);
    if (!slot || slot->state != RK_SLOT_STASHED || slot->n != g->n || slot->round != g->round)
        return rk_error_set (err, RK_ESTALE, "gradient of minibatch %llu of round %llu, which does not wait for one",
                             (unsigned long long) g->f, (unsigned long long) g->round);
    uint32_t dtype = self->f16 ? RK_DTYPE_F16 : RK_DTYPE_F32;
    if (g->dtype != dtype || g->n_tensors != (uint32_t) self->out.n_grads || packet->n_frames != self->out.n_grads)
        return rk_error_set (err, RK_EFORMAT, "gradient %llu has %u tensors of type %u in %d frames, not %d of type %u",
                             (unsigned long long) g->f, g->n_tensors, g->dtype, packet->n_frames, self->out.n_grads, dtype);
    for (int i = 0, frame = 0; i < self->out.n && code == RK_OK; i++)
        if (self->out.tensor[i].needs_grad)
            code = s_check_frame (packet, frame++, g->n * self->out.tensor[i].elems * s_dtype_bytes (dtype), g->f, err);
    if (code != RK_OK)
        return code;
    slot->state = RK_SLOT_ANSWERED;
    slot->gradient_dtype = dtype;
    slot->order = ++self->n_orders;
    slot->n_gout = self->out.n_grads;
    s_move_frames (packet, 0, slot->n_gout, slot->gout);
    return RK_OK;
}

/* Forward-only minibatches: their credit comes from the last stage and is passed on. */
rk_err_t rk_stage_on_credit (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    const rk_credit_t *credit = &packet->msg.credit;
    rk_err_t code = rk_stage_expect (packet, self->downstream, err);
    if (code != RK_OK || self->stopped)
        return code;
    if (credit->mode == RK_MB_TRAIN || credit->mode >= RK_N_MB)
        return rk_error_set (err, RK_EFORMAT, "credit of mode %u for minibatch %llu between stages", credit->mode,
                             (unsigned long long) credit->f);
    return rk_stage_send_credit (self, credit->f, credit->round, credit->mode, err);
}
