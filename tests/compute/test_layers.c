/* SPDX-License-Identifier: MPL-2.0
 * Every layer against central differences, at odd shapes: the input gradients element by element, the
 * parameter gradients element by element. The layer under test is a slice of its own; the scalar is
 * L = sum of c[i] y[i] in double precision with random c.                                            */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/arena.h"
#include "compute/blas.h"
#include "compute/rng.h"
#include "compute/slice.h"

#define BATCH 3
#define MAX_BOUNDARY_USED 2

typedef struct {
    rk_model_t *model;
    rk_slice_t *slice;
    int first, last; /* layers under test */
    int n_in;
    size_t in_len[MAX_BOUNDARY_USED], out_len, flat_len;
    float *in[MAX_BOUNDARY_USED], *gin[MAX_BOUNDARY_USED];
    float *out, *c, *flat, *grads;
    int32_t labels[BATCH];
    bool loss; /* the layer is the loss: L = loss_sum / n */
} s_check_t;

static float *s_floats (size_t n)
{
    float *x = rk_arena_memory (n * sizeof *x);
    assert_non_null (x);
    return x;
}

/* Different values at least 0.05 apart and none within 0.02 of zero, in random order: no difference of
 * 0.02 crosses a kink of relu or a tie of maxpool.                                                   */
static void s_spread (float *x, size_t n, uint64_t seed)
{
    const rk_permutation_t order = rk_rng_permutation (seed, 0, n);
    for (size_t i = 0; i < n; i++)
        x[i] = 0.05f * ((float) rk_permutation_at (&order, i) - (float) (n / 2) + 0.5f);
}

static s_check_t *s_new (rk_model_t *model, int first, int last)
{
    rk_error_t err = {0};
    s_check_t *self = calloc (1, sizeof *self);
    if (rk_model_seal (model, &err))
        fail_msg ("%s", err.text);
    self->model = model;
    self->first = first;
    self->last = last;
    const rk_slice_config_t config = {.model = model, .first = first, .last = last, .batch = BATCH, .n_contexts = 1,
                                      .seed = 5};
    if (rk_slice_new (&self->slice, &config, &err))
        fail_msg ("%s", err.text);
    rk_boundary_t boundary[RK_MAX_BOUNDARY];
    self->n_in = rk_model_boundary (model, first, first, boundary);
    assert_in_range (self->n_in, 1, MAX_BOUNDARY_USED);
    for (int i = 0; i < self->n_in; i++) {
        assert_true (boundary[i].needs_grad);
        self->in_len[i] = BATCH * boundary[i].elems;
        self->in[i] = s_floats (self->in_len[i]);
        self->gin[i] = s_floats (self->in_len[i]);
        s_spread (self->in[i], self->in_len[i], (uint64_t) i + 1);
    }
    self->loss = last == rk_model_n_layers (model);
    if (!self->loss) {
        assert_int_equal (rk_model_boundary (model, last, first, boundary), 1);
        self->out_len = BATCH * boundary[0].elems;
    }
    self->out = s_floats (self->out_len);
    self->c = s_floats (self->out_len);
    rk_rng_uniform (3, rk_rng_stream (RK_RNG_TEST, 8), 0, self->out_len, -1, 1, self->c);
    self->flat_len = rk_model_flat_at (model, last) - rk_model_flat_at (model, first);
    self->flat = s_floats (self->flat_len);
    self->grads = s_floats (self->flat_len);
    rk_rng_uniform (3, rk_rng_stream (RK_RNG_TEST, 9), 0, self->flat_len, -1, 1, self->flat);
    for (int i = 0; i < BATCH; i++)
        self->labels[i] = (int32_t) ((size_t) (2 * i + 1) % rk_model_n_classes (model));
    return self;
}

