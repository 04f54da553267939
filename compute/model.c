/* SPDX-License-Identifier: MPL-2.0
 * Building and sealing a model; compute/model_query.c answers questions about a sealed one.          */
#include "compute/model_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/rng.h"

rk_model_t *rk_model_new (rk_shape_t input)
{
    rk_model_t *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->input = input;
    self->tie.owner = -1;
    snprintf (self->name, sizeof self->name, "custom");
    if (rk_shape_elems (input) == 0) {
        char text[RK_SHAPE_TEXT];
        rk_error_set (&self->error, RK_ESHAPE, "input shape %s is empty or too large", rk_shape_text (input, text));
    }
    return self;
}

void rk_model_destroy (rk_model_t **model_p)
{
    rk_model_t *self = model_p ? *model_p : NULL;
    if (!self)
        return;
    for (int l = 0; l < self->n_layers; l++)
        free (self->layers[l].name);
    for (size_t p = 0; p < self->n_params; p++)
        free ((char *) self->params[p].name);
    free (self->layers);
    free (self->params);
    free (self->tensors);
    free (self->shares);
    free (self);
    *model_p = NULL;
}

static bool s_known_name (const rk_model_t *self, const char *name)
{
    for (int l = 0; l < self->n_layers; l++)
        if (strcmp (self->layers[l].name, name) == 0)
            return true;
    return false;
}

static rk_err_t s_grow (rk_model_t *self)
{
    if (self->n_layers < self->capacity)
        return RK_OK;
    int capacity = self->capacity ? self->capacity * 2 : 16;
    rk_layer_t *layers = realloc (self->layers, (size_t) capacity * sizeof *layers);
    if (!layers)
        return rk_error_set (&self->error, RK_ENOMEM, "no memory for %d layers", capacity);
    self->layers = layers;
    self->capacity = capacity;
    return RK_OK;
}

/* Everything that can be wrong with a layer before its kind looks at it. */
static rk_err_t s_check_append (rk_model_t *self, const rk_layer_t *layer)
{
    if (self->sealed)
        return rk_error_set (&self->error, RK_ESTATE, "the model is sealed");
    if (self->n_layers > 0 && rk_layer_has (&self->layers[self->n_layers - 1], RK_IS_LOSS))
        return rk_error_set (&self->error, RK_EINVAL, "nothing may follow the loss");
    if (layer->type->check_input && self->n_layers > 0)
        return rk_error_set (&self->error, RK_EINVAL, "only the first layer of a model reads token ids");
    if (s_known_name (self, layer->name))
        return rk_error_set (&self->error, RK_EINVAL, "the name is taken by an earlier layer");
    for (int i = 0; i < layer->n_in; i++)
        if (layer->in[i] < 0 || layer->in[i] > self->n_layers)
            return rk_error_set (&self->error, RK_EINVAL, "input %d is tensor %d, valid are 0..%d", i, layer->in[i],
                                 self->n_layers);
    return s_grow (self);
}

static rk_err_t s_infer (rk_model_t *self, rk_layer_t *layer)
{
    for (int i = 0; i < layer->n_in; i++) {
        layer->in_shape[i] = layer->in[i] == 0 ? self->input : self->layers[layer->in[i] - 1].shape;
        layer->in_elems[i] = rk_shape_elems (layer->in_shape[i]);
    }
    rk_err_t rc = layer->type->infer (layer, &self->error);
    if (rc)
        return rc;
    layer->elems = rk_layer_has (layer, RK_IS_LOSS) ? 0 : rk_shape_elems (layer->shape);
    if (layer->elems == 0 && !rk_layer_has (layer, RK_IS_LOSS)) {
        char text[RK_SHAPE_TEXT];
        return rk_error_set (&self->error, RK_ESHAPE, "output %s is empty or too large",
                             rk_shape_text (layer->shape, text));
    }
    for (int p = 0; p < layer->n_params; p++)
        if (rk_shape_elems (layer->param[p].shape) == 0)
            return rk_error_set (&self->error, RK_ESHAPE, "%s is empty or too large", layer->param[p].name);
    return RK_OK;
}

