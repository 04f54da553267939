/* SPDX-License-Identifier: MPL-2.0
 * Class and messages of the reducer: a snapshot begins a round, chunks drive it, the mean ends it. */
#include "actors/reducer_parts.h"

#define RETRY_NS 20000      /* until the I/O thread gives a lent part back */
#define MIN_HWM 1000

/* ---- parked chunks */

static rk_err_t s_park (rk_reducer_self_t *self, uint32_t sender, const rk_chunk_t *chunk, zmq_msg_t *frame, rk_error_t *err)
{
    uint32_t i = 0;
    while (i < self->capacity && self->parked[i].used)
        i++;
    if (i == self->capacity)
        return rk_error_set (err, RK_EFORMAT, "more chunks than two rounds have (%u)", self->capacity);
    self->parked[i].used = true;
    self->parked[i].sender = sender;
    self->parked[i].chunk = *chunk;
    zmq_msg_init (&self->parked[i].frame);
    zmq_msg_move (&self->parked[i].frame, frame);
    self->n_parked++;
    if (i >= self->parked_end)
        self->parked_end = i + 1;
    return RK_OK;
}

void rk_reducer_unpark (rk_reducer_self_t *self, rk_parked_t *parked)
{
    zmq_msg_close (&parked->frame);
    parked->used = false;
    self->n_parked--;
}

static rk_err_t s_take (rk_reducer_self_t *self, uint32_t sender, const rk_chunk_t *chunk, zmq_msg_t *frame, bool *taken,
                        rk_error_t *err)
{
    *taken = true;
    self->heard_ns = rk_now_ns ();
    if (chunk->mixing ? !self->exchange.mix : !self->exchange.merge || chunk->plane >= self->ring_planes)
        return rk_error_set (err, RK_ESTALE, "%s of round %llu, which does not have that here", chunk->mixing ? "mixing" : "ring chunk",
                             (unsigned long long) chunk->round);
    return chunk->mixing ? rk_mixer_take (self, sender, chunk, frame, taken, err) : rk_rings_take (self, chunk, frame, taken, err);
}

/* Use what has become usable. *again: something still waits for a lent part. */
static rk_err_t s_use_parked (rk_reducer_self_t *self, bool *again, rk_error_t *err)
{
    rk_err_t code = RK_OK;
    *again = false;
    for (uint32_t i = 0; i < self->parked_end && code == RK_OK; i++) {
        rk_parked_t *parked = &self->parked[i];
        if (!parked->used || parked->chunk.round > self->round)
            continue;
        bool taken = true;
        if (parked->chunk.round == self->round)
            code = s_take (self, parked->sender, &parked->chunk, &parked->frame, &taken, err);
        if (taken) /* or of a round that is over: nobody could use it */
            rk_reducer_unpark (self, parked);
        else
            *again |= !parked->chunk.mixing;
    }
    while (self->parked_end && !self->parked[self->parked_end - 1].used)
        self->parked_end--;
    return code;
}

/* ---- rounds */

void rk_reducer_drop_snapshot (rk_reducer_self_t *self)
{
    for (int i = 0; i < self->n_snapshot; i++)
        zmq_msg_close (&self->snapshot[i]);
    self->n_snapshot = 0;
    self->waiting = false;
}

static rk_frame_t s_plane (const rk_reducer_self_t *self, rk_buffer_t *buffer, uint32_t plane)
{
    return (rk_frame_t){.bytes = rk_buffer_floats (buffer) + plane * self->stride, .size = self->n_flat * sizeof (float),
                        .release = rk_buffer_release, .hint = rk_buffer_ref (buffer)};
}

static void s_set (rk_buffer_t **holder, rk_buffer_t *buffer)
{
    rk_buffer_unref (*holder);
    *holder = buffer;
}

/* The round is over: its result goes to the stage, lent; other buffers serve the next one. */
static rk_err_t s_send_mean (rk_reducer_self_t *self, rk_error_t *err)
{
    bool mix = self->exchange.mix, merged = mix && self->exchange.merge;
    rk_msg_t msg = {.kind = RK_MSG_MEAN,
                    .mean = {.round = self->round, .n_planes = self->n_planes, .bytes_sent = rk_loop_bytes_sent (self->loop),
                             .merged = merged, .distance = mix ? rk_mixer_distance (self) : 0}};
    rk_frame_t frames[RK_REDUCER_PLANES + 1];
    for (uint32_t p = 0; p < self->n_planes; p++)
        frames[p] = s_plane (self, mix ? self->mix.out : self->acc, p);
    if (merged)
        frames[self->n_planes] = s_plane (self, self->acc, 0);
    rk_reducer_drop_snapshot (self);
    rk_mixer_end (self);
    s_set (&self->mix.out, NULL);
    s_set (&self->mix.own, NULL);
    s_set (&self->acc, NULL);
    self->running = false;
    self->next_round = self->round + 1;
    return rk_loop_send (self->loop, self->stage, &msg, frames, (int) self->n_planes + merged, err);
}

