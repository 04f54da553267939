/* SPDX-License-Identifier: MPL-2.0
 * Ring all-reduce as a reaction: a part that arrives at step t is added (or copied) and what results is the
 * part this rank sends at step t + 1. Sums start with the first rank's own values and grow in ring order, so
 * every rank ends with the same bits. A pair with a small segment swaps it whole and both add: a sum of two is the
 * same in either order, so the bits are the ring's, after one hop instead of two.                          */
#include "actors/reducer_parts.h"
#include "compute/kernels/vec.h"

/* ---- one part */

typedef struct {
    const rk_lane_t *lane;
    uint32_t plane, step, piece, number; /* number: of the part, in all planes */
    uint64_t offset, n;                  /* floats, from the start of the piece */
    uint64_t at;                         /* floats, from the start of the range */
} part_t;

static part_t s_part (const rk_reducer_self_t *self, const rk_chunk_t *chunk)
{
    const rk_lane_t *lane = &self->lanes[self->lane_of[chunk->segment]];
    const rk_piece_t *piece = &lane->pieces[chunk->piece];
    return (part_t){.lane = lane, .plane = chunk->plane, .step = chunk->step, .piece = chunk->piece,
                    .number = chunk->plane * self->n_parts + piece->first_part + (uint32_t) (chunk->offset / RK_REDUCER_PART),
                    .offset = chunk->offset, .n = chunk->n_floats, .at = piece->lo + chunk->offset};
}

static float *s_acc (const rk_reducer_self_t *self, const part_t *part)
{
    return rk_buffer_floats (self->acc) + part->plane * self->stride + part->at;
}

static const float *s_own (const rk_reducer_self_t *self, const part_t *part)
{
    return self->own[part->plane] + part->at;
}

static rk_part_lend_t *s_lend (const rk_reducer_self_t *self, const part_t *part)
{
    return (rk_part_lend_t *) self->acc->extra + part->number;
}

static void s_give_back (void *bytes, void *hint)
{
    rk_part_lend_t *lend = hint;
    rk_buffer_t *buffer = lend->buffer; /* the flag may be used again as soon as it is clear */
    (void) bytes;
    atomic_store_explicit (&lend->lent, 0, memory_order_release);
    rk_buffer_unref (buffer);
}

/* share: the received frame is passed on as it is; NULL: the part is lent from the accumulator, of a pair copied: what
 * arrives is written over it.                                                                              */
static rk_err_t s_send (rk_reducer_self_t *self, const part_t *part, uint32_t step, zmq_msg_t *share, rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_CHUNK,
                    .chunk = {.round = self->round, .segment = part->lane->segment, .plane = part->plane, .step = step,
                              .piece = part->piece, .offset = part->offset, .n_floats = part->n, .total = self->total}};
    rk_frame_t frame = {.share = share};
    if (!share && part->lane->pair)
        frame = (rk_frame_t){.bytes = s_acc (self, part), .size = part->n * sizeof (float)};
    else if (!share) {
        rk_part_lend_t *lend = s_lend (self, part);
        lend->buffer = rk_buffer_ref (self->acc);
        atomic_store_explicit (&lend->lent, 1, memory_order_relaxed);
        frame = (rk_frame_t){.bytes = s_acc (self, part), .size = part->n * sizeof (float), .release = s_give_back, .hint = lend};
    }
    return rk_loop_send (self->loop, part->lane->next, &msg, &frame, 1, err);
}

/* ---- step 0 */

static rk_err_t s_begin_piece (rk_reducer_self_t *self, const rk_lane_t *lane, uint32_t plane, rk_error_t *err)
{
    uint32_t piece = lane->pair ? 0 : rk_ring_step (self->cluster, self->n, 0).send_piece;
    rk_err_t code = RK_OK;
    for (uint64_t at = 0; at < lane->pieces[piece].n && code == RK_OK; at += RK_REDUCER_PART) {
        uint64_t n = lane->pieces[piece].n - at;
        rk_chunk_t chunk = {.segment = lane->segment, .plane = plane, .piece = piece, .offset = at,
                            .n_floats = n < RK_REDUCER_PART ? n : RK_REDUCER_PART};
        part_t part = s_part (self, &chunk);
        rk_vec ()->scale (part.n, (float) self->weight, s_own (self, &part), s_acc (self, &part));
        code = s_send (self, &part, 0, NULL, err);
    }
    return code;
}

rk_err_t rk_rings_begin (rk_reducer_self_t *self, rk_error_t *err)
{
    memset (self->got, 0, (size_t) self->n_planes * self->n_parts);
    self->n_missing = self->n_arrivals * self->ring_planes;
    rk_err_t code = RK_OK;
    for (uint32_t plane = 0; plane < self->ring_planes; plane++)
        for (uint32_t i = 0; i < self->n_lanes && code == RK_OK; i++)
            code = s_begin_piece (self, &self->lanes[i], plane, err);
    return code;
}

/* ---- steps 1 .. 2 (n - 1) */

static void s_divide (size_t n, float divisor, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] /= divisor;
}

/* For the tests of the tests: what arrives on the first lane is passed on but not used here. */
static bool s_drops (const rk_reducer_self_t *self, const part_t *part)
{
    return self->corrupt == RK_CORRUPT_DROPPED_PIECE && part->lane == self->lanes;
}

