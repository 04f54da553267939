/* SPDX-License-Identifier: MPL-2.0
 * One built-in model against PyTorch (tests/fixtures/make.py, double precision): outputs, loss, every gradient, the
 * statistics after one minibatch, the losses of ten steps of SGD, and the outputs after them in evaluation mode.
 * Included by the two programs that share the models out.                                               */
#ifndef RK_TESTS_COMPUTE_FIXTURE_BENCH_H
#define RK_TESTS_COMPUTE_FIXTURE_BENCH_H
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/arena.h"
#include "compute/blas.h"
#include "compute/optim.h"
#include "compute/slice.h"
#include "tests/support/fixture.h"
#include "tests/support/must.h"

/* What single precision may differ from double by, as parts of a tensor's root mean square. */
#define TOLERANCE 2e-4
#define TOLERANCE_CLEAR 1e-3 /* of fixtures that are "clear": dozens of normalisations, some of them of eight values */
#define CURVE_TOLERANCE 1e-4

typedef struct {
    fixture_t fixture;
    rk_model_t *model;
    rk_slice_t *slice;
    int n_layers;
    size_t flat_len, n_outputs;
    float *flat, *grads, *slot, *x, *probabilities;
    int32_t *labels;
    double worst;      /* deviation of any tensor from the fixture */
    char worst_of[128];
} s_bench_t;

static const char *s_path (const char *name)
{
    static char path[1024];
    const char *root = getenv ("RK_SOURCE_DIR");
    snprintf (path, sizeof path, "%s/tests/fixtures/%s.txt.gz", root ? root : ".", name);
    return path;
}

static void s_open (s_bench_t *b, const char *name)
{
    rk_error_t err = {0};
    *b = (s_bench_t) {.worst = 0};
    if (fixture_read (&b->fixture, s_path (name)))
        fail_msg ("%s is not there or not whole; tests/fixtures/make.py %s makes it", s_path (name), name);
    const fixture_t *f = &b->fixture;
    rk_must (rk_model_by_name (&b->model, name, f->input, f->n_classes, &err), &err);
    b->n_layers = rk_model_n_layers (b->model);
    const rk_slice_config_t config = {.model = b->model, .last = b->n_layers, .batch = f->batch, .n_contexts = 1, .seed = f->seed};
    rk_must (rk_slice_new (&b->slice, &config, &err), &err);
    b->flat_len = rk_model_flat_at (b->model, b->n_layers);
    b->n_outputs = f->batch * rk_model_n_outputs (b->model);
    const size_t bytes = b->flat_len * sizeof (float);
    b->flat = rk_arena_memory (bytes);
    b->grads = rk_arena_memory (bytes);
    b->slot = rk_arena_memory (bytes);
    b->x = rk_arena_memory (f->batch * rk_shape_elems (f->input) * sizeof (float));
    b->probabilities = rk_arena_memory (b->n_outputs * sizeof (float));
    b->labels = rk_arena_memory (f->batch * rk_model_n_labels (b->model) * sizeof (int32_t));
    RK_MUST_HOLD (b->flat && b->grads && b->slot && b->x && b->probabilities && b->labels);
    fixture_values (f, b->model, b->flat);
}

static void s_close (s_bench_t *b)
{
    rk_slice_destroy (&b->slice);
    rk_model_destroy (&b->model);
    fixture_free (&b->fixture);
    free (b->flat);
    free (b->grads);
    free (b->slot);
    free (b->x);
    free (b->probabilities);
    free (b->labels);
}