/* Every buffer of the round, or none. */
static bool s_take_buffers (rk_reducer_self_t *self)
{
    bool mix = self->exchange.mix, ok = true;
    if (self->exchange.merge)
        ok = (self->acc = rk_buffers_take (self->accumulators)) != NULL;
    if (ok && mix)
        ok = (self->mix.out = rk_buffers_take (self->accumulators)) != NULL;
    if (ok && (mix || self->mix.push))
        ok = (self->mix.own = rk_buffers_take (self->accumulators)) != NULL;
    if (!ok) {
        s_set (&self->acc, NULL);
        s_set (&self->mix.out, NULL);
    }
    return ok;
}

/* Where this replica's values lie; what cannot be read where it lies is copied. */
static void s_read_snapshot (rk_reducer_self_t *self)
{
    for (uint32_t plane = 0; plane < self->n_planes; plane++) {
        const void *bytes = zmq_msg_data (&self->snapshot[plane]);
        if ((uintptr_t) bytes % sizeof (float) != 0)
            bytes = memcpy (self->aligned + plane * self->n_flat, bytes, self->n_flat * sizeof (float));
        self->own[plane] = bytes;
    }
}

static rk_err_t s_begin (rk_reducer_self_t *self, rk_error_t *err)
{
    if (self->corrupt == RK_CORRUPT_FAILS && self->round >= self->plan->first_round + RK_CORRUPT_FAILS_AFTER)
        return rk_error_set (err, RK_ESTATE, "a reducer fails, as its test wants");
    self->waiting = false;
    self->running = true;
    self->heard_ns = rk_now_ns ();
    self->ring_planes = self->exchange.mix ? 1 : self->n_planes;
    self->n_missing = self->mix.n_missing = 0;
    s_read_snapshot (self);
    if (self->mix.own)
        rk_mixer_prepare (self);
    rk_err_t code = self->exchange.mix ? rk_mixer_begin (self, err) : RK_OK;
    return code == RK_OK && self->exchange.merge ? rk_rings_begin (self, err) : code;
}

static int64_t s_work (void *self_, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    rk_reducer_self_t *self = self_;
    if (self->stopped)
        return RK_FOREVER;
    if (self->waiting) {
        if (!s_take_buffers (self))
            return RETRY_NS;
        *code = s_begin (self, err);
        return 0;
    }
    if (!self->running)
        return RK_FOREVER;
    bool again = false;
    if (self->n_parked)
        *code = s_use_parked (self, &again, err);
    if (*code == RK_OK && self->n_missing + self->mix.n_missing == 0) {
        *code = s_send_mean (self, err);
        return 0;
    }
    return again ? RETRY_NS : *code == RK_OK ? RK_FOREVER : 0;
}

/* ---- messages */

static rk_err_t s_refuse (const rk_packet_t *packet, rk_error_t *err)
{
    return rk_error_set (err, RK_EFORMAT, "%s from %s %u, which the plan does not foresee", rk_msg_kind_name (packet->msg.kind),
                         rk_actor_kind_name (rk_address_kind (packet->msg.sender)), rk_address_node (packet->msg.sender));
}

static rk_err_t s_on_snapshot (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_reducer_self_t *self = self_;
    const rk_snapshot_t *snapshot = &packet->msg.snapshot;
    if (packet->msg.sender != self->stage)
        return s_refuse (packet, err);
    if (self->stopped)
        return RK_OK;
    if (self->running || self->waiting || snapshot->round < self->next_round)
        return rk_error_set (err, RK_ESTALE, "snapshot of round %llu, round %llu is next or under way",
                             (unsigned long long) snapshot->round, (unsigned long long) self->next_round);
    if (snapshot->n_planes != self->n_planes || packet->n_frames != (int) self->n_planes || !snapshot->total)
        return rk_error_set (err, RK_EFORMAT, "snapshot of %u planes in %d frames, the plan says %u; total %llu",
                             snapshot->n_planes, packet->n_frames, self->n_planes, (unsigned long long) snapshot->total);
    for (uint32_t p = 0; p < self->n_planes; p++)
        if (zmq_msg_size (&packet->frame[p]) != self->n_flat * sizeof (float))
            return rk_error_set (err, RK_EFORMAT, "snapshot plane %u has %zu bytes, not %zu", p, zmq_msg_size (&packet->frame[p]),
                                 self->n_flat * sizeof (float));
    for (uint32_t p = 0; p < self->n_planes; p++) {
        zmq_msg_init (&self->snapshot[p]);
        zmq_msg_move (&self->snapshot[p], &packet->frame[p]);
    }
    self->n_snapshot = (int) self->n_planes;
    self->waiting = true;
    self->round = self->next_round = snapshot->round;
    self->weight = snapshot->weight;
    self->total = snapshot->total;
    if (self->mix.push)
        rk_mixer_weigh (self);
    self->control = snapshot->control;
    self->frozen = snapshot->frozen;
    self->exchange = rk_exchange_at (self->plan, self->mix.graph, self->round, self->control);
    return RK_OK;
}

