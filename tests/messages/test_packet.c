/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "messages/lend.h"
#include "tests/messages/listing.h"
#include "tests/messages/sample.h"

#define DEADLINE_MS 20000
#define LARGE (RK_LEND_MIN_BYTES + 4000)

static sample_t s_sample = {.state = 0x2545f4914f6cdd1dull};
static listing_t s_want, s_got;

typedef struct { /* one ROUTER that binds, one DEALER that connects */
    void *context, *router, *dealer;
    char endpoint[128];
    rk_packet_t *packet;
} s_pair_t;

static const char *const s_transports[] = {"inproc://packet", "ipc://@rk-packet-%d-%d", "tcp://127.0.0.1:*"};
#define N_TRANSPORTS 3

static void s_pair_open (s_pair_t *pair, int transport, int hwm)
{
    static int n_pairs;
    char wanted[64];
    size_t size = sizeof pair->endpoint;
    int on = 1, none = 0;
    snprintf (wanted, sizeof wanted, s_transports[transport], (int) getpid (), n_pairs++);
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
static void s_pair_close (s_pair_t *pair)
{
    rk_packet_destroy (&pair->packet);
    rk_packet_destroy (&pair->packet); /* twice is harmless */
    zmq_close (pair->router);
    zmq_close (pair->dealer);
    zmq_ctx_term (pair->context);
}

static rk_err_t s_wait (void *socket, bool router, rk_packet_t *packet, rk_error_t *err)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    assert_int_equal (zmq_poll (&item, 1, DEADLINE_MS), 1);
    return rk_wire_receive (socket, router, packet, err);
}

static void s_receive (void *socket, bool router, rk_packet_t *packet)
{
    rk_error_t err = {0};
    if (s_wait (socket, router, packet, &err))
        fail_msg ("%s", err.text);
}

static void s_send (void *socket, const char *routing, const rk_msg_t *msg, const rk_frame_t *frames, int n)
{
    rk_error_t err = {0};
    size_t n_routing = routing ? strlen (routing) : 0;
    if (rk_wire_send (socket, (const uint8_t *) routing, n_routing, msg, frames, n, NULL, &err))
        fail_msg ("%s", err.text);
}

static void s_assert_same (const rk_packet_t *packet, const rk_msg_t *msg, const rk_frame_t *frames, int n)
{
    list_msg (&s_want, msg);
    list_msg (&s_got, &packet->msg);
    assert_string_equal (s_got.text, s_want.text);
    assert_int_equal (packet->n_frames, n);
    for (int i = 0; i < n; i++) {
        assert_int_equal (zmq_msg_size (&packet->frame[i]), frames[i].size);
        assert_memory_equal (zmq_msg_data ((zmq_msg_t *) &packet->frame[i]), frames[i].bytes, frames[i].size);
    }
}

static void s_every_kind (void **state)
{
    for (int transport = 0; transport < N_TRANSPORTS; transport++) {
        s_pair_t pair;
        s_pair_open (&pair, transport, 0);
        assert_int_equal (rk_wire_receive (pair.dealer, false, pair.packet, NULL), RK_ETIMEDOUT);
        for (int kind = 1; kind < RK_N_MSG; kind++) {
            rk_frame_t frames[RK_WIRE_MAX_FRAMES];
            rk_msg_t msg = sample_msg (&s_sample, (rk_msg_kind_t) kind);
            int n = sample_frames (&s_sample, &msg, frames);
            s_send (pair.dealer, NULL, &msg, frames, n);
            s_receive (pair.router, true, pair.packet);
            s_assert_same (pair.packet, &msg, frames, n);
            assert_int_equal (pair.packet->n_routing, 6);
            assert_memory_equal (pair.packet->routing, "dealer", 6);
            s_send (pair.router, "dealer", &msg, frames, n); /* and back */
            s_receive (pair.dealer, false, pair.packet);
            s_assert_same (pair.packet, &msg, frames, n);
            assert_int_equal (pair.packet->n_routing, 0);
        }
        s_pair_close (&pair);
    }
}

/* ---- lending */
typedef struct {
    float *floats;
    atomic_int n_released;
} s_loan_t;

static void s_release (void *bytes, void *hint)
{
    s_loan_t *loan = hint;
    if (bytes == loan->floats)
        atomic_fetch_add (&loan->n_released, 1);
}

static rk_frame_t s_lent (s_loan_t *loan, size_t size)
{
    if (!loan->floats)
        loan->floats = calloc (LARGE, 1);
    for (size_t i = 0; i < LARGE / sizeof (float); i++)
        loan->floats[i] = (float) i;
    loan->n_released = 0;
    return (rk_frame_t) {.bytes = loan->floats, .size = size, .release = s_release, .hint = loan};
}

