/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/layers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compute/arena.h"
#include "compute/rng.h"
#include "tests/support/must.h"

static float *s_floats (size_t n)
{
    float *x = rk_arena_memory (n * sizeof *x);
    RK_MUST_HOLD (x);
    return x;
}

static void s_spread (float *x, size_t n, uint64_t seed)
{
    const rk_permutation_t order = rk_rng_permutation (seed, 0, n);
    for (size_t i = 0; i < n; i++)
        x[i] = 0.05f * ((float) rk_permutation_at (&order, i) - (float) (n / 2) + 0.5f);
}

/* Every third label is one to be ignored, if there is such a thing. */
static void *s_labels (const rk_labels_t *want, size_t n_samples)
{
    const size_t n = n_samples * want->n;
    int32_t *labels = rk_arena_memory (n * RK_LABEL_BYTES);
    RK_MUST_HOLD (labels);
    for (size_t i = 0; i < n && want->kind == RK_LABEL_CLASS; i++)
        labels[i] = want->ignores && i % 3 == 1 ? want->ignore : (int32_t) ((2 * i + 1) % want->n_classes);
    if (want->kind == RK_LABEL_TARGET)
        rk_rng_uniform (3, rk_rng_stream (RK_RNG_TEST, 10), 0, n, fmaxf (want->low, -2), fminf (want->high, 2),
                        (float *) (void *) labels);
    return labels;
}

rk_check_t *rk_check_new (rk_model_t *model, int first, int last)
{
    return rk_check_new_n (model, first, last, RK_CHECK_BATCH);
}

rk_check_t *rk_check_new_n (rk_model_t *model, int first, int last, size_t n)
{
    rk_error_t err = {0};
    rk_check_t *self = calloc (1, sizeof *self);
    rk_must (rk_model_seal (model, &err), &err);
    self->model = model;
    self->n = n;
    self->first = first;
    self->last = last;
    const rk_slice_config_t config = {.model = model, .first = first, .last = last, .batch = n, .n_contexts = 1,
                                      .seed = 5};
    rk_must (rk_slice_new (&self->slice, &config, &err), &err);
    rk_boundary_t boundary[RK_MAX_BOUNDARY];
    self->n_in = rk_model_boundary (model, first, first, boundary);
    RK_MUST_HOLD (self->n_in >= 1 && self->n_in <= RK_CHECK_MAX_IN);
    for (int i = 0; i < self->n_in; i++) {
        RK_MUST_HOLD (boundary[i].needs_grad);
        self->in_len[i] = n * boundary[i].elems;
        self->in[i] = s_floats (self->in_len[i]);
        self->gin[i] = s_floats (self->in_len[i]);
        s_spread (self->in[i], self->in_len[i], (uint64_t) i + 1);
    }
    self->loss = last == rk_model_n_layers (model);
    if (!self->loss) {
        RK_MUST_HOLD (rk_model_boundary (model, last, first, boundary) == 1);
        self->out_len = n * boundary[0].elems;
    }
    self->out = s_floats (self->out_len);
    self->c = s_floats (self->out_len);
    rk_rng_uniform (3, rk_rng_stream (RK_RNG_TEST, 8), 0, self->out_len, -1, 1, self->c);
    self->flat_len = rk_model_slice_len (model, first, last);
    self->flat = s_floats (self->flat_len);
    self->grads = s_floats (self->flat_len);
    rk_rng_uniform (3, rk_rng_stream (RK_RNG_TEST, 9), 0, self->flat_len, -1, 1, self->flat);
    self->labels = s_labels (rk_model_labels (model), n);
    return self;
}

/* All but the model, which is given back. */
static rk_model_t *s_free (rk_check_t *self)
{
    rk_model_t *model = self->model;
    rk_slice_destroy (&self->slice);
    for (int i = 0; i < self->n_in; i++) {
        free (self->in[i]);
        free (self->gin[i]);
    }
    free (self->out);
    free (self->c);
    free (self->flat);
    free (self->labels);
    free (self->grads);
    free (self);
    return model;
}

void rk_check_destroy (rk_check_t *self)
{
    rk_model_t *model = s_free (self);
    rk_model_destroy (&model);
}

