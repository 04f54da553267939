/* SPDX-License-Identifier: MPL-2.0
 * Spectra against closed forms (ada.md §4.1, §4.3), contraction, and the spread predicted under noise.      */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/spectrum.h"
#include "compute/rng.h"

static const double pi = 3.14159265358979323846;

static rk_walk_t *s_walk (rk_graph_config_t config, uint32_t n_steps)
{
    rk_graph_t *graph;
    rk_walk_t *walk = NULL;
    rk_error_t err = {0};
    const rk_graph_time_t at = {0};
    if (rk_graph_new (&graph, &config, &err) || rk_walk_new (&walk, graph, &at, n_steps, &err))
        fail_msg ("%s of %u: %s", config.name, config.n, err.text);
    rk_graph_destroy (&graph);
    return walk;
}

static rk_spectrum_t s_spectrum (rk_graph_config_t config)
{
    rk_walk_t *walk = s_walk (config, 0);
    rk_spectrum_t spectrum;
    assert_int_equal (rk_spectrum_of (walk, &spectrum, NULL), RK_OK);
    rk_walk_destroy (&walk);
    return spectrum;
}

static void s_near (const char *what, uint32_t n, double got, double expected, double tolerance)
{
    if (!(fabs (got - expected) <= tolerance))
        fail_msg ("%s of %u: %.9f, expected %.9f", what, n, got, expected);
}

static double s_lattice_rho (uint32_t n, uint32_t h) /* largest over all frequencies */
{
    double most = 0;
    for (uint32_t l = 1; l < n; l++) {
        double lambda = fabs (sin ((2 * h + 1) * pi * l / n) / ((2 * h + 1) * sin (pi * l / n)));
        most = lambda > most ? lambda : most;
    }
    return most;
}

static double s_rho (const char *name, uint32_t n, uint32_t degree)
{
    return s_spectrum ((rk_graph_config_t){.name = name, .n = n, .degree = degree}).rho;
}

/* ---- closed forms, to 1e-6 */
static void test_closed_forms (void **state)
{
    (void) state;
    const uint32_t sizes[] = {4, 5, 8, 12, 13, 16, 24, 48, 64, 96, 1008};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const uint32_t n = sizes[s];
        uint32_t rows = 1, tau = 0;
        for (uint32_t r = 1; r * r <= n; r++)
            rows = n % r == 0 ? r : rows;
        while (1u << tau < n)
            tau++;
        s_near ("ring", n, s_rho ("ring", n, 0), n < 4 ? 0 : fabs (1 + 2 * cos (2 * pi / n)) / 3, 1e-6);
        s_near ("one-way-ring", n, s_rho ("one-way-ring", n, 0), cos (pi / n), 1e-6);
        if (rows > 2)
            s_near ("torus", n, s_rho ("torus", n, 0), (3 + 2 * cos (2 * pi / (n / rows))) / 5, 1e-6);
        if (n % 2 == 0)
            s_near ("exponential", n, s_rho ("exponential", n, 0), 1 - 2.0 / (tau + 1), 1e-6);
        if (n == 1u << tau)
            s_near ("hypercube", n, s_rho ("hypercube", n, 0), 1 - 2.0 / (tau + 1), 1e-6);
        if (n < 100)
            s_near ("star", n, s_rho ("star", n, 0), 1 - 1.0 / n, 1e-6);
        s_near ("complete", n, s_rho ("complete", n, 0), 0, 1e-6);
        for (uint32_t h = 1; h <= 16 && 2 * h + 1 < n; h++)
            s_near ("lattice", n, s_rho ("lattice", n, 2 * h), s_lattice_rho (n, h), 1e-6);
        if (rows == 1) /* a grid of a prime is a path */
            s_near ("path", n, s_rho ("grid", n, 0), (1 + 2 * cos (pi / n)) / 3, 1e-6);
    }
    /* The table of the specification, to its four digits; gap of the long ring to 1e-9. */
    s_near ("ring", 12, s_rho ("ring", 12, 0), .9107, 5e-5);
    s_near ("lattice h=4", 12, s_rho ("lattice", 12, 8), .3036, 5e-5);
    s_near ("lattice h=56", 1008, s_rho ("lattice", 1008, 112), .97946, 5e-6);
    s_near ("torus", 1008, s_rho ("torus", 1008, 0), .9939, 5e-5);
    s_near ("exponential", 1008, s_rho ("exponential", 1008, 0), .8182, 5e-5);
    const double gap = s_spectrum ((rk_graph_config_t){.name = "ring", .n = 1008}).gap;
    s_near ("ring's gap", 1008, gap, (1 - cos (2 * pi / 1008)) * 2 / 3, 1e-9);
}

