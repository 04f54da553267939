/* SPDX-License-Identifier: MPL-2.0
 * Losses: gradients against central differences, values against double precision, what counts and what does not. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/blas.h"
#include "tests/support/layers.h"

#define STEP 0.01f
#define POSITIONS 5
#define CLASSES 7
#define ROWS (RK_CHECK_BATCH * POSITIONS)

static rk_check_t *s_positions (rk_cross_entropy_t how)
{
    rk_model_t *m = rk_model_new (rk_shape_1 (4));
    int t = rk_model_linear (m, "head", 0, POSITIONS * CLASSES, false);
    t = rk_model_reshape (m, "rows", t, (rk_shape_t) {2, {POSITIONS, CLASSES}});
    rk_model_cross_entropy (m, "loss", t, how);
    return rk_check_new (m, 2, 3);
}

/* The mean over the rows that count, by its definition. */
static double s_cross_entropy (const float *x, const int32_t *labels, rk_cross_entropy_t how)
{
    double sum = 0, n = 0;
    for (size_t r = 0; r < ROWS; r++, x += CLASSES) {
        double all = 0, loss = 0;
        for (size_t c = 0; c < CLASSES; c++)
            all += exp ((double) x[c]);
        for (size_t c = 0; c < CLASSES; c++) {
            const double target = (double) how.smoothing / CLASSES + ((int32_t) c == labels[r] ? 1 - (double) how.smoothing : 0);
            loss -= target * ((double) x[c] - log (all));
        }
        if (how.ignores && labels[r] == how.ignore)
            continue;
        sum += loss;
        n++;
    }
    return sum / n;
}

static const rk_cross_entropy_t s_hows[] = {{0}, {.smoothing = 0.1f}, {.ignores = true, .ignore = -100},
                                            {.smoothing = 0.3f, .ignores = true, .ignore = 2}};

static void test_cross_entropy_gradient (void **state)
{
    for (size_t i = 0; i < sizeof s_hows / sizeof *s_hows; i++) {
        rk_check_t *check = s_positions (s_hows[i]);
        rk_check_backward (check);
        assert_int_equal (rk_check_wrong (check, check->in[0], check->gin[0], check->in_len[0], STEP), 0);
        /* Mutation: the gradient of a row that is ignored is exactly nothing; one that counts is not. */
        const int32_t *labels = check->labels;
        for (size_t r = 0; r < ROWS; r++) {
            float size = 0;
            for (size_t c = 0; c < CLASSES; c++)
                size += fabsf (check->gin[0][r * CLASSES + c]);
            assert_int_equal (size == 0, s_hows[i].ignores && labels[r] == s_hows[i].ignore);
        }
        rk_check_destroy (check);
    }
}

static void test_cross_entropy_value (void **state)
{
    for (size_t i = 0; i < sizeof s_hows / sizeof *s_hows; i++) {
        rk_check_t *check = s_positions (s_hows[i]);
        for (int offset = 0; offset < 2; offset++) {
            for (size_t e = 0; e < check->in_len[0]; e++)
                check->in[0][e] += offset ? 64.0f : 0; /* exact, and softmax does not see it */
            const double got = rk_check_forward (check), want = s_cross_entropy (check->in[0], check->labels, s_hows[i]);
            rk_slice_release (check->slice, 0);
            assert_true (fabs (got - want) < 1e-5 * want);
            const double other = s_cross_entropy (check->in[0], check->labels, s_hows[(i + 1) % 4]);
            assert_true (fabs (got - other) > 1e-3 * other); /* no other setting would do */
        }
        rk_check_destroy (check);
    }
}

/* ---- what counts */

static rk_loss_t s_forward (rk_check_t *check, const void *labels, rk_err_t expected, rk_error_t *err)
{
    rk_loss_t loss = {-1, 99, 99};
    const rk_forward_t call = {.mode = RK_MODE_TRAIN, .f = 17, .n = RK_CHECK_BATCH, .flat = check->flat,
                               .in = (const float *const *) check->in, .labels = labels, .loss = &loss};
    assert_int_equal (rk_slice_forward (check->slice, &call, err), expected);
    return loss;
}

