/* SPDX-License-Identifier: MPL-2.0
 * CIFAR-10 and CIFAR-100 in their binary version (Krizhevsky, 2009): records of one label byte (CIFAR-100: coarse,
 * then fine; the fine one counts) and 3 x 32 x 32 bytes, red plane first, row after row. Plain or gzip.     */
#include <stdlib.h>
#include <string.h>

#include "compute/data/cifar.h"

#define PICTURE ((size_t) 3 * 32 * 32)

rk_err_t rk_cifar_append (const char *file, size_t n_labels, size_t n_classes, const uint8_t *records, size_t size,
                          rk_data_part_t *part, rk_error_t *err)
{
    const size_t record = n_labels + PICTURE, n = size / record;
    if (n == 0 || size % record)
        return rk_error_set (err, RK_EFORMAT, "%s: %zu bytes are not a number of records of %zu bytes", file, size, record);
    uint8_t *bytes = realloc (part->bytes, (part->n + n) * PICTURE);
    part->bytes = bytes ? bytes : part->bytes;
    int32_t *labels = realloc (part->labels, (part->n + n) * sizeof *labels);
    part->labels = labels ? labels : part->labels;
    if (!bytes || !labels)
        return rk_error_set (err, RK_ENOMEM, "%s: no memory for %zu pictures", file, part->n + n);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *at = records + i * record;
        if (at[n_labels - 1] >= n_classes)
            return rk_error_set (err, RK_EFORMAT, "%s: label %u of record %zu is not in 0..%zu", file, at[n_labels - 1], i,
                                 n_classes - 1);
        labels[part->n + i] = at[n_labels - 1];
        memcpy (bytes + (part->n + i) * PICTURE, at + n_labels, PICTURE);
    }
    part->n += n;
    return RK_OK;
}

static rk_err_t s_open (rk_data_t *data, const char *folder, size_t n_labels, const char *const *names, rk_error_t *err)
{
    char file[1024];
    rk_err_t rc = RK_OK;
    for (int split = 0; split < 2 && !rc; split++, names++) /* the names of a split end with NULL */
        for (; *names && !rc; names++) {
            uint8_t *records = NULL;
            size_t size;
            rc = rk_file_path (file, sizeof file, folder, *names, err);
            if (!rc)
                rc = rk_file_read (file, RK_DATA_MOST_BYTES, &records, &size, err);
            if (!rc)
                rc = rk_cifar_append (file, n_labels, data->n_classes, records, size, &data->part[split], err);
            free (records);
        }
    return rc;
}

static void s_describe (rk_data_t *data, size_t n_classes, const float mean[3], const float deviation[3])
{
    data->shape = rk_shape_3 (3, 32, 32);
    data->n_classes = n_classes;
    data->n_norms = 3;
    memcpy (data->mean, mean, 3 * sizeof *mean);
    memcpy (data->deviation, deviation, 3 * sizeof *deviation);
}

void rk_data_describe_cifar10 (rk_data_t *data);
rk_err_t rk_data_open_cifar10 (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err);
void rk_data_describe_cifar100 (rk_data_t *data);
rk_err_t rk_data_open_cifar100 (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err);

void rk_data_describe_cifar10 (rk_data_t *data)
{
    s_describe (data, 10, (const float[]) {0.4914f, 0.4822f, 0.4465f}, (const float[]) {0.2470f, 0.2435f, 0.2616f});
}

rk_err_t rk_data_open_cifar10 (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err)
{
    static const char *const names[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                        "data_batch_5.bin", NULL, "test_batch.bin", NULL};
    return s_open (data, options->path, 1, names, err);
}

void rk_data_describe_cifar100 (rk_data_t *data)
{
    s_describe (data, 100, (const float[]) {0.5071f, 0.4865f, 0.4409f}, (const float[]) {0.2673f, 0.2564f, 0.2762f});
}

rk_err_t rk_data_open_cifar100 (rk_data_t *data, const rk_data_options_t *options, rk_error_t *err)
{
    static const char *const names[] = {"train.bin", NULL, "test.bin", NULL};
    return s_open (data, options->path, 2, names, err);
}
