/* SPDX-License-Identifier: MPL-2.0
 * Layers that only move values, or join tensors: where every value goes, its gradient, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/blas.h"
#include "tests/support/layers.h"

#define STEP RK_CHECK_LINEAR_STEP

/* A value whose place can be told from it. */
static void s_number (float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float) i;
}

/* ---- concat and split */

/* (c, h, w) of n inputs with sizes along one dimension. */
static rk_model_t *s_inputs (int n, const size_t *sizes, int axis, int *in)
{
    rk_model_t *m = rk_check_head (2, 3, 5);
    for (int k = 0; k < n; k++) {
        char name[16];
        snprintf (name, sizeof name, "in%d", k);
        const rk_conv2d_t conv = {.channels = axis ? 2 : sizes[k], .kernel = 1, .stride = 1};
        in[k] = axis ? rk_model_split (m, name, 1, axis, 1, sizes[k]) : rk_model_conv2d (m, name, 1, conv);
    }
    return m;
}

static void test_concat (void **state)
{
    static const size_t sizes[] = {3, 1, 2, 4};
    for (int axis = 0; axis < 3; axis++) {
        const int n = axis == 0 ? 4 : axis == 1 ? 2 : 3;
        int in[4];
        rk_model_t *m = s_inputs (n, axis == 1 ? sizes + 1 : sizes, axis, in);
        rk_check_tail (m, rk_model_concat (m, "concat", n, in, axis));
        rk_check_t *check = rk_check_new (m, n + 1, n + 2);
        const rk_shape_t y = rk_model_tensor_shape (m, n + 2);
        for (int k = 0; k < n; k++)
            s_number (check->in[k], check->in_len[k]);
        rk_check_forward (check);
        for (size_t e = 0; e < check->out_len; e++) {
            size_t at[4] = {e / (y.dim[0] * y.dim[1] * y.dim[2]), e / (y.dim[1] * y.dim[2]) % y.dim[0], e / y.dim[2] % y.dim[1],
                            e % y.dim[2]};
            int k = 0;
            while (at[1 + axis] >= rk_model_tensor_shape (m, in[k]).dim[axis])
                at[1 + axis] -= rk_model_tensor_shape (m, in[k++]).dim[axis];
            const rk_shape_t x = rk_model_tensor_shape (m, in[k]);
            const size_t place = ((at[0] * x.dim[0] + at[1]) * x.dim[1] + at[2]) * x.dim[2] + at[3];
            assert_true (check->out[e] == (float) place);
        }
        rk_check_destroy (check);
        m = s_inputs (n, axis == 1 ? sizes + 1 : sizes, axis, in);
        rk_check_tail (m, rk_model_concat (m, "concat", n, in, axis));
        rk_check_gradients (m, n + 1, n + 2, STEP);
    }
    rk_model_t *m = rk_check_head (2, 3, 5);
    rk_check_tail (m, rk_model_concat (m, "concat", 3, (const int[]) {1, 1, 1}, 0)); /* the same one three times */
    rk_check_gradients (m, 1, 2, STEP);
}

