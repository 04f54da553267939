/* SPDX-License-Identifier: MPL-2.0
 * Whole trainings over sparse graphs, stages and reducers as they are, bit for bit what rows of whole vectors
 * give in one thread; and what must hold between graphs.                                                   */
#include "tests/support/rig.h"
#include "tests/support/simulation.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static rk_model_t *s_mlp, *s_residual;

typedef struct {
    const rk_model_t *model;
    const char *graph, *transport;
    uint32_t n, counts[RIG_MOST_CLUSTERS], corrupt;
    uint64_t every, passes;
    bool optimizer_state, tracking;
    const char *shard;
    rk_momentum_t momentum;
    rk_average_order_t order;
    rk_exchange_way_t exchange;
} case_t;

static rig_config_t s_config (const case_t *c)
{
    rig_config_t config = {.model = c->model ? c->model : s_mlp, .data = rig_data (), .n_clusters = c->n,
                           .transport = c->transport ? c->transport : "inproc", .corrupt = c->corrupt};
    for (uint32_t i = 0; i < c->n; i++)
        config.counts[i] = c->counts[i] ? c->counts[i] : 1;
    rig_settings (&config.settings);
    rk_settings_t *s = &config.settings;
    s->train_batch = 64;
    s->average_weights = RK_WEIGHTS_EQUAL;
    s->average_every = c->every ? c->every : 2;
    s->run_passes = c->passes ? c->passes : 1;
    s->average_optimizer_state = c->optimizer_state;
    s->average_tracking = c->tracking;
    s->average_momentum = c->momentum;
    s->average_order = c->order;
    s->average_exchange = c->exchange;
    s->average_group = 4;
    s->average_mode = RK_AVERAGE_DRAINED;
    if (c->shard)
        snprintf (s->data_shard, sizeof s->data_shard, "%s", c->shard);
    if (c->tracking)
        s->train_momentum = 0;
    snprintf (s->average_graph, sizeof s->average_graph, "%s", c->graph);
    return config;
}

/* ---- against the simulation */

static bool s_equals_simulation (const case_t *c)
{
    rig_config_t config = s_config (c);
    rig_result_t result;
    rig_run (&config, &result);
    float *expected = rk_expected_model (result.plan, config.model, config.data);
    bool equal = memcmp (expected, result.mean[0], result.plan->n_flat * sizeof *expected) == 0;
    assert_int_equal (result.complete_rounds, result.rounds);
    assert_true (result.rounds >= 4 && result.unequal_rounds >= result.rounds / 2); /* replicas do differ between merges */
    free (expected);
    rig_clear (&result);
    return equal;
}

static void replicas_of_one_node_mix_exactly (void **state)
{
    assert_true (s_equals_simulation (&(case_t){.graph = "ring", .n = 4}));
    assert_true (s_equals_simulation (&(case_t){.graph = "ring", .n = 8, .every = 1, .transport = "tcp"}));
    assert_true (s_equals_simulation (&(case_t){.graph = "lattice", .n = 8, .every = 1}));
    assert_true (s_equals_simulation (&(case_t){.graph = "one-peer-exponential", .n = 4, .transport = "ipc"}));
    assert_true (s_equals_simulation (&(case_t){.graph = "matching", .n = 5, .every = 1}));
}

static void replicas_of_stages_mix_exactly (void **state)
{
    assert_true (s_equals_simulation (&(case_t){.graph = "ring", .n = 4, .counts = {2, 2, 2, 2}, .model = s_residual}));
    assert_true (s_equals_simulation (&(case_t){.graph = "one-peer-exponential", .n = 3, .counts = {2, 2, 2}, .transport = "tcp"}));
    assert_true (s_equals_simulation (&(case_t){.graph = "ring", .n = 5, .counts = {1, 3, 2, 4, 1}, .every = 1}));
}

static void momenta_and_tracking_are_exact (void **state)
{
    assert_true (s_equals_simulation (&(case_t){.graph = "ring", .n = 4, .counts = {2, 1, 1, 2}, .optimizer_state = true}));
    assert_true (s_equals_simulation (&(case_t){.graph = "ring", .n = 4, .counts = {2, 1, 1, 2}, .momentum = RK_MOMENTUM_QUASI_GLOBAL}));
    assert_true (s_equals_simulation (&(case_t){.graph = "ring", .n = 4, .counts = {2, 1, 1, 2}, .tracking = true, .passes = 2}));
}

static void shards_are_exact (void **state)
{
    assert_true (s_equals_simulation (&(case_t){.graph = "ring", .n = 4, .counts = {2, 1, 1, 2}, .shard = "fixed", .passes = 2}));
    assert_true (s_equals_simulation (&(case_t){.graph = "ring", .n = 5, .shard = "dirichlet", .transport = "tcp"}));
}