static rk_msg_t s_chunk (size_t n_floats)
{
    rk_msg_t msg = sample_msg (&s_sample, RK_MSG_CHUNK);
    msg.chunk.n_floats = n_floats;
    return msg;
}

static void s_lent_once (void **state)
{
    s_loan_t loan = {0};
    for (int transport = 0; transport < N_TRANSPORTS; transport++) {
        s_pair_t pair;
        s_pair_open (&pair, transport, 0);
        rk_frame_t frame = s_lent (&loan, LARGE);
        rk_msg_t msg = s_chunk (LARGE / 4);
        uint64_t bytes_sent = 5;
        assert_int_equal (rk_wire_send (pair.dealer, NULL, 0, &msg, &frame, 1, &bytes_sent, NULL), RK_OK);
        assert_int_equal (bytes_sent, 5 + LARGE + rk_wire_pack (&msg, NULL, 0));
        s_receive (pair.router, true, pair.packet);
        s_assert_same (pair.packet, &msg, &frame, 1);
        if (transport == 0) { /* it is the sender's own memory */
            assert_ptr_equal (zmq_msg_data (&pair.packet->frame[0]), loan.floats);
            assert_int_equal (loan.n_released, 0);
            rk_packet_clear (pair.packet);
            assert_int_equal (loan.n_released, 1);
        }
        s_pair_close (&pair);
        assert_int_equal (loan.n_released, 1);
    }
    free (loan.floats);
}

static void s_small_is_copied (void **state)
{
    s_loan_t loan = {0};
    s_pair_t pair;
    s_pair_open (&pair, 0, 0);
    for (size_t size = 0; size <= RK_LEND_MIN_BYTES; size += RK_LEND_MIN_BYTES - 4) {
        rk_frame_t frame = s_lent (&loan, size);
        rk_msg_t msg = s_chunk (size / 4);
        s_send (pair.dealer, NULL, &msg, &frame, 1);
        assert_int_equal (loan.n_released, 1); /* at once */
        loan.floats[0] = 77.0f;
        s_receive (pair.router, true, pair.packet);
        const float *floats = NULL;
        assert_int_equal (rk_packet_floats (pair.packet, 0, size / 4, NULL, &floats, NULL), RK_OK);
        assert_true (size == 0 || floats[0] == 0.0f);
    }
    s_pair_close (&pair);
    free (loan.floats);
}

/* Every reason why nothing is sent still gives every loan back. */
static void s_released_on_failure (void **state)
{
    enum { N = 3 };
    s_loan_t loan[N] = {0};
    rk_frame_t frames[N];
    s_pair_t pair;
    s_pair_open (&pair, 0, 0);
    rk_msg_t good = sample_msg (&s_sample, RK_MSG_MEAN), bad;
    good.mean.n_planes = N;
    for (int i = 0; i < 5; i++) {
        rk_error_t err = {0};
        rk_err_t want = i == 0 ? RK_EPEER : i == 4 ? RK_EIO : RK_EINVAL;
        void *socket = i == 4 ? NULL : pair.router;
        bad = good;
        if (i == 1)
            bad.kind = RK_N_MSG;
        if (i == 2)
            bad.mean.n_planes = N + 1;
        for (int k = 0; k < N; k++)
            frames[k] = s_lent (&loan[k], k == 1 ? 400 : LARGE);
        if (i == 3)
            frames[2].size = LARGE - 1;
        assert_int_equal (rk_wire_send (socket, (const uint8_t *) "nobody", 6, &bad, frames, N, NULL, &err), want);
        assert_int_equal (err.code, want);
        for (int k = 0; k < N; k++)
            assert_int_equal (loan[k].n_released, 1);
    }
    for (int k = 0; k < N; k++)
        free (loan[k].floats);
    s_pair_close (&pair);
}

