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
    rk_bench_machine_t machine;
    rk_plain_t *loop;
    rk_data_t *data;
    uint64_t batch, f;
    rk_settings_t settings;
    rk_bench_times_t times;
} self_t;

/* Token ids and labels that the model takes, of any meaning. */
static rk_err_t s_random_texts (rk_data_t **data_p, const rk_model_t *model, rk_error_t *err)
{
    enum { N = 256 };
    const rk_labels_t *labels = rk_model_labels (model);
    const rk_shape_t shape = rk_model_tensor_shape (model, 0);
    const size_t elems = rk_shape_elems (shape), n_tokens = rk_model_n_tokens (model);
    float *x = calloc (N * elems, sizeof *x);
    int32_t *classes = calloc (N * labels->n, sizeof *classes);
    if (x && classes && n_tokens) {
        for (size_t i = 0; i < N * elems; i++)
            x[i] = (float) (i * 2654435761u % n_tokens);
        for (size_t i = 0; i < N * labels->n && labels->kind == RK_LABEL_CLASS; i++)
            classes[i] = (int32_t) (i % labels->n_classes);
    }
    const rk_data_split_t split[2] = {{N, x, classes}, {1, x, classes}};
    rk_err_t code = x && classes ? rk_data_from_memory (data_p, shape, *labels, split, err) : RK_ENOMEM;
    free (x);
    free (classes);
    return code == RK_ENOMEM ? rk_error_set (err, code, "no memory for %d texts", N) : code;
}

/* Speed does not depend on the pictures; a model that takes none gets a text. */
rk_err_t rk_bench_data (rk_data_t **data_p, const rk_settings_t *settings, rk_error_t *err)
{
    rk_model_t *model = NULL;
    rk_err_t code = rk_data_open (data_p, settings->data_name, NULL, NULL) ? rk_data_open (data_p, "synthetic", NULL, err) : RK_OK;
    if (code)
        return code;
    code = rk_model_by_name (&model, settings->model_name, rk_data_shape (*data_p), rk_data_n_classes (*data_p), NULL);
    rk_model_destroy (&model);
    if (code != RK_ESHAPE)
        return RK_OK; /* any other error comes again where the model is made */
    rk_data_close (data_p);
    code = rk_data_open (data_p, "synthetic-text", NULL, err);
    if (!code)
        code = rk_model_by_name (&model, settings->model_name, rk_data_shape (*data_p), rk_data_n_classes (*data_p), err);
    if (!code && rk_data_check_model (*data_p, model, NULL)) { /* it tells classes of whole texts */
        rk_data_close (data_p);
        code = s_random_texts (data_p, model, err);
    }
    rk_model_destroy (&model);
    return code;
}

static rk_err_t s_open (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    self->batch = 64;
    rk_settings_default (&self->settings);
    const char *model = rk_args_get (args, "model");
    if (model)
        snprintf (self->settings.model_name, sizeof self->settings.model_name, "%s", model);
    rk_err_t code = rk_command_check_names (&self->settings, err);
    if (!code)
        code = rk_args_number (args, "batch", 1, 65536, &self->batch, err);
    if (!code)
        code = rk_bench_machine (args, &self->machine, err);
    if (!code)
        code = rk_bench_data (&self->data, &self->settings, err);
    if (code)
        return code;
    rk_plain_config_t config = {.model = self->settings.model_name, .data = self->data, .batch = self->batch, .seed = 1,
                                .optimizer = "sgd", .optim = {.momentum = 0.9f}, .lr = {.name = "constant", .base = 0.02f},
                                .threads = self->machine.threads};
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
    const double samples = (double) self->batch * 1e9;
    json_t *figure = json_pack (
        "{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:f,s:f,s:f,s:f,s:I,s:f,s:f}", "figure", "train", "peer", "rookery", "unit", "sample",
        "opt", "sgd", "model", self->settings.model_name, "params",
        (json_int_t) rk_model_n_params (rk_plain_model (self->loop)), "batch", (json_int_t) self->batch, "per_s",
        rk_bench_round (samples / rk_chunks_at (&self->times.wall, 0.5), 10), "best_per_s",
        rk_bench_round (samples / rk_chunks_at (&self->times.wall, 0), 10), "per_cpu_s",
        rk_bench_round (samples / rk_chunks_at (&self->times.cpu, 0.5), 10), "percent_in_gemm", rk_bench_round (share, 10),
        "chunks", (json_int_t) self->times.wall.n, "mb", rk_bench_round ((double) rk_plain_bytes (self->loop) / 1e6, 10),
        "other_cores", other_cores);
    return rk_bench_add_speed (figure, &self->machine, s_flops (rk_plain_model (self->loop), self->batch), &self->times);
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
        code = rk_bench_repeat (args, self->machine.seconds, CHUNK_S, s_step, self, &self->times, err);
    const double share = rk_bench_share_end ();
    if (!code)
        rk_bench_put (args, s_figure (self, share, rk_meter_other_cores (&meter)));
    rk_plain_destroy (&self->loop);
    rk_data_close (&self->data);
    free (self);
    return code;
}
