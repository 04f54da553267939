/* SPDX-License-Identifier: MPL-2.0
 * A checkpoint under way. The file is laid out in blocks: the mean, then for every replica its planes; a block has the
 * tensors of the model that have a place in it, in flat order.                                            */
#include "actors/checkpoint_parts.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/lease.h"

struct rk_checkpoint_draft {
    const rk_model_t *model; /* borrowed */
    rk_st_draft_t *file;
    uint32_t n_replicas;
    bool apart;
    size_t *first;           /* tensor in the file where block (replica, plane) begins; SIZE_MAX: none */
    size_t n_mean;           /* tensors of the mean: all of the model's */
};

static size_t *s_block (rk_checkpoint_draft_t *d, uint32_t replica, rk_plane_t plane)
{
    return &d->first[(size_t) replica * RK_N_PLANES + plane];
}

/* ---- the list of tensors */
typedef struct {
    rk_st_tensor_t *tensors;
    char (*names)[RK_CHECKPOINT_NAME];
    size_t n;
} s_list_t;

static void s_add_block (const rk_checkpoint_draft_t *d, uint32_t replica, rk_plane_t plane, s_list_t *list)
{
    for (size_t i = 0; i < rk_model_n_tensors (d->model); i++) {
        const rk_param_t *p = rk_model_param (d->model, i);
        if (!rk_checkpoint_has (p, plane))
            continue;
        rk_st_tensor_t *t = &list->tensors[list->n];
        *t = (rk_st_tensor_t){.name = rk_checkpoint_name (list->names[list->n], p, replica, plane), .n_dims = p->shape.n_dims,
                              .count = p->count};
        for (int dim = 0; dim < p->shape.n_dims && dim < 4; dim++)
            t->dim[dim] = p->shape.dim[dim];
        list->n++;
    }
}

static void s_lay_out (rk_checkpoint_draft_t *d, const rk_checkpoint_facts_t *facts, s_list_t *list)
{
    s_add_block (d, RK_CHECKPOINT_MEAN, RK_PLANE_PARAMS, list);
    for (uint32_t r = 0; r < d->n_replicas; r++)
        for (uint32_t i = 0; i < facts->n_planes; i++) {
            if (facts->planes[i] == RK_PLANE_PARAMS && !d->apart)
                continue;
            *s_block (d, r, facts->planes[i]) = list->n;
            s_add_block (d, r, facts->planes[i], list);
        }
}

/* ---- metadata */
#define N_META 14
typedef struct {
    char number[N_META + RK_MAX_CLUSTERS][96], key[RK_MAX_CLUSTERS][24], planes[128];
    char *settings, *listing;
    const char *pairs[2 * (N_META + RK_MAX_CLUSTERS)];
    size_t n;
} s_meta_t;

static void s_text (s_meta_t *meta, const char *key, const char *value)
{
    meta->pairs[2 * meta->n] = key;
    meta->pairs[2 * meta->n++ + 1] = value;
}

static void RK_PRINTF (3, 4) s_number (s_meta_t *meta, const char *key, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (meta->number[meta->n], sizeof meta->number[0], format, args);
    va_end (args);
    s_text (meta, key, meta->number[meta->n]);
}

/* The canonical listing in hex. owner: the caller frees. */
static char *s_listing (const rk_plan_t *plan)
{
    size_t n = rk_plan_encode (plan, NULL, 0);
    uint8_t *bytes = malloc (n + 1);
    char *text = malloc (2 * n + 1);
    if (bytes && text) {
        rk_plan_encode (plan, bytes, n);
        for (size_t i = 0; i < n; i++)
            snprintf (text + 2 * i, 3, "%02x", bytes[i]);
    } else {
        free (text);
        text = NULL;
    }
    free (bytes);
    return text;
}

