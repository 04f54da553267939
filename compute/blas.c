/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/blas.h"

#include <blis.h>
#include <stdlib.h>

#include "compute/kernels/sets.h"

rk_err_t rk_blas_init (const char *kernels, rk_error_t *err)
{
    rk_err_t rc = rk_kernel_set_choose (kernels, err);
    if (rc)
        return rc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports ("avx512f") && __builtin_cpu_supports ("avx512dq"))
        setenv ("BLIS_ARCH_TYPE", "0", 0);
#endif
    bli_init ();
    return RK_OK;
}

const char *rk_blas_kernels (void)
{
    return rk_kernel_set ()->name;
}

void rk_gemm (rk_trans_t ta, rk_trans_t tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
              const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    obj_t alpha_o, a_o, b_o, beta_o, c_o;
    bli_obj_create_1x1_with_attached_buffer (BLIS_FLOAT, &alpha, &alpha_o);
    bli_obj_create_1x1_with_attached_buffer (BLIS_FLOAT, &beta, &beta_o);
    bli_obj_create_with_attached_buffer (BLIS_FLOAT, (dim_t) m, (dim_t) k, (void *) a,
                                         ta ? 1 : (inc_t) lda, ta ? (inc_t) lda : 1, &a_o);
    bli_obj_create_with_attached_buffer (BLIS_FLOAT, (dim_t) k, (dim_t) n, (void *) b,
                                         tb ? 1 : (inc_t) ldb, tb ? (inc_t) ldb : 1, &b_o);
    bli_obj_create_with_attached_buffer (BLIS_FLOAT, (dim_t) m, (dim_t) n, c, (inc_t) ldc, 1, &c_o);
    rntm_t rntm = BLIS_RNTM_INITIALIZER;
    bli_rntm_set_num_threads (1, &rntm);
    bli_rntm_disable_l3_sup (&rntm); /* its thresholds make the summation order depend on m */
    bli_gemm_ex (&alpha_o, &a_o, &b_o, &beta_o, &c_o, NULL, &rntm);
}
