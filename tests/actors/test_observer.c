/* SPDX-License-Identifier: MPL-2.0
 * The observer adds up reports right, its live line fits a terminal of 80 columns, its JSON lines are valid
 * and end with the promised one, and nothing it is sent stops it.                                        */
#include "tests/actors/mock_peer.h"

#include <math.h>

#include <jansson.h>

#include "actors/display.h"
#include "actors/observer.h"

#define SECOND INT64_C (1000000000)

static rk_plan_t *s_plan (void)
{
    static const uint32_t counts[] = {1, 2}, cuts[] = {0, 0, 1};
    rk_layer_info_t layers[2] = {{.flat_at = 0}, {.flat_at = 64}};
    rk_model_info_t info = {.n_layers = 2, .layers = layers, .n_flat = 128, .train_samples = 1000, .test_samples = 100,
                            .n_dims = 1, .dims = {4}, .n_classes = 10};
    rk_settings_t settings;
    rk_settings_default (&settings);
    settings.run_passes = 2;
    settings.train_batch = 10;
    settings.average_every = 10;
    rk_plan_t *plan = NULL;
    rk_error_t err = {0};
    if (rk_plan_by_hand (&plan, 1, &info, &settings, 2, counts, cuts, NULL, &err))
        fail_msg ("%s", err.text);
    return plan;
}

static rk_report_t s_report (uint32_t cluster, uint32_t stage, uint64_t samples)
{
    return (rk_report_t){.cluster = cluster, .stage = stage, .minibatches = samples / 10, .samples = samples,
                         .loss_sum = 0.5 * (double) samples, .n_correct = samples / 4, .n_counted = samples, .busy_ns = samples * 1000,
                         .idle_ns = samples * 250, .wall_ns = samples * 1000, .bytes_sent = samples * 8, .staleness_sum = samples,
                         .staleness_max = 3 - stage, .staleness_n = samples, .pid = 100 + cluster, .rss_bytes = 50000000,
                         .skipped = samples / 500};
}

/* ---- figures */
static void test_rates_and_shares (void **state)
{
    (void) state;
    rk_figures_t f = {0};
    rk_plan_t *plan = s_plan ();
    rk_error_t err = {0};
    assert_int_equal (rk_figures_report (&f, &(rk_report_t){0}, 0, &err), RK_ESTALE);
    assert_int_equal (rk_figures_plan (&f, &plan, &err), RK_OK);
    assert_null (plan);
    rk_report_t bad = s_report (1, 2, 10);
    assert_int_equal (rk_figures_report (&f, &bad, 0, &err), RK_EFORMAT);
    int64_t start = 5 * SECOND;
    for (uint64_t t = 1; t <= 40; t++) { /* 10 and 30 samples/s */
        rk_report_t a = s_report (0, 0, 10 * t), b = s_report (1, 0, 30 * t), c = s_report (1, 1, 30 * t);
        a.wall_ns = b.wall_ns = c.wall_ns = t * SECOND;
        a.idle_ns = b.idle_ns = t * SECOND / 2;
        c.idle_ns = 0;
        int64_t now_ns = start + (int64_t) t * SECOND;
        assert_int_equal (rk_figures_report (&f, &a, now_ns, &err), RK_OK);
        assert_int_equal (rk_figures_report (&f, &b, now_ns, &err), RK_OK);
        assert_int_equal (rk_figures_report (&f, &c, now_ns, &err), RK_OK);
        rk_now_t now;
        rk_figures_now (&f, now_ns, &now);
        assert_true (fabs (now.samples_per_s - 40) < 1e-9);
        assert_true (fabs (now.loss - 0.5) < 1e-9);
        assert_true (fabs (now.idle_share - 1.0 / 3) < 1e-9);
        assert_int_equal (now.samples, 40 * t);
        assert_true (fabs (now.eta_s - (2000.0 - 40.0 * (double) t) / 40) < 1e-9);
        assert_int_equal (now.pass, 40 * t < 1000 ? 1 : 2);
        assert_int_equal (now.staleness_max, 3);
        assert_int_equal (now.skipped, 10 * t / 500 + 30 * t / 500); /* a cluster's stages skip the same */
        assert_true (fabs (now.staleness_mean - 1) < 1e-9);
    }
    rk_report_t old = s_report (0, 0, 10); /* overtaken on its way: totals do not fall */
    assert_int_equal (rk_figures_report (&f, &old, start + 41 * SECOND, &err), RK_OK);
    assert_int_equal (rk_figures_samples (&f), 1600);
    assert_false (rk_figures_complete (&f));
    rk_figures_free (&f);
}

