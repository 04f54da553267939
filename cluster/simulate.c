/* SPDX-License-Identifier: MPL-2.0 */
#include "cluster/simulate.h"

#include <stdlib.h>
#include <string.h>
#include "cluster/hold.h"
#include "cluster/schedule.h"
#include "cluster/score.h"
#include "compute/rng.h"

#define NEVER UINT64_MAX
#define MOST_MINIBATCHES UINT64_C (1000000000)

typedef enum { S_IDLE = 0, S_FORWARD, S_INPUTS, S_PARAMS } s_act_t; /* a backward sends after its first half */

typedef struct {
    uint32_t cluster, at, host, n_ready[2]; /* forward, backward */
    uint32_t speed_ppm;
    s_act_t act;
    rk_hold_t hold;
    uint64_t cpu_ns, cpu_left, wait_until;  /* wait_until 0: computing */
    uint64_t n_forward, n_backward;         /* of this round, drained */
    uint64_t begun, ended, busy_ns, calls;
} s_stage_t;

typedef struct {
    uint64_t at;
    uint32_t stage, kind;
} s_transit_t;

typedef struct {
    const rk_simulation_t *in;
    s_stage_t *stages;
    s_transit_t *transits;
    uint32_t n_transits;
    uint32_t *active;                /* by host: stages that compute */
    uint64_t *beside;                /* by host: CPU time that its other actors want */
    uint64_t *quota, *taken;         /* by cluster, drained: of this round */
    uint32_t *out;                   /* by cluster: minibatches in flight */
    bool *ahead;                     /* by cluster: one more is made while the window is full */
    uint64_t now, every, n_taken, n_done, averaged, averaging_until;
    bool drained;
} s_world_t;

/* ---- work */
static void s_begin (s_world_t *w, uint32_t i, s_act_t act)
{
    const rk_simulation_t *in = w->in;
    s_stage_t *s = &w->stages[i];
    uint64_t ns = act == S_FORWARD ? in->stages[i].forward_ns : in->stages[i].backward_ns / 2;
    uint32_t words[4];
    rk_rng_block (in->seed, rk_rng_stream (RK_RNG_PLAN, (UINT64_C (1) << 32) + i), s->calls++, words);
    ns += (uint64_t) ((unsigned __int128) ns * words[0] * in->jitter_ppm / 1000000 >> 32);
    if (i == in->straggler && w->now >= in->straggles_from_ns)
        ns += (uint64_t) ((unsigned __int128) ns * in->straggles_ppm / 1000000);
    if (in->plan->stages[i].recompute && act == S_INPUTS)
        ns += in->stages[i].forward_ns;
    s->cpu_ns = s->cpu_left = (uint64_t) ((unsigned __int128) ns * s->speed_ppm / 1000000) + 1;
    s->wait_until = 0;
    rk_hold_idle (&s->hold, (int64_t) (w->now - s->ended));
    s->begun = w->now;
    s->act = act;
    w->beside[s->host] += act == S_FORWARD ? in->plan->stages[i].beside_ns : 0;
    w->active[s->host]++;
}

static void s_send (s_world_t *w, uint32_t stage, uint32_t kind, uint64_t after_ns)
{
    w->transits[w->n_transits++] = (s_transit_t){w->now + after_ns, stage, kind};
}

static void s_end (s_world_t *w, uint32_t i)
{
    const rk_plan_cluster_t *c = &w->in->plan->clusters[w->stages[i].cluster];
    s_stage_t *s = &w->stages[i];
    const s_act_t act = s->act;
    s->busy_ns += w->now - s->begun;
    s->ended = w->now;
    s->act = S_IDLE;
    if (s->hold.pace_ppm)
        rk_hold_end (&s->hold, (int64_t) w->now);
    if (act == S_FORWARD) {
        s->n_forward++;
        if (s->at + 1 == c->n_stages)
            s->n_ready[1]++;
        else
            s_send (w, i + 1, 0, w->in->stages[i].down_ns);
    } else if (act == S_INPUTS) {
        if (s->at > 0)
            s_send (w, i - 1, 1, w->in->stages[i].up_ns);
        s_begin (w, i, S_PARAMS);
    } else {
        s->n_backward++;
        if (s->at == 0) {
            s->n_ready[0] += w->ahead[s->cluster];
            w->out[s->cluster] -= !w->ahead[s->cluster];
            w->ahead[s->cluster] = false;
            w->n_done++;
        }
    }
}