/* Products that are the exact mean, and ones that are not. */
static void test_exact_after_a_period (void **state)
{
    (void) state;
    for (uint32_t n = 2; n <= 64; n++) {
        const bool power = (n & (n - 1)) == 0;
        const double one_peer = s_rho ("one-peer-exponential", n, 0);
        if (power)
            s_near ("one-peer-exponential", n, one_peer, 0, 1e-6);
        else
            assert_true (one_peer > 0.05);
        if (power)
            s_near ("one-peer-hypercube", n, s_rho ("one-peer-hypercube", n, 0), 0, 1e-6);
        for (uint32_t largest = 2; largest <= n; largest *= 3)
            s_near ("mixed-radix", n,
                    s_spectrum ((rk_graph_config_t){.name = "mixed-radix", .n = n, .group = largest}).rho, 0, 1e-6);
        for (uint32_t group = 1; group <= n; group++)
            if (n % group == 0 && (n / group & (n / group - 1)) == 0)
                s_near ("two-level", n,
                        s_spectrum ((rk_graph_config_t){.name = "two-level", .n = n, .group = group}).rho, 0, 1e-6);
    }
    s_near ("mixed-radix", 1008, s_spectrum ((rk_graph_config_t){.name = "mixed-radix", .n = 1008, .group = 14}).rho, 0,
            1e-6);
    assert_true (s_spectrum ((rk_graph_config_t){.name = "two-level", .n = 24, .group = 4}).rho > 0.05);
    s_near ("global", 12, s_spectrum ((rk_graph_config_t){.name = "ring", .n = 12, .global_every = 5}).rho, 0, 1e-6);
}

/* E [W^T W] of a uniform perfect matching shrinks disagreement by 1/2 - 1 / (2 (n - 1)) in the mean square. */
static void test_matching_in_the_mean (void **state)
{
    (void) state;
    enum { N = 16, STEPS = 20000 };
    rk_walk_t *walk = s_walk ((rk_graph_config_t){.name = "matching", .n = N, .seed = 3}, STEPS);
    double sum = 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        double x[N], out[N], before = 0, after = 0;
        for (uint32_t i = 0; i < N; i++)
            x[i] = i % 3 - (i == N - 1 ? 0 : 1.0); /* sums to zero: 5 of -1, 5 of 0, 5 of 1, and 0 */
        rk_walk_apply (walk, step, x, out);
        for (uint32_t i = 0; i < N; i++) {
            before += x[i] * x[i];
            after += out[i] * out[i];
        }
        sum += after / before;
    }
    s_near ("matching", N, sum / STEPS, 0.5 - 0.5 / (N - 1), 0.005);
    rk_walk_destroy (&walk);
}

