/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/simulation_parts.h"

#include <math.h>

#include <stdlib.h>
#include <string.h>

#include "cluster/lease.h"
#include "cluster/ring.h"
#include "cluster/schedule.h"
#include "compute/arena.h"
#include "compute/blas.h"
#include "compute/kernels/vec.h"
#include "compute/optim/norm.h"

/* ---- setting up */

static void s_make_rows (stage_t *stage, uint32_t in_flight, size_t batch)
{
    for (uint32_t c = 0; c < in_flight; c++) {
        for (int i = 0; i < stage->n_in; i++) {
            stage->input[c].at[i] = s_floats (batch * stage->in[i].elems);
            stage->gin[c].at[i] = stage->in[i].needs_grad ? s_floats (batch * stage->in[i].elems) : NULL;
        }
        for (int i = 0; i < stage->n_out; i++) {
            stage->output[c].at[i] = stage->out[i].passes_through ? NULL : s_floats (batch * stage->out[i].elems);
            stage->gout[c].at[i] = stage->out[i].needs_grad ? s_floats (batch * stage->out[i].elems) : NULL;
        }
        stage->seen[c] = s_floats (stage->n_flat);
    }
}

static void s_make_stage (sim_t *sim, stage_t *stage, const rk_plan_stage_t *planned, uint32_t in_flight)
{
    rk_error_t err = {RK_OK, ""};
    const rk_settings_t *settings = &sim->plan->settings;
    stage->first = planned->first;
    stage->last = planned->last;
    stage->n_in = rk_model_boundary (sim->model, (int) planned->first, 0, stage->in);
    stage->n_out = rk_model_boundary (sim->model, (int) planned->last, (int) planned->first, stage->out);
    stage->n_flat = planned->flat_hi - planned->flat_lo;
    rk_slice_config_t config = {.model = sim->model, .first = (int) planned->first, .last = (int) planned->last,
                                .batch = settings->train_batch, .n_contexts = (int) in_flight, .seed = settings->run_seed};
    s_ok (rk_slice_new (&stage->slice, &config, &err), &err);
    stage->live = s_floats (stage->n_flat);
    stage->grads = s_floats (stage->n_flat);
    for (int i = 0; i < RK_OPTIM_MAX_SLOTS; i++)
        stage->slots[i] = s_floats (stage->n_flat);
    for (int i = 0; i < MOST_HELD; i++)
        stage->held[i].grads = s_floats (stage->n_flat);
    stage->loss_scale = rk_settings_judged (settings) ? sim->verdicts[0].loss_scale : 1;
    s_make_rows (stage, in_flight, settings->train_batch);
    rk_model_init (sim->model, settings->run_seed, (int) planned->first, (int) planned->last, stage->live);
}

static void s_free_stage (stage_t *stage)
{
    rk_slice_destroy (&stage->slice);
    for (int c = 0; c < MOST_FLIGHT; c++) {
        for (int i = 0; i < RK_MAX_BOUNDARY; i++) {
            free (stage->input[c].at[i]);
            free (stage->output[c].at[i]);
            free (stage->gin[c].at[i]);
            free (stage->gout[c].at[i]);
        }
        free (stage->seen[c]);
    }
    for (int i = 0; i < MOST_HELD; i++)
        free (stage->held[i].grads);
    free (stage->live);
    free (stage->grads);
    for (int i = 0; i < RK_OPTIM_MAX_SLOTS; i++)
        free (stage->slots[i]);
}

/* ---- one minibatch at one stage */

static void s_wire (const sim_t *sim, size_t n, const float *from, float *to)
{
    if (sim->plan->settings.pipeline_wire == RK_WIRE_F32) {
        memcpy (to, from, n * sizeof *to);
        return;
    }
    uint16_t *halves = malloc ((n + 1) * sizeof *halves);
    assert_non_null (halves);
    rk_vec ()->f32_to_f16 (n, from, halves);
    rk_vec ()->f16_to_f32 (n, halves, to);
    free (halves);
}

static int s_source (const stage_t *stage, int out)
{
    for (int i = 0; i < stage->n_in; i++)
        if (stage->in[i].tensor == stage->out[out].tensor)
            return i;
    return -1;
}

