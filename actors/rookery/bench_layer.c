/* SPDX-License-Identifier: MPL-2.0
 * rookery bench layer: one layer of a model as a stage would run it: forward, input gradients, parameter
 * gradients, each on its own line.                                                                       */
#include <string.h>

#include "actors/actor.h"
#include "actors/rookery/bench.h"
#include "actors/rookery/commands.h"
#include "compute/blas.h"
#include "compute/names.h"
#include "compute/rng.h"
#include "compute/slice.h"

enum { FORWARD, INPUT, PARAMS, N_PASSES };
static const char *const s_passes[] = {"forward", "input gradient", "parameter gradient"};

typedef struct {
    rk_bench_work_t work;
    rk_model_t *model;
    rk_pool_t *pool;
    rk_slice_t *slice;
    int layer;
    uint64_t f;
    float *flat, *grads, *in[RK_MAX_BOUNDARY], *out[RK_MAX_BOUNDARY], *gin[RK_MAX_BOUNDARY];
    void *labels;
    rk_bench_times_t whole, pass[N_PASSES];
} self_t;

static rk_err_t s_find_layer (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    const char *name = rk_args_get (args, "layer"), *names[1024];
    const int n = rk_model_n_layers (self->model) < 1023 ? rk_model_n_layers (self->model) : 1023;
    for (int i = 0; i < n; i++)
        names[i] = rk_model_layer_name (self->model, i);
    names[n] = NULL;
    self->layer = rk_find_name ("layer", name ? name : "", names, err);
    return self->layer < 0 ? RK_ENOTFOUND : RK_OK;
}

static float *s_random (uint64_t id, size_t n)
{
    float *x = calloc (n ? n : 1, sizeof *x);
    if (x)
        rk_rng_uniform (1, rk_rng_stream (RK_RNG_TEST, id), 0, n, 0.0f, 1.0f, x);
    return x;
}

/* The layer's inputs and outputs; the model's own input is real. */
static rk_err_t s_fill (self_t *self, rk_error_t *err)
{
    rk_boundary_t in[RK_MAX_BOUNDARY], out[RK_MAX_BOUNDARY];
    const int n_in = rk_model_boundary (self->model, self->layer, 0, in);
    const int n_out = rk_model_boundary (self->model, self->layer + 1, self->layer, out);
    const size_t n_flat = rk_model_slice_len (self->model, self->layer, self->layer + 1);
    const size_t sample = rk_shape_elems (rk_data_shape (self->work.data));
    float *picture = s_random (99, self->work.batch * sample);
    bool complete = picture && (self->labels = calloc (self->work.batch * rk_model_n_labels (self->model), RK_LABEL_BYTES));
    complete = (self->flat = calloc (n_flat + 1, sizeof (float))) && complete;
    complete = (self->grads = calloc (n_flat + 1, sizeof (float))) && complete;
    for (int i = 0; i < n_in; i++) {
        complete = (self->in[i] = s_random ((uint64_t) i, self->work.batch * in[i].elems)) && complete;
        if (in[i].needs_grad)
            complete = (self->gin[i] = s_random (0, self->work.batch * in[i].elems)) && complete;
    }
    for (int o = 0; o < n_out; o++)
        complete = (self->out[o] = s_random ((uint64_t) o, self->work.batch * out[o].elems)) && complete;
    if (complete) {
        rk_model_init (self->model, 1, self->layer, self->layer + 1, self->flat);
        rk_data_batch (self->work.data, RK_SPLIT_TRAIN, 1, 0, 0, self->work.batch, picture, self->labels);
        if (self->layer == 0)
            memcpy (self->in[0], picture, self->work.batch * sample * sizeof *picture);
    }
    free (picture);
    return complete ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for layer \"%s\"",
                                            rk_model_layer_name (self->model, self->layer));
}

static rk_err_t s_open (self_t *self, const rk_args_t *args, rk_error_t *err)
{
    rk_err_t code = rk_bench_work (args, &self->work, err);
    if (!code)
        code = rk_model_by_name (&self->model, self->work.settings.model_name, rk_data_shape (self->work.data),
                                 rk_data_n_classes (self->work.data), err);
    if (!code)
        code = rk_data_check_model (self->work.data, self->model, err);
    if (!code)
        code = s_find_layer (self, args, err);
    if (!code && self->work.machine.threads > 1)
        code = rk_pool_new (&self->pool, self->work.machine.threads, err);
    if (code)
        return code;
    const rk_slice_config_t config = {.model = self->model, .first = self->layer, .last = self->layer + 1,
                                      .batch = self->work.batch, .n_contexts = 1, .seed = 1, .pool = self->pool};
    code = rk_slice_new (&self->slice, &config, err);
    return code ? code : s_fill (self, err);
}

