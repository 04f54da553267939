/* SPDX-License-Identifier: MPL-2.0
 * Envelopes cut short and changed at random: never a crash (run it with -DRK_SANITIZE=address,undefined), and
 * whatever is taken is a message that can be sent on.                                                        */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/messages/listing.h"
#include "tests/messages/sample.h"

#define N_MUTATIONS 100000

static sample_t s_sample = {.state = 0xd1342543de82ef95ull};
static listing_t s_first, s_second;
static rk_wire_arena_t *s_arena, *s_other;

static int s_setup (void **state)
{
    return rk_wire_arena_new (&s_arena) || rk_wire_arena_new (&s_other);
}

static int s_teardown (void **state)
{
    rk_wire_arena_destroy (&s_arena);
    rk_wire_arena_destroy (&s_other);
    return 0;
}

static rk_err_t s_parse (const uint8_t *bytes, size_t n, rk_msg_t *msg)
{
    uint8_t *exact = malloc (n ? n : 1); /* a read past the end is found */
    memcpy (exact, bytes, n);
    rk_err_t rc = rk_wire_parse (exact, n, s_arena, msg, NULL);
    free (exact);
    return rc;
}

static void s_truncations (void **state)
{
    static uint8_t bytes[1 << 17];
    for (int kind = 1; kind < RK_N_MSG; kind++)
        for (int i = 0; i < 3; i++) {
            rk_msg_t in = sample_msg (&s_sample, (rk_msg_kind_t) kind), out;
            size_t n = rk_wire_pack (&in, bytes, sizeof bytes);
            assert_in_range (n, 1, sizeof bytes);
            size_t step = n > 3000 ? n / 1500 : 1;
            for (size_t cut = 0; cut < n; cut += step)
                assert_int_equal (s_parse (bytes, cut, &out), RK_EFORMAT);
            assert_int_equal (s_parse (bytes, n, &out), RK_OK);
        }
}

/* One of: a bit flipped, a byte set, bytes removed, bytes put in, bytes copied from elsewhere. */
static size_t s_mutate (uint8_t *bytes, size_t n, size_t size)
{
    size_t at = sample_below (&s_sample, (uint32_t) n), from = sample_below (&s_sample, (uint32_t) n);
    size_t len = 1 + sample_below (&s_sample, 8);
    switch (sample_below (&s_sample, 5)) {
    case 0: bytes[at] ^= (uint8_t) (1u << sample_below (&s_sample, 8)); return n;
    case 1: bytes[at] = (uint8_t) sample_next (&s_sample); return n;
    case 2:
        len = len < n - at ? len : n - at - 1;
        memmove (bytes + at, bytes + at + len, n - at - len);
        return n - len;
    case 3:
        if (n + len > size)
            return n;
        memmove (bytes + at + len, bytes + at, n - at);
        for (size_t i = 0; i < len; i++)
            bytes[at + i] = (uint8_t) sample_next (&s_sample);
        return n + len;
    default:
        len = len < n - at ? len : n - at;
        len = len < n - from ? len : n - from;
        memmove (bytes + at, bytes + from, len);
        return n;
    }
}

static void s_taken_can_be_sent (const rk_msg_t *msg)
{
    static uint8_t bytes[RK_WIRE_MAX_ENVELOPE];
    rk_msg_t again;
    size_t n = rk_wire_pack (msg, bytes, sizeof bytes);
    assert_in_range (n, 1, sizeof bytes);
    assert_int_equal (rk_wire_parse (bytes, n, s_other, &again, NULL), RK_OK);
    list_msg (&s_first, msg);
    list_msg (&s_second, &again);
    assert_string_equal (s_first.text, s_second.text);
}

static void s_random (void **state)
{
    static uint8_t bytes[1 << 17], changed[1 << 17];
    size_t n = 0, n_taken = 0;
    for (int i = 0; i < N_MUTATIONS; i++) {
        rk_msg_kind_t kind = (rk_msg_kind_t) (1 + i / 20 % (RK_N_MSG - 1));
        if (i % 20 == 0) { /* small samples: a large one would hide every change in its middle */
            do {
                rk_msg_t in = sample_msg (&s_sample, kind);
                n = rk_wire_pack (&in, bytes, sizeof bytes);
            } while (n > 600);
        }
        memcpy (changed, bytes, n);
        size_t size = n;
        for (uint32_t k = 0; k < 1 + sample_below (&s_sample, 3); k++)
            size = s_mutate (changed, size, sizeof changed);
        rk_msg_t out;
        rk_err_t rc = s_parse (changed, size, &out);
        assert_true (rc == RK_OK || rc == RK_EFORMAT);
        if (rc == RK_OK) {
            n_taken++;
            s_taken_can_be_sent (&out);
        }
    }
    assert_in_range (n_taken, N_MUTATIONS / 50, N_MUTATIONS * 9 / 10); /* both outcomes are exercised */
}

static void s_noise (void **state)
{
    uint8_t bytes[64];
    rk_msg_t out;
    for (int i = 0; i < N_MUTATIONS; i++) {
        size_t n = sample_below (&s_sample, sizeof bytes);
        for (size_t k = 0; k < n; k++)
            bytes[k] = (uint8_t) sample_next (&s_sample);
        rk_err_t rc = s_parse (bytes, n, &out);
        assert_true (rc == RK_OK || rc == RK_EFORMAT);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (s_truncations),
        cmocka_unit_test (s_random),
        cmocka_unit_test (s_noise),
    };
    return cmocka_run_group_tests_name ("messages/mutations", tests, s_setup, s_teardown);
}
