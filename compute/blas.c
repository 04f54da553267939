/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/blas.h"

#include <string.h>

#include "compute/kernels/blis_loops.h"
#include "compute/kernels/inside.h"
#include "compute/kernels/product_pairs.h"
#include "compute/kernels/sets.h"

_Thread_local volatile sig_atomic_t rk_inside_products;

rk_err_t rk_blas_init (const char *kernels, rk_error_t *err)
{
    rk_err_t rc = rk_kernel_set_choose (kernels, err);
    if (!rc)
        rk_blis_init ();
    return rc;
}

const char *rk_blas_best (bool bf16)
{
    return rk_kernel_set_best (bf16);
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

double rk_blas_spin (size_t turns)
{
    const rk_kernel_set_t *set = rk_kernel_set ();
    return (set->pairs ? set->pairs : set->tiles)->spin (turns);
}

bool rk_blas_inside (void)
{
    return rk_inside_products != 0;
}

void rk_gemm (rk_trans_t ta, rk_trans_t tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
              const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    const rk_kernel_set_t *set = rk_kernel_set ();
    const rk_product_t p = {m, n, k, alpha, beta, a, ta ? 1 : lda, ta ? lda : 1, b, tb ? 1 : ldb, tb ? ldb : 1, c, ldc};
    rk_inside_products = 1;
    if (set->pairs && k)
        rk_product_pairs (set->pairs, &p);
    else if (set->blis_only || k == 0 || s_is_large (m, n, k))
        rk_blis_product (set->blis_only ? NULL : set->tiles, &p);
    else
        rk_product (set->tiles, &p);
    rk_inside_products = 0;
}

/* Runs of RK_GEMM_ROWS along one side of C, dealt to tasks. */
typedef struct {
    const rk_gemm_t *p;
    bool by_rows;
    size_t n_runs, n_tasks;
} s_cut_t;

static void s_part (void *arg, size_t task, size_t worker)
{
    const s_cut_t *cut = arg;
    const rk_gemm_t *p = cut->p;
    const size_t whole = cut->by_rows ? p->m : p->n, from = cut->n_runs * task / cut->n_tasks * RK_GEMM_ROWS;
    size_t to = cut->n_runs * (task + 1) / cut->n_tasks * RK_GEMM_ROWS;
    to = to < whole ? to : whole;
    if (cut->by_rows)
        rk_gemm (p->ta, p->tb, to - from, p->n, p->k, 1, p->a + from * (p->ta ? 1 : p->lda), p->lda, p->b, p->ldb,
                 p->beta, p->c + from * p->ldc, p->ldc);
    else
        rk_gemm (p->ta, p->tb, p->m, to - from, p->k, 1, p->a, p->lda, p->b + from * (p->tb ? p->ldb : 1), p->ldb,
                 p->beta, p->c + from, p->ldc);
}

void rk_gemm_pool (rk_pool_t *pool, const rk_gemm_t *p)
{
    const size_t n_threads = rk_pool_n_threads (pool);
    s_cut_t cut = {.p = p, .by_rows = p->m > p->n};
    cut.n_runs = ((cut.by_rows ? p->m : p->n) + RK_GEMM_ROWS - 1) / RK_GEMM_ROWS;
    cut.n_tasks = cut.n_runs < 8 * n_threads ? n_threads : 2 * n_threads; /* more of them even out, and cost packing */
    if (n_threads == 1 || cut.n_runs == 0)
        cut.n_tasks = 1;
    else if (cut.n_tasks > cut.n_runs)
        cut.n_tasks = cut.n_runs;
    rk_pool_run (pool, cut.n_tasks, s_part, &cut);
}
