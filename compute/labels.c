/* SPDX-License-Identifier: MPL-2.0 */
#include "compute/labels.h"

#include <string.h>

bool rk_labels_judged (const rk_labels_t *labels)
{
    return labels->kind == RK_LABEL_CLASS || (labels->low >= 0 && labels->high <= 1);
}

static bool s_ok (const rk_labels_t *want, const void *at)
{
    if (want->kind == RK_LABEL_TARGET) {
        float target;
        memcpy (&target, at, sizeof target);
        return target >= want->low && target <= want->high; /* not so for NaN */
    }
    int32_t label;
    memcpy (&label, at, sizeof label);
    return (label >= 0 && (size_t) label < want->n_classes) || (want->ignores && label == want->ignore);
}

static rk_err_t s_refuse (const rk_labels_t *want, size_t sample, const void *at, rk_error_t *err)
{
    int32_t label;
    float target;
    memcpy (&label, at, sizeof label);
    memcpy (&target, at, sizeof target);
    if (want->kind == RK_LABEL_TARGET)
        return rk_error_set (err, RK_EINVAL, "target %g of sample %zu is not in %g..%g", (double) target, sample,
                             (double) want->low, (double) want->high);
    return rk_error_set (err, RK_EINVAL, "label %d of sample %zu is not in 0..%zu", (int) label, sample,
                         want->n_classes - 1);
}

rk_err_t rk_labels_check (const rk_labels_t *want, size_t n, const void *labels, rk_error_t *err)
{
    const char *at = labels;
    for (size_t i = 0; i < n * want->n; i++, at += RK_LABEL_BYTES)
        if (!s_ok (want, at))
            return s_refuse (want, i / want->n, at, err);
    return RK_OK;
}

rk_err_t rk_labels_suit (const rk_labels_t *want, const rk_labels_t *given, rk_error_t *err)
{
    static const char *const kinds[] = {"classes", "targets"};
    if (given->kind != want->kind || given->n != want->n)
        return rk_error_set (err, RK_ESHAPE, "a sample has %zu labels that are %s, the loss takes %zu %s", given->n,
                             kinds[given->kind], want->n, kinds[want->kind]);
    if (want->kind == RK_LABEL_TARGET)
        return given->low >= want->low && given->high <= want->high
                   ? RK_OK
                   : rk_error_set (err, RK_ESHAPE, "targets are in %g..%g, the loss takes %g..%g", (double) given->low,
                                   (double) given->high, (double) want->low, (double) want->high);
    if (given->n_classes > want->n_classes)
        return rk_error_set (err, RK_ESHAPE, "labels are of %zu classes, the model has %zu", given->n_classes,
                             want->n_classes);
    if (given->ignores && !(want->ignores && want->ignore == given->ignore))
        return rk_error_set (err, RK_ESHAPE, "labels of %d are to be ignored, but the loss does not",
                             (int) given->ignore);
    return RK_OK;
}
