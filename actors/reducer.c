/* SPDX-License-Identifier: MPL-2.0
 * Class and messages of the reducer: a snapshot begins a round, chunks drive it, the mean ends it. */
#include "actors/reducer_parts.h"
#include "compute/arena.h"

#define RETRY_NS 20000      /* until the I/O thread gives a lent part back */
#define ACCUMULATORS 3      /* one at work, one with the stage, one on its way back */
#define MIN_HWM 1000

/* ---- parked chunks */

static rk_err_t s_park (rk_reducer_self_t *self, const rk_chunk_t *chunk, zmq_msg_t *frame, rk_error_t *err)
{
    uint32_t i = 0;
    while (i < self->capacity && self->parked[i].used)
        i++;
    if (i == self->capacity)
        return rk_error_set (err, RK_EFORMAT, "more chunks than two rounds have (%u)", self->capacity);
    self->parked[i].used = true;
    self->parked[i].chunk = *chunk;
    zmq_msg_init (&self->parked[i].frame);
    zmq_msg_move (&self->parked[i].frame, frame);
    self->n_parked++;
    if (i >= self->parked_end)
        self->parked_end = i + 1;
    return RK_OK;
}

static void s_unpark (rk_reducer_self_t *self, rk_parked_t *parked)
{
    zmq_msg_close (&parked->frame);
    parked->used = false;
    self->n_parked--;
}

/* Use what has become usable. *again: something still waits for a lent part. */
static rk_err_t s_use_parked (rk_reducer_self_t *self, bool *again, rk_error_t *err)
{
    rk_err_t code = RK_OK;
    *again = false;
    for (uint32_t i = 0; i < self->parked_end && code == RK_OK && self->acc; i++) {
        rk_parked_t *parked = &self->parked[i];
        if (!parked->used || parked->chunk.round != self->round)
            continue;
        bool taken;
        code = rk_reducer_take (self, &parked->chunk, &parked->frame, &taken, err);
        if (taken)
            s_unpark (self, parked);
        else
            *again = true;
    }
    while (self->parked_end && !self->parked[self->parked_end - 1].used)
        self->parked_end--;
    return code;
}

/* ---- rounds */

static void s_drop_snapshot (rk_reducer_self_t *self)
{
    for (int i = 0; i < self->n_snapshot; i++)
        zmq_msg_close (&self->snapshot[i]);
    self->n_snapshot = 0;
    self->waiting = false;
}

static rk_err_t s_send_mean (rk_reducer_self_t *self, rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_MEAN,
                    .mean = {.round = self->round, .n_planes = self->n_planes, .bytes_sent = rk_loop_bytes_sent (self->loop)}};
    rk_frame_t frames[RK_REDUCER_PLANES];
    for (uint32_t p = 0; p < self->n_planes; p++)
        frames[p] = (rk_frame_t){.bytes = rk_buffer_floats (self->acc) + p * self->stride, .size = self->n_flat * sizeof (float),
                                 .release = rk_buffer_release, .hint = rk_buffer_ref (self->acc)};
    s_drop_snapshot (self);
    rk_buffer_unref (self->acc); /* lent from now on; another one serves the next round */
    self->acc = NULL;
    self->next_round = self->round + 1;
    return rk_loop_send (self->loop, self->stage, &msg, frames, (int) self->n_planes, err);
}

