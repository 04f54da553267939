/* SPDX-License-Identifier: MPL-2.0 */
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

#define N 5

typedef struct {
    const char *name;
    rk_optim_config_t config;
    float expected[N];
} s_case_t;

#define ADAM .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f

/* Three steps of PyTorch 1.13, lr 0.1, gradients (0.1, -0.2, 0.3, -0.4, 0.5) x (1, -2, 3). */
static const s_case_t s_cases[] = {
    {"sgd", {.momentum = 0}, {0.979999959f, -1.95999992f, 0.440000027f, 3.08000016f, -0.350000024f}},
    {"sgd", {.weight_decay = 0.01f}, {0.977002978f, -1.95400596f, 0.438501477f, 3.07100916f, -0.349250793f}},
    {"sgd", {.momentum = 0.9f, .weight_decay = 0.01f},
     {0.975312769f, -1.95062554f, 0.43995142f, 3.05951238f, -0.344008744f}},
    {"sgd", {.momentum = 0.9f, .nesterov = true, .weight_decay = 0.01f},
     {0.954805553f, -1.90961111f, 0.384504586f, 3.12453198f, -0.433787644f}},
    {"adam", {ADAM}, {0.902286232f, -1.90228629f, 0.402286261f, 3.09771371f, -0.347713739f}},
    {"adam", {.beta1 = 0.8f, .beta2 = 0.95f, .epsilon = 1e-3f, .weight_decay = 0.01f},
     {0.895537674f, -1.89488018f, 0.402576506f, 3.08896828f, -0.345563442f}},
    {"adamw", {ADAM, .weight_decay = 0.1f}, {0.874209166f, -1.84450817f, 0.389059663f, 3.00698686f, -0.338664591f}},
    {"adamw", {.beta1 = 0.8f, .beta2 = 0.95f, .epsilon = 1e-3f, .weight_decay = 0.01f},
     {0.901758373f, -1.89831328f, 0.402658463f, 3.08692718f, -0.345214427f}},
};

/* grad_scale 0.5 on gradients twice as large: what a mean over two minibatches does. */
static void s_three_steps (const s_case_t *c, bool in_place, float result[N])
{
    const rk_optim_t *optim;
    assert_int_equal (rk_optim_by_name (&optim, c->name, &c->config, NULL), RK_OK);
    float a[N] = {1, -2, 0.5f, 3, -0.25f}, b[N], slot[2][N] = {{0}};
    float *w_old = a, *w_new = in_place ? a : b;
    for (int t = 1; t <= 3; t++) {
        const float factor = (float) (t % 2 ? t : -t) * 2;
        float g[N] = {0.1f * factor, -0.2f * factor, 0.3f * factor, -0.4f * factor, 0.5f * factor};
        const rk_optim_range_t range = {.lr = 0.1f, .t = (uint64_t) t, .grad_scale = 0.5f, .n = N, .w_old = w_old,
                                        .w_new = w_new, .g = g, .slots = {slot[0], slot[1]}};
        optim->step (&c->config, &range);
        float *swap = w_old;
        w_old = w_new;
        w_new = swap;
    }
    memcpy (result, w_old, sizeof a);
}

static void test_equals_pytorch (void **state)
{
    for (size_t i = 0; i < sizeof s_cases / sizeof *s_cases; i++) {
        float in_place[N], apart[N];
        s_three_steps (&s_cases[i], true, in_place);
        s_three_steps (&s_cases[i], false, apart);
        assert_memory_equal (in_place, apart, sizeof apart);
        for (int e = 0; e < N; e++)
            assert_true (fabsf (apart[e] - s_cases[i].expected[e]) < 3e-6f);
    }
}

static void s_refused (const char *name, rk_optim_config_t config, rk_err_t code, const char *text)
{
    rk_error_t err = {0};
    const rk_optim_t *optim;
    assert_int_equal (rk_optim_by_name (&optim, name, &config, &err), code);
    assert_null (optim);
    assert_non_null (strstr (err.text, text));
}

