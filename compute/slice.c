/* SPDX-License-Identifier: MPL-2.0
 * Follows the slice plan: forward, input gradients, parameter gradients. No decision about memory is
 * taken here and nothing is allocated after rk_slice_new.                                            */
#include "compute/slice.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compute/kernels/vec.h"
#include "compute/slice_plan.h"

typedef enum { CTX_FREE = 0, CTX_FORWARD, CTX_INPUT, CTX_DONE } s_state_t;

typedef struct {
    s_state_t state;
    uint64_t f;
    size_t n;
    float loss_scale;
    bool fresh; /* rk_slice_begin_grads */
    char *stash;                      /* its part of the stash region */
    const float *in[RK_MAX_BOUNDARY]; /* borrowed from forward to release */
    float *out[RK_MAX_BOUNDARY];
    const float *gout[RK_MAX_BOUNDARY]; /* borrowed from backward_input to backward_params */
} s_context_t;

struct rk_slice {
    rk_slice_plan_t plan;
    uint64_t seed;
    rk_pool_t *pool; /* borrowed */
    int n_contexts;
    s_context_t *contexts;
    char *stash; /* n_contexts x plan.stash_bytes */
    char *work;  /* plan.work_bytes */
    int between; /* context between its two backward calls, -1: none; the workspace is its own then */
};

/* The caller's buffers of one call, by region. */
typedef struct {
    const s_context_t *context;
    const float *const *gout;
    float *const *gin;
} s_buffers_t;

rk_err_t rk_slice_new (rk_slice_t **slice_p, const rk_slice_config_t *config, rk_error_t *err)
{
    *slice_p = NULL;
    rk_slice_t *self = calloc (1, sizeof *self);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "no memory for a slice");
    rk_err_t rc = rk_slice_plan_make (&self->plan, config, err);
    if (rc) {
        rk_slice_destroy (&self);
        return rc;
    }
    self->seed = config->seed;
    self->pool = config->pool;
    self->n_contexts = config->n_contexts;
    self->between = -1;
    const size_t n_contexts = (size_t) config->n_contexts;
    self->contexts = calloc (n_contexts, sizeof *self->contexts);
    if (self->plan.stash_bytes <= SIZE_MAX / n_contexts)
        self->stash = rk_arena_memory (self->plan.stash_bytes * n_contexts);
    self->work = rk_arena_memory (self->plan.work_bytes);
    if (!self->contexts || !self->stash || !self->work) {
        rc = rk_error_set (err, RK_ENOMEM, "no memory for layers [%d, %d): %zu MB", config->first, config->last,
                           (self->plan.stash_bytes * n_contexts + self->plan.work_bytes) >> 20);
        rk_slice_destroy (&self);
        return rc;
    }
    for (size_t c = 0; c < n_contexts; c++)
        self->contexts[c].stash = self->stash + c * self->plan.stash_bytes;
    *slice_p = self;
    return RK_OK;
}

void rk_slice_destroy (rk_slice_t **slice_p)
{
    rk_slice_t *self = slice_p ? *slice_p : NULL;
    if (!self)
        return;
    rk_slice_plan_clear (&self->plan);
    free (self->contexts);
    free (self->stash);
    free (self->work);
    free (self);
    *slice_p = NULL;
}

size_t rk_slice_bytes (const rk_slice_t *self)
{
    return self->plan.stash_bytes * (size_t) self->n_contexts + self->plan.work_bytes + sizeof *self +
           (size_t) self->n_contexts * sizeof *self->contexts + (size_t) self->plan.n_layers * sizeof *self->plan.layers;
}

rk_err_t rk_slice_predict (const rk_slice_config_t *config, size_t *bytes, rk_error_t *err)
{
    rk_slice_t shadow = {.n_contexts = config->n_contexts};
    rk_err_t rc = rk_slice_plan_make (&shadow.plan, config, err);
    *bytes = rc ? 0 : rk_slice_bytes (&shadow);
    rk_slice_plan_clear (&shadow.plan);
    return rc;
}

/* ---- places to pointers */

static const float *s_read (const rk_slice_t *self, const s_buffers_t *b, rk_place_t place)
{
    switch (place.region) {
    case RK_AT_IN:
        return b->context->in[place.idx];
    case RK_AT_OUT:
        return b->context->out[place.idx];
    case RK_AT_GOUT:
        return b->gout[place.idx];
    case RK_AT_GIN:
        return b->gin[place.idx];
    case RK_AT_STASH:
        return (const float *) (const void *) (b->context->stash + place.offset);
    case RK_AT_WORK:
        return (const float *) (const void *) (self->work + place.offset);
    case RK_AT_NOWHERE:
        break;
    }
    return NULL;
}

