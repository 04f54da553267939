/* SPDX-License-Identifier: MPL-2.0
 * Mixing hop by hop by real reducers (average.exchange = cheapest): the bits of cluster/hops.h, and fewer bytes. */
#include "tests/actors/reducer_net.h"

/* Windows and rings in groups: the bits of cluster/hops.h, whatever carries them. */
static void hops_mix_as_they_should (void **state)
{
    const case_t cases[] = {
        {.graph = "ada", .transport = "tcp", .n = 16, .most_stages = 1, .n_layers = 3, .rounds_of_pass = 2, .k0 = 12, .gamma = 4},
        {.graph = "lattice", .transport = "inproc", .n = 9, .most_stages = 3, .n_layers = 9, .degree = 6, .planes = true},
        {.graph = "mixed-radix", .transport = "ipc", .n = 12, .most_stages = 2, .n_layers = 5, .group = 4, .planes = true},
        {.graph = "mixed-radix", .transport = "tcp", .n = 6, .most_stages = 1, .n_layers = 2, .group = 3, .large = true},
        {.graph = "two-level", .transport = "tcp", .n = 8, .most_stages = 2, .n_layers = 4, .group = 4},
        {.graph = "lattice", .transport = "ipc", .n = 6, .most_stages = 1, .n_layers = 2, .degree = 4, .large = true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        net_t net;
        case_t c = cases[i];
        c.cheapest = true;
        s_open (&net, &c);
        const uint64_t rounds = c.large ? 2 : 4;
        for (uint64_t round = 0; round < rounds; round++) {
            net.frozen = round == 3 ? 1 : -1;
            if (s_round (&net, round))
                fail_msg ("%s over %s in round %u", c.graph, c.transport, (unsigned) round);
        }
        assert_true (net.n_hopped > 0);
        s_close (&net);
        c.corrupt = i % 2 ? RK_CORRUPT_WRONG_WEIGHT : RK_CORRUPT_DROPPED_PIECE;
        if (!c.large)
            assert_true (s_rounds (&c, 1) > 0);
    }
}

/* Ada of 12 connections over 16 replicas sends 5 models instead of 12; groups of 4 on rings 1.5 instead of 3. */
static void hops_send_less (void **state)
{
    enum { FLOATS_OF_MODEL = 4096, HEADER = 160 };
    const double model = FLOATS_OF_MODEL * sizeof (float), models[] = {5, 1.5};
    const uint32_t messages[] = {5, 6};
    for (int i = 0; i < 2; i++) {
        net_t net;
        uint64_t before[MOST];
        s_open (&net, &(case_t){.graph = i ? "mixed-radix" : "ada", .transport = "tcp", .n = 16, .most_stages = 1, .n_layers = 2,
                                .n_floats = FLOATS_OF_MODEL, .k0 = 12, .group = i ? 4 : 0, .cheapest = true});
        assert_int_equal (net.plan->n_segments, 1);
        assert_int_equal (s_round (&net, 0), 0);
        memcpy (before, net.bytes, sizeof before);
        assert_int_equal (s_round (&net, 1), 0);
        for (uint32_t r = 0; r < 16; r++) {
            const double sent = (double) (net.bytes[r] - before[r]) - model; /* the mean of the round before to the stage */
            assert_true (sent > models[i] * model && sent <= models[i] * model + (messages[i] + 1) * HEADER);
        }
        s_close (&net);
    }
}

int main (void)
{
    setenv ("RK_LOG", "error", 1); /* these tests provoke warnings */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (hops_mix_as_they_should),
        cmocka_unit_test (hops_send_less),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