static void test_refusals (void **state)
{
    s_refused ("sdg", (rk_optim_config_t) {0}, RK_ENOTFOUND, "nearest is \"sgd\"");
    s_refused ("sgd", (rk_optim_config_t) {.momentum = 1}, RK_EINVAL, "momentum 1");
    s_refused ("sgd", (rk_optim_config_t) {.momentum = NAN}, RK_EINVAL, "momentum");
    s_refused ("sgd", (rk_optim_config_t) {.nesterov = true}, RK_EINVAL, "nesterov");
    s_refused ("sgd", (rk_optim_config_t) {.weight_decay = -1}, RK_EINVAL, "weight decay -1");
    s_refused ("adam", (rk_optim_config_t) {.beta1 = 0.9f, .beta2 = 1, .epsilon = 1e-8f}, RK_EINVAL, "beta2 1");
    s_refused ("adam", (rk_optim_config_t) {.beta1 = 0.9f, .beta2 = 0.9f}, RK_EINVAL, "epsilon 0");
    s_refused ("adamw", (rk_optim_config_t) {.beta1 = 1, .beta2 = 0.9f, .epsilon = 1}, RK_EINVAL, "beta1 1");
    s_refused ("lamb", (rk_optim_config_t) {.beta1 = 0.9f, .beta2 = 0.9f, .epsilon = NAN}, RK_EINVAL, "epsilon");
    s_refused ("lars", (rk_optim_config_t) {.momentum = 0.9f}, RK_EINVAL, "trust 0");
    s_refused ("lars", (rk_optim_config_t) {.trust = 1, .momentum = 0.9f, .nesterov = true}, RK_EINVAL, "sgd only");
}

/* Trainable tensors move, buffers are copied, padding stays zero, whatever the range of layers. */
static void test_update_of_layers (void **state)
{
    rk_model_t *model;
    assert_int_equal (rk_model_by_name (&model, "residual-tiny", rk_shape_3 (1, 9, 9), 10, NULL), RK_OK);
    const int n_layers = rk_model_n_layers (model);
    const size_t len = rk_model_flat_at (model, n_layers);
    float *w = calloc (len, sizeof *w), *g = calloc (len, sizeof *g), *slot = calloc (len, sizeof *slot);
    float *whole = calloc (len, sizeof *whole), *parts = calloc (len, sizeof *parts);
    const rk_optim_config_t config = {.momentum = 0.5f, .weight_decay = 0.1f};
    const rk_optim_t *sgd;
    assert_int_equal (rk_optim_by_name (&sgd, "sgd", &config, NULL), RK_OK);
    rk_model_init (model, 1, 0, n_layers, w);
    for (size_t p = 0; p < rk_model_n_tensors (model); p++)
        for (size_t i = 0; i < rk_model_param (model, p)->count; i++)
            g[rk_model_param (model, p)->offset + i] = 1;
    rk_optim_update_t update = {.model = model, .last = n_layers, .lr = 0.1f, .t = 1, .grad_scale = 1, .w_old = w,
                                .w_new = whole, .grads = g, .slots = &slot};
    rk_optim_update (sgd, &config, &update);
    for (size_t p = 0; p < rk_model_n_tensors (model); p++) {
        const rk_param_t *param = rk_model_param (model, p);
        for (size_t i = param->offset; i < param->offset + param->count; i++)
            assert_true (fabsf (whole[i] - (param->trainable ? w[i] - 0.1f * (1 + 0.1f * w[i]) : w[i])) < 1e-6f);
        for (size_t i = param->offset + param->count; i < param->offset + rk_flat_round (param->count); i++)
            assert_true (whole[i] == 0);
    }
    memset (slot, 0, len * sizeof *slot);
    for (int l = 0; l < n_layers; l++) {
        const size_t at = rk_model_flat_at (model, l);
        float *part_slot = slot + at;
        update.first = l;
        update.last = l + 1;
        update.w_old = w + at;
        update.w_new = parts + at;
        update.grads = g + at;
        update.slots = &part_slot;
        rk_optim_update (sgd, &config, &update);
    }
    assert_memory_equal (parts, whole, len * sizeof *parts);
    free (w);
    free (g);
    free (slot);
    free (whole);
    free (parts);
    rk_model_destroy (&model);
}

static int s_setup (void **state)
{
    return rk_blas_init ("auto", NULL) ? -1 : 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_equals_pytorch),   cmocka_unit_test (test_refusals),
        cmocka_unit_test (test_update_of_layers),
    };
    return cmocka_run_group_tests (tests, s_setup, NULL);
}
