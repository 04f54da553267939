/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/arena.h"
#include "compute/rng.h"
#include "tests/support/must.h"

static size_t s_boundary_elems (const rk_chain_t *self, int s)
{
    rk_boundary_t boundary[RK_MAX_BOUNDARY];
    size_t elems = 0;
    const int n = rk_model_boundary (self->model, self->cut[s], 0, boundary);
    for (int i = 0; i < n; i++)
        elems += boundary[i].elems;
    return elems;
}

rk_chain_t *rk_chain_new (const rk_model_t *model, const int *cuts, int n_slices, const rk_slice_config_t *config)
{
    rk_error_t err = {0};
    rk_chain_t *self = calloc (1, sizeof *self);
    RK_MUST_HOLD (self && n_slices <= RK_CHAIN_MAX);
    self->model = model;
    self->n_slices = n_slices;
    self->n_contexts = config->n_contexts;
    self->batch = config->batch;
    memcpy (self->cut + 1, cuts, (size_t) (n_slices - 1) * sizeof *cuts);
    self->cut[n_slices] = rk_model_n_layers (model);
    const size_t room = self->batch * (size_t) self->n_contexts * sizeof (float);
    for (int s = 0; s < n_slices; s++) {
        rk_slice_config_t one = *config;
        one.model = model;
        one.first = self->cut[s];
        one.last = self->cut[s + 1];
        rk_must (rk_slice_new (&self->slices[s], &one, &err), &err);
        self->values[s] = rk_arena_memory (s_boundary_elems (self, s) * room);
        self->grads_at[s] = rk_arena_memory (s_boundary_elems (self, s) * room);
        RK_MUST_HOLD (self->values[s] && self->grads_at[s]);
    }
    self->x = rk_arena_memory (rk_shape_elems (rk_model_tensor_shape (model, 0)) * room);
    self->labels = rk_arena_memory (rk_model_n_labels (model) * room);
    self->grads = rk_arena_memory (rk_model_flat_at (model, rk_model_n_layers (model)) * sizeof (float));
    RK_MUST_HOLD (self->x && self->labels && self->grads);
    for (int s = 0; s < n_slices; s++)
        if (rk_model_n_tied (model, self->cut[s], self->cut[s + 1])) {
            const size_t bytes = rk_model_slice_len (model, self->cut[s], self->cut[s + 1]) * sizeof (float);
            self->tied_flat = rk_arena_memory (bytes);
            self->tied_grads = rk_arena_memory (bytes);
            RK_MUST_HOLD (self->tied_flat && self->tied_grads);
        }
    return self;
}

rk_chain_t *rk_chain_new_even (const rk_model_t *model, int n_slices, const rk_slice_config_t *config)
{
    int cuts[RK_CHAIN_MAX];
    for (int s = 1; s < n_slices; s++)
        cuts[s - 1] = rk_model_n_layers (model) * s / n_slices;
    return rk_chain_new (model, cuts, n_slices, config);
}

void rk_chain_destroy (rk_chain_t **chain_p)
{
    rk_chain_t *self = *chain_p;
    for (int s = 0; s < self->n_slices; s++) {
        rk_slice_destroy (&self->slices[s]);
        free (self->values[s]);
        free (self->grads_at[s]);
    }
    free (self->x);
    free (self->labels);
    free (self->grads);
    free (self->tied_flat);
    free (self->tied_grads);
    free (self);
    *chain_p = NULL;
}

/* Pointers to the tensors that cross cut s, in ctx; returns how many. */
static int s_at_cut (const rk_chain_t *self, int s, int ctx, float *base, float *at[RK_MAX_BOUNDARY])
{
    rk_boundary_t boundary[RK_MAX_BOUNDARY];
    const int n = rk_model_boundary (self->model, self->cut[s], 0, boundary);
    if (n == 0)
        return 0;
    base += s_boundary_elems (self, s) * self->batch * (size_t) ctx;
    for (int i = 0; i < n; i++) {
        at[i] = base;
        base += boundary[i].elems * self->batch;
    }
    return n;
}

static void s_make_minibatch (rk_chain_t *self, int ctx, uint64_t f, float **x, void **labels_p)
{
    const size_t elems = rk_shape_elems (rk_model_tensor_shape (self->model, 0)) * self->batch;
    *x = self->x + elems * (size_t) ctx;
    const rk_labels_t *want = rk_model_labels (self->model);
    const size_t n_labels = self->batch * want->n;
    int32_t *labels = (int32_t *) self->labels + n_labels * (size_t) ctx;
    *labels_p = labels;
    const size_t n_tokens = rk_model_n_tokens (self->model);
    rk_rng_normal (99, rk_rng_stream (RK_RNG_TEST, f), 0, elems, 0, 1, *x);
    for (size_t i = 0; i < elems && n_tokens; i++) {
        uint32_t words[4];
        rk_rng_block (99, rk_rng_stream (RK_RNG_TEST, f), i, words);
        (*x)[i] = (float) (words[0] % n_tokens);
    }
    if (want->kind == RK_LABEL_TARGET)
        rk_rng_uniform (98, rk_rng_stream (RK_RNG_TEST, f), 0, n_labels, want->low < -1 ? -1 : want->low,
                        want->high > 1 ? 1 : want->high, (float *) (void *) labels);
    for (size_t i = 0; i < n_labels && want->kind == RK_LABEL_CLASS; i++) {
        uint32_t words[4];
        rk_rng_block (98, rk_rng_stream (RK_RNG_TEST, f), i, words);
        labels[i] = (int32_t) (words[0] % want->n_classes);
    }
}

