/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "tests/messages/listing.h"
#include "tests/messages/sample.h"

static sample_t s_sample = {.state = 0x9e3779b97f4a7c15ull};
static listing_t s_want, s_got;
static uint8_t s_bytes[RK_WIRE_MAX_ENVELOPE];
static rk_wire_arena_t *s_arena;

static int s_setup (void **state)
{
    return rk_wire_arena_new (&s_arena);
}

static int s_teardown (void **state)
{
    rk_wire_arena_destroy (&s_arena);
    rk_wire_arena_destroy (&s_arena); /* twice is harmless */
    return 0;
}

static size_t s_pack (const rk_msg_t *msg)
{
    size_t n = rk_wire_pack (msg, s_bytes, sizeof s_bytes);
    assert_in_range (n, 1, sizeof s_bytes);
    return n;
}

static void s_round_trip (void **state)
{
    for (int i = 0; i < 100; i++)
        for (int kind = 1; kind < RK_N_MSG; kind++) {
            rk_msg_t in = sample_msg (&s_sample, (rk_msg_kind_t) kind), out;
            rk_error_t err = {0};
            size_t n = s_pack (&in);
            if (rk_wire_parse (s_bytes, n, s_arena, &out, &err))
                fail_msg ("%s: %s", rk_msg_kind_name (in.kind), err.text);
            memset (s_bytes, 0xff, n); /* nothing may point into the bytes */
            list_msg (&s_want, &in);
            list_msg (&s_got, &out);
            assert_true (s_want.n < sizeof s_want.text - 1);
            assert_string_equal (s_got.text, s_want.text);
        }
}

/* The bytes of a small message by hand: what another implementation would have to write. */
static void s_golden (void **state)
{
    static const uint8_t credit[] = {0x08, 1, 0x10, 7, 0x18, 0x82, 0x80, 0x80, 0x20, 0x20, 0xac, 0x02,
                                     0x92, 0x01, 6, 0x08, 9, 0x10, 3, 0x18, 2};
    rk_msg_t in = {.kind = RK_MSG_CREDIT, .view = 7, .sender = rk_address (RK_ACTOR_FEEDER, 2), .seq = 300,
                   .credit = {.f = 9, .round = 3, .mode = RK_MB_PREDICT}};
    assert_int_equal (s_pack (&in), sizeof credit);
    assert_memory_equal (s_bytes, credit, sizeof credit);
    assert_int_equal (rk_wire_pack (&in, NULL, 0), sizeof credit);
}

