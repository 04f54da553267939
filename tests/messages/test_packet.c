/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/messages/pair.h"

static sample_t s_sample = {.state = 0x2545f4914f6cdd1dull};

static void s_every_kind (void **state)
{
    for (int transport = 0; transport < N_TRANSPORTS; transport++) {
        pair_t pair;
        pair_open (&pair, transport, 0);
        assert_int_equal (rk_wire_receive (pair.dealer, false, pair.packet, NULL), RK_ETIMEDOUT);
        for (int kind = 1; kind < RK_N_MSG; kind++) {
            rk_frame_t frames[RK_WIRE_MAX_FRAMES];
            rk_msg_t msg = sample_msg (&s_sample, (rk_msg_kind_t) kind);
            int n = sample_frames (&s_sample, &msg, frames);
            pair_send (pair.dealer, NULL, &msg, frames, n);
            pair_receive (pair.router, true, pair.packet);
            pair_assert_same (pair.packet, &msg, frames, n);
            assert_int_equal (pair.packet->n_routing, 6);
            assert_memory_equal (pair.packet->routing, "dealer", 6);
            pair_send (pair.router, "dealer", &msg, frames, n); /* and back */
            pair_receive (pair.dealer, false, pair.packet);
            pair_assert_same (pair.packet, &msg, frames, n);
            assert_int_equal (pair.packet->n_routing, 0);
        }
        pair_close (&pair);
    }
}

static void s_no_peer (void **state)
{
    pair_t pair;
    rk_error_t err = {0};
    pair_open (&pair, 2, 0);
    rk_msg_t msg = sample_msg (&s_sample, RK_MSG_CREDIT);
    assert_int_equal (rk_wire_send (pair.router, (const uint8_t *) "nobody", 6, &msg, NULL, 0, NULL, &err), RK_EPEER);
    assert_non_null (strstr (err.text, "peer is unknown"));
    assert_non_null (strstr (err.text, "Credit from"));
    void *alone = zmq_socket (pair.context, ZMQ_DEALER);
    assert_int_equal (rk_wire_send (alone, NULL, 0, &msg, NULL, 0, NULL, &err), RK_EPEER);
    zmq_close (alone);
    pair_close (&pair);
}

/* A message refused at its first part leaves nothing behind: its second frame happens to be the name of a peer,
 * and must not be taken for the start of another message.                                                  */
static void s_nothing_left_behind (void **state)
{
    pair_t pair;
    pair_open (&pair, 0, 0);
    rk_msg_t first = sample_msg (&s_sample, RK_MSG_CREDIT), lost = sample_msg (&s_sample, RK_MSG_GRADIENT);
    rk_frame_t frames[2] = {{.bytes = "dealer", .size = 6}, {.bytes = "not for you", .size = 4}};
    pair_send (pair.dealer, NULL, &first, NULL, 0);
    pair_receive (pair.router, true, pair.packet);
    lost.gradient.n_tensors = 2;
    lost.gradient.dtype = RK_DTYPE_F16;
    assert_int_equal (rk_wire_send (pair.router, (const uint8_t *) "nobody", 6, &lost, frames, 2, NULL, NULL), RK_EPEER);
    pair_send (pair.router, "dealer", &first, NULL, 0);
    pair_receive (pair.dealer, false, pair.packet);
    pair_assert_same (pair.packet, &first, NULL, 0);
    pair_close (&pair);
}

/* What a receiver would refuse is not sent at all. */
static void s_refused_by_sender (void **state)
{
    pair_t pair;
    rk_error_t err = {0};
    pair_open (&pair, 0, 0);
    rk_msg_t msg = sample_msg (&s_sample, RK_MSG_EVALUATED);
    msg.evaluated.n_correct = msg.evaluated.n_counted + 1;
    assert_int_equal (rk_wire_send (pair.dealer, NULL, 0, &msg, NULL, 0, NULL, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "correct"));
    msg = sample_msg (&s_sample, RK_MSG_CREDIT);
    rk_frame_t frame = {.bytes = "x", .size = 1};
    assert_int_equal (rk_wire_send (pair.dealer, NULL, 0, &msg, &frame, 1, NULL, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "1 frames, expected 0"));
    rk_node_profile_t *nodes = calloc (30, sizeof *nodes);
    uint64_t *times = malloc (RK_WIRE_MAX_LIST * sizeof *times);
    memset (times, 0xff, RK_WIRE_MAX_LIST * sizeof *times);
    for (int i = 0; i < 30; i++)
        nodes[i] = (rk_node_profile_t) {.n_layers = RK_WIRE_MAX_LIST, .forward_ns = times, .backward_ns = times};
    msg = (rk_msg_t) {.kind = RK_MSG_PROFILE, .sender = rk_address (RK_ACTOR_NODE, 1), .profile = {30, nodes}};
    static const uint8_t routing[255] = "so long that it is allocated, and has to be given back";
    assert_int_equal (rk_wire_send (pair.router, routing, sizeof routing, &msg, NULL, 0, NULL, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "envelope of"));
    msg.profile.n_nodes = 6; /* large, but allowed */
    pair_send (pair.dealer, NULL, &msg, NULL, 0);
    pair_receive (pair.router, true, pair.packet);
    assert_int_equal (pair.packet->msg.profile.n_nodes, 6);
    assert_memory_equal (pair.packet->msg.profile.nodes[5].backward_ns, times, RK_WIRE_MAX_LIST * sizeof *times);
    pair_close (&pair);
    free (nodes);
    free (times);
}