static void s_choose (s_world_t *w, uint32_t i)
{
    s_stage_t *s = &w->stages[i];
    const rk_plan_cluster_t *c = &w->in->plan->clusters[s->cluster];
    rk_act_t act = w->drained ? rk_schedule_drained (s->at, c->n_stages, c->in_flight, w->quota[s->cluster], s->n_forward, s->n_backward)
                              : rk_schedule_overlapped (s->n_ready[0] > 0, s->n_ready[1] > 0);
    if (act == RK_ACT_NONE || s->n_ready[act] == 0)
        return;
    s->n_ready[act]--;
    s_begin (w, i, act == RK_ACT_FORWARD ? S_FORWARD : S_INPUTS);
}

/* ---- leases and rounds */
static uint64_t s_of_pass (const s_world_t *w)
{
    const uint64_t n = w->in->plan->minibatches_per_pass;
    return n ? n : w->in->rounds * w->every * w->in->plan->n_clusters;
}

/* Minibatches until the end of a round, which a pass may cut short. */
static uint64_t s_end_of (const s_world_t *w, uint64_t round)
{
    const uint64_t of_round = w->every * w->in->plan->n_clusters, of_pass = s_of_pass (w);
    const uint64_t rounds = (of_pass + of_round - 1) / of_round, end = (round % rounds + 1) * of_round;
    return round / rounds * of_pass + (end < of_pass ? end : of_pass);
}

/* The next pass begins when all of this one is averaged: it is evaluated then, which is not simulated. */
static uint64_t s_open_until (const s_world_t *w)
{
    const uint64_t of_pass = s_of_pass (w), first = w->averaged ? s_end_of (w, w->averaged - 1) : 0;
    const uint64_t last = w->averaged + 1 < w->in->rounds ? w->averaged + 1 : w->in->rounds - 1;
    const uint64_t end = s_end_of (w, last), pass_end = (first / of_pass + 1) * of_pass;
    return end < pass_end ? end : pass_end;
}

static bool s_may_take (const s_world_t *w, uint32_t cluster)
{
    if (w->ahead[cluster] || w->n_taken >= s_open_until (w))
        return false;
    return !w->drained || (w->averaging_until == 0 && w->taken[cluster] < w->quota[cluster]);
}

static void s_feed (s_world_t *w)
{
    bool fed = true;
    while (fed) {
        fed = false;
        for (uint32_t c = 0; c < w->in->plan->n_clusters; c++)
            if (s_may_take (w, c)) {
                const bool full = w->out[c] >= w->in->plan->clusters[c].in_flight;
                w->stages[w->in->plan->clusters[c].first_stage].n_ready[0] += !full;
                w->out[c] += !full;
                w->ahead[c] = full;
                w->taken[c]++;
                w->n_taken++;
                fed = true;
            }
    }
}

/* Shares by planned rates, what is left over to the first ones. */
static void s_deal (s_world_t *w)
{
    const rk_plan_t *plan = w->in->plan;
    const uint64_t of_round = s_end_of (w, w->averaged) - (w->averaged ? s_end_of (w, w->averaged - 1) : 0);
    unsigned __int128 rates = 0;
    uint64_t dealt = 0;
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        rates += plan->clusters[c].rate;
    for (uint32_t c = 0; c < plan->n_clusters; c++) {
        w->taken[c] = 0;
        w->quota[c] = (uint64_t) ((unsigned __int128) of_round * plan->clusters[c].rate / rates);
        dealt += w->quota[c];
    }
    for (uint32_t c = 0; dealt < of_round; c = (c + 1) % plan->n_clusters, dealt++)
        w->quota[c]++;
    for (uint32_t i = 0; i < plan->n_stages; i++)
        w->stages[i].n_forward = w->stages[i].n_backward = 0;
}

static bool s_round_is_done (const s_world_t *w)
{
    if (w->n_done < s_end_of (w, w->averaged))
        return false;
    for (uint32_t i = 0; w->drained && i < w->in->plan->n_stages; i++)
        if (w->stages[i].act != S_IDLE)
            return false; /* the last parameter gradients */
    return true;
}

