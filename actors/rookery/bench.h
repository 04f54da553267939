/* SPDX-License-Identifier: MPL-2.0
 * Shared by the benchmarks: medians over chunks, how busy the machine was with other work, JSON lines with
 * the field names that the comparisons with PyTorch, Gloo and Open MPI use.                              */
#ifndef RK_ACTORS_ROOKERY_BENCH_H
#define RK_ACTORS_ROOKERY_BENCH_H
#include <jansson.h>
#include "actors/rookery/args.h"
#include "actors/security/identity.h"
#include "cluster/settings.h"
#include "compute/data.h"

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

/* One thing done over and over: nanoseconds per call by wall clock and by CPU time of all threads. */
typedef rk_err_t rk_bench_fn_t (void *arg, rk_error_t *err);
typedef struct {
    rk_chunks_t wall, cpu; /* one value per chunk of calls */
} rk_bench_times_t;

/* Warm-up, then chunks of about chunk_s seconds until `seconds` are over (five chunks at least). */
rk_err_t rk_bench_repeat (const rk_args_t *args, double seconds, double chunk_s, rk_bench_fn_t *fn, void *arg,
                          rk_bench_times_t *times, rk_error_t *err) RK_MUST_CHECK;

/* --seconds and --threads, and the kernels in force. */
typedef struct {
    double seconds;
    uint64_t threads;
    double peak_gflops; /* of one core: multiply-adds in registers alone, best of several runs by CPU time */
} rk_bench_machine_t;
rk_err_t rk_bench_machine (const rk_args_t *args, rk_bench_machine_t *machine, rk_error_t *err) RK_MUST_CHECK;

/* Appends what every figure of arithmetic has: gflops (median) and best_gflops by wall clock, gflops_per_cpu
 * per second of CPU time, percent of the peak that is, peak, threads, kernels.                           */
json_t *rk_bench_add_speed (json_t *figure, const rk_bench_machine_t *machine, double flops, rk_bench_times_t *times);

double rk_bench_peak_mb (void); /* the most memory that this process ever held */

/* Which share of this process's CPU time goes into products (GEMM and convolution, their packing included),
 * by looking a thousand times a second of CPU time.                                                      */
void rk_bench_share_begin (void);
double rk_bench_share_end (void); /* percent; 0 if the time was too short for one look */

/* The settings' data, or made-up data if it is not there. */
rk_err_t rk_bench_data (rk_data_t **data_p, const rk_settings_t *settings, rk_error_t *err) RK_MUST_CHECK;

/* A model and the data it reads, made up if the usual ones are not there: --model, --batch (64), and those of
 * rk_bench_machine.                                                                                       */
typedef struct {
    rk_settings_t settings;
    uint64_t batch;
    rk_bench_machine_t machine;
    rk_data_t *data; /* the caller's to close */
} rk_bench_work_t;
rk_err_t rk_bench_work (const rk_args_t *args, rk_bench_work_t *work, rk_error_t *err) RK_MUST_CHECK;

/* A figure: one JSON line with --json, else "name value, name value" for people. Takes `figure`. */
void rk_bench_put (const rk_args_t *args, json_t *figure);
double rk_bench_round (double x, double per_unit);

rk_err_t rk_bench_gemm (const rk_args_t *args, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_bench_layer (const rk_args_t *args, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_bench_train (const rk_args_t *args, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_bench_allreduce (const rk_args_t *args, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_bench_hop (const rk_args_t *args, rk_error_t *err) RK_MUST_CHECK;
rk_err_t rk_bench_stack (const rk_args_t *args, rk_error_t *err) RK_MUST_CHECK;
/* A key for tcp, unless --insecure. errors: RK_EUNSUPPORTED. */
rk_err_t rk_bench_identity (const rk_args_t *args, const char *transport, rk_identity_t *identity, rk_error_t *err) RK_MUST_CHECK;
/* "inproc" (default), "ipc" or "tcp". errors: RK_EINVAL. */
rk_err_t rk_bench_transport (const rk_args_t *args, const char **transport_p, rk_error_t *err) RK_MUST_CHECK;

#endif
