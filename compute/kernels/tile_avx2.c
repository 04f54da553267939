/* SPDX-License-Identifier: MPL-2.0
 * Tiles of up to 6 x 16: 12 accumulators, 2 registers of B, 1 of A.                                   */
#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "compute/kernels/tile.h"

#define TILES rk_tiles_avx2
#define MAX_ROWS 6
#define FLAT_ROWS 6
#define LANES 8
#define INLINE static inline __attribute__ ((always_inline))

typedef __m256 vec_t;
typedef __m256i part_t, piece_t;

static const int32_t s_parts[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

INLINE part_t s_part (size_t n)
{
    return _mm256_loadu_si256 ((const __m256i *) (s_parts + LANES - n));
}

INLINE vec_t s_splat (float x)
{
    return _mm256_set1_ps (x);
}

INLINE vec_t s_load (const float *x)
{
    return _mm256_loadu_ps (x);
}

INLINE vec_t s_load_part (part_t part, const float *x)
{
    return _mm256_maskload_ps (x, part);
}

INLINE void s_store_part (part_t part, float *x, vec_t v)
{
    _mm256_maskstore_ps (x, part, v);
}

INLINE piece_t s_piece (size_t lane, size_t len)
{
    return _mm256_andnot_si256 (s_part (lane), s_part (lane + len));
}

INLINE vec_t s_load_piece (piece_t piece, const float *x)
{
    return _mm256_maskload_ps (x, piece);
}

INLINE vec_t s_merge_piece (vec_t old, piece_t piece, const float *x)
{
    return _mm256_blendv_ps (old, _mm256_maskload_ps (x, piece), _mm256_castsi256_ps (piece));
}

INLINE vec_t s_even (vec_t low, vec_t high)
{
    const __m256d mixed = _mm256_castps_pd (_mm256_shuffle_ps (low, high, 0x88));
    return _mm256_castpd_ps (_mm256_permute4x64_pd (mixed, 0xd8));
}

INLINE void s_store_even (size_t n, float *x, vec_t v)
{
    const __m256i low = _mm256_setr_epi32 (0, 0, 1, 1, 2, 2, 3, 3), high = _mm256_setr_epi32 (4, 4, 5, 5, 6, 6, 7, 7);
    const __m256i even = _mm256_setr_epi32 (-1, 0, -1, 0, -1, 0, -1, 0);
    const part_t first = s_part (2 * n < LANES ? 2 * n : LANES), second = s_part (2 * n > LANES ? 2 * n - LANES : 0);
    _mm256_maskstore_ps (x, _mm256_and_si256 (first, even), _mm256_permutevar8x32_ps (v, low));
    _mm256_maskstore_ps (x + LANES, _mm256_and_si256 (second, even), _mm256_permutevar8x32_ps (v, high));
}

INLINE vec_t s_fma (vec_t a, vec_t b, vec_t c)
{
    return _mm256_fmadd_ps (a, b, c);
}

INLINE vec_t s_mul (vec_t a, vec_t b)
{
    return _mm256_mul_ps (a, b);
}

INLINE vec_t s_add (vec_t a, vec_t b)
{
    return _mm256_add_ps (a, b);
}

INLINE void s_turned (part_t part, float *x, float beta, vec_t v)
{
    s_store_part (part, x, beta == 0.0f ? v : s_add (s_mul (s_splat (beta), s_load_part (part, x)), v));
}

INLINE void s_turn_block (size_t rows, size_t cols, const float *src, size_t src_row, float beta, float *dst, size_t dst_row)
{
    __m256 x[8], y[8];
    const part_t wide = s_part (cols), high = s_part (rows);
    RK_UNROLL (8)
    for (int i = 0; i < 8; i++)
        x[i] = (size_t) i < rows ? s_load_part (wide, src + (size_t) i * src_row) : _mm256_setzero_ps ();
    RK_UNROLL (4)
    for (int i = 0; i < 8; i += 2) {
        y[i] = _mm256_unpacklo_ps (x[i], x[i + 1]);
        y[i + 1] = _mm256_unpackhi_ps (x[i], x[i + 1]);
    }
    RK_UNROLL (2)
    for (int i = 0; i < 8; i += 4)
        RK_UNROLL (2)
        for (int j = 0; j < 2; j++) {
            const __m256d first = _mm256_castps_pd (y[i + j]), second = _mm256_castps_pd (y[i + j + 2]);
            x[i + 2 * j] = _mm256_castpd_ps (_mm256_unpacklo_pd (first, second));
            x[i + 2 * j + 1] = _mm256_castpd_ps (_mm256_unpackhi_pd (first, second));
        }
    RK_UNROLL (4)
    for (int j = 0; j < 4; j++) { /* x[4 q + j], lane l: column 4 l + j of rows 4 q .. 4 q + 3 */
        const __m256 column[2] = {_mm256_permute2f128_ps (x[j], x[4 + j], 0x20),
                                  _mm256_permute2f128_ps (x[j], x[4 + j], 0x31)};
        RK_UNROLL (2)
        for (size_t l = 0; l < 2; l++)
            if (l * 4 + (size_t) j < cols)
                s_turned (high, dst + (l * 4 + (size_t) j) * dst_row, beta, column[l]);
    }
}

#include "compute/kernels/tile_loops.h"
#else
typedef int rk_tiles_avx2_not_built;
#endif
