/* SPDX-License-Identifier: MPL-2.0
 * Communication graphs: what every one of them must keep, for every size, and what each of them is.         */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cluster/ada.h"
#include "cluster/graph.h"

#define MOST 40

static rk_graph_t *s_new (rk_graph_config_t config)
{
    rk_graph_t *graph;
    rk_error_t err = {0};
    if (rk_graph_new (&graph, &config, &err) != RK_OK)
        fail_msg ("%s of %u: %s", config.name, config.n, err.text);
    return graph;
}

/* W(t) as a matrix; 0 where there is no edge. */
static void s_matrix (const rk_graph_t *graph, const rk_graph_time_t *at, float *w)
{
    const uint32_t n = rk_graph_n (graph);
    rk_graph_edge_t edges[RK_GRAPH_MAX_N > 4096 ? 4096 : RK_GRAPH_MAX_N];
    memset (w, 0, sizeof *w * n * n);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t n_edges = rk_graph_row (graph, at, i, edges);
        assert_in_range (n_edges, 1, rk_graph_max_row (graph));
        for (uint32_t e = 0; e < n_edges; e++) {
            assert_true (edges[e].peer < n && (e == 0 || edges[e].peer > edges[e - 1].peer));
            assert_true (edges[e].weight > 0);
            w[i * n + edges[e].peer] = edges[e].weight;
        }
        assert_true (w[i * n + i] > 0);
    }
}

/* What is sent is what is expected: columns are the rows, turned. */
static void s_check_columns (const rk_graph_t *graph, const rk_graph_time_t *at, const float *w)
{
    const uint32_t n = rk_graph_n (graph);
    rk_graph_edge_t edges[MOST];
    for (uint32_t j = 0; j < n; j++) {
        const uint32_t n_edges = rk_graph_column (graph, at, j, edges);
        uint32_t next = 0;
        for (uint32_t i = 0; i < n; i++)
            if (i != j && w[i * n + j] > 0) {
                assert_true (next < n_edges && edges[next].peer == i && edges[next].weight == w[i * n + j]);
                next++;
            }
        assert_int_equal (next, n_edges);
    }
}

static void s_check_sums (const rk_graph_t *graph, const float *w)
{
    const uint32_t n = rk_graph_n (graph);
    for (uint32_t i = 0; i < n; i++) {
        double row = 0, column = 0;
        for (uint32_t j = 0; j < n; j++) {
            row += w[i * n + j];
            column += w[j * n + i];
        }
        assert_true (fabs (column - 1) < 1e-6);
        if (rk_graph_is_doubly_stochastic (graph))
            assert_true (fabs (row - 1) < 1e-6);
    }
}

static void s_check_graph (const rk_graph_t *graph)
{
    const uint32_t n = rk_graph_n (graph), period = rk_graph_period (graph);
    float w[MOST * MOST], again[MOST * MOST];
    for (uint64_t step = 0; step < 12; step++) {
        const rk_graph_time_t at = {.step = step, .pass = step * 20};
        s_matrix (graph, &at, w);
        s_check_columns (graph, &at, w);
        s_check_sums (graph, w);
        bool exact = true, symmetric = true;
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < n; j++) {
                exact = exact && fabsf (w[i * n + j] - 1.0f / (float) n) < 1e-7f;
                symmetric = symmetric && w[i * n + j] == w[j * n + i];
            }
        assert_int_equal (exact, rk_graph_is_exact_at (graph, &at));
        assert_true (exact || !rk_graph_is_exact (graph));
        assert_true (symmetric || !rk_graph_is_symmetric (graph));
        if (period > 0) {
            s_matrix (graph, &(rk_graph_time_t){.step = step + period, .pass = 3}, again);
            assert_memory_equal (w, again, sizeof *w * n * n);
        }
    }
}

static void test_every_graph_of_every_size (void **state)
{
    (void) state;
    for (const char *const *name = rk_graph_names (); *name; name++) {
        uint32_t possible = 0;
        for (uint32_t n = 1; n <= MOST; n++) {
            rk_graph_t *graph;
            rk_error_t err = {0};
            const rk_graph_config_t config = {.name = *name, .n = n, .seed = n};
            if (rk_graph_new (&graph, &config, &err) != RK_OK) {
                assert_int_equal (err.code, RK_EINVAL);
                assert_true (strlen (err.text) > 10);
                continue;
            }
            possible++;
            assert_string_equal (rk_graph_name (graph), *name);
            s_check_graph (graph);
            rk_graph_destroy (&graph);
            assert_null (graph);
        }
        assert_true (possible >= 6); /* powers of two at least */
    }
}

