/* SPDX-License-Identifier: MPL-2.0
 * What a loss wants to be told of a sample: n labels of 4 bytes each, class indices as int32 or targets as f32, in
 * the machine's order (little-endian on the wire). They are stored and travel as bytes: only the data set that
 * makes them and the loss that reads them know the kind, and rk_data_check_model compares the two.        */
#ifndef RK_COMPUTE_LABELS_H
#define RK_COMPUTE_LABELS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compute/error.h"

#define RK_LABEL_BYTES 4

typedef enum { RK_LABEL_CLASS = 0, RK_LABEL_TARGET } rk_label_kind_t;

typedef struct {
    rk_label_kind_t kind;
    size_t n;         /* per sample */
    size_t n_classes; /* CLASS: labels are in [0, n_classes).. */
    bool ignores;     /* ..or equal to `ignore` */
    int32_t ignore;
    float low, high;  /* TARGET: in [low, high] */
} rk_labels_t;

/* Whether what a model says of such labels are probabilities, of classes or of "yes": then a guess is right or wrong. */
bool rk_labels_judged (const rk_labels_t *labels);

/* Are these the labels of n samples? labels: at any address. errors: RK_EINVAL, the text names sample and value. */
rk_err_t rk_labels_check (const rk_labels_t *want, size_t n, const void *labels, rk_error_t *err) RK_MUST_CHECK;

/* Does every label that `given` allows suit `want`? errors: RK_ESHAPE, the text says what differs. */
rk_err_t rk_labels_suit (const rk_labels_t *want, const rk_labels_t *given, rk_error_t *err) RK_MUST_CHECK;

#endif
