/* SPDX-License-Identifier: MPL-2.0
 * The cast around a coordinator: a small run by hand, and every actor of it as a DEALER of the test.      */
#ifndef RK_TESTS_ACTORS_CAST_H
#define RK_TESTS_ACTORS_CAST_H
#include "tests/actors/mock_peer.h"

#include "actors/coordinator.h"

#define LAYERS 4

/* ---- the run they play: 2 clusters of 2 stages, 8 minibatches of 4, rounds of 4, 3 test minibatches */
static const rk_layer_info_t s_layers[LAYERS] = {{.flat_at = 0, .cut_bytes = 64},
                                                 {.flat_at = 64, .cut_bytes = 64},
                                                 {.flat_at = 128, .cut_bytes = 64},
                                                 {.flat_at = 192, .cut_bytes = 64}};
static const rk_model_info_t s_model = {.n_layers = LAYERS, .layers = s_layers, .n_flat = 256, .label_bytes = 16,
                                        .optimizer_slots = 1, .train_samples = 32, .test_samples = 10, .n_dims = 1,
                                        .dims = {4}, .n_classes = 2};

static rk_settings_t s_settings (bool drained)
{
    rk_settings_t s;
    rk_settings_default (&s);
    s.run_passes = 1;
    s.train_batch = 4;
    s.average_every = 2;
    s.average_mode = drained ? RK_AVERAGE_DRAINED : RK_AVERAGE_OVERLAPPED;
    return s;
}

static rk_plan_t *s_plan (const rk_settings_t *settings)
{
    const uint32_t counts[] = {2, 2}, cuts[] = {0, 2, 0, 1};
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    if (rk_plan_by_hand (&plan, 1, &s_model, settings, 2, counts, cuts, NULL, &err))
        fail_msg ("%s", err.text);
    return plan;
}

/* ---- scripted parties */
typedef struct {
    zsock_t *dealer;
    rk_packet_t *packet;
    uint32_t sender;
} party_t;

static void s_say (party_t *p, rk_msg_t msg, const rk_frame_t *frames, int n_frames)
{
    rk_error_t err = {0};
    msg.sender = p->sender;
    msg.view = 1;
    if (rk_wire_send (zsock_resolve (p->dealer), NULL, 0, &msg, frames, n_frames, NULL, &err))
        fail_msg ("%s", err.text);
}

static void s_join (party_t *p, const char *endpoint, uint32_t sender)
{
    *p = (party_t){.dealer = zsock_new (ZMQ_DEALER), .sender = sender};
    assert_int_equal (zsock_connect (p->dealer, "%s", endpoint), 0);
    assert_int_equal (rk_packet_new (&p->packet), RK_OK);
}

static void s_register (party_t *p, const char *endpoint, uint32_t sender)
{
    s_join (p, endpoint, sender);
    s_say (p, (rk_msg_t){.kind = RK_MSG_READY}, NULL, 0);
}

static void s_part (party_t *p)
{
    zsock_destroy (&p->dealer);
    rk_packet_destroy (&p->packet);
}

/* The next message of the kind; heartbeats and others are passed over. NULL after wait_ms. */
static const rk_msg_t *s_hear_within (party_t *p, rk_msg_kind_t kind, int wait_ms)
{
    for (;;) {
        zmq_pollitem_t item = {.socket = zsock_resolve (p->dealer), .events = ZMQ_POLLIN};
        if (zmq_poll (&item, 1, wait_ms) <= 0)
            return NULL;
        if (rk_wire_receive (item.socket, false, p->packet, NULL) == RK_OK && p->packet->msg.kind == kind)
            return &p->packet->msg;
    }
}

static const rk_msg_t *s_hear (party_t *p, rk_msg_kind_t kind)
{
    const rk_msg_t *msg = s_hear_within (p, kind, MOCK_WAIT_MS);
    if (!msg)
        fail_msg ("%s %u heard no %s", rk_actor_kind_name (rk_address_kind (p->sender)), rk_address_node (p->sender),
                  rk_msg_kind_name (kind));
    return msg;
}

/* The whole cast of one process with the plan above. */
typedef struct {
    rk_settings_t settings;
    rk_plan_t *plan;
    rk_actor_t *coordinator;
    party_t parent, checkpointer, stages[4], feeders[2];
} cast_t;

