/* SPDX-License-Identifier: MPL-2.0
 * What the parts of a build of vec.h share. Not a header for anybody else.                            */
#ifndef RK_COMPUTE_KERNELS_VEC_BUILD_H
#define RK_COMPUTE_KERNELS_VEC_BUILD_H
#include "compute/kernels/vec.h"

/* In place is exact overlap only, so iterations never depend on each other. */
#if defined(__clang__)
#define RK_IVDEP _Pragma ("clang loop vectorize(assume_safety)")
#else
#define RK_IVDEP _Pragma ("GCC ivdep")
#endif

typedef float s_any_float __attribute__ ((aligned (1), may_alias));
typedef uint16_t s_any_half __attribute__ ((aligned (1), may_alias));

#endif
