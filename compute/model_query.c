/* SPDX-License-Identifier: MPL-2.0 */
#include <assert.h>

#include "compute/model_impl.h"

int rk_model_n_layers (const rk_model_t *self)
{
    return self->n_layers;
}

const char *rk_model_name (const rk_model_t *self)
{
    return self->name;
}

const char *rk_model_layer_name (const rk_model_t *self, int layer)
{
    return self->layers[layer].name;
}

const char *rk_model_layer_kind (const rk_model_t *self, int layer)
{
    return self->layers[layer].type->kind;
}

rk_shape_t rk_model_tensor_shape (const rk_model_t *self, int tensor)
{
    return tensor == 0 ? self->input : self->layers[tensor - 1].shape;
}

size_t rk_model_n_classes (const rk_model_t *self)
{
    return rk_model_labels (self)->n_classes;
}

size_t rk_model_n_outputs (const rk_model_t *self)
{
    return self->layers[self->n_layers - 1].in_elems[0];
}

size_t rk_model_n_labels (const rk_model_t *self)
{
    return rk_model_labels (self)->n;
}

const rk_labels_t *rk_model_labels (const rk_model_t *self)
{
    return &self->layers[self->n_layers - 1].labels;
}

size_t rk_model_n_tokens (const rk_model_t *self)
{
    return self->layers[0].type->check_input ? self->layers[0].config.rows : 0;
}

rk_err_t rk_model_check_input (const rk_model_t *self, size_t n, const void *x, rk_error_t *err)
{
    const rk_layer_t *layer = &self->layers[0];
    return layer->type->check_input ? layer->type->check_input (layer, n, x, err) : RK_OK;
}

size_t rk_model_n_params (const rk_model_t *self)
{
    return self->n_trainable;
}

size_t rk_model_flat_at (const rk_model_t *self, int layer)
{
    assert (self->sealed && layer >= 0 && layer <= self->n_layers);
    return layer == self->n_layers ? self->flat_len : self->layers[layer].flat_at;
}

size_t rk_model_n_tensors (const rk_model_t *self)
{
    return self->n_params;
}

const rk_param_t *rk_model_param (const rk_model_t *self, size_t idx)
{
    assert (idx < self->n_params);
    return &self->params[idx];
}

const rk_layer_t *rk_model_layer (const rk_model_t *self, int layer)
{
    return &self->layers[layer];
}

bool rk_model_needs_grad (const rk_model_t *self, int tensor)
{
    return self->tensors[tensor].needs_grad;
}

int rk_model_n_readers (const rk_model_t *self, int tensor)
{
    return self->tensors[tensor].n_readers;
}

int rk_model_last_reader (const rk_model_t *self, int tensor)
{
    return self->tensors[tensor].last_reader;
}

const rk_tie_t *rk_model_tie (const rk_model_t *self)
{
    return self->tie.owner >= 0 ? &self->tie : NULL;
}

size_t rk_model_n_tied (const rk_model_t *self, int first, int last)
{
    const rk_tie_t *tie = &self->tie;
    const bool reads = tie->owner >= 0 && tie->reader >= first && tie->reader < last;
    return reads && tie->owner < first ? rk_flat_round (tie->count) : 0;
}

size_t rk_model_slice_len (const rk_model_t *self, int first, int last)
{
    return rk_model_flat_at (self, last) - rk_model_flat_at (self, first) + rk_model_n_tied (self, first, last);
}

int rk_model_boundary (const rk_model_t *self, int cut, int from, rk_boundary_t out[RK_MAX_BOUNDARY])
{
    assert (self->sealed && cut >= 0 && cut <= self->n_layers);
    int n = 0;
    for (int t = 0; t <= cut; t++) {
        if (self->tensors[t].last_reader < cut)
            continue;
        assert (n < RK_MAX_BOUNDARY); /* rk_model_seal checked every cut */
        out[n++] = (rk_boundary_t) {
            .tensor = t,
            .elems = rk_shape_elems (rk_model_tensor_shape (self, t)),
            .needs_grad = self->tensors[t].needs_grad,
            .passes_through = from > 0 && from < cut && t <= from,
        };
    }
    return n;
}

/* Values and gradient of the copy that the reader of a tied tensor has if a cut parts it from the owner: once per
 * stage, as are kept gradients.                                                                       */
static uint64_t s_tie_bytes (const rk_model_t *self, int layer)
{
    return 2 * sizeof (float) * (uint64_t) rk_model_n_tied (self, layer, layer + 1);
}

void rk_model_cost (const rk_model_t *self, int layer, size_t batch, rk_layer_cost_t *out)
{
    const rk_layer_t *l = &self->layers[layer];
    rk_layer_need_t need = {.n_threads = 1};
    l->type->need (l, batch, &need);
    const rk_slice_share_t share = self->shares[layer];
    *out = (rk_layer_cost_t) {
        .forward_flops = need.forward_flops,
        .backward_flops = need.backward_flops,
        .output_bytes = (uint64_t) l->elems * batch * sizeof (float),
        .stash_bytes = (uint64_t) share.stash_elems * batch * sizeof (float) + need.save_bytes,
        .grad_bytes = (uint64_t) share.grad_elems * batch * sizeof (float) + s_tie_bytes (self, layer),
        .work_bytes = (uint64_t) share.work_elems * batch * sizeof (float) + need.work_bytes,
    };
}
