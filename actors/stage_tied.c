/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/stage_parts.h"

#include "compute/kernels/vec.h"

/* ---- who */

static bool s_holds (const rk_plan_t *plan, uint32_t cluster, uint32_t stage, int layer)
{
    const rk_plan_stage_t *s = rk_plan_stage (plan, cluster, stage);
    return layer >= (int) s->first && layer < (int) s->last;
}

uint32_t rk_tied_partner (const rk_plan_t *plan, const rk_model_t *model, uint32_t cluster, uint32_t stage)
{
    const rk_tie_t *tie = rk_model_tie (model);
    if (!tie)
        return 0;
    const bool owns = s_holds (plan, cluster, stage, tie->owner), reads = s_holds (plan, cluster, stage, tie->reader);
    for (uint32_t s = 0; s < plan->clusters[cluster].n_stages && owns != reads; s++)
        if (s_holds (plan, cluster, s, owns ? tie->reader : tie->owner))
            return rk_address (RK_ACTOR_STAGE, rk_plan_stage (plan, cluster, s)->node);
    return 0;
}

rk_err_t rk_stage_tied_open (rk_stage_t *self)
{
    rk_stage_tied_t *tied = &self->tied;
    tied->partner = rk_tied_partner (self->plan, self->model, self->cluster, self->stage);
    if (!tied->partner)
        return RK_OK;
    const rk_tie_t *tie = rk_model_tie (self->model);
    tied->owns = s_holds (self->plan, self->cluster, self->stage, tie->owner);
    tied->reads = !tied->owns;
    tied->count = tie->count;
    tied->at = tied->owns ? tie->offset - rk_model_flat_at (self->model, self->layer_first) : self->n_flat;
    tied->room = self->in_flight + 4; /* the ends of rounds between them */
    tied->queue = calloc (tied->room, sizeof *tied->queue);
    return tied->queue ? RK_OK : RK_ENOMEM;
}

static void s_clear (rk_tied_message_t *message)
{
    for (int i = 0; i < message->n_frames; i++)
        zmq_msg_close (&message->frame[i]);
    message->n_frames = 0;
}

static rk_tied_message_t *s_first (const rk_stage_tied_t *tied)
{
    return &tied->queue[tied->head];
}

static void s_pop (rk_stage_tied_t *tied)
{
    s_clear (s_first (tied));
    tied->head = (tied->head + 1) % tied->room;
    tied->n--;
}

void rk_stage_tied_reset (rk_stage_t *self)
{
    rk_stage_tied_t *tied = &self->tied;
    while (tied->n)
        s_pop (tied);
    s_clear (&tied->mean[0]);
    s_clear (&tied->mean[1]);
    for (int i = 0; i < tied->n_held; i++)
        zmq_msg_close (&tied->held_frame[i]);
    tied->n_held = 0;
    tied->held = false;
    tied->n_forward = tied->n_finished = tied->sent_steps = 0;
}

void rk_stage_tied_close (rk_stage_t *self)
{
    rk_stage_tied_reset (self);
    free (self->tied.queue);
    self->tied.queue = NULL;
}

/* ---- messages */

static void s_keep (rk_tied_message_t *message, rk_packet_t *packet)
{
    message->head = packet->msg.tied;
    message->n_frames = packet->n_frames;
    for (int i = 0; i < packet->n_frames; i++) {
        zmq_msg_init (&message->frame[i]);
        zmq_msg_move (&message->frame[i], &packet->frame[i]);
    }
}