/* Consensus alone: the slowest mode shrinks by rho per step, within 1 % (ada.md §9.4, 3). */
static void test_consensus_contracts_by_rho (void **state)
{
    (void) state;
    const rk_graph_config_t configs[] = {{.name = "ring", .n = 12},          {.name = "torus", .n = 24},
                                         {.name = "exponential", .n = 12},   {.name = "lattice", .n = 48, .degree = 8},
                                         {.name = "grid", .n = 20},          {.name = "star", .n = 9},
                                         {.name = "erdos-renyi", .n = 30},   {.name = "spread", .n = 96, .degree = 8},
                                         {.name = "hypercube", .n = 32},     {.name = "one-way-ring", .n = 10},
                                         {.name = "ada", .n = 64, .k0 = 10}, {.name = "one-peer-exponential", .n = 12}};
    for (size_t c = 0; c < sizeof configs / sizeof *configs; c++) {
        rk_walk_t *walk = s_walk (configs[c], 0);
        rk_spectrum_t spectrum;
        assert_int_equal (rk_spectrum_of (walk, &spectrum, NULL), RK_OK);
        const uint32_t n = configs[c].n, steps = 200 * rk_walk_n_steps (walk);
        double x[128], out[128], norm[2] = {0};
        for (uint32_t i = 0; i < n; i++)
            x[i] = sin (1 + i * i * 0.7);
        for (uint32_t step = 0; step < 2 * steps; step++) {
            double mean = 0, square = 0;
            rk_walk_apply (walk, step % rk_walk_n_steps (walk), x, out);
            for (uint32_t i = 0; i < n; i++)
                mean += out[i] / n;
            for (uint32_t i = 0; i < n; i++)
                square += (out[i] - mean) * (out[i] - mean);
            for (uint32_t i = 0; i < n; i++) /* the size is kept, or it would vanish */
                x[i] = (out[i] - mean) / sqrt (square);
            norm[step >= steps] += log (square) / 2;
        }
        s_near (configs[c].name, n, exp (norm[1] / steps) / spectrum.rho, 1, 0.01);
        rk_walk_destroy (&walk);
    }
}

static void test_every_graph_is_what_it_says (void **state)
{
    (void) state;
    for (const char *const *name = rk_graph_names (); *name; name++)
        for (uint32_t n = 1; n <= 33; n++) {
            rk_graph_t *graph;
            rk_walk_t *walk;
            rk_error_t err = {0};
            const rk_graph_config_t config = {.name = *name, .n = n, .seed = 5};
            if (rk_graph_new (&graph, &config, NULL))
                continue;
            const rk_graph_time_t at = {.step = n};
            if (rk_walk_new (&walk, graph, &at, 0, &err))
                fail_msg ("%s of %u: %s", *name, n, err.text);
            rk_spectrum_t spectrum;
            assert_int_equal (rk_spectrum_of (walk, &spectrum, NULL), RK_OK);
            assert_true (spectrum.rho >= 0 && spectrum.rho < 1);
            assert_true (spectrum.most < rk_graph_max_row (graph) && spectrum.degree <= spectrum.most);
            assert_true (spectrum.diameter < n && (n < 3 || spectrum.diameter > 0));
            rk_walk_destroy (&walk);
            rk_graph_destroy (&graph);
        }
}

/* Any numbers: refused with a reason, or doubly stochastic, of one piece, and contracting. */
static void test_random_configurations (void **state)
{
    (void) state;
    uint32_t n_names = 0, n_made = 0;
    while (rk_graph_names ()[n_names])
        n_names++;
    for (uint64_t draw = 0; draw < 600; draw++) {
        uint32_t r[12];
        for (uint64_t block = 0; block < 3; block++)
            rk_rng_block (31, rk_rng_stream (RK_RNG_TEST, draw), block, r + 4 * block);
        const uint32_t n = 1 + r[0] % (r[1] % 3 ? 60 : 700);
        const rk_graph_config_t config = {
            .name = rk_graph_names ()[r[2] % n_names], .n = n, .seed = r[3],
            .degree = r[4] % 3 ? r[4] % (n + 3) : 0, .probability = r[5] % 2 ? 0 : (r[5] % 100) / 100.0,
            .k0 = r[6] % 2 ? r[6] % 100 : 0, .gamma = (r[6] % 7) / 4.0, .k_min = r[7] % 5, .hold = r[7] % 3,
            .per_side = r[8] & 1, .rounded = r[8] & 2, .group = r[8] & 4 ? r[9] % (n + 2) : 0,
            .budget = r[8] & 8 ? (1 + r[9] % 30) / 10.0 : 0, .global_every = r[8] & 16 ? r[10] % 5 : 0};
        const rk_graph_time_t at = {
            .step = r[10] % 1000, .pass = r[11] % 100, .control = r[8] & 32 ? r[11] % (n + 5) : 0};
        rk_graph_t *graph;
        rk_walk_t *walk;
        rk_error_t err = {0};
        if (rk_graph_new (&graph, &config, &err)) {
            assert_true (err.code == RK_EINVAL && strlen (err.text) > 20);
            continue;
        }
        if (rk_walk_new (&walk, graph, &at, 0, &err))
            fail_msg ("draw %u, %s of %u: %s", (unsigned) draw, config.name, n, err.text);
        rk_spectrum_t spectrum;
        assert_int_equal (rk_spectrum_of (walk, &spectrum, NULL), RK_OK);
        assert_true (spectrum.rho >= 0 && spectrum.rho < 1);
        n_made++;
        rk_walk_destroy (&walk);
        rk_graph_destroy (&graph);
    }
    assert_in_range (n_made, 300, 590);
}

