/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/blas.h"

#include <string.h>

#include "compute/kernels/blis_loops.h"
#include "compute/kernels/sets.h"

rk_err_t rk_blas_init (const char *kernels, rk_error_t *err)
{
    rk_err_t rc = rk_kernel_set_choose (kernels, err);
    if (!rc)
        rk_blis_init ();
    return rc;
}

const char *rk_blas_kernels (void)
{
    return rk_kernel_set ()->name;
}

/* Where packing both operands pays. The bits are the same on either side. */
static bool s_is_large (size_t m, size_t n, size_t k)
{
    return m >= 768 && n >= 768 && k >= 768;
}

void rk_gemm (rk_trans_t ta, rk_trans_t tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
              const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    const rk_kernel_set_t *set = rk_kernel_set ();
    const rk_product_t p = {m, n, k, alpha, beta, a, ta ? 1 : lda, ta ? lda : 1, b, tb ? 1 : ldb, tb ? ldb : 1, c, ldc};
    if (set->blis_only || k == 0 || s_is_large (m, n, k))
        rk_blis_product (set->blis_only ? NULL : set->tiles, &p);
    else
        rk_product (set->tiles, &p);
}
