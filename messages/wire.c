/* SPDX-License-Identifier: MPL-2.0 */
#include "messages/wire.h"

#include <stdlib.h>

#include "messages/body.h"
#include "messages/check.h"

/* Envelope fields have numbers below this, bodies from it on (envelope.proto). */
#define FIRST_BODY RK__ENVELOPE__BODY_ACTIVATION
#define MAX_FIELDS 64 /* of an envelope, ones of later versions included */

const char *rk_actor_kind_name (rk_actor_kind_t kind)
{
    static const char *const names[] = {
        [RK_ACTOR_NODE] = "node",         [RK_ACTOR_COORDINATOR] = "coordinator", [RK_ACTOR_PROFILER] = "profiler",
        [RK_ACTOR_FEEDER] = "feeder",     [RK_ACTOR_STAGE] = "stage",             [RK_ACTOR_REDUCER] = "reducer",
        [RK_ACTOR_OBSERVER] = "observer", [RK_ACTOR_CHECKPOINTER] = "checkpointer", [RK_ACTOR_KEEPER] = "keeper",
    };
    unsigned i = kind;
    return i < sizeof names / sizeof *names && names[i] ? names[i] : "unknown";
}

const char *rk_msg_kind_name (rk_msg_kind_t kind)
{
    const rk_body_ops_t *ops = rk_body_ops (kind);
    return ops ? ops->name : "unknown";
}

size_t rk_wire_pack (const rk_msg_t *msg, uint8_t *bytes, size_t size)
{
    const rk_body_ops_t *ops = rk_body_ops (msg->kind);
    rk_body_t body;
    body.list = NULL;
    if (!ops || ops->put (msg, &body))
        return 0;
    Rk__Envelope envelope = RK__ENVELOPE__INIT;
    envelope.version = RK_WIRE_VERSION;
    envelope.view = msg->view;
    envelope.sender = msg->sender;
    envelope.seq = msg->seq;
    envelope.body_case = ops->body_case;
    envelope.activation = &body.activation; /* one pointer, whatever the body */
    size_t needed = rk__envelope__get_packed_size (&envelope);
    if (needed <= size)
        rk__envelope__pack (&envelope, bytes);
    free (body.list);
    return needed;
}

/* ---- parse */
/* protobuf varint at bytes[*at]; false when it is cut off or longer than 10 bytes. */
static bool s_varint (const uint8_t *bytes, size_t size, size_t *at, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 70 && *at < size; shift += 7) {
        uint8_t byte = bytes[(*at)++];
        *value |= (uint64_t) (byte & 0x7f) << (shift < 64 ? shift : 63);
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool s_skip (const uint8_t *bytes, size_t size, size_t *at, unsigned wire_type)
{
    uint64_t n = 0;
    if (wire_type == PROTOBUF_C_WIRE_TYPE_VARINT)
        return s_varint (bytes, size, at, &n);
    if (wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED && !s_varint (bytes, size, at, &n))
        return false;
    if (wire_type == PROTOBUF_C_WIRE_TYPE_64BIT)
        n = 8;
    else if (wire_type == PROTOBUF_C_WIRE_TYPE_32BIT)
        n = 4;
    else if (wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
        return false; /* groups are not ours */
    if (n > size - *at)
        return false;
    *at += n;
    return true;
}

/* Bodies are counted here because protobuf lets the last of several win silently, and the fields because
 * an unknown one costs protobuf-c twenty times its bytes.                                              */
static rk_err_t s_scan (const uint8_t *bytes, size_t size, rk_error_t *err)
{
    unsigned n_fields = 0, n_bodies = 0;
    for (size_t at = 0; at < size; n_fields++) {
        uint64_t tag = 0;
        size_t start = at;
        if (n_fields == MAX_FIELDS)
            return rk_error_set (err, RK_EFORMAT, "envelope: more than %d fields", MAX_FIELDS);
        if (!s_varint (bytes, size, &at, &tag) || !s_skip (bytes, size, &at, tag & 7))
            return rk_error_set (err, RK_EFORMAT, "envelope of %zu bytes: wrong field at byte %zu", size, start);
        n_bodies += tag >> 3 >= FIRST_BODY;
    }
    if (n_bodies != 1)
        return rk_error_set (err, RK_EFORMAT, "envelope of %zu bytes: %u bodies, expected 1", size, n_bodies);
    return RK_OK;
}

static rk_err_t s_convert (const Rk__Envelope *envelope, rk_wire_arena_t *arena, rk_msg_t *msg, rk_error_t *err)
{
    if (envelope->version != RK_WIRE_VERSION)
        return rk_error_set (err, RK_EFORMAT, "envelope from %08x: version %u, expected %d", envelope->sender,
                             envelope->version, RK_WIRE_VERSION);
    msg->kind = rk_body_kind (envelope->body_case);
    const rk_body_ops_t *ops = rk_body_ops (msg->kind);
    if (!ops)
        return rk_error_set (err, RK_EFORMAT, "envelope from %08x: unknown body", envelope->sender);
    msg->view = envelope->view;
    msg->sender = envelope->sender;
    msg->seq = envelope->seq;
    if (ops->get (envelope, arena, msg))
        return rk_error_set (err, RK_EFORMAT, "%s from %08x: lists differ in length or are too long", ops->name,
                             envelope->sender);
    return rk_check_msg (msg, err);
}

rk_err_t rk_wire_parse (const uint8_t *bytes, size_t size, rk_wire_arena_t *arena, rk_msg_t *msg, rk_error_t *err)
{
    *msg = (rk_msg_t) {.kind = RK_MSG_NONE};
    if (size > RK_WIRE_MAX_ENVELOPE)
        return rk_error_set (err, RK_EFORMAT, "envelope of %zu bytes, at most %d", size, RK_WIRE_MAX_ENVELOPE);
    rk_err_t rc = s_scan (bytes, size, err);
    if (rc)
        return rc;
    rk_arena_reset (arena);
    const Rk__Envelope *envelope = rk__envelope__unpack (rk_arena_allocator (arena), size, bytes);
    if (!envelope)
        return rk_error_set (err, RK_EFORMAT, "envelope of %zu bytes: not well-formed", size);
    rc = s_convert (envelope, arena, msg, err);
    if (rc)
        *msg = (rk_msg_t) {.kind = RK_MSG_NONE}; /* nothing half-checked gets out */
    return rc;
}
