/* SPDX-License-Identifier: MPL-2.0
 * rookery bench stack: one step of many stacked replicas over Ada's lattice, next to what memory alone would take:
 * parameters and momentum read and written by the update, parameters again by the mixing.                 */
#include <string.h>

#include "actors/actor.h"
#include "actors/rookery/bench.h"
#include "actors/rookery/commands.h"
#include "cluster/stack.h"
#include "compute/arena.h"
#include "compute/blas.h"

#define COPY_BYTES ((size_t) 256 << 20)
#define COPY_PIECE ((size_t) 1 << 20)
#define PASSES_OVER_MEMORY 6.0 /* of n d floats: x, v in; x, v out; x in, x out */
#define K0_SHARE 9             /* the preset's k0 = 112 is 1008 / 9 */

typedef struct {
    uint64_t n, batch, threads;
    double seconds;
    rk_settings_t settings;
    rk_data_t *data;
    rk_graph_t *graph;
    rk_pool_t *pool;
    rk_stack_t *stack;
    const char *mixing;
    uint32_t degree;
    rk_chunks_t local, mix, copy; /* seconds; seconds; bytes read and written per second */
    rk_chunks_t step_cpu, copy_cpu; /* the same by CPU time of one thread, which other programs do not stretch */
} self_t;

static rk_err_t s_read_args (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    self->n = 96;
    self->batch = 1;
    self->threads = 1;
    self->seconds = 3;
    rk_settings_default (&self->settings);
    const char *model = rk_args_get (args, "model");
    snprintf (self->settings.model_name, sizeof self->settings.model_name, "%s", model ? model : "mlp");
    rk_err_t code = rk_command_check_names (&self->settings, err);
    if (!code)
        code = rk_args_number (args, "ranks", 3, RK_GRAPH_MAX_N, &self->n, err);
    if (!code)
        code = rk_args_number (args, "batch", 1, 65536, &self->batch, err);
    if (!code)
        code = rk_args_number (args, "threads", 1, RK_POOL_MAX_THREADS, &self->threads, err);
    const char *mixing = rk_args_get (args, "mixing");
    self->mixing = mixing ? mixing : "sparse";
    if (!code && strcmp (self->mixing, "sparse") && strcmp (self->mixing, "auto"))
        code = rk_error_set (err, RK_EINVAL, "--mixing %.32s: sparse (an actor's bits) or auto (windows)", self->mixing);
    return code ? code : rk_args_real (args, "seconds", 0, 3600, &self->seconds, err);
}

static rk_err_t s_open (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    rk_err_t code = s_read_args (self, args, err);
    const double k0 = self->n / K0_SHARE > 2 ? (double) (self->n / K0_SHARE) : 2;
    const rk_graph_config_t graph = {.name = "ada", .n = (uint32_t) self->n, .k0 = k0, .k_min = 2};
    if (!code)
        code = rk_blas_init ("auto", err);
    if (!code)
        code = rk_bench_data (&self->data, &self->settings, err);
    if (!code)
        code = rk_graph_new (&self->graph, &graph, err);
    if (!code)
        code = rk_pool_new (&self->pool, self->threads, err);
    if (code)
        return code;
    self->degree = rk_graph_max_row (self->graph) - 1;
    const rk_stack_config_t config = {.model = self->settings.model_name, .data = self->data, .graph = self->graph,
                                      .n = (uint32_t) self->n, .batch = self->batch, .seed = 1, .optimizer = "sgd",
                                      .optim = {.momentum = 0.9f}, .pool = self->pool,
                                      .mixing = strcmp (self->mixing, "auto") ? RK_MIXING_SPARSE : RK_MIXING_AUTO};
    return rk_stack_new (&self->stack, &config, err);
}

typedef struct {
    char *from, *to;
} s_copy_t;

static void s_copy_piece (void *arg, size_t task, size_t worker)
{
    const s_copy_t *copy = arg;
    memcpy (copy->to + task * COPY_PIECE, copy->from + task * COPY_PIECE, COPY_PIECE);
}

