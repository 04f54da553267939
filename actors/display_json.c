/* SPDX-License-Identifier: MPL-2.0
 * JSON lines of a run, and nothing else, on stdout.                                                       */
#include <inttypes.h>
#include <math.h>

#include <jansson.h>

#include "actors/display.h"

/* JSON has no NaN: a loss that is none becomes null. Rounded so that lines stay short. */
static json_t *s_real (double x, double per_unit)
{
    return isfinite (x) ? json_real (round (x * per_unit) / per_unit) : json_null ();
}

static json_t *s_hex (uint64_t x)
{
    char text[20];
    snprintf (text, sizeof text, "%016" PRIx64, x);
    return json_string (text);
}

static void s_put (json_t *object)
{
    char *text = object ? json_dumps (object, JSON_COMPACT | JSON_REAL_PRECISION (10)) : NULL;
    if (text) {
        printf ("%s\n", text);
        fflush (stdout);
    }
    free (text);
    json_decref (object);
}

static json_t *s_stages (const rk_plan_t *plan)
{
    json_t *list = json_array ();
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        json_array_append_new (list, json_integer (plan->clusters[c].n_stages));
    return list;
}

static json_t *s_total (const rk_figures_t *f)
{
    return json_integer ((json_int_t) (f->plan->train_samples * f->plan->settings.run_passes));
}

void rk_display_json_start (const rk_display_t *d, const rk_figures_t *f)
{
    static const char *const kinds[] = {"train", "eval", "predict"};
    const rk_plan_t *plan = f->plan;
    s_put (json_pack ("{s:s,s:s,s:s,s:s,s:i,s:o,s:i,s:i,s:i,s:I,s:o,s:s,s:o,s:s}", "event", "start", "kind", kinds[d->kind],
                      "model", plan->settings.model_name, "data", plan->settings.data_name, "clusters",
                      (int) plan->n_clusters, "stages", s_stages (plan), "nodes", (int) plan->n_nodes, "rings",
                      (int) plan->n_rings, "batch", (int) plan->settings.train_batch, "passes",
                      (json_int_t) plan->settings.run_passes, "total_samples", s_total (f), "kernels", plan->kernels,
                      "plan_digest", s_hex (plan->digest), "run_dir", d->run_dir));
}

void rk_display_json_progress (const rk_now_t *now)
{
    s_put (json_pack ("{s:s,s:o,s:I,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:o,s:I,s:I}", "event", "progress", "seconds",
                      s_real (now->seconds, 1e3), "pass", (json_int_t) now->pass, "samples", (json_int_t) now->samples,
                      "total_samples", (json_int_t) now->total_samples, "loss",
                      now->has_loss ? s_real (now->loss, 1e6) : json_null (), "accuracy",
                      now->has_loss && !now->unjudged ? s_real (now->accuracy, 1e6) : json_null (), "samples_per_s",
                      s_real (now->samples_per_s, 10), "eta_s", s_real (now->eta_s, 10), "idle_share",
                      s_real (now->idle_share, 1e4), "staleness_mean", s_real (now->staleness_mean, 1e4), "staleness_max",
                      (json_int_t) now->staleness_max, "bytes_per_s", s_real (now->bytes_per_s, 1), "bytes_sent",
                      (json_int_t) now->bytes_sent, "skipped", (json_int_t) now->skipped));
}

static json_t *s_accuracy (const rk_figures_t *f)
{
    return f->test_n && !f->unjudged ? s_real (f->test_accuracy, 1e6) : json_null ();
}

/* Of replicas that differ: each was evaluated on its own. */
static void s_add_replicas (json_t *object, const rk_figures_t *f)
{
    if (!object || !f->n_replicas || f->unjudged)
        return;
    json_object_set_new (object, "replicas", json_pack ("{s:i,s:o,s:o,s:o}", "n", (int) f->n_replicas, "accuracy_mean",
                                                        s_real (f->replica_mean, 1e6), "accuracy_least",
                                                        s_real (f->replica_least, 1e6), "accuracy_most",
                                                        s_real (f->replica_most, 1e6)));
}

/* What every stage takes now, and what the plan says, in microseconds per minibatch. */
static void s_add_observed (json_t *object, const rk_figures_t *f)
{
    json_t *observed = json_array (), *planned = json_array ();
    for (uint32_t s = 0; s < f->plan->n_stages; s++) {
        uint64_t forward, backward;
        const bool known = rk_observed_stage (f->observed, s, &forward, &backward);
        json_array_append_new (observed, known ? s_real ((double) (forward + backward) / 1e3, 10) : json_null ());
        json_array_append_new (planned, s_real ((double) f->plan->stages[s].busy_ns / 1e3, 10));
    }
    json_object_set_new (object, "stage_us", observed);
    json_object_set_new (object, "planned_us", planned);
}

void rk_display_json_pass (const rk_figures_t *f, const rk_now_t *now)
{
    json_t *pass = json_pack ("{s:s,s:I,s:o,s:I,s:I,s:o,s:o}", "event", "pass", "pass", (json_int_t) f->passes, "seconds",
                      s_real (now->seconds, 1e3), "samples", (json_int_t) now->samples, "rounds", (json_int_t) f->rounds,
                      "test_accuracy", s_accuracy (f), "test_loss", s_real (f->test_loss, 1e6));
    s_add_replicas (pass, f);
    if (pass && f->plan && f->observed)
        s_add_observed (pass, f);
    s_put (pass);
}

