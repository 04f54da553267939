/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/figures.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/lease.h"

rk_err_t rk_figures_plan (rk_figures_t *f, rk_plan_t **plan_p, rk_error_t *err)
{
    rk_report_t *stages = calloc ((*plan_p)->n_stages ? (*plan_p)->n_stages : 1, sizeof *stages);
    rk_observed_t *observed = NULL;
    if (!stages || rk_observed_new (&observed, *plan_p)) {
        free (stages);
        return rk_error_set (err, RK_ENOMEM, "no memory for figures of %u stages", (*plan_p)->n_stages);
    }
    f->bytes_before = rk_figures_bytes (f);
    f->skipped_before = rk_figures_skipped (f);
    f->n_moments = 0;
    rk_figures_free (f);
    f->observed = observed;
    f->plan = *plan_p;
    f->rounds = f->plan->first_round; /* a run that goes on */
    f->passes = f->plan->first_f / f->plan->minibatches_per_pass;
    f->samples_before = f->passes * f->plan->train_samples +
                        f->plan->first_f % f->plan->minibatches_per_pass * f->plan->settings.train_batch;
    if (f->plan->view <= 1)
        f->samples_resumed = f->samples_before;
    f->stages = stages;
    *plan_p = NULL;
    return RK_OK;
}

void rk_figures_free (rk_figures_t *f)
{
    rk_plan_destroy (&f->plan);
    rk_observed_destroy (&f->observed);
    free (f->stages);
    f->stages = NULL;
}

rk_err_t rk_figures_report (rk_figures_t *f, const rk_report_t *report, int64_t now_ns, rk_error_t *err)
{
    if (!f->plan)
        return rk_error_set (err, RK_ESTALE, "report of cluster %u before there is a plan", report->cluster);
    if (report->view && report->view != f->plan->view)
        return rk_error_set (err, RK_ESTALE, "report of view %llu, now %llu", (unsigned long long) report->view,
                             (unsigned long long) f->plan->view);
    if (report->cluster >= f->plan->n_clusters || report->stage >= f->plan->clusters[report->cluster].n_stages)
        return rk_error_set (err, RK_EFORMAT, "report of cluster %u stage %u, which is not in the plan", report->cluster,
                             report->stage);
    rk_report_t *own = &f->stages[f->plan->clusters[report->cluster].first_stage + report->stage];
    bool final = own->final || report->final;
    if (report->wall_ns >= own->wall_ns) { /* totals only grow; an older one may arrive late through a relay */
        const rk_observed_totals_t totals = {report->forward_ns, report->n_forward, report->backward_ns, report->n_backward,
                                             report->kernel_wall_ns};
        rk_observed_take (f->observed, (uint32_t) (own - f->stages), &totals);
        *own = *report;
    }
    own->final = final;
    if (!f->start_ns && report->minibatches)
        f->start_ns = now_ns - (int64_t) report->wall_ns;
    return RK_OK;
}

void rk_figures_committed (rk_figures_t *f, uint64_t round, int64_t now_ns)
{
    f->rounds = round + 1;
    if (f->plan && round < rk_round_n (f->plan) && rk_round_ends_pass (f->plan, round))
        f->held_since_ns = now_ns;
}

void rk_figures_evaluated (rk_figures_t *f, const rk_evaluated_t *sum, int64_t now_ns)
{
    if (f->held_since_ns)
        f->held_ns += now_ns - f->held_since_ns;
    f->held_since_ns = 0;
    /* the one before a run goes on may be evaluated again, and whoever was started again has not counted them all */
    const uint64_t passes = f->plan ? sum->f / f->plan->minibatches_per_pass : 0;
    f->passes = passes ? passes : f->passes + 1;
    f->test_n = sum->n;
    f->n_replicas = sum->n_replicas;
    f->replica_mean = sum->replica_mean;
    f->replica_least = sum->replica_least;
    f->replica_most = sum->replica_most;
    f->test_loss = sum->n_counted ? sum->loss_sum / (double) sum->n_counted : 0;
    f->test_accuracy = sum->n_counted ? (double) sum->n_correct / (double) sum->n_counted : 0;
}

bool rk_figures_complete (const rk_figures_t *f)
{
    for (uint32_t s = 0; f->plan && s < f->plan->n_stages; s++)
        if (!f->stages[s].final)
            return false;
    return true;
}

double rk_figures_seconds (const rk_figures_t *f, int64_t now_ns)
{
    return f->start_ns ? (double) ((f->end_ns ? f->end_ns : now_ns) - f->start_ns) / 1e9 : 0;
}

double rk_figures_training_seconds (const rk_figures_t *f, int64_t now_ns)
{
    int64_t held_ns = f->held_ns + (f->held_since_ns ? (f->end_ns ? f->end_ns : now_ns) - f->held_since_ns : 0);
    double seconds = rk_figures_seconds (f, now_ns) - (double) held_ns / 1e9;
    return seconds > 0 ? seconds : 0;
}

/* The last stage of each cluster has seen a sample when it counts. */
static const rk_report_t *s_last_stage (const rk_figures_t *f, uint32_t cluster)
{
    const rk_plan_cluster_t *c = &f->plan->clusters[cluster];
    return &f->stages[c->first_stage + c->n_stages - 1];
}

