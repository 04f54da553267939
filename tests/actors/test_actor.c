/* SPDX-License-Identifier: MPL-2.0
 * The loop: starting and failing to, commands, sorting of codes, waits, ways to peers. */
#include "tests/actors/mock_peer.h"

#define NODE 5
#define VIEW 3

/* A small actor: Heartbeat echoes, Stop returns the code it carries, Ready is told to the parent. */
typedef struct {
    rk_loop_t *loop;
    int64_t left; /* calls of work that want another one soon */
    int64_t wait_ns;
} self_t;

typedef struct {
    rk_err_t fail; /* of open */
    int64_t calls, wait_ns;
} config_t;

static rk_err_t s_open (void *self_, rk_loop_t *loop, const void *config_, rk_error_t *err)
{
    self_t *self = self_;
    const config_t *config = config_;
    self->loop = loop;
    self->left = config->calls;
    self->wait_ns = config->wait_ns;
    return config->fail == RK_OK ? RK_OK : rk_error_set (err, config->fail, "told to fail");
}

static void s_close (void *self)
{
}

static int64_t s_work (void *self_, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    self_t *self = self_;
    if (self->left <= 0)
        return RK_FOREVER;
    if (--self->left == 0)
        rk_loop_say (self->loop, "DONE", RK_OK, "worked");
    return self->wait_ns;
}

static rk_err_t s_on_heartbeat (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = self_;
    rk_msg_t msg = {.kind = RK_MSG_HEARTBEAT, .heartbeat = packet->msg.heartbeat};
    rk_err_t code = rk_loop_learn (self->loop, packet->msg.sender, packet);
    rk_loop_tether (self->loop, packet->msg.sender, packet);
    return code == RK_OK ? rk_loop_send (self->loop, packet->msg.sender, &msg, NULL, 0, err) : code;
}

static rk_err_t s_on_credit (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = self_;
    rk_loop_say (self->loop, "CREDIT", RK_OK, "");
    return RK_OK;
}

static rk_err_t s_on_stop (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    return rk_error_set (err, (rk_err_t) packet->msg.stop.code, "as told");
}

static rk_err_t s_on_ready (void *self_, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = self_;
    char text[64];
    snprintf (text, sizeof text, "%llu dropped", (unsigned long long) rk_loop_dropped (self->loop));
    rk_loop_say (self->loop, "COUNT", RK_OK, text);
    return RK_OK;
}

static rk_err_t s_echo (void *self_, char **words, rk_error_t *err)
{
    self_t *self = self_;
    rk_loop_say (self->loop, "ECHO", RK_OK, words[0]);
    return RK_OK;
}

static void s_hung_up (void *self_, uint32_t address)
{
    self_t *self = self_;
    char text[16];
    snprintf (text, sizeof text, "%u", rk_address_node (address));
    rk_loop_say (self->loop, "HUNG-UP", RK_OK, text);
}

static rk_handler_fn *const s_on[RK_N_MSG] = {
    [RK_MSG_HEARTBEAT] = s_on_heartbeat, [RK_MSG_STOP] = s_on_stop, [RK_MSG_READY] = s_on_ready, [RK_MSG_CREDIT] = s_on_credit,
};
static const rk_command_t s_commands[] = {{"ECHO", s_echo}, {NULL, NULL}};
static const rk_actor_class_t s_class = {.kind = RK_ACTOR_STAGE, .self_size = sizeof (self_t), .open = s_open, .close = s_close,
                                         .work = s_work, .hung_up = s_hung_up, .on = s_on, .commands = s_commands};

static rk_actor_t *s_start (const char *coordinator, config_t config)
{
    rk_actor_t *actor = NULL;
    rk_error_t err = {RK_OK, ""};
    const rk_actor_plumbing_t plumbing = {.node = NODE, .view = VIEW, .coordinator = coordinator};
    assert_int_equal (rk_actor_start (&actor, &s_class, &plumbing, &config, &err), RK_OK);
    return actor;
}

/* Waits for the next word of the actor. */
static void s_expect_said (rk_actor_t *actor, const char *word, rk_err_t code, const char *text)
{
    char said[32];
    rk_error_t err;
    while (!rk_actor_said (actor, said, sizeof said, &err)) {
        zmq_pollitem_t item = {.socket = zsock_resolve (rk_actor_pipe (actor)), .events = ZMQ_POLLIN};
        if (zmq_poll (&item, 1, MOCK_WAIT_MS) <= 0)
            fail_msg ("the actor does not say %s", word);
    }
    assert_string_equal (said, word);
    assert_int_equal (err.code, code);
    assert_string_equal (err.text, text);
}

