/* SPDX-License-Identifier: MPL-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "compute/rng.h"

/* Known answers of the Random123 distribution (kat_vectors, philox4x32 10). */
static void test_philox_known_answers (void **state)
{
    uint32_t out[4];
    rk_rng_block (0, 0, 0, out);
    assert_int_equal (out[0], 0x6627e8d5u);
    assert_int_equal (out[1], 0xe169c58du);
    assert_int_equal (out[2], 0xbc57ac4cu);
    assert_int_equal (out[3], 0x9b00dbd8u);
    rk_rng_block (UINT64_MAX, UINT64_MAX, UINT64_MAX, out);
    assert_int_equal (out[0], 0x408f276du);
    assert_int_equal (out[1], 0x41c83b0eu);
    assert_int_equal (out[2], 0xa20bc7c6u);
    assert_int_equal (out[3], 0x6d5451fdu);
    rk_rng_block (0x299f31d0a4093822u, 0x0370734413198a2eu, 0x85a308d3243f6a88u, out);
    assert_int_equal (out[0], 0xd16cfe09u);
    assert_int_equal (out[1], 0x94fdccebu);
    assert_int_equal (out[2], 0x5001e420u);
    assert_int_equal (out[3], 0x24126ea1u);
}

/* Element i is the same however the sequence is cut. */
static void test_any_cut (void **state)
{
    float whole[103], part[103];
    for (int normal = 0; normal < 2; normal++) {
        void (*fill) (uint64_t, uint64_t, uint64_t, size_t, float, float, float *) =
            normal ? rk_rng_normal : rk_rng_uniform;
        fill (7, 9, 5, 103, -1, 2, whole);
        for (size_t at = 0, step = 1; at < 103; at += step, step = step % 7 + 1)
            fill (7, 9, 5 + at, step < 103 - at ? step : 103 - at, -1, 2, part + at);
        assert_memory_equal (whole, part, sizeof whole);
    }
}

static void test_moments (void **state)
{
    enum { N = 200000 };
    float *x = malloc (N * sizeof *x);
    double sum = 0, squares = 0;
    rk_rng_uniform (1, rk_rng_stream (RK_RNG_TEST, 3), 0, N, -1, 3, x);
    for (int i = 0; i < N; i++) {
        assert_true (x[i] >= -1 && x[i] < 3);
        sum += (double) x[i];
    }
    assert_true (fabs (sum / N - 1.0) < 0.02);
    sum = 0;
    rk_rng_normal (1, rk_rng_stream (RK_RNG_TEST, 3), 0, N, 1, 2, x);
    for (int i = 0; i < N; i++) {
        sum += (double) x[i];
        squares += ((double) x[i] - 1) * ((double) x[i] - 1);
    }
    assert_true (fabs (sum / N - 1.0) < 0.03);
    assert_true (fabs (squares / N - 4.0) < 0.06);
    free (x);
}

static void test_permutation (void **state)
{
    const uint64_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 64, 1000, 60000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint8_t *seen = calloc (sizes[s], 1);
        rk_permutation_t p = rk_rng_permutation (5, 2, sizes[s]);
        for (uint64_t i = 0; i < sizes[s]; i++) {
            uint64_t at = rk_permutation_at (&p, i);
            assert_true (rk_permutation_find (&p, at) == i);
            assert_true (at < sizes[s]);
            assert_int_equal (seen[at]++, 0);
        }
        free (seen);
    }
}

/* Another pass or seed is another order; fixed points and neighbours are as rare as in a random one. */
static void test_permutation_mixes (void **state)
{
    enum { N = 60000 };
    rk_permutation_t a = rk_rng_permutation (5, 0, N), b = rk_rng_permutation (5, 1, N), c = rk_rng_permutation (6, 0, N);
    int fixed = 0, same_b = 0, same_c = 0, neighbours = 0;
    double correlation = 0;
    for (uint64_t i = 0; i < N; i++) {
        uint64_t at = rk_permutation_at (&a, i);
        fixed += at == i;
        same_b += at == rk_permutation_at (&b, i);
        same_c += at == rk_permutation_at (&c, i);
        neighbours += rk_permutation_at (&a, (i + 1) % N) == at + 1;
        correlation += ((double) i / N - 0.5) * ((double) at / N - 0.5);
    }
    assert_true (fixed < 10 && same_b < 10 && same_c < 10 && neighbours < 10);
    assert_true (fabs (correlation / N * 12) < 0.02);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_philox_known_answers), cmocka_unit_test (test_any_cut),
        cmocka_unit_test (test_moments),              cmocka_unit_test (test_permutation),
        cmocka_unit_test (test_permutation_mixes),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