static void s_too_many_frames (void **state)
{
    static rk_frame_t frames[RK_WIRE_MAX_FRAMES + 1];
    s_loan_t loan = {0};
    s_pair_t pair;
    s_pair_open (&pair, 0, 0);
    for (int i = 0; i <= RK_WIRE_MAX_FRAMES; i++)
        frames[i] = s_lent (&loan, 8);
    rk_msg_t msg = sample_msg (&s_sample, RK_MSG_MEAN);
    msg.mean.n_planes = RK_WIRE_MAX_FRAMES + 1;
    assert_int_equal (rk_wire_send (pair.dealer, NULL, 0, &msg, frames, RK_WIRE_MAX_FRAMES + 1, NULL, NULL), RK_EINVAL);
    assert_int_equal (loan.n_released, RK_WIRE_MAX_FRAMES + 1);
    msg.mean.n_planes = RK_WIRE_MAX_FRAMES;
    s_send (pair.dealer, NULL, &msg, frames, RK_WIRE_MAX_FRAMES);
    s_receive (pair.router, true, pair.packet);
    assert_int_equal (pair.packet->n_frames, RK_WIRE_MAX_FRAMES);
    s_pair_close (&pair);
    free (loan.floats);
}

/* A frame received from one peer goes on to the next without a copy, and outlives the packet. */
static void s_shared (void **state)
{
    s_loan_t loan = {0};
    s_pair_t pair;
    s_pair_open (&pair, 0, 0);
    rk_frame_t frames[2] = {s_lent (&loan, LARGE), {.bytes = "labels4", .size = 8}};
    rk_msg_t msg = sample_msg (&s_sample, RK_MSG_ACTIVATION);
    msg.activation.n = 2;
    msg.activation.n_tensors = 1;
    s_send (pair.dealer, NULL, &msg, frames, 2);
    s_receive (pair.router, true, pair.packet);
    rk_frame_t again[2] = {{.share = &pair.packet->frame[0]}, {.share = &pair.packet->frame[1]}};
    s_send (pair.router, "dealer", &msg, again, 2);
    rk_packet_clear (pair.packet);
    assert_int_equal (loan.n_released, 0);
    s_receive (pair.dealer, false, pair.packet);
    s_assert_same (pair.packet, &msg, frames, 2);
    assert_ptr_equal (zmq_msg_data (&pair.packet->frame[0]), loan.floats);
    rk_packet_clear (pair.packet);
    assert_int_equal (loan.n_released, 1);
    s_pair_close (&pair);
    free (loan.floats);
}

/* ---- back-pressure: whole messages or nothing, and never waiting */
static void s_full_queue (void **state)
{
    s_loan_t loan = {0};
    for (int transport = 0; transport < N_TRANSPORTS; transport++) {
        s_pair_t pair;
        rk_error_t err = {0};
        int n_sent = 0, n_failed = 0;
        s_pair_open (&pair, transport, 2);
        for (int i = 0; i < 20000 && n_failed < 3; i++) {
            rk_frame_t frames[3] = {s_lent (&loan, 400), {.bytes = loan.floats, .size = LARGE}, s_lent (&loan, LARGE)};
            rk_msg_t msg = {.kind = RK_MSG_MEAN, .sender = rk_address (RK_ACTOR_REDUCER, 1), .seq = (uint64_t) n_sent + 1,
                            .mean = {.round = (uint64_t) n_sent, .n_planes = 3}};
            rk_err_t rc = rk_wire_send (pair.dealer, NULL, 0, &msg, frames, 3, NULL, &err);
            n_sent += rc == RK_OK;
            n_failed += rc != RK_OK;
            assert_true (rc == RK_OK || rc == RK_EPEER);
        }
        assert_int_equal (n_failed, 3);
        assert_non_null (strstr (err.text, "queue is full"));
        for (int i = 0; i < n_sent; i++) {
            s_receive (pair.router, true, pair.packet);
            assert_int_equal (pair.packet->n_frames, 3);
            assert_int_equal (pair.packet->msg.mean.round, i);
        }
        assert_int_equal (rk_wire_receive (pair.router, true, pair.packet, NULL), RK_ETIMEDOUT);
        s_pair_close (&pair);
    }
    free (loan.floats);
}

static void s_no_peer (void **state)
{
    s_pair_t pair;
    rk_error_t err = {0};
    s_pair_open (&pair, 2, 0);
    rk_msg_t msg = sample_msg (&s_sample, RK_MSG_CREDIT);
    assert_int_equal (rk_wire_send (pair.router, (const uint8_t *) "nobody", 6, &msg, NULL, 0, NULL, &err), RK_EPEER);
    assert_non_null (strstr (err.text, "peer is unknown"));
    assert_non_null (strstr (err.text, "Credit from"));
    void *alone = zmq_socket (pair.context, ZMQ_DEALER);
    assert_int_equal (rk_wire_send (alone, NULL, 0, &msg, NULL, 0, NULL, &err), RK_EPEER);
    zmq_close (alone);
    s_pair_close (&pair);
}

