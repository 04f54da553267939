/* SPDX-License-Identifier: MPL-2.0
 * One ROUTER that binds and one DEALER that connects, over any transport, for the tests of messages. */
#ifndef RK_TESTS_MESSAGES_PAIR_H
#define RK_TESTS_MESSAGES_PAIR_H
#include <stdio.h>
#include <unistd.h>

#include "tests/messages/listing.h"
#include "tests/messages/sample.h"

#define DEADLINE_MS 20000

static listing_t pair_want, pair_got;

typedef struct {
    void *context, *router, *dealer;
    char endpoint[128];
    rk_packet_t *packet;
} pair_t;

static const char *const pair_transports[] = {"inproc://packet", "ipc://@rk-packet-%d-%d", "tcp://127.0.0.1:*"};
#define N_TRANSPORTS 3

static inline void pair_open (pair_t *pair, int transport, int hwm)
{
    static int n_pairs;
    char wanted[64];
    size_t size = sizeof pair->endpoint;
    int on = 1, none = 0;
    snprintf (wanted, sizeof wanted, pair_transports[transport], (int) getpid (), n_pairs++);
    assert_int_equal (rk_packet_new (&pair->packet), RK_OK);
    pair->context = zmq_ctx_new ();
    pair->router = zmq_socket (pair->context, ZMQ_ROUTER);
    pair->dealer = zmq_socket (pair->context, ZMQ_DEALER);
    zmq_setsockopt (pair->router, ZMQ_ROUTER_MANDATORY, &on, sizeof on);
    zmq_setsockopt (pair->router, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt (pair->dealer, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt (pair->dealer, ZMQ_ROUTING_ID, "dealer", 6);
    zmq_setsockopt (pair->dealer, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt (pair->router, ZMQ_RCVHWM, &hwm, sizeof hwm);
    assert_int_equal (zmq_bind (pair->router, wanted), 0);
    assert_int_equal (zmq_getsockopt (pair->router, ZMQ_LAST_ENDPOINT, pair->endpoint, &size), 0);
    assert_int_equal (zmq_connect (pair->dealer, pair->endpoint), 0);
}

/* Ends the context: everything lent has come back when this returns. */
static inline void pair_close (pair_t *pair)
{
    rk_packet_destroy (&pair->packet);
    rk_packet_destroy (&pair->packet); /* twice is harmless */
    zmq_close (pair->router);
    zmq_close (pair->dealer);
    zmq_ctx_term (pair->context);
}

static inline rk_err_t pair_wait (void *socket, bool router, rk_packet_t *packet, rk_error_t *err)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    assert_int_equal (zmq_poll (&item, 1, DEADLINE_MS), 1);
    return rk_wire_receive (socket, router, packet, err);
}

static inline void pair_receive (void *socket, bool router, rk_packet_t *packet)
{
    rk_error_t err = {0};
    if (pair_wait (socket, router, packet, &err))
        fail_msg ("%s", err.text);
}

static inline void pair_send (void *socket, const char *routing, const rk_msg_t *msg, const rk_frame_t *frames, int n)
{
    rk_error_t err = {0};
    size_t n_routing = routing ? strlen (routing) : 0;
    if (rk_wire_send (socket, (const uint8_t *) routing, n_routing, msg, frames, n, NULL, &err))
        fail_msg ("%s", err.text);
}

static inline void pair_assert_same (const rk_packet_t *packet, const rk_msg_t *msg, const rk_frame_t *frames, int n)
{
    list_msg (&pair_want, msg);
    list_msg (&pair_got, &packet->msg);
    assert_string_equal (pair_got.text, pair_want.text);
    assert_int_equal (packet->n_frames, n);
    for (int i = 0; i < n; i++) {
        assert_int_equal (zmq_msg_size (&packet->frame[i]), frames[i].size);
        assert_memory_equal (zmq_msg_data ((zmq_msg_t *) &packet->frame[i]), frames[i].bytes, frames[i].size);
    }
}

#endif