/* ---- Ada */
static void s_same_rows (const rk_graph_t *a, const rk_graph_t *b, uint32_t n_passes)
{
    const uint32_t n = rk_graph_n (a);
    float wa[MOST * MOST], wb[MOST * MOST];
    for (uint32_t pass = 0; pass < n_passes; pass++) {
        const rk_graph_time_t at = {.step = pass * 7, .pass = pass};
        s_matrix (a, &at, wa);
        s_matrix (b, &at, wb);
        assert_memory_equal (wa, wb, sizeof *wa * n * n);
    }
}

/* k0 = 2 is the ring, k0 >= n - 1 the complete graph, bit for bit (ada.md §9.4, 8). */
static void test_ada_ends (void **state)
{
    (void) state;
    for (uint32_t n = 2; n <= MOST; n++) {
        rk_graph_t *ring = s_new ((rk_graph_config_t){.name = "ring", .n = n});
        rk_graph_t *complete = s_new ((rk_graph_config_t){.name = "complete", .n = n});
        rk_graph_t *two = s_new ((rk_graph_config_t){.name = "ada", .n = n, .k0 = 2});
        rk_graph_t *all = s_new ((rk_graph_config_t){.name = "ada", .n = n, .k0 = n - 1});
        s_same_rows (ring, two, 5);
        s_same_rows (complete, all, 5);
        rk_graph_destroy (&ring);
        rk_graph_destroy (&complete);
        rk_graph_destroy (&two);
        rk_graph_destroy (&all);
    }
}

/* Below 0 gamma turns the schedule round, for the comparison of dense early with dense late. */
static void test_ada_turned_round (void **state)
{
    (void) state;
    const rk_graph_config_t late = {.name = "ada", .n = 96, .k0 = 4, .gamma = -4, .degree = 16};
    const rk_graph_config_t early = {.name = "ada", .n = 96, .k0 = 16, .gamma = 4};
    rk_graph_t *a = s_new (late), *b = s_new (early);
    rk_graph_edge_t edges[96];
    assert_int_equal (rk_graph_max_row (a), 17);
    for (uint64_t pass = 0; pass < 4; pass++) {
        const rk_graph_time_t at = {.step = pass, .pass = pass}, turned = {.step = pass, .pass = 3 - pass};
        assert_int_equal (rk_graph_row (a, &at, 5, edges), 5 + 4 * pass);
        assert_int_equal (rk_graph_row (b, &turned, 5, edges), 5 + 4 * pass);
    }
    assert_int_equal (rk_ada_degree (&late, 1000), 16);
    rk_graph_destroy (&a);
    rk_graph_destroy (&b);
    rk_error_t err;
    const rk_graph_config_t endless = {.name = "ada", .n = 96, .k0 = 4, .gamma = -4};
    assert_int_equal (rk_graph_new (&a, &endless, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "average.degree"));
}

/* The presets' k, pass by pass; links change at edges of passes only (ada.md §9.4, 7). */
static void test_ada_schedule (void **state)
{
    (void) state;
    const rk_graph_config_t small = {.name = "ada", .n = 96, .k0 = 10, .gamma = 0.02};
    for (uint64_t pass = 0; pass < 600; pass++)
        assert_int_equal (rk_ada_degree (&small, pass), pass >= 400 ? 2 : 10 - pass / 50);
    const rk_graph_config_t large = {.name = "ada", .n = 1008, .k0 = 112, .gamma = 1, .k_min = 23};
    uint32_t sum = 0;
    for (uint64_t pass = 0; pass < 90; pass++) {
        assert_int_equal (rk_ada_degree (&large, pass), 112 - pass);
        sum += rk_ada_degree (&large, pass);
    }
    assert_int_equal (sum, 90 * 675 / 10); /* 67.5 on average */
    assert_int_equal (rk_ada_degree (&large, 1000), 23);
    const rk_graph_config_t held = {.name = "ada", .n = 1008, .k0 = 10, .gamma = 1, .hold = 5};
    assert_int_equal (rk_ada_degree (&held, 5), 10);
    assert_int_equal (rk_ada_degree (&held, 7), 8);
    const rk_graph_config_t sides = {.name = "ada", .n = 1008, .k0 = 5, .gamma = 0.5, .k_min = 1, .per_side = true};
    assert_int_equal (rk_ada_degree (&sides, 3), 8);
    assert_int_equal (rk_ada_degree (&sides, 100), 2);
    const rk_graph_config_t rounded = {.name = "ada", .n = 1008, .k0 = 10, .gamma = 0.5, .rounded = true};
    assert_int_equal (rk_ada_degree (&rounded, 1), 9);

    rk_graph_t *graph = s_new (small);
    rk_graph_edge_t edges[96], before[96];
    for (uint64_t pass = 0; pass < 450; pass++) {
        uint32_t n_before = 0, k = rk_ada_degree (&small, pass) / 2 * 2;
        for (uint64_t step = pass * 3; step < pass * 3 + 3; step++) {
            uint32_t n_edges = rk_graph_row (graph, &(rk_graph_time_t){.step = step, .pass = pass}, 95, edges);
            assert_int_equal (n_edges, k + 1);
            assert_true (step == pass * 3 ||
                         (n_edges == n_before && memcmp (edges, before, n_edges * sizeof *edges) == 0));
            memcpy (before, edges, sizeof edges);
            n_before = n_edges;
        }
        /* A dropped link carries nothing: nobody further than k / 2 hears of 95. */
        uint32_t n_out = rk_graph_column (graph, &(rk_graph_time_t){.pass = pass}, 95, edges);
        assert_int_equal (n_out, k);
        for (uint32_t e = 0; e < n_out; e++) {
            uint32_t away = (edges[e].peer + 96 - 95) % 96;
            assert_true (away <= k / 2 || away >= 96 - k / 2);
        }
    }
    rk_graph_destroy (&graph);
}

