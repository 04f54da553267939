/* SPDX-License-Identifier: MPL-2.0
 * When a run thinks about another plan, and how often it changes it: noise, one slow node, a node that is slow by turns. */
#include "cluster/watch.h"
#include "tests/cluster/fixtures.h"

enum { N_LAYERS = 12, N_NODES = 4 };

/* ---- when to think */

/* The figures are these since long ago. */
static bool s_due (rk_watch_t *w, const uint64_t *drift_ppm, uint32_t n, uint64_t round, int64_t now_ms)
{
    w->has_news = false;
    rk_watch_due (w, drift_ppm, n, round, now_ms - RK_WATCH_SETTLE_MS);
    return rk_watch_due (w, drift_ppm, n, round, now_ms);
}

static void test_once_for_the_same_figures (void **state)
{
    (void) state;
    rk_watch_t w = {0};
    rk_watch_begin (&w, 10, false);
    const uint64_t as_planned[2] = {1000000, 1070000}, slow[2] = {1000000, 1500000}, noise[2] = {1000000, 1540000},
                   slower[2] = {1000000, 1600000}, unknown[2] = {0, 0}, fast[2] = {900000, 1000000};
    assert_false (s_due (&w, unknown, 2, 11, 0));
    assert_false (s_due (&w, as_planned, 2, 11, 0));
    assert_true (s_due (&w, slow, 2, 11, 0));
    assert_true (s_due (&w, fast, 2, 11, 0));
    rk_watch_thought (&w, slow, 2, RK_REPLAN_UNPAID, 0);
    assert_false (s_due (&w, slower, 2, 12, RK_WATCH_EVERY_MS - 1)); /* planning takes time too */
    assert_true (s_due (&w, slower, 2, 12, RK_WATCH_EVERY_MS));
    assert_false (s_due (&w, slow, 2, 1000, 60000));
    assert_false (s_due (&w, noise, 2, 1000, 60000));
    assert_false (s_due (&w, as_planned, 2, 1000, 60000)); /* back again: the plan is for that */
    rk_watch_begin (&w, 1000, true);
    assert_true (s_due (&w, slow, 2, 1001, 60000));
}

static void test_figures_settle (void **state)
{
    (void) state;
    rk_watch_t w = {0};
    const uint64_t as_planned[1] = {1000000}, turning[1] = {1300000}, slow[1] = {2000000};
    rk_watch_begin (&w, 0, false);
    assert_false (rk_watch_due (&w, turning, 1, 5, 5000));
    assert_false (rk_watch_due (&w, slow, 1, 6, 5000 + RK_WATCH_SETTLE_MS - 1));
    assert_true (rk_watch_due (&w, slow, 1, 7, 5000 + RK_WATCH_SETTLE_MS));
    assert_false (rk_watch_due (&w, as_planned, 1, 8, 8000)); /* it has passed: the next one is news again */
    assert_false (rk_watch_due (&w, slow, 1, 9, 9000));
    assert_true (rk_watch_due (&w, slow, 1, 10, 9000 + RK_WATCH_SETTLE_MS));
}

static void test_too_early (void **state)
{
    (void) state;
    rk_watch_t w = {0};
    const uint64_t slow[1] = {2000000};
    rk_watch_begin (&w, 0, true);
    const uint64_t least = rk_watch_least_rounds (&w);
    assert_int_equal (least, 2 * RK_REPLAN_LEAST_ROUNDS);
    rk_watch_thought (&w, slow, 1, RK_REPLAN_EARLY, 0);
    assert_false (s_due (&w, slow, 1, least - 1, 5000));
    assert_true (s_due (&w, slow, 1, least, 5000));
    assert_int_equal (rk_watch_rounds_since (&w, least), least);
}

static void test_waits_double_and_are_forgotten (void **state)
{
    (void) state;
    rk_watch_t w = {0};
    const uint64_t calm[1] = {1000000};
    for (uint32_t i = 0; i < 20; i++)
        rk_watch_begin (&w, i, true);
    assert_int_equal (rk_watch_least_rounds (&w), (uint64_t) RK_REPLAN_LEAST_ROUNDS << RK_WATCH_MOST_DOUBLINGS);
    rk_watch_begin (&w, 20, false); /* a loss is nobody's choice */
    assert_int_equal (rk_watch_least_rounds (&w), (uint64_t) RK_REPLAN_LEAST_ROUNDS << RK_WATCH_MOST_DOUBLINGS);
    for (uint64_t round = 21; round < 60000; round++)
        rk_watch_due (&w, calm, 1, round, 0);
    assert_int_equal (rk_watch_least_rounds (&w), RK_REPLAN_LEAST_ROUNDS);
}

/* ---- a run under virtual time: rounds of half a second, figures as they are */
typedef struct {
    fixture_fleet_t fleet, table; /* now; as the running plan was made with */
    fixture_model_t model;
    rk_settings_t settings;
    rk_plan_t *plan;
    rk_watch_t watch;
    uint32_t n_changes, n_thoughts;
    uint64_t last_change;
} run_t;

static run_t s_run;

