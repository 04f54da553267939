/* SPDX-License-Identifier: MPL-2.0 */
#if defined(__AVX2__)
#define RK_VEC_TABLE rk_vec_avx2
#include "compute/kernels/vec_loops.h"
#else
typedef int rk_vec_avx2_not_built;
#endif
