/* SPDX-License-Identifier: MPL-2.0
 * Normalisations against their definitions in double precision; gradients; one sample; what is refused. */
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
#include "compute/kernels/vec.h"
#include "compute/rng.h"
#include "tests/support/layers.h"

/* A model whose tensor 2, of this shape, is normalised by layer 2. */
static rk_model_t *s_head (rk_shape_t shape)
{
    rk_model_t *m = rk_model_new (rk_shape_1 (3));
    int t = rk_model_linear (m, "head", 0, rk_shape_elems (shape), false);
    rk_model_reshape (m, "shape", t, shape);
    return m;
}

typedef enum { LAYER, RMS, GROUP, BATCH } s_kind_t;

typedef struct {
    s_kind_t kind;
    rk_shape_t shape;
    size_t groups;
    float epsilon;
} s_case_t;

static const s_case_t s_cases[] = {
    {LAYER, {1, {7}}, 0, 0},          {LAYER, {2, {3, 5}}, 0, 0.5f},      {LAYER, {2, {2, 131}}, 0, 0}, {LAYER, {3, {2, 3, 4}}, 0, 0},
    {RMS, {1, {7}}, 0, 0},            {RMS, {2, {3, 67}}, 0, 0.5f},       {GROUP, {3, {6, 3, 5}}, 3, 0}, {GROUP, {3, {4, 2, 3}}, 1, 0.5f},
    {GROUP, {3, {3, 5, 1}}, 3, 0},    {GROUP, {2, {4, 7}}, 2, 0},         {GROUP, {1, {6}}, 2, 0},      {BATCH, {1, {7}}, 0, 0},
    {BATCH, {2, {3, 5}}, 0, 0},       {BATCH, {2, {4, 1}}, 0, 0},
};
#define N_CASES (sizeof s_cases / sizeof *s_cases)

static rk_model_t *s_model (const s_case_t *c)
{
    rk_model_t *m = s_head (c->shape);
    int t = c->kind == LAYER   ? rk_model_layernorm (m, "norm", 2, c->epsilon)
            : c->kind == RMS   ? rk_model_rmsnorm (m, "norm", 2, c->epsilon)
            : c->kind == GROUP ? rk_model_groupnorm (m, "norm", 2, c->groups, c->epsilon)
                               : rk_model_batchnorm1d (m, "norm", 2);
    rk_check_tail (m, t);
    return m;
}

/* Values i with key (i) equal belong together; weight and bias by channel (i). */
static size_t s_key (const s_case_t *c, size_t i)
{
    const size_t elems = rk_shape_elems (c->shape), sample = i / elems, e = i % elems;
    const size_t plane = elems / c->shape.dim[0], last = c->shape.dim[c->shape.n_dims - 1];
    if (c->kind == BATCH)
        return e / plane;
    return c->kind == GROUP ? sample * c->groups + e / plane / (c->shape.dim[0] / c->groups) : i / last;
}

static size_t s_channel (const s_case_t *c, size_t i)
{
    const size_t elems = rk_shape_elems (c->shape);
    return c->kind == LAYER || c->kind == RMS ? i % c->shape.dim[c->shape.n_dims - 1] : i % elems / (elems / c->shape.dim[0]);
}

static double s_want (const s_case_t *c, const rk_check_t *check, size_t at)
{
    double sum = 0, squares = 0, count = 0;
    for (size_t i = 0; i < check->in_len[0]; i++)
        if (s_key (c, i) == s_key (c, at)) {
            sum += (double) check->in[0][i];
            count++;
        }
    const double mean = c->kind == RMS ? 0 : sum / count;
    for (size_t i = 0; i < check->in_len[0]; i++)
        if (s_key (c, i) == s_key (c, at))
            squares += ((double) check->in[0][i] - mean) * ((double) check->in[0][i] - mean);
    const double epsilon = c->epsilon > 0 ? (double) c->epsilon : 1e-5;
    const rk_param_t *bias = rk_model_param (check->model, 2);
    const double weight = (double) check->flat[s_channel (c, at)];
    const double offset = c->kind == RMS ? 0 : (double) check->flat[bias->offset - rk_model_flat_at (check->model, 2) + s_channel (c, at)];
    return ((double) check->in[0][at] - mean) / sqrt (squares / count + epsilon) * weight + offset;
}

