/* SPDX-License-Identifier: MPL-2.0
 * Rounds: when one has ended here, the snapshot that goes to the reducer, the mean that comes back, and what
 * a checkpoint takes. At most one round is being averaged.                                                */
#include "actors/stage_parts.h"
#include "cluster/exchange.h"

#define MAX_PLANES (1 + RK_OPTIM_MAX_SLOTS)

rk_err_t rk_stage_begin_round (rk_stage_t *self, uint64_t round, rk_error_t *err)
{
    self->round = round;
    self->n_forward = self->n_backward = self->n_arrived = self->n_dealt = 0;
    if (!self->drained || round >= rk_round_n (self->plan))
        return RK_OK;
    uint64_t first, end;
    rk_round_range (self->plan, round, &first, &end);
    rk_deal_round (self->plan, round, self->deal_scratch);
    for (uint64_t i = 0; i < end - first; i++)
        if (self->deal_scratch[i] == self->cluster)
            self->dealt[self->n_dealt++] = first + i;
    return RK_OK;
}

static rk_err_t s_applied (rk_stage_t *self, uint64_t round, double distance, rk_error_t *err)
{
    self->mean_round = round + 1;
    rk_err_t code = rk_stage_keep_end (self, round + 1, err);
    if (code != RK_OK)
        return code;
    return rk_stage_warm_applied (self, round, distance, err);
}

static int s_n_planes (const rk_stage_t *self)
{
    return (int) rk_exchange_planes (&self->plan->settings, (uint32_t) self->training.optim->n_slots);
}

/* The live version is lent: it is not written again until the reducer has given it back. */
static rk_err_t s_send_snapshot (rk_stage_t *self, const rk_round_end_t *end, rk_error_t *err)
{
    size_t bytes = self->n_flat * sizeof (float);
    int n = s_n_planes (self);
    rk_msg_t msg = {.kind = RK_MSG_SNAPSHOT,
                    .snapshot = {.round = self->averaging, .n_planes = (uint32_t) n, .weight = end->weight, .total = end->total,
                                 .control = end->control, .frozen = self->mix.frozen}};
    if (self->corrupt == RK_CORRUPT_WRONG_WEIGHT)
        msg.snapshot.weight += end->total / 4 + 1;
    rk_frame_t frames[MAX_PLANES];
    frames[0] = (rk_frame_t){.bytes = self->snapshot->bytes, .size = bytes, .release = rk_buffer_release,
                             .hint = rk_buffer_ref (self->snapshot)};
    if (self->mix.y)
        frames[1] = (rk_frame_t){.bytes = self->mix.y, .size = bytes};
    for (int i = 1; i < n && !self->mix.y; i++) {
        memcpy (self->slot_snapshot[i - 1], self->slot_state[i - 1], bytes);
        frames[i] = (rk_frame_t){.bytes = self->slot_snapshot[i - 1], .size = bytes};
    }
    return rk_loop_send (self->loop, self->reducer, &msg, frames, n, err);
}

/* An update with fewer minibatches than update_every. */
static rk_err_t s_make_partial (rk_stage_t *self, rk_error_t *err)
{
    if (!self->judged)
        return rk_stage_make_update (self, err);
    rk_stage_measure (self);
    return rk_stage_close_update (self, false, err);
}

rk_err_t rk_stage_check_round (rk_stage_t *self, rk_error_t *err)
{
    rk_round_end_t *end = &self->ends[self->round & 1];
    if (!end->known || self->keep.take.on || self->n_backward < end->count || (self->snapshot && !self->mix.due))
        return RK_OK;
    rk_err_t code = rk_stage_update (self)->n ? s_make_partial (self, err) : RK_OK;
    if (code != RK_OK || self->n_settled < self->n_closed) /* verdicts are still on their way */
        return code;
    uint64_t round = self->round;
    if (self->corrupt == RK_CORRUPT_FAILS && round >= self->plan->first_round + RK_CORRUPT_FAILS_AFTER)
        return rk_error_set (err, RK_ESTATE, "stage %u fails, as its test wants", self->index);
    if (!rk_stage_tied_end_round (self, round, &code, err) || code != RK_OK)
        return code;
    if (self->reducer) {
        self->averaging = round;
        code = rk_stage_take_snapshot (self, err);
        if (code == RK_OK && !self->drained)
            code = rk_stage_keep_begin (self, err);
        if (code == RK_OK) /* after what the snapshot may have added to the live version */
            code = rk_stage_tied_send_values (self, RK_TIED_ROUND, 0, round, err);
        if (code == RK_OK)
            code = s_send_snapshot (self, end, err);
    } else { /* one cluster: the snapshot is the mean */
        rk_buffer_unref (self->mean);
        self->mean = rk_buffer_ref (self->live);
        code = rk_stage_tied_send_values (self, RK_TIED_ROUND, 0, round, err);
        if (code == RK_OK)
            code = s_applied (self, round, 0, err);
    }
    *end = (rk_round_end_t){.known = false};
    return code == RK_OK ? rk_stage_begin_round (self, round + 1, err) : code;
}