static void s_average (s_world_t *w)
{
    if (w->averaging_until > 0 && w->averaging_until <= w->now) {
        w->averaging_until = 0;
        w->averaged++;
        if (w->drained)
            s_deal (w);
    }
    if (w->averaging_until == 0 && w->averaged < w->in->rounds && s_round_is_done (w))
        w->averaging_until = w->now + w->in->plan->averaging_ns + 1;
}

/* ---- time */
/* Stages that compute, and the other actors like one more. */
static uint64_t s_sharing (const s_world_t *w, uint32_t host)
{
    const uint64_t want = w->active[host] + (w->beside[host] > 0), cores = w->in->plan->node_cores[host];
    return want > cores ? want : cores;
}

static uint64_t s_takes (const s_world_t *w, uint32_t host, uint64_t cpu_ns)
{
    const uint64_t cores = w->in->plan->node_cores[host];
    return (cpu_ns * s_sharing (w, host) + cores - 1) / cores;
}

static uint64_t s_next (const s_world_t *w)
{
    uint64_t next = w->averaging_until > 0 ? w->averaging_until : NEVER;
    for (uint32_t i = 0; i < w->n_transits; i++)
        next = w->transits[i].at < next ? w->transits[i].at : next;
    for (uint32_t i = 0; i < w->in->plan->n_stages; i++) {
        const s_stage_t *s = &w->stages[i];
        if (s->act == S_IDLE)
            continue;
        const uint64_t at = s->wait_until ? s->wait_until : w->now + s_takes (w, s->host, s->cpu_left);
        next = at < next ? at : next;
    }
    for (uint32_t h = 0; h < w->in->plan->n_nodes; h++)
        if (w->beside[h] > 0 && w->now + s_takes (w, h, w->beside[h]) < next)
            next = w->now + s_takes (w, h, w->beside[h]);
    return next;
}

/* What of the time until `to` each that computes on a host gets. */
static uint64_t s_gets (const s_world_t *w, uint32_t host, uint64_t to)
{
    return (to - w->now) * w->in->plan->node_cores[host] / s_sharing (w, host);
}

static void s_compute (s_world_t *w, uint64_t to)
{
    for (uint32_t i = 0; i < w->in->plan->n_stages; i++) {
        s_stage_t *s = &w->stages[i];
        if (s->act == S_IDLE || s->wait_until)
            continue;
        const uint64_t done = s_gets (w, s->host, to);
        s->cpu_left -= done < s->cpu_left ? done : s->cpu_left;
    }
    for (uint32_t h = 0; h < w->in->plan->n_nodes; h++)
        if (w->beside[h] > 0) {
            const uint64_t done = s_gets (w, h, to);
            w->beside[h] -= done < w->beside[h] ? done : w->beside[h];
        }
}

static void s_advance (s_world_t *w, uint64_t to)
{
    s_compute (w, to);
    w->now = to;
    for (uint32_t i = 0; i < w->n_transits;)
        if (w->transits[i].at <= to) {
            w->stages[w->transits[i].stage].n_ready[w->transits[i].kind]++;
            w->transits[i] = w->transits[--w->n_transits];
        } else
            i++;
    for (uint32_t i = 0; i < w->in->plan->n_stages; i++) {
        s_stage_t *s = &w->stages[i];
        if (s->act != S_IDLE && !s->wait_until && s->cpu_left == 0) {
            w->active[s->host]--;
            const int64_t until = s->hold.pace_ppm ? rk_hold_begin (&s->hold, (int64_t) s->begun, (int64_t) s->cpu_ns) : 0;
            s->wait_until = until > (int64_t) to ? (uint64_t) until : to;
        }
        if (s->act != S_IDLE && s->wait_until && s->wait_until <= to)
            s_end (w, i);
    }
}

static rk_err_t s_run (s_world_t *w, rk_error_t *err)
{
    while (w->averaged < w->in->rounds) {
        s_average (w);
        s_feed (w);
        for (uint32_t i = 0; i < w->in->plan->n_stages; i++)
            if (w->stages[i].act == S_IDLE)
                s_choose (w, i);
        const uint64_t next = s_next (w);
        if (next == NEVER && w->averaged < w->in->rounds)
            return rk_error_set (err, RK_ESTATE, "after %llu minibatches nothing can happen any more", (unsigned long long) w->n_done);
        s_advance (w, next);
        s_average (w);
    }
    return RK_OK;
}

