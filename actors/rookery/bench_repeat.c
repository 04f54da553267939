/* SPDX-License-Identifier: MPL-2.0
 * What the benchmarks of arithmetic share: repetition, the machine's peak, figures of speed.             */
#include <string.h>

#include "actors/actor.h"
#include "actors/rookery/bench.h"
#include "compute/blas.h"

#define LEAST_CHUNKS 5
#define WARM_UP_NS 20000000
#define SPIN_RUNS 20
#define SPIN_TURNS 50000 /* about a millisecond */

static rk_err_t s_calls (uint64_t k, rk_bench_fn_t *fn, void *arg, rk_error_t *err)
{
    rk_err_t code = RK_OK;
    for (uint64_t i = 0; i < k && !code; i++)
        code = fn (arg, err);
    return code;
}

/* How many calls make a chunk: from the fastest call of the warm-up. */
static rk_err_t s_warm_up (double chunk_s, rk_bench_fn_t *fn, void *arg, uint64_t *k, rk_error_t *err)
{
    int64_t best = INT64_MAX;
    rk_err_t code = RK_OK;
    for (int64_t begin = rk_now_ns (), at = begin, end; !code && at - begin < WARM_UP_NS; at = end) {
        code = s_calls (1, fn, arg, err);
        end = rk_now_ns ();
        best = end - at < best ? end - at : best;
    }
    const double n = chunk_s * 1e9 / (double) (best > 0 ? best : 1);
    *k = n > 1 ? (uint64_t) n : 1;
    return code;
}

rk_err_t rk_bench_repeat (const rk_args_t *args, double seconds, double chunk_s, rk_bench_fn_t *fn, void *arg,
                          rk_bench_times_t *times, rk_error_t *err)
{
    uint64_t k = 1;
    times->wall.n = times->cpu.n = 0;
    rk_err_t code = s_warm_up (chunk_s, fn, arg, &k, err);
    const int64_t end = rk_now_ns () + (int64_t) (seconds * 1e9);
    while (!code && !*args->interrupted && (rk_now_ns () < end || times->wall.n < LEAST_CHUNKS)) {
        const int64_t wall = rk_now_ns (), cpu = rk_process_cpu_ns ();
        code = s_calls (k, fn, arg, err);
        rk_chunks_add (&times->cpu, (double) (rk_process_cpu_ns () - cpu) / (double) k);
        rk_chunks_add (&times->wall, (double) (rk_now_ns () - wall) / (double) k);
    }
    return code;
}

static double s_peak_gflops (void)
{
    double best = 0;
    for (int run = 0; run < SPIN_RUNS; run++) {
        const int64_t begin = rk_process_cpu_ns ();
        const double flops = rk_blas_spin (SPIN_TURNS), ns = (double) (rk_process_cpu_ns () - begin);
        best = ns > 0 && flops / ns > best ? flops / ns : best;
    }
    return best;
}

static rk_err_t s_precision (const rk_args_t *args, rk_error_t *err)
{
    const char *given = rk_args_get (args, "precision");
    const bool bf16 = given && !strcmp (given, "bf16");
    if (given && !bf16 && strcmp (given, "f32"))
        return rk_error_set (err, RK_EINVAL, "--precision %.40s: f32 or bf16 is needed", given);
    return rk_blas_init (bf16 ? "bf16" : "auto", err);
}

rk_err_t rk_bench_machine (const rk_args_t *args, rk_bench_machine_t *machine, rk_error_t *err)
{
    *machine = (rk_bench_machine_t){.seconds = 3, .threads = 1};
    rk_err_t code = rk_args_number (args, "threads", 1, RK_POOL_MAX_THREADS, &machine->threads, err);
    if (!code)
        code = rk_args_real (args, "seconds", 0.1, 3600, &machine->seconds, err);
    if (!code)
        code = s_precision (args, err);
    if (!code)
        machine->peak_gflops = s_peak_gflops ();
    return code;
}

json_t *rk_bench_add_speed (json_t *figure, const rk_bench_machine_t *machine, double flops, rk_bench_times_t *times)
{
    const double wall = rk_chunks_at (&times->wall, 0.5), best = rk_chunks_at (&times->wall, 0);
    const double cpu = rk_chunks_at (&times->cpu, 0.5);
    json_t *speed = json_pack ("{s:f,s:f,s:f,s:f,s:f,s:I,s:s}", "gflops", wall > 0 ? flops / wall : 0, "best_gflops",
                               best > 0 ? flops / best : 0, "gflops_per_cpu", cpu > 0 ? flops / cpu : 0, "percent_of_peak",
                               cpu > 0 ? 100 * flops / cpu / machine->peak_gflops : 0, "peak_gflops",
                               machine->peak_gflops, "threads", (json_int_t) machine->threads, "kernels", rk_blas_kernels ());
    const char *key;
    json_t *value;
    json_object_foreach (speed, key, value)
        if (json_is_real (value))
            json_real_set (value, rk_bench_round (json_real_value (value), 100));
    json_object_update (figure, speed);
    json_decref (speed);
    return figure;
}
