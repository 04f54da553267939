/* SPDX-License-Identifier: MPL-2.0
 * The other side of an actor under test: a ROUTER inbox where it can report, and a DEALER into its inbox.  */
#ifndef RK_TESTS_MOCK_PEER_H
#define RK_TESTS_MOCK_PEER_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "actors/actor.h"

#define MOCK_WAIT_MS 20000 /* a test that waits this long has failed */

typedef struct {
    zsock_t *inbox, *dealer;
    char endpoint[128];
    rk_packet_t *packet;
    uint64_t view;
    uint32_t sender;
} mock_peer_t;

static inline void mock_open_at (mock_peer_t *peer, uint32_t sender, uint64_t view, const char *bind)
{
    *peer = (mock_peer_t){.sender = sender, .view = view};
    peer->inbox = zsock_new (ZMQ_ROUTER);
    assert_true (zsock_bind (peer->inbox, "%s", bind) >= 0);
    snprintf (peer->endpoint, sizeof peer->endpoint, "%s", zsock_endpoint (peer->inbox)); /* with the port it got */
    assert_int_equal (rk_packet_new (&peer->packet), RK_OK);
}

static inline void mock_open (mock_peer_t *peer, uint32_t sender, uint64_t view)
{
    char bind[128];
    rk_endpoint_unique (bind, sizeof bind, "inproc", NULL);
    mock_open_at (peer, sender, view, bind);
}

static inline void mock_connect (mock_peer_t *peer, const rk_actor_t *actor)
{
    peer->dealer = zsock_new (ZMQ_DEALER);
    assert_int_equal (zsock_connect (peer->dealer, "%s", rk_actor_endpoint (actor)), 0);
}

static inline void mock_close (mock_peer_t *peer)
{
    rk_packet_destroy (&peer->packet);
    zsock_destroy (&peer->dealer);
    zsock_destroy (&peer->inbox);
}

static inline void mock_send (mock_peer_t *peer, rk_msg_t msg, const rk_frame_t *frames, int n_frames)
{
    rk_error_t err = {0};
    msg.view = peer->view;
    msg.sender = peer->sender;
    msg.seq = 1;
    if (rk_wire_send (zsock_resolve (peer->dealer), NULL, 0, &msg, frames, n_frames, NULL, &err) != RK_OK)
        fail_msg ("%s", err.text);
}

/* The next message of this kind; others are passed over. */
static inline const rk_msg_t *mock_receive (mock_peer_t *peer, rk_msg_kind_t kind)
{
    for (;;) {
        zmq_pollitem_t item = {.socket = zsock_resolve (peer->inbox), .events = ZMQ_POLLIN};
        if (zmq_poll (&item, 1, MOCK_WAIT_MS) <= 0)
            fail_msg ("no %s came", rk_msg_kind_name (kind));
        if (rk_wire_receive (item.socket, true, peer->packet, NULL) == RK_OK && peer->packet->msg.kind == kind)
            return &peer->packet->msg;
    }
}

/* What the actor says to its parent next. */
static inline rk_err_t mock_said (rk_actor_t *actor, char word[32])
{
    rk_error_t err = {0};
    zmq_pollitem_t item = {.socket = zsock_resolve (rk_actor_pipe (actor)), .events = ZMQ_POLLIN};
    if (zmq_poll (&item, 1, MOCK_WAIT_MS) <= 0 || !rk_actor_said (actor, word, 32, &err))
        fail_msg ("the actor says nothing");
    return err.code;
}

#endif
