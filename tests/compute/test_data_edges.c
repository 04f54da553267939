/* SPDX-License-Identifier: MPL-2.0
 * Data sets of no sample, of one, and of one more than a batch, up to the training of a model that normalises batches. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "compute/blas.h"
#include "compute/plain.h"
#include "compute/rng.h"

#define SIDE 8
#define MOST 5

static rk_data_t *s_data (size_t n_train, size_t n_test)
{
    static float x[MOST * SIDE * SIDE];
    static const int32_t labels[MOST] = {0, 2, 1, 0, 2};
    rk_error_t err = {0};
    rk_data_t *data;
    rk_rng_uniform (1, rk_rng_stream (RK_RNG_TEST, 77), 0, MOST * SIDE * SIDE, -1, 1, x);
    const rk_data_split_t split[2] = {{n_train, x, labels}, {n_test, x, labels}};
    if (rk_data_from_memory (&data, rk_shape_3 (1, SIDE, SIDE), (rk_labels_t) {.n = 1, .n_classes = 3}, split, &err))
        fail_msg ("%s", err.text);
    return data;
}

static rk_plain_t *s_loop (const char *model, const rk_data_t *data, size_t batch)
{
    rk_error_t err = {0};
    rk_plain_t *loop;
    const rk_plain_config_t config = {.model = model, .data = data, .batch = batch, .seed = 3, .optimizer = "sgd",
                                      .optim = {.momentum = 0.9f}, .lr = {.name = "constant", .base = 0.05f}};
    if (rk_plain_new (&loop, &config, &err))
        fail_msg ("%s", err.text);
    return loop;
}

static void test_batches_of_a_small_set (void **state)
{
    float x[8 * SIDE * SIDE];
    int32_t labels[8];
    for (size_t n = 0; n <= MOST; n++) {
        rk_data_t *data = s_data (n, n);
        for (size_t batch = 1; batch <= 8; batch++)
            for (int split = 0; split < 2; split++) {
                size_t seen = 0, got, index = 0;
                for (; (got = rk_data_batch (data, (rk_split_t) split, 1, 0, index, batch, x, labels)) > 0; index++) {
                    assert_int_equal (got, n - seen < batch ? n - seen : batch);
                    seen += got;
                }
                assert_int_equal (seen, n);
                assert_int_equal (index, (n + batch - 1) / batch);
            }
        assert_int_equal (rk_data_batch (data, RK_SPLIT_TRAIN, 1, 0, 0, 0, x, labels), 0); /* a batch of nothing */
        rk_data_close (&data);
    }
}

/* residual-tiny: planes of 4 x 4 at its end; ravnest-cnn: of one pixel, so one sample has no variance at all. */
static void test_training_on_one_sample (void **state)
{
    static const struct {
        const char *model;
        size_t n, batch;
    } cases[] = {{"residual-tiny", 1, 64}, {"residual-tiny", 1, 1}, {"residual-tiny", 3, 2}, {"ravnest-cnn", 1, 64},
                 {"ravnest-cnn", 5, 4}, {"mlp-tiny", 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rk_data_t *data = s_data (cases[i].n, 1);
        rk_plain_t *loop = s_loop (cases[i].model, data, cases[i].batch);
        rk_error_t err = {0};
        const uint64_t per_pass = rk_plain_per_pass (loop);
        assert_int_equal (per_pass, (cases[i].n + cases[i].batch - 1) / cases[i].batch);
        for (uint64_t f = 0; f < 3 * per_pass; f++) {
            rk_loss_t loss;
            if (rk_plain_step (loop, f, &loss, &err))
                fail_msg ("%s", err.text);
            const uint64_t left = cases[i].n - f % per_pass * cases[i].batch;
            assert_int_equal (loss.n_counted, left < cases[i].batch ? left : cases[i].batch);
            assert_true (isfinite (loss.loss_sum));
        }
        const rk_model_t *model = rk_plain_model (loop);
        for (size_t k = 0; k < rk_model_flat_at (model, rk_model_n_layers (model)); k++)
            if (!isfinite (rk_plain_flat (loop)[k]))
                fail_msg ("%s on %zu samples: parameter %zu is %g", cases[i].model, cases[i].n, k, (double) rk_plain_flat (loop)[k]);
        rk_plain_destroy (&loop);
        rk_data_close (&data);
    }
}

static void test_nothing_to_train_or_to_test_on (void **state)
{
    rk_error_t err = {0};
    rk_loss_t loss;
    rk_data_t *data = s_data (0, 2);
    rk_plain_t *loop = s_loop ("mlp-tiny", data, 4);
    assert_int_equal (rk_plain_step (loop, 0, &loss, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "no training samples"));
    assert_int_equal (rk_plain_evaluate (loop, RK_SPLIT_TEST, &loss, &err), RK_OK);
    assert_int_equal (loss.n_counted, 2);
    rk_plain_destroy (&loop);
    rk_data_close (&data);
    data = s_data (2, 0);
    loop = s_loop ("mlp-tiny", data, 4);
    assert_int_equal (rk_plain_evaluate (loop, RK_SPLIT_TEST, &loss, &err), RK_OK);
    assert_true (loss.n_counted == 0 && loss.loss_sum == 0);
    rk_plain_destroy (&loop);
    rk_data_close (&data);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_batches_of_a_small_set),
        cmocka_unit_test (test_training_on_one_sample),
        cmocka_unit_test (test_nothing_to_train_or_to_test_on),
    };
    return rk_blas_init ("auto", NULL) ? 1 : cmocka_run_group_tests (tests, NULL, NULL);
}
