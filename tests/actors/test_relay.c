/* SPDX-License-Identifier: MPL-2.0
 * Relay and tunnel: bytes that pass, who may ask for ports, strangers at every port, and how much is kept for a slow reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>

#include "actors/actor.h"
#include "actors/relay/relay.h"
#include "actors/relay/splice.h"
#include "actors/relay/tunnel.h"
#include "actors/relay/words.h"
#include "actors/security/gate.h"
#include "actors/security/knock.h"

#define WAIT_MS 20000 /* that only a failure reaches */
#define N_BYTES (3u << 20)

typedef struct {
    rk_identity_t own;
    rk_gate_t *gate;
    rk_relay_t *relay;
    int inbox; /* listens */
    char name[64];
} site_t;

static void s_ok (rk_err_t rc, const rk_error_t *err)
{
    if (rc)
        fail_msg ("%s", err->text);
}

static void s_build (site_t *s, bool plain)
{
    rk_error_t err = {RK_OK, ""};
    uint16_t port;
    *s = (site_t){.own = rk_identity_plain};
    if (!plain) {
        s_ok (rk_identity_generate (&s->own, &err), &err);
        s_ok (rk_gate_new (&s->gate, &s->own, NULL, &err), &err);
    }
    const rk_relay_config_t config = {.host = "127.0.0.1", .identity = &s->own, .most_lines = 8};
    s_ok (rk_relay_new (&s->relay, &config, &err), &err);
    s_ok (rk_tcp_listen ("127.0.0.1", &s->inbox, &port, &err), &err);
    snprintf (s->name, sizeof s->name, "127.0.0.1:%u", port);
}

static void s_demolish (site_t *s)
{
    close (s->inbox);
    rk_relay_stop (&s->relay);
    rk_gate_stop (&s->gate);
}

static void s_wait (int fd, short events)
{
    struct pollfd item = {.fd = fd, .events = events};
    assert_int_equal (poll (&item, 1, WAIT_MS), 1);
}

static int s_dial (const char *endpoint)
{
    char host[RK_TCP_HOST];
    uint16_t port;
    assert_true (rk_tcp_parse (endpoint, host, &port));
    int fd = rk_tcp_dial (host, port);
    assert_true (fd >= 0);
    s_wait (fd, POLLOUT);
    return fd;
}

static int s_accept (int listening)
{
    s_wait (listening, POLLIN);
    int fd = rk_tcp_accept (listening);
    assert_true (fd >= 0);
    return fd;
}

static bool s_hung_up (int fd)
{
    char byte;
    s_wait (fd, POLLIN);
    return recv (fd, &byte, 1, 0) <= 0;
}

static uint8_t s_byte (size_t i)
{
    return (uint8_t) (i * 7 + i / 251);
}

/* One thread at both ends: what is sent on one comes out at the other. */
static void s_pass (int from, int to)
{
    static uint8_t block[40000];
    size_t sent = 0, got = 0;
    while (got < N_BYTES) {
        struct pollfd items[2] = {{.fd = from, .events = sent < N_BYTES ? POLLOUT : 0}, {.fd = to, .events = POLLIN}};
        assert_true (poll (items, 2, WAIT_MS) > 0);
        if (items[0].revents & POLLOUT) {
            size_t n = N_BYTES - sent < sizeof block ? N_BYTES - sent : sizeof block;
            for (size_t i = 0; i < n; i++)
                block[i] = s_byte (sent + i);
            ssize_t m = send (from, block, n, MSG_NOSIGNAL);
            assert_true (m > 0);
            sent += (size_t) m;
        }
        if (items[1].revents) {
            ssize_t m = recv (to, block, sizeof block, 0);
            assert_true (m > 0);
            for (ssize_t i = 0; i < m; i++)
                assert_int_equal (block[i], s_byte (got + (size_t) i));
            got += (size_t) m;
        }
    }
    assert_int_equal (got, N_BYTES);
}

