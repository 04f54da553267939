/* SPDX-License-Identifier: MPL-2.0
 * Labels that are more than one class per sample, from a data set through feeder, wire and stages to the loss. */
#include "tests/support/rig.h"
#include "compute/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define TRAIN 90 /* no multiple of the batch: the last minibatch of a pass is short */
#define TEST 21
#define ELEMS 6
#define POSITIONS 3
#define CLASSES 4

static float s_x[(TRAIN + TEST) * ELEMS];
static int32_t s_classes[(TRAIN + TEST) * POSITIONS];

static rk_data_t *s_data (rk_labels_t labels, const void *values)
{
    rk_error_t err = {RK_OK, ""};
    const char *test = (const char *) values + TRAIN * labels.n * RK_LABEL_BYTES;
    const rk_data_split_t splits[2] = {{TRAIN, s_x, values}, {TEST, s_x + TRAIN * ELEMS, test}};
    rk_data_t *data;
    assert_int_equal (rk_data_from_memory (&data, rk_shape_1 (ELEMS), labels, splits, &err), RK_OK);
    return data;
}

static int s_body (rk_model_t *m, size_t n_out)
{
    int t = rk_model_linear (m, "fc1", 0, 16, true);
    t = rk_model_relu (m, "relu1", t);
    t = rk_model_linear (m, "fc2", t, 16, true);
    t = rk_model_relu (m, "relu2", t);
    return rk_model_linear (m, "fc3", t, n_out, true);
}

/* Whether n stages with one minibatch in flight end with the plain loop's parameters; the evaluation if wanted. */
static bool s_equals_plain (const rk_model_t *model, const rk_data_t *data, uint32_t n_stages, uint32_t corrupt, rk_loss_t *loss)
{
    rig_config_t config = {.model = model, .data = data, .n_clusters = 1, .counts = {n_stages}, .transport = "inproc",
                           .corrupt = corrupt, .evaluate = true};
    rig_settings (&config.settings);
    config.settings.train_batch = 16;
    config.settings.run_passes = 12;
    config.settings.pipeline_in_flight = 1;
    rig_result_t result;
    rig_run (&config, &result);
    float *plain = rig_plain (&config, result.minibatches);
    bool equal = memcmp (plain, result.mean[0], result.plan->n_flat * sizeof *plain) == 0;
    if (loss)
        *loss = result.evaluated;
    free (plain);
    rig_clear (&result);
    return equal;
}

static void positions_have_labels_of_their_own (void **state)
{
    const rk_labels_t labels = {.kind = RK_LABEL_CLASS, .n = POSITIONS, .n_classes = CLASSES, .ignores = true, .ignore = -100};
    size_t n_counted = 0;
    for (size_t i = 0; i < (TRAIN + TEST) * POSITIONS; i++) {
        const float *x = s_x + i / POSITIONS * ELEMS;
        s_classes[i] = i % 7 == 3 ? -100 : (x[i % POSITIONS] > 0 ? 1 : 0) + (x[i % POSITIONS + 3] > 0 ? 2 : 0);
        n_counted += i >= TRAIN * POSITIONS && i % 7 != 3;
    }
    rk_data_t *data = s_data (labels, s_classes);
    rk_model_t *m = rk_model_new (rk_shape_1 (ELEMS));
    int t = rk_model_reshape (m, "rows", s_body (m, POSITIONS * CLASSES), (rk_shape_t){2, {POSITIONS, CLASSES}});
    rk_model_cross_entropy (m, "loss", t, (rk_cross_entropy_t){.smoothing = 0.1f, .ignores = true, .ignore = -100});
    assert_int_equal (rk_model_seal (m, NULL), RK_OK);
    assert_int_equal (rk_data_check_model (data, m, NULL), RK_OK);
    rk_loss_t loss;
    for (uint32_t n = 1; n <= 4; n++)
        assert_true (s_equals_plain (m, data, n, RK_CORRUPT_NONE, &loss));
    assert_int_equal (loss.n_counted, n_counted);
    assert_true (loss.n_correct * 2 > loss.n_counted); /* of four classes */
    assert_false (s_equals_plain (m, data, 2, RK_CORRUPT_SWAPPED_LABEL, NULL));
    rk_model_destroy (&m);
    rk_data_close (&data);
}

static void targets_are_floats (void **state)
{
    static float targets[(TRAIN + TEST) * 2];
    for (int bce = 0; bce < 2; bce++) {
        for (size_t i = 0; i < (TRAIN + TEST) * 2; i++) {
            const float sum = s_x[i / 2 * ELEMS + i % 2] + s_x[i / 2 * ELEMS + i % 2 + 2];
            targets[i] = bce ? (sum > 0 ? 1.0f : 0.0f) : sum;
        }
        const rk_labels_t labels = {.kind = RK_LABEL_TARGET, .n = 2, .low = bce ? 0 : -100, .high = bce ? 1 : 100};
        rk_data_t *data = s_data (labels, targets);
        rk_model_t *m = rk_model_new (rk_shape_1 (ELEMS));
        (bce ? rk_model_bce : rk_model_mse) (m, "loss", s_body (m, 2));
        assert_int_equal (rk_model_seal (m, NULL), RK_OK);
        assert_int_equal (rk_data_check_model (data, m, NULL), RK_OK);
        rk_loss_t loss;
        for (uint32_t n = 1; n <= 4; n++)
            assert_true (s_equals_plain (m, data, n, RK_CORRUPT_NONE, &loss));
        assert_int_equal (loss.n_counted, TEST * 2);
        assert_true (bce ? loss.n_correct * 4 > loss.n_counted * 3 : loss.loss_sum < 0.5 * (double) loss.n_counted); /* variance 2 */
        assert_false (s_equals_plain (m, data, 2, RK_CORRUPT_SWAPPED_LABEL, NULL));
        rk_model_destroy (&m);
        rk_data_close (&data);
    }
}

static int s_setup (void **state)
{
    rk_rng_normal (4, rk_rng_stream (RK_RNG_TEST, 1), 0, sizeof s_x / sizeof *s_x, 0, 1, s_x);
    return 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (positions_have_labels_of_their_own),
        cmocka_unit_test (targets_are_floats),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
