/* SPDX-License-Identifier: MPL-2.0
 * All planners: what every answer must keep, auto against the exact oracle, the oracle against plain enumeration,
 * large fleets against a bound. RK_LONG=1: the whole of it (label "long").                               */
#include <time.h>
#include "cluster/plan_parts.h"
#include "tests/cluster/fixtures.h"

static bool s_long (void)
{
    return getenv ("RK_LONG") != NULL;
}

static rk_plan_t *s_plan (const fixture_fleet_t *f, const fixture_model_t *m, rk_settings_t s, const char *planner)
{
    snprintf (s.plan_planner, sizeof s.plan_planner, "%s", planner);
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    const rk_err_t code = rk_plan_make (&plan, 1, &f->fleet, &m->info, &s, "base", &err);
    if (code != RK_OK && code != RK_EPLAN)
        fail_msg ("%s: %s", planner, err.text);
    assert_true ((code == RK_OK) == (plan != NULL));
    assert_true (code == RK_OK || strlen (err.text) > 10);
    return plan;
}

static double s_score (const rk_plan_t *plan)
{
    rk_score_t score;
    rk_plan_score (plan, &score);
    return (double) score.score;
}

/* Fleets with links and round trips, memory from a third of what the model needs to plenty. */
static void s_fleet (fixture_fleet_t *f, fixture_model_t *m, uint64_t *rtt, uint64_t *x, uint32_t most_nodes, uint32_t most_layers)
{
    const uint32_t n_layers = 1 + fixture_below (x, most_layers), n = 1 + fixture_below (x, most_nodes);
    const bool links = fixture_below (x, 3) > 0;
    fixture_model (m, x, n_layers);
    fixture_fleet (f, x, n, n, n_layers, 3 + fixture_below (x, 25), links);
    for (uint32_t i = 0; i < n * n; i++)
        rtt[i] = 100000 + 1000 * (uint64_t) fixture_below (x, 3000);
    f->fleet.link_rtt_ns = links ? rtt : NULL;
}

/* ---- auto against exact */
static void s_compare_with_exact (rk_average_mode_t mode, uint32_t most_nodes, int most, int least_near, double least)
{
    static fixture_fleet_t f;
    static uint64_t rtt[RK_MAX_FLEET * RK_MAX_FLEET];
    fixture_model_t m;
    uint64_t x = 299792458;
    double worst = 1;
    int n_planned = 0, n_near = 0;
    for (int i = 0; n_planned < most; i++) {
        s_fleet (&f, &m, rtt, &x, most_nodes, 12);
        rk_settings_t s = fixture_settings ();
        s.average_mode = mode;
        rk_plan_t *best = s_plan (&f, &m, s, "exact"), *plan = s_plan (&f, &m, s, "auto");
        if ((plan == NULL) != (best == NULL))
            fail_msg ("case %d: %s by auto", i, plan ? "planned" : "refused");
        if (best) {
            const double part = s_score (plan) / s_score (best);
            worst = part < worst ? part : worst;
            n_planned++;
            n_near += part >= 0.98;
            if (part < 0.98)
                print_message ("case %d: %u nodes, %u layers: %.4f of the best\n", i, f.fleet.n_nodes, m.info.n_layers, part);
        }
        rk_plan_destroy (&plan);
        rk_plan_destroy (&best);
    }
    print_message ("%d fleets, %d within 2 %% of the best, worst %.4f\n", n_planned, n_near, worst);
    assert_true (n_near >= least_near && worst >= least);
}

static void test_auto_is_near_exact (void **state)
{
    (void) state;
    const int most = s_long () ? 200 : 24;
    s_compare_with_exact (RK_AVERAGE_OVERLAPPED, 8, most, most, 0.98);
    if (s_long ()) /* averaging, emptied pipelines and dues all weigh on a drained round */
        s_compare_with_exact (RK_AVERAGE_DRAINED, 8, most, most - 2, 0.95);
    else
        s_compare_with_exact (RK_AVERAGE_DRAINED, 6, most, most, 0.98);
}

/* ---- exact against every layout there is, written out for the planner "manual" */
typedef struct {
    const fixture_fleet_t *f;
    const fixture_model_t *m;
    rk_settings_t s;
    char text[256];
    double best;
    uint32_t n_tried;
} s_every_t;

