/* SPDX-License-Identifier: MPL-2.0
 * One cell, from its sink to its result file. Figures that repeat are in ID.json; how long it took in ID.time.   */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/actor.h"
#include "actors/rookery/bench.h"
#include "actors/rookery/dbench.h"
#include "messages/file.h"

#define GROWTH_ALARM 10 /* times the spread of the pass before */

typedef struct {
    const rk_grid_work_t *work;
    json_t *root, *passes, *probes, *spans, *console, *alarms;
    size_t n_tensors;
    double n_params;
    double gini;        /* mean over tensors at the last look */
    double last_square; /* of the pass before; 0: none */
    uint64_t compute_steps;
} s_cell_t;

/* ---- numbers */
static json_t *s_real (double x)
{
    return isfinite (x) ? json_real (x) : json_null ();
}

static json_t *s_reals (size_t n, const double *x)
{
    json_t *array = json_array ();
    for (size_t i = 0; i < n; i++)
        json_array_append_new (array, s_real (x[i]));
    return array;
}

static void s_append (json_t *object, const char *key, json_t *value)
{
    json_t *array = json_object_get (object, key);
    if (!array) {
        array = json_array ();
        json_object_set_new (object, key, array);
    }
    json_array_append_new (array, value);
}

/* ---- the sink */
static void s_begin (void *arg, const rk_cell_begin_t *begin)
{
    s_cell_t *self = arg;
    json_t *names = json_array (), *counts = json_array ();
    self->n_tensors = rk_stack_n_tensors (begin->stack);
    for (size_t p = 0; p < self->n_tensors; p++) {
        json_array_append_new (names, json_string (rk_stack_tensor_name (begin->stack, p)));
        json_array_append_new (counts, json_integer ((json_int_t) rk_stack_tensor_count (begin->stack, p)));
    }
    self->n_params = (double) rk_stack_n_params (begin->stack);
    json_object_set_new (self->root, "tensors", names);
    json_object_set_new (self->root, "counts", counts);
    json_object_set_new (self->root, "params", json_integer ((json_int_t) rk_stack_n_params (begin->stack)));
    json_object_set_new (self->root, "model_bytes", json_integer ((json_int_t) rk_stack_model_bytes (begin->stack)));
    json_object_set_new (self->root, "step_flops", json_real (rk_stack_step_flops (begin->stack)));
    json_object_set_new (self->root, "per_pass", json_integer ((json_int_t) begin->per_pass));
    json_object_set_new (self->root, "steps", json_integer ((json_int_t) begin->steps));
    json_object_set_new (self->root, "lr", json_real ((double) begin->lr));
    if (begin->note)
        json_object_set_new (self->root, "note", json_string (begin->note));
}

static void s_probe (void *arg, const rk_cell_probe_t *probe)
{
    static const char *const before[] = {"gini_before", "dispersion_before", "cv_before", "quartile_before"};
    static const char *const after[] = {"gini_after", "dispersion_after", "cv_after", "quartile_after"};
    s_cell_t *self = arg;
    s_append (self->probes, "step", json_integer ((json_int_t) probe->step));
    s_append (self->probes, "pass", json_integer ((json_int_t) probe->pass));
    s_append (self->probes, "lr", json_real ((double) probe->lr));
    s_append (self->probes, "degree", json_integer (probe->degree));
    s_append (self->probes, "norm", s_reals (self->n_tensors, probe->norm));
    s_append (self->probes, "square_before", s_reals (self->n_tensors, probe->square_before));
    s_append (self->probes, "square_after", s_reals (self->n_tensors, probe->square_after));
    for (int m = 0; m < RK_CELL_N_METRICS; m++) {
        s_append (self->probes, before[m], s_reals (self->n_tensors, probe->before[m]));
        s_append (self->probes, after[m], s_reals (self->n_tensors, probe->after[m]));
    }
    self->gini = 0;
    for (size_t p = 0; p < self->n_tensors; p++)
        self->gini += probe->before[RK_CELL_GINI][p] / (double) self->n_tensors;
}

static void s_span (void *arg, const rk_cell_span_t *span)
{
    s_cell_t *self = arg;
    json_array_append_new (self->spans, json_pack ("[I,i,f,f,f,i]", (json_int_t) span->step, (int) span->replica, span->span.begin_s,
                                                   span->span.computed_s, span->span.ready_s, (int) span->span.waited_for));
}

static void s_alarm (s_cell_t *self, const char *text)
{
    json_array_append_new (self->alarms, json_string (text));
    fprintf (stderr, "%s: %s\n", self->work->prefix, text);
}