static rk_err_t s_check (const rk_stage_t *self, const rk_tied_t *t, rk_error_t *err)
{
    const rk_stage_tied_t *tied = &self->tied;
    const bool share = t->what == RK_TIED_SHARE;
    if (share != tied->owns || ((share || t->what == RK_TIED_MEAN) && t->n_tensors == 0) ||
        (t->what != RK_TIED_MEAN && t->n_tensors > 1) || (t->n_tensors && t->n_floats != tied->count))
        return rk_error_set (err, RK_EFORMAT, "tied values of kind %u: %u tensors of %llu floats; the model has %zu", t->what,
                             t->n_tensors, (unsigned long long) t->n_floats, tied->count);
    if (t->what == RK_TIED_MEAN ? tied->mean[t->round & 1].n_frames : tied->n == tied->room)
        return rk_error_set (err, RK_EFORMAT, "tied values of kind %u of minibatch %llu, round %llu: too many wait", t->what,
                             (unsigned long long) t->f, (unsigned long long) t->round);
    return RK_OK;
}

static rk_err_t s_send (rk_stage_t *self, const rk_tied_t *head, const float *const values[], rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_TIED, .tied = *head};
    rk_frame_t frames[2]; /* copied by the socket: the values go on to change */
    for (uint32_t i = 0; i < head->n_tensors; i++)
        frames[i] = (rk_frame_t){.bytes = values[i], .size = self->tied.count * sizeof (float)};
    return rk_loop_send (self->loop, self->tied.partner, &msg, frames, (int) head->n_tensors, err);
}

rk_err_t rk_stage_on_tied (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    rk_stage_t *self = self_;
    rk_stage_tied_t *tied = &self->tied;
    const rk_tied_t *t = &packet->msg.tied;
    rk_err_t code = rk_stage_expect (packet, tied->partner, err);
    if (code == RK_OK && !self->stopped)
        code = s_check (self, t, err);
    if (code != RK_OK || self->stopped)
        return code;
    if (t->what == RK_TIED_MEAN) {
        s_keep (&tied->mean[t->round & 1], packet);
        return tied->held && t->round == self->averaging ? rk_stage_take_held_mean (self, err) : RK_OK;
    }
    s_keep (&tied->queue[(tied->head + tied->n) % tied->room], packet);
    tied->n++;
    return rk_stage_check_round (self, err); /* a round may have waited for it */
}

/* ---- owner */

bool rk_stage_tied_has_share (const rk_stage_t *self, uint64_t f)
{
    const rk_stage_tied_t *tied = &self->tied;
    return !tied->owns || (tied->n && s_first (tied)->head.f == f);
}

void rk_stage_tied_add_share (rk_stage_t *self, uint64_t f, float *grads)
{
    rk_stage_tied_t *tied = &self->tied;
    if (!tied->owns)
        return;
    if (self->corrupt != RK_CORRUPT_LOST_SHARE)
        rk_vec ()->axpy (tied->count, 1, zmq_msg_data (&s_first (tied)->frame[0]), grads + tied->at);
    s_pop (tied);
}

rk_err_t rk_stage_tied_send_values (rk_stage_t *self, uint32_t what, uint64_t f, uint64_t round, rk_error_t *err)
{
    rk_stage_tied_t *tied = &self->tied;
    if (!tied->owns)
        return RK_OK;
    const float *values[] = {rk_buffer_floats (self->live) + tied->at};
    const bool moved = self->n_steps != tied->sent_steps || what == RK_TIED_ROUND;
    const rk_tied_t head = {.what = what, .f = f, .round = round, .n_tensors = moved, .n_floats = tied->count};
    tied->sent_steps = self->n_steps;
    return s_send (self, &head, values, err);
}

rk_err_t rk_stage_tied_send_mean (rk_stage_t *self, uint64_t round, rk_error_t *err)
{
    const rk_stage_tied_t *tied = &self->tied;
    if (!tied->owns)
        return RK_OK;
    const float *values[] = {rk_buffer_floats (self->mean) + tied->at,
                             self->merged ? rk_buffer_floats (self->merged) + tied->at : NULL};
    const rk_tied_t head = {.what = RK_TIED_MEAN, .round = round, .n_tensors = self->merged ? 2 : 1, .n_floats = tied->count};
    return s_send (self, &head, values, err);
}

/* ---- reader */

