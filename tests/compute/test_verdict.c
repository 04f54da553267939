/* SPDX-License-Identifier: MPL-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "compute/verdict.h"

static rk_verdict_t s_once (rk_verdict_config_t config, double squares, double mean, float loss_scale)
{
    rk_verdict_state_t state;
    rk_verdict_start (&config, &state);
    return rk_verdict_give (&config, &state, squares, mean, loss_scale);
}

static void test_clipping (void **state)
{
    const rk_verdict_config_t clip = {.clip = 2, .loss_scale = 1}, any = {.loss_scale = 1};
    assert_true (s_once (clip, 4, 1, 1).grad_scale == 1); /* exactly at the limit: not touched */
    assert_true (s_once (clip, 3.9, 1, 1).grad_scale == 1);
    assert_true (fabs ((double) s_once (clip, 64, 1, 1).grad_scale - 2 / (8 + 1e-6)) < 1e-7);
    assert_true (s_once (any, 64, 1, 1).grad_scale == 1);
    /* The norm is that of the mean, of the losses as they were. */
    assert_true (fabs ((double) s_once (clip, 64, 0.5, 1).grad_scale - 0.5 * 2 / (4 + 1e-6)) < 1e-7);
    assert_true (s_once (clip, 64, 0.25, 1).grad_scale == 0.25f);
    assert_true (s_once (clip, 4 * 1024.0 * 1024.0, 1, 1024).grad_scale == 1.0f / 1024);
    assert_true (s_once (any, 1, 1.0 / 3, 1).grad_scale == 1.0f / 3);
}

static void test_not_finite_is_skipped (void **state)
{
    const rk_verdict_config_t configs[] = {{.clip = 2, .loss_scale = 1}, {.loss_scale = 8}, {.loss_scale = 0, .grow_every = 2}};
    const double bad[] = {(double) NAN, (double) INFINITY, -(double) NAN};
    for (size_t c = 0; c < 3; c++)
        for (size_t b = 0; b < 3; b++) {
            const rk_verdict_t verdict = s_once (configs[c], bad[b], 1, c == 2 ? RK_LOSS_SCALE_START : 8);
            assert_true (verdict.skip);
            assert_true (verdict.grad_scale == 0);
        }
    assert_false (s_once (configs[0], 0, 1, 1).skip);
}

static void test_static_scale_stays (void **state)
{
    const rk_verdict_config_t config = {.loss_scale = 8, .grow_every = 1};
    rk_verdict_state_t s;
    rk_verdict_start (&config, &s);
    for (int i = 0; i < 5; i++)
        assert_true (rk_verdict_give (&config, &s, i % 2 ? (double) NAN : 1, 1, 8).loss_scale == 8);
}

static void test_dynamic_scale (void **state)
{
    const rk_verdict_config_t config = {.loss_scale = 0, .grow_every = 3};
    rk_verdict_state_t s;
    rk_verdict_start (&config, &s);
    assert_true (s.loss_scale == RK_LOSS_SCALE_START);
    float scale = s.loss_scale;
    const double nan = (double) NAN;
    const struct {
        double squares;
        float factor; /* of the scale after it */
    } steps[] = {{nan, 0.5f}, {1, 1}, {1, 1}, {1, 2}, {1, 1}, {1, 1}, {nan, 0.5f}, {1, 1}, {1, 1}, {1, 2}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const rk_verdict_t verdict = rk_verdict_give (&config, &s, steps[i].squares, 1, scale);
        assert_true (verdict.loss_scale == scale * steps[i].factor);
        scale = verdict.loss_scale;
    }
    /* Three overflows of the same scale that were under way at once halve it once. */
    for (int i = 0; i < 3; i++)
        assert_true (rk_verdict_give (&config, &s, nan, 1, scale).loss_scale == scale / 2);
    for (int i = 0; i < 40; i++)
        (void) rk_verdict_give (&config, &s, nan, 1, s.loss_scale);
    assert_true (s.loss_scale == 1);
    for (int i = 0; i < 100; i++)
        (void) rk_verdict_give (&config, &s, 1, 1, s.loss_scale);
    assert_true (s.loss_scale == RK_LOSS_SCALE_MOST);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_clipping),
        cmocka_unit_test (test_not_finite_is_skipped),
        cmocka_unit_test (test_static_scale_stays),
        cmocka_unit_test (test_dynamic_scale),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
