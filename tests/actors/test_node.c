/* SPDX-License-Identifier: MPL-2.0
 * Whole runs in one process: real actors, a small model, synthetic data.                                  */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "actors/modelinfo.h"
#include "actors/node.h"
#include "tests/support/files.h"

#define LAYERS 7 /* flatten, fc1, relu1, fc2, relu2, fc3, loss */

typedef struct {
    rk_data_t *data;
    rk_model_t *model;
} fixture_t;

static int s_setup (void **state)
{
    static fixture_t f; /* of the whole group */
    rk_error_t err = {0};
    if (rk_data_open (&f.data, "synthetic", NULL, &err) ||
        rk_model_by_name (&f.model, "mlp-tiny", rk_data_shape (f.data), rk_data_n_classes (f.data), &err)) {
        print_error ("%s\n", err.text);
        return 1;
    }
    *state = &f;
    return 0;
}

static int s_teardown (void **state)
{
    fixture_t *f = *state;
    rk_model_destroy (&f->model);
    rk_data_close (&f->data);
    return 0;
}

static rk_settings_t s_settings (rk_average_mode_t mode)
{
    rk_settings_t s;
    rk_settings_default (&s);
    s.run_passes = 1;
    snprintf (s.model_name, sizeof s.model_name, "mlp-tiny");
    snprintf (s.data_name, sizeof s.data_name, "synthetic");
    s.train_batch = 32;
    s.train_lr = 0.05;
    snprintf (s.train_schedule, sizeof s.train_schedule, "constant");
    s.average_every = 8;
    s.average_mode = mode;
    return s;
}

typedef struct {
    uint32_t n_clusters;
    const uint32_t *counts, *cuts;
} layout_t;

static const uint32_t s_one[] = {1}, s_two_two[] = {2, 2}, s_one_two_three[] = {1, 2, 3};
static const uint32_t s_cut_one[] = {0}, s_cut_two_two[] = {0, 3, 0, 2}, s_cut_one_two_three[] = {0, 0, 3, 0, 2, 5};
static const layout_t s_1 = {1, s_one, s_cut_one}, s_2x2 = {2, s_two_two, s_cut_two_two},
                      s_123 = {3, s_one_two_three, s_cut_one_two_three};

static rk_plan_t *s_plan (const fixture_t *f, const rk_settings_t *s, const layout_t *layout)
{
    rk_model_info_t *info = NULL;
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    if (rk_model_info_new (&info, f->model, s, rk_data_n (f->data, RK_SPLIT_TRAIN),
                           rk_data_n (f->data, RK_SPLIT_TEST), &err) ||
        rk_plan_by_hand (&plan, 1, info, s, layout->n_clusters, layout->counts, layout->cuts, NULL, &err))
        fail_msg ("%s", err.text);
    rk_model_info_destroy (&info);
    return plan;
}

static rk_node_result_t s_run (const fixture_t *f, const rk_settings_t *s, const layout_t *layout)
{
    rk_plan_t *plan = layout ? s_plan (f, s, layout) : NULL;
    rk_node_config_t config = {.settings = *s, .plan = plan, .model = f->model, .data = f->data, .quiet = true};
    rk_node_result_t result;
    rk_error_t err = {0};
    if (rk_node_run (&config, NULL, &result, &err))
        fail_msg ("%s", err.text);
    rk_plan_destroy (&plan);
    return result;
}

static void s_expect_trained (const rk_node_result_t *r, uint32_t n_clusters, uint32_t n_stages)
{
    assert_int_equal (r->n_clusters, n_clusters);
    assert_int_equal (r->n_stages, n_stages);
    assert_int_equal (r->samples, 4096);
    assert_true (r->params_digest != 0);
    if (r->test_accuracy < 0.8)
        fail_msg ("test accuracy %.3f after one pass", r->test_accuracy);
}

static void s_both_modes (void **state, const layout_t *layout, uint32_t n_stages)
{
    for (int mode = RK_AVERAGE_OVERLAPPED; mode <= RK_AVERAGE_DRAINED; mode++) {
        rk_settings_t s = s_settings ((rk_average_mode_t) mode);
        rk_node_result_t r = s_run (*state, &s, layout);
        s_expect_trained (&r, layout->n_clusters, n_stages);
    }
}

static void test_one_stage (void **state)
{
    s_both_modes (state, &s_1, 1);
}

static void test_two_by_two (void **state)
{
    s_both_modes (state, &s_2x2, 4);
}

static void test_one_two_three (void **state)
{
    s_both_modes (state, &s_123, 6);
}