static int64_t s_work (void *self_, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    rk_reducer_self_t *self = self_;
    if (self->stopped)
        return RK_FOREVER;
    if (self->waiting) {
        self->acc = rk_buffers_take (self->accumulators);
        if (!self->acc)
            return RETRY_NS;
        self->waiting = false;
        *code = rk_reducer_begin (self, err);
        return 0;
    }
    if (!self->acc)
        return RK_FOREVER;
    bool again = false;
    if (self->n_parked)
        *code = s_use_parked (self, &again, err);
    if (*code == RK_OK && self->n_missing == 0) {
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
    if (self->acc || self->waiting || snapshot->round < self->next_round)
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
    return RK_OK;
}

static rk_err_t s_on_chunk (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_reducer_self_t *self = self_;
    const rk_chunk_t *chunk = &packet->msg.chunk;
    if (self->stopped)
        return RK_OK;
    rk_err_t code = rk_reducer_check (self, packet, err);
    if (code != RK_OK)
        return code;
    /* A neighbour can be one round ahead: it has this round's mean, and its stage has ended the next. */
    uint64_t last = self->acc || self->waiting ? self->round + 1 : self->next_round;
    if (chunk->round < (self->acc || self->waiting ? self->round : self->next_round) || chunk->round > last)
        return rk_error_set (err, RK_ESTALE, "chunk of round %llu, this reducer is at round %llu",
                             (unsigned long long) chunk->round, (unsigned long long) self->next_round);
    bool taken = false;
    if (self->acc && chunk->round == self->round)
        code = rk_reducer_take (self, chunk, &packet->frame[0], &taken, err);
    return code == RK_OK && !taken ? s_park (self, chunk, &packet->frame[0], err) : code;
}

static rk_err_t s_on_round (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    /* Its own stage says when a round ends; others' news need no action. */
    return rk_address_kind (packet->msg.sender) == RK_ACTOR_COORDINATOR ? RK_OK : s_refuse (packet, err);
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

/* ---- open and close */

static rk_err_t s_identify (rk_reducer_self_t *self, uint32_t node, uint32_t *index_p, rk_error_t *err)
{
    uint32_t stage;
    *index_p = rk_plan_stage_of_node (self->plan, node, &self->cluster, &stage);
    self->n = self->plan->n_clusters;
    if (*index_p == RK_NO_NODE || self->n < 2)
        return rk_error_set (err, RK_EPLAN, "node %u has nothing to average in a plan of %u clusters", node, self->n);
    rk_training_t training;
    rk_err_t code = rk_training_of (self->plan, &training, err);
    if (code != RK_OK)
        return code;
    self->n_planes = 1 + (self->plan->settings.average_optimizer_state ? (uint32_t) training.optim->n_slots : 0);
    self->stage = rk_address (RK_ACTOR_STAGE, node);
    self->n_flat = self->plan->stages[*index_p].flat_hi - self->plan->stages[*index_p].flat_lo;
    self->stride = (self->n_flat + 15) / 16 * 16;
    return RK_OK;
}

static rk_err_t s_make_memory (rk_reducer_self_t *self, rk_error_t *err)
{
    size_t parts = (size_t) self->n_planes * self->n_parts;
    self->capacity = (uint32_t) (2 * self->n_arrivals + 1);
    self->got = calloc (parts + 1, 1);
    self->aligned = rk_arena_pages (self->n_planes * self->n_flat * sizeof (float));
    self->parked = calloc (self->capacity, sizeof *self->parked);
    rk_err_t code = rk_buffers_new (&self->accumulators, ACCUMULATORS, self->n_planes * self->stride * sizeof (float),
                                    parts * sizeof (rk_part_lend_t));
    if (code != RK_OK || !self->got || !self->aligned || !self->parked)
        return rk_error_set (err, RK_ENOMEM, "no memory to average %u planes of %zu floats", self->n_planes, self->n_flat);
    return RK_OK;
}

static rk_err_t s_open (void *self_, rk_loop_t *loop, const void *config_, rk_error_t *err)
{
    rk_reducer_self_t *self = self_;
    const rk_reducer_config_t *config = config_;
    self->loop = loop;
    self->corrupt = config->corrupt;
    rk_err_t code = rk_plan_copy (&self->plan, config->plan);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory for a plan");
    uint32_t index;
    code = s_identify (self, config->node, &index, err);
    if (code == RK_OK)
        code = rk_reducer_make_lanes (self, index, err);
    if (code == RK_OK)
        code = s_make_memory (self, err);
    if (code != RK_OK || !rk_loop_connected (loop, RK_TO_COORDINATOR))
        return code;
    rk_msg_t ready = {.kind = RK_MSG_READY, .ready = {.digest = self->plan->digest}};
    return rk_loop_send (loop, RK_TO_COORDINATOR, &ready, NULL, 0, err);
}

static void s_close (void *self_)
{
    rk_reducer_self_t *self = self_;
    s_drop_snapshot (self);
    for (uint32_t i = 0; i < self->parked_end; i++)
        if (self->parked[i].used)
            s_unpark (self, &self->parked[i]);
    rk_buffer_unref (self->acc);
    rk_buffers_destroy (&self->accumulators);
    free (self->lanes);
    free (self->pieces);
    free (self->lane_of);
    free (self->got);
    rk_arena_pages_free (self->aligned, self->n_planes * self->n_flat * sizeof (float));
    free (self->parked);
    rk_plan_destroy (&self->plan);
    memset (self, 0, sizeof *self);
}

static rk_handler_fn *const s_on[RK_N_MSG] = {
    [RK_MSG_SNAPSHOT] = s_on_snapshot,     [RK_MSG_CHUNK] = s_on_chunk, [RK_MSG_ROUND_CLOSED] = s_on_round,
    [RK_MSG_ROUND_COMMITTED] = s_on_round, [RK_MSG_STOP] = s_on_stop,
};
static const rk_command_t s_commands[] = {{NULL, NULL}};
static const rk_actor_class_t s_class = {.kind = RK_ACTOR_REDUCER, .self_size = sizeof (rk_reducer_self_t), .open = s_open,
                                         .close = s_close, .work = s_work, .on = s_on, .commands = s_commands};

/* Chunks that one peer may have sent and this one not yet taken: two rounds of them. */
static int s_hwm (const rk_plan_t *plan)
{
    uint64_t parts = plan->n_flat / RK_REDUCER_PART + (uint64_t) plan->n_segments * plan->n_clusters;
    uint64_t hwm = 4 * RK_REDUCER_PLANES * parts;
    return hwm < MIN_HWM ? MIN_HWM : hwm > INT32_MAX ? INT32_MAX : (int) hwm;
}

rk_err_t rk_reducer_new (rk_actor_t **actor_p, const rk_reducer_config_t *config, rk_error_t *err)
{
    size_t largest = config->plan->n_flat > RK_REDUCER_PART ? config->plan->n_flat : RK_REDUCER_PART;
    const rk_actor_plumbing_t plumbing = {.bind = config->bind, .coordinator = config->coordinator, .observer = config->observer,
                                          .node = config->node, .view = config->plan->view, .hwm = s_hwm (config->plan),
                                          .max_message_bytes = largest * sizeof (float) + RK_WIRE_MAX_ENVELOPE};
    return rk_actor_start (actor_p, &s_class, &plumbing, config, err);
}
