/* SPDX-License-Identifier: MPL-2.0
 * The AMX tile, over primitives that amx.c defines by instructions and its test by plain C:
 *   s_amx_config (of the eight tiles), s_amx_zero, s_amx_load, s_amx_dot (c, a, b), s_amx_store, s_amx_release.
 * Tiles 0 to 3 are C (2 x 2), 4 and 5 are A, 6 and 7 are B. Not a header for anybody else.            */
#include <stdint.h>
#include <string.h>

#include "compute/kernels/amx.h"

#define SIDE 16       /* rows of a tile, and pairs or floats in one of its rows */
#define LINE_BYTES 64

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t line_bytes[16];
    uint8_t rows[16];
} s_amx_config_t;

typedef struct {
    float a[2 * SIDE * SIDE], b[SIDE * 2 * SIDE]; /* the last pairs, zeros after them */
    float c[2 * SIDE * 2 * SIDE];
} s_amx_room_t;

/* How many of the tile's 16 rows exist in its upper (0) or lower (1) half. */
static size_t s_half (size_t rows, size_t half)
{
    return half == 0 ? (rows < SIDE ? rows : SIDE) : rows > SIDE ? rows - SIDE : 0;
}

static void s_shape (size_t rows)
{
    s_amx_config_t config;
    memset (&config, 0, sizeof config);
    config.palette = 1;
    for (size_t tile = 0; tile < 8; tile++) {
        const size_t half = tile < 4 ? tile / 2 : tile - 4, n = tile < 6 ? s_half (rows, half) : SIDE;
        config.rows[tile] = (uint8_t) (n ? n : 1); /* 0 rows would be no tile at all */
        config.line_bytes[tile] = LINE_BYTES;
    }
    s_amx_config (&config);
}

/* One step over 16 pairs of k. */
static inline void s_step (bool low, bool wide, const float *a, size_t a_row, const float *b, size_t b_k)
{
    s_amx_load (4, a, a_row * sizeof *a);
    s_amx_load (6, b, b_k * sizeof *b);
    s_amx_dot (0, 4, 6);
    if (wide) {
        s_amx_load (7, b + SIDE, b_k * sizeof *b);
        s_amx_dot (1, 4, 7);
    }
    if (!low)
        return;
    s_amx_load (5, a + SIDE * a_row, a_row * sizeof *a);
    s_amx_dot (2, 5, 6);
    if (wide)
        s_amx_dot (3, 5, 7);
}

/* The last few pairs: whatever lies behind them must count as 0 on both sides. */
static void s_last_step (size_t rows, size_t cols, const rk_tile_t *t, size_t done, s_amx_room_t *room)
{
    const size_t left = t->k_run - done;
    memset (room->a, 0, sizeof room->a);
    memset (room->b, 0, sizeof room->b);
    for (size_t i = 0; i < rows; i++)
        memcpy (room->a + i * SIDE, t->a + i * t->a_row + done, left * sizeof *room->a);
    for (size_t p = 0; p < left; p++)
        memcpy (room->b + p * 2 * SIDE, t->b + (done + p) * t->b_k, cols * sizeof *room->b);
    s_step (rows > SIDE, cols > SIDE, room->a, SIDE, room->b, 2 * SIDE);
}

/* Columns beyond cols hold whatever B's row went on with. */
static void s_finish (size_t rows, size_t cols, const rk_tile_t *t, const float *sums)
{
    for (size_t i = 0; i < rows; i++) {
        const float bias = t->bias ? t->bias[i] : 0.0f, *from = sums + i * 2 * SIDE;
        float *c = t->c + i * t->c_row;
        for (size_t j = 0; j < cols; j++) {
            float value = t->alpha * from[j];
            if (t->beta != 0.0f)
                value = t->beta * c[j] + value;
            c[j] = t->bias ? value + bias : value;
        }
    }
}

/* One run of k. */
static void s_run (size_t rows, size_t cols, const rk_tile_t *t, s_amx_room_t *room)
{
    const bool wide = cols > SIDE;
    size_t k = 0;
    for (; k + SIDE <= t->k_run; k += SIDE)
        s_step (rows > SIDE, wide, t->a + k, t->a_row, t->b + k * t->b_k, t->b_k);
    if (k < t->k_run)
        s_last_step (rows, cols, t, k, room);
}

/* b_k is at least 32: a row of B may be read whole. */
void rk_amx_tile (size_t rows, size_t cols, const rk_tile_t *t)
{
    _Alignas (64) s_amx_room_t room;
    rk_tile_t part = *t;
    s_shape (rows);
    for (int tile = 0; tile < 4; tile++)
        s_amx_zero (tile);
    for (size_t run = 0; run < t->n_runs; run++, part.a += t->a_run, part.b += t->k_run * t->b_k)
        s_run (rows, cols, &part, &room);
    for (int tile = 0; tile < 4; tile++)
        if ((tile < 2 || rows > SIDE) && (tile % 2 == 0 || cols > SIDE))
            s_amx_store (tile, room.c + tile / 2 * SIDE * 2 * SIDE + tile % 2 * SIDE, 2 * SIDE * sizeof *room.c);
    s_amx_release ();
    s_finish (rows, cols, t, room.c);
}