static rk_err_t s_measure_copy (self_t *self, rk_error_t *err)
{
    s_copy_t copy = {rk_arena_memory (COPY_BYTES), rk_arena_memory (COPY_BYTES)};
    rk_err_t code = copy.from && copy.to ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory to copy");
    for (int i = 0; !code && i < 6; i++) {
        const int64_t begin = rk_now_ns (), begin_cpu = rk_process_cpu_ns ();
        rk_pool_run (self->pool, COPY_BYTES / COPY_PIECE, s_copy_piece, &copy);
        if (i == 0) /* it touches the pages */
            continue;
        rk_chunks_add (&self->copy, 2.0 * (double) COPY_BYTES * 1e9 / (double) (rk_now_ns () - begin));
        rk_chunks_add (&self->copy_cpu, 2.0 * (double) COPY_BYTES * 1e9 * (double) self->threads / (double) (rk_process_cpu_ns () - begin_cpu));
    }
    free (copy.from);
    free (copy.to);
    return code;
}

static rk_err_t s_measure (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    const int64_t end = rk_now_ns () + (int64_t) (self->seconds * 1e9);
    rk_err_t code = RK_OK;
    for (uint64_t t = 0; !code && (t < 3 || rk_now_ns () < end) && !*args->interrupted; t++) {
        const int64_t begin = rk_now_ns (), begin_cpu = rk_process_cpu_ns ();
        code = rk_stack_local (self->stack, t, 0.001f, NULL, NULL, err);
        const int64_t between = rk_now_ns ();
        rk_stack_mix (self->stack, &(rk_graph_time_t){.step = t});
        if (t == 0)
            continue;
        rk_chunks_add (&self->local, (double) (between - begin) / 1e9);
        rk_chunks_add (&self->mix, (double) (rk_now_ns () - between) / 1e9);
        rk_chunks_add (&self->step_cpu, (double) (rk_process_cpu_ns () - begin_cpu) / 1e9 / (double) self->threads);
        if (!code && t % 4 == 1) /* in the same minute as what it is compared with */
            code = s_measure_copy (self, err);
    }
    return code;
}

static json_t *s_figure (self_t *self)
{
    const double local = rk_chunks_at (&self->local, 0.5), mix = rk_chunks_at (&self->mix, 0.5), copy = rk_chunks_at (&self->copy, 0.5);
    const double moved = PASSES_OVER_MEMORY * (double) self->n * (double) rk_stack_d (self->stack) * sizeof (float), bound = moved / copy;
    const double step_cpu = rk_chunks_at (&self->step_cpu, 0.5), bound_cpu = moved / rk_chunks_at (&self->copy_cpu, 0.5);
    return json_pack ("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "figure", "stack", "model",
                      self->settings.model_name, "mixing", self->mixing, "replicas", (json_int_t) self->n, "batch", (json_int_t) self->batch, "degree",
                      (json_int_t) self->degree, "threads", (json_int_t) self->threads, "kernels", rk_blas_kernels (),
                      "step_s", rk_bench_round (local + mix, 1e4), "local_s", rk_bench_round (local, 1e4), "mix_s",
                      rk_bench_round (mix, 1e4), "memory_bound_s", rk_bench_round (bound, 1e4), "ratio",
                      rk_bench_round ((local + mix) / bound, 100), "step_cpu_s", rk_bench_round (step_cpu, 1e4), "memory_bound_cpu_s", rk_bench_round (bound_cpu, 1e4),
                      "ratio_cpu", rk_bench_round (step_cpu / bound_cpu, 100), "copy_gb_per_s", rk_bench_round (copy / 1e9, 100), "memory_gb",
                      rk_bench_round ((double) rk_stack_bytes (self->stack) / 1e9, 100));
}

rk_err_t rk_bench_stack (const rk_args_t *args, rk_error_t *err)
{
    self_t *self = calloc (1, sizeof *self);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "out of memory");
    rk_err_t code = s_open (self, args, err);
    if (!code)
        code = s_measure (self, args, err);
    if (!code)
        rk_bench_put (args, s_figure (self));
    rk_stack_destroy (&self->stack);
    rk_graph_destroy (&self->graph);
    rk_pool_destroy (&self->pool);
    rk_data_close (&self->data);
    free (self);
    return code;
}