/* Drained: the same plan and seed give the same bits, over any transport. */
static void test_drained_repeats (void **state)
{
    static const char *const transports[] = {"inproc", "ipc", "tcp"};
    uint64_t digest = 0;
    for (int i = 0; i < 3; i++) {
        rk_settings_t s = s_settings (RK_AVERAGE_DRAINED);
        snprintf (s.net_transport, sizeof s.net_transport, "%s", transports[i]);
        rk_node_result_t r = s_run (*state, &s, &s_2x2);
        if (i == 0)
            digest = r.params_digest;
        assert_int_equal (r.params_digest, digest);
    }
    rk_settings_t other = s_settings (RK_AVERAGE_DRAINED);
    other.run_seed = 2;
    assert_int_not_equal (s_run (*state, &other, &s_2x2).params_digest, digest);
}

static void test_interrupt (void **state)
{
    const fixture_t *f = *state;
    rk_settings_t s = s_settings (RK_AVERAGE_OVERLAPPED);
    rk_plan_t *plan = s_plan (f, &s, &s_2x2);
    rk_node_config_t config = {.settings = s, .plan = plan, .model = f->model, .data = f->data, .quiet = true};
    volatile bool interrupted = true;
    rk_error_t err = {0};
    assert_int_equal (rk_node_run (&config, &interrupted, NULL, &err), RK_ECANCELED);
    rk_plan_destroy (&plan);
}

static void test_evaluation_only (void **state)
{
    const fixture_t *f = *state;
    rk_settings_t s = s_settings (RK_AVERAGE_OVERLAPPED);
    rk_plan_t *plan = s_plan (f, &s, &s_123);
    rk_node_config_t config = {
        .settings = s, .plan = plan, .model = f->model, .data = f->data, .quiet = true, .kind = RK_RUN_EVAL};
    rk_node_result_t r;
    rk_error_t err = {0};
    if (rk_node_run (&config, NULL, &r, &err))
        fail_msg ("%s", err.text);
    assert_true (r.test_accuracy < 0.4); /* of untrained parameters */
    assert_true (r.test_loss > 1);
    rk_plan_destroy (&plan);
}

static void test_refuses (void **state)
{
    const fixture_t *f = *state;
    rk_error_t err = {0};
    rk_node_config_t config = {.settings = s_settings (RK_AVERAGE_DRAINED),
                               .model = f->model,
                               .data = f->data,
                               .quiet = true,
                               .insecure = 1,
                               .listen = "tcp://192.0.2.1:5555",
                               .n_processes = 1};
    assert_int_equal (rk_node_run (&config, NULL, NULL, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "--insecure"));
    config.listen = "somewhere";
    assert_int_equal (rk_node_run (&config, NULL, NULL, &err), RK_EINVAL);
    config = (rk_node_config_t){.join = "tcp://192.0.2.1:5555", .insecure = 1, .quiet = true};
    assert_int_equal (rk_node_run (&config, NULL, NULL, &err), RK_EINVAL);
}

/* ---- supervision */
static rk_err_t s_run_failing (const fixture_t *f, const rk_settings_t *s, const layout_t *layout, uint32_t stages, uint32_t reducers,
                               rk_node_result_t *result, rk_error_t *err)
{
    rk_plan_t *plan = s_plan (f, s, layout);
    rk_node_config_t config = {.settings = *s, .plan = plan, .model = f->model, .data = f->data, .quiet = true,
                               .stage_fails = stages, .reducer_fails = reducers};
    rk_err_t rc = rk_node_run (&config, NULL, result, err);
    rk_plan_destroy (&plan);
    return rc;
}

/* Actors that fail are started again from the last committed round: the same bits as if nothing had happened. */
static void test_failed_actors_restart (void **state)
{
    static const layout_t *const layouts[] = {&s_1, &s_2x2};
    for (int l = 0; l < 2; l++) {
        rk_settings_t s = s_settings (RK_AVERAGE_DRAINED);
        s.net_restart_ms = 1;
        const rk_node_result_t quiet = s_run (*state, &s, layouts[l]);
        for (int what = 0; what < 1 + l; what++) {
            rk_node_result_t r;
            rk_error_t err = {0};
            if (s_run_failing (*state, &s, layouts[l], what ? 0 : 2, what ? 2 : 0, &r, &err))
                fail_msg ("%s", err.text);
            assert_int_equal (r.params_digest, quiet.params_digest);
            assert_int_equal (r.samples, quiet.samples);
        }
    }
}

