/* SPDX-License-Identifier: MPL-2.0
 * One stage between scripted neighbours: what it sends, what it refuses, and that refusing harms nobody. */
#include "tests/actors/stage_bench.h"
#include "actors/feeder.h"
#include "cluster/hold.h"
#include "compute/kernels/vec.h"

/* ---- tests */

static uint32_t s_send_bad_activations (bench_t *b, uint64_t f)
{
    const size_t good[] = {BATCH * b->in[0].elems * sizeof (float), BATCH * sizeof (int32_t)};
    const size_t bad[][2] = {{good[0] - 4, good[1]}, {good[0] + 4, good[1]}, {good[0], good[1] - 4}, {good[0] / 2, good[1]}, {0, good[1]}};
    uint32_t n = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++, n++)
        s_send (&b->before, s_activation (f), 2, bad[i]);
    s_send (&b->before, s_activation (f), 1, good), n++;
    rk_msg_t msg = s_activation (f);
    msg.activation.n = BATCH - 1;
    s_send_activation (b, msg), n++;
    msg = s_activation (f);
    msg.activation.dtype = RK_DTYPE_F16;
    s_send_activation (b, msg), n++;
    msg = s_activation (f);
    msg.activation.n_tensors = 2;
    s_send_activation (b, msg), n++;
    msg = s_activation (f);
    msg.activation.round = 1; /* f belongs to round 0 */
    s_send_activation (b, msg), n++;
    msg = s_activation (UINT64_MAX);
    msg.activation.round = UINT64_MAX;
    s_send_activation (b, msg), n++;
    msg = s_activation (f);
    s_send (&b->after, msg, 2, good), n++; /* from the wrong neighbour */
    b->before.view++;
    s_send_activation (b, s_activation (f)), n++;
    b->before.view--;
    return n;
}

static uint32_t s_send_bad_gradients (bench_t *b, uint64_t f)
{
    const size_t sizes[] = {BATCH * b->out[0].elems * sizeof (float) - 4, BATCH * b->out[0].elems * sizeof (float)};
    uint32_t n = 0;
    s_send (&b->after, s_gradient (f), 1, &sizes[0]), n++;
    s_send (&b->after, s_gradient (f), 2, sizes), n++;
    s_send (&b->before, s_gradient (f), 1, &sizes[1]), n++; /* from the wrong neighbour */
    s_send_gradient (b, s_gradient (f + 1000)), n++;
    rk_msg_t msg = s_gradient (f);
    msg.gradient.n = BATCH - 1;
    s_send_gradient (b, msg), n++;
    msg = s_gradient (f);
    msg.gradient.dtype = RK_DTYPE_F16;
    s_send_gradient (b, msg), n++;
    msg = s_gradient (f);
    msg.gradient.round = 3;
    s_send_gradient (b, msg), n++;
    return n;
}

static uint32_t s_send_bad_others (bench_t *b)
{
    const uint64_t none[] = {0, 0}, some[] = {4, 4};
    uint32_t n = 0;
    size_t size = (b->plan->stages[1].flat_hi - b->plan->stages[1].flat_lo) * sizeof (float);
    rk_msg_t closed = {.kind = RK_MSG_ROUND_CLOSED, .round_closed = {.n_clusters = 2, .counts = some, .samples = some}};
    s_send (&b->after, closed, 0, NULL), n++; /* not a coordinator */
    closed.round_closed.round = 5;
    s_send (&b->coordinator, closed, 0, NULL), n++;
    closed.round_closed.round = 0;
    closed.round_closed.n_clusters = 1;
    s_send (&b->coordinator, closed, 0, NULL), n++;
    closed.round_closed.n_clusters = 2;
    closed.round_closed.samples = none; /* nothing to divide by */
    s_send (&b->coordinator, closed, 0, NULL), n++;
    s_send (&b->reducer, (rk_msg_t){.kind = RK_MSG_MEAN, .mean = {.n_planes = 1}}, 1, &size), n++; /* none is awaited */
    s_send (&b->after, (rk_msg_t){.kind = RK_MSG_CREDIT, .credit = {.mode = RK_MB_TRAIN}}, 0, NULL), n++;
    s_send (&b->before, (rk_msg_t){.kind = RK_MSG_CREDIT, .credit = {.mode = RK_MB_EVAL}}, 0, NULL), n++;
    s_send (&b->after, (rk_msg_t){.kind = RK_MSG_SAVE_REQUEST}, 0, NULL), n++;
    s_send (&b->after, (rk_msg_t){.kind = RK_MSG_TIED, .tied = {.n_tensors = 1, .n_floats = size / 4}}, 1, &size), n++; /* none is */
    s_send (&b->after, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.reason = "x"}}, 0, NULL), n++;
    return n;
}

