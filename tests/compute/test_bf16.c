/* SPDX-License-Identifier: MPL-2.0
 * Products of bfloat16 train as those of f32, on Fashion-MNIST: the same loss within a stated share. Where the processor has
 * none, "bf16" is f32, to the bit. RK_LONG: whole passes instead of the first steps.                  */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/blas.h"
#include "compute/plain.h"

#define TOLERANCE 0.01 /* of the mean loss */

static rk_data_t *s_data;

typedef struct {
    double train, test; /* mean losses: of minibatches [from, steps), and of the test samples if wanted */
} losses_t;

static losses_t s_train (const char *kernels, const char *model, uint64_t from, uint64_t steps, bool test)
{
    rk_error_t err = {0};
    rk_plain_t *plain;
    rk_loss_t loss, sum = {0};
    const rk_plain_config_t config = {.model = model, .data = s_data, .batch = 64, .seed = 3, .optimizer = "sgd",
                                      .optim = {.momentum = 0.9f}, .lr = {.name = "constant", .base = 0.02f}};
    assert_int_equal (rk_blas_init (kernels, NULL), RK_OK);
    if (rk_plain_new (&plain, &config, &err))
        fail_msg ("%s", err.text);
    for (uint64_t f = 0; f < steps; f++) {
        assert_int_equal (rk_plain_step (plain, f, &loss, NULL), RK_OK);
        sum.loss_sum += f < from ? 0 : loss.loss_sum;
        sum.n_counted += f < from ? 0 : loss.n_counted;
    }
    if (test)
        assert_int_equal (rk_plain_evaluate (plain, RK_SPLIT_TEST, &loss, NULL), RK_OK);
    rk_plain_destroy (&plain);
    assert_int_equal (rk_blas_init ("auto", NULL), RK_OK);
    return (losses_t) {sum.loss_sum / (double) sum.n_counted, test ? loss.loss_sum / (double) loss.n_counted : 0};
}

static void s_compare (const char *model, uint64_t from, uint64_t steps, bool test)
{
    const bool same = strcmp (rk_blas_best (true), rk_blas_best (false)) == 0;
    const losses_t f32 = s_train ("auto", model, from, steps, test), bf16 = s_train ("bf16", model, from, steps, test);
    print_message ("%s: loss %.5f with f32, %.5f with %s; test %.5f and %.5f\n", model, f32.train, bf16.train, rk_blas_best (true), f32.test,
                   bf16.test);
    if (!(fabs (bf16.train - f32.train) <= TOLERANCE * f32.train))
        fail_msg ("%s: %g with bf16, %g with f32", model, bf16.train, f32.train);
    assert_true (same == (bf16.train == f32.train)); /* rounding leaves a trace, or there is none */
    assert_true (f32.train < 2.2);                   /* it has learnt something, which log 10 is not */
}

static void first_steps (void **state)
{
    s_compare ("mlp", 20, 30, false);
    s_compare ("cnn", 2, 7, false);
}

static void a_whole_pass (void **state)
{
    const uint64_t per_pass = (rk_data_n (s_data, RK_SPLIT_TRAIN) + 63) / 64;
    s_compare ("mlp", 0, per_pass, true);
    s_compare ("cnn", 0, per_pass, true);
}

static int s_setup (void **state)
{
    rk_error_t err = {0};
    if (!rk_data_open (&s_data, "fashion-mnist", NULL, &err))
        return 0;
    print_error ("%s\n", err.text);
    return 1; /* a missing data set is a failure */
}

static int s_teardown (void **state)
{
    rk_data_close (&s_data);
    return 0;
}

int main (void)
{
    const struct CMUnitTest usual[] = {cmocka_unit_test (first_steps)}, complete[] = {cmocka_unit_test (a_whole_pass)};
    return getenv ("RK_LONG") ? cmocka_run_group_tests (complete, s_setup, s_teardown) : cmocka_run_group_tests (usual, s_setup, s_teardown);
}
