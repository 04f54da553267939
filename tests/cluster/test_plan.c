/* SPDX-License-Identifier: MPL-2.0
 * Plans as data: covers, rings, pieces.                                                                */
#include "tests/cluster/fixtures.h"

static rk_settings_t s_settings (rk_rings_t rings)
{
    rk_settings_t s;
    rk_settings_default (&s);
    s.plan_rings = rings;
    return s;
}

/* A plan whose stages have the given lengths, one layer each of the finest common cut. */
static rk_plan_t *s_plan_of_sizes (rk_rings_t rings, uint32_t n_clusters, uint32_t n_stages, uint64_t sizes[][12])
{
    static uint64_t starts[200];
    uint32_t n = 0;
    for (uint32_t c = 0; c < n_clusters; c++)
        for (uint64_t s = 0, at = 0; s < n_stages; at += sizes[c][s++]) {
            uint32_t i = 0;
            while (i < n && starts[i] < at)
                i++;
            if (i < n && starts[i] == at)
                continue;
            memmove (starts + i + 1, starts + i, (n - i) * sizeof *starts);
            starts[i] = at;
            n++;
        }
    rk_layer_info_t layers[200] = {{0}};
    for (uint32_t l = 0; l < n; l++)
        layers[l].flat_at = starts[l];
    uint64_t total = 0;
    for (uint32_t s = 0; s < n_stages; s++)
        total += sizes[0][s];
    rk_model_info_t info = {.n_layers = n, .layers = layers, .n_flat = total, .train_samples = 100};
    uint32_t counts[12], cuts[144], n_cuts = 0;
    for (uint32_t c = 0; c < n_clusters; c++) {
        counts[c] = 0;
        for (uint64_t s = 0, at = 0; s < n_stages; at += sizes[c][s++])
            for (uint32_t l = 0; sizes[c][s] && l < n; l++)
                if (starts[l] == at) {
                    cuts[n_cuts++] = l;
                    counts[c]++;
                }
    }
    rk_settings_t settings = s_settings (rings);
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    if (rk_plan_by_hand (&plan, 1, &info, &settings, n_clusters, counts, cuts, NULL, &err) != RK_OK)
        fail_msg ("%s", err.text);
    return plan;
}

static void test_random_plans_cover (void **state)
{
    (void) state;
    uint64_t x = 20260101;
    for (int i = 0; i < 6000; i++) {
        rk_plan_t *plan = fixture_plan (&x, (rk_rings_t) (i % 3));
        rk_error_t err = {0};
        fixture_check_covers (plan);
        fixture_check_stages (plan);
        if (rk_plan_check (plan, &err) != RK_OK)
            fail_msg ("%s", err.text);
        rk_plan_destroy (&plan);
        assert_null (plan);
    }
}

/* Pieces of one ring, over all its segments, are near-equal parts of the ring. */
static void test_pieces_near_equal (void **state)
{
    (void) state;
    uint64_t x = 77;
    for (int i = 0; i < 1000; i++) {
        rk_plan_t *plan = fixture_plan (&x, (rk_rings_t) (i % 3));
        for (uint32_t r = 0; r < plan->n_rings; r++)
            for (uint32_t p = 0; p < plan->n_clusters; p++) {
                uint64_t length = 0, ring = plan->rings[r].hi - plan->rings[r].lo;
                for (uint32_t g = 0; g < plan->n_segments; g++) {
                    uint64_t lo, hi;
                    rk_plan_piece (plan, g, p, &lo, &hi);
                    length += plan->segments[g].ring == r ? hi - lo : 0;
                }
                assert_true (length == ring / plan->n_clusters || length == ring / plan->n_clusters + 1);
            }
        rk_plan_destroy (&plan);
    }
}

