/* SPDX-License-Identifier: MPL-2.0
 * The middle one of three stages between scripted neighbours.                                            */
#ifndef RK_TESTS_ACTORS_STAGE_BENCH_H
#define RK_TESTS_ACTORS_STAGE_BENCH_H
#include "tests/actors/mock_peer.h"
#include "tests/support/rig.h"
#include "cluster/lease.h"

#define BATCH 8

typedef struct {
    rk_model_t *model;
    rk_plan_t *plan;
    rk_actor_t *stage;
    mock_peer_t before, after, coordinator, reducer; /* coordinator: also the observer */
    rk_boundary_t in[RK_MAX_BOUNDARY], out[RK_MAX_BOUNDARY];
    int n_in, n_out;
} bench_t;

static inline void s_ok (rk_err_t code, const rk_error_t *err)
{
    if (code != RK_OK)
        fail_msg ("%s: %s", rk_strerror (code), err->text);
}

static inline void s_join (bench_t *b, mock_peer_t *peer, rk_actor_kind_t kind, uint32_t node)
{
    rk_error_t err;
    mock_open (peer, rk_address (kind, node), b->plan->view);
    mock_connect (peer, b->stage);
    s_ok (rk_actor_connect (b->stage, peer->sender, peer->endpoint, &err), &err);
}

/* The middle one of three stages; a second cluster of one stage makes it average. */
static inline void s_open_clipping (bench_t *b, rk_average_mode_t mode, rk_wire_dtype_t wire, double clip)
{
    rk_error_t err;
    memset (b, 0, sizeof *b);
    b->model = rig_mlp (3);
    rig_config_t config = {.model = b->model, .data = rig_data (), .n_clusters = 2, .counts = {3, 1}};
    rig_settings (&config.settings);
    config.settings.train_batch = BATCH;
    config.settings.average_mode = mode;
    config.settings.pipeline_wire = wire;
    config.settings.train_clip = clip;
    b->plan = rig_plan (&config);
    mock_open (&b->coordinator, rk_address (RK_ACTOR_COORDINATOR, 0), b->plan->view);
    const rk_stage_config_t stage = {.plan = b->plan, .node = 1, .model = b->model, .coordinator = b->coordinator.endpoint,
                                     .observer = b->coordinator.endpoint};
    s_ok (rk_stage_new (&b->stage, &stage, &err), &err);
    mock_connect (&b->coordinator, b->stage);
    assert_int_equal (mock_receive (&b->coordinator, RK_MSG_READY)->ready.digest, b->plan->digest);
    s_join (b, &b->before, RK_ACTOR_STAGE, 0);
    s_join (b, &b->after, RK_ACTOR_STAGE, 2);
    s_join (b, &b->reducer, RK_ACTOR_REDUCER, 1);
    b->n_in = rk_model_boundary (b->model, (int) b->plan->stages[1].first, 0, b->in);
    b->n_out = rk_model_boundary (b->model, (int) b->plan->stages[1].last, (int) b->plan->stages[1].first, b->out);
    assert_true (b->n_in == 1 && b->n_out == 1);
}

static inline void s_open (bench_t *b, rk_average_mode_t mode, rk_wire_dtype_t wire)
{
    s_open_clipping (b, mode, wire, 0);
}

static inline void s_close (bench_t *b)
{
    rk_actor_stop (&b->stage);
    mock_close (&b->before);
    mock_close (&b->after);
    mock_close (&b->reducer);
    mock_close (&b->coordinator);
    rk_plan_destroy (&b->plan);
    rk_model_destroy (&b->model);
}

static inline void s_receive_any (mock_peer_t *peer)
{
    zmq_pollitem_t item = {.socket = zsock_resolve (peer->inbox), .events = ZMQ_POLLIN};
    if (zmq_poll (&item, 1, MOCK_WAIT_MS) <= 0)
        fail_msg ("nothing came");
    if (rk_wire_receive (item.socket, true, peer->packet, NULL) != RK_OK)
        peer->packet->msg.kind = RK_MSG_NONE;
}

/* The report that follows Stop. */
static inline rk_report_t s_stop (bench_t *b)
{
    mock_send (&b->coordinator, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.reason = "test"}}, NULL, 0);
    rk_report_t report = {.final = false};
    bool stopped = false;
    while (!report.final || !stopped) { /* they come over different sockets, in either order */
        s_receive_any (&b->coordinator);
        const rk_msg_t *msg = &b->coordinator.packet->msg;
        stopped |= msg->kind == RK_MSG_STOPPED;
        if (msg->kind == RK_MSG_REPORT)
            report = msg->report;
    }
    return report;
}

/* ---- messages as the plan wants them */

static inline uint64_t s_dealt (const bench_t *b, uint32_t at) /* id number `at` of round 0 for cluster 0 */
{
    uint32_t owners[64];
    uint64_t first, end;
    rk_round_range (b->plan, 0, &first, &end);
    assert_true (end - first <= 64);
    rk_deal_round (b->plan, 0, owners);
    for (uint64_t i = 0; i < end - first; i++)
        if (owners[i] == 0 && at-- == 0)
            return first + i;
    fail_msg ("not dealt");
    return 0;
}

static inline rk_msg_t s_activation (uint64_t f)
{
    return (rk_msg_t){.kind = RK_MSG_ACTIVATION, .activation = {.f = f, .n = BATCH, .n_tensors = 1}};
}

static inline rk_msg_t s_gradient (uint64_t f)
{
    return (rk_msg_t){.kind = RK_MSG_GRADIENT, .gradient = {.f = f, .n = BATCH, .n_tensors = 1}};
}

/* Sends frames of these sizes, filled with zeros (which are good labels too), past all checks of a sender. */
static inline void s_send (mock_peer_t *from, rk_msg_t msg, size_t n_frames, const size_t *sizes)
{
    static uint8_t zeros[1 << 16], envelope[1 << 12];
    void *socket = zsock_resolve (from->dealer);
    msg.view = from->view;
    msg.sender = from->sender;
    msg.seq = 1;
    size_t size = rk_wire_pack (&msg, envelope, sizeof envelope);
    assert_true (size <= sizeof envelope);
    assert_int_equal (zmq_send (socket, envelope, size, n_frames ? ZMQ_SNDMORE : 0), size);
    for (size_t i = 0; i < n_frames; i++) {
        assert_true (sizes[i] <= sizeof zeros);
        assert_int_equal (zmq_send (socket, zeros, sizes[i], i + 1 < n_frames ? ZMQ_SNDMORE : 0), sizes[i]);
    }
}

static inline void s_send_activation (bench_t *b, rk_msg_t msg)
{
    const size_t sizes[] = {BATCH * b->in[0].elems * sizeof (float), BATCH * sizeof (int32_t)};
    s_send (&b->before, msg, 2, sizes);
}

static inline void s_send_gradient (bench_t *b, rk_msg_t msg)
{
    const size_t size = BATCH * b->out[0].elems * sizeof (float);
    s_send (&b->after, msg, 1, &size);
}

#endif
