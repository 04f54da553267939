/* SPDX-License-Identifier: MPL-2.0
 * Updates that all stages agree on: clipping, loss scaling, accumulation and numbers that are none, bit for bit
 * against the plain loop and the simulation, each with something that must break it.                      */
#include "tests/support/rig.h"
#include "tests/support/simulation.h"
#include "compute/optim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define CLIP 0.05 /* far below any norm here: every update is clipped */

static rk_model_t *s_mlp, *s_residual;

static rig_config_t s_config (const rk_model_t *model, uint32_t n_stages)
{
    rig_config_t config = {.model = model, .data = rig_data (), .n_clusters = 1, .counts = {n_stages}, .transport = "inproc"};
    rig_settings (&config.settings);
    return config;
}

static rig_config_t s_window_one (const rk_model_t *model, uint32_t n_stages)
{
    rig_config_t config = s_config (model, n_stages);
    config.settings.pipeline_in_flight = 1;
    return config;
}

static bool s_same (const rig_config_t *config, float *expected)
{
    rig_result_t result;
    rig_run (config, &result);
    bool same = memcmp (expected, result.mean[0], result.plan->n_flat * sizeof *expected) == 0;
    free (expected);
    rig_clear (&result);
    return same;
}

static uint64_t s_minibatches (const rig_config_t *config)
{
    rk_plan_t *plan = rig_plan (config);
    uint64_t n = plan->minibatches_per_pass * plan->settings.run_passes;
    rk_plan_destroy (&plan);
    return n;
}

static bool s_equals_plain (const rig_config_t *config)
{
    return s_same (config, rig_plain (config, s_minibatches (config)));
}

static bool s_equals_simulation (const rig_config_t *config)
{
    rk_plan_t *plan = rig_plan (config);
    float *expected = rk_expected_model (plan, config->model, config->data);
    rk_plan_destroy (&plan);
    return s_same (config, expected);
}

/* ---- one minibatch in flight is the plain loop */

static void clipping_is_exact_at_window_one (void **state)
{
    for (uint32_t n = 1; n <= 6; n++) {
        rig_config_t config = s_window_one (n % 2 ? s_residual : s_mlp, n);
        config.settings.train_clip = CLIP;
        config.transport = n == 4 ? "tcp" : "inproc";
        assert_true (s_equals_plain (&config));
        rig_config_t unclipped = config;
        unclipped.settings.train_clip = 0;
        assert_false (s_same (&config, rig_plain (&unclipped, s_minibatches (&config)))); /* it clips */
    }
}

static void clipping_is_exact_with_every_optimizer (void **state)
{
    for (const char *const *name = rk_optim_names (); *name; name++) {
        rig_config_t config = s_window_one (s_residual, 4);
        snprintf (config.settings.train_optimizer, sizeof config.settings.train_optimizer, "%s", *name);
        config.settings.train_clip = CLIP;
        assert_true (s_equals_plain (&config));
    }
}

static void a_generous_clip_changes_nothing (void **state)
{
    rig_config_t config = s_window_one (s_mlp, 3), unclipped = config;
    config.settings.train_clip = 1e6;
    assert_true (s_same (&config, rig_plain (&unclipped, s_minibatches (&config))));
}

static void a_lost_norm_is_seen (void **state)
{
    rig_config_t config = s_window_one (s_mlp, 3);
    config.settings.train_clip = CLIP;
    config.corrupt = RK_CORRUPT_LOST_NORM;
    assert_false (s_equals_plain (&config));
}

/* ---- accumulation */

/* Rounds of 4: updates of 3 and 1 minibatches, or of 4; the last minibatch of the pass is smaller. */
static void accumulation_is_exact (void **state)
{
    for (uint32_t every = 2; every <= 5; every++)
        for (int clip = 0; clip < 2; clip++) {
            rig_config_t config = s_window_one (every % 2 ? s_residual : s_mlp, 3);
            config.settings.pipeline_update_every = every;
            config.settings.train_batch = 120; /* does not divide the data */
            config.settings.train_clip = clip ? CLIP : 0;
            assert_true (s_equals_plain (&config));
        }
}

static void accumulation_is_not_every_minibatch (void **state)
{
    rig_config_t config = s_window_one (s_mlp, 3), other = config;
    config.settings.pipeline_update_every = 2;
    assert_false (s_same (&config, rig_plain (&other, s_minibatches (&config))));
}

