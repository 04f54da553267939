/* SPDX-License-Identifier: MPL-2.0
 * When a run changes its plan: a node slows to half, memory shrinks, a node is lost; and when it does not. */
#include "cluster/replan.h"
#include "tests/cluster/fixtures.h"

typedef struct {
    fixture_fleet_t f;
    fixture_model_t m;
    rk_settings_t s;
    rk_plan_t *running;
    rk_replan_in_t in;
} s_run_t;

/* Four equal nodes, none of which holds the model alone, in two clusters of two. */
static void s_start (s_run_t *r)
{
    uint64_t x = 1618033;
    memset (r, 0, sizeof *r);
    fixture_model (&r->m, &x, 12);
    fixture_fleet (&r->f, &x, 4, 4, 12, 100, false);
    uint64_t need = 0;
    for (uint32_t l = 0; l < 12; l++)
        need += r->m.layers[l].stash_bytes;
    r->m.info.train_samples = 600000;
    for (uint32_t i = 0; i < 4; i++) {
        r->f.nodes[i].ram_bytes = need + 28 * r->m.info.n_flat;
        for (uint32_t l = 0; l < 12; l++) {
            r->f.forward[i][l] = 10000000;
            r->f.backward[i][l] = 20000000;
        }
    }
    r->s = fixture_settings ();
    r->s.n_layout = 2, r->s.fleet_layout[0] = r->s.fleet_layout[1] = 2;
    r->running = fixture_make (&r->f, &r->m, &r->s);
    assert_non_null (r->running);
    r->s.n_layout = 2;
    r->in = (rk_replan_in_t){.running = r->running, .fleet = &r->f.fleet, .model = &r->m.info, .settings = &r->s, .view = 2,
                             .kernels = "base", .minibatches_left = 5000, .rounds_since = 100};
}

static rk_replan_verdict_t s_decide (s_run_t *r, rk_replan_out_t *out)
{
    rk_replan_out_t again;
    rk_error_t err = {0};
    if (rk_replan_decide (&r->in, out, &err) != RK_OK || rk_replan_decide (&r->in, &again, &err) != RK_OK)
        fail_msg ("%s", err.text);
    assert_int_equal (out->verdict, again.verdict);
    assert_string_equal (out->text, again.text);
    assert_true (out->plan->digest == again.plan->digest);
    rk_plan_destroy (&again.plan);
    assert_non_null (strstr (out->text, "samples/s"));
    rk_plan_destroy (&out->plan);
    return out->verdict;
}

static void s_slow (s_run_t *r, uint32_t node, uint32_t percent)
{
    for (uint32_t l = 0; l < 12; l++) {
        r->f.forward[node][l] = UINT64_C (10000000) * percent / 100;
        r->f.backward[node][l] = UINT64_C (20000000) * percent / 100;
    }
}

static void test_nothing_changes (void **state)
{
    (void) state;
    static s_run_t r;
    rk_replan_out_t out;
    s_start (&r);
    assert_int_equal (s_decide (&r, &out), RK_REPLAN_STAY);
    assert_true (out.gain_ppm < RK_REPLAN_LEAST_PPM && out.running_score > 0);
    s_slow (&r, 0, 104); /* noise */
    assert_int_equal (s_decide (&r, &out), RK_REPLAN_STAY);
    rk_plan_destroy (&r.running);
}

static void test_a_node_slows_to_half (void **state)
{
    (void) state;
    static s_run_t r;
    rk_replan_out_t out;
    s_start (&r);
    s_slow (&r, 0, 200);
    assert_int_equal (s_decide (&r, &out), RK_REPLAN_MOVE);
    assert_true (out.new_score > out.running_score && out.move_bytes > 0 && out.saved_ns > 2 * out.move_ns);
    r.in.rounds_since = RK_REPLAN_LEAST_ROUNDS - 1;
    assert_int_equal (s_decide (&r, &out), RK_REPLAN_EARLY);
    r.in.rounds_since = 100;
    r.in.minibatches_left = 3;
    assert_int_equal (s_decide (&r, &out), RK_REPLAN_UNPAID);
    rk_plan_destroy (&r.running);
}