static void test_evaluation_is_not_training_time (void **state)
{
    (void) state;
    rk_figures_t f = {0};
    rk_plan_t *plan = s_plan ();
    rk_error_t err = {0};
    assert_int_equal (rk_figures_plan (&f, &plan, &err), RK_OK);
    rk_report_t r = s_report (0, 0, 500);
    r.wall_ns = 10 * SECOND;
    assert_int_equal (rk_figures_report (&f, &r, 20 * SECOND, &err), RK_OK);
    rk_figures_committed (&f, 3, 21 * SECOND); /* not the end of a pass: 100 minibatches are 5 rounds of 20 */
    rk_figures_committed (&f, 4, 25 * SECOND);
    rk_evaluated_t sum = {.round = 5, .loss_sum = 40, .n_correct = 90, .n_counted = 100, .n = 100};
    rk_figures_evaluated (&f, &sum, 28 * SECOND);
    assert_true (fabs (rk_figures_seconds (&f, 30 * SECOND) - 20) < 1e-9);
    assert_true (fabs (rk_figures_training_seconds (&f, 30 * SECOND) - 17) < 1e-9);
    assert_true (fabs (f.test_accuracy - 0.9) < 1e-9 && fabs (f.test_loss - 0.4) < 1e-9);
    rk_figures_free (&f);
}

static void test_live_line_fits (void **state)
{
    (void) state;
    char text[256];
    rk_now_t usual = {.pass = 1, .passes = 2, .samples = 43210, .total_samples = 120000, .loss = 0.412, .accuracy = 0.8512,
                      .has_loss = true, .samples_per_s = 1234.5, .eta_s = 62.2, .idle_share = 0.121, .staleness_mean = 0.52,
                      .bytes_per_s = 3.24e6};
    rk_display_line (&usual, text, 79);
    assert_string_equal (text, "1/2  36% loss 0.412 acc 85.1% 1234/s ETA 01:02 idle 12% stale 0.5 3.2 MB/s");
    rk_now_t busy = usual;
    busy.pass = 10;
    busy.passes = 10;
    busy.samples = 120000;
    busy.samples_per_s = 98765;
    busy.idle_share = 1;
    busy.bytes_per_s = 999.4e6;
    rk_display_line (&busy, text, 200);
    assert_true (strlen (text) <= 79);
    rk_now_t absurd = {.pass = UINT64_MAX, .passes = UINT64_MAX, .loss = NAN, .has_loss = true, .samples_per_s = 1e30,
                       .eta_s = INFINITY, .bytes_per_s = 1e30};
    for (size_t width = 1; width < 80; width++) {
        rk_display_line (&absurd, text, width);
        assert_true (strlen (text) <= width);
    }
}

/* ---- the actor; what it prints is caught in a file */
typedef struct {
    char folder[64], out_path[96];
    int old_stdout;
    mock_peer_t peer;
    rk_actor_t *actor;
} subject_t;

static void s_start (subject_t *s, rk_observer_config_t config)
{
    snprintf (s->folder, sizeof s->folder, "/tmp/rk-observer-XXXXXX");
    assert_non_null (mkdtemp (s->folder));
    snprintf (s->out_path, sizeof s->out_path, "%s/stdout", s->folder);
    fflush (stdout);
    s->old_stdout = dup (STDOUT_FILENO);
    FILE *out = fopen (s->out_path, "w");
    assert_non_null (out);
    dup2 (fileno (out), STDOUT_FILENO);
    fclose (out);
    rk_error_t err = {0};
    mock_open (&s->peer, rk_address (RK_ACTOR_COORDINATOR, 0), 1);
    config.quiet = true;
    if (config.run_dir)
        config.run_dir = s->folder;
    if (rk_observer_new (&s->actor, &config, &err))
        fail_msg ("%s", err.text);
    mock_connect (&s->peer, s->actor);
}

/* Ends the actor and gives stdout back; returns the JSON lines as an array. */
static json_t *s_stop (subject_t *s)
{
    rk_actor_stop (&s->actor);
    fflush (stdout);
    dup2 (s->old_stdout, STDOUT_FILENO);
    close (s->old_stdout);
    mock_close (&s->peer);
    json_t *lines = json_array ();
    char line[4096];
    FILE *out = fopen (s->out_path, "r");
    while (out && fgets (line, sizeof line, out)) {
        json_t *object = json_loads (line, 0, NULL);
        if (!object)
            fail_msg ("not JSON: %s", line);
        json_array_append_new (lines, object);
    }
    fclose (out);
    return lines;
}

