/* SPDX-License-Identifier: MPL-2.0
 * Tiles of up to 14 x 32: 28 accumulators, 2 registers of B, 1 of A.                                  */
#if defined(__AVX512F__)
#define TILES rk_tiles_avx512
#include "compute/kernels/tile_lanes512.h"

INLINE vec_t s_fma (vec_t a, vec_t b, vec_t c)
{
    return _mm512_fmadd_ps (a, b, c);
}

#include "compute/kernels/tile_loops.h"
#else
typedef int rk_tiles_avx512_not_built;
#endif
