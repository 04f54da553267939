/* SPDX-License-Identifier: MPL-2.0
 * The promises of the pipeline and of averaging, bit for bit, each with a fault that must break it. */
#include "tests/support/rig.h"
#include "tests/support/simulation.h"
#include "cluster/schedule.h"
#include "compute/optim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static rk_model_t *s_mlp, *s_residual;

static rig_config_t s_config (const rk_model_t *model, uint32_t n_clusters, const uint32_t *counts, const char *transport)
{
    rig_config_t config = {.model = model, .data = rig_data (), .n_clusters = n_clusters, .transport = transport};
    memcpy (config.counts, counts, n_clusters * sizeof *counts);
    rig_settings (&config.settings);
    return config;
}

/* ---- one cluster against the plain loop */

/* Whether a cluster of n stages with one minibatch in flight ends with the plain loop's parameters. */
static bool s_equals_plain_with (const char *optimizer, const rk_model_t *model, uint32_t n_stages, const char *transport,
                                 uint32_t corrupt)
{
    rig_config_t config = s_config (model, 1, &n_stages, transport);
    config.settings.pipeline_in_flight = 1;
    config.corrupt = corrupt;
    snprintf (config.settings.train_optimizer, sizeof config.settings.train_optimizer, "%s", optimizer);
    rig_result_t result;
    rig_run (&config, &result);
    float *plain = rig_plain (&config, result.minibatches);
    bool equal = memcmp (plain, result.mean[0], result.plan->n_flat * sizeof *plain) == 0;
    free (plain);
    rig_clear (&result);
    return equal;
}

static bool s_equals_plain (const rk_model_t *model, uint32_t n_stages, const char *transport, uint32_t corrupt)
{
    return s_equals_plain_with ("sgd", model, n_stages, transport, corrupt);
}

static void one_stage_is_the_plain_loop (void **state)
{
    assert_true (s_equals_plain (s_mlp, 1, "inproc", RK_CORRUPT_NONE));
    assert_true (s_equals_plain (s_residual, 1, "inproc", RK_CORRUPT_NONE));
}

static void swapped_label_is_seen (void **state)
{
    assert_false (s_equals_plain (s_mlp, 1, "inproc", RK_CORRUPT_SWAPPED_LABEL));
}

static void stages_with_window_one_are_the_plain_loop (void **state)
{
    for (uint32_t n = 2; n <= 6; n++)
        assert_true (s_equals_plain (s_mlp, n, "inproc", RK_CORRUPT_NONE));
    assert_true (s_equals_plain (s_residual, 6, "inproc", RK_CORRUPT_NONE));
    assert_true (s_equals_plain (s_residual, 3, "tcp", RK_CORRUPT_NONE));
}

/* Norms of tensors do not depend on the cuts. */
static void every_optimizer_is_exact (void **state)
{
    for (const char *const *name = rk_optim_names (); *name; name++) {
        assert_true (s_equals_plain_with (*name, s_residual, 4, "inproc", RK_CORRUPT_NONE));
        assert_false (s_equals_plain_with (*name, s_mlp, 2, "inproc", RK_CORRUPT_SWAPPED_LABEL));
    }
}

/* ---- any drained plan against the simulation */

typedef struct {
    const rk_model_t *model;
    uint32_t n_clusters, counts[RIG_MOST_CLUSTERS];
    const uint64_t *rates;
    uint32_t in_flight, update_every, corrupt;
    rk_weights_t weights;
    rk_wire_dtype_t wire;
    rk_rings_t rings;
    rk_bn_t bn;
    bool optimizer_state, recompute;
    uint32_t recompute_stages; /* bits */
    const char *transport, *optimizer;
} drained_t;

static bool s_equals_simulation (const drained_t *d)
{
    rig_config_t config = s_config (d->model, d->n_clusters, d->counts, d->transport ? d->transport : "inproc");
    config.rates = d->rates;
    config.settings.pipeline_in_flight = d->in_flight;
    config.settings.pipeline_update_every = d->update_every ? d->update_every : 1;
    config.settings.average_weights = d->weights;
    config.settings.pipeline_wire = d->wire;
    config.settings.plan_rings = d->rings;
    config.settings.average_bn = d->bn;
    config.settings.average_optimizer_state = d->optimizer_state;
    config.settings.pipeline_recompute = d->recompute;
    config.recompute = d->recompute_stages;
    config.corrupt = d->corrupt;
    if (d->optimizer)
        snprintf (config.settings.train_optimizer, sizeof config.settings.train_optimizer, "%s", d->optimizer);
    rig_result_t result;
    rig_run (&config, &result);
    float *expected = rk_expected_model (result.plan, d->model, config.data);
    bool equal = memcmp (expected, result.mean[0], result.plan->n_flat * sizeof *expected) == 0 &&
                 (!result.unequal_rounds || d->bn == RK_BN_RECALIBRATE) && /* then statistics stay local */
                 result.complete_rounds == result.rounds;
    free (expected);
    rig_clear (&result);
    return equal;
}

