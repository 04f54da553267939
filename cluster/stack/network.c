/* SPDX-License-Identifier: MPL-2.0
 * The problem "a model of compute/models on a data set": one slice per worker, whose parameters are a row. */
#include <stdio.h>
#include <stdlib.h>

#include "cluster/stack/stack_parts.h"
#include "compute/arena.h"

#define EVAL_BATCH 64   /* samples of a forward when evaluating */
#define EVAL_TASKS 256  /* forwards of one run of the pool */

static size_t s_most_samples (const rk_stack_t *self)
{
    return self->config.batch > EVAL_BATCH ? self->config.batch : EVAL_BATCH;
}

static rk_slice_config_t s_slice (const rk_stack_t *self)
{
    return (rk_slice_config_t){.model = self->model, .last = rk_model_n_layers (self->model), .batch = s_most_samples (self),
                               .n_contexts = 1, .seed = self->config.seed};
}

/* Neighbouring trainable tensors make one range. */
static rk_err_t s_tensors (rk_stack_t *self, rk_error_t *err)
{
    const size_t n = rk_model_n_tensors (self->model);
    bool inside = false;
    if (n > RK_STACK_MAX_TENSORS)
        return rk_error_set (err, RK_EUNSUPPORTED, "%zu tensors, at most %d can be looked at", n, RK_STACK_MAX_TENSORS);
    for (size_t p = 0; p < n; p++) {
        const rk_param_t *param = rk_model_param (self->model, p);
        const size_t end = p + 1 < n ? rk_model_param (self->model, p + 1)->offset : self->d;
        if (param->trainable) {
            self->tensors[self->n_tensors++] = (rk_stack_tensor_t){param->name, param->offset, param->count};
            if (!inside)
                self->ranges[self->n_ranges++] = (rk_stack_range_t){param->offset, 0};
            rk_stack_range_t *range = &self->ranges[self->n_ranges - 1];
            range->count = end - range->begin;
        }
        inside = param->trainable;
    }
    return RK_OK;
}

static rk_err_t s_describe (rk_stack_t *self, rk_error_t *err)
{
    const rk_data_t *data = self->config.data;
    if (!data)
        return rk_error_set (err, RK_EINVAL, "model %s needs a data set", self->config.model);
    rk_err_t rc = rk_model_by_name (&self->model, self->config.model, rk_data_shape (data), rk_data_n_classes (data), err);
    if (!rc)
        rc = rk_data_check_model (data, self->model, err);
    if (rc)
        return rc;
    self->d = rk_model_flat_at (self->model, rk_model_n_layers (self->model));
    self->n_params = rk_model_n_params (self->model);
    self->per_pass = rk_data_n (data, RK_SPLIT_TRAIN) / ((uint64_t) self->config.n * self->config.batch);
    for (int l = 0; l < rk_model_n_layers (self->model); l++) {
        rk_layer_cost_t cost;
        rk_model_cost (self->model, l, self->config.batch, &cost);
        self->step_flops += (double) (cost.forward_flops + cost.backward_flops) * self->config.n;
    }
    return s_tensors (self, err);
}

static size_t s_sample_bytes (const rk_stack_t *self)
{
    return rk_shape_elems (rk_data_shape (self->config.data)) * sizeof (float);
}

static rk_err_t s_worker_bytes (const rk_stack_t *self, size_t *bytes, rk_error_t *err)
{
    const rk_slice_config_t slice = s_slice (self);
    size_t of_slice = 0;
    rk_err_t rc = rk_slice_predict (&slice, &of_slice, err);
    *bytes = of_slice + s_most_samples (self) * (s_sample_bytes (self) + rk_model_n_labels (self->model) * RK_LABEL_BYTES);
    return rc;
}

static rk_err_t s_open_worker (rk_stack_t *self, rk_stack_worker_t *w, rk_error_t *err)
{
    const rk_slice_config_t slice = s_slice (self);
    w->x = rk_arena_memory (s_most_samples (self) * s_sample_bytes (self));
    w->labels = calloc (s_most_samples (self) * rk_model_n_labels (self->model), RK_LABEL_BYTES);
    if (!w->x || !w->labels)
        return rk_error_set (err, RK_ENOMEM, "no memory for a minibatch");
    return rk_slice_new (&w->slice, &slice, err);
}

/* Shards are cut as a run of actors cuts them: the part of a plan that says how large they are. */
rk_err_t rk_stack_open_shards (rk_stack_t *self, rk_error_t *err)
{
    const rk_stack_config_t *c = &self->config;
    rk_plan_t *plan = calloc (1, sizeof *plan);
    if (!plan)
        return rk_error_set (err, RK_ENOMEM, "no memory for a plan");
    rk_settings_default (&plan->settings);
    snprintf (plan->settings.data_shard, sizeof plan->settings.data_shard, "%s", c->shard ? c->shard : "leased");
    plan->settings.data_alpha = c->alpha;
    plan->settings.run_seed = c->seed;
    plan->settings.train_batch = (uint32_t) c->batch;
    plan->n_clusters = c->n;
    plan->minibatches_per_pass = self->per_pass * c->n;
    plan->train_samples = plan->minibatches_per_pass * c->batch;
    rk_err_t rc = RK_OK;
    if (self->model && rk_shard_is_on (&plan->settings)) {
        self->shards = calloc (c->n, sizeof (rk_shard_t *));
        rc = self->shards ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for %u shards", c->n);
        for (uint32_t i = 0; !rc && i < c->n; i++)
            rc = rk_shard_new (&self->shards[i], plan, i, c->data, err);
    }
    free (plan);
    return rc;
}