/* ---- rings */
static void test_published_examples (void **state)
{
    (void) state;
    uint64_t sizes[][12] = {{6, 2, 2}, {2, 2, 6}, {3, 3, 4}};
    rk_plan_t *plan = s_plan_of_sizes (RK_RINGS_MIN_SIZE, 3, 3, sizes);
    static const uint64_t min_size[] = {2, 4, 10};
    assert_int_equal (plan->n_rings, 3);
    for (uint32_t r = 0; r < 3; r++)
        assert_int_equal (plan->rings[r].hi, min_size[r]);
    rk_plan_destroy (&plan);
    plan = s_plan_of_sizes (RK_RINGS_LARGEST, 3, 3, sizes); /* the first of the largest: 6/2/2 */
    static const uint64_t largest[] = {6, 8, 10};
    assert_int_equal (plan->n_rings, 3);
    for (uint32_t r = 0; r < 3; r++)
        assert_int_equal (plan->rings[r].hi, largest[r]);
    rk_plan_destroy (&plan);
    plan = s_plan_of_sizes (RK_RINGS_INTERSECT, 3, 3, sizes);
    static const uint64_t all[] = {2, 3, 4, 6, 8, 10};
    assert_int_equal (plan->n_rings, 6);
    assert_int_equal (plan->n_segments, 6);
    for (uint32_t r = 0; r < 6; r++)
        assert_int_equal (plan->rings[r].hi, all[r]);
    rk_plan_destroy (&plan);
}

/* Rings of the published rule, computed the way it is told: slots, least, push the excess on. */
static uint32_t s_slots_oracle (uint32_t n_clusters, uint32_t n_stages, uint64_t sizes[][12], uint64_t *rings)
{
    uint64_t slots[12][30] = {{0}};
    uint32_t length[12];
    for (uint32_t c = 0; c < n_clusters; c++) {
        length[c] = 0;
        for (uint32_t s = 0; s < n_stages; s++)
            if (sizes[c][s])
                slots[c][length[c]++] = sizes[c][s];
    }
    uint32_t n = 0;
    for (bool any = true; any;) {
        uint64_t least = UINT64_MAX;
        for (uint32_t c = 0; c < n_clusters; c++)
            least = n < length[c] && slots[c][n] < least ? slots[c][n] : least;
        for (uint32_t c = 0; c < n_clusters; c++)
            if (slots[c][n] > least) {
                slots[c][n + 1] += slots[c][n] - least;
                if (length[c] < n + 2)
                    length[c] = n + 2;
            }
        rings[n++] = least;
        any = false;
        for (uint32_t c = 0; c < n_clusters; c++)
            any = any || length[c] > n;
    }
    return n;
}

/* 20,000 random splits of one total: as many rings as the longest cluster has stages, sizes as told. */
static void test_min_size_property (void **state)
{
    (void) state;
    uint64_t x = 4711;
    for (int i = 0; i < 20000; i++) {
        uint64_t sizes[5][12] = {{0}}, total = 12 + fixture_below (&x, 1000), expected[30];
        uint32_t n_clusters = 2 + fixture_below (&x, 4), longest = 0;
        for (uint32_t c = 0; c < n_clusters; c++) {
            uint32_t n = 1 + fixture_below (&x, 6);
            uint64_t left = total;
            for (uint32_t s = 0; s + 1 < n; s++) {
                sizes[c][s] = 1 + fixture_below (&x, (uint32_t) (left - (n - 1 - s)));
                left -= sizes[c][s];
            }
            sizes[c][n - 1] = left;
            longest = n > longest ? n : longest;
        }
        rk_plan_t *plan = s_plan_of_sizes (RK_RINGS_MIN_SIZE, n_clusters, 12, sizes);
        assert_int_equal (plan->n_rings, longest);
        assert_int_equal (s_slots_oracle (n_clusters, 12, sizes, expected), longest);
        for (uint32_t r = 0; r < longest; r++)
            assert_true (plan->rings[r].hi - plan->rings[r].lo == expected[r]);
        fixture_check_covers (plan);
        rk_plan_destroy (&plan);
    }
}

