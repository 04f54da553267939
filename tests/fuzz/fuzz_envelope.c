/* SPDX-License-Identifier: MPL-2.0
 * An envelope from the network. What is taken can be packed, and then says the same. */
#include "messages/check.h"
#include "tests/fuzz/fuzz.h"

static uint8_t s_first[2 * RK_WIRE_MAX_ENVELOPE], s_second[2 * RK_WIRE_MAX_ENVELOPE];
static rk_wire_arena_t *s_arena, *s_other; /* made once: reusing them is part of what is tried */

/* Frames of any number and size: taken or refused. */
static void s_frames (const rk_msg_t *msg, const uint8_t *bytes, size_t size)
{
    size_t frame[RK_WIRE_MAX_FRAMES];
    int n = (int) (size < RK_WIRE_MAX_FRAMES ? size : RK_WIRE_MAX_FRAMES);
    for (int i = 0; i < n; i++)
        frame[i] = bytes[i];
    if (rk_check_frames (msg, frame, n, NULL) == RK_OK && msg->kind == RK_MSG_CHUNK)
        FUZZ_CHECK (n == 1 && frame[0] == 4 * msg->chunk.n_floats);
}

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    rk_msg_t msg, again;
    rk_error_t err = {0};
    if (!s_arena && (rk_wire_arena_new (&s_arena) || rk_wire_arena_new (&s_other)))
        return 0;
    rk_err_t rc = rk_wire_parse (bytes, size, s_arena, &msg, &err);
    if (rc) {
        FUZZ_CHECK (rc == RK_EFORMAT && err.code == rc && err.text[0] && msg.kind == RK_MSG_NONE);
        return 0;
    }
    s_frames (&msg, bytes, size);
    size_t n = rk_wire_pack (&msg, s_first, sizeof s_first);
    FUZZ_CHECK (n > 0 && n <= sizeof s_first);
    if (n > RK_WIRE_MAX_ENVELOPE) /* an old-style list of single numbers is shorter than ours may be */
        return 0;
    FUZZ_CHECK (rk_wire_parse (s_first, n, s_other, &again, &err) == RK_OK);
    FUZZ_CHECK (rk_wire_pack (&again, s_second, sizeof s_second) == n);
    FUZZ_CHECK (memcmp (s_first, s_second, n) == 0);
    return 0;
}