static void test_diameters_and_degrees (void **state)
{
    (void) state;
    const struct {
        rk_graph_config_t config;
        uint32_t diameter, most;
        double degree;
    } cases[] = {
        {{.name = "ring", .n = 12}, 6, 2, 2},
        {{.name = "torus", .n = 12}, 3, 4, 4},        /* 3 x 4 */
        {{.name = "torus", .n = 6}, 2, 3, 3},         /* 2 x 3: above and below are one */
        {{.name = "grid", .n = 12}, 5, 4, 34.0 / 12}, /* 17 links */
        {{.name = "star", .n = 10}, 2, 9, 1.8},
        {{.name = "exponential", .n = 1008}, 9, 10, 10},
        {{.name = "one-peer-exponential", .n = 16}, 4, 1, 1},
        {{.name = "hypercube", .n = 16}, 4, 4, 4},
        {{.name = "lattice", .n = 96, .degree = 8}, 12, 8, 8},
        {{.name = "mixed-radix", .n = 1008, .group = 14}, 3, 13, 29.0 / 3},
        {{.name = "one-way-ring", .n = 7}, 6, 1, 1},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const rk_spectrum_t spectrum = s_spectrum (cases[c].config);
        const char *name = cases[c].config.name;
        s_near (name, cases[c].config.n, spectrum.most, cases[c].most, 0);
        s_near (name, cases[c].config.n, spectrum.degree, cases[c].degree, 1e-9);
        s_near (name, cases[c].config.n, spectrum.diameter, cases[c].diameter, 0);
    }
}

/* ---- ada.md §4.4 and §4.5: the tables, to their digits */
static void test_predicted_noise (void **state)
{
    (void) state;
    const struct {
        rk_graph_config_t config;
        double before, after, before_momentum, after_momentum;
    } cases[] = {
        {{.name = "ring", .n = 12}, 1.902, .985, 61.7, 46.1},
        {{.name = "torus", .n = 12}, 1.077, .161, 9.71, 2.11},
        {{.name = "exponential", .n = 12}, 1.066, .149, 8.04, 1.59},
        {{.name = "complete", .n = 12}, .917, 0, 4.82, 0},
        {{.name = "ring", .n = 96}, 12.43, 11.44, 1080, 1057},
        {{.name = "torus", .n = 96}, 1.529, .539, 33.3, 21.7},
        {{.name = "exponential", .n = 96}, 1.147, .158, 8.49, 1.78},
        {{.name = "lattice", .n = 96, .degree = 8}, 2.025, 1.035, 89.2, 78.9},
        {{.name = "lattice", .n = 96, .degree = 32}, 1.038, .048, 7.40, 1.49},
        {{.name = "mixed-radix", .n = 96, .group = 6}, 1.240, .250, 9.22, 1.68},
        {{.name = "exponential", .n = 1008}, 1.116, .117, 7.22, 1.07},
        {{.name = "torus", .n = 1008}, 1.986, .987, 74.7, 62.1},
        {{.name = "lattice", .n = 1008, .degree = 112}, 1.065, .066, 10.4, 4.73},
        {{.name = "mixed-radix", .n = 1008, .group = 14}, 1.115, .116, 7.05, .70},
        {{.name = "one-peer-hypercube", .n = 1024}, 1.988, .989, 27.2, 13.4},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        rk_walk_t *walk = s_walk (cases[c].config, 0);
        double before, after;
        assert_int_equal (rk_walk_noise (walk, 0, &before, &after, NULL), RK_OK);
        s_near (cases[c].config.name, cases[c].config.n, before, cases[c].before, 5e-3 * cases[c].before);
        s_near (cases[c].config.name, cases[c].config.n, after, cases[c].after, 5e-3 * cases[c].after + 1e-3);
        assert_int_equal (rk_walk_noise (walk, 0.9, &before, &after, NULL), RK_OK);
        s_near (cases[c].config.name, cases[c].config.n, before, cases[c].before_momentum,
                1e-2 * cases[c].before_momentum);
        s_near (cases[c].config.name, cases[c].config.n, after, cases[c].after_momentum,
                1e-2 * cases[c].after_momentum + 1e-3);
        rk_walk_destroy (&walk);
    }
}

