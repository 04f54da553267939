/* SPDX-License-Identifier: MPL-2.0
 * What the observer knows: the latest totals of every stage, and the figures of a moment made from them.
 * No sockets, no clock: now_ns is an argument.                                                            */
#ifndef RK_ACTORS_FIGURES_H
#define RK_ACTORS_FIGURES_H
#include "cluster/observed.h"
#include "cluster/plan.h"
#include "messages/wire.h"

#define RK_FIGURES_WINDOW 16 /* moments that a rate looks back over */

/* Totals of a moment, for rates over the window. */
typedef struct {
    int64_t at_ns;
    uint64_t samples, n_correct, n_counted, bytes_sent, idle_ns, wall_ns;
    double loss_sum;
} rk_moment_t;

typedef struct {
    rk_plan_t *plan;      /* ours; NULL until it is known */
    rk_report_t *stages;  /* plan->n_stages, latest totals */
    rk_observed_t *observed; /* what stages take now */
    int64_t start_ns;     /* first report of work */
    int64_t held_since_ns;/* evaluation began; 0: none runs */
    int64_t held_ns;      /* spent in evaluations */
    int64_t end_ns;       /* 0: not ended */
    rk_moment_t window[RK_FIGURES_WINDOW];
    size_t n_moments;     /* ever; the latest is window[(n_moments - 1) % RK_FIGURES_WINDOW] */
    double test_loss, test_accuracy; /* of the last evaluation, test_n samples */
    uint64_t test_n;
    bool unjudged;                   /* accuracies mean nothing */
    uint32_t n_replicas;             /* evaluated on their own, because they differ; 0: none */
    double replica_mean, replica_least, replica_most; /* accuracy */
    uint64_t bytes_before, skipped_before; /* by stages of plans before this one */
    uint64_t redone;         /* minibatches issued again */
    uint64_t passes, rounds; /* evaluated passes; committed rounds */
    uint64_t samples_before; /* trained before this plan began */
    uint64_t samples_resumed; /* of them, by the run that this one resumes */
} rk_figures_t;

/* Figures of now. Rates over the window, shares and staleness since the start. */
typedef struct {
    double seconds, loss, accuracy, samples_per_s, eta_s, idle_share, staleness_mean, bytes_per_s;
    uint64_t pass, passes, samples, total_samples, staleness_max, bytes_sent, skipped;
    bool has_loss;        /* false: no labels counted in the window yet */
    bool unjudged;        /* accuracy means nothing */
} rk_now_t;

/* Takes the plan (owner: ours). errors: RK_ENOMEM. */
rk_err_t rk_figures_plan (rk_figures_t *f, rk_plan_t **plan_p, rk_error_t *err) RK_MUST_CHECK;
void rk_figures_free (rk_figures_t *f);
/* errors: RK_EFORMAT when no such stage is in the plan, RK_ESTALE before the plan. */
rk_err_t rk_figures_report (rk_figures_t *f, const rk_report_t *report, int64_t now_ns, rk_error_t *err) RK_MUST_CHECK;
void rk_figures_committed (rk_figures_t *f, uint64_t round, int64_t now_ns);
void rk_figures_evaluated (rk_figures_t *f, const rk_evaluated_t *sum, int64_t now_ns);
/* Every stage has sent its final report. */
bool rk_figures_complete (const rk_figures_t *f);
/* Records the moment (call it once per tick) and computes. */
void rk_figures_now (rk_figures_t *f, int64_t now_ns, rk_now_t *out);

/* ---- of the whole run */
double rk_figures_seconds (const rk_figures_t *f, int64_t now_ns);          /* since the first minibatch */
double rk_figures_training_seconds (const rk_figures_t *f, int64_t now_ns); /* without evaluations */
uint64_t rk_figures_samples (const rk_figures_t *f);                        /* trained, all clusters */
uint64_t rk_figures_bytes (const rk_figures_t *f);
uint64_t rk_figures_skipped (const rk_figures_t *f);                        /* updates left out, all clusters */
double rk_figures_idle (const rk_report_t *report);                         /* share of its wall time */
double rk_figures_staleness (const rk_report_t *report);                    /* mean */
uint32_t rk_figures_processes (const rk_figures_t *f, uint64_t *max_rss_bytes);

#endif