static void malformed_messages_are_dropped_and_counted (void **state)
{
    for (int mode = RK_AVERAGE_OVERLAPPED; mode <= RK_AVERAGE_DRAINED; mode++) {
        bench_t b;
        s_open (&b, (rk_average_mode_t) mode, RK_WIRE_F32);
        uint64_t f = s_dealt (&b, 0);
        uint32_t n = s_send_bad_activations (&b, f) + s_send_bad_gradients (&b, f) + s_send_bad_others (&b);
        s_send_activation (&b, s_activation (f));
        const rk_msg_t *msg = mock_receive (&b.after, RK_MSG_ACTIVATION);
        assert_int_equal (msg->activation.f, f);
        assert_int_equal (b.after.packet->n_frames, 2);
        assert_int_equal (zmq_msg_size (&b.after.packet->frame[0]), BATCH * b.out[0].elems * sizeof (float));
        s_send_activation (&b, s_activation (f)), n++; /* once more */
        uint64_t second = s_dealt (&b, 1);
        s_send_activation (&b, s_activation (second)); /* drained: the second forward comes before a backward */
        mock_receive (&b.after, RK_MSG_ACTIVATION);
        n += s_send_bad_gradients (&b, f) + s_send_bad_others (&b);
        s_send_gradient (&b, s_gradient (f));
        assert_int_equal (mock_receive (&b.before, RK_MSG_GRADIENT)->gradient.f, f);
        s_send_gradient (&b, s_gradient (f)), n++; /* once more */
        rk_packet_clear (b.after.packet);
        s_send_activation (&b, s_activation (s_dealt (&b, 2)));
        mock_receive (&b.after, RK_MSG_ACTIVATION);
        s_send_gradient (&b, s_gradient (second));
        mock_receive (&b.before, RK_MSG_GRADIENT);
        assert_int_equal (s_stop (&b).dropped, n);
        s_close (&b);
    }
}

/* A frame larger than the plan can mean ends the sender's connection; everybody else is heard as before. */
static void oversized_messages_end_the_connection (void **state)
{
    bench_t b;
    s_open (&b, RK_AVERAGE_OVERLAPPED, RK_WIRE_F32);
    rk_error_t err;
    rk_actor_t *stage = NULL;
    const rk_stage_config_t config = {.plan = b.plan, .node = 1, .model = b.model, .identity = &rk_identity_plain, .bind = "tcp://127.0.0.1:*"};
    s_ok (rk_stage_new (&stage, &config, &err), &err);
    s_ok (rk_actor_connect (stage, b.after.sender, b.after.endpoint, &err), &err);
    zsock_t *stranger = zsock_new_dealer (rk_actor_endpoint (stage));
    size_t size = 1 << 26;
    uint8_t *large = calloc (1, size);
    assert_non_null (large);
    zmq_send (zsock_resolve (stranger), large, size, 0);
    zmq_send (zsock_resolve (stranger), large, 100, 0); /* what comes after it is nonsense, too */
    free (large);
    zsock_destroy (&b.before.dealer);
    mock_connect (&b.before, stage);
    s_send_activation (&b, s_activation (0));
    assert_int_equal (mock_receive (&b.after, RK_MSG_ACTIVATION)->activation.f, 0);
    rk_packet_clear (b.after.packet);
    zsock_destroy (&stranger);
    rk_actor_stop (&stage);
    s_close (&b);
}