/* The mean of 2 minibatches of 64 is the mean of one of 128, up to rounding. */
static void accumulation_is_the_mean_over_samples (void **state)
{
    rig_config_t config = s_window_one (s_mlp, 2);
    config.settings.train_batch = 64;
    config.settings.pipeline_update_every = 2;
    config.settings.average_every = 8;
    rig_config_t large = config;
    large.settings.train_batch = 128;
    large.settings.pipeline_update_every = 1;
    large.settings.average_every = 4;
    float *a = rig_plain (&config, 8), *b = rig_plain (&large, 4);
    rk_plan_t *plan = rig_plan (&config);
    for (uint64_t i = 0; i < plan->n_flat; i++)
        assert_true (a[i] - b[i] < 1e-5f && b[i] - a[i] < 1e-5f);
    rk_plan_destroy (&plan);
    free (a);
    free (b);
}

/* ---- full pipelines against the simulation */

static void verdicts_take_their_turn (void **state)
{
    for (uint32_t n = 1; n <= 5; n++)
        for (uint32_t every = 1; every <= 3; every += 2) {
            rig_config_t config = s_config (n % 2 ? s_residual : s_mlp, n);
            config.settings.train_clip = CLIP;
            config.settings.pipeline_update_every = every;
            config.settings.average_every = 8;
            assert_true (s_equals_simulation (&config));
            config.corrupt = RK_CORRUPT_LOST_NORM;
            assert_true (n == 1 || !s_equals_simulation (&config));
        }
}

static void windows_and_clusters_are_exact (void **state)
{
    const uint32_t windows[] = {2, 3, 7};
    for (size_t i = 0; i < 3; i++) {
        rig_config_t config = s_config (s_mlp, 4);
        config.n_clusters = 2;
        config.counts[1] = 3;
        config.settings.pipeline_in_flight = windows[i];
        config.settings.average_every = 8;
        config.settings.train_clip = CLIP;
        config.transport = i ? "inproc" : "tcp";
        assert_true (s_equals_simulation (&config));
    }
}

/* Held gradients are as stale as the pipeline is long, wherever they are held. */
static void holding_is_counted_as_staleness (void **state)
{
    enum { STAGES = 4, EVERY = 8 };
    rig_config_t config = s_config (s_mlp, STAGES);
    config.settings.average_every = EVERY;
    config.settings.train_clip = CLIP;
    rig_result_t result;
    rig_run (&config, &result);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < EVERY; i++)
        sum += i < STAGES - 1 ? i : STAGES - 1;
    for (uint32_t s = 0; s < STAGES; s++) {
        assert_int_equal (result.reports[s].staleness_max, STAGES - 1);
        assert_int_equal (result.reports[s].staleness_n, result.minibatches);
        assert_int_equal (result.reports[s].staleness_sum, sum * result.rounds);
    }
    rig_clear (&result);
    config.settings.pipeline_in_flight = 1;
    rig_run (&config, &result);
    for (uint32_t s = 0; s < STAGES; s++)
        assert_int_equal (result.reports[s].staleness_sum, 0);
    rig_clear (&result);
}

/* Overlapped: no order is promised, but every minibatch comes through and every mean is the same everywhere. */
static void overlapped_runs_finish (void **state)
{
    for (uint32_t every = 1; every <= 3; every++) {
        rig_config_t config = s_config (s_residual, 4);
        config.n_clusters = 2;
        config.counts[1] = 2;
        config.settings.train_clip = 1;
        config.settings.train_lr = 0.01;
        config.settings.average_mode = RK_AVERAGE_OVERLAPPED;
        config.settings.pipeline_update_every = every;
        rig_result_t result;
        rig_run (&config, &result);
        assert_int_equal (result.unequal_rounds, 0);
        assert_int_equal (result.granted[0] + result.granted[1], result.minibatches);
        for (uint32_t s = 0; s < 4; s++) {
            assert_int_equal (result.reports[s].minibatches, result.granted[0]);
            assert_int_equal (result.reports[s].staleness_n, result.granted[0]);
            assert_int_equal (result.reports[s].dropped, 0);
        }
        rig_clear (&result);
    }
}

/* ---- loss scaling */

/* Powers of two change no bit of f32, so the scaled run is the unscaled one. */
static void loss_scaling_is_exact (void **state)
{
    const double scales[] = {1024, 0};
    for (size_t i = 0; i < 2; i++) {
        rig_config_t config = s_window_one (s_mlp, 3), plain = config;
        config.settings.train_loss_scale = scales[i];
        config.settings.train_loss_scale_every = 3; /* dynamic: grows while it runs */
        assert_true (s_equals_plain (&config));
        assert_true (s_same (&config, rig_plain (&plain, s_minibatches (&config))));
        config.settings.train_clip = plain.settings.train_clip = CLIP; /* of the norm without the scale */
        assert_true (s_same (&config, rig_plain (&plain, s_minibatches (&config))));
    }
}