static void s_forward (sim_t *sim, stage_t *stage, stage_t *next, const int32_t *labels, uint64_t f, uint32_t ctx)
{
    rk_error_t err = {RK_OK, ""};
    size_t n = rk_minibatch_samples (sim->plan, f);
    rk_loss_t loss;
    memcpy (stage->seen[ctx], stage->live, stage->n_flat * sizeof (float));
    rk_forward_t call = {.ctx = (int) ctx, .mode = RK_MODE_TRAIN, .f = f, .n = n, .flat = stage->seen[ctx], .stats = stage->live,
                         .in = (const float *const *) stage->input[ctx].at, .out = stage->output[ctx].at, .labels = labels,
                         .loss = &loss};
    s_ok (rk_slice_forward (stage->slice, &call, &err), &err);
    for (int i = 0; i < stage->n_out; i++) {
        const float *from = stage->out[i].passes_through ? stage->input[ctx].at[s_source (stage, i)] : stage->output[ctx].at[i];
        s_wire (sim, n * stage->out[i].elems, from, next->input[ctx].at[i]);
    }
    stage->n_forward++;
}

/* ---- updates */

static double s_mean (const sim_t *sim, const held_t *h)
{
    const rk_settings_t *settings = &sim->plan->settings;
    return settings->pipeline_update_every > 1 ? (double) settings->train_batch / (double) h->samples : 1;
}

static void s_settle (sim_t *sim, stage_t *stage)
{
    held_t *h = &stage->held[stage->n_settled++ % MOST_HELD];
    stage->loss_scale = h->verdict.loss_scale;
    if (h->verdict.skip)
        return;
    const rk_optim_update_t update = {
        .model = sim->model, .first = (int) stage->first, .last = (int) stage->last, .lr = rk_lr_at (&sim->training.lr, h->f),
        .t = ++stage->n_steps, .grad_scale = h->verdict.grad_scale, .w_old = stage->live, .w_new = stage->live,
        .grads = h->grads, .slots = stage->slots};
    rk_optim_update (sim->training.optim, &sim->training.config, &update);
    stage->lr_sum += update.lr;
}

/* Stage 0 has this update complete, so every stage has. */
static void s_judge (sim_t *sim, uint32_t cluster, uint64_t step)
{
    const rk_plan_cluster_t *c = &sim->plan->clusters[cluster];
    double *squares = calloc (rk_model_n_tensors (sim->model) + 1, sizeof *squares), sum = 0;
    assert_non_null (squares);
    for (uint32_t s = c->n_stages; s-- > 0;) {
        const stage_t *stage = &sim->stages[c->first_stage + s];
        size_t n = rk_grad_squares (sim->model, (int) stage->first, (int) stage->last, stage->held[step % MOST_HELD].grads, squares);
        sum = rk_add_squares (stage->held[step % MOST_HELD].overflows ? (double) INFINITY : sum, n, squares, NULL);
    }
    free (squares);
    const stage_t *last = &sim->stages[c->first_stage + c->n_stages - 1];
    const held_t *h = &last->held[step % MOST_HELD];
    const rk_verdict_t verdict = rk_verdict_give (&sim->training.verdict, &sim->verdicts[cluster], sum, s_mean (sim, h), h->loss_scale);
    for (uint32_t s = 0; s < c->n_stages; s++)
        sim->stages[c->first_stage + s].held[step % MOST_HELD].verdict = verdict;
}

static void s_close (sim_t *sim, uint32_t cluster, stage_t *stage, uint64_t f)
{
    held_t *h = &stage->held[stage->n_closed % MOST_HELD];
    assert_true (stage->n_closed - stage->n_settled < MOST_HELD);
    memcpy (h->grads, stage->grads, stage->n_flat * sizeof (float));
    memset (stage->grads, 0, stage->n_flat * sizeof (float));
    h->samples = stage->samples;
    h->f = f;
    h->n_backward = stage->n_backward;
    h->loss_scale = stage->begun_at;
    h->overflows = stage->overflows;
    stage->overflows = false;
    h->verdict = (rk_verdict_t) {.grad_scale = (float) s_mean (sim, h), .loss_scale = 1};
    stage->n_accumulated = 0;
    stage->samples = 0;
    stage->n_closed++;
    const bool first = stage == &sim->stages[sim->plan->clusters[cluster].first_stage];
    if (rk_settings_judged (&sim->plan->settings) && first)
        s_judge (sim, cluster, stage->n_closed - 1);
    if (!rk_settings_judged (&sim->plan->settings) || first)
        s_settle (sim, stage);
}