int rk_model_append (rk_model_t *self, const rk_layer_type_t *type, const char *name, int n_in, const int *in,
                     rk_layer_config_t config)
{
    if (!self || self->error.code)
        return -1;
    if (n_in < 1 || n_in > RK_LAYER_MAX_IN) {
        rk_error_set (&self->error, RK_EINVAL, "layer %s (%s): %d inputs, 1..%d are allowed", name, type->kind, n_in,
                      RK_LAYER_MAX_IN);
        return -1;
    }
    rk_layer_t layer = {.type = type, .config = config, .n_in = n_in};
    layer.name = strdup (name);
    if (!layer.name) {
        rk_error_set (&self->error, RK_ENOMEM, "no memory for layer %s", name);
        return -1;
    }
    memcpy (layer.in, in, (size_t) n_in * sizeof *in);
    if (s_check_append (self, &layer) || s_infer (self, &layer)) {
        rk_error_wrap (&self->error, RK_EINVAL, "layer %s (%s)", layer.name, type->kind);
        free (layer.name);
        return -1;
    }
    self->layers[self->n_layers] = layer;
    return ++self->n_layers;
}

/* ---- sealing */

static rk_err_t s_list_params (rk_model_t *self)
{
    size_t n = 0, at = 0;
    for (int l = 0; l < self->n_layers; l++)
        n += (size_t) self->layers[l].n_params;
    self->params = calloc (n ? n : 1, sizeof *self->params);
    if (!self->params)
        return RK_ENOMEM;
    for (int l = 0; l < self->n_layers; l++) {
        rk_layer_t *layer = &self->layers[l];
        layer->flat_at = at;
        layer->first_param = self->n_params;
        for (int p = 0; p < layer->n_params; p++) {
            const rk_param_spec_t *spec = &layer->param[p];
            char *name = NULL;
            if (asprintf (&name, "%s.%s", layer->name, spec->name) < 0)
                return RK_ENOMEM;
            size_t count = rk_shape_elems (spec->shape);
            self->params[self->n_params++] = (rk_param_t) {name, l, at, count, spec->shape, spec->trainable};
            self->n_trainable += spec->trainable ? count : 0;
            layer->offset[p] = at - layer->flat_at;
            at += rk_flat_round (count);
        }
        layer->flat_len = at - layer->flat_at;
    }
    self->flat_len = at;
    return RK_OK;
}

static rk_err_t s_list_tie (rk_model_t *self, rk_error_t *err)
{
    for (int l = 0; l < self->n_layers; l++) {
        const rk_layer_t *layer = &self->layers[l];
        if (!rk_layer_has (layer, RK_IS_TIED))
            continue;
        if (self->tie.owner >= 0)
            return rk_error_set (err, RK_EINVAL, "layers %s and %s are both tied, a model has one tied tensor at most",
                                 self->layers[self->tie.reader].name, layer->name);
        const size_t param = self->layers[layer->config.tied].first_param;
        self->tie = (rk_tie_t) {layer->config.tied, l, param, self->params[param].offset, self->params[param].count};
    }
    return RK_OK;
}

static bool s_trains (const rk_layer_t *layer)
{
    for (int p = 0; p < layer->n_params; p++)
        if (layer->param[p].trainable)
            return true;
    return false;
}

static rk_err_t s_list_tensors (rk_model_t *self)
{
    self->tensors = calloc ((size_t) self->n_layers + 1, sizeof *self->tensors);
    if (!self->tensors)
        return RK_ENOMEM;
    self->tensors[0].last_reader = -1;
    for (int l = 0; l < self->n_layers; l++) {
        const rk_layer_t *layer = &self->layers[l];
        rk_tensor_info_t *out = &self->tensors[l + 1];
        *out = (rk_tensor_info_t) {.needs_grad = s_trains (layer), .last_reader = -1};
        for (int i = 0; i < layer->n_in; i++) {
            rk_tensor_info_t *in = &self->tensors[layer->in[i]];
            in->n_readers++;
            in->last_reader = l;
            out->needs_grad = out->needs_grad || in->needs_grad;
        }
    }
    return RK_OK;
}

