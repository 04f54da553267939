/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/kernels/border.h"

static size_t s_padded_h (const rk_border_t *b)
{
    return (b->rows - 1) * b->step + b->tap_rows;
}

static size_t s_padded_w (const rk_border_t *b)
{
    return (b->cols - 1) * b->step + b->tap_cols;
}

void rk_border_layout (rk_border_t *b)
{
    b->sub = (s_padded_w (b) + b->step - 1) / b->step;
    b->pitch = b->sub * b->step;
    /* an odd number of cache lines, so that channels do not share cache sets */
    b->channel_stride = ((s_padded_h (b) * b->pitch + 15) / 16 * 16) | 16;
    b->sample_stride = b->channels * b->channel_stride;
}

static size_t s_least (size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Columns [skip, skip + n) of the input's rows, to padded columns left, left + 1, .. */
static void s_copy_rows (const rk_border_t *b, const rk_tile_set_t *set, size_t rows, size_t n, const float *src,
                         float *dst, size_t left)
{
    for (size_t residue = 0; residue < b->step; residue++) {
        const size_t first = (residue + b->step - left % b->step) % b->step; /* of the n columns */
        const size_t count = first < n ? (n - first - 1) / b->step + 1 : 0;
        float *to = dst + residue * b->sub + (left + first) / b->step;
        if (b->step > 1 && count)
            set->pick (rows, count, src + first, b->w, b->step, to, b->pitch);
        for (size_t c = 0; b->step == 1 && c < n; c += set->max_cols)
            set->copy (rows, s_least (n - c, set->max_cols), src + c, b->w, to + c, b->pitch);
    }
}

void rk_border_copy (const rk_border_t *b, const rk_tile_set_t *set, size_t from, size_t to, const float *x,
                     float *out)
{
    const size_t skip_rows = b->top < 0 ? (size_t) -b->top : 0, skip_cols = b->left < 0 ? (size_t) -b->left : 0;
    const size_t top = b->top > 0 ? (size_t) b->top : 0, left = b->left > 0 ? (size_t) b->left : 0;
    if (skip_rows >= b->h || skip_cols >= b->w || top >= s_padded_h (b) || left >= s_padded_w (b))
        return;
    const size_t rows = s_least (b->h - skip_rows, s_padded_h (b) - top);
    const size_t cols = s_least (b->w - skip_cols, s_padded_w (b) - left);
    for (size_t c = from; c < to; c++)
        s_copy_rows (b, set, rows, cols, x + (c * b->h + skip_rows) * b->w + skip_cols,
                     out + c * b->channel_stride + top * b->pitch, left);
}

void rk_border_pieces (const rk_border_t *b, const rk_tile_set_t *set, rk_place_t *place, size_t cols,
                       rk_piece_t *pieces, size_t n_pieces[2])
{
    rk_place_t p = *place;
    for (size_t v = 0; v < 2; v++) {
        const size_t begin = v * set->max_cols / 2, end = s_least (begin + set->max_cols / 2, cols);
        n_pieces[v] = 0;
        for (size_t at = begin; at < end; n_pieces[v]++) {
            const size_t len = s_least (b->cols - p.col, end - at);
            *pieces++ = (rk_piece_t){p.sample * b->sample_stride + p.row * b->step * b->pitch + p.col, at - begin, len};
            at += len;
            p.col += len;
            if (p.col == b->cols) {
                p.col = 0;
                p.row++;
            }
            if (p.row == b->rows) {
                p.row = 0;
                p.sample++;
            }
        }
    }
    *place = p;
}