static void s_expect_dropped (rk_actor_t *actor, mock_peer_t *peer, const char *text)
{
    mock_send (peer, (rk_msg_t){.kind = RK_MSG_READY}, NULL, 0);
    s_expect_said (actor, "COUNT", RK_OK, text);
}

/* ---- tests */

static void a_constructor_can_fail (void **state)
{
    rk_actor_t *actor = NULL;
    rk_error_t err = {RK_OK, ""};
    const rk_actor_plumbing_t plumbing = {.node = NODE, .view = VIEW};
    for (int i = 0; i < 100; i++) {
        const config_t config = {.fail = RK_ESHAPE};
        assert_int_equal (rk_actor_start (&actor, &s_class, &plumbing, &config, &err), RK_ESHAPE);
        assert_null (actor);
        assert_non_null (strstr (err.text, "told to fail"));
    }
    const rk_actor_plumbing_t nowhere = {.node = NODE, .identity = &rk_identity_plain, .bind = "tcp://256.1.1.1:1"};
    const config_t config = {.fail = RK_OK};
    assert_int_equal (rk_actor_start (&actor, &s_class, &nowhere, &config, &err), RK_EIO);
    rk_actor_stop (&actor); /* NULL is fine */
}

static void a_port_in_use_is_an_error (void **state)
{
    rk_actor_t *first = NULL, *second = NULL;
    rk_error_t err = {RK_OK, ""};
    const config_t config = {.fail = RK_OK};
    rk_actor_plumbing_t plumbing = {.node = NODE, .identity = &rk_identity_plain, .bind = "tcp://127.0.0.1:*"};
    assert_int_equal (rk_actor_start (&first, &s_class, &plumbing, &config, &err), RK_OK);
    plumbing.bind = rk_actor_endpoint (first);
    assert_int_equal (rk_actor_start (&second, &s_class, &plumbing, &config, &err), RK_EIO);
    assert_non_null (strstr (err.text, plumbing.bind));
    rk_actor_stop (&first);
}

static void five_hundred_starts_and_stops (void **state)
{
    for (int i = 0; i < 500; i++) {
        rk_actor_t *actor = s_start (NULL, (config_t){.fail = RK_OK});
        rk_actor_stop (&actor);
        assert_null (actor);
    }
}

static void commands_arrive_in_order (void **state)
{
    rk_actor_t *actor = s_start (NULL, (config_t){.fail = RK_OK});
    rk_error_t err;
    assert_int_equal (rk_actor_command (actor, "ECHO", "one", &err), RK_OK);
    assert_int_equal (rk_actor_command (actor, "ECHO", "two", &err), RK_OK);
    s_expect_said (actor, "ECHO", RK_OK, "one");
    s_expect_said (actor, "ECHO", RK_OK, "two");
    rk_actor_stop (&actor);
}

static void answers_find_the_way_back (void **state)
{
    rk_actor_t *actor = s_start (NULL, (config_t){.fail = RK_OK});
    mock_peer_t peer;
    mock_open (&peer, rk_address (RK_ACTOR_COORDINATOR, 0), VIEW);
    mock_connect (&peer, actor);
    rk_error_t err;
    for (int i = 1; i <= 3; i++) {
        mock_send (&peer, (rk_msg_t){.kind = RK_MSG_HEARTBEAT, .heartbeat = {.sent_ms = i}}, NULL, 0);
        zmq_pollitem_t item = {.socket = zsock_resolve (peer.dealer), .events = ZMQ_POLLIN};
        assert_int_equal (zmq_poll (&item, 1, MOCK_WAIT_MS), 1);
        assert_int_equal (rk_wire_receive (item.socket, false, peer.packet, &err), RK_OK);
        assert_int_equal (peer.packet->msg.heartbeat.sent_ms, i);
        assert_int_equal (peer.packet->msg.sender, rk_address (RK_ACTOR_STAGE, NODE));
        assert_int_equal (peer.packet->msg.view, VIEW);
        assert_int_equal (peer.packet->msg.seq, i);
    }
    rk_actor_stop (&actor);
    mock_close (&peer);
}

