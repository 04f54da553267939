/* SPDX-License-Identifier: MPL-2.0
 * The job that runs without arguments: `cnn` on the built-in fleet. Whatever the machine of 2 cores and more, it is planned as
 * two clusters of a strong and a weak node each, because no node holds the model alone.                  */
#include "tests/cluster/fixtures.h"
#include "actors/modelinfo.h"
#include "cluster/plan_parts.h"
#include "compute/model.h"

typedef struct {
    rk_model_info_t info;
    rk_layer_info_t layers[64];
    uint64_t ns[64]; /* forward, at 50 GFLOP/s */
    rk_settings_t settings;
} s_job_t;

static void s_job (s_job_t *job)
{
    rk_model_t *m = NULL;
    rk_error_t err = {0};
    memset (job, 0, sizeof *job);
    rk_settings_default (&job->settings);
    const rk_shape_t sample = {.n_dims = 3, .dim = {1, 28, 28}};
    if (rk_model_by_name (&m, job->settings.model_name, sample, 10, &err) != RK_OK)
        fail_msg ("%s", err.text);
    rk_model_info_t *info = NULL;
    if (rk_model_info_new (&info, m, &job->settings, 60000, 10000, &err) != RK_OK)
        fail_msg ("%s", err.text);
    job->info = *info;
    memcpy (job->layers, info->layers, info->n_layers * sizeof *job->layers);
    job->info.layers = job->layers;
    for (uint32_t l = 0; l < info->n_layers; l++) {
        rk_layer_cost_t cost;
        rk_model_cost (m, (int) l, job->settings.train_batch, &cost);
        job->ns[l] = cost.forward_flops / 50 + 1000;
    }
    rk_model_info_destroy (&info);
    rk_model_destroy (&m);
}

/* The fleet of the settings on a machine of some cores; times off by up to `noise` per cent. */
static void s_fleet (fixture_fleet_t *f, const s_job_t *job, uint32_t cores, uint32_t noise, uint64_t *x)
{
    memset (f, 0, sizeof *f);
    f->fleet = (rk_fleet_t){.nodes = f->nodes, .n_nodes = job->settings.n_fleet};
    for (uint32_t i = 0; i < job->settings.n_fleet; i++) {
        const rk_fleet_node_t *node = &job->settings.fleet[i];
        uint32_t ppm = (uint32_t) (node->speed * 1000000);
        for (uint32_t l = 0; l < job->info.n_layers; l++) {
            f->forward[i][l] = job->ns[l] * 1000000 / ppm * (100 + (noise ? fixture_below (x, noise) : 0)) / 100;
            f->backward[i][l] = 2 * job->ns[l] * 1000000 / ppm * (100 + (noise ? fixture_below (x, noise) : 0)) / 100;
        }
        f->nodes[i] = (rk_profile_t){.id = i, .host = 1, .cores = cores, .speed_ppm = ppm,
                                     .ram_bytes = node->ram_mb << 20, .forward_ns = f->forward[i],
                                     .backward_ns = f->backward[i]};
        memcpy (f->nodes[i].name, node->name, sizeof f->nodes[i].name);
    }
}

static void test_no_node_holds_it_alone (void **state)
{
    (void) state;
    static s_job_t job;
    s_job (&job);
    uint64_t alone = rk_stage_memory (&job.info, &job.settings, 0, job.info.n_layers, 1, false);
    for (uint32_t i = 0; i < job.settings.n_fleet; i++)
        assert_true (alone > job.settings.fleet[i].ram_mb << 20);
}

static void test_planned_as_two_by_two (void **state)
{
    (void) state;
    static s_job_t job;
    static fixture_fleet_t f;
    uint64_t x = 60000;
    s_job (&job);
    for (int i = 0; i < 60; i++) {
        s_fleet (&f, &job, 2u << (i % 6), i < 6 ? 0 : 12, &x);
        rk_plan_t *plan = NULL;
        rk_error_t err = {0};
        if (rk_plan_make (&plan, 1, &f.fleet, &job.info, &job.settings, "base", &err) != RK_OK)
            fail_msg ("%s", err.text);
        assert_int_equal (plan->n_clusters, 2);
        for (uint32_t c = 0; c < 2; c++) {
            assert_int_equal (plan->clusters[c].n_stages, 2);
            uint32_t n_strong = 0;
            for (uint32_t s = 0; s < 2; s++) {
                const rk_plan_stage_t *stage = rk_plan_stage (plan, c, s);
                n_strong += f.nodes[stage->node].speed_ppm == 1000000;
                /* The heavy convolution is with the strong node. */
                if (stage->first <= 2 && 2 < stage->last)
                    assert_int_equal (f.nodes[stage->node].speed_ppm, 1000000);
            }
            assert_int_equal (n_strong, 1);
        }
        rk_plan_destroy (&plan);
    }
}

static void test_too_large_says_what_to_do (void **state)
{
    (void) state;
    static s_job_t job;
    static fixture_fleet_t f;
    s_job (&job);
    s_fleet (&f, &job, 2, 0, NULL);
    for (uint32_t l = 0; l < job.info.n_layers; l++)
        job.layers[l].stash_bytes *= 10;
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    /* Nobody declared the built-in fleet's memory: a larger model gets more. */
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &job.info, &job.settings, "base", &err), RK_OK);
    rk_plan_destroy (&plan);
    f.nodes[0].ram_bytes++; /* another fleet than the built-in one is as declared */
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &job.info, &job.settings, "base", &err), RK_EPLAN);
    assert_non_null (strstr (err.text, "fleet.node"));
    assert_int_equal (rk_settings_set (&job.settings, "fleet.node", "a 1 1", &err), RK_OK);
    assert_int_equal (rk_plan_make (&plan, 1, &f.fleet, &job.info, &job.settings, "base", &err), RK_EPLAN);
    assert_null (strstr (err.text, "fleet.node"));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_no_node_holds_it_alone),
        cmocka_unit_test (test_planned_as_two_by_two),
        cmocka_unit_test (test_too_large_says_what_to_do),
    };
    return cmocka_run_group_tests_name ("cluster/main_job", tests, NULL, NULL);
}
