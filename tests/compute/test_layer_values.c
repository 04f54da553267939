/* SPDX-License-Identifier: MPL-2.0
 * What layers compute, in words of their own: a gradient check would accept another function.        */
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

static void test_batchnorm_modes (void **state)
{
    rk_model_t *m = rk_check_head (2, 3, 5);
    rk_check_tail (m, rk_model_batchnorm2d (m, "bn", 1));
    rk_check_t *check = rk_check_new (m, 1, 2);
    const size_t plane = 15, channels = 2, at[4] = {0, 16, 32, 48};
    for (size_t c = 0; c < channels; c++) {
        check->flat[at[0] + c] = 1;
        check->flat[at[1] + c] = 0;
        check->flat[at[2] + c] = 0;
        check->flat[at[3] + c] = 1;
    }
    float *out[] = {check->out};
    rk_forward_t call = {.mode = RK_MODE_TRAIN, .n = RK_CHECK_BATCH, .flat = check->flat, .stats = check->flat, .out = out,
                         .in = (const float *const *) check->in};
    assert_int_equal (rk_slice_forward (check->slice, &call, NULL), RK_OK);
    rk_slice_release (check->slice, 0);
    for (size_t c = 0; c < channels; c++) {
        double x_sum = 0, x_squares = 0, y_sum = 0, y_squares = 0;
        const double count = (double) (RK_CHECK_BATCH * plane);
        for (size_t i = 0; i < RK_CHECK_BATCH * plane; i++) {
            const size_t e = i / plane * channels * plane + c * plane + i % plane;
            x_sum += (double) check->in[0][e];
            x_squares += (double) check->in[0][e] * (double) check->in[0][e];
            y_sum += (double) check->out[e];
            y_squares += (double) check->out[e] * (double) check->out[e];
        }
        const double mean = x_sum / count, variance = x_squares / count - mean * mean;
        assert_true (fabs (y_sum / count) < 1e-6);
        assert_true (fabs (y_squares / count - variance / (variance + 1e-5)) < 1e-5);
        assert_true (fabs ((double) check->flat[at[2] + c] - 0.1 * mean) < 1e-6);
        assert_true (fabs ((double) check->flat[at[3] + c] - (0.9 + 0.1 * variance * count / (count - 1))) < 1e-6);
    }
    call.mode = RK_MODE_EVAL;
    assert_int_equal (rk_slice_forward (check->slice, &call, NULL), RK_OK);
    const float expected = (check->in[0][4] - check->flat[at[2]]) / sqrtf (check->flat[at[3]] + 1e-5f);
    assert_true (fabsf (check->out[4] - expected) < 1e-5f);
    rk_check_destroy (check);
}

/* What pooling is, in its own words: the first largest of a window (not-a-number is larger than anything),
 * or the sum over the kernel's area.                                                                 */
static float s_pool_value (const float *x, size_t h, size_t w, const size_t pool[3], size_t i, size_t j, bool max)
{
    float best = 0, sum = 0;
    bool any = false;
    for (size_t r = i * pool[1]; r < i * pool[1] + pool[0]; r++)
        for (size_t c = j * pool[1]; c < j * pool[1] + pool[0]; c++) {
            if (r < pool[2] || c < pool[2] || r - pool[2] >= h || c - pool[2] >= w)
                continue;
            const float value = x[(r - pool[2]) * w + c - pool[2]];
            if (!any || value > best || isnan (value))
                best = value;
            sum += value;
            any = true;
        }
    return max ? best : sum / (float) (pool[0] * pool[0]);
}

static void test_pool_values (void **state)
{
    static const size_t cases[][5] = {{6, 8, 2, 2, 0},  {7, 5, 2, 2, 0},   {4, 32, 2, 2, 0}, {5, 67, 2, 2, 0},
                                      {28, 28, 2, 2, 0}, {7, 9, 3, 2, 1}, {5, 5, 3, 1, 1},  {9, 4, 2, 3, 1}};
    for (size_t k = 0; k < 2 * sizeof cases / sizeof *cases; k++) {
        const size_t *c = cases[k / 2], h = c[0], w = c[1];
        rk_model_t *m = rk_check_head (2, h, w);
        rk_check_tail (m, (k % 2 ? rk_model_maxpool2d : rk_model_avgpool2d) (m, "pool", 1, c[2], c[3], c[4]));
        rk_check_t *check = rk_check_new (m, 1, 2);
        /* Few different values, so that ties are common, and one that is no number. */
        for (size_t i = 0; i < check->in_len[0]; i++)
            check->in[0][i] = (float) ((i * 7919) % 5) - 2;
        if (k % 2)
            check->in[0][3 * w / 2] = NAN;
        rk_check_forward (check);
        const rk_shape_t y = rk_model_tensor_shape (m, 2);
        for (size_t p = 0; p < RK_CHECK_BATCH * 2; p++)
            for (size_t i = 0; i < y.dim[1]; i++)
                for (size_t j = 0; j < y.dim[2]; j++) {
                    const float expected = s_pool_value (check->in[0] + p * h * w, h, w, c + 2, i, j, k % 2);
                    const float got = check->out[(p * y.dim[1] + i) * y.dim[2] + j];
                    assert_true (isnan (expected) ? isnan (got) : fabsf (got - expected) < 1e-6f);
                }
        rk_check_destroy (check);
    }
}

/* Of equal values the first gets the gradient, as in PyTorch, whichever build runs. */
static void test_pool_ties (void **state)
{
    for (size_t first = 0; first < 4; first++) {
        rk_model_t *m = rk_check_head (2, 6, 40);
        rk_check_tail (m, rk_model_maxpool2d (m, "pool", 1, 2, 2, 0));
        rk_check_t *check = rk_check_new (m, 1, 2);
        for (size_t i = 0; i < check->in_len[0]; i++) {
            const size_t place = i / 40 % 2 * 2 + i % 2;
            check->in[0][i] = place < first ? 0 : 1;
        }
        rk_check_backward (check);
        for (size_t i = 0; i < check->in_len[0]; i++) {
            const size_t place = i / 40 % 2 * 2 + i % 2, out = i / 80 * 20 + i % 40 / 2;
            assert_true (check->gin[0][i] == (place == first ? check->c[out] : 0));
        }
        rk_check_destroy (check);
    }
}

static void test_dropout_rate (void **state)
{
    rk_model_t *m = rk_check_head (4, 31, 33);
    rk_check_tail (m, rk_model_dropout (m, "dropout", 1, 0.25f));
    rk_check_t *check = rk_check_new (m, 1, 2);
    rk_check_forward (check);
    rk_slice_release (check->slice, 0);
    size_t dropped = 0;
    for (size_t i = 0; i < check->out_len; i++) {
        dropped += check->out[i] == 0;
        assert_true (check->out[i] == 0 || fabsf (check->out[i] - check->in[0][i] / 0.75f) < 1e-4f * 100);
    }
    assert_true (fabs ((double) dropped / (double) check->out_len - 0.25) < 0.02);
    float *out[] = {check->out};
    const rk_forward_t call = {.mode = RK_MODE_EVAL, .n = RK_CHECK_BATCH, .flat = check->flat, .out = out,
                               .in = (const float *const *) check->in};
    assert_int_equal (rk_slice_forward (check->slice, &call, NULL), RK_OK);
    assert_memory_equal (check->out, check->in[0], check->out_len * sizeof (float));
    rk_check_destroy (check);
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) ? -1 : 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_batchnorm_modes),
        cmocka_unit_test (test_pool_values),
        cmocka_unit_test (test_pool_ties),
        cmocka_unit_test (test_dropout_rate),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