/* ---- bad input: refused, consumed, and the next message is read */
static void s_raw (void *socket, const char *const *parts, const size_t *size, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal (zmq_send (socket, parts[i], size[i], i + 1 < n ? ZMQ_SNDMORE : 0), (int) size[i]);
}

static void s_bad_then_good (pair_t *pair, const char *const *parts, const size_t *size, int n, const char *what)
{
    rk_error_t err = {0};
    rk_msg_t good = sample_msg (&s_sample, RK_MSG_FAILED);
    s_raw (pair->dealer, parts, size, n);
    pair_send (pair->dealer, NULL, &good, NULL, 0);
    assert_int_equal (pair_wait (pair->router, true, pair->packet, &err), RK_EFORMAT);
    assert_int_equal (pair->packet->msg.kind, RK_MSG_NONE);
    assert_int_equal (pair->packet->n_frames, 0);
    if (!strstr (err.text, what))
        fail_msg ("\"%s\" does not say \"%s\"", err.text, what);
    pair_receive (pair->router, true, pair->packet);
    pair_assert_same (pair->packet, &good, NULL, 0);
}

static void s_bad_frames (void **state)
{
    static const char zeros[256];
    static uint8_t envelope[512];
    const char *parts[RK_WIRE_MAX_FRAMES + 9] = {(const char *) envelope};
    size_t size[RK_WIRE_MAX_FRAMES + 9];
    for (int i = 1; i < RK_WIRE_MAX_FRAMES + 9; i++) {
        parts[i] = zeros;
        size[i] = 8;
    }
    rk_msg_t a = {.kind = RK_MSG_ACTIVATION, .sender = rk_address (RK_ACTOR_STAGE, 4)};
    pair_t pair;
    pair_open (&pair, 0, 0);
#define BAD(n, what) s_bad_then_good (&pair, parts, size, n, what)
#define PACK(msg) (size[0] = rk_wire_pack (msg, envelope, sizeof envelope))
    a.activation = (rk_activation_t) {.n = 2, .n_tensors = 2};
    PACK (&a);
    BAD (3, "2 frames, expected 3");
    BAD (1, "0 frames, expected 3");
    BAD (5, "4 frames, expected 3");
    BAD (RK_WIRE_MAX_FRAMES + 9, "more than 72 frames");
    size[2] = 7;
    BAD (4, "frame 1 has 7 bytes");
    size[2] = 8;
    size[3] = 4;
    BAD (4, "4 bytes of labels for 2 samples");
    size[3] = 0;
    BAD (4, "0 bytes of labels");
    a.activation.mode = RK_MB_PREDICT; /* a sample to be predicted needs none */
    PACK (&a);
    s_raw (pair.dealer, parts, size, 4);
    pair_receive (pair.router, true, pair.packet);
    rk_msg_t c = {.kind = RK_MSG_CHUNK, .sender = rk_address (RK_ACTOR_REDUCER, 4), .chunk = {.n_floats = 3}};
    PACK (&c);
    BAD (2, "8 bytes, expected 3 x 4");
    c.chunk.n_floats = UINT64_MAX / 4 + 3; /* x 4 wraps around to 8 */
    PACK (&c);
    BAD (2, "8 bytes, expected");
    rk_msg_t p = {.kind = RK_MSG_PREDICTION, .sender = rk_address (RK_ACTOR_STAGE, 4),
                  .prediction = {.n = 1u << 31, .n_classes = 4}}; /* x 4 wraps around to 0 in 32 bits */
    PACK (&p);
    size[1] = 0;
    BAD (2, "0 bytes, expected 8589934592 x 4");
    size[0] = 0;
    BAD (1, "0 bodies");
    pair_close (&pair);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (s_every_kind),
        cmocka_unit_test (s_no_peer),
        cmocka_unit_test (s_nothing_left_behind),
        cmocka_unit_test (s_refused_by_sender),
        cmocka_unit_test (s_bad_frames),
    };
    return cmocka_run_group_tests_name ("messages/packet", tests, NULL, NULL);
}
