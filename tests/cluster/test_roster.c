/* SPDX-License-Identifier: MPL-2.0
 * The coordinator's pure tables: processes, profiles, an evaluation, patience.                            */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "cluster/evaluation.h"
#include "cluster/patience.h"
#include "cluster/profiles.h"
#include "cluster/roster.h"

static void s_add (rk_roster_t *roster, uint32_t node, uint64_t host, const char *kernels)
{
    rk_roster_entry_t entry = {.node = node, .host = host, .pid = 100 + node, .name = "x", .steps = ~0u};
    strcpy (entry.kernels, kernels);
    uint32_t process;
    assert_int_equal (rk_roster_add (roster, &entry, &process, NULL), RK_OK);
    assert_int_equal (roster->list[process].steps, 0);
}

static void test_roster_steps (void **state)
{
    (void) state;
    rk_roster_t r;
    char text[256], small[12];
    assert_int_equal (rk_roster_init (&r, 3), RK_OK);
    s_add (&r, RK_ROSTER_NO_NODE, 1, "avx512");
    s_add (&r, 0, 1, "avx2");
    s_add (&r, 1, 1, "avx512");
    uint32_t process;
    assert_int_equal (rk_roster_add (&r, &r.list[0], &process, NULL), RK_ESTATE);
    assert_false (rk_roster_all (&r, RK_STEP_WIRED));
    rk_roster_mark (&r, 0, RK_STEP_WIRED);
    rk_roster_mark (&r, 2, RK_STEP_WIRED);
    assert_int_equal (rk_roster_missing (&r, RK_STEP_WIRED, text, sizeof text), 1);
    assert_string_equal (text, "node 0 (x, pid 100)");
    assert_int_equal (rk_roster_missing (&r, RK_STEP_READY, small, sizeof small), 3); /* cut, never overrun */
    assert_int_equal (strlen (small), sizeof small - 1);
    rk_roster_mark (&r, 1, RK_STEP_LOST); /* not waited for any more */
    assert_true (rk_roster_all (&r, RK_STEP_WIRED));
    rk_roster_mark (&r, 99, RK_STEP_WIRED);
    assert_string_equal (rk_roster_kernels (&r, true), "avx2");
    strcpy (r.list[0].kernels, "amx");
    strcpy (r.list[1].kernels, "avx512bf16");
    strcpy (r.list[2].kernels, "amx");
    assert_string_equal (rk_roster_kernels (&r, true), "avx512bf16");
    assert_string_equal (rk_roster_kernels (&r, false), "avx512");
    strcpy (r.list[2].kernels, "avx2");
    assert_string_equal (rk_roster_kernels (&r, false), "avx2");
    r.list[2].kernels[0] = 'z';
    assert_string_equal (rk_roster_kernels (&r, true), "blis");
    rk_roster_clear (&r);
}

/* One at a time on a machine, machines side by side. */
static void test_profiles_are_asked_in_turn (void **state)
{
    (void) state;
    rk_roster_t r;
    assert_int_equal (rk_roster_init (&r, 4), RK_OK);
    const uint64_t hosts[] = {7, 7, 8, 7};
    for (uint32_t i = 0; i < 4; i++)
        s_add (&r, i, hosts[i], "");
    uint32_t asked[4], n = 0, p;
    while ((p = rk_roster_next_profile (&r)) != UINT32_MAX) {
        asked[n++] = p;
        rk_roster_mark (&r, p, RK_STEP_PROFILING);
    }
    assert_int_equal (n, 2);
    assert_int_equal (asked[0], 0);
    assert_int_equal (asked[1], 2);
    rk_roster_mark (&r, 0, RK_STEP_PROFILED);
    assert_int_equal (rk_roster_next_profile (&r), 1);
    rk_roster_mark (&r, 1, RK_STEP_PROFILING);
    rk_roster_mark (&r, 1, RK_STEP_LOST); /* a lost one does not block its machine */
    assert_int_equal (rk_roster_next_profile (&r), 3);
    rk_roster_clear (&r);
}

