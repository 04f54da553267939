/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/predictions.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLASS_VALUES 2 /* number and probability */

typedef struct {
    float *values; /* (n, n_values); NULL: not here yet */
    uint32_t n, n_values;
} s_batch_t;

/* One sample as a line. values: class and its probability, or all of its outputs. */
typedef void (s_print_t) (FILE *file, bool json, uint64_t sample, size_t n, const float *values);

struct rk_predictions {
    FILE *file;
    char *path, *part; /* final and temporary name; NULL on stdout */
    bool json;
    s_print_t *print;
    uint64_t next, sample; /* first minibatch and sample not yet written */
    uint32_t n_waiting;
    s_batch_t ahead[RK_PREDICTIONS_AHEAD]; /* by f % RK_PREDICTIONS_AHEAD */
};

static rk_err_t s_open (rk_predictions_t *p, const char *path, rk_error_t *err)
{
    if (!strcmp (path, "-")) {
        p->file = stdout;
        return RK_OK;
    }
    size_t size = strlen (path) + 6;
    p->path = strdup (path);
    p->part = malloc (size);
    if (!p->path || !p->part)
        return rk_error_set (err, RK_ENOMEM, "no memory for predictions");
    snprintf (p->part, size, "%s.part", path);
    p->file = fopen (p->part, "w");
    return p->file ? RK_OK : rk_error_set (err, RK_EIO, "%s: %s", p->part, strerror (errno));
}

/* ---- lines */

static void s_print_class (FILE *file, bool json, uint64_t sample, size_t n, const float *values)
{
    (void) n;
    fprintf (file, json ? "{\"index\":%" PRIu64 ",\"class\":%u,\"probability\":%.6g}\n" : "%" PRIu64 ",%u,%.6g\n", sample,
             (unsigned) values[0], (double) values[1]);
}

/* A model of parameters that are no numbers says so; JSON has no word for it but null. */
static void s_print_all (FILE *file, bool json, const char *name, uint64_t sample, size_t n, const float *values)
{
    if (json)
        fprintf (file, "{\"index\":%" PRIu64 ",\"%s\":[", sample, name);
    else
        fprintf (file, "%" PRIu64, sample);
    for (size_t i = 0; i < n; i++)
        if (json && !isfinite (values[i]))
            fprintf (file, "%snull", i ? "," : "");
        else
            fprintf (file, "%s%.9g", json && !i ? "" : ",", (double) values[i]);
    fputs (json ? "]}\n" : "\n", file);
}

static void s_print_shares (FILE *file, bool json, uint64_t sample, size_t n, const float *values)
{
    s_print_all (file, json, "probabilities", sample, n, values);
}

static void s_print_values (FILE *file, bool json, uint64_t sample, size_t n, const float *values)
{
    s_print_all (file, json, "values", sample, n, values);
}

/* The first line of a CSV file; columns of several targets are numbered from 1, as data.label numbers columns. */
static void s_print_header (FILE *file, const rk_labels_t *labels)
{
    const char *name = rk_labels_judged (labels) ? "probability" : "value";
    fputs (labels->kind == RK_LABEL_CLASS ? "index,class,probability" : "index", file);
    for (size_t i = 0; i < labels->n && labels->kind == RK_LABEL_TARGET; i++)
        fprintf (file, labels->n == 1 ? ",%s" : ",%s%zu", name, i + 1);
    fputc ('\n', file);
}

rk_err_t rk_predictions_new (rk_predictions_t **predictions_p, const char *path, bool json, const rk_labels_t *labels, rk_error_t *err)
{
    rk_predictions_t *p = *predictions_p = calloc (1, sizeof *p);
    if (!p)
        return rk_error_set (err, RK_ENOMEM, "no memory for predictions");
    p->json = json;
    p->print = labels->kind == RK_LABEL_CLASS ? s_print_class : rk_labels_judged (labels) ? s_print_shares : s_print_values;
    rk_err_t code = s_open (p, path, err);
    if (!code && !json)
        s_print_header (p->file, labels);
    if (code)
        rk_predictions_destroy (predictions_p);
    return code;
}