static rk_err_t s_fill_meta (const rk_checkpoint_facts_t *f, s_meta_t *meta)
{
    size_t size = rk_settings_write (&f->plan->settings, NULL, 0) + 1, used = 0;
    uint64_t next = rk_round_cursor (f->plan, f->rounds);
    meta->settings = calloc (1, size);
    meta->listing = s_listing (f->plan);
    if (!meta->settings || !meta->listing)
        return RK_ENOMEM;
    rk_settings_write (&f->plan->settings, meta->settings, size);
    for (uint32_t i = 0; i < f->n_planes; i++)
        used += (size_t) snprintf (meta->planes + used, sizeof meta->planes - used, "%s%s", i ? " " : "", rk_plane_name (f->planes[i]));
    s_text (meta, "format", RK_CHECKPOINT_FORMAT);
    s_text (meta, "model", f->plan->settings.model_name);
    s_number (meta, "seed", "%" PRIu64, f->plan->settings.run_seed);
    s_number (meta, "rounds", "%" PRIu64, f->rounds);
    s_number (meta, "pass", "%" PRIu64, next ? rk_pass_of (f->plan, next - 1) + 1 : 0);
    s_number (meta, "next_minibatch", "%" PRIu64, next);
    s_number (meta, "replicas", "%" PRIu32, f->plan->n_clusters);
    s_number (meta, "apart", "%u", f->apart ? 1u : 0u);
    s_text (meta, "planes", meta->planes);
    s_number (meta, "plan_digest", "%016" PRIx64, f->plan->digest);
    s_number (meta, "params_digest", "%016" PRIx64, (uint64_t) 0); /* told at the end, as are the replicas' numbers */
    for (uint32_t r = 0; r < f->plan->n_clusters; r++) {
        snprintf (meta->key[r], sizeof meta->key[r], "replica.%u", r);
        s_number (meta, meta->key[r], RK_CHECKPOINT_NUMBERS, (uint64_t) 0, (uint64_t) 0, (uint32_t) 0, 0u);
    }
    s_text (meta, "settings", meta->settings);
    s_text (meta, "plan", meta->listing);
    s_text (meta, "control", f->control);
    return RK_OK;
}

/* ---- a draft */
static rk_err_t s_open (rk_checkpoint_draft_t *d, const rk_checkpoint_facts_t *facts, const char *path, rk_error_t *err)
{
    size_t room = d->n_mean * (1 + (size_t) d->n_replicas * facts->n_planes) + 1;
    s_list_t list = {calloc (room, sizeof *list.tensors), calloc (room, sizeof *list.names), 0};
    s_meta_t *meta = calloc (1, sizeof *meta);
    rk_err_t code = list.tensors && list.names && meta ? s_fill_meta (facts, meta) : RK_ENOMEM;
    if (code == RK_OK) {
        s_lay_out (d, facts, &list);
        code = rk_st_draft_new (&d->file, path, list.tensors, list.n, meta->pairs, meta->n, err);
    } else
        rk_error_set (err, code, "%s: no memory for the list of %zu tensors", path, room);
    if (meta) {
        free (meta->settings);
        free (meta->listing);
    }
    free (meta);
    free (list.names);
    free (list.tensors);
    return code;
}

rk_err_t rk_checkpoint_draft_new (rk_checkpoint_draft_t **draft_p, const rk_checkpoint_facts_t *facts, const char *path, rk_error_t *err)
{
    rk_checkpoint_draft_t *d = calloc (1, sizeof *d);
    if (!d)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory", path);
    d->model = facts->model;
    d->n_mean = rk_model_n_tensors (facts->model);
    d->n_replicas = facts->plan->n_clusters;
    d->apart = facts->apart;
    d->first = malloc (d->n_replicas * RK_N_PLANES * sizeof *d->first);
    for (size_t i = 0; d->first && i < (size_t) d->n_replicas * RK_N_PLANES; i++)
        d->first[i] = SIZE_MAX;
    rk_err_t code = d->first ? s_open (d, facts, path, err) : rk_error_set (err, RK_ENOMEM, "%s: no memory", path);
    if (code != RK_OK)
        rk_checkpoint_draft_discard (&d);
    else
        *draft_p = d;
    return code;
}

rk_err_t rk_checkpoint_draft_put (rk_checkpoint_draft_t *d, uint32_t replica, rk_plane_t plane, uint64_t lo, uint64_t n,
                                  const void *floats, rk_error_t *err)
{
    const bool mean = replica == RK_CHECKPOINT_MEAN;
    size_t at = mean ? 0 : replica < d->n_replicas ? *s_block (d, replica, plane) : SIZE_MAX;
    rk_err_t code = RK_OK;
    for (size_t i = 0; i < d->n_mean && code == RK_OK && at != SIZE_MAX; i++) {
        const rk_param_t *p = rk_model_param (d->model, i);
        if (!rk_checkpoint_has (p, mean ? RK_PLANE_PARAMS : plane))
            continue;
        uint64_t from = p->offset > lo ? p->offset : lo, end = p->offset + p->count < lo + n ? p->offset + p->count : lo + n;
        if (from < end)
            code = rk_st_draft_put (d->file, at, from - p->offset, (const char *) floats + (from - lo) * sizeof (float), end - from, err);
        at++;
    }
    return code;
}

