/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/predictions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    uint32_t class_idx;
    float probability;
} s_line_t;

typedef struct {
    s_line_t *lines; /* NULL: not here yet */
    uint32_t n;
} s_batch_t;

struct rk_predictions {
    FILE *file;
    char *path, *part; /* final and temporary name; NULL on stdout */
    bool json;
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

rk_err_t rk_predictions_new (rk_predictions_t **predictions_p, const char *path, bool json, rk_error_t *err)
{
    rk_predictions_t *p = *predictions_p = calloc (1, sizeof *p);
    if (!p)
        return rk_error_set (err, RK_ENOMEM, "no memory for predictions");
    p->json = json;
    rk_err_t code = s_open (p, path, err);
    if (!code && !json)
        fprintf (p->file, "index,class,probability\n");
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
        free (p->ahead[i].lines);
    free (p->path);
    free (p->part);
    free (p);
    *predictions_p = NULL;
}

/* The most probable class of each sample. */
static s_line_t *s_lines (uint32_t n, uint32_t n_classes, const void *probabilities)
{
    s_line_t *lines = calloc (n ? n : 1, sizeof *lines);
    for (size_t i = 0; lines && i < n; i++)
        for (uint32_t c = 0; c < n_classes; c++) {
            float x;
            memcpy (&x, (const char *) probabilities + (i * n_classes + c) * sizeof x, sizeof x);
            if (!c || x > lines[i].probability)
                lines[i] = (s_line_t){c, x};
        }
    return lines;
}

static void s_write (rk_predictions_t *p, s_batch_t *batch)
{
    for (uint32_t i = 0; i < batch->n; i++, p->sample++)
        fprintf (p->file, p->json ? "{\"index\":%" PRIu64 ",\"class\":%u,\"probability\":%.6g}\n" : "%" PRIu64 ",%u,%.6g\n",
                 p->sample, batch->lines[i].class_idx, batch->lines[i].probability);
    free (batch->lines);
    *batch = (s_batch_t){0};
    p->n_waiting--;
    p->next++;
}

rk_err_t rk_predictions_add (rk_predictions_t *p, uint64_t f, uint32_t n, uint32_t n_classes, const void *probabilities,
                             rk_error_t *err)
{
    if (f < p->next || f - p->next >= RK_PREDICTIONS_AHEAD || p->ahead[f % RK_PREDICTIONS_AHEAD].lines)
        return rk_error_set (err, RK_EFORMAT, "prediction of minibatch %" PRIu64 " is there twice or too early: %" PRIu64 " is next",
                             f, p->next);
    s_batch_t *batch = &p->ahead[f % RK_PREDICTIONS_AHEAD];
    batch->lines = s_lines (n, n_classes, probabilities);
    if (!batch->lines)
        return rk_error_set (err, RK_ENOMEM, "no memory for %u predictions", n);
    batch->n = n;
    p->n_waiting++;
    while (p->ahead[p->next % RK_PREDICTIONS_AHEAD].lines)
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