static void test_profile_table (void **state)
{
    (void) state;
    rk_profiles_t t;
    uint64_t forward[2] = {10, 20}, backward[2] = {30, 40};
    rk_profile_t p = {.id = 5, .cores = 1, .speed_ppm = 1000000, .ram_bytes = 1, .forward_ns = forward, .backward_ns = backward};
    assert_int_equal (rk_profiles_init (&t, 2, 2), RK_OK);
    assert_int_equal (rk_profiles_add (&t, &p, 3, NULL), RK_EFORMAT);
    assert_int_equal (rk_profiles_add (&t, &p, 2, NULL), RK_OK);
    assert_int_equal (rk_profiles_add (&t, &p, 2, NULL), RK_ESTATE);
    p.id = 1;
    forward[0] = UINT64_MAX;
    assert_int_equal (rk_profiles_add (&t, &p, 2, NULL), RK_EFORMAT);
    forward[0] = 11;
    p.speed_ppm = 0;
    assert_int_equal (rk_profiles_add (&t, &p, 2, NULL), RK_EFORMAT);
    p.speed_ppm = 1;
    assert_int_equal (rk_profiles_add (&t, &p, 2, NULL), RK_OK);
    p.id = 2;
    assert_int_equal (rk_profiles_add (&t, &p, 2, NULL), RK_ESTATE);
    assert_int_equal (t.nodes[0].id, 1); /* by id, and copied */
    assert_int_equal (t.nodes[1].id, 5);
    forward[0] = 99;
    assert_int_equal (t.nodes[1].forward_ns[0], 10);
    assert_int_equal (t.nodes[0].backward_ns[1], 40);
    rk_profiles_clear (&t);
}

/* Any order of answers gives the same sum, bit for bit. */
static void test_evaluation (void **state)
{
    (void) state;
    enum { N = 7 };
    rk_evaluation_t e;
    double first_sum = 0;
    assert_int_equal (rk_evaluation_init (&e, N), RK_OK);
    for (int order = 0; order < 3; order++) {
        uint64_t f[N];
        rk_evaluation_begin (&e);
        assert_int_equal (rk_evaluation_answer (&e, 0, (rk_evaluation_part_t){1, 1, 1, 1}, NULL), RK_ESTALE); /* not dealt */
        assert_int_equal (rk_evaluation_deal (&e, 3, f), 3);
        assert_int_equal (rk_evaluation_deal (&e, 100, f + 3), N - 3);
        assert_int_equal (rk_evaluation_deal (&e, 1, f), 0);
        for (int i = 0; i < N; i++) {
            uint64_t at = (uint64_t) (order == 0 ? i : order == 1 ? N - 1 - i : i * 3 % N);
            assert_false (rk_evaluation_done (&e));
            rk_evaluation_part_t part = {1.0 / (3 + (double) at * 1e8), (uint32_t) at, 30, 10};
            assert_int_equal (rk_evaluation_answer (&e, at, part, NULL), RK_OK);
            assert_int_equal (rk_evaluation_answer (&e, at, part, NULL), RK_ESTALE);
        }
        assert_true (rk_evaluation_done (&e));
        rk_evaluation_part_t sum = rk_evaluation_sum (&e);
        assert_int_equal (sum.n, 10 * N);
        assert_int_equal (sum.n_correct, N * (N - 1) / 2);
        first_sum = order ? first_sum : sum.loss_sum;
        assert_true (sum.loss_sum == first_sum);
    }
    rk_evaluation_clear (&e);
}

static void test_patience (void **state)
{
    (void) state;
    rk_patience_t p = {0};
    rk_patience_start (&p, 1000, 0);
    assert_int_equal (rk_patience_end_ms (&p), 1000);
    rk_patience_progress (&p, 50);
    assert_int_equal (rk_patience_end_ms (&p), 1050); /* the floor */
    rk_patience_progress (&p, 450);
    assert_int_equal (rk_patience_end_ms (&p), 450 + 10 * 400); /* a slow run is given more */
    rk_patience_progress (&p, 460);
    assert_int_equal (rk_patience_end_ms (&p), 460 + 10 * 400);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_roster_steps), cmocka_unit_test (test_profiles_are_asked_in_turn),
        cmocka_unit_test (test_profile_table), cmocka_unit_test (test_evaluation), cmocka_unit_test (test_patience),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