void rk_display_json_replan (const rk_replan_msg_t *r)
{
    static const char *const verdicts[] = {"stays", "early", "unpaid", "changes"};
    s_put (json_pack ("{s:s,s:s,s:I,s:o,s:o,s:o,s:I,s:o,s:o,s:s}", "event", "replan", "verdict", r->verdict < 4 ? verdicts[r->verdict] : "?",
                      "round", (json_int_t) r->round, "samples_per_s", s_real ((double) r->running_score / 1e6, 10),
                      "best_samples_per_s", s_real ((double) r->new_score / 1e6, 10), "gain", s_real ((double) r->gain_ppm / 1e6, 1e4),
                      "move_bytes", (json_int_t) r->move_bytes, "move_seconds", s_real ((double) r->move_ns / 1e9, 1e3),
                      "saved_seconds", s_real ((double) r->saved_ns / 1e9, 1e3), "text", r->text ? r->text : ""));
}

void rk_display_json_saved (const rk_saved_t *saved)
{
    s_put (json_pack ("{s:s,s:I,s:s,s:o}", "event", "saved", "round", (json_int_t) saved->round, "path",
                      saved->path ? saved->path : "", "params_digest", s_hex (saved->digest)));
}

/* Figures per stage, cluster after cluster. */
static void s_add_stages (json_t *done, const rk_figures_t *f)
{
    json_t *idle = json_array (), *busy = json_array (), *dispatch = json_array (), *staleness = json_object ();
    const rk_plan_t *plan = f->plan;
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        for (uint32_t s = 0; s < plan->clusters[c].n_stages; s++) {
            const rk_report_t *r = &f->stages[plan->clusters[c].first_stage + s];
            char key[24];
            snprintf (key, sizeof key, "%u.%u", c, s);
            double n = r->minibatches ? (double) r->minibatches : 1;
            json_array_append_new (idle, s_real (rk_figures_idle (r), 1e4));
            json_array_append_new (busy, s_real ((double) r->busy_ns / n / 1e3, 10));
            json_array_append_new (dispatch, s_real ((double) r->dispatch_ns / n / 1e3, 10));
            json_object_set_new (staleness, key,
                                 json_pack ("[o,I]", s_real (rk_figures_staleness (r), 1e4), (json_int_t) r->staleness_max));
        }
    json_object_set_new (done, "idle_share", idle);
    json_object_set_new (done, "staleness", staleness);
    json_object_set_new (done, "busy_us", busy);
    json_object_set_new (done, "dispatch_us", dispatch);
}

static void s_add_totals (json_t *done, const rk_display_t *d, const rk_figures_t *f)
{
    uint64_t rss, dropped = 0;
    uint32_t processes = rk_figures_processes (f, &rss);
    for (uint32_t s = 0; s < f->plan->n_stages; s++)
        dropped += f->stages[s].dropped;
    json_object_set_new (done, "bytes_sent", json_integer ((json_int_t) rk_figures_bytes (f)));
    json_object_set_new (done, "params_digest", d->has_digest ? s_hex (d->params_digest) : json_null ());
    json_object_set_new (done, "plan_digest", s_hex (f->plan->digest));
    json_object_set_new (done, "passes", json_integer ((json_int_t) f->passes));
    json_object_set_new (done, "rounds", json_integer ((json_int_t) f->rounds));
    json_object_set_new (done, "processes", json_integer (processes));
    json_object_set_new (done, "rss_mb", s_real ((double) rss / 1e6, 10));
    json_object_set_new (done, "skipped", json_integer ((json_int_t) rk_figures_skipped (f)));
    json_object_set_new (done, "views", json_integer ((json_int_t) f->plan->view));
    json_object_set_new (done, "redone", json_integer ((json_int_t) f->redone));
    json_object_set_new (done, "dropped", json_integer ((json_int_t) dropped));
    json_object_set_new (done, "run_dir", json_string (d->run_dir));
}

void rk_display_json_done (const rk_display_t *d, const rk_figures_t *f, int64_t now_ns)
{
    bool train = d->kind == RK_RUN_TRAIN;
    uint64_t samples = train ? rk_figures_samples (f) - f->samples_resumed : f->test_n;
    double seconds = rk_figures_seconds (f, now_ns), training = rk_figures_training_seconds (f, now_ns);
    json_t *done = json_pack ("{s:s,s:s,s:i,s:o,s:I,s:o}", "event", "done", "model", f->plan->settings.model_name, "clusters",
                              (int) f->plan->n_clusters, "stages", s_stages (f->plan), "samples", (json_int_t) samples,
                              "seconds", s_real (seconds, 1e3));
    if (!done)
        return;
    if (train) {
        json_object_set_new (done, "training_seconds", s_real (training, 1e3));
        json_object_set_new (done, "samples_per_s", s_real (training > 0 ? (double) samples / training : 0, 10));
    }
    json_object_set_new (done, "test_accuracy", s_accuracy (f));
    json_object_set_new (done, "test_loss", f->test_n ? s_real (f->test_loss, 1e6) : json_null ());
    s_add_replicas (done, f);
    if (train) {
        s_add_stages (done, f);
        s_add_totals (done, d, f);
    }
    s_put (done);
}

void rk_display_json_failed (const char *reason)
{
    s_put (json_pack ("{s:s,s:s}", "event", "failed", "reason", reason ? reason : ""));
}
