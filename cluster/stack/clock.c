/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/stack/clock.h"

#include <stdlib.h>
#include <string.h>

#include "compute/rng.h"

struct rk_clock {
    rk_clock_config_t config;
    rk_clock_span_t *spans;   /* (n) */
    uint64_t *blamed;         /* (n) how often a replica was waited for */
    float *noise;             /* (n) */
    rk_graph_edge_t *edges;   /* (n) one column of W */
    uint64_t t;
    rk_clock_totals_t totals;
};

rk_err_t rk_clock_new (rk_clock_t **clock_p, const rk_clock_config_t *config, rk_error_t *err)
{
    *clock_p = NULL;
    if (config->n == 0 || config->n > RK_GRAPH_MAX_N)
        return rk_error_set (err, RK_EINVAL, "a clock of %u replicas; 1 to %u are possible", config->n, RK_GRAPH_MAX_N);
    rk_clock_t *self = calloc (1, sizeof *self);
    if (self) {
        self->config = *config;
        self->spans = calloc (config->n, sizeof *self->spans);
        self->blamed = calloc (config->n, sizeof *self->blamed);
        self->noise = calloc (config->n, sizeof *self->noise);
        self->edges = calloc (config->n, sizeof *self->edges);
    }
    if (!self || !self->spans || !self->blamed || !self->noise || !self->edges) {
        rk_clock_destroy (&self);
        return rk_error_set (err, RK_ENOMEM, "no memory for a clock of %u replicas", config->n);
    }
    *clock_p = self;
    return RK_OK;
}

void rk_clock_destroy (rk_clock_t **clock_p)
{
    rk_clock_t *self = clock_p ? *clock_p : NULL;
    if (!self)
        return;
    free (self->spans);
    free (self->blamed);
    free (self->noise);
    free (self->edges);
    free (self);
    *clock_p = NULL;
}

static bool s_is_straggler (const rk_clock_config_t *c, uint32_t i)
{
    return (uint64_t) (i + 1) * c->stragglers / c->n > (uint64_t) i * c->stragglers / c->n;
}

static void s_compute (rk_clock_t *self)
{
    const rk_clock_config_t *c = &self->config;
    rk_rng_normal (c->seed, rk_rng_stream (RK_RNG_TIME, self->t), 0, c->n, 1.0f, (float) c->jitter, self->noise);
    for (uint32_t i = 0; i < c->n; i++) {
        const double factor = self->noise[i] > 0 ? (double) self->noise[i] : 0;
        const double takes = c->compute_s * factor * (s_is_straggler (c, i) ? c->slowdown : 1);
        rk_clock_span_t *span = &self->spans[i];
        span->begin_s = span->ready_s;
        span->computed_s = span->begin_s + takes;
        span->ready_s = span->computed_s;
        span->waited_for = i;
        self->totals.compute_s += takes;
    }
}

/* Everybody waits for the last, then 2 (n - 1) messages of a piece of 1 / n each. */
static void s_all_reduce (rk_clock_t *self, uint64_t bytes)
{
    const rk_clock_config_t *c = &self->config;
    uint32_t last = 0;
    for (uint32_t i = 1; i < c->n; i++)
        if (self->spans[i].computed_s > self->spans[last].computed_s)
            last = i;
    const double hops = 2.0 * (c->n - 1), ready = self->spans[last].computed_s + hops * (c->alpha_s + (double) bytes / c->n * c->byte_s);
    for (uint32_t i = 0; i < c->n; i++) {
        self->spans[i].ready_s = ready;
        self->spans[i].waited_for = last;
    }
    self->totals.messages += (uint64_t) hops * c->n;
    self->totals.bytes += 2 * (uint64_t) (c->n - 1) * bytes;
}

/* Replica i sends to its hearers in ascending order; each message takes its turn on i's link. */
static void s_exchange (rk_clock_t *self, const rk_clock_step_t *step)
{
    const rk_clock_config_t *c = &self->config;
    for (uint32_t i = 0; i < c->n; i++) {
        const uint32_t n_hearers = rk_graph_column (step->graph, &step->at, i, self->edges);
        const double sent = step->awc ? self->spans[i].begin_s : self->spans[i].computed_s;
        for (uint32_t h = 0; h < n_hearers; h++) {
            rk_clock_span_t *hearer = &self->spans[self->edges[h].peer];
            const double arrives = sent + c->alpha_s + (h + 1) * (double) step->bytes * c->byte_s;
            if (arrives > hearer->ready_s) {
                hearer->ready_s = arrives;
                hearer->waited_for = i;
            }
        }
        self->totals.messages += n_hearers;
        self->totals.bytes += n_hearers * step->bytes;
    }
}

void rk_clock_step (rk_clock_t *self, const rk_clock_step_t *step)
{
    s_compute (self);
    if (step->mixes && (!step->graph || rk_graph_is_exact (step->graph)))
        s_all_reduce (self, step->bytes);
    else if (step->mixes)
        s_exchange (self, step);
    for (uint32_t i = 0; i < self->config.n; i++) {
        const rk_clock_span_t *span = &self->spans[i];
        self->totals.wait_s += span->ready_s - span->computed_s;
        if (span->waited_for != i)
            self->blamed[span->waited_for]++;
        if (span->ready_s > self->totals.now_s)
            self->totals.now_s = span->ready_s;
    }
    self->t++;
}

rk_clock_span_t rk_clock_span (const rk_clock_t *self, uint32_t i)
{
    return self->spans[i];
}

rk_clock_totals_t rk_clock_totals (const rk_clock_t *self)
{
    rk_clock_totals_t totals = self->totals;
    uint64_t most = 0;
    totals.slowest = self->config.n;
    for (uint32_t i = 0; i < self->config.n; i++)
        if (self->blamed[i] > most) {
            most = self->blamed[i];
            totals.slowest = i;
        }
    return totals;
}
