/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/data/npy.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
#define MAGIC_BYTES 6

struct rk_npy_type {
    const char *descr;
    size_t bytes;
    double (*value) (const uint8_t *at);
    bool integer;
};

#define VALUE(name, type)                                                                                              \
    static double s_##name (const uint8_t *at)                                                                         \
    {                                                                                                                  \
        type value;                                                                                                    \
        memcpy (&value, at, sizeof value);                                                                             \
        return (double) value;                                                                                         \
    }
VALUE (f4, float)
VALUE (f8, double)
VALUE (u1, uint8_t)
VALUE (i4, int32_t)
VALUE (i8, int64_t)
#undef VALUE

static const rk_npy_type_t s_types[] = {
    {"<f4", 4, s_f4, false}, {"<f8", 8, s_f8, false}, {"|u1", 1, s_u1, true}, {"<i4", 4, s_i4, true}, {"<i8", 8, s_i8, true}};

#define N_TYPES (sizeof s_types / sizeof *s_types)

/* ---- the header: a dictionary as Python prints it */

typedef struct {
    const char *at, *end;
} s_text_t;

static void s_space (s_text_t *text)
{
    while (text->at < text->end && (*text->at == ' ' || *text->at == '\n'))
        text->at++;
}

static bool s_take (s_text_t *text, const char *token)
{
    s_space (text);
    const size_t n = strlen (token);
    if ((size_t) (text->end - text->at) < n || memcmp (text->at, token, n) != 0)
        return false;
    text->at += n;
    return true;
}

static bool s_string (s_text_t *text, char out[16])
{
    s_space (text);
    const char quote = text->at < text->end ? *text->at : 0;
    if (quote != '\'' && quote != '"')
        return false;
    size_t n = 0;
    for (text->at++; text->at < text->end && *text->at != quote && n < 15; text->at++)
        out[n++] = *text->at;
    out[n] = 0;
    return text->at < text->end && *text->at++ == quote;
}

static bool s_number (s_text_t *text, size_t *out)
{
    s_space (text);
    const char *begin = text->at;
    for (*out = 0; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++) {
        if (*out > RK_DATA_MOST_BYTES)
            return false;
        *out = *out * 10 + (size_t) (*text->at - '0');
    }
    return text->at > begin;
}

static bool s_tuple (s_text_t *text, rk_shape_t *shape)
{
    shape->n_dims = 0;
    if (!s_take (text, "("))
        return false;
    while (!s_take (text, ")")) {
        if (shape->n_dims == RK_MAX_DIMS || !s_number (text, &shape->dim[shape->n_dims]))
            return false;
        shape->n_dims++;
        if (!s_take (text, ","))
            return s_take (text, ")");
    }
    return true;
}

typedef struct {
    char descr[16];
    bool fortran;
    rk_shape_t shape;
} s_header_t;

static bool s_read_key (s_text_t *text, const char *key, s_header_t *header, unsigned *seen)
{
    if (strcmp (key, "descr") == 0) {
        *seen |= 1;
        return s_string (text, header->descr);
    }
    if (strcmp (key, "fortran_order") == 0) {
        *seen |= 2;
        header->fortran = s_take (text, "True");
        return header->fortran || s_take (text, "False");
    }
    *seen |= 4;
    return strcmp (key, "shape") == 0 && s_tuple (text, &header->shape);
}

static bool s_read_header (s_text_t text, s_header_t *header)
{
    unsigned seen = 0;
    char key[16];
    bool more = s_take (&text, "{");
    if (!more)
        return false;
    while (more && !s_take (&text, "}")) {
        if (!s_string (&text, key) || !s_take (&text, ":") || !s_read_key (&text, key, header, &seen))
            return false;
        more = s_take (&text, ",");
        if (!more && !s_take (&text, "}"))
            return false;
    }
    s_space (&text);
    return text.at == text.end && seen == 7;
}

