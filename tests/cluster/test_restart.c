/* SPDX-License-Identifier: MPL-2.0
 * Restarts: pauses double within their bounds, chance is the seed's, a limit is a limit, quiet times forgive.  */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster/restart.h"

static rk_restart_t s_rule (uint32_t most, uint64_t seed)
{
    return (rk_restart_t){.most = most, .first_ms = 200, .forget_ms = 600000, .random = seed};
}

static void test_doubles (void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        rk_restart_t r = s_rule (12, seed);
        int64_t now = (int64_t) (seed * 1000), at, pause = 200;
        for (int i = 0; i < 12; i++) {
            assert_true (rk_restart_failed (&r, now, &at));
            assert_true (at - now >= pause / 2 && at - now <= pause + pause / 2);
            now = at;
            pause = 2 * pause < RK_RESTART_LONGEST_MS ? 2 * pause : RK_RESTART_LONGEST_MS;
        }
        assert_false (rk_restart_failed (&r, now, &at));
    }
}

static void test_chance (void **state)
{
    (void) state;
    int64_t least = INT64_MAX, most = 0;
    for (uint64_t seed = 0; seed < 500; seed++) {
        rk_restart_t a = s_rule (3, seed), b = s_rule (3, seed);
        int64_t at, again;
        assert_true (rk_restart_failed (&a, 0, &at) && rk_restart_failed (&b, 0, &again));
        assert_int_equal (at, again);
        least = at < least ? at : least;
        most = at > most ? at : most;
    }
    assert_true (least < 120 && most > 280); /* of 100 to 300 */
}

static void test_limit (void **state)
{
    (void) state;
    rk_restart_t none = s_rule (0, 1), two = s_rule (2, 1);
    int64_t at;
    assert_false (rk_restart_failed (&none, 5, &at));
    assert_true (rk_restart_failed (&two, 0, &at));
    assert_true (rk_restart_failed (&two, 599999, &at));
    assert_false (rk_restart_failed (&two, 1199998, &at));
    assert_false (rk_restart_failed (&two, 1199999, &at)); /* failing is no quiet time */
    assert_true (rk_restart_failed (&two, 1799999, &at));
    assert_true (at - 1799999 <= 300); /* as the first one */
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (test_doubles), cmocka_unit_test (test_chance), cmocka_unit_test (test_limit)};
    return cmocka_run_group_tests (tests, NULL, NULL);
}
