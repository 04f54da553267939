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
#include "tests/support/noise.h"

#define MAX_DIM 1100

static float s_a[MAX_DIM * MAX_DIM], s_b[MAX_DIM * MAX_DIM], s_c[MAX_DIM * MAX_DIM], s_d[MAX_DIM * MAX_DIM];
static noise_t s_noise = {88172645463325252ull};

static const char *const s_sets[] = {"amx", "avx512bf16", "avx512", "avx2", "blis"};

#define FOR_EACH_SET                                                                                                   \
    for (size_t set_ = 0; set_ < 5; set_++)                                                                            \
        if (rk_blas_init (s_sets[set_], NULL) == RK_OK)

static uint64_t s_next (void)
{
    return noise_next (&s_noise);
}

static bool s_rounds (void)
{
    return strcmp (rk_blas_kernels (), "amx") == 0 || strcmp (rk_blas_kernels (), "avx512bf16") == 0;
}

/* With sets that round their factors, numbers that rounding does not change: then all sets are as exact. */
static void s_fill (float *x, size_t n)
{
    noise_fill (&s_noise, n, x);
    if (s_rounds ())
        noise_round (n, x);
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
        fail_msg ("%s: m %zu n %zu k %zu ta %d tb %d alpha %g beta %g: (%zu, %zu) is %g, not %g", rk_blas_kernels (), p->m, p->n, p->k,
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
    FOR_EACH_SET
    for (int i = 0; i < 1000; i++) {
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
                                       {9, 32, 699},    {97, 128, 640}, {1, 600, 300}, {600, 1, 300},
                                       {30, 200, 1024}, {196, 200, 512}};
    FOR_EACH_SET
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

/* Splitting the rows at multiples of RK_GEMM_ROWS changes no bit: what lets a pool share a product. The
 * last shape is one that goes through BLIS's loops whole, and not when split.                        */
static void s_split (void **state)
{
    static const size_t shapes[][3] = {{100, 40, 30},   {400, 300, 520}, {500, 10, 600},
                                       {96, 288, 640}, {320, 256, 300}, {1008, 800, 1090}};
    FOR_EACH_SET
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

/* The two sets with fused multiply-add agree bit by bit, so a fleet may mix such processors. */
static void s_same_bits (void **state)
{
    static const size_t shapes[][3] = {{100, 40, 30}, {61, 300, 1050}, {500, 10, 600}, {780, 800, 1000}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < 4; t++) {
            size_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
            rk_trans_t ta = t & 1, tb = t >> 1 & 1;
            s_fill (s_a, m * k);
            s_fill (s_b, n * k);
            s_fill (s_c, m * n);
            memcpy (s_d, s_c, m * n * sizeof *s_c);
            if (rk_blas_init ("avx512", NULL) != RK_OK)
                skip ();
            rk_gemm (ta, tb, m, n, k, 0.7f, s_a, ta ? m : k, s_b, tb ? k : n, 0.3f, s_c, n);
            assert_int_equal (rk_blas_init ("avx2", NULL), RK_OK);
            rk_gemm (ta, tb, m, n, k, 0.7f, s_a, ta ? m : k, s_b, tb ? k : n, 0.3f, s_d, n);
            assert_memory_equal (s_c, s_d, m * n * sizeof *s_c);
        }
}

/* Factors are rounded to the nearest, exactly: rounding them before changes no bit. */
static void s_rounded (void **state)
{
    static const size_t shapes[][3] = {{1, 1, 1}, {5, 7, 9}, {33, 50, 71}, {129, 65, 1025}};
    FOR_EACH_SET
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < 4; t++) {
            size_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
            rk_trans_t ta = t & 1, tb = t >> 1 & 1;
            if (!s_rounds ())
                continue;
            noise_fill (&s_noise, m * k, s_a);
            noise_fill (&s_noise, n * k, s_b);
            rk_gemm (ta, tb, m, n, k, 1, s_a, ta ? m : k, s_b, tb ? k : n, 0, s_c, n);
            noise_round (m * k, s_a);
            noise_round (n * k, s_b);
            rk_gemm (ta, tb, m, n, k, 1, s_a, ta ? m : k, s_b, tb ? k : n, 0, s_d, n);
            assert_memory_equal (s_c, s_d, m * n * sizeof *s_c);
        }
}

/* "bf16" is the best there is; without such instructions it is the same as "auto". */
static void s_precision (void **state)
{
    assert_int_equal (rk_blas_init ("bf16", NULL), RK_OK);
    assert_string_equal (rk_blas_kernels (), rk_blas_best (true));
    const bool has = s_rounds ();
    assert_int_equal (rk_blas_init ("auto", NULL), RK_OK);
    assert_string_equal (rk_blas_kernels (), rk_blas_best (false));
    assert_false (s_rounds ());
    if (!has)
        assert_string_equal (rk_blas_best (true), rk_blas_best (false));
    assert_int_equal (rk_blas_init ("avx512bf16", NULL), has ? RK_OK : RK_EUNSUPPORTED);
}

/* A pool changes no bit, whichever side of C it cuts. */
static void s_pool (void **state)
{
    static const size_t shapes[][3] = {{1, 1, 3}, {64, 512, 70}, {500, 49, 65}, {97, 1000, 33}};
    rk_pool_t *pool = NULL;
    assert_int_equal (rk_pool_new (&pool, 3, NULL), RK_OK);
    FOR_EACH_SET
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < 4; t++) {
            rk_gemm_t p = {.ta = t & 1, .tb = t >> 1 & 1, .m = shapes[i][0], .n = shapes[i][1], .k = shapes[i][2],
                           .a = s_a, .b = s_b, .beta = 1, .c = s_c, .ldc = shapes[i][1]};
            p.lda = p.ta ? p.m : p.k;
            p.ldb = p.tb ? p.k : p.n;
            s_fill (s_a, p.m * p.k);
            s_fill (s_b, p.n * p.k);
            s_fill (s_c, p.m * p.n);
            memcpy (s_d, s_c, p.m * p.n * sizeof *s_c);
            rk_gemm_pool (pool, &p);
            p.c = s_d;
            rk_gemm_pool (NULL, &p);
            assert_memory_equal (s_c, s_d, p.m * p.n * sizeof *s_c);
        }
    rk_pool_destroy (&pool);
}

static void s_spins (void **state)
{
    FOR_EACH_SET
    {
        const double once = rk_blas_spin (1000);
        assert_true (once >= 1000 * 2);
        assert_true (rk_blas_spin (2000) == 2 * once);
        assert_false (rk_blas_inside ());
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (s_shapes), cmocka_unit_test (s_large), cmocka_unit_test (s_empty),
        cmocka_unit_test (s_split),  cmocka_unit_test (s_same_bits), cmocka_unit_test (s_names),
        cmocka_unit_test (s_rounded), cmocka_unit_test (s_precision), cmocka_unit_test (s_pool),
        cmocka_unit_test (s_spins),
    };
    return cmocka_run_group_tests_name ("compute/blas", tests, NULL, NULL);
}