static void s_note (self_t *self, int pass, int64_t wall, int64_t cpu)
{
    rk_chunks_add (&self->pass[pass].wall, (double) (rk_now_ns () - wall));
    rk_chunks_add (&self->pass[pass].cpu, (double) (rk_process_cpu_ns () - cpu));
}

static rk_err_t s_step (void *arg, rk_error_t *err)
{
    self_t *self = arg;
    rk_loss_t loss;
    const rk_forward_t forward = {.mode = RK_MODE_TRAIN, .f = self->f++, .n = self->work.batch, .flat = self->flat,
                                  .stats = self->flat, .in = (const float *const *) self->in, .out = self->out,
                                  .labels = self->labels, .loss = &loss};
    int64_t wall = rk_now_ns (), cpu = rk_process_cpu_ns ();
    rk_err_t code = rk_slice_forward (self->slice, &forward, err);
    s_note (self, FORWARD, wall, cpu);
    if (code)
        return code;
    wall = rk_now_ns ();
    cpu = rk_process_cpu_ns ();
    code = rk_slice_backward_input (self->slice, 0, self->flat, (const float *const *) self->out, self->gin, err);
    s_note (self, INPUT, wall, cpu);
    wall = rk_now_ns ();
    cpu = rk_process_cpu_ns ();
    if (!code)
        code = rk_slice_backward_params (self->slice, 0, self->flat, self->grads, err);
    s_note (self, PARAMS, wall, cpu);
    rk_slice_release (self->slice, 0);
    return code;
}

static void s_put (self_t *self, const rk_args_t *args, int pass, double other_cores)
{
    rk_layer_cost_t cost;
    rk_model_cost (self->model, self->layer, self->work.batch, &cost);
    const bool has_params = rk_model_slice_len (self->model, self->layer, self->layer + 1) > 0;
    const double backward = (double) cost.backward_flops / (has_params ? 2 : 1) /* half of it each */;
    json_t *figure = json_pack ("{s:s,s:s,s:s,s:s,s:s,s:s,s:I}", "figure", "layer", "peer", "rookery", "model",
                                self->work.settings.model_name, "layer", rk_model_layer_name (self->model, self->layer), "kind",
                                rk_model_layer_kind (self->model, self->layer), "pass", s_passes[pass], "batch",
                                (json_int_t) self->work.batch);
    rk_bench_add_speed (figure, &self->work.machine, pass == FORWARD ? (double) cost.forward_flops : backward, &self->pass[pass]);
    const double ns = rk_chunks_at (&self->pass[pass].wall, 0.5), cpu_ns = rk_chunks_at (&self->pass[pass].cpu, 0.5);
    json_object_set_new (figure, "us", json_real (rk_bench_round (ns / 1e3, 100)));
    json_object_set_new (figure, "us_cpu", json_real (rk_bench_round (cpu_ns / 1e3, 100)));
    json_object_set_new (figure, "other_cores", json_real (other_cores));
    rk_bench_put (args, figure);
}

static void s_close (self_t *self)
{
    rk_slice_destroy (&self->slice);
    rk_pool_destroy (&self->pool);
    rk_model_destroy (&self->model);
    rk_data_close (&self->work.data);
    free (self->flat);
    free (self->grads);
    free (self->labels);
    for (int i = 0; i < RK_MAX_BOUNDARY; i++) {
        free (self->in[i]);
        free (self->out[i]);
        free (self->gin[i]);
    }
    free (self);
}

rk_err_t rk_bench_layer (const rk_args_t *args, rk_error_t *err)
{
    self_t *self = calloc (1, sizeof *self);
    if (!self)
        return rk_error_set (err, RK_ENOMEM, "out of memory");
    rk_meter_t meter;
    rk_err_t code = s_open (self, args, err);
    rk_meter_begin (&meter);
    if (!code)
        code = rk_bench_repeat (args, self->work.machine.seconds, 0, s_step, self, &self->whole, err);
    const double other_cores = rk_meter_other_cores (&meter);
    for (int pass = 0; !code && pass < N_PASSES; pass++)
        if (pass == FORWARD || (pass == INPUT ? self->gin[0] != NULL : self->flat != NULL &&
                                rk_model_slice_len (self->model, self->layer, self->layer + 1) > 0))
            s_put (self, args, pass, other_cores);
    s_close (self);
    return code;
}
