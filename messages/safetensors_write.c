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

static rk_err_t s_put_metadata (const s_context_t *c, json_t *header, const char *const *pairs, size_t n)
{
    if (n == 0)
        return RK_OK;
    json_t *object = json_object ();
    rk_err_t rc = s_put (c, header, RK_ST_METADATA, object);
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
    if (count > 0 && !t->data)
        return rk_error_set (c->err, RK_EINVAL, "%s: tensor %s: no data", c->path, t->name);
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

static rk_err_t s_write (const s_context_t *c, const char *header, size_t n_header, const rk_st_tensor_t *tensors, size_t n)
{
    rk_file_t *file = NULL;
    rk_err_t rc = rk_file_create (&file, c->path, c->err);
    if (!rc)
        rc = rk_file_write (file, header, n_header, c->err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = rk_file_write (file, tensors[i].data, tensors[i].count * sizeof (float), c->err);
    if (!rc)
        rc = rk_file_commit (&file, c->err);
    rk_file_discard (&file);
    return rc;
}

rk_err_t rk_st_write (const char *path, const rk_st_tensor_t *tensors, size_t n, const char *const *metadata, size_t n_meta,
                      rk_error_t *err)
{
    s_context_t context = {path, err};
    json_t *header = json_object ();
    size_t at = 0, n_bytes = 0;
    char *bytes = NULL;
    rk_err_t rc = header ? s_put_metadata (&context, header, metadata, n_meta) : s_no_memory (&context);
    for (size_t i = 0; !rc && i < n; i++)
        rc = s_put_tensor (&context, header, &tensors[i], &at);
    if (!rc) {
        bytes = s_encode (header, &n_bytes);
        if (!bytes)
            rc = s_no_memory (&context);
        else if (n_bytes - 8 > RK_ST_MAX_HEADER)
            rc = rk_error_set (err, RK_EINVAL, "%s: header of %zu bytes, at most %d", path, n_bytes - 8, RK_ST_MAX_HEADER);
    }
    if (!rc)
        rc = s_write (&context, bytes, n_bytes, tensors, n);
    free (bytes);
    json_decref (header);
    return rc;
}
