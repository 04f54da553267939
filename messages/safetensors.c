/* SPDX-License-Identifier: MPL-2.0 */
#include "messages/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "messages/safetensors_rules.h"
#include "messages/text.h"

struct rk_st_file {
    const unsigned char *map; /* the whole file, read only */
    size_t size;
    const unsigned char *data; /* behind the header */
    size_t n_data;             /* bytes */
    json_t *header;            /* owns names and metadata */
    rk_st_tensor_t *tensors;   /* in the order of the header */
    const rk_st_tensor_t **by_name;
    size_t n;
};

typedef struct {
    const char *path;
    rk_error_t *err;
} s_context_t;

static rk_err_t s_no_memory (const s_context_t *c)
{
    return rk_error_set (c->err, RK_ENOMEM, "%s: no memory for the header", c->path);
}

/* ---- the file */
static rk_err_t s_map_fd (rk_st_file_t *file, int fd, const s_context_t *c)
{
    struct stat st;
    if (fstat (fd, &st) != 0)
        return rk_error_set (c->err, RK_EIO, "%s: %s", c->path, strerror (errno));
    if (!S_ISREG (st.st_mode) || st.st_size < 8)
        return rk_error_set (c->err, RK_EFORMAT, "%s: not a safetensors file (%lld bytes)", c->path, (long long) st.st_size);
    void *map = mmap (NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return rk_error_set (c->err, RK_EIO, "%s: mmap of %lld bytes: %s", c->path, (long long) st.st_size, strerror (errno));
    file->map = map;
    file->size = (size_t) st.st_size;
    return RK_OK;
}

static rk_err_t s_map (rk_st_file_t *file, const s_context_t *c)
{
    int fd = open (c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    if (fd < 0)
        return rk_error_set (c->err, RK_EIO, "%s: %s", c->path, strerror (errno));
    rk_err_t rc = s_map_fd (file, fd, c);
    close (fd);
    return rc;
}

static rk_err_t s_load_header (rk_st_file_t *file, const s_context_t *c)
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n |= (uint64_t) file->map[i] << 8 * i;
    if (n > RK_ST_MAX_HEADER || n > file->size - 8)
        return rk_error_set (c->err, RK_EFORMAT, "%s: header of %llu bytes in a file of %zu (at most %d)", c->path,
                             (unsigned long long) n, file->size, RK_ST_MAX_HEADER);
    json_error_t why = {.position = 0}; /* its text may quote the file: only the position is shown */
    const char *text = (const char *) file->map + 8;
    file->header = n && text[0] == '{' ? json_loadb (text, (size_t) n, JSON_REJECT_DUPLICATES, &why) : NULL;
    if (!file->header)
        return rk_error_set (c->err, RK_EFORMAT, "%s: the header is not a JSON object with unique names (byte %d)", c->path,
                             why.position);
    file->data = file->map + 8 + n;
    file->n_data = file->size - 8 - (size_t) n;
    return RK_OK;
}

/* ---- entries */
static rk_err_t s_check_metadata (const json_t *metadata, const s_context_t *c)
{
    const char *key;
    json_t *value;
    if (!json_is_object (metadata))
        return rk_error_set (c->err, RK_EFORMAT, "%s: " RK_ST_METADATA " is not an object", c->path);
    json_object_foreach ((json_t *) metadata, key, value)
        if (!json_is_string (value))
            return rk_error_set (c->err, RK_EFORMAT, "%s: " RK_ST_METADATA " holds something else than text", c->path);
    return RK_OK;
}

/* Non-negative integer i of a JSON array. */
static bool s_at (const json_t *array, size_t i, size_t *value)
{
    const json_t *item = json_array_get (array, i);
    if (!json_is_integer (item) || json_integer_value (item) < 0)
        return false;
    *value = (size_t) json_integer_value (item);
    return true;
}

static rk_err_t s_read_shape (rk_st_tensor_t *t, const json_t *shape, const s_context_t *c)
{
    size_t n_dims = json_array_size (shape);
    if (!json_is_array (shape))
        return rk_error_set (c->err, RK_EFORMAT, "%s: tensor %s: no shape", c->path, t->name);
    if (n_dims > RK_ST_MAX_DIMS)
        return rk_error_set (c->err, RK_EUNSUPPORTED, "%s: tensor %s: %zu dimensions, at most %d", c->path, t->name, n_dims,
                             RK_ST_MAX_DIMS);
    t->n_dims = (int) n_dims;
    for (size_t i = 0; i < n_dims; i++)
        if (!s_at (shape, i, &t->dim[i]))
            return rk_error_set (c->err, RK_EFORMAT, "%s: tensor %s: dimension %zu is not a size", c->path, t->name, i);
    if (!rk_st_count (t->dim, t->n_dims, &t->count))
        return rk_error_set (c->err, RK_EFORMAT, "%s: tensor %s: its dimensions multiply beyond any file", c->path, t->name);
    return RK_OK;
}

static rk_err_t s_read_tensor (const rk_st_file_t *file, rk_st_tensor_t *t, const json_t *entry, const s_context_t *c)
{
    const char *dtype = json_string_value (json_object_get (entry, "dtype"));
    const json_t *offsets = json_object_get (entry, "data_offsets");
    size_t from, to;
    if (!dtype)
        return rk_error_set (c->err, RK_EFORMAT, "%s: tensor %s: no dtype", c->path, t->name);
    if (strcmp (dtype, "F32") != 0)
        return rk_error_set (c->err, RK_EUNSUPPORTED, "%s: tensor %s: dtype is not F32", c->path, t->name);
    rk_err_t rc = s_read_shape (t, json_object_get (entry, "shape"), c);
    if (rc)
        return rc;
    if (json_array_size (offsets) != 2 || !s_at (offsets, 0, &from) || !s_at (offsets, 1, &to))
        return rk_error_set (c->err, RK_EFORMAT, "%s: tensor %s: data_offsets are not two positions", c->path, t->name);
    if (from > to || to > file->n_data)
        return rk_error_set (c->err, RK_EFORMAT, "%s: tensor %s: bytes %zu to %zu of %zu", c->path, t->name, from, to,
                             file->n_data);
    if (to - from != t->count * sizeof (float))
        return rk_error_set (c->err, RK_EFORMAT, "%s: tensor %s: %zu bytes for %zu floats", c->path, t->name, to - from,
                             t->count);
    t->data = (const float *) (const void *) (file->data + from);
    return RK_OK;
}

static rk_err_t s_read_entries (rk_st_file_t *file, const s_context_t *c)
{
    const char *key;
    json_t *entry;
    size_t max = json_object_size (file->header);
    file->tensors = calloc (max + 1, sizeof *file->tensors);
    file->by_name = calloc (max + 1, sizeof *file->by_name);
    if (!file->tensors || !file->by_name)
        return s_no_memory (c);
    json_object_foreach (file->header, key, entry) {
        rk_error_t why = {0};
        rk_err_t rc;
        if (strcmp (key, RK_ST_METADATA) == 0)
            rc = s_check_metadata (entry, c);
        else if (rk_text_check ("a name", key, RK_ST_MAX_NAME, false, &why))
            rc = rk_error_set (c->err, RK_EFORMAT, "%s: %s", c->path, why.text);
        else {
            rk_st_tensor_t *t = &file->tensors[file->n];
            t->name = key;
            file->by_name[file->n++] = t;
            rc = s_read_tensor (file, t, entry, c);
        }
        if (rc)
            return rc;
    }
    return RK_OK;
}

/* ---- the whole: every byte of the data belongs to exactly one tensor */
/* By position; an empty tensor comes before the one that starts where it lies. */
static int s_by_data (const void *left, const void *right)
{
    const rk_st_tensor_t *a = *(const rk_st_tensor_t *const *) left, *b = *(const rk_st_tensor_t *const *) right;
    if (a->data != b->data)
        return a->data < b->data ? -1 : 1;
    return (a->count > b->count) - (a->count < b->count);
}

static int s_by_name (const void *left, const void *right)
{
    const rk_st_tensor_t *a = *(const rk_st_tensor_t *const *) left, *b = *(const rk_st_tensor_t *const *) right;
    return strcmp (a->name, b->name);
}

static rk_err_t s_check_cover (rk_st_file_t *file, const s_context_t *c)
{
    size_t at = 0;
    qsort (file->by_name, file->n, sizeof *file->by_name, s_by_data);
    for (size_t i = 0; i < file->n; i++) {
        const rk_st_tensor_t *t = file->by_name[i];
        size_t from = (size_t) ((const unsigned char *) t->data - file->data);
        if (from != at)
            return rk_error_set (c->err, RK_EFORMAT, "%s: tensor %s %s at byte %zu, expected %zu", c->path, t->name,
                                 from < at ? "overlaps another one" : "leaves a gap", from, at);
        at += t->count * sizeof (float);
    }
    if (at != file->n_data)
        return rk_error_set (c->err, RK_EFORMAT, "%s: %zu bytes of data, the tensors need %zu", c->path, file->n_data, at);
    qsort (file->by_name, file->n, sizeof *file->by_name, s_by_name);
    return RK_OK;
}

/* A file with a digest has exactly these bytes; one without is somebody else's. */
static rk_err_t s_check_digest (const rk_st_file_t *file, const s_context_t *c)
{
    char text[RK_ST_DIGEST_DIGITS + 1];
    const char *named = rk_st_metadata (file, RK_ST_DIGEST);
    size_t at = rk_st_digest_at (file->map, file->size - file->n_data);
    if (!named)
        return RK_OK;
    if (at)
        rk_st_digest_of (file->map, file->size, at, text);
    if (!at || strcmp (text, named))
        return rk_error_set (c->err, RK_EFORMAT, "%s: its bytes are not those it was written with: it is damaged", c->path);
    return RK_OK;
}

rk_err_t rk_st_open (rk_st_file_t **file_p, const char *path, rk_error_t *err)
{
    s_context_t context = {path, err};
    rk_st_file_t *file = calloc (1, sizeof *file);
    if (!file)
        return s_no_memory (&context);
    rk_err_t rc = s_map (file, &context);
    if (!rc)
        rc = s_load_header (file, &context);
    if (!rc)
        rc = s_read_entries (file, &context);
    if (!rc)
        rc = s_check_cover (file, &context);
    if (!rc)
        rc = s_check_digest (file, &context);
    if (rc)
        rk_st_close (&file);
    else
        *file_p = file;
    return rc;
}

void rk_st_close (rk_st_file_t **file_p)
{
    rk_st_file_t *file = *file_p;
    if (!file)
        return;
    free (file->tensors);
    free (file->by_name);
    json_decref (file->header);
    if (file->map)
        munmap ((void *) file->map, file->size);
    free (file);
    *file_p = NULL;
}

size_t rk_st_n (const rk_st_file_t *file)
{
    return file->n;
}

const rk_st_tensor_t *rk_st_at (const rk_st_file_t *file, size_t idx)
{
    return idx < file->n ? &file->tensors[idx] : NULL;
}

const rk_st_tensor_t *rk_st_find (const rk_st_file_t *file, const char *name)
{
    rk_st_tensor_t key = {.name = name};
    const rk_st_tensor_t *wanted = &key;
    const rk_st_tensor_t **found = bsearch (&wanted, file->by_name, file->n, sizeof *file->by_name, s_by_name);
    return found ? *found : NULL;
}

const char *rk_st_metadata (const rk_st_file_t *file, const char *key)
{
    return json_string_value (json_object_get (json_object_get (file->header, RK_ST_METADATA), key));
}
