/* SPDX-License-Identifier: MPL-2.0
 * From plan and model to a stage ready to run: identity, cuts, buffers, first parameters. Everything a
 * minibatch needs is allocated here.                                                                      */
#include "actors/stage_parts.h"

#include "compute/arena.h"
#include "compute/blas.h"

#include <sys/prctl.h>

#define FLOATS_PER_LINE 16
#define SPARE_VERSIONS 14 /* live, mean, merged, snapshot, one being written, kept ones, and lent ones on their way back */

/* ---- identity */

static uint32_t s_neighbour (const rk_stage_t *self, uint32_t stage)
{
    return rk_address (RK_ACTOR_STAGE, rk_plan_stage (self->plan, self->cluster, stage)->node);
}

static rk_err_t s_identify (rk_stage_t *self, const rk_stage_config_t *config, rk_error_t *err)
{
    self->index = rk_plan_stage_of_node (self->plan, config->node, &self->cluster, &self->stage);
    if (self->index == RK_NO_NODE)
        return rk_error_set (err, RK_EPLAN, "node %u holds no stage in this plan", config->node);
    const rk_plan_cluster_t *cluster = &self->plan->clusters[self->cluster];
    const rk_plan_stage_t *stage = &self->plan->stages[self->index];
    const rk_settings_t *settings = &self->plan->settings;
    if ((int) self->plan->n_layers != rk_model_n_layers (self->model))
        return rk_error_set (err, RK_EPLAN, "the plan has %u layers, model %s has %d", self->plan->n_layers,
                             rk_model_name (self->model), rk_model_n_layers (self->model));
    self->layer_first = (int) stage->first;
    self->layer_last = (int) stage->last;
    if (stage->flat_lo != rk_model_flat_at (self->model, self->layer_first) ||
        stage->flat_hi != rk_model_flat_at (self->model, self->layer_last))
        return rk_error_set (err, RK_EPLAN, "the plan gives node %u floats %llu to %llu, the model %zu to %zu", config->node,
                             (unsigned long long) stage->flat_lo, (unsigned long long) stage->flat_hi,
                             rk_model_flat_at (self->model, self->layer_first), rk_model_flat_at (self->model, self->layer_last));
    self->n_flat = stage->flat_hi - stage->flat_lo;
    self->n_tied = rk_model_n_tied (self->model, self->layer_first, self->layer_last);
    self->n_stages = cluster->n_stages;
    self->in_flight = cluster->in_flight ? cluster->in_flight : 1;
    self->first = self->stage == 0;
    self->last = self->stage + 1 == self->n_stages;
    self->drained = settings->average_mode == RK_AVERAGE_DRAINED;
    self->f16 = settings->pipeline_wire == RK_WIRE_F16;
    self->upstream = self->first ? rk_address (RK_ACTOR_FEEDER, config->node) : s_neighbour (self, self->stage - 1);
    self->downstream = self->last ? 0 : s_neighbour (self, self->stage + 1);
    self->reducer = self->plan->n_clusters > 1 ? rk_address (RK_ACTOR_REDUCER, config->node) : 0;
    self->hold.pace_ppm = rk_hold_pace (self->plan, config->node);
    if (self->hold.pace_ppm) /* it waits after every kernel: the kernel may be 50 us late for others */
        prctl (PR_SET_TIMERSLACK, 1UL);
    return RK_OK;
}

/* ---- cuts */

static void s_describe_cut (rk_cut_t *cut, const rk_model_t *model, int layer, int from, size_t batch)
{
    cut->n = rk_model_boundary (model, layer, from, cut->tensor);
    cut->elems = 0;
    cut->n_grads = 0;
    for (int i = 0; i < cut->n; i++) {
        cut->source[i] = -1;
        cut->at[i] = cut->elems;
        cut->elems += (batch * cut->tensor[i].elems + FLOATS_PER_LINE - 1) / FLOATS_PER_LINE * FLOATS_PER_LINE;
        cut->n_grads += cut->tensor[i].needs_grad;
    }
}

static void s_find_sources (const rk_cut_t *in, rk_cut_t *out)
{
    for (int i = 0; i < out->n; i++)
        for (int j = 0; j < in->n && out->tensor[i].passes_through; j++)
            if (in->tensor[j].tensor == out->tensor[i].tensor)
                out->source[i] = j;
}

size_t rk_stage_max_frame (const rk_plan_t *plan, const rk_model_t *model, uint32_t node)
{
    uint32_t cluster, stage;
    uint32_t index = rk_plan_stage_of_node (plan, node, &cluster, &stage);
    if (index == RK_NO_NODE || (int) plan->n_layers != rk_model_n_layers (model))
        return 0; /* open says what is wrong */
    size_t most = (plan->stages[index].flat_hi - plan->stages[index].flat_lo) * sizeof (float);
    rk_cut_t cut;
    for (int end = 0; end < 2; end++) {
        s_describe_cut (&cut, model, (int) (end ? plan->stages[index].last : plan->stages[index].first), 0,
                        plan->settings.train_batch);
        if (cut.elems * sizeof (float) > most)
            most = cut.elems * sizeof (float);
    }
    const size_t labels = plan->settings.train_batch * rk_model_n_labels (model) * RK_LABEL_BYTES;
    if (labels > most)
        most = labels;
    const rk_tie_t *tie = rk_model_tie (model);
    if (tie && tie->count * sizeof (float) > most)
        most = tie->count * sizeof (float);
    return most + RK_WIRE_MAX_ENVELOPE;
}