static rk_err_t s_on_chunk (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_reducer_self_t *self = self_;
    const rk_chunk_t *chunk = &packet->msg.chunk;
    if (self->stopped)
        return RK_OK;
    rk_err_t code = chunk->mixing ? rk_mixer_check (self, packet, err) : rk_rings_check (self, packet, err);
    if (code != RK_OK)
        return code;
    /* A peer can be one round ahead of the one that begins or runs here: on a ring it has this round's mean; in a
     * directed graph it may not need this replica at all. Further no round is open.                         */
    uint64_t first = self->running || self->waiting ? self->round : self->next_round;
    if (chunk->round < first || chunk->round > first + 1)
        return rk_error_set (err, RK_ESTALE, "chunk of round %llu, this reducer is at round %llu",
                             (unsigned long long) chunk->round, (unsigned long long) first);
    bool taken = false;
    if (self->running && chunk->round == self->round)
        code = s_take (self, packet->msg.sender, chunk, &packet->frame[0], &taken, err);
    return code == RK_OK && !taken ? s_park (self, packet->msg.sender, chunk, &packet->frame[0], err) : code;
}

static rk_err_t s_on_round (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    /* Its own stage says when a round ends; others' news need no action. */
    return rk_address_kind (packet->msg.sender) == RK_ACTOR_COORDINATOR ? RK_OK : s_refuse (packet, err);
}

/* For rookery status. */
static rk_err_t s_on_status_request (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_reducer_self_t *self = self_;
    if (rk_address_kind (packet->msg.sender) != RK_ACTOR_COORDINATOR)
        return s_refuse (packet, err);
    rk_msg_t msg = {.kind = RK_MSG_WAITS, .waits = {.actor = rk_loop_address (self->loop), .round = self->next_round}};
    if (self->running) {
        const uint32_t neighbour = rk_mixer_missing (self);
        msg.waits.what = RK_WAITS_SEGMENTS;
        msg.waits.from = neighbour ? neighbour : rk_rings_missing (self);
        msg.waits.round = self->round;
        msg.waits.ms = (uint64_t) (rk_now_ns () - self->heard_ns) / 1000000;
    } else /* its stage trains; it says what it waits for itself */
        msg.waits.what = self->stopped ? RK_WAITS_END : RK_WAITS_NOTHING;
    return rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
}

static rk_err_t s_on_stop (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_reducer_self_t *self = self_;
    if (rk_address_kind (packet->msg.sender) != RK_ACTOR_COORDINATOR)
        return s_refuse (packet, err);
    if (self->stopped)
        return RK_OK;
    self->stopped = true;
    rk_msg_t msg = {.kind = RK_MSG_STOPPED};
    return rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
}

static rk_handler_fn *const s_on[RK_N_MSG] = {
    [RK_MSG_SNAPSHOT] = s_on_snapshot,     [RK_MSG_CHUNK] = s_on_chunk, [RK_MSG_ROUND_CLOSED] = s_on_round,
    [RK_MSG_ROUND_COMMITTED] = s_on_round, [RK_MSG_STOP] = s_on_stop, [RK_MSG_STATUS_REQUEST] = s_on_status_request,
};
static const rk_command_t s_commands[] = {{NULL, NULL}};
static const rk_actor_class_t s_class = {.kind = RK_ACTOR_REDUCER, .self_size = sizeof (rk_reducer_self_t), .open = rk_reducer_open,
                                         .close = rk_reducer_close, .work = s_work, .on = s_on, .commands = s_commands};

/* Chunks that one peer may have sent and this one not yet taken: two rounds of them. */
static int s_hwm (const rk_plan_t *plan)
{
    uint64_t parts = plan->n_flat / RK_REDUCER_PART + (uint64_t) plan->n_segments * plan->n_clusters;
    if (plan->settings.average_exchange == RK_EXCHANGE_CHEAPEST) /* every part in pieces around a group */
        parts = (plan->n_flat / RK_REDUCER_PART + plan->n_segments) * plan->n_clusters;
    uint64_t hwm = 6 * RK_REDUCER_PLANES * parts; /* a ring's and a neighbour's */
    return hwm < MIN_HWM ? MIN_HWM : hwm > INT32_MAX ? INT32_MAX : (int) hwm;
}

rk_err_t rk_reducer_new (rk_actor_t **actor_p, const rk_reducer_config_t *config, rk_error_t *err)
{
    size_t largest = config->plan->n_flat > RK_REDUCER_PART ? config->plan->n_flat : RK_REDUCER_PART;
    const rk_actor_plumbing_t plumbing = {.bind = config->bind, .identity = config->identity, .coordinator = config->coordinator, .observer = config->observer,
                                          .node = config->node, .view = config->plan->view, .hwm = s_hwm (config->plan),
                                          .max_message_bytes = largest * sizeof (float) + RK_WIRE_MAX_ENVELOPE};
    return rk_actor_start (actor_p, &s_class, &plumbing, config, err);
}
