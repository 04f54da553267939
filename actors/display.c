/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/display.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SECOND_TICKS (1000 / RK_DISPLAY_TICK_MS)
#define PLAIN_TICKS (5 * SECOND_TICKS) /* without a terminal: a line every 5 s */

rk_err_t rk_display_open (rk_display_t *d, rk_error_t *err)
{
    d->terminal = isatty (STDERR_FILENO) == 1;
    if (!*d->run_dir || d->kind != RK_RUN_TRAIN)
        return RK_OK;
    char path[RK_SETTINGS_TEXT + 32];
    snprintf (path, sizeof path, "%s/metrics.csv", d->run_dir);
    d->csv = fopen (path, "a"); /* a run that goes on has lines already */
    if (!d->csv)
        return rk_error_set (err, RK_EIO, "%s: %s", path, strerror (errno));
    if (ftell (d->csv) > 0)
        return RK_OK;
    fprintf (d->csv, "event,seconds,pass,samples,loss,accuracy,samples_per_s,idle_share,staleness_mean,staleness_max,"
                     "bytes_sent,test_loss,test_accuracy,replica_mean,replica_least,replica_most,skipped\n");
    fflush (d->csv);
    return RK_OK;
}

void rk_display_close (rk_display_t *d)
{
    if (d->line_open)
        fputc ('\n', stderr);
    d->line_open = false;
    if (d->csv)
        fclose (d->csv);
    d->csv = NULL;
}

