/* SPDX-License-Identifier: MPL-2.0
 * Mixing hop by hop (cluster/hops.h): a sum goes to one peer, another's comes and is taken in, and that is the next
 * one to go. Every part of every segment is on its own way. What comes before its hop waits as the frame it came in.
 * What is sent is copied: the sum goes on growing in its place.                                              */
#include "actors/reducer_parts.h"
#include "compute/kernels/vec.h"

/* ---- open and close */

rk_err_t rk_hopper_open (rk_reducer_self_t *self, rk_error_t *err)
{
    rk_mixer_t *mix = &self->mix;
    const size_t parts = (size_t) self->n_planes * mix->n_parts;
    mix->slots = rk_hops_most (mix->graph);
    mix->members = calloc (mix->max_row + 1, sizeof *mix->members);
    mix->in_p = calloc (parts * mix->max_row + 1, sizeof *mix->in_p);
    mix->in_a = calloc (parts + 1, sizeof *mix->in_a);
    mix->in_frame = calloc (parts * mix->slots + 1, sizeof *mix->in_frame);
    mix->aside = calloc (self->n_planes * self->stride + 1, sizeof *mix->aside);
    if (!mix->members || !mix->in_p || !mix->in_a || !mix->in_frame || !mix->aside)
        return rk_error_set (err, RK_ENOMEM, "no memory to mix %zu parts in %u hops", parts, mix->slots);
    return RK_OK;
}

void rk_hopper_close (rk_reducer_self_t *self)
{
    rk_mixer_t *mix = &self->mix;
    free (mix->members);
    free (mix->in_p);
    free (mix->in_a);
    free (mix->in_frame);
    free (mix->aside);
}

/* ---- one piece of a part */

typedef struct {
    uint64_t at, n;  /* floats, from the start of the part */
    float *p, *a;
    const float *own;
    uint32_t *in_p, *in_a;
} piece_t;

static piece_t s_piece (const rk_reducer_self_t *self, const rk_mix_part_t *part, uint32_t number)
{
    const rk_mixer_t *mix = &self->mix;
    uint64_t lo, hi;
    rk_hops_piece (&mix->hops, part->n, number, &lo, &hi);
    return (piece_t){.at = lo, .n = hi - lo, .p = rk_mixer_floats (self, mix->out, part) + lo,
                     .a = mix->aside + part->plane * self->stride + part->at + lo,
                     .own = rk_mixer_floats (self, mix->own, part) + lo,
                     .in_p = &mix->in_p[part->number * mix->max_row + number], .in_a = &mix->in_a[part->number]};
}

static rk_err_t s_send (rk_reducer_self_t *self, const rk_mix_part_t *part, uint32_t h, const rk_hop_t *hop, rk_error_t *err)
{
    const piece_t piece = s_piece (self, part, hop->send);
    if (!piece.n || hop->op == RK_HOP_CLOSE)
        return RK_OK;
    rk_msg_t msg = {.kind = RK_MSG_CHUNK,
                    .chunk = {.round = self->round, .segment = part->lane->segment, .plane = part->plane, .step = h + 1,
                              .piece = hop->send, .offset = part->offset + piece.at, .n_floats = piece.n, .total = self->total,
                              .mixing = true, .control = self->control, .push = *piece.in_p}};
    rk_frame_t frame = {.bytes = piece.p, .size = piece.n * sizeof (float)};
    return rk_loop_send (self->loop, rk_reducer_owner (self->plan, part->lane->segment, hop->to), &msg, &frame, 1, err);
}

/* *waits: what the hop needs has not come. */
static void s_receive (rk_reducer_self_t *self, const rk_mix_part_t *part, uint32_t h, const rk_hop_t *hop, bool *waits)
{
    rk_mixer_t *mix = &self->mix;
    const size_t at = part->number * mix->slots + h;
    const piece_t piece = s_piece (self, part, hop->receive);
    const bool exchanged = hop->op != RK_HOP_CLOSE && piece.n;
    *waits = exchanged && !mix->here[at];
    if (*waits || !piece.n)
        return;
    const bool drops = self->corrupt == RK_CORRUPT_DROPPED_PIECE && part->lane == self->lanes;
    const void *received = !exchanged ? NULL : drops ? (const void *) piece.own : zmq_msg_data (&mix->frames[at]);
    rk_hops_take (hop->op, piece.n, received, mix->in_frame[at], piece.p, piece.in_p, piece.a, piece.in_a);
    if (exchanged)
        rk_mixer_drop_frame (mix, at);
}

