/* SPDX-License-Identifier: MPL-2.0
 * Membership under virtual time.                                                                         */
#include "tests/cluster/fixtures.h"
#include "cluster/member.h"

#define NONE UINT32_MAX

static rk_member_t *s_member (uint32_t n, int64_t now_ms)
{
    rk_member_t *m = NULL;
    assert_int_equal (rk_member_new (&m, n), RK_OK);
    for (uint32_t node = 0; node < n; node++)
        assert_int_equal (rk_member_join (m, node, now_ms), RK_OK);
    return m;
}

static void test_regular_peers_are_trusted (void **state)
{
    (void) state;
    rk_member_t *m = s_member (4, 0);
    int64_t silent;
    for (int64_t now = 0; now < 600000; now += RK_HEARTBEAT_MS) {
        for (uint32_t node = 0; node < 4; node++)
            rk_member_heard (m, node, now);
        assert_int_equal (rk_member_suspect (m, now + RK_HEARTBEAT_MS, &silent), NONE);
        assert_true (rk_member_next_ms (m, now) > now);
    }
    rk_member_destroy (&m);
    assert_null (m);
}

static void test_stopped_peer_is_named_in_time (void **state)
{
    (void) state;
    rk_member_t *m = s_member (3, 0);
    int64_t now = 0, silent = 0;
    for (; now < 20000; now += RK_HEARTBEAT_MS)
        for (uint32_t node = 0; node < 3; node++)
            rk_member_heard (m, node, now);
    const int64_t last = now - RK_HEARTBEAT_MS;
    int64_t deadline = rk_member_deadline_ms (m, 1);
    assert_true (deadline >= 3 * RK_HEARTBEAT_MS && deadline <= 20 * RK_HEARTBEAT_MS);
    for (; now < last + deadline; now += 50) {
        rk_member_heard (m, 0, now);
        rk_member_heard (m, 2, now);
        assert_int_equal (rk_member_suspect (m, now, &silent), NONE);
        assert_true (rk_member_next_ms (m, now) <= last + deadline); /* awake when it is due */
    }
    rk_member_heard (m, 0, last + deadline);
    rk_member_heard (m, 2, last + deadline);
    assert_int_equal (rk_member_suspect (m, last + deadline, &silent), 1);
    assert_int_equal (silent, deadline);
    rk_member_leave (m, 1);
    assert_int_equal (rk_member_suspect (m, last + deadline, &silent), NONE);
    rk_member_destroy (&m);
}

/* A peer that answers ten times slower gets a longer deadline, and keeps it when it slips once. */
static void test_slow_peer_is_learned (void **state)
{
    (void) state;
    rk_member_t *m = s_member (2, 0);
    int64_t now = 0, silent;
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 10; k++)
            rk_member_heard (m, 0, now + k * RK_HEARTBEAT_MS);
        now += 10 * RK_HEARTBEAT_MS;
        assert_int_equal (rk_member_suspect (m, now, &silent), NONE);
        rk_member_heard (m, 1, now);
    }
    rk_member_heard (m, 0, now);
    assert_true (rk_member_deadline_ms (m, 1) > 2 * 10 * RK_HEARTBEAT_MS);
    assert_true (rk_member_deadline_ms (m, 1) > rk_member_deadline_ms (m, 0));
    rk_member_heard (m, 0, now + 20 * RK_HEARTBEAT_MS);
    assert_int_equal (rk_member_suspect (m, now + 20 * RK_HEARTBEAT_MS, &silent), NONE);
    rk_member_destroy (&m);
}

/* Gaps between 0.1 and 5 s, at random: no false alarm once learned. A fixed 2 s would give hundreds. */
static void test_jitter (void **state)
{
    (void) state;
    rk_member_t *m = s_member (1, 0);
    uint64_t x = 5005;
    int64_t now = 0, silent;
    int n_late = 0;
    for (int i = 0; i < 2000; i++) {
        int64_t gap = 100 + fixture_below (&x, 4900);
        n_late += gap > 2000;
        if (i > 40)
            assert_int_equal (rk_member_suspect (m, now + gap, &silent), NONE);
        now += gap;
        rk_member_heard (m, 0, now);
    }
    assert_true (n_late > 500);
    rk_member_destroy (&m);
}

/* One long stall in a regular life does not spoil the deadline: the median does not move. */
static void test_outlier_does_not_stretch (void **state)
{
    (void) state;
    rk_member_t *m = s_member (1, 0);
    int64_t now = 0;
    for (int i = 0; i < 40; i++)
        rk_member_heard (m, 0, now += RK_HEARTBEAT_MS);
    int64_t before = rk_member_deadline_ms (m, 0);
    rk_member_heard (m, 0, now += 60000);
    for (int i = 0; i < 3; i++)
        rk_member_heard (m, 0, now += RK_HEARTBEAT_MS);
    assert_int_equal (rk_member_deadline_ms (m, 0), before);
    rk_member_destroy (&m);
}

