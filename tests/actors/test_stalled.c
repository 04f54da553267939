/* SPDX-License-Identifier: MPL-2.0
 * A feeder, the first of two stages and a second one that does not answer: what queues for it is the credit, to the byte. */
#include "tests/actors/mock_peer.h"
#include "tests/support/rig.h"
#include "actors/feeder.h"

#define WIDTH 2048 /* floats of a sample that cross the cut */
#define BATCH 64   /* half a MiB and the labels cross it with each minibatch */
#define SPARE_BYTES 10000000

typedef struct {
    rk_model_t *model;
    rk_plan_t *plan;
    rk_actor_t *feeder, *stage;
    uint64_t next_f;
    mock_peer_t to_feeder, to_stage, after; /* two coordinators, so that no answer is the other's; the stalled stage */
} scene_t;

static void s_ok (rk_err_t code, const rk_error_t *err)
{
    if (code != RK_OK)
        fail_msg ("%s: %s", rk_strerror (code), err->text);
}

static void s_plan (scene_t *s, uint32_t window)
{
    memset (s, 0, sizeof *s);
    s->model = rk_model_new (rk_shape_3 (1, 28, 28));
    int at = rk_model_flatten (s->model, "flatten", 0);
    at = rk_model_linear (s->model, "wide", at, WIDTH, true);
    at = rk_model_linear (s->model, "out", at, 10, true);
    rk_model_softmax_xent (s->model, "loss", at);
    rk_error_t err;
    s_ok (rk_model_seal (s->model, &err), &err);
    rig_config_t config = {.model = s->model, .data = rig_data (), .n_clusters = 1, .counts = {2}, .cuts = (uint32_t[]) {0, 2}};
    rig_settings (&config.settings);
    config.settings.train_batch = BATCH;
    config.settings.pipeline_in_flight = window;
    config.settings.average_every = 64; /* one round: no end of one bounds anything */
    s->plan = rig_plan (&config);
    assert_int_equal (s->plan->clusters[0].in_flight, window);
}

/* Over tcp, as between machines: the second stage takes nothing from its socket. */
static void s_open (scene_t *s, uint32_t window)
{
    rk_error_t err;
    s_plan (s, window);
    const char *tcp = "tcp://127.0.0.1:*";
    mock_open (&s->to_feeder, rk_address (RK_ACTOR_COORDINATOR, 0), s->plan->view);
    mock_open (&s->to_stage, rk_address (RK_ACTOR_COORDINATOR, 0), s->plan->view);
    mock_open_at (&s->after, rk_address (RK_ACTOR_STAGE, 1), s->plan->view, tcp);
    const rk_feeder_config_t feeder = {.plan = s->plan, .node = 0, .data = rig_data (), .coordinator = s->to_feeder.endpoint,
                                       .identity = &rk_identity_plain};
    const rk_stage_config_t stage = {.plan = s->plan, .node = 0, .model = s->model, .coordinator = s->to_stage.endpoint, .bind = tcp,
                                     .identity = &rk_identity_plain};
    s_ok (rk_feeder_new (&s->feeder, &feeder, &err), &err);
    s_ok (rk_stage_new (&s->stage, &stage, &err), &err);
    mock_connect (&s->to_feeder, s->feeder);
    mock_connect (&s->to_stage, s->stage);
    mock_connect (&s->after, s->stage);
    s_ok (rk_actor_connect (s->stage, rk_address (RK_ACTOR_FEEDER, 0), rk_actor_endpoint (s->feeder), &err), &err);
    s_ok (rk_actor_connect (s->stage, s->after.sender, s->after.endpoint, &err), &err);
}

static void s_close (scene_t *s)
{
    rk_actor_stop (&s->feeder);
    rk_actor_stop (&s->stage);
    mock_close (&s->to_feeder);
    mock_close (&s->to_stage);
    mock_close (&s->after);
    rk_plan_destroy (&s->plan);
    rk_model_destroy (&s->model);
}

static void s_grant (scene_t *s, size_t n)
{
    uint64_t f[256];
    for (size_t i = 0; i < n; i++)
        f[i] = s->next_f++;
    mock_send (&s->to_feeder, (rk_msg_t){.kind = RK_MSG_LEASE_GRANT, .lease_grant = {.n = n, .f = f}}, NULL, 0);
}

/* What the feeder waits for; leases that it asks for meanwhile are granted. */
static uint32_t s_waits (scene_t *s)
{
    mock_send (&s->to_feeder, (rk_msg_t){.kind = RK_MSG_STATUS_REQUEST}, NULL, 0);
    for (;;) {
        zmq_pollitem_t item = {.socket = zsock_resolve (s->to_feeder.inbox), .events = ZMQ_POLLIN};
        if (zmq_poll (&item, 1, MOCK_WAIT_MS) <= 0)
            fail_msg ("the feeder says nothing");
        if (rk_wire_receive (item.socket, true, s->to_feeder.packet, NULL) != RK_OK)
            continue;
        const rk_msg_t *msg = &s->to_feeder.packet->msg;
        if (msg->kind == RK_MSG_WAITS)
            return msg->waits.what;
        if (msg->kind == RK_MSG_LEASE_REQUEST)
            s_grant (s, msg->lease_request.n);
    }
}

static void s_feed_until_it_waits (scene_t *s)
{
    const int64_t end_ns = rk_now_ns () + MOCK_WAIT_MS * INT64_C (1000000);
    while (s_waits (s) != RK_WAITS_CREDIT)
        if (rk_now_ns () > end_ns)
            fail_msg ("%llu leases, and the feeder does not wait for credit", (unsigned long long) s->next_f);
}

/* Bytes that came for a second stage that took nothing until nothing more could come. */
static uint64_t s_queued (uint32_t window, uint32_t *n)
{
    scene_t s;
    rk_error_t err;
    s_open (&s, window);
    s_ok (rk_actor_connect (s.feeder, rk_address (RK_ACTOR_STAGE, 0), rk_actor_endpoint (s.stage), &err), &err);
    s_feed_until_it_waits (&s);
    uint64_t bytes = 0;
    for (*n = 0; *n < window; ++*n) {
        assert_int_equal (mock_receive (&s.after, RK_MSG_ACTIVATION)->activation.f, *n);
        for (int i = 0; i < s.after.packet->n_frames; i++)
            bytes += zmq_msg_size (&s.after.packet->frame[i]);
    }
    zmq_pollitem_t more = {.socket = zsock_resolve (s.after.inbox), .events = ZMQ_POLLIN};
    s_feed_until_it_waits (&s); /* it still does: all it may send has been sent, and has come */
    *n += zmq_poll (&more, 1, 0) > 0;
    s_close (&s);
    return bytes;
}

static void what_queues_is_the_credit (void **state)
{
    (void) state;
    const uint64_t each = BATCH * (WIDTH * sizeof (float) + RK_LABEL_BYTES);
    uint32_t n;
    const uint64_t small = s_queued (2, &n);
    assert_int_equal (n, 2);
    assert_int_equal (small, 2 * each);
    const uint64_t large = s_queued (24, &n); /* more credit would be seen */
    assert_int_equal (n, 24);
    assert_int_equal (large, 24 * each);
    assert_true (small <= 2 * each + SPARE_BYTES && large > 2 * each + SPARE_BYTES);
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (what_queues_is_the_credit)};
    const int failed = cmocka_run_group_tests (tests, NULL, NULL);
    rig_data_close ();
    return failed;
}
