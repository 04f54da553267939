/* SPDX-License-Identifier: MPL-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "messages/check.h"
#include "messages/lend.h"
#include "messages/order.h"
#include "messages/wire.h"

#define ENVELOPE_BYTES 512 /* an ordinary envelope is packed on the stack */
#define MAX_ROUTING 255

rk_err_t rk_packet_new (rk_packet_t **packet_p)
{
    rk_packet_t *packet = calloc (1, sizeof *packet);
    if (!packet)
        return RK_ENOMEM;
    rk_err_t rc = rk_wire_arena_new (&packet->arena);
    if (rc) {
        free (packet);
        return rc;
    }
    *packet_p = packet;
    return RK_OK;
}

void rk_packet_destroy (rk_packet_t **packet_p)
{
    if (!*packet_p)
        return;
    rk_packet_clear (*packet_p);
    rk_wire_arena_destroy (&(*packet_p)->arena);
    free (*packet_p);
    *packet_p = NULL;
}

void rk_packet_clear (rk_packet_t *packet)
{
    for (int i = 0; i < packet->n_frames; i++)
        zmq_msg_close (&packet->frame[i]);
    packet->n_frames = 0;
    packet->n_routing = 0;
    packet->user[0] = packet->remote[0] = '\0';
    packet->fd = -1;
    packet->msg = (rk_msg_t) {.kind = RK_MSG_NONE};
}

/* ---- send */
typedef struct { /* everything is made before anything is sent, so that only the socket can refuse */
    zmq_msg_t part[2 + RK_WIRE_MAX_FRAMES];
    int n;
    size_t bytes; /* without the routing id */
} s_parts_t;

static void s_parts_close (s_parts_t *parts, int from)
{
    for (int i = from; i < parts->n; i++)
        zmq_msg_close (&parts->part[i]);
}

static rk_err_t s_add_routing (s_parts_t *parts, const uint8_t *routing, size_t n)
{
    if (zmq_msg_init_size (&parts->part[parts->n], n))
        return RK_ENOMEM;
    memcpy (zmq_msg_data (&parts->part[parts->n++]), routing, n);
    return RK_OK;
}

static rk_err_t s_add_envelope (s_parts_t *parts, const rk_msg_t *msg, rk_error_t *err)
{
    uint8_t bytes[ENVELOPE_BYTES];
    size_t n = rk_wire_pack (msg, bytes, sizeof bytes);
    if (n > RK_WIRE_MAX_ENVELOPE)
        return rk_error_set (err, RK_EINVAL, "%s: envelope of %zu bytes, at most %d", rk_msg_kind_name (msg->kind), n,
                             RK_WIRE_MAX_ENVELOPE);
    zmq_msg_t *part = &parts->part[parts->n];
    if (n == 0 || zmq_msg_init_size (part, n))
        return rk_error_set (err, RK_ENOMEM, "%s: no memory for the envelope", rk_msg_kind_name (msg->kind));
    parts->n++;
    parts->bytes += n;
    if (n <= sizeof bytes)
        memcpy (zmq_msg_data (part), bytes, n);
    else if (rk_wire_pack (msg, zmq_msg_data (part), n) != n)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory for the envelope", rk_msg_kind_name (msg->kind));
    return RK_OK;
}

/* *n_settled: frames whose release is no longer ours to call. */
static rk_err_t s_add_frames (s_parts_t *parts, const rk_frame_t *frames, int n_frames, int *n_settled, rk_error_t *err)
{
    for (int i = 0; i < n_frames; i++) {
        zmq_msg_t *part = &parts->part[parts->n];
        rk_err_t rc = rk_lend (part, &frames[i]);
        *n_settled = i + 1;
        if (rc)
            return rk_error_set (err, rc, "no memory for frame %d", i);
        parts->n++;
        parts->bytes += zmq_msg_size (part);
    }
    return RK_OK;
}