static void s_slow (fixture_fleet_t *f, uint32_t node, uint32_t percent)
{
    for (uint32_t l = 0; l < N_LAYERS; l++) {
        f->forward[node][l] = UINT64_C (10000000) * percent / 100;
        f->backward[node][l] = UINT64_C (20000000) * percent / 100;
    }
}

static int s_setup (void **state)
{
    (void) state;
    uint64_t x = 1618033, need = 0;
    memset (&s_run, 0, sizeof s_run);
    fixture_model (&s_run.model, &x, N_LAYERS);
    fixture_fleet (&s_run.fleet, &x, N_NODES, N_NODES, N_LAYERS, 100, false);
    for (uint32_t l = 0; l < N_LAYERS; l++)
        need += s_run.model.layers[l].stash_bytes;
    s_run.model.info.train_samples = 600000;
    for (uint32_t i = 0; i < N_NODES; i++) {
        s_run.fleet.nodes[i].ram_bytes = need + 28 * s_run.model.info.n_flat;
        s_slow (&s_run.fleet, i, 100);
    }
    s_run.settings = fixture_settings ();
    s_run.settings.n_layout = 1, s_run.settings.fleet_layout[0] = N_NODES;
    s_run.table = s_run.fleet;
    s_run.plan = fixture_make (&s_run.fleet, &s_run.model, &s_run.settings);
    return s_run.plan ? 0 : -1;
}

static int s_teardown (void **state)
{
    (void) state;
    rk_plan_destroy (&s_run.plan);
    return 0;
}

/* Observed over planned time; both are uniform over a node's layers. */
static void s_drifts (uint64_t *drift_ppm)
{
    for (uint32_t s = 0; s < s_run.plan->n_stages; s++)
        for (uint32_t i = 0; i < N_NODES; i++)
            if (s_run.fleet.nodes[i].id == s_run.plan->stages[s].node)
                drift_ppm[s] = s_run.fleet.forward[i][0] * 1000000 / s_run.table.forward[i][0];
}

static void s_round (uint64_t round)
{
    uint64_t drift_ppm[RK_MAX_FLEET];
    rk_replan_out_t out;
    rk_error_t err = {0};
    const int64_t now_ms = (int64_t) round * 500;
    s_drifts (drift_ppm);
    if (!rk_watch_due (&s_run.watch, drift_ppm, s_run.plan->n_stages, round, now_ms))
        return;
    const rk_replan_in_t in = {.running = s_run.plan, .fleet = &s_run.fleet.fleet, .model = &s_run.model.info, .settings = &s_run.settings,
                               .view = s_run.plan->view + 1, .kernels = "base", .minibatches_left = 5000,
                               .rounds_since = rk_watch_rounds_since (&s_run.watch, round),
                               .least_rounds = rk_watch_least_rounds (&s_run.watch)};
    if (rk_replan_decide (&in, &out, &err))
        fail_msg ("%s", err.text);
    s_run.n_thoughts++;
    rk_watch_thought (&s_run.watch, drift_ppm, s_run.plan->n_stages, out.verdict, now_ms);
    if (out.verdict == RK_REPLAN_MOVE) {
        rk_plan_destroy (&s_run.plan);
        s_run.plan = out.plan;
        s_run.table = s_run.fleet;
        rk_watch_begin (&s_run.watch, round, true);
        s_run.n_changes++;
        s_run.last_change = round;
    } else
        rk_plan_destroy (&out.plan);
}

static void test_one_node_slows (void **state)
{
    (void) state;
    uint64_t x = 7;
    for (uint64_t round = 0; round < 400; round++) {
        for (uint32_t i = 0; i < N_NODES; i++) /* 6 % of noise all the time */
            s_slow (&s_run.fleet, i, (i == 1 && round >= 100 ? 200 : 100) + fixture_below (&x, 7));
        s_round (round);
        if (round == 99)
            assert_int_equal (s_run.n_changes, 0);
    }
    print_message ("changed at round %u after %u thoughts\n", (unsigned) s_run.last_change, s_run.n_thoughts);
    assert_int_equal (s_run.n_changes, 1);
    assert_true (s_run.last_change >= 100 && s_run.last_change <= 104);
    assert_true (s_run.n_thoughts < 200);
}

/* Slow for 10 rounds, as before for 10 rounds, and so on: 100 turns. */
static void test_a_node_that_flaps (void **state)
{
    (void) state;
    uint64_t round = 0;
    for (; round < 1000; round++) {
        s_slow (&s_run.fleet, 1, round / 10 % 2 ? 200 : 100);
        s_round (round);
    }
    assert_true (s_run.n_changes >= 1 && s_run.n_changes <= 8);
    print_message ("%u changes and %u thoughts in 1000 rounds and 100 turns\n", s_run.n_changes, s_run.n_thoughts);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_once_for_the_same_figures),
        cmocka_unit_test (test_figures_settle),
        cmocka_unit_test (test_too_early),
        cmocka_unit_test (test_waits_double_and_are_forgotten),
        cmocka_unit_test_setup_teardown (test_one_node_slows, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_a_node_that_flaps, s_setup, s_teardown),
    };
    return cmocka_run_group_tests_name ("cluster/watch", tests, NULL, NULL);
}