static void bytes_pass_both_ways (void **state)
{
    (void) state;
    for (int plain = 0; plain < 2; plain++) {
        site_t s;
        s_build (&s, plain);
        rk_error_t err = {RK_OK, ""};
        rk_tunnel_t *tunnel;
        rk_identity_t own = s.own;
        char inbox[160], at[256], key[RK_KEY_TEXT];
        s_ok (rk_tunnel_new (&tunnel, &own, rk_relay_endpoint (s.relay), &err), &err);
        rk_key_text (own.public_key, key);
        snprintf (inbox, sizeof inbox, "tcp://%s/%s", s.name, key);
        s_ok (rk_tunnel_expose (own.tunnel, inbox, at, sizeof at, &err), &err);
        assert_non_null (strstr (at, key)); /* who answers there is who answered before */
        assert_null (strstr (at, s.name));
        int caller[2], called[2];
        for (int i = 0; i < 2; i++) {
            caller[i] = s_dial (at);
            called[i] = s_accept (s.inbox);
        }
        s_pass (caller[0], called[0]);
        s_pass (called[1], caller[1]);
        close (caller[0]); /* whoever hangs up, the other one is told */
        assert_true (s_hung_up (called[0]));
        close (called[1]);
        assert_true (s_hung_up (caller[1]));
        rk_tunnel_hide (own.tunnel, inbox);
        close (called[0]);
        close (caller[1]);
        rk_tunnel_stop (&tunnel);
        s_demolish (&s);
    }
}

static void the_relay_tries_to_dial (void **state)
{
    (void) state;
    site_t s;
    s_build (&s, false);
    rk_error_t err = {RK_OK, ""};
    rk_tunnel_t *tunnel;
    rk_identity_t own = s.own;
    bool reached = false;
    s_ok (rk_tunnel_new (&tunnel, &own, rk_relay_endpoint (s.relay), &err), &err);
    s_ok (rk_tunnel_probe (own.tunnel, "127.0.0.1", &reached, &err), &err);
    assert_true (reached);
    rk_tunnel_stop (&tunnel);
    s_demolish (&s);
}

static void a_relay_that_is_gone_does_not_answer (void **state)
{
    (void) state;
    site_t s;
    s_build (&s, false);
    rk_error_t err = {RK_OK, ""};
    rk_tunnel_t *tunnel;
    rk_identity_t own = s.own;
    s_ok (rk_tunnel_new (&tunnel, &own, rk_relay_endpoint (s.relay), &err), &err);
    assert_true (rk_tunnel_answers (own.tunnel, WAIT_MS));
    rk_relay_stop (&s.relay);
    assert_false (rk_tunnel_answers (own.tunnel, 100));
    rk_tunnel_stop (&tunnel);
    s_demolish (&s);
}

/* ---- a member by hand */
static zsock_t *s_member (site_t *s)
{
    rk_error_t err = {RK_OK, ""};
    uint8_t key[RK_KEY_BYTES], id[RK_RELAY_ID];
    char address[256];
    bool has_key;
    zsock_t *dealer = zsock_new (ZMQ_DEALER);
    rk_relay_id (id);
    zmq_setsockopt (zsock_resolve (dealer), ZMQ_ROUTING_ID, id, sizeof id);
    zsock_set_rcvtimeo (dealer, WAIT_MS);
    s_ok (rk_endpoint_split (rk_relay_endpoint (s->relay), address, sizeof address, key, &has_key, &err), &err);
    if (has_key)
        s_ok (rk_identity_call (&s->own, zsock_resolve (dealer), key, &err), &err);
    assert_int_equal (zmq_connect (zsock_resolve (dealer), address), 0);
    return dealer;
}

static void s_hear (zsock_t *member, char words[][RK_RELAY_WORD], const char *verb, size_t n)
{
    size_t got;
    zmsg_t *msg = zmsg_recv (member);
    assert_non_null (msg);
    assert_true (rk_relay_words (msg, words, &got));
    assert_int_equal (got, n);
    assert_string_equal (words[0], verb);
    zmsg_destroy (&msg);
}