/* ---- words */
static void s_clock (double seconds, char *text, size_t size)
{
    unsigned s = seconds > 0 && seconds < 359999 ? (unsigned) (seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf (text, size, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf (text, size, "%02u:%02u", s / 60, s % 60);
}

static void s_bytes (double bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    int unit = 0;
    for (; bytes >= 999.5 && unit < 4; unit++)
        bytes /= 1000;
    snprintf (text, size, bytes < 9.95 && unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

void rk_display_line (const rk_now_t *now, char *text, size_t width)
{
    char eta[16], rate[16], loss[32] = "";
    s_clock (now->eta_s, eta, sizeof eta);
    s_bytes (now->bytes_per_s, rate, sizeof rate);
    if (now->has_loss && now->unjudged)
        snprintf (loss, sizeof loss, " loss %.3f", now->loss);
    else if (now->has_loss)
        snprintf (loss, sizeof loss, " loss %.3f acc %.1f%%", now->loss, 100 * now->accuracy);
    double share = now->total_samples ? 100.0 * (double) now->samples / (double) now->total_samples : 0;
    snprintf (text, width + 1, "%" PRIu64 "/%" PRIu64 " %3.0f%%%s %.0f/s ETA %s idle %.0f%% stale %.1f %s/s", now->pass,
              now->passes, share, loss, now->samples_per_s, eta, 100 * now->idle_share, now->staleness_mean, rate);
}

static size_t s_width (void)
{
    struct winsize size;
    if (ioctl (STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
        return size.ws_col < 200 ? (size_t) size.ws_col - 1 : 199;
    return 79;
}

/* One line of its own on stderr, above the live one. */
static void s_say (rk_display_t *d, const char *text)
{
    if (d->quiet)
        return;
    fprintf (stderr, "%s%s\n", d->line_open ? "\r\033[K" : "", text);
    d->line_open = false;
}

static void s_csv (rk_display_t *d, const char *event, const rk_now_t *now, const rk_figures_t *evaluated)
{
    if (!d->csv)
        return;
    fprintf (d->csv, "%s,%.3f,%" PRIu64 ",%" PRIu64 ",", event, now->seconds, now->pass, now->samples);
    if (now->has_loss)
        fprintf (d->csv, "%.6g,%.6g,", now->loss, now->accuracy);
    else
        fprintf (d->csv, ",,");
    fprintf (d->csv, "%.1f,%.4f,%.4f,%" PRIu64 ",%" PRIu64, now->samples_per_s, now->idle_share, now->staleness_mean,
             now->staleness_max, now->bytes_sent);
    if (evaluated)
        fprintf (d->csv, ",%.6g,%.6g", evaluated->test_loss, evaluated->test_accuracy);
    else
        fprintf (d->csv, ",,");
    if (evaluated && evaluated->n_replicas)
        fprintf (d->csv, ",%.6g,%.6g,%.6g", evaluated->replica_mean, evaluated->replica_least, evaluated->replica_most);
    else
        fprintf (d->csv, ",,,");
    fprintf (d->csv, ",%" PRIu64 "\n", now->skipped);
    fflush (d->csv);
}

/* ---- events */
void rk_display_start (rk_display_t *d, const rk_figures_t *f)
{
    const rk_plan_t *plan = f->plan;
    char text[512], stages[128] = "";
    size_t used = 0;
    for (uint32_t c = 0; c < plan->n_clusters && used < sizeof stages; c++)
        used += (size_t) snprintf (stages + used, sizeof stages - used, "%s%u", c ? "+" : "", plan->clusters[c].n_stages);
    static const char *const verbs[] = {"training", "evaluating", "predicting with"};
    snprintf (text, sizeof text, "%s %s on %s, batch %u: %u cluster%s of %s stage%s, %u ring%s", verbs[d->kind],
              plan->settings.model_name, plan->settings.data_name, plan->settings.train_batch, plan->n_clusters,
              plan->n_clusters == 1 ? "" : "s", stages, plan->n_stages == 1 ? "" : "s", plan->n_rings,
              plan->n_rings == 1 ? "" : "s");
    s_say (d, text);
    if (d->json)
        rk_display_json_start (d, f);
}

void rk_display_progress (rk_display_t *d, const rk_figures_t *f, const rk_now_t *now)
{
    if (d->kind != RK_RUN_TRAIN || !f->start_ns || !now->samples)
        return;
    unsigned tick = d->ticks++;
    if (tick % SECOND_TICKS == 0) {
        s_csv (d, "progress", now, NULL);
        if (d->json)
            rk_display_json_progress (now);
    }
    if (d->quiet || (!d->terminal && (d->json || tick % PLAIN_TICKS)))
        return;
    char text[208];
    rk_display_line (now, text, d->terminal ? s_width () : sizeof text - 1);
    if (d->terminal)
        fprintf (stderr, "\r\033[K%s", text);
    else
        fprintf (stderr, "%s\n", text);
    d->line_open = d->terminal;
}

void rk_display_pass (rk_display_t *d, const rk_figures_t *f, const rk_now_t *now)
{
    if (d->kind != RK_RUN_TRAIN)
        return;
    char text[200], replicas[80] = "";
    if (f->n_replicas)
        snprintf (replicas, sizeof replicas, " merged, %.4f (%.4f to %.4f) by %u replicas", f->replica_mean, f->replica_least,
                  f->replica_most, f->n_replicas);
    char accuracy[112] = "";
    if (!f->unjudged)
        snprintf (accuracy, sizeof accuracy, "test accuracy %.4f%s, ", f->test_accuracy, replicas);
    snprintf (text, sizeof text, "pass %" PRIu64 "/%" PRIu64 ": %stest loss %.4f, %.1f s", f->passes, now->passes, accuracy, f->test_loss,
              now->seconds);
    s_say (d, text);
    s_csv (d, "pass", now, f);
    if (d->json)
        rk_display_json_pass (f, now);
}

void rk_display_saved (rk_display_t *d, const rk_saved_t *saved)
{
    d->params_digest = saved->digest;
    d->saved_round = saved->round;
    d->has_digest = true;
    if (d->json && d->kind == RK_RUN_TRAIN)
        rk_display_json_saved (saved);
}

/* People read it in the log. */
void rk_display_replan (rk_display_t *d, const rk_replan_msg_t *replan)
{
    if (d->json && d->kind == RK_RUN_TRAIN)
        rk_display_json_replan (replan);
}

/* "idle 3% 40% | 1%": per stage, clusters apart. */
static void s_per_stage (const rk_figures_t *f, double (*of) (const rk_report_t *), double scale, const char *format, char *text,
                         size_t size)
{
    size_t used = 0;
    *text = 0;
    for (uint32_t c = 0; c < f->plan->n_clusters; c++)
        for (uint32_t s = 0; s < f->plan->clusters[c].n_stages && used + 16 < size; s++) {
            if (c && !s)
                used += (size_t) snprintf (text + used, size - used, " |");
            used += (size_t) snprintf (text + used, size - used, " ");
            used += (size_t) snprintf (text + used, size - used, format,
                                       scale * of (&f->stages[f->plan->clusters[c].first_stage + s]));
        }
}

static void s_done_text (rk_display_t *d, const rk_figures_t *f, int64_t now_ns)
{
    char text[400], idle[160], stale[160], bytes[24];
    double seconds = rk_figures_training_seconds (f, now_ns);
    uint64_t samples = rk_figures_samples (f) - f->samples_resumed, rss;
    uint32_t processes = rk_figures_processes (f, &rss);
    s_bytes ((double) rk_figures_bytes (f), bytes, sizeof bytes);
    s_per_stage (f, rk_figures_idle, 100, "%.0f%%", idle, sizeof idle);
    s_per_stage (f, rk_figures_staleness, 1, "%.1f", stale, sizeof stale);
    snprintf (text, sizeof text, "trained %" PRIu64 " samples in %.1f s: %.0f samples/s, sent %s", samples, seconds,
              seconds > 0 ? (double) samples / seconds : 0, bytes);
    s_say (d, text);
    snprintf (text, sizeof text, "stages: idle%s; staleness%s", idle, stale);
    s_say (d, text);
    const uint64_t skipped = rk_figures_skipped (f);
    if (skipped) {
        snprintf (text, sizeof text, "%" PRIu64 " update%s left out because of numbers that are not finite", skipped,
                  skipped == 1 ? "" : "s");
        s_say (d, text);
    }
    if (f->plan->view > 1) {
        snprintf (text, sizeof text, "%" PRIu64 " views; %" PRIu64 " minibatch%s trained again after losses", f->plan->view, f->redone,
                  f->redone == 1 ? "" : "es");
        s_say (d, text);
    }
    snprintf (text, sizeof text, "%u process%s, at most %" PRIu64 " MB; parameters %016" PRIx64, processes,
              processes == 1 ? "" : "es", rss / 1000000, d->params_digest);
    s_say (d, text);
}

void rk_display_done (rk_display_t *d, const rk_figures_t *f, int64_t now_ns)
{
    if (f->plan && d->kind == RK_RUN_TRAIN)
        s_done_text (d, f, now_ns);
    if (f->plan && d->json)
        rk_display_json_done (d, f, now_ns);
}

void rk_display_failed (rk_display_t *d, const char *reason)
{
    if (d->line_open)
        fputc ('\n', stderr);
    d->line_open = false;
    if (d->json)
        rk_display_json_failed (reason);
}
