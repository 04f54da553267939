/* SPDX-License-Identifier: MPL-2.0
 * Kernel sets: what rk_blas_init chooses among and compute/kernels/ calls through.
 * Private to compute/blas.c and compute/kernels/.                                                     */
#ifndef RK_COMPUTE_KERNELS_SETS_H
#define RK_COMPUTE_KERNELS_SETS_H
#include <stdbool.h>
#include "compute/error.h"
#include "compute/kernels/tile.h"
#include "compute/kernels/vec.h"

extern const rk_tile_set_t rk_tiles_base;
extern const rk_vec_t rk_vec_base;
#if defined(__x86_64__)
extern const rk_tile_set_t rk_tiles_avx512, rk_tiles_avx2, rk_pairs_avx512, rk_pairs_amx;
extern const rk_vec_t rk_vec_avx512, rk_vec_avx2;
#endif

typedef struct {
    const char *name;         /* part of a plan */
    bool (*supported) (void); /* by this processor */
    const rk_vec_t *vec;
    const rk_tile_set_t *tiles; /* of convolutions, and of products */
    bool blis_only;             /* products by BLIS's own kernels instead */
    const rk_tile_set_t *pairs; /* products and convolutions by tiles of bfloat16 pairs instead; NULL: none */
} rk_kernel_set_t;

/* errors: RK_ENOTFOUND (unknown name), RK_EUNSUPPORTED (not on this processor) */
rk_err_t rk_kernel_set_choose (const char *name, rk_error_t *err) RK_MUST_CHECK;

/* The best set this processor has, with bfloat16 or without. thread: any */
const char *rk_kernel_set_best (bool bf16);

/* The set in force; the plainest before a choice. thread: any */
const rk_kernel_set_t *rk_kernel_set (void);

#endif