static void s_try_text (s_every_t *e)
{
    snprintf (e->s.plan_manual, sizeof e->s.plan_manual, "%s", e->text);
    rk_plan_t *plan = s_plan (e->f, e->m, e->s, "manual");
    e->n_tried++;
    if (!plan)
        return;
    /* dues count nodes left out, which a plan does not know: so only answers that use all are compared */
    const double score = plan->n_nodes == e->f->fleet.n_nodes ? s_score (plan) : 0;
    e->best = score > e->best ? score : e->best;
    rk_plan_destroy (&plan);
}

/* One stage more, at any layer, of any unused node; or a new cluster. */
static void s_every (s_every_t *e, uint32_t unused, uint32_t next_layer, bool in_cluster)
{
    const size_t length = strlen (e->text);
    if (in_cluster && !unused)
        s_try_text (e);
    for (uint32_t i = 0; i < e->f->fleet.n_nodes; i++) {
        if (!(unused >> i & 1))
            continue;
        snprintf (e->text + length, sizeof e->text - length, "%sn%u:0", length ? " / " : "", i);
        s_every (e, unused & ~(1u << i), 1, true);
        for (uint32_t l = next_layer; in_cluster && l < e->m->info.n_layers; l++) {
            snprintf (e->text + length, sizeof e->text - length, ", n%u:%u", i, l);
            s_every (e, unused & ~(1u << i), l + 1, true);
        }
        e->text[length] = 0;
    }
}

static void test_exact_is_the_best (void **state)
{
    (void) state;
    static fixture_fleet_t f;
    static uint64_t rtt[RK_MAX_FLEET * RK_MAX_FLEET];
    fixture_model_t m;
    uint64_t x = 602214076;
    uint32_t n_compared = 0, n_tried = 0;
    for (int i = 0; i < (s_long () ? 200 : 40); i++) {
        s_fleet (&f, &m, rtt, &x, 3, 4);
        s_every_t e = {.f = &f, .m = &m, .s = fixture_settings ()};
        e.s.average_mode = i % 2 ? RK_AVERAGE_DRAINED : RK_AVERAGE_OVERLAPPED;
        s_every (&e, (1u << f.fleet.n_nodes) - 1, 0, false);
        n_tried += e.n_tried;
        rk_plan_t *plan = s_plan (&f, &m, e.s, "exact");
        if (e.best > 0)
            assert_non_null (plan);
        if (plan && e.best > 0) {
            /* exact decides with dues, up to 4.5 %, that the score leaves out */
            assert_true (s_score (plan) >= e.best * 0.955);
            if (plan->n_nodes == f.fleet.n_nodes)
                assert_true (s_score (plan) <= e.best * 1.000001);
            n_compared++;
        }
        rk_plan_destroy (&plan);
    }
    print_message ("%u layouts, %u compared\n", n_tried, n_compared);
    assert_true (n_compared > 10 && n_tried > 300);
}

/* ---- what all answers keep */
static void s_check (const rk_plan_t *plan, const fixture_fleet_t *f)
{
    rk_error_t err = {0};
    if (rk_plan_check (plan, &err) != RK_OK)
        fail_msg ("%s", err.text);
    fixture_check_stages (plan);
    fixture_check_covers (plan);
    for (uint32_t i = 0; i < plan->n_stages; i++) {
        const rk_profile_t *node = &f->nodes[(plan->stages[i].node - 1) / 3];
        assert_int_equal (node->id, plan->stages[i].node);
        assert_true (node->ram_bytes == 0 || plan->stages[i].memory_bytes <= node->ram_bytes);
    }
}