/* ---- memory */

static rk_err_t s_pool (rk_buffers_t **pool_p, size_t n, size_t bytes)
{
    return bytes ? rk_buffers_new (pool_p, n, bytes, 0) : RK_OK;
}

static rk_err_t s_make_pools (rk_stage_t *self)
{
    size_t n = self->in_flight + RK_STAGE_SPARE_BUFFERS;
    size_t outputs = rk_model_n_outputs (self->model), batch = self->plan->settings.train_batch;
    rk_err_t code = s_pool (&self->outs, n, self->out.elems * sizeof (float));
    if (code == RK_OK && self->in.n_grads)
        code = s_pool (&self->gins, RK_STAGE_SPARE_BUFFERS, self->in.elems * sizeof (float));
    if (code == RK_OK && self->f16)
        code = s_pool (&self->wire_outs, n, self->out.elems * sizeof (uint16_t));
    if (code == RK_OK && self->f16 && self->in.n_grads)
        code = s_pool (&self->wire_gins, RK_STAGE_SPARE_BUFFERS, self->in.elems * sizeof (uint16_t));
    if (code == RK_OK && self->last)
        code = s_pool (&self->probabilities, n, batch * outputs * sizeof (float));
    if (code == RK_OK)
        code = rk_buffers_new (&self->versions, self->in_flight + SPARE_VERSIONS,
                               (self->n_flat + self->n_tied) * sizeof (float), 0);
    return code;
}

static rk_err_t s_make_slots (rk_stage_t *self)
{
    /* Credit bounds what is under way; twice that leaves room for those whose gradient has just gone out. */
    self->n_slots = 2 * (int) self->in_flight + 2;
    self->slots = calloc ((size_t) self->n_slots, sizeof *self->slots);
    self->ctx_busy = calloc (self->in_flight, sizeof *self->ctx_busy);
    self->scratch = rk_arena_pages (self->in.elems * (size_t) self->n_slots * sizeof (float));
    self->gout_scratch = calloc (self->out.elems + 1, sizeof (float));
    self->label_scratch = calloc (self->plan->settings.train_batch * rk_model_n_labels (self->model) + 1, RK_LABEL_BYTES);
    if (!self->label_scratch || !self->slots || !self->ctx_busy || !self->scratch || !self->gout_scratch)
        return RK_ENOMEM;
    for (int i = 0; i < self->n_slots; i++) {
        self->slots[i].ctx = -1;
        self->slots[i].scratch = self->scratch + (size_t) i * self->in.elems;
    }
    return RK_OK;
}

static rk_err_t s_make_vectors (rk_stage_t *self)
{
    size_t bytes = self->n_flat * sizeof (float);
    bool averaged = self->plan->settings.average_optimizer_state && self->reducer;
    bool complete = rk_stage_make_updates (self) == RK_OK;
    for (int i = 0; i < self->training.optim->n_slots; i++) {
        self->slot_state[i] = rk_arena_memory (bytes + 1);
        self->slot_snapshot[i] = averaged ? rk_arena_memory (bytes + 1) : NULL;
        complete = complete && self->slot_state[i] && (!averaged || self->slot_snapshot[i]);
    }
    if (self->reducer && rk_settings_bn (&self->plan->settings) == RK_BN_RECALIBRATE)
        complete = complete && (self->measured = rk_arena_memory (bytes + 1));
    complete = complete && rk_stage_mix_open (self) == RK_OK && rk_stage_keep_open (self) == RK_OK && rk_stage_probe_open (self) == RK_OK;
    if (self->drained) {
        uint64_t longest = rk_round_longest (self->plan);
        self->dealt = calloc (longest + 1, sizeof *self->dealt);
        self->deal_scratch = calloc (longest + 1, sizeof *self->deal_scratch);
        complete = complete && self->dealt && self->deal_scratch;
    }
    return complete ? RK_OK : RK_ENOMEM;
}

