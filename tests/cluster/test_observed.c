/* SPDX-License-Identifier: MPL-2.0
 * Observed stage times: a slow moment is none, a slow node is one, declared speeds count, the rest of the table stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "cluster/observed.h"
#include "tests/cluster/fixtures.h"

enum { N_LAYERS = 6 };

typedef struct {
    fixture_model_t model;
    rk_plan_t *plan;
    rk_profiles_t table;
    rk_observed_t *observed;
    rk_observed_totals_t totals;
} rig_t;

static rig_t s_rig;

/* One cluster of two stages: layers 0 to 3 on node 0, 4 and 5 on node 1, which has half the speed; node 2 is idle. */
static int s_setup (void **state)
{
    (void) state;
    uint64_t x = 1;
    s_rig = (rig_t){0};
    fixture_model (&s_rig.model, &x, N_LAYERS);
    const rk_settings_t settings = fixture_settings ();
    const uint32_t counts[] = {2}, cuts[] = {0, 4};
    rk_error_t err = {0};
    if (rk_plan_by_hand (&s_rig.plan, 1, &s_rig.model.info, &settings, 1, counts, cuts, NULL, &err))
        fail_msg ("%s", err.text);
    s_rig.plan->node_speed_ppm[1] = 500000;
    assert_int_equal (rk_profiles_init (&s_rig.table, 3, N_LAYERS), RK_OK);
    for (uint32_t i = 0; i < 3; i++) {
        const uint64_t forward[N_LAYERS] = {100, 200, 300, 400, 500, 600}, backward[N_LAYERS] = {10, 20, 30, 40, 50, 60};
        const rk_profile_t p = {.id = i, .host = i, .cores = 1, .speed_ppm = i == 1 ? 500000 : 1000000, .forward_ns = forward, .backward_ns = backward};
        assert_int_equal (rk_profiles_add (&s_rig.table, &p, N_LAYERS, NULL), RK_OK);
    }
    assert_int_equal (rk_profiles_link (&s_rig.table, &(rk_link_t){0, 1, 77, 8}, NULL), RK_OK);
    assert_int_equal (rk_observed_new (&s_rig.observed, s_rig.plan), RK_OK);
    return 0;
}

static int s_teardown (void **state)
{
    (void) state;
    rk_observed_destroy (&s_rig.observed);
    rk_profiles_clear (&s_rig.table);
    rk_plan_destroy (&s_rig.plan);
    return 0;
}

/* n minibatches more, of so many ns each. */
static void s_report (uint32_t stage, uint64_t n, uint64_t forward, uint64_t backward)
{
    rk_observed_totals_t *t = &s_rig.totals;
    t->forward_ns += n * forward, t->n_forward += n, t->backward_ns += n * backward, t->n_backward += n;
    rk_observed_take (s_rig.observed, stage, t);
}

static void test_median (void **state)
{
    (void) state;
    uint64_t forward, backward;
    s_report (0, 5, 1000, 300);
    s_report (0, 5, 1000, 300);
    assert_false (rk_observed_stage (s_rig.observed, 0, &forward, &backward)); /* too little to go by */
    assert_int_equal (rk_observed_drift_ppm (s_rig.observed, 0, &s_rig.table), 0);
    s_report (0, 1, 50000, 90000); /* a slow moment */
    s_report (0, 0, 0, 0);         /* nothing done */
    s_report (0, 5, 1000, 300);
    assert_true (rk_observed_stage (s_rig.observed, 0, &forward, &backward));
    assert_true (forward == 1000 && backward == 300);
    assert_int_equal (rk_observed_drift_ppm (s_rig.observed, 0, &s_rig.table), 1300 * UINT64_C (1000000) / 1100);
    for (int i = 0; i < RK_OBSERVED_WINDOW / 2 + 1; i++) /* a slow node */
        s_report (0, 2, 2000, 600);
    assert_true (rk_observed_stage (s_rig.observed, 0, &forward, &backward));
    assert_true (forward == 2000 && backward == 600);
}

/* A stage that began anew has lower totals: no negative times, and the window goes on. */
static void test_restart (void **state)
{
    (void) state;
    uint64_t forward, backward;
    for (int i = 0; i < 3; i++)
        s_report (0, 10, 1000, 300);
    s_rig.totals = (rk_observed_totals_t){0};
    for (int i = 0; i < 2; i++)
        s_report (0, 1, 1000, 300);
    assert_true (rk_observed_stage (s_rig.observed, 0, &forward, &backward));
    assert_true (forward == 1000 && backward == 300);
    rk_observed_take (s_rig.observed, 99, &s_rig.totals); /* no such stage */
}

