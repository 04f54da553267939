/* SPDX-License-Identifier: MPL-2.0
 * Tiles of pairs: the same registers as in tile_avx512.c, two products added per lane. And those of AMX, whose
 * tile is in amx.c and whose everything else is this.                                                  */
#if defined(__AVX512BF16__)
#define TILES rk_pairs_avx512
#define PAIRS
#include "compute/kernels/amx.h"
#include "compute/kernels/tile_lanes512.h"

INLINE vec_t s_fma (vec_t a, vec_t b, vec_t c)
{
    return _mm512_dpbf16_ps (c, (__m512bh) a, (__m512bh) b);
}

/* Rounded to nearest; what is too small to be normal becomes 0. */
static void s_pair_rows (size_t n, const float *even, const float *odd, float *dst)
{
    for (size_t i = 0; i < n; i += LANES) {
        const part_t part = s_part (n - i < LANES ? n - i : LANES);
        const __m256i low = (__m256i) _mm512_cvtneps_pbh (s_load_part (part, even + i));
        const __m256i high = odd ? (__m256i) _mm512_cvtneps_pbh (s_load_part (part, odd + i)) : _mm256_setzero_si256 ();
        const __m512i pair = _mm512_or_si512 (_mm512_cvtepu16_epi32 (low), _mm512_slli_epi32 (_mm512_cvtepu16_epi32 (high), 16));
        s_store_part (part, dst + i, _mm512_castsi512_ps (pair));
    }
}

static void s_pair_along (size_t n, const float *src, float *dst)
{
    for (size_t i = 0; i < n; i += 2 * LANES) {
        const size_t left = n - i < 2 * LANES ? n - i : 2 * LANES;
        const vec_t low = s_load_part (s_part (left < LANES ? left : LANES), src + i);
        const vec_t high = left > LANES ? s_load_part (s_part (left - LANES), src + i + LANES) : s_splat (0.0f);
        s_store_part (s_part ((left + 1) / 2), dst + i / 2, (vec_t) _mm512_cvtne2ps_pbh (high, low));
    }
}

#include "compute/kernels/tile_loops.h"

const rk_tile_set_t rk_pairs_amx = {
    .max_rows = RK_AMX_ROWS,
    .max_cols = 2 * LANES,
    .flat_rows = FLAT_ROWS,
    .tile = rk_amx_tile,
    .copy = s_copy,
    .transpose = s_transpose,
    .turn = s_turn,
    .pick = s_pick,
    .spread = s_spread,
    .unroll = s_unroll,
    .spin = rk_amx_spin,
    .pair_rows = s_pair_rows,
    .pair_along = s_pair_along,
    .rows_apart = true,
};
#else
typedef int rk_pairs_not_built;
#endif
