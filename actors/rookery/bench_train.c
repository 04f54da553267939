/* SPDX-License-Identifier: MPL-2.0
 * rookery bench train: samples/s of a model in one process and one thread, without sockets.              */
#include <string.h>

#include "actors/actor.h"
#include "actors/rookery/bench.h"
#include "actors/rookery/commands.h"
#include "cluster/settings.h"
#include "compute/blas.h"
#include "compute/plain.h"

#define CHUNK_NS 330000000 /* as the comparisons: chunks of a third of a second */
#define WARM_UP 5
#define LEAST_CHUNKS 5

typedef struct {
    rk_plain_t *loop;
    rk_data_t *data;
    uint64_t batch, f;
    double seconds;
    rk_settings_t settings;
    rk_chunks_t wall, cpu;
} self_t;

static rk_err_t s_open (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    uint64_t threads = 1;
    self->batch = 64;
    self->seconds = 3;
    rk_settings_default (&self->settings);
    const char *model = rk_args_get (args, "model");
    if (model)
        snprintf (self->settings.model_name, sizeof self->settings.model_name, "%s", model);
    rk_err_t code = rk_command_check_names (&self->settings, err);
    if (!code)
        code = rk_args_number (args, "batch", 1, 65536, &self->batch, err);
    if (!code)
        code = rk_args_number (args, "threads", 1, 1, &threads, err);
    if (!code)
        code = rk_args_real (args, "seconds", 0.1, 3600, &self->seconds, err);
    if (!code)
        code = rk_blas_init ("auto", err);
    if (!code && rk_data_open (&self->data, self->settings.data_name, NULL, NULL)) /* speed does not depend on the pictures */
        code = rk_data_open (&self->data, "synthetic", NULL, err);
    if (code)
        return code;
    rk_plain_config_t config = {.model = self->settings.model_name, .data = self->data, .batch = self->batch, .seed = 1,
                                .optimizer = "sgd", .optim = {.momentum = 0.9f}, .lr = {.name = "constant", .base = 0.02f}};
    return rk_plain_new (&self->loop, &config, err);
}

/* k steps; every minibatch full, so that all chunks are alike. */
static rk_err_t s_steps (self_t *self, uint64_t k, rk_error_t *err)
{
    uint64_t per_pass = rk_plain_per_pass (self->loop);
    rk_err_t code = RK_OK;
    for (uint64_t i = 0; i < k && !code; i++) {
        if (per_pass > 1 && self->f % per_pass == per_pass - 1)
            self->f++;
        code = rk_plain_step (self->loop, self->f++, NULL, err);
    }
    return code;
}

static rk_err_t s_measure (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    rk_err_t code = s_steps (self, WARM_UP, err);
    int64_t start = rk_now_ns ();
    if (!code)
        code = s_steps (self, 1, err);
    int64_t one = rk_now_ns () - start;
    uint64_t k = one > 0 && one < CHUNK_NS ? (uint64_t) (CHUNK_NS / one) : 1;
    int64_t end = rk_now_ns () + (int64_t) (self->seconds * 1e9);
    while (!code && !*args->interrupted && (rk_now_ns () < end || self->wall.n < LEAST_CHUNKS)) {
        int64_t wall = rk_now_ns (), cpu = rk_thread_cpu_ns ();
        code = s_steps (self, k, err);
        rk_chunks_add (&self->wall, (double) (k * self->batch) * 1e9 / (double) (rk_now_ns () - wall));
        rk_chunks_add (&self->cpu, (double) (k * self->batch) * 1e9 / (double) (rk_thread_cpu_ns () - cpu));
    }
    return code;
}

rk_err_t rk_bench_train (const rk_args_t *args, rk_error_t *err)
{
    self_t *self = calloc (1, sizeof *self);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "out of memory");
    rk_meter_t meter;
    rk_err_t code = s_open (self, args, err);
    rk_meter_begin (&meter);
    if (!code)
        code = s_measure (self, args, err);
    if (!code)
        rk_bench_put (args, json_pack ("{s:s,s:s,s:s,s:s,s:s,s:I,s:i,s:i,s:s,s:f,s:f,s:f,s:i,s:f,s:f}", "figure", "train", "peer",
                                       "rookery", "unit", "sample", "opt", "sgd", "model", self->settings.model_name, "params",
                                       (json_int_t) rk_model_n_params (rk_plain_model (self->loop)), "batch", (int) self->batch,
                                       "threads", 1, "kernels", rk_blas_kernels (), "per_s",
                                       rk_bench_round (rk_chunks_at (&self->wall, 0.5), 10), "best_per_s",
                                       rk_bench_round (rk_chunks_at (&self->wall, 1), 10), "per_cpu_s",
                                       rk_bench_round (rk_chunks_at (&self->cpu, 0.5), 10), "chunks", (int) self->wall.n, "mb",
                                       rk_bench_round ((double) rk_plain_bytes (self->loop) / 1e6, 10), "other_cores",
                                       rk_meter_other_cores (&meter)));
    rk_plain_destroy (&self->loop);
    rk_data_close (&self->data);
    free (self);
    return code;
}
