/* SPDX-License-Identifier: MPL-2.0
 * Every built-in model but the large ones against PyTorch.                                               */
#include "tests/compute/fixture_bench.h"

static size_t s_largest (const float *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = fabsf (values[i]) > fabsf (values[best]) ? i : best;
    return best;
}

/* One weight off by a twentieth, where it matters most: seen, whatever its tensor. */
static void test_a_wrong_weight_is_seen (void **state)
{
    static const char *const names[] = {"lenet5", "residual-tiny", "dense-tiny"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        s_bench_t b;
        s_open (&b, names[i]);
        for (size_t p = 0; p < rk_model_n_tensors (b.model); p++) {
            const rk_param_t *param = rk_model_param (b.model, p);
            fixture_values (&b.fixture, b.model, b.flat);
            b.worst = 0;
            s_compare_one (&b);
            assert_true (b.worst <= TOLERANCE);
            if (!param->trainable)
                continue;
            const size_t at = param->offset + s_largest (b.grads + param->offset, param->count);
            fixture_values (&b.fixture, b.model, b.flat);
            b.flat[at] += 0.05f;
            s_compare_one (&b);
            if (b.worst <= TOLERANCE)
                fail_msg ("%s: nobody sees that an element of %s is wrong", names[i], param->name);
        }
        s_close (&b);
    }
}

/* Another momentum, a gradient that lacks a sample. */
static void test_a_wrong_step_is_seen (void **state)
{
    s_bench_t b;
    s_open (&b, "residual-tiny");
    double worst = 0;
    b.fixture.momentum = 0.85f;
    for (uint64_t step = 0; step < FIXTURE_STEPS; step++) {
        worst = fmax (worst, fabs (s_run (&b, step, RK_MODE_TRAIN) / b.fixture.curve[step] - 1));
        s_step (&b, step);
    }
    assert_true (worst > CURVE_TOLERANCE);
    s_close (&b);
    s_open (&b, "residual-tiny");
    b.fixture.batch--;
    s_run (&b, 0, RK_MODE_TRAIN);
    const rk_param_t *first = rk_model_param (b.model, 0);
    s_compare (&b, "grad", first->name, first->count, b.grads);
    assert_true (b.worst > TOLERANCE);
    s_close (&b);
}

static bool s_is_large (const char *name)
{
    for (size_t i = 0; i < sizeof s_large / sizeof *s_large; i++)
        if (strcmp (s_large[i], name) == 0)
            return true;
    return false;
}

int main (void)
{
    static struct CMUnitTest tests[64];
    size_t n = 0;
    if (rk_blas_init ("auto", NULL))
        return 1;
    for (const char *const *name = rk_model_names (); *name && n < 60; name++)
        if (!s_is_large (*name))
            tests[n++] = (struct CMUnitTest) {.name = *name, .test_func = test_model, .initial_state = (void *) (uintptr_t) *name};
    tests[n++] = (struct CMUnitTest) cmocka_unit_test (test_a_wrong_weight_is_seen);
    tests[n++] = (struct CMUnitTest) cmocka_unit_test (test_a_wrong_step_is_seen);
    return _cmocka_run_group_tests ("fixtures", tests, n, NULL, NULL);
}
