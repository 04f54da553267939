/* SPDX-License-Identifier: MPL-2.0
 * Mixing with the neighbours in a graph: one exchange with each of them, per segment and round. What arrives is
 * added where it lies, in ascending order of the replicas, so that the bits do not depend on who came first.
 * A neighbour that is frozen (not finite) sends its last good values, and its weight goes to the own ones.
 * Push-sum: the sum is of masses, and what the stage gets is mass / weight.                                */
#include "actors/reducer_parts.h"

/* ---- open and close */

static rk_err_t s_allocate (rk_reducer_self_t *self, rk_error_t *err)
{
    rk_mixer_t *mix = &self->mix;
    size_t parts = (size_t) self->n_planes * mix->n_parts, floats = self->n_planes * self->stride + 1;
    bool stale = self->corrupt == RK_CORRUPT_STALE_ROUND;
    mix->row = calloc (self->n, sizeof *mix->row);
    mix->column = calloc (self->n, sizeof *mix->column);
    mix->pushed = calloc (self->n, sizeof *mix->pushed);
    mix->n_added = calloc (parts + 1, sizeof *mix->n_added);
    mix->here = calloc (parts * mix->slots + 1, sizeof *mix->here);
    mix->frames = calloc (parts * mix->slots + 1, sizeof *mix->frames);
    mix->mass = mix->push || stale ? calloc (floats, sizeof *mix->mass) : NULL;
    bool ok = mix->row && mix->column && mix->pushed && mix->n_added && mix->here && mix->frames;
    if (!ok || ((mix->push || stale) && !mix->mass))
        return rk_error_set (err, RK_ENOMEM, "no memory to mix %zu parts with %u neighbours", parts, mix->max_row);
    return RK_OK;
}

rk_err_t rk_mixer_open (rk_reducer_self_t *self, rk_error_t *err)
{
    rk_mixer_t *mix = &self->mix;
    rk_err_t code = rk_exchange_graph (&mix->graph, self->plan, err);
    if (code != RK_OK)
        return code;
    if (!rk_exchange_is_sparse (mix->graph)) {
        rk_graph_destroy (&mix->graph);
        return RK_OK;
    }
    mix->push = !rk_graph_is_doubly_stochastic (mix->graph);
    mix->max_row = rk_graph_max_row (mix->graph);
    mix->push_weight = 1;
    mix->slots = mix->max_row;
    mix->cheapest = self->plan->settings.average_exchange == RK_EXCHANGE_CHEAPEST;
    code = mix->cheapest ? rk_hopper_open (self, err) : RK_OK;
    return code == RK_OK ? s_allocate (self, err) : code;
}

void rk_mixer_drop_frame (rk_mixer_t *mix, size_t at)
{
    if (mix->here[at] == RK_HERE_FRAME)
        zmq_msg_close (&mix->frames[at]);
    mix->here[at] = RK_HERE_USED;
}

void rk_mixer_close (rk_reducer_self_t *self)
{
    rk_mixer_t *mix = &self->mix;
    for (size_t at = 0; mix->here && at < (size_t) self->n_planes * mix->n_parts * mix->slots; at++)
        rk_mixer_drop_frame (mix, at);
    rk_buffer_unref (mix->own);
    rk_buffer_unref (mix->out);
    rk_buffer_unref (mix->last);
    free (mix->row);
    free (mix->column);
    free (mix->pushed);
    free (mix->n_added);
    free (mix->here);
    free (mix->frames);
    free (mix->mass);
    rk_hopper_close (self);
    rk_graph_destroy (&mix->graph);
}

/* ---- one part */

rk_mix_part_t rk_mixer_part (const rk_reducer_self_t *self, const rk_lane_t *lane, uint32_t plane, uint64_t offset)
{
    uint64_t left = lane->whole.n - offset;
    return (rk_mix_part_t){.lane = lane, .plane = plane, .offset = offset, .at = lane->whole.lo + offset,
                    .n = left < RK_REDUCER_PART ? left : RK_REDUCER_PART,
                    .number = (size_t) plane * self->mix.n_parts + lane->whole.first_part + offset / RK_REDUCER_PART};
}

float *rk_mixer_floats (const rk_reducer_self_t *self, const rk_buffer_t *buffer, const rk_mix_part_t *part)
{
    return rk_buffer_floats (buffer) + part->plane * self->stride + part->at;
}