static void s_add (rk_reducer_self_t *self, const part_t *part, const void *received)
{
    float *y = s_acc (self, part);
    if (s_drops (self, part))
        rk_vec ()->copy (part->n, received, y);
    else
        rk_vec ()->sum_scaled (part->n, (float) self->weight, s_own (self, part), received, y);
    if (part->step + 2 == self->n) /* all ranks are in: this is the last sum */
        s_divide (part->n, (float) self->total, y);
}

rk_err_t rk_rings_take (rk_reducer_self_t *self, const rk_chunk_t *chunk, zmq_msg_t *frame, bool *taken, rk_error_t *err)
{
    part_t part = s_part (self, chunk);
    bool gather = !part.lane->pair && rk_ring_step (self->cluster, self->n, part.step).gather;
    uint8_t bit = gather ? RK_GOT_MEAN : RK_GOT_SUM;
    *taken = true;
    if (chunk->total != self->total)
        return rk_error_set (err, RK_ESTALE, "chunk of round %llu divides by %llu, this reducer by %llu",
                             (unsigned long long) chunk->round, (unsigned long long) chunk->total, (unsigned long long) self->total);
    if (self->got[part.number] & bit)
        return rk_error_set (err, RK_ESTALE, "part %llu of piece %u of segment %u came twice",
                             (unsigned long long) (part.offset / RK_REDUCER_PART), part.piece, chunk->segment);
    /* What this rank sent of the piece must be back before the mean is written over it. That the mean is here
     * makes it nearly always so; the I/O thread's own delay is why it is checked.                          */
    if (gather && atomic_load_explicit (&s_lend (self, &part)->lent, memory_order_acquire)) {
        *taken = false;
        return RK_OK;
    }
    if (gather && !s_drops (self, &part))
        rk_vec ()->copy (part.n, zmq_msg_data (frame), s_acc (self, &part));
    else if (!gather)
        s_add (self, &part, zmq_msg_data (frame));
    self->got[part.number] |= bit;
    self->n_missing--;
    if (part.lane->pair || part.step + 1 == rk_ring_n_steps (self->n))
        return RK_OK;
    return s_send (self, &part, part.step + 1, gather ? frame : NULL, err);
}

/* Of the first part that is not here: the mean of every piece but that which is made here comes from the owner before. */
uint32_t rk_rings_missing (const rk_reducer_self_t *self)
{
    for (uint32_t i = 0; self->n_missing && i < self->n_lanes; i++) {
        const rk_lane_t *lane = &self->lanes[i];
        for (uint32_t p = 0; p < (lane->pair ? 1 : self->n); p++)
            for (uint32_t part = 0; part < rk_reducer_n_parts (lane->pieces[p].n); part++)
                if (!self->got[lane->pieces[p].first_part + part])
                    return lane->previous;
    }
    return self->n_missing && self->n_lanes ? self->lanes[0].previous : 0;
}

/* ---- what a chunk must look like */

rk_err_t rk_rings_check (const rk_reducer_self_t *self, const rk_packet_t *packet, rk_error_t *err)
{
    const rk_chunk_t *c = &packet->msg.chunk;
    if (c->segment >= self->plan->n_segments || self->lane_of[c->segment] == UINT32_MAX || c->plane >= self->n_planes ||
        c->step >= rk_ring_n_steps (self->n) || packet->n_frames != 1)
        return rk_error_set (err, RK_EFORMAT, "chunk of segment %u, plane %u, step %u in %d frames", c->segment, c->plane, c->step,
                             packet->n_frames);
    const rk_lane_t *lane = &self->lanes[self->lane_of[c->segment]];
    if (packet->msg.sender != lane->previous)
        return rk_error_set (err, RK_EFORMAT, "chunk of segment %u from %s %u, not the owner before this one", c->segment,
                             rk_actor_kind_name (rk_address_kind (packet->msg.sender)), rk_address_node (packet->msg.sender));
    if (lane->pair && (c->piece || c->step))
        return rk_error_set (err, RK_EFORMAT, "chunk of piece %u at step %u, but the pair swaps segment %u whole", c->piece,
                             c->step, c->segment);
    if (!lane->pair && c->piece != rk_ring_step (self->cluster, self->n, c->step).receive_piece)
        return rk_error_set (err, RK_EFORMAT, "chunk of piece %u at step %u, the ring says piece %u", c->piece, c->step,
                             rk_ring_step (self->cluster, self->n, c->step).receive_piece);
    uint64_t n = lane->pieces[c->piece].n;
    uint64_t part = c->offset < n && n - c->offset < RK_REDUCER_PART ? n - c->offset : RK_REDUCER_PART;
    size_t size = zmq_msg_size ((zmq_msg_t *) &packet->frame[0]);
    if (c->offset >= n || c->offset % RK_REDUCER_PART || c->n_floats != part || size != part * sizeof (float))
        return rk_error_set (err, RK_EFORMAT, "chunk at %llu with %llu floats in %zu bytes, piece %u of segment %u has %llu",
                             (unsigned long long) c->offset, (unsigned long long) c->n_floats, size, c->piece, c->segment,
                             (unsigned long long) n);
    return RK_OK;
}