static void strangers_at_the_door (void **state)
{
    (void) state;
    site_t s;
    s_build (&s, true);
    zsock_t *member = s_member (&s);
    char words[RK_RELAY_WORDS][RK_RELAY_WORD], at[RK_RELAY_WORD], door[128];
    zstr_sendx (member, "EXPOSE", s.name, NULL);
    s_hear (member, words, "EXPOSED", 3);
    snprintf (at, sizeof at, "%s", words[2]);
    int caller = s_dial (at);
    s_hear (member, words, "CALL", 4);
    assert_string_equal (words[1], s.name);
    snprintf (door, sizeof door, "127.0.0.1:%s", words[3]);
    int stranger = s_dial (door); /* a token of the right length that nobody was given */
    assert_int_equal (send (stranger, "0123456789abcdef0123456789abcdef", RK_RELAY_TOKEN - 1, MSG_NOSIGNAL), RK_RELAY_TOKEN - 1);
    assert_true (s_hung_up (stranger));
    close (stranger);
    int member_side = s_dial (door); /* the right one, in two parts, and what comes right behind it belongs to the inbox */
    assert_int_equal (send (member_side, words[2], 10, MSG_NOSIGNAL), 10);
    char rest[64];
    int n = snprintf (rest, sizeof rest, "%shello", words[2] + 10);
    assert_int_equal (send (member_side, rest, (size_t) n, MSG_NOSIGNAL), n);
    char said[6] = "";
    for (size_t got = 0; got < 5;) {
        s_wait (caller, POLLIN);
        ssize_t m = recv (caller, said + got, 5 - got, 0);
        assert_true (m > 0);
        got += (size_t) m;
    }
    assert_string_equal (said, "hello");
    int again = s_dial (door); /* a token is good for one connection */
    assert_int_equal (send (again, words[2], RK_RELAY_TOKEN - 1, MSG_NOSIGNAL), RK_RELAY_TOKEN - 1);
    assert_true (s_hung_up (again));
    close (again);
    close (member_side);
    assert_true (s_hung_up (caller));
    close (caller);
    zsock_destroy (&member);
    s_demolish (&s);
}

static void ports_are_limited_and_given_back (void **state)
{
    (void) state;
    site_t s;
    s_build (&s, true);
    zsock_t *member = s_member (&s);
    char words[RK_RELAY_WORDS][RK_RELAY_WORD], first[RK_RELAY_WORD], name[32];
    for (int i = 0; i < 65; i++) {
        snprintf (name, sizeof name, "127.0.0.1:%d", 1000 + i);
        zstr_sendx (member, "EXPOSE", name, NULL);
        s_hear (member, words, "EXPOSED", 3);
        assert_string_equal (words[1], name);
        assert_int_equal (words[2][0] != '\0', i < 64);
        if (i == 0)
            snprintf (first, sizeof first, "%s", words[2]);
    }
    zstr_sendx (member, "HIDE", "127.0.0.1:1000", NULL);
    zstr_sendx (member, "EXPOSE", name, NULL); /* there is room again */
    s_hear (member, words, "EXPOSED", 3);
    assert_true (words[2][0]);
    char host[RK_TCP_HOST];
    uint16_t port;
    assert_true (rk_tcp_parse (first, host, &port));
    int fd = rk_tcp_dial (host, port);
    if (fd >= 0)
        s_wait (fd, POLLOUT | POLLERR);
    assert_true (strcmp (first, words[2]) == 0 || fd < 0 || !rk_tcp_connected (fd));
    if (fd >= 0)
        close (fd);
    zsock_destroy (&member);
    s_demolish (&s);
}