/* ---- class */
static void s_place (s_world_t *w)
{
    const rk_plan_t *plan = w->in->plan;
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        for (uint32_t s = 0; s < plan->clusters[c].n_stages; s++) {
            s_stage_t *stage = &w->stages[plan->clusters[c].first_stage + s];
            uint32_t n = 0, home = 0;
            while (plan->nodes[n] != rk_plan_stage (plan, c, s)->node)
                n++;
            while (plan->node_hosts[home] != plan->node_hosts[n])
                home++;
            *stage = (s_stage_t){.cluster = c, .at = s, .host = home, .speed_ppm = plan->node_speed_ppm[n],
                                .hold.pace_ppm = rk_hold_pace (plan, plan->nodes[n])};
        }
}

static void s_answer (const s_world_t *w, rk_simulated_t *out)
{
    const rk_plan_t *plan = w->in->plan;
    rk_score_t score;
    rk_plan_score (plan, &score);
    const unsigned __int128 samples = (unsigned __int128) w->n_done * plan->settings.train_batch;
    out->total_ns = w->now;
    out->samples_per_1000s = (uint64_t) (samples * 1000000000000 / w->now);
    out->pass_ns = (uint64_t) ((unsigned __int128) plan->train_samples * 1000000000000 / (out->samples_per_1000s ? out->samples_per_1000s : 1));
    out->averaging_bytes = score.round_bytes * w->averaged;
    out->averaging_ns = plan->averaging_ns * w->averaged;
    for (uint32_t i = 0; i < plan->n_stages; i++)
        out->idle_ppm[i] = (uint32_t) ((w->now - w->stages[i].busy_ns) * UINT64_C (1000000) / w->now);
}

rk_err_t rk_simulate (const rk_simulation_t *in, rk_simulated_t *out, rk_error_t *err)
{
    const rk_plan_t *plan = in->plan;
    *out = (rk_simulated_t){0};
    s_world_t w = {.in = in, .every = rk_score_every (&plan->settings, plan->minibatches_per_pass, plan->n_clusters),
                   .drained = plan->settings.average_mode == RK_AVERAGE_DRAINED};
    if (in->rounds == 0 || in->rounds > MOST_MINIBATCHES / (w.every * plan->n_clusters))
        return rk_error_set (err, RK_EINVAL, "%llu rounds of %llu minibatches cannot be simulated", (unsigned long long) in->rounds,
                             (unsigned long long) (w.every * plan->n_clusters));
    size_t most = 1;
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        most += (size_t) plan->clusters[c].in_flight;
    w.stages = calloc (plan->n_stages, sizeof *w.stages);
    w.transits = calloc (most, sizeof *w.transits);
    w.active = calloc (plan->n_nodes, sizeof *w.active);
    w.beside = calloc (plan->n_nodes, sizeof *w.beside);
    w.quota = calloc (plan->n_clusters, sizeof *w.quota);
    w.taken = calloc (plan->n_clusters, sizeof *w.taken);
    w.out = calloc (plan->n_clusters, sizeof *w.out);
    w.ahead = calloc (plan->n_clusters, sizeof *w.ahead);
    out->idle_ppm = calloc (plan->n_stages, sizeof *out->idle_ppm);
    rk_err_t code = RK_ENOMEM;
    if (w.stages && w.transits && w.active && w.beside && w.quota && w.taken && w.out && w.ahead && out->idle_ppm) {
        s_place (&w);
        s_deal (&w);
        code = s_run (&w, err);
    } else
        rk_error_set (err, code, "no memory to simulate %u stages", plan->n_stages);
    if (code == RK_OK)
        s_answer (&w, out);
    else {
        free (out->idle_ppm);
        out->idle_ppm = NULL;
    }
    free (w.stages);
    free (w.transits);
    free (w.active);
    free (w.beside);
    free (w.quota);
    free (w.taken);
    free (w.out);
    free (w.ahead);
    return code;
}
