/* SPDX-License-Identifier: MPL-2.0
 * Every optimiser on a whole model against its published equations in double, tensor by tensor; and that a
 * step does not depend on where the model is cut.                                                      */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/blas.h"
#include "compute/optim.h"
#include "compute/optim/norm.h"
#include "tests/support/noise.h"

#define STEPS 4
#define SCALE 0.25f

static rk_model_t *s_model;
static size_t s_len;

typedef struct {
    const rk_optim_config_t *c;
    double lr;
    int t;
    bool exempt;
    size_t n;
    double *w, *m, *v;
    const double *g;
} tensor_t;

/* ---- the equations */

static double s_norm (size_t n, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt (sum);
}

static double s_direction (const tensor_t *a, size_t i, double g)
{
    const double b1 = (double) a->c->beta1, b2 = (double) a->c->beta2;
    a->m[i] = b1 * a->m[i] + (1 - b1) * g;
    a->v[i] = b2 * a->v[i] + (1 - b2) * g * g;
    return a->m[i] / (1 - pow (b1, a->t)) / (sqrt (a->v[i] / (1 - pow (b2, a->t))) + (double) a->c->epsilon);
}

static void s_sgd (const tensor_t *a)
{
    const double decay = a->exempt ? 0 : (double) a->c->weight_decay, momentum = (double) a->c->momentum;
    for (size_t i = 0; i < a->n; i++) {
        const double g = a->g[i] + decay * a->w[i];
        a->m[i] = momentum * a->m[i] + g;
        a->w[i] -= a->lr * (a->c->nesterov ? g + momentum * a->m[i] : a->m[i]);
    }
}

static void s_adam (const tensor_t *a)
{
    const double decay = a->exempt ? 0 : (double) a->c->weight_decay;
    for (size_t i = 0; i < a->n; i++)
        a->w[i] -= a->lr * s_direction (a, i, a->g[i] + decay * a->w[i]);
}

static void s_adamw (const tensor_t *a)
{
    const double decay = a->exempt ? 0 : (double) a->c->weight_decay;
    for (size_t i = 0; i < a->n; i++) {
        a->w[i] -= a->lr * decay * a->w[i];
        a->w[i] -= a->lr * s_direction (a, i, a->g[i]);
    }
}

static void s_lamb (const tensor_t *a)
{
    double u[1 << 16];
    assert_true (a->n <= sizeof u / sizeof *u);
    for (size_t i = 0; i < a->n; i++)
        u[i] = s_direction (a, i, a->g[i]) + (a->exempt ? 0 : (double) a->c->weight_decay) * a->w[i];
    const double w_norm = s_norm (a->n, a->w), u_norm = s_norm (a->n, u);
    const double ratio = a->exempt || w_norm == 0 || u_norm == 0 ? 1 : w_norm / u_norm;
    for (size_t i = 0; i < a->n; i++)
        a->w[i] -= a->lr * ratio * u[i];
}

static void s_lars (const tensor_t *a)
{
    const double decay = a->exempt ? 0 : (double) a->c->weight_decay;
    const double w_norm = s_norm (a->n, a->w), g_norm = s_norm (a->n, a->g);
    double local = (double) a->c->trust * w_norm / (g_norm + decay * w_norm + (double) a->c->epsilon);
    if (a->exempt || w_norm == 0 || g_norm == 0)
        local = 1;
    for (size_t i = 0; i < a->n; i++) {
        a->m[i] = (double) a->c->momentum * a->m[i] + a->lr * local * (a->g[i] + decay * a->w[i]);
        a->w[i] -= a->m[i];
    }
}

/* ---- running them */

static bool s_is_exempt (const char *name, const rk_optim_config_t *c, const rk_param_t *param)
{
    const bool scaled = strcmp (name, "lamb") == 0 || strcmp (name, "lars") == 0;
    const bool exempts = c->exempt == RK_EXEMPT_BIAS_NORM || (c->exempt == RK_EXEMPT_PUBLISHED && scaled);
    const bool bias = strstr (param->name, ".bias") != NULL, norm = strstr (param->name, "norm") || strstr (param->name, "bn");
    return exempts && (bias || norm);
}

/* Step t has learning rate 0.1 / t; gradients are noise, the same for all. */
static void s_gradients (int t, float *g)
{
    noise_t noise = {(uint64_t) t};
    memset (g, 0, s_len * sizeof *g);
    for (size_t p = 0; p < rk_model_n_tensors (s_model); p++) {
        const rk_param_t *param = rk_model_param (s_model, p);
        if (param->trainable)
            noise_fill (&noise, param->count, g + param->offset);
    }
}

