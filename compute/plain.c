/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/plain.h"

#include <stdlib.h>

#include "compute/arena.h"
#include "compute/pool.h"

struct rk_plain {
    rk_plain_config_t config;
    rk_model_t *model;
    rk_pool_t *pool; /* NULL: one thread */
    rk_slice_t *slice;
    const rk_optim_t *optim;
    size_t flat_len; /* floats */
    float *flat, *grads, *slots[RK_OPTIM_MAX_SLOTS];
    float *x;
    void *labels;
    uint64_t t; /* optimiser steps done */
};

static rk_err_t s_allocate (rk_plain_t *self, rk_error_t *err)
{
    const int n_layers = rk_model_n_layers (self->model);
    const rk_slice_config_t slice = {.model = self->model, .last = n_layers, .batch = self->config.batch,
                                     .n_contexts = 1, .seed = self->config.seed, .recompute = self->config.recompute,
                                     .pool = self->pool};
    rk_err_t rc = rk_slice_new (&self->slice, &slice, err);
    if (rc)
        return rc;
    self->flat_len = rk_model_flat_at (self->model, n_layers);
    const size_t bytes = self->flat_len * sizeof (float);
    bool complete = (self->flat = rk_arena_memory (bytes)) && (self->grads = rk_arena_memory (bytes));
    for (int s = 0; s < self->optim->n_slots; s++)
        complete = (self->slots[s] = rk_arena_memory (bytes)) && complete;
    const size_t elems = rk_shape_elems (rk_data_shape (self->config.data));
    self->x = rk_arena_memory (self->config.batch * elems * sizeof (float));
    self->labels = rk_arena_memory (self->config.batch * rk_model_n_labels (self->model) * RK_LABEL_BYTES);
    if (!complete || !self->x || !self->labels)
        return rk_error_set (err, RK_ENOMEM, "no memory for a model of %zu parameters", self->flat_len);
    rk_model_init (self->model, self->config.seed, 0, n_layers, self->flat);
    return RK_OK;
}

rk_err_t rk_plain_new (rk_plain_t **loop_p, const rk_plain_config_t *config, rk_error_t *err)
{
    *loop_p = NULL;
    rk_plain_t *self = calloc (1, sizeof *self);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "no memory for a training loop");
    self->config = *config;
    rk_err_t rc = rk_optim_by_name (&self->optim, config->optimizer, &config->optim, err);
    if (!rc)
        rc = rk_lr_check (&config->lr, err);
    if (!rc)
        rc = rk_model_by_name (&self->model, config->model, rk_data_shape (config->data),
                               rk_data_n_classes (config->data), err);
    if (!rc)
        rc = rk_data_check_model (config->data, self->model, err);
    if (!rc && config->threads > 1)
        rc = rk_pool_new (&self->pool, config->threads, err);
    if (!rc)
        rc = s_allocate (self, err);
    if (rc)
        rk_plain_destroy (&self);
    *loop_p = self;
    return rc;
}

void rk_plain_destroy (rk_plain_t **loop_p)
{
    rk_plain_t *self = loop_p ? *loop_p : NULL;
    if (!self)
        return;
    rk_slice_destroy (&self->slice);
    rk_pool_destroy (&self->pool);
    rk_model_destroy (&self->model);
    free (self->flat);
    free (self->grads);
    for (int s = 0; s < RK_OPTIM_MAX_SLOTS; s++)
        free (self->slots[s]);
    free (self->x);
    free (self->labels);
    free (self);
    *loop_p = NULL;
}

rk_err_t rk_plain_step (rk_plain_t *self, uint64_t f, rk_loss_t *loss, rk_error_t *err)
{
    const uint64_t per_pass = rk_plain_per_pass (self);
    if (per_pass == 0)
        return rk_error_set (err, RK_EINVAL, "the data set has no training samples");
    const float *in[] = {self->x};
    rk_forward_t forward = {.mode = RK_MODE_TRAIN, .f = f, .flat = self->flat, .stats = self->flat, .in = in,
                            .labels = self->labels, .loss = loss};
    forward.n = rk_data_batch (self->config.data, RK_SPLIT_TRAIN, self->config.seed, f / per_pass, f % per_pass,
                               self->config.batch, self->x, self->labels);
    float *gin[] = {NULL};
    rk_err_t rc = rk_slice_forward (self->slice, &forward, err);
    if (!rc)
        rc = rk_slice_backward_input (self->slice, 0, self->flat, NULL, gin, err);
    if (!rc)
        rk_slice_begin_grads (self->slice, 0);
    if (!rc)
        rc = rk_slice_backward_params (self->slice, 0, self->flat, self->grads, err);
    rk_slice_release (self->slice, 0);
    if (rc)
        return rc;
    const rk_optim_update_t update = {
        .model = self->model, .last = rk_model_n_layers (self->model), .lr = rk_lr_at (&self->config.lr, f),
        .t = ++self->t, .grad_scale = 1, .w_old = self->flat, .w_new = self->flat, .grads = self->grads,
        .slots = self->slots, .pool = self->pool};
    rk_optim_update (self->optim, &self->config.optim, &update);
    return RK_OK;
}

rk_err_t rk_plain_evaluate (rk_plain_t *self, rk_split_t split, rk_loss_t *loss, rk_error_t *err)
{
    const float *in[] = {self->x};
    rk_loss_t one;
    rk_forward_t forward = {.mode = RK_MODE_EVAL, .flat = self->flat, .stats = self->flat, .in = in,
                            .labels = self->labels, .loss = &one};
    *loss = (rk_loss_t) {0};
    for (uint64_t index = 0;; index++) {
        forward.f = index;
        forward.n = rk_data_batch (self->config.data, split, self->config.seed, 0, index, self->config.batch, self->x,
                                   self->labels);
        if (forward.n == 0)
            return RK_OK;
        rk_err_t rc = rk_slice_forward (self->slice, &forward, err);
        if (rc)
            return rc;
        loss->loss_sum += one.loss_sum;
        loss->n_correct += one.n_correct;
        loss->n_counted += one.n_counted;
    }
}

const rk_model_t *rk_plain_model (const rk_plain_t *self)
{
    return self->model;
}

uint64_t rk_plain_per_pass (const rk_plain_t *self)
{
    return (rk_data_n (self->config.data, RK_SPLIT_TRAIN) + self->config.batch - 1) / self->config.batch;
}

float *rk_plain_flat (rk_plain_t *self)
{
    return self->flat;
}

size_t rk_plain_bytes (const rk_plain_t *self)
{
    const size_t elems = rk_shape_elems (rk_data_shape (self->config.data));
    return rk_slice_bytes (self->slice) + (2 + (size_t) self->optim->n_slots) * self->flat_len * sizeof (float) +
           self->config.batch * (elems * sizeof (float) + rk_model_n_labels (self->model) * RK_LABEL_BYTES);
}
