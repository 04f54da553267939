/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/data/csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_FIELD 64 /* characters of a number, and of a column's name that can be asked for */

typedef struct {
    const char *file, *at, *end;
    size_t line; /* from 1 */
    const rk_csv_config_t *config;
    size_t n_columns, label; /* label: index of its column */
    rk_data_part_t *part;
    size_t capacity; /* samples */
    rk_error_t *err;
} s_reader_t;

typedef struct {
    char text[MOST_FIELD]; /* without its quotes and the blanks around it */
    size_t n;
    bool too_long, last; /* last of its line */
} s_field_t;

static bool s_line_ends (const s_reader_t *r)
{
    return r->at == r->end || *r->at == '\n' || (*r->at == '\r' && (r->at + 1 == r->end || r->at[1] == '\n'));
}

static void s_skip_line_end (s_reader_t *r)
{
    r->at += r->at < r->end && *r->at == '\r';
    r->at += r->at < r->end && *r->at == '\n';
    r->line++;
}

/* Blanks around a value do not count. */
static void s_trim (char *text)
{
    size_t n = strlen (text), blanks = strspn (text, " \t");
    while (n > blanks && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    memmove (text, text + blanks, n - blanks);
    text[n - blanks] = 0;
}

static void s_put (s_field_t *field, char c)
{
    field->too_long = field->too_long || field->n == MOST_FIELD - 1 || c == 0;
    if (field->n < MOST_FIELD - 1)
        field->text[field->n++] = c;
}

/* Up to behind the closing quote; false if there is none on this line. */
static bool s_read_quoted (s_reader_t *r, s_field_t *field)
{
    for (r->at++; r->at < r->end && *r->at != '\n'; r->at++) {
        if (*r->at == '"' && (r->at + 1 == r->end || r->at[1] != '"')) {
            r->at++;
            return true;
        }
        r->at += *r->at == '"'; /* two are one */
        s_put (field, *r->at);
    }
    return false;
}

static rk_err_t s_next_field (s_reader_t *r, s_field_t *field)
{
    *field = (s_field_t) {.n = 0};
    if (r->at < r->end && *r->at == '"') {
        if (!s_read_quoted (r, field))
            return rk_error_set (r->err, RK_EFORMAT, "%s:%zu: a quote is not closed", r->file, r->line);
        if (!s_line_ends (r) && *r->at != ',')
            return rk_error_set (r->err, RK_EFORMAT, "%s:%zu: something stands behind a closed quote", r->file, r->line);
    }
    for (; !s_line_ends (r) && *r->at != ','; r->at++)
        s_put (field, *r->at);
    field->last = s_line_ends (r);
    r->at += !field->last;
    field->text[field->n] = 0;
    s_trim (field->text);
    return RK_OK;
}

/* ---- columns */

static rk_err_t s_no_label (const s_reader_t *r)
{
    return rk_error_set (r->err, RK_ENOTFOUND, "%s: no column \"%.60s\" among its %zu for the label", r->file, r->config->label, r->n_columns);
}

/* The label's column by number or as the last one; by name the header has found it already. */
static rk_err_t s_choose_label (s_reader_t *r, bool named)
{
    const char *label = r->config->label;
    if (r->config->bare) {
        r->label = r->n_columns;
        return RK_OK;
    }
    if (r->n_columns < 2)
        return rk_error_set (r->err, RK_EFORMAT, "%s: %zu column, a label and a feature are needed", r->file, r->n_columns);
    if (named)
        return RK_OK;
    r->label = r->n_columns - 1;
    if (!label || !*label || strcmp (label, "last") == 0)
        return RK_OK;
    char *end;
    const unsigned long number = strtoul (label, &end, 10);
    if (*label < '0' || *label > '9' || *end || number < 1 || number > r->n_columns)
        return s_no_label (r);
    r->label = number - 1;
    return RK_OK;
}

static void s_skip_empty_lines (s_reader_t *r)
{
    while (r->at < r->end && s_line_ends (r))
        s_skip_line_end (r);
}

/* Counts the columns of the first line, which it takes only if it is a header. */
static rk_err_t s_read_columns (s_reader_t *r)
{
    s_skip_empty_lines (r);
    const char *begin = r->at;
    const char *label = r->config->label;
    bool named = false;
    s_field_t field = {.last = false};
    if (r->at == r->end)
        return rk_error_set (r->err, RK_EFORMAT, "%s: empty", r->file);
    while (!field.last) {
        rk_err_t rc = s_next_field (r, &field);
        if (rc)
            return rc;
        if (r->config->header && label && *label && !named && strcmp (field.text, label) == 0) {
            named = true;
            r->label = r->n_columns;
        }
        r->n_columns++;
    }
    if (r->config->header)
        s_skip_line_end (r);
    else
        r->at = begin;
    return s_choose_label (r, named);
}

/* ---- samples */

static size_t s_features (const s_reader_t *r)
{
    return r->n_columns - !r->config->bare;
}

static rk_err_t s_grow (s_reader_t *r)
{
    rk_data_part_t *part = r->part;
    if (part->n < r->capacity)
        return RK_OK;
    const size_t capacity = r->capacity ? 2 * r->capacity : 16;
    float *floats = realloc (part->floats, capacity * s_features (r) * sizeof *floats);
    part->floats = floats ? floats : part->floats;
    int32_t *labels = r->config->bare ? NULL : realloc (part->labels, capacity * sizeof *labels);
    part->labels = labels ? labels : part->labels;
    if (!floats || (!labels && !r->config->bare))
        return rk_error_set (r->err, RK_ENOMEM, "%s: no memory for %zu samples", r->file, capacity);
    r->capacity = capacity;
    return RK_OK;
}

static rk_err_t s_take_value (s_reader_t *r, size_t column, const s_field_t *field, float **to)
{
    char *end;
    const float value = strtof (field->text, &end);
    if (field->too_long || !*field->text || *end || !isfinite (value))
        return rk_error_set (r->err, RK_EFORMAT, "%s:%zu: column %zu: \"%s\" is no finite number", r->file, r->line, column + 1, field->text);
    if (column != r->label) {
        *(*to)++ = value;
        return RK_OK;
    }
    if (r->config->values) {
        memcpy (&r->part->labels[r->part->n], &value, sizeof value);
        return RK_OK;
    }
    if (!(value >= 0 && value < RK_DATA_CLASSES && value == (float) (int32_t) value))
        return rk_error_set (r->err, RK_EFORMAT, "%s:%zu: column %zu: label \"%s\" is not in 0..%d", r->file, r->line, column + 1, field->text,
                             RK_DATA_CLASSES - 1);
    r->part->labels[r->part->n] = (int32_t) value;
    return RK_OK;
}

static rk_err_t s_read_sample (s_reader_t *r)
{
    rk_err_t rc = s_grow (r);
    if (rc)
        return rc;
    float *to = r->part->floats + r->part->n * s_features (r);
    s_field_t field = {.last = false};
    size_t column = 0;
    for (; !field.last && column < r->n_columns; column++) {
        rc = s_next_field (r, &field);
        if (!rc)
            rc = s_take_value (r, column, &field, &to);
        if (rc)
            return rc;
    }
    if (!field.last || column < r->n_columns)
        return rk_error_set (r->err, RK_EFORMAT, "%s:%zu: %s than %zu columns", r->file, r->line, field.last ? "fewer" : "more", r->n_columns);
    r->part->n++;
    s_skip_line_end (r);
    return RK_OK;
}

rk_err_t rk_csv_read (const char *file, const char *text, size_t size, const rk_csv_config_t *config, rk_data_part_t *part,
                      size_t *n_features, rk_error_t *err)
{
    s_reader_t r = {.file = file, .at = text, .end = text + size, .line = 1, .config = config, .part = part, .err = err};
    rk_err_t rc = s_read_columns (&r);
    for (s_skip_empty_lines (&r); !rc && r.at < r.end; s_skip_empty_lines (&r))
        rc = s_read_sample (&r);
    if (!rc && part->n == 0)
        rc = rk_error_set (err, RK_EFORMAT, "%s: no samples", file);
    *n_features = s_features (&r);
    return rc;
}

rk_err_t rk_csv_take_input (rk_data_t *data, const char *file, const uint8_t *bytes, size_t size, const rk_data_options_t *options,
                            rk_error_t *err)
{
    const rk_csv_config_t config = {.header = !options->no_header, .bare = true};
    size_t n_features = 0;
    rk_err_t rc = rk_csv_read (file, (const char *) bytes, size, &config, &data->part[RK_SPLIT_TEST], &n_features, err);
    data->shape = rk_shape_1 (n_features);
    data->elems = n_features;
    return rc;
}

/* ---- the data set: train.csv and test.csv of a folder */

void rk_data_describe_csv (rk_data_t *data);
rk_err_t rk_data_open_csv (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err);

void rk_data_describe_csv (rk_data_t *data)
{
    data->is_csv = data->may_have_targets = true;
    data->n_norms = 1;
    data->deviation[0] = 1;
}

rk_err_t rk_data_open_csv (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err)
{
    static const char *const names[2] = {"train.csv", "test.csv"};
    const rk_csv_config_t config = {.header = !options->no_header, .label = options->label,
                                    .values = options->labels == RK_LABEL_TARGET};
    rk_err_t rc = RK_OK;
    for (int split = 0; split < 2 && !rc; split++) {
        char file[1024];
        uint8_t *text = NULL;
        size_t size, n_features = 0;
        rc = rk_file_path (file, sizeof file, options->path, names[split], err);
        if (!rc)
            rc = rk_file_read (file, RK_DATA_MOST_BYTES, &text, &size, err);
        if (!rc)
            rc = rk_csv_read (file, (const char *) text, size, &config, &data->part[split], &n_features, err);
        free (text);
        if (!rc && split == RK_SPLIT_TEST && n_features != data->shape.dim[0])
            rc = rk_error_set (err, RK_EFORMAT, "%s: %zu features, train.csv has %zu", file, n_features, data->shape.dim[0]);
        data->shape = rk_shape_1 (n_features);
    }
    if (rc)
        return rc;
    return config.values ? rk_data_span_targets (data, options->path, 1, err)
                         : rk_data_count_classes (data, options->path, options->n_classes, err);
}
