/* SPDX-License-Identifier: MPL-2.0
 * Products of pairs of bfloat16 in AMX tiles, with sums in float. Private to compute/kernels/.        */
#ifndef RK_COMPUTE_KERNELS_AMX_H
#define RK_COMPUTE_KERNELS_AMX_H
#include "compute/kernels/tile.h"

#define RK_AMX_ROWS 32 /* of a tile of C; as many columns */

/* Has the processor AMX with bfloat16, and does the system let this process use it? Asks the system for it, for
 * all threads of the process. thread: any                                                             */
bool rk_amx_allowed (void);

void rk_amx_tile (size_t rows, size_t cols, const rk_tile_t *t);
double rk_amx_spin (size_t turns);

#endif