/* What an actor of the plan before says of itself may be heard when the next plan is there: it is no failure of that one. */
static void test_a_late_word (void **state)
{
    rk_settings_t s = s_settings (RK_AVERAGE_DRAINED);
    s.net_restart_ms = 1;
    s.net_restarts = 1;
    const rk_node_result_t quiet = s_run (*state, &s, &s_2x2);
    rk_plan_t *plan = s_plan (*state, &s, &s_2x2);
    const fixture_t *f = *state;
    rk_node_config_t config = {.settings = s, .plan = plan, .model = f->model, .data = f->data, .quiet = true,
                               .reducer_fails = 1, .fails_late = true};
    rk_node_result_t r;
    rk_error_t err = {0};
    if (rk_node_run (&config, NULL, &r, &err))
        fail_msg ("%s", err.text);
    assert_int_equal (r.params_digest, quiet.params_digest);
    rk_plan_destroy (&plan);
}

/* Who only watches ends no run: it is started again, and in the end done without. Three passes; it fails after the first, and
 * the next one may be busy failing when the second is over.                                              */
static void test_observers_end_no_run (void **state)
{
    const fixture_t *f = *state;
    rk_settings_t s = s_settings (RK_AVERAGE_DRAINED);
    s.run_passes = 3;
    s.net_restart_ms = 1;
    const rk_node_result_t quiet = s_run (f, &s, &s_2x2);
    void *folder = NULL;
    assert_int_equal (files_setup (&folder), 0);
    snprintf (s.run_dir, sizeof s.run_dir, "%s", ((const files_t *) folder)->path);
    for (uint32_t most = 0; most < 4; most += 3) {
        s.net_restarts = most;
        rk_plan_t *plan = s_plan (f, &s, &s_2x2);
        const rk_node_config_t config = {.settings = s, .plan = plan, .model = f->model, .data = f->data, .quiet = true, .observer_fails = 2};
        rk_node_result_t r;
        rk_error_t err = {0};
        if (rk_node_run (&config, NULL, &r, &err))
            fail_msg ("%s", err.text);
        assert_int_equal (r.params_digest, quiet.params_digest);
        assert_int_equal (r.samples, quiet.samples);
        rk_plan_destroy (&plan);
    }
    files_teardown (&folder);
}

/* Without its figures there is no plan: it is tried again, and in the end told. */
static void test_profilers_are_tried_again (void **state)
{
    const fixture_t *f = *state;
    rk_settings_t s = s_settings (RK_AVERAGE_DRAINED);
    s.net_restart_ms = 1;
    s.net_restarts = 2;
    rk_node_config_t config = {.settings = s, .model = f->model, .data = f->data, .quiet = true, .profiler_fails = 2};
    rk_node_result_t r;
    rk_error_t err = {0};
    if (rk_node_run (&config, NULL, &r, &err))
        fail_msg ("%s", err.text);
    assert_int_equal (r.samples, 4096);
    config.profiler_fails = 3;
    assert_int_not_equal (rk_node_run (&config, NULL, &r, &err), RK_OK);
    assert_non_null (strstr (err.text, "a profiler fails, as its test wants"));
}

/* Beyond the limit the run ends and says what failed. */
static void test_failing_again_and_again (void **state)
{
    rk_settings_t s = s_settings (RK_AVERAGE_DRAINED);
    s.net_restart_ms = 1;
    s.net_restarts = 2;
    rk_node_result_t r;
    rk_error_t err = {0};
    assert_int_not_equal (s_run_failing (*state, &s, &s_2x2, 3, 0, &r, &err), RK_OK);
    assert_non_null (strstr (err.text, "as its test wants"));
    s.net_restarts = 3;
    err = (rk_error_t){0};
    if (s_run_failing (*state, &s, &s_2x2, 3, 0, &r, &err))
        fail_msg ("%s", err.text);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_one_stage),     cmocka_unit_test (test_two_by_two),
        cmocka_unit_test (test_one_two_three), cmocka_unit_test (test_drained_repeats),
        cmocka_unit_test (test_interrupt),     cmocka_unit_test (test_evaluation_only),
        cmocka_unit_test (test_refuses),
        cmocka_unit_test (test_failed_actors_restart),
        cmocka_unit_test (test_a_late_word),
        cmocka_unit_test (test_observers_end_no_run),
        cmocka_unit_test (test_profilers_are_tried_again),
        cmocka_unit_test (test_failing_again_and_again),
    };
    return cmocka_run_group_tests (tests, s_setup, s_teardown);
}
