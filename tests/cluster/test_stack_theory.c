/* SPDX-License-Identifier: MPL-2.0
 * The stack on problems whose answer is known: pure noise (ada.md §4.4), a quadratic with delay, max-plus times
 * (ada.md §6.2).                                                                                            */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/stack.h"
#include "cluster/stack/clock.h"
#include "compute/blas.h"

static int s_open (void **state)
{
    return (int) rk_blas_init ("auto", NULL);
}

static rk_graph_t *s_graph (const char *name, uint32_t n)
{
    rk_graph_t *graph = NULL;
    rk_error_t err = {0};
    const rk_graph_config_t config = {.name = name, .n = n};
    if (rk_graph_new (&graph, &config, &err))
        fail_msg ("%s", err.text);
    return graph;
}

/* ---- noise */
typedef struct {
    double before, after; /* mean of (1/n) sum_i |x_i - mean|^2 per coordinate, in units of lr^2 noise^2 */
    double drift;         /* of the mean by mixing, relative */
} spread_t;

/* Largest difference of two means, relative to the largest value. */
static double s_drift (size_t d, const float *before, const float *after)
{
    double most = 0, size = 0;
    for (size_t c = 0; c < d; c++) {
        most = fmax (most, fabs ((double) after[c] - (double) before[c]));
        size = fmax (size, fabs ((double) before[c]));
    }
    return most / size;
}

static spread_t s_noise (const rk_graph_t *graph, uint32_t n, float momentum, rk_stack_order_t order)
{
    enum { D = 3000, BURN = 300, LOOK = 200 };
    const rk_stack_config_t config = {.model = "quadratic", .graph = graph, .n = n, .batch = 1, .seed = 5, .optimizer = "sgd",
                                      .optim = {.momentum = momentum}, .order = order,
                                      .quadratic = {.dimension = D, .curvature = 0, .noise = 2}};
    rk_stack_t *stack = NULL;
    assert_int_equal (rk_stack_new (&stack, &config, NULL), RK_OK);
    const size_t d = rk_stack_d (stack);
    float *mean = malloc (2 * d * sizeof *mean);
    spread_t out = {0};
    for (uint64_t t = 0; t < BURN + LOOK; t++) {
        double before, after;
        assert_int_equal (rk_stack_local (stack, t, 0.1f, NULL, NULL, NULL), RK_OK);
        rk_stack_probe (stack, NULL, &before);
        rk_stack_mean (stack, mean);
        const rk_graph_time_t at = {.step = t};
        rk_stack_mix (stack, &at);
        rk_stack_probe (stack, NULL, &after);
        rk_stack_mean (stack, mean + d);
        out.drift = fmax (out.drift, s_drift (d, mean, mean + d));
        if (t >= BURN) {
            out.before += before / D / LOOK / (0.1 * 0.1 * 2 * 2);
            out.after += after / D / LOOK / (0.1 * 0.1 * 2 * 2);
        }
    }
    free (mean);
    rk_stack_destroy (&stack);
    return out;
}

static void spread_of_noise_is_as_predicted (void **state)
{
    const struct {
        const char *graph;
        float momentum;
        double before, after;
    } known[] = {{"ring", 0, 1.902, 0.985}, {"ring", 0.9f, 61.7, 46.1}, {"complete", 0, 0.917, 0}, {"complete", 0.9f, 4.82, 0}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        rk_graph_t *graph = s_graph (known[i].graph, 12);
        const spread_t got = s_noise (graph, 12, known[i].momentum, RK_ORDER_ATC);
        print_message ("%s, momentum %g: %.3f %.3f\n", known[i].graph, (double) known[i].momentum, got.before, got.after);
        assert_true (fabs (got.before / known[i].before - 1) < 0.03);
        assert_true (known[i].after == 0 ? got.after < 1e-9 : fabs (got.after / known[i].after - 1) < 0.03);
        assert_true (got.drift < 1e-6); /* mixing leaves the mean where it is */
        rk_graph_destroy (&graph);
    }
}

/* Combining while adapting leaves what adapting leaves before it combines. */
static void awc_ends_where_atc_mixes (void **state)
{
    rk_graph_t *ring = s_graph ("ring", 12);
    const spread_t got = s_noise (ring, 12, 0, RK_ORDER_AWC);
    assert_true (fabs (got.after / 1.902 - 1) < 0.03);
    assert_false (fabs (got.after / 0.985 - 1) < 0.03); /* which it would be in the other order */
    rk_graph_destroy (&ring);
}