static void drained_order_is_the_plan_s (void **state)
{
    bench_t b;
    s_open (&b, RK_AVERAGE_DRAINED, RK_WIRE_F32);
    s_send_activation (&b, s_activation (s_dealt (&b, 1))); /* not its turn: refused */
    s_send_activation (&b, s_activation (s_dealt (&b, 0)));
    assert_int_equal (mock_receive (&b.after, RK_MSG_ACTIVATION)->activation.f, s_dealt (&b, 0));
    s_send_activation (&b, s_activation (s_dealt (&b, 1)));
    assert_int_equal (mock_receive (&b.after, RK_MSG_ACTIVATION)->activation.f, s_dealt (&b, 1));
    /* Stage 1 of 3 has had its two forwards: a third waits although it is here, until a gradient comes. */
    s_send_activation (&b, s_activation (s_dealt (&b, 2)));
    s_send_gradient (&b, s_gradient (s_dealt (&b, 0)));
    assert_int_equal (mock_receive (&b.before, RK_MSG_GRADIENT)->gradient.f, s_dealt (&b, 0));
    assert_int_equal (mock_receive (&b.after, RK_MSG_ACTIVATION)->activation.f, s_dealt (&b, 2));
    assert_int_equal (s_stop (&b).dropped, 1);
    s_close (&b);
}

/* RoundClosed may come before or after the last backward; with 0 minibatches it ends the round at once. */
static void a_round_ends_when_it_is_closed_and_done (void **state)
{
    for (int late = 0; late < 2; late++) {
        bench_t b;
        s_open (&b, RK_AVERAGE_OVERLAPPED, RK_WIRE_F32);
        const uint64_t counts[] = {1, 7}, samples[] = {BATCH, 7 * BATCH}, none[] = {0, 8}, no_samples[] = {0, 8 * BATCH};
        rk_msg_t closed = {.kind = RK_MSG_ROUND_CLOSED, .round_closed = {.n_clusters = 2, .counts = counts, .samples = samples}};
        if (!late)
            mock_send (&b.coordinator, closed, NULL, 0);
        s_send_activation (&b, s_activation (3));
        mock_receive (&b.after, RK_MSG_ACTIVATION);
        s_send_gradient (&b, s_gradient (3));
        mock_receive (&b.before, RK_MSG_GRADIENT);
        if (late)
            mock_send (&b.coordinator, closed, NULL, 0);
        const rk_msg_t *msg = mock_receive (&b.reducer, RK_MSG_SNAPSHOT);
        assert_true (msg->snapshot.round == 0 && msg->snapshot.weight == BATCH && msg->snapshot.total == 8 * BATCH);
        /* The next round is closed without anything for us, while the mean is still out. */
        rk_msg_t next = {.kind = RK_MSG_ROUND_CLOSED,
                         .round_closed = {.round = 1, .n_clusters = 2, .counts = none, .samples = no_samples}};
        mock_send (&b.coordinator, next, NULL, 0);
        const rk_frame_t frame = {.share = &b.reducer.packet->frame[0]};
        mock_send (&b.reducer, (rk_msg_t){.kind = RK_MSG_MEAN, .mean = {.round = 0, .n_planes = 1}}, &frame, 1);
        const rk_msg_t *applied = mock_receive (&b.coordinator, RK_MSG_ROUND_APPLIED);
        assert_true (applied->round_applied.round == 0 && applied->round_applied.stage == 1);
        msg = mock_receive (&b.reducer, RK_MSG_SNAPSHOT);
        assert_true (msg->snapshot.round == 1 && msg->snapshot.weight == 0);
        assert_int_equal (s_stop (&b).dropped, 0);
        rk_packet_clear (b.reducer.packet);
        s_close (&b);
    }
}

static void halves_travel_when_the_plan_says_so (void **state)
{
    bench_t b;
    s_open (&b, RK_AVERAGE_OVERLAPPED, RK_WIRE_F16);
    s_send_activation (&b, s_activation (0)); /* f32: refused */
    const size_t sizes[] = {BATCH * b.in[0].elems * 2, BATCH * sizeof (int32_t)};
    rk_msg_t msg = s_activation (0);
    msg.activation.dtype = RK_DTYPE_F16;
    s_send (&b.before, msg, 2, sizes);
    assert_int_equal (mock_receive (&b.after, RK_MSG_ACTIVATION)->activation.dtype, RK_DTYPE_F16);
    assert_int_equal (zmq_msg_size (&b.after.packet->frame[0]), BATCH * b.out[0].elems * 2);
    const size_t size = BATCH * b.out[0].elems * 2;
    msg = s_gradient (0);
    msg.gradient.dtype = RK_DTYPE_F16;
    s_send (&b.after, msg, 1, &size);
    assert_int_equal (mock_receive (&b.before, RK_MSG_GRADIENT)->gradient.dtype, RK_DTYPE_F16);
    assert_int_equal (zmq_msg_size (&b.before.packet->frame[0]), BATCH * b.in[0].elems * 2);
    rk_packet_clear (b.before.packet);
    rk_packet_clear (b.after.packet);
    assert_int_equal (s_stop (&b).dropped, 1);
    s_close (&b);
}

