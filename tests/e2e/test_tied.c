/* SPDX-License-Identifier: MPL-2.0
 * A tensor that two stages share, GPT's embedding: with one minibatch in flight any cut is the plain loop bit for bit;
 * with more, the same bits on every transport; after averaging, the copy is the owner's mean.           */
#include "tests/support/rig.h"
#include "compute/arena.h"
#include "compute/blas.h"
#include "compute/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define TRAIN 58 /* the last minibatch of a pass is short */
#define TEST 19
#define LENGTH 12
#define TOKENS 23
#define CLIP 0.05 /* far below any norm here: every update is clipped */

static float s_x[(TRAIN + TEST) * LENGTH];
static int32_t s_next[(TRAIN + TEST) * LENGTH];
static rk_data_t *s_data;
static rk_model_t *s_gpt;

static int s_setup (void **state)
{
    rk_error_t err = {RK_OK, ""};
    for (size_t i = 0; i < (TRAIN + TEST) * LENGTH; i++) {
        uint32_t words[4];
        rk_rng_block (5, rk_rng_stream (RK_RNG_TEST, 3), i, words);
        s_x[i] = (float) (words[0] % 7 ? (uint32_t) (i * i) % TOKENS : words[1] % TOKENS);
        s_next[i] = i ? (int32_t) s_x[i - 1] : 0; /* the token before it: attention can tell */
    }
    const rk_labels_t labels = {.kind = RK_LABEL_CLASS, .n = LENGTH, .n_classes = TOKENS};
    const rk_data_split_t splits[2] = {{TRAIN, s_x, s_next}, {TEST, s_x + TRAIN * LENGTH, s_next + TRAIN * LENGTH}};
    return rk_blas_init ("auto", &err) || rk_data_from_memory (&s_data, rk_shape_1 (LENGTH), labels, splits, &err) ||
           rk_model_by_name (&s_gpt, "gpt-nano", rk_shape_1 (LENGTH), TOKENS, &err);
}

static int s_teardown (void **state)
{
    rk_model_destroy (&s_gpt);
    rk_data_close (&s_data);
    return 0;
}

static rig_config_t s_config (uint32_t n_clusters, const uint32_t *counts, uint32_t in_flight)
{
    rig_config_t config = {.model = s_gpt, .data = s_data, .n_clusters = n_clusters, .transport = "inproc", .evaluate = true};
    memcpy (config.counts, counts, n_clusters * sizeof *counts);
    rig_settings (&config.settings);
    config.settings.train_batch = 8;
    config.settings.run_passes = 3;
    config.settings.pipeline_in_flight = in_flight;
    return config;
}

/* The test split at these parameters, in one slice. */
static rk_loss_t s_evaluate (const float *flat)
{
    rk_error_t err = {RK_OK, ""};
    static float x[TEST * LENGTH];
    static int32_t labels[TEST * LENGTH];
    rk_slice_t *slice = NULL;
    const rk_slice_config_t config = {.model = s_gpt, .last = rk_model_n_layers (s_gpt), .batch = TEST, .n_contexts = 1};
    assert_int_equal (rk_slice_new (&slice, &config, &err), RK_OK);
    assert_int_equal (rk_data_batch (s_data, RK_SPLIT_TEST, 1, 0, 0, TEST, x, labels), TEST);
    const float *in[] = {x};
    rk_loss_t loss;
    const rk_forward_t call = {.mode = RK_MODE_EVAL, .n = TEST, .flat = flat, .in = in, .labels = labels, .loss = &loss};
    assert_int_equal (rk_slice_forward (slice, &call, &err), RK_OK);
    rk_slice_destroy (&slice);
    return loss;
}

/* Owner's and reader's values of the last mean are one: the pipeline evaluates as the whole model does. */
static void s_check_evaluation (const rig_result_t *result)
{
    const rk_loss_t whole = s_evaluate (result->mean[0]);
    assert_true (isfinite (whole.loss_sum) && whole.n_counted == TEST * LENGTH);
    assert_int_equal (result->evaluated.n_counted, whole.n_counted);
    assert_int_equal (result->evaluated.n_correct, whole.n_correct);
    assert_true (fabs (result->evaluated.loss_sum - whole.loss_sum) < 1e-9 * whole.loss_sum);
}

static bool s_equals_plain (uint32_t n_stages, const char *transport, const char *optimizer, uint32_t corrupt)
{
    rig_config_t config = s_config (1, &n_stages, 1);
    config.transport = transport;
    config.corrupt = corrupt;
    snprintf (config.settings.train_optimizer, sizeof config.settings.train_optimizer, "%s", optimizer);
    rig_result_t result;
    rig_run (&config, &result);
    float *plain = rig_plain (&config, result.minibatches);
    const bool equal = memcmp (plain, result.mean[0], result.plan->n_flat * sizeof *plain) == 0;
    if (!corrupt)
        s_check_evaluation (&result);
    free (plain);
    rig_clear (&result);
    return equal;
}

static void window_one_is_the_plain_loop (void **state)
{
    for (uint32_t n = 1; n <= 5; n++)
        assert_true (s_equals_plain (n, "inproc", "sgd", RK_CORRUPT_NONE));
    assert_true (s_equals_plain (3, "tcp", "adam", RK_CORRUPT_NONE));
    assert_true (s_equals_plain (3, "ipc", "sgd", RK_CORRUPT_NONE));
}