static void s_clean (subject_t *s)
{
    zdir_t *dir = zdir_new (s->folder, NULL);
    zdir_remove (dir, true);
    zdir_destroy (&dir);
}

static void s_send_plan (subject_t *s)
{
    rk_plan_t *plan = s_plan ();
    size_t size = rk_plan_encode (plan, NULL, 0);
    uint8_t *bytes = malloc (size);
    rk_plan_encode (plan, bytes, size);
    rk_frame_t frame = {.bytes = bytes, .size = size};
    mock_send (&s->peer, (rk_msg_t){.kind = RK_MSG_PLAN, .plan = {.digest = plan->digest}}, &frame, 1);
    free (bytes);
    rk_plan_destroy (&plan);
}

static void s_send_reports (subject_t *s, uint64_t samples, bool final)
{
    for (int i = 0; i < 3; i++) {
        rk_msg_t msg = {.kind = RK_MSG_REPORT, .report = s_report (i > 0, i == 2, samples)};
        msg.report.final = final;
        mock_send (&s->peer, msg, NULL, 0);
    }
}

static void s_expect_done (rk_actor_t *actor)
{
    char word[32];
    assert_int_equal (mock_said (actor, word), RK_OK);
    assert_string_equal (word, "DONE");
}

static const char *s_event (const json_t *lines, size_t idx)
{
    return json_string_value (json_object_get (json_array_get (lines, idx), "event"));
}

static void s_check_done_line (const json_t *done)
{
    assert_string_equal (json_string_value (json_object_get (done, "event")), "done");
    assert_string_equal (json_string_value (json_object_get (done, "model")), "cnn");
    assert_int_equal (json_integer_value (json_object_get (done, "clusters")), 2);
    assert_int_equal (json_integer_value (json_array_get (json_object_get (done, "stages"), 1)), 2);
    assert_int_equal (json_integer_value (json_object_get (done, "samples")), 2000);
    assert_int_equal (json_integer_value (json_object_get (done, "skipped")), 4);
    assert_true (json_real_value (json_object_get (done, "seconds")) > 0);
    assert_true (json_real_value (json_object_get (done, "samples_per_s")) > 0);
    assert_true (fabs (json_real_value (json_object_get (done, "test_accuracy")) - 0.9) < 1e-9);
    const json_t *idle = json_object_get (done, "idle_share"), *staleness = json_object_get (done, "staleness");
    assert_int_equal (json_array_size (idle), 3);
    assert_true (fabs (json_real_value (json_array_get (idle, 2)) - 0.25) < 1e-9);
    const json_t *last = json_object_get (staleness, "1.1");
    assert_true (fabs (json_real_value (json_array_get (last, 0)) - 1) < 1e-9);
    assert_int_equal (json_integer_value (json_array_get (last, 1)), 2);
    assert_int_equal (json_integer_value (json_object_get (done, "bytes_sent")), 3 * 8 * 1000);
    assert_string_equal (json_string_value (json_object_get (done, "params_digest")), "00000000deadbeef");
}

static void test_json_run (void **state)
{
    (void) state;
    subject_t s = {0};
    s_start (&s, (rk_observer_config_t){.json = true, .run_dir = "yes"});
    s_send_reports (&s, 10, false); /* before the plan: dropped */
    s_send_plan (&s);
    s_send_reports (&s, 500, false);
    mock_send (&s.peer, (rk_msg_t){.kind = RK_MSG_ROUND_COMMITTED, .round_committed = {.round = 4}}, NULL, 0);
    rk_msg_t evaluated = {.kind = RK_MSG_EVALUATED, .evaluated = {.f = 100, .round = 5, .loss_sum = 40, .n_correct = 90, .n_counted = 100, .n = 100}};
    mock_send (&s.peer, evaluated, NULL, 0);
    rk_msg_t saved = {.kind = RK_MSG_SAVED, .saved = {.round = 9, .digest = 0xdeadbeef, .path = "x/checkpoint"}};
    mock_send (&s.peer, saved, NULL, 0);
    mock_send (&s.peer, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.code = 0, .reason = ""}}, NULL, 0);
    s_send_reports (&s, 1000, true); /* overtaken by Stop: waited for */
    s_expect_done (s.actor);
    json_t *lines = s_stop (&s);
    size_t n = json_array_size (lines);
    assert_true (n >= 4);
    assert_string_equal (s_event (lines, 0), "start");
    assert_string_equal (s_event (lines, n - 3), "pass");
    assert_string_equal (s_event (lines, n - 2), "saved");
    s_check_done_line (json_array_get (lines, n - 1));
    json_decref (lines);
    char path[96], text[4096] = "";
    snprintf (path, sizeof path, "%s/metrics.csv", s.folder);
    FILE *file = fopen (path, "r");
    assert_non_null (file);
    assert_true (fread (text, 1, sizeof text - 1, file) > 0);
    fclose (file);
    assert_non_null (strstr (text, "event,seconds,pass,samples,loss"));
    assert_non_null (strstr (text, "\npass,"));
    assert_non_null (strstr (text, ",0.4,0.9,,,,"));
    s_clean (&s);
}