/* The line a person sees, also kept for the report. */
static void s_line (s_cell_t *self, const rk_cell_pass_t *pass)
{
    const rk_clock_totals_t *time = &pass->time;
    char line[320], slowest[32] = "";
    const double busy = time->compute_s + time->wait_s;
    if (time->slowest < self->work->cell->n)
        snprintf (slowest, sizeof slowest, ", slowest %u", time->slowest);
    snprintf (line, sizeof line,
              "pass %llu/%llu step %llu loss %.4f acc %.2f%% mean model %.2f%% lr %.4g k %u Xi %.3g Gini %.3g, "
              "%.3g MB/s, wait %.0f%%%s",
              (unsigned long long) pass->pass + 1, (unsigned long long) self->work->cell->settings.run_passes,
              (unsigned long long) pass->step, pass->train_loss, 100 * pass->accuracy, 100 * pass->mean_accuracy,
              (double) pass->lr, pass->degree, sqrt (pass->square), self->gini,
              time->now_s > 0 ? (double) pass->sent_bytes / time->now_s / 1e6 : 0, busy > 0 ? 100 * time->wait_s / busy : 0, slowest);
    json_array_append_new (self->console, json_string (line));
    if (!self->work->quiet)
        fprintf (stderr, "%s: %s\n", self->work->prefix, line);
}

static void s_pass (void *arg, const rk_cell_pass_t *pass)
{
    s_cell_t *self = arg;
    const rk_clock_totals_t *t = &pass->time;
    json_array_append_new (
        self->passes,
        json_pack ("{s:I,s:I,s:f,s:i,s:o,s:f,s:f,s:f,s:f,s:o,s:f,s:o,s:o,s:o,s:f,s:f,s:f,s:I,s:I,s:i}", "pass", (json_int_t) pass->pass, "step",
                   (json_int_t) pass->step, "lr", (double) pass->lr, "degree", (int) pass->degree, "train_loss", s_real (pass->train_loss),
                   "accuracy", pass->accuracy, "accuracy_least", pass->accuracy_least, "accuracy_most", pass->accuracy_most,
                   "accuracy_deviation", pass->accuracy_deviation, "loss", s_real (pass->loss), "mean_accuracy", pass->mean_accuracy,
                   "mean_loss", s_real (pass->mean_loss), "square", s_real (pass->square), "gradient_square",
                   s_real (pass->gradient_square), "virtual_s", t->now_s, "compute_s", t->compute_s, "wait_s", t->wait_s, "messages",
                   (json_int_t) t->messages, "sent_bytes", (json_int_t) pass->sent_bytes, "slowest", (int) t->slowest));
    if (self->last_square > 0 && pass->square > GROWTH_ALARM * self->last_square) {
        char text[160];
        snprintf (text, sizeof text, "ALARM pass %llu: the replicas' spread grew %.0f-fold in one pass",
                  (unsigned long long) pass->pass + 1, pass->square / self->last_square);
        s_alarm (self, text);
    }
    self->last_square = pass->square;
    s_line (self, pass);
}

static bool s_stop (void *arg)
{
    return *((const s_cell_t *) arg)->work->interrupted;
}

/* ---- the files */
rk_err_t rk_write_text (const char *path, const char *text, size_t size, rk_error_t *err)
{
    rk_file_t *file = NULL;
    rk_err_t code = rk_file_create (&file, path, err);
    if (!code)
        code = rk_file_write (file, text, size, err);
    if (!code)
        return rk_file_commit (&file, err);
    rk_file_discard (&file);
    return code;
}

static rk_err_t s_write_json (const char *path, const json_t *root, rk_error_t *err)
{
    char *text = json_dumps (root, JSON_COMPACT | JSON_REAL_PRECISION (7));
    if (!text)
        return rk_error_set (err, RK_ENOMEM, "%s: out of memory", path);
    rk_err_t code = rk_write_text (path, text, strlen (text), err);
    free (text);
    return code;
}

/* Averaging, delay, step and noise against the bound of ravnest.md §5; the quadratic is the only problem whose
 * constants are known. |gradient|^2 is nowhere larger than at the start.                                   */
static json_t *s_theory (const rk_cell_t *cell, double lr, uint64_t steps)
{
    const rk_quadratic_t *q = &cell->quadratic;
    double gap = 0, square = 0;
    for (uint32_t c = 0; c < q->dimension; c++) {
        const double h = q->curvature * (c + 1) / q->dimension;
        gap += h / 2;
        square += h * h;
    }
    const double s2 = q->noise * q->noise * q->dimension, l = q->curvature, g2 = square + s2, h = cell->every, t = cell->delay;
    const double bound = 2 * gap / (lr * (double) steps) + l * lr * s2 / cell->n + lr * lr * l * l * g2 * (8 * h * h + 2 * t * t);
    return json_pack ("{s:f,s:f,s:f,s:f,s:f,s:I,s:i}", "bound", bound, "smoothness", l, "noise_square", s2, "gap", gap, "step", lr,
                      "every", (json_int_t) cell->every, "delay", (int) cell->delay);
}

