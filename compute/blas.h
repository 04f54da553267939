/* SPDX-License-Identifier: MPL-2.0
 * Tensor products. The only module (with compute/kernels/) that includes blis.h.
 * Row-major throughout. One thread per call, always; the result does not depend on how a caller splits
 * rows over threads as long as it splits at multiples of RK_GEMM_ROWS.                               */
#ifndef RK_COMPUTE_BLAS_H
#define RK_COMPUTE_BLAS_H
#include <stdbool.h>
#include <stddef.h>
#include "compute/error.h"
#include "compute/pool.h"

#define RK_GEMM_ROWS 48 /* row granularity at which a product may be split without changing a bit */

typedef enum { RK_N = 0, RK_T = 1 } rk_trans_t;

/* Choose kernels by CPUID (or by name: "auto", "avx512", "avx2", "blis"); idempotent; any thread.
 * The name in force is part of a plan: the same set gives the same bits, and avx512 and avx2 agree.
 * "bf16" is the best set that rounds the factors of products to bfloat16 ("amx", "avx512bf16"), with sums in
 * f32; where the processor has none it is "auto".                                                   */
rk_err_t rk_blas_init (const char *kernels, rk_error_t *err) RK_MUST_CHECK;
const char *rk_blas_kernels (void);
const char *rk_blas_best (bool bf16); /* what "bf16" or "auto" would choose */

/* C = alpha op(A) op(B) + beta C.   op(A): (m, k)   op(B): (k, n)   C: (m, n); lda.. are row strides.
 * beta == 0 does not read C. m, n, k may be 0. thread: any, after rk_blas_init. owner: all borrowed. */
void rk_gemm (rk_trans_t ta, rk_trans_t tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
              const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* The same with alpha 1, cut for a pool along the longer side of C. No bit depends on the pool.       */
typedef struct {
    rk_trans_t ta, tb;
    size_t m, n, k;
    const float *a;
    size_t lda;
    const float *b;
    size_t ldb;
    float beta;
    float *c;
    size_t ldc;
} rk_gemm_t;
void rk_gemm_pool (rk_pool_t *pool, const rk_gemm_t *p);

/* ---- for benchmarks */

/* Multiply-adds in registers alone, `turns` times over all accumulators of a tile of the set in force: what its
 * processor can do at most. Returns the floating-point operations done. thread: any.                 */
double rk_blas_spin (size_t turns);

/* Is the calling thread inside a product or a convolution, packing included? Safe in a signal handler. */
bool rk_blas_inside (void);

#endif