static void s_expected (const char *name, void (*equation) (const tensor_t *), const rk_optim_config_t *c, double *w)
{
    double *m = calloc (s_len, sizeof *m), *v = calloc (s_len, sizeof *v), *scaled = calloc (s_len, sizeof *scaled);
    float *g = calloc (s_len, sizeof *g);
    for (int t = 1; t <= STEPS; t++) {
        s_gradients (t, g);
        for (size_t i = 0; i < s_len; i++)
            scaled[i] = (double) SCALE * (double) g[i];
        for (size_t p = 0; p < rk_model_n_tensors (s_model); p++) {
            const rk_param_t *param = rk_model_param (s_model, p);
            const size_t at = param->offset;
            const tensor_t tensor = {c, (double) (0.1f / (float) t), t, s_is_exempt (name, c, param), param->count, w + at,
                                     m + at, v + at, scaled + at};
            if (param->trainable)
                equation (&tensor);
        }
    }
    free (m);
    free (v);
    free (scaled);
    free (g);
}

/* In slices of `layers` layers, each with its own vectors, in place or not. */
static void s_train (const char *name, const rk_optim_config_t *c, int layers, bool in_place, float *w)
{
    const rk_optim_t *optim;
    rk_error_t err = {0};
    if (rk_optim_by_name (&optim, name, c, &err))
        fail_msg ("%s", err.text);
    float *g = calloc (s_len, sizeof *g), *slot[2] = {calloc (s_len, sizeof *g), calloc (s_len, sizeof *g)};
    float *other = calloc (s_len, sizeof *g);
    const int n_layers = rk_model_n_layers (s_model);
    for (int t = 1; t <= STEPS; t++) {
        s_gradients (t, g);
        for (int first = 0; first < n_layers; first += layers) {
            const int last = first + layers < n_layers ? first + layers : n_layers;
            const size_t at = rk_model_flat_at (s_model, first);
            float *slots[] = {slot[0] + at, slot[1] + at};
            const rk_optim_update_t update = {.model = s_model, .first = first, .last = last, .lr = 0.1f / (float) t,
                                              .t = (uint64_t) t, .grad_scale = SCALE, .w_old = w + at,
                                              .w_new = (in_place ? w : other) + at, .grads = g + at, .slots = slots};
            rk_optim_update (optim, c, &update);
        }
        if (!in_place)
            memcpy (w, other, s_len * sizeof *w);
    }
    free (g);
    free (slot[0]);
    free (slot[1]);
    free (other);
}

#define ADAM .beta1 = 0.9f, .beta2 = 0.99f, .epsilon = 1e-6f

static const struct {
    const char *name;
    void (*equation) (const tensor_t *);
    rk_optim_config_t config;
} s_cases[] = {
    {"sgd", s_sgd, {.momentum = 0.9f, .weight_decay = 0.05f}},
    {"sgd", s_sgd, {.momentum = 0.9f, .weight_decay = 0.05f, .nesterov = true, .exempt = RK_EXEMPT_BIAS_NORM}},
    {"adam", s_adam, {ADAM, .weight_decay = 0.05f}},
    {"adamw", s_adamw, {ADAM, .weight_decay = 0.5f}},
    {"adamw", s_adamw, {ADAM, .weight_decay = 0.5f, .exempt = RK_EXEMPT_BIAS_NORM}},
    {"lamb", s_lamb, {ADAM, .weight_decay = 0.05f}},
    {"lamb", s_lamb, {ADAM, .weight_decay = 0.05f, .exempt = RK_EXEMPT_NONE}},
    {"lars", s_lars, {.momentum = 0.9f, .weight_decay = 0.05f, .trust = 0.02f, .epsilon = 1e-8f}},
    {"lars", s_lars, {.weight_decay = 0.05f, .trust = 0.02f, .epsilon = 1e-3f, .exempt = RK_EXEMPT_NONE}},
};
#define N_CASES (sizeof s_cases / sizeof *s_cases)

static float *s_start (void)
{
    float *w = calloc (s_len, sizeof *w);
    assert_non_null (w);
    rk_model_init (s_model, 3, 0, rk_model_n_layers (s_model), w);
    return w;
}

