/* SPDX-License-Identifier: MPL-2.0
 * Kernel sets: what rk_blas_init chooses among and compute/kernels/ calls through.
 * Private to compute/blas.c and compute/kernels/.                                                     */
#ifndef RK_COMPUTE_KERNELS_SETS_H
#define RK_COMPUTE_KERNELS_SETS_H
#include <stdbool.h>
#include "compute/error.h"
#include "compute/kernels/vec.h"

typedef struct {
    const char *name;         /* part of a plan */
    bool (*supported) (void); /* by this processor */
    const rk_vec_t *vec;
} rk_kernel_set_t;

/* errors: RK_ENOTFOUND (unknown name), RK_EUNSUPPORTED (not on this processor) */
rk_err_t rk_kernel_set_choose (const char *name, rk_error_t *err) RK_MUST_CHECK;

/* The set in force; the plainest before a choice. thread: any */
const rk_kernel_set_t *rk_kernel_set (void);

#endif