static void test_equal_cuts_agree (void **state)
{
    (void) state;
    uint64_t x = 99;
    for (int i = 0; i < 300; i++) {
        uint64_t sizes[4][12] = {{0}};
        uint32_t n = 1 + fixture_below (&x, 6);
        for (uint32_t s = 0; s < n; s++)
            sizes[0][s] = 1 + fixture_below (&x, 1000);
        for (uint32_t c = 1; c < 4; c++)
            memcpy (sizes[c], sizes[0], sizeof sizes[0]);
        for (int rule = 0; rule < 3; rule++) {
            rk_plan_t *plan = s_plan_of_sizes ((rk_rings_t) rule, 4, 12, sizes);
            assert_int_equal (plan->n_rings, n);
            assert_int_equal (plan->n_segments, n);
            for (uint32_t r = 0; r < n; r++)
                assert_true (plan->rings[r].hi - plan->rings[r].lo == sizes[0][r]);
            rk_plan_destroy (&plan);
        }
    }
}

/* ---- by hand */
static void test_by_hand_refuses (void **state)
{
    (void) state;
    uint64_t x = 5;
    fixture_model_t m;
    fixture_model (&m, &x, 6);
    rk_settings_t s = s_settings (RK_RINGS_INTERSECT);
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    const uint32_t one[] = {1}, two[] = {2}, none[] = {0}, many[] = {65};
    const uint32_t good[] = {0, 3}, late[] = {1, 3}, same[] = {0, 0}, past[] = {0, 6}, back[] = {3, 0};
    assert_int_equal (rk_plan_by_hand (&plan, 1, &m.info, &s, 0, two, good, NULL, &err), RK_EPLAN);
    assert_int_equal (rk_plan_by_hand (&plan, 1, &m.info, &s, 1, none, good, NULL, &err), RK_EPLAN);
    assert_int_equal (rk_plan_by_hand (&plan, 1, &m.info, &s, 1, many, good, NULL, &err), RK_EPLAN);
    assert_int_equal (rk_plan_by_hand (&plan, 1, &m.info, &s, 1, two, late, NULL, &err), RK_EPLAN);
    assert_int_equal (rk_plan_by_hand (&plan, 1, &m.info, &s, 1, two, same, NULL, &err), RK_EPLAN);
    assert_int_equal (rk_plan_by_hand (&plan, 1, &m.info, &s, 1, two, past, NULL, &err), RK_EPLAN);
    assert_int_equal (rk_plan_by_hand (&plan, 1, &m.info, &s, 1, two, back, NULL, &err), RK_EPLAN);
    const uint64_t no_rate[] = {0};
    assert_int_equal (rk_plan_by_hand (&plan, 1, &m.info, &s, 1, one, good, no_rate, &err), RK_EPLAN);
    m.info.train_samples = 0;
    assert_int_equal (rk_plan_by_hand (&plan, 1, &m.info, &s, 1, two, good, NULL, &err), RK_EINVAL);
    m.info.train_samples = 130;
    m.info.test_samples = 64;
    assert_int_equal (rk_plan_by_hand (&plan, 1, &m.info, &s, 1, two, good, NULL, &err), RK_OK);
    assert_int_equal (plan->minibatches_per_pass, 3);
    assert_int_equal (plan->test_minibatches, 1);
    assert_int_equal (plan->clusters[0].in_flight, 2);
    assert_int_equal (rk_plan_stage_of_node (plan, 7, NULL, NULL), RK_NO_NODE);
    rk_plan_destroy (&plan);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_random_plans_cover), cmocka_unit_test (test_pieces_near_equal),
        cmocka_unit_test (test_published_examples), cmocka_unit_test (test_min_size_property),
        cmocka_unit_test (test_equal_cuts_agree),   cmocka_unit_test (test_by_hand_refuses),
    };
    return cmocka_run_group_tests_name ("cluster/plan", tests, NULL, NULL);
}