bool rk_npy_is (const uint8_t *bytes, size_t size)
{
    return size >= MAGIC_BYTES && memcmp (bytes, MAGIC, MAGIC_BYTES) == 0;
}

/* Text of the header; 0 if the file is too short for it. */
static size_t s_header_at (const uint8_t *bytes, size_t size, size_t *length)
{
    const size_t at = bytes[6] == 1 ? 10 : 12;
    if (size < at)
        return 0;
    *length = (size_t) bytes[8] | (size_t) bytes[9] << 8;
    if (at == 12)
        *length |= (size_t) bytes[10] << 16 | (size_t) bytes[11] << 24;
    return *length <= size - at ? at : 0;
}

static rk_err_t s_find_type (const char *file, const char *descr, const rk_npy_type_t **type, rk_error_t *err)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (strcmp (descr, s_types[i].descr) == 0 || (s_types[i].bytes == 1 && strcmp (descr, "<u1") == 0)) {
            *type = &s_types[i];
            return RK_OK;
        }
    return rk_error_set (err, RK_EFORMAT, "%s: type \"%s\", read are <f4, <f8, |u1, <i4 and <i8", file, descr);
}

rk_err_t rk_npy_parse (const char *file, const uint8_t *bytes, size_t size, rk_npy_t *array, rk_error_t *err)
{
    s_header_t header = {0};
    size_t length;
    if (!rk_npy_is (bytes, size) || size < 10 || bytes[6] < 1 || bytes[6] > 3)
        return rk_error_set (err, RK_EFORMAT, "%s: no .npy array of version 1 to 3", file);
    const size_t at = s_header_at (bytes, size, &length);
    const char *text = (const char *) bytes + at;
    if (!at)
        return rk_error_set (err, RK_EFORMAT, "%s: ends in its header, after %zu bytes", file, size);
    if (!s_read_header ((s_text_t) {text, text + length}, &header))
        return rk_error_set (err, RK_EFORMAT, "%s: its header is not {'descr', 'fortran_order', 'shape'} with at most %d dimensions",
                             file, RK_MAX_DIMS);
    rk_err_t rc = s_find_type (file, header.descr, &array->type, err);
    if (rc)
        return rc;
    if (header.fortran && header.shape.n_dims > 1)
        return rk_error_set (err, RK_EFORMAT, "%s: in Fortran order; save numpy.ascontiguousarray (x)", file);
    array->shape = header.shape;
    array->data = bytes + at + length;
    array->count = rk_shape_elems (header.shape);
    char shape[RK_SHAPE_TEXT];
    if (array->count == 0)
        return rk_error_set (err, RK_EFORMAT, "%s: shape %s is empty or too large", file, rk_shape_text (header.shape, shape));
    const size_t data = size - at - length, want = array->count * array->type->bytes;
    if (data != want)
        return rk_error_set (err, RK_EFORMAT, "%s: %zu bytes of data, its header %s of %s says %zu", file, data,
                             rk_shape_text (header.shape, shape), array->type->descr, want);
    return RK_OK;
}

/* ---- its values */

static rk_shape_t s_sample_shape (rk_shape_t whole)
{
    rk_shape_t shape = rk_shape_1 (1);
    if (whole.n_dims == 3)
        return rk_shape_3 (1, whole.dim[1], whole.dim[2]);
    for (int d = 1; d < whole.n_dims; d++)
        shape.dim[d - 1] = whole.dim[d];
    shape.n_dims = whole.n_dims > 1 ? whole.n_dims - 1 : 1;
    return shape;
}

#define MOST_INTEGER 16777216.0 /* 2^24: those below are floats exactly */

