/* SPDX-License-Identifier: MPL-2.0
 * Comma-separated values: a line is a sample, one column its class number, the others its features. Lines end with LF or
 * CRLF; values may stand in double quotes; empty lines are left out.                                     */
#ifndef RK_COMPUTE_DATA_CSV_H
#define RK_COMPUTE_DATA_CSV_H
#include "compute/data_impl.h"

typedef struct {
    bool header;       /* the first line names the columns */
    const char *label; /* its name or number from 1; NULL, "" or "last": the last column */
} rk_csv_config_t;

/* All samples of the text into an empty part; *n_features: one less than its columns. file: for the text, which names the line.
 * errors: RK_EFORMAT (another number of columns, no number, NaN, label), RK_ENOTFOUND (label column), RK_ENOMEM.   */
rk_err_t rk_csv_read (const char *file, const char *text, size_t size, const rk_csv_config_t *config, rk_data_part_t *part,
                      size_t *n_features, rk_error_t *err) RK_MUST_CHECK;

#endif
