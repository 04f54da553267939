/* SPDX-License-Identifier: MPL-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "compute/lr.h"

static void s_assert_near (float value, double expected)
{
    assert_true (fabs ((double) value - expected) < 1e-6);
}

static void test_schedules (void **state)
{
    rk_lr_t lr = {.name = "constant", .base = 0.5f};
    assert_int_equal (rk_lr_check (&lr, NULL), RK_OK);
    s_assert_near (rk_lr_at (&lr, 0), 0.5);
    s_assert_near (rk_lr_at (&lr, UINT64_MAX), 0.5);
    lr.warmup = 4; /* 1/5, 2/5, 3/5, 4/5 of the base, then the base */
    s_assert_near (rk_lr_at (&lr, 0), 0.1);
    s_assert_near (rk_lr_at (&lr, 3), 0.4);
    s_assert_near (rk_lr_at (&lr, 4), 0.5);
    lr = (rk_lr_t) {.name = "step", .base = 1, .step_every = 10, .step_gamma = 0.1f};
    assert_int_equal (rk_lr_check (&lr, NULL), RK_OK);
    s_assert_near (rk_lr_at (&lr, 9), 1);
    s_assert_near (rk_lr_at (&lr, 10), 0.1);
    s_assert_near (rk_lr_at (&lr, 29), 0.01);
    lr = (rk_lr_t) {.name = "cosine", .base = 1, .total = 110, .warmup = 10};
    assert_int_equal (rk_lr_check (&lr, NULL), RK_OK);
    s_assert_near (rk_lr_at (&lr, 10), 1);
    s_assert_near (rk_lr_at (&lr, 60), 0.5);
    s_assert_near (rk_lr_at (&lr, 110), 0);
    s_assert_near (rk_lr_at (&lr, 1000), 0);
    lr.floor = 0.1f;
    s_assert_near (rk_lr_at (&lr, 10), 1);
    s_assert_near (rk_lr_at (&lr, 60), 0.55);
    s_assert_near (rk_lr_at (&lr, 1000), 0.1);
}

static void test_more_schedules (void **state)
{
    rk_lr_t lr = {.name = "milestones", .base = 1, .step_gamma = 0.5f, .milestones = {3, 7, 8}, .n_milestones = 3};
    const double dropped[] = {1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.125, 0.125};
    assert_int_equal (rk_lr_check (&lr, NULL), RK_OK);
    for (uint64_t f = 0; f < 10; f++)
        s_assert_near (rk_lr_at (&lr, f), dropped[f]);
    lr = (rk_lr_t) {.name = "linear", .base = 2, .warmup = 10, .total = 110, .floor = 0.5f};
    assert_int_equal (rk_lr_check (&lr, NULL), RK_OK);
    s_assert_near (rk_lr_at (&lr, 9), 20.0 / 11);
    s_assert_near (rk_lr_at (&lr, 10), 2);
    s_assert_near (rk_lr_at (&lr, 35), 1.75);
    s_assert_near (rk_lr_at (&lr, 110), 1);
    s_assert_near (rk_lr_at (&lr, UINT64_MAX), 1);
    lr = (rk_lr_t) {.name = "polynomial", .base = 1, .total = 100, .power = 2};
    assert_int_equal (rk_lr_check (&lr, NULL), RK_OK);
    s_assert_near (rk_lr_at (&lr, 0), 1);
    s_assert_near (rk_lr_at (&lr, 30), 0.49);
    s_assert_near (rk_lr_at (&lr, 100), 0);
    lr = (rk_lr_t) {.name = "inverse-sqrt", .base = 1, .warmup = 99};
    assert_int_equal (rk_lr_check (&lr, NULL), RK_OK);
    s_assert_near (rk_lr_at (&lr, 98), 0.99);
    s_assert_near (rk_lr_at (&lr, 99), 1);
    s_assert_near (rk_lr_at (&lr, 399), 0.5);
    lr.warmup = 0;
    s_assert_near (rk_lr_at (&lr, 0), 1);
    s_assert_near (rk_lr_at (&lr, 3), 0.5);
}

static void test_schedule_refusals (void **state)
{
    rk_error_t err = {0};
    const rk_lr_t bad[] = {
        {.name = "cosin", .base = 1},
        {.name = "constant", .base = 0},
        {.name = "constant", .base = INFINITY},
        {.name = "step", .base = 1, .step_gamma = 0.1f},
        {.name = "step", .base = 1, .step_every = 3},
        {.name = "cosine", .base = 1, .total = 5, .warmup = 5},
        {.name = "linear", .base = 1, .total = 5, .warmup = 6},
        {.name = "linear", .base = 1, .total = 5, .floor = 1.5f},
        {.name = "polynomial", .base = 1, .total = 5, .power = 0},
        {.name = "milestones", .base = 1, .step_gamma = 0.1f},
        {.name = "milestones", .base = 1, .step_gamma = 0.1f, .milestones = {5, 5}, .n_milestones = 2},
        {.name = "milestones", .base = 1, .milestones = {5}, .n_milestones = 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal (rk_lr_check (&bad[i], &err), i ? RK_EINVAL : RK_ENOTFOUND);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_schedules),
        cmocka_unit_test (test_more_schedules),
        cmocka_unit_test (test_schedule_refusals),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
