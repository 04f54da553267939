/* SPDX-License-Identifier: MPL-2.0
 * The drained order: whole chains run in virtual steps; staleness is counted, not assumed.               */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "cluster/schedule.h"

#define MOST_STAGES 12
#define MOST 40

typedef struct {
    uint64_t forwards[MOST_STAGES], backwards[MOST_STAGES];
    uint32_t staleness[MOST_STAGES][MOST];
    uint64_t seen[MOST_STAGES][MOST]; /* updates when f went forward */
} s_chain_t;

/* One stage acts when what the schedule wants is there; true if it did. */
static bool s_turn (s_chain_t *c, uint32_t s, uint32_t n_stages, uint32_t in_flight, uint64_t n)
{
    rk_act_t act = rk_schedule_drained (s, n_stages, in_flight, n, c->forwards[s], c->backwards[s]);
    if (act == RK_ACT_FORWARD && (s == 0 || c->forwards[s - 1] > c->forwards[s])) {
        c->seen[s][c->forwards[s]++] = c->backwards[s];
        return true;
    }
    if (act == RK_ACT_BACKWARD && (s + 1 == n_stages || c->backwards[s + 1] > c->backwards[s])) {
        uint64_t f = c->backwards[s];
        assert_true (f < c->forwards[s]);
        c->staleness[s][f] = (uint32_t) (c->backwards[s] - c->seen[s][f]);
        c->backwards[s]++;
        return true;
    }
    return false;
}

static void test_chains_finish_without_deadlock (void **state)
{
    (void) state;
    for (uint32_t n_stages = 1; n_stages <= MOST_STAGES; n_stages++)
        for (uint32_t in_flight = 1; in_flight <= MOST_STAGES + 2; in_flight++)
            for (uint64_t n = 0; n <= MOST; n += n < 4 ? 1 : 9) {
                s_chain_t c = {0};
                for (bool any = true; any;) {
                    any = false;
                    for (uint32_t s = 0; s < n_stages; s++)
                        any = s_turn (&c, s, n_stages, in_flight, n) || any;
                    assert_true (c.forwards[0] - c.backwards[0] <= in_flight);
                }
                for (uint32_t s = 0; s < n_stages; s++) {
                    if (c.backwards[s] != n)
                        fail_msg ("stage %u of %u, window %u: %u of %u backwards", s, n_stages, in_flight,
                                  (unsigned) c.backwards[s], (unsigned) n);
                    assert_int_equal (rk_schedule_drained (s, n_stages, in_flight, n, n, n), RK_ACT_NONE);
                    uint32_t steady = rk_schedule_staleness (s, n_stages, in_flight);
                    for (uint64_t f = steady; f < n; f++)
                        assert_int_equal (c.staleness[s][f], steady);
                }
            }
}

static void test_staleness_of_full_window (void **state)
{
    (void) state;
    for (uint32_t n_stages = 1; n_stages <= MOST_STAGES; n_stages++)
        for (uint32_t s = 0; s < n_stages; s++) {
            assert_int_equal (rk_schedule_staleness (s, n_stages, n_stages), n_stages - 1 - s);
            assert_int_equal (rk_schedule_staleness (s, n_stages, 1), 0);
        }
}

static void test_opening (void **state)
{
    (void) state;
    /* Stage 1 of 4, window 4, 6 minibatches: 3 forwards, then backward, forward, ..., then the rest. */
    static const char expected[] = "FFFBFBFBFBBB";
    char got[16] = "";
    uint64_t f = 0, b = 0;
    for (size_t i = 0; i < sizeof expected - 1; i++) {
        bool forward = rk_schedule_drained (1, 4, 4, 6, f, b) == RK_ACT_FORWARD;
        got[i] = forward ? 'F' : 'B';
        *(forward ? &f : &b) += 1;
    }
    assert_string_equal (got, expected);
}

static void test_overlapped (void **state)
{
    (void) state;
    assert_int_equal (rk_schedule_overlapped (true, true), RK_ACT_BACKWARD);
    assert_int_equal (rk_schedule_overlapped (true, false), RK_ACT_FORWARD);
    assert_int_equal (rk_schedule_overlapped (false, true), RK_ACT_BACKWARD);
    assert_int_equal (rk_schedule_overlapped (false, false), RK_ACT_NONE);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_chains_finish_without_deadlock),
        cmocka_unit_test (test_staleness_of_full_window),
        cmocka_unit_test (test_opening),
        cmocka_unit_test (test_overlapped),
    };
    return cmocka_run_group_tests_name ("cluster/schedule", tests, NULL, NULL);
}