static void s_start_passes (cast_t *c, bool drained, uint64_t passes, int64_t patience_ms)
{
    *c = (cast_t){.settings = s_settings (drained)};
    c->settings.run_passes = passes;
    c->plan = s_plan (&c->settings);
    rk_coordinator_config_t config = {
        .settings = &c->settings, .model = &s_model, .plan = c->plan, .patience_ms = patience_ms};
    rk_error_t err = {0};
    if (rk_coordinator_new (&c->coordinator, &config, &err))
        fail_msg ("%s", err.text);
}

static void s_start (cast_t *c, bool drained, int64_t patience_ms)
{
    s_start_passes (c, drained, 1, patience_ms);
}

static void s_feeder_of (cast_t *c, uint32_t cluster)
{
    s_register (&c->feeders[cluster], rk_actor_endpoint (c->coordinator), rk_address (RK_ACTOR_FEEDER, 2 * cluster));
}

/* From Ready to Start. */
static void s_wire (cast_t *c)
{
    const char *endpoint = rk_actor_endpoint (c->coordinator);
    s_register (&c->parent, endpoint, rk_address (RK_ACTOR_NODE, 0));
    const rk_msg_t *plan = s_hear (&c->parent, RK_MSG_PLAN);
    assert_int_equal (plan->plan.digest, c->plan->digest);
    for (uint32_t s = 0; s < 4; s++)
        s_register (&c->stages[s], endpoint, rk_address (RK_ACTOR_STAGE, s));
    s_feeder_of (c, 0);
    s_feeder_of (c, 1);
    s_register (&c->checkpointer, endpoint, rk_address (RK_ACTOR_CHECKPOINTER, 0));
    const rk_endpoint_t wired[] = {{c->stages[0].sender, "inproc://a"}, {c->stages[1].sender, "inproc://b"},
                                   {c->stages[2].sender, "inproc://c"}, {c->stages[3].sender, "inproc://d"},
                                   {c->feeders[0].sender, "inproc://e"}, {c->feeders[1].sender, "inproc://f"},
                                   {c->checkpointer.sender, "inproc://g"}};
    s_say (&c->parent, (rk_msg_t){.kind = RK_MSG_WIRED, .wired = {7, wired}}, NULL, 0);
    const rk_msg_t *peers = s_hear (&c->parent, RK_MSG_PEERS);
    assert_int_equal (peers->peers.n, 7);
    assert_string_equal (peers->peers.list[1].endpoint, "inproc://b");
    s_say (&c->parent, (rk_msg_t){.kind = RK_MSG_READY, .ready = {c->plan->digest}}, NULL, 0);
    s_hear (&c->parent, RK_MSG_START);
}

static void s_end (cast_t *c)
{
    rk_actor_stop (&c->coordinator);
    party_t *all[] = {&c->parent, &c->checkpointer, &c->stages[0], &c->stages[1], &c->stages[2], &c->stages[3],
                      &c->feeders[0], &c->feeders[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        s_part (all[i]);
    rk_plan_destroy (&c->plan);
}

static void s_request (cast_t *c, uint32_t cluster, uint32_t n)
{
    s_say (&c->feeders[cluster], (rk_msg_t){.kind = RK_MSG_LEASE_REQUEST, .lease_request = {cluster, n}}, NULL, 0);
}

static void s_apply (cast_t *c, uint64_t round)
{
    for (uint32_t s = 0; s < 4; s++)
        s_say (&c->stages[s], (rk_msg_t){.kind = RK_MSG_ROUND_APPLIED, .round_applied = {round, s}}, NULL, 0);
}

static void s_stop_all (cast_t *c)
{
    for (int s = 0; s < 4; s++) {
        s_hear (&c->stages[s], RK_MSG_STOP);
        s_say (&c->stages[s], (rk_msg_t){.kind = RK_MSG_STOPPED}, NULL, 0);
    }
}

static void s_expect_end (cast_t *c, const char *word, rk_err_t code, const char *part)
{
    char said[32];
    rk_error_t err = {0};
    zmq_pollitem_t item = {.socket = zsock_resolve (rk_actor_pipe (c->coordinator)), .events = ZMQ_POLLIN};
    assert_true (zmq_poll (&item, 1, MOCK_WAIT_MS) > 0);
    assert_true (rk_actor_said (c->coordinator, said, sizeof said, &err));
    assert_string_equal (said, word);
    assert_int_equal (err.code, code);
    if (part && !strstr (err.text, part))
        fail_msg ("\"%s\" does not say \"%s\"", err.text, part);
}

#endif
