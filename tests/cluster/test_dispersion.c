/* SPDX-License-Identifier: MPL-2.0
 * Dispersion, ranks and distances: hand cases, definitions, Gaussian identities (ada.md §1.5, §9.4 no. 6).   */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include "cluster/dispersion.h"
#include "compute/rng.h"

#define MOST 4096

static double s_sorted[MOST];

static void s_near (double got, double expected, double tolerance)
{
    if (!(fabs (got - expected) <= tolerance))
        fail_msg ("%.15g, expected %.15g", got, expected);
}

static void test_hand_cases (void **state)
{
    (void) state;
    rk_dispersion_t d = rk_dispersion_of (4, (double[]){1, 1, 1, 1}, s_sorted);
    assert_true (d.valid && d.gini == 0 && d.index == 0 && d.variation == 0 && d.quartile == 0);
    d = rk_dispersion_of (4, (double[]){0, 4, 0, 0}, s_sorted);
    s_near (d.gini, 0.75, 1e-15);
    s_near (d.variance, 3, 1e-15);
    s_near (d.index, 3, 1e-15);
    s_near (d.variation, sqrt (3), 1e-15);
    s_near (d.quartile, 1, 1e-15); /* Q1 = 0, Q3 = 1 */
    d = rk_dispersion_of (5, (double[]){5, 1, 4, 2, 3}, s_sorted);
    s_near (d.gini, 40.0 / (2 * 25 * 3), 1e-15);
    s_near (d.index, 2.0 / 3, 1e-15);
    s_near (d.quartile, 2.0 / 6, 1e-15); /* Q1 = 2, Q3 = 4 */
    d = rk_dispersion_of (4, (double[]){1, 2, 3, 5}, s_sorted);
    s_near (d.quartile, (3.5 - 1.75) / (3.5 + 1.75), 1e-15);
    d = rk_dispersion_of (1, (double[]){7}, s_sorted);
    assert_true (d.valid && d.gini == 0 && d.quartile == 0);
}

static void test_what_has_no_dispersion (void **state)
{
    (void) state;
    const double cases[][3] = {{0, 0, 0}, {1, -1, 3}, {1, NAN, 2}, {1, INFINITY, 2}};
    for (size_t c = 0; c < 4; c++) {
        rk_dispersion_t d = rk_dispersion_of (3, cases[c], s_sorted);
        assert_true (!d.valid && d.gini == 0 && d.index == 0 && d.variation == 0 && d.quartile == 0);
    }
}

/* Against the definition over all pairs; scale changes the index only; order changes nothing. */
static void test_definition (void **state)
{
    (void) state;
    float normal[100];
    double v[100], scaled[100], turned[100], pairs = 0, mean = 0;
    rk_rng_uniform (3, rk_rng_stream (RK_RNG_TEST, 1), 0, 100, 0.5f, 2.0f, normal);
    for (int i = 0; i < 100; i++) {
        v[i] = normal[i];
        scaled[i] = 8 * v[i];
        turned[99 - i] = v[i];
        mean += v[i] / 100;
    }
    for (int i = 0; i < 100; i++)
        for (int j = 0; j < 100; j++)
            pairs += fabs (v[i] - v[j]);
    rk_dispersion_t d = rk_dispersion_of (100, v, s_sorted), s = rk_dispersion_of (100, scaled, s_sorted);
    s_near (d.gini, pairs / (2 * 100 * 100 * mean), 1e-14);
    s_near (s.gini, d.gini, 1e-14);
    s_near (s.variation, d.variation, 1e-14);
    s_near (s.quartile, d.quartile, 1e-14);
    s_near (s.index, 8 * d.index, 1e-12);
    s_near (rk_dispersion_of (100, turned, s_sorted).gini, d.gini, 1e-14);
}