static float *s_write (const rk_slice_t *self, const s_buffers_t *b, rk_place_t place)
{
    switch (place.region) {
    case RK_AT_OUT:
        return b->context->out[place.idx];
    case RK_AT_GIN:
        return b->gin[place.idx];
    case RK_AT_STASH:
        return (float *) (void *) (b->context->stash + place.offset);
    case RK_AT_WORK:
        return (float *) (void *) (self->work + place.offset);
    default:
        return NULL;
    }
}

/* Where the tied tensor lies in a vector of this slice: with its owner, or behind the slice's range. */
static size_t s_tied_at (const rk_slice_t *self)
{
    const rk_model_t *model = self->plan.model;
    const rk_tie_t *tie = rk_model_tie (model);
    const size_t base = rk_model_flat_at (model, self->plan.first);
    return (tie->owner >= self->plan.first ? tie->offset : rk_model_flat_at (model, self->plan.last)) - base;
}

/* What is the same for every call of layer i but the forward's, which keeps elsewhere what will be made again. */
static rk_layer_call_t s_call (const rk_slice_t *self, const s_buffers_t *b, int i, const float *flat)
{
    const rk_layer_t *layer = rk_model_layer (self->plan.model, self->plan.first + i);
    return (rk_layer_call_t) {
        .layer = layer,
        .index = self->plan.first + i,
        .n = b->context->n,
        .pool = self->pool,
        .mode = RK_MODE_TRAIN,
        .seed = self->seed,
        .f = b->context->f,
        .params = flat + (layer->flat_at - rk_model_flat_at (self->plan.model, self->plan.first)),
        .save = s_write (self, b, self->plan.layers[i].back_save),
        .tied = rk_layer_has (layer, RK_IS_TIED) ? flat + s_tied_at (self) : NULL,
    };
}

/* ---- forward */

static rk_err_t s_check_labels (const rk_slice_t *self, const rk_forward_t *call, rk_error_t *err)
{
    const rk_layer_t *top = rk_model_layer (self->plan.model, self->plan.last - 1);
    if (!rk_layer_has (top, RK_IS_LOSS))
        return RK_OK;
    if (!call->labels && call->mode == RK_MODE_EVAL)
        return RK_OK; /* prediction: probabilities only */
    if (!call->labels)
        return rk_error_set (err, RK_EINVAL, "minibatch %llu has no labels", (unsigned long long) call->f);
    rk_err_t rc = rk_labels_check (&top->labels, call->n, call->labels, err);
    return rc ? rk_error_wrap (err, rc, "minibatch %llu", (unsigned long long) call->f) : RK_OK;
}

static rk_err_t s_check_forward (const rk_slice_t *self, const rk_forward_t *call, rk_error_t *err)
{
    const unsigned long long f = call->f;
    if (call->ctx < 0 || call->ctx >= self->n_contexts)
        return rk_error_set (err, RK_EINVAL, "minibatch %llu: context %d of %d", f, call->ctx, self->n_contexts);
    if (self->contexts[call->ctx].state != CTX_FREE)
        return rk_error_set (err, RK_EINVAL, "minibatch %llu: context %d still holds minibatch %llu", f, call->ctx,
                             (unsigned long long) self->contexts[call->ctx].f);
    if (self->between >= 0)
        return rk_error_set (err, RK_ESTATE, "minibatch %llu: parameter gradients of minibatch %llu are due first", f,
                             (unsigned long long) self->contexts[self->between].f);
    if (call->n < 1 || call->n > self->plan.batch)
        return rk_error_set (err, RK_EINVAL, "minibatch %llu has %zu samples, 1..%zu are allowed", f, call->n,
                             self->plan.batch);
    if (self->plan.first == 0) {
        rk_err_t rc = rk_model_check_input (self->plan.model, call->n, call->in[0], err);
        if (rc)
            return rk_error_wrap (err, rc, "minibatch %llu", f);
    }
    return s_check_labels (self, call, err);
}

/* Views of the caller's input are read as well: it may be what is wrong. */
static void s_look (const rk_slice_t *self, int i, const rk_layer_call_t *call, const rk_forward_t *forward, bool *found)
{
    const size_t n = call->n * call->layer->elems;
    bool finite = true;
    if (rk_layer_has (call->layer, RK_IS_LOSS))
        finite = !call->loss || isfinite (call->loss->loss_sum);
    else
        for (size_t k = 0; k < n && call->y; k++)
            finite = finite && isfinite (call->y[k]);
    if (finite || *found)
        return;
    *found = true;
    *forward->bad_layer = self->plan.first + i;
}

