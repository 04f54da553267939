/* SPDX-License-Identifier: MPL-2.0
 * Activations: values and slopes against double precision over their whole range, in every build to the same
 * bits; gradients of the layers; what is refused.                                                     */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/blas.h"
#include "compute/kernels/vec.h"
#include "tests/support/layers.h"

#define N 4001
#define SLOPE 0.2f

static const char *const s_sets[] = {"blis", "avx2", "avx512"};

/* ---- by their definitions */

static double s_sigmoid (double x)
{
    return 1 / (1 + exp (-x));
}

static double s_silu (double x)
{
    return x * s_sigmoid (x);
}

static double s_gelu (double x)
{
    return 0.5 * x * erfc (-x / sqrt (2));
}

static double s_gelu_tanh (double x)
{
    return 0.5 * x * (1 + tanh (sqrt (2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double s_leaky (double x)
{
    return x < 0 ? (double) SLOPE * x : x;
}

static double s_slope (double (*f) (double), double x)
{
    const double h = 1e-5;
    return (f (x + h) - f (x - h)) / (2 * h);
}

static void s_leaky_forward (size_t n, const float *x, float *y)
{
    rk_vec ()->leaky_relu (n, SLOPE, x, y);
}

static void s_leaky_backward (size_t n, const float *y, const float *dy, float *dx)
{
    rk_vec ()->leaky_relu_backward (n, SLOPE, y, dy, dx);
}

typedef struct {
    double (*want) (double);
    void (*forward) (size_t, const float *, float *);
    void (*backward) (size_t, const float *, const float *, float *);
    bool by_y;
    double nothing, all; /* what it is far below zero; and above, over x */
} s_case_t;

#define N_CASES 6

static void s_cases (s_case_t cases[N_CASES])
{
    const rk_vec_t *v = rk_vec ();
    const s_case_t all[N_CASES] = {
        {s_sigmoid, v->sigmoid, v->sigmoid_backward, true, 0, 0}, {tanh, v->tanh, v->tanh_backward, true, -1, 0},
        {s_silu, v->silu, v->silu_backward, false, 0, 1},         {s_gelu, v->gelu, v->gelu_backward, false, 0, 1},
        {s_gelu_tanh, v->gelu_tanh, v->gelu_tanh_backward, false, 0, 1},
        {s_leaky, s_leaky_forward, s_leaky_backward, true, 0, 1},
    };
    memcpy (cases, all, sizeof all);
}

static void test_values (void **state)
{
    static float x[N], y[N], dy[N], dx[N], first[2][N_CASES][N];
    for (size_t i = 0; i < N; i++) {
        x[i] = ((float) i - N / 2) * 0.01f; /* -20 to 20, 0 among them */
        dy[i] = i % 2 ? 1.0f : -3.0f;
    }
    int n_sets = 0;
    for (size_t set = 0; set < 3; set++) {
        s_case_t cases[N_CASES];
        if (rk_blas_init (s_sets[set], NULL))
            continue;
        s_cases (cases);
        for (size_t c = 0; c < N_CASES; c++) {
            cases[c].forward (N, x, y);
            cases[c].backward (N, cases[c].by_y ? y : x, dy, dx);
            for (size_t i = 0; i < N; i++) {
                const double size = fmax (1, fabs ((double) x[i])), want = cases[c].want ((double) x[i]);
                assert_true (fabs ((double) y[i] - want) <= 3e-7 * (cases[c].all != 0 ? size : 1));
                if (i != N / 2) /* the kink of leaky relu */
                    assert_true (fabs ((double) dx[i] / (double) dy[i] - s_slope (cases[c].want, (double) x[i])) < 2e-6);
            }
            if (!n_sets) {
                memcpy (first[0][c], y, sizeof y);
                memcpy (first[1][c], dx, sizeof dx);
            }
            assert_memory_equal (first[0][c], y, sizeof y);
            assert_memory_equal (first[1][c], dx, sizeof dx);
            memcpy (y, x, sizeof y);
            cases[c].forward (N, y, y); /* in place */
            assert_memory_equal (first[0][c], y, sizeof y);
            float odd[] = {NAN, -3e38f, 3e38f, -0.0f};
            cases[c].forward (4, odd, odd);
            assert_true (isnan (odd[0]) && odd[3] == (float) cases[c].want (0));
            assert_true (cases[c].want == s_leaky ? odd[1] == -3e38f * SLOPE : odd[1] == (float) cases[c].nothing);
            assert_true (odd[2] == (cases[c].all != 0 ? 3e38f : 1.0f));
        }
        n_sets++;
    }
    assert_true (n_sets >= 1);
    assert_int_equal (rk_blas_init ("auto", NULL), RK_OK);
}

/* Far in its tail gelu is right in relation to its own size, too. */
static void test_gelu_tail (void **state)
{
    for (int i = 0; i < 120; i++) {
        const float x = -0.1f * (float) i;
        float y;
        rk_vec ()->gelu (1, &x, &y);
        assert_true (fabs ((double) y - s_gelu ((double) x)) <= 1e-5 * fabs (s_gelu ((double) x)));
    }
}

/* ---- layers */

static int s_gelu_layer (rk_model_t *m, const char *name, int in)
{
    return rk_model_gelu (m, name, in, RK_GELU_ERF);
}

static int s_gelu_tanh_layer (rk_model_t *m, const char *name, int in)
{
    return rk_model_gelu (m, name, in, RK_GELU_TANH);
}

static int s_leaky_layer (rk_model_t *m, const char *name, int in)
{
    return rk_model_leaky_relu (m, name, in, SLOPE);
}

typedef int s_builder_t (rk_model_t *, const char *, int);

static s_builder_t *const s_layers[] = {rk_model_sigmoid, rk_model_tanh,     rk_model_silu,
                                        s_gelu_layer,     s_gelu_tanh_layer, s_leaky_layer};
static double (*const s_functions[]) (double) = {s_sigmoid, tanh, s_silu, s_gelu, s_gelu_tanh, s_leaky};

static void test_layers (void **state)
{
    for (size_t k = 0; k < sizeof s_layers / sizeof *s_layers; k++) {
        rk_model_t *m = rk_check_head (2, 5, 3);
        rk_check_tail (m, s_layers[k] (m, "act", 1));
        rk_check_t *check = rk_check_new (m, 1, 2);
        rk_check_forward (check);
        for (size_t i = 0; i < check->out_len; i++)
            assert_true (fabs ((double) check->out[i] - s_functions[k] ((double) check->in[0][i])) < 1e-6);
        rk_check_destroy (check);
        m = rk_check_head (2, 5, 3);
        rk_check_tail (m, s_layers[k] (m, "act", 1));
        rk_check_gradients (m, 1, 2, RK_CHECK_SMALL_STEP);
        m = rk_check_head (2, 5, 3); /* twice in a row, in place where that is allowed, and read by two */
        int t = s_layers[k] (m, "act2", s_layers[k] (m, "act1", 1));
        rk_check_tail (m, rk_model_add (m, "add", t, 1));
        rk_check_gradients (m, 1, 4, RK_CHECK_SMALL_STEP);
    }
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) ? -1 : 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_values),
        cmocka_unit_test (test_gelu_tail),
        cmocka_unit_test (test_layers),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
