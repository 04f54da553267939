/* SPDX-License-Identifier: MPL-2.0
 * The input of a convolution as its kernels read it: planes inside a border of zeros, so that no tap needs a
 * test, and with the columns of each row sorted by their residue of the stride, so that outputs side by side
 * read floats side by side. Tap (i, j) of output (r, c) lies at
 *   (r step + i) pitch + (j mod step) sub + j / step + c.
 * Private to compute/kernels/.                                                                        */
#ifndef RK_COMPUTE_KERNELS_BORDER_H
#define RK_COMPUTE_KERNELS_BORDER_H
#include <stddef.h>
#include "compute/kernels/tile.h"

typedef struct {
    size_t channels, h, w;               /* of the input */
    ptrdiff_t top, left;                 /* zeros before its first row and column; negative: it starts later */
    size_t tap_rows, tap_cols;           /* may be 0 */
    size_t step, rows, cols;             /* outputs */
    size_t sub, pitch, channel_stride;   /* floats; filled by rk_border_layout */
    size_t sample_stride;
} rk_border_t;

void rk_border_layout (rk_border_t *b);

/* Channels [from, to) of x (channels, h, w) into `out`, whose zeros stay from sample to sample. */
void rk_border_copy (const rk_border_t *b, const rk_tile_set_t *set, size_t from, size_t to, const float *x,
                     float *out);

/* An output. */
typedef struct {
    size_t sample, row, col;
} rk_place_t;

/* The pieces that make up `cols` outputs from *place on, which moves on; room for max_cols pieces. */
void rk_border_pieces (const rk_border_t *b, const rk_tile_set_t *set, rk_place_t *place, size_t cols,
                       rk_piece_t *pieces, size_t n_pieces[2]);

static inline size_t rk_border_tap (const rk_border_t *b, size_t i, size_t j)
{
    return i * b->pitch + j % b->step * b->sub + j / b->step;
}

#endif
