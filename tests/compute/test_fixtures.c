/* SPDX-License-Identifier: MPL-2.0
 * Every built-in model against PyTorch (tests/fixtures/make.py, double precision): outputs, loss, every gradient, the
 * statistics after one minibatch, the losses of ten steps of SGD, and the outputs after them in evaluation mode.  */
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
#define CURVE_TOLERANCE 1e-4

/* With so many rectifiers that some always stand within rounding of their kink: single gradients may lie on the other side. */
static const struct {
    const char *model;
    double tolerance; /* of gradients */
} s_deep[] = {{"inception-v3", 0.25}};

/* No fixture yet. */
static const char *const s_not_compared[] = {"char-lstm", "lstm-lm", "lstm-tiny", "char-gpt", "gpt-nano", "gpt-micro", "gpt-mini", "gpt2-124m",
                                             "bert-base", "resnet50", NULL};

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
    double deviation = fixture_deviation (&b->fixture, tensor, values);
    for (size_t i = 0; i < sizeof s_deep / sizeof *s_deep && strcmp (kind, "grad") == 0; i++)
        if (strcmp (s_deep[i].model, b->fixture.model) == 0)
            deviation *= TOLERANCE / s_deep[i].tolerance;
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
    if (!(b.worst <= TOLERANCE))
        fail_msg ("%s: %s deviates by %g", b.fixture.model, b.worst_of, b.worst);
    if (!(worst_loss <= CURVE_TOLERANCE))
        fail_msg ("%s: a loss deviates by %g", b.fixture.model, worst_loss);
    s_close (&b);
}

static size_t s_largest (const float *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = fabsf (values[i]) > fabsf (values[best]) ? i : best;
    return best;
}

/* One weight off by a twentieth, where it matters most: seen, whatever its tensor. */
static void test_a_wrong_weight_is_seen (void **state)
{
    static const char *const names[] = {"lenet5", "residual-tiny", "dense-tiny"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        s_bench_t b;
        s_open (&b, names[i]);
        for (size_t p = 0; p < rk_model_n_tensors (b.model); p++) {
            const rk_param_t *param = rk_model_param (b.model, p);
            fixture_values (&b.fixture, b.model, b.flat);
            b.worst = 0;
            s_compare_one (&b);
            assert_true (b.worst <= TOLERANCE);
            if (!param->trainable)
                continue;
            const size_t at = param->offset + s_largest (b.grads + param->offset, param->count);
            fixture_values (&b.fixture, b.model, b.flat);
            b.flat[at] += 0.05f;
            s_compare_one (&b);
            if (b.worst <= TOLERANCE)
                fail_msg ("%s: nobody sees that an element of %s is wrong", names[i], param->name);
        }
        s_close (&b);
    }
}

/* Another momentum, a gradient that lacks a sample. */
static void test_a_wrong_step_is_seen (void **state)
{
    s_bench_t b;
    s_open (&b, "residual-tiny");
    double worst = 0;
    b.fixture.momentum = 0.85f;
    for (uint64_t step = 0; step < FIXTURE_STEPS; step++) {
        worst = fmax (worst, fabs (s_run (&b, step, RK_MODE_TRAIN) / b.fixture.curve[step] - 1));
        s_step (&b, step);
    }
    assert_true (worst > CURVE_TOLERANCE);
    s_close (&b);
    s_open (&b, "residual-tiny");
    b.fixture.batch--;
    s_run (&b, 0, RK_MODE_TRAIN);
    const rk_param_t *first = rk_model_param (b.model, 0);
    s_compare (&b, "grad", first->name, first->count, b.grads);
    assert_true (b.worst > TOLERANCE);
    s_close (&b);
}

static bool s_compared (const char *name)
{
    for (const char *const *other = s_not_compared; *other; other++)
        if (strcmp (*other, name) == 0)
            return false;
    return true;
}

int main (void)
{
    static struct CMUnitTest tests[64];
    size_t n = 0;
    if (rk_blas_init ("auto", NULL))
        return 1;
    for (const char *const *name = rk_model_names (); *name && n < 60; name++)
        if (s_compared (*name))
            tests[n++] = (struct CMUnitTest) {.name = *name, .test_func = test_model, .initial_state = (void *) (uintptr_t) *name};
    tests[n++] = (struct CMUnitTest) cmocka_unit_test (test_a_wrong_weight_is_seen);
    tests[n++] = (struct CMUnitTest) cmocka_unit_test (test_a_wrong_step_is_seen);
    return _cmocka_run_group_tests ("fixtures", tests, n, NULL, NULL);
}
