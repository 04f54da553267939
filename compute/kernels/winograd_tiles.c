/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/winograd_tiles.h"

#include <string.h>

#include "compute/kernels/inside.h"
#include "compute/kernels/sets.h"

#define WIDE RK_WINOGRAD_WIDE
#define BLOCK_FLOATS 8192 /* of a position's inputs and outputs: with all sixteen, half of a 1 MiB cache */
#define LINE 16           /* floats by which positions are moved apart, so that they do not share cache sets */

static size_t s_round_up (size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static size_t s_least (size_t a, size_t b)
{
    return a < b ? a : b;
}

rk_winograd_t rk_winograd_layout (const rk_conv_shape_t *s)
{
    rk_winograd_t g = {.s = *s, .in = s_round_up (s->c_in, WIDE), .out = s_round_up (s->c_out, WIDE)};
    g.out_h = s->h + 2 * s->padding - 2;
    g.out_w = s->w + 2 * s->padding - 2;
    g.tile_rows = (g.out_h + 1) / 2;
    g.tile_cols = (g.out_w + 1) / 2;
    g.rows = BLOCK_FLOATS / ((g.in + g.out) * g.tile_cols);
    g.rows = g.rows ? g.rows : 1;
    g.in_pos = g.rows * g.tile_cols * g.in + LINE;
    g.out_pos = g.rows * g.tile_cols * g.out + LINE;
    const size_t most_rows = s_least (g.rows, g.tile_rows), widest = s->w > g.out_w ? s->w : g.out_w;
    g.plane = (2 * most_rows + 2) * widest * WIDE;
    g.worker = widest * WIDE + g.plane + RK_WINOGRAD_POSITIONS * (g.in_pos + g.out_pos);
    return g;
}

rk_winograd_room_t rk_winograd_room (const rk_winograd_t *g, float *worker)
{
    const size_t row = (g->s.w > g->out_w ? g->s.w : g->out_w) * WIDE;
    rk_winograd_room_t room = {.zeros = worker, .plane = worker + row};
    room.inputs = room.plane + g->plane;
    room.outputs = room.inputs + RK_WINOGRAD_POSITIONS * g->in_pos;
    return room;
}

/* Rows [from, to) of sixteen channels of one sample, from channel c: (rows, w, 16); missing channels are zeros. */
static void s_turn (const rk_tile_set_t *set, size_t channels, size_t c, size_t h, size_t w, const float *sample,
                    size_t from, size_t to, float *plane)
{
    const size_t n = s_least (channels - c, WIDE);
    if (n < WIDE)
        memset (plane, 0, (to - from) * w * WIDE * sizeof *plane);
    set->transpose (n, (to - from) * w, sample + (c * h + from) * w, h * w, plane, WIDE);
}

/* Tile rows of a block that lie in one sample. */
typedef struct {
    size_t sample, row, end; /* tile rows of the sample */
    size_t tile;             /* the first one's place in the block */
} s_part_t;

static s_part_t s_part (const rk_winograd_t *g, size_t first, size_t at, size_t end)
{
    const size_t sample = at / g->tile_rows, row = at % g->tile_rows;
    return (s_part_t){sample, row, s_least (g->tile_rows, row + end - at), (at - first) * g->tile_cols};
}

/* One part, sixteen channels of input. */
static void s_read_part (const rk_winograd_t *g, const rk_tile_set_t *set, const rk_winograd_room_t *room,
                         const float *x, const s_part_t *part, size_t c)
{
    const rk_conv_shape_t *s = &g->s;
    const size_t low = 2 * part->row > s->padding ? 2 * part->row - s->padding : 0;
    const size_t high = s_least (2 * part->end + 2 > s->padding ? 2 * part->end + 2 - s->padding : 0, s->h);
    rk_winograd_rows_t at = {.n = g->tile_cols, .cols = s->w, .left = s->padding, .pos = g->in_pos, .tile = g->in};
    if (low < high)
        s_turn (set, s->c_in, c, s->h, s->w, x + part->sample * s->c_in * s->h * s->w, low, high, room->plane);
    for (size_t row = part->row; row < part->end; row++) {
        for (size_t i = 0; i < 4; i++) {
            const size_t r = 2 * row + i - s->padding; /* above the first: beyond the last */
            at.row[i] = r >= low && r < high ? room->plane + (r - low) * s->w * WIDE : room->zeros;
        }
        at.tiles = room->inputs + (part->tile + (row - part->row) * g->tile_cols) * g->in + c;
        rk_vec ()->winograd_input (&at);
    }
}

void rk_winograd_read_inputs (const rk_winograd_t *g, const rk_tile_set_t *set, const rk_winograd_room_t *room,
                              const float *x, size_t first, size_t end)
{
    for (size_t at = first; at < end;) {
        const s_part_t part = s_part (g, first, at, end);
        for (size_t c = 0; c < g->s.c_in; c += WIDE)
            s_read_part (g, set, room, x, &part, c);
        at += part.end - part.row;
    }
}

void rk_winograd_read_gradients (const rk_winograd_t *g, const rk_tile_set_t *set, const rk_winograd_room_t *room,
                                 const float *dy, size_t first, size_t end)
{
    const size_t c_out = g->s.c_out;
    rk_winograd_rows_t to = {.n = g->tile_cols, .cols = g->out_w, .pos = g->out_pos, .tile = g->out};
    for (size_t at = first; at < end;) {
        const s_part_t part = s_part (g, first, at, end);
        const size_t low = 2 * part.row, high = s_least (2 * part.end, g->out_h);
        for (size_t c = 0; c < c_out; c += WIDE) {
            s_turn (set, c_out, c, g->out_h, g->out_w, dy + part.sample * c_out * g->out_h * g->out_w, low, high,
                    room->plane);
            for (size_t row = part.row; row < part.end; row++) {
                for (size_t i = 0; i < 2; i++)
                    to.row[i] = 2 * row + i < high ? room->plane + (2 * row + i - low) * g->out_w * WIDE : room->zeros;
                to.tiles = room->outputs + (part.tile + (row - part.row) * g->tile_cols) * g->out + c;
                rk_vec ()->winograd_gradient (&to);
            }
        }
        at += part.end - part.row;
    }
}

void rk_winograd_write_outputs (const rk_winograd_t *g, const rk_tile_set_t *set, const rk_winograd_room_t *room,
                                const float *bias, float *y, size_t first, size_t end)
{
    const size_t c_out = g->s.c_out, plane = g->out_h * g->out_w;
    rk_winograd_rows_t from = {.n = g->tile_cols, .cols = g->out_w, .pos = g->out_pos, .tile = g->out};
    for (size_t at = first; at < end;) {
        const s_part_t part = s_part (g, first, at, end);
        const size_t low = 2 * part.row, high = s_least (2 * part.end, g->out_h);
        for (size_t c = 0; c < c_out; c += WIDE) {
            for (size_t row = part.row; row < part.end; row++) {
                from.out[0] = room->plane + (2 * row - low) * g->out_w * WIDE;
                from.out[1] = 2 * row + 1 < high ? from.out[0] + g->out_w * WIDE : NULL;
                from.tiles = room->outputs + (part.tile + (row - part.row) * g->tile_cols) * g->out + c;
                rk_vec ()->winograd_output (&from, bias ? bias + c : NULL);
            }
            set->transpose ((high - low) * g->out_w, s_least (c_out - c, WIDE), room->plane, WIDE,
                            y + (part.sample * c_out + c) * plane + low * g->out_w, plane);
        }
        at += part.end - part.row;
    }
}

void rk_winograd_multiply (const rk_tile_set_t *set, const rk_winograd_product_t *p)
{
    const size_t n_tiles = (p->m + set->max_rows - 1) / set->max_rows;
    rk_tile_t t = p->tile;
    rk_inside_products = 1;
    for (size_t pos = 0; pos < RK_WINOGRAD_POSITIONS; pos++)
        for (size_t i = 0; i < n_tiles; i++) {
            const size_t from = p->m * i / n_tiles, rows = p->m * (i + 1) / n_tiles - from;
            t.a = p->tile.a + pos * p->a_pos + from * t.a_row;
            for (size_t col = 0; col < p->n; col += set->max_cols) {
                t.b = p->tile.b + pos * p->b_pos + col;
                t.c = p->tile.c + pos * p->c_pos + from * t.c_row + col;
                set->tile (rows, s_least (p->n - col, set->max_cols), &t);
            }
        }
    rk_inside_products = 0;
}
