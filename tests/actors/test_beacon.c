/* SPDX-License-Identifier: MPL-2.0
 * The bytes of a beacon, and where a node finds what to join when it is given more than one address.        */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "actors/beacon.h"
#include "actors/find.h"
#include "actors/relay/splice.h"

static void a_beacon_is_read_as_written (void **state)
{
    (void) state;
    rk_beacon_facts_t facts = {.port = 5600, .name = "20261124-mlp"}, back;
    uint8_t bytes[RK_BEACON_BYTES];
    for (size_t i = 0; i < RK_KEY_BYTES; i++)
        facts.key[i] = (uint8_t) (200 + i);
    rk_beacon_write (&facts, bytes);
    assert_true (rk_beacon_read (&back, bytes, sizeof bytes));
    assert_int_equal (back.port, 5600);
    assert_false (back.plain);
    assert_memory_equal (back.key, facts.key, RK_KEY_BYTES);
    assert_string_equal (back.name, "20261124-mlp");
    facts.plain = true; /* nobody has to know the key then */
    rk_beacon_write (&facts, bytes);
    assert_true (rk_beacon_read (&back, bytes, sizeof bytes) && back.plain);
    const uint8_t none[RK_KEY_BYTES] = {0};
    assert_memory_equal (back.key, none, RK_KEY_BYTES);
}

static void other_bytes_are_refused (void **state)
{
    (void) state;
    rk_beacon_facts_t facts = {.port = 5600, .name = "run"}, back;
    uint8_t bytes[RK_BEACON_BYTES + 1];
    rk_beacon_write (&facts, bytes);
    for (size_t size = 0; size < sizeof bytes; size++)
        assert_int_equal (rk_beacon_read (&back, bytes, size), size == RK_BEACON_BYTES);
    static const struct { size_t at; uint8_t value; } bad[] = {
        {0, 'r'}, {7, 2}, {8, 2}, {44, ' '}, {45, '/'}, {46, 0xff}, {45, '\n'}, {RK_BEACON_BYTES - 1, 'x'}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rk_beacon_write (&facts, bytes);
        bytes[bad[i].at] = bad[i].value;
        assert_false (rk_beacon_read (&back, bytes, RK_BEACON_BYTES));
    }
    rk_beacon_write (&facts, bytes);
    bytes[10] = bytes[11] = 0; /* port 0 */
    assert_false (rk_beacon_read (&back, bytes, RK_BEACON_BYTES));
}

static void names (void **state)
{
    (void) state;
    static const char *const text[][2] = {{"runs/20261124-mlp", "20261124-mlp"}, {"a b", "a-b"}, {"x:y,z", "x-y-z"}, {"", ""},
                                          {"0123456789012345678901234567890123456789", "0123456789012345678901234567890"}};
    char name[RK_BEACON_NAME];
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        rk_beacon_name (text[i][0], name);
        assert_string_equal (name, text[i][1]);
    }
}

/* The first that is there, whatever its place in the list. */
static void the_first_member_that_answers (void **state)
{
    (void) state;
    int fd[3];
    uint16_t port[3];
    char join[RK_FIND_TEXT], text[RK_FIND_TEXT], wanted[64];
    rk_error_t err = {RK_OK, ""};
    for (int i = 0; i < 3; i++)
        assert_int_equal (rk_tcp_listen ("127.0.0.1", &fd[i], &port[i], &err), RK_OK);
    snprintf (join, sizeof join, "tcp://127.0.0.1:%u,tcp://127.0.0.1:%u,tcp://127.0.0.1:%u", port[0], port[1], port[2]);
    close (fd[0]);
    close (fd[1]);
    const rk_find_t find = {.join = join, .patience_ms = 20000};
    assert_int_equal (rk_find_leader (&find, text, &err), RK_OK);
    snprintf (wanted, sizeof wanted, "tcp://127.0.0.1:%u", port[2]);
    assert_string_equal (text, wanted);
    close (fd[2]);
    const rk_find_t hurried = {.join = join, .patience_ms = 1};
    assert_int_equal (rk_find_leader (&hurried, text, &err), RK_ETIMEDOUT);
    assert_non_null (strstr (err.text, "none of the 3 members is there"));
}

static void what_cannot_be_joined (void **state)
{
    (void) state;
    static const struct { const char *join, *why; bool plain; } bad[] = {
        {"tcp://a:1,,tcp://b:2", "empty", false}, {"tcp://a:1,nonsense", "nonsense", false}, {"lan:", "lan:NAME", false},
        {"lan:012345678901234567890123456789012345", "lan:NAME", false}, {"lan/rookery-abc", "ticket", false}, {"lan/x", "leave --insecure out", true}};
    char text[RK_FIND_TEXT];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rk_error_t err = {RK_OK, ""};
        const rk_find_t find = {.join = bad[i].join, .plain = bad[i].plain, .patience_ms = 1};
        assert_int_equal (rk_find_leader (&find, text, &err), RK_EINVAL);
        if (!strstr (err.text, bad[i].why))
            fail_msg ("%s: %s", bad[i].join, err.text);
    }
    const rk_find_t one = {.join = "tcp://lan:5600/name"}; /* what is one address already */
    rk_error_t err = {RK_OK, ""};
    assert_int_equal (rk_find_leader (&one, text, &err), RK_OK);
    assert_string_equal (text, "tcp://lan:5600/name");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_beacon_is_read_as_written),
        cmocka_unit_test (other_bytes_are_refused),
        cmocka_unit_test (names),
        cmocka_unit_test (the_first_member_that_answers),
        cmocka_unit_test (what_cannot_be_joined),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