/* A control record says k; without one the schedule does. More than the graph made room for is not given. */
static void test_ada_obeys_control (void **state)
{
    (void) state;
    rk_graph_t *graph = s_new ((rk_graph_config_t){.name = "ada", .n = 32, .k0 = 8, .gamma = 1, .degree = 12});
    rk_graph_edge_t edges[32];
    assert_int_equal (rk_graph_max_row (graph), 13);
    assert_int_equal (rk_graph_row (graph, &(rk_graph_time_t){.pass = 4}, 0, edges), 5);
    assert_int_equal (rk_graph_row (graph, &(rk_graph_time_t){.pass = 4, .control = 12}, 0, edges), 13);
    assert_int_equal (rk_graph_row (graph, &(rk_graph_time_t){.pass = 4, .control = 6}, 0, edges), 7);
    assert_int_equal (rk_graph_row (graph, &(rk_graph_time_t){.pass = 4, .control = 31}, 0, edges), 13);
    rk_graph_destroy (&graph);
}

static void test_global_average (void **state)
{
    (void) state;
    rk_graph_t *graph = s_new ((rk_graph_config_t){.name = "ring", .n = 12, .global_every = 4});
    assert_int_equal (rk_graph_period (graph), 4);
    assert_int_equal (rk_graph_max_row (graph), 12);
    for (uint64_t step = 0; step < 9; step++) {
        rk_graph_edge_t edges[12];
        const rk_graph_time_t at = {.step = step};
        assert_int_equal (rk_graph_is_exact_at (graph, &at), step % 4 == 3);
        assert_int_equal (rk_graph_row (graph, &at, 5, edges), step % 4 == 3 ? 12 : 3);
    }
    rk_graph_destroy (&graph);
}

/* ---- bad input */
static void s_refused (rk_graph_config_t config, rk_err_t code, const char *word)
{
    rk_graph_t *graph;
    rk_error_t err = {0};
    assert_int_equal (rk_graph_new (&graph, &config, &err), code);
    assert_null (graph);
    if (!strstr (err.text, word))
        fail_msg ("\"%s\" does not say \"%s\"", err.text, word);
}

static void s_noted (rk_graph_config_t config, const char *word)
{
    rk_graph_t *graph = s_new (config);
    const char *note = rk_graph_note (graph);
    if (!word ? note != NULL : !note || !strstr (note, word))
        fail_msg ("%s of %u: note \"%s\", expected \"%s\"", config.name, config.n, note ? note : "", word ? word : "");
    rk_graph_destroy (&graph);
}

static void test_fallbacks_are_noted (void **state)
{
    (void) state;
    s_noted ((rk_graph_config_t){.name = "torus", .n = 12}, NULL);
    s_noted ((rk_graph_config_t){.name = "torus", .n = 13}, "1 x 13 is a ring");
    s_noted ((rk_graph_config_t){.name = "grid", .n = 7}, "path");
    s_noted ((rk_graph_config_t){.name = "one-peer-exponential", .n = 16}, NULL);
    s_noted ((rk_graph_config_t){.name = "one-peer-exponential", .n = 12}, "only of 2^4");
    s_noted ((rk_graph_config_t){.name = "matching", .n = 5}, "rests");
    s_noted ((rk_graph_config_t){.name = "two-level", .n = 12}, "one machine");
    s_noted ((rk_graph_config_t){.name = "mixed-radix", .n = 62, .group = 8}, "prime 31");
    s_noted ((rk_graph_config_t){.name = "erdos-renyi", .n = 30, .seed = 2, .probability = 0.1}, "first that reaches");
    rk_graph_t *torus = s_new ((rk_graph_config_t){.name = "torus", .n = 13});
    rk_graph_t *ring = s_new ((rk_graph_config_t){.name = "ring", .n = 13});
    s_same_rows (torus, ring, 1);
    rk_graph_destroy (&torus);
    rk_graph_destroy (&ring);
}

