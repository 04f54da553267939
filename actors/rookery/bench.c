/* SPDX-License-Identifier: MPL-2.0
 * rookery bench: the table of benchmarks and what they share.                                            */
#include "actors/rookery/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "actors/actor.h"
#include "actors/rookery/commands.h"

static const struct {
    const char *name;
    rk_err_t (*run) (const rk_args_t *args, rk_error_t *err);
} s_benches[] = {{"gemm", rk_bench_gemm}, {"layer", rk_bench_layer}, {"train", rk_bench_train}, {"allreduce", rk_bench_allreduce}, {"hop", rk_bench_hop}, {"stack", rk_bench_stack}};

int rk_command_bench (const rk_args_t *args)
{
    rk_error_t err = {0};
    for (size_t i = 0; i < sizeof s_benches / sizeof *s_benches; i++)
        if (!strcmp (s_benches[i].name, args->words[0]))
            return s_benches[i].run (args, &err) ? rk_program_fail (&err) : RK_EXIT_DONE;
    rk_error_set (&err, RK_ENOTFOUND, "no benchmark \"%.40s\"; valid: gemm, layer, train, allreduce, hop, stack", args->words[0]);
    return rk_program_fail (&err);
}

rk_err_t rk_bench_identity (const rk_args_t *args, const char *transport, rk_identity_t *identity, rk_error_t *err)
{
    *identity = rk_identity_plain;
    bool encrypted = !strcmp (transport, "tcp") && !rk_args_has (args, "insecure");
    return encrypted ? rk_identity_generate (identity, err) : RK_OK;
}

rk_err_t rk_bench_transport (const rk_args_t *args, const char **transport_p, rk_error_t *err)
{
    static const char *const valid[] = {"inproc", "ipc", "tcp"};
    const char *given = rk_args_get (args, "transport");
    *transport_p = given ? given : "inproc";
    for (int i = 0; i < 3; i++)
        if (!strcmp (*transport_p, valid[i]))
            return RK_OK;
    return rk_error_set (err, RK_EINVAL, "--transport %.40s: inproc, ipc or tcp is needed", given);
}

/* ---- chunks */
void rk_chunks_add (rk_chunks_t *chunks, double value)
{
    if (chunks->n < RK_BENCH_MAX_CHUNKS)
        chunks->value[chunks->n++] = value;
}

static int s_compare (const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

double rk_chunks_at (rk_chunks_t *chunks, double q)
{
    if (!chunks->n)
        return 0;
    qsort (chunks->value, chunks->n, sizeof *chunks->value, s_compare);
    return chunks->value[(size_t) (q * (double) (chunks->n - 1) + 0.5)];
}

/* ---- the machine */
static double s_busy_s (void)
{
    double t[8] = {0};
    FILE *file = fopen ("/proc/stat", "r");
    int n = file ? fscanf (file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", t, t + 1, t + 2, t + 3, t + 4, t + 5, t + 6, t + 7) : 0;
    if (file)
        fclose (file);
    /* user, nice, system, interrupts, stolen: not idle, not waiting for discs */
    return n == 8 ? (t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) / (double) sysconf (_SC_CLK_TCK) : 0;
}

static double s_seconds (struct timeval t)
{
    return (double) t.tv_sec + (double) t.tv_usec / 1e6;
}

double rk_process_cpu_s (void)
{
    struct rusage own, children;
    getrusage (RUSAGE_SELF, &own);
    getrusage (RUSAGE_CHILDREN, &children);
    return s_seconds (own.ru_utime) + s_seconds (own.ru_stime) + s_seconds (children.ru_utime) + s_seconds (children.ru_stime);
}

double rk_bench_peak_mb (void)
{
    struct rusage usage;
    return getrusage (RUSAGE_SELF, &usage) ? 0 : rk_bench_round ((double) usage.ru_maxrss * 1024 / 1e6, 10);
}

void rk_meter_begin (rk_meter_t *meter)
{
    *meter = (rk_meter_t){s_busy_s (), rk_process_cpu_s (), rk_now_ns ()};
}

double rk_meter_other_cores (const rk_meter_t *meter)
{
    double wall_s = (double) (rk_now_ns () - meter->wall_ns) / 1e9;
    double other_s = s_busy_s () - meter->busy_s - (rk_process_cpu_s () - meter->own_s);
    return wall_s > 0 && other_s > 0 ? rk_bench_round (other_s / wall_s, 100) : 0;
}

/* ---- output */
double rk_bench_round (double x, double per_unit)
{
    return round (x * per_unit) / per_unit;
}

static void s_put_text (json_t *figure)
{
    const char *key;
    json_t *value;
    bool first = true;
    json_object_foreach (figure, key, value) {
        char *text = json_dumps (value, JSON_ENCODE_ANY | JSON_REAL_PRECISION (8));
        if (json_is_string (value))
            printf ("%s%s %s", first ? "" : ", ", key, json_string_value (value));
        else
            printf ("%s%s %s", first ? "" : ", ", key, text ? text : "?");
        free (text);
        first = false;
    }
    printf ("\n");
}

void rk_bench_put (const rk_args_t *args, json_t *figure)
{
    if (!figure)
        return;
    char *line = rk_args_has (args, "json") ? json_dumps (figure, JSON_REAL_PRECISION (10)) : NULL;
    if (line)
        printf ("%s\n", line);
    else
        s_put_text (figure);
    fflush (stdout);
    free (line);
    json_decref (figure);
}
