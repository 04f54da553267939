/* SPDX-License-Identifier: MPL-2.0 */
#include "tests/support/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "compute/rng.h"

#define LINE 8192

/* ---- reading */

static bool s_read_shape (char *text, rk_shape_t *shape)
{
    for (char *rest = text, *word; (word = strsep (&rest, " \n")) && *word;) {
        if (shape->n_dims == RK_MAX_DIMS)
            return false;
        shape->dim[shape->n_dims++] = strtoul (word, NULL, 10);
    }
    return shape->n_dims > 0;
}

static int s_read_numbers (char *text, double *out, int most)
{
    int n = 0;
    for (char *end; n < most; text = end, n++) {
        out[n] = strtod (text, &end);
        if (end == text)
            break;
    }
    return n;
}

static bool s_read_tensor (fixture_t *self, char *line)
{
    fixture_tensor_t *tensors = realloc (self->tensors, (self->n_tensors + 1) * sizeof *tensors);
    if (!tensors)
        return false;
    self->tensors = tensors;
    fixture_tensor_t *t = &tensors[self->n_tensors++];
    int at = 0;
    *t = (fixture_tensor_t) {.count = 0};
    if (sscanf (line, "%7s %95s %zu %lf%n", t->kind, t->name, &t->count, &t->norm, &at) != 4)
        return false;
    t->n = s_read_numbers (line + at, t->entry, FIXTURE_SAMPLES);
    return t->count > 0 && (size_t) t->n == (t->count < FIXTURE_SAMPLES ? t->count : FIXTURE_SAMPLES);
}

static bool s_read_line (fixture_t *self, char *line)
{
    if (strncmp (line, "model ", 6) == 0)
        return sscanf (line, "model %63s", self->model) == 1;
    if (strncmp (line, "input ", 6) == 0)
        return s_read_shape (line + 6, &self->input);
    if (strcmp (line, "clear\n") == 0)
        return self->clear = true;
    if (strncmp (line, "run ", 4) == 0)
        return sscanf (line, "run %zu %zu %lu %f %f", &self->n_classes, &self->batch, &self->seed, &self->lr, &self->momentum) == 5;
    if (strncmp (line, "curve ", 6) == 0)
        return s_read_numbers (line + 6, self->curve, FIXTURE_STEPS) == FIXTURE_STEPS;
    return s_read_tensor (self, line);
}

static int s_kind (const char *kind)
{
    return strcmp (kind, "buffer") == 0;
}

static void s_measure (fixture_t *self)
{
    double squares[2] = {0}, counts[2] = {0};
    for (size_t i = 0; i < self->n_tensors; i++) {
        const fixture_tensor_t *t = &self->tensors[i];
        if (strcmp (t->kind, "grad") && strcmp (t->kind, "buffer"))
            continue;
        squares[s_kind (t->kind)] += t->norm * t->norm;
        counts[s_kind (t->kind)] += (double) t->count;
    }
    for (int k = 0; k < 2; k++)
        self->rms[k] = counts[k] > 0 ? sqrt (squares[k] / counts[k]) : 0;
}

int fixture_read (fixture_t *self, const char *path)
{
    static char line[LINE];
    *self = (fixture_t) {.n_tensors = 0};
    gzFile gz = gzopen (path, "rb");
    bool whole = gz != NULL;
    while (whole && gzgets (gz, line, sizeof line))
        whole = s_read_line (self, line);
    whole = whole && self->n_tensors > 0 && self->n_classes > 0;
    if (gz)
        whole = gzclose (gz) == Z_OK && whole;
    s_measure (self);
    return whole ? 0 : -1;
}

void fixture_free (fixture_t *self)
{
    free (self->tensors);
    self->tensors = NULL;
}

const fixture_tensor_t *fixture_find (const fixture_t *self, const char *kind, const char *name)
{
    for (size_t i = 0; i < self->n_tensors; i++)
        if (strcmp (self->tensors[i].kind, kind) == 0 && strcmp (self->tensors[i].name, name) == 0)
            return &self->tensors[i];
    return NULL;
}

/* ---- values that nobody stores */

/* FNV-1a of 64 bits. */
static uint64_t s_stream (const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++)
        h = (h ^ (uint8_t) *name) * 0x100000001b3u;
    return rk_rng_stream (RK_RNG_TEST, h);
}

static bool s_ends_with (const char *text, const char *end)
{
    const size_t n = strlen (text), k = strlen (end);
    return n >= k && strcmp (text + n - k, end) == 0;
}

