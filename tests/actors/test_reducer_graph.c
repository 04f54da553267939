/* SPDX-License-Identifier: MPL-2.0
 * Mixing over graphs by real reducers with scripted stages, bit for bit what cluster/mix does on the stacked
 * values: any graph, any layout of stages, any transport; push-sum; merges; a neighbour that is frozen; bytes.
 * Faults must be seen.                                                                                     */
#include "tests/actors/reducer_net.h"

static void every_graph_mixes_as_the_rows_say (void **state)
{
    const char *const transports[] = {"inproc", "ipc", "tcp"};
    int i = 0;
    for (const char *const *name = rk_graph_names (); *name; name++, i++) {
        case_t c = {.graph = *name, .transport = transports[i % 3], .n = 8, .most_stages = 1, .n_layers = 4};
        if (s_rounds (&c, 5))
            fail_msg ("%s over %s", *name, c.transport);
    }
}

static void a_replica_may_be_a_pipeline (void **state)
{
    const char *const graphs[] = {"ring", "lattice", "one-peer-exponential", "directed", "matching"};
    const char *const transports[] = {"tcp", "inproc", "ipc"};
    for (size_t i = 0; i < 5; i++) {
        case_t c = {.graph = graphs[i], .transport = transports[i % 3], .n = 3 + (uint32_t) i, .most_stages = 3, .n_layers = 9,
                    .planes = i % 2 == 0};
        if (s_rounds (&c, 4))
            fail_msg ("%s over %s", c.graph, c.transport);
    }
}

static void replicas_are_merged_when_a_pass_ends (void **state)
{
    assert_int_equal (s_rounds (&(case_t){.graph = "ring", .transport = "inproc", .n = 5, .most_stages = 2, .n_layers = 6, .planes = true,
                                          .short_pass = true}, 4), 0);
}

static void faults_are_seen (void **state)
{
    const uint32_t faults[] = {RK_CORRUPT_WRONG_WEIGHT, RK_CORRUPT_DROPPED_PIECE, RK_CORRUPT_STALE_ROUND};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        assert_true (s_rounds (&(case_t){.graph = "ring", .transport = "inproc", .n = 4, .most_stages = 1, .n_layers = 3,
                                         .corrupt = faults[i]}, 2) > 0);
}

static void nobody_mixes_a_frozen_replica_in (void **state)
{
    net_t net;
    s_open (&net, &(case_t){.graph = "ring", .transport = "tcp", .n = 5, .most_stages = 2, .n_layers = 4});
    assert_int_equal (s_round (&net, 0), 0);
    net.frozen = 2;
    for (uint64_t round = 1; round < 4; round++)
        assert_int_equal (s_round (&net, round), 0);
    s_close (&net);
}

static void push_sum_keeps_the_mass (void **state)
{
    net_t net;
    s_open (&net, &(case_t){.graph = "directed", .transport = "inproc", .n = 6, .most_stages = 1, .n_layers = 2});
    assert_false (rk_graph_is_doubly_stochastic (net.graph));
    for (uint64_t round = 0; round < 6; round++) {
        assert_int_equal (s_round (&net, round), 0);
        double sum = 0, most = 0;
        for (uint32_t r = 0; r < 6; r++) {
            sum += net.weight[r];
            most = net.weight[r] > most ? net.weight[r] : most;
        }
        assert_true (fabs (sum - 6) < 1e-5);
        assert_true (most > 1.01); /* else the weights would not have been tested */
    }
    s_close (&net);
}

/* A replica counts by the samples it trained: without further steps all come to the mean weighted by the first round's,
 * and whatever was done later is in the masses by its share.                                                */
static void push_sum_weighs_samples (void **state)
{
    net_t net;
    s_open (&net, &(case_t){.graph = "directed", .transport = "tcp", .n = 5, .most_stages = 2, .n_layers = 4});
    net.samples = true;
    const size_t floats = net.plan->n_flat;
    double *expected = calloc (floats, sizeof *expected), mean[2] = {0};
    for (uint64_t round = 0; round < 5; round++) {
        s_make_values (&net, round);
        for (uint32_t r = 0; r < 5; r++)
            for (size_t k = 0; k < floats; k++)
                expected[k] += (double) s_share (&net, r, round) / 5 * (net.values[r][k] - (round ? net.last[r][k] : 0));
        assert_int_equal (s_round (&net, round), 0);
    }
    for (uint32_t r = 0; r < 5; r++)
        mean[0] += net.weight[r] / 5;
    assert_true (fabs (mean[0] - 1) < 1e-5);
    for (size_t k = 0; k < floats; k++) {
        mean[1] = 0;
        for (uint32_t r = 0; r < 5; r++)
            mean[1] += (double) net.mass[r][k] / 5;
        assert_true (fabs (mean[1] - expected[k]) < 1e-5);
    }
    free (expected);
    s_close (&net);
}

static void large_segments_travel_in_parts (void **state)
{
    assert_int_equal (s_rounds (&(case_t){.graph = "ring", .transport = "tcp", .n = 3, .most_stages = 2, .n_layers = 2, .large = true}, 2), 0);
}

/* What a round sends is the model to each neighbour and to the own stage, and headers: so nothing goes over a link that
 * Ada has dropped (ada.md §9.4, 7 and 12).                                                                  */
static void bytes_are_degree_times_model (void **state)
{
    enum { FLOATS_OF_MODEL = 4096, ROUNDS = 3, REPLICAS = 9, HEADER = 128 };
    const uint64_t model = FLOATS_OF_MODEL * sizeof (float);
    net_t net;
    s_open (&net, &(case_t){.graph = "ada", .transport = "tcp", .n = REPLICAS, .most_stages = 1, .n_layers = 2,
                            .n_floats = FLOATS_OF_MODEL, .rounds_of_pass = ROUNDS, .k0 = 6, .gamma = 2});
    assert_int_equal (net.plan->n_segments, 1);
    for (uint64_t pass = 0; pass < 4; pass++) {
        const uint64_t k = pass < 2 ? 6 - 2 * pass : 2;
        uint64_t before[REPLICAS];
        assert_int_equal (s_round (&net, pass * ROUNDS), 0);
        memcpy (before, net.bytes, sizeof before);
        assert_int_equal (s_round (&net, pass * ROUNDS + 1), 0);
        for (uint32_t r = 0; r < REPLICAS; r++) {
            const uint64_t sent = net.bytes[r] - before[r]; /* to k neighbours; the mean of the round before */
            assert_true (sent > (k + 1) * model && sent <= (k + 1) * (model + HEADER));
        }
        assert_int_equal (s_round (&net, pass * ROUNDS + 2), 0);
    }
    s_close (&net);
}

int main (void)
{
    setenv ("RK_LOG", "error", 1); /* these tests provoke warnings */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (every_graph_mixes_as_the_rows_say),
        cmocka_unit_test (a_replica_may_be_a_pipeline),
        cmocka_unit_test (replicas_are_merged_when_a_pass_ends),
        cmocka_unit_test (faults_are_seen),
        cmocka_unit_test (nobody_mixes_a_frozen_replica_in),
        cmocka_unit_test (push_sum_keeps_the_mass),
        cmocka_unit_test (push_sum_weighs_samples),
        cmocka_unit_test (large_segments_travel_in_parts),
        cmocka_unit_test (bytes_are_degree_times_model),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
