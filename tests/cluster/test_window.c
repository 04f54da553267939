/* SPDX-License-Identifier: MPL-2.0
 * Window doubling against the lattice's rows (ada.md §9.4 no. 9), and what it costs.                        */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "cluster/graph.h"
#include "cluster/mix.h"
#include "cluster/window.h"
#include "compute/rng.h"

#define MOST 1008
#define M 3

static float s_x[MOST][M], s_rows[MOST][M], s_spare[2 * MOST * M];
static rk_graph_edge_t s_edges[MOST];

static void s_compare (uint32_t n, uint32_t degree)
{
    rk_window_t window;
    rk_graph_t *lattice;
    float *rows[MOST];
    const void *inputs[MOST];
    assert_int_equal (rk_window_make (&window, n, degree, NULL), RK_OK);
    assert_int_equal (rk_graph_new (&lattice, &(rk_graph_config_t){.name = "lattice", .n = n, .degree = degree}, NULL),
                      RK_OK);
    assert_int_equal (window.size, rk_graph_max_row (lattice));
    rk_rng_uniform (n, rk_rng_stream (RK_RNG_TEST, degree), 0, (size_t) n * M, -1, 1, s_x[0]);
    memcpy (s_rows, s_x, sizeof s_rows);
    for (uint32_t i = 0; i < n; i++)
        rows[i] = s_rows[i];
    rk_window_mix (&window, rows, M, s_spare);
    for (uint32_t i = 0; i < n; i++) {
        float mean[M];
        const uint32_t n_edges = rk_graph_row (lattice, &(rk_graph_time_t){0}, i, s_edges);
        for (uint32_t e = 0; e < n_edges; e++)
            inputs[e] = s_x[s_edges[e].peer];
        rk_mix_row (s_edges, n_edges, inputs, M, mean);
        for (int k = 0; k < M; k++)
            if (fabsf (mean[k] - s_rows[i][k]) > 1e-6f)
                fail_msg ("degree %u of %u, replica %u: %g, not %g", degree, n, i, (double) s_rows[i][k],
                          (double) mean[k]);
    }
    rk_graph_destroy (&lattice);
}

static void test_is_the_lattice (void **state)
{
    (void) state;
    for (uint32_t n = 2; n <= 60; n++)
        for (uint32_t degree = 2; degree < n + 2; degree++)
            s_compare (n, degree);
    for (uint32_t degree = 2; degree < MOST; degree += 26)
        s_compare (MOST, degree);
}

/* Everybody sends to whom hears; at most the messages of the specification less the one that centres. */
static void test_messages (void **state)
{
    (void) state;
    const struct {
        uint32_t degree, messages;
    } known[] = {{2, 2}, {4, 3}, {6, 4}, {8, 4}, {10, 5}, {14, 5}, {16, 5}, {32, 6}, {62, 8}, {112, 9}, {200, 10}};
    rk_window_t window;
    for (size_t c = 0; c < sizeof known / sizeof *known; c++) {
        assert_int_equal (rk_window_make (&window, 2000, known[c].degree, NULL), RK_OK);
        assert_int_equal (window.n_messages, known[c].messages);
    }
    for (uint32_t degree = 2; degree < 1500; degree += 2) {
        uint32_t w = degree + 1, log2 = 0, ones = 0, messages = 0;
        while (w >> (log2 + 1))
            log2++;
        for (uint32_t bit = 0; bit < 16; bit++)
            ones += w >> bit & 1;
        assert_int_equal (rk_window_make (&window, 2000, degree, NULL), RK_OK);
        assert_true (window.n_messages <= log2 + ones - 1 && window.n_messages <= degree);
        for (uint32_t h = 0; h < window.n_hops; h++) {
            assert_true ((window.hops[h].from + window.hops[h].to) % 2000 == 0);
            messages += window.hops[h].op != RK_WINDOW_CLOSE;
        }
        assert_int_equal (messages, window.n_messages);
    }
}

static void test_refused (void **state)
{
    (void) state;
    rk_window_t window;
    assert_int_equal (rk_window_make (&window, 0, 2, NULL), RK_EINVAL);
    assert_int_equal (rk_window_make (&window, 12, 1, NULL), RK_EINVAL);
    assert_int_equal (rk_window_make (&window, 70000, 2, NULL), RK_EINVAL);
    assert_int_equal (rk_window_make (&window, 1, 2, NULL), RK_OK);
    assert_true (window.n_hops == 0 && window.size == 1);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_is_the_lattice),
        cmocka_unit_test (test_messages),
        cmocka_unit_test (test_refused),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
