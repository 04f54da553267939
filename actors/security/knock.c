/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/security/knock.h"

#include <czmq.h>

#include "actors/actor.h"

#define PATIENCE_MS 120000
#define ANSWER_MS 15000   /* for the answer to Enrol */
#define LOOK_MS 100       /* how late an interrupt may be noticed */
#define LINE_EVERY_MS 5000
#define MOST_HANG_UPS 3   /* in the middle of the handshake, before it is no accident */

typedef struct {
    zsock_t *dealer, *monitor;
    unsigned hang_ups;
    bool heard;       /* by somebody, lately */
} s_visit_t;

static rk_err_t s_open (s_visit_t *visit, const rk_knock_t *knock, rk_error_t *err)
{
    char name[64];
    rk_endpoint_unique (name, sizeof name, "inproc", NULL);
    visit->dealer = zsock_new (ZMQ_DEALER);
    visit->monitor = zsock_new (ZMQ_PAIR);
    if (!visit->dealer || !visit->monitor)
        return rk_error_set (err, RK_ENOMEM, "no sockets to knock at %s: %s", knock->address, zmq_strerror (errno));
    void *socket = zsock_resolve (visit->dealer);
    rk_err_t rc = knock->identity->plain ? RK_OK : rk_identity_call (knock->identity, socket, knock->leader, err);
    const int events = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CONNECT_DELAYED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                       ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    if (!rc && (zmq_socket_monitor (socket, name, events) != 0 || zmq_connect (zsock_resolve (visit->monitor), name) != 0))
        rc = rk_error_set (err, RK_EIO, "no monitor to knock at %s: %s", knock->address, zmq_strerror (errno));
    if (!rc && zmq_connect (socket, knock->address) != 0)
        rc = rk_error_set (err, RK_EINVAL, "cannot connect to %s: %s", knock->address, zmq_strerror (errno));
    return rc;
}

static void s_close (s_visit_t *visit)
{
    if (visit->dealer)
        zmq_socket_monitor (zsock_resolve (visit->dealer), NULL, 0);
    zsock_destroy (&visit->monitor);
    zsock_destroy (&visit->dealer);
}

/* RK_OK: let in; RK_ETIMEDOUT: go on listening. */
static rk_err_t s_event (s_visit_t *visit, const rk_knock_t *knock, uint16_t event, uint32_t value, rk_error_t *err)
{
    char key[RK_KEY_SHORT], own[RK_KEY_TEXT];
    rk_key_short (knock->leader ? knock->leader : knock->identity->public_key, key);
    rk_key_text (knock->identity->public_key, own);
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        return RK_OK;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return rk_error_set (err, RK_EPEER, "%s does not allow this node: its owner must put your node.cert into allowed/ of their keys, or "
                             "give you a ticket (rookery invite); your key is %s", knock->address, own);
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        if (value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH && knock->identity->plain)
            return rk_error_set (err, RK_EPEER, "%s is encrypted: leave --insecure out", knock->address);
        if (value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
            return rk_error_set (err, RK_EPEER, "%s does not encrypt (it was started with --insecure)", knock->address);
        return rk_error_set (err, RK_EPEER, "what answers at %s is no Rookery of this version (protocol error 0x%x)", knock->address, value);
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        if (++visit->hang_ups < MOST_HANG_UPS)
            return RK_ETIMEDOUT;
        if (knock->identity->plain)
            return rk_error_set (err, RK_EPEER, "%s hangs up: it is encrypted: leave --insecure out; or it is no Rookery", knock->address);
        return rk_error_set (err, RK_EPEER, "%s hangs up: its key is not %s..., or it is no Rookery; join with the address that it "
                             "prints, %s/KEY, or with a ticket", knock->address, key, knock->address);
    default:
        return RK_ETIMEDOUT;
    }
}

static rk_err_t s_hear (s_visit_t *visit, const rk_knock_t *knock, rk_error_t *err)
{
    zmsg_t *msg = zmsg_recv (visit->monitor);
    zframe_t *facts = msg ? zmsg_first (msg) : NULL;
    uint16_t event = 0;
    uint32_t value = 0;
    if (facts && zframe_size (facts) == sizeof event + sizeof value) {
        memcpy (&event, zframe_data (facts), sizeof event);
        memcpy (&value, zframe_data (facts) + sizeof event, sizeof value);
    }
    zmsg_destroy (&msg);
    return s_event (visit, knock, event, value, err);
}

/* Waits for `sock` to be readable. errors: RK_ETIMEDOUT, RK_ECANCELED. */
static rk_err_t s_wait (zsock_t *sock, int64_t until_ms, const volatile bool *interrupted)
{
    zmq_pollitem_t item = {.socket = zsock_resolve (sock), .events = ZMQ_POLLIN};
    while (rk_now_ns () / 1000000 < until_ms) {
        if (interrupted && *interrupted)
            return RK_ECANCELED;
        if (zmq_poll (&item, 1, LOOK_MS) > 0)
            return RK_OK;
    }
    return RK_ETIMEDOUT;
}

