/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "messages/lend.h"
#include "tests/messages/pair.h"

#define LARGE (RK_LEND_MIN_BYTES + 4000)

static sample_t s_sample = {.state = 0xda942042e4dd58b5ull};

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
        pair_t pair;
        pair_open (&pair, transport, 0);
        rk_frame_t frame = s_lent (&loan, LARGE);
        rk_msg_t msg = s_chunk (LARGE / 4);
        uint64_t bytes_sent = 5;
        assert_int_equal (rk_wire_send (pair.dealer, NULL, 0, &msg, &frame, 1, &bytes_sent, NULL), RK_OK);
        assert_int_equal (bytes_sent, 5 + LARGE + rk_wire_pack (&msg, NULL, 0));
        pair_receive (pair.router, true, pair.packet);
        pair_assert_same (pair.packet, &msg, &frame, 1);
        if (transport == 0) { /* it is the sender's own memory */
            assert_ptr_equal (zmq_msg_data (&pair.packet->frame[0]), loan.floats);
            assert_int_equal (loan.n_released, 0);
            rk_packet_clear (pair.packet);
            assert_int_equal (loan.n_released, 1);
        }
        pair_close (&pair);
        assert_int_equal (loan.n_released, 1);
    }
    free (loan.floats);
}

static void s_small_is_copied (void **state)
{
    s_loan_t loan = {0};
    pair_t pair;
    pair_open (&pair, 0, 0);
    for (size_t size = 0; size <= RK_LEND_MIN_BYTES; size += RK_LEND_MIN_BYTES - 4) {
        rk_frame_t frame = s_lent (&loan, size);
        rk_msg_t msg = s_chunk (size / 4);
        pair_send (pair.dealer, NULL, &msg, &frame, 1);
        assert_int_equal (loan.n_released, 1); /* at once */
        loan.floats[0] = 77.0f;
        pair_receive (pair.router, true, pair.packet);
        const float *floats = NULL;
        assert_int_equal (rk_packet_floats (pair.packet, 0, size / 4, NULL, &floats, NULL), RK_OK);
        assert_true (size == 0 || floats[0] == 0.0f);
    }
    rk_frame_t frame = s_lent (&loan, RK_LEND_MIN_BYTES); /* the first size that is lent */
    rk_msg_t msg = s_chunk (RK_LEND_MIN_BYTES / 4);
    pair_send (pair.dealer, NULL, &msg, &frame, 1);
    assert_int_equal (loan.n_released, 0);
    pair_close (&pair);
    free (loan.floats);
}

/* Every reason why nothing is sent still gives every loan back. */
static void s_released_on_failure (void **state)
{
    enum { N = 3 };
    s_loan_t loan[N] = {0};
    rk_frame_t frames[N];
    pair_t pair;
    pair_open (&pair, 0, 0);
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
    pair_close (&pair);
}

static void s_too_many_frames (void **state)
{
    static rk_frame_t frames[RK_WIRE_MAX_FRAMES + 1];
    s_loan_t loan = {0};
    pair_t pair;
    pair_open (&pair, 0, 0);
    for (int i = 0; i <= RK_WIRE_MAX_FRAMES; i++)
        frames[i] = s_lent (&loan, 8);
    rk_msg_t msg = sample_msg (&s_sample, RK_MSG_MEAN);
    msg.mean.n_planes = RK_WIRE_MAX_FRAMES + 1;
    assert_int_equal (rk_wire_send (pair.dealer, NULL, 0, &msg, frames, RK_WIRE_MAX_FRAMES + 1, NULL, NULL), RK_EINVAL);
    assert_int_equal (loan.n_released, RK_WIRE_MAX_FRAMES + 1);
    msg.mean.n_planes = RK_WIRE_MAX_FRAMES;
    pair_send (pair.dealer, NULL, &msg, frames, RK_WIRE_MAX_FRAMES);
    pair_receive (pair.router, true, pair.packet);
    assert_int_equal (pair.packet->n_frames, RK_WIRE_MAX_FRAMES);
    pair_close (&pair);
    free (loan.floats);
}

/* A frame received from one peer goes on to the next without a copy, and outlives the packet. */
static void s_shared (void **state)
{
    s_loan_t loan = {0};
    pair_t pair;
    pair_open (&pair, 0, 0);
    rk_frame_t frames[2] = {s_lent (&loan, LARGE), {.bytes = "labels4", .size = 8}};
    rk_msg_t msg = sample_msg (&s_sample, RK_MSG_ACTIVATION);
    msg.activation.n = 2;
    msg.activation.n_tensors = 1;
    pair_send (pair.dealer, NULL, &msg, frames, 2);
    pair_receive (pair.router, true, pair.packet);
    rk_frame_t again[2] = {{.share = &pair.packet->frame[0]}, {.share = &pair.packet->frame[1]}};
    pair_send (pair.router, "dealer", &msg, again, 2);
    rk_packet_clear (pair.packet);
    assert_int_equal (loan.n_released, 0);
    pair_receive (pair.dealer, false, pair.packet);
    pair_assert_same (pair.packet, &msg, frames, 2);
    assert_ptr_equal (zmq_msg_data (&pair.packet->frame[0]), loan.floats);
    rk_packet_clear (pair.packet);
    assert_int_equal (loan.n_released, 1);
    pair_close (&pair);
    free (loan.floats);
}

/* Whole messages or nothing, and never waiting. */
static void s_full_queue (void **state)
{
    s_loan_t loan = {0};
    for (int transport = 0; transport < N_TRANSPORTS; transport++) {
        pair_t pair;
        rk_error_t err = {0};
        int n_sent = 0, n_failed = 0;
        pair_open (&pair, transport, 2);
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
            pair_receive (pair.router, true, pair.packet);
            assert_int_equal (pair.packet->n_frames, 3);
            assert_int_equal (pair.packet->msg.mean.round, i);
        }
        assert_int_equal (rk_wire_receive (pair.router, true, pair.packet, NULL), RK_ETIMEDOUT);
        pair_close (&pair);
    }
    free (loan.floats);
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
        assert_int_equal (zmq_msg_init_data (&packet->frame[0], memory.bytes, 18, NULL, NULL), 0);
        assert_int_equal (rk_packet_floats (packet, 0, 4, scratch, &floats, NULL), RK_EFORMAT);
        zmq_msg_close (&packet->frame[0]);
    }
    packet->n_frames = 0;
    rk_packet_destroy (&packet);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (s_lent_once),       cmocka_unit_test (s_small_is_copied), cmocka_unit_test (s_released_on_failure),
        cmocka_unit_test (s_too_many_frames), cmocka_unit_test (s_shared),          cmocka_unit_test (s_full_queue),
        cmocka_unit_test (s_misaligned),
    };
    return cmocka_run_group_tests_name ("messages/lend", tests, NULL, NULL);
}
