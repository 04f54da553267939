/* SPDX-License-Identifier: MPL-2.0
 * The planner: what every plan must keep, and how near it comes to the best there is.                    */
#include "cluster/plan_parts.h"
#include "tests/cluster/fixtures.h"

#ifdef __SANITIZE_ADDRESS__
#define FLEETS 24 /* ten times slower */
#define TWICE 4
#else
#define FLEETS 60 /* cluster/test_planners_long: 10,000 */
#define TWICE 12
#endif

static const rk_profile_t *s_profile (const fixture_fleet_t *f, uint32_t id)
{
    for (uint32_t i = 0; i < f->fleet.n_nodes; i++)
        if (f->nodes[i].id == id)
            return &f->nodes[i];
    fail_msg ("node %u is not of the fleet", id);
    return NULL;
}

/* A stage sends across two cuts at most. */
static uint64_t s_most_send_ns (const rk_model_info_t *model)
{
    uint64_t most = 0;
    for (uint32_t l = 0; l < model->n_layers; l++)
        most = model->layers[l].cut_bytes > most ? model->layers[l].cut_bytes : most;
    return 2 * (most * 1000000000 / RK_PLAN_COPY_RATE + 1) + 8 * model->n_flat * 1000000000 / RK_PLAN_COPY_RATE;
}

static void s_check_plan (const rk_plan_t *plan, const fixture_fleet_t *f, const fixture_model_t *m)
{
    rk_error_t err = {0};
    if (rk_plan_check (plan, &err) != RK_OK)
        fail_msg ("%s", err.text);
    for (uint32_t i = 0; i < plan->n_stages; i++) {
        uint32_t c;
        const rk_plan_stage_t *stage = &plan->stages[i];
        rk_plan_stage_of_node (plan, stage->node, &c, NULL);
        const rk_profile_t *node = s_profile (f, stage->node);
        assert_true (stage->memory_bytes == fixture_memory (&m->info, &plan->settings, stage, plan->clusters[c].in_flight));
        assert_true (node->ram_bytes == 0 || stage->memory_bytes <= node->ram_bytes);
        uint64_t compute = 0;
        for (uint32_t l = stage->first; l < stage->last; l++)
            compute += node->forward_ns[l] * (stage->recompute ? 2 : 1) + node->backward_ns[l];
        compute += node->dispatch_ns;
        assert_true (stage->busy_ns >= compute);
        assert_true (f->fleet.link_bytes_per_s || stage->busy_ns <= compute + node->feed_ns + s_most_send_ns (&m->info));
        /* of a first stage what feeds it is counted once: as its own time, or as that of its host */
        assert_true (stage->beside_ns <= node->feed_ns + node->dispatch_ns && (stage->first == 0 || stage->beside_ns <= node->dispatch_ns));
        assert_true ((double) plan->clusters[c].rate * (double) stage->busy_ns <= 1e18 * 1.000001);
    }
    /* No host is planned beyond its cores. */
    for (uint32_t n = 0; n < plan->n_nodes; n++) {
        double load = 0;
        for (uint32_t i = 0; i < plan->n_stages; i++) {
            uint32_t c;
            rk_plan_stage_of_node (plan, plan->stages[i].node, &c, NULL);
            const rk_profile_t *node = s_profile (f, plan->stages[i].node);
            if (node->host == plan->node_hosts[n])
                load += (double) plan->clusters[c].rate / 1e18 *
                        ((double) plan->stages[i].busy_ns * node->speed_ppm / 1e6 + (double) plan->stages[i].beside_ns);
        }
        assert_true (load <= plan->node_cores[n] * 1.00001);
    }
}