static void test_ignored_count_nothing (void **state)
{
    rk_check_t *check = s_positions ((rk_cross_entropy_t) {.ignores = true, .ignore = -1});
    int32_t labels[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        size_t best = 0;
        for (size_t c = 1; c < CLASSES; c++)
            best = check->in[0][r * CLASSES + c] > check->in[0][r * CLASSES + best] ? c : best;
        labels[r] = r % 2 ? (int32_t) best : r % 4 ? -1 : (int32_t) ((best + 1) % CLASSES);
    }
    rk_error_t err = {0};
    rk_loss_t loss = s_forward (check, labels, RK_OK, &err);
    assert_int_equal (loss.n_counted, ROWS - 4);
    assert_int_equal (loss.n_correct, ROWS / 2);
    rk_slice_release (check->slice, 0);
    for (size_t r = 0; r < ROWS; r++)
        labels[r] = -1;
    loss = s_forward (check, labels, RK_OK, &err);
    assert_true (loss.n_counted == 0 && loss.n_correct == 0 && loss.loss_sum == 0);
    assert_int_equal (rk_slice_backward_input (check->slice, 0, check->flat, NULL, check->gin, &err), RK_OK);
    for (size_t i = 0; i < check->in_len[0]; i++)
        assert_true (check->gin[0][i] == 0); /* and not 0 / 0 */
    rk_slice_release (check->slice, 0);
    labels[ROWS - 1] = CLASSES;
    s_forward (check, labels, RK_EINVAL, &err);
    assert_non_null (strstr (err.text, "minibatch 17: label 7 of sample 2 is not in 0..6"));
    labels[ROWS - 1] = -2;
    s_forward (check, labels, RK_EINVAL, &err);
    rk_check_destroy (check);
}

/* ---- targets */

static rk_check_t *s_targets (int (*loss) (rk_model_t *, const char *, int))
{
    rk_model_t *m = rk_model_new (rk_shape_1 (4));
    int t = rk_model_linear (m, "head", 0, 14, false);
    loss (m, "loss", rk_model_reshape (m, "rows", t, (rk_shape_t) {2, {2, 7}}));
    return rk_check_new (m, 2, 3);
}

static void test_targets (void **state)
{
    for (int bce = 0; bce < 2; bce++) {
        rk_check_t *check = s_targets (bce ? rk_model_bce : rk_model_mse);
        const float *targets = check->labels;
        double want = 0;
        uint64_t right = 0;
        check->in[0][5] = bce ? 90.0f : 5; /* beyond what e^x can hold squared */
        check->in[0][6] = bce ? -90.0f : 6;
        for (size_t i = 0; i < check->in_len[0]; i++) {
            const double x = (double) check->in[0][i], t = (double) targets[i];
            const double p = 1 / (1 + exp (-x)), q = 1 / (1 + exp (x));
            want += bce ? -t * log (p) - (1 - t) * log (q) : (x - t) * (x - t);
            right += bce && (p > 0.5) == (t > 0.5);
        }
        const double mean = want / (double) check->in_len[0];
        assert_true (fabs (rk_check_forward (check) - mean) < 1e-6 * mean);
        rk_slice_release (check->slice, 0);
        rk_error_t err = {0};
        rk_loss_t loss = s_forward (check, targets, RK_OK, &err);
        assert_int_equal (loss.n_counted, check->in_len[0]);
        assert_int_equal (loss.n_correct, right);
        assert_true (!bce || (right > 0 && right < check->in_len[0]));
        rk_slice_release (check->slice, 0);
        rk_check_destroy (check);
        check = s_targets (bce ? rk_model_bce : rk_model_mse);
        rk_check_backward (check);
        assert_int_equal (rk_check_wrong (check, check->in[0], check->gin[0], check->in_len[0], STEP), 0);
        check->gin[0][0] *= 1.1f; /* Mutation */
        assert_int_equal (rk_check_wrong (check, check->in[0], check->gin[0], check->in_len[0], STEP), 1);
        rk_check_destroy (check);
    }
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) ? -1 : 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_cross_entropy_gradient),
        cmocka_unit_test (test_cross_entropy_value),
        cmocka_unit_test (test_ignored_count_nothing),
        cmocka_unit_test (test_targets),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
