/* SPDX-License-Identifier: MPL-2.0
 * Comma-separated values: a line is a sample, one column its class number, the others its features. Lines end with LF or
 * CRLF; values may stand in double quotes; empty lines are left out.                                     */
#ifndef RK_COMPUTE_DATA_CSV_H
#define RK_COMPUTE_DATA_CSV_H
#include "compute/data_impl.h"

typedef struct {
    bool header;       /* the first line names the columns */
    const char *label; /* its name or number from 1; NULL, "" or "last": the last column */
    bool values;       /* labels are any finite numbers: part->labels holds their bits */
    bool bare;         /* there is none: every column is a feature, and part->labels stays as it is */
} rk_csv_config_t;

/* Samples without labels as the TEST split of an empty data set. errors: as rk_csv_read. */
rk_err_t rk_csv_take_input (rk_data_t *data, const char *file, const uint8_t *bytes, size_t size, const rk_data_options_t *options,
                            rk_error_t *err) RK_MUST_CHECK;

/* All samples of the text into an empty part; *n_features: its columns without the label. file: for the text, which names the line.
 * errors: RK_EFORMAT (another number of columns, no number, NaN, label), RK_ENOTFOUND (label column), RK_ENOMEM.   */
rk_err_t rk_csv_read (const char *file, const char *text, size_t size, const rk_csv_config_t *config, rk_data_part_t *part,
                      size_t *n_features, rk_error_t *err) RK_MUST_CHECK;

#endif