static json_t *s_describe (const rk_grid_work_t *work)
{
    const rk_cell_t *cell = work->cell;
    static const char *const rules[] = {"none", "linear", "sqrt", "graph"};
    char label[64];
    const size_t size = rk_cell_write (cell, NULL, 0);
    char *text = malloc (size + 1);
    if (!text)
        return NULL;
    rk_cell_write (cell, text, size + 1);
    json_t *root = json_pack (
        "{s:s,s:s,s:s,s:s,s:s,s:i,s:I,s:s,s:I,s:i,s:b,s:i,s:f,s:f,s:f,s:f,s:i,s:s}", "format", "rookery-dbench-cell-1", "id", work->id,
        "app", cell->settings.model_name, "host", rk_cell_label (cell, label), "graph", cell->centralised ? "complete" : cell->graph_name,
        "n", (int) cell->n, "seed", (json_int_t) cell->settings.run_seed, "rule", rules[cell->lr_rule], "passes_asked",
        (json_int_t) cell->settings.run_passes, "batch", (int) cell->settings.train_batch, "centralised", (int) cell->centralised, "every", (int) cell->every,
        "momentum", cell->settings.train_momentum, "alpha_us", cell->alpha_us, "gbps", cell->gbps, "gflops", cell->gflops, "delay",
        (int) cell->delay, "settings", text);
    free (text);
    return root;
}

static rk_err_t s_finish (s_cell_t *self, const rk_cell_end_t *end, double wall_s, double cpu_s, rk_error_t *err)
{
    const rk_grid_work_t *work = self->work;
    char path[RK_GRID_PATH], text[160];
    if (end->diverged) {
        snprintf (text, sizeof text, "ALARM step %llu: the loss of replica %u is not a number; the cell ends here",
                  (unsigned long long) end->step, end->culprit);
        s_alarm (self, text);
        json_object_set_new (self->root, "diverged",
                             json_pack ("{s:I,s:i}", "step", (json_int_t) end->step, "replica", (int) end->culprit));
    }
    if (!strcmp (work->cell->settings.model_name, "quadratic"))
        json_object_set_new (self->root, "theory", s_theory (work->cell, json_real_value (json_object_get (self->root, "lr")),
                                                             (uint64_t) json_integer_value (json_object_get (self->root, "steps"))));
    json_t *time = json_pack ("{s:s,s:f,s:f,s:i}", "id", work->id, "wall_s", rk_bench_round (wall_s, 1000), "cpu_s",
                              rk_bench_round (cpu_s, 1000), "threads", (int) work->threads);
    rk_grid_path (work->grid, work->id, ".time", path);
    rk_err_t code = s_write_json (path, time, err);
    json_decref (time);
    rk_grid_path (work->grid, work->id, ".json", path);
    return code ? code : s_write_json (path, self->root, err); /* last: it says that the cell is done */
}

rk_err_t rk_grid_work (const rk_grid_work_t *work, rk_error_t *err)
{
    s_cell_t self = {.work = work, .root = s_describe (work), .passes = json_array (), .probes = json_object (), .spans = json_array (),
                     .console = json_array (), .alarms = json_array ()};
    const rk_cell_sink_t sink = {&self, s_begin, s_probe, s_span, s_pass, s_stop};
    const int64_t begin_ns = rk_now_ns ();
    const double begin_cpu = rk_process_cpu_s ();
    rk_cell_end_t end;
    rk_pool_t *pool = NULL;
    if (!self.root)
        return rk_error_set (err, RK_ENOMEM, "out of memory");
    json_object_set_new (self.root, "facts", rk_grid_facts (work->cell));
    json_object_set_new (self.root, "passes", self.passes);
    json_object_set_new (self.root, "probes", self.probes);
    json_object_set_new (self.root, "spans", self.spans);
    json_object_set_new (self.root, "console", self.console);
    json_object_set_new (self.root, "alarms", self.alarms);
    rk_err_t code = rk_pool_new (&pool, work->threads, err);
    if (!code)
        code = rk_cell_run (work->cell, work->data, pool, &sink, &end, err);
    if (!code)
        code = s_finish (&self, &end, (double) (rk_now_ns () - begin_ns) / 1e9, rk_process_cpu_s () - begin_cpu, err);
    rk_pool_destroy (&pool);
    json_decref (self.root);
    return code;
}