static void test_values (void **state)
{
    for (size_t k = 0; k < N_CASES; k++) {
        const s_case_t *c = &s_cases[k];
        rk_check_t *check = rk_check_new (s_model (c), 2, 3);
        for (size_t i = 0; i < check->in_len[0]; i++)
            check->in[0][i] = check->in[0][i] + 30; /* far from zero: a sum of squares would lose digits */
        rk_check_forward (check);
        for (size_t i = 0; i < check->out_len; i++)
            if (!(fabs ((double) check->out[i] - s_want (c, check, i)) < 1e-4))
                fail_msg ("case %zu, value %zu: %g instead of %g", k, i, (double) check->out[i], s_want (c, check, i));
        /* No other value than its own may be at this place. */
        assert_true (fabs ((double) check->out[0] - s_want (c, check, 1)) > 1e-4);
        rk_check_destroy (check);
    }
}

static void test_gradients (void **state)
{
    for (size_t k = 0; k < N_CASES; k++) {
        const bool few = rk_shape_elems (s_cases[k].shape) < 100; /* groups of few values bend much */
        rk_check_gradients (s_model (&s_cases[k]), 2, 3, few ? 0.003f : RK_CHECK_SMALL_STEP);
    }
}

/* batchnorm1d is batchnorm2d of pictures of one row, and of one value. */
static void test_batchnorm_1d_is_2d (void **state)
{
    for (int flat = 0; flat < 2; flat++) {
        rk_check_t *check[2];
        for (int two = 0; two < 2; two++) {
            rk_model_t *m = s_head (two ? rk_shape_3 (6, 1, flat ? 1 : 5) : flat ? rk_shape_1 (6) : (rk_shape_t) {2, {6, 5}});
            rk_check_tail (m, two ? rk_model_batchnorm2d (m, "norm", 2) : rk_model_batchnorm1d (m, "norm", 2));
            check[two] = rk_check_new (m, 2, 3);
            float *out[] = {check[two]->out};
            rk_forward_t call = {.mode = RK_MODE_TRAIN, .n = RK_CHECK_BATCH, .flat = check[two]->flat, .stats = check[two]->flat,
                                 .out = out, .in = (const float *const *) check[two]->in};
            assert_int_equal (rk_slice_forward (check[two]->slice, &call, NULL), RK_OK);
            rk_slice_release (check[two]->slice, 0);
            call.mode = RK_MODE_EVAL;
            assert_int_equal (rk_slice_forward (check[two]->slice, &call, NULL), RK_OK);
        }
        assert_memory_equal (check[0]->flat, check[1]->flat, check[0]->flat_len * sizeof (float));
        assert_memory_equal (check[0]->out, check[1]->out, check[0]->out_len * sizeof (float));
        for (int two = 0; two < 2; two++)
            rk_check_destroy (check[two]);
    }
}

/* One value has no deviation: the output is the bias, the statistics move by 0, the gradient is nothing. */
static void test_one_sample (void **state)
{
    rk_model_t *m = s_head (rk_shape_1 (4));
    rk_check_tail (m, rk_model_batchnorm1d (m, "norm", 2));
    rk_check_t *check = rk_check_new_n (m, 2, 3, 1);
    const float variance = check->flat[48];
    float *out[] = {check->out};
    const rk_forward_t call = {.mode = RK_MODE_TRAIN, .n = 1, .flat = check->flat, .stats = check->flat, .out = out,
                               .in = (const float *const *) check->in};
    assert_int_equal (rk_slice_forward (check->slice, &call, NULL), RK_OK);
    assert_true (check->flat[48] == 0.9f * variance);
    const float *gout[] = {check->c};
    assert_int_equal (rk_slice_backward_input (check->slice, 0, check->flat, gout, check->gin, NULL), RK_OK);
    for (size_t c = 0; c < 4; c++) {
        assert_true (fabsf (check->out[c] - check->flat[16 + c]) < 1e-4f);
        assert_true (fabsf (check->gin[0][c]) < 1e-4f);
    }
    rk_check_destroy (check);
}

/* A value that is no number is not hidden by a normalisation. */
static void test_nan_stays (void **state)
{
    for (size_t k = 0; k < N_CASES; k++) {
        rk_check_t *check = rk_check_new (s_model (&s_cases[k]), 2, 3);
        check->in[0][0] = NAN;
        rk_check_forward (check);
        for (size_t i = 0; i < check->out_len; i++)
            assert_int_equal (isnan (check->out[i]) != 0, s_key (&s_cases[k], i) == s_key (&s_cases[k], 0));
        rk_check_destroy (check);
    }
}