/* Degree 2 h of a spread graph, as many links as the lattice; the ends are the ring and the complete graph. */
static void test_spread_has_the_degree (void **state)
{
    (void) state;
    for (uint32_t n = 4; n <= MOST; n++)
        for (uint32_t degree = 2; degree < n; degree++) {
            rk_graph_t *spread = s_new ((rk_graph_config_t){.name = "spread", .n = n, .degree = degree});
            rk_graph_t *lattice = s_new ((rk_graph_config_t){.name = "lattice", .n = n, .degree = degree});
            assert_int_equal (rk_graph_max_row (spread), rk_graph_max_row (lattice));
            s_check_graph (spread);
            if (degree == 2 || degree == n - 1 || (degree == n - 2 && n % 2 == 0))
                s_same_rows (spread, lattice, 1);
            rk_graph_destroy (&spread);
            rk_graph_destroy (&lattice);
        }
    for (uint64_t pass = 0; pass < 30; pass++) {
        const rk_graph_config_t config = {.name = "ada-spread", .n = 40, .k0 = 30, .gamma = 1};
        rk_graph_t *shed = s_new (config);
        rk_graph_t *spread =
            s_new ((rk_graph_config_t){.name = "spread", .n = 40, .degree = rk_ada_degree (&config, pass)});
        float a[MOST * MOST], b[MOST * MOST];
        s_matrix (shed, &(rk_graph_time_t){.pass = pass}, a);
        s_matrix (spread, &(rk_graph_time_t){0}, b);
        assert_memory_equal (a, b, sizeof a);
        rk_graph_destroy (&shed);
        rk_graph_destroy (&spread);
    }
}

/* Same seed, same links; another seed or step, others. */
static void test_random_graphs_follow_the_seed (void **state)
{
    (void) state;
    const char *const names[] = {"erdos-renyi", "matching", "directed"};
    for (size_t g = 0; g < 3; g++) {
        rk_graph_t *a = s_new ((rk_graph_config_t){.name = names[g], .n = 32, .seed = 7});
        rk_graph_t *b = s_new ((rk_graph_config_t){.name = names[g], .n = 32, .seed = 7});
        rk_graph_t *c = s_new ((rk_graph_config_t){.name = names[g], .n = 32, .seed = 8});
        s_same_rows (a, b, 3);
        float wa[32 * 32], wc[32 * 32];
        const rk_graph_time_t at = {.step = 0}, later = {.step = 1};
        s_matrix (a, &at, wa);
        s_matrix (c, &at, wc);
        assert_memory_not_equal (wa, wc, sizeof wa);
        s_matrix (a, &later, wc);
        assert_int_equal (memcmp (wa, wc, sizeof wa) == 0, g != 1);
        rk_graph_destroy (&a);
        rk_graph_destroy (&b);
        rk_graph_destroy (&c);
    }
}

/* Groups are the rows: every member has the same one. A budget halves what is sent by resting. */
static void test_groups_and_budget (void **state)
{
    (void) state;
    const rk_graph_config_t configs[] = {{.name = "mixed-radix", .n = 36, .group = 6},
                                         {.name = "two-level", .n = 24, .group = 4},
                                         {.name = "complete", .n = 9}};
    for (size_t c = 0; c < sizeof configs / sizeof *configs; c++) {
        rk_graph_t *graph = s_new (configs[c]);
        uint32_t members[MOST], n_grouped = 0;
        rk_graph_edge_t edges[MOST];
        for (uint64_t step = 0; step < 8; step++)
            for (uint32_t i = 0; i < configs[c].n; i++) {
                const rk_graph_time_t at = {.step = step};
                const uint32_t n_members = rk_graph_group (graph, &at, i, members);
                for (uint32_t m = 0; m < n_members; m++) {
                    assert_int_equal (rk_graph_row (graph, &at, members[m], edges), n_members);
                    for (uint32_t e = 0; e < n_members; e++)
                        assert_true (edges[e].peer == members[e] && edges[e].weight == 1.0f / (float) n_members);
                }
                n_grouped += n_members > 0;
            }
        assert_true (n_grouped >= 4 * configs[c].n);
        rk_graph_destroy (&graph);
    }
    rk_graph_t *rests = s_new ((rk_graph_config_t){.name = "mixed-radix", .n = 36, .budget = 0.5});
    double sent = 0;
    for (uint64_t step = 0; step < rk_graph_period (rests); step++) {
        rk_graph_edge_t edges[MOST];
        const uint32_t g = rk_graph_row (rests, &(rk_graph_time_t){.step = step}, 11, edges);
        sent += 2.0 * (g - 1) / g;
    }
    assert_true (sent / rk_graph_period (rests) <= 0.5 && sent / rk_graph_period (rests) > 0.25);
    rk_graph_destroy (&rests);
}

