/* SPDX-License-Identifier: MPL-2.0
 * Arrays saved by NumPy: x_train (samples), y_train (class numbers or targets), x_test and y_test, as members of one .npz file or as
 * .npy files in a folder. Bytes become 0 to 1, other values stay as they are.                            */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "compute/data/npy.h"
#include "compute/data/zip.h"

/* Where arrays come from: the bytes of an archive, or a folder. */
typedef struct {
    const char *path;
    uint8_t *archive; /* NULL: path is a folder */
    size_t size;
} s_source_t;

static rk_err_t s_open_source (s_source_t *source, const char *path, rk_error_t *err)
{
    struct stat info;
    *source = (s_source_t) {.path = path};
    if (stat (path, &info) == 0 && S_ISDIR (info.st_mode))
        return RK_OK;
    rk_err_t rc = rk_file_read (path, RK_DATA_MOST_BYTES, &source->archive, &source->size, err);
    if (!rc && !rk_zip_is (source->archive, source->size))
        rc = rk_error_set (err, RK_EFORMAT, "%s: neither a folder of .npy files nor a .npz file", path);
    return rc;
}

/* *name: what errors call the array. */
static rk_err_t s_array (const s_source_t *source, const char *stem, char name[1024], uint8_t **bytes, rk_npy_t *array, rk_error_t *err)
{
    char member[32];
    size_t size;
    *bytes = NULL;
    snprintf (member, sizeof member, "%s.npy", stem);
    rk_err_t rc = rk_file_path (name, 1024, source->path, member, err);
    if (!rc && source->archive)
        rc = rk_zip_read (source->path, source->archive, source->size, member, bytes, &size, err);
    else if (!rc)
        rc = rk_file_read (name, RK_DATA_MOST_BYTES, bytes, &size, err);
    return rc ? rc : rk_npy_parse (name, *bytes, size, array, err);
}

/* *n_values: of a sample, as those to train on have. */
static rk_err_t s_targets (const char *name, const rk_npy_t *y, rk_split_t split, rk_data_part_t *part, size_t *n_values, rk_error_t *err)
{
    const size_t before = *n_values;
    rk_err_t rc = rk_npy_targets (name, y, part, n_values, err);
    if (!rc && split == RK_SPLIT_TEST && *n_values != before)
        rc = rk_error_set (err, RK_EFORMAT, "%s: %zu targets a sample, those to train on have %zu", name, *n_values, before);
    return rc;
}

static rk_err_t s_read_part (rk_data_t *data, rk_split_t split, const s_source_t *source, rk_label_kind_t kind, size_t *n_values,
                             rk_error_t *err)
{
    static const char *const stems[2][2] = {{"x_train", "y_train"}, {"x_test", "y_test"}};
    char name[1024], found[RK_SHAPE_TEXT], expected[RK_SHAPE_TEXT];
    uint8_t *bytes;
    rk_npy_t array;
    rk_shape_t shape;
    rk_data_part_t *part = &data->part[split];
    rk_err_t rc = s_array (source, stems[split][0], name, &bytes, &array, err);
    if (!rc)
        rc = rk_npy_samples (name, &array, part, &shape, err);
    free (bytes);
    if (!rc && split == RK_SPLIT_TEST && !rk_shape_equal (shape, data->shape))
        rc = rk_error_set (err, RK_EFORMAT, "%s: samples %s, those to train on are %s", name, rk_shape_text (shape, found),
                           rk_shape_text (data->shape, expected));
    if (rc)
        return rc;
    data->shape = shape;
    rc = s_array (source, stems[split][1], name, &bytes, &array, err);
    if (!rc)
        rc = kind == RK_LABEL_TARGET ? s_targets (name, &array, split, part, n_values, err) : rk_npy_labels (name, &array, part, err);
    free (bytes);
    return rc;
}

void rk_data_describe_numpy (rk_data_t *data);
rk_err_t rk_data_open_numpy (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err);

void rk_data_describe_numpy (rk_data_t *data)
{
    data->may_have_targets = true;
    data->n_norms = 1;
    data->deviation[0] = 1;
}

rk_err_t rk_data_open_numpy (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err)
{
    s_source_t source;
    size_t n_values = 0;
    rk_err_t rc = s_open_source (&source, options->path, err);
    for (int split = 0; split < 2 && !rc; split++)
        rc = s_read_part (data, (rk_split_t) split, &source, options->labels, &n_values, err);
    if (!rc)
        rc = options->labels == RK_LABEL_TARGET ? rk_data_span_targets (data, options->path, n_values, err)
                                                : rk_data_count_classes (data, options->path, options->n_classes, err);
    free (source.archive);
    return rc;
}