/* What a receiver would refuse is not sent at all. */
static void s_refused_by_sender (void **state)
{
    s_pair_t pair;
    rk_error_t err = {0};
    s_pair_open (&pair, 0, 0);
    rk_msg_t msg = sample_msg (&s_sample, RK_MSG_EVALUATED);
    msg.evaluated.n_correct = msg.evaluated.n + 1;
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
    assert_int_equal (rk_wire_send (pair.dealer, NULL, 0, &msg, NULL, 0, NULL, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "envelope of"));
    msg.profile.n_nodes = 6; /* large, but allowed */
    s_send (pair.dealer, NULL, &msg, NULL, 0);
    s_receive (pair.router, true, pair.packet);
    assert_int_equal (pair.packet->msg.profile.n_nodes, 6);
    assert_memory_equal (pair.packet->msg.profile.nodes[5].backward_ns, times, RK_WIRE_MAX_LIST * sizeof *times);
    s_pair_close (&pair);
    free (nodes);
    free (times);
}

/* ---- bad input: refused, consumed, and the next message is read */
static void s_raw (void *socket, const char *const *parts, const size_t *size, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal (zmq_send (socket, parts[i], size[i], i + 1 < n ? ZMQ_SNDMORE : 0), (int) size[i]);
}

static void s_bad_then_good (s_pair_t *pair, const char *const *parts, const size_t *size, int n, const char *what)
{
    rk_error_t err = {0};
    rk_msg_t good = sample_msg (&s_sample, RK_MSG_FAILED);
    s_raw (pair->dealer, parts, size, n);
    s_send (pair->dealer, NULL, &good, NULL, 0);
    assert_int_equal (s_wait (pair->router, true, pair->packet, &err), RK_EFORMAT);
    assert_int_equal (pair->packet->msg.kind, RK_MSG_NONE);
    assert_int_equal (pair->packet->n_frames, 0);
    if (!strstr (err.text, what))
        fail_msg ("\"%s\" does not say \"%s\"", err.text, what);
    s_receive (pair->router, true, pair->packet);
    s_assert_same (pair->packet, &good, NULL, 0);
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
    s_pair_t pair;
    s_pair_open (&pair, 0, 0);
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
    s_receive (pair.router, true, pair.packet);
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
    s_pair_close (&pair);
}

/* ---- floats where they lie */
static void s_misaligned (void **state)
{
    rk_packet_t *packet = NULL;
    rk_error_t err = {0};
    static union { float f; char bytes[64]; } memory;
    float want[4] = {1.5f, -2.0f, 1e-30f, 3e30f}, scratch[4];
    assert_int_equal (rk_packet_new (&packet), RK_OK);
    packet->n_frames = 1;
    for (size_t shift = 0; shift < 8; shift++) {
        const float *floats = NULL;
        memcpy (memory.bytes + shift, want, sizeof want);
        assert_int_equal (zmq_msg_init_data (&packet->frame[0], memory.bytes + shift, sizeof want, NULL, NULL), 0);
        assert_int_equal (rk_packet_floats (packet, 0, 4, scratch, &floats, &err), RK_OK);
        assert_ptr_equal (floats, shift % 4 ? (void *) scratch : (void *) (memory.bytes + shift));
        assert_memory_equal (floats, want, sizeof want);
        assert_int_equal (rk_packet_floats (packet, 0, 3, scratch, &floats, &err), RK_EFORMAT);
        assert_non_null (strstr (err.text, "16 bytes, expected 3 floats"));
        assert_int_equal (rk_packet_floats (packet, 0, (size_t) 1 << 62 | 4, scratch, &floats, NULL), RK_EFORMAT);
        assert_int_equal (rk_packet_floats (packet, 1, 4, scratch, &floats, NULL), RK_EFORMAT);
        assert_int_equal (rk_packet_floats (packet, -1, 4, scratch, &floats, NULL), RK_EFORMAT);
        zmq_msg_close (&packet->frame[0]);
    }
    packet->n_frames = 0;
    rk_packet_destroy (&packet);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (s_every_kind),          cmocka_unit_test (s_lent_once),       cmocka_unit_test (s_small_is_copied),
        cmocka_unit_test (s_released_on_failure), cmocka_unit_test (s_too_many_frames), cmocka_unit_test (s_shared),
        cmocka_unit_test (s_full_queue),          cmocka_unit_test (s_no_peer),         cmocka_unit_test (s_refused_by_sender),
        cmocka_unit_test (s_bad_frames),          cmocka_unit_test (s_misaligned),
    };
    return cmocka_run_group_tests_name ("messages/packet", tests, NULL, NULL);
}