static void test_table (void **state)
{
    (void) state;
    for (int i = 0; i < 3; i++)
        s_report (1, 4, 1100, 55); /* CPU time; at half the speed it takes twice that */
    rk_profiles_t fresh;
    rk_error_t err = {0};
    assert_int_equal (rk_observed_table (s_rig.observed, &s_rig.table, &fresh, &err), RK_OK);
    for (uint32_t l = 0; l < N_LAYERS; l++) {
        assert_int_equal (fresh.nodes[0].forward_ns[l], s_rig.table.nodes[0].forward_ns[l]);
        assert_int_equal (fresh.nodes[2].backward_ns[l], s_rig.table.nodes[2].backward_ns[l]);
        assert_int_equal (fresh.nodes[1].forward_ns[l], 2 * s_rig.table.nodes[1].forward_ns[l]); /* 2200 over 1100 */
        assert_int_equal (fresh.nodes[1].backward_ns[l], s_rig.table.nodes[1].backward_ns[l]);   /* 110 over 110 */
    }
    assert_int_equal (fresh.nodes[1].speed_ppm, 500000);
    rk_fleet_t fleet;
    assert_int_equal (rk_profiles_fleet (&fresh, &fleet, NULL), RK_OK);
    assert_int_equal (fleet.n_nodes, 3);
    assert_int_equal (fleet.link_bytes_per_s[1], 77);
    rk_profiles_clear (&fresh);
}

/* n minibatches more of 1000 + 300 ns CPU time that took so many percent of it by the clock. */
static void s_clock (uint32_t stage, rk_observed_totals_t *t, uint64_t n, uint64_t percent)
{
    t->forward_ns += n * 1000, t->n_forward += n, t->backward_ns += n * 300, t->n_backward += n, t->wall_ns += n * 13 * percent;
    rk_observed_take (s_rig.observed, stage, t);
}

/* Something takes the processor away from one node: against its like, not against the clock. */
static void test_stretch (void **state)
{
    (void) state;
    uint64_t forward, backward;
    rk_observed_totals_t a = {0}, b = {0};
    for (int i = 0; i < RK_OBSERVED_WINDOW; i++) {
        s_clock (0, &a, 3, 150);
        s_clock (1, &b, 3, 160); /* both wait: as much as that is noise */
    }
    assert_int_equal (rk_observed_stretch_ppm (s_rig.observed, 0), 1000000);
    assert_int_equal (rk_observed_stretch_ppm (s_rig.observed, 1), 1000000);
    s_clock (0, &a, 3, 900);     /* a slow moment */
    assert_int_equal (rk_observed_stretch_ppm (s_rig.observed, 0), 1000000);
    for (int i = 0; i < RK_OBSERVED_WINDOW / 2 + 1; i++)
        s_clock (0, &a, 3, 320); /* half of the time stopped */
    assert_int_equal (rk_observed_stretch_ppm (s_rig.observed, 0), 2000000);
    assert_int_equal (rk_observed_stretch_ppm (s_rig.observed, 1), 1000000);
    assert_true (rk_observed_stage (s_rig.observed, 0, &forward, &backward));
    assert_true (forward == 2000 && backward == 600);
    /* A host with fewer cores than nodes is compared with itself: alone there, nobody is slow. */
    s_rig.plan->node_hosts[0] = s_rig.plan->node_hosts[1] = 7;
    s_rig.plan->node_cores[0] = s_rig.plan->node_cores[1] = 1;
    rk_observed_destroy (&s_rig.observed);
    assert_int_equal (rk_observed_new (&s_rig.observed, s_rig.plan), RK_OK);
    a = b = (rk_observed_totals_t){0};
    for (int i = 0; i < RK_OBSERVED_LEAST; i++) {
        s_clock (0, &a, 1, 200);
        s_clock (1, &b, 1, 400);
    }
    assert_int_equal (rk_observed_stretch_ppm (s_rig.observed, 0), 1000000);
    assert_int_equal (rk_observed_stretch_ppm (s_rig.observed, 1), 2000000);
    s_rig.plan->node_hosts[1] = 8; /* of two hosts only one is short of cores: nobody to compare with */
    s_rig.plan->node_cores[1] = 4;
    s_rig.plan->node_cores[0] = 0;
    rk_observed_destroy (&s_rig.observed);
    assert_int_equal (rk_observed_new (&s_rig.observed, s_rig.plan), RK_OK);
    a = b = (rk_observed_totals_t){0};
    for (int i = 0; i < RK_OBSERVED_LEAST; i++) {
        s_clock (0, &a, 1, 800);
        s_clock (1, &b, 1, 100);
    }
    assert_int_equal (rk_observed_stretch_ppm (s_rig.observed, 0), 1000000);
}