static void test_random_fleets (void **state)
{
    (void) state;
    uint64_t x = 161803;
    static fixture_fleet_t f;
    fixture_model_t m;
    int n_planned = 0, n_refused = 0;
    for (int i = 0; i < FLEETS; i++) {
        uint32_t n_layers = 1 + fixture_below (&x, 14), n_nodes = 1 + fixture_below (&x, 8);
        fixture_model (&m, &x, n_layers);
        fixture_fleet (&f, &x, n_nodes, 1 + fixture_below (&x, n_nodes), n_layers, 5 + fixture_below (&x, 60), i & 1);
        rk_settings_t s = fixture_settings ();
        s.plan_rings = (rk_rings_t) (i % 3);
        s.pipeline_in_flight = fixture_below (&x, 4) ? 0 : 1 + fixture_below (&x, 5);
        s.pipeline_recompute = (rk_recompute_t) fixture_below (&x, 3);
        s.average_optimizer_state = fixture_below (&x, 4) == 0;
        s.train_clip = fixture_below (&x, 4) == 0;
        for (uint32_t k = 0; i % 3 == 2 && k < n_nodes; k++) { /* what is not kernels was measured, too */
            f.nodes[k].dispatch_ns = fixture_below (&x, 200000);
            f.nodes[k].feed_ns = fixture_below (&x, 400000);
            f.nodes[k].copy_bytes_per_s = RK_PLAN_COPY_RATE * (6 + fixture_below (&x, 6));
        }
        rk_plan_t *plan = fixture_make (&f, &m, &s);
        n_refused += plan == NULL;
        if (!plan)
            continue;
        n_planned++;
        s_check_plan (plan, &f, &m);
        rk_plan_destroy (&plan);
    }
    assert_true (n_planned > FLEETS / 3 && n_refused > FLEETS / 50);
}

static void test_large_fleets (void **state)
{
    (void) state;
    uint64_t x = 577215;
    static fixture_fleet_t f;
    fixture_model_t m;
    for (int i = 0; i < 3; i++) {
        uint32_t n_nodes = i < 2 ? RK_MAX_FLEET : 20 + fixture_below (&x, 30);
        fixture_model (&m, &x, FIXTURE_LAYERS);
        fixture_fleet (&f, &x, n_nodes, i == 1 ? n_nodes : 5, FIXTURE_LAYERS, 200, i & 1);
        rk_settings_t s = fixture_settings ();
        rk_plan_t *plan = fixture_make (&f, &m, &s);
        assert_non_null (plan);
        s_check_plan (plan, &f, &m);
        rk_plan_destroy (&plan);
    }
}

static void test_same_inputs_same_bytes (void **state)
{
    (void) state;
    uint64_t x = 141421;
    static fixture_fleet_t f;
    fixture_model_t m;
    for (int i = 0; i < TWICE; i++) {
        fixture_model (&m, &x, 12);
        fixture_fleet (&f, &x, 6, 2, 12, 60, i & 1);
        rk_settings_t s = fixture_settings ();
        rk_plan_t *a = fixture_make (&f, &m, &s), *b = fixture_make (&f, &m, &s);
        assert_non_null (a);
        size_t size = rk_plan_encode (a, NULL, 0);
        uint8_t *first = malloc (size), *second = malloc (size);
        assert_non_null (first);
        assert_non_null (second);
        assert_int_equal (rk_plan_encode (a, first, size), size);
        assert_int_equal (rk_plan_encode (b, second, size), size);
        assert_memory_equal (first, second, size);
        free (first);
        free (second);
        rk_plan_destroy (&a);
        rk_plan_destroy (&b);
    }
}