/* The row is complete: the end of its sum, and with push-sum the ratio, for which all weights are here too. */
static void s_finish (rk_reducer_self_t *self, const rk_mix_part_t *part)
{
    rk_mixer_t *mix = &self->mix;
    float *y = rk_mixer_floats (self, mix->out, part);
    rk_mix_end (mix->mean, mix->n_row, part->n, y);
    if (self->frozen)
        memcpy (y, rk_mixer_floats (self, mix->own, part), part->n * sizeof *y);
    if (mix->push) {
        memcpy (mix->mass + part->plane * self->stride + part->at, y, part->n * sizeof *y);
        rk_mix_ratio (part->n, self->frozen ? mix->push_weight : rk_mix_weight (mix->row, mix->n_row, mix->pushed), y, y);
    }
    mix->n_missing--;
}

/* Adds what is here, as far as the order allows. */
static void s_advance (rk_reducer_self_t *self, const rk_mix_part_t *part)
{
    rk_mixer_t *mix = &self->mix;
    const float *own = rk_mixer_floats (self, mix->own, part);
    float *y = rk_mixer_floats (self, mix->out, part);
    uint32_t *e = &mix->n_added[part->number];
    for (; *e < mix->n_row; ++*e) {
        size_t at = part->number * mix->slots + *e;
        if (*e != mix->own_at && !mix->here[at])
            return;
        bool drops = self->corrupt == RK_CORRUPT_DROPPED_PIECE && part->lane == self->lanes;
        const void *x = mix->here[at] == RK_HERE_FRAME && !drops ? zmq_msg_data (&mix->frames[at]) : own;
        if (*e == 0)
            rk_mix_begin (mix->mean, mix->row[*e].weight, part->n, x, y);
        else
            rk_mix_add (mix->mean, mix->row[*e].weight, part->n, x, y);
        rk_mixer_drop_frame (mix, at);
    }
    s_finish (self, part);
}

/* ---- begin */

static void s_find_neighbours (rk_reducer_self_t *self)
{
    rk_mixer_t *mix = &self->mix;
    if (mix->cheapest)
        rk_hops_at (&mix->hops, mix->graph, &self->exchange.at, self->cluster, mix->column, mix->members);
    mix->n_row = rk_graph_row (mix->graph, &self->exchange.at, self->cluster, mix->row);
    mix->n_column = rk_graph_column (mix->graph, &self->exchange.at, self->cluster, mix->column);
    mix->mean = rk_mix_is_mean (mix->row, mix->n_row);
    mix->own_at = mix->n_row;
    for (uint32_t e = 0; e < mix->n_row; e++) {
        mix->pushed[e] = mix->push_weight;
        if (mix->row[e].peer == self->cluster)
            mix->own_at = e;
    }
    if (self->corrupt == RK_CORRUPT_WRONG_WEIGHT) {
        mix->mean = false;
        mix->row[0].weight *= 1.125f;
    }
}

/* Samples count in what is added to the masses, whose sum over all replicas is then that of the samples; the masses
 * themselves are mixed and merged alike. The first round says what a replica begins with: share and share times values.
 * Who has trained nothing yet still needs a weight to divide by.                                             */
#define LEAST_SHARE 0x1p-20f

void rk_mixer_weigh (rk_reducer_self_t *self)
{
    self->mix.share = (float) ((double) self->weight * self->n / (double) self->total);
    self->weight = 1;
    self->total = self->n;
}

static void s_begin_mass (rk_reducer_self_t *self, float *own)
{
    rk_mixer_t *mix = &self->mix;
    const float share = mix->share > LEAST_SHARE ? mix->share : LEAST_SHARE;
    for (size_t i = 0; i < self->n_flat; i++)
        own[i] *= share;
    mix->push_weight = (double) share;
}

/* Push-sum: what the stage has done since its last result is added to the mass. */
static void s_push (rk_reducer_self_t *self, uint32_t plane, float *own)
{
    rk_mixer_t *mix = &self->mix;
    float *mass = mix->mass + plane * self->stride;
    rk_mix_push (self->n_flat, mix->share, rk_buffer_floats (mix->last) + plane * self->stride, self->own[plane], mass);
    memcpy (own, mass, self->n_flat * sizeof *own);
}

