/* SPDX-License-Identifier: MPL-2.0
 * The records of one CIFAR file. */
#ifndef RK_COMPUTE_DATA_CIFAR_H
#define RK_COMPUTE_DATA_CIFAR_H
#include "compute/data_impl.h"

/* Appends the file's samples to part. n_labels: label bytes of a record, the last one counts. errors: RK_EFORMAT (size,
 * label), RK_ENOMEM; part stays valid, n unchanged.                                                      */
rk_err_t rk_cifar_append (const char *file, size_t n_labels, size_t n_classes, const uint8_t *records, size_t size,
                          rk_data_part_t *part, rk_error_t *err) RK_MUST_CHECK;

#endif