static rk_err_t s_floats (const char *file, const rk_npy_t *x, float **floats, rk_error_t *err)
{
    const rk_npy_type_t *type = x->type;
    *floats = malloc (x->count * sizeof **floats);
    if (!*floats)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory for %zu values", file, x->count);
    for (size_t i = 0; i < x->count; i++) {
        const double value = type->value (x->data + i * type->bytes);
        if (type->integer && (value <= -MOST_INTEGER || value >= MOST_INTEGER))
            return rk_error_set (err, RK_EFORMAT, "%s: value %zu is %.0f, a float holds integers below %.0f", file, i, value,
                                 MOST_INTEGER);
        (*floats)[i] = (float) value;
    }
    return RK_OK;
}

rk_err_t rk_npy_samples (const char *file, const rk_npy_t *x, rk_data_part_t *part, rk_shape_t *shape, rk_error_t *err)
{
    *shape = s_sample_shape (x->shape);
    part->n = x->shape.dim[0];
    if (x->type->bytes == 1) {
        part->bytes = malloc (x->count);
        if (!part->bytes)
            return rk_error_set (err, RK_ENOMEM, "%s: no memory for %zu values", file, x->count);
        memcpy (part->bytes, x->data, x->count);
        return RK_OK;
    }
    rk_err_t rc = s_floats (file, x, &part->floats, err);
    return rc ? rc : rk_data_check_floats (file, part->floats, part->n, x->count / part->n, err);
}

rk_err_t rk_npy_labels (const char *file, const rk_npy_t *y, rk_data_part_t *part, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    if (!y->type->integer)
        return rk_error_set (err, RK_EFORMAT, "%s: labels of type %s are no class numbers", file, y->type->descr);
    if (y->count != part->n || y->shape.dim[0] != part->n)
        return rk_error_set (err, RK_EFORMAT, "%s: labels %s for %zu samples", file, rk_shape_text (y->shape, text), part->n);
    part->labels = malloc (part->n * sizeof *part->labels);
    if (!part->labels)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory for %zu labels", file, part->n);
    for (size_t i = 0; i < part->n; i++) {
        const double label = y->type->value (y->data + i * y->type->bytes);
        if (label < 0 || label >= RK_DATA_CLASSES)
            return rk_error_set (err, RK_EFORMAT, "%s: label %.0f of sample %zu is not in 0..%d", file, label, i, RK_DATA_CLASSES - 1);
        part->labels[i] = (int32_t) label;
    }
    return RK_OK;
}

rk_err_t rk_npy_targets (const char *file, const rk_npy_t *y, rk_data_part_t *part, size_t *n_values, rk_error_t *err)
{
    char text[RK_SHAPE_TEXT];
    if (y->shape.dim[0] != part->n || y->count == 0)
        return rk_error_set (err, RK_EFORMAT, "%s: targets %s for %zu samples", file, rk_shape_text (y->shape, text), part->n);
    *n_values = y->count / part->n;
    part->labels = malloc (y->count * sizeof *part->labels);
    if (!part->labels)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory for %zu targets", file, y->count);
    for (size_t i = 0; i < y->count; i++) {
        const float target = (float) y->type->value (y->data + i * y->type->bytes);
        memcpy (&part->labels[i], &target, sizeof target);
    }
    return rk_data_check_floats (file, (const float *) (const void *) part->labels, part->n, *n_values, err);
}

rk_err_t rk_npy_take_input (rk_data_t *data, const char *file, uint8_t *bytes, size_t size, rk_error_t *err)
{
    char found[RK_SHAPE_TEXT], expected[RK_SHAPE_TEXT];
    rk_npy_t array;
    rk_shape_t shape;
    rk_err_t rc = rk_npy_parse (file, bytes, size, &array, err);
    if (!rc)
        rc = rk_npy_samples (file, &array, &data->part[RK_SPLIT_TEST], &shape, err);
    free (bytes);
    if (rc)
        return rc;
    if (data->elems && !rk_shape_equal (shape, data->shape))
        return rk_error_set (err, RK_EFORMAT, "%s: samples %s, expected %s", file, rk_shape_text (shape, found),
                             rk_shape_text (data->shape, expected));
    data->shape = shape;
    data->elems = rk_shape_elems (shape);
    return RK_OK;
}
