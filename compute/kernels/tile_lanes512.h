/* SPDX-License-Identifier: MPL-2.0
 * What the sets of 512-bit vectors share: all that tile_loops.h wants but the multiply-add, whose operands are
 * floats in one and pairs of bfloat16 in the others. Not a header for anybody else.                   */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "compute/kernels/tile.h"

#define MAX_ROWS 14
#define FLAT_ROWS 12
#define LANES 16
#define SLIDES
#define INLINE static inline __attribute__ ((always_inline))

typedef __m512 vec_t;
typedef __mmask16 part_t, piece_t;

INLINE part_t s_part (size_t n)
{
    return (part_t) (0xffffu >> (LANES - n));
}

INLINE vec_t s_splat (float x)
{
    return _mm512_set1_ps (x);
}

INLINE vec_t s_load (const float *x)
{
    return _mm512_loadu_ps (x);
}

INLINE vec_t s_load_part (part_t part, const float *x)
{
    return _mm512_maskz_loadu_ps (part, x);
}

INLINE void s_store_part (part_t part, float *x, vec_t v)
{
    _mm512_mask_storeu_ps (x, part, v);
}

INLINE piece_t s_piece (size_t lane, size_t len)
{
    return (piece_t) (((1u << len) - 1) << lane);
}

INLINE vec_t s_load_piece (piece_t piece, const float *x)
{
    return _mm512_maskz_loadu_ps (piece, x);
}

INLINE vec_t s_merge_piece (vec_t old, piece_t piece, const float *x)
{
    return _mm512_mask_loadu_ps (old, piece, x);
}

INLINE vec_t s_even (vec_t low, vec_t high)
{
    const __m512i places = _mm512_setr_epi32 (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_permutex2var_ps (low, places, high);
}

INLINE void s_store_even (size_t n, float *x, vec_t v)
{
    const __m512i low = _mm512_setr_epi32 (0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const __m512i high = _mm512_add_epi32 (low, _mm512_set1_epi32 (8));
    const uint32_t floats = (uint32_t) (0x55555555u & (0xffffffffu >> (32 - 2 * n)));
    _mm512_mask_storeu_ps (x, (__mmask16) floats, _mm512_permutexvar_ps (low, v));
    _mm512_mask_storeu_ps (x + LANES, (__mmask16) (floats >> 16), _mm512_permutexvar_ps (high, v));
}

INLINE vec_t s_mul (vec_t a, vec_t b)
{
    return _mm512_mul_ps (a, b);
}

INLINE vec_t s_add (vec_t a, vec_t b)
{
    return _mm512_add_ps (a, b);
}

/* Pairs, then fours within each 128-bit lane, then the lanes themselves. */
INLINE void s_turned (part_t part, float *x, float beta, vec_t v)
{
    s_store_part (part, x, beta == 0.0f ? v : s_add (s_mul (s_splat (beta), s_load_part (part, x)), v));
}

INLINE void s_turn_block (size_t rows, size_t cols, const float *src, size_t src_row, float beta, float *dst, size_t dst_row)
{
    __m512 x[16], y[16];
    const part_t wide = s_part (cols), high = s_part (rows);
    RK_UNROLL (16)
    for (int i = 0; i < 16; i++)
        x[i] = (size_t) i < rows ? s_load_part (wide, src + (size_t) i * src_row) : _mm512_setzero_ps ();
    RK_UNROLL (8)
    for (int i = 0; i < 16; i += 2) {
        y[i] = _mm512_unpacklo_ps (x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_ps (x[i], x[i + 1]);
    }
    RK_UNROLL (4)
    for (int i = 0; i < 16; i += 4)
        RK_UNROLL (2)
        for (int j = 0; j < 2; j++) {
            const __m512d first = _mm512_castps_pd (y[i + j]), second = _mm512_castps_pd (y[i + j + 2]);
            x[i + 2 * j] = _mm512_castpd_ps (_mm512_unpacklo_pd (first, second));
            x[i + 2 * j + 1] = _mm512_castpd_ps (_mm512_unpackhi_pd (first, second));
        }
    RK_UNROLL (4)
    for (int j = 0; j < 4; j++) { /* x[4 q + j], lane l: column 4 l + j of rows 4 q .. 4 q + 3 */
        const __m512 a = _mm512_shuffle_f32x4 (x[j], x[4 + j], 0x88), b = _mm512_shuffle_f32x4 (x[j], x[4 + j], 0xdd);
        const __m512 c = _mm512_shuffle_f32x4 (x[8 + j], x[12 + j], 0x88);
        const __m512 d = _mm512_shuffle_f32x4 (x[8 + j], x[12 + j], 0xdd);
        const __m512 column[4] = {_mm512_shuffle_f32x4 (a, c, 0x88), _mm512_shuffle_f32x4 (b, d, 0x88),
                                  _mm512_shuffle_f32x4 (a, c, 0xdd), _mm512_shuffle_f32x4 (b, d, 0xdd)};
        RK_UNROLL (4)
        for (size_t l = 0; l < 4; l++)
            if (l * 4 + (size_t) j < cols)
                s_turned (high, dst + (l * 4 + (size_t) j) * dst_row, beta, column[l]);
    }
}
