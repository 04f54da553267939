/* SPDX-License-Identifier: MPL-2.0
 * The simulation against what can be worked out by hand.                                                  */
#include "cluster/simulate.h"
#include "tests/cluster/fixtures.h"

#define MS UINT64_C (1000000)

static rk_plan_t *s_hand (uint32_t n_clusters, const uint32_t *counts, rk_average_mode_t mode, uint64_t every)
{
    static fixture_model_t m;
    uint64_t x = 1414213;
    uint32_t cuts[16], n = 0;
    fixture_model (&m, &x, 8);
    for (uint32_t c = 0; c < n_clusters; c++)
        for (uint32_t s = 0; s < counts[c]; s++)
            cuts[n++] = s * 2;
    rk_settings_t s = fixture_settings ();
    s.average_mode = mode;
    s.average_every = every;
    m.info.train_samples = 640000;
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    if (rk_plan_by_hand (&plan, 1, &m.info, &s, n_clusters, counts, cuts, NULL, &err) != RK_OK)
        fail_msg ("%s", err.text);
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        plan->node_hosts[i] = i;
    return plan;
}

static double s_minibatches_per_s (const rk_plan_t *plan, const rk_simulated_t *out)
{
    return (double) out->samples_per_1000s / 1000 / plan->settings.train_batch;
}

static void s_run (const rk_simulation_t *in, rk_simulated_t *out)
{
    rk_error_t err = {0};
    if (rk_simulate (in, out, &err) != RK_OK)
        fail_msg ("%s", err.text);
}

static void s_near (double x, double wanted, double part)
{
    if (x < wanted * (1 - part) || x > wanted * (1 + part))
        fail_msg ("%g, %g wanted", x, wanted);
}

/* One node: 10 ms forward, 20 ms backward; 33.3 minibatches/s and never idle. Drained, 4 a round, averaging 30 ms
 * each: 4 in 150 ms. Two nodes of 30 ms: twice. */
static void test_by_hand (void **state)
{
    (void) state;
    static const uint32_t one[] = {1}, two[] = {2}, four[] = {2, 2};
    const rk_simulated_stage_t even[4] = {{10 * MS, 20 * MS, 0, 0}, {10 * MS, 20 * MS, 0, 0}, {10 * MS, 20 * MS, 0, 0}, {10 * MS, 20 * MS, 0, 0}};
    rk_simulated_t out;
    rk_plan_t *plan = s_hand (1, one, RK_AVERAGE_OVERLAPPED, 4);
    rk_simulation_t in = {.plan = plan, .stages = even, .rounds = 50, .seed = 1, .straggler = RK_NO_NODE};
    s_run (&in, &out);
    s_near (s_minibatches_per_s (plan, &out), 33.333, 0.001);
    assert_true (out.idle_ppm[0] < 1000);
    free (out.idle_ppm);
    rk_plan_destroy (&plan);
    plan = s_hand (1, one, RK_AVERAGE_DRAINED, 4);
    plan->averaging_ns = 30 * MS;
    in.plan = plan;
    s_run (&in, &out);
    s_near (s_minibatches_per_s (plan, &out), 4 / 0.150, 0.001);
    s_near (out.idle_ppm[0], 200000, 0.01);
    free (out.idle_ppm);
    rk_plan_destroy (&plan);
    plan = s_hand (1, two, RK_AVERAGE_OVERLAPPED, 4);
    in.plan = plan;
    s_run (&in, &out);
    s_near (s_minibatches_per_s (plan, &out), 33.333, 0.02);
    free (out.idle_ppm);
    rk_plan_destroy (&plan);
    plan = s_hand (2, four, RK_AVERAGE_OVERLAPPED, 4);
    in.plan = plan;
    s_run (&in, &out);
    s_near (s_minibatches_per_s (plan, &out), 66.667, 0.02);
    free (out.idle_ppm);
    for (uint32_t i = 0; i < 4; i++)
        plan->node_hosts[i] = 7, plan->node_cores[i] = 2; /* all on one machine of 2 cores: half */
    s_run (&in, &out);
    s_near (s_minibatches_per_s (plan, &out), 33.333, 0.02);
    free (out.idle_ppm);
    rk_plan_destroy (&plan);
}

/* A stage twice as fast as the other waits half of its time; a straggler takes the run down to its pace; the same
 * seed gives the same answer. */