static rk_err_t s_check_graph (const rk_model_t *self, rk_error_t *err)
{
    if (self->n_layers == 0 || !rk_layer_has (&self->layers[self->n_layers - 1], RK_IS_LOSS))
        return rk_error_set (err, RK_EINVAL, "the last layer of a model must be a loss");
    for (int t = 0; t < self->n_layers; t++)
        if (self->tensors[t].n_readers == 0)
            return rk_error_set (err, RK_EINVAL, "the output of %s is read by no layer",
                                 t ? self->layers[t - 1].name : "the input");
    for (int cut = 0; cut <= self->n_layers; cut++) {
        int n = 0;
        for (int t = 0; t <= cut; t++)
            n += self->tensors[t].last_reader >= cut;
        if (n > RK_MAX_BOUNDARY)
            return rk_error_set (err, RK_ESHAPE, "%d tensors cross the cut before layer %s, at most %d may", n,
                                 self->layers[cut].name, RK_MAX_BOUNDARY);
    }
    return RK_OK;
}

rk_err_t rk_model_seal (rk_model_t *self, rk_error_t *err)
{
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "no memory for a model");
    if (self->error.code)
        return rk_error_set (err, self->error.code, "%s", self->error.text);
    if (self->sealed)
        return RK_OK;
    if (s_list_params (self) || s_list_tensors (self))
        return rk_error_set (err, RK_ENOMEM, "no memory for a model of %d layers", self->n_layers);
    rk_err_t rc = s_check_graph (self, err);
    if (!rc)
        rc = s_list_tie (self, err);
    if (rc)
        return rc;
    self->sealed = true;
    self->shares = calloc ((size_t) self->n_layers, sizeof *self->shares);
    if (!self->shares || rk_slice_shares (self, self->shares))
        return rk_error_set (err, RK_ENOMEM, "no memory for a model of %d layers", self->n_layers);
    return RK_OK;
}

/* ---- initial values */

void rk_model_normal (rk_model_t *self, int tensor, float deviation)
{
    if (!self || self->error.code || tensor < 1 || tensor > self->n_layers)
        return; /* the error of the builder that gave -1 is what is reported */
    rk_layer_t *layer = &self->layers[tensor - 1];
    for (int p = 0; p < layer->n_params; p++) {
        rk_param_spec_t *spec = &layer->param[p];
        spec->init = spec->shape.n_dims > 1 ? RK_INIT_NORMAL : RK_INIT_ZERO;
        spec->bound = deviation;
    }
}

static void s_init_param (const rk_model_t *self, uint64_t seed, size_t idx, float *values)
{
    const rk_param_t *param = &self->params[idx];
    const rk_layer_t *layer = &self->layers[param->layer];
    const rk_param_spec_t *spec = &layer->param[idx - layer->first_param];
    const uint64_t stream = rk_rng_stream (RK_RNG_INIT, idx);
    switch (spec->init) {
    case RK_INIT_ZERO:
        break;
    case RK_INIT_ONE:
        for (size_t i = 0; i < param->count; i++)
            values[i] = 1.0f;
        break;
    case RK_INIT_UNIFORM:
        rk_rng_uniform (seed, stream, 0, param->count, -spec->bound, spec->bound, values);
        break;
    case RK_INIT_NORMAL:
        rk_rng_normal (seed, stream, 0, param->count, 0, spec->bound, values);
        break;
    }
}

void rk_model_init (const rk_model_t *self, uint64_t seed, int first, int last, float *flat)
{
    const size_t base = rk_model_flat_at (self, first), len = rk_model_slice_len (self, first, last);
    memset (flat, 0, len * sizeof *flat);
    for (size_t p = 0; p < self->n_params; p++)
        if (self->params[p].layer >= first && self->params[p].layer < last)
            s_init_param (self, seed, p, flat + (self->params[p].offset - base));
    if (rk_model_n_tied (self, first, last))
        s_init_param (self, seed, self->tie.param, flat + (rk_model_flat_at (self, last) - base));
}