/* The parameters of slice s: where they lie in the whole vector, or together with the tied tensor. */
static const float *s_flat (const rk_chain_t *self, int s, const float *flat)
{
    const size_t base = rk_model_flat_at (self->model, self->cut[s]), len = rk_model_flat_at (self->model, self->cut[s + 1]) - base;
    if (!rk_model_n_tied (self->model, self->cut[s], self->cut[s + 1]))
        return flat + base;
    const rk_tie_t *tie = rk_model_tie (self->model);
    memcpy (self->tied_flat, flat + base, len * sizeof *flat);
    memcpy (self->tied_flat + len, flat + tie->offset, tie->count * sizeof *flat);
    return self->tied_flat;
}

/* Parameter gradients of slice s; its share of the tied tensor is added to the owner's, whose slice comes later. */
static void s_backward_params (rk_chain_t *self, int s, int ctx, const float *flat)
{
    rk_error_t err = {0};
    const int first = self->cut[s], last = self->cut[s + 1];
    const size_t base = rk_model_flat_at (self->model, first), len = rk_model_flat_at (self->model, last) - base;
    if (!rk_model_n_tied (self->model, first, last)) {
        rk_must (rk_slice_backward_params (self->slices[s], ctx, flat, self->grads + base, &err), &err);
        return;
    }
    const rk_tie_t *tie = rk_model_tie (self->model);
    memset (self->tied_grads, 0, rk_model_slice_len (self->model, first, last) * sizeof (float));
    memcpy (self->tied_grads, self->grads + base, len * sizeof (float));
    rk_must (rk_slice_backward_params (self->slices[s], ctx, flat, self->tied_grads, &err), &err);
    memcpy (self->grads + base, self->tied_grads, len * sizeof (float));
    for (size_t i = 0; i < tie->count; i++)
        self->grads[tie->offset + i] += self->tied_grads[len + i];
}

void rk_chain_forward (rk_chain_t *self, int ctx, uint64_t f, size_t n, float *flat, float *stats)
{
    rk_error_t err = {0};
    float *x, *at[2][RK_MAX_BOUNDARY];
    void *labels;
    s_make_minibatch (self, ctx, f, &x, &labels);
    at[0][0] = x;
    for (int s = 0; s < self->n_slices; s++) {
        float **in = at[s % 2], **out = at[(s + 1) % 2];
        if (s + 1 < self->n_slices) {
            rk_boundary_t boundary[RK_MAX_BOUNDARY];
            const int n_out = s_at_cut (self, s + 1, ctx, self->values[s + 1], out);
            rk_model_boundary (self->model, self->cut[s + 1], self->cut[s], boundary);
            for (int i = 0; i < n_out; i++) /* handed on by the caller, as a stage does */
                if (boundary[i].passes_through)
                    memcpy (out[i], rk_chain_value (self, ctx, boundary[i].tensor), n * boundary[i].elems * sizeof (float));
        }
        const size_t base = rk_model_flat_at (self->model, self->cut[s]);
        const rk_forward_t call = {
            .ctx = ctx, .mode = RK_MODE_TRAIN, .f = f, .n = n, .flat = s_flat (self, s, flat), .stats = stats ? stats + base : NULL,
            .in = (const float *const *) in, .out = out, .labels = labels, .loss = &self->loss};
        rk_must (rk_slice_forward (self->slices[s], &call, &err), &err);
    }
}

const float *rk_chain_value (const rk_chain_t *self, int ctx, int tensor)
{
    rk_boundary_t boundary[RK_MAX_BOUNDARY];
    float *at[RK_MAX_BOUNDARY];
    for (int s = 1; s < self->n_slices; s++) {
        const int n = rk_model_boundary (self->model, self->cut[s], 0, boundary);
        s_at_cut (self, s, ctx, self->values[s], at);
        for (int i = 0; i < n; i++)
            if (boundary[i].tensor == tensor)
                return at[i];
    }
    return NULL;
}

void rk_chain_backward (rk_chain_t *self, int ctx, const float *flat)
{
    rk_error_t err = {0};
    for (int s = self->n_slices - 1; s >= 0; s--) {
        float *gin[RK_MAX_BOUNDARY] = {0}, *gout[RK_MAX_BOUNDARY] = {0};
        if (s + 1 < self->n_slices)
            s_at_cut (self, s + 1, ctx, self->grads_at[s + 1], gout);
        s_at_cut (self, s, ctx, self->grads_at[s], gin);
        const float *own = s_flat (self, s, flat);
        rk_must (rk_slice_backward_input (self->slices[s], ctx, own, (const float *const *) gout, gin, &err), &err);
        s_backward_params (self, s, ctx, own);
        rk_slice_release (self->slices[s], ctx);
    }
}
