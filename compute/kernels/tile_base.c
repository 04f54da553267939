/* SPDX-License-Identifier: MPL-2.0
 * Tiles of up to 4 x 8 for any processor, in the compiler's own vectors. Without fused multiply-add: its
 * bits differ from those of the other sets.                                                           */
#include <stddef.h>

#define TILES rk_tiles_base
#define MAX_ROWS 4
#define FLAT_ROWS 4
#define LANES 4
#define INLINE static inline __attribute__ ((always_inline))

typedef float vec_t __attribute__ ((vector_size (16)));
typedef vec_t s_loose_t __attribute__ ((aligned (4), may_alias));
typedef size_t part_t;
typedef struct {
    size_t begin, end;
} piece_t;

INLINE part_t s_part (size_t n)
{
    return n;
}

INLINE vec_t s_splat (float x)
{
    return (vec_t){x, x, x, x};
}

INLINE vec_t s_load (const float *x)
{
    return *(const s_loose_t *) x;
}

INLINE vec_t s_load_part (part_t part, const float *x)
{
    if (part == LANES)
        return s_load (x);
    return (vec_t){x[0], part > 1 ? x[1] : 0.0f, part > 2 ? x[2] : 0.0f, 0.0f};
}

INLINE void s_store_part (part_t part, float *x, vec_t v)
{
    if (part == LANES)
        *(s_loose_t *) x = v;
    else
        for (size_t i = 0; i < part; i++)
            x[i] = v[i];
}

INLINE piece_t s_piece (size_t lane, size_t len)
{
    return (piece_t){lane, lane + len};
}

INLINE vec_t s_merge_piece (vec_t old, piece_t piece, const float *x)
{
    if (piece.end - piece.begin == LANES)
        return s_load (x);
    for (size_t l = piece.begin; l < piece.end; l++)
        old[l] = x[l];
    return old;
}

INLINE vec_t s_load_piece (piece_t piece, const float *x)
{
    return s_merge_piece (s_splat (0.0f), piece, x);
}

INLINE vec_t s_even (vec_t low, vec_t high)
{
    return (vec_t){low[0], low[2], high[0], high[2]};
}

INLINE void s_store_even (size_t n, float *x, vec_t v)
{
    for (size_t l = 0; l < n; l++)
        x[2 * l] = v[l];
}

INLINE vec_t s_fma (vec_t a, vec_t b, vec_t c)
{
    return a * b + c;
}

INLINE vec_t s_mul (vec_t a, vec_t b)
{
    return a * b;
}

INLINE vec_t s_add (vec_t a, vec_t b)
{
    return a + b;
}

INLINE void s_turn_block (size_t rows, size_t cols, const float *src, size_t src_row, float beta, float *dst, size_t dst_row)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) {
            float *to = dst + j * dst_row + i;
            *to = beta == 0.0f ? src[i * src_row + j] : beta * *to + src[i * src_row + j];
        }
}

#include "compute/kernels/tile_loops.h"