static void gradients_are_taken_at_the_version_of_the_forward (void **state)
{
    assert_true (s_equals_simulation (&(drained_t){.model = s_mlp, .n_clusters = 1, .counts = {4}}));
    assert_true (s_equals_simulation (&(drained_t){.model = s_residual, .n_clusters = 1, .counts = {5}}));
    assert_true (s_equals_simulation (&(drained_t){.model = s_residual, .n_clusters = 1, .counts = {3}, .update_every = 3}));
}

static void stale_version_is_seen (void **state)
{
    assert_false (s_equals_simulation (
        &(drained_t){.model = s_mlp, .n_clusters = 1, .counts = {4}, .corrupt = RK_CORRUPT_STALE_VERSION}));
}

static void replicas_equal_the_mean_in_ring_order (void **state)
{
    const uint64_t rates[] = {3000000000, 1000000000, 2000000000, 500000000, 700000000};
    for (uint32_t rings = RK_RINGS_INTERSECT; rings <= RK_RINGS_LARGEST; rings++)
        for (uint32_t n = 2; n <= 5; n++)
            assert_true (s_equals_simulation (&(drained_t){.model = n % 2 ? s_residual : s_mlp, .n_clusters = n,
                                                           .counts = {2, 3, 1, 4, 2}, .rates = rates, .rings = (rk_rings_t) rings}));
    assert_true (s_equals_simulation (
        &(drained_t){.model = s_mlp, .n_clusters = 3, .counts = {2, 3, 1}, .weights = RK_WEIGHTS_EQUAL, .wire = RK_WIRE_F16}));
    assert_true (s_equals_simulation (
        &(drained_t){.model = s_residual, .n_clusters = 2, .counts = {3, 4}, .wire = RK_WIRE_F16, .transport = "tcp"}));
}

static void options_of_averaging_and_memory_are_exact (void **state)
{
    const drained_t plain = {.model = s_residual, .n_clusters = 2, .counts = {3, 2}};
    drained_t d = plain;
    d.optimizer_state = true;
    assert_true (s_equals_simulation (&d));
    for (const char *const *name = rk_optim_names (); *name; name++) { /* one state vector or two */
        d.optimizer = *name;
        assert_true (s_equals_simulation (&d));
    }
    d = plain;
    d.bn = RK_BN_RECALIBRATE;
    assert_true (s_equals_simulation (&d));
    d = plain;
    d.recompute = true;
    assert_true (s_equals_simulation (&d));
    d.recompute = false;
    for (uint32_t stages = 1; stages < 31; stages += 6) { /* some of the five, never all */
        d.recompute_stages = stages;
        assert_true (s_equals_simulation (&d));
    }
}

static void faults_of_averaging_are_seen (void **state)
{
    const drained_t right = {.model = s_mlp, .n_clusters = 3, .counts = {2, 3, 1}};
    const uint32_t faults[] = {RK_CORRUPT_DROPPED_PIECE, RK_CORRUPT_WRONG_WEIGHT, RK_CORRUPT_SWAPPED_LABEL};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        drained_t wrong = right;
        wrong.corrupt = faults[i];
        assert_false (s_equals_simulation (&wrong));
    }
}

/* ---- staleness */

static void drained_staleness_is_stages_behind (void **state)
{
    enum { STAGES = 4, EVERY = 8 };
    const uint32_t counts[] = {STAGES};
    rig_config_t config = s_config (s_mlp, 1, counts, "inproc");
    config.settings.average_every = EVERY;
    rig_result_t result;
    rig_run (&config, &result);
    assert_int_equal (result.minibatches % EVERY, 0);
    for (uint32_t s = 0; s < STAGES; s++) {
        const rk_report_t *report = &result.reports[s];
        uint64_t sum = 0;
        for (uint64_t i = 0; i < EVERY; i++) /* the pipeline fills again in every round */
            sum += i < STAGES - 1 - s ? i : STAGES - 1 - s;
        assert_int_equal (report->staleness_max, STAGES - 1 - s);
        assert_int_equal (report->staleness_n, result.minibatches);
        assert_int_equal (report->staleness_sum, sum * result.rounds);
        assert_int_equal (rk_schedule_staleness (s, STAGES, STAGES), STAGES - 1 - s);
    }
    rig_clear (&result);
}

/* ---- overlapped */

