/* SPDX-License-Identifier: MPL-2.0
 * rookery bench train: samples/s of a model in one process, without sockets.                             */
#include <string.h>

#include "actors/actor.h"
#include "actors/rookery/bench.h"
#include "actors/rookery/commands.h"
#include "cluster/settings.h"
#include "compute/blas.h"
#include "compute/plain.h"

#define CHUNK_S 0.33 /* as the comparisons */

typedef struct {
    rk_bench_work_t work;
    rk_plain_t *loop;
    uint64_t f;
    rk_bench_times_t times;
} self_t;

static rk_err_t s_open (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    rk_err_t code = rk_bench_work (args, &self->work, err);
    if (code)
        return code;
    rk_plain_config_t config = {.model = self->work.settings.model_name, .data = self->work.data, .batch = self->work.batch, .seed = 1,
                                .optimizer = "sgd", .optim = {.momentum = 0.9f}, .lr = {.name = "constant", .base = 0.02f},
                                .threads = self->work.machine.threads};
    return rk_plain_new (&self->loop, &config, err);
}

/* Every minibatch full, so that all are alike. */
static rk_err_t s_step (void *arg, rk_error_t *err)
{
    self_t *self = arg;
    const uint64_t per_pass = rk_plain_per_pass (self->loop);
    if (per_pass > 1 && self->f % per_pass == per_pass - 1)
        self->f++;
    return rk_plain_step (self->loop, self->f++, NULL, err);
}

/* The first layers with parameters compute no input gradients: half of their backward. */
static bool s_needs_input_gradient (const rk_model_t *model, int layer)
{
    rk_boundary_t in[RK_MAX_BOUNDARY];
    const int n = rk_model_boundary (model, layer, 0, in);
    for (int i = 0; i < n; i++)
        if (in[i].needs_grad)
            return true;
    return false;
}

static double s_flops (const rk_model_t *model, size_t batch)
{
    double flops = 0;
    for (int i = 0; i < rk_model_n_layers (model); i++) {
        rk_layer_cost_t cost;
        rk_model_cost (model, i, batch, &cost);
        flops += (double) cost.forward_flops + (double) cost.backward_flops * (s_needs_input_gradient (model, i) ? 1 : 0.5);
    }
    return flops;
}

static json_t *s_figure (self_t *self, double share, double other_cores)
{
    const double samples = (double) self->work.batch * 1e9;
    json_t *figure = json_pack (
        "{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:f,s:f,s:f,s:f,s:I,s:f,s:f,s:f}", "figure", "train", "peer", "rookery", "unit", "sample",
        "opt", "sgd", "model", self->work.settings.model_name, "params",
        (json_int_t) rk_model_n_params (rk_plain_model (self->loop)), "batch", (json_int_t) self->work.batch, "per_s",
        rk_bench_round (samples / rk_chunks_at (&self->times.wall, 0.5), 10), "best_per_s",
        rk_bench_round (samples / rk_chunks_at (&self->times.wall, 0), 10), "per_cpu_s",
        rk_bench_round (samples / rk_chunks_at (&self->times.cpu, 0.5), 10), "percent_in_gemm", rk_bench_round (share, 10),
        "chunks", (json_int_t) self->times.wall.n, "mb", rk_bench_round ((double) rk_plain_bytes (self->loop) / 1e6, 10),
        "peak_rss_mb", rk_bench_peak_mb (), "other_cores", other_cores);
    return rk_bench_add_speed (figure, &self->work.machine, s_flops (rk_plain_model (self->loop), self->work.batch), &self->times);
}

rk_err_t rk_bench_train (const rk_args_t *args, rk_error_t *err)
{
    self_t *self = calloc (1, sizeof *self);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "out of memory");
    rk_meter_t meter;
    rk_err_t code = s_open (self, args, err);
    rk_meter_begin (&meter);
    rk_bench_share_begin ();
    if (!code)
        code = rk_bench_repeat (args, self->work.machine.seconds, CHUNK_S, s_step, self, &self->times, err);
    const double share = rk_bench_share_end ();
    if (!code)
        rk_bench_put (args, s_figure (self, share, rk_meter_other_cores (&meter)));
    rk_plain_destroy (&self->loop);
    rk_data_close (&self->work.data);
    free (self);
    return code;
}