/* Every way of judging an update, whose norm counts the sum of both shares once and whose verdict both stages obey. */
static const struct {
    const char *what, *optimizer;
    double clip, loss_scale;
    uint32_t update_every;
    rk_nonfinite_t nonfinite;
} s_judged[] = {{"clipping", "sgd", CLIP, 1, 1, RK_NONFINITE_STOP},         {"clipping adam", "adam", CLIP, 1, 1, RK_NONFINITE_STOP},
                {"scaling", "sgd", 0, 1024, 1, RK_NONFINITE_STOP},          {"scaling as it goes", "adamw", CLIP, 0, 1, RK_NONFINITE_STOP},
                {"clipping sums of three", "sgd", CLIP, 1, 3, RK_NONFINITE_STOP}, {"skipping", "lamb", 0, 1, 1, RK_NONFINITE_SKIP}};

static rig_config_t s_judged_config (size_t i, uint32_t n_stages, uint32_t in_flight)
{
    rig_config_t config = s_config (1, &n_stages, in_flight);
    rk_settings_t *s = &config.settings;
    s->train_clip = s_judged[i].clip;
    s->train_loss_scale = s_judged[i].loss_scale;
    s->train_nonfinite = s_judged[i].nonfinite;
    s->pipeline_update_every = s_judged[i].update_every;
    snprintf (s->train_optimizer, sizeof s->train_optimizer, "%s", s_judged[i].optimizer);
    return config;
}

/* Parameters of a run and of the plain loop; whether they are the same. */
static bool s_runs_as (const rig_config_t *config, const rig_config_t *plain)
{
    rig_result_t result;
    rig_run (config, &result);
    float *expected = rig_plain (plain, result.minibatches);
    const bool equal = memcmp (expected, result.mean[0], result.plan->n_flat * sizeof *expected) == 0;
    free (expected);
    rig_clear (&result);
    return equal;
}

static void judged_updates_are_the_plain_loop (void **state)
{
    for (size_t i = 0; i < sizeof s_judged / sizeof *s_judged; i++) {
        rig_config_t config = s_judged_config (i, i % 2 ? 2 : 3, 1), unclipped = config;
        config.transport = i == 3 ? "tcp" : "inproc";
        unclipped.settings.train_clip = 0;
        if (!s_runs_as (&config, &config))
            fail_msg ("%s: not the plain loop", s_judged[i].what);
        if (s_judged[i].clip > 0 && s_runs_as (&config, &unclipped))
            fail_msg ("%s: nothing was clipped", s_judged[i].what);
    }
}

/* A share that is lost changes norm and step, a norm that is lost the verdict. */
static void a_wrong_verdict_is_seen (void **state)
{
    for (int corrupt = 0; corrupt < 2; corrupt++) {
        rig_config_t config = s_judged_config (0, 3, 1);
        config.corrupt = corrupt ? RK_CORRUPT_LOST_SHARE : RK_CORRUPT_LOST_NORM;
        assert_false (s_runs_as (&config, &config));
    }
}

static void a_lost_share_is_seen (void **state)
{
    assert_false (s_equals_plain (3, "inproc", "sgd", RK_CORRUPT_LOST_SHARE));
}

/* What a run leaves: parameters of cluster 0, and that all clusters agree. */
static float *s_drained (const rig_config_t *config)
{
    rig_result_t result;
    rig_run (config, &result);
    assert_int_equal (result.unequal_rounds, 0);
    assert_int_equal (result.complete_rounds, result.rounds);
    s_check_evaluation (&result);
    const size_t bytes = result.plan->n_flat * sizeof (float);
    float *flat = malloc (bytes);
    memcpy (flat, result.mean[0], bytes);
    rig_clear (&result);
    return flat;
}

static void more_in_flight_is_the_same_on_every_transport (void **state)
{
    static const struct {
        uint32_t n_clusters, counts[3], in_flight, update_every;
        double clip;
    } cases[] = {{1, {3}, 3, 1, 0}, {1, {4}, 2, 1, CLIP}, {1, {3}, 3, 3, CLIP}, {2, {3, 2}, 2, 1, 0}, {3, {2, 1, 3}, 3, 1, CLIP}};
    const size_t bytes = rk_model_slice_len (s_gpt, 0, rk_model_n_layers (s_gpt)) * sizeof (float);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig_config_t config = s_config (cases[i].n_clusters, cases[i].counts, cases[i].in_flight);
        config.settings.pipeline_update_every = cases[i].update_every;
        config.settings.train_clip = cases[i].clip;
        float *one = s_drained (&config);
        config.transport = "tcp";
        float *two = s_drained (&config);
        assert_memory_equal (one, two, bytes);
        free (one);
        free (two);
    }
}

static void overlapped_runs_agree_with_themselves (void **state)
{
    rig_config_t config = s_config (2, (const uint32_t[]) {3, 2}, 3);
    config.settings.average_mode = RK_AVERAGE_OVERLAPPED;
    config.settings.run_passes = 8;
    rig_result_t result;
    rig_run (&config, &result);
    assert_int_equal (result.unequal_rounds, 0);
    s_check_evaluation (&result);
    rig_clear (&result);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (window_one_is_the_plain_loop),
        cmocka_unit_test (a_lost_share_is_seen),
        cmocka_unit_test (judged_updates_are_the_plain_loop),
        cmocka_unit_test (a_wrong_verdict_is_seen),
        cmocka_unit_test (more_in_flight_is_the_same_on_every_transport),
        cmocka_unit_test (overlapped_runs_agree_with_themselves),
    };
    return cmocka_run_group_tests (tests, s_setup, s_teardown);
}
