/* SPDX-License-Identifier: MPL-2.0 */
#define RK_VEC_TABLE rk_vec_base
#include "compute/kernels/vec_loops.h"