/* Forward of minibatch `step`; in training both backwards as well. Returns the mean loss. */
static double s_run (s_bench_t *b, uint64_t step, rk_mode_t mode)
{
    rk_error_t err = {0};
    rk_loss_t loss = {0};
    const float *in[] = {b->x};
    float *gin[] = {NULL};
    fixture_batch (&b->fixture, b->model, step % 2, b->x, b->labels);
    const rk_forward_t call = {.mode = mode, .f = step, .n = b->fixture.batch, .flat = b->flat, .stats = b->flat, .in = in,
                               .labels = b->labels, .loss = &loss, .probabilities = b->probabilities};
    rk_must (rk_slice_forward (b->slice, &call, &err), &err);
    if (mode == RK_MODE_TRAIN) {
        memset (b->grads, 0, b->flat_len * sizeof *b->grads);
        rk_must (rk_slice_backward_input (b->slice, 0, b->flat, NULL, gin, &err), &err);
        rk_must (rk_slice_backward_params (b->slice, 0, b->flat, b->grads, &err), &err);
        rk_slice_release (b->slice, 0);
    }
    return loss.loss_sum / (double) loss.n_counted;
}

static void s_step (s_bench_t *b, uint64_t step)
{
    const rk_optim_config_t config = {.momentum = b->fixture.momentum};
    const rk_optim_t *sgd;
    float *slots[] = {b->slot};
    RK_MUST_HOLD (rk_optim_by_name (&sgd, "sgd", &config, NULL) == RK_OK);
    rk_optim_update (sgd, &config,
                     &(rk_optim_update_t) {.model = b->model, .last = b->n_layers, .lr = b->fixture.lr, .t = step + 1, .grad_scale = 1,
                                           .w_old = b->flat, .w_new = b->flat, .grads = b->grads, .slots = slots});
}

static void s_compare (s_bench_t *b, const char *kind, const char *name, size_t count, const float *values)
{
    const fixture_tensor_t *tensor = fixture_find (&b->fixture, kind, name);
    if (!tensor || tensor->count != count)
        fail_msg ("%s: %s %s has %zu elements here and %zu in PyTorch", b->fixture.model, kind, name, count, tensor ? tensor->count : 0);
    const double deviation = fixture_deviation (&b->fixture, tensor, values);
    if (!(deviation <= b->worst)) {
        b->worst = deviation;
        snprintf (b->worst_of, sizeof b->worst_of, "%s %s", kind, name);
    }
}

/* One minibatch: outputs, gradients and statistics. Returns the loss. */
static double s_compare_one (s_bench_t *b)
{
    const double loss = s_run (b, 0, RK_MODE_TRAIN);
    s_compare (b, "output", "output", b->n_outputs, b->probabilities);
    size_t n = 2; /* output and eval */
    for (size_t p = 0; p < rk_model_n_tensors (b->model); p++, n++) {
        const rk_param_t *param = rk_model_param (b->model, p);
        s_compare (b, param->trainable ? "grad" : "buffer", param->name, param->count, (param->trainable ? b->grads : b->flat) + param->offset);
    }
    assert_int_equal (n, b->fixture.n_tensors); /* PyTorch has no other tensors */
    return loss;
}

static void test_model (void **state)
{
    s_bench_t b;
    double worst_loss = 0;
    s_open (&b, *state);
    for (uint64_t step = 0; step < FIXTURE_STEPS; step++) {
        const double loss = step ? s_run (&b, step, RK_MODE_TRAIN) : s_compare_one (&b);
        worst_loss = fmax (worst_loss, fabs (loss / b.fixture.curve[step] - 1));
        s_step (&b, step);
    }
    s_run (&b, 0, RK_MODE_EVAL);
    s_compare (&b, "eval", "eval", b.n_outputs, b.probabilities);
    printf ("%s: tensors within %.1e (%s), losses within %.1e\n", b.fixture.model, b.worst, b.worst_of, worst_loss);
    if (!(b.worst <= (b.fixture.clear ? TOLERANCE_CLEAR : TOLERANCE)))
        fail_msg ("%s: %s deviates by %g", b.fixture.model, b.worst_of, b.worst);
    if (!(worst_loss <= CURVE_TOLERANCE))
        fail_msg ("%s: a loss deviates by %g", b.fixture.model, worst_loss);
    s_close (&b);
}

/* Models with seconds of work in them: test_fixtures_large.c has these, test_fixtures.c all others. */
static const char *const s_large[] = {"resnet18", "resnet50", "resnet56", "densenet100", "inception-v3", "lstm-lm", "gpt2-124m", "bert-base"};

#endif