/* A peer that speeds up is watched more closely again. */
static void test_deadline_follows (void **state)
{
    (void) state;
    rk_member_t *m = s_member (1, 0);
    int64_t now = 0;
    for (int i = 0; i < 40; i++)
        rk_member_heard (m, 0, now += 4000);
    int64_t slow = rk_member_deadline_ms (m, 0);
    for (int i = 0; i < 40; i++)
        rk_member_heard (m, 0, now += RK_HEARTBEAT_MS);
    assert_true (rk_member_deadline_ms (m, 0) < slow / 2);
    rk_member_destroy (&m);
}

/* While a run starts: what is learned counts only where it is longer. */
static void test_least_deadline (void **state)
{
    (void) state;
    rk_member_t *m = s_member (2, 0);
    int64_t now = 0, silent = 0;
    rk_member_set_least (m, RK_MEMBER_STARTING_MS);
    for (int k = 0; k < 40; k++, now += RK_HEARTBEAT_MS)
        rk_member_heard (m, 0, now);
    const int64_t last = now - RK_HEARTBEAT_MS;
    rk_member_leave (m, 1);
    assert_int_equal (rk_member_deadline_ms (m, 0), RK_MEMBER_STARTING_MS);
    assert_int_equal (rk_member_suspect (m, last + RK_MEMBER_STARTING_MS - 1, &silent), NONE);
    assert_int_equal (rk_member_suspect (m, last + RK_MEMBER_STARTING_MS, &silent), 0);
    rk_member_set_least (m, RK_MEMBER_LEAST_MS); /* of what was heard before, too */
    assert_int_equal (rk_member_suspect (m, last + RK_MEMBER_LEAST_MS - 1, &silent), NONE);
    assert_int_equal (rk_member_suspect (m, last + RK_MEMBER_LEAST_MS, &silent), 0);
    for (int k = 0; k < 40; k++)
        rk_member_heard (m, 0, now += RK_MEMBER_STARTING_MS); /* slower than either */
    rk_member_set_least (m, RK_MEMBER_STARTING_MS);
    assert_true (rk_member_deadline_ms (m, 0) > RK_MEMBER_STARTING_MS);
    rk_member_destroy (&m);
}

static uint32_t s_count_asks (rk_member_t *m, uint32_t node, int64_t from_ms, int64_t to_ms)
{
    uint32_t n = 0;
    for (int64_t now = from_ms; now <= to_ms; now++)
        for (uint32_t asked; (asked = rk_member_ask (m, now)) != NONE; n++)
            assert_int_equal (asked, node);
    return n;
}

/* Nobody listens where a node did whose connection has ended: it is suspected without waiting for its silence. */
static void test_refusal_is_evidence (void **state)
{
    (void) state;
    rk_member_t *m = s_member (3, 0);
    int64_t silent = 0;
    assert_int_equal (rk_member_ask (m, 0), NONE); /* as long as connections hold */
    assert_true (rk_member_next_ask_ms (m) == INT64_MAX);
    rk_member_hung_up (m, 1, 1000);
    assert_false (rk_member_is_suspected (m, 1, 1000)); /* that alone says nothing */
    assert_true (rk_member_next_ask_ms (m) == 1000);
    assert_int_equal (rk_member_ask (m, 1000), 1);
    assert_int_equal (rk_member_ask (m, 1000), NONE);
    assert_true (rk_member_next_ask_ms (m) > 1000);
    assert_true (rk_member_refused (m, 1, 1000));
    assert_true (rk_member_is_refused (m, 1));
    assert_true (rk_member_is_suspected (m, 1, 1001));
    assert_int_equal (rk_member_suspect (m, 1001, &silent), 1);
    assert_false (rk_member_is_suspected (m, 0, 1001));
    assert_true (rk_member_next_ms (m, 1001) <= 1001);
    rk_member_leave (m, 1);
    assert_false (rk_member_refused (m, 1, 1002)); /* nobody */
    assert_false (rk_member_is_suspected (m, 1, 1002));
    rk_member_hung_up (m, 1, 1002);
    assert_int_equal (rk_member_ask (m, 2000), NONE);
    rk_member_destroy (&m);
}

/* What is asked without an answer leaves the silence in charge, and is asked some times, not for ever. */
static void test_no_answer_is_none (void **state)
{
    (void) state;
    rk_member_t *m = s_member (1, 0);
    int64_t now = 0, silent;
    for (; now < 20000; now += RK_HEARTBEAT_MS)
        rk_member_heard (m, 0, now);
    const int64_t last = now - RK_HEARTBEAT_MS, deadline = rk_member_deadline_ms (m, 0);
    rk_member_hung_up (m, 0, last);
    const uint32_t n = s_count_asks (m, 0, last, last + deadline - 1);
    assert_true (n >= 3 && n <= 10);
    assert_true (rk_member_next_ask_ms (m) == INT64_MAX);
    assert_int_equal (rk_member_suspect (m, last + deadline - 1, &silent), NONE);
    assert_int_equal (rk_member_suspect (m, last + deadline, &silent), 0);
    assert_false (rk_member_is_refused (m, 0));
    rk_member_destroy (&m);
}

