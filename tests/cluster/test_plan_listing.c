/* SPDX-License-Identifier: MPL-2.0
 * The canonical listing and its digest.                                                                  */
#include "tests/cluster/fixtures.h"
#include <xxhash.h>

static uint8_t *s_encode (const rk_plan_t *plan, size_t *size)
{
    *size = rk_plan_encode (plan, NULL, 0);
    uint8_t *bytes = malloc (*size);
    assert_non_null (bytes);
    assert_int_equal (rk_plan_encode (plan, bytes, *size), *size);
    return bytes;
}

static void test_round_trip (void **state)
{
    (void) state;
    uint64_t x = 31337;
    for (int i = 0; i < 1000; i++) {
        rk_plan_t *plan = fixture_plan (&x, (rk_rings_t) (i % 3)), *back = NULL, *copy = NULL;
        size_t size, again_size, copy_size;
        rk_error_t err = {0};
        uint8_t *bytes = s_encode (plan, &size);
        if (rk_plan_decode (&back, bytes, size, &err) != RK_OK)
            fail_msg ("%s", err.text);
        assert_int_equal (rk_plan_copy (&copy, plan), RK_OK);
        uint8_t *again = s_encode (back, &again_size), *copied = s_encode (copy, &copy_size);
        assert_true (size == again_size && size == copy_size && plan->digest == back->digest);
        assert_memory_equal (bytes, again, size);
        assert_memory_equal (bytes, copied, size);
        fixture_check_covers (back);
        /* A buffer that is one byte short is not written at all. */
        memset (again, 0x5a, size);
        assert_int_equal (rk_plan_encode (plan, again, size - 1), size);
        for (size_t k = 0; k < size; k++)
            assert_int_equal (again[k], 0x5a);
        free (bytes);
        free (again);
        free (copied);
        rk_plan_destroy (&plan);
        rk_plan_destroy (&back);
        rk_plan_destroy (&copy);
    }
}

static void test_digest_notices (void **state)
{
    (void) state;
    uint64_t x = 4242, again = 4242;
    rk_plan_t *plan = fixture_plan (&x, RK_RINGS_INTERSECT), *same = fixture_plan (&again, RK_RINGS_INTERSECT), *other = NULL;
    assert_true (plan->digest == same->digest);
    assert_int_equal (rk_plan_copy (&other, plan), RK_OK);
    other->clusters[0].rate++;
    assert_int_equal (rk_plan_check (other, NULL), RK_EFORMAT); /* one bit more anywhere is noticed */
    size_t size;
    uint8_t *bytes = s_encode (plan, &size);
    assert_memory_equal (bytes, "RKPLAN4", 8);
    free (bytes);
    rk_plan_destroy (&other);
    rk_plan_destroy (&same);
    rk_plan_destroy (&plan);
}

static void s_put64 (uint8_t *at, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t) (v >> (8 * i));
}

/* Damaged listings, some with the digest put right again as an attacker would: never a crash, never a
 * plan that is not whole.                                                                                */
static void test_decode_survives_damage (void **state)
{
    (void) state;
    uint64_t x = 271828;
    int n_refused = 0, n_taken = 0;
    for (int i = 0; i < 400; i++) {
        rk_plan_t *plan = fixture_plan (&x, (rk_rings_t) (i % 3));
        size_t size;
        uint8_t *bytes = s_encode (plan, &size);
        for (int k = 0; k < 60; k++) {
            size_t cut = fixture_below (&x, 5) ? size : fixture_below (&x, (uint32_t) size);
            uint8_t *damaged = malloc (cut + 1);
            assert_non_null (damaged);
            memcpy (damaged, bytes, cut);
            uint32_t n = fixture_below (&x, 4);
            for (uint32_t d = 0; d < n && cut > 0; d++) {
                /* Mostly in the numbers behind the settings. */
                size_t at = fixture_below (&x, 4) ? cut - 1 - fixture_below (&x, (uint32_t) (cut < 600 ? cut : 600))
                                                  : fixture_below (&x, (uint32_t) cut);
                damaged[at] = (uint8_t) (fixture_below (&x, 2) ? fixture_next (&x) : damaged[at] + 1u);
            }
            if (cut >= 8 && fixture_below (&x, 2)) {
                s_put64 (damaged + cut - 8, XXH64 (damaged, cut - 8, 0));
            }
            rk_plan_t *back = NULL;
            rk_error_t err = {0};
            rk_err_t code = rk_plan_decode (&back, damaged, cut, &err);
            if (code == RK_OK) {
                n_taken++;
                fixture_check_covers (back);
                fixture_check_stages (back);
                rk_plan_destroy (&back);
            } else {
                n_refused++;
                assert_null (back);
                assert_true (*err.text);
            }
            free (damaged);
        }
        free (bytes);
        rk_plan_destroy (&plan);
    }
    assert_true (n_refused > 10000 && n_taken > 1000);
}

/* Two runs of one plan that write to different folders must have one digest. */
static void test_place_is_not_in_the_digest (void **state)
{
    (void) state;
    uint64_t x = 5;
    fixture_model_t m;
    uint32_t counts[1] = {1}, cuts[1] = {0};
    fixture_model (&m, &x, 3);
    uint64_t digest[2];
    for (int i = 0; i < 2; i++) {
        rk_settings_t s = fixture_settings ();
        snprintf (s.run_dir, sizeof s.run_dir, "runs/%d", i);
        snprintf (s.run_plan, sizeof s.run_plan, "plan-%d.json", i);
        snprintf (s.net_listen, sizeof s.net_listen, "tcp://127.0.0.1:%d", 5600 + i);
        rk_plan_t *plan = NULL;
        assert_int_equal (rk_plan_by_hand (&plan, 1, &m.info, &s, 1, counts, cuts, NULL, NULL), RK_OK);
        digest[i] = plan->digest;
        rk_plan_destroy (&plan);
    }
    assert_true (digest[0] == digest[1]);
}

/* The same settings in other words are not the canonical listing, whichever digest is put behind them. */
static void test_only_canonical_bytes (void **state)
{
    (void) state;
    uint64_t x = 1618;
    rk_plan_t *plan = fixture_plan (&x, RK_RINGS_INTERSECT), *back = NULL;
    size_t size;
    uint8_t *bytes = s_encode (plan, &size);
    uint8_t *space = memchr (bytes + 20, ' ', size - 20); /* in "run.seed = 1" */
    assert_non_null (space);
    *space = '\t';
    assert_int_equal (rk_plan_decode (&back, bytes, size, NULL), RK_EFORMAT); /* digest of the canonical bytes */
    s_put64 (bytes + size - 8, XXH64 (bytes, size - 8, 0));
    assert_int_equal (rk_plan_decode (&back, bytes, size, NULL), RK_EFORMAT); /* digest of these bytes */
    assert_null (back);
    free (bytes);
    rk_plan_destroy (&plan);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_round_trip),
        cmocka_unit_test (test_digest_notices),
        cmocka_unit_test (test_place_is_not_in_the_digest),
        cmocka_unit_test (test_decode_survives_damage),
        cmocka_unit_test (test_only_canonical_bytes),
    };
    return cmocka_run_group_tests_name ("cluster/plan_listing", tests, NULL, NULL);
}
