/* SPDX-License-Identifier: MPL-2.0
 * IDX files (the format of MNIST): 0, 0, type, number of dimensions, big-endian sizes, data.         */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compute/data_impl.h"

#define TYPE_UNSIGNED_BYTE 8

static size_t s_big_endian (const uint8_t *at)
{
    return (size_t) at[0] << 24 | (size_t) at[1] << 16 | (size_t) at[2] << 8 | at[3];
}

/* Checks the header against what is there; *data_at is the first byte of data. */
static rk_err_t s_parse (const char *file, const uint8_t *bytes, size_t size, int n_dims, size_t dim[], rk_error_t *err)
{
    const size_t header = 4 + 4 * (size_t) n_dims;
    if (size < 4)
        return rk_error_set (err, RK_EFORMAT, "%s: %zu bytes are no IDX file", file, size);
    const unsigned want = TYPE_UNSIGNED_BYTE << 8 | (unsigned) n_dims;
    if (s_big_endian (bytes) != want)
        return rk_error_set (err, RK_EFORMAT, "%s: magic number 0x%08zx, expected 0x%08x (bytes, %d dimensions)", file,
                             s_big_endian (bytes), want, n_dims);
    if (size < header)
        return rk_error_set (err, RK_EFORMAT, "%s: %zu bytes, its header alone has %zu", file, size, header);
    size_t count = 1;
    for (int d = 0; d < n_dims; d++) {
        dim[d] = s_big_endian (bytes + 4 + 4 * d);
        if (dim[d] == 0 || dim[d] > RK_DATA_MOST_BYTES / count)
            return rk_error_set (err, RK_EFORMAT, "%s: dimension %d is %zu", file, d, dim[d]);
        count *= dim[d];
    }
    if (size != header + count)
        return rk_error_set (err, RK_EFORMAT, "%s: %zu bytes of data, its header says %zu", file, size - header, count);
    return RK_OK;
}

rk_err_t rk_idx_unpack (const char *file, int n_dims, size_t dim[], uint8_t *bytes, size_t size, rk_error_t *err)
{
    rk_err_t rc = s_parse (file, bytes, size, n_dims, dim, err);
    const size_t header = 4 + 4 * (size_t) n_dims;
    if (!rc)
        memmove (bytes, bytes + header, size - header);
    return rc;
}

rk_err_t rk_idx_read (const char *file, int n_dims, size_t dim[], uint8_t **bytes, rk_error_t *err)
{
    size_t size;
    rk_err_t rc = rk_file_read (file, RK_DATA_MOST_BYTES, bytes, &size, err);
    if (!rc)
        rc = rk_idx_unpack (file, n_dims, dim, *bytes, size, err);
    if (rc) {
        free (*bytes);
        *bytes = NULL;
        return rc;
    }
    uint8_t *exact = realloc (*bytes, size); /* the reader's buffer grew by doubling */
    *bytes = exact ? exact : *bytes;
    return RK_OK;
}

/* folder/stem or folder/stem.gz, whichever exists. */
static rk_err_t s_find_file (const char *folder, const char *stem, char *file, size_t room, rk_error_t *err)
{
    for (int packed = 1; packed >= 0; packed--) {
        char name[64];
        snprintf (name, sizeof name, "%s%s", stem, packed ? ".gz" : "");
        rk_err_t rc = rk_file_path (file, room, folder, name, err);
        if (rc)
            return rc;
        if (access (file, F_OK) == 0)
            return RK_OK;
    }
    return rk_error_set (err, RK_EIO, "%s: neither %s nor %s.gz is there (Debian package dataset-fashion-mnist)", folder,
                         stem, stem);
}

static rk_err_t s_read_images (rk_data_t *data, rk_split_t split, const char *file, rk_error_t *err)
{
    size_t dim[3];
    rk_data_part_t *part = &data->part[split];
    rk_err_t rc = rk_idx_read (file, 3, dim, &part->bytes, err);
    if (rc)
        return rc;
    const rk_shape_t shape = rk_shape_3 (1, dim[1], dim[2]);
    if (split == RK_SPLIT_TEST && !rk_shape_equal (shape, data->shape)) {
        return rk_error_set (err, RK_EFORMAT, "%s: images of %zu x %zu, the other part has %zu x %zu", file, dim[1],
                             dim[2], data->shape.dim[1], data->shape.dim[2]);
    }
    part->n = dim[0];
    data->shape = shape;
    data->elems = dim[1] * dim[2];
    return RK_OK;
}

static rk_err_t s_read_labels (rk_data_t *data, rk_split_t split, const char *file, rk_error_t *err)
{
    size_t n;
    uint8_t *bytes;
    rk_data_part_t *part = &data->part[split];
    rk_err_t rc = rk_idx_read (file, 1, &n, &bytes, err);
    if (rc)
        return rc;
    part->labels = n == part->n ? malloc (n * sizeof *part->labels) : NULL;
    for (size_t i = 0; i < n && part->labels; i++)
        part->labels[i] = bytes[i];
    free (bytes);
    if (n != part->n)
        return rk_error_set (err, RK_EFORMAT, "%s: %zu labels for %zu images", file, n, part->n);
    if (!part->labels)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory for %zu labels", file, n);
    return rk_data_check_labels (file, part, data->n_classes, err);
}

void rk_data_describe_fashion_mnist (rk_data_t *data);
rk_err_t rk_data_open_fashion_mnist (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err);

void rk_data_describe_fashion_mnist (rk_data_t *data)
{
    data->shape = rk_shape_3 (1, 28, 28);
    data->n_classes = 10;
    data->n_norms = 1;
    data->mean[0] = 0.2860f;
    data->deviation[0] = 0.3530f;
}

rk_err_t rk_data_open_fashion_mnist (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err)
{
    static const char *const stems[2][2] = {{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
                                            {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}};
    char file[1024];
    for (int split = 0; split < 2; split++) {
        rk_err_t rc = s_find_file (options->path, stems[split][0], file, sizeof file, err);
        if (!rc)
            rc = s_read_images (data, (rk_split_t) split, file, err);
        if (!rc)
            rc = s_find_file (options->path, stems[split][1], file, sizeof file, err);
        if (!rc)
            rc = s_read_labels (data, (rk_split_t) split, file, err);
        if (rc)
            return rc;
    }
    return RK_OK;
}