static void faults_are_seen (void **state)
{
    const uint32_t faults[] = {RK_CORRUPT_WRONG_WEIGHT, RK_CORRUPT_DROPPED_PIECE, RK_CORRUPT_STALE_ROUND};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        assert_false (s_equals_simulation (&(case_t){.graph = "ring", .n = 4, .counts = {2, 1, 1, 2}, .corrupt = faults[i]}));
}

/* ---- between graphs */

static float *s_model (const case_t *c, const char *graph, double k0, size_t *n)
{
    case_t of = *c;
    of.graph = graph;
    rig_config_t config = s_config (&of);
    if (k0 > 0) {
        config.settings.average_k0 = k0;
        config.settings.average_gamma = 0;
    }
    rig_result_t result;
    rig_run (&config, &result);
    *n = result.plan->n_flat;
    float *model = result.mean[0];
    result.mean[0] = NULL;
    rig_clear (&result);
    return model;
}

static void ada_with_two_links_is_the_ring (void **state)
{
    size_t n;
    case_t c = {.n = 6, .every = 1, .passes = 2};
    float *ring = s_model (&c, "ring", 0, &n), *ada = s_model (&c, "ada", 2, &n), *denser = s_model (&c, "ada", 4, &n);
    assert_memory_equal (ring, ada, n * sizeof *ring);
    assert_memory_not_equal (ring, denser, n * sizeof *ring);
    free (ring);
    free (ada);
    free (denser);
}

/* Windows and rings in groups: the same bits over any transport, and nearly those of hearing every neighbour. */
static void hops_give_the_same_bits_over_any_transport (void **state)
{
    const char *const graphs[] = {"ada", "mixed-radix"};
    for (int g = 0; g < 2; g++) {
        size_t n;
        case_t c = {.n = 8, .every = 1};
        float *direct = s_model (&c, graphs[g], 5, &n);
        c.exchange = RK_EXCHANGE_CHEAPEST;
        float *inproc = s_model (&c, graphs[g], 5, &n);
        c.transport = "tcp";
        float *tcp = s_model (&c, graphs[g], 5, &n);
        assert_memory_equal (inproc, tcp, n * sizeof *tcp);
        assert_memory_not_equal (inproc, direct, n * sizeof *tcp);
        for (size_t k = 0; k < n; k++)
            assert_true (fabsf (inproc[k] - direct[k]) < 1e-4f);
        free (direct);
        free (inproc);
        free (tcp);
    }
}

static void ada_with_all_links_is_complete (void **state)
{
    size_t n;
    case_t c = {.n = 6, .every = 1};
    float *complete = s_model (&c, "complete", 0, &n), *ada = s_model (&c, "ada", 5, &n);
    for (size_t i = 0; i < n; i++)
        assert_true (fabsf (complete[i] - ada[i]) <= 1e-6f * (1 + fabsf (complete[i])));
    free (complete);
    free (ada);
}

/* ---- overlapped */

static double s_accuracy (const case_t *c, rk_average_mode_t mode)
{
    rig_config_t config = s_config (c);
    config.evaluate = true;
    config.settings.average_mode = mode;
    config.settings.train_batch = 32;
    config.settings.train_lr = 0.003;
    snprintf (config.settings.train_optimizer, sizeof config.settings.train_optimizer, "adam");
    rig_result_t result;
    rig_run (&config, &result);
    double accuracy = (double) result.evaluated.n_correct / (double) result.evaluated.n_counted;
    rig_clear (&result);
    return accuracy;
}

static void overlapped_orders_train (void **state)
{
    case_t c = {.graph = "ring", .n = 4, .counts = {1, 2, 1, 1}, .every = 4, .passes = 6};
    double drained = s_accuracy (&c, RK_AVERAGE_DRAINED);
    c.order = RK_AVERAGE_ATC;
    double atc = s_accuracy (&c, RK_AVERAGE_OVERLAPPED);
    c.order = RK_AVERAGE_AWC;
    double awc = s_accuracy (&c, RK_AVERAGE_OVERLAPPED);
    if (drained < 0.5 || atc < 0.5 || awc < 0.5)
        fail_msg ("accuracy %.3f drained, %.3f overlapped, %.3f combining while adapting", drained, atc, awc);
}

static int s_open (void **state)
{
    s_mlp = rig_mlp (3);
    s_residual = rig_residual ();
    return 0;
}

static int s_close (void **state)
{
    rk_model_destroy (&s_mlp);
    rk_model_destroy (&s_residual);
    rig_data_close ();
    return 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (replicas_of_one_node_mix_exactly), cmocka_unit_test (replicas_of_stages_mix_exactly),
        cmocka_unit_test (momenta_and_tracking_are_exact),   cmocka_unit_test (shards_are_exact),                  cmocka_unit_test (faults_are_seen),
        cmocka_unit_test (ada_with_two_links_is_the_ring),   cmocka_unit_test (ada_with_all_links_is_complete),
        cmocka_unit_test (hops_give_the_same_bits_over_any_transport), cmocka_unit_test (overlapped_orders_train),
    };
    return cmocka_run_group_tests (tests, s_open, s_close);
}