static rk_err_t s_make_slice (rk_stage_t *self, rk_error_t *err)
{
    const rk_settings_t *settings = &self->plan->settings;
    uint32_t n_threads = rk_kernel_threads (self->plan, rk_address_node (rk_loop_address (self->loop)));
    rk_err_t code = n_threads > 1 ? rk_pool_new (&self->pool, n_threads, err) : RK_OK;
    if (code != RK_OK)
        return code;
    const rk_slice_config_t slice = {
        .model = self->model, .first = self->layer_first, .last = self->layer_last, .batch = settings->train_batch,
        .n_contexts = (int) self->in_flight, .seed = settings->run_seed, .recompute = rk_plan_stage (self->plan, self->cluster, self->stage)->recompute,
        .pool = self->pool};
    code = rk_blas_init (self->plan->kernels[0] ? self->plan->kernels : "auto", err);
    if (code == RK_OK)
        code = rk_slice_new (&self->slice, &slice, err);
    for (size_t i = 0; i < rk_model_n_tensors (self->model); i++) {
        const rk_param_t *param = rk_model_param (self->model, i);
        if (param->layer >= self->layer_first && param->layer < self->layer_last && !param->trainable)
            self->has_stats = true;
    }
    return code;
}

static rk_err_t s_make_memory (rk_stage_t *self, rk_error_t *err)
{
    rk_err_t code = s_make_slots (self);
    if (code == RK_OK)
        code = s_make_pools (self);
    if (code == RK_OK)
        code = s_make_vectors (self);
    if (code != RK_OK)
        rk_error_set (err, code, "no memory for stage %u of cluster %u: %zu parameters, %u minibatches in flight", self->stage,
                      self->cluster, self->n_flat, self->in_flight);
    return code;
}

/* ---- open and close */

static rk_err_t s_say_ready (rk_stage_t *self, rk_error_t *err)
{
    if (!rk_loop_connected (self->loop, RK_TO_COORDINATOR))
        return RK_OK;
    rk_msg_t ready = {.kind = RK_MSG_READY, .ready = {.digest = self->plan->digest}};
    return rk_loop_send (self->loop, RK_TO_COORDINATOR, &ready, NULL, 0, err);
}

rk_err_t rk_stage_open (void *self_, rk_loop_t *loop, const void *config_, rk_error_t *err)
{
    rk_stage_t *self = self_;
    const rk_stage_config_t *config = config_;
    self->loop = loop;
    self->mean_round = config->plan->first_round;
    self->model = config->model;
    self->corrupt = config->corrupt;
    self->tells = config->tells && config->coordinator;
    rk_err_t code = rk_plan_copy (&self->plan, config->plan);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory for a plan");
    code = s_identify (self, config, err);
    if (code != RK_OK)
        return code;
    s_describe_cut (&self->in, self->model, self->layer_first, 0, self->plan->settings.train_batch);
    s_describe_cut (&self->out, self->model, self->layer_last, self->layer_first, self->plan->settings.train_batch);
    s_find_sources (&self->in, &self->out);
    code = rk_stage_tied_open (self);
    if (code != RK_OK)
        return rk_error_set (err, code, "no memory for a tied tensor");
    code = rk_training_of (self->plan, &self->training, err);
    if (code == RK_OK)
        code = s_make_memory (self, err);
    if (code == RK_OK)
        code = s_make_slice (self, err);
    if (code == RK_OK)
        code = rk_stage_init_live (self, config->initial, err);
    if (code == RK_OK)
        rk_stage_warm_open (self);
    if (code == RK_OK)
        code = config->n_donors ? rk_stage_take_begin (self, config, err) : rk_stage_keep_end (self, self->plan->first_round, err);
    if (code == RK_OK)
        code = rk_stage_begin_round (self, self->plan->first_round, err);
    if (code == RK_OK)
        code = s_say_ready (self, err);
    return code;
}

void rk_stage_close (void *self_)
{
    rk_stage_t *self = self_;
    for (int i = 0; i < self->n_slots && self->slots; i++)
        rk_stage_release (self, &self->slots[i]);
    rk_stage_keep_close (self);
    rk_stage_warm_close (self);
    rk_buffer_unref (self->live);
    rk_buffer_unref (self->mean);
    rk_buffer_unref (self->snapshot);
    rk_buffer_unref (self->merged);
    rk_buffer_unref (self->gin);
    rk_buffer_unref (self->probs);
    rk_buffers_t **pools[] = {&self->outs, &self->gins, &self->wire_outs, &self->wire_gins, &self->probabilities, &self->versions};
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        rk_buffers_destroy (pools[i]);
    rk_stage_tied_close (self);
    rk_slice_destroy (&self->slice);
    rk_pool_destroy (&self->pool);
    for (int i = 0; i < RK_OPTIM_MAX_SLOTS; i++) {
        free (self->slot_state[i]);
        free (self->slot_snapshot[i]);
    }
    rk_stage_mix_close (self);
    free (self->measured);
    free (self->probe);
    free (self->probe_names);
    rk_stage_free_updates (self);
    free (self->slots);
    free (self->ctx_busy);
    rk_arena_pages_free (self->scratch, self->in.elems * (size_t) self->n_slots * sizeof (float));
    free (self->gout_scratch);
    free (self->label_scratch);
    free (self->dealt);
    free (self->deal_scratch);
    rk_plan_destroy (&self->plan);
    memset (self, 0, sizeof *self);
}
