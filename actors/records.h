/* SPDX-License-Identifier: MPL-2.0
 * What a run folder keeps beside metrics.csv: probes.csv (a line per look, replica and tensor) and control.log
 * (the control records, as run.control replays them). Files are made when the first line comes. thread: the
 * observer's.                                                                                               */
#ifndef RK_ACTORS_RECORDS_H
#define RK_ACTORS_RECORDS_H
#include <stdio.h>
#include "messages/wire.h"

typedef struct {
    const char *run_dir; /* borrowed; "": nothing is kept */
    FILE *probes, *control;
} rk_records_t;

/* values: 3 n_tensors doubles at any address. errors: RK_EIO, RK_EFORMAT (not n_tensors names). */
rk_err_t rk_records_probe (rk_records_t *records, const rk_probe_t *probe, const void *values, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_records_control (rk_records_t *records, uint64_t round, uint32_t value, rk_error_t *err) RK_MUST_CHECK;
void rk_records_close (rk_records_t *records);

#endif