static void test_every_planner_keeps_the_rules (void **state)
{
    (void) state;
    static const char *const planners[] = {"auto", "uniform", "exact", "ravnest", "dtfm"};
    /* of 100 fleets: the published searches take as long for two nodes as for a hundred */
    static const int of_hundred[] = {100, 100, 30, 1, 3};
    static fixture_fleet_t f;
    static uint64_t rtt[RK_MAX_FLEET * RK_MAX_FLEET];
    fixture_model_t m;
    uint64_t x = 137035999;
    uint32_t n_plans[5] = {0};
    const int n_fleets = s_long () ? 10000 : 150;
    for (int i = 0; i < n_fleets; i++) {
        s_fleet (&f, &m, rtt, &x, i % 50 ? 6 : 30, 14);
        rk_settings_t s = fixture_settings ();
        s.plan_rings = (rk_rings_t) (i % 3);
        s.average_mode = i % 5 ? RK_AVERAGE_OVERLAPPED : RK_AVERAGE_DRAINED;
        s.pipeline_recompute = (rk_recompute_t) fixture_below (&x, 3);
        s.plan_staleness = fixture_below (&x, 3) * 0.02;
        s.plan_disagreement = fixture_below (&x, 3) * 0.001;
        for (size_t p = 0; p < 5; p++) {
            if (i % 100 >= of_hundred[p] || (p == 2 && f.fleet.n_nodes > 6))
                continue;
            rk_plan_t *plan = s_plan (&f, &m, s, planners[p]), *again = s_plan (&f, &m, s, planners[p]);
            assert_true ((plan == NULL) == (again == NULL));
            if (!plan)
                continue;
            assert_true (plan->digest == again->digest);
            s_check (plan, &f);
            n_plans[p]++;
            rk_plan_destroy (&plan);
            rk_plan_destroy (&again);
        }
    }
    print_message ("%d fleets: %u %u %u %u %u plans\n", n_fleets, n_plans[0], n_plans[1], n_plans[2], n_plans[3], n_plans[4]);
    assert_true (n_plans[0] > (uint32_t) n_fleets / 2 && n_plans[1] > 20 && n_plans[2] > 10);
}

/* ---- skewed fleets: speeds 4:2:1:1, memory 8:4:2:1. What ravnest thinks fits needs more memory than uniform. */
static void s_compare_skewed (uint32_t n, uint64_t ram_bytes, const char *planner, bool fits, uint64_t *x)
{
    static fixture_fleet_t f;
    fixture_model_t m;
    static const uint32_t speeds[] = {4, 2, 1, 1}, rams[] = {8, 4, 2, 1};
    fixture_model (&m, x, 12);
    fixture_fleet (&f, x, n, n, 12, 100, false);
    for (uint32_t i = 0; i < n; i++) {
        f.nodes[i].ram_bytes = rams[i % 4] * ram_bytes;
        for (uint32_t l = 0; l < 12; l++) {
            f.forward[i][l] = (4000000 + 500000 * (l % 5)) / speeds[i % 4];
            f.backward[i][l] = 2 * f.forward[i][l];
        }
    }
    rk_settings_t s = fixture_settings ();
    rk_plan_t *plan = s_plan (&f, &m, s, "auto"), *other = s_plan (&f, &m, s, planner);
    assert_non_null (plan);
    s_check (plan, &f);
    assert_true (other != NULL || !fits);
    if (other) {
        print_message ("%u nodes of %u MB and more: auto is %.2f times %s\n", n, (unsigned) (ram_bytes / 1000000), s_score (plan) / s_score (other),
                       planner);
        assert_true (s_score (plan) > 1.05 * s_score (other));
    }
    rk_plan_destroy (&plan);
    rk_plan_destroy (&other);
}

static void test_skewed_fleets (void **state)
{
    (void) state;
    uint64_t x = 314159265;
    for (uint32_t n = 4; n <= 12; n += 4) {
        s_compare_skewed (n, 30000000, "uniform", true, &x);
        s_compare_skewed (n, 30000000, "ravnest", false, &x); /* may well not fit */
        s_compare_skewed (n, 400000000, "ravnest", true, &x);
    }
}

/* ---- large fleets. The bound: no node does more than its own rate for the whole model,
 *   sum over nodes i of max over layers l of (share of layer l in the model's time) / (time of l on i),
 * by duality for any shares; here those of the mean node. Nodes hold from 1 to 2 models each, kept once.   */
typedef struct {
    rk_fleet_t fleet;
    rk_profile_t nodes[1000];
    uint64_t times[1000][2 * FIXTURE_LAYERS];
} s_large_t;

