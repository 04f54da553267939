/* SPDX-License-Identifier: MPL-2.0
 * rookery bench allreduce: the mean of a vector over a ring of real reducers: threads of this process
 * (inproc) or one process a rank (ipc, tcp). Back-to-back averages in batches of about 50 ms.            */
#include "actors/rookery/bench_allreduce.h"

#include <string.h>

#define CHUNK_NS 50000000
#define LEAST_CHUNKS 15

uint64_t rk_pace_next (rk_pace_t *pace, int64_t elapsed_ns, double ranks_cpu_s, const volatile bool *interrupted)
{
    int call = pace->n_calls++;
    if (call == 0)
        return 2; /* warm up */
    if (call == 1)
        return 3; /* how long does one take? */
    if (call == 2) {
        pace->k = elapsed_ns > 0 && elapsed_ns / 3 < CHUNK_NS ? (uint64_t) (CHUNK_NS / (elapsed_ns / 3 + 1)) : 1;
        pace->end_ns = rk_now_ns () + pace->seconds_ns;
        rk_meter_begin (&pace->meter);
        pace->own_cpu_s = ranks_cpu_s;
    }
    else {
        rk_chunks_add (&pace->us, (double) elapsed_ns / 1e3 / (double) pace->k);
    }
    if (!*interrupted && (pace->us.n < LEAST_CHUNKS || rk_now_ns () < pace->end_ns))
        return pace->k;
    /* the meter counts this process alone; take the ranks' own time off too */
    double wall_s = (double) (rk_now_ns () - pace->meter.wall_ns) / 1e9;
    double other = rk_meter_other_cores (&pace->meter) - (ranks_cpu_s - pace->own_cpu_s) / wall_s;
    pace->other_cores = other > 0 ? rk_bench_round (other, 100) : 0;
    return 0;
}

static rk_err_t s_threads (rk_ranks_t *r, rk_pace_t *pace, const volatile bool *interrupted, rk_error_t *err)
{
    char endpoints[RK_RANKS_MAX][RK_RANKS_ENDPOINT];
    int64_t elapsed_ns = 0;
    r->n_here = r->n;
    rk_err_t code = rk_ranks_open (r, endpoints, err);
    if (!code)
        code = rk_ranks_connect (r, endpoints, err);
    for (uint64_t k = 1; !code && (k = rk_pace_next (pace, elapsed_ns, 0, interrupted));)
        code = rk_ranks_run (r, k, &elapsed_ns, err);
    rk_ranks_close (r);
    return code;
}

static void s_put (const rk_args_t *args, const rk_ranks_t *r, rk_pace_t *pace)
{
    double us = rk_chunks_at (&pace->us, 0.5), best = rk_chunks_at (&pace->us, 0), worst = rk_chunks_at (&pace->us, 1);
    uint64_t bytes = r->n_floats * sizeof (float);
    char peer[32];
    snprintf (peer, sizeof peer, "rookery-%s", r->transport);
    rk_bench_put (args, json_pack ("{s:s,s:s,s:s,s:i,s:I,s:f,s:f,s:f,s:f,s:f,s:I,s:i,s:f}", "figure", "allreduce", "peer", peer, "graph", r->graph,
                                   "ranks", (int) r->n, "bytes", (json_int_t) bytes, "us", rk_bench_round (us, 10), "best_us",
                                   rk_bench_round (best, 10), "worst_us", rk_bench_round (worst, 10), "alg_mb_s",
                                   us > 0 ? rk_bench_round ((double) bytes / us, 10) : 0, "best_mb_s",
                                   best > 0 ? rk_bench_round ((double) bytes / best, 10) : 0, "per_batch",
                                   (json_int_t) pace->k, "batches", (int) pace->us.n, "other_cores", pace->other_cores));
}

rk_err_t rk_bench_allreduce (const rk_args_t *args, rk_error_t *err)
{
    uint64_t ranks = 2, bytes = 1 << 20;
    double seconds = 3;
    rk_ranks_t r = {0};
    rk_err_t code = rk_bench_transport (args, &r.transport, err);
    if (!code)
        code = rk_args_number (args, "ranks", 2, RK_RANKS_MAX, &ranks, err);
    if (!code)
        code = rk_args_number (args, "bytes", 4, UINT64_C (1) << 32, &bytes, err);
    if (!code)
        code = rk_args_real (args, "seconds", 0.1, 3600, &seconds, err);
    if (code)
        return code;
    const char *graph = rk_args_get (args, "graph");
    r.graph = graph ? graph : "complete";
    r.n = (uint32_t) ranks;
    r.n_floats = bytes / sizeof (float);
    code = rk_bench_identity (args, r.transport, &r.identity, err);
    if (code)
        return code;
    rk_pace_t *pace = calloc (1, sizeof *pace);
    if (!pace)
        return rk_error_set (err, RK_ENOMEM, "out of memory");
    pace->seconds_ns = (int64_t) (seconds * 1e9);
    code = strcmp (r.transport, "inproc") ? rk_ranks_fork (&r, pace, args->interrupted, err)
                                          : s_threads (&r, pace, args->interrupted, err);
    if (!code && pace->us.n)
        s_put (args, &r, pace);
    free (pace);
    return code;
}
