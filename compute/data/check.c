/* SPDX-License-Identifier: MPL-2.0 */
#include <math.h>

#include "compute/data_impl.h"

rk_err_t rk_data_check_labels (const char *file, const rk_data_part_t *part, size_t n_classes, rk_error_t *err)
{
    for (size_t i = 0; i < part->n; i++)
        if (part->labels[i] < 0 || (size_t) part->labels[i] >= n_classes)
            return rk_error_set (err, RK_EFORMAT, "%s: label %d of sample %zu is not in 0..%zu", file, (int) part->labels[i], i,
                                 n_classes - 1);
    return RK_OK;
}

rk_err_t rk_data_check_floats (const char *file, const float *values, size_t n, size_t elems, rk_error_t *err)
{
    for (size_t i = 0; i < n * elems; i++)
        if (!isfinite (values[i]))
            return rk_error_set (err, RK_EFORMAT, "%s: value %zu of sample %zu is %g", file, i % elems, i / elems, (double) values[i]);
    return RK_OK;
}

rk_err_t rk_data_count_classes (rk_data_t *data, const char *file, size_t given, rk_error_t *err)
{
    size_t n_classes = given ? given : 2;
    for (int split = 0; split < 2 && !given; split++) {
        const rk_data_part_t *part = &data->part[split];
        for (size_t i = 0; i < part->n; i++)
            if (part->labels[i] >= 0 && (size_t) part->labels[i] >= n_classes)
                n_classes = (size_t) part->labels[i] + 1;
    }
    if (n_classes > RK_DATA_CLASSES)
        return rk_error_set (err, RK_EFORMAT, "%s: labels up to %zu, at most %d classes are possible", file, n_classes - 1,
                             RK_DATA_CLASSES);
    data->n_classes = n_classes;
    rk_err_t rc = RK_OK;
    for (int split = 0; split < 2 && !rc; split++)
        rc = rk_data_check_labels (file, &data->part[split], n_classes, err);
    return rc;
}

rk_err_t rk_data_span_targets (rk_data_t *data, const char *file, size_t n_values, rk_error_t *err)
{
    float low = INFINITY, high = -INFINITY;
    for (int split = 0; split < 2; split++) {
        const rk_data_part_t *part = &data->part[split];
        const float *targets = (const float *) (const void *) part->labels;
        rk_err_t rc = rk_data_check_floats (file, targets, part->n, n_values, err);
        if (rc)
            return rk_error_wrap (err, rc, "targets");
        for (size_t i = 0; i < part->n * n_values; i++) {
            low = fminf (low, targets[i]);
            high = fmaxf (high, targets[i]);
        }
    }
    data->n_classes = n_values;
    data->labels = (rk_labels_t) {.kind = RK_LABEL_TARGET, .n = n_values, .n_classes = n_values, .low = low, .high = high};
    return RK_OK;
}