static void test_effective_neighbours (void **state)
{
    (void) state;
    const struct {
        rk_graph_config_t config;
        double gamma, expected;
    } cases[] = {
        {{.name = "ring", .n = 48}, .9, 6.63},         {{.name = "ring", .n = 384}, .9, 6.63},
        {{.name = "torus", .n = 384}, .9, 19.9},       {{.name = "exponential", .n = 48}, .9, 27},
        {{.name = "exponential", .n = 96}, .9, 39},    {{.name = "exponential", .n = 1008}, .9, 81},
        {{.name = "ring", .n = 1008}, .99, 17.8},      {{.name = "torus", .n = 1008}, .99, 108},
        {{.name = "exponential", .n = 1008}, .99, 463}, {{.name = "lattice", .n = 1008, .degree = 112}, .9, 261},
        {{.name = "complete", .n = 20}, .9, 20},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        rk_walk_t *walk = s_walk (cases[c].config, 0);
        double effective;
        assert_int_equal (rk_walk_neighbours (walk, cases[c].gamma, &effective, NULL), RK_OK);
        s_near (cases[c].config.name, cases[c].config.n, effective, cases[c].expected, 0.015 * cases[c].expected);
        rk_walk_destroy (&walk);
    }
}

/* ---- refused */
static void test_refused (void **state)
{
    (void) state;
    rk_walk_t *walk;
    rk_error_t err = {0};
    double a, b;
    rk_graph_t *graph;
    const rk_graph_time_t at = {0};
    assert_int_equal (rk_graph_new (&graph, &(rk_graph_config_t){.name = "one-peer-hypercube", .n = 16}, NULL), RK_OK);
    assert_int_equal (rk_walk_new (&walk, graph, &at, 2, &err), RK_EINVAL); /* two bits of four: pairs of pairs */
    assert_null (walk);
    assert_non_null (strstr (err.text, "never hears of everybody"));
    rk_graph_destroy (&graph);
    walk = s_walk ((rk_graph_config_t){.name = "directed", .n = 12, .degree = 3}, 0);
    assert_int_equal (rk_walk_noise (walk, 0.5, &a, &b, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "push-sum"));
    rk_walk_destroy (&walk);
    walk = s_walk ((rk_graph_config_t){.name = "ring", .n = 12}, 0);
    assert_int_equal (rk_walk_noise (walk, 1, &a, &b, &err), RK_EINVAL);
    assert_int_equal (rk_walk_neighbours (walk, -0.1, &a, &err), RK_EINVAL);
    rk_walk_destroy (&walk);
    assert_int_equal (rk_graph_new (&graph, &(rk_graph_config_t){.name = "complete", .n = 10000}, NULL), RK_OK);
    assert_int_equal (rk_walk_new (&walk, graph, &at, 0, &err), RK_EUNSUPPORTED);
    rk_graph_destroy (&graph);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_closed_forms),          cmocka_unit_test (test_exact_after_a_period),
        cmocka_unit_test (test_matching_in_the_mean),  cmocka_unit_test (test_consensus_contracts_by_rho),
        cmocka_unit_test (test_every_graph_is_what_it_says), cmocka_unit_test (test_random_configurations),
        cmocka_unit_test (test_diameters_and_degrees),
        cmocka_unit_test (test_predicted_noise),       cmocka_unit_test (test_effective_neighbours),
        cmocka_unit_test (test_refused),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
