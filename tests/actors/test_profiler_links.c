/* SPDX-License-Identifier: MPL-2.0
 * Two profilers measure the link between them; one that asks a scripted other end; ends that are silent, that are not
 * there, and strangers.                                                                                   */
#include "tests/actors/mock_peer.h"

#include "actors/profiler.h"
#include "cluster/links.h"

typedef struct {
    mock_peer_t coordinator;
    rk_actor_t *actor;
    char endpoint[256]; /* for other processes */
} profiler_t;

static void s_start (profiler_t *p, uint32_t process, int64_t patience_ms)
{
    mock_open (&p->coordinator, rk_address (RK_ACTOR_COORDINATOR, process), 0);
    rk_settings_t settings;
    rk_settings_default (&settings);
    const rk_profiler_node_t node = {.node = process, .name = "x"};
    rk_profiler_config_t config = {.process = process, .identity = &rk_identity_plain, .bind = "tcp://127.0.0.1:*", .coordinator = p->coordinator.endpoint,
                                   .settings = &settings, .nodes = &node, .n_nodes = 1, .link_patience_ms = patience_ms};
    p->actor = NULL;
    assert_int_equal (rk_profiler_new (&p->actor, &config, NULL), RK_OK);
    mock_receive (&p->coordinator, RK_MSG_READY);
    snprintf (p->endpoint, sizeof p->endpoint, "%s", rk_actor_endpoint (p->actor));
}

static void s_stop (profiler_t *p)
{
    rk_actor_stop (&p->actor);
    mock_close (&p->coordinator);
}

static void s_request (profiler_t *p, uint32_t from, uint32_t to, uint32_t address, const char *endpoint)
{
    rk_msg_t request = {.kind = RK_MSG_LINK_REQUEST, .sender = p->coordinator.sender, .link_request = {from, to, address, endpoint}};
    assert_int_equal (rk_wire_send (zsock_resolve (p->coordinator.inbox), p->coordinator.packet->routing,
                                    p->coordinator.packet->n_routing, &request, NULL, 0, NULL, NULL),
                      RK_OK);
}

static void test_both_ways (void **state)
{
    (void) state;
    profiler_t a, b;
    s_start (&a, 1, 0);
    s_start (&b, 2, 0);
    for (int i = 0; i < 2; i++) { /* a link that is measured again is the same link */
        s_request (&a, 7, 8, rk_address (RK_ACTOR_PROFILER, 2), b.endpoint);
        const rk_link_measured_t *m = &mock_receive (&a.coordinator, RK_MSG_LINK_MEASURED)->link_measured;
        assert_true (m->from == 7 && m->to == 8);
        assert_true (m->bytes_per_s > 1000 && m->back_bytes_per_s > 1000 && m->rtt_ns > 0 && m->rtt_ns < 1000000000);
        s_request (&b, 8, 7, rk_address (RK_ACTOR_PROFILER, 1), a.endpoint); /* the other one asks */
        m = &mock_receive (&b.coordinator, RK_MSG_LINK_MEASURED)->link_measured;
        assert_true (m->from == 8 && m->to == 7 && m->bytes_per_s > 1000 && m->back_bytes_per_s > 1000);
    }
    s_stop (&a);
    s_stop (&b);
}

/* ---- a scripted other end */
typedef struct {
    profiler_t profiler;
    mock_peer_t other;
    uint64_t got;
} script_t;

static void s_answer (script_t *s, rk_msg_t msg, const rk_frame_t *frames, int n_frames)
{
    msg.sender = rk_address (RK_ACTOR_PROFILER, 9);
    assert_int_equal (rk_wire_send (zsock_resolve (s->other.inbox), s->other.packet->routing, s->other.packet->n_routing, &msg,
                                    frames, n_frames, NULL, NULL),
                      RK_OK);
}

/* Takes a whole burst. */
static rk_link_probe_t s_burst (script_t *s)
{
    uint64_t got = 0;
    rk_link_probe_t probe;
    do {
        probe = mock_receive (&s->other, RK_MSG_LINK_PROBE)->link_probe;
        assert_int_equal (probe.what, RK_LINK_BURST);
        got += zmq_msg_size (&s->other.packet->frame[0]);
    } while (got < probe.total);
    assert_int_equal (got, probe.total);
    return probe;
}