/* Who is idle has drifted as the others have. */
static void test_idle_node (void **state)
{
    (void) state;
    rk_observed_totals_t a = {0}, b = {0};
    rk_profiles_t fresh;
    rk_error_t err = {0};
    for (int i = 0; i < 3; i++) { /* node 0: 1000 + 100 planned; node 1, of half the speed: 1100 + 110 */
        a.forward_ns += 2000, a.n_forward++, a.backward_ns += 200, a.n_backward++;
        rk_observed_take (s_rig.observed, 0, &a);
        b.forward_ns += 1100, b.n_forward++, b.backward_ns += 110, b.n_backward++;
        rk_observed_take (s_rig.observed, 1, &b);
    }
    assert_int_equal (rk_observed_drift_ppm (s_rig.observed, 0, &s_rig.table), 2000000);
    assert_int_equal (rk_observed_drift_ppm (s_rig.observed, 1, &s_rig.table), 2000000);
    assert_int_equal (rk_observed_table (s_rig.observed, &s_rig.table, &fresh, &err), RK_OK);
    for (uint32_t l = 0; l < N_LAYERS; l++)
        assert_int_equal (fresh.nodes[2].forward_ns[l], 2 * s_rig.table.nodes[2].forward_ns[l]);
    rk_profiles_t again; /* what was kept is what is observed: nothing changes any more */
    assert_int_equal (rk_observed_table (s_rig.observed, &fresh, &again, &err), RK_OK);
    for (uint32_t i = 0; i < 3; i++)
        assert_memory_equal (again.nodes[i].forward_ns, fresh.nodes[i].forward_ns, N_LAYERS * sizeof (uint64_t));
    rk_profiles_clear (&again);
    rk_profiles_clear (&fresh);
}

/* Links: the median of what they carried; who is not told of stays. */
static void test_links (void **state)
{
    (void) state;
    rk_profiles_t fresh;
    rk_error_t err = {0};
    assert_int_equal (rk_profiles_link (&s_rig.table, &(rk_link_t){1, 2, 50, 9}, NULL), RK_OK);
    rk_observed_link (s_rig.observed, 0, 1, 33);
    rk_observed_link (s_rig.observed, 0, 1, 33);
    assert_int_equal (rk_observed_link_drift_ppm (s_rig.observed, 0, &s_rig.table), 0); /* too little to go by */
    rk_observed_link (s_rig.observed, 0, 1, 1);
    rk_observed_link (s_rig.observed, 0, 1, 33);
    rk_observed_link (s_rig.observed, 0, 0, 5); /* no links */
    rk_observed_link (s_rig.observed, 0, 99, 5);
    for (int i = 0; i < 3; i++)
        rk_observed_link (s_rig.observed, 1, 0, 40); /* nobody had measured it */
    assert_int_equal (rk_observed_link_drift_ppm (s_rig.observed, 0, &s_rig.table), 77 * UINT64_C (1000000) / 33);
    assert_int_equal (rk_observed_link_drift_ppm (s_rig.observed, 1, &s_rig.table), 0);
    assert_int_equal (rk_observed_table (s_rig.observed, &s_rig.table, &fresh, &err), RK_OK);
    assert_int_equal (fresh.n_links, 3);
    const rk_link_t expected[] = {{0, 1, 33, 8}, {1, 0, 40, 0}, {1, 2, 50, 9}};
    for (size_t i = 0; i < 3; i++)
        assert_true (fresh.links[i].from == expected[i].from && fresh.links[i].to == expected[i].to &&
                     fresh.links[i].bytes_per_s == expected[i].bytes_per_s && fresh.links[i].rtt_ns == expected[i].rtt_ns);
    assert_int_equal (rk_observed_link_drift_ppm (s_rig.observed, 0, &fresh), 1000000);
    rk_profiles_clear (&fresh);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_median, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_restart, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_table, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_stretch, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_idle_node, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_links, s_setup, s_teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