static void bad_messages_are_dropped_and_counted (void **state)
{
    rk_actor_t *actor = s_start (NULL, (config_t){.fail = RK_OK});
    mock_peer_t peer;
    mock_open (&peer, rk_address (RK_ACTOR_COORDINATOR, 0), VIEW);
    mock_connect (&peer, actor);
    zmq_send (zsock_resolve (peer.dealer), "nonsense", 8, 0);
    zmq_send (zsock_resolve (peer.dealer), "", 0, 0);
    s_expect_dropped (actor, &peer, "2 dropped");
    mock_send (&peer, (rk_msg_t){.kind = RK_MSG_SAVED, .saved = {.path = ""}}, NULL, 0); /* not for this actor */
    peer.view = VIEW + 1;
    mock_send (&peer, (rk_msg_t){.kind = RK_MSG_CREDIT}, NULL, 0); /* data of another view */
    s_expect_dropped (actor, &peer, "4 dropped");                   /* control of another view is heard */
    mock_send (&peer, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.code = RK_ESTALE, .reason = ""}}, NULL, 0);
    mock_send (&peer, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.code = RK_EFORMAT, .reason = ""}}, NULL, 0);
    s_expect_dropped (actor, &peer, "6 dropped");
    rk_actor_stop (&actor);
    mock_close (&peer);
}

static void trouble_with_peers_is_told_to_the_coordinator (void **state)
{
    mock_peer_t peer;
    mock_open (&peer, rk_address (RK_ACTOR_COORDINATOR, 0), VIEW);
    rk_actor_t *actor = s_start (peer.endpoint, (config_t){.fail = RK_OK});
    mock_connect (&peer, actor);
    const rk_err_t codes[] = {RK_EPEER, RK_ETIMEDOUT};
    for (int i = 0; i < 2; i++) {
        mock_send (&peer, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.code = codes[i], .reason = ""}}, NULL, 0);
        const rk_msg_t *failed = mock_receive (&peer, RK_MSG_FAILED);
        assert_int_equal (failed->failed.node, NODE);
        assert_string_equal (failed->failed.text, "as told");
    }
    s_expect_dropped (actor, &peer, "0 dropped"); /* it goes on */
    rk_actor_stop (&actor);
    mock_close (&peer);
}

static void a_broken_actor_says_so_and_leaves (void **state)
{
    mock_peer_t peer;
    mock_open (&peer, rk_address (RK_ACTOR_COORDINATOR, 0), VIEW);
    for (int i = 0; i < 20; i++) {
        rk_actor_t *actor = s_start (NULL, (config_t){.fail = RK_OK});
        mock_connect (&peer, actor);
        mock_send (&peer, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.code = RK_ENOMEM, .reason = ""}}, NULL, 0);
        s_expect_said (actor, "FAILED", RK_ENOMEM, "as told");
        rk_error_t err;
        while (rk_actor_command (actor, "ECHO", "x", &err) == RK_OK) /* until its end of the pipe is closed */
            ;
        assert_int_equal (err.code, RK_EPEER);
        zsock_destroy (&peer.dealer);
        rk_actor_stop (&actor);
    }
    mock_close (&peer);
}

/* The parent may have read an actor's very last signal when it stops it: that must not wait for another. */
static void an_actor_that_left_is_stopped_at_once (void **state)
{
    mock_peer_t peer;
    mock_open (&peer, rk_address (RK_ACTOR_COORDINATOR, 0), VIEW);
    for (int i = 0; i < 300; i++) {
        rk_actor_t *actor = s_start (NULL, (config_t){.fail = RK_OK});
        mock_connect (&peer, actor);
        mock_send (&peer, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.code = RK_ENOMEM, .reason = ""}}, NULL, 0);
        s_expect_said (actor, "FAILED", RK_ENOMEM, "as told");
        char word[16];
        rk_error_t err;
        zmq_pollitem_t item = {.socket = zsock_resolve (rk_actor_pipe (actor)), .events = ZMQ_POLLIN};
        assert_int_equal (zmq_poll (&item, 1, MOCK_WAIT_MS), 1);
        assert_false (rk_actor_said (actor, word, sizeof word, &err));
        zsock_destroy (&peer.dealer);
        rk_actor_stop (&actor);
    }
    mock_close (&peer);
}

static void work_is_called_again_after_its_wait (void **state)
{
    const int64_t waits_ns[] = {0, 1000, 100000, 3000000};
    for (size_t i = 0; i < sizeof waits_ns / sizeof *waits_ns; i++) {
        int64_t before = rk_now_ns ();
        rk_actor_t *actor = s_start (NULL, (config_t){.calls = 20, .wait_ns = waits_ns[i]});
        s_expect_said (actor, "DONE", RK_OK, "worked");
        /* It may be called early after a message or a command, never as a rule. */
        assert_true (rk_now_ns () - before >= 15 * waits_ns[i]);
        rk_actor_stop (&actor);
    }
}