static void s_destroy (s_check_t *self)
{
    rk_slice_destroy (&self->slice);
    rk_model_destroy (&self->model);
    for (int i = 0; i < self->n_in; i++) {
        free (self->in[i]);
        free (self->gin[i]);
    }
    free (self->out);
    free (self->c);
    free (self->flat);
    free (self->grads);
    free (self);
}

static double s_forward (s_check_t *self)
{
    rk_error_t err = {0};
    rk_loss_t loss = {0};
    float *out[] = {self->out};
    const rk_forward_t call = {.mode = RK_MODE_TRAIN, .f = 17, .n = BATCH, .flat = self->flat, .out = out,
                               .in = (const float *const *) self->in, .labels = self->labels, .loss = &loss};
    if (rk_slice_forward (self->slice, &call, &err))
        fail_msg ("%s", err.text);
    if (self->loss)
        return loss.loss_sum / BATCH;
    double sum = 0;
    for (size_t i = 0; i < self->out_len; i++)
        sum += (double) self->c[i] * (double) self->out[i];
    return sum;
}

static void s_backward (s_check_t *self)
{
    rk_error_t err = {0};
    const float *gout[] = {self->c};
    memset (self->grads, 0, self->flat_len * sizeof (float));
    s_forward (self);
    if (rk_slice_backward_input (self->slice, 0, self->flat, gout, self->gin, &err) ||
        rk_slice_backward_params (self->slice, 0, self->flat, self->grads, &err))
        fail_msg ("%s", err.text);
    rk_slice_release (self->slice, 0);
}

static double s_central (s_check_t *self, float *at, float step)
{
    const float kept = *at;
    *at = kept + step;
    const double above = s_forward (self), x_above = (double) *at;
    rk_slice_release (self->slice, 0);
    *at = kept - step;
    const double below = s_forward (self), x_below = (double) *at;
    rk_slice_release (self->slice, 0);
    *at = kept;
    return (above - below) / (x_above - x_below);
}

/* Number of elements (at most every one of n) whose gradient is not the difference quotient. */
static int s_wrong (s_check_t *self, float *values, const float *grads, size_t n, float step)
{
    double scale = 0;
    int wrong = 0;
    for (size_t i = 0; i < n; i++)
        scale = fmax (scale, fabs ((double) grads[i]));
    for (size_t i = 0; i < n; i++) {
        const double expected = s_central (self, &values[i], step);
        if (!(fabs (expected - (double) grads[i]) <= 2e-3 * scale + 2e-4)) {
            wrong++;
            if (wrong < 4)
                fprintf (stderr, "element %zu: %g, difference quotient %g\n", i, (double) grads[i], expected);
        }
    }
    return wrong;
}

static int s_all_wrong (s_check_t *self, float step)
{
    int wrong = 0;
    s_backward (self);
    for (int i = 0; i < self->n_in; i++)
        wrong += s_wrong (self, self->in[i], self->gin[i], self->in_len[i], step);
    const size_t base = rk_model_flat_at (self->model, self->first);
    for (size_t p = 0; p < rk_model_n_tensors (self->model); p++) {
        const rk_param_t *param = rk_model_param (self->model, p);
        if (param->layer >= self->first && param->layer < self->last && param->trainable) {
            const size_t at = param->offset - base;
            wrong += s_wrong (self, self->flat + at, self->grads + at, param->count, step);
        }
    }
    return wrong;
}

static void s_run (rk_model_t *model, int first, int last, float step)
{
    s_check_t *check = s_new (model, first, last);
    assert_int_equal (s_all_wrong (check, step), 0);
    s_destroy (check);
}

/* A model whose tensor 1 needs a gradient and has this shape; layer 0 is not under test. */
static rk_model_t *s_head (size_t channels, size_t height, size_t width)
{
    rk_model_t *m = rk_model_new (rk_shape_3 (1, height, width));
    assert_int_equal (rk_model_conv2d (m, "head", 0, (rk_conv2d_t) {channels, 1, 1, 0, false}), 1);
    return m;
}