/* A control record names the largest factor. */
static void test_radix_obeys_control (void **state)
{
    (void) state;
    rk_graph_t *graph = s_new ((rk_graph_config_t){.name = "mixed-radix", .n = 36, .group = 6, .degree = 35});
    const struct {
        uint32_t control, most;
    } cases[] = {{0, 6}, {1, 3}, {2, 3}, {3, 3}, {5, 4}, {6, 6}, {12, 12}, {36, 36}, {1000, 36}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint32_t most = 0;
        for (uint64_t step = 0; step < 12; step++) {
            rk_graph_edge_t edges[36];
            const uint32_t g =
                rk_graph_row (graph, &(rk_graph_time_t){.step = step, .control = cases[c].control}, 1, edges);
            most = g > most ? g : most;
        }
        assert_int_equal (most, cases[c].most);
    }
    rk_graph_destroy (&graph);
}

static void test_refused (void **state)
{
    (void) state;
    s_refused ((rk_graph_config_t){.name = "hypercube", .n = 12}, RK_EINVAL, "8 and 16");
    s_refused ((rk_graph_config_t){.name = "one-peer-hypercube", .n = 12}, RK_EINVAL, "8 and 16");
    s_refused ((rk_graph_config_t){.name = "two-level", .n = 12, .group = 5}, RK_EINVAL, "4 and 6");
    s_refused ((rk_graph_config_t){.name = "erdos-renyi", .n = 40, .probability = 0.001}, RK_EINVAL, "try 0.18");
    s_refused ((rk_graph_config_t){.name = "erdos-renyi", .n = 20000}, RK_EINVAL, "16384");
    s_refused ((rk_graph_config_t){.name = "mixed-radix", .n = 12, .budget = -1}, RK_EINVAL, "budget");
    s_refused ((rk_graph_config_t){.name = "spread", .n = 12, .degree = 1}, RK_EINVAL, "2 to 11");
    s_refused ((rk_graph_config_t){.name = "ada-spread", .n = 9000, .k0 = 4000}, RK_EINVAL, "2048");
    s_refused ((rk_graph_config_t){.name = "rign", .n = 4}, RK_ENOTFOUND, "ring");
    s_refused ((rk_graph_config_t){.name = "ring", .n = 0}, RK_EINVAL, "65536");
    s_refused ((rk_graph_config_t){.name = "ring", .n = RK_GRAPH_MAX_N + 1}, RK_EINVAL, "65536");
    s_refused ((rk_graph_config_t){.name = "lattice", .n = 12, .degree = 1}, RK_EINVAL, "2 to 11");
    s_refused ((rk_graph_config_t){.name = "ada", .n = 12, .k_min = 1}, RK_EINVAL, "at least 2");
    s_refused ((rk_graph_config_t){.name = "ada", .n = 12, .k0 = NAN}, RK_EINVAL, "k0");
    s_refused ((rk_graph_config_t){.name = "ada", .n = 12, .k0 = 4, .gamma = -1}, RK_EINVAL, "gamma");
    s_refused ((rk_graph_config_t){.name = "ring", .n = 12, .probability = 2}, RK_EINVAL, "[0, 1]");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_graph_of_every_size), cmocka_unit_test (test_ada_ends),
        cmocka_unit_test (test_ada_schedule),              cmocka_unit_test (test_ada_obeys_control),
        cmocka_unit_test (test_global_average),            cmocka_unit_test (test_fallbacks_are_noted),
        cmocka_unit_test (test_spread_has_the_degree),     cmocka_unit_test (test_random_graphs_follow_the_seed),
        cmocka_unit_test (test_groups_and_budget),         cmocka_unit_test (test_radix_obeys_control),
        cmocka_unit_test (test_ada_turned_round),          cmocka_unit_test (test_refused),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