static void test_forced_layouts (void **state)
{
    (void) state;
    uint64_t x = 235711;
    static fixture_fleet_t f;
    fixture_model_t m;
    fixture_model (&m, &x, 12);
    static const struct {
        uint32_t n, sizes[4];
    } layouts[] = {{3, {1, 2, 3}}, {3, {3, 2, 1}}, {1, {6}}, {1, {4}}, {2, {3, 3}}, {4, {1, 1, 1, 1}}, {2, {5, 1}}};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        fixture_fleet (&f, &x, 6, 6, 12, 500, false);
        rk_settings_t s = fixture_settings ();
        s.n_layout = layouts[i].n;
        memcpy (s.fleet_layout, layouts[i].sizes, sizeof layouts[i].sizes);
        rk_plan_t *plan = fixture_make (&f, &m, &s);
        assert_non_null (plan);
        assert_int_equal (plan->n_clusters, layouts[i].n);
        for (uint32_t c = 0; c < plan->n_clusters; c++)
            assert_int_equal (plan->clusters[c].n_stages, layouts[i].sizes[c]);
        s_check_plan (plan, &f, &m);
        rk_plan_destroy (&plan);
    }
    /* alike, quick, on one machine whose cores are too few for all: nodes would rather be left out, and nobody may be */
    for (uint32_t i = 0; i < 20; i++) {
        const uint32_t sizes[] = {1 + i % 3, 2, 1 + i / 3 % 2}, n = 2 + i % 2;
        fixture_fleet (&f, &x, sizes[0] + 2 + (n > 2 ? sizes[2] : 0), 1, 12, 500, false);
        for (uint32_t node = 0; node < f.fleet.n_nodes; node++) {
            f.nodes[node].ram_bytes = UINT64_C (2000000000);
            for (uint32_t l = 0; l < 12; l++)
                f.forward[node][l] = 2000, f.backward[node][l] = 4000;
        }
        rk_settings_t s = fixture_settings ();
        s.n_layout = n;
        memcpy (s.fleet_layout, sizes, sizeof sizes);
        rk_plan_t *plan = fixture_make (&f, &m, &s);
        assert_non_null (plan);
        assert_int_equal (plan->n_clusters, n);
        for (uint32_t c = 0; c < n; c++)
            assert_int_equal (plan->clusters[c].n_stages, sizes[c]);
        rk_plan_destroy (&plan);
    }
    rk_settings_t s = fixture_settings ();
    snprintf (s.plan_planner, sizeof s.plan_planner, "ravnest");
    s.n_layout = 1, s.fleet_layout[0] = 1;
    assert_null (fixture_make (&f, &m, &s)); /* it has two clusters, whatever it is told */
    s = fixture_settings ();
    s.n_layout = 2, s.fleet_layout[0] = 4, s.fleet_layout[1] = 4;
    assert_null (fixture_make (&f, &m, &s)); /* 8 nodes of 6 */
    s.n_layout = 1, s.fleet_layout[0] = 13;
    assert_null (fixture_make (&f, &m, &s)); /* 13 stages of 12 layers */
}

/* ---- the shape of the main job: one heavy layer, two strong and two weak nodes on a machine of 2 cores */
static void s_main_job (fixture_fleet_t *f, fixture_model_t *m, uint64_t ram_mb)
{
    static const uint64_t ns[] = {3000000, 1000000, 60000000, 1000000, 1000000, 2000000};
    static const uint32_t speeds[] = {1000000, 1000000, 500000, 500000};
    memset (f, 0, sizeof *f);
    memset (m, 0, sizeof *m);
    for (uint32_t l = 0; l < 6; l++)
        m->layers[l] = (rk_layer_info_t){.flat_at = l * 1600, .stash_bytes = 6000000, .cut_bytes = 100000 * (l + 1)};
    m->info = (rk_model_info_t){.n_layers = 6, .layers = m->layers, .n_flat = 9600, .train_samples = 60000};
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t l = 0; l < 6; l++) {
            f->forward[i][l] = ns[l] * 1000000 / speeds[i] / 3;
            f->backward[i][l] = ns[l] * 1000000 / speeds[i] * 2 / 3;
        }
        f->nodes[i] = (rk_profile_t){.id = i, .host = 9, .cores = 2, .speed_ppm = speeds[i], .ram_bytes = ram_mb * 1000000,
                                     .forward_ns = f->forward[i], .backward_ns = f->backward[i]};
    }
    f->fleet = (rk_fleet_t){.nodes = f->nodes, .n_nodes = 4};
}