static void forward_only_minibatches_leave_nothing (void **state)
{
    bench_t b;
    s_open (&b, RK_AVERAGE_DRAINED, RK_WIRE_F32);
    for (uint64_t f = 0; f < 20; f++) { /* many more than the window: nothing is kept */
        rk_msg_t msg = s_activation (f);
        msg.activation.mode = RK_MB_EVAL;
        s_send_activation (&b, msg);
        assert_int_equal (mock_receive (&b.after, RK_MSG_ACTIVATION)->activation.mode, RK_MB_EVAL);
        rk_packet_clear (b.after.packet);
        s_send (&b.after, (rk_msg_t){.kind = RK_MSG_CREDIT, .credit = {.f = f, .mode = RK_MB_EVAL}}, 0, NULL);
        assert_int_equal (mock_receive (&b.before, RK_MSG_CREDIT)->credit.f, f);
    }
    rk_report_t report = s_stop (&b);
    assert_int_equal (report.minibatches, 0);
    assert_int_equal (report.dropped, 0);
    s_close (&b);
}

static void wrong_constructions_are_refused (void **state)
{
    bench_t b;
    s_open (&b, RK_AVERAGE_DRAINED, RK_WIRE_F32);
    rk_actor_t *actor = NULL;
    rk_error_t err;
    rk_stage_config_t config = {.plan = b.plan, .node = 77, .model = b.model};
    assert_int_equal (rk_stage_new (&actor, &config, &err), RK_EPLAN);
    config.node = 1;
    config.initial = "/nowhere/at/all.safetensors";
    assert_int_equal (rk_stage_new (&actor, &config, &err), RK_EIO);
    rk_model_t *other = rig_mlp (4);
    config = (rk_stage_config_t){.plan = b.plan, .node = 1, .model = other};
    assert_int_equal (rk_stage_new (&actor, &config, &err), RK_EPLAN);
    assert_null (actor);
    const rk_feeder_config_t feeder = {.plan = b.plan, .node = 1, .data = rig_data ()};
    assert_int_equal (rk_feeder_new (&actor, &feeder, &err), RK_EPLAN); /* not a first stage */
    rk_model_destroy (&other);
    s_close (&b);
}

/* A node of a quarter of the strength takes four times as long as it computes, but for what it may owe (cluster/hold). */
static void a_slow_node_waits (void **state)
{
    rk_model_t *model = rig_mlp (3);
    const uint32_t speeds[] = {1000000, 250000};
    rig_config_t config = {.model = model, .data = rig_data (), .n_clusters = 1, .counts = {2}, .transport = "inproc",
                           .speed_ppm = speeds};
    rig_settings (&config.settings);
    config.settings.average_mode = RK_AVERAGE_OVERLAPPED;
    rig_result_t result;
    rig_run (&config, &result);
    assert_int_equal (result.reports[0].declared_wait_ns, 0);
    /* Both nodes share a host of one core, which is asked for 5 quarters of what it has: 4 x 5 / 4. */
    assert_true (result.reports[1].wall_ns + RK_HOLD_OWED_NS >= 5 * result.reports[1].busy_ns * 99 / 100);
    assert_true (result.reports[1].declared_wait_ns > 0);
    rig_clear (&result);
    rk_model_destroy (&model);
}

static int s_end (void **state)
{
    rig_data_close ();
    return 0;
}

int main (void)
{
    setenv ("RK_LOG", "error", 0); /* these tests provoke warnings */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (malformed_messages_are_dropped_and_counted),
        cmocka_unit_test (oversized_messages_end_the_connection),
        cmocka_unit_test (drained_order_is_the_plan_s),
        cmocka_unit_test (a_round_ends_when_it_is_closed_and_done),
        cmocka_unit_test (halves_travel_when_the_plan_says_so),
        cmocka_unit_test (forward_only_minibatches_leave_nothing),
        cmocka_unit_test (wrong_constructions_are_refused),
        cmocka_unit_test (a_slow_node_waits),
    };
    return cmocka_run_group_tests (tests, NULL, s_end);
}