rk_err_t rk_checkpoint_draft_tell (rk_checkpoint_draft_t *d, uint32_t replica, const rk_checkpoint_replica_t *numbers, rk_error_t *err)
{
    char key[24], value[96];
    uint32_t bits;
    memcpy (&bits, &numbers->loss_scale, sizeof bits);
    snprintf (key, sizeof key, "replica.%u", replica);
    snprintf (value, sizeof value, RK_CHECKPOINT_NUMBERS, numbers->steps, numbers->n_good, bits, numbers->frozen ? 1u : 0u);
    return rk_st_draft_tell (d->file, key, value, err);
}

/* ---- the end */

/* Tensor i of the mean: the sum over the replicas in their order, in double. */
static rk_err_t s_average_tensor (rk_checkpoint_draft_t *d, size_t i, float *mean, rk_error_t *err)
{
    const rk_param_t *p = rk_model_param (d->model, i);
    const float *of[RK_MAX_CLUSTERS] = {NULL};
    rk_err_t code = RK_OK;
    for (uint32_t r = 0; r < d->n_replicas && code == RK_OK; r++)
        code = rk_st_draft_look (d->file, *s_block (d, r, RK_PLANE_PARAMS) + i, &of[r], err);
    for (size_t k = 0; k < p->count && code == RK_OK; k++) {
        double sum = 0;
        for (uint32_t r = 0; r < d->n_replicas; r++)
            sum += (double) of[r][k];
        mean[k] = (float) (sum / d->n_replicas);
    }
    return code == RK_OK ? rk_st_draft_put (d->file, i, 0, mean, p->count, err) : code;
}

static rk_err_t s_average (rk_checkpoint_draft_t *d, rk_error_t *err)
{
    size_t most = 0;
    for (size_t i = 0; i < d->n_mean; i++)
        most = rk_model_param (d->model, i)->count > most ? rk_model_param (d->model, i)->count : most;
    float *mean = malloc ((most + 1) * sizeof *mean);
    rk_err_t code = mean ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for a mean of %zu floats", most);
    for (size_t i = 0; i < d->n_mean && code == RK_OK; i++)
        code = s_average_tensor (d, i, mean, err);
    free (mean);
    return code;
}

static rk_err_t s_tell_digest (rk_checkpoint_draft_t *d, uint64_t *digest, rk_error_t *err)
{
    char text[24];
    rk_digest_t *sum = rk_digest_new ();
    rk_err_t code = sum ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for a digest");
    for (size_t i = 0; i < d->n_mean && code == RK_OK; i++) {
        const rk_param_t *p = rk_model_param (d->model, i);
        const float *values = NULL;
        code = rk_st_draft_look (d->file, i, &values, err);
        if (code == RK_OK && p->trainable)
            rk_digest_add (sum, values, p->count);
    }
    *digest = rk_digest_end (sum);
    snprintf (text, sizeof text, "%016" PRIx64, *digest);
    return code == RK_OK ? rk_st_draft_tell (d->file, "params_digest", text, err) : code;
}

rk_err_t rk_checkpoint_draft_commit (rk_checkpoint_draft_t **draft_p, bool average, uint64_t *digest, rk_error_t *err)
{
    rk_checkpoint_draft_t *d = *draft_p;
    rk_err_t code = average ? s_average (d, err) : RK_OK;
    if (code == RK_OK)
        code = s_tell_digest (d, digest, err);
    if (code == RK_OK)
        code = rk_st_draft_commit (&d->file, err);
    rk_checkpoint_draft_discard (draft_p);
    return code;
}

void rk_checkpoint_draft_discard (rk_checkpoint_draft_t **draft_p)
{
    rk_checkpoint_draft_t *d = *draft_p;
    if (!d)
        return;
    rk_st_draft_discard (&d->file);
    free (d->first);
    free (d);
    *draft_p = NULL;
}