static void test_failed_run (void **state)
{
    (void) state;
    subject_t s = {0};
    s_start (&s, (rk_observer_config_t){.json = true});
    s_send_plan (&s);
    mock_send (&s.peer, (rk_msg_t){.kind = RK_MSG_STOP, .stop = {.code = 1, .reason = "node 2 is gone"}}, NULL, 0);
    s_expect_done (s.actor); /* of its own work: the reason is the run's */
    json_t *lines = s_stop (&s);
    assert_int_equal (json_array_size (lines), 2);
    assert_string_equal (s_event (lines, 1), "failed");
    assert_string_equal (json_string_value (json_object_get (json_array_get (lines, 1), "reason")), "node 2 is gone");
    json_decref (lines);
    s_clean (&s);
}

/* A loss that is not a number is null in JSON, not a broken line. */
static void test_diverged_loss (void **state)
{
    (void) state;
    subject_t s = {0};
    s_start (&s, (rk_observer_config_t){.json = true});
    s_send_plan (&s);
    for (int i = 0; i < 3; i++) {
        rk_msg_t msg = {.kind = RK_MSG_REPORT, .report = s_report (i > 0, i == 2, 1000)};
        msg.report.loss_sum = NAN;
        msg.report.final = true;
        mock_send (&s.peer, msg, NULL, 0);
    }
    rk_msg_t evaluated = {.kind = RK_MSG_EVALUATED, .evaluated = {.loss_sum = NAN, .n_correct = 1, .n_counted = 100, .n = 100}};
    mock_send (&s.peer, evaluated, NULL, 0);
    mock_send (&s.peer, (rk_msg_t){.kind = RK_MSG_STOP}, NULL, 0);
    s_expect_done (s.actor);
    json_t *lines = s_stop (&s);
    const json_t *done = json_array_get (lines, json_array_size (lines) - 1);
    assert_true (json_is_null (json_object_get (done, "test_loss")));
    json_decref (lines);
    s_clean (&s);
}

static void test_follower_passes_on (void **state)
{
    (void) state;
    mock_peer_t leader;
    mock_open (&leader, rk_address (RK_ACTOR_OBSERVER, 0), 1);
    subject_t s = {0};
    s_start (&s, (rk_observer_config_t){.json = true, .leader = leader.endpoint, .node = 3});
    s_send_reports (&s, 70, true);
    for (int i = 0; i < 3; i++)
        assert_int_equal (mock_receive (&leader, RK_MSG_REPORT)->report.samples, 70);
    mock_send (&s.peer, (rk_msg_t){.kind = RK_MSG_STOP}, NULL, 0);
    s_expect_done (s.actor);
    json_t *lines = s_stop (&s);
    assert_int_equal (json_array_size (lines), 0); /* the leader shows, a follower does not */
    json_decref (lines);
    mock_close (&leader);
    s_clean (&s);
}

static void test_no_folder_is_an_error (void **state)
{
    (void) state;
    rk_actor_t *actor = NULL;
    rk_error_t err = {0};
    rk_observer_config_t config = {.run_dir = "/proc/no/such/folder", .quiet = true};
    assert_int_equal (rk_observer_new (&actor, &config, &err), RK_EIO);
    assert_null (actor);
    assert_non_null (strstr (err.text, "metrics.csv"));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_rates_and_shares), cmocka_unit_test (test_evaluation_is_not_training_time),
        cmocka_unit_test (test_live_line_fits),   cmocka_unit_test (test_json_run),
        cmocka_unit_test (test_failed_run),       cmocka_unit_test (test_diverged_loss),
        cmocka_unit_test (test_follower_passes_on), cmocka_unit_test (test_no_folder_is_an_error),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