static void s_tail (rk_model_t *m, int t)
{
    t = rk_model_flatten (m, "tail.flatten", t);
    t = rk_model_linear (m, "tail", t, 3, false);
    rk_model_softmax_xent (m, "loss", t);
}

#define LINEAR_STEP 0.25f /* where L is linear in everything, a long step costs nothing */
#define SMALL_STEP 0.01f

static void test_linear (void **state)
{
    for (int bias = 0; bias < 2; bias++) {
        rk_model_t *m = rk_model_new (rk_shape_1 (4));
        int t = rk_model_linear (m, "head", 0, 7, false);
        t = rk_model_linear (m, "fc", t, 5, bias);
        s_tail (m, t);
        s_run (m, 1, 2, LINEAR_STEP);
    }
}

static void test_conv2d (void **state)
{
    static const struct {
        size_t c_in, h, w;
        rk_conv2d_t conv;
    } cases[] = {
        {1, 5, 7, {3, 3, 1, 1, true}},  {3, 7, 5, {2, 3, 1, 1, false}}, {2, 9, 8, {5, 3, 2, 1, true}},
        {3, 6, 5, {4, 1, 1, 0, true}},  {2, 7, 7, {3, 1, 2, 0, false}}, {2, 8, 11, {3, 5, 3, 2, true}},
        {2, 5, 6, {3, 2, 1, 0, true}},  {1, 4, 4, {2, 4, 1, 0, true}},  {2, 6, 9, {17, 3, 2, 0, true}},
        {2, 3, 2, {2, 3, 1, 2, false}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rk_model_t *m = s_head (cases[i].c_in, cases[i].h, cases[i].w);
        s_tail (m, rk_model_conv2d (m, "conv", 1, cases[i].conv));
        s_run (m, 1, 2, LINEAR_STEP);
    }
}

static void test_batchnorm2d (void **state)
{
    rk_model_t *m = s_head (3, 5, 3);
    s_tail (m, rk_model_batchnorm2d (m, "bn", 1));
    s_run (m, 1, 2, SMALL_STEP);
}

static void test_relu (void **state)
{
    rk_model_t *m = s_head (2, 5, 3);
    s_tail (m, rk_model_relu (m, "relu", 1));
    s_run (m, 1, 2, SMALL_STEP);
}

static void test_pools (void **state)
{
    static const struct {
        size_t h, w, kernel, stride, padding;
    } cases[] = {{6, 8, 2, 2, 0}, {7, 5, 2, 2, 0}, {7, 9, 3, 2, 1}, {5, 5, 3, 1, 1}, {8, 7, 3, 3, 0}, {5, 4, 2, 3, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int max = 0; max < 2; max++) {
            rk_model_t *m = s_head (2, cases[i].h, cases[i].w);
            int (*pool) (rk_model_t *, const char *, int, size_t, size_t, size_t) =
                max ? rk_model_maxpool2d : rk_model_avgpool2d;
            s_tail (m, pool (m, "pool", 1, cases[i].kernel, cases[i].stride, cases[i].padding));
            s_run (m, 1, 2, max ? SMALL_STEP : LINEAR_STEP);
        }
    rk_model_t *m = s_head (3, 5, 7);
    int t = rk_model_globalavgpool (m, "pool", 1);
    t = rk_model_linear (m, "tail", t, 3, false);
    rk_model_softmax_xent (m, "loss", t);
    s_run (m, 1, 2, LINEAR_STEP);
}

static void test_add (void **state)
{
    rk_model_t *m = s_head (2, 3, 5);
    int t = rk_model_relu (m, "relu", 1);
    s_tail (m, rk_model_add (m, "add", t, 1)); /* two inputs */
    s_run (m, 2, 3, LINEAR_STEP);
    m = s_head (2, 3, 5);
    s_tail (m, rk_model_add (m, "add", 1, 1)); /* the same input twice */
    s_run (m, 1, 2, LINEAR_STEP);
}

static void test_shortcut (void **state)
{
    rk_model_t *m = s_head (2, 7, 5);
    s_tail (m, rk_model_shortcut (m, "shortcut", 1, 5, 2));
    s_run (m, 1, 2, LINEAR_STEP);
}

static void test_dropout (void **state)
{
    rk_model_t *m = s_head (3, 7, 5);
    s_tail (m, rk_model_dropout (m, "dropout", 1, 0.4f));
    s_run (m, 1, 2, LINEAR_STEP);
}

static void test_softmax_xent (void **state)
{
    rk_model_t *m = rk_model_new (rk_shape_1 (4));
    int t = rk_model_linear (m, "head", 0, 7, false);
    rk_model_softmax_xent (m, "loss", t);
    s_run (m, 1, 2, SMALL_STEP);
}

/* Several readers of one tensor, layers in place, views: the sums of a whole graph. */
static void test_graph (void **state)
{
    rk_model_t *m = s_head (2, 4, 5);
    int a = rk_model_conv2d (m, "conv1", 1, (rk_conv2d_t) {2, 3, 1, 1, true});
    int b = rk_model_dropout (m, "dropout", a, 0.3f);
    int c = rk_model_add (m, "add1", b, 1);
    int d = rk_model_avgpool2d (m, "pool", c, 3, 1, 1);
    int e = rk_model_add (m, "add2", d, c);
    int f = rk_model_add (m, "add3", e, 1);
    int g = rk_model_add (m, "add4", f, f);
    int h = rk_model_conv2d (m, "conv2", g, (rk_conv2d_t) {3, 2, 2, 0, true});
    s_tail (m, h);
    s_run (m, 1, 9, LINEAR_STEP / 8);
}

/* Mutation: a gradient that is 1 % off in one element must not pass. */
static void test_check_can_fail (void **state)
{
    rk_model_t *m = rk_model_new (rk_shape_1 (4));
    int t = rk_model_linear (m, "head", 0, 7, false);
    s_tail (m, rk_model_linear (m, "fc", t, 5, true));
    s_check_t *check = s_new (m, 1, 2);
    s_backward (check);
    assert_int_equal (s_wrong (check, check->in[0], check->gin[0], check->in_len[0], LINEAR_STEP), 0);
    size_t largest = 0;
    for (size_t i = 0; i < check->in_len[0]; i++)
        largest = fabsf (check->gin[0][i]) > fabsf (check->gin[0][largest]) ? i : largest;
    check->gin[0][largest] *= 1.01f;
    assert_int_equal (s_wrong (check, check->in[0], check->gin[0], check->in_len[0], LINEAR_STEP), 1);
    s_destroy (check);
}

/* ---- values that are not a matter of gradients */

static void test_batchnorm_modes (void **state)
{
    rk_model_t *m = s_head (2, 3, 5);
    s_tail (m, rk_model_batchnorm2d (m, "bn", 1));
    s_check_t *check = s_new (m, 1, 2);
    const size_t plane = 15, channels = 2, at[4] = {0, 16, 32, 48};
    for (size_t c = 0; c < channels; c++) {
        check->flat[at[0] + c] = 1;
        check->flat[at[1] + c] = 0;
        check->flat[at[2] + c] = 0;
        check->flat[at[3] + c] = 1;
    }
    float *out[] = {check->out};
    rk_forward_t call = {.mode = RK_MODE_TRAIN, .n = BATCH, .flat = check->flat, .stats = check->flat, .out = out,
                         .in = (const float *const *) check->in};
    assert_int_equal (rk_slice_forward (check->slice, &call, NULL), RK_OK);
    rk_slice_release (check->slice, 0);
    for (size_t c = 0; c < channels; c++) {
        double x_sum = 0, x_squares = 0, y_sum = 0, y_squares = 0;
        const double count = (double) (BATCH * plane);
        for (size_t i = 0; i < BATCH * plane; i++) {
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
    s_destroy (check);
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
        rk_model_t *m = s_head (2, h, w);
        s_tail (m, (k % 2 ? rk_model_maxpool2d : rk_model_avgpool2d) (m, "pool", 1, c[2], c[3], c[4]));
        s_check_t *check = s_new (m, 1, 2);
        /* Few different values, so that ties are common, and one that is no number. */
        for (size_t i = 0; i < check->in_len[0]; i++)
            check->in[0][i] = (float) ((i * 7919) % 5) - 2;
        if (k % 2)
            check->in[0][3 * w / 2] = NAN;
        s_forward (check);
        const rk_shape_t y = rk_model_tensor_shape (m, 2);
        for (size_t p = 0; p < BATCH * 2; p++)
            for (size_t i = 0; i < y.dim[1]; i++)
                for (size_t j = 0; j < y.dim[2]; j++) {
                    const float expected = s_pool_value (check->in[0] + p * h * w, h, w, c + 2, i, j, k % 2);
                    const float got = check->out[(p * y.dim[1] + i) * y.dim[2] + j];
                    assert_true (isnan (expected) ? isnan (got) : fabsf (got - expected) < 1e-6f);
                }
        s_destroy (check);
    }
}

/* Of equal values the first gets the gradient, as in PyTorch, whichever build runs. */
static void test_pool_ties (void **state)
{
    for (size_t first = 0; first < 4; first++) {
        rk_model_t *m = s_head (2, 6, 40);
        s_tail (m, rk_model_maxpool2d (m, "pool", 1, 2, 2, 0));
        s_check_t *check = s_new (m, 1, 2);
        for (size_t i = 0; i < check->in_len[0]; i++) {
            const size_t place = i / 40 % 2 * 2 + i % 2;
            check->in[0][i] = place < first ? 0 : 1;
        }
        s_backward (check);
        for (size_t i = 0; i < check->in_len[0]; i++) {
            const size_t place = i / 40 % 2 * 2 + i % 2, out = i / 80 * 20 + i % 40 / 2;
            assert_true (check->gin[0][i] == (place == first ? check->c[out] : 0));
        }
        s_destroy (check);
    }
}

static void test_dropout_rate (void **state)
{
    rk_model_t *m = s_head (4, 31, 33);
    s_tail (m, rk_model_dropout (m, "dropout", 1, 0.25f));
    s_check_t *check = s_new (m, 1, 2);
    s_forward (check);
    rk_slice_release (check->slice, 0);
    size_t dropped = 0;
    for (size_t i = 0; i < check->out_len; i++) {
        dropped += check->out[i] == 0;
        assert_true (check->out[i] == 0 || fabsf (check->out[i] - check->in[0][i] / 0.75f) < 1e-4f * 100);
    }
    assert_true (fabs ((double) dropped / (double) check->out_len - 0.25) < 0.02);
    float *out[] = {check->out};
    const rk_forward_t call = {.mode = RK_MODE_EVAL, .n = BATCH, .flat = check->flat, .out = out,
                               .in = (const float *const *) check->in};
    assert_int_equal (rk_slice_forward (check->slice, &call, NULL), RK_OK);
    assert_memory_equal (check->out, check->in[0], check->out_len * sizeof (float));
    s_destroy (check);
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) ? -1 : 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_linear),        cmocka_unit_test (test_conv2d),
        cmocka_unit_test (test_batchnorm2d),   cmocka_unit_test (test_relu),
        cmocka_unit_test (test_pools),         cmocka_unit_test (test_add),
        cmocka_unit_test (test_shortcut),      cmocka_unit_test (test_dropout),
        cmocka_unit_test (test_softmax_xent),  cmocka_unit_test (test_graph),
        cmocka_unit_test (test_check_can_fail), cmocka_unit_test (test_batchnorm_modes),
        cmocka_unit_test (test_dropout_rate),  cmocka_unit_test (test_pool_values),
        cmocka_unit_test (test_pool_ties),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