static void s_finish (rk_reducer_self_t *self, const rk_mix_part_t *part)
{
    rk_mixer_t *mix = &self->mix;
    for (uint32_t number = 0; number < mix->hops.n_pieces; number++) {
        const piece_t piece = s_piece (self, part, number);
        rk_hops_end (&mix->hops, piece.n, *piece.in_p, piece.own, piece.p);
        if (self->frozen)
            memcpy (piece.p, piece.own, piece.n * sizeof *piece.p);
    }
    mix->n_missing--;
}

/* As many hops as can be done now. */
static rk_err_t s_advance (rk_reducer_self_t *self, const rk_mix_part_t *part, rk_error_t *err)
{
    rk_mixer_t *mix = &self->mix;
    uint32_t *state = &mix->n_added[part->number];
    for (; *state / 2 < mix->hops.n_hops; *state = (*state / 2 + 1) * 2) {
        const uint32_t h = *state / 2;
        const rk_hop_t hop = rk_hops_get (&mix->hops, mix->members, h);
        if (*state % 2 == 0) {
            const rk_err_t code = s_send (self, part, h, &hop, err);
            if (code != RK_OK)
                return code;
            ++*state;
        }
        bool waits;
        s_receive (self, part, h, &hop, &waits);
        if (waits)
            return RK_OK;
    }
    s_finish (self, part);
    return RK_OK;
}

/* ---- rounds */

rk_err_t rk_hopper_begin (rk_reducer_self_t *self, const rk_mix_part_t *part, rk_error_t *err)
{
    rk_mixer_t *mix = &self->mix;
    float *p = rk_mixer_floats (self, mix->out, part);
    const float weight = self->corrupt == RK_CORRUPT_WRONG_WEIGHT ? 1.125f : 1;
    if (self->frozen)
        memset (p, 0, part->n * sizeof *p);
    else
        rk_vec ()->scale (part->n, weight, rk_mixer_floats (self, mix->own, part), p);
    for (uint32_t number = 0; number < mix->hops.n_pieces; number++)
        mix->in_p[part->number * mix->max_row + number] = !self->frozen;
    return s_advance (self, part, err);
}

rk_err_t rk_hopper_take (rk_reducer_self_t *self, uint32_t peer, const rk_chunk_t *chunk, zmq_msg_t *frame, rk_error_t *err)
{
    rk_mixer_t *mix = &self->mix;
    if (!chunk->step || chunk->step > mix->hops.n_hops)
        return rk_error_set (err, RK_EFORMAT, "replica %u is at hop %u of round %llu, which has %u here", peer, chunk->step,
                             (unsigned long long) chunk->round, mix->hops.n_hops);
    const uint32_t h = chunk->step - 1;
    const rk_hop_t hop = rk_hops_get (&mix->hops, mix->members, h);
    const rk_mix_part_t part = rk_mixer_part (self, &self->lanes[self->lane_of[chunk->segment]], chunk->plane,
                                              chunk->offset - chunk->offset % RK_REDUCER_PART);
    const piece_t piece = s_piece (self, &part, hop.receive);
    const size_t at = part.number * mix->slots + h;
    if (hop.op == RK_HOP_CLOSE || hop.from != peer || hop.receive != chunk->piece || part.offset + piece.at != chunk->offset ||
        piece.n != chunk->n_floats || chunk->push > mix->hops.size)
        return rk_error_set (err, RK_EFORMAT, "replica %u sends piece %u of segment %u at hop %u of round %llu, replica %u expects "
                             "piece %u from replica %u then", peer, chunk->piece, chunk->segment, h,
                             (unsigned long long) chunk->round, self->cluster, hop.receive, hop.from);
    if (mix->here[at])
        return rk_error_set (err, RK_ESTALE, "hop %u of segment %u came twice from replica %u", h, chunk->segment, peer);
    mix->here[at] = RK_HERE_FRAME;
    mix->in_frame[at] = (uint32_t) chunk->push;
    zmq_msg_init (&mix->frames[at]);
    zmq_msg_move (&mix->frames[at], frame);
    return s_advance (self, &part, err);
}

/* Within a part; which piece the hop says is checked when its round is here. */
bool rk_hopper_check (const rk_reducer_self_t *self, const rk_chunk_t *c)
{
    const uint64_t n = self->lanes[self->lane_of[c->segment]].whole.n;
    return self->mix.cheapest && c->offset < n && c->n_floats && c->n_floats <= n - c->offset &&
           c->n_floats <= RK_REDUCER_PART - c->offset % RK_REDUCER_PART;
}