/* What is no word, or none that it knows, has no effect; then an address where nobody listens. */
static void nonsense_is_ignored (void **state)
{
    (void) state;
    site_t s;
    s_build (&s, true);
    zsock_t *member = s_member (&s);
    char words[RK_RELAY_WORDS][RK_RELAY_WORD], token[RK_RELAY_TOKEN], address[64], large[4096];
    memset (large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    zstr_sendx (member, "EXPOSE", NULL);
    zstr_sendx (member, "EXPOSE", large, NULL);
    zstr_sendx (member, "EXPOSE", "a\nb", NULL);
    zstr_sendx (member, "1", "2", "3", "4", "5", "6", NULL);
    zstr_sendx (member, "", NULL);
    int fd;
    uint16_t port;
    rk_error_t err = {RK_OK, ""};
    s_ok (rk_tcp_listen ("127.0.0.1", &fd, &port, &err), &err);
    close (fd);
    snprintf (address, sizeof address, "127.0.0.1:%u", port);
    rk_relay_token (token);
    zstr_sendx (member, "PROBE", address, token, NULL);
    s_hear (member, words, "PROBED", 3);
    assert_string_equal (words[1], token);
    assert_string_equal (words[2], "0");
    zstr_sendx (member, "PROBE", "nowhere", token, NULL);
    s_hear (member, words, "PROBED", 3);
    assert_string_equal (words[2], "0");
    zsock_destroy (&member);
    s_demolish (&s);
}

static void a_wrong_key_is_refused (void **state)
{
    (void) state;
    site_t s;
    s_build (&s, false);
    rk_identity_t stranger;
    rk_error_t err = {RK_OK, ""};
    char address[256];
    uint8_t key[RK_KEY_BYTES];
    bool has_key;
    s_ok (rk_identity_generate (&stranger, &err), &err);
    s_ok (rk_endpoint_split (rk_relay_endpoint (s.relay), address, sizeof address, key, &has_key, &err), &err);
    assert_true (has_key);
    const rk_knock_t knock = {.identity = &stranger, .address = address, .leader = key};
    assert_int_equal (rk_knock (&knock, &err), RK_EPEER);
    assert_non_null (strstr (err.text, "does not allow this node"));
    s_demolish (&s);
}

/* Nobody reads at the far end: one buffer is filled, then the sender is not read from any more. */
static void a_slow_reader_costs_one_buffer (void **state)
{
    (void) state;
    int near[2], far[2];
    static uint8_t block[RK_SPLICE_BYTES];
    assert_int_equal (socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, near), 0);
    assert_int_equal (socketpair (AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, far), 0);
    rk_splice_t splice;
    struct pollfd items[2];
    assert_int_equal (rk_splice_open (&splice, near[1], far[0]), RK_OK);
    bool full = false;
    for (int i = 0; i < 1000 && !full; i++) {
        full = send (near[0], block, sizeof block, MSG_NOSIGNAL) < 0 && errno == EAGAIN;
        assert_true (rk_splice_move (&splice));
    }
    assert_true (full);
    rk_splice_poll (&splice, items);
    assert_int_equal (items[0].events & POLLIN, 0);
    assert_int_equal (items[1].events & POLLOUT, POLLOUT);
    assert_true (splice.end[0] - splice.begin[0] <= RK_SPLICE_BYTES && splice.end[0] > splice.begin[0]);
    close (far[1]); /* and when it goes, it is over */
    assert_false (rk_splice_move (&splice));
    rk_splice_close (&splice);
    close (near[0]);
}

static void addresses (void **state)
{
    (void) state;
    char host[RK_TCP_HOST];
    uint16_t port;
    assert_true (rk_tcp_parse ("tcp://10.0.0.1:5600/abc", host, &port) && port == 5600);
    assert_string_equal (host, "10.0.0.1");
    assert_true (rk_tcp_parse ("h:1", host, &port) && port == 1);
    const char *const bad[] = {"", "h", ":1", "h:", "h:0", "h:65536", "h:-1x", "h:1x", "tcp://:5", "h: "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false (rk_tcp_parse (bad[i], host, &port));
}

int main (void)
{
    zsys_init ();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (addresses),
        cmocka_unit_test (a_slow_reader_costs_one_buffer),
        cmocka_unit_test (bytes_pass_both_ways),
        cmocka_unit_test (the_relay_tries_to_dial),
        cmocka_unit_test (a_relay_that_is_gone_does_not_answer),
        cmocka_unit_test (strangers_at_the_door),
        cmocka_unit_test (ports_are_limited_and_given_back),
        cmocka_unit_test (nonsense_is_ignored),
        cmocka_unit_test (a_wrong_key_is_refused),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