/* A narrow Gaussian spread, as of replicas: 1e-5 of the value must still be seen. */
static void test_gaussian_identities (void **state)
{
    (void) state;
    const double spreads[] = {1e-1, 1e-3, 1e-5, 1e-8};
    for (size_t s = 0; s < 4; s++) {
        float normal[MOST];
        double v[MOST];
        rk_rng_normal (5, rk_rng_stream (RK_RNG_TEST, s), 0, MOST, 0, 1, normal);
        for (int i = 0; i < MOST; i++)
            v[i] = 20 * (1 + spreads[s] * normal[i]);
        const rk_dispersion_t d = rk_dispersion_of (MOST, v, s_sorted);
        s_near (d.variation / spreads[s], 1, 0.05);
        s_near (d.gini / (d.variation / sqrt (3.14159265358979)), 1, 0.02);
        s_near (d.quartile / (0.6745 * d.variation), 1, 0.05);
        s_near (d.index / (d.variation * d.variation * d.mean), 1, 1e-9);
    }
}

static void test_ranks (void **state)
{
    (void) state;
    uint32_t order[6];
    double ranks[12];
    rk_ranks (5, (double[]){3, 1, 2, 1, 9}, order, ranks);
    const double expected[] = {4, 1.5, 3, 1.5, 5};
    for (int i = 0; i < 5; i++)
        assert_true (ranks[i] == expected[i]);
    rk_ranks (4, (double[]){1, 1 + 1e-13, 1 + 1e-10, 0}, order, ranks);
    assert_true (ranks[0] == 2.5 && ranks[1] == 2.5 && ranks[2] == 4 && ranks[3] == 1);
    rk_ranks (3, (double[]){7, 7, 7}, order, ranks);
    assert_true (ranks[0] == 2 && ranks[1] == 2 && ranks[2] == 2);

    s_near (rk_spearman (5, (double[]){1, 2, 3, 4, 5}, (double[]){10, 20, 25, 26, 99}, order, ranks), 1, 1e-15);
    s_near (rk_spearman (5, (double[]){1, 2, 3, 4, 5}, (double[]){5, 4, 3, 2, 1}, order, ranks), -1, 1e-15);
    /* 1 - 6 sum d^2 / (n (n^2 - 1)) = 1 - 6 x 8 / 60 without ties */
    s_near (rk_spearman (4, (double[]){1, 2, 3, 4}, (double[]){3, 1, 4, 2}, order, ranks), 0, 1e-15);
    s_near (rk_spearman (4, (double[]){1, 2, 2, 4}, (double[]){1, 2, 3, 4}, order, ranks), 4.5 / sqrt (4.5 * 5), 1e-15);
    assert_true (isnan (rk_spearman (3, (double[]){1, 1, 1}, (double[]){1, 2, 3}, order, ranks)));
    s_near (rk_correlation (3, (double[]){1, 2, 3}, (double[]){2, 4, 6.0}), 1, 1e-15);
}

static void test_distances (void **state)
{
    (void) state;
    static float a[10007], b[10007];
    rk_rng_normal (9, rk_rng_stream (RK_RNG_TEST, 20), 0, 10007, 1, 2, a);
    rk_rng_normal (9, rk_rng_stream (RK_RNG_TEST, 21), 0, 10007, 0, 1, b);
    const size_t sizes[] = {0, 1, 7, 8, 9, 4095, 4096, 4097, 10007};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        long double square = 0, distance = 0;
        for (size_t i = 0; i < sizes[s]; i++) {
            square += (long double) a[i] * a[i];
            distance += ((long double) a[i] - b[i]) * ((long double) a[i] - b[i]);
        }
        s_near (rk_square_sum (sizes[s], a), (double) square, 1e-12 * (double) square);
        s_near (rk_square_distance (sizes[s], a, b), (double) distance, 1e-12 * (double) distance);
    }
    /* Xi^2 of three points on a line: 0, 3, 6, mean 3 */
    s_near (rk_consensus_square (3, (double[]){0, 9, 36}, 9), 6, 1e-12);
    assert_true (rk_consensus_square (2, (double[]){1, 1}, 1 + 1e-9) == 0);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_hand_cases),           cmocka_unit_test (test_what_has_no_dispersion),
        cmocka_unit_test (test_definition),           cmocka_unit_test (test_gaussian_identities),
        cmocka_unit_test (test_ranks),                cmocka_unit_test (test_distances),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