double rk_check_forward (rk_check_t *self)
{
    rk_error_t err = {0};
    rk_loss_t loss = {0};
    float *out[] = {self->out};
    const rk_forward_t call = {.mode = RK_MODE_TRAIN, .f = 17, .n = self->n, .flat = self->flat, .out = out,
                               .in = (const float *const *) self->in, .labels = self->labels, .loss = &loss};
    rk_must (rk_slice_forward (self->slice, &call, &err), &err);
    if (self->loss)
        return loss.loss_sum / (double) loss.n_counted;
    double sum = 0;
    for (size_t i = 0; i < self->out_len; i++)
        sum += (double) self->c[i] * (double) self->out[i];
    return sum;
}

void rk_check_backward (rk_check_t *self)
{
    rk_error_t err = {0};
    const float *gout[] = {self->c};
    memset (self->grads, 0, self->flat_len * sizeof (float));
    rk_check_forward (self);
    rk_must (rk_slice_backward_input (self->slice, 0, self->flat, gout, self->gin, &err), &err);
    rk_must (rk_slice_backward_params (self->slice, 0, self->flat, self->grads, &err), &err);
    rk_slice_release (self->slice, 0);
}

static double s_central (rk_check_t *self, float *at, float step)
{
    const float kept = *at;
    *at = kept + step;
    const double above = rk_check_forward (self), x_above = (double) *at;
    rk_slice_release (self->slice, 0);
    *at = kept - step;
    const double below = rk_check_forward (self), x_below = (double) *at;
    rk_slice_release (self->slice, 0);
    *at = kept;
    return (above - below) / (x_above - x_below);
}

int rk_check_wrong (rk_check_t *self, float *values, const float *grads, size_t n, float step)
{
    double scale = 0;
    int wrong = 0;
    for (size_t i = 0; i < n; i++)
        scale = fmax (scale, fabs ((double) grads[i]));
    for (size_t i = 0; i < n; i++) {
        const double expected = s_central (self, &values[i], step);
        if (!(fabs (expected - (double) grads[i]) <= 2e-3 * scale + 2e-4)) {
            wrong++;
            if (wrong < 4)
                fprintf (stderr, "element %zu: %g, difference quotient %g\n", i, (double) grads[i], expected);
        }
    }
    return wrong;
}

static int s_all_wrong (rk_check_t *self, float step)
{
    int wrong = 0;
    rk_check_backward (self);
    for (int i = 0; i < self->n_in; i++)
        wrong += rk_check_wrong (self, self->in[i], self->gin[i], self->in_len[i], step);
    const size_t base = rk_model_flat_at (self->model, self->first);
    for (size_t p = 0; p < rk_model_n_tensors (self->model); p++) {
        const rk_param_t *param = rk_model_param (self->model, p);
        if (param->layer >= self->first && param->layer < self->last && param->trainable) {
            const size_t at = param->offset - base;
            wrong += rk_check_wrong (self, self->flat + at, self->grads + at, param->count, step);
        }
    }
    return wrong;
}

void rk_check_gradients (rk_model_t *model, int first, int last, float step)
{
    static const size_t batches[] = {1, RK_CHECK_BATCH};
    for (int i = 0; i < 2; i++) {
        rk_check_t *check = rk_check_new_n (model, first, last, batches[i]);
        RK_MUST_HOLD (s_all_wrong (check, step) == 0);
        model = s_free (check);
    }
    rk_model_destroy (&model);
}

rk_model_t *rk_check_head (size_t channels, size_t height, size_t width)
{
    rk_model_t *m = rk_model_new (rk_shape_3 (1, height, width));
    RK_MUST_HOLD (rk_model_conv2d (m, "head", 0, (rk_conv2d_t) {.channels = channels, .kernel = 1, .stride = 1, .padding = 0, .bias = false}) == 1);
    return m;
}

void rk_check_tail (rk_model_t *m, int t)
{
    t = rk_model_flatten (m, "tail.flatten", t);
    t = rk_model_linear (m, "tail", t, 3, false);
    rk_model_softmax_xent (m, "loss", t);
}
