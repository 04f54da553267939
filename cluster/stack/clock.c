/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/stack/clock.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/traffic.h"
#include "compute/rng.h"

struct rk_clock {
    rk_clock_config_t config;
    rk_clock_span_t *spans;   /* (n) */
    uint64_t *blamed;         /* (n) how often a replica was waited for */
    float *noise;             /* (n) */
    rk_graph_edge_t *edges;   /* (n) one column of W */
    uint32_t *members;        /* (n) one group */
    double *times;            /* (2 n) before and after a hop */
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
        self->members = calloc (config->n, sizeof *self->members);
        self->times = calloc (2 * (size_t) config->n, sizeof *self->times);
    }
    if (!self || !self->spans || !self->blamed || !self->noise || !self->edges || !self->members || !self->times) {
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
    free (self->members);
    free (self->times);
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

static void s_wait (rk_clock_span_t *span, double arrives, uint32_t peer)
{
    if (arrives > span->ready_s) {
        span->ready_s = arrives;
        span->waited_for = peer;
    }
}

/* The members wait for the last of them, then 2 (g - 1) messages of a piece of 1 / g each. awc: what is averaged is
 * there when the step begins.                                                                              */
static void s_all_reduce (rk_clock_t *self, const uint32_t *members, uint32_t g, uint64_t bytes, bool awc)
{
    const rk_clock_config_t *c = &self->config;
    uint32_t last = members[0];
    for (uint32_t m = 1; m < g; m++) {
        const rk_clock_span_t *span = &self->spans[members[m]], *latest = &self->spans[last];
        if (awc ? span->begin_s > latest->begin_s : span->computed_s > latest->computed_s)
            last = members[m];
    }
    const double begin = awc ? self->spans[last].begin_s : self->spans[last].computed_s;
    const double hops = 2.0 * (g - 1), ready = begin + hops * (c->alpha_s + (double) bytes / g * c->byte_s);
    for (uint32_t m = 0; m < g; m++)
        s_wait (&self->spans[members[m]], ready, last);
    self->totals.messages += (uint64_t) hops * g;
    self->totals.bytes += 2 * (uint64_t) (g - 1) * bytes;
}

static void s_rings (rk_clock_t *self, const rk_clock_step_t *step)
{
    const uint32_t n = self->config.n;
    if (!step->graph || rk_graph_is_exact_at (step->graph, &step->at)) {
        for (uint32_t i = 0; i < n; i++)
            self->members[i] = i;
        s_all_reduce (self, self->members, n, step->bytes, false);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t g = rk_graph_group (step->graph, &step->at, i, self->members);
        if (g > 1 && self->members[0] == i)
            s_all_reduce (self, self->members, g, step->bytes, step->awc);
    }
}

/* Hop by hop: the next one is sent when the last one has arrived. */
static void s_windows (rk_clock_t *self, const rk_clock_step_t *step)
{
    const rk_clock_config_t *c = &self->config;
    rk_window_t window;
    if (rk_window_make (&window, c->n, 2 * rk_graph_side (step->graph, &step->at), NULL))
        return;
    double *now = self->times, *next = self->times + c->n;
    for (uint32_t i = 0; i < c->n; i++)
        now[i] = step->awc ? self->spans[i].begin_s : self->spans[i].computed_s;
    for (uint32_t h = 0; h < window.n_hops; h++) {
        if (window.hops[h].op == RK_WINDOW_CLOSE)
            continue;
        for (uint32_t i = 0; i < c->n; i++) {
            const uint32_t peer = (i + window.hops[h].from) % c->n;
            const double arrives = now[peer] + c->alpha_s + (double) step->bytes * c->byte_s;
            next[i] = arrives > now[i] ? arrives : now[i];
            s_wait (&self->spans[i], arrives, peer);
        }
        double *last = now;
        now = next;
        next = last;
    }
    self->totals.messages += (uint64_t) window.n_messages * c->n;
    self->totals.bytes += (uint64_t) window.n_messages * c->n * step->bytes;
}

/* Replica i sends to its hearers in ascending order; each message takes its turn on i's link. */
static void s_exchange (rk_clock_t *self, const rk_clock_step_t *step)
{
    const rk_clock_config_t *c = &self->config;
    for (uint32_t i = 0; i < c->n; i++) {
        const uint32_t n_hearers = rk_graph_column (step->graph, &step->at, i, self->edges);
        const double sent = step->awc ? self->spans[i].begin_s : self->spans[i].computed_s;
        for (uint32_t h = 0; h < n_hearers; h++) {
            const double arrives = sent + c->alpha_s + (h + 1) * (double) step->bytes * c->byte_s;
            s_wait (&self->spans[self->edges[h].peer], arrives, i);
        }
        self->totals.messages += n_hearers;
        self->totals.bytes += n_hearers * step->bytes;
    }
}

/* Graphs whose rows can be formed otherwise than directly are the same for all replicas. */
static rk_way_t s_way (rk_clock_t *self, const rk_clock_step_t *step)
{
    if (!step->graph || rk_graph_is_exact_at (step->graph, &step->at))
        return RK_WAY_RING;
    return rk_traffic_of (step->graph, &step->at, 0, !step->cheapest, self->edges).way;
}

static void (*const s_ways[]) (rk_clock_t *self, const rk_clock_step_t *step) = {
    [RK_WAY_DIRECT] = s_exchange, [RK_WAY_RING] = s_rings, [RK_WAY_WINDOW] = s_windows};

void rk_clock_step (rk_clock_t *self, const rk_clock_step_t *step)
{
    s_compute (self);
    if (step->mixes)
        s_ways[s_way (self, step)](self, step);
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