/* A verdict comes down behind a backward of stage 0 and before its next forward, and keeps that place. */
static void s_take_verdicts (sim_t *sim, const rk_plan_cluster_t *c, stage_t *stage)
{
    const uint64_t lead = rk_schedule_staleness (0, c->n_stages, c->in_flight) + 1;
    while (stage->n_settled < stage->n_closed &&
           stage->held[stage->n_settled % MOST_HELD].n_backward + lead - 1 <= stage->n_forward)
        s_settle (sim, stage);
}

static void s_backward (sim_t *sim, uint32_t cluster, stage_t *stage, stage_t *before, uint64_t f, uint32_t ctx)
{
    rk_error_t err = {RK_OK, ""};
    const rk_settings_t *settings = &sim->plan->settings;
    size_t n = rk_minibatch_samples (sim->plan, f);
    if (!stage->n_accumulated)
        stage->begun_at = stage->loss_scale;
    float weight = stage->begun_at;
    if (settings->pipeline_update_every > 1)
        weight = (float) n / (float) settings->train_batch * stage->begun_at;
    rk_slice_scale_loss (stage->slice, (int) ctx, weight);
    s_ok (rk_slice_backward_input (stage->slice, (int) ctx, stage->seen[ctx], (const float *const *) stage->gout[ctx].at,
                                   stage->gin[ctx].at, &err), &err);
    s_ok (rk_slice_backward_params (stage->slice, (int) ctx, stage->seen[ctx], stage->grads, &err), &err);
    rk_slice_release (stage->slice, (int) ctx);
    for (int i = 0; i < stage->n_in && before; i++)
        if (stage->in[i].needs_grad && settings->pipeline_wire == RK_WIRE_F16 && settings->train_loss_scale != 1)
            for (size_t k = 0; k < n * stage->in[i].elems; k++)
                stage->overflows |= fabsf (stage->gin[ctx].at[i][k]) > 65504;
    for (int i = 0; i < stage->n_in && before; i++)
        if (stage->in[i].needs_grad)
            s_wire (sim, n * stage->in[i].elems, stage->gin[ctx].at[i], before->gout[ctx].at[i]);
    stage->n_backward++;
    stage->samples += n;
    if (++stage->n_accumulated >= settings->pipeline_update_every)
        s_close (sim, cluster, stage, f);
}

/* ---- one round of one cluster */

static void s_load (sim_t *sim, uint32_t cluster, stage_t *first, uint64_t f, uint32_t ctx)
{
    const rk_settings_t *settings = &sim->plan->settings;
    uint64_t pass = rk_pass_of (sim->plan, f);
    if (sim->shards[cluster]) {
        rk_shard_batch (sim->shards[cluster], f, first->input[ctx].at[0], sim->labels[cluster][ctx]);
        return;
    }
    rk_data_batch (sim->data, RK_SPLIT_TRAIN, settings->run_seed, pass, f - pass * sim->plan->minibatches_per_pass,
                   settings->train_batch, first->input[ctx].at[0], sim->labels[cluster][ctx]);
}

/* The next action of stage s if its input is there. Its order is the plan's, so the result does not depend on
 * which stage is asked first.                                                                              */