static int s_send_part (zmq_msg_t *part, void *socket, int flags)
{
    int rc;
    RK_ORDER_SENT (zmq_msg_data (part));
    do
        rc = zmq_msg_send (part, socket, flags | ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? errno : 0;
}

/* A socket takes or refuses a message at its first part. When the peer goes away in the middle, it takes the
 * message back and then drops parts until one without ZMQ_SNDMORE has passed: so the rest is sent in any
 * case, or the next message would be the one dropped.                                                      */
static rk_err_t s_put_on_socket (s_parts_t *parts, void *socket, rk_error_t *err)
{
    int code = 0;
    for (int i = 0; i < parts->n; i++) {
        int now = s_send_part (&parts->part[i], socket, i + 1 < parts->n ? ZMQ_SNDMORE : 0);
        code = code ? code : now;
        if (now)
            zmq_msg_close (&parts->part[i]);
        if (code && i == 0) {
            s_parts_close (parts, 1);
            break;
        }
    }
    if (code == 0)
        return RK_OK;
    if (code == EAGAIN || code == EHOSTUNREACH)
        return rk_error_set (err, RK_EPEER, code == EAGAIN ? "no peer yet, or its queue is full" : "the peer is unknown");
    return rk_error_set (err, RK_EIO, "send: %s", zmq_strerror (code));
}

/* What the receiver would refuse is not sent. */
static rk_err_t s_check (const rk_msg_t *msg, const rk_frame_t *frames, int n_frames, size_t n_routing, rk_error_t *err)
{
    size_t size[RK_WIRE_MAX_FRAMES];
    if (n_frames < 0 || n_frames > RK_WIRE_MAX_FRAMES || n_routing > MAX_ROUTING)
        return rk_error_set (err, RK_EINVAL, "%d frames, routing id of %zu bytes", n_frames, n_routing);
    for (int i = 0; i < n_frames; i++)
        size[i] = frames[i].share ? zmq_msg_size (frames[i].share) : frames[i].size;
    if (rk_check_msg (msg, err) || rk_check_frames (msg, size, n_frames, err)) {
        if (err)
            err->code = RK_EINVAL;
        return RK_EINVAL;
    }
    return RK_OK;
}

rk_err_t rk_wire_send (void *zmq_socket, const uint8_t *routing, size_t n_routing, const rk_msg_t *msg,
                       const rk_frame_t *frames, int n_frames, uint64_t *bytes_sent, rk_error_t *err)
{
    s_parts_t parts;
    parts.n = 0;
    parts.bytes = 0;
    int n_settled = 0;
    rk_err_t rc = s_check (msg, frames, n_frames, n_routing, err);
    if (!rc && routing)
        rc = s_add_routing (&parts, routing, n_routing);
    if (!rc)
        rc = s_add_envelope (&parts, msg, err);
    if (!rc)
        rc = s_add_frames (&parts, frames, n_frames, &n_settled, err);
    for (int i = n_settled; i < n_frames; i++)
        rk_lend_give_back (&frames[i]);
    if (rc) {
        s_parts_close (&parts, 0);
        return rc;
    }
    rc = s_put_on_socket (&parts, zmq_socket, err);
    if (rc)
        return rk_error_wrap (err, rc, "%s from %08x", rk_msg_kind_name (msg->kind), msg->sender);
    if (bytes_sent)
        *bytes_sent += parts.bytes;
    return RK_OK;
}

/* ---- receive */
/* 0, or errno. */
static int s_receive_part (zmq_msg_t *part, void *socket)
{
    int rc;
    do
        rc = zmq_msg_recv (part, socket, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return errno;
    RK_ORDER_RECEIVED (zmq_msg_data (part));
    return 0;
}

/* The rest of a message that is refused anyway. */
static void s_drain (void *socket, bool more)
{
    zmq_msg_t part;
    while (more) {
        zmq_msg_init (&part);
        more = s_receive_part (&part, socket) == 0 && zmq_msg_more (&part);
        zmq_msg_close (&part);
    }
}

/* The routing id of a ROUTER socket. */
static rk_err_t s_take_routing (rk_packet_t *packet, const zmq_msg_t *part, rk_error_t *err)
{
    size_t n = zmq_msg_size (part);
    if (n == 0 || n > sizeof packet->routing)
        return rk_error_set (err, RK_EFORMAT, "routing id of %zu bytes", n);
    memcpy (packet->routing, zmq_msg_data ((zmq_msg_t *) part), n);
    packet->n_routing = n;
    return RK_OK;
}

/* What libzmq knows of a connection; control messages are few, so the search costs nothing that matters. */
static void s_take_origin (rk_packet_t *packet, zmq_msg_t *part, bool router)
{
    packet->fd = zmq_msg_get (part, ZMQ_SRCFD);
    if (!router) /* we know whom we called */
        return;
    const char *user = zmq_msg_gets (part, "User-Id"), *remote = zmq_msg_gets (part, "Peer-Address");
    snprintf (packet->user, sizeof packet->user, "%s", user ? user : "");
    snprintf (packet->remote, sizeof packet->remote, "%s", remote ? remote : "");
}

static rk_err_t s_receive_frames (void *socket, bool *more, rk_packet_t *packet, rk_error_t *err)
{
    size_t size[RK_WIRE_MAX_FRAMES];
    while (*more) {
        if (packet->n_frames == RK_WIRE_MAX_FRAMES)
            return rk_error_set (err, RK_EFORMAT, "more than %d frames", RK_WIRE_MAX_FRAMES);
        zmq_msg_t *frame = &packet->frame[packet->n_frames];
        zmq_msg_init (frame);
        int code = s_receive_part (frame, socket);
        *more = code == 0 && zmq_msg_more (frame);
        size[packet->n_frames++] = zmq_msg_size (frame);
        if (code)
            return rk_error_set (err, RK_EIO, "receive: %s", zmq_strerror (code));
    }
    return rk_check_frames (&packet->msg, size, packet->n_frames, err);
}

/* part: the first one, received. It ends up closed or replaced by the envelope, which the caller closes. */
static rk_err_t s_receive_rest (void *socket, bool router, zmq_msg_t *part, bool *more, rk_packet_t *packet,
                                rk_error_t *err)
{
    if (router) {
        rk_err_t rc = s_take_routing (packet, part, err);
        if (!rc && !*more)
            rc = rk_error_set (err, RK_EFORMAT, "a routing id and nothing else");
        if (rc)
            return rc;
        int code = s_receive_part (part, socket); /* releases the former content */
        *more = code == 0 && zmq_msg_more (part);
        if (code)
            return rk_error_set (err, RK_EIO, "receive: %s", zmq_strerror (code));
    }
    rk_err_t rc = rk_wire_parse (zmq_msg_data (part), zmq_msg_size (part), packet->arena, &packet->msg, err);
    if (!rc && packet->msg.kind >= RK_MSG_HELLO)
        s_take_origin (packet, part, router);
    return rc ? rc : s_receive_frames (socket, more, packet, err);
}

rk_err_t rk_wire_receive (void *zmq_socket, bool router, rk_packet_t *packet, rk_error_t *err)
{
    rk_packet_clear (packet);
    zmq_msg_t part;
    zmq_msg_init (&part);
    int code = s_receive_part (&part, zmq_socket);
    if (code) {
        zmq_msg_close (&part);
        return code == EAGAIN ? RK_ETIMEDOUT : rk_error_set (err, RK_EIO, "receive: %s", zmq_strerror (code));
    }
    bool more = zmq_msg_more (&part);
    rk_err_t rc = s_receive_rest (zmq_socket, router, &part, &more, packet, err);
    zmq_msg_close (&part);
    if (rc) {
        s_drain (zmq_socket, more);
        rk_packet_clear (packet);
    }
    return rc;
}

rk_err_t rk_packet_floats (rk_packet_t *packet, int i, size_t n, float *scratch, const float **floats_p, rk_error_t *err)
{
    if (i < 0 || i >= packet->n_frames)
        return rk_error_set (err, RK_EFORMAT, "frame %d of %d", i, packet->n_frames);
    size_t size = zmq_msg_size (&packet->frame[i]);
    if (size % sizeof (float) || size / sizeof (float) != n)
        return rk_error_set (err, RK_EFORMAT, "frame %d: %zu bytes, expected %zu floats", i, size, n);
    const void *bytes = zmq_msg_data (&packet->frame[i]);
    if ((uintptr_t) bytes % _Alignof (float) == 0) {
        *floats_p = bytes;
        return RK_OK;
    }
    memcpy (scratch, bytes, size);
    *floats_p = scratch;
    return RK_OK;
}
