/* SPDX-License-Identifier: MPL-2.0
 * Declared speeds under clocks that wake up late, and threads that wait for a processor.                 */
#include "cluster/hold.h"
#include "tests/cluster/fixtures.h"

#define US INT64_C (1000)
#define MS INT64_C (1000000)

/* Computations of busy_ns, each held up by up to `queue` for a processor, every wait overslept by up to `late`; the
 * clock's time for them all. */
static int64_t s_run (rk_hold_t *hold, uint64_t *x, int n, int64_t busy_ns, int64_t queue, int64_t late)
{
    int64_t now = 0;
    for (int i = 0; i < n; i++) {
        const int64_t start = now;
        now += busy_ns + (queue ? (int64_t) (fixture_next (x) % (uint64_t) queue) : 0);
        const int64_t until = rk_hold_begin (hold, start, busy_ns);
        if (until > now)
            now = until + (late ? (int64_t) (fixture_next (x) % (uint64_t) late) : 0);
        rk_hold_end (hold, now);
    }
    return now;
}

static void the_mean_speed_is_the_declared_one (void **state)
{
    (void) state;
    static const uint64_t paces[] = {1250000, 2000000, 2500000, 3333333, 10000000};
    static const int64_t busy[] = {20 * US, 300 * US, 5 * MS, 80 * MS};
    uint64_t x = 271828;
    for (size_t p = 0; p < sizeof paces / sizeof *paces; p++)
        for (size_t b = 0; b < sizeof busy / sizeof *busy; b++) {
            const int64_t wait = busy[b] * (int64_t) paces[p] / 1000000 - busy[b];
            const int64_t wanted = 1000 * (busy[b] + wait);
            rk_hold_t hold = {.pace_ppm = paces[p]};
            assert_true (s_run (&hold, &x, 1000, busy[b], 0, 0) == 1000 * (busy[b] * (int64_t) paces[p] / 1000000));
            /* delays of three eighths of the wait, on average */
            hold = (rk_hold_t){.pace_ppm = paces[p]};
            const int64_t took = s_run (&hold, &x, 1000, busy[b], wait / 2, wait / 4), most = hold.most_ns;
            if (took < wanted - most || took > wanted + most)
                fail_msg ("pace %g, busy %lld ns: %lld ns wanted, %lld", (double) paces[p] / 1e6, (long long) busy[b], (long long) wanted, (long long) took);
        }
}

/* Delays that no wait can make good are owed up to a bound, and forgotten after a time of nothing to do. */
static void what_is_owed_is_bounded (void **state)
{
    (void) state;
    rk_hold_t hold = {.pace_ppm = 2000000};
    assert_true (rk_hold_begin (&hold, 0, MS) == 2 * MS);
    rk_hold_end (&hold, 3000 * MS); /* stopped for three seconds */
    assert_true (hold.owed_ns == RK_HOLD_OWED_NS);
    rk_hold_idle (&hold, RK_HOLD_OWED_NS);
    assert_true (rk_hold_begin (&hold, 4000 * MS, MS) == 4002 * MS - RK_HOLD_OWED_NS);
    rk_hold_end (&hold, 4001 * MS); /* without a wait: one millisecond is made good */
    assert_true (hold.owed_ns == RK_HOLD_OWED_NS - MS);
    rk_hold_idle (&hold, RK_HOLD_OWED_NS + 1);
    assert_true (rk_hold_begin (&hold, 5000 * MS, MS) == 5002 * MS);
    rk_hold_end (&hold, 5002 * MS);
    assert_true (hold.owed_ns == 0);
    assert_true (rk_hold_begin (&hold, 6000 * MS, 100 * MS) == 6200 * MS);
    rk_hold_end (&hold, 9000 * MS); /* what is long may be longer late */
    assert_true (hold.owed_ns == 200 * MS);
}

/* 1 / speed, and by how much more the host is asked for than it has. */
static void paces_of_plans (void **state)
{
    (void) state;
    static const uint32_t counts[] = {1, 1, 1}, cuts[] = {0, 0, 0};
    fixture_model_t m;
    uint64_t x = 577215;
    fixture_model (&m, &x, 4);
    const rk_settings_t s = fixture_settings ();
    rk_plan_t *plan = NULL;
    assert_int_equal (rk_plan_by_hand (&plan, 1, &m.info, &s, 3, counts, cuts, NULL, NULL), RK_OK);
    for (uint32_t i = 0; i < 3; i++) {
        plan->node_hosts[i] = 7;
        plan->node_cores[i] = 2;
        plan->node_speed_ppm[i] = i ? 400000 : 1000000;
    }
    assert_true (rk_hold_pace (plan, plan->nodes[0]) == 0);
    assert_true (rk_hold_pace (plan, plan->nodes[1]) == 2500000);
    assert_true (rk_hold_pace (plan, 77) == 0);
    plan->node_cores[0] = plan->node_cores[1] = plan->node_cores[2] = 1;
    assert_true (rk_hold_pace (plan, plan->nodes[1]) == 4500000); /* 1.8 cores wanted, one there */
    plan->node_hosts[0] = 8;
    assert_true (rk_hold_pace (plan, plan->nodes[1]) == 2500000);
    rk_plan_destroy (&plan);
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (the_mean_speed_is_the_declared_one), cmocka_unit_test (what_is_owed_is_bounded),
                                       cmocka_unit_test (paces_of_plans)};
    return cmocka_run_group_tests_name ("cluster/hold", tests, NULL, NULL);
}