static bool s_act (sim_t *sim, uint32_t cluster, uint32_t s, const uint64_t *dealt, uint64_t n)
{
    const rk_plan_cluster_t *c = &sim->plan->clusters[cluster];
    stage_t *stage = &sim->stages[c->first_stage + s], *before = s ? stage - 1 : NULL, *next = s + 1 < c->n_stages ? stage + 1 : NULL;
    rk_act_t act = rk_schedule_drained (s, c->n_stages, c->in_flight, n, stage->n_forward, stage->n_backward);
    uint32_t ctx = (uint32_t) ((act == RK_ACT_FORWARD ? stage->n_forward : stage->n_backward) % c->in_flight);
    if (act == RK_ACT_FORWARD && (!before || before->n_forward > stage->n_forward)) {
        s_take_verdicts (sim, c, stage);
        if (!before)
            s_load (sim, cluster, stage, dealt[stage->n_forward], ctx);
        s_forward (sim, stage, next, sim->labels[cluster][ctx], dealt[stage->n_forward], ctx);
        return true;
    }
    if (act == RK_ACT_BACKWARD && (!next || next->n_backward > stage->n_backward)) {
        s_backward (sim, cluster, stage, before, dealt[stage->n_backward], ctx);
        return true;
    }
    return false;
}

static void s_round (sim_t *sim, uint32_t cluster, const uint64_t *dealt, uint64_t n)
{
    const rk_plan_cluster_t *c = &sim->plan->clusters[cluster];
    for (uint32_t s = 0; s < c->n_stages; s++)
        sim->stages[c->first_stage + s].n_forward = sim->stages[c->first_stage + s].n_backward = 0;
    bool moved = true;
    while (moved) {
        moved = false;
        for (uint32_t s = 0; s < c->n_stages; s++)
            moved |= s_act (sim, cluster, s, dealt, n);
    }
    for (uint32_t s = c->n_stages; s-- > 0;) { /* stage 0 last: it decides */
        stage_t *stage = &sim->stages[c->first_stage + s];
        assert_int_equal (stage->n_backward, n);
        if (stage->n_accumulated)
            s_close (sim, cluster, stage, dealt[n - 1]);
    }
    for (uint32_t s = 0; s < c->n_stages; s++)
        while (sim->stages[c->first_stage + s].n_settled < sim->stages[c->first_stage + s].n_closed)
            s_settle (sim, &sim->stages[c->first_stage + s]);
}

/* ---- the mean */

/* Where the float `at` of a plane (0: parameters, then optimiser state) lies in cluster c. */
static float *s_at (sim_t *sim, uint32_t plane, uint32_t cluster, uint32_t segment, uint64_t at)
{
    uint32_t owner = sim->plan->owners[sim->plan->segments[segment].first_owner + cluster];
    stage_t *stage = &sim->stages[owner];
    return (plane ? stage->slots[plane - 1] : stage->live) + at - sim->plan->stages[owner].flat_lo;
}

static void s_average_piece (sim_t *sim, uint32_t plane, uint32_t segment, uint32_t piece)
{
    uint32_t n = sim->plan->n_clusters, first = 0;
    const bool equal = rk_settings_weights (&sim->plan->settings) == RK_WEIGHTS_EQUAL;
    while (rk_ring_step (first, n, 0).send_piece != piece)
        first++;
    uint64_t lo, hi, total = 0;
    rk_plan_piece (sim->plan, segment, piece, &lo, &hi);
    for (uint32_t c = 0; c < n; c++)
        total += equal ? 1 : sim->samples[c];
    for (uint64_t at = lo; at < hi; at++) {
        float sum = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t c = (first + i) % n;
            float x = (float) (equal ? 1 : sim->samples[c]) * *s_at (sim, plane, c, segment, at);
            sum = i ? sum + x : x;
        }
        for (uint32_t c = 0; c < n && !(plane == 0 && sim->local[at]); c++)
            *s_at (sim, plane, c, segment, at) = sum / (float) total;
    }
}

static void s_average_exactly (sim_t *sim)
{
    uint32_t n_planes = 1 + (sim->plan->settings.average_optimizer_state ? (uint32_t) sim->training.optim->n_slots : 0);
    for (uint32_t plane = 0; plane < n_planes && sim->plan->n_clusters > 1; plane++)
        for (uint32_t s = 0; s < sim->plan->n_segments; s++)
            for (uint32_t p = 0; p < sim->plan->n_clusters; p++)
                s_average_piece (sim, plane, s, p);
}

static void s_average (sim_t *sim, uint64_t round)
{
    rk_exchange_t exchange = rk_exchange_at (sim->plan, sim->graph, round, 0);
    if (exchange.mix)
        sim_mix (sim, &exchange);
    else
        s_average_exactly (sim);
    for (uint32_t s = 0; s < sim->plan->n_stages; s++)
        sim->stages[s].lr_sum = 0;
}