static rk_err_t s_expect_coordinator (const rk_packet_t *packet, rk_error_t *err)
{
    if (rk_address_kind (packet->msg.sender) == RK_ACTOR_COORDINATOR)
        return RK_OK;
    return rk_stage_expect (packet, 0, err);
}

rk_err_t rk_stage_on_round_closed (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    const rk_round_closed_t *closed = &packet->msg.round_closed;
    rk_err_t code = s_expect_coordinator (packet, err);
    if (code != RK_OK || self->stopped)
        return code;
    if (closed->round < self->round || closed->round > self->round + 1 || self->ends[closed->round & 1].known)
        return rk_error_set (err, RK_ESTALE, "round %llu closed, this stage trains round %llu", (unsigned long long) closed->round,
                             (unsigned long long) self->round);
    uint64_t total = 0;
    for (size_t i = 0; i < closed->n_clusters; i++)
        total += closed->samples[i];
    if (closed->n_clusters != self->plan->n_clusters || !total)
        return rk_error_set (err, RK_EFORMAT, "round %llu closed for %zu clusters with %llu samples; the plan has %u clusters",
                             (unsigned long long) closed->round, closed->n_clusters, (unsigned long long) total,
                             self->plan->n_clusters);
    if (self->drained && closed->round == self->round && closed->counts[self->cluster] != self->n_dealt)
        return rk_error_set (err, RK_EPEER, "round %llu closed with %llu minibatches for cluster %u, the plan deals %llu",
                             (unsigned long long) closed->round, (unsigned long long) closed->counts[self->cluster], self->cluster,
                             (unsigned long long) self->n_dealt);
    const bool equal = rk_settings_weights (&self->plan->settings) == RK_WEIGHTS_EQUAL;
    self->ends[closed->round & 1] = (rk_round_end_t){
        .known = true, .count = closed->counts[self->cluster], .samples = closed->samples[self->cluster],
        .weight = equal ? 1 : closed->samples[self->cluster], .total = equal ? self->plan->n_clusters : total,
        .control = closed->control};
    return rk_stage_check_round (self, err);
}

rk_err_t rk_stage_on_round_committed (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    rk_err_t code = s_expect_coordinator (packet, err);
    if (code != RK_OK || packet->msg.round_committed.round < self->keep.committed)
        return code;
    self->keep.committed = packet->msg.round_committed.round + 1;
    return rk_stage_warm_fetch (self, err); /* an older copy is needed no more */
}

/* ---- the mean */

static void s_apply_slot (rk_stage_t *self, int slot, const uint8_t *mean)
{
    float *x = self->slot_state[slot];
    const float *snapshot = self->slot_snapshot[slot];
    float *kept = self->keep.begun ? self->keep.begun->own[RK_PLANE_STATE0 + slot] : NULL;
    for (size_t i = 0; i < self->n_flat; i++) {
        float value;
        memcpy (&value, mean + i * sizeof value, sizeof value);
        x[i] = self->drained ? value : x[i] + (value - snapshot[i]);
        if (kept)
            kept[i] = value;
    }
}