/* What is heard is newer evidence than what was asked before; what comes late over the old connection ends no questions. */
static void test_hearing_beats_refusal (void **state)
{
    (void) state;
    rk_member_t *m = s_member (1, 0);
    rk_member_hung_up (m, 0, 1000);
    assert_int_equal (rk_member_ask (m, 1000), 0);
    rk_member_heard (m, 0, 1005); /* was on its way */
    assert_false (rk_member_refused (m, 0, 1000));
    assert_int_equal (rk_member_ask (m, 1020), 0); /* asked again */
    assert_true (rk_member_refused (m, 0, 1020));
    rk_member_heard (m, 0, 1030);
    assert_false (rk_member_is_suspected (m, 0, 1030));
    assert_true (s_count_asks (m, 0, 1031, 1000 + RK_HEARTBEAT_MS - 1) > 0);
    rk_member_heard (m, 0, 1000 + RK_HEARTBEAT_MS); /* over a new connection: it lives */
    assert_int_equal (s_count_asks (m, 0, 1000 + RK_HEARTBEAT_MS, 20000), 0);
    rk_member_hung_up (m, 0, 21000); /* once more */
    assert_int_equal (rk_member_ask (m, 21000), 0);
    rk_member_destroy (&m);
}

/* A new view begins in the middle of it: what was found out holds there, too. */
static void test_evidence_is_learned (void **state)
{
    (void) state;
    rk_member_t *before = s_member (2, 0), *m = s_member (2, 1100);
    rk_member_hung_up (before, 0, 1000);
    rk_member_hung_up (before, 1, 1000);
    assert_int_equal (rk_member_ask (before, 1000), 0);
    assert_true (rk_member_refused (before, 0, 1000));
    rk_member_learn (m, 0, before);
    rk_member_learn (m, 1, before);
    assert_true (rk_member_is_suspected (m, 0, 1100));
    assert_false (rk_member_is_suspected (m, 1, 1100));
    assert_int_equal (rk_member_ask (m, 1100), 0);
    assert_int_equal (rk_member_ask (m, 1100), 1);
    assert_true (rk_member_refused (m, 1, 1100));
    rk_member_destroy (&before);
    rk_member_destroy (&m);
}

static void test_start_is_generous (void **state)
{
    (void) state;
    rk_member_t *m = s_member (1, 1000);
    int64_t silent = 0;
    assert_int_equal (rk_member_suspect (m, 1000 + 20 * RK_HEARTBEAT_MS, &silent), NONE);
    int64_t due = rk_member_next_ms (m, 1000);
    assert_int_equal (due, 1000 + rk_member_deadline_ms (m, 0));
    assert_int_equal (rk_member_suspect (m, due, &silent), 0); /* but not without end */
    rk_member_destroy (&m);
}

static void test_joining_and_leaving (void **state)
{
    (void) state;
    rk_member_t *m = NULL;
    int64_t silent;
    assert_int_equal (rk_member_new (&m, 2), RK_OK);
    assert_int_equal (rk_member_suspect (m, 1000000, &silent), NONE);
    assert_true (rk_member_next_ms (m, 5) > 5);
    assert_int_equal (rk_member_join (m, 70, 0), RK_OK);
    assert_int_equal (rk_member_join (m, 80, 0), RK_OK);
    assert_int_equal (rk_member_join (m, 90, 0), RK_ENOMEM);
    rk_member_leave (m, 70);
    rk_member_leave (m, 71); /* nobody: nothing happens */
    rk_member_heard (m, 71, 5);
    assert_int_equal (rk_member_join (m, 90, 0), RK_OK);
    /* Who joins again begins anew: nothing learned in the life before counts. */
    for (int64_t now = 0; now < 20000; now += RK_HEARTBEAT_MS)
        rk_member_heard (m, 90, now);
    int64_t learned = rk_member_deadline_ms (m, 90);
    assert_int_equal (rk_member_join (m, 90, 30000), RK_OK);
    assert_true (rk_member_deadline_ms (m, 90) > learned);
    /* A clock that stands still or a late message changes nothing. */
    rk_member_heard (m, 90, 29000);
    assert_int_equal (rk_member_suspect (m, 30000 + rk_member_deadline_ms (m, 90) - 1, &silent), 80);
    rk_member_destroy (&m);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_regular_peers_are_trusted), cmocka_unit_test (test_stopped_peer_is_named_in_time),
        cmocka_unit_test (test_slow_peer_is_learned),      cmocka_unit_test (test_jitter),
        cmocka_unit_test (test_outlier_does_not_stretch),  cmocka_unit_test (test_deadline_follows),
        cmocka_unit_test (test_least_deadline), cmocka_unit_test (test_start_is_generous),
        cmocka_unit_test (test_joining_and_leaving), cmocka_unit_test (test_refusal_is_evidence),
        cmocka_unit_test (test_no_answer_is_none), cmocka_unit_test (test_hearing_beats_refusal),
        cmocka_unit_test (test_evidence_is_learned),
    };
    return cmocka_run_group_tests_name ("cluster/member", tests, NULL, NULL);
}