/* Of a batch normalisation: what follows it is some standard deviations above zero or, unless a sum comes first, below. */
static void s_fill_clear (const fixture_t *self, const rk_param_t *param, float *values)
{
    const bool scale = s_ends_with (param->name, ".weight"), last = strstr (param->name, "bn3") != NULL;
    const float low = scale ? 0.18f : last ? 0.4f : 1, high = scale ? 0.22f : last ? 0.5f : 1.1f;
    rk_rng_uniform (self->seed, s_stream (param->name), 0, param->count, low, high, values);
    for (size_t i = 1; i < param->count && !scale && !last && !strstr (param->name, "downsample"); i += 2)
        values[i] = -values[i];
}

static void s_fill (const fixture_t *self, const rk_param_t *param, float *values)
{
    if (self->clear && param->trainable && param->shape.n_dims == 1 && (strstr (param->name, "bn") || strstr (param->name, "downsample.1"))) {
        s_fill_clear (self, param, values);
        return;
    }
    float low = -0.1f, high = 0.1f;
    if (!param->trainable)
        low = high = s_ends_with (param->name, "running_var") ? 1 : 0;
    else if (param->shape.n_dims > 1) {
        high = (float) (1.0 / sqrt ((double) (param->count / param->shape.dim[0])));
        low = -high;
    }
    else if (s_ends_with (param->name, ".weight")) {
        low = 0.3f;
        high = 0.7f;
    }
    rk_rng_uniform (self->seed, s_stream (param->name), 0, param->count, low, high, values);
}

void fixture_values (const fixture_t *self, const rk_model_t *model, float *flat)
{
    memset (flat, 0, rk_model_flat_at (model, rk_model_n_layers (model)) * sizeof *flat);
    for (size_t p = 0; p < rk_model_n_tensors (model); p++)
        s_fill (self, rk_model_param (model, p), flat + rk_model_param (model, p)->offset);
}

static void s_below (uint64_t seed, uint64_t stream, size_t n, size_t limit, size_t *out)
{
    uint32_t words[4];
    for (size_t i = 0; i < n; i++) {
        if (i % 4 == 0)
            rk_rng_block (seed, stream, i / 4, words);
        out[i] = (size_t) ((uint64_t) words[i % 4] * limit >> 32);
    }
}

void fixture_batch (const fixture_t *self, const rk_model_t *model, uint64_t step, float *x, int32_t *labels)
{
    const uint64_t of_x = rk_rng_stream (RK_RNG_TEST, 2 * step), of_labels = rk_rng_stream (RK_RNG_TEST, 2 * step + 1);
    const size_t n_x = self->batch * rk_shape_elems (self->input), n_labels = self->batch * rk_model_n_labels (model);
    const size_t n_tokens = rk_model_n_tokens (model);
    size_t *chosen = malloc ((n_x + n_labels) * sizeof *chosen);
    if (!chosen)
        abort ();
    rk_rng_uniform (self->seed, of_x, 0, n_x, -1, 1, x);
    s_below (self->seed, of_x, n_tokens ? n_x : 0, n_tokens, chosen);
    for (size_t i = 0; n_tokens && i < n_x; i++)
        x[i] = (float) chosen[i];
    if (rk_model_labels (model)->kind == RK_LABEL_TARGET) {
        rk_rng_uniform (self->seed, of_labels, 0, n_labels, 0, 1, (float *) (void *) labels);
        free (chosen);
        return;
    }
    s_below (self->seed, of_labels, n_labels, self->n_classes, chosen);
    for (size_t i = 0; i < n_labels; i++)
        labels[i] = (int32_t) chosen[i];
    free (chosen);
}

/* ---- comparison */

double fixture_deviation (const fixture_t *self, const fixture_tensor_t *tensor, const float *values)
{
    size_t at[FIXTURE_SAMPLES];
    for (size_t i = 0; i < FIXTURE_SAMPLES; i++)
        at[i] = i;
    if (tensor->count > FIXTURE_SAMPLES)
        s_below (self->seed + 1, s_stream (tensor->name), FIXTURE_SAMPLES, tensor->count, at);
    double norm = 0, worst = 0;
    for (size_t i = 0; i < tensor->count; i++)
        norm += (double) values[i] * (double) values[i];
    /* where no rectifier tells samples apart, a bias before a normalisation has no gradient but rounding */
    const double root = sqrt ((double) tensor->count), least = (self->clear ? 5e-2 : 1e-3) * self->rms[s_kind (tensor->kind)];
    const double scale = fmax (tensor->norm / root, least);
    worst = fabs (sqrt (norm) - tensor->norm) / root;
    for (int i = 0; i < tensor->n; i++)
        worst = fmax (worst, fabs ((double) values[at[i]] - tensor->entry[i]));
    return isfinite (norm) ? worst / scale : INFINITY;
}