static rk_err_t s_take_mean (rk_stage_t *self, const rk_mean_t *mean, zmq_msg_t *frame, rk_error_t *err)
{
    const int n = s_n_planes (self);
    const void *merged = mean->merged ? zmq_msg_data (&frame[n]) : NULL;
    self->counts.reducer_bytes = mean->bytes_sent;
    if (rk_stage_probes (self, mean->round)) {
        rk_err_t code = rk_stage_probe (self, mean->round, zmq_msg_data (&frame[0]), merged, err);
        if (code != RK_OK)
            return code;
    }
    rk_stage_kernel_begin (self);
    if (self->mix.y)
        memcpy (self->mix.y, zmq_msg_data (&frame[1]), self->n_flat * sizeof (float));
    for (int i = 1; i < n && !self->mix.y; i++)
        s_apply_slot (self, i - 1, zmq_msg_data (&frame[i]));
    rk_err_t code = rk_stage_apply_mean (self, zmq_msg_data (&frame[0]), err);
    if (code == RK_OK)
        code = rk_stage_keep_merged (self, merged, err);
    self->counts.busy_ns += rk_thread_cpu_ns () - self->kernel_cpu_ns;
    rk_stage_tied_drop_mean (self);
    if (code == RK_OK)
        code = rk_stage_tied_send_mean (self, self->averaging, err);
    if (code == RK_OK)
        code = s_applied (self, self->averaging, mean->distance, err);
    return code == RK_OK ? rk_stage_check_round (self, err) : code;
}

rk_err_t rk_stage_take_held_mean (rk_stage_t *self, rk_error_t *err)
{
    rk_stage_tied_t *tied = &self->tied;
    rk_err_t code = s_take_mean (self, &tied->held_mean, tied->held_frame, err);
    for (int i = 0; i < tied->n_held; i++)
        zmq_msg_close (&tied->held_frame[i]);
    tied->n_held = 0;
    tied->held = false;
    return code;
}

rk_err_t rk_stage_on_mean (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    const rk_mean_t *mean = &packet->msg.mean;
    rk_err_t code = rk_stage_expect (packet, self->reducer, err);
    if (code != RK_OK || self->stopped)
        return code;
    if (!self->snapshot || self->mix.due || mean->round != self->averaging)
        return rk_error_set (err, RK_ESTALE, "mean of round %llu, none is awaited", (unsigned long long) mean->round);
    int n = s_n_planes (self);
    if (mean->n_planes != (uint32_t) n || packet->n_frames != n + mean->merged)
        return rk_error_set (err, RK_EFORMAT, "mean of round %llu has %u planes in %d frames, not %d",
                             (unsigned long long) mean->round, mean->n_planes, packet->n_frames, n);
    for (int i = 0; i < packet->n_frames; i++)
        if (zmq_msg_size (&packet->frame[i]) != self->n_flat * sizeof (float))
            return rk_error_set (err, RK_EFORMAT, "mean of round %llu has %zu bytes, not %zu", (unsigned long long) mean->round,
                                 zmq_msg_size (&packet->frame[i]), self->n_flat * sizeof (float));
    return rk_stage_tied_hold_mean (self, packet) ? RK_OK : s_take_mean (self, mean, packet->frame, err);
}

/* ---- a checkpoint */

rk_err_t rk_stage_on_save_request (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    rk_err_t code = s_expect_coordinator (packet, err);
    if (code != RK_OK || self->stopped)
        return code;
    const rk_save_request_t *save = &packet->msg.save_request;
    rk_stage_kept_t *kept = rk_stage_kept (self, save->round + 1);
    if (!kept)
        return rk_error_set (err, RK_ESTALE, "round %llu is to be saved, which is not kept here", (unsigned long long) save->round);
    const uint32_t checkpointer = rk_loop_find (self->loop, RK_ACTOR_CHECKPOINTER);
    if (checkpointer)
        code = rk_loop_listen (self->loop, checkpointer, err); /* it asks for the state in answer to the Slice */
    if (code != RK_OK)
        return code;
    rk_stage_pin (self, kept);
    const bool merged = self->merged && self->mean_round == kept->rounds; /* measured since, perhaps */
    rk_buffer_t *model = merged ? self->merged : kept->mixture ? kept->mixture : kept->params;
    rk_msg_t msg = {.kind = RK_MSG_SLICE,
                    .slice = {.round = save->round, .stage = self->index, .flat_lo = self->plan->stages[self->index].flat_lo,
                              .n_floats = self->n_flat, .n_planes = save->model, .steps = kept->steps,
                              .merged = merged || !self->mix.guarded}};
    rk_frame_t frame = {.bytes = model->bytes, .size = self->n_flat * sizeof (float)}; /* merged may be measured again: copied */
    return rk_loop_send (self->loop, checkpointer, &msg, &frame, save->model, err);
}