static void test_median_of_bursts (void **state)
{
    (void) state;
    static const uint64_t rates[] = {1000, 900000, 2000};
    script_t s = {0};
    s_start (&s.profiler, 1, 0);
    mock_open (&s.other, rk_address (RK_ACTOR_PROFILER, 9), 0);
    s_request (&s.profiler, 3, 4, rk_address (RK_ACTOR_PROFILER, 9), s.other.endpoint);
    for (int i = 0; i < 8; i++) {
        const rk_link_probe_t ping = mock_receive (&s.other, RK_MSG_LINK_PROBE)->link_probe;
        assert_true (ping.what == RK_LINK_PING);
        s_answer (&s, (rk_msg_t){.kind = RK_MSG_LINK_ECHO, .link_echo = {RK_LINK_PING, ping.seq, 0}}, NULL, 0);
    }
    for (int i = 0; i < 3; i++) {
        const rk_link_probe_t burst = s_burst (&s);
        assert_int_equal (burst.total, RK_BURST_LEAST_BYTES);
        s_answer (&s, (rk_msg_t){.kind = RK_MSG_LINK_ECHO, .link_echo = {RK_LINK_BURST, burst.seq - 1, 7}}, NULL, 0); /* an old one */
        s_answer (&s, (rk_msg_t){.kind = RK_MSG_LINK_ECHO, .link_echo = {RK_LINK_BURST, burst.seq, rates[i]}}, NULL, 0);
    }
    static const uint8_t bytes[RK_BURST_LEAST_BYTES];
    uint64_t wanted = 0;
    for (int i = 0; i < 12; i++) { /* back: as long as it wants to, then as fast as this socket is */
        zmq_pollitem_t items[] = {{.socket = zsock_resolve (s.other.inbox), .events = ZMQ_POLLIN},
                                  {.socket = zsock_resolve (s.profiler.coordinator.inbox), .events = ZMQ_POLLIN}};
        assert_true (zmq_poll (items, 2, MOCK_WAIT_MS) > 0);
        if (items[1].revents)
            break;
        const rk_link_probe_t want = mock_receive (&s.other, RK_MSG_LINK_PROBE)->link_probe;
        assert_int_equal (want.what, RK_LINK_WANT);
        wanted++;
        for (uint64_t at = 0; at < want.total; at += sizeof bytes) {
            rk_frame_t frame = {.bytes = bytes, .size = want.total - at < sizeof bytes ? want.total - at : sizeof bytes};
            s_answer (&s, (rk_msg_t){.kind = RK_MSG_LINK_PROBE, .link_probe = {RK_LINK_BURST, want.seq, want.total}}, &frame, 1);
        }
    }
    assert_true (wanted >= 3);
    const rk_link_measured_t *m = &mock_receive (&s.profiler.coordinator, RK_MSG_LINK_MEASURED)->link_measured;
    assert_int_equal (m->bytes_per_s, 2000);
    assert_true (m->back_bytes_per_s > 0);
    mock_close (&s.other);
    s_stop (&s.profiler);
}

/* Nobody answers, nobody is there, no such transport: a figure that no plan wants, and the profiler goes on. */
static void test_dead_links (void **state)
{
    (void) state;
    profiler_t a;
    mock_peer_t silent;
    s_start (&a, 1, 100);
    mock_open (&silent, rk_address (RK_ACTOR_PROFILER, 9), 0);
    const char *const endpoints[] = {silent.endpoint, "tcp://127.0.0.1:1", "nonsense://x"};
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        s_request (&a, 7, 8, rk_address (RK_ACTOR_PROFILER, 9), endpoints[i]);
        const rk_link_measured_t *m = &mock_receive (&a.coordinator, RK_MSG_LINK_MEASURED)->link_measured;
        assert_int_equal (m->bytes_per_s, RK_LINK_DEAD_BYTES_PER_S);
        assert_int_equal (m->back_bytes_per_s, RK_LINK_DEAD_BYTES_PER_S);
        assert_int_equal (m->rtt_ns, RK_LINK_DEAD_RTT_NS);
    }
    mock_close (&silent);
    s_stop (&a);
}

/* Probes of others than profilers, echoes that nobody asked for, a request for the own link: dropped. */
static void test_strangers (void **state)
{
    (void) state;
    profiler_t a, b;
    s_start (&a, 1, 0);
    s_start (&b, 2, 0);
    mock_peer_t stranger;
    mock_open (&stranger, rk_address (RK_ACTOR_STAGE, 3), 0);
    mock_connect (&stranger, a.actor);
    rk_frame_t nothing = {.bytes = "", .size = 0};
    mock_send (&stranger, (rk_msg_t){.kind = RK_MSG_LINK_PROBE, .link_probe = {RK_LINK_PING, 1, 0}}, &nothing, 1);
    mock_send (&stranger, (rk_msg_t){.kind = RK_MSG_LINK_ECHO, .link_echo = {RK_LINK_BURST, 1, 5}}, NULL, 0);
    mock_send (&stranger, (rk_msg_t){.kind = RK_MSG_LINK_REQUEST, .link_request = {1, 2, rk_address (RK_ACTOR_PROFILER, 2), b.endpoint}},
               NULL, 0);
    s_request (&a, 1, 1, rk_address (RK_ACTOR_PROFILER, 1), a.endpoint);
    s_request (&a, 1, 2, rk_address (RK_ACTOR_STAGE, 2), b.endpoint);
    s_request (&a, 1, 2, rk_address (RK_ACTOR_PROFILER, 2), b.endpoint);
    s_request (&a, 1, 3, rk_address (RK_ACTOR_PROFILER, 3), b.endpoint); /* while the other one is under way */
    assert_int_equal (mock_receive (&a.coordinator, RK_MSG_LINK_MEASURED)->link_measured.to, 2);
    zmq_pollitem_t item = {.socket = zsock_resolve (stranger.dealer), .events = ZMQ_POLLIN};
    assert_int_equal (zmq_poll (&item, 1, 0), 0); /* and not answered */
    mock_close (&stranger);
    s_stop (&a);
    s_stop (&b);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_both_ways), cmocka_unit_test (test_median_of_bursts), cmocka_unit_test (test_dead_links),
        cmocka_unit_test (test_strangers),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
