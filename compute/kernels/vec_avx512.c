/* SPDX-License-Identifier: MPL-2.0 */
#if defined(__AVX512F__)
#define RK_VEC_TABLE rk_vec_avx512
#include "compute/kernels/vec_loops.h"
#else
typedef int rk_vec_avx512_not_built;
#endif