void rk_predictions_destroy (rk_predictions_t **predictions_p)
{
    rk_predictions_t *p = *predictions_p;
    if (!p)
        return;
    if (p->file && p->path) {
        fclose (p->file);
        unlink (p->part);
    }
    for (size_t i = 0; i < RK_PREDICTIONS_AHEAD; i++)
        free (p->ahead[i].values);
    free (p->path);
    free (p->part);
    free (p);
    *predictions_p = NULL;
}

/* What is printed of outputs: the most probable class of each sample (a float holds every class exactly), or all. */
static float *s_keep (const s_batch_t *batch, bool classes, uint32_t n_outputs, const void *outputs)
{
    const size_t n = (size_t) batch->n * n_outputs;
    float *values = calloc (batch->n ? batch->n : 1, batch->n_values * sizeof *values);
    if (!values || !classes)
        return values && n ? memcpy (values, outputs, n * sizeof *values) : values;
    for (size_t i = 0; i < n; i++) {
        float x, *line = values + i / n_outputs * CLASS_VALUES;
        memcpy (&x, (const char *) outputs + i * sizeof x, sizeof x);
        if (i % n_outputs == 0 || x > line[1]) {
            line[0] = (float) (i % n_outputs);
            line[1] = x;
        }
    }
    return values;
}

static void s_write (rk_predictions_t *p, s_batch_t *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        p->print (p->file, p->json, p->sample++, batch->n_values, batch->values + i * batch->n_values);
    free (batch->values);
    *batch = (s_batch_t){0};
    p->n_waiting--;
    p->next++;
}

rk_err_t rk_predictions_add (rk_predictions_t *p, uint64_t f, uint32_t n, uint32_t n_outputs, const void *outputs,
                             rk_error_t *err)
{
    if (f < p->next || f - p->next >= RK_PREDICTIONS_AHEAD || p->ahead[f % RK_PREDICTIONS_AHEAD].values)
        return rk_error_set (err, RK_EFORMAT, "prediction of minibatch %" PRIu64 " is there twice or too early: %" PRIu64 " is next",
                             f, p->next);
    s_batch_t *batch = &p->ahead[f % RK_PREDICTIONS_AHEAD];
    batch->n = n;
    batch->n_values = p->print == s_print_class ? CLASS_VALUES : n_outputs;
    batch->values = s_keep (batch, p->print == s_print_class, n_outputs, outputs);
    if (!batch->values)
        return rk_error_set (err, RK_ENOMEM, "no memory for %u predictions", n);
    p->n_waiting++;
    while (p->ahead[p->next % RK_PREDICTIONS_AHEAD].values)
        s_write (p, &p->ahead[p->next % RK_PREDICTIONS_AHEAD]);
    return ferror (p->file) ? rk_error_set (err, RK_EIO, "%s: %s", p->path ? p->path : "stdout", strerror (errno)) : RK_OK;
}

uint64_t rk_predictions_written (const rk_predictions_t *p)
{
    return p->next;
}

rk_err_t rk_predictions_finish (rk_predictions_t *p, rk_error_t *err)
{
    if (p->n_waiting)
        return rk_error_set (err, RK_EFORMAT, "predictions of minibatch %" PRIu64 " are missing", p->next);
    const char *name = p->path ? p->path : "stdout";
    bool bad = fflush (p->file) || ferror (p->file);
    if (!p->path)
        return bad ? rk_error_set (err, RK_EIO, "%s: %s", name, strerror (errno)) : RK_OK;
    bad = fsync (fileno (p->file)) || bad;
    bad = fclose (p->file) || bad;
    p->file = NULL;
    if (bad || rename (p->part, p->path)) {
        rk_error_set (err, RK_EIO, "%s: %s", name, strerror (errno));
        unlink (p->part);
        return RK_EIO;
    }
    return RK_OK;
}
