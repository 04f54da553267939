/* SPDX-License-Identifier: MPL-2.0
 * Every layer against central differences at odd shapes, element by element: input gradients and parameter
 * gradients.                                                                                         */
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

#define LINEAR_STEP RK_CHECK_LINEAR_STEP
#define SMALL_STEP RK_CHECK_SMALL_STEP

static void test_linear (void **state)
{
    for (int bias = 0; bias < 2; bias++) {
        rk_model_t *m = rk_model_new (rk_shape_1 (4));
        int t = rk_model_linear (m, "head", 0, 7, false);
        t = rk_model_linear (m, "fc", t, 5, bias);
        rk_check_tail (m, t);
        rk_check_gradients (m, 1, 2, LINEAR_STEP);
    }
}

static void test_conv2d (void **state)
{
    static const size_t cases[][7] = {
        /* c_in, h, w; channels, kernel, stride, padding; with a bias in every other one */
        {1, 5, 7, 3, 3, 1, 1}, {3, 7, 5, 2, 3, 1, 1}, {2, 9, 8, 5, 3, 2, 1}, {2, 7, 7, 3, 1, 2, 0}, {3, 6, 5, 4, 1, 1, 0},
        {2, 3, 2, 2, 3, 1, 2}, {2, 5, 6, 3, 2, 1, 0}, {1, 4, 4, 2, 4, 1, 0}, {2, 6, 9, 17, 3, 2, 0}, {2, 8, 11, 3, 5, 3, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t *c = cases[i];
        const rk_conv2d_t conv = {.channels = c[3], .kernel = c[4], .stride = c[5], .padding = c[6], .bias = i % 2 == 0};
        rk_model_t *m = rk_check_head (c[0], c[1], c[2]);
        rk_check_tail (m, rk_model_conv2d (m, "conv", 1, conv));
        rk_check_gradients (m, 1, 2, LINEAR_STEP);
    }
}

/* In groups, depthwise with and without several outputs, dilated, oblong, and all at once. */
static void test_conv2d_grouped (void **state)
{
    static const struct {
        size_t c_in, h, w;
        rk_conv2d_t conv;
    } cases[] = {
        {4, 5, 7, {.channels = 6, .kernel = 3, .stride = 1, .padding = 1, .bias = true, .groups = 2}},
        {3, 6, 5, {.channels = 3, .kernel = 3, .stride = 2, .padding = 1, .groups = 3}},
        {3, 7, 7, {.channels = 6, .kernel = 3, .stride = 1, .padding = 2, .bias = true, .groups = 3, .dilation = 2}},
        {2, 9, 8, {.channels = 3, .kernel = 3, .stride = 2, .padding = 3, .bias = true, .dilation = 3}},
        {2, 5, 9, {.channels = 3, .kernel = 1, .stride = 1, .kernel_w = 7, .padding_w = 3}},
        {2, 9, 4, {.channels = 3, .kernel = 7, .stride = 1, .padding = 3, .bias = true, .kernel_w = 1}},
        {4, 9, 8, {.channels = 4, .kernel = 2, .stride = 3, .padding = 1, .bias = true, .groups = 2, .dilation = 2, .kernel_w = 4, .padding_w = 5}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rk_model_t *m = rk_check_head (cases[i].c_in, cases[i].h, cases[i].w);
        rk_check_tail (m, rk_model_conv2d (m, "conv", 1, cases[i].conv));
        rk_check_gradients (m, 1, 2, LINEAR_STEP);
    }
}

static void test_batchnorm2d (void **state)
{
    rk_model_t *m = rk_check_head (3, 5, 3);
    rk_check_tail (m, rk_model_batchnorm2d (m, "bn", 1));
    rk_check_gradients (m, 1, 2, SMALL_STEP);
}

static void test_relu (void **state)
{
    rk_model_t *m = rk_check_head (2, 5, 3);
    rk_check_tail (m, rk_model_relu (m, "relu", 1));
    rk_check_gradients (m, 1, 2, SMALL_STEP);
}

static void test_pools (void **state)
{
    static const struct {
        size_t h, w, kernel, stride, padding;
    } cases[] = {{6, 8, 2, 2, 0}, {7, 5, 2, 2, 0}, {7, 9, 3, 2, 1}, {5, 5, 3, 1, 1}, {8, 7, 3, 3, 0}, {5, 4, 2, 3, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int max = 0; max < 2; max++) {
            rk_model_t *m = rk_check_head (2, cases[i].h, cases[i].w);
            int (*pool) (rk_model_t *, const char *, int, size_t, size_t, size_t) =
                max ? rk_model_maxpool2d : rk_model_avgpool2d;
            rk_check_tail (m, pool (m, "pool", 1, cases[i].kernel, cases[i].stride, cases[i].padding));
            rk_check_gradients (m, 1, 2, max ? SMALL_STEP : LINEAR_STEP);
        }
    rk_model_t *m = rk_check_head (3, 5, 7);
    int t = rk_model_globalavgpool (m, "pool", 1);
    t = rk_model_linear (m, "tail", t, 3, false);
    rk_model_softmax_xent (m, "loss", t);
    rk_check_gradients (m, 1, 2, LINEAR_STEP);
}

static void test_add (void **state)
{
    rk_model_t *m = rk_check_head (2, 3, 5);
    int t = rk_model_relu (m, "relu", 1);
    rk_check_tail (m, rk_model_add (m, "add", t, 1)); /* two inputs */
    rk_check_gradients (m, 2, 3, LINEAR_STEP);
    m = rk_check_head (2, 3, 5);
    rk_check_tail (m, rk_model_add (m, "add", 1, 1)); /* the same input twice */
    rk_check_gradients (m, 1, 2, LINEAR_STEP);
}

static void test_shortcut (void **state)
{
    rk_model_t *m = rk_check_head (2, 7, 5);
    rk_check_tail (m, rk_model_shortcut (m, "shortcut", 1, 5, 2));
    rk_check_gradients (m, 1, 2, LINEAR_STEP);
}

static void test_dropout (void **state)
{
    rk_model_t *m = rk_check_head (3, 7, 5);
    rk_check_tail (m, rk_model_dropout (m, "dropout", 1, 0.4f));
    rk_check_gradients (m, 1, 2, LINEAR_STEP);
}

static void test_softmax_xent (void **state)
{
    rk_model_t *m = rk_model_new (rk_shape_1 (4));
    int t = rk_model_linear (m, "head", 0, 7, false);
    rk_model_softmax_xent (m, "loss", t);
    rk_check_gradients (m, 1, 2, SMALL_STEP);
}

/* Several readers of one tensor, layers in place, views: the sums of a whole graph. */
static void test_graph (void **state)
{
    rk_model_t *m = rk_check_head (2, 4, 5);
    int a = rk_model_conv2d (m, "conv1", 1, (rk_conv2d_t) {.channels = 2, .kernel = 3, .stride = 1, .padding = 1, .bias = true});
    int b = rk_model_dropout (m, "dropout", a, 0.3f);
    int c = rk_model_add (m, "add1", b, 1);
    int d = rk_model_avgpool2d (m, "pool", c, 3, 1, 1);
    int e = rk_model_add (m, "add2", d, c);
    int f = rk_model_add (m, "add3", e, 1);
    int g = rk_model_add (m, "add4", f, f);
    int h = rk_model_conv2d (m, "conv2", g, (rk_conv2d_t) {.channels = 3, .kernel = 2, .stride = 2, .padding = 0, .bias = true});
    rk_check_tail (m, h);
    rk_check_gradients (m, 1, 9, LINEAR_STEP / 8);
}

/* Mutation: a gradient that is 1 % off in one element must not pass. */
static void test_check_can_fail (void **state)
{
    rk_model_t *m = rk_model_new (rk_shape_1 (4));
    int t = rk_model_linear (m, "head", 0, 7, false);
    rk_check_tail (m, rk_model_linear (m, "fc", t, 5, true));
    rk_check_t *check = rk_check_new (m, 1, 2);
    rk_check_backward (check);
    assert_int_equal (rk_check_wrong (check, check->in[0], check->gin[0], check->in_len[0], LINEAR_STEP), 0);
    size_t largest = 0;
    for (size_t i = 0; i < check->in_len[0]; i++)
        largest = fabsf (check->gin[0][i]) > fabsf (check->gin[0][largest]) ? i : largest;
    check->gin[0][largest] *= 1.01f;
    assert_int_equal (rk_check_wrong (check, check->in[0], check->gin[0], check->in_len[0], LINEAR_STEP), 1);
    rk_check_destroy (check);
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) ? -1 : 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_linear),
        cmocka_unit_test (test_conv2d),
        cmocka_unit_test (test_conv2d_grouped),
        cmocka_unit_test (test_batchnorm2d),
        cmocka_unit_test (test_relu),
        cmocka_unit_test (test_pools),
        cmocka_unit_test (test_add),
        cmocka_unit_test (test_shortcut),
        cmocka_unit_test (test_dropout),
        cmocka_unit_test (test_softmax_xent),
        cmocka_unit_test (test_graph),
        cmocka_unit_test (test_check_can_fail),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
