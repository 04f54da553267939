/* SPDX-License-Identifier: MPL-2.0
 * The cheapest way to form a row, what it sends, and how long it takes on the virtual clock.                */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "cluster/stack/clock.h"
#include "cluster/traffic.h"

#define MOST 1008

static rk_graph_edge_t s_edges[MOST];

static rk_graph_t *s_graph (rk_graph_config_t config)
{
    rk_graph_t *graph;
    assert_int_equal (rk_graph_new (&graph, &config, NULL), RK_OK);
    return graph;
}

static void test_ways (void **state)
{
    (void) state;
    const struct {
        rk_graph_config_t config;
        rk_way_t way;
        uint32_t messages;
        double models, direct;
    } cases[] = {
        {{.name = "complete", .n = 96}, RK_WAY_RING, 190, 2 * 95 / 96.0, 2 * 95 / 96.0},
        {{.name = "ring", .n = 96}, RK_WAY_DIRECT, 2, 2, 2},
        {{.name = "lattice", .n = 96, .degree = 4}, RK_WAY_WINDOW, 3, 3, 4},
        {{.name = "ada", .n = 1008, .k0 = 112}, RK_WAY_WINDOW, 9, 9, 112},
        {{.name = "ada", .n = 20, .k0 = 19}, RK_WAY_RING, 38, 1.9, 1.9},
        {{.name = "mixed-radix", .n = 36, .group = 6}, RK_WAY_RING, 10, 10 / 6.0, 5},
        {{.name = "mixed-radix", .n = 32, .group = 2}, RK_WAY_DIRECT, 1, 1, 1},
        {{.name = "mixed-radix", .n = 36, .budget = 0.5}, RK_WAY_DIRECT, 1, 1, 1},
        {{.name = "two-level", .n = 24, .group = 6}, RK_WAY_RING, 10, 10 / 6.0, 5},
        {{.name = "exponential", .n = 96}, RK_WAY_DIRECT, 7, 7, 7},
        {{.name = "spread", .n = 96, .degree = 8}, RK_WAY_DIRECT, 8, 8, 8},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        rk_graph_t *graph = s_graph (cases[c].config);
        const rk_graph_time_t at = {0};
        const rk_traffic_t best = rk_traffic_of (graph, &at, 1, false, s_edges),
                           direct = rk_traffic_of (graph, &at, 1, true, s_edges);
        if (best.way != cases[c].way || best.messages != cases[c].messages ||
            fabs (best.models - cases[c].models) > 1e-12 || fabs (direct.models - cases[c].direct) > 1e-12)
            fail_msg ("%s of %u: way %d, %u messages, %g models, directly %g", cases[c].config.name, cases[c].config.n,
                      best.way, best.messages, best.models, direct.models);
        rk_graph_destroy (&graph);
    }
}

/* A hub is not cheaper than it is; its leaves are. */
static void test_replicas_differ (void **state)
{
    (void) state;
    rk_graph_t *star = s_graph ((rk_graph_config_t){.name = "star", .n = 10});
    const rk_graph_time_t at = {0};
    assert_true (rk_traffic_of (star, &at, 0, false, s_edges).models == 9);
    assert_true (rk_traffic_of (star, &at, 3, false, s_edges).models == 1);
    rk_graph_destroy (&star);
}

/* Seconds per step and models per replica and step. */
static void s_measure (rk_graph_config_t config, bool cheapest, bool awc, double *seconds, double *models)
{
    enum { STEPS = 12, BYTES = 1200 };
    rk_graph_t *graph = s_graph (config);
    rk_clock_t *clock;
    const rk_clock_config_t how = {
        .n = config.n, .compute_s = 1, .alpha_s = 0.5, .byte_s = 1.0 / BYTES, .slowdown = 1, .seed = 1};
    assert_int_equal (rk_clock_new (&clock, &how, NULL), RK_OK);
    for (uint64_t t = 0; t < STEPS; t++)
        rk_clock_step (
            clock,
            &(rk_clock_step_t){
                .graph = graph, .at = {.step = t}, .bytes = BYTES, .mixes = true, .awc = awc, .cheapest = cheapest});
    const rk_clock_totals_t totals = rk_clock_totals (clock);
    *seconds = totals.now_s / STEPS;
    *models = (double) totals.bytes / BYTES / STEPS / config.n;
    rk_clock_destroy (&clock);
    rk_graph_destroy (&graph);
}

/* A message takes 0.5 s, a model 1 s more on the link. */
static void test_time_and_bytes (void **state)
{
    (void) state;
    const struct {
        rk_graph_config_t config;
        bool cheapest, awc;
        double seconds, models;
    } cases[] = {
        {{.name = "lattice", .n = 40, .degree = 8}, false, false, 1 + 0.5 + 8, 8},
        {{.name = "lattice", .n = 40, .degree = 8}, true, false, 1 + 4 * 1.5, 4},
        {{.name = "lattice", .n = 40, .degree = 8}, true, true, 4 * 1.5, 4},
        {{.name = "mixed-radix", .n = 36, .group = 6}, false, false, 1 + 0.5 + 5, 5},
        {{.name = "mixed-radix", .n = 36, .group = 6}, true, false, 1 + 10 * (0.5 + 1 / 6.0), 10 / 6.0},
        {{.name = "ada", .n = 8, .k0 = 7}, false, false, 1 + 14 * (0.5 + 1 / 8.0), 14 / 8.0}, /* exact: a ring */
        {{.name = "exponential", .n = 16}, true, false, 1 + 0.5 + 4, 4},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        double seconds, models;
        s_measure (cases[c].config, cases[c].cheapest, cases[c].awc, &seconds, &models);
        if (fabs (seconds - cases[c].seconds) > 1e-9 || fabs (models - cases[c].models) > 1e-9)
            fail_msg ("case %zu, %s: %g s and %g models, expected %g and %g", c, cases[c].config.name, seconds, models,
                      cases[c].seconds, cases[c].models);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_ways),
        cmocka_unit_test (test_replicas_differ),
        cmocka_unit_test (test_time_and_bytes),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
