/* SPDX-License-Identifier: MPL-2.0
 * Marks the time that a thread spends in products, for benchmarks that ask by signal: see rk_blas_inside.
 * Private to compute/blas.c and compute/kernels/.                                                     */
#ifndef RK_COMPUTE_KERNELS_INSIDE_H
#define RK_COMPUTE_KERNELS_INSIDE_H
#include <signal.h>

/* 1 inside. Initial-exec: a signal handler may not allocate. */
extern _Thread_local volatile sig_atomic_t rk_inside_products __attribute__ ((tls_model ("initial-exec")));

#endif