static void test_uneven (void **state)
{
    (void) state;
    static const uint32_t two[] = {2};
    const rk_simulated_stage_t stages[2] = {{10 * MS, 20 * MS, MS / 10, 0}, {5 * MS, 10 * MS, 0, MS / 10}};
    rk_simulated_t out, again;
    rk_plan_t *plan = s_hand (1, two, RK_AVERAGE_OVERLAPPED, 4);
    rk_simulation_t in = {.plan = plan, .stages = stages, .rounds = 60, .seed = 1, .straggler = RK_NO_NODE};
    s_run (&in, &out);
    s_near (s_minibatches_per_s (plan, &out), 33.333, 0.05);
    assert_true (out.idle_ppm[0] < 50000);
    s_near (out.idle_ppm[1], 500000, 0.1);
    free (out.idle_ppm);
    in.straggler = 0, in.straggles_ppm = 1000000;
    s_run (&in, &out);
    s_near (s_minibatches_per_s (plan, &out), 16.667, 0.05);
    free (out.idle_ppm);
    in.straggler = RK_NO_NODE, in.jitter_ppm = 200000;
    s_run (&in, &out);
    s_run (&in, &again);
    assert_true (out.total_ns == again.total_ns);
    s_near (s_minibatches_per_s (plan, &out), 33.333 / 1.1, 0.06);
    free (out.idle_ppm);
    free (again.idle_ppm);
    in.rounds = 0;
    rk_error_t err = {0};
    assert_int_equal (rk_simulate (&in, &out, &err), RK_EINVAL);
    rk_plan_destroy (&plan);
}

/* What a plan says its stages cost is what they are simulated with; the simulation then comes near the prediction. */
static void test_figures_of_a_plan (void **state)
{
    (void) state;
    static fixture_fleet_t f;
    static rk_simulated_stage_t stages[RK_MAX_FLEET];
    fixture_model_t m;
    uint64_t x = 16180339;
    int n = 0;
    for (int i = 0; i < 40; i++) {
        fixture_model (&m, &x, 8);
        m.info.train_samples = 60000;
        fixture_fleet (&f, &x, 4, 4, 8, 20, i % 2);
        rk_settings_t s = fixture_settings ();
        s.average_every = 20;
        rk_plan_t *plan = fixture_make (&f, &m, &s);
        if (!plan)
            continue;
        rk_simulated_costs (plan, i % 3 ? &f.fleet : NULL, &m.info, stages);
        for (uint32_t at = 0; at < plan->n_stages; at++)
            assert_true (stages[at].forward_ns * (plan->stages[at].recompute ? 2 : 1) + stages[at].backward_ns == plan->stages[at].busy_ns &&
                         stages[at].forward_ns > 0);
        rk_score_t score;
        rk_simulated_t out;
        rk_plan_score (plan, &score);
        const rk_simulation_t in = {.plan = plan, .stages = stages, .rounds = rk_simulated_rounds (plan, 20), .seed = 1, .straggler = RK_NO_NODE};
        assert_true (in.rounds == 50);
        s_run (&in, &out);
        s_near ((double) out.samples_per_1000s, (double) score.samples_per_1000s, 0.25);
        free (out.idle_ppm);
        rk_plan_destroy (&plan);
        n++;
    }
    assert_true (n > 20);
}

/* 30 ms a minibatch, 7 in a pass, 4 in a round: rounds of 4, 3, 4, 3; a second node on another host with a third of the speed takes
 * what it can, and at the end of each pass the first one waits for it. */
static void test_passes (void **state)
{
    (void) state;
    static const uint32_t one[] = {1}, two[] = {1, 1};
    const rk_simulated_stage_t stages[2] = {{10 * MS, 20 * MS, 0, 0}, {30 * MS, 60 * MS, 0, 0}};
    rk_simulated_t out;
    rk_plan_t *plan = s_hand (1, one, RK_AVERAGE_OVERLAPPED, 4);
    plan->minibatches_per_pass = 7;
    rk_simulation_t in = {.plan = plan, .stages = stages, .rounds = 4, .seed = 1, .straggler = RK_NO_NODE};
    s_run (&in, &out);
    s_near ((double) out.total_ns, 14 * 30 * (double) MS, 0.001);
    free (out.idle_ppm);
    rk_plan_destroy (&plan);
    plan = s_hand (2, two, RK_AVERAGE_OVERLAPPED, 4);
    plan->minibatches_per_pass = 8; /* a round each: the slow node has one and the next, at 90 ms a third; the fast one has had 5 by 150 ms */
    in.plan = plan;
    s_run (&in, &out);
    s_near ((double) out.total_ns, 4 * 270 * (double) MS, 0.001);
    free (out.idle_ppm);
    plan->minibatches_per_pass = 800;
    in.rounds = 100;
    s_run (&in, &out);
    s_near (s_minibatches_per_s (plan, &out), 1000.0 / 30 + 1000.0 / 90, 0.02);
    free (out.idle_ppm);
    rk_plan_destroy (&plan);
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (test_by_hand), cmocka_unit_test (test_uneven), cmocka_unit_test (test_passes),
                                       cmocka_unit_test (test_figures_of_a_plan)};
    return cmocka_run_group_tests_name ("cluster/simulate", tests, NULL, NULL);
}