static double s_large (s_large_t *g, fixture_model_t *m, uint64_t *x, uint32_t n)
{
    uint64_t base[FIXTURE_LAYERS], whole = 0;
    double mean = 0, bound = 0, sums[FIXTURE_LAYERS] = {0};
    fixture_model (m, x, FIXTURE_LAYERS);
    m->info.train_samples = 6000000;
    for (uint32_t l = 0; l < FIXTURE_LAYERS; l++) {
        base[l] = 1000000 + fixture_below (x, 9000000);
        whole += m->layers[l].stash_bytes;
    }
    whole += 32 * m->info.n_flat;
    g->fleet = (rk_fleet_t){.nodes = g->nodes, .n_nodes = n};
    for (uint32_t i = 0; i < n; i++) {
        uint64_t *forward = g->times[i], *backward = forward + FIXTURE_LAYERS;
        const uint32_t speed = 1 + fixture_below (x, 4);
        for (uint32_t l = 0; l < FIXTURE_LAYERS; l++) {
            forward[l] = base[l] * (95 + fixture_below (x, 11)) / 100 / speed;
            backward[l] = 2 * forward[l];
            sums[l] += (double) (forward[l] + backward[l]);
            mean += (double) (forward[l] + backward[l]);
        }
        g->nodes[i] = (rk_profile_t){.id = i, .host = i, .cores = 2, .speed_ppm = 1000000, .ram_bytes = whole / 10 * (10 + fixture_below (x, 11)),
                                     .forward_ns = forward, .backward_ns = backward};
        snprintf (g->nodes[i].name, sizeof g->nodes[i].name, "n%u", i);
    }
    for (uint32_t i = 0; i < n; i++) {
        double most = 0;
        for (uint32_t l = 0; l < FIXTURE_LAYERS; l++) {
            const double rate = sums[l] / mean / (double) (g->times[i][l] + g->times[i][FIXTURE_LAYERS + l]);
            most = rate > most ? rate : most;
        }
        bound += most * 1e9;
    }
    return bound;
}

static void test_large_fleets_near_the_bound (void **state)
{
    (void) state;
    static s_large_t g;
    fixture_model_t m;
    uint64_t x = 662607015;
    static const uint32_t sizes[] = {50, 200, 100, 500, 1000};
    for (size_t i = 0; i < (s_long () ? 15u : 2u); i++) {
        const uint32_t n = sizes[i % 5];
        const double bound = s_large (&g, &m, &x, n);
        rk_settings_t s = fixture_settings ();
        s.average_every = 100;
        rk_plan_t *plan = NULL;
        rk_error_t err = {0};
        const clock_t begin = clock ();
        if (rk_plan_make (&plan, 1, &g.fleet, &m.info, &s, "base", &err) != RK_OK)
            fail_msg ("%s", err.text);
        const double seconds = (double) (clock () - begin) / CLOCKS_PER_SEC;
        rk_score_t score;
        rk_plan_score (plan, &score);
        const double part = (double) score.samples_per_1000s / 1000 / s.train_batch / bound;
        print_message ("%u nodes: %u clusters, %.3f of the bound, planned in %.2f s of CPU time\n", n, plan->n_clusters, part, seconds);
        assert_true (part > 0.9 && part <= 1.0001);
        fixture_check_stages (plan);
        fixture_check_covers (plan);
        assert_int_equal (rk_plan_check (plan, &err), RK_OK);
        rk_plan_destroy (&plan);
    }
}

/* ---- what a person writes */
static void test_manual (void **state)
{
    (void) state;
    static fixture_fleet_t f;
    fixture_model_t m;
    uint64_t x = 271828182;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"n0:0 n1:4 / n2:0, n3:6", NULL},
        {"n3 n1/n0", NULL},
        {"", "needs plan.manual"},
        {"n0 n9", "no node of the fleet is called \"n9\""},
        {"n0 / n0", "node n0 has two stages"},
        {"n0:1", "begins with layer 0"},
        {"n0:0 n1:12", "layers 0 to 11"},
        {"n0:0 n1:4 n2:4", "behind the one before"},
        {"n0:0 n1", "all or none"},
        {"n0 /", "nothing behind"},
        {"/ n0", "cluster 0 has 0 stages"},
        {"n0:x", "layers 0 to 11"},
    };
    fixture_model (&m, &x, 12);
    fixture_fleet (&f, &x, 4, 4, 12, 500, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rk_settings_t s = fixture_settings ();
        rk_plan_t *plan = NULL;
        rk_error_t err = {0};
        strcpy (s.plan_planner, "manual");
        strcpy (s.plan_manual, cases[i].text);
        const rk_err_t code = rk_plan_make (&plan, 1, &f.fleet, &m.info, &s, "base", &err);
        if ((code == RK_OK) != !cases[i].error || (cases[i].error && !strstr (err.text, cases[i].error)))
            fail_msg ("\"%s\": %s", cases[i].text, err.text);
        rk_plan_destroy (&plan);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_auto_is_near_exact), cmocka_unit_test (test_exact_is_the_best),
        cmocka_unit_test (test_every_planner_keeps_the_rules), cmocka_unit_test (test_skewed_fleets),
        cmocka_unit_test (test_large_fleets_near_the_bound), cmocka_unit_test (test_manual),
    };
    return cmocka_run_group_tests_name ("cluster/planners", tests, NULL, NULL);
}