static void test_split (void **state)
{
    static const struct {
        int axis;
        size_t first, count;
    } cases[] = {{0, 0, 1}, {0, 1, 3}, {1, 2, 1}, {2, 1, 4}, {2, 0, 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rk_model_t *m = rk_check_head (4, 3, 5);
        rk_check_tail (m, rk_model_split (m, "split", 1, cases[i].axis, cases[i].first, cases[i].count));
        rk_check_t *check = rk_check_new (m, 1, 2);
        s_number (check->in[0], check->in_len[0]);
        rk_check_forward (check);
        const rk_shape_t y = rk_model_tensor_shape (m, 2);
        for (size_t e = 0; e < check->out_len; e++) {
            size_t at[3] = {e / (y.dim[1] * y.dim[2]) % y.dim[0], e / y.dim[2] % y.dim[1], e % y.dim[2]};
            at[cases[i].axis] += cases[i].first;
            const size_t sample = e / (y.dim[0] * y.dim[1] * y.dim[2]);
            assert_true (check->out[e] == (float) (((sample * 4 + at[0]) * 3 + at[1]) * 5 + at[2]));
        }
        rk_check_destroy (check);
        m = rk_check_head (4, 3, 5);
        rk_check_tail (m, rk_model_split (m, "split", 1, cases[i].axis, cases[i].first, cases[i].count));
        rk_check_gradients (m, 1, 2, STEP);
    }
}

/* ---- permute */

static void s_check_permute (rk_shape_t x, const int *order)
{
    rk_model_t *m = rk_model_new (rk_shape_1 (2));
    int t = rk_model_linear (m, "head", 0, rk_shape_elems (x), false);
    t = rk_model_reshape (m, "shape", t, x);
    rk_check_tail (m, rk_model_permute (m, "permute", t, x.n_dims, order));
    rk_check_t *check = rk_check_new (m, 2, 3);
    s_number (check->in[0], check->in_len[0]);
    rk_check_forward (check);
    const rk_shape_t y = rk_model_tensor_shape (m, 3);
    for (size_t e = 0; e < check->out_len; e++) {
        size_t at[RK_MAX_DIMS] = {0}, rest = e, place = 0;
        for (int d = y.n_dims - 1; d >= 0; rest /= y.dim[d--])
            at[order[d]] = rest % y.dim[d];
        for (int d = 0; d < x.n_dims; d++)
            place = place * x.dim[d] + at[d];
        assert_true (check->out[e] == (float) (rest * rk_shape_elems (x) + place));
    }
    rk_slice_release (check->slice, 0);
    /* Linear, with one 1 in each row: the gradient is c at the place the value went to. */
    rk_check_backward (check);
    for (size_t e = 0; e < check->out_len; e++)
        assert_true (check->gin[0][(size_t) check->out[e]] == check->c[e]);
    rk_check_destroy (check);
}

static void test_permute (void **state)
{
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++)
            for (int c = 0; c < 4; c++)
                if (a != b && a != c && b != c)
                    s_check_permute ((rk_shape_t) {4, {3, 2, 5, 4}}, (const int[]) {a, b, c, 6 - a - b - c});
    s_check_permute ((rk_shape_t) {2, {37, 19}}, (const int[]) {1, 0});
    s_check_permute ((rk_shape_t) {3, {3, 18, 33}}, (const int[]) {0, 2, 1});
    s_check_permute (rk_shape_1 (7), (const int[]) {0});
}

/* ---- upsample, mul */

static void test_upsample (void **state)
{
    for (size_t factor = 1; factor < 4; factor++) {
        rk_model_t *m = rk_check_head (2, 3, 5);
        rk_check_tail (m, rk_model_upsample (m, "upsample", 1, factor));
        rk_check_t *check = rk_check_new (m, 1, 2);
        rk_check_forward (check);
        for (size_t e = 0; e < check->out_len; e++) {
            const size_t plane = e / (15 * factor * factor), row = e / (5 * factor) % (3 * factor), col = e % (5 * factor);
            assert_true (check->out[e] == check->in[0][(plane * 3 + row / factor) * 5 + col / factor]);
        }
        rk_check_destroy (check);
        m = rk_check_head (2, 3, 5);
        rk_check_tail (m, rk_model_upsample (m, "upsample", 1, factor));
        rk_check_gradients (m, 1, 2, STEP);
    }
}

static rk_model_t *s_mul (void)
{
    rk_model_t *m = rk_check_head (2, 3, 5);
    rk_check_tail (m, rk_model_mul (m, "mul", rk_model_relu (m, "relu", 1), 1));
    return m;
}

static void test_mul (void **state)
{
    rk_check_t *check = rk_check_new (s_mul (), 2, 3);
    rk_check_forward (check);
    for (size_t e = 0; e < check->out_len; e++)
        assert_true (check->out[e] == check->in[0][e] * check->in[1][e]);
    rk_check_destroy (check);
    rk_check_gradients (s_mul (), 2, 3, STEP);
    rk_check_gradients (s_mul (), 1, 3, RK_CHECK_SMALL_STEP); /* gradients of two readers */
    rk_model_t *m = rk_check_head (2, 3, 5);
    rk_check_tail (m, rk_model_mul (m, "square", 1, 1));
    rk_check_gradients (m, 1, 2, RK_CHECK_SMALL_STEP);
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) ? -1 : 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_concat),   cmocka_unit_test (test_split), cmocka_unit_test (test_permute),
        cmocka_unit_test (test_upsample), cmocka_unit_test (test_mul),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