static void s_forward_layer (const rk_slice_t *self, const s_buffers_t *b, int i, const rk_forward_t *forward,
                             bool *found)
{
    const rk_layer_plan_t *p = &self->plan.layers[i];
    rk_layer_call_t call = s_call (self, b, i, forward->flat);
    for (int k = 0; k < call.layer->n_in; k++)
        call.x[k] = s_read (self, b, p->x[k]);
    /* A view of the caller's input keeps its place, which only a copy would write. */
    call.y = p->y.region == RK_AT_IN ? (float *) (uintptr_t) call.x[0] : s_write (self, b, p->y);
    call.save = s_write (self, b, p->save);
    call.work = s_write (self, b, p->work_forward);
    call.mode = forward->mode;
    if (forward->stats)
        call.stats = forward->stats + (call.params - forward->flat);
    call.labels = forward->labels;
    call.loss = forward->loss;
    call.probabilities = forward->probabilities;
    rk_layer_forward (&call);
    if (forward->bad_layer)
        s_look (self, i, &call, forward, found);
}

rk_err_t rk_slice_forward (rk_slice_t *self, const rk_forward_t *forward, rk_error_t *err)
{
    rk_err_t rc = s_check_forward (self, forward, err);
    if (rc)
        return rc;
    s_context_t *context = &self->contexts[forward->ctx];
    context->f = forward->f;
    context->n = forward->n;
    context->loss_scale = 1;
    context->fresh = false;
    for (int i = 0; i < self->plan.n_in; i++)
        context->in[i] = forward->in[i];
    for (int o = 0; o < self->plan.n_out; o++)
        context->out[o] = forward->out[o];
    const s_buffers_t buffers = {.context = context};
    bool found = false;
    for (int i = 0; i < self->plan.n_layers; i++)
        s_forward_layer (self, &buffers, i, forward, &found);
    for (int c = 0; c < self->plan.n_value_copies; c++) {
        const rk_copy_plan_t *copy = &self->plan.value_copies[c];
        float *to = s_write (self, &buffers, copy->to);
        if (to)
            memcpy (to, s_read (self, &buffers, copy->from), context->n * copy->elems * sizeof *to);
    }
    context->state = forward->mode == RK_MODE_TRAIN ? CTX_FORWARD : CTX_FREE;
    return RK_OK;
}

/* ---- backward */

static rk_err_t s_check_backward (const rk_slice_t *self, int ctx, s_state_t state, rk_error_t *err)
{
    if (ctx < 0 || ctx >= self->n_contexts)
        return rk_error_set (err, RK_EINVAL, "context %d of %d", ctx, self->n_contexts);
    if (self->contexts[ctx].state != state || (self->between >= 0 && self->between != ctx))
        return rk_error_set (err, RK_ESTATE, "context %d (minibatch %llu) is not ready for its %s gradients", ctx,
                             (unsigned long long) self->contexts[ctx].f, state == CTX_FORWARD ? "input" : "parameter");
    return RK_OK;
}

/* Recompute: the values the backward reads, once more. Statistics do not move a second time. */
static void s_replay (const rk_slice_t *self, const s_buffers_t *b, const float *flat)
{
    for (int i = 0; i < self->plan.n_layers; i++) {
        const rk_layer_plan_t *p = &self->plan.layers[i];
        if (!p->replay)
            continue;
        rk_layer_call_t call = s_call (self, b, i, flat);
        for (int k = 0; k < call.layer->n_in; k++)
            call.x[k] = s_read (self, b, p->back_x[k]);
        call.y = s_write (self, b, p->back_y);
        call.work = s_write (self, b, p->work_replay);
        rk_layer_forward (&call);
    }
}

/* The part of a call that both backward passes share. */
static rk_layer_call_t s_backward_call (const rk_slice_t *self, const s_buffers_t *b, int i, const float *flat)
{
    const rk_layer_plan_t *p = &self->plan.layers[i];
    rk_layer_call_t call = s_call (self, b, i, flat);
    for (int k = 0; k < call.layer->n_in; k++)
        call.x[k] = s_read (self, b, p->back_x[k]);
    /* Layers take y as what they wrote; in the backward they only read it. */
    call.y = (float *) (uintptr_t) s_read (self, b, p->back_y);
    call.gy = s_read (self, b, p->gy);
    return call;
}