static rk_err_t s_get_in (s_visit_t *visit, const rk_knock_t *knock, rk_error_t *err)
{
    const int64_t patience_ms = knock->patience_ms ? knock->patience_ms : PATIENCE_MS;
    const int64_t end_ms = rk_now_ns () / 1000000 + patience_ms;
    for (int64_t line_ms = rk_now_ns () / 1000000 + LINE_EVERY_MS;;) {
        int64_t until_ms = line_ms < end_ms ? line_ms : end_ms;
        rk_err_t rc = s_wait (visit->monitor, until_ms, knock->interrupted);
        if (rc == RK_ECANCELED)
            return rk_error_set (err, rc, "interrupted");
        if (rc == RK_OK && (rc = s_hear (visit, knock, err)) != RK_ETIMEDOUT)
            return rc;
        if (rk_now_ns () / 1000000 >= end_ms)
            return rk_error_set (err, RK_ETIMEDOUT, "joining: waited %lld ms for %s", (long long) patience_ms, knock->address);
        if (rk_now_ns () / 1000000 >= line_ms) {
            rk_log (RK_LOG_WARNING, "WAITING", "for=leader at=%s", knock->address);
            line_ms += LINE_EVERY_MS;
        }
    }
}

rk_err_t rk_knock (const rk_knock_t *knock, rk_error_t *err)
{
    s_visit_t visit = {.hang_ups = 0};
    rk_err_t rc = s_open (&visit, knock, err);
    if (!rc)
        rc = s_get_in (&visit, knock, err);
    s_close (&visit);
    return rc;
}

static rk_err_t s_enrol (s_visit_t *visit, const rk_knock_t *knock, const char *key, rk_packet_t *packet, rk_error_t *err)
{
    rk_msg_t msg = {.kind = RK_MSG_ENROL, .sender = rk_address (RK_ACTOR_COORDINATOR, 0xffffff), .seq = 1, .enrol = {key}};
    rk_err_t rc = rk_wire_send (zsock_resolve (visit->dealer), NULL, 0, &msg, NULL, 0, NULL, err);
    if (!rc)
        rc = s_wait (visit->dealer, rk_now_ns () / 1000000 + ANSWER_MS, knock->interrupted);
    if (rc == RK_ETIMEDOUT)
        return rk_error_set (err, rc, "%s took the ticket and did not answer within %d ms", knock->address, ANSWER_MS);
    if (!rc)
        rc = rk_wire_receive (zsock_resolve (visit->dealer), false, packet, err);
    if (!rc && packet->msg.kind == RK_MSG_STOP)
        return rk_error_set (err, RK_EPEER, "%s refuses the ticket: %s", knock->address, packet->msg.stop.reason);
    if (!rc && packet->msg.kind != RK_MSG_ENROLLED)
        return rk_error_set (err, RK_EPEER, "%s answers the ticket with %s", knock->address, rk_msg_kind_name (packet->msg.kind));
    return rc;
}

rk_err_t rk_knock_enrol (const rk_knock_t *knock, const uint8_t guest_key[RK_KEY_BYTES], rk_error_t *err)
{
    s_visit_t visit = {.hang_ups = 0};
    rk_packet_t *packet = NULL;
    char key[RK_KEY_TEXT];
    rk_key_text (guest_key, key);
    rk_err_t rc = rk_packet_new (&packet);
    if (!rc)
        rc = s_open (&visit, knock, err);
    if (!rc)
        rc = s_get_in (&visit, knock, err);
    if (rc == RK_EPEER && strstr (err->text, "does not allow"))
        rk_error_set (err, rc, "%s does not take this ticket: it is used, expired or revoked; ask for a new one", knock->address);
    if (!rc)
        rc = s_enrol (&visit, knock, key, packet, err);
    s_close (&visit);
    rk_packet_destroy (&packet);
    return rc;
}

rk_err_t rk_knock_ask (const rk_knock_t *knock, const rk_msg_t *question, int64_t answer_ms, rk_packet_t *packet, rk_error_t *err)
{
    s_visit_t visit = {.hang_ups = 0};
    rk_err_t rc = s_open (&visit, knock, err);
    if (!rc)
        rc = s_get_in (&visit, knock, err);
    if (!rc)
        rc = rk_wire_send (zsock_resolve (visit.dealer), NULL, 0, question, NULL, 0, NULL, err);
    const rk_err_t waited = rc ? RK_OK : s_wait (visit.dealer, rk_now_ns () / 1000000 + answer_ms, knock->interrupted);
    if (waited == RK_ETIMEDOUT)
        rc = rk_error_set (err, waited, "%s is there and does not answer within %lld ms", knock->address, (long long) answer_ms);
    else if (waited)
        rc = rk_error_set (err, waited, "interrupted");
    if (!rc)
        rc = rk_wire_receive (zsock_resolve (visit.dealer), false, packet, err);
    if (!rc && packet->msg.kind == RK_MSG_STOP)
        rc = rk_error_set (err, RK_EPEER, "%s refuses: %s", knock->address, packet->msg.stop.reason);
    s_close (&visit);
    return rc;
}
