/* SPDX-License-Identifier: MPL-2.0
 * What a run folder keeps beside metrics.csv: probes.csv (a line per look, replica and tensor), control.log
 * (the control records, as run.control replays them) and observed.csv (a line per pass and stage: what it takes now). Files are made when the first line comes. thread: the
 * observer's.                                                                                               */
#ifndef RK_ACTORS_RECORDS_H
#define RK_ACTORS_RECORDS_H
#include <stdio.h>
#include "cluster/observed.h"
#include "messages/wire.h"

typedef struct {
    const char *run_dir; /* borrowed; "": nothing is kept */
    bool goes_on;        /* with the files that are there */
    FILE *probes, *control, *observed;
} rk_records_t;

/* values: 3 n_tensors doubles at any address. errors: RK_EIO, RK_EFORMAT (not n_tensors names). */
rk_err_t rk_records_probe (rk_records_t *records, const rk_probe_t *probe, const void *values, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_records_control (rk_records_t *records, uint64_t round, uint32_t value, rk_error_t *err) RK_MUST_CHECK;
/* Stages of which enough was seen; `planned_us` is what the plan expected of forward and backward together. */
rk_err_t rk_records_observed (rk_records_t *records, double seconds, const rk_plan_t *plan, const rk_observed_t *observed,
                              rk_error_t *err) RK_MUST_CHECK;
void rk_records_close (rk_records_t *records);

#endif
