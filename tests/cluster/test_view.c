/* SPDX-License-Identifier: MPL-2.0
 * A view as bytes: what is written is read back the same; anything else is refused.                       */
#include "tests/cluster/fixtures.h"
#include <xxhash.h>

#include "cluster/view.h"

static rk_view_t *s_sample (uint32_t n)
{
    rk_view_t *view = NULL;
    const uint8_t plan[] = {1, 2, 3, 4, 5};
    assert_int_equal (rk_view_new (&view, n, plan, sizeof plan), RK_OK);
    view->number = 7;
    view->round = 41;
    view->next_id = 3 * n + 1;
    view->next_node = n + 1;
    for (uint32_t i = 0; i < n; i++) {
        view->members[i] = (rk_view_member_t){.id = 3 * i,
                                              .node = i ? i : RK_NO_NODE,
                                              .pid = 100 + i,
                                              .cores = 4,
                                              .host = 9,
                                              .ram_bytes = UINT64_C (1) << 33};
        snprintf (view->members[i].name, sizeof view->members[i].name, "pi-%u", i);
        snprintf (view->members[i].control, sizeof view->members[i].control, "tcp://127.0.0.1:%u", 5600 + i);
        snprintf (view->members[i].relay, sizeof view->members[i].relay, i % 2 ? "tcp://127.0.0.1:%u" : "", 5700 + i);
    }
    return view;
}

static uint8_t *s_bytes (const rk_view_t *view, size_t *size)
{
    *size = rk_view_encode (view, NULL, 0);
    uint8_t *bytes = malloc (*size);
    assert_non_null (bytes);
    assert_int_equal (rk_view_encode (view, bytes, *size), *size);
    return bytes;
}

static void round_trip (void **state)
{
    (void) state;
    rk_view_t *view = s_sample (5), *copy = NULL, *again = NULL;
    size_t size;
    uint8_t *bytes = s_bytes (view, &size);
    rk_error_t err = {RK_OK, ""};
    assert_int_equal (rk_view_decode (&again, bytes, size, &err), RK_OK);
    assert_int_equal (rk_view_copy (&copy, again), RK_OK);
    assert_int_equal (copy->number, 7);
    assert_int_equal (copy->plan_size, 5);
    assert_memory_equal (copy->plan, view->plan, 5);
    assert_memory_equal (copy->members, view->members, 5 * sizeof *view->members);
    assert_ptr_equal (rk_view_host_of (copy, 3), &copy->members[3]);
    assert_ptr_equal (rk_view_leader (copy), copy->members);
    assert_null (rk_view_find (copy, 4));
    char name[64];
    rk_view_name (copy, 3, name, sizeof name);
    assert_string_equal (name, "node 1 (pi-1, pid 101)");
    copy->members[0].witness = true;
    assert_ptr_equal (rk_view_leader (copy), copy->members + 1);
    free (bytes);
    rk_view_destroy (&view);
    rk_view_destroy (&copy);
    rk_view_destroy (&again);
}

/* Every byte counts, and so does every byte that is missing. */
static void damaged (void **state)
{
    (void) state;
    rk_view_t *view = s_sample (2), *bad = NULL;
    size_t size;
    uint8_t *bytes = s_bytes (view, &size);
    for (size_t i = 0; i < size; i++) {
        rk_error_t err = {RK_OK, ""};
        bytes[i] ^= 0x20;
        assert_int_equal (rk_view_decode (&bad, bytes, size, &err), RK_EFORMAT);
        assert_null (bad);
        assert_true (err.text[0]);
        bytes[i] ^= 0x20;
        assert_int_equal (rk_view_decode (&bad, bytes, i, &err), RK_EFORMAT);
    }
    free (bytes);
    rk_view_destroy (&view);
}

/* Lists that no view may have, however well they are packed. */
static void impossible (void **state)
{
    (void) state;
    for (int what = 0; what < 6; what++) {
        rk_view_t *view = s_sample (3), *bad = NULL;
        rk_error_t err = {RK_OK, ""};
        switch (what) {
        case 0: view->members[2].id = view->members[1].id; break;
        case 1: view->next_id = view->members[2].id; break;
        case 2: view->members[2].node = view->members[1].node; break;
        case 3: view->members[1].witness = true; break;
        case 4: view->number = 0; break;
        default: view->next_node = 1; break;
        }
        size_t size;
        uint8_t *bytes = s_bytes (view, &size);
        assert_int_equal (rk_view_decode (&bad, bytes, size, &err), RK_EFORMAT);
        assert_null (bad);
        free (bytes);
        rk_view_destroy (&view);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (round_trip), cmocka_unit_test (damaged),
                                       cmocka_unit_test (impossible)};
    return cmocka_run_group_tests_name ("view", tests, NULL, NULL);
}
