/* SPDX-License-Identifier: MPL-2.0 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "messages/file.h"
#include "messages/safetensors.h"
#include "messages/safetensors_rules.h"
#include "messages/text.h"

typedef struct {
    const char *path;
    rk_error_t *err;
} s_context_t;

static rk_err_t s_no_memory (const s_context_t *c)
{
    return rk_error_set (c->err, RK_ENOMEM, "%s: no memory for the header", c->path);
}

/* Puts value (taken) under key, which must be new. */
static rk_err_t s_put (const s_context_t *c, json_t *object, const char *key, json_t *value)
{
    rk_error_t why = {0};
    rk_err_t rc = RK_OK;
    if (!value)
        rc = s_no_memory (c);
    else if (rk_text_check ("name", key, RK_ST_MAX_NAME, false, &why))
        rc = rk_error_set (c->err, RK_EINVAL, "%s: %s", c->path, why.text);
    else if (json_object_get (object, key))
        rc = rk_error_set (c->err, RK_EINVAL, "%s: %s is there twice", c->path, key);
    if (rc) {
        json_decref (value);
        return rc;
    }
    return json_object_set_new (object, key, value) ? s_no_memory (c) : RK_OK;
}

static rk_err_t s_put_metadata (const s_context_t *c, json_t *header, const char *const digest[2], const char *const *pairs,
                                size_t n)
{
    json_t *object = json_object ();
    rk_err_t rc = s_put (c, header, RK_ST_METADATA, object);
    if (!rc)
        rc = s_put (c, object, digest[0], json_string (digest[1]));
    for (size_t i = 0; !rc && i < n; i++) {
        json_t *value = json_string (pairs[2 * i + 1]); /* NULL when it is not UTF-8 */
        if (!value)
            rc = rk_error_set (c->err, RK_EINVAL, "%s: the metadata of %s is not UTF-8", c->path, pairs[2 * i]);
        else
            rc = s_put (c, object, pairs[2 * i], value);
    }
    return rc;
}

static json_t *s_shape (const rk_st_tensor_t *t)
{
    json_t *shape = json_array ();
    for (int i = 0; shape && i < t->n_dims; i++)
        if (json_array_append_new (shape, json_integer ((json_int_t) t->dim[i]))) {
            json_decref (shape);
            return NULL;
        }
    return shape;
}

/* *at: bytes of data so far. */
static rk_err_t s_put_tensor (const s_context_t *c, json_t *header, const rk_st_tensor_t *t, size_t *at)
{
    size_t count = 0;
    if (!t->name || !*t->name || strcmp (t->name, RK_ST_METADATA) == 0)
        return rk_error_set (c->err, RK_EINVAL, "%s: a tensor cannot be called \"%s\"", c->path, t->name ? t->name : "");
    if (t->n_dims < 0 || t->n_dims > RK_ST_MAX_DIMS || !rk_st_count (t->dim, t->n_dims, &count) || count != t->count)
        return rk_error_set (c->err, RK_EINVAL, "%s: tensor %s: %zu floats do not fill its %d dimensions", c->path, t->name,
                             t->count, t->n_dims);
    size_t bytes = count * sizeof (float);
    if (bytes > RK_ST_MAX_BYTES - *at)
        return rk_error_set (c->err, RK_EINVAL, "%s: tensor %s: the file would be too large", c->path, t->name);
    json_t *entry = json_pack ("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", s_shape (t), "data_offsets",
                               (json_int_t) *at, (json_int_t) (*at + bytes));
    *at += bytes;
    return s_put (c, header, t->name, entry);
}

/* Length and JSON, padded with spaces so that the data start at a multiple of 8. owner: the caller frees. */
static char *s_encode (const json_t *header, size_t *size)
{
    size_t n = json_dumpb (header, NULL, 0, JSON_COMPACT), padded = (n + 7) / 8 * 8;
    char *bytes = n ? malloc (8 + padded) : NULL;
    if (!bytes || json_dumpb (header, bytes + 8, n, JSON_COMPACT) != n) {
        free (bytes);
        return NULL;
    }
    memset (bytes + 8 + n, ' ', padded - n);
    for (int i = 0; i < 8; i++)
        bytes[i] = (char) (padded >> 8 * i & 0xff);
    *size = 8 + padded;
    return bytes;
}

/* ---- a file under way */
struct rk_st_draft {
    char *path;
    rk_file_t *file;
    char *header;       /* length and JSON, as on the disc */
    size_t n_header;    /* bytes */
    size_t *at, *count; /* of each tensor: first byte in the file, floats */
    size_t n, size;     /* of the file */
};

/* Header with every tensor's place; places and sizes go into the draft. */
static rk_err_t s_make_header (rk_st_draft_t *d, const rk_st_tensor_t *tensors, const char *const *metadata, size_t n_meta,
                               rk_error_t *err)
{
    static const char *const digest[] = {RK_ST_DIGEST, "0000000000000000"};
    s_context_t context = {d->path, err};
    json_t *header = json_object ();
    size_t at = 0;
    rk_err_t rc = header ? s_put_metadata (&context, header, digest, metadata, n_meta) : s_no_memory (&context);
    for (size_t i = 0; !rc && i < d->n; i++) {
        d->at[i] = at;
        d->count[i] = tensors[i].count;
        rc = s_put_tensor (&context, header, &tensors[i], &at);
    }
    if (!rc) {
        d->header = s_encode (header, &d->n_header);
        if (!d->header)
            rc = s_no_memory (&context);
        else if (d->n_header - 8 > RK_ST_MAX_HEADER)
            rc = rk_error_set (err, RK_EINVAL, "%s: header of %zu bytes, at most %d", d->path, d->n_header - 8, RK_ST_MAX_HEADER);
    }
    for (size_t i = 0; i < d->n; i++)
        d->at[i] += d->n_header;
    d->size = d->n_header + at;
    json_decref (header);
    return rc;
}