static void test_it_cannot_go_on (void **state)
{
    (void) state;
    static s_run_t r;
    rk_replan_out_t out;
    rk_error_t err = {0};
    rk_score_t score;
    s_start (&r);
    r.f.nodes[0].id = 0; /* another node than the plan's, ids still ascend */
    assert_int_equal (rk_replan_score (r.running, &r.f.fleet, &r.m.info, &r.s, &score, &err), RK_EPLAN);
    r.in.rounds_since = 0;
    r.in.minibatches_left = 1;
    assert_int_equal (s_decide (&r, &out), RK_REPLAN_MOVE);
    assert_true (out.running_score == 0);
    for (uint32_t i = 0; i < 4; i++)
        r.f.nodes[i].ram_bytes = 1000;
    assert_int_equal (rk_replan_decide (&r.in, &out, &err), RK_EPLAN);
    assert_null (out.plan);
    rk_plan_destroy (&r.running);
}

/* Whatever the fleet and the figures: the same answer twice, a plan that holds, and a change only for good reasons. */
static void test_random_fleets (void **state)
{
    (void) state;
    static s_run_t r;
    uint64_t x = 271828;
    uint32_t n_moves = 0, n = 0;
    for (int i = 0; i < (getenv ("RK_LONG") ? 1000 : 40); i++) {
        const uint32_t n_layers = 2 + fixture_below (&x, 12), n_nodes = 1 + fixture_below (&x, 8);
        memset (&r, 0, sizeof r);
        fixture_model (&r.m, &x, n_layers);
        fixture_fleet (&r.f, &x, n_nodes, 1 + fixture_below (&x, n_nodes), n_layers, 20 + fixture_below (&x, 200), fixture_below (&x, 2));
        r.s = fixture_settings ();
        r.running = fixture_make (&r.f, &r.m, &r.s);
        if (!r.running)
            continue;
        for (uint32_t k = 0; k < n_nodes; k++) {
            const uint32_t percent = fixture_below (&x, 3) ? 100 : 50 + fixture_below (&x, 250);
            for (uint32_t l = 0; l < n_layers; l++) {
                r.f.forward[k][l] = r.f.forward[k][l] * percent / 100 + 1;
                r.f.backward[k][l] = r.f.backward[k][l] * percent / 100 + 1;
            }
        }
        r.in = (rk_replan_in_t){.running = r.running, .fleet = &r.f.fleet, .model = &r.m.info, .settings = &r.s, .view = 2, .kernels = "base",
                                .minibatches_left = fixture_below (&x, 20000), .rounds_since = fixture_below (&x, 40),
                                .least_rounds = fixture_below (&x, 2) ? 4u << fixture_below (&x, 4) : 0};
        rk_replan_out_t out, again;
        rk_error_t err = {0};
        if (rk_replan_decide (&r.in, &out, &err) || rk_replan_decide (&r.in, &again, &err))
            fail_msg ("%s", err.text);
        assert_int_equal (out.verdict, again.verdict);
        assert_string_equal (out.text, again.text);
        assert_true (out.plan->digest == again.plan->digest && out.plan->view == 2);
        if (rk_plan_check (out.plan, &err))
            fail_msg ("%s", err.text);
        const uint64_t least = r.in.least_rounds ? r.in.least_rounds : RK_REPLAN_LEAST_ROUNDS;
        if (out.verdict == RK_REPLAN_MOVE && out.running_score)
            assert_true (out.gain_ppm >= RK_REPLAN_LEAST_PPM && r.in.rounds_since >= least && out.saved_ns / 2 >= out.move_ns);
        if (out.verdict == RK_REPLAN_STAY)
            assert_true (out.gain_ppm < RK_REPLAN_LEAST_PPM);
        n_moves += out.verdict == RK_REPLAN_MOVE;
        n++;
        rk_plan_destroy (&again.plan);
        rk_plan_destroy (&out.plan);
        rk_plan_destroy (&r.running);
    }
    assert_true (n > 20 && n_moves > 2 && n_moves < n);
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (test_nothing_changes), cmocka_unit_test (test_a_node_slows_to_half),
                                       cmocka_unit_test (test_it_cannot_go_on), cmocka_unit_test (test_random_fleets)};
    return cmocka_run_group_tests_name ("cluster/replan", tests, NULL, NULL);
}
