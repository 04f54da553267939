/* SPDX-License-Identifier: MPL-2.0
 * What a stage does about norms and verdicts, and which of them it refuses. */
#include "tests/actors/stage_bench.h"

static void s_forward_and_back (bench_t *b, uint64_t f)
{
    s_send_activation (b, s_activation (f));
    mock_receive (&b->after, RK_MSG_ACTIVATION);
    s_send_gradient (b, s_gradient (f));
    assert_int_equal (mock_receive (&b->before, RK_MSG_GRADIENT)->gradient.f, f);
}

static bool s_is_silent (mock_peer_t *peer)
{
    zmq_pollitem_t item = {.socket = zsock_resolve (peer->inbox), .events = ZMQ_POLLIN};
    return zmq_poll (&item, 1, 0) == 0;
}

static rk_msg_t s_norm (uint64_t step, double squares)
{
    return (rk_msg_t){.kind = RK_MSG_NORM, .norm = {.step = step, .squares = squares, .loss_scale = 1}};
}

static rk_msg_t s_verdict (uint64_t step, bool skip)
{
    return (rk_msg_t){.kind = RK_MSG_VERDICT, .verdict = {.step = step, .skip = skip, .grad_scale = 0.5f, .loss_scale = 1}};
}

/* The norm waits for that of the stage after; the verdict is passed on; both only when they are due. */
static void updates_wait_for_their_verdict (void **state)
{
    bench_t b;
    uint32_t n = 0;
    s_open_clipping (&b, RK_AVERAGE_OVERLAPPED, RK_WIRE_F32, 1);
    s_send (&b.before, s_verdict (0, false), 0, NULL), n++; /* on nothing */
    s_forward_and_back (&b, s_dealt (&b, 0));
    s_send (&b.before, s_norm (0, 2), 0, NULL), n++;  /* from the wrong side */
    s_send (&b.after, s_norm (1000, 2), 0, NULL), n++; /* of an update far away */
    s_send (&b.after, s_norm (0, 2), 0, NULL);
    const rk_norm_t norm = mock_receive (&b.before, RK_MSG_NORM)->norm;
    assert_int_equal (norm.step, 0);
    assert_true (norm.squares == 2); /* a gradient of zeros adds nothing */
    s_send (&b.after, s_norm (0, 2), 0, NULL), n++; /* twice */
    s_forward_and_back (&b, s_dealt (&b, 1)); /* held, while work goes on */
    s_send (&b.after, s_norm (1, (double) NAN), 0, NULL);
    assert_false (mock_receive (&b.before, RK_MSG_NORM)->norm.squares == 2);
    s_send (&b.before, s_verdict (1, true), 0, NULL), n++; /* before its turn */
    s_send (&b.after, s_verdict (0, false), 0, NULL), n++; /* from the wrong side */
    s_send (&b.before, s_verdict (0, false), 0, NULL);
    const rk_verdict_msg_t passed = mock_receive (&b.after, RK_MSG_VERDICT)->verdict;
    assert_true (passed.step == 0 && !passed.skip && passed.grad_scale == 0.5f);
    s_send (&b.before, s_verdict (1, true), 0, NULL);
    assert_true (mock_receive (&b.after, RK_MSG_VERDICT)->verdict.skip);
    s_send (&b.after, (rk_msg_t){.kind = RK_MSG_SUSPECT, .suspect = {.f = 77}}, 0, NULL), n++; /* not here */
    s_forward_and_back (&b, s_dealt (&b, 2)); /* the stage has heard all of it */
    const rk_report_t report = s_stop (&b);
    assert_int_equal (report.dropped, n);
    assert_int_equal (report.skipped, 1);
    assert_int_equal (report.staleness_n, 1); /* what was left out has no age */
    s_close (&b);
}

static void nothing_is_asked_when_nothing_is_judged (void **state)
{
    bench_t b;
    s_open (&b, RK_AVERAGE_OVERLAPPED, RK_WIRE_F32);
    for (uint32_t i = 0; i < 2; i++)
        s_forward_and_back (&b, s_dealt (&b, i));
    s_send (&b.after, s_norm (0, 2), 0, NULL);
    s_send (&b.before, s_verdict (0, false), 0, NULL);
    s_forward_and_back (&b, s_dealt (&b, 2)); /* the stage has heard both, and made the first two updates */
    const rk_report_t report = s_stop (&b);
    assert_int_equal (report.dropped, 2);
    assert_true (report.staleness_n >= 2);
    assert_true (s_is_silent (&b.before) && s_is_silent (&b.after));
    s_close (&b);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (updates_wait_for_their_verdict),
        cmocka_unit_test (nothing_is_asked_when_nothing_is_judged),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