static void s_mark_local (sim_t *sim)
{
    sim->local = calloc (sim->plan->n_flat + 1, sizeof *sim->local);
    assert_non_null (sim->local);
    for (size_t i = 0; i < rk_model_n_tensors (sim->model) && rk_settings_bn (&sim->plan->settings) == RK_BN_RECALIBRATE; i++) {
        const rk_param_t *param = rk_model_param (sim->model, i);
        for (size_t k = 0; k < param->count && !param->trainable; k++)
            sim->local[param->offset + k] = true;
    }
}

/* A float of cluster 0. */
static const float *s_local_at (const sim_t *sim, uint64_t at)
{
    uint32_t s = 0;
    while (at >= sim->plan->stages[s].flat_hi)
        s++;
    return &sim->stages[s].live[at - sim->plan->stages[s].flat_lo];
}

/* ---- all of it */

static void s_train (sim_t *sim)
{
    const rk_plan_t *plan = sim->plan;
    for (uint64_t r = 0; r < rk_round_n (plan); r++) {
        uint64_t first, end;
        rk_round_range (plan, r, &first, &end);
        uint32_t *clusters = malloc ((end - first) * sizeof *clusters);
        uint64_t *dealt = malloc ((end - first) * sizeof *dealt);
        assert_true (clusters && dealt);
        rk_deal_round (plan, r, clusters);
        for (uint32_t c = 0; c < plan->n_clusters; c++) {
            uint64_t n = 0;
            sim->samples[c] = 0;
            for (uint64_t f = first; f < end; f++)
                if (clusters[f - first] == c) {
                    dealt[n++] = f;
                    sim->samples[c] += rk_minibatch_samples (plan, f);
                }
            s_round (sim, c, dealt, n);
        }
        s_average (sim, r);
        free (clusters);
        free (dealt);
    }
}

float *rk_expected_model (const rk_plan_t *plan, const rk_model_t *model, const rk_data_t *data)
{
    rk_error_t err = {RK_OK, ""};
    s_ok (rk_blas_init ("auto", &err), &err);
    sim_t *sim = calloc (1, sizeof *sim);
    assert_non_null (sim);
    *sim = (sim_t){.plan = plan, .model = model, .data = data};
    s_ok (rk_training_of (plan, &sim->training, &err), &err);
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        rk_verdict_start (&sim->training.verdict, &sim->verdicts[c]);
    sim->stages = calloc (plan->n_stages, sizeof *sim->stages);
    assert_non_null (sim->stages);
    for (uint32_t c = 0; c < plan->n_clusters; c++) {
        assert_true (plan->clusters[c].in_flight <= MOST_FLIGHT);
        for (uint32_t s = 0; s < plan->clusters[c].n_stages; s++)
            s_make_stage (sim, &sim->stages[plan->clusters[c].first_stage + s], rk_plan_stage (plan, c, s),
                          plan->clusters[c].in_flight);
        for (uint32_t i = 0; i < MOST_FLIGHT; i++)
            sim->labels[c][i] = (int32_t *) (void *) s_floats (plan->settings.train_batch * rk_model_n_labels (model));
    }
    s_mark_local (sim);
    sim_open_mixing (sim);
    s_train (sim);
    float *mean = s_floats (plan->n_flat);
    for (uint32_t s = 0; s < plan->clusters[0].n_stages; s++)
        memcpy (mean + plan->stages[s].flat_lo, sim->merged ? sim->merged + plan->stages[s].flat_lo : sim->stages[s].live,
                sim->stages[s].n_flat * sizeof *mean);
    for (uint64_t at = 0; at < plan->n_flat && sim->merged; at++)
        if (sim->local[at])
            mean[at] = *s_local_at (sim, at);
    sim_close_mixing (sim);
    for (uint32_t i = 0; i < plan->n_stages; i++)
        s_free_stage (&sim->stages[i]);
    for (uint32_t c = 0; c < plan->n_clusters; c++)
        for (int i = 0; i < MOST_FLIGHT; i++)
            free (sim->labels[c][i]);
    free (sim->local);
    free (sim->stages);
    free (sim);
    return mean;
}