/* Minibatches whose values forward number n_forward has to have seen. */
static uint64_t s_due (const rk_stage_t *self)
{
    const uint64_t next = self->tied.n_forward + 1;
    return next > self->in_flight ? next - self->in_flight : 0;
}

bool rk_stage_tied_may_forward (const rk_stage_t *self)
{
    const rk_stage_tied_t *tied = &self->tied;
    if (!tied->reads)
        return true;
    uint64_t here = tied->n_finished;
    for (uint32_t i = 0; i < tied->n; i++)
        here += tied->queue[(tied->head + i) % tied->room].head.what == RK_TIED_VALUES;
    return here >= s_due (self);
}

/* The first of the queue becomes part of the live version. */
static rk_err_t s_take_first (rk_stage_t *self, rk_error_t *err)
{
    rk_stage_tied_t *tied = &self->tied;
    rk_err_t code = RK_OK;
    if (s_first (tied)->n_frames)
        code = rk_stage_write_live (self, tied->at, tied->count, zmq_msg_data (&s_first (tied)->frame[0]), err);
    tied->n_finished += s_first (tied)->head.what == RK_TIED_VALUES;
    s_pop (tied);
    return code;
}

rk_err_t rk_stage_tied_before_forward (rk_stage_t *self, rk_error_t *err)
{
    rk_stage_tied_t *tied = &self->tied;
    rk_err_t code = RK_OK;
    while (tied->reads && tied->n_finished < s_due (self) && code == RK_OK)
        code = s_take_first (self, err);
    tied->n_forward += tied->reads;
    return code;
}

rk_err_t rk_stage_tied_send_share (rk_stage_t *self, uint64_t f, uint64_t round, float *grads, rk_error_t *err)
{
    const rk_stage_tied_t *tied = &self->tied;
    if (!tied->reads)
        return RK_OK;
    const float *values[] = {grads + tied->at};
    const rk_tied_t head = {.what = RK_TIED_SHARE, .f = f, .round = round, .n_tensors = 1, .n_floats = tied->count};
    rk_err_t code = s_send (self, &head, values, err);
    memset (grads + tied->at, 0, tied->count * sizeof *grads);
    return code;
}

bool rk_stage_tied_end_round (rk_stage_t *self, uint64_t round, rk_err_t *code, rk_error_t *err)
{
    rk_stage_tied_t *tied = &self->tied;
    if (!tied->reads)
        return true;
    uint32_t n = 0;
    while (n < tied->n && tied->queue[(tied->head + n) % tied->room].head.what != RK_TIED_ROUND)
        n++;
    if (n == tied->n || tied->queue[(tied->head + n) % tied->room].head.round != round)
        return false;
    for (uint32_t i = 0; i <= n && *code == RK_OK; i++)
        *code = s_take_first (self, err);
    return true;
}

bool rk_stage_tied_hold_mean (rk_stage_t *self, rk_packet_t *packet)
{
    rk_stage_tied_t *tied = &self->tied;
    const rk_tied_message_t *mean = &tied->mean[self->averaging & 1];
    if (!tied->reads || (mean->n_frames && mean->head.round == self->averaging))
        return false;
    tied->held = true;
    tied->held_mean = packet->msg.mean;
    tied->n_held = packet->n_frames;
    for (int i = 0; i < packet->n_frames; i++) {
        zmq_msg_init (&tied->held_frame[i]);
        zmq_msg_move (&tied->held_frame[i], &packet->frame[i]);
    }
    return true;
}

void rk_stage_tied_copy_mean (rk_stage_t *self, int idx, float *flat)
{
    rk_stage_tied_t *tied = &self->tied;
    rk_tied_message_t *mean = &tied->mean[self->averaging & 1];
    if (tied->reads && mean->n_frames)
        memcpy (flat + tied->at, zmq_msg_data (&mean->frame[idx < mean->n_frames ? idx : 0]), tied->count * sizeof *flat);
}

void rk_stage_tied_drop_mean (rk_stage_t *self)
{
    s_clear (&self->tied.mean[self->averaging & 1]);
}