/* The row kernels: in words of their own, and the same bits from every build. */
static void test_rows_of_every_build (void **state)
{
    static const char *const sets[] = {"blis", "avx2", "avx512"};
    enum { MOST = 197 };
    float x[MOST], dy[MOST], w[MOST], b[MOST], got[4][MOST], first[4][MOST];
    rk_rng_uniform (6, rk_rng_stream (RK_RNG_TEST, 1), 0, MOST, -1, 1, x);
    rk_rng_uniform (6, rk_rng_stream (RK_RNG_TEST, 2), 0, MOST, -1, 1, dy);
    rk_rng_uniform (6, rk_rng_stream (RK_RNG_TEST, 3), 0, MOST, -1, 1, w);
    rk_rng_uniform (6, rk_rng_stream (RK_RNG_TEST, 4), 0, MOST, -1, 1, b);
    const rk_vec_norm_t how = {.a = 1.5f, .b = -0.25f, .mean_g = 0.125f, .mean_gx = 0.75f};
    for (size_t n = 1; n <= MOST; n += 1 + n / 3) {
        double sums[2], first_sums[2];
        bool any = false;
        for (size_t set = 0; set < 3; set++) {
            if (rk_blas_init (sets[set], NULL))
                continue;
            memset (got, 0, sizeof got);
            rk_vec ()->norm_row (n, &how, x, w, b, got[0]);
            rk_vec ()->norm_row_backward (n, &how, x, w, dy, got[1]);
            rk_vec ()->norm_row_params (n, &how, x, dy, got[2], got[3]);
            rk_vec ()->norm_row_sums (n, &how, x, w, dy, sums);
            double want[2] = {0, 0};
            for (size_t i = 0; i < n; i++) {
                const double g = (double) dy[i] * (double) w[i], xhat = 1.5 * (double) x[i] - 0.25;
                want[0] += g;
                want[1] += g * xhat;
                assert_true (fabs ((double) got[0][i] - (xhat * (double) w[i] + (double) b[i])) < 1e-6);
                assert_true (fabs ((double) got[1][i] - 1.5 * (g - 0.125 - xhat * 0.75)) < 1e-6);
                assert_true (fabs ((double) got[2][i] - (double) dy[i] * xhat) < 1e-6 && got[3][i] == dy[i]);
            }
            assert_true (fabs (sums[0] - want[0]) < 1e-4 && fabs (sums[1] - want[1]) < 1e-4);
            if (!any) {
                memcpy (first, got, sizeof first);
                memcpy (first_sums, sums, sizeof first_sums);
            }
            any = true;
            assert_memory_equal (first, got, sizeof first);
            assert_memory_equal (first_sums, sums, sizeof first_sums);
        }
        assert_true (any);
    }
    assert_int_equal (rk_blas_init ("auto", NULL), RK_OK);
}

static void test_refusals (void **state)
{
    static const struct {
        s_case_t how;
        const char *text;
    } cases[] = {
        {{LAYER, {1, {4}}, 0, -1}, "layer norm (layernorm): epsilon -1 is not above 0"},
        {{RMS, {1, {4}}, 0, NAN}, "layer norm (rmsnorm): epsilon nan is not above 0"},
        {{GROUP, {3, {4, 2, 2}}, 3, 0}, "layer norm (groupnorm): 3 groups of an input (4, 2, 2): its 4 channels"},
        {{GROUP, {1, {4}}, 0, 0}, "layer norm (groupnorm): 0 groups of an input (4)"},
        {{BATCH, {3, {4, 2, 2}}, 0, 0}, "layer norm (batchnorm1d): input (4, 2, 2) is not (features) or (channels, length)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rk_error_t err = {0};
        rk_model_t *m = s_model (&cases[i].how);
        assert_int_not_equal (rk_model_seal (m, &err), RK_OK);
        assert_non_null (strstr (err.text, cases[i].text));
        rk_model_destroy (&m);
    }
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) ? -1 : 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_values),     cmocka_unit_test (test_gradients), cmocka_unit_test (test_batchnorm_1d_is_2d),
        cmocka_unit_test (test_one_sample), cmocka_unit_test (test_nan_stays), cmocka_unit_test (test_refusals),
        cmocka_unit_test (test_rows_of_every_build),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