static void every_overlapped_mean_is_the_same_everywhere (void **state)
{
    const uint32_t counts[] = {1, 2, 3};
    rig_config_t config = s_config (s_residual, 3, counts, "inproc");
    config.settings.average_mode = RK_AVERAGE_OVERLAPPED;
    config.settings.train_lr = 0.005; /* 0.05 diverges in some orders of events, which would end the run */
    rig_result_t result;
    rig_run (&config, &result);
    assert_true (result.complete_rounds > result.rounds / 2);
    assert_int_equal (result.unequal_rounds, 0);
    uint64_t granted = 0;
    for (uint32_t c = 0; c < 3; c++) {
        uint64_t last = result.plan->clusters[c].first_stage + counts[c] - 1;
        assert_int_equal (result.reports[last].minibatches, result.granted[c]);
        granted += result.granted[c];
    }
    assert_int_equal (granted, result.minibatches);
    rig_clear (&result);
    config.corrupt = RK_CORRUPT_DROPPED_PIECE;
    rig_run (&config, &result);
    assert_true (result.unequal_rounds > 0);
    rig_clear (&result);
}

/* ---- chains, transports, repeats */

static void chains_of_any_length_train (void **state)
{
    const uint32_t lengths[] = {1, 2, 3, 4, 6, 12};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        rig_config_t config = s_config (s_mlp, 1, &lengths[i], i % 2 ? "ipc" : "inproc");
        snprintf (config.settings.train_optimizer, sizeof config.settings.train_optimizer, "adam");
        config.settings.train_lr = 0.003;
        config.settings.train_batch = 64;
        config.settings.average_every = 64;
        config.settings.run_passes = 6;
        config.evaluate = true;
        rig_result_t result;
        rig_run (&config, &result);
        assert_int_equal (result.evaluated.n_counted, result.plan->test_samples);
        if (result.evaluated.n_correct * 10 < result.evaluated.n_counted * 5)
            fail_msg ("%u stages: %llu of %llu right", lengths[i], (unsigned long long) result.evaluated.n_correct,
                      (unsigned long long) result.evaluated.n_counted);
        rig_clear (&result);
    }
}

static void transports_and_repeats_give_the_same_bits (void **state)
{
    const uint32_t counts[] = {2, 3};
    const char *const transports[] = {"inproc", "inproc", "ipc", "tcp"};
    float *first = NULL;
    for (size_t i = 0; i < sizeof transports / sizeof *transports; i++) {
        rig_config_t config = s_config (s_residual, 2, counts, transports[i]);
        rig_result_t result;
        rig_run (&config, &result);
        if (first)
            assert_memory_equal (first, result.mean[1], result.plan->n_flat * sizeof *first);
        else {
            first = result.mean[1];
            result.mean[1] = NULL;
        }
        rig_clear (&result);
    }
    free (first);
}

static void skip_tensors_with_least_credit_finish (void **state)
{
    const uint32_t counts[] = {6};
    const char *const transports[] = {"ipc", "tcp"};
    for (size_t i = 0; i < 2; i++)
        for (uint32_t window = 1; window <= 2; window++) {
            rig_config_t config = s_config (s_residual, 1, counts, transports[i]);
            config.settings.pipeline_in_flight = window;
            config.settings.average_mode = RK_AVERAGE_OVERLAPPED;
            config.settings.train_lr = 0.01; /* one step of staleness and momentum: 0.05 diverges */
            rig_result_t result;
            rig_run (&config, &result);
            assert_int_equal (result.reports[5].minibatches, result.minibatches);
            rig_clear (&result);
        }
}

static void predictions_agree_with_evaluation (void **state)
{
    const uint32_t counts[] = {3, 1};
    rig_config_t config = s_config (s_residual, 2, counts, "inproc");
    rig_result_t evaluated, predicted;
    config.evaluate = true;
    rig_run (&config, &evaluated);
    config.evaluate = false;
    config.predict = true;
    rig_run (&config, &predicted);
    assert_int_equal (predicted.predicted, predicted.plan->test_samples);
    assert_int_equal (predicted.predicted_correct, evaluated.evaluated.n_correct);
    rig_clear (&evaluated);
    rig_clear (&predicted);
}

static int s_open (void **state)
{
    s_mlp = rig_mlp (5);
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
        cmocka_unit_test (one_stage_is_the_plain_loop),
        cmocka_unit_test (swapped_label_is_seen),
        cmocka_unit_test (stages_with_window_one_are_the_plain_loop),
        cmocka_unit_test (every_optimizer_is_exact),
        cmocka_unit_test (gradients_are_taken_at_the_version_of_the_forward),
        cmocka_unit_test (stale_version_is_seen),
        cmocka_unit_test (replicas_equal_the_mean_in_ring_order),
        cmocka_unit_test (options_of_averaging_and_memory_are_exact),
        cmocka_unit_test (faults_of_averaging_are_seen),
        cmocka_unit_test (drained_staleness_is_stages_behind),
        cmocka_unit_test (every_overlapped_mean_is_the_same_everywhere),
        cmocka_unit_test (chains_of_any_length_train),
        cmocka_unit_test (transports_and_repeats_give_the_same_bits),
        cmocka_unit_test (skip_tensors_with_least_credit_finish),
        cmocka_unit_test (predictions_agree_with_evaluation),
    };
    return cmocka_run_group_tests (tests, s_open, s_close);
}
