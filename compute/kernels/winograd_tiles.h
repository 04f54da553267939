/* SPDX-License-Identifier: MPL-2.0
 * What the passes of compute/kernels/winograd.h share: blocks of tile rows, and planes turned to channels last and
 * back. Not a header for anybody else.                                                                */
#ifndef RK_COMPUTE_KERNELS_WINOGRAD_TILES_H
#define RK_COMPUTE_KERNELS_WINOGRAD_TILES_H
#include "compute/kernels/conv.h"
#include "compute/kernels/tile.h"
#include "compute/kernels/vec.h"

#define RK_WINOGRAD_POSITIONS 16 /* of a transformed tile */
#define RK_WINOGRAD_WIDE 16      /* channels turned at a time */

/* A convolution of kernel 3 and stride 1; the padding may be 2. Tile row r of a minibatch is tile row r mod tile_rows
 * of sample r / tile_rows.                                                                            */
typedef struct {
    rk_conv_shape_t s;
    size_t out_h, out_w, tile_rows, tile_cols;
    size_t in, out;               /* channels, rounded up to whole vectors */
    size_t rows;                  /* tile rows of a block */
    size_t in_pos, out_pos;       /* floats between positions: of tiles of inputs, of outputs */
    size_t plane;                 /* floats of a turned part of a plane, zeros in front */
    size_t worker;                /* floats of scratch */
} rk_winograd_t;

rk_winograd_t rk_winograd_layout (const rk_conv_shape_t *s);

/* The rooms of one worker. */
typedef struct {
    float *zeros; /* a row of sixteen channels, zeroed before the first block */
    float *plane, *inputs, *outputs;
} rk_winograd_room_t;

rk_winograd_room_t rk_winograd_room (const rk_winograd_t *g, float *worker);

/* Tiles of x from tile rows [first, end), and of dy as gradients. */
void rk_winograd_read_inputs (const rk_winograd_t *g, const rk_tile_set_t *set, const rk_winograd_room_t *room,
                              const float *x, size_t first, size_t end);
void rk_winograd_read_gradients (const rk_winograd_t *g, const rk_tile_set_t *set, const rk_winograd_room_t *room,
                                 const float *dy, size_t first, size_t end);
/* Tiles of outputs to y. bias: (out) with zeros at the end, or NULL */
void rk_winograd_write_outputs (const rk_winograd_t *g, const rk_tile_set_t *set, const rk_winograd_room_t *room,
                                const float *bias, float *y, size_t first, size_t end);

/* The sixteen products of a block: C (m, n) = beta C + A B, position by position. */
typedef struct {
    size_t m, n;
    rk_tile_t tile;              /* of position 0: a, b, c and strides */
    size_t a_pos, b_pos, c_pos;  /* floats from position to position */
} rk_winograd_product_t;

void rk_winograd_multiply (const rk_tile_set_t *set, const rk_winograd_product_t *p);

#endif
