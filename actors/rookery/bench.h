/* SPDX-License-Identifier: MPL-2.0
 * Shared by the benchmarks: medians over chunks, how busy the machine was with other work, JSON lines with
 * the field names that the comparisons with PyTorch, Gloo and Open MPI use.                              */
#ifndef RK_ACTORS_ROOKERY_BENCH_H
#define RK_ACTORS_ROOKERY_BENCH_H
#include <jansson.h>
#include "actors/rookery/args.h"

#define RK_BENCH_MAX_CHUNKS 4096

typedef struct {
    double value[RK_BENCH_MAX_CHUNKS]; /* one per chunk */
    size_t n;
} rk_chunks_t;
void rk_chunks_add (rk_chunks_t *chunks, double value);
/* Sorts. q: 0 smallest, 0.5 median, 1 largest. 0 when empty. */
double rk_chunks_at (rk_chunks_t *chunks, double q);

/* Cores that other programs used between begin and end. */
typedef struct {
    double busy_s, own_s;
    int64_t wall_ns;
} rk_meter_t;
void rk_meter_begin (rk_meter_t *meter);
double rk_meter_other_cores (const rk_meter_t *meter);
double rk_process_cpu_s (void); /* this process and the children it waited for */

/* A figure: one JSON line with --json, else "name value, name value" for people. Takes `figure`. */
void rk_bench_put (const rk_args_t *args, json_t *figure);
double rk_bench_round (double x, double per_unit);

rk_err_t rk_bench_train (const rk_args_t *args, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_bench_allreduce (const rk_args_t *args, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_bench_hop (const rk_args_t *args, rk_error_t *err) RK_MUST_CHECK;
/* "inproc" (default), "ipc" or "tcp". errors: RK_EINVAL. */
rk_err_t rk_bench_transport (const rk_args_t *args, const char **transport_p, rk_error_t *err) RK_MUST_CHECK;

#endif