rk_err_t rk_st_draft_new (rk_st_draft_t **draft_p, const char *path, const rk_st_tensor_t *tensors, size_t n,
                          const char *const *metadata, size_t n_meta, rk_error_t *err)
{
    rk_st_draft_t *d = calloc (1, sizeof *d);
    if (d) {
        d->path = strdup (path);
        d->at = calloc (n + 1, sizeof *d->at);
        d->count = calloc (n + 1, sizeof *d->count);
        d->n = n;
    }
    rk_err_t rc = RK_OK;
    if (!d || !d->path || !d->at || !d->count)
        rc = rk_error_set (err, RK_ENOMEM, "%s: no memory for the places of %zu tensors", path, n);
    if (!rc)
        rc = s_make_header (d, tensors, metadata, n_meta, err);
    if (!rc)
        rc = rk_file_create (&d->file, path, err);
    if (!rc)
        rc = rk_file_reserve (d->file, d->size, err);
    if (!rc)
        rc = rk_file_put (d->file, 0, d->header, d->n_header, err);
    if (rc)
        rk_st_draft_discard (&d);
    else
        *draft_p = d;
    return rc;
}

rk_err_t rk_st_draft_put (rk_st_draft_t *d, size_t idx, size_t at, const void *floats, size_t n, rk_error_t *err)
{
    if (idx >= d->n || at > d->count[idx] || n > d->count[idx] - at)
        return rk_error_set (err, RK_EINVAL, "%s: %zu floats at %zu of tensor %zu", d->path, n, at, idx);
    return rk_file_put (d->file, d->at[idx] + at * sizeof (float), floats, n * sizeof (float), err);
}

rk_err_t rk_st_draft_look (rk_st_draft_t *d, size_t idx, const float **floats_p, rk_error_t *err)
{
    const void *bytes = NULL;
    if (idx >= d->n)
        return rk_error_set (err, RK_EINVAL, "%s: tensor %zu of %zu", d->path, idx, d->n);
    rk_err_t rc = rk_file_map (d->file, d->size, &bytes, err);
    if (!rc)
        *floats_p = (const float *) (const void *) ((const char *) bytes + d->at[idx]);
    return rc;
}

rk_err_t rk_st_draft_tell (rk_st_draft_t *d, const char *key, const char *value, rk_error_t *err)
{
    char pattern[RK_ST_MAX_NAME + 8];
    int n = snprintf (pattern, sizeof pattern, "\"%.*s\":\"", RK_ST_MAX_NAME, key);
    char *found = memmem (d->header + 8, d->n_header - 8, pattern, (size_t) n);
    if (!found || (size_t) (found + n - d->header) + strlen (value) >= d->n_header || found[(size_t) n + strlen (value)] != '"')
        return rk_error_set (err, RK_EINVAL, "%s: metadata %s cannot become \"%s\"", d->path, key, value);
    memcpy (found + n, value, strlen (value));
    return rk_file_put (d->file, (size_t) (found + n - d->header), value, strlen (value), err);
}

static rk_err_t s_hash (rk_st_draft_t *d, rk_error_t *err)
{
    const void *bytes = NULL;
    char text[RK_ST_DIGEST_DIGITS + 1];
    rk_err_t rc = rk_file_map (d->file, d->size, &bytes, err);
    if (rc)
        return rc;
    rk_st_digest_of (bytes, d->size, rk_st_digest_at (d->header, d->n_header), text);
    return rk_st_draft_tell (d, RK_ST_DIGEST, text, err);
}

rk_err_t rk_st_draft_commit (rk_st_draft_t **draft_p, rk_error_t *err)
{
    rk_err_t rc = s_hash (*draft_p, err);
    if (!rc)
        rc = rk_file_commit (&(*draft_p)->file, err);
    rk_st_draft_discard (draft_p);
    return rc;
}

void rk_st_draft_discard (rk_st_draft_t **draft_p)
{
    rk_st_draft_t *d = *draft_p;
    if (!d)
        return;
    rk_file_discard (&d->file);
    free (d->header);
    free (d->at);
    free (d->count);
    free (d->path);
    free (d);
    *draft_p = NULL;
}

rk_err_t rk_st_write (const char *path, const rk_st_tensor_t *tensors, size_t n, const char *const *metadata, size_t n_meta,
                      rk_error_t *err)
{
    for (size_t i = 0; i < n; i++)
        if (tensors[i].count > 0 && !tensors[i].data)
            return rk_error_set (err, RK_EINVAL, "%s: tensor %s: no data", path, tensors[i].name);
    rk_st_draft_t *draft = NULL;
    rk_err_t rc = rk_st_draft_new (&draft, path, tensors, n, metadata, n_meta, err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = rk_st_draft_put (draft, i, 0, tensors[i].data, tensors[i].count, err);
    if (!rc)
        return rk_st_draft_commit (&draft, err);
    rk_st_draft_discard (&draft);
    return rc;
}