static void test_main_job_shape (void **state)
{
    (void) state;
    static fixture_fleet_t f;
    fixture_model_t m;
    static const uint64_t rams[] = {64, 0};
    for (size_t i = 0; i < 2; i++) {
        s_main_job (&f, &m, rams[i]);
        rk_settings_t s = fixture_settings ();
        rk_plan_t *plan = fixture_make (&f, &m, &s);
        assert_non_null (plan);
        assert_int_equal (plan->n_clusters, 2);
        for (uint32_t c = 0; c < 2; c++) {
            assert_int_equal (plan->clusters[c].n_stages, 2);
            uint32_t n_weak = 0;
            for (uint32_t k = 0; k < 2; k++)
                n_weak += rk_plan_stage (plan, c, k)->node >= 2;
            assert_int_equal (n_weak, 1); /* clusters of like strength */
        }
        s_check_plan (plan, &f, &m);
        rk_plan_destroy (&plan);
    }
}

static void test_does_not_fit (void **state)
{
    (void) state;
    static fixture_fleet_t f;
    fixture_model_t m;
    s_main_job (&f, &m, 10);
    rk_settings_t s = fixture_settings ();
    strcpy (f.nodes[2].name, "weak-1");
    f.nodes[2].ram_bytes = 12000000;
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &m.info, &s, "base", &err), RK_EPLAN);
    assert_non_null (strstr (err.text, "lacks"));
    assert_non_null (strstr (err.text, "MB"));
    assert_non_null (strstr (err.text, "layers"));
}

/* A forced layout that does not fit is refused with figures of one of its own clusters. */
static void test_layout_does_not_fit (void **state)
{
    (void) state;
    static fixture_fleet_t f;
    fixture_model_t m;
    s_main_job (&f, &m, 140);
    for (uint32_t l = 0; l < 6; l++) { /* 6 MB of parameters each: 216 MB alone, about 140 for half in a pair */
        m.layers[l].flat_at = l * 1500000;
        m.layers[l].stash_bytes = 500000;
    }
    m.info.n_flat = 9000000;
    rk_settings_t s = fixture_settings ();
    s.n_layout = 2, s.fleet_layout[0] = 1, s.fleet_layout[1] = 2;
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &m.info, &s, "base", &err), RK_EPLAN);
    assert_non_null (strstr (err.text, "MB"));
    assert_non_null (strstr (err.text, "layers"));
    s.fleet_layout[0] = 2;
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &m.info, &s, "base", &err), RK_OK);
    rk_plan_destroy (&plan);
}

static void test_bad_inputs (void **state)
{
    (void) state;
    static fixture_fleet_t f;
    fixture_model_t m;
    rk_settings_t s = fixture_settings ();
    rk_plan_t *plan = NULL;
    rk_error_t err;
    s_main_job (&f, &m, 64);
    f.nodes[1].id = 0;
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &m.info, &s, "base", &err), RK_EINVAL);
    s_main_job (&f, &m, 64);
    f.nodes[1].speed_ppm = 0;
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &m.info, &s, "base", &err), RK_EINVAL);
    s_main_job (&f, &m, 64);
    f.nodes[3].cores = 0;
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &m.info, &s, "base", &err), RK_EINVAL);
    s_main_job (&f, &m, 64);
    f.forward[2][3] = UINT64_C (1) << 60;
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &m.info, &s, "base", &err), RK_EINVAL);
    s_main_job (&f, &m, 64);
    f.fleet.n_nodes = 0;
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &m.info, &s, "base", &err), RK_EINVAL);
    s_main_job (&f, &m, 64);
    m.layers[2].flat_at = 0;
    m.layers[1].flat_at = 5;
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &m.info, &s, "base", &err), RK_EINVAL);
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &m.info, &s, "a-name-that-is-too-long", &err), RK_EINVAL);
    assert_null (plan);
}

