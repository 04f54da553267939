/* SPDX-License-Identifier: MPL-2.0
 * Windows and rings in groups, hop by hop: the rows of W within rounding, at any size of the range, a frozen replica
 * left out as it is where every peer is heard; the messages and models that traffic.h counts.                */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "cluster/mix.h"
#include "cluster/traffic.h"
#include "compute/rng.h"
#include "tests/cluster/hops_reference.h"

#define N_MOST 40
#define M_MOST 37

static float s_own[N_MOST][M_MOST], s_mixed[N_MOST][M_MOST];

/* The row over all peers, a frozen one's place taken by the own values. */
static void s_row (const rk_graph_t *graph, const rk_graph_time_t *at, uint32_t i, size_t m, int frozen, float *out)
{
    rk_graph_edge_t edges[N_MOST];
    const void *inputs[N_MOST];
    const uint32_t n_edges = rk_graph_row (graph, at, i, edges);
    for (uint32_t e = 0; e < n_edges; e++)
        inputs[e] = s_own[(int) edges[e].peer == frozen ? i : edges[e].peer];
    rk_mix_row (edges, n_edges, inputs, m, out);
}

static bool s_compare (const rk_graph_t *graph, const rk_graph_time_t *at, size_t m, int frozen)
{
    float *own[N_MOST], *mixed[N_MOST], row[M_MOST];
    const uint32_t n = rk_graph_n (graph);
    for (uint32_t i = 0; i < n; i++) {
        own[i] = s_own[i];
        mixed[i] = s_mixed[i];
    }
    rk_rng_uniform (n, rk_rng_stream (RK_RNG_TEST, at->step), m, sizeof s_own / sizeof (float), -1, 1, s_own[0]);
    if (!hopping_mix (graph, at, own, m, frozen, mixed))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        s_row (graph, at, i, m, frozen, row);
        for (size_t k = 0; k < m; k++) {
            const float expected = (int) i == frozen ? s_own[i][k] : row[k];
            if (!(fabsf (s_mixed[i][k] - expected) <= 1e-6f))
                fail_msg ("%s of %u, step %u, replica %u of %zu floats: %g, not %g", rk_graph_name (graph), n, (unsigned) at->step,
                          i, m, (double) s_mixed[i][k], (double) expected);
        }
    }
    return true;
}

static unsigned s_try (const rk_graph_config_t *config)
{
    const size_t sizes[] = {1, 3, M_MOST};
    rk_graph_t *graph;
    unsigned n_hopping = 0;
    if (rk_graph_new (&graph, config, NULL) != RK_OK)
        return 0;
    for (uint32_t step = 0; step < 4; step++) {
        const rk_graph_time_t at = {.step = step, .pass = step};
        for (size_t s = 0; s < 3 && !rk_graph_is_exact_at (graph, &at); s++) {
            n_hopping += s_compare (graph, &at, sizes[s], -1);
            s_compare (graph, &at, sizes[s], (int) (config->n / 2));
        }
    }
    rk_graph_destroy (&graph);
    return n_hopping;
}

static void every_graph_is_mixed_within_rounding (void **state)
{
    (void) state;
    unsigned lattices = 0, groups = 0, others = 0;
    for (uint32_t n = 2; n <= N_MOST; n++) {
        for (const char *const *name = rk_graph_names (); *name; name++)
            others += s_try (&(rk_graph_config_t){.name = *name, .n = n});
        for (uint32_t k = 2; k < n; k += 3)
            lattices += s_try (&(rk_graph_config_t){.name = "lattice", .n = n, .degree = k});
        lattices += s_try (&(rk_graph_config_t){.name = "ada", .n = n, .k0 = n / 2 + 2, .gamma = 3});
        for (uint32_t g = 3; g <= 8; g++)
            groups += s_try (&(rk_graph_config_t){.name = "mixed-radix", .n = n, .group = g});
    }
    assert_true (lattices > 1000 && groups > 500 && others > 100);
}

/* What hops are made of is what traffic.h promises. */
static void hops_send_what_is_counted (void **state)
{
    (void) state;
    const rk_graph_config_t configs[] = {{.name = "ada", .n = 40, .k0 = 20}, {.name = "lattice", .n = 23, .degree = 12},
                                         {.name = "mixed-radix", .n = 36, .group = 6}, {.name = "two-level", .n = 24, .group = 6},
                                         {.name = "ring", .n = 12}};
    for (size_t c = 0; c < sizeof configs / sizeof *configs; c++) {
        rk_graph_t *graph;
        rk_graph_edge_t edges[HOPS_MOST];
        uint32_t members[HOPS_MOST], messages = 0;
        rk_hops_t hops;
        double models = 0;
        assert_int_equal (rk_graph_new (&graph, &configs[c], NULL), RK_OK);
        const rk_graph_time_t at = {0};
        const rk_traffic_t traffic = rk_traffic_of (graph, &at, 5, false, edges);
        rk_hops_at (&hops, graph, &at, 5, edges, members);
        assert_int_equal (hops.n_hops > 0, traffic.way != RK_WAY_DIRECT);
        assert_true (hops.n_hops <= rk_hops_most (graph));
        for (uint32_t h = 0; h < hops.n_hops; h++) {
            const rk_hop_t hop = rk_hops_get (&hops, members, h);
            assert_true (hop.op == RK_HOP_CLOSE || (hop.to != 5 && hop.from != 5));
            messages += hop.op != RK_HOP_CLOSE;
            models += hop.op != RK_HOP_CLOSE ? 1.0 / hops.n_pieces : 0;
        }
        assert_true (!hops.n_hops || (messages == traffic.messages && fabs (models - traffic.models) < 1e-12));
        rk_graph_destroy (&graph);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (every_graph_is_mixed_within_rounding),
        cmocka_unit_test (hops_send_what_is_counted),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