/* For the tests of the tests: the values of the round before. */
static void s_make_stale (rk_reducer_self_t *self, uint32_t plane, float *own)
{
    float *before = self->mix.mass + plane * self->stride;
    for (size_t i = 0; i < self->n_flat; i++) {
        float now = own[i];
        own[i] = before[i];
        before[i] = now;
    }
}

void rk_mixer_prepare (rk_reducer_self_t *self)
{
    rk_mixer_t *mix = &self->mix;
    for (uint32_t plane = 0; plane < self->n_planes; plane++) {
        float *own = rk_buffer_floats (mix->own) + plane * self->stride;
        if (mix->push && mix->last && !self->frozen)
            s_push (self, plane, own);
        else
            memcpy (own, self->own[plane], self->n_flat * sizeof *own);
        if (mix->push && !mix->last)
            s_begin_mass (self, own);
        if (self->corrupt == RK_CORRUPT_STALE_ROUND && !mix->push)
            s_make_stale (self, plane, own);
        self->own[plane] = own;
    }
}

static rk_err_t s_send (rk_reducer_self_t *self, const rk_mix_part_t *part, rk_error_t *err)
{
    const rk_mixer_t *mix = &self->mix;
    rk_err_t code = RK_OK;
    for (uint32_t e = 0; e < mix->n_column && code == RK_OK; e++) {
        rk_msg_t msg = {.kind = RK_MSG_CHUNK,
                        .chunk = {.round = self->round, .segment = part->lane->segment, .plane = part->plane,
                                  .offset = part->offset, .n_floats = part->n, .total = self->total, .mixing = true,
                                  .control = self->control, .push = mix->push_weight, .frozen = self->frozen}};
        rk_frame_t frame = {.bytes = rk_mixer_floats (self, mix->own, part), .size = part->n * sizeof (float),
                            .release = rk_buffer_release, .hint = rk_buffer_ref (mix->own)};
        code = rk_loop_send (self->loop, rk_reducer_owner (self->plan, part->lane->segment, mix->column[e].peer), &msg, &frame, 1, err);
    }
    return code;
}

rk_err_t rk_mixer_begin (rk_reducer_self_t *self, rk_error_t *err)
{
    rk_mixer_t *mix = &self->mix;
    size_t parts = (size_t) self->n_planes * mix->n_parts;
    s_find_neighbours (self);
    memset (mix->n_added, 0, parts * sizeof *mix->n_added);
    memset (mix->here, 0, parts * mix->slots * sizeof *mix->here);
    mix->n_missing = parts;
    rk_err_t code = RK_OK;
    for (uint32_t plane = 0; plane < self->n_planes; plane++)
        for (uint32_t i = 0; i < self->n_lanes; i++)
            for (uint64_t at = 0; at < self->lanes[i].whole.n && code == RK_OK; at += RK_REDUCER_PART) {
                rk_mix_part_t part = rk_mixer_part (self, &self->lanes[i], plane, at);
                if (mix->hops.n_hops)
                    code = rk_hopper_begin (self, &part, err);
                else {
                    code = s_send (self, &part, err);
                    s_advance (self, &part);
                }
            }
    return code;
}

/* ---- what neighbours send */

/* The first neighbour of whom a part of the first segment is not in. */
uint32_t rk_mixer_missing (const rk_reducer_self_t *self)
{
    const rk_mixer_t *mix = &self->mix;
    for (uint32_t i = 0; mix->n_missing && i < self->n_lanes; i++)
        for (uint32_t part = 0; part < rk_reducer_n_parts (self->lanes[i].whole.n); part++)
            for (uint32_t e = 0; e < mix->n_row; e++)
                if (e != mix->own_at && !mix->here[(self->lanes[i].whole.first_part + part) * (size_t) mix->max_row + e])
                    return rk_reducer_owner (self->plan, self->lanes[i].segment, mix->row[e].peer);
    return 0;
}

static uint32_t s_cluster_of (const rk_reducer_self_t *self, uint32_t segment, uint32_t sender)
{
    for (uint32_t c = 0; c < self->n; c++)
        if (rk_reducer_owner (self->plan, segment, c) == sender)
            return c;
    return self->n;
}