/* Figures at the edge of what is taken: nothing overflows, the plan still holds together. */
static void test_extreme_figures (void **state)
{
    (void) state;
    static fixture_fleet_t f;
    fixture_model_t m;
    static const uint64_t times[] = {0, 1, UINT64_C (16000000000000000)};
    for (size_t i = 0; i < 3; i++)
        for (int links = 0; links < 2; links++) {
            s_main_job (&f, &m, 0);
            for (uint32_t n = 0; n < 4; n++)
                for (uint32_t l = 0; l < 6; l++) {
                    f.forward[n][l] = l == 2 ? times[i] : 0;
                    f.backward[n][l] = f.forward[n][l];
                }
            m.layers[3].cut_bytes = UINT64_C (1) << 48;
            m.layers[3].stash_bytes = UINT64_C (1) << 48;
            for (uint32_t k = 0; k < 16; k++)
                f.links[k] = 1; /* byte per second */
            f.fleet.link_bytes_per_s = links ? f.links : NULL;
            rk_settings_t s = fixture_settings ();
            rk_plan_t *plan = fixture_make (&f, &m, &s);
            assert_non_null (plan);
            assert_int_equal (rk_plan_check (plan, NULL), RK_OK);
            rk_score_t score;
            rk_plan_score (plan, &score);
            assert_true (score.samples_per_1000s > 0 || times[i] > 1);
            rk_plan_destroy (&plan);
        }
}

/* More layers than the planner has places for cuts. */
static void test_deep_model (void **state)
{
    (void) state;
    enum { DEEP = 700 };
    static rk_layer_info_t layers[DEEP];
    static uint64_t ns[DEEP];
    uint64_t x = 8675309;
    for (uint32_t l = 0; l < DEEP; l++) {
        layers[l] = (rk_layer_info_t){.flat_at = l * 160, .stash_bytes = 1000, .cut_bytes = 1000 + fixture_below (&x, 100000)};
        ns[l] = 1000 + fixture_below (&x, 100000);
    }
    rk_model_info_t m = {.n_layers = DEEP, .layers = layers, .n_flat = DEEP * 160, .train_samples = 1000};
    rk_profile_t nodes[6];
    for (uint32_t i = 0; i < 6; i++)
        nodes[i] = (rk_profile_t){.id = i, .host = i, .cores = 1, .speed_ppm = 1000000, .forward_ns = ns, .backward_ns = ns};
    rk_fleet_t fleet = {.nodes = nodes, .n_nodes = 6};
    rk_settings_t s = fixture_settings ();
    s.n_layout = 1, s.fleet_layout[0] = 6;
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    if (rk_plan_make (&plan, 1, &fleet, &m, &s, "base", &err) != RK_OK)
        fail_msg ("%s", err.text);
    assert_int_equal (rk_plan_check (plan, &err), RK_OK);
    uint64_t total = 0, slowest = 0;
    for (uint32_t i = 0; i < 6; i++) {
        total += plan->stages[i].busy_ns;
        slowest = plan->stages[i].busy_ns > slowest ? plan->stages[i].busy_ns : slowest;
    }
    assert_true (slowest <= total / 6 + total / 50); /* cuts at 128 places: within 2 % of even */
    rk_plan_destroy (&plan);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_random_fleets),       cmocka_unit_test (test_large_fleets),
        cmocka_unit_test (test_same_inputs_same_bytes), cmocka_unit_test (test_forced_layouts),
        cmocka_unit_test (test_main_job_shape),
        cmocka_unit_test (test_does_not_fit), cmocka_unit_test (test_layout_does_not_fit),
        cmocka_unit_test (test_bad_inputs),
        cmocka_unit_test (test_extreme_figures),     cmocka_unit_test (test_deep_model),
    };
    return cmocka_run_group_tests_name ("cluster/planner", tests, NULL, NULL);
}