uint64_t rk_figures_samples (const rk_figures_t *f)
{
    uint64_t samples = f->samples_before;
    for (uint32_t c = 0; f->plan && c < f->plan->n_clusters; c++)
        samples += s_last_stage (f, c)->samples;
    return samples;
}

uint64_t rk_figures_bytes (const rk_figures_t *f)
{
    uint64_t bytes = f->bytes_before;
    for (uint32_t s = 0; f->plan && s < f->plan->n_stages; s++)
        bytes += f->stages[s].bytes_sent;
    return bytes;
}

/* Every stage of a cluster leaves out the same updates. */
uint64_t rk_figures_skipped (const rk_figures_t *f)
{
    uint64_t skipped = f->skipped_before;
    for (uint32_t c = 0; f->plan && c < f->plan->n_clusters; c++)
        skipped += f->stages[f->plan->clusters[c].first_stage].skipped;
    return skipped;
}

double rk_figures_idle (const rk_report_t *report)
{
    double share = report->wall_ns ? (double) report->idle_ns / (double) report->wall_ns : 0;
    return share > 1 ? 1 : share;
}

double rk_figures_staleness (const rk_report_t *report)
{
    return report->staleness_n ? (double) report->staleness_sum / (double) report->staleness_n : 0;
}

uint32_t rk_figures_processes (const rk_figures_t *f, uint64_t *max_rss_bytes)
{
    uint32_t n = 0;
    *max_rss_bytes = 0;
    for (uint32_t s = 0; f->plan && s < f->plan->n_stages; s++) {
        uint32_t earlier = 0;
        while (earlier < s && f->stages[earlier].pid != f->stages[s].pid)
            earlier++;
        n += earlier == s && f->stages[s].pid;
        if (f->stages[s].rss_bytes > *max_rss_bytes)
            *max_rss_bytes = f->stages[s].rss_bytes;
    }
    return n;
}

static rk_moment_t s_moment (const rk_figures_t *f, int64_t now_ns)
{
    rk_moment_t m = {.at_ns = now_ns, .samples = rk_figures_samples (f), .bytes_sent = rk_figures_bytes (f)};
    for (uint32_t c = 0; c < f->plan->n_clusters; c++) {
        m.loss_sum += s_last_stage (f, c)->loss_sum;
        m.n_correct += s_last_stage (f, c)->n_correct;
        m.n_counted += s_last_stage (f, c)->n_counted;
    }
    for (uint32_t s = 0; s < f->plan->n_stages; s++) {
        m.idle_ns += f->stages[s].idle_ns;
        m.wall_ns += f->stages[s].wall_ns;
    }
    return m;
}

/* Differences between now and the start of the window. */
static void s_rates (const rk_moment_t *then, const rk_moment_t *now, rk_now_t *out)
{
    double seconds = (double) (now->at_ns - then->at_ns) / 1e9;
    uint64_t samples = now->samples - then->samples, n_counted = now->n_counted - then->n_counted;
    out->has_loss = n_counted > 0;
    if (n_counted) {
        out->loss = (now->loss_sum - then->loss_sum) / (double) n_counted;
        out->accuracy = (double) (now->n_correct - then->n_correct) / (double) n_counted;
    }
    if (seconds > 0) {
        out->samples_per_s = (double) samples / seconds;
        out->bytes_per_s = (double) (now->bytes_sent - then->bytes_sent) / seconds;
    }
    /* a stage that waits for its first minibatch is idle before its wall time begins */
    if (now->wall_ns > then->wall_ns && now->idle_ns > then->idle_ns)
        out->idle_share = (double) (now->idle_ns - then->idle_ns) / (double) (now->wall_ns - then->wall_ns);
    out->idle_share = out->idle_share > 1 ? 1 : out->idle_share;
}

void rk_figures_now (rk_figures_t *f, int64_t now_ns, rk_now_t *out)
{
    *out = (rk_now_t){0};
    if (!f->plan)
        return;
    rk_moment_t now = s_moment (f, now_ns);
    rk_moment_t first = {.at_ns = f->start_ns ? f->start_ns : now_ns};
    rk_moment_t then = f->n_moments >= RK_FIGURES_WINDOW ? f->window[f->n_moments % RK_FIGURES_WINDOW] : first;
    f->window[f->n_moments++ % RK_FIGURES_WINDOW] = now;
    s_rates (&then, &now, out);
    out->unjudged = f->unjudged;
    uint64_t sum = 0, n = 0;
    for (uint32_t s = 0; s < f->plan->n_stages; s++) {
        sum += f->stages[s].staleness_sum;
        n += f->stages[s].staleness_n;
        if (f->stages[s].staleness_max > out->staleness_max)
            out->staleness_max = f->stages[s].staleness_max;
    }
    out->staleness_mean = n ? (double) sum / (double) n : 0;
    out->seconds = rk_figures_seconds (f, now_ns);
    out->samples = now.samples;
    out->bytes_sent = now.bytes_sent;
    out->skipped = rk_figures_skipped (f);
    out->passes = f->plan->settings.run_passes;
    out->total_samples = f->plan->train_samples * out->passes;
    uint64_t done = f->plan->train_samples ? out->samples / f->plan->train_samples : 0;
    out->pass = done < out->passes ? done + 1 : out->passes;
    if (out->samples_per_s > 0 && out->total_samples > out->samples)
        out->eta_s = (double) (out->total_samples - out->samples) / out->samples_per_s;
}