/* ---- delay: x' = x - lr h (x of `delay` steps ago - 1), never from before a mixing */
static void gradients_are_as_old_as_asked (void **state)
{
    enum { STEPS = 40, EVERY = 10 };
    for (uint32_t delay = 0; delay <= 3; delay++) {
        rk_graph_t *one = s_graph ("complete", 1);
        const rk_stack_config_t config = {.model = "quadratic", .graph = one, .n = 1, .batch = 1, .optimizer = "sgd",
                                          .delay = delay, .quadratic = {.dimension = 1, .curvature = 0.5}};
        rk_stack_t *stack = NULL;
        assert_int_equal (rk_stack_new (&stack, &config, NULL), RK_OK);
        float x[STEPS + 1] = {0};
        uint64_t mixed = 0;
        for (uint64_t t = 0; t < STEPS; t++) {
            assert_int_equal (rk_stack_local (stack, t, 0.3f, NULL, NULL, NULL), RK_OK);
            uint64_t from = t > delay ? t - delay : 0;
            from = from > mixed ? from : mixed;
            x[t + 1] = x[t] - 0.3f * (float) (0.5 * ((double) x[from] - 1));
            assert_true (fabsf (x[t + 1] - rk_stack_row (stack, 0)[0]) < 1e-6f);
            if (t % EVERY == EVERY - 1) {
                const rk_graph_time_t at = {.step = t / EVERY}; /* mixings are counted by themselves */
                rk_stack_mix (stack, &at);
                mixed = t + 1;
            }
        }
        assert_true (delay == 0 || fabsf (x[STEPS] - (1 - powf (0.85f, STEPS))) > 1e-6f);
        rk_stack_destroy (&stack);
        rk_graph_destroy (&one);
    }
}

/* ---- time */
static double s_time_per_step (const char *graph_name, uint32_t n, double jitter, double alpha, double byte)
{
    enum { BEGIN = 400, STEPS = 1000 };
    double begun = 0;
    rk_graph_t *graph = s_graph (graph_name, n);
    rk_clock_t *clock = NULL;
    const rk_clock_config_t config = {.n = n, .compute_s = 1, .jitter = jitter, .alpha_s = alpha, .byte_s = byte, .seed = 1,
                                      .slowdown = 1};
    assert_int_equal (rk_clock_new (&clock, &config, NULL), RK_OK);
    for (uint64_t t = 0; t < BEGIN + STEPS; t++) {
        rk_clock_step (clock, &(rk_clock_step_t){.graph = graph, .at = {.step = t}, .bytes = 1000, .mixes = true});
        begun = t + 1 == BEGIN ? rk_clock_totals (clock).now_s : begun;
    }
    const rk_clock_totals_t totals = rk_clock_totals (clock);
    assert_true (totals.messages > 0 && totals.bytes > 0);
    rk_clock_destroy (&clock);
    rk_graph_destroy (&graph);
    return (totals.now_s - begun) / STEPS;
}

static void times_are_as_predicted (void **state)
{
    const struct {
        const char *graph;
        uint32_t n;
        double cv, time;
    } known[] = {{"complete", 96, 0.2, 1.494}, {"ring", 96, 0.2, 1.224},   {"complete", 1008, 0.2, 1.637},
                 {"ring", 1008, 0.2, 1.217},   {"ring", 1008, 0.05, 1.054}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const double got = s_time_per_step (known[i].graph, known[i].n, known[i].cv, 0, 0);
        print_message ("%s of %u, cv %g: %.3f\n", known[i].graph, known[i].n, known[i].cv, got);
        assert_true (fabs (got / known[i].time - 1) < 0.015);
    }
    /* without jitter: ring 2 messages one after the other, all-reduce 2 (n - 1) of a piece */
    assert_true (fabs (s_time_per_step ("ring", 8, 0, 0.5, 1e-3) - (1 + 0.5 + 2 * 1.0)) < 1e-9);
    assert_true (fabs (s_time_per_step ("complete", 8, 0, 0.5, 1e-3) - (1 + 14 * (0.5 + 0.125))) < 1e-9);
}

static void stragglers_are_named (void **state)
{
    rk_graph_t *ring = s_graph ("ring", 16);
    rk_clock_t *clock = NULL;
    const rk_clock_config_t config = {.n = 16, .compute_s = 1, .stragglers = 1, .slowdown = 3};
    assert_int_equal (rk_clock_new (&clock, &config, NULL), RK_OK);
    for (uint64_t t = 0; t < 100; t++)
        rk_clock_step (clock, &(rk_clock_step_t){.graph = ring, .at = {.step = t}, .mixes = true});
    const rk_clock_totals_t totals = rk_clock_totals (clock);
    assert_int_equal (totals.slowest, 15);
    assert_true (fabs (totals.now_s - 300) < 1e-6); /* no graph helps against it */
    assert_true (totals.wait_s > 0);
    rk_clock_destroy (&clock);
    rk_graph_destroy (&ring);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (spread_of_noise_is_as_predicted), cmocka_unit_test (awc_ends_where_atc_mixes),
        cmocka_unit_test (gradients_are_as_old_as_asked),   cmocka_unit_test (times_are_as_predicted),
        cmocka_unit_test (stragglers_are_named),
    };
    return cmocka_run_group_tests_name ("cluster/stack theory", tests, s_open, NULL);
}