/* The scale grows until halves on the wire overflow; then it is halved, at every stage alike. */
static void overflow_halves_the_scale (void **state)
{
    rig_config_t config = s_config (s_mlp, 4);
    config.settings.train_loss_scale = 0;
    config.settings.train_loss_scale_every = 1;
    config.settings.train_batch = 8; /* losses of few samples have large gradients */
    config.settings.average_every = 64;
    config.settings.pipeline_wire = RK_WIRE_F16;
    assert_true (s_equals_simulation (&config));
    rig_result_t result;
    rig_run (&config, &result);
    assert_true (result.reports[0].skipped > 0 && result.reports[0].skipped < result.minibatches / 2);
    for (uint32_t s = 1; s < 4; s++)
        assert_int_equal (result.reports[s].skipped, result.reports[0].skipped);
    rig_clear (&result);
}

/* ---- numbers that are none */

static void bad_data_is_skipped_everywhere (void **state)
{
    for (uint32_t n = 1; n <= 4; n += 3)
        for (uint32_t every = 1; every <= 2; every++) {
            rig_config_t config = s_window_one (s_residual, n); /* BatchNorm statistics stay finite too */
            config.settings.train_nonfinite = RK_NONFINITE_SKIP;
            config.settings.pipeline_update_every = every;
            config.corrupt = RK_CORRUPT_NAN_SAMPLE;
            rig_result_t result;
            rig_run (&config, &result);
            float *plain = rig_plain (&config, result.minibatches);
            assert_memory_equal (plain, result.mean[0], result.plan->n_flat * sizeof *plain);
            for (uint64_t i = 0; i < result.plan->n_flat; i++)
                assert_true (plain[i] - plain[i] == 0);
            for (uint32_t s = 0; s < n; s++)
                assert_int_equal (result.reports[s].skipped, result.minibatches / RK_CORRUPT_NAN_EVERY);
            const rk_report_t *last = &result.reports[n - 1];
            assert_true (last->loss_sum - last->loss_sum == 0);
            free (plain);
            rig_clear (&result);
        }
}

static void s_expect_failure (rig_config_t *config, const char *text)
{
    rig_result_t result;
    config->fails = true;
    rig_run (config, &result);
    if (!strstr (result.failure, text))
        fail_msg ("\"%s\" does not say \"%s\"", result.failure, text);
    rig_clear (&result);
}

static void bad_data_stops_the_run (void **state)
{
    for (uint32_t n = 1; n <= 5; n += 2)
        for (int clip = 0; clip < 2; clip++)
            for (int mode = RK_AVERAGE_OVERLAPPED; mode <= RK_AVERAGE_DRAINED; mode++) {
                rig_config_t config = s_config (s_mlp, n);
                config.corrupt = RK_CORRUPT_NAN_SAMPLE;
                config.settings.train_clip = clip ? CLIP : 0;
                config.settings.average_mode = (rk_average_mode_t) mode;
                s_expect_failure (&config, "minibatch 7 of pass 1: sample 0 of the data");
            }
}

/* A learning rate that throws the parameters out of the world: named where it is first seen. */
static void divergence_stops_the_run (void **state)
{
    for (uint32_t n = 1; n <= 4; n++) {
        rig_config_t config = s_config (s_mlp, n);
        config.settings.train_lr = 1000;
        config.settings.run_passes = 4;
        s_expect_failure (&config, "minibatch ");
        rig_result_t result;
        config.fails = true;
        rig_run (&config, &result);
        assert_true (strstr (result.failure, "layer fc") || strstr (result.failure, "layer out") || strstr (result.failure, "layer relu"));
        rig_clear (&result);
    }
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
        cmocka_unit_test (clipping_is_exact_at_window_one),
        cmocka_unit_test (clipping_is_exact_with_every_optimizer),
        cmocka_unit_test (a_generous_clip_changes_nothing),
        cmocka_unit_test (a_lost_norm_is_seen),
        cmocka_unit_test (accumulation_is_exact),
        cmocka_unit_test (accumulation_is_not_every_minibatch),
        cmocka_unit_test (accumulation_is_the_mean_over_samples),
        cmocka_unit_test (verdicts_take_their_turn),
        cmocka_unit_test (windows_and_clusters_are_exact),
        cmocka_unit_test (holding_is_counted_as_staleness),
        cmocka_unit_test (overlapped_runs_finish),
        cmocka_unit_test (loss_scaling_is_exact),
        cmocka_unit_test (overflow_halves_the_scale),
        cmocka_unit_test (bad_data_is_skipped_everywhere),
        cmocka_unit_test (bad_data_stops_the_run),
        cmocka_unit_test (divergence_stops_the_run),
    };
    return cmocka_run_group_tests (tests, s_open, s_close);
}
