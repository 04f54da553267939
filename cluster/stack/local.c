/* SPDX-License-Identifier: MPL-2.0
 * The local part of a step: every replica's gradient at its own row and the optimiser's step. Replicas are the
 * tasks of the pool, so the number of threads cannot change a bit.                                       */
#include <math.h>
#include <string.h>

#include "cluster/stack/stack_parts.h"
#include "compute/kernels/vec.h"

typedef struct {
    rk_stack_t *stack;
    uint64_t t;
    float lr;
    rk_err_t failed[RK_POOL_MAX_THREADS]; /* by worker */
    rk_error_t err[RK_POOL_MAX_THREADS];
} s_local_t;

/* One optimiser step of a row, in place. SGD without momentum has no state and does not look at its slot: the row
 * itself stands there.                                                                                  */
static void s_update (const rk_stack_t *self, uint64_t t, float lr, float scale, uint32_t i, float *row, float *grads)
{
    float *slots[RK_OPTIM_MAX_SLOTS];
    for (int s = 0; s < RK_OPTIM_MAX_SLOTS; s++)
        slots[s] = s < self->n_state ? rk_stack_at (self, self->state[s], i) : row;
    if (self->model) {
        const rk_optim_update_t update = {.model = self->model, .last = rk_model_n_layers (self->model), .lr = lr, .t = t + 1,
                                          .grad_scale = scale, .w_old = row, .w_new = row, .grads = grads, .slots = slots};
        rk_optim_update (self->optim, &self->config.optim, &update);
        return;
    }
    rk_optim_range_t range = {.lr = lr, .t = t + 1, .grad_scale = scale, .n = self->d, .w_old = row, .w_new = row, .g = grads};
    memcpy (range.slots, slots, sizeof slots);
    self->optim->step (&self->config.optim, &range);
}

/* Where the gradient of step t is taken: at the row, or `delay` updates behind it. */
static const float *s_point (rk_stack_t *self, uint64_t t, uint32_t i, const float *row)
{
    const uint32_t kept = self->config.delay + 1;
    if (kept == 1)
        return row;
    const uint64_t oldest = t > self->config.delay ? t - self->config.delay : 0;
    const uint64_t at = oldest > self->mixed_at ? oldest : self->mixed_at;
    memcpy (rk_stack_at (self, self->history, (uint32_t) (t % kept) * self->n_rows + i), row, self->d * sizeof *row);
    return rk_stack_at (self, self->history, (uint32_t) (at % kept) * self->n_rows + i);
}

/* ---- decentralised: a task is a replica */
static void s_replica (void *arg, size_t task, size_t worker)
{
    s_local_t *call = arg;
    rk_stack_t *self = call->stack;
    rk_stack_worker_t *w = &self->workers[worker];
    const uint32_t i = (uint32_t) task;
    float *row = rk_stack_at (self, self->x, i);
    const float *point = s_point (self, call->t, i, row);
    memset (w->grads, 0, self->d * sizeof *w->grads);
    rk_err_t rc = self->app->gradient (self, w, call->t * self->config.n + i, point, row, &self->losses[i], &call->err[worker]);
    if (rc) {
        call->failed[worker] = rc;
        return;
    }
    if (self->snapshot && self->snapshot_is_old)
        memcpy (rk_stack_at (self, self->snapshot, i), row, self->d * sizeof *row);
    s_update (self, call->t, call->lr, 1.0f, i, row, w->grads);
}

/* ---- centralised: a task is a block of replicas; their gradients are added in ascending order */
static uint32_t s_block_begin (uint32_t n, size_t block)
{
    return (uint32_t) ((uint64_t) n * block / RK_STACK_MAX_BLOCKS);
}

/* Statistics have no gradient: their places in the partial sum take what each replica's forward made of them. */
static void s_add_stats (const rk_stack_t *self, const float *stats, float *sum)
{
    size_t at = 0;
    for (size_t r = 0; r <= self->n_ranges; r++) {
        const size_t stop = r < self->n_ranges ? self->ranges[r].begin : self->d;
        rk_vec ()->add (stop - at, sum + at, stats + at, sum + at);
        at = r < self->n_ranges ? stop + self->ranges[r].count : stop;
    }
}

static void s_block (void *arg, size_t task, size_t worker)
{
    s_local_t *call = arg;
    rk_stack_t *self = call->stack;
    rk_stack_worker_t *w = &self->workers[worker];
    float *sum = self->partial + task * self->d, *grads = w->grads;
    memset (sum, 0, self->d * sizeof *sum);
    w->grads = sum; /* gradients are added where they belong */
    for (uint32_t i = s_block_begin (self->config.n, task); i < s_block_begin (self->config.n, task + 1); i++) {
        memcpy (w->stats, self->x, self->d * sizeof *w->stats);
        rk_err_t rc = self->app->gradient (self, w, call->t * self->config.n + i, self->x, w->stats, &self->losses[i],
                                           &call->err[worker]);
        if (rc)
            call->failed[worker] = rc;
        else
            s_add_stats (self, w->stats, sum);
    }
    w->grads = grads;
}

static void s_centralised_update (rk_stack_t *self, uint64_t t, float lr)
{
    float *sum = self->partial;
    const float scale = 1.0f / (float) self->config.n;
    for (size_t b = 1; b < RK_STACK_MAX_BLOCKS; b++)
        rk_vec ()->add (self->d, sum, self->partial + b * self->d, sum);
    s_update (self, t, lr, scale, 0, self->x, sum);
    size_t at = 0;
    for (size_t r = 0; r <= self->n_ranges; r++) {
        const size_t stop = r < self->n_ranges ? self->ranges[r].begin : self->d;
        rk_vec ()->scale (stop - at, scale, sum + at, self->x + at);
        at = r < self->n_ranges ? stop + self->ranges[r].count : stop;
    }
}

/* ---- both */
static rk_err_t s_collect (rk_stack_t *self, const s_local_t *call, rk_loss_t *loss, uint32_t *culprit, rk_error_t *err)
{
    for (size_t w = 0; w < self->n_workers; w++)
        if (call->failed[w])
            return rk_error_set (err, call->failed[w], "%s", call->err[w].text);
    rk_loss_t sum = {0};
    for (uint32_t i = 0; i < self->config.n; i++) {
        const rk_loss_t *one = &self->losses[i];
        if (!isfinite (one->loss_sum)) {
            if (culprit)
                *culprit = i;
            return rk_error_set (err, RK_ESTATE, "the loss of replica %u is %g at step %llu", i, one->loss_sum,
                                 (unsigned long long) call->t);
        }
        sum.loss_sum += one->loss_sum;
        sum.n_correct += one->n_correct;
        sum.n_counted += one->n_counted;
    }
    if (loss)
        *loss = sum;
    return RK_OK;
}

rk_err_t rk_stack_local (rk_stack_t *self, uint64_t t, float lr, rk_loss_t *loss, uint32_t *culprit, rk_error_t *err)
{
    s_local_t call = {.stack = self, .t = t, .lr = lr};
    if (self->config.graph)
        rk_pool_run (self->config.pool, self->config.n, s_replica, &call);
    else
        rk_pool_run (self->config.pool, RK_STACK_MAX_BLOCKS, s_block, &call);
    rk_err_t rc = s_collect (self, &call, loss, culprit, err);
    if (rc)
        return rc;
    if (!self->config.graph)
        s_centralised_update (self, t, lr);
    self->snapshot_is_old = false;
    self->n_steps = t + 1;
    self->orders.lr_sum += (double) lr;
    return RK_OK;
}