static void endpoints_are_unique (void **state)
{
    const char *const transports[] = {"inproc", "ipc"};
    for (int t = 0; t < 2; t++) {
        char a[256], b[256];
        rk_endpoint_unique (a, sizeof a, transports[t], NULL);
        rk_endpoint_unique (b, sizeof b, transports[t], NULL);
        assert_string_not_equal (a, b);
        assert_memory_equal (a, transports[t], strlen (transports[t]));
        assert_true (strlen (a) < 100);
    }
    char tcp[64];
    rk_endpoint_unique (tcp, sizeof tcp, "tcp", "10.0.0.1");
    assert_string_equal (tcp, "tcp://10.0.0.1:*");
}

/* Two peers by tcp, one of them twice: each end is told once, with the address it was tied to, and an echo between them shows
 * that what holds is not told.                                                                            */
static void ends_of_connections_are_told (void **state)
{
    (void) state;
    rk_actor_t *actor = NULL;
    const config_t config = {.fail = RK_OK};
    const rk_actor_plumbing_t plumbing = {.node = NODE, .view = VIEW, .identity = &rk_identity_plain, .bind = "tcp://127.0.0.1:*"};
    assert_int_equal (rk_actor_start (&actor, &s_class, &plumbing, &config, NULL), RK_OK);
    static const uint32_t who[] = {7, 8, 7};
    mock_peer_t peers[3];
    for (int i = 0; i < 3; i++) {
        mock_open (&peers[i], rk_address (RK_ACTOR_STAGE, who[i]), VIEW);
        mock_connect (&peers[i], actor);
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 2; i++) {
            mock_send (&peers[i], (rk_msg_t){.kind = RK_MSG_HEARTBEAT, .heartbeat = {.sent_ms = 1, .token = 2, .hears = true}}, NULL, 0);
            zmq_pollitem_t item = {.socket = zsock_resolve (peers[i].dealer), .events = ZMQ_POLLIN};
            assert_true (zmq_poll (&item, 1, MOCK_WAIT_MS) > 0); /* handled: the connection is known */
            assert_int_equal (rk_wire_receive (item.socket, false, peers[i].packet, NULL), RK_OK);
        }
    zsock_destroy (&peers[0].dealer);
    s_expect_said (actor, "HUNG-UP", RK_OK, "7");
    assert_int_equal (rk_actor_command (actor, "ECHO", "still here", NULL), RK_OK);
    s_expect_said (actor, "ECHO", RK_OK, "still here");
    mock_send (&peers[2], (rk_msg_t){.kind = RK_MSG_HEARTBEAT, .heartbeat = {.sent_ms = 1, .token = 2, .hears = true}}, NULL, 0);
    zmq_pollitem_t item = {.socket = zsock_resolve (peers[2].dealer), .events = ZMQ_POLLIN};
    assert_true (zmq_poll (&item, 1, MOCK_WAIT_MS) > 0);
    zsock_destroy (&peers[1].dealer);
    s_expect_said (actor, "HUNG-UP", RK_OK, "8");
    zsock_destroy (&peers[2].dealer);
    s_expect_said (actor, "HUNG-UP", RK_OK, "7");
    rk_actor_stop (&actor);
    for (int i = 0; i < 3; i++)
        mock_close (&peers[i]);
}

int main (void)
{
    setenv ("RK_LOG", "error", 1); /* these tests provoke warnings */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_constructor_can_fail),
        cmocka_unit_test (a_port_in_use_is_an_error),
        cmocka_unit_test (five_hundred_starts_and_stops),
        cmocka_unit_test (commands_arrive_in_order),
        cmocka_unit_test (answers_find_the_way_back),
        cmocka_unit_test (bad_messages_are_dropped_and_counted),
        cmocka_unit_test (trouble_with_peers_is_told_to_the_coordinator),
        cmocka_unit_test (a_broken_actor_says_so_and_leaves),
        cmocka_unit_test (an_actor_that_left_is_stopped_at_once),
        cmocka_unit_test (work_is_called_again_after_its_wait),
        cmocka_unit_test (endpoints_are_unique),
        cmocka_unit_test (ends_of_connections_are_told),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