/* Largest difference between the trained parameters and the equations'. */
static double s_worst (size_t i, const rk_optim_config_t *expected)
{
    float *w = s_start ();
    double *exact = calloc (s_len, sizeof *exact), worst = 0;
    for (size_t k = 0; k < s_len; k++)
        exact[k] = (double) w[k];
    s_train (s_cases[i].name, &s_cases[i].config, rk_model_n_layers (s_model), true, w);
    s_expected (s_cases[i].name, s_cases[i].equation, expected, exact);
    for (size_t k = 0; k < s_len; k++)
        worst = fmax (worst, fabs ((double) w[k] - exact[k]));
    free (w);
    free (exact);
    return worst;
}

static void test_equations (void **state)
{
    for (size_t i = 0; i < N_CASES; i++) {
        const double worst = s_worst (i, &s_cases[i].config);
        if (!(worst < 2e-6))
            fail_msg ("%s, case %zu: off by %g", s_cases[i].name, i, worst);
        rk_optim_config_t other = s_cases[i].config; /* what the test can tell apart */
        other.weight_decay += 0.01f;
        assert_true (s_worst (i, &other) > 1e-5);
        other = s_cases[i].config;
        const bool exempts = s_cases[i].equation == s_lamb || s_cases[i].equation == s_lars;
        const bool exempt = other.exempt == RK_EXEMPT_BIAS_NORM || (exempts && other.exempt == RK_EXEMPT_PUBLISHED);
        other.exempt = exempt ? RK_EXEMPT_NONE : RK_EXEMPT_BIAS_NORM;
        assert_true (s_worst (i, &other) > 1e-5);
    }
}

static void test_cuts_change_nothing (void **state)
{
    for (size_t i = 0; i < N_CASES; i++) {
        float *whole = s_start (), *parts = s_start (), *apart = s_start ();
        s_train (s_cases[i].name, &s_cases[i].config, rk_model_n_layers (s_model), true, whole);
        s_train (s_cases[i].name, &s_cases[i].config, 2, true, parts);
        s_train (s_cases[i].name, &s_cases[i].config, 3, false, apart);
        assert_memory_equal (whole, parts, s_len * sizeof *whole);
        assert_memory_equal (whole, apart, s_len * sizeof *whole);
        free (whole);
        free (parts);
        free (apart);
    }
}

static void test_norm_of_gradients (void **state)
{
    float *g = calloc (s_len, sizeof *g);
    s_gradients (1, g);
    double exact = 0;
    for (size_t i = 0; i < s_len; i++)
        exact += (double) g[i] * (double) g[i];
    const int n_layers = rk_model_n_layers (s_model);
    double *squares = calloc (rk_model_n_tensors (s_model), sizeof *squares);
    size_t bad = SIZE_MAX, n = rk_grad_squares (s_model, 0, n_layers, g, squares);
    assert_int_equal (n, rk_model_n_tensors (s_model));
    const double whole = rk_add_squares (0, n, squares, &bad);
    assert_true (fabs (whole - exact) < 1e-6 * exact);
    for (int layers = 1; layers < n_layers; layers++) {
        double sum = 0;
        for (int last = n_layers; last > 0; last -= layers) {
            const int first = last > layers ? last - layers : 0;
            n = rk_grad_squares (s_model, first, last, g + rk_model_flat_at (s_model, first), squares);
            sum = rk_add_squares (sum, n, squares, &bad);
        }
        assert_memory_equal (&sum, &whole, sizeof sum);
    }
    assert_true (bad == SIZE_MAX);
    const rk_param_t *early = rk_model_param (s_model, 0), *late = early;
    for (size_t p = 1; p < rk_model_n_tensors (s_model); p++) /* a trainable one further on */
        late = rk_model_param (s_model, p)->trainable ? rk_model_param (s_model, p) : late;
    assert_true (early->trainable && late != early);
    g[early->offset] = INFINITY;
    g[late->offset] = NAN; /* the sum begins at the end of the model */
    n = rk_grad_squares (s_model, 0, n_layers, g, squares);
    assert_false (isfinite (rk_add_squares (0, n, squares, &bad)));
    assert_true (rk_grad_squares_param (s_model, n_layers, bad) == late);
    free (squares);
    free (g);
}

static int s_setup (void **state)
{
    if (rk_blas_init ("auto", NULL) || rk_model_by_name (&s_model, "residual-tiny", rk_shape_3 (1, 9, 9), 10, NULL))
        return -1;
    s_len = rk_model_flat_at (s_model, rk_model_n_layers (s_model));
    return 0;
}

static int s_teardown (void **state)
{
    rk_model_destroy (&s_model);
    return 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_equations),
        cmocka_unit_test (test_cuts_change_nothing),
        cmocka_unit_test (test_norm_of_gradients),
    };
    return cmocka_run_group_tests (tests, s_setup, s_teardown);
}