static void s_backward_layer (const rk_slice_t *self, const s_buffers_t *b, int i, const float *flat)
{
    const rk_layer_plan_t *p = &self->plan.layers[i];
    rk_layer_call_t call = s_backward_call (self, b, i, flat);
    bool wanted = rk_layer_has (call.layer, RK_PARAMS_FROM_SAVE);
    for (int k = 0; k < call.layer->n_in; k++) {
        call.gx[k] = s_write (self, b, p->gx[k].write);
        wanted = wanted || call.gx[k];
    }
    call.work = s_write (self, b, p->work_input);
    if (wanted && call.layer->type->backward_input)
        rk_layer_backward_input (&call);
    if (b->context->loss_scale != 1 && rk_layer_has (call.layer, RK_IS_LOSS) && call.gx[0])
        rk_vec ()->scale (call.n * call.layer->in_elems[0], b->context->loss_scale, call.gx[0], call.gx[0]);
    for (int k = 0; k < call.layer->n_in; k++) {
        const rk_gx_plan_t *gx = &p->gx[k];
        if (gx->sum.region == RK_AT_NOWHERE)
            continue;
        const float *mine = call.gx[k] ? call.gx[k] : call.gy;
        rk_vec ()->add (call.n * call.layer->in_elems[k], mine, s_read (self, b, gx->add), s_write (self, b, gx->sum));
    }
}

void rk_slice_scale_loss (rk_slice_t *self, int ctx, float scale)
{
    assert (ctx >= 0 && ctx < self->n_contexts);
    self->contexts[ctx].loss_scale = scale;
}

rk_err_t rk_slice_backward_input (rk_slice_t *self, int ctx, const float *flat, const float *const *gout,
                                  float *const *gin, rk_error_t *err)
{
    rk_err_t rc = s_check_backward (self, ctx, CTX_FORWARD, err);
    if (rc)
        return rc;
    s_context_t *context = &self->contexts[ctx];
    for (int o = 0; o < self->plan.n_out; o++)
        context->gout[o] = self->plan.out[o].needs_grad ? gout[o] : NULL;
    const s_buffers_t buffers = {context, context->gout, gin};
    if (self->plan.recompute)
        s_replay (self, &buffers, flat);
    for (int i = self->plan.n_layers - 1; i >= 0; i--)
        if (self->plan.layers[i].backward)
            s_backward_layer (self, &buffers, i, flat);
    for (int c = 0; c < self->plan.n_grad_copies; c++) {
        const rk_copy_plan_t *copy = &self->plan.grad_copies[c];
        float *to = s_write (self, &buffers, copy->to);
        memcpy (to, s_read (self, &buffers, copy->from), context->n * copy->elems * sizeof *to);
    }
    context->state = CTX_INPUT;
    self->between = ctx;
    return RK_OK;
}

void rk_slice_begin_grads (rk_slice_t *self, int ctx)
{
    assert (ctx >= 0 && ctx < self->n_contexts);
    self->contexts[ctx].fresh = true;
}

/* Zeros for layers that add, before any of them runs: one may add to another's part. */
static void s_clear_grads (const rk_slice_t *self, float *grads)
{
    const size_t base = rk_model_flat_at (self->plan.model, self->plan.first);
    for (int i = 0; i < self->plan.n_layers; i++) {
        const rk_layer_t *layer = rk_model_layer (self->plan.model, self->plan.first + i);
        if (!rk_layer_has (layer, RK_SETS_GRADS) || !self->plan.layers[i].backward)
            memset (grads + (layer->flat_at - base), 0, layer->flat_len * sizeof *grads);
    }
}

rk_err_t rk_slice_backward_params (rk_slice_t *self, int ctx, const float *flat, float *grads, rk_error_t *err)
{
    rk_err_t rc = s_check_backward (self, ctx, CTX_INPUT, err);
    if (rc)
        return rc;
    s_context_t *context = &self->contexts[ctx];
    const s_buffers_t buffers = {context, context->gout, NULL};
    if (context->fresh)
        s_clear_grads (self, grads);
    for (int i = self->plan.n_layers - 1; i >= 0; i--) {
        const rk_layer_t *layer = rk_model_layer (self->plan.model, self->plan.first + i);
        if (!self->plan.layers[i].backward || !layer->type->backward_params)
            continue;
        rk_layer_call_t call = s_backward_call (self, &buffers, i, flat);
        call.work = s_write (self, &buffers, self->plan.layers[i].work_params);
        call.grads = grads + (call.params - flat);
        call.fresh = context->fresh;
        call.tied_grads = call.tied ? grads + (call.tied - flat) : NULL;
        call.layer->type->backward_params (&call);
    }
    context->state = CTX_DONE;
    self->between = -1;
    return RK_OK;
}

void rk_slice_release (rk_slice_t *self, int ctx)
{
    assert (ctx >= 0 && ctx < self->n_contexts);
    self->contexts[ctx].state = CTX_FREE;
    if (self->between == ctx)
        self->between = -1;
}