rk_err_t rk_mixer_take (rk_reducer_self_t *self, uint32_t sender, const rk_chunk_t *chunk, zmq_msg_t *frame, bool *taken,
                        rk_error_t *err)
{
    rk_mixer_t *mix = &self->mix;
    uint32_t peer = s_cluster_of (self, chunk->segment, sender), e = 0;
    if (chunk->control != self->control) { /* another record holds there: never mixed */
        *taken = false;
        return RK_OK;
    }
    if (chunk->step || mix->hops.n_hops)
        return rk_hopper_take (self, peer, chunk, frame, err);
    while (e < mix->n_row && mix->row[e].peer != peer)
        e++;
    if (e == mix->n_row || e == mix->own_at)
        return rk_error_set (err, RK_EFORMAT, "replica %u mixes in round %llu, but is no neighbour of replica %u then", peer,
                             (unsigned long long) chunk->round, self->cluster);
    rk_mix_part_t part = rk_mixer_part (self, &self->lanes[self->lane_of[chunk->segment]], chunk->plane, chunk->offset);
    size_t at = part.number * mix->slots + e;
    if (mix->here[at])
        return rk_error_set (err, RK_ESTALE, "part %llu of segment %u came twice from replica %u",
                             (unsigned long long) (part.offset / RK_REDUCER_PART), chunk->segment, peer);
    mix->here[at] = chunk->frozen ? RK_HERE_FROZEN : RK_HERE_FRAME;
    if (!chunk->frozen) {
        mix->pushed[e] = chunk->push;
        zmq_msg_init (&mix->frames[at]);
        zmq_msg_move (&mix->frames[at], frame);
    }
    s_advance (self, &part);
    return RK_OK;
}

rk_err_t rk_mixer_check (const rk_reducer_self_t *self, const rk_packet_t *packet, rk_error_t *err)
{
    const rk_chunk_t *c = &packet->msg.chunk;
    if (!self->mix.graph || c->segment >= self->plan->n_segments || self->lane_of[c->segment] == UINT32_MAX ||
        c->plane >= self->n_planes || packet->n_frames != 1)
        return rk_error_set (err, RK_EFORMAT, "mixing of segment %u, plane %u in %d frames", c->segment, c->plane, packet->n_frames);
    uint32_t peer = s_cluster_of (self, c->segment, packet->msg.sender);
    if (peer == self->n || peer == self->cluster)
        return rk_error_set (err, RK_EFORMAT, "mixing of segment %u from %s %u, which owns none of it", c->segment,
                             rk_actor_kind_name (rk_address_kind (packet->msg.sender)), rk_address_node (packet->msg.sender));
    uint64_t n = self->lanes[self->lane_of[c->segment]].whole.n;
    uint64_t part = c->offset < n && n - c->offset < RK_REDUCER_PART ? n - c->offset : RK_REDUCER_PART;
    size_t size = zmq_msg_size ((zmq_msg_t *) &packet->frame[0]);
    bool fits = c->step ? rk_hopper_check (self, c) : c->offset < n && c->offset % RK_REDUCER_PART == 0 && c->n_floats == part;
    if (!fits || size != c->n_floats * sizeof (float))
        return rk_error_set (err, RK_EFORMAT, "mixing at %llu with %llu floats in %zu bytes, segment %u has %llu",
                             (unsigned long long) c->offset, (unsigned long long) c->n_floats, size, c->segment,
                             (unsigned long long) n);
    return RK_OK;
}

/* ---- end */

void rk_mixer_end (rk_reducer_self_t *self)
{
    rk_mixer_t *mix = &self->mix;
    if (!mix->push)
        return;
    const rk_buffer_t *result = self->exchange.mix ? mix->out : self->acc;
    rk_buffer_unref (mix->last);
    mix->last = rk_buffer_ref ((rk_buffer_t *) result);
    if (!self->exchange.mix) { /* the exact mean of all masses: everybody's weight is 1 again */
        mix->push_weight = 1;
        memcpy (mix->mass, result->bytes, self->n_planes * self->stride * sizeof *mix->mass);
    } else if (!self->frozen)
        mix->push_weight = rk_mix_weight (mix->row, mix->n_row, mix->pushed);
}

double rk_mixer_distance (const rk_reducer_self_t *self)
{
    const float *own = self->own[0], *out = rk_buffer_floats (self->mix.out);
    double sum = 0;
    for (size_t i = 0; i < self->n_flat; i++) {
        double d = (double) own[i] - (double) out[i];
        sum += d * d;
    }
    return sum;
}