void rk_stack_close_shards (rk_stack_t *self)
{
    for (uint32_t i = 0; self->shards && i < self->config.n; i++)
        rk_shard_destroy (&self->shards[i]);
    free (self->shards);
}

static void s_init (rk_stack_t *self, float *row)
{
    rk_model_init (self->model, self->config.seed, 0, rk_model_n_layers (self->model), row);
}

/* The forward of minibatch f of the run: f counts over passes, its tail of samples that fill no step dropped. */
static rk_err_t s_forward (rk_stack_t *self, rk_stack_worker_t *w, uint64_t f, const float *flat, float *stats,
                           rk_loss_t *loss, rk_error_t *err)
{
    const uint64_t of_pass = self->per_pass * self->config.n;
    const float *in[] = {w->x};
    rk_forward_t forward = {.mode = RK_MODE_TRAIN, .f = f, .flat = flat, .stats = stats, .in = in, .labels = w->labels,
                            .loss = loss};
    if (self->shards)
        forward.n = rk_shard_batch (self->shards[f % of_pass % self->config.n], f, w->x, w->labels);
    else
        forward.n = rk_data_batch (self->config.data, RK_SPLIT_TRAIN, self->config.seed, f / of_pass, f % of_pass,
                                   self->config.batch, w->x, w->labels);
    return rk_slice_forward (w->slice, &forward, err);
}

static rk_err_t s_gradient (rk_stack_t *self, rk_stack_worker_t *w, uint64_t f, const float *flat, float *stats,
                            rk_loss_t *loss, rk_error_t *err)
{
    float *gin[] = {NULL};
    rk_err_t rc = s_forward (self, w, f, flat, stats, loss, err);
    if (!rc)
        rc = rk_slice_backward_input (w->slice, 0, flat, NULL, gin, err);
    if (!rc)
        rc = rk_slice_backward_params (w->slice, 0, flat, w->grads, err);
    rk_slice_release (w->slice, 0);
    return rc;
}

/* ---- evaluation: a task is a forward of EVAL_BATCH samples */
typedef struct {
    rk_stack_t *stack;
    const float *flat;
    uint64_t first;
    size_t n_samples;
    rk_loss_t losses[EVAL_TASKS];
    rk_err_t failed[EVAL_TASKS];
} s_evaluation_t;

static void s_evaluate_task (void *arg, size_t task, size_t worker)
{
    s_evaluation_t *e = arg;
    rk_stack_worker_t *w = &e->stack->workers[worker];
    const float *in[] = {w->x};
    const uint64_t index = e->first + task;
    rk_forward_t forward = {.mode = RK_MODE_EVAL, .f = index, .flat = e->flat, .stats = (float *) (uintptr_t) e->flat,
                            .in = in, .labels = w->labels, .loss = &e->losses[task]};
    forward.n = rk_data_batch (e->stack->config.data, RK_SPLIT_TEST, e->stack->config.seed, 0, index, EVAL_BATCH, w->x, w->labels);
    if (index * EVAL_BATCH + forward.n > e->n_samples)
        forward.n = index * EVAL_BATCH < e->n_samples ? e->n_samples - index * EVAL_BATCH : 0;
    e->losses[task] = (rk_loss_t){0};
    e->failed[task] = forward.n ? rk_slice_forward (w->slice, &forward, NULL) : RK_OK;
}

static rk_err_t s_evaluate (rk_stack_t *self, const float *flat, size_t n_samples, rk_loss_t *loss, rk_error_t *err)
{
    const size_t all = rk_data_n (self->config.data, RK_SPLIT_TEST);
    s_evaluation_t e = {.stack = self, .flat = flat, .n_samples = n_samples && n_samples < all ? n_samples : all};
    const uint64_t n_tasks = (e.n_samples + EVAL_BATCH - 1) / EVAL_BATCH;
    *loss = (rk_loss_t){0};
    for (; e.first < n_tasks; e.first += EVAL_TASKS) {
        const size_t now = n_tasks - e.first < EVAL_TASKS ? n_tasks - e.first : EVAL_TASKS;
        rk_pool_run (self->config.pool, now, s_evaluate_task, &e);
        for (size_t i = 0; i < now; i++) {
            if (e.failed[i])
                return rk_error_set (err, e.failed[i], "evaluation of test minibatch %llu failed",
                                     (unsigned long long) (e.first + i));
            loss->loss_sum += e.losses[i].loss_sum;
            loss->n_correct += e.losses[i].n_correct;
            loss->n_counted += e.losses[i].n_counted;
        }
    }
    return RK_OK;
}

rk_err_t rk_stack_evaluate (rk_stack_t *self, const float *flat, size_t n_samples, rk_loss_t *loss, rk_error_t *err)
{
    return self->app->evaluate (self, flat, n_samples, loss, err);
}

rk_err_t rk_stack_recalibrate (rk_stack_t *self, float *flat, uint64_t pass, uint32_t n_batches, rk_error_t *err)
{
    rk_loss_t loss;
    if (!self->model || self->n_tensors == rk_model_n_tensors (self->model))
        return RK_OK;
    rk_err_t rc = RK_OK;
    for (uint64_t b = 0; b < n_batches && !rc; b++) {
        const uint64_t of_pass = self->per_pass * self->config.n;
        rc = s_forward (self, &self->workers[0], pass * of_pass + b % of_pass, flat, flat, &loss, err);
        rk_slice_release (self->workers[0].slice, 0);
    }
    return rc;
}

const rk_stack_app_t rk_stack_network = {s_describe, s_worker_bytes, s_open_worker, s_init, s_gradient, s_evaluate};
