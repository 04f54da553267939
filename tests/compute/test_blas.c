/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compute/blas.h"

#define MAX_DIM 700

static float s_a[MAX_DIM * MAX_DIM], s_b[MAX_DIM * MAX_DIM], s_c[MAX_DIM * MAX_DIM], s_d[MAX_DIM * MAX_DIM];
static uint64_t s_state = 88172645463325252ull;

static uint64_t s_next (void)
{
    s_state ^= s_state << 13;
    s_state ^= s_state >> 7;
    s_state ^= s_state << 17;
    return s_state;
}

static void s_fill (float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float) (s_next () % 2001) / 1000.0f - 1.0f;
}

typedef struct {
    rk_trans_t ta, tb;
    size_t m, n, k, lda, ldb, ldc;
    float alpha, beta;
} s_case_t;

static float s_at (const float *x, rk_trans_t t, size_t ld, size_t row, size_t col)
{
    return t ? x[col * ld + row] : x[row * ld + col];
}

static void s_check_element (const s_case_t *p, size_t i, size_t j)
{
    double sum = 0, size = 1, got = s_c[i * p->ldc + j], old = s_d[i * p->ldc + j];
    for (size_t l = 0; l < p->k; l++) {
        double x = (double) s_at (s_a, p->ta, p->lda, i, l) * s_at (s_b, p->tb, p->ldb, l, j);
        sum += x;
        size += fabs (x);
    }
    double want = p->alpha * sum + (p->beta == 0.0f ? 0.0 : p->beta * old);
    if (!(fabs (want - got) <= 1e-6 * size)) /* NaN fails too */
        fail_msg ("m %zu n %zu k %zu ta %d tb %d alpha %g beta %g: (%zu, %zu) is %g, not %g", p->m, p->n, p->k,
                  p->ta, p->tb, p->alpha, p->beta, i, j, got, want);
}

static void s_check (const s_case_t *p)
{
    s_fill (s_a, (p->ta ? p->k : p->m) * p->lda);
    s_fill (s_b, (p->tb ? p->n : p->k) * p->ldb);
    for (size_t i = 0; i < p->m * p->ldc; i++)
        s_c[i] = p->beta == 0.0f && i % p->ldc < p->n ? NAN : 0.001f * (float) (i % 977);
    memcpy (s_d, s_c, p->m * p->ldc * sizeof *s_c);
    rk_gemm (p->ta, p->tb, p->m, p->n, p->k, p->alpha, s_a, p->lda, s_b, p->ldb, p->beta, s_c, p->ldc);
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->ldc; j++)
            if (j < p->n)
                s_check_element (p, i, j);
            else /* the gap between rows is not ours */
                assert_true (s_c[i * p->ldc + j] == s_d[i * p->ldc + j]);
}

static void s_shapes (void **state)
{
    static const size_t dims[] = {1, 2, 3, 5, 7, 11, 12, 13, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 97};
    size_t n_dims = sizeof dims / sizeof *dims;
    for (int i = 0; i < 1500; i++) {
        s_case_t p = {.ta = s_next () & 1, .tb = s_next () & 1, .alpha = s_next () & 1 ? 1.0f : -0.5f};
        p.m = dims[s_next () % n_dims];
        p.n = dims[s_next () % n_dims];
        p.k = dims[s_next () % n_dims];
        p.beta = (float) (s_next () % 3) * 0.5f;
        p.lda = (p.ta ? p.m : p.k) + (s_next () & 1) * (s_next () % 9);
        p.ldb = (p.tb ? p.k : p.n) + (s_next () & 1) * (s_next () % 9);
        p.ldc = p.n + (s_next () & 1) * (s_next () % 9);
        s_check (&p);
    }
}

static void s_large (void **state)
{
    static const size_t shapes[][3] = {{300, 260, 520}, {512, 256, 64},  {64, 10, 600}, {10, 256, 513}, {256, 300, 257},
                                       {9, 32, 699},    {97, 128, 640}, {1, 600, 300}, {600, 1, 300}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < 8; t++) {
            s_case_t p = {.ta = t & 1, .tb = t >> 1 & 1, .alpha = 1.0f, .beta = (float) (t >> 2)};
            p.m = shapes[i][0];
            p.n = shapes[i][1];
            p.k = shapes[i][2];
            p.lda = p.ta ? p.m : p.k;
            p.ldb = p.tb ? p.k : p.n;
            p.ldc = p.n;
            s_check (&p);
        }
}

static void s_empty (void **state)
{
    float a = 3.0f, b = 4.0f, c[2] = {5.0f, 6.0f};
    rk_gemm (RK_N, RK_N, 0, 1, 1, 1.0f, &a, 1, &b, 1, 0.0f, c, 1);
    rk_gemm (RK_N, RK_N, 1, 0, 1, 1.0f, &a, 1, &b, 1, 0.0f, c, 1);
    assert_true (c[0] == 5.0f);
    rk_gemm (RK_N, RK_N, 1, 1, 0, 1.0f, &a, 1, &b, 1, 1.0f, c, 1);
    assert_true (c[0] == 5.0f);
    c[0] = NAN;
    rk_gemm (RK_N, RK_N, 1, 1, 0, 1.0f, &a, 1, &b, 1, 0.0f, c, 1);
    assert_true (c[0] == 0.0f && c[1] == 6.0f);
}

/* Splitting the rows at multiples of RK_GEMM_ROWS changes no bit: what lets a pool share a product. */
static void s_split (void **state)
{
    static const size_t shapes[][3] = {{100, 40, 30}, {400, 300, 520}, {500, 10, 600}, {96, 288, 640}, {320, 256, 300}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < 8; t++) {
            size_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
            rk_trans_t ta = t & 1, tb = t >> 1 & 1;
            float beta = (float) (t >> 2);
            size_t lda = ta ? m : k, ldb = tb ? k : n;
            s_fill (s_a, m * k);
            s_fill (s_b, n * k);
            s_fill (s_c, m * n);
            memcpy (s_d, s_c, m * n * sizeof *s_c);
            rk_gemm (ta, tb, m, n, k, 1.0f, s_a, lda, s_b, ldb, beta, s_c, n);
            for (size_t at = 0; at < m;) {
                size_t rows = (1 + s_next () % 3) * RK_GEMM_ROWS;
                rows = rows < m - at ? rows : m - at;
                rk_gemm (ta, tb, rows, n, k, 1.0f, s_a + (ta ? at : at * lda), lda, s_b, ldb, beta, s_d + at * n, n);
                at += rows;
            }
            assert_memory_equal (s_c, s_d, m * n * sizeof *s_c);
        }
}

static void s_names (void **state)
{
    rk_error_t err = {0};
    assert_int_equal (rk_blas_init ("fastest", &err), RK_ENOTFOUND);
    assert_non_null (strstr (err.text, "fastest"));
    assert_int_equal (rk_blas_init ("auto", &err), RK_OK);
    assert_non_null (rk_blas_kernels ());
}

int main (void)
{
    if (rk_blas_init ("auto", NULL))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (s_shapes), cmocka_unit_test (s_large), cmocka_unit_test (s_empty),
        cmocka_unit_test (s_split),  cmocka_unit_test (s_names),
    };
    return cmocka_run_group_tests_name ("compute/blas", tests, NULL, NULL);
}