static void s_pack_too_small (void **state)
{
    uint8_t bytes[8] = {0};
    rk_msg_t in = sample_msg (&s_sample, RK_MSG_REPORT);
    assert_true (rk_wire_pack (&in, bytes, sizeof bytes) > sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal (bytes[i], 0);
    in.kind = RK_MSG_NONE;
    assert_int_equal (rk_wire_pack (&in, s_bytes, sizeof s_bytes), 0);
    in.kind = RK_N_MSG;
    assert_int_equal (rk_wire_pack (&in, s_bytes, sizeof s_bytes), 0);
}

static void s_null_strings (void **state)
{
    rk_msg_t in = {.kind = RK_MSG_HELLO, .sender = rk_address (RK_ACTOR_NODE, 0)}, out;
    size_t n = s_pack (&in);
    assert_int_equal (rk_wire_parse (s_bytes, n, s_arena, &out, NULL), RK_OK);
    assert_string_equal (out.hello.name, "");
}

static void s_refused (const uint8_t *bytes, size_t n, const char *what)
{
    rk_msg_t out = {.kind = RK_MSG_STOP};
    rk_error_t err = {0};
    uint8_t *exact = malloc (n ? n : 1); /* so that a read past the end is found */
    memcpy (exact, bytes, n);
    if (rk_wire_parse (exact, n, s_arena, &out, &err) != RK_EFORMAT)
        fail_msg ("not refused: %s", what);
    assert_int_equal (out.kind, RK_MSG_NONE);
    assert_int_equal (err.code, RK_EFORMAT);
    if (!strstr (err.text, what))
        fail_msg ("\"%s\" does not say \"%s\"", err.text, what);
    free (exact);
}

static void s_refused_msg (const rk_msg_t *msg, const char *what)
{
    s_refused (s_bytes, s_pack (msg), what);
}

static rk_msg_t s_of (rk_msg_kind_t kind)
{
    return sample_msg (&s_sample, kind);
}

static void s_refused_values (void **state)
{
#define BAD(kind, change, what)                                                                                       \
    do {                                                                                                              \
        rk_msg_t m = s_of (RK_MSG_##kind);                                                                            \
        change;                                                                                                       \
        s_refused_msg (&m, what);                                                                                     \
    } while (0)
    BAD (CREDIT, m.sender = 9, "actor kind 0");
    BAD (CREDIT, m.sender = rk_address (RK_ACTOR_KEEPER + 1, 3), "actor kind 10");
    BAD (ACTIVATION, m.activation.mode = RK_N_MB, "mode 5");
    BAD (ACTIVATION, m.activation.dtype = 2, "dtype 2");
    BAD (ACTIVATION, m.activation.n = 0, "no samples");
    BAD (ACTIVATION, m.activation.n_tensors = 0, "without tensors");
    BAD (ACTIVATION, m.activation.n_tensors = RK_WIRE_MAX_FRAMES, "72 tensors");
    BAD (LINK_PROBE, m.link_probe.what = 3, "kind 3");
    BAD (LINK_PROBE, m.link_probe.total = RK_LINK_MOST_BYTES + 1, "burst of 33554433 bytes");
    BAD (LINK_ECHO, m.link_echo.what = 2, "kind 2");
    BAD (LINK_REQUEST, m.link_request.address = 9, "actor kind 0");
    BAD (TIED, m.tied.what = 4, "kind 4");
    BAD (TIED, m.tied.n_tensors = 3, "tied tensors");
    BAD (GRADIENT, m.gradient.dtype = 77, "dtype 77");
    BAD (GRADIENT, m.gradient.n = 0, "no samples");
    BAD (GRADIENT, m.gradient.n_tensors = UINT32_MAX, "tensors");
    BAD (CREDIT, m.credit.mode = UINT32_MAX, "mode");
    BAD (NORM, m.norm.loss_scale = 0, "loss scale 0");
    BAD (NORM, m.norm.loss_scale = NAN, "loss scale");
    BAD (VERDICT, m.verdict.grad_scale = INFINITY, "gradient scale");
    BAD (VERDICT, m.verdict.grad_scale = -1, "gradient scale -1");
    BAD (VERDICT, m.verdict.loss_scale = -2, "loss scale -2");
    BAD (SNAPSHOT, m.snapshot.n_planes = RK_WIRE_MAX_FRAMES + 1, "73 planes");
    BAD (SNAPSHOT, (m.snapshot.total = 3, m.snapshot.weight = 4), "weight 4 above the total 3");
    BAD (CHUNK, (m.chunk.offset = UINT64_MAX, m.chunk.n_floats = 1), "chunk of");
    BAD (CHUNK, (m.chunk.mixing = true, m.chunk.push = NAN), "push weight");
    BAD (MEAN, m.mean.n_planes = UINT32_MAX, "planes");
    BAD (SLICE, (m.slice.flat_lo = UINT64_MAX, m.slice.n_floats = 1), "slice of 1");
    BAD (SLICE, m.slice.n_planes = 99, "99 planes");
    BAD (HANDOVER_REQUEST, m.handover_request.n_floats = RK_HANDOVER_PART + 1, "262145 floats");
    BAD (HANDOVER_REQUEST, (m.handover_request.flat_lo = UINT64_MAX, m.handover_request.n_floats = 1), "1 floats at");
    BAD (HANDOVER, m.handover.n_floats = UINT64_MAX, "floats");
    BAD (AGREEMENT, m.agreement.kind = 4, "kind 4, at most 3");
    BAD (AGREEMENT, m.agreement.paxos = 6, "step 6 of a decision");
    BAD (HANDOVER, m.handover.n_planes = RK_WIRE_MAX_FRAMES + 1, "73 planes");
    BAD (HANDOVER, m.handover.source = 2, "source 2");
    BAD (HANDOVER, m.handover.loss_scale = 0, "loss scale 0");
    BAD (PREDICTION, m.prediction.n_classes = 0, "in 0 classes");
    BAD (PREDICTION, m.prediction.n = 0, "of 0 samples");
    BAD (LEASE_GRANT, m.lease_grant.mode = RK_N_MB, "mode 5");
    BAD (LEASE_REQUEST, m.lease_request.n = RK_WIRE_MAX_LIST + 1, "4097 elements");
    BAD (EVALUATED, m.evaluated.n_correct = m.evaluated.n_counted + 1, "correct");
    BAD (STOP, m.stop.code = 256, "exit code 256");
    BAD (WIRED, (m.wired.n = 1, m.wired.list = (rk_endpoint_t[]) {{5, "x"}}), "actor kind 0");
    BAD (PEERS, (m.peers.n = 1, m.peers.list = (rk_endpoint_t[]) {{sample_address (&s_sample), "\r"}}), "control");
    BAD (SAVED, m.saved.path = "\t", "path: control character 09");
    BAD (STOP, m.stop.reason = "\a", "reason: control character 07");
    BAD (PROFILE, (m.profile.n_nodes = 1, m.profile.nodes = (rk_node_profile_t[]) {{.name = "\a"}}), "name: control");
#undef BAD
}

/* A training that diverges can say so. */
static void s_any_loss (void **state)
{
    static const double losses[] = {NAN, INFINITY, -INFINITY, 5e-324};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        rk_msg_t m = s_of (RK_MSG_REPORT), out;
        m.report.loss_sum = losses[i];
        assert_int_equal (rk_wire_parse (s_bytes, s_pack (&m), s_arena, &out, NULL), RK_OK);
        assert_memory_equal (&out.report.loss_sum, &losses[i], sizeof *losses);
        m = s_of (RK_MSG_EVALUATED);
        m.evaluated.loss_sum = losses[i];
        assert_int_equal (rk_wire_parse (s_bytes, s_pack (&m), s_arena, &out, NULL), RK_OK);
        assert_memory_equal (&out.evaluated.loss_sum, &losses[i], sizeof *losses);
    }
}

static void s_refused_texts (void **state)
{
    static const struct {
        const char *text, *what;
    } bad[] = {
        {"a\nb", "control character 0a at byte 1"}, {"\x1b[2J", "control character 1b"}, {"abc\x7f", "7f at byte 3"},
        {"\xc2\x85", "control character 85"},      {"\xff", "not UTF-8"},               {"\x80", "not UTF-8"},
        {"\xc0\xaf", "not UTF-8"},                 {"\xe0\x80\xaf", "not UTF-8"},       {"\xed\xa0\x80", "not UTF-8"},
        {"\xf4\x90\x80\x80", "not UTF-8"},         {"ab\xe4\xb8", "not UTF-8"},         {"\xf8\x88\x80\x80\x80", "not UTF-8"},
        {"\xf0\x80\x80\xaf", "not UTF-8"},         {"\xc1\x81", "not UTF-8"},           {"\xe4\x41\x41", "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rk_msg_t m = s_of (RK_MSG_FAILED);
        m.failed.text = bad[i].text;
        s_refused_msg (&m, bad[i].what);
        m = s_of (RK_MSG_WELCOME);
        m.welcome.settings = bad[i].text;
        if (i > 0) /* the only text that may have lines */
            s_refused_msg (&m, bad[i].what);
    }
    char *text = calloc (1, 70000);
    memset (text, 'x', 69999);
    const char *end = text + 69999;
    rk_msg_t m = s_of (RK_MSG_HELLO), out;
    m.hello.kernels = end - 16;
    s_refused_msg (&m, "kernels: longer than 15");
    m = s_of (RK_MSG_WELCOME);
    m.welcome.settings = end - 65536;
    s_refused_msg (&m, "longer than 65535");
    m.welcome.settings = end - 65535;
    text[69000] = '\n';
    assert_int_equal (rk_wire_parse (s_bytes, s_pack (&m), s_arena, &out, NULL), RK_OK);
    assert_string_equal (out.welcome.settings, end - 65535);
    free (text);
}

static void s_long_lists (void **state)
{
    size_t max = RK_WIRE_MAX_LIST;
    uint64_t *f = calloc (max + 1, sizeof *f);
    rk_endpoint_t *list = calloc (max + 1, sizeof *list);
    rk_msg_t m = s_of (RK_MSG_LEASE_GRANT), out;
    m.lease_grant.f = f;
    m.lease_grant.n = max;
    assert_int_equal (rk_wire_parse (s_bytes, s_pack (&m), s_arena, &out, NULL), RK_OK);
    assert_int_equal (out.lease_grant.n, max);
    m.lease_grant.n = max + 1;
    s_refused_msg (&m, "4097 elements");
    m = s_of (RK_MSG_ROUND_CLOSED);
    m.round_closed.counts = m.round_closed.samples = f;
    m.round_closed.n_clusters = max + 1;
    s_refused_msg (&m, "4097 elements");
    for (size_t i = 0; i <= max; i++)
        list[i] = (rk_endpoint_t) {rk_address (RK_ACTOR_STAGE, (uint32_t) i), "tcp://127.0.0.1:5555"};
    m = s_of (RK_MSG_PEERS);
    m.peers = (rk_endpoints_t) {max, list};
    assert_int_equal (rk_wire_parse (s_bytes, s_pack (&m), s_arena, &out, NULL), RK_OK);
    m.peers.n = max + 1;
    s_refused_msg (&m, "4097 elements");
    free (f);
    free (list);
}

/* Append a field to the envelope in s_bytes. */
static size_t s_append (size_t n, const char *bytes, size_t size)
{
    memcpy (s_bytes + n, bytes, size);
    return n + size;
}

#define HEAD "\x08\x01\x18\x81\x80\x80\x08" /* version 1, sender node 1 */
#define APPEND(n, text) s_append (n, text, sizeof text - 1)

static void s_envelope_rules (void **state)
{
    rk_msg_t m = s_of (RK_MSG_READY);
    s_refused (s_bytes, 0, "0 bodies");
    size_t n = s_pack (&m);
    s_bytes[1] = 2;
    s_refused (s_bytes, n, "version 2");
    n = APPEND (s_pack (&m), "\xaa\x03\x00"); /* and Stopped (53) */
    s_refused (s_bytes, n, "2 bodies");
    n = APPEND (s_pack (&m), "\xba\x02\x00"); /* Ready twice */
    s_refused (s_bytes, n, "2 bodies");
    n = APPEND (0, HEAD "\xca\x0c\x00"); /* body 201 of a later version */
    s_refused (s_bytes, n, "unknown body");
    n = APPEND (s_pack (&m), "\x6b"); /* a group */
    s_refused (s_bytes, n, "wrong field");
    n = APPEND (0, "\x08\x01\x78\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"); /* a varint of 11 bytes */
    s_refused (s_bytes, n, "wrong field at byte 2");
    n = APPEND (0, HEAD "\xba\x02\x05\x08\x2a"); /* longer than what is there */
    s_refused (s_bytes, n, "wrong field at byte 7");
    n = APPEND (0, HEAD "\xba\x02\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x01"); /* so long that it leads back */
    s_refused (s_bytes, n, "wrong field at byte 7");
    n = APPEND (s_pack (&m), "\x00\x05"); /* field number 0 */
    s_refused (s_bytes, n, "not well-formed");
    n = s_pack (&m);
    for (int i = 0; i < 64; i++)
        n = APPEND (n, "\x78\x05");
    s_refused (s_bytes, n, "more than 64 fields");
    uint8_t *large = calloc (1, RK_WIRE_MAX_ENVELOPE + 1);
    s_refused (large, RK_WIRE_MAX_ENVELOPE + 1, "at most");
    free (large);
}

static void s_unknown_fields (void **state)
{
    rk_msg_t m = s_of (RK_MSG_READY), out;
    size_t n = APPEND (s_pack (&m), "\x78\x05\x72\x03xyz\x69" "12345678" "\x65" "1234"); /* of the envelope */
    assert_int_equal (rk_wire_parse (s_bytes, n, s_arena, &out, NULL), RK_OK);
    assert_true (out.ready.digest == m.ready.digest);
    n = APPEND (0, HEAD "\xba\x02\x07\x08\x2a\x7a\x03xyz"); /* of the body */
    assert_int_equal (rk_wire_parse (s_bytes, n, s_arena, &out, NULL), RK_OK);
    assert_int_equal (out.kind, RK_MSG_READY);
    assert_true (out.ready.digest == 42);
}

/* Lists that belong together differ in length: cannot be made with rk_wire_pack. */
static void s_unequal_lists (void **state)
{
    size_t n = APPEND (0, HEAD "\xda\x02\x09\x08\x01\x12\x02\x05\x06\x1a\x01\x05");
    s_refused (s_bytes, n, "RoundClosed from 01000001: lists differ");
    n = APPEND (0, HEAD "\x9a\x02\x07\x0a\x05\x42\x01\x05\x08\x01");
    s_refused (s_bytes, n, "Profile from 01000001: lists differ");
}

/* A megabyte of empty nodes would unpack to more than fifty: the arena's cap refuses it. */
static void s_amplified (void **state)
{
    size_t n_nodes = (RK_WIRE_MAX_ENVELOPE - 64) / 2, n = APPEND (0, HEAD "\x9a\x02");
    for (size_t left = 2 * n_nodes; left; left >>= 7)
        s_bytes[n++] = (uint8_t) ((left & 0x7f) | (left >= 0x80 ? 0x80 : 0));
    for (size_t i = 0; i < n_nodes; i++)
        n = APPEND (n, "\x0a\x00");
    s_refused (s_bytes, n, "not well-formed");
    rk_msg_t m = s_of (RK_MSG_PROFILE), out; /* and the arena still works */
    assert_int_equal (rk_wire_parse (s_bytes, s_pack (&m), s_arena, &out, NULL), RK_OK);
}

static void s_names (void **state)
{
    assert_string_equal (rk_msg_kind_name (RK_MSG_PLAN), "PlanProposal");
    assert_string_equal (rk_msg_kind_name (RK_N_MSG), "unknown");
    assert_string_equal (rk_msg_kind_name ((rk_msg_kind_t) -1), "unknown");
    assert_string_equal (rk_actor_kind_name (RK_ACTOR_CHECKPOINTER), "checkpointer");
    assert_string_equal (rk_actor_kind_name (RK_ACTOR_KEEPER), "keeper");
    assert_string_equal (rk_actor_kind_name ((rk_actor_kind_t) 0), "unknown");
    assert_string_equal (rk_actor_kind_name ((rk_actor_kind_t) 255), "unknown");
    for (int kind = 1; kind < RK_N_MSG; kind++)
        assert_string_not_equal (rk_msg_kind_name ((rk_msg_kind_t) kind), "unknown");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (s_round_trip),     cmocka_unit_test (s_golden),         cmocka_unit_test (s_pack_too_small),
        cmocka_unit_test (s_null_strings),   cmocka_unit_test (s_refused_values), cmocka_unit_test (s_refused_texts),
        cmocka_unit_test (s_long_lists),     cmocka_unit_test (s_envelope_rules), cmocka_unit_test (s_unknown_fields),
        cmocka_unit_test (s_unequal_lists),  cmocka_unit_test (s_amplified),      cmocka_unit_test (s_names),
        cmocka_unit_test (s_any_loss),
    };
    return cmocka_run_group_tests_name ("messages/wire", tests, s_setup, s_teardown);
}
